"""The inputs a model may be shown, and the one form of a fixed batch."""

from __future__ import annotations

import copy
import dataclasses
import pickle

import numpy as np
import pytest
from scipy import sparse

import fastpolysem as fp
from fastpolysem._native import core
from fastpolysem.families.autoencoder.config import core_settings
from fastpolysem.specs.inputs import as_batch, from_dict, to_dict

DENSE = np.array([[0.0, 2.0, 0.0, -1.0], [0.0, 0.0, 0.0, 0.0], [0.5, 0.0, 0.0, 3.0]])

FORMATS, KINDS = ("bsr", "coo", "csc", "csr", "dia", "dok", "lil"), ("array", "matrix")

# The same matrix with entries out of order, one in two parts and an explicit zero.
UNTIDY = {
    "indptr": [0, 4, 4, 6],
    "indices": [3, 1, 1, 2, 3, 0],
    "values": [-1.0, 0.5, 1.5, 0.0, 3.0, 0.5],
}


@pytest.mark.parametrize(
    "matrix",
    [
        DENSE,
        DENSE.tolist(),
        DENSE.astype(np.float32),
        np.asfortranarray(DENSE),
        np.repeat(DENSE, 2, axis=1)[:, ::2],
        *(getattr(sparse, f"{name}_{kind}")(DENSE) for name in FORMATS for kind in KINDS),
        sparse.csr_array(
            (UNTIDY["values"], UNTIDY["indices"], UNTIDY["indptr"]), shape=(3, 4), copy=True
        ),
    ],
    ids=lambda matrix: type(matrix).__name__,
)
def test_fixed_batches_of_one_matrix_are_the_same(matrix):
    batch = fp.FixedBatch(matrix)
    assert batch == fp.FixedBatch(DENSE)
    assert hash(batch) == hash(fp.FixedBatch(DENSE))
    assert batch.shape == (3, 4)
    assert batch.n_features == 4
    for name, dtype, expected in (
        ("indptr", np.int64, [0, 2, 2, 4]),
        ("indices", np.int32, [1, 3, 0, 3]),
        ("values", np.float64, [2.0, -1.0, 0.5, 3.0]),
    ):
        part = getattr(batch, name)
        assert part.dtype == dtype
        assert part.tolist() == expected
        assert not part.flags.writeable
    assert np.array_equal(batch.to_dense(), DENSE)


def test_fixed_batch_from_its_arrays():
    batch = fp.FixedBatch.from_csr(**UNTIDY, n_features=4)
    assert batch == fp.FixedBatch(DENSE)


def test_fixed_batch_leaves_the_given_matrix_alone():
    matrix = sparse.csr_array((UNTIDY["values"], UNTIDY["indices"], UNTIDY["indptr"]), shape=(3, 4))
    fp.FixedBatch(matrix)
    assert matrix.indices.tolist() == UNTIDY["indices"]
    assert matrix.data.tolist() == UNTIDY["values"]
    dense = DENSE.copy()
    batch = fp.FixedBatch(dense)
    dense[:] = 7
    assert np.array_equal(batch.to_dense(), DENSE)


@pytest.mark.parametrize(
    "other",
    [
        DENSE + np.eye(3, 4),
        DENSE[:2],
        DENSE[:, ::-1],
        np.vstack([DENSE, np.zeros(4)]),
        np.hstack([DENSE, np.zeros((3, 1))]),
        2 * DENSE,
    ],
)
def test_fixed_batches_of_different_matrices_differ(other):
    assert fp.FixedBatch(other) != fp.FixedBatch(DENSE)


def test_a_sparse_matrix_with_room_for_more():
    matrix = sparse.csr_array(DENSE)
    matrix.indices = np.append(matrix.indices, [99, -1]).astype(np.int32)
    matrix.data = np.append(matrix.data, [np.nan, 1.0])
    assert fp.FixedBatch(matrix) == fp.FixedBatch(DENSE)


def test_fixed_batch_is_no_other_thing():
    assert fp.FixedBatch(DENSE) != fp.Basis()
    assert fp.FixedBatch(np.eye(4)) != fp.Basis()


@pytest.mark.parametrize(
    "inputs",
    [
        fp.Basis(),
        fp.Independent(0.5, 4),
        fp.Independent(0.5, 4, "uniform"),
        fp.Independent([0.5, 0.25], 4, ("sign", "one")),
        fp.CorrelatedBlocks(2, 3, 4),
        fp.FixedBatch(DENSE),
    ],
    ids=repr,
)
def test_inputs_are_values(inputs):
    for again in (
        copy.deepcopy(inputs),
        pickle.loads(pickle.dumps(inputs)),
        from_dict(to_dict(inputs)),
        from_dict(to_dict(inputs, defaults=False)),
    ):
        assert type(again) is type(inputs)
        assert again == inputs
        assert hash(again) == hash(inputs)
    name = dataclasses.fields(inputs)[0].name if dataclasses.fields(inputs) else "kind"
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(inputs, name, 1)


def test_a_copied_fixed_batch_is_read_only():
    for again in (
        copy.deepcopy(fp.FixedBatch(DENSE)),
        pickle.loads(pickle.dumps(fp.FixedBatch(DENSE))),
    ):
        with pytest.raises(ValueError, match="read-only"):
            again.values[0] = 5


def test_repr():
    assert (
        repr(fp.Independent(1, 4)) == "Independent(probability=1.0, batch_size=4, magnitude='one')"
    )
    assert repr(fp.FixedBatch(DENSE)).startswith("FixedBatch(3 x 4, 4 non-zeros, ")


def test_as_batch_keeps_a_fixed_batch():
    batch = fp.FixedBatch(DENSE)
    assert as_batch("batch", batch, 4) is batch
    assert as_batch("batch", DENSE, 4) == batch


@pytest.mark.parametrize(
    "inputs",
    [
        fp.Independent(0.2, 50),
        fp.Independent(1.0, 5),
        fp.Independent(0.3, 40, "uniform"),
        fp.CorrelatedBlocks(blocks=3, active=2, batch_size=40),
        fp.CorrelatedBlocks(blocks=1, active=12, batch_size=3),
    ],
    ids=repr,
)
def test_each_feature_appears_once_per_step_in_expectation(inputs):
    n, steps = 12, 400
    settings = core_settings(fp.Config(n_features=n, n_hidden=5, inputs=inputs))
    rows = inputs._rows(n)
    times = np.zeros((steps, n))
    for step in range(steps):
        batch = fp.FixedBatch.from_csr(*core.draw_batch(settings, 3, step), n_features=n)
        assert batch.shape == (rows, n)
        times[step] = (batch.to_dense() > 0).sum(axis=0)
    times *= inputs._scale(n, rows)
    error = times.std(axis=0, ddof=1) / np.sqrt(steps)
    assert (np.abs(times.mean(axis=0) - 1) <= 4.5 * error + 1e-12).all()


def test_features_of_unequal_chances_appear_once_per_step_on_average():
    n, rows, chances = 12, 500, 0.6 / np.arange(1, 13)
    inputs = fp.Independent(chances, rows)
    settings = core_settings(fp.Config(n_features=n, n_hidden=5, inputs=inputs))
    assert inputs._scale(n, rows) == pytest.approx(n / (rows * chances.sum()), rel=1e-12)
    on = np.zeros(n)
    for step in range(100):
        batch = fp.FixedBatch.from_csr(*core.draw_batch(settings, 3, step), n_features=n)
        on += (batch.to_dense() > 0).sum(axis=0) / 100
    error = np.sqrt(rows * chances * (1 - chances) / 100)
    assert (np.abs(on - rows * chances) <= 4.5 * error).all()


def test_the_scale_of_sums():
    assert fp.Basis()._scale(12, 12) == 1.0
    assert fp.FixedBatch(DENSE)._scale(4, 3) == 1.0
    assert fp.Basis()._rows(12) == 12
    assert fp.FixedBatch(DENSE)._rows(4) == 3
