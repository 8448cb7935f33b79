"""How the time of a step grows with neurons, features, seeds, density and batch size."""

from __future__ import annotations

import pytest

import fastpolysem as fp

from . import conftest, peers

BASE = {"n": 128, "m": 512, "seeds": 4, "probability": 0.05, "batch_size": 512}
CASES = [
    *[("neurons m", "m", m, False) for m in (128, 512, 2048, 8192)],
    *[("features n", "n", n, False) for n in (32, 64, 128, 256, 512)],
    *[("seeds", "seeds", seeds, False) for seeds in (2, 8, 32, 128)],
    *[("density p", "probability", p, True) for p in (0.01, 0.03, 0.1, 0.3)],
    *[("batch size", "batch_size", b, True) for b in (64, 256, 1024, 4096)],
]


@pytest.mark.parametrize(("group", "what", "value", "sampled"), CASES)
def test_growth(benchmark, group, what, value, sampled):
    benchmark.group = f"growth with {group}"
    size = {**BASE, what: value}
    task = peers.Task(
        l1=1e-3,
        batch_size=size["batch_size"] if sampled else 0,
        probability=size["probability"] if sampled else 0.0,
    )
    steps = 20
    config = conftest.config_of(task, size["n"], size["m"], steps)
    benchmark.extra_info[what] = value
    conftest.measure(benchmark, lambda: fp.train(config, size["seeds"]), size["seeds"] * steps)
