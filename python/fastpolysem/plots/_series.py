"""Which means of a study are one series, how series look, and over how many panels they spread."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, ListedColormap, LogNorm, Normalize

from fastpolysem.plots._axes import COLORS, DASHES, GREY, MARKERS, plain
from fastpolysem.plots._scales import LOG_SPAN, are_numbers, text_of

MOST_SERIES = len(COLORS)
"""Series that one legend tells apart; more get a colour scale or panels of their own."""
MOST_PANELS = 24

_MOST_LONG = 4  # series whose labels name several settings


class Look(NamedTuple):
    """How a series is drawn; colour and marker vary independently where both mean something."""

    color: Any
    marker: str = "o"
    dashes: Any = "none"


class Series(NamedTuple):
    """Means that belong together."""

    label: str
    rows: pd.DataFrame
    look: Look


class Panel(NamedTuple):
    """Series on the same axes."""

    title: str
    series: list[Series]


class ColourScale(NamedTuple):
    """A setting whose values are colours of a scale."""

    name: str
    mapper: ScalarMappable


class Arrangement(NamedTuple):
    """All panels, and what explains how their series look."""

    panels: list[Panel]
    key: dict[str, Look]
    """What colours and markers stand for, if no label of a series says it."""
    scale: ColourScale | None = None


def arrange(
    where: str, rows: pd.DataFrame, settings: pd.DataFrame, x: str, hue: str | None
) -> Arrangement:
    """Series and panels for the rows of a summary.

    Parameters
    ----------
    where
        Who asks, for errors.
    rows
        One row per configuration.
    settings
        All settings and metadata of these configurations, by the same index.
    x, hue
        Settings of the horizontal axis and, if given, of the colours.
    """
    varying = [
        name for name in settings.columns if name != x and settings[name].nunique(dropna=False) > 1
    ]
    single = len(varying) == 1 and are_numbers(settings[varying[0]].to_numpy())
    ordered = settings.sort_values(varying, kind="stable") if single else settings
    combinations = _groups(ordered, varying)
    most = MOST_SERIES if len(varying) < 2 else _MOST_LONG
    if hue is None and len(combinations) <= most:
        looks = [Look(*pair) for pair in zip(COLORS, MARKERS, strict=True)]
        series = [
            Series(label, rows.loc[index], look)
            for (label, index), look in zip(combinations.items(), looks, strict=False)
        ]
        return Arrangement([Panel("", series)], {})
    hue = hue or _most_varied(settings, varying)
    rest = [name for name in varying if name != hue and not _follows(settings, name, hue)]
    arrangement = _by_hue(rows, settings, hue, rest)
    if len(arrangement.panels) > MOST_PANELS:
        raise ValueError(
            f"{where}: select must leave settings for at most {MOST_PANELS} panels, "
            f"got {len(arrangement.panels)}; {', '.join(varying)} vary"
        )
    return arrangement


def _by_hue(rows: pd.DataFrame, settings: pd.DataFrame, hue: str, rest: list[str]) -> Arrangement:
    numbers = are_numbers(settings[hue].to_numpy())
    ordered = settings.sort_values(hue, kind="stable") if numbers else settings
    colors, marks = _groups(ordered, [hue]), _groups(settings, rest)
    several = len(marks) > 1
    if numbers and len(colors) > MOST_SERIES:
        mapper = _mapper(settings[hue].to_numpy(dtype=np.float64))
        norm: Any = mapper.norm
        looks = {
            label: Look(
                mapper.cmap(norm(np.float64(settings.loc[index[0], hue]))),
                dashes="-",
            )
            for label, index in colors.items()
        }
        panels = _panels(rows, marks, colors, looks)
        return Arrangement(panels, {}, ColourScale(hue, mapper))
    if len(colors) > MOST_SERIES:  # names: a panel for each
        if len(marks) > MOST_SERIES:
            both = _groups(settings, [hue, *rest])
            return Arrangement(_panels(rows, both, {"": settings.index}, {"": Look(COLORS[0])}), {})
        looks = dict(zip(marks, map(Look, COLORS, MARKERS), strict=False))
        return Arrangement(_panels(rows, colors, marks, looks), looks if several else {})
    pairs = _groups(settings, [hue, *rest])
    if len(pairs) > MOST_SERIES:
        looks = dict(zip(colors, map(Look, COLORS, MARKERS), strict=False))
        return Arrangement(_panels(rows, marks, colors, looks), looks)
    if not several:
        looks = dict(zip(colors, map(Look, COLORS, MARKERS), strict=False))
        return Arrangement(_panels(rows, {"": settings.index}, colors, looks), {})
    series, key = [], {}
    for (name, index), color, dashes in zip(colors.items(), COLORS, DASHES, strict=False):
        key[name] = Look(color, "none", dashes)
        for (other, its), marker in zip(marks.items(), MARKERS, strict=False):
            common = index.intersection(its, sort=False)
            if len(common):
                label = f"{name}, {other}"
                series.append(Series(label, rows.loc[common], Look(color, marker, dashes)))
    key |= {other: Look(GREY, marker) for other, marker in zip(marks, MARKERS, strict=False)}
    return Arrangement([Panel("", series)], key)


def _panels(
    rows: pd.DataFrame,
    panels: dict[str, pd.Index],
    series: dict[str, pd.Index],
    looks: dict[str, Look],
) -> list[Panel]:
    """A panel for each of some groups of rows, with a series for each of others."""
    made = []
    for title, index in panels.items():
        common = {name: index.intersection(its, sort=False) for name, its in series.items()}
        inside = [Series(n, rows.loc[i], looks[n]) for n, i in common.items() if len(i)]
        made.append(Panel(title, inside))
    return made


def _groups(settings: pd.DataFrame, names: Sequence[str]) -> dict[str, pd.Index]:
    """Rows with equal values of these settings, by a label that says them; "" for none."""
    if not names:
        return {"": settings.index}
    found: dict[str, pd.Index] = {}
    for values, part in settings.groupby([*names], sort=False, dropna=False):
        each = values if isinstance(values, tuple) else (values,)
        said = [f"{n}={text_of(v)}" for n, v in zip(names, each, strict=True) if not pd.isna(v)]
        label = plain(", ".join(said)) or "none"
        while label in found:  # texts of different values can be the same
            label += " "
        found[label] = part.index
    return found


def _most_varied(settings: pd.DataFrame, names: list[str]) -> str:
    """The setting with the most values, of numbers if any is one."""
    numbers = [name for name in names if are_numbers(settings[name].to_numpy())]
    return max(numbers or names, key=lambda name: int(settings[name].nunique()))


def _follows(settings: pd.DataFrame, name: str, other: str) -> bool:
    """Whether one setting has a single value for each value of another."""
    return int(settings.groupby(other, dropna=False)[name].nunique(dropna=False).max()) == 1


def _mapper(values: Any) -> ScalarMappable:
    """Colours by value that get lighter in one direction, so that they survive grey."""
    positive = values.min() > 0 and values.max() >= LOG_SPAN * values.min()
    norm: Normalize = (LogNorm if positive else Normalize)(values.min(), values.max())
    # The lightest colours are hard to see on white.
    colors: Colormap = ListedColormap(colormaps["viridis"](np.linspace(0, 0.88, 256)))
    return ScalarMappable(norm, colors)
