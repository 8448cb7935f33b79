"""Does the number of polysemantic neurons fall as 1/m, and does the counting rule matter?

The log-log slope and the ablation of the threshold in the companion notebook. The notebook averages
the loss where `Config` sums it, so that its l1 of 5e-5 is 256 times 5e-5 = 0.0128 here. By the
counting rule of the paper, a weight of size 1 ± 0.2 represents its feature.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fastpolysem import _checks
from fastpolysem.experiments._base import (
    Fields,
    Presets,
    StudyExperiment,
    labelled,
    values_of,
    with_interval,
)
from fastpolysem.families.autoencoder.config import Config
from fastpolysem.families.autoencoder.metrics import count_polysemantic
from fastpolysem.families.autoencoder.objective import Parameters
from fastpolysem.probes import Column, Probe
from fastpolysem.training import TrainingResult

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from fastpolysem.statistics import PowerLaw
    from fastpolysem.studies import Study

WINDOWS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5)
"""Half-widths of windows: a weight represents its feature if its size is within 1 ± this."""
RULE = 0.2
"""The paper's window."""
PUBLISHED_SLOPE = -1.125
_SLOPE = ("slope", "slope_low", "slope_high")

# In all presets, l1 is n_features times the notebook's 5e-5.
_SETTINGS: dict[str, Any] = {"steps": 10_000}


def _column(window: float) -> str:
    return f"polysemantic_{window:g}"


@dataclass(frozen=True)
class Windows(Probe):
    """Number of polysemantic neurons for each of the `WINDOWS`."""

    name = "amount"
    columns: ClassVar = {
        _column(window): Column("int64", f"weights within 1 ± {window:g} count; -1 if diverged")
        for window in WINDOWS
    }

    def __call__(self, result: TrainingResult) -> dict[str, NDArray[Any]]:
        """The columns ``polysemantic_0.05`` and so on, named by window."""
        valid = ~result.diverged
        weights = _part(result.weights, valid)
        counts = {_column(window): np.full(len(result), -1) for window in WINDOWS}
        for window in WINDOWS if valid.any() else ():
            counts[_column(window)][valid] = count_polysemantic(weights, 1 - window, 1 + window)
        return counts


def _part(weights: Any, seeds: NDArray[np.bool_]) -> Any:
    if not isinstance(weights, Parameters):
        return weights[seeds]
    parts: list[Any] = [None if part is None else part[seeds] for part in weights]
    return Parameters(*parts)


def fits(data: Study) -> dict[float, PowerLaw | None]:
    """For each window, the power law of mean counts in the number of neurons; None if fewer than
    three widths have four or more seeds and any spread."""
    from fastpolysem import statistics

    laws: dict[float, PowerLaw | None] = {}
    for window in WINDOWS:
        points = []
        for config in data.configs:
            counts = _counts(data, config, window)
            if len(counts) > 3 and counts.std() > 0:
                error = counts.std(ddof=1) / np.sqrt(len(counts))
                points.append((config.n_hidden, counts.mean(), error, len(counts)))
        laws[window] = None
        if len({point[0] for point in points}) > 2:
            widths, means, errors, seeds = zip(*points, strict=True)
            laws[window] = statistics.power_law(widths, means, errors, seeds=seeds)
    return laws


def _counts(data: Study, config: Config, window: float) -> NDArray[Any]:
    counts = np.asarray(data.probed(config, _column(window)))
    valid: NDArray[Any] = counts[counts >= 0]
    return valid


class Amount(StudyExperiment):
    """The power law of counts for each window."""

    NAME = "amount"
    SUMMARY = "Fit the number of polysemantic neurons against the width, for several thresholds."
    FIGURE_SIZE = (10.0, 4.6)
    PROBE = Windows()
    PRESETS: ClassVar[Presets] = {
        # About three minutes on two cores.
        "default": {
            **_SETTINGS,
            "seeds": 100,
            "n_features": 64,
            "n_hidden": [64, 96, 128, 192, 256, 384, 512],
            "l1": 0.0032,
        },
        # A few seconds.
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

    def _check_changes(self, changes: Fields) -> None:
        """Refuse several values of anything but the width, as one power law is fitted to all."""
        super()._check_changes(changes)
        for name, values in changes.items():
            if name != "n_hidden" and len(values_of(values)) > 1:
                raise _checks.refused(f"{self.NAME}: {name}", "one value", values_of(values))

    def table(self, data: Study) -> pd.DataFrame:
        """Mean counts with 95 % intervals, one row per configuration and window.

        ``slope`` with its interval, ``chi_square_p`` (of the fit) and ``r_squared`` belong to the
        window's fit (`fits`) and are the same in all of its rows.
        """
        import pandas as pd

        from fastpolysem import statistics
        from fastpolysem.families.autoencoder import theory

        laws = fits(data)
        table = []
        for window in WINDOWS:
            fit = laws[window]
            slope = with_interval("slope", fit.exponent) if fit else dict.fromkeys(_SLOPE, np.nan)
            for config, labels in labelled(data):
                counts = _counts(data, config, window)
                row = {**labels, "window": window, "seeds": len(counts)}
                row |= with_interval("mean", statistics.mean(counts), ends="ci")
                row |= {"collision_law": theory.collision_law(config.n_features, config.n_hidden)}
                row |= {**slope, "chi_square_p": fit.p_value if fit else np.nan}
                row |= {"r_squared": fit.r_squared if fit else np.nan}
                lost = statistics.mean(data.values(config, "unrepresented"))
                row |= {"unrepresented": lost.value}
                table.append(row)
        return pd.DataFrame(table)

    def rows(self, data: Study) -> pd.DataFrame:
        """One row per seed, with the count for each window and the columns of a study."""
        return data.seeds()

    def draw(self, data: Study, ax: Axes | None = None) -> Axes:
        """Counts by the paper's rule with the fitted power law, and the slope for each window."""
        from fastpolysem import plots

        left, right = plots.panels(ax, 1, 2, self.FIGURE_SIZE, width_ratios=[3, 2])[0]
        laws = fits(data)
        rule = laws[RULE]
        if rule is not None:
            widths = [config.n_hidden for config in data.configs]
            ends = [min(widths), max(widths)]
            slope = rule.exponent
            label = f"fit: slope {slope.value:.3f} [{slope.low:.3f}, {slope.high:.3f}]"
            left.plot(ends, rule(ends), color=plots.COLORS[1], lw=1.2, label=label)
        plots.collisions(data, left)
        _slopes(laws, right)
        return ax or left


def _slopes(laws: dict[float, PowerLaw | None], ax: Axes) -> None:
    from fastpolysem import plots

    style: dict[str, Any] = {"fmt": "o", "capsize": 2.5}
    for window, fit in laws.items():
        if fit is not None:
            slope = fit.exponent
            bars = [[slope.value - slope.low], [slope.high - slope.value]]
            color = plots.COLORS[1 if window == RULE else 0]
            ax.errorbar(window, slope.value, bars, color=color, **style)
    ax.errorbar([], [], [], fmt="o", color=plots.COLORS[0], label="slope with 95 % interval")
    ax.errorbar([], [], [], fmt="o", color=plots.COLORS[1], label="the paper's rule")
    ax.axhline(-1, color="#666666", lw=1, label="collision law")
    ax.axhline(PUBLISHED_SLOPE, color="black", lw=1, ls="--", label="published (one run each)")
    ax.set(xlabel="counting window w (weights of size 1 ± w)", ylabel="slope of log count in log m")
    low, high = ax.get_ylim()
    ax.set_ylim(low, high + 0.4 * (high - low))
    ax.legend(frameon=False, fontsize="small", loc="upper left")


EXPERIMENT = Amount()
