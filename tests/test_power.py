"""The experiment on the exponent of the loss: its yardsticks on networks made by hand."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

import fastpolysem as fp
from fastpolysem.experiments import power
from fastpolysem.experiments._networks import Case

FEATURES, NEURONS = 8, 4


def config(exponent: float = 2.0, **changes: Any) -> fp.NetworkConfig:
    settings = {"features": FEATURES, "neurons": NEURONS, "density": 0.2, "batch_size": 64}
    settings |= {"steps": 300, "power": exponent, **changes}
    case = power.EXPERIMENT.case(**settings)
    assert isinstance(case, Case)
    return case.config


def naive() -> list[np.ndarray]:
    """A neuron of its own for each of the first features; the output 0 for the others."""
    eye = np.eye(FEATURES, NEURONS, dtype=np.float32)
    return [eye, eye.T.copy()]


@pytest.mark.parametrize("exponent", [1.0, 1.5, 2.0, 2.5, 8.0])
def test_powers(exponent: float) -> None:
    a = np.linspace(0, 2, 50, dtype=np.float32)
    np.testing.assert_allclose(power.raised(a, exponent), a**exponent, rtol=1e-5)


@pytest.mark.parametrize("exponent", [1.0, 2.5, 6.0])
def test_losses_of_the_output_zero(exponent: float) -> None:
    weights = [np.zeros((FEATURES, NEURONS), "f4"), np.zeros((NEURONS, FEATURES), "f4")]
    mean, found = power.errors(weights, config(exponent))
    assert {found[name] for name in ("squared", "fourth", "own")} == {1.0}
    # E x^2 = 1/3 for x uniform on [0, 1], and the same for all features but for the finite rows.
    np.testing.assert_allclose(mean, 1 / 3, rtol=0.1)
    assert found["spread"] == pytest.approx(found["spread_by_chance"], rel=0.6)
    assert found["spread_by_chance"] == pytest.approx(np.sqrt(4 / 5 / 2048), rel=0.1)


@pytest.mark.parametrize("exponent", [1.0, 2.0, 6.0])
def test_without_sharing_the_loss_is_that_of_the_features_left_out(exponent: float) -> None:
    mean, found = power.errors(naive(), config(exponent))
    for name in ("squared", "fourth", "own"):
        assert found[name] == pytest.approx(1 - NEURONS / FEATURES, abs=0.02)
    assert not mean[:NEURONS].any()
    assert found["spread"] == pytest.approx(1, abs=0.02)


def test_the_least_loss_without_sharing() -> None:
    density = 0.2
    assert power.least_alone(8, 4, density, 1.0) == pytest.approx(0.5)
    # The best constant takes the squared mean off the second moment: 1 - (p/4)^2 / (p/6).
    assert power.least_alone(8, 6, density, 2.0) == pytest.approx(0.25 * (1 - 3 * density / 8))
    assert power.least_alone(8, 8, density, 4.0) == power.least_alone(8, 9, density, 4.0) == 0
    rng = np.random.default_rng(3)
    t = np.where(rng.random(200_000) < density, np.maximum(rng.uniform(-1, 1, 200_000), 0), 0)
    for q in (1.5, 4.0, 8.0):
        best = min((np.abs(t - c) ** q).mean() for c in np.linspace(0, 1, 101))
        assert power.least_alone(2, 1, density, q) == pytest.approx(
            0.5 * best / (t**q).mean(), rel=0.02
        )


@pytest.mark.parametrize("exponent", [1.5, 2.0, 2.5, 4.0])
def test_pairs_are_better_than_leaving_out_half_above_two_only(exponent: float) -> None:
    """A neuron for two features gives both half of what is wanted: an error of x/2 on either
    output, where a neuron of one's own has none and x on the other."""
    shared = np.kron(np.eye(NEURONS), [[1], [1]]).astype("f4")
    _, found = power.errors([shared, shared.T / 2], config(exponent, density=0.01))
    assert found["own"] == pytest.approx(2 ** (1 - exponent), rel=0.05)


def test_losses_agree_with_the_column_of_results() -> None:
    for exponent in (1.5, 4.0):
        settings = config(exponent)
        result = fp.train(settings, 3, return_weights=True)
        for seed in range(3):
            _, found = power.errors([w[seed] for w in result.weights.weights], settings)
            # The column is scaled to one appearance of each feature, positive half of the time.
            zero = FEATURES / (2 * (exponent + 1))
            assert found["own"] * zero == pytest.approx(result.loss[seed], rel=0.05)


def test_use_of_positive_features() -> None:
    paired = [np.kron(np.eye(NEURONS), [[1], [0.9]]).astype("f4")]
    paired.append((0.6 * paired[0].T).copy())
    weights = fp.NetworkParameters([np.stack(pair) for pair in zip(naive(), paired, strict=True)])
    for exponent in (2.0, 4.0):
        found = power.use_of_positive(weights, config(), exponent)
        assert found.rises[0].shape == (2, NEURONS, FEATURES)
        np.testing.assert_allclose(found.shared_use, [0, 1])
        np.testing.assert_array_equal(found.learned[0], np.arange(FEATURES) < NEURONS)
    np.testing.assert_allclose(found.effective_concepts, [1, 2], atol=0.2)


def test_the_published_recipe() -> None:
    published = {case.config for case in power.EXPERIMENT.configs("published")}
    assert {one.loss.q for one in published} == {1, 2, 2.5, 3, 4, 6, 8}  # type: ignore[union-attr]
    for one in published:
        assert (one.widths, one.bias, one.steps) == ((100, 50, 100), False, 100_000)
        assert (one.optimizer, one.learning_rate) == ("adam", 0.01)
        assert one.learning_rate_schedule == "cosine"
    # Their loss is a mean over rows and outputs, and epsilon has its scale.
    one = published.pop()
    scale = one.inputs._scale(100, 8192)  # type: ignore[call-arg, union-attr]
    assert one.epsilon == pytest.approx(1e-8 * scale * 8192 * 100)
    start = fp.train(one.replace(steps=0), 1, return_weights=True).weights
    for matrix, end in zip(start.weights, (0.1, 0.15), strict=True):
        assert np.abs(matrix).max() == pytest.approx(end, rel=0.05)


def test_only_networks_of_two_and_four_are_trained_on() -> None:
    probe = power.Powers()
    for exponent in (2.0, 3.0, 4.0):
        result = fp.train(config(exponent), 3, return_weights=True)
        found = probe(result)
        assert set(found) == set(probe.columns)
        assert np.isfinite(found["own_retrained"]).all() == (exponent != 3.0)
        part = probe(fp.train(config(exponent), [1], return_weights=True))
        for name, values in part.items():
            np.testing.assert_array_equal(values, found[name][1:2], err_msg=name)


def test_training_on_starts_where_training_ended() -> None:
    result = fp.train(config(2.0), 2, return_weights=True)
    result = dataclasses.replace(result, config=config(2.0, steps=0))
    found = power.Powers()(result)
    np.testing.assert_allclose(found["shared_retrained"], found["shared"])
    np.testing.assert_allclose(found["own_retrained"], found["fourth"])


def test_a_steep_loss_shares_neurons() -> None:
    settings = {"features": FEATURES, "neurons": NEURONS, "density": 0.1, "batch_size": 256}
    data = power.EXPERIMENT.run("quick", seeds=8, progress=False, **settings, steps=2000)
    means = power.EXPERIMENT.table(data).set_index("power")
    assert means.loc[2.0, "shared"] < 0.5 < 0.9 < means.loc[4.0, "shared"]
    assert means.loc[2.0, "squared"] < means.loc[4.0, "squared"]
    assert means.loc[4.0, "fourth"] < means.loc[2.0, "fourth"]
