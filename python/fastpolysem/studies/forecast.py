"""Estimates how long collecting takes and how much it stores, before it starts."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Unpack

import numpy as np

from fastpolysem.families import AnyConfig, family_of
from fastpolysem.studies.blocks import Kept, block_size, flops_of_seed, train_blocks
from fastpolysem.studies.holding import Holding
from fastpolysem.studies.options import Keywords, Options, checked_options
from fastpolysem.studies.seedsets import SeedSet
from fastpolysem.studies.stored import read_stored
from fastpolysem.training import RecordLike, weight_bytes

_TRIED = 10  # configurations on which the speed is measured
_TRIAL = 0.2  # seconds of each, about
_MOST = 1024  # seeds of each
_LONGEST = 3.0  # seconds that a trial may take, by the slowest guess
_FEWEST = 2  # steps of a long seed
_GUESS = 2e9  # floating point operations per second, as slow as they get if there are many

# Bytes in a Parquet file of rows: of its metadata, and of each row.
_FILE, _ROW = 9000, 80


@dataclass(frozen=True)
class Forecast:
    """What is left to be trained.

    Attributes
    ----------
    configs, seeds, stored
        Numbers of configurations, of all requested seeds, and of those that are stored.
    seconds
        Approximate time to train the seeds that are not stored.
    size
        Approximate number of bytes that they will take in the folder.
    num_threads
        Threads that were assumed.
    at_least
        Whether a target may ask for more seeds.
    """

    configs: int
    seeds: int
    stored: int
    seconds: float
    size: int
    num_threads: int
    at_least: bool

    def __str__(self) -> str:
        left = self.seeds - self.stored
        if not left and not self.at_least:
            return f"nothing to train: all {self.seeds:,} seeds are stored"
        few = "at least " if self.at_least else ""
        threads = f"{self.num_threads} thread{'' if self.num_threads == 1 else 's'}"
        configs = f"{self.configs:,} configuration{'' if self.configs == 1 else 's'}"
        return (
            f"{few}{left:,} seeds of {configs} to train ({self.stored:,} are stored): "
            f"{few}about {duration(self.seconds)} on {threads}, {size(self.size)}"
        )


def duration(seconds: float) -> str:
    """A time in readable form."""
    for unit, length in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 1.5 * length:
            return f"{_two_digits(seconds / length)} {unit}"
    return f"{_two_digits(max(seconds, 1))} s"


def size(number: float) -> str:
    """A number of bytes in readable form."""
    for unit in ("B", "kB", "MB", "GB"):
        if number < 999.5:
            return f"{_two_digits(number)} {unit}"
        number /= 1000
    return f"{_two_digits(number)} TB"


def _two_digits(number: float) -> str:
    """At least two digits, without an exponent."""
    return f"{number:.2g}" if number < 10 else f"{number:.0f}"


def forecast(configs: AnyConfig | Iterable[AnyConfig], **keywords: Unpack[Keywords]) -> Forecast:
    """How long `collect` would take with the same arguments, from short trials on this machine.

    Nothing is written. Seeds count as stored if everything that was asked for is there.
    """
    return _forecast([checked_options(configs, keywords)])


def together(
    parts: Iterable[tuple[Sequence[AnyConfig], Any]],
    recorded: Callable[[Sequence[AnyConfig]], RecordLike | None] | None = None,
    *,
    times: Sequence[int] | None = None,
    **keywords: Unpack[Keywords],
) -> Forecast:
    """How long several calls of `collect` would take together, each with configurations and seeds
    of its own, records given by its configurations, and otherwise the same arguments; seeds in
    several of them are trained once.

    ``times`` is the number of calls that each part stands for, if others are like it.
    """
    options = []
    for configs, seeds in parts:
        own: Keywords = {**keywords, "seeds": seeds}
        if recorded is not None:
            own["record"] = recorded(configs)
        options.append(checked_options(configs, own))
    return _forecast(options, times)


def stored_seeds(configs: Iterable[AnyConfig], **keywords: Unpack[Keywords]) -> int:
    """How many seeds `collect` would find with the same arguments, over all configurations."""
    options = checked_options(configs, keywords)
    return sum(_stored(options, config, options.seeds) for config in options.configs)


def _forecast(parts: Sequence[Options], times: Sequence[int] | None = None) -> Forecast:
    """The forecast of calls that differ in their configurations, seeds and records only."""
    configs: dict[str, AnyConfig] = {}
    options: dict[str, Options] = {}
    wanted: dict[str, SeedSet] = {}
    like: dict[str, int] = {}
    for part, count in zip(parts, times or [1] * len(parts), strict=True):
        for config in part.configs:
            configs[config.digest], like[config.digest] = config, count
            options[config.digest] = part
            wanted[config.digest] = wanted.get(config.digest, SeedSet()) | part.seeds
    stored = {
        digest: _stored(options[digest], configs[digest], seeds) for digest, seeds in wanted.items()
    }
    size = 0
    left: dict[str, int] = {}
    flops: dict[str, int] = {}
    for digest, config in configs.items():
        lacking = like[digest] * (wanted[digest].count - stored[digest])
        left[digest], flops[digest] = lacking, max(1, flops_of_seed(config))
        size += lacking * _ROW + -(-lacking // block_size(config)) * _FILE
        size += lacking * weight_bytes(config) if options[digest].kept.weights else 0
    missing = [config for digest, config in configs.items() if left[digest]]
    return Forecast(
        configs=sum(like.values()),
        seeds=sum(like[digest] * seeds.count for digest, seeds in wanted.items()),
        stored=sum(like[digest] * count for digest, count in stored.items()),
        seconds=_seconds(missing, left, flops, options),
        size=size,
        num_threads=parts[0].num_threads,
        at_least=parts[0].target is not None,
    )


def _stored(options: Options, config: AnyConfig, wanted: SeedSet) -> int:
    """How many of the requested seeds have everything that is to be stored."""
    if options.store is None:
        return 0
    found = read_stored(options.store, Holding(config), wanted, options.metric, options.kept)
    return int(found.complete.contains(found.seeds).sum())


def _seconds(
    missing: list[AnyConfig],
    left: dict[str, int],
    flops: dict[str, int],
    options: dict[str, Options],
) -> float:
    """Time of all missing seeds, at the speed of the tried configuration of most similar size."""
    ordered = sorted(missing, key=lambda config: flops[config.digest])
    at = np.unique(np.linspace(0, len(ordered) - 1, min(_TRIED, len(ordered))).round().astype(int))
    speeds: list[tuple[int, float]] = []
    for config in (ordered[index] for index in at):
        size = flops[config.digest]
        # A seed of few steps or none is all overhead, and says nothing about the next size.
        speed = max(_GUESS, speeds[-1][1] if speeds else 0)
        if speeds and size / speed > _LONGEST:
            break  # the larger ones are as fast as this
        own = options[config.digest]
        seconds = _seconds_of_seed(config, size, own)
        if not speeds and seconds * own.num_threads < _LONGEST:  # modules and caches are loaded
            seconds = _seconds_of_seed(config, size, own)
        speeds.append((size, size / seconds))
    total = 0.0
    for config in missing:
        size = flops[config.digest]
        speed = min(speeds, key=lambda pair: abs(np.log(pair[0] / size)))[1]
        total += left[config.digest] * size / speed
    return total


def _seconds_of_seed(config: AnyConfig, flops: int, options: Options) -> float:
    """Time per seed, including what is stored besides its row.

    A seed that is too long to be tried is timed over few of its steps, without records.
    """
    threads, steps = options.num_threads, family_of(config).steps(config)
    most = max(2 * _FEWEST, int(steps * _LONGEST * _GUESS / flops))
    if most >= steps:
        return _timed(config, options.kept, threads)
    try:
        short, longer = (config.replace(steps=count) for count in (_FEWEST, most))
    except (TypeError, ValueError):  # other names in a family; points of a schedule that lie beyond
        return _timed(config, options.kept, threads)
    kept = dataclasses.replace(options.kept, record=None)
    _timed(short, kept, threads)  # loads modules and fills caches
    few, more = (_timed(one, kept, threads) for one in (short, longer))
    return few + max(0.0, more - few) * (steps - _FEWEST) / (most - _FEWEST)


def _timed(config: AnyConfig, kept: Kept, num_threads: int) -> float:
    """Time per seed, from as many as take about `_TRIAL` together."""
    count = num_threads
    while True:
        start = time.perf_counter()
        (trained,) = train_blocks(config, [SeedSet([(0, count)])], kept, num_threads)
        if trained.failure is not None:
            raise trained.failure
        taken = max(time.perf_counter() - start, 1e-9)
        if taken >= _TRIAL / 2 or count >= _MOST:
            return taken / count
        count = min(_MOST, int(count * np.clip(_TRIAL / taken, 2, 16)))
