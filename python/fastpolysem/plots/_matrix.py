"""Matrices in colours."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.image import AxesImage
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray

from fastpolysem import _checks
from fastpolysem.plots._axes import axes_or_new


def heat_map(
    matrix: ArrayLike, ax: Axes | None = None, *, limit: float | None = None, label: str = ""
) -> Axes:
    """Heat map of a matrix, white for 0, with a colour bar.

    Parameters
    ----------
    matrix
        (rows, columns).
    ax
        Axes to draw on; None makes a figure.
    limit
        Absolute value shown in the darkest colours; by default the largest in the matrix.
    label
        Label of the colour bar.

    Returns
    -------
    matplotlib.axes.Axes
    """
    values = _checks.array("plots.heat_map: matrix", matrix, np.float64, (2,))
    if not values.size:
        raise _checks.refused("plots.heat_map: matrix", "an array with an entry or more", values)
    largest = float(np.abs(values).max())
    if limit is None:
        end = largest or 1.0
    else:
        end = _checks.real("plots.heat_map: limit", limit, (">", 0))
    ax = axes_or_new(ax)
    extend = "both" if largest > end else "neither"
    ax.figure.colorbar(image(ax, values, end), ax=ax, label=label, extend=extend)
    return ax


def image(ax: Axes, values: NDArray[Any], end: float) -> AxesImage:
    """The matrix, blue below 0 and red above, with the darkest colours at -end and end."""
    for axis in (ax.xaxis, ax.yaxis):  # rows and columns are counted
        axis.set_major_locator(MaxNLocator("auto", integer=True, min_n_ticks=1))
    # Square cells would make constrained layouts cut off labels.
    return ax.imshow(
        values, cmap="RdBu_r", vmin=-end, vmax=end, interpolation="nearest", aspect="auto"
    )
