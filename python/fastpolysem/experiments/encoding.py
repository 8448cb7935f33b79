"""What goes on inside a single encoding while l1 makes it sparse.

Three statements behind the law of sparsification (`fastpolysem.encoding`, Lecomte et al., arXiv
2312.03096, section 3): feature benefit and l1 balance each other, the relative variance of the
weights that are left stays between bounds, and the relative gap of the two largest grows.
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
    from numpy.typing import NDArray

    from fastpolysem.encoding import Trajectories
    from fastpolysem.studies import Progress

__all__ = ["FIGURE_SIZE", "NAME", "PRESETS", "SUMMARY", "configs", "draw", "rows", "run", "table"]

NAME = "encoding"
SUMMARY = "Follow one encoding under l1: the balance of forces, the relative variance, the gap."
FIGURE_SIZE = (6.4, 9.0)

_SHOWN = 5  # seeds of which the gap is drawn


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
    """Means over the seeds that have two weights or more left, one row for a time of each setting.

    ``balance`` is feature benefit over λ‖w‖₁, ``mean`` with its 95 % interval the relative
    variance, ``low`` and ``high`` the means of its bounds, ``closed_form`` that of half-normal
    start weights, ``gap`` the relative gap of the two largest.
    """
    import numpy as np
    import pandas as pd

    from fastpolysem import statistics, theory

    listed = []
    for one in data:
        law = theory.sparsification(one.t, one.n_hidden, one.l1)
        spread = one.relative_variance
        low, high = _bounds(one)
        for r in np.unique(np.linspace(0, len(one.t) - 1, 25).round().astype(int)):
            left = one.support[:, r] > 1
            if not left.any():
                continue
            mean = statistics.mean(spread[left, r])
            push = 1 - one.squared_norm[left, r]
            listed.append(
                {
                    "n_hidden": one.n_hidden,
                    "l1": one.l1,
                    "seeds": int(left.sum()),
                    "t": one.t[r],
                    "support": one.support[left, r].mean(),
                    "balance": (push / (one.l1 * one.l1_norm[left, r])).mean(),
                    "mean": mean.value,
                    "ci_low": mean.low,
                    "ci_high": mean.high,
                    "low": low[left, r].mean(),
                    "high": high[left, r].mean(),
                    "closed_form": law.relative_variance[r],
                    "gap": one.gap[left, r].mean(),
                }
            )
    return pd.DataFrame(listed)


def rows(data: list[Trajectories]) -> pd.DataFrame:
    """One row for each recorded time of a seed."""
    import numpy as np

    from fastpolysem.experiments import sparsity

    listed = sparsity.rows(data)
    for name in ("relative_variance", "gap"):
        listed[name] = np.concatenate([getattr(one, name).ravel() for one in data])
    bounds = [_bounds(one) for one in data]
    for name, place in (("relative_variance_low", 0), ("relative_variance_high", 1)):
        listed[name] = np.concatenate([both[place].ravel() for both in bounds])
    return listed


def _bounds(one: Trajectories) -> tuple[NDArray[Any], NDArray[Any]]:
    """Bounds on the relative variance, (S, R) each."""
    import numpy as np

    low, high = zip(
        *(one.relative_variance_bounds(index) for index in range(len(one.seeds))), strict=True
    )
    return np.array(low), np.array(high)


def draw(data: list[Trajectories], ax: Axes | None = None) -> Axes:
    """Balance of forces, relative variance and relative gap against time."""
    from fastpolysem import plots

    size = (FIGURE_SIZE[0] * len(data), FIGURE_SIZE[1])
    axes = plots.panels(ax, 3, len(data), size, sharex="col")
    for one, column in zip(data, axes.T, strict=True):
        _balance(one, column[0])
        _variance(one, column[1])
        _gap(one, column[2])
        title = f"m = {one.n_hidden}, $\\lambda$ = {one.l1:g}, {len(one.seeds)} seeds"
        column[0].set_title(title, fontsize="medium")
        column[2].set_xlabel("time t (4 · learning rate · steps)")
        for each in column:
            each.set_xscale("log")
            each.legend(frameon=False, fontsize="small")
    return ax or axes[0, 0]


def _balance(one: Trajectories, ax: Axes) -> None:
    from fastpolysem import plots

    after = one.t > 0
    forces = (
        ("feature benefit $1 - ||w||^2$", 1 - one.squared_norm, "-"),
        ("$\\lambda ||w||_1$", one.l1 * one.l1_norm, "--"),
    )
    for color, (name, values, style) in zip(plots.COLORS, forces, strict=False):
        values = values[:, after]
        ax.fill_between(one.t[after], *_encodings.band(values), color=color, alpha=0.25, lw=0)
        ax.plot(one.t[after], values.mean(axis=0), color=color, ls=style, lw=2, label=name)
    ax.set(yscale="log", ylabel="forces\n(mean, 5th to 95th percentile)")


def _variance(one: Trajectories, ax: Axes) -> None:
    import numpy as np

    from fastpolysem import plots, theory

    after = one.t > 0
    t = one.t[after]
    values = np.where(one.support > 1, one.relative_variance, np.nan)[:, after]
    shown = np.isfinite(values).any(axis=0)
    ax.fill_between(
        t[shown], *_encodings.band(values[:, shown]), color=plots.COLORS[0], alpha=0.25, lw=0
    )
    ax.plot(
        t[shown],
        np.nanmean(values[:, shown], axis=0),
        color=plots.COLORS[0],
        lw=2,
        label="mean, 5th to 95th percentile",
    )
    first = (one.support[0] > 1) & after
    low, high = one.relative_variance_bounds(0)
    ax.fill_between(
        one.t[first],
        low[first],
        np.minimum(high[first], 10),
        color=plots.COLORS[1],
        alpha=0.8,
        lw=0,
        label="bounds by the start weights, first seed",
    )
    law = theory.sparsification(t, one.n_hidden, one.l1).relative_variance
    ax.plot(
        t[law > 0], law[law > 0], color="black", ls="--", lw=1, label="half-normal start weights"
    )
    for level, name in ((np.pi / 2 - 1, "$\\pi/2 - 1$"), (1, "1")):
        ax.axhline(level, color="#666666", lw=0.8, ls=":")
        ax.annotate(name, (t[0], level), fontsize="small", color="#666666", va="bottom")
    ax.set(ylim=(0, 2), ylabel="relative variance")


def _gap(one: Trajectories, ax: Axes) -> None:
    import numpy as np
    from scipy.integrate import cumulative_trapezoid

    from fastpolysem import plots

    after = one.t > 0
    t = one.t[after]
    for index in range(min(_SHOWN, len(one.seeds))):
        both = one.second[index, after] > 0
        color = plots.COLORS[index]
        ax.plot(t, one.gap[index, after], color=color, lw=1.5, label=f"seed {one.seeds[index]}")
        if not both.any():
            continue
        growth = cumulative_trapezoid(one.l1 / one.largest[index, after][both], t[both], initial=0)
        predicted = one.gap[index, after][0] * np.exp(growth)
        ax.plot(t[both], predicted, color="black", ls="--", lw=1)
    ax.plot([], [], color="black", ls="--", lw=1, label="growth by $\\lambda / w_1$")
    ax.set(yscale="log", ylabel="relative gap $(w_1 - w_2) / w_1$")
