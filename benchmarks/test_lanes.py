"""The paper's noise experiment: n=8, m=16, random signs on the hidden layer, plain SGD."""

from __future__ import annotations

import numpy as np
import pytest

import fastpolysem as fp

from . import conftest, peers

TASK = peers.Task(optimizer="sgd", learning_rate=0.02, noise_std=0.1)
PEERS = {"torch": peers.torch_autograd, "jax": peers.jax_scan}
SEEDS, STEPS = 10_000, 500


@pytest.mark.parametrize("name", ["lanes", "dense", *PEERS])
def test_noise(benchmark, name):
    n, m = 8, 16
    benchmark.group = f"SGD with sign noise, n={n}, m={m} ({SEEDS} seeds x {STEPS} steps)"
    weights = conftest.start(n, m, SEEDS)
    expected = fp.metrics.fourth_norm(conftest.ours(TASK, weights, STEPS)).mean()
    if name in PEERS:
        batch = conftest.best_batch(PEERS[name], weights, TASK, 20, (100, 1000, 5000, SEEDS))
        benchmark.extra_info["batch"] = batch

    def run():
        if name in PEERS:
            return peers.in_batches(PEERS[name], weights, TASK, STEPS, batch)
        return conftest.ours(TASK, weights, STEPS, kernel=name)

    result = conftest.measure(benchmark, run, SEEDS * STEPS, rounds=3)
    # The noise is drawn by each library's own generator: the mean over seeds agrees.
    assert fp.metrics.fourth_norm(np.asarray(result)).mean() == pytest.approx(expected, rel=0.01)
