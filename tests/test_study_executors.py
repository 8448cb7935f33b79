"""Executors: processes, Dask, MPI, and those that break."""

from __future__ import annotations

import concurrent.futures
import multiprocessing
import multiprocessing.pool
import os
import shutil
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastpolysem as fp
from fastpolysem.studies import Progress, Study
from helpers.small_studies import CONFIG, CONFIGS, Stop, assert_same, digest_of, small_blocks  # noqa: F401

pytestmark = pytest.mark.usefixtures("small_blocks")


def test_processes_change_nothing(tmp_path: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(2, mp_context=spawn) as executor:
        study = fp.collect(CONFIGS, seeds=13, executor=executor, path=tmp_path)
        again = fp.collect(CONFIGS, seeds=15, executor=executor)
    assert_same(study, fp.collect(CONFIGS, seeds=13))
    assert_same(Study.open(tmp_path), study)
    assert_same(again, fp.collect(CONFIGS, seeds=15))


class Broken(concurrent.futures.Executor):
    """Runs tasks at once, until one fails."""

    def __init__(self, failing: int, error: BaseException) -> None:
        self.left, self.error = failing, error

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> concurrent.futures.Future[Any]:
        future: concurrent.futures.Future[Any] = concurrent.futures.Future()
        self.left -= 1
        if self.left == 0:
            future.set_exception(self.error)
        else:
            future.set_result(fn(*args, **kwargs))
        return future


@pytest.mark.parametrize("error", [concurrent.futures.BrokenExecutor("worker lost"), Stop()])
def test_a_lost_worker_loses_no_finished_block(tmp_path: Path, error: BaseException) -> None:
    with pytest.raises(type(error)) as caught:
        fp.collect(CONFIG, seeds=30, path=tmp_path, executor=Broken(4, error))
    assert "finished blocks are kept" in caught.value.__notes__[0]
    # Those that were done but had not been received yet as well: all but the one that failed.
    assert len(Study.open(tmp_path)) == 26
    assert_same(fp.collect(CONFIG, seeds=30, path=tmp_path), fp.collect(CONFIG, seeds=30))


def test_an_interrupted_executor_keeps_what_it_finished(tmp_path: Path) -> None:
    study = fp.collect(
        CONFIG, seeds=30, path=tmp_path, executor=Broken(5, KeyboardInterrupt()), progress=False
    )
    assert study.interrupted
    assert len(study) == len(Study.open(tmp_path)) == 26


# What only looks like an executor, and workers that send something else.


class Job:
    """A job that cannot be cancelled."""

    def result(self) -> None: ...
    def done(self) -> bool: ...
    def exception(self) -> None: ...
    def cancelled(self) -> bool: ...
    def add_done_callback(self, fn: Any) -> None: ...


class LooksLikeOne:
    def __init__(self) -> None:
        self.submitted: list[Any] = []

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Job:
        self.submitted.append(fn)
        return Job()


class GivesNoFutures(LooksLikeOne, concurrent.futures.Executor):  # type: ignore[misc]
    pass


def test_what_only_looks_like_an_executor_is_given_nothing(tmp_path: Path) -> None:
    one = LooksLikeOne()
    with multiprocessing.pool.ThreadPool(1) as pool:
        for executor in (one, pool, concurrent.futures.ThreadPoolExecutor, "processes"):
            with pytest.raises(TypeError, match="executor must be None or an instance of"):
                fp.collect(CONFIG, seeds=30, path=tmp_path / "study", executor=executor)  # type: ignore[arg-type]
    assert one.submitted == []
    assert not (tmp_path / "study").exists()


def test_a_client_is_asked_for_its_executor() -> None:
    class Client(LooksLikeOne):
        def get_executor(self) -> None: ...

    with pytest.raises(TypeError, match=r"; pass its get_executor\(\)"):
        fp.collect(CONFIG, seeds=1, executor=Client())  # type: ignore[arg-type]


def test_an_executor_without_futures_loses_nothing(tmp_path: Path) -> None:
    fp.collect(CONFIG, seeds=8, path=tmp_path)
    executor = GivesNoFutures()
    with pytest.raises(TypeError, match=r"must return futures .*, got <.*> without cancel$"):
        fp.collect(CONFIG, seeds=30, path=tmp_path, executor=executor)
    assert len(executor.submitted) == 1
    assert len(Study.open(tmp_path)) == 8


KEPT: dict[str, Any] = {"keep_weights": True, "record": ("loss", [0, 50])}


def changed(name: str, change: Callable[[Any], Any]) -> Callable[[dict[str, Any]], Any]:
    """A worker that alters a column of its rows."""
    return lambda sent: {**sent, "rows": {**sent["rows"], name: change(sent["rows"][name])}}


def each(change: Callable[[Any], Any]) -> Callable[[dict[str, Any]], Any]:
    """A worker that alters every column of its rows."""
    return lambda sent: {
        **sent,
        "rows": {name: change(column) for name, column in sent["rows"].items()},
    }


def without(name: str) -> Callable[[dict[str, Any]], Any]:
    """A worker that leaves out a column of its rows."""
    return lambda sent: {
        **sent,
        "rows": {key: column for key, column in sent["rows"].items() if key != name},
    }


FAULTS: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "nothing": (lambda sent: None, "None in place of a block"),
    "another config": (lambda sent: sent | {"digest": "0" * 64}, "a block of config 0000"),
    "other seeds": (changed("seed", lambda seeds: seeds + np.uint64(100)), "rows of the seed 10"),
    "signed seeds": (changed("seed", lambda seeds: -1.0 - seeds), "rows of the seed -"),
    "too few": (each(lambda column: column[:-1]), "rows without the seed"),
    "none": (each(lambda column: column[:0]), "rows without the seed"),
    "another order": (each(lambda column: column[::-1]), "in another order"),
    "duplicates": (each(lambda column: np.append(column, column[-1:])), "more than once"),
    "numerics": (changed("numerics_version", lambda one: one + 1), "numerics version 2"),
    "a column less": (without("dead"), "rows without dead"),
    "unequal columns": (changed("dead", lambda column: column[:-1]), "rows that do not form a "),
    "text": (changed("dead", lambda column: column.astype(str)), "dead of type"),
    "fractions": (changed("dead", lambda column: column / 2), "dead of type float64"),
    "no weights": (lambda sent: sent | {"weights": None}, "no weights"),
    "fewer weights": (
        lambda sent: sent | {"weights": sent["weights"].slice(1)},
        "weights without the seed",
    ),
    "no history": (lambda sent: sent | {"history": sent["weights"]}, "no history, or history with"),
    "less history": (
        lambda sent: sent | {"history": sent["history"].slice(1)},
        "history with a seed",
    ),
}


class Faulty(concurrent.futures.Executor):
    """Runs tasks at once and alters what they give, from the third on."""

    def __init__(self, fault: Callable[[dict[str, Any]], Any]) -> None:
        self.fault, self.calls = fault, 0

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> concurrent.futures.Future[Any]:
        future: concurrent.futures.Future[Any] = concurrent.futures.Future()
        self.calls += 1
        sent = fn(*args, **kwargs)
        future.set_result(self.fault(sent) if self.calls > 2 else sent)
        return future


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("stored", [False, True])
def test_what_was_not_asked_for_is_not_kept(tmp_path: Path, fault: str, stored: bool) -> None:
    change, message = FAULTS[fault]
    path = tmp_path if stored else None
    with pytest.raises(RuntimeError, match=f"a worker of the executor sent .*?{message}") as caught:
        fp.collect(CONFIG, seeds=30, path=path, executor=Faulty(change), **KEPT)
    assert ("finished blocks are kept" in caught.value.__notes__[0]) == stored
    if stored:
        assert Study.check(tmp_path) == []
        assert len(Study.open(tmp_path)) == 8
        again = fp.collect(CONFIG, seeds=30, path=tmp_path, **KEPT)
        assert_same(again, fp.collect(CONFIG, seeds=30))


# Dask.


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Two workers of one thread each on this machine."""
    distributed = pytest.importorskip("distributed")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address=None
        )
        with made, distributed.Client(made) as client:
            yield client


@pytest.mark.extra
@pytest.mark.filterwarnings("ignore")
def test_dask_changes_nothing(tmp_path: Path, cluster: Any) -> None:
    kept: dict[str, Any] = {"keep_weights": True, "record": ("loss", [0, 50])}
    executor = cluster.get_executor()
    study = fp.collect(CONFIGS, seeds=21, executor=executor, path=tmp_path, **kept)
    local = fp.collect(CONFIGS, seeds=21, num_threads=2, **kept)
    assert digest_of(study) == digest_of(Study.open(tmp_path)) == digest_of(local)
    for config in CONFIGS:
        assert study.weights(config).tobytes() == local.weights(config).tobytes()
        assert study.history(config).equals(local.history(config))
    target = fp.collect(CONFIGS, target=0.2, metric="loss", executor=executor, max_seeds=256)
    assert digest_of(target) == digest_of(
        fp.collect(CONFIGS, target=0.2, metric="loss", max_seeds=256)
    )


@pytest.mark.extra
@pytest.mark.filterwarnings("ignore")
def test_a_dask_worker_killed_in_mid_block(tmp_path: Path, cluster: Any) -> None:
    config = CONFIG.replace(steps=40_000)
    workers = list(cluster.run(os.getpid).values())
    assert len(workers) == 2
    killed = []

    def kill(record: Progress) -> None:
        if record.seeds >= 2 and not killed:  # both workers have work to do
            os.kill(workers[0], signal.SIGKILL)
            killed.append(workers[0])

    study = fp.collect(
        config, seeds=40, executor=cluster.get_executor(), path=tmp_path, progress=kill
    )
    assert killed
    assert killed[0] not in cluster.run(os.getpid).values()
    assert digest_of(study) == digest_of(fp.collect(config, seeds=40))


# MPI.

MPI = """
import sys
from mpi4py.futures import MPIPoolExecutor
import fastpolysem as fp
from fastpolysem.studies import blocks

if __name__ == "__main__":
    blocks._SPEED = 1.2e6
    configs = fp.grid(fp.Config(n_features=8, n_hidden=16, l1=1e-2, steps=50), n_hidden=[16, 32])
    with MPIPoolExecutor() as executor:
        print(len(fp.collect(configs, seeds=21, executor=executor, path=sys.argv[1])))
"""


@pytest.mark.extra
@pytest.mark.skipif(shutil.which("mpiexec") is None, reason="needs MPI")
def test_mpi_changes_nothing(tmp_path: Path) -> None:
    pytest.importorskip("mpi4py")
    script = tmp_path / "script.py"
    script.write_text(MPI)
    environment = {
        **os.environ,
        "OMPI_ALLOW_RUN_AS_ROOT": "1",
        "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
        "OMPI_MCA_rmaps_base_oversubscribe": "1",
        "OMPI_MCA_btl_tcp_if_include": "lo",
    }
    command = ["mpiexec", "-n", "3", sys.executable, "-m", "mpi4py.futures", script]
    done = subprocess.run(
        [*command, tmp_path / "study"],
        capture_output=True,
        text=True,
        timeout=300,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "42\n"
    assert digest_of(Study.open(tmp_path / "study")) == digest_of(fp.collect(CONFIGS, seeds=21))
