"""Intervals, tests and fits for counts: no mean is handed out without its interval.

Whatever takes ``values`` takes one number per seed; seeds are independent of each other. Values of
diverged seeds are to be left out first: missing values are refused rather than skipped.

A p-value is never 0: one too small for a floating-point number is given as the smallest of them,
2.2e-308, an upper bound.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special  # scipy.stats takes a second to import: only where it is needed

from fastpolysem import _checks

if TYPE_CHECKING:
    from fastpolysem.families.autoencoder.dispersion import dispersion

__all__ = [
    "Comparison",
    "Dispersion",
    "Estimate",
    "Fit",
    "PowerLaw",
    "compare",
    "dispersion",
    "dispersion_test",
    "fit_poisson",
    "fit_proportion",
    "mean",
    "power_law",
    "proportion",
]


def __getattr__(name: str) -> Any:
    # A family's law stands on what is here, so it is only named here, not imported.
    if name != "dispersion":
        raise AttributeError(f"module {__name__!r} has no {name!r}{_checks.nearest(name, __all__)}")
    from fastpolysem.families.autoencoder.dispersion import dispersion

    globals()[name] = dispersion
    return dispersion


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

Bounds = tuple[float | None, float | None]
"""What a value can lie between; None where it is not bounded."""

SKEWNESS_PRIOR = 24
"""Seeds at which a sample's own skewness weighs as much as the one that its bounds suggest.

Its error, √(6/S), is 0.5 there: as much as counts of mean 4 are skewed.
"""


def mean(
    values: ArrayLike,
    *,
    confidence: float = 0.95,
    method: Literal["corrected", "t", "bootstrap"] = "corrected",
    bounds: Bounds | None = None,
) -> Estimate:
    """Mean of independent values with a confidence interval.

    The default corrects Student's interval for skewness. The sum of ``S`` values is taken for a
    shifted and scaled Poisson count with the same first three cumulants, ``a + b N`` with ``b = κ₃
    / κ₂`` and ``E N = λ = S κ₂ / b²``, and N has the interval of Jeffreys, between quantiles of the
    gamma distribution of shape ``λ + 1/2``. For Poisson counts ``b = 1`` and ``a = 0``; for large
    ``λ`` it is Johnson's corrected t interval (J. Am. Stat. Assoc. 73, 536, 1978), and without
    skewness Student's. Since few values tell little about their skewness, ``b`` is the mean of
    the sample's (weight ``S``) and of the one of a variance that vanishes at the bounds (weight
    24): ``κ₂ / (mean - low) - κ₂ / (high - mean)``, which is 1 for Poisson counts.

    Parameters
    ----------
    values
        Shape (S,), one number per seed.
    confidence
        Coverage of the interval, between 0 and 1.
    method
        "corrected", as above; "t": Student's interval; "bootstrap": 9999 resamples from a fixed
        random stream, bias corrected and accelerated for 10 to 2000 values, else plain percentiles.
    bounds
        Lowest and highest possible value, None for neither. The interval stays between them.
        Whole numbers >= 0 are taken for counts, with ``(0, None)``, unless bounds are given.

    Returns
    -------
    Estimate
        All nan without values; interval nan with a single value that is not a count. Where no
        method can tell a spread because all values are the same whole number, the interval is
        what so many seeds may have missed: deviations by 1 in up to ``-log(0.025) / S`` of them
        (for 95 %; exact for Poisson counts that are all 0). Fewer than eight equal counts above 0
        may vary as Poisson's do, whose exact interval they get. Real values that are all the same
        have an interval of no length, or with two bounds one of a share ``1 - 0.025^(1/S)`` of
        values at either bound.

    Notes
    -----
    The documentation's page on intervals tabulates the coverage by simulation. With fewer than
    about five expected events in all seeds together it is higher than ``confidence``. Overdispersed
    counts with few clusters of events are covered less often: so few do not tell their sizes.
    """
    _checks.choice("mean: method", method, ("corrected", "t", "bootstrap"))
    data = _values("mean: values", values)
    level = _confidence(confidence)
    low, high = _bounds("mean: bounds", bounds)
    if data.size and not (low <= data.min() and data.max() <= high):
        raise _checks.refused("mean: values", f"numbers within bounds={bounds!r}", data)
    if bounds is None:
        low, high = _least(data)
    if data.size < 2 or not np.ptp(data):
        return _without_spread(data.size, float(data[0]) if data.size else 0.0, level, low, high)
    if method == "bootstrap":
        return _within(_bootstrap(data, np.mean, level), low, high)
    center = float(data.mean())
    variance = float(data.var(ddof=1))
    if method == "t":
        return _within(_shifted(data.size, center, variance, 0.0, data.size - 1, level), low, high)
    third = float(np.mean((data - center) ** 3))
    return _corrected(data.size, center, variance, third, level, low, high)


def mean_from_moments(
    count: int,
    mean: float,
    variance: float,
    third: float | None = None,
    *,
    confidence: float = 0.95,
    bounds: Bounds | None = None,
) -> Estimate:
    """What `mean` gives by default, from moments of the values.

    Parameters
    ----------
    count
        Number of values.
    mean, variance
        Their mean and unbiased variance.
    third
        Mean cube of the distances from the mean. None: the skewness is the one that the bounds
        suggest, which is only approximately what `mean` gives.
    confidence, bounds
        As in `mean`, but nothing is taken for counts unless the bounds say so.
    """
    level = _confidence(confidence)
    low, high = _bounds("mean_from_moments: bounds", bounds)
    if count < 2 or not variance > 0:
        return _without_spread(count, mean, level, low, high)
    return _corrected(count, mean, variance, third, level, low, high)


def _corrected(
    n: int, mean: float, variance: float, third: float | None, level: float, low: float, high: float
) -> Estimate:
    most = (mean - low) * (high - mean)  # of n values of this mean, their biased variance
    free = 1 - variance * (n - 1) / n / most if most < math.inf else 1.0
    if free < 1e-9:  # all at one bound or the other: a binomial count
        return _wilson(n, mean, level, low, high)
    suggested = variance / (mean - low) - variance / (high - mean)
    weight = 0.0 if third is None or n < 3 else n / (n + SKEWNESS_PRIOR)
    slope = (1 - weight) * suggested
    if weight and third is not None:
        slope += weight * third * n**2 / ((n - 1) * (n - 2)) / variance  # unbiased third cumulant
    # The closer the variance is to what the bounds allow, the less of it is unknown.
    return _within(_shifted(n, mean, variance, slope, (n - 1) / free, level), low, high)


def _shifted(
    n: int, mean: float, variance: float, slope: float, freedom: float, level: float
) -> Estimate:
    """The interval of a shifted and scaled Poisson count, ``slope`` being ``κ₃ / κ₂``."""
    t = _t_quantile((1 + level) / 2, freedom)
    expected = n * variance / slope**2 if slope else math.inf
    if expected > 1e5:  # the same to a share 1e-5 of the half-width, and without cancellation
        center = mean + slope * (2 * t**2 + 1) / (6 * n)
        half = t * math.sqrt(variance / n)
        return Estimate(mean, min(mean, center - half), max(mean, center + half))
    tail = float(special.ndtr(-t))
    least = float(special.gammaincinv(expected + 0.5, tail))
    if expected < 10:  # as Brown, Cai & DasGupta (Statist. Sci. 16, 101, 2001) do for one event
        least = min(least, float(special.gammaincinv(expected, 2 * tail)))
    most = float(special.gammainccinv(expected + 0.5, tail))
    distances = min(0.0, least - expected), max(0.0, most - expected)
    ends = sorted(mean + distance * slope / n for distance in distances)
    return Estimate(mean, *ends)


def _wilson(n: int, mean: float, level: float, low: float, high: float) -> Estimate:
    z2 = float(special.ndtri((1 + level) / 2)) ** 2
    share = (mean - low) / (high - low)
    center = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = math.sqrt(z2 * (share * (1 - share) / n + z2 / (4 * n**2))) / (1 + z2 / n)
    return Estimate(mean, *(low + (high - low) * (center + d) for d in (-half, half)))


def _without_spread(n: int, value: float, level: float, low: float, high: float) -> Estimate:
    """The interval of ``n`` values that are all the same."""
    if n < 1:
        return _UNKNOWN
    tail = (1 - level) / 2
    if value == math.floor(value) and (n > 1 or low == 0):
        missed = -math.log(tail) / n
        ends = (value - missed, value + missed)
        if low == 0 < value and value != high and n < 8:
            total = n * value
            ends = (
                float(special.gammaincinv(total, tail)) / n,
                float(special.gammainccinv(total + 1, tail)) / n,
            )
        return _within(Estimate(value, *ends), low, high)
    if n == 1:
        return Estimate(value, math.nan, math.nan)
    if high - low < math.inf:
        share = -math.expm1(math.log(tail) / n)
        return Estimate(value, value - share * (value - low), value + share * (high - value))
    return Estimate(value, value, value)


def _within(estimate: Estimate, low: float, high: float) -> Estimate:
    return Estimate(estimate.value, max(low, estimate.low), min(high, estimate.high))


def _bounds(label: str, bounds: Bounds | None) -> tuple[float, float]:
    allowed = "a pair (low, high), each a number or None, low < high"
    if bounds is None:
        return -math.inf, math.inf
    try:
        low, high = bounds
        pair = (-math.inf if low is None else float(low), math.inf if high is None else float(high))
    except (TypeError, ValueError):
        raise _checks.refused(label, allowed, bounds, kind=TypeError) from None
    if not pair[0] < pair[1]:
        raise _checks.refused(label, allowed, bounds)
    return pair


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
        Two-sided p-value of an index of 1, Poisson's. If all counts are the same, the chance that
        Poisson's are.
    null_index
        Index of the null model, nan without one.
    null_p
        The same for the null model's index, nan without one.
    """

    index: Estimate
    poisson_p: float
    null_index: float
    null_p: float


def dispersion_test(
    counts: ArrayLike, probabilities: ArrayLike | None = None, *, confidence: float = 0.95
) -> Dispersion:
    """Dispersion index (variance over mean) of counts, tested against Poisson and against a null
    model.

    Both tests compare ``d · index / index₀`` with the chi-square distribution of ``d`` degrees of
    freedom, ``d`` chosen so that the variance of the index is that of the reference (delta method,
    from its first four central moments). For Poisson this is the classical dispersion test: ``d = S
    - 1``.

    Parameters
    ----------
    counts
        Shape (S,), at least two counts.
    probabilities
        Shape (K,): those of the counts 0 to K - 1 under the null model, with sum 1; None for no
        null model.
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
    null = None if probabilities is None else _probabilities(probabilities)
    if not data.any():
        index = _UNKNOWN
    elif np.ptp(data):
        index = _bootstrap(data, _index, level)
    else:
        index = Estimate(0.0, math.nan, math.nan)
    size, average = data.size, float(data.mean())
    null_index = null_p = math.nan
    if null is not None:
        k = np.arange(null.size)
        center = float(null @ k)
        moments = [float(null @ (k - center) ** power) for power in (2, 3, 4)]
        if center > 0 and moments[0] > 0:
            null_index = moments[0] / center
            null_p = _dispersion_p(index.value, size, center, *moments)
            if index.value == 0:
                null_p = _possible(float(np.sum(null**size)))
    poisson_p = _dispersion_p(
        index.value, size, average, average, average, average + 3 * average**2
    )
    if index.value == 0:  # given their sum, Poisson counts are multinomial
        total = size * average
        logarithm = special.gammaln(total + 1) - size * special.gammaln(average + 1)
        poisson_p = _possible(math.exp(logarithm - total * math.log(size)))
    return Dispersion(index, poisson_p, null_index, null_p)


def _probabilities(given: ArrayLike) -> NDArray[np.float64]:
    """Probabilities of 0, 1, ..."""
    label = "dispersion_test: probabilities"
    values: NDArray[np.float64] = _checks.array(label, given, np.float64, (1,))
    if (values < 0).any() or abs(values.sum() - 1) > 1e-6:
        raise _checks.refused(label, "numbers >= 0 of sum 1", given)
    return values


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
    return _possible(2 * min(special.chdtr(freedom, at), special.chdtrc(freedom, at)))


def _possible(p: float) -> float:
    """A p-value within (0, 1], also if it was too small for a floating-point number."""
    return float(min(1.0, max(p, np.finfo(np.float64).tiny)))


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
    seeds: ArrayLike | None = None,
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
    seeds
        Number of seeds that each standard error was estimated from, at least 4: a number or shape
        (K,). None: the errors are exact. Errors from few seeds make some points look more precise
        than they are. The intervals then follow Meier (Biometrics 9, 59, 1953) and Student's t with
        Satterthwaite's degrees of freedom, and the test of the fit Welch (Biometrika 38, 330,
        1951).
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
    freedoms = None
    if seeds is not None:
        if standard_error is None:
            raise ValueError("power_law: seeds must be None without standard_error")
        freedoms = _freedoms(seeds, at.size)
    (slope, offset), covariance = np.polyfit(log_x, log_y, 1, w=weight, cov="unscaled")
    squares = float(np.sum((weight * (log_y - slope * log_x - offset)) ** 2))
    if freedoms is not None:
        weight = weight * np.sqrt((freedoms - 2) / freedoms)  # 1/s² is that much too large
        (slope, offset), covariance = np.polyfit(log_x, log_y, 1, w=weight, cov="unscaled")
    residual = float(np.sum((weight * (log_y - slope * log_x - offset)) ** 2))
    spread = weight * (log_y - np.average(log_y, weights=weight**2))
    total = float(np.sum(spread**2))
    quantile: float | NDArray[np.float64] = float(special.ndtri((1 + level) / 2))
    chi_square = squares
    if standard_error is None:
        covariance = covariance * (squares / freedom)
        quantile = _t_quantile((1 + level) / 2, freedom)
        chi_square, p_value = math.nan, math.nan
    elif freedoms is None:
        p_value = _possible(float(special.chdtrc(freedom, squares)))
    else:
        covariance, quantile, p_value = _with_estimated_errors(
            log_x, weight, freedoms, covariance, squares, level
        )
    half = quantile * np.sqrt(np.diag(covariance))
    return PowerLaw(
        exponent=Estimate(float(slope), float(slope - half[0]), float(slope + half[0])),
        prefactor=Estimate(*(float(np.exp(offset + d)) for d in (0.0, -half[1], half[1]))),
        chi_square=chi_square,
        degrees_of_freedom=freedom,
        p_value=p_value,
        r_squared=1 - residual / total if total > 0 else math.nan,
    )


def _freedoms(seeds: ArrayLike, size: int) -> NDArray[np.float64]:
    number = np.asarray(seeds)
    if (
        number.dtype.kind not in "iuf"
        or number.shape not in ((), (size,))
        or not (number >= 4).all()
        or not np.isfinite(number).all()
    ):
        raise _checks.refused("power_law: seeds", f"a number >= 4 or {size} of them", seeds)
    return np.broadcast_to(number - 1.0, (size,))


def _with_estimated_errors(
    x: NDArray[np.float64],
    weight: NDArray[np.float64],
    freedoms: NDArray[np.float64],
    covariance: NDArray[np.float64],
    squares: float,
    level: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Covariance and quantiles of slope and offset, and p-value of the fit, with errors that have
    these degrees of freedom."""
    design = np.stack([x, np.ones_like(x)], axis=1)
    shares = (covariance @ design.T) * weight**2  # (2, K): estimates are linear in the points
    leverage = np.sum(design * shares.T, axis=1)
    variances = shares**2 * (freedoms - 2) / freedoms / weight**2  # from each point
    variance = variances.sum(axis=1)
    quantile = special.stdtrit(
        variance**2 / np.sum(variances**2 / freedoms, axis=1), (1 + level) / 2
    )
    part = shares**2 / weight**2 / np.diag(covariance)[:, np.newaxis]
    known = np.maximum(freedoms - 4, 1)  # less than Meier's, for few seeds
    variance = variance * (1 + 4 * np.sum(part * (1 - leverage) / known, axis=1))
    free = x.size - 2
    unknown = float(np.sum((1 - leverage) ** 2 / freedoms))
    ratio = squares / free / (1 + 2 * (free - 1) / (free * (free + 2)) * unknown)
    p_value = float(special.fdtrc(free, free * (free + 2) / (3 * unknown), ratio))
    return np.diag(variance), quantile, _possible(p_value)


@dataclass(frozen=True)
class Comparison:
    """Difference of two settings.

    Attributes
    ----------
    difference
        Mean of the first minus mean of the second, with its interval.
    p_value
        Two-sided, of no difference. Where nothing varies it is that of a permutation test; nan if
        nothing differs either.
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
    first: ArrayLike,
    second: ArrayLike,
    *,
    paired: bool = False,
    seeds: tuple[ArrayLike, ArrayLike] | None = None,
    confidence: float = 0.95,
) -> Comparison:
    """Compare the means of two settings by Welch's t test, or seed by seed.

    Settings of one shape (n, m) start from the same weights at the same seed: pair them to take the
    variation between seeds out.

    Parameters
    ----------
    first, second
        Shapes (S,) and (T,), at least two numbers each; ``S = T`` if paired by place.
    paired
        Whether values at the same place belong together. Diverged seeds that were left out of
        either move the others: give ``seeds`` then.
    seeds
        The seeds of both, shapes (S,) and (T,), none twice. Values of the same seed are paired,
        whatever their order; seeds that only one of the two has are left out.
    confidence
        Coverage of the interval of the difference.

    Returns
    -------
    Comparison
        If neither (or, paired, no difference) varies, the interval is made of those that `mean`
        gives for values without any spread.
    """
    a, b = _values("compare: first", first), _values("compare: second", second)
    level = _confidence(confidence)
    if seeds is not None:
        a, b = _matched(a, b, seeds)
        paired = True
    if min(a.size, b.size) < 2:
        held = "two or more values" + (" of the same seeds" if seeds is not None else "")
        raise ValueError(f"compare: first and second must hold {held}, got {a.size} and {b.size}")
    if paired and a.size != b.size:
        raise ValueError(
            f"compare: first and second must be as long to be paired, got {a.size} and {b.size}"
        )
    test = "paired" if paired else "welch"
    gap = float(a.mean() - b.mean())
    if not np.ptp(a - b if paired else np.concatenate((a - a[0], b - b[0]))):
        return _without_variation(a, b, paired, level)
    from scipy import stats

    if paired:
        spread = float((a - b).std(ddof=1))
        result = stats.ttest_rel(a, b)
    else:
        variances = (a.size - 1) * a.var(ddof=1) + (b.size - 1) * b.var(ddof=1)
        spread = math.sqrt(variances / (a.size + b.size - 2))
        result = stats.ttest_ind(a, b, equal_var=False)
    interval = result.confidence_interval(level)
    return Comparison(
        Estimate(gap, float(interval.low), float(interval.high)),
        _possible(float(result.pvalue)),
        gap / spread,
        test,
    )


def _matched(
    a: NDArray[np.float64], b: NDArray[np.float64], seeds: tuple[ArrayLike, ArrayLike]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The values of seeds that both have, by ascending seed."""
    try:
        one, other = (np.asarray(each) for each in seeds)
    except (TypeError, ValueError):
        raise _checks.refused(
            "compare: seeds", "a pair of 1-d arrays of whole numbers", seeds, kind=TypeError
        ) from None
    for own, values, name in ((one, a, "first"), (other, b, "second")):
        if own.shape != values.shape or len(np.unique(own)) != own.size:
            allowed = f"{values.size} different seeds for the values of {name}"
            raise _checks.refused("compare: seeds", allowed, own)
    _, at, there = np.intersect1d(one, other, assume_unique=True, return_indices=True)
    return a[at], b[there]


def _without_variation(
    a: NDArray[np.float64], b: NDArray[np.float64], paired: bool, level: float
) -> Comparison:
    """Compare values of which the two settings, or all pairs, have one and the same each."""
    if paired:
        difference = _without_spread(a.size, float(a[0] - b[0]), level, -math.inf, math.inf)
        chance = 2.0 ** (1 - a.size)  # of all differences having one sign
    else:
        one, other = (_without_spread(c.size, float(c[0]), level, *_least(c)) for c in (a, b))
        gap = one.value - other.value
        # Zou & Donner (Statist. Med. 27, 1693, 2008): a difference from two intervals.
        down = math.hypot(one.value - one.low, other.high - other.value)
        up = math.hypot(one.high - one.value, other.value - other.low)
        difference = Estimate(gap, gap - down, gap + up)
        total = a.size + b.size
        # All ways to sort the values into two such samples; of one size, two are as extreme.
        ways = special.gammaln(total + 1) - special.gammaln([a.size + 1, b.size + 1]).sum()
        chance = math.exp(-ways) * (2 if a.size == b.size else 1)
    p_value = _possible(chance) if difference.value else math.nan
    return Comparison(difference, p_value, math.nan, "paired" if paired else "welch")


def _least(values: NDArray[np.float64]) -> tuple[float, float]:
    """The bounds of `mean` for values of which none are given: counts are not negative."""
    count = bool((values >= 0).all() and (values == np.floor(values)).all())
    return (0.0 if count else -math.inf), math.inf


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
