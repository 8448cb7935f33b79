"""Can incidental polysemanticity be told from necessary by the trained weights alone?

Models with too few neurons for their features: some leave neurons free, and their polysemanticity
is incidental, others use all, and it is necessary. The truth is known from all weights and the
training's own loss; what is tried is what `fastpolysem.diagnose` can tell from part of the
features, and what a classifier can tell from one neuron. Classifiers are fitted on the even seeds
and tried on the odd ones.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastpolysem.config import Config
from fastpolysem.experiments._answers import Answers, question
from fastpolysem.experiments._verdicts import (
    EFFECT,
    LACKS_POWER,
    NO_EFFECT,
    Comparison,
    Verdict,
    text,
    verdict_of,
)

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from fastpolysem.statistics import Estimate
    from fastpolysem.training import TrainingResult

NAME = "diagnose"
SUMMARY = "Tell incidental from necessary polysemanticity by weights alone, with its ROC."
FIGURE_SIZE = (10.0, 4.8)

MARGIN = 0.1
"""Area under the ROC beyond 1/2 that would not matter."""
LOSSLESS = 1e-3
"""What a move may add to the training's loss, without l1, and count as lossless."""
SHARES = (1.0, 0.9, 0.75, 0.5)
"""Shares of the features that are seen."""
SEEN = ("cost", "free", "shared", "represented", "spread")
"""What the classifier goes by: the cheapest move's interference, neurons that seem free or shared,
features on a neuron and spread ones."""
ONE = ("large", "small", "rest_large", "rest_small")
"""What is seen of a single polysemantic neuron."""

_SETTINGS: dict[str, Any] = {
    "n_features": 32,
    "n_hidden": 20,
    "l1": 0.03,
    "steps": 5000,
}
_WAYS = ({"l1_update": "orthant", "stop": "certified"}, {"l1_update": "subgradient"})
PRESETS: dict[str, dict[str, Any]] = {
    # About a minute on two cores.
    "default": {**_SETTINGS, "seeds": 300},
    # Some seconds.
    "quick": {**_SETTINGS, "seeds": 200},
    # The page of findings.
    "paper": {**_SETTINGS, "seeds": 1000},
    # An hour.
    "large": {**_SETTINGS, "seeds": 2000, "n_features": 64, "n_hidden": 40},
}


def _all_configs(preset: str = "default", **changes: Any) -> list[Config]:
    from fastpolysem import _checks
    from fastpolysem.experiments import grid_of

    _checks.choice("preset", preset, PRESETS)
    if "l1_update" in changes or "stop" in changes:
        return grid_of(PRESETS, preset, changes)
    return [one for way in _WAYS for one in grid_of(PRESETS, preset, {**way, **changes})]


def label(config: Config) -> dict[str, Any]:
    """Sizes, l1 and its update."""
    return {name: getattr(config, name) for name in _LABELS}


def _lossless(weights: NDArray[Any], config: Config) -> bool:
    """Whether a feature of a shared neuron can move to a neuron of no feature without loss."""
    from fastpolysem.objective import loss_and_gradient

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


def take(result: TrainingResult) -> dict[str, NDArray[Any]]:
    """Truth and what is seen, one polysemantic model each.

    ``usable`` says whether a neuron is polysemantic at all, ``incidental`` whether a feature of one
    can move without loss. For each share of the features, ``cost_1`` and so on, what
    `fastpolysem.diagnose` sees in them (`SEEN`), and ``says_1`` and so on, whether it calls any
    shared neuron incidental. Of one shared neuron, drawn at random:
    ``large`` and ``small``, its two largest \\|weights\\|, ``rest_large`` and ``rest_small``, what
    else these features have in norm.
    """
    from fastpolysem.diagnosis import diagnose

    config = result.config.replace(l1=0.0, l1_update="subgradient", stop="steps")
    weights = np.asarray(result.weights, dtype=np.float64)
    weights = np.where(result.diverged[:, np.newaxis, np.newaxis], 0.0, weights)
    listed: list[dict[str, Any]] = []
    for seed, one in zip(result.seeds, weights, strict=True):
        rng = np.random.default_rng(int(seed))
        found = diagnose(one)
        row: dict[str, Any] = {"usable": len(found.neurons) > 0}
        row["incidental"] = row["usable"] and _lossless(one, config)
        order = rng.permutation(len(one))
        for share in SHARES:
            view = diagnose(one[np.sort(order[: max(1, round(share * len(one)))])])
            # A move that cannot be, or costs more than two equal features, is worth no more.
            cost = min(float(view.interference.min(initial=2.0)), 2.0)
            seen = (cost, len(view.free), len(view.neurons), view.represented, len(view.spread))
            row |= {f"{name}_{share:g}": value for name, value in zip(SEEN, seen, strict=True)}
            row[f"says_{share:g}"] = bool(view.incidental.any())
        row |= dict.fromkeys(ONE, math.nan)
        if row["usable"]:
            k = int(rng.integers(len(found.neurons)))
            pair = list(found.features[k][:2])
            sizes = np.abs(one[pair, found.neurons[k]])
            rest = np.sqrt(np.maximum(np.square(one[pair]).sum(axis=1) - sizes**2, 0))
            row |= dict(zip(ONE, (*sizes, *rest), strict=True))
        listed.append(row)
    return {name: np.array([row[name] for row in listed]) for name in listed[0]}


_LABELS = ("n_features", "n_hidden", "l1", "l1_update")
configs, run, rows = question(NAME, PRESETS, label, take=take, configs=_all_configs)


class Roc(NamedTuple):
    """How well a score tells incidental from necessary."""

    false_alarms: NDArray[np.float64]
    """Share of the necessary at or above each threshold, ascending from 0 to 1."""
    found: NDArray[np.float64]
    """Share of the incidental there."""
    area: Estimate
    """Area under the curve with its 95 % interval (DeLong et al. 1988); 1/2 is chance."""
    p_value: float
    """Two-sided, of an area of 1/2: Mann and Whitney's test with its correction for ties."""
    incidental: int = 0
    """How many incidental ones there are."""

    def band(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Ends of the 95 % interval of ``found`` at each threshold, Wilson's."""
        z2 = 1.959964**2 / max(self.incidental, 1)
        center = (self.found + z2 / 2) / (1 + z2)
        half = np.sqrt(z2 * (self.found * (1 - self.found) + z2 / 4)) / (1 + z2)
        return center - half, center + half


def roc(score: NDArray[Any], truth: NDArray[np.bool_]) -> Roc:
    """The ROC of a score; nan where only one of the two occurs."""
    from scipy import stats

    from fastpolysem.statistics import Estimate

    score = np.asarray(score, dtype=np.float64)
    yes, no = score[truth], score[~truth]
    if min(len(yes), len(no)) < 2:
        nothing = np.array([0.0, 1.0])
        return Roc(nothing, nothing, Estimate(math.nan, math.nan, math.nan), math.nan)
    thresholds = np.unique(score)[::-1]
    above = [[(part >= at).mean() for at in thresholds] for part in (no, yes)]
    ranks = stats.rankdata(score)
    inside_yes, inside_no = stats.rankdata(yes), stats.rankdata(no)
    # Placements: the share of the other group below each value, ties by half.
    of_yes = (ranks[truth] - inside_yes) / len(no)
    of_no = 1 - (ranks[~truth] - inside_no) / len(yes)
    area = float(of_yes.mean())
    error = math.sqrt(of_yes.var(ddof=1) / len(yes) + of_no.var(ddof=1) / len(no))
    if error:
        half = 1.959964 * error
        low, high = max(0.0, area - half), min(1.0, area + half)
    else:  # the groups do not overlap at all, or all scores are equal: by the smaller group
        open_ = 1 - 0.025 ** (1 / min(len(yes), len(no)))
        low, high = max(0.0, area - open_), min(1.0, area + open_)
    p_value = 1.0
    if np.ptp(score):
        p_value = float(stats.mannwhitneyu(yes, no, method="asymptotic").pvalue)
    alarms, found = (np.array([0.0, *shares]) for shares in above)
    return Roc(alarms, found, Estimate(area, low, high), p_value, len(yes))


def logistic(
    design: NDArray[Any], truth: NDArray[np.bool_], others: NDArray[Any]
) -> NDArray[np.float64]:
    """Scores of ``others`` (T, k) by logistic regression of ``truth`` (S,) on ``design`` (S, k).

    Columns are standardised; a penalty of a hundredth of the squared coefficients keeps separable
    data finite.
    """
    from scipy.optimize import minimize

    center, spread = design.mean(axis=0), design.std(axis=0)
    spread = np.where(spread > 0, spread, 1.0)
    x = np.column_stack([np.ones(len(design)), (design - center) / spread])
    sign = np.where(truth, 1.0, -1.0)

    def loss(beta: NDArray[Any]) -> tuple[float, NDArray[Any]]:
        margin = sign * (x @ beta)
        wrong = 1 / (1 + np.exp(np.clip(margin, -500, 500)))
        penalty = 0.01 * beta * (np.arange(len(beta)) > 0)
        value = np.logaddexp(0, -margin).mean() + 0.5 * penalty @ beta
        return float(value), -(x * (sign * wrong)[:, np.newaxis]).mean(axis=0) + penalty

    beta = minimize(loss, np.zeros(x.shape[1]), jac=True, method="BFGS").x
    result: NDArray[np.float64] = ((others - center) / spread) @ beta[1:] + beta[0]
    return result


def curves(data: Answers) -> dict[str, Roc]:
    """The ROC of each view on the odd seeds, by its name; classifiers know the even ones alone.

    Each setting and view has a classifier of its own.
    """
    found: dict[str, Roc] = {}
    usable = data.valid[data.valid["usable"]]
    for key, group in usable.groupby(list(_LABELS), sort=False):
        odd, even = group[group["seed"] % 2 == 1], group[group["seed"] % 2 == 0]
        truth, known = odd["incidental"].to_numpy(bool), even["incidental"].to_numpy(bool)
        name = f"m = {key[1]}, {key[3]}"
        views = {
            f"{share:.0%} of the features": [f"{column}_{share:g}" for column in SEEN]
            for share in SHARES
        }
        for view, columns in {**views, "one neuron": list(ONE)}.items():
            score = np.zeros(len(odd))
            if len(set(known)) == 2:
                score = logistic(even[columns].to_numpy(float), known, odd[columns].to_numpy(float))
            found[f"{name}: {view}"] = roc(score, truth)
    return found


def table(data: Answers) -> pd.DataFrame:
    """How well each view tells, one row a setting and a share of the features seen.

    ``area`` is that under the ROC of the classifier on the odd seeds, with its 95 % interval;
    ``sensitivity`` and ``specificity`` are how often `fastpolysem.diagnose` itself calls an
    incidental model so, and a necessary one not, of all seeds that are polysemantic at all.
    """
    import pandas as pd

    from fastpolysem import statistics
    from fastpolysem.experiments._answers import with_interval

    areas = curves(data)
    listed = []
    for key, group in data.rows.groupby(list(_LABELS), sort=False):
        valid = group[~group["diverged"]]
        usable = valid[valid["usable"]]
        truth = usable["incidental"].to_numpy(bool)
        for view in [*SHARES, "one neuron"]:
            row: dict[str, Any] = dict(zip(_LABELS, key, strict=True))
            row["view"] = f"{view:.0%} of the features" if isinstance(view, float) else view
            row |= {"seeds": len(group), "diverged": len(group) - len(valid)}
            row |= {"usable": len(usable), "incidental": truth.mean() if len(truth) else np.nan}
            row |= with_interval("area", areas[f"m = {key[1]}, {key[3]}: {row['view']}"].area)
            if isinstance(view, float):
                says = usable[f"says_{view:g}"].to_numpy(bool)
                for name, right in (("sensitivity", says[truth]), ("specificity", ~says[~truth])):
                    if len(right):
                        share = statistics.proportion(int(right.sum()), len(right))
                        row |= with_interval(name, share)
            row["unrepresented"] = valid["unrepresented"].mean()
            listed.append(row)
    return pd.DataFrame(listed)


def verdict(data: Answers) -> Verdict:
    """Does a view tell incidental from necessary better than chance?"""
    from fastpolysem.statistics import Estimate

    tests = []
    for name, found in curves(data).items():
        value, low, high = found.area
        beyond = Estimate(value - 0.5, low - 0.5, high - 0.5)
        tests.append(Comparison(name, beyond, found.p_value, MARGIN))
    method = (
        "Mann and Whitney's tests of the area under the ROC beyond 1/2, on seeds that the "
        "classifier has not seen; DeLong's intervals"
    )
    return verdict_of(tests, method, _say)


def _say(outcome: str, judged: pd.DataFrame) -> str:
    if outcome == LACKS_POWER:
        return f"Whether weights tell incidental from necessary polysemanticity: {outcome}."
    if outcome == NO_EFFECT:
        return "Weights do not tell incidental from necessary polysemanticity."
    parts = []
    settings, views = judged["test"].str.split(": ", n=1, expand=True).to_numpy().T
    for setting in dict.fromkeys(settings):
        here = judged[settings == setting].assign(view=views[settings == setting])
        told, not_told = here[here["outcome"] == EFFECT], here[here["outcome"] == NO_EFFECT]
        said = [
            f"{text((row.difference + 0.5, row.ci_low + 0.5, row.ci_high + 0.5), 2)} ({row.view})"
            for row in told.itertuples()
        ]
        part = f"{setting}: {', '.join(said) or 'none'}"
        if len(not_told):
            part += f", no better than chance by {', '.join(not_told['view'])}"
        parts.append(part)
    return (
        "Incidental can be told from necessary where all features are seen, less and less where "
        "some are not, by the area under the ROC: " + "; ".join(parts) + "."
    )


def draw(data: Answers, ax: Axes | None = None) -> Axes:
    """The ROC of each view, a panel for each way of l1."""
    from fastpolysem import plots

    found = curves(data)
    settings = list(dict.fromkeys(name.split(": ")[0] for name in found))
    axes = plots.panels(ax, 1, len(settings), FIGURE_SIZE, sharey=True)[0]
    for each, setting in zip(axes, settings, strict=True):
        mine = {name: one for name, one in found.items() if name.split(": ")[0] == setting}
        for index, (name, one) in enumerate(mine.items()):
            what = f"{name.split(': ')[1]}: {text(one.area, 2)}"
            line = "--" if name.endswith("one neuron") else "-"
            color = plots.COLORS[index % len(plots.COLORS)]
            if np.isfinite(one.area.value):
                each.fill_between(one.false_alarms, *one.band(), color=color, alpha=0.15, lw=0)
                each.plot(one.false_alarms, one.found, line, color=color, label=what, lw=1.6)
            else:
                each.plot([], [], line, color=color, label=f"{what} (one kind only)")
        each.plot([0, 1], [0, 1], ":", color="#666666", label="chance")
        each.set(xlabel="share of necessary called incidental", xlim=(-0.02, 1.02))
        each.set_title(f"{setting}, odd seeds, 95 % intervals", fontsize="medium")
        legend = each.legend(frameon=False, fontsize="small", loc="lower right")
        legend.set_title("seen, and area under the curve", prop={"size": "small"})
    axes[0].set_ylabel("share of incidental found")
    return ax or axes[0]
