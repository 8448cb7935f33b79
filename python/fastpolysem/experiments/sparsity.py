"""How fast l1 makes a single encoding sparse: the published law, and the one with its constants.

The number of weights that are left and their sum against time, for an encoding of its own without
interference, from normal start weights (`fastpolysem.encoding`).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from fastpolysem.experiments import _encodings
from fastpolysem.experiments._encodings import PRESETS, Encoding

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from fastpolysem.encoding import Trajectories
    from fastpolysem.studies import Progress

__all__ = ["FIGURE_SIZE", "NAME", "PRESETS", "SUMMARY", "configs", "draw", "rows", "run", "table"]

NAME = "sparsity"
SUMMARY = "Follow one encoding under l1 until one weight is left, against two laws."
FIGURE_SIZE = (6.4, 6.4)

LEAST = 300
"""The corrected law is meant for at least so many weights: fewer fluctuate."""


def configs(preset: str = "default", **changes: Any) -> list[Encoding]:
    """The settings of a preset; a list in ``changes`` gives several values of a field."""
    return _encodings.settings_of(preset, changes)


def run(
    preset: str = "default",
    *,
    seeds: int | None = None,
    path: str | os.PathLike[str] | None = None,
    num_threads: int | None = None,
    progress: bool | Callable[[Progress], object] | None = None,
    **changes: Any,
) -> list[Trajectories]:
    """Simulate what is missing in ``path``, or everything without one; runs on one core, and
    reports no progress."""
    return _encodings.simulate(preset, seeds, path, changes)


def table(data: list[Trajectories]) -> pd.DataFrame:
    """Means over seeds with 95 % intervals and the laws, one row for a time of each setting.

    ``support`` is m'; the columns after each quantity are what the laws say of it, divided by it.
    """
    import numpy as np
    import pandas as pd

    from fastpolysem import statistics, theory

    listed = []
    for one in data:
        published = theory.published_sparsification(one.t, one.n_hidden, one.l1)
        corrected = theory.sparsification(one.t, one.n_hidden, one.l1)
        for r in np.unique(np.linspace(0, len(one.t) - 1, 25).round().astype(int)):
            support = statistics.mean(one.support[:, r])
            norm = statistics.mean(one.l1_norm[:, r])
            row: dict[str, Any] = {"n_hidden": one.n_hidden, "l1": one.l1, "seeds": len(one.seeds)}
            row |= {"t": one.t[r], "support": support.value}
            row |= {"ci_low": support.low, "ci_high": support.high}
            row |= _divided("", published.support[r], corrected.support[r], support.value)
            row |= {"l1_norm": norm.value}
            row |= _divided("_norm", published.l1_norm[r], corrected.l1_norm[r], norm.value)
            listed.append(row)
    return pd.DataFrame(listed)


def _divided(ending: str, published: float, corrected: float, seen: float) -> dict[str, float]:
    import math

    return {
        f"published{ending}": published / seen if seen else math.nan,
        f"corrected{ending}": corrected / seen if seen else math.nan,
    }


def rows(data: list[Trajectories]) -> pd.DataFrame:
    """One row for each recorded time of a seed."""
    import numpy as np
    import pandas as pd

    frames = []
    for one in data:
        count, times = one.support.shape
        columns = {
            "n_hidden": one.n_hidden,
            "l1": one.l1,
            "init_scale": one.init_scale,
            "step": one.step,
            "seed": np.repeat(one.seeds, times),
            "t": np.tile(one.t, count),
        }
        for name in ("support", "l1_norm", "squared_norm", "largest", "second"):
            columns[name] = getattr(one, name).ravel()
        frames.append(pd.DataFrame(columns))
    return pd.concat(frames, ignore_index=True)


def draw(data: list[Trajectories], ax: Axes | None = None) -> Axes:
    """Weights left and their sum against time, above what the laws say divided by what is seen."""
    from fastpolysem import plots

    size = (FIGURE_SIZE[0] * len(data), FIGURE_SIZE[1])
    options: dict[str, Any] = {"sharex": "col", "height_ratios": [5, 3]}
    axes = plots.panels(ax, 2, len(data), size, **options)
    for one, (upper, lower) in zip(data, axes.T, strict=True):
        _draw(one, upper, lower)
    return ax or axes[0, 0]


def _draw(one: Trajectories, upper: Axes, lower: Axes) -> None:
    import numpy as np

    from fastpolysem import plots, statistics, theory

    after = one.t > 0
    t = one.t[after]
    published = theory.published_sparsification(t, one.n_hidden, one.l1)
    corrected = theory.sparsification(t, one.n_hidden, one.l1)
    quantities = (
        ("weights left $m'$", one.support, corrected.support, published.support),
        ("norm $||W||_1$", one.l1_norm, corrected.l1_norm, published.l1_norm),
    )
    for color, (name, values, closed, law) in zip(plots.COLORS, quantities, strict=False):
        values = values[:, after].astype(float)
        mean = values.mean(axis=0)
        upper.fill_between(t, *_encodings.band(values), color=color, alpha=0.25, lw=0)
        label = f"{name}: mean, 5th to 95th percentile of {len(values)} seeds"
        upper.plot(t, mean, color=color, lw=2.5, label=label)
        upper.plot(t, closed, color="black", lw=1, ls="--")
        upper.plot(t, law, color="black", lw=1, ls=":")
    upper.plot([], [], color="black", lw=1, ls="--", label="corrected law")
    upper.plot([], [], color="black", lw=1, ls=":", label="published law")
    upper.set(xscale="log", yscale="log", ylabel="weights left, norm")
    upper.set_title(f"m = {one.n_hidden}, $\\lambda$ = {one.l1:g}", fontsize="medium")
    upper.legend(frameon=False, fontsize="small")

    intervals = [statistics.mean(values) for values in one.support[:, after].T]
    low, high = np.array([[e.low, e.high] for e in intervals]).T
    mean = np.array([e.value for e in intervals])
    for law, style, name in (
        (corrected.support, "--", "corrected"),
        (published.support, ":", "published"),
    ):
        with np.errstate(divide="ignore", invalid="ignore"):
            ends = law / np.maximum(high, 1e-9), law / np.maximum(low, 1e-9)
            lower.fill_between(t, *ends, color=plots.COLORS[0], alpha=0.25, lw=0)
            lower.plot(t, law / mean, color="black", lw=1, ls=style, label=name)
    lower.fill_between([], [], [], color=plots.COLORS[0], alpha=0.25, lw=0, label="95 % interval")
    lower.axhspan(0.95, 1.05, color="#dddddd", lw=0, zorder=0, label="within 5 %")
    few = np.flatnonzero(mean < LEAST)
    if len(few):
        lower.axvline(t[few[0]], color="#666666", lw=0.8)
        lower.annotate(
            f" $m'$ < {LEAST}", (t[few[0]], 1.25), fontsize="small", color="#666666", va="bottom"
        )
    lower.set(
        ylim=(0, 1.5), ylabel="law / mean of $m'$", xlabel="time t (4 · learning rate · steps)"
    )
    lower.legend(frameon=False, fontsize="small", loc="lower left")
