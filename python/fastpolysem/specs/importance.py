"""Weights of the errors of the outputs."""

from __future__ import annotations

import numpy as np

from fastpolysem import _checks


def checked_importance(
    label: str, value: object, count: int, size: str, what: str
) -> tuple[float, ...] | None:
    """One weight per output; ``size`` is the name of their number ``count``. None if all are 1."""
    if value is None:
        return None
    weights = _checks.array(label, value, np.float64, (1,)) + 0.0
    if len(weights) != count:
        raise ValueError(f"{label} must have length {size}={count}, got length {len(weights)}")
    if (weights < 0).any():
        raise ValueError(f"{label} must be >= 0 for every {what}, got {weights.min()}")
    if not weights.any():
        raise ValueError(f"{label} must be > 0 for at least one {what}, got all zeros")
    listed = value if isinstance(value, (tuple, list)) else _checks.as_array(label, value)
    _checks.warn_if_rounded(label, listed)
    return None if (weights == 1).all() else tuple(weights.tolist())
