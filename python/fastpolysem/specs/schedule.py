"""Factors that change during training, interpolated linearly between points (step, value)."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from fastpolysem import _checks

Points = tuple[tuple[int, float], ...]
Rates = Literal["cosine"] | Points


def checked_points(label: str, value: Any, steps: int, what: str = "factor") -> Points:
    """Points (step, value) with ascending steps up to ``steps`` and values >= 0."""
    points = value.tolist() if isinstance(value, np.ndarray) else value
    sequence = (tuple, list)
    if not isinstance(points, sequence) or not all(
        isinstance(point, sequence) and len(point) == 2 for point in points
    ):
        raise _checks.refused(label, f"a list of pairs (step, {what})", value, kind=TypeError)
    given: list[tuple[int, float]] = []
    for i, (at, level) in enumerate(points):
        step = _checks.integer(f"{label}[{i}]: step", at, (">=", 0), ("<=", steps))
        if given and step <= given[-1][0]:
            raise ValueError(f"{label} must have ascending steps, got {step} after {given[-1][0]}")
        given.append((step, _checks.setting(f"{label}[{i}]: {what}", level, (">=", 0))))
    return tuple(given)


def essential(points: Points) -> Points:
    """The points without those whose value equals that of both neighbours."""
    levels = [level for _, level in points]
    before, after = [*levels[:1], *levels[:-1]], [*levels[1:], *levels[-1:]]
    return tuple(
        point
        for point, left, right in zip(points, before, after, strict=True)
        if not left == point[1] == right
    )


def checked_schedule(label: str, value: Any, steps: int, field: str) -> Points | None:
    """A schedule of factors on ``field``; refuses one that changes nothing."""
    if value is None:
        return None
    kept = essential(checked_points(label, value, steps))
    if not kept:
        raise ValueError(
            f"{label} must change {field}, got {_checks.shown(value)}; "
            f"a constant factor belongs in {field}"
        )
    return kept


def checked_rates(label: str, value: Any, steps: int) -> Rates | None:
    """A schedule of the learning rate: "cosine", or points as of any other."""
    if isinstance(value, str):
        cosine: Rates = _checks.choice(label, value, ("cosine",))  # type: ignore[assignment]
        return cosine
    return checked_schedule(label, value, steps, "learning_rate")
