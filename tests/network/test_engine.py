"""The engine of networks against the specification, and what must not change a seed's bits."""

from __future__ import annotations

import importlib
import importlib.util
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import fastpolysem as fp
from fastpolysem import losses
from fastpolysem.families.network import objective
from network import engine, known_networks, settings
from network.test_specification import (
    GRADIENT,
    LOSS,
    OTHER_SIDE,
    REFERENCES,
    load,
)
from specifications import combinations
from specifications import network as spec

PARTS, EACH = 10, 30
TWO_OR = fp.targets.Clauses((((0,), (1,)), ((1,), (2,))))


def check_combinations(first: int, count: int) -> None:
    worst = engine.Worst()
    for k, config in enumerate(combinations.accepted(first, count, steps=5)):
        try:
            engine.check(config, first * 2**32 + k, worst)
        except AssertionError as error:
            raise AssertionError(f"{config}: {error}") from error
    print("; ".join(f"{kind} {error:.1e}" for kind, error in sorted(worst.items())))


@pytest.mark.parametrize("part", range(PARTS))
def test_combinations_of_settings_are_as_specified(part):
    check_combinations(part, EACH)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(100, 200))
def test_more_combinations_of_settings_are_as_specified(part):
    check_combinations(part, 100)


# Larger networks, where panels, tiles and vectors end in all places -------------------------------


def random_config(rng: np.random.Generator) -> Any:
    """A configuration of the tables of options, with widths around those of vectors and tiles."""
    config = next(combinations.accepted(int(rng.integers(2**32)), 1, steps=5))
    if type(config.inputs).__name__ == "Dataset" or not isinstance(config.activation, str):
        return None
    per_layer = ("bias", "bias_start", "frozen", "l1", "noise_std", "dropout", "readout")
    if any(isinstance(getattr(config, name), tuple) for name in per_layer) or config.residual:
        return None
    if not spec.is_elementwise(config.target):
        return None
    n, m = (2 * int(rng.choice([1, 3, 8, 17, 24])), int(rng.choice([1, 15, 16, 33, 65])))
    widths = (n, m, n) if config.tied else (n, m, int(rng.choice([3, 16, 18])), n)
    inputs = config.inputs
    if hasattr(inputs, "batch_size"):
        rows = int(rng.choice([1, 8, 17, 128, 129, 300]))
        inputs = replace(inputs, batch_size=rows)
    if type(inputs).__name__ == "CorrelatedBlocks":
        inputs = replace(inputs, active=1)
    if isinstance(getattr(inputs, "probability", None), tuple):
        inputs = replace(inputs, probability=0.3, magnitude="signed_uniform")
    return settings.config(replace(config, widths=widths, inputs=inputs, importance=None))


@pytest.mark.parametrize("part", range(8))
def test_kernels_agree_at_every_size(part):
    rng = np.random.default_rng((17, part))
    served = 0
    while served < 6:
        config = random_config(rng)
        if config is None:
            continue
        for dtype in ("float32", "float64"):
            engine.check_kernels(config.replace(dtype=dtype))
        served += 1


@pytest.mark.parametrize("target", [None, fp.targets.Absolute(), TWO_OR], ids=repr)
@pytest.mark.parametrize(
    "inputs",
    [
        fp.Independent(0.4, 33, "uniform"),
        fp.Independent((0.01, 0.9, 0.9, 1.0, 0.5, 0.5, 0.5), 130, "signed_uniform"),
        fp.Independent(1.0, 129, "signed_uniform"),
        fp.CorrelatedBlocks(1, 5, 17),
    ],
    ids=repr,
)
def test_kernels_agree_on_dense_samples(inputs, target):
    outputs = 2 if target is TWO_OR else 7
    options = {} if target is None else {"target": target}
    config = fp.NetworkConfig(widths=(7, 18, outputs), inputs=inputs, steps=7, **options)
    for dtype in ("float32", "float64"):
        engine.check_kernels(config.replace(dtype=dtype))


# The same bits ------------------------------------------------------------------------------------

CASES = known_networks.configs()
FEW = CASES[::4]


@pytest.mark.parametrize("config", FEW, ids=repr)
def test_threads_order_and_splits_do_not_change_bits(config):
    seeds = np.array([*range(19), 2**40, 2**64 - 1], dtype=np.uint64)
    options = {"return_weights": True, "record": (["objective", "loss"], [0, 1, config.steps])}
    for kernel in ("auto", "rows"):
        whole = fp.train(config, seeds, num_threads=1, kernel=kernel, **options)
        starts = whole.weights.weights[0].reshape(len(seeds), -1)
        assert len(np.unique(starts, axis=0)) == len(seeds)
        for threads in (2, 7):
            other = fp.train(config, seeds, num_threads=threads, kernel=kernel, **options)
            engine.same_results(whole, other)
        order = np.random.default_rng(16).permutation(len(seeds))
        other = fp.train(config, seeds[order], kernel=kernel, **options)
        engine.same_results(whole, other, order)
        for part in (slice(0, 1), slice(1, 6), slice(6, None)):
            engine.same_results(whole, fp.train(config, seeds[part], **options), part)
        # A run that records nothing takes the same steps.
        bare = fp.train(config, seeds, kernel=kernel, return_weights=True)
        for x, y in zip(
            engine.arrays_of(whole.weights), engine.arrays_of(bare.weights), strict=True
        ):
            np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("config", CASES[1::4], ids=repr)
def test_instruction_sets_do_not_change_bits(config, monkeypatch):
    here = fp.train(config, 3, return_weights=True)
    batch = objective.draw(config, 1, 0).inputs
    outputs = objective.forward(here.weights, config, batch)
    for name in fp.build_info()["supported"]:
        if importlib.util.find_spec(f"fastpolysem._core_{name}") is None:
            continue  # a build for some instruction sets only
        other = importlib.import_module(f"fastpolysem._core_{name}")
        for module in ("lowering", "family", "objective"):
            monkeypatch.setattr(f"fastpolysem.families.network.{module}.core", other)
        known_networks.forget()
        for kernel in engine.KERNELS:
            engine.same_results(here, fp.train(config, 3, return_weights=True, kernel=kernel))
        np.testing.assert_array_equal(outputs, objective.forward(here.weights, config, batch))
    monkeypatch.undo()
    known_networks.forget()


def test_known_networks():
    """The bits of numerics version 1. Other bits need another version: stored studies carry it."""
    assert len(CASES) >= 30
    assert [known_networks.digest(config) for config in CASES] == known_networks.KNOWN


# References ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", REFERENCES)
def test_reference_trajectory(name):
    reference = load(name)
    config = settings.config(reference.config)
    starts = [reference.network(seed, "", "_0") for seed in range(reference.seeds)]
    start = objective.NetworkParameters(
        [np.stack(w) for w in zip(*(s.weights for s in starts), strict=True)],
        [
            None if b[0] is None else np.stack(b)
            for b in zip(*(s.biases for s in starts), strict=True)
        ],
    )
    _, slopes = objective.loss_and_gradient(start, config)
    for seed in range(reference.seeds):
        expected = engine.arrays_of(reference.network(seed, "g", ""))
        largest = max(np.abs(a).max() for a in expected)
        for ours, theirs in zip(engine.arrays_of(slopes), expected, strict=True):
            assert np.abs(ours[seed] - theirs).max() <= GRADIENT * largest
    # A row on the other side of a kink leaves its mark on Adam: only seeds without are compared.
    alike = [seed for seed in range(reference.seeds) if (name, seed) not in OTHER_SIDE]
    for kernel in engine.KERNELS:
        for step in reference.kept_steps[1:]:
            result = fp.train(
                config.replace(steps=step), reference.seeds, initial_weights=start,
                record=(["objective", "l1_norm"], range(step)), return_weights=True, kernel=kernel,
            )  # fmt: skip
            for seed in alike:
                expected = engine.arrays_of(reference.network(seed, "", f"_{step}"))
                ours = engine.arrays_of(engine.specified(result.weights, reference.config, seed))
                for a, b in zip(ours, expected, strict=True):
                    assert np.abs(a - b).max() <= reference.bound(step), f"after step {step}"
        loss = result.history["objective"][alike]
        if config.l1_target == "weights":
            loss = loss - config._spread("l1", 1)[0] * result.history["l1_norm"][alike]
            np.testing.assert_allclose(loss, reference.data["loss"].T[alike], rtol=2 * LOSS)


# What the functions on weights give ---------------------------------------------------------------


def test_forward_gives_every_layer():
    config = fp.NetworkConfig(widths=(3, 5, 5, 2), residual=(2,), activation="tanh", bias=True,
                              inputs=fp.Independent(0.5, 6), target=TWO_OR)  # fmt: skip
    model = engine.random_network(np.random.default_rng(3), config)
    rng = np.random.default_rng(4)
    batch, noise = rng.normal(size=(7, 3)), [rng.normal(size=5), rng.normal(size=(7, 5))]
    noise = [a.astype(np.float32) for a in noise]
    batch = batch.astype(np.float32)
    trace = spec.forward(config, model, batch.astype(float), noise)
    *hidden, outputs = objective.forward(
        engine.parameters(model), config, batch, noise, layers=True
    )
    for ours, theirs in zip(hidden, trace.activations, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=2e-6)
    np.testing.assert_allclose(outputs, trace.outputs, rtol=0, atol=5e-6)


def test_gradient_of_frozen_layers_is_given():
    config = fp.NetworkConfig(widths=(4, 6, 4), frozen=(True, False), dtype="float64", bias=True)
    model = engine.random_network(np.random.default_rng(5), config)
    _, slopes = objective.loss_and_gradient(engine.parameters(model), config)
    expected = spec.gradient(config, model, np.eye(4), np.eye(4))
    for ours, theirs in zip(engine.arrays_of(slopes), engine.arrays_of(expected), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-14)
    result = fp.train(config.replace(steps=20), 3, return_weights=True)
    start = fp.train(config.replace(steps=0), 3, return_weights=True)
    np.testing.assert_array_equal(result.weights.weights[0], start.weights.weights[0])
    assert (result.weights.weights[1] != start.weights.weights[1]).any()


def test_diverged_seeds_have_no_results():
    config = fp.NetworkConfig(widths=(4, 6, 4), optimizer="sgd", learning_rate=1e20, steps=5)
    measured = ("largest_gradient", "shared_use", "dead")
    result = fp.train(config, 3, record=(measured, [5]))
    assert result.diverged.all()
    assert np.isnan(result.loss).all()
    assert np.isnan(result.largest_gradient).all()
    assert all(np.isnan(result.history[name]).all() for name in measured)
    assert (result.dead == -1).all()
    assert (result.steps_taken == 5).all()


def test_kernels_agree_on_seeds_that_overflow():
    # What overflows may come back, as l1 sets weights to 0: whether a zero of the inputs is left
    # out or multiplied by infinity then decides if a seed diverges.
    clauses = fp.targets.Clauses([[[-3]], [[-1]], [[-2]]])
    sgd = {"optimizer": "sgd", "l1_update": "orthant"}
    first_is_weight = fp.NetworkConfig(
        widths=(3, 1, 1, 3), activation="linear", inputs=fp.Independent(0.3, 9, "uniform"),
        target=clauses, loss=losses.Power(16), l1=1e-3, learning_rate=10.0, steps=200,
        init="uniform", **sgd,
    )  # fmt: skip
    first_is_gradient = fp.NetworkConfig(
        widths=(3, 4, 3), activation="linear", frozen=(False, True), loss=losses.Power(16),
        inputs=fp.Independent(0.05, 1), noise="gaussian", noise_std=500.0, optimizer="sgd", steps=3,
    )  # fmt: skip
    ordinary = fp.NetworkConfig(
        widths=(8, 16, 8), inputs=fp.Independent(0.1, 1, "uniform"), l1=0.01, learning_rate=1.0,
        steps=100, **sgd,
    )  # fmt: skip
    table = fp.NetworkConfig(
        widths=(2, 5, 2), activation="gelu", tied=True, loss=losses.Power(16), l1=1e-3,
        learning_rate=0.02, steps=2, init_scale=1e5, **sgd,
    )  # fmt: skip
    dense = first_is_weight.replace(inputs=fp.Independent(0.5, 9, "uniform"))
    for config in (first_is_weight, first_is_gradient, ordinary, table, dense):
        for dtype in ("float32", "float64"):
            changed = config.replace(dtype=dtype)
            expected = fp.train(changed, 64, return_weights=True, kernel="generic")
            for kernel in engine.KERNELS[1:]:
                engine.same_results(
                    expected, fp.train(changed, 64, return_weights=True, kernel=kernel)
                )


def test_a_linear_tied_network_is_the_autoencoder():
    shared = {"l1": 1e-2, "learning_rate": 3e-3, "steps": 100}
    theirs = fp.Config(n_features=8, n_hidden=12, **shared)
    ours = fp.NetworkConfig(
        widths=(8, 12, 8), activation="linear", output="relu", tied=True, **shared
    )
    start = np.random.default_rng(6).normal(0, 0.3, (5, 8, 12)).astype(np.float32)
    a = fp.train(theirs, 5, initial_weights=start, return_weights=True)
    b = fp.train(ours, 5, initial_weights=objective.NetworkParameters([start]), return_weights=True)
    np.testing.assert_allclose(b.weights.weights[0], a.weights, rtol=0, atol=1e-5)
    np.testing.assert_allclose(b.loss, a.loss, rtol=1e-5)
