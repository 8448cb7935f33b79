"""One step of one network, batch included: ours against what people use, and how it grows.

From the same start and the same batches every peer computes what we do, which is asserted first.
Then each draws its own batches. Times are per seed and step, since each is given as much work as
fills a fraction of a second. Ours include the start and the evaluation at the end of a training,
some 3 % at these numbers of steps.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import pytest

import fastpolysem as fp

from . import conftest
from . import network_peers as peers


@dataclass(frozen=True)
class Setting:
    config: fp.NetworkConfig  # of a peer's run
    stacks: tuple[int, ...]  # numbers of networks at once that a peer tries; the last is all
    ours: tuple[int, int]  # seeds and steps of our run


def network(widths: tuple[int, ...], **given: object) -> fp.NetworkConfig:
    return fp.NetworkConfig(widths=widths, bias=True, optimizer="adam", **given)


def sparse(batch_size: int, probability: float = 0.05) -> fp.Independent:
    return fp.Independent(probability, batch_size, "uniform")


def dense(widths: tuple[int, ...], count: int, batch_size: int | None, classes: bool) -> fp.Dataset:
    generator = np.random.default_rng(0)
    rows = generator.standard_normal((count, widths[0]))
    scores = rows @ generator.standard_normal((widths[0], widths[-1])) / np.sqrt(widths[0])
    return fp.Dataset(rows, scores.argmax(1) if classes else np.tanh(scores), batch_size)


def absolute(steps: int) -> fp.NetworkConfig:
    target, inputs = fp.targets.Absolute(), sparse(1024)
    return network((100, 40, 100), output="relu", target=target, inputs=inputs, steps=steps)


def classifier(steps: int) -> fp.NetworkConfig:
    widths = (64, 128, 128, 10)
    inputs = dense(widths, 2048, 512, classes=True)
    return network(widths, loss=fp.losses.CrossEntropy(), inputs=inputs, steps=steps)


WIDE = (256, 512, 256)
SETTINGS = {
    "100-40-100, 1024 fresh rows, p=.05": Setting(absolute(16), (1, 4, 16), (8, 800)),
    "64-128-128-10, 512 of 2048 dense rows": Setting(classifier(16), (1, 4, 16), (8, 400)),
    "256-512-256, 1024 dense rows": Setting(
        network(WIDE, inputs=dense(WIDE, 1024, None, classes=False), steps=6), (1, 2, 4), (4, 80)
    ),
    "16-32-32-16, 256 fresh rows, p=.05": Setting(
        network((16, 32, 32, 16), inputs=sparse(256), steps=16), (16, 64, 256), (32, 1600)
    ),
    "8-16-8, 64 fresh rows, p=.05": Setting(
        network((8, 16, 8), inputs=sparse(64), steps=12), (256, 1024, 4096), (256, 8000)
    ),
    "8-16-8, one-hot rows": Setting(
        network((8, 16, 8), steps=40), (256, 1024, 4096), (256, 20_000)
    ),
}


def start_of(config: fp.NetworkConfig, seeds: int) -> peers.Layers:
    given = fp.train(config.replace(steps=0), seeds, return_weights=True).weights
    return list(zip(given.weights, given.biases, strict=True))


def trained(
    config: fp.NetworkConfig, seeds: int, start: peers.Layers | None = None, **options: object
) -> fp.TrainingResult:
    if start is not None:
        options["initial_weights"] = fp.NetworkParameters(*map(list, zip(*start, strict=True)))
    return fp.train(config, seeds, **options)


def arrays_of(result: fp.TrainingResult) -> list[np.ndarray]:
    return [*result.weights.weights, *result.weights.biases]


def assert_agrees(peer: peers.Peer, config: fp.NetworkConfig, dtype: str) -> None:
    """From one start, on the batches that we draw, the peer's parameters are ours."""
    # Adam's step has full size even where a gradient is nothing but rounding, unless epsilon is
    # large; then all that is computed shows in proportion.
    config, seeds = config.replace(steps=3, epsilon=1.0, learning_rate=0.1, dtype=dtype), 2
    start = start_of(config, seeds)
    given = []
    for step in range(config.steps):
        draws = [fp.draw(config, seed, step) for seed in range(seeds)]
        given.append((np.stack([d.inputs for d in draws]), np.stack([d.targets for d in draws])))
    ours = arrays_of(trained(config, seeds, start, return_weights=True))
    theirs = peer(start, config, given)
    for a, b, before in zip(
        ours,
        [w for w, _ in theirs] + [b for _, b in theirs],
        [w for w, _ in start] + [b for _, b in start],
        strict=True,
    ):
        assert a.dtype == b.dtype == dtype
        if dtype == "float64":
            assert np.abs(a - b).max() < 1e-12
        else:
            # Where a row lies on a kink but for rounding, a unit's weights differ by that row's
            # share; in double precision no row does.
            assert np.quantile(np.abs(a - b), 0.99) < 2e-6
        assert np.abs(a - before).max() > 1e-3


def flops_of(config: fp.NetworkConfig) -> float:
    """Of a step's products, the first layer's at the share of its inputs that are not zero."""
    products = [d * e for d, e in zip(config.widths, config.widths[1:], strict=False)]
    density = 1.0
    if isinstance(config.inputs, fp.Independent):
        density = config.inputs.probability
    elif isinstance(config.inputs, fp.Basis):
        density = 1 / config.widths[0]
    return peers.rows_of(config) * (4 * density * products[0] + 6 * sum(products[1:]))


@pytest.mark.parametrize("name", ["fastpolysem", *peers.PEERS])
@pytest.mark.parametrize("setting", SETTINGS)
def test_network_step(benchmark, peak, setting, name):
    benchmark.group = f"networks: {setting}"
    config, stacks, ours = (getattr(SETTINGS[setting], f) for f in ("config", "stacks", "ours"))
    if name in peers.PEERS:
        time_peer(benchmark, peers.PEERS[name], config, stacks)
    else:
        time_ours(benchmark, config.replace(steps=ours[1]), ours[0])
    seconds = benchmark.extra_info["seconds_per_seed_step"]
    benchmark.extra_info["fraction_of_peak"] = flops_of(config) / seconds / peak


def time_ours(benchmark, config: fp.NetworkConfig, seeds: int) -> None:
    few, count = config.replace(steps=2), int(np.clip(2e8 / flops_of(config), 1, 17))
    found, generic = (
        arrays_of(trained(few, count, return_weights=True, kernel=kernel))
        for kernel in ("auto", "generic")
    )
    assert all(np.array_equal(a, b) for a, b in zip(found, generic, strict=True))
    result = conftest.measure(
        benchmark, lambda: trained(config, seeds), seeds * config.steps, rounds=3
    )
    benchmark.extra_info["kernel"] = result.kernel
    leave_out_the_end(benchmark, lambda: trained(config.replace(steps=0), seeds), seeds, config)


def leave_out_the_end(benchmark, end, seeds: int, config: fp.NetworkConfig) -> None:
    """Take what networks are measured on at the end off the time of a step: peers do not measure,
    and it takes as long after few steps as after many."""
    times = []
    for _ in range(3):
        begin = time.perf_counter()
        end()
        times.append(time.perf_counter() - begin)
    benchmark.extra_info["seconds_per_seed_step"] -= min(times) / (seeds * config.steps)


def time_peer(benchmark, peer: peers.Peer, config: fp.NetworkConfig, stacks: tuple) -> None:
    assert_agrees(peer, config, "float32")
    assert_agrees(peer, config, "float64")
    seeds = stacks[-1]
    start = start_of(config, seeds)
    best = conftest.fastest(stacks, lambda size: peers.in_stacks(peer, start, config, size))
    benchmark.extra_info["batch"] = best
    result = conftest.measure(
        benchmark,
        lambda: peers.in_stacks(peer, start, config, best),
        seeds * config.steps,
        rounds=3,
    )
    # It drew batches of its own: the networks are others, but on average as good.
    done = config.replace(steps=0)
    begin, theirs = (trained(done, seeds, x).loss.mean() for x in (start, result))
    expected = trained(config, seeds, start).loss.mean()
    assert begin - theirs == pytest.approx(begin - expected, rel=0.05)


EXTRAS = {
    "plain": {},
    "noise": {"noise": "gaussian", "noise_std": 0.1},
    "dropout": {"dropout": 0.1},
}
NOISY = ("100-40-100, 1024 fresh rows, p=.05", "64-128-128-10, 512 of 2048 dense rows")


@pytest.mark.parametrize("name", EXTRAS)
@pytest.mark.parametrize("setting", NOISY)
def test_noise_and_dropout(benchmark, setting, name):
    """What Gaussian noise or dropout on every hidden unit and row adds to a step."""
    benchmark.group = f"networks: noise and dropout, {setting}"
    seeds, steps = SETTINGS[setting].ours
    time_ours(benchmark, SETTINGS[setting].config.replace(steps=steps, **EXTRAS[name]), seeds)


BASE = {"width": 64, "layers": 1, "rows": 256, "density": 0.05, "seeds": 8, "threads": None}
CASES = [
    *[("hidden width", "width", width) for width in (16, 64, 256, 1024)],
    *[("hidden layers", "layers", layers) for layers in (1, 2, 4, 8)],
    *[("rows of a batch", "rows", rows) for rows in (64, 256, 1024, 4096)],
    *[("density p", "density", p) for p in (0.01, 0.03, 0.1, 0.3, 1.0)],
    *[("seeds", "seeds", seeds) for seeds in (2, 8, 32, 128)],
    *[("threads", "threads", threads) for threads in (1, conftest.THREADS)],
]


@pytest.mark.parametrize(("group", "what", "value"), CASES)
def test_network_growth(benchmark, group, what, value):
    benchmark.group = f"networks: growth with {group}"
    benchmark.extra_info[what] = value
    size = {**BASE, what: value}
    widths = (64, *[size["width"]] * size["layers"], 64)
    steps = 2**16 // size["rows"]
    config = network(widths, inputs=sparse(size["rows"], size["density"]))
    seeds, threads = size["seeds"], size["threads"]

    def run(steps: int) -> None:
        trained(config.replace(steps=steps), seeds, num_threads=threads)

    conftest.measure(benchmark, lambda: run(steps), seeds * steps, rounds=3)
    leave_out_the_end(benchmark, lambda: run(0), seeds, config.replace(steps=steps))
