from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable

import numpy as np
import pytest

import fastpolysem as fp
from fastpolysem._native import core

from . import peers

THREADS = core.default_threads()


@pytest.fixture(scope="session")
def peak() -> float:
    """Floating point operations a second of all threads, measured now."""
    return core.fma_peak() * THREADS


def start(n: int, m: int, seeds: int) -> np.ndarray:
    generator = np.random.default_rng(0)
    return (generator.standard_normal((seeds, n, m)) / np.sqrt(m)).astype(np.float32)


def fastest(sizes: tuple[int, ...], run: Callable[[int], object]) -> int:
    """The size of the parts with which the same work is done fastest."""
    trials: dict[int, list[float]] = defaultdict(list)
    for _ in range(4):  # in turns, since the machine drifts; the first compiles and warms up
        for size in sizes:
            begin = time.perf_counter()
            run(size)
            trials[size].append(time.perf_counter() - begin)
    return min(trials, key=lambda size: min(trials[size][1:]))


def best_batch(
    peer: peers.Peer, weights: np.ndarray, task: peers.Task, steps: int, batches: tuple[int, ...]
) -> int:
    """The number of models at a time with which a peer is fastest, tried on a few steps."""
    fitting = tuple(batch for batch in batches if len(weights) % batch == 0)
    sample = weights[: max(fitting)]
    return fastest(fitting, lambda batch: peers.in_batches(peer, sample, task, steps, batch))


def measure(
    benchmark: object,
    run: Callable[[], object],
    seed_steps: int,
    rounds: int = 5,
    warmup: int = 1,
) -> object:
    """Time `run` and note the time of one step of one seed."""
    result = benchmark.pedantic(run, rounds=rounds, iterations=1, warmup_rounds=warmup)  # type: ignore[attr-defined]
    seconds = benchmark.stats.stats.median / seed_steps  # type: ignore[attr-defined]
    benchmark.extra_info["seconds_per_seed_step"] = seconds  # type: ignore[attr-defined]
    return result


def ours(task: peers.Task, weights: np.ndarray, steps: int, **options: object) -> np.ndarray:
    """The same as a peer, trained by us from the same weights."""
    config = config_of(task, weights.shape[1], weights.shape[2], steps)
    result = fp.train(config, len(weights), initial_weights=weights, return_weights=True, **options)
    assert isinstance(result.weights, np.ndarray)
    return result.weights


def config_of(task: peers.Task, n: int, m: int, steps: int) -> fp.Config:
    config = fp.Config(
        n_features=n,
        n_hidden=m,
        optimizer=task.optimizer,
        learning_rate=task.learning_rate,
        l1=task.l1,
        steps=steps,
    )
    if task.orthant:
        config = config.replace(l1_update="orthant")
    if task.noise_std:
        config = config.replace(noise="rademacher", noise_std=task.noise_std)
    if task.batch_size:
        config = config.replace(inputs=fp.Independent(task.probability, task.batch_size))
    return config
