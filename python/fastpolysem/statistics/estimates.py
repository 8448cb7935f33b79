"""Means and proportions with confidence intervals."""

from __future__ import annotations

import math
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special  # scipy.stats takes a second to import

from fastpolysem import _checks
from fastpolysem.statistics import wording


class Estimate(NamedTuple):
    """A number with its confidence interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        value, low, high = self.rounded
        if math.isnan(self.value):
            return "no value"
        if math.isnan(self.low) and math.isnan(self.high):
            return f"{value}, interval unknown"
        return f"{value}, interval {low} to {high}"

    def __repr__(self) -> str:
        return f"<Estimate: {self}>"

    def _repr_html_(self) -> str:
        """A table, for notebooks."""
        value, low, high = self.rounded
        return wording.table([{"value": value, "interval": f"{low} … {high}"}])

    @property
    def rounded(self) -> tuple[str, str, str]:
        """Value and ends as text, with as many digits as the interval justifies."""
        value, low, high = wording.rounded(*self, error=self.half_width)
        return value, low, high

    @property
    def half_width(self) -> float:
        """Half the length of the interval."""
        return (self.high - self.low) / 2

    def scaled(self, factor: float) -> Estimate:
        """The estimate multiplied by an exact positive factor."""
        return Estimate(self.value * factor, self.low * factor, self.high * factor)


UNKNOWN = Estimate(math.nan, math.nan, math.nan)

Bounds = tuple[float | None, float | None]
"""Lower and upper bound of a value; None for no bound."""

SKEWNESS_PRIOR = 24
"""Number of seeds at which a sample's own skewness has the same weight as the prior one.

Its standard error √(6/S) is then 0.5, equal to the skewness of Poisson counts with mean 4.
"""


def mean(
    values: ArrayLike,
    *,
    confidence: float = 0.95,
    method: Literal["corrected", "t", "bootstrap"] = "corrected",
    bounds: Bounds | None = None,
) -> Estimate:
    """Mean of independent values with a confidence interval.

    The default corrects Student's interval for skewness. The sum of ``S`` values is modelled as a
    shifted and scaled Poisson count with the same first three cumulants, ``a + b N`` with
    ``b = κ₃ / κ₂`` and ``E N = λ = S κ₂ / b²``. N has the Jeffreys interval, between quantiles of
    the gamma distribution of shape ``λ + 1/2``. For Poisson counts ``b = 1`` and ``a = 0``; for
    large ``λ`` the result is Johnson's corrected t interval (J. Am. Stat. Assoc. 73, 536, 1978),
    and without skewness Student's. As a small sample says little about its skewness, ``b`` is a
    weighted mean of the sample's value (weight ``S``) and the value for a variance that vanishes
    at the bounds (weight 24), ``κ₂ / (mean - low) - κ₂ / (high - mean)``, which is 1 for Poisson
    counts.

    Parameters
    ----------
    values
        Shape (S,), one number per seed.
    confidence
        Coverage of the interval, between 0 and 1.
    method
        "corrected": as above; "t": Student's interval; "bootstrap": 9999 resamples from a fixed
        random stream, bias-corrected and accelerated for 10 to 2000 values, otherwise percentiles.
    bounds
        Smallest and largest possible value; None for no bound. The interval stays between them.
        Unless bounds are given, whole numbers >= 0 are treated as counts, with ``(0, None)``.

    Returns
    -------
    Estimate
        All nan without values; the interval is nan for a single value that is not a count. Values
        that differ by rounding only count as the same. If all values are the same whole number, the
        sample shows no spread, and the interval covers what a sample of this size could have
        missed: deviations by 1 in up to ``-log(0.025) / S`` of the seeds (for 95 %; exact for
        Poisson counts that are all 0). Fewer than eight equal counts above 0 are given the exact
        Poisson interval. If all values are the same real number, the interval has zero length or,
        with two bounds, allows for a share ``1 - 0.025^(1/S)`` of values at either bound.

    Notes
    -----
    The documentation's page on intervals tabulates the simulated coverage. With fewer than about
    five expected events in all seeds together it exceeds ``confidence``. For overdispersed counts
    with few clusters of events it is lower, because few clusters say little about their sizes.
    """
    _checks.choice("mean: method", method, ("corrected", "t", "bootstrap"))
    data = checked_values("mean: values", values)
    level = checked_confidence(confidence)
    low, high = _checks.bounds("mean: bounds", bounds)
    if data.size and not (low <= data.min() and data.max() <= high):
        outside = data[~((low <= data) & (data <= high))]
        raise _checks.refused("mean: values", f"numbers within bounds={bounds!r}", outside[0])
    if bounds is None:
        low, high = least_value(data)
    size = unit(data)
    if not varies(data / size):
        return without_spread(data.size, float(data[0]) if data.size else 0.0, level, low, high)
    return _with_spread(data / size, level, low / size, high / size, method).scaled(size)


def _with_spread(
    data: NDArray[np.float64], level: float, low: float, high: float, method: str
) -> Estimate:
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
    """The default result of `mean`, computed from moments of the values.

    Parameters
    ----------
    count
        Number of values.
    mean, variance
        Their mean and unbiased variance.
    third
        Third central moment. If None, the skewness is the one that the bounds suggest, which only
        approximates `mean`.
    confidence, bounds
        As in `mean`, but values are treated as counts only if the bounds say so.
    """
    level = checked_confidence(confidence)
    low, high = _checks.bounds("mean_from_moments: bounds", bounds)
    if count > 1 and not all(map(math.isfinite, (mean, variance, third or 0.0))):
        return Estimate(mean, math.nan, math.nan)  # the moments overflowed
    if count < 2 or variance <= rounding(np.array([mean])) ** 2:
        return without_spread(count, mean, level, low, high)
    size = unit(np.array([mean, math.sqrt(variance)]))
    moments = mean / size, variance / size / size, third and third / size / size / size
    return _corrected(count, *moments, level, low / size, high / size).scaled(size)


def _corrected(
    n: int, mean: float, variance: float, third: float | None, level: float, low: float, high: float
) -> Estimate:
    most = (mean - low) * (high - mean)  # the largest biased variance of values with this mean
    free = 1 - variance * (n - 1) / n / most if most < math.inf else 1.0
    if free < 1e-9:  # all values are at the bounds: a binomial count
        return _wilson(n, mean, level, low, high)
    suggested = variance / (mean - low) - variance / (high - mean)
    weight = 0.0 if third is None or n < 3 else n / (n + SKEWNESS_PRIOR)
    slope = (1 - weight) * suggested
    if weight and third is not None:
        slope += weight * third * n**2 / ((n - 1) * (n - 2)) / variance  # unbiased third cumulant
    # The closer the variance is to the largest that the bounds allow, the less is unknown.
    return _within(_shifted(n, mean, variance, slope, (n - 1) / free, level), low, high)


def _shifted(
    n: int, mean: float, variance: float, slope: float, freedom: float, level: float
) -> Estimate:
    """The interval of a shifted and scaled Poisson count, where ``slope`` is ``κ₃ / κ₂``."""
    t = t_quantile((1 + level) / 2, freedom)
    expected = n * variance / slope**2 if slope else math.inf
    if expected > 1e5:  # equal to within 1e-5 of the half-width, without cancellation
        center = mean + slope * (2 * t**2 + 1) / (6 * n)
        half = t * math.sqrt(variance / n)
        return Estimate(mean, min(mean, center - half), max(mean, center + half))
    tail = float(special.ndtr(-t))
    least = float(special.gammaincinv(expected + 0.5, tail))
    if expected < 10:  # as in Brown, Cai & DasGupta (Statist. Sci. 16, 101, 2001) for one event
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
    """The interval of ``n`` equal values."""
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


def proportion(
    successes: int,
    trials: int,
    *,
    confidence: float = 0.95,
    method: Literal["wilson", "exact"] = "wilson",
) -> Estimate:
    """Proportion of successes with Wilson's score interval or the exact Clopper-Pearson interval.

    Parameters
    ----------
    successes, trials
        Whole numbers, ``0 <= successes <= trials`` and ``trials >= 1``.
    confidence
        Coverage of the interval, between 0 and 1.
    method
        "wilson" (coverage close to ``confidence``) or "exact" (coverage never below it).

    Returns
    -------
    Estimate
    """
    _checks.choice("proportion: method", method, ("wilson", "exact"))
    k, n = checked_share("proportion", successes, trials)
    from scipy import stats

    interval = stats.binomtest(k, n).proportion_ci(checked_confidence(confidence), method=method)
    return Estimate(k / n, float(interval.low), float(interval.high))


def least_value(values: NDArray[np.float64]) -> tuple[float, float]:
    """The default bounds of `mean`: counts are not negative."""
    count = bool((values >= 0).all() and (values == np.floor(values)).all())
    return (0.0 if count else -math.inf), math.inf


def bootstrap(data: NDArray[np.float64], statistic: Any, level: float) -> Estimate:
    from scipy import stats

    result = stats.bootstrap(
        (data,),
        statistic,
        confidence_level=level,
        # Few values cannot determine acceleration; for many it costs S² and changes nothing.
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
    """One number per seed; masked, missing and infinite values are refused, and text and dates."""
    data = _checks.reals(label, values, "numbers (leave diverged seeds and missing values out)")
    if data.ndim != 1:
        raise _checks.refused(label, "a 1-d array", data)
    if not np.isfinite(data).all():
        place = int(np.flatnonzero(~np.isfinite(data))[0])
        allowed = "finite numbers (leave diverged seeds and missing values out)"
        raise _checks.refused(label, allowed, data[place], f" at index {place}")
    return data


def checked_counts(label: str, counts: ArrayLike, least: int) -> NDArray[np.float64]:
    """At least this many whole numbers >= 0, all of them exact."""
    data = checked_values(label, counts)
    whole = (data >= 0) & (data <= 2**53) & (data == np.floor(data))
    if data.size < least or not whole.all():
        many = {1: "one", 2: "two"}[least]
        allowed = f"{many} or more whole numbers >= 0 and <= 2**53"
        raise _checks.refused(label, allowed, counts)
    return data


def checked_share(where: str, successes: object, trials: object) -> tuple[int, int]:
    """Numbers of successes and of trials."""
    n = _checks.integer(f"{where}: trials", trials, (">=", 1), ("<=", 2**53))
    return _checks.integer(f"{where}: successes", successes, (">=", 0), ("<=", n)), n


def rounding(*parts: NDArray[np.float64]) -> float:
    """Differences up to this size between values of this magnitude are due to rounding."""
    return 8 * float(np.spacing(max(np.abs(part).max() for part in parts)))


def varies(data: NDArray[np.float64]) -> bool:
    """Whether values differ by more than rounding."""
    return data.size > 1 and float(data.max() - data.min()) > rounding(data)


def unit(*parts: NDArray[np.float64]) -> float:
    """A power of two, 1 unless the values are so small or large that their powers would leave the
    range of floating-point numbers; in this unit they are close to 1."""
    largest = max(float(np.abs(part).max(initial=0)) for part in parts)
    if largest == 0 or 1e-90 < largest < 1e90:
        return 1.0
    return math.ldexp(1.0, min(max(math.frexp(largest)[1], -1000), 1000))
