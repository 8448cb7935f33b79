"""Schedules, repulsion, dropout and gradient flow, in training."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import integrate

import fastpolysem as fp
import specification as spec
from helpers.random_models import (
    label,
    products,
)
from helpers.training_checks import (
    COUNTS,
    L1,
    MODELS,
    NOISE,
    S,
    check_against_specification,
    configure,
    start,
)

# Schedules of l1 ----------------------------------------------------------------------------------

SCHEDULE = ((0, 0.0), (3, 1.5), (4, 1.5), (5, 0.25), (7, 0.0))  # warm-up, pulse, off at the end


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("l1", ["subgradient", "orthant", "activations"])
def test_schedules_equal_the_specification(l1, dtype):
    rng = np.random.default_rng(21)
    tolerance = 1e-5 if dtype == "float32" else 1e-11
    for model in MODELS:
        config = configure(**model, noise="none", l1=l1, l1_schedule=SCHEDULE, dtype=dtype)
        check_against_specification(config, rng, tolerance)


def test_a_schedule_is_linear_between_its_points():
    """A weight that nothing but l1 pulls moves by learning rate * l1 * factor."""
    config = fp.Config(
        n_features=1,
        n_hidden=1,
        l1=0.5,
        l1_schedule=((2, 1), (6, 3), (7, 0)),
        optimizer="sgd",
        learning_rate=2**-10,
        steps=9,
        activation="linear",
        importance=(1e-30,),
        dtype="float64",
    )
    result = fp.train(config, 1, initial_weights=np.full((1, 1), 8.0), return_weights=True)
    factors = [1, 1, 1, 1.5, 2, 2.5, 3, 0, 0]
    assert result.weights.item() == pytest.approx(8 - 2**-11 * sum(factors), rel=1e-15)


def test_a_stop_is_certified_after_the_schedule_only():
    common = {"n_features": 8, "n_hidden": 12, "l1": 0.05, "learning_rate": 3e-3, "steps": 6000}
    config = fp.Config(l1_update="orthant", **common)
    seeds = 32
    soon = fp.train(config.replace(stop="certified"), seeds).steps_taken
    for schedule in (((0, 0), (500, 1)), ((4000, 1), (4001, 3), (4100, 3), (4101, 0.5))):
        full = config.replace(l1_schedule=schedule)
        early = full.replace(stop="certified")
        complete, stopped = fp.train(full, seeds), fp.train(early, seeds)
        for name in COUNTS:
            np.testing.assert_array_equal(getattr(stopped, name), getattr(complete, name), name)
        assert np.all(stopped.steps_taken >= schedule[-1][0])
        assert np.mean(stopped.steps_taken < config.steps) > 0.25
    assert soon.min() < 4000  # where the last schedule still waits for its pulse


# Schedules of the learning rate -------------------------------------------------------------------

RATES = {
    "cosine": "cosine",
    "warm-up": ((0, 0.0), (3, 1.5), (4, 1.5), (6, 0.25)),
    "pause": ((1, 1.0), (2, 0.0), (3, 0.0), (4, 2.0)),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("schedule", RATES)
def test_learning_rates_equal_the_specification(schedule, dtype):
    rng = np.random.default_rng(23)
    tolerance = 1e-5 if dtype == "float32" else 1e-11
    kinds = itertools.cycle(products(inputs=["basis", "zipf"], l1=list(L1), noise=list(NOISE)))
    for model, options in zip(MODELS, kinds, strict=False):
        config = configure(**model, **options, learning_rate_schedule=RATES[schedule], dtype=dtype)
        try:
            check_against_specification(config, rng, tolerance)
        except AssertionError as error:
            raise AssertionError(f"{label(model)}, {label(options)}: {error}") from error


def test_a_weight_moves_by_the_scheduled_rate():
    """Nothing but l1 pulls: each step is learning rate * factor * l1."""
    config = fp.Config(
        n_features=1,
        n_hidden=1,
        l1=0.5,
        optimizer="sgd",
        learning_rate=2**-10,
        steps=9,
        activation="linear",
        importance=(1e-30,),
        dtype="float64",
    )
    points = [1, 1, 1, 1.5, 2, 2.5, 3, 0, 0]
    cosine = (1 + np.cos(np.pi * np.arange(9) / 9)) / 2
    for schedule, factors in ((((2, 1), (6, 3), (7, 0)), points), ("cosine", cosine)):
        scheduled = config.replace(learning_rate_schedule=schedule)
        result = fp.train(scheduled, 1, initial_weights=np.full((1, 1), 8.0), return_weights=True)
        assert result.weights.item() == pytest.approx(8 - 2**-11 * sum(factors), rel=1e-15)


# Repulsion and dropout ----------------------------------------------------------------------------

EXTRAS = {
    "repulsion": {"repulsion": 0.5},
    "dropout": {"dropout": 0.3},
    "dropout-step": {"dropout": 0.3, "dropout_sharing": "step"},
    "both": {"repulsion": 0.5, "dropout": 0.3},
}
WITH_EXTRAS = list(
    products(
        extra=list(EXTRAS),
        inputs=["basis", "fixed", "uniform"],
        noise=list(NOISE),
        dtype=["float32", "float64"],
    )
)


@pytest.mark.parametrize("options", WITH_EXTRAS, ids=label)
def test_repulsion_and_dropout_equal_the_specification(options):
    index = WITH_EXTRAS.index(options)
    rng = np.random.default_rng(3000 + index)
    tolerance = 1e-5 if options["dtype"] == "float32" else 1e-11
    extra = EXTRAS[options["extra"]]
    rest = {name: value for name, value in options.items() if name != "extra"}
    kinds = itertools.islice(itertools.cycle(L1), index % len(L1), None)
    for model, l1 in zip(MODELS, kinds, strict=False):
        config = configure(**model, **rest, l1=l1, **extra)
        try:
            check_against_specification(config, rng, tolerance)
        except AssertionError as error:
            raise AssertionError(f"{label(model)}, l1={l1}: {error}") from error


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_features_that_share_no_neuron_feel_no_repulsion(dtype):
    config = fp.Config(n_features=6, n_hidden=9, l1=0.01, l1_update="orthant", dtype=dtype)
    start = np.zeros((6, 9))
    start[range(6), range(6)] = [0.3, -0.5, 0.9, 1.1, -0.7, 0.123]
    plain, repelled = (
        fp.train(c.replace(steps=50), 1, initial_weights=start, return_weights=True).weights
        for c in (config, config.replace(repulsion=3.0))
    )
    np.testing.assert_array_equal(plain, repelled)


def test_repulsion_tears_a_shared_neuron_apart():
    """A benign pair, otherwise at rest, with a hint of another neuron for each of the two."""
    start = np.array([[1.0, 0.02, 0.01], [-1.0, 0.01, 0.02]])
    config = fp.Config(n_features=2, n_hidden=3, optimizer="sgd", learning_rate=0.01, steps=3000)
    kept = fp.train(config, 1, initial_weights=start)
    torn = fp.train(config.replace(repulsion=3.0), 1, initial_weights=start)
    assert (kept.benign, torn.benign) == (1, 0)
    assert torn.unrepresented == 0
    assert torn.loss < 1e-6


def test_no_dropout_in_what_is_told_at_the_end():
    config = fp.Config(n_features=6, n_hidden=9, l1=0.01, dropout=0.3, steps=20, dtype="float64")
    result = fp.train(config, 4, return_weights=True)
    loss, _ = fp.loss_and_gradient(result.weights, config.replace(l1=0, dropout=0))
    np.testing.assert_allclose(result.loss, loss, rtol=1e-12)


@pytest.mark.parametrize("extra", EXTRAS)
def test_other_kernels_refuse_repulsion_and_dropout(extra):
    config = configure("adamw", "none", "orthant", **EXTRAS[extra])
    assert fp.train(config, 5).kernel == "generic"
    reason = "repulsion needs" if extra == "repulsion" else "dropout makes"
    for kernel in ("dense", "sparse", "lanes"):
        with pytest.raises(ValueError, match=f"kernel '{kernel}' does not support .*: {reason}"):
            fp.train(config, 5, kernel=kernel)


# A scalar second moment --------------------------------------------------------------------------


def test_other_kernels_refuse_a_scalar_second_moment():
    config = configure("adamw", "none", "orthant", second_moment="scalar")
    assert fp.train(config, 5).kernel == "generic"
    for kernel in ("dense", "sparse", "lanes"):
        with pytest.raises(ValueError, match=f"kernel '{kernel}' .*: second_moment='scalar' needs"):
            fp.train(config, 5, kernel=kernel)


@pytest.mark.parametrize("l1", ["subgradient", "orthant"])
def test_the_second_moment_of_a_single_weight_is_a_scalar(l1):
    options = {"n_features": 1, "n_hidden": 1, "steps": 40, "learning_rate": 0.01, **L1[l1]}
    own, shared = (
        fp.train(fp.Config(**options, second_moment=kind), 3, return_weights=True).weights
        for kind in ("coordinate", "scalar")
    )
    np.testing.assert_allclose(own, shared, rtol=1e-6)


def test_a_scalar_second_moment_moves_along_the_first_moment():
    """The first step is parallel to the gradient, and the learning rate is its root mean square."""
    config = fp.Config(
        n_features=4, n_hidden=7, learning_rate=0.01, weight_decay=0, epsilon=1e-30, steps=1
    ).replace(second_moment="scalar", dtype="float64")
    (model, *_), _ = start(config, np.random.default_rng(23))
    initial = model.encoder[None]
    after = fp.train(config, 1, initial_weights=initial, return_weights=True).weights
    slope = spec.gradient(config, model, np.eye(4)).encoder
    expected = -0.01 * slope / np.sqrt(np.mean(slope**2))
    np.testing.assert_allclose(after[0] - model.encoder, expected, rtol=1e-9)


# Gradient flow ------------------------------------------------------------------------------------


@pytest.mark.parametrize("repulsion", [0.0, 0.5])
def test_the_flow_is_the_solution_of_its_differential_equation(repulsion):
    config = fp.Config(n_features=6, n_hidden=9, repulsion=repulsion, dtype="float64")
    models, initial = start(config, np.random.default_rng(22))
    time = 1.5

    def slope(_, w):
        return -spec.gradient(config, spec.Weights(w.reshape(6, 9)), np.eye(6)).encoder.ravel()

    errors = []
    for step in (0.004, 0.002, 0.001):
        flow = fp.train(
            fp.gradient_flow(config, time, step), S, initial_weights=initial, return_weights=True
        )
        exact = [
            integrate.solve_ivp(slope, (0, time), m.encoder.ravel(), rtol=1e-9, atol=1e-11)
            for m in models
        ]
        ends = np.array([e.y[:, -1].reshape(6, 9) for e in exact])
        errors.append(np.abs(flow.weights - ends).max())
    assert errors[2] < 5e-4
    np.testing.assert_allclose(np.divide(errors[:-1], errors[1:]), 2, rtol=0.1)


def test_a_weight_that_the_flow_brings_to_zero_stays_there():
    """Alone, dw/dt = 4 (1 - |w|^2) w - l1 sign(w): the small weight reaches 0 in finite time."""
    config = fp.Config(n_features=1, n_hidden=2, l1=0.8, dtype="float64")
    first = np.array([[0.6, -0.02]])

    def slope(_, w):
        return 4 * (1 - w @ w) * w - 0.8 * np.sign(w)

    def vanished(_, w):
        return w[1]

    vanished.terminal = True
    until = integrate.solve_ivp(slope, (0, 9), first[0], events=vanished, rtol=1e-9, atol=1e-12)
    gone = until.t_events[0][0]
    for time in (0.9 * gone, 1.1 * gone, 5.0):
        flow = fp.gradient_flow(config, time, step=1e-4)
        w = fp.train(flow, 1, initial_weights=first, return_weights=True).weights[0, 0]
        assert (w[1] == 0) == (time > gone)
    assert 4 * (1 - w[0] ** 2) * w[0] == pytest.approx(0.8, rel=1e-6)  # at rest


def test_halving_the_flows_step_changes_fewer_and_fewer_seeds():
    config = fp.Config(n_features=12, n_hidden=18, l1=0.02)
    counts = [
        fp.train(fp.gradient_flow(config, time=6 / config.l1, step=step), 96).polysemantic
        for step in (0.1, 0.025, 0.00625)
    ]
    changed = [np.mean(a != b) for a, b in itertools.pairwise(counts)]
    assert changed[1] < 0.5 * changed[0]
    assert changed[1] < 0.15
