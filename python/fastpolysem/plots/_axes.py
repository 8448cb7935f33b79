"""What all figures share: colours, axes, files."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.gridspec import GridSpecBase
from numpy.typing import NDArray

from fastpolysem import _checks
from fastpolysem._files import write_output

COLORS = (
    *("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"),
    *("#000000", "#882255"),
)
MARKERS = "osD^vPX*"
DASHES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (1, 1)), (0, (3, 1, 1, 1)), (0, (8, 3)))
GREY = "#666666"
"""Of laws and null models."""
_LOOKS: dict[str, Sequence[Any]] = {"color": COLORS, "marker": MARKERS, "ls": DASHES}


def look(index: int, *parts: str) -> dict[str, Any]:
    """How the series of a figure are told apart, as keyword arguments of matplotlib.

    Parameters
    ----------
    index
        Number of the series, from 0; after eight they repeat.
    *parts
        Any of "color", "marker" and "ls"; none stands for all.
    """
    number = _checks.integer("plots.look: index", index, (">=", 0))
    chosen = [_checks.choice("plots.look: parts", part, _LOOKS) for part in parts or _LOOKS]
    return {part: _LOOKS[part][number % len(_LOOKS[part])] for part in chosen}


def plain(text: str) -> str:
    """A label that is drawn literally: dollar signs do not start a formula, and a leading
    underscore does not hide it from legends."""
    shown = _checks.printable(text).replace("$", r"\$")
    return f" {shown}" if shown.startswith("_") else shown


def axes_or_new(ax: Axes | None) -> Axes:
    """The given axes, or those of a new figure."""
    if ax is not None:
        return _checks.instance("plots: ax", ax, Axes, "matplotlib axes or None")
    from matplotlib import pyplot as plt

    return plt.subplots(figsize=(6.4, 4.4), layout="constrained")[1]


def panels(
    ax: Axes | None, rows: int, columns: int, size: tuple[float, float], **options: Any
) -> NDArray[Any]:
    """A grid of axes that takes the place of one.

    Parameters
    ----------
    ax
        Axes whose place in their figure the grid takes, and which become invisible; None creates a
        figure.
    rows, columns
        Shape of the grid.
    size
        Size of a new figure, in inches.
    **options
        ``sharex``, ``sharey``, ``width_ratios`` and ``height_ratios``, as in ``pyplot.subplots``.

    Returns
    -------
    (rows, columns) array of matplotlib.axes.Axes
    """
    ratios = {
        name: options.pop(name) for name in ("width_ratios", "height_ratios") & options.keys()
    }
    if ax is None:
        from matplotlib import pyplot as plt

        figure = plt.figure(figsize=size, layout="constrained")
        grid: GridSpecBase = figure.add_gridspec(rows, columns, **ratios)
    else:
        place = axes_or_new(ax).get_subplotspec()
        if place is None:
            raise ValueError("plots.panels: ax must be one of a figure's subplots")
        ax.set_axis_off()
        grid = place.subgridspec(rows, columns, **ratios)
    found: NDArray[Any] = grid.subplots(squeeze=False, **options)
    return found


def save(ax: Axes, path: str | os.PathLike[str]) -> Path:
    """Write the figure of ``ax`` to a file whose extension determines the format; equal figures
    give equal SVG files.

    Parameters
    ----------
    ax
        Any axes of the figure.
    path
        File to write, such as ``figure.png`` (200 dots per inch) or ``figure.svg``; without an
        extension, ``.png`` is added. Replaced as a whole if it exists.

    Returns
    -------
    pathlib.Path
        The file.
    """
    target = _checks.file_path("plots.save: path", path)
    if not target.suffix and not (target.exists() and not target.is_file()):
        target = target.with_name(f"{target.name.rstrip('.')}.png")
    kind = target.suffix.removeprefix(".").lower() or "png"
    metadata = {"Date": None} if kind == "svg" else None
    canvas = _checks.instance("plots.save: ax", ax, Axes, "matplotlib axes").figure.canvas
    _checks.choice("plots.save: ending of the path", kind, sorted(canvas.get_supported_filetypes()))
    figure = canvas.figure
    with matplotlib.rc_context({"svg.hashsalt": "fastpolysem"}):
        write_output(
            target, lambda file: figure.savefig(file, format=kind, dpi=200, metadata=metadata)
        )
    return target
