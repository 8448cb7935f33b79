"""Does the kurtosis of the noise determine how sparse features become?

Kinds of noise with the same standard deviation, from two-valued (excess kurtosis κ = -2) through
Gaussian (0) to heavy-tailed (3), several of them with the same κ: if κ decides, these must agree.
In addition to the end of training, the early growth of the fourth norm from common weights is
measured, which the theoretical correction predicts without a free constant.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fastpolysem.experiments._answers import Answers, AutoencoderQuestion, compared_by_seed
from fastpolysem.experiments._base import Fields, Presets, recorded
from fastpolysem.experiments._drawing import points
from fastpolysem.experiments._verdicts import EFFECT, INCONCLUSIVE, Comparison, text
from fastpolysem.experiments._weights import trained_weights
from fastpolysem.families.autoencoder.config import Config
from fastpolysem.families.autoencoder.metrics import fourth_norm
from fastpolysem.probes import Column, Probe
from fastpolysem.training import Record, TrainingResult, train

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


MARGIN = 0.05
"""Largest negligible difference of fourth norms, relative to Gaussian noise."""
PLATEAU, WINDOW = 1000, 400
"""Steps with Gaussian noise to the common weights, and steps over which growth is measured."""
_KINDS: list[tuple[str, float | None]] = [
    ("rademacher", None),
    ("three_point", 1.0),
    ("uniform", None),
    ("three_point", 1 / 2),
    ("gaussian", None),
    ("three_point", 1 / 3),
    ("student_t", 10.0),
    ("three_point", 1 / 4),
    ("laplace", None),
    ("student_t", 6.0),
    ("three_point", 1 / 6),
]
_SETTINGS: dict[str, Any] = {
    "n_features": 8,
    "n_hidden": 16,
    "optimizer": "sgd",
    "learning_rate": 0.02,
    "noise_std": 0.15,
    "noise_sharing": ["step", "input"],
    "steps": 20_000,
    "kinds": _KINDS,
}
_SETTING = ("n_features", "n_hidden", "l1", "noise_std", "sharing")


def along_rotations(weights: NDArray[Any], direction: NDArray[Any]) -> NDArray[np.float64]:
    """The part of a direction (S, n, m) that rotates the weights: its projection on ``W A`` with A
    antisymmetric.

    The least-squares A solves ``M A + A M = WᵀV - VᵀW``, ``M = WᵀW``, in the eigenbasis of M.
    """
    transposed = np.swapaxes(weights, -1, -2)
    values, basis = np.linalg.eigh(transposed @ weights)
    back = np.swapaxes(basis, -1, -2)
    mixed = transposed @ direction
    skew = back @ (mixed - np.swapaxes(mixed, -1, -2)) @ basis
    total = values[..., :, np.newaxis] + values[..., np.newaxis, :]
    # If both eigenvalues are 0, A does not affect the weights.
    least = 1e-9 * np.maximum(values[..., -1:, np.newaxis], 1e-300)
    generator = np.divide(skew, total, out=np.zeros_like(skew), where=total > least)
    result: NDArray[np.float64] = weights @ basis @ generator @ back
    return result


def predicted_growth(weights: NDArray[Any], config: Config) -> NDArray[np.float64]:
    """Predicted change of the fourth norm per step and unit of excess kurtosis, (S,).

    `theory.kurtosis_correction` C is small compared with the loss of Gaussian noise, which keeps
    the weights at its minimum and is invariant only under rotations of the hidden layer. Gradient
    descent on both therefore moves the weights by the part of ``-learning_rate · ∇C`` that rotates
    them. The fourth norm F (mean over features) changes by the derivative of C in the direction of
    that part of ∇F, times ``-learning_rate``.
    """
    from fastpolysem.families.autoencoder import theory

    w = np.asarray(weights, dtype=np.float64)
    direction = along_rotations(w, 4 * w**3 / w.shape[1])
    small = 1e-4
    ends = [
        np.asarray(theory.kurtosis_correction(w + end * direction, config.noise_std, 1.0))
        for end in (small, -small)
    ]
    result: NDArray[np.float64] = -config.learning_rate * (ends[0] - ends[1]) / (2 * small)
    return result


_FACES: dict[str, dict[str, Any]] = {"step": {}, "input": {"mfc": "white"}}
"""Of markers, for noise that a step shares and noise of each input."""


def _theory(ax: Axes, means: pd.DataFrame) -> None:
    slope, zero = means["slope"].mean(), means.loc[means["noise"] == "gaussian", "growth"].mean()
    finite = means.loc[np.isfinite(means["kurtosis"]), "kurtosis"]
    if np.isfinite(slope) and len(finite):
        at = np.array([finite.min(), finite.max()])
        offset = zero if np.isfinite(zero) else 0.0
        ax.plot(at, offset + slope * at, color="#666666", label="theory, relative to Gaussian")
    ax.axhline(0, color="#BBBBBB", lw=0.8, zorder=0)
    ax.legend(frameon=False, fontsize="small")


def _side_by_side(means: pd.DataFrame) -> dict[str, float]:
    """How far each kind of noise is moved, so that kinds of one kurtosis do not hide each other."""
    kinds = means.drop_duplicates("noise")
    groups = kinds.groupby(kinds["kurtosis"].round(6))["noise"]
    place, size = groups.cumcount(), groups.transform("size")
    moved = 0.18 * (place - (size - 1) / 2)
    return dict(zip(kinds["noise"], moved, strict=True))


@dataclass(frozen=True)
class Growth(Probe):
    """Fourth norm, take-off, and growth from common weights."""

    name = "kurtosis"
    plateau: int = PLATEAU
    """Steps with Gaussian noise to the common weights; a doubling counts only after them."""
    window: int = WINDOW
    """Steps over which the growth is measured."""
    columns: ClassVar = {
        "fourth_norm": Column("float64", "fourth norm at the end"),
        "take_off": Column("float64", "first recorded step at which it has doubled; nan if never"),
        "taken_off": Column("bool", "whether it has doubled"),
        "growth": Column("float64", "growth per step from common weights"),
        "slope": Column("float64", "predicted growth per step and unit of excess kurtosis"),
    }

    def __call__(self, result: TrainingResult) -> dict[str, NDArray[Any]]:
        """The columns of a block whose history contains the fourth norm."""
        steps, history = result.history["step"], result.history["fourth_norm"]
        before = int(np.searchsorted(steps, self.plateau, side="right")) - 1
        off = (history >= 2 * history[:, before, np.newaxis]) & (steps > self.plateau)
        growth, slope = self._from_common_weights(result)
        return {
            "fourth_norm": history[:, -1],
            "take_off": np.where(off.any(axis=1), steps[off.argmax(axis=1)], np.nan),
            "taken_off": np.asarray(off.any(axis=1)),
            "growth": growth,
            "slope": slope,
        }

    def _from_common_weights(self, result: TrainingResult) -> tuple[NDArray[Any], NDArray[Any]]:
        """Measured and predicted growth per step over the window."""
        config = result.config
        gaussian: dict[str, Any] = {"noise": "gaussian", "noise_shape": None}
        before = config.replace(**gaussian, noise_sharing="step", steps=self.plateau)
        start = np.asarray(train(before, result.seeds, return_weights=True).weights)
        lost = ~np.isfinite(start).all(axis=(1, 2))
        start = np.where(lost[:, np.newaxis, np.newaxis], 0.0, start)
        after = train(
            config.replace(steps=self.window),
            result.seeds + np.uint64(2**32),  # noise not used before
            initial_weights=start,
            return_weights=True,
        )
        grown = fourth_norm(trained_weights(after)).mean(axis=1) - fourth_norm(start).mean(axis=1)
        bad = lost | after.diverged
        measured = np.where(bad, np.nan, grown / self.window)
        return measured, np.where(bad, np.nan, predicted_growth(start, config))


class Kurtosis(AutoencoderQuestion):
    """Noise of several shapes with one standard deviation."""

    NAME = "kurtosis"
    SUMMARY = (
        "Vary the excess kurtosis of the noise at fixed variance; measure sparsity and counts."
    )
    FIGURE_SIZE = (10.5, 8.0)
    PRESETS: ClassVar[Presets] = {
        # A minute on two cores.
        "default": {**_SETTINGS, "seeds": 300},
        # A few seconds.
        "quick": {
            **_SETTINGS,
            "seeds": 100,
            "noise_sharing": "step",
            "kinds": [*_KINDS[:2], *_KINDS[3:6], _KINDS[8]],
        },
        # The page of findings.
        "paper": {**_SETTINGS, "seeds": 1000},
        # A quarter of an hour.
        "large": {**_SETTINGS, "seeds": 2000, "noise_std": [0.1, 0.15], "steps": 50_000},
    }
    PROBE = Growth()
    LABELS = (*_SETTING, "noise", "kurtosis")
    METRICS = (
        *("fourth_norm", "taken_off", "take_off", "growth", "slope"),
        *("polysemantic", "signed_slots", "malign", "unrepresented", "loss"),
    )
    METHOD = "Paired t tests of the final fourth norm, relative to the noise named second"

    def ways(self, settings: Fields, changes: Fields) -> Iterable[Fields]:
        """Kinds of noise with their shapes, unless one is given."""
        kinds = settings.pop("kinds")
        kinds = changes.pop("kinds", kinds)
        if "noise" in changes:
            return [{}]
        return [{"noise": kind, "noise_shape": shape} for kind, shape in kinds]

    def record(self, configs: Sequence[Config]) -> Record:
        """The fourth norm at about 80 steps that all configurations have."""
        last = min(config.steps for config in configs)
        return recorded("fourth_norm", last, last)

    def labels(self, config: Config) -> dict[str, Any]:
        """Sizes, l1 and noise."""
        from fastpolysem.families.autoencoder import theory

        shape = config.noise_shape
        return super().labels(config) | {
            "sharing": config.noise_sharing,
            "noise": config.noise + (f" {shape:.3g}" if shape else ""),
            "kurtosis": theory.excess_kurtosis(config.noise, shape),
        }

    def table(self, data: Answers) -> pd.DataFrame:
        """Means with 95 % intervals, one row per kind of noise.

        ``taken_off`` is the share of seeds whose fourth norm doubled after the plateau, and
        ``take_off`` the mean step at which it did. ``growth`` and ``predicted`` are the measured
        and predicted (``κ · slope``) growth of the fourth norm per step from common weights.
        """
        means = super().table(data)
        predicted = means["kurtosis"] * means["slope"]
        means.insert(means.columns.get_loc("slope"), "predicted", predicted)
        return means

    def tests(self, data: Answers) -> list[Comparison]:
        """Does the final fourth norm depend on κ, and on other properties of the noise?"""
        tests = []
        for same, group in self.settings(data.rows, _SETTING):
            where = f"std {same['noise_std']:g}, by {same['sharing']}: "
            kinds = group[["noise", "kurtosis"]].drop_duplicates()
            named = [
                (f"{noise} (κ = {kurtosis:.3g}) against gaussian", noise, "gaussian")
                for noise, kurtosis in kinds.itertuples(index=False, name=None)
                if noise != "gaussian"
            ]
            for kurtosis in sorted(kinds["kurtosis"].unique()):
                alike = kinds["kurtosis"].astype(float).round(9) == round(kurtosis, 9)
                first, *others = kinds.loc[alike, "noise"]
                for noise in others if kurtosis else ():
                    name = f"{noise} against {first}, both κ = {kurtosis:.3g}"
                    named.append((name, noise, first))
            for name, noise, other in named:
                here, there = data.where(**same, noise=noise), data.where(**same, noise=other)
                tests.append(compared_by_seed(where + name, here, there, "fourth_norm", MARGIN))
        return tests

    def say(self, data: Answers, outcome: str, judged: pd.DataFrame) -> str:
        """How the fourth norm depends on κ, and its early growth compared with the prediction."""
        if outcome == INCONCLUSIVE:
            return f"Whether the kurtosis of the noise determines sparsity is {outcome}."
        against = judged[judged["test"].str.endswith("against gaussian")]
        kurtosis = against["test"].str.extract(r"κ = (-?[\d.]+)")[0].astype(float)
        sparser = against[(against["outcome"] == EFFECT) & (against["difference"] > 0)]
        flatter = against[(against["outcome"] == EFFECT) & (against["difference"] < 0)]
        negative, positive = kurtosis < -1e-6, kurtosis > 1e-6
        parts = [
            f"higher with negative κ in {sparser.index.isin(kurtosis.index[negative]).sum()} "
            f"of {negative.sum()} comparisons",
            f"lower with positive κ in {flatter.index.isin(kurtosis.index[positive]).sum()} "
            f"of {positive.sum()}",
        ]
        zero = against[~negative & ~positive]
        if len(zero):
            parts.append(
                f"different with κ = 0 in {(zero['outcome'] == EFFECT).sum()} of {len(zero)}"
            )
        sentence = "Relative to Gaussian noise, the final fourth norm is " + ", ".join(parts)
        equal = judged[judged["test"].str.contains("both")]
        if len(equal):
            sentence += (
                "; between kinds of noise with equal κ it differs in "
                f"{(equal['outcome'] == EFFECT).sum()} of {len(equal)}"
            )
        return f"{sentence}. {self._growth(data)}."

    def _growth(self, data: Answers) -> str:
        """The slope of the growth against κ, measured over predicted."""
        from fastpolysem import statistics

        ratios = []
        for setting, group in self.settings(data.valid, _SETTING):
            used = group[(group["kurtosis"].abs() <= 1.2) & np.isfinite(group["growth"])]
            wide = used.pivot_table(index="seed", columns=["noise", "kurtosis"], values="growth")
            wide = wide.dropna()
            kurtosis = np.array([column[1] for column in wide.columns])
            if len(wide) < 2 or not np.ptp(kurtosis):
                continue
            centered = kurtosis - kurtosis.mean()
            slopes = wide.to_numpy() @ centered / (centered @ centered)
            expected = float(used["slope"].mean())
            ends = sorted(end / expected for end in statistics.mean(slopes)[1:])
            ratio = (float(slopes.mean()) / expected, *ends)
            ratios.append(f"{text(ratio)} (noise by {setting['sharing']})")
        if not ratios:
            return "How the early growth depends on κ was not measured"
        return (
            "The early growth of the fourth norm depends on κ (|κ| ≤ 1.2) "
            f"{' and '.join(ratios)} times as strongly as predicted"
        )

    def draw(self, data: Answers, ax: Axes | None = None) -> Axes:
        """Sparsity, take-off, growth and counts against the excess kurtosis."""
        from fastpolysem import plots

        means = self.table(data)
        means = means[means["noise_std"] == means["noise_std"].iloc[0]]
        axes = plots.panels(ax, 2, 2, self.FIGURE_SIZE, sharex=True)
        panels = {
            "fourth_norm": "fourth norm at the end",
            "take_off": "take-off, steps\n(mean of seeds that did)",
            "growth": "early growth of the\nfourth norm per step",
            "signed_slots": "shared neurons\n(no threshold)",
        }
        families = list(dict.fromkeys(name.split()[0] for name in means["noise"]))
        looks = {
            family: {"color": color, "mec": color, "fmt": mark, "ms": 5, "mew": 1.2, "capsize": 2}
            for family, color, mark in zip(families, plots.COLORS, plots.MARKERS, strict=False)
        }
        beside = _side_by_side(means)
        for each, (metric, what) in zip(axes.flat, panels.items(), strict=True):
            for (sharing, noise), part in means.groupby(["sharing", "noise"], sort=False):
                shift = beside[noise] + (0.04 if sharing == "input" else -0.04)
                style: dict[str, Any] = {**looks[noise.split()[0]], **_FACES[sharing]}
                points(each, part["kurtosis"] + shift, part, metric, **style)
            each.set_ylabel(what)
        _theory(axes[1, 0], means)
        axes[0, 0].set_ylim(0, 1)
        axes[1, 1].set_ylim(bottom=0)
        if (axes[0, 1].get_ylim()[0] > 0) and np.isfinite(means["take_off"]).any():
            axes[0, 1].set_yscale("log")
        for each in axes[1]:
            each.set_xlabel("excess kurtosis of the noise")
        for family, look in looks.items():
            axes[0, 0].errorbar([], [], [], label=family.replace("_", " "), **look)
        for sharing in means["sharing"].unique():
            name = "filled: a step shares it" if sharing == "step" else "hollow: each input its own"
            mark = {"color": "#444444", "marker": "o", "ls": "none", "mew": 1.2}
            axes[0, 0].plot([], [], label=name, **mark, **_FACES[sharing])
        axes[0, 0].legend(frameon=False, fontsize="small")
        std, count = means["noise_std"].iloc[0], int(means["seeds"].min())
        title = f"noise of standard deviation {std:g}, {count} seeds, 95 % intervals"
        axes[0, 0].set_title(title, fontsize="medium")
        return ax or axes[0, 0]


EXPERIMENT = Kurtosis()
