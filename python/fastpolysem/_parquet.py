"""Reading Parquet files that may not be what they claim."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import IO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fastpolysem import _checks
from fastpolysem._files import ContentError

_LONGEST_TEXT = 1000  # bytes; texts are names of machines, kernels, versions and settings

# Largest size of a value in a file: itself, a copy in a dictionary, and its levels.
_WIDTHS = {"string": 2 * _LONGEST_TEXT + 12}
_WIDTH = 20
_PAGE = 2**16
_SMALL = 2**20  # bytes


def read_table(
    source: IO[bytes],
    check: Callable[[pa.Schema, pq.FileMetaData], None] | None = None,
    columns: list[str] | None = None,
    *,
    most_listed: int | None = 0,
) -> pa.Table:
    """The table in a file, or some of its columns, unpacked only after checking its size.

    Parameters
    ----------
    source
        From `fastpolysem._files.reading`, which distinguishes errors.
    check
        Called with the claimed content before anything is unpacked; raises if it is impossible.
    columns
        The columns to read; None for all.
    most_listed
        Largest length of lists in columns; None if they only have to fit into the available memory.

    Raises
    ------
    ContentError
        If columns claim a size larger than their values can have, or a list or text is too long.
    MemoryError
        If the table would not fit into the available memory.
    """
    size = source.seek(0, os.SEEK_END)
    source.seek(0)
    small = size <= _SMALL
    # For a small file, many reads and threads for columns take longer than the reading itself.
    opened = pa.BufferReader(source.read()) if small else source
    described = pq.read_metadata(opened)
    schema = described.schema.to_arrow_schema()
    if check is not None:
        check(schema, described)
    wanted = [schema.field(name) for name in columns or schema.names]
    lists = [field.name for field in wanted if pa.types.is_large_list(field.type)]
    needed = 0
    for group in map(described.row_group, range(described.num_row_groups)):
        if columns is None:
            needed += group.total_byte_size
            if not lists and group.total_byte_size > _most_bytes(schema, group.num_rows):
                raise ContentError(
                    f"{group.num_rows} rows cannot take {group.total_byte_size} bytes"
                )
        needed += 8 * group.num_rows * len(wanted)
    _checks.memory("reading it", {"its columns": needed}, "free some")
    # One text in a file can represent as many copies as there are rows.
    texts = [field.name for field in schema if pa.types.is_string(field.type)]
    with pq.ParquetFile(opened, metadata=described, read_dictionary=texts) as parquet:
        if lists:
            _check_lists(parquet, lists, most_listed)
        table = parquet.read(columns=columns, use_threads=not small)
    for name in texts:
        at = table.schema.get_field_index(name)
        if at >= 0:
            table = table.set_column(at, schema.field(name), _short(name, table.column(at)))
    return table


def _most_bytes(schema: pa.Schema, rows: int) -> int:
    return sum(_PAGE + rows * _WIDTHS.get(str(field.type), _WIDTH) for field in schema)


def _check_lists(parquet: pq.ParquetFile, lists: list[str], most: int | None) -> None:
    """Refuse lists that are too long: a few bytes can represent any number of equal values."""
    # The metadata of a column are safe to use only after it has been read completely: a C++ error
    # for a damaged column would end the process.
    parquet.scan_contents([f"{name}.list.element" for name in lists])
    values = 0
    for group in map(parquet.metadata.row_group, range(parquet.metadata.num_row_groups)):
        for chunk in map(group.column, range(group.num_columns)):
            values += chunk.num_values
            if most is not None and chunk.num_values > group.num_rows * max(most, 1):
                raise ContentError(
                    f"{group.num_rows} rows cannot hold {chunk.num_values} values of "
                    f"{chunk.path_in_schema}"
                )
    _checks.memory("reading it", {"its lists": 8 * values}, "free some")


def _short(name: str, column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The texts in full, after checking that each is short."""
    for chunk in column.chunks:
        if (pc.max(pc.binary_length(chunk.dictionary)).as_py() or 0) > _LONGEST_TEXT:
            raise ContentError(f"a text in {name} has more than {_LONGEST_TEXT} bytes")
    return column.cast(pa.string())
