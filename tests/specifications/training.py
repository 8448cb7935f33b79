"""Training a network of the specification, and the results of a run."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from specification import Array
from specifications import losses, updates
from specifications.losses import Targets
from specifications.network import (
    Config,
    Network,
    depth,
    error,
    forward,
    objective,
    smooth_gradient,
    spread,
)
from specifications.sampling import Draws, draw, evaluation, held_out, initial_network


class Run(NamedTuple):
    models: list[Network]  # before the first step, after step 1, ...: config.steps + 1
    error: list[float]  # of each step's draws before its update, without l1
    objective: list[float]  # the same with l1


def run(config: Config, model: Network, draws: Callable[[int], Draws]) -> Run:
    """Train one model for ``config.steps`` steps; ``draws(step)`` is what a step trains on."""
    optimizer = updates.Optimizer(config, model)
    trajectory = Run([model], [], [])
    for step in range(config.steps):
        now, rest = updates.at_step(config, step), draws(step)[:4]
        with np.errstate(over="ignore", invalid="ignore"):  # a run may diverge
            trajectory.error.append(error(now, optimizer.model, *rest))
            trajectory.objective.append(objective(now, optimizer.model, *rest))
            optimizer.step(smooth_gradient(now, optimizer.model, *rest))
        if config.readout != "dense":  # what an output does not read stays 0
            weights = list(optimizer.model.weights)
            weights[-1] = np.where(model.weights[-1] == 0, 0.0, weights[-1])
            optimizer.model = optimizer.model._replace(weights=weights)
        trajectory.models.append(optimizer.model)
    return trajectory


class Results(NamedTuple):
    """Of a model after training, without noise and dropout.

    Measured on `sampling.evaluation`; ``held_out_*`` on the data set's held-out rows. None where
    there are no such rows or no classes. A diverged model has no other result.
    """

    diverged: bool  # a weight, a bias or the loss is not finite
    loss: float | None = None  # scaled as in training, without l1
    accuracy: float | None = None
    held_out_loss: float | None = None
    held_out_accuracy: float | None = None
    dead: tuple[int, ...] | None = None  # of each hidden layer
    largest_gradient: float | None = None


def dead_neurons(config: Config, model: Network, batch: Array) -> tuple[int, ...]:
    """The number in each hidden layer of neurons that no row activates or, for activations other
    than ReLU, whose act(Z) is the same in every row."""
    kinds = spread(config.activation, depth(config) - 1)
    counts = []
    for kind, a in zip(kinds, forward(config, model, batch).activations, strict=True):
        silent = a == 0 if kind == "relu" else a == a[:1]
        counts.append(int(np.sum(np.all(silent, axis=0))))
    return tuple(counts)


def largest_gradient(config: Config, model: Network, batch: Array, wanted: Targets) -> float:
    """How far the model is from a stationary point of the noise-free objective.

    The largest absolute entry of the gradient over everything that is trained, at the final l1.
    For a weight of 0 under l1 it is the smallest of its subgradients, max(|g| - l1, 0) with g the
    gradient of everything else. Weight decay and bias decay do not count.
    """
    end = updates.at_the_end(config)
    smooth = smooth_gradient(end, model, batch, wanted)
    frozen = spread(config.frozen, depth(config))
    # l1 on activations is in that gradient already.
    l1 = end.l1 if config.l1_target == "weights" else [0.0] * len(model.weights)
    largest = 0.0
    for k, (w, g) in enumerate(zip(model.weights, smooth.weights, strict=True)):
        if not frozen[k]:
            held = np.maximum(np.abs(g) - l1[k], 0.0)
            sizes = np.where(w != 0, np.abs(g + l1[k] * np.sign(w)), held)
            if config.readout != "dense" and k == len(model.weights) - 1:
                sizes = sizes[w != 0]
            largest = max(largest, float(sizes.max(initial=0.0)))
    for k, b in enumerate(smooth.biases):
        if b is not None and not frozen[k]:
            largest = max(largest, float(np.abs(b).max()))
    return largest


def measured(
    config: Config, model: Network, batch: Array, wanted: Targets
) -> tuple[float, float | None]:
    """Loss and accuracy."""
    outputs = forward(config, model, batch).outputs
    return error(config, model, batch, wanted), losses.accuracy(config.loss, outputs, wanted)


def results(config: Config, model: Network, seed: int) -> Results:
    batch, wanted = evaluation(config, seed)
    others = held_out(config)
    arrays = [a for a in (*model.weights, *model.biases) if a is not None]
    if not all(np.isfinite(a).all() for a in arrays):
        return Results(diverged=True)
    with np.errstate(over="ignore", invalid="ignore"):
        loss, accuracy = measured(config, model, batch, wanted)
        if not np.isfinite(loss):
            return Results(diverged=True)
        other_loss, other_accuracy = (
            (None, None) if others is None else measured(config, model, *others)
        )
        return Results(
            diverged=False,
            loss=loss,
            accuracy=accuracy,
            held_out_loss=other_loss,
            held_out_accuracy=other_accuracy,
            dead=dead_neurons(config, model, batch),
            largest_gradient=largest_gradient(config, model, batch, wanted),
        )


def train(config: Config, seed: int) -> tuple[Network, Results]:
    """A seed from its own start and draws."""
    model = run(config, initial_network(config, seed), lambda step: draw(config, seed, step))
    return model.models[-1], results(config, model.models[-1], seed)
