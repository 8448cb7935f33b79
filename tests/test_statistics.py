"""Intervals, tests and fits, against known values, scipy and simulations."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from fastpolysem import statistics, theory


def test_mean_by_t_known_value() -> None:
    # t quantile 2.776445 for 4 degrees of freedom, standard error sqrt(2.5 / 5).
    estimate = statistics.mean([1, 2, 3, 4, 5])
    assert estimate.value == 3
    assert estimate.half_width == pytest.approx(2.7764451052 * math.sqrt(0.5))
    assert estimate.low == pytest.approx(3 - estimate.half_width)


def test_mean_by_t_is_scipys() -> None:
    values = np.random.default_rng(1).poisson(3.2, 500)
    low, high = stats.t.interval(0.9, 499, values.mean(), stats.sem(values))
    estimate = statistics.mean(values, confidence=0.9)
    assert estimate == pytest.approx((values.mean(), low, high))


def test_bootstrap_of_a_mean_is_close_to_t_and_repeats() -> None:
    values = np.random.default_rng(2).poisson(3.2, 400)
    estimate = statistics.mean(values, method="bootstrap")
    assert estimate == statistics.mean(values, method="bootstrap")
    assert estimate == pytest.approx(statistics.mean(values), abs=0.02)
    assert estimate != statistics.mean(values)


def test_counts_that_are_all_zero_do_not_have_an_interval_of_no_length() -> None:
    estimate = statistics.mean([0] * 50)
    assert estimate.value == estimate.low == 0
    assert math.exp(-50 * estimate.high) == pytest.approx(0.025)  # chance of no event at all


def test_single_counts_and_nothing() -> None:
    one = statistics.mean([4])
    assert one.value == 4
    assert (one.low, one.high) == pytest.approx((1.0899, 10.2416), abs=1e-4)  # exact, Poisson
    assert all(map(math.isnan, statistics.mean([])))
    assert math.isnan(statistics.mean([0.5]).low)


def test_interval_of_a_mean_covers_as_often_as_it_says() -> None:
    rng = np.random.default_rng(3)
    covered = 0
    for _ in range(1000):
        estimate = statistics.mean(rng.poisson(6.5, 64), confidence=0.9)
        covered += estimate.low <= 6.5 <= estimate.high
    assert 0.9 - 0.03 < covered / 1000 < 0.9 + 0.03


def test_moments_give_the_same_as_values() -> None:
    values = np.array([3.0, 4, 8, 1])
    of_moments = statistics.mean_from_moments(4, values.mean(), values.var(ddof=1))
    assert of_moments == pytest.approx(statistics.mean(values))


def test_wilson_and_exact_proportions_known_values() -> None:
    wilson = statistics.proportion(15, 50)
    assert wilson == pytest.approx((0.3, 0.19104, 0.43750), abs=1e-5)
    exact = statistics.proportion(15, 50, method="exact")
    assert exact == pytest.approx((0.3, 0.17862, 0.44608), abs=1e-5)
    assert statistics.proportion(0, 20).low == 0
    assert statistics.proportion(20, 20, method="exact").high == 1


@pytest.mark.parametrize("method", ["wilson", "exact"])
@pytest.mark.parametrize("n", [20, 100])
def test_intervals_of_a_proportion_cover_as_often_as_they_say(method: str, n: int) -> None:
    intervals = [statistics.proportion(k, n, method=method) for k in range(n + 1)]  # type: ignore[arg-type]
    rates = np.linspace(0.02, 0.98, 97)
    covered = np.array(
        [
            sum(
                stats.binom.pmf(k, n, p)
                for k, one in enumerate(intervals)
                if one.low <= p <= one.high
            )
            for p in rates
        ]
    )
    if method == "exact":
        assert covered.min() >= 0.95
    assert covered.mean() == pytest.approx(0.95, abs=0.01 if method == "wilson" else 0.04)


def test_bootstrap_interval_covers_as_often_as_it_says() -> None:
    rng = np.random.default_rng(10)
    covered = 0
    for _ in range(200):
        estimate = statistics.mean(rng.poisson(6.5, 64), confidence=0.9, method="bootstrap")
        covered += estimate.low <= 6.5 <= estimate.high
    assert 0.83 < covered / 200 < 0.96  # 0.9 within three standard errors


@pytest.mark.parametrize("paired", [False, True])
def test_interval_of_a_difference_covers_as_often_as_it_says(paired: bool) -> None:
    rng = np.random.default_rng(11)
    covered = significant = 0
    for _ in range(400):
        shared = rng.normal(0, 3, 40) if paired else 0.0
        first, second = shared + rng.poisson(6, 40), shared + rng.poisson(5, 40)
        found = statistics.compare(first, second, paired=paired, confidence=0.9)
        covered += found.difference.low <= 1 <= found.difference.high
        same = statistics.compare(first - 1, second, paired=paired)
        significant += same.p_value < 0.1
    assert 0.85 < covered / 400 < 0.95
    assert 0.05 < significant / 400 < 0.15


# Likelihood intervals.


@pytest.mark.parametrize(("k", "n"), [(0, 20), (1, 20), (15, 50), (20, 20), (3, 10**6)])
@pytest.mark.parametrize("factor", [statistics.LIKELIHOOD_FACTOR, 1000.0])
def test_likelihood_interval_of_a_proportion(k: int, n: int, factor: float) -> None:
    fit = statistics.fit_proportion(k, n, max_likelihood_factor=factor)
    assert fit.best == k / n
    assert fit.low <= fit.best <= fit.high
    best = stats.binom.logpmf(k, n, fit.best)
    for end, edge in ((fit.low, 0), (fit.high, 1)):
        if end != fit.best or k not in (0, n):
            assert best - stats.binom.logpmf(k, n, end) == pytest.approx(math.log(factor), abs=1e-6)
        else:
            assert end == edge


@pytest.mark.parametrize("counts", [[0], [0, 0, 0], [1], [3, 5, 4], [10**6, 10**6 + 1]])
@pytest.mark.parametrize("factor", [1.001, statistics.LIKELIHOOD_FACTOR, 1e6])
def test_likelihood_interval_of_a_poisson_mean(counts: list[int], factor: float) -> None:
    fit = statistics.fit_poisson(counts, max_likelihood_factor=factor)
    assert fit.best == np.mean(counts)
    best = stats.poisson.logpmf(counts, fit.best).sum()
    for end in (fit.low, fit.high):
        if end:
            fall = best - stats.poisson.logpmf(counts, end).sum()
            assert fall == pytest.approx(math.log(factor), rel=1e-4, abs=1e-6)
    assert (fit.low == 0) == (sum(counts) == 0)
    if not any(counts):  # exp(-size · mean) is one over the factor
        assert fit.high == pytest.approx(math.log(factor) / len(counts))


def test_likelihood_intervals_cover_95_percent_of_large_samples() -> None:
    factor = statistics.LIKELIHOOD_FACTOR
    assert factor == pytest.approx(6.826, abs=1e-3)
    n = 400
    fits = [statistics.fit_proportion(k, n) for k in range(n + 1)]
    for p in (0.1, 0.5):
        inside = [k for k, fit in enumerate(fits) if fit.low <= p <= fit.high]
        assert stats.binom.pmf(inside, n, p).sum() == pytest.approx(0.95, abs=0.01)
    mean = 3.3 * 64
    totals = np.arange(120, 320)
    fits = [statistics.fit_poisson([total]) for total in totals]
    inside = [t for t, fit in zip(totals, fits, strict=True) if fit.low <= mean <= fit.high]
    assert stats.poisson.pmf(inside, mean).sum() == pytest.approx(0.95, abs=0.01)


def test_dispersion_of_poisson_counts_is_the_classical_test() -> None:
    counts = np.random.default_rng(4).poisson(5.0, 300)
    found = statistics.dispersion(counts)
    square = 299 * counts.var(ddof=1) / counts.mean()
    tail = min(stats.chi2.cdf(square, 299), stats.chi2.sf(square, 299))
    assert found.index.value == pytest.approx(square / 299)
    assert found.poisson_p == pytest.approx(2 * tail)
    assert found.index.low < 1 < found.index.high
    assert math.isnan(found.null_p)


def test_dispersion_of_the_null_model_is_told_from_poisson() -> None:
    n, m = 64, 128
    p = theory.null_distribution(n, m)
    counts = np.random.default_rng(5).choice(p.size, 1500, p=p)
    found = statistics.dispersion(counts, n, m)
    assert found.null_index == pytest.approx(0.57, abs=5e-3)
    assert found.index.low < found.null_index < found.index.high
    assert found.null_p > 0.05
    assert found.poisson_p < 1e-12


def test_p_values_of_dispersion_are_uniform_under_the_null_model() -> None:
    n, m = 24, 30
    p = theory.null_distribution(n, m)
    rng = np.random.default_rng(6)
    small = 0
    for counts in rng.choice(p.size, (400, 60), p=p):
        mean, k = float(theory.null_mean(n, m)), np.arange(p.size)
        moments = [float(p @ (k - mean) ** power) for power in (2, 3, 4)]
        index = counts.var(ddof=1) / counts.mean()
        small += statistics._dispersion_p(index, 60, mean, *moments) < 0.1
    assert 0.06 < small / 400 < 0.14


def test_dispersion_of_degenerate_counts() -> None:
    assert math.isnan(statistics.dispersion([0, 0, 0]).index.value)
    constant = statistics.dispersion([3, 3, 3, 3], 8, 8)
    assert constant.index.value == 0
    assert constant.poisson_p == 0
    assert 0 <= constant.null_p < 0.05
    assert math.isnan(statistics.dispersion([1, 0], 1, 5).null_p)  # the null model never varies


def test_power_law_without_errors_is_linregress() -> None:
    x = np.array([256, 512, 1024, 2048, 4096])
    y = np.array([70.0, 30, 16, 8.5, 3.6])
    fit = statistics.power_law(x, y)
    line = stats.linregress(np.log(x), np.log(y))
    half = stats.t.ppf(0.975, 3) * line.stderr
    assert fit.exponent == pytest.approx((line.slope, line.slope - half, line.slope + half))
    assert fit.prefactor.value == pytest.approx(math.exp(line.intercept))
    assert fit.r_squared == pytest.approx(line.rvalue**2)
    assert math.isnan(fit.p_value)
    assert fit(1000) == pytest.approx(math.exp(line.intercept + line.slope * math.log(1000)))


def test_power_law_with_errors_covers_and_its_fit_is_judged() -> None:
    rng = np.random.default_rng(7)
    x = np.array([64, 128, 256, 512, 1024.0])
    truth = 1000 / x
    error = 0.02 * truth
    fits = [statistics.power_law(x, rng.normal(truth, error), error) for _ in range(400)]
    covered = np.mean([fit.exponent.low < -1 < fit.exponent.high for fit in fits])
    assert 0.92 < covered < 0.98
    assert 0.02 < np.mean([fit.p_value < 0.05 for fit in fits]) < 0.09
    bent = statistics.power_law(x, truth * np.array([1, 0.8, 0.7, 0.8, 1]), error)
    assert bent.p_value < 1e-6
    assert bent.degrees_of_freedom == 3


def test_power_law_weights_precise_points_more() -> None:
    x, y = [1, 2, 4, 8], [8, 4, 2, 5]
    fit = statistics.power_law(x, y, [0.01, 0.01, 0.01, 50])
    assert fit.exponent.value == pytest.approx(-1, abs=1e-3)


def test_welch_is_scipys() -> None:
    rng = np.random.default_rng(8)
    a, b = rng.normal(5, 1, 40), rng.normal(4, 3, 90)
    found = statistics.compare(a, b)
    expected = stats.ttest_ind(a, b, equal_var=False)
    interval = expected.confidence_interval(0.95)
    assert found.difference == pytest.approx((a.mean() - b.mean(), interval.low, interval.high))
    assert found.p_value == pytest.approx(expected.pvalue)
    pooled = math.sqrt((39 * a.var(ddof=1) + 89 * b.var(ddof=1)) / 128)
    assert found.effect_size == pytest.approx((a.mean() - b.mean()) / pooled)
    assert found.test == "welch"


def test_pairs_take_out_what_they_share() -> None:
    rng = np.random.default_rng(9)
    shared = rng.normal(0, 10, 50)
    a, b = shared + rng.normal(0.5, 0.5, 50), shared + rng.normal(0, 0.5, 50)
    paired = statistics.compare(a, b, paired=True)
    assert paired.p_value == pytest.approx(stats.ttest_rel(a, b).pvalue)
    assert paired.p_value < 1e-3 < statistics.compare(a, b).p_value
    assert paired.effect_size == pytest.approx((a - b).mean() / (a - b).std(ddof=1))


def test_settings_that_do_not_vary_cannot_be_compared() -> None:
    found = statistics.compare([2, 2, 2], [2, 2, 2], paired=True)
    assert found.difference.value == 0
    assert math.isnan(found.p_value)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: statistics.mean([1, np.nan]), "mean: values must be finite numbers"),
        (lambda: statistics.mean([[1, 2]]), "mean: values must be a 1-d array"),
        (lambda: statistics.mean([1, 2], confidence=1.0), "confidence must be a finite number > 0"),
        (lambda: statistics.mean([1, 2], method="boot"), "did you mean 'bootstrap'"),
        (lambda: statistics.proportion(5, 4), "proportion: successes must be an integer >= 0"),
        (lambda: statistics.proportion(0, 0), "proportion: trials must be an integer >= 1"),
        (lambda: statistics.fit_proportion(5, 4), "fit_proportion: successes must be an integer"),
        (
            lambda: statistics.fit_proportion(1, 4, max_likelihood_factor=1),
            "fit_proportion: max_likelihood_factor must be a finite number > 1",
        ),
        (lambda: statistics.fit_poisson([]), "fit_poisson: counts must be one or more"),
        (lambda: statistics.fit_poisson([0.5]), "fit_poisson: counts must be one or more"),
        (lambda: statistics.dispersion([1]), "dispersion: counts must be two or more"),
        (lambda: statistics.dispersion([1, 0.5]), "dispersion: counts must be two or more"),
        (
            lambda: statistics.dispersion([1, 2], 4),
            "n_features and n_hidden must be given together",
        ),
        (lambda: statistics.power_law([1, 2], [1, 2]), "power_law: x must be three or more"),
        (lambda: statistics.power_law([1, 2, 3], [1, 0, 1]), "power_law: y must be positive"),
        (
            lambda: statistics.power_law([1, 2, 3], [1, 1, 1], [1, 1, 0]),
            "power_law: standard_error must be 3 positive numbers",
        ),
        (lambda: statistics.compare([1], [1, 2]), "first and second must hold two or more"),
        (lambda: statistics.compare([1, 2, 3], [1, 2], paired=True), "must be as long"),
    ],
)
def test_bad_input_is_named(call: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()  # type: ignore[operator]


def test_missing_values_are_refused() -> None:
    import pandas as pd

    with pytest.raises((TypeError, ValueError), match="leave diverged seeds out"):
        statistics.mean(pd.Series([1, None], dtype="Int64"))
