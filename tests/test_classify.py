"""The price of a private readout: splits, their statistics, and what is chosen on which rows."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import fastpolysem as fp
from fastpolysem.experiments import _held_out, _splits, classify
from fastpolysem.experiments._answers import Answers
from fastpolysem.families.network import losses
from helpers.real_data import on_real_data


def rows_of(**columns: Any) -> pd.DataFrame:
    given = {"data": "digits", "n_hidden": 10, "learning_rate": 0.01, "split": 0, "seed": 0}
    fixed = {"diverged": False, "validation_loss": 1.0, "test_loss": 1.0, "not_learned": 0}
    return pd.DataFrame({**given, **fixed, **columns})


def test_splits_without_common_rows_have_students_interval() -> None:
    values = np.random.default_rng(0).normal(0.3, 1, 12)
    found, p_value = _splits.over_splits(values, 0)
    expected = stats.ttest_1samp(values, 0)
    assert p_value == pytest.approx(expected.pvalue)
    assert found[1:] == pytest.approx(expected.confidence_interval(0.95))


def test_intervals_over_splits_of_one_data_set_cover_its_mean() -> None:
    """Means of test rows that 300 of 1000 rows are drawn for again and again: the population's
    mean is in the corrected interval at least as often as stated, and seldom in Student's."""
    rng = np.random.default_rng(1)
    inside = {0.0: 0, 300 / 700: 0}
    for _ in range(300):
        rows = rng.normal(0, 1, 1000)
        means = [rng.permutation(rows)[:300].mean() for _ in range(40)]
        for overlap in inside:
            found = _splits.over_splits(means, overlap)[0]
            inside[overlap] += found.low <= 0 <= found.high
    assert inside[0.0] < 200
    assert inside[300 / 700] >= stats.binom.ppf(0.001, 300, 0.95)


def test_few_or_equal_splits() -> None:
    one = _splits.compared_over_splits("one", [0.5], 0.2, 0.5, unit=100)
    assert (one.difference.value, np.isnan(one.p_value)) == (0.5, True)
    equal = _splits.compared_over_splits("equal", [0.0] * 8, 0.2, 0.5, unit=100)
    assert equal.p_value == 1
    assert equal.difference.high == pytest.approx(100 * (1 - 0.025 ** (1 / 8)))


def test_rates_are_chosen_on_validation_rows_of_the_split() -> None:
    rows = pd.concat(
        rows_of(
            readout=["dense"] * 2,
            seed=[2 * split, 2 * split + 1],
            split=split,
            learning_rate=rate,
            validation_accuracy=validation,
            test_accuracy=np.asarray(validation) + 0.01 * split,
        )
        for split, rate, validation in (
            (0, 0.01, [0.9, 0.5]),
            (0, 0.1, [0.6, 0.7]),
            (1, 0.01, [0.8, 0.8]),
            (1, 0.1, [0.8, 0.8]),
        )
    )
    found = classify.chosen(Answers(rows))
    assert found["learning_rate"].tolist() == [0.01, 0.01]
    np.testing.assert_allclose(found["test_accuracy"], [0.7, 0.81])
    rows.loc[(rows["split"] == 1) & (rows["learning_rate"] == 0.01), "diverged"] = True
    assert classify.chosen(Answers(rows))["learning_rate"].tolist() == [0.01, 0.1]
    rows["validation_loss"] = 1 - rows["learning_rate"]
    assert classify.chosen(Answers(rows), "loss")["learning_rate"].tolist() == [0.1, 0.1]


def test_differences_pair_splits() -> None:
    means = rows_of(
        readout=["dense", "private", "dense", "private", "dense"],
        split=[0, 0, 1, 1, 2],
        test_accuracy=[0.9, 0.8, 0.7, 0.9, 0.1],
    )
    found = _splits.differences(
        means, "digits", 10, "readout", ("dense", "private"), "test_accuracy"
    )
    np.testing.assert_allclose(found, [0.1, -0.2])


@pytest.mark.parametrize(
    ("upper", "expected"),
    [([9, 0.4, 0.3], 20), ([0.1, 0.7, 0.3], 40), ([0.1, 0.2, 0.6], None), ([9, np.nan, 0.2], 40)],
)
def test_free_is_free_at_every_larger_width(upper: list[float], expected: int | None) -> None:
    assert classify.free_from([10, 20, 40], upper) == expected


@on_real_data
def test_halves_of_held_out_digits_have_equal_shares() -> None:
    data = _splits.split_of("digits", 3)
    assert data.held_out is not None
    classes = data.held_out[1]
    half = (len(classes) + 1) // 2
    assert (len(classes) - half) / len(data.targets) == _splits.SOURCES["digits"].overlap
    for part in np.split(classes, [half]):
        np.testing.assert_allclose(np.bincount(part), np.bincount(classes) / 2, atol=1)
    other = _splits.split_of("digits", 4)
    assert data != other


@on_real_data
def test_seeds_of_a_split_and_what_is_measured() -> None:
    experiment = classify.EXPERIMENT
    settings: dict[str, Any] = {"n_hidden": 10, "learning_rate": 0.03, "steps": 100}
    rows = experiment.run("quick", seeds=5, progress=False, **settings).rows
    private = rows[rows["readout"] == "private"]
    assert private["split"].tolist() == [0, 0, 0, 0, 1]
    assert private["seed"].tolist() == [0, 1, 2, 3, 4]
    (case,) = (one for one in experiment.configs("quick", readout="private", **settings))
    config = case.config.replace(inputs=_splits.split_of("digits", 1))
    result = fp.train(config, [4], return_weights=True)
    last = private.iloc[-1]
    both = (270 * last["validation_accuracy"] + 269 * last["test_accuracy"]) / 539
    assert both == pytest.approx(result.held_out_accuracy[0], abs=1e-6)
    both = (270 * last["validation_loss"] + 269 * last["test_loss"]) / 539
    assert both == pytest.approx(result.held_out_loss[0], rel=1e-5)
    assert last["shared_last"] == pytest.approx(result.shared_use[0], abs=1e-6)
    start = fp.train(config.replace(steps=0), [4])
    assert last["shared_last_start"] == pytest.approx(start.shared_use[0], abs=1e-6)
    for name in ("", "_chance", "_start"):  # no residual: the readout reads the last layer
        assert last[f"shared_read{name}"] == last[f"shared_last{name}"]


@on_real_data
def test_several_labels_are_scored_label_by_label() -> None:
    experiment = classify.EXPERIMENT
    settings: dict[str, Any] = {"n_hidden": 20, "learning_rate": 0.03, "steps": 60}
    rows = experiment.run("sums", seeds=2, progress=False, **settings).rows
    dense = rows[rows["readout"] == "dense"]
    assert dense["split"].tolist() == [0, 1]
    (case,) = experiment.configs("sums", readout="dense", **settings)
    config = case.config.replace(inputs=_splits.split_of("mnist1d_sums", 1))
    result = fp.train(config, [1], return_weights=True)
    last = dense.iloc[1]
    both = (last["validation_accuracy"] + last["test_accuracy"]) / 2  # halves of equal size
    assert both == pytest.approx(result.held_out_accuracy[0], abs=1e-6)
    both = (last["validation_loss"] + last["test_loss"]) / 2
    assert both == pytest.approx(result.held_out_loss[0], rel=1e-5)


@on_real_data
def test_diverged_seeds_are_measured_without_weights() -> None:
    (case,) = classify.EXPERIMENT.configs(
        "quick", n_hidden=10, learning_rate=0.03, readout="dense", steps=1
    )
    result = fp.train(case.config, 2, return_weights=True)
    result.weights.weights[0][1] = np.nan
    result = dataclasses.replace(result, diverged=np.array([False, True]))
    taken = classify.EXPERIMENT.PROBE(result)
    assert all(np.isfinite(values).all() for values in taken.values())
    assert taken["test_loss"][1] == pytest.approx(np.log(10))


def test_what_is_read_is_the_last_layer_with_its_residual() -> None:
    rng = np.random.default_rng(0)
    rows, labels = rng.normal(size=(60, 5)), rng.integers(0, 3, 60)
    config = fp.NetworkConfig(
        widths=(5, 6, 6, 3),
        residual=(2,),
        bias=True,
        inputs=fp.Dataset(rows, labels, batch_size=20),
        loss=losses.CrossEntropy(),
        dtype="float64",
        steps=30,
        learning_rate=0.05,
    )
    result = fp.train(config, 2, return_weights=True)
    weights: Any = result.weights
    rises = _held_out.rises_of_read(weights, config)
    for s in range(2):
        (a, b, w), (u, v, c) = ([one[s] for one in x] for x in (weights.weights, weights.biases))
        first = np.maximum(rows @ a + u, 0)
        read = first + np.maximum(first @ b + v, 0)
        before = by_class(read, w, c, labels)
        for k in range(6):
            ablated = read.copy()
            ablated[:, k] = read[:, k].mean()
            expected = by_class(ablated, w, c, labels) - before
            np.testing.assert_allclose(rises[s, k], expected, atol=1e-9)


def by_class(read: Any, w: Any, c: Any, labels: Any) -> Any:
    """Mean cross-entropy of the rows of each class."""
    logits = read @ w + c
    each = np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(labels)), labels]
    return np.array([each[labels == one].mean() for one in range(3)])
