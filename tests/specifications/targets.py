"""Targets of the network family, as functions of the (B, n) inputs.

A data set brings targets of its own (see `specifications.sampling.Dataset`). A feature counts as on
where it is above 0, so that inputs of 0 and 1 and inputs of -1 and 1 are read alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from specification import Array


@dataclass(frozen=True)
class Identity:
    """The inputs."""


@dataclass(frozen=True)
class Absolute:
    """The inputs' absolute values."""


@dataclass(frozen=True)
class Relu:
    """The inputs where they are positive, else 0."""


@dataclass(frozen=True)
class Clauses:
    """1 where an output's formula holds, else 0: a disjunction of conjunctions (DNF).

    ``outputs[j]`` is a tuple of clauses, one of which must hold; a clause is a tuple of literals,
    all of which must hold: i for "feature i is on", ~i (that is -i - 1) for "feature i is off". An
    AND is a formula of one clause, an OR one of clauses with one literal each.
    """

    outputs: tuple[tuple[tuple[int, ...], ...], ...]


@dataclass(frozen=True)
class Parity:
    """1 where an odd number of the features ``outputs[j]`` is on, else 0."""

    outputs: tuple[tuple[int, ...], ...]


def kind(target: Any) -> str:
    return type(target).__name__


def is_elementwise(target: Any) -> bool:
    """Whether output i answers to feature i."""
    return kind(target) in ("Identity", "Absolute", "Relu")


def holds(literal: int, row: Array) -> bool:
    return bool(row[literal] > 0) if literal >= 0 else not row[~literal] > 0


def targets(target: Any, inputs: Array) -> Array:
    """(B, d)."""
    if kind(target) == "Identity":
        return inputs
    if kind(target) == "Absolute":
        return np.abs(inputs)
    if kind(target) == "Relu":
        return np.maximum(inputs, 0.0)
    out = np.zeros((len(inputs), len(target.outputs)))
    for b, row in enumerate(inputs):
        for j, wanted in enumerate(target.outputs):
            if kind(target) == "Clauses":
                out[b, j] = any(all(holds(i, row) for i in clause) for clause in wanted)
            else:
                out[b, j] = sum(holds(i, row) for i in wanted) % 2
    return out
