"""Merging the small files of finished blocks into a few large ones.

A new file is complete before the files that it replaces are deleted. Whatever happens in between,
all rows are there, some of them twice. Readers that find a file gone look for the one that now
holds its seeds.
"""

from __future__ import annotations

import bisect
import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from fastpolysem import _checks
from fastpolysem.probes import Declaration
from fastpolysem.studies.artifacts import KINDS
from fastpolysem.studies.files import block_name, key_of, named_range, same_content, write_table
from fastpolysem.studies.schema import ConflictError, frame, union
from fastpolysem.studies.store import Store, declaration_in, read

MOST_BYTES = 2**26
"""Total size of the files to merge into one, and about the size of the new file."""

_AT_A_TIME = 256  # tables
_UNPACKED = 30  # approximate ratio of a table's size in memory to that of its files


def join_folder(store: Store) -> tuple[int, int]:
    """Merge the files of every configuration; returns the numbers of files before and after."""
    digests = store.digests()
    if not digests:
        raise store.missing()
    before = after = 0
    for digest in digests:
        config, _ = store.config(digest)
        for kind in ("seeds", *KINDS):
            by_key: dict[str, list[Path]] = {}
            for file in store.files(digest, kind):
                by_key.setdefault(key_of(file), []).append(file)
            for key, files in by_key.items():
                for group in _groups(files):
                    _join(group, config, kind, key)
                before += len(files)
        after += sum(len(store.files(digest, kind)) for kind in ("seeds", *KINDS))
    return before, after


def _groups(files: list[Path]) -> Iterator[list[Path]]:
    """Files to merge, by ascending seeds, without those that are already large or whose names do
    not contain their seeds."""
    group: list[Path] = []
    total = 0
    for file in files:
        with contextlib.suppress(FileNotFoundError):
            size = file.stat().st_size
            if named_range(file) is None or size > MOST_BYTES // 2:
                continue
            if total + size > MOST_BYTES and group:
                yield group
                group, total = [], 0
            group.append(file)
            total += size
    if group:
        yield group


def _join(files: list[Path], config: Any, kind: str, key: str) -> None:
    """Write one file with the content of these files, and delete them."""
    if len(files) < 2:
        return
    with contextlib.suppress(FileNotFoundError):  # another process is merging them
        size = sum(file.stat().st_size for file in files)
        _checks.memory("join", {f"{len(files)} files": _UNPACKED * size}, "free some")
        declaration = declaration_in(files[0]) if kind == "probe" else None
        alike: dict[tuple[str, ...], tuple[list[Path], list[pa.Table]]] = {}  # by columns
        for file in files:
            if (table := read(file, config)) is not None:
                held, tables = alike.setdefault(tuple(table.column_names), ([], []))
                held.append(file)
                tables.append(table)
                if len(tables) >= _AT_A_TIME:  # many small tables take more memory than their rows
                    tables[:] = [pa.concat_tables(tables).combine_chunks()]
        for held, tables in alike.values():
            if len(held) > 1:
                _replace(held, pa.concat_tables(tables), config, kind, key, declaration)


def _replace(
    files: list[Path],
    table: pa.Table,
    config: Any,
    kind: str,
    key: str,
    declaration: Declaration | None,
) -> None:
    """Write one file with the content of several, and delete them.

    The file may exist already, as one of these or from another process. It then has the same seeds,
    but other facts where seeds were trained twice.
    """
    joined = _distinct(table, kind, config)
    target = files[0].with_name(block_name(kind, joined, key))
    write_table(target, joined, declaration)
    whole = read(target, config)  # no matter who wrote it
    assert whole is not None  # only files with other names may be foreign
    if not same_content(whole, joined):
        both = pa.concat_tables([whole, joined], promote_options="default")
        if len(_distinct(both, kind, config)) != len(whole):
            shown = _checks.shown_path(target)
            raise ConflictError(f"{shown} contains other rows than those to merge")
        if not set(joined.column_names) <= set(whole.column_names):
            return  # an early version wrote it, without columns that these files have
    for file in files:
        if file != target:
            file.unlink(missing_ok=True)


def _distinct(table: pa.Table, kind: str, config: Any) -> pa.Table:
    """The rows by ascending seed, without duplicates.

    Raises
    ------
    ConflictError
        If duplicates differ, for rows of results in anything but facts about the run.
    """
    keys = ["seed", "step"] if kind == "history" else ["seed"]
    table = table.sort_by([(name, "ascending") for name in keys]).combine_chunks()
    places = table.select(keys).to_pandas()
    again = places.duplicated().to_numpy()
    if not again.any():
        return table
    if kind == "seeds":
        union([frame([table], config)], config)  # raises if they differ
    else:
        second = again.nonzero()[0]
        one, other = table.take(pa.array(second - 1)), table.take(pa.array(second))
        if not same_content(one, other):
            ends = range(1, len(one) + 1)  # of parts that begin alike
            at = bisect.bisect_left(
                ends, True, key=lambda n: not same_content(one.slice(0, n), other.slice(0, n))
            )
            raise ConflictError(
                f"config {config.digest}, seed {one['seed'][at]}: two files hold "
                f"different {kind}; they cannot come from the same settings and numerics"
            )
    return table.filter(pa.array(~again))
