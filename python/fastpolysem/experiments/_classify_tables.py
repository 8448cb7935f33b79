"""The tables of the page on private readouts."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from fastpolysem.experiments._pages import markdown
from fastpolysem.experiments._splits import SOURCES
from fastpolysem.experiments._verdicts import Z

if TYPE_CHECKING:
    import pandas as pd

ABSENT = "—"
"""Where too few splits have networks without a lost class."""


LOOKS: dict[tuple[str, int], tuple[float, float]] = {
    ("digits", 10): (17.6, 0), ("digits", 20): (1.1, 0), ("digits", 40): (0.85, 0),
    ("digits", 80): (0.31, 0), ("digits", 160): (0.60, 0), ("digits", 320): (0.16, 0.13),
    ("mnist1d", 10): (6.3, 0), ("mnist1d", 320): (2.3, 0.9),
}  # fmt: skip
"""Prices of a private readout, in points, that were measured before with few seeds, and their
standard errors over seeds; 0 where none is known."""


def fixed(row: pd.Series[Any], name: str, decimals: int, unit: float = 1.0) -> str:
    """A mean with its interval, with so many decimals."""
    ends = [unit * float(row[f"{name}{end}"]) for end in ("", "_low", "_high")]
    if any(math.isnan(end) for end in ends):
        return ABSENT
    value, low, high = (f"{end:.{decimals}f}" for end in ends)
    return f"{value} [{low}, {high}]"


def prices(table: pd.DataFrame) -> str:
    """What the readouts cost on test rows."""
    rows = []
    for _, row in table.iterrows():
        dense = row["readout"] == "dense"
        rows.append([
            SOURCES[row["data"]].title, row["n_hidden"], row["readout"],
            fixed(row, "test_accuracy", 2, 100),
            "" if dense else fixed(row, "price", 2),
            "" if dense else fixed(row, "price_all_learned", 2),
            f"{row['test_loss']:.3f}", "" if dense else fixed(row, "price_loss", 3),
            f"{row['learning_rate']:.3g}",
        ])  # fmt: skip
    head = ["data", "h", "readout", "test accuracy in %", "price in points",
            "price, no class lost", "test loss", "price in loss", "learning rate"]  # fmt: skip
    return markdown(head, rows)


def looks(table: pd.DataFrame) -> str:
    """Prices of a private readout at first looks and here, and whether they agree within their
    errors."""
    rows = []
    for (data, h), (theirs, error) in LOOKS.items():
        here = table[
            (table["data"] == data) & (table["n_hidden"] == h) & (table["readout"] == "private")
        ]
        if not len(here):
            continue
        row = here.iloc[0]
        price = float(row["price"])
        end = float(row["price_low" if theirs < price else "price_high"])
        agrees = abs(theirs - price) <= math.hypot(end - price, Z * error)
        what = "agrees" if agrees else "disagrees"
        shown = f"{theirs:g} ± {error:g}" if error else f"{theirs:g}"
        cells = [fixed(row, "price", 2), f"{row['seeds']} on {row['splits']}", what]
        rows.append([SOURCES[data].title, h, shown, *cells])
    head = ["data", "h", "price at first look", "here", "seeds on splits", ""]
    return markdown(head, rows) if rows else ""


def use(table: pd.DataFrame) -> str:
    """What was learned on training rows, and who uses what the readout reads."""
    rows = []
    for _, row in table.iterrows():
        names = ("shared_read", "shared_read_chance", "shared_read_start", "shared_last")
        rows.append([
            SOURCES[row["data"]].title, row["n_hidden"], row["readout"],
            f"{100 * row['accuracy']:.1f}", f"{row['not_learned']:.2f}",
            *(f"{row[name]:.2f}" for name in names), f"{row['concepts_last']:.2f}",
            f"{row['neurons_per_concept']:.1f}",
        ])  # fmt: skip
    head = ["data", "h", "readout", "training accuracy in %", "classes not learned", "shared use",
            "by chance", "before training", "of the last hidden layer",
            "effective classes per neuron", "effective neurons per class"]  # fmt: skip
    return markdown(head, rows)
