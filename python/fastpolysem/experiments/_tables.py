"""Tables of pages, as Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from fastpolysem.experiments._answers import estimate_of
from fastpolysem.experiments._verdicts import text

if TYPE_CHECKING:
    import pandas as pd


def markdown(
    means: pd.DataFrame,
    labels: Mapping[str, str],
    estimates: Mapping[str, str],
    rest: Mapping[str, str] | None = None,
    digits: int = 3,
) -> str:
    """A table of means, one row per row.

    ``labels``, ``estimates`` and ``rest`` map headings to columns: labels come first, estimates
    have their intervals, the rest follows without.
    """
    rest = rest or {}
    lines = ["| " + " | ".join((*labels, *estimates, *rest)) + " |"]
    lines.append("|---" * (len(labels) + len(estimates) + len(rest)) + "|")
    for _, row in means.iterrows():
        cells = [_plain(row[name]) for name in labels.values()]
        cells += [_estimate(row, name, digits) for name in estimates.values()]
        cells += [_plain(row[name]) for name in rest.values()]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _plain(value: Any) -> str:
    if isinstance(value, str):
        return value.replace("_", " ")
    if value != value:  # nan
        return ""
    value = value + 0.0  # no -0
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _estimate(row: pd.Series[Any], name: str, digits: int) -> str:
    return "" if row[name] != row[name] else text(estimate_of(row, name), digits)
