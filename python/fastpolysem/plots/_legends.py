"""Legends that cover no data."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.collections import PathCollection
from matplotlib.font_manager import FontProperties
from matplotlib.legend import Legend
from matplotlib.transforms import Bbox
from numpy.typing import NDArray

from fastpolysem.plots._scales import size_of, wrapped

_CORNERS = ("upper right", "upper left", "lower left", "lower right")
_HIGHEST = 0.45  # share of the axes' height that a legend inside may take
_GAP = 0.03
_STYLE: dict[str, Any] = {
    "frameon": False,
    "fontsize": "small",
    "title_fontsize": "small",
    "alignment": "left",
}
_SMALLER = {**_STYLE, "fontsize": "x-small", "title_fontsize": "x-small", "labelspacing": 0.2}


def legend(
    ax: Axes, entries: Mapping[str, Any], title: str | None = None, share: float = 1.0
) -> float:
    """A legend in a corner without data, else in room that is made above them, else above the axes.

    Parameters
    ----------
    ax
        Axes on which everything has been drawn.
    entries
        Artists by their labels.
    title
        Heading of the legend.
    share
        How much of its width the axes will keep.

    Returns
    -------
    float
        Height in points that is taken above the axes.
    """
    if not entries:
        return 0.0
    inside = ax.get_window_extent()

    def place(**options: Any) -> Bbox:
        return _placed(ax, entries, title, share * size_of(ax)[0], **options)

    box = place(loc=_CORNERS[0])
    width, height = box.width / (share * inside.width) + _GAP, box.height / inside.height + _GAP
    covered = _covered(ax)
    if width < 1 and height < 1:
        for corner in _CORNERS:
            vertical, horizontal = corner.split()
            x = covered[:, 0] > 1 - width if horizontal == "right" else covered[:, 0] < width
            y = covered[:, 1] > 1 - height if vertical == "upper" else covered[:, 1] < height
            if not (x & y).any():
                place(loc=corner)
                return 0.0
    if width < 1 and height <= _HIGHEST:
        _make_room(ax, float(covered[:, 1].max(initial=0)), height)
        place(loc="upper left")
        return 0.0
    return legend_over(ax, entries, title, share)


def labelled(ax: Axes) -> dict[str, Any]:
    """Entries for what has been drawn with a label."""
    handles, labels = ax.get_legend_handles_labels()
    return dict(zip(labels, handles, strict=True))


def legend_over(
    ax: Axes,
    entries: Mapping[str, Any],
    title: str | None = None,
    share: float = 1.0,
    **style: Any,
) -> float:
    """A legend above the axes, as `legend` makes it where there is no room inside."""

    def place(**options: Any) -> Bbox:
        return _placed(ax, entries, title, share * size_of(ax)[0], **options)

    options = {"loc": "lower left", "bbox_to_anchor": (0, 1), "borderaxespad": 0.2, **style}
    width, most = ax.get_window_extent().width, _HIGHEST * ax.figure.bbox.height
    return _in_columns(ax, place, len(entries), share * width, most, **options)


def legend_above(ax: Axes, entries: Mapping[str, Any], title: str | None) -> float:
    """The legend of several panels, on axes of its own above them; returns its height in points."""
    ax.set_axis_off()

    def place(**options: Any) -> Bbox:
        return _placed(ax, entries, title, size_of(ax)[0], **options)

    width, most = ax.get_window_extent().width, 0.3 * ax.figure.bbox.height
    return _in_columns(ax, place, len(entries), width, most, loc="upper left", borderaxespad=0.0)


def _in_columns(
    ax: Axes, place: Callable[..., Bbox], count: int, width: float, most: float, **options: Any
) -> float:
    """Place a legend in as many columns as fit into a width, in small print where it would
    otherwise be too high; returns its height in points."""
    box, columns = Bbox.null(), 1
    for size in (_STYLE, _SMALLER):
        for columns in range(min(count, 5), 0, -1):
            box = place(**{**options, **size}, ncols=columns)
            if box.width <= width:
                break
        if columns == 1 and count > 3:  # one long text must not leave the others a single column
            halves = place(**{**options, **size}, ncols=2, share=0.5)
            box = halves if halves.width <= width else place(**{**options, **size})
        if box.height <= most:
            break
    return 72 * box.height / ax.figure.dpi


def _placed(
    ax: Axes,
    entries: Mapping[str, Any],
    title: str | None,
    width: float,
    *,
    share: float = 1.0,
    **options: Any,
) -> Bbox:
    """Make the legend, with lines of at most a share of a width in points; returns its box."""
    given = {**_STYLE, **options}
    font = FontProperties(size=given["fontsize"])
    room = max(60.0, share * width - 5 * font.get_size_in_points())
    labels = [wrapped(label, room, font) for label in entries]
    made: Legend = ax.legend([*entries.values()], labels, title=title, **given)
    return made.get_window_extent(_renderer(ax))


def _renderer(ax: Axes) -> Any:
    """What measures texts as they will be drawn."""
    agg: Any = RendererAgg
    return agg(1, 1, ax.figure.dpi)


def _make_room(ax: Axes, top: float, height: float) -> None:
    """Raise the upper limit so that what reaches up to this share of the axes ends below."""
    low, high = ax.get_ylim()
    transform = ax.yaxis.get_transform()
    start, end = transform.transform(np.array([low, high]))
    raised = start + top * (end - start) / (1 - height)
    if (raised - end) * (end - start) > 0:
        ax.set_ylim(top=float(transform.inverted().transform(np.array([raised]))[0]))


def _covered(ax: Axes) -> NDArray[np.float64]:
    """Points (N, 2), in shares of the axes, close to each other on everything that is drawn."""
    ax.autoscale_view()  # Otherwise limits are only found when the figure is drawn.
    found = [_dense(part) for part in _outlines(ax)]
    points = np.concatenate([np.empty((0, 2)), *found])
    with np.errstate(invalid="ignore"):
        shares = ax.transAxes.inverted().transform(points)
    seen = np.isfinite(shares).all(axis=1) & (np.abs(shares - 0.5) <= 0.51).all(axis=1)
    result: NDArray[np.float64] = shares[seen]
    return result


def _outlines(ax: Axes) -> Iterator[NDArray[Any]]:
    """Lines, bars, marks and edges in pixels."""
    for line in ax.lines:
        points = line.get_transform().transform(line.get_xydata())
        joined = str(line.get_linestyle()).lower() != "none"
        yield from [points] if joined else points[:, np.newaxis]
    for collection in ax.collections:
        if isinstance(collection, PathCollection):
            places = collection.get_offset_transform().transform(collection.get_offsets())
            yield from places[:, np.newaxis]
        else:
            for path in collection.get_paths():
                yield collection.get_transform().transform(path.vertices)
    for patch in ax.patches:
        yield patch.get_transform().transform(patch.get_path().vertices)
    for text in ax.texts:
        yield text.get_window_extent(_renderer(ax)).corners()


def _dense(points: NDArray[Any]) -> NDArray[np.float64]:
    """Points on the straight lines between points, about a fiftieth of a figure apart."""
    given = np.asarray(points, dtype=np.float64)
    if len(given) < 2:
        return given
    at = np.linspace(0, 1, 24, endpoint=False)[:, np.newaxis, np.newaxis]
    between = given[:-1] + at * (given[1:] - given[:-1])
    return np.concatenate([between.reshape(-1, 2), given[-1:]])
