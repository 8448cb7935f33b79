"""What the page on initial weights derives, and what its text says."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

import fastpolysem as fp
from fastpolysem.experiments import constant, starts
from fastpolysem.experiments._answers import Answers

FINDINGS = Path(__file__).parents[1] / "docs" / "findings"


def config(n: int, m: int, **changes: object) -> fp.Config:
    fields = {
        "n_features": n,
        "n_hidden": m,
        "l1": constant.STRENGTH / math.sqrt(m),
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


def drawn(rng: np.random.Generator, seeds: int, n: int, m: int, init: str) -> np.ndarray:
    """Initial weights of mean 0 and variance 1/m, shape (seeds, n, m)."""
    if init == "normal":
        return rng.standard_normal((seeds, n, m)) / math.sqrt(m)
    return rng.uniform(-1, 1, (seeds, n, m)) * math.sqrt(3 / m)


def test_removing_overlaps_at_the_start_reverses_the_trend() -> None:
    """The page's shares of largest weights that are still the largest after one step."""
    rng = np.random.default_rng(1)
    said = {"normal": (0.60, 0.77, 0.86, 0.92), "uniform": (0.32, 0.23, 0.15, 0.10)}
    for init, shares in said.items():
        for m, share in zip((16, 64, 256, 1024), shares, strict=True):
            weights = drawn(rng, 200, 16, m, init)
            overlaps = np.maximum(weights @ weights.transpose(0, 2, 1), 0)
            overlaps[:, range(16), range(16)] = 0
            after = weights - overlaps @ weights / 2
            same = np.abs(weights).argmax(2) == np.abs(after).argmax(2)
            assert same.mean() == pytest.approx(share, abs=0.03), (init, m)


def test_distances_of_the_two_largest_weights() -> None:
    rng = np.random.default_rng(2)
    for m in (16, 64, 256, 1024):
        predicted = {"normal": 1 / math.sqrt(2 * m * math.log(m)), "uniform": math.sqrt(3) / m**1.5}
        for init, distance in predicted.items():
            largest = np.sort(np.abs(drawn(rng, 4000, 1, m, init)[:, 0]), axis=1)
            assert (largest[:, -1] - largest[:, -2]).mean() == pytest.approx(distance, rel=0.12)


@pytest.mark.parametrize(("m", "said"), [(16, 0.50), (64, 0.72)])
def test_orthogonal_rows_seldom_have_the_same_favourite(m: int, said: float) -> None:
    """So that fewer shared neurons from orthogonal starts need not be due to interference.

    Flipping a row's signs keeps it orthogonal: signs are equal in half of the cases.
    """
    one, two = np.random.default_rng(3).standard_normal((2, 100_000, m))
    two -= one * (np.sum(one * two, 1) / np.sum(one**2, 1))[:, None]
    same = np.abs(one).argmax(1) == np.abs(two).argmax(1)
    assert m * same.mean() == pytest.approx(said, abs=0.05)


@pytest.mark.skipif(not FINDINGS.exists(), reason="no docs here")
def test_what_the_page_says_in_its_text() -> None:
    page = " ".join((FINDINGS / "starts.md").read_text(encoding="utf-8").split())
    means = starts.EXPERIMENT.table(Answers.read(FINDINGS / "starts.parquet"))
    cells = means.set_index(["optimizer", "init", "n_features", "n_hidden"]).sort_index()
    sgd = {init: cells.loc[("sgd", init)] for init in starts.INITS}
    for n, part in sgd["normal"].groupby("n_features"):
        assert (part["favoured"].diff().dropna() > 0).all(), n
        assert (sgd["uniform"].loc[n, "favoured"].diff().dropna() < 0).all(), n
        for init in ("normal", "uniform"):
            assert (cells.loc[("adamw", init, n), "favoured"].diff().dropna() < 0).all(), n
    chance = sgd["uniform"].loc[256, "favoured"] * sgd["uniform"].loc[256].index
    assert chance.round()[[256, 1024]].to_list() == [6, 17]
    widest = [("adamw", init, n, 1024) for init in ("normal", "uniform") for n in (64, 256)]
    assert cells.loc[widest, "favoured"].max() < 0.0115
    for init, said in (("normal", "19, 28 and 37 %"), ("uniform", "2.3, 2.0 and 1.7 %")):
        shares = 100 * sgd[init].loc[256, "favoured"]
        digits = 0 if init == "normal" else 1
        assert said == "{}, {} and {} %".format(*(f"{one:.{digits}f}" for one in shares))
        assert f"{said} of the features" in page or f"{said} from uniform ones" in page
    times = sgd["uniform"]["ratio"] / sgd["normal"]["ratio"]
    assert [f"{one:.1f}" for one in times.loc[4]] == ["1.4", "3.1", "5.3"]
    assert (times.loc[16].round(2).to_list()[1:]) == [0.91, 0.77, 0.77]
    assert times.loc[(64, [256, 1024])].round(2).to_list() == [0.83, 0.37]
    near = [times.loc[one] for one in ((16, 16), (64, 64), (64, 128))]
    assert max(abs(1 - one) for one in [*near, *times.loc[256]]) < 0.09
    ratios = {(4, 256): "6.3", (64, 1024): "0.32", (4, 16): "1.6", (16, 256): "0.82"}
    for size, said in {**ratios, (16, 64): "0.83"}.items():
        assert f"{sgd['uniform'].loc[size, 'ratio']:.2g}" == said
    for (n, m), said in (((4, 256), "1.2"), ((64, 1024), "0.88")):
        assert f"{sgd['normal'].loc[(n, m), 'ratio']:.2g}" == said
    apart = {
        name: (cells.loc[(name, "orthogonal"), "ratio"] / cells.loc[(name, "normal"), "ratio"])
        for name in ("sgd", "adamw")
    }
    assert (apart["sgd"].loc[[64, 256]] - 1).abs().max() < 0.055
    fewer = 1 - apart["sgd"].loc[[(4, 16), (4, 64), (16, 16), (16, 64)]]
    assert (100 * fewer).round().to_list() == [54, 30, 17, 17]
    assert apart["adamw"].loc[(16, 1024)] == pytest.approx(1.39, abs=0.005)
    less = 1 - apart["adamw"].drop((16, 1024))
    assert f"by {100 * less.min():.0f} to {100 * less.max():.0f} %, except" in page
