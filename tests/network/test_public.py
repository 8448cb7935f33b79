"""Networks by the package's public names: one pass, draws, parameters, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

import fastpolysem as fp
from helpers.refusal_checks import check
from network import settings
from specifications import network as specified
from specifications.network import NetworkSpec

SPEC = NetworkSpec(widths=(3, 4, 5, 2), bias=(True, False, True), activation=("relu", "tanh"))
SPEC_TASK = {
    "inputs": specified.Dataset(np.eye(3)[[0, 1, 2, 1]], np.arange(8.0).reshape(4, 2)),
    "dtype": "float64",
}
RNG = np.random.default_rng(3)
CONFIG = settings.config(NetworkSpec(**{**SPEC.__dict__, **SPEC_TASK}))
S, B = 2, 4
WEIGHTS = [RNG.normal(size=(S, n, m)) for n, m in ((3, 4), (4, 5), (5, 2))]
BIASES = [RNG.normal(size=(S, 4)), None, RNG.normal(size=(S, 2))]
STACK = fp.NetworkParameters(WEIGHTS, BIASES)
BATCH, TARGETS = RNG.normal(size=(B, 3)), RNG.normal(size=(B, 2))
NOISE = [RNG.normal(size=(B, 4)), RNG.normal(size=5)]
DROPOUT = [None, np.where(RNG.random((B, 5)) < 0.5, 2.0, 0.0)]
BINARY = fp.NetworkConfig(widths=(2, 3, 2), loss=fp.losses.BinaryCrossEntropy())
BINARY_START = fp.NetworkParameters([np.ones((2, 3)), np.ones((3, 2))])


def one(index: int) -> fp.NetworkParameters:
    return fp.NetworkParameters(
        [w[index] for w in WEIGHTS], [None if b is None else b[index] for b in BIASES]
    )


def model(index: int) -> specified.Network:
    return specified.network(*one(index))


def test_forward_of_a_stack_and_of_one():
    outputs = fp.forward(STACK, CONFIG, BATCH, NOISE)
    assert outputs.shape == (S, B, 2)
    for index in range(S):
        trace = specified.forward(CONFIG, model(index), BATCH, NOISE)
        np.testing.assert_allclose(outputs[index], trace.outputs, rtol=1e-12, atol=1e-14)
        assert np.array_equal(fp.forward(one(index), CONFIG, BATCH, NOISE), outputs[index])
        layers = fp.forward(one(index), CONFIG, sparse.csr_array(BATCH), NOISE, layers=True)
        assert [layer.shape for layer in layers] == [(B, 4), (B, 5), (B, 2)]
        for layer, expected in zip(layers, (*trace.activations, trace.outputs), strict=True):
            np.testing.assert_allclose(layer, expected, rtol=1e-12, atol=1e-14)


def test_loss_and_gradient_of_a_stack_and_of_one():
    given = {"targets": TARGETS, "dropout": DROPOUT}
    loss, gradient = fp.loss_and_gradient(STACK, CONFIG, BATCH, NOISE, **given)
    assert loss.shape == (S,)
    assert isinstance(gradient, fp.NetworkParameters)
    assert gradient.biases[1] is None
    for index in range(S):
        arguments = CONFIG, model(index), BATCH, TARGETS, NOISE, DROPOUT
        assert loss[index] == pytest.approx(specified.objective(*arguments), rel=1e-12)
        expected = specified.gradient(*arguments)
        for part, right in zip(gradient.weights, expected.weights, strict=True):
            np.testing.assert_allclose(part[index], right, rtol=1e-10, atol=1e-13)
        np.testing.assert_allclose(gradient.biases[0][index], expected.biases[0], rtol=1e-10)
        own_loss, own = fp.loss_and_gradient(one(index), CONFIG, BATCH, NOISE, **given)
        assert own_loss == loss[index]
        assert np.array_equal(own.weights[0], gradient.weights[0][index])


def test_without_a_batch_it_is_all_rows_of_the_data_set():
    data = CONFIG.inputs
    loss, _ = fp.loss_and_gradient(STACK, CONFIG)
    explicit, _ = fp.loss_and_gradient(STACK, CONFIG, data.inputs, targets=data.targets)
    assert np.array_equal(loss, explicit)


def test_draws_are_what_a_step_is_trained_on():
    config = fp.NetworkConfig(
        widths=(6, 5, 6),
        inputs=fp.Independent(0.3, 8, "signed_uniform"),
        target=fp.targets.Relu(),
        noise="gaussian",
        noise_std=0.1,
        dropout=0.5,
        optimizer="sgd",
        steps=1,
        dtype="float64",
    )
    start = fp.train(config.replace(steps=0), [7], return_weights=True).weights
    end = fp.train(config, [7], return_weights=True).weights
    drawn = fp.draw(config, seed=7, step=0)
    assert isinstance(drawn, fp.Draws)
    assert np.array_equal(drawn.targets, np.maximum(drawn.inputs, 0))
    _, gradient = fp.loss_and_gradient(
        start, config, drawn.inputs, drawn.noise, targets=drawn.targets, dropout=drawn.dropout
    )
    for before, after, slope in zip(start.weights, end.weights, gradient.weights, strict=True):
        np.testing.assert_allclose(after, before - config.learning_rate * slope, rtol=1e-12)


def test_parameters_without_biases_may_be_a_list():
    config = fp.NetworkConfig(widths=(2, 3, 2))
    weights = [np.ones((2, 3)), np.ones((3, 2))]
    expected = fp.forward(fp.NetworkParameters(weights), config)
    assert np.array_equal(fp.forward(weights, config), expected)


AUTOENCODER = fp.Config(n_features=3, n_hidden=4)
W = np.ones((3, 4))
SAMPLED = fp.NetworkConfig(widths=(3, 4, 3), tied=True, inputs=fp.Independent(0.5, 8))


def test_rows_whose_targets_are_probabilities_are_accepted():
    for target, rows in (
        (fp.targets.Absolute(), np.eye(2) * -1),
        (fp.targets.Relu(), np.eye(2) * -50),
        (fp.targets.Clauses([[[0]], [[1]]]), np.eye(2) * 50),
    ):
        loss, _ = fp.loss_and_gradient(BINARY_START, BINARY.replace(target=target), rows)
        assert loss > 0


@pytest.mark.parametrize(
    ("function", "arguments", "options", "kind", "message"),
    [
        (
            fp.forward,
            (W, "config"),
            {},
            TypeError,
            "forward: config must be a Config, got 'config'",
        ),
        (
            fp.forward,
            (W, AUTOENCODER),
            {"layers": True},
            TypeError,
            "forward: layers must be left out for a Config, got True",
        ),
        (
            fp.loss_and_gradient,
            (W, AUTOENCODER),
            {"targets": W},
            TypeError,
            "loss_and_gradient: targets must be left out for a Config, got an array of shape (3",
        ),
        (
            fp.loss_and_gradient,
            (W, AUTOENCODER),
            {"dropout": [W]},
            TypeError,
            "loss_and_gradient: dropout must be left out for a Config, got ",
        ),
        (
            fp.forward,
            (W, CONFIG),
            {},
            TypeError,
            "forward: weights must be NetworkParameters(weights, biases), got an array of shape",
        ),
        (
            fp.forward,
            (fp.NetworkParameters(WEIGHTS[:2], BIASES), CONFIG),
            {},
            ValueError,
            "forward: weights: weights must be a list of 3 matrices, got ",
        ),
        (
            fp.forward,
            (fp.NetworkParameters(WEIGHTS, BIASES[:2]), CONFIG),
            {},
            ValueError,
            "forward: weights: biases must be None or a list with one entry per layer, 3, got",
        ),
        (
            fp.forward,
            (fp.NetworkParameters(WEIGHTS, [BIASES[0], np.ones((S, 5)), None]), CONFIG),
            {},
            ValueError,
            "forward: weights: biases_2 must be None for a layer without biases, got one",
        ),
        (
            fp.forward,
            (fp.NetworkParameters([w.swapaxes(1, 2) for w in WEIGHTS], BIASES), CONFIG),
            {},
            ValueError,
            "forward: weights: weights_1 must have shape (3, 4) or (S, 3, 4), got (2, 4, 3); is it",
        ),
        (
            fp.forward,
            (fp.NetworkParameters([np.nan * w for w in WEIGHTS], BIASES), CONFIG),
            {},
            ValueError,
            "forward: weights: weights_1 must hold finite numbers only, got nan at index (0, 0, 0)",
        ),
        (
            fp.forward,
            (STACK, CONFIG, BATCH[:, :2]),
            {},
            ValueError,
            "forward: batch must have n_fea",
        ),
        (
            fp.forward,
            (
                WEIGHTS,
                CONFIG.replace(inputs=fp.Independent(0.5, 8), widths=(3, 4, 5, 3), bias=False),
            ),
            {},
            ValueError,
            "forward: weights: weights_3 must have shape (5, 3) or (2, 5, 3), got (2, 5, 2)",
        ),
        (
            fp.forward,
            (WEIGHTS[:1], SAMPLED),
            {},
            ValueError,
            "forward: batch must be given for a config with inputs=Independent(probability=0.5, ",
        ),
        (
            fp.forward,
            (STACK, CONFIG, BATCH),
            {"layers": 1},
            TypeError,
            "forward: layers must be True or False, got 1",
        ),
        (
            fp.forward,
            (STACK, CONFIG, BATCH, NOISE[:1]),
            {},
            ValueError,
            "forward: noise must be a list with one entry per hidden layer, 2, got ",
        ),
        (
            fp.forward,
            (STACK, CONFIG, BATCH, [NOISE[0][:3], None]),
            {},
            ValueError,
            "forward: noise[0] must have shape (4, 4) or (2, 4, 4), got (3, 4)",
        ),
        (
            fp.loss_and_gradient,
            (STACK, CONFIG, BATCH),
            {},
            ValueError,
            "loss_and_gradient: targets must be (4, 2) numbers with rows of your own, got None: "
            "the targets of the config's Dataset",
        ),
        (
            fp.loss_and_gradient,
            (STACK, CONFIG, BATCH),
            {"targets": TARGETS[:, :1]},
            ValueError,
            "loss_and_gradient: targets must have 2 columns, got shape (4, 1)",
        ),
        (
            fp.loss_and_gradient,
            (STACK, CONFIG, BATCH),
            {"targets": TARGETS[:3]},
            ValueError,
            "loss_and_gradient: targets must have one entry per row, 4, got 3",
        ),
        *(
            (
                fp.loss_and_gradient,
                (BINARY_START, BINARY),
                options,
                ValueError,
                f"loss_and_gradient: targets{said} must be within [0, 1] with loss=BinaryCross",
            )
            for options, said in (
                ({"targets": np.eye(2) * 1e3}, ""),
                ({"targets": np.eye(2) - 0.1}, ""),
                ({"batch": np.eye(2) * 50}, " of these rows, Identity(),"),
            )
        ),
        (
            fp.measure,
            (BINARY_START, BINARY),
            {"data": np.eye(2) * 50},
            ValueError,
            "measure: targets of these rows, Identity(), must be within [0, 1] with loss=BinaryCro"
            "ssEntropy(), got 50",
        ),
        (
            fp.measure,
            (BINARY_START, BINARY),
            {"data": np.eye(2), "targets": np.eye(2) * 2},
            ValueError,
            "measure: targets must be within [0, 1] with loss=BinaryCrossEntropy(), got 2",
        ),
        (fp.draw, (CONFIG, -1, 0), {}, ValueError, "draw: seed must be an integer >= 0"),
        (
            fp.draw,
            (CONFIG, 0, 7500),
            {},
            ValueError,
            "draw: step must be an integer >= 0 and < 7500",
        ),
        (
            fp.draw,
            (AUTOENCODER, 0, 0),
            {},
            TypeError,
            "draw: config must be of a family with a draw of its own, got Config(n_features=3",
        ),
    ],
)
def test_bad_input(function, arguments, options, kind, message):
    check(kind, message, function, *arguments, **options)
