"""Figures of studies: counts of polysemantic neurons against the laws, and features lost."""

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
    NullLocator,
    PercentFormatter,
    StrMethodFormatter,
)

from fastpolysem.families.autoencoder import theory
from fastpolysem.families.autoencoder.family import AUTOENCODER
from fastpolysem.plots._axes import COLORS, GREY, MARKERS, axes_or_new
from fastpolysem.plots._counts import series, summary_of, suspect
from fastpolysem.studies import Study

_THEORY = GREY
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
    summary = _summary("plots.collisions", study, "polysemantic")
    ax = axes_or_new(ax)
    ax.set_xscale("log", base=2)
    sizes = summary["n_features"].unique()
    hollow = suspect(study, summary)
    groups = series(study, summary, "n_hidden")
    for index, (label, rows) in enumerate(groups):
        # Series side by side: intervals at the same place would cover each other.
        shift = 1.02 ** (index - (len(groups) - 1) / 2)
        _series(ax, rows, hollow, shift, index, label or "trained, mean and 95 % interval")
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
    if hollow.any():
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


def _summary(where: str, study: Study, metric: str) -> pd.DataFrame:
    return summary_of(where, study, metric, AUTOENCODER.kind)


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


def _series(
    ax: Axes, rows: pd.DataFrame, doubtful: pd.Series[bool], shift: float, index: int, label: str
) -> None:
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
    hollow = seen[doubtful[seen.index]]
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
    groups = series(study, summary, "n_hidden")
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
