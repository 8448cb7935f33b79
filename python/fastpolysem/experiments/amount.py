"""Does the number of polysemantic neurons fall as 1/m, and does the counting rule matter?

The companion notebook's log-log slope and its ablation of the threshold. It averages the loss where
`Config` sums it: its l1 of 5e-5 is 256 times 5e-5 = 0.0128 here. The counting rule of the paper
takes weights of size 1 ± 0.2 for a feature's representation.
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
    from fastpolysem.statistics import PowerLaw
    from fastpolysem.training import TrainingResult

NAME = "amount"
SUMMARY = "Fit how polysemantic neurons fall with the number of neurons, for several thresholds."
FIGURE_SIZE = (10.0, 4.6)

WINDOWS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5)
"""A weight represents its feature if its size is within 1 ± this."""
RULE = 0.2
"""The paper's window."""
PUBLISHED_SLOPE = -1.125

# l1 is n_features times the notebook's 5e-5 in all of them.
_SETTINGS: dict[str, Any] = {"steps": 10_000}
PRESETS: dict[str, dict[str, Any]] = {
    # About three minutes on two cores.
    "default": {
        **_SETTINGS,
        "seeds": 100,
        "n_features": 64,
        "n_hidden": [64, 96, 128, 192, 256, 384, 512],
        "l1": 0.0032,
    },
    # Some seconds.
    "quick": {
        **_SETTINGS,
        "seeds": 60,
        "n_features": 32,
        "n_hidden": [32, 48, 64, 96, 128],
        "l1": 0.0016,
    },
    # The notebook's.
    "paper": {
        **_SETTINGS,
        "seeds": 16,
        "n_features": 256,
        "n_hidden": range(256, 4097, 256),
        "l1": 0.0128,
    },
    # Hours on two cores.
    "large": {
        **_SETTINGS,
        "seeds": 1000,
        "n_features": 256,
        "n_hidden": [256, 512, 1024, 2048, 4096],
        "l1": 0.0128,
        "l1_update": "orthant",
    },
}


def take(result: TrainingResult) -> dict[str, NDArray[Any]]:
    """``counts`` (S, W): polysemantic neurons by each of the `WINDOWS`; -1 where diverged."""
    import numpy as np

    from fastpolysem.metrics import count_polysemantic

    counts = np.full((len(result), len(WINDOWS)), -1, dtype=np.int64)
    valid = ~result.diverged
    if valid.any() and result.weights is not None:
        weights = _of(result.weights, valid)
        for index, window in enumerate(WINDOWS):
            counts[valid, index] = count_polysemantic(weights, 1 - window, 1 + window)
    return {"counts": counts}


configs, run = measured_of(NAME, PRESETS, take)


def _of(weights: Any, seeds: NDArray[Any]) -> Any:
    from fastpolysem.objective import Parameters

    if not isinstance(weights, Parameters):
        return weights[seeds]
    parts: list[Any] = [None if part is None else part[seeds] for part in weights]
    return Parameters(*parts)


def fits(data: Measured) -> dict[float, PowerLaw | None]:
    """The power law of the mean counts in the number of neurons for each window; None where fewer
    than three widths have any spread."""
    import numpy as np

    from fastpolysem import statistics

    found: dict[float, PowerLaw | None] = {}
    for index, window in enumerate(WINDOWS):
        points = []
        for config in data.configs:
            counts = _counts(data, config)[:, index]
            if len(counts) > 1 and counts.std() > 0:
                error = counts.std(ddof=1) / np.sqrt(len(counts))
                points.append((config.n_hidden, counts.mean(), error))
        different = len({point[0] for point in points}) > 2
        found[window] = statistics.power_law(*zip(*points, strict=True)) if different else None
    return found


def table(data: Measured) -> pd.DataFrame:
    """Mean counts with 95 % intervals by each window, one row a window of a configuration.

    ``slope`` with its interval, ``chi_square_p`` (of the fit) and ``r_squared`` are those of the
    window's `fits`, the same in all its rows.
    """
    import numpy as np
    import pandas as pd

    from fastpolysem import statistics, theory

    labels, fitted = data.study.labels(), fits(data)
    listed = []
    for position, window in enumerate(WINDOWS):
        fit = fitted[window]
        for index, config in enumerate(data.configs):
            counts = _counts(data, config)[:, position]
            mean = statistics.mean(counts)
            row: dict[str, Any] = {name: labels[name].iloc[index] for name in labels.columns}
            row |= {"window": window, "seeds": len(counts)}
            row |= {"mean": mean.value, "ci_low": mean.low, "ci_high": mean.high}
            row |= {"collision_law": theory.collision_law(config.n_features, config.n_hidden)}
            row |= {"slope": fit.exponent.value if fit else np.nan}
            row |= {"slope_low": fit.exponent.low if fit else np.nan}
            row |= {"slope_high": fit.exponent.high if fit else np.nan}
            row |= {"chi_square_p": fit.p_value if fit else np.nan}
            row |= {"r_squared": fit.r_squared if fit else np.nan}
            row |= {"unrepresented": data.study.values(config, "unrepresented").mean()}
            listed.append(row)
    return pd.DataFrame(listed)


def rows(data: Measured) -> pd.DataFrame:
    """One row a seed, with the counts by each window beside those of a study."""
    import numpy as np

    listed = data.study.seeds()
    counts = np.concatenate([data.value(config, "counts") for config in data.configs])
    for index, window in enumerate(WINDOWS):
        column = listed["polysemantic"].copy()
        column[:] = counts[:, index]
        listed[f"polysemantic_{window:g}"] = column.mask(counts[:, index] < 0)
    return listed


def draw(data: Measured, ax: Axes | None = None) -> Axes:
    """Counts by the paper's rule with the fitted power law, and the slope by each window."""
    from fastpolysem import plots

    left, right = plots.panels(ax, 1, 2, FIGURE_SIZE, width_ratios=[3, 2])[0]
    fitted = fits(data)
    rule = fitted[RULE]
    if rule is not None:
        widths = [config.n_hidden for config in data.configs]
        ends = [min(widths), max(widths)]
        slope = rule.exponent
        label = f"fit: slope {slope.value:.3f} [{slope.low:.3f}, {slope.high:.3f}]"
        left.plot(ends, rule(ends), color=plots.COLORS[1], lw=1.2, label=label)
    plots.collisions(data.study, left)
    for window, fit in fitted.items():
        if fit is not None:
            slope = fit.exponent
            bars = [[slope.value - slope.low], [slope.high - slope.value]]
            color = plots.COLORS[1 if window == RULE else 0]
            right.errorbar(window, slope.value, bars, fmt="o", color=color, capsize=2.5)
    right.errorbar([], [], [], fmt="o", color=plots.COLORS[0], label="slope, 95 % interval")
    right.errorbar([], [], [], fmt="o", color=plots.COLORS[1], label="by the paper's rule")
    right.axhline(-1, color="#666666", lw=1, label="collision law")
    right.axhline(PUBLISHED_SLOPE, color="black", lw=1, ls="--", label="published, one run each")
    right.set(xlabel="window w: weights of size 1 ± w count", ylabel="slope of log count in log m")
    low, high = right.get_ylim()
    right.set_ylim(low, high + 0.4 * (high - low))
    right.legend(frameon=False, fontsize="small", loc="upper left")
    return ax or left


def _counts(data: Measured, config: Config) -> NDArray[Any]:
    counts = data.value(config, "counts")
    valid: NDArray[Any] = counts[counts[:, 0] >= 0]
    return valid
