"""Counts and measures on weights small enough to check by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

import fastpolysem as fp
from fastpolysem import metrics

# Rows are features, columns are neurons. Neuron 0: a benign pair; 1: a malign pair and a weight
# above the window; 2: three features, two of one sign; 3: one feature; 4: nothing large.
HAND = np.array(
    [
        [1.0, 0.0, 0.0, 0.0, 0.1],
        [-0.9, 0.0, 0.0, 0.0, 0.0],
        [0.0, 0.8, 0.0, 0.0, 0.0],
        [0.0, 1.2, 0.0, 0.0, 0.3],
        [0.0, 1.3, 0.0, 0.0, 0.0],
        [0.0, 0.0, 1.1, 0.0, 0.0],
        [0.0, 0.0, -1.0, 0.0, 0.0],
        [0.0, 0.0, 1.0, 0.0, 0.0],
        [0.0, 0.0, 0.0, -1.0, 0.0],
        [0.0, 0.0, 0.0, 0.1, 0.79],
        [0.0, 0.0, 0.0, 0.0, 0.0],
    ]
)
BY_HAND = {
    metrics.count_polysemantic: 3,
    metrics.count_pairs: (1 + 2, 1 + 1),
    metrics.count_dead: 1,
    metrics.count_unrepresented: 2,
    metrics.signed_slots: 3,
    metrics.signed_slots_benign: 2,
}
COUNTS = list(BY_HAND)
MEASURES = [
    metrics.fourth_norm,
    metrics.participation_ratio,
    metrics.hoyer_sparsity,
    metrics.feature_dimensionality,
    metrics.interference,
]
# One number for each neuron.
NEURONS = [
    metrics.neuron_monosemanticity,
    metrics.effective_features,
    metrics.class_selectivity,
]


@pytest.fixture
def stack():
    """A few random models whose weights lie around the window, some of them zero."""
    rng = np.random.default_rng(5)
    weights = rng.normal(0, 0.7, (4, 6, 5))
    weights[..., 1:][rng.random((4, 6, 4)) < 0.4] = 0
    return weights


@pytest.mark.parametrize(
    ("count", "expected"), BY_HAND.items(), ids=lambda x: getattr(x, "__name__", "")
)
def test_counts_by_hand(count, expected):
    assert count(HAND) == expected
    assert count(-HAND) == expected
    assert count(np.asfortranarray(HAND)) == expected
    assert count(HAND.tolist()) == expected
    assert count(fp.Parameters(HAND)) == expected


def test_the_count_is_public():
    assert fp.count_polysemantic is metrics.count_polysemantic


def test_the_window():
    assert metrics.count_polysemantic(HAND, low=0.85) == 2  # of neuron 1 only 1.2 is left
    assert metrics.count_polysemantic(HAND, high=1.0) == 2
    assert metrics.count_polysemantic(HAND, low=1.01, high=math.inf) == 1  # 1.2 and 1.3
    assert metrics.count_polysemantic(HAND, low=0.2, high=0.8) == 1  # 0.3 and 0.79
    assert metrics.count_pairs(HAND, high=2) == (3, 4)
    assert metrics.count_dead(HAND, low=0.7) == 0
    assert metrics.count_dead(HAND, low=1.05) == 3
    assert metrics.count_unrepresented(HAND, low=0.7) == 1


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_bounds_are_in_the_window(dtype):
    edge = np.array([[0.8, 1.2], [-0.8, -1.2]], dtype=dtype)
    for weights in (edge, fp.Parameters(edge), fp.Parameters(edge, edge)):
        assert metrics.count_polysemantic(weights) == 2
        assert metrics.count_pairs(weights) == (2, 0)
        assert metrics.count_dead(weights) == metrics.count_unrepresented(weights) == 0
    outside = np.nextafter(edge, np.array([[0, 2], [0, -2]], dtype=dtype))
    assert metrics.count_polysemantic(outside) == 0
    assert metrics.count_polysemantic(fp.Parameters(outside, outside)) == 0


def test_bounds_beyond_single_precision():
    weights = np.array([[0.0, 1e-44], [0.0, 3.0]], dtype=np.float32)
    assert metrics.count_polysemantic(weights, low=1e-60, high=1e60) == 1
    assert metrics.count_dead(weights, low=1e-60) == 1


def test_ties_go_to_the_first_neuron_and_empty_features_own_none():
    assert metrics.signed_slots(np.array([[0.5, 0.5], [0.5, 0.1]])) == 1
    assert metrics.signed_slots(np.array([[0.5, -0.5], [0.1, 0.5]])) == 0
    assert metrics.signed_slots(np.zeros((3, 2))) == 0
    assert metrics.signed_slots_benign(np.array([[0.1, 0.3], [0.0, -0.2]])) == 1


@pytest.mark.parametrize("count", COUNTS, ids=lambda f: f.__name__)
def test_counts_of_a_stack_are_those_of_its_models(count, stack):
    together = np.array(count(stack))
    assert together.dtype == np.int64
    assert np.array_equal(together.T, [count(one) for one in stack])
    assert len(set(map(str, together.T))) > 1
    one = count(stack[0])
    assert {type(number) for number in (one if isinstance(one, tuple) else [one])} == {int}
    assert np.array(count(stack[:0])).shape[-1] == 0


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.int64])
def test_counts_in_other_types(dtype, stack):
    rounded = stack.astype(dtype)
    for count in COUNTS:
        assert np.array_equal(count(rounded), count(rounded.astype(np.float64)))


def test_counts_agree_with_each_other(stack):
    wide = {"low": 0.3, "high": math.inf}
    benign, malign = metrics.count_pairs(stack, **wide)
    polysemantic = metrics.count_polysemantic(stack, **wide)
    assert ((benign + malign > 0) == (polysemantic > 0)).all()
    assert (benign + malign >= polysemantic).all()
    assert (metrics.signed_slots_benign(stack) <= metrics.signed_slots(stack)).all()
    # Relative to the window, neurons and features that are never large are all that is missing.
    large = np.abs(stack) >= 0.3
    assert np.array_equal(metrics.count_dead(stack, 0.3), (~large.any(axis=1)).sum(axis=1))
    assert np.array_equal(metrics.count_unrepresented(stack, 0.3), (~large.any(axis=2)).sum(axis=1))


def test_effective_weights_by_hand():
    encoder = np.array([[4.0, -4.0, 4.0, -0.5, 0.0]])
    decoder = np.array([[1.0, -1.0, -1.0, 0.5, 3.0]])
    assert metrics.effective_weights(encoder, decoder).tolist() == [[2.0, -2.0, 0.0, 0.0, 0.0]]


def test_effective_weights_of_equal_matrices_are_these(stack):
    for dtype in (np.float32, np.float64):
        weights = stack.astype(dtype)
        assert np.array_equal(metrics.effective_weights(weights, weights), weights)


@pytest.mark.parametrize("function", [*COUNTS, *MEASURES, *NEURONS], ids=lambda f: f.__name__)
def test_untied_models_are_measured_on_their_effective_weights(function, stack):
    decoder = stack[:, :, ::-1] + 0.5
    untied = fp.Parameters(stack, decoder)
    effective = metrics.effective_weights(stack, decoder)
    assert (effective != 0).any(axis=(1, 2)).all()
    assert np.array_equal(function(untied), function(effective), equal_nan=True)
    single = fp.Parameters(stack[1], decoder[1])
    assert np.array_equal(function(single), function(effective[1]), equal_nan=True)


# One feature on one neuron, one on two equally, one on all four equally, one on none.
SPREAD = np.array([[0, -2.0, 0, 0], [0, 0, 3.0, 3.0], [0.5, -0.5, 0.5, 0.5], [0, 0, 0, 0]])


@pytest.mark.parametrize(
    ("measure", "expected"),
    [
        (metrics.fourth_norm, [16.0, 162.0, 0.25, 0.0]),
        (metrics.participation_ratio, [1.0, 2.0, 4.0, 0.0]),
        (metrics.hoyer_sparsity, [1.0, 2 - math.sqrt(2), 0.0, math.nan]),
    ],
    ids=lambda x: getattr(x, "__name__", ""),
)
def test_sparsity_by_hand(measure, expected):
    assert measure(SPREAD) == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize(
    ("weights", "dimensionality", "interference"),
    [
        (np.eye(3), [1, 1, 1], [0, 0, 0]),
        ([[1, 0], [-1, 0], [0, 2]], [0.5, 0.5, 1], [1, 1, 0]),
        ([[1, 0], [2, 0]], [0.2, 0.8], [4, 1]),
        ([[3, 0], [0, 0]], [1, 0], [0, math.nan]),
        # a regular triangle shares two dimensions equally
        ([[1, 0], [-0.5, 3**0.5 / 2], [-0.5, -(3**0.5) / 2]], [2 / 3] * 3, [0.5] * 3),
    ],
)
def test_geometry_by_hand(weights, dimensionality, interference):
    weights = np.array(weights)
    assert metrics.feature_dimensionality(weights) == pytest.approx(dimensionality)
    assert metrics.interference(weights) == pytest.approx(interference, nan_ok=True)


def test_support_by_hand():
    assert metrics.support_size(SPREAD).tolist() == [1, 2, 4, 0]
    assert metrics.support_size(SPREAD, 0.5).tolist() == [1, 2, 0, 0]
    assert metrics.support_size(SPREAD, 2).tolist() == [0, 2, 0, 0]


# By neuron: one feature; a benign pair; three features of 3, 2 and 1; nothing; all equal.
SHARED = np.array(
    [
        [-2.0, 1.0, 3.0, 0.0, 0.1],
        [0.0, -1.0, -2.0, 0.0, 0.1],
        [0.0, 0.0, 1.0, 0.0, -0.1],
    ]
)
ENTROPY = math.log(2) / 2 + math.log(3) / 3 + math.log(6) / 6


@pytest.mark.parametrize(
    ("measure", "expected"),
    [
        (metrics.neuron_monosemanticity, [1, 1 / 2, 1 / 2, math.nan, 1 / 3]),
        (metrics.effective_features, [1, 2, math.exp(ENTROPY), 0, 3]),
        # the others' means: 0, 1/2 of 1, 3/2 of 3
        (metrics.class_selectivity, [1, 1 / 3, 1 / 3, math.nan, 0]),
    ],
    ids=lambda x: getattr(x, "__name__", ""),
)
def test_neurons_by_hand(measure, expected):
    assert measure(SHARED) == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize(("n", "m"), [(6, 8), (6, 10), (10, 6), (16, 16), (40, 24)])
def test_transposed_weights_are_questioned(n, m):
    config = fp.Config(n_features=n, n_hidden=m, l1=1e-2, learning_rate=4e-3, steps=2000)
    weights = fp.train(config, 8, return_weights=True).weights
    given = fp.count_polysemantic(weights)  # warnings are errors here
    for layout in (weights.swapaxes(1, 2), fp.Parameters(weights.swapaxes(1, 2))):
        with pytest.warns(UserWarning, match=r"rows \(features\).* is it transposed\?") as asked:
            fp.count_polysemantic(layout)
        assert asked[0].filename == __file__
    assert fp.metrics.fourth_norm(weights).shape == (8, n)
    assert given.shape == (8,)


def test_counts_compare_in_the_precision_of_the_weights():
    for dtype in (np.float16, np.float32, np.float64):
        ends = np.full((2, 3), [0.8, 1.2, 1.21], dtype)
        assert fp.count_polysemantic(ends) == 2
        assert fp.count_polysemantic(list(ends)) == 2


def test_monosemantic_neurons_by_hand():
    assert metrics.count_monosemantic(SHARED) == 1
    assert metrics.count_monosemantic(SHARED, 0.5) == 3
    assert metrics.count_monosemantic(np.stack([SHARED, 0 * SHARED, SHARED[::-1]])).tolist() == [
        1, 0, 1,
    ]  # fmt: skip
    nearly = np.array([[1.0, 1.0], [0.0009, 0.0011]])
    assert metrics.count_monosemantic(nearly) == 1


def test_dimensions_per_feature_by_hand():
    assert metrics.dimensions_per_feature(np.eye(3, 12)) == 4
    assert metrics.dimensions_per_feature(np.ones((2, 2))) == 0.5
    assert metrics.dimensions_per_feature(np.zeros((2, 2))) == math.inf
    several = metrics.dimensions_per_feature(np.stack([np.eye(3), 0.5 * np.eye(3)]))
    assert several.tolist() == [1, 4]


def test_winner_rank_by_hand():
    start = np.array([[0.1, -0.3, 0.2], [0.1, -0.3, 0.2], [0.1, -0.3, 0.2], [0.2, -0.2, 0.1]])
    end = np.array([[0.0, 1.0, 0.0], [0.0, 0.0, -0.9], [0.7, 0.0, 0.0], [0.0, 0.9, 0.8]])
    assert metrics.winner_rank(start, end).tolist() == [1, 2, 0, 1]
    assert metrics.winner_rank(start, end, 0.5).tolist() == [1, 2, 3, 1]
    both = metrics.winner_rank(np.stack([start, start]), np.stack([start, end]), 0.2)
    assert both.dtype == np.int64
    assert both.tolist() == [[1, 1, 1, 1], [1, 2, 3, 1]]
    half = np.diag([0.8, -0.8]).astype(np.float16)  # of which 0.8 is below 0.8 in float64
    assert metrics.winner_rank(half, half).tolist() == [1, 1]
    with pytest.raises(ValueError, match=r"end must have the shape of start \(4, 3\), got \(3, 3"):
        metrics.winner_rank(start, end[:3])
    with pytest.raises(ValueError, match="winner_rank: start must hold finite numbers"):
        metrics.winner_rank(start * math.nan, end)


def test_winner_rank_of_trained_models():
    config = fp.Config(n_features=8, n_hidden=32, l1=1e-2, learning_rate=1e-2, steps=400)
    start = fp.train(config.replace(steps=0), 10, return_weights=True).weights
    end = fp.train(config, 10, return_weights=True)
    rank = metrics.winner_rank(start, end.weights)
    assert np.array_equal((rank == 0).sum(axis=1), end.unrepresented)
    place = np.abs(end.weights).argmax(axis=-1)
    order = np.argsort(-np.abs(start), axis=-1)
    for seed, feature in zip(*np.nonzero(rank), strict=True):
        assert order[seed, feature, rank[seed, feature] - 1] == place[seed, feature]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: metrics.support_size(SPREAD, -1), "support_size: threshold must be"),
        (lambda: metrics.count_monosemantic(SPREAD, 1.5), "count_monosemantic: threshold must be"),
        (lambda: metrics.class_selectivity([[1.0, 2.0]]), "must have at least 2 features, got 1"),
        (lambda: metrics.winner_rank(SPREAD, SPREAD, 0), "winner_rank: low must be"),
    ],
)
def test_bad_arguments_of_measures_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_measures_agree_with_each_other(stack):
    gram = stack @ np.swapaxes(stack, 1, 2)
    capacity = np.einsum("sii->si", gram) ** 2 / np.square(gram).sum(axis=2)  # Scherlis et al.
    assert metrics.feature_dimensionality(stack) == pytest.approx(capacity)
    assert metrics.dimensions_per_feature(stack) == pytest.approx(
        5 / np.square(stack).sum(axis=(1, 2))
    )
    support = metrics.support_size(stack)
    assert np.array_equal(support, np.count_nonzero(stack, axis=2))
    assert (metrics.participation_ratio(stack) <= support * (1 + 1e-12)).all()
    # Rényi's entropies fall with their order: 0, 1 and infinity.
    effective, largest = metrics.effective_features(stack), metrics.neuron_monosemanticity(stack)
    assert (effective <= np.count_nonzero(stack, axis=1) * (1 + 1e-12)).all()
    assert (effective >= (1 - 1e-12) / largest).all()
    # With the share r of the largest feature the others have (1 - r) / (n - 1) each.
    rest = (1 - largest) / 5
    assert metrics.class_selectivity(stack) == pytest.approx((largest - rest) / (largest + rest))
    norm = np.square(stack).sum(axis=2)
    dimensionality = metrics.feature_dimensionality(stack)
    assert dimensionality == pytest.approx(norm / (norm + metrics.interference(stack)))
    ratio = metrics.participation_ratio(stack)
    assert metrics.fourth_norm(stack) == pytest.approx(norm**2 / ratio)
    assert (ratio >= 1).all()
    assert (ratio <= np.count_nonzero(stack, axis=2) + 1e-12).all()
    assert (dimensionality.sum(axis=1) <= 5 + 1e-12).all()
    sparsity = metrics.hoyer_sparsity(stack)
    assert ((sparsity >= 0) & (sparsity <= 1)).all()


@pytest.mark.parametrize("measure", [*MEASURES, *NEURONS], ids=lambda f: f.__name__)
def test_measures_of_a_stack_are_those_of_its_models(measure, stack):
    together = measure(stack)
    assert together.shape == (4, 6 if measure in MEASURES else 5)
    assert together.dtype == np.float64
    for one, expected in zip(stack, together, strict=True):
        assert measure(one) == pytest.approx(expected, rel=1e-13)


@pytest.mark.parametrize(
    ("measure", "power"),
    [
        (metrics.fourth_norm, 4),
        (metrics.participation_ratio, 0),
        (metrics.hoyer_sparsity, 0),
        (metrics.feature_dimensionality, 0),
        (metrics.interference, 2),
        (metrics.dimensions_per_feature, -2),
        *((measure, 0) for measure in NEURONS),
    ],
    ids=lambda x: getattr(x, "__name__", ""),
)
def test_measures_under_a_change_of_scale(measure, power, stack):
    assert measure(3 * stack) == pytest.approx(3**power * measure(stack))


@pytest.mark.parametrize(
    "measure",
    [
        metrics.participation_ratio,
        metrics.hoyer_sparsity,
        metrics.feature_dimensionality,
        *NEURONS,
    ],
    ids=lambda f: f.__name__,
)
def test_ratios_neither_overflow_nor_underflow(measure, stack):
    for factor in (1e-120, 1e120):
        assert measure(factor * stack) == pytest.approx(measure(stack))


def test_interference_neither_overflows_nor_underflows(stack):
    for power in (-300, 300):
        scaled = np.ldexp(metrics.interference(stack), 2 * power)
        assert metrics.interference(np.ldexp(stack, power)) == pytest.approx(scaled, abs=0)


@pytest.mark.parametrize("function", [*COUNTS, *MEASURES, *NEURONS], ids=lambda f: f.__name__)
@pytest.mark.parametrize("shape", [(3, 0), (0, 3)])
def test_models_without_neurons_or_features_are_refused(function, shape):
    empty = np.zeros(shape)
    for weights in (empty, fp.Parameters(empty, empty)):
        with pytest.raises(ValueError, match="weights must have features and neurons, got shape"):
            function(weights)


def test_geometry_does_not_know_the_basis(stack):
    rotation = np.linalg.qr(np.random.default_rng(1).normal(size=(5, 5)))[0]
    geometry = (
        metrics.feature_dimensionality,
        metrics.interference,
        metrics.dimensions_per_feature,
    )
    for measure in geometry:
        assert measure(stack @ rotation) == pytest.approx(measure(stack))


@pytest.mark.parametrize("function", [*COUNTS, *MEASURES, *NEURONS], ids=lambda f: f.__name__)
def test_the_weights_are_left_alone(function, stack):
    before = stack.copy()
    function(stack)
    assert np.array_equal(stack, before)


def test_counts_of_trained_models_are_those_of_the_result():
    config = fp.Config(n_features=8, n_hidden=6, l1=1e-2, learning_rate=1e-2, steps=400)
    for change in ({}, {"dtype": "float64"}, {"tied": False}):
        result = fp.train(config.replace(**change), seeds=12, return_weights=True)
        counts = {
            "polysemantic": metrics.count_polysemantic,
            "dead": metrics.count_dead,
            "unrepresented": metrics.count_unrepresented,
            "signed_slots": metrics.signed_slots,
            "signed_slots_benign": metrics.signed_slots_benign,
        }
        for name, count in counts.items():
            assert np.array_equal(getattr(result, name), count(result.weights)), name
        benign, malign = metrics.count_pairs(result.weights)
        assert np.array_equal(result.benign, benign)
        assert np.array_equal(result.malign, malign)
        assert result.signed_slots.any()
