"""Rows: the stored results, one row per (config digest, seed)."""

from __future__ import annotations

import functools
import platform
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

import fastpolysem
from fastpolysem import statistics
from fastpolysem._native import build_info
from fastpolysem.families import AnyConfig, Column, family_of
from fastpolysem.training import TrainingResult

FACTS = {
    "seconds": pa.float64(),
    "kernel": pa.string(),
    "version": pa.string(),
    "isa": pa.string(),
    "host": pa.string(),
}
"""Columns that depend on the machine and the installation; not part of the results."""

IDENTITY = {"digest": pa.string(), "seed": pa.uint64(), "numerics_version": pa.int32()}
"""The first columns of every stored row."""

# Columns that layout version 1 did not have.
_FACTS_1 = {name: kind for name, kind in FACTS.items() if name not in ("isa", "host")}


def bounds(metric: str, config: AnyConfig) -> statistics.Bounds | None:
    """Bounds of the values of a result column; None if unknown."""
    known = columns(config)
    return known[metric].bounds if metric in known else None


class ConflictError(ValueError):
    """There are two different results for the same configuration and seed."""


def columns(config: AnyConfig) -> dict[str, Column]:
    """The numeric result columns by name, in the order of the tables."""
    return {column.name: column for column in family_of(config).columns(config)}


def schema(config: AnyConfig) -> pa.Schema:
    """The schema of a file of rows."""
    return _schema(tuple(columns(config).values()))


def is_schema(found: pa.Schema, config: AnyConfig, version: int) -> bool:
    """Whether a file with these columns and layout version can contain rows.

    Columns that were added after it was written may be missing.
    """
    present = tuple(c for c in columns(config).values() if not c.since or c.name in found.names)
    return bool(found.equals(_schema(present, version)))


@functools.cache
def _schema(of: tuple[Column, ...], version: int = 2) -> pa.Schema:
    results = {column.name: pa.type_for_alias(column.dtype) for column in of}
    facts = _FACTS_1 if version == 1 else FACTS
    return pa.schema({**IDENTITY, **results, "diverged": pa.bool_(), **facts})


def check_addable(result: TrainingResult) -> None:
    """Refuse a result that does not follow from its configuration and seeds alone."""
    expected = family_of(result.config).numerics_version
    if result.numerics_version != expected:
        raise ValueError(
            f"Study.add: other must have numerics version {expected}, got {result.numerics_version}"
        )
    if result.given:
        raise ValueError(
            "Study.add: other must follow from its config and seeds alone, "
            f"got a result trained from given {' and '.join(result.given)}"
        )


def rows_of(result: TrainingResult) -> pd.DataFrame:
    """The rows of a training result, with the columns of `schema` except the digest."""
    isa, host = _here()
    rows = pd.DataFrame(
        {
            "seed": result.seeds,
            "numerics_version": np.full(len(result), result.numerics_version, dtype=np.int32),
            **result.columns,
            "diverged": result.diverged,
            "seconds": result.seconds,
            "kernel": result.kernel,
            "version": fastpolysem.__version__,
            "isa": isa,
            "host": host,
        }
    )
    return _masked(rows, result.config)


def _masked(rows: pd.DataFrame, config: AnyConfig) -> pd.DataFrame:
    """Rows in which diverged seeds have each column's value for diverged seeds.

    Early files contain a number of non-zero weights for diverged seeds.
    """
    diverged = rows["diverged"].to_numpy(dtype=bool)
    if diverged.any():
        for name, column in columns(config).items():
            if column.diverged is not None and name in rows:
                rows[name] = rows[name].mask(diverged, column.diverged)
    return rows


@functools.cache
def _here() -> tuple[str, str]:
    """Instruction set in use and name of the machine."""
    return str(build_info()["isa"]), platform.node()


def table_of(rows: pd.DataFrame, config: AnyConfig) -> pa.Table:
    """Rows in stored form; nan stays nan, whereas pandas' own conversion makes it missing."""
    wanted = schema(config)
    values: dict[str, Any] = {name: rows[name].to_numpy() for name in wanted.names[1:]}
    values["digest"] = np.full(len(rows), config.digest, dtype=object)
    return pa.Table.from_arrays(
        [pa.array(values[field.name], field.type, from_pandas=False) for field in wanted],
        schema=wanted,
    )


def frame(tables: Iterable[pa.Table], config: AnyConfig) -> pd.DataFrame:
    """The rows of tables read from files, without the digest; has all columns even without rows.

    Values of columns that an older file lacks are missing (nan).
    """
    table = pa.concat_tables([schema(config).empty_table(), *tables], promote_options="default")
    rows: pd.DataFrame = table.drop_columns("digest").to_pandas()
    return _masked(rows, config)


def union(frames: Iterable[pd.DataFrame], config: AnyConfig) -> pd.DataFrame:
    """Rows by ascending seed without duplicates; different results raise `ConflictError`."""
    rows = pd.concat(list(frames), ignore_index=True)
    rows = rows.sort_values("seed", kind="stable", ignore_index=True)
    seeds = rows["seed"].to_numpy()
    again = np.zeros(len(rows), dtype=bool)
    again[1:] = seeds[1:] == seeds[:-1]
    if again.any():
        second = np.flatnonzero(again)
        known = columns(config)
        for name in ("numerics_version", *known, "diverged"):
            values = rows[name].to_numpy()
            one, other = values[second - 1], values[second]
            comparable = ~((one != one) & (other != other))
            if name in known and known[name].since:  # may be missing in an older file
                rows[name] = rows.groupby("seed")[name].transform("first")  # that is not
                one = rows[name].to_numpy()[second]
                comparable = ~pd.isna(other)
            different = (one != other) & comparable
            if different.any():
                at = int(np.flatnonzero(different)[0])
                raise ConflictError(
                    f"config {config.digest}, seed {seeds[second[at]]}: {name} is {one[at]} in one "
                    f"row and {other[at]} in another; they cannot come from the same settings and "
                    "numerics"
                )
        rows = rows[~again].reset_index(drop=True)
    return rows
