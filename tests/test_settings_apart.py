"""Settings that differ in one label only have tests and sentences of their own."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from fastpolysem import experiments
from fastpolysem.experiments._answers import Answers, apart, pairs

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
            low, high = bounds.get(name) or (0, 1)
            low = 0 if low is None else low
            values = rng.uniform(low, low + 1 if high is None else high, SEEDS)
            dtype = np.dtype(probed[name].dtype if name in probed else "float64")
            frame[name] = values > 0.5 if dtype.kind == "b" else np.round(values, 3).astype(dtype)
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
    assert len(set(names)) == len(names) == sum(map(len, single))
    assert question.verdict(rows[0]).sentence
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
