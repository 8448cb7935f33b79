"""Executors by name, for the command line."""

from __future__ import annotations

import contextlib
import importlib
import multiprocessing
import signal
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from typing import Any

from fastpolysem import _checks
from fastpolysem._native import default_threads


def _ignore_interrupts() -> None:
    """For workers: Ctrl-C reaches all processes of a terminal, and the parent handles it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@contextlib.contextmanager
def named(name: str | None, workers: int | None = None) -> Iterator[Executor | None]:
    """Context manager for an executor on this machine; None without a name.

    Parameters
    ----------
    name
        "processes" for a process pool, "dask" for a local Dask cluster.
    workers
        Number of processes; None for one per core.

    Raises
    ------
    ImportError
        If Dask is not installed.
    """
    count = workers or default_threads()
    if name is None:
        yield None
    elif _checks.choice("executor", name, ("processes", "dask")) == "processes":
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(count, context, initializer=_ignore_interrupts) as pool:
            yield pool
    else:
        try:
            distributed: Any = importlib.import_module("distributed")
        except ImportError:
            raise ImportError(
                "the executor 'dask' needs Dask: pip install 'fastpolysem[dask]'"
            ) from None
        with distributed.Client(
            n_workers=count, threads_per_worker=1, dashboard_address=None
        ) as client:
            yield client.get_executor()
