"""How the strength of l1 changes the number of polysemantic neurons.

Counts against the number of neurons for several strengths, with the spread between seeds, and
beside them the features that are lost where l1 is too strong.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastpolysem.experiments import study_of

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from fastpolysem.studies import Study

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


configs, run = study_of(PRESETS)


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
