"""Is the neuron that a feature ends up on the one that it favoured at the start?

The published figure is the mean of ``W_start W_endᵀ``: its diagonal holds the start weight of the
winning neuron, which would be the largest of the feature's start weights if the favourite always
won. Beside it, what it says only indirectly: the rank that the winner had.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastpolysem.config import Config
from fastpolysem.experiments import measured_of

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from fastpolysem.experiments._measured import Measured
    from fastpolysem.statistics import Estimate
    from fastpolysem.training import TrainingResult

NAME = "initialisations"
SUMMARY = "Compare trained weights with the start, and count how often the favourite neuron wins."
FIGURE_SIZE = (11.0, 4.6)

PRESETS: dict[str, dict[str, Any]] = {
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


def take(result: TrainingResult) -> dict[str, NDArray[Any]]:
    """What is kept of a part's weights, of the encoder if there is a decoder.

    Returns
    -------
    dict
        ``overlap`` (1, n, n): sum over seeds of ``W_start W_endᵀ``. For each seed and feature,
        (S, n): ``rank`` of the winning neuron among the start weights by size, 1 for the favourite;
        ``winner``, its start weight, with the sign of its end weight; ``favourite``, the size of
        the largest start weight. A feature that is not represented at the end has rank 0 and no
        winner (nan). Diverged seeds add nothing to the overlap and have no winners.
    """
    import numpy as np

    from fastpolysem.metrics import winner_rank
    from fastpolysem.objective import Parameters
    from fastpolysem.training import train

    started = train(result.config.replace(steps=0), result.seeds, return_weights=True)
    pairs = []
    for weights in (started.weights, result.weights):
        pairs.append(weights.encoder if isinstance(weights, Parameters) else weights)
    start, end = np.asarray(pairs[0]), np.asarray(pairs[1])
    valid = ~result.diverged
    end = np.where(valid[:, np.newaxis, np.newaxis], end, 0.0)
    place = np.abs(end).argmax(axis=-1)[..., np.newaxis]
    at_start = np.take_along_axis(start, place, axis=-1)[..., 0]
    at_end = np.take_along_axis(end, place, axis=-1)[..., 0]
    rank = winner_rank(start, end)
    return {
        "overlap": (start[valid] @ np.swapaxes(end[valid], -1, -2)).sum(axis=0)[np.newaxis],
        "rank": rank,
        "winner": np.where(rank > 0, at_start * np.sign(at_end), np.nan),
        "favourite": np.abs(start).max(axis=-1),
    }


configs, run = measured_of(NAME, PRESETS, take)


def table(data: Measured) -> pd.DataFrame:
    """Means over seeds, one row a configuration.

    ``mean`` with its 95 % interval is the share of features whose favourite wins, ``winner`` the
    mean start weight of the winner (the diagonal of the figure), ``favourite`` that of the largest
    and ``expected_maximum`` its theory, ``median_rank`` that of the winner, ``opposite_sign`` the
    share of winners whose sign changed, ``off_diagonal`` the largest size off the diagonal of the
    mean matrix.
    """
    import numpy as np
    import pandas as pd

    from fastpolysem import statistics, theory

    labels = data.study.labels()
    listed = []
    for index, config in enumerate(data.configs):
        rank, winner = data.value(config, "rank"), data.value(config, "winner")
        row: dict[str, Any] = {name: labels[name].iloc[index] for name in labels.columns}
        row["seeds"] = len(rank)
        share = _share(rank, 1)
        row |= {"mean": share.value, "ci_low": share.low, "ci_high": share.high}
        row["median_rank"] = np.median(rank[rank > 0]) if (rank > 0).any() else np.nan
        diagonal = statistics.mean(_rowwise(winner))
        row |= {"winner": diagonal.value, "winner_low": diagonal.low, "winner_high": diagonal.high}
        row["favourite"] = data.value(config, "favourite").mean()
        row["expected_maximum"] = float(theory.initial_maximum(config.n_hidden)) * config.init_scale
        row["opposite_sign"] = float((winner < 0).sum() / max(1, np.isfinite(winner).sum()))
        mean = _mean_overlap(data, config)
        row["off_diagonal"] = np.abs(mean - np.diag(np.diag(mean))).max()
        row["unrepresented"] = (rank == 0).sum(axis=1).mean()
        listed.append(row)
    return pd.DataFrame(listed)


def rows(data: Measured) -> pd.DataFrame:
    """One row for each feature of a seed."""
    import numpy as np
    import pandas as pd

    labels = data.study.labels()
    frames = []
    for index, config in enumerate(data.configs):
        rank = data.value(config, "rank")
        columns: dict[str, Any] = {name: labels[name].iloc[index] for name in labels.columns}
        columns["seed"] = np.repeat(np.arange(len(rank)), config.n_features)
        columns["feature"] = np.tile(np.arange(config.n_features), len(rank))
        for name in ("rank", "winner", "favourite"):
            columns[name] = data.value(config, name).ravel()
        frames.append(pd.DataFrame(columns))
    return pd.concat(frames, ignore_index=True)


def draw(data: Measured, ax: Axes | None = None) -> Axes:
    """The mean matrix, and how the winners' ranks are distributed; a row for each configuration."""
    from fastpolysem import plots

    size = (FIGURE_SIZE[0], FIGURE_SIZE[1] * len(data.configs))
    axes = plots.panels(ax, len(data.configs), 2, size)
    for config, (left, right) in zip(data.configs, axes, strict=True):
        _heat_map(data, config, left)
        _ranks(data, config, right)
    return ax or axes[0, 0]


def _heat_map(data: Measured, config: Config, ax: Axes) -> None:
    import numpy as np

    from fastpolysem import plots, statistics

    mean = _mean_overlap(data, config)
    winner = statistics.mean(_rowwise(data.value(config, "winner")))
    limit = float(np.percentile(np.diag(mean), 90))
    plots.heat_map(mean, ax, limit=limit if limit > 0 else None, label="$W_{start} W_{end}^T$")
    ax.set(xlabel="feature at the end", ylabel="feature at the start")
    count, favourite = len(data.value(config, "rank")), data.value(config, "favourite").mean()
    ax.set_title(
        f"n = {config.n_features}, m = {config.n_hidden}, mean of {count} seeds [95 % interval]\n"
        f"start weight: winner {winner.value:.3g} [{winner.low:.3g}, {winner.high:.3g}], "
        f"favourite {favourite:.3g}",
        fontsize="medium",
    )


def _ranks(data: Measured, config: Config, ax: Axes) -> None:
    import numpy as np

    from fastpolysem import plots

    rank = data.value(config, "rank")
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


def _mean_overlap(data: Measured, config: Config) -> NDArray[Any]:
    count = len(data.study.values(config))
    mean: NDArray[Any] = data.value(config, "overlap").sum(axis=0) / max(1, count)
    return mean


def _share(rank: NDArray[Any], at_most: int) -> Estimate:
    """Share of the represented features whose winner has at most this rank: the mean over seeds."""
    import numpy as np

    from fastpolysem import statistics

    there, those = (rank > 0).sum(axis=1), ((rank > 0) & (rank <= at_most)).sum(axis=1)
    share = those[there > 0] / there[there > 0]
    if not len(share) or np.ptp(share) == 0:  # no spread between seeds: all their features in one
        return statistics.proportion(int(those.sum()), max(1, int(there.sum())))
    mean = statistics.mean(share)
    return mean._replace(low=max(mean.low, 0.0), high=min(mean.high, 1.0))


def _rowwise(values: NDArray[Any]) -> NDArray[Any]:
    """Mean of each row's finite entries, of the rows that have any."""
    import numpy as np

    some: NDArray[Any] = values[np.isfinite(values).any(axis=1)]
    return np.asarray(np.nanmean(some, axis=1), dtype=np.float64)
