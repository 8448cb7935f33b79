"""The tables of the page on the exponent of the loss."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastpolysem.experiments._pages import cell, interval, markdown

if TYPE_CHECKING:
    import pandas as pd

LOOKS: list[tuple[float, str, str, str, str]] = [
    (2.0, "CV of features' errors", "spread", "0.99", "agrees"),
    (2.0, "alignment", "alignment", "0.96", "agrees"),
    (2.0, "squared error per output", "squared", "0.0081", "agrees"),
    (2.0, "fourth power per output", "fourth", "0.0041", "agrees"),
    (4.0, "CV of features' errors", "spread", "0.031", "disagrees: so few rows alone give 0.028"),
    (4.0, "alignment", "alignment", "0.28", "agrees"),
    (4.0, "squared error per output", "squared", "0.0102", "agrees"),
    (4.0, "fourth power per output", "fourth", "0.00074", "agrees"),
]
"""What a first look with three seeds found at F = 20 and N = 10: exponent, quantity, column."""


def numbers(table: pd.DataFrame) -> str:
    """Means, one line per setting."""
    rows = []
    for _, row in table.iterrows():
        second = [cell(row["second"]) if row["second"] else "none"] if _deep(table) else []
        rows.append([
            cell(row["neurons"]), *second, cell(row["power"]), interval(row, "shared", 3, 0),
            cell(row["chance"]), cell(row["learned"]), cell(row["features_per_neuron"]),
            cell(row["neurons_per_feature"]), cell(row["alignment"]),
            interval(row, "squared", 3, 0), interval(row, "fourth", 3, 0), cell(row["own"]),
            cell(row["alone"]), interval(row, "spread", 3, 0), cell(row["spread_by_chance"], 2),
        ])  # fmt: skip
    head = ["N", *(["second layer"] if _deep(table) else []), "q",
            "share of use on shared neurons", "chance", "features learned", "features per neuron",
            "neurons per feature", "alignment", "squared error", "fourth power", "own loss",
            "bound without sharing", "CV of features' errors",
            "CV from sampling alone"]  # fmt: skip
    return markdown(head, rows)


def _deep(table: pd.DataFrame) -> bool:
    return bool(table["second"].any())


def looks(table: pd.DataFrame) -> str:
    """The first look beside what was found; losses per output instead of shares."""
    rows = []
    for power, what, name, theirs, agrees in LOOKS:
        here = table[(table["neurons"] == 10) & (table["power"] == power)]
        if not len(here):
            return ""
        row = here.iloc[0].copy()
        exponent = {"squared": 2, "fourth": 4}.get(name)
        if exponent:  # the output 0 has the loss density / (2 (q + 1))
            ends = [name, f"{name}_low", f"{name}_high"]
            row[ends] = row[ends] * row["density"] / (2 * (exponent + 1))
        rows.append([f"{power:g}", what, theirs, interval(row, name), int(row["seeds"]), agrees])
    return markdown(["q", "F = 20, N = 10", "first look", "here", "seeds", ""], rows)
