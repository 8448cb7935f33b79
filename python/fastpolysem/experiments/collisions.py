"""How many neurons end up polysemantic by accident, as the number of neurons grows.

The paper's main figure: counts against the collision law n²/(4m). The presets differ in size only;
seeds, sizes and every setting can be changed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastpolysem.experiments import study_of

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from fastpolysem.studies import Study

NAME = "collisions"
SUMMARY = "Count polysemantic neurons for a growing number of neurons, against the law n²/4m."
FIGURE_SIZE = (6.4, 4.4)
PRESETS: dict[str, dict[str, Any]] = {
    # A minute and a half on two cores.
    "default": {
        "seeds": 128,
        "n_features": 64,
        "n_hidden": [64, 128, 256, 512],
        "l1": 1e-3,
    },
    # Some seconds.
    "quick": {
        "seeds": 100,
        "n_features": 32,
        "n_hidden": [32, 64, 128, 256],
        "l1": 1e-3,
    },
    # The published figure.
    "paper": {
        "seeds": 16,
        "n_features": 256,
        "n_hidden": range(256, 4097, 256),
        "l1": 1e-3,
    },
    # Hours.
    "large": {
        "seeds": 1000,
        "n_features": 256,
        "n_hidden": [256, 512, 1024, 1536, 2048, 3072, 4096],
        "l1": 1e-3,
        "l1_update": "orthant",
    },
}


configs, run = study_of(PRESETS)


def table(data: Study) -> pd.DataFrame:
    """Mean counts with 95 % intervals, the law and the null model, one row a configuration."""
    return data.summary().drop(columns=["loss", "benign", "malign", "digest"])


def rows(data: Study) -> pd.DataFrame:
    """One row a seed."""
    return data.seeds()


def draw(data: Study, ax: Axes | None = None) -> Axes:
    """Mean counts against the number of neurons."""
    from fastpolysem import plots

    return plots.collisions(data, ax)
