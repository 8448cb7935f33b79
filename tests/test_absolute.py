"""The experiment on |x|, density and start biases: its yardsticks on networks made by hand."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import fastpolysem as fp
from fastpolysem.experiments import absolute
from fastpolysem.experiments._answers import Answers
from fastpolysem.experiments._networks import Case
from fastpolysem.experiments._sparse_tasks import (
    BIASES,
    PUBLISHED,
    TWO,
    WIDTHS,
    bias_arm,
    wide_arm,
)

FINDINGS = Path(__file__).parents[1] / "docs" / "findings"


def config(arm: str = "absolute", density: float = 0.1, **settings: Any) -> fp.NetworkConfig:
    case = absolute.EXPERIMENT.case(arm=arm, density=density, **settings)
    assert isinstance(case, Case)
    return case.config


def apart(n: int) -> list[np.ndarray]:
    """Two neurons per feature: the positive and the negative part."""
    eye = np.eye(n, dtype=np.float32)
    return [np.concatenate([eye, -eye], axis=1), np.concatenate([eye, eye])]


def stacked(*networks: list[np.ndarray]) -> fp.NetworkParameters:
    outputs = networks[0][-1].shape[1]
    biases = [None, np.zeros((len(networks), outputs), np.float32)]
    return fp.NetworkParameters([np.stack(one) for one in zip(*networks, strict=True)], biases)


@pytest.mark.parametrize("density", [1.0, 0.03])
def test_two_neurons_per_feature_are_exact_and_apart(density: float) -> None:
    settings = config(density=density).replace(widths=(20, 40, 20))
    mixed = apart(20)
    mixed[0][1, :2] = [1, 0]  # the first neuron serves the second feature instead of its own
    mixed[1][0, 1] = 1.0
    found = absolute.use_of_features(stacked(apart(20), mixed), settings)
    assert found.loss[0].max() < 1e-10
    assert found.learned[0].all()
    assert found.shared_use[0] == 0
    assert found.neurons_per_concept[0] == pytest.approx(2, rel=0.02)
    assert found.effective_concepts[0] == pytest.approx(1)
    if density < 1:  # two features that are always on only disturb each other
        assert found.shared_use[1] > 0
        np.testing.assert_array_equal(absolute.both_kinds(found.rises[0]), [False, True])


def test_signs_are_no_features() -> None:
    """By +i and -i apart, dense inputs make the two neurons of a feature look shared: at its mean,
    the neuron of the other sign disturbs the output."""
    settings = config(density=1.0).replace(widths=(20, 40, 20))
    weights = stacked(apart(20))
    assert fp.measure(weights, settings).shared_use[0] == 1
    assert absolute.use_of_features(weights, settings).shared_use[0] == 0


def test_the_published_recipe() -> None:
    one = config(PUBLISHED, 0.01)
    assert (one.widths, one.steps, one.learning_rate) == ((100, 40, 100), 10_000, 1e-3)
    assert (one.optimizer, one.output, one.bias) == ("adamw", "relu", (False, True))
    assert (one.tied, one.learning_rate_schedule) == (False, None)
    assert one.inputs == fp.Independent(0.01, 1024, "signed_uniform")
    assert one.importance is not None
    np.testing.assert_allclose(one.importance, 0.8 ** np.arange(100))
    # Their loss is a mean over rows and outputs, and epsilon has its scale.
    assert one.epsilon == pytest.approx(1e-8 * one._scale(1024) * 1024 * 100)
    tied = config("autoencoder", 0.01)
    assert (tied.widths, tied.tied, tied.bias) == ((10, 5, 10), True, (False, True))


def test_biases_start_and_decay_as_stated() -> None:
    rate, steps = 0.003, 4000
    one = config(bias_arm(-1.0, rate, steps))
    start = fp.train(one.replace(steps=0, bias_decay=None), 1, return_weights=True).weights
    assert set(np.unique(start.biases[1])) == {-1.0}
    assert one.bias_decay is not None
    kappas = np.interp(np.arange(steps), *zip(*one.bias_decay, strict=True))
    assert np.prod(1 - rate * kappas) == pytest.approx(np.exp(-5), rel=0.01)
    assert not kappas[steps // 2 + 1 :].any()
    assert config(bias_arm(0.0, rate, steps)).bias_decay is None


def test_responses_are_to_single_features() -> None:
    one = config(next(iter(BIASES))).replace(widths=(3, 3, 2, 3), steps=0)
    result = fp.train(one, 1, return_weights=True)
    result.weights.weights[0][0] = np.eye(3)
    result.weights.weights[1][0] = [[1, 1], [0, 1], [0, -1]]
    result.weights.biases[1][0] = [-0.25, 2.0]
    found = absolute.Apart._responses(result.weights, one)
    np.testing.assert_allclose(found[0], [[0.75, 0, 0], [1, 1, -1]])


def test_values_of_a_seed_depend_on_the_seed_alone() -> None:
    one = config(steps=200)
    probe = absolute.Apart()
    whole = probe(fp.train(one, 6, return_weights=True))
    part = probe(fp.train(one, [2, 3], return_weights=True))
    assert set(whole) == set(probe.columns)
    for name, values in part.items():
        np.testing.assert_allclose(values, whole[name][2:4], rtol=1e-6, err_msg=name)


def test_diverged_seeds_are_measured_as_zeros() -> None:
    result = fp.train(config(steps=5), 2, return_weights=True)
    result.weights.weights[0][1] = np.nan
    result = dataclasses.replace(result, diverged=np.array([False, True]))
    found = absolute.Apart()(result)
    assert (found["shared"][1], found["learned"][1]) == (0, 0)


def test_dense_networks_keep_apart_what_sparse_ones_share() -> None:
    shares = {}
    for density in (1.0, 0.03):
        result = fp.train(config(density=density, steps=4000), 4, return_weights=True)
        shares[density] = absolute.use_of_features(result.weights, result.config).shared_use.mean()
    assert shares[1.0] < 0.2 < 0.6 < shares[0.03]


def test_each_network_is_trained_once() -> None:
    cases = absolute.EXPERIMENT.configs("paper")
    labels = [tuple(case.labels.values()) for case in cases]
    assert len(set(labels)) == len(labels)
    assert sum(arm in BIASES for arm, _ in labels) == len(BIASES)
    assert sum(arm == "autoencoder, longer" for arm, _ in labels) == 2


def test_the_table_of_the_smallest_case() -> None:
    rows = pd.DataFrame(
        {
            "arm": [next(iter(TWO))] * 4,
            "seed": range(4),
            "diverged": False,
            "loss": [0.0, 1.0, 2.0, 1e-5],
            "alignment": [0.6, 0.1, 0.1, 0.8],
            "positive_alignment": [1.0, 0.1, 0.1, 0.9],
        }
    )
    table = absolute.EXPERIMENT.tables(Answers(rows))["two"]
    assert table.splitlines()[2] == "| relu | 4 | 0.5 | 0.25 | 0.25 | 0.65, 0.7, 0.75 | " + (
        "0.925, 0.95, 0.975 | 0.5 |"
    )


@pytest.mark.skipif(not FINDINGS.exists(), reason="no docs here")
def test_what_the_page_says_of_starts() -> None:
    rows = pd.read_parquet(FINDINGS / "absolute_starts.parquet")
    page = " ".join((FINDINGS / "absolute.md").read_text(encoding="utf-8").split())
    were = {}
    for arm in TWO:
        solved = rows.loc[rows["arm"] == arm].sort_values("seed")["loss"].to_numpy() < 1e-3
        start = fp.train(config(arm, steps=0), len(solved), return_weights=True).weights
        first, last = start.weights
        on = first > 0
        either = [on[:, 0, 0] & on[:, 1, 1], on[:, 0, 1] & on[:, 1, 0]]
        alone = (on.sum(axis=(1, 2)) == 2) & np.logical_or(*either)
        own = np.diagonal(np.maximum(first, 0) @ last, axis1=1, axis2=2)
        allowed = np.logical_or(*either) & (own > 0).all(axis=1)
        assert allowed.mean() == pytest.approx(7 / 64, abs=0.003)
        were[arm] = (solved[allowed].mean(), allowed[solved].mean(), alone[solved].mean())
    (kept, kind, relu), (_, _, linear) = were.values()
    assert f"{100 * kept:.0f} % are solved, and {100 * kind:.0f} % of the solved" in page
    assert (
        f"{100 * relu:.0f} % (linear output: {100 * linear:.0f} %) of the same starts were" in page
    )


@pytest.mark.skipif(not FINDINGS.exists(), reason="no docs here")
def test_what_the_page_says_in_its_text() -> None:
    page = " ".join((FINDINGS / "absolute.md").read_text(encoding="utf-8").split())
    means = absolute.EXPERIMENT.table(Answers.read(FINDINGS / "absolute.parquet"))
    sparse = means[means["density"] <= 0.1]
    ends = [
        f"{100 * part.min():.0f} to {100 * part.max():.0f} %"
        for arm in ("absolute", "autoencoder")
        for part in [sparse.loc[sparse["arm"] == arm, "both"]]
    ]
    assert f"below, {ends[0]} of the |x| networks, and {ends[1]} of the autoencoders" in page
    by_arm = means.set_index("arm")
    slow, fast = (by_arm.loc[bias_arm(0.0, rate, 16_000)] for rate in (0.003, 0.01))
    assert f"share from {slow['shared']:.3f} to {fast['shared']:.3f}" in page
    assert f"the loss from {slow['loss']:.2f} to {fast['loss']:.2f}" in page
    silent = by_arm.loc[bias_arm(-1.0, 0.01, 16_000), "silent"]
    assert f"where {100 * silent:.0f} % of the neurons stay silent" in page
    pure = means.loc[means["arm"].isin(BIASES), "pure"].max()
    assert f"with 128 neurons at most {100 * pure:.1f} % of them are *pure*" in page
    wider = [by_arm.loc[wide_arm(-1.0, neurons)] for neurons in WIDTHS]
    first, second, third = (f"{100 * one['pure']:.2g} %" for one in wider)
    assert f"from {first} of 64 neurons" in page
    assert f"{second} of 256 and {third} of 512" in page
    assert f"rises from {wider[0]['shared']:.3f} to {wider[-1]['shared']:.3f} with" in page
    plain = [by_arm.loc[wide_arm(0.0, neurons)] for neurons in WIDTHS]
    assert f"{100 * plain[1]['pure']:.0f} and {100 * plain[2]['pure']:.0f} %. The share" in page
    first, second, third = (
        f"{100 * (one['loss'] / other['loss'] - 1):+.0f} %".replace("-", "\N{MINUS SIGN}")
        for one, other in zip(wider, plain, strict=True)
    )
    assert f"{first} with 64 neurons, {second} with 256 and {third} with 512" in page
    published = pd.read_parquet(FINDINGS / "absolute_published.parquet")
    shares = published.groupby("density")["shared"].mean().sort_index(ascending=False)
    first, *rest = [f"{share:.2f} at {density:g}" for density, share in shares.items()]
    number = absolute.EXPERIMENT.PRESETS["published"]["seeds"]
    assert f"Over {number} seeds, the mean shares are {first.split()[0]}" in page
    assert (published.groupby("density").size() == number).all()
    assert f"{first.replace('at 1', 'at density 1')}, {', '.join(rest[:-1])} and {rest[-1]}" in page


@pytest.mark.skipif(not FINDINGS.exists(), reason="no docs here")
@pytest.mark.parametrize("name", ["absolute", "absolute_published"])
def test_intervals_stay_within_what_is_possible(name: str) -> None:
    means = absolute.EXPERIMENT.table(Answers.read(FINDINGS / f"{name}.parquet"))
    for column, (_, _, bounds) in absolute.Apart.columns.items():
        low, high = bounds or (None, None)
        assert low is None or (means[f"{column}_low"].dropna() >= low).all(), column
        assert high is None or (means[f"{column}_high"].dropna() <= high).all(), column
