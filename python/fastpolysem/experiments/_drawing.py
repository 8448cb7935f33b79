"""Drawing functions shared by several experiments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from fastpolysem.studies import Study


def bars(means: pd.DataFrame, name: str) -> NDArray[np.float64]:
    """Lengths (2, rows) of the error bars below and above a column, from its interval."""
    value = means[name]
    return np.array([value - means[f"{name}_low"], means[f"{name}_high"] - value])


def points(ax: Axes, x: Any, means: pd.DataFrame, name: str, **style: Any) -> None:
    """A column of a table against ``x``, with the error bars of its interval."""
    ax.errorbar(x, means[name], np.maximum(bars(means, name), 0), **style)


def counts_above_losses(study: Study, upper: Axes, lower: Axes, **options: Any) -> None:
    """Mean counts, with options of `plots.collisions`, above the lost features."""
    from fastpolysem import plots

    plots.collisions(study, upper, **options)
    upper.set_xlabel("")
    plots.unrepresented(study, lower)
    if legend := lower.get_legend():
        legend.remove()
