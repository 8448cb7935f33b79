"""Likelihood intervals of proportions and of Poisson means."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import special  # scipy.stats takes a second to import: only where it is needed

from fastpolysem import _checks
from fastpolysem.statistics.estimates import checked_values


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
    data = checked_values("fit_poisson: counts", counts)
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
