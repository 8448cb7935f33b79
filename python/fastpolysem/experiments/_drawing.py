"""Drawing functions shared by several experiments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from fastpolysem.studies import Study


def bars(means: pd.DataFrame, name: str) -> NDArray[np.float64]:
    """Lengths (2, rows) of the error bars below and above a column, from its interval."""
    value = means[name]
    return np.array([value - means[f"{name}_low"], means[f"{name}_high"] - value])


def points(ax: Axes, x: Any, means: pd.DataFrame, name: str, **style: Any) -> None:
    """A column of a table against ``x``, with the error bars of its interval."""
    ax.errorbar(x, means[name], np.maximum(bars(means, name), 0), **style)


def legend(ax: Axes, **options: Any) -> None:
    """The legend of the axes, if anything in them has a label."""
    if ax.get_legend_handles_labels()[0]:
        ax.legend(**options)


def without_data(figure: Figure) -> None:
    """Write "no data" where nothing could be drawn, and make logarithmic axes linear if they have
    nothing positive to show, with which they cannot be drawn."""
    for ax in figure.axes:
        low, high = ax.dataLim.min, ax.dataLim.max
        if ax.axison and not ax.texts and not np.isfinite([low, high]).all():
            style: dict[str, Any] = {"ha": "center", "va": "center", "transform": ax.transAxes}
            ax.text(0.5, 0.5, "no data", color="#666666", **style)
        for axis in (ax.xaxis, ax.yaxis):
            if axis.get_scale() == "log" and not 0 < max(axis.get_data_interval()) < np.inf:
                set_scale = ax.set_xscale if axis is ax.xaxis else ax.set_yscale
                set_scale("linear")


def counts_above_losses(study: Study, upper: Axes, lower: Axes, **options: Any) -> None:
    """Mean counts, with options of `plots.collisions`, above the lost features."""
    from fastpolysem import plots

    plots.collisions(study, upper, **options)
    upper.set_xlabel("")
    plots.unrepresented(study, lower)
    if legend := lower.get_legend():
        legend.remove()
