"""Predictions, against enumeration and simulation."""

from __future__ import annotations

import itertools
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import integrate, optimize, stats

import fastpolysem as fp
from fastpolysem import encoding, theory


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
    assert not np.signbit(theory.null_variance(n, m))


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
    with pytest.raises(ValueError, match=r"^\w+: n_hidden must be whole numbers >= 1"):
        function(2, wrong)  # type: ignore[operator]
    with pytest.raises(ValueError, match="n_features must be whole numbers >= 1"):
        function(wrong, 2)  # type: ignore[operator]


def test_sizes_must_be_numbers() -> None:
    with pytest.raises(TypeError, match="n_hidden must be whole numbers >= 1, got 'many'"):
        theory.null_mean(2, "many")


SIZED = [
    theory.collision_law,
    theory.null_mean,
    theory.null_variance,
    theory.favourite_mean,
    theory.descent_mean,
    theory.null_distribution,
]


@pytest.mark.parametrize("function", SIZED)
def test_sizes_that_do_not_fit_are_named(function: Any) -> None:
    name = function.__name__
    with pytest.raises(ValueError, match=f"^{name}: n_features and n_hidden must .* got .*2,.*3,"):
        function([1, 2], [1, 2, 3])
    for wrong in ("a", ["1", "2"], [[1, 2], [3]], 10**30, True, np.ma.array([1, 2], mask=[0, 1])):
        with pytest.raises(TypeError, match=rf"^{name}: n_hidden (must be|cannot be read)"):
            function(2, wrong)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 10, 999])
@pytest.mark.parametrize("m", [1, 2, 3, 100, 10**8, 10**15])
def test_closed_forms_are_exact_for_all_sizes(n: int, m: int) -> None:
    """Against fractions; the formulas as written lose all digits for few features per neuron."""
    seen = m * (1 - 2 * Fraction(2 * m - 1, 2 * m) ** n + Fraction(m - 1, m) ** n)
    assert theory.favourite_mean(n, m) == pytest.approx(float(seen), rel=1e-14, abs=0)
    if n <= 2 * m:
        mean = Fraction(n * (n - 1), 2 * (2 * m - 1))
        pairs = Fraction((n - 2) * (n - 3), 2 * (2 * m - 3))
        variance = mean * (1 + pairs - mean) if m > 1 else 0
        assert theory.null_variance(n, m) == pytest.approx(float(variance), rel=1e-14, abs=0)


def test_closed_forms_of_sizes_beyond_fractions() -> None:
    n, m = 1e6, 1e12
    series = n * (n - 1) / (4 * m) * (1 - (n - 2) / (2 * m))  # pairs and triples
    assert theory.favourite_mean(n, m) == pytest.approx(series, rel=1e-11)
    assert theory.favourite_mean(1e10, 1e8) == pytest.approx(1e8)  # every neuron
    assert theory.null_variance(1e12, 1e12) == pytest.approx(1e12 / 16, rel=1e-10)
    with pytest.raises(MemoryError, match="null_distribution needs about"):
        theory.null_distribution(2 * 10**14, 10**14)


# Sparsification by l1.


@pytest.mark.parametrize(("m", "l1"), [(100_000, 1e-5), (10_000, 1e-4)])
def test_corrected_sparsification_meets_simulations(m: int, l1: float) -> None:
    runs = encoding.simulate(m, l1, 20)
    mean = runs.support.mean(axis=0)
    many = mean >= 300
    corrected = theory.sparsification(runs.t, m, l1)
    assert many.sum() > 50
    np.testing.assert_allclose(corrected.support[many], mean[many], rtol=0.02)
    settled = many & (runs.t > 5)  # the norm of the start weights is 0.9
    norm = runs.l1_norm.mean(axis=0)
    np.testing.assert_allclose(corrected.l1_norm[settled], norm[settled], rtol=0.02)
    spread = runs.relative_variance.mean(axis=0)
    np.testing.assert_allclose(corrected.relative_variance[many], spread[many], atol=0.03)

    published = theory.published_sparsification(runs.t, m, l1)
    off = (mean / published.support)[many & (runs.t > 0.03 / l1)]
    assert off.min() > 2.5
    assert off.max() < 2.8


def test_sparsification_from_the_norms_of_one_start() -> None:
    m, l1 = 1000, 1e-4
    runs = encoding.simulate(m, l1, 200)
    ratio = runs.l1_norm[:, 0] / np.sqrt(runs.squared_norm[:, 0])
    at = np.searchsorted(runs.t, 20)
    seen = runs.l1_norm[:, at]
    own = np.array([theory.sparsification(runs.t[at], m, l1, float(one)).l1_norm for one in ratio])
    # Knowing the start takes most of what differs between seeds out, as long as it is remembered.
    plain = theory.sparsification(runs.t[at], m, l1).l1_norm
    assert np.std(own / seen) < 0.2 * np.std(plain / seen)
    assert np.mean(own / seen) == pytest.approx(1, abs=0.003)


@pytest.mark.parametrize("factor", [0.95, 1.0, 1.05])
def test_sparsification_starts_where_it_is_told(factor: float) -> None:
    m, l1 = 10_000, 1e-5
    ratio = factor * np.sqrt(2 * m / np.pi)
    t = np.linspace(0, 2000, 400)
    law = theory.sparsification(t, m, l1, ratio)
    assert law.l1_norm[0] == pytest.approx(ratio, rel=1e-4)
    assert law.support[0] == pytest.approx(m if factor >= 1 else law.support[0])
    assert (np.diff(law.support) <= 0).all()
    assert (np.diff(law.l1_norm) < 0).all()


def test_corrected_sparsification_obeys_its_two_relations() -> None:
    m, l1 = 10_000, 1e-4
    t = np.linspace(0, 3000, 6001)
    law = theory.sparsification(t, m, l1)
    np.testing.assert_allclose(law.support, (1 + law.relative_variance) * law.l1_norm**2, rtol=1e-4)
    slope = np.gradient(1 / law.l1_norm, t)
    middle = slice(10, -10)
    np.testing.assert_allclose(slope[middle], (l1 * law.relative_variance)[middle], rtol=2e-3)
    np.testing.assert_allclose(
        law.relative_variance, theory.relative_variance(np.minimum(law.support / m, 1)), rtol=1e-3
    )


def test_sparsification_ends_with_one_weight() -> None:
    for law in (theory.sparsification, theory.published_sparsification):
        end = law([1e9], 100, 1e-3)
        assert (end.support[0], end.l1_norm[0]) == (1, 1)
    start = theory.published_sparsification(0, 10_000, 1e-3)
    assert (float(start.support), float(start.l1_norm)) == pytest.approx((10_000, 100))
    alone = theory.sparsification([0, 1], 1, 1e-3)
    assert alone.support.tolist() == [1, 1]


def test_relative_variance_of_a_half_normal_beyond_a_threshold() -> None:
    rng = np.random.default_rng(2)
    sample = np.sort(np.abs(rng.normal(size=2_000_000)))[::-1]
    for fraction in (1.0, 0.5, 0.1, 0.01):
        count = int(fraction * sample.size)
        above = sample[:count] - (sample[count] if count < sample.size else 0)
        expected = above.var() / above.mean() ** 2
        error = 6 / np.sqrt(count)
        assert theory.relative_variance(fraction) == pytest.approx(expected, abs=error)
    assert theory.relative_variance(1) == pytest.approx(np.pi / 2 - 1)
    # The tail beyond 12 standard deviations is an exponential, up to 3/12².
    assert theory.relative_variance(2 * stats.norm.sf(12)) == pytest.approx(1, abs=0.03)
    assert np.all(np.diff(theory.relative_variance(np.geomspace(1e-30, 1, 500))) < 0)


@pytest.mark.parametrize("wrong", [0, -0.1, 1.1, np.nan])
def test_relative_variance_refuses_what_is_no_fraction(wrong: float) -> None:
    with pytest.raises(ValueError, match="fraction must be in"):
        theory.relative_variance(wrong)


def test_sparsification_refuses_bad_arguments() -> None:
    with pytest.raises(ValueError, match="t must be finite times >= 0"):
        theory.sparsification([-1.0], 10, 1e-3)
    with pytest.raises(ValueError, match="l1 must be a finite number > 0"):
        theory.published_sparsification([1.0], 10, 0)
    with pytest.raises(ValueError, match="start_ratio must be a finite number >= 1"):
        theory.sparsification([1.0], 10, 1e-3, 0.5)
    with pytest.raises(
        ValueError, match=r"start_ratio must be a number >= 1 and <= √n_hidden = 10"
    ):
        theory.sparsification([1.0], 100, 1e-3, 10.01)
    equal = np.full(7, 0.1)
    theory.sparsification([1.0], 7, 1e-3, equal.sum() / np.linalg.norm(equal))


@pytest.mark.parametrize("function", [theory.sparsification, theory.published_sparsification])
def test_arguments_of_sparsification_are_named(function: Any) -> None:
    name = function.__name__
    for wrong in ("a", [[1.0], [2.0, 3.0]]):
        with pytest.raises(TypeError, match=f"^{name}: t (must be|cannot be read)"):
            function(wrong, 10, 1e-3)
    with pytest.raises(ValueError, match=f"^{name}: t must be finite"):
        function(-1.0, 10, 1e-3)
    for size in (0, 10**400):
        with pytest.raises(ValueError, match=f"^{name}: n_hidden must be an integer >= 1 and <"):
            function(1.0, size, 1e-3)


def test_fractions_must_be_numbers() -> None:
    with pytest.raises(TypeError, match="relative_variance: fraction must be real numbers"):
        theory.relative_variance("half")


# Start weights.


def test_initial_maximum() -> None:
    assert theory.initial_maximum(1) == pytest.approx(np.sqrt(2 / np.pi), rel=1e-6)
    # The larger of two half-normals: 2/√π, over √2.
    assert theory.initial_maximum(2) == pytest.approx(np.sqrt(2 / np.pi), rel=1e-6)
    several = theory.initial_maximum([16, 4096])
    assert several[1] == pytest.approx(0.059, abs=1e-3)
    result = fp.train(fp.Config(n_features=400, n_hidden=16, steps=0), 50, return_weights=True)
    largest = np.abs(np.asarray(result.weights)).max(axis=-1)
    error = largest.std() / np.sqrt(largest.size)
    assert abs(largest.mean() - several[0]) < 4 * error
    exact, _ = integrate.quad(lambda x: -np.expm1(1e9 * np.log1p(-2 * stats.norm.sf(x))), 4, 9)
    assert theory.initial_maximum(10**9) * np.sqrt(1e9) == pytest.approx(4 + exact, rel=1e-6)


# Noise.


def test_excess_kurtosis() -> None:
    assert theory.excess_kurtosis("rademacher") == -2
    for name, law in (
        ("gaussian", stats.norm()),
        ("uniform", stats.uniform()),
        ("laplace", stats.laplace()),
    ):
        assert theory.excess_kurtosis(name) == pytest.approx(float(law.stats("k")))
    assert theory.excess_kurtosis("student_t", 6) == pytest.approx(float(stats.t(6).stats("k")))
    assert theory.excess_kurtosis("student_t", 4) == np.inf
    assert theory.excess_kurtosis("three_point", 0.25) == 1
    assert theory.excess_kurtosis("three_point", 1) == theory.excess_kurtosis("rademacher")
    with pytest.raises(ValueError, match="did you mean 'laplace'"):
        theory.excess_kurtosis("laplac")
    with pytest.raises(ValueError, match="shape must be None"):
        theory.excess_kurtosis("gaussian", 3)
    with pytest.raises(TypeError, match="shape with noise='student_t' must be"):
        theory.excess_kurtosis("student_t")


def noisy_loss(weights: NDArray[np.float64], noise: NDArray[np.float64]) -> NDArray[np.float64]:
    """Loss of one model for each row of noise."""
    n = len(weights)
    pre = (weights @ weights.T)[np.newaxis] + (noise @ weights.T)[:, np.newaxis, :]
    loss: NDArray[np.float64] = np.square(np.maximum(pre, 0) - np.eye(n)).sum(axis=(1, 2))
    return loss


def enumerated_loss(
    weights: NDArray[np.float64], points: list[float], chances: list[float]
) -> float:
    """Expected loss over all vectors of noise with components at these points."""
    m = weights.shape[1]
    noise = np.array(list(itertools.product(points, repeat=m)))
    chance = np.array(list(itertools.product(chances, repeat=m))).prod(axis=1)
    return float(chance @ noisy_loss(weights, noise))


def test_gaussian_noise_loss_meets_a_simulation() -> None:
    rng = np.random.default_rng(3)
    stack = rng.normal(size=(3, 5, 7)) / np.sqrt(7)
    stack[1, 2] = 0  # a lost feature
    config = fp.Config(n_features=5, n_hidden=7, noise="gaussian", noise_std=0.4, dtype="float64")
    expected = theory.gaussian_noise_loss(stack, 0.4)
    assert np.shape(expected) == (3,)
    for weights, loss in zip(stack, np.asarray(expected), strict=True):
        assert theory.gaussian_noise_loss(weights, 0.4) == pytest.approx(loss)
        draws = 0.4 * rng.normal(size=(20_000, 7))
        seen, _ = fp.loss_and_gradient(np.tile(weights, (len(draws), 1, 1)), config, noise=draws)
        np.testing.assert_allclose(seen, noisy_loss(weights, draws), rtol=1e-9)
        assert abs(seen.mean() - loss) < 4 * seen.std() / np.sqrt(seen.size)


def test_gaussian_noise_loss_meets_quadrature() -> None:
    rng = np.random.default_rng(4)
    w = rng.normal(size=(3, 4)) / 2
    total = 0.0
    for i, j in itertools.product(range(3), repeat=2):
        c, s = w[i] @ w[j], 0.3 * np.linalg.norm(w[j])
        law = stats.norm(c, s)

        def square(x: float, target: float = float(i == j), law: object = law) -> float:
            return float((max(x, 0) - target) ** 2 * law.pdf(x))  # type: ignore[attr-defined]

        total += integrate.quad(square, c - 12 * s, c + 12 * s, points=[0.0], epsabs=1e-13)[0]
    assert theory.gaussian_noise_loss(w, 0.3) == pytest.approx(total, rel=1e-9)


def test_gaussian_noise_has_no_preferred_basis() -> None:
    rng = np.random.default_rng(5)
    w = rng.normal(size=(4, 6)) / 2
    rotation = stats.ortho_group(6, seed=1).rvs()
    loss = theory.gaussian_noise_loss(w, 0.2)
    assert theory.gaussian_noise_loss(w @ rotation, 0.2) == pytest.approx(loss, rel=1e-12)
    correction = theory.kurtosis_correction(w, 0.2, -2)
    assert theory.kurtosis_correction(w @ rotation, 0.2, -2) != pytest.approx(correction, rel=0.02)


def against_enumeration(
    m: int, sigma: float, points: list[float], chances: list[float], kurtosis: float, count: int
) -> float:
    """Mean size of what noise of this kurtosis adds to the Gaussian loss of pairs of random unit
    vectors, divided by the predicted one; signs are checked one by one."""
    rng = np.random.default_rng(6)
    seen, predicted = [], []
    while len(seen) < count:
        w = rng.normal(size=(2, m))
        w /= np.linalg.norm(w, axis=1, keepdims=True)
        at = (w[0] @ w[1]) / sigma  # mean over standard deviation of the one pre-activation
        if 0.3 < abs(at) < 2:
            loss = enumerated_loss(w, [sigma * point for point in points], chances)
            seen.append(float(loss - theory.gaussian_noise_loss(w, sigma)))
            predicted.append(float(theory.kurtosis_correction(w, sigma, kurtosis)))
            assert np.sign(seen[-1]) == np.sign(predicted[-1]) == -np.sign(kurtosis * at)
    return float(np.abs(seen).sum() / np.abs(predicted).sum())


@pytest.mark.parametrize("sigma", [0.05, 0.1, 0.2])
def test_kurtosis_correction_against_all_signs(sigma: float) -> None:
    few = against_enumeration(8, sigma, [-1, 1], [0.5, 0.5], -2, 30)
    more = against_enumeration(12, sigma, [-1, 1], [0.5, 0.5], -2, 30)
    assert 1 < more < few < 1.22  # the series is for rows spread over many neurons


def test_kurtosis_correction_of_positive_kurtosis() -> None:
    q = 1 / 6
    points, chances = [-(q**-0.5), 0, q**-0.5], [q / 2, 1 - q, q / 2]
    kurtosis = theory.excess_kurtosis("three_point", q)
    assert kurtosis == pytest.approx(3)
    assert against_enumeration(9, 0.1, points, chances, kurtosis, 8) == pytest.approx(1, abs=0.25)


def test_kurtosis_correction_on_the_diagonal() -> None:
    # A single feature: the loss (ReLU(x) - 1)² is not that of a pair.
    rng = np.random.default_rng(8)
    for size in (0.2, 0.3, 0.4):
        w = np.abs(rng.normal(1, 0.3, size=(1, 12)))
        w *= size / np.linalg.norm(w)
        seen = enumerated_loss(w, [-0.3, 0.3], [0.5, 0.5]) - theory.gaussian_noise_loss(w, 0.3)
        predicted = theory.kurtosis_correction(w, 0.3, -2)
        assert seen == pytest.approx(predicted, rel=0.35)


def test_kurtosis_favours_concentration_or_spreading() -> None:
    # Two features of one neuron each and a third one opposite to both, spread or not so much.
    def rows(a: float) -> NDArray[np.float64]:
        third = [-0.1, -0.1, a, np.sqrt(0.98 - a**2)]
        return np.array([[1, 0, 0, 0], [0, 1, 0, 0], third])

    spread, concentrated = rows(0.7), rows(0.98)
    assert theory.gaussian_noise_loss(spread, 0.1) == pytest.approx(
        theory.gaussian_noise_loss(concentrated, 0.1)
    )
    for kurtosis, sign in ((-1, -1), (1, 1)):
        gap = theory.kurtosis_correction(concentrated, 0.1, kurtosis) - theory.kurtosis_correction(
            spread, 0.1, kurtosis
        )
        assert np.sign(gap) == sign


# Shrinkage.


def test_shrinkage_by_l1_is_where_training_ends() -> None:
    for l1 in (0.01, 0.3, 1.2):
        config = fp.Config(
            n_features=3, n_hidden=5, l1=l1, l1_update="orthant", optimizer="sgd",
            learning_rate=0.02, steps=3000, dtype="float64",
        )  # fmt: skip
        result = fp.train(config, 1, initial_weights=np.eye(3, 5), return_weights=True)
        squares = np.square(np.asarray(result.weights)[0]).sum(axis=1)
        np.testing.assert_allclose(squares, theory.one_hot_squared_norm(l1), rtol=1e-9)
    assert theory.one_hot_squared_norm() == pytest.approx(1)
    largest = 8 / np.sqrt(27)  # beyond it the loss falls all the way to a weight of 0
    assert theory.one_hot_squared_norm(largest * 0.999) == pytest.approx(1 / 3, abs=0.03)
    assert np.isnan(theory.one_hot_squared_norm([largest * 1.001, 2])).all()


def test_shrinkage_by_noise_is_the_least_of_the_expected_loss() -> None:
    n, sigma = 5, 0.2

    def loss(square: float, l1: float = 0.0) -> float:
        w = np.sqrt(square) * np.eye(n)
        return enumerated_loss(w, [-sigma, sigma], [0.5, 0.5]) + l1 * np.abs(w).sum()

    least = optimize.minimize_scalar(loss, bounds=(0.6, 1.1), options={"xatol": 1e-8})
    assert theory.one_hot_squared_norm(0, sigma, n) == pytest.approx(least.x, abs=1e-6)
    assert theory.one_hot_squared_norm(0, sigma, n) == pytest.approx(1 - (n + 1) * sigma**2 / 4)

    least = optimize.minimize_scalar(lambda x: loss(x, 0.1), bounds=(0.6, 1.1))
    assert theory.one_hot_squared_norm(0.1, sigma, n) == pytest.approx(least.x, abs=1e-5)

    def gaussian(square: float) -> float:
        return float(theory.gaussian_noise_loss(np.sqrt(square) * np.eye(n), sigma))

    least = optimize.minimize_scalar(gaussian, bounds=(0.6, 1.1), options={"xatol": 1e-8})
    assert theory.one_hot_squared_norm(0, sigma, n) == pytest.approx(least.x, abs=1e-4)


def test_shrinkage_by_noise_of_a_benign_pair() -> None:
    n, sigma = 4, 0.2

    def loss(square: float) -> float:
        w = np.sqrt(square) * np.array([[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, 0, 1]])
        w[2:] = np.eye(3)[1:] * np.sqrt(1 - (n + 1) * sigma**2 / 4)  # held at their optimum
        return enumerated_loss(w.astype(float), [-sigma, sigma], [0.5, 0.5])

    least = optimize.minimize_scalar(loss, bounds=(0.6, 1.1), options={"xatol": 1e-8})
    assert least.x == pytest.approx(1 - n * sigma**2 / 4, abs=1e-6)


def test_shrinkage_refuses_bad_arguments() -> None:
    with pytest.raises(ValueError, match="l1 must be finite numbers >= 0"):
        theory.one_hot_squared_norm([0.1, -1])
    with pytest.raises(ValueError, match="n_features must be an integer >= 1"):
        theory.one_hot_squared_norm(0.1, 0.1, 0)
    assert np.isnan(theory.one_hot_squared_norm(0.0, 3.0, 2))
    assert np.isnan(theory.one_hot_squared_norm(0.0, 1e300))
    with pytest.raises(ValueError, match=r"l1 and noise_std must have shapes that broadcast"):
        theory.one_hot_squared_norm([0.1, 0.2], [0.1, 0.2, 0.3])
    with pytest.raises(TypeError, match="noise_std must be real numbers"):
        theory.one_hot_squared_norm(0.1, "a")


@pytest.mark.filterwarnings("error")
def test_corrections_of_tiny_and_large_weights() -> None:
    """The fourth power of these weights is out of range."""
    usual = theory.kurtosis_correction(np.eye(2) * 1e-20, 0.1, 1)
    for size in (1e-100, 1e-200):
        found = theory.kurtosis_correction(np.eye(2) * size, 0.1, 1)
        assert found / size == pytest.approx(usual / 1e-20)
    assert theory.kurtosis_correction(np.eye(2) * 1e100, 0.1, 1) == 0
    assert theory.kurtosis_correction(np.zeros((2, 3)), 0.1, 1) == 0
