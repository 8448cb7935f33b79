"""Results do not depend on how other libraries have set rounding and subnormal numbers."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import fastpolysem as fp
from fastpolysem._native import core
from fastpolysem.families.autoencoder.config import core_settings

# Flush-to-zero and rounding away from nearest, as MXCSR and FPCR spell them.
BITS = {
    "x86_64": {"flush": 0x8040, "upwards": 0x4000},
    "AMD64": {"flush": 0x8040, "upwards": 0x4000},
    "aarch64": {"flush": 1 << 24, "upwards": 1 << 22},
    "arm64": {"flush": 1 << 24, "upwards": 1 << 22},
}.get(platform.machine(), {})

pytestmark = pytest.mark.skipif(not BITS, reason="unknown how this processor spells it")

# Weights begin as subnormal numbers, and grow.
SUBNORMAL = fp.Config(
    n_features=8,
    n_hidden=32,
    activation="linear",
    optimizer="sgd",
    learning_rate=0.05,
    init_scale=1e-38,
    steps=600,
)


@pytest.fixture
def standard() -> Iterator[int]:
    """The environment that the test found, put back at its end."""
    found: int = core.testing.float_environment()
    yield found
    core.testing.set_float_environment(found)


def weights(config: fp.Config, **options: Any) -> Any:
    return fp.train(config, 33, return_weights=True, **options).weights


def assert_unchanged(results: Callable[[], list[Any]], standard: int, change: str) -> None:
    expected = results()
    core.testing.set_float_environment(standard | BITS[change])
    found = results()
    core.testing.set_float_environment(standard)
    for a, b in zip(expected, found, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("change", ["flush", "upwards"])
@pytest.mark.parametrize("kernel", ["lanes", "dense", "generic"])
def test_training_has_the_same_bits(standard: int, change: str, kernel: str) -> None:
    expected = weights(SUBNORMAL, kernel=kernel, num_threads=2)  # the threads are there now
    assert np.abs(expected).max() > 0.1
    core.testing.set_float_environment(standard | BITS[change])
    for threads in (1, 2, 7):
        np.testing.assert_array_equal(
            weights(SUBNORMAL, kernel=kernel, num_threads=threads), expected
        )
    assert core.testing.float_environment() & ~0x3F == (standard | BITS[change]) & ~0x3F


def test_the_switches_work(standard: int) -> None:
    """Otherwise the tests here could not fail."""
    tiny = np.full(64, 1e-30, np.float32)
    core.testing.set_float_environment(standard | BITS["flush"])
    flushed = tiny * np.float32(1e-10)
    core.testing.set_float_environment(standard | BITS["upwards"])
    rounded = np.float32(1) + tiny
    core.testing.set_float_environment(standard)
    assert (flushed == 0).all()
    assert (tiny * np.float32(1e-10) != 0).all()
    assert (rounded > 1).all()
    assert (np.float32(1) + tiny == 1).all()


@pytest.mark.parametrize("change", ["flush", "upwards"])
def test_every_other_way_in_has_the_same_bits(standard: int, change: str) -> None:
    config = fp.Config(n_features=5, n_hidden=7, l1=1e-2, noise="gaussian", noise_std=0.1)
    w = np.random.default_rng(0).normal(size=(3, 5, 7)).astype(np.float32) * np.float32(1e-20)

    def results() -> list[Any]:
        loss, gradient = fp.loss_and_gradient(w, config)
        start = core.encoding_start(0, 1000, 0.03)
        run = core.encoding_run(start, 1e-3, 1e-2, 10.0, [1.0, 10.0])
        settings = core_settings(config)
        seeds = np.arange(3, dtype=np.uint64)
        drawn = core.draw_noise(settings, seeds, 0, 1)
        return [loss, gradient, fp.forward(w, config), start, run["l1_norm"], drawn,
                core.initial_weights(settings, seeds)[0]]  # fmt: skip

    assert_unchanged(results, standard, change)


@pytest.mark.parametrize("change", ["flush", "upwards"])
def test_data_sets_have_the_same_bits(standard: int, change: str) -> None:
    rng = np.random.default_rng(1)
    rows, targets = rng.random((8, 4)), rng.random((8, 2))
    config = fp.NetworkConfig(
        widths=(4, 5, 2), inputs=fp.Dataset(rows, targets), learning_rate=0.01, steps=20
    )

    def results() -> list[Any]:
        result = fp.train(config, 3, return_weights=True)
        w = result.weights
        loss, gradient = fp.loss_and_gradient(w, config, batch=rows, targets=targets)
        measures = fp.measure(w, config)
        return [result.loss, *w.weights, loss, *gradient.weights, measures.loss, *measures.rises]

    assert_unchanged(results, standard, change)


def test_a_callback_has_the_callers_environment_and_may_change_it(standard: int) -> None:
    config = fp.Config(n_features=64, n_hidden=128, l1=1e-3, steps=300)
    expected = fp.train(config, 8, num_threads=1, return_weights=True).weights
    seen = []

    def progress(done: int, total: int) -> None:
        seen.append(core.testing.float_environment() & BITS["flush"])
        core.testing.set_float_environment(standard | BITS["flush"])

    result = fp.train(config, 8, num_threads=1, return_weights=True, progress=progress)
    assert core.testing.float_environment() & BITS["flush"]
    core.testing.set_float_environment(standard)
    assert seen[0] == 0
    np.testing.assert_array_equal(result.weights, expected)


@pytest.mark.extra
def test_pytorchs_switch(standard: int) -> None:
    torch = pytest.importorskip("torch")
    expected = weights(SUBNORMAL, num_threads=2)
    assert torch.set_flush_denormal(True)
    try:
        for threads in (1, 2, 7):
            np.testing.assert_array_equal(weights(SUBNORMAL, num_threads=threads), expected)
    finally:
        torch.set_flush_denormal(False)
