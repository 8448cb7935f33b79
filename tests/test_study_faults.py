"""Whatever goes wrong, no finished block is lost and none is half."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import fastpolysem as fp
from fastpolysem.studies import Study
from studying import (
    CHILD,
    CHILD_CONFIG,
    CHILD_SPEED,
    CONFIG,
    CONFIGS,
    Stop,
    after,
    assert_same,
    files,
    small_blocks,  # noqa: F401
    start,
    wait_for_blocks,
)

pytestmark = pytest.mark.usefixtures("small_blocks")


@pytest.mark.parametrize("error", [Stop(), KeyboardInterrupt()])
def test_going_on_after_an_interruption_ends_like_a_fresh_study(
    tmp_path: Path, error: BaseException, capsys: pytest.CaptureFixture[str]
) -> None:
    report = after(2, error)
    if isinstance(error, KeyboardInterrupt):
        study = fp.collect(CONFIGS, seeds=30, path=tmp_path, progress=report)
        assert study.interrupted
        assert 0 < len(study) < 60
        assert "the same call goes on" in capsys.readouterr().err
        assert_same(study, Study.open(tmp_path))
    else:
        with pytest.raises(Stop):
            fp.collect(CONFIGS, seeds=30, path=tmp_path, progress=report)
    before = files(tmp_path)
    assert before
    resumed = fp.collect(CONFIGS, seeds=30, path=tmp_path)
    assert not resumed.interrupted
    assert files(tmp_path).items() > before.items()
    assert_same(resumed, fp.collect(CONFIGS, seeds=30))


def test_an_interrupted_study_in_memory_comes_back(capsys: pytest.CaptureFixture[str]) -> None:
    study = fp.collect(CONFIG, seeds=40, progress=after(3, KeyboardInterrupt()))
    assert study.interrupted
    assert 12 < len(study) < 40
    assert f"{len(study)} seeds are finished" in capsys.readouterr().err


def test_iter_collect_lets_ctrl_c_through(tmp_path: Path) -> None:
    iterator = fp.iter_collect(CONFIG, seeds=40, path=tmp_path)
    for record in iterator:
        if record.seeds >= 8:
            with pytest.raises(KeyboardInterrupt):
                iterator.throw(KeyboardInterrupt())
            break
    assert len(Study.open(tmp_path)) == record.seeds


@pytest.fixture
def child(tmp_path: Path) -> Iterator[Callable[[Path], subprocess.Popen[str]]]:
    """Starts a process that collects more blocks than it will live to see."""
    script = tmp_path / "child.py"
    script.write_text(CHILD.format(speed=CHILD_SPEED, steps=CHILD_CONFIG.steps, seeds=100_000))
    started: list[subprocess.Popen[str]] = []

    def begin(path: Path) -> subprocess.Popen[str]:
        process = start(script, path)
        started.append(process)
        wait_for_blocks(process, path, 3)
        return process

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def test_ctrl_c_ends_soon_and_keeps_finished_blocks(
    tmp_path: Path, child: Callable[[Path], subprocess.Popen[str]]
) -> None:
    path = tmp_path / "study"
    process = child(path)
    process.send_signal(signal.SIGINT)
    begin = time.monotonic()
    out, err = process.communicate(timeout=20)
    assert time.monotonic() - begin < 5
    assert process.returncode == 0
    word, count = out.split()
    assert word == "interrupted"
    assert int(count) == len(Study.open(path))
    assert "the same call goes on" in err
    assert "Traceback" not in err
