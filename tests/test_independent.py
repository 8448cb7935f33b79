"""The independent implementation, and what it and the package say about the same numbers."""

from __future__ import annotations

import csv
import importlib.util
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import fastpolysem as fp
from fastpolysem.experiments import classify
from fastpolysem.experiments._answers import Answers

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
SCRIPT = ROOT / "benchmarks" / "independent.py"

if not (RESULTS / "independent.csv").exists():  # source distributions come without results
    pytest.skip("no results here", allow_module_level=True)


@pytest.fixture(scope="module")
def independent() -> Any:
    spec = importlib.util.spec_from_file_location("independent", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def rows_of(name: str) -> list[dict[str, str]]:
    with (RESULTS / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(
    ("optimizer", "rate", "steps"), [("sgd", 0.06, 20_000), ("adamw", 2e-3, 9000)]
)
def test_equal_starts_give_equal_counts(
    independent: Any, optimizer: str, rate: float, steps: int
) -> None:
    config = fp.Config(
        n_features=8,
        n_hidden=12,
        l1=0.06,
        l1_update="orthant",
        optimizer=optimizer,
        learning_rate=rate,
        steps=steps,
        stop="certified",
    )
    start = fp.train(config.replace(steps=0), 40, return_weights=True).weights
    end, ended = independent.descend(start, config.l1, rate, steps, adamw=optimizer == "adamw")
    found, expected = independent.measured(start, end), fp.train(config, 40)
    assert ended.mean() > 0.9
    for ours, theirs in (("polysemantic",) * 2, ("shared", "signed_slots")):
        # Rounding can tip the race of two weights in a seed.
        assert (found[ours] != getattr(expected, theirs)).mean() <= 0.05
        assert expected.polysemantic.sum() > 20


def test_gradients_agree(independent: Any) -> None:
    weights = np.random.default_rng(0).normal(0, 0.4, (3, 6, 5))
    config = fp.Config(n_features=6, n_hidden=5, dtype="float64")
    _, expected = fp.loss_and_gradient(weights, config)
    np.testing.assert_allclose(independent.gradient(weights), expected, rtol=1e-5, atol=1e-6)


def test_parts_of_the_interference_add_up(independent: Any) -> None:
    weights = np.random.default_rng(1).normal(0, 0.4, (3, 6, 5))
    overlaps = np.maximum(weights @ weights.transpose(0, 2, 1), 0)
    overlaps[:, np.arange(6), np.arange(6)] = 0
    parts = [independent.interference(overlaps, weights, (one,)) for one in independent.ALL]
    np.testing.assert_allclose(sum(parts), overlaps @ weights, atol=1e-12)
    first = np.abs(weights).argmax(axis=1)
    for s, i, k in np.ndindex(3, 6, 5):
        f = first[s, k]
        terms = [overlaps[s, i, j] * weights[s, j, k] for j in range(6)]
        by = terms[f] if f != i else 0.0
        on = sum(terms) if f == i else 0.0
        among = sum(terms) - terms[f] if f != i else 0.0
        assert [part[s, i, k] for part in parts] == pytest.approx([by, on, among])


def page_rows() -> pd.DataFrame:
    """Seeds of two pages with equal columns."""
    folder = ROOT / "docs" / "findings"
    winners = pd.read_parquet(folder / "winners.parquet")
    winners = winners.assign(favourites=winners["rank_1"] / winners["features"])
    optimizers = pd.read_parquet(folder / "optimizers.parquet")
    optimizers = optimizers.assign(
        optimizer=optimizers["way"], favourites=optimizers["favourites"] / optimizers["features"]
    )
    # Settings that both pages have start from the same weights; one of them is enough.
    large = optimizers[optimizers["n_hidden"] == 2 * optimizers["n_features"]]
    return pd.concat([winners, large], ignore_index=True)


def test_it_measures_what_the_pages_say() -> None:
    page = page_rows()
    compared = large = 0
    for row in rows_of("independent"):
        assert row["ended"] == row["seeds"]
        n, m, l1 = int(row["n_features"]), int(row["n_hidden"]), float(row["l1"])
        here = page[(page["n_features"] == n) & (page["n_hidden"] == m)]
        here = here[np.isclose(here["l1"], l1) & (here["optimizer"] == row["optimizer"])]
        assert len(here) > 20
        for name in ("polysemantic", "favourites"):
            error = math.hypot(float(row[f"{name}_error"]), here[name].sem())
            assert float(row[name]) == pytest.approx(here[name].mean(), abs=3 * error), (row, name)
            compared += 1
            large += n >= 64
    assert compared >= 10
    assert large >= 3


def compared(row: pd.Series[Any], name: str, page: pd.Series[Any]) -> None:
    """Means over splits differ by at most three standard errors."""
    error = math.hypot(row[f"{name}_error"], page.sem())
    assert row[name] == pytest.approx(page.mean(), abs=3 * error), row[["data", "n_hidden", "arm"]]


def test_it_measures_what_the_page_on_treatments_says() -> None:
    page = pd.read_parquet(ROOT / "docs" / "findings" / "front.parquet")
    keys = ["data", "n_hidden", "treatment", "split"]
    page = page.groupby(keys)[["shared_last", "test_accuracy"]].mean()
    found = pd.read_csv(RESULTS / "independent_front.csv")
    found = found[(found["optimizer"] == "adam cosine") & found["n_hidden"].isin([40, 80])]
    arms = {"dropout 0": "none", "dropout 0.1": "dropout 0.1", "dropout 0.3": "dropout 0.3"}
    for _, row in found.iterrows():
        fast = row["learning_rate"] == 0.1
        arm = "learning rate 0.1" if fast else arms[row["arm"]]
        here = page.loc[(row["data"], row["n_hidden"], arm)]
        compared(row, "shared", here["shared_last"])
        compared(row, "accuracy", 100 * here["test_accuracy"])
    assert len(found) == 16


def test_it_measures_what_the_page_on_readouts_says_of_sums() -> None:
    page = pd.read_parquet(ROOT / "docs" / "findings" / "classify_sums.parquet")
    page = classify.chosen(Answers(page)).set_index(["n_hidden", "readout", "split"]).sort_index()
    found = pd.read_csv(RESULTS / "independent_sums.csv")
    found = found[(found["optimizer"] == "adam cosine") & (found["rows"] == 8000)]
    for _, row in found.iterrows():
        if row["arm"] not in classify.READOUTS:
            continue
        here, private = (page.loc[(row["n_hidden"], arm)] for arm in (row["arm"], "private"))
        compared(row, "accuracy_gap", 100 * (here["test_accuracy"] - private["test_accuracy"]))
        compared(row, "accuracy", 100 * here["test_accuracy"])
        compared(row, "shared", here["shared_last"])
    assert set(found["n_hidden"]) == {40, 80}


TITLES = {"digits": "digits", "mnist1d": "MNIST-1D"}
METHODS = {"adam cosine": "Adam", "momentum cosine": "SGD, momentum"}


def cells(row: pd.Series[Any], *names: str) -> list[str]:
    return [f"{row[name]:.2f} ± {row[f'{name}_error']:.2f}" for name in names]


def front_rows(found: pd.DataFrame) -> list[str]:
    """Rows of the page's two tables: changes under dropout, and learning rates."""
    made = []
    for _, row in found.iterrows():
        where = [TITLES[row["data"]], row["n_hidden"], METHODS[row["optimizer"]]]
        if row["arm"] == "dropout 0":
            where.append(f"{row['learning_rate']:g}")
            names = ("shared", "shared_read", "shared_read_few", "shared_read_test", "dead_last")
        else:
            where.append(row["arm"].removeprefix("dropout "))
            names = ("shared_gap", "shared_read_gap", "shared_read_test_gap", "accuracy_gap")
        made.append(f"| {' | '.join(map(str, [*where, *cells(row, *names)]))} |")
    return made


def sums_rows(found: pd.DataFrame) -> list[str]:
    """Rows of the page's table: what readouts gain on a private one."""
    made = []
    for _, row in found.iterrows():
        where = [row["n_hidden"], METHODS[row["optimizer"]], row["rows"], row["arm"]]
        names = ("accuracy", "accuracy_gap", "training_accuracy", "shared_read", "shared_first")
        lost = f"{row['not_learned']:.1f}"
        made.append(f"| {' | '.join(map(str, [*where, *cells(row, *names), lost]))} |")
    return made


CHECKS = {"front": front_rows, "sums": sums_rows}


@pytest.mark.parametrize(("name", "page"), [("front", "front"), ("sums", "classify")])
def test_pages_quote_what_it_measured(name: str, page: str) -> None:
    text = (ROOT / "docs" / "findings" / f"{page}.md").read_text(encoding="utf-8")
    for line in CHECKS[name](pd.read_csv(RESULTS / f"independent_{name}.csv")):
        assert line in text
