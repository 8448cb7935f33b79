"""The tables of the page on the law's constant."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING

import numpy as np

from fastpolysem.experiments import constant
from fastpolysem.experiments._pages import ABSENT, cell, interval, markdown

if TYPE_CHECKING:
    import pandas as pd

SIZES = (16, 64, 256)


def tables(table: pd.DataFrame) -> dict[str, str]:
    """All tables, by their names; ``table`` is that of the experiment."""
    strengths = [float(one) for one in table["strength"].unique()]
    grid = table[(table["strength"] == strengths[0]) & (table["learning_rate"] == constant.RATE)]
    return {
        "sizes": _sizes(grid),
        "collapse": _collapse(table, strengths),
        "strengths": _strengths(table),
        "rates": _rates(table, strengths[0]),
        "numbers": _numbers(table),
    }


def _sizes(grid: pd.DataFrame) -> str:
    """R by n and m."""
    widths = sorted(grid["n_hidden"][grid["n_features"].isin(SIZES)].unique())
    rows = []
    for n in SIZES:
        row = [str(n)]
        for m in widths:
            here = grid[(grid["n_features"] == n) & (grid["n_hidden"] == m)]
            row.append(interval(here.iloc[0], "ratio") if len(here) else ABSENT)
        rows.append(row)
    return markdown(["n", *[f"m = {m}" for m in widths]], rows)


def _collapse(table: pd.DataFrame, strengths: list[float]) -> str:
    """χ² of one variable at a time."""
    rows = []
    for strength, densest in itertools.product(strengths, (1.0, 0.5)):
        found = constant.collapses(table, strength, densest)
        if min(one.degrees for one in found) > 0:
            label = "n ≤ m" if densest == 1 else "n ≤ m/2"
            shown = [f"{one.chi_square:.1f} on {one.degrees}" for one in found]
            rows.append([f"{strength:g}", label, *shown])
    head = ["λ√m", "cells", "χ² in n/√m", "in n/m", "in n", "in m", f"in {constant.BOTH}"]
    return markdown(head, rows)


def limits(table: pd.DataFrame) -> list[tuple[int, int, float, float, float]]:
    """(n, m, R for λ√m → 0, its standard error, slope in λ√m) of the cells with three strengths, by
    weighted least squares of a line."""
    found = []
    usual = table[table["learning_rate"] == constant.RATE]
    for (n, m), part in usual.groupby(["n_features", "n_hidden"], sort=False):
        if len(part) < 3:
            continue
        error = part["ratio_error"].to_numpy()
        terms = np.vander(part["strength"].to_numpy(float), 2) / error[:, np.newaxis]
        covariance = np.linalg.inv(terms.T @ terms)
        slope, start = covariance @ terms.T @ (part["ratio"].to_numpy() / error)
        found.append((int(n), int(m), float(start), math.sqrt(covariance[1, 1]), float(slope)))
    return found


def _strengths(table: pd.DataFrame) -> str:
    """R by strength, and its limit."""
    usual = table[table["learning_rate"] == constant.RATE]
    varied = sorted(usual["strength"].unique(), reverse=True)
    rows = []
    for n, m, start, error, slope in limits(table):
        part = usual[(usual["n_features"] == n) & (usual["n_hidden"] == m)].set_index("strength")
        shown = [f"{part.loc[s, 'ratio']:.3f} ± {part.loc[s, 'ratio_error']:.3f}" for s in varied]
        x = cell(n / math.sqrt(m))
        rows.append([n, m, x, *shown, f"{start:.3f} ± {error:.3f}", f"{slope:+.3f}"])
    head = ["n", "m", "n/√m", *[f"λ√m = {s:g}" for s in varied], "λ√m → 0", "slope"]
    return markdown(head, rows)


def _rates(table: pd.DataFrame, strength: float) -> str:
    """R at the two learning rates."""
    slow = table[table["learning_rate"] == constant.SLOW]
    fast = table[(table["learning_rate"] == constant.RATE) & (table["strength"] == strength)]
    fast = fast.set_index(["n_features", "n_hidden"])
    rows: list[list[object]] = []
    for _, row in slow.iterrows():
        n, m = int(row["n_features"]), int(row["n_hidden"])
        shown = [interval(one, "ratio") for one in (fast.loc[(n, m)], row)]
        rows.append([n, m, f"{constant.RATE * math.sqrt(m):.2g}", *shown])
    head = ["n", "m", "lr·√m of the first", f"lr = {constant.RATE:g}", f"lr = {constant.SLOW:g}"]
    return markdown(head, rows)


def _numbers(table: pd.DataFrame) -> str:
    """All cells."""
    ordered = table.sort_values(
        ["strength", "learning_rate", "n_hidden", "n_features"],
        ascending=[False, False, True, True],
        kind="stable",
    )
    rows = []
    for _, row in ordered.iterrows():
        n, m = int(row["n_features"]), int(row["n_hidden"])
        numbers: list[object] = [cell(row["x"]), f"{row['strength']:g}"]
        numbers += [cell(row["learning_rate"] * math.sqrt(m)), int(row["seeds"])]
        numbers += [
            cell(row["null_mean"], 4),
            interval(row, "ratio"),
            interval(row, "shared_ratio"),
        ]
        numbers += [cell(row["dispersion"]), cell(row["unrepresented"]), int(row["uncertified"])]
        rows.append([n, m, *numbers])
    head = ["n", "m", "n/√m", "λ√m", "lr·√m", "seeds", "null mean", "R, polysemantic", "R, shared"]
    head += ["variance/mean", "unrepresented", "not certified"]
    return markdown(head, rows)
