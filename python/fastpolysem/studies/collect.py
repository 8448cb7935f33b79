"""Collecting: train the seeds of configurations that are not there yet, block by block."""

from __future__ import annotations

import contextlib
import inspect
import time
from collections.abc import Callable, Generator, Iterable
from typing import Any, Literal, Unpack, get_args

from fastpolysem import _checks, _console
from fastpolysem.families import AnyConfig
from fastpolysem.studies import progress as _progress
from fastpolysem.studies import runners, signals
from fastpolysem.studies.blocks import Trained, described
from fastpolysem.studies.holding import Holding
from fastpolysem.studies.options import DEFAULTS, Keywords, Options, checked_options
from fastpolysem.studies.plan import Plan, Task
from fastpolysem.studies.progress import Progress
from fastpolysem.studies.schema import union
from fastpolysem.studies.seedsets import SeedSet
from fastpolysem.studies.stored import Stored, read_stored
from fastpolysem.studies.study import Study
from fastpolysem.studies.tabulate import bounds_of

OnInterrupt = Literal["return", "raise"]


class ProbeError(RuntimeError):
    """A probe raised; the rows of the block that it was given are kept."""


def collect(
    configs: AnyConfig | Iterable[AnyConfig],
    *,
    progress: bool | Callable[[Progress], object] | None = None,
    on_interrupt: OnInterrupt = "return",
    **keywords: Unpack[Keywords],
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
        Result column, of the probe perhaps, that ``target`` and the shown means are about.
    max_seeds
        The most seeds of a configuration with ``target``, trained as far as the target asks for
        them whatever the first ones give; 65536 if not given.
    path
        Folder for finished blocks; created if missing, reused to resume.
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
    probe
        A `fastpolysem.probes.Probe`: columns of your own, computed from each block's weights and
        history where it is trained, and kept beside its rows. Seeds that are there without them are
        trained again; a line on standard error says how many, before it starts.
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
        If stored rows contradict each other, or those of seeds that are trained again.
    ProbeError
        If the probe raised; the rows of that block, and all blocks before, are kept.
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
    run = _Run(checked_options(configs, keywords))
    try:
        # Within a block, too, there is something to report, and no generator to yield it.
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
        kept = f"; they are kept in {path}, the same call resumes" if path is not None else ""
        _console.say(f"interrupted: {run.done} seeds are finished{kept}")
        if isinstance(error, signals.Ended):
            raise SystemExit(128 + error.number) from None
        if on_interrupt == "raise":
            raise
    return run.study


def iter_collect(
    configs: AnyConfig | Iterable[AnyConfig], **keywords: Unpack[Keywords]
) -> Generator[Progress, None, None]:
    """Do what `collect` does and yield a `Progress` record at the start and after each block.

    Parameters are those of `collect`. Each record refers to the study so far as ``record.study``.
    Closing the generator, or Ctrl-C, which raises KeyboardInterrupt, ends the work; finished blocks
    are kept.
    """
    return _Run(checked_options(configs, keywords)).records()


def _show_keywords(function: Any) -> None:
    """Have help and notebooks show the keywords one by one."""
    own = inspect.signature(function)
    shown = [each for each in own.parameters.values() if each.kind is not each.VAR_KEYWORD]
    shown[1:1] = [
        inspect.Parameter(
            name, inspect.Parameter.KEYWORD_ONLY, default=DEFAULTS.get(name), annotation=hint
        )
        for name, hint in inspect.get_annotations(Keywords).items()
    ]
    function.__signature__ = own.replace(parameters=shown)


_show_keywords(collect)
_show_keywords(iter_collect)


class _Run:
    """One run of collecting; its study grows as blocks finish."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.holdings = [Holding(config, options.metadata) for config in options.configs]
        self.study = Study(self.holdings, options.store.path if options.store else None)
        self.plan = Plan(options.target)
        self.started = time.perf_counter()  # reset once all that is stored has been read

    @property
    def done(self) -> int:
        """Seeds whose rows are there, of all configurations."""
        return sum(task.done for task in self.plan.all)

    def records(
        self, within_block: Callable[[Progress], object] | None = None
    ) -> Generator[Progress, None, None]:
        """Read what is stored and train what is missing; a record at the start and a block."""
        options, plan = self.options, self.plan
        for holding in self.holdings:
            task = self._task(holding)
            plan.add(task)
            plan.aim_at(task, options.seeds)
            plan.put_back(task)
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
        with contextlib.closing(steps):
            for _ in steps:
                yield self._record()
        if options.target is not None:
            options.target.warn_of_missed(plan.all)

    def _task(self, holding: Holding) -> Task:
        """What a configuration needs, after what the folder holds of it."""
        options, stored = self.options, Stored()
        if options.target is not None:
            holding.target_met = False
        if options.kept.declaration is not None:
            declaration = options.kept.declaration
            holding.add_tables("probe", declaration.key, (), declaration)
        if options.store is not None:
            options.store.write_config(holding.config, options.metadata)
            holding.metadata |= options.store.config(holding.config.digest)[1]
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
                " they are trained again, and their rows compared with those that are there"
            )

    def _keep(self, task: Task, block: SeedSet, trained: Trained) -> None:
        """Write a block, if there is a folder, and count it: to be done as one."""
        parts = self._written(task, block, trained)
        if trained.failure is not None:
            probe = self.options.kept.probe
            raise ProbeError(
                f"collect: probe {probe.name if probe else ''!r} failed on {block.count} seeds "
                f"from {block.ranges[0][0]} on, of {task.config!r}: {described(trained.failure)}; "
                "the rows of this block and of all before are kept"
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
        """What came of a block as parts of a holding, by kind; rows that are stored already, which
        have to be the same, are none of them."""
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
            if "seeds" in parts:  # last, since a seed with a row counts as complete
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
