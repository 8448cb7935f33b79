"""Measures of networks and arrays at their limits: nothing to measure, too much, bad input."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastpolysem as fp
from fastpolysem import measures

RNG = np.random.default_rng(6)
CONFIG = fp.NetworkConfig(widths=(3, 4, 3))
WEIGHTS = fp.NetworkParameters([RNG.normal(size=(3, 4)), RNG.normal(size=(4, 3))])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"data": -np.ones((2, 3))}, "measure: data must be >= 0 for the features .* got -1"),
        ({"concepts": [[0, 1, 0]] * 3}, r"hold in some row each, got columns of zeros, \[0, 2\]"),
        ({"concepts": np.ones((3, 0))}, "measure: concepts must have one column or more"),
        ({"concepts": np.ones((3, 2)), "names": "ab"}, "measure: names must be a list of names"),
        ({"concepts": np.ones((3, 2)), "names": 2}, "measure: names must be a list of names"),
    ],
)
def test_what_is_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises((TypeError, ValueError), match=said):
        fp.measure(WEIGHTS, CONFIG, **options)


def test_other_configurations_are_refused() -> None:
    config: Any = fp.Config(n_features=3, n_hidden=4)
    for name, call in {
        "measure": lambda: fp.measure(WEIGHTS, config),
        "price": lambda: fp.price(config),
        "monosemantic": lambda: fp.monosemantic(config),
        "untrained": lambda: measures.untrained(config),
        "shuffled": lambda: measures.shuffled(config),
    }.items():
        with pytest.raises(TypeError, match=f"^{name}: config must be a NetworkConfig, got Config"):
            call()


def test_what_has_no_weights_yet_is_refused_with_the_remedy() -> None:
    class Module:
        def state_dict(self) -> None: ...

    for weights, remedy in {
        None: "got None; .* trained with return_weights=True",
        Module(): r"got .*; read a module with fp\.parameters_from_torch\(module\)",
    }.items():
        given: Any = weights
        with pytest.raises(TypeError, match=f"^measure: weights must be .*{remedy}"):
            fp.measure(given, CONFIG)


def test_a_stack_of_no_networks() -> None:
    none = fp.NetworkParameters([np.zeros((0, 3, 4)), np.zeros((0, 4, 3))])
    with pytest.raises(ValueError, match="one network or more"):
        fp.measure(none, CONFIG)


def test_a_stack_of_one_is_one_network() -> None:
    stack = fp.NetworkParameters([w[np.newaxis] for w in WEIGHTS.weights])
    one, alone = fp.measure(stack, CONFIG), fp.measure(WEIGHTS, CONFIG)
    assert one.shared_use.shape == (1,)
    assert alone.shared_use.shape == ()
    assert str(one) == str(alone)


def test_results_that_do_not_fit_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    weights = fp.NetworkParameters([np.zeros((2, 600, 600)), np.zeros((600, 600))])
    monkeypatch.setattr("fastpolysem._checks._NEGLIGIBLE", 2**20)
    monkeypatch.setattr("fastpolysem._checks.available_memory", lambda: 2**24)
    with pytest.raises(MemoryError, match=r"measure needs about .* measure fewer networks"):
        fp.measure(weights, CONFIG.replace(widths=(600, 600, 600)))


def test_a_basis_whose_outputs_do_not_fit_into_memory_is_refused() -> None:
    n = 10**6
    config = fp.NetworkConfig(widths=(n, 1, n), tied=True)
    with pytest.raises(MemoryError, match=r"forward needs about .* fewer models or rows"):
        fp.forward(fp.NetworkParameters([np.ones((n, 1))]), config)


def test_own_concepts_take_data_of_any_sign() -> None:
    rows = RNG.normal(size=(6, 3))
    found = fp.measure(WEIGHTS, CONFIG, data=rows, concepts=rows > 0)
    assert np.isfinite(found.rises[0]).all()


def test_concepts_without_rows_are_left_out() -> None:
    """Feature 2 is never on."""
    eye = fp.NetworkParameters([np.eye(3), np.eye(3)])
    found = fp.measure(eye, fp.NetworkConfig(widths=(3, 3, 3)), data=np.eye(3)[:2])
    assert np.isnan(found.loss).tolist() == [False, False, True]
    assert np.isnan(found.rises[0][:, 2]).all()
    assert found.not_learned == 0
    assert found.serving == 2
    assert found.effective_concepts == found.neurons_per_concept == 1
    assert str(found).startswith("The network learned 2 of 2 concepts")
    responses = found.responses(1)
    np.testing.assert_array_equal(responses[:, :2], np.eye(3)[:, :2])
    assert np.isnan(responses[:, 2]).all()
    assert measures.concentration(responses).tolist() == [1, 1, 0]


def test_constant_neurons_have_no_mixed_selectivity() -> None:
    """Also where the mean of equal numbers is not that number."""
    first = [0] * 6 + [0] * 4 + [1] * 6 + [1] * 4
    second = [0] * 6 + [1] * 4 + [0] * 6 + [1] * 4
    constants = np.random.default_rng(0).normal(size=200)
    shares = measures.mixed_selectivity(np.tile(constants, (20, 1)), first, second)
    for share in shares.values():
        assert np.isnan(share).all()


def test_no_concept_uses_nothing() -> None:
    """Features that are never on in the evaluation batch: as in the columns of results."""
    rare = fp.NetworkConfig(widths=(2, 1, 2), inputs=fp.Independent(1e-9, batch_size=1), steps=2)
    result = fp.train(rare, 2, return_weights=True)
    found = fp.measure(result.weights, rare)
    assert np.isnan(found.loss).all()
    for name in ("shared_use", "effective_concepts", "neurons_per_concept"):
        np.testing.assert_array_equal(getattr(found, name), result.columns[name])


def test_outputs_that_overflow_have_no_measures() -> None:
    """The second network's weights are finite, its outputs are not."""
    eye, huge = np.eye(3), np.full((3, 3), 1e30)
    weights = fp.NetworkParameters([np.stack([eye, huge, 2 * eye]), np.stack([eye, huge, eye / 2])])
    found = fp.measure(weights, CONFIG.replace(widths=(3, 3, 3)))
    for name in ("shared_use", "effective_concepts", "neurons_per_concept"):
        assert np.isnan(getattr(found, name)).tolist() == [False, True, False], name
    assert np.isnan(found.chance()).tolist() == [False, True, False]
    assert np.isnan(found.backed_up(1)).all(axis=(1, 2)).tolist() == [False, True, False]
    assert found.serving.tolist() == [3, 0, 3]
    assert found.not_learned.tolist() == [0, 3, 0]
    alone = fp.measure(weights._replace(weights=[huge, huge]), CONFIG.replace(widths=(3, 3, 3)))
    row = alone.table()[0]
    assert [name for name, value in row.items() if np.isnan(value)] == list(row)[2:]
    assert "Of 3 neurons, nan account for 10 % or more of two or more" in str(alone)


def test_responses_of_many_networks_come_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    config = CONFIG.replace(steps=3)
    found = fp.measure(fp.train(config, 5, return_weights=True).weights, config)
    whole = found.responses(1)
    monkeypatch.setattr("fastpolysem.families.network.measures.measure._AT_ONCE", 70)
    np.testing.assert_array_equal(found.responses(1), whole)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: measures.capacity([1.0]), r"capacity: weights .* \(\.\.\., features, neurons\)"),
        (lambda: measures.alignment([[np.nan]]), "alignment: weights must be finite"),
        (lambda: measures.shared_use([["a"]]), "shared_use: rises"),
        (lambda: measures.effective_concepts([[np.inf]]), "effective_concepts: rises must be fin"),
        (lambda: measures.effective_neurons(np.ones((2, 0))), "effective_neurons: rises"),
        (lambda: measures.neuron_weights([[1j]]), "neuron_weights: rises"),
        (lambda: measures.concentration(np.ones((0, 2))), "concentration: responses"),
        (lambda: measures.class_means([[np.nan]], [0]), "class_means: activations"),
        (lambda: measures.class_selectivity(np.ones((2, 2)), [0, 0]), "two or more values"),
        (lambda: measures.class_selectivity(np.ones((2, 2)), [0]), "one entry per row, 2"),
        (
            lambda: measures.class_selectivity(np.ones((2, 2)), [0, 2**70]),
            r"classes\[1\] must be an integer >= -9223372036854775808 and < 9223372036854775808",
        ),
        (lambda: measures.semantic_consistency([[1.0]], [0], np.nan), "threshold"),
        (lambda: measures.permuted([[1.0]], 3), "permuted: generator .* numpy.random.Generator"),
        (lambda: measures.served([[1.0, 2.0]], [0], [1, 1]), r"served: loss .* shape \(2,\)"),
        (lambda: measures.served([[1.0, 2.0]], [0, 0], None), "served: constant_loss"),
        (lambda: measures.mixed_selectivity(np.ones((2, 1)), [0, 1], [0, 1]), "two rows or more"),
    ],
)
def test_arrays_that_formulas_refuse(call: Any, said: str) -> None:
    with pytest.raises((TypeError, ValueError), match=said):
        call()


def test_formulas_leave_out_concepts_without_rows() -> None:
    rises, never = RNG.random((3, 4)), np.full((3, 1), np.nan)
    for formula in (measures.effective_concepts, measures.shared_use, measures.concentration):
        np.testing.assert_allclose(formula(np.hstack([rises, never])), formula(rises))


@pytest.mark.parametrize("power", [-300, -160, 160, 300])
def test_formulas_do_not_depend_on_the_size_of_entries(power: int) -> None:
    """The squares of these entries, or their fourth powers, are out of range."""
    table = np.array([[1.0, 0.5, 0.25], [0.0, 2.0, 1.0], [4.0, 4.0, 0.0], [1.0, 1.0, 1.0]])
    size = 2.0**power
    classes, second = [0, 0, 1, 1, 0, 0, 1, 1], [0, 0, 0, 0, 1, 1, 1, 1]
    rows = np.vstack([table, table**2])
    for formula in (
        measures.effective_concepts,
        measures.effective_neurons,
        measures.alignment,
        measures.capacity,
    ):
        assert np.array_equal(formula(table * size), formula(table))
    for formula in (measures.class_selectivity, measures.semantic_consistency):
        assert np.array_equal(formula(rows * size, classes), formula(rows, classes))
    found = measures.mixed_selectivity(rows * size, classes, second)
    for name, share in measures.mixed_selectivity(rows, classes, second).items():
        assert np.array_equal(found[name], share, equal_nan=True)


def test_equal_uses_stay_within_their_bounds() -> None:
    """Sums of 0.3 are rounded, and studies refuse values outside of a column's bounds."""
    for count in range(2, 60):
        rises = np.full((count, count), 0.3)
        assert (measures.effective_concepts(rises) <= count).all()
        assert (measures.effective_neurons(rises) <= count).all()
        assert measures.shared_use(rises) <= 1
        # One neuron that all features use alike, and neurons that one feature uses alike.
        given = fp.NetworkParameters([np.full((count, 1), 0.3), np.full((1, count), 0.3)])
        rows = np.vstack([np.eye(count), np.zeros((1, count))])
        config = fp.NetworkConfig(
            widths=(count, 1, count), inputs=fp.Dataset(rows, rows), dtype="float64", steps=0
        )
        found = fp.train(config, 1, initial_weights=given).effective_concepts[0]
        assert found <= count
        assert found == pytest.approx(count)
        given = fp.NetworkParameters([np.full((1, count), 1 / count), np.ones((count, 1))])
        config = config.replace(
            widths=(1, count, 1), inputs=fp.Independent(0.5, 8, magnitude="uniform")
        )
        found = fp.train(config, 1, initial_weights=given).neurons_per_concept[0]
        assert found <= count
        assert found == pytest.approx(count)


def test_records_of_diverged_networks_are_nan() -> None:
    steep = CONFIG.replace(optimizer="sgd", learning_rate=1e12, steps=20)
    names = ["shared_use", "serving", "effective_concepts", "not_learned", "dead", "loss"]
    history = fp.train(steep, 2, record=(names, [0, 20])).history
    for name in names:
        assert np.isfinite(history[name][:, 0]).all(), name
        assert np.isnan(history[name][:, 1]).all(), name


# Controls and studies -----------------------------------------------------------------------------


def test_untrained_networks_are_those_before_the_first_step() -> None:
    config = CONFIG.replace(
        bias=True,
        l1=0.1,
        steps=20,
        l1_schedule=[(0, 0.0), (20, 1.0)],
        learning_rate_schedule="cosine",
        bias_decay=[(0, 1.0), (20, 2.0)],
    )
    recorded = fp.train(config, 3, record=("shared_use", [0])).history["shared_use"][:, 0]
    before = fp.train(measures.untrained(config), 3)
    np.testing.assert_array_equal(before.shared_use, recorded)


def test_shuffled_targets_are_those_of_other_rows() -> None:
    rows, classes = RNG.normal(size=(60, 3)), RNG.integers(0, 3, 60)
    data = fp.Dataset(
        rows, classes, batch_size=10, label_noise=0.1, held_out=(rows[:5], classes[:5])
    )
    config = CONFIG.replace(inputs=data, loss=fp.losses.CrossEntropy())
    other = measures.shuffled(config, seed=3).inputs
    assert (other.targets != data.targets).any()
    np.testing.assert_array_equal(np.sort(other.targets), np.sort(data.targets))
    np.testing.assert_array_equal(other.inputs.to_dense(), data.inputs.to_dense())
    np.testing.assert_array_equal(other.held_out[1], data.held_out[1])
    assert (other.batch_size, other.label_noise) == (10, 0.1)
    assert measures.shuffled(config, seed=3) == measures.shuffled(config, seed=3)
    with pytest.raises(ValueError, match="a config with a Dataset"):
        measures.shuffled(CONFIG)


def test_intervals_of_shares_and_counts_stay_within_their_bounds() -> None:
    """Where all networks share everything, or one of many something."""
    config = fp.NetworkConfig(widths=(6, 12, 6), tied=True, l1=0.05, steps=400, learning_rate=0.01)
    study = fp.collect(config.replace(optimizer="adam"), seeds=40)
    for metric, most in (("shared_use", 1), ("polysemantic", 12), ("not_learned", 6)):
        row = study.summary(metric).iloc[0]
        assert 0 <= row["ci_low"] <= row["mean"] <= row["ci_high"] <= most, metric


def test_a_target_on_shared_use() -> None:
    config = fp.NetworkConfig(widths=(4, 4, 4), l1=0.02, steps=50)
    study = fp.collect(config, target=0.2, metric="shared_use", max_seeds=1024)
    row = study.summary("shared_use").iloc[0]
    assert (row["ci_high"] - row["ci_low"]) / 2 <= 0.2 * row["mean"] or row["seeds"] == 1024
    assert row["seeds"] >= 64


def test_the_best_constants_of_many_outputs() -> None:
    """On the basis, c minimises (n - 1) c^q + (1 - c)^q for every output."""
    n = 1100
    config = fp.NetworkConfig(widths=(n, 1, n), tied=True, loss=fp.losses.Power(1.5))
    found = fp.measure(fp.NetworkParameters([np.ones((n, 1))]), config).constant_loss
    constant = 1 / ((n - 1) ** 2 + 1)
    np.testing.assert_allclose(found, (1 - constant) ** 1.5, rtol=1e-12)
