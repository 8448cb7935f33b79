"""Settings that differ in one label only have tests and sentences of their own."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from fastpolysem import experiments
from fastpolysem.experiments._answers import Answers, apart, pairs
from fastpolysem.experiments._verdicts import EFFECT, INCONCLUSIVE, WITHIN, judged
from helpers import real_data

FINDINGS = Path(__file__).parents[1] / "docs" / "findings"
SEEDS = 6


def made_up(question: Any, configs: list[Any]) -> Answers:
    """Random results within the bounds of each column."""
    rng = np.random.default_rng(0)
    bounds = question.bounds()
    probed = {} if question.PROBE is None else question.PROBE.columns
    names = dict.fromkeys([*bounds, *getattr(question, "METRICS", ()), *probed])
    frames = []
    for config in configs:
        said = question.labels(config)
        labels = {name: [said[name]] * SEEDS for name in question.LABELS}
        frame: dict[str, Any] = {**labels, "seed": np.arange(SEEDS), "diverged": False}
        for name in names.keys() - frame.keys():
            dtype = np.dtype(probed[name].dtype if name in probed else "float64")
            if dtype.kind == "i":
                frame[name] = rng.integers(1, 9, SEEDS)
                continue
            low, high = bounds.get(name) or (0, 1)
            low = 0 if low is None else low
            values = rng.uniform(low, low + 1 if high is None else high, SEEDS)
            frame[name] = values > 0.5 if dtype.kind == "b" else values.astype(dtype)
        frame["finished"] = True
        if replicate := getattr(question, "REPLICATE", None):
            frame[replicate] = np.arange(SEEDS) // 2
        frames.append(pd.DataFrame(frame))
    return Answers(pd.concat(frames, ignore_index=True))


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("baseline", {"l1": [0.01, 0.02]}),
        ("boolean", {"optimizer": ["adam", "sgd"]}),
        ("contexts", {"neurons": [64, 128]}),
        ("contexts", {"contexts": [3, 6]}),
        ("diagnose", {"l1": [0.01, 0.02]}),
        ("diagnose", {"learning_rate": [0.001, 0.002]}),
        ("hidden", {"strength": [0.5, 1.0]}),
        ("hidden", {"n_features": [16, 32]}),
        ("kurtosis", {"l1": [0.01, 0.02]}),
        ("kurtosis", {"learning_rate": [0.01, 0.02]}),
        ("kurtosis", {"n_hidden": [16, 32]}),
        ("modular", {"neurons": [64, 128]}),
        ("necessary", {"l1": [0.01, 0.02]}),
        ("necessary", {"learning_rate": [0.001, 0.002]}),
        ("optimizers", {"l1": [0.01, 0.02]}),
        ("power", {"density": [0.05, 0.1]}),
        ("power", {"features": [20, 40]}),
        ("robustness", {"neurons": [20, 40]}),
        ("starts", {"l1": [0.01, 0.02]}),
        ("tradeoff", {"l1": [0.01, 0.02]}),
        ("winners", {"l1": [0.01, 0.02]}),
        ("winners", {"learning_rate": [0.001, 0.002]}),
        ("winners", {"n_features": [8, 16]}),
    ],
    ids=lambda value: value if isinstance(value, str) else next(iter(value)),
)
def test_each_setting_has_tests_of_its_own(name: str, changes: dict[str, Any]) -> None:
    question: Any = experiments.get(name)
    (label,) = changes
    rows = {}
    for values in (changes[label], changes[label][:1], changes[label][1:]):
        configs = question.configs("quick", **{label: values})
        rows[len(rows)] = made_up(question, configs)
    both, *single = (question.tests(rows[i]) for i in range(3))
    names = [test.name for test in both]
    assert len(set(names)) == len(names) == sum(map(len, single)) > 0
    found = judged(both)
    for outcome in (EFFECT, WITHIN, INCONCLUSIVE):  # by chance, nearly all are inconclusive
        assert "nan" not in question.sentence(rows[0], outcome, found.assign(outcome=outcome))
    assert question.draw(rows[0]).figure is plt.gcf()
    plt.close()


def test_names_add_only_what_is_needed() -> None:
    rows = pd.DataFrame({"n_hidden": [8, 8, 16], "l1": [0.1, 0.2, 0.1], "optimizer": "sgd"})
    first, second, third = ({str(k): v for k, v in row.items()} for row in rows.to_dict("records"))
    assert apart(first, rows, ("n_hidden",)) == ", λ = 0.1"
    assert apart(second, rows, ("n_hidden",)) == ", λ = 0.2"
    assert apart(third, rows, ("n_hidden",)) == ""
    assert apart(first, rows, ()) == ", m = 8, λ = 0.1"
    other = rows.assign(optimizer=["sgd", "adamw", "sgd"])
    assert apart({**second, "optimizer": "adamw"}, other, ("n_hidden", "l1")) == ""
    assert apart({"optimizer": "adamw"}, other, ()) == ", AdamW"


def test_seeds_of_two_settings_are_not_paired() -> None:
    rows = pd.DataFrame({"seed": [0, 1, 0], "loss": [1.0, 2.0, 3.0]})
    with pytest.raises(ValueError, match="loss: each seed must have one row on either side"):
        pairs(rows, rows[:2], "loss")


@pytest.mark.parametrize(
    ("name", "changes", "said"),
    [
        ("contexts", {"layers": 2}, "With two hidden layers, the weight on"),
        pytest.param(
            "classify", {"readout": ["random", "private"]}, "a private one", marks=real_data.MARKS
        ),
        pytest.param(
            "classify", {"readout": ["dense", "private"]}, "a dense one", marks=real_data.MARKS
        ),
        ("necessary", {"l1": [0.01, 0.02]}, "n = 32, SGD, λ = 0.02: yes at m = 16, 24, 32, 64"),
        ("power", {"power": [2.0, 3.0]}, "(effect for q = 3)"),
        ("starts", {"optimizer": ["adam", "adamw"]}, "with Adam, they change the number of shared"),
        ("optimizers", {"l1": [0.01, 0.02]}, "lowers the count in"),
        ("winners", {"optimizer": ["adam", "sgd"]}, "of the features. One step"),
    ],
    ids=lambda value: value if isinstance(value, str) and " " not in value else "",
)
def test_sentences_at_other_settings(name: str, changes: dict[str, Any], said: str) -> None:
    question: Any = experiments.get(name)
    rows = made_up(question, question.configs("quick", **changes))
    found = judged(question.tests(rows)).assign(outcome=EFFECT)
    sentence = question.say(rows, EFFECT, found)
    assert said in sentence
    assert "nan" not in sentence


def test_settings_of_one_optimiser_are_not_those_of_another() -> None:
    question: Any = experiments.get("starts")
    rows = made_up(question, question.configs("quick", optimizer=["adam", "adamw"]))
    found = judged(question.tests(rows)).assign(outcome=EFFECT)
    assert question.say(rows, EFFECT, found).count("in 3 of 3 settings") == 2


def test_the_page_on_optimisers_says_what_adam_adds() -> None:
    question: Any = experiments.get("optimizers")
    page = question.verdict(Answers.read(FINDINGS / "optimizers.parquet")).sentence
    assert "normalisation by coordinate (β₂ = 0.9) lowers the count in 9 of 10 cells" in page


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("amount", {"l1": [0.01, 0.02]}, "amount: l1 must be one value, got [0.01, 0.02]"),
        ("constant", {"init": ["normal", "uniform"]}, "constant: init must be one value"),
        ("constant", {"steps": [100, 200]}, "constant: steps must be one value"),
        ("baseline", {"learning_rate": 0.002}, "several configurations have the same n_features"),
        ("optimizers", {"learning_rate": 0.002}, "several configurations have the same"),
        ("tradeoff", {"repulsion": 0.3}, "tradeoff: repulsion must be 0.0, got 0.3"),
        ("tradeoff", {"noise": "gaussian", "noise_std": 0.02}, "tradeoff: noise_std must be 0.0"),
        ("kurtosis", {"optimizer": "adam"}, "kurtosis: optimizer must be 'sgd', got 'adam'"),
        (
            "absolute",
            {"steps": 100, "arm": "bias 0, rate 0.003, 4000 steps"},
            "absolute: no network has this combination of settings",
        ),
    ],
)
def test_what_a_table_would_merge_is_refused(
    name: str, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        experiments.get(name).configs("default", **changes)


def test_learning_rates_of_arms_without_a_name() -> None:
    question: Any = experiments.get("optimizers")
    configs = question.configs("quick", optimizer="sgd", learning_rate=[0.1, 0.2])
    assert question.table(made_up(question, configs))["learning_rate"].tolist() == [0.1, 0.2]


def test_networks_that_all_diverged_have_no_test() -> None:
    for name, changes in (("necessary", {}), ("boolean", {"optimizer": ["adam", "sgd"]})):
        question: Any = experiments.get(name)
        data = made_up(question, question.configs("quick", **changes))
        lost = data.rows["optimizer"] == data.rows["optimizer"].iloc[-1]
        rows = Answers(data.rows.assign(diverged=lost))
        found = judged(question.tests(rows)).assign(outcome=EFFECT)
        assert question.say(rows, EFFECT, found)
