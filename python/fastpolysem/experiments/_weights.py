"""Weights of a block of autoencoders, for probes, and how long to train them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastpolysem.families.autoencoder.config import Config
from fastpolysem.families.autoencoder.objective import Parameters
from fastpolysem.training import TrainingResult, train


def trained_weights(result: TrainingResult) -> NDArray[Any]:
    """The weights (S, n, m) of a block of models without other parameters; zeros for diverged
    seeds.

    Raises
    ------
    ValueError
        If the models have decoders or biases.
    """
    if isinstance(result.weights, Parameters):
        raise ValueError(
            "this probe needs models with tied=True and bias=False, whose weights are one matrix, "
            f"got {result.config!r}"
        )
    return trained_encoders(result)


def trained_encoders(result: TrainingResult) -> NDArray[Any]:
    """The encoders (S, n, m) of a block of models; zeros for diverged seeds."""
    weights = result.weights
    encoder = np.asarray(weights.encoder if isinstance(weights, Parameters) else weights)
    return np.where(result.diverged[:, np.newaxis, np.newaxis], 0.0, encoder)


def start_encoders(result: TrainingResult) -> NDArray[Any]:
    """The initial encoders (S, n, m) of a block of models."""
    # Schedules cannot have points beyond the last step.
    start = result.config.replace(steps=0, l1_schedule=None, learning_rate_schedule=None)
    return trained_encoders(train(start, result.seeds, return_weights=True))


def settled(config: Config) -> dict[str, Any]:
    """A learning rate and a number of steps after which weights have settled, whatever l1 is.

    The time that weak weights take to vanish is in proportion to 1/l1.
    """
    scale = 1 / max(config.l1, 1e-3)
    if config.optimizer == "sgd":
        return {"learning_rate": 0.04, "steps": round(max(1200, 120 * scale))}
    return {"learning_rate": 4e-3, "steps": round(max(2000, 60 * scale))}
