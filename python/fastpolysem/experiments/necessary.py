"""Are there more polysemantic neurons than necessary, even with fewer neurons than features?

If ``r`` features are represented on ``m`` neurons, at most two per neuron, at least ``r - m``
neurons are polysemantic. The others are incidental: each could be avoided by moving a feature to a
free neuron, which is tested on the trained weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fastpolysem.experiments._answers import Answers, AutoencoderQuestion, estimate_of
from fastpolysem.experiments._base import Presets
from fastpolysem.experiments._drawing import points
from fastpolysem.experiments._verdicts import (
    EFFECT,
    INCONCLUSIVE,
    WITHIN,
    Comparison,
    compared,
    text,
)
from fastpolysem.experiments._weights import trained_weights
from fastpolysem.families.autoencoder.diagnosis import diagnose
from fastpolysem.families.autoencoder.metrics import feature_dimensionality
from fastpolysem.families.autoencoder.objective import loss_and_gradient
from fastpolysem.probes import Column, Probe
from fastpolysem.training import TrainingResult

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


MARGIN = 0.1
"""Largest negligible number of neurons beyond the necessary ones."""
_SETTINGS: dict[str, Any] = {
    "n_features": 32,
    "n_hidden": [8, 12, 16, 20, 24, 28, 32, 48, 64, 128],
    "l1": 0.03,
    "l1_update": "orthant",
    "stop": "certified",
    "steps": 5000,
}


def _listed(values: pd.Series[Any]) -> str:
    return ", ".join(str(value) for value in values)


@dataclass(frozen=True)
class Moves(Probe):
    """The diagnosis of each seed by `fastpolysem.diagnose`, and the loss after its moves."""

    name = "necessary"
    version = 2
    columns: ClassVar = {
        "shared": Column("int64", "neurons on which two or more features concentrate"),
        "necessary": Column(
            "int64", "number of shared neurons that the represented features require"
        ),
        "removable": Column("int64", "number of shared neurons undone by successive moves"),
        "spread": Column("int64", "learned features that are not on a single neuron"),
        "loss_moved": Column("float64", "loss on the basis after the moves, without l1"),
        "dimensionality": Column("float64", "mean of metrics.feature_dimensionality"),
        "capacity": Column("float64", "sum of metrics.feature_dimensionality over min(n, m)"),
    }

    def __call__(self, result: TrainingResult) -> dict[str, NDArray[Any]]:
        """The columns of a block."""
        weights = trained_weights(result).astype(np.float64)
        diagnoses = diagnose(weights)
        plain = result.config.replace(l1=0.0, l1_update="subgradient", stop="steps")
        moved, _ = loss_and_gradient(np.array([each.weights for each in diagnoses]), plain)
        dimensionality = feature_dimensionality(weights)
        least = min(weights.shape[1:])
        return {
            "shared": np.array([len(each.neurons) for each in diagnoses]),
            "necessary": np.array([each.necessary for each in diagnoses]),
            "removable": np.array([each.removable for each in diagnoses]),
            "spread": np.array([len(each.spread) for each in diagnoses]),
            "loss_moved": moved,
            "dimensionality": dimensionality.mean(axis=1),
            "capacity": dimensionality.sum(axis=1) / least,
        }


class Necessary(AutoencoderQuestion):
    """Polysemantic neurons compared with the smallest possible number."""

    NAME = "necessary"
    SUMMARY = "Compare polysemantic neurons with the smallest possible number, from m = n/4 to 4n."
    FIGURE_SIZE = (10.0, 7.0)
    PRESETS: ClassVar[Presets] = {
        # About a minute on two cores.
        "default": {**_SETTINGS, "seeds": 200},
        # A few seconds.
        "quick": {**_SETTINGS, "seeds": 60, "n_hidden": [16, 24, 32, 64]},
        # The page of findings.
        "paper": {**_SETTINGS, "seeds": 1000},
        # Hours.
        "large": {
            **_SETTINGS,
            "seeds": 1000,
            "n_features": 128,
            "n_hidden": [32, 64, 96, 128, 256, 512],
            "steps": 10_000,
        },
    }
    PROBE = Moves()
    LABELS = ("n_features", "n_hidden", "l1")
    METRICS = (
        *("polysemantic", "shared", "necessary", "excess", "removable", "spread"),
        *("unrepresented", "malign", "dead", "dimensionality", "capacity", "loss", "loss_moved"),
    )
    METHOD = "t tests of the number of shared neurons undone by moves to free neurons, against 0"

    def table(self, data: Answers) -> pd.DataFrame:
        """Means with 95 % intervals, one row per width.

        ``excess`` is ``shared - necessary``, and ``null_excess`` its value in the null model, in
        which features take signed slots at random. The other columns are those of `Moves`. Features
        that are ``spread`` need neurons too, so that ``necessary`` is then too small a bound;
        ``removable`` counts as incidental.
        """
        from fastpolysem.families.autoencoder import theory

        rows = data.rows.assign(excess=data.rows["shared"] - data.rows["necessary"])
        means = super().table(Answers(rows))
        n, m = means["n_features"], means["n_hidden"]
        null = np.asarray(theory.null_mean(n, m)) - np.maximum(0, n - m)
        means.insert(means.columns.get_loc("removable"), "null_excess", null)
        return means

    def tests(self, data: Answers) -> list[Comparison]:
        """Are there shared neurons that could be avoided by moving a feature to a free neuron?"""
        tests = []
        for setting, group in self.settings(data.valid):
            name = "n = {n_features}, m = {n_hidden}, λ = {l1:g}".format(**setting)
            none = np.zeros(len(group))
            tests.append(compared(name, group["removable"], none, MARGIN, paired=True))
        return tests

    def say(self, data: Answers, outcome: str, judged: pd.DataFrame) -> str:
        """Where there are more than necessary."""
        if outcome == INCONCLUSIVE:
            return f"Whether more neurons are polysemantic than necessary is {outcome}."
        means = self.table(data)
        more = means[(judged["outcome"] == EFFECT).to_numpy()]
        if not len(more):
            return "No more neurons are polysemantic than necessary."
        sentence = (
            f"More neurons are polysemantic than necessary at m = {_listed(more['n_hidden'])}"
        )
        fewer = more[more["n_hidden"] < more["n_features"]]
        if len(fewer):
            top = fewer.loc[fewer["removable"].idxmax()]
            extra = text(estimate_of(top, "removable"))
            sentence += (
                f", even with fewer neurons than features (n = {top['n_features']:.0f}, "
                f"m = {top['n_hidden']:.0f}: {extra} beyond the necessary {top['necessary']:.3g})"
            )
        for what, said in ((WITHIN, "no excess"), (INCONCLUSIVE, "inconclusive")):
            others = means[(judged["outcome"] == what).to_numpy()]
            if len(others):
                sentence += f"; {said} at m = {_listed(others['n_hidden'])}"
        return f"{sentence}."

    def draw(self, data: Answers, ax: Axes | None = None) -> Axes:
        """Counts against the necessary ones, the excess, what becomes of features, and the
        capacity."""
        from fastpolysem import plots

        means = self.table(data)
        means = means[means["n_features"] == means["n_features"].iloc[0]]
        means = means[means["l1"] == means["l1"].iloc[0]].sort_values("n_hidden")
        axes = plots.panels(ax, 2, 2, self.FIGURE_SIZE, sharex=True)
        n = int(means["n_features"].iloc[0])
        ratio = means["n_hidden"] / n
        curves = (
            (axes[0, 0], "shared", "neurons with several features"),
            (axes[0, 0], "necessary", "smallest possible number"),
            (axes[0, 1], "excess", "beyond the smallest possible"),
            (axes[0, 1], "removable", "undone by moving features"),
            (axes[1, 0], "unrepresented", "no weight of at least 0.8"),
            (axes[1, 0], "spread", "on no neuron by 80 %"),
            (axes[1, 1], "dimensionality", "dimensions a feature has"),
            (axes[1, 1], "capacity", "capacity in use, of min(n, m)"),
        )
        for index, (each, name, what) in enumerate(curves):
            color = plots.COLORS[index % 2]
            style: dict[str, Any] = {"fmt": "o-" if not index % 2 else "s--", "ms": 4, "capsize": 2}
            points(each, ratio, means, name, color=color, lw=1.2, label=what, **style)
        known = np.isfinite(means["null_excess"])
        axes[0, 1].plot(
            ratio[known], means.loc[known, "null_excess"], ":", color="#666666", label="null model"
        )
        for each, what in zip(
            axes.flat, ("neurons", "neurons", "features", "mean over features, share"), strict=True
        ):
            each.set(ylabel=what, xscale="log")
            each.axvline(1, color="#BBBBBB", lw=0.8, zorder=0)
            each.set_ylim(bottom=min(0, each.get_ylim()[0]))
            each.legend(frameon=False, fontsize="small")
        for each in axes[1]:
            each.set_xlabel("neurons per feature, m/n")
            each.set_xticks(
                ratio, [f"{value:.3g}" for value in ratio], rotation=60, fontsize="small"
            )
            each.minorticks_off()
        count = int(means["seeds"].min())
        axes[0, 0].set_title(
            f"n = {n}, means and 95 % intervals of {count} seeds", fontsize="medium"
        )
        return ax or axes[0, 0]


EXPERIMENT = Necessary()
