"""NetworkConfig: what it refuses, what makes two settings equal, and its forms on disk.

One long table of settings and messages, and the tests that read it.
"""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import json
import re
from dataclasses import replace

import numpy as np
import pytest

import fastpolysem as fp
from fastpolysem._native import core
from fastpolysem.families.network import losses, targets
from fastpolysem.families.network.config import NetworkConfig
from fastpolysem.families.network.dataset import Dataset
from helpers.config_checks import assert_round_trips
from helpers.refusal_checks import check
from network import settings
from network.test_specified_rules import ACCEPTED, REFUSED
from specifications import combinations
from specifications.network import NetworkSpec
from specifications.rules import DEFAULTS

BASE = NetworkConfig(widths=(4, 5, 4))
DEEP = NetworkConfig(widths=(4, 6, 6, 3, 4), bias=True)
ROWS = np.arange(24.0).reshape(6, 4) / 24
REALS, CLASSES = ROWS[:, ::-1], np.array([0, 1, 2, 3, 0, 1])
HELD_OUT = (ROWS[:2], CLASSES[:2])
LABELLED = {"inputs": Dataset(ROWS, CLASSES), "loss": losses.CrossEntropy()}


# ---------------------------------------------------------------------------------------------
# What is refused
# ---------------------------------------------------------------------------------------------


def refuses(spec, field):
    """The specified settings must be refused by a message that names the field, or what it is."""
    with pytest.raises((TypeError, ValueError)) as caught:
        settings.config(spec)
    names = f"NetworkConfig: {field}", type(getattr(spec, field)).__name__ + ":"
    assert re.match(rf"{names[0]}\b|{names[1]} ", str(caught.value)), (spec, str(caught.value))


def test_defaults_are_those_of_the_specification():
    config = settings.config(NetworkSpec(widths=(4, 5, 4)))
    assert config == BASE
    assert config._hashed() == {"kind": "network", "widths": [4, 5, 4], "numerics_version": 1}
    assert list(BASE.DEFAULTS) == list(DEFAULTS)


@pytest.mark.parametrize(("spec", "changes", "field"), REFUSED, ids=repr)
def test_what_the_rules_refuse_is_refused_by_name(spec, changes, field):
    refuses(replace(spec, **changes), field)


@pytest.mark.parametrize(("spec", "changes"), ACCEPTED, ids=repr)
def test_what_the_rules_accept_is_accepted(spec, changes):
    settings.config(replace(spec, **changes))


def test_combinations_that_break_a_rule_are_refused_by_name():
    for spec, rule in combinations.refused(1, 500):
        refuses(spec, rule.field)


def test_combinations_that_break_no_rule_are_accepted_and_kept():
    for spec in combinations.accepted(2, 300):
        assert_round_trips(settings.config(spec))


VALUES = [
    # widths
    ({"widths": None}, TypeError, "widths must be a list of integers, got None"),
    ({"widths": "4-5-4"}, TypeError, "widths must be a list of integers, got '4-5-4'"),
    ({"widths": 4}, TypeError, "widths must be a list of integers, got 4"),
    (
        {"widths": (4, 4)},
        ValueError,
        "at least one hidden layer and the outputs, 3 to 256 widths, got 2",
    ),
    ({"widths": [1] * 257}, ValueError, "3 to 256 widths, got 257"),
    (
        {"widths": (4, 5.0, 4)},
        TypeError,
        "widths[1] must be an integer >= 1 and < 2147483648, got 5.",
    ),
    ({"widths": (4, True, 4)}, TypeError, "widths[1] must be an integer >= 1"),
    (
        {"widths": (4, 5, 0)},
        ValueError,
        "widths[2] must be an integer >= 1 and < 2147483648, got 0",
    ),
    ({"widths": (2**31, 1, 1)}, ValueError, "widths[0] must be an integer >= 1 and < 2147483648"),
    ({"widths": np.ones((3, 1), int)}, TypeError, "widths[0] must be an integer >= 1 and"),
    # what random numbers can address
    (
        {"widths": (4, 2**17, 2**17, 4)},
        ValueError,
        "widths[1] * widths[2] must be < 2**34, got 17179",
    ),
    (
        {"inputs": fp.Independent(0.5, 2**32)},
        ValueError,
        "rows of a batch * (widths[0] + 1) must be < 2**34, got 21474836480",
    ),
    (
        {"widths": (2**22, 1, 2**22), "inputs": fp.Independent(0.5, 1)},
        ValueError,
        "4096 rows of evaluation * (widths[0] + 1) must be < 2**34, got 17179873280",
    ),
    (
        {"inputs": fp.Independent(0.5, 2**31), "noise": "gaussian", "noise_std": 0.1},
        ValueError,
        "2 * rows of a batch * widest hidden layer must be < 2**34, got 21474836480",
    ),
    (
        {"widths": (1, 9, 1), "inputs": fp.Independent(0.5, 2**31), "dropout": 0.1},
        ValueError,
        "rows of a batch * widest hidden layer must be < 2**34, got 19327352832",
    ),
    # layers
    ({"activation": "swish"}, ValueError, "activation must be one of 'relu', 'gelu', 'tanh', 'squ"),
    (
        {"activation": ("relu",) * 2},
        ValueError,
        "activation must have one value per hidden layer, 1,",
    ),
    (
        {"activation": ("rellu",)},
        ValueError,
        "activation[0] must be one of 'relu', 'gelu', 'tanh', ",
    ),
    ({"activation": 3}, TypeError, "activation must be one of 'relu', 'gelu'"),
    ({"output": "tanh"}, ValueError, "output must be one of 'linear', 'relu', got 'tanh'"),
    ({"bias": 1}, TypeError, "bias must be True or False, got 1"),
    ({"bias": (True, 0)}, TypeError, "bias[1] must be True or False, got 0"),
    ({"bias": (True,) * 3}, ValueError, "bias must have one value per layer, 2, got 3"),
    ({"bias": ()}, ValueError, "bias must have one value per layer, 2, got 0"),
    ({"bias_start": "a"}, TypeError, "bias_start must be a finite number, got 'a'"),
    (
        {"bias_start": 0.5},
        ValueError,
        "bias_start must be 0 for layers without a bias, got 0.5 for la",
    ),
    (
        {"bias": True, "bias_start": np.inf},
        ValueError,
        "bias_start must be a finite number, got inf",
    ),
    ({"frozen": None}, TypeError, "frozen must be True or False, got None"),
    ({"frozen": True}, ValueError, "frozen must leave a layer to train, got all frozen"),
    (
        {"tied": True, "frozen": (True, False)},
        ValueError,
        "frozen must be left at False with tied=True, got (True, False)",
    ),
    ({"tied": "yes"}, TypeError, "tied must be True or False, got 'yes'"),
    (
        {"tied": True, "widths": (4, 5, 5, 4)},
        ValueError,
        "tied must be False unless widths are (n, m, n), got widths=(4, 5, 5, 4)",
    ),
    ({"residual": 1}, TypeError, "residual must be a list of integers, got 1"),
    ({"residual": (2,)}, ValueError, "residual[0] must be an integer >= 1 and <= 1, got 2"),
    (
        {"residual": (1,)},
        ValueError,
        "residual must name layers as wide as the one before, got layer 1 of width 5 after 4",
    ),
    (
        {"widths": (4, 4, 4, 4), "residual": (2, 1)},
        ValueError,
        "residual must name each layer once, in ascending order, got (2, 1)",
    ),
    # the task
    (
        {"inputs": "basis"},
        TypeError,
        "inputs must be Basis(), Independent(...), CorrelatedBlocks(...) or Dataset(...), got 'ba",
    ),
    ({"inputs": fp.Basis}, TypeError, "or Dataset(...), got the class Basis"),
    (
        {"inputs": fp.FixedBatch(np.eye(4))},
        TypeError,
        "; a Dataset without batch_size shows the same rows at every step",
    ),
    (
        {"inputs": fp.Independent([0.1, 0.2], 8)},
        ValueError,
        "inputs must have one probability or one for each of widths[0]=4 features, got 2",
    ),
    (
        {"inputs": fp.Independent(0.1, 8, ["one", "sign"])},
        ValueError,
        "inputs must have one magnitude or one for each of widths[0]=4 features, got 2",
    ),
    (
        {"inputs": fp.CorrelatedBlocks(3, 1, 8)},
        ValueError,
        "inputs with blocks=3 need widths[0] to be a multiple of that, got widths[0]=4",
    ),
    (
        {"inputs": fp.CorrelatedBlocks(2, 3, 8)},
        ValueError,
        "inputs with active=3 need blocks of at least as many features, got widths[0] / blocks = 2",
    ),
    (
        {"inputs": Dataset(ROWS[:, :3], REALS)},
        ValueError,
        "inputs must have widths[0]=4 columns, got Dataset(6 x 3, targets (6, 4), ",
    ),
    (
        {"inputs": Dataset(ROWS, REALS[:, :3])},
        ValueError,
        "inputs must have targets with widths[-1]=4 columns, got shape (6, 3)",
    ),
    (
        {**LABELLED, "inputs": Dataset(ROWS, CLASSES + 1)},
        ValueError,
        "inputs must have classes < widths[-1]=4, got 4",
    ),
    (
        {"inputs": Dataset(1e39 * ROWS, REALS)},
        ValueError,
        "inputs must hold entries that are finite in float32, got ",
    ),
    (
        {"inputs": Dataset(ROWS, -1e39 * REALS)},
        ValueError,
        "inputs must have targets that are finite in float32, got ",
    ),
    (
        {"target": "relu"},
        TypeError,
        "target must be Identity(), Absolute(), Relu(), Clauses(...) or P",
    ),
    ({"target": targets.Relu}, TypeError, "or Parity(...), got the class Relu"),
    (
        {"inputs": Dataset(ROWS, REALS), "target": targets.Relu()},
        ValueError,
        "target must be left at Identity() with a Dataset, which has its own targets, got Relu(",
    ),
    (
        {"widths": (4, 5, 3)},
        ValueError,
        "target must be Clauses(...) or Parity(...) unless there are as many outputs as features, "
        "got Identity() with widths[0]=4 and widths[-1]=3",
    ),
    (
        {"target": targets.Parity([[0], [1]])},
        ValueError,
        "target must have widths[-1]=4 outputs, got 2",
    ),
    (
        {"target": targets.Clauses([[[0, ~4]]] * 4)},
        ValueError,
        "target must have features below widths[0]=4, got feature 4",
    ),
    (
        {"loss": 2},
        TypeError,
        "loss must be Power(...), CrossEntropy() or BinaryCrossEntropy(), got 2",
    ),
    (
        {"loss": losses.CrossEntropy()},
        ValueError,
        "loss must be CrossEntropy() if inputs are a Dataset with classes as targets, and only "
        "then, got CrossEntropy() and Basis()",
    ),
    (
        {**LABELLED, "inputs": Dataset(ROWS, np.eye(4)[CLASSES])},
        ValueError,
        "; classes are (N,) integers, such as one_hot.argmax(axis=1)",
    ),
    (
        {**LABELLED, "inputs": Dataset(ROWS, CLASSES[:, None])},
        ValueError,
        "; classes are (N,) integers, such as column[:, 0]",
    ),
    (
        {"inputs": Dataset(ROWS, CLASSES)},
        ValueError,
        "loss must be CrossEntropy() if inputs are a Dataset with classes as targets, and only "
        "then, got Power(q=2.0) and Dataset(6 x 4, classes, ",
    ),
    (
        {**LABELLED, "inputs": Dataset(ROWS, 0 * CLASSES), "widths": (4, 5, 1)},
        ValueError,
        "loss must not be CrossEntropy() with fewer than 2 classes, got widths[-1]=1",
    ),
    (
        {"inputs": fp.Independent(0.5, 8, "sign"), "loss": losses.BinaryCrossEntropy()},
        ValueError,
        "loss must not be BinaryCrossEntropy() unless targets are within [0, 1], got "
        "targets from -1 to 1",
    ),
    (
        {**LABELLED, "output": "relu"},
        ValueError,
        "output must be left at 'linear' with loss=CrossEntropy(), which takes logits, got 'relu'",
    ),
    (
        {**LABELLED, "importance": [1] * 4},
        ValueError,
        "importance must be left at None with loss=CrossEntropy(), got [1, 1, 1, 1]",
    ),
    ({"importance": [1] * 5}, ValueError, "importance must have length widths[-1]=4, got length 5"),
    (
        {"importance": [0] * 4},
        ValueError,
        "importance must be > 0 for at least one output, got all",
    ),
    (
        {"importance": [1, 1, 1, -1]},
        ValueError,
        "importance must be >= 0 for every output, got -1.0",
    ),
    # l1
    ({"l1": -0.1}, ValueError, "l1 must be a finite number >= 0, got -0.1"),
    ({"l1": (0.1, -0.1)}, ValueError, "l1[1] must be a finite number >= 0, got -0.1"),
    ({"l1": (0.1,)}, ValueError, "l1 must have one value per matrix, 2, got 1"),
    ({"l1": (0.1, 0.1), "tied": True}, ValueError, "l1 must have one value per matrix, 1, got 2"),
    (
        {"l1": (0.1, 0.1), "l1_target": "activations"},
        ValueError,
        "l1 must have one value per hidden layer, 1, got 2",
    ),
    (
        {"l1": 0.1, "frozen": (False, True)},
        ValueError,
        "l1 must be 0 where frozen layers fix the weights, got 0.1 for layer 2 with "
        "frozen=(False, True)",
    ),
    (
        {"l1": 0.1, "frozen": (True, False), "l1_target": "activations"},
        ValueError,
        "l1 must be 0 where frozen layers fix the activations, got 0.1 for layer 1",
    ),
    (
        {"l1_target": "activations"},
        ValueError,
        "l1_target must be left at 'weights' with l1=0, got 'a",
    ),
    ({"l1_update": "orthant"}, ValueError, "l1_update must be left at 'subgradient' with l1=0"),
    ({"l1_schedule": [(0, 0), (9, 1)]}, ValueError, "l1_schedule must be left at None with l1=0"),
    ({"l1": 1, "l1_schedule": [(0, 1)]}, ValueError, "l1_schedule must change l1, got [(0, 1)]"),
    (
        {"l1": 1, "l1_update": "orthant", "l1_target": "activations"},
        ValueError,
        "l1_target must be left at 'weights' with l1_update='orthant', got 'activations'",
    ),
    # noise and dropout
    ({"noise": "gauss"}, ValueError, "got 'gauss'; did you mean 'gaussian'?"),
    ({"noise_std": 0.1}, ValueError, "noise_std must be left at 0.0 with noise='none', got 0.1"),
    (
        {"noise_sharing": "step"},
        ValueError,
        "noise_sharing must be left at 'input' with noise='none'",
    ),
    (
        {"noise": "gaussian"},
        ValueError,
        "noise_std must be > 0 for a hidden layer with noise='gaussian', got 0.0",
    ),
    (
        {"noise": "gaussian", "noise_std": (0.1, 0.2)},
        ValueError,
        "noise_std must have one value per hidden layer, 1, got 2",
    ),
    (
        {"noise": "student_t", "noise_std": 0.1},
        TypeError,
        "noise_shape with noise='student_t' must be a finite number > 2, got None",
    ),
    (
        {"noise": "laplace", "noise_std": 0.1, "noise_shape": 3},
        ValueError,
        "noise_shape must be left at None with noise='laplace', got 3",
    ),
    ({"dropout": 1.0}, ValueError, "dropout must be a finite number >= 0 and < 1, got 1.0"),
    (
        {"dropout": 1e-12},
        ValueError,
        "dropout must be 0 or between 2**-32 and 1 - 2**-32, got 1e-12",
    ),
    (
        {"dropout_sharing": "step"},
        ValueError,
        "dropout_sharing must be left at 'input' with dropout=0",
    ),
    # optimizers and schedules
    ({"learning_rate": 0}, ValueError, "learning_rate must be a finite number > 0, got 0"),
    (
        {"learning_rate": 1e-60},
        ValueError,
        "learning_rate must not round to 0 or infinity in float32",
    ),
    (
        {"optimizer": "sgd", "epsilon": 1e-4},
        ValueError,
        "epsilon must be left at 1e-08 with optimizer",
    ),
    (
        {"optimizer": "sgd", "weight_decay": 1},
        ValueError,
        "weight_decay must be None or 0 with optimi",
    ),
    ({"momentum": 0.5}, ValueError, "momentum must be left at 0.0 with optimizer='adamw', got 0.5"),
    (
        {"optimizer": "sgd", "momentum": 1 - 1e-12},
        ValueError,
        "momentum must not round to 1 in float32, got 0.999999999999",
    ),
    ({"betas": (0.9,)}, TypeError, "betas must be a pair of numbers, got (0.9,)"),
    (
        {"bias": True, "bias_start": 1e39},
        ValueError,
        "bias_start must not round to 0 or infinity in",
    ),
    (
        {"learning_rate_schedule": "linear"},
        ValueError,
        "learning_rate_schedule must be one of 'cosine', got 'linear'",
    ),
    (
        {"learning_rate_schedule": 0.5},
        TypeError,
        "learning_rate_schedule must be a list of pairs (step, factor), got 0.5",
    ),
    (
        {"learning_rate_schedule": [(0, 2), (5, 2)]},
        ValueError,
        "learning_rate_schedule must change learning_rate, got [(0, 2), (5, 2)]",
    ),
    (
        {"learning_rate_schedule": [(0, 1), (7501, 0)]},
        ValueError,
        "learning_rate_schedule[1]: step must be an integer >= 0 and <= 7500, got 7501",
    ),
    (
        {"bias_decay": [(0, 1)]},
        ValueError,
        "bias_decay must be left at None if no bias is trained",
    ),
    (
        {"bias": True, "bias_decay": [(0, 0)]},
        ValueError,
        "bias_decay must have a kappa > 0, got [(0,",
    ),
    (
        {"bias": True, "bias_decay": 1},
        TypeError,
        "bias_decay must be a list of pairs (step, kappa)",
    ),
    (
        {"bias": True, "bias_start": 0.5, "init": "pytorch"},
        ValueError,
        "bias_start must be left at 0.0 with init='pytorch', which draws the biases, got 0.5",
    ),
    ({"readout": "sparse"}, ValueError, "readout must be one of 'dense', 'private', 'random'"),
    ({"readout": np.ones((2, 2))}, ValueError, "readout must be a name or have the shape"),
    ({"readout": np.full(BASE.widths[-2:], 2)}, ValueError, "readout must consist of zeros and"),
    ({"readout": np.zeros(BASE.widths[-2:])}, ValueError, "readout must let an output read"),
    ({"readout": 3}, ValueError, "readout"),
    ({"init": "kaiming"}, ValueError, "init must be one of 'normal', 'pytorch', 'xavier'"),
    (
        {"steps": 2**32},
        ValueError,
        "steps must be an integer >= 0 and < 4294967296, got 4294967296",
    ),
    ({"dtype": "float16"}, ValueError, "dtype must be one of 'float32', 'float64', got 'float16'"),
]


@pytest.mark.parametrize(("changes", "kind", "message"), VALUES, ids=lambda one: str(one)[:60])
def test_bad_values(changes, kind, message):
    with pytest.raises(kind, match=re.escape(message)) as caught:
        BASE.replace(**changes)
    assert caught.type is kind
    assert str(caught.value).startswith("NetworkConfig: ")


def test_every_field_has_a_bad_value():
    assert {name for changes, *_ in VALUES for name in changes} == set(BASE.DEFAULTS) - {
        "init_scale"
    } | {"noise_shape"}


def test_unknown_fields_suggest_the_nearest():
    check(TypeError, "has no field 'hidden'; did you mean 'widths'?", NetworkConfig, hidden=3)
    check(TypeError, "NetworkConfig has no field 'lr'; did you", BASE.replace, lr=3)
    with pytest.raises(TypeError, match="positional"):
        NetworkConfig((4, 5, 4))
    with pytest.raises(TypeError, match="widths"):
        NetworkConfig(bias=True)


# ---------------------------------------------------------------------------------------------
# Equality, digest, storage
# ---------------------------------------------------------------------------------------------


CONJUNCTIONS = targets.Clauses([[[i, (i + 1) % 4]] for i in range(4)])
SIGNED = {"inputs": fp.Independent(0.5, 8, "signed_uniform")}

# One change for each field, each to something that affects results.
CHANGES = [
    {"widths": (4, 6, 4)},
    {"widths": (4, 5, 5, 4)},
    {"activation": "gelu"},
    {"activation": "tanh"},
    {"output": "relu"},
    {"bias": True},
    {"bias": (True, False)},
    {"bias": (False, True)},
    {"bias": True, "bias_start": 0.5},
    {"bias": True, "bias_start": (0.5, 0.0)},
    {"bias": True, "bias_decay": [(0, 1.0)]},
    {"bias": True, "bias_decay": [(0, 1.0), (10, 2.0)]},
    {"widths": (4, 4, 4), "residual": (1,)},
    {"tied": True},
    {"frozen": (True, False)},
    {"frozen": (False, True)},
    {"inputs": fp.Independent(0.5, 8)},
    {"inputs": fp.Independent((0.5, 0.25, 0.125, 0.1), 8)},
    {"inputs": fp.Independent(0.5, 8, "sign")},
    {"inputs": fp.Independent(0.5, 8, ("sign", "one", "one", "uniform"))},
    {"inputs": fp.CorrelatedBlocks(2, 1, 8)},
    {"inputs": Dataset(ROWS, REALS)},
    {"inputs": Dataset(ROWS, REALS, batch_size=6)},
    {"inputs": Dataset(ROWS, REALS, held_out=(ROWS[:2], REALS[:2]))},
    {**LABELLED},
    {**LABELLED, "inputs": Dataset(ROWS, CLASSES, label_noise=0.25)},
    {**LABELLED, "inputs": Dataset(ROWS, CLASSES, 3, 0.25, HELD_OUT)},
    {"target": targets.Absolute(), **SIGNED},
    {"target": targets.Relu(), **SIGNED},
    {"target": CONJUNCTIONS},
    {"target": targets.Clauses([[[i], [(i + 1) % 4]] for i in range(4)])},
    {"target": targets.Clauses([[[~i]] for i in range(4)])},
    {"target": targets.Parity([[i, (i + 1) % 4] for i in range(4)])},
    {"loss": losses.Power(1.5)},
    {"loss": losses.BinaryCrossEntropy()},
    {"importance": [1, 1, 1, 0]},
    {"l1": 0.1},
    {"l1": (0.1, 0.0)},
    {"l1": 0.1, "l1_schedule": [(0, 0), (9, 1)]},
    {"l1": 0.1, "l1_target": "activations"},
    {"l1": 0.1, "l1_update": "orthant"},
    {"noise": "gaussian", "noise_std": 0.1},
    {"noise": "gaussian", "noise_std": 0.1, "noise_sharing": "step"},
    {"noise": "student_t", "noise_std": 0.1, "noise_shape": 3.0},
    {"widths": (4, 5, 5, 4), "noise": "gaussian", "noise_std": (0.1, 0.0)},
    {"dropout": 0.5},
    {"dropout": 0.5, "dropout_sharing": "step"},
    {"optimizer": "adam"},
    {"optimizer": "sgd", "momentum": 0.5},
    {"learning_rate": 0.01},
    {"learning_rate_schedule": "cosine"},
    {"learning_rate_schedule": [(0, 0), (100, 1)]},
    {"weight_decay": 0.1},
    {"betas": (0.8, 0.99)},
    {"epsilon": 1e-6},
    {"steps": 10},
    {"init": "pytorch"},
    {"init_scale": 0.5},
    {"dtype": "float64"},
    {"readout": "private"},
    {"readout": "random"},
]
CONFIGS = [BASE, *(BASE.replace(**change) for change in CHANGES)]


def test_every_field_is_changed_above():
    assert {name for change in CHANGES for name in change} == set(BASE.DEFAULTS)


def test_every_change_of_effect_changes_equality_and_digest():
    assert len(set(CONFIGS)) == len(CONFIGS)
    assert len({config.digest for config in CONFIGS}) == len(CONFIGS)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({}, {"widths": [4, np.int64(5), 4]}),
        ({}, {"widths": np.array([4, 5, 4])}),
        ({}, {"activation": ["relu"]}),
        ({}, {"bias": (False, False), "bias_start": (0, 0.0), "frozen": np.zeros(2, bool)}),
        ({"bias": True}, {"bias": np.ones(2, dtype=bool)}),
        ({}, {"importance": np.ones(4), "weight_decay": 0.01, "l1": (0, -0.0)}),
        ({}, {"residual": [], "dropout": (0,), "noise_std": [0.0]}),
        ({}, {"inputs": fp.Basis(), "target": targets.Identity(), "loss": losses.Power(2)}),
        ({"l1": 0.5}, {"l1": (0.5, 0.5)}),
        ({"l1": 0.5, "l1_target": "activations"}, {"l1": [0.5], "l1_target": "activations"}),
        ({"dropout": 0.5}, {"dropout": (0.5,)}),
        ({"optimizer": "sgd"}, {"optimizer": "sgd", "weight_decay": 0.0}),
        ({"optimizer": "adam"}, {"optimizer": "adam", "weight_decay": 0}),
        (
            {"bias": True, "bias_decay": [(0, 2)]},
            {"bias": True, "bias_decay": np.array([(3, 2), (9, 2)], dtype=object)},
        ),
        (
            {"learning_rate_schedule": [(0, 0), (10, 1)]},
            {"learning_rate_schedule": ((0, 0), (10, 1), (20, 1))},
        ),
        (
            {"inputs": fp.Independent(0.5, 8)},
            {"inputs": fp.Independent([0.5] * 4, 8, magnitude=["one"] * 4)},
        ),
        ({"inputs": Dataset(ROWS, REALS)}, {"inputs": Dataset(ROWS.tolist(), REALS.tolist())}),
        (
            {"target": CONJUNCTIONS},
            {"target": targets.Clauses([[[(i + 1) % 4, i]] * 2 for i in range(4)])},
        ),
        (
            {"target": targets.Parity([[0, 1], [2], [3], [1]])},
            {"target": targets.Parity(([1, 0], (2,), np.array([3]), [1]))},
        ),
    ],
)
def test_settings_of_equal_effect_have_equal_digests(one, other):
    one, other = BASE.replace(**one), BASE.replace(**other)
    assert one.digest == other.digest
    # What None stands for is kept as it is given.
    other = other.replace(weight_decay=one.weight_decay)
    assert one == other
    assert hash(one) == hash(other)
    assert one.to_dict() == other.to_dict()


ELEMENTWISE = [targets.Identity(), targets.Absolute(), targets.Relu()]
ONE_OUTPUT = {"widths": (4, 5, 1), "target": targets.Parity([[0, 1]])}


@pytest.mark.parametrize(
    ("shared", "name", "values"),
    [
        ({}, "readout", ["dense", np.ones((5, 4)), [[1] * 4] * 5]),
        ({}, "readout", ["private", np.arange(5)[:, None] % 4 == np.arange(4)]),
        ({"widths": (4, 3, 4)}, "readout", ["private", np.eye(3, 4)]),
        (ONE_OUTPUT, "readout", ["dense", "private", "random", np.ones((5, 1))]),
        ({"inputs": fp.Basis()}, "target", ELEMENTWISE),
        ({"inputs": fp.Independent(0.5, 8, "uniform")}, "target", ELEMENTWISE),
        ({"inputs": fp.CorrelatedBlocks(2, 1, 8)}, "target", ELEMENTWISE),
        ({"steps": 1}, "learning_rate_schedule", [None, "cosine"]),
        ({"steps": 0}, "learning_rate_schedule", [None, "cosine"]),
    ],
)
def test_values_of_equal_effect_are_kept_and_have_equal_digests(shared, name, values):
    """Kept, as they may differ in effect once another field is replaced."""
    base = BASE.replace(**{"steps": 3, **shared})
    one, *others = [base.replace(**{name: value}) for value in values]
    assert {config.digest for config in others} == {one.digest}
    assert len({str(getattr(config, name)) for config in (one, *others)}) > 1
    expected = fp.train(one, 2, return_weights=True).weights.weights
    for config in others:
        assert fp.NetworkConfig.from_dict(config.to_dict()) == config
        for weights, own in zip(
            fp.train(config, 2, return_weights=True).weights.weights, expected, strict=True
        ):
            assert np.array_equal(weights, own)
    with pytest.raises(ValueError, match="equal in effect"):
        fp.grid(base, **{name: values})


def test_values_of_other_effect_have_other_digests():
    for shared, values in (
        ({}, [{"readout": r} for r in ("dense", "private", "random", np.eye(5, 4))]),
        (ONE_OUTPUT, [{"readout": r} for r in ("dense", [[1], [1], [1], [1], [0]])]),
        (SIGNED, [{"target": target} for target in ELEMENTWISE]),
        ({"steps": 1}, [{"learning_rate_schedule": r} for r in (None, [(0, 0.5), (1, 1)])]),
    ):
        digests = {BASE.replace(**shared, **each).digest for each in values}
        assert len(digests) == len(values)


def test_a_value_per_layer_is_a_tuple_only_where_they_differ():
    config = DEEP.replace(
        activation=["relu", "tanh", "relu"], l1=(0.1, 0.1, 0.1, 0.1), bias_start=[0, 0, 1, 1]
    )
    assert config.activation == ("relu", "tanh", "relu")
    assert config.l1 == 0.1
    assert config.bias_start == (0.0, 0.0, 1.0, 1.0)
    assert [type(one) for one in config.bias_start] == [float] * 4


# Written down once: a change of any of them makes stored studies unreadable.
DIGESTS = """
233f7b4c3784de9548e6 7927a08a4d27f78e740c 6f1e00ff6456dc3957ac 39a3e2278601b66be876
68376fa7fa073996524a e2258f2388e465db2572 7e8e4cf44b4359d7491a 9be547774ef313736a28
cc7c27d82afdbd3ffd93 b358379b8c9e4800ec14 b8051fa310c7fe4537dd 67876483e2377eb17cab
a6a693e0b5f848c793fa 9c44ddaa167533671c54 17e3b3211384ca2032be 5344f80bbc20a733591d
b311c50d7b0c28a75088 115f90e612d18a2454d1 8e0c3ae7151c0f64e99f 6d87f931c23a5d1ee132
d1c2f7574c18201dfb51 39d2f45c83cf8bd09539 8f673359f5cc82a59506 f12957590c8832f97f1d
47b498ac11f5a00350a8 f0ffce197173cd2b3b70 eba72215c1e0c73db937 d6c900884ccdd96a916d
5352fb8e56d32b53f608 5facc800606cbe254dad d23999bff45fe63eface 88683ee836502c72b7e2
072de64f9fc8cc1f3bf0 03167e9c319397c45a6f bead19e400c2ba416b6b 0b7285a610b8ed83b621
8b43149a6fed24473534 be0f9ec238451cb4dba2 cfc56985fe2ea006ab0a 93d895fcaaf96ad83244
7dadb6aeca3a5b63e057 d0336a48db70a799dca9 4daa8fe4bf07f973f0c7 e620be20fc53e8452b92
600db4bac09c5325187c d9352390fc098ea87252 d51316a1c493c9d46919 c8210530f30a4b85aa09
daa070717da681f8fe09 1bb0831aa49081acc725 a548b0485a2cb9b8b36c 30d0e9ed3f7816f7cd1c
4a68067006670b1e986d af7e889668b3ce2217ef 0ad187fb46bc323c630c d73170bb3724c4dc4619
85fd042790ef4b09b8af 138fd952c1749203036e 3c33b124769290e200f9 109aaab0a672c61096b4
4f8fd9100c28fd9788a9 a6d88bd90283e4edeb71
"""


def test_digests_are_those_that_were_written_down():
    assert [config.digest for config in CONFIGS] == DIGESTS.split()


def test_digest_is_of_kind_version_and_what_differs_from_the_defaults():
    config = BASE.replace(
        l1=(0.5, 0.25), inputs=fp.Independent((0.5, 0.25, 0.5, 0.5), 8), loss=losses.Power(3)
    )
    fields = {
        "kind": "network",
        "widths": [4, 5, 4],
        "l1": [0.5, 0.25],
        "inputs": {"kind": "independent", "probability": [0.5, 0.25, 0.5, 0.5], "batch_size": 8},
        "loss": {"kind": "power", "q": 3.0},
        "numerics_version": 1,
    }
    text = json.dumps(fields, sort_keys=True, separators=(",", ":"))
    assert config.digest == hashlib.sha256(text.encode()).hexdigest()[:20]


@pytest.mark.parametrize("config", CONFIGS, ids=repr)
def test_round_trips(config):
    assert_round_trips(config)


def test_from_dict_checks_what_it_is_given():
    given = {"kind": "network", "widths": [4, 5, 4], "loss": {"kind": "power", "q": 3}}
    before = copy.deepcopy(given)
    assert NetworkConfig.from_dict(given) == BASE.replace(loss=losses.Power(3))
    assert given == before
    read = NetworkConfig.from_dict
    check(TypeError, "NetworkConfig.from_dict: mapping must be a mapping, got 3", read, 3)
    check(
        ValueError,
        "kind must be one of 'network', got 'autoencoder'",
        read,
        {"kind": "autoencoder"},
    )
    check(TypeError, "has no field 'width'; did you mean 'widths'?", read, {"width": 3})
    check(
        ValueError,
        "loss: kind must be one of 'power', 'cross_entropy', 'binary_cross_entropy', got 'mse'",
        read,
        {**given, "loss": {"kind": "mse"}},
    )
    check(TypeError, "target must be a mapping with a 'kind', got 3", read, {**given, "target": 3})
    check(
        TypeError,
        "Power has no field 'power'; it has q",
        read,
        {**given, "loss": {"kind": "power", "power": 3}},
    )


def test_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        BASE.widths = (1, 2, 3)


def test_repr_shows_what_differs_from_the_defaults():
    assert repr(BASE) == "NetworkConfig(widths=(4, 5, 4))"
    config = BASE.replace(inputs=fp.Independent(0.5, 4), target=targets.Relu(), l1=(0.0, 0.5))
    names = {"NetworkConfig": NetworkConfig, "Independent": fp.Independent, "Relu": targets.Relu}
    assert eval(repr(config), names) == config


SINGLE = np.float32(0.3)
HELD = float(SINGLE)

# Every field that takes real numbers, with 0.3 as float32 and as a Python number.
NUMBERS = [
    ("bias_start", {"bias": True}, lambda x: x),
    ("bias_start", {"bias": True}, lambda x: (x, 0)),
    ("bias_start", {"bias": True}, lambda x: np.array([x, 0], type(x))),
    ("bias_decay", {"bias": True}, lambda x: [(0, x)]),
    ("importance", {}, lambda x: np.full(4, x, type(x))),
    ("l1", {}, lambda x: x),
    ("l1", {}, lambda x: [0, x]),
    ("l1_schedule", {"l1": 1}, lambda x: [(0, x), (10, 1)]),
    ("noise_std", {"noise": "gaussian"}, lambda x: x),
    ("noise_shape", {"noise": "three_point", "noise_std": 0.5}, lambda x: x),
    ("dropout", {}, lambda x: x),
    ("learning_rate", {}, lambda x: x),
    ("learning_rate_schedule", {}, lambda x: [(0, x), (10, 1)]),
    ("weight_decay", {}, lambda x: x),
    ("momentum", {"optimizer": "sgd"}, lambda x: x),
    ("betas", {}, lambda x: (x, 0.5)),
    ("epsilon", {}, lambda x: x),
    ("init_scale", {}, lambda x: x),
]


@pytest.mark.parametrize(("name", "others", "value"), NUMBERS, ids=lambda one: str(one)[:12])
def test_a_number_of_less_precision_keeps_its_value_with_a_warning(name, others, value):
    said = rf"NetworkConfig: {name}.* is {HELD}, the value of .*\(0\.3\)"
    with pytest.warns(UserWarning, match=said) as seen:
        config = BASE.replace(**others, **{name: value(SINGLE)})
    assert len(seen) == 1
    assert seen[0].filename == __file__
    assert config == BASE.replace(**others, **{name: value(HELD)})
    assert config.digest != BASE.replace(**others, **{name: value(0.3)}).digest
    assert config.replace() == NetworkConfig.from_dict(config.to_dict()) == config


def test_a_grid_over_widths():
    configs = fp.grid(BASE, widths=[(4, 3, 4), (4, 5, 5, 4)], l1=(0.1, 0.2))
    assert [(c.widths, c.l1) for c in configs] == [
        ((4, 3, 4), 0.1),
        ((4, 3, 4), 0.2),
        ((4, 5, 5, 4), 0.1),
        ((4, 5, 5, 4), 0.2),
    ]
    with pytest.raises(ValueError, match="target must be Clauses") as caught:
        fp.grid(BASE, widths=[(4, 3, 4), (4, 3, 5)])
    assert caught.value.__notes__ == ["in the grid at widths=(4, 3, 5)"]


def test_the_scale_makes_each_feature_appear_once_per_step():
    def scale(rows, **changes):
        return BASE.replace(**changes)._scale(rows)

    assert scale(4) == 1
    assert scale(8, inputs=fp.Independent(0.5, 8)) == 1 / 4
    assert scale(8, inputs=fp.Independent((0.5, 0.25, 0.125, 0.125), 8)) == 4 / 8
    assert scale(8, inputs=fp.CorrelatedBlocks(2, 1, 8), target=targets.Relu()) == 4 / 8
    assert scale(8, loss=losses.BinaryCrossEntropy()) == 1 / 8
    assert scale(8, target=CONJUNCTIONS) == 1 / 8
    assert scale(8, inputs=Dataset(ROWS, REALS)) == 1 / 8
    assert scale(8, **LABELLED) == 1 / 8


def test_settings_of_the_core_can_be_read_before_they_are_set():
    empty = core.NetworkSettings()
    for name in dir(empty):
        getattr(empty, name)
    assert empty.noise_std == [] == empty.activation
    assert empty.output == "relu"
