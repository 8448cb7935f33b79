"""The experiment on formulas: clauses, channels and starts."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastpolysem as fp
from fastpolysem.experiments import boolean
from fastpolysem.experiments._answers import Answers
from fastpolysem.experiments._networks import Case

FINDINGS = Path(__file__).parents[1] / "docs" / "findings"


def config(**settings: Any) -> fp.NetworkConfig:
    usual = {
        "task": "dnf",
        "variables": 24,
        "formula": 0,
        "neurons": 16,
        "dropout": 0.0,
        "optimizer": "adam",
    }
    case = boolean.EXPERIMENT.case(**{**usual, **settings})
    assert isinstance(case, Case)
    return case.config


def test_clauses() -> None:
    disjoint = boolean.clauses(24, 3)
    assert sorted(np.ravel(disjoint)) == list(range(24))
    for formula in range(3):
        own = boolean.clauses(12, formula)
        assert len({tuple(one) for one in own}) == 8
        assert {len(set(one)) for one in own} == {3}
        assert own == boolean.clauses(12, formula)
    assert boolean.clauses(12, 0) != boolean.clauses(12, 1)


@pytest.mark.parametrize("probability", [0.2, 0.7])
def test_how_often_a_formula_holds(probability: float) -> None:
    own = boolean.clauses(12, 1)
    rows = np.array(list(itertools.product([0, 1], repeat=12)))
    weight = (probability**rows * (1 - probability) ** (1 - rows)).prod(axis=1)
    true = np.any([rows[:, one].all(axis=1) for one in own], axis=0)
    assert boolean.holds(own, probability) == pytest.approx(weight[true].sum())
    assert boolean.holds(own, boolean.balanced(own)) == pytest.approx(0.5)


def test_a_constant_is_right_in_half_of_the_rows() -> None:
    for variables in (12, 24):
        result = fp.train(config(variables=variables).replace(steps=0), 3, return_weights=True)
        for array in (*result.weights.weights, *result.weights.biases):
            array[:] = 0
        nothing = fp.train(result.config, 3, initial_weights=result.weights, return_weights=True)
        np.testing.assert_allclose(nothing.accuracy, 0.5, atol=0.03)


def test_channels_are_read_off_signs() -> None:
    weights = np.array([[1.0, -1, 1, 0], [2, -3, -1, 1], [1, -1, 1, 1], [0, 5, 1, -1]])
    found = boolean.in_channel(weights, [[0, 1, 2], [1, 2, 3]])
    np.testing.assert_array_equal(found[:, 0], [True, True, False, False])
    np.testing.assert_array_equal(found[:, 1], [False, False, False, False])
    rng = np.random.default_rng(0)
    by_chance = boolean.in_channel(rng.normal(size=(500, 24, 16)), boolean.clauses(24, 0))
    assert by_chance.mean() == pytest.approx(0.25, abs=0.01)


@pytest.mark.parametrize("random", [False, True])
def test_splits_keep_one_clause_per_neuron(random: bool) -> None:
    one = config(steps=0)
    own = boolean.clauses(24, 0)
    seeds = np.arange(60)
    start = fp.train(one, 60, return_weights=True).weights
    before = np.array(start.weights[0])
    found = boolean.split(start, own, seeds, random=random)
    np.testing.assert_array_equal(start.weights[0], before)
    assert ((found.weights[0] != 0).sum(axis=1) == 3).all()
    assert (found.weights[0] ** 2).mean() == pytest.approx((before**2).mean(), rel=0.1)
    kept = found.weights[0] != 0
    by_clause = all(kept[:, own[k % 8], k].all() for k in range(16))
    assert by_clause != random
    alone = boolean.split(
        fp.train(one, [7], return_weights=True).weights, own, seeds[7:8], random=random
    )
    np.testing.assert_array_equal(alone.weights[0][0], found.weights[0][7])


def test_a_network_with_a_neuron_per_clause_uses_its_channels() -> None:
    one = config(neurons=8).replace(steps=0)
    result = fp.train(one, 1, return_weights=True)
    weights = result.weights
    weights.weights[0][0] = np.kron(np.eye(8), np.ones((3, 1)))
    weights.biases[0][0] = -2
    weights.weights[1][0] = 20
    weights.biases[1][0] = -10
    own = boolean.clauses(24, 0)
    assert fp.train(one, 1, initial_weights=weights).accuracy[0] == 1
    assert boolean.Channels._in_channels(weights, one, own)[0] == 1
    weights.weights[0][0, ::3] *= -1  # no neuron agrees any more
    assert boolean.Channels._in_channels(weights, one, own)[0] == 0


def test_the_probe_depends_on_the_seed_alone_and_leaves_parities_out() -> None:
    probe = boolean.Channels()
    whole = probe(fp.train(config(steps=100), 4, return_weights=True))
    part = probe(fp.train(config(steps=100), [2], return_weights=True))
    assert set(whole) == set(probe.columns)
    for name, values in part.items():
        np.testing.assert_allclose(values, whole[name][2:3], rtol=1e-6, err_msg=name)
    parities = probe(fp.train(config(task="parity", steps=50), 2, return_weights=True))
    assert np.isnan(parities["by_clause"]).all()
    assert np.isfinite(parities["chance"]).all()


def test_only_seeds_that_learned_alike_are_compared() -> None:
    data = boolean.EXPERIMENT.run("quick", seeds=3, task="parity", steps=30, progress=False)
    rows = data.rows.assign(accuracy=1.0)
    rows.loc[(rows["seed"] == 1) & (rows["dropout"] > 0), "accuracy"] = 0.98
    found = boolean.EXPERIMENT.learned_alike(type(data)(rows))
    for side in found:
        assert side["seed"].tolist() == [0, 2]


def test_positive_neurons_of_their_own_make_clauses_easy() -> None:
    data = boolean.EXPERIMENT.run("quick", seeds=3, task="dnf", neurons=16, progress=False)
    means = boolean.EXPERIMENT.table(data).iloc[0]
    assert means["positive"] > 0.95 > means["accuracy"] > 0.7


def test_a_higher_rate_of_adam_is_right_more_often() -> None:
    fast = fp.train(config().replace(learning_rate=0.01), 8)
    assert np.mean(fast.accuracy) > 0.95


@pytest.mark.skipif(not FINDINGS.exists(), reason="no docs here")
def test_what_the_page_says_in_its_text() -> None:
    page = " ".join((FINDINGS / "boolean.md").read_text(encoding="utf-8").split())
    means = boolean.EXPERIMENT.table(Answers.read(FINDINGS / "boolean.parquet"))
    disjoint = means[means["variables"] == 24].set_index("neurons")
    middle = disjoint.loc[16]
    for name, label in boolean.STARTS.items():
        value, low, high = (100 * middle[f"{name}{end}"] for end in ("", "_low", "_high"))
        published = boolean._PUBLISHED.get(name, "")
        line = f"| {label} | {published} | {value:.3g} [{low:.3g}, {high:.3g}] |"
        assert " ".join(line.split()) in page
    accuracies = [f"{100 * one:.1f} %" for one in disjoint["accuracy"]]
    assert f"{accuracies[0]}, {accuracies[1]} and {accuracies[2]} with 8, 16 and 32" in page
    assert f"contains {100 * middle['channel']:.0f} % of the neurons" in page
    assert f"{middle['shared_use']:.3f} of the use falls on neurons that clauses share" in page
    assert f"serves {middle['effective_concepts']:.1f} effective clauses" in page
    parities = means[means["task"] == "parity"].set_index("dropout")["neurons_per_concept"]
    assert f"{parities[0.0]:.1f} without dropout and {parities[0.3]:.1f} with it" in page
    excess = disjoint["channel_use"] - disjoint["channel"]
    assert f"channels is therefore {excess[16]:.2f}, and" in page
    assert f"{middle['channel_use_untrained'] - 0.25:.2f} before training" in page
    assert f"the excess is {excess[32]:.2f}" in page
    overlapping = means[(means["variables"] == 12) & (means["neurons"] == 16)]
    for name, said in (("channel_use", "is {}, and"), ("channel_use_untrained", "and {} in")):
        ends = (f"{one:.2f}" for one in (overlapping[name].min(), overlapping[name].max()))
        assert said.format(" to ".join(dict.fromkeys(ends))) in page
    sgd = boolean.EXPERIMENT.table(Answers.read(FINDINGS / "boolean_sgd.parquet"))
    other = sgd.set_index("neurons").loc[16]
    shown = [f"{100 * other[name]:.3g} %" for name in boolean.STARTS]
    assert (
        f"reach {shown[0]} from the dense start, {shown[1]} split at random, {shown[2]} split by "
        f"clause, {shown[3]} split by clause and positive, and {shown[4]} dense and positive"
    ) in page
    few = sgd.set_index("neurons").loc[8]
    assert f"{other['channel_use']:.3f} of the use falls on own channels, which" in page
    assert (
        f"contain {100 * other['channel']:.0f} % of the neurons, and {other['shared_use']:.3f} on"
        in page
    )
    assert disjoint.loc[8, "not_learned"] > 4
    shown = [f"({100 * few[name]:.3g} %)" for name in ("positive", "accuracy")]
    assert f"{shown[0]} is again better than dense {shown[1]}" in page
    for one in (few, other, disjoint.loc[8], middle):
        assert one["by_clause"] < one["accuracy"]
