"""Which settings of a network are refused, and that samples of the others cover all there is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from specifications import combinations, sampling, training
from specifications.losses import BinaryCrossEntropy, CrossEntropy, Power
from specifications.network import (
    CorrelatedBlocks,
    Dataset,
    Independent,
    NetworkSpec,
    depth,
    spread,
)
from specifications.rules import DEFAULTS, FORM, RULES, refusals
from specifications.targets import Absolute, Clauses, Parity

BASE = NetworkSpec(widths=(4, 5, 4), steps=10)
DEEP = replace(BASE, widths=(4, 5, 5, 4))
NOISY = replace(BASE, noise="gaussian", noise_std=0.1)
L1 = replace(BASE, l1=0.1)
SGD = replace(BASE, optimizer="sgd")
ROWS, REALS, CLASSES = np.ones((6, 4)), np.ones((6, 4)), np.array([0, 1, 2, 3, 0, 1])
DATA = replace(BASE, inputs=Dataset(ROWS, REALS))
LABELLED = replace(BASE, inputs=Dataset(ROWS, CLASSES), loss=CrossEntropy())


class FixedBatch:
    """As the autoencoder's, which has no targets."""


# A configuration, what to change about it, and the one field that it is then refused for.
REFUSED: list[tuple[NetworkSpec, dict[str, Any], str]] = [
    # Form
    (BASE, {"widths": (4, 4)}, "widths"),
    (BASE, {"widths": (4, 0, 4)}, "widths"),
    (BASE, {"activation": ("relu", "gelu")}, "activation"),
    (NOISY, {"noise_std": (0.1, 0.1)}, "noise_std"),
    (BASE, {"dropout": (0.1, 0.1)}, "dropout"),
    (BASE, {"bias": (True,)}, "bias"),
    (BASE, {"bias": True, "bias_start": (1.0,)}, "bias_start"),
    (BASE, {"frozen": (True,)}, "frozen"),
    (L1, {"l1": (0.1,)}, "l1"),
    (L1, {"l1": (0.1, 0.1), "tied": True}, "l1"),
    (L1, {"l1": (0.1, 0.1), "l1_target": "activations"}, "l1"),
    (BASE, {"importance": (1.0, 1.0)}, "importance"),
    (DEEP, {"residual": (3,)}, "residual"),
    (DEEP, {"residual": (0,)}, "residual"),
    (DEEP, {"residual": (2, 2)}, "residual"),
    (L1, {"l1_schedule": ((0, 1.0), (11, 0.0))}, "l1_schedule"),
    (BASE, {"learning_rate_schedule": ((5, 1.0), (5, 0.0))}, "learning_rate_schedule"),
    (BASE, {"bias": True, "bias_decay": ((-1, 1.0),)}, "bias_decay"),
    (BASE, {"inputs": FixedBatch()}, "inputs"),
    (BASE, {"inputs": Independent((0.1, 0.2), 8)}, "inputs"),
    (BASE, {"inputs": Independent(0.1, 8, ("one", "sign"))}, "inputs"),
    (BASE, {"inputs": Dataset(ROWS[0], REALS)}, "inputs"),
    (BASE, {"loss": Power(2.25)}, "loss"),
    (BASE, {"loss": Power(0.5)}, "loss"),
    (BASE, {"loss": Power(16.5)}, "loss"),
    # Architecture
    (DEEP, {"residual": (1,)}, "residual"),
    (DEEP, {"tied": True}, "tied"),
    (DATA, {"tied": True, "widths": (4, 5, 3), "inputs": Dataset(ROWS, REALS[:, :3])}, "tied"),
    (BASE, {"tied": True, "frozen": (True, False)}, "frozen"),
    (BASE, {"frozen": True}, "frozen"),
    # Biases
    (BASE, {"bias_start": 0.1}, "bias_start"),
    (BASE, {"bias": (True, False), "bias_start": 0.1}, "bias_start"),
    (BASE, {"bias": True, "bias_start": 0.1, "init": "pytorch"}, "bias_start"),
    (BASE, {"bias_decay": ((0, 1.0),)}, "bias_decay"),
    (
        BASE,
        {"bias": (True, False), "frozen": (True, False), "bias_decay": ((0, 1.0),)},
        "bias_decay",
    ),
    # Task
    (DATA, {"target": Absolute()}, "target"),
    (BASE, {"widths": (4, 5, 3)}, "target"),
    (BASE, {"target": Parity(((0,), (1,)))}, "target"),
    (BASE, {"target": Parity(((4,),) * 4)}, "target"),
    (BASE, {"target": Clauses((((0, ~4),),) * 4)}, "target"),
    (BASE, {"loss": CrossEntropy()}, "loss"),
    (DATA, {"loss": CrossEntropy()}, "loss"),
    (LABELLED, {"loss": Power(2)}, "loss"),
    (LABELLED, {"loss": BinaryCrossEntropy()}, "loss"),
    (LABELLED, {"widths": (4, 5, 1), "inputs": Dataset(ROWS, 0 * CLASSES)}, "loss"),
    (DATA, {"loss": BinaryCrossEntropy(), "inputs": Dataset(ROWS, 2 * REALS)}, "loss"),
    (BASE, {"loss": BinaryCrossEntropy(), "inputs": Independent(0.5, 8, "sign")}, "loss"),
    (LABELLED, {"output": "relu"}, "output"),
    (BASE, {"output": "relu", "loss": BinaryCrossEntropy()}, "output"),
    (LABELLED, {"importance": (1.0,) * 4}, "importance"),
    (BASE, {"importance": (0.0,) * 4}, "importance"),
    # Inputs
    (BASE, {"inputs": CorrelatedBlocks(3, 1, 8)}, "inputs"),
    (BASE, {"inputs": CorrelatedBlocks(2, 3, 8)}, "inputs"),
    (DATA, {"inputs": Dataset(ROWS[:, :3], REALS)}, "inputs"),
    (DATA, {"inputs": Dataset(ROWS, REALS[:5])}, "inputs"),
    (DATA, {"inputs": Dataset(ROWS, REALS[:, :3])}, "inputs"),
    (DATA, {"inputs": Dataset(ROWS, REALS, held_out=(ROWS[:, :3], REALS))}, "inputs"),
    (DATA, {"inputs": Dataset(ROWS, REALS, held_out=(ROWS, CLASSES))}, "inputs"),
    (DATA, {"inputs": Dataset(ROWS, REALS, batch_size=7)}, "inputs"),
    (DATA, {"inputs": Dataset(ROWS, REALS, label_noise=0.1)}, "inputs"),
    (LABELLED, {"inputs": Dataset(ROWS, CLASSES + 1)}, "inputs"),
    (LABELLED, {"inputs": Dataset(ROWS, CLASSES, held_out=(ROWS, CLASSES - 1))}, "inputs"),
    # l1
    (BASE, {"l1_schedule": ((0, 0.0), (5, 1.0))}, "l1_schedule"),
    (BASE, {"l1_target": "activations"}, "l1_target"),
    (BASE, {"l1_update": "orthant"}, "l1_update"),
    (L1, {"l1_target": "activations", "l1_update": "orthant"}, "l1_target"),
    (L1, {"frozen": (True, False)}, "l1"),
    (L1, {"frozen": (True, False), "l1_target": "activations"}, "l1"),
    # Noise and dropout
    (BASE, {"noise_std": 0.1}, "noise_std"),
    (BASE, {"noise_shape": 3.0}, "noise_shape"),
    (BASE, {"noise_sharing": "step"}, "noise_sharing"),
    (NOISY, {"noise_std": 0.0}, "noise_std"),
    (NOISY, {"noise_shape": 3.0}, "noise_shape"),
    (NOISY, {"noise": "student_t"}, "noise_shape"),
    (NOISY, {"noise": "three_point"}, "noise_shape"),
    (BASE, {"dropout_sharing": "step"}, "dropout_sharing"),
    # Optimisers
    (SGD, {"betas": (0.5, 0.9)}, "betas"),
    (SGD, {"epsilon": 1e-4}, "epsilon"),
    (SGD, {"weight_decay": 0.1}, "weight_decay"),
    (BASE, {"momentum": 0.5}, "momentum"),
    (replace(BASE, tied=True), {"readout": "private"}, "readout"),
    (replace(BASE, frozen=(False, True)), {"readout": "random"}, "readout"),
]


@pytest.mark.parametrize("config", [BASE, DEEP, NOISY, L1, SGD, DATA, LABELLED], ids=repr)
def test_what_refusals_start_from_is_accepted(config):
    assert refusals(config) == []


@pytest.mark.parametrize(("config", "changes", "field"), REFUSED, ids=repr)
def test_refused_by_name(config, changes, field):
    assert [rule.field for rule in refusals(replace(config, **changes))] == [field]


def test_every_rule_refuses_something():
    broken = {
        rule for config, changes, _ in REFUSED for rule in refusals(replace(config, **changes))
    }
    assert [rule for rule in (*FORM, *RULES) if rule not in broken] == []


# What looks like it and is not refused.
ACCEPTED: list[tuple[NetworkSpec, dict[str, Any]]] = [
    (BASE, {"inputs": Independent(0.5, 8, "sign"), "target": Absolute()}),
    (BASE, {"inputs": Independent(0.5, 8), "target": Absolute()}),
    (BASE, {"inputs": Independent(0.5, 8), "loss": BinaryCrossEntropy()}),
    (BASE, {"loss": BinaryCrossEntropy(), "importance": (1.0, 0.0, 2.0, 1.0)}),
    (BASE, {"loss": Power(1)}),
    (BASE, {"loss": Power(16)}),
    (BASE, {"widths": (4, 4, 4), "residual": (1,)}),
    (BASE, {"bias": True, "frozen": (True, False), "bias_start": (-1.0, 0.0)}),
    (L1, {"l1": (0.0, 0.1), "frozen": (True, False), "l1_update": "orthant"}),
    (L1, {"frozen": (False, True), "l1_target": "activations"}),
    (DEEP, {"l1": (0.0, 0.1), "l1_target": "activations", "frozen": (True, False, False)}),
    (DEEP, {"noise": "gaussian", "noise_std": (0.0, 0.1), "dropout": (0.5, 0.0)}),
    (SGD, {"weight_decay": 0.0}),
    (DATA, {"inputs": Dataset(ROWS, REALS, batch_size=6)}),
    (LABELLED, {"inputs": Dataset(ROWS, CLASSES, label_noise=0.5)}),
    (BASE, {"steps": 0, "learning_rate_schedule": "cosine"}),
]


@pytest.mark.parametrize(("config", "changes"), ACCEPTED, ids=repr)
def test_not_refused(config, changes):
    assert refusals(replace(config, **changes)) == []


def takes(config: NetworkSpec, kind: str, choice: dict[str, Any]) -> bool:
    """Whether a configuration looks as this choice leaves it."""
    every = combinations.choices(config.widths, config.steps)[kind]
    names = {name for option in every for name in option}
    return all(getattr(config, name) == {**DEFAULTS, **choice}[name] for name in names)


def test_accepted_combinations_cover_the_choices():
    """All but those which are never to be accepted."""
    never = {
        "bias": [{"bias_start": 0.1}, {"bias_decay": ((0, 1.0),)}],
        "frozen": [{"frozen": True}],
        "l1": [{"l1": 0.01, "l1_target": "activations", "l1_update": "orthant"}],
        "noise": [
            {"noise": "gaussian"},
            {"noise": "three_point", "noise_std": 0.1},
            {"noise": "gaussian", "noise_std": 0.1, "noise_shape": 3.0},
            {"noise_std": 0.1},
            {"noise_sharing": "step"},
            {"noise_shape": 3.0},
        ],
        "dropout": [{"dropout_sharing": "step"}],
        "optimizer": [
            {"momentum": 0.5},
            {"optimizer": "sgd", "weight_decay": 0.1},
            {"optimizer": "sgd", "betas": (0.8, 0.95)},
            {"optimizer": "sgd", "epsilon": 1e-4},
        ],
    }
    seen: dict[str, set[int]] = {}
    configs = list(combinations.accepted(0, 1500))
    for config in configs:
        assert refusals(config) == []
        for kind, options in combinations.choices(config.widths, config.steps).items():
            taken = {i for i, option in enumerate(options) if takes(config, kind, option)}
            seen.setdefault(kind, set()).update(taken)
    for kind, options in combinations.choices(combinations.WIDTHS[0], 4).items():
        left_out = [option for i, option in enumerate(options) if i not in seen[kind]]
        assert left_out == never.get(kind, []), kind
    assert {config.widths for config in configs} == set(combinations.WIDTHS)


def test_refused_combinations_break_one_rule():
    fields = set()
    for config, rule in combinations.refused(0, 500):
        assert refusals(config) == [rule]
        fields.add(rule.field)
    assert len(fields) > 15


@pytest.mark.parametrize("part", range(4))
def test_accepted_combinations_train(part):
    for seed, config in enumerate(combinations.accepted(100 + part, 20, steps=3)):
        model, result = training.train(config, seed)
        start = sampling.initial_network(config, seed)
        frozen = spread(config.frozen, depth(config))
        moved = [not np.array_equal(*w) for w in zip(start.weights, model.weights, strict=True)]
        assert any(moved), config
        assert not any(np.logical_and(moved, frozen[: len(moved)])), config
        assert not result.diverged
        assert result.loss is not None
        assert result.loss >= 0
        held_out = type(config.inputs).__name__ == "Dataset" and config.inputs.held_out
        assert (result.held_out_loss is None) == (not held_out)
        assert (result.accuracy is None) == isinstance(config.loss, Power)
