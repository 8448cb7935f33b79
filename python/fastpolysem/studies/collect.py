"""Collecting: train the missing seeds of configurations, block by block."""

from __future__ import annotations

import contextlib
import inspect
import time
from collections.abc import Callable, Generator, Iterable
from typing import Any, Literal, Unpack, get_args

import numpy as np

from fastpolysem import _checks, _console
from fastpolysem.families import AnyConfig
from fastpolysem.studies import progress as _progress
from fastpolysem.studies import runners, signals
from fastpolysem.studies.blocks import Trained, described
from fastpolysem.studies.holding import Holding
from fastpolysem.studies.options import DEFAULTS, Keywords, Options, checked_options
from fastpolysem.studies.overview import write_configs
from fastpolysem.studies.plan import Plan, Task
from fastpolysem.studies.progress import Progress
from fastpolysem.studies.schema import union
from fastpolysem.studies.seedsets import SeedSet
from fastpolysem.studies.stored import Stored, read_stored
from fastpolysem.studies.study import Study
from fastpolysem.studies.tabulate import bounds_of

OnInterrupt = Literal["return", "raise"]


class ProbeError(RuntimeError):
    """A probe raised an exception; in a folder, the rows of its block are kept."""


def collect(
    configs: AnyConfig | Iterable[AnyConfig],
    *,
    progress: bool | Callable[[Progress], object] | None = None,
    on_interrupt: OnInterrupt = "return",
    **keywords: Unpack[Keywords],
) -> Study:
    """Train the seeds of configurations, except those already stored in a folder.

    The result depends on the arguments only, not on what was trained when, where or in which order:
    rows in the folder that were not requested are left out (`Study.open` reads all).

    Parameters
    ----------
    configs
        One or more configurations, no two of them equal in effect.
    seeds
        A number S for the seeds 0 … S-1, or distinct integers in [0, 2**64). Give either this or
        ``target``.
    target
        Relative half-width of the 95 % interval of the mean of ``metric`` at which a configuration
        has enough seeds. Evaluated on its first 64, 128, 256, … seeds, so that every machine stops
        at the same number. The column ``target_met`` of ``summary`` shows where the target was
        reached; a warning names the configurations that missed it. A mean of 0 has no relative
        half-width: unless ``max_seeds`` is given, a configuration ends after 64 seeds if all of
        them diverged, and after 1024 if the metric is 0 in all that did not.
    metric
        Result column, or probe column, to which ``target`` and the displayed means refer. None: the
        default of the configurations' family or, of several families, the first default that all
        configurations have.
    max_seeds
        Largest number of seeds per configuration with ``target``; 65536 by default. If given,
        configurations in which all seeds diverged or the metric is always 0 continue up to this
        number.
    path
        Folder for finished blocks; created if missing, reused to resume. Rows stay there, and the
        returned study reads them on demand. None: in memory.
    executor
        Any `concurrent.futures.Executor` whose workers can import this package: process pools,
        ``mpi4py.futures``, Dask's ``client.get_executor()``. None: in this process, several seeds
        at a time.
    num_threads
        Threads per call of `train`. By default all cores in this process, and 1 in the workers of
        an executor.
    record
        What to record during training, as in `train`; read it with `Study.history`.
    probe
        A `fastpolysem.probes.Probe` with columns of your own, computed from each block's weights
        and history where it is trained, and stored beside its rows. Finished seeds without them are
        trained again; before it starts, a line on standard error says how many.
    keep_weights
        Whether to store the final weights, for `Study.weights`. A matrix takes 4 or 8 bytes per
        entry, or 12 or 16 bytes per non-zero weight, whichever is less.
    progress
        None: a live table on a terminal or in a notebook, plain lines on a terminal that cannot
        move its cursor, otherwise nothing. True: also plain lines from time to time if standard
        error is a file or a pipe. False: nothing. A function is called with `Progress` records at
        the start, from time to time, and at the end, seldom enough to take at most about a tenth of
        the time.
    metadata
        Names and values (anything JSON can hold) to store with the configurations; they become
        columns of the tables.
    on_interrupt
        What Ctrl-C does after printing a message to standard error: "return" returns the study so
        far, with ``interrupted=True``; "raise" raises KeyboardInterrupt, which also ends a loop of
        calls. Finished blocks are kept in both cases.

    Returns
    -------
    Study
        The study of ``configs``, in the given order.

    Raises
    ------
    TypeError, ValueError, MemoryError
        For invalid arguments, before anything is trained.
    OSError
        If the folder cannot be written to, for instance because the disk is full or the folder is
        read-only. Files written before are complete.
    DamagedStudyError
        If files of these configurations in ``path`` are unusable. They are left as they are.
    ConflictError
        If stored rows contradict each other or those of seeds that are trained again.
    ProbeError
        If the probe raised an exception; with a ``path``, the rows of its block and of all earlier
        blocks are kept.
    KeyboardInterrupt
        On Ctrl-C with ``on_interrupt="raise"``.
    SystemExit
        On SIGTERM and SIGHUP, if they would otherwise kill the process (in the main thread, unless
        something else handles them): after the same message, with status 128 + the signal number.
        Finished blocks are kept, and an executor can end its workers.
    """
    _checks.choice("collect: on_interrupt", on_interrupt, get_args(OnInterrupt))
    if isinstance(progress, np.bool_):
        progress = bool(progress)
    if not (progress is None or isinstance(progress, bool) or callable(progress)):
        raise _checks.refused(
            "collect: progress", "True, False, None or a function", progress, kind=TypeError
        )
    run = _Run(checked_options(configs, keywords))
    try:
        # There is also progress to report within a block, which a generator could not yield.
        with (
            signals.raised(),
            _progress.reporter(progress, run.options.metric) as report,
            contextlib.closing(run.records(within_block=report)) as records,
        ):
            for record in records:
                report(record)
    except KeyboardInterrupt as error:
        run.study.interrupted = True
        path = keywords.get("path")
        kept = f"; they are kept in {path}; repeat the call to resume" if path is not None else ""
        _console.say(f"interrupted: {run.done} seeds are finished{kept}")
        if isinstance(error, signals.Ended):
            raise SystemExit(128 + error.number) from None
        if on_interrupt == "raise":
            raise
    return run.study


def iter_collect(
    configs: AnyConfig | Iterable[AnyConfig], **keywords: Unpack[Keywords]
) -> Generator[Progress, None, None]:
    """Like `collect`, but yield a `Progress` record at the start and after each block.

    Parameters are those of `collect` except ``progress`` and ``on_interrupt``. In each record,
    ``record.study`` is the study so far. Closing the generator ends the training, as does Ctrl-C,
    which raises KeyboardInterrupt; finished blocks are kept.
    """
    return _Run(checked_options(configs, keywords, "iter_collect")).records()


def _show_keywords(function: Any) -> None:
    """Make help and notebooks show the individual keywords."""
    own = inspect.signature(function)
    shown = [each for each in own.parameters.values() if each.kind is not each.VAR_KEYWORD]
    shown[1:1] = [
        inspect.Parameter(
            name, inspect.Parameter.KEYWORD_ONLY, default=DEFAULTS.get(name), annotation=hint
        )
        for name, hint in inspect.get_annotations(Keywords).items()
    ]
    function.__signature__ = own.replace(parameters=shown)


_checks.explain(
    "iter_collect",
    {
        "progress": "it yields the progress instead of showing it",
        "on_interrupt": "Ctrl-C raises KeyboardInterrupt; finished blocks are kept",
    },
)
_show_keywords(collect)
_show_keywords(iter_collect)


class _Run:
    """One run of `collect`; its study grows as blocks finish."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.holdings = [Holding(config, options.metadata) for config in options.configs]
        self.study = Study(self.holdings, options.store.path if options.store else None)
        self.plan = Plan(options.target)
        self.started = time.perf_counter()  # reset once everything stored has been read

    @property
    def done(self) -> int:
        """Number of finished seeds of all configurations."""
        return sum(task.done for task in self.plan.all)

    def records(
        self, within_block: Callable[[Progress], object] | None = None
    ) -> Generator[Progress, None, None]:
        """Read what is stored and train what is missing; a record at the start and per block."""
        options, plan = self.options, self.plan
        for holding in self.holdings:
            task = self._task(holding)
            plan.add(task)
            plan.aim_at(task, options.seeds)
            plan.put_back(task)
        if options.store is not None:
            write_configs(options.store, self.holdings)
        self._say_what_is_trained_again()
        self.started = time.perf_counter()
        yield self._record()

        def report() -> None:
            if within_block is not None:
                within_block(self._record())

        if options.executor is None:
            steps = runners.in_this_process(plan, options, self._keep, report)
        else:
            steps = runners.on_executor(plan, options, self._keep)
        try:
            with contextlib.closing(steps):
                for _ in steps:
                    yield self._record()
        except KeyboardInterrupt:
            self.study.interrupted = True
            raise
        if options.target is not None:
            options.target.warn_of_missed(plan.all)

    def _task(self, holding: Holding) -> Task:
        """What a configuration still needs, given what the folder contains."""
        options, stored = self.options, Stored()
        if options.target is not None:
            holding.target_met = False
        if options.kept.declaration is not None:
            declaration = options.kept.declaration
            holding.add_tables("probe", declaration.key, (), declaration)
        if options.store is not None:
            options.store.write_config(holding.config, options.metadata)
            holding.metadata |= options.store.config(holding.config.digest)[1]
            holding.only(SeedSet())  # while files are read, which may have rows of any seed
            stored = read_stored(
                options.store, holding, options.most_seeds, options.metric, options.kept
            )
        return Task(holding, stored, bounds=bounds_of(holding, options.metric))

    def _say_what_is_trained_again(self) -> None:
        count = sum(task.lacking.count for task in self.plan.all)
        if count:
            kept, names = self.options.kept, {"weights": "weights", "history": "histories"}
            names["probe"] = f"values of the probe {kept.probe.name!r}" if kept.probe else ""
            _console.say(
                f"collect: {count} finished seeds lack {' or '.join(names[k] for k in kept.kinds)}:"
                " they are trained again, and their rows compared with the stored ones"
            )

    def _keep(self, task: Task, block: SeedSet, trained: Trained) -> None:
        """Write a block, if there is a folder, and count it; must not be interrupted between."""
        parts = self._written(task, block, trained)
        if trained.failure is not None:
            probe, kept = self.options.kept.probe, self.options.store is not None
            raise ProbeError(
                f"collect: probe {probe.name if probe else ''!r} failed on {block.count} seeds "
                f"starting at {block.ranges[0][0]}, of {task.config!r}: "
                f"{described(trained.failure)}"
                + ("; the rows of this block and of all earlier ones are kept" if kept else "")
            ) from trained.failure
        self.plan.trained(task, block)
        rows = parts.pop("seeds", None)
        if rows is not None:
            task.holding.add_rows(rows)
        for kind, key in self.options.kept.kinds.items():
            task.holding.add_tables(kind, key, [parts[kind]])
        metric, valid = self.options.metric, ~trained.rows["diverged"].to_numpy()
        values = trained.rows[metric] if metric in trained.rows else trained.tables["probe"][metric]
        task.take_in(values.to_numpy()[valid], int((~valid).sum()))
        self.plan.update(task)

    def _written(self, task: Task, block: SeedSet, trained: Trained) -> dict[str, Any]:
        """The results of a block as parts of a holding, by kind, without rows that are already
        stored (which must be the same)."""
        parts: dict[str, Any] = dict(trained.tables)
        store, config, stored = self.options.store, task.config, task.stored
        again = (SeedSet.of(stored.seeds) & block).count if stored.files else 0
        if again:
            union([stored.rows_of(config, block), trained.rows], config)
        if again < block.count:
            parts["seeds"] = trained.rows
        if store is not None:
            kept = self.options.kept
            for kind, key in kept.kinds.items():
                if kind in parts:
                    declaration = kept.declaration if kind == "probe" else None
                    parts[kind] = store.write_array(config, kind, parts[kind], key, declaration)
            if "seeds" in parts:  # last, because a seed with a row counts as complete
                parts["seeds"] = store.write_rows(config, trained.rows)
        return parts

    def _record(self) -> Progress:
        seconds, work = time.perf_counter() - self.started, self.plan.work
        seconds_left = None if work.left else 0.0
        if work.done:
            seconds_left = seconds * work.left / work.done
        return Progress(
            configs=tuple(self.plan.records),
            reused=work.reused,
            seconds=seconds,
            seeds_per_second=work.trained / seconds if seconds > 0 else 0.0,
            seconds_left=seconds_left,
            study=self.study,
        )
