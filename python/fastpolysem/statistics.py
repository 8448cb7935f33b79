"""Intervals, tests and fits for counts, all by scipy: no mean is handed out without its interval.

Whatever takes ``values`` takes one number per seed; seeds are independent of each other. Values of
diverged seeds are to be left out first: missing values are refused rather than skipped.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special  # scipy.stats takes a second to import: only where it is needed

from fastpolysem import _checks, theory

__all__ = [
    "Comparison",
    "Dispersion",
    "Estimate",
    "Fit",
    "PowerLaw",
    "compare",
    "dispersion",
    "fit_poisson",
    "fit_proportion",
    "mean",
    "power_law",
    "proportion",
]


class Estimate(NamedTuple):
    """A number with its confidence interval."""

    value: float
    low: float
    high: float

    @property
    def half_width(self) -> float:
        """Half the length of the interval."""
        return (self.high - self.low) / 2

    def scaled(self, factor: float) -> Estimate:
        """The estimate of ``factor`` times the quantity, for a positive factor known exactly."""
        return Estimate(self.value * factor, self.low * factor, self.high * factor)


_UNKNOWN = Estimate(math.nan, math.nan, math.nan)


def mean(
    values: ArrayLike,
    *,
    confidence: float = 0.95,
    method: Literal["t", "bootstrap"] = "t",
) -> Estimate:
    """Mean of independent values with a confidence interval.

    Parameters
    ----------
    values
        Shape (S,), one number per seed.
    confidence
        Coverage of the interval, between 0 and 1.
    method
        "t": Student's interval. Where all values are one and the same whole number it would have no
        length, however few they are; then the exact interval for the mean of Poisson counts is
        given, which is on the safe side for counts that vary less than Poisson's. "bootstrap": 9999
        resamples from a fixed random stream; bias corrected and accelerated for 10 to 2000
        values, else plain percentiles.

    Returns
    -------
    Estimate
        All nan without values; interval nan with a single value that is not a count.
    """
    _checks.choice("mean: method", method, ("t", "bootstrap"))
    data = _values("mean: values", values)
    if method == "t" or data.size < 2 or not np.ptp(data):
        return mean_from_moments(
            data.size,
            float(data.mean()) if data.size else math.nan,
            float(data.var(ddof=1)) if data.size > 1 else math.nan,
            confidence=confidence,
        )
    return _bootstrap(data, np.mean, _confidence(confidence))


def mean_from_moments(
    count: int, mean: float, variance: float, *, confidence: float = 0.95
) -> Estimate:
    """What `mean` gives by Student's t, from number, mean and unbiased variance of the values."""
    level = _confidence(confidence)
    if count < 1:
        return _UNKNOWN
    if count > 1 and variance > 0:
        half = _t_quantile((1 + level) / 2, count - 1) * math.sqrt(variance / count)
        return Estimate(mean, mean - half, mean + half)
    if mean >= 0 and mean == math.floor(mean):
        total = mean * count
        low = float(special.gammaincinv(total, (1 - level) / 2)) if total else 0.0
        high = float(special.gammaincinv(total + 1, (1 + level) / 2))
        return Estimate(mean, low / count, high / count)
    return Estimate(mean, mean, mean) if count > 1 else Estimate(mean, math.nan, math.nan)


def proportion(
    successes: int,
    trials: int,
    *,
    confidence: float = 0.95,
    method: Literal["wilson", "exact"] = "wilson",
) -> Estimate:
    """Proportion of successes with Wilson's score interval or the exact one of Clopper and Pearson.

    Parameters
    ----------
    successes, trials
        Whole numbers, ``0 <= successes <= trials`` and ``trials >= 1``.
    confidence
        Coverage of the interval, between 0 and 1.
    method
        "wilson" (close to its coverage) or "exact" (never below it).

    Returns
    -------
    Estimate
    """
    _checks.choice("proportion: method", method, ("wilson", "exact"))
    n = _checks.integer("proportion: trials", trials, (">=", 1))
    k = _checks.integer("proportion: successes", successes, (">=", 0), ("<=", n))
    from scipy import stats

    interval = stats.binomtest(k, n).proportion_ci(_confidence(confidence), method=method)
    return Estimate(k / n, float(interval.low), float(interval.high))


class Fit(NamedTuple):
    """The hypotheses that explain data nearly as well as the best one does.

    A likelihood interval: no statement about repetitions, but one about these data.
    """

    low: float
    """The least of them."""
    best: float
    """The one of the largest likelihood."""
    high: float
    """The greatest of them."""


LIKELIHOOD_FACTOR = math.exp(special.chdtri(1, 0.05) / 2)
"""6.83: by Wilks' theorem the true hypothesis is that much less likely than the best one, or more,
for 5 % of large samples."""


def fit_proportion(
    successes: int, trials: int, *, max_likelihood_factor: float = LIKELIHOOD_FACTOR
) -> Fit:
    """Proportions of successes that make the data at most so many times less likely than the best.

    Parameters
    ----------
    successes, trials
        Whole numbers, ``0 <= successes <= trials`` and ``trials >= 1``.
    max_likelihood_factor
        > 1. The default makes about 95 % intervals (Wilks 1938); for small samples they cover less
        or more often, `proportion` does better. 1000 is usual for "anything else is implausible".

    Returns
    -------
    Fit
    """
    n = _checks.integer("fit_proportion: trials", trials, (">=", 1))
    k = _checks.integer("fit_proportion: successes", successes, (">=", 0), ("<=", n))
    drop = _drop("fit_proportion", max_likelihood_factor)

    def log_likelihood(p: float) -> float:
        return float(special.xlogy(k, p) + special.xlog1py(n - k, -p))

    return _fit(log_likelihood, k / n, 1.0, drop)


def fit_poisson(counts: ArrayLike, *, max_likelihood_factor: float = LIKELIHOOD_FACTOR) -> Fit:
    """Means of Poisson counts that make these at most so many times less likely than the best.

    Counts of polysemantic neurons vary less than Poisson's (`dispersion`), for which the interval
    is on the safe side. It has a length even if every count is 0.

    Parameters
    ----------
    counts
        Shape (S,), at least one whole number >= 0.
    max_likelihood_factor
        As in `fit_proportion`.

    Returns
    -------
    Fit
    """
    data = _values("fit_poisson: counts", counts)
    if not data.size or (data < 0).any() or (data != np.floor(data)).any():
        raise _checks.refused("fit_poisson: counts", "one or more whole numbers >= 0", counts)
    drop = _drop("fit_poisson", max_likelihood_factor)
    total, size = float(data.sum()), data.size

    def log_likelihood(mean: float) -> float:
        return float(special.xlogy(total, mean)) - size * mean

    # Beyond the best by x in size · mean, log L has fallen by x²/(2 (total + x)) at least.
    most = (total + drop + math.sqrt(drop**2 + 2 * drop * total)) / size
    return _fit(log_likelihood, total / size, most, drop)


def _drop(where: str, factor: float) -> float:
    return math.log(_checks.real(f"{where}: max_likelihood_factor", factor, (">", 1)))


def _fit(log_likelihood: Callable[[float], float], best: float, most: float, drop: float) -> Fit:
    """Where a log-likelihood of a single maximum on [0, most] lies ``drop`` below it."""
    from scipy import optimize

    least = log_likelihood(best) - drop

    def above(x: float) -> float:
        return max(log_likelihood(x), -1e300) - least  # not -inf, for brentq

    low, high = (
        float(optimize.brentq(above, best, end, xtol=1e-300, maxiter=2000))
        if above(end) < 0
        else end
        for end in (0.0, most)
    )
    return Fit(low, best, high)


@dataclass(frozen=True)
class Dispersion:
    """Variance over mean of counts, against what Poisson counts and the null model would show.

    Attributes
    ----------
    index
        Variance over mean with its bootstrap interval; nan if every count is 0.
    poisson_p
        Two-sided p-value of an index of 1, Poisson's.
    null_index
        Index of the null model (`theory.null_variance` over `theory.null_mean`), nan if no sizes
        were given.
    null_p
        Two-sided p-value of the null model's index, nan if no sizes were given.
    """

    index: Estimate
    poisson_p: float
    null_index: float
    null_p: float


def dispersion(
    counts: ArrayLike,
    n_features: int | None = None,
    n_hidden: int | None = None,
    *,
    confidence: float = 0.95,
) -> Dispersion:
    """Dispersion index (variance over mean) of counts, tested against Poisson and against the null
    model.

    Both tests compare ``d · index / index₀`` with the chi-square distribution of ``d`` degrees of
    freedom, ``d`` chosen so that the variance of the index is that of the reference (delta method,
    from its first four central moments). For Poisson this is the classical dispersion test: ``d = S
    - 1``.

    Parameters
    ----------
    counts
        Shape (S,), at least two counts.
    n_features, n_hidden
        Sizes of the null model; both or neither, ``n_features <= 2 n_hidden``.
    confidence
        Coverage of the interval of the index.

    Returns
    -------
    Dispersion
    """
    data = _values("dispersion: counts", counts)
    level = _confidence(confidence)
    if data.size < 2 or (data < 0).any() or (data != np.floor(data)).any():
        raise _checks.refused("dispersion: counts", "two or more whole numbers >= 0", counts)
    if (n_features is None) != (n_hidden is None):
        raise ValueError("dispersion: n_features and n_hidden must be given together or not at all")
    if not data.any():
        index = _UNKNOWN
    elif np.ptp(data):
        index = _bootstrap(data, _index, level)
    else:
        index = Estimate(0.0, math.nan, math.nan)
    size, average = data.size, float(data.mean())
    null_index = null_p = math.nan
    if n_features is not None and n_hidden is not None:
        probability = theory.null_distribution(n_features, n_hidden)
        k = np.arange(probability.size)
        center = float(probability @ k)
        moments = [float(probability @ (k - center) ** power) for power in (2, 3, 4)]
        if center > 0 and moments[0] > 0:
            null_index = moments[0] / center
            null_p = _dispersion_p(index.value, size, center, *moments)
    poisson_p = _dispersion_p(
        index.value, size, average, average, average, average + 3 * average**2
    )
    return Dispersion(index, poisson_p, null_index, null_p)


def _index(values: NDArray[np.float64], axis: int = -1) -> Any:
    # A resample without a single count has no index; 1 is where it tends to for rare counts.
    center = values.mean(axis=axis)
    variance = values.var(axis=axis, ddof=1)
    return np.divide(variance, center, out=np.ones_like(center), where=center > 0)


def _dispersion_p(
    index: float, size: int, mean: float, second: float, third: float, fourth: float
) -> float:
    """P-value of an index of ``size`` counts with this mean and these central moments."""
    if math.isnan(index):
        return math.nan
    expected = second / mean
    variance = (
        (fourth - second**2) / mean**2 - 2 * second * third / mean**3 + second**3 / mean**4
    ) / (size - 1)
    if variance <= 0:
        return math.nan
    freedom = 2 * expected**2 / variance
    at = freedom * index / expected
    return float(min(1.0, 2 * min(special.chdtr(freedom, at), special.chdtrc(freedom, at))))


@dataclass(frozen=True)
class PowerLaw:
    """A fit of ``y = prefactor · x^exponent``.

    Attributes
    ----------
    exponent, prefactor
        With their confidence intervals.
    chi_square, degrees_of_freedom, p_value
        Goodness of fit, for fits with standard errors (else nan): a small p-value says that the
        points do not follow a power law within their errors, and then the intervals mean little.
    r_squared
        Share of the (weighted) variance of log y that the fit explains.
    """

    exponent: Estimate
    prefactor: Estimate
    chi_square: float
    degrees_of_freedom: int
    p_value: float
    r_squared: float

    def __call__(self, x: ArrayLike) -> NDArray[np.float64]:
        """The fitted ``y`` at ``x``."""
        result: NDArray[np.float64] = (
            self.prefactor.value * np.asarray(x, float) ** self.exponent.value
        )
        return result


def power_law(
    x: ArrayLike,
    y: ArrayLike,
    standard_error: ArrayLike | None = None,
    *,
    confidence: float = 0.95,
) -> PowerLaw:
    """Least-squares line through ``log y`` against ``log x``.

    Parameters
    ----------
    x, y
        Shape (K,), positive, at least three points with two different ``x``.
    standard_error
        Shape (K,), standard errors of ``y`` (not half-widths of intervals). With them the points
        are weighted by ``(y / error)²``, the intervals follow from the errors and the fit is tested
        by chi-square. Without them the scatter about the line gives the intervals (Student's t) and
        the fit is not tested.
    confidence
        Coverage of the intervals.

    Returns
    -------
    PowerLaw
    """
    level = _confidence(confidence)
    at, values = _values("power_law: x", x), _values("power_law: y", y)
    if at.size != values.size or at.size < 3 or (at <= 0).any() or not np.ptp(at):
        raise _checks.refused("power_law: x", "three or more positive numbers, not all the same", x)
    if (values <= 0).any():
        raise _checks.refused("power_law: y", "positive numbers, for their logarithm is fitted", y)
    log_x, log_y = np.log(at), np.log(values)
    freedom = at.size - 2
    if standard_error is None:
        weight = np.ones(at.size)
    else:
        error = _values("power_law: standard_error", standard_error)
        if error.size != at.size or (error <= 0).any():
            raise _checks.refused(
                "power_law: standard_error", f"{at.size} positive numbers", standard_error
            )
        weight = values / error
    (slope, offset), covariance = np.polyfit(log_x, log_y, 1, w=weight, cov="unscaled")
    squares = float(np.sum((weight * (log_y - slope * log_x - offset)) ** 2))
    spread = weight * (log_y - np.average(log_y, weights=weight**2))
    total = float(np.sum(spread**2))
    if standard_error is None:
        covariance = covariance * (squares / freedom)
        quantile = _t_quantile((1 + level) / 2, freedom)
        chi_square, p_value = math.nan, math.nan
    else:
        quantile = float(special.ndtri((1 + level) / 2))
        chi_square, p_value = squares, float(special.chdtrc(freedom, squares))
    half = quantile * np.sqrt(np.diag(covariance))
    return PowerLaw(
        exponent=Estimate(float(slope), float(slope - half[0]), float(slope + half[0])),
        prefactor=Estimate(*(float(np.exp(offset + d)) for d in (0.0, -half[1], half[1]))),
        chi_square=chi_square,
        degrees_of_freedom=freedom,
        p_value=p_value,
        r_squared=1 - squares / total if total > 0 else math.nan,
    )


@dataclass(frozen=True)
class Comparison:
    """Difference of two settings.

    Attributes
    ----------
    difference
        Mean of the first minus mean of the second, with its interval.
    p_value
        Two-sided, of no difference.
    effect_size
        Cohen's d: the difference in units of the pooled standard deviation; for paired values in
        units of the standard deviation of the differences. nan if nothing varies.
    test
        "welch" or "paired".
    """

    difference: Estimate
    p_value: float
    effect_size: float
    test: str


def compare(
    first: ArrayLike, second: ArrayLike, *, paired: bool = False, confidence: float = 0.95
) -> Comparison:
    """Compare the means of two settings by Welch's t test, or seed by seed.

    Settings of one shape (n, m) start from the same weights at the same seed: pair them to take the
    variation between seeds out. The order of the seeds must be the same in both then.

    Parameters
    ----------
    first, second
        Shapes (S,) and (T,), at least two numbers each; ``S = T`` if paired.
    paired
        Whether values at the same place belong together.
    confidence
        Coverage of the interval of the difference.

    Returns
    -------
    Comparison
    """
    a, b = _values("compare: first", first), _values("compare: second", second)
    level = _confidence(confidence)
    if min(a.size, b.size) < 2:
        raise ValueError(
            f"compare: first and second must hold two or more values, got {a.size} and {b.size}"
        )
    if paired and a.size != b.size:
        raise ValueError(
            f"compare: first and second must be as long to be paired, got {a.size} and {b.size}"
        )
    from scipy import stats

    gap = float(a.mean() - b.mean())
    if paired:
        spread = float((a - b).std(ddof=1))
        result = stats.ttest_rel(a, b) if spread else None
    else:
        variances = (a.size - 1) * a.var(ddof=1) + (b.size - 1) * b.var(ddof=1)
        spread = math.sqrt(variances / (a.size + b.size - 2))
        result = stats.ttest_ind(a, b, equal_var=False) if spread else None
    test = "paired" if paired else "welch"
    if result is None:  # nothing varies: the test has nothing to go by
        return Comparison(Estimate(gap, math.nan, math.nan), math.nan, math.nan, test)
    interval = result.confidence_interval(level)
    return Comparison(
        Estimate(gap, float(interval.low), float(interval.high)),
        float(result.pvalue),
        gap / spread,
        test,
    )


def _bootstrap(data: NDArray[np.float64], statistic: Any, level: float) -> Estimate:
    from scipy import stats

    result = stats.bootstrap(
        (data,),
        statistic,
        confidence_level=level,
        # Acceleration cannot be had from a few values; for many it costs S² and changes nothing.
        method="BCa" if 10 <= data.size <= 2000 else "percentile",
        batch=max(1, 4_000_000 // data.size),
        rng=np.random.default_rng(0),
    )
    interval = result.confidence_interval
    return Estimate(float(statistic(data)), float(interval.low), float(interval.high))


def _t_quantile(level: float, freedom: float) -> float:
    return float(special.stdtrit(freedom, level))


def _confidence(confidence: float) -> float:
    return _checks.real("confidence", confidence, (">", 0), ("<", 1))


def _values(label: str, values: ArrayLike) -> NDArray[np.float64]:
    try:
        data = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise _checks.refused(
            label,
            "numbers, without missing ones (leave diverged seeds out)",
            values,
            kind=TypeError,
        ) from None
    if data.ndim != 1:
        raise _checks.refused(label, "a 1-d array", data)
    if not np.isfinite(data).all():
        raise _checks.refused(label, "finite numbers (leave diverged seeds out)", data)
    return data
