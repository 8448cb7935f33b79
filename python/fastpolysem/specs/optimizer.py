"""Optimisers: PyTorch's update formulas and defaults."""

from __future__ import annotations

from typing import Any, Literal

from fastpolysem import _checks

Optimizer = Literal["sgd", "adam", "adamw"]
SecondMoment = Literal["coordinate", "scalar"]

WEIGHT_DECAY = {"sgd": 0.0, "adam": 0.0, "adamw": 0.01}
"""The value of ``weight_decay=None``."""


def checked_betas(label: str, value: Any) -> tuple[float, float]:
    """The decay rates of the first and second moments."""
    given = _checks.listed(label, value)
    if given is None or len(given) != 2:
        raise _checks.refused(label, "a pair of numbers", value, kind=TypeError)
    first, second = (
        _checks.setting(f"{label}[{i}]", beta, (">=", 0), ("<", 1)) for i, beta in enumerate(given)
    )
    return first, second
