"""Ctrl-C while the core computes, and training in the child of a fork."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

# A run of hours, stopped by itself after half a second; it prints how long the stop took.
INTERRUPTED = """
import os, signal, threading, time
import fastpolysem as fp
config = fp.Config({config}, steps=10**9)
sent = []
def interrupt():
    sent.append(time.perf_counter())
    os.kill(os.getpid(), signal.SIGINT)
threading.Timer(0.5, interrupt).start()
try:
    fp.train(config, 64, num_threads={threads}, kernel={kernel!r})
except KeyboardInterrupt:
    print("stopped after", time.perf_counter() - sent[0])
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
    ],
)
def test_an_interrupt_ends_training(kernel, config, threads):
    printed = run(INTERRUPTED.format(config=config, threads=threads, kernel=kernel))
    assert printed.startswith("stopped after")
    assert float(printed.split()[-1]) < 10  # it takes 0.1; a machine may be busy


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
