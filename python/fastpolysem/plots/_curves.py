"""Means of a result column against a setting, in series and panels."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, PercentFormatter
from numpy.typing import NDArray

from fastpolysem import _checks, families
from fastpolysem.families import family_of
from fastpolysem.plots import _scales
from fastpolysem.plots._axes import GREY, axes_or_new, panels, plain
from fastpolysem.plots._held import (
    chosen,
    chosen_setting,
    columns_of_each,
    settings_of,
    summary_of,
    suspect,
    title_of,
    warning_of,
)
from fastpolysem.plots._legends import labelled, legend, legend_above
from fastpolysem.plots._scales import Scale
from fastpolysem.plots._series import Arrangement, ColourScale, Look, Panel, Series, arrange
from fastpolysem.studies import Study

_INTERVAL = "mean and 95 % interval"
_ALONE = f"trained, {_INTERVAL}"
_LOST = "no value: all seeds diverged"
# Columns beside those of the summary, whose names no metadata have.
_AT, _LOW, _HIGH, _HOLLOW = (f"plots.{name}" for name in ("at", "low", "high", "hollow"))
_PANEL = 1.5  # inches that a panel should have
_WIDTH = 6.75
_BESIDE_SCALE = 0.75
_SIZES = {"*": 7.5, "D": 4.4, "s": 4.8}  # of markers, so that they look alike

References = Callable[[Axes, pd.DataFrame], Mapping[str, Artist]]
"""Draws laws and null models for the rows of a panel, and returns them by their labels."""


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """What is drawn of a study.

    Attributes
    ----------
    where
        The public function, for errors.
    x, y, hue, band
        As for `curve`; ``x`` and ``y`` may be None.
    log_x, log
        Whether the horizontal and the vertical axis are logarithmic; None if the values decide.
    references
        Draws what means are compared with; None for the references of the families.
    share_of
        A setting that the column is divided by: shares from 0 to 100 % are drawn.
    xlabel, ylabel
        Texts of the axes, if not the names of what they show.
    """

    where: str
    x: str | None = None
    y: str | None = None
    hue: str | None = None
    band: tuple[float, float] | None = None
    log_x: bool | None = None
    log: bool = False
    references: References | None = None
    share_of: str | None = None
    xlabel: str = ""
    ylabel: str = ""


def curve(
    study: Study,
    x: str | None = None,
    y: str | None = None,
    hue: str | None = None,
    *,
    select: Mapping[str, Any] | None = None,
    yscale: Literal["linear", "log"] = "linear",
    band: tuple[float, float] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Mean of a result column against a setting, with intervals and the family's references.

    Parameters
    ----------
    study
        Any configurations that have the column.
    x
        Name of a setting or of metadata. None: the last of the family's sizes that varies, or else
        the setting with the most values. Values that are not numbers are drawn as categories, in
        the order of the study.
    y
        Name of a result column or of a probe's column; None for the main column of the first
        configuration's family.
    hue
        Name of a setting or of metadata shown by colour; markers then show the other settings that
        vary. None: each combination of them is a series with its own colour and marker.
    select
        Draws only the configurations with these settings: keywords of `Study.select`.
    yscale
        "log" for a logarithmic vertical axis. If there are means of 0, its lowest part, below the
        first labelled number, is linear and includes 0.
    band
        Two percentiles over seeds, such as (15, 85), between which a wide pale bar is drawn at each
        mean.
    ax
        Axes to draw on; None makes a figure. Where there are panels, axes of a figure's subplots,
        whose place they take.

    Returns
    -------
    matplotlib.axes.Axes
        ``ax``, or the first axes. Bars are 95 % intervals (`Study.summary`). More than eight series
        are drawn in a panel for each combination of the settings besides ``hue``, with a colour
        scale if ``hue`` has more than eight numbers. Positive numbers of ``x`` that span a factor
        of 8 or more are on a logarithmic axis. Hollow markers warn of meaningless means:
        seeds diverged, or more than 5 % of what the models should learn is missing.

    Raises
    ------
    ValueError
        If no seed has a value, for names that the study does not have, and for more than 24 panels.
    """
    where = "plots.curve"
    log = _checks.choice(f"{where}: yscale", yscale, ("linear", "log")) == "log"
    drawing = Drawing(where=where, x=x, y=y, hue=hue, band=band, log=log)
    return draw(chosen(where, study, select), drawing, ax)


class _Shown(NamedTuple):
    """What a figure shows, and how."""

    drawing: Drawing
    study: Study
    settings: pd.DataFrame
    """All settings and metadata, one row per configuration."""
    rows: pd.DataFrame
    """The summary; `_AT` is the place of a row, `_LOW` and `_HIGH` are its percentiles, `_HOLLOW`
    whether its mean is meaningless."""
    x: str
    names: list[str] | None
    """Of categories."""
    y: str
    references: tuple[str, ...]
    """Columns of the summary with what the means are compared with."""
    beside: NDArray[np.float64]
    """Heights of what is on the axes already."""
    x_scale: Scale
    scale: Scale
    """Of the vertical axis."""
    share: float = 1.0
    """Of their width that axes keep beside a colour scale."""

    @property
    def xlabel(self) -> str:
        return plain(self.drawing.xlabel or self.x)

    @property
    def ylabel(self) -> str:
        return plain(self.drawing.ylabel or title_of(self.study, self.y))


def draw(study: Study, drawing: Drawing, ax: Axes | None) -> Axes:
    """Draw means as `curve` describes it."""
    _check_band(drawing)
    shown = _prepared(study, drawing, [] if ax is None else axes_or_new(ax).lines)
    if drawing.hue is not None:
        _checks.choice(f"{drawing.where}: hue", drawing.hue, shown.settings.columns)
    arranged = arrange(drawing.where, shown.rows, shown.settings, shown.x, drawing.hue)
    if arranged.scale is not None:
        shown = shown._replace(share=_BESIDE_SCALE)
    if len(arranged.panels) == 1:
        ax = axes_or_new(ax)
        before = labelled(ax)
        series, others = _draw_panel(ax, arranged.panels[0], shown)
        _label(ax, shown)
        if arranged.scale is not None:
            _colour_scale([ax], arranged.scale, _scales.size_of(ax)[1])
        keyed = {name: _proxy(look) for name, look in arranged.key.items()}
        if not keyed and arranged.scale is None:
            keyed = series
        single = list(series) == [_ALONE]
        title = None if single else _INTERVAL
        taken = legend(ax, keyed | before | others, title, shown.share)
        _scales.label_counts(ax.yaxis, shown.scale, _scales.size_of(ax)[1] - taken)
        return ax
    return _draw_panels(ax, arranged, shown)


def _prepared(study: Study, drawing: Drawing, lines: Iterable[Line2D]) -> _Shown:
    summary = summary_of(drawing.where, study, drawing.y)
    y = family_of(study.configs[0]).primary if drawing.y is None else drawing.y
    x = chosen_setting(drawing.where, study, drawing.x)
    # Rows of configurations that have no such column are no points, not even lost ones.
    columns, lost = columns_of_each(study), summary["diverged"] == summary["seeds"]
    has = np.array([y in columns[digest] for digest in summary["digest"]], dtype=bool)
    rows = summary[has & (summary["mean"].notna() | lost)].copy()
    settings = settings_of(study).loc[rows.index]
    rows[_HOLLOW] = suspect(study, rows)
    rows[_AT], names = _scales.places_of(settings[x].to_numpy())
    known = {name for c in study.configs for name in family_of(c).references(c).get(y, {})}
    references = tuple(name for name in rows.columns if name in known)
    if drawing.band is not None:
        ends = [_percentiles(study.values(d, drawing.y), drawing.band) for d in rows["digest"]]
        rows[_LOW], rows[_HIGH] = np.array(ends).T
    if drawing.share_of is not None:
        for name in ("mean", "ci_low", "ci_high"):
            rows[name] = rows[name] / settings[drawing.share_of]
    own = [np.ravel(line.get_ydata()) for line in lines if _is_data(line)]
    beside = np.concatenate([np.empty(0), *own])
    x_scale = Scale() if names is not None else Scale.of(rows[_AT].to_numpy(), drawing.log_x)
    shown = _Shown(
        drawing, study, settings, rows, x, names, y, references, beside, x_scale, Scale()
    )
    return shown._replace(scale=Scale.of(_heights(shown), drawing.log))


def _check_band(drawing: Drawing) -> None:
    if drawing.band is None:
        return
    label = f"{drawing.where}: band"
    ends = _checks.listed(label, drawing.band)
    if ends is None or len(ends) != 2:
        raise _checks.refused(label, "two percentiles", drawing.band, kind=TypeError)
    bounds = (">=", 0), ("<=", 100)
    low, high = (_checks.real(f"{label}[{i}]", end, *bounds) for i, end in enumerate(ends))
    if low >= high:
        raise _checks.refused(label, "two ascending percentiles", drawing.band)


def _is_data(line: Line2D) -> bool:
    return line.axes is not None and line.get_transform() == line.axes.transData


def _heights(shown: _Shown) -> NDArray[np.float64]:
    """What has to be seen on the vertical axis."""
    rows = shown.rows
    names = ("mean", *shown.references, _LOW, _HIGH)
    nothing = rows.loc[rows["mean"] == 0, "ci_high"]
    drawn = (rows[name] for name in names if name in rows)
    return np.concatenate([shown.beside, nothing, *drawn]).astype(np.float64)


def _percentiles(values: NDArray[Any], band: tuple[float, float]) -> NDArray[Any]:
    known = values[~pd.isna(values)].astype(np.float64)
    return np.percentile(known, band) if len(known) else np.full(2, np.nan)


def _draw_panels(ax: Axes | None, arranged: Arrangement, shown: _Shown) -> Axes:
    """A grid of small panels below their common legend."""
    count = len(arranged.panels)
    if ax is None:
        across = min(4, count)
        size = _WIDTH, 1.0 + _PANEL * -(-count // across)
    else:
        width, height = _scales.size_of(axes_or_new(ax))
        size = width / 72, height / 72
        across = _across(count, shown.share * width, height)
    down = -(-count // across)
    outer = panels(ax, 2, 1, size, height_ratios=[1, 3])[:, 0]
    grid = panels(outer[1], down, across, size, sharex=True, sharey=True)
    others: dict[str, Any] = {}
    used = list(grid.flat[:count])
    small = "small" if shown.share * size[0] / across > _PANEL else "x-small"
    for each, panel in zip(used, arranged.panels, strict=True):
        others |= _draw_panel(each, panel, shown)[1]
        room = shown.share * _scales.size_of(each)[0]
        title = _scales.wrapped(panel.title, room, FontProperties(size=small))
        each.set_title(title, fontsize=small, pad=3)
        _label(each, shown, small)
        _scales.label_counts(each.yaxis, shown.scale, _scales.size_of(each)[1])
        each.set(xlabel="", ylabel="")
    for each in grid.flat[count:]:
        each.set_axis_off()
    for each in used[count - across :]:
        each.xaxis.set_tick_params(which="both", labelbottom=True)
    # Once for all: small panels have no room for texts of their own.
    lowest = used[across * (down - 1) :]
    lowest[(len(lowest) - 1) // 2].set_xlabel(shown.xlabel, fontsize="small")
    grid[(down - 1) // 2, 0].set_ylabel(shown.ylabel, fontsize="small")
    if arranged.scale is not None:
        _colour_scale(used, arranged.scale, down * _scales.size_of(used[0])[1])
    keyed = {name: _proxy(look) for name, look in arranged.key.items()}
    entries = keyed | others or {"trained": _proxy(Look(GREY))}
    taken = (legend_above(outer[0], entries, _INTERVAL) + 4) / 72
    outer[0].get_gridspec().set_height_ratios([taken, max(size[1] - taken, taken)])
    first: Axes = used[0]
    return first if ax is None else ax


def _across(count: int, width: float, height: float) -> int:
    """In how many columns panels are largest."""
    return max(
        range(1, min(6, count) + 1),
        key=lambda columns: min(width / columns, 1.3 * height / -(-count // columns)),
    )


def _draw_panel(ax: Axes, panel: Panel, shown: _Shown) -> tuple[dict[str, Any], dict[str, Any]]:
    """Series, references and marks on one pair of axes; returns entries of a legend for the series
    and for the others."""
    drawing = shown.drawing
    series: dict[str, Any] = {}
    entries: dict[str, Any] = {}
    for index, one in enumerate(panel.series):
        ordered = one.rows.sort_values(_AT, kind="stable")
        at = _side_by_side(shown, ordered[_AT].to_numpy(), index, len(panel.series))
        bars = _draw_series(ax, one._replace(rows=ordered), at, shown)
        series[one.label or _ALONE] = bars
    rows = pd.concat([one.rows for one in panel.series])
    # Before the limits: matplotlib before 3.11 warns of a logarithmic axis without data.
    if drawing.references is not None:
        entries |= drawing.references(ax, rows)
    else:
        for one in panel.series:
            entries |= _references(ax, one.rows.sort_values(_AT, kind="stable"), shown)
    if drawing.band is not None:
        low, high = drawing.band
        wide = Line2D([], [], color=GREY, alpha=0.35, lw=5, solid_capstyle="butt")
        entries[f"seeds, percentiles {low:g} to {high:g}"] = wide
    lost = rows["mean"].isna()
    if lost.any():
        style: dict[str, Any] = {"color": GREY, "marker": "x", "ls": "none", "ms": 6, "mew": 1.2}
        edge = ax.get_xaxis_transform()
        ax.plot(rows.loc[lost, _AT], [0.03] * int(lost.sum()), transform=edge, **style)
        entries[_LOST] = Line2D([], [], **style)
    if rows.loc[~lost, _HOLLOW].any():
        entries[warning_of(shown.study)] = _hollow(ax, [], [], Look(GREY))
    return series, entries


def _side_by_side(
    shown: _Shown, places: NDArray[np.float64], index: int, count: int
) -> NDArray[np.float64]:
    """The places of one of several series, which would hide each other."""
    if shown.names is None:
        return shown.x_scale.side_by_side(places, index, count)
    return places + min(0.12, 0.7 / count) * (index - (count - 1) / 2)


def _draw_series(ax: Axes, series: Series, places: NDArray[np.float64], shown: _Shown) -> Any:
    """Means with their intervals; meaningless ones hollow."""
    look, known = series.look, series.rows["mean"].notna().to_numpy()
    rows, at = series.rows[known], places[known]
    middle = rows["mean"].to_numpy()
    low, high = (rows[end].fillna(rows["mean"]).to_numpy() for end in ("ci_low", "ci_high"))
    if shown.scale.log and shown.scale.threshold is None:
        low = np.maximum(low, 1e-3 * middle)  # what lies below 0 is beyond the edge
    # Every style that a theme may have set is given here.
    bars = ax.errorbar(
        at,
        middle,
        np.maximum([middle - low, high - middle], 0),
        color=look.color,
        marker=look.marker,
        ms=_SIZES.get(look.marker, 5),
        mew=1,
        mec=look.color,
        mfc=look.color,
        ls=look.dashes,
        lw=0.9,
        elinewidth=1.2,
        capsize=2.5,
        capthick=1.2,
        zorder=3,
        label=series.label or _ALONE,
    )
    if _LOW in rows:
        ends = rows[_LOW].to_numpy(), rows[_HIGH].to_numpy()
        ax.vlines(at, *ends, color=look.color, alpha=0.3, lw=5, zorder=1)
    doubtful = rows[_HOLLOW].to_numpy()
    if doubtful.any():
        ax.add_line(_hollow(ax, at[doubtful], middle[doubtful], look))
    return bars


def _hollow(ax: Axes, x: Any, y: Any, look: Look) -> Line2D:
    """Markers without a face."""
    size = _SIZES.get(look.marker, 5) + 0.5
    face = ax.get_facecolor()
    return Line2D(
        x, y, ls="none", marker=look.marker, ms=size, mfc=face, mec=look.color, mew=1.3, zorder=4
    )


def _references(ax: Axes, rows: pd.DataFrame, shown: _Shown) -> dict[str, Line2D]:
    """Lines of what the family compares the means with."""
    found: dict[str, Line2D] = {}
    headings = families.headings()
    for name, style in zip(shown.references, ("-", ":", "--", "-."), strict=False):
        held = rows[rows[name].notna()]
        if len(held):
            marker = "_" if len(held) == 1 else "none"  # a line of one point cannot be seen
            (line,) = ax.plot(
                held[_AT], held[name], color=GREY, ls=style, lw=1.2, marker=marker, ms=14, zorder=2
            )
            found[headings.get(name, name)] = line
    return found


def _label(ax: Axes, shown: _Shown, small: str | None = None) -> None:
    """Scales, ticks and texts of the axes, in small print for panels."""
    rows = shown.rows
    if shown.scale.log:
        shown.scale.apply(ax.set_yscale)
        ax.set_ylim(*shown.scale.limits(_heights(shown)))
    if shown.drawing.share_of is not None:
        ax.set_ylim(-0.05, 1.05)
        ax.yaxis.set_major_locator(FixedLocator([0, 0.25, 0.5, 0.75, 1]))
        ax.yaxis.set_major_formatter(PercentFormatter(1))
    if small is not None:
        ax.tick_params(labelsize=small)
    if shown.names is not None:
        _scales.label_names(ax, shown.names)
    else:
        _scales.label_numbers(ax, rows[_AT].to_numpy(), shown.x_scale, shown.share)
    ax.set_xlabel(_scales.fitted(ax, shown.xlabel))
    ax.set_ylabel(_scales.fitted(ax, shown.ylabel, vertical=True))


def _colour_scale(axes: list[Axes], scale: ColourScale, height: float) -> None:
    bar = axes[0].figure.colorbar(scale.mapper, ax=axes, label=plain(scale.name))
    if isinstance(scale.mapper.norm, LogNorm):
        _scales.label_counts(bar.ax.yaxis, Scale(log=True), height)


def _proxy(look: Look) -> Line2D:
    """What stands for a look in a legend."""
    size = _SIZES.get(look.marker, 5)
    return Line2D([], [], color=look.color, marker=look.marker, ls=look.dashes, ms=size, lw=1.4)
