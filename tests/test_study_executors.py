"""Executors: processes, Dask, MPI, and those that break."""

from __future__ import annotations

import concurrent.futures
import multiprocessing
from pathlib import Path
from typing import Any

import pytest

import fastpolysem as fp
from fastpolysem.studies import Study
from studying import CONFIG, CONFIGS, Stop, assert_same, small_blocks  # noqa: F401

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
