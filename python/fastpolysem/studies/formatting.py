"""Tables of studies for display: short headings, four digits, one column per interval."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from fastpolysem import families
from fastpolysem._checks import printable

_DIGITS = 8
_INTERVALS = {"ci": "95 % interval", "ratio": "interval of ratio"}


def readable(table: pd.DataFrame) -> pd.DataFrame:
    """A summary as text.

    Parameters
    ----------
    table
        The result of `Study.summary` or of an experiment's ``table``.

    Returns
    -------
    pandas.DataFrame
        The same rows; every entry is text without control characters, "-" if missing. Digests
        are shortened to their first 8 digits, which the command line accepts. A column keeps
        its long name if a metadata column already has its short heading.
    """
    shown = table.copy()
    if "digest" in shown:
        shown["digest"] = [str(digest)[:_DIGITS] for digest in shown["digest"]]
    taken = set(shown.columns)
    headings = families.headings()
    shown = shown.rename(columns={name: _free(headings[name], name, taken) for name in headings})
    for name, heading in _INTERVALS.items():
        if f"{name}_low" in shown:
            low, high = shown.pop(f"{name}_low"), shown[f"{name}_high"]
            place = shown.columns.get_loc(f"{name}_high")
            ends = [_interval(*both) for both in zip(low, high, strict=True)]
            shown.insert(place, _free(heading, f"{name}_low … {name}_high", taken), ends)
            del shown[f"{name}_high"]
    if "collapsed" in shown:
        shown["collapsed"] = [_share(value) for value in shown["collapsed"]]
    if {"mean", "seeds", "diverged"} <= set(shown.columns):
        lost = (shown["diverged"] == shown["seeds"]) & (shown["seeds"] > 0)
        shown["mean"] = shown["mean"].astype(object).where(~lost, "all diverged")
    columns = [[_text(value) for value in column.tolist()] for _, column in shown.items()]
    result = pd.DataFrame(dict(enumerate(columns)), index=range(len(shown)), dtype=str)
    result.columns = pd.Index([printable(str(name)) for name in shown.columns], dtype=object)
    return result


def _free(heading: str, otherwise: str, taken: set[str]) -> str:
    return otherwise if heading in taken else heading


def to_html(table: pd.DataFrame, most: int | None = None) -> str:
    """The `readable` table as HTML, with at most ``most`` rows and a line about the rest."""
    from fastpolysem._html import render

    shown = readable(table)
    left_out = 0 if most is None else max(0, len(shown) - most)
    rows = shown.head(len(shown) - left_out).itertuples(index=False)
    return render("table.html", columns=shown.columns, rows=rows, left_out=left_out)


def _interval(low: float, high: float) -> str:
    return "-" if math.isnan(low) and math.isnan(high) else f"{_text(low)} … {_text(high)}"


def _share(value: Any) -> Any:
    """A share in percent; other values, such as an experiment's own column, are unchanged."""
    if not isinstance(value, float):
        return value
    return None if math.isnan(value) else f"{100 * value:.3g} %"


def _text(value: Any) -> str:
    if value is None or value is pd.NA:
        return "-"
    if isinstance(value, float):
        if value.is_integer() and abs(value) < 1e9:  # a whole number beside missing ones
            return str(int(value))
        return "-" if math.isnan(value) else f"{value:.4g}"
    return printable(str(value))
