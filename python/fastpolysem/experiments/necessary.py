"""Are there more polysemantic neurons than there have to be, also with fewer neurons than features?

With ``r`` features on ``m`` neurons, two at most on one, at least ``r - m`` neurons are
polysemantic. The others are incidental: each could be undone by moving a feature to a free neuron,
which is tried in the trained weights.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastpolysem.config import Config
from fastpolysem.experiments._answers import Answers, question, summary
from fastpolysem.experiments._verdicts import (
    EFFECT,
    LACKS_POWER,
    NO_EFFECT,
    Comparison,
    Verdict,
    compared,
    text,
    verdict_of,
)

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from fastpolysem.training import TrainingResult

NAME = "necessary"
SUMMARY = "Count polysemantic neurons against the least possible number, from m = n/4 to m = 4n."
FIGURE_SIZE = (10.0, 7.0)

MARGIN = 0.1
"""Neurons beyond the necessary ones that would not matter."""

_SETTINGS: dict[str, Any] = {
    "n_features": 32,
    "n_hidden": [8, 12, 16, 20, 24, 28, 32, 48, 64, 128],
    "l1": 0.03,
    "l1_update": "orthant",
    "stop": "certified",
    "steps": 5000,
}
PRESETS: dict[str, dict[str, Any]] = {
    # About a minute on two cores.
    "default": {**_SETTINGS, "seeds": 200},
    # Some seconds.
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


def label(config: Config) -> dict[str, Any]:
    """Sizes and l1."""
    return {name: getattr(config, name) for name in _LABELS}


def take(result: TrainingResult) -> dict[str, NDArray[Any]]:
    """What `fastpolysem.diagnose` says of each seed, and what the moves do to the loss.

    ``shared`` counts neurons that two or more features concentrate on, ``necessary`` how many there
    must be at least with the features that are on a neuron, ``removable`` how many moves undo one
    after another, ``spread`` the features on no neuron; ``loss_moved`` is the loss, on the basis
    and without l1, of the weights after the moves. ``dimensionality`` is the mean over features of
    ``metrics.feature_dimensionality``, ``capacity`` their sum over min(n, m).
    """
    from fastpolysem import metrics
    from fastpolysem.diagnosis import diagnose
    from fastpolysem.objective import loss_and_gradient

    weights = np.asarray(result.weights, dtype=np.float64)
    weights = np.where(result.diverged[:, np.newaxis, np.newaxis], 0.0, weights)
    found = [diagnose(one) for one in weights]
    plain = result.config.replace(l1=0.0, l1_update="subgradient", stop="steps")
    moved, _ = loss_and_gradient(np.array([one.weights for one in found]), plain)
    dimensionality = metrics.feature_dimensionality(weights)
    least = min(weights.shape[1:])
    return {
        "shared": np.array([len(one.neurons) for one in found]),
        "necessary": np.array([one.necessary for one in found]),
        "removable": np.array([one.removable for one in found]),
        "spread": np.array([len(one.spread) for one in found]),
        "loss_moved": moved,
        "dimensionality": dimensionality.mean(axis=1),
        "capacity": dimensionality.sum(axis=1) / least,
    }


_LABELS = ("n_features", "n_hidden", "l1")
configs, run, rows = question(NAME, PRESETS, label, take=take)


def table(data: Answers) -> pd.DataFrame:
    """Means with 95 % intervals, one row a width.

    ``excess`` is ``shared - necessary``, ``null_excess`` what the null model, in which features
    take signed slots at random, gives for it; the other columns are those of `take`. Where features
    are ``spread`` they need neurons too, and ``necessary`` is too small a bound: ``removable`` is
    what counts as incidental.
    """
    from fastpolysem import theory

    found = data.rows.assign(excess=data.rows["shared"] - data.rows["necessary"])
    first = ["polysemantic", "shared", "necessary", "excess", "removable", "spread"]
    last = ["unrepresented", "malign", "dead", "dimensionality", "capacity", "loss", "loss_moved"]
    means = summary(Answers(found), _LABELS, [*first, *last])
    n, m = means["n_features"], means["n_hidden"]
    null = np.asarray(theory.null_mean(n, m)) - np.maximum(0, n - m)
    means.insert(means.columns.get_loc("removable"), "null_excess", null)
    return means


def verdict(data: Answers) -> Verdict:
    """Are there shared neurons that moving a feature to a free neuron undoes?"""
    tests: list[Comparison] = []
    for key, group in data.valid.groupby(list(_LABELS), sort=False):
        name = f"n = {key[0]}, m = {key[1]}, λ = {key[2]:g}"
        none = np.zeros(len(group))
        tests.append(compared(name, group["removable"], none, MARGIN, paired=True))
    method = "t tests of the shared neurons that moves to free neurons undo, against none"
    return verdict_of(tests, method, lambda outcome, judged: _say(data, outcome, judged))


def _say(data: Answers, outcome: str, judged: pd.DataFrame) -> str:
    if outcome == LACKS_POWER:
        return f"Whether more neurons are polysemantic than necessary: {outcome}."
    means = table(data)
    more = means[(judged["outcome"] == EFFECT).to_numpy()]
    if not len(more):
        return "There are no more polysemantic neurons than necessary."
    sentence = (
        f"There are more polysemantic neurons than necessary at m = {_listed(more['n_hidden'])}"
    )
    fewer = more[more["n_hidden"] < more["n_features"]]
    if len(fewer):
        top = fewer.loc[fewer["removable"].idxmax()]
        extra = (top["removable"], top["removable_low"], top["removable_high"])
        sentence += (
            f", also with fewer neurons than features (n = {top['n_features']:.0f}, "
            f"m = {top['n_hidden']:.0f}: {text(extra)} beyond {top['necessary']:.3g})"
        )
    for what, said in ((NO_EFFECT, "none"), (LACKS_POWER, "undecided")):
        others = means[(judged["outcome"] == what).to_numpy()]
        if len(others):
            sentence += f"; {said} at m = {_listed(others['n_hidden'])}"
    return f"{sentence}."


def _listed(values: pd.Series[Any]) -> str:
    return ", ".join(str(value) for value in values)


def draw(data: Answers, ax: Axes | None = None) -> Axes:
    """Counts against the necessary ones, the excess, what becomes of features, and the capacity."""
    from fastpolysem import plots

    means = table(data)
    means = means[means["n_features"] == means["n_features"].iloc[0]]
    means = means[means["l1"] == means["l1"].iloc[0]].sort_values("n_hidden")
    axes = plots.panels(ax, 2, 2, FIGURE_SIZE, sharex=True)
    n = int(means["n_features"].iloc[0])
    ratio = means["n_hidden"] / n
    curves = (
        (axes[0, 0], "shared", "neurons with several features"),
        (axes[0, 0], "necessary", "least possible number"),
        (axes[0, 1], "excess", "beyond the least possible"),
        (axes[0, 1], "removable", "undone by moving features"),
        (axes[1, 0], "unrepresented", "no weight of at least 0.8"),
        (axes[1, 0], "spread", "on no neuron by 80 %"),
        (axes[1, 1], "dimensionality", "dimensions a feature has"),
        (axes[1, 1], "capacity", "capacity in use, of min(n, m)"),
    )
    for index, (each, name, what) in enumerate(curves):
        bars = [means[name] - means[f"{name}_low"], means[f"{name}_high"] - means[name]]
        color = plots.COLORS[index % 2]
        style: dict[str, Any] = {"fmt": "o-" if not index % 2 else "s--", "ms": 4, "capsize": 2}
        each.errorbar(ratio, means[name], bars, color=color, lw=1.2, label=what, **style)
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
        each.set_xticks(ratio, [f"{value:.3g}" for value in ratio], rotation=60, fontsize="small")
        each.minorticks_off()
    count = int(means["seeds"].min())
    axes[0, 0].set_title(f"n = {n}, means and 95 % intervals of {count} seeds", fontsize="medium")
    return ax or axes[0, 0]
