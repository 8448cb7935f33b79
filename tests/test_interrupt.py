"""What happens around the core while it computes: Ctrl-C, callbacks, forks, exits, limits."""

from __future__ import annotations

import math
import os
import re
import subprocess
import sys
import time

import pytest

import fastpolysem as fp
from fastpolysem._native import core

# Work of minutes or hours, stopped by itself; it prints how long the stop took.
INTERRUPTED = """
import os, signal, threading, time
import numpy as np
import fastpolysem as fp
{setup}
sent = []
def interrupt():
    sent.append(time.perf_counter())
    os.kill(os.getpid(), signal.SIGINT)
threading.Timer({after}, interrupt).start()
try:
    {call}
except KeyboardInterrupt:
    print("stopped after", time.perf_counter() - sent[0])
"""

# Ctrl-C held down, with a handler that raises once, while wide layers are counted in a thread.
HELD_DOWN = """
import os, signal, threading, time
import fastpolysem as fp
config = fp.Config(n_features=128, n_hidden=65536, steps=2)
for delay in (0.3, 0.5, 0.7, 0.9):
    raised = []
    def handle(number, frame):
        if not raised:
            raised.append(time.monotonic())
            raise KeyboardInterrupt
        time.monotonic()  # returns with an error if there is one already
    signal.signal(signal.SIGINT, handle)
    over = threading.Event()
    def send():
        time.sleep(delay)
        while not over.wait(0.004):
            os.kill(os.getpid(), signal.SIGINT)
    sending = threading.Thread(target=send)
    sending.start()
    try:
        while True:
            fp.train(config, 4, num_threads=2, kernel="dense")
    except BaseException as error:
        print(type(error).__name__)
    over.set()
    sending.join()
"""

FORKED = """
import os
import numpy as np
import fastpolysem as fp
config = fp.Config(n_features=20, n_hidden=30, l1=1e-3, steps=50)
expected = fp.train(config, 40, num_threads=2, return_weights=True).weights  # starts the threads
child = os.fork()
if child == 0:
    weights = fp.train(config, 40, num_threads=2, return_weights=True).weights
    os._exit(0 if np.array_equal(weights, expected) else 3)
print("child", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def run(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def assert_stops(setup: str, call: str, after: float) -> None:
    printed = run(INTERRUPTED.format(setup=setup, call=call, after=after))
    assert printed.startswith("stopped after")
    assert float(printed.split()[-1]) < 10  # it takes 0.1; a machine may be busy


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(
    ("kernel", "config"),
    [
        ("generic", "n_features=256, n_hidden=4096, l1=1e-3"),
        ("dense", "n_features=256, n_hidden=4096, l1=1e-3"),
        ("sparse", "n_features=64, n_hidden=256, l1=1e-3, l1_update='orthant'"),
        ("lanes", "n_features=8, n_hidden=16, noise='gaussian', noise_std=0.1"),
        # A single step, or start, that takes a minute.
        ("dense", "n_features=1000, n_hidden=1000, inputs=fp.Independent(0.5, 100_000)"),
        ("dense", "n_features=1000, n_hidden=1000, inputs=fp.CorrelatedBlocks(2, 400, 200_000)"),
        ("dense", "n_features=4000, n_hidden=4000, init='orthogonal'"),
        ("generic", "widths=(300, 500, 300)"),
        ("rows", "widths=(4000, 4000, 4000)"),
        ("rows", "widths=(100, 40, 100), inputs=fp.Independent(0.5, 500_000, 'uniform')"),
        ("lanes", "widths=(8, 16, 8), inputs=fp.Independent(0.5, 64), dropout=0.1"),
    ],
)
def test_an_interrupt_ends_training(kernel, config, threads):
    made = "fp.NetworkConfig" if "widths" in config else "fp.Config"
    call = f"fp.train(config, 64, num_threads={threads}, kernel={kernel!r})"
    assert_stops(f"config = {made}({config}, steps=10**9)", call, after=0.5)


def test_further_interrupts_do_not_replace_the_first():
    assert run(HELD_DOWN).split() == ["KeyboardInterrupt"] * 4


# Calls of minutes.
CALLS = {
    "measure": (
        "config = fp.NetworkConfig(widths=(1500,) * 5, inputs=fp.Independent(0.01, 8))\n"
        "shapes = zip(config.widths, config.widths[1:])\n"
        "w = fp.NetworkParameters([np.ones(shape, np.float32) / 40 for shape in shapes])\n",
        "fp.measure(w, config)",
    ),
    "gradient": (
        "config = fp.Config(n_features=8, n_hidden=16)\n"
        "w, batch = np.ones((100_000, 8, 16), np.float32), np.ones((100_000, 8))\n",
        "fp.loss_and_gradient(w, config, batch=batch)",
    ),
}


@pytest.mark.parametrize("name", CALLS)
def test_an_interrupt_ends_calls_on_given_weights(name):
    assert_stops(*CALLS[name], after=1)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_the_child_of_a_fork_trains_and_does_not_hang():
    assert "child 0" in run(FORKED)


def test_an_interrupt_ends_the_encoding():
    code = (
        "import os, signal, threading\n"
        "from fastpolysem._native import core\n"
        "threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT)).start()\n"
        "try:\n"
        "    core.encoding_run(core.encoding_start(0, 1000, 0.03), 1e-9, 1e-6, 1e9, [1e9])\n"
        "except KeyboardInterrupt:\n"
        "    print('stopped')\n"
    )
    assert "stopped" in run(code)


def test_callbacks_take_a_tenth_of_the_time_at_most():
    """On a clock of the test's own: work in pieces of 1 ms, callbacks of any length."""
    for duration in (0.0, 1e-4, 0.003, 0.03, 2.0):
        pace = core.testing.Pace(0.02, math.inf, 0.0)
        now, called, calls = 0.0, 0.0, 0
        while now < 100:
            now += 1e-3
            if pace.due(now):
                pace.ran(now, now + duration)
                now += duration
                called += duration
                calls += 1
        assert called <= 0.1 * now + duration
        assert calls >= 100 / max(0.03, 11 * duration) - 1  # and no more rarely than that


def test_signals_are_looked_for_at_least_every_tenth_of_a_second():
    pace = core.testing.Pace(0.02, 0.1, 0.0)
    pace.ran(0.0, 5.0)  # another thread held Python's lock for long
    assert not pace.due(5.05)
    assert pace.due(5.11)


def test_a_slow_callback_does_not_stop_training():
    config = fp.Config(n_features=128, n_hidden=256, l1=1e-3, steps=300)
    inside = []

    def progress(done: int, total: int) -> None:
        begin = time.perf_counter()
        time.sleep(0.03)
        inside.append(time.perf_counter() - begin)

    begin = time.perf_counter()
    fp.train(config, 2, num_threads=1, progress=progress)
    whole = time.perf_counter() - begin
    # But for the last one during training, and the one at the end, time was taken after each.
    assert sum(inside[:-2]) <= 0.1 * whole


def test_what_a_callback_raises_ends_training():
    def progress(done: int, total: int) -> None:
        raise ZeroDivisionError("from the callback")

    config = fp.Config(n_features=64, n_hidden=128, l1=1e-3, steps=10**7)
    for threads in (1, 2):
        with pytest.raises(ZeroDivisionError, match="from the callback"):
            fp.train(config, 4, num_threads=threads, progress=progress)


AT_EXIT = """
import threading, time
import fastpolysem as fp
config = fp.Config(n_features=64, n_hidden=128, l1=1e-3, steps={steps})
def forever():
    while True:
        fp.train(config, 4, num_threads={threads}, progress={progress})
for _ in range(2):
    threading.Thread(target=forever, daemon=True).start()
time.sleep(0.3)
print("done")
"""


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("steps", [50, 10**9])
@pytest.mark.parametrize("progress", ["None", "lambda done, total: sum(range(1000))"])
def test_daemon_threads_in_training_do_not_disturb_the_exit(threads, steps, progress):
    code = AT_EXIT.format(threads=threads, steps=steps, progress=progress)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")


LIMITED = """
import resource, warnings
import fastpolysem as fp
config = fp.Config(n_features=20, n_hidden=30, l1=1e-3, steps=50)
expected = fp.train(config, 40, num_threads=1, return_weights=True).weights
used = 1024 * int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize() // 1024
resource.setrlimit(resource.RLIMIT_AS, (used + 5 * 2**28, resource.RLIM_INFINITY))
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    result = fp.train(config, 40, num_threads=30, kernel="dense", return_weights=True)
assert (result.weights == expected).all()
print(*(warning.message for warning in caught))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits as Linux has them")
def test_where_threads_cannot_be_started_training_uses_fewer():
    if core.info()["openmp"] is None:
        pytest.skip("one thread anyway")
    import resource

    def large_stacks() -> None:  # 256 MiB for each thread
        resource.setrlimit(
            resource.RLIMIT_STACK, (2**28, resource.getrlimit(resource.RLIMIT_STACK)[1])
        )

    done = subprocess.run(
        [sys.executable, "-c", LIMITED],
        preexec_fn=large_stacks,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"train: \d of 30 threads can be started .*\n", done.stdout)


def test_a_huge_default_of_openmp_is_not_the_callers_fault():
    code = (
        "import fastpolysem as fp\n"
        "config = fp.Config(n_features=4, n_hidden=4, steps=1)\n"
        "print(fp.build_info()['threads'], len(fp.train(config, 3)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "OMP_NUM_THREADS": "5000"},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    threads, seeds = map(int, done.stdout.split())
    assert 1 <= threads <= 1024
    assert seeds == 3
