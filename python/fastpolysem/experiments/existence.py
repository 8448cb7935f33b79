"""Are there polysemantic neurons although every feature could have many neurons to itself?

The first experiment of the paper's companion notebook, which ran each width once. It averages the
loss where `Config` sums it: its l1 of 1e-3 is 32 times 1e-3 = 0.032 here. For start weights as
small as those of the widest models that is a lot, and the collision law does not hold there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastpolysem.config import Config
from fastpolysem.experiments import study_of

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from fastpolysem.studies import Study

NAME = "existence"
SUMMARY = "Look for polysemantic neurons where there are up to 2048 neurons for each feature."
FIGURE_SIZE = (6.4, 6.4)

_SETTINGS: dict[str, Any] = {"n_features": 32, "l1": 0.032, "steps": 10_000}
PRESETS: dict[str, dict[str, Any]] = {
    # About ten minutes on two cores.
    "default": {"seeds": 50, "n_hidden": [2**k for k in range(5, 15)], **_SETTINGS},
    # Some seconds.
    "quick": {"seeds": 20, "n_hidden": [2**k for k in range(5, 12)], **_SETTINGS},
    # The notebook's.
    "paper": {"seeds": 1, "n_hidden": [2**k for k in range(5, 17)], **_SETTINGS},
    # Hours.
    "large": {
        "seeds": 1000,
        "n_hidden": [2**k for k in range(5, 17)],
        "l1_update": "orthant",
        **_SETTINGS,
    },
}

PUBLISHED = dict(
    zip(PRESETS["paper"]["n_hidden"], (7, 2, 1, 0, 0, 0, 2, 3, 2, 1, 2, 0), strict=True)
)
"""Polysemantic neurons in the notebook's single run of each width."""


configs, run = study_of(PRESETS)


def table(data: Study) -> pd.DataFrame:
    """Mean counts with 95 % intervals, the published single runs, the law and features lost, one
    row a configuration."""
    import numpy as np

    summary = data.summary()
    published = [
        PUBLISHED.get(config.n_hidden, np.nan) if config in _published() else np.nan
        for config in data.configs
    ]
    summary.insert(int(summary.columns.get_loc("mean")), "published", published)
    return summary.drop(columns=["loss", "benign", "malign", "digest"])


def rows(data: Study) -> pd.DataFrame:
    """One row a seed."""
    return data.seeds()


def draw(data: Study, ax: Axes | None = None) -> Axes:
    """Mean counts and the published ones, above the share of features that are lost."""
    from fastpolysem import plots

    upper, lower = plots.panels(ax, 2, 1, FIGURE_SIZE, sharex=True, height_ratios=[3, 1])[:, 0]
    widths = [config.n_hidden for config in data.configs if config in _published()]
    if widths:
        style: dict[str, Any] = {"ls": "", "marker": "x", "color": "black", "ms": 6, "zorder": 5}
        seen = [m for m in widths if PUBLISHED[m]]
        none = [m for m in widths if not PUBLISHED[m]]
        label = "published, one run each (on the axis: 0)"
        upper.plot(seen, [PUBLISHED[m] for m in seen], label=label, **style)
        axis = upper.get_xaxis_transform()
        upper.plot(none, [0] * len(none), transform=axis, clip_on=False, **style)
    plots.collisions(data, upper)
    upper.set_xlabel("")
    plots.unrepresented(data, lower)
    lower.get_legend().remove()
    return ax or upper


def _published() -> list[Config]:
    return configs("paper")
