"""One step of one seed, AdamW with an l1 subgradient: ours against what people use.

Every entry of a group does the same work (the same steps of the same seeds) from the same weights,
so the times compare as they stand. Peers run at the batch size that was best in a trial before.
"""

from __future__ import annotations

import numpy as np
import pytest

from . import conftest, peers

TASK = peers.Task(l1=1e-3)
PEERS = {
    "torch": peers.torch_autograd,
    "torch-gram": peers.torch_gram,
    "jax": peers.jax_scan,
    "numpy": peers.numpy_gram,
}
CASES = [(256, 1024, 8, 150), (256, 4096, 4, 80), (64, 128, 64, 600), (100, 333, 32, 300)]


@pytest.mark.parametrize("name", ["dense", "generic", *PEERS])
@pytest.mark.parametrize(("n", "m", "seeds", "steps"), CASES)
def test_adamw_step(benchmark, peak, name, n, m, seeds, steps):
    benchmark.group = f"AdamW step, n={n}, m={m} ({seeds} seeds x {steps} steps)"
    weights = conftest.start(n, m, seeds)
    if name in PEERS:
        # Later the subgradient's sign flips on rounding wherever a weight is near zero.
        few = conftest.ours(TASK, weights[:2], 3)
        assert np.quantile(np.abs(PEERS[name](weights[:2], TASK, 3) - few), 0.999) < 1e-5
        batch = conftest.best_batch(PEERS[name], weights, TASK, 10, (1, 2, 4, 8, 16, 64))
        benchmark.extra_info["batch"] = batch
    else:
        assert np.array_equal(
            conftest.ours(TASK, weights[:2], 3, kernel=name),
            conftest.ours(TASK, weights[:2], 3, kernel="generic"),
        )

    def run():
        if name in PEERS:
            return peers.in_batches(PEERS[name], weights, TASK, steps, batch)
        return conftest.ours(TASK, weights, steps, kernel=name)

    conftest.measure(benchmark, run, seeds * steps, rounds=3)
    flops = 3 * n * n * m * seeds * steps / benchmark.stats.stats.median
    benchmark.extra_info["fraction_of_peak"] = flops / peak


@pytest.mark.parametrize("threads", [1, 2])
def test_threads(benchmark, threads):
    """Two threads against one, on the same work."""
    benchmark.group = "threads, AdamW step, n=256, m=1024 (8 seeds x 150 steps)"
    weights = conftest.start(256, 1024, 8)
    conftest.measure(
        benchmark, lambda: conftest.ours(TASK, weights, 150, num_threads=threads), 8 * 150
    )
