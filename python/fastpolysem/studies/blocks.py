"""Blocks: the one unit of a study's work, and the task that trains one.

A *block* is a set of seeds of one configuration, about a second of work for one core. It is one
task for an executor, one file of the store and one tick of progress. Its size follows from the
configuration alone, so that machines working on the same folder cut it alike: consecutive seeds at
the multiples of that size, while scattered ones are gathered until a block is full.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from fastpolysem import _checks
from fastpolysem.families import AnyConfig, Arrays, family_of, from_dict
from fastpolysem.studies.artifacts import (
    history_schema,
    history_table,
    weights_schema,
    weights_table,
)
from fastpolysem.studies.attachments import Attachments
from fastpolysem.studies.schema import columns, frame, rows_of
from fastpolysem.studies.seedsets import SeedSet
from fastpolysem.training import Record, TrainingResult, train

MAX_BLOCK = 4096

# Floating point operations a core does per second on the dense path, give or take; only the size of
# blocks and the guess of the time left hang on it.
_SPEED = 7e10


def block_size(config: AnyConfig) -> int:
    """Number of seeds in a block: about a second of work.

    Parameters
    ----------
    config
        The configuration; nothing else enters, neither the machine nor its load.

    Returns
    -------
    int
        A power of two from 1 to 4096.
    """
    most = int(math.log2(MAX_BLOCK))
    seconds = flops_of_seed(config) / _SPEED
    return int(2 ** min(most, max(0, math.floor(-math.log2(seconds or 1e-9)))))


def flops_of_seed(config: AnyConfig) -> int:
    """Floating point operations to train one seed, about."""
    return family_of(config).flops(config)


@dataclass(frozen=True)
class Kept:
    """What is kept of each seed besides its row."""

    record: Record | None = None
    weights: bool = False


@dataclass(frozen=True)
class Trained:
    """What came of some seeds."""

    rows: pd.DataFrame
    weights: pa.Table | None = None
    history: pa.Table | None = None

    @classmethod
    def of(cls, result: TrainingResult) -> Trained:
        """What there is in a result of training."""
        return cls(
            rows_of(result),
            None if result.weights is None else weights_table(result),
            history_table(result) if result.history else None,
        )

    def part(self, start: int, count: int) -> Trained:
        """Some of the seeds."""
        history = None
        if self.history is not None:
            steps = len(self.history) // len(self.rows)
            history = self.history.slice(start * steps, count * steps)
        return Trained(
            self.rows[start : start + count].reset_index(drop=True),
            None if self.weights is None else self.weights.slice(start, count),
            history,
        )


def train_block(
    config: dict[str, Any],
    seeds: range | NDArray[np.uint64],
    num_threads: int,
    kept: Kept | None = None,
    module: str | None = None,
    attached: str | dict[str, Arrays] | None = None,
) -> dict[str, Any]:
    """Train one block: the task that executors run.

    ``module`` is the one that registers the configuration's family, where the worker does not know
    it yet. ``attached`` is what `attachments.given` gives for the configuration.

    Plain values, arrays and Arrow tables come out, whose pickles are as small as their numbers:
    ``rows`` is a column each, ``weights`` and ``history`` are tables or None.
    """
    load = (
        Attachments(Path(attached)).load
        if isinstance(attached, str)
        else (attached or {}).__getitem__
    )
    checked, kept = from_dict(config, module, load), kept or Kept()
    result = train(
        checked,
        np.array(seeds, dtype=np.uint64),
        record=kept.record,
        return_weights=kept.weights,
        num_threads=num_threads,
    )
    trained = Trained.of(result)
    return {
        "digest": checked.digest,
        "rows": {name: trained.rows[name].to_numpy() for name in trained.rows.columns},
        "weights": trained.weights,
        "history": trained.history,
    }


class WrongBlockError(Exception):
    """What a worker sent is not what `train_block` gives; says what it is."""


def received(sent: Any, config: AnyConfig, block: SeedSet, kept: Kept) -> Trained:
    """What `train_block` gave for these seeds, after every check that can be made here.

    Raises
    ------
    WrongBlockError
        For anything else, which must not be kept.
    """
    if not isinstance(sent, dict) or not {"digest", "rows", "weights", "history"} <= sent.keys():
        raise WrongBlockError(f"{_checks.shown(sent)} in place of a block")
    if sent["digest"] != config.digest:
        raise WrongBlockError(f"a block of config {sent['digest']}")
    try:
        rows = pd.DataFrame(sent["rows"])
    except (ValueError, TypeError) as error:
        raise WrongBlockError(f"rows that make no table ({error})") from None
    wanted = block.array()
    right = frame((), config)
    if missing := sorted(set(right.columns) - set(rows.columns)):
        raise WrongBlockError(f"rows without {', '.join(missing)}")
    for name in columns(config):
        if rows[name].dtype.kind != right[name].dtype.kind:
            raise WrongBlockError(f"{name} of type {rows[name].dtype}")
    if rows["diverged"].dtype != bool:
        raise WrongBlockError(f"diverged of type {rows['diverged'].dtype}")
    expected = family_of(config).numerics_version
    _check_identity("rows", rows["seed"], rows["numerics_version"], wanted, expected)
    schemas: dict[str, tuple[pa.Schema, int]] = {}
    if kept.weights:
        schemas["weights"] = weights_schema(config), 1
    if kept.record:
        schemas["history"] = history_schema(kept.record.metrics), len(kept.record.steps)
    for kind, (schema, repeats) in schemas.items():
        table = sent[kind]
        if not isinstance(table, pa.Table) or not table.schema.equals(schema):
            raise WrongBlockError(f"no {kind}, or {kind} with other columns")
        if set(table["digest"].to_pylist()) != {config.digest}:
            raise WrongBlockError(f"{kind} of another config")
        repeated = np.repeat(wanted, repeats)
        _check_identity(kind, table["seed"], table["numerics_version"], repeated, expected)
    kinds = {kind: sent[kind] for kind in schemas}
    return Trained(rows[list(right.columns)], **kinds)


def _check_identity(
    what: str, seeds: Any, numerics: Any, wanted: NDArray[np.uint64], expected: int
) -> None:
    """Whether there is something of each seed once, in order, and of this numerics version."""
    found = np.asarray(seeds)
    if not np.array_equal(found, wanted):
        extra = np.setdiff1d(found, wanted)
        lacking = np.setdiff1d(wanted, found)
        if len(extra):
            said = f"{what} of the seed {extra[0]}"
        elif len(lacking):
            said = f"{what} without the seed {lacking[0]}"
        else:
            said = f"{what} with a seed more than once, or in another order"
        raise WrongBlockError(said)
    for version in np.unique(np.asarray(numerics)):
        if version != expected:
            raise WrongBlockError(f"{what} of numerics version {version}")
