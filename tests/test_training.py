"""`fp.train` step by step against the specification, and when it ends."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import fastpolysem as fp
import specification as spec
from fastpolysem._native import core
from helpers.random_models import (
    label,
    random_batch,
    random_importance,
    unpack,
)
from helpers.training_checks import (
    COUNTS,
    MODELS,
    NOISE,
    OPTIMIZERS,
    OPTIONS,
    SEEDS,
    STEPS,
    M,
    N,
    S,
    check_against_specification,
    configure,
    final_batch,
    start,
)


@pytest.mark.parametrize("options", OPTIONS, ids=label)
def test_steps_equal_the_specification(options):
    # Adam's first steps are signs of gradients, l1 and the ReLU jump at 0: where one of these is
    # nothing but rounding, single precision may part from the specification. With these numbers
    # it does not; others may have to be drawn for another numerics version.
    rng = np.random.default_rng(1000 + OPTIONS.index(options))
    tolerance = 1e-5 if options["dtype"] == "float32" else 1e-11
    variants = [{}, {"importance": random_importance(N)}, {"activation": "linear"}]
    for model, variant in zip(MODELS, itertools.cycle(variants), strict=False):
        config = configure(**model, **options, **variant)
        try:
            check_against_specification(config, rng, tolerance)
        except AssertionError as error:
            raise AssertionError(f"{label(model)}, {variant}: {error}") from error


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (5, 1), (17, 3), (33, 70)], ids=str)
@pytest.mark.parametrize("noise", NOISE)
@pytest.mark.parametrize("tied", [True, False])
def test_the_gram_space_gradient_is_the_gradient(shape, noise, tied):
    """One step of plain gradient descent of rate 1 shows it."""
    n, m = shape
    rng = np.random.default_rng(n * m)
    rows = random_batch(rng, 2 * n, n)
    rows[0, 0] = 0.5
    for inputs in (fp.Basis(), fp.FixedBatch(rows)):
        config = fp.Config(
            n_features=n,
            n_hidden=m,
            optimizer="sgd",
            learning_rate=1.0,
            steps=1,
            l1=0.01,
            tied=tied,
            bias=True,
            inputs=inputs,
            importance=random_importance(n),
            dtype="float64",
            **NOISE[noise],
        )
        models, initial = start(config, rng)
        batch = final_batch(config)
        sequence = {
            "none": None,
            "step": rng.normal(0, 0.3, (S, 1, m)),
            "input": rng.normal(0, 0.3, (S, 1, len(batch), m)),
        }[noise]
        result = fp.train(
            config, S, initial_weights=initial, noise_sequence=sequence, return_weights=True
        )
        _, direct = fp.loss_and_gradient(
            initial, config, noise=None if sequence is None else sequence[:, 0]
        )
        for s, model in enumerate(models):
            xi = None if sequence is None else sequence[s, 0]
            expected = spec.gradient(config, model, batch, xi)
            largest = max(np.abs(a).max() for a in expected if a is not None)
            for before, after, ours, theirs in zip(
                model, unpack(result.weights), unpack(direct), expected, strict=True
            ):
                if theirs is None:
                    continue
                np.testing.assert_allclose(
                    before - after[s], theirs, rtol=0, atol=1e-13 * (1 + largest)
                )
                np.testing.assert_allclose(ours[s], theirs, rtol=0, atol=1e-13 * (1 + largest))


def test_drawn_noise_is_the_stream_of_the_seed():
    """Training draws the noise of `specification.draw_noise`, for every kind and sharing."""
    for kind, shape in [
        ("rademacher", None),
        ("gaussian", None),
        ("uniform", None),
        ("laplace", None),
        ("student_t", 5.0),
        ("three_point", 0.3),
    ]:
        for sharing in ("step", "input"):
            config = fp.Config(
                n_features=N,
                n_hidden=M,
                noise=kind,
                noise_std=0.1,
                noise_shape=shape,
                noise_sharing=sharing,
                optimizer="sgd",
                learning_rate=0.02,
                steps=3,
                dtype="float64",
            )
            models, initial = start(config, np.random.default_rng(11))
            result = fp.train(config, SEEDS, initial_weights=initial, return_weights=True)
            for s, seed in enumerate(SEEDS):
                noise = [
                    spec.draw_noise(config, int(seed), step, N) for step in range(config.steps)
                ]
                run = spec.run(config, models[s], np.eye(N), noise)
                np.testing.assert_allclose(
                    result.weights[s], run.weights[-1].encoder, rtol=0, atol=1e-6
                )


def test_a_noise_sequence_may_be_shared_by_the_seeds():
    rng = np.random.default_rng(12)
    for noise, shape in (("step", (STEPS, M)), ("input", (STEPS, N, M))):
        config = configure("sgd", noise, "none")
        sequence = rng.normal(0, 0.1, shape).astype(np.float32)
        shared = fp.train(config, SEEDS, noise_sequence=sequence, return_weights=True)
        repeated = np.broadcast_to(sequence, (S, *shape))
        each = fp.train(config, SEEDS, noise_sequence=repeated, return_weights=True)
        np.testing.assert_array_equal(shared.weights, each.weights)


def test_no_steps_gives_the_initial_weights_back():
    for tied, bias in ((True, False), (False, True)):
        config = configure("adamw", "none", "subgradient", steps=0, tied=tied, bias=bias)
        _, initial = start(config, np.random.default_rng(13))
        result = fp.train(config, S, initial_weights=initial, return_weights=True)
        for a, b in zip(unpack(initial), unpack(result.weights), strict=True):
            np.testing.assert_array_equal(a, b)
        assert list(result.steps_taken) == [0] * S


def test_initial_weights_are_left_alone():
    config = configure("adamw", "none", "subgradient")
    _, initial = start(config, np.random.default_rng(14))
    before = initial.copy()
    result = fp.train(config, S, initial_weights=initial, return_weights=True)
    np.testing.assert_array_equal(initial, before)
    assert not np.shares_memory(initial, result.weights)


# l1 -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_orthant_gives_exact_zeros(optimizer):
    common = {"n_features": 12, "n_hidden": 20, "l1": 0.05, "steps": 600} | OPTIMIZERS[optimizer]
    orthant = fp.train(fp.Config(**common, l1_update="orthant"), 8, return_weights=True)
    plain = fp.train(fp.Config(**common), 8, return_weights=True)
    np.testing.assert_array_equal(orthant.nonzeros, np.count_nonzero(orthant.weights, axis=(1, 2)))
    assert np.all(orthant.nonzeros < 0.3 * 12 * 20)
    assert np.all(plain.nonzeros > 0.9 * 12 * 20)
    small = np.abs(orthant.weights[orthant.weights != 0]) < 1e-4  # of those still on their way
    assert small.mean() < 0.1


def test_orthant_untied_and_with_bias():
    config = fp.Config(
        n_features=10,
        n_hidden=14,
        l1=0.05,
        steps=600,
        learning_rate=0.01,
        l1_update="orthant",
        tied=False,
        bias=True,
    )
    result = fp.train(config, 4, return_weights=True)
    count = np.count_nonzero(result.weights.encoder, (1, 2)) + np.count_nonzero(
        result.weights.decoder, (1, 2)
    )
    np.testing.assert_array_equal(result.nonzeros, count)
    assert np.all(count < 0.5 * 2 * 10 * 14)
    assert np.all(result.weights.bias != 0)  # the bias carries no l1


# Stopping early -----------------------------------------------------------------------------------

CERTIFIED = [
    {"n_features": 6, "n_hidden": 8, "l1": 0.02, "learning_rate": 3e-3},
    {"n_features": 16, "n_hidden": 16, "l1": 0.01, "learning_rate": 3e-3},
    {
        "n_features": 12,
        "n_hidden": 5,
        "l1": 0.05,
        "learning_rate": 3e-3,
    },  # more features than slots
    {"n_features": 8, "n_hidden": 12, "l1": 0.05, "optimizer": "sgd", "learning_rate": 0.02},
    {
        "n_features": 8,
        "n_hidden": 12,
        "l1": 0.05,
        "optimizer": "sgd",
        "learning_rate": 0.01,
        "momentum": 0.5,
    },
    {"n_features": 8, "n_hidden": 12, "l1": 0.05, "optimizer": "adam", "learning_rate": 3e-3},
]


@pytest.mark.parametrize("options", CERTIFIED, ids=label)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_certified_stop_has_the_outcome_of_the_full_run(options, dtype):
    config = fp.Config(steps=6000, l1_update="orthant", dtype=dtype, **options)
    seeds = 32
    full = fp.train(config, seeds, return_weights=True)
    early = fp.train(config.replace(stop="certified"), seeds, return_weights=True)
    for name in COUNTS:
        np.testing.assert_array_equal(getattr(early, name), getattr(full, name), name)
    np.testing.assert_array_equal(full.steps_taken, config.steps)
    stopped = early.steps_taken < config.steps
    for s, model in enumerate(early.weights.astype(float)):
        assert spec.certified(config, model) == stopped[s]
    if options["n_hidden"] >= options["n_features"]:
        assert stopped.mean() > 0.25
    for s in np.flatnonzero(stopped)[:3]:  # up to there, it is the same run
        same = fp.train(config.replace(steps=int(early.steps_taken[s])), [s], return_weights=True)
        np.testing.assert_array_equal(same.weights[0], early.weights[s])


@pytest.mark.parametrize("kernel", ["generic", "dense", "sparse", "lanes"])
def test_an_exploding_orthant_run_is_not_a_model_of_zeros(kernel):
    config = fp.Config(n_features=8, n_hidden=4, l1=1e-3, l1_update="orthant", steps=3)
    weights = np.full((1, 8, 4), 1e20, dtype=np.float32)
    result = fp.train(config, 1, initial_weights=weights, kernel=kernel)
    assert result.diverged.all()
    assert result.polysemantic[0] == -1


def test_a_diverging_run_is_flagged():
    for dtype in ("float32", "float64"):
        for tied in (True, False):
            config = fp.Config(
                n_features=8,
                n_hidden=4,
                optimizer="sgd",
                learning_rate=5.0,
                steps=200,
                tied=tied,
                dtype=dtype,
            )
            result = fp.train(config, 5, record=(("residual", *COUNTS), [0, 200]))
            assert result.diverged.all()
            assert np.isnan([result.loss, result.residual]).all()
            for name in ("residual", *COUNTS):
                assert np.isfinite(result.history[name][:, 0]).all()
                assert np.isnan(result.history[name][:, 1]).all()
            for name in (*COUNTS, "nonzeros"):
                assert np.all(getattr(result, name) == -1)


def test_the_table_of_columns_is_what_a_diverged_row_holds():
    config = fp.Config(n_features=8, n_hidden=4, optimizer="sgd", learning_rate=5.0, steps=200)
    result = fp.train(config, 3)
    for name, dtype, diverged, doc in core.autoencoder_columns():
        values = getattr(result, name)
        assert values.dtype == dtype
        assert doc
        if diverged is not None:
            np.testing.assert_array_equal(values, np.full(3, diverged, dtype))


def test_one_diverging_seed_leaves_the_others_alone():
    config = fp.Config(n_features=8, n_hidden=12, optimizer="sgd", learning_rate=0.01, steps=50)
    rng = np.random.default_rng(15)
    initial = rng.normal(0, 0.3, (20, 8, 12)).astype(np.float32)
    wild = initial.copy()
    wild[7] *= 1e3
    healthy = fp.train(config, 20, initial_weights=initial, return_weights=True)
    mixed = fp.train(config, 20, initial_weights=wild, return_weights=True)
    assert list(np.flatnonzero(mixed.diverged)) == [7]
    others = np.arange(20) != 7
    np.testing.assert_array_equal(healthy.weights[others], mixed.weights[others])
    np.testing.assert_array_equal(healthy.loss[others], mixed.loss[others])
