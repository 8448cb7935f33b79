"""Does the optimiser alone favour the neurons' basis, without l1 and without noise?

The loss depends on the hidden layer through W Wᵀ alone, so rotating it changes nothing. Under
gradient descent from normal weights every rotation of the trained weights is as likely as they are,
and what is counted at neurons says nothing about neurons. Adam acts coordinate by coordinate. The
control are random rotations of the trained weights themselves, seed by seed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastpolysem import _checks
from fastpolysem.config import Config
from fastpolysem.experiments import grid_of
from fastpolysem.experiments._answers import Answers, name_of, question, summary
from fastpolysem.experiments._verdicts import (
    EFFECT,
    LACKS_POWER,
    NO_EFFECT,
    Verdict,
    compared,
    verdict_of,
)

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from fastpolysem.training import TrainingResult

NAME = "baseline"
SUMMARY = "Train without l1 and noise, and compare with random rotations of the hidden layer."
FIGURE_SIZE = (10.0, 6.4)

MARGIN = 0.01
"""Relative difference from the rotations that would not matter."""
ROTATIONS = 4
"""Random rotations of each seed's trained weights."""

WAYS: dict[str, dict[str, Any]] = {
    "sgd": {"optimizer": "sgd", "learning_rate": 0.06},
    "momentum": {"optimizer": "sgd", "learning_rate": 0.006, "momentum": 0.9},
    "adam": {"optimizer": "adam"},
    "adamw": {"optimizer": "adamw"},
    "adamw, 10x rate": {"optimizer": "adamw", "learning_rate": 0.01},
}
_SETTINGS: dict[str, Any] = {"n_features": 16, "n_hidden": [16, 32], "steps": 3000}
PRESETS: dict[str, dict[str, Any]] = {
    # About a minute on two cores.
    "default": {**_SETTINGS, "seeds": 400},
    # Some seconds.
    "quick": {
        **_SETTINGS,
        "seeds": 300,
        "n_hidden": 16,
        "ways": ["sgd", "adamw", "adamw, 10x rate"],
    },
    # The page of findings.
    "paper": {**_SETTINGS, "seeds": 1000},
    # A quarter of an hour.
    "large": {**_SETTINGS, "seeds": 2000, "n_features": 32, "n_hidden": [16, 32, 64, 128]},
}


def _all_configs(preset: str = "default", **changes: Any) -> list[Config]:
    settings = {**PRESETS[_checks.choice("preset", preset, PRESETS)], **changes}
    names = settings.pop("ways", list(WAYS))
    if "optimizer" in changes:
        return grid_of({preset: settings}, preset, {})
    ways = [WAYS[_checks.choice("ways", name, WAYS)] for name in names]
    return [one for way in ways for one in grid_of({preset: settings}, preset, {**way, **changes})]


def label(config: Config) -> dict[str, Any]:
    """Sizes, l1 and optimiser."""
    usual = {"learning_rate": 1e-3, "momentum": 0.0}
    name = name_of(config, WAYS, usual) or f"{config.optimizer} {config.learning_rate:g}"
    sizes = {"n_features": config.n_features, "n_hidden": config.n_hidden, "l1": config.l1}
    return {**sizes, "optimizer": name}


def rotation(size: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """A uniformly distributed orthogonal matrix (size, size): QR of normals, signs fixed."""
    q, r = np.linalg.qr(rng.standard_normal((size, size)))
    result: NDArray[np.float64] = q * np.sign(np.diag(r))
    return result


def concentration(weights: NDArray[Any]) -> NDArray[np.float64]:
    """``‖W_i‖₄⁴/‖W_i‖₂⁴``, mean over the features of each model: 1 over the number of neurons that
    a feature is spread over."""
    from fastpolysem import metrics

    ratio = metrics.participation_ratio(weights)
    result: NDArray[np.float64] = np.divide(
        1, ratio, out=np.zeros_like(ratio), where=ratio > 0
    ).mean(axis=-1)
    return result


def take(result: TrainingResult) -> dict[str, NDArray[Any]]:
    """Concentration and counts as trained, and their means over random rotations of the hidden
    layer.

    ``concentration``, ``polysemantic`` and ``signed_slots``, with ``_rotated`` those of the
    rotations; ``largest`` is the mean over features of the largest \\|weight\\|.
    """
    from fastpolysem import metrics

    weights = np.asarray(result.weights, dtype=np.float64)
    weights = np.where(result.diverged[:, np.newaxis, np.newaxis], 0.0, weights)
    turned: dict[str, list[NDArray[Any]]] = {"concentration": [], "slots": [], "counts": []}
    for repeat in range(ROTATIONS):
        rotations = np.array(
            [
                rotation(weights.shape[-1], np.random.default_rng((int(seed), repeat)))
                for seed in result.seeds
            ]
        )
        rotated = weights @ rotations
        turned["concentration"].append(concentration(rotated))
        turned["slots"].append(metrics.signed_slots(rotated))
        turned["counts"].append(metrics.count_polysemantic(rotated))
    return {
        "concentration": concentration(weights),
        "concentration_rotated": np.mean(turned["concentration"], axis=0),
        "signed_slots_rotated": np.mean(turned["slots"], axis=0),
        "polysemantic_rotated": np.mean(turned["counts"], axis=0),
        "largest": np.abs(weights).max(axis=-1).mean(axis=-1),
    }


_LABELS = ("n_features", "n_hidden", "l1", "optimizer")
configs, run, rows = question(NAME, PRESETS, label, take=take, configs=_all_configs)


def table(data: Answers) -> pd.DataFrame:
    """Means with 95 % intervals as trained and as rotated, one row a width and an optimiser.

    ``concentration`` is ``‖W_i‖₄⁴/‖W_i‖₂⁴``, ``largest`` the largest \\|weight\\| of a feature. By
    the paper's rule nothing is counted where no weight is 0.8 or more: all features are
    unrepresented.
    """
    metrics = ["concentration", "concentration_rotated", "signed_slots", "signed_slots_rotated"]
    counts = ["polysemantic", "polysemantic_rotated", "malign", "largest", "unrepresented", "loss"]
    return summary(data, _LABELS, [*metrics, *counts])


def verdict(data: Answers) -> Verdict:
    """Are the trained weights more, or less, concentrated on neurons than their rotations?"""
    tests = []
    for key, group in data.valid.groupby(list(_LABELS), sort=False):
        group = group[group["concentration_rotated"] > 0]
        tests.append(
            compared(
                f"m = {key[1]}, {key[3]}",
                group["concentration"],
                group["concentration_rotated"],
                MARGIN,
                paired=True,
                relative=True,
            )
        )
    method = (
        "Paired t tests of the concentration of features on neurons, relative to the mean of "
        f"{ROTATIONS} random rotations of the same weights"
    )
    return verdict_of(tests, method, _say)


def _say(outcome: str, judged: pd.DataFrame) -> str:
    if outcome == NO_EFFECT:
        return "No optimiser favours the neurons' basis: counts at neurons say nothing there."
    if outcome == LACKS_POWER:
        return f"Whether an optimiser favours the neurons' basis: {outcome}."
    parts = []
    for found, what in (
        (judged[judged["outcome"] == EFFECT], "the optimiser by itself singles out the basis in"),
        (judged[judged["outcome"] == NO_EFFECT], f"no difference beyond {MARGIN:.0%} in"),
        (judged[judged["outcome"] == LACKS_POWER], "undecided in"),
    ):
        if len(found):
            listed = (
                f"{row.test} ({row.difference:+.1%} [{row.ci_low:+.1%}, {row.ci_high:+.1%}])"
                for row in found.itertuples()
            )
            parts.append(f"{what} {'; '.join(listed)}")
    sentence = "; ".join(parts)
    sentence = sentence[0].upper() + sentence[1:]
    signs = judged.loc[judged["outcome"] == EFFECT, "difference"]
    if (signs < 0).all():
        return f"{sentence}; it spreads features over more neurons than chance, not over fewer."
    if (signs > 0).all():
        return f"{sentence}; it concentrates features on fewer neurons than chance."
    return f"{sentence}; it goes both ways."


def draw(data: Answers, ax: Axes | None = None) -> Axes:
    """Concentration and neurons with several favourites, as trained and rotated."""
    from fastpolysem import plots

    means = table(data)
    means = means[means["l1"] == means["l1"].iloc[0]]
    widths = sorted(means["n_hidden"].unique())
    axes = plots.panels(ax, 2, len(widths), FIGURE_SIZE, sharex=True)
    names = list(means["optimizer"].unique())
    panels = {
        "concentration": "concentration\n$\\|W_i\\|_4^4 / \\|W_i\\|_2^4$",
        "signed_slots": "neurons that several\nfeatures favour",
    }
    for column, width in zip(axes.T, widths, strict=True):
        here = means[means["n_hidden"] == width]
        for each, metric in zip(column, panels, strict=True):
            for shift, (suffix, what) in enumerate((("", "as trained"), ("_rotated", "rotated"))):
                name = f"{metric}{suffix}"
                at = [names.index(one) + 0.24 * shift - 0.12 for one in here["optimizer"]]
                bars = [here[name] - here[f"{name}_low"], here[f"{name}_high"] - here[name]]
                color = plots.COLORS[0] if not shift else "#666666"
                mark = "o" if not shift else "s"
                each.errorbar(
                    at, here[name], bars, fmt=mark, color=color, ms=4, capsize=3, label=what
                )
        count, n = int(here["seeds"].min()), int(here["n_features"].iloc[0])
        column[0].set_title(f"n = {n}, m = {width}, {count} seeds", fontsize="medium")
        column[1].set_xticks(range(len(names)), names, rotation=20)
        column[1].set_xlabel("optimiser")
    for each, what in zip(axes[:, 0], panels.values(), strict=True):
        each.set_ylabel(what)
    axes[0, 0].legend(frameon=False, fontsize="small", title="means, 95 % intervals")
    return ax or axes[0, 0]
