"""Dispersion of counts, compared with a Poisson distribution and with a null model."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special  # scipy.stats takes a second to import

from fastpolysem import _checks
from fastpolysem.statistics.estimates import (
    UNKNOWN,
    Estimate,
    bootstrap,
    checked_confidence,
    checked_counts,
)


@dataclass(frozen=True)
class Dispersion:
    """Variance-to-mean ratio of counts, compared with Poisson counts and with the null model.

    Attributes
    ----------
    index
        Variance-to-mean ratio with its bootstrap interval; nan if every count is 0.
    poisson_p
        Two-sided p-value of index 1, that of Poisson counts. If all counts are equal, the
        probability of this for Poisson counts.
    null_index
        Index of the null model; nan without one.
    null_p
        Two-sided p-value of the null model's index; nan without one.
    """

    index: Estimate
    poisson_p: float
    null_index: float
    null_p: float


def dispersion_test(
    counts: ArrayLike, probabilities: ArrayLike | None = None, *, confidence: float = 0.95
) -> Dispersion:
    """Test the dispersion index (variance over mean) of counts against Poisson and a null model.

    Both tests compare ``d · index / index₀`` with the chi-square distribution with ``d`` degrees of
    freedom, where ``d`` is chosen to match the variance of the index under the reference (delta
    method, from its first four central moments). For Poisson counts this is the classical
    dispersion test with ``d = S - 1``.

    Parameters
    ----------
    counts
        Shape (S,), at least two counts.
    probabilities
        Shape (K,), probabilities of the counts 0 to K - 1 under the null model, with sum 1; None
        for no null model.
    confidence
        Coverage of the confidence interval of the index.

    Returns
    -------
    Dispersion
    """
    data = checked_counts("dispersion_test: counts", counts, 2)
    level = checked_confidence(confidence)
    null = None if probabilities is None else _probabilities(probabilities)
    if not data.any():
        index = UNKNOWN
    elif np.ptp(data):
        index = bootstrap(data, _index, level)
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
                null_p = possible(float(np.sum(null**size)))
    poisson_p = _dispersion_p(
        index.value, size, average, average, average, average + 3 * average**2
    )
    if index.value == 0:  # conditional on their sum, Poisson counts are multinomial
        total = size * average
        logarithm = special.gammaln(total + 1) - size * special.gammaln(average + 1)
        poisson_p = possible(math.exp(logarithm - total * math.log(size)))
    return Dispersion(index, poisson_p, null_index, null_p)


def _probabilities(given: ArrayLike) -> NDArray[np.float64]:
    """Probabilities of 0, 1, ..."""
    label = "dispersion_test: probabilities"
    values: NDArray[np.float64] = _checks.array(label, given, np.float64, (1,))
    if (values < 0).any() or abs(values.sum() - 1) > 1e-6:
        raise _checks.refused(label, "numbers >= 0 with sum 1", given)
    return values


def _index(values: NDArray[np.float64], axis: int = -1) -> Any:
    # A resample of zeros has no index; 1 is its limit for rare counts.
    center = values.mean(axis=axis)
    variance = values.var(axis=axis, ddof=1)
    return np.divide(variance, center, out=np.ones_like(center), where=center > 0)


def _dispersion_p(
    index: float, size: int, mean: float, second: float, third: float, fourth: float
) -> float:
    """P-value of an index of ``size`` counts, given the mean and central moments of one count."""
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
    return possible(2 * min(special.chdtr(freedom, at), special.chdtrc(freedom, at)))


def possible(p: float) -> float:
    """A p-value within (0, 1], even if it underflowed."""
    return float(min(1.0, max(p, np.finfo(np.float64).tiny)))
