"""Figures of any family's studies: means of a column with their intervals, and its distribution."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from fastpolysem import _checks, families, statistics
from fastpolysem.families import AnyConfig, Column, family_of
from fastpolysem.plots._axes import COLORS, GREY, MARKERS, axes_or_new, plain
from fastpolysem.studies import Study

MANY_UNLEARNED = 0.05
"""Share of what a model was to learn and did not from which on its counts are no measure."""

_LOG_SPAN = 8  # a setting that varies by this factor gets a logarithmic axis
_MOST_BARS = 200


def means(
    study: Study, metric: str | None = None, x: str | None = None, ax: Axes | None = None
) -> Axes:
    """Mean of a result column against a setting, with intervals and the family's references.

    Parameters
    ----------
    study
        Any configurations that have the column. One series for each combination of the other
        settings and metadata that vary.
    metric
        Name of a result column; None for what the family of the first configuration is about.
    x
        Name of a setting or of metadata. None: the last of the family's sizes that varies, or else
        the only setting that does. What is not a number is drawn as categories, in the order of
        the study.
    ax
        Axes to draw on; None makes a figure.

    Returns
    -------
    matplotlib.axes.Axes
        Bars are 95 % intervals (`Study.summary`). Positive numbers that span a factor of 8 or more
        are on a logarithmic axis. Hollow markers warn of means that are no measure: seeds diverged,
        or more than 5 % of what the models were to learn is missing.

    Raises
    ------
    ValueError
        If no seed has a value, and for names that the study does not hold.
    """
    where = "plots.means"
    summary = summary_of(where, study, metric)
    column = _column(where, study, metric)
    name = _setting(where, study, x)
    held = {
        config.digest: config
        for config in study.configs
        if column.name in [one.name for one in family_of(config).columns(config)]
    }
    summary = summary[summary["digest"].isin(held)]
    given = _labels_of(study)[name].to_numpy()[summary.index]
    places, ticks = _places(given)
    ax = axes_or_new(ax)
    at = pd.Series(places, index=summary.index)
    hollow = suspect(study, summary)
    lines: dict[str, Line2D] = {}
    for index, (label, unordered) in enumerate(series(study, summary, name)):
        color, marker = COLORS[index % len(COLORS)], MARKERS[index % len(MARKERS)]
        rows = unordered.loc[at[unordered.index].sort_values(kind="stable").index]
        for style, (title, points) in zip(
            ("-", ":", "--", "-."), _references(at, rows, held, column.name).items(), strict=False
        ):
            (lines[title],) = ax.plot(*points, color=GREY, ls=style, lw=1.2, zorder=1)
        rows = rows[rows["mean"].notna()]
        middle = rows["mean"].to_numpy()
        low, high = (rows[end].fillna(rows["mean"]).to_numpy() for end in ("ci_low", "ci_high"))
        bars = np.array([middle - low, high - middle])
        options: dict[str, Any] = {"color": color, "lw": 1.2, "capsize": 2.5, "ms": 5}
        ax.errorbar(
            at[rows.index],
            middle,
            bars,
            fmt=marker,
            label=label or "trained, mean and 95 % interval",
            zorder=3,
            **options,
        )
        doubtful = rows[hollow[rows.index]]
        ax.plot(
            at[doubtful.index], doubtful["mean"], marker, mfc="white", mec=color, ms=5, zorder=4
        )
    if ticks is not None:
        ax.set_xticks(range(len(ticks)), [plain(tick) for tick in ticks])
    elif places.min() > 0 and places.max() >= _LOG_SPAN * places.min():
        ax.set_xscale("log")
    ax.set_xlabel(plain(name))
    ax.set_ylabel(plain(column.title))
    handles, labels = ax.get_legend_handles_labels()
    if hollow.any():
        lines["hollow: no measure (diverged or not learned)"] = Line2D(
            [], [], color=GREY, marker="o", mfc="white", ls=""
        )
    ax.legend([*handles, *lines.values()], [*labels, *lines], frameon=False, fontsize="small")
    return ax


def counts(
    study: Study,
    config: AnyConfig | str | None = None,
    ax: Axes | None = None,
    *,
    metric: str | None = None,
) -> Axes:
    """How a count is distributed over seeds, beside the family's null model if there is one.

    Parameters
    ----------
    study
        Where the counts are.
    config
        A configuration of the study or its digest; may be left out if there is only one.
    ax
        Axes to draw on; None makes a figure.
    metric
        Name of a result column of whole numbers; None for what the configuration's family is about,
        "polysemantic" for the autoencoder.

    Returns
    -------
    matplotlib.axes.Axes
        Bars are shares of seeds with 95 % Wilson intervals, for each value or, where values spread
        over more than 200, for ranges of equal length. The null model's line shows the share of
        seeds that it expects.

    Raises
    ------
    KeyError
        If the study does not hold the configuration.
    ValueError
        If the column holds no whole numbers, and if no seed has a value.
    """
    where = "plots.counts"
    checked_study(where, study)
    if config is None:
        if len(study.configs) != 1:
            raise ValueError(
                f"{where}: config must be given for a study of {len(study.configs)} configs"
            )
        config = study.configs[0]
    given = study.values(config, metric)
    digest = config if isinstance(config, str) else config.digest
    chosen = next(one for one in study.configs if one.digest == digest)
    family = family_of(chosen)
    known = {column.name: column for column in family.columns(chosen)}
    column = known[family.primary if metric is None else metric]
    if not column.is_count:
        whole = [one.name for one in known.values() if one.is_count]
        _checks.choice(f"{where}: metric", column.name, whole)
    values = given[~np.isnan(given)].astype(np.int64)
    if not len(values):
        raise ValueError(f"{where}: config must have a seed that did not diverge, got none")
    ax = axes_or_new(ax)
    first, width = _histogram(ax, values, column)
    last = int(values.max())
    null = family.distribution(chosen, column.name)
    if null is not None:
        visible = np.flatnonzero(null > null.max() * 1e-3)
        first = min(first, visible[0])
        name = f"null model: mean {float(null @ np.arange(len(null))):.3g}"
        style: dict[str, Any] = {"color": COLORS[1], "ms": 3.5, "lw": 1.2, "zorder": 3}
        ax.plot(visible, null[visible] * width, "-o", label=name, **style)
        last = max(last, visible[-1])
    ax.set_xlim(first - 0.8 * width, last + 0.8 * width)
    ax.set_ylim(bottom=0)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_xlabel(f"{plain(column.title)} ({plain(family.describe(chosen))})")
    ax.set_ylabel("share of seeds")
    ax.legend(frameon=False, fontsize="small")
    return ax


def _histogram(ax: Axes, values: NDArray[np.int64], column: Column) -> tuple[int, int]:
    """Shares of seeds with their intervals, from 0 if it is near; returns where they begin, and how
    many whole numbers a bar stands for."""
    least, most = int(values.min()), int(values.max())
    if most - min(0, least) < _MOST_BARS:
        least = min(0, least)
    width = -(-(most - least + 1) // _MOST_BARS)
    seen = np.bincount((values - least) // width)
    k = least + width * np.arange(len(seen)) + (width - 1) / 2
    share = np.array([statistics.proportion(int(one), len(values)) for one in seen])
    bars = np.abs(share[:, 1:] - share[:, :1]).T
    mean = statistics.mean(values, bounds=column.bounds)
    label = f"trained, {len(values)} seeds: mean {mean.value:.3g} ± {mean.half_width:.2g}"
    ax.bar(k, share[:, 0], 0.85 * width, color="#A6CBE3", label=label, zorder=1)
    occupied = seen > 0
    ax.errorbar(
        k[occupied],
        share[occupied, 0],
        bars[:, occupied],
        fmt="none",
        ecolor=COLORS[0],
        lw=1,
        capsize=2,
        zorder=2,
    )
    return least, width


def checked_study(where: str, study: object) -> None:
    """Refuse what is no study."""
    if not isinstance(study, Study):
        raise _checks.refused(f"{where}: study", "a Study", study, kind=TypeError)


def summary_of(
    where: str, study: Study, metric: str | None = None, kind: str | None = None
) -> pd.DataFrame:
    """The summary of a study that has something to draw, of one family's configurations only."""
    checked_study(where, study)
    own = [config.digest for config in study.configs if kind in (None, family_of(config).kind)]
    if study.configs and not own:
        raise ValueError(f"{where}: study must hold a config of the {kind}, got none")
    summary = study.summary(metric)
    if len(summary):
        summary = summary[summary["digest"].isin(own)]
    if not len(summary) or not summary["mean"].notna().any():
        raise ValueError(f"{where}: study must hold a seed that did not diverge, got none")
    return summary


def series(study: Study, summary: pd.DataFrame, x: str) -> list[tuple[str, pd.DataFrame]]:
    """The series of a summary, with a label of what tells them apart; "" for a single one."""
    kinds = list({id(f): f for f in map(family_of, study.configs)}.values())
    sizes = {name for family in kinds for name in family.sizes}
    varying, said = [], set()
    for name in study.labels().columns:
        several = summary[name].nunique(dropna=False) > 1
        if name != x and (several or len(kinds) == 1):
            varying.append(name)
            if several or name not in sizes:
                said.add(name)
    if not varying:
        return [("", summary)]
    found = []
    for key, rows in summary.groupby(varying, sort=False, dropna=False):
        label = ", ".join(
            f"{name}={_text(value)}"
            for name, value in zip(varying, key, strict=True)
            if name in said and not pd.isna(value)
        )
        found.append((plain(label), rows))
    return found


def suspect(study: Study, summary: pd.DataFrame) -> pd.Series[bool]:
    """Where a summary's means are no measure: seeds diverged, or models failed to learn."""
    missing = []
    held = {config.digest: config for config in study.configs}
    for digest in summary["digest"]:
        unlearned = family_of(held[digest]).unlearned(held[digest])
        share = 0.0
        if unlearned is not None:
            column, total = unlearned
            values = study.values(digest, column)
            share = float(np.mean(values)) / total if len(values) else 0.0
        missing.append(share > MANY_UNLEARNED)
    return (summary["diverged"] > 0) | np.array(missing, dtype=bool)


def _column(where: str, study: Study, metric: str | None) -> Column:
    """The column that is drawn."""
    known: dict[str, Column] = {}
    for config in study.configs:
        known |= {one.name: one for one in family_of(config).columns(config)}
    name = family_of(study.configs[0]).primary if metric is None else metric
    return known[_checks.choice(f"{where}: metric", name, known)]


def _labels_of(study: Study) -> pd.DataFrame:
    """All settings and metadata of the configurations, one row each."""
    labels = study.labels()
    settings = [family_of(config).settings(config) for config in study.configs]
    for name in dict.fromkeys(name for one in settings for name in one):
        if name not in labels:
            labels[name] = [one.get(name) for one in settings]
    return labels


def _setting(where: str, study: Study, x: str | None) -> str:
    """What stands on the horizontal axis."""
    if x is not None:
        return _checks.choice(f"{where}: x", x, _labels_of(study).columns)
    labels = study.labels()
    varying = [name for name in labels if labels[name].nunique(dropna=False) > 1]
    sizes = family_of(study.configs[0]).sizes
    chosen = [name for name in varying if name in sizes] or varying or list(sizes)
    if len(varying) > 1 and not set(varying) & set(sizes):
        raise ValueError(f"{where}: x must be given where several vary: {', '.join(varying)}")
    return str(chosen[-1])


def _places(given: NDArray[Any]) -> tuple[NDArray[np.float64], list[str] | None]:
    """Where values of a setting stand, and what is written there if they are no numbers."""
    plain_numbers = all(
        isinstance(one, (int, float, np.number)) and not isinstance(one, (bool, np.bool_))
        for one in given
    )
    if plain_numbers and not pd.isna(given).any():
        return given.astype(np.float64), None
    names = [_text(one) for one in given]
    order = list(dict.fromkeys(names))
    return np.array([order.index(name) for name in names], dtype=np.float64), order


def _references(
    at: pd.Series[float], rows: pd.DataFrame, held: dict[str, Any], metric: str
) -> dict[str, tuple[list[float], list[float]]]:
    """Of each reference of the metric its heading, and where it lies."""
    found: dict[str, tuple[list[float], list[float]]] = {}
    headings = families.headings()
    for place, digest in zip(at[rows.index], rows["digest"], strict=True):
        config = held[digest]
        for name, value in family_of(config).references(config).get(metric, {}).items():
            x, y = found.setdefault(headings.get(name, name), ([], []))
            x.append(place)
            y.append(value)
    return found


def _text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
