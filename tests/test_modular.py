"""The experiment on modular addition: spectra, predictors and use on networks made by hand."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import fastpolysem as fp
from fastpolysem import measures
from fastpolysem.experiments import modular
from fastpolysem.experiments._answers import Answers
from fastpolysem.experiments._networks import Case

FINDINGS = Path(__file__).parents[1] / "docs" / "findings"
P = 11


def config(**changes: Any) -> fp.NetworkConfig:
    case = modular.EXPERIMENT.case(
        **{"p": P, "neurons": 6, "optimizer": "adamw", "steps": 50, **changes}
    )
    assert isinstance(case, Case)
    return case.config


def wave(frequency: int, phase: float, size: float = 1.0, p: int = P) -> np.ndarray:
    return size * np.cos(2 * np.pi * frequency * np.arange(p) / p + phase)


def network(rows: list[tuple[np.ndarray, np.ndarray]]) -> fp.NetworkParameters:
    """Input and output weights of each neuron, as networks of one seed."""
    first, last = (np.array([row[i] for row in rows])[np.newaxis] for i in (0, 1))
    return fp.NetworkParameters([first.swapaxes(1, 2).copy(), last])


def test_spectra_are_sizes_and_phases() -> None:
    mixture = wave(2, 0.3, 1.5) + wave(5, -1.0, 0.2) + 7
    inputs, outputs = modular.spectra(network([(mixture, wave(3, 2.0, 0.4))]))
    assert inputs.shape == outputs.shape == (1, 1, 5)
    np.testing.assert_allclose(np.abs(inputs[0, 0]), [0, 1.5, 0, 0, 0.2], atol=1e-12)
    assert np.angle(inputs[0, 0, 1]) == pytest.approx(0.3)
    assert outputs[0, 0, 2] == pytest.approx(0.4 * np.exp(2j))


def test_participation() -> None:
    assert modular.participation(np.array([[[0, 2j, 0, 0, 0]]]))[0] == 1
    assert modular.participation(np.array([[[1, 1j, -1, 0, 0]]]))[0] == pytest.approx(1 / 3)
    # Squares of amplitudes of normal weights are exponential: 2 / (K + 1) on average.
    untrained = measures.untrained(config(p=23, neurons=512))
    start = fp.train(untrained, 4, return_weights=True).weights
    for amplitudes in modular.spectra(start):
        assert modular.participation(amplitudes).mean() == pytest.approx(2 / 12, rel=0.02)


def test_a_frequency_wins_by_magnitude_or_by_phase() -> None:
    a = np.array([[[1.0, 1.02], [1.0, 1.0], [1.0, 1.2]]], dtype=complex)
    b = np.array([[[1.0, 1.0], [np.exp(0.4j), np.exp(-0.3j)], [1.0, -1.0]]], dtype=complex)
    # The larger one; the one closer in phase; not the larger one whose phase is opposite.
    assert modular.race(a, b).tolist() == [[1, 1, 0]]


def test_the_race_is_that_of_training_alone_for_square_activations() -> None:
    """The flow whose race is run is the gradient of what square neurons add to the right logit."""
    rng = np.random.default_rng(0)
    w, out = rng.standard_normal((2, P))
    a, b = (one[0, 0] for one in modular.spectra(network([(w, out)])))
    first, second = np.divmod(np.arange(P**2), P)

    def gain(w: np.ndarray, out: np.ndarray) -> float:
        centred = out - out.mean()
        without = w - w.mean()  # the constant takes no part
        return float((without[first] + without[second]) ** 2 @ centred[(first + second) % P])

    step = 1e-6
    moved = [np.eye(P) * step, np.eye(P) * step]
    slope_w = np.array([gain(w + d, out) - gain(w - d, out) for d in moved[0]]) / (2 * step)
    slope_out = np.array([gain(w, out + d) - gain(w, out - d) for d in moved[1]]) / (2 * step)
    da, db = (one[0, 0] for one in modular.spectra(network([(slope_w, slope_out)])))
    np.testing.assert_allclose(da / db, 2 * np.conj(a) * b / a**2, rtol=1e-5)
    np.testing.assert_allclose(db / db[0], a**2 / a[0] ** 2, rtol=1e-5)


def test_neurons_that_start_small_do_as_if_alone() -> None:
    settings = config(optimizer="sgd", neurons=48, steps=500).replace(init_scale=0.05)
    start, end = (
        fp.train(one, 1, return_weights=True).weights
        for one in (measures.untrained(settings), settings)
    )
    first, last = (matrix[0] for matrix in start.weights)
    predicted = modular.alone(first, last)
    np.testing.assert_array_equal(predicted, modular.alone(3 * first, 3 * last))  # only slower
    found = np.abs(modular.spectra(end)[0][0]).argmax(axis=1)
    assert (found == predicted).mean() > 0.9


def test_contributions_sum_to_the_logit_of_the_right_answer() -> None:
    rng = np.random.default_rng(1)
    first, last = rng.standard_normal((P, 4)), rng.standard_normal((4, P))
    found = modular.contributions(first, last)
    a, b = np.divmod(np.arange(P**2), P)
    hidden = np.maximum(first[a] + first[b], 0)

    def margin(hidden: np.ndarray) -> float:
        logits = hidden @ last
        return float((logits[np.arange(P**2), (a + b) % P] - logits.mean(axis=1)).mean())

    assert found.sum() == pytest.approx(margin(hidden))
    for k in range(4):
        without = hidden.copy()
        without[:, k] = without[:, k].mean()
        assert margin(hidden) - margin(without) == pytest.approx(found[k].sum())
    # A readout of one frequency is used by no other.
    last[0] = wave(3, 0.2)
    np.testing.assert_allclose(modular.contributions(first, last)[0, [0, 1, 3, 4]], 0, atol=1e-12)


def test_columns_of_networks_made_by_hand() -> None:
    clean = [(wave(k, 0.5, 2), wave(k, 1.0, 2)) for k in (1, 2, 3, 4, 5, 5)]
    half = (wave(1, 0) + wave(2, 0), wave(1, 0) + wave(2, 0))
    shared = [half, *clean[2:], clean[4]]
    pairs = [network(clean), network(shared)]
    weights = fp.NetworkParameters(
        [np.concatenate(pair) for pair in zip(*(one.weights for one in pairs), strict=True)]
    )
    result = dataclasses.replace(
        fp.train(measures.untrained(config()), 2, return_weights=True), weights=weights
    )
    found = modular.EXPERIMENT.PROBE(result)
    assert set(found) == set(modular.Frequencies.columns)
    assert found["participation"][0] == pytest.approx(1)
    assert found["alignment"][0] == pytest.approx(1)
    assert found["agree"].tolist() == [1, 1]
    assert found["learned"][0] == 5
    assert found["shared"][0] == 0 < found["shared"][1] < 0.5
    assert found["frequencies_per_neuron"][0] == pytest.approx(1, abs=0.01)


def test_predictions_do_not_depend_on_the_block() -> None:
    whole = fp.train(config(), 5, return_weights=True)
    part = fp.train(config(), [3], return_weights=True)
    of_all, of_one = (modular.EXPERIMENT.PROBE(result) for result in (whole, part))
    for name, values in of_one.items():
        assert values[0] == of_all[name][3], name


def test_the_published_recipe() -> None:
    (one,) = {
        case.config
        for case in modular.EXPERIMENT.configs("paper", p=23, neurons=512, optimizer="adamw")
    }
    assert (one.widths, one.bias, one.steps) == ((23, 512, 23), False, 5000)
    assert (one.learning_rate, one.betas, one.weight_decay) == (5e-5, (0.9, 0.98), 0.0)
    start = fp.train(measures.untrained(one), 2, return_weights=True)
    for matrix in start.weights.weights:
        assert matrix.std() == pytest.approx(0.1 / np.sqrt(23), rel=0.03)
    with pytest.raises(ValueError, match="optimizer"):
        modular.EXPERIMENT.configs("paper", optimizer="adam")


@pytest.mark.skipif(not FINDINGS.exists(), reason="no docs here")
def test_the_published_participation_ratio_is_compared_after_as_many_updates() -> None:
    page = " ".join((FINDINGS / "modular.md").read_text(encoding="utf-8").split())
    rows, longer = (
        pd.read_parquet(FINDINGS / f"{name}.parquet")
        .query("p == 23 and neurons == 512 and optimizer == 'adamw'")
        .set_index("seed")
        for name in ("modular_4801", "modular")
    )
    found, published = rows["participation"], modular.PUBLISHED["participation"]
    above = f"{(published - found.mean()) / found.std():.1f} standard deviations above the mean"
    assert f"is {above} of {len(found)} of our seeds" in page
    spread = f"({found.mean():.3f}, from {found.min():.3f} to {found.max():.3f})"
    assert f"{spread}, and {100 * (found >= published).mean():.0f} % of these reach it" in page
    rise = (longer["participation"] - found).mean()
    assert f"ours rises by {rise:.3f} from there to the end" in page
    assert "--steps 4801`" in page
    assert len(found) == modular.EXPERIMENT.PRESETS["paper"]["seeds"]


@pytest.mark.skipif(not FINDINGS.exists(), reason="no docs here")
def test_what_the_page_says_in_its_text() -> None:
    page = " ".join((FINDINGS / "modular.md").read_text(encoding="utf-8").split())
    data = Answers.read(FINDINGS / "modular.parquet")
    means = modular.EXPERIMENT.table(data)
    adamw, sgd = (means[means["optimizer"] == one].reset_index() for one in ("adamw", "sgd"))

    def span(values: pd.Series) -> str:
        return f"{100 * values.min():.0f} to {100 * values.max():.0f}"

    for said in (
        f"predicts the frequency of {span(means['both'])} %",
        f"the largest magnitude alone ({span(means['magnitude'])} %)",
        f"than chance ({span(means['other'])} %)",
        f"{span(sgd['alone'])} % are predicted under gradient descent",
        f"and {span(adamw['alone'])} % under AdamW",
        f"phase difference alone predicts {span(means['phase'])} %",
        f"{span(means['phase'] - means['other'])} points more than another neuron's",
        f"predicts {span(means['both'] - means['magnitude'])} points more than magnitude",
        f"predicts {span(means['alone'] - means['both'])} points more than the theory",
        f"{span(1 - sgd['alone'])} % of the neurons end with a different frequency than if",
        f"{span(1 - adamw['alone'])} % of the neurons end with a different frequency than under",
        f"This is {span(sgd['alone'] - adamw['alone'])} points more",
        f"({means['chance'].min():.2f} to {means['chance'].max():.2f})",
        f"with {means['frequencies_per_neuron'].min():.2f} to "
        f"{means['frequencies_per_neuron'].max():.2f} frequencies per neuron",
        f"to {means['shared'].min():.3f}\N{EN DASH}{means['shared'].max():.3f}",
    ):
        assert said in page, said
    published = data.rows.query("p == 23 and neurons == 512 and optimizer == 'adamw'")
    assert f"the range of our {len(published)} seeds" in page
    for name in ("loss", "accuracy"):
        ours = published[name]
        assert ours.min() <= modular.PUBLISHED[name] <= ours.max()
