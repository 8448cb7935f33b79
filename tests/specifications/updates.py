"""Schedules of the network family, and one step of the optimiser for a whole model.

A schedule is a sequence of points (step, value) with straight lines between them, constant before
the first point and after the last; the first step has index 0. ``l1_schedule`` and
``learning_rate_schedule`` give factors, ``bias_decay`` the decay itself.

A step of layer l's arrays, with learning rate and l1 of that step:

    frozen layers       stay as they are
    matrices            optimiser on gradient + l1 sign(W), or orthant-wise if so asked; a matrix
                        with l1 = 0 never orthant-wise, one whose schedule is at 0 still
    biases              optimiser on the gradient, then b <- b (1 - learning rate * bias decay)
    moments of Adam     what the step leaves is stored as 0 where it is below the dtype's smallest
                        normal number in size; the step itself has used it
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

import specification
from specification import Array, State, interpolated, learning_rate_factor
from specifications.network import Config, Network, depth, l1_of_layers, spread


def changed(config: Config, **values: Any) -> Any:
    """A copy with some fields changed to what only the specification looks at."""
    names = getattr(config, "__dataclass_fields__", None) or vars(config)
    return SimpleNamespace(**{**{name: getattr(config, name) for name in names}, **values})


def at_step(config: Config, step: int) -> Any:
    """The config as it is at this step: ``l1`` by layer and ``learning_rate`` as scheduled, and
    ``bias_decay`` a number."""
    l1_factor = 1.0 if config.l1_schedule is None else interpolated(config.l1_schedule, step)
    return changed(
        config,
        l1=[l1 * l1_factor for l1 in l1_of_layers(config)],
        learning_rate=config.learning_rate * learning_rate_factor(config, step),
        bias_decay=0.0 if config.bias_decay is None else interpolated(config.bias_decay, step),
    )


def at_the_end(config: Config) -> Any:
    """The config with the l1 that it has after the last point of its schedule."""
    factor = 1.0 if config.l1_schedule is None else config.l1_schedule[-1][1]
    return changed(config, l1=[l1 * factor for l1 in l1_of_layers(config)])


def without_subnormals(config: Config, state: State) -> State:
    tiny = float(np.finfo(config.dtype).tiny)
    return State(*(np.where(np.abs(moment) < tiny, 0.0, moment) for moment in state))


def step_array(
    now: Any, w: Array, smooth: Array, state: State, step: int, l1: float | None
) -> tuple[Array, State]:
    """One array. ``l1`` is None without an l1 term, ``smooth`` the gradient of everything else."""
    if l1 is None:
        return specification.optimizer_step(now, w, smooth, state, step)
    if now.l1_update == "orthant":
        return specification.orthant_step(changed(now, l1=l1), w, smooth, state, step)
    return specification.optimizer_step(now, w, smooth + l1 * np.sign(w), state, step)


class Optimizer:
    """One model on its way, with what the optimiser keeps of each of its arrays."""

    def __init__(self, config: Config, model: Network) -> None:
        self.config = config
        self.model = model
        self.steps = 0
        self.states = Network(*([self._zeros(a) for a in arrays] for arrays in model))

    @staticmethod
    def _zeros(a: Array | None) -> State | None:
        return None if a is None else State(np.zeros_like(a), np.zeros_like(a))

    def step(self, smooth: Network) -> None:
        """``smooth`` is the gradient of everything but l1 on weights."""
        config, now = self.config, at_step(self.config, self.steps)
        self.steps += 1
        on_weights = config.l1_target == "weights"
        frozen = spread(config.frozen, depth(config))
        model = Network(list(self.model.weights), list(self.model.biases))
        for k, w in enumerate(self.model.weights):
            if not frozen[k]:
                l1 = now.l1[k] if on_weights and l1_of_layers(config)[k] != 0 else None
                model.weights[k] = self._step(now, "weights", k, w, smooth.weights[k], l1)
        for k, b in enumerate(self.model.biases):
            if b is not None and not frozen[k]:
                moved = self._step(now, "biases", k, b, smooth.biases[k], None)
                model.biases[k] = moved * (1 - now.learning_rate * now.bias_decay)
        self.model = model

    def _step(
        self, now: Any, kind: str, k: int, w: Array, smooth: Array | None, l1: float | None
    ) -> Array:
        states = getattr(self.states, kind)
        moved, state = step_array(now, w, smooth, states[k], self.steps, l1)
        if self.config.optimizer != "sgd":
            state = without_subnormals(self.config, state)
        states[k] = state
        return moved
