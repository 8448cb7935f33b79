"""How does the strength of l1 change the number of polysemantic neurons?

Counts against the number of neurons for several strengths of l1, with the spread between seeds, and
the features that are lost if l1 is too strong.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from fastpolysem.experiments._base import Presets, StudyExperiment
from fastpolysem.experiments._drawing import counts_above_losses

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from fastpolysem.studies import Study

PERCENTILES = (15, 85)

_L1 = [1e-3, 1e-2, 1e-1]


class Curves(StudyExperiment):
    """Counts for several strengths of l1."""

    NAME = "curves"
    SUMMARY = (
        "Count polysemantic neurons for several strengths of l1, with the spread between seeds."
    )
    FIGURE_SIZE = (6.4, 6.4)
    PRESETS: ClassVar[Presets] = {
        # About three minutes on two cores.
        "default": {
            "seeds": 100,
            "n_features": 64,
            "n_hidden": [64, 128, 256, 512, 1024],
            "l1": _L1,
        },
        # A few seconds.
        "quick": {"seeds": 50, "n_features": 32, "n_hidden": [32, 64, 128, 256], "l1": _L1},
        # The published figure.
        "paper": {"seeds": 16, "n_features": 256, "n_hidden": range(256, 4097, 256), "l1": _L1},
        # Hours on two cores.
        "large": {
            "seeds": 1000,
            "n_features": 256,
            "n_hidden": [256, 512, 1024, 2048, 4096],
            "l1": _L1,
            "l1_update": "orthant",
        },
    }

    def table(self, data: Study) -> pd.DataFrame:
        """Means with 95 % intervals, percentiles over seeds and lost features, one row per
        configuration."""
        table = super().table(data)
        counts = [data.values(config) for config in data.configs]
        place = table.columns.get_loc("collision_law")
        for percentile in (PERCENTILES[1], 50, PERCENTILES[0]):
            column = [np.percentile(each, percentile) if len(each) else np.nan for each in counts]
            table.insert(place, f"p{percentile}", column)
        return table

    def draw(self, data: Study, ax: Axes | None = None) -> Axes:
        """Counts with percentiles over seeds, above the share of lost features."""
        from fastpolysem import plots

        axes = plots.panels(ax, 2, 1, self.FIGURE_SIZE, sharex=True, height_ratios=[3, 1])
        counts_above_losses(data, *axes[:, 0], band=PERCENTILES)
        return ax or axes[0, 0]


EXPERIMENT = Curves()
