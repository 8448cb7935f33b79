"""What every figure promises: nothing cropped, no data under a legend."""

from __future__ import annotations

import warnings

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.text import Text


def bars(ax: Axes) -> list[ErrorbarContainer]:
    return [container for container in ax.containers if isinstance(container, ErrorbarContainer)]


def check_layout(figure: Figure) -> None:
    """Asserts that all text lies within the figure and that legends cover no error bar's mean."""
    canvas = FigureCanvasAgg(figure)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a layout that does not fit
        canvas.draw()
    renderer = canvas.get_renderer()
    edge = figure.bbox.padded(1)
    for text in figure.findobj(Text):
        if text.get_text().strip() and text.get_visible() and visible_tick(text):
            box = text.get_window_extent(renderer)
            assert edge.x0 <= box.x0, text
            assert box.x1 <= edge.x1, text
            assert edge.y0 <= box.y0, text
            assert box.y1 <= edge.y1, text
    for ax in figure.axes:
        if ax.get_legend() and ax.axison:
            box = ax.get_legend().get_window_extent(renderer)
            for bar in bars(ax):
                points = ax.transData.transform(bar.lines[0].get_xydata())
                assert not [p for p in points if box.contains(*p)]


def visible_tick(text: Text) -> bool:
    """Whether a text is no label of a tick that is beyond the limits, which is not drawn."""
    for ax in text.figure.axes if text.figure else ():
        for axis, at in ((ax.xaxis, 0), (ax.yaxis, 1)):
            if text in axis.get_ticklabels():
                low, high = sorted(axis.get_view_interval())
                return ax.axison and low <= text.get_position()[at] <= high
    return True
