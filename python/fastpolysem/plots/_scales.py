"""Scales and ticks of axes: numbers, numbers that span several powers of ten, names."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.font_manager import FontProperties
from matplotlib.scale import LogTransform, SymmetricalLogTransform
from matplotlib.textpath import text_to_path
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator
from matplotlib.transforms import IdentityTransform, Transform
from numpy.typing import NDArray

from fastpolysem.plots._axes import plain

LOG_SPAN = 8
"""Positive settings that vary by this factor are drawn on a logarithmic axis."""

_STRIP = 0.5  # powers of ten that the strip between 0 and the threshold takes
_MOST_TICKS = 8
_STEPS = ((1, 2, 5), (1,))  # multiples of powers of ten that are labelled, where there is room


@dataclass(frozen=True)
class Scale:
    """How numbers are placed on an axis.

    Attributes
    ----------
    log
        Whether powers of ten are equally far apart.
    threshold
        None, or, if a 0 has to be shown, the number above which the axis is logarithmic; between 0
        and this number it is linear.
    """

    log: bool = False
    threshold: float | None = None

    @classmethod
    def of(cls, values: Sequence[float] | NDArray[Any], log: bool | None = None) -> Scale:
        """The scale for these values, logarithmic if asked for or, with None, if the positive ones
        span a factor of `LOG_SPAN`, and none is negative."""
        given = np.asarray(values, dtype=np.float64)
        given = given[np.isfinite(given)]
        positive = given[given > 0]
        if log is None:
            log = bool(positive.size) and bool(positive.max() >= LOG_SPAN * positive.min())
        if not log or not positive.size or (given < 0).any():
            return cls()
        return cls(True, _threshold(positive.min()) if (given == 0).any() else None)

    @property
    def transform(self) -> Transform:
        """From numbers to places."""
        if not self.log:
            return IdentityTransform()
        if self.threshold is None:
            return LogTransform(10)
        return SymmetricalLogTransform(10, self.threshold, _STRIP)

    def side_by_side(self, places: NDArray[Any], index: int, count: int) -> NDArray[np.float64]:
        """The places, moved a little to the side where several series share them."""
        if count == 1:
            return np.asarray(places, dtype=np.float64)
        at = self.transform.transform(np.asarray(places, dtype=np.float64))
        span = self._spread(at)
        gap = np.diff(np.unique(at)).min(initial=span)
        step = min(0.012 * span, 0.1 * span / count, 0.4 * gap / count)
        moved = at + step * (index - (count - 1) / 2)
        return np.asarray(self.transform.inverted().transform(moved), dtype=np.float64)

    def _spread(self, at: NDArray[Any]) -> float:
        """How far places are apart; for a single place, how far away others may be."""
        single = 1.0 if self.log else float(np.abs(at).max()) or 1.0
        return float(np.ptp(at)) or single

    def around(self, places: NDArray[Any]) -> tuple[float, float]:
        """Ends of an axis of settings."""
        at = self.transform.transform(np.array([places.min(), places.max()], dtype=np.float64))
        margin = 0.07 * self._spread(at)
        low, high = self.transform.inverted().transform(at + np.array([-margin, margin]))
        return float(low), float(high)

    def apply(self, set_scale: Callable[..., None]) -> None:
        """Give an axis this scale by its ``set_xscale`` or ``set_yscale``."""
        name = "linear"
        options: dict[str, Any] = {}
        if self.log:
            name, options = "log", {"base": 10}
        if self.threshold is not None:
            name, options = "symlog", {**options, "linthresh": self.threshold, "linscale": _STRIP}
        set_scale(name, **options)

    def limits(self, values: NDArray[Any]) -> tuple[float, float]:
        """Ends of a logarithmic axis on which all of these values can be seen."""
        shown = values[np.isfinite(values) & (values >= 0)]
        top = 1.6 * float(shown.max())
        if self.threshold is not None:
            return -0.4 * self.threshold, max(top, 2 * self.threshold)
        return float(shown[shown > 0].min()) / 1.6, top


def _threshold(least: float) -> float:
    """The largest of 1, 2 and 5 times a power of ten that leaves the least number above it."""
    power = 10.0 ** math.floor(math.log10(least))
    return max(step * power / 10 for step in (1, 2, 5, 10, 20, 50) if step * power / 10 < least)


def places_of(values: NDArray[Any]) -> tuple[NDArray[np.float64], list[str] | None]:
    """Where values of a setting are drawn, and their names if they are not numbers."""
    if are_numbers(values):
        return values.astype(np.float64), None
    names = [text_of(one) for one in values]
    order = list(dict.fromkeys(names))
    return np.array([order.index(name) for name in names], dtype=np.float64), order


def are_numbers(values: NDArray[Any]) -> bool:
    """Whether all are numbers, none missing."""
    return not pd.isna(values).any() and all(
        isinstance(one, (int, float, np.number)) and not isinstance(one, (bool, np.bool_))
        for one in values
    )


def text_of(value: Any) -> str:
    """A value of a setting as shown to readers."""
    return f"{value:g}" if isinstance(value, float) else str(value)


def number_text(value: float, _: Any = None) -> str:
    """A tick's label."""
    return f"{round(value):d}" if value == round(value) and abs(value) < 1e6 else f"{value:.6g}"


def label_numbers(ax: Axes, places: NDArray[np.float64], scale: Scale, share: float) -> None:
    """Scale, limits and ticks of a horizontal axis of numbers, for axes that will keep this share
    of their width."""
    scale.apply(ax.set_xscale)
    ax.set_xlim(*scale.around(places))
    values = np.unique(places)
    if len(values) > _MOST_TICKS and scale.log:
        values = _regular(values)
    if len(values) <= _MOST_TICKS or scale.log:
        ax.xaxis.set_major_locator(FixedLocator(_that_fit(ax, values, share)))
        ax.xaxis.set_minor_locator(NullLocator())
        ax.xaxis.set_major_formatter(FuncFormatter(number_text))
    elif (values == np.round(values)).all():
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))


def _regular(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Powers within the range of many values: of two for whole numbers, else of ten, and 0."""
    positive = values[values > 0]
    base = 2.0 if (values == np.round(values)).all() else 10.0
    ends = np.log(positive[[0, -1]]) / np.log(base)
    powers = base ** np.arange(np.ceil(ends[0] - 1e-9), np.floor(ends[1] + 1e-9) + 1)
    return np.concatenate([values[values == 0], powers if len(powers) > 1 else positive[[0, -1]]])


def _that_fit(ax: Axes, values: NDArray[np.float64], share: float) -> list[float]:
    """The values whose labels have room beside each other, the first and the last among them."""
    width = share * size_of(ax)[0]
    at = ax.transAxes.inverted().transform(
        ax.transData.transform(np.column_stack([values, np.ones(len(values))]))
    )[:, 0]
    half = np.array([text_width(number_text(one), _tick_font(ax.xaxis)) for one in values]) / 2
    kept = [len(values) - 1]
    for index in range(len(values) - 1):
        before = [one for one in kept if one < index]
        near = [*before[-1:], kept[0]]
        if all(abs(at[index] - at[one]) * width > half[index] + half[one] + 5 for one in near):
            kept.append(index)
    return sorted(float(values[index]) for index in kept)


def label_counts(axis: Axis, scale: Scale, height: float) -> None:
    """Ticks of a logarithmic axis: 1, 2 and 5 times powers of ten if this height in points has
    room for them, and 0."""
    if not scale.log:
        return
    most = int(np.clip(height / (1.5 * _tick_font(axis).get_size_in_points()), 2, _MOST_TICKS))
    low, high = axis.get_view_interval()
    least = low if scale.threshold is None else scale.threshold
    powers = 10.0 ** np.arange(math.floor(math.log10(least)) - 1, math.ceil(math.log10(high)) + 1)
    for steps in _STEPS:
        ticks = [step * power for power in powers for step in steps]
        ticks = [one for one in ticks if least * (1 - 1e-9) <= one <= high]
        if len(ticks) <= most:
            break
    ticks = ticks[:: max(1, -(-len(ticks) // most))]
    axis.set_major_locator(FixedLocator([0.0, *ticks] if scale.threshold is not None else ticks))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(number_text))


def label_names(ax: Axes, names: Sequence[str]) -> None:
    """Ticks with names, slanted where they would run into each other."""
    shown = [plain(name) for name in names]
    ax.set_xticks(range(len(names)), shown)
    ax.set_xlim(-0.5, len(names) - 0.5)
    width, _ = size_of(ax)
    widest = max(text_width(name, _tick_font(ax.xaxis)) for name in shown)
    if (widest + 5) * len(names) > width:
        for label in ax.get_xticklabels():
            label.set(rotation=30, ha="right", rotation_mode="anchor")


def _tick_font(axis: Axis) -> FontProperties:
    labels = axis.get_ticklabels()
    return labels[0].get_fontproperties() if labels else FontProperties(size="small")


def size_of(ax: Axes) -> tuple[float, float]:
    """Width and height of the axes in points, before a layout moves them."""
    box = ax.get_window_extent()
    points = 72 / ax.figure.dpi
    return box.width * points, box.height * points


def fitted(ax: Axes, text: str, size: str = "medium", vertical: bool = False) -> str:
    """A text in as many lines as the length of the axes asks for."""
    return wrapped(text, size_of(ax)[1 if vertical else 0], FontProperties(size=size))


def wrapped(text: str, length: float, font: FontProperties) -> str:
    """A text in lines of at most this length in points, if its words allow it."""
    width = text_width(text, font)
    if width <= length:
        return text
    most = max(8, int(len(text) * length / width))
    return "\n".join(textwrap.wrap(text, most, break_long_words=False))


def text_width(text: str, font: FontProperties) -> float:
    """Width of a line of text in points."""
    width, _, _ = text_to_path.get_text_width_height_descent(text, font, ismath=False)
    return float(width)
