"""`forward` and `loss_and_gradient` against the specification for every option."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse

import fastpolysem as fp
import specification as spec
from helpers.random_models import (
    assert_equal_up_to_rounding,
    label,
    pack,
    products,
    random_batch,
    random_importance,
    random_model,
    rows_near_a_kink,
    stacked,
    unpack,
)

S, N, M, ROWS = 3, 7, 5, 9
OPTIONS = list(
    products(
        inputs=["basis", "basis-given", "fixed", "independent", "correlated"],
        noise=["none", "step", "input"],
        l1_target=["none", "weights", "activations"],
        dtype=["float32", "float64"],
    )
)
FLAGS = list(
    products(
        tied=[True, False],
        bias=[False, True],
        activation=["relu", "linear"],
        importance=[False, True],
    )
)


def build(rng, *, inputs, noise, l1_target, dtype, tied, bias, activation, importance):
    """(config, models, rows of the batch, batch argument, noise argument)."""
    rows = random_batch(rng, ROWS, N).astype(dtype).astype(float)
    distribution, argument = {
        "basis": (fp.Basis(), None),
        "basis-given": (fp.Basis(), rows),
        "fixed": (fp.FixedBatch(rows), None),
        "independent": (fp.Independent(0.3, batch_size=11), rows),
        "correlated": (fp.CorrelatedBlocks(1, 3, batch_size=4), rows),
    }[inputs]
    if inputs == "basis":
        rows = np.eye(N)
    shape = {"none": None, "step": (S, M), "input": (S, len(rows), M)}[noise]
    config = fp.Config(
        n_features=N,
        n_hidden=M,
        l1=0.0 if l1_target == "none" else 0.03,
        l1_target="activations" if l1_target == "activations" else "weights",
        noise="none" if noise == "none" else "gaussian",
        noise_std=0.0 if noise == "none" else 0.1,
        noise_sharing="input" if noise == "input" else "step",
        tied=tied,
        bias=bias,
        activation=activation,
        importance=random_importance(N) if importance else None,
        inputs=distribution,
        dtype=dtype,
    )
    models = [random_model(rng, config) for _ in range(S)]
    return (
        config,
        models,
        rows,
        argument,
        None if shape is None else rng.normal(0, 0.2, shape).astype(dtype),
    )


def test_parameters_are_shown_by_their_shapes() -> None:
    one = np.zeros((20, 40))
    assert repr(fp.Parameters(one, bias=np.zeros(20))) == (
        "<Parameters of shapes encoder: (20, 40), decoder: None, bias: (20,)>"
    )
    assert repr(fp.Parameters([[1, 2]])).startswith("<Parameters of shapes encoder: [[1, 2]]")
    assert repr(fp.NetworkParameters([one, one.T], [None, one[:, 0]])) == (
        "<NetworkParameters of shapes weights: [(20, 40), (40, 20)], biases: [None, (20,)]>"
    )


@pytest.mark.parametrize("options", OPTIONS, ids=label)
def test_against_the_specification(options):
    rng = np.random.default_rng(100 + OPTIONS.index(options))
    dtype = np.dtype(options["dtype"])
    tolerance = 1e-5 if dtype == np.float32 else 1e-10
    left_out = compared = 0
    for flags in FLAGS:
        config, models, rows, batch, noise = build(rng, **options, **flags)
        weights = pack(*stacked(models, dtype))
        output = fp.forward(weights, config, batch=batch, noise=noise)
        loss, gradient = fp.loss_and_gradient(weights, config, batch=batch, noise=noise)
        assert (output.shape, output.dtype) == ((S, len(rows), N), dtype)
        assert (loss.shape, loss.dtype) == ((S,), np.float64)
        assert type(gradient) is type(weights)
        scale = spec.scale(config.inputs, N, rows=len(rows))
        for s, model in enumerate(models):
            xi = None if noise is None else noise[s].astype(float)
            np.testing.assert_allclose(
                output[s],
                spec.forward(config, model, rows, xi),
                rtol=0,
                atol=tolerance,
                err_msg=f"forward, {label(flags)}",
            )
            expected_loss = spec.objective(config, model, rows, xi, scale)
            assert loss[s] == pytest.approx(expected_loss, rel=tolerance), label(flags)
            expected = spec.gradient(config, model, rows, xi, scale)
            keep = ~rows_near_a_kink(
                config, model, rows, xi, 1e-5 if dtype == np.float32 else 1e-12
            )
            left_out += np.count_nonzero(~keep)
            compared += np.count_nonzero(keep)
            largest = max(np.abs(a).max() for a in expected if a is not None)
            for ours, theirs in zip(unpack(gradient), expected, strict=True):
                if theirs is None:
                    assert ours is None
                    continue
                assert (ours[s].dtype, ours[s].shape) == (dtype, theirs.shape)
                np.testing.assert_allclose(
                    ours[s][keep],
                    theirs[keep],
                    rtol=0,
                    atol=tolerance * largest,
                    err_msg=f"gradient, {label(flags)}",
                )
    assert left_out <= 0.02 * compared


def simple(**options):
    return fp.Config(n_features=N, n_hidden=M, dtype="float64", **options)


def test_exact_zeros_have_no_slope():
    rng = np.random.default_rng(1)
    w = np.where(rng.random((S, N, M)) < 0.6, 0.0, rng.normal(size=(S, N, M)))
    w[0] = 0  # every pre-activation exactly on the kink
    for l1_target in ("weights", "activations"):
        config = simple(l1=0.1, l1_target=l1_target)
        loss, gradient = fp.loss_and_gradient(w, config)
        assert loss[0] == N
        assert np.all(gradient[0] == 0)
        for s in range(S):
            expected = spec.gradient(config, spec.weights(w[s]), np.eye(N)).encoder
            np.testing.assert_allclose(gradient[s], expected, rtol=0, atol=1e-12)


def test_a_single_model_has_no_seed_axis():
    rng = np.random.default_rng(2)
    w, decoder, bias = rng.normal(size=(N, M)), rng.normal(size=(N, M)), rng.normal(size=N)
    stack, one = fp.loss_and_gradient(w[None], simple()), fp.loss_and_gradient(w, simple())
    assert (np.shape(one[0]), one[1].shape) == ((), (N, M))
    assert_equal_up_to_rounding(one, (stack[0][0], stack[1][0]))
    assert fp.forward(w, simple()).shape == (N, N)
    config = simple(tied=False, bias=True)
    parameters = fp.Parameters(w, decoder, bias)
    loss, gradient = fp.loss_and_gradient(parameters, config)
    assert isinstance(gradient, fp.Parameters)
    assert (gradient.encoder.shape, gradient.decoder.shape, gradient.bias.shape) == (
        (N, M),
        (N, M),
        (N,),
    )
    expected = spec.objective(config, spec.weights(*parameters), np.eye(N))
    assert float(loss) == pytest.approx(expected, rel=1e-12)


def test_a_plain_pair_is_an_untied_model():
    rng = np.random.default_rng(3)
    pair = (rng.normal(size=(S, N, M)), rng.normal(size=(S, N, M)))
    config = simple(tied=False)
    named = fp.loss_and_gradient(fp.Parameters(*pair), config)
    assert_equal_up_to_rounding(fp.loss_and_gradient(pair, config), named)


def test_noise_may_be_shared_by_the_seeds():
    rng = np.random.default_rng(4)
    w = rng.normal(size=(S, N, M))
    for config, shape in (
        (simple(), (M,)),  # a config without noise takes it as one vector a step
        (simple(noise="gaussian", noise_std=0.1), (M,)),
        (simple(noise="gaussian", noise_std=0.1, noise_sharing="input"), (N, M)),
    ):
        noise = rng.normal(size=shape)
        shared = fp.loss_and_gradient(w, config, noise=noise)
        each = fp.loss_and_gradient(w, config, noise=np.broadcast_to(noise, (S, *shape)))
        assert_equal_up_to_rounding(shared, each)
        assert not np.allclose(shared[1], fp.loss_and_gradient(w, config)[1])


@pytest.mark.parametrize(
    "convert", [scipy.sparse.csr_matrix, scipy.sparse.coo_array, fp.FixedBatch]
)
def test_batches_may_be_sparse(convert):
    rng = np.random.default_rng(5)
    w = rng.normal(size=(S, N, M))
    rows = random_batch(rng, ROWS, N)
    sparse = fp.loss_and_gradient(w, simple(), batch=convert(rows))
    assert_equal_up_to_rounding(sparse, fp.loss_and_gradient(w, simple(), batch=rows))


def test_a_batch_of_empty_rows():
    rng = np.random.default_rng(6)
    w = rng.normal(size=(S, N, M))
    for rows in (1, 3):
        loss, gradient = fp.loss_and_gradient(w, simple(l1=0.1), batch=np.zeros((rows, N)))
        np.testing.assert_allclose(loss, 0.1 * np.abs(w).sum(axis=(1, 2)))
        np.testing.assert_allclose(gradient, 0.1 * np.sign(w))


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_repulsion_is_in_the_loss(tied, dtype):
    rng = np.random.default_rng(7)
    config = fp.Config(n_features=N, n_hidden=M, l1=0.1, repulsion=0.4, tied=tied, dtype=dtype)
    models = [random_model(rng, config) for _ in range(S)]
    loss, gradient = fp.loss_and_gradient(pack(*stacked(models, dtype)), config)
    tolerance = 1e-5 if dtype == "float32" else 1e-12
    for s, model in enumerate(models):
        assert loss[s] == pytest.approx(spec.objective(config, model, np.eye(N)), rel=tolerance)
        expected = spec.gradient(config, model, np.eye(N))
        for ours, theirs in zip(unpack(gradient), expected, strict=True):
            if theirs is not None:
                np.testing.assert_allclose(ours[s], theirs, rtol=0, atol=10 * tolerance)


def test_dropout_and_schedules_are_matters_of_training():
    rng = np.random.default_rng(8)
    w = rng.normal(size=(S, N, M))
    config = simple(l1=0.1)
    trained = config.replace(dropout=0.5, l1_schedule=((0, 0), (10, 1)))
    assert_equal_up_to_rounding(fp.loss_and_gradient(w, trained), fp.loss_and_gradient(w, config))
    np.testing.assert_array_equal(fp.forward(w, trained), fp.forward(w, config))


SMALL = {"n_features": N, "n_hidden": M}


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"l1": 0.1, "l1_target": "activations", "l1_update": "orthant"}, "orthant"),
        ({"l1_target": "activations"}, "l1"),
        ({"noise": "gaussian"}, "noise_std"),
        ({"noise_std": 0.1}, "noise"),
        ({"noise_sharing": "input"}, "noise_sharing"),
        ({"importance": (1.0,) * (N - 1)}, "importance"),
        ({"inputs": fp.FixedBatch(np.eye(N + 1))}, "n_features"),
    ],
    ids=lambda value: label(value) if isinstance(value, dict) else None,
)
def test_combinations_that_cannot_be_honoured_are_refused(options, reason):
    with pytest.raises(ValueError, match=reason):
        fp.Config(**SMALL, **options)


@pytest.mark.parametrize(
    ("config", "arguments", "reason"),
    [
        (simple(inputs=fp.Independent(0.3, batch_size=4)), {}, "batch"),
        (simple(inputs=fp.CorrelatedBlocks(1, 3, batch_size=4)), {}, "batch"),
        (simple(), {"batch": np.eye(N + 1)}, "batch"),
        (simple(), {"batch": np.zeros((0, N))}, "batch"),
        (simple(), {"batch": np.full((2, N), np.nan)}, "batch"),
        (simple(), {"noise": np.zeros(M + 1)}, "noise"),
        (simple(), {"noise": np.zeros((S + 1, M))}, "noise"),
        (
            simple(noise="gaussian", noise_std=0.1, noise_sharing="input"),
            {"noise": np.zeros((N + 1, M))},
            "noise",
        ),
        (simple(), {"noise": np.full(M, np.inf)}, "noise"),
        (simple(tied=False), {}, "decoder"),
        (simple(bias=True), {}, "bias"),
        (simple(), {"weights": np.zeros((S, M, N))}, "transposed"),
        (simple(), {"weights": np.full((S, N, M), np.nan)}, "weights"),
    ],
)
@pytest.mark.parametrize("function", ["forward", "loss_and_gradient"])
def test_arguments_that_do_not_fit_are_refused(function, config, arguments, reason):
    arguments = {"weights": np.ones((S, N, M)), **arguments}
    with pytest.raises((ValueError, TypeError), match=reason):
        getattr(fp, function)(arguments.pop("weights"), config, **arguments)


class Tensor:
    """Stands for a tensor with a gradient, which numpy cannot read, in a type it does not have."""

    def __init__(self, values, dtype="bfloat16", attached=True):
        self.values, self.dtype, self.attached = np.asarray(values), dtype, attached
        self.ndim, self.shape = self.values.ndim, self.values.shape

    def detach(self):
        return Tensor(self.values, self.dtype, False)

    def cpu(self):
        return self

    def float(self):
        return Tensor(self.values.astype(np.float32), "float32", self.attached)

    def numpy(self):
        if self.attached:
            raise RuntimeError("Can't call numpy() on Tensor that requires grad.")
        if self.dtype == "bfloat16":
            raise TypeError("Got unsupported ScalarType BFloat16")
        return self.values

    def __array__(self, dtype=None, copy=None):
        return self.numpy()

    def __len__(self):
        return len(self.values)


def everything(config, make, weights, batch):
    """What every function that takes arrays says of these weights, batch and seeds."""
    given = make(weights)
    noise = config.replace(noise="gaussian", noise_std=0.1, steps=3)
    yield fp.forward(given, config, batch=make(batch))
    yield fp.loss_and_gradient(given, config, batch=make(batch))[1]
    yield np.array([fp.count_polysemantic(given), fp.metrics.fourth_norm(given).sum()])
    yield fp.metrics.winner_rank(given, given)
    yield fp.diagnose(given).weights
    yield fp.train(config.replace(steps=3), make(np.arange(3)), initial_weights=given).loss
    yield fp.train(noise, [1], noise_sequence=make(np.ones((3, 8)))).loss
    yield fp.FixedBatch(make(batch)).to_dense()
    yield np.array(config.replace(importance=make(np.arange(1, 7))).importance)
    yield np.array(fp.Record("loss", make(np.arange(3))).steps)


ORIGINS = {
    "lists": lambda values: np.asarray(values).tolist(),
    "tensors": lambda values: Tensor(values, str(np.asarray(values).dtype)),
    "tensors in bfloat16": lambda values: (
        Tensor(values) if np.asarray(values).dtype.kind == "f" else values
    ),
    "lists of tensors": lambda values: (
        [Tensor(row) for row in values] if np.ndim(values) > 1 else values
    ),
}


@pytest.mark.parametrize("origin", ORIGINS)
def test_arrays_of_any_origin_are_taken_everywhere(origin):
    config = fp.Config(n_features=6, n_hidden=8, l1=1e-2)
    weights = np.eye(6, 8) / 2 + 0.5  # numbers that bfloat16 holds
    batch = np.eye(3, 6)
    expected = everything(config, np.asarray, weights, batch)
    found = everything(config, ORIGINS[origin], weights, batch)
    for one, other in zip(expected, found, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.extra
def test_real_tensors_are_taken_everywhere():
    torch = pytest.importorskip("torch")

    def tensor(values):
        plain = torch.tensor(np.asarray(values))
        return plain.bfloat16().requires_grad_() if plain.is_floating_point() else plain

    config = fp.Config(n_features=6, n_hidden=8, l1=1e-2)
    weights, batch = np.eye(6, 8) / 2 + 0.5, np.eye(3, 6)
    expected = everything(config, np.asarray, weights, batch)
    for one, other in zip(expected, everything(config, tensor, weights, batch), strict=True):
        np.testing.assert_array_equal(one, other)
    edge = np.full((2, 1), 1.2, np.float32)
    assert fp.count_polysemantic(torch.tensor(edge)) == fp.count_polysemantic(edge) == 1
