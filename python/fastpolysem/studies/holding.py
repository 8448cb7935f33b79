"""What a study has of one configuration: rows and what is kept besides, in memory or in files.

The collector fills holdings, opening a folder makes them, and a `Study` shows them as tables.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from fastpolysem.families import AnyConfig
from fastpolysem.probes import Declaration
from fastpolysem.studies.artifacts import probe_schema
from fastpolysem.studies.files import named_range
from fastpolysem.studies.schema import ConflictError, frame, union
from fastpolysem.studies.seedsets import SeedSet
from fastpolysem.studies.store import read_each

Part: TypeAlias = "pa.Table | Path"
"""A table that is here, or the file of one that is read when it is asked for."""

Kind = tuple[str, str]
"""A kind of file besides rows, "weights", "history" or "probe", and the key in its name."""

_AT_A_TIME = 256  # tables that are put together to one: many small ones take more room than rows


class Holding:
    """What a study has of one configuration.

    Attributes
    ----------
    config, metadata
        Which one.
    target_met : bool or None
        Whether its target was reached, of one that was collected with a target.
    declarations : dict
        Of the probes whose values are there, by their keys.
    """

    def __init__(self, config: AnyConfig, metadata: Mapping[str, Any] | None = None) -> None:
        self.config = config
        self.metadata = dict(metadata or {})
        self.target_met: bool | None = None
        self.declarations: dict[str, Declaration] = {}
        self._rows: list[pd.DataFrame | Path] = []
        self._besides: dict[Kind, list[Part]] = {}
        self._wanted: SeedSet | None = None
        self._read: pd.DataFrame | None = None
        self._values: dict[str, pd.DataFrame] = {}  # of probes, by key

    def add_rows(self, rows: pd.DataFrame | Path) -> None:
        """Take in rows, or a file of them."""
        self._rows.append(rows)
        self._read = None

    def add_tables(
        self, kind: str, key: str, parts: Iterable[Part], declaration: Declaration | None = None
    ) -> None:
        """Take in tables of a kind, or files of them; of a probe with its declaration."""
        self._besides.setdefault((kind, key), []).extend(parts)
        if declaration is not None:
            self.declarations[key] = declaration
        self._values.pop(key, None)

    def only(self, seeds: SeedSet) -> None:
        """Of rows in files, which may hold others as well, only these seeds count."""
        self._wanted = seeds
        self._read = None

    def replaced(self, rows: pd.DataFrame, besides: Holding | None = None) -> Holding:
        """The same configuration with these rows, and what another holding has besides."""
        holding = Holding(self.config, self.metadata)
        holding._rows = [rows]
        for other in filter(None, (self, besides)):
            for (kind, key), parts in other._besides.items():
                holding.add_tables(kind, key, parts, other.declarations.get(key))
        return holding

    def forget(self, path: Path) -> None:
        """Leave out a file, or all files of a folder."""
        for parts in self._besides.values():
            parts[:] = [
                part
                for part in parts
                if isinstance(part, pa.Table) or path not in (part, part.parent)
            ]

    def paths(self) -> list[Path]:
        """The files of what there is besides rows."""
        return [p for parts in self._besides.values() for p in parts if isinstance(p, Path)]

    def rows(self) -> pd.DataFrame:
        """The rows by ascending seed; parts are read and united when they are first asked for."""
        if self._read is None:
            here = [part for part in self._rows if isinstance(part, pd.DataFrame)]
            files = [part for part in self._rows if isinstance(part, Path)]
            if files or not here:
                here.append(frame(consolidated(_tables(files, self.config)), self.config))
            rows = union(here, self.config)
            if self._wanted is not None:
                inside = self._wanted.contains(rows["seed"].to_numpy())
                rows = rows[inside].reset_index(drop=True)
            if not files:
                self._rows[:] = [rows]  # once in memory is enough
            self._read = rows
        return self._read

    def tables(
        self, kind: str, key: str | None = None, seeds: NDArray[np.uint64] | None = None
    ) -> Iterator[pa.Table]:
        """Tables of a kind, of files only those that may hold one of the seeds.

        DamagedStudyError if a file cannot be used.
        """
        for (other, its_key), parts in self._besides.items():
            if other == kind and key in (None, its_key):
                yield from _tables(parts, self.config, seeds)

    def probe_values(self, key: str) -> pd.DataFrame:
        """The columns of a probe, by ``seed`` as index: each seed that there is a value of.

        Raises
        ------
        ConflictError
            If a seed is there twice with different values.
        """
        if key not in self._values:
            names = list(self.declarations[key].columns)
            none = probe_schema(self.declarations[key]).empty_table()
            some = (
                table.select(["seed", *names])
                for table in itertools.chain([none], self.tables("probe", key))
            )
            values = pa.concat_tables(consolidated(some)).to_pandas()
            values = values.drop_duplicates().sort_values("seed", ignore_index=True)
            again = values.duplicated("seed")
            if again.any():
                seed = values.loc[again, "seed"].iloc[0]
                raise ConflictError(
                    f"config {self.config.digest}, seed {seed}: the probe {key} has two different "
                    "results; they cannot come from the same settings and numerics"
                )
            self._values[key] = values.set_index("seed")
        return self._values[key]


def consolidated(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """The same rows in fewer tables, each in one piece."""
    some: list[pa.Table] = []
    for table in tables:
        some.append(table)
        if len(some) == _AT_A_TIME:
            yield pa.concat_tables(some, promote_options="default").combine_chunks()
            some = []
    if some:
        yield pa.concat_tables(some, promote_options="default").combine_chunks()


def _tables(
    parts: Iterable[Part], config: AnyConfig, seeds: NDArray[np.uint64] | None = None
) -> Iterator[pa.Table]:
    """Tables, and those of files that may hold one of the seeds."""
    files: list[Path] = []
    for part in parts:
        if isinstance(part, pa.Table):
            yield part
        elif _may_hold(part, seeds):
            files.append(part)
    yield from (table for _, table in read_each(files, config))


def _may_hold(file: Path, seeds: NDArray[np.uint64] | None) -> bool:
    """By its name: whether a file may hold one of the seeds."""
    held = named_range(file)
    return seeds is None or held is None or bool(SeedSet([held]).contains(seeds).any())
