"""The figure of `hidden`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastpolysem.experiments._drawing import legend, points

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

SHOWN = ("linear", "ReLU", "GELU", "tanh", "ReLU, biases", "ReLU, untied")
"""Arms of the panel against widths."""
SHAPES = {
    "alone": "alone on one neuron or several",
    "in_pairs": "pairs on one neuron",
    "in_triangles": "triangles on three",
    "in_larger": "larger groups",
}
LEAST = 1e-4
"""Least share on the logarithmic axis; shares of 0 are left out."""


def draw(means: pd.DataFrame, ax: Axes | None, size: tuple[float, float]) -> Axes:
    """Four panels in place of the axes: `HiddenLayers.draw`; of several strengths of l1, the first
    is drawn."""
    from fastpolysem import plots

    axes = plots.panels(ax, 2, 2, size)
    means = means.drop_duplicates(["n_features", "n_hidden", "arm"])
    means = means.assign(ratio=means["n_hidden"] / means["n_features"])
    features = sorted(means["n_features"].unique())
    main = 32 if 32 in features else features[-1]
    here = means[means["n_features"] == main]
    _against_width(axes[0, 0], here)
    _shapes(axes[0, 1], here)
    _law(axes[1, 0], means)
    _together(axes[1, 1], here)
    return ax or axes[0, 0]


def _style(index: int) -> dict[str, Any]:
    from fastpolysem.plots import _axes

    return {**_axes.look(index), "ms": 4.5, "lw": 1.2, "capsize": 2}


def _ticks(axes: Axes, ratios: Any) -> None:
    axes.set_xscale("log")
    axes.set_xticks(ratios, [f"{ratio:g}" for ratio in ratios])
    axes.minorticks_off()
    axes.set_xlabel("neurons per feature, m/n")


def _against_width(axes: Axes, here: pd.DataFrame) -> None:
    shown = here[here["arm"].isin(SHOWN)]
    for index, arm in enumerate(SHOWN):
        part = shown[shown["arm"] == arm].sort_values("ratio")
        if len(part):
            points(axes, part["ratio"], part, "shared_use", label=arm, **_style(index))
    _ticks(axes, sorted(shown["ratio"].unique()))
    axes.set_ylabel("shared use")
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False, fontsize="small", title="tied unless stated")
    axes.set_title(f"n = {here['n_features'].iloc[0]}, means and 95 % intervals", fontsize="medium")


def _shapes(axes: Axes, here: pd.DataFrame) -> None:
    from fastpolysem.plots import _axes

    narrow = min(here["ratio"], key=lambda ratio: abs(ratio - 1))
    part = here[(here["ratio"] == narrow) & here["arm"].isin(SHOWN)]
    at = np.arange(len(part))
    left = np.zeros(len(part))
    shares = part.assign(alone=1 - part["shared_features"])
    hatches = ("", "//", "..", "xx")
    for index, (name, what) in enumerate(SHAPES.items()):
        color = "#DDDDDD" if not index else _axes.COLORS[index - 1]
        width = shares[name].to_numpy()
        options: dict[str, Any] = {"color": color, "hatch": hatches[index], "edgecolor": "white"}
        axes.barh(at, width, left=left, label=what, lw=0.5, **options)
        left += width
    axes.set_yticks(at, list(part["arm"]))
    axes.invert_yaxis()
    axes.set_xlim(0, 1)
    axes.set_xlabel(f"share of features at m = {part['n_hidden'].iloc[0]}")
    axes.set_ylabel("hidden layer")
    axes.legend(
        frameon=False, fontsize="small", ncols=2, loc="lower center", bbox_to_anchor=(0.5, 1)
    )


def _law(axes: Axes, means: pd.DataFrame) -> None:
    from fastpolysem.plots import _axes

    sizes = sorted(means["n_features"].unique())
    for kind, arm in enumerate(("linear", "ReLU")):
        for index, n in enumerate(sizes):
            part = means[(means["arm"] == arm) & (means["n_features"] == n)].sort_values("ratio")
            part = part[(part["shared_use"] > 0) & (part["ratio"] >= 1)]
            style = _style(index) | {"color": _axes.COLORS[kind], "ls": "--" if kind else "-"}
            points(axes, part["ratio"], part, "shared_use", label=f"{arm}, n = {n}", **style)
    axes.set_xlabel("neurons per feature, m/n")
    axes.set_yscale("log")
    axes.set_ylim(LEAST, 1)
    axes.set_ylabel("shared use")
    axes.legend(frameon=False, fontsize="small", ncols=2, loc="center right")


def _together(axes: Axes, here: pd.DataFrame) -> None:
    for index, arm in enumerate(("linear", "ReLU")):
        for shift, ratio in enumerate((1.0, 1.5)):
            rows = here[here["ratio"] == ratio]
            at, parts = [], []
            for probability, name in (
                (0.0, arm),
                (0.03, f"{arm}, p = 0.03"),
                (0.1, f"{arm}, p = 0.1"),
            ):
                part = rows[rows["arm"] == name]
                if len(part):
                    at.append(probability)
                    parts.append(part)
            if parts:
                import pandas as pd

                style = _style(index) | {"ls": ("-", "--")[shift], "mfc": (None, "white")[shift]}
                label = f"{arm}, m = {ratio:g}n".replace("1n", "n")
                points(axes, at, pd.concat(parts), "shared_features", label=label, **style)
    axes.set_xlabel("probability of each feature (0: one at a time)")
    axes.set_ylabel("share of features in groups")
    axes.set_ylim(0, 1)
    legend(axes, frameon=False, fontsize="small")
