"""The experiment on kinds of hidden layers: its census, its triangles, its cases and its words."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import fastpolysem as fp
from fastpolysem.experiments import _census, _triangles, hidden
from fastpolysem.experiments._answers import Answers
from fastpolysem.experiments._verdicts import EFFECT, WITHIN

EXPERIMENT = hidden.EXPERIMENT
FINDINGS = Path(__file__).parents[1] / "docs" / "findings"
ROOT = 1 / np.sqrt(2)


def by_hand() -> np.ndarray:
    """A pair, a triangle, a feature alone, one that is spread, and one that has no neuron."""
    weights = np.zeros((8, 9))
    weights[0, 0], weights[1, 0] = 1, -1
    weights[2:5, 1:4] = _triangles.SIGNS * ROOT
    weights[5, 4] = 1
    weights[6, 5:7] = ROOT, -ROOT
    return weights


# The census.


def test_census_by_hand() -> None:
    empty = np.zeros((8, 9))
    chain = np.zeros((8, 9))
    chain[[0, 1, 1, 2], [0, 0, 1, 1]] = 0.9  # three features on two neurons
    chain[2, 4] = 0.1  # too small for an edge
    found = _census.census(fp.NetworkParameters([np.stack([by_hand(), empty, chain])]))
    assert {name: values.tolist() for name, values in found.items()} == {
        "alone": [1, 0, 0],
        "spread": [1, 0, 0],
        "pairs": [1, 0, 0],
        "triangles": [1, 0, 0],
        "larger": [0, 0, 1],
        "features_in_groups": [5, 0, 3],
        "neurons_in_groups": [4, 0, 2],
        "largest_group": [3, 0, 3],
        "window": [1, 0, 2],
    }
    assert set(found) == set(_census.COLUMNS)


def test_groups_are_those_of_a_search_by_hand() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        joined = rng.random((7, 6)) < 0.2
        left, expected = set(range(7)), []
        while left:
            features, neurons = {left.pop()}, set[int]()
            while True:
                neurons = set(np.flatnonzero(joined[list(features)].any(axis=0)).tolist())
                more = set(np.flatnonzero(joined[:, list(neurons)].any(axis=1)).tolist()) | features
                if more == features:
                    break
                features = more
            left -= features
            expected.append((len(features), len(neurons)))
        assert sorted(map(tuple, _census.groups(joined).tolist())) == sorted(expected)


def test_readers_of_an_untied_layer_are_joined_too() -> None:
    encoder, decoder = np.zeros((1, 3, 4)), np.zeros((1, 4, 3))
    encoder[0, range(3), range(3)] = 1
    decoder[0, range(3), range(3)] = 5  # the scale of a neuron does not matter
    decoder[0, 0, 1] = -4  # feature 1 reads neuron 0 as well
    found = _census.census(fp.NetworkParameters([encoder, decoder]))
    assert (found["features_in_groups"], found["alone"]) == ([2], [1])


# Triangles.


def test_triangles_give_back_features_and_pairs_but_no_three() -> None:
    config = fp.NetworkConfig(widths=(3, 3, 3), output="relu", tied=True)
    weights = fp.NetworkParameters([_triangles.SIGNS * ROOT])
    few = np.array([x for x in itertools.product((0, 1), repeat=3) if sum(x) <= 2], dtype=float)
    np.testing.assert_allclose(fp.forward(weights, config, few), few, atol=1e-6)
    np.testing.assert_allclose(fp.forward(weights, config, np.ones((1, 3))), 0.5, atol=1e-6)


@pytest.mark.parametrize("l1", [1e-3, 0.01, 0.1])
def test_the_objective_is_that_of_training(l1: float) -> None:
    config = fp.NetworkConfig(widths=(3, 3, 3), output="relu", tied=True, l1=l1, dtype="float64")
    rng = np.random.default_rng(1)
    for weights in (_triangles.triangle(l1), rng.standard_normal((3, 3))):
        mine = _triangles.objective(weights, l1)
        value, gradient = fp.loss_and_gradient(fp.NetworkParameters([weights]), config)
        assert mine.value == pytest.approx(float(value))
        np.testing.assert_allclose(mine.gradient, gradient.weights[0], atol=1e-10)


@pytest.mark.parametrize("l1", [1e-4, 1e-3, 0.01, 0.05, 0.1, 0.15])
def test_triangles_are_strict_local_minima(l1: float) -> None:
    """Stationary, at a point where the objective is smooth, with a Hessian that is positive."""
    weights = _triangles.triangle(l1)
    assert np.abs(_triangles.objective(weights, l1).gradient).max() < 1e-10
    assert (weights * _triangles.SIGNS > 0.2).all()
    eigenvalue, between = _triangles.stability(l1)
    assert eigenvalue > 0.1
    assert between > 0


def test_triangles_are_minima_in_every_orthant_of_a_wider_network() -> None:
    """With a neuron to spare and a feature alone on another: in each direction the objective
    rises, also where weights leave 0 to either side."""
    l1 = 0.01
    single = np.roots([4, 0, -4, l1]).real  # 4 w (w² - 1) + l1 = 0
    weights = np.zeros((4, 5))
    weights[:3, :3] = _triangles.triangle(l1)
    weights[3, 3] = single[np.abs(single - 1).argmin()]
    here = _triangles.objective(weights, l1).value
    rng = np.random.default_rng(2)
    free = np.argwhere(weights == 0)
    for size in (1e-2, 1e-3, 1e-4):
        for signs in rng.choice([-1, 0, 1], (2000, len(free))):
            step = rng.standard_normal(weights.shape) * rng.choice([0.0, 1.0])
            step[free[:, 0], free[:, 1]] = signs * np.abs(rng.standard_normal(len(free)))
            norm = np.linalg.norm(step)
            if norm:
                assert _triangles.objective(weights + size * step / norm, l1).value > here


def test_the_limit_of_weak_l1_is_sharp() -> None:
    """Among solutions without a loss, l1 rises to first order in each direction: rows (cos t, sin
    t, -c) with angles t_i = 45° + u_i/2 need the c that `least` gives."""
    rng = np.random.default_rng(3)

    def least(u: np.ndarray) -> float:
        a, b = np.cos(np.pi / 4 + u / 2), np.sin(np.pi / 4 + u / 2)
        ratio = b / a
        c = (
            max(b[0] / ratio[1], a[0] * ratio[2]),
            max(a[1] * ratio[0], b[1] / ratio[2]),
            max(b[2] / ratio[0], a[2] * ratio[1]),
        )
        weights = np.array([[a[0], b[0], -c[0]], [-c[1], a[1], b[1]], [b[2], -c[2], a[2]]])
        outputs = _triangles.objective(weights, 0.0).outputs
        np.testing.assert_allclose(np.maximum(outputs, 0), np.eye(3), atol=1e-9)
        return float(np.abs(weights).sum())

    start = least(np.zeros(3))
    assert start == pytest.approx(9 * ROOT)
    slopes = []
    for u in rng.standard_normal((500, 3)):
        u /= np.linalg.norm(u)
        slopes.append((least(1e-5 * u) - start) / 1e-5)
    assert min(slopes) > 0.2


def test_too_strong_l1_leaves_no_triangle() -> None:
    limit = _triangles.strongest()
    assert 0.15 < limit < 0.2
    assert min(_triangles.stability(limit + 0.01)) < 0 < min(_triangles.stability(limit - 0.01))
    with pytest.raises(ValueError, match="l1 must be weak enough"):
        _triangles.triangle(0.6)
    # Training agrees: started in a triangle, it stays or leaves.
    for l1, stays in ((limit - 0.04, True), (limit + 0.04, False)):
        config = fp.NetworkConfig(
            widths=(3, 6, 3), output="relu", tied=True, l1=l1, l1_update="orthant",
            optimizer="sgd", learning_rate=0.02, steps=20_000,
        )  # fmt: skip
        weights = 0.01 * np.random.default_rng(4).standard_normal((8, 3, 6))
        weights[:, :, :3] += _triangles.SIGNS * ROOT
        result = fp.train(
            config, 8, initial_weights=fp.NetworkParameters([weights]), return_weights=True
        )
        found = _census.census(result.weights)["triangles"]
        assert (found == stays).all()


def test_what_a_triangle_costs() -> None:
    """8.5 times the loss of three single features, 3/√2 times their l1."""
    l1 = 1e-3
    weights = _triangles.triangle(l1)
    single = 1 - l1 / 8  # 4 w (1 - w²) = l1 to first order
    loss = _triangles.objective(weights, l1).loss / (3 * (1 - single**2) ** 2)
    assert loss == pytest.approx(8.5, abs=0.05)
    assert np.abs(weights).sum() / (3 * single) == pytest.approx(3 * ROOT, abs=0.002)


def test_neurons_without_a_positive_weight_play_no_part() -> None:
    """For three features, how often they end in a triangle depends on the neurons that some feature
    can turn on, whatever the width."""
    shares = []
    for m in (3, 4):
        config = fp.NetworkConfig(
            widths=(3, m, 3), output="relu", tied=True, l1=hidden.STRENGTH / np.sqrt(m),
            l1_update="orthant", optimizer="sgd", learning_rate=0.06, steps=4000,
        )  # fmt: skip
        start = fp.train(config.replace(steps=0), 6000, return_weights=True).weights.weights[0]
        live = (np.asarray(start) > 0).any(axis=1).sum(axis=1)
        end = fp.train(config, 6000, return_weights=True).weights
        assert not np.abs(end.weights[0])[
            ~(np.asarray(start) > 0).any(axis=1)[:, None, :].repeat(3, 1)
        ].any()
        triangles = _census.census(end)["triangles"]
        assert not triangles[live < 3].any()
        shares.append(triangles[live == 3])
    means = [share.mean() for share in shares]
    error = np.sqrt(sum(share.var() / len(share) for share in shares))
    assert min(means) > 0.005
    assert abs(means[0] - means[1]) < 4 * error


# Cases.


def test_sizes_at_which_arms_are_trained() -> None:
    cases = EXPERIMENT.configs("paper")
    for case in cases:
        labels = case.labels
        assert case.config.widths[0] == labels["n_features"]
        assert case.config.widths[1] == labels["n_hidden"]
        if labels["strength"]:
            product = case.config.l1 * np.sqrt(labels["n_hidden"])
            assert product == pytest.approx(labels["strength"], rel=1e-6)
        else:
            assert case.config.l1 == 0
    assert {case.labels["arm"] for case in cases} == {
        *hidden.ARMS, *hidden.BY_SGD, *hidden.LONGER, *hidden.TREATED,
    }  # fmt: skip
    arms = {
        n: {c.labels["arm"] for c in cases if c.labels["n_features"] == n} for n in hidden.SIZES
    }
    small = {*hidden.ARMS, *hidden.BY_SGD, *hidden.LONGER, *hidden.TREATED}
    assert arms == {16: small, 32: small, 64: small - set(hidden.TREATED)}
    most = {
        (case.labels["n_features"], case.most)
        for case in cases
        if case.labels["arm"] == hidden.RELU
    }
    assert most == {(16, None), (32, None), (64, hidden.FEWER)}
    gelu = [case.labels for case in cases if case.labels["arm"] == "GELU"]
    ratios = [(one["n_features"], one["n_hidden"] / one["n_features"]) for one in gelu]
    few = [(n, ratio) for n in (32, 64) for ratio in (1.0, 1.5, 2.0)]
    assert ratios == [*((16, ratio) for ratio in hidden.WIDTHS), *few]
    with pytest.raises(ValueError, match="did you mean 'ReLU'"):
        EXPERIMENT.configs("quick", arm="RelU")
    (one,) = EXPERIMENT.configs("quick", arm="ReLU", ratio=1.0, strength=0.1)
    assert one.labels["strength"] == 0.1


def test_an_untied_layer_is_trained_again_from_the_transpose() -> None:
    data = EXPERIMENT.run(
        "quick", seeds=6, n_features=8, ratio=2.0, arm=hidden.UNTIED, progress=False
    )
    (case,) = EXPERIMENT.configs("quick", n_features=8, ratio=2.0, arm=hidden.UNTIED)
    start = fp.train(case.config.replace(steps=0), 6, return_weights=True).weights.weights[0]
    tied = fp.NetworkParameters([start, np.swapaxes(start, 1, 2)])
    again = fp.train(case.config, 6, initial_weights=tied, return_weights=True)
    np.testing.assert_allclose(data.rows["loss"], again.loss, rtol=1e-6)
    np.testing.assert_array_equal(data.rows["not_learned"], again.not_learned)
    np.testing.assert_array_equal(
        data.rows["triangles"], _census.census(again.weights)["triangles"]
    )
    lost = fp.train(case.config, 6).not_learned
    np.testing.assert_array_equal(data.rows["lost_otherwise"], lost)
    assert lost.sum() > 6 > again.not_learned.sum()


def test_shares_of_features() -> None:
    case = EXPERIMENT.configs("quick", n_features=8, ratio=1.0, arm=hidden.RELU)[0]
    config = case.config.replace(widths=(8, 9, 8))
    result = fp.train(config.replace(steps=0), 1, return_weights=True)
    weights = fp.NetworkParameters([by_hand()[None].astype(np.float32)])
    taken: Any = EXPERIMENT.PROBE(dataclasses.replace(result, weights=weights))
    import pandas as pd

    rows = pd.DataFrame({**taken, "n_features": 8, "n_hidden": 9})
    row = hidden.with_shares(rows).iloc[0]
    assert (row["shared_features"], row["in_pairs"], row["in_triangles"]) == (5 / 8, 2 / 8, 3 / 8)
    assert (row["in_larger"], row["shared_neurons"]) == (0, 4 / 9)


def test_verdicts_on_data_made_up() -> None:
    data = EXPERIMENT.run("quick", seeds=3, n_features=[6, 8], progress=False)
    rng = np.random.default_rng(5)
    import pandas as pd

    rows = pd.concat([data.rows.assign(seed=data.rows["seed"] + 3 * i) for i in range(30)])
    noise = rng.normal(0, 0.01, len(rows))
    linear = rows["arm"] == hidden.LINEAR
    same = Answers(rows.assign(shared_use=0.4 + noise))
    assert EXPERIMENT.verdict(same).outcome == WITHIN
    other = Answers(rows.assign(shared_use=0.4 + noise + 0.1 * linear))
    found = EXPERIMENT.verdict(other)
    assert found.outcome == EFFECT
    assert (found.tests["difference"] < -0.09).all()
    assert [name.split(",")[0] for name in found.tests["test"]] == ["n = 6"] * 2 + ["n = 8"] * 2
    for n in (6, 8):
        assert f"With n = {n} features, at m = {n}, shared use is 0.4 [0.4, 0.4]" in found.sentence


def test_laws_tell_a_power_from_an_exponential() -> None:
    import pandas as pd

    rng = np.random.default_rng(6)
    parts = []
    for ratio in (0.75, 1.0, 1.25, 1.5, 2.0, 4.0):
        for arm, share in ((hidden.LINEAR, 0.45 / ratio), (hidden.RELU, 9 * np.exp(-3 * ratio))):
            count = rng.binomial(32, min(share, 1.0), 2000)
            parts.append(pd.DataFrame({"n_hidden": int(32 * ratio), "arm": arm, "count": count}))
    rows = pd.concat(parts, ignore_index=True).assign(
        n_features=32, strength=hidden.STRENGTH, diverged=False, triangles=0, pairs=0
    )
    rows["features_in_groups"] = rows["neurons_in_groups"] = rows.pop("count")
    found = hidden.laws(Answers(rows)).set_index(["arm", "form"])
    for arm, form, exponent in ((hidden.LINEAR, "m", -1), (hidden.RELU, "exp(m/n)", -3)):
        row = found.loc[(arm, form)]
        assert row["low"] < exponent < row["high"]
        assert row["p_value"] > 1e-3
    assert found.loc[(hidden.LINEAR, "exp(m/n)"), "p_value"] < 1e-3
    assert found.loc[(hidden.RELU, "m"), "p_value"] < 1e-3
    assert hidden.laws(Answers(rows[rows["n_hidden"] < 40])).empty
    seldom = (rows["arm"] == hidden.RELU) & (rows["n_hidden"] == 128)
    rows.loc[seldom, "features_in_groups"] = 3 * (np.arange(seldom.sum()) < hidden.LEAST_GROUPS - 1)
    without = hidden.laws(Answers(rows[~seldom])).set_index(["arm", "form"])
    again = hidden.laws(Answers(rows)).set_index(["arm", "form"])
    pd.testing.assert_frame_equal(again, without)


@pytest.mark.skipif(not FINDINGS.exists(), reason="no docs here")
def test_what_longer_training_of_the_linear_layer_changes() -> None:
    page = " ".join((FINDINGS / "hidden.md").read_text(encoding="utf-8").split())
    rows = pd.read_parquet(FINDINGS / "hidden.parquet")
    said, changes = [], []
    for n in (16, 32, 64):
        wide = rows[(rows["n_features"] == n) & (rows["n_hidden"] == 2 * n)]
        arms = [
            wide[wide["arm"] == arm].set_index("seed") for arm in ("linear", "linear, 16 000 steps")
        ]
        fewer = (arms[0]["features_in_groups"] - arms[1]["features_in_groups"]).dropna() / n
        digits = 4 if n == 64 else 3
        said.append(f"{fewer.mean():.{digits}f} ± {fewer.sem():.{digits}f}")
        changes.append(abs((arms[0]["shared_use"] - arms[1]["shared_use"]).mean()))
    assert f"by {said[0]}, {said[1]} and {said[2]} at n = 16, 32 and 64" in page
    assert "its shared use changes by at most 0.007" in page
    assert max(changes) < 0.007
