"""The experiment on objects in contexts: pathways and selectivity of networks made by hand."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastpolysem as fp
from fastpolysem import measures
from fastpolysem.experiments import contexts
from fastpolysem.experiments._answers import Answers
from fastpolysem.experiments._networks import Case

FINDINGS = Path(__file__).parents[1] / "docs" / "findings"
OBJECTS, CONTEXTS = 4, 3


def config(**changes: Any) -> fp.NetworkConfig:
    settings = {"objects": OBJECTS, "contexts": CONTEXTS, "layers": 1, "neurons": 8}
    case = contexts.EXPERIMENT.case(**{**settings, "optimizer": "sgd", "steps": 40, **changes})
    assert isinstance(case, Case)
    return case.config


def result_of(first: np.ndarray, **changes: Any) -> fp.TrainingResult:
    """A network with these input weights, whose outputs read every neuron alike."""
    one = config(neurons=first.shape[1], **changes)
    last = np.ones((1, first.shape[1], one.widths[-1]), np.float32)
    trained = fp.train(measures.untrained(one), 1, return_weights=True)
    weights = fp.NetworkParameters([first[np.newaxis].astype(np.float32), last])
    return dataclasses.replace(trained, weights=weights)


def neuron(objects: list[float], where: list[float]) -> np.ndarray:
    return np.array([*objects, *where], dtype=float)


def test_rows_are_ordered_by_context() -> None:
    inputs = config().inputs.inputs.to_dense()  # type: ignore[union-attr]
    np.testing.assert_array_equal(inputs[:, :OBJECTS], np.tile(np.eye(OBJECTS), (CONTEXTS, 1)))
    context = np.repeat(np.eye(CONTEXTS), OBJECTS, axis=0)
    np.testing.assert_array_equal(inputs[:, OBJECTS:], context)


def test_contexts_in_which_neurons_are_active() -> None:
    first = np.stack(
        [
            neuron([1, 2, 0, 0], [0, 0, 0]),  # in all
            neuron([1, 2, 0, 0], [0, -5, 0]),  # in all but one
            neuron([1, 2, 0, 0], [-5, -5, 0]),  # in one
            neuron([1, 2, 0, 0], [0, 0, -1.9]),  # hardly in the last
            neuron([-1, -1, -1, -1], [0, 0, 0]),  # never
        ],
        axis=1,
    )
    (layer,) = contexts.activations([first[np.newaxis], np.zeros((1, 5, 2))], _inputs())
    on = contexts.active(layer, CONTEXTS)[0]
    assert on.T.astype(int).tolist() == [[1, 1, 1], [1, 0, 1], [0, 0, 1], [1, 1, 0], [0, 0, 0]]
    assert contexts.active(layer, CONTEXTS, 0.01)[0, :, 3].all()


def _inputs() -> np.ndarray:
    return np.asarray(config().inputs.inputs.to_dense())  # type: ignore[union-attr]


def test_sizes_do_not_depend_on_the_scale_of_a_neuron() -> None:
    rng = np.random.default_rng(0)
    layer, after = rng.random((2, 12, 5)), rng.standard_normal((2, 5, 3))
    scale = np.array([0.1, 1, 7, 1, 2])
    found = contexts.sizes(layer, after)
    np.testing.assert_allclose(contexts.sizes(layer * scale, after / scale[:, None]), found)
    np.testing.assert_allclose(found.sum(axis=1), 1)


def test_columns_of_pathways_made_by_hand() -> None:
    paths = [neuron([1, 2, 0, 0], [-5 * (c == off) for c in range(3)]) for off in range(4)]
    found = contexts.EXPERIMENT.PROBE(result_of(np.stack(paths, axis=1)))
    assert set(found) == set(contexts.Pathways.columns)
    # The common one is active in 12 rows, the others in 8.
    assert found["last_all"][0] == pytest.approx(3 / 9)
    assert found["last_all_but_one"][0] == pytest.approx(6 / 9)
    assert found["last_pathways"][0] == 4
    assert found["last_nonlinear"][0] == pytest.approx(6 / 9)
    assert found["last_pure"][0] == pytest.approx(3 / 9)
    assert found["last_neurons"][0] == pytest.approx(81 / 21)
    both = neuron([1, 2, 3, 4], [1, 2, 4])
    found = contexts.EXPERIMENT.PROBE(result_of(both[:, np.newaxis]))
    assert found["last_linear"][0] == 1
    assert found["last_interaction"][0] == pytest.approx(0, abs=1e-6)
    assert found["last_pathways"][0] == 1
    dead = contexts.EXPERIMENT.PROBE(result_of(np.zeros((len(both), 2))))
    assert dead["last_neurons"][0] == dead["last_pathways"][0] == 0


def test_predictions_do_not_depend_on_the_block() -> None:
    for layers in (1, 2):
        whole, part = (
            fp.train(config(layers=layers), seeds, return_weights=True) for seeds in (5, [3])
        )
        of_all, of_one = (contexts.EXPERIMENT.PROBE(result) for result in (whole, part))
        for name, values in of_one.items():
            np.testing.assert_allclose(values[0], of_all[name][3], rtol=1e-6, err_msg=name)
        if layers == 1:
            assert (of_all["first_all"] == of_all["last_all"]).all()


def test_tables_have_seeds_of_their_own() -> None:
    data = contexts.EXPERIMENT.run(
        "quick", seeds=10, objects=4, neurons=6, steps=20, progress=False, num_threads=1
    )
    each = contexts.SEEDS_PER_TABLE
    assert (data.rows["table"] == data.rows["seed"] // each).all()
    assert sorted(data.rows["table"].unique()) == [0, 1, 2]
    means = contexts.EXPERIMENT.table(data)
    assert (means["seeds"] == 3).all()
    one = data.rows[data.rows["layers"] == 1]
    expected = one.groupby("table")["last_all"].mean().mean()
    assert means.loc[means["layers"] == 1, "last_all"].item() == pytest.approx(expected)
    # A table is one data set, whatever else is run beside it.
    again = contexts.EXPERIMENT.run(
        "quick", seeds=5, objects=4, neurons=6, steps=20, layers=1, progress=False, num_threads=1
    )
    np.testing.assert_array_equal(one["last_all"][:5], again.rows["last_all"])


def test_settings_that_are_none() -> None:
    with pytest.raises(ValueError, match="layers"):
        contexts.EXPERIMENT.configs("quick", layers=3)
    with pytest.raises(ValueError, match="optimizer"):
        contexts.EXPERIMENT.configs("quick", optimizer="adamw")


@pytest.mark.skipif(not FINDINGS.exists(), reason="no docs here")
def test_what_the_page_says_of_widths() -> None:
    page = " ".join((FINDINGS / "contexts.md").read_text(encoding="utf-8").split())
    means = contexts.EXPERIMENT.table(Answers.read(FINDINGS / "contexts_widths.parquet"))
    said = {}
    for width, group in means.groupby("neurons"):
        shares = 100 * group["last_all_but_one"]
        more = shares - 100 * group["last_chance"]
        said[width] = f"{shares.min():.0f} to {shares.max():.0f} %", (more.min(), more.max())
    (narrow, (_, most)), (wide, (least, largest)) = said[32], said[128]
    assert f"With 128 neurons, {wide} of the weight" in page
    assert f"with 32, only {narrow}" in page
    assert f"exceeds chance by at most {most:.0f} points" in page
    assert f"exceeds chance by {least:.0f} to {largest:.0f} points" in page
