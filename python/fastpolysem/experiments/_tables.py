"""Tables of means on pages of findings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from numpy.typing import ArrayLike

from fastpolysem.experiments._answers import written
from fastpolysem.experiments._pages import interval, markdown

if TYPE_CHECKING:
    import pandas as pd


def of_means(
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
    rows = [
        [
            *(_plain(row[name]) for name in labels.values()),
            *(interval(row, name, digits) for name in estimates.values()),
            *(_plain(row[name]) for name in rest.values()),
        ]
        for _, row in means.iterrows()
    ]
    return markdown([*labels, *estimates, *rest], rows)


def by_width(
    means: pd.DataFrame, column: str, place: ArrayLike, widths: Mapping[Any, str], digits: int
) -> tuple[list[str], list[list[Any]]]:
    """Head and rows of a table of one estimate, one row per number of features and optimiser.

    ``place`` is the width of each row of the means, and ``widths`` has those shown with their
    headings.
    """
    rows = []
    placed = means.assign(place=place)
    for (n, optimizer), part in placed.groupby(["n_features", "optimizer"]):
        cells = part.set_index("place")
        found = [
            interval(cells.loc[at], column, digits) if at in cells.index else "" for at in widths
        ]
        rows.append([n, written(optimizer), *found])
    return ["n", "optimiser", *widths.values()], rows


def _plain(value: Any) -> str:
    if isinstance(value, str):
        return written(value.replace("_", " "))
    if value != value:  # nan
        return ""
    value = value + 0.0  # no -0
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"
