"""Do ReLU neurons learn to be active in all contexts but one?

Objects appear in contexts; some of their properties hold in every context, others in one only.
Jarvis, Klein, Rosman and Saxe (2025, "Make Haste Slowly", arXiv 2503.06181) describe ReLU networks
on this task by pathways that are linear while they are active. The fastest ones to be learned are
one that is active in all C contexts and C that are each active in C - 1 contexts, rather than one
per context. With a second hidden layer, the first is predicted to become linear and common to all
contexts, and the second to switch pathways.

Plan, written before the run and after at most 32 seeds of each setting on five other tables of
properties had been looked at. *Primary outcomes*: the share of a layer's weight that lies on
neurons active in exactly C - 1 contexts, and the share of variance over objects and contexts that
is their interaction (nonlinear mixed selectivity). The weight of a neuron is the mean square of
what it adds to the next layer. It is active in a context if an object brings it to a tenth of its
largest activation. *Tests*, for C = 3, 4 and 5, Adam and gradient descent, 64 neurons per layer:
with one hidden layer, both outcomes, trained minus untrained; the interaction in the first of two
layers minus that in a single one; with two layers, the first outcome in the last layer minus that
in the first. Margin 0.02; Holm over all. *Replicates* are 16 tables of properties, over which four
seeds each are averaged; a seed is on one table only. With a standard deviation of 0.05 between
tables, larger than any seen between seeds, a difference of 0.05 is found with a probability of
0.96. *Beside it*: the loss, pathways found, effective neurons, the other kinds of selectivity,
chance (each context's activity permuted over neurons) and other thresholds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fastpolysem.experiments._answers import Answers, summary, written
from fastpolysem.experiments._base import NATURAL, POSITIVE, Presets, whole
from fastpolysem.experiments._drawing import points
from fastpolysem.experiments._networks import (
    Case,
    Replicate,
    ReplicateQuestion,
    as_share,
    before_training,
    trained_network,
)
from fastpolysem.experiments._tables import of_means
from fastpolysem.experiments._verdicts import EFFECT, Comparison, compared, span
from fastpolysem.families.network import datasets
from fastpolysem.families.network.config import NetworkConfig
from fastpolysem.families.network.dataset import Dataset
from fastpolysem.families.network.measures.selectivity import mixed_selectivity
from fastpolysem.probes import Column, Probe
from fastpolysem.training import TrainingResult

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

Floats = NDArray[np.float64]

MARGIN = 0.02
"""Largest negligible difference of shares."""
ACTIVE = 0.1
"""Share of its largest activation from which a neuron is active."""
MIXED = 0.1
"""Share of a neuron's variance from which a factor, or the interaction, counts."""
FIRST_TABLE = 2000
"""Seed of the first table; lower ones were looked at before the plan."""
SEEDS_PER_TABLE = 4
_OPTIMIZERS: dict[str, dict[str, Any]] = {
    "sgd": {"learning_rate": 0.05},
    "adam": {"learning_rate": 0.001},
}
_USUAL: dict[str, Any] = {
    "objects": 8,
    "contexts": [3, 4, 5],
    "layers": [1, 2],
    "neurons": 64,
    "optimizer": list(_OPTIMIZERS),
    "steps": 5000,
}
_WHERE = ("first", "last")


def activations(weights: Sequence[NDArray[Any]], inputs: NDArray[Any]) -> list[Floats]:
    """Activations of the hidden layers of ReLU networks without biases.

    Parameters
    ----------
    weights
        Matrices with a leading axis S.
    inputs
        (B, d_0)

    Returns
    -------
    list of (S, B, K)
    """
    found = []
    h = np.broadcast_to(np.asarray(inputs, np.float64), (len(weights[0]), *inputs.shape))
    for matrix in weights[:-1]:
        h = np.maximum(h @ np.asarray(matrix, np.float64), 0)
        found.append(h)
    return found


def sizes(layer: Floats, following: NDArray[Any]) -> Floats:
    """The share of each neuron in the mean square of what neurons add to the next layer, (S, K).

    It does not depend on the scale that a ReLU neuron may move between its weights.
    """
    size = (layer**2).mean(axis=1) * (np.asarray(following, np.float64) ** 2).sum(axis=2)
    found: Floats = size / np.maximum(size.sum(axis=1, keepdims=True), np.finfo(float).tiny)
    return found


def active(layer: Floats, contexts: int, threshold: float = ACTIVE) -> NDArray[np.bool_]:
    """In which contexts an object brings a neuron to a share of its largest activation, (S, C, K).

    Rows are ordered by context.
    """
    seeds, _, neurons = layer.shape
    largest = layer.reshape(seeds, contexts, -1, neurons).max(axis=2)
    top = largest.max(axis=1, keepdims=True)
    return np.asarray((largest >= threshold * top) & (top > 0))


def _columns() -> dict[str, Column]:
    found: dict[str, Column] = {}
    for where in _WHERE:
        layer = f"of the weight of the {where} hidden layer"
        for end, when in (("", "trained"), ("_untrained", "untrained")):
            found |= {
                f"{where}_all_but_one{end}": as_share(f"{layer}, active in C - 1 contexts, {when}"),
                f"{where}_all{end}": as_share(f"{layer}, active in all contexts, {when}"),
                f"{where}_interaction{end}": Column(
                    "float32", f"share of variance, interaction, {when}", None
                ),
            }
        found |= {
            f"{where}_chance": as_share(f"{layer}, active in C - 1 contexts by chance"),
            f"{where}_all_but_one_1": as_share(f"{layer}, the same from 0.01 of the activation"),
            f"{where}_all_but_one_30": as_share(f"{layer}, the same from 0.3 of the activation"),
            f"{where}_pure": as_share(f"{layer}, object or context only"),
            f"{where}_linear": as_share(f"{layer}, both, without interaction"),
            f"{where}_nonlinear": as_share(f"{layer}, with interaction"),
            f"{where}_neurons": Column("float32", "effective number of neurons", (0, None)),
            f"{where}_pathways": Column("int64", "of the C + 1, with half of an equal part", None),
        }
    return found


@dataclass(frozen=True)
class Pathways(Probe):
    """In which contexts neurons are active, and the kinds of their selectivity."""

    name = "contexts"
    columns: ClassVar = _columns()

    def __call__(self, result: TrainingResult) -> dict[str, NDArray[Any]]:
        """The columns of a block."""
        begun = before_training(result)
        trained = self._layers(trained_network(result).weights, result)
        start = self._layers(begun.weights.weights, result)
        found: dict[str, NDArray[Any]] = {}
        for i, where in ((0, "first"), (-1, "last")):
            found |= {f"{where}_{name}": value for name, value in trained[i].items()}
            for name in ("all_but_one", "all", "interaction"):
                found[f"{where}_{name}_untrained"] = start[i][name]
        return found

    @staticmethod
    def _layers(weights: Any, result: TrainingResult) -> list[dict[str, NDArray[Any]]]:
        inputs = result.config.inputs.inputs.to_dense()
        layers = activations(weights, inputs)
        contexts = int(inputs[:, ::-1].argmax(axis=1).max()) + 1
        pairs = zip(layers, weights[1:], strict=True)
        return [_described(layer, after, contexts, result.seeds) for layer, after in pairs]


def _described(
    layer: Floats, following: NDArray[Any], contexts: int, seeds: NDArray[Any]
) -> dict[str, NDArray[Any]]:
    """What `Pathways` says about one layer."""
    weight = sizes(layer, following)
    on = active(layer, contexts)
    count = on.sum(axis=1)

    def where(chosen: NDArray[Any], weight: Floats = weight) -> Floats:
        return np.asarray((weight * chosen).sum(axis=-1))

    permuted = np.array(
        [
            np.random.default_rng(int(seed)).permuted(one, axis=1).sum(axis=0)
            for seed, one in zip(seeds, on, strict=True)
        ]
    ).reshape(count.shape)
    rows = np.arange(layer.shape[1])
    context, thing = np.divmod(rows, layer.shape[1] // contexts)
    twice = np.concatenate([layer, layer], axis=1)  # without noise, a row is both halves
    parts = mixed_selectivity(twice, np.tile(thing, 2), np.tile(context, 2))
    share = {name: np.nan_to_num(value) for name, value in parts.items()}
    mixed = share["interaction"] > MIXED
    both = (share["first"] > MIXED) & (share["second"] > MIXED) & ~mixed
    squares = (weight**2).sum(axis=1)
    missing = np.stack([where((count == contexts - 1) & ~on[:, c]) for c in range(contexts)], 1)
    paths = np.concatenate([missing, where(count == contexts)[:, np.newaxis]], axis=1)
    return {
        "all_but_one": where(count == contexts - 1),
        "all": where(count == contexts),
        "interaction": where(share["interaction"]),
        "chance": where(permuted == contexts - 1),
        "all_but_one_1": where(active(layer, contexts, 0.01).sum(axis=1) == contexts - 1),
        "all_but_one_30": where(active(layer, contexts, 0.3).sum(axis=1) == contexts - 1),
        "pure": where(~mixed & ~both),
        "linear": where(both),
        "nonlinear": where(mixed),
        "neurons": np.divide(1, squares, out=np.zeros_like(squares), where=squares > 0),
        "pathways": (paths >= 0.5 / (contexts + 1)).sum(axis=1),
    }


class Contexts(ReplicateQuestion):
    """Contexts in which neurons are active."""

    NAME = "contexts"
    SUMMARY = "Train on objects in contexts and measure in which contexts neurons are active."
    FIGURE_SIZE = (7.4, 3.4)
    PRESETS: ClassVar[Presets] = {
        # A minute on two cores.
        "default": {**_USUAL, "seeds": 64},
        # Less than a minute.
        "quick": {**_USUAL, "contexts": 3, "optimizer": "sgd", "seeds": 32},
        # The page of findings.
        "paper": {**_USUAL, "seeds": 1000},
        # Hours.
        "large": {**_USUAL, "objects": [8, 16], "neurons": [32, 64, 128], "seeds": 1024},
    }
    OPTIONS: ClassVar = {
        "objects": "Number of objects.",
        "contexts": "Number of contexts.",
        "layers": "Number of hidden layers.",
        "neurons": "Number of neurons per hidden layer.",
        "optimizer": "adam or sgd.",
        "steps": "Number of updates.",
    }
    CHOICES: ClassVar = {"optimizer": _OPTIMIZERS}
    ALLOWED: ClassVar = {
        "objects": POSITIVE,
        "contexts": POSITIVE,
        "layers": whole((">=", 1), ("<=", 2)),
        "neurons": POSITIVE,
        "steps": NATURAL,
    }
    PROBE = Pathways()
    REPLICATE = "table"
    LABELS = ("objects", "contexts", "layers", "neurons", "optimizer")
    SEEN: ClassVar = {"C": "contexts", "m": "neurons"}
    METRICS = (*Pathways.columns, "loss")
    OPEN = "the contexts in which neurons are active"
    METHOD = (
        "Paired t tests over tables of properties: weight on neurons active in all contexts but "
        "one, and shares of interaction, trained against untrained, between depths and layers"
    )

    def case(self, **settings: Any) -> Case:
        """Small starts, all rows at every step, no biases; the table is that of the first seeds."""
        layers, optimizer = settings["layers"], settings["optimizer"]
        data = datasets.contexts(settings["objects"], settings["contexts"], seed=FIRST_TABLE)
        hidden = [settings["neurons"]] * layers
        config = NetworkConfig(
            widths=(data.inputs.shape[1], *hidden, data.targets.shape[1]),
            inputs=data,
            optimizer=optimizer,
            steps=settings["steps"],
            init_scale=0.01 if layers == 1 else 0.1,
            **_OPTIMIZERS[optimizer],
        )
        return Case(settings, config)

    def replicates(self, configs: list[Case], seeds: int) -> Iterator[Replicate]:
        """The tables of properties."""
        for first in range(0, seeds, SEEDS_PER_TABLE):
            own = range(first, min(first + SEEDS_PER_TABLE, seeds))
            yield first // SEEDS_PER_TABLE, configs, own

    def inputs(self, case: Case, number: int) -> Dataset:
        """A table of properties."""
        size = case.labels["objects"], case.labels["contexts"]
        return datasets.contexts(*size, seed=FIRST_TABLE + number)

    def by_table(self, data: Answers) -> pd.DataFrame:
        """Means over the seeds of each table of properties."""
        names = [*self.LABELS, "table"]
        means = data.valid.groupby(names, sort=False)[list(self.METRICS)].mean().reset_index()
        return means.assign(diverged=False)

    def table(self, data: Answers) -> pd.DataFrame:
        """Means over tables of properties, whose number is ``seeds``; `Pathways` describes the
        columns. With one hidden layer, the first and the last are the same."""
        return summary(Answers(self.by_table(data)), self.LABELS, self.METRICS, self.bounds())

    def tests(self, data: Answers) -> list[Comparison]:
        """Both outcomes against the untrained network, and between depths and layers."""
        found = []
        for setting, group in self.settings(self.by_table(data), _SETTING):
            one, two = (group[group["layers"] == n].set_index("table") for n in (1, 2))
            both = one.index.intersection(two.index)
            sides = {
                "one layer, active in all but one, against untrained": (
                    one["last_all_but_one"],
                    one["last_all_but_one_untrained"],
                ),
                "one layer, interaction, against untrained": (
                    one["last_interaction"],
                    one["last_interaction_untrained"],
                ),
                "first of two layers, interaction, against one layer": (
                    two.loc[both, "first_interaction"],
                    one.loc[both, "first_interaction"],
                ),
                "last of two layers, active in all but one, against first": (
                    two["last_all_but_one"],
                    two["first_all_but_one"],
                ),
            }
            found += [
                compared(f"{_named(setting)}: {name}", first, second, MARGIN, paired=True)
                for name, (first, second) in sides.items()
                if len(first)
            ]
        return found

    def say(self, data: Answers, outcome: str, judged: pd.DataFrame) -> str:
        """What of the prediction is seen, with the range over settings."""
        means = self.table(data)

        def over(layers: int, name: str) -> str:
            return span(means.loc[means["layers"] == layers, name])

        def seen(name: str, sign: int) -> str:
            mine = judged[judged["test"].str.endswith(name)]
            right = (mine["outcome"] == EFFECT) & (sign * mine["difference"] > 0)
            return f"{right.sum()} of {len(mine)} settings"

        one, two = ((means["layers"] == n).any() for n in (1, 2))
        parts = []
        if one:
            parts.append(
                f"with one hidden layer, {over(1, 'last_all_but_one')} of the weight is on neurons "
                "active in all contexts but one (untrained "
                f"{over(1, 'last_all_but_one_untrained')}; more in "
                f"{seen('all but one, against untrained', 1)}) and {over(1, 'last_all')} on "
                "neurons active in all"
            )
        if one and two:
            parts.append(
                "with a second layer, the share of interaction in the first is "
                f"{over(2, 'first_interaction')} instead of {over(1, 'first_interaction')} (less "
                f"in {seen('interaction, against one layer', -1)}), and the weight on neurons "
                f"active in all contexts but one is {over(2, 'first_all_but_one')} in the first "
                f"and {over(2, 'last_all_but_one')} in the second (more in "
                f"{seen('all but one, against first', 1)})"
            )
        elif two:
            parts.append(
                "with two hidden layers, the weight on neurons active in all contexts but one is "
                f"{over(2, 'first_all_but_one')} in the first and {over(2, 'last_all_but_one')} in "
                f"the second (more in {seen('all but one, against first', 1)})"
            )
        said = "; ".join(parts)
        return f"{said[:1].upper()}{said[1:]}."

    def tables(self, data: Answers) -> dict[str, str]:
        """Activity and selectivity of each layer, trained and untrained."""
        means = self.table(data)
        labels = {"C": "contexts", "m": "neurons", "optimiser": "optimizer"}
        labels["hidden layers"] = "layers"
        estimates = {
            "active in all contexts but one": "all_but_one",
            "active in all": "all",
            "interaction": "interaction",
        }
        rest = {
            "all but one, untrained": "all_but_one_untrained",
            "by chance": "chance",
            "from 0.01": "all_but_one_1",
            "from 0.3": "all_but_one_30",
            "all, untrained": "all_untrained",
            "interaction, untrained": "interaction_untrained",
            "pure": "pure",
            "linear mixed": "linear",
            "nonlinear mixed": "nonlinear",
            "pathways": "pathways",
            "effective neurons": "neurons",
        }
        found = {}
        for where in _WHERE:
            part = means if where == "last" else means[means["layers"] > 1]
            shown = {what: f"{where}_{name}" for what, name in estimates.items()}
            others = {what: f"{where}_{name}" for what, name in rest.items()} | {"loss": "loss"}
            found[where] = of_means(part, labels, shown, others)
        return found

    def draw(self, data: Answers, ax: Axes | None = None) -> Axes:
        """Weight by contexts and shares of interaction, untrained and by layer."""
        from fastpolysem import plots

        means = self.table(data)
        left, right = plots.panels(ax, 1, 2, self.FIGURE_SIZE)[0]
        shown = [
            ("untrained", 1, "last", "_untrained"),
            ("one layer", 1, "last", ""),
            ("first of two", 2, "first", ""),
            ("second of two", 2, "last", ""),
        ]
        settings = list(self.settings(means, _SETTING))
        for i, (setting, group) in enumerate(settings):
            for axes, name in ((left, "all_but_one"), (right, "interaction")):
                for x, (_, layers, where, end) in enumerate(shown):
                    part = group[group["layers"] == layers]
                    look = plots.look(i, "color", "marker")
                    label = _named(setting) if x == 0 else None
                    at = [x + 0.1 * (i - (len(settings) - 1) / 2)] * len(part)
                    column = f"{where}_{name}{end}"
                    points(axes, at, part, column, label=label, ms=4, lw=0, elinewidth=1, **look)
                axes.set_xticks(range(len(shown)), [one[0].replace(" ", "\n", 1) for one in shown])
        left.set_ylabel("share of weight on neurons active\nin all contexts but one")
        right.set_ylabel("share of variance that is interaction")
        left.set_ylim(0, 1)
        right.set_ylim(bottom=0)
        for axes in (left, right):
            axes.set_xlabel("hidden layer")
        left.legend(frameon=False, fontsize="x-small", ncols=2)
        return ax or left


_SETTING = ("objects", "contexts", "neurons", "optimizer")


def _named(setting: dict[str, Any]) -> str:
    """How sentences call a setting; the numbers of objects and neurons only if not the usual."""
    usual = {"objects": 8, "neurons": 64}
    more = "".join(f", {setting[k]} {k}" for k, v in usual.items() if setting[k] != v)
    return f"C = {setting['contexts']}{more}, {written(setting['optimizer'])}"


EXPERIMENT = Contexts()
