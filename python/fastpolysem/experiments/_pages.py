"""Cells and tables of the pages of findings."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

ABSENT = "not run"


def markdown(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table."""
    first, *rest = (f"| {' | '.join(map(str, line))} |" for line in (head, *rows))
    return "\n".join([first, "|---" * len(head) + "|", *rest])


def cell(value: float, digits: int = 3) -> str:
    """A number; empty where there is none."""
    return "" if math.isnan(value) else f"{value:.{digits}g}"


def estimate(value: float, low: float, high: float, digits: int = 3) -> str:
    """A number with its interval, if it has one; empty where there is no number."""
    if math.isnan(value) or math.isnan(low) or math.isnan(high):
        return cell(value, digits)
    return f"{cell(value, digits)} [{cell(low, digits)}, {cell(high, digits)}]"


def interval(row: pd.Series[Any], name: str, digits: int = 3, least: float = -math.inf) -> str:
    """A mean of a table with its interval, whose lower end is cut at ``least``, for counts and
    shares."""
    low, high = float(row[f"{name}_low"]), float(row[f"{name}_high"])
    return estimate(float(row[name]), max(low, least), high, digits)
