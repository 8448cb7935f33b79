"""What does it cost to avoid polysemanticity, and which remedy obtains it at what price?

A grid of l1, noise and width, and on top of its middle one remedy at a time: a start of orthogonal
features, schedules of l1, dropout, noise of heavy tails, a repulsion between features of one
neuron, and inputs in which features meet. Every model is judged by the share of features that have
a neuron to themselves, and by its loss, without l1 and noise, on inputs of one feature and on
inputs of several.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastpolysem import _checks
from fastpolysem.config import Config
from fastpolysem.experiments import grid_of
from fastpolysem.experiments._answers import Answers, pairs, question, summary
from fastpolysem.experiments._verdicts import (
    EFFECT,
    LACKS_POWER,
    NO_EFFECT,
    Comparison,
    Verdict,
    compared,
    verdict_of,
)
from fastpolysem.experiments.cooccurrence import loss_on_mixed, paired_inputs

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from fastpolysem.training import TrainingResult

NAME = "tradeoff"
SUMMARY = "Weigh performance against polysemanticity, over a grid and for one remedy at a time."
FIGURE_SIZE = (11.5, 5.6)

MARGIN = 0.02
"""Difference of the share of features with a neuron of their own that would not matter."""
CONCENTRATED = 0.8
"""A feature is on a neuron if its |weight| there is at least this share of its norm."""
NONE = "none"

_SETTINGS: dict[str, Any] = {
    "n_features": 16,
    "n_hidden": [16, 32, 64],
    "l1": [0.01, 0.03, 0.1],
    "noise_std": [0.0, 0.1],
    "l1_update": "orthant",
    "learning_rate": 4e-3,
    "steps": 2000,
}
PRESETS: dict[str, dict[str, Any]] = {
    # A minute on two cores.
    "default": {**_SETTINGS, "seeds": 200},
    # Some seconds.
    "quick": {**_SETTINGS, "seeds": 60, "n_hidden": 32, "l1": [0.01, 0.03, 0.1]},
    # The page of findings.
    "paper": {**_SETTINGS, "seeds": 1000},
    # An hour.
    "large": {
        **_SETTINGS,
        "seeds": 1000,
        "n_features": 64,
        "n_hidden": [64, 128, 256],
        "steps": 7500,
        "learning_rate": 1e-3,
    },
}


def remedies(config: Config) -> dict[str, Config]:
    """Each remedy on top of a configuration, by its name; times are shares of its steps."""
    last = config.steps

    def schedule(*points: tuple[float, float]) -> list[tuple[int, float]]:
        """Constant pieces: each factor holds from its time on."""
        listed: list[tuple[int, float]] = []
        for (time, factor), after in zip(points, [*points[1:], (1.0, 0.0)], strict=True):
            first, end = round(time * last), round(after[0] * last)
            listed += [(first, factor), (max(first, end - 1), factor)]
        return [one for i, one in enumerate(listed) if i == 0 or one[0] > listed[i - 1][0]]

    n = config.n_features
    changes: dict[str, dict[str, Any]] = {
        NONE: {},
        "orthogonal start": {"init": "orthogonal"},
        "l1 warmed up": {"l1_schedule": [(0, 0.0), (last // 2, 1.0)]},
        "l1 in pulses": {
            "l1_schedule": schedule(*((step / 8, float(step % 2 == 0)) for step in range(8)))
        },
        "l1 dropped for a while": {"l1_schedule": schedule((0, 1), (0.25, 0), (0.5, 1))},
        "l1 dropped at the end": {"l1_schedule": schedule((0, 1), (0.75, 0))},
        "dropout": {"dropout": 0.1},
        "Laplace noise": {"noise": "laplace", "noise_std": 0.1},
        "Gaussian noise": {"noise": "gaussian", "noise_std": 0.1},
        "repulsion": {"repulsion": 0.3},
        "features meet": {"inputs": paired_inputs(n, 0.3)},
    }
    return {name: config.replace(**change) for name, change in changes.items()}


def _all_configs(preset: str = "default", **changes: Any) -> list[Config]:
    settings = {**PRESETS[_checks.choice("preset", preset, PRESETS)], **changes}
    sizes = settings.pop("noise_std")
    listed: list[Config] = []
    for std in sizes if isinstance(sizes, list) else [sizes]:
        noise = {"noise": "rademacher", "noise_std": std} if std else {}
        listed += grid_of({preset: settings}, preset, {**noise, **changes} if std else changes)
    plain = [one for one in listed if one.noise == "none"]
    for one in plain:
        if one is _middle(plain):
            known = {config.digest for config in listed}
            listed += [c for c in remedies(one).values() if c.digest not in known]
    return listed


def _middle(listed: list[Config]) -> Config:
    """The configuration of the middle width and, in it, the middle l1."""
    widths = sorted({one.n_hidden for one in listed})
    there = [one for one in listed if one.n_hidden == widths[len(widths) // 2]]
    there.sort(key=lambda one: one.l1)
    return there[len(there) // 2]


def label(config: Config) -> dict[str, Any]:
    """Sizes, l1, noise and remedy."""
    bare = Config(
        n_features=config.n_features,
        n_hidden=config.n_hidden,
        l1=config.l1,
        l1_update=config.l1_update,
        learning_rate=config.learning_rate,
        optimizer=config.optimizer,
        steps=config.steps,
    )
    known = {one.digest: name for name, one in remedies(bare).items()}
    remedy = known.get(config.digest, NONE)
    return {
        "n_features": config.n_features,
        "n_hidden": config.n_hidden,
        "l1": config.l1,
        "noise_std": config.noise_std if remedy == NONE else 0.0,
        "remedy": remedy,
    }


def take(result: TrainingResult) -> dict[str, NDArray[Any]]:
    """``alone``, the share of features with a neuron of their own; ``shared``, neurons that several
    features concentrate on; ``loss_mixed``, the loss where each feature is on with probability 1/8.
    """
    weights = np.asarray(result.weights, dtype=np.float64)
    weights = np.where(result.diverged[:, np.newaxis, np.newaxis], 0.0, weights)
    norm = np.linalg.norm(weights, axis=-1, keepdims=True)
    on = (np.abs(weights) >= CONCENTRATED * norm) & (norm > 1e-6)
    features = on.sum(axis=1)
    alone = (on & (features == 1)[:, np.newaxis, :]).any(axis=-1)
    return {
        "alone": alone.mean(axis=-1),
        "shared": (features >= 2).sum(axis=-1),
        "loss_mixed": loss_on_mixed(weights, result.config),
    }


_LABELS = ("n_features", "n_hidden", "l1", "noise_std", "remedy")
configs, run, rows = question(NAME, PRESETS, label, take=take, configs=_all_configs)


def table(data: Answers) -> pd.DataFrame:
    """Means with 95 % intervals, one row a setting.

    ``alone`` is the share of features with a neuron of their own, ``shared`` counts neurons that
    several concentrate on; ``loss`` and ``loss_mixed`` are without l1 and noise, on inputs of one
    feature and where each is on with probability 1/8. ``front`` and ``front_mixed`` are how often a
    setting is on the Pareto front of ``alone`` against these losses in resamples of the seeds.
    """
    metrics = ["alone", "shared", "polysemantic", "malign", "loss", "loss_mixed", "unrepresented"]
    means = summary(data, _LABELS, metrics)
    for name, losses in (("front", "loss"), ("front_mixed", "loss_mixed")):
        means[name] = _on_front(data, losses)
    return means


def _on_front(data: Answers, losses: str, repeats: int = 200) -> NDArray[np.float64]:
    """How often no other setting is better in both means, each mean drawn anew by resampling."""
    rng = np.random.default_rng(0)
    drawn = []
    for _, group in data.rows.groupby(list(_LABELS), sort=False, dropna=False):
        values = group.loc[~group["diverged"], ["alone", losses]].to_numpy(float)
        if not len(values):
            drawn.append(np.full((repeats, 2), np.nan))
            continue
        picks = rng.integers(len(values), size=(repeats, len(values)))
        drawn.append(values[picks].mean(axis=1))
    alone, loss = np.moveaxis(np.array(drawn), 2, 0)
    better = (alone[np.newaxis] >= alone[:, np.newaxis]) & (loss[np.newaxis] < loss[:, np.newaxis])
    better |= (alone[np.newaxis] > alone[:, np.newaxis]) & (loss[np.newaxis] <= loss[:, np.newaxis])
    result: NDArray[np.float64] = (~better.any(axis=1) & np.isfinite(alone)).mean(axis=1)
    return result


def verdict(data: Answers) -> Verdict:
    """Which remedies give more features a neuron of their own?"""
    tests: list[Comparison] = []
    for (same, remedy), here in _treated(data):
        base = data.where(**same, remedy=NONE)
        a, b = pairs(here, base, "alone")
        tests.append(compared(remedy, a, b, MARGIN, paired=True))
    method = (
        "Paired t tests of the share of features with a neuron of their own, each remedy against "
        "none, seed by seed"
    )
    return verdict_of(tests, method, lambda outcome, judged: _say(data, outcome, judged))


def _treated(data: Answers) -> list[tuple[tuple[dict[str, Any], str], pd.DataFrame]]:
    """The rows of each remedy, with what it has in common with those without."""
    listed = []
    for key, group in data.valid.groupby(list(_LABELS), sort=False):
        labels = dict(zip(_LABELS, key, strict=True))
        remedy = labels.pop("remedy")
        if remedy != NONE:
            listed.append(((labels, remedy), group))
    return listed


def _say(data: Answers, outcome: str, judged: pd.DataFrame) -> str:
    if outcome == LACKS_POWER:
        return f"Whether a remedy makes features monosemantic: {outcome}."
    listed: dict[str, list[str]] = {"more": [], "fewer": [], NO_EFFECT: [], LACKS_POWER: []}
    for ((same, remedy), here), row in zip(_treated(data), judged.itertuples(), strict=True):
        kind = str(row.outcome)
        if kind == EFFECT:
            kind = "more" if row.difference > 0 else "fewer"
        base = data.where(**same, remedy=NONE)["loss"].mean()
        price = here["loss"].mean() / base if base > 0 else np.nan
        share = f"{here['alone'].mean():.1%} alone, {price:.3g} times the loss"
        listed[kind].append(f"{remedy} ({share})" if kind in ("more", "fewer") else remedy)
    base_share = np.mean(
        [data.where(**same, remedy=NONE)["alone"].mean() for (same, _), _ in _treated(data)]
    )
    parts = [
        f"{said} {', '.join(listed[kind])}"
        for kind, said in (
            ("more", "more have one with"),
            ("fewer", "fewer with"),
            (NO_EFFECT, "no different with"),
            (LACKS_POWER, "undecided with"),
        )
        if listed[kind]
    ]
    return (
        f"Without a remedy {base_share:.1%} of the features have a neuron of their own; "
        f"{'; '.join(parts)}."
    )


def draw(data: Answers, ax: Axes | None = None) -> Axes:
    """Loss against the share of features that share a neuron or have none, for each setting."""
    from fastpolysem import plots

    means = table(data)
    axes = plots.panels(ax, 1, 2, FIGURE_SIZE, sharex=True)[0]
    panels = {
        "loss": ("loss, inputs of one feature", "front"),
        "loss_mixed": ("loss, each feature on with probability 1/8", "front_mixed"),
    }
    names = [name for name in means["remedy"].unique() if name != NONE]
    for each, (losses, (what, front)) in zip(axes, panels.items(), strict=True):
        for noisy, mark in ((False, "o"), (True, "D")):
            grid = means[(means["remedy"] == NONE) & ((means["noise_std"] > 0) == noisy)]
            name = "grid of λ and m" + (", noise of ±0.1" if noisy else "")
            if len(grid):
                _points(each, grid, losses, {"fmt": mark, "color": "#999999", "label": name})
        for index, name in enumerate(names):
            color = plots.COLORS[index % len(plots.COLORS)]
            mark = "s" if index < len(plots.COLORS) else "^"
            part = means[means["remedy"] == name]
            _points(each, part, losses, {"fmt": mark, "color": color, "label": name})
        best = means[means[front] >= 0.5].sort_values("alone")
        each.step(
            1 - best["alone"], best[losses], where="pre", color="#222222", lw=1, label="front"
        )
        sure = means[means[front] >= 0.95]
        each.plot(
            1 - sure["alone"],
            sure[losses],
            "o",
            ms=11,
            mfc="none",
            mec="#222222",
            label="on it in 95 % of resamples",
        )
        each.set(xlabel="share of features without a neuron of their own", ylabel=what)
        each.set_yscale("log")
    n, count = int(means["n_features"].iloc[0]), int(means["seeds"].min())
    axes[0].set_title(f"n = {n}, {count} seeds, 95 % intervals", fontsize="medium")
    axes[1].legend(frameon=False, fontsize="small", loc="center left", bbox_to_anchor=(1.02, 0.5))
    return ax or axes[0]


def _points(ax: Axes, means: pd.DataFrame, losses: str, style: dict[str, Any]) -> None:
    x, y = 1 - means["alone"], means[losses]
    xerr = [means["alone_high"] - means["alone"], means["alone"] - means["alone_low"]]
    low = np.maximum(means[f"{losses}_low"], means[losses] / 10)  # a logarithmic axis
    yerr = [means[losses] - low, means[f"{losses}_high"] - means[losses]]
    ax.errorbar(x, y, yerr, xerr, ms=5, lw=1, capsize=2, **style)
