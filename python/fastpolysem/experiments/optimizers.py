"""What does the optimiser contribute to the number of polysemantic neurons, and at which sizes?

The theory assumes gradient flow; the published counts are for AdamW. At the same seed, all
optimisers start from the same weights and train until the outcome can no longer change (certified
stop). Adam differs from gradient descent in several respects, which are varied one at a time:
*normalisation by coordinate* (each step divides by the size of each weight's gradient: with β₂ = 0
or 0.9 by the present one), *memory of the second moment* (β₂ = 0.999 divides by what the gradient
was up to a thousand steps ago), *rescaled time* (one second moment for all weights has the same
step sizes over time without normalising single weights), and ε, which switches all of it off.

The plan, fixed before the runs of the preset "paper":

* Sizes, strengths and numbers of seeds are those of `CELLS`. Where m = 2n and λ = 0.01, the seeds
  make it 80 % likely that a ratio of 1 is found equivalent, within `MARGIN`. Elsewhere, most tests
  can find effects, but cannot be expected to find equivalence where arms take different paths.
* Every arm of a cell is compared with SGD: the number of shared neurons, relative, by paired
  t tests with margin `MARGIN`. Adam is compared with β₂ = 0.9 (what memory adds), AdamW with Adam,
  and in each cell the share of features won by the neuron of their largest initial weight with
  that under SGD, for Adam, AdamW, β₂ = 0.9 and the scalar moment, with margin `SHARES`.
* All of these tests are corrected together by Holm's method.
* Adam adds *two separable effects* in a cell if β₂ = 0.9 has fewer shared neurons than SGD while
  the scalar second moment has not, and Adam has a lower share of favourites than β₂ = 0.9.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fastpolysem import _checks
from fastpolysem.experiments._answers import (
    Answers,
    AutoencoderQuestion,
    compared_by_seed,
    name_of,
    with_scales,
    written,
)
from fastpolysem.experiments._base import ORTHANT, Fields, Presets, values_of
from fastpolysem.experiments._drawing import bars
from fastpolysem.experiments._pages import interval, markdown
from fastpolysem.experiments._verdicts import EFFECT, WITHIN, Comparison
from fastpolysem.experiments._weights import start_encoders, trained_weights
from fastpolysem.families.autoencoder.config import Config
from fastpolysem.families.autoencoder.metrics import LOW
from fastpolysem.probes import Column, Probe
from fastpolysem.training import TrainingResult

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


MARGIN = 0.06
"""Largest negligible difference of shared neurons, relative to the other arm."""
SHARES = 0.03
"""Largest negligible difference of shares of features."""
REFERENCE, ADAM, ADAMW = "sgd", "adam", "adamw"
SHORT, FLAT, SCALAR = "adam, β₂ = 0.9", "adam, ε = 1", "adam, scalar second moment"
_SGD: dict[str, Any] = {"optimizer": "sgd"}
_ADAM: dict[str, Any] = {"optimizer": "adam"}
_SUBGRADIENT: dict[str, Any] = {"l1_update": "subgradient", "stop": "steps"}
WAYS: dict[str, dict[str, Any]] = {
    REFERENCE: {**_SGD, "learning_rate": 0.06},
    "sgd, small steps": {**_SGD, "learning_rate": 0.02},
    "sgd, momentum": {**_SGD, "learning_rate": 0.006, "momentum": 0.9},
    SCALAR: {**_ADAM, "second_moment": "scalar"},
    FLAT: {**_ADAM, "epsilon": 1.0, "learning_rate": 0.06},
    "adam, ε = 0.1": {**_ADAM, "epsilon": 0.1, "learning_rate": 6e-3},
    "adam, ε = 0.01": {**_ADAM, "epsilon": 0.01},
    SHORT: {**_ADAM, "betas": (0.9, 0.9)},
    "adam, β₂ = 0.99": {**_ADAM, "betas": (0.9, 0.99)},
    ADAM: {**_ADAM},
    "adam, rate / 5": {**_ADAM, "learning_rate": 2e-4},
    "adam, 5x rate": {**_ADAM, "learning_rate": 5e-3},
    "adam, rate decays": {**_ADAM, "learning_rate_schedule": ((0, 5.0), (2000, 0.2))},
    ADAMW: {"optimizer": "adamw"},
    "sgd, subgradient": {**_SGD, "learning_rate": 0.06, **_SUBGRADIENT, "steps": 10_000},
    "adamw, subgradient": {"optimizer": "adamw", **_SUBGRADIENT, "steps": 7500},
}
"""Fields of `Config` of each arm besides those of the preset. The first is the reference."""
_USUAL: dict[str, Any] = {
    "learning_rate": 1e-3,
    "momentum": 0.0,
    "betas": (0.9, 0.999),
    "epsilon": 1e-8,
    "second_moment": "coordinate",
    "learning_rate_schedule": None,
    "l1_update": "orthant",
}
_ALL = tuple(WAYS)
_CERTIFIED = tuple(name for name in WAYS if not name.endswith("subgradient"))
_EFFECTS = (REFERENCE, SHORT, ADAM)
_PUBLISHED = (REFERENCE, ADAMW)
CELLS: dict[tuple[int, int, float], tuple[int, tuple[str, ...]]] = {
    (64, 128, 0.01): (600, _ALL),
    (128, 256, 0.01): (300, _ALL),
    (256, 512, 0.01): (160, _CERTIFIED),
    (256, 1024, 0.01): (420, (REFERENCE, FLAT, SHORT, ADAM)),
    (256, 512, 0.001): (176, (*_EFFECTS, ADAMW)),
    (32, 512, 0.032): (1000, (*_EFFECTS, FLAT, ADAMW)),
    # λ alone; of the last two, λ√m is that of the first cell
    (64, 128, 0.03): (600, _EFFECTS),
    (64, 128, 0.003): (700, (*_EFFECTS, ADAMW)),
    (128, 256, 0.00707): (200, _EFFECTS),
    (256, 512, 0.005): (192, _EFFECTS),
    # what was published for AdamW
    (64, 64, 0.003): (300, _PUBLISHED),
    (64, 256, 0.003): (1700, _PUBLISHED),
    (64, 512, 0.003): (3600, _PUBLISHED),
    **{(64, m, 0.003): (300, _PUBLISHED) for m in (1024, 2048)},
    (256, 256, 0.1): (60, _PUBLISHED),
    (256, 256, 0.01): (60, _PUBLISHED),
    (256, 256, 0.001): (32, _PUBLISHED),
    (256, 1024, 0.001): (96, _PUBLISHED),
    **{(16, m, 0.01): (300, _PUBLISHED) for m in (64, 256, 1024)},
    (32, 2048, 0.032): (100, _PUBLISHED),
}
"""(n, m, λ): the number of seeds, and the arms."""
_SIZES = ("n_features", "n_hidden", "l1")
_SETTINGS: dict[str, Any] = {"l1_update": "orthant", "stop": "certified", "steps": 200_000}
_FIRST = [(64, 128, 0.01)]


@dataclass(frozen=True)
class Favourites(Probe):
    """How many features were won by the neuron of their largest initial weight."""

    name = "optimizers"
    version = 2
    columns: ClassVar = {
        "features": Column("int64", "features represented at the end"),
        "favourites": Column("int64", "those on the neuron of their largest initial weight"),
    }

    def __call__(self, result: TrainingResult) -> dict[str, NDArray[Any]]:
        """The columns of a block."""
        start, end = np.abs(start_encoders(result)), np.abs(trained_weights(result))
        there = end.max(axis=-1) >= LOW
        won = (start.argmax(axis=-1) == end.argmax(axis=-1)) & there
        return {
            "features": there.sum(axis=1),
            "favourites": won.sum(axis=1),
        }


class Optimizers(AutoencoderQuestion):
    """The same initial weights, trained in several ways."""

    NAME = "optimizers"
    SUMMARY = "Train from the same weights with several optimisers, and compare the law's constant."
    FIGURE_SIZE = (7.0, 4.8)
    PRESETS: ClassVar[Presets] = {
        # Some minutes on two cores.
        "default": {**_SETTINGS, "seeds": 200, "cells": _FIRST},
        # Less than a minute.
        "quick": {**_SETTINGS, "seeds": 100, "cells": _FIRST, "ways": [*_EFFECTS, FLAT, ADAMW]},
        # The page of findings: two hours on two cores.
        "paper": {**_SETTINGS, "seeds": 3600, "cells": list(CELLS)},
        # A night: twice the size of the paper.
        "large": {
            **_SETTINGS,
            "seeds": 1000,
            "cells": _FIRST,
            "ways": [*_EFFECTS, FLAT],
            "n_features": 512,
            "n_hidden": 1024,
            "l1": 0.01,
        },
    }
    ALLOWED = ORTHANT
    PROBE = Favourites()
    LABELS = (*_SIZES, "way")
    SEEN: ClassVar = {"n": "n_features", "m": "n_hidden", "λ": "l1"}
    COLUMNS = ("steps_taken",)
    METRICS = (
        *("ratio", "favoured", "polysemantic", "signed_slots", "malign", "unrepresented"),
        *("steps_taken", "finished"),
    )
    METHOD = (
        f"Paired t tests from the same initial weights: number of shared neurons, relative to "
        f"{REFERENCE} or to the arm named, and share of features won by their largest initial "
        f"weight, relative to {REFERENCE}"
    )

    def most(self, config: Config, seeds: int) -> int:
        """At most the seeds of its cell."""
        cell = CELLS.get((config.n_features, config.n_hidden, config.l1))
        return seeds if cell is None else min(seeds, cell[0])

    def ways(self, settings: Fields, changes: Fields) -> Iterable[Fields]:
        """The arms of all cells; at sizes given otherwise, each arm once."""
        cells, named = settings.pop("cells"), settings.pop("ways", None)
        named = values_of(changes.pop("ways", named or list(WAYS)))
        named = [_checks.choice("ways", name, WAYS) for name in named]
        first = dict(zip(_SIZES, cells[0], strict=True))
        if "optimizer" in changes:
            return [{**first, **settings}]
        if not {*settings, *changes}.isdisjoint(_SIZES):
            arms = {name for cell in cells for name in CELLS[cell][1]}
            return [{**first, **settings, **WAYS[name]} for name in named if name in arms]
        return [
            {**dict(zip(_SIZES, cell, strict=True)), **WAYS[name]}
            for cell in cells
            for name in named
            if name in CELLS[cell][1]
        ]

    def labels(self, config: Config) -> dict[str, Any]:
        """Sizes, l1 and the way of training."""
        other = f"{config.optimizer} {config.learning_rate:g} {config.l1_update}"
        return super().labels(config) | {"way": name_of(config, WAYS, _USUAL) or other}

    def table(self, data: Answers) -> pd.DataFrame:
        """Means with 95 % intervals, one row per size, λ and way to train.

        ``ratio`` is the number of shared neurons divided by its mean in the null model,
        ``favoured`` the share of represented features won by the neuron of their largest initial
        weight, and ``finished`` the share of seeds certified before the last step (0 with the
        subgradient, which is never certified). ``null`` is the null model divided by n²/4m,
        ``strength`` λ√m, and ``pace`` the learning rate times √m.
        """
        from fastpolysem.families.autoencoder import theory

        means = super().table(Answers(measured(data.rows)))
        n, m = means["n_features"], means["n_hidden"]
        means = with_scales(means.assign(learning_rate=means["way"].map(_rate)))
        return means.assign(null=theory.null_mean(n, m) / theory.collision_law(n, m))

    def tests(self, data: Answers) -> list[Comparison]:
        """Does an arm change the number of shared neurons, or which neurons win?"""
        tests = []
        whole = Answers(measured(data.rows))
        for cell, rows in self.settings(whole.rows, _SIZES):
            arms = {way: whole.where(**cell, way=way) for way in rows["way"].unique()}
            where = "n = {n_features}, m = {n_hidden}, λ = {l1:g}".format(**cell)
            against = [(way, REFERENCE) for way in arms if way != REFERENCE]
            for way, other in [*against, (ADAM, SHORT), (ADAMW, ADAM)]:
                if way in arms and other in arms:
                    name = f"{where}: {written(way)}"
                    name += f" against {written(other)}" if other != REFERENCE else ""
                    tests.append(
                        compared_by_seed(name, arms[way], arms[other], "signed_slots", MARGIN)
                    )
            for way in (SCALAR, SHORT, ADAM, ADAMW):
                if way in arms and REFERENCE in arms:
                    name = f"{where}: {written(way)}, favourites"
                    both = (arms[way], arms[REFERENCE])
                    tests.append(compared_by_seed(name, *both, "favoured", SHARES, relative=False))
        return tests

    def say(self, data: Answers, outcome: str, judged: pd.DataFrame) -> str:
        """What SGD and Adam leave, and in how many cells each effect of Adam is found."""
        means = self.table(data)
        parts = []
        for way, title in ((REFERENCE, "SGD leaves"), (ADAM, "Adam")):
            here = means[(means["way"] == way) & (means["n_hidden"] == 2 * means["n_features"])]
            here = here[here["l1"] == 0.01]
            if len(here):
                at = ", ".join(f"{r.ratio:.2f} (n = {r.n_features})" for r in here.itertuples())
                parts.append(f"{title} {at}")
        first = (
            " and ".join(parts) + " of the shared neurons of the null model at m = 2n, λ = 0.01"
            if parts
            else ""
        )
        found = judged.assign(cell=judged["test"].str.split(": ", n=1).str[0])
        found["what"] = found["test"].str.split(": ", n=1).str[1]
        short, adam = written(SHORT), written(ADAM)
        said = [
            f"{title} in {_counted(found[found['what'] == what], sign)}"
            for what, title, sign in (
                (short, "normalisation by coordinate (β₂ = 0.9) lowers the count", -1),
                (written(SCALAR), "a scalar second moment does so", -1),
                (f"{adam} against {short}", "memory (β₂ = 0.999 against 0.9) raises it", 1),
                (f"{adam} against {short}", "it lowers it", -1),
                (f"{adam}, favourites", "Adam makes favourites lose", -1),
                (f"{short}, favourites", "β₂ = 0.9 does so", -1),
            )
            if (found["what"] == what).any()
        ]
        if outcome == WITHIN:
            nothing = "no arm differs by more than the margin."
            return f"{first}; {nothing}" if first else nothing.capitalize()
        return "; ".join(part for part in (first, *said) if part) + "."

    def tables(self, data: Answers) -> dict[str, str]:
        """``arms``: all arms where m = 2n and λ = 0.01. ``cells``: all sizes and λ."""
        means = self.table(data)
        double = means[(means["n_hidden"] == 2 * means["n_features"]) & (means["l1"] == 0.01)]
        sizes = sorted(double["n_features"].unique())
        head = ["arm", *(f"{what}, n = {n}" for what in ("ratio", "favourites") for n in sizes)]
        lines = []
        for way in WAYS:
            here = double[double["way"] == way].set_index("n_features")
            cells = [_cell(here, n, name) for name in ("ratio", "favoured") for n in sizes]
            lines.append([written(way), *cells])
        return {"arms": markdown(head, lines), "cells": self._cells(means)}

    def _cells(self, means: pd.DataFrame) -> str:
        arms = (REFERENCE, FLAT, SHORT, ADAM, ADAMW)
        lines = []
        for _, part in self.settings(means, _SIZES):
            here, one = part.set_index("way"), part.iloc[0]
            line = [f"{one['n_features']}", f"{one['n_hidden']}", f"{one['l1']:g}"]
            line += [f"{one['strength']:.2g}", f"{0.001 * one['n_hidden'] ** 0.5:.2g}"]
            seeds = part.loc[part["way"].isin(arms), "seeds"].min()
            line += [f"{one['n_features'] / one['n_hidden'] ** 0.5:.3g}", f"{seeds}"]
            line += [_cell(here, way, "ratio") for way in arms]
            line += [_cell(here, way, "favoured") for way in (REFERENCE, SHORT)]
            line.append(_cell(here, ADAM if ADAM in here.index else ADAMW, "favoured"))
            line.append(f"{part['unrepresented'].max():.2g}")
            lines.append(line)
        head = ["n", "m", "λ", "λ√m", "lr√m, Adam", "n/√m", "seeds", *map(written, arms)]
        head += [f"favourites, {written(way)}" for way in (REFERENCE, SHORT)]
        head.append("favourites, Adam or AdamW")
        return markdown([*head, "unrepresented, at most"], lines)

    def draw(self, data: Answers, ax: Axes | None = None) -> Axes:
        """Ratio to the null model and share of favourites of each arm, sizes side by side."""
        from fastpolysem import plots

        means = self.table(data)
        cells = means[list(_SIZES)].drop_duplicates()
        double = cells[(cells["n_hidden"] == 2 * cells["n_features"]) & (cells["l1"] == 0.01)]
        cells = (double if len(double) else cells).iloc[:4]
        axes = plots.panels(ax, 1, 2, self.FIGURE_SIZE, sharey=True)[0]
        ways = list(means.merge(cells)["way"].unique())
        ways.sort(key=lambda way: list(WAYS).index(way) if way in WAYS else len(WAYS))
        for index, cell in enumerate(cells.itertuples(index=False)):
            here = means.merge(cells.iloc[[index]])
            shift = 0.22 * (index - (len(cells) - 1) / 2)
            places = [ways.index(way) + shift for way in here["way"]]
            style: dict[str, Any] = {"fmt": "os^D"[index], "ms": 4, "color": plots.COLORS[index]}
            style["label"] = f"n = {cell.n_features}" + (
                "" if len(double) else f", m = {cell.n_hidden}, λ = {cell.l1:g}"
            )
            for each, name in zip(axes, ("ratio", "favoured"), strict=True):
                each.errorbar(here[name], places, xerr=bars(here, name), lw=1.2, **style)
        axes[0].axvline(1, color="#666666", lw=1)
        axes[0].set(xlabel="shared neurons over\nthe null model")
        axes[1].set(xlabel="share of features won by\ntheir largest initial weight")
        axes[1].set_xlim(left=0)
        axes[0].set_yticks(range(len(ways)), [*map(written, ways)])
        axes[0].set(ylim=(len(ways) - 0.4, -0.6), ylabel="arm")
        axes[1].legend(frameon=False, fontsize="small", loc="lower right", bbox_to_anchor=(1, 0.13))
        return ax or axes[0]


def measured(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with ``ratio``, the shared neurons over the null model, and ``favoured``, the share
    of represented features won by the neuron of their largest initial weight."""
    from fastpolysem.families.autoencoder import theory

    null = theory.null_mean(rows["n_features"], rows["n_hidden"])
    shares = rows["favourites"] / rows["features"].where(rows["features"] > 0)
    return rows.assign(ratio=rows["signed_slots"] / null, favoured=shares)


def _cell(table: pd.DataFrame, row: Any, name: str) -> str:
    """A mean with its interval, or a hyphen where there is none."""
    return interval(table.loc[row], name, least=0) if row in table.index else "-"


def _rate(way: str) -> float:
    """The learning rate of an arm; of one without a name, it is part of the label."""
    rate = WAYS[way].get("learning_rate", 1e-3) if way in WAYS else way.split()[1]
    return float(rate)


def _counted(tests: pd.DataFrame, sign: int) -> str:
    """In how many tests there is an effect of this sign."""
    found = (tests["outcome"] == EFFECT) & (np.sign(tests["difference"]) == sign)
    return f"{found.sum()} of {len(tests)} cells"


EXPERIMENT = Optimizers()
