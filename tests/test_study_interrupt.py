"""Ctrl-C, in every phase of collecting: fast, nothing half-written, and resumable."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import fastpolysem as fp
from fastpolysem.studies import Study
from fastpolysem.studies.holding import Holding
from fastpolysem.studies.store import Store
from helpers.small_studies import (
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
        assert "repeat the call to resume" in capsys.readouterr().err
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


def test_ctrl_c_from_outside(tmp_path: Path) -> None:
    path, script = tmp_path / "study", tmp_path / "child.py"
    script.write_text(CHILD.format(speed=CHILD_SPEED, steps=CHILD_CONFIG.steps, seeds=100_000))
    with start(script, path) as process:
        wait_for_blocks(process, path, 3)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0
    word, count = out.split()
    assert word == "interrupted"
    assert int(count) == len(Study.open(path))
    assert "repeat the call to resume" in err
    assert "Traceback" not in err


def test_ctrl_c_can_end_a_loop_of_calls(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    begun = []

    def loop() -> None:
        for config in CONFIGS:
            begun.append(config)
            report = after(2, KeyboardInterrupt())
            fp.collect(config, seeds=30, path=tmp_path, progress=report, on_interrupt="raise")

    with pytest.raises(KeyboardInterrupt):
        loop()
    assert begun == CONFIGS[:1]
    assert "repeat the call to resume" in capsys.readouterr().err
    assert 8 < len(Study.open(tmp_path)) < 30
    assert_same(fp.collect(CONFIG, seeds=30, path=tmp_path), fp.collect(CONFIG, seeds=30))


@pytest.mark.parametrize("pool", [False, True])
@pytest.mark.parametrize("owner", [Store, Holding])
def test_a_block_that_ctrl_c_hits_as_it_is_kept_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pool: bool, owner: type
) -> None:
    """In all: in its file, in the study that comes back, and in what the message says."""
    name = "write_rows" if owner is Store else "add_rows"
    original = getattr(owner, name)

    def hit(*arguments: Any) -> Any:
        result = original(*arguments)
        hit.calls += 1
        if hit.calls == 3:
            signal.raise_signal(signal.SIGINT)
        return result

    hit.calls = 0
    monkeypatch.setattr(owner, name, hit)
    with ThreadPoolExecutor(2) as executor:
        study = fp.collect(CONFIG, seeds=40, path=tmp_path, executor=executor if pool else None)
    assert study.interrupted
    assert len(study) >= 12
    assert_same(study, Study.open(tmp_path))


# SIGTERM and SIGHUP.

POOL = """
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
import fastpolysem as fp
from fastpolysem.studies import blocks

if __name__ == "__main__":
    blocks._SPEED = {speed}
    config = fp.Config(n_features=8, n_hidden=64, l1=1e-2, steps={steps})
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as executor:
        def report(record):
            if record.seeds:
                print(*executor._processes, flush=True)
        fp.collect(config, seeds=100_000, path=sys.argv[1], executor=executor, progress=report)
    print("went on")
"""


def lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_sigterm_keeps_what_is_finished_and_ends_workers(
    tmp_path: Path, number: signal.Signals
) -> None:
    path, script = tmp_path / "study", tmp_path / "child.py"
    script.write_text(POOL.format(speed=CHILD_SPEED, steps=CHILD_CONFIG.steps))
    with start(script, path) as process:
        wait_for_blocks(process, path, 3)
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert "repeat the call to resume" in err
    assert "Traceback" not in err
    last = out.splitlines()[-1]
    assert last != "went on"
    workers = [int(word) for word in last.split()]
    assert len(workers) == 2
    assert not any(map(lives, workers))
    assert Study.check(path) == []
    assert f"interrupted: {len(Study.open(path))} seeds are finished" in err


FORK = """
import os, signal
from fastpolysem.studies import signals

with signals.raised():
    assert callable(signal.getsignal(signal.SIGTERM))
    if not (child := os.fork()):
        os._exit(signal.getsignal(signal.SIGTERM) != signal.SIG_DFL)
    assert os.waitpid(child, 0)[1] == 0
"""


def test_forked_workers_die_of_signals_as_ever() -> None:
    subprocess.run([sys.executable, "-c", FORK], check=True)


def test_sigterm_ends_the_command_line_the_same_way(tmp_path: Path) -> None:
    path = tmp_path / "study"
    settings = "--n-features 8 --n-hidden 64 --l1 1e-2 --steps 20000 --seeds 1000000"
    command = [sys.executable, "-m", "fastpolysem.cli", "collect", "--path", path]
    with subprocess.Popen(
        [*command, *settings.split()],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        wait_for_blocks(process, path, 1)
        process.terminate()
        _, err = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM
    assert err == (
        f"interrupted: {len(Study.open(path))} seeds are finished; "
        f"they are kept in {path}; repeat the call to resume\n"
    )


def test_signals_that_the_program_handles_are_left_to_it(tmp_path: Path) -> None:
    seen = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: seen.append(number))
    try:
        study = fp.collect(
            CONFIG, seeds=30, progress=lambda record: os.kill(os.getpid(), signal.SIGTERM)
        )
    finally:
        signal.signal(signal.SIGTERM, before)
    assert len(study) == 30
    assert set(seen) == {signal.SIGTERM}
    fp.collect(CONFIG, seeds=1)
    assert signal.getsignal(signal.SIGTERM) == before == signal.SIG_DFL


# Sends itself a signal in each phase, several times, and says how long it took to stop.
PHASES = """
import contextlib, json, os, pathlib, signal, sys, threading, time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
import fastpolysem as fp
from fastpolysem import statistics
from fastpolysem.studies import blocks, progress, store

sent = []

def interrupt():
    sent.append(time.perf_counter())
    os.kill(os.getpid(), signal.SIGINT)

def on_call(owner, name, calls):
    # Interrupts in the midst of what a function does, at one of its calls.
    original = getattr(owner, name)
    def wrapped(*arguments, **options):
        wrapped.calls += 1
        if wrapped.calls == calls:
            interrupt()
        return original(*arguments, **options)
    wrapped.calls = 0
    setattr(owner, name, wrapped)
    return lambda: setattr(owner, name, original)

def later():
    timer = threading.Timer(0.3, interrupt)
    timer.start()
    return timer.join

def pool():
    return ProcessPoolExecutor(1, mp_context=get_context("spawn"))

config = fp.Config(n_features=8, n_hidden=16, l1=1e-2, steps=50)
endless = config.replace(n_features=256, n_hidden=1024, steps=10**9)
quick = {"configs": config, "seeds": 40}
PHASES = {
    "reading": (quick, lambda: on_call(store, "read_block", 2), None),
    "beginning": (quick, lambda: on_call(store.Store, "write_config", 1), None),
    "training": ({"configs": endless, "seeds": 4}, later, None),
    "writing": (quick, lambda: on_call(os, "fsync", 4), None),
    "linking": (quick, lambda: on_call(os, "link", 2), None),
    "judging": ({"configs": config, "target": 1e-9, "max_seeds": 256},
                lambda: on_call(statistics, "mean", 1), None),
    "drawing": ({**quick, "progress": True}, lambda: on_call(progress, "describe", 1), None),
    "threads": ({"configs": endless.replace(steps=10**5), "seeds": 4}, later,
                lambda: ThreadPoolExecutor(1)),
    "processes": ({"configs": endless.replace(steps=500), "seeds": 40}, later, pool),
}

if __name__ == "__main__":
    blocks._SPEED = 1.2e6
    progress.LINE_INTERVAL = 0.0
    folder = pathlib.Path(sys.argv[1])
    took, workers = {}, []
    for name in sys.argv[2:]:
        arguments, prepare, executor = PHASES[name]
        took[name] = []
        for attempt in range(3):
            path = folder / f"{name}-{attempt}"
            if name == "reading":
                fp.collect(config, seeds=20, path=path)
            made = executor() if executor else None
            if name == "processes":
                made.submit(os.getpid).result()  # until a worker is there
            restore = prepare()
            study = fp.collect(path=path, executor=made, num_threads=1, **arguments)
            took[name].append(time.perf_counter() - sent[-1])
            restore()
            assert study.interrupted, name
            if made:
                workers += getattr(made, "_processes", {})
                made.shutdown(wait=False, cancel_futures=True)
    print(json.dumps(took), flush=True)
    for worker in workers:  # they would keep our pipes open
        with contextlib.suppress(ProcessLookupError):
            os.kill(worker, signal.SIGKILL)
    os._exit(0)  # the thread still trains
"""


@pytest.mark.parametrize(
    "phases",
    ["reading beginning training writing linking judging drawing", "threads", "processes"],
)
def test_ctrl_c_in_every_phase(tmp_path: Path, phases: str) -> None:
    script = tmp_path / "phases.py"
    script.write_text(PHASES)
    done = subprocess.run(
        [sys.executable, script, tmp_path / "studies", *phases.split()],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("repeat the call to resume") == 3 * len(phases.split())
    # The fastest of three: what is promised is the program's delay, not that of a busy machine.
    for name, seconds in json.loads(done.stdout).items():
        assert min(seconds) < 0.2, (name, seconds)
    for path in (tmp_path / "studies").iterdir():
        assert Study.check(path) == []
        if path.name.startswith(("reading", "writing", "linking", "drawing")):
            study = fp.collect(CONFIG, seeds=40, path=path)
            assert_same(study, fp.collect(CONFIG, seeds=40))
