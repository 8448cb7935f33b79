"""The dynamics of one encoding under l1, to the end, in the same Euler steps."""

from __future__ import annotations

import numpy as np
import pytest

from fastpolysem._native import core

M, L1, STEP, END = 100_000, 1e-5, 0.5, 1.3e5


def numpy_survivors(start, l1, step, end):
    """One step a time over the weights that are left, as the authors' script does."""
    w = np.sort(start.astype(np.float64))[::-1].copy()
    for _ in range(round(end / step)):
        w += step * ((1 - w @ w) * w - l1)
        w = w[w > 0]
    return w


@pytest.mark.parametrize("name", ["reduction", "numpy"])
def test_encoding(benchmark, name):
    benchmark.group = f"one encoding, m={M}, l1={L1}, {round(END / STEP)} Euler steps"
    start = core.encoding_start(0, M, 0.9 / np.sqrt(M))

    def run():
        if name == "numpy":
            w = numpy_survivors(start, L1, STEP, END)
            return len(w), w.sum()
        last = core.encoding_run(start, L1, STEP, END, [END])
        return last["support"][-1], last["l1_norm"][-1]

    support, norm = benchmark.pedantic(run, rounds=5, iterations=1, warmup_rounds=1)
    last = core.encoding_run(start, L1, STEP, END, [END])
    assert support == last["support"][-1]
    assert norm == pytest.approx(last["l1_norm"][-1], rel=1e-6)
