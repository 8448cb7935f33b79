"""How much each concept uses each neuron, drawn."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes

from fastpolysem.families.network.measures import formulas
from fastpolysem.plots._axes import axes_or_new

_MOST_LABELS = 24


def use_map(measures: Any, layer: int = 1, *, ax: Axes | None = None) -> Axes:
    """The use of the neurons of a hidden layer, concepts downwards and neurons across.

    Concepts and neurons are ordered so that a neuron's main concept lies on the diagonal; a shared
    neuron has two or more dark cells in its column and is marked above it.

    Parameters
    ----------
    measures
        `fastpolysem.Measures`, of one network or of several, of which the first is drawn.
    layer
        Number of the hidden layer, from 1.
    ax
        Axes to draw on; None makes a figure.

    Returns
    -------
    matplotlib.axes.Axes
    """
    rises = measures.rises[measures._index("plot", layer)]
    rises = rises[0] if rises.ndim == 3 else rises
    use = formulas.use(rises)
    weights = formulas.neuron_weights(rises)
    main = use.argmax(axis=1)
    strongest = [use[:, i].max() for i in range(use.shape[1])]
    concepts = sorted(range(use.shape[1]), key=lambda i: (strongest[i] <= 0, i))
    place = {concept: rank for rank, concept in enumerate(concepts)}
    neurons = sorted(range(len(use)), key=lambda k: (weights[k] <= 0, place[main[k]], -weights[k]))
    shares = use[neurons][:, concepts] / max(float(use.max()), np.finfo(float).tiny)
    ax = axes_or_new(ax)
    shown = ax.imshow(
        shares.T, cmap="Greys", vmin=0, vmax=1, interpolation="nearest", aspect="auto"
    )
    ax.figure.colorbar(shown, ax=ax, label="use, relative to the largest")
    second, first = np.sort(use[neurons], axis=1)[:, -2:].T if use.shape[1] > 1 else (0, 1)
    shared = np.flatnonzero((second > 0) & (second >= formulas.SHARED_FROM * first))
    ax.plot(shared, np.full(len(shared), -0.5), "v", color="#D55E00", clip_on=False, label="shared")
    if len(shared):
        ax.legend(loc="lower left", bbox_to_anchor=(0, 1.01), frameon=False, fontsize="small")
    ax.set(xlabel=f"neuron of hidden layer {layer}, sorted", ylabel="")
    ax.set_xticks([])
    if len(concepts) <= _MOST_LABELS:
        names = [measures.concepts.names[i] for i in concepts]
        ax.set_yticks(range(len(names)), names, fontsize="small")
    else:
        ax.set_yticks([])
        ax.set_ylabel("concept")
    return ax
