"""Power laws through means with standard errors."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special  # scipy.stats takes a second to import

from fastpolysem import _checks
from fastpolysem.statistics.dispersions import possible
from fastpolysem.statistics.estimates import (
    Estimate,
    checked_confidence,
    checked_values,
    t_quantile,
    varies,
)


@dataclass(frozen=True)
class PowerLaw:
    """A fit of ``y = prefactor · x^exponent``.

    Attributes
    ----------
    exponent, prefactor
        Estimates with confidence intervals.
    chi_square, degrees_of_freedom, p_value
        Goodness of fit, for fits with standard errors (otherwise nan). A small p-value means that
        the points do not follow a power law within their errors; the intervals then mean little.
    r_squared
        Share of the (weighted) variance of log y explained by the fit.
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
            self.prefactor.value * _checks.reals("PowerLaw: x", x) ** self.exponent.value
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
    """Fit a power law: the least-squares line of ``log y`` against ``log x``.

    Parameters
    ----------
    x, y
        Shape (K,), positive; at least three points with at least two different ``x``.
    standard_error
        Shape (K,), standard errors of ``y`` (not half-widths of intervals). If given, points are
        weighted by ``(y / error)²``, the intervals follow from the errors, and the fit is tested by
        chi-square. Otherwise the intervals follow from the scatter about the line (Student's t),
        and the fit is not tested.
    seeds
        Number of seeds from which each standard error was estimated, at least 4: a number or shape
        (K,). None if the errors are exact. With few seeds, some points appear more precise than
        they are. The intervals therefore follow Meier (Biometrics 9, 59, 1953) and Student's t with
        Satterthwaite's degrees of freedom, and the test of the fit follows Welch (Biometrika 38,
        330, 1951).
    confidence
        Coverage of the intervals.

    Returns
    -------
    PowerLaw
    """
    level = checked_confidence(confidence)
    at, values = checked_values("power_law: x", x), checked_values("power_law: y", y)
    if at.size != values.size:
        raise ValueError(
            f"power_law: y must have as many numbers as x, {at.size}, got {values.size}"
        )
    if at.size < 3 or (at <= 0).any() or not varies(at):
        raise _checks.refused("power_law: x", "three or more positive numbers, not all the same", x)
    if (values <= 0).any():
        raise _checks.refused("power_law: y", "positive numbers, as their logarithm is fitted", y)
    log_x, log_y = np.log(at), np.log(values)
    freedom = at.size - 2
    if standard_error is None:
        weight = np.ones(at.size)
    else:
        error = checked_values("power_law: standard_error", standard_error)
        if error.size != at.size or (error <= 0).any():
            raise _checks.refused(
                "power_law: standard_error", f"{at.size} positive numbers", standard_error
            )
        with np.errstate(over="ignore"):
            weight = values / error
        if not ((weight > 1e-99) & (weight < 1e99)).all():
            raise _checks.refused(
                "power_law: standard_error", "1e-99 to 1e99 times y", standard_error
            )
    freedoms = None
    if seeds is not None:
        if standard_error is None:
            raise ValueError("power_law: seeds must be None without standard_error")
        freedoms = _freedoms(seeds, at.size)
    (slope, offset), covariance = np.polyfit(log_x, log_y, 1, w=weight, cov="unscaled")
    squares = float(np.sum((weight * (log_y - slope * log_x - offset)) ** 2))
    if freedoms is not None:
        weight = weight * np.sqrt((freedoms - 2) / freedoms)  # corrects the bias of 1/s²
        (slope, offset), covariance = np.polyfit(log_x, log_y, 1, w=weight, cov="unscaled")
    residual = float(np.sum((weight * (log_y - slope * log_x - offset)) ** 2))
    spread = weight * (log_y - np.average(log_y, weights=weight**2))
    total = float(np.sum(spread**2))
    quantile: float | NDArray[np.float64] = float(special.ndtri((1 + level) / 2))
    chi_square = squares
    if standard_error is None:
        covariance = covariance * (squares / freedom)
        quantile = t_quantile((1 + level) / 2, freedom)
        chi_square, p_value = math.nan, math.nan
    elif freedoms is None:
        p_value = possible(float(special.chdtrc(freedom, squares)))
    else:
        covariance, quantile, p_value = _with_estimated_errors(
            log_x, weight, freedoms, covariance, squares, level
        )
    half = quantile * np.sqrt(np.diag(covariance))
    with np.errstate(over="ignore"):
        prefactor = Estimate(*(float(np.exp(offset + d)) for d in (0.0, -half[1], half[1])))
    return PowerLaw(
        exponent=Estimate(float(slope), float(slope - half[0]), float(slope + half[0])),
        prefactor=prefactor,
        chi_square=chi_square,
        degrees_of_freedom=freedom,
        p_value=p_value,
        r_squared=1 - residual / total if total > 0 else math.nan,
    )


def _freedoms(seeds: ArrayLike, size: int) -> NDArray[np.float64]:
    number = _checks.reals("power_law: seeds", seeds)
    if (
        number.shape not in ((), (size,))
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
    """Covariance and quantiles of slope and offset, and p-value of the fit, for errors with these
    degrees of freedom."""
    design = np.stack([x, np.ones_like(x)], axis=1)
    shares = (covariance @ design.T) * weight**2  # (2, K): the estimates are linear in the points
    leverage = np.sum(design * shares.T, axis=1)
    variances = shares**2 * (freedoms - 2) / freedoms / weight**2  # contribution of each point
    variance = variances.sum(axis=1)
    quantile = special.stdtrit(
        variance**2 / np.sum(variances**2 / freedoms, axis=1), (1 + level) / 2
    )
    part = shares**2 / weight**2 / np.diag(covariance)[:, np.newaxis]
    known = np.maximum(freedoms - 4, 1)  # fewer than Meier's for few seeds
    variance = variance * (1 + 4 * np.sum(part * (1 - leverage) / known, axis=1))
    free = x.size - 2
    unknown = float(np.sum((1 - leverage) ** 2 / freedoms))
    ratio = squares / free / (1 + 2 * (free - 1) / (free * (free + 2)) * unknown)
    p_value = float(special.fdtrc(free, free * (free + 2) / (3 * unknown), ratio))
    return np.diag(variance), quantile, possible(p_value)
