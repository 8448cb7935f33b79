"""How many neurons are polysemantic under gradient descent, relative to the null model?

The null model places features on neurons and signs at random, without training. Here the ratio R of
the mean count to its mean (`theory.null_mean`) is measured under gradient descent with orthant-wise
l1. It is a function of n, m and λ. The grid varies n and m at fixed strengths λ√m, because the
initial weights are of size 1/√m, so that λ√m is the initial ratio of the force of l1 to all others.

Fixed before results of the grid were seen: its sizes, and the test whether R depends on one
variable only (`collapses`), a weighted least-squares fit of a cubic in the logarithm of n/√m, of
n/m, of n and of m at the same λ√m, judged by its χ². The numbers of seeds were chosen by time.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastpolysem import _checks
from fastpolysem.experiments._answers import Answers, rows_of
from fastpolysem.experiments._base import (
    ORTHANT,
    Fields,
    Presets,
    Training,
    TrainingExperiment,
    check_distinguished,
    measure,
    values_of,
    whole,
    with_interval,
)
from fastpolysem.experiments._drawing import points
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
BOTH = "n/√m and n/m"
MOST = 100_000
"""Largest number of seeds of a cell."""


def _cells(seeds: dict[tuple[int, int], int], strength: float, rate: float = RATE) -> list[Any]:
    return [(n, m, strength, rate, count) for (n, m), count in seeds.items()]


_PAIRS = {(2, 2): 18_000, (2, 4): 42_000}
_SMALL = {
    (4, 16): 31_000,
    (8, 16): 6642,
    (16, 16): 1550,
    (8, 32): 13_500,
    (16, 32): 3150,
    (32, 32): 762,
}
_MIDDLE = {(8, 64): 26_367, (16, 64): 6350, (32, 64): 1536, (64, 64): 377, (128, 128): 188}
_LARGE = {
    (2, 16): MOST,
    (2, 64): MOST,
    (4, 64): 52_734,
    (16, 128): 20_000,
    (32, 128): 5000,
    (64, 128): 1500,
}
_WIDE = {
    (32, 256): 10_000,
    (64, 256): 3000,
    (128, 256): 600,
    (256, 256): 100,
    (64, 512): 3500,
    (128, 512): 1000,
    (256, 512): 200,
    (64, 1024): 2000,
    (128, 1024): 1000,
    (256, 1024): 250,
}
"""Wider layers, added after the others had been seen; enough seeds for standard errors near 1 %."""
_WEAK = {
    (2, 2): 18_000,
    (2, 4): 20_000,
    (4, 16): 10_000,
    (8, 16): 5000,
    (16, 16): 1550,
    (8, 32): 3000,
    (16, 32): 2000,
    (32, 32): 700,
    (16, 64): 600,
    (32, 64): 400,
    (64, 64): 150,
    (128, 128): 20,
}
CELLS = [
    *_cells({**_PAIRS, **_SMALL, **_MIDDLE, **_LARGE, **_WIDE}, STRENGTH),
    *_cells({**_PAIRS, **_SMALL, **_MIDDLE, (8, 64): 10_000}, 0.72),
    *_cells(_WEAK, 0.08),
    *_cells({(16, 64): 600, (32, 64): 400, (64, 64): 100}, STRENGTH, SLOW),
]
"""(n, m, λ√m, learning rate, seeds): n/√m = 0.25 … 16 in powers of √2 where n > 2, n ≤ m."""
_LABELS = ["n_features", "n_hidden", "strength", "learning_rate"]
_RESULTS = ["polysemantic", "signed_slots", "malign", "unrepresented", "certified", "diverged"]
_SETTINGS: dict[str, Any] = {
    "optimizer": "sgd",
    "l1_update": "orthant",
    "stop": "certified",
}


def planned(config: Config) -> int:
    """The number of seeds of a cell; `MOST` if it is not among the `CELLS`."""
    seeds: dict[Any, int] = {cell[:4]: cell[4] for cell in CELLS}
    strength = round(config.l1 * math.sqrt(config.n_hidden), 6)
    return seeds.get((config.n_features, config.n_hidden, strength, config.learning_rate), MOST)


class Collapse(NamedTuple):
    """How well a cubic in the logarithm of one variable describes the cells at one strength."""

    variable: str
    chi_square: float
    degrees: int
    fit: NDArray[np.float64]
    """Of the powers 3 to 0 of the logarithm, and of n/m."""


class Constant(TrainingExperiment[Answers]):
    """R on a grid of n, m and λ√m."""

    NAME = "constant"
    SUMMARY = "Measure the count under gradient descent relative to that of the null model."
    FIGURE_SIZE = (10.0, 4.4)
    PRESETS: ClassVar[Presets] = {
        # A minute on two cores.
        "default": {**_SETTINGS, "seeds": 2000, "cells": _cells({**_SMALL, **_MIDDLE}, STRENGTH)},
        # Ten seconds.
        "quick": {
            **_SETTINGS,
            "seeds": 400,
            "cells": [cell for cell in CELLS if cell[0] >= 8 and cell[1] <= 64][:6],
        },
        # The page of findings: twenty minutes on two cores.
        "paper": {**_SETTINGS, "seeds": MOST, "cells": CELLS},
        # Ten times the seeds: hours.
        "large": {**_SETTINGS, "seeds": 10 * MOST, "cells": CELLS},
    }

    ALLOWED: ClassVar = {**ORTHANT, "n_features": whole((">=", 2))}

    def check(self, config: Config) -> None:
        """Refuse sizes for which there is no null model."""
        n, m = config.n_features, config.n_hidden
        if n > 2 * m:
            raise _checks.refused("constant: n_hidden", f">= {n}/2 with n_features={n}", m)

    def configs(self, preset: str = "default", **changes: Any) -> list[Config]:
        """The configurations of a preset, which differ in their sizes, λ√m and learning rate."""
        configs = super().configs(preset, **changes)
        keys = [tuple(_labels(config).values()) for config in configs]
        check_distinguished(self.NAME, ["l1", *_LABELS], keys, configs, changes)
        return configs

    def ways(self, settings: Fields, changes: Fields) -> Iterable[Fields]:
        """Cells, or all combinations of the fields given instead of them."""
        cells = settings.pop("cells")
        names = ("n_features", "n_hidden", "l1", "learning_rate")
        given = {name: values_of(changes.pop(name)) for name in names if name in changes}
        if given:
            rates = given.get("learning_rate", [RATE])
            sizes = itertools.product(given.get("n_features", [16]), given.get("n_hidden", [64]))
            cells = [(n, m, STRENGTH, rate, MOST) for n, m in sizes for rate in rates]
        return [
            _way(n, m, l1, rate)
            for n, m, strength, rate, _ in cells
            for l1 in given.get("l1", [strength / math.sqrt(m)])
        ]

    def training(self, configs: list[Config], seeds: int) -> Training:
        """Each configuration on its own, as their numbers of seeds differ."""
        times = max(1, seeds // MOST)
        return [([config], min(seeds, times * planned(config))) for config in configs]

    def _collected(self, configs: list[Config], seeds: int, **options: Any) -> Answers:
        import pandas as pd

        parts = []
        for chosen, count in self.training(configs, seeds):
            parts.append(self._data(measure(chosen, count, **options)))
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
        from fastpolysem.families.autoencoder import theory

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

    def tables(self, data: Answers) -> dict[str, str]:
        """Markdown tables of the experiment's page, by the name of their place on it."""
        from fastpolysem.experiments import _constant_tables

        return _constant_tables.tables(self.table(data))

    def draw(self, data: Answers, ax: Axes | None = None) -> Axes:
        """R against n/√m: by width at one strength, with its limit in wide layers, and by strength
        at one width. Widths with one cell are left out."""
        from fastpolysem import plots

        table = self.table(data)
        table = table[table["learning_rate"] == table["learning_rate"].max()]
        left, right = plots.panels(ax, 1, 2, self.FIGURE_SIZE, sharey=True)[0]
        first = table["strength"].iloc[0]
        *_, limit = collapses(table, first, 0.5)
        if limit.degrees > 0:
            x = np.geomspace(1, table["x"][table["n_features"] * 2 <= table["n_hidden"]].max(), 50)
            curve = np.polyval(limit.fit[:-1], np.log(x))
            left.plot(x, curve, color="#999999", lw=2.5, label="fit, m → ∞")
        several = table[table["strength"] == first].groupby("n_hidden").filter(lambda p: len(p) > 1)
        _lines(left, several if len(several) else table, "n_hidden", "m = {}")
        left.set_title(f"λ√m = {first:g}", fontsize="medium")
        varied = table[table["strength"] != first]
        width = int((varied if len(varied) else table)["n_hidden"].value_counts().idxmax())
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
        style = {**plots.look(index), "ms": 4, "lw": 1.2, "capsize": 2}
        points(ax, part["x"], part, "ratio", label=label.format(value), **style)
    ax.axhline(1, color="#666666", lw=1, ls=":", label="null model")
    ax.set(xscale="log", xlabel="n/√m")
    low, high = table["x"].min(), table["x"].max()
    ticks = [2.0**k for k in range(-3, 10) if low / 1.1 <= 2.0**k <= high * 1.1]
    if len(ticks) > 1:
        ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        ax.minorticks_off()
    ax.legend(frameon=False, fontsize="small")


def _labels(config: Config) -> dict[str, Any]:
    return {
        "n_features": config.n_features,
        "n_hidden": config.n_hidden,
        "strength": round(config.l1 * math.sqrt(config.n_hidden), 6),
        "learning_rate": config.learning_rate,
    }


def _outcomes(study: Study, config: Config) -> pd.DataFrame:
    """The distinct outcomes of a configuration, with their numbers of seeds."""
    columns = ["polysemantic", "signed_slots", "malign", "unrepresented", "steps_taken"]
    rows = rows_of(study, config, _labels(config), columns)
    rows["certified"] = rows["steps_taken"] < config.steps
    counted = rows.groupby([*_LABELS, *_RESULTS], as_index=False).size()
    return counted.rename(columns={"size": "seeds"})


def collapses(table: pd.DataFrame, strength: float, densest: float = 1.0) -> list[Collapse]:
    """The χ² of R as a cubic in the logarithm of one variable, for the cells of one strength.

    Of the cells with n/√m >= 1 and n/m <= ``densest`` whose seeds differ. The last one is the cubic
    of n/√m plus a multiple of n/m, which is what a finite width adds if the correction falls as
    1/√m.
    """
    cells = table[(table["strength"] == strength) & (table["learning_rate"] == RATE)]
    cells = cells[(cells["x"] >= 1) & (cells["n_features"] > 2)]
    cells = cells[cells["shared_ratio_error"] > 0]
    cells = cells[cells["n_features"] <= densest * cells["n_hidden"]]
    n, m = cells["n_features"].to_numpy(float), cells["n_hidden"].to_numpy(float)
    error = cells["shared_ratio_error"].to_numpy()
    cubics = {
        name: np.vander(np.log(variable), 4)
        for name, variable in (("n/√m", n / np.sqrt(m)), ("n/m", n / m), ("n", n), ("m", m))
    }
    cubics[BOTH] = np.column_stack([cubics["n/√m"], n / m])
    found = []
    for name, cubic in cubics.items():
        terms = cubic / error[:, np.newaxis]
        value = cells["shared_ratio"].to_numpy() / error
        fit, _, rank, _ = np.linalg.lstsq(terms, value, rcond=None)
        chi_square = float(((value - terms @ fit) ** 2).sum())
        found.append(Collapse(name, chi_square, len(cells) - int(rank), fit))
    return found


EXPERIMENT = Constant()
