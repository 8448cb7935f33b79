"""Small configurations of every kind, and what a run of one is checked against."""

from __future__ import annotations

import numpy as np
import pytest

import fastpolysem as fp
import specification as spec
from fastpolysem._native import core
from fastpolysem.families.autoencoder.config import core_settings
from helpers.random_models import pack, products, random_batch, random_model, stacked, unpack

S, N, M, ROWS, STEPS = 2, 6, 9, 5, 8
SEEDS = np.array([3, 2**63 + 11], dtype=np.uint64)
OPTIMIZERS = {
    "sgd": {"optimizer": "sgd", "learning_rate": 0.02},
    "momentum": {"optimizer": "sgd", "learning_rate": 0.005, "momentum": 0.8},
    "adam": {"optimizer": "adam", "learning_rate": 0.02, "weight_decay": 0.05},
    "adamw": {"optimizer": "adamw", "learning_rate": 0.02},
    "adamw-betas": {
        "optimizer": "adamw",
        "learning_rate": 0.02,
        "weight_decay": 0.2,
        "betas": (0.8, 0.95),
        "epsilon": 1e-4,
    },
    "adam-scalar": {
        "optimizer": "adam",
        "learning_rate": 0.02,
        "weight_decay": 0.05,
        "second_moment": "scalar",
    },
}
L1 = {
    "none": {},
    "subgradient": {"l1": 0.1},
    "orthant": {"l1": 0.1, "l1_update": "orthant"},
    "activations": {"l1": 0.1, "l1_target": "activations"},
}
NOISE = {
    "none": {},
    "step": {"noise": "gaussian", "noise_std": 0.1},
    "input": {"noise": "gaussian", "noise_std": 0.1, "noise_sharing": "input"},
}
INPUTS = {
    "basis": fp.Basis(),
    "fixed": fp.FixedBatch(random_batch(np.random.default_rng(0), ROWS, N)),
    "independent": fp.Independent(0.3, batch_size=ROWS),
    "uniform": fp.Independent(0.4, batch_size=ROWS, magnitude="uniform"),
    "correlated": fp.CorrelatedBlocks(2, 2, batch_size=ROWS),
    "zipf": fp.Independent(
        0.9 / np.arange(1, N + 1),
        ROWS,
        ("one", "uniform", "sign", "signed_uniform", "one", "uniform"),
    ),
}
OPTIONS = list(
    products(inputs=list(INPUTS), noise=list(NOISE), l1=list(L1), dtype=["float32", "float64"])
)
MODELS = list(products(optimizer=list(OPTIMIZERS), tied=[True, False], bias=[False, True]))
COUNTS = list(spec.counts(np.zeros((1, 1))))
HISTORY = ["objective", "loss", "residual", *COUNTS, "nonzeros", "l1_norm", "fourth_norm"]


def configure(optimizer, noise, l1, inputs="basis", **options):
    return fp.Config(
        **{
            "n_features": N,
            "n_hidden": M,
            "steps": STEPS,
            "inputs": INPUTS[inputs] if isinstance(inputs, str) else inputs,
            **OPTIMIZERS[optimizer],
            **NOISE[noise],
            **L1[l1],
            **options,
        }
    )


def start(config, rng):
    """(models of the specification, initial_weights) for S seeds."""
    models = [random_model(rng, config) for _ in range(S)]
    return models, pack(*stacked(models, config.dtype))


def batches_of(config, seed):
    """What `spec.run` takes as a batch."""
    kind = type(config.inputs).__name__
    if kind == "Basis":
        return np.eye(config.n_features)
    if kind == "FixedBatch":
        return config.inputs.to_dense()
    return lambda step: spec.draw_batch(config, int(seed), step)


def final_batch(config):
    """The rows on which loss and residual are told at the end."""
    fixed = type(config.inputs).__name__ == "FixedBatch"
    return config.inputs.to_dense() if fixed else np.eye(config.n_features)


def expected_metrics(config, model):
    """What is recorded of a state, but for the objective of the step that follows."""
    counted = spec.effective(model)
    matrices = [a for a in model[:2] if a is not None]
    return {
        "loss": spec.squared_error(config, model, np.eye(config.n_features)),
        "residual": spec.residual(config, model, final_batch(config)),
        **spec.counts(counted),
        "nonzeros": sum(np.count_nonzero(a) for a in matrices),
        "l1_norm": sum(np.abs(a).sum() for a in matrices),
        "fourth_norm": np.mean(np.sum(counted**4, axis=1)),
    }


def check_against_specification(config, rng, tolerance):
    models, initial = start(config, rng)
    sequence = None
    if config.noise != "none":
        rows = {"Basis": N}.get(type(config.inputs).__name__, ROWS)
        shape = (S, STEPS, M) if config.noise_sharing == "step" else (S, STEPS, rows, M)
        sequence = rng.normal(0, config.noise_std, shape).astype(config.dtype)
    dropout: list = [None] * S
    if config.dropout:
        rows = config._rows
        dropout = [
            [spec.draw_dropout(config, int(seed), step, rows) for step in range(STEPS)]
            for seed in SEEDS
        ]
    result = fp.train(
        config,
        SEEDS,
        initial_weights=initial,
        noise_sequence=sequence,
        record=(HISTORY, range(STEPS + 1)),
        return_weights=True,
    )
    history = result.history
    assert list(history["step"]) == list(range(STEPS + 1))
    assert list(result.steps_taken) == [STEPS] * S
    assert not result.diverged.any()
    for s, seed in enumerate(SEEDS):
        noise = None if sequence is None else sequence[s]
        scale = spec.scale(config.inputs, N)
        run = spec.run(config, models[s], batches_of(config, seed), noise, scale, dropout[s])
        np.testing.assert_allclose(
            history["objective"][s, :-1], run.objective, rtol=tolerance, err_msg="objective"
        )
        assert np.isnan(history["objective"][s, -1])
        for step in (0, STEPS // 2, STEPS):
            for name, expected in expected_metrics(config, run.weights[step]).items():
                told = history[name][s, step]
                if isinstance(expected, int):
                    assert told == expected, f"{name} at step {step}"
                else:
                    close = pytest.approx(expected, rel=tolerance, abs=tolerance)
                    assert told == close, f"{name} at step {step}"
                if step == STEPS and hasattr(result, name):
                    assert getattr(result, name)[s] == told
        for ours, theirs in zip(unpack(result.weights), run.weights[-1], strict=True):
            assert (ours is None) == (theirs is None)
            if ours is not None:
                assert ours.dtype == np.dtype(config.dtype)
                np.testing.assert_allclose(
                    ours[s], theirs, rtol=0, atol=tolerance, err_msg="weights"
                )


PER_SEED = [*COUNTS, "nonzeros", "loss", "residual", "steps_taken", "diverged"]


def can_serve(kernel, config):
    return not core.kernel_refusal(core_settings(config), kernel)


def assert_same(a, b, order_a=slice(None), order_b=slice(None)):
    for name in PER_SEED:
        np.testing.assert_array_equal(getattr(a, name)[order_a], getattr(b, name)[order_b], name)
    for x, y in zip(unpack(a.weights), unpack(b.weights), strict=True):
        if x is not None:
            np.testing.assert_array_equal(x[order_a], y[order_b])
    for name in a.history or {}:
        if name != "step":
            np.testing.assert_array_equal(a.history[name][order_a], b.history[name][order_b], name)
