"""Does noise on the hidden layer make features sparse, and their neurons polysemantic?

The fourth norm of the features and the number of polysemantic neurons during training without l1,
for several distributions of the noise. The published figure has the fourth norm alone, of five
instances that saw the same noise; here every seed draws its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from fastpolysem import _checks
from fastpolysem.config import Config
from fastpolysem.experiments import grid_of, measured_of
from fastpolysem.training import Record

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from fastpolysem.experiments._measured import Measured
    from fastpolysem.statistics import Estimate

NAME = "noise"
SUMMARY = "Follow fourth norm and polysemantic neurons under several kinds of noise, without l1."
FIGURE_SIZE = (11.0, 8.5)

METRICS = ("fourth_norm", "polysemantic", "signed_slots", "unrepresented")
SHAPES = {"student_t": 6.0, "three_point": 1 / 3}
"""`Config.noise_shape` of the kinds that need one, unless it is given: an excess kurtosis of 3, as
Laplace's, and of 0, as the Gaussian's."""

TAKE_OFF = 1.5
"""Fourth norm, relative to its least so far, at which it is said to have taken off."""

_KINDS = ["rademacher", "uniform", "gaussian", "three_point", "laplace", "student_t"]
_SETTINGS: dict[str, Any] = {
    "n_features": 8,
    "n_hidden": 16,
    "optimizer": "sgd",
    "learning_rate": 0.02,
    "noise_std": [0.07, 0.1, 0.15],
    "steps": 100_000,
}
PRESETS: dict[str, dict[str, Any]] = {
    # About half a minute on two cores.
    "default": {**_SETTINGS, "seeds": 200, "noise": _KINDS},
    # Some seconds.
    "quick": {
        **_SETTINGS,
        "seeds": 50,
        "noise": ["rademacher", "uniform", "gaussian", "laplace"],
        "noise_std": [0.1, 0.15],
        "steps": 50_000,
    },
    # The published figure.
    "paper": {**_SETTINGS, "seeds": 5, "noise": ["rademacher", "gaussian"]},
    # Some minutes.
    "large": {**_SETTINGS, "seeds": 1000, "noise": _KINDS},
}

_BAND = (15, 85)


def configs(preset: str = "default", **changes: Any) -> list[Config]:
    """The configurations of a preset; a list in ``changes`` gives several values of a field."""
    given = changes.get("noise", PRESETS[_checks.choice("preset", preset, PRESETS)]["noise"])
    listed: list[Config] = []
    for kind in given if isinstance(given, list) else [given]:
        shape = {"noise_shape": SHAPES[kind]} if kind in SHAPES else {}
        listed += grid_of(PRESETS, preset, {**shape, **changes, "noise": kind})
    return listed


def _record(listed: list[Config]) -> Record:
    """About 80 steps, as many of them as all configurations have."""
    import numpy as np

    steps = max(config.steps for config in listed)
    at = np.unique(np.round(np.geomspace(1, max(steps, 1), 80)).astype(int))
    return Record(METRICS, [0, *at[at <= min(config.steps for config in listed)].tolist()])


_, run = measured_of(NAME, PRESETS, configs=configs, record=_record)


def table(data: Measured) -> pd.DataFrame:
    """The end of training and the take-off, one row a configuration.

    ``fourth_norm`` is the mean over seeds at the end with its 95 % interval, ``take_off`` the first
    recorded step at which it is half as large again as it was (nan if it never is),
    with the percentiles 2.5 and 97.5 of 1000 resamples of the seeds (inf for never), ``mean`` that
    of the polysemantic neurons by the paper's rule with its interval. By that rule only weights of
    size 0.8 to 1.2 count; ``signed_slots``, neurons that are the favourite of several features, do
    without thresholds, and with chance alone come to ``null_mean``.
    """
    import numpy as np
    import pandas as pd

    from fastpolysem import statistics, theory

    listed = []
    for config in data.configs:
        norm = statistics.mean(data.history(config, "fourth_norm")[:, -1])
        count = statistics.mean(data.history(config, "polysemantic")[:, -1])
        row: dict[str, Any] = {"noise": config.noise}
        if any(one.noise_shape for one in data.configs):
            row["shape"] = config.noise_shape or np.nan
        row |= {"kurtosis": theory.excess_kurtosis(config.noise, config.noise_shape)}
        row |= {"noise_std": config.noise_std, "seeds": data.count(config)}
        row |= {"diverged": data.count(config) - len(data.seeds(config))}
        start = take_off(data, config)
        row |= {"take_off": start.value, "take_off_low": start.low, "take_off_high": start.high}
        row |= {"fourth_norm": norm.value}
        row |= {"norm_low": norm.low, "norm_high": norm.high}
        row |= {"mean": count.value, "ci_low": count.low, "ci_high": count.high}
        slots = statistics.mean(data.history(config, "signed_slots")[:, -1])
        row |= {"signed_slots": slots.value, "slots_low": slots.low, "slots_high": slots.high}
        row |= {"null_mean": float(theory.null_mean(config.n_features, config.n_hidden))}
        row["unrepresented"] = statistics.mean(data.history(config, "unrepresented")[:, -1]).value
        listed.append(row)
    return pd.DataFrame(listed)


def take_off(data: Measured, config: Config) -> Estimate:
    """First recorded step at which the mean fourth norm is `TAKE_OFF` times the least so far, nan
    if there is none, with a bootstrap interval, in which "none" is inf."""
    import numpy as np

    from fastpolysem.statistics import Estimate

    steps, values = data.steps(config), data.history(config, "fourth_norm")
    if not len(values):
        return Estimate(np.nan, np.nan, np.nan)

    def first(means: NDArray[Any]) -> NDArray[Any]:
        above = means > TAKE_OFF * np.minimum.accumulate(means, axis=1)
        found: NDArray[Any] = np.where(above.any(axis=1), steps[above.argmax(axis=1)], np.inf)
        return found

    drawn = np.random.default_rng(0).multinomial(len(values), [1 / len(values)] * len(values), 1000)
    ends = np.percentile(first(drawn @ values / len(values)), (2.5, 97.5), method="nearest")
    value = float(first(values.mean(axis=0, keepdims=True))[0])
    return Estimate(value if np.isfinite(value) else np.nan, float(ends[0]), float(ends[1]))


def rows(data: Measured) -> pd.DataFrame:
    """One row for each recorded step of a seed."""
    import numpy as np
    import pandas as pd

    frames = []
    labels = data.study.labels()
    for index, config in enumerate(data.configs):
        steps = data.steps(config)
        seeds = data.seeds(config)
        columns: dict[str, Any] = {name: labels[name].iloc[index] for name in labels.columns}
        columns |= {"seed": np.repeat(seeds, len(steps))}
        columns |= {"step": np.tile(steps, len(seeds))}
        columns |= {name: data.history(config, name).ravel() for name in METRICS}
        frames.append(pd.DataFrame(columns))
    return pd.concat(frames, ignore_index=True)


def draw(data: Measured, ax: Axes | None = None) -> Axes:
    """Fourth norm and polysemantic neurons against the step, a column for each standard
    deviation."""
    import numpy as np

    from fastpolysem import plots, theory

    sizes = sorted({config.noise_std for config in data.configs})
    kinds = list(dict.fromkeys((config.noise, config.noise_shape) for config in data.configs))
    size = (3.7 * len(sizes), FIGURE_SIZE[1])
    axes = plots.panels(ax, 3, len(sizes), size, sharex=True, sharey="row")
    for config in data.configs:
        index = kinds.index((config.noise, config.noise_shape))
        column = axes[:, sizes.index(config.noise_std)]
        shape = f" {config.noise_shape:.3g}" if config.noise_shape else ""
        kurtosis = theory.excess_kurtosis(config.noise, config.noise_shape)
        style: dict[str, Any] = {"color": plots.COLORS[index % len(plots.COLORS)]}
        name = f"{config.noise}{shape}".replace("_", " ")
        style["label"] = f"{name}, $\\kappa$ = {round(kurtosis, 9):g}"
        steps = data.steps(config)
        _line(column[0], steps, data.history(config, "fourth_norm"), _percentiles, style)
        _line(column[1], steps, data.history(config, "polysemantic"), _intervals, style)
        _line(column[2], steps, data.history(config, "signed_slots"), _intervals, style)
    for std, column in zip(sizes, axes.T, strict=True):
        column[0].set_title(f"noise of standard deviation {std:g}", fontsize="medium")
        column[2].set(xscale="log", xlabel="step")
    n, m = data.configs[0].n_features, data.configs[0].n_hidden
    null = float(theory.null_mean(n, m))
    for each in axes[1:].flat:
        each.axhline(null, color="#666666", lw=1.5, ls=":", label="null model")
    axes[0, 0].set_ylabel("fourth norm $\\sum_k W_{ik}^4$\nmean over features")
    axes[1, 0].set_ylabel("polysemantic neurons\n(weights of 0.8 to 1.2)")
    axes[2, 0].set_ylabel("neurons that several\nfeatures favour")
    axes[0, 0].set_ylim(0, 1)
    for row in axes[1:]:
        top = max(np.max(line.get_ydata(), initial=0) for each in row for line in each.get_lines())
        row[0].set_ylim(-0.02 * top, 1.25 * top)
    low, high = _BAND
    count = data.count(data.configs[0])
    small: dict[str, Any] = {"frameon": False, "fontsize": "small", "title_fontsize": "small"}
    small |= {"loc": "upper left", "alignment": "left"}
    title = f"mean, {low}th to {high}th percentile of {count} seeds\n($\\kappa$: excess kurtosis)"
    axes[0, 0].legend(title=title, **small)
    null_line = [one[-1:] for one in axes[1, 0].get_legend_handles_labels()]
    axes[1, 0].legend(*null_line, title="mean, 95 % interval", **small)
    return ax or axes[0, 0]


def _line(
    ax: Axes,
    steps: NDArray[Any],
    values: NDArray[Any],
    band: Callable[[NDArray[Any]], tuple[Any, Any]],
    style: dict[str, Any],
) -> None:
    if not len(values):
        ax.plot([], [], **{**style, "label": f"{style['label']}: all diverged"})
        return
    after = steps > 0
    at, seen = steps[after], values[:, after]
    ax.fill_between(at, *band(seen), color=style["color"], alpha=0.2, lw=0)
    ax.plot(at, seen.mean(axis=0), lw=1.8, **style)


def _percentiles(values: NDArray[Any]) -> tuple[Any, Any]:
    import numpy as np

    low, high = np.percentile(values, _BAND, axis=0)
    return low, high


def _intervals(values: NDArray[Any]) -> tuple[Any, Any]:
    import numpy as np

    from fastpolysem import statistics

    ends = [statistics.mean(column)[1:] for column in values.T]
    low, high = np.array(ends).T
    return np.maximum(low, 0), high
