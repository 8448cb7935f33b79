"""Collecting: train the seeds of configurations that are not there yet, block by block.

A *block* is an aligned range of seeds of one configuration, about a second of work for one core. It
is one task for an executor, one file of the store and one tick of progress. Its size follows from
the configuration alone, so that machines working on the same folder cut it alike.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import os
import queue
import sys
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from fastpolysem import _checks, statistics
from fastpolysem._native import core
from fastpolysem.config import Config
from fastpolysem.studies import progress as _progress
from fastpolysem.studies.progress import ConfigProgress, Progress
from fastpolysem.studies.store import (
    METRICS,
    DamagedStudyError,
    Store,
    Study,
    checked_metadata,
    rows_of,
)
from fastpolysem.training import train

FIRST_CHECKPOINT = 64
"""Seeds after which ``target`` is judged first, then at each doubling."""

DEFAULT_MAX_SEEDS = 2**16

# Floating point operations a core does per second on the dense path, give or take; only the size of
# blocks and the guess of the time left hang on it.
_SPEED = 7e10

# A row in memory, with room for a copy while tables are put together.
_ROW_BYTES = 300

# Blocks that an executor is given at a time: enough for any cluster, and Ctrl-C need not cancel
# millions.
_MAX_HANDED_OUT = 10_000


def block_size(config: Config) -> int:
    """Number of seeds in a block: about a second of work.

    Parameters
    ----------
    config
        The configuration; nothing else enters, neither the machine nor its load.

    Returns
    -------
    int
        A power of two from 1 to 4096.
    """
    return int(2 ** min(12, max(0, math.floor(-math.log2(_seconds(config) or 1e-9)))))


def _seconds(config: Config) -> float:
    """Estimated time to train one seed on one core."""
    n, m = config.n_features, config.n_hidden
    flops = (3 if config.tied else 6) * n * n * m
    if config.noise_sharing == "input":
        flops += 4 * config.inputs._rows(n) * n * m
    return config.steps * flops / _SPEED


def collect(
    configs: Config | Iterable[Config],
    *,
    seeds: int | ArrayLike | None = None,
    target: float | None = None,
    metric: str = "polysemantic",
    max_seeds: int | None = None,
    path: str | os.PathLike[str] | None = None,
    executor: Executor | None = None,
    num_threads: int | None = None,
    progress: bool | Callable[[Progress], object] | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> Study:
    """Train the seeds of configurations, except those that a folder holds already.

    What comes back depends on the arguments alone, not on what was trained when, where or in what
    order: rows of the folder that were not asked for are left out (`Study.open` reads all).

    Parameters
    ----------
    configs
        One or several configurations, no two of equal effect.
    seeds
        A number S for the seeds 0 … S-1, or different integers in [0, 2**64). Either this or
        ``target``.
    target
        Relative half-width of the 95 % interval of the mean of ``metric`` at which a configuration
        has enough seeds. Judged on its first 64, 128, 256, … seeds, so that every machine stops at
        the same number.
    metric
        Result column that ``target`` and the shown means are about.
    max_seeds
        The most seeds of a configuration with ``target``; 65536 if not given.
    path
        Folder that keeps every finished block and from which collecting goes on; made if missing.
        None: in memory.
    executor
        Any `concurrent.futures.Executor` that can import this package where it works: process
        pools, ``mpi4py.futures``, Dask's ``client.get_executor()``. None: in this process, several
        seeds at a time.
    num_threads
        Threads of one call of `train`. By default all cores in this process, and 1 in an executor's
        workers.
    progress
        True: a live table on the terminal, else a plain line now and then. None: the table if
        standard error is a terminal, otherwise nothing. False: nothing. Or a function that is given
        `Progress` records.
    metadata
        Names and values, as JSON can hold them, kept with the configurations; they become columns
        of the tables.

    Returns
    -------
    Study
        Of ``configs`` in their order. After Ctrl-C: what there is, with ``interrupted=True``, and a
        message on standard error; finished blocks are kept.

    Raises
    ------
    TypeError, ValueError
        For bad arguments, before anything is trained.
    DamagedStudyError
        If files of these configurations in ``path`` cannot be used. They are left as they are.
    ConflictError
        If stored rows contradict each other.
    """
    if not (progress is None or isinstance(progress, bool) or callable(progress)):
        raise _checks.refused(
            "collect: progress", "True, False, None or a function", progress, kind=TypeError
        )
    collector = _Collector(
        configs, seeds, target, metric, max_seeds, path, executor, num_threads, metadata
    )
    with _progress.reporter(progress, metric) as report:
        # Within a block, too, there is something to report: the generator cannot yield from in
        # there.
        collector.within_block = report
        try:
            with contextlib.closing(collector.run()) as records:
                for record in records:
                    report(record)
        except KeyboardInterrupt:
            collector.study.interrupted = True
    study = collector.study
    if study.interrupted:
        kept = f"; they are kept in {path}, the same call goes on" if path is not None else ""
        print(f"interrupted: {len(study)} seeds are finished{kept}", file=sys.stderr)
    return study


def iter_collect(
    configs: Config | Iterable[Config],
    *,
    seeds: int | ArrayLike | None = None,
    target: float | None = None,
    metric: str = "polysemantic",
    max_seeds: int | None = None,
    path: str | os.PathLike[str] | None = None,
    executor: Executor | None = None,
    num_threads: int | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> Generator[Progress, None, None]:
    """Do what `collect` does and yield a `Progress` record at the start and after each block.

    Parameters are those of `collect`. Each record refers to the study so far as ``record.study``.
    Closing the generator, or Ctrl-C, which raises KeyboardInterrupt, ends the work; finished blocks
    are kept.
    """
    collector = _Collector(
        configs, seeds, target, metric, max_seeds, path, executor, num_threads, metadata
    )
    return collector.run()


@dataclass(frozen=True)
class _Block:
    """A range of seeds within one aligned block."""

    first: int
    count: int

    @property
    def seeds(self) -> NDArray[np.uint64]:
        # Not np.arange(first, first + count): the end may be 2**64.
        return np.uint64(self.first) + np.arange(self.count, dtype=np.uint64)


@dataclass(eq=False)
class _Task:
    """What one configuration still needs."""

    config: Config
    digest: str
    goal: int  # number of seeds aimed at for now
    cap: int | None  # with a target: how many there may be at most
    stored: pd.DataFrame  # rows that were there before
    pending: deque[_Block] = field(default_factory=deque)
    running: int = 0  # seeds that are handed out
    within: int = 0  # of them, those that are known to be trained
    done: int = 0  # seeds of the goal whose rows are there
    reused: int = 0  # of them, those that were stored
    diverged: int = 0
    finished: bool = False
    count: int = 0  # values of the metric, of seeds that did not diverge
    mean: float = math.nan
    squares: float = 0.0  # sum of their squared distances from the mean

    @property
    def estimate(self) -> statistics.Estimate:
        variance = self.squares / (self.count - 1) if self.count > 1 else math.nan
        return statistics.mean_from_moments(self.count, self.mean, variance)

    @property
    def trained(self) -> int:
        """Seeds that were trained since the start."""
        return self.done - self.reused + self.within

    def take_in(self, values: NDArray[Any], diverged: int) -> None:
        """Update mean and spread (Chan, Golub & LeVeque's formula for merging two parts)."""
        self.done += len(values) + diverged
        self.diverged += diverged
        if len(values):
            values = values.astype(np.float64)
            mean, squares = float(values.mean()), float(values.var() * len(values))
            old = self.count
            self.count += len(values)
            if old:
                gap = mean - self.mean
                squares += self.squares + gap**2 * old * len(values) / self.count
                mean = self.mean + gap * len(values) / self.count
            self.mean, self.squares = mean, squares


class _Collector:
    """One run of collecting; `study` grows as blocks finish."""

    def __init__(
        self,
        configs: Config | Iterable[Config],
        seeds: int | ArrayLike | None,
        target: float | None,
        metric: str,
        max_seeds: int | None,
        path: str | os.PathLike[str] | None,
        executor: Executor | None,
        num_threads: int | None,
        metadata: Mapping[str, Any] | None,
    ) -> None:
        listed = _checked_configs(configs)
        self.metric = _checks.choice("collect: metric", metric, METRICS)
        if (seeds is None) == (target is None):
            raise ValueError("collect: exactly one of seeds and target must be given")
        self.target, cap = target, None
        if target is None:
            if max_seeds is not None:
                raise ValueError(
                    f"collect: max_seeds must be left out without target, got {max_seeds}"
                )
            wanted = _checked_seeds(seeds)
        else:
            self.target = _checks.real("collect: target", target, (">", 0))
            given = DEFAULT_MAX_SEEDS if max_seeds is None else max_seeds
            cap = _checks.integer("collect: max_seeds", given, (">=", 2))
            wanted = np.arange(min(FIRST_CHECKPOINT, cap), dtype=np.uint64)
        if executor is not None and not callable(getattr(executor, "submit", None)):
            allowed = "None or a concurrent.futures.Executor"
            raise _checks.refused("collect: executor", allowed, executor, kind=TypeError)
        self.executor = executor
        if num_threads is not None:
            num_threads = _checks.integer("collect: num_threads", num_threads, (">=", 1))
        self.num_threads = num_threads or (core.default_threads() if executor is None else 1)
        most = len(wanted) if cap is None else cap
        _checks.memory(
            "collect",
            {f"the rows of {most} seeds of {len(listed)} configs": most * len(listed) * _ROW_BYTES},
            "ask for fewer seeds at a time",
        )
        extra = checked_metadata(metadata)
        self.store = None if path is None else Store(path)
        self.study = Study()
        self.study.path = self.store.path if self.store else None
        self.within_block: Callable[[Progress], object] | None = None
        self.tasks = []
        for config in listed:
            task = self._task(config, cap, extra)
            self._aim_at(task, wanted)
            self.tasks.append(task)
        self.started = time.perf_counter()

    def _task(self, config: Config, cap: int | None, metadata: dict[str, Any]) -> _Task:
        digest = config.digest
        self.study._add_config(config, metadata)
        stored = self.study._rows(digest)
        if self.store is not None:
            self.store.write_config(config, metadata)
            _, metadata, stored, damages = self.store.read(digest)
            if damages:
                raise DamagedStudyError(damages)
            self.study._add_config(config, metadata)
        return _Task(config, digest, goal=0, cap=cap, stored=stored)

    def _aim_at(self, task: _Task, seeds: NDArray[np.uint64]) -> None:
        """Add seeds to the goal: take what is stored, cut the rest into blocks."""
        task.goal += len(seeds)
        stored = task.stored["seed"].to_numpy()
        here = task.stored[np.isin(stored, seeds)].reset_index(drop=True)
        task.reused += len(here)
        self._take_in(task, here)
        task.pending.extend(_blocks(np.setdiff1d(seeds, stored), block_size(task.config)))
        self._judge(task)

    def _take_in(self, task: _Task, rows: pd.DataFrame) -> None:
        self.study._add_rows(task.digest, rows)
        task.take_in(
            rows.loc[~rows["diverged"], self.metric].to_numpy(), int(rows["diverged"].sum())
        )

    def _judge(self, task: _Task) -> None:
        """Once all seeds aimed at are there: is that enough?"""
        if task.done < task.goal:
            return
        if task.cap is None or task.goal >= task.cap or self._precise(task):
            task.finished = True
        else:
            # With a target the seeds are 0, 1, …, and their number doubles.
            more = np.arange(task.goal, min(2 * task.goal, task.cap), dtype=np.uint64)
            self._aim_at(task, more)

    def _precise(self, task: _Task) -> bool:
        # From the rows by ascending seed, not from the running moments, whose last bits depend on
        # the order in which blocks finished: every machine has to come to the same verdict.
        estimate = statistics.mean(self.study.values(task.digest, self.metric))
        return self.target is not None and estimate.half_width <= self.target * abs(estimate.value)

    def run(self) -> Generator[Progress, None, None]:
        """Train what is pending, with a record at the start and after each block."""
        yield self._record()
        yield from self._in_this_process() if self.executor is None else self._on(self.executor)

    def _in_this_process(self) -> Iterator[Progress]:
        while task := self._next():
            # As many blocks as there are threads: enough seeds for each of them, also where a block
            # is one seed.
            blocks = [
                task.pending.popleft() for _ in range(min(self.num_threads, len(task.pending)))
            ]

            def within(done: int, _: int, task: _Task = task) -> None:
                task.within = done
                if self.within_block is not None:
                    self.within_block(self._record())

            seeds = np.concatenate([block.seeds for block in blocks])
            with _named(task, blocks):
                rows = rows_of(
                    train(task.config, seeds, num_threads=self.num_threads, progress=within)
                )
            task.within = 0
            start = 0
            for block in blocks:
                self._finish(task, rows[start : start + block.count].reset_index(drop=True))
                start += block.count
            yield self._record()

    def _on(self, executor: Executor) -> Iterator[Progress]:
        handed_out: dict[Future[dict[str, Any]], tuple[_Task, _Block]] = {}
        ready: queue.SimpleQueue[Future[dict[str, Any]]] = queue.SimpleQueue()
        try:
            while True:
                while len(handed_out) < _MAX_HANDED_OUT and (task := self._next()):
                    block = task.pending.popleft()
                    plain = (task.config.to_dict(), block.first, block.count, self.num_threads)
                    future = executor.submit(train_block, *plain)
                    task.running += block.count
                    handed_out[future] = task, block
                    future.add_done_callback(ready.put)
                if not handed_out:
                    return
                try:
                    future = ready.get(timeout=1.0)
                except queue.Empty:
                    yield self._record()
                    continue
                task, block = handed_out.pop(future)
                task.running -= block.count
                with _named(task, [block]):
                    rows = _received(future, task)
                self._finish(task, rows)
                yield self._record()
        except BaseException:
            # Also when the generator is closed: keep what is done, give up the rest.
            for future in handed_out:
                future.cancel()
            for future, (task, _) in handed_out.items():
                if future.done() and not future.cancelled() and future.exception() is None:
                    self._finish(task, _received(future, task))
            raise

    def _next(self) -> _Task | None:
        """The configuration that is furthest behind, so that all of them proceed alike."""
        waiting = [task for task in self.tasks if task.pending]
        return min(waiting, key=lambda task: (task.done + task.running) / task.goal, default=None)

    def _finish(self, task: _Task, rows: pd.DataFrame) -> None:
        if self.store is not None:
            try:
                self.store.write_rows(task.digest, rows)
            except KeyboardInterrupt:
                self._finish(task, rows)  # it is trained, and keeping it takes milliseconds
                raise
        self._take_in(task, rows)
        self._judge(task)

    def _record(self) -> Progress:
        elapsed = time.perf_counter() - self.started
        trained = sum(task.trained for task in self.tasks)
        worked = sum(_seconds(task.config) * task.trained for task in self.tasks)
        left = sum(
            _seconds(task.config) * (task.goal - task.done - task.within) for task in self.tasks
        )
        return Progress(
            configs=tuple(
                ConfigProgress(
                    config=task.config,
                    digest=task.digest,
                    seeds=task.done,
                    goal=task.goal,
                    training=task.within,
                    diverged=task.diverged,
                    mean=task.estimate.value,
                    half_width=task.estimate.half_width,
                    finished=task.finished,
                )
                for task in self.tasks
            ),
            reused=sum(task.reused for task in self.tasks),
            seconds=elapsed,
            seeds_per_second=trained / elapsed if elapsed > 0 else 0.0,
            seconds_left=elapsed * left / worked if worked else (None if left else 0.0),
            study=self.study,
        )


def train_block(config: dict[str, Any], first: int, count: int, num_threads: int) -> dict[str, Any]:
    """Train one block: the task that executors run, plain data in and out."""
    checked = Config.from_dict(config)
    rows = rows_of(train(checked, _Block(first, count).seeds, num_threads=num_threads))
    return {"digest": checked.digest, **{name: rows[name].to_numpy() for name in rows.columns}}


def _received(future: Future[dict[str, Any]], task: _Task) -> pd.DataFrame:
    """The rows that a worker sent."""
    columns = dict(future.result())
    digest = columns.pop("digest")
    if digest != task.digest:
        raise RuntimeError(
            f"a worker of the executor trained config {digest} in place of {task.digest}: "
            "does it have the same version of fastpolysem?"
        )
    return pd.DataFrame(columns)


@contextlib.contextmanager
def _named(task: _Task, blocks: list[_Block]) -> Iterator[None]:
    """Say of an error what was being trained."""
    try:
        yield
    except Exception as error:
        error.add_note(
            f"while training {sum(block.count for block in blocks)} seeds from {blocks[0].first} "
            f"on, of {task.config!r}; finished blocks are kept"
        )
        raise


def _blocks(seeds: NDArray[np.uint64], size: int) -> Iterator[_Block]:
    """Cut ascending seeds into consecutive runs that do not cross a multiple of ``size``."""
    if not len(seeds):
        return
    new = np.ones(len(seeds), dtype=bool)
    new[1:] = (np.diff(seeds) != 1) | (seeds[1:] % np.uint64(size) == 0)
    starts = np.flatnonzero(new)
    for start, count in zip(starts, np.diff(np.append(starts, len(seeds))), strict=True):
        yield _Block(int(seeds[start]), int(count))


def _checked_configs(configs: Config | Iterable[Config]) -> list[Config]:
    listed = list(configs) if isinstance(configs, Iterable) else [configs]
    seen: dict[str, Config] = {}
    for config in listed:
        if not isinstance(config, Config):
            raise _checks.refused("collect: configs", "a Config or several", config, kind=TypeError)
        if config.digest in seen:
            raise ValueError(
                f"collect: configs must differ in effect, "
                f"got {seen[config.digest]!r} and {config!r}"
            )
        seen[config.digest] = config
    if not listed:
        raise ValueError("collect: configs must hold at least one Config, got none")
    return listed


def _checked_seeds(seeds: Any) -> NDArray[np.uint64]:
    """The seeds asked for, ascending."""
    if isinstance(seeds, (int, np.integer)):
        count = _checks.integer("collect: seeds", seeds, (">=", 1), ("<=", 2**64))
        _checks.memory("collect", {f"{count} seeds": 8 * count}, "ask for fewer seeds at a time")
        return np.arange(count, dtype=np.uint64)
    listed = sorted(_checks.integers("collect: seeds", seeds, (">=", 0), ("<", 2**64)))
    if not listed:
        raise ValueError("collect: seeds must hold at least one seed, got none")
    twice = [one for one, other in itertools.pairwise(listed) if one == other]
    if twice:
        raise ValueError(f"collect: seeds must be different, got {twice[0]} more than once")
    return np.array(listed, dtype=np.uint64)
