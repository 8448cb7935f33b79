"""Measures of networks: their specification, networks made by hand, symmetries.

One file: each measure has its examples by hand and the symmetries that must not change it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastpolysem as fp
from fastpolysem import losses, measures, targets
from network import settings
from network.engine import parameters, random_network, specified
from specifications import measures as spec
from specifications import sampling
from specifications.losses import BinaryCrossEntropy, CrossEntropy, Power
from specifications.network import (
    CorrelatedBlocks,
    Dataset,
    Independent,
    NetworkSpec,
    depth,
)
from specifications.targets import Absolute, Clauses, Parity

NAMES = ("shared_use", "effective_concepts", "neurons_per_concept", "polysemantic", "serving")
RNG = np.random.default_rng(5)
ROWS = RNG.normal(size=(1500, 5)) * (RNG.random((1500, 5)) < 0.7)
CLASSES = RNG.integers(0, 3, 1500)

CONFIGS: dict[str, dict[str, Any]] = {
    "basis": {"widths": (6, 8, 6), "l1": 0.01},
    "tied": {"widths": (6, 8, 6), "tied": True, "activation": "linear", "output": "relu"},
    "biases": {"widths": (5, 7, 5), "bias": True, "activation": "gelu"},
    "two layers": {"widths": (5, 7, 4, 5), "activation": ("tanh", "relu"), "bias": True},
    "residual": {"widths": (5, 5, 5, 5), "residual": (1, 2), "inputs": Independent(0.5, 8)},
    "deep residual": {"widths": (4, 6, 6, 6, 4), "residual": (2, 3), "bias": (True, False) * 2},
    "absolute": {
        "widths": (4, 9, 4),
        "inputs": Independent(0.3, 8, "signed_uniform"),
        "target": Absolute(),
        "loss": Power(3),
        "importance": (1.0, 0.5, 2.0, 0.0),
    },
    "blocks": {"widths": (6, 5, 6), "inputs": CorrelatedBlocks(3, 1, 8), "loss": Power(1)},
    "clauses": {
        "widths": (4, 6, 3),
        "inputs": Independent(0.5, 8),
        "target": Clauses((((0, 1), (2,)), ((~0, 3),), ((0, 3), (1,), (2,)))),
        "loss": BinaryCrossEntropy(),
        "bias": True,
    },
    "parity": {
        "widths": (4, 6, 2),
        "inputs": Independent(0.5, 8, "sign"),
        "target": Parity(((0, 1), (2, 3))),
    },
    "classes": {
        "widths": (5, 8, 6, 3),
        "inputs": Dataset(ROWS, CLASSES, batch_size=20, label_noise=0.3),
        "loss": CrossEntropy(),
        "bias": True,
    },
    "outputs": {
        "widths": (5, 8, 3),
        "inputs": Dataset(ROWS[:40], RNG.normal(size=(40, 3)), batch_size=20),
    },
}


@pytest.mark.parametrize("name", CONFIGS)
def test_columns_and_measures_are_those_of_the_specification(name: str) -> None:
    config = NetworkSpec(steps=3, dtype="float64", **CONFIGS[name])
    own = settings.config(config)
    result = fp.train(own, [3, 4], return_weights=True)
    measured = fp.measure(result.weights, own)
    inputs, wanted = sampling.evaluation(config, 3)
    if config.widths[-1] == 3 and name == "classes":
        wanted = CLASSES  # without the label noise
    rows = spec.measured_rows(config, len(inputs))
    inputs = np.asarray(inputs, dtype=np.float64)
    for index in range(2):
        model = specified(result.weights, config, index)
        columns = spec.columns(config, model, inputs, wanted)
        for column, value in columns.items():
            assert result.columns[column][index] == pytest.approx(value, rel=1e-9), column
            if column in (*NAMES, "not_learned"):
                assert getattr(measured, column)[index] == pytest.approx(value, rel=1e-9)
        concepts = spec.own_concepts(config, inputs[rows], wanted[rows])
        found = spec.measure(config, model, inputs[rows], wanted[rows], concepts)
        np.testing.assert_array_equal(measured.concepts.table, concepts.table)
        np.testing.assert_allclose(measured.loss[index], found.loss, rtol=1e-11, atol=1e-14)
        for ours, theirs in zip(measured.rises, found.rises, strict=True):
            np.testing.assert_allclose(ours[index], theirs, rtol=1e-8, atol=1e-13)
        np.testing.assert_allclose(
            measured.constant_loss, found.constant_loss, rtol=1e-7, atol=1e-13
        )


@pytest.mark.parametrize("name", ["basis", "two layers", "classes"])
def test_single_precision_agrees(name: str) -> None:
    config = NetworkSpec(steps=3, **CONFIGS[name])
    own = settings.config(config)
    weights = fp.train(own, 3, return_weights=True).weights
    single, double = (fp.measure(weights, own.replace(dtype=d)) for d in ("float32", "float64"))
    for a, b in zip(single.rises, double.rises, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=2e-6 * np.abs(b).max())


def test_neurons_held_at_their_mean() -> None:
    config = NetworkSpec(dtype="float64", **CONFIGS["two layers"])
    own = settings.config(config)
    model = random_network(np.random.default_rng(2), config)
    measured = fp.measure(parameters(model), own)
    inputs = np.eye(5)
    concepts = spec.own_concepts(config, inputs, inputs)
    assert depth(config) == 3
    for layer in (1, 2):
        held = [0, 2]
        theirs = spec.measure(config, model, inputs, inputs, concepts, (layer, held))
        sets: list[list[int]] = [[], []]
        sets[layer - 1] = [int(k in held) for k in range(config.widths[layer])]
        ours = measured.rows.use(own, measured.concepts, sets)
        np.testing.assert_allclose(ours["rises"][layer - 1], theirs.rises[layer - 1], atol=1e-14)


# Made by hand -------------------------------------------------------------------------------------


def of(weights: list[Any], **changes: Any) -> fp.Measures:
    """Without biases, on one-hot inputs unless told otherwise."""
    matrices = [np.asarray(w, dtype=float) for w in weights]
    widths = (len(matrices[0]), *(w.shape[1] for w in matrices))
    if changes.get("tied"):
        widths = (*widths, widths[0])
    config = fp.NetworkConfig(widths=widths, dtype="float64", **changes)
    return fp.measure(fp.NetworkParameters(matrices), config)


def values(found: fp.Measures) -> list[float]:
    return [float(getattr(found, name).round(9)) for name in (*NAMES, "not_learned")]


@pytest.mark.parametrize("n", [4, 20, 100])
@pytest.mark.parametrize("p", [None, 0.05, 0.5, 1.0])
def test_an_identity_is_monosemantic(n: int, p: float | None) -> None:
    if p is None:
        inputs: Any = fp.Basis()
    else:
        inputs = fp.Independent(probability=p, batch_size=8, magnitude="uniform")
    found = of([np.eye(n), np.eye(n)], inputs=inputs)
    assert values(found) == [0, 1, 1, 0, n, 0]


def test_pairs_and_triangles_are_found() -> None:
    pair = np.array([[1.0], [1.0]])  # two features on one neuron, each half learned
    blocks = np.kron(np.eye(2), pair)
    found = of([np.hstack([blocks, np.zeros((4, 1))]), np.vstack([blocks.T / 2, np.zeros((1, 4))])])
    assert found.shared_use == pytest.approx(1)
    assert found.effective_concepts == pytest.approx(2)
    assert found.serving == 2
    assert found.polysemantic == 2
    # Rows (1, 1, -1) / sqrt(2), permuted: exact, and each neuron serves two features.
    triangle = np.array([[1, 1, -1], [1, -1, 1], [-1, 1, 1]]) / np.sqrt(2)
    both = np.block([[triangle, np.zeros((3, 4))], [np.zeros((4, 3)), np.eye(4)]])
    found = of([both, both.T])
    assert found.loss.max() < 1e-20
    assert found.polysemantic == 3
    assert found.serving == 7
    assert 0 < found.shared_use < 1
    assert measures.shared_use(found.rises[0][:3]) == pytest.approx(1)


@pytest.mark.parametrize("depth", [1, 2])
def test_a_shared_neuron_that_class_selectivity_calls_pure(depth: int) -> None:
    """Classes 0 and 1 are told apart by how strongly the first neuron of every layer is on, 10 and
    1."""
    inputs = np.vstack([np.eye(4)] * 6)
    inputs[:, 0] *= 10
    classes = np.arange(24) % 4
    first = np.array([[1.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]])
    last = np.array([[4.0, 0, 0, 0], [0, 0, 9, 0], [0, 0, 0, 9]])
    config = fp.NetworkConfig(
        widths=(4, *(3,) * depth, 4),
        bias=(*(False,) * depth, True),
        inputs=fp.Dataset(inputs, classes),
        loss=losses.CrossEntropy(),
    )
    weights = [first, *[np.eye(3)] * (depth - 1), last]
    parameters = fp.NetworkParameters(weights, [*[None] * depth, np.array([-8.0, 2, 0, 0])])
    found = fp.measure(parameters, config)
    assert found.not_learned == 0
    for layer in range(1, depth + 1):
        activations = fp.forward(parameters, config, inputs, layers=True)[layer - 1]
        assert (measures.class_selectivity(activations, classes) > 0.9).all()
        assert found.served(layer)[0].tolist() == [True, True, False, False]
        assert measures.effective_concepts(found.rises[layer - 1])[0] > 1.4


@pytest.mark.parametrize("copies", range(1, 9))
def test_copies_change_neurons_per_concept_only(copies: int) -> None:
    """r copies of every neuron, with readouts divided by r, are the same function."""
    planted = np.kron(np.eye(3), np.ones((2, 1)))  # three pairs
    single = np.eye(6)
    first = np.hstack([planted, single])
    second = np.vstack([planted.T / 4, single / 2])
    base = of([first, second])
    many = of([np.repeat(first, copies, 1), np.repeat(second, copies, 0) / copies])
    np.testing.assert_allclose(many.loss, base.loss, atol=1e-12)
    assert 0 < base.shared_use < 1
    # A copy undoes 1/r of what its original does. The loss is not linear, so that the shares of
    # concepts keep their ratio only among neurons that do alike: here within pairs and singles.
    for rows in (slice(0, 3), slice(3, 9)):
        concepts = measures.effective_concepts(base.rises[0])[rows]
        copied = measures.effective_concepts(many.rises[0]).reshape(9, copies)[rows]
        np.testing.assert_allclose(copied, concepts[:, None] * np.ones(copies), rtol=1e-9)
    assert many.shared_use == pytest.approx(float(base.shared_use), abs=0.1)
    neurons = measures.effective_neurons(many.rises[0]) / measures.effective_neurons(base.rises[0])
    np.testing.assert_allclose(neurons, copies, rtol=0.1)


@pytest.mark.parametrize(
    ("activation", "factors"),
    [
        ("relu", lambda c: (c, 1 / c)),
        ("square", lambda c: (c, c**-2.0)),
        ("tanh", lambda c: (np.sign(c - 1), np.sign(c - 1))),
        ("linear", lambda c: (-c, -1 / c)),
        ("gelu", lambda c: (np.ones_like(c), np.ones_like(c))),
    ],
)
@pytest.mark.parametrize("seed", range(5))
def test_symmetries_of_a_layer(activation: str, factors: Any, seed: int) -> None:
    rng = np.random.default_rng(seed)
    first, second = rng.normal(size=(4, 6)), rng.normal(size=(6, 4))
    c = rng.uniform(0.2, 5, 6)
    before, after = factors(c)
    inputs = fp.Independent(probability=0.4, batch_size=8)
    order = rng.permutation(6)
    base = of([first, second], activation=activation, inputs=inputs)
    other = of(
        [(first * before)[:, order], (second * after[:, None])[order]],
        activation=activation,
        inputs=inputs,
    )
    np.testing.assert_allclose(values(base), values(other), rtol=1e-9)
    np.testing.assert_allclose(base.rises[0][order], other.rises[0], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_symmetries_of_tied_and_residual_networks(seed: int) -> None:
    """A tied linear neuron may change its sign; units of a residual stream move together."""
    rng = np.random.default_rng(seed)
    tied = rng.normal(size=(4, 6))
    signs, order = rng.choice([-1.0, 1.0], 6), rng.permutation(6)
    base, other = (
        of([w], tied=True, activation="linear") for w in (tied, (tied * signs)[:, order])
    )
    np.testing.assert_allclose(base.rises[0][order], other.rises[0], rtol=1e-9, atol=1e-12)
    first, middle, last = (rng.normal(size=shape) for shape in ((4, 6), (6, 6), (6, 4)))
    base = of([first, middle, last], residual=(2,))
    other = of([first[:, order], middle[order][:, order], last[order]], residual=(2,))
    for a, b in zip(base.rises, other.rises, strict=True):
        np.testing.assert_allclose(a[order], b, rtol=1e-9, atol=1e-12)


def test_a_perfect_backup_is_found_by_halves() -> None:
    """Two equal neurons are read as min(1, sum): for the rows with the feature either is enough."""
    config = fp.NetworkConfig(
        widths=(1, 2, 2, 1),
        bias=(False, True, False),
        inputs=fp.Independent(probability=0.25, batch_size=8),
    )
    weights = fp.NetworkParameters(
        [np.ones((1, 2)), np.ones((2, 2)), np.array([[1.0], [-1.0]])],
        [None, np.array([0.0, -1.0]), None],
    )
    found = fp.measure(weights, config)
    np.testing.assert_allclose(found.rises[0], 0, atol=1e-6)
    mean = float(found.means[0][0])
    np.testing.assert_allclose(found.backed_up(1), (1 - 2 * mean) ** 2, rtol=1e-5)


def test_a_network_without_l1_is_distributed() -> None:
    config = fp.NetworkConfig(widths=(8, 32, 8), optimizer="adam", learning_rate=3e-3, steps=3000)
    result = fp.train(config, 8)
    assert result.loss.max() < 1e-3
    assert (result.not_learned == 0).all()
    assert (result.effective_concepts > 1.5).all()
    assert (result.neurons_per_concept > 2).all()
    assert (result.shared_use > 0.2).all()


# Formulas -----------------------------------------------------------------------------------------


def test_formulas_take_leading_axes() -> None:
    rises = RNG.normal(size=(2, 3, 5, 4))
    for formula in (
        measures.effective_concepts,
        measures.effective_neurons,
        measures.neuron_weights,
        measures.shared_use,
        measures.concentration,
        measures.alignment,
        measures.capacity,
    ):
        whole = formula(rises)
        np.testing.assert_allclose(whole[1, 2], formula(rises[1, 2]))


def test_shared_use_by_hand() -> None:
    rises = [[1.0, 0.3, 0.0], [0.0, 2.0, 0.4], [0.0, 0.0, -5.0]]
    for ratio, expected in ((0.1, 1), (0.25, 1.3 / 3.7), (0.5, 0)):
        assert measures.shared_use(rises, ratio) == pytest.approx(expected)
    assert measures.shared_use(np.zeros((3, 2))) == 0
    assert measures.shared_use([[1.0]]) == 0
    assert measures.shared(rises).tolist() == [True, False, False]
    assert measures.shared(rises, 0.1).tolist() == [True, True, False]
    assert measures.shared([[1.0]]).tolist() == [False]
    weights = measures.neuron_weights(rises)
    np.testing.assert_allclose(weights, [1.3 / 3.7, 2.4 / 3.7, 0])
    assert measures.concentration([[3.0, -1.0], [0.0, 0.0]]).tolist() == [0.75, 0]
    assert measures.alignment([[3.0, 0.0], [4.0, 0.0]]).tolist() == [0.64, 0]


def test_capacity() -> None:
    """As a plain loop finds it; the same in any basis; at most K in sum."""
    weights = RNG.normal(size=(2, 7, 4))
    weights[0, 3] = 0
    found = measures.capacity(weights)
    for w, row in zip(weights, found, strict=True):
        for i, x in enumerate(w):
            others = sum(float(x @ y) ** 2 for y in w)
            assert row[i] == pytest.approx(float(x @ x) ** 2 / others if others else 0)
    rotation = np.linalg.qr(RNG.normal(size=(4, 4)))[0]
    np.testing.assert_allclose(measures.capacity(weights @ rotation), found)
    assert (found.sum(axis=-1) <= 4 + 1e-12).all()
    np.testing.assert_allclose(measures.capacity(3 * np.eye(4)[:3]), 1)
    np.testing.assert_allclose(measures.capacity(np.ones((5, 2))), 1 / 5)
    np.testing.assert_allclose(found, fp.metrics.feature_dimensionality(weights))


def test_shared_use_of_shared_neurons_alone_is_exactly_one() -> None:
    """A share of 1 + 2e-16 would lie outside the bounds of the column."""
    rises = np.random.default_rng(0).uniform(0.5, 1, (1000, 16, 10))
    assert (measures.shared_use(rises) == 1).all()


def test_permutation_keeps_what_concepts_use() -> None:
    rises = RNG.random((4, 6, 5))
    other = measures.permuted(rises, np.random.default_rng(0))
    np.testing.assert_allclose(np.sort(other, axis=-2), np.sort(rises, axis=-2))
    np.testing.assert_allclose(measures.effective_neurons(other), measures.effective_neurons(rises))
    assert not np.array_equal(other, rises)


def test_selectivities_by_hand() -> None:
    activations = np.array([[4.0, 1.0, 0.0], [2.0, 1.0, 0.0], [1.0, 1.0, 0.0], [0.0, 1.0, 0.0]])
    classes = [0, 0, 1, 2]
    # Means 3, 1, 0: the rest's mean is 1/2.
    np.testing.assert_allclose(measures.class_selectivity(activations, classes), [2.5 / 3.5, 0, 0])
    consistency = measures.semantic_consistency(activations, classes)
    # Active in rows 0, 1, 2 and in all rows.
    np.testing.assert_allclose(consistency[:2], [2 / 3, 1 / 2])
    assert np.isnan(consistency[2])


def test_mixed_selectivity_of_pure_linear_and_nonlinear_neurons() -> None:
    first, second = np.repeat([0, 1, 2], 8), np.tile(np.repeat([0, 1], 4), 3)
    a, b = first - 1.0, second - 0.5
    activations = np.stack([a, a + b, a * b, np.zeros(24)], axis=1)
    shares = measures.mixed_selectivity(activations, first, second)
    whole = np.stack([shares[name] for name in ("first", "second", "interaction")])
    np.testing.assert_allclose(whole[:, 0], [1, 0, 0], atol=1e-12)
    np.testing.assert_allclose(whole[:, 1], [8 / 11, 3 / 11, 0], atol=1e-12)
    np.testing.assert_allclose(whole[:, 2], [0, 0, 1], atol=1e-12)
    assert np.isnan(whole[:, 3]).all()
    many = np.stack(
        [
            measures.mixed_selectivity(
                activations[:, :1] + np.random.default_rng(k).normal(0, 0.3, (24, 1)), first, second
            )["interaction"][0]
            for k in range(200)
        ]
    )
    assert abs(many.mean()) < 4 * many.std() / np.sqrt(200)  # noise is no interaction


# The call -----------------------------------------------------------------------------------------


CONFIG = fp.NetworkConfig(widths=(3, 4, 3))
WEIGHTS = fp.NetworkParameters([RNG.normal(size=(3, 4)), RNG.normal(size=(4, 3))])


def test_own_concepts_and_rows() -> None:
    rows = RNG.random((10, 3))
    table = np.zeros((10, 2))
    table[:5, 0] = table[3:, 1] = 1
    own = fp.measure(WEIGHTS, CONFIG, data=rows, concepts=table, outputs=[0, -1], names=["a", "b"])
    assert own.concepts.names == ("a", "b")
    config = NetworkSpec(widths=(3, 4, 3))
    model = specified(WEIGHTS, config)
    concepts = spec.Concepts(table != 0, [0, None])
    theirs = spec.measure(config, model, rows, rows, concepts)
    np.testing.assert_allclose(own.rises[0], theirs.rises[0], atol=1e-6)
    np.testing.assert_allclose(own.constant_loss, theirs.constant_loss, rtol=1e-6)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"data": np.ones((2, 4))}, "measure: data"),
        ({"targets": np.ones((3, 3))}, "measure: targets must be None unless data"),
        ({"concepts": np.ones((2, 2))}, "one row per row of the data, 3"),
        ({"concepts": np.full((3, 2), 0.5)}, "zeros and ones"),
        ({"concepts": np.zeros((3, 2))}, "hold in some row each"),
        ({"concepts": np.ones((3, 2)), "outputs": [0]}, "one per concept, 2"),
        ({"concepts": np.ones((3, 2)), "outputs": [0, 3]}, "measure: outputs"),
        ({"concepts": np.ones((3, 2)), "names": ["a"]}, "one per concept"),
        ({"outputs": [0]}, "None without concepts"),
    ],
)
def test_what_is_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises((TypeError, ValueError), match=said):
        fp.measure(WEIGHTS, CONFIG, **options)


def test_config_of_another_family() -> None:
    with pytest.raises(TypeError, match="NetworkConfig"):
        fp.measure(WEIGHTS, fp.Config(n_features=3, n_hidden=4))


def test_sentence_table_and_picture() -> None:
    pytest.importorskip("matplotlib")
    found = fp.measure(WEIGHTS, CONFIG)
    assert "of 3 concepts" in str(found)
    assert "hidden" in repr(found)
    assert found.table()[0]["neurons"] == 4
    assert "shared use" in found._repr_html_()
    ax = found.plot()
    assert ax.get_xlabel().startswith("neuron")
    shown = np.array([int(text.get_text()) for text in ax.get_xticklabels()])
    assert sorted(shown) == [0, 1, 2, 3]
    marked = ax.lines[0].get_xdata().astype(int)
    assert sorted(shown[marked]) == np.flatnonzero(measures.shared(found.rises[0])).tolist()
    stack = fp.train(CONFIG.replace(steps=5), 3, return_weights=True).weights
    assert "3 networks" in str(fp.measure(stack, CONFIG))
    with pytest.raises(ValueError, match="layer"):
        found.plot(layer=2)


def test_responses_switch_features_off() -> None:
    config = fp.NetworkConfig(
        widths=(2, 3, 2),
        inputs=fp.Independent(probability=0.5, batch_size=4),
        target=targets.Identity(),
    )
    # The third neuron is the AND of both: alone, a feature does nothing to it.
    weights = fp.NetworkParameters(
        [np.array([[1.0, 0.0, 1.0], [0.0, 2.0, 1.0]]), np.ones((3, 2))],
        [np.array([0.0, 0.0, -1.0]), None],
    )
    config = config.replace(bias=(True, False))
    found = fp.measure(weights, config).responses(1)
    np.testing.assert_allclose(found[0], [1, 0], atol=1e-6)
    np.testing.assert_allclose(found[1], [0, 2], atol=1e-6)
    # With feature 0 on, the other is on in about half of the rows.
    np.testing.assert_allclose(found[2], [0.5, 0.5], atol=0.05)
    one_hot = fp.measure(weights, config, data=np.eye(2)).responses(1)
    np.testing.assert_allclose(one_hot[2], 0, atol=1e-6)
