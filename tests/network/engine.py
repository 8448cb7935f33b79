"""The engine of networks beside its specification: what they share, and comparisons of both."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np

import fastpolysem as fp
from fastpolysem.families.network import objective
from fastpolysem.families.network.config import NetworkConfig
from network import settings
from specifications import losses, sampling, training
from specifications import network as spec
from specifications.network import NetworkSpec

KERNELS = ("generic", "rows", "lanes")
SEEDS = (0, 7, 2**40 + 1, 2**64 - 1)
Arrays = list[Any]


def arrays_of(model: Any) -> Arrays:
    """All weights, then all biases, of a network of either side; the latter may be a stack."""
    biases = model.biases or []
    return [a for a in (*model.weights, *biases) if a is not None]


def specified(model: Any, config: NetworkSpec, index: int | None = None) -> spec.Network:
    """One network of the package as the specification has it."""
    one = (lambda a: a) if index is None else (lambda a: a[index])
    biases = model.biases or [None] * spec.depth(config)
    return spec.network(
        [one(w) for w in model.weights], [None if b is None else one(b) for b in biases]
    )


def parameters(model: spec.Network) -> objective.NetworkParameters:
    return objective.NetworkParameters(model.weights, model.biases)


def drawn(config: NetworkConfig, seed: int, step: int) -> sampling.Draws:
    """The package's draws in the form of the specification's."""
    out = objective.draw(config, seed, step)
    wide = [[None if a is None else a.astype(np.float64) for a in x] for x in (out[2], out[3])]
    targets = out.targets if out.targets.ndim == 1 else out.targets.astype(np.float64)
    return sampling.Draws(out.inputs.astype(np.float64), targets, *wide, out.flipped)


def random_network(rng: np.random.Generator, config: NetworkSpec) -> spec.Network:
    """About as large as it starts, with biases off 0; numbers that are the same in float32."""
    widths, has_bias = config.widths, spec.spread(config.bias, spec.depth(config))
    pairs = list(itertools.pairwise(widths))
    weights = [rng.normal(0, 1 / np.sqrt(n), (n, m)) for n, m in pairs]
    biases = [rng.normal(0, 0.3, m) if has_bias[k] else None for k, (_, m) in enumerate(pairs)]
    single = [None if a is None else a.astype(np.float32) for a in (*weights, *biases)]
    count = len(weights)
    return spec.network(single[: 1 if config.tied else count], single[count:])


def distance_to_kinks(config: NetworkSpec, model: spec.Network, draws: sampling.Draws) -> float:
    """How far the gradient is from a jump. What is exactly 0 stays so."""
    inputs, wanted, noise, dropout, _ = draws
    trace = spec.forward(config, model, inputs, noise, dropout)
    kinds = [*spec.spread(config.activation, spec.depth(config) - 1), config.output]
    layers = list(zip(kinds, trace.preactivations, strict=True))
    kinks = [z for kind, z in layers if kind == "relu"]
    if any(spec.l1_of_layers(config)) and config.l1_target == "activations":
        kinks += trace.activations
    if losses.kind(config.loss) == "Power" and config.loss.q < 2:
        kinks.append(0.01 * (trace.outputs - wanted))
    return min((float(np.abs(k[k != 0]).min(initial=1.0)) for k in kinks), default=1.0)


def away_from_kinks(
    config: NetworkSpec, own: NetworkConfig, seed: int
) -> tuple[spec.Network, sampling.Draws]:
    """A network and draws."""
    for attempt in range(1000):
        rng = np.random.default_rng((seed, attempt))
        model = random_network(rng, config)
        draws = drawn(own, int(rng.integers(2**63)), attempt % config.steps)
        if distance_to_kinks(config, model, draws) > 1e-5:
            return model, draws
    raise AssertionError("no data away from the kinks")


class Worst(dict[str, float]):
    """The largest error of each kind, to be told at the end."""

    def add(self, kind: str, error: float) -> float:
        self[kind] = max(self.get(kind, 0.0), error)
        return error


def relative(ours: Arrays, theirs: Arrays) -> float:
    """The largest difference, relative to the largest number of all the arrays."""
    size = max((float(np.abs(b).max(initial=0.0)) for b in theirs), default=0.0)
    worst = 0.0
    for a, b in zip(ours, theirs, strict=True):
        assert a.shape == b.shape
        worst = max(worst, float(np.abs(a - b).max(initial=0.0)))
    return worst / size if size else worst


def check_draws(config: NetworkSpec, own: NetworkConfig, seed: int, worst: Worst) -> None:
    step = seed % config.steps
    ours, theirs = drawn(own, seed, step), sampling.draw(config, seed, step)
    rounded = [np.asarray(x, own.dtype).astype(np.float64) for x in (theirs[0], theirs[1])]
    np.testing.assert_array_equal(ours.inputs, rounded[0])
    np.testing.assert_array_equal(ours.targets, rounded[1])
    np.testing.assert_array_equal(ours.flipped, theirs.flipped)
    if type(config.inputs).__name__ == "Dataset":
        rows = objective.draw(own, seed, step).rows
        np.testing.assert_array_equal(rows, sampling.rows_of_step(config, seed, step))
    for a, b in zip(ours.dropout, theirs.dropout, strict=True):
        if b is None:
            assert a is None
        else:
            np.testing.assert_array_equal(a, b.astype(own.dtype).astype(np.float64))
    for a, b in zip(ours.noise, theirs.noise, strict=True):
        if b is None:
            assert a is None
        else:
            np.testing.assert_array_equal(a == 0, b == 0)
            assert worst.add("noise", float((np.abs(a - b) / (1e-2 + np.abs(b))).max())) < 2e-6


def check_start(config: NetworkSpec, own: NetworkConfig, seed: int, worst: Worst) -> None:
    bare = {"l1_schedule": None, "learning_rate_schedule": None, "bias_decay": None}
    result = fp.train(own.replace(steps=0, **bare), [seed], return_weights=True)
    ours = arrays_of(specified(result.weights, config, 0))
    theirs = arrays_of(sampling.initial_network(config, seed))
    assert worst.add("start", relative(ours, theirs)) < 2e-6


def check_gradient(config: NetworkSpec, own: NetworkConfig, seed: int, worst: Worst) -> None:
    model, draws = away_from_kinks(config, own, seed)
    loss, slopes = objective.loss_and_gradient(
        parameters(model), own, draws.inputs, draws.noise,
        targets=draws.targets, dropout=draws.dropout,
    )  # fmt: skip
    bound = 1e-12 if own.dtype == "float64" else 1e-5
    expected = arrays_of(spec.gradient(config, model, *draws[:4]))
    error = relative(arrays_of(slopes), expected)
    assert worst.add(f"gradient {own.dtype}", error) < bound
    wanted = spec.objective(config, model, *draws[:4])
    error = abs(loss - wanted) / max(wanted, 1e-2)
    assert worst.add(f"objective {own.dtype}", error) < bound


def calm(run: training.Run) -> bool:
    """Whether steps are small; an exploding run multiplies every rounding error."""
    pairs = itertools.pairwise(arrays_of(model) for model in run.models)
    return all(
        bool(np.abs(new - old).max() < 0.1)  # false of NaN
        for before, after in pairs
        for old, new in zip(before, after, strict=True)
    )


def run_specified(
    config: NetworkSpec, model: spec.Network, own: NetworkConfig, seed: int
) -> training.Run:
    """On the package's draws."""
    return training.run(config, model, lambda step: drawn(own, seed, step))


def check_run(config: NetworkSpec, own: NetworkConfig, seed: int, worst: Worst) -> None:
    """In float64, from the package's own start and draws, whose rounding is another matter."""
    bare = {"l1_schedule": None, "learning_rate_schedule": None, "bias_decay": None}
    config, double = replace(config, dtype="float64"), own.replace(dtype="float64")
    start = fp.train(double.replace(steps=0, **bare), [seed], return_weights=True)
    model = specified(start.weights, config, 0)
    run = run_specified(config, model, double, seed)
    while not calm(run):
        rate = {"learning_rate": config.learning_rate / 100}
        config, double = replace(config, **rate), double.replace(**rate)
        run = run_specified(config, model, double, seed)
    steps = list(range(config.steps + 1))
    names = ["objective", *(c for c in start.columns if c != "steps_taken"), "nonzeros", "l1_norm"]
    result = fp.train(double, [seed], return_weights=True, record=(names, steps))
    end = specified(result.weights, config, 0)
    assert worst.add("weights", relative(arrays_of(end), arrays_of(run.models[-1]))) < 1e-12
    history = result.history["objective"][0]
    assert np.isnan(history[-1])
    for ours, theirs in zip(history, run.objective, strict=False):
        assert worst.add("objectives", abs(ours - theirs) / max(theirs, 1e-2)) < 1e-12
    wanted = training.results(config, end, seed)
    assert not wanted.diverged
    assert not result.diverged[0]
    assert result.steps_taken[0] == config.steps
    dead = wanted.dead or ()
    assert result.dead[0] == sum(dead)
    if len(dead) > 1:
        assert [result.columns[f"dead_{k}"][0] for k in range(1, len(dead) + 1)] == list(dead)
    for name in ("loss", "accuracy", "held_out_loss", "held_out_accuracy", "largest_gradient"):
        value = getattr(wanted, name)
        assert (value is not None) == (name in result.columns), name
        if value is not None:
            error = abs(result.columns[name][0] - value) / max(value, 1e-2)
            assert worst.add(name, error) < 1e-12, name
    for name in start.columns:
        if name != "steps_taken":  # what is recorded at the end is what results hold
            assert result.history[name][0, -1] == result.columns[name][0], name
    matrices = end.weights
    assert result.history["nonzeros"][0, -1] == sum(np.count_nonzero(w) for w in matrices)
    np.testing.assert_allclose(
        result.history["l1_norm"][0, -1], sum(np.abs(w).sum() for w in matrices), rtol=1e-13
    )


def same_results(a: Any, b: Any, order_a: Any = slice(None), order_b: Any = slice(None)) -> None:
    """Bit for bit. Where numbers overflow, kernels differ in what becomes NaN and what infinity: of
    diverged seeds the columns count."""
    for name in a.columns:
        np.testing.assert_array_equal(a.columns[name][order_a], b.columns[name][order_b], name)
    np.testing.assert_array_equal(a.diverged[order_a], b.diverged[order_b])
    finite = ~a.diverged[order_a]
    for x, y in zip(arrays_of(a.weights), arrays_of(b.weights), strict=True):
        np.testing.assert_array_equal(x[order_a][finite], y[order_b][finite])
    for name in a.history.keys() - {"step"}:
        x, y = a.history[name][order_a], b.history[name][order_b]
        np.testing.assert_array_equal(x[finite], y[finite], name)


def check_kernels(own: NetworkConfig) -> None:
    names = ["objective", "loss", "dead", "largest_gradient"]
    options = {"return_weights": True, "record": (names, [0, own.steps - 1, own.steps])}
    results = [fp.train(own, SEEDS, kernel=kernel, **options) for kernel in KERNELS]
    assert [result.kernel for result in results] == list(KERNELS)
    for other in results[1:]:
        same_results(results[0], other)


def check(config: NetworkSpec, seed: int, worst: Worst) -> None:
    """Everything about one configuration."""
    own = settings.config(config)
    check_draws(config, own, seed, worst)
    check_start(config, own, seed, worst)
    check_gradient(config, own, seed, worst)
    check_run(config, own, seed, worst)
    check_kernels(own)
