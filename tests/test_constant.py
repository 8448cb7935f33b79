"""The law's constant under gradient descent, and what can be derived about it."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import fastpolysem as fp
from fastpolysem import theory
from fastpolysem.experiments import _constant_tables, constant
from fastpolysem.experiments._answers import Answers
from fastpolysem.experiments._pages import markdown
from fastpolysem.families.autoencoder import theory as _theory

ROOT = Path(__file__).parents[1]
FINDINGS = ROOT / "docs" / "findings"
ABLATIONS = ROOT / "benchmarks" / "results" / "ablations.csv"

with_data = pytest.mark.skipif(
    not (FINDINGS / "constant.parquet").exists() or not ABLATIONS.exists(),
    reason="source distributions come without results",
)


def ablations() -> pd.DataFrame:
    table = pd.read_csv(ABLATIONS)
    null = theory.null_mean(table["n_features"], table["n_hidden"])
    return table.assign(ratio=table["shared"] / null, error=table["shared_error"] / null)


def ablation_table() -> str:
    """The table of ablations on the page."""
    table = ablations()
    sizes = table[["n_features", "n_hidden"]].drop_duplicates().itertuples(index=False)
    columns = {f"n = {n}, m = {m}": (n, m) for n, m in sizes}
    rows = []
    for pushes in table["pushes"].unique():
        row = [pushes]
        for n, m in columns.values():
            here = table[(table["n_features"] == n) & (table["n_hidden"] == m)]
            one = here[here["pushes"] == pushes].iloc[0]
            shown = f"{one['ratio']:.2f} ± {one['error']:.2f} ({one['favourites']:.2f})"
            part = one["diverged"] / one["seeds"]
            row.append("diverges" if part > 0.1 else f"{shown}{'*' if part else ''}")
        rows.append(row)
    return markdown(["pushes", *columns], rows)


@with_data
def test_the_page_shows_the_ablations() -> None:
    page = (FINDINGS / "constant.md").read_text(encoding="utf-8")
    assert f"<!-- ablations -->\n\n{ablation_table()}\n\n<!-- end -->" in page


def descended(n: int, m: int, strength: float, seeds: int) -> fp.TrainingResult:
    l1 = strength / math.sqrt(m)
    config = fp.Config(
        n_features=n,
        n_hidden=m,
        l1=l1,
        l1_update="orthant",
        optimizer="sgd",
        learning_rate=constant.RATE,
        steps=int(40 / (l1 * constant.RATE)),
        stop="certified",
    )
    return fp.train(config, seeds)


def test_two_features_on_two_neurons_share_in_a_quarter_of_the_seeds() -> None:
    """Derived on the page: unit vectors on a circle, which are at right angles with probability
    one half once interference has acted and end monosemantic then; else in half of the cases."""
    seeds = 4000
    shared = descended(2, 2, 0.04, seeds).signed_slots
    assert shared.max() == 1
    assert shared.mean() == pytest.approx(1 / 4, abs=4 * math.sqrt(3 / 16 / seeds))
    assert theory.null_mean(2, 2) == pytest.approx(1 / 3)


def test_favourites_of_both_signs() -> None:
    rng = np.random.default_rng(0)
    for n, m in ((2, 1), (6, 4), (20, 30)):
        weights = rng.standard_normal((20_000, n, m))
        winner = np.abs(weights).argmax(axis=2)
        sign = np.take_along_axis(weights, winner[..., None], axis=2)[..., 0] > 0
        taken = np.zeros((2, len(weights), m), dtype=bool)
        taken[sign.astype(int), np.arange(len(weights))[:, None], winner] = True
        counts = taken.all(axis=0).sum(axis=1)
        error = counts.std() / math.sqrt(len(counts))
        assert theory.favourite_mean(n, m) == pytest.approx(counts.mean(), abs=4 * error)
    assert theory.favourite_mean(1, [1, 5]) == pytest.approx([0, 0], abs=1e-12)
    with pytest.raises(ValueError, match="favourite_mean"):
        theory.favourite_mean(0, 3)


@with_data
def test_weight_without_interference_goes_to_favourites() -> None:
    table = ablations()
    for row in table[table["pushes"] == "none"].itertuples():
        assert row.favourites > 0.999
        expected = theory.favourite_mean(row.n_features, row.n_hidden)
        assert row.shared == pytest.approx(expected, abs=3.5 * row.shared_error)


def synthetic(ratio: object) -> pd.DataFrame:
    """A table of cells in which R is a function of n and m, measured to 1 %."""
    cells = sorted({(n, m) for n, m, *_ in constant.CELLS})
    n, m = (np.array(one, dtype=float) for one in zip(*cells, strict=True))
    value = ratio(n, m)  # type: ignore[operator]
    noise = np.random.default_rng(3).normal(0, 0.01, len(n))
    return pd.DataFrame(
        {
            "n_features": n.astype(int),
            "n_hidden": m.astype(int),
            "strength": constant.STRENGTH,
            "learning_rate": constant.RATE,
            "x": n / np.sqrt(m),
            "shared_ratio": value + noise,
            "shared_ratio_error": 0.01,
        }
    )


@pytest.mark.parametrize("variable", ["n/√m", "n/m", "n", "m"])
def test_a_collapse_is_found_on_the_right_variable(variable: str) -> None:
    of = {"n/√m": lambda n, m: n / np.sqrt(m), "n/m": lambda n, m: n / m}
    of |= {"n": lambda n, m: n, "m": lambda n, m: m}
    table = synthetic(lambda n, m: 0.8 + 0.1 * np.log(of[variable](n, m)) ** 2)
    *found, both = constant.collapses(table, constant.STRENGTH)
    assert both.chi_square <= found[0].chi_square  # which it contains
    best = min(found, key=lambda one: one.chi_square / one.degrees)
    assert best.variable == variable
    assert best.chi_square < 3 * best.degrees
    assert all(one.chi_square > 10 * one.degrees for one in found if one is not best)


def test_a_term_that_vanishes_in_wide_layers_is_found() -> None:
    table = synthetic(lambda n, m: 0.8 + 0.1 * np.log(n / np.sqrt(m)) ** 2 + 0.12 * n / m)
    alone, *_, both = constant.collapses(table, constant.STRENGTH)
    assert both.chi_square < 2 * both.degrees < alone.chi_square
    assert both.fit == pytest.approx([0, 0.1, 0, 0.8, 0.12], abs=0.03)


def test_cells_without_spread_are_left_out_of_a_collapse() -> None:
    table = synthetic(lambda n, m: 0.8 + 0 * n)
    alike = table.assign(shared_ratio_error=0.0)
    both = pd.concat([table, alike])
    expected, found = (constant.collapses(one, constant.STRENGTH) for one in (table, both))
    assert [one.degrees for one in found] == [one.degrees for one in expected]
    assert all(one.degrees == 0 for one in constant.collapses(alike, constant.STRENGTH))


def test_the_limit_of_weak_l1_is_extrapolated() -> None:
    rows = []
    for strength in (0.08, 0.24, 0.72):
        part = synthetic(lambda n, m, s=strength: 0.8 + 0.1 * s + 0 * n)
        rows.append(part.assign(strength=strength, ratio_error=0.01, ratio=0.8 + 0.1 * strength))
    for _, _, limit, error, slope in _constant_tables.limits(pd.concat(rows)):
        assert (limit, slope) == pytest.approx((0.8, 0.1))
        assert 0 < error < 0.02


@with_data
def test_the_formula_for_gradient_descent_is_the_fit_of_the_page() -> None:
    table = constant.EXPERIMENT.table(Answers(pd.read_parquet(FINDINGS / "constant.parquet")))
    *_, both = constant.collapses(table, constant.STRENGTH, 0.5)
    assert both.variable == constant.BOTH
    assert (*_theory._DESCENT, _theory._DENSITY) == pytest.approx(both.fit, abs=6e-5)
    grid = table[(table["strength"] == constant.STRENGTH) & (table["learning_rate"] == 0.06)]
    mean = theory.descent_mean(grid["n_features"], grid["n_hidden"])
    inside = np.isfinite(mean)
    assert inside.sum() >= 15
    off = (mean / grid["null_mean"] - grid["shared_ratio"]) / grid["shared_ratio_error"]
    assert off[inside].abs().max() < 3
    assert (off[inside] ** 2).sum() < stats.chi2.ppf(0.95, inside.sum())


@pytest.mark.parametrize(
    ("n", "m", "known"),
    [
        (4, 16, True),  # both ends: the narrowest layer, and n = √m
        (3, 16, False),
        (250, 512, True),
        (16, 31, False),  # more than half as many features as neurons
        (7, 15, False),
        (32, 1025, False),
        (400, 1024, False),  # n/√m above 12
    ],
)
def test_where_the_formula_for_gradient_descent_holds(n: int, m: int, known: bool) -> None:
    assert np.isfinite(theory.descent_mean(n, m)) == known


def test_bad_sizes_for_the_formula_for_gradient_descent() -> None:
    with pytest.raises(ValueError, match="descent_mean: n_features"):
        theory.descent_mean(0, 16)


@with_data
def test_the_page_has_the_seeds_that_were_planned() -> None:
    rows = pd.read_parquet(FINDINGS / "constant.parquet")
    table = constant.EXPERIMENT.table(Answers(rows))
    found = table.set_index(["n_features", "n_hidden", "strength", "learning_rate"])["seeds"]
    expected = {
        (
            config.n_features,
            config.n_hidden,
            round(config.l1 * math.sqrt(config.n_hidden), 6),
            config.learning_rate,
        ): constant.planned(config)
        for config in constant.EXPERIMENT.configs("paper")
    }
    assert found.to_dict() == expected


@with_data
def test_the_text_says_what_the_data_say() -> None:
    page = " ".join((FINDINGS / "constant.md").read_text(encoding="utf-8").split())
    table = constant.EXPERIMENT.table(Answers(pd.read_parquet(FINDINGS / "constant.parquet")))
    grid = table[(table["strength"] == constant.STRENGTH) & (table["learning_rate"] == 0.06)]
    cells = grid.set_index(["n_features", "n_hidden"])
    for cell in ((2, 64), (2, 16), (64, 64), (128, 256), (128, 128), (256, 256)):
        ratio, error = cells.loc[cell, "ratio"], cells.loc[cell, "ratio_error"]
        assert f"{ratio:.2f} ± {error:.2f}" in page, cell
    wide = grid[grid["n_features"] > 2]
    lowest = wide[(wide["x"] > 2.5) & (wide["x"] < 6) & (wide["ratio_error"] < 0.015)]
    ends = lowest.loc[[lowest["ratio"].idxmin(), lowest["ratio"].idxmax()]]
    shown = [f"{row.ratio:.2f} ± {row.ratio_error:.2f}" for row in ends.itertuples()]
    assert f"between {shown[0]} and {shown[1]} at 3 to 6" in page
    # The answer.
    spread = wide.groupby(wide["x"].round(2))["ratio"].agg(lambda one: one.max() - one.min())
    assert f"differs by up to {spread.max():.2f}" in page
    usual = table[table["n_hidden"] >= 16]
    assert f"between {usual['ratio'].min():.2f} and {usual['ratio'].max():.2f} in every" in page
    few, many = wide[wide["x"] <= 1], wide[wide["x"] >= 11]
    assert (few[few["n_hidden"] >= 16]["ratio_low"] > 1).all()
    assert cells.loc[(2, 4), "ratio_high"] < 1
    assert cells.loc[(128, 256), "ratio"] < lowest["ratio"].max()
    assert (many[many["n_hidden"] == many["n_features"]]["ratio_low"] > 1).all()
    assert (lowest["ratio_high"] < 1).all()
    by = {one.variable: one.chi_square for one in constant.collapses(table, constant.STRENGTH)}
    assert by.pop(constant.BOTH) > 90  # m = n included
    assert min(by, key=by.__getitem__) == "n/√m"
    assert by["n/√m"] > 50
    halves = {one.variable: one for one in constant.collapses(table, constant.STRENGTH, 0.5)}
    p_values = {k: stats.chi2.sf(one.chi_square, one.degrees) for k, one in halves.items()}
    assert f"(p = {p_values[constant.BOTH]:.1g}), and n/√m alone does not (p < 10⁻⁷)" in page
    assert p_values["n/√m"] < 1e-7
    cubic, square, first, start, density = halves[constant.BOTH].fit
    formula = (
        f"R = {start:.2f} - {-first:.2f} ln x - {-square:.3f} ln²x + {cubic:.3f} ln³x + "
        f"{density:.2f} n/m describes all {halves[constant.BOTH].degrees + 5} settings"
    )
    assert formula.replace("-", "\N{MINUS SIGN}") in page
    for n, m, limit, error, _ in _constant_tables.limits(table):
        if n == m == 2:
            assert f"{limit:.3f} ± {error:.3f}" in page
        assert abs(limit - cells.loc[(n, m), "ratio"]) < 0.032


@with_data
def test_numbers_of_other_pages() -> None:
    page = " ".join((FINDINGS / "constant.md").read_text(encoding="utf-8").split())
    rows = pd.read_parquet(FINDINGS / "optimizers.parquet")
    rows = rows[rows["way"] == "sgd"]
    for n, m, l1 in ((256, 512, 0.01), (256, 1024, 0.01), (64, 1024, 0.003)):
        part = rows[(rows["n_features"] == n) & (rows["n_hidden"] == m) & (rows["l1"] == l1)]
        ratio = part["polysemantic"] / theory.null_mean(n, m)
        said = f"{ratio.mean():.2f} ± {ratio.sem():.2f} at m = {m} (λ = {l1:g}, n = {n}; "
        assert said in page
        assert f"{len(part)} seeds" in page[page.index(said) :]
