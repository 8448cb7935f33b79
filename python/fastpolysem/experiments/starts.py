"""Does the distribution of the initial weights change how many neurons are shared?

The published models start from normal weights, and so does the law: each feature has a favourite,
the neuron of its largest initial weight, and two features share a neuron if they have the same one.
PyTorch draws the weights of a layer uniformly. Without interference that makes no difference:
gradient flow with l1 then turns each initial weight w into sign(w) (a |w| - b)+ with the same a(t)
and b(t) for all weights of a feature, so that it removes the smaller weights one after another, and
the largest wins. But interference changes weights, and how large the change has to be before
another neuron wins depends on the distance between the largest weights, and so on the tail of the
distribution.

Removing the positive overlaps at the start changes each weight by about sqrt(n / 8) / m. The two
largest of m weights differ by about 1 / sqrt(2 m log m) if they are normal, and by sqrt(3) /
m^(3/2) if they are uniform. The ratio of change to distance is about sqrt(n log(m) / m) / 2 and
sqrt(n m) / 5. *Prediction*: the wider the layer, the more often favourites win with normal weights,
and the less often with uniform ones.

Plan, written before the run. *Known before*: counts under SGD of normal, uniform and Laplace
weights at n = 2 to 128 and m = 4 to 256; then the prediction was made, and found to hold at n = 4,
16 and 64 with 100 to 4000 seeds, under both optimisers. (The full run contradicts this for AdamW
and normal weights.) Nothing was known of n = 256 and orthogonal starts. *Tests*: at each n and m
and for each optimiser, uniform against normal weights, in the number of shared neurons, relative,
margin `MARGIN`, and in the share of features that their favourites win, margin `SHARES`, by Welch's
t test, corrected together by Holm's method. *Beside them*: orthogonal starts, which have (nearly)
normal weights and, for m >= n, no overlaps.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from fastpolysem.experiments._answers import (
    Answers,
    AutoencoderQuestion,
    at_usual_rates,
    size_and_optimizer,
    sized,
    together,
    with_scales,
    written,
)
from fastpolysem.experiments._base import ORTHANT, Fields, Presets, values_of
from fastpolysem.experiments._drawing import points
from fastpolysem.experiments._tables import of_means
from fastpolysem.experiments._verdicts import EFFECT, Comparison, compared
from fastpolysem.experiments.constant import STRENGTH
from fastpolysem.experiments.optimizers import Favourites, measured

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

MARGIN = 0.1
"""Largest negligible difference of shared neurons, relative to normal weights."""
SHARES = 0.03
"""Largest negligible difference of shares of features."""
INITS = ("normal", "uniform", "orthogonal")
_SIZES = (
    *((4, m) for m in (16, 64, 256)),
    *((16, m) for m in (16, 64, 256, 1024)),
    *((64, m) for m in (64, 128, 256, 1024)),
    *((256, m) for m in (256, 512, 1024)),
)
_SETTING = ("n_features", "n_hidden", "l1", "optimizer")
_SETTINGS: dict[str, Any] = {
    "n_features": 16,
    "n_hidden": 64,
    "l1_update": "orthant",
    "stop": "certified",
    "steps": 100_000,
    "sizes": _SIZES,
}


@dataclass(frozen=True)
class Wins(Favourites):
    """What `optimizers` counts."""

    name = "starts"
    version = 1


class Starts(AutoencoderQuestion):
    """The same models from weights of other distributions."""

    NAME = "starts"
    SUMMARY = "Draw the initial weights from several distributions, and count shared neurons."
    FIGURE_SIZE = (7.2, 6.2)
    PRESETS: ClassVar[Presets] = {
        # A minute on two cores.
        "default": {**_SETTINGS, "seeds": 400, "sizes": _SIZES[:7]},
        # Seconds.
        "quick": {**_SETTINGS, "seeds": 200, "sizes": [(4, 64), (16, 64), (16, 256)]},
        # The page of findings: twenty minutes on two cores.
        "paper": {**_SETTINGS, "seeds": 8000},
        # Hours: wider layers.
        "large": {**_SETTINGS, "seeds": 8000, "sizes": [*_SIZES, (64, 4096), (256, 4096)]},
    }
    MOST: ClassVar = {16: 2000, 64: 400, 256: 30}
    ALLOWED = ORTHANT
    PROBE = Wins()
    LABELS = (*_SETTING, "init")
    SEEN: ClassVar = {"n": "n_features", "m": "n_hidden"}
    COLUMNS = ("steps_taken",)
    METRICS = (
        *("ratio", "favoured", "signed_slots", "polysemantic", "unrepresented"),
        *("steps_taken", "finished"),
    )
    METHOD = (
        "Welch's t tests, uniform against normal initial weights: number of shared neurons, "
        "relative, and share of features won by their largest initial weight"
    )

    def ways(self, settings: Fields, changes: Fields) -> Iterable[Fields]:
        """Both optimisers and all distributions at each size, unless given."""
        inits = [{}] if "init" in changes else [{"init": one} for one in INITS]
        ways = [{**way, **one} for way in at_usual_rates(changes)[::-1] for one in inits]
        found = sized(ways, settings, changes)
        if "l1" in changes:
            return found
        if not all("n_hidden" in way for way in found):
            widths = values_of(changes.pop("n_hidden", settings["n_hidden"]))
            found = [{**way, "n_hidden": m} for way in found for m in widths]
        return [{"l1": round(STRENGTH / math.sqrt(way["n_hidden"]), 6), **way} for way in found]

    def table(self, data: Answers) -> pd.DataFrame:
        """Means with 95 % intervals, one row per setting.

        ``ratio`` is the number of shared neurons over the null model's mean, and ``favoured`` the
        share of the represented features that end on the neuron of their largest initial weight.
        ``strength`` is λ√m, and ``x`` n/√m.
        """
        means = with_scales(super().table(Answers(measured(data.rows))))
        ends = ["favoured_low", "favoured_high"]
        means[ends] = means[ends].clip(0, 1)
        return means.assign(x=means["n_features"] / np.sqrt(means["n_hidden"]))

    def tests(self, data: Answers) -> list[Comparison]:
        """Uniform against normal weights, at each size and for each optimiser."""
        found = []
        rows = measured(data.valid)
        for same, group in self.settings(rows, _SETTING):
            normal, uniform = (group[group["init"] == one] for one in INITS[:2])
            if len(normal) and len(uniform):
                name = size_and_optimizer(same, rows)
                counts = uniform["signed_slots"], normal["signed_slots"]
                won = uniform["favoured"].dropna(), normal["favoured"].dropna()
                found.append(compared(name, *counts, margin=MARGIN, relative=True))
                found.append(compared(f"{name}: favourites", *won, margin=SHARES))
        return found

    def say(self, data: Answers, outcome: str, judged: pd.DataFrame) -> str:
        """In how many settings, and by how much."""
        parts = []
        rows = measured(data.valid)
        for optimizer in dict.fromkeys(rows["optimizer"]):
            name = written(optimizer)
            settings = self.settings(rows[rows["optimizer"] == optimizer], _SETTING)
            names = {size_and_optimizer(same, rows) for same, _ in settings}
            own = judged[judged["test"].str.split(": ").str[0].isin(names)]
            favourites = own["test"].str.endswith(": favourites")
            counts, wins = own[~favourites], own[favourites]
            effects = counts[counts["outcome"] == EFFECT]
            fewer = (wins["outcome"] == EFFECT) & (wins["difference"] < 0)
            span = ""
            if len(effects):
                ends = effects["difference"].agg(["min", "max"])
                low, high = (f"{100 * end:+.0f} %" for end in ends)
                span = f" ({low} to {high})" if len(effects) > 1 else f" ({low})"
            parts.append(
                f"with {name}, they change the number of shared neurons in "
                f"{len(effects)} of {len(counts)} settings{span}, and the largest initial weight "
                f"wins fewer features in {fewer.sum()}"
            )
        strengths = (data.rows["l1"] * np.sqrt(data.rows["n_hidden"])).round(3)
        at = together([f"{one:g}" for one in sorted(strengths.unique())])
        first = f"At λ√m = {at}, uniform initial weights are compared with normal ones"
        return f"{first}: {'; '.join(parts)}."

    def tables(self, data: Answers) -> dict[str, str]:
        """Ratios and favourites by size and distribution, and all numbers."""
        means = self.table(data)
        shown = {
            "n": "n_features", "m": "n_hidden", "n/√m": "x", "optimiser": "optimizer",
            "initial weights": "init", "seeds": "seeds",
        }  # fmt: skip
        estimates = {
            "ratio": "ratio", "favourites win": "favoured", "shared neurons": "signed_slots",
        }  # fmt: skip
        rest = {"unrepresented": "unrepresented", "steps": "steps_taken", "certified": "finished"}
        return {"numbers": of_means(means, shown, estimates, rest)}

    def draw(self, data: Answers, ax: Axes | None = None) -> Axes:
        """Ratio and share of favourites against the width, for each optimiser; the first of several
        l1."""
        from matplotlib.ticker import NullLocator

        from fastpolysem import plots

        means = self.table(data)
        means = means.drop_duplicates(["n_features", "n_hidden", "optimizer", "init"])
        used = list(dict.fromkeys(means["optimizer"]))
        axes = plots.panels(ax, len(used), 2, self.FIGURE_SIZE, sharex=True, sharey="col")
        sizes = sorted(means["n_features"].unique())
        for row, optimizer in zip(axes, used, strict=True):
            here = means[means["optimizer"] == optimizer]
            for each, name in zip(row, ("ratio", "favoured"), strict=True):
                for index, n in enumerate(sizes):
                    for init, line in zip(INITS[:2], ("--", "-"), strict=True):
                        part = here[(here["n_features"] == n) & (here["init"] == init)]
                        look = plots.look(index, "color", "marker")
                        style: dict[str, Any] = {"ls": line, "ms": 4, "lw": 1.2, "capsize": 2}
                        style["mfc"] = "none" if init == INITS[0] else look["color"]
                        label = f"n = {n}, {init}"
                        part = part.sort_values("n_hidden")
                        points(each, part["n_hidden"], part, name, label=label, **look, **style)
                each.set_title(written(optimizer), fontsize="medium")
            row[0].axhline(1, color="#666666", lw=1, ls=":")
            row[0].set_yscale("log")
            row[0].set_ylabel("shared neurons over the\nnull model's mean")
            row[1].set_ylabel("share of features won by their\nlargest initial weight")
        widths = sorted(means["n_hidden"].unique())
        for each in axes[-1]:
            each.set(xscale="log", xlabel="neurons m")
            each.set_xticks(widths, [str(width) for width in widths])
            each.minorticks_off()
        ticks = (0.5, 1, 2, 4, 8)
        for each in axes[:, 0]:
            each.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
            each.yaxis.set_minor_locator(NullLocator())
        axes[-1, 1].legend(frameon=False, fontsize=7.5, labelspacing=0.25, loc="upper right")
        return ax or axes[0, 0]


EXPERIMENT = Starts()
