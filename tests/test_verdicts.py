"""Verdicts: the tests behind them, their correction, and how often they speak of nothing."""

from __future__ import annotations

import math
import re

import numpy as np
import pandas as pd
import pytest
from scipy import integrate, stats

from fastpolysem.experiments._answers import Answers, name_of, pairs, summary
from fastpolysem.experiments._pages import cell, estimate, with_tables
from fastpolysem.experiments._roc import logistic, roc
from fastpolysem.experiments._tables import of_means
from fastpolysem.experiments._verdicts import (
    EFFECT,
    INCONCLUSIVE,
    WITHIN,
    Comparison,
    compared,
    holm,
    judged,
    overall,
    p_text,
    power_within,
    span,
    text,
    verdict_of,
)
from fastpolysem.statistics import Estimate


def test_holm_by_hand() -> None:
    # Ascending 0.01, 0.02, 0.03, 0.04 times 4, 3, 2, 1, made monotone.
    np.testing.assert_allclose(holm([0.03, 0.01, 0.04, 0.02]), [0.06, 0.04, 0.06, 0.06])
    np.testing.assert_allclose(holm([0.5, math.nan]), [1.0, 1.0])
    assert holm([]).size == 0


def test_holm_keeps_the_chance_of_any_false_alarm() -> None:
    rng = np.random.default_rng(0)
    alarms = sum((holm(rng.random(7)) <= 0.05).any() for _ in range(2000))
    assert stats.binomtest(alarms, 2000, 0.05).pvalue > 1e-3


def test_power_of_equivalence() -> None:
    rng = np.random.default_rng(9)
    half, margin = 0.6, 1.0
    centers = rng.normal(0, half / 1.96, 200_000)
    share = (np.abs(centers) + half <= margin).mean()
    assert power_within(-half, half, margin) == pytest.approx(share, abs=0.005)
    assert power_within(-2.0, 2.0, 1.0) == 0
    assert power_within(0.5, 0.5, 1.0) == 1
    assert math.isnan(power_within(math.nan, math.nan, 1.0))


def test_p_values_are_never_printed_as_zero() -> None:
    assert p_text(0.0) == p_text(9e-11) == "< 1e-10"
    assert (p_text(1e-10), p_text(0.0123), p_text(math.nan)) == ("1e-10", "0.012", "-")
    zero = Comparison("far", Estimate(2.0, 1.5, 2.5), 0.0, 0.5)
    verdict = verdict_of([zero], "Some tests", lambda *_: "")
    assert str(verdict).count("< 1e-10") == 2


def test_spans() -> None:
    assert span([0.25, 0.1, 0.4]) == "0.1 to 0.4"
    assert span([0.251, 0.249]) == "0.25"


def test_outcomes() -> None:
    tests = [
        Comparison("far", Estimate(2.0, 1.5, 2.5), 1e-9, 0.5),
        Comparison("near", Estimate(0.1, -0.2, 0.4), 0.5, 0.5),
        Comparison("vague", Estimate(0.1, -0.8, 1.0), 0.8, 0.5),
        Comparison("small", Estimate(0.1, 0.09, 0.11), 1e-9, 0.5),
        Comparison("unknown", Estimate(math.nan, math.nan, math.nan), math.nan, 0.5),
    ]
    table = judged(tests)
    assert table["outcome"].tolist() == [
        EFFECT,
        WITHIN,
        INCONCLUSIVE,
        WITHIN,
        INCONCLUSIVE,
    ]
    assert table["p_holm"].tolist()[0] == pytest.approx(5e-9)
    assert overall(table) == EFFECT
    assert overall(table.iloc[[1]]) == WITHIN
    assert overall(table.iloc[[1, 2]]) == INCONCLUSIVE
    found = verdict_of(tests[1:2], "Some tests", lambda outcome, _: f"It is {outcome}.")
    rows = verdict_of(tests, "Some tests", lambda *_: "").markdown().splitlines()
    assert rows[2] == "| far | +2 | +1.5 … +2.5 | 5e-09 | effect |"
    assert len(rows) == 7
    assert str(found).endswith("Verdict (within the margin): It is within the margin.")


def test_cells_of_missing_numbers_are_empty() -> None:
    nan = float("nan")
    assert [cell(one) for one in (0.12345, 1e-9, nan)] == ["0.123", "1e-09", ""]
    assert estimate(0.5, 0.25, 1) == text((0.5, 0.25, 1)) == "0.5 [0.25, 1]"
    assert estimate(0.5, nan, nan) == text((0.5, nan, nan)) == "0.5"
    assert estimate(nan, nan, nan) == ""
    rows = pd.DataFrame({"m": [4.0, nan], "x": [1.5, nan], "x_low": [1, nan], "x_high": [2, nan]})
    table = of_means(rows, {"m": "m"}, {"x": "x"})
    assert table.splitlines()[2:] == ["| 4 | 1.5 [1, 2] |", "|  |  |"]


def test_tables_are_filled_in_where_they_stand() -> None:
    page = "<!-- a b -->\nold\n<!-- end -->\ntext <!-- other -->\n<!-- c -->\n<!-- end -->"
    filled = with_tables(page, {"a b": lambda: "one", "c": lambda: "two"})
    assert re.findall(r"<!-- ([ab c]+) -->\s+(\w+)\s+<!-- end -->", filled) == [
        ("a b", "one"),
        ("c", "two"),
    ]
    assert "text <!-- other -->" in filled
    assert with_tables(filled, {"a b": lambda: "one", "c": lambda: "two"}) == filled
    with pytest.raises(ValueError, match="must have 2 tables, has 1"):
        with_tables(page, {"a b": lambda: "one", "d": lambda: "two"})


@pytest.mark.parametrize("paired", [False, True])
@pytest.mark.parametrize("relative", [False, True])
def test_intervals_cover_and_nothing_is_found_where_nothing_is(
    paired: bool, relative: bool
) -> None:
    rng = np.random.default_rng(1)
    covered = alarms = 0
    for _ in range(400):
        common = rng.normal(10, 2, 60)
        a, b = (common + rng.normal(0, 1, 60) for _ in range(2))
        shift = 1.0 if relative else 0.0
        one = compared("", a + shift, b, 0.1, paired=paired, relative=relative)
        truth = 0.1 if relative else 0.0
        covered += one.difference.low <= truth <= one.difference.high
        alarms += compared("", a, b, 0.1, paired=paired, relative=relative).p_value <= 0.05
    # Unpaired tests of paired values are on the safe side.
    assert covered >= stats.binom.ppf(1e-3, 400, 0.95)
    assert alarms <= stats.binom.ppf(0.999, 400, 0.05)


def test_values_that_do_not_vary() -> None:
    same = np.array([1, 2, 0, 3] * 25)
    one = compared("", same, same, 0.05, paired=True)
    assert one.difference.value == 0
    assert one.p_value == 1
    assert one.difference.high == pytest.approx(1 - 0.025 ** (1 / 100))  # 1 of 28 could differ
    relative = compared("", same, same, 0.05, paired=True, relative=True)
    assert relative.difference.high == pytest.approx(one.difference.high / 1.5)
    gone = compared("", 0 * same, same, 0.05, paired=True, relative=True)
    assert gone.difference.value == -1
    assert gone.difference.low == -1
    # The exact interval of a Poisson mean after none in 100 seeds, over the mean 1.5.
    assert gone.difference.high == pytest.approx(-1 + stats.chi2.ppf(0.975, 2) / 2 / 100 / 1.5)
    assert gone.p_value < 1e-9
    for a, b in (([1.0], [2.0, 3.0]), ([1.0, 2.0], [0.0, 0.0])):
        assert math.isnan(compared("", a, b, 0.1, relative=True).p_value)


def test_answers() -> None:
    rows = pd.DataFrame(
        {
            "way": ["a"] * 3 + ["b"] * 3,
            "seed": [2, 0, 1, 0, 1, 3],
            "diverged": [False, False, True, False, False, False],
            "count": [5.0, 3.0, -1.0, 4.0, 1.0, np.nan],
        }
    )
    data = Answers(rows)
    assert data.where(way="a")["count"].tolist() == [3.0, 5.0]
    a, b = pairs(data.where(way="a"), data.where(way="b"), "count")
    assert (a.tolist(), b.tolist()) == ([3.0], [4.0])
    table = summary(data, ["way"], ["count"])
    assert table[["seeds", "diverged", "count"]].values.tolist() == [[3, 1, 4.0], [3, 0, 2.5]]


def test_names_of_ways() -> None:
    import fastpolysem as fp

    ways = {"plain": {"optimizer": "sgd"}, "fast": {"optimizer": "sgd", "learning_rate": 0.1}}
    usual = {"learning_rate": 1e-3}
    config = fp.Config(n_features=2, n_hidden=2, optimizer="sgd")
    assert name_of(config, ways, usual) == "plain"
    assert name_of(config.replace(learning_rate=0.1), ways, usual) == "fast"
    assert name_of(config.replace(learning_rate=0.2), ways, usual) is None


def test_roc_by_counting() -> None:
    rng = np.random.default_rng(2)
    score, truth = rng.integers(0, 6, 80), rng.random(80) < 0.4
    found = roc(score, truth)
    yes, no = score[truth], score[~truth]
    wins = (yes[:, None] > no).mean() + (yes[:, None] == no).mean() / 2
    assert found.area.value == pytest.approx(wins)
    assert integrate.trapezoid(found.found, found.false_alarms) == pytest.approx(wins)
    assert (found.false_alarms[-1], found.found[-1]) == (1, 1)
    perfect = roc(truth.astype(float), truth)
    assert perfect.area.value == perfect.area.high == 1
    assert 0.8 < perfect.area.low < 1
    assert perfect.p_value < 1e-6
    useless = roc(np.zeros(80), truth)
    assert useless.area.value == 0.5
    assert useless.p_value == 1
    assert math.isnan(roc(score, np.ones(80, dtype=bool)).area.value)


def test_area_of_the_roc_is_covered() -> None:
    rng = np.random.default_rng(3)
    truth = np.arange(120) % 3 == 0
    expected = stats.norm.cdf(1 / math.sqrt(2))
    inside = 0
    for _ in range(300):
        _, low, high = roc(rng.standard_normal(120) + truth, truth).area
        inside += low <= expected <= high
    assert inside >= stats.binom.ppf(1e-3, 300, 0.95)


def test_logistic_scores_order_as_the_chances_do() -> None:
    rng = np.random.default_rng(4)
    x = rng.standard_normal((2000, 2)) * [1, 100]
    chance = 1 / (1 + np.exp(-(x[:, 0] - 0.02 * x[:, 1])))
    score = logistic(x, rng.random(2000) < chance, x[:500])
    assert stats.spearmanr(score, chance[:500]).statistic > 0.99
    separable = logistic(x, x[:, 0] > 0, x)
    assert np.isfinite(separable).all()
    assert ((separable > 0) == (x[:, 0] > 0)).mean() > 0.95
