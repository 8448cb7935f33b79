"""Networks of the experiment `absolute`: published tasks on sparse features, by name."""

from __future__ import annotations

from typing import Any

from fastpolysem.families.network import targets

DENSITIES = [1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001]
DENSE, SPARSE = 1.0, 0.03
"""The densities of the primary tests."""
ABSOLUTE, AUTOENCODER, PUBLISHED = "absolute", "autoencoder", "absolute, published"
_OUTPUT_BIAS: dict[str, Any] = {"output": "relu", "bias": (False, True), "init": "xavier"}
_SMALL: dict[str, Any] = {
    "batch_size": 256,
    "learning_rate": 3e-3,
    "learning_rate_schedule": "cosine",
}
_PUBLISHED = {"batch_size": 1024, "learning_rate": 1e-3, "learning_rate_schedule": None}
_LONGER: dict[str, Any] = {"steps": 40_000}


def _task(n: int, m: int, **changes: Any) -> dict[str, Any]:
    """|x|, as published but for the size."""
    importance = [0.8**i for i in range(n)]
    usual = {"values": "signed_uniform", "target": targets.Absolute(), "importance": importance}
    fields = {**_OUTPUT_BIAS, **_SMALL, "widths": (n, m, n), "steps": 10_000}
    return {**fields, **usual, **changes}


_AUTOENCODER = _task(
    10,
    5,
    tied=True,
    values="uniform",
    target=targets.Identity(),
    importance=[0.75**i for i in range(10)],
)
BY_DENSITY: dict[str, dict[str, Any]] = {
    ABSOLUTE: _task(20, 8),
    AUTOENCODER: _AUTOENCODER,
    "absolute, longer": {**_task(20, 8, **_LONGER), "densities": (DENSE, SPARSE)},
    "autoencoder, longer": {**_AUTOENCODER, **_LONGER, "densities": (DENSE, SPARSE)},
    PUBLISHED: _task(100, 40, **_PUBLISHED),
}
"""Networks trained at several densities, by the fields in which they differ from each other."""
ROOM: dict[str, dict[str, Any]] = {
    f"absolute, room, {steps} steps": {
        **_task(12, 24, importance=None, steps=steps, learning_rate_schedule=None),
        "density": 0.1,
    }
    for steps in (3000, 12_000, 30_000)
}
"""|x| with two neurons for each of equally important features."""
RATES, LENGTHS, STARTS = (0.003, 0.01), (4000, 16_000), (0.0, -1.0)


def bias_arm(start: float, rate: float, steps: int) -> str:
    """The name of a network of `BIASES`."""
    return f"bias {start:g}, rate {rate:g}, {steps} steps"


def _biased(start: float, rate: float, steps: int) -> dict[str, Any]:
    half = steps // 2
    fields: dict[str, Any] = {
        "widths": (64, 16, 128, 64),
        "activation": ("linear", "relu"),
        "frozen": (True, False, False),  # the random projection
        "bias": (False, True, False),
        "optimizer": "adam",
        "learning_rate": rate,
        "learning_rate_schedule": "cosine",
        "steps": steps,
        "values": "uniform",
        "batch_size": 128,
        "density": 1 / 32,
    }
    if start:  # at a constant rate, a bias would decay to exp(-5) of its start
        kappa = 5 / (rate * half)
        fields |= {"bias_start": (0.0, start, 0.0)}
        fields |= {"bias_decay": [(0, kappa), (half, kappa), (half + 1, 0.0)]}
    return fields


BIASES = {
    bias_arm(start, rate, steps): _biased(start, rate, steps)
    for rate in RATES
    for steps in LENGTHS
    for start in STARTS
}
"""The feature decoder."""
WIDTHS = (64, 256, 512)


def wide_arm(start: float, neurons: int) -> str:
    """The name of a network of `WIDER`."""
    return f"bias {start:g}, {neurons} neurons"


WIDER: dict[str, dict[str, Any]] = {
    wide_arm(start, neurons): {
        **_biased(start, RATES[0], LENGTHS[-1]),
        "widths": (64, 16, neurons, 64),
    }
    for neurons in WIDTHS
    for start in STARTS
}
"""The decoder with fewer and more neurons."""
TWO: dict[str, dict[str, Any]] = {
    f"two by two, {output} output": {
        "widths": (2, 2, 2),
        "output": output,
        "optimizer": "adam",
        "learning_rate": 0.01,
        "steps": 5000,
        "init_scale": 2**-0.5,  # a standard deviation of 0.5
        "density": 0.0,
    }
    for output in ("relu", "linear")
}
"""The smallest case: two features, one at a time, and two neurons."""
ARMS = {**BY_DENSITY, **ROOM, **BIASES, **WIDER, **TWO}
MOST = {wide_arm(start, WIDTHS[-1]): 32 for start in STARTS}
"""Largest numbers of seeds: one of the widest networks takes more than five seconds."""
