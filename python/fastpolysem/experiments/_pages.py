"""Cells and tables of the pages of findings."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

ABSENT = "not run"


def markdown(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table."""
    first, *rest = (f"| {' | '.join(map(str, line))} |" for line in (head, *rows))
    return "\n".join([first, "|---" * len(head) + "|", *rest])


def with_tables(page: str, tables: Mapping[str, Callable[[], str]]) -> str:
    """A page with its tables filled in, each between ``<!-- NAME -->`` and ``<!-- end -->``."""

    def one(match: re.Match[str]) -> str:
        return f"<!-- {match[1]} -->\n\n{tables[match[1]]()}\n\n<!-- end -->"

    pattern = rf"<!-- ({'|'.join(map(re.escape, tables))}) -->\n.*?<!-- end -->"
    filled, count = re.subn(pattern, one, page, flags=re.DOTALL)
    if count != len(tables):
        raise ValueError(f"the page must have {len(tables)} tables, has {count}")
    return filled


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
