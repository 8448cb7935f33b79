"""Settings that are refused, by messages that name the field, the value and what is allowed.

One long table of settings and messages.
"""

from __future__ import annotations

import numpy as np
import pytest

import fastpolysem as fp
from helpers.refusal_checks import (
    BASE,
    CERTIFIED,
    NOISY,
    SAMPLED,
    SMOOTH,
    M,
    N,
    check,
)

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
    (
        {"optimizer": "sgd", "momentum": 1 - 1e-12},
        ValueError,
        "momentum must not round to 1 in float32, got 0.999999999999",
    ),
    (
        {"betas": (0.9, 1 - 1e-12)},
        ValueError,
        "betas must not round to 1 in float32, got 0.999999999999",
    ),
    ({"dropout": 1e-12}, ValueError, "dropout must be 0 or between 2**-32 and 1 - 2**-32, got 1e-"),
    ({"dropout": 1 - 1e-12}, ValueError, "dropout must be 0 or between 2**-32 and 1 - 2**-32, got"),
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
        {"noise": "student_t", "noise_std": 1, "noise_shape": 1e300},
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
        {"learning_rate_schedule": [(0, 2), (2, 2)]},
        ValueError,
        "learning_rate_schedule must change learning_rate, got [(0, 2), (2, 2)]; a constant factor "
        "belongs in learning_rate",
    ),
    (
        {"learning_rate_schedule": [(0, 0), (8, 1)], "steps": 7},
        ValueError,
        "learning_rate_schedule[1]: step must be an integer >= 0 and <= 7, got 8",
    ),
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
    ({"second_moment": "scalars"}, ValueError, "got 'scalars'; did you mean 'scalar'?"),
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
    (
        {"optimizer": "sgd", "second_moment": "scalar"},
        "second_moment must be left at 'coordinate' with optimizer='sgd', got 'scalar'",
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
        {"noise": "three_point", "noise_std": 1, "noise_shape": 1e-10},
        "noise_shape with noise='three_point' must be a finite number >= 4.656612873077393e-10 "
        "and <= 1, got 1e-10",
    ),
    (
        {"noise": "three_point", "noise_std": 1, "noise_shape": 1.5},
        "noise_shape with noise='three_point' must be a finite number >= 4.656612873077393e-10 "
        "and <= 1, got 1.5",
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


@pytest.mark.parametrize(("noise", "least"), [("student_t", "> "), ("three_point", ">= 4.6566")])
def test_a_noise_shape_that_is_missing(noise, least):
    check(
        TypeError,
        f"Config: noise_shape with noise='{noise}' must be a finite number {least}",
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
        (BASE, {"time": 1e9, "step": 0.1}, ValueError, "time / step must be < 4294967296 steps"),
        (BASE, {"time": 1e300, "step": 1e-300}, ValueError, "got 1e+300 / 1e-300"),
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
            "Independent: magnitude must be one of 'one', 'uniform', 'sign', 'signed_uniform', "
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
