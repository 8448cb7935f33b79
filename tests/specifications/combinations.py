"""Samples of the combinations of a network's settings.

A configuration takes one of the `choices` of each kind. Some do not go together: `rules.refusals`.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import numpy as np
from scipy import sparse

from specifications.losses import BinaryCrossEntropy, CrossEntropy, Power
from specifications.network import Basis, CorrelatedBlocks, Dataset, Independent, NetworkSpec
from specifications.rules import DEFAULTS, Rule, refusals
from specifications.targets import Absolute, Clauses, Identity, Parity, Relu

WIDTHS = ((5, 7, 4), (6, 6, 6), (6, 4, 6), (4, 9, 4), (4, 6, 6, 4), (6, 6, 6, 6), (8, 5, 3, 8))
ROWS = 8


@functools.cache
def choices(widths: tuple[int, ...], steps: int) -> dict[str, list[dict[str, Any]]]:
    """By kind of option, the sets of fields that a configuration may take one of."""
    n, outputs, hidden = widths[0], widths[-1], len(widths) - 2
    alternating = [0.0 if k % 2 else 1.0 for k in range(hidden + 1)]
    rng = np.random.default_rng(n)
    rows = np.where(rng.random((11, n)) < 0.6, rng.normal(size=(11, n)), 0.0)
    reals, chances = rng.normal(size=(11, outputs)), rng.random((11, outputs))
    classes = rng.integers(0, outputs, 11)
    zipf = tuple(0.6 / (i + 1) for i in range(n))
    rare = tuple(0.003 if i % 3 == 0 else 0.5 for i in range(n))
    kinds = tuple(("one", "uniform", "sign", "signed_uniform")[i % 4] for i in range(n))
    inputs = [
        Basis(),
        Independent(0.4, ROWS),
        Independent(0.4, ROWS, "uniform"),
        Independent(0.4, ROWS, "sign"),
        Independent(zipf, ROWS, "signed_uniform"),
        Independent(rare, ROWS, kinds),
        CorrelatedBlocks(2, 2, ROWS),
        Dataset(rows, reals),
        Dataset(sparse.csr_array(rows), reals, batch_size=4),
        Dataset(rows, chances, batch_size=3, held_out=(rows[:5] + 1, chances[:5])),
        Dataset(rows, classes, batch_size=5, held_out=(rows[:5] + 1, classes[:5])),
        Dataset(sparse.csr_array(rows), classes, label_noise=0.4),
    ]
    targets: list[Any] = [
        Identity(),
        Absolute(),
        Relu(),
        Clauses(tuple(((j % n, (j + 1) % n),) for j in range(outputs))),
        Clauses(tuple(((j % n,), ((j + 1) % n, ~((j + 2) % n))) for j in range(outputs))),
        Parity(tuple(tuple(range(j % n, n)) for j in range(outputs))),
    ]
    powers = [1, 1.5, 2, 2, 2, 2.5, 3, 4, 7.5, 16]
    every_loss = [*map(Power, powers), *[CrossEntropy(), BinaryCrossEntropy()] * 3]
    points = ((0, 0.0), (1, 0.5), (steps, 1.0))
    noises = [("rademacher", None), ("gaussian", None), ("uniform", None), ("laplace", None)]
    noises += [("student_t", 5.0), ("three_point", 0.3)]
    mixed = tuple(("tanh", "relu", "gelu")[k % 3] for k in range(hidden))
    return {
        "activation": [
            {"activation": a} for a in ("relu", "relu", "gelu", "tanh", "square", "linear", mixed)
        ],
        "output": [{}, {"output": "relu"}],
        "bias": [
            {},
            {"bias": True},
            {"bias": tuple(bool(k) for k in alternating)},
            {"bias": True, "bias_start": -0.3},
            {"bias": True, "bias_start": tuple(0.2 * k for k in alternating)},
            {"bias": True, "bias_start": 0.2, "bias_decay": ((0, 2.0), (steps, 0.5))},
            {"bias_start": 0.1},
            {"bias_decay": ((0, 1.0),)},
        ],
        "residual": [{}, {}, {"residual": (1,)}, {"residual": (2,)}, {"residual": (1, 2)}],
        "tied": [{}, {}, {"tied": True}],
        "frozen": [{}] * 4
        + [
            {"frozen": tuple(k == 0 for k in range(hidden + 1))},
            {"frozen": tuple(k == hidden for k in range(hidden + 1))},
            {"frozen": True},
        ],
        "inputs": [{"inputs": i} for i in inputs],
        "target": [{}] * 4 + [{"target": t} for t in targets],
        "loss": [{"loss": loss} for loss in every_loss],
        "importance": [{}, {"importance": tuple(2.0 / (j + 1) for j in range(outputs))}],
        "l1": [
            {},
            {"l1": 0.01},
            {"l1": tuple(0.01 * k for k in alternating)},
            {"l1": 0.01, "l1_update": "orthant"},
            {"l1": tuple(0.02 * k for k in alternating), "l1_update": "orthant"},
            {"l1": 0.01, "l1_target": "activations"},
            {"l1": tuple(0.02 * k for k in alternating[:hidden]), "l1_target": "activations"},
            {"l1": 0.01, "l1_target": "activations", "l1_update": "orthant"},
        ],
        "l1_schedule": [{}, {}, {"l1_schedule": points}],
        "noise": [
            {},
            *(
                {"noise": noise, "noise_std": 0.1, "noise_shape": shape, "noise_sharing": sharing}
                for noise, shape in noises
                for sharing in ("step", "input")
            ),
            {"noise": "gaussian", "noise_std": tuple(0.2 * k for k in alternating[:hidden])},
            {"noise": "gaussian"},
            {"noise": "three_point", "noise_std": 0.1},
            {"noise": "gaussian", "noise_std": 0.1, "noise_shape": 3.0},
            {"noise_std": 0.1},
            {"noise_sharing": "step"},
            {"noise_shape": 3.0},
        ],
        "dropout": [
            {},
            {"dropout": 0.3},
            {"dropout": 0.3, "dropout_sharing": "step"},
            {"dropout": tuple(0.4 * k for k in alternating[:hidden])},
            {"dropout_sharing": "step"},
        ],
        "optimizer": [
            {"optimizer": "sgd", "learning_rate": 0.02},
            {"optimizer": "sgd", "learning_rate": 0.02, "momentum": 0.8},
            {"optimizer": "adam"},
            {"optimizer": "adam", "weight_decay": 0.1, "epsilon": 1e-4},
            {},
            {"weight_decay": 0.2, "betas": (0.8, 0.95), "learning_rate": 0.01},
            {"momentum": 0.5},
            {"optimizer": "sgd", "weight_decay": 0.1},
            {"optimizer": "sgd", "betas": (0.8, 0.95)},
            {"optimizer": "sgd", "epsilon": 1e-4},
        ],
        "learning_rate_schedule": [
            {},
            {"learning_rate_schedule": "cosine"},
            {"learning_rate_schedule": points},
        ],
        "init": [
            *({"init": i} for i in ("normal", "pytorch", "xavier", "orthogonal", "uniform")),
            {"init": "pytorch", "init_scale": 0.5},
        ],
        "readout": [
            *[{}] * 3,
            *({"readout": r} for r in ("private", "random")),
            {
                "readout": tuple(
                    tuple((j + k) % 2 for j in range(outputs)) for k in range(widths[-2])
                )
            },
        ],
        "dtype": [{}, {"dtype": "float64"}],
    }


ADDED = ("readout",)
"""Kinds of choices that samples did not have at first; known runs are without."""


def sample(rng: np.random.Generator, steps: int = 4) -> dict[str, Any]:
    """The fields of a configuration with one choice of each kind, whatever comes of it."""
    widths = WIDTHS[rng.integers(len(WIDTHS))]
    fields: dict[str, Any] = {"widths": widths, "steps": steps}
    for kind in choices(widths, steps):
        if kind not in ADDED:
            fields.update(another(rng, fields, kind))
    return fields


def another(rng: np.random.Generator, fields: dict[str, Any], kind: str) -> dict[str, Any]:
    """One of the choices of a kind, with the defaults of the fields that it does not mention."""
    options = choices(fields["widths"], fields["steps"])[kind]
    names = {name for option in options for name in option}
    return {**{name: DEFAULTS[name] for name in names}, **options[rng.integers(len(options))]}


def kind_of(field: str, fields: dict[str, Any]) -> str:
    """The kind of choice that sets a field."""
    every = choices(fields["widths"], fields["steps"])
    return next(k for k, options in every.items() if any(field in option for option in options))


def accepted(
    seed: int, count: int, steps: int = 4, added: tuple[str, ...] = ADDED
) -> Iterator[NetworkSpec]:
    """``count`` configurations that break no rule: samples, with those choices made again that a
    rule complains about."""
    rng, later = np.random.default_rng(seed), np.random.default_rng((seed, 1))
    for _ in range(count):
        fields = sample(rng, steps)
        for kind in added:
            fields.update(another(later, fields, kind))
        while broken := refusals(NetworkSpec(**fields)):
            fields.update(another(rng, fields, kind_of(broken[0].field, fields)))
        yield NetworkSpec(**fields)


def refused(seed: int, count: int, steps: int = 4) -> Iterator[tuple[NetworkSpec, Rule]]:
    """``count`` configurations that break exactly one rule: accepted ones with one choice made
    again."""
    rng = np.random.default_rng(seed)
    for config in accepted(seed, 2**63):
        fields = {name: getattr(config, name) for name in DEFAULTS}
        kinds = list(choices(config.widths, steps))
        fields.update(another(rng, fields, kinds[rng.integers(len(kinds))]))
        changed = NetworkSpec(**fields)
        broken = refusals(changed)
        if len(broken) == 1:
            yield changed, broken[0]
            count -= 1
        if not count:
            return
