"""Collecting: train the seeds of configurations that are not there yet, block by block."""

from __future__ import annotations

import contextlib
import os
import queue
import sys
import time
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from concurrent.futures import Executor, Future
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from fastpolysem import _checks, families, statistics
from fastpolysem._native import default_threads
from fastpolysem.families import AnyConfig
from fastpolysem.studies import artifacts, attachments, signals
from fastpolysem.studies import progress as _progress
from fastpolysem.studies.arguments import (
    checked_configs,
    checked_executor,
    checked_job,
    checked_seeds,
)
from fastpolysem.studies.blocks import (
    Kept,
    Trained,
    WrongBlockError,
    block_size,
    received,
    train_block,
)
from fastpolysem.studies.plan import Stored, Task, Tasks
from fastpolysem.studies.progress import Progress
from fastpolysem.studies.schema import bounds, columns, frame, union
from fastpolysem.studies.seedsets import SeedSet
from fastpolysem.studies.store import DamagedStudyError, Store
from fastpolysem.studies.study import Study, checked_metadata
from fastpolysem.training import RecordLike, checked_record, train, weight_bytes

OnInterrupt = Literal["return", "raise"]

FIRST_CHECKPOINT = 64
"""Seeds after which ``target`` is judged first, then at each doubling."""

DEFAULT_MAX_SEEDS = 2**16

NO_EVENT_CHECKPOINT = 2**10
"""Seeds after which a metric that is 0 in all of them is taken to be too rare for a ``target``."""

# A row in memory, with room for a copy while tables are put together.
_ROW_BYTES = 300

# Blocks that an executor is given at a time: enough for a thousand workers, few enough to take back
# at once on Ctrl-C.
_MAX_HANDED_OUT = 4096


def collect(
    configs: AnyConfig | Iterable[AnyConfig],
    *,
    seeds: int | ArrayLike | None = None,
    target: float | None = None,
    metric: str | None = None,
    max_seeds: int | None = None,
    path: str | os.PathLike[str] | None = None,
    executor: Executor | None = None,
    num_threads: int | None = None,
    record: RecordLike | None = None,
    keep_weights: bool = False,
    progress: bool | Callable[[Progress], object] | None = None,
    metadata: Mapping[str, Any] | None = None,
    on_interrupt: OnInterrupt = "return",
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
        the same number. ``summary`` says in ``target_met`` where it was reached, and a warning
        where it was not. Of a mean of 0 there is no relative half-width: unless ``max_seeds`` is
        given, a configuration ends after 64 seeds if all diverged, and after 1024 if the metric is
        0 in all that did not.
    metric
        Result column that ``target`` and the shown means are about.
    max_seeds
        The most seeds of a configuration with ``target``, trained as far as the target asks for
        them whatever the first ones give; 65536 if not given.
    path
        Folder that keeps every finished block and from which collecting goes on; made if missing.
        Rows then stay there, and the study that comes back reads them when asked. None: in memory.
    executor
        Any `concurrent.futures.Executor` that can import this package where it works: process
        pools, ``mpi4py.futures``, Dask's ``client.get_executor()``. None: in this process, several
        seeds at a time.
    num_threads
        Threads of one call of `train`. By default all cores in this process, and 1 in an executor's
        workers.
    record
        What to record during training and keep, see `train`; `Study.history` gives it back.
    keep_weights
        Keep the final weights, for `Study.weights`: a matrix takes 4 or 8 bytes an entry, or 12 or
        16 bytes for each weight that is not zero, whichever is less.
    progress
        None: a live table on a terminal or in a notebook, plain lines on a terminal that cannot
        move its cursor, otherwise nothing. True: also plain lines, now and then, where standard
        error is a file or a pipe. False: nothing. Or a function that is given `Progress` records:
        at the start, now and then, and when all is done; seldom enough to take about a tenth of the
        time at most.
    metadata
        Names and values, as JSON can hold them, kept with the configurations; they become columns
        of the tables.
    on_interrupt
        What Ctrl-C does after a message on standard error: "return" what there is, with
        ``interrupted=True``, or "raise" KeyboardInterrupt, which also ends a loop of calls.
        Finished blocks are kept either way.

    Returns
    -------
    Study
        Of ``configs`` in their order.

    Raises
    ------
    TypeError, ValueError, MemoryError
        For bad arguments, before anything is trained.
    OSError
        If the folder cannot be written to: a full disk, a read-only folder. Files written before
        are complete.
    DamagedStudyError
        If files of these configurations in ``path`` cannot be used. They are left as they are.
    ConflictError
        If stored rows contradict each other.
    KeyboardInterrupt
        On Ctrl-C with ``on_interrupt="raise"``.
    SystemExit
        On SIGTERM and SIGHUP where they would kill the process (in the main thread, if nothing else
        handles them): after the same message, with status 128 + the signal's number. Finished
        blocks are kept, and an executor can end its workers.
    """
    _checks.choice("collect: on_interrupt", on_interrupt, get_args(OnInterrupt))
    if not (progress is None or isinstance(progress, bool) or callable(progress)):
        raise _checks.refused(
            "collect: progress", "True, False, None or a function", progress, kind=TypeError
        )
    collector = _Collector(
        configs,
        seeds=seeds,
        target=target,
        metric=metric,
        max_seeds=max_seeds,
        path=path,
        executor=executor,
        num_threads=num_threads,
        record=record,
        keep_weights=keep_weights,
        metadata=metadata,
    )
    try:
        with signals.raised(), _progress.reporter(progress, collector.metric) as report:
            # Within a block, too, there is something to report: the generator cannot yield from in
            # there.
            collector.within_block = report
            with contextlib.closing(collector.run()) as records:
                for one in records:
                    report(one)
    except KeyboardInterrupt as error:
        collector.study.interrupted = True
        kept = f"; they are kept in {path}, the same call goes on" if path is not None else ""
        with contextlib.suppress(OSError):  # after SIGHUP the terminal is gone
            print(f"interrupted: {collector.done} seeds are finished{kept}", file=sys.stderr)
        if isinstance(error, signals.Ended):
            raise SystemExit(128 + error.number) from None
        if on_interrupt == "raise":
            raise
    return collector.study


def iter_collect(
    configs: AnyConfig | Iterable[AnyConfig],
    *,
    seeds: int | ArrayLike | None = None,
    target: float | None = None,
    metric: str | None = None,
    max_seeds: int | None = None,
    path: str | os.PathLike[str] | None = None,
    executor: Executor | None = None,
    num_threads: int | None = None,
    record: RecordLike | None = None,
    keep_weights: bool = False,
    metadata: Mapping[str, Any] | None = None,
) -> Generator[Progress, None, None]:
    """Do what `collect` does and yield a `Progress` record at the start and after each block.

    Parameters are those of `collect`. Each record refers to the study so far as ``record.study``.
    Closing the generator, or Ctrl-C, which raises KeyboardInterrupt, ends the work; finished blocks
    are kept.
    """
    return _Collector(
        configs,
        seeds=seeds,
        target=target,
        metric=metric,
        max_seeds=max_seeds,
        path=path,
        executor=executor,
        num_threads=num_threads,
        record=record,
        keep_weights=keep_weights,
        metadata=metadata,
    ).run()


class _Collector:
    """One run of collecting; `study` grows as blocks finish."""

    def __init__(
        self,
        configs: AnyConfig | Iterable[AnyConfig],
        *,
        seeds: int | ArrayLike | None,
        target: float | None,
        metric: str | None,
        max_seeds: int | None,
        path: str | os.PathLike[str] | None,
        executor: Executor | None,
        num_threads: int | None,
        record: RecordLike | None,
        keep_weights: bool,
        metadata: Mapping[str, Any] | None,
    ) -> None:
        self.configs = checked_configs(configs)
        if metric is None:
            metric = families.family_of(self.configs[0]).primary
        for config in self.configs:
            _checks.choice("collect: metric", metric, columns(config))
        self.metric = metric
        if (seeds is None) == (target is None):
            raise ValueError("collect: exactly one of seeds and target must be given")
        self.target, self.cap = target, None
        if target is None:
            if max_seeds is not None:
                raise ValueError(
                    f"collect: max_seeds must be left out without target, got {max_seeds}"
                )
            self.first = checked_seeds(seeds)
        else:
            self.target = _checks.real("collect: target", target, (">", 0))
            given = DEFAULT_MAX_SEEDS if max_seeds is None else max_seeds
            self.cap = _checks.integer("collect: max_seeds", given, (">=", 2), ("<=", 2**64))
            self.first = SeedSet([(0, min(FIRST_CHECKPOINT, self.cap))])
        self.insists = max_seeds is not None
        self.warned: set[str] = set()
        self.executor = checked_executor(executor)
        if num_threads is not None:
            num_threads = _checks.integer("collect: num_threads", num_threads, (">=", 1))
        self.num_threads = num_threads or (default_threads() if executor is None else 1)
        if record is not None:
            record = checked_record("collect", record, *self.configs)
        self.kept = Kept(record, _checks.flag("collect: keep_weights", keep_weights))
        self.key = "" if record is None else artifacts.record_key(record)
        self.metadata = checked_metadata(metadata, self.configs)
        if path is None:
            self._check_memory()
        self.store = None if path is None else Store(path, "collect: path")
        self.study = Study()
        self.study.path = self.store.path if self.store else None
        self.within_block: Callable[[Progress], object] | None = None
        self.tasks = Tasks()
        self.started = time.perf_counter()  # set anew when all that is stored has been read

    def _check_memory(self) -> None:
        """Refuse what a study in memory could not hold."""
        most = self.first.count if self.cap is None else self.cap
        bytes_ = most * len(self.configs) * _ROW_BYTES
        parts = {f"the rows of {most} seeds of {len(self.configs)} configs": bytes_}
        if self.kept.weights:
            parts["their weights"] = most * sum(weight_bytes(config) for config in self.configs)
        if record := self.kept.record:
            size = 8 * len(record.steps) * (4 + len(record.metrics))
            parts["their histories"] = most * len(self.configs) * size
        _checks.memory("collect", parts, "ask for fewer seeds at a time, or give a path")

    @property
    def done(self) -> int:
        """Seeds whose rows are there, of all configurations."""
        return sum(task.done for task in self.tasks.all)

    def _task(self, config: AnyConfig) -> Task:
        digest, metadata = config.digest, self.metadata
        self.study._add_config(config, metadata)
        if self.cap is not None:
            self.study._target_met[digest] = False
        stored = Stored()
        if self.store is not None:
            self.store.write_config(config, metadata)
            self.study._add_config(config, self.store.config(digest)[1])
            stored = self._read_stored(self.store, config)
        return Task(config, digest, SeedSet(), self.cap, stored, bounds=bounds(self.metric, config))

    def _stored_part(self, rows: pd.DataFrame) -> Stored:
        seeds, diverged = rows["seed"].to_numpy(), rows["diverged"].to_numpy()
        values = rows[self.metric].to_numpy(dtype=np.float64)
        return Stored(seeds, values, diverged)

    def _read_stored(self, store: Store, config: AnyConfig) -> Stored:
        """What the folder holds of the seeds that may be asked for, file by file."""
        files = store.files(config.digest)
        may_be_wanted = self.first if self.cap is None else SeedSet([(0, self.cap)])
        complete = may_be_wanted
        held: list[SeedSet] = []
        count = 0
        parts = [Stored()]
        for at, file in enumerate(files):
            tables, damages = store.tables([file], config)
            if damages:
                raise DamagedStudyError(damages + store.tables(files[at + 1 :], config)[1])
            rows = frame((table for _, table in tables), config)
            held.append(SeedSet.of(rows["seed"].to_numpy()))
            count += len(rows)
            inside = may_be_wanted.contains(rows["seed"].to_numpy())
            parts.append(self._stored_part(rows[inside]))
            if inside.any():
                self.study._add(config.digest, file)
        if SeedSet.union(held).count < count:  # some are there more than once and have to agree
            tables, _ = store.tables(files, config)
            rows = union([frame((table for _, table in tables), config)], config)
            inside = may_be_wanted.contains(rows["seed"].to_numpy())
            parts = [self._stored_part(rows[inside])]
        for kind, key in self._kinds():
            complete = complete & self._seeds_with(store, config, kind, key)
        return Stored(
            np.concatenate([part.seeds for part in parts]),
            np.concatenate([part.values for part in parts]),
            np.concatenate([part.diverged for part in parts]),
            complete,
        )

    def _kinds(self) -> list[tuple[str, str]]:
        """What is to be kept besides rows, as files of the store have it in their names."""
        return [("weights", "")] * self.kept.weights + [("history", self.key)] * bool(self.key)

    def _seeds_with(self, store: Store, config: AnyConfig, kind: str, key: str) -> SeedSet:
        files = store.files(config.digest, kind, key)
        tables, damages = store.tables(files, config, ["digest", "seed", "numerics_version"])
        if damages:
            raise DamagedStudyError(damages)
        self.study._arrays()[kind][config.digest] += [file for file, _ in tables]
        return SeedSet.union(SeedSet.of(table["seed"].to_numpy()) for _, table in tables)

    def _aim_at(self, task: Task, seeds: SeedSet) -> None:
        """Add seeds to the goal: take what is stored, cut the rest into blocks."""
        task.wanted = task.wanted | seeds
        if self.store is not None:
            self.study._want(task.digest, task.wanted)
        stored = task.stored
        here = seeds.contains(stored.seeds) & stored.complete.contains(stored.seeds)
        valid = here & ~stored.diverged
        task.reused += int(here.sum())
        task.take_in(stored.values[valid], int((here & stored.diverged).sum()))
        # Cut as if nothing were there, so that what is stored does not change where blocks end.
        missing = seeds - SeedSet.of(stored.seeds[here])
        parts = (block & missing for block in seeds.blocks(block_size(task.config)))
        task.pending = (part for part in parts if part.count)
        task.next_block()
        self.tasks.update(task)
        self._judge(task)

    def _take_in(self, task: Task, trained: Trained, files: dict[str, Any]) -> None:
        rows = trained.rows
        self.study._add(task.digest, files.get("seeds", rows))
        for kind, parts in self.study._arrays().items():
            table = getattr(trained, kind)
            if table is not None:
                parts[task.digest].append(files.get(kind, table))
        task.take_in(
            rows.loc[~rows["diverged"], self.metric].to_numpy(), int(rows["diverged"].sum())
        )

    def _judge(self, task: Task) -> None:
        """Once all seeds aimed at are there: is that enough?"""
        if task.done < task.goal:
            return
        if task.cap is None or self._ends(task, task.cap):
            task.finished = True
            self.tasks.update(task)
        else:
            # With a target the seeds are 0, 1, …, and their number doubles.
            self._aim_at(task, SeedSet([(task.goal, min(2 * task.goal, task.cap))]))

    def _ends(self, task: Task, cap: int) -> bool:
        """With a target: whether these seeds, and they alone, say that no more are needed."""
        met = self.study._target_met[task.digest] = self._precise(task)
        if met or task.goal >= cap:
            return True
        hopeless = task.count == 0 or (task.mean == 0 and task.goal >= NO_EVENT_CHECKPOINT)
        if hopeless and self.insists and task.digest not in self.warned:
            self.warned.add(task.digest)
            warnings.warn(
                f"collect: no target can be reached so far by {self._outcome(task)}; "
                f"training goes on up to max_seeds={cap}",
                stacklevel=2,
            )
        return hopeless and not self.insists

    def _outcome(self, task: Task) -> str:
        """What became of a configuration that did not reach its target."""
        estimate = task.estimate
        if task.count == 0:
            found = f"all {task.done} seeds diverged"
        elif task.mean == 0:
            found = f"{self.metric} is 0 in all {task.count} seeds that did not diverge"
        else:
            share = estimate.half_width / abs(estimate.value)
            found = f"the half-width is {share:.3g} of the mean after {task.done} seeds"
        return f"{task.config!r}: {found}"

    def _warn_of_missed_targets(self) -> None:
        missed = [one for one in self.tasks.all if not self.study._target_met.get(one.digest, True)]
        if missed:
            shown = "; ".join(map(self._outcome, missed[:3]))
            more = f"; and {len(missed) - 3} more" if len(missed) > 3 else ""
            warnings.warn(
                f"collect: target={self.target:g} was not reached by {len(missed)} of "
                f"{len(self.tasks.all)} configs: {shown}{more}",
                stacklevel=2,
            )

    def _precise(self, task: Task) -> bool:
        # From the rows by ascending seed, not from the running moments, whose last bits depend on
        # the order in which blocks finished: every machine has to come to the same verdict.
        values = self.study.values(task.digest, self.metric)
        estimate = statistics.mean(values, bounds=task.bounds)
        return self.target is not None and estimate.half_width <= self.target * abs(estimate.value)

    def run(self) -> Generator[Progress, None, None]:
        """Read what is stored and train what is missing; a record at the start and a block."""
        for config in self.configs:
            task = self._task(config)
            self.tasks.add(task)
            self._aim_at(task, self.first)
            self.tasks.put_back(task)
        self.started = time.perf_counter()
        yield self._record()
        yield from self._in_this_process() if self.executor is None else self._on(self.executor)
        self._warn_of_missed_targets()

    def _in_this_process(self) -> Iterator[Progress]:
        while task := self.tasks.take():
            # As many blocks as there are threads: enough seeds for each of them, also where a block
            # is one seed.
            blocks: list[SeedSet] = []
            while len(blocks) < self.num_threads and (block := task.next_block()) is not None:
                blocks.append(block)

            def within(done: int, _: int, task: Task = task) -> None:
                if task.within != done:
                    task.within = done
                    self.tasks.update(task)
                if self.within_block is not None:
                    self.within_block(self._record())

            with task.named_in_errors(blocks):
                result = train(
                    task.config,
                    np.concatenate([block.array() for block in blocks]),
                    record=self.kept.record,
                    return_weights=self.kept.weights,
                    num_threads=self.num_threads,
                    progress=within,
                )
                trained = Trained.of(result)
            task.within = 0
            with signals.held():
                start = 0
                for block in blocks:
                    self._keep(task, trained.part(start, block.count))
                    start += block.count
            self._judge(task)
            self.tasks.put_back(task)
            yield self._record()

    def _on(self, executor: Executor) -> Iterator[Progress]:
        handed_out: dict[Future[dict[str, Any]], tuple[Task, SeedSet]] = {}
        ready: queue.SimpleQueue[Future[dict[str, Any]]] = queue.SimpleQueue()
        try:
            while True:
                while len(handed_out) < _MAX_HANDED_OUT and (task := self.tasks.take()):
                    block = task.next_block() or SeedSet()
                    plain = task.config.to_dict(), block.listed(), self.num_threads, self.kept
                    module = type(task.config).__module__
                    attached = attachments.given(task.config, self.study.path)
                    future = checked_job(executor.submit(train_block, *plain, module, attached))
                    task.running += block.count
                    self.tasks.put_back(task)
                    handed_out[future] = task, block
                    future.add_done_callback(ready.put)
                if not handed_out:
                    return
                try:
                    future = ready.get(timeout=1.0)
                except queue.Empty:
                    yield self._record()
                    continue
                task, block = handed_out[future]
                with task.named_in_errors([block]):
                    trained = _received(future, task, block, self.kept)
                with signals.held():
                    del handed_out[future]
                    task.running -= block.count
                    self._keep(task, trained)
                waits = task.upcoming is not None
                self._judge(task)
                if not waits:  # unless it has a new goal, it has no block left
                    self.tasks.put_back(task)
                yield self._record()
        except BaseException:
            # Also when the generator is closed: keep what is done, give up the rest.
            for future in handed_out:
                future.cancel()
            for future, (task, block) in handed_out.items():
                if future.done() and not future.cancelled() and future.exception() is None:
                    # What goes wrong now, such as a disk that is full, is wrong already.
                    with contextlib.suppress(Exception), signals.held():
                        self._keep(task, _received(future, task, block, self.kept))
            raise

    def _keep(self, task: Task, trained: Trained) -> None:
        """Write a block, if there is a folder, and count it: to be done as one."""
        files = {} if self.store is None else self._write(self.store, task.config, trained)
        self._take_in(task, trained, files)
        self.tasks.update(task)

    def _write(self, store: Store, config: AnyConfig, trained: Trained) -> dict[str, Any]:
        """Write a block; its rows last, since a seed with a row counts as complete."""
        files: dict[str, Any] = {}
        for kind, key in self._kinds():
            files[kind] = store.write_array(config, kind, getattr(trained, kind), key)
        files["seeds"] = store.write_rows(config, trained.rows)
        return files

    def _record(self) -> Progress:
        seconds, work = time.perf_counter() - self.started, self.tasks.work
        return Progress(
            configs=tuple(self.tasks.records),
            reused=work.reused,
            seconds=seconds,
            seeds_per_second=work.trained / seconds if seconds > 0 else 0.0,
            seconds_left=seconds * work.left / work.done
            if work.done
            else (None if work.left else 0.0),
            study=self.study,
        )


def _received(future: Future[dict[str, Any]], task: Task, block: SeedSet, kept: Kept) -> Trained:
    """The block that a worker sent, if it is the one that was asked for, all of it."""
    sent = future.result()
    try:
        return received(sent, task.config, block, kept)
    except WrongBlockError as error:
        raise RuntimeError(
            f"a worker of the executor sent {error}, when asked for {block.count} seeds from "
            f"{block.ranges[0][0]} on, of config {task.digest}: does it have the same version of "
            "fastpolysem?"
        ) from None
