"""The checks of what `collect` and `iter_collect` are given."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import Executor, Future
from typing import Any

import numpy as np

from fastpolysem import _checks
from fastpolysem.families import AnyConfig, is_config
from fastpolysem.studies.seedsets import SeedSet

# A seed whose neighbours are not asked for, with the copies that are made on the way.
_SEED_BYTES = 64


def checked_configs(configs: AnyConfig | Iterable[AnyConfig]) -> list[AnyConfig]:
    """A list of different configurations."""
    listed = list(configs) if isinstance(configs, Iterable) else [configs]
    seen: dict[str, AnyConfig] = {}
    for config in listed:
        if not is_config(config):
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


def checked_seeds(seeds: Any) -> SeedSet:
    """The seeds asked for."""
    if isinstance(seeds, (int, np.integer)):
        return SeedSet([(0, _checks.integer("collect: seeds", seeds, (">=", 1), ("<=", 2**64)))])
    if isinstance(seeds, range):
        return _seeds_of_range(seeds)
    if isinstance(seeds, np.ndarray) and seeds.ndim == 1 and seeds.dtype.kind in "iu":
        _check_memory(seeds.size)
        if seeds.size and seeds.min() < 0:
            at = int(np.argmin(seeds))
            raise _checks.refused(f"collect: seeds[{at}]", "an integer >= 0", seeds[at])
        given = seeds.astype(np.uint64)
    else:
        listed = _checks.integers("collect: seeds", seeds, (">=", 0), ("<", 2**64))
        given = np.array(listed, dtype=np.uint64)
    if not given.size:
        raise ValueError("collect: seeds must hold at least one seed, got none")
    ordered = np.sort(given)
    twice = ordered[1:][ordered[1:] == ordered[:-1]]
    if twice.size:
        raise ValueError(f"collect: seeds must be different, got {twice[0]} more than once")
    return SeedSet.of(ordered)


def _seeds_of_range(seeds: range) -> SeedSet:
    """A range's seeds, in constant memory if its step is 1."""
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
    """Refuse lists of seeds that would not fit, before they are made."""
    _checks.memory(
        "collect",
        {f"a list of {count} seeds": count * _SEED_BYTES},
        "ask for fewer seeds at a time; consecutive ones, as in range(10**9), need no list",
    )


def checked_executor(executor: Any) -> Executor | None:
    """An executor, known by its class: a look-alike would take blocks before it shows."""
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
    """What ``submit`` gave, if it is a future."""
    needed = ("add_done_callback", "cancel", "cancelled", "done", "exception", "result")
    if missing := [name for name in needed if not callable(getattr(job, name, None))]:
        raise TypeError(
            "collect: executor must give futures when something is submitted, "
            f"got {_checks.shown(job)} without {', '.join(missing)}"
        )
    future: Future[Any] = job
    return future
