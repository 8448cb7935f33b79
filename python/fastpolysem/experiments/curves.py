"""How the strength of l1 changes the number of polysemantic neurons.

Counts against the number of neurons for several strengths, with the spread between seeds, and
beside them the features that are lost where l1 is too strong.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from fastpolysem.config import Config
from fastpolysem.experiments import grid_of

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from fastpolysem.studies import Progress, Study

NAME = "curves"
SUMMARY = "Count polysemantic neurons for several strengths of l1, with the spread between seeds."
FIGURE_SIZE = (6.4, 6.4)
PERCENTILES = (15, 85)

_L1 = [1e-3, 1e-2, 1e-1]
PRESETS: dict[str, dict[str, Any]] = {
    # About three minutes on two cores.
    "default": {
        "seeds": 100,
        "n_features": 64,
        "n_hidden": [64, 128, 256, 512, 1024],
        "l1": _L1,
    },
    # Some seconds.
    "quick": {
        "seeds": 50,
        "n_features": 32,
        "n_hidden": [32, 64, 128, 256],
        "l1": _L1,
    },
    # The published figure.
    "paper": {
        "seeds": 16,
        "n_features": 256,
        "n_hidden": range(256, 4097, 256),
        "l1": _L1,
    },
    # Hours on two cores.
    "large": {
        "seeds": 1000,
        "n_features": 256,
        "n_hidden": [256, 512, 1024, 2048, 4096],
        "l1": _L1,
        "l1_update": "orthant",
    },
}


def configs(preset: str = "default", **changes: Any) -> list[Config]:
    """The configurations of a preset; a list in ``changes`` gives several values of a field."""
    return grid_of(PRESETS, preset, changes)


def run(
    preset: str = "default",
    *,
    seeds: int | None = None,
    path: str | os.PathLike[str] | None = None,
    num_threads: int | None = None,
    progress: bool | Callable[[Progress], object] | None = None,
    **changes: Any,
) -> Study:
    """Train what is missing in ``path``, or everything without one."""
    from fastpolysem.studies import collect

    return collect(
        configs(preset, **changes),
        seeds=PRESETS[preset]["seeds"] if seeds is None else seeds,
        path=path,
        num_threads=num_threads,
        progress=progress,
    )


def table(data: Study) -> pd.DataFrame:
    """Means with 95 % intervals, percentiles over seeds and features lost, one row a
    configuration."""
    import numpy as np

    summary = data.summary()
    values = [data.values(digest) for digest in summary["digest"]]
    place = summary.columns.get_loc("collision_law")
    for percentile in (PERCENTILES[1], 50, PERCENTILES[0]):
        column = [np.percentile(one, percentile) if len(one) else np.nan for one in values]
        summary.insert(place, f"p{percentile}", column)
    return summary.drop(columns=["loss", "benign", "malign", "digest"])


def rows(data: Study) -> pd.DataFrame:
    """One row a seed."""
    return data.seeds()


def draw(data: Study, ax: Axes | None = None) -> Axes:
    """Counts with percentiles of the seeds, above the share of features that are lost."""
    from fastpolysem import plots

    upper, lower = plots.panels(ax, 2, 1, FIGURE_SIZE, sharex=True, height_ratios=[3, 1])[:, 0]
    plots.collisions(data, upper, band=PERCENTILES)
    upper.set_xlabel("")
    plots.unrepresented(data, lower)
    lower.get_legend().remove()
    return ax or upper
