"""What is stored for a seed besides its row, on request: final weights, histories, and the values
of a probe.

All are Arrow tables that begin with the columns of `IDENTITY`. A table of weights has one row per
seed, with a list of values for each part of the model (named by `Family.shapes`) and, for matrices,
a list of places: row-major indices of the values, or null if all entries are listed. A history has
one row per seed and recorded step, and one float64 column per metric. A table of a probe has one
row per seed, with the probe's columns and, for each of its arrays, a list of values and a list with
the array's shape.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from fastpolysem.families import AnyConfig, family_of
from fastpolysem.probes import SHAPE, Declaration
from fastpolysem.studies.schema import IDENTITY, ConflictError
from fastpolysem.training import Record, TrainingResult

KINDS = ("weights", "history", "probe")

_BITS = {"float32": np.uint32, "float64": np.uint64}


def _shapes(config: AnyConfig) -> dict[str, tuple[int, ...]]:
    """The parts of one model."""
    return family_of(config).shapes(config)


def weights_schema(config: AnyConfig) -> pa.Schema:
    """Columns of the weights of a configuration."""
    columns = dict(IDENTITY)
    for part, shape in _shapes(config).items():
        if len(shape) == 2:
            columns[f"{part}_places"] = pa.large_list(pa.int64())
        columns[part] = pa.large_list(pa.type_for_alias(config.dtype))
    return pa.schema(columns)


def history_schema(metrics: Sequence[str]) -> pa.Schema:
    """Columns of a history of these metrics."""
    return pa.schema(
        {**IDENTITY, "step": pa.int64(), **dict.fromkeys(sorted(metrics), pa.float64())}
    )


def is_history(schema: pa.Schema, config: AnyConfig) -> bool:
    """Whether these are the columns of some history of the configuration."""
    metrics = schema.names[len(IDENTITY) + 1 :]
    known = bool(metrics) and set(metrics) <= set(family_of(config).metrics(config))
    return known and schema.equals(history_schema(metrics))


def record_key(record: Record) -> str:
    """Eight digits that identify the recorded metrics and steps."""
    text = json.dumps([sorted(record.metrics), record.steps])
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _identity(result: TrainingResult, repeats: int = 1) -> list[pa.Array]:
    size = len(result) * repeats
    return [
        pa.repeat(pa.scalar(result.config.digest), size),
        pa.array(np.repeat(result.seeds, repeats)),
        pa.array(np.full(size, result.numerics_version, dtype=np.int32)),
    ]


def weights_table(result: TrainingResult) -> pa.Table:
    """The weights of a result; each matrix is stored in full or by non-zeros, whichever is smaller.

    Zeros are recognised by their bits: -0.0 is stored like any other number.
    """
    config = result.config
    assert result.weights is not None
    given = family_of(config).pack(config, result.weights)
    columns = _identity(result)
    for part, shape in _shapes(config).items():
        flat = np.ascontiguousarray(given[part]).reshape(len(result), -1)
        if len(shape) == 1:
            columns.append(_lists(list(flat), config.dtype))
            continue
        places: list[NDArray[np.int64] | None] = []
        values: list[NDArray[Any]] = []
        for one in flat:
            at = np.flatnonzero(one.view(_BITS[config.dtype]))
            sparse = len(at) * (8 + one.itemsize) < one.nbytes
            places.append(at if sparse else None)
            values.append(one[at] if sparse else one)
        columns += [_lists(places, np.int64), _lists(values, config.dtype)]
    return pa.Table.from_arrays(columns, schema=weights_schema(config))


def _lists(parts: Sequence[NDArray[Any] | None], dtype: Any) -> pa.LargeListArray:
    lengths = [0 if part is None else len(part) for part in parts]
    filled = [part for part in parts if part is not None]
    values = np.concatenate([np.empty(0, dtype=dtype), *filled])
    return pa.LargeListArray.from_arrays(
        pa.array(np.cumsum([0, *lengths]), pa.int64()),
        pa.array(values),
        mask=pa.array([part is None for part in parts], pa.bool_()),
    )


def history_table(result: TrainingResult) -> pa.Table:
    """The history of a result."""
    steps = result.history["step"]
    metrics = sorted(set(result.history) - {"step"})
    columns = _identity(result, len(steps))
    columns.append(pa.array(np.tile(steps, len(result))))
    columns += [pa.array(result.history[name].flatten()) for name in metrics]
    return pa.Table.from_arrays(columns, schema=history_schema(metrics))


def probe_schema(declaration: Declaration) -> pa.Schema:
    """Columns of the values of a probe."""
    columns: dict[str, pa.DataType] = dict(IDENTITY)
    columns |= {name: pa.type_for_alias(c.dtype) for name, c in declaration.columns.items()}
    for name, column in declaration.arrays.items():
        columns[name] = pa.large_list(pa.type_for_alias(column.dtype))
        columns[name + SHAPE] = pa.large_list(pa.int64())
    return pa.schema(columns)


def probe_table(
    result: TrainingResult, declaration: Declaration, values: Mapping[str, Any]
) -> pa.Table:
    """The values of a probe for a result, from `probes.evaluate`."""
    columns = _identity(result) + [pa.array(values[name]) for name in declaration.columns]
    for name, column in declaration.arrays.items():
        arrays = values[name]
        columns.append(_lists([array.reshape(-1) for array in arrays], column.dtype))
        shapes = [np.array(array.shape, dtype=np.int64) for array in arrays]
        columns.append(_lists(shapes, np.int64))
    return pa.Table.from_arrays(columns, schema=probe_schema(declaration))


def check_probe(table: pa.Table, declaration: Declaration) -> None:
    """Raise ValueError if the length of a list of values does not match its shape."""
    for name in declaration.arrays:
        shapes = table[name + SHAPE].to_pylist()
        lengths = np.asarray(table[name].combine_chunks().value_lengths())
        if any(size < 0 for shape in shapes for size in shape) or not np.array_equal(
            lengths, [math.prod(shape) for shape in shapes]
        ):
            raise ValueError(f"{name} must list as many values as its shape holds")


def arrays_of(
    tables: Iterable[pa.Table], name: str, dtype: str, seeds: NDArray[np.uint64]
) -> list[NDArray[Any]]:
    """An array computed by a probe, for these seeds in their order.

    Raises
    ------
    KeyError
        If it was not stored for a seed.
    """
    at = {seed: i for i, seed in enumerate(seeds.tolist())}
    arrays: list[NDArray[Any] | None] = [None] * len(at)
    for table in tables:
        values, shapes = table[name].combine_chunks(), table[name + SHAPE].combine_chunks()
        for row, seed in enumerate(table["seed"].to_pylist()):
            if seed in at:
                array = np.asarray(values[row].values).astype(dtype, copy=False)
                arrays[at[seed]] = array.reshape(shapes[row].as_py())
    for seed, place in at.items():
        if arrays[place] is None:
            raise KeyError(f"{name} of seed {seed} was not stored")
    return [array for array in arrays if array is not None]


def check_weights(table: pa.Table, config: AnyConfig) -> None:
    """Raise ValueError if a list of weights cannot be one of the configuration's models."""
    for part, shape in _shapes(config).items():
        size = int(np.prod(shape))
        values = table[part].combine_chunks()
        lengths = np.asarray(values.value_lengths().fill_null(-1))
        if len(shape) == 2:
            places = table[f"{part}_places"].combine_chunks()
            sparse = np.asarray(places.is_valid())
            flat = np.asarray(places.flatten())
            listed = np.asarray(places.value_lengths().fill_null(size))
            if len(flat) and (flat.min() < 0 or flat.max() >= size):
                raise ValueError(f"{part}_places must be in [0, {size})")
            starts = np.cumsum(listed[sparse])[:-1]  # of all lists but the first
            ascending = np.diff(flat) > 0
            ascending[starts[(starts > 0) & (starts < len(flat))] - 1] = True
            if not ascending.all():
                raise ValueError(f"{part}_places must ascend")
        else:
            listed = np.full(len(table), size)
        if not np.array_equal(lengths, listed):
            raise ValueError(f"{part} must list as many values as there are places")


def with_plain_nans(values: NDArray[Any]) -> NDArray[Any]:
    """The values with the same bits in every nan, which otherwise depend on the processor."""
    if values.dtype.kind != "f" or not (at := np.isnan(values)).any():
        return values
    values = values.copy()
    values[at] = np.nan
    return values


def _same(one: NDArray[Any], other: NDArray[Any]) -> bool:
    return with_plain_nans(one).tobytes() == with_plain_nans(other).tobytes()


def weights_of(tables: Iterable[pa.Table], config: AnyConfig, seeds: NDArray[np.uint64]) -> Any:
    """Weights of these seeds, in their order, in the form that `train` returns.

    Raises
    ------
    KeyError
        If the weights of a seed were not stored.
    ConflictError
        If there are two different weights for a seed.
    """
    at = {seed: i for i, seed in enumerate(seeds.tolist())}
    missing = set(at)
    shapes = _shapes(config)
    arrays = {part: np.zeros((len(at), *shape), config.dtype) for part, shape in shapes.items()}
    for table in tables:
        columns = {name: table[name].combine_chunks() for name in table.column_names}
        for row, seed in enumerate(columns["seed"].to_pylist()):
            if seed not in at:
                continue
            for part in shapes:
                target = arrays[part][at[seed]].reshape(-1)
                found = _dense(columns[part][row], columns.get(f"{part}_places"), row, len(target))
                if seed not in missing and not _same(found, target):
                    raise ConflictError(
                        f"config {config.digest}, seed {seed}: two files hold different weights; "
                        "they cannot come from the same settings and numerics"
                    )
                target[:] = found
            missing.discard(seed)
    if missing:
        raise KeyError(f"the weights of seed {min(missing)} were not stored")
    return family_of(config).unpack(config, arrays)


def history_of(tables: Iterable[pa.Table], digest: str, seeds: NDArray[np.uint64]) -> pd.DataFrame:
    """Histories of these seeds: one row per seed and step, one column per metric.

    Raises
    ------
    ConflictError
        If there are two different values of a metric for one seed and step.
    """
    keys = ["seed", "step"]
    result = pd.DataFrame({"seed": np.empty(0, np.uint64), "step": np.empty(0, np.int64)})
    by_metrics: dict[tuple[str, ...], list[pa.Table]] = {}
    for table in tables:
        rows = table.drop_columns(["digest", "numerics_version"])
        by_metrics.setdefault(tuple(rows.column_names[2:]), []).append(rows)
    for metrics, parts in by_metrics.items():
        rows = pa.concat_tables(parts).to_pandas().drop_duplicates()
        if rows.duplicated(keys).any():
            raise ConflictError(f"config {digest}: a seed has two different histories")
        shared = [name for name in metrics if name in result]
        result = result.merge(rows, how="outer", on=keys, suffixes=("", " again"))
        for name in shared:
            first, second = result[name], result.pop(f"{name} again")
            if ((first != second) & first.notna() & second.notna()).any():
                raise ConflictError(
                    f"config {digest}: a seed has two different histories of {name}"
                )
            result[name] = first.fillna(second)
    result = result[np.isin(result["seed"].to_numpy(), seeds)]
    return result.sort_values(keys, ignore_index=True)


def _dense(
    values: pa.LargeListScalar, places: pa.LargeListArray | None, row: int, size: int
) -> NDArray[Any]:
    """All entries of one part of one seed's model."""
    numbers = np.asarray(values.values)
    if places is None or not places[row].is_valid:
        return numbers
    dense = np.zeros(size, dtype=numbers.dtype)
    dense[np.asarray(places[row].values)] = numbers
    return dense
