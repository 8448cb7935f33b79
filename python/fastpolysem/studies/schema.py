"""Rows: what is kept of each seed, one row per (config digest, seed)."""

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
"""What depends on the machine and the installation: no part of the results."""

IDENTITY = {"digest": pa.string(), "seed": pa.uint64(), "numerics_version": pa.int32()}
"""What every stored row begins with."""

# Version 1 of the layout did not say where a row was computed.
_FACTS_1 = {name: kind for name, kind in FACTS.items() if name not in ("isa", "host")}


def bounds(metric: str, config: AnyConfig) -> statistics.Bounds | None:
    """What a value of a result column can lie between; None if nothing is known."""
    known = columns(config)
    return known[metric].bounds if metric in known else None


class ConflictError(ValueError):
    """The same configuration and seed have two different results."""


def columns(config: AnyConfig) -> dict[str, Column]:
    """The result columns that are numbers, by name, in the order of the tables."""
    return {column.name: column for column in family_of(config).columns(config)}


def schema(config: AnyConfig) -> pa.Schema:
    """What a file of rows holds."""
    return _schema(tuple(columns(config).values()))


def is_schema(found: pa.Schema, config: AnyConfig, version: int) -> bool:
    """Whether a file with these columns, of this version of the layout, can hold rows.

    It may lack columns that were added since it was written.
    """
    present = tuple(c for c in columns(config).values() if not c.since or c.name in found.names)
    return bool(found.equals(_schema(present, version)))


@functools.cache
def _schema(of: tuple[Column, ...], version: int = 2) -> pa.Schema:
    results = {column.name: pa.type_for_alias(column.dtype) for column in of}
    facts = _FACTS_1 if version == 1 else FACTS
    return pa.schema({**IDENTITY, **results, "diverged": pa.bool_(), **facts})


def rows_of(result: TrainingResult) -> pd.DataFrame:
    """The rows of a training result, columns as in `schema` but for the digest."""
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
    """Rows whose diverged seeds have the value that each column says.

    Early files hold the number of non-zero weights of diverged seeds.
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
    """Rows as they are stored; nan stays nan, where pandas' own way would make it missing."""
    wanted = schema(config)
    values: dict[str, Any] = {name: rows[name].to_numpy() for name in wanted.names[1:]}
    values["digest"] = np.full(len(rows), config.digest, dtype=object)
    return pa.Table.from_arrays(
        [pa.array(values[field.name], field.type, from_pandas=False) for field in wanted],
        schema=wanted,
    )


def frame(tables: Iterable[pa.Table], config: AnyConfig) -> pd.DataFrame:
    """The rows of tables as read from files, without the digest; all columns also without rows.

    A column that a file lacks since it is older is missing (nan) in its rows.
    """
    table = pa.concat_tables([schema(config).empty_table(), *tables], promote_options="default")
    rows: pd.DataFrame = table.drop_columns("digest").to_pandas()
    return _masked(rows, config)


def union(frames: Iterable[pd.DataFrame], config: AnyConfig) -> pd.DataFrame:
    """Rows by ascending seed, each once: equal results collapse, others raise `ConflictError`."""
    rows = pd.concat(list(frames), ignore_index=True)
    rows = rows.sort_values("seed", kind="stable", ignore_index=True)
    seeds = rows["seed"].to_numpy()
    again = np.zeros(len(rows), dtype=bool)
    again[1:] = seeds[1:] == seeds[:-1]
    if again.any():
        second = np.flatnonzero(again)
        for name in ("numerics_version", *columns(config), "diverged"):
            values = rows[name].to_numpy()
            one, other = values[second - 1], values[second]
            if name in columns(config) and columns(config)[name].since:
                comparable = ~(pd.isna(one) | pd.isna(other))  # an older file lacks the column
            else:
                comparable = ~((one != one) & (other != other))
            different = (one != other) & comparable
            if different.any():
                at = second[different][0]
                raise ConflictError(
                    f"config {config.digest}, seed {seeds[at]}: {name} is {values[at - 1]} in one "
                    f"row and {values[at]} in another; they cannot come from the same settings and "
                    "numerics"
                )
        rows = rows[~again].reset_index(drop=True)
    return rows
