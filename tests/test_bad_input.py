"""What is refused, and that each message names the argument, the value and what is allowed."""

from __future__ import annotations

import re
import subprocess
import sys

import numpy as np
import pytest
from scipy import sparse

import fastpolysem as fp
from fastpolysem import _checks, metrics

N, M = 6, 10
BASE = fp.Config(n_features=N, n_hidden=M, l1=1e-3, steps=4)
SMOOTH = BASE.replace(l1=0)
NOISY = BASE.replace(noise="gaussian", noise_std=0.1)
OWN_NOISE = NOISY.replace(noise_sharing="input")
UNTIED = BASE.replace(tied=False)
BIASED = BASE.replace(bias=True)
SAMPLED = BASE.replace(inputs=fp.Independent(0.5, 8))
CERTIFIED = BASE.replace(l1_update="orthant", stop="certified")
W = np.full((N, M), 0.1)
NAN = np.where(np.eye(N, M) == 1, np.nan, W)
BATCH = np.eye(3, N)


def check(kind, message, function, *args, **kwargs):
    """The call must raise exactly this type with a message that holds this text."""
    with pytest.raises(kind, match=re.escape(message)) as caught:
        function(*args, **kwargs)
    assert caught.type is kind


CONFIG_VALUES = [
    # integers
    ({"n_features": 0}, ValueError, "n_features must be an integer >= 1 and < 2147483648, got 0"),
    ({"n_features": 2**31}, ValueError, "n_features must be an integer >= 1 and < 2147483648"),
    ({"n_hidden": -1}, ValueError, "n_hidden must be an integer >= 1 and < 2147483648, got -1"),
    ({"n_hidden": 4.0}, TypeError, "n_hidden must be an integer >= 1 and < 2147483648, got 4.0"),
    ({"n_hidden": True}, TypeError, "n_hidden must be an integer >= 1 and < 2147483648, got True"),
    ({"n_hidden": "4"}, TypeError, "n_hidden must be an integer >= 1 and < 2147483648, got '4'"),
    ({"n_hidden": None}, TypeError, "got None"),
    ({"n_hidden": np.array([4])}, TypeError, "got an array of shape (1,) and dtype int64"),
    ({"steps": -1}, ValueError, "steps must be an integer >= 0 and < 4294967296, got -1"),
    (
        {"steps": 2**32},
        ValueError,
        "steps must be an integer >= 0 and < 4294967296, got 4294967296",
    ),
    ({"steps": 1e4}, TypeError, "steps must be an integer >= 0 and < 4294967296, got 10000.0"),
    # sizes beyond what the random numbers can address
    (
        {"n_features": 2**17, "n_hidden": 2**17},
        ValueError,
        "n_features * n_hidden must be < 2**34, got 17179869184",
    ),
    (
        {"inputs": fp.Independent(0.5, 2**32)},
        ValueError,
        "batch_size * (n_features + 1) must be < 2**34, got 30064771072",
    ),
    (
        {
            "inputs": fp.Independent(0.5, 2**30),
            "noise": "gaussian",
            "noise_std": 0.1,
            "noise_sharing": "input",
        },
        ValueError,
        "2 * rows of a batch * n_hidden must be < 2**34, got 21474836480",
    ),
    (
        {"inputs": fp.Independent(0.5, 2**31), "dropout": 0.1},
        ValueError,
        "rows of a batch * n_hidden must be < 2**34, got 21474836480",
    ),
    # numbers
    ({"l1": -1.0}, ValueError, "l1 must be a finite number >= 0, got -1.0"),
    ({"l1": float("nan")}, ValueError, "l1 must be a finite number >= 0, got nan"),
    ({"l1": float("inf")}, ValueError, "l1 must be a finite number >= 0, got inf"),
    ({"l1": 10**400}, ValueError, "l1 must be a finite number >= 0, got 1000"),
    ({"l1": "0.1"}, TypeError, "l1 must be a finite number >= 0, got '0.1'"),
    ({"l1": 1j}, TypeError, "l1 must be a finite number >= 0, got 1j"),
    ({"l1": True}, TypeError, "l1 must be a finite number >= 0, got True"),
    ({"l1": None}, TypeError, "l1 must be a finite number >= 0, got None"),
    ({"l1": np.float32(-2)}, ValueError, "l1 must be a finite number >= 0, got -2.0"),
    ({"learning_rate": 0}, ValueError, "learning_rate must be a finite number > 0, got 0"),
    ({"init_scale": 0.0}, ValueError, "init_scale must be a finite number > 0, got 0.0"),
    ({"epsilon": 0.0}, ValueError, "epsilon must be a finite number > 0, got 0.0"),
    ({"weight_decay": -0.1}, ValueError, "weight_decay must be a finite number >= 0, got -0.1"),
    ({"weight_decay": "a"}, TypeError, "weight_decay must be a finite number >= 0, got 'a'"),
    ({"repulsion": -1}, ValueError, "repulsion must be a finite number >= 0, got -1"),
    ({"dropout": 1}, ValueError, "dropout must be a finite number >= 0 and < 1, got 1"),
    ({"dropout": -0.1}, ValueError, "dropout must be a finite number >= 0 and < 1, got -0.1"),
    ({"dropout": True}, TypeError, "dropout must be a finite number >= 0 and < 1, got True"),
    ({"noise_std": -1}, ValueError, "noise_std must be a finite number >= 0, got -1"),
    (
        {"optimizer": "sgd", "momentum": 1.0},
        ValueError,
        "momentum must be a finite number >= 0 and < 1, got 1.0",
    ),
    ({"betas": 0.9}, TypeError, "betas must be a pair of numbers, got 0.9"),
    ({"betas": (0.9,)}, TypeError, "betas must be a pair of numbers, got (0.9,)"),
    ({"betas": "ab"}, TypeError, "betas must be a pair of numbers, got 'ab'"),
    ({"betas": (1.0, 0.9)}, ValueError, "betas[0] must be a finite number >= 0 and < 1, got 1.0"),
    ({"betas": (0.9, -1)}, ValueError, "betas[1] must be a finite number >= 0 and < 1, got -1"),
    ({"betas": (0.9, None)}, TypeError, "betas[1] must be a finite number >= 0 and < 1, got None"),
    # numbers that float32 cannot hold
    (
        {"learning_rate": 1e-300},
        ValueError,
        "learning_rate must not round to 0 or infinity in float32, which holds 1.4e-45 to "
        "3.4e+38, got 1e-300",
    ),
    ({"epsilon": 1e-50}, ValueError, "epsilon must not round to 0 or infinity in float32, which"),
    (
        {"init_scale": 1e39},
        ValueError,
        "init_scale must not round to 0 or infinity in float32, which",
    ),
    ({"l1": 1e300}, ValueError, "l1 must not round to 0 or infinity in float32, which"),
    (
        {"repulsion": 1e300},
        ValueError,
        "repulsion must not round to 0 or infinity in float32, which",
    ),
    (
        {"weight_decay": 1e-60},
        ValueError,
        "weight_decay must not round to 0 or infinity in float32, which",
    ),
    (
        {"noise": "laplace", "noise_std": 1e39},
        ValueError,
        "noise_std must not round to 0 or infinity in float32, which",
    ),
    (
        {"noise": "laplace", "noise_std": 1e-60},
        ValueError,
        "noise_std must not round to 0 or infinity in float32, which",
    ),
    (
        {"noise": "three_point", "noise_std": 1, "noise_shape": 1e-300},
        ValueError,
        "noise_shape must not round to 0 or infinity in float32, which",
    ),
    (
        {"optimizer": "sgd", "momentum": 1e-60},
        ValueError,
        "momentum must not round to 0 or infinity in float32, which",
    ),
    (
        {"importance": [1] * 5 + [1e-60]},
        ValueError,
        "importance must not round to 0 or infinity in float32, which",
    ),
    (
        {"inputs": fp.FixedBatch(np.full((2, N), 1e39))},
        ValueError,
        "inputs must hold entries that are finite in float32, got 1e+39",
    ),
    # schedules
    (
        {"l1_schedule": 0.5},
        TypeError,
        "l1_schedule must be a list of pairs (step, factor), got 0.5",
    ),
    (
        {"l1_schedule": [0, 1]},
        TypeError,
        "l1_schedule must be a list of pairs (step, factor), got [0, 1]",
    ),
    (
        {"l1_schedule": np.zeros((2, 2))},
        TypeError,
        "l1_schedule[0]: step must be an integer >= 0 and <= ",
    ),
    (
        {"l1_schedule": [(-1, 0), (2, 1)]},
        ValueError,
        "l1_schedule[0]: step must be an integer >= 0 and <= ",
    ),
    (
        {"l1_schedule": [(0, 0), (8, 1)], "steps": 7},
        ValueError,
        "l1_schedule[1]: step must be an integer >= 0 and <= 7, got 8",
    ),
    (
        {"l1_schedule": [(0, 0), (2, -1)]},
        ValueError,
        "l1_schedule[1]: factor must be a finite number >= 0, got -1",
    ),
    (
        {"l1_schedule": [(0, 0), (2, "1")]},
        TypeError,
        "l1_schedule[1]: factor must be a finite number >= 0, got '1'",
    ),
    (
        {"l1_schedule": [(0, 0), (2, 1), (2, 0)]},
        ValueError,
        "l1_schedule must have ascending steps, got 2 after 2",
    ),
    (
        {"l1_schedule": [(0, 2), (2, 2)]},
        ValueError,
        "l1_schedule must change l1, got [(0, 2), (2, 2)]; a constant factor belongs in l1",
    ),
    ({"l1_schedule": []}, ValueError, "l1_schedule must change l1, got []"),
    # names
    (
        {"noise": "rademaker"},
        ValueError,
        "noise must be one of 'none', 'rademacher', 'gaussian', 'uniform', 'laplace', 'student_t', "
        "'three_point', got 'rademaker'; did you mean 'rademacher'?",
    ),
    ({"noise": "normal"}, ValueError, "'three_point', got 'normal'; did you mean 'gaussian'?"),
    ({"init": "gaussian"}, ValueError, "'uniform', got 'gaussian'; did you mean 'normal'?"),
    ({"noise": None}, TypeError, "noise must be one of 'none', 'rademacher'"),
    ({"l1_target": "weight"}, ValueError, "l1_target must be one of 'weights', 'activations'"),
    ({"l1_update": "orthants"}, ValueError, "got 'orthants'; did you mean 'orthant'?"),
    ({"noise_sharing": "inputs"}, ValueError, "got 'inputs'; did you mean 'input'?"),
    ({"dropout_sharing": "steps"}, ValueError, "got 'steps'; did you mean 'step'?"),
    ({"optimizer": "AdamW"}, ValueError, "got 'AdamW'; did you mean 'adamw'?"),
    ({"stop": "certify"}, ValueError, "stop must be one of 'steps', 'certified', got 'certify'"),
    ({"init": "xaver"}, ValueError, "got 'xaver'; did you mean 'xavier'?"),
    ({"activation": "ReLU"}, ValueError, "got 'ReLU'; did you mean 'relu'?"),
    ({"dtype": "float"}, ValueError, "dtype must be one of 'float32', 'float64', got 'float'"),
    ({"dtype": np.float32}, TypeError, "'float32', 'float64', got the class float32"),
    # flags
    ({"tied": 1}, TypeError, "tied must be True or False, got 1"),
    ({"bias": None}, TypeError, "bias must be True or False, got None"),
    # importance
    (
        {"importance": [1.0] * 5},
        ValueError,
        "importance must have length n_features=6, got length 5",
    ),
    ({"importance": [-1.0] * N}, ValueError, "importance must be >= 0 for every feature, got -1.0"),
    ({"importance": [0] * N}, ValueError, "importance must be > 0 for at least one feature"),
    ({"importance": [np.inf] * N}, ValueError, "importance must hold finite numbers only, got inf"),
    ({"importance": 2.0}, ValueError, "importance must be an array with 1 axis"),
    ({"importance": "high"}, TypeError, "importance must be an array of real numbers"),
    # inputs
    ({"inputs": "basis"}, TypeError, "inputs must be Basis(), Independent(...), CorrelatedBlocks("),
    ({"inputs": fp.Basis}, TypeError, "or FixedBatch(...), got the class Basis"),
    ({"inputs": np.eye(N)}, TypeError, "got an array of shape (6, 6) and dtype float64"),
    (
        {"inputs": fp.CorrelatedBlocks(4, 1, 8)},
        ValueError,
        "inputs with blocks=4 need n_features to be a multiple of that, got n_features=6",
    ),
    (
        {"inputs": fp.CorrelatedBlocks(2, 4, 8)},
        ValueError,
        "inputs with active=4 need blocks of at least as many features, got n_features / b",
    ),
    (
        {"inputs": fp.FixedBatch(np.eye(5))},
        ValueError,
        "inputs must have n_features=6 columns, got FixedBatch(5 x 5, 5 non-zeros",
    ),
    (
        {"inputs": fp.FixedBatch(np.zeros((2, N)))},
        ValueError,
        "inputs must hold a non-zero entry, got FixedBatch(2 x 6, 0 non-zeros",
    ),
]


@pytest.mark.parametrize(("change", "kind", "message"), CONFIG_VALUES, ids=str)
def test_values_of_a_config(change, kind, message):
    check(kind, message, fp.Config, **{"n_features": N, "n_hidden": M, "l1": 1e-3, **change})
    check(kind, "Config: ", BASE.replace, **change)


@pytest.mark.parametrize("value", [2.0**-149, float(np.finfo(np.float32).max)])
def test_the_ends_of_what_float32_can_hold(value):
    for config in (BASE.replace(l1=value), BASE.replace(importance=[value] * N)):
        assert config.dtype == "float32"
    for beyond in (value / 4, value * 4):
        assert BASE.replace(dtype="float64", l1=beyond).l1 == beyond


COMBINATIONS = [
    (
        {"l1": 0, "l1_target": "activations"},
        "l1_target must be left at 'weights' with l1=0, got 'activations'",
    ),
    (
        {"l1": 0, "l1_update": "orthant"},
        "l1_update must be left at 'subgradient' with l1=0, got 'orthant'",
    ),
    (
        {"l1": 0, "l1_schedule": [(0, 0), (4, 1)]},
        "l1_schedule must be left at None with l1=0, got ((0, 0.0), (4, 1.0))",
    ),
    (
        {"l1_update": "orthant", "l1_target": "activations"},
        "l1_target must be left at 'weights' with l1_update='orthant', got 'activations'",
    ),
    ({"noise_std": 0.1}, "noise_std must be left at 0.0 with noise='none', got 0.1"),
    ({"noise_shape": 3}, "noise_shape must be left at None with noise='none', got 3"),
    (
        {"noise_sharing": "input"},
        "noise_sharing must be left at 'step' with noise='none', got 'input'",
    ),
    (
        {"dropout_sharing": "step"},
        "dropout_sharing must be left at 'input' with dropout=0, got 'step'",
    ),
    ({"noise": "gaussian"}, "noise_std must be > 0 with noise='gaussian', got 0.0"),
    (
        {"noise": "laplace", "noise_std": 1, "noise_shape": 3},
        "noise_shape must be left at None with noise='laplace', got 3",
    ),
    (
        {"noise": "student_t", "noise_std": 1, "noise_shape": 2},
        "noise_shape with noise='student_t' must be a finite number > 2, got 2",
    ),
    (
        {"noise": "three_point", "noise_std": 1, "noise_shape": 0},
        "noise_shape with noise='three_point' must be a finite number > 0 and <= 1, got 0",
    ),
    (
        {"noise": "three_point", "noise_std": 1, "noise_shape": 1.5},
        "noise_shape with noise='three_point' must be a finite number > 0 and <= 1, got 1.5",
    ),
    (
        {"optimizer": "sgd", "weight_decay": 0.1},
        "weight_decay must be None or 0 with optimizer='sgd', got 0.1",
    ),
    (
        {"optimizer": "sgd", "betas": (0.5, 0.5)},
        "betas must be left at (0.9, 0.999) with optimizer='sgd', got (0.5, 0.5)",
    ),
    (
        {"optimizer": "sgd", "epsilon": 1e-6},
        "epsilon must be left at 1e-08 with optimizer='sgd', got 1e-06",
    ),
    (
        {"optimizer": "adam", "momentum": 0.9},
        "momentum must be left at 0.0 with optimizer='adam', got 0.9",
    ),
    ({"momentum": 0.9}, "momentum must be left at 0.0 with optimizer='adamw', got 0.9"),
]


@pytest.mark.parametrize(("change", "message"), COMBINATIONS, ids=str)
def test_combinations_of_a_config(change, message):
    check(ValueError, f"Config: {message}", BASE.replace, **change)


@pytest.mark.parametrize("noise", ["student_t", "three_point"])
def test_a_noise_shape_that_is_missing(noise):
    check(
        TypeError,
        f"Config: noise_shape with noise='{noise}' must be a finite number > ",
        BASE.replace,
        noise=noise,
        noise_std=1,
    )


@pytest.mark.parametrize(
    ("change", "need"),
    [
        ({"tied": False}, "tied=True"),
        ({"bias": True}, "bias=False"),
        ({"noise": "gaussian", "noise_std": 0.1}, "noise='none'"),
        ({"dropout": 0.1}, "dropout=0"),
        ({"repulsion": 0.1}, "repulsion=0"),
        ({"activation": "linear"}, "activation='relu'"),
        ({"inputs": fp.Independent(0.5, 8)}, "inputs=Basis()"),
        ({"importance": range(N)}, "importance=None"),
        ({"l1_update": "subgradient"}, "l1_update='orthant'"),
        ({"l1": 1.152}, "0 < l1 < 1.152"),
        ({"l1_schedule": [(0, 1), (4, 0)]}, "0 < l1 < 1.152 at the end of l1_schedule"),
        ({"l1_schedule": [(0, 1), (4, 1152)]}, "0 < l1 < 1.152 at the end of l1_schedule"),
    ],
    ids=str,
)
def test_a_certified_stop_says_what_it_needs(change, need):
    check(ValueError, f"Config: stop='certified' needs {need}, got", CERTIFIED.replace, **change)


def test_just_below_the_largest_l1_a_stop_can_be_certified():
    assert CERTIFIED.replace(l1=1.1519).stop == "certified"


def test_all_that_a_certified_stop_misses_is_listed():
    check(
        ValueError,
        "needs tied=True, bias=False, l1_update='orthant', 0 < l1 < 1.152, got Config(",
        SMOOTH.replace,
        stop="certified",
        tied=False,
        bias=True,
    )


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (
            lambda: fp.Config(n_feature=3),
            "Config has no field 'n_feature'; did you mean 'n_features'?",
        ),
        (lambda: BASE.replace(hidden=3), "Config has no field 'hidden'; did you mean 'n_hidden'?"),
        (
            lambda: fp.grid(BASE, nhidden=[3]),
            "Config has no field 'nhidden'; did you mean 'n_hidden'?",
        ),
        (
            lambda: BASE.replace(lr=3),
            "Config has no field 'lr'; did you mean 'learning_rate'?",
        ),
        (
            lambda: BASE.replace(zzz=3),
            "Config has no field 'zzz'; it has n_features, n_hidden, l1,",
        ),
        (
            lambda: fp.Config.from_dict({"l2": 1}),
            "Config has no field 'l2'; did you mean 'weight_decay'?",
        ),
        (
            lambda: fp.Independent(probabilityy=0.5, batch_size=4),
            "Independent has no field 'probabilityy'; did you mean 'probability'?",
        ),
        (lambda: fp.CorrelatedBlocks(block=2), "no field 'block'; did you mean 'blocks'?"),
        (lambda: fp.Basis(n=2), "Basis has no field 'n'"),
    ],
)
def test_unknown_fields(function, message):
    check(TypeError, message, function)


@pytest.mark.parametrize(
    ("mapping", "kind", "message"),
    [
        ({1: 2}, TypeError, "Config has no field 1; it has n_features, n_hidden, "),
        ([1], TypeError, "Config.from_dict: mapping must be a mapping, got [1]"),
        ({"n_features": 3}, TypeError, "n_hidden"),
        ({"inputs": "basis"}, TypeError, "inputs must be a mapping with a 'kind', got 'basis'"),
        ({"inputs": {}}, TypeError, "inputs must be a mapping with a 'kind', got {}"),
        (
            {"inputs": {"kind": "independentt"}},
            ValueError,
            "inputs: kind must be one of 'basis', 'independent', 'correlated_blocks', 'fixed', "
            "got 'independentt'; did you mean 'independent'?",
        ),
        ({"inputs": {"kind": "basis", "p": 1}}, TypeError, "Basis has no field 'p'"),
        (
            {"inputs": {"kind": "fixed", "indicess": 1}},
            TypeError,
            "FixedBatch has no field 'indicess'; did you mean 'indices'?",
        ),
    ],
    ids=str,
)
def test_mappings_that_are_no_config(mapping, kind, message):
    check(kind, message, fp.Config.from_dict, mapping)


@pytest.mark.parametrize(
    ("config", "arguments", "kind", "message"),
    [
        (BASE, {"time": 0}, ValueError, "time must be a finite number > 0, got 0"),
        (BASE, {"time": "1"}, TypeError, "time must be a finite number > 0, got '1'"),
        (BASE, {"time": 1, "step": -1}, ValueError, "step must be a finite number > 0, got -1"),
        (BASE, {"time": 1e9, "step": 0.1}, ValueError, "Config: steps must be an integer >= 0"),
        (NOISY, {"time": 1}, ValueError, "config must be without noise, dropout and sampled inp"),
        (SAMPLED, {"time": 1}, ValueError, "config must be without noise, dropout and sampled"),
        (
            BASE.replace(dropout=0.1),
            {"time": 1},
            ValueError,
            "sampled inputs, got Config(n_features=6, n_hidden=10, l1=0.001, dropout=0.1, steps=4)",
        ),
    ],
    ids=str,
)
def test_flows_that_do_not_exist(config, arguments, kind, message):
    check(kind, message, fp.gradient_flow, config, **arguments)


@pytest.mark.parametrize(
    ("values", "kind", "message"),
    [
        ({"n_hidden": 5}, TypeError, "grid: n_hidden must be a list of values, got 5"),
        ({"optimizer": "adam"}, TypeError, "grid: optimizer must be a list of values, got 'adam'"),
        ({"n_hidden": []}, ValueError, "grid: n_hidden must hold at least one value, got none"),
        ({"n_hidden": [5, 0]}, ValueError, "Config: n_hidden must be an integer >= 1"),
        (
            {"n_hidden": [5, 6, 5]},
            ValueError,
            "grid: n_hidden=5 is equal in effect to Config(n_fea",
        ),
        (
            {"weight_decay": [None, 0.01]},
            ValueError,
            "grid: weight_decay=0.01 is equal in effect to Config(n_features=6, n_hidden=10, "
            "l1=0.001, steps=4); leave one of them out",
        ),
    ],
    ids=str,
)
def test_grids(values, kind, message):
    check(kind, message, fp.grid, BASE, **values)


@pytest.mark.parametrize(
    ("function", "kind", "message"),
    [
        (
            lambda: fp.Independent(0, 4),
            ValueError,
            "Independent: probability must be a finite number >= 2.3283064365386963e-10 and "
            "<= 1, got 0",
        ),
        (lambda: fp.Independent(1.5, 4), ValueError, "Independent: probability must be"),
        (lambda: fp.Independent("p", 4), TypeError, "Independent: probability must be"),
        (
            lambda: fp.Independent(0.5, 0),
            ValueError,
            "Independent: batch_size must be an integer >= 1, got 0",
        ),
        (lambda: fp.Independent(0.5, 4.5), TypeError, "Independent: batch_size must be an integer"),
        (
            lambda: fp.Independent(0.5, 4, "ones"),
            ValueError,
            "Independent: magnitude must be one of 'one', 'uniform', "
            "got 'ones'; did you mean 'one'?",
        ),
        (
            lambda: fp.CorrelatedBlocks(0, 1, 4),
            ValueError,
            "CorrelatedBlocks: blocks must be an integer >= 1, got 0",
        ),
        (
            lambda: fp.CorrelatedBlocks(2, 0, 4),
            ValueError,
            "CorrelatedBlocks: active must be an integer >= 1, got 0",
        ),
        (
            lambda: fp.CorrelatedBlocks(2, 1, -4),
            ValueError,
            "CorrelatedBlocks: batch_size must be an integer >= 1, got -4",
        ),
    ],
)
def test_inputs(function, kind, message):
    check(kind, message, function)


CSR = ([0, 1, 2], [0, 2], [1.0, 2.0])


@pytest.mark.parametrize(
    ("arrays", "n", "kind", "message"),
    [
        (CSR, 2, ValueError, "FixedBatch: indices must be >= 0 and < 2, got 2"),
        (
            (CSR[0], [0, -1], CSR[2]),
            3,
            ValueError,
            "FixedBatch: indices must be >= 0 and < 3, got -1",
        ),
        (
            (CSR[0], [0.0, 1.0], CSR[2]),
            3,
            TypeError,
            "FixedBatch: indices must be a 1-d array of int",
        ),
        (
            ([0, 1], *CSR[1:]),
            3,
            ValueError,
            "FixedBatch: indptr must ascend from 0 to the number of",
        ),
        (([0, 3, 2], *CSR[1:]), 3, ValueError, "entries 2, got [0, 3, 2]"),
        (([1, 1, 2], *CSR[1:]), 3, ValueError, "FixedBatch: indptr must ascend"),
        (([0], [], []), 3, ValueError, "FixedBatch must have at least one row, got none"),
        (
            (CSR[0], [0], CSR[2]),
            3,
            ValueError,
            "indices and values must be of one length, got 1 and 2",
        ),
        (
            (*CSR[:2], [1.0, np.nan]),
            3,
            ValueError,
            "FixedBatch: values must hold finite numbers only",
        ),
        (
            (*CSR[:2], [1.0, 1j]),
            3,
            TypeError,
            "FixedBatch: values must be an array of real numbers",
        ),
        (([0, 2], [1, 1], [1e308, 1e308]), 3, ValueError, "add up to an infinite value"),
        (CSR, 0, ValueError, "FixedBatch: n_features must be an integer >= 1"),
        (
            ([[0], [1, 2]], *CSR[1:]),
            3,
            TypeError,
            "FixedBatch: indptr cannot be read as an array: ",
        ),
        (
            (None, *CSR[1:]),
            3,
            TypeError,
            "FixedBatch: indptr must be a 1-d array of integers, got N",
        ),
        (
            (CSR[0], np.array([0, 2**63], np.uint64), CSR[2]),
            3,
            ValueError,
            "FixedBatch: indices must be integers < 2**63, got 9223372036854775808",
        ),
    ],
    ids=str,
)
def test_sparse_batches(arrays, n, kind, message):
    check(kind, message, fp.FixedBatch.from_csr, *arrays, n_features=n)


def broken(kind, change):
    """A sparse 4 x 4 unit matrix after a change that scipy does not notice."""
    matrix = getattr(sparse, kind)(np.eye(4))
    change(matrix)
    return matrix


def setting(name, index, value):
    """Changes one entry of an array of the matrix."""
    return lambda matrix: getattr(matrix, name).__setitem__(index, value)


def replacing(name, value):
    """Replaces an array of the matrix."""
    return lambda matrix: setattr(matrix, name, np.array(value))


BROKEN = [
    ("csr_array", setting("indices", 1, 7), ": indices must be >= 0 and < 4, got 7"),
    ("csr_matrix", setting("indices", 1, -1), ": indices must be >= 0 and < 4, got -1"),
    ("csr_array", setting("indptr", 4, 99), ": indptr must ascend from 0 to the number of entries"),
    ("csr_array", replacing("indptr", [0, 4]), ": indptr must have length 5, got 2"),
    ("csc_matrix", setting("indices", 1, 77), ": indices must be >= 0 and < 4, got 77"),
    ("csc_array", setting("indptr", 1, -1), ": indptr must ascend from 0 to the number of entries"),
    ("csc_array", setting("indptr", 2, 3000), "to the number of entries 4, got [0, 1, 3000, 3, 4]"),
    ("csc_array", replacing("indices", [0, 1]), "to the number of entries 2, got [0, 1, 2, 3, 4]"),
    ("bsr_array", setting("indices", 0, 9), ": indices must be >= 0 and < "),
    ("bsr_matrix", replacing("data", np.ones((4, 3, 1))), "must consist of whole blocks, got bl"),
    ("coo_matrix", setting("row", 0, -1), ": row must be >= 0 and < 4, got -1"),
    ("coo_array", setting("col", 2, 4), ": col must be >= 0 and < 4, got 4"),
    ("coo_array", replacing("data", [1.0]), ": row and data must be of one length, got 4 and 1"),
    ("dia_array", replacing("offsets", [0, 1]), ": data must have one row for each of the 2 offs"),
    ("dia_matrix", replacing("offsets", [0.5]), ": offsets must be a 1-d array of integers"),
    ("lil_array", setting("rows", 0, [5]), ": rows must be >= 0 and < 4, got 5"),
    ("lil_matrix", setting("rows", 0, [0, 1, 2]), ": rows and data must hold lists of the same le"),
    ("dok_array", lambda m: m._dict.update({(9, 0): 1.0}), ": keys must lie within the shape (4, "),
]


@pytest.mark.parametrize(("kind", "change", "message"), BROKEN)
def test_a_sparse_matrix_whose_arrays_contradict_each_other(kind, change, message):
    kinds = (ValueError, TypeError)
    with pytest.raises(kinds, match=re.escape(message)) as caught:
        fp.FixedBatch(broken(kind, change))
    assert str(caught.value).startswith("FixedBatch: matrix")
    config = fp.Config(n_features=4, n_hidden=3)
    for function in (fp.forward, fp.loss_and_gradient):
        with pytest.raises(kinds, match=re.escape(message)) as caught:
            function(np.zeros((4, 3)), config, batch=broken(kind, change))
        assert str(caught.value).startswith(f"{function.__name__}: batch")


def test_a_sparse_array_with_one_axis():
    message = "FixedBatch: matrix must be a matrix with 2 axes, got a coo_array of shape (2,)"
    check(ValueError, message, fp.FixedBatch, sparse.coo_array(np.array([1.0, 2.0])))


@pytest.mark.parametrize(
    ("matrix", "kind", "message"),
    [
        (
            np.zeros(3),
            ValueError,
            "matrix must be an array with 2 axes, got an array of shape (3,)",
        ),
        (np.zeros((0, 3)), ValueError, "FixedBatch: matrix must have at least one row, got none"),
        (np.zeros((3, 0)), ValueError, "FixedBatch: matrix: n_features must be an integer >= 1"),
        ([[1, 2], [3]], TypeError, "FixedBatch: matrix cannot be read as an array"),
        (fp.Basis(), TypeError, "matrix must be an array of real numbers, got Basis()"),
        ({"a": 1}, TypeError, "matrix must be an array of real numbers, got {'a': 1}"),
        (None, TypeError, "matrix must be an array of real numbers, got None"),
        ([["a"]], TypeError, "FixedBatch: matrix must be an array of real numbers"),
        ([[None]], TypeError, "FixedBatch: matrix must be an array of real numbers"),
        ([[1j]], TypeError, "FixedBatch: matrix must be an array of real numbers"),
        (
            [[1, np.inf]],
            ValueError,
            "matrix must hold finite numbers only, got inf at index (0, 1)",
        ),
        (np.ma.masked_array([[1.0]]), TypeError, "must be a plain array, got a masked one"),
        (sparse.csr_array([[np.nan]]), ValueError, "matrix: values must hold finite numbers only"),
    ],
    ids=str,
)
def test_dense_batches(matrix, kind, message):
    check(kind, message, fp.FixedBatch, matrix)


# Weights are checked alike wherever they are taken.
WEIGHTS = [
    (
        BASE,
        W.T,
        ValueError,
        "got (10, 6); is it transposed? Its last two axes should have lengths (6, 10)",
    ),
    (BASE, np.stack([W.T] * 2), ValueError, "got (2, 10, 6); is it transposed?"),
    (BASE, W[:, :-1], ValueError, "must have shape (6, 10) or ("),
    (BASE, W[0], ValueError, "must be an array with 2 or 3 axes, got an array of shape (10,)"),
    (BASE, NAN, ValueError, "must hold finite numbers only, got nan at index (0, 0)"),
    (
        BASE,
        np.full((N, M), 1e49),
        ValueError,
        "got 1e+49 at index (0, 0), which overflows in float32",
    ),
    (
        BASE,
        W * 1j,
        TypeError,
        "must be an array of real numbers, got an array of shape (6, 10) and",
    ),
    (BASE, W.astype(object), TypeError, "must be an array of real numbers"),
    (BASE, W.astype(str), TypeError, "must be an array of real numbers"),
    (BASE, np.ma.masked_array(W), TypeError, "must be a plain array, got a masked one"),
    (BASE, [[1, 2], [3]], TypeError, "cannot be read as an array"),
    (BASE, "W", TypeError, "must be an array of real numbers, got 'W'"),
    (BASE, {}, TypeError, "must be an array of real numbers, got {}"),
    (
        BASE,
        sparse.csr_array(W),
        TypeError,
        "must be a dense array, got a csr_array of shape (6, 10); use its toarray()",
    ),
    (BASE, (W, W), ValueError, "decoder must be None for a tied model, got one"),
    (
        BASE,
        fp.Parameters(W, None, W[:, 0]),
        ValueError,
        "bias must be None for a model without one",
    ),
    (
        UNTIED,
        W,
        TypeError,
        "must be Parameters(encoder, decoder, bias) for a model with a decoder, got",
    ),
    (
        UNTIED,
        fp.Parameters(W),
        ValueError,
        "decoder must be an array for an untied model, got None",
    ),
    (UNTIED, (W, W.T), ValueError, ": decoder must have shape (6, 10) or ("),
    (UNTIED, (W, NAN), ValueError, ": decoder must hold finite numbers only"),
    (
        UNTIED,
        (W, W, None, None),
        ValueError,
        "or a pair (encoder, decoder), got a tuple of length 4",
    ),
    (UNTIED, (None, W), TypeError, "encoder must be an array, got None"),
    (
        BIASED,
        W,
        TypeError,
        "for a model with a bias, got an array of shape (6, 10) and dtype float64",
    ),
    (BIASED, fp.Parameters(W, None, np.zeros(5)), ValueError, ": bias must have shape (6,) or ("),
]


@pytest.mark.parametrize(("config", "weights", "kind", "message"), WEIGHTS)
@pytest.mark.parametrize("function", [fp.forward, fp.loss_and_gradient], ids=lambda f: f.__name__)
def test_weights(function, config, weights, kind, message):
    check(kind, message, function, weights, config)
    check(kind, f"{function.__name__}: weights", function, weights, config)


@pytest.mark.parametrize(("config", "weights", "kind", "message"), WEIGHTS)
def test_initial_weights(config, weights, kind, message):
    check(kind, message, fp.train, config, 2, initial_weights=weights)
    check(kind, "train: initial_weights", fp.train, config, 2, initial_weights=weights)


def test_initial_weights_of_another_number_of_seeds():
    message = "train: initial_weights must have shape (6, 10) or (2, 6, 10), got (3, 6, 10)"
    check(ValueError, message, fp.train, BASE, 2, initial_weights=np.stack([W] * 3))


@pytest.mark.parametrize("function", [fp.forward, fp.loss_and_gradient], ids=lambda f: f.__name__)
@pytest.mark.parametrize(
    ("config", "arguments", "kind", "message"),
    [
        (SAMPLED, {}, ValueError, "batch must be given for a config with inputs=Independent(prob"),
        (
            BASE,
            {"batch": np.eye(5)},
            ValueError,
            "batch must have n_features=6 columns, got shape (5, 5)",
        ),
        (BASE, {"batch": BATCH[0]}, ValueError, "batch must be an array with 2 axes"),
        (BASE, {"batch": BATCH * np.nan}, ValueError, "batch must hold finite numbers only"),
        (BASE, {"batch": "basis"}, TypeError, "batch must be an array of real numbers"),
        (
            BASE,
            {"batch": fp.Basis()},
            TypeError,
            "batch must be an array of real numbers, got Basis()",
        ),
        (
            BASE,
            {"batch": BATCH * 1e39},
            ValueError,
            "batch must hold entries that are finite in float32, got 1e+39",
        ),
        (BASE, {"batch": BATCH[:0]}, ValueError, "batch must have at least one row, got none"),
        (
            BASE,
            {"noise": np.zeros(N)},
            ValueError,
            "noise must have shape (10,) or (1, 10), got (6,)",
        ),
        (
            NOISY,
            {"noise": np.zeros((N, M))},
            ValueError,
            "noise must have shape (10,) or (1, 10), got",
        ),
        (NOISY, {"noise": [np.nan] * M}, ValueError, "noise must hold finite numbers only"),
        (OWN_NOISE, {"noise": np.zeros(M)}, ValueError, "noise must be an array with 2 or 3 axes"),
        (
            OWN_NOISE,
            {"noise": np.zeros((N, M)), "batch": BATCH},
            ValueError,
            "noise must have shape (3, 10) or (1, 3, 10), got (6, 10)",
        ),
        (
            OWN_NOISE,
            {"noise": np.zeros((M, N))},
            ValueError,
            "noise must have shape (6, 10) or (1, 6, 10), got (10, 6); is it transposed? "
            "Its last two axes should have lengths (6, 10)",
        ),
    ],
)
def test_arguments_of_the_objective(function, config, arguments, kind, message):
    check(kind, f"{function.__name__}: {message}", function, W, config, **arguments)


@pytest.mark.parametrize("function", [fp.forward, fp.loss_and_gradient], ids=lambda f: f.__name__)
def test_an_objective_without_config(function):
    check(TypeError, f"{function.__name__}: config must be a Config, got 'c'", function, W, "c")


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ({"config": {}}, TypeError, "config must be a Config, got {}"),
        (
            {"seeds": -1},
            ValueError,
            "seeds must be an integer >= 0 and <= 18446744073709551616, got -1",
        ),
        ({"seeds": True}, TypeError, "seeds must be an integer"),
        ({"seeds": 3.0}, TypeError, "seeds must be a count or a list of integers, got 3.0"),
        ({"seeds": None}, TypeError, "seeds must be a count or a list of integers, got None"),
        ({"seeds": "12"}, TypeError, "seeds must be a list of integers, got '12'"),
        ({"seeds": {1, 2}}, TypeError, "seeds must be a list of integers, got {1, 2}"),
        ({"seeds": iter([1])}, TypeError, "seeds must be a count or a list of integers, got <"),
        (
            {"seeds": [0, 1.0]},
            TypeError,
            "seeds[1] must be an integer >= 0 and < 18446744073709551616",
        ),
        ({"seeds": [0, 2**64]}, ValueError, "seeds[1] must be an integer"),
        ({"seeds": [-1, 2**64 - 1]}, ValueError, "seeds[0] must be an integer"),
        ({"seeds": [[1], [2]]}, TypeError, "seeds[0] must be an integer"),
        ({"seeds": np.array([-5])}, ValueError, "got -5"),
        (
            {"seeds": np.zeros((2, 2), int)},
            TypeError,
            "seeds must be a count or a list of integers",
        ),
        (
            {"seeds": np.zeros(2)},
            TypeError,
            "seeds must be a 1-d array of integers, got an array of",
        ),
        ({"num_threads": 0}, ValueError, "num_threads must be an integer >= 1 and <= 1024, got 0"),
        ({"num_threads": 10**6}, ValueError, "num_threads must be an integer >= 1 and <= 1024"),
        (
            {"num_threads": 1.5},
            TypeError,
            "num_threads must be an integer >= 1 and <= 1024, got 1.5",
        ),
        ({"return_weights": 1}, TypeError, "return_weights must be True or False, got 1"),
        ({"progress": 3}, TypeError, "progress must be callable or None, got 3"),
        (
            {"kernel": "densest"},
            ValueError,
            "kernel must be one of 'auto', 'generic', 'dense', 'sparse', 'lanes', got 'densest'; "
            "did you mean 'dense'?",
        ),
        ({"kernel": None}, TypeError, "kernel must be one of 'auto'"),
        ({"kernel": "sparse"}, ValueError, "kernel 'sparse' cannot serve this config: "),
        (
            {"record": "loss"},
            TypeError,
            "record must be a Record or a pair (metrics, steps), got 'loss'",
        ),
        ({"record": ("loss",)}, TypeError, "record must be a Record or a pair (metrics, steps)"),
        (
            {"record": ("loss", [0, 5])},
            ValueError,
            "record must ask for steps <= config.steps = 4, got 5",
        ),
        (
            {"noise_sequence": np.zeros((4, N))},
            ValueError,
            "noise_sequence must have shape (4, 10) or (2, 4, 10), got (4, 6)",
        ),
        ({"noise_sequence": np.zeros((3, 4, M))}, ValueError, "noise_sequence must have shape"),
        (
            {"noise_sequence": np.zeros((M, 4))},
            ValueError,
            "got (10, 4); is it transposed? Its last two axes should have lengths (4, 10)",
        ),
        (
            {"noise_sequence": np.full((4, M), np.inf)},
            ValueError,
            "noise_sequence must hold finite",
        ),
        (
            {"config": OWN_NOISE, "noise_sequence": np.zeros((2, 4, M))},
            ValueError,
            "noise_sequence must have shape (4, 6, 10) or (2, 4, 6, 10), got (2, 4, 10)",
        ),
        (
            {"config": CERTIFIED, "noise_sequence": np.zeros((4, M))},
            ValueError,
            "noise_sequence must be None with stop='certified', got noise",
        ),
    ],
    ids=str,
)
def test_arguments_of_train(arguments, kind, message):
    check(kind, message, fp.train, **{"config": BASE, "seeds": 2, **arguments})
    check(kind, "train: ", fp.train, **{"config": BASE, "seeds": 2, **arguments})


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        (
            ("los", [0]),
            ValueError,
            "Record: metrics must be one of 'objective', 'loss', 'residual', 'polysemantic', "
            "'benign', 'malign', 'signed_slots', 'signed_slots_benign', 'dead', "
            "'unrepresented', 'nonzeros', 'l1_norm', 'fourth_norm', got 'los'; "
            "did you mean 'loss'?",
        ),
        (([3], [0]), TypeError, "Record: metrics must be one of"),
        ((3, [0]), TypeError, "Record: metrics must be a list of names, got 3"),
        (([], [0]), ValueError, "Record: metrics must be one or more different names, got ()"),
        ((["loss", "loss"], [0]), ValueError, "different names, got ('loss', 'loss')"),
        (("loss", []), ValueError, "Record: steps must hold at least one step, got none"),
        (("loss", 5), TypeError, "Record: steps must be a list of integers, got 5"),
        (("loss", [1, -1]), ValueError, "Record: steps[1] must be an integer >= 0, got -1"),
        (("loss", [0.5]), TypeError, "Record: steps[0] must be an integer >= 0, got 0.5"),
        (
            ("loss", np.logspace(0, 1, 3)),
            TypeError,
            "Record: steps must be a 1-d array of integers",
        ),
    ],
    ids=str,
)
def test_records(arguments, kind, message):
    check(kind, message, fp.Record, *arguments)


@pytest.mark.parametrize(
    ("function", "kind", "message"),
    [
        (
            lambda: metrics.count_dead(W[0]),
            ValueError,
            "count_dead: weights must be an array with 2 or",
        ),
        (
            lambda: metrics.fourth_norm(NAN),
            ValueError,
            "fourth_norm: weights must hold finite numbers",
        ),
        (
            lambda: metrics.count_polysemantic(NAN),
            ValueError,
            "weights must hold finite numbers only",
        ),
        (
            lambda: metrics.signed_slots("W"),
            TypeError,
            "signed_slots: weights must be an array of real",
        ),
        (
            lambda: metrics.count_pairs((W, W)),
            TypeError,
            "count_pairs: weights must be an array or Parameters(...), got (",
        ),
        (
            lambda: metrics.interference(W[:, :0]),
            ValueError,
            "interference: weights must have features and neurons, got shape (6, 0)",
        ),
        (
            lambda: metrics.count_polysemantic(W, low=0),
            ValueError,
            "count_polysemantic: low must be a finite number > 0, got 0",
        ),
        (
            lambda: metrics.count_polysemantic(W, low=1, high=0.5),
            ValueError,
            "count_polysemantic: high must be a number >= 1.0, got 0.5",
        ),
        (
            lambda: metrics.count_polysemantic(W, high=np.nan),
            ValueError,
            "count_polysemantic: high must be a number >= 0.8, got nan",
        ),
        (
            lambda: metrics.count_dead(W, low="a"),
            TypeError,
            "count_dead: low must be a finite number",
        ),
        (
            lambda: metrics.hoyer_sparsity(W[:, :1]),
            ValueError,
            "hoyer_sparsity: weights must have at least 2 neurons, got 1",
        ),
        (
            lambda: metrics.effective_weights(W, W.T),
            ValueError,
            "effective_weights: decoder must have the encoder's shape (6, 10), got (10, 6)",
        ),
        (
            lambda: metrics.effective_weights(W, None),
            TypeError,
            "effective_weights: decoder must be an array of real numbers",
        ),
    ],
)
def test_arguments_of_metrics(function, kind, message):
    check(kind, message, function)


class Untouched:
    """Stands for weights that must not even be looked at before the sizes are known to fit."""

    def __array__(self, dtype=None, copy=None):
        raise AssertionError("the weights were read")


@pytest.fixture
def small_machine(monkeypatch):
    monkeypatch.setattr(_checks, "available_memory", lambda: 2**20)


@pytest.mark.usefixtures("small_machine")
@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        ({"seeds": 10**5}, "for the results"),
        ({"seeds": 2**64}, "for the results"),
        ({"seeds": range(10**15)}, "for the results"),
        ({"seeds": 10**4, "return_weights": True}, "2.289 MiB for the returned weights"),
        ({"seeds": 10**4, "initial_weights": Untouched()}, "2.289 MiB for the initial weights"),
        ({"seeds": 10**3, "record": (["loss", "dead"], range(5))}, None),
        ({"seeds": 10**4, "record": (["loss", "dead"], range(5))}, "781.2 KiB for the history"),
        ({"seeds": 1, "config": BASE.replace(n_hidden=10**5)}, "for 1 models in training"),
    ],
    ids=str,
)
def test_what_does_not_fit_into_memory(arguments, part):
    arguments = {"config": BASE, **arguments}
    if part is None:
        assert len(fp.train(**arguments)) == arguments["seeds"]
        return
    with pytest.raises(MemoryError, match=part) as caught:
        fp.train(**arguments)
    assert re.search(r"train needs about [\d.e+]+ .iB of memory", str(caught.value))
    assert "but 1 MiB are available; use fewer seeds in one call" in str(caught.value)


@pytest.mark.parametrize(
    ("function", "count", "rows", "parts"),
    [
        (
            fp.forward,
            1,
            10**5,
            "22.89 MiB of memory (20.6 MiB for the pass, 2.289 MiB for the results)",
        ),
        (fp.forward, 2, 100, None),
        (fp.forward, 2000, 100, "4.598 MiB of memory (21.09 KiB for the pass, 4.578 MiB for the"),
        (fp.loss_and_gradient, 2000, 100, None),
        (
            fp.loss_and_gradient,
            5000,
            100,
            "1.165 MiB of memory (21.09 KiB for the pass, 1.144 MiB for",
        ),
    ],
)
def test_passes_that_do_not_fit_into_memory(monkeypatch, function, count, rows, parts):
    weights, batch = np.zeros((count, N, M), np.float32), fp.FixedBatch(np.ones((rows, N)))
    monkeypatch.setattr(_checks, "available_memory", lambda: 2**20)
    if parts is None:
        function(weights, BASE, batch=batch)
        return
    message = f"{function.__name__} needs about {parts}"
    check(MemoryError, message, function, weights, BASE, batch=batch)


def spread(*shape):
    """A single number shown as an array of this shape; a copy of it would take its full size."""
    return np.broadcast_to(np.float32(0), shape)


@pytest.mark.usefixtures("small_machine")
@pytest.mark.parametrize(
    ("function", "message"),
    [
        (
            lambda: fp.train(BASE.replace(steps=10**9), 1, noise_sequence=spread(10**9, M)),
            "train needs about 37.25 GiB of memory",
        ),
        (
            lambda: fp.train(OWN_NOISE.replace(steps=10**8), 1, noise_sequence=spread(10**8, N, M)),
            "22.35 GiB for the noise",
        ),
        (
            lambda: fp.loss_and_gradient(spread(10**8, N, M), BASE),
            "loss_and_gradient: weights needs about 22.35 GiB of memory "
            "(22.35 GiB for a contiguous copy in float32)",
        ),
        (lambda: fp.forward(spread(10**8, N, M), BASE), "forward: weights needs about 22.35 GiB"),
        (
            lambda: fp.forward(np.zeros((30000, N, M), np.float32), NOISY, noise=spread(M)),
            "forward: noise needs about 1.144 MiB of memory (1.144 MiB for 30000 copies)",
        ),
        (
            lambda: fp.forward(W, BASE, batch=spread(10**9, N)),
            "forward: batch needs about 44.7 GiB of memory",
        ),
        (
            lambda: fp.FixedBatch(spread(10**7, 10**4)),
            "FixedBatch: matrix needs about 745.1 GiB of memory",
        ),
        (lambda: fp.FixedBatch(np.eye(200)), None),
        (
            lambda: fp.FixedBatch(np.ones((200, 200))),
            "FixedBatch: matrix needs about 3.059 MiB of memory (3.052 MiB for sorting 40000 entr",
        ),
        (
            lambda: fp.FixedBatch(sparse.csc_array(np.ones((200, 200)))),
            "FixedBatch: matrix needs about 3.059 MiB of memory",
        ),
        (
            lambda: fp.FixedBatch.from_csr(np.zeros(10**5, np.int64), [], [], 4),
            "FixedBatch needs about 3.815 MiB of memory (3.815 MiB for 100000 rows)",
        ),
        (
            lambda: fp.count_polysemantic(spread(10**8, N, M)),
            "count_polysemantic: weights needs about 22.35 GiB of memory",
        ),
        (
            lambda: fp.count_polysemantic(fp.Parameters(spread(10**8, N, M), spread(10**8, N, M))),
            "effective_weights: encoder needs about 44.7 GiB of memory",
        ),
    ],
)
def test_copies_that_do_not_fit_into_memory(function, message):
    if message is None:
        function()
        return
    with pytest.raises(MemoryError, match=re.escape(message)):
        function()


def test_noise_that_is_the_same_for_all_seeds_is_not_copied_for_each(monkeypatch):
    one = np.random.default_rng(0).normal(size=(4, M)).astype(np.float32)
    expected = fp.train(NOISY, 2, noise_sequence=one, return_weights=True)
    every = np.broadcast_to(one, (5000, 4, M))
    monkeypatch.setattr(_checks, "available_memory", lambda: 2**20)
    result = fp.train(NOISY, 5000, noise_sequence=every)
    np.testing.assert_array_equal(result.loss[:2], expected.loss)
    message = "781.2 KiB for the noise)"
    check(MemoryError, message, fp.train, NOISY, 5000, noise_sequence=every.copy("F"))


def write(path, **files):
    path.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (path / name.replace("__", ".")).write_text(text)


def test_memory_that_control_groups_leave(tmp_path):
    groups, mounted = tmp_path / "cgroup", tmp_path / "mounted"
    groups.write_text("0::/job/step\n")
    write(mounted / "job" / "step", memory__max="max\n", memory__current="10\n")
    assert _checks._group_memory(groups, mounted) is None
    stat = "anon 250\ninactive_file 150\n"
    write(mounted / "job", memory__max="1000\n", memory__current="400\n", memory__stat=stat)
    assert _checks._group_memory(groups, mounted) == 750
    write(mounted / "job" / "step", memory__max="500\n")
    assert _checks._group_memory(groups, mounted) == 490

    groups.write_text("7:cpu,cpuacct:/\n4:memory:/somewhere/else\n0::/\n")
    write(
        mounted / "memory",
        memory__limit_in_bytes="2000\n",
        memory__usage_in_bytes="1900\n",
        memory__stat="inactive_file 1\ntotal_inactive_file 300\n",
    )
    assert _checks._group_memory(groups, mounted) == 400
    assert _checks._group_memory(tmp_path / "none", mounted) is None


def test_memory_that_the_process_may_have():
    script = (
        "import resource, fastpolysem as fp; from fastpolysem import _checks;"
        "unlimited = _checks.available_memory();"
        "used = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize();"
        "resource.setrlimit(resource.RLIMIT_AS, (used + 2**26, resource.RLIM_INFINITY));"
        "assert 2**25 < _checks.available_memory() <= 2**26 < unlimited;"
        "fp.train(fp.Config(n_features=4, n_hidden=4, steps=3), 10**6)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert "MemoryError: train needs about" in done.stderr, done.stderr


def test_memory_that_is_not_known_is_not_checked(monkeypatch):
    monkeypatch.setattr(_checks, "available_memory", lambda: None)
    assert len(fp.train(BASE, 3)) == 3


def test_available_memory_is_plausible():
    available = _checks.available_memory()
    assert available is None or 2**24 < available < 2**50


def test_arrays_of_other_types_and_layouts_are_taken():
    stack = np.random.default_rng(0).integers(-1, 2, (2, N, M))
    expected = fp.train(BASE, 2, initial_weights=stack.astype(np.float32), return_weights=True)
    for given in (
        stack,
        stack.astype(np.float64),
        stack.astype(np.float16),
        stack.astype(np.int8),
        stack.astype(np.float64, order="F"),
        np.repeat(stack, 2, axis=2)[..., ::2],
        stack.tolist(),
    ):
        result = fp.train(BASE, 2, initial_weights=given, return_weights=True)
        assert result.weights.tobytes() == expected.weights.tobytes()


def test_one_start_for_all_seeds():
    start = np.random.default_rng(0).normal(size=(N, M))
    each = fp.train(NOISY, 3, initial_weights=np.stack([start] * 3), return_weights=True)
    for given in (start, start[np.newaxis]):
        result = fp.train(NOISY, 3, initial_weights=given, return_weights=True)
        assert result.weights.tobytes() == each.weights.tobytes()
    assert len({one.tobytes() for one in each.weights}) == 3
