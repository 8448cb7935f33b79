"""How often does the neuron win that a feature favours at the start, and who wins otherwise?

The theory's picture is a race: the largest start weight wins. Here the rank of the winner among the
start weights is counted against n/m, l1 and optimiser, and predictors are tried that know more than
the start weights alone: of other features that push on a neuron, and of training without l1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastpolysem import _checks
from fastpolysem.config import Config
from fastpolysem.experiments import grid_of
from fastpolysem.experiments._answers import Answers, question, summary
from fastpolysem.experiments._verdicts import (
    EFFECT,
    LACKS_POWER,
    Comparison,
    Verdict,
    compared,
    text,
    verdict_of,
)

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from fastpolysem.training import TrainingResult

NAME = "winners"
SUMMARY = "Count how often the initial favourite wins, and look for a better predictor of winners."
FIGURE_SIZE = (11.0, 7.6)

LOW = 0.8
"""Least |weight| of a feature that counts as represented, as in `metrics.count_unrepresented`."""
MARGIN = 0.02
"""Difference of shares of features that would not matter."""

_ADAMW: dict[str, Any] = {"optimizer": "adamw", "steps": 10_000}
_SGD: dict[str, Any] = {"optimizer": "sgd", "learning_rate": 0.06, "steps": 10_000}
_SETTINGS: dict[str, Any] = {
    "n_features": 16,
    "n_hidden": [8, 16, 32, 64],
    "l1": [0.01, 0.1],
    "l1_update": "orthant",
    "stop": "certified",
}
PRESETS: dict[str, dict[str, Any]] = {
    # Some minutes on two cores.
    "default": {**_SETTINGS, "seeds": 200},
    # Half a minute.
    "quick": {**_SETTINGS, "seeds": 60, "n_hidden": [16, 64], "l1": 0.1},
    # The page of findings.
    "paper": {**_SETTINGS, "seeds": 1000},
    # About an hour.
    "large": {**_SETTINGS, "seeds": 2000, "n_features": 32, "n_hidden": [16, 32, 64, 128]},
}

RANKS = (1, 2, 4, 8)
PUSHES = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
"""Lengths tried of one step against interference."""
PREDICTORS = {
    "favourite": "largest start weight",
    "push": "one step against interference",
    "without_l1": "training without l1",
    "exclusive": "training without l1, no slot twice",
}


def _all_configs(preset: str = "default", **changes: Any) -> list[Config]:
    _checks.choice("preset", preset, PRESETS)
    if any(name in changes for name in ("optimizer", "learning_rate", "steps")):
        return grid_of(PRESETS, preset, changes)
    return [one for way in (_ADAMW, _SGD) for one in grid_of(PRESETS, preset, {**way, **changes})]


def label(config: Config) -> dict[str, Any]:
    """Sizes, l1 and optimiser."""
    return {name: getattr(config, name) for name in _LABELS}


def without_l1(config: Config, seeds: NDArray[Any]) -> NDArray[np.float64]:
    """Weights of the same start and optimiser without l1, after a tenth of the steps, (S, n, m).

    Features of norm 1 that do not interfere, nearly: what l1 is left to decide about.
    """
    from fastpolysem.training import train

    steps = config.steps // 10
    bare = config.replace(l1=0.0, l1_update="subgradient", stop="steps", steps=steps)
    return np.asarray(train(bare, seeds, return_weights=True).weights, dtype=np.float64)


def push(weights: NDArray[Any]) -> NDArray[np.float64]:
    """``Σ_{j≠i} ReLU(W_i·W_j) W_j``, what interference takes from each weight, (S, n, m)."""
    w = np.asarray(weights, dtype=np.float64)
    gram = np.maximum(w @ np.swapaxes(w, -1, -2), 0)
    n = gram.shape[-1]
    gram[..., np.arange(n), np.arange(n)] = 0
    result: NDArray[np.float64] = gram @ w
    return result


def exclusive(weights: NDArray[Any]) -> NDArray[np.int64]:
    """Favourites without two features of one sign on one neuron, (S, n).

    Weights are taken by descending size; one gives its feature the neuron unless the feature has
    one, or another feature has the neuron with this sign. Features left over keep their largest
    weight's neuron.
    """
    count, n, m = weights.shape
    chosen: NDArray[np.int64] = np.abs(weights).argmax(axis=-1)
    for s in range(count):
        found, taken = np.zeros(n, dtype=bool), np.zeros((m, 2), dtype=bool)
        for place in np.argsort(-np.abs(weights[s]), axis=None, kind="stable"):
            i, k = divmod(int(place), m)
            sign = int(weights[s, i, k] > 0)
            if not found[i] and not taken[k, sign]:
                found[i] = taken[k, sign] = True
                chosen[s, i] = k
                if found.all():
                    break
    return chosen


def take(result: TrainingResult) -> dict[str, NDArray[Any]]:
    """How many features of each seed were won by whom.

    ``features`` counts those represented at the end, ``rank_1``, ``rank_2``, ``rank_4`` and
    ``rank_8`` those whose winner was among so many largest start weights, ``kept_sign`` those whose
    winner has the sign that it started with; the others, by the names of `PREDICTORS`, those whose
    winner was predicted, ``push_0.25`` and so on with steps of these lengths.
    """
    from fastpolysem.training import train

    started = train(result.config.replace(steps=0), result.seeds, return_weights=True)
    start, end = np.asarray(started.weights), np.asarray(result.weights)
    end = np.where(result.diverged[:, np.newaxis, np.newaxis], 0.0, end)
    winner = np.abs(end).argmax(axis=-1)
    there = np.abs(end).max(axis=-1) >= LOW
    at_start = np.take_along_axis(start, winner[..., np.newaxis], axis=-1)
    at_end = np.take_along_axis(end, winner[..., np.newaxis], axis=-1)
    rank = 1 + (np.abs(start) > np.abs(at_start)).sum(axis=-1)

    def right(predicted: NDArray[Any]) -> NDArray[Any]:
        return np.asarray(((predicted == winner) & there).sum(axis=1))

    taken: dict[str, NDArray[Any]] = {"features": there.sum(axis=1)}
    taken |= {f"rank_{r}": ((rank <= r) & there).sum(axis=1) for r in RANKS}
    taken["kept_sign"] = ((at_start * at_end > 0)[..., 0] & there).sum(axis=1)
    against = push(start)
    for length in PUSHES:
        taken[f"push_{length:g}"] = right(np.abs(start - length * against).argmax(axis=-1))
    bare = without_l1(result.config, result.seeds)
    taken["without_l1"] = right(np.abs(bare).argmax(axis=-1))
    taken["exclusive"] = right(exclusive(bare))
    return taken


_LABELS = ("n_features", "n_hidden", "l1", "optimizer")
configs, run, rows = question(NAME, PRESETS, label, take=take, configs=_all_configs)


def _shares(data: Answers) -> pd.DataFrame:
    """Shares of each seed's represented features; the length of `push` is chosen by the even seeds,
    and only the odd ones tell how good it is."""
    found = data.valid
    found = found[found["features"] > 0].copy()
    found["favourite"] = found["rank_1"]
    found["push"] = np.nan
    for _, group in found.groupby(list(_LABELS), sort=False):
        even = group[group["seed"] % 2 == 0]
        if len(even):
            best = max(PUSHES, key=lambda length: even[f"push_{length:g}"].sum())
            odd = group.index[group["seed"] % 2 == 1]
            found.loc[odd, "push"] = group.loc[odd, f"push_{best:g}"].astype(float)
    for name in [*PREDICTORS, "kept_sign", *(f"rank_{r}" for r in RANKS)]:
        found[name] = found[name] / found["features"]
    return found


def table(data: Answers) -> pd.DataFrame:
    """Shares of represented features with 95 % intervals, one row a setting.

    ``favourite`` is how often the largest start weight's neuron wins, ``rank_2`` … ``rank_8`` how
    often the winner is among so many largest, ``kept_sign`` how often it keeps its sign; ``push``,
    ``without_l1`` and ``exclusive`` are how often these predictors are right, ``push`` on the odd
    seeds with a length chosen on the even ones. ``unrepresented`` features are left out of all.
    """
    found = _shares(data)
    metrics = [*PREDICTORS, *(f"rank_{r}" for r in RANKS[1:]), "kept_sign", "unrepresented"]
    left_out = data.rows[~data.rows.index.isin(found.index)]
    if len(left_out):
        import pandas as pd

        found = pd.concat([found, left_out.assign(diverged=True)])
    return summary(Answers(found), _LABELS, metrics)


def verdict(data: Answers) -> Verdict:
    """Does the favourite win in most cases, and is there a predictor that is right more often?"""
    found = _shares(data)
    tests: list[Comparison] = []
    for key, group in found.groupby(list(_LABELS), sort=False):
        odd = group[group["seed"] % 2 == 1]
        name = f"m = {key[1]}, λ = {key[2]:g}, {key[3]}"
        for predictor in list(PREDICTORS)[1:]:
            test = compared(
                f"{name}: {PREDICTORS[predictor]}",
                odd[predictor],
                odd["favourite"],
                MARGIN,
                paired=True,
            )
            tests.append(test)
    method = (
        "Paired t tests of the share of represented features whose winner a predictor names, "
        "against the largest start weight, on the odd seeds alone"
    )
    return verdict_of(tests, method, lambda outcome, judged: _say(data, outcome, judged))


def _say(data: Answers, outcome: str, judged: pd.DataFrame) -> str:
    means = table(data)
    low, high = means.loc[means["favourite"].idxmin()], means.loc[means["favourite"].idxmax()]
    first = (
        f"The initial favourite wins for {text(_of(low, 'favourite'))} (m = {low['n_hidden']}, "
        f"λ = {low['l1']:g}, {low['optimizer']}) to {text(_of(high, 'favourite'))} "
        f"(m = {high['n_hidden']}, λ = {high['l1']:g}, {high['optimizer']}) of the features"
    )
    if outcome == LACKS_POWER:
        return f"{first}; whether another predictor does better: {outcome}."
    better = judged[(judged["outcome"] == EFFECT) & (judged["difference"] > 0)]
    best = max(list(PREDICTORS)[1:], key=lambda name: float(means[name].mean()))
    wins = better["test"].str.endswith(f": {PREDICTORS[best]}").sum()
    if not wins:
        return f"{first}; no predictor that was tried does better."
    return (
        f"{first}; the best of the other predictors ({PREDICTORS[best]}) names "
        f"{means[best].min():.2g} to {means[best].max():.2g} of the winners, and more than the "
        f"favourite in {wins} of {len(means)} settings."
    )


def _of(row: pd.Series[Any], name: str) -> tuple[float, float, float]:
    return row[name], row[f"{name}_low"], row[f"{name}_high"]


def draw(data: Answers, ax: Axes | None = None) -> Axes:
    """Shares against the number of neurons for each optimiser, l1 and predictor."""
    from fastpolysem import plots

    means = table(data)
    optimizers = list(means["optimizer"].unique())
    axes = plots.panels(ax, 2, len(optimizers), FIGURE_SIZE, sharex=True, sharey="row")
    strengths = sorted(means["l1"].unique())
    middle = strengths[len(strengths) // 2]
    for column, optimizer in zip(axes.T, optimizers, strict=True):
        here = means[means["optimizer"] == optimizer]
        for index, l1 in enumerate(strengths):
            part = here[here["l1"] == l1]
            _line(column[0], part, "favourite", plots.COLORS[index], "-", f"λ = {l1:g}")
            if l1 == middle:
                for r, line in zip(RANKS[1:], ("--", "-.", ":"), strict=True):
                    name = f"λ = {l1:g}, among the {r} largest"
                    _line(column[0], part, f"rank_{r}", plots.COLORS[index], line, name)
        for index, (name, what) in enumerate(PREDICTORS.items()):
            part = here[here["l1"] == middle]
            _line(column[1], part, name, plots.COLORS[index], "-", what)
        column[0].set_title(f"{optimizer}, n = {means['n_features'].iloc[0]}", fontsize="medium")
        column[1].set_title(f"{optimizer}, λ = {middle:g}", fontsize="medium")
        column[1].set(xscale="log", xlabel="neurons m")
        widths = sorted(means["n_hidden"].unique())
        column[1].set_xticks(widths, [str(width) for width in widths])
        column[1].minorticks_off()
    axes[0, 0].set_ylabel("share of features that their\ninitial favourite wins")
    axes[1, 0].set_ylabel("share of winners that the\npredictor names")
    axes[0, 0].set_ylim(0, 1.02)
    axes[1, 0].set_ylim(0, 1.02)
    for each in axes[:, 0]:
        each.legend(frameon=False, fontsize="small")
    return ax or axes[0, 0]


def _line(ax: Axes, means: pd.DataFrame, name: str, color: str, line: str, what: str) -> None:
    bars = [means[name] - means[f"{name}_low"], means[f"{name}_high"] - means[name]]
    style: dict[str, Any] = {"ls": line, "marker": "o", "ms": 3.5, "lw": 1.3, "capsize": 2}
    ax.errorbar(means["n_hidden"], means[name], bars, color=color, label=what, **style)
