"""Early growth of the fourth norm under noise, from cumulants of the noise.

`theory.kurtosis_correction` is the first term of the Edgeworth series of the expected loss. Here
are the next two, in the sixth cumulant and in the square of the excess kurtosis, and the growth of
the fourth norm that each term predicts.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.polynomial import hermite_e
from numpy.typing import NDArray

from fastpolysem.families.autoencoder.config import Config

Correction = Callable[[NDArray[np.float64], float], NDArray[np.float64]]
"""Part of the expected loss (S,) for weights (S, n, m) and a standard deviation of the noise."""


def sixth_cumulant(noise: str, shape: float | None = None) -> float:
    """Sixth cumulant of a kind of noise with variance 1, ``E ξ⁶ - 15 E ξ⁴ + 30``; inf if it does
    not exist."""
    if noise == "student_t":
        v = float(shape or 0)
        if v <= 6:
            return math.inf
        fourth, sixth = 3 * (v - 2) / (v - 4), 15 * (v - 2) ** 2 / ((v - 4) * (v - 6))
        return float(sixth - 15 * fourth + 30)
    if noise == "three_point":
        q = float(shape or 1)
        return float(1 / q**2 - 15 / q + 30)
    return {"rademacher": 16.0, "uniform": 48 / 7, "gaussian": 0.0, "laplace": 30.0}[noise]


def _share(weights: NDArray[np.float64], power: int) -> NDArray[np.float64]:
    """``‖W_j‖_p^p/‖W_j‖^p``, (S, n): the cumulant of order p of ``W_j·ξ`` per unit of that of ξ."""
    norm = np.sqrt(np.square(weights).sum(axis=-1, keepdims=True))
    unit = np.divide(weights, norm, out=np.zeros_like(weights), where=norm > 0)
    result: NDArray[np.float64] = (np.abs(unit) ** power).sum(axis=-1)
    return result


def _term(
    weights: NDArray[np.float64], noise_std: float, cumulant: NDArray[np.float64], order: int
) -> NDArray[np.float64]:
    """``Σ_ij cumulant_j s_jᵏ E g⁽ᵏ⁾`` for k = ``order``, g the loss of a pre-activation, (S,).

    ``E ReLU²`` has the k-th derivative ``2 s^(2-k) (-1)^(k-3) He_(k-3) φ``; on the diagonal, g has
    another ``-2 ReLU`` (symbols as in `theory.gaussian_noise_loss`).
    """
    norm = np.sqrt(np.square(weights).sum(axis=-1))
    std = noise_std * np.where(norm > 0, norm, 1.0)[..., np.newaxis, :]
    at = weights @ np.swapaxes(weights, -1, -2) / std
    density = np.exp(-(at**2) / 2) / math.sqrt(2 * math.pi)
    lower, upper = (hermite_e.hermeval(at, [0] * degree + [1]) for degree in (order - 3, order - 2))
    common = 2 * (-1.0) ** (order - 3) * density * std * cumulant[..., np.newaxis, :]
    pairs, own = common * std * lower, common * upper
    result: NDArray[np.float64] = pairs.sum(axis=(-2, -1))
    result += np.diagonal(own, axis1=-2, axis2=-1).sum(axis=-1)
    return result


def fourth_term(weights: NDArray[np.float64], noise_std: float) -> NDArray[np.float64]:
    """Part of the expected loss per unit of excess kurtosis: `theory.kurtosis_correction`."""
    return _term(weights, noise_std, _share(weights, 4), 4) / 24


def sixth_term(weights: NDArray[np.float64], noise_std: float) -> NDArray[np.float64]:
    """Part of the expected loss per unit of `sixth_cumulant`."""
    return _term(weights, noise_std, _share(weights, 6), 6) / 720


def square_term(weights: NDArray[np.float64], noise_std: float) -> NDArray[np.float64]:
    """Part of the expected loss per unit of the excess kurtosis squared."""
    return _term(weights, noise_std, _share(weights, 4) ** 2, 8) / 1152


def along_rotations(weights: NDArray[Any], direction: NDArray[Any]) -> NDArray[np.float64]:
    """The part of a direction (S, n, m) that rotates the weights: its projection on ``W A`` with A
    antisymmetric.

    The least-squares A solves ``M A + A M = WᵀV - VᵀW``, ``M = WᵀW``, in the eigenbasis of M.
    """
    transposed = np.swapaxes(weights, -1, -2)
    values, basis = np.linalg.eigh(transposed @ weights)
    back = np.swapaxes(basis, -1, -2)
    mixed = transposed @ direction
    skew = back @ (mixed - np.swapaxes(mixed, -1, -2)) @ basis
    total = values[..., :, np.newaxis] + values[..., np.newaxis, :]
    # If both eigenvalues are 0, A does not affect the weights.
    least = 1e-9 * np.maximum(values[..., -1:, np.newaxis], 1e-300)
    generator = np.divide(skew, total, out=np.zeros_like(skew), where=total > least)
    result: NDArray[np.float64] = weights @ basis @ generator @ back
    return result


def predicted_growth(
    weights: NDArray[Any], config: Config, correction: Correction = fourth_term
) -> NDArray[np.float64]:
    """Predicted change of the fourth norm per step and unit of a correction's cumulant, (S,).

    The correction C is small compared with the loss of Gaussian noise, which keeps the weights at
    its minimum and is invariant only under rotations of the hidden layer. Gradient descent on both
    therefore moves the weights by the part of ``-learning_rate · ∇C`` that rotates them. The fourth
    norm F (mean over features) changes by the derivative of C in the direction of that part of ∇F,
    times ``-learning_rate``.
    """
    w = np.asarray(weights, dtype=np.float64)
    direction = along_rotations(w, 4 * w**3 / w.shape[1])
    small = 1e-4
    ends = [correction(w + end * direction, config.noise_std) for end in (small, -small)]
    result: NDArray[np.float64] = -config.learning_rate * (ends[0] - ends[1]) / (2 * small)
    return result
