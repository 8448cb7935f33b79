"""Co-occurring features: a fresh batch of 1024 sparse inputs at each step."""

from __future__ import annotations

import numpy as np
import pytest

from . import conftest, peers

N, M, SEEDS, STEPS = 256, 1024, 4, 50  # the start costs as much as two steps
BATCH = peers.Task(l1=1e-3, batch_size=1024, probability=0.05)
BASIS = peers.Task(l1=1e-3)


@pytest.mark.parametrize("name", ["batch", "basis", "torch"])
def test_sparse_batch_step(benchmark, name):
    benchmark.group = f"AdamW step, batch of 1024, p=0.05, n={N}, m={M} ({SEEDS} seeds x {STEPS})"
    weights = conftest.start(N, M, SEEDS)
    if name == "torch":
        best = conftest.best_batch(peers.torch_autograd, weights, BATCH, 10, (1, 2, 4))

    def run():
        if name == "torch":
            return peers.in_batches(peers.torch_autograd, weights, BATCH, STEPS, best)
        return conftest.ours(BASIS if name == "basis" else BATCH, weights, STEPS)

    result = conftest.measure(benchmark, run, SEEDS * STEPS)
    # Adam's first steps have the size of the learning rate whatever the batch: the squared norms
    # after them agree between samples and libraries, not the single weights.
    assert np.mean(result**2) == pytest.approx(np.mean(weights**2), rel=0.1)
