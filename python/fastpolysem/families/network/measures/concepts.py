"""The concepts of a task, and which of them hold in each row."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastpolysem import _checks
from fastpolysem._native import core
from fastpolysem.families.network.config import NetworkConfig
from fastpolysem.families.network.dataset import Dataset
from fastpolysem.families.network.lowering import core_settings
from fastpolysem.families.network.objective import Batch
from fastpolysem.families.network.targets import Clauses
from fastpolysem.specs.inputs import Independent

WHOLE_LOSS = -1
"""Instead of the index of an output: a concept that no output carries."""


class Concepts(NamedTuple):
    """Which concepts hold in which rows, and on which output the loss of each is measured."""

    names: tuple[str, ...]
    """(C,)"""
    indptr: NDArray[np.int64]
    """(B + 1,) with `indices`, compressed rows of a (B, C) table of zeros and ones."""
    indices: NDArray[np.int32]
    output: NDArray[np.int32]
    """(C,) number of the output, or -1 for the loss of the whole row."""
    features: tuple[int, ...]
    """(C,) number of the feature that a concept is, which can be switched off; -1 for none."""

    @property
    def table(self) -> NDArray[np.bool_]:
        """(B, C) whether a concept holds in a row."""
        rows = len(self.indptr) - 1
        table = np.zeros((rows, len(self.names)), dtype=bool)
        table[np.repeat(np.arange(rows), np.diff(self.indptr)), self.indices] = True
        return table


def _are_features(config: NetworkConfig) -> bool:
    """Whether the task's concepts are features of its inputs, which can be switched off."""
    given = isinstance(config.inputs, Dataset) or config.loss.kind == "cross_entropy"
    return not given and config.target.elementwise


def _are_signed(config: NetworkConfig) -> bool:
    return isinstance(config.inputs, Independent) and config.inputs._is_signed


def names_of(config: NetworkConfig) -> tuple[str, ...]:
    """The names of the task's own concepts, in order.

    The classes of a cross-entropy; the clauses of `targets.Clauses`; the outputs of
    `targets.Parity`, which hold in every row; the features of inputs whose target answers feature
    by feature, positive ones before negative ones; the outputs of a `Dataset` with real targets,
    which hold where the target is positive.
    """
    outputs = range(config.widths[-1])
    if config.loss.kind == "cross_entropy":
        return tuple(f"class {j}" for j in outputs)
    if isinstance(config.inputs, Dataset):
        return tuple(f"output {j}" for j in outputs)
    if isinstance(config.target, Clauses):
        formulas = enumerate(config.target.outputs)
        return tuple(f"output {j} clause {c}" for j, f in formulas for c in range(len(f)))
    if not config.target.elementwise:
        return tuple(f"parity {j}" for j in outputs)
    if _are_signed(config):
        return tuple(f"{sign}{j}" for sign in "+-" for j in outputs)
    return tuple(f"feature {j}" for j in outputs)


def concept_count(config: NetworkConfig) -> int:
    """How many concepts the task has."""
    return len(names_of(config))


def evaluation(config: NetworkConfig) -> tuple[Batch, NDArray[Any] | None]:
    """The rows that the columns of results are measured on, and their targets where the core needs
    them: classes (B,), or (B, d_L) reals."""
    found: tuple[Batch, NDArray[Any] | None] = core.network_evaluation(core_settings(config))
    return found


def own(config: NetworkConfig, batch: Batch, targets: NDArray[Any] | None) -> Concepts:
    """The concepts of the task in these rows."""
    names = names_of(config)
    features = (-1,) * len(names)
    if _are_features(config) and not _are_signed(config) and (batch[2] < 0).any():
        raise ValueError(
            "measure: data must be >= 0 for the features of a config without signed inputs, got "
            f"{batch[2].min():g}; pass concepts of your own"
        )
    if _are_features(config):
        features = tuple(i % config.widths[0] for i in range(len(names)))
    indptr, indices, output = core.network_concepts(core_settings(config), batch, targets)
    return Concepts(names, indptr, indices, output, features)


def given(
    label: str, table: Any, outputs: Any, names: Any, config: NetworkConfig, rows: int
) -> Concepts:
    """Concepts given by the user: a (rows, C) table of zeros and ones."""
    array = _checks.array(label, table, "float64", (2,))
    if not array.shape[1]:
        raise ValueError(f"{label} must have one column or more, got none")
    if len(array) != rows:
        raise ValueError(f"{label} must have one row per row of the data, {rows}, got {len(array)}")
    if not ((array == 0) | (array == 1)).all():
        raise ValueError(f"{label} must consist of zeros and ones, got {_checks.shown(table)}")
    if not array.any(axis=0).all():
        never = np.flatnonzero(~array.any(axis=0)).tolist()
        raise ValueError(f"{label} must hold in some row each, got columns of zeros, {never}")
    count = array.shape[1]
    if outputs is None:
        output = np.full(count, WHOLE_LOSS, dtype=np.int32)
    else:
        bounds = (">=", WHOLE_LOSS), ("<", config.widths[-1])
        numbers = _checks.integers("measure: outputs", outputs, *bounds)
        if len(numbers) != count:
            raise ValueError(f"measure: outputs must name one per concept, {count}, got {numbers}")
        if config.loss.kind == "cross_entropy" and any(n != WHOLE_LOSS for n in numbers):
            raise ValueError(
                "measure: outputs must be None for a cross-entropy, which is of all logits, "
                f"got {_checks.shown(outputs)}"
            )
        output = np.array(numbers, dtype=np.int32)
    texts = _checks.listed("measure: names", range(count) if names is None else names)
    if texts is None:
        raise _checks.refused("measure: names", "a list of names", names, kind=TypeError)
    if names is None:
        texts = [f"concept {i}" for i in texts]
    if len(texts) != count:
        raise ValueError(f"measure: names must be {count}, one per concept, got {len(texts)}")
    held = array != 0
    indptr = np.concatenate([[0], np.cumsum(held.sum(axis=1))]).astype(np.int64)
    indices = np.nonzero(held)[1].astype(np.int32)
    return Concepts(tuple(map(str, texts)), indptr, indices, output, (-1,) * count)
