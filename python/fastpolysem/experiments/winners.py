"""How often does a feature end up on the neuron of its largest initial weight, and what decides it?

In theory the weights of a feature compete, and the largest initial weight wins. Here the rank of
the winner among the initial weights is measured for several n and m with AdamW and with gradient
descent, at fixed λ and at fixed λ√m. One predictor uses more of the initial weights: a step against
the interference of other features. How early the winner is decided is measured by inspecting the
same training at an early stage, which is not a prediction from the initial weights.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fastpolysem.experiments._answers import (
    Answers,
    AutoencoderQuestion,
    apart,
    at_usual_rates,
    estimate_of,
    pairs,
    sized,
    summary,
    with_scales,
    written,
)
from fastpolysem.experiments._base import ORTHANT, Fields, Presets
from fastpolysem.experiments._drawing import points
from fastpolysem.experiments._pages import markdown
from fastpolysem.experiments._tables import by_width, of_means
from fastpolysem.experiments._verdicts import EFFECT, Comparison, compared, text
from fastpolysem.experiments._weights import start_encoders, trained_weights
from fastpolysem.families.autoencoder.config import Config, without_l1
from fastpolysem.families.autoencoder.metrics import LOW
from fastpolysem.probes import Column, Probe
from fastpolysem.training import TrainingResult, train

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


MARGIN = 0.05
"""Largest negligible difference of shares of features."""
STRENGTH = 0.32
"""λ√m of the settings that keep it fixed; it is that of λ = 0.01 at m = 1024."""
EARLY = {"adamw": 100, "sgd": 30}
"""Steps of the early look, by optimiser."""
_SIZES = (
    *((16, m) for m in (16, 64, 256, 1024)),
    *((64, m) for m in (64, 256, 1024)),
    *((256, m) for m in (256, 1024)),
)
_SETTINGS: dict[str, Any] = {
    "n_features": 16,
    "n_hidden": 64,
    "l1": 0.01,
    "l1_update": "orthant",
    "stop": "certified",
    "steps": 50_000,
    "sizes": _SIZES,
}
RANKS = (1, 2, 4, 8)
PUSHES = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
"""Candidate lengths of the step against interference."""
PREDICTORS = {
    "favourite": "largest initial weight",
    "push": "one step against interference",
    "early": "early look, without l1",
    "exclusive": "early look, no slot twice",
}


def early(config: Config, seeds: NDArray[Any]) -> NDArray[np.float64]:
    """Weights after the first `EARLY` steps of the same training without l1, (S, n, m): a look at
    the training itself, taken when features hardly interfere any more."""
    steps = EARLY.get(config.optimizer, 100)
    bare = without_l1(config, steps=steps)
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


def _line(ax: Axes, means: pd.DataFrame, name: str, look: dict[str, Any], what: str) -> None:
    style = {"marker": "o", "ms": 3.5, "lw": 1.3, "capsize": 2, **look}
    points(ax, means["n_hidden"], means, name, label=what, **style)


@dataclass(frozen=True)
class Races(Probe):
    """Number of features per seed by rank of the winner, and by correct predictor."""

    name = "winners"
    version = 2
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
        "early": Column("int64", "those that lead in the early look"),
        "exclusive": Column("int64", "those that lead in it, no slot twice"),
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
        bare = early(result.config, result.seeds)
        counts["early"] = right(np.abs(bare).argmax(axis=-1))
        counts["exclusive"] = right(exclusive(bare))
        return counts


class Winners(AutoencoderQuestion):
    """The winner of each feature, and how well it can be predicted."""

    NAME = "winners"
    SUMMARY = "Count how often the largest initial weight wins, with AdamW and gradient descent."
    FIGURE_SIZE = (10.0, 7.0)
    PRESETS: ClassVar[Presets] = {
        # A minute on two cores.
        "default": {**_SETTINGS, "seeds": 40, "sizes": _SIZES[:7]},
        # Seconds.
        "quick": {**_SETTINGS, "seeds": 60, "sizes": [_SIZES[1], _SIZES[3], _SIZES[4]]},
        # The page of findings.
        "paper": {**_SETTINGS, "seeds": 200},
        # Hours.
        "large": {**_SETTINGS, "seeds": 1000, "sizes": [*_SIZES, (256, 4096)]},
    }
    ALLOWED = ORTHANT
    PROBE = Races()
    MOST: ClassVar[dict[int, int]] = {64: 200, 256: 40}
    LABELS = ("n_features", "n_hidden", "l1", "optimizer", "learning_rate")
    SEEN: ClassVar = {"n": "n_features", "m": "n_hidden", "λ": "l1"}
    COLUMNS = ("steps_taken",)
    METRICS = (
        *(*PREDICTORS, *(f"rank_{r}" for r in RANKS[1:]), "kept_sign", "unrepresented"),
        *("steps_taken", "finished"),
    )
    METHOD = (
        "Paired t tests of the share of represented features that end on the neuron of their "
        "largest initial weight, with AdamW against SGD; and of the share that a step against "
        "interference names, against that of the largest initial weight, on the odd seeds"
    )

    def ways(self, settings: Fields, changes: Fields) -> Iterable[Fields]:
        """AdamW and gradient descent at each size with fixed λ and fixed λ√m, unless given."""
        ways = sized(at_usual_rates(changes), settings, changes)
        if "l1" in changes:
            return ways
        base = settings["l1"]
        return (
            [
                {**way, "l1": l1}
                for way in ways
                for l1 in dict.fromkeys((base, round(STRENGTH / math.sqrt(way["n_hidden"]), 6)))
            ]
            if all("n_hidden" in way for way in ways)
            else ways
        )

    def table(self, data: Answers) -> pd.DataFrame:
        """Shares of represented features with 95 % intervals, one row per setting.

        ``strength`` is λ√m, ``pace`` the learning rate times √m and ``ratio`` n/√m. ``favourite``
        is the share won by the neuron of the largest initial weight, ``rank_2`` … ``rank_8`` the
        share won by one of the largest 2 to 8, and ``kept_sign`` the share whose winner keeps its
        sign. ``push``, ``early`` and ``exclusive`` are the shares that `PREDICTORS` get right;
        ``push`` is evaluated on the odd seeds, with a length chosen on the even ones.
        ``chance`` is 1/m. ``unrepresented`` features are excluded from all shares.
        """
        shares = self._shares(data)
        diverged = data.rows[data.rows["diverged"]]
        if len(diverged):
            import pandas as pd

            shares = pd.concat([shares, diverged])
        means = with_scales(summary(Answers(shares), self.LABELS, self.METRICS))
        for name in (*PREDICTORS, *(f"rank_{r}" for r in RANKS[1:])):  # shares
            ends = [f"{name}_low", f"{name}_high"]
            means[ends] = means[ends].clip(0, 1)
        n, m = means["n_features"], means["n_hidden"]
        return means.assign(ratio=n / np.sqrt(m), chance=1 / m)

    def _shares(self, data: Answers) -> pd.DataFrame:
        """Shares of each seed's represented features, nan without any; the length of `push` is
        chosen on the even seeds and evaluated on the odd ones."""
        shares = data.valid.copy()
        shares["favourite"] = shares["rank_1"]
        shares["push"] = np.nan
        for _, group in self.settings(shares):
            even = group[group["seed"] % 2 == 0]
            if len(even):
                best = max(PUSHES, key=lambda length: even[f"push_{length:g}"].sum())
                odd = group.index[group["seed"] % 2 == 1]
                shares.loc[odd, "push"] = group.loc[odd, f"push_{best:g}"].astype(float)
        for name in [*PREDICTORS, "kept_sign", *(f"rank_{r}" for r in RANKS)]:
            shares[name] = shares[name] / shares["features"].where(shares["features"] > 0)
        return shares

    def tests(self, data: Answers) -> list[Comparison]:
        """Does the optimiser change who wins, and does interference predict more winners?"""
        shares = self._shares(data)
        shares = shares[shares["features"] > 0]
        tests = []
        for same, group in self.settings(shares, ("n_features", "n_hidden", "l1")):
            sides = [
                list(group[group["optimizer"] == name].groupby("learning_rate"))
                for name in ("adamw", "sgd")
            ]
            several = any(len(side) > 1 for side in sides)
            for (rate, first), (other, second) in itertools.product(*sides):
                rates = f", learning rates {rate:g} and {other:g}" if several else ""
                adamw, sgd = pairs(first, second, "favourite")
                name = f"{_where(same)}{rates}: AdamW against SGD"
                tests.append(compared(name, adamw, sgd, MARGIN, paired=True))
        for setting, group in self.settings(shares):
            odd = group[group["seed"] % 2 == 1]
            more = apart(setting, shares, ("n_features", "n_hidden", "l1", "optimizer"))
            optimizer = f"{written(setting['optimizer'])}{more}"
            name = f"{_where(setting)}, {optimizer}: {PREDICTORS['push']}"
            tests.append(compared(name, odd["push"], odd["favourite"], MARGIN, paired=True))
        return tests

    def say(self, data: Answers, outcome: str, judged: pd.DataFrame) -> str:
        """How often the largest initial weight wins with each optimiser."""
        means = self.table(data)
        parts = []
        for optimizer, part in means.dropna(subset="favourite").groupby("optimizer", sort=False):
            low, high = part.loc[part["favourite"].idxmin()], part.loc[part["favourite"].idxmax()]
            parts.append(
                f"with {written(str(optimizer))} for {text(estimate_of(low, 'favourite'))} "
                f"({self._named(low, means)}) to {text(estimate_of(high, 'favourite'))} "
                f"({self._named(high, means)})"
            )
        first = f"The largest initial weight wins {' and '.join(parts)} of the features"
        against = judged[judged["test"].str.endswith("AdamW against SGD")]
        less = ((against["outcome"] == EFFECT) & (against["difference"] < 0)).sum()
        ahead = judged[judged["test"].str.endswith(PREDICTORS["push"])]
        better = ((ahead["outcome"] == EFFECT) & (ahead["difference"] > 0)).sum()
        if len(against):
            first += f"; less often with AdamW than with SGD in {less} of {len(against)} settings"
        return (
            f"{first}. One step against interference predicts more winners in {better} of "
            f"{len(ahead)} settings."
        )

    def _named(self, row: pd.Series[Any], means: pd.DataFrame) -> str:
        more = apart(dict(row[list(self.LABELS)]), means, self.LABELS[:4])
        return f"{_where(row)}{more}"

    def draw(self, data: Answers, ax: Axes | None = None) -> Axes:
        """Shares against the number of neurons: above at fixed λ and fixed λ√m for each n and
        optimiser, below what names the winner at one n; the first of several learning rates."""
        from fastpolysem import plots

        means = self.table(data).drop_duplicates(self.LABELS[:4])
        axes = plots.panels(ax, 2, 2, self.FIGURE_SIZE, sharex=True, sharey=True)
        fixed = means["l1"] == means["l1"].min()
        scaled = np.isclose(means["strength"], STRENGTH, rtol=0.01)
        sizes = sorted(means["n_features"].unique())
        titles = (f"fixed λ = {means['l1'].min():g}", f"fixed λ√m = {STRENGTH:g}")
        for each, which, title in zip(axes[0], (fixed, scaled), titles, strict=True):
            for (n, optimizer), part in means[which].groupby(["n_features", "optimizer"]):
                line = "-" if optimizer == "sgd" else "--"
                look = plots.look(sizes.index(n), "color", "marker") | {"ls": line}
                _line(each, part, "favourite", look, f"n = {n}, {written(optimizer)}")
            each.set_title(f"largest initial weight, {title}", fontsize="medium")
        middle = sizes[len(sizes) // 2]
        for each, optimizer in zip(axes[1], ("sgd", "adamw"), strict=True):
            part = means[
                scaled & (means["n_features"] == middle) & (means["optimizer"] == optimizer)
            ]
            for index, (name, what) in enumerate(PREDICTORS.items()):
                _line(each, part, name, plots.look(index, "color", "ls"), what)
            grey = {"color": "#777777", "ls": ":"}
            _line(each, part, "rank_8", grey, "one of the 8 largest initial weights")
            each.set_title(f"{written(optimizer)}, n = {middle}, {titles[1]}", fontsize="medium")
            each.set(xscale="log", xlabel="neurons m")
            widths = sorted(means["n_hidden"].unique())
            each.set_xticks(widths, [str(width) for width in widths])
            each.minorticks_off()
        axes[0, 0].set_ylabel("share of features won")
        axes[1, 0].set_ylabel("share of winners identified")
        axes[0, 0].set_ylim(-0.02, 1.02)
        axes[0, 0].legend(frameon=False, fontsize="small", ncols=3, loc="upper left")
        axes[1, 0].legend(frameon=False, fontsize="small", loc="lower right")
        return ax or axes[0, 0]

    def tables(self, data: Answers) -> dict[str, str]:
        """What holds at which size, and all shares."""
        means = self.table(data)
        shown = {
            "n": "n_features", "m": "n_hidden", "n/√m": "ratio", "λ": "l1", "λ√m": "strength",
            "optimiser": "optimizer", "lr·√m": "pace",
        }  # fmt: skip
        shares = {
            "largest initial weight wins": "favourite", "among 8 largest": "rank_8",
            "one step against interference": "push", "early look": "early",
            "no slot twice": "exclusive",
        }  # fmt: skip
        rest = {
            "chance": "chance", "keeps its sign": "kept_sign", "unrepresented": "unrepresented",
            "steps": "steps_taken", "certified": "finished", "seeds": "seeds",
        }  # fmt: skip
        return {"numbers": of_means(means, shown, shares, rest), "sizes": self._sizes(means)}

    def _sizes(self, means: pd.DataFrame) -> str:
        """Largest initial weight by n, at fixed λ√m."""
        here = means[np.isclose(means["strength"], STRENGTH, rtol=0.01)]
        widths = {m: f"m = {m}" for m in _WIDTHS}
        head, rows = by_width(here, "favourite", here["n_hidden"], widths, 2)
        return markdown(head, [*rows, ["any", "chance", *(f"{1 / m:.2g}" for m in _WIDTHS)]])


_WIDTHS = (16, 64, 256, 1024)


def _where(setting: Any) -> str:
    return "n = {n_features}, m = {n_hidden}, λ = {l1:g}".format(**dict(setting))


EXPERIMENT = Winners()
