"""What does not fit into the memory is refused before anything is allocated."""

from __future__ import annotations

import re
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
from scipy import sparse

import fastpolysem as fp
from fastpolysem import _checks
from helpers.refusal_checks import (
    BASE,
    NOISY,
    OWN_NOISE,
    M,
    N,
    W,
    check,
)


class Untouched:
    """Stands for weights that must not even be looked at before the sizes are known to fit."""

    def __array__(self, dtype=None, copy=None):
        raise AssertionError("the weights were read")


@pytest.fixture
def small_machine(monkeypatch):
    monkeypatch.setattr(_checks, "available_memory", lambda: 2**20)


@pytest.mark.usefixtures("small_machine")
@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        ({"seeds": 10**5}, "for the results"),
        ({"seeds": 2**64}, "for the results"),
        ({"seeds": range(10**15)}, "for the results"),
        ({"seeds": 10**4, "return_weights": True}, "2.289 MiB for the returned weights"),
        ({"seeds": 10**4, "initial_weights": Untouched()}, "2.289 MiB for the initial weights"),
        ({"seeds": 10**3, "record": (["loss", "dead"], range(5))}, None),
        ({"seeds": 10**4, "record": (["loss", "dead"], range(5))}, "781.2 KiB for the history"),
        ({"seeds": 1, "config": BASE.replace(n_hidden=10**5)}, "for 1 models in training"),
    ],
    ids=str,
)
def test_what_does_not_fit_into_memory(arguments, part):
    arguments = {"config": BASE, **arguments}
    if part is None:
        assert len(fp.train(**arguments)) == arguments["seeds"]
        return
    with pytest.raises(MemoryError, match=part) as caught:
        fp.train(**arguments)
    assert re.search(r"train needs about [\d.e+]+ .iB of memory", str(caught.value))
    assert "but 1 MiB are available; use fewer seeds in one call" in str(caught.value)


@pytest.mark.parametrize(
    ("function", "count", "rows", "parts"),
    [
        (
            fp.forward,
            1,
            10**5,
            "22.89 MiB of memory (20.6 MiB for the pass, 2.289 MiB for the results)",
        ),
        (fp.forward, 2, 100, None),
        (fp.forward, 2000, 100, "4.598 MiB of memory (21.09 KiB for the pass, 4.578 MiB for the"),
        (fp.loss_and_gradient, 2000, 100, None),
        (
            fp.loss_and_gradient,
            5000,
            100,
            "1.165 MiB of memory (21.09 KiB for the pass, 1.144 MiB for",
        ),
    ],
)
def test_passes_that_do_not_fit_into_memory(monkeypatch, function, count, rows, parts):
    weights, batch = np.zeros((count, N, M), np.float32), fp.FixedBatch(np.ones((rows, N)))
    monkeypatch.setattr(_checks, "available_memory", lambda: 2**20)
    if parts is None:
        function(weights, BASE, batch=batch)
        return
    message = f"{function.__name__} needs about {parts}"
    check(MemoryError, message, function, weights, BASE, batch=batch)


def spread(*shape):
    """A single number shown as an array of this shape; a copy of it would take its full size."""
    return np.broadcast_to(np.float32(0), shape)


@pytest.mark.usefixtures("small_machine")
@pytest.mark.parametrize(
    ("function", "message"),
    [
        (
            lambda: fp.train(BASE.replace(steps=10**9), 1, noise_sequence=spread(10**9, M)),
            "train needs about 37.25 GiB of memory",
        ),
        (
            lambda: fp.train(OWN_NOISE.replace(steps=10**8), 1, noise_sequence=spread(10**8, N, M)),
            "22.35 GiB for the noise",
        ),
        (
            lambda: fp.loss_and_gradient(spread(10**8, N, M), BASE),
            "loss_and_gradient: weights needs about 22.35 GiB of memory "
            "(22.35 GiB for a contiguous copy in float32)",
        ),
        (lambda: fp.forward(spread(10**8, N, M), BASE), "forward: weights needs about 22.35 GiB"),
        (
            lambda: fp.forward(np.zeros((30000, N, M), np.float32), NOISY, noise=spread(M)),
            "forward: noise needs about 1.144 MiB of memory (1.144 MiB for 30000 copies)",
        ),
        (
            lambda: fp.forward(W, BASE, batch=spread(10**9, N)),
            "forward: batch needs about 44.7 GiB of memory",
        ),
        (
            lambda: fp.FixedBatch(spread(10**7, 10**4)),
            "FixedBatch: matrix needs about 745.1 GiB of memory",
        ),
        (lambda: fp.FixedBatch(np.eye(200)), None),
        (
            lambda: fp.FixedBatch(np.ones((200, 200))),
            "FixedBatch: matrix needs about 3.059 MiB of memory (3.052 MiB for sorting 40000 entr",
        ),
        (
            lambda: fp.FixedBatch(sparse.csc_array(np.ones((200, 200)))),
            "FixedBatch: matrix needs about 3.059 MiB of memory",
        ),
        (
            lambda: fp.FixedBatch.from_csr(np.zeros(10**5, np.int64), [], [], 4),
            "FixedBatch needs about 3.815 MiB of memory (3.815 MiB for 100000 rows)",
        ),
        (
            lambda: fp.count_polysemantic(spread(10**8, N, M)),
            "count_polysemantic: weights needs about 22.35 GiB of memory",
        ),
        (
            lambda: fp.count_polysemantic(fp.Parameters(spread(10**8, N, M), spread(10**8, N, M))),
            "effective_weights: encoder needs about 44.7 GiB of memory",
        ),
    ],
)
def test_copies_that_do_not_fit_into_memory(function, message):
    if message is None:
        function()
        return
    with pytest.raises(MemoryError, match=re.escape(message)):
        function()


def test_noise_that_is_the_same_for_all_seeds_is_not_copied_for_each(monkeypatch):
    one = np.random.default_rng(0).normal(size=(4, M)).astype(np.float32)
    expected = fp.train(NOISY, 2, noise_sequence=one, return_weights=True)
    every = np.broadcast_to(one, (5000, 4, M))
    monkeypatch.setattr(_checks, "available_memory", lambda: 2**20)
    result = fp.train(NOISY, 5000, noise_sequence=every)
    np.testing.assert_array_equal(result.loss[:2], expected.loss)
    message = "781.2 KiB for the noise)"
    check(MemoryError, message, fp.train, NOISY, 5000, noise_sequence=every.copy("F"))


def write(path, **files):
    path.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (path / name.replace("__", ".")).write_text(text)


def test_memory_that_control_groups_leave(tmp_path):
    groups, mounted = tmp_path / "cgroup", tmp_path / "mounted"
    groups.write_text("0::/job/step\n")
    write(mounted / "job" / "step", memory__max="max\n", memory__current="10\n")
    assert _checks._group_memory(groups, mounted) is None
    stat = "anon 250\ninactive_file 150\n"
    write(mounted / "job", memory__max="1000\n", memory__current="400\n", memory__stat=stat)
    assert _checks._group_memory(groups, mounted) == 750
    write(mounted / "job" / "step", memory__max="500\n")
    assert _checks._group_memory(groups, mounted) == 490

    groups.write_text("7:cpu,cpuacct:/\n4:memory:/somewhere/else\n0::/\n")
    write(
        mounted / "memory",
        memory__limit_in_bytes="2000\n",
        memory__usage_in_bytes="1900\n",
        memory__stat="inactive_file 1\ntotal_inactive_file 300\n",
    )
    assert _checks._group_memory(groups, mounted) == 400
    assert _checks._group_memory(tmp_path / "none", mounted) is None


def test_memory_that_the_process_may_have():
    script = (
        "import resource, fastpolysem as fp; from fastpolysem import _checks;"
        "unlimited = _checks.available_memory();"
        "used = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize();"
        "resource.setrlimit(resource.RLIMIT_AS, (used + 2**26, resource.RLIM_INFINITY));"
        "assert 2**25 < _checks.available_memory() <= 2**26 < unlimited;"
        "fp.train(fp.Config(n_features=4, n_hidden=4, steps=3), 10**6)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert "MemoryError: train needs about" in done.stderr, done.stderr


def test_memory_that_is_not_known_is_not_checked(monkeypatch):
    monkeypatch.setattr(_checks, "available_memory", lambda: None)
    assert len(fp.train(BASE, 3)) == 3


def test_available_memory_is_plausible():
    available = _checks.available_memory()
    assert available is None or 2**24 < available < 2**50


@pytest.mark.parametrize(("n", "m", "used"), [(100, 1000, 1000), (100, 1000, 20), (1000, 50, 50)])
def test_the_estimate_of_a_diagnosis_covers_what_it_takes(monkeypatch, n, m, used):
    rng = np.random.default_rng(5)
    weights = rng.normal(0, 0.01, (n, m))
    weights[np.arange(n), rng.integers(0, used, n)] = 1.0
    said = []
    monkeypatch.setattr(_checks, "memory", lambda where, parts, advice: said.append(parts))
    tracemalloc.start()
    try:
        fp.diagnose(weights)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    estimate = sum(sum(parts.values()) for parts in said)
    assert estimate / 2 < peak < estimate


@pytest.mark.usefixtures("small_machine")
def test_a_diagnosis_that_does_not_fit_into_memory():
    fp.diagnose(np.eye(100, 160))
    message = "diagnose needs about 12.21 MiB of memory (12.21 MiB for directions and their moves)"
    check(MemoryError, message, fp.diagnose, np.eye(400, 500))


@pytest.mark.usefixtures("small_machine")
@pytest.mark.parametrize("steps", [range(10**12), range(2**70), range(10**12, 0, -3)])
def test_steps_to_record_that_do_not_fit_into_memory(steps):
    with pytest.raises(MemoryError, match=r"Record needs about .* for a list of \d+ steps\)"):
        fp.Record("loss", steps)
    with pytest.raises(MemoryError, match="record fewer steps"):
        fp.train(BASE, 1, record=("loss", steps))


def test_the_estimate_of_a_record_covers_what_it_takes():
    tracemalloc.start()
    try:
        fp.Record("loss", range(10**5))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert 0.5 < peak / (150 * 10**5) < 1
