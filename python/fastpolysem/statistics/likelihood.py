"""Likelihood intervals of proportions and of Poisson means."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

from numpy.typing import ArrayLike
from scipy import special  # scipy.stats takes a second to import

from fastpolysem import _checks
from fastpolysem.statistics.estimates import checked_counts, checked_share


class Fit(NamedTuple):
    """The hypotheses that explain the data nearly as well as the best one: a likelihood interval.

    It is a statement about these data, not about repetitions.
    """

    low: float
    """The smallest of them."""
    best: float
    """The one with maximum likelihood."""
    high: float
    """The largest of them."""


LIKELIHOOD_FACTOR = math.exp(special.chdtri(1, 0.05) / 2)
"""6.83: by Wilks' theorem, in 5 % of large samples the true hypothesis is less likely than the best
one by at least this factor."""


def fit_proportion(
    successes: int, trials: int, *, max_likelihood_factor: float = LIKELIHOOD_FACTOR
) -> Fit:
    """Proportions that make the data at most ``max_likelihood_factor`` times less likely.

    "Less likely" refers to the best proportion.

    Parameters
    ----------
    successes, trials
        Whole numbers, ``0 <= successes <= trials`` and ``trials >= 1``.
    max_likelihood_factor
        > 1. The default gives approximate 95 % intervals (Wilks 1938); for small samples, the
        coverage of `proportion` is more accurate. 1000 is the usual choice for "anything else is
        implausible".

    Returns
    -------
    Fit
    """
    k, n = checked_share("fit_proportion", successes, trials)
    drop = _drop("fit_proportion", max_likelihood_factor)

    def log_likelihood(p: float) -> float:
        return float(special.xlogy(k, p) + special.xlog1py(n - k, -p))

    return _fit(log_likelihood, k / n, 1.0, drop)


def fit_poisson(counts: ArrayLike, *, max_likelihood_factor: float = LIKELIHOOD_FACTOR) -> Fit:
    """Poisson means that make the data at most ``max_likelihood_factor`` times less likely.

    "Less likely" refers to the best mean. Counts of polysemantic neurons vary less than Poisson
    counts (`dispersion`), so the interval is conservative. Its length is positive even if every
    count is 0.

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
    data = checked_counts("fit_poisson: counts", counts, 1)
    drop = _drop("fit_poisson", max_likelihood_factor)
    total, size = float(data.sum()), data.size

    def log_likelihood(mean: float) -> float:
        return float(special.xlogy(total, mean)) - size * mean

    # At a distance x from the best in size · mean, log L is lower by at least x²/(2 (total + x)).
    most = (total + drop + math.sqrt(drop**2 + 2 * drop * total)) / size
    return _fit(log_likelihood, total / size, most, drop)


def _drop(where: str, factor: float) -> float:
    return math.log(_checks.real(f"{where}: max_likelihood_factor", factor, (">", 1)))


def _fit(log_likelihood: Callable[[float], float], best: float, most: float, drop: float) -> Fit:
    """Where a log-likelihood with a single maximum on [0, most] is ``drop`` below it."""
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
