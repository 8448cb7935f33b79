"""The summary figure of the README: shared use against width, from the data of two findings.

python docs/summary.py          draws images/sharing.png
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fastpolysem import plots
from fastpolysem.experiments import classify, hidden
from fastpolysem.experiments._answers import Answers
from fastpolysem.experiments._base import with_interval
from fastpolysem.experiments._drawing import points
from fastpolysem.experiments._splits import SOURCES, over_splits

HERE = Path(__file__).parent
IMAGE = HERE / "images" / "sharing.png"
LEAST = 1e-3
"""Smaller shares are drawn at the lower edge."""
LAYERS = {
    hidden.LINEAR: "linear, tied (the paper's model)",
    hidden.RELU: "ReLU, tied",
    hidden.UNTIED: "ReLU, untied",
}
CLASSIFIERS = {"digits": "digits, ReLU classifier", "mnist1d": "MNIST-1D, ReLU classifier"}


def lines() -> dict[str, pd.DataFrame]:
    """By line: the neurons per concept, ``shared_use`` with the ends of its 95 % interval, and
    ``chance`` for classifiers."""
    kinds = Answers.read(HERE / "findings" / "hidden.parquet")
    means = hidden.EXPERIMENT.table(kinds)
    means = means[means["n_features"] == hidden.FEATURES]
    found = {}
    for arm, label in LAYERS.items():
        part = means[means["arm"] == arm]
        found[label] = part.assign(width=part["n_hidden"] / hidden.FEATURES)
    by_width = classify.chosen(Answers.read(HERE / "findings" / "classify.parquet"))
    for data, label in CLASSIFIERS.items():
        rows = []
        here = by_width[(by_width["data"] == data) & (by_width["readout"] == "dense")]
        for h, group in here.groupby("n_hidden"):
            use = over_splits(group["shared_read"], SOURCES[data].overlap)[0]
            chance = float(group["shared_read_chance"].mean())
            row = {"width": h / 10, "chance": chance, **with_interval("shared_use", use)}
            rows.append(row)
        found[label] = pd.DataFrame(rows)
    return found


def draw(ax: Axes) -> None:
    """Shared use against neurons per concept."""
    for index, (label, part) in enumerate(lines().items()):
        part = part.sort_values("width")
        style = {**plots.look(index), "ms": 3.5, "lw": 1.1, "capsize": 1.5, "elinewidth": 0.7}
        names = ["shared_use", "shared_use_low", "shared_use_high"]
        shown = part.assign(**{name: np.maximum(part[name], LEAST) for name in names})
        points(ax, shown["width"], shown, "shared_use", label=label, clip_on=False, **style)
    ax.set(xscale="log", yscale="log", xlabel="neurons per feature or class", ylim=(LEAST, 1.05))
    ax.set_ylabel("shared use")
    ax.set_xticks([1, 2, 4, 8, 16, 32], ["1", "2", "4", "8", "16", "32"])
    ax.set_yticks([LEAST, 0.01, 0.1, 1], [f"≤ {LEAST:g}", "0.01", "0.1", "1"])
    ax.minorticks_off()
    ax.legend(frameon=False, fontsize=6.5, loc="upper center", bbox_to_anchor=(0.45, -0.2), ncols=2)


def main() -> None:
    figure = Figure(figsize=(3.4, 3.0), layout="constrained")
    ax = figure.subplots()
    ax.tick_params(labelsize=7)
    for axis in (ax.xaxis, ax.yaxis):
        axis.label.set_size(8)
    draw(ax)
    figure.savefig(IMAGE, dpi=300, facecolor="white")


if __name__ == "__main__":
    main()
