"""The gradient flow of a configuration, as another configuration."""

from __future__ import annotations

import math

from fastpolysem import _checks
from fastpolysem.families.autoencoder.config import DEFAULTS, Config, check_config
from fastpolysem.specs.settings import MOST_STEPS

_OF_OPTIMIZER = (
    *("optimizer", "learning_rate_schedule", "weight_decay", "momentum", "betas", "epsilon"),
    "second_moment",
)


def gradient_flow(config: Config, /, time: float, step: float = 0.01) -> Config:
    """``config`` with training by gradient flow, dW/dt = -dL/dW, up to the given ``time``.

    The flow is integrated by Euler's method in equal steps, that is, by plain gradient descent. l1
    on weights is applied orthant-wise: under the flow a weight that reaches 0 stays there until the
    rest of the gradient exceeds l1, whereas subgradients would make it oscillate by ``step * l1``.

    Parameters
    ----------
    config
        Provides all settings except those of the optimiser, ``steps`` and ``l1_update``. An l1
        schedule counts the steps of the flow. The objective must be the same at every step: no
        noise, no dropout, no sampled inputs.
    time
        Final time in units of 1 / dL/dW, > 0. The paper's differential equation omits the factor 4
        of the gradient; there, the time is 4 times this and l1 is l1 / 4. With l1, the final state
        is reached by about 6 / l1.
    step
        Step size of the integration, > 0; ``time`` is divided into the smallest number of steps of
        at most this size.

    Returns
    -------
    Config

    Raises
    ------
    TypeError, ValueError
        If time or step is not a positive number, for too many steps, or if the config has no flow.

    Notes
    -----
    The error is of first order in the step size. Most of it arises early, while interference is
    strong: the fastest rate is then about 4 (1 + sqrt(n / m))^2, and 8 later; Euler's method is
    unstable for steps above 2 / rate. Halve the step to see which results depend on it. The final
    state of some seeds does (if two features compete for a neuron on nearly equal terms), but mean
    counts hardly do.
    """
    check_config("gradient_flow", config)
    time = _checks.real("gradient_flow: time", time, (">", 0))
    step = _checks.setting("gradient_flow: step", step, (">", 0))
    if config.noise != "none" or config.dropout or config.inputs.kind not in ("basis", "fixed"):
        raise ValueError(
            "gradient_flow: config must be without noise, dropout and sampled inputs, "
            f"got {config!r}"
        )
    if not time / step < MOST_STEPS:
        raise ValueError(
            f"gradient_flow: time / step must be < {MOST_STEPS} steps, got {time:g} / {step:g}"
        )
    steps = math.ceil(time / step)
    changes = {name: DEFAULTS[name] for name in _OF_OPTIMIZER} | {"optimizer": "sgd"}
    if config.l1 and config.l1_target == "weights":
        changes["l1_update"] = "orthant"
    return config.replace(**changes, steps=steps, learning_rate=time / steps)
