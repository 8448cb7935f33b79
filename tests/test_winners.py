"""The page on winners: what its text says, and two of its statements about training."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

import fastpolysem as fp
from fastpolysem.experiments import winners
from fastpolysem.experiments._answers import Answers

FINDINGS = Path(__file__).parents[1] / "docs" / "findings"


def shares(config: fp.Config, seeds: int) -> dict[str, float]:
    """Shares of represented features, by column of the probe."""
    found = winners.EXPERIMENT.PROBE(fp.train(config, seeds, return_weights=True))
    total = found["features"].sum()
    return {name: float(values.sum() / total) for name, values in found.items()}


@pytest.fixture
def config() -> fp.Config:
    return fp.Config(
        n_features=16,
        n_hidden=64,
        l1=0.04,
        l1_update="orthant",
        optimizer="sgd",
        learning_rate=0.06,
        steps=50_000,
        stop="certified",
    )


def test_a_lower_rate_of_adamw_does_not_bring_favourites_back(config: fp.Config) -> None:
    wide = dataclasses.replace(config, n_hidden=256, l1=0.02)
    slow = dataclasses.replace(wide, optimizer="adamw", learning_rate=0.25e-3)
    assert shares(slow, 24)["rank_1"] < 0.2
    assert shares(wide, 24)["rank_1"] > 0.65


def test_longer_looks_name_as_many(config: fp.Config, monkeypatch: pytest.MonkeyPatch) -> None:
    short = shares(config, 60)["early"]
    assert short == pytest.approx(0.77, abs=0.05)
    monkeypatch.setitem(winners.EARLY, "sgd", 1000)
    assert shares(config, 60)["early"] == pytest.approx(short, abs=0.01)


@pytest.mark.skipif(not FINDINGS.exists(), reason="no docs here")
def test_what_the_page_says_in_its_text() -> None:
    page = " ".join((FINDINGS / "winners.md").read_text(encoding="utf-8").split())
    means = winners.EXPERIMENT.table(Answers.read(FINDINGS / "winners.parquet"))
    sgd, adamw = (means[means["optimizer"] == one] for one in ("sgd", "adamw"))
    # The second largest wins less often, and so do those of lower ranks.
    assert (sgd["favourite"] > sgd["rank_2"] - sgd["favourite"]).all()
    assert (sgd["favourite"] > (sgd["rank_4"] - sgd["rank_2"]) / 2).all()
    looks = [
        f"{100 * part['early'].min():.0f} to {100 * part['early'].max():.0f} %"
        for _, part in sgd.groupby("n_features")
    ]
    assert f"{looks[0]} of the winners at n = 16, {looks[1]} at n = 64 and {looks[2]}" in page
    assert (
        f"identifies {100 * adamw['early'].min():.1g} to {100 * adamw['early'].max():.0f} %" in page
    )
    assert (adamw["early"] - adamw["favourite"]).max() < 0.15
    few = sgd[sgd["n_features"] == 16]
    part = winners.EARLY["sgd"] / few["steps_taken"]
    assert f"first {100 * part.min():.1g} to {100 * part.max():.1g} % of the steps" in page
    steps = means["steps_taken"]
    assert f"of {round(steps.min(), -2):.0f} to {round(steps.max(), -2):.0f}" in page
    assert (adamw["favourite"].to_numpy() < sgd["favourite"].to_numpy()).all()
    wide = adamw[adamw["n_hidden"] == 1024].set_index("n_features")
    times = (wide["favourite"] / wide["chance"]).round()
    assert f"{times[16]:.0f} times chance at n = 16, {times[256]:.0f} times at n = 256" in page
    assert times[64] == 0
    spread = {
        name: part.groupby(["n_features", "n_hidden"])["favourite"].agg(np.ptp).max()
        for name, part in (("sgd", sgd), ("adamw", adamw))
    }
    assert f"by at most {spread['sgd']:.2f}. Under AdamW" in page
    assert f"by at most {spread['adamw']:.2f}, which" in page
