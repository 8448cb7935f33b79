"""Does a feature end up on the neuron on which its initial weight is largest?

The published figure is the mean of ``W_start W_endᵀ``. Its diagonal is the initial weight on the
winning neuron, which would be the feature's largest initial weight if that always won. The second
figure shows directly which rank the winner had initially.
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
    ax.set(xlabel="feature after training", ylabel="feature before training")
    count, favourite = len(data.probed(config, "rank")), data.probed(config, "favourite").mean()
    ax.set_title(
        f"n = {config.n_features}, m = {config.n_hidden}, mean of {count} seeds [95 % interval]\n"
        f"initial weight: winner {winner.value:.3g} [{winner.low:.3g}, {winner.high:.3g}], "
        f"largest {favourite:.3g}",
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
    ax.axhline(1, color="#666666", lw=1, label="largest initial weight always wins")
    ax.plot(at, at / m, color="#666666", lw=1.5, ls=":", label="all neurons equally likely")
    ax.set(xscale="log", ylim=(0, 1.05))
    ax.set_xlabel(f"rank r of the winner's initial weight among {m} (1: largest)")
    ax.set_ylabel("share of features with rank $\\leq$ r")
    missing = (rank == 0).mean()
    first = shares[0]
    ax.set_title(
        f"the largest wins {first.value:.1%} (95 % interval {first.low:.1%} to {first.high:.1%})"
        + (f"\n{missing:.1%} of the features unrepresented (excluded)" if missing else ""),
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
    """Share of the represented features whose winner has at most this rank, as mean over seeds."""
    from fastpolysem import statistics

    there, those = (rank > 0).sum(axis=1), ((rank > 0) & (rank <= at_most)).sum(axis=1)
    share = those[there > 0] / there[there > 0]
    if not len(share) or np.ptp(share) == 0:  # no spread between seeds: pool all features
        return statistics.proportion(int(those.sum()), max(1, int(there.sum())))
    return statistics.mean(share, bounds=(0, 1))


def _rowwise(values: NDArray[Any]) -> NDArray[Any]:
    """Mean of the finite entries of each row that has any."""
    some: NDArray[Any] = values[np.isfinite(values).any(axis=1)]
    return np.asarray(np.nanmean(some, axis=1), dtype=np.float64)


_AT_A_TIME = 64  # seeds whose matrices are read at a time


@dataclass(frozen=True)
class Winners(Probe):
    """The winner of each feature and its initial encoder weights."""

    name = "initialisations"
    arrays: ClassVar = {
        "overlap": Column("float32", "W_start W_endᵀ (n, n); zeros if diverged"),
        "rank": Column("int64", "rank of the winner among the initial weights (n,); 0: no winner"),
        "winner": Column("float32", "initial weight of the winner, with the final sign (n,)"),
        "favourite": Column("float32", "size of the largest initial weight (n,)"),
    }

    def __call__(self, result: TrainingResult) -> dict[str, NDArray[Any]]:
        """The arrays of a block.

        Rank 1 is that of the largest initial weight. A feature that is not represented at the end
        has rank 0 and no winner (nan). Diverged seeds contribute nothing to the overlap and have no
        winners.
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
    """Trained weights compared with their initial values."""

    NAME = "initialisations"
    SUMMARY = "Compare final and initial weights, and count how often the largest initial one wins."
    FIGURE_SIZE = (11.0, 4.6)
    PROBE = Winners()
    PRESETS: ClassVar[Presets] = {
        # About a minute on two cores.
        "default": {"seeds": 100, "n_features": 64, "n_hidden": 1024, "l1": 1e-3},
        # A few seconds.
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

        ``mean`` with its 95 % interval is the share of features whose largest initial weight wins.
        ``winner`` is the mean initial weight of the winner (the diagonal of the figure),
        ``favourite`` that of the largest, ``expected_maximum`` its theoretical value,
        ``median_rank`` the median rank of the winner, ``opposite_sign`` the share of winners whose
        sign changed, and ``off_diagonal`` the largest size off the diagonal of the mean matrix.
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
        """The mean matrix and the distribution of the winners' ranks, one row per configuration."""
        from fastpolysem import plots

        size = (self.FIGURE_SIZE[0], self.FIGURE_SIZE[1] * len(data.configs))
        axes = plots.panels(ax, len(data.configs), 2, size)
        for config, (left, right) in zip(data.configs, axes, strict=True):
            _heat_map(data, config, left)
            _ranks(data, config, right)
        return ax or axes[0, 0]


EXPERIMENT = Initialisations()
