"""Triangles: three features on three rectified neurons, at no loss; are they local minima?

With rows (1, 1, -1)/√2, (-1, 1, 1)/√2 and (1, -1, 1)/√2 a tied layer y = ReLU(ReLU(x W) Wᵀ) gives
back each feature, and each pair of them. Under l1 the triangle gives way a little, until every
output between two of its features is slightly positive. There the objective is smooth in the nine
weights, so that its Hessian decides. Weights that are 0 change the loss to second order only, and
l1 to first order: they stay 0.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

SIGNS: Floats = np.array([[1.0, 1.0, -1.0], [-1.0, 1.0, 1.0], [1.0, -1.0, 1.0]])


class Objective(NamedTuple):
    """The objective of a tied rectified layer on one-hot inputs, at one point."""

    value: float
    loss: float
    """Without l1."""
    gradient: Floats
    """(n, m)"""
    outputs: Floats
    """(n, n) before the output's ReLU: that of feature j for the input i."""


def objective(weights: Floats, l1: float) -> Objective:
    """``Σ_ij (ReLU(Σ_k ReLU(W_ik) W_jk) - δ_ij)² + l1 Σ|W|`` and its gradient."""
    hidden = np.maximum(weights, 0)
    outputs = hidden @ weights.T
    error = np.maximum(outputs, 0) - np.eye(len(weights))
    back = 2 * error * (outputs > 0)
    slope = back.T @ hidden + (back @ weights) * (weights > 0) + l1 * np.sign(weights)
    loss = float(np.square(error).sum())
    return Objective(loss + l1 * float(np.abs(weights).sum()), loss, slope, outputs)


def hessian(weights: Floats, l1: float, step: float = 1e-6) -> Floats:
    """(nm, nm) of the objective, by differences of its gradient."""
    size = weights.size
    result = np.zeros((size, size))
    for k in range(size):
        move = np.zeros(size)
        move[k] = step
        ends = [
            objective(weights + sign * move.reshape(weights.shape), l1).gradient for sign in (1, -1)
        ]
        result[k] = (ends[0] - ends[1]).ravel() / (2 * step)
    return (result + result.T) / 2


def triangle(l1: float) -> Floats:
    """The stationary triangle (3, 3): rows (a, a, -c), of the symmetry of `SIGNS`.

    Raises
    ------
    ValueError
        If l1 is too strong for one.
    """
    a, c = 1 / np.sqrt(2), 1 / np.sqrt(2)

    def made(at: Floats) -> Floats:
        rows: Floats = np.where(SIGNS > 0, at[0], -at[1])
        return rows

    def slope(at: Floats) -> Floats:
        full = objective(made(at), l1).gradient
        return np.array([full[SIGNS > 0].sum(), -full[SIGNS < 0].sum()])

    at = np.array([a, c * (1 - l1)])
    for _ in range(100):
        here = slope(at)
        if np.abs(here).max() < 1e-13:
            return made(at)
        columns = [(slope(at + d) - slope(at - d)) / 2e-6 for d in 1e-6 * np.eye(2)]
        at = at - np.linalg.solve(np.stack(columns, axis=1), here)
        if not (at > 0).all():
            break
    raise ValueError(f"triangle: l1 must be weak enough for a triangle, got {l1!r}")


def stability(l1: float) -> tuple[float, float]:
    """The least eigenvalue of the triangle's Hessian, and its least output between two features.

    Both positive: a strict local minimum, at a point where the objective is smooth.
    """
    weights = triangle(l1)
    between = objective(weights, l1).outputs[~np.eye(3, dtype=bool)]
    return float(np.linalg.eigvalsh(hessian(weights, l1)).min()), float(between.min())


def strongest(tolerance: float = 1e-4) -> float:
    """The l1 up to which triangles are strict local minima."""
    low, high = 0.01, 0.3
    while high - low > tolerance:
        middle = (low + high) / 2
        low, high = (middle, high) if min(stability(middle)) > 0 else (low, middle)
    return low
