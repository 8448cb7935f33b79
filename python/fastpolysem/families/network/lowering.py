"""A network's configuration in the form of the compiled core."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from fastpolysem._native import core
from fastpolysem.families.network.config import NetworkConfig
from fastpolysem.families.network.dataset import Dataset
from fastpolysem.families.network.targets import Clauses, Parity
from fastpolysem.specs.inputs import CorrelatedBlocks, Independent

# Fields that the core uses unchanged.
_PLAIN = (
    *("output", "tied", "l1_update", "noise", "noise_sharing", "dropout_sharing"),
    *("optimizer", "learning_rate", "momentum", "epsilon", "steps", "init", "init_scale", "dtype"),
)


@functools.lru_cache(maxsize=4)  # so that the rows of a data set are copied only once
def core_settings(config: NetworkConfig) -> Any:
    """The settings struct of the compiled core; must not be modified."""
    settings = core.NetworkSettings()
    settings.widths = list(config.widths)  # first, because the fields below have values per layer
    for name in _PLAIN:
        setattr(settings, name, getattr(config, name))
    hidden, layers = config.depth - 1, config.depth
    counts = {
        **dict.fromkeys(("activation", "noise_std", "dropout"), hidden),
        **dict.fromkeys(("bias", "bias_start", "frozen"), layers),
    }
    for name, count in counts.items():
        setattr(settings, name, list(config._spread(name, count)))
    name = "l1" if config.l1_target == "weights" else "l1_activations"
    setattr(settings, name, list(config._spread("l1", config._l1_count)))
    settings.residual = list(config.residual)
    if isinstance(config.readout, str):
        settings.readout = config.readout
    else:
        settings.readout = "given"
        settings.reads = [x for row in config.readout for x in row]
    settings.beta1, settings.beta2 = config.betas
    settings.weight_decay = config._effective_weight_decay
    settings.noise_shape = config.noise_shape or 0.0
    settings.importance = list(config.importance or ())
    for name in ("l1_schedule", "learning_rate_schedule", "bias_decay"):
        setattr(settings, name, getattr(config, name) or ())
    settings.loss = config.loss.kind
    settings.power = getattr(config.loss, "q", 2.0)
    _set_target(settings, config)
    _set_inputs(settings, config)
    return settings


def _set_target(settings: Any, config: NetworkConfig) -> None:
    settings.target = "given" if isinstance(config.inputs, Dataset) else config.target.kind
    if isinstance(config.target, Clauses):
        settings.clauses = [[list(c) for c in formula] for formula in config.target.outputs]
    elif isinstance(config.target, Parity):
        settings.clauses = [[list(group)] for group in config.target.outputs]


def _set_inputs(settings: Any, config: NetworkConfig) -> None:
    inputs, n = config.inputs, config.widths[0]
    settings.inputs = inputs.kind
    if isinstance(inputs, Independent):
        for name in ("probability", "magnitude"):
            value = getattr(inputs, name)
            setattr(settings, name, list(value) if isinstance(value, tuple) else [value] * n)
        settings.batch_size = inputs.batch_size
    elif isinstance(inputs, CorrelatedBlocks):
        settings.blocks, settings.active = inputs.blocks, inputs.active
        settings.batch_size = inputs.batch_size
    elif isinstance(inputs, Dataset):
        settings.batch_size = inputs.batch_size or inputs.inputs.shape[0]
        settings.full_batch = inputs.batch_size is None
        settings.label_noise = inputs.label_noise
        parts = [(inputs.inputs, inputs.targets)]
        parts += [inputs.held_out] if inputs.held_out is not None else []
        for name, (rows, targets) in zip(("data", "held_out"), parts, strict=False):
            given = targets.astype(np.int32) if targets.ndim == 1 else targets
            settings.set_rows(name, rows.indptr, rows.indices, rows.values, given)
