"""Selects the compiled core for the best instruction set of the processor and system."""

from __future__ import annotations

import contextlib
import contextvars
import importlib.util
import os
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from fastpolysem import _checks, _console, _isa


def _is_built(level: str) -> bool:
    return importlib.util.find_spec(f"fastpolysem._core_{level}") is not None


_SUPPORTED = tuple(filter(_is_built, _isa.supported()))


def _load() -> Any:
    wanted = os.environ.get("FASTPOLYSEM_ISA")
    message = ""
    if not _SUPPORTED:
        machine = ", ".join(_isa.supported())
        message = f"fastpolysem must be built for one of {machine} to run on this machine"
    elif wanted and wanted not in _SUPPORTED:
        message = (
            f"FASTPOLYSEM_ISA must be one of {', '.join(_SUPPORTED)} on this machine, "
            f"got {wanted!r}"
        )
    if message:
        if _console.is_program():
            _console.fail(message)
        raise ImportError(message)
    return importlib.import_module(f"fastpolysem._core_{wanted or _SUPPORTED[0]}")


if TYPE_CHECKING:
    from fastpolysem import _core

    core = _core
else:
    core = _load()


MAX_THREADS = 1024

_chosen: contextvars.ContextVar[int | None] = contextvars.ContextVar("threads", default=None)


@contextlib.contextmanager
def threads_by_default(count: int) -> Iterator[None]:
    """Context in which this is the default number of threads."""
    token = _chosen.set(count)
    try:
        yield
    finally:
        _chosen.reset(token)


def default_threads() -> int:
    """The default number of threads, at most `MAX_THREADS`.

    It is ``OMP_NUM_THREADS`` or, without it, the number of cores that the process may use.
    """
    if (chosen := _chosen.get()) is not None:
        return chosen
    threads: int = core.default_threads()
    if not re.match(r"\s*\+?0*[1-9]", os.environ.get("OMP_NUM_THREADS", "")):
        threads = min(threads, _checks.available_cores())
    return min(threads, MAX_THREADS)


def build_info() -> dict[str, Any]:
    """Describe the compiled core in use.

    Returns
    -------
    dict
        ``version``, ``isa`` (the instruction set in use), ``supported`` (instruction sets that were
        built and that this machine has, best first; the environment variable ``FASTPOLYSEM_ISA``
        selects one),
        ``vector_bytes``, ``threads`` (the default number), ``openmp`` (its date, or None),
        ``compiler``, ``eigen`` and ``numerics_version``.
    """
    return {
        **core.info(),
        "supported": _SUPPORTED,
        "threads": default_threads(),
        "numerics_version": core.NUMERICS_VERSION,
    }
