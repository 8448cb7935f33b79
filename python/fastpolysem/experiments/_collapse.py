"""Counts in several settings against one axis: do they fall on a common curve, and on which?

Counts of a setting are summed over its seeds. A generalised linear model with a logarithmic link
has a level for each group of settings and a common fall along the axis. Its dispersion is the ratio
of variance to mean between seeds, pooled over settings; starts that settings share are neglected,
which makes the tests conservative.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastpolysem.experiments._verdicts import Z

if TYPE_CHECKING:
    from fastpolysem.statistics import Estimate

Array = NDArray[np.float64]


class Counts(NamedTuple):
    """Counts of settings, (C,) each."""

    group: NDArray[np.int64]
    """Settings with the same level."""
    x: Array
    """Place on the axis; 0 for the control of a group."""
    total: Array
    """Sum over seeds."""
    seeds: Array
    dispersion: float
    """Variance of a count divided by its mean."""


class Fall(NamedTuple):
    """The fall ``exp(-(a x + b x²))`` of counts along the axis."""

    coefficients: Array
    """a and, if it is quadratic, b."""
    covariance: Array
    deviance: float
    """Deviance over dispersion."""
    freedom: int

    def at(self, x: ArrayLike) -> Array:
        """The share that is left at ``x``."""
        places = np.asarray(x, dtype=np.float64)
        powers = np.stack([places ** (1 + i) for i in range(len(self.coefficients))], axis=-1)
        result: Array = np.exp(-powers @ self.coefficients)
        return result

    @property
    def half(self) -> Estimate:
        """Where half is left, with the 95 % interval by the delta method; wider by the root of
        deviance per degree of freedom if the curve does not fit."""
        from fastpolysem.statistics import Estimate

        a, b = (*self.coefficients, 0.0)[:2]
        x = math.log(2) / a if b == 0 else (math.sqrt(a * a + 4 * b * math.log(2)) - a) / (2 * b)
        slope = np.array([x, x * x][: len(self.coefficients)]) / (a + 2 * b * x)
        scale = max(1.0, self.deviance / max(self.freedom, 1))
        half = Z * math.sqrt(scale * slope @ self.covariance @ slope)
        return Estimate(x, x - half, x + half)


def p_of(deviance: float, freedom: int) -> float:
    """The probability of a larger chi-square; 1 without degrees of freedom."""
    from scipy import stats

    return float(stats.chi2.sf(deviance, freedom)) if freedom else 1.0


def fall(counts: Counts, degree: int = 1) -> Fall:
    """Fit the fall: exponential (degree 1) or with a quadratic term (2)."""
    levels = _levels(counts)
    powers = np.stack([-(counts.x ** (1 + i)) for i in range(degree)], axis=1)
    coefficients, covariance, deviance = _fitted(counts, np.hstack([levels, powers]))
    freedom = len(counts.x) - levels.shape[1] - degree
    shown = slice(-degree, None)
    return Fall(coefficients[shown], covariance[shown, shown], deviance, freedom)


def common(counts: Counts) -> tuple[float, int]:
    """Deviance (over dispersion) from any common curve, and its degrees of freedom."""
    levels = _levels(counts)
    places = np.unique(counts.x[counts.x > 0])
    steps = (counts.x[:, np.newaxis] == places).astype(float)
    _, _, deviance = _fitted(counts, np.hstack([levels, steps]))
    return deviance, len(counts.x) - levels.shape[1] - steps.shape[1]


def _levels(counts: Counts) -> Array:
    """Indicators of the groups, (C, groups)."""
    return np.asarray(counts.group[:, np.newaxis] == np.unique(counts.group), dtype=np.float64)


def _fitted(counts: Counts, design: Array) -> tuple[Array, Array, float]:
    """Coefficients, their covariance, and deviance over dispersion, by weighted least squares."""
    y, offset = counts.total, np.log(counts.seeds)
    mean = np.maximum(y, 0.5)
    beta = np.zeros(design.shape[1])
    for _ in range(100):
        working = np.log(mean) - offset + (y - mean) / mean
        root = np.sqrt(mean)[:, np.newaxis]
        new, *_ = np.linalg.lstsq(root * design, root[:, 0] * working, rcond=None)
        mean = np.exp(np.clip(design @ new + offset, -30, 30))
        done = np.allclose(new, beta, atol=1e-10)
        beta = np.asarray(new, dtype=np.float64)
        if done:
            break
    information = design.T @ (mean[:, np.newaxis] * design)
    covariance = np.asarray(np.linalg.pinv(information), dtype=np.float64)
    logs = np.where(y > 0, y * np.log(np.where(y > 0, y, 1) / mean), 0)
    deviance = float(2 * (logs - (y - mean)).sum())
    return beta, counts.dispersion * covariance, deviance / counts.dispersion
