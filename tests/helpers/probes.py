"""Probes for tests, in a module of their own, so that workers can unpickle them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

import fastpolysem as fp
from fastpolysem._native import default_threads
from fastpolysem.probes import Column, Probe


@dataclass(frozen=True)
class Largest(Probe):
    """The largest weight, how many are larger than a bound, and what belongs to each seed."""

    name = "largest"
    least: float = 0.5
    columns: ClassVar = {
        "largest": Column("float32", "largest weight"),
        "above": Column("int64", "weights above the bound"),
        "odd": Column("bool", "whether that is an odd number"),
    }
    arrays: ClassVar = {
        "strongest": Column("float32", "largest weight of each feature (S, n)"),
        "ragged": Column("int16", "as many numbers as the seed's last digit says"),
    }

    def __call__(self, result: fp.TrainingResult) -> dict[str, Any]:
        weights = np.asarray(result.weights)
        above = (weights > self.least).sum(axis=(1, 2))
        return {
            "largest": weights.max(axis=(1, 2)),
            "above": above,
            "odd": above % 2 == 1,
            "strongest": weights.max(axis=2),
            "ragged": [np.arange(int(seed) % 10) for seed in result.seeds],
        }


@dataclass(frozen=True)
class Raising(Largest):
    """Raises where a block holds this seed."""

    name = "raising"
    at: int = 5

    def __call__(self, result: fp.TrainingResult) -> dict[str, Any]:
        if self.at in result.seeds:
            raise ArithmeticError("no number for this seed")
        return super().__call__(result)


@dataclass(frozen=True)
class Unknown(Probe):
    """A column without values."""

    name = "unknown"
    columns: ClassVar = {"unknown": Column("float64", "nothing that is known")}

    def __call__(self, result: fp.TrainingResult) -> dict[str, Any]:
        return {"unknown": np.full(len(result), np.nan)}


@dataclass(frozen=True)
class Partial(Probe):
    """Finite values of one seed in four, 1 to 4."""

    name = "partial"
    columns: ClassVar = {"partial": Column("float64", "a number that may overflow")}

    def __call__(self, result: fp.TrainingResult) -> dict[str, Any]:
        kinds = np.array([[np.inf], [np.nan], [-np.inf], [0.0]])[result.seeds % 4, 0]
        return {"partial": kinds + 1 + result.seeds // 4 % 4}


@dataclass(frozen=True)
class Late(Probe):
    """Something of the history."""

    name = "late"
    columns: ClassVar = {"fall": Column("float64", "how far the loss fell")}

    def __call__(self, result: fp.TrainingResult) -> dict[str, Any]:
        loss = result.history["loss"]
        return {"fall": loss[:, 0] - loss[:, -1]}


@dataclass(frozen=True)
class Threads(Probe):
    """With how many threads a probe trains by default."""

    name = "threads"
    columns: ClassVar = {"threads": Column("int64", "the default of `train`")}

    def __call__(self, result: fp.TrainingResult) -> dict[str, Any]:
        return {"threads": np.full(len(result), default_threads())}
