"""Does noise on the hidden layer make features sparse, and neurons polysemantic?

The fourth norm of features and the number of polysemantic neurons during training without l1, for
several distributions of the noise. The published figure shows only the fourth norm of five
instances that share their noise; here every seed draws its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from fastpolysem.experiments._base import (
    Curves,
    Fields,
    Presets,
    StudyExperiment,
    curves,
    labelled,
    recorded,
    told_apart,
    values_of,
    with_interval,
)
from fastpolysem.families.autoencoder.config import Config

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from fastpolysem.statistics import Estimate
    from fastpolysem.studies import Study
    from fastpolysem.training import Record

METRICS = ("fourth_norm", "polysemantic", "signed_slots", "unrepresented")
SHAPES = {"student_t": 6.0, "three_point": 1 / 3}
"""Default `Config.noise_shape` of the kinds that need one: excess kurtosis 3, as for Laplace noise,
and 0, as for Gaussian noise."""

TAKE_OFF = 1.5
"""Fourth norm, relative to its minimum so far, that counts as take-off."""

_KINDS = ["rademacher", "uniform", "gaussian", "three_point", "laplace", "student_t"]
_SETTINGS: dict[str, Any] = {
    "n_features": 8,
    "n_hidden": 16,
    "optimizer": "sgd",
    "learning_rate": 0.02,
    "noise_std": [0.07, 0.1, 0.15],
    "steps": 100_000,
}

_BAND = (15, 85)


def take_off(recorded: Curves) -> Estimate:
    """First recorded step at which the mean fourth norm is `TAKE_OFF` times its minimum so far (nan
    if there is none), with a bootstrap interval in which "none" is inf."""
    from fastpolysem.statistics import Estimate

    steps, values = recorded.steps, recorded.values["fourth_norm"]
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


def _line(
    ax: Axes,
    steps: NDArray[Any],
    values: NDArray[Any],
    band: Callable[[NDArray[Any]], tuple[Any, Any]],
    style: dict[str, Any],
) -> None:
    after = steps > 0
    if not len(values) or not after.any():
        why = "not trained" if len(values) else "all diverged"
        ax.plot([], [], **{**style, "label": f"{style['label']}: {why}"})
        return
    at, seen = steps[after], values[:, after]
    ax.fill_between(at, *band(seen), color=style["color"], alpha=0.2, lw=0)
    ax.plot(at, seen.mean(axis=0), lw=1.8, **style)


def _percentiles(values: NDArray[Any]) -> tuple[Any, Any]:
    low, high = np.percentile(values, _BAND, axis=0)
    return low, high


def _intervals(values: NDArray[Any]) -> tuple[Any, Any]:
    from fastpolysem import statistics

    ends = [statistics.mean(column)[1:] for column in values.T]
    low, high = np.array(ends).T
    return np.maximum(low, 0), high


_BANDS = {
    "fourth_norm": _percentiles,
    "polysemantic": _intervals,
    "signed_slots": _intervals,
}
_YLABELS = {
    "fourth_norm": "fourth norm $\\sum_k W_{ik}^4$\nmean over features",
    "polysemantic": "polysemantic neurons\n(weights of 0.8 to 1.2)",
    "signed_slots": "shared neurons\n(no threshold)",
}


class Noise(StudyExperiment):
    """Training under several kinds of noise."""

    NAME = "noise"
    SUMMARY = (
        "Follow fourth norm and polysemantic neurons under several kinds of noise, without l1."
    )
    FIGURE_SIZE = (11.0, 8.5)
    PRESETS: ClassVar[Presets] = {
        # About half a minute on two cores.
        "default": {**_SETTINGS, "seeds": 200, "noise": _KINDS},
        # A few seconds.
        "quick": {
            **_SETTINGS,
            "seeds": 50,
            "noise": ["rademacher", "uniform", "gaussian", "laplace"],
            "noise_std": [0.1, 0.15],
            "steps": 50_000,
        },
        # The published figure.
        "paper": {**_SETTINGS, "seeds": 5, "noise": ["rademacher", "gaussian"]},
        # A few minutes.
        "large": {**_SETTINGS, "seeds": 1000, "noise": _KINDS},
    }

    def ways(self, settings: Fields, changes: Fields) -> Iterable[Fields]:
        """Each kind of noise, with its shape."""
        for kind in values_of(changes.pop("noise", settings["noise"])):
            yield {"noise": kind, **({"noise_shape": SHAPES[kind]} if kind in SHAPES else {})}

    def record(self, configs: Sequence[Config]) -> Record:
        """About 80 steps, as far as all configurations have them."""
        steps = [config.steps for config in configs]
        return recorded(METRICS, max(steps), min(steps))

    def table(self, data: Study) -> pd.DataFrame:
        """The end of training and the take-off, one row per configuration.

        ``fourth_norm`` is the final mean over seeds with its 95 % interval. ``take_off`` is the
        first recorded step at which it exceeds its minimum so far by half (nan if it never does),
        with the percentiles 2.5 and 97.5 of 1000 resamples of the seeds (inf for never). ``mean``
        is the number of polysemantic neurons by the paper's rule, with its interval; only weights
        of size 0.8 to 1.2 count. ``signed_slots`` counts shared neurons without thresholds; its
        value by chance is ``null_mean``.
        """
        import pandas as pd

        from fastpolysem import statistics
        from fastpolysem.families.autoencoder import theory

        shapes = any(config.noise_shape for config in data.configs)
        table = []
        for config, labels in labelled(data):
            recorded = curves(data, config)
            last = {name: statistics.mean(recorded.values[name][:, -1]) for name in METRICS}
            row = {name: value for name, value in labels.items() if name not in _OF_NOISE}
            row["noise"] = config.noise
            if shapes:
                row["shape"] = config.noise_shape or np.nan
            row |= {"kurtosis": theory.excess_kurtosis(config.noise, config.noise_shape)}
            row |= {"noise_std": config.noise_std, "seeds": recorded.trained}
            row |= {"diverged": recorded.trained - len(recorded.seeds)}
            row |= with_interval("take_off", take_off(recorded))
            row |= with_interval("fourth_norm", last["fourth_norm"], ends="norm")
            row |= with_interval("mean", last["polysemantic"], ends="ci")
            row |= with_interval("signed_slots", last["signed_slots"], ends="slots")
            row |= {"null_mean": float(theory.null_mean(config.n_features, config.n_hidden))}
            row["unrepresented"] = last["unrepresented"].value
            table.append(row)
        return pd.DataFrame(table)

    def rows(self, data: Study) -> pd.DataFrame:
        """One row per seed and recorded step."""
        import pandas as pd

        frames = []
        for config, labels in labelled(data):
            seeds, steps, values, _ = curves(data, config)
            columns: dict[str, Any] = {}
            columns |= {"seed": np.repeat(seeds, len(steps)), "step": np.tile(steps, len(seeds))}
            columns |= {name: values[name].ravel() for name in METRICS}
            frames.append(pd.DataFrame({**labels, **columns}))
        return pd.concat(frames, ignore_index=True)

    def draw(self, data: Study, ax: Axes | None = None) -> Axes:
        """Fourth norm and polysemantic neurons against the step, a column for each standard
        deviation."""
        from fastpolysem import plots

        sizes = sorted({config.noise_std for config in data.configs})
        kinds = list(dict.fromkeys((config.noise, config.noise_shape) for config in data.configs))
        recorded = {config: curves(data, config) for config in data.configs}
        metrics = _shown(recorded.values())
        size = (3.7 * len(sizes), self.FIGURE_SIZE[1] * (0.4 + 0.2 * len(metrics)))
        axes = plots.panels(ax, len(metrics), len(sizes), size, sharex=True, sharey="row")
        named = {
            config: ", ".join([_name(config), *more])
            for config, more in told_apart(data, _OF_NOISE).items()
        }
        for config, (_, steps, values, _) in recorded.items():
            index = kinds.index((config.noise, config.noise_shape))
            style = plots.look(index, "color", "ls") | {"label": named[config]}
            for each, metric in zip(axes[:, sizes.index(config.noise_std)], metrics, strict=True):
                _line(each, steps, values[metric], _BANDS[metric], style)
        for std, column in zip(sizes, axes.T, strict=True):
            column[0].set_title(f"noise of standard deviation {std:g}", fontsize="medium")
            column[-1].set(xscale="log", xlabel="step")
        _finish(data, axes, metrics)
        return ax or axes[0, 0]


_OF_NOISE = ("noise", "noise_shape", "noise_std")


def _shown(recorded: Iterable[Curves]) -> list[str]:
    """The metrics to draw: counts only where there is anything to count."""
    counted = {
        metric: any(np.any(one.values[metric] > 0) for one in recorded) for metric in METRICS[1:3]
    }
    return [METRICS[0], *(metric for metric, any_ in counted.items() if any_)]


def _finish(data: Study, axes: NDArray[Any], metrics: Sequence[str]) -> None:
    """The null model, labels, limits and legends."""
    from fastpolysem.families.autoencoder import theory

    n, m = data.configs[0].n_features, data.configs[0].n_hidden
    null = float(theory.null_mean(n, m))
    for each in axes[1:].flat:
        each.axhline(null, color="#666666", lw=1.5, ls=":", label="null model")
    for row, metric in zip(axes, metrics, strict=True):
        row[0].set_ylabel(_YLABELS[metric])
    axes[0, 0].set_ylim(0, 1)
    for row in axes[1:]:
        top = max(np.max(line.get_ydata(), initial=0) for each in row for line in each.get_lines())
        row[0].set_ylim(-0.02 * top, 1.25 * top)
    low, high = _BAND
    count = len(data.seeds(data.configs[0]))
    small: dict[str, Any] = {"frameon": False, "fontsize": "small", "title_fontsize": "small"}
    small |= {"loc": "upper left", "alignment": "left"}
    title = f"mean, {low}th to {high}th percentile of {count} seeds\n($\\kappa$: excess kurtosis)"
    if "polysemantic" not in metrics:
        title += "\nno neuron is polysemantic (weights of 0.8 to 1.2)"
    axes[0, 0].legend(title=title, **small)
    if len(axes) > 1:
        lines = [one for one in axes[1, 0].get_lines() if one.get_label() == "null model"]
        axes[1, 0].legend(handles=lines, title="mean, 95 % interval", **small)


def _name(config: Config) -> str:
    from fastpolysem.families.autoencoder import theory

    shape = f" {config.noise_shape:.3g}" if config.noise_shape else ""
    kurtosis = theory.excess_kurtosis(config.noise, config.noise_shape)
    kind = f"{config.noise}{shape}".replace("_", " ")
    return f"{kind}, $\\kappa$ = {round(kurtosis, 9):g}"


EXPERIMENT = Noise()
