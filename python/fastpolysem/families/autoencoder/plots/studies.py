"""Figures of studies: means of counts and their distribution."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.ticker import (
    FixedLocator,
    LogLocator,
    MaxNLocator,
    NullLocator,
    PercentFormatter,
    StrMethodFormatter,
)

from fastpolysem import _checks, statistics
from fastpolysem.families.autoencoder import theory
from fastpolysem.families.autoencoder.config import Config
from fastpolysem.plots._axes import COLORS, MARKERS, axes_or_new, plain
from fastpolysem.studies import Study

_THEORY = "#666666"
_MANY_UNREPRESENTED = 0.05
_BAND = 0.18  # opacity
_ARROW = 0.4  # length of the arrow of an upper limit, as a share of it


def collisions(
    study: Study, ax: Axes | None = None, *, band: tuple[float, float] | None = None
) -> Axes:
    """Mean number of polysemantic neurons against the number of neurons, with the law and the null
    model.

    Parameters
    ----------
    study
        Any configurations. One series for each combination of the fields that vary besides
        ``n_hidden``.
    ax
        Axes to draw on; None makes a figure.
    band
        Two percentiles of the seeds between which to shade each series, such as (15, 85).

    Returns
    -------
    matplotlib.axes.Axes
        Both axes logarithmic. Bars are 95 % intervals (`Study.summary`); where not a single
        polysemantic neuron was seen, an arrow hangs from the upper end of the interval. Hollow
        markers warn of collapse: more than 5 % of the features are unrepresented there, or seeds
        diverged.
    """
    summary = _summary("plots.collisions", study)
    ax = axes_or_new(ax)
    ax.set_xscale("log", base=2)
    sizes = summary["n_features"].unique()
    groups = _groups(study, summary)
    for index, (label, rows) in enumerate(groups):
        # Series side by side: intervals at the same place would cover each other.
        shift = 1.02 ** (index - (len(groups) - 1) / 2)
        _series(ax, rows, shift, index, label or "trained, mean and 95 % interval")
        if band is not None:
            _band(ax, study, rows, band, index)
    span = np.geomspace(summary["n_hidden"].min() * 0.9, summary["n_hidden"].max() * 1.1, 200)
    for n in sizes:
        whole = np.unique(np.round(span))
        ax.plot(span, n**2 / (4 * span), color=_THEORY, lw=1, zorder=1)
        ax.plot(whole, theory.null_mean(n, whole), color=_THEORY, lw=1.5, ls=":", zorder=1)
    # After the laws: matplotlib before 3.11 warns of a logarithmic axis without data.
    ax.set_yscale("log")
    _collision_axes(ax, summary)
    handles, labels = ax.get_legend_handles_labels()
    extra: dict[str, Artist] = {
        "collision law $n^2/4m$": Line2D([], [], color=_THEORY, lw=1),
        "null model": Line2D([], [], color=_THEORY, lw=1.5, ls=":"),
    }
    if band is not None:
        name = f"seeds, percentiles {band[0]:g} to {band[1]:g}"
        extra[name] = Rectangle((0, 0), 1, 1, color=_THEORY, alpha=_BAND, lw=0)
    lost = summary.loc[summary["mean"].isna(), "n_hidden"]
    if len(lost):
        edge = ax.get_xaxis_transform()
        name = "no count: all seeds diverged"
        ax.plot(lost, [0.02] * len(lost), "x", color=_THEORY, transform=edge, clip_on=False)
        extra[name] = Line2D([], [], color=_THEORY, marker="x", ls="")
    if suspect(summary).any():
        extra["hollow: diverged or > 5 % unrepresented"] = Line2D(
            [], [], color=_THEORY, marker="o", mfc="white", ls=""
        )
    ax.legend(
        [*handles, *extra.values()],
        [*labels, *extra],
        frameon=False,
        fontsize="small",
        title="mean and 95 % interval" if any(label for label, _ in groups) else None,
        title_fontsize="small",
        alignment="left",
    )
    return ax


def _summary(where: str, study: Study, metric: str = "polysemantic") -> pd.DataFrame:
    """The summary of a study that has something to draw."""
    if not isinstance(study, Study):
        raise _checks.refused(f"{where}: study", "a Study", study, kind=TypeError)
    summary = study.summary(metric)
    if not len(summary) or not summary["mean"].notna().any():
        raise ValueError(f"{where}: study must hold a seed that did not diverge, got none")
    return summary


def _check_study(where: str, study: object) -> None:
    if not isinstance(study, Study):
        raise _checks.refused(f"{where}: study", "a Study", study, kind=TypeError)


def _groups(study: Study, summary: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """The series of a summary, with a label of what tells them apart; "" for a single one."""
    varying = [name for name in study.labels().columns if name != "n_hidden"]
    sizes = summary["n_features"].unique()
    found = []
    for key, rows in summary.groupby(varying, sort=False, dropna=False):
        label = ", ".join(
            f"{name}={_text(value)}"
            for name, value in zip(varying, key, strict=True)
            if name != "n_features" or len(sizes) > 1
        )
        found.append((plain(label), rows))
    return found


def _band(
    ax: Axes, study: Study, rows: pd.DataFrame, band: tuple[float, float], index: int
) -> None:
    rows = rows[rows["mean"].notna()].sort_values("n_hidden")
    ends = np.array([np.percentile(study.values(digest), band) for digest in rows["digest"]])
    # The logarithmic axis is cut off above 0, and so is a band that reaches down to it.
    low, high = np.maximum(ends, 1e-9).T
    color = COLORS[index % len(COLORS)]
    ax.fill_between(rows["n_hidden"], low, high, color=color, alpha=_BAND / 2, lw=0, zorder=0)
    for end in (low, high):
        ax.plot(rows["n_hidden"], end, color=color, alpha=2 * _BAND, lw=0.8, zorder=0)


def _series(ax: Axes, rows: pd.DataFrame, shift: float, index: int, label: str) -> None:
    rows = rows[rows["mean"].notna()].sort_values("n_hidden")
    style: dict[str, Any] = {"color": COLORS[index % len(COLORS)], "capsize": 2.5, "ms": 5}
    seen = rows[rows["mean"] > 0]
    x = seen["n_hidden"] * shift
    # A logarithmic axis cannot show 0 or less: there the bar reaches down to the edge.
    low = seen["ci_low"].clip(lower=seen["mean"] * 1e-3)
    bars = np.array(
        [
            seen["mean"] - low.fillna(seen["mean"]),
            seen["ci_high"].fillna(seen["mean"]) - seen["mean"],
        ]
    )
    marker = MARKERS[index % len(MARKERS)]
    ax.errorbar(x, seen["mean"], bars, fmt=marker, label=label, lw=1.2, zorder=3, **style)
    hollow = seen[suspect(seen)]
    ax.plot(
        hollow["n_hidden"] * shift,
        hollow["mean"],
        marker,
        mfc="white",
        mec=style["color"],
        ms=style["ms"],
        zorder=4,
    )
    none = rows[rows["mean"] == 0]
    if len(none):
        top = none["ci_high"]
        ax.errorbar(
            none["n_hidden"] * shift, top, yerr=top * _ARROW, uplims=True, fmt="none", **style
        )


def suspect(summary: pd.DataFrame) -> pd.Series[bool]:
    """Where a summary's counts are no measure: features are missing or seeds diverged."""
    missing = summary["unrepresented"] > _MANY_UNREPRESENTED * summary["n_features"]
    return missing | (summary["diverged"] > 0)


def _width_axis(ax: Axes, summary: pd.DataFrame) -> None:
    widths = np.unique(summary["n_hidden"])
    if len(widths) > 8:
        powers = 2.0 ** np.arange(np.floor(np.log2(widths[0])), np.ceil(np.log2(widths[-1])) + 1)
        widths = powers[(powers >= widths[0]) & (powers <= widths[-1])]
        widths = widths[:: 1 + (len(widths) > 8)]  # as many as have room for their labels
    ax.xaxis.set_major_locator(FixedLocator(list(widths)))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(StrMethodFormatter("{x:.0f}"))
    sizes = summary["n_features"].unique()
    of = f" (n = {sizes[0]} features)" if len(sizes) == 1 else ""
    ax.set_xlabel(f"hidden neurons m{of}")


def _collision_axes(ax: Axes, summary: pd.DataFrame) -> None:
    _width_axis(ax, summary)
    ax.yaxis.set_major_locator(LogLocator(base=10, subs=(1, 2, 5)))
    ax.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    ax.yaxis.set_minor_locator(NullLocator())
    ax.set_ylabel("polysemantic neurons")
    points = summary[["mean", "collision_law", "null_mean"]].to_numpy()
    limits = summary.loc[summary["mean"] == 0, "ci_high"]
    points = np.concatenate([points[points > 0], limits, limits * (1 - _ARROW)])
    ax.set_ylim(points.min() / 1.6, points.max() * 1.6)


def unrepresented(study: Study, ax: Axes | None = None) -> Axes:
    """Mean share of features that no neuron represents, against the number of neurons.

    What a count of polysemantic neurons has to be seen beside: a model that lost its features has
    none of them polysemantic.

    Parameters
    ----------
    study
        As for `collisions`, with the same series.
    ax
        Axes to draw on; None makes a figure.

    Returns
    -------
    matplotlib.axes.Axes
        Bars are 95 % intervals of the mean over seeds.
    """
    summary = _summary("plots.unrepresented", study, "unrepresented")
    ax = axes_or_new(ax)
    ax.set_xscale("log", base=2)
    groups = _groups(study, summary)
    for index, (label, rows) in enumerate(groups):
        rows = rows[rows["mean"].notna()].sort_values("n_hidden")
        n = rows["n_features"]
        share, high = rows["mean"] / n, (rows["ci_high"] / n).fillna(rows["mean"] / n)
        low = (rows["ci_low"] / n).clip(lower=0).fillna(share)
        shift = 1.02 ** (index - (len(groups) - 1) / 2)
        ax.errorbar(
            rows["n_hidden"] * shift,
            share,
            np.array([share - low, high.clip(upper=1) - share]),
            fmt=MARKERS[index % len(MARKERS)],
            color=COLORS[index % len(COLORS)],
            label=label or "trained, mean and 95 % interval",
            lw=1.2,
            capsize=2.5,
            ms=5,
        )
    ax.set_ylim(-0.05, 1.05)
    ax.yaxis.set_major_formatter(PercentFormatter(1))
    _width_axis(ax, summary)
    ax.set_ylabel("features\nunrepresented")
    ax.legend(frameon=False, fontsize="small")
    return ax


def counts(study: Study, config: Config | str | None = None, ax: Axes | None = None) -> Axes:
    """How the number of polysemantic neurons is distributed over seeds, beside the null model.

    Parameters
    ----------
    study
        Where the counts are.
    config
        A configuration of the study or its digest; may be left out if there is only one.
    ax
        Axes to draw on; None makes a figure.

    Returns
    -------
    matplotlib.axes.Axes
        Bars are shares of seeds with 95 % Wilson intervals; the null model
        (`theory.null_distribution`) is drawn where ``n_features <= 2 n_hidden``.
    """
    _check_study("plots.counts", study)
    if config is None:
        if len(study.configs) != 1:
            raise ValueError(
                f"plots.counts: config must be given for a study of {len(study.configs)} configs"
            )
        config = study.configs[0]
    digest = config.digest if isinstance(config, Config) else config
    values = study.values(digest)
    if not len(values):
        raise ValueError("plots.counts: config must have a seed that did not diverge, got none")
    chosen = next(one for one in study.configs if one.digest == digest)
    ax = axes_or_new(ax)
    n, m = chosen.n_features, chosen.n_hidden
    seen = np.bincount(values)
    k = np.arange(len(seen))
    share = np.array([statistics.proportion(int(one), len(values)) for one in seen])
    bars = np.abs(share[:, 1:] - share[:, :1]).T
    mean = statistics.mean(values)
    label = f"trained, {len(values)} seeds: mean {mean.value:.3g} ± {mean.half_width:.2g}"
    ax.bar(k, share[:, 0], 0.85, color="#A6CBE3", label=label, zorder=1)
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
    last = k[-1]
    if n <= 2 * m:
        null = theory.null_distribution(n, m)
        visible = np.flatnonzero(null > null.max() * 1e-3)
        name = f"null model: mean {float(theory.null_mean(n, m)):.3g}"
        ax.plot(visible, null[visible], "-o", color=COLORS[1], ms=3.5, lw=1.2, label=name, zorder=3)
        last = max(last, visible[-1])
    ax.set_xlim(-0.8, last + 0.8)
    ax.set_ylim(bottom=0)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_xlabel(f"polysemantic neurons (n = {n} features, m = {m} neurons)")
    ax.set_ylabel("share of seeds")
    ax.legend(frameon=False, fontsize="small")
    return ax


def _text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
