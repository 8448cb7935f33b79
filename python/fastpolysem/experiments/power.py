"""Does the exponent of a task's loss alone make neurons polysemantic, and what does it buy?

The task is that of a published study of "compressed computation" (github.com/FranciscoHS/
toy-model-cis-code): F sparse features x, uniform on [-1, 1], whose ReLU is wanted, one layer of N
ReLU neurons without biases, and the loss |e|^q. A neuron that reads one feature computes its ReLU
exactly. `least_alone` is what networks of such neurons can reach.

Plan, written before the run and after eight seeds of each setting had been looked at. *Primary
outcome*: the share of use that lies on shared neurons (`measures.shared_use`), of positive features
and by squared errors for all networks, whatever they were trained on, so that the yardstick does
not depend on q. *Tests*: each q against q = 2 at the same seeds, and so the same starts and inputs,
with half as many neurons as features and with as many, margin 0.02; and, with half as many, the
squared error and the fourth power of the error of q = 4 against q = 2, relative, margin 5 %. All
are corrected together by Holm's method. *Seeds*: 200 (later 1000). A share that is 0 in all of them
is below the margin with 95 % confidence from 183 on; with a standard deviation of 0.5, as large as
a share's can be, a difference of 0.2 is found with a probability of 0.85. *Beside it*: features
learned, effective features per neuron and neurons per feature, chance, the untrained network,
losses as shares of that of the output 0, and networks of q = 2 trained further with q = 4, and the
reverse. Networks of the published size are compared with the published numbers; they take no part
in the tests.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fastpolysem.experiments._answers import Answers, apart, compared_by_seed, estimate_of
from fastpolysem.experiments._base import NATURAL, POSITIVE, Presets, number
from fastpolysem.experiments._drawing import points
from fastpolysem.experiments._networks import (
    CONTROLS,
    Case,
    NetworkQuestion,
    as_share,
    before_training,
    controls,
    trained_network,
)
from fastpolysem.experiments._verdicts import (
    EFFECT,
    INCONCLUSIVE,
    WITHIN,
    Comparison,
    change,
    text,
)
from fastpolysem.families.network import losses, targets
from fastpolysem.families.network.config import NetworkConfig
from fastpolysem.families.network.measures import formulas
from fastpolysem.families.network.measures.measure import Measures, measure
from fastpolysem.probes import Column, Probe
from fastpolysem.specs.inputs import Independent
from fastpolysem.training import TrainingResult, train

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

MARGIN = 0.02
"""Difference of shares of use that would not matter."""
LOSS_MARGIN = 0.05
"""Relative difference of losses that would not matter."""
USUAL, STEEP = 2.0, 4.0
"""The exponents that losses are compared between, and between which networks are trained on."""
_ACTIVE_ROWS = 2048
"""Rows in which each feature is positive, on average, when errors are measured (as published)."""
_SIZES = ("features", "neurons", "second", "density")
_POWERS = [1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 6.0, 8.0]
_SMALL: dict[str, Any] = {"features": 20, "neurons": [10, 20], "density": 0.1, "batch_size": 512}


def raised(a: NDArray[np.float32], power: float) -> NDArray[np.float32]:
    """``a ** power`` of values >= 0, for a power that is a multiple of 1/2; NumPy's is slow."""
    whole, half = divmod(round(2 * power), 2)
    result = np.sqrt(a) if half else np.ones_like(a)
    for _ in range(whole):
        result *= a
    return result


def least_alone(features: int, neurons: int, density: float, power: float) -> float:
    """A bound below the loss of networks whose neurons read one feature each.

    At most N features are read. The output of any other is independent of its target, so that its
    loss is at least that of the best constant; c^q, and |x - c|^q for x uniform on [0, 1].

    Returns
    -------
    float
        As a share of the loss of the output 0, whose expected value is density / (2 (q + 1)) per
        feature.
    """
    c = np.linspace(0, 1, 10_001)
    off, on = 1 - density / 2, density / 2
    constant = off * c**power + on * (c ** (power + 1) + (1 - c) ** (power + 1)) / (power + 1)
    return max(0.0, 1 - neurons / features) * float(constant.min()) * (power + 1) / on


def _rows(config: NetworkConfig) -> Iterator[NDArray[np.float32]]:
    """Rows of inputs to measure errors on, the same for all seeds, in parts that fit a cache."""
    inputs: Any = config.inputs
    n, density = config.widths[0], inputs.probability
    rng = np.random.default_rng(0)
    left = round(2 * _ACTIVE_ROWS / density)
    while left > 0:
        shape = (min(left, 2048), n)
        yield np.where(rng.random(shape) < density, rng.uniform(-1, 1, shape), 0).astype("float32")
        left -= shape[0]


def errors(
    weights: Sequence[NDArray[Any]], config: NetworkConfig
) -> tuple[NDArray[np.float64], dict[str, float]]:
    """Errors of one network on fresh rows.

    Parameters
    ----------
    weights
        Its matrices.
    config
        Its task.

    Returns
    -------
    (F,) float64
        Mean squared error of each output on the rows where its feature is positive.
    dict
        ``squared``, ``fourth`` and ``own``: the loss with the exponent 2, 4 and that of the config,
        over that of the output 0. ``spread``: the coefficient of variation of the first.
        ``spread_by_chance``: how large it is on average if all outputs have the same expected
        error, because the rows are finite.
    """
    exponents = {"squared": 2.0, "fourth": 4.0, "own": config.loss.q}  # type: ignore[union-attr]
    total, zero = dict.fromkeys(exponents, 0.0), dict.fromkeys(exponents, 0.0)
    moments = np.zeros((3, config.widths[-1]))
    for x in _rows(config):
        h, wanted = x, np.maximum(x, 0)
        for w in weights[:-1]:
            h = np.maximum(h @ w, 0)
        size = np.abs(h @ weights[-1] - wanted)
        on, square = x > 0, size * size
        moments += [on.sum(0), (square * on).sum(0), (square * square * on).sum(0)]
        for name, q in exponents.items():
            total[name] += float(raised(size, q).sum(dtype=float))
            zero[name] += float(raised(wanted, q).sum(dtype=float))
    count, mean, fourth = moments[0], moments[1] / moments[0], moments[2] / moments[0]
    found = {name: total[name] / zero[name] for name in exponents}
    center = max(float(mean.mean()), np.finfo(float).tiny)
    found["spread"] = float(mean.std()) / center
    found["spread_by_chance"] = float(np.sqrt(np.mean((fourth - mean**2) / count))) / center
    return mean, found


def use_of_positive(weights: Any, config: NetworkConfig, power: float) -> Measures:
    """Which neurons positive features use, by a loss with this exponent.

    Negative ones, whose output is to be 0, have next to nothing to lose.
    """
    found = measure(weights, config.replace(loss=losses.Power(power)))
    n = config.widths[0]  # positive features come first
    return dataclasses.replace(
        found,
        rises=tuple(rises[..., :n] for rises in found.rises),
        loss=found.loss[..., :n],
        constant_loss=found.constant_loss[:n],
    )


@dataclass(frozen=True)
class Powers(Probe):
    """Use of neurons and losses, on the same scales for all exponents."""

    name = "power"
    columns: ClassVar = {
        "shared": as_share("share of use on shared neurons, of positive features, squared errors"),
        "shared_fourth": as_share("the same by the fourth power of errors"),
        "shared_own": as_share("the same by the loss that the network was trained on"),
        "shared_untrained": as_share("the same by squared errors at the start"),
        **CONTROLS,
        "features_per_neuron": Column("float32", "effective features per neuron", (0, None)),
        "neurons_per_feature": Column("float32", "effective neurons per feature", (0, None)),
        "learned": Column("int64", "features with half of the best constant's squared error", None),
        "learned_own": Column("int64", "the same by the loss that was trained on", None),
        "alignment": as_share("largest squared input weight of a neuron over their sum"),
        "squared": Column("float32", "squared error over that of the output 0", (0, None)),
        "fourth": Column("float32", "fourth power of errors over that of the output 0", (0, None)),
        "own": Column("float32", "loss that was trained on over that of the output 0", (0, None)),
        "spread": Column("float32", "coefficient of variation of features' errors", (0, None)),
        "spread_by_chance": Column("float32", "the same from sampling alone", (0, None)),
        "shared_retrained": as_share("shared, after training on with the other of q = 2 and 4"),
        "own_retrained": Column("float32", "own, after that", (0, None)),
    }

    def __call__(self, result: TrainingResult) -> dict[str, NDArray[Any]]:
        """The columns of a block."""
        config, seeds = result.config, result.seeds
        weights = trained_network(result)
        own = config.loss.q
        squares = use_of_positive(weights, config, 2.0)
        by_own = use_of_positive(weights, config, own)
        start = before_training(result).weights
        found: dict[str, Any] = {
            "shared": squares.shared_use,
            "shared_fourth": use_of_positive(weights, config, 4.0).shared_use,
            "shared_own": by_own.shared_use,
            "shared_untrained": use_of_positive(start, config, 2.0).shared_use,
            **controls(squares, seeds),
            "features_per_neuron": squares.effective_concepts,
            "neurons_per_feature": squares.neurons_per_concept,
            "learned": squares.learned.sum(axis=1),
            "learned_own": by_own.learned.sum(axis=1),
            "alignment": formulas.alignment(weights.weights[0]).mean(axis=-1),
        }
        found |= self._losses(weights, config, len(seeds))
        nothing = np.full(len(seeds), np.nan)
        found |= {"shared_retrained": nothing, "own_retrained": nothing}
        if own in (USUAL, STEEP):
            other = config.replace(loss=losses.Power(USUAL + STEEP - own))
            again = train(other, seeds, initial_weights=weights, return_weights=True)
            moved = trained_network(again)
            found["shared_retrained"] = use_of_positive(moved, other, 2.0).shared_use
            found["own_retrained"] = self._losses(moved, other, len(seeds))["own"]
        return found

    @staticmethod
    def _losses(weights: Any, config: NetworkConfig, count: int) -> dict[str, NDArray[Any]]:
        each = [errors([w[s] for w in weights.weights], config)[1] for s in range(count)]
        return {name: np.array([one[name] for one in each]) for name in errors_of(each)}


def errors_of(each: Sequence[dict[str, float]]) -> list[str]:
    """The names of what `errors` finds, also of no networks."""
    return list(each[0]) if each else ["squared", "fourth", "own", "spread", "spread_by_chance"]


class Power(NetworkQuestion):
    """Use of neurons and losses against the exponent."""

    NAME = "power"
    SUMMARY = "Vary the exponent of a task's loss and see when neurons become polysemantic."
    FIGURE_SIZE = (7.4, 3.4)
    PRESETS: ClassVar[Presets] = {
        # Two minutes on two cores.
        "default": {**_SMALL, "power": _POWERS, "steps": 4000, "seeds": 50},
        # Less than a minute.
        "quick": {**_SMALL, "neurons": 10, "power": [USUAL, STEEP], "steps": 4000, "seeds": 20},
        # The page of findings.
        "paper": {**_SMALL, "power": _POWERS, "steps": 4000, "seeds": 1000},
        # Two hidden layers; half an hour on two cores.
        "deep": {
            **_SMALL,
            "neurons": 10,
            "second": [0, 10, 20],
            "power": [USUAL, STEEP],
            "steps": 4000,
            "seeds": 1000,
        },
        # Hours.
        "large": {**_SMALL, "power": _POWERS, "steps": 16_000, "seeds": 1000},
        # The published setting: four minutes of one core per seed, eight at q = 2 and 4.
        "published": {
            "features": 100,
            "neurons": 50,
            "density": 0.02,
            "batch_size": 8192,
            "power": [power for power in _POWERS if power != 1.5],
            "steps": 100_000,
            "seeds": 10,
        },
    }
    OPTIONS: ClassVar = {
        "features": "Number of features.",
        "neurons": "Number of hidden neurons.",
        "second": "Number of neurons of a second hidden layer; 0 for none.",
        "density": "Probability that a feature is active.",
        "batch_size": "Rows of inputs per step.",
        "power": "Exponent of the loss, a multiple of 1/2.",
        "steps": "Number of updates.",
    }
    ALLOWED: ClassVar = {
        "features": POSITIVE,
        "neurons": POSITIVE,
        "second": NATURAL,
        "density": number((">", 0), ("<=", 1)),
        "batch_size": POSITIVE,
        "steps": NATURAL,
    }
    PROBE = Powers()
    LABELS = ("features", "neurons", "second", "density", "power")
    SEEN: ClassVar = {"density": "density"}
    OPTIMIZER = "Adam"
    METRICS = tuple(Powers.columns)
    OPEN = "whether the exponent alone makes neurons polysemantic"
    METHOD = (
        "Paired t tests at the same seeds: each exponent against 2 by the share of use on shared "
        "neurons, measured by squared errors, and 4 against 2 by relative losses"
    )

    def case(self, **settings: Any) -> Case:
        """The published recipe.

        There the loss is the mean over rows and outputs, here it is features / density times that,
        and epsilon with it. Start weights are uniform, within ±0.1 and ±0.15 at F = 100, N = 50;
        here with the same share of variance at other sizes.
        """
        settings = {"second": 0, **settings}
        features, density = settings["features"], settings["density"]
        hidden = [settings["neurons"], settings["second"]][: 2 if settings["second"] else 1]
        config = NetworkConfig(
            widths=(features, *hidden, features),
            inputs=Independent(density, settings["batch_size"], "signed_uniform"),
            target=targets.Relu(),
            loss=losses.Power(settings["power"]),
            optimizer="adam",
            learning_rate=0.01,
            learning_rate_schedule="cosine",
            epsilon=1e-8 * (features / density),
            steps=settings["steps"],
            init="uniform",
            init_scale=0.6,
        )
        return Case(settings, config)

    def table(self, data: Answers) -> pd.DataFrame:
        """Means with 95 % intervals, one row per setting; `Powers` describes the columns.

        ``alone`` is the bound `least_alone` for ``own``.
        """
        means = super().table(data)
        names = ["features", "neurons", "density", "power"]
        means["alone"] = [least_alone(*row) for row in means[names].itertuples(index=False)]
        return means

    def tests(self, data: Answers) -> list[Comparison]:
        """Each exponent against 2, and the losses that 4 and 2 have."""
        tests = []
        for setting, group in self.settings(data.valid, _SIZES):
            usual = group[group["power"] == USUAL]
            for power in sorted(set(group["power"]) - {USUAL}):
                steep = group[group["power"] == power]
                name = f"{_network(setting, data)}: q = {power:g} against 2, shared use"
                tests.append(compared_by_seed(name, steep, usual, "shared", MARGIN, relative=False))
            if setting["neurons"] < setting["features"] and STEEP in set(group["power"]):
                steep = group[group["power"] == STEEP]
                for column, what in (("squared", "squared error"), ("fourth", "fourth power")):
                    name = f"{_network(setting, data)}: q = {STEEP:g} against 2, {what}"
                    tests.append(compared_by_seed(name, steep, usual, column, LOSS_MARGIN))
        return tests

    def say(self, data: Answers, outcome: str, judged: pd.DataFrame) -> str:
        """Shares and what they cost, and where sharing is necessary, for each size."""
        sentences = []
        for setting, means in self.settings(self.table(data), _SIZES):
            name = _network(setting, data)
            of = "" if "F = " in name else f" for F = {setting['features']}"
            mine = judged[judged["test"].str.startswith(f"{name}:")]
            shared = mine["test"].str.endswith("shared use")
            shares = [
                f"{text(estimate_of(row, 'shared'))} at q = {row['power']:g}"
                for _, row in means.iterrows()
                if row["power"] in (USUAL, STEEP, max(means["power"]))
            ]
            parts = [
                f"With {name}{of}, the share of use on shared neurons is {', '.join(shares)} "
                f"({_kinds(mine[shared])})"
            ]
            parts += [
                f"q = {STEEP:g} changes the {row.test.split(', ')[-1]} by {change(row)}"
                for row in mine[~shared].itertuples()
            ]
            below = means.loc[means["own_high"] < means["alone"], "power"]
            if len(below):
                powers = ", ".join(f"{power:g}" for power in below)
                parts.append(f"at q = {powers} the loss is below any attainable without sharing")
            sentences.append("; ".join(parts) + ".")
        return " ".join(sentences)

    def tables(self, data: Answers) -> dict[str, str]:
        """All means, and the first look beside them."""
        from fastpolysem.experiments import _power_tables

        means = self.table(data)
        found = {"numbers": _power_tables.numbers(means)}
        looks = "" if means["second"].any() else _power_tables.looks(means)
        return {**found, "looks": looks} if looks else found

    def draw(self, data: Answers, ax: Axes | None = None) -> Axes:
        """Shared use against the exponent, and the losses of the least neurons."""
        from fastpolysem import plots

        means = self.table(data)
        left, right = plots.panels(ax, 1, 2, self.FIGURE_SIZE)[0]
        style: dict[str, Any] = {"lw": 1.3, "ms": 4, "capsize": 2}
        for i, (setting, part) in enumerate(self.settings(means, _SIZES)):
            look = {**style, **plots.look(i)}
            points(left, part["power"], part, "shared", label=_network(setting, data), **look)
        least = (means[list(_SIZES)] == means[list(_SIZES)].min()).all(axis=1)
        ((smallest, part),) = self.settings(means[least], _SIZES)
        start = part["shared_untrained"].mean()
        left.axhline(start, color="#777777", lw=0.9, ls=":", label="untrained")
        features, neurons, density = (smallest[name] for name in ("features", "neurons", "density"))
        for i, (name, q) in enumerate({"squared": USUAL, "fourth": STEEP}.items()):
            look = plots.look(i + 2)
            line = {**style, **look, "ls": "-"}
            points(right, part["power"], part, name, label=f"$|e|^{q:g}$", **line)
            least = least_alone(features, neurons, density, q)
            label = f"bound without sharing, $|e|^{q:g}$"
            right.axhline(least, color=look["color"], lw=1, ls=look["ls"], label=label)
        left.set(xlabel="exponent q of the loss", ylabel="share of use on shared neurons")
        right.set(xlabel="exponent q of the loss", ylabel="error, as a share of output 0")
        if means["features"].nunique() == 1:
            left.set_title(f"F = {features} features", fontsize="medium")
        right.set_title(_network(smallest, data), fontsize="medium")
        left.set_ylim(-0.03, 1.03)
        right.set_ylim(0, 1.3)
        left.legend(frameon=False, fontsize="small")
        right.legend(frameon=False, fontsize="small", loc="upper center", ncols=2)
        return ax or left


def _network(setting: dict[str, Any], data: Answers) -> str:
    """How sentences call a setting."""
    second = f" and {setting['second']}" if setting["second"] else ""
    more = apart(setting, data.rows, ("neurons", "second"))
    return f"N = {setting['neurons']}{second}{more}"


def _kinds(tests: pd.DataFrame) -> str:
    """Which exponents differ from 2."""
    said = []
    for outcome in (EFFECT, WITHIN, INCONCLUSIVE):
        names = tests.loc[tests["outcome"] == outcome, "test"]
        if len(names):
            powers = [name.split("q = ")[1].split(" ")[0] for name in names]
            said.append(f"{outcome} for q = {', '.join(powers)}")
    return "; ".join(said)


EXPERIMENT = Power()
