"""A config made from a config: its training as gradient flow."""

from __future__ import annotations

import math

from fastpolysem import _checks
from fastpolysem.families.autoencoder.config import DEFAULTS, Config, check_config


def gradient_flow(config: Config, /, time: float, step: float = 0.01) -> Config:
    """``config`` with training by gradient flow, dW/dt = -dL/dW, for as long as ``time``.

    Euler's method in equal steps, as plain gradient descent. An l1 on weights acts orthant-wise:
    under the flow a weight that reaches 0 stays there until the rest of the gradient exceeds l1,
    whereas subgradients would make it chatter by ``step * l1``.

    Parameters
    ----------
    config
        Holds for all but the optimiser's fields, ``steps`` and ``l1_update``. A schedule of its l1
        counts the flow's steps. Its objective must be the same at every step: no noise, no
        dropout, no sampled inputs.
    time
        Until when, in units of 1 / dL/dW, > 0. The paper's differential equation, which leaves out
        the factor 4 of the gradient, has 4 times this time and l1 / 4. Under l1 all is settled by
        about 6 / l1.
    step
        Of the integration, > 0; ``time`` is cut into the fewest steps of at most that.

    Returns
    -------
    Config

    Raises
    ------
    TypeError, ValueError
        For times and steps that are no positive numbers, and for a config without a flow.

    Notes
    -----
    The error is of first order in the step and arises early, while interference is strong: the
    fastest rate is about 4 (1 + sqrt(n / m))^2 then and 8 later, and from a step of 2 / rate on
    Euler's method is unstable. Halve the step to see what depends on it. What a seed's neurons end
    up with does for some seeds (two features compete for a neuron on nearly equal terms), mean
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
    steps = math.ceil(time / step)
    names = ("optimizer", "weight_decay", "momentum", "betas", "epsilon")
    changes = {name: DEFAULTS[name] for name in names} | {"optimizer": "sgd"}
    if config.l1 and config.l1_target == "weights":
        changes["l1_update"] = "orthant"
    return config.replace(**changes, steps=steps, learning_rate=time / steps)
