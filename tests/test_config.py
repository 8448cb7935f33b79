"""Config: its defaults, what makes two settings equal, and its forms on disk."""

from __future__ import annotations

import dataclasses
import hashlib
import json

import numpy as np
import pytest

import fastpolysem as fp
from fastpolysem.families.autoencoder.config import core_settings
from helpers.config_checks import assert_round_trips

BASE = fp.Config(n_features=12, n_hidden=20, l1=1e-3)

# One change for each field, each to something that affects results.
CHANGES = [
    {"n_features": 13},
    {"n_hidden": 21},
    {"l1": 1e-2},
    {"l1_schedule": [(0, 0), (100, 1)]},
    {"l1_schedule": [(0, 0), (101, 1)]},
    {"l1_schedule": [(0, 0), (100, 2)]},
    {"l1_schedule": [(99, 1), (100, 0), (199, 0), (200, 1)]},
    {"l1_target": "activations"},
    {"l1_update": "orthant"},
    {"repulsion": 0.1},
    {"dropout": 0.1},
    {"dropout": 0.2},
    {"dropout": 0.1, "dropout_sharing": "step"},
    {"noise": "rademacher", "noise_std": 0.1},
    {"noise": "gaussian", "noise_std": 0.1},
    {"noise": "gaussian", "noise_std": 0.2},
    {"noise": "gaussian", "noise_std": 0.1, "noise_sharing": "input"},
    {"noise": "student_t", "noise_std": 0.1, "noise_shape": 3.0},
    {"noise": "student_t", "noise_std": 0.1, "noise_shape": 4.0},
    {"noise": "three_point", "noise_std": 0.1, "noise_shape": 0.5},
    {"optimizer": "adam"},
    {"optimizer": "sgd"},
    {"optimizer": "sgd", "momentum": 0.9},
    {"learning_rate": 1e-2},
    {"learning_rate_schedule": "cosine"},
    {"learning_rate_schedule": [(0, 0), (100, 1)]},
    {"learning_rate_schedule": [(0, 0), (100, 2)]},
    {"weight_decay": 0.1},
    {"weight_decay": 0.0},
    {"betas": (0.8, 0.999)},
    {"betas": (0.9, 0.99)},
    {"epsilon": 1e-6},
    {"second_moment": "scalar"},
    {"steps": 100},
    {"l1_update": "orthant", "stop": "certified"},
    {"init": "xavier"},
    {"init_scale": 0.5},
    {"tied": False},
    {"bias": True},
    {"activation": "linear"},
    {"inputs": fp.Independent(0.25, 8)},
    {"inputs": fp.Independent(0.5, 8)},
    {"inputs": fp.Independent(0.25, 9)},
    {"inputs": fp.Independent(0.25, 8, magnitude="uniform")},
    {"inputs": fp.Independent([0.25] * 11 + [0.125], 8)},
    {"inputs": fp.Independent([0.125] + [0.25] * 11, 8)},
    {"inputs": fp.Independent(0.25, 8, magnitude=["sign"] * 11 + ["signed_uniform"])},
    {"inputs": fp.CorrelatedBlocks(blocks=2, active=3, batch_size=8)},
    {"inputs": fp.CorrelatedBlocks(blocks=2, active=4, batch_size=8)},
    {"inputs": fp.CorrelatedBlocks(blocks=3, active=3, batch_size=8)},
    {"inputs": fp.FixedBatch(np.eye(12))},
    {"inputs": fp.FixedBatch(2 * np.eye(12))},
    {"inputs": fp.FixedBatch(np.eye(12)[::-1])},
    {"importance": [0.5, *[1.0] * 11]},
    {"importance": [2.0] * 12},
    {"dtype": "float64"},
]


CONFIGS = [BASE, *(BASE.replace(**change) for change in CHANGES)]
IDS = [str(config) for config in CONFIGS]


def test_every_field_is_changed_above():
    assert {name for change in CHANGES for name in change} == {
        field.name for field in dataclasses.fields(fp.Config)
    }


def test_defaults():
    assert fp.Config(n_features=3, n_hidden=2).to_dict() == {
        "n_features": 3,
        "n_hidden": 2,
        "l1": 0.0,
        "l1_schedule": None,
        "l1_target": "weights",
        "l1_update": "subgradient",
        "repulsion": 0.0,
        "noise": "none",
        "noise_std": 0.0,
        "noise_shape": None,
        "noise_sharing": "step",
        "dropout": 0.0,
        "dropout_sharing": "input",
        "optimizer": "adamw",
        "learning_rate": 1e-3,
        "learning_rate_schedule": None,
        "weight_decay": None,
        "momentum": 0.0,
        "betas": [0.9, 0.999],
        "epsilon": 1e-8,
        "second_moment": "coordinate",
        "steps": 7500,
        "stop": "steps",
        "init": "normal",
        "init_scale": 1.0,
        "tied": True,
        "bias": False,
        "activation": "relu",
        "inputs": {"kind": "basis"},
        "importance": None,
        "dtype": "float32",
    }


def test_values_become_plain_python():
    config = fp.Config(
        n_features=np.int64(2),
        n_hidden=np.uint8(3),
        l1=np.float64(0.25),
        learning_rate=1,
        tied=np.True_,
        optimizer=np.str_("adam"),
        betas=np.array([0, 0.5]),
        importance=np.array([1, 2], dtype=np.int8),
    )
    types = {name: type(getattr(config, name)) for name in config.to_dict()}
    assert [types[name] for name in ("n_features", "n_hidden")] == [int, int]
    assert [types[name] for name in ("l1", "learning_rate")] == [float, float]
    assert types["tied"] is bool
    assert types["optimizer"] is str
    assert config.betas == (0.0, 0.5)
    assert config.importance == (1.0, 2.0)
    assert [type(x) for x in (*config.betas, *config.importance)] == [float] * 4


def test_frozen_and_keyword_only():
    with pytest.raises(dataclasses.FrozenInstanceError):
        BASE.l1 = 0.5
    with pytest.raises(TypeError, match="positional"):
        fp.Config(3, 2)
    with pytest.raises(TypeError, match="n_hidden"):
        fp.Config(n_features=3)


def test_equality_and_hash():
    again = fp.Config(n_features=12, n_hidden=20, l1=1e-3)
    assert again == BASE
    assert hash(again) == hash(BASE)
    assert len(set(CONFIGS)) == len(CONFIGS)
    assert {BASE: 1}[again] == 1


def test_replace_leaves_the_original_alone():
    before = BASE.to_dict()
    other = BASE.replace(l1=0.5, n_hidden=7)
    assert (other.l1, other.n_hidden, other.n_features) == (0.5, 7, 12)
    assert BASE.to_dict() == before
    assert other.replace(l1=1e-3, n_hidden=20) == BASE


def test_all_ones_importance_is_none():
    assert BASE.replace(importance=np.ones(12)).importance is None


def test_points_of_a_schedule_that_change_nothing_are_dropped():
    given = [(0, 1), (10, 1), (20, 0), (30, 0), (40, 0), (50, 2), (60, 2), (70, 2)]
    kept = ((10, 1.0), (20, 0.0), (40, 0.0), (50, 2.0))
    for points in (given, tuple(map(list, given)), np.array(given)):
        assert BASE.replace(l1_schedule=points).l1_schedule == kept
    assert [type(x) for point in kept for x in point] == [int, float] * 4
    assert BASE.replace(l1_schedule=given).to_dict()["l1_schedule"] == [list(p) for p in kept]


def digest_of(**fields) -> str:
    text = json.dumps(fields, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:20]


@pytest.mark.parametrize(
    ("change", "fields"),
    [
        ({}, {}),
        ({"weight_decay": 0.5, "betas": (0, 0.5)}, {"weight_decay": 0.5, "betas": [0.0, 0.5]}),
        (
            {"inputs": fp.Independent(0.5, 4)},
            {"inputs": {"kind": "independent", "probability": 0.5, "batch_size": 4}},
        ),
        (
            {"inputs": fp.Independent([0.5, 0.25], 4, ["one", "sign"]), "n_features": 2},
            {
                "n_features": 2,
                "inputs": {
                    "kind": "independent",
                    "probability": [0.5, 0.25],
                    "batch_size": 4,
                    "magnitude": ["one", "sign"],
                },
            },
        ),
        ({"learning_rate_schedule": "cosine"}, {"learning_rate_schedule": "cosine"}),
        (
            {"inputs": fp.FixedBatch([[0, 2.0]]), "n_features": 2},
            {
                "n_features": 2,
                "inputs": {
                    "kind": "fixed",
                    "indptr": [0, 1],
                    "indices": [1],
                    "values": [2.0],
                    "n_features": 2,
                },
            },
        ),
    ],
)
def test_digest_is_of_what_differs_from_the_defaults(change, fields):
    expected = {"n_features": 12, "n_hidden": 20, "l1": 0.001} | fields
    assert BASE.replace(**change).digest == digest_of(
        numerics_version=fp.NUMERICS_VERSION, **expected
    )


def test_the_sizes_are_always_in_the_digest():
    assert fp.Config(n_features=1, n_hidden=1).digest == digest_of(
        n_features=1, n_hidden=1, numerics_version=fp.NUMERICS_VERSION
    )


def test_every_change_of_effect_changes_the_digest():
    assert len({config.digest for config in CONFIGS}) == len(CONFIGS)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({}, {"weight_decay": 0.01}),
        ({"optimizer": "adam"}, {"optimizer": "adam", "weight_decay": 0}),
        ({"optimizer": "sgd"}, {"optimizer": "sgd", "weight_decay": 0.0}),
        ({}, {"importance": [1] * 12}),
        ({"learning_rate": 1}, {"learning_rate": 1.0}),
        ({"l1": 0}, {"l1": -0.0}),
        ({}, {"l1": np.float64(1e-3), "steps": np.int32(7500), "bias": np.False_}),
        (
            {"inputs": fp.Independent(1, 4)},
            {"inputs": fp.Independent(1.0, np.int64(4), magnitude="one")},
        ),
        (
            {"inputs": fp.Independent(0.5, 4, "uniform")},
            {"inputs": fp.Independent([0.5] * 12, 4, ["uniform"] * 12)},
        ),
        (
            {"learning_rate_schedule": [(0, 0), (10, 1)]},
            {"learning_rate_schedule": ((0, 0), (10, 1), (20, 1))},
        ),
        (
            {"noise": "student_t", "noise_std": 1, "noise_shape": 4},
            {"noise": "student_t", "noise_std": 1.0, "noise_shape": 4.0},
        ),
    ],
)
def test_settings_of_equal_effect_have_equal_digests(one, other):
    assert BASE.replace(**one).digest == BASE.replace(**other).digest


def test_a_default_of_one_optimizer_is_a_choice_for_another():
    assert BASE.replace(weight_decay=0).digest != BASE.digest
    adam = BASE.replace(optimizer="adam")
    assert adam.replace(weight_decay=0.01).digest != adam.digest


@pytest.mark.parametrize("config", CONFIGS, ids=IDS)
def test_round_trips(config):
    assert_round_trips(config)


def test_from_dict_fills_in_defaults_and_leaves_its_argument_alone():
    given = {"n_features": 3, "n_hidden": 2, "inputs": {"kind": "basis"}}
    assert fp.Config.from_dict(given) == fp.Config(n_features=3, n_hidden=2)
    assert given == {"n_features": 3, "n_hidden": 2, "inputs": {"kind": "basis"}}


def test_repr_shows_what_differs_from_the_defaults():
    assert repr(BASE) == "Config(n_features=12, n_hidden=20, l1=0.001)"
    config = BASE.replace(
        inputs=fp.Independent(0.5, 4), betas=(0.5, 0.5), noise="laplace", noise_std=1
    )
    names = {"Config": fp.Config, "Independent": fp.Independent}
    assert eval(repr(config), names) == config
    long = BASE.replace(n_features=1000, importance=np.arange(1000))
    assert len(repr(long)) < 200


@pytest.mark.parametrize("config", CONFIGS, ids=IDS)
def test_the_core_gets_every_setting(config):
    settings = core_settings(config)
    for name, value in config.to_dict().items():
        if name == "betas":
            assert [settings.beta1, settings.beta2] == value
        elif name == "weight_decay":
            default = 0.01 if config.optimizer == "adamw" else 0.0
            assert settings.weight_decay == (default if value is None else value)
        elif name in ("l1_schedule", "learning_rate_schedule"):
            points = value if value == "cosine" else [tuple(point) for point in value or ()]
            assert getattr(settings, name) == points
        elif name == "noise_shape":
            assert settings.noise_shape == (value or 0.0)
        elif name == "inputs":
            assert settings.inputs == value.pop("kind")
            if isinstance(config.inputs, fp.FixedBatch):
                assert settings.batch_size == config.inputs.shape[0]
            else:
                for key, given in value.items():
                    each = key in ("probability", "magnitude") and not isinstance(given, list)
                    assert getattr(settings, key) == ([given] if each else given)
        else:
            assert getattr(settings, name) == value
    assert (settings.low, settings.high) == (fp.metrics.LOW, fp.metrics.HIGH)


def test_gradient_flow_is_descent_in_small_steps():
    config = BASE.replace(
        betas=(0.5, 0.5),
        learning_rate_schedule="cosine",
        weight_decay=0.1,
        bias=True,
        l1_schedule=[(0, 0), (9, 1)],
    )
    flow = fp.gradient_flow(config, time=2.5, step=0.1)
    assert flow == fp.Config(
        n_features=12,
        n_hidden=20,
        l1=1e-3,
        l1_schedule=[(0, 0), (9, 1)],
        l1_update="orthant",
        bias=True,
        optimizer="sgd",
        learning_rate=0.1,
        steps=25,
    )
    uneven = fp.gradient_flow(config, time=2.45, step=0.1)
    assert (uneven.steps, uneven.learning_rate) == (25, 2.45 / 25)
    momentum = BASE.replace(l1=0, optimizer="sgd", momentum=0.9)
    assert fp.gradient_flow(momentum, 1).momentum == 0
    assert fp.gradient_flow(momentum, 1).l1_update == "subgradient"
    scalar = BASE.replace(second_moment="scalar")
    assert fp.gradient_flow(scalar, 1) == fp.gradient_flow(BASE, 1)
    activations = BASE.replace(l1_target="activations")
    assert fp.gradient_flow(activations, 1).l1_update == "subgradient"


def test_grid_is_the_product_in_order():
    configs = fp.grid(BASE, n_hidden=range(10, 13), l1=(0.1, 0.2))
    assert [(c.n_hidden, c.l1) for c in configs] == [
        (10, 0.1),
        (10, 0.2),
        (11, 0.1),
        (11, 0.2),
        (12, 0.1),
        (12, 0.2),
    ]
    assert all(c.n_features == 12 for c in configs)


def test_grid_of_nothing_is_the_config_itself():
    assert fp.grid(BASE) == [BASE]


def test_grid_takes_any_iterable():
    configs = fp.grid(BASE, n_hidden=(2**i for i in range(3)), inputs=[fp.Basis()])
    assert [c.n_hidden for c in configs] == [1, 2, 4]
    assert [c.n_hidden for c in fp.grid(BASE, n_hidden=np.array([5, 6]))] == [5, 6]


def test_grid_says_which_combination_is_refused():
    with pytest.raises(ValueError, match="momentum must be left at") as caught:
        fp.grid(BASE.replace(optimizer="sgd", momentum=0.5), optimizer=["sgd", "adam"])
    assert caught.value.__notes__ == ["in the grid at optimizer='adam'"]


SINGLE = np.float32(0.3)
HELD = float(SINGLE)

# Every field that takes real numbers, with 0.3 as float32 and as a Python number.
REALS = [
    ("l1", {}, lambda x: x),
    ("repulsion", {}, lambda x: x),
    ("noise_std", {"noise": "gaussian"}, lambda x: x),
    ("noise_shape", {"noise": "three_point", "noise_std": 0.5}, lambda x: x),
    ("dropout", {}, lambda x: x),
    ("learning_rate", {}, lambda x: x),
    ("weight_decay", {}, lambda x: x),
    ("momentum", {"optimizer": "sgd"}, lambda x: x),
    ("betas", {}, lambda x: (x, 0.5)),
    ("betas", {}, lambda x: np.array([0.5, x], type(x))),
    ("epsilon", {}, lambda x: x),
    ("init_scale", {}, lambda x: x),
    ("l1_schedule", {}, lambda x: [(0, x), (100, 1.0)]),
    ("learning_rate_schedule", {}, lambda x: [(0, x), (100, 1.0)]),
    ("importance", {}, lambda x: np.full(12, x, type(x))),
    ("importance", {}, lambda x: [1.0] * 11 + [x]),
]


def test_every_real_field_is_listed():
    listed = {name for name, _, _ in REALS}
    changed = {name: value for change in CHANGES for name, value in change.items()}
    real = {name for name, value in changed.items() if isinstance(value, float)}
    schedules = {"l1_schedule", "learning_rate_schedule"}
    assert real | schedules | {"betas", "importance"} == listed


@pytest.mark.parametrize(("name", "others", "value"), REALS, ids=lambda one: str(one)[:12])
def test_a_number_of_less_precision_keeps_its_value_with_a_warning(name, others, value):
    with pytest.warns(
        UserWarning, match=rf"Config: {name}.* is {HELD}, the value of .*\(0\.3\)"
    ) as seen:
        config = BASE.replace(**others, **{name: value(SINGLE)})
    assert len(seen) == 1
    assert seen[0].filename == __file__
    assert "and not 0.3, which has another digest" in str(seen[0].message)
    assert config == BASE.replace(**others, **{name: value(HELD)})  # without a warning
    assert config.digest != BASE.replace(**others, **{name: value(0.3)}).digest
    assert config.replace() == fp.Config.from_dict(config.to_dict()) == config


def test_numbers_of_less_precision_elsewhere():
    for number in (np.float16(0.3), np.float32(0.3)):
        with pytest.warns(UserWarning, match="Independent: probability is 0.3"):
            fp.Independent(number, 8)
        with pytest.warns(UserWarning, match="Config: l1 is 0.3"):
            fp.grid(BASE, l1=[0.0, number])
    for exact in (np.float32(0.5), np.float16(0.25), np.float64(0.3), np.longdouble("0.3")):
        assert BASE.replace(l1=exact).l1 == float(exact)
