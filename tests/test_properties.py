"""Whatever the shapes, options and layouts: the specification holds, and so do its symmetries."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

import fastpolysem as fp
import specification as spec
from fastpolysem._native import core
from helpers.random_models import (
    assert_equal_up_to_rounding,
    pack,
    random_batch,
    random_importance,
    rows_near_a_kink,
    unpack,
)

sizes = st.one_of(st.sampled_from([1, 2, 8, 16, 17]), st.integers(1, 24))


@st.composite
def configs(draw: st.DrawFn, *, dtype: str | None = None) -> fp.Config:
    """Any configuration of a small model; training is plain and short."""
    n, m = draw(sizes), draw(sizes)
    options: dict[str, Any] = {"n_features": n, "n_hidden": m}
    options["tied"] = draw(st.booleans())
    options["bias"] = draw(st.booleans())
    options["activation"] = draw(st.sampled_from(["relu", "linear"]))
    if draw(st.booleans()):
        options["importance"] = random_importance(n)
    if draw(st.booleans()):
        options["l1"] = draw(st.sampled_from([1e-3, 0.1, 3.0]))
        options["l1_update"] = draw(st.sampled_from(["subgradient", "orthant"]))
        if options["l1_update"] == "subgradient":
            options["l1_target"] = draw(st.sampled_from(["weights", "activations"]))
        options["l1_schedule"] = draw(st.sampled_from([None, ((0, 0), (2, 1)), ((1, 1), (2, 0))]))
    if draw(st.booleans()):
        shapes = {"student_t": 5.0, "three_point": 0.25}
        kinds = ["gaussian", "rademacher", "uniform", "laplace", *shapes]
        options["noise"] = draw(st.sampled_from(kinds))
        options["noise_shape"] = shapes.get(options["noise"])
        options["noise_std"] = 0.1
        options["noise_sharing"] = draw(st.sampled_from(["step", "input"]))
    options["repulsion"] = draw(st.sampled_from([0.0, 0.0, 0.5]))
    if draw(st.integers(0, 3)) == 0:
        options["dropout"] = draw(st.sampled_from([2**-32, 0.1, 0.9]))
        options["dropout_sharing"] = draw(st.sampled_from(["step", "input"]))
    kind = draw(st.sampled_from(["basis", "fixed", "independent", "blocks"]))
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    if kind == "fixed":
        rows = random_batch(rng, draw(st.integers(1, 20)), n, 0.4)
        rows[0, 0] = 1.0
        options["inputs"] = fp.FixedBatch(rows)
    elif kind == "independent":
        kinds = ["one", "uniform", "sign", "signed_uniform"]
        magnitude = draw(st.sampled_from([*kinds, rng.choice(kinds, n).tolist()]))
        chance = draw(st.sampled_from([0.3, rng.uniform(0.1, 1, n)]))
        options["inputs"] = fp.Independent(chance, draw(st.integers(1, 20)), magnitude)
    elif kind == "blocks":
        blocks = draw(st.sampled_from([k for k in range(1, n + 1) if n % k == 0]))
        active = draw(st.integers(1, n // blocks))
        options["inputs"] = fp.CorrelatedBlocks(blocks, active, draw(st.integers(1, 20)))
    options["optimizer"] = draw(st.sampled_from(["sgd", "adam", "adamw"]))
    if options["optimizer"] == "sgd":
        options["momentum"] = draw(st.sampled_from([0.0, 0.9]))
    rates = [None, "cosine", ((0, 0), (2, 1)), ((1, 1), (2, 0))]
    options["learning_rate_schedule"] = draw(st.sampled_from(rates))
    options["dtype"] = dtype or draw(st.sampled_from(["float32", "float64"]))
    options["steps"] = 3
    return fp.Config(**options)


def models(config: fp.Config, seeds: int, rng: np.random.Generator) -> fp.Parameters:
    """Random weights with exact zeros among them; None for what the model has not."""
    shape = (seeds, config.n_features, config.n_hidden)

    def matrix() -> Any:
        w = rng.normal(0, 1.2 / np.sqrt(config.n_hidden), shape)
        return np.where(rng.random(shape) < 0.2, 0, w).astype(config.dtype)

    return fp.Parameters(
        matrix(),
        None if config.tied else matrix(),
        rng.normal(0, 0.2, shape[:2]).astype(config.dtype) if config.bias else None,
    )


def scenario(config: fp.Config, rng: np.random.Generator) -> tuple[Any, Any, Any]:
    """(rows, batch argument, shape of noise) for `loss_and_gradient`."""
    kind = type(config.inputs).__name__
    if kind == "Basis":
        rows, batch = np.eye(config.n_features), None
    elif kind == "FixedBatch":
        rows, batch = config.inputs.to_dense(), None
    else:
        rows = batch = random_batch(rng, int(rng.integers(1, 20)), config.n_features)
    if config.noise == "none":
        return rows, batch, None
    own = config.noise_sharing == "input"
    return rows, batch, (len(rows), config.n_hidden) if own else (config.n_hidden,)


@settings(max_examples=400)
@given(configs(), st.integers(0, 3), st.integers(0, 2**16))
def test_loss_and_gradient(config, seeds, seed):
    rng = np.random.default_rng(seed)
    weights = models(config, seeds, rng)
    rows, batch, shape = scenario(config, rng)
    noise = None if shape is None else rng.normal(0, 0.1, (seeds, *shape)).astype(config.dtype)
    loss, gradient = fp.loss_and_gradient(pack(*weights), config, batch=batch, noise=noise)
    output = fp.forward(pack(*weights), config, batch=batch, noise=noise)
    assert (loss.shape, output.shape) == ((seeds,), (seeds, *rows.shape))
    rows = rows.astype(config.dtype).astype(float)
    scale = spec.scale(config.inputs, config.n_features, rows=len(rows))
    single = config.dtype == "float32"
    tolerance = 1e-5 if single else 1e-10
    for s in range(seeds):
        model = spec.weights(*(None if a is None else a[s] for a in weights))
        xi = None if noise is None else noise[s].astype(float)
        expected_output = spec.forward(config, model, rows, xi)
        size = max(1.0, np.abs(expected_output).max())
        np.testing.assert_allclose(output[s], expected_output, rtol=0, atol=tolerance * size)
        expected_loss = spec.objective(config, model, rows, xi, scale)
        np.testing.assert_allclose(loss[s], expected_loss, rtol=tolerance, atol=tolerance)
        near = rows_near_a_kink(config, model, rows, xi, 1e-5 if single else 1e-12)
        slopes = spec.gradient(config, model, rows, xi, scale)
        largest = max(1.0, *(np.abs(a).max() for a in slopes if a is not None))
        for ours, theirs in zip(unpack(gradient), slopes, strict=True):
            assert (ours is None) == (theirs is None)
            if theirs is not None:
                assert ours.dtype == config.dtype
                np.testing.assert_allclose(
                    ours[s][~near], theirs[~near], rtol=0, atol=tolerance * largest
                )


@settings(max_examples=100)
@given(configs(), st.integers(0, 2**16))
def test_layout_of_the_arrays_does_not_matter(config, seed):
    rng = np.random.default_rng(seed)
    weights = models(config, 2, rng)
    _, batch, shape = scenario(config, rng)
    noise = None if shape is None else rng.normal(0, 0.1, (2, *shape)).astype(config.dtype)
    plain = fp.loss_and_gradient(pack(*weights), config, batch=batch, noise=noise)

    def strange(a):
        """The same numbers, backwards in memory with gaps and read-only."""
        if a is None:
            return None
        room = np.zeros([2 * k for k in a.shape], dtype=a.dtype)
        view = room[tuple(slice(None, None, -2) for _ in a.shape)]
        view[...] = a
        view.flags.writeable = False
        return view

    odd = fp.Parameters(*(strange(a) for a in weights))
    again = fp.loss_and_gradient(pack(*odd), config, batch=strange(batch), noise=strange(noise))
    fortran = fp.Parameters(*(None if a is None else np.asfortranarray(a) for a in weights))
    fortran_order = fp.loss_and_gradient(pack(*fortran), config, batch=batch, noise=noise)
    for other in (again, fortran_order):
        assert_equal_up_to_rounding(other, plain, config.dtype)


@settings(max_examples=60)
@given(configs(dtype="float64"), st.integers(0, 2**16))
def test_single_precision_weights_are_widened_and_double_ones_rounded(config, seed):
    rng = np.random.default_rng(seed)
    single = fp.Parameters(
        *(None if a is None else a.astype(np.float32) for a in models(config, 2, rng))
    )
    double = fp.Parameters(*(None if a is None else a.astype(np.float64) for a in single))
    _, batch, _ = scenario(config, rng)
    for dtype in ("float32", "float64"):
        target = config.replace(dtype=dtype)
        a = fp.loss_and_gradient(pack(*single), target, batch=batch)
        b = fp.loss_and_gradient(pack(*double), target, batch=batch)
        assert_equal_up_to_rounding(a, b, dtype)
        assert unpack(a[1])[0].dtype == dtype


@settings(max_examples=100)
@given(configs(dtype="float64"), st.integers(0, 2**16))
def test_names_of_neurons_and_features_do_not_matter(config, seed):
    rng = np.random.default_rng(seed)
    weights = models(config, 2, rng)
    rows, batch, shape = scenario(config, rng)
    noise = None if shape is None else rng.normal(0, 0.1, (2, *shape))
    config = config.replace(inputs=fp.Basis()) if batch is None else config
    loss, gradient = fp.loss_and_gradient(pack(*weights), config, batch=rows, noise=noise)
    neurons = rng.permutation(config.n_hidden)
    signs = rng.choice([-1.0, 1.0], config.n_hidden)

    def turn(encoder, decoder, bias):
        return fp.Parameters(
            *(None if a is None else a[..., neurons] * signs for a in (encoder, decoder)), bias
        )

    turned_noise = None if noise is None else noise[..., neurons] * signs
    result = fp.loss_and_gradient(pack(*turn(*weights)), config, batch=rows, noise=turned_noise)
    assert_equal_up_to_rounding(result, (loss, pack(*turn(*unpack(gradient)))))

    features = rng.permutation(config.n_features)
    importance = None if config.importance is None else tuple(np.array(config.importance)[features])

    def move(arrays):
        return fp.Parameters(*(None if a is None else a[:, features] for a in arrays))

    renamed = config.replace(importance=importance)
    result = fp.loss_and_gradient(
        pack(*move(weights)), renamed, batch=rows[:, features], noise=noise
    )
    assert_equal_up_to_rounding(result, (loss, pack(*move(unpack(gradient)))))


@settings(max_examples=200)
@given(configs(), st.integers(0, 4), st.integers(1, 5))
def test_training_of_any_configuration(config, seeds, threads):
    """Shapes, types, and one result whatever the threads and the kernel."""
    result = fp.train(config, seeds, num_threads=threads, return_weights=True)
    assert result.polysemantic.shape == result.loss.shape == (seeds,)
    shape = (seeds, config.n_features, config.n_hidden)
    encoder, decoder, bias = unpack(result.weights)
    assert (encoder.shape, encoder.dtype) == (shape, config.dtype)
    assert (decoder is None, bias is None) == (config.tied, not config.bias)
    generic = fp.train(config, seeds, num_threads=1, kernel="generic", return_weights=True)
    for a, b in zip(unpack(generic.weights), unpack(result.weights), strict=True):
        if a is not None:
            np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(generic.loss, result.loss)
    np.testing.assert_array_equal(generic.polysemantic, result.polysemantic)


@st.composite
def trained_weights(draw: st.DrawFn, dtype: Any) -> Any:
    """(S, n, m) as training leaves them: many zeros, the rest often at the bounds of the window."""
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    shape = (draw(st.integers(0, 3)), draw(st.integers(1, 12)), draw(st.integers(1, 12)))
    low, high = dtype(0.8), dtype(1.2)
    choices = [low, np.nextafter(low, dtype(0)), np.nextafter(low, dtype(1)), high]
    choices += [
        np.nextafter(high, dtype(0)),
        np.nextafter(high, dtype(2)),
        dtype(1),
        dtype(0.5),
        dtype(1e-3),
    ]
    size = np.array(choices, dtype=dtype)[rng.integers(0, len(choices), shape)]
    w = np.where(rng.random(shape) < draw(st.sampled_from([0.3, 0.7, 0.95])), 0, size)
    return (w * rng.choice([-1, 1], shape)).astype(dtype)


@settings(max_examples=400)
@given(st.data(), st.sampled_from([np.float32, np.float64]))
def test_counts_are_their_definitions(data, dtype):
    w = data.draw(trained_weights(dtype))
    low, high = float(dtype(0.8)), float(dtype(1.2))  # the window as the weights' precision has it
    told = core.count(w, 0.8, 1.2)
    np.testing.assert_array_equal(fp.count_polysemantic(w), told["polysemantic"])
    for s, one in enumerate(w):
        counted = {name: int(values[s]) for name, values in told.items()}
        assert counted == spec.counts(one.astype(float), low, high)
    narrow = fp.count_polysemantic(w, low=0.9, high=1.1)
    assert list(narrow) == [spec.polysemantic(one.astype(float), 0.9, 1.1) for one in w]


@settings(max_examples=200)
@given(st.data(), st.sampled_from([np.float32, np.float64]))
def test_counts_of_untied_models(data, dtype):
    encoder = data.draw(trained_weights(dtype))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**16)))
    decoder = (encoder * rng.choice([-1, 0.5, 1, 1, 1, 2], encoder.shape)).astype(dtype)
    told = fp.count_polysemantic(fp.Parameters(encoder, decoder))
    low, high = float(dtype(0.8)), float(dtype(1.2))
    for s in range(len(encoder)):
        effective = spec.effective(spec.weights(encoder[s], decoder[s]))
        assert told[s] == spec.polysemantic(effective, low, high)
