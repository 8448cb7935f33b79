"""Telling incidental from necessary polysemanticity in given weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastpolysem as fp


def slots(n: int, m: int, rng: np.random.Generator) -> np.ndarray:
    """Features on different signed slots at random: what training with l1 ends at."""
    weights = np.zeros((n, m))
    taken = rng.choice(2 * m, n, replace=False)
    weights[np.arange(n), taken // 2] = np.where(taken % 2, 1.0, -1.0)
    return weights


@pytest.mark.parametrize(("n", "m"), [(4, 9), (8, 8), (9, 6), (10, 5)])
def test_random_slots(n: int, m: int) -> None:
    rng = np.random.default_rng(n)
    for _ in range(20):
        weights = slots(n, m, rng)
        found = fp.diagnose(weights)
        used = (weights != 0).sum(axis=0)
        assert found.neurons.tolist() == np.flatnonzero(used == 2).tolist()
        assert found.free.tolist() == np.flatnonzero(used == 0).tolist()
        for k, features in zip(found.neurons, found.features, strict=True):
            assert sorted(features) == np.flatnonzero(weights[:, k]).tolist()
        assert not found.malign.any()
        assert found.represented == n
        assert found.necessary == max(0, n - m)
        # Every shared neuron takes one free one; those left over are the necessary ones.
        assert found.removable == min(len(found.neurons), len(found.free))
        assert len(found.neurons) - found.removable == found.necessary
        assert found.incidental.tolist() == [len(found.free) > 0] * len(found.neurons)
        moved = fp.diagnose(found.weights)
        assert len(moved.neurons) == found.necessary
        assert moved.removable == 0
        loss, _ = fp.loss_and_gradient(
            np.array([weights, found.weights]), fp.Config(n_features=n, n_hidden=m)
        )
        np.testing.assert_allclose(loss, 0, atol=1e-12)


def test_scale_does_not_matter_and_small_rests_neither() -> None:
    rng = np.random.default_rng(1)
    weights = slots(12, 16, rng)
    expected = fp.diagnose(weights)
    assert len(expected.neurons)
    norms = 10.0 ** rng.uniform(-0.5, 0, (12, 1))
    noisy = weights + rng.uniform(-0.01, 0.01, weights.shape)
    others = [1e-300 * weights, 1e308 * noisy, norms * weights, weights.astype(np.float32) * 7]
    for other in (*others, noisy):
        found = fp.diagnose(other)
        assert [set(one) for one in found.features] == [set(one) for one in expected.features]
        assert found.incidental.tolist() == expected.incidental.tolist()
        assert found.free.tolist() == expected.free.tolist()
        assert found.removable == expected.removable
        kept = np.linalg.norm(other / np.abs(other).max(axis=1, keepdims=True), axis=1)
        moved = np.linalg.norm(found.weights / np.abs(other).max(axis=1, keepdims=True), axis=1)
        np.testing.assert_allclose(moved, kept, rtol=1e-6)


def test_interference_of_a_move_is_that_of_the_weights_after_it() -> None:
    rng = np.random.default_rng(2)
    weights = slots(10, 12, rng) + rng.uniform(-0.15, 0.15, (10, 12))

    def interference(w: np.ndarray) -> float:
        unit = w / np.linalg.norm(w, axis=1, keepdims=True)
        cosines = np.maximum(unit @ unit.T, 0)
        return float((cosines**2).sum() - (np.diag(cosines) ** 2).sum())

    found = fp.diagnose(weights)
    assert len(found.neurons)
    directions = weights / np.linalg.norm(weights, axis=1, keepdims=True)
    targets = np.flatnonzero((np.abs(directions) < 0.8).all(axis=0))
    for k, features, added in zip(found.neurons, found.features, found.interference, strict=True):
        costs = []
        for i in features:
            for f in targets:
                moved = weights.copy()
                moved[i, [k, f]] = weights[i, [f, k]]
                costs.append(interference(moved) - interference(weights))
        assert added == pytest.approx(min(costs))


def test_malign_pairs_and_more_than_two() -> None:
    weights = np.zeros((6, 5))
    weights[[0, 1], 0] = 1  # malign
    weights[[2, 3], 1] = 1, -1  # benign
    weights[[4, 5], [2, 3]] = 1
    found = fp.diagnose(weights)
    assert found.malign.tolist() == [True, False]
    assert found.interference.tolist() == [-2, 0]  # keeping the malign ones apart even gains
    assert found.removable == 1  # there is one free neuron, and the malign pair gains by it
    assert (np.abs(found.weights[[0, 1]]).argmax(axis=1) == 4).sum() == 1
    weights[5] = weights[2]
    three = fp.diagnose(weights)
    assert three.features[1] == (2, 3, 5)
    assert three.malign[1]


def test_spread_and_unlearned_features_are_told_apart() -> None:
    weights = np.eye(4, 5)
    weights[2] = 0
    weights[3] = [0, 0, 1, 1, 1]
    found = fp.diagnose(weights)
    assert found.spread.tolist() == [3]
    assert found.unlearned.tolist() == [2]
    assert found.vacant.tolist() == [2, 3, 4]
    assert found.represented == 2
    assert len(found.neurons) == 0
    assert found.free.tolist() == []
    assert found.interference.shape == (0,)
    assert found.removable == 0


def test_features_that_were_not_learned_share_nothing() -> None:
    """Rows that training left near 0 have directions too, which say nothing."""
    weights = np.eye(6, 8)
    weights[4, :] = 1e-6 * np.eye(8)[0]
    weights[5, :] = -2e-6 * np.eye(8)[0]
    found = fp.diagnose(weights)
    assert found.neurons.tolist() == []
    assert found.unlearned.tolist() == [4, 5]
    assert found.represented == 4
    assert found.vacant.tolist() == found.free.tolist() == [4, 5, 6, 7]
    assert found.weights.tolist() == weights.tolist()
    assert str(found).endswith("4 features on a neuron, 0 spread, 2 not learned")
    everything = fp.diagnose(weights, learned=0)
    assert everything.features == ((0, 4, 5),)
    assert len(everything.unlearned) == 0


def test_what_counts_as_learned_is_relative_to_the_largest_norm() -> None:
    weights = np.diag([50.0, 10.0, 5.0, 4.9])
    for learned, unlearned in ((0.1, [3]), (0.15, [2, 3]), (1, [1, 2, 3]), (0, [])):
        assert fp.diagnose(weights, learned=learned).unlearned.tolist() == unlearned
    nothing = fp.diagnose(np.zeros((2, 3)), learned=0)
    assert nothing.unlearned.tolist() == [0, 1]
    assert nothing.free.tolist() == [0, 1, 2]


def test_a_move_goes_to_a_vacant_neuron_only() -> None:
    """Otherwise the sentence would call neurons incidental where it says that none is left."""
    rng = np.random.default_rng(3)
    for _ in range(50):
        weights = slots(9, 7, rng) * rng.uniform(0, 1, (9, 1))
        weights += rng.normal(0, 0.1, weights.shape)
        found = fp.diagnose(weights)
        assert set(found.free) <= set(found.vacant)
        assert found.removable <= len(found.vacant)
        assert found.incidental.any() <= (len(found.vacant) > 0)


def test_stacks_give_one_diagnosis_per_model() -> None:
    rng = np.random.default_rng(4)
    stack = np.array([slots(6, 8, rng) for _ in range(5)])
    stack[2] *= 1e3  # each model has a largest norm of its own
    found = fp.diagnose(stack)
    assert [str(one) for one in found] == [str(fp.diagnose(model)) for model in stack]
    assert fp.diagnose(stack[:0]) == []
    assert repr(found[:1]) == f"[<Diagnosis: {found[0]}>]"
    untied = fp.diagnose(fp.Parameters(stack, 2 * stack))
    assert [str(one) for one in untied] == [str(one) for one in found]


def test_weights_of_a_network_are_refused_with_what_to_call() -> None:
    result = fp.train(fp.NetworkConfig(widths=(3, 4, 3), steps=1), 2, return_weights=True)
    message = "weights must be those of an autoencoder, .* got those of a network, .* fp.measure"
    for function in (fp.diagnose, fp.count_polysemantic, fp.metrics.fourth_norm):
        with pytest.raises(TypeError, match=message):
            function(result.weights)


def test_trained_models_of_either_kind() -> None:
    few = fp.Config(n_features=8, n_hidden=4, l1=0.03, l1_update="orthant", steps=4000)
    ample = few.replace(n_hidden=16)
    for config, incidental in ((few, False), (ample, True)):
        result = fp.train(config, 30, return_weights=True)
        found = [fp.diagnose(one) for one in np.asarray(result.weights)]
        assert sum(len(one.neurons) for one in found) > 10
        for one in found:
            assert one.incidental.all() if incidental else not one.incidental.any()


class Tensor:
    """What a tensor of another framework looks like from outside."""

    def __init__(self, values: np.ndarray) -> None:
        self.values = values
        self.calls: list[str] = []

    def detach(self) -> Tensor:
        self.calls.append("detach")
        return self

    def cpu(self) -> Tensor:
        self.calls.append("cpu")
        return self

    def numpy(self) -> np.ndarray:
        return self.values


def test_weights_of_other_frameworks() -> None:
    weights = slots(6, 8, np.random.default_rng(5))
    expected = str(fp.diagnose(weights))
    tensor = Tensor(weights.astype(np.float32))
    assert str(fp.diagnose(tensor)) == expected
    assert tensor.calls == ["detach", "cpu"]
    assert str(fp.diagnose(weights.tolist())) == expected
    assert str(fp.diagnose(fp.Parameters(weights, 2 * weights))) == expected
    assert str(fp.diagnose(fp.Parameters(weights))) == expected


@pytest.mark.extra
def test_torch() -> None:
    torch = pytest.importorskip("torch")
    layer = torch.nn.Linear(6, 8, bias=False)
    weights = slots(6, 8, np.random.default_rng(5))
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(weights.T))
    assert str(fp.diagnose(layer.weight.T)) == str(fp.diagnose(weights))


@pytest.mark.parametrize(
    ("weights", "options", "message"),
    [
        (np.zeros(3), {}, "2 or 3 axes"),
        ([[1, np.nan]], {}, "finite numbers only, got nan"),
        (np.eye(2), {"concentrated": 0.5}, "concentrated must be a finite number > 0.7072"),
        (np.eye(2), {"least": 0}, "least must be a finite number > 0"),
        (np.eye(2), {"learned": 1.1}, "learned must be a finite number >= 0 and <= 1, got 1.1"),
        (np.eye(2), {"tolerance": -1}, "tolerance must be a finite number >= 0"),
    ],
)
def test_bad_input(weights: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fp.diagnose(weights, **options)
