"""Predictions by chance, against enumeration and simulation."""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
import pytest

from fastpolysem import theory


def enumerated(n: int, m: int) -> list[Fraction]:
    """P(K) by listing every choice of n of the 2m slots; slot s belongs to neuron s // 2."""
    counts = [0] * (min(m, n // 2) + 1)
    for slots in itertools.combinations(range(2 * m), n):
        neurons = [slot // 2 for slot in slots]
        counts[len(neurons) - len(set(neurons))] += 1
    return [Fraction(count, sum(counts)) for count in counts]


SMALL = [(n, m) for m in range(1, 6) for n in range(1, 2 * m + 1)]


@pytest.mark.parametrize(("n", "m"), SMALL)
def test_distribution_is_that_of_all_choices_of_slots(n: int, m: int) -> None:
    expected = [float(p) for p in enumerated(n, m)]
    np.testing.assert_allclose(theory.null_distribution(n, m), expected, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize(("n", "m"), SMALL)
def test_mean_and_variance_are_those_of_all_choices_of_slots(n: int, m: int) -> None:
    p = enumerated(n, m)
    mean = sum(k * q for k, q in enumerate(p))
    variance = sum((k - mean) ** 2 * q for k, q in enumerate(p))
    assert theory.null_mean(n, m) == pytest.approx(float(mean), rel=1e-12)
    assert theory.null_variance(n, m) == pytest.approx(float(variance), rel=1e-10, abs=1e-12)


@pytest.mark.parametrize(
    ("n", "m"), [(64, 64), (64, 128), (256, 200), (256, 4096), (3000, 100_000)]
)
def test_moments_of_large_distributions_are_the_closed_forms(n: int, m: int) -> None:
    p = theory.null_distribution(n, m)
    k = np.arange(p.size)
    assert p.sum() == pytest.approx(1, abs=1e-12)
    assert p @ k == pytest.approx(theory.null_mean(n, m), rel=1e-7)
    assert p @ k**2 - (p @ k) ** 2 == pytest.approx(theory.null_variance(n, m), rel=1e-5)


def test_distribution_meets_a_simulation() -> None:
    n, m, draws = 12, 9, 20_000
    rng = np.random.default_rng(5)
    slots = rng.random((draws, 2 * m)).argsort(axis=1)[:, :n] // 2
    shared = n - np.array([len(set(row)) for row in slots.tolist()])
    p = theory.null_distribution(n, m)
    share = np.bincount(shared, minlength=p.size) / draws
    assert np.all(np.abs(share - p) < 5 * np.sqrt(p * (1 - p) / draws) + 1e-12)


def test_collision_law_counts_pairs_of_a_simulation() -> None:
    n, m, draws = 40, 400, 4000
    rng = np.random.default_rng(6)
    neuron, sign = rng.integers(m, size=(draws, n)), rng.integers(2, size=(draws, n))
    first, second = np.triu_indices(n, 1)
    pairs = (neuron[:, first] == neuron[:, second]) & (sign[:, first] != sign[:, second])
    counts = pairs.sum(axis=1)
    error = counts.std() / np.sqrt(draws)
    # The law rounds n (n - 1) up to n²: n / (n - 1) of the expected number.
    assert abs(counts.mean() - theory.collision_law(n, m) * (n - 1) / n) < 4 * error


def test_known_values() -> None:
    assert theory.collision_law(64, 128) == 8
    assert theory.null_mean(64, 128) == pytest.approx(64 * 63 / (2 * 255))
    assert theory.null_variance(64, 128) / theory.null_mean(64, 128) == pytest.approx(
        0.57, abs=5e-3
    )
    np.testing.assert_array_equal(theory.collision_law(256, [256, 1024, 4096]), [64, 16, 4])


def test_fewer_neurons_than_features_must_share() -> None:
    p = theory.null_distribution(6, 4)
    assert p.shape == (4,)
    assert p[:2].tolist() == [0, 0]
    assert theory.null_distribution(8, 4).tolist() == [0, 0, 0, 0, 1]


def test_more_features_than_slots() -> None:
    assert np.isnan(theory.null_mean(9, 4))
    assert np.isnan(theory.null_variance(9, 4))
    assert np.isnan(theory.null_mean(9, [4, 5])).tolist() == [True, False]
    with pytest.raises(
        ValueError, match=r"n_features must be an integer <= 8 for n_hidden=4.*got 9"
    ):
        theory.null_distribution(9, 4)


@pytest.mark.parametrize(
    "function", [theory.collision_law, theory.null_mean, theory.null_distribution]
)
@pytest.mark.parametrize("wrong", [0, -1, 2.5, np.nan, np.inf, [3, 0]])
def test_sizes_must_be_whole_numbers(function: object, wrong: object) -> None:
    with pytest.raises(ValueError, match="n_hidden must be whole numbers >= 1"):
        function(2, wrong)  # type: ignore[operator]
    with pytest.raises(ValueError, match="n_features must be whole numbers >= 1"):
        function(wrong, 2)  # type: ignore[operator]


def test_sizes_must_be_numbers() -> None:
    with pytest.raises(TypeError, match="n_hidden must be whole numbers >= 1, got 'many'"):
        theory.null_mean(2, "many")
