"""Can incidental polysemanticity be distinguished from necessary by the trained weights alone?

Some models with too few neurons for their features leave neurons free, and their polysemanticity is
incidental; others use all neurons, and it is necessary. The truth is known from all weights and the
training loss. The experiment tests how much `fastpolysem.diagnose` can infer from part of the
features, and a classifier from a single neuron. Classifiers are fitted on the even seeds and tested
on the odd ones.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastpolysem.experiments._answers import Answers, AutoencoderQuestion
from fastpolysem.experiments._base import Fields, Presets, with_interval
from fastpolysem.experiments._verdicts import (
    EFFECT,
    INCONCLUSIVE,
    WITHIN,
    Comparison,
    left_open,
    text,
)
from fastpolysem.experiments._weights import trained_weights
from fastpolysem.families.autoencoder.config import Config
from fastpolysem.families.autoencoder.diagnosis import diagnose
from fastpolysem.families.autoencoder.objective import loss_and_gradient
from fastpolysem.probes import Column, Probe
from fastpolysem.training import TrainingResult

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from fastpolysem.statistics import Estimate

MARGIN = 0.1
"""Largest negligible area under the ROC curve beyond 1/2."""
LOSSLESS = 1e-3
"""Largest increase of the training loss, without l1, for which a move counts as lossless."""
SHARES = (1.0, 0.9, 0.75, 0.5)
"""Shares of the features that are visible."""
SEEN = ("cost", "free", "shared", "represented", "spread")
"""Predictors of the classifier: the interference of the cheapest move, the numbers of neurons that
seem free or shared, and the numbers of features on a neuron and spread."""
ONE = ("large", "small", "rest_large", "rest_small")
"""Predictors from a single polysemantic neuron."""
_SETTINGS: dict[str, Any] = {"n_features": 32, "n_hidden": 20, "l1": 0.03, "steps": 5000}
_WAYS = ({"l1_update": "orthant", "stop": "certified"}, {"l1_update": "subgradient"})


def _lossless(weights: NDArray[Any], config: Config) -> bool:
    """Whether a feature of a shared neuron can move to a free neuron without loss."""
    on = np.abs(weights) >= 0.8
    shared, free = np.flatnonzero(on.sum(axis=0) >= 2), np.flatnonzero(~on.any(axis=0))
    moves = [(k, i, f) for k in shared for i in np.flatnonzero(on[:, k]) for f in free]
    if not moves:
        return False
    stack = np.repeat(weights[np.newaxis], len(moves) + 1, axis=0)
    for index, (k, i, f) in enumerate(moves, start=1):
        stack[index, i, [k, f]] = weights[i, [f, k]]
    loss, _ = loss_and_gradient(stack, config)
    return bool((loss[1:] - loss[0]).min() <= LOSSLESS)


class Roc(NamedTuple):
    """How well a score distinguishes incidental from necessary."""

    false_alarms: NDArray[np.float64]
    """Share of necessary cases at or above each threshold, ascending from 0 to 1."""
    found: NDArray[np.float64]
    """Share of incidental cases at or above each threshold."""
    area: Estimate
    """Area under the curve with its 95 % interval (DeLong et al. 1988); 1/2 is chance."""
    p_value: float
    """Two-sided p-value of area 1/2: Mann-Whitney test with correction for ties."""
    incidental: int = 0
    """Number of incidental cases."""

    def band(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Ends of Wilson's 95 % interval of ``found`` at each threshold."""
        from fastpolysem import statistics

        count = max(self.incidental, 1)
        hits = np.round(self.found * count).astype(int)
        ends = {k: statistics.proportion(int(k), count)[1:] for k in np.unique(hits)}
        low, high = np.array([ends[k] for k in hits]).T
        return low, high


def roc(score: NDArray[Any], truth: NDArray[np.bool_]) -> Roc:
    """The ROC of a score; nan if only one of the two kinds occurs."""
    from scipy import stats

    from fastpolysem.statistics import Estimate

    score = np.asarray(score, dtype=np.float64)
    yes, no = score[truth], score[~truth]
    if min(len(yes), len(no)) < 2:
        nothing = np.array([0.0, 1.0])
        return Roc(nothing, nothing, Estimate(math.nan, math.nan, math.nan), math.nan)
    thresholds = np.unique(score)[::-1]
    ranks = stats.rankdata(score)
    # Placements: the share of the other group below each value; ties count half.
    of_yes = (ranks[truth] - stats.rankdata(yes)) / len(no)
    of_no = 1 - (ranks[~truth] - stats.rankdata(no)) / len(yes)
    area = float(of_yes.mean())
    error = math.sqrt(of_yes.var(ddof=1) / len(yes) + of_no.var(ddof=1) / len(no))
    # With zero error the groups do not overlap, or all scores are equal: use the smaller group.
    half = stats.norm.ppf(0.975) * error or left_open(min(len(yes), len(no)))
    p_value = 1.0
    if np.ptp(score):
        p_value = float(stats.mannwhitneyu(yes, no, method="asymptotic").pvalue)
    alarms, hits = (
        np.concatenate([[0.0], (part >= thresholds[:, np.newaxis]).mean(axis=1)])
        for part in (no, yes)
    )
    interval = Estimate(area, max(0.0, area - half), min(1.0, area + half))
    return Roc(alarms, hits, interval, p_value, len(yes))


def logistic(
    design: NDArray[Any], truth: NDArray[np.bool_], others: NDArray[Any]
) -> NDArray[np.float64]:
    """Scores of ``others`` (T, k) by logistic regression of ``truth`` (S,) on ``design`` (S, k).

    Columns are standardised; a penalty of 0.01 times the squared coefficients keeps them finite for
    separable data.
    """
    from scipy import optimize, special

    center, spread = design.mean(axis=0), design.std(axis=0)
    spread = np.where(spread > 0, spread, 1.0)
    x = np.column_stack([np.ones(len(design)), (design - center) / spread])
    sign = np.where(truth, 1.0, -1.0)

    def loss(beta: NDArray[Any]) -> tuple[float, NDArray[Any]]:
        margin = sign * (x @ beta)
        wrong = special.expit(-margin)
        penalty = 0.01 * beta * (np.arange(len(beta)) > 0)
        value = 0.5 * penalty @ beta - special.log_expit(margin).mean()
        return float(value), -(x * (sign * wrong)[:, np.newaxis]).mean(axis=0) + penalty

    beta = optimize.minimize(loss, np.zeros(x.shape[1]), jac=True, method="BFGS").x
    result: NDArray[np.float64] = ((others - center) / spread) @ beta[1:] + beta[0]
    return result


def _view(share: float) -> str:
    return f"{share:.0%} of the features"


VIEWS = {
    **{_view(share): [f"{name}_{share:g}" for name in SEEN] for share in SHARES},
    "one neuron": list(ONE),
}
"""The predictors of a classifier in each view."""


@dataclass(frozen=True)
class Views(Probe):
    """The truth about each model, and what is visible in each view."""

    name = "diagnose"
    version = 2
    columns: ClassVar = {
        "usable": Column("bool", "whether a neuron is polysemantic at all"),
        "incidental": Column("bool", "whether a feature of one can move without loss"),
        **{
            name: column
            for share in SHARES
            for name, column in {
                f"cost_{share:g}": Column("float64", "the cheapest move's interference, at most 2"),
                f"free_{share:g}": Column("int64", "neurons that seem free"),
                f"shared_{share:g}": Column("int64", "neurons that seem shared"),
                f"represented_{share:g}": Column("int64", "features on a neuron"),
                f"spread_{share:g}": Column("int64", "features on no neuron"),
                f"says_{share:g}": Column("bool", "whether diagnose calls any incidental"),
            }.items()
        },
        "large": Column("float64", "largest \\|weight\\| of one shared neuron, drawn at random"),
        "small": Column("float64", "its second largest"),
        "rest_large": Column("float64", "norm of the first feature's other weights"),
        "rest_small": Column("float64", "norm of the second feature's other weights"),
    }

    def __call__(self, result: TrainingResult) -> dict[str, NDArray[Any]]:
        """The columns of a block, for each share of visible features."""
        config = result.config.replace(l1=0.0, l1_update="subgradient", stop="steps")
        weights = trained_weights(result).astype(np.float64)
        rows = [
            _seen(model, config, np.random.default_rng(int(seed)))
            for seed, model in zip(result.seeds, weights, strict=True)
        ]
        return {name: np.array([row[name] for row in rows]) for name in self.columns}


def _seen(model: NDArray[Any], config: Config, rng: np.random.Generator) -> dict[str, Any]:
    """The columns of one model."""
    whole = diagnose(model)
    usable = len(whole.neurons) > 0
    row: dict[str, Any] = {"usable": usable, "incidental": usable and _lossless(model, config)}
    order = rng.permutation(len(model))
    for share in SHARES:
        view = diagnose(model[np.sort(order[: max(1, round(share * len(model)))])])
        # A move that is impossible, or costs more than two equal features, counts as that much.
        cost = min(float(view.interference.min(initial=2.0)), 2.0)
        seen = (cost, len(view.free), len(view.neurons), view.represented, len(view.spread))
        row |= {f"{name}_{share:g}": value for name, value in zip(SEEN, seen, strict=True)}
        row[f"says_{share:g}"] = bool(view.incidental.any())
    row |= dict.fromkeys(ONE, math.nan)
    if usable:
        k = int(rng.integers(len(whole.neurons)))
        pair = list(whole.features[k][:2])
        sizes = np.abs(model[pair, whole.neurons[k]])
        rest = np.sqrt(np.maximum(np.square(model[pair]).sum(axis=1) - sizes**2, 0))
        row |= dict(zip(ONE, (*sizes, *rest), strict=True))
    return row


class Diagnose(AutoencoderQuestion):
    """Ways to distinguish incidental from necessary polysemanticity."""

    NAME = "diagnose"
    SUMMARY = "Distinguish incidental from necessary polysemanticity by weights alone; ROC curves."
    FIGURE_SIZE = (10.0, 4.8)
    PRESETS: ClassVar[Presets] = {
        # About a minute on two cores.
        "default": {**_SETTINGS, "seeds": 300},
        # A few seconds.
        "quick": {**_SETTINGS, "seeds": 200},
        # The page of findings.
        "paper": {**_SETTINGS, "seeds": 1000},
        # An hour.
        "large": {**_SETTINGS, "seeds": 2000, "n_features": 64, "n_hidden": 40},
    }
    PROBE = Views()
    LABELS = ("n_features", "n_hidden", "l1", "l1_update")
    METHOD = (
        "Mann-Whitney tests of the area under the ROC curve minus 1/2, on seeds not used for "
        "fitting, with DeLong intervals"
    )

    def ways(self, settings: Fields, changes: Fields) -> Iterable[Fields]:
        """Both updates of l1, unless one is given."""
        return [{}] if changes.keys() & {"l1_update", "stop"} else _WAYS

    def curves(self, data: Answers) -> dict[str, dict[str, Roc]]:
        """The ROC on the odd seeds, by setting and view; classifiers are fitted on the even seeds.

        Each setting and view has its own classifier.
        """
        curves: dict[str, dict[str, Roc]] = {}
        for setting, group in self.settings(data.valid[data.valid["usable"]]):
            odd, even = group[group["seed"] % 2 == 1], group[group["seed"] % 2 == 0]
            truth, known = odd["incidental"].to_numpy(bool), even["incidental"].to_numpy(bool)
            here = curves.setdefault(_name(setting), {})
            for view, columns in VIEWS.items():
                score = np.zeros(len(odd))
                if len(set(known)) == 2:
                    seen, new = (part[columns].to_numpy(float) for part in (even, odd))
                    score = logistic(seen, known, new)
                here[view] = roc(score, truth)
        return curves

    def table(self, data: Answers) -> pd.DataFrame:
        """Performance of each view, one row per setting and share of visible features.

        ``area`` is the area under the ROC curve of the classifier on the odd seeds, with its 95 %
        interval. ``sensitivity`` and ``specificity`` are the shares of incidental and of necessary
        cases that `fastpolysem.diagnose` itself classifies correctly, over all polysemantic seeds.
        """
        import pandas as pd

        areas = self.curves(data)
        table = []
        for setting, group in self.settings(data.rows):
            valid = group[~group["diverged"]]
            usable = valid[valid["usable"]]
            truth = usable["incidental"].to_numpy(bool)
            right = {_view(share): usable[f"says_{share:g}"].to_numpy(bool) for share in SHARES}
            for view in VIEWS:
                row = {**setting, "view": view}
                row |= {"seeds": len(group), "diverged": len(group) - len(valid)}
                row |= {"usable": len(usable), "incidental": truth.mean() if len(truth) else np.nan}
                row |= with_interval("area", areas[_name(setting)][view].area)
                if view in right:
                    row |= _shares_right(right[view], truth)
                row["unrepresented"] = valid["unrepresented"].mean()
                table.append(row)
        return pd.DataFrame(table)

    def tests(self, data: Answers) -> list[Comparison]:
        """Does a view distinguish incidental from necessary better than chance?"""
        from fastpolysem.statistics import Estimate

        tests = []
        for setting, views in self.curves(data).items():
            for view, curve in views.items():
                beyond = Estimate(*(end - 0.5 for end in curve.area))
                tests.append(Comparison(f"{setting}: {view}", beyond, curve.p_value, MARGIN))
        return tests

    def say(self, data: Answers, outcome: str, judged: pd.DataFrame) -> str:
        """Which views distinguish the two, and how well."""
        if outcome == INCONCLUSIVE:
            return f"Whether weights tell incidental from necessary polysemanticity is {outcome}."
        if outcome == WITHIN:
            return "Weights do not tell incidental from necessary polysemanticity."
        parts = []
        settings, views = judged["test"].str.split(": ", n=1, expand=True).to_numpy().T
        for setting in dict.fromkeys(settings):
            here = judged[settings == setting].assign(view=views[settings == setting])
            told, not_told = here[here["outcome"] == EFFECT], here[here["outcome"] == WITHIN]
            areas = told[["difference", "ci_low", "ci_high"]] + 0.5
            told_by = [
                f"{text(area, 2)} ({view})"
                for view, area in zip(told["view"], areas.to_numpy(), strict=True)
            ]
            part = f"{setting}: {', '.join(told_by) or 'none'}"
            if len(not_told):
                part += f", within {MARGIN:g} of chance for {', '.join(not_told['view'])}"
            parts.append(part)
        return (
            "How well weights tell incidental from necessary polysemanticity depends on how "
            "much of the model is seen. Area under the ROC curve: " + "; ".join(parts) + "."
        )

    def draw(self, data: Answers, ax: Axes | None = None) -> Axes:
        """The ROC of each view, one panel per setting."""
        from fastpolysem import plots

        curves = self.curves(data)
        axes = plots.panels(ax, 1, len(curves), self.FIGURE_SIZE, sharey=True)[0]
        for each, (setting, views) in zip(axes, curves.items(), strict=True):
            for index, (view, curve) in enumerate(views.items()):
                line = "--" if view == "one neuron" else "-"
                _curve(each, curve, view, line, plots.COLORS[index % len(plots.COLORS)])
            each.plot([0, 1], [0, 1], ":", color="#666666", label="chance")
            each.set(xlabel="share of necessary cases called incidental", xlim=(-0.02, 1.02))
            each.set_title(f"{setting}, odd seeds, 95 % intervals", fontsize="medium")
            legend = each.legend(frameon=False, fontsize="small", loc="lower right")
            legend.set_title("visible, and area under the curve", prop={"size": "small"})
        axes[0].set_ylabel("share of incidental cases found")
        return ax or axes[0]


def _name(setting: dict[str, Any]) -> str:
    return "m = {n_hidden}, {l1_update}".format(**setting)


def _shares_right(says: NDArray[np.bool_], truth: NDArray[np.bool_]) -> dict[str, float]:
    """Sensitivity and specificity with their intervals, where defined."""
    from fastpolysem import statistics

    columns: dict[str, float] = {}
    for name, right in (("sensitivity", says[truth]), ("specificity", ~says[~truth])):
        if len(right):
            columns |= with_interval(name, statistics.proportion(int(right.sum()), len(right)))
    return columns


def _curve(ax: Axes, curve: Roc, view: str, line: str, color: str) -> None:
    label = f"{view}: {text(curve.area, 2)}"
    if np.isfinite(curve.area.value):
        ax.fill_between(curve.false_alarms, *curve.band(), color=color, alpha=0.15, lw=0)
        ax.plot(curve.false_alarms, curve.found, line, color=color, label=label, lw=1.6)
    else:
        ax.plot([], [], line, color=color, label=f"{label} (one kind only)")


EXPERIMENT = Diagnose()
