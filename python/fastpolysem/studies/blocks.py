"""Blocks, the unit of work of a study, and the task that trains one.

A *block* is a set of seeds of one configuration that takes one core about a second. It is one task
for an executor, one file in the store and one unit of progress. Its size depends on the
configuration only, so that machines working on the same folder divide the work identically:
consecutive seeds are split at multiples of this size, and scattered ones are collected until a
block is full.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from fastpolysem import _checks
from fastpolysem._files import first_line
from fastpolysem._native import threads_by_default
from fastpolysem.families import AnyConfig, Arrays, family_of, from_dict
from fastpolysem.probes import Declaration, Probe, evaluate
from fastpolysem.studies.artifacts import (
    KINDS,
    history_schema,
    history_table,
    probe_schema,
    probe_table,
    record_key,
    weights_schema,
    weights_table,
)
from fastpolysem.studies.attachments import Attachments
from fastpolysem.studies.schema import columns, frame, rows_of
from fastpolysem.studies.seedsets import SeedSet
from fastpolysem.training import Record, TrainingResult, train

MAX_BLOCK = 4096

# Approximate floating-point operations per second of a core on the dense path; used only for the
# size of blocks and the estimate of the time left.
_SPEED = 7e10


def block_size(config: AnyConfig) -> int:
    """Number of seeds in a block: about a second of work.

    Parameters
    ----------
    config
        The configuration; the size depends on nothing else, such as the machine or its load.

    Returns
    -------
    int
        A power of two from 1 to 4096.
    """
    most = int(math.log2(MAX_BLOCK))
    seconds = flops_of_seed(config) / _SPEED
    return int(2 ** min(most, max(0, math.floor(-math.log2(seconds or 1e-9)))))


def flops_of_seed(config: AnyConfig) -> int:
    """Approximate number of floating-point operations to train one seed."""
    return family_of(config).flops(config)


@dataclass(frozen=True)
class Kept:
    """What to store for each seed besides its row."""

    record: Record | None = None
    weights: bool = False
    probe: Probe | None = None

    @functools.cached_property
    def declaration(self) -> Declaration | None:
        """The declaration of the probe."""
        return None if self.probe is None else Declaration.of(self.probe)

    @property
    def kinds(self) -> dict[str, str]:
        """The kinds of files besides rows, each with the key in its names."""
        kinds = {}
        if self.weights:
            kinds["weights"] = ""
        if self.record is not None:
            kinds["history"] = record_key(self.record)
        if self.declaration is not None:
            kinds["probe"] = self.declaration.key
        return kinds

    def schemas(self, config: AnyConfig) -> dict[str, tuple[pa.Schema, int]]:
        """For each kind, the columns and the number of rows per seed."""
        schemas = {}
        if self.weights:
            schemas["weights"] = weights_schema(config), 1
        if self.record is not None:
            schemas["history"] = history_schema(self.record.metrics), len(self.record.steps)
        if self.declaration is not None:
            schemas["probe"] = probe_schema(self.declaration), 1
        return schemas


@dataclass(frozen=True)
class Trained:
    """The results of some seeds."""

    rows: pd.DataFrame
    tables: Mapping[str, pa.Table]
    """What is stored besides, by kind."""
    failure: Exception | None = None
    """The exception raised by a probe, which then has no table."""

    @classmethod
    def of(cls, result: TrainingResult, kept: Kept) -> Trained:
        """The parts of a result to store: copies, since a probe may work in place."""
        rows = rows_of(result)
        tables = {}
        if kept.weights:
            tables["weights"] = weights_table(result)
        if kept.record is not None:
            tables["history"] = history_table(result)
        failure = None
        if kept.probe is not None and kept.declaration is not None:
            try:
                values = evaluate(kept.probe, result)
            except Exception as error:  # the rows are valid in any case
                failure = error
            else:
                tables["probe"] = probe_table(result, kept.declaration, values)
        return cls(rows, tables, failure)


class _RemoteError(Exception):
    """The exception of a probe in a worker, as text, since not every class can be unpickled."""


def described(failure: Exception) -> str:
    """The failure in one line."""
    if isinstance(failure, _RemoteError):
        return str(failure)
    return f"{type(failure).__name__}: {first_line(failure)}"


def train_blocks(
    config: AnyConfig,
    blocks: Sequence[SeedSet],
    kept: Kept,
    num_threads: int,
    progress: Callable[[int, int], object] | None = None,
) -> list[Trained]:
    """Train several blocks in this process at the same time."""
    result = train(
        config,
        np.concatenate([block.array() for block in blocks]),
        record=kept.record,
        return_weights=kept.weights or kept.probe is not None,
        num_threads=num_threads,
        progress=progress,
    )
    ends = np.cumsum([block.count for block in blocks]).tolist()
    starts = [0, *ends[:-1]]
    parts = (_part(result, slice(*ends)) for ends in zip(starts, ends, strict=True))
    with threads_by_default(num_threads):  # for probes that train themselves
        return [Trained.of(part, kept) for part in parts]


def _part(result: TrainingResult, seeds: slice) -> TrainingResult:
    """The result of some of its seeds."""
    if seeds == slice(0, len(result)):
        return result
    family, weights = family_of(result.config), None
    if result.weights is not None:
        packed = family.pack(result.config, result.weights)
        arrays = {name: array[seeds] for name, array in packed.items()}
        weights = family.unpack(result.config, arrays)
    return dataclasses.replace(
        result,
        seeds=result.seeds[seeds],
        columns={name: column[seeds] for name, column in result.columns.items()},
        diverged=result.diverged[seeds],
        seconds=result.seconds[seeds],
        weights=weights,
        history={
            name: values if name == "step" else values[seeds]
            for name, values in result.history.items()
        },
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

    ``module`` registers the configuration's family if the worker does not know it yet. ``attached``
    is the result of `attachments.given` for the configuration.

    Returns plain values, arrays and Arrow tables, whose pickles are as small as their content:
    ``rows`` holds the columns; ``weights``, ``history`` and ``probe`` are tables or None. If the
    probe raises an exception, ``failure`` describes it, in one line and in full.
    """
    load = (
        Attachments(Path(attached)).load
        if isinstance(attached, str)
        else (attached or {}).__getitem__
    )
    checked, kept = from_dict(config, module, load), kept or Kept()
    asked = SeedSet.of(np.array(seeds, dtype=np.uint64))
    (trained,) = train_blocks(checked, [asked], kept, num_threads)
    failure = trained.failure
    return {
        "digest": checked.digest,
        "rows": {name: trained.rows[name].to_numpy() for name in trained.rows.columns},
        **{kind: trained.tables.get(kind) for kind in KINDS},
        "failure": failure and (described(failure), "".join(traceback.format_exception(failure))),
    }


class WrongBlockError(Exception):
    """A worker returned something other than the result of `train_block`."""


def received(sent: Any, config: AnyConfig, block: SeedSet, kept: Kept) -> Trained:
    """The result of `train_block` for these seeds, after all possible checks.

    Raises
    ------
    WrongBlockError
        For anything else, which must not be stored.
    """
    if not isinstance(sent, dict) or not {"digest", "rows", *kept.kinds} <= sent.keys():
        raise WrongBlockError(f"{_checks.shown(sent)} in place of a block")
    if sent["digest"] != config.digest:
        raise WrongBlockError(f"a block of config {sent['digest']}")
    wanted = block.array()
    rows = _received_rows(sent["rows"], config, wanted)
    expected = family_of(config).numerics_version
    failure = None
    if kept.probe is not None and sent.get("failure") is not None:
        line, trace = sent["failure"]
        failure = _RemoteError(line)
        failure.add_note(trace)
    tables = {}
    for kind, (schema, repeats) in kept.schemas(config).items():
        if kind == "probe" and failure is not None:
            continue
        table = sent[kind]
        if not isinstance(table, pa.Table) or not table.schema.equals(schema):
            raise WrongBlockError(f"no {kind}, or {kind} with other columns")
        if set(table["digest"].to_pylist()) != {config.digest}:
            raise WrongBlockError(f"{kind} of another config")
        repeated = np.repeat(wanted, repeats)
        _check_identity(kind, table["seed"], table["numerics_version"], repeated, expected)
        tables[kind] = table
    return Trained(rows, tables, failure)


def _received_rows(sent: Any, config: AnyConfig, wanted: NDArray[np.uint64]) -> pd.DataFrame:
    """The rows of a block, after checking that they belong to these seeds."""
    try:
        rows = pd.DataFrame(sent)
    except (ValueError, TypeError) as error:
        raise WrongBlockError(f"rows that do not form a table ({error})") from None
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
    return rows[list(right.columns)]


def _check_identity(
    what: str, seeds: Any, numerics: Any, wanted: NDArray[np.uint64], expected: int
) -> None:
    """Check that there is one entry per seed, in order, and of this numerics version."""
    given = np.asarray(seeds)
    if not np.array_equal(given, wanted):
        extra = np.setdiff1d(given, wanted)
        lacking = np.setdiff1d(wanted, given)
        if len(extra):
            wrong = f"{what} of the seed {extra[0]}"
        elif len(lacking):
            wrong = f"{what} without the seed {lacking[0]}"
        else:
            wrong = f"{what} with a seed more than once, or in another order"
        raise WrongBlockError(wrong)
    for version in np.unique(np.asarray(numerics)):
        if version != expected:
            raise WrongBlockError(f"{what} of numerics version {version}")
