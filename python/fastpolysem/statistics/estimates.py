"""Means and proportions with confidence intervals."""

from __future__ import annotations

import math
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special  # scipy.stats takes a second to import: only where it is needed

from fastpolysem import _checks


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


UNKNOWN = Estimate(math.nan, math.nan, math.nan)

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
    data = checked_values("mean: values", values)
    level = checked_confidence(confidence)
    low, high = _bounds("mean: bounds", bounds)
    if data.size and not (low <= data.min() and data.max() <= high):
        raise _checks.refused("mean: values", f"numbers within bounds={bounds!r}", data)
    if bounds is None:
        low, high = least_value(data)
    if data.size < 2 or not np.ptp(data):
        return without_spread(data.size, float(data[0]) if data.size else 0.0, level, low, high)
    if method == "bootstrap":
        return _within(bootstrap(data, np.mean, level), low, high)
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
    level = checked_confidence(confidence)
    low, high = _bounds("mean_from_moments: bounds", bounds)
    if count < 2 or not variance > 0:
        return without_spread(count, mean, level, low, high)
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
    t = t_quantile((1 + level) / 2, freedom)
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


def without_spread(n: int, value: float, level: float, low: float, high: float) -> Estimate:
    """The interval of ``n`` values that are all the same."""
    if n < 1:
        return UNKNOWN
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

    interval = stats.binomtest(k, n).proportion_ci(checked_confidence(confidence), method=method)
    return Estimate(k / n, float(interval.low), float(interval.high))


def least_value(values: NDArray[np.float64]) -> tuple[float, float]:
    """The bounds of `mean` for values of which none are given: counts are not negative."""
    count = bool((values >= 0).all() and (values == np.floor(values)).all())
    return (0.0 if count else -math.inf), math.inf


def bootstrap(data: NDArray[np.float64], statistic: Any, level: float) -> Estimate:
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


def t_quantile(level: float, freedom: float) -> float:
    return float(special.stdtrit(freedom, level))


def checked_confidence(confidence: float) -> float:
    return _checks.real("confidence", confidence, (">", 0), ("<", 1))


def checked_values(label: str, values: ArrayLike) -> NDArray[np.float64]:
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
