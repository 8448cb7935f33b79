"""Is the neuron that a feature ends up on the one that it favoured at the start?

The published figure is the mean of ``W_start W_endᵀ``: its diagonal holds the start weight of the
winning neuron, which would be the largest of the feature's start weights if the favourite always
won. Beside it, what it says only indirectly: the rank that the winner had.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fastpolysem.experiments._base import Presets, StudyExperiment, labelled, with_interval
from fastpolysem.experiments._weights import start_encoders, trained_encoders
from fastpolysem.families.autoencoder.config import Config
from fastpolysem.families.autoencoder.metrics import winner_rank
from fastpolysem.probes import Column, Probe
from fastpolysem.training import TrainingResult

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from fastpolysem.statistics import Estimate
    from fastpolysem.studies import Study


def _heat_map(data: Study, config: Config, ax: Axes) -> None:
    from fastpolysem import plots, statistics

    mean = _mean_overlap(data, config)
    winner = statistics.mean(_rowwise(data.probed(config, "winner")))
    limit = float(np.percentile(np.diag(mean), 90))
    plots.heat_map(mean, ax, limit=limit if limit > 0 else None, label="$W_{start} W_{end}^T$")
    ax.set(xlabel="feature at the end", ylabel="feature at the start")
    count, favourite = len(data.probed(config, "rank")), data.probed(config, "favourite").mean()
    ax.set_title(
        f"n = {config.n_features}, m = {config.n_hidden}, mean of {count} seeds [95 % interval]\n"
        f"start weight: winner {winner.value:.3g} [{winner.low:.3g}, {winner.high:.3g}], "
        f"favourite {favourite:.3g}",
        fontsize="medium",
    )


def _ranks(data: Study, config: Config, ax: Axes) -> None:
    from fastpolysem import plots

    rank = data.probed(config, "rank")
    m = config.n_hidden
    at = np.unique(np.round(np.geomspace(1, m, 60)).astype(int))
    shares = [_share(rank, r) for r in at]
    low, high = np.array([[share.low, share.high] for share in shares]).T
    ax.fill_between(at, low, high, step="post", color=plots.COLORS[0], alpha=0.25, lw=0)
    label = "trained, mean and 95 % interval"
    ax.step(at, [share.value for share in shares], where="post", color=plots.COLORS[0], label=label)
    ax.axhline(1, color="#666666", lw=1, label="if the favourite always won")
    ax.plot(at, at / m, color="#666666", lw=1.5, ls=":", label="if every neuron were as likely")
    ax.set(xscale="log", ylim=(0, 1.05))
    ax.set_xlabel(f"rank r of the winner's start weight among {m} (1: favourite)")
    ax.set_ylabel("share of features with rank $\\leq$ r")
    missing = (rank == 0).mean()
    first = shares[0]
    ax.set_title(
        f"the favourite wins {first.value:.1%} (95 % interval {first.low:.1%} to {first.high:.1%})"
        + (f"\n{missing:.1%} of the features unrepresented, left out" if missing else ""),
        fontsize="medium",
    )
    ax.legend(frameon=False, fontsize="small", loc="upper left", bbox_to_anchor=(0, 0.95))


def _mean_overlap(data: Study, config: Config) -> NDArray[Any]:
    seeds, total = data.seeds(config)["seed"].to_numpy(), np.zeros(())
    for some in np.array_split(seeds, -(-len(seeds) // _AT_A_TIME)):
        total = total + np.sum(data.probed(config, "overlap", some), axis=0, dtype=np.float64)
    mean: NDArray[Any] = total / max(1, len(data.values(config)))
    return mean


def _share(rank: NDArray[Any], at_most: int) -> Estimate:
    """Share of the represented features whose winner has at most this rank: the mean over seeds."""
    from fastpolysem import statistics

    there, those = (rank > 0).sum(axis=1), ((rank > 0) & (rank <= at_most)).sum(axis=1)
    share = those[there > 0] / there[there > 0]
    if not len(share) or np.ptp(share) == 0:  # no spread between seeds: all their features in one
        return statistics.proportion(int(those.sum()), max(1, int(there.sum())))
    return statistics.mean(share, bounds=(0, 1))


def _rowwise(values: NDArray[Any]) -> NDArray[Any]:
    """Mean of each row's finite entries, of the rows that have any."""
    some: NDArray[Any] = values[np.isfinite(values).any(axis=1)]
    return np.asarray(np.nanmean(some, axis=1), dtype=np.float64)


_AT_A_TIME = 64  # seeds whose matrices are read at once


@dataclass(frozen=True)
class Winners(Probe):
    """Who wins each feature, by the start weights of the encoder."""

    name = "initialisations"
    arrays: ClassVar = {
        "overlap": Column("float32", "W_start W_endᵀ (n, n); zeros if diverged"),
        "rank": Column("int64", "the winner's rank among the start weights (n,); 0: no winner"),
        "winner": Column("float32", "the winner's start weight, with the sign of its end (n,)"),
        "favourite": Column("float32", "size of the largest start weight (n,)"),
    }

    def __call__(self, result: TrainingResult) -> dict[str, NDArray[Any]]:
        """The arrays of a block.

        Rank 1 is the favourite's, the largest start weight's. A feature that is not represented at
        the end has rank 0 and no winner (nan). Diverged seeds add nothing to the overlap and have
        no winners.
        """
        start, end = start_encoders(result), trained_encoders(result)
        place = np.abs(end).argmax(axis=-1)[..., np.newaxis]
        at_start = np.take_along_axis(start, place, axis=-1)[..., 0]
        at_end = np.take_along_axis(end, place, axis=-1)[..., 0]
        rank = winner_rank(start, end)
        return {
            "overlap": start @ np.swapaxes(end, -1, -2),
            "rank": rank,
            "winner": np.where(rank > 0, at_start * np.sign(at_end), np.nan),
            "favourite": np.abs(start).max(axis=-1),
        }


class Initialisations(StudyExperiment):
    """Trained weights against their start."""

    NAME = "initialisations"
    SUMMARY = (
        "Compare trained weights with the start, and count how often the favourite neuron wins."
    )
    FIGURE_SIZE = (11.0, 4.6)
    PROBE = Winners()
    PRESETS: ClassVar[Presets] = {
        # About a minute on two cores.
        "default": {"seeds": 100, "n_features": 64, "n_hidden": 1024, "l1": 1e-3},
        # Some seconds.
        "quick": {"seeds": 50, "n_features": 32, "n_hidden": 256, "l1": 1e-3},
        # The published figure.
        "paper": {"seeds": 16, "n_features": 256, "n_hidden": 4096, "l1": 1e-3},
        # Hours.
        "large": {
            "seeds": 1000,
            "n_features": 256,
            "n_hidden": 4096,
            "l1": 1e-3,
            "l1_update": "orthant",
        },
    }

    def table(self, data: Study) -> pd.DataFrame:
        """Means over seeds, one row per configuration.

        ``mean`` with its 95 % interval is the share of features whose favourite wins, ``winner``
        the mean start weight of the winner (the diagonal of the figure), ``favourite`` that of the
        largest and ``expected_maximum`` its theory, ``median_rank`` that of the winner,
        ``opposite_sign`` the share of winners whose sign changed, ``off_diagonal`` the largest size
        off the diagonal of the mean matrix.
        """
        import pandas as pd

        from fastpolysem import statistics
        from fastpolysem.families.autoencoder import theory

        table = []
        for config, row in labelled(data):
            rank, winner = data.probed(config, "rank"), data.probed(config, "winner")
            mean = _mean_overlap(data, config)
            row |= {"seeds": len(rank), **with_interval("mean", _share(rank, 1), ends="ci")}
            row["median_rank"] = np.median(rank[rank > 0]) if (rank > 0).any() else np.nan
            row |= with_interval("winner", statistics.mean(_rowwise(winner)))
            row["favourite"] = data.probed(config, "favourite").mean()
            largest = float(theory.initial_maximum(config.n_hidden))
            row["expected_maximum"] = largest * config.init_scale
            row["opposite_sign"] = float((winner < 0).sum() / max(1, np.isfinite(winner).sum()))
            row["off_diagonal"] = np.abs(mean - np.diag(np.diag(mean))).max()
            row["unrepresented"] = (rank == 0).sum(axis=1).mean()
            table.append(row)
        return pd.DataFrame(table)

    def rows(self, data: Study) -> pd.DataFrame:
        """One row for each feature of a seed."""
        import pandas as pd

        frames = []
        for config, labels in labelled(data):
            count, n = data.probed(config, "rank").shape
            features = {
                "seed": np.repeat(np.arange(count), n),
                "feature": np.tile(np.arange(n), count),
            }
            for name in ("rank", "winner", "favourite"):
                features[name] = data.probed(config, name).ravel()
            frames.append(pd.DataFrame({**labels, **features}))
        return pd.concat(frames, ignore_index=True)

    def draw(self, data: Study, ax: Axes | None = None) -> Axes:
        """The mean matrix, and how the winners' ranks are distributed; a row for each
        configuration."""
        from fastpolysem import plots

        size = (self.FIGURE_SIZE[0], self.FIGURE_SIZE[1] * len(data.configs))
        axes = plots.panels(ax, len(data.configs), 2, size)
        for config, (left, right) in zip(data.configs, axes, strict=True):
            _heat_map(data, config, left)
            _ranks(data, config, right)
        return ax or axes[0, 0]


EXPERIMENT = Initialisations()
