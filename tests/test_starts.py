"""What the page on initial weights derives, and what its text says."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

import fastpolysem as fp
from fastpolysem.experiments import starts
from fastpolysem.experiments._answers import Answers

FINDINGS = Path(__file__).parents[1] / "docs" / "findings"


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


@pytest.mark.skipif(not FINDINGS.exists(), reason="no docs here")
def test_what_the_page_says_in_its_text() -> None:
    page = " ".join((FINDINGS / "starts.md").read_text(encoding="utf-8").split())
    means = starts.EXPERIMENT.table(Answers.read(FINDINGS / "starts.parquet"))
    cells = means.set_index(["optimizer", "init", "n_features", "n_hidden"]).sort_index()
    sgd = {init: cells.loc[("sgd", init)] for init in starts.INITS}
    for n, part in sgd["normal"].groupby("n_features"):
        assert (part["favoured"].diff().dropna() > 0).all(), n
        assert (sgd["uniform"].loc[n, "favoured"].diff().dropna() < 0).all(), n
    for init, said in (("normal", "19, 28 and 37 %"), ("uniform", "2.3, 2.0 and 1.7 %")):
        shares = 100 * sgd[init].loc[256, "favoured"]
        digits = 0 if init == "normal" else 1
        assert said == "{}, {} and {} %".format(*(f"{one:.{digits}f}" for one in shares))
        assert f"{said} of the features" in page or f"{said} from uniform ones" in page
    times = sgd["uniform"]["ratio"] / sgd["normal"]["ratio"]
    assert [f"{one:.1f}" for one in times.loc[4]] == ["1.4", "3.1", "5.3"]
    assert (times.loc[16].round(2).to_list()[1:]) == [0.91, 0.77, 0.77]
    assert times.loc[(64, [256, 1024])].round(2).to_list() == [0.83, 0.37]
    square = [times.loc[one] for one in ((16, 16), (64, 64), (64, 128), (256, 256), (256, 512))]
    assert max(abs(1 - one) for one in [*square, *times.loc[256][:2]]) < 0.09
    for (n, m), said in (((4, 256), "6.3"), ((64, 1024), "0.32"), ((16, 64), "0.83")):
        assert f"{sgd['uniform'].loc[(n, m), 'ratio']:.2g}" == said
    for (n, m), said in (((4, 256), "1.2"), ((64, 1024), "0.88")):
        assert f"{sgd['normal'].loc[(n, m), 'ratio']:.2g}" == said
    apart = {
        name: (cells.loc[(name, "orthogonal"), "ratio"] / cells.loc[(name, "normal"), "ratio"])
        for name in ("sgd", "adamw")
    }
    assert (apart["sgd"].loc[[64, 256]] > 0.94).all()
    assert apart["adamw"].loc[(16, 1024)] == pytest.approx(1.39, abs=0.005)
    less = 1 - apart["adamw"].drop((16, 1024))
    assert f"by {100 * less.min():.0f} to {100 * less.max():.0f} %, except" in page
