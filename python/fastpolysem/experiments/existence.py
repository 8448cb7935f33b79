"""Are there polysemantic neurons even if every feature could have many neurons of its own?

The first experiment of the paper's companion notebook, which ran each width once. The notebook
averages the loss where `Config` sums it, so that its l1 of 1e-3 is 32 times 1e-3 = 0.032 here. This
is strong compared with the small initial weights of the widest models, for which the collision law
does not hold.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from fastpolysem.experiments._base import Presets, StudyExperiment
from fastpolysem.experiments._drawing import counts_above_losses

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from fastpolysem.studies import Study

_SETTINGS: dict[str, Any] = {"n_features": 32, "l1": 0.032, "steps": 10_000}
_PAPER = [2**k for k in range(5, 17)]
PUBLISHED = dict(zip(_PAPER, (7, 2, 1, 0, 0, 0, 2, 3, 2, 1, 2, 0), strict=True))
"""Polysemantic neurons in the notebook's single run at each width."""


class Existence(StudyExperiment):
    """Counts with an abundance of neurons, and the notebook's single runs."""

    NAME = "existence"
    SUMMARY = "Look for polysemantic neurons with up to 2048 neurons per feature."
    FIGURE_SIZE = (6.4, 6.4)
    PRESETS: ClassVar[Presets] = {
        # About ten minutes on two cores.
        "default": {"seeds": 50, "n_hidden": [2**k for k in range(5, 15)], **_SETTINGS},
        # A few seconds.
        "quick": {"seeds": 20, "n_hidden": [2**k for k in range(5, 12)], **_SETTINGS},
        # The notebook's.
        "paper": {"seeds": 1, "n_hidden": _PAPER, **_SETTINGS},
        # Hours.
        "large": {"seeds": 1000, "n_hidden": _PAPER, "l1_update": "orthant", **_SETTINGS},
    }

    def table(self, data: Study) -> pd.DataFrame:
        """Mean counts with 95 % intervals, published single runs, the law and lost features, one
        row per configuration."""
        table, run = super().table(data), self.configs("paper")
        published = [
            PUBLISHED.get(config.n_hidden, np.nan) if config in run else np.nan
            for config in data.configs
        ]
        table.insert(int(table.columns.get_loc("mean")), "published", published)
        return table

    def draw(self, data: Study, ax: Axes | None = None) -> Axes:
        """Mean counts and the published ones, above the share of lost features."""
        from fastpolysem import plots

        axes = plots.panels(ax, 2, 1, self.FIGURE_SIZE, sharex=True, height_ratios=[3, 1])
        upper, lower = axes[:, 0]
        run = self.configs("paper")
        widths = [config.n_hidden for config in data.configs if config in run]
        if widths:
            style: dict[str, Any] = {"ls": "", "marker": "x", "color": "black", "ms": 6}
            label = "published (one run each)"
            upper.plot(widths, [PUBLISHED[m] for m in widths], label=label, zorder=5, **style)
        counts_above_losses(data, upper, lower)
        return ax or upper


EXPERIMENT = Existence()
