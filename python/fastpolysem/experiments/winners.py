"""How often does a feature end up on the neuron of its largest initial weight, and what decides it?

In theory the weights of a feature compete, and the largest initial weight wins. Here the rank of
the winner among the initial weights is measured for various n/m, l1 and optimisers. Predictors that
use more than the initial weights are tested: the interference of other features, and training
without l1.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fastpolysem.experiments._answers import Answers, AutoencoderQuestion, estimate_of, summary
from fastpolysem.experiments._base import Fields, Presets
from fastpolysem.experiments._drawing import points
from fastpolysem.experiments._verdicts import EFFECT, INCONCLUSIVE, Comparison, compared, text
from fastpolysem.experiments._weights import start_encoders, trained_weights
from fastpolysem.families.autoencoder.config import Config
from fastpolysem.probes import Column, Probe
from fastpolysem.training import TrainingResult, train

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


LOW = 0.8
"""Smallest |weight| that represents a feature, as in `metrics.count_unrepresented`."""
MARGIN = 0.02
"""Largest negligible difference of shares of features."""
_ADAMW: dict[str, Any] = {"optimizer": "adamw", "steps": 10_000}
_SGD: dict[str, Any] = {"optimizer": "sgd", "learning_rate": 0.06, "steps": 10_000}
_SETTINGS: dict[str, Any] = {
    "n_features": 16,
    "n_hidden": [8, 16, 32, 64],
    "l1": [0.01, 0.1],
    "l1_update": "orthant",
    "stop": "certified",
}
RANKS = (1, 2, 4, 8)
PUSHES = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
"""Candidate lengths of the step against interference."""
PREDICTORS = {
    "favourite": "largest start weight",
    "push": "one step against interference",
    "without_l1": "training without l1",
    "exclusive": "training without l1, no slot twice",
}


def without_l1(config: Config, seeds: NDArray[Any]) -> NDArray[np.float64]:
    """Weights after a tenth of the steps without l1, same initial weights and optimiser, (S, n, m).

    By then features have a norm of about 1 and hardly interfere; the rest is decided by l1.
    """
    steps = config.steps // 10
    bare = config.replace(l1=0.0, l1_update="subgradient", stop="steps", steps=steps)
    return np.asarray(train(bare, seeds, return_weights=True).weights, dtype=np.float64)


def push(weights: NDArray[Any]) -> NDArray[np.float64]:
    """``Σ_{j≠i} ReLU(W_i·W_j) W_j``, the effect of interference on each weight, (S, n, m)."""
    w = np.asarray(weights, dtype=np.float64)
    gram = np.maximum(w @ np.swapaxes(w, -1, -2), 0)
    n = gram.shape[-1]
    gram[..., np.arange(n), np.arange(n)] = 0
    result: NDArray[np.float64] = gram @ w
    return result


def exclusive(weights: NDArray[Any]) -> NDArray[np.int64]:
    """Neuron of each feature if no two features of one sign may share a neuron, (S, n).

    Weights are processed by descending size. A weight assigns its neuron to its feature unless the
    feature already has one, or another feature has the neuron with this sign. Remaining features
    keep the neuron of their largest weight.
    """
    count, n, m = weights.shape
    chosen: NDArray[np.int64] = np.abs(weights).argmax(axis=-1)
    for s in range(count):
        placed, taken = np.zeros(n, dtype=bool), np.zeros((m, 2), dtype=bool)
        for place in np.argsort(-np.abs(weights[s]), axis=None, kind="stable"):
            i, k = divmod(int(place), m)
            sign = int(weights[s, i, k] > 0)
            if not placed[i] and not taken[k, sign]:
                placed[i] = taken[k, sign] = True
                chosen[s, i] = k
                if placed.all():
                    break
    return chosen


def _line(ax: Axes, means: pd.DataFrame, name: str, color: str, line: str, what: str) -> None:
    style: dict[str, Any] = {"ls": line, "marker": "o", "ms": 3.5, "lw": 1.3, "capsize": 2}
    points(ax, means["n_hidden"], means, name, color=color, label=what, **style)


@dataclass(frozen=True)
class Races(Probe):
    """Number of features per seed by rank of the winner, and by correct predictor."""

    name = "winners"
    columns: ClassVar = {
        "features": Column("int64", "features represented at the end"),
        **{
            f"rank_{r}": Column("int64", f"those whose winner was among the {r} largest initially")
            for r in RANKS
        },
        "kept_sign": Column("int64", "those whose winner kept its initial sign"),
        **{
            f"push_{length:g}": Column("int64", f"those predicted by a step of length {length:g}")
            for length in PUSHES
        },
        "without_l1": Column("int64", "those predicted by training without l1"),
        "exclusive": Column("int64", "those predicted by the same, no slot twice"),
    }

    def __call__(self, result: TrainingResult) -> dict[str, NDArray[Any]]:
        """The columns of a block; `PREDICTORS` describes the predictors."""
        start, end = start_encoders(result), trained_weights(result)
        winner = np.abs(end).argmax(axis=-1)
        there = np.abs(end).max(axis=-1) >= LOW
        at_start = np.take_along_axis(start, winner[..., np.newaxis], axis=-1)
        at_end = np.take_along_axis(end, winner[..., np.newaxis], axis=-1)
        rank = 1 + (np.abs(start) > np.abs(at_start)).sum(axis=-1)

        def right(predicted: NDArray[Any]) -> NDArray[Any]:
            return np.asarray(((predicted == winner) & there).sum(axis=1))

        counts: dict[str, NDArray[Any]] = {"features": there.sum(axis=1)}
        counts |= {f"rank_{r}": ((rank <= r) & there).sum(axis=1) for r in RANKS}
        counts["kept_sign"] = ((at_start * at_end > 0)[..., 0] & there).sum(axis=1)
        against = push(start)
        for length in PUSHES:
            counts[f"push_{length:g}"] = right(np.abs(start - length * against).argmax(axis=-1))
        bare = without_l1(result.config, result.seeds)
        counts["without_l1"] = right(np.abs(bare).argmax(axis=-1))
        counts["exclusive"] = right(exclusive(bare))
        return counts


class Winners(AutoencoderQuestion):
    """The winner of each feature, and how well it can be predicted."""

    NAME = "winners"
    SUMMARY = "Count how often the largest initial weight wins, and look for better predictors."
    FIGURE_SIZE = (11.0, 7.6)
    PRESETS: ClassVar[Presets] = {
        # A few minutes on two cores.
        "default": {**_SETTINGS, "seeds": 200},
        # Half a minute.
        "quick": {**_SETTINGS, "seeds": 60, "n_hidden": [16, 64], "l1": 0.1},
        # The page of findings.
        "paper": {**_SETTINGS, "seeds": 1000},
        # About an hour.
        "large": {**_SETTINGS, "seeds": 2000, "n_features": 32, "n_hidden": [16, 32, 64, 128]},
    }
    PROBE = Races()
    LABELS = ("n_features", "n_hidden", "l1", "optimizer")
    METRICS = (*PREDICTORS, *(f"rank_{r}" for r in RANKS[1:]), "kept_sign", "unrepresented")
    METHOD = (
        "Paired t tests of the share of represented features whose winner a predictor names, "
        "relative to the largest initial weight, on the odd seeds"
    )

    def ways(self, settings: Fields, changes: Fields) -> Iterable[Fields]:
        """AdamW and gradient descent, unless one is given."""
        given = changes.keys() & {"optimizer", "learning_rate", "steps"}
        return [{}] if given else [_ADAMW, _SGD]

    def table(self, data: Answers) -> pd.DataFrame:
        """Shares of represented features with 95 % intervals, one row per setting.

        ``favourite`` is the share won by the neuron of the largest initial weight, ``rank_2`` …
        ``rank_8`` the share won by one of the largest 2 to 8, and ``kept_sign`` the share whose
        winner keeps its sign. ``push``, ``without_l1`` and ``exclusive`` are the shares that these
        predictors get right; ``push`` is evaluated on the odd seeds, with a length chosen on the
        even ones. ``unrepresented`` features are excluded from all shares.
        """
        shares = self._shares(data)
        left_out = data.rows[~data.rows.index.isin(shares.index)]
        if len(left_out):
            import pandas as pd

            shares = pd.concat([shares, left_out.assign(diverged=True)])
        return summary(Answers(shares), self.LABELS, self.METRICS)

    def _shares(self, data: Answers) -> pd.DataFrame:
        """Shares of each seed's represented features; the length of `push` is chosen on the even
        seeds and evaluated on the odd ones."""
        rows = data.valid
        shares = rows[rows["features"] > 0].copy()
        shares["favourite"] = shares["rank_1"]
        shares["push"] = np.nan
        for _, group in self.settings(shares):
            even = group[group["seed"] % 2 == 0]
            if len(even):
                best = max(PUSHES, key=lambda length: even[f"push_{length:g}"].sum())
                odd = group.index[group["seed"] % 2 == 1]
                shares.loc[odd, "push"] = group.loc[odd, f"push_{best:g}"].astype(float)
        for name in [*PREDICTORS, "kept_sign", *(f"rank_{r}" for r in RANKS)]:
            shares[name] = shares[name] / shares["features"]
        return shares

    def tests(self, data: Answers) -> list[Comparison]:
        """Is there a better predictor than the largest initial weight?"""
        tests = []
        for setting, group in self.settings(self._shares(data)):
            odd = group[group["seed"] % 2 == 1]
            where = "m = {n_hidden}, λ = {l1:g}, {optimizer}".format(**setting)
            for predictor, what in list(PREDICTORS.items())[1:]:
                right, favourite = odd[predictor], odd["favourite"]
                name = f"{where}: {what}"
                tests.append(compared(name, right, favourite, MARGIN, paired=True))
        return tests

    def say(self, data: Answers, outcome: str, judged: pd.DataFrame) -> str:
        """How often the largest initial weight wins, and which predictor does better."""
        means = self.table(data)
        low, high = means.loc[means["favourite"].idxmin()], means.loc[means["favourite"].idxmax()]
        first = (
            f"The largest initial weight wins for {text(estimate_of(low, 'favourite'))} "
            f"(m = {low['n_hidden']}, λ = {low['l1']:g}, {low['optimizer']}) to "
            f"{text(estimate_of(high, 'favourite'))} "
            f"(m = {high['n_hidden']}, λ = {high['l1']:g}, {high['optimizer']}) of the features"
        )
        if outcome == INCONCLUSIVE:
            return f"{first}; whether another predictor does better is {outcome}."
        better = judged[(judged["outcome"] == EFFECT) & (judged["difference"] > 0)]
        best = max(list(PREDICTORS)[1:], key=lambda name: float(means[name].mean()))
        wins = better["test"].str.endswith(f": {PREDICTORS[best]}").sum()
        if not wins:
            return f"{first}; none of the other predictors does better."
        return (
            f"{first}; the best other predictor ({PREDICTORS[best]}) names "
            f"{means[best].min():.2g} to {means[best].max():.2g} of the winners, more than the "
            f"largest initial weight does in {wins} of {len(means)} settings."
        )

    def draw(self, data: Answers, ax: Axes | None = None) -> Axes:
        """Shares against the number of neurons for each optimiser, l1 and predictor."""
        from fastpolysem import plots

        means = self.table(data)
        optimizers = list(means["optimizer"].unique())
        axes = plots.panels(ax, 2, len(optimizers), self.FIGURE_SIZE, sharex=True, sharey="row")
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
            column[0].set_title(
                f"{optimizer}, n = {means['n_features'].iloc[0]}", fontsize="medium"
            )
            column[1].set_title(f"{optimizer}, λ = {middle:g}", fontsize="medium")
            column[1].set(xscale="log", xlabel="neurons m")
            widths = sorted(means["n_hidden"].unique())
            column[1].set_xticks(widths, [str(width) for width in widths])
            column[1].minorticks_off()
        axes[0, 0].set_ylabel("share of features won by\ntheir largest initial weight")
        axes[1, 0].set_ylabel("share of winners that the\npredictor identifies")
        axes[0, 0].set_ylim(0, 1.02)
        axes[1, 0].set_ylim(0, 1.02)
        for each in axes[:, 0]:
            each.legend(frameon=False, fontsize="small")
        return ax or axes[0, 0]


EXPERIMENT = Winners()
