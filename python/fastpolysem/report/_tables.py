"""Tables of a report: settings in one column that stays in sight, and rows to be sorted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple
from urllib.parse import quote

import numpy as np
import pandas as pd

from fastpolysem import families
from fastpolysem.studies import formatting

_MOST_ROWS = 500
_MOST_OPEN = 24  # rows; tables with more are folded
_MOST_VALUES = 20  # of a setting in the overview
_FIRST = ("mean", "ci_low", "ci_high", "ratio", "ratio_low", "ratio_high")


class Table(NamedTuple):
    """A table on the page."""

    note: str
    """What is the same in all rows."""
    keys: list[tuple[str, int]]
    """Headings of settings, each with the number of characters that its column needs."""
    columns: list[str]
    rows: list[tuple[list[str], list[str]]]
    """Settings and values of each row."""
    left_out: int
    folded: bool
    data: str
    """Address of a CSV file with all rows and columns."""
    file: str
    """Its name."""


def download(table: pd.DataFrame) -> str:
    """Address that contains the table as CSV."""
    text = table.to_csv(index=False, lineterminator="\n")
    return f"data:text/csv;charset=utf-8,{quote(text, safe=', .')}".replace(" ", "%20")


def sortable(summary: pd.DataFrame, settings: Sequence[str], file: str) -> Table:
    """A summary whose rows are identified by the ``settings``: those that vary form the key."""
    varying = [name for name in settings if _varies(summary[name])] or list(settings)
    constant = [name for name in settings if name not in varying]
    first = [name for name in _FIRST if name in summary]
    rest = [name for name in summary if name not in {*settings, *first}]
    shown = formatting.readable(summary[[*settings, *first, *rest]])
    names = dict(zip(settings, shown.columns, strict=False))
    keys = [names[name] for name in varying]
    columns = list(shown.columns[len(settings) :])
    seen = shown.head(_MOST_ROWS)
    return Table(
        note=", ".join(f"{names[name]} = {shown[names[name]].iloc[0]}" for name in constant),
        keys=[(name, max(map(len, [name, *seen[name]]))) for name in keys],
        columns=columns,
        rows=list(zip(seen[keys].values.tolist(), seen[columns].values.tolist(), strict=True)),
        left_out=len(shown) - len(seen),
        folded=len(shown) > _MOST_OPEN,
        data=download(summary),
        file=file,
    )


def margins(summary: pd.DataFrame, settings: Sequence[str]) -> Table | None:
    """Means over all rows with the same value of one setting; None for few rows."""
    if len(summary) <= _MOST_OPEN:
        return None
    rows: list[dict[str, Any]] = []
    headings = families.headings()
    for name in settings:
        text = formatting.readable(summary[[name]]).iloc[:, 0].to_numpy()
        exact = np.array(list(map(str, summary[name])), dtype=object)
        if not 1 < len(set(exact)) <= _MOST_VALUES:
            continue
        if len(set(text)) < len(set(exact)):  # values that agree to four digits
            text = exact
        for value in dict.fromkeys(exact):
            part, shown = summary[exact == value], text[exact == value][0]
            row = {"setting": headings.get(name, name), "value": shown, "configurations": len(part)}
            row |= {"mean": part["mean"].mean(), "lowest": part["mean"].min()}
            row |= {"highest": part["mean"].max()}
            if "ratio" in part:
                row["ratio"] = part["ratio"].mean()
            if "collapsed" in part:
                row["collapsed"] = part["collapsed"].mean()
            rows.append(row)
    return sortable(pd.DataFrame(rows), ["setting", "value"], "overview.csv") if rows else None


def _varies(column: pd.Series[Any]) -> bool:
    return len(set(map(str, column))) > 1
