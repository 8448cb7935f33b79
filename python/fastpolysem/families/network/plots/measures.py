"""How much each concept uses each neuron, drawn."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection

from fastpolysem import _checks
from fastpolysem.families.network.measures import formulas
from fastpolysem.families.network.measures.measure import Measures
from fastpolysem.plots._axes import axes_or_new, plain
from fastpolysem.plots._legends import labelled, legend_over

_MOST_LABELS = 24
_MOST_NUMBERS = 40
_FAINT = 0.05
"""Connections below this share of their layer's largest are not drawn."""
# Of neurons that serve no concept, 1, 2, 3, and more: they darken, so that grey tells them too.
_SERVED = ("#FFFFFF", "#9AD1F5", "#E69F00", "#B0420A", "#000000")


def use_map(measures: Any, layer: int = 1, *, ax: Axes | None = None) -> Axes:
    """The use of the neurons of a hidden layer, concepts downwards and neurons across.

    Concepts and neurons are ordered so that a neuron's main concept lies on the diagonal. A shared
    neuron has two or more dark cells in its column and is marked above it. Up to 40 neurons are
    labelled with their numbers, from 0.

    Parameters
    ----------
    measures
        `fastpolysem.Measures` of one network or of several; the first one is drawn.
    layer
        Number of the hidden layer, from 1.
    ax
        Axes to draw on; None makes a figure.

    Returns
    -------
    matplotlib.axes.Axes
    """
    _checked("plots.use_map", measures)
    rises = measures.rises[measures._index("plots.use_map", layer)]
    rises = rises[0] if rises.ndim == 3 else rises
    use = formulas.use(rises)
    neurons, concepts = _sorted(use)
    ax = axes_or_new(ax)
    _image(ax, use[neurons][:, concepts], "use, relative to the largest")
    shared = np.flatnonzero(formulas.shared(rises[neurons]))
    ax.plot(shared, np.full(len(shared), -0.5), "v", color="#D55E00", clip_on=False, label="shared")
    if len(shared):
        legend_over(ax, labelled(ax))
    return _label(ax, measures, layer, neurons, concepts)


def response_map(measures: Any, layer: int = 1, *, ax: Axes | None = None) -> Axes:
    """How strongly the neurons of a hidden layer respond to each concept.

    Absolute values of `Measures.responses`, ordered as in `use_map`; a bar marks the larger
    negative ones.

    Parameters
    ----------
    measures
        `fastpolysem.Measures` of one network or of several; the first one is drawn.
    layer
        Number of the hidden layer, from 1.
    ax
        Axes to draw on; None makes a figure.

    Returns
    -------
    matplotlib.axes.Axes
    """
    _checked("plots.response_map", measures)
    responses = measures.responses(layer)
    responses = np.nan_to_num(responses[0] if responses.ndim == 3 else responses)
    size = np.abs(responses)
    neurons, concepts = _sorted(size)
    ax = axes_or_new(ax)
    _image(ax, size[neurons][:, concepts], "|response| / largest")
    shown = responses[neurons][:, concepts]
    below = np.argwhere(shown < -0.2 * size.max())
    dark = shown[tuple(below.T)] < -0.6 * size.max()
    for colour, places in (("white", below[dark]), ("black", below[~dark])):
        ax.plot(*places.T, "_", color=colour, ms=5, mew=1.2)
    return _label(ax, measures, layer, neurons, concepts)


def _checked(where: str, measures: object) -> None:
    _checks.instance(f"{where}: measures", measures, Measures, "the result of fp.measure")


def _sorted(use: Any) -> tuple[list[int], list[int]]:
    """Orders of neurons and concepts that put main concepts on the diagonal."""
    weights, main, strongest = use.sum(axis=1), use.argmax(axis=1), use.max(axis=0)
    concepts = sorted(range(use.shape[1]), key=lambda i: (strongest[i] <= 0, i))
    place = {concept: rank for rank, concept in enumerate(concepts)}
    neurons = sorted(range(len(use)), key=lambda k: (weights[k] <= 0, place[main[k]], -weights[k]))
    return neurons, concepts


def _image(ax: Axes, sizes: Any, label: str) -> None:
    shares = sizes / max(float(sizes.max()), np.finfo(float).tiny)
    shown = ax.imshow(
        shares.T, cmap="Greys", vmin=0, vmax=1, interpolation="nearest", aspect="auto"
    )
    ax.figure.colorbar(shown, ax=ax, label=label)


def _label(ax: Axes, measures: Any, layer: int, neurons: list[int], concepts: list[int]) -> Axes:
    ax.set(xlabel=f"neuron of hidden layer {layer}, sorted", ylabel="")
    if len(neurons) <= _MOST_NUMBERS:
        ax.set_xticks(range(len(neurons)), map(str, neurons), fontsize="x-small", rotation=90)
    else:
        ax.set_xticks([])
    if len(concepts) <= _MOST_LABELS:
        names = [plain(measures.concepts.names[i]) for i in concepts]
        ax.set_yticks(range(len(names)), names, fontsize="small")
    else:
        ax.set_yticks([])
        ax.set_ylabel("concept")
    return ax


def neuron_map(measures: Any, *, ax: Axes | None = None) -> Axes:
    """The network with its neurons coloured by how many concepts they serve.

    Layers run from left to right, with the neurons of each sorted by that number. The width of a
    connection shows the size of its weight, relative to the largest in its layer.

    Parameters
    ----------
    measures
        `fastpolysem.Measures` of one network or of several; the first one is drawn.
    ax
        Axes to draw on; None makes a figure.

    Returns
    -------
    matplotlib.axes.Axes
    """
    _checked("plots.neuron_map", measures)
    ax = axes_or_new(ax)
    hidden = range(1, len(measures.rises) + 1)
    served = [measures.served(k) for k in hidden]
    served = [s[0] if s.ndim == 3 else s for s in served]
    numbers = [s.sum(axis=-1) for s in served]
    orders = [np.argsort(-n, kind="stable") for n in numbers]
    widths = measures.config.widths
    orders = [np.arange(widths[0]), *orders, np.arange(widths[-1])]
    places = []
    for order in orders:
        heights = np.empty(len(order))
        heights[order] = (np.arange(len(order)) + 0.5) / len(order)
        places.append(1 - heights)
    for layer, matrix in enumerate(_matrices(measures)):
        size = np.abs(matrix) / max(float(np.abs(matrix).max()), np.finfo(float).tiny)
        i, j = np.nonzero(size > _FAINT)
        ends = (
            [np.full(len(i), layer), places[layer][i]],
            [np.full(len(j), layer + 1), places[layer + 1][j]],
        )
        lines = np.transpose(ends, (2, 0, 1))
        style = {"colors": "#666666", "linewidths": 1.5 * size[i, j], "alpha": 0.5, "zorder": 1}
        ax.add_collection(LineCollection(list(lines), **style))
    dot = min(60.0, 6000 / max(widths))
    for layer, place in enumerate(places):
        outer = layer in (0, len(places) - 1)
        count = np.full(len(place), -1) if outer else np.minimum(numbers[layer - 1], 4)
        colours = ["#BBBBBB" if c < 0 else _SERVED[c] for c in count]
        ax.scatter(
            np.full(len(place), layer),
            place,
            s=dot,
            c=colours,
            edgecolors="#333333",
            lw=0.6,
            zorder=2,
        )
    shown = sorted({int(min(c, 4)) for n in numbers for c in n})
    for c in shown:
        label = f"{c} or more concepts" if c == 4 else f"{c} concept{'s' if c != 1 else ''}"
        ax.scatter([], [], s=40, c=[_SERVED[c]], edgecolors="#333333", lw=0.6, label=label)
    names = ["in", *map(str, hidden), "out"]
    ax.set_xticks(range(len(names)), names)
    ax.set_xlabel("layer")
    ax.set_yticks([])
    for side in ("top", "right", "left"):
        ax.spines[side].set_visible(False)
    ax.margins(x=0.08, y=0.04)
    legend_over(ax, labelled(ax))
    return ax


def _matrices(measures: Any) -> list[Any]:
    """Of each layer, of the first network."""
    arrays = measures.rows.arrays
    depth = measures.config.depth
    first = [arrays[f"weights_{k}"][0] for k in range(1, depth + 1) if f"weights_{k}" in arrays]
    return [*first, first[0].T] if measures.config.tied else first
