"""Memory follows the models in training, not the number of seeds, and is what was estimated."""

from __future__ import annotations

import subprocess
import sys

import pytest

SCRIPT = """
import resource, sys
import fastpolysem as fp
fp.train(eval(sys.argv[1]), int(sys.argv[2]), num_threads=2)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def peak(config: str, seeds: int) -> float:
    """Largest resident size of a process that trains so many seeds, in MiB."""
    words = [sys.executable, "-c", SCRIPT, config, str(seeds)]
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return int(subprocess.run(words, capture_output=True, text=True, check=True).stdout) / unit


def test_fifty_times_the_seeds_take_no_more_than_their_results() -> None:
    # 105 bytes of results a seed are 5 MiB; a model kept for each would take 7 KiB a seed, 350 MiB.
    config = "fp.Config(n_features=4, n_hidden=6, l1=1e-2, steps=3)"
    assert peak(config, 50_000) - peak(config, 1000) < 50


@pytest.mark.slow
def test_a_hundred_times_the_networks_take_no_more_than_their_results() -> None:
    # A network kept for each seed, and its moments, would take 3 KiB: 300 MiB.
    config = "fp.NetworkConfig(widths=(8, 16, 8), inputs=fp.Independent(0.1, 32), steps=20)"
    assert peak(config, 100_000) - peak(config, 1000) < 50


ESTIMATED = """
import sys
import numpy as np
import fastpolysem as fp
from fastpolysem import families
def peak():
    with open("/proc/self/status") as status:
        return next(1024 * int(line.split()[1]) for line in status if line.startswith("VmHWM"))
config, kernel, seeds = eval(sys.argv[1])
fp.train(fp.Config(n_features=2, n_hidden=2, steps=1), 1)
fp.train(fp.NetworkConfig(widths=(2, 2, 2), steps=1), 1)
before = peak()
fp.train(config, seeds, kernel=kernel, num_threads=1)
print(peak() - before, families.family_of(config).memory(config, kernel, seeds, 1))
"""

# Some 100 MB each, in shapes that padding and options change most.
LARGE = {
    "one feature": ("n_features=1, n_hidden=150_001", "generic dense"),
    "one feature, orthant": (
        "n_features=1, n_hidden=100_001, l1=1e-3, l1_update='orthant'",
        "sparse generic",
    ),
    "one feature, noise": (
        "n_features=1, n_hidden=150_001, noise='gaussian', noise_std=0.1, noise_sharing='step'",
        "dense",
    ),
    "one neuron": ("n_features=1601, n_hidden=1", "generic dense"),
    "odd": ("n_features=1031, n_hidden=1201, optimizer='sgd', learning_rate=0.01", "generic dense"),
    "odd, orthant": (
        "n_features=701, n_hidden=1501, l1=1e-3, l1_update='orthant', learning_rate=1e-5",
        "sparse",
    ),
    "untied, double": (
        "n_features=401, n_hidden=1001, tied=False, bias=True, dtype='float64'",
        "generic dense",
    ),
    "noise of its own": (
        "n_features=301, n_hidden=301, noise='gaussian', noise_std=0.1, noise_sharing='input',"
        "inputs=fp.Independent(0.01, 10_001)",
        "generic",
    ),
    "dropout": (
        "n_features=301, n_hidden=301, dropout=0.1, inputs=fp.Independent(0.01, 10_001)",
        "generic",
    ),
    "dense batch": ("n_features=64, n_hidden=8, inputs=fp.Independent(0.5, 150_000)", "dense"),
    "dense batch, magnitudes": (
        "n_features=64, n_hidden=8, inputs=fp.Independent(0.5, 100_000, magnitude='uniform')",
        "dense",
    ),
    "many short rows": ("n_features=9, n_hidden=2, inputs=fp.Independent(0.1, 2_100_000)", "dense"),
    "blocks": ("n_features=64, n_hidden=8, inputs=fp.CorrelatedBlocks(2, 16, 200_000)", "dense"),
    "orthogonal": ("n_features=1001, n_hidden=1501, init='orthogonal'", "dense"),
    "lanes": ("n_features=81, n_hidden=119, dtype='float64'", "lanes"),
}
# The same of networks.
LARGE_NETWORKS = {
    "wide": ("widths=(301, 2001, 301), bias=True", "rows"),
    "tied, residual, double": (
        "widths=(701, 701, 701), residual=(1,), tied=True, dtype='float64'",
        "rows",
    ),
    "many rows": ("widths=(33, 65, 33), inputs=fp.Independent(0.1, 40_001)", "generic"),
    "many short rows": ("widths=(9, 2, 9), inputs=fp.Independent(0.1, 2_100_000)", "rows"),
    "blocks": ("widths=(64, 2, 64), inputs=fp.CorrelatedBlocks(2, 16, 500_000)", "rows"),
    "magnitudes": ("widths=(65, 9, 65), inputs=fp.Independent(0.5, 150_001, 'uniform')", "rows"),
    "noise, dropout": (
        "widths=(9, 49, 9), inputs=fp.Independent(0.1, 100_001), noise='gaussian', noise_std=0.1,"
        "dropout=0.1, l1=1e-3, l1_target='activations'",
        "rows",
    ),
    "parity": (
        "widths=(9, 8, 90), inputs=fp.Independent(0.1, 200_001),"
        "target=fp.targets.Parity([(0, 1)] * 90)",
        "rows",
    ),
    "lanes, noise": (
        "widths=(9, 33, 9), inputs=fp.Independent(0.5, 30_001), noise='uniform', noise_std=0.1",
        "lanes",
    ),
    "orthogonal": ("widths=(601, 1201, 601), init='orthogonal', optimizer='sgd'", "rows"),
}


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="measured by Linux's /proc")
@pytest.mark.parametrize("case", [*LARGE, *(f"network, {case}" for case in LARGE_NETWORKS)])
def test_estimates_are_what_is_taken(case: str) -> None:
    made = "fp.Config" if case in LARGE else "fp.NetworkConfig"
    options, kernels = LARGE.get(case) or LARGE_NETWORKS[case.removeprefix("network, ")]
    for kernel in kernels.split():
        words = f"{made}({options}, steps=2), {kernel!r}, {16 if kernel == 'lanes' else 1}"
        done = subprocess.run(
            [sys.executable, "-c", ESTIMATED, words], capture_output=True, text=True, check=True
        )
        taken, estimate = map(int, done.stdout.split())
        # The allocator rounds, and what was freed by the first training is used again.
        slack = 2 << 20
        assert taken <= 1.05 * estimate + slack, (kernel, taken, estimate)
        assert estimate <= 1.6 * taken + slack, (kernel, taken, estimate)
