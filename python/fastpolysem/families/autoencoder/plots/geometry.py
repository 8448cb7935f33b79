"""How the features of a model share its dimensions."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FormatStrFormatter
from numpy.typing import NDArray

from fastpolysem.families.autoencoder import metrics
from fastpolysem.families.autoencoder.objective import WeightsLike
from fastpolysem.families.autoencoder.plots.weights import effective
from fastpolysem.plots._axes import COLORS, GREY, panels
from fastpolysem.plots._matrix import image
from fastpolysem.plots._scales import size_of, text_width

_PERCENTILES = (15, 85)


def superposition(weights: WeightsLike, ax: Axes | None = None) -> Axes:
    """Overlaps, norms and dimensionalities of the features of a model, or of a stack of models.

    One row per feature in each of three panels: its overlaps ``W Wᵀ`` with all features, its norm,
    and its share of a dimension, `metrics.feature_dimensionality` (Elhage et al. 2022). Without
    superposition W Wᵀ is diagonal and features have a dimensionality of 1 or 0; the two features of
    an antipodal pair have 1/2 each.

    Parameters
    ----------
    weights
        (n, m), a stack (S, n, m), or Parameters of either; untied ones are shown by their
        `metrics.effective_weights`. Models of a stack are averaged feature by feature.
    ax
        Axes of a figure's subplots whose place the panels take; None makes a figure.

    Returns
    -------
    matplotlib.axes.Axes
        Those of the overlaps, or ``ax``. Pale bars are percentiles 15 to 85 over the models of a
        stack.
    """
    matrix = effective("plots.superposition", weights, 2, 3)[0].astype(np.float64)
    stack = matrix if matrix.ndim == 3 else matrix[np.newaxis]
    gram = (stack @ np.swapaxes(stack, -1, -2)).mean(axis=0)
    size = (6.75, float(np.clip(0.9 + 0.16 * len(gram), 2.4, 6)))
    axes = panels(ax, 1, 3, size, sharey=True, width_ratios=[4, 2, 2])[0]
    overlaps, norms, shares = axes
    end = float(np.abs(gram).max()) or 1.0
    shown = image(overlaps, gram, end)
    overlaps.figure.colorbar(shown, ax=overlaps, location="left", label="overlap", aspect=30)
    overlaps.set(xlabel="feature", ylabel="feature")
    overlaps.set_title("$W W^T$", fontsize="medium")
    lengths = np.linalg.norm(stack, axis=-1)
    _by_feature(norms, lengths)
    longest = float(lengths.max()) or 1.0
    norms.set_xlim(-0.1 * longest, 1.1 * longest)
    digit = 10.0 ** np.floor(np.log10(longest))
    norms.set_xticks([0, np.floor(longest / digit) * digit])  # two, for which there is room
    norms.xaxis.set_major_formatter(FormatStrFormatter("%g"))
    _by_feature(shares, metrics.feature_dimensionality(stack))
    shares.set_xlim(-0.05, 1.05)
    for share in (0.5, 1):
        shares.axvline(share, color=GREY, lw=0.8, ls=":", zorder=0)
    for each, name, symbol in ((norms, "norm", r"$\|W_i\|$"), (shares, "dimensionality", "$D_i$")):
        room = text_width(name, each.xaxis.label.get_fontproperties()) <= 1.2 * size_of(each)[0]
        each.set_title(symbol, fontsize="medium")
        each.set_xlabel(name if room else symbol)
    first: Axes = overlaps
    return first if ax is None else ax


def _by_feature(ax: Axes, values: NDArray[np.float64]) -> None:
    """Means over models (S, n) with the percentiles, a row per feature."""
    style: dict[str, Any] = {"color": COLORS[0], "zorder": 2}
    rows = np.arange(values.shape[1])
    if len(values) > 1:
        ax.hlines(rows, *np.percentile(values, _PERCENTILES, axis=0), alpha=0.3, lw=4, **style)
    ax.plot(values.mean(axis=0), rows, "o", ms=4, mew=0.5, ls="none", **style)
