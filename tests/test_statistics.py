"""Intervals, tests and fits, against known values, scipy and simulations.

One file: one test per estimate, most of them tables of known values.
"""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from fastpolysem import statistics, theory
from fastpolysem.statistics.dispersions import _dispersion_p

SCRIPT = Path(__file__).parents[1] / "docs" / "intervals.py"


@pytest.fixture(scope="module")
def intervals() -> Any:
    """The simulation behind the tables of coverage."""
    spec = importlib.util.spec_from_file_location("intervals", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_mean_by_t_known_value() -> None:
    # t quantile 2.776445 for 4 degrees of freedom, standard error sqrt(2.5 / 5).
    estimate = statistics.mean([1, 2, 3, 4, 5], method="t")
    assert estimate.value == 3
    assert estimate.half_width == pytest.approx(2.7764451052 * math.sqrt(0.5))
    assert estimate.low == pytest.approx(3 - estimate.half_width)


def test_mean_by_t_is_scipys() -> None:
    values = np.random.default_rng(1).poisson(3.2, 500)
    low, high = stats.t.interval(0.9, 499, values.mean(), stats.sem(values))
    estimate = statistics.mean(values, confidence=0.9, method="t")
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
    third = np.mean((values - values.mean()) ** 3)
    moments = 4, values.mean(), values.var(ddof=1), third
    of_moments = statistics.mean_from_moments(*moments, bounds=(0, None))
    assert of_moments == pytest.approx(statistics.mean(values))


# Intervals of rare, bounded and unevenly distributed counts.


@pytest.mark.parametrize(
    ("mean", "seeds"), [(0.007, 1000), (0.05, 128), (0.3, 64), (1.0, 8), (0.001, 10**5), (100, 8)]
)
@pytest.mark.parametrize("law", ["Poisson", "binomial, variance 0.6 of the mean or more"])
def test_intervals_of_counts_cover_as_often_as_they_say(
    intervals: Any, law: str, mean: float, seeds: int
) -> None:
    rng = np.random.default_rng(12)
    covered = intervals.coverage(intervals.LAWS[law], seeds, mean, 3000, rng)
    assert 0.94 - 0.012 < covered < 0.965 + 0.01  # three standard errors


@pytest.mark.parametrize(("mean", "seeds"), [(0.003, 1000), (0.05, 64), (0.001, 64), (0.01, 8)])
def test_intervals_of_hardly_any_event_are_on_the_safe_side(
    intervals: Any, mean: float, seeds: int
) -> None:
    rng = np.random.default_rng(13)
    assert intervals.coverage(intervals.LAWS["Poisson"], seeds, mean, 3000, rng) > 0.95


def test_overdispersed_counts_are_covered_once_there_are_clusters_enough(intervals: Any) -> None:
    law = intervals.LAWS["negative binomial, variance 3 times the mean"]
    rng = np.random.default_rng(14)
    assert 0.93 < intervals.coverage(law, 1000, 0.3, 3000, rng) < 0.97


@pytest.mark.parametrize("share", [0.03, 0.2, 0.5, 0.9])
def test_shares_of_zeros_and_ones_are_covered(intervals: Any, share: float) -> None:
    def law(mean: Any, k: Any) -> Any:
        return stats.binom.pmf(k, 1, np.minimum(mean, 0.99))

    rng = np.random.default_rng(15)
    covered = intervals.coverage(law, 256, share, 2000, rng, bounds=(0, 1))
    if share < 0.9:  # beyond, some means of the neighbourhood would be above 1
        assert 0.935 < covered < 0.965
    values = np.arange(64) < 64 * share
    found = statistics.mean(values, bounds=(0, 1))
    wilson = statistics.proportion(int(values.sum()), 64)
    assert (found.low, found.high) == pytest.approx((wilson.low, wilson.high))


@pytest.mark.slow
def test_the_tables_of_coverage_are_what_the_simulation_says(intervals: Any) -> None:
    assert intervals.main(["check"]) == 0


def test_the_tables_keep_their_promise(intervals: Any) -> None:
    """Poisson and less spread, from five expected events on: 94 to 96.5 %."""
    page = intervals.PAGE.read_text(encoding="utf-8")
    checked = 0
    for name in intervals.LAWS:
        if name.startswith("negative"):
            continue
        part = page.split(f"<!-- {name} -->")[1].split("<!-- end -->")[0]
        for row in part.strip().splitlines()[2:]:
            for cell in row.strip("| ").split(" | ")[1:]:
                if "(" not in cell:
                    checked += 1
                    assert 94 - 0.7 < float(cell) < 96.5 + 0.6  # two standard errors
    assert checked > 60


@pytest.mark.parametrize(
    ("values", "bounds"),
    [
        ([64] * 8, (0, 64)),
        ([64] * 63 + [63], (0, 64)),
        ([0] * 63 + [1], (0, 64)),
        ([1] * 15 + [0], (0, 1)),
        ([0.5] * 4, (0, 1)),
        ([0.1, 0.9, 0.95, 1.0, 0.99], (0, 1)),
        ([3, 0, 0, 0, 12], (0, None)),
        ([3, 0, 0, 0, 12], None),
    ],
)
@pytest.mark.parametrize("method", ["corrected", "t", "bootstrap"])
def test_intervals_stay_within_bounds(values: list[float], bounds: Any, method: Any) -> None:
    found = statistics.mean(values, bounds=bounds, method=method)
    low, high = bounds or (0, None)
    assert low <= found.low <= found.value <= found.high
    assert found.low < found.high
    assert high is None or found.high <= high


def test_counts_that_are_all_the_same_vary_less_than_poissons() -> None:
    found = statistics.mean([64] * 8, bounds=(0, 64))
    assert found == pytest.approx((64, 64 + math.log(0.025) / 8, 64))
    assert statistics.mean([64] * 8).high == pytest.approx(64 - math.log(0.025) / 8)
    few = statistics.mean([4, 4])  # what Poisson counts often are
    low, high = stats.chi2.ppf(0.025, 16) / 4, stats.chi2.ppf(0.975, 18) / 4
    assert (few.low, few.high) == pytest.approx((low, high))


def test_a_value_at_a_bound_of_a_share_has_an_interval_of_some_length() -> None:
    found = statistics.mean([0.25] * 10, bounds=(0, 1))
    share = 1 - 0.025 ** (1 / 10)
    assert found == pytest.approx((0.25, 0.25 - share * 0.25, 0.25 + share * 0.75))


def test_skewed_values_are_the_mirror_image_of_their_mirror_image() -> None:
    values = np.array([0.0, 0.1, 0.0, 0.9, 0.3, 0.0])
    found = statistics.mean(values, bounds=(0, 1))
    other = statistics.mean(1 - values, bounds=(0, 1))
    assert (1 - found.high, 1 - found.low) == pytest.approx((other.low, other.high))
    assert found.value - found.low < found.high - found.value


def test_an_interval_of_hardly_any_skewness_is_that_of_none() -> None:
    spread = np.linspace(-1, 1, 50)
    plain = statistics.mean(spread, method="t")
    assert statistics.mean(spread) == pytest.approx(plain)
    # Where the formula changes, the interval does not.
    ends = [
        statistics.mean_from_moments(1000, 0.0, 1.0, third, bounds=None)
        for third in (0.1022, 0.1026, 0.103)  # 1000 / slope² passes 10⁵
    ]
    steps = np.diff([one.low for one in ends])
    assert steps[0] == pytest.approx(steps[1], abs=2e-6)


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


def test_settings_without_spread_that_differ_are_told_apart() -> None:
    paired = statistics.compare([3] * 20, [2] * 20, paired=True)
    assert paired.difference.low < paired.difference.value == 1 < paired.difference.high
    assert paired.p_value == 2.0**-19  # of 20 differences with one sign
    assert math.isnan(paired.effect_size)
    welch = statistics.compare([3] * 5, [2] * 4)
    assert welch.p_value == pytest.approx(1 / math.comb(9, 4))
    assert welch.difference.low < 1 < welch.difference.high
    assert statistics.compare([3] * 5, [2] * 5).p_value == pytest.approx(2 / math.comb(10, 5))
    zeros = statistics.compare([0] * 50, [0] * 50)
    assert math.isnan(zeros.p_value)
    assert zeros.difference.high == pytest.approx(-math.log(0.025) / 50)


def test_pairs_are_matched_by_seed() -> None:
    rng = np.random.default_rng(16)
    shared = rng.normal(0, 10, 50)
    a, b = shared + rng.normal(0.5, 0.5, 50), shared + rng.normal(0, 0.5, 50)
    seeds = np.arange(50)
    one, other = seeds != 7, seeds != 31  # one diverged in each
    order = rng.permutation(49)
    found = statistics.compare(
        a[one], b[other][order], seeds=(seeds[one], seeds[other][order].astype(np.uint64))
    )
    both = one & other
    assert found == statistics.compare(a[both], b[both], paired=True)
    assert found.p_value < 1e-3 < statistics.compare(a[one], b[other], paired=True).p_value


def test_large_seeds_are_not_confused() -> None:
    seeds = np.array([2**64 - 3, 2**64 - 2, 2**64 - 1], dtype=np.uint64)
    found = statistics.compare([1, 2, 4], [4, 2, 1], seeds=(seeds, seeds[::-1]))
    assert found.difference.value == 0
    assert math.isnan(found.p_value)


def test_p_values_are_never_zero() -> None:
    tiny = np.finfo(float).tiny
    rng = np.random.default_rng(17)
    far = rng.normal(0, 1, 2000), rng.normal(100, 1, 2000)
    assert statistics.compare(*far).p_value == tiny
    assert statistics.compare(*far, paired=True).p_value == tiny
    assert statistics.compare([3] * 2000, [2] * 2000).p_value == tiny
    assert statistics.compare([3] * 2000, [2] * 2000, paired=True).p_value == tiny
    assert statistics.power_law([1, 2, 4], [1, 5, 1], [1e-3] * 3).p_value == tiny
    found = statistics.dispersion([5] * 3000 + [6] * 3000, 64, 128)
    assert found.poisson_p == found.null_p == tiny


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
        small += _dispersion_p(index, 60, mean, *moments) < 0.1
    assert 0.06 < small / 400 < 0.14


def test_dispersion_of_degenerate_counts() -> None:
    assert math.isnan(statistics.dispersion([0, 0, 0]).index.value)
    constant = statistics.dispersion([3, 3, 3, 3], 8, 8)
    assert constant.index.value == 0
    # Of the 12!/(3! 3! 3! 3!) equally likely ways to spread 12 over 4 places, given their sum.
    assert constant.poisson_p == pytest.approx(math.factorial(12) / 6**4 / 4**12)
    assert constant.null_p == pytest.approx((theory.null_distribution(8, 8) ** 4).sum())
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


@pytest.mark.parametrize("seeds", [4, 8, 32])
def test_power_law_with_errors_from_few_seeds_covers(seeds: int) -> None:
    rng = np.random.default_rng(18)
    x = np.array([64, 128, 256, 512, 1024.0])
    covered = exact = misfit = 0
    for counts in rng.poisson(3200 / x, (1200, seeds, 5)):
        error = counts.std(axis=0, ddof=1) / math.sqrt(seeds)
        y = counts.mean(axis=0)
        error = np.where(error > 0, error, np.sqrt(y / seeds))
        fit = statistics.power_law(x, y, error, seeds=seeds)
        covered += fit.exponent.low < -1 < fit.exponent.high
        misfit += fit.p_value < 0.05
        fit = statistics.power_law(x, y, error)
        exact += fit.exponent.low < -1 < fit.exponent.high
    assert 0.935 < covered / 1200 < 0.985
    assert 0.025 < misfit / 1200 < 0.07
    assert exact < covered


def test_power_law_with_errors_from_many_seeds_is_that_with_exact_ones() -> None:
    x, y, error = [1, 2, 4, 8], [8, 4.1, 2, 0.98], [0.1, 0.1, 0.05, 0.02]
    exact = statistics.power_law(x, y, error)
    many = statistics.power_law(x, y, error, seeds=[10**7] * 4)
    assert many.exponent == pytest.approx(exact.exponent, rel=1e-5)
    assert many.p_value == pytest.approx(exact.p_value, rel=1e-5)


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
        (lambda: statistics.mean([1, 2], bounds=(0, 1)), r"mean: values must be .*\(0, 1\)"),
        (lambda: statistics.mean([1, 2], bounds=(5, 1)), "mean: bounds must be a pair"),
        (lambda: statistics.mean([1, 2], bounds=(math.nan, 1)), "mean: bounds must be a pair"),
        (
            lambda: statistics.power_law([1, 2, 3], [1, 1, 1], [1, 1, 1], seeds=3),
            "power_law: seeds must be a number >= 4 or 3 of them",
        ),
        (
            lambda: statistics.power_law([1, 2, 3], [1, 1, 1], seeds=8),
            "power_law: seeds must be None without standard_error",
        ),
        (
            lambda: statistics.compare([1, 2], [1, 2], seeds=([0, 1], [0, 0])),
            "compare: seeds must be 2 different seeds for the values of second",
        ),
        (
            lambda: statistics.compare([1, 2], [1, 2], seeds=([0, 1], [2, 3])),
            "must hold two or more values of the same seeds",
        ),
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
        (lambda: statistics.dispersion_test([1]), "dispersion_test: counts must be two or more"),
        (lambda: statistics.power_law([1, 2], [1, 2]), "power_law: x must be three or more"),
        (
            lambda: statistics.power_law([1, 2, 3], [1, 2]),
            "power_law: y must have as many numbers as x, 3, got 2",
        ),
        (
            lambda: statistics.power_law([1, 2, 3], [1, 2, 3], [1e-300] * 3),
            "power_law: standard_error must be 1e-99 to 1e99 times y",
        ),
        (lambda: statistics.power_law([1, 2, 3], [1, 0, 1]), "power_law: y must be positive"),
        (
            lambda: statistics.power_law([1, 2, 3], [1, 1, 1], [1, 1, 0]),
            "power_law: standard_error must be 3 positive numbers",
        ),
        (
            lambda: statistics.compare([1, 2, math.nan], [1, 2]),
            r"compare: first must be finite numbers \(leave .* out\), got nan at index 2",
        ),
        (lambda: statistics.compare([1], [1, 2]), "first and second must hold two or more"),
        (lambda: statistics.compare([1, 2, 3], [1, 2], paired=True), "must have equal lengths"),
    ],
)
def test_bad_input_is_named(call: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()  # type: ignore[operator]


@pytest.mark.parametrize("size", [1e-300, 1e-85, 1e80, 1e300])
def test_comparisons_and_fits_of_numbers_of_any_size(size: float) -> None:
    one, other = np.array([1.0, 3.0, 2.5]), np.array([1.0, 2.0])
    usual, found = (statistics.compare(f * one, f * other) for f in (1, size))
    assert found.p_value == pytest.approx(usual.p_value)
    assert found.difference.value / size == pytest.approx(usual.difference.value)
    apart = statistics.compare(1e-170 * one, [1.0, 1.0])
    assert apart.difference.value == -1
    x, y = [1, 2, 3], [1, 2.1, 2.9]
    errors = [np.multiply(f, y) for f in (1, size ** (1 / 4))]
    fits = [statistics.power_law(x, y, error) for error in errors]
    assert fits[1].exponent.value == pytest.approx(fits[0].exponent.value)


def test_missing_values_are_refused() -> None:
    import pandas as pd

    with pytest.raises(
        (TypeError, ValueError), match="leave diverged seeds and missing values out"
    ):
        statistics.mean(pd.Series([1, None], dtype="Int64"))


@pytest.mark.parametrize(
    "values",
    [
        np.ma.array([1, 100, 3], mask=[0, 1, 0]),
        ["1", "2", "3"],
        [b"1", b"2"],
        np.array(["2020-01-01", "2020-01-03"], dtype="datetime64[D]"),
        [10**400, 1],
        [1 + 2j, 3],
        [[1, 2], [3]],
    ],
)
def test_what_is_no_number_is_not_averaged(values: Any) -> None:
    for call in (
        statistics.mean,
        statistics.dispersion_test,
        statistics.fit_poisson,
        lambda given: statistics.compare([1, 2, 3], given),
        lambda given: statistics.power_law(given, [1, 2, 3]),
    ):
        with pytest.raises(TypeError, match=r"(values|counts|second|x) (must be|cannot be read)"):
            call(values)


class Tensor:
    """What a tensor with a gradient has in common with PyTorch's."""

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("Can't call numpy() on Tensor that requires grad.")

    def detach(self) -> Tensor:
        return self

    def cpu(self) -> Tensor:
        return self

    def numpy(self) -> Any:
        return np.array([1.0, 2, 4])


def test_tensors_with_a_gradient_are_read() -> None:
    assert statistics.mean(Tensor()) == statistics.mean([1, 2, 4])  # type: ignore[arg-type]


@pytest.mark.parametrize("bounds", [("0", "3"), (None, float("nan")), (True, 3), 5])
def test_bounds_that_are_no_numbers_are_refused(bounds: Any) -> None:
    with pytest.raises((TypeError, ValueError), match="mean: bounds must be a pair"):
        statistics.mean([1, 2], bounds=bounds)


@pytest.mark.parametrize("power", [-300, -200, 200, 305])
@pytest.mark.parametrize("method", ["corrected", "t", "bootstrap"])
def test_values_of_any_size_have_intervals(power: int, method: Any) -> None:
    """The moments of these values leave the range of floating-point numbers."""
    values, size = np.array([0.5, 1.5, 2.5, 4.5]), 10.0**power
    wide = {"bounds": (0, 8 * size), "method": method}
    found = statistics.mean(values * size, **wide)
    usual = statistics.mean(values, bounds=(0, 8), method=method)
    assert np.array(found) / size == pytest.approx(np.array(usual), rel=1e-9)
    for paired in (False, True):
        usual = statistics.compare(values, [1, 2, 2, 3], paired=paired)
        found = statistics.compare(values * size, np.array([1, 2, 2, 3]) * size, paired=paired)
        assert found.p_value == pytest.approx(usual.p_value)
        assert found.difference.low / size == pytest.approx(usual.difference.low)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("paired", [False, True])
def test_comparisons_are_scipys(paired: bool) -> None:
    rng = np.random.default_rng(20)
    for size in (2, 3, 30):
        a, b = rng.normal(3, 1, size), rng.normal(2, 5, size)
        found = statistics.compare(a, b, paired=paired, confidence=0.9)
        test = stats.ttest_rel(a, b) if paired else stats.ttest_ind(a, b, equal_var=False)
        assert found.p_value == pytest.approx(test.pvalue)
        low, high = test.confidence_interval(0.9)
        assert (found.difference.low, found.difference.high) == pytest.approx((low, high))


@pytest.mark.filterwarnings("error")
def test_a_group_without_variation_is_compared_without_a_warning() -> None:
    found = statistics.compare([1, 1, 1], [2, 3, 5])
    assert found.p_value == pytest.approx(stats.ttest_1samp([2, 3, 5], 1).pvalue)


def test_rounding_is_no_variation() -> None:
    found = statistics.compare([0.1, 0.2, 0.3], [0.2, 0.3, 0.4], paired=True)
    assert found.p_value == statistics.compare([1, 2, 3], [2, 3, 4], paired=True).p_value == 0.25
    assert math.isnan(found.effect_size)
    for paired in (False, True):
        same = statistics.compare([0.1 + 0.2, 0.3, 0.3], [0.3, 0.3, 0.1 + 0.2], paired=paired)
        assert same.difference.value == 0
        assert math.isnan(same.p_value)
        other = statistics.compare([0.1 + 0.2, 0.3, 0.3], [0.5] * 3, paired=paired)
        assert other.p_value == pytest.approx(0.25 if paired else 0.1)
    usual = statistics.mean([0.3] * 3, bounds=(0, 1))
    assert statistics.mean([0.1 + 0.2, 0.3, 0.3], bounds=(0, 1)) == pytest.approx(usual)
    with pytest.raises(ValueError, match="not all the same"):
        statistics.power_law([0.1 + 0.2, 0.3, 0.3], [1, 2, 3])
    # What is small but no rounding, in a group far smaller than the other, is variation.
    assert not math.isnan(statistics.compare([1e-12, 2e-12], [1e6, 1e6]).effect_size)


def test_seeds_are_compared_exactly() -> None:
    signed = np.array([2**60 + 1, 2**60 + 201, 2**60 + 400])
    other = np.array([2**60, 2**60 + 200, 2**60 + 401], dtype=np.uint64)
    with pytest.raises(ValueError, match="of the same seeds, got 0 and 0"):
        statistics.compare([1, 2, 3], [2, 3, 4], seeds=(other, signed))
    seeds = [2**63 + 1, 2**63 + 2, 2], [2**63, 2**63 + 2, 2]  # both are floats for NumPy
    found = statistics.compare([1, 2, 4], [7, 3, 4], seeds=seeds)
    assert found == statistics.compare([4, 2], [4, 3], paired=True)


@pytest.mark.parametrize(
    "seeds",
    [
        ([0, 1, math.nan], [0, 1, 2]),
        (["0", "1", "2"], [0, 1, 2]),
        ([True, False, 2], [0, 1, 2]),
        ([0, 1, 2], [0.0, 1.0, 2.0]),
        ([0, 1, -2], [0, 1, 2]),
        ([0, 1, 2],),
        "ab",
        3,
    ],
)
def test_what_is_no_seed_is_refused(seeds: Any) -> None:
    with pytest.raises((TypeError, ValueError), match=r"compare: seeds.* must be"):
        statistics.compare([1, 2, 3], [2, 3, 5], seeds=seeds)


def test_counts_that_are_not_exact_are_refused() -> None:
    for call in (statistics.dispersion_test, statistics.fit_poisson):
        with pytest.raises(ValueError, match=r"or more whole numbers >= 0 and <= 2\*\*53"):
            call([1e300, 2e300])
    for share in (statistics.proportion, statistics.fit_proportion):
        with pytest.raises(ValueError, match="trials must be an integer >= 1 and <="):
            share(1, 10**400)


def test_dispersion_against_any_null_model() -> None:
    counts = [0, 1, 2, 2, 3, 1, 0, 2]
    null = theory.null_distribution(8, 16)
    assert statistics.dispersion_test(counts, null) == statistics.dispersion(counts, 8, 16)
    coin = statistics.dispersion_test([0, 1, 1, 0, 1, 0, 0, 1] * 50, [0.5, 0.5])
    assert coin.null_index == 0.5
    assert coin.null_p > 0.05 > coin.poisson_p
    for wrong in ([0.5, 0.4], [1.5, -0.5]):
        with pytest.raises(ValueError, match="probabilities must be numbers >= 0 with sum 1"):
            statistics.dispersion_test(counts, wrong)
