"""Do networks that compute a formula give each clause its own neurons, and does that help?

The task is whether a monotone formula of 8 clauses of 3 variables each holds (DNF), computed by one
hidden ReLU layer of 8 or more neurons. Each variable is on with the probability that makes the
formula hold in half of the rows, so a constant answer is correct in half of them. The clauses are
disjoint (24 variables) or overlap (12 variables, three random formulas). A clause's *channel*
consists of the neurons in which the weights of its variables have the same sign (Adler, Alistarh
and Shavit 2025). Networks start dense; split by clause, each neuron with weights from the variables
of one clause only; or split at random, each with weights from 3 random variables. All weights are
trained. The published study has accuracies of 78.7 %, 99.4 % and 88.7 % for these starts with 16
neurons and 8 clauses; the number of variables is not published, and 3 per clause is our choice.

The second task consists of three parities of 4 bits each, with and without dropout.

Plan, written before the run and after two to four seeds of each kind had been looked at. *Tests*,
paired by seed and corrected together by Holm's method: with disjoint clauses, the accuracy of each
split start against the dense start at 16 neurons, and of 32 neurons against 8 with the dense start,
margin 1 point; the share of use by clauses that lies in their own channels, trained against
untrained with the dense start at 16 neurons, margin 0.02; and the effective parities per neuron
with a dropout of 0.3 against none, relative, margin 5 %, in seeds that reach an accuracy of 0.99
under both. *Seeds*: 32, and 8 of each overlapping formula (since raised to 1000).
Accuracies had a standard deviation of 3 points, so that a difference of 2 points is found with a
probability of 0.95. *Beside them*: clauses learned, neurons per clause, shared use, chance, the
untrained network, and the overlapping formulas, which are not part of the tests because there are
only three of them.

Positive start weights, which are not tested either, were added before the run (split by clause) and
after it (dense). Gradient descent with momentum was added after the results of Adam had been seen.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fastpolysem.experiments._answers import Answers, apart, compared_by_seed, estimate_of, written
from fastpolysem.experiments._base import NATURAL, POSITIVE, Presets, whole
from fastpolysem.experiments._drawing import legend, points
from fastpolysem.experiments._networks import (
    CONTROLS,
    Case,
    NetworkQuestion,
    as_share,
    before_training,
    controls,
    trained_network,
)
from fastpolysem.experiments._pages import estimate, markdown
from fastpolysem.experiments._tables import of_means
from fastpolysem.experiments._verdicts import (
    Comparison,
    change,
    compared,
    text,
)
from fastpolysem.families.network import losses, targets
from fastpolysem.families.network.config import NetworkConfig
from fastpolysem.families.network.measures import formulas
from fastpolysem.families.network.measures.measure import measure
from fastpolysem.families.network.objective import NetworkParameters
from fastpolysem.probes import Probe
from fastpolysem.specs.inputs import Independent
from fastpolysem.training import TrainingResult, train

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

CLAUSES, LITERALS = 8, 3
MARGIN, SHARE_MARGIN, RELATIVE_MARGIN = 0.01, 0.02, 0.05
"""Differences of accuracies and of shares, and relative ones of parities, that would not matter."""
LEARNED = 0.99
"""Accuracy from which on parities count as learned, to compare networks that learned alike."""
DISJOINT = CLAUSES * LITERALS
OVERLAPPING = DISJOINT // 2
DROPOUT = 0.3
"""That of the primary test."""
STARTS = {
    "accuracy": "dense start",
    "at_random": "split at random",
    "by_clause": "split by clause",
    "positive": "split by clause, positive",
    "dense_positive": "dense, positive",
}
"""Columns of accuracies, by how weights start."""
_DNF, _PARITY = "dnf", "parity"
OPTIMIZERS: dict[str, dict[str, Any]] = {
    "adam": {"learning_rate": 3e-3},
    "sgd": {"learning_rate": 0.1, "momentum": 0.9},
}
_EVERY: dict[str, Any] = {
    "optimizer": "adam",
    "task": [_DNF, _PARITY],
    "variables": [DISJOINT, OVERLAPPING],
    "formula": 0,
    "neurons": [8, 16, 32],
    "dropout": [0.0, DROPOUT],
}


def clauses(variables: int, formula: int) -> list[list[int]]:
    """The clauses of a formula: disjoint ones if there are enough variables, else random ones."""
    if variables >= DISJOINT:
        return np.arange(DISJOINT).reshape(CLAUSES, LITERALS).tolist()
    rng = np.random.default_rng(formula)
    every = list(itertools.combinations(range(variables), LITERALS))
    chosen = rng.choice(len(every), CLAUSES, replace=False)
    return [list(every[i]) for i in sorted(chosen)]


def holds(own: list[list[int]], probability: float) -> float:
    """Probability that a monotone formula holds, by inclusion and exclusion."""
    total = 0.0
    for count in range(1, len(own) + 1):
        for some in itertools.combinations(own, count):
            total -= (-1) ** count * probability ** len(set().union(*some))
    return total


def balanced(own: list[list[int]]) -> float:
    """The probability of each variable with which the formula holds in half of the rows."""
    low, high = 0.0, 1.0
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (middle, high) if holds(own, middle) < 0.5 else (low, middle)
    return low


def in_channel(weights: NDArray[Any], own: list[list[int]]) -> NDArray[np.bool_]:
    """(..., K, clauses): whether the weights (..., variables, K) of each clause agree in sign."""
    signs = np.sign(weights)
    sums = [signs[..., one, :].sum(axis=-2) for one in own]
    return np.asarray(np.abs(np.stack(sums, axis=-1)) == len(own[0]))


def split(
    start: NetworkParameters, own: list[list[int]], seeds: NDArray[Any], *, random: bool
) -> NetworkParameters:
    """Start weights of which each neuron keeps those of one clause, or of as many random variables,
    enlarged to the same mean square."""
    first = np.array(start.weights[0])
    variables, neurons = first.shape[1:]
    for i, seed in enumerate(seeds):
        rng = np.random.default_rng(int(seed))
        for k in range(neurons):
            kept: Any = own[k % len(own)]
            if random:
                kept = rng.choice(variables, len(kept), replace=False)
            gone = np.setdiff1d(np.arange(variables), kept)
            first[i, gone, k] = 0
    first *= np.sqrt(variables / len(own[0])).astype(first.dtype)
    return NetworkParameters([first, *start.weights[1:]], start.biases)


@dataclass(frozen=True)
class Channels(Probe):
    """Accuracies of three starts, and whether clauses use their own channels."""

    name = "boolean"
    columns: ClassVar = {
        "by_clause": as_share("accuracy if weights start split by clause"),
        "at_random": as_share("the same if they start split at random"),
        "positive": as_share("the same if they start split by clause and positive in both layers"),
        "dense_positive": as_share("the same if they start dense and positive in both layers"),
        "channel": as_share("share of neurons in a clause's channel, mean of clauses"),
        "channel_use": as_share("share of use by clauses on neurons in their own channels"),
        "channel_use_untrained": as_share("the same at the start"),
        "channel_use_by_clause": as_share("the same if weights start split by clause"),
        "shared_by_clause": as_share("share of use on shared neurons in that case"),
        "shared_untrained": as_share("share of use on shared neurons at the start"),
        **CONTROLS,
    }

    def __call__(self, result: TrainingResult) -> dict[str, NDArray[Any]]:
        """The columns of a block."""
        config, seeds = result.config, result.seeds
        weights = trained_network(result)
        start = before_training(result)
        found: dict[str, Any] = dict.fromkeys(self.columns, np.full(len(seeds), np.nan))
        use = measure(weights, config)
        found |= {"shared_untrained": start.shared_use, **controls(use, seeds)}
        if isinstance(config.target, targets.Parity):
            return found
        own = [list(one) for one in config.target.outputs[0]]
        found["channel"] = in_channel(weights.weights[0], own).mean(axis=(-1, -2))
        found["channel_use"] = self._in_channels(weights, config, own)
        found["channel_use_untrained"] = self._in_channels(start.weights, config, own)
        for name in ("by_clause", "at_random", "positive", "dense_positive"):
            first = start.weights
            if name != "dense_positive":
                first = split(first, own, seeds, random=name == "at_random")
            if name.endswith("positive"):
                first = NetworkParameters([np.abs(one) for one in first.weights], first.biases)
            again = train(config, seeds, initial_weights=first, return_weights=True)
            found[name] = np.asarray(again.accuracy, dtype=float)
            if name == "by_clause":
                other = trained_network(again)
                found["channel_use_by_clause"] = self._in_channels(other, config, own)
                found["shared_by_clause"] = np.asarray(again.shared_use, dtype=float)
        return found

    @staticmethod
    def _in_channels(weights: Any, config: NetworkConfig, own: Any) -> NDArray[np.float64]:
        used = formulas.use(measure(weights, config).rises[0])
        total = np.maximum(used.sum(axis=(-1, -2)), np.finfo(float).tiny)
        inside = np.where(in_channel(weights.weights[0], own), used, 0)
        return np.asarray(inside.sum(axis=(-1, -2)) / total)


class Boolean(NetworkQuestion):
    """Formulas by width, overlap and start; parities by dropout."""

    NAME = "boolean"
    SUMMARY = "Measure whether each clause of a formula gets neurons of its own."
    FIGURE_SIZE = (7.4, 3.4)
    PRESETS: ClassVar[Presets] = {
        # A minute on two cores.
        "default": {**_EVERY, "formula": [0, 1], "seeds": 24},
        # Less than a minute.
        "quick": {**_EVERY, "variables": DISJOINT, "seeds": 12},
        # The page of findings; an hour and a quarter on two cores.
        "paper": {**_EVERY, "formula": [0, 1, 2], "seeds": 1000},
        # More than an hour.
        "large": {**_EVERY, "dropout": [0.0, 0.1, DROPOUT, 0.5], "seeds": 1000},
    }
    OPTIONS: ClassVar = {
        "task": f"{_DNF} or {_PARITY}.",
        "variables": f"Variables of a formula; clauses are disjoint with {DISJOINT} or more.",
        "formula": "Number of the random formula, if clauses overlap.",
        "neurons": f"Hidden neurons for {_DNF}; {_PARITY} has 64.",
        "dropout": f"Dropout for {_PARITY}.",
        "optimizer": "adam, or sgd with momentum.",
        "steps": "Number of updates in place of the task's own.",
    }
    CHOICES: ClassVar = {"task": (_DNF, _PARITY), "optimizer": OPTIMIZERS}
    ALLOWED: ClassVar = {"variables": whole((">=", 5)), "formula": NATURAL, "neurons": POSITIVE}
    PROBE = Channels()
    COLUMNS = ("accuracy",)
    LABELS = ("task", "optimizer", "variables", "formula", "neurons", "dropout")
    METRICS = (
        *("accuracy", *Channels.columns),
        *("shared_use", "effective_concepts", "neurons_per_concept", "not_learned", "loss"),
        "largest_gradient",
    )
    OPEN = "whether clauses get neurons of their own"
    METHOD = (
        "Paired t tests at the same seeds: accuracies of starts and widths, the share of use in "
        "channels against the untrained network, and effective parities per neuron"
    )

    def case(self, **settings: Any) -> Case | None:
        """A network; settings that its task does not have are ignored."""
        task, way = settings["task"], settings["optimizer"]
        usual: dict[str, Any] = {
            "bias": True,
            "loss": losses.BinaryCrossEntropy(),
            "optimizer": way,
            "learning_rate_schedule": "cosine",
            **OPTIMIZERS[way],
        }
        labels = {name: settings[name] for name in self.LABELS}
        if task == _PARITY:
            labels |= {"variables": 12, "formula": 0, "neurons": 64}
            labels["dropout"] = float(settings["dropout"])
            config = NetworkConfig(
                widths=(12, 64, 3),
                inputs=Independent(0.5, 128),
                target=targets.Parity(np.arange(12).reshape(3, 4).tolist()),
                dropout=settings["dropout"],
                steps=settings.get("steps", 10_000),
                **usual,
            )
            return Case(labels, config)
        variables = settings["variables"]
        formula = 0 if variables >= DISJOINT else settings["formula"]
        own = clauses(variables, formula)
        config = NetworkConfig(
            widths=(variables, settings["neurons"], 1),
            inputs=Independent(balanced(own), 128),
            target=targets.Clauses([own]),
            steps=settings.get("steps", 6000),
            **usual,
        )
        return Case(labels | {"formula": formula, "dropout": 0.0}, config)

    def tests(self, data: Answers) -> list[Comparison]:
        """Starts, widths and channels with disjoint clauses; parities with dropout."""
        return [
            test._replace(name=test.name + more)
            for more, part in self._by_optimizer(data)
            for test in self._tests(part)
        ]

    def _by_optimizer(self, data: Answers) -> Iterator[tuple[str, Answers]]:
        """The data of each optimiser, with what is added to the names of its tests."""
        for setting, rows in self.settings(data.rows, ("optimizer",)):
            yield apart(setting, data.rows, ()), replace(data, rows=rows)

    def _tests(self, data: Answers) -> list[Comparison]:
        tests = []
        disjoint = data.where(task=_DNF, variables=DISJOINT)
        narrow, middle, wide = (disjoint[disjoint["neurons"] == one] for one in (8, 16, 32))
        if len(middle):
            for name in ("by_clause", "at_random"):
                what = f"{STARTS[name]} against dense start, accuracy"
                tests.append(compared(what, middle[name], middle["accuracy"], MARGIN, paired=True))
            what = "trained against untrained, use in channels"
            start = middle["channel_use_untrained"]
            tests.append(compared(what, middle["channel_use"], start, SHARE_MARGIN, paired=True))
        if len(narrow) and len(wide):
            what = "32 neurons against 8, accuracy"
            test = compared_by_seed(what, wide, narrow, "accuracy", MARGIN, relative=False)
            tests.append(test)
        without, dropped = self.learned_alike(data)
        if len(dropped):
            what = f"dropout {DROPOUT:g} against none, parities per neuron"
            tests.append(
                compared_by_seed(what, dropped, without, "effective_concepts", RELATIVE_MARGIN)
            )
        return tests

    @staticmethod
    def learned_alike(data: Answers) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Parities without and with dropout, of the seeds that learned them under both."""
        without, dropped = (data.where(task=_PARITY, dropout=one) for one in (0.0, DROPOUT))
        both = set(without.loc[without["accuracy"] >= LEARNED, "seed"])
        both &= set(dropped.loc[dropped["accuracy"] >= LEARNED, "seed"])
        return without[without["seed"].isin(both)], dropped[dropped["seed"].isin(both)]

    def say(self, data: Answers, outcome: str, judged: pd.DataFrame) -> str:
        """Accuracies of starts, use in channels, and what dropout changes."""
        rows = judged.set_index("test")
        parts = []
        for more, part in self._by_optimizer(data):
            names = [test.name for test in self._tests(part)]
            own = rows.loc[[name + more for name in names]].set_axis(names)
            parts.append(self._said(part, own))
        return " ".join(parts)

    def _said(self, data: Answers, rows: pd.DataFrame) -> str:
        means = self.table(data)
        sentences = []
        chosen = means[(means["task"] == _DNF) & (means["variables"] == DISJOINT)]
        chosen = chosen.set_index("neurons")
        if 16 in chosen.index and "trained against untrained, use in channels" in rows.index:
            one = chosen.loc[16]
            parts = ", ".join(
                f"{text(estimate_of(one, name))} ({label})" for name, label in STARTS.items()
            )
            channel = rows.loc["trained against untrained, use in channels"]
            sentences.append(
                "With 16 neurons for 8 disjoint clauses of 3 variables "
                f"({written(one['optimizer'])}), the accuracy is {parts} (constant output: 0.5). "
                "Of the use by clauses, "
                f"{text(estimate_of(one, 'channel_use'))} falls on their own channels, compared "
                f"with {text(estimate_of(one, 'channel_use_untrained'))} in "
                f"untrained networks ({channel['outcome']}); the dense start leaves "
                f"{one['not_learned']:.2g} of 8 clauses unlearned."
            )
        for name, row in rows.iterrows():
            if str(name).startswith("32 neurons"):
                sentences.append(
                    f"32 neurons instead of 8 change the accuracy by {_signed(row)} "
                    f"({row['outcome']})."
                )
            if str(name).startswith("dropout"):
                count = len(self.learned_alike(data)[0])
                sentences.append(
                    f"In {count} seeds (64 neurons) that learned the parities with and without it, "
                    f"dropout {DROPOUT:g} changes the effective parities per neuron by "
                    f"{change(row)} ({row['outcome']})."
                )
        return " ".join(sentences)

    def tables(self, data: Answers) -> dict[str, str]:
        """Formulas by width and start, and parities."""
        means = self.table(data)
        formulas_, parities = (means[means["task"] == one] for one in (_DNF, _PARITY))
        labels = {name: name for name in ("variables", "formula", "neurons", "seeds")}
        found = {
            "accuracies": of_means(formulas_, labels, {STARTS[one]: one for one in STARTS}),
            "channels": of_means(formulas_, labels, _IN_CHANNELS, _CONTEXT),
            "reported": _reported(formulas_),
        }
        labels = {name: name for name in ("dropout", "seeds")}
        found["parities"] = of_means(parities, labels, _OF_PARITIES, _CONTEXT)
        return found

    def draw(self, data: Answers, ax: Axes | None = None) -> Axes:
        """Accuracy by width and start with disjoint clauses, and use in channels."""
        from fastpolysem import plots

        means = self.table(data)
        means = means[means["optimizer"] == means["optimizer"].iloc[0]]
        means = means[means["task"] == _DNF].sort_values("neurons")
        left, right = plots.panels(ax, 1, 2, self.FIGURE_SIZE)[0]
        style: dict[str, Any] = {"ms": 4, "lw": 1.2, "capsize": 2}
        disjoint = means[means["variables"] == DISJOINT]
        for i, (name, label) in enumerate(STARTS.items()):
            look = {**style, **plots.look(i)}
            points(left, disjoint["neurons"], disjoint, name, label=label, **look)
        left.axhline(0.5, color="#777777", lw=0.9, ls=":", label="constant output")
        uses = {"channel_use": "trained", "channel_use_untrained": "untrained"}
        for (variables, formula), part in means.groupby(["variables", "formula"]):
            kind = "disjoint" if variables >= DISJOINT else "overlapping"
            for i, (name, label) in enumerate(uses.items()):
                look = {**style, **plots.look(i, "color", "marker")}
                look["ls"] = plots.DASHES[variables < DISJOINT]
                said = f"{label}, {kind}" if formula == means["formula"].min() else None
                points(right, part["neurons"], part, name, label=said, **look)
        left.set(xlabel="hidden neurons", ylabel="accuracy", ylim=(0.45, 1.03))
        right.set(xlabel="hidden neurons", ylabel="share of use in own channels", ylim=(0, 1.03))
        widths = [int(one) for one in sorted(set(means["neurons"]))]
        for axes, drawn in ((left, disjoint), (right, means)):
            if len(drawn):
                axes.set_xscale("log", base=2)
                axes.set_xticks(widths, [str(one) for one in widths])
            legend(axes, frameon=False, fontsize="small")
        return ax or left


def _reported(means: pd.DataFrame) -> str:
    """Published accuracies by start, in percent, beside ours."""
    here = means[(means["variables"] == DISJOINT) & (means["neurons"] == _PUBLISHED_WIDTH)]
    rows = []
    for name, start in STARTS.items():
        for _, row in here.iterrows():
            value, low, high = (100 * part for part in estimate_of(row, name))
            rows.append([start, _PUBLISHED.get(name, ""), estimate(value, low, high)])
    head = f"start, {_PUBLISHED_WIDTH} neurons for 8 clauses"
    return markdown([head, "published accuracy in %", "ours"], rows)


_PUBLISHED_WIDTH = 16
_PUBLISHED = {"accuracy": 78.7, "at_random": 88.7, "by_clause": 99.4}
_IN_CHANNELS = {
    "use in own channels": "channel_use",
    "neurons in a channel": "channel",
    "untrained": "channel_use_untrained",
    "split by clause": "channel_use_by_clause",
}
_OF_PARITIES = {"accuracy": "accuracy", "parities per neuron": "effective_concepts"}
_CONTEXT = {
    "share of use on shared neurons": "shared_use",
    "chance": "chance",
    "shared, untrained": "shared_untrained",
    "not learned": "not_learned",
    "neurons per clause or parity": "neurons_per_concept",
    "largest gradient": "largest_gradient",
}


def _signed(row: pd.Series[Any]) -> str:
    """A difference with its interval."""
    return f"{row['difference']:+.3f} [{row['ci_low']:+.3f}, {row['ci_high']:+.3f}]"


EXPERIMENT = Boolean()
