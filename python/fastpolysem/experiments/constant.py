"""How many neurons are polysemantic under gradient descent, relative to the null model?

The null model places features on neurons and signs at random, without training. Here the ratio R of
the mean count to its mean (`theory.null_mean`) is measured under gradient descent with orthant-wise
l1. It is a function of n, m and λ. The grid varies n and m at fixed strengths λ√m, because the
initial weights are of size 1/√m, so that λ√m is the initial ratio of the force of l1 to all others.

Fixed before results were seen: the cells and their numbers of seeds (`CELLS`, `planned`), and the
test whether R depends on one variable only (`collapses`), a weighted least-squares fit of a cubic
in the logarithm of n/√m, of n/m, of n and of m at the same λ√m, judged by its χ².
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np

from fastpolysem.experiments._answers import Answers, rows_of
from fastpolysem.experiments._base import (
    Fields,
    Presets,
    TrainingExperiment,
    measure,
    values_of,
    with_interval,
)
from fastpolysem.experiments._drawing import points
from fastpolysem.families.autoencoder import theory
from fastpolysem.families.autoencoder.config import Config

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from fastpolysem.studies import Study

RATE = 0.06
"""Learning rate; a third of it changes no conclusion (`SLOW`)."""
SLOW = 0.02
STRENGTH = 0.24
"""λ√m of the whole grid; it is varied on part of it."""
EVENTS = 6000
"""Number of polysemantic neurons that a cell is to contain, if it can be afforded: the relative
standard error is then about 1 %."""
WORK = 2.5e8
"""Largest n m^1.5 / (λ√m) times seeds of a cell, which is proportional to its time."""
MOST = 100_000
"""Largest number of seeds of a cell."""
_SMALL = [(4, 16), (8, 16), (16, 16), (8, 32), (16, 32), (32, 32)]
_MIDDLE = [(4, 64), (8, 64), (16, 64), (32, 64), (64, 64), (64, 128), (128, 128)]
_LARGE = [(16, 128), (32, 128), (16, 256), (32, 256), (64, 256), (128, 256), (256, 256)]
_LARGE += [(128, 512), (256, 512)]


def _cells(pairs: list[tuple[int, int]], strength: float, rate: float = RATE) -> list[Any]:
    return [(n, m, strength, rate) for n, m in pairs]


CELLS = [
    *_cells([(2, 2), (2, 4), (2, 16), (2, 64), *_SMALL, *_MIDDLE, *_LARGE], STRENGTH),
    *_cells([(2, 2), (2, 4), *_SMALL, *_MIDDLE], 0.08),
    *_cells([(2, 2), (2, 4), *_SMALL, *_MIDDLE], 0.72),
    *_cells([(16, 64), (32, 64), (64, 64)], STRENGTH, SLOW),
]
"""(n, m, λ√m, learning rate): n/√m = 0.5 … 16 in powers of √2, n ≤ m, and pairs of features."""
_LABELS = ["n_features", "n_hidden", "strength", "learning_rate"]
_RESULTS = ["polysemantic", "signed_slots", "malign", "unrepresented", "certified", "diverged"]
_SETTINGS: dict[str, Any] = {
    "optimizer": "sgd",
    "l1_update": "orthant",
    "stop": "certified",
}


def planned(config: Config) -> int:
    """The number of seeds that a cell is to have."""
    n, m = config.n_features, config.n_hidden
    strength = config.l1 * math.sqrt(m) * config.learning_rate / RATE
    enough = EVENTS / float(theory.null_mean(n, m))
    affordable = WORK * strength / (n * m**1.5)
    return max(4, int(min(enough, affordable, MOST)))


class Collapse(NamedTuple):
    """How well a cubic in the logarithm of one variable describes the cells at one strength."""

    variable: str
    chi_square: float
    degrees: int


class Constant(TrainingExperiment[Answers]):
    """R on a grid of n, m and λ√m."""

    NAME = "constant"
    SUMMARY = "Measure the count under gradient descent over that of the null model."
    FIGURE_SIZE = (10.0, 4.4)
    PRESETS: ClassVar[Presets] = {
        # A minute on two cores.
        "default": {**_SETTINGS, "seeds": 2000, "cells": _cells(_SMALL + _MIDDLE, STRENGTH)},
        # Ten seconds.
        "quick": {
            **_SETTINGS,
            "seeds": 400,
            "cells": _cells([(8, 16), (16, 16), (8, 64), (16, 64), (32, 64)], STRENGTH),
        },
        # The page of findings: some five minutes.
        "paper": {**_SETTINGS, "seeds": MOST, "cells": CELLS},
        "large": {
            **_SETTINGS,
            "seeds": MOST,
            "cells": [*CELLS, *_cells(_LARGE, 0.08), *_cells(_LARGE, 0.72)],
        },
    }

    def ways(self, settings: Fields, changes: Fields) -> Iterable[Fields]:
        """Cells, or all combinations of the fields given instead of them."""
        cells = settings.pop("cells")
        names = ("n_features", "n_hidden", "l1", "learning_rate")
        given = {name: values_of(changes.pop(name)) for name in names if name in changes}
        if given:
            rates = given.get("learning_rate", [RATE])
            sizes = itertools.product(given.get("n_features", [16]), given.get("n_hidden", [64]))
            cells = [(n, m, STRENGTH, rate) for n, m in sizes for rate in rates]
        return [
            _way(n, m, l1, rate)
            for n, m, strength, rate in cells
            for l1 in given.get("l1", [strength / math.sqrt(m)])
        ]

    def _collected(self, configs: list[Config], seeds: int, **options: Any) -> Answers:
        import pandas as pd

        parts = []
        for config in configs:  # each on its own, as their numbers of seeds differ
            parts.append(self._data(measure([config], min(seeds, planned(config)), **options)))
            if parts[-1].interrupted:
                break
        rows = pd.concat([part.rows for part in parts], ignore_index=True)
        return Answers(rows, parts[-1].interrupted)

    def _data(self, study: Study) -> Answers:
        import pandas as pd

        rows = [_outcomes(study, config) for config in study.configs]
        return Answers(pd.concat(rows, ignore_index=True), study.interrupted)

    def rows(self, data: Answers) -> pd.DataFrame:
        """One row per distinct outcome of a configuration, with its number of ``seeds``."""
        return data.rows

    def table(self, data: Answers) -> pd.DataFrame:
        """R with 95 % intervals, one row per configuration.

        ``ratio`` is the mean number of polysemantic neurons (the paper's rule) over the null
        model's mean, ``shared_ratio`` that of shared neurons, counted without a threshold.
        ``x`` is n/√m, ``strength`` λ√m. ``dispersion`` is variance over mean of the count.
        """
        import pandas as pd

        from fastpolysem import statistics

        table = []
        for key, group in data.rows.groupby(_LABELS, sort=False):
            row: dict[str, Any] = dict(zip(_LABELS, key, strict=True))
            n, m = row["n_features"], row["n_hidden"]
            null = float(theory.null_mean(n, m))
            valid = group[~group["diverged"]]
            row |= {"x": n / math.sqrt(m), "null_mean": null, "seeds": group["seeds"].sum()}
            for name, column in (("ratio", "polysemantic"), ("shared_ratio", "signed_slots")):
                counts = np.repeat(valid[column].to_numpy(np.float64), valid["seeds"])
                row |= with_interval(name, statistics.mean(counts / null))
                row[f"{name}_error"] = counts.std(ddof=1) / null / math.sqrt(max(len(counts), 1))
                if name == "ratio":
                    mean = counts.mean()
                    row["dispersion"] = counts.var(ddof=1) / mean if mean else np.nan
            for name in ("malign", "unrepresented"):
                row[name] = np.average(valid[name], weights=valid["seeds"])
            row["uncertified"] = group["seeds"][~group["certified"]].sum()
            row["diverged"] = group["seeds"][group["diverged"]].sum()
            table.append(row)
        return pd.DataFrame(table)

    def draw(self, data: Answers, ax: Axes | None = None) -> Axes:
        """R against n/√m: by width at one strength, and by strength at one width."""
        from fastpolysem import plots

        table = self.table(data)
        table = table[table["learning_rate"] == table["learning_rate"].max()]
        left, right = plots.panels(ax, 1, 2, self.FIGURE_SIZE, sharey=True)[0]
        first = table["strength"].iloc[0]
        _lines(left, table[table["strength"] == first], "n_hidden", "m = {}")
        left.set_title(f"λ√m = {first:g}", fontsize="medium")
        widths = table.groupby("n_hidden")["strength"].nunique()
        width = int(widths[widths == widths.max()].index.max())
        _lines(right, table[table["n_hidden"] == width], "strength", "λ√m = {:g}")
        right.set_title(f"m = {width}", fontsize="medium")
        left.set_ylabel("polysemantic neurons over\nthe null model's mean, R")
        return ax or left


def _way(n: int, m: int, l1: float, rate: float) -> Fields:
    # Some ten times what a typical seed needs.
    steps = int(min(40 / max(l1 * rate, 1e-9), 2_000_000))
    return {"n_features": n, "n_hidden": m, "l1": l1, "learning_rate": rate, "steps": steps}


def _lines(ax: Axes, table: pd.DataFrame, by: str, label: str) -> None:
    from fastpolysem import plots

    for index, (value, part) in enumerate(table.groupby(by)):
        part = part.sort_values("x")
        style: dict[str, Any] = {
            "color": plots.COLORS[index % 8],
            "marker": plots.MARKERS[index % 8],
        }
        style |= {"ls": plots.DASHES[index % 8], "ms": 4, "lw": 1.2, "capsize": 2}
        points(ax, part["x"], part, "ratio", label=label.format(value), **style)
    ax.axhline(1, color="#666666", lw=1, ls=":", label="null model")
    ax.set(xscale="log", xlabel="n / √m")
    ax.legend(frameon=False, fontsize="small")


def _outcomes(study: Study, config: Config) -> pd.DataFrame:
    """The distinct outcomes of a configuration, with their numbers of seeds."""
    columns = ["polysemantic", "signed_slots", "malign", "unrepresented", "steps_taken"]
    labels = {
        "n_features": config.n_features,
        "n_hidden": config.n_hidden,
        "strength": round(config.l1 * math.sqrt(config.n_hidden), 6),
        "learning_rate": config.learning_rate,
    }
    rows = rows_of(study, config, labels, columns)
    rows["certified"] = rows["steps_taken"] < config.steps
    counted = rows.groupby([*_LABELS, *_RESULTS], as_index=False).size()
    return counted.rename(columns={"size": "seeds"})


def collapses(table: pd.DataFrame, strength: float, densest: float = 1.0) -> list[Collapse]:
    """The χ² of R as a cubic in the logarithm of one variable, for the cells of one strength.

    Of the cells with n/√m >= 1 and n/m <= ``densest``.
    """
    cells = table[(table["strength"] == strength) & (table["learning_rate"] == RATE)]
    cells = cells[(cells["x"] >= 1) & (cells["n_features"] > 2)]
    cells = cells[cells["n_features"] <= densest * cells["n_hidden"]]
    n, m = cells["n_features"].to_numpy(float), cells["n_hidden"].to_numpy(float)
    error = cells["shared_ratio_error"].to_numpy()
    found = []
    for name, variable in (("n/√m", n / np.sqrt(m)), ("n/m", n / m), ("n", n), ("m", m)):
        terms = np.vander(np.log(variable), 4) / error[:, np.newaxis]
        value = cells["shared_ratio"].to_numpy() / error
        fit, _, rank, _ = np.linalg.lstsq(terms, value, rcond=None)
        chi_square = float(((value - terms @ fit) ** 2).sum())
        found.append(Collapse(name, chi_square, len(cells) - int(rank)))
    return found


EXPERIMENT = Constant()
