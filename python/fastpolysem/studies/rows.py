"""Rows: what is kept of each seed, one row per (config digest, seed)."""

from __future__ import annotations

import functools
import platform
from collections.abc import Iterable

import numpy as np
import pandas as pd
import pyarrow as pa

import fastpolysem
from fastpolysem import statistics
from fastpolysem._native import build_info
from fastpolysem.config import Config
from fastpolysem.training import TrainingResult

COUNTS = {
    "polysemantic": pa.int32(),
    "benign": pa.int32(),
    "malign": pa.int32(),
    "signed_slots": pa.int32(),
    "signed_slots_benign": pa.int32(),
    "dead": pa.int32(),
    "unrepresented": pa.int32(),
    "nonzeros": pa.int64(),
}
METRICS = {**COUNTS, "loss": pa.float64(), "residual": pa.float64(), "steps_taken": pa.int64()}
"""Result columns that are numbers, in the order of the tables."""

RESULTS = {**METRICS, "diverged": pa.bool_()}
"""What (config, seed, numerics version) determines bit for bit."""

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

SCHEMA = pa.schema({**IDENTITY, **RESULTS, **FACTS})


def bounds(metric: str, config: Config) -> statistics.Bounds | None:
    """What a value of a result column can lie between; None for columns that are not counts."""
    most = {
        "polysemantic": config.n_hidden,
        "dead": config.n_hidden,
        "signed_slots": config.n_hidden,
        "signed_slots_benign": config.n_hidden,
        "unrepresented": config.n_features,
    }
    return (0, most.get(metric)) if metric in COUNTS else None


class ConflictError(ValueError):
    """The same configuration and seed have two different results."""


def rows_of(result: TrainingResult) -> pd.DataFrame:
    """The rows of a training result, columns as in `SCHEMA` but for the digest."""
    isa, host = _here()
    return pd.DataFrame(
        {
            "seed": result.seeds,
            "numerics_version": np.full(len(result), result.numerics_version, dtype=np.int32),
            **{name: getattr(result, name) for name in RESULTS},
            "seconds": result.seconds,
            "kernel": result.kernel,
            "version": fastpolysem.__version__,
            "isa": isa,
            "host": host,
        }
    )


@functools.cache
def _here() -> tuple[str, str]:
    """Instruction set in use and name of the machine."""
    return str(build_info()["isa"]), platform.node()


def table_of(rows: pd.DataFrame, digest: str) -> pa.Table:
    """Rows as they are stored; nan stays nan, where pandas' own way would make it missing."""
    columns = {name: rows[name].to_numpy() for name in SCHEMA.names if name != "digest"}
    columns["digest"] = np.full(len(rows), digest, dtype=object)
    return pa.Table.from_arrays(
        [pa.array(columns[field.name], field.type, from_pandas=False) for field in SCHEMA],
        schema=SCHEMA,
    )


def frame(tables: Iterable[pa.Table] = ()) -> pd.DataFrame:
    """The rows of tables as read from files, without the digest; all columns also without rows."""
    table = pa.concat_tables([SCHEMA.empty_table(), *tables])
    result: pd.DataFrame = table.drop_columns("digest").to_pandas()
    return result


def union(frames: Iterable[pd.DataFrame], digest: str) -> pd.DataFrame:
    """Rows by ascending seed, each once: equal results collapse, others raise `ConflictError`."""
    rows = pd.concat(list(frames), ignore_index=True)
    rows = rows.sort_values("seed", kind="stable", ignore_index=True)
    seeds = rows["seed"].to_numpy()
    again = np.zeros(len(rows), dtype=bool)
    again[1:] = seeds[1:] == seeds[:-1]
    if again.any():
        second = np.flatnonzero(again)
        for name in ("numerics_version", *RESULTS):
            values = rows[name].to_numpy()
            one, other = values[second - 1], values[second]
            different = (one != other) & ~((one != one) & (other != other))
            if different.any():
                at = second[different][0]
                raise ConflictError(
                    f"config {digest}, seed {seeds[at]}: {name} is {values[at - 1]} in one row and "
                    f"{values[at]} in another; they cannot come from the same settings and numerics"
                )
        rows = rows[~again].reset_index(drop=True)
    return rows
