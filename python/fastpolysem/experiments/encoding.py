"""What happens within a single encoding while l1 makes it sparse?

Three statements behind the law of sparsification (`fastpolysem.encoding`, Lecomte et al., arXiv
2312.03096, section 3): feature benefit and l1 balance each other, the relative variance of the
remaining weights stays within bounds, and the relative gap of the two largest grows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastpolysem.experiments._base import with_interval
from fastpolysem.experiments._encodings import EncodingExperiment, band, table_times

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from fastpolysem.families.autoencoder.encoding import Trajectories

_SHOWN = 5  # seeds whose gap is plotted


def _bounds(run: Trajectories) -> tuple[NDArray[Any], NDArray[Any]]:
    """Bounds on the relative variance, each (S, R)."""
    low, high = zip(
        *(run.relative_variance_bounds(index) for index in range(len(run.seeds))), strict=True
    )
    return np.array(low), np.array(high)


def _balance(run: Trajectories, ax: Axes) -> None:
    from fastpolysem import plots

    after = run.t > 0
    forces = (
        ("feature benefit $1 - ||w||^2$", 1 - run.squared_norm, "-"),
        ("$\\lambda ||w||_1$", run.l1 * run.l1_norm, "--"),
    )
    for color, (name, values, style) in zip(plots.COLORS, forces, strict=False):
        values = values[:, after]
        ax.fill_between(run.t[after], *band(values), color=color, alpha=0.25, lw=0)
        ax.plot(run.t[after], values.mean(axis=0), color=color, ls=style, lw=2, label=name)
    ax.set(yscale="log", ylabel="forces\n(mean, 5th to 95th percentile)")


def _variance(run: Trajectories, ax: Axes) -> None:
    from fastpolysem import plots
    from fastpolysem.families.autoencoder import theory

    after = run.t > 0
    t = run.t[after]
    values = np.where(run.support > 1, run.relative_variance, np.nan)[:, after]
    shown = np.isfinite(values).any(axis=0)
    ax.fill_between(t[shown], *band(values[:, shown]), color=plots.COLORS[0], alpha=0.25, lw=0)
    ax.plot(
        t[shown],
        np.nanmean(values[:, shown], axis=0),
        color=plots.COLORS[0],
        lw=2,
        label="mean, 5th to 95th percentile",
    )
    first = (run.support[0] > 1) & after
    low, high = run.relative_variance_bounds(0)
    ax.fill_between(
        run.t[first],
        low[first],
        np.minimum(high[first], 10),
        color=plots.COLORS[1],
        alpha=0.8,
        lw=0,
        label="bounds from initial weights, first seed",
    )
    law = theory.sparsification(t, run.n_hidden, run.l1).relative_variance
    ax.plot(
        t[law > 0], law[law > 0], color="black", ls="--", lw=1, label="half-normal initial weights"
    )
    for level, name in ((np.pi / 2 - 1, "$\\pi/2 - 1$"), (1, "1")):
        ax.axhline(level, color="#666666", lw=0.8, ls=":")
        ax.annotate(name, (t[0], level), fontsize="small", color="#666666", va="bottom")
    ax.set(ylim=(0, 2), ylabel="relative variance")


def _gap(run: Trajectories, ax: Axes) -> None:
    from scipy.integrate import cumulative_trapezoid

    from fastpolysem import plots

    after = run.t > 0
    t = run.t[after]
    for index in range(min(_SHOWN, len(run.seeds))):
        both = run.second[index, after] > 0
        color = plots.look(index)["color"]
        ax.plot(t, run.gap[index, after], color=color, lw=1.5, label=f"seed {run.seeds[index]}")
        if not both.any():
            continue
        growth = cumulative_trapezoid(run.l1 / run.largest[index, after][both], t[both], initial=0)
        predicted = run.gap[index, after][0] * np.exp(growth)
        ax.plot(t[both], predicted, color="black", ls="--", lw=1)
    ax.plot([], [], color="black", ls="--", lw=1, label="growth at rate $\\lambda / w_1$")
    ax.set(yscale="log", ylabel="relative gap $(w_1 - w_2) / w_1$")


class Forces(EncodingExperiment):
    """Forces, relative variance and gap within one encoding."""

    NAME = "encoding"
    SUMMARY = "Follow one encoding under l1: balance of forces, relative variance, gap."
    FIGURE_SIZE = (6.4, 9.0)

    def table(self, data: list[Trajectories]) -> pd.DataFrame:
        """Means over seeds with at least two remaining weights, one row per setting and time.

        ``balance`` is feature benefit over λ‖w‖₁, ``mean`` with its 95 % interval the relative
        variance, ``low`` and ``high`` the means of its bounds, ``closed_form`` its value for
        half-normal initial weights, and ``gap`` the relative gap of the two largest weights.
        """
        import pandas as pd

        from fastpolysem import statistics
        from fastpolysem.families.autoencoder import theory

        listed = []
        for run in data:
            law = theory.sparsification(run.t, run.n_hidden, run.l1)
            spread = run.relative_variance
            low, high = _bounds(run)
            for r in table_times(run):
                left = run.support[:, r] > 1
                if not left.any():
                    continue
                mean = statistics.mean(spread[left, r])
                push = 1 - run.squared_norm[left, r]
                listed.append(
                    {
                        "n_hidden": run.n_hidden,
                        "l1": run.l1,
                        "seeds": int(left.sum()),
                        "t": run.t[r],
                        "support": run.support[left, r].mean(),
                        "balance": (push / (run.l1 * run.l1_norm[left, r])).mean(),
                        **with_interval("mean", mean, ends="ci"),
                        "low": low[left, r].mean(),
                        "high": high[left, r].mean(),
                        "closed_form": law.relative_variance[r],
                        "gap": run.gap[left, r].mean(),
                    }
                )
        return pd.DataFrame(listed)

    def rows(self, data: list[Trajectories]) -> pd.DataFrame:
        """One row per seed and recorded time."""
        rows = super().rows(data)
        for name in ("relative_variance", "gap"):
            rows[name] = np.concatenate([getattr(run, name).ravel() for run in data])
        lows, highs = zip(*map(_bounds, data), strict=True)
        rows["relative_variance_low"] = np.concatenate([low.ravel() for low in lows])
        rows["relative_variance_high"] = np.concatenate([high.ravel() for high in highs])
        return rows

    def draw(self, data: list[Trajectories], ax: Axes | None = None) -> Axes:
        """Balance of forces, relative variance and relative gap against time."""
        axes = self._columns(data, ax, 3)
        for run, column in zip(data, axes.T, strict=True):
            _balance(run, column[0])
            _variance(run, column[1])
            _gap(run, column[2])
            title = f"m = {run.n_hidden}, $\\lambda$ = {run.l1:g}, {len(run.seeds)} seeds"
            column[0].set_title(title, fontsize="medium")
            column[2].set_xlabel("time t (4 · learning rate · steps)")
            for each in column:
                each.set_xscale("log")
                each.legend(frameon=False, fontsize="small")
        return ax or axes[0, 0]


EXPERIMENT = Forces()
