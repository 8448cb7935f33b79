"""A whole run of the collision experiment with orthant-wise l1: 7500 steps, the same rule for all.

Weights become exactly zero on the way, and the sparse kernel's cost follows those that are left.
"""

from __future__ import annotations

import numpy as np
import pytest

import fastpolysem as fp

from . import conftest, peers

TASK = peers.Task(l1=1e-3, orthant=True)
PEERS = {"torch": peers.torch_autograd, "jax": peers.jax_scan}
STEPS = 7500


@pytest.mark.parametrize("name", ["sparse", "dense", *PEERS])
def test_orthant_run(benchmark, name):
    n, m, seeds = 256, 1024, 2
    benchmark.group = f"whole orthant run, n={n}, m={m}, l1=1e-3 ({seeds} seeds x {STEPS} steps)"
    weights = conftest.start(n, m, seeds)

    def run():
        if name in PEERS:
            return peers.in_batches(PEERS[name], weights, TASK, STEPS, batch)
        return conftest.ours(TASK, weights, STEPS, kernel=name)

    if name in PEERS:
        batch = conftest.best_batch(PEERS[name], weights, TASK, 20, (1, 2))
        benchmark.extra_info["batch"] = batch
    result = conftest.measure(benchmark, run, seeds * STEPS, rounds=1, warmup=0)
    counts = fp.count_polysemantic(np.asarray(result))
    expected = fp.count_polysemantic(conftest.ours(TASK, weights, STEPS))
    benchmark.extra_info["polysemantic"] = counts.tolist()
    # Rounding differs, so single collisions may end otherwise; the bits of our kernels may not.
    assert np.all(np.abs(counts - expected) <= (6 if name in PEERS else 0))
