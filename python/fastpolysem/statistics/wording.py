"""Numbers with their intervals in words and as tables."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping


def rounded(*numbers: float, error: float) -> list[str]:
    """Numbers rounded to two significant digits of an error of this size."""
    if not math.isfinite(error) or error <= 0:
        return [f"{number:.4g}" for number in numbers]
    digits = 1 - math.floor(math.log10(error))
    if digits > 6 or error >= 1e6:
        return [f"{number:.4g}" for number in numbers]
    places = max(0, digits)
    return [
        f"{round(number, digits):.{places}f}" if math.isfinite(number) else f"{number}"
        for number in numbers
    ]


def table(rows: Iterable[Mapping[str, str]]) -> str:
    """Rows with the same names as an HTML table."""
    from fastpolysem._html import render

    listed = [dict(row) for row in rows]
    values = [tuple(row.values()) for row in listed]
    return render("table.html", columns=list(listed[0]), rows=values, left_out=0)
