"""How fast does l1 make a single encoding sparse?

The number of remaining weights and their sum against time, compared with the published law and with
one that includes the constants, for a single encoding without interference and with normal initial
weights (`fastpolysem.encoding`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastpolysem.experiments._base import with_interval
from fastpolysem.experiments._encodings import EncodingExperiment, band, table_times

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from fastpolysem.families.autoencoder.encoding import Trajectories

LEAST = 300
"""Smallest number of weights for which the corrected law is intended; fewer fluctuate."""


def _divided(ending: str, published: float, corrected: float, seen: float) -> dict[str, float]:
    return {
        f"published{ending}": published / seen if seen else np.nan,
        f"corrected{ending}": corrected / seen if seen else np.nan,
    }


def _quantities(run: Trajectories, ax: Axes) -> None:
    from fastpolysem import plots
    from fastpolysem.families.autoencoder import theory

    after = run.t > 0
    t = run.t[after]
    published = theory.published_sparsification(t, run.n_hidden, run.l1)
    corrected = theory.sparsification(t, run.n_hidden, run.l1)
    quantities = (
        ("remaining weights $m'$", run.support, corrected.support, published.support),
        ("norm $||W||_1$", run.l1_norm, corrected.l1_norm, published.l1_norm),
    )
    for color, (name, values, closed, law) in zip(plots.COLORS, quantities, strict=False):
        values = values[:, after].astype(float)
        ax.fill_between(t, *band(values), color=color, alpha=0.25, lw=0)
        label = f"{name}: mean, 5th to 95th percentile of {len(values)} seeds"
        ax.plot(t, values.mean(axis=0), color=color, lw=2.5, label=label)
        ax.plot(t, closed, color="black", lw=1, ls="--")
        ax.plot(t, law, color="black", lw=1, ls=":")
    ax.plot([], [], color="black", lw=1, ls="--", label="corrected law")
    ax.plot([], [], color="black", lw=1, ls=":", label="published law")
    ax.set(xscale="log", yscale="log", ylabel="remaining weights, norm")
    ax.set_title(f"m = {run.n_hidden}, $\\lambda$ = {run.l1:g}", fontsize="medium")
    ax.legend(frameon=False, fontsize="small")


def _ratios(run: Trajectories, ax: Axes) -> None:
    from fastpolysem import plots, statistics
    from fastpolysem.families.autoencoder import theory

    after = run.t > 0
    t = run.t[after]
    mean, low, high = np.array([statistics.mean(values) for values in run.support[:, after].T]).T
    for law, style, name in (
        (theory.sparsification(t, run.n_hidden, run.l1), "--", "corrected"),
        (theory.published_sparsification(t, run.n_hidden, run.l1), ":", "published"),
    ):
        with np.errstate(divide="ignore", invalid="ignore"):
            ends = law.support / np.maximum(high, 1e-9), law.support / np.maximum(low, 1e-9)
            ax.fill_between(t, *ends, color=plots.COLORS[0], alpha=0.25, lw=0)
            ax.plot(t, law.support / mean, color="black", lw=1, ls=style, label=name)
    ax.fill_between([], [], [], color=plots.COLORS[0], alpha=0.25, lw=0, label="95 % interval")
    ax.axhspan(0.95, 1.05, color="#dddddd", lw=0, zorder=0, label="within 5 %")
    few = t[mean < LEAST]
    if len(few):
        ax.axvline(few[0], color="#666666", lw=0.8)
        note: dict[str, Any] = {"fontsize": "small", "color": "#666666", "va": "bottom"}
        ax.annotate(f" $m'$ < {LEAST}", (few[0], 1.25), **note)
    ax.set(ylim=(0, 1.5), ylabel="law / mean of $m'$", xlabel="time t (4 · learning rate · steps)")
    ax.legend(frameon=False, fontsize="small", loc="lower left")


class Sparsity(EncodingExperiment):
    """Remaining weights and their sum against time, compared with two laws."""

    NAME = "sparsity"
    SUMMARY = "Follow one encoding under l1 until one weight remains, and compare with two laws."
    FIGURE_SIZE = (6.4, 6.4)

    def table(self, data: list[Trajectories]) -> pd.DataFrame:
        """Means over seeds with 95 % intervals, and the laws, one row per setting and time.

        ``support`` is m'. The columns after each quantity are the predictions of the laws divided
        by it.
        """
        import pandas as pd

        from fastpolysem import statistics
        from fastpolysem.families.autoencoder import theory

        listed = []
        for run in data:
            published = theory.published_sparsification(run.t, run.n_hidden, run.l1)
            corrected = theory.sparsification(run.t, run.n_hidden, run.l1)
            for r in table_times(run):
                support = statistics.mean(run.support[:, r])
                norm = statistics.mean(run.l1_norm[:, r])
                row: dict[str, Any] = {
                    "n_hidden": run.n_hidden,
                    "l1": run.l1,
                    "seeds": len(run.seeds),
                }
                row |= {"t": run.t[r], **with_interval("support", support, ends="ci")}
                row |= _divided("", published.support[r], corrected.support[r], support.value)
                row |= {"l1_norm": norm.value}
                row |= _divided("_norm", published.l1_norm[r], corrected.l1_norm[r], norm.value)
                listed.append(row)
        return pd.DataFrame(listed)

    def draw(self, data: list[Trajectories], ax: Axes | None = None) -> Axes:
        """Remaining weights and their sum against time, above predicted over observed values."""
        axes = self._columns(data, ax, 2, height_ratios=[5, 3])
        for run, (upper, lower) in zip(data, axes.T, strict=True):
            _quantities(run, upper)
            _ratios(run, lower)
        return ax or axes[0, 0]


EXPERIMENT = Sparsity()
