"""The figure of the page on co-occurrence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from fastpolysem import plots
from fastpolysem.experiments._answers import OPTIMIZERS, Answers
from fastpolysem.experiments._drawing import points
from fastpolysem.experiments.cooccurrence import (
    EXPERIMENT,
    SAME,
    STRENGTHS,
    curve_of,
    sums_over_pairs,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def drawn(data: Answers, ax: Axes | None, size: tuple[float, float]) -> Axes:
    """Draw the three panels in the place of the axes, or in a new figure."""
    upper, middle, lower = plots.panels(ax, 3, 1, size, sharex=True)[:, 0]
    means = EXPERIMENT.table(data)
    means = means[means["strength"] > 0]
    pairs, ratio = means["inputs"] == "all pairs", means["n_hidden"] / means["n_features"]
    _draw_sizes(upper, means[pairs & (ratio == 2)])
    _draw_widths(middle, means[pairs & (means["l1"] == 0.03)])
    _draw_kinds(lower, means, data)
    for each in (upper, middle, lower):
        curve = curve_of(data, "adamw")
        if curve is not None:
            x = np.geomspace(0.015, 0.5, 100)
            each.plot(x, curve.at(x), color="#888888", lw=1, zorder=0)
        each.set(
            xscale="log",
            xlim=(0.013, 0.6),
            ylim=(0, 1.15),
            ylabel="pairs on one neuron,\nshare remaining",
        )
        each.set_xticks(STRENGTHS, [f"{x:g}" for x in STRENGTHS])
        each.minorticks_off()
        if each.get_legend_handles_labels()[0]:
            each.legend(frameon=False, fontsize=7, loc="upper right")
    lower.set_xlabel("q/λ: rate at which a pair is active\ntogether, per step, divided by l1")
    return ax or upper


def _draw_sizes(ax: Axes, means: pd.DataFrame) -> None:
    """All pairs: colours and markers for n, hollow for SGD; sizes side by side."""
    groups = list(means.groupby(SAME))
    sizes: list[int] = sorted(means["n_features"].unique())
    named: set[int] = set()
    for index, ((n, _, _, optimizer), part) in enumerate(groups):
        look = plots.look(sizes.index(n), "color", "marker")
        # Settings at the same place side by side.
        place = part["strength"] * 1.02 ** (index - len(groups) / 2)
        fill = optimizer != "sgd"
        label = f"n = {n}" if fill and n not in named else None
        named |= {n} if fill else set()
        _points(ax, place, part, look, label, fill)
    if (means["optimizer"] == "sgd").any():
        ax.plot([], [], "o", mfc="white", mec="#444444", ms=4, label="hollow: SGD")


def _draw_widths(ax: Axes, means: pd.DataFrame) -> None:
    """All pairs at λ = 0.03: colours and markers for m/n, hollow for SGD, widths side by side."""
    ratios: list[float] = sorted((means["n_hidden"] / means["n_features"]).unique())
    for index, ratio in enumerate(ratios):
        look = plots.look(index, "color", "marker")
        label: str | None = "m = n" if ratio == 1 else f"m = {ratio:g}n"
        for optimizer in OPTIMIZERS:
            part = means[(means["n_hidden"] == ratio * means["n_features"])]
            part = part[part["optimizer"] == optimizer]
            place = part["strength"] * 1.06 ** (index - len(ratios) / 2)
            if len(part):
                _points(ax, place, part, look, label, optimizer != "sgd")
                label = None


def _draw_kinds(ax: Axes, means: pd.DataFrame, data: Answers) -> None:
    """Couples and independent features, and the classes of pairs under Zipf rates."""
    chosen = means[means["optimizer"] == "adamw"]
    for index, kind in enumerate(("couples", "independent")):
        part = chosen[chosen["inputs"] == kind]
        if len(part):
            place = part["strength"] * 1.08 ** (2 * index - 1)
            _points(ax, place, part, plots.look(index, "color", "marker"), kind, True)
    classes = pd.DataFrame(sums_over_pairs(data))
    if len(classes):
        shown = classes.rename(columns=lambda name: name.replace("left", "relative"))
        shown = shown[(shown["x"] >= 0.013) & (shown["x"] <= 0.5)]
        look = plots.look(2, "color") | {"marker": "D"}
        _points(ax, shown["x"], shown, look, "Zipf, by class of pairs", True)


def _points(
    ax: Axes, x: Any, part: pd.DataFrame, look: dict[str, Any], label: str | None, fill: bool
) -> None:
    style = {**look, "ls": "none", "ms": 3.5, "lw": 0.8, "label": label}
    points(ax, x, part, "relative", **style, mfc=look["color"] if fill else "white", capsize=0)
