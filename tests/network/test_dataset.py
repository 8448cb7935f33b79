"""Given rows: what is refused, what is equal, and how a data set is found again by its hash."""

from __future__ import annotations

import copy
import gc
import json
import pickle
import subprocess
import sys

import numpy as np
import pytest
from scipy import sparse

import fastpolysem as fp
from fastpolysem.families.network.config import NetworkConfig
from fastpolysem.families.network.dataset import Dataset
from fastpolysem.families.network.losses import BinaryCrossEntropy, CrossEntropy, Power
from fastpolysem.families.network.targets import Clauses, Parity
from helpers.refusal_checks import check

ROWS = np.array([[0.0, 1.5], [2.0, 0.0], [0.0, 0.0]])
REALS = np.array([[1.0], [-2.0], [0.5]])
CLASSES = np.array([0, 2, 1])
HELD_OUT = ROWS[:2] + 1, CLASSES[:2]

# Of the same data sets on any machine.
KNOWN = {
    "reals": "e27bf898167b54ddc8fd4f70174925f6e338fe8af6164708ebd201750d3dc232",
    "classes": "96a27d9eeecf40dba816a5ee0a4666be4940d48df09c621e38e8ac4ca1de8ce7",
    "held_out": "7a4f8da40cf608602224af9c8ace44e52eb86dd0940e08962f3be96fdd66e2b1",
}


def sets() -> dict[str, Dataset]:
    return {
        "reals": Dataset(ROWS, REALS),
        "classes": Dataset(ROWS, CLASSES),
        "held_out": Dataset(ROWS, CLASSES, 2, 0.25, HELD_OUT),
    }


def test_rows_are_kept_as_they_are():
    data = Dataset(ROWS, REALS, held_out=(ROWS[:1], REALS[1:2]))
    assert np.array_equal(data.inputs.to_dense(), ROWS)
    assert np.array_equal(data.targets, REALS)
    assert np.array_equal(data.held_out[0].to_dense(), ROWS[:1])
    assert np.array_equal(data.held_out[1], REALS[1:2])
    assert (data.batch_size, data.label_noise, data.has_classes) == (None, 0.0, False)
    assert Dataset(ROWS, CLASSES).has_classes
    assert Dataset(ROWS, CLASSES > 0).targets.tolist() == [0, 1, 1]
    for array in (data.targets, data.inputs.values, data.held_out[1]):
        assert not array.flags.writeable


def test_later_changes_of_the_given_arrays_have_no_effect():
    rows, reals, classes = ROWS.copy(), REALS.copy(), CLASSES.copy()
    one, other = Dataset(rows, reals), Dataset(rows, classes)
    for array in (rows, reals, classes):
        array[:] = 7
    assert one == Dataset(ROWS, REALS)
    assert other == Dataset(ROWS, CLASSES)


@pytest.mark.parametrize(
    ("inputs", "targets"),
    [
        (ROWS.tolist(), REALS.tolist()),
        (ROWS.astype(np.float32), np.asfortranarray(REALS)),
        (sparse.csr_array(ROWS), REALS),
        (sparse.coo_matrix(ROWS), REALS.astype(np.float16)),
        (fp.FixedBatch(ROWS), REALS),
        (ROWS + -0.0, REALS),
    ],
    ids=lambda one: type(one).__name__,
)
def test_equal_content_is_equal(inputs, targets):
    data, again = Dataset(ROWS, REALS, 2), Dataset(inputs, targets, np.int64(2))
    assert again == data
    assert hash(again) == hash(data)
    assert again.sha256 == data.sha256


def test_classes_of_any_type_are_equal():
    for dtype in (np.int8, np.uint64, np.int32):
        assert Dataset(ROWS, CLASSES.astype(dtype)) == Dataset(ROWS, CLASSES.tolist())


def test_other_content_is_not_equal():
    others = [
        *sets().values(),
        Dataset(ROWS, REALS, batch_size=3),
        Dataset(2 * ROWS, REALS),
        Dataset(ROWS, 2 * REALS),
        Dataset(ROWS[::-1], REALS),
        Dataset(np.c_[ROWS, ROWS], REALS),
        Dataset(np.c_[ROWS, 0 * ROWS], REALS),
        Dataset(ROWS, np.c_[REALS, REALS]),
        Dataset(ROWS, REALS, held_out=(ROWS, REALS)),
        Dataset(ROWS, REALS, held_out=(ROWS, 2 * REALS)),
        Dataset(ROWS, CLASSES[:, np.newaxis]),
        Dataset(ROWS, CLASSES, label_noise=0.25),
        Dataset(ROWS, CLASSES, label_noise=0.5),
    ]
    assert len(set(others)) == len(others)
    assert Dataset(ROWS, REALS) != "Dataset"
    # How the rows are shown is not what they hold.
    assert len({one.sha256 for one in others}) == len(others) - 3


def test_hashes_are_those_that_were_written_down():
    assert {name: data.sha256 for name, data in sets().items()} == KNOWN


@pytest.mark.parametrize("name", KNOWN)
def test_copies_are_equal(name):
    data = sets()[name]
    for again in (pickle.loads(pickle.dumps(data)), copy.deepcopy(data), copy.copy(data)):
        assert again == data
        assert again.sha256 == data.sha256
        assert np.array_equal(again.targets, data.targets)
        assert (again.held_out is None) == (data.held_out is None)


def test_repr_tells_size_and_hash():
    data = sets()["held_out"]
    assert repr(data) == (
        f"Dataset(3 x 2, classes, batch_size=2, label_noise=0.25, 2 held out, {data.sha256[:8]})"
    )
    assert repr(Dataset(ROWS, REALS)).startswith("Dataset(3 x 2, targets (3, 1), ")


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ((ROWS,), TypeError, "missing 1 required positional argument: 'targets'"),
        (
            (ROWS[0], REALS),
            ValueError,
            "Dataset: inputs must be an array with 2 axes, got an array",
        ),
        (
            ("rows", REALS),
            TypeError,
            "Dataset: inputs must be an array of real numbers, got 'rows'",
        ),
        (
            (ROWS * np.nan, REALS),
            ValueError,
            "Dataset: inputs must hold finite numbers only, got nan",
        ),
        (
            (np.empty((0, 2)), np.empty((0, 1))),
            ValueError,
            "Dataset: inputs must have at least one r",
        ),
        (
            (ROWS, None),
            TypeError,
            "Dataset: targets must be an array of reals with 2 axes, or of int",
        ),
        (
            (ROWS, REALS[:, 0]),
            TypeError,
            "or of integers with 1 axis, got an array of shape (3,) and ",
        ),
        (
            (ROWS, sparse.csr_array(REALS)),
            TypeError,
            "Dataset: targets must be a dense array, got a ",
        ),
        (
            (ROWS, REALS[:2]),
            ValueError,
            "Dataset: targets must have one entry per row of the inputs, 3",
        ),
        (
            (ROWS, np.inf * REALS),
            ValueError,
            "targets must hold finite numb",
        ),
        (
            (ROWS, REALS[:, :0]),
            ValueError,
            "Dataset: targets must be an array with at least one colu",
        ),
        (
            (ROWS, CLASSES - 1),
            ValueError,
            "Dataset: targets must be classes >= 0 and < 2147483648, g",
        ),
        (
            (ROWS, CLASSES + 2**40),
            ValueError,
            "Dataset: targets must be classes >= 0 and < 214748364",
        ),
        (
            (ROWS, REALS, 0),
            ValueError,
            "Dataset: batch_size must be an integer >= 1 and <= 3, got 0",
        ),
        (
            (ROWS, REALS, 4),
            ValueError,
            "Dataset: batch_size must be an integer >= 1 and <= 3, got 4",
        ),
        (
            (ROWS, REALS, 2.0),
            TypeError,
            "Dataset: batch_size must be an integer >= 1 and <= 3, got 2.",
        ),
        (
            (ROWS, REALS, None, 0.1),
            ValueError,
            "label_noise must be 0 unless targets are classes, got",
        ),
        (
            (ROWS, CLASSES, None, 1),
            ValueError,
            "label_noise must be a finite number >= 0 and < 1, got",
        ),
        (
            (ROWS, CLASSES, None, 1e-12),
            ValueError,
            "label_noise must be 0 or between 2**-32 and 1 - ",
        ),
        (
            (ROWS, REALS, None, 0, ROWS),
            TypeError,
            "Dataset: held_out must be a pair (inputs, targets)",
        ),
        (
            (ROWS, REALS, None, 0, (ROWS[:, :1], REALS)),
            ValueError,
            "Dataset: held_out: inputs must have 2 columns like those of the training rows, got",
        ),
        (
            (ROWS, REALS, None, 0, (ROWS, CLASSES)),
            ValueError,
            "Dataset: held_out: targets must be like those of the training rows, of shape ('rows'",
        ),
        (
            (ROWS, REALS, None, 0, (ROWS, REALS[:2])),
            ValueError,
            "Dataset: held_out: targets must have one entry per row of the inputs, 3, got 2",
        ),
    ],
    ids=lambda one: str(one)[:50],
)
def test_bad_data_sets(arguments, kind, message):
    check(kind, message, Dataset, *arguments)


def test_unknown_arguments_suggest_the_nearest():
    check(TypeError, "Dataset has no field 'batchsize'; did", Dataset, ROWS, REALS, batchsize=2)


def test_label_noise_of_less_precision_keeps_its_value_with_a_warning():
    with pytest.warns(UserWarning, match="Dataset: label_noise is 0.3"):
        Dataset(ROWS, CLASSES, label_noise=np.float32(0.3))


# ---------------------------------------------------------------------------------------------
# By hash
# ---------------------------------------------------------------------------------------------


def config(data: Dataset) -> NetworkConfig:
    return NetworkConfig(widths=(2, 3, 3), inputs=data, loss=CrossEntropy())


def test_a_config_names_its_data_set_by_hash():
    data = sets()["held_out"]
    assert config(data).to_dict()["inputs"] == {
        "kind": "dataset",
        "sha256": KNOWN["held_out"],
        "batch_size": 2,
        "label_noise": 0.25,
    }
    assert list(config(data).attachments) == [KNOWN["held_out"]]
    assert NetworkConfig(widths=(2, 3, 2)).attachments == {}


def test_a_known_data_set_shares_its_arrays():
    data = Dataset(9 * ROWS, CLASSES, 2, 0.25, HELD_OUT)
    again = NetworkConfig.from_dict(json.loads(json.dumps(config(data).to_dict()))).inputs
    assert again == data
    assert again.targets is data.targets
    assert Dataset.known(data.sha256) == Dataset(9 * ROWS, CLASSES, held_out=HELD_OUT)
    other = Dataset.known(data.sha256, batch_size=3)
    assert (other.batch_size, other.label_noise, other.sha256) == (3, 0.0, data.sha256)
    assert Dataset.known("0" * 64) is None


def test_a_data_set_is_known_as_long_as_something_shows_it():
    data = Dataset(3 * ROWS, CLASSES)
    sha256 = data.sha256
    other = Dataset.known(sha256, batch_size=2)
    del data
    gc.collect()
    assert Dataset.known(sha256) is not None
    del other
    gc.collect()
    assert Dataset.known(sha256) is None


def test_arrays_come_from_attachments():
    data = Dataset(5 * ROWS, CLASSES, 2, held_out=HELD_OUT)
    stored, arrays = config(data).to_dict(), dict(data.attachments)
    expected = config(data).digest
    del data
    gc.collect()
    check(
        ValueError,
        f"Dataset: the arrays with the hash {stored['inputs']['sha256']} must have been created or "
        "read in this process, but have not; call fp.Dataset",
        NetworkConfig.from_dict,
        stored,
    )
    asked = []

    def load(sha256):
        asked.append(sha256)
        return arrays[sha256]

    again = NetworkConfig.from_dict(stored, load)
    assert again.digest == expected
    assert np.array_equal(again.inputs.inputs.to_dense(), 5 * ROWS)
    # Once is enough for a while.
    del again
    gc.collect()
    assert NetworkConfig.from_dict(stored, load).digest == expected
    assert len(asked) == 1


def test_arrays_of_another_hash_are_refused():
    data = Dataset(7 * ROWS, CLASSES)
    stored = config(data).to_dict() | {"inputs": {"kind": "dataset", "sha256": "0" * 64}}
    check(
        ValueError,
        f"the arrays of {'0' * 64} have the hash {data.sha256}",
        NetworkConfig.from_dict,
        stored,
        lambda _: data.attachments[data.sha256],
    )


@pytest.mark.parametrize(
    ("inputs", "kind", "message"),
    [
        ({"kind": "dataset"}, TypeError, "Dataset: sha256 must be text, got None"),
        ({"kind": "dataset", "sha256": 3}, TypeError, "Dataset: sha256 must be text, got 3"),
        (
            {"kind": "dataset", "sha": "a"},
            TypeError,
            "Dataset has no field 'sha'; did you mean 'sha256'?",
        ),
    ],
)
def test_bad_mappings(inputs, kind, message):
    check(kind, message, NetworkConfig.from_dict, {"widths": [2, 3, 3], "inputs": inputs})


def test_a_pickled_config_needs_nothing_else():
    one = config(sets()["held_out"])
    code = (
        "import pickle, sys; config = pickle.load(sys.stdin.buffer); "
        "print(config.digest, config.inputs.held_out[1].tolist())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], input=pickle.dumps(one), capture_output=True, check=True
    )
    assert done.stdout.decode().split() == [one.digest, "[0,", "2]"]


# ---------------------------------------------------------------------------------------------
# Targets and losses
# ---------------------------------------------------------------------------------------------


def test_the_order_of_literals_and_clauses_has_no_effect():
    one = Clauses([[[2, ~1, 0], [3]], [(1,)]])
    assert one.outputs == (((0, ~1, 2), (3,)), ((1,),))
    assert one == Clauses([[[3], [0, 2, ~1], [3]], [[1]]])
    assert Parity([[2, 0, 1]]) == Parity([np.array([0, 1, 2])])


@pytest.mark.parametrize(
    ("function", "kind", "message"),
    [
        (lambda: Clauses(3), TypeError, "Clauses: outputs must be a list, got 3"),
        (lambda: Clauses([]), ValueError, "Clauses: outputs must not be empty"),
        (lambda: Clauses([[]]), ValueError, "Clauses: outputs[0] must not be empty"),
        (lambda: Clauses([[[]]]), ValueError, "Clauses: outputs[0][0] must not be empty"),
        (lambda: Clauses([[0]]), TypeError, "Clauses: outputs[0][0] must be a list, got 0"),
        (lambda: Clauses([["ab"]]), TypeError, "Clauses: outputs[0][0] must be a list, got 'ab'"),
        (
            lambda: Clauses([[[0, 1.0]]]),
            TypeError,
            "Clauses: outputs[0][0][1] must be an integer >= -2147483648 and < 2147483648, got 1.0",
        ),
        (
            lambda: Clauses([[[0, ~0]]]),
            ValueError,
            "Clauses: outputs[0][0] must name each feature once, got [0, -1]",
        ),
        (
            lambda: Parity([[0, -1]]),
            ValueError,
            "Parity: outputs[0][1] must be an integer >= 0 and < 2147483648, got -1",
        ),
        (lambda: Parity([[0, 0]]), ValueError, "Parity: outputs[0] must name each feature once"),
        (lambda: Parity(output=[[0]]), TypeError, "has no field 'output'; did you mean 'outputs'?"),
        (
            lambda: Power(0.5),
            ValueError,
            "Power: q must be a finite number >= 1 and <= 16, got 0.5",
        ),
        (lambda: Power(17), ValueError, "Power: q must be a finite number >= 1 and <= 16, got 17"),
        (lambda: Power(2.25), ValueError, "Power: q must be a multiple of 1/2, got 2.25"),
        (lambda: Power("2"), TypeError, "Power: q must be a finite number >= 1 and <= 16, got '2'"),
        (lambda: BinaryCrossEntropy(2), TypeError, "positional argument"),
    ],
)
def test_bad_targets_and_losses(function, kind, message):
    check(kind, message, function)
