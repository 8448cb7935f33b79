"""What the page on initial weights derives, and what its text says."""

from __future__ import annotations

import math

import numpy as np
import pytest

import fastpolysem as fp
from fastpolysem.experiments import starts


def config(n: int, m: int, **changes: object) -> fp.Config:
    fields = {
        "n_features": n,
        "n_hidden": m,
        "l1": starts.STRENGTH / math.sqrt(m),
        "l1_update": "orthant",
        "optimizer": "sgd",
        "learning_rate": 0.06,
        "steps": 50_000,
        "stop": "certified",
    }
    return fp.Config(**{**fields, **changes})


@pytest.mark.parametrize("init", ["normal", "uniform"])
@pytest.mark.parametrize("steps", [100, 400])
def test_without_interference_all_weights_shrink_alike(init: str, steps: int) -> None:
    """Derived on the page: sign(w) (a |w| - b)+ of each initial weight w of a single feature."""
    one = config(1, 64, init=init, dtype="float64", stop="steps", steps=steps)
    (before,), (after,) = (
        np.asarray(fp.train(each, 1, return_weights=True).weights, dtype=float)[0]
        for each in (one.replace(steps=0), one)
    )
    size, left = np.abs(before), after != 0
    assert 3 <= left.sum() < 60
    assert size[left].min() > size[~left].max()
    assert (np.sign(after) == np.sign(before))[left].all()
    a, b = np.polyfit(size[left], np.abs(after)[left], 1)
    np.testing.assert_allclose(a * size[left] + b, np.abs(after)[left], atol=1e-9)
    assert a > 1 > 0 > b
    assert (a * size[~left] + b < 1e-9).all()


def test_tails_decide_how_often_favourites_win() -> None:
    """The prediction: the more often the wider with normal weights, the less with uniform ones."""

    def won(m: int, init: str) -> float:
        result = fp.train(config(4, m, init=init), 200, return_weights=True)
        found = starts.EXPERIMENT.PROBE(result)
        return float(found["favourites"].sum() / found["features"].sum())

    normal, uniform = ([won(m, init) for m in (16, 128)] for init in ("normal", "uniform"))
    assert normal[0] + 0.02 < normal[1]
    assert uniform[1] + 0.1 < uniform[0] < normal[0]
