"""Probes: what is computed from trained weights before they are thrown away.

A study keeps the same columns of every seed. A probe adds columns of its own: it is given each
block of seeds with its weights and history, where the block was trained.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastpolysem.families.autoencoder.objective import Parameters
from fastpolysem.training import TrainingResult, train

__all__ = ["Column", "Probe", "evaluate", "start_encoders", "trained_encoders", "trained_weights"]


class Column(NamedTuple):
    """One thing that a probe computes."""

    dtype: str
    """NumPy's name of the type."""
    doc: str
    """What it is, in one line."""


@dataclass(frozen=True)
class Probe(ABC):
    """Columns of a seed beside those of `fastpolysem.TrainingResult`.

    A subclass is a frozen dataclass at the top of a module, so that workers can unpickle it. Its
    fields are its parameters: what it computes depends on them, on ``version`` and on the block
    alone.
    """

    name: ClassVar[str]
    """Enters the names of the files that keep what it computes."""
    version: ClassVar[int] = 1
    """To be raised when it computes something else."""
    columns: ClassVar[Mapping[str, Column]]
    """Values of a seed, by name."""
    arrays: ClassVar[Mapping[str, Column]] = {}
    """Arrays of a block, by name, that are no single values of seeds; those of several blocks are
    joined along their first axis. They keep the precision that they come in."""

    @abstractmethod
    def __call__(self, result: TrainingResult) -> dict[str, NDArray[Any]]:
        """Compute the columns and arrays of a block.

        Parameters
        ----------
        result
            A block of S seeds with its weights, and its history if one was recorded.

        Returns
        -------
        dict
            An (S,) array for each of ``columns``, and the ``arrays``, under their names.
        """


def evaluate(probe: Probe, result: TrainingResult) -> dict[str, NDArray[Any]]:
    """What a probe computes of a block, checked, and its columns cast to the types declared.

    Raises
    ------
    ValueError
        If names, types or lengths are not those that it declares.
    """
    declared = {**probe.columns, **probe.arrays}
    values = probe(result)
    if set(values) != set(declared):
        raise ValueError(
            f"probe {probe.name!r} must compute {', '.join(sorted(declared))}, "
            f"got {', '.join(sorted(values)) or 'nothing'}"
        )
    checked = {}
    for name, column in declared.items():
        array = np.asarray(values[name])
        if name in probe.columns and array.shape != (len(result),):
            raise ValueError(
                f"probe {probe.name!r}: {name} must have the shape ({len(result)},), one value a "
                f"seed, got {array.shape}"
            )
        if not np.can_cast(array.dtype, column.dtype, "same_kind"):
            raise ValueError(
                f"probe {probe.name!r}: {name} must be of type {column.dtype}, got {array.dtype}"
            )
        checked[name] = array.astype(column.dtype) if name in probe.columns else array
    return checked


def trained_weights(result: TrainingResult) -> NDArray[Any]:
    """The weights (S, n, m) of a block of models that have no other parameters; zeros in seeds that
    diverged.

    Raises
    ------
    ValueError
        If the models have decoders or biases of their own.
    """
    if isinstance(result.weights, Parameters):
        raise ValueError(
            "this probe needs models with tied=True and bias=False, whose weights are one matrix, "
            f"got {result.config!r}"
        )
    return trained_encoders(result)


def trained_encoders(result: TrainingResult) -> NDArray[Any]:
    """The encoders (S, n, m) of a block of models; zeros in seeds that diverged."""
    weights = result.weights
    encoder = np.asarray(weights.encoder if isinstance(weights, Parameters) else weights)
    return np.where(result.diverged[:, np.newaxis, np.newaxis], 0.0, encoder)


def start_encoders(result: TrainingResult) -> NDArray[Any]:
    """The encoders (S, n, m) that a block's models started from."""
    start = result.config.replace(steps=0)
    return trained_encoders(train(start, result.seeds, return_weights=True))
