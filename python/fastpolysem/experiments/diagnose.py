"""Can incidental polysemanticity be distinguished from necessary by the trained weights alone?

Some models with too few neurons for their features leave neurons free, and their polysemanticity is
incidental; others use all neurons, and it is necessary. The ground truth is established by
training: one feature of a shared neuron is moved to the least used neuron, and the model is trained
further. Its polysemanticity is incidental if fewer neurons are then shared at an unchanged
objective. The experiment tests how much `fastpolysem.diagnose` can infer from part of the features,
and a classifier from a single neuron, and continues training after the moves that `diagnose` makes.
Classifiers are fitted on the even seeds and tested on the odd ones.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastpolysem.experiments._answers import (
    Answers,
    AutoencoderQuestion,
    at_usual_rates,
    size_and_optimizer,
    sized,
    summary,
    with_scales,
)
from fastpolysem.experiments._base import ORTHANT, Fields, Presets, with_interval
from fastpolysem.experiments._roc import Roc, logistic, roc
from fastpolysem.experiments._tables import of_means
from fastpolysem.experiments._verdicts import Comparison, compared, text
from fastpolysem.experiments._weights import trained_weights
from fastpolysem.families.autoencoder.config import Config, without_l1
from fastpolysem.families.autoencoder.diagnosis import diagnose
from fastpolysem.families.autoencoder.objective import loss_and_gradient
from fastpolysem.probes import Column, Probe
from fastpolysem.training import TrainingResult, train

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


MARGIN = 0.1
"""Largest negligible area under the ROC curve beyond 1/2."""
LOSSLESS = 1e-3
"""Largest relative increase of the training objective that counts as unchanged."""
LEAST = 10
"""Least number of models of either kind among the odd seeds for a ROC."""
KICK = 0.02
"""Standard deviation of the noise on all weights from which models are trained further; without it,
a converged model would not move."""
SHARES = (1.0, 0.9, 0.75, 0.5)
"""Shares of the features that are visible."""
SEEN = ("cost", "free", "shared", "represented", "spread")
"""Predictors of the classifier: the interference of the cheapest move, the numbers of neurons that
seem free or shared, and the numbers of features on a neuron and spread."""
ONE = ("large", "small", "rest_large", "rest_small")
"""Predictors from a single polysemantic neuron."""
_SIZES = ((16, 10), (32, 20), (64, 40), (256, 160))
_SETTINGS: dict[str, Any] = {
    "n_features": 32,
    "n_hidden": 20,
    "l1": 0.03,
    "l1_update": "orthant",
    "stop": "certified",
    "steps": 20_000,
    "sizes": _SIZES,
}


class Trained(NamedTuple):
    """Models trained further from given weights."""

    shared: NDArray[np.int64]
    """(S,) number of shared neurons."""
    objective: NDArray[np.float64]
    """(S,) loss and l1 penalty."""


def trained_on(config: Config, seeds: NDArray[Any], weights: NDArray[Any]) -> Trained:
    """Continue training from weights (S, n, m), perturbed by noise, with the same settings."""
    noise = [np.random.default_rng(int(seed)).standard_normal(weights.shape[1:]) for seed in seeds]
    start = weights + KICK * np.array(noise)
    after = train(config, seeds, initial_weights=start, return_weights=True)
    end = trained_weights(after).astype(np.float64)
    plain = without_l1(config)
    loss, _ = loss_and_gradient(end, plain)
    shared = np.array([len(one.neurons) for one in diagnose(end)])
    return Trained(shared, np.asarray(loss) + config.l1 * np.abs(end).sum(axis=(1, 2)))


def parted(weights: NDArray[Any], neuron: int, feature: int) -> NDArray[np.float64]:
    """The weights (n, m) with a feature's weights on a neuron and on the least used neuron, that of
    the smallest norm, exchanged."""
    result = np.array(weights, dtype=np.float64)
    target = int(np.square(result).sum(axis=0).argmin())
    result[feature, [neuron, target]] = result[feature, [target, neuron]]
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
    version = 3
    columns: ClassVar = {
        "usable": Column("bool", "whether a neuron is polysemantic at all"),
        "incidental": Column("bool", "whether training on from one move shares fewer neurons"),
        "removable": Column("int64", "shared neurons removed by the moves of diagnose"),
        "spread": Column("int64", "learned features that are not on a single neuron"),
        **{
            f"{name}_{way}": Column("float64", f"{what}, trained on {how}")
            for way, how in {
                "kept": "from the same weights",
                "moved": "after the moves of diagnose",
                "parted": "after one move to the least used neuron",
            }.items()
            for name, what in {"shared": "shared neurons", "objective": "objective"}.items()
        },
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
        weights = trained_weights(result).astype(np.float64)
        found = [
            _seen(model, np.random.default_rng(int(seed)))
            for seed, model in zip(result.seeds, weights, strict=True)
        ]
        columns = {name: np.array([row[name] for row, *_ in found]) for name in found[0][0]}
        moved, apart = (np.array([one[at] for one in found]) for at in (1, 2))
        ends = {
            way: trained_on(result.config, result.seeds, start)
            for way, start in {"kept": weights, "moved": moved, "parted": apart}.items()
        }
        for way, end in ends.items():
            columns |= {f"shared_{way}": end.shared.astype(np.float64)}
            columns |= {f"objective_{way}": end.objective}
        fewer = ends["parted"].shared < ends["kept"].shared
        cheap = ends["parted"].objective <= (1 + LOSSLESS) * ends["kept"].objective
        columns["incidental"] = columns["usable"] & fewer & cheap
        return {name: columns[name] for name in self.columns}


def _seen(
    model: NDArray[Any], rng: np.random.Generator
) -> tuple[dict[str, Any], NDArray[np.float64], NDArray[np.float64]]:
    """What is visible of one model; its weights after the moves of `diagnose`; and those after one
    move of a feature of a shared neuron to the least used neuron."""
    whole = diagnose(model)
    row: dict[str, Any] = {"usable": len(whole.neurons) > 0}
    row |= {"removable": whole.removable, "spread": len(whole.spread)}
    order = rng.permutation(len(model))
    for share in SHARES:
        view = diagnose(model[np.sort(order[: max(1, round(share * len(model)))])])
        # A move that is impossible, or costs more than two equal features, counts as that much.
        cost = min(float(view.interference.min(initial=2.0)), 2.0)
        seen = (cost, len(view.free), len(view.neurons), view.represented, len(view.spread))
        row |= {f"{name}_{share:g}": value for name, value in zip(SEEN, seen, strict=True)}
        row[f"says_{share:g}"] = bool(view.incidental.any())
    row |= dict.fromkeys(ONE, math.nan)
    apart = model
    if row["usable"]:
        k = int(rng.integers(len(whole.neurons)))
        pair = list(whole.features[k][:2])
        sizes = np.abs(model[pair, whole.neurons[k]])
        rest = np.sqrt(np.maximum(np.square(model[pair]).sum(axis=1) - sizes**2, 0))
        row |= dict(zip(ONE, (*sizes, *rest), strict=True))
        apart = parted(model, int(whole.neurons[k]), pair[1])
    return row, whole.weights, apart


class Diagnose(AutoencoderQuestion):
    """Ways to distinguish incidental from necessary polysemanticity."""

    NAME = "diagnose"
    SUMMARY = "Distinguish incidental from necessary polysemanticity from the weights alone."
    FIGURE_SIZE = (7.5, 6.4)
    PRESETS: ClassVar[Presets] = {
        # A minute on two cores.
        "default": {**_SETTINGS, "seeds": 200, "sizes": _SIZES[:2]},
        # Seconds.
        "quick": {**_SETTINGS, "seeds": 120, "sizes": _SIZES[:1]},
        # The page of findings.
        "paper": {**_SETTINGS, "seeds": 2000},
        # Hours.
        "large": {**_SETTINGS, "seeds": 10_000, "sizes": [*_SIZES, (64, 48)]},
    }
    ALLOWED = ORTHANT
    PROBE = Views()
    MOST: ClassVar[dict[int, int]] = {64: 400, 256: 60}
    LABELS = ("n_features", "n_hidden", "l1", "optimizer", "learning_rate")
    SEEN: ClassVar = {"λ": "l1"}
    COLUMNS = ("steps_taken",)
    METHOD = (
        "Mann-Whitney tests of the area under the ROC curve minus 1/2, on seeds not used for "
        "fitting, with DeLong intervals; and paired t tests of the shared neurons of models "
        "trained further after the moves of diagnose, against the same models without them"
    )

    def ways(self, settings: Fields, changes: Fields) -> Iterable[Fields]:
        """AdamW and gradient descent at each size, unless given."""
        return sized(at_usual_rates(changes), settings, changes)

    def curves(self, data: Answers) -> dict[str, dict[str, Roc]]:
        """The ROC on the odd seeds, by setting and view, for settings with at least `LEAST` models
        of either kind; each has its own classifier, fitted on the even seeds."""
        curves: dict[str, dict[str, Roc]] = {}
        for setting, group in self.settings(data.valid[data.valid["usable"]]):
            odd, even = group[group["seed"] % 2 == 1], group[group["seed"] % 2 == 0]
            truth, known = odd["incidental"].to_numpy(bool), even["incidental"].to_numpy(bool)
            if min(truth.sum(), (~truth).sum()) < LEAST:
                continue
            here = curves.setdefault(size_and_optimizer(setting, data.rows), {})
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
        interval, if there is one. ``sensitivity`` and ``specificity`` are the shares of incidental
        and of necessary cases that `fastpolysem.diagnose` itself classifies correctly, over all
        polysemantic seeds.
        """
        import pandas as pd

        from fastpolysem.statistics import Estimate

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
                known = areas.get(size_and_optimizer(setting, data.rows), {})
                area = known[view].area if view in known else Estimate(np.nan, np.nan, np.nan)
                row |= with_interval("area", area)
                if view in right:
                    row |= _shares_right(right[view], truth)
                row |= {"unrepresented": valid["unrepresented"].mean()}
                row |= {"finished": valid["finished"].mean()}
                table.append(row)
        return with_scales(pd.DataFrame(table))

    def retrained(self, data: Answers) -> pd.DataFrame:
        """Means with 95 % intervals of models trained further, one row per setting: ``fewer`` is
        the number of shared neurons that the moves of `diagnose` avoided after that, and
        ``unchanged`` the share of models whose objective grew by no more than `LOSSLESS`."""
        rows = data.rows.assign(
            fewer=data.rows["shared_kept"] - data.rows["shared_moved"],
            unchanged=data.rows["objective_moved"] <= (1 + LOSSLESS) * data.rows["objective_kept"],
        )
        names = ("shared_kept", "shared_moved", "removable", "fewer", "unchanged", "spread")
        return with_scales(summary(Answers(rows), self.LABELS, (*names, "finished")))

    def tests(self, data: Answers) -> list[Comparison]:
        """Does a view distinguish incidental from necessary better than chance, and do the moves of
        `diagnose` survive training?"""
        from fastpolysem.statistics import Estimate

        tests = []
        for setting, views in self.curves(data).items():
            for view, curve in views.items():
                beyond = Estimate(*(end - 0.5 for end in curve.area))
                tests.append(Comparison(f"{setting}: {view}", beyond, curve.p_value, MARGIN))
        for labels, group in self.settings(data.valid):
            name = size_and_optimizer(labels, data.rows)
            moved, kept = group["shared_moved"], group["shared_kept"]
            tests.append(compared(f"{name}: {SHARED}", moved, kept, MARGIN, paired=True))
        return tests

    def say(self, data: Answers, outcome: str, judged: pd.DataFrame) -> str:
        """Which views distinguish the two, and whether moves survive training."""
        parts = []
        settings, what = judged["test"].str.split(": ", n=1, expand=True).to_numpy().T
        for setting in dict.fromkeys(settings):
            here = judged[settings == setting].assign(what=what[settings == setting])
            known = here[here["what"].isin(VIEWS) & here["difference"].notna()]
            areas = known[["difference", "ci_low", "ci_high"]] + 0.5
            said = [
                f"{text(area, 2)} ({view})"
                for view, area in zip(known["what"], areas.to_numpy(), strict=True)
            ]
            columns = ["difference", "ci_low", "ci_high"]
            change = text(here.loc[here["what"] == SHARED, columns].iloc[0])
            part = (
                f"{setting}: moves and further training change the number of shared neurons by "
                f"{change}"
            )
            parts.append(f"{part}; areas {', '.join(said)}" if said else part)
        return f"Moves of `diagnose` and area under the ROC curve by view. {'. '.join(parts)}."

    def draw(self, data: Answers, ax: Axes | None = None) -> Axes:
        """The ROC of each view, one panel per setting in which both kinds occur."""
        from fastpolysem import plots

        curves = self.curves(data)
        rows = max(1, len({setting.split(", ")[-1] for setting in curves}))
        columns = max(1, -(-len(curves) // rows))
        axes = plots.panels(ax, rows, columns, self.FIGURE_SIZE, sharex=True, sharey=True)
        ordered = sorted(curves, key=lambda one: one.split(", ")[-1])
        for each, setting in zip(axes.flat, ordered, strict=False):
            for index, (view, curve) in enumerate(curves[setting].items()):
                line = "--" if view == "one neuron" else "-"
                _curve(each, curve, view, line, plots.look(index)["color"])
            each.plot([0, 1], [0, 1], ":", color="#666666")
            each.set_title(setting, fontsize="medium")
            each.legend(frameon=False, fontsize="xx-small", loc="lower right")
        if not curves:
            axes[0, 0].plot([0, 1], [0, 1], ":", color="#666666", label="chance")
            axes[0, 0].legend(frameon=False, title=f"no setting with {LEAST} models of each kind")
        for each in axes[-1]:
            each.set(xlabel="necessary called incidental", xlim=(-0.02, 1.02))
        for each in axes[:, 0]:
            each.set_ylabel("incidental found")
        return ax or axes[0, 0]

    def tables(self, data: Answers) -> dict[str, str]:
        """Models trained further at each size, and what each view tells."""
        labels = {"n": "n_features", "m": "n_hidden", "optimiser": "optimizer"}
        scales = {"λ√m": "strength", "lr·√m": "pace"}
        trained = {
            "shared neurons": "shared_kept", "after the moves and training": "shared_moved",
            "removed by moves": "removable", "avoided after training": "fewer",
            "objective unchanged": "unchanged",
        }  # fmt: skip
        rest = {"certified": "finished", "spread features": "spread", "seeds": "seeds"}
        means = self.retrained(data)
        table = self.table(data)
        views = {"area under the ROC curve": "area", "sensitivity": "sensitivity"}
        views |= {"specificity": "specificity"}
        return {
            "sizes": of_means(means, labels | scales, trained, rest),
            "views": of_means(table, {**labels, "seen": "view", "incidental": "incidental"}, views),
        }


SHARED = "shared neurons, moved against kept"


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
