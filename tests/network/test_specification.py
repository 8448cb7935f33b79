"""The specification of networks against mathematics, PyTorch and the autoencoder.

One file: each option has its own hand-computed example.
"""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from scipy import sparse

import specification
from specifications import combinations, losses, sampling, training, updates
from specifications import network as spec
from specifications.losses import BinaryCrossEntropy, CrossEntropy, Power
from specifications.network import Basis, CorrelatedBlocks, Dataset, Independent, NetworkSpec
from specifications.targets import Absolute, Clauses, Identity, Parity, Relu, targets

Array = specification.Array


def random_network(rng: np.random.Generator, config: Any) -> spec.Network:
    """About as large as it starts, with biases off 0."""
    count = 1 if config.tied else spec.depth(config)
    pairs = list(zip(config.widths[:-1], config.widths[1:], strict=True))
    has_bias = spec.spread(config.bias, spec.depth(config))
    return spec.network(
        [rng.normal(0, 1 / math.sqrt(n), (n, m)) for n, m in pairs[:count]],
        [rng.normal(0, 0.3, m) if has_bias[k] else None for k, (_, m) in enumerate(pairs)],
    )


def arrays_of(model: spec.Network) -> list[Array]:
    return [a for a in (*model.weights, *model.biases) if a is not None]


# The objective and its gradient -------------------------------------------------------------------


def distance_to_kinks(config: Any, model: spec.Network, draws: sampling.Draws) -> float:
    """How far the objective is from a place where it has no second derivative.

    What is exactly 0 stays so: a row without inputs, a layer whose units are all dropped.
    """
    inputs, wanted, noise, dropout, _ = draws
    trace = spec.forward(config, model, inputs, noise, dropout)
    kinds = [*spec.spread(config.activation, spec.depth(config) - 1), config.output]
    layers = list(zip(kinds, trace.preactivations, strict=True))
    kinks = [z for kind, z in layers if kind == "relu"]
    if any(spec.l1_of_layers(config)):
        if config.l1_target == "activations":
            kinks += [a for (_, a) in zip(layers, trace.activations, strict=False)]
        else:
            kinks += model.weights
    if losses.kind(config.loss) == "Power" and config.loss.q < 2:
        kinks.append(0.01 * (trace.outputs - wanted))
    return min((float(np.abs(k[k != 0]).min(initial=1.0)) for k in kinks), default=1.0)


def worst_slope(config: Any, seed: int) -> float:
    """The largest difference between the gradient and central differences, relative to the larger
    of the gradient's largest entry, the objective and 1."""
    step = 1e-6
    for attempt in range(1000):
        rng = np.random.default_rng((seed, attempt))
        draws = sampling.draw(config, seed, attempt)
        model = random_network(rng, config)
        if distance_to_kinks(config, model, draws) > 2e-5:
            break
    else:
        pytest.fail("no data away from the kinks")
    rest = draws[:4]
    slopes = arrays_of(spec.gradient(config, model, *rest))
    size = max(1.0, spec.objective(config, model, *rest), *(np.abs(s).max() for s in slopes))
    worst = 0.0
    for array, slope in zip(arrays_of(model), slopes, strict=True):  # moved in place
        assert slope.shape == array.shape
        for index in rng.permutation(array.size)[:10]:
            value, sides = array.flat[index], []
            for sign in (1, -1):
                array.flat[index] = value + sign * step
                sides.append(spec.objective(config, model, *rest))
            array.flat[index] = value
            numeric = (sides[0] - sides[1]) / (2 * step)
            worst = max(worst, abs(numeric - slope.flat[index]) / size)
    return worst


@pytest.mark.parametrize("part", range(10))
def test_gradient_is_the_slope_of_the_objective(part):
    for k, config in enumerate(combinations.accepted(part, 30)):
        assert worst_slope(config, k) < 1e-8, config


@pytest.mark.slow
@pytest.mark.parametrize("part", range(10, 30))
def test_gradient_is_the_slope_of_the_objective_in_more_combinations(part):
    for k, config in enumerate(combinations.accepted(part, 200)):
        assert worst_slope(config, k) < 1e-8, config


TWO_ROWS = np.array([[1.0, 0.0], [0.5, -2.0]])


def test_forward_by_hand():
    config = NetworkSpec(widths=(2, 2, 2, 1), residual=(2,), bias=(False, True, False))
    model = spec.network(
        [[[1, -1], [0, 1]], [[1, 0], [1, -1]], [[2], [1]]], [None, [0.5, -1.0], None]
    )
    trace = spec.forward(config, model, TWO_ROWS)
    np.testing.assert_array_equal(trace.preactivations[0], [[1, -1], [0.5, -2.5]])
    np.testing.assert_array_equal(trace.activations[0], [[1, 0], [0.5, 0]])
    np.testing.assert_array_equal(trace.activations[1], [[1.5, 0], [1, 0]])
    np.testing.assert_array_equal(trace.read[2], [[2.5, 0], [1.5, 0]])
    np.testing.assert_array_equal(trace.outputs, [[5], [3]])
    # Noise is added after what came in, dropout multiplies both; one vector serves all rows.
    noise, dropout = [None, np.array([1.0, -2.0])], [None, np.array([[2.0, 0.5], [0.0, 1.0]])]
    trace = spec.forward(config, model, TWO_ROWS, noise, dropout)
    np.testing.assert_array_equal(trace.read[2], [[7, -1], [0, -2]])
    np.testing.assert_array_equal(trace.activations[1], [[1.5, 0], [1, 0]])
    np.testing.assert_array_equal(trace.outputs, [[13], [-2]])


def test_first_chain_leaves_out_zeros_of_the_inputs():
    config = NetworkSpec(widths=(2, 2, 2))
    model = spec.network([[[1, 1], [np.inf, np.nan]], np.eye(2)])
    trace = spec.forward(config, model, np.array([[2.0, 0.0]]))
    assert trace.outputs.tolist() == [[2, 2]]
    # In the gradient the chain over rows leaves out the second row for the first feature.
    model = spec.network([[[1, 1], [np.inf, 1]], np.eye(2)])
    with np.errstate(invalid="ignore"):
        slopes = spec.smooth_gradient(config, model, np.array([[2.0, 0], [0, 1]]), np.zeros((2, 2)))
    assert slopes.weights[0][0].tolist() == [8, 8]
    assert np.isnan(slopes.weights[0][1]).all()


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("relu", [0.0, 0.0, 2.0]),
        ("gelu", [-0.15865525393145707, 0.0, 1.9544997361036416]),
        ("tanh", [-0.7615941559557649, 0.0, 0.9640275800758169]),
        ("square", [1.0, 0.0, 4.0]),
        ("linear", [-1.0, 0.0, 2.0]),
    ],
)
def test_activations_by_hand(kind, values):
    ours = spec.activation(kind, np.array([-1.0, 0.0, 2.0]))
    np.testing.assert_allclose(ours, values, rtol=1e-15)


def test_losses_by_hand():
    outputs, ones = np.array([[1.0, -2.0], [0.0, 1.5]]), np.ones(2)
    wanted = np.array([[0.0, 2.0], [0.0, 0.5]])  # errors 1, -4 and 0, 1
    weight = np.array([2.0, 0.5])
    for q, rows in ((1, [4, 0.5]), (1.5, [6, 0.5]), (2, [10, 0.5]), (3, [34, 0.5])):
        np.testing.assert_array_equal(losses.values(Power(q), outputs, wanted, weight), rows)
    np.testing.assert_array_equal(
        losses.slopes(Power(2.5), outputs, wanted, weight), [[5, -10], [0, 1.25]]
    )
    np.testing.assert_allclose(  # log(1 + e^-3), log(1 + e^-1.5)
        losses.values(CrossEntropy(), outputs, np.array([0, 1]), ones),
        [0.04858735157374206, 0.20141327798275246],
        rtol=1e-14,
    )
    np.testing.assert_allclose(
        losses.slopes(CrossEntropy(), outputs, np.array([0, 1]), ones).sum(axis=1), 0, atol=1e-15
    )
    chances = np.array([[1.0, 0.0], [0.5, 1.0]])
    soft = [math.log(1 + math.exp(-z)) for z in (1, 2, 1.5)]
    np.testing.assert_allclose(
        losses.values(BinaryCrossEntropy(), outputs, chances, weight),
        [2 * soft[0] + soft[1] / 2, 2 * math.log(2) + soft[2] / 2],
        rtol=1e-14,
    )
    for loss, wanted_now in ((CrossEntropy(), np.array([1, 0])), (BinaryCrossEntropy(), chances)):
        extreme = np.array([[1e4, -1e4], [-1e4, 1e4]])
        for of in (losses.values, losses.slopes):
            assert np.isfinite(of(loss, extreme, wanted_now, ones)).all()


@pytest.mark.parametrize("exponent", np.arange(0, 31) / 2)
def test_powers(exponent):
    size = np.array([0.0, 0.3, 1.0, 1.7, 30.0])
    np.testing.assert_allclose(losses.power(size, exponent), size**exponent, rtol=1e-14)


def test_targets_by_hand():
    inputs = np.array([[1.0, 0.0, 0.5], [-1.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
    assert targets(Identity(), inputs) is inputs
    assert targets(Absolute(), inputs).tolist() == [[1, 0, 0.5], [1, 1, 0], [0, 0, 0]]
    assert targets(Relu(), inputs).tolist() == [[1, 0, 0.5], [0, 1, 0], [0, 0, 0]]
    every_and = (((0, 2),),)
    every_or = (((1,), (2,)),)
    mixed = (((0, 2), (~0, ~1)),)
    formulas = Clauses(every_and + every_or + mixed)
    assert targets(formulas, inputs).tolist() == [[1, 1, 1], [0, 1, 0], [0, 0, 1]]
    assert targets(Parity(((0, 1, 2), (0, 1))), inputs).tolist() == [[0, 1], [1, 1], [0, 0]]


CLAUSES = Clauses((((0, 1),), ((2,),), ((3,),), ((0,),)))


@pytest.mark.parametrize(
    ("inputs", "changes", "expected"),
    [
        (Basis(), {}, 1),
        (Basis(), {"loss": Power(4), "target": Absolute()}, 1),
        (Basis(), {"loss": BinaryCrossEntropy()}, 1 / 20),
        (Basis(), {"target": CLAUSES}, 1 / 20),
        (Independent(0.25, 9), {}, 1 / 5),
        (Independent(0.25, 9, "signed_uniform"), {"target": Relu(), "loss": Power(1)}, 1 / 5),
        (Independent((0.1, 0.2, 0.3, 0.4), 9), {}, 4 / 20),
        (Independent(0.25, 9), {"loss": BinaryCrossEntropy()}, 1 / 20),
        (Independent(0.25, 9), {"target": Parity(((0,),) * 4)}, 1 / 20),
        (CorrelatedBlocks(2, 1, 9), {}, 1 / 5),
        (CorrelatedBlocks(2, 2, 9), {"target": Absolute()}, 1 / 10),
        (Dataset(np.ones((7, 4)), np.ones((7, 4))), {}, 1 / 20),
        (Dataset(np.ones((7, 4)), np.ones(7)), {"loss": CrossEntropy()}, 1 / 20),
    ],
    ids=repr,
)
def test_scale(inputs, changes, expected):
    config = NetworkSpec(widths=(4, 3, 4), inputs=inputs, **changes)
    assert spec.scale(config, 20) == pytest.approx(expected, rel=1e-15)


def test_l1_by_hand():
    weights = [[[1.0, -2.0]], [[0.5], [3.0]]]
    wanted, batch = np.zeros((1, 1)), np.array([[2.0]])
    config = NetworkSpec(widths=(1, 2, 1), l1=(0.1, 0.01))
    model = spec.network(weights)
    assert spec.l1_term(config, model, batch) == pytest.approx(0.1 * 3 + 0.01 * 3.5)
    tied = replace(config, tied=True, l1=0.1)
    assert spec.l1_term(tied, spec.network(weights[:1], [None, None]), batch) == pytest.approx(0.3)
    # Activations (2, 0), not what noise and dropout make of them; scale 1 of the basis.
    on_activations = replace(config, l1=0.1, l1_target="activations")
    disturbed = ([np.array([5.0, 5.0])], [np.array([0.0, 2.0])])
    assert spec.l1_term(on_activations, model, batch, *disturbed) == pytest.approx(0.2)
    smooth = spec.gradient(replace(config, l1=0.0), model, batch, wanted)
    l1 = spec.gradient(config, model, batch, wanted)
    np.testing.assert_allclose(l1.weights[0] - smooth.weights[0], [[0.1, -0.1]])
    np.testing.assert_allclose(l1.weights[1] - smooth.weights[1], [[0.01], [0.01]])


# References ---------------------------------------------------------------------------------------


GRADIENT, WEIGHTS, LOSS = 2e-6, 1e-5, 1e-5  # of the largest entry, absolute, relative
DATA = Path(__file__).parents[1] / "data" / "networks"


class Reference(NamedTuple):
    config: NetworkSpec
    data: dict[str, Array]
    kept_steps: list[int]
    seeds: int

    def network(self, seed: int, prefix: str, suffix: str) -> spec.Network:
        layers = range(1, len(self.config.widths))
        matrices = [1] if self.config.tied else layers
        weights = [self.data[f"{prefix}W{layer}{suffix}"][seed] for layer in matrices]
        biases = [self.data.get(f"{prefix}b{layer}{suffix}") for layer in layers]
        return spec.network(weights, [None if b is None else b[seed] for b in biases])

    def bound(self, step: int) -> float:
        """Late under Adam with l1, a weight near 0 may be one learning rate off."""
        late = step > 100 and self.config.optimizer != "sgd" and self.config.l1
        return self.config.learning_rate if late else WEIGHTS


def load(name: str) -> Reference:
    with np.load(DATA / f"{name}.npz") as file:
        data = dict(file)
    meta = json.loads(str(data["meta"]))
    loss = CrossEntropy() if meta["loss"] == "cross_entropy" else Power(meta["power"])
    same = ("activation", "output", "bias", "tied", "l1", "l1_target", "optimizer", "steps")
    same += ("learning_rate", "weight_decay", "momentum")
    config = NetworkSpec(
        widths=tuple(meta["widths"]),
        residual=tuple(meta["residual"]),
        inputs=Dataset(data["X"], data["T"]),
        loss=loss,
        importance=meta["importance"] and tuple(meta["importance"]),
        betas=tuple(meta["betas"]),
        **{name: meta[name] for name in same},
    )
    return Reference(config, data, meta["kept_steps"], meta["seeds"])


REFERENCES = sorted(path.stem for path in DATA.glob("*.npz"))


def test_there_are_references():
    assert len(REFERENCES) == 5


# (step, layer, row, unit): where the reference, being single precision, is on the other side of a
# ReLU's kink. The pre-activation is less than its rounding away, but Adam makes 1e-3 of it.
OTHER_SIDE = {
    ("two-hidden-cross-entropy-adam", 1): [(94, 1, 11, 9), (115, 2, 23, 7), (196, 2, 20, 6)]
}
ROUNDING = 5e-7


def on_the_other_side(
    config: Any, model: spec.Network, draws: sampling.Draws, layer: int, row: int, unit: int
) -> sampling.Draws:
    """With the least change of what one row of the layer reads that mirrors a pre-activation."""
    trace = spec.forward(config, model, draws.inputs)
    z, w = trace.preactivations[layer - 1][row, unit], spec.matrix(config, model, layer)[:, unit]
    assert abs(z) < ROUNDING
    change = np.zeros_like(trace.read[layer - 1])
    change[row] = -2 * z * w / (w @ w)
    if layer == 1:
        return draws._replace(inputs=draws.inputs + change)
    noise = [change if k == layer - 1 else None for k in range(1, spec.depth(config))]
    return draws._replace(noise=noise)


@pytest.mark.parametrize("name", REFERENCES)
def test_reference(name):
    reference = load(name)
    config = reference.config
    assert reference.kept_steps[-1] == config.steps == 200
    for seed in range(reference.seeds):
        start, every_row = reference.network(seed, "", "_0"), sampling.draw(config, seed, 0)
        slopes = spec.gradient(config, start, *every_row[:4])
        expected = arrays_of(reference.network(seed, "g", ""))
        largest = max(np.abs(a).max() for a in expected)
        for ours, theirs in zip(arrays_of(slopes), expected, strict=True):
            assert np.abs(ours - theirs).max() <= GRADIENT * largest

        run = training.run(config, start, lambda _, draws=every_row: draws)
        turns: dict[int, sampling.Draws] = {}
        for step, *place in OTHER_SIDE.get((name, seed), ()):
            turns[step] = on_the_other_side(config, run.models[step], every_row, *place)
            run = training.run(config, start, lambda t, d=every_row, o=turns: o.get(t, d))
        for step in reference.kept_steps:
            expected = arrays_of(reference.network(seed, "", f"_{step}"))
            for ours, theirs in zip(arrays_of(run.models[step]), expected, strict=True):
                assert np.abs(ours - theirs).max() <= reference.bound(step), f"after step {step}"
        np.testing.assert_allclose(run.error, reference.data["loss"][:, seed], rtol=LOSS)


AUTOENCODERS = {
    "adamw-l1": {"l1": 1e-3, "learning_rate": 3e-3},
    "adamw-orthant": {"l1": 1e-3, "l1_update": "orthant", "learning_rate": 3e-3},
    "sgd-momentum": {"optimizer": "sgd", "momentum": 0.9, "learning_rate": 0.01},
    "activations": {"l1": 1e-2, "l1_target": "activations", "optimizer": "adam"},
    "importance": {"importance": (2.0, 1.0, 0.5, 0.25, 1.0, 1.0)},
    "schedule": {"l1": 1e-2, "l1_schedule": ((0, 0.0), (50, 1.0)), "l1_update": "orthant"},
    "noise-dropout": {"l1": 1e-3},
}


@pytest.mark.parametrize("name", AUTOENCODERS)
def test_linear_tied_network_is_the_autoencoder(name):
    n, m, steps = 6, 8, 100
    rng = np.random.default_rng(3)
    settings = {**AUTOENCODERS[name], "steps": steps}
    biased = name != "activations"
    theirs = specification.Settings(n_features=n, n_hidden=m, bias=biased, **settings)
    ours = NetworkSpec(
        widths=(n, m, n),
        activation="linear",
        output="relu",
        tied=True,
        bias=(False, biased),
        **settings,
    )
    start = rng.normal(0, 0.5, (n, m))
    bias = rng.normal(0, 0.1, n) if biased else None
    noise = dropout = None
    if name == "noise-dropout":
        noise = [rng.normal(0, 0.1, (n, m)) for _ in range(steps)]
        dropout = [np.where(rng.random((n, m)) < 0.7, 1 / 0.7, 0.0) for _ in range(steps)]
    expected = specification.run(
        theirs, specification.weights(start, None, bias), np.eye(n), noise, 1.0, dropout
    )

    def draws(step: int) -> sampling.Draws:
        own = [[None if a is None else a[step]] for a in (noise, dropout)]
        return sampling.draw(ours, 0, step)._replace(noise=own[0], dropout=own[1])

    run = training.run(ours, spec.network([start], [None, bias]), draws)
    np.testing.assert_allclose(run.objective, expected.objective, rtol=1e-12)
    for model, other in zip(run.models, expected.weights, strict=True):
        np.testing.assert_allclose(model.weights[0], other.encoder, rtol=0, atol=1e-12)
        if biased:
            np.testing.assert_allclose(model.biases[1], other.bias, rtol=0, atol=1e-12)
    if name == "adamw-l1":
        assert training.results(ours, run.models[-1], 0).loss == pytest.approx(
            specification.squared_error(theirs, expected.weights[-1], np.eye(n)), rel=1e-12
        )


# Updates ------------------------------------------------------------------------------------------


def stepped(config: NetworkSpec, model: spec.Network, slopes: spec.Network, steps: int = 1):
    optimizer = updates.Optimizer(config, model)
    for _ in range(steps):
        optimizer.step(slopes)
    return optimizer.model


SGD = NetworkSpec(
    widths=(1, 2, 1), bias=True, optimizer="sgd", learning_rate=0.5, steps=10, dtype="float64"
)
START = spec.network([[[1.0, 0.0]], [[0.0], [-1.0]]], [[0.0, 1.0], [2.0]])
SLOPES = spec.network([[[0.2, 0.3]], [[-0.3], [0.4]]], [[0.1, 0.2], [-0.4]])


def assert_is(model: spec.Network, weights: Any, biases: Any) -> None:
    for ours, expected in zip((*model.weights, *model.biases), (*weights, *biases), strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-14, atol=1e-15)


def test_plain_step():
    plain = ([[[0.9, -0.15]], [[0.15], [-1.2]]], [[-0.05, 0.9], [2.2]])
    assert_is(stepped(SGD, START, SLOPES), *plain)


def test_orthant_steps_where_there_is_l1():
    first = stepped(replace(SGD, l1=(0.5, 0.0), l1_update="orthant"), START, SLOPES)
    # 1 goes by 0.2 + 0.5; 0 is held; the other matrix and the biases know nothing of it.
    assert_is(first, [[[0.65, 0.0]], [[0.15], [-1.2]]], [[-0.05, 0.9], [2.2]])
    both = stepped(replace(SGD, l1=0.25, l1_update="orthant"), START, SLOPES)
    assert_is(both, [[[0.775, -0.025]], [[0.025], [-1.075]]], [[-0.05, 0.9], [2.2]])
    crossing = stepped(replace(SGD, l1=2.0, l1_update="orthant"), START, SLOPES)
    assert_is(crossing, [[[0.0, 0.0]], [[0.0], [-0.2]]], [[-0.05, 0.9], [2.2]])
    # A schedule at 0 leaves zeros free to go and weights that cross at 0.
    off = replace(SGD, l1=1.0, l1_schedule=((0, 0.0),), l1_update="orthant")
    assert_is(
        stepped(replace(off, learning_rate=10.0), START, SLOPES),
        [[[0.0, -3.0]], [[3.0], [-5.0]]],
        [[-1.0, -1.0], [6.0]],
    )


def test_without_l1_weights_and_biases_cross_zero():
    config = replace(SGD, l1=(0.5, 0.0), l1_update="orthant", learning_rate=10.0)
    slopes = spec.network([[[0.2, 0.3]], [[-0.3], [-0.4]]], [[0.1, 0.2], [0.4]])
    assert_is(stepped(config, START, slopes), [[[0.0, 0.0]], [[3.0], [3.0]]], [[-1, -1], [-2]])


def test_subgradient_step_by_layer():
    config = replace(SGD, l1=(0.0, 0.2))
    assert_is(
        stepped(config, START, SLOPES),
        [[[0.9, -0.15]], [[0.15], [-1.1]]],
        [[-0.05, 0.9], [2.2]],
    )
    scheduled = replace(config, l1=(0.0, 0.4), l1_schedule=((0, 0.5), (5, 1.0)))
    assert_is(stepped(scheduled, START, SLOPES), *stepped(config, START, SLOPES))


def test_frozen_layers_stay():
    config = replace(SGD, frozen=(True, False), bias_decay=((0, 0.2),))
    model = stepped(config, START, SLOPES)
    assert_is(model, [START.weights[0], [[0.15], [-1.2]]], [START.biases[0], [2.2 * 0.9]])


def test_biases_decay_after_the_step_at_the_scheduled_rate():
    config = replace(SGD, bias_decay=((0, 0.4), (1, 0.0)), learning_rate_schedule=((0, 0.5),))
    one = stepped(config, START, SLOPES)
    assert_is(
        one,
        [[[0.95, -0.075]], [[0.075], [-1.1]]],
        [[-0.025 * 0.9, 0.95 * 0.9], [2.1 * 0.9]],
    )
    two = stepped(config, START, SLOPES, steps=2)  # no decay in the second
    assert two.biases[1][0] == pytest.approx(2.1 * 0.9 + 0.25 * 0.4, rel=1e-14)


def test_learning_rate_schedules():
    cosine = replace(SGD, learning_rate_schedule="cosine")
    rates = [updates.at_step(cosine, t).learning_rate for t in range(10)]
    np.testing.assert_allclose(rates, 0.25 * (1 + np.cos(np.pi * np.arange(10) / 10)), rtol=1e-15)
    assert rates[0] == 0.5
    points = replace(SGD, learning_rate_schedule=((2, 0.0), (4, 1.0), (8, 3.0)))
    rates = [updates.at_step(points, t).learning_rate for t in range(10)]
    np.testing.assert_allclose(rates, [0, 0, 0, 0.25, 0.5, 0.75, 1, 1.25, 1.5, 1.5])


def test_decoupled_decay_follows_the_scheduled_rate():
    config = replace(
        SGD, optimizer="adamw", weight_decay=0.1, learning_rate_schedule=((0, 0.0), (1, 0.4))
    )
    nothing = spec.Network(*([np.zeros_like(a) for a in arrays] for arrays in START))
    assert_is(stepped(config, START, nothing), *START)
    shrunk = [[a * (1 - 0.2 * 0.1) for a in arrays] for arrays in START]
    assert_is(stepped(config, START, nothing, steps=2), *shrunk)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_moments_below_the_smallest_normal_number_are_stored_as_0(dtype):
    tiny = float(np.finfo(dtype).tiny)
    config = replace(SGD, optimizer="adam", dtype=dtype, betas=(0.5, 0.5), epsilon=1.0)
    slopes = spec.network([[[1.98 * tiny, 2 * tiny]], [[0.0], [-1.98 * tiny]]], [[0, 0], [0]])
    optimizer = updates.Optimizer(config, START)
    optimizer.step(slopes)
    first = [state.first for state in optimizer.states.weights]
    assert first[0].tolist() == [[0, tiny]]
    assert first[1].tolist() == [[0], [0]]
    assert all(np.all(state.second == 0) for state in optimizer.states.weights)
    # SGD keeps them.
    momentum = updates.Optimizer(replace(SGD, momentum=0.5, dtype=dtype), START)
    momentum.step(spec.network([[[tiny / 4, 0]], [[0], [0]]], [[0, 0], [0]]))
    assert momentum.states.weights[0].first[0, 0] == tiny / 4


# Results ------------------------------------------------------------------------------------------


def test_results_by_hand():
    rows = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    classes = np.array([0, 1, 1])
    data = Dataset(sparse.csr_array(rows), classes, held_out=(rows[:2] * 3, np.array([1, 1])))
    config = NetworkSpec(
        widths=(2, 4, 2),
        inputs=data,
        loss=CrossEntropy(),
        l1=0.01,
        l1_schedule=((0, 0.0), (5, 2.0)),
        bias=(True, False),
        noise="gaussian",
        noise_std=9.0,
        dropout=0.9,
    )
    # Neurons: feature 0, feature 1, never on, always on.
    model = spec.network(
        [[[1, 0, -1, 0], [0, 1, -1, 0]], [[1, 0], [0, 1], [5, 5], [0, 0]]], [[0, 0, 0, 2], None]
    )
    result = training.results(config, model, 0)
    close = math.log(1 + math.exp(-1))
    assert result.loss == pytest.approx((2 * close + math.log(2)) / 3, rel=1e-14)
    assert result.accuracy == 2 / 3  # the third row's logits are equal: class 0
    assert result.held_out_loss == pytest.approx(1.5 + math.log(1 + math.exp(-3)))
    assert result.held_out_accuracy == 0.5
    assert result.dead == (1,)
    assert not result.diverged
    # l1 ends at 0.02; weights at 0 hold against as much.
    slopes = spec.gradient(replace(config, l1=0.0, l1_schedule=None), model, rows, classes)
    sizes = []
    for w, g in zip(model.weights, slopes.weights, strict=True):
        for value, slope in zip(w.ravel(), g.ravel(), strict=True):
            pulled = abs(slope + math.copysign(0.02, value))
            sizes.append(pulled if value else max(abs(slope) - 0.02, 0))
    assert result.largest_gradient == pytest.approx(max(sizes), rel=1e-14)
    frozen = replace(config, frozen=(False, True), l1=(0.01, 0.0))
    assert training.results(frozen, model, 0).largest_gradient == pytest.approx(
        max([*sizes[:8], float(np.abs(slopes.biases[0]).max())]), rel=1e-14
    )


def test_dead_neurons_of_smooth_activations_are_constant():
    config = NetworkSpec(widths=(2, 3, 3, 1), activation=("tanh", "relu"), bias=True)
    model = spec.network(
        [[[1, 0, 0], [1, 0, 1e-9]], [[1, 0, 0], [0, 1, 0], [0, 0, -1]], np.ones((3, 1))],
        [[0, 1, 0], [0, 0, -1e-12], [0]],
    )
    # First layer: the second neuron is constant. The first is so too, on the basis.
    assert training.dead_neurons(config, model, np.eye(2)) == (2, 1)
    assert training.dead_neurons(config, model, np.array([[1.0, 0.0], [0.5, 0.0]])) == (2, 1)


def test_binary_accuracy_counts_outputs():
    outputs = np.array([[1.0, -1.0], [0.0, 2.0]])
    wanted = np.array([[1.0, 1.0], [0.0, 0.9]])
    assert losses.accuracy(BinaryCrossEntropy(), outputs, wanted) == 0.75
    assert losses.accuracy(Power(2), outputs, wanted) is None


def test_diverged():
    config = NetworkSpec(
        widths=(3, 4, 3), activation="square", optimizer="sgd", learning_rate=1e6, steps=12
    )
    model, result = training.train(config, 1)
    assert not all(np.isfinite(a).all() for a in arrays_of(model))
    assert result == training.Results(diverged=True)
    finite = spec.network([np.full((3, 4), 1e200), np.full((4, 3), 1e200)])
    assert training.results(config, finite, 1) == training.Results(diverged=True)


def test_training_learns():
    config = NetworkSpec(
        widths=(6, 12, 6),
        inputs=Independent(0.3, 32, "signed_uniform"),
        target=Absolute(),
        learning_rate=0.02,
        learning_rate_schedule="cosine",
        steps=300,
        optimizer="adam",
    )
    before = training.results(config, sampling.initial_network(config, 5), 5)
    _, after = training.train(config, 5)
    assert after.loss < 0.1 * before.loss
    assert training.train(config, 5)[1] == after
