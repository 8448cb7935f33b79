"""The keywords of `collect` and `iter_collect`, and their checks."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypedDict

import numpy as np
from numpy.typing import ArrayLike

from fastpolysem import _checks, families
from fastpolysem._native import MAX_THREADS, default_threads
from fastpolysem.families import AnyConfig, is_config
from fastpolysem.probes import Declaration, Probe, check_picklable, checked_probe
from fastpolysem.studies.blocks import Kept, block_size
from fastpolysem.studies.metadata import checked_metadata, taken_names
from fastpolysem.studies.schema import columns
from fastpolysem.studies.seedsets import SeedSet
from fastpolysem.studies.store import Store
from fastpolysem.studies.target import DEFAULT_MAX_SEEDS, FIRST_CHECKPOINT, Target
from fastpolysem.training import RecordLike, checked_record, weight_bytes


class Keywords(TypedDict, total=False):
    """Keywords of `collect` and `iter_collect`, documented in `collect`."""

    seeds: int | ArrayLike | None
    target: float | None
    metric: str | None
    max_seeds: int | None
    path: str | os.PathLike[str] | None
    executor: Executor | None
    num_threads: int | None
    record: RecordLike | None
    probe: Probe | None
    keep_weights: bool
    metadata: Mapping[str, Any] | None


DEFAULTS: Keywords = {"keep_weights": False}
"""The default of all others is None."""


@dataclass(frozen=True)
class Options:
    """The checked options of a run of `collect`."""

    configs: list[AnyConfig]
    seeds: SeedSet
    """All requested seeds or, with a target, those on which it is first evaluated."""
    metric: str
    target: Target | None
    store: Store | None
    executor: Executor | None
    num_threads: int
    """Threads per call of `train`."""
    kept: Kept
    metadata: dict[str, Any]

    @property
    def most_seeds(self) -> SeedSet:
        """All seeds that may be needed."""
        return self.seeds if self.target is None else SeedSet([(0, self.target.cap)])


def checked_options(
    configs: AnyConfig | Iterable[AnyConfig], keywords: Keywords, function: str = "collect"
) -> Options:
    """The options specified by the arguments of a function.

    Raises
    ------
    TypeError, ValueError, MemoryError
        For invalid arguments; the message names the argument, its value and what is allowed.
    """
    _checks.known_names(function, keywords, Keywords.__annotations__, "argument")
    given: Any = {name: DEFAULTS.get(name) for name in Keywords.__annotations__} | keywords
    chosen = checked_configs(configs)
    executor = checked_executor(given["executor"])
    kept, declaration = _checked_kept(chosen, given, executor)
    metric = _checked_metric(chosen, given["metric"], declaration)
    seeds, target = _checked_seeds_or_target(given, metric)
    num_threads = given["num_threads"]
    if num_threads is not None:
        num_threads = _checks.integer(
            "collect: num_threads", num_threads, (">=", 1), ("<=", MAX_THREADS)
        )
    options = Options(
        configs=chosen,
        seeds=seeds,
        metric=metric,
        target=target,
        store=None if given["path"] is None else Store(given["path"], "collect: path"),
        executor=executor,
        num_threads=num_threads or (default_threads() if executor is None else 1),
        kept=kept,
        metadata=checked_metadata(given["metadata"], chosen, declaration),
    )
    _check_kept_memory(options)
    return options


def _checked_seeds_or_target(
    given: Mapping[str, Any], metric: str
) -> tuple[SeedSet, Target | None]:
    """The initial seeds, and the target if there is one."""
    seeds, target, max_seeds = given["seeds"], given["target"], given["max_seeds"]
    if (seeds is None) == (target is None):
        raise ValueError("collect: exactly one of seeds and target must be given")
    if target is None:
        if max_seeds is not None:
            raise ValueError(f"collect: max_seeds must be left out without target, got {max_seeds}")
        return checked_seeds(seeds), None
    width = _checks.real("collect: target", target, (">", 0))
    most = DEFAULT_MAX_SEEDS if max_seeds is None else max_seeds
    cap = _checks.integer("collect: max_seeds", most, (">=", 2), ("<=", 2**64))
    first = SeedSet([(0, min(FIRST_CHECKPOINT, cap))])
    return first, Target(width, metric, cap, insists=max_seeds is not None)


def _checked_kept(
    configs: list[AnyConfig], given: Mapping[str, Any], executor: Executor | None
) -> tuple[Kept, Declaration | None]:
    """What to store for a seed besides its row."""
    record, probe = given["record"], given["probe"]
    if record is not None:
        record = checked_record("collect", record, *configs)
    declaration = None
    if probe is not None:
        declaration = checked_probe("collect", probe)
        taken = taken_names(configs) | {"config", "step"}
        if clash := sorted(taken.intersection(declaration.stored_names)):
            raise ValueError(
                "collect: probe must not use the names of columns or settings, "
                f"got {', '.join(clash)}"
            )
        for config in configs:
            probe.check(config)
        if executor is not None and not isinstance(executor, ThreadPoolExecutor):
            check_picklable("collect", probe)
    keep_weights = _checks.flag("collect: keep_weights", given["keep_weights"])
    return Kept(record, keep_weights, probe), declaration


def _checked_metric(
    configs: list[AnyConfig], metric: str | None, declaration: Declaration | None
) -> str:
    if metric is None:
        metric = _default_metric(configs)
    probed = declaration.columns if declaration else {}
    for config in configs:
        _checks.choice("collect: metric", metric, (*columns(config), *probed))
    return metric


def _default_metric(configs: list[AnyConfig]) -> str:
    """The first of the families' defaults that is a column of all configurations."""
    names = list(dict.fromkeys(families.family_of(config).primary for config in configs))
    for name in names:
        if all(name in columns(config) for config in configs):
            return name
    raise ValueError(
        "collect: metric must be a column of all configs, but none of their defaults "
        f"({', '.join(names)}) is; give another, or collect one family at a time"
    )


def _check_kept_memory(options: Options) -> None:
    """Refuse a study, or blocks trained at the same time, that would not fit into memory."""
    configs, kept = options.configs, options.kept
    history = 0
    if record := kept.record:
        history = len(record.steps) * (_HISTORY_BYTES + 8 * len(record.metrics))
    at_once = options.num_threads if options.executor is None else 1
    if options.store is None:
        most = options.seeds.count if options.target is None else options.target.cap
        parts = {
            f"the rows of {most} seeds of {len(configs)} configs": most * len(configs) * _ROW_BYTES,
            "their weights": most * sum(map(weight_bytes, configs)) * kept.weights,
            "their histories": most * len(configs) * history,
        }
        _checks.memory("collect", parts, "use fewer seeds at a time, or give a path")
    else:
        seeds = [min(options.most_seeds.count, at_once * block_size(config)) for config in configs]
        weights = map(weight_bytes, configs)
        parts = {
            "the weights of the seeds trained at the same time": max(
                2 * count * size for count, size in zip(seeds, weights, strict=True)
            )
            * (kept.weights or kept.probe is not None),
            "their histories": max(seeds) * history,
        }
        _checks.memory("collect", parts, "record fewer steps, or use fewer threads")
    busy = min(at_once, options.most_seeds.count)
    training = (families.family_of(one).memory(one, "auto", busy, busy) for one in configs)
    parts = {f"{busy} models in training": max(training)}
    _checks.memory("collect", parts, "use fewer threads or a smaller model")


# A row in memory, with room for a copy while tables are concatenated.
_ROW_BYTES = 300

# One step of a seed's history without the metrics, likewise.
_HISTORY_BYTES = 100

# A seed without neighbours in the list, including temporary copies.
_SEED_BYTES = 64


def checked_configs(configs: AnyConfig | Iterable[AnyConfig]) -> list[AnyConfig]:
    """The configurations as a list, without two of equal effect."""
    chosen = list(configs) if isinstance(configs, Iterable) else [configs]
    seen: dict[str, AnyConfig] = {}
    for config in chosen:
        if not is_config(config):
            raise _checks.refused("collect: configs", "a Config or several", config, kind=TypeError)
        if config.digest in seen:
            raise ValueError(
                f"collect: configs must differ in effect, "
                f"got {seen[config.digest]!r} and {config!r}"
            )
        seen[config.digest] = config
    if not chosen:
        raise ValueError("collect: configs must hold at least one Config, got none")
    return chosen


def checked_seeds(seeds: Any) -> SeedSet:
    """The requested seeds."""
    if isinstance(seeds, (int, np.integer)):
        return SeedSet([(0, _checks.integer("collect: seeds", seeds, (">=", 1), ("<=", 2**64)))])
    if isinstance(seeds, range):
        return _seeds_of_range(seeds)
    if type(seeds) is np.ndarray and seeds.ndim == 1 and seeds.dtype.kind in "iu":
        _check_memory(seeds.size)
        if seeds.size and seeds.min() < 0:
            at = int(np.argmin(seeds))
            raise _checks.refused(f"collect: seeds[{at}]", "an integer >= 0", seeds[at])
        given = seeds.astype(np.uint64)
    else:
        if not hasattr(seeds, "__len__"):
            allowed = "a count or a list of integers"
            raise _checks.refused("collect: seeds", allowed, seeds, kind=TypeError)
        values = _checks.integers("collect: seeds", seeds, (">=", 0), ("<", 2**64))
        given = np.array(values, dtype=np.uint64)
    if not given.size:
        raise ValueError("collect: seeds must hold at least one seed, got none")
    ordered = np.sort(given)
    twice = ordered[1:][ordered[1:] == ordered[:-1]]
    if twice.size:
        raise ValueError(f"collect: seeds must be different, got {twice[0]} more than once")
    return SeedSet.of(ordered)


def _seeds_of_range(seeds: range) -> SeedSet:
    """The seeds of a range, in constant memory if its step is 1."""
    if not seeds:
        raise ValueError(f"collect: seeds must hold at least one seed, got {seeds!r}")
    first, last = sorted((seeds[0], seeds[-1]))
    if first < 0:
        raise _checks.refused("collect: seeds", "integers >= 0", seeds)
    if last >= 2**64:
        raise _checks.refused("collect: seeds", "integers < 18446744073709551616", seeds)
    step = abs(seeds.step)
    count = (last - first) // step + 1  # len() stops at 2**63 - 1
    if step == 1 or count == 1:
        return SeedSet([(first, last + 1)])
    _check_memory(count)
    each = np.arange(count, dtype=np.uint64) * np.uint64(step) + np.uint64(first)
    return SeedSet.of(each)


def _check_memory(count: int) -> None:
    """Refuse lists of seeds that would not fit into memory, before they are made."""
    _checks.memory(
        "collect",
        {f"a list of {count} seeds": count * _SEED_BYTES},
        "use fewer seeds at a time; consecutive ones, as in range(10**9), need no list",
    )


def checked_executor(executor: Any) -> Executor | None:
    """Check the class of an executor: a look-alike would accept blocks before it fails."""
    if executor is None or isinstance(executor, Executor):
        return executor
    hints = {"get_executor": "its get_executor()", "executor": "its executor()"}
    names = (
        []
        if isinstance(executor, type)
        else [name for name in hints if callable(getattr(executor, name, None))]
    )
    hint = f"; pass {hints[names[0]]}" if names else ""
    allowed = "None or an instance of a concurrent.futures.Executor"
    raise _checks.refused("collect: executor", allowed, executor, hint, kind=TypeError)


def checked_job(job: Any) -> Future[Any]:
    """The result of ``submit``, after checking that it is a future."""
    needed = ("add_done_callback", "cancel", "cancelled", "done", "exception", "result")
    if missing := [name for name in needed if not callable(getattr(job, name, None))]:
        raise TypeError(
            "collect: executor must return futures from submit, "
            f"got {_checks.shown(job)} without {', '.join(missing)}"
        )
    future: Future[Any] = job
    return future
