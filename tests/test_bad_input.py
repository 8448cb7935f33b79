"""Arrays and arguments that are refused, by messages that name them and what is allowed.

One long table of calls and messages.
"""

from __future__ import annotations

import enum
import re

import numpy as np
import pytest
from scipy import sparse

import fastpolysem as fp
from fastpolysem import metrics
from helpers.refusal_checks import (
    BASE,
    BATCH,
    BIASED,
    CERTIFIED,
    NAN,
    NOISY,
    OWN_NOISE,
    SAMPLED,
    UNTIED,
    M,
    N,
    W,
    check,
)

CSR = ([0, 1, 2], [0, 2], [1.0, 2.0])


@pytest.mark.parametrize(
    ("arrays", "n", "kind", "message"),
    [
        (CSR, 2, ValueError, "FixedBatch: indices must be >= 0 and < 2, got 2"),
        (
            (CSR[0], [0, -1], CSR[2]),
            3,
            ValueError,
            "FixedBatch: indices must be >= 0 and < 3, got -1",
        ),
        (
            (CSR[0], [0.0, 1.0], CSR[2]),
            3,
            TypeError,
            "FixedBatch: indices must be a 1-d array of int",
        ),
        (
            ([0, 1], *CSR[1:]),
            3,
            ValueError,
            "FixedBatch: indptr must ascend from 0 to the number of",
        ),
        (([0, 3, 2], *CSR[1:]), 3, ValueError, "entries 2, got [0, 3, 2]"),
        (([1, 1, 2], *CSR[1:]), 3, ValueError, "FixedBatch: indptr must ascend"),
        (([0], [], []), 3, ValueError, "FixedBatch must have at least one row, got none"),
        (
            (CSR[0], [0], CSR[2]),
            3,
            ValueError,
            "indices and values must have the same length, got 1 and 2",
        ),
        (
            (*CSR[:2], [1.0, np.nan]),
            3,
            ValueError,
            "FixedBatch: values must hold finite numbers only",
        ),
        (
            (*CSR[:2], [1.0, 1j]),
            3,
            TypeError,
            "FixedBatch: values must be an array of real numbers",
        ),
        (([0, 2], [1, 1], [1e308, 1e308]), 3, ValueError, "add up to an infinite value"),
        (CSR, 0, ValueError, "FixedBatch: n_features must be an integer >= 1"),
        (
            ([[0], [1, 2]], *CSR[1:]),
            3,
            TypeError,
            "FixedBatch: indptr cannot be read as an array: ",
        ),
        (
            (None, *CSR[1:]),
            3,
            TypeError,
            "FixedBatch: indptr must be a 1-d array of integers, got N",
        ),
        (
            (CSR[0], np.array([0, 2**63], np.uint64), CSR[2]),
            3,
            ValueError,
            "FixedBatch: indices must be integers < 2**63, got 9223372036854775808",
        ),
    ],
    ids=str,
)
def test_sparse_batches(arrays, n, kind, message):
    check(kind, message, fp.FixedBatch.from_csr, *arrays, n_features=n)


def broken(kind, change):
    """A sparse 4 x 4 unit matrix after a change that scipy does not notice."""
    matrix = getattr(sparse, kind)(np.eye(4))
    change(matrix)
    return matrix


def setting(name, index, value):
    """Changes one entry of an array of the matrix."""
    return lambda matrix: getattr(matrix, name).__setitem__(index, value)


def replacing(name, value):
    """Replaces an array of the matrix."""
    return lambda matrix: setattr(matrix, name, np.array(value))


BROKEN = [
    ("csr_array", setting("indices", 1, 7), ": indices must be >= 0 and < 4, got 7"),
    ("csr_matrix", setting("indices", 1, -1), ": indices must be >= 0 and < 4, got -1"),
    ("csr_array", setting("indptr", 4, 99), ": indptr must ascend from 0 to the number of entries"),
    ("csr_array", replacing("indptr", [0, 4]), ": indptr must have length 5, got 2"),
    ("csc_matrix", setting("indices", 1, 77), ": indices must be >= 0 and < 4, got 77"),
    ("csc_array", setting("indptr", 1, -1), ": indptr must ascend from 0 to the number of entries"),
    ("csc_array", setting("indptr", 2, 3000), "to the number of entries 4, got [0, 1, 3000, 3, 4]"),
    ("csc_array", replacing("indices", [0, 1]), "to the number of entries 2, got [0, 1, 2, 3, 4]"),
    ("bsr_array", setting("indices", 0, 9), ": indices must be >= 0 and < "),
    ("bsr_matrix", replacing("data", np.ones((4, 3, 1))), "must consist of whole blocks, got bl"),
    ("coo_matrix", setting("row", 0, -1), ": row must be >= 0 and < 4, got -1"),
    ("coo_array", setting("col", 2, 4), ": col must be >= 0 and < 4, got 4"),
    ("coo_array", replacing("data", [1.0]), ": row and data must have the same length, got 4"),
    ("dia_array", replacing("offsets", [0, 1]), ": data must have one row for each of the 2 offs"),
    ("dia_matrix", replacing("offsets", [0.5]), ": offsets must be a 1-d array of integers"),
    ("lil_array", setting("rows", 0, [5]), ": rows must be >= 0 and < 4, got 5"),
    ("lil_matrix", setting("rows", 0, [0, 1, 2]), ": rows and data must hold lists of equal"),
    ("dok_array", lambda m: m._dict.update({(9, 0): 1.0}), ": keys must lie within the shape (4, "),
]


@pytest.mark.parametrize(("kind", "change", "message"), BROKEN)
def test_a_sparse_matrix_whose_arrays_contradict_each_other(kind, change, message):
    kinds = (ValueError, TypeError)
    with pytest.raises(kinds, match=re.escape(message)) as caught:
        fp.FixedBatch(broken(kind, change))
    assert str(caught.value).startswith("FixedBatch: matrix")
    config = fp.Config(n_features=4, n_hidden=3)
    for function in (fp.forward, fp.loss_and_gradient):
        with pytest.raises(kinds, match=re.escape(message)) as caught:
            function(np.zeros((4, 3)), config, batch=broken(kind, change))
        assert str(caught.value).startswith(f"{function.__name__}: batch")


def test_a_sparse_array_with_one_axis():
    message = "FixedBatch: matrix must be a matrix with 2 axes, got a coo_array of shape (2,)"
    check(ValueError, message, fp.FixedBatch, sparse.coo_array(np.array([1.0, 2.0])))


@pytest.mark.parametrize(
    ("matrix", "kind", "message"),
    [
        (
            np.zeros(3),
            ValueError,
            "matrix must be an array with 2 axes, got an array of shape (3,)",
        ),
        (np.zeros((0, 3)), ValueError, "FixedBatch: matrix must have at least one row, got none"),
        (np.zeros((3, 0)), ValueError, "FixedBatch: matrix: n_features must be an integer >= 1"),
        ([[1, 2], [3]], TypeError, "FixedBatch: matrix cannot be read as an array"),
        (fp.Basis(), TypeError, "matrix must be an array of real numbers, got Basis()"),
        ({"a": 1}, TypeError, "matrix must be an array of real numbers, got {'a': 1}"),
        (None, TypeError, "matrix must be an array of real numbers, got None"),
        ([["a"]], TypeError, "FixedBatch: matrix must be an array of real numbers"),
        ([[None]], TypeError, "FixedBatch: matrix must be an array of real numbers"),
        ([[1j]], TypeError, "FixedBatch: matrix must be an array of real numbers"),
        (
            [[1, np.inf]],
            ValueError,
            "matrix must hold finite numbers only, got inf at index (0, 1)",
        ),
        (np.ma.masked_array([[1.0]]), TypeError, "must be a plain array, got a masked one"),
        (sparse.csr_array([[np.nan]]), ValueError, "matrix: values must hold finite numbers only"),
    ],
    ids=str,
)
def test_dense_batches(matrix, kind, message):
    check(kind, message, fp.FixedBatch, matrix)


# Weights are checked alike wherever they are taken.
WEIGHTS = [
    (
        BASE,
        W.T,
        ValueError,
        "got (10, 6); is it transposed? Its last two axes should have lengths (6, 10)",
    ),
    (BASE, np.stack([W.T] * 2), ValueError, "got (2, 10, 6); is it transposed?"),
    (BASE, W[:, :-1], ValueError, "must have shape (6, 10) or ("),
    (BASE, W[0], ValueError, "must be an array with 2 or 3 axes, got an array of shape (10,)"),
    (BASE, NAN, ValueError, "must hold finite numbers only, got nan at index (0, 0)"),
    (
        BASE,
        np.full((N, M), 1e49),
        ValueError,
        "got 1e+49 at index (0, 0), which overflows in float32",
    ),
    (
        BASE,
        W * 1j,
        TypeError,
        "must be an array of real numbers, got an array of shape (6, 10) and",
    ),
    (BASE, W.astype(object), TypeError, "must be an array of real numbers"),
    (BASE, W.astype(str), TypeError, "must be an array of real numbers"),
    (BASE, np.ma.masked_array(W), TypeError, "must be a plain array, got a masked one"),
    (BASE, [[1, 2], [3]], TypeError, "cannot be read as an array"),
    (BASE, "W", TypeError, "must be an array of real numbers, got 'W'"),
    (BASE, {}, TypeError, "must be an array of real numbers, got {}"),
    (
        BASE,
        sparse.csr_array(W),
        TypeError,
        "must be a dense array, got a csr_array of shape (6, 10); use its toarray()",
    ),
    (BASE, (W, W), ValueError, "decoder must be None for a tied model, got one"),
    (
        BASE,
        fp.Parameters(W, None, W[:, 0]),
        ValueError,
        "bias must be None for a model without one",
    ),
    (
        UNTIED,
        W,
        TypeError,
        "must be Parameters(encoder, decoder, bias) for a model with a decoder, got",
    ),
    (
        UNTIED,
        fp.Parameters(W),
        ValueError,
        "decoder must be an array for an untied model, got None",
    ),
    (UNTIED, (W, W.T), ValueError, ": decoder must have shape (6, 10) or ("),
    (UNTIED, (W, NAN), ValueError, ": decoder must hold finite numbers only"),
    (
        UNTIED,
        (W, W, None, None),
        ValueError,
        "or a pair (encoder, decoder), got a tuple of length 4",
    ),
    (UNTIED, (None, W), TypeError, "encoder must be an array, got None"),
    (
        BIASED,
        W,
        TypeError,
        "for a model with a bias, got an array of shape (6, 10) and dtype float64",
    ),
    (BIASED, fp.Parameters(W, None, np.zeros(5)), ValueError, ": bias must have shape (6,) or ("),
]


@pytest.mark.parametrize(("config", "weights", "kind", "message"), WEIGHTS)
@pytest.mark.parametrize("function", [fp.forward, fp.loss_and_gradient], ids=lambda f: f.__name__)
def test_weights(function, config, weights, kind, message):
    check(kind, message, function, weights, config)
    check(kind, f"{function.__name__}: weights", function, weights, config)


@pytest.mark.parametrize(("config", "weights", "kind", "message"), WEIGHTS)
def test_initial_weights(config, weights, kind, message):
    check(kind, message, fp.train, config, 2, initial_weights=weights)
    check(kind, "train: initial_weights", fp.train, config, 2, initial_weights=weights)


def test_initial_weights_of_another_number_of_seeds():
    message = "train: initial_weights must have shape (6, 10) or (2, 6, 10), got (3, 6, 10)"
    check(ValueError, message, fp.train, BASE, 2, initial_weights=np.stack([W] * 3))


@pytest.mark.parametrize("function", [fp.forward, fp.loss_and_gradient], ids=lambda f: f.__name__)
@pytest.mark.parametrize(
    ("config", "arguments", "kind", "message"),
    [
        (SAMPLED, {}, ValueError, "batch must be given for a config with inputs=Independent(prob"),
        (
            BASE,
            {"batch": np.eye(5)},
            ValueError,
            "batch must have n_features=6 columns, got shape (5, 5)",
        ),
        (BASE, {"batch": BATCH[0]}, ValueError, "batch must be an array with 2 axes"),
        (BASE, {"batch": BATCH * np.nan}, ValueError, "batch must hold finite numbers only"),
        (BASE, {"batch": "basis"}, TypeError, "batch must be an array of real numbers"),
        (
            BASE,
            {"batch": fp.Basis()},
            TypeError,
            "batch must be an array of real numbers, got Basis()",
        ),
        (
            BASE,
            {"batch": BATCH * 1e39},
            ValueError,
            "batch must hold entries that are finite in float32, got 1e+39",
        ),
        (BASE, {"batch": BATCH[:0]}, ValueError, "batch must have at least one row, got none"),
        (
            BASE,
            {"noise": np.zeros(N)},
            ValueError,
            "noise must have shape (10,) or (1, 10), got (6,)",
        ),
        (
            NOISY,
            {"noise": np.zeros((N, M))},
            ValueError,
            "noise must have shape (10,) or (1, 10), got",
        ),
        (NOISY, {"noise": [np.nan] * M}, ValueError, "noise must hold finite numbers only"),
        (OWN_NOISE, {"noise": np.zeros(M)}, ValueError, "noise must be an array with 2 or 3 axes"),
        (
            OWN_NOISE,
            {"noise": np.zeros((N, M)), "batch": BATCH},
            ValueError,
            "noise must have shape (3, 10) or (1, 3, 10), got (6, 10)",
        ),
        (
            OWN_NOISE,
            {"noise": np.zeros((M, N))},
            ValueError,
            "noise must have shape (6, 10) or (1, 6, 10), got (10, 6); is it transposed? "
            "Its last two axes should have lengths (6, 10)",
        ),
    ],
)
def test_arguments_of_the_objective(function, config, arguments, kind, message):
    check(kind, f"{function.__name__}: {message}", function, W, config, **arguments)


@pytest.mark.parametrize("function", [fp.forward, fp.loss_and_gradient], ids=lambda f: f.__name__)
def test_an_objective_without_config(function):
    check(TypeError, f"{function.__name__}: config must be a Config, got 'c'", function, W, "c")


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ({"config": {}}, TypeError, "config must be a Config, got {}"),
        (
            {"seeds": -1},
            ValueError,
            "seeds must be an integer >= 0 and <= 18446744073709551616, got -1",
        ),
        ({"seeds": True}, TypeError, "seeds must be an integer"),
        ({"seeds": 3.0}, TypeError, "seeds must be a count or a list of integers, got 3.0"),
        ({"seeds": None}, TypeError, "seeds must be a count or a list of integers, got None"),
        ({"seeds": "12"}, TypeError, "seeds must be a list of integers, got '12'"),
        ({"seeds": {1, 2}}, TypeError, "seeds must be a list of integers, got {1, 2}"),
        ({"seeds": iter([1])}, TypeError, "seeds must be a count or a list of integers, got <"),
        (
            {"seeds": [0, 1.0]},
            TypeError,
            "seeds[1] must be an integer >= 0 and < 18446744073709551616",
        ),
        ({"seeds": [0, 2**64]}, ValueError, "seeds[1] must be an integer"),
        ({"seeds": [-1, 2**64 - 1]}, ValueError, "seeds[0] must be an integer"),
        ({"seeds": [[1], [2]]}, TypeError, "seeds[0] must be an integer"),
        ({"seeds": np.array([-5])}, ValueError, "got -5"),
        (
            {"seeds": np.zeros((2, 2), int)},
            TypeError,
            "seeds must be a count or a list of integers",
        ),
        (
            {"seeds": np.zeros(2)},
            TypeError,
            "seeds must be a 1-d array of integers, got an array of",
        ),
        ({"num_threads": 0}, ValueError, "num_threads must be an integer >= 1 and <= 1024, got 0"),
        ({"num_threads": 10**6}, ValueError, "num_threads must be an integer >= 1 and <= 1024"),
        (
            {"num_threads": 1.5},
            TypeError,
            "num_threads must be an integer >= 1 and <= 1024, got 1.5",
        ),
        ({"return_weights": 1}, TypeError, "return_weights must be True or False, got 1"),
        ({"progress": 3}, TypeError, "progress must be a function of (done, total) or None, got 3"),
        (
            {"kernel": "densest"},
            ValueError,
            "kernel must be one of 'auto', 'generic', 'dense', 'sparse', 'lanes', got 'densest'; "
            "did you mean 'dense'?",
        ),
        ({"kernel": None}, TypeError, "kernel must be one of 'auto'"),
        ({"kernel": "sparse"}, ValueError, "kernel 'sparse' does not support this config: "),
        (
            {"record": "loss"},
            TypeError,
            "record must be a Record or a pair (metrics, steps), got 'loss'",
        ),
        ({"record": ("loss",)}, TypeError, "record must be a Record or a pair (metrics, steps)"),
        (
            {"record": ("loss", [0, 5])},
            ValueError,
            "record must ask for steps <= 4, as many as are taken, got 5",
        ),
        (
            {"noise_sequence": np.zeros((4, N))},
            ValueError,
            "noise_sequence must have shape (4, 10) or (2, 4, 10), got (4, 6)",
        ),
        ({"noise_sequence": np.zeros((3, 4, M))}, ValueError, "noise_sequence must have shape"),
        (
            {"noise_sequence": np.zeros((M, 4))},
            ValueError,
            "got (10, 4); is it transposed? Its last two axes should have lengths (4, 10)",
        ),
        (
            {"noise_sequence": np.full((4, M), np.inf)},
            ValueError,
            "noise_sequence must hold finite",
        ),
        (
            {"config": OWN_NOISE, "noise_sequence": np.zeros((2, 4, M))},
            ValueError,
            "noise_sequence must have shape (4, 6, 10) or (2, 4, 6, 10), got (2, 4, 10)",
        ),
        (
            {"config": CERTIFIED, "noise_sequence": np.zeros((4, M))},
            ValueError,
            "noise_sequence must be None with stop='certified', got noise",
        ),
    ],
    ids=str,
)
def test_arguments_of_train(arguments, kind, message):
    check(kind, message, fp.train, **{"config": BASE, "seeds": 2, **arguments})
    check(kind, "train: ", fp.train, **{"config": BASE, "seeds": 2, **arguments})


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        (([3], [0]), TypeError, "Record: metrics must be text, got 3"),
        (("", [0]), ValueError, "Record: metrics must be a non-empty text, got ''"),
        ((3, [0]), TypeError, "Record: metrics must be a list of names, got 3"),
        (([], [0]), ValueError, "Record: metrics must be one or more different names, got ()"),
        ((["loss", "loss"], [0]), ValueError, "different names, got ('loss', 'loss')"),
        (("loss", []), ValueError, "Record: steps must hold at least one step, got none"),
        (("loss", 5), TypeError, "Record: steps must be a list of integers, got 5"),
        (("loss", [1, -1]), ValueError, "Record: steps[1] must be an integer >= 0, got -1"),
        (("loss", [0.5]), TypeError, "Record: steps[0] must be an integer >= 0, got 0.5"),
        (
            ("loss", np.logspace(0, 1, 3)),
            TypeError,
            "Record: steps must be a 1-d array of integers",
        ),
    ],
    ids=str,
)
def test_records(arguments, kind, message):
    check(kind, message, fp.Record, *arguments)


def test_what_a_family_cannot_record():
    message = (
        "train: record: metrics must be one of 'objective', 'loss', 'residual', 'polysemantic', "
        "'benign', 'malign', 'signed_slots', 'signed_slots_benign', 'dead', 'unrepresented', "
        "'nonzeros', 'l1_norm', 'fourth_norm', got 'los'; did you mean 'loss'?"
    )
    check(ValueError, message, fp.train, BASE, 2, record=("los", [0]))
    check(
        ValueError,
        message.replace("train", "collect", 1),
        fp.collect,
        BASE,
        seeds=2,
        record=("los", [0]),
    )


@pytest.mark.parametrize(
    ("function", "kind", "message"),
    [
        (
            lambda: metrics.count_dead(W[0]),
            ValueError,
            "count_dead: weights must be an array with 2 or",
        ),
        (
            lambda: metrics.fourth_norm(NAN),
            ValueError,
            "fourth_norm: weights must hold finite numbers",
        ),
        (
            lambda: metrics.count_polysemantic(NAN),
            ValueError,
            "weights must hold finite numbers only",
        ),
        (
            lambda: metrics.signed_slots("W"),
            TypeError,
            "signed_slots: weights must be an array of real",
        ),
        (
            lambda: metrics.participation_ratio(None),
            TypeError,
            "weights must be an array or Parameters(...) with an encoder, got None",
        ),
        (
            lambda: metrics.count_dead(fp.Parameters(None, W)),
            TypeError,
            "weights must be an array or Parameters(...) with an encoder, got <Parameters of",
        ),
        (
            lambda: metrics.count_pairs((W, W)),
            TypeError,
            "count_pairs: weights must be an array or Parameters(...), got (",
        ),
        (
            lambda: metrics.interference(W[:, :0]),
            ValueError,
            "interference: weights must have features and neurons, got shape (6, 0)",
        ),
        (
            lambda: metrics.count_polysemantic(W, low=0),
            ValueError,
            "count_polysemantic: low must be a finite number > 0, got 0",
        ),
        (
            lambda: metrics.count_polysemantic(W, low=1, high=0.5),
            ValueError,
            "count_polysemantic: low must be <= high, got low=1.0 and high=0.5",
        ),
        (
            lambda: metrics.count_polysemantic(W, high=np.nan),
            ValueError,
            "count_polysemantic: high must be a number > 0, got nan",
        ),
        (
            lambda: metrics.count_dead(W, low="a"),
            TypeError,
            "count_dead: low must be a finite number",
        ),
        (
            lambda: metrics.hoyer_sparsity(W[:, :1]),
            ValueError,
            "hoyer_sparsity: weights must have at least 2 neurons, got 1",
        ),
        (
            lambda: metrics.effective_weights(W, W.T),
            ValueError,
            "effective_weights: decoder must have the encoder's shape (6, 10), got (10, 6)",
        ),
        (
            lambda: metrics.effective_weights(W, None),
            TypeError,
            "effective_weights: decoder must be an array of real numbers",
        ),
    ],
)
def test_arguments_of_metrics(function, kind, message):
    check(kind, message, function)


def test_arrays_of_other_types_and_layouts_are_taken():
    stack = np.random.default_rng(0).integers(-1, 2, (2, N, M))
    expected = fp.train(BASE, 2, initial_weights=stack.astype(np.float32), return_weights=True)
    for given in (
        stack,
        stack.astype(np.float64),
        stack.astype(np.float16),
        stack.astype(np.int8),
        stack.astype(np.float64, order="F"),
        np.repeat(stack, 2, axis=2)[..., ::2],
        stack.tolist(),
    ):
        result = fp.train(BASE, 2, initial_weights=given, return_weights=True)
        assert result.weights.tobytes() == expected.weights.tobytes()


def test_one_start_for_all_seeds():
    start = np.random.default_rng(0).normal(size=(N, M))
    each = fp.train(NOISY, 3, initial_weights=np.stack([start] * 3), return_weights=True)
    for given in (start, start[np.newaxis]):
        result = fp.train(NOISY, 3, initial_weights=given, return_weights=True)
        assert result.weights.tobytes() == each.weights.tobytes()
    assert len({one.tobytes() for one in each.weights}) == 3


def test_layers_of_a_network_are_not_taken_for_models():
    layers = fp.NetworkParameters([np.zeros((N, N)), np.zeros((N, N))])
    config = fp.Config(n_features=N, n_hidden=N, steps=1)
    for function in (
        lambda: fp.forward(layers, config),
        lambda: fp.loss_and_gradient(layers, config),
        lambda: fp.train(config, 2, initial_weights=layers),
    ):
        check(TypeError, "got those of a network", function)


def test_members_of_enumerations_are_stored_as_their_text():
    class Name(str, enum.Enum):  # noqa: UP042 (str of a StrEnum is its value)
        ADAM = "adam"
        TANH = "tanh"
        SIGN = "sign"

    one = fp.Config(n_features=N, n_hidden=M, optimizer=Name.ADAM)
    assert one == fp.Config(n_features=N, n_hidden=M, optimizer="adam")
    assert type(one.optimizer) is str
    network = fp.NetworkConfig(
        widths=(N, M, N), activation=Name.TANH, inputs=fp.Independent(0.5, 8, Name.SIGN)
    )
    plain = fp.NetworkConfig(
        widths=(N, M, N), activation="tanh", inputs=fp.Independent(0.5, 8, "sign")
    )
    assert network.digest == plain.digest


@pytest.mark.parametrize(
    ("kind", "message", "function"),
    [
        (
            TypeError,
            "paired must be True or False",
            lambda: fp.statistics.compare([1.0, 2.0], [2.0, 4.0], paired="no"),
        ),
        (
            TypeError,
            "shared_only must be True or False",
            lambda: fp.plots.collision_map(W, shared_only="no"),
        ),
        (TypeError, "open the study in a folder with Study.open", lambda: fp.Study("folder")),
    ],
)
def test_flags_and_folders(kind, message, function):
    check(kind, message, function)
