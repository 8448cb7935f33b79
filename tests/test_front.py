"""The front of loss against sharing: its networks, its means and its words."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from fastpolysem.experiments import _splits, front
from fastpolysem.experiments._answers import Answers
from fastpolysem.experiments._verdicts import EFFECT, WITHIN
from helpers.real_data import on_real_data

EXPERIMENT = front.EXPERIMENT


def made_up(**shared: float) -> Answers:
    """Eight splits of four seeds with this shared use by treatment, and 0.7 untreated."""
    rng = np.random.default_rng(0)
    parts = []
    for name, use in {front.NONE: 0.7, **shared}.items():
        for split in range(8):
            noise = rng.normal(0, 0.005, 4)
            parts.append(
                pd.DataFrame(
                    {
                        "data": "digits", "n_hidden": 40, "treatment": name, "split": split,
                        "seed": 4 * split + np.arange(4), "diverged": False,
                        "shared_last": use + noise, "test_loss": 0.1 + (name != front.NONE) * 0.02,
                        "test_accuracy": 0.97 - (name != front.NONE) * 0.001 + noise / 100,
                        "accuracy": 1.0, "not_learned": 0, "dead": 3, "neurons_per_concept": 6.0,
                        "concepts_last": 2.7, "shared_last_chance": 0.6, "shared_last_start": 0.9,
                        "shared_read": use + noise,
                    }
                )
            )  # fmt: skip
    return Answers(pd.concat(parts, ignore_index=True))


@on_real_data
def test_each_treatment_changes_one_thing() -> None:
    configs = EXPERIMENT.configs("default", n_hidden=40)
    cases = {case.labels["treatment"]: case.config for case in configs}
    plain = cases[front.NONE]
    assert plain.learning_rate == front.RATE
    changed = {
        "l1 0.001": {"l1": 1e-3},
        "noise 0.3": {"noise": "gaussian", "noise_std": 0.3},
        "dropout 0.5": {"dropout": 0.5},
        "learning rate 0.1": {"learning_rate": 0.1},
        front.PRIVATE: {"readout": "private"},
    }
    assert set(cases) == set(front.TREATMENTS)
    for name, fields in changed.items():
        assert cases[name] == plain.replace(**fields)
    assert cases["label noise 0.1"] == plain  # its rows are noisy


@on_real_data
def test_label_noise_is_that_of_the_rows() -> None:
    data = _splits.split_of("digits", 2)
    for case in front.EXPERIMENT.configs("quick", n_hidden=40, treatment=list(front.TREATMENTS)):
        name = case.labels["treatment"]
        rows = front.EXPERIMENT.inputs(case, 2)
        kind, strength = front.TREATMENTS[name]
        assert rows.label_noise == (strength if kind == "label noise" else 0)
        assert (rows.sha256, rows.batch_size) == (data.sha256, data.batch_size)


def test_means_are_paired_by_split() -> None:
    data = made_up(**{"dropout 0.3": 0.4})
    means = front.by_split(data)
    assert len(means) == 16
    assert means["seeds"].eq(4).all()
    wanted = ("digits", 40, "treatment", ("dropout 0.3", "none"), "shared_last")
    gap = _splits.differences(means, *wanted)
    np.testing.assert_allclose(gap, -0.3, atol=0.02)
    lost = data.rows.assign(diverged=(data.rows["split"] == 3) & (data.rows["treatment"] != "none"))
    means = front.by_split(Answers(lost))
    assert len(_splits.differences(means, *wanted)) == 7


def test_the_front_is_what_nothing_beats() -> None:
    table = pd.DataFrame(
        {
            "data": "digits", "n_hidden": [40] * 4 + [80], "test_loss": [1.0, 2.0, 2.0, 3.0, 9.0],
            "shared_last": [0.5, 0.4, 0.3, 0.3, 0.9],
        }
    )  # fmt: skip
    assert front._on_front(table).tolist() == [True, False, True, False, True]


def test_verdicts_on_data_made_up() -> None:
    found = EXPERIMENT.verdict(made_up(**{"dropout 0.3": 0.4, "l1 0.001": 0.71}))
    assert found.outcome == EFFECT
    outcomes = found.tests.set_index("test")["outcome"]
    assert outcomes["digits, h = 40: dropout 0.3"] == EFFECT
    assert outcomes["digits, h = 40: l1 0.001"] == WITHIN
    assert "is lower with dropout 0.3 (0.40; price 0.098" in found.sentence
    assert "points, at no price)" in found.sentence
    more = EXPERIMENT.verdict(made_up(**{"dropout 0.3": 0.9}))
    assert more.outcome == EFFECT
    assert "was reduced by no treatment" in more.sentence


def test_the_table_tells_prices_and_the_front() -> None:
    data = made_up(**{"dropout 0.3": 0.4, "l1 0.001": 0.8})
    table = EXPERIMENT.table(data).set_index("treatment")
    assert table.loc["dropout 0.3", "less"] == pytest.approx(0.3, abs=0.01)
    assert table.loc["dropout 0.3", "price"] == pytest.approx(0.1, abs=0.02)
    assert table.loc["dropout 0.3", "price_loss"] == pytest.approx(0.02)
    assert table["front"].to_dict() == {"none": True, "dropout 0.3": True, "l1 0.001": False}
    shown: Any = EXPERIMENT.tables(data)["numbers"].splitlines()
    assert len(shown) == 2 + 3
    assert shown[2].endswith("| yes |")
