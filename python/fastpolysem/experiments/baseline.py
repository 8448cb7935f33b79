"""Does the optimiser alone favour the neuron basis, without l1 and noise?

The loss depends on the hidden layer only through W Wᵀ, so rotating the layer changes nothing. Under
gradient descent from normal initial weights, all rotations of the trained weights are equally
likely, and counts at neurons say nothing about neurons. Adam, in contrast, acts coordinate by
coordinate. The control is random rotations of the trained weights of the same seed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fastpolysem.experiments._answers import (
    Answers,
    AutoencoderQuestion,
    apart,
    name_of,
    named_ways,
    sized,
    with_scales,
    written,
)
from fastpolysem.experiments._base import Fields, Presets
from fastpolysem.experiments._drawing import points
from fastpolysem.experiments._pages import markdown
from fastpolysem.experiments._tables import of_means
from fastpolysem.experiments._verdicts import (
    EFFECT,
    INCONCLUSIVE,
    WITHIN,
    Comparison,
    change,
    compared,
)
from fastpolysem.experiments._weights import trained_weights
from fastpolysem.families.autoencoder.config import Config
from fastpolysem.families.autoencoder.metrics import (
    count_polysemantic,
    participation_ratio,
    signed_slots,
)
from fastpolysem.probes import Column, Probe
from fastpolysem.training import TrainingResult

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


MARGIN = 0.01
"""Largest negligible relative difference from the rotations."""
ROTATIONS = 4
"""Number of random rotations of each seed's trained weights."""
WAYS: dict[str, dict[str, Any]] = {
    "sgd": {"optimizer": "sgd", "learning_rate": 0.06},
    "momentum": {"optimizer": "sgd", "learning_rate": 0.006, "momentum": 0.9},
    **{
        f"{name}{label}": {"optimizer": name, "learning_rate": rate}
        for name in ("adam", "adamw")
        for label, rate in (("", 1e-3), (", 10x rate", 0.01), (", 30x rate", 0.03))
    },
}
_SIZES = ((16, 16), (16, 32), (64, 64), (256, 256))
_SETTINGS: dict[str, Any] = {"n_features": 16, "n_hidden": 16, "steps": 3000, "sizes": _SIZES}
CONVERGED = 1e-5
"""Largest loss per feature at which training counts as converged."""


def rotation(size: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """A uniformly distributed orthogonal matrix (size, size): QR of normals, signs fixed."""
    q, r = np.linalg.qr(rng.standard_normal((size, size)))
    result: NDArray[np.float64] = q * np.sign(np.diag(r))
    return result


def concentration(weights: NDArray[Any]) -> NDArray[np.float64]:
    """``‖W_i‖₄⁴/‖W_i‖₂⁴``, mean over the features of each model: the reciprocal of the number of
    neurons over which a feature is spread."""
    ratio = participation_ratio(weights)
    result: NDArray[np.float64] = np.divide(
        1, ratio, out=np.zeros_like(ratio), where=ratio > 0
    ).mean(axis=-1)
    return result


@dataclass(frozen=True)
class Rotations(Probe):
    """Trained weights compared with random rotations of their hidden layer."""

    name = "baseline"
    columns: ClassVar = {
        "concentration": Column("float64", "mean over the features of ‖W_i‖₄⁴/‖W_i‖₂⁴"),
        "concentration_rotated": Column("float64", "its mean over the rotations"),
        "signed_slots_rotated": Column("float64", "mean of signed_slots over the rotations"),
        "polysemantic_rotated": Column("float64", "mean of polysemantic over the rotations"),
        "largest": Column("float64", "mean over the features of the largest \\|weight\\|"),
    }
    repeats: int = ROTATIONS
    """Number of rotations per seed."""

    def __call__(self, result: TrainingResult) -> dict[str, NDArray[Any]]:
        """Concentration and counts of the trained weights, and their means over the rotations."""
        weights = trained_weights(result).astype(np.float64)
        m = weights.shape[-1]
        concentrations, slots, counts = [], [], []
        for repeat in range(self.repeats):
            streams = (np.random.default_rng((int(seed), repeat)) for seed in result.seeds)
            rotated = weights @ np.array([rotation(m, rng) for rng in streams])
            concentrations.append(concentration(rotated))
            slots.append(signed_slots(rotated))
            counts.append(count_polysemantic(rotated))
        return {
            "concentration": concentration(weights),
            "concentration_rotated": np.mean(concentrations, axis=0),
            "signed_slots_rotated": np.mean(slots, axis=0),
            "polysemantic_rotated": np.mean(counts, axis=0),
            "largest": np.abs(weights).max(axis=-1).mean(axis=-1),
        }


class Baseline(AutoencoderQuestion):
    """Effect of the optimiser alone, without l1 and noise.

    In the table, ``concentration`` is ``‖W_i‖₄⁴/‖W_i‖₂⁴``, ``largest`` the largest \\|weight\\| of
    a feature; ``_rotated`` marks means over the rotations. By the paper's rule nothing is counted
    if no weight is 0.8 or more: all features are unrepresented.
    """

    NAME = "baseline"
    SUMMARY = "Train without l1 and noise, and compare with random rotations of the hidden layer."
    FIGURE_SIZE = (10.0, 6.4)
    PRESETS: ClassVar[Presets] = {
        # About a minute on two cores.
        "default": {**_SETTINGS, "seeds": 300, "sizes": _SIZES[:2]},
        # Seconds.
        "quick": {
            **_SETTINGS,
            "seeds": 300,
            "sizes": _SIZES[:1],
            "ways": ["sgd", "adamw", "adam, 30x rate"],
        },
        # The page of findings.
        "paper": {**_SETTINGS, "seeds": 1000},
        # An hour.
        "large": {**_SETTINGS, "seeds": 2000, "sizes": [*_SIZES, (64, 128), (64, 256), (256, 512)]},
    }
    PROBE = Rotations()
    MOST: ClassVar[dict[int, int]] = {64: 400, 256: 60}
    LABELS = ("n_features", "n_hidden", "l1", "optimizer", "learning_rate")
    METRICS = (
        *("concentration", "concentration_rotated", "signed_slots", "signed_slots_rotated"),
        *("polysemantic", "polysemantic_rotated", "malign", "largest", "unrepresented", "loss"),
    )
    OPEN = "whether an optimiser singles out the neurons' basis"
    METHOD = (
        "Paired t tests of the concentration of features on neurons, relative to the mean of "
        f"{ROTATIONS} random rotations of the same weights"
    )

    def ways(self, settings: Fields, changes: Fields) -> Iterable[Fields]:
        """Optimisers and their learning rates."""
        return sized(named_ways(WAYS, settings, changes), settings, changes)

    def labels(self, config: Config) -> dict[str, Any]:
        """Sizes, l1 and the name of the optimiser."""
        usual = {"learning_rate": 1e-3, "momentum": 0.0}
        name = name_of(config, WAYS, usual) or f"{config.optimizer} {config.learning_rate:g}"
        return super().labels(config) | {"optimizer": name}

    def tests(self, data: Answers) -> list[Comparison]:
        """Are the trained weights more or less concentrated on neurons than their rotations?"""
        tests = []
        for setting, group in self.settings(data.valid):
            group = group[group["concentration_rotated"] > 0]
            name = _name(setting["n_features"], setting["n_hidden"], setting["optimizer"])
            name += apart(setting, data.rows, ("n_features", "n_hidden", "optimizer"))
            trained, rotated = group["concentration"], group["concentration_rotated"]
            tests.append(compared(name, trained, rotated, MARGIN, paired=True, relative=True))
        return tests

    def say(self, data: Answers, outcome: str, judged: pd.DataFrame) -> str:
        """Which optimisers favour the neuron basis."""
        if outcome == WITHIN:
            return f"No optimiser singles out the neurons' basis by more than {MARGIN:.0%}."
        lower = judged["difference"] < 0
        effect, within = (judged["outcome"] == kind for kind in (EFFECT, WITHIN))
        parts = []
        for which, what in (
            (effect & lower, "lower than that of random rotations for"),
            (effect & ~lower, "higher for"),
            (within, f"within {MARGIN:.0%} of it for"),
            (judged["outcome"] == INCONCLUSIVE, "inconclusive for"),
        ):
            if which.any():
                parts.append(f"{what} {_by_optimizer(judged.loc[which, 'test'])}")
        return f"Concentration on neurons is {'. It is '.join(parts)}."

    def draw(self, data: Answers, ax: Axes | None = None) -> Axes:
        """Concentration and shared neurons, trained and rotated."""
        from fastpolysem import plots

        means = self.table(data)
        means = means[means["l1"] == means["l1"].iloc[0]]
        sizes = list(means.groupby(["n_features", "n_hidden"]).groups)
        axes = plots.panels(ax, 2, len(sizes), self.FIGURE_SIZE, sharex=True)
        names = list(means["optimizer"].unique())
        panels = {
            "concentration": "concentration\n$\\|W_i\\|_4^4 / \\|W_i\\|_2^4$",
            "signed_slots": "shared neurons\n(no threshold)",
        }
        for column, (n, width) in zip(axes.T, sizes, strict=True):
            here = means[(means["n_features"] == n) & (means["n_hidden"] == width)]
            for each, metric in zip(column, panels, strict=True):
                for shift, (suffix, what) in enumerate(
                    (("", "as trained"), ("_rotated", "rotated"))
                ):
                    at = [names.index(name) + 0.24 * shift - 0.12 for name in here["optimizer"]]
                    color, mark = ("#666666", "s") if shift else (plots.COLORS[0], "o")
                    style: dict[str, Any] = {"fmt": mark, "color": color, "label": what}
                    points(each, at, here, f"{metric}{suffix}", ms=4, capsize=3, **style)
            count = int(here["seeds"].min())
            column[0].set_title(f"n = {n}, m = {width}\n{count} seeds", fontsize="medium")
            column[1].set_xticks(range(len(names)), [*map(written, names)], rotation=90)
            column[1].set_xlabel("optimiser")
        for each, what in zip(axes[:, 0], panels.values(), strict=True):
            each.set_ylabel(what)
        axes[0, 0].legend(frameon=False, fontsize="small", title="means, 95 % intervals")
        return ax or axes[0, 0]

    def tables(self, data: Answers) -> dict[str, str]:
        """Concentration over that of rotations by size, and all numbers."""
        means = with_scales(self.table(data))
        labels = {"n": "n_features", "m": "n_hidden", "optimiser": "optimizer", "lr·√m": "pace"}
        shown = {
            "concentration": "concentration", "rotated": "concentration_rotated",
            "shared neurons": "signed_slots", "rotated ": "signed_slots_rotated",
        }  # fmt: skip
        rest = {
            "largest weight": "largest", "polysemantic": "polysemantic",
            "unrepresented": "unrepresented", "loss": "loss", "seeds": "seeds",
        }  # fmt: skip
        tests = self.verdict(data).tests
        sizes = list(means.groupby(["n_features", "n_hidden"]).groups)
        rows = []
        for way in means["optimizer"].unique():
            cells = []
            for n, m in sizes:
                row = tests[tests["test"] == _name(n, m, way)]
                here = means[(means["n_features"] == n) & (means["n_hidden"] == m)]
                loss = here.loc[here["optimizer"] == way, "loss"]
                mark = "" if len(loss) and loss.iloc[0] <= CONVERGED * n else " (not converged)"
                cells.append(change(row.iloc[0]) + mark if len(row) else "")
            rows.append([written(way), *cells])
        head = ["optimiser", *(f"n = {n}, m = {m}" for n, m in sizes)]
        return {"sizes": markdown(head, rows), "numbers": of_means(means, labels, shown, rest)}


def _name(n: int, m: int, way: str) -> str:
    return f"{written(way)}: n = {n}, m = {m}"


def _by_optimizer(names: Iterable[str]) -> str:
    """These names of tests, with the sizes of each optimiser together."""
    sizes: dict[str, list[str]] = {}
    for name in names:
        way, size = name.split(": ")
        sizes.setdefault(way, []).append(size)
    return ", ".join(f"{way} ({'; '.join(each)})" for way, each in sizes.items())


EXPERIMENT = Baseline()
