"""The content of a study for one configuration: rows and everything stored besides.

`collect` fills holdings, opening a folder creates them, and a `Study` presents them as tables.
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
"""A table in memory, or the file of a table that is read on demand."""

Kind = tuple[str, str]
"""A kind of file besides rows, "weights", "history" or "probe", and the key in its name."""

_AT_A_TIME = 256  # tables merged at a time: many small ones take more memory than rows


class Holding:
    """The content of a study for one configuration.

    Attributes
    ----------
    config, metadata
        The configuration and its metadata.
    target_met : bool or None
        Whether the target was reached, if collected with a target.
    declarations : dict
        Declarations of the probes with values, by key.
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
        """Add rows, or a file of rows."""
        self._rows.append(rows)
        self._read = None

    def add_tables(
        self, kind: str, key: str, parts: Iterable[Part], declaration: Declaration | None = None
    ) -> None:
        """Add tables of a kind, or files of them; for a probe, with its declaration."""
        self._besides.setdefault((kind, key), []).extend(parts)
        if declaration is not None:
            self.declarations[key] = declaration
        self._values.pop(key, None)

    def only(self, seeds: SeedSet) -> None:
        """Restrict rows in files, which may contain others as well, to these seeds."""
        self._wanted = seeds
        self._read = None

    def replaced(self, rows: pd.DataFrame, besides: Holding | None = None) -> Holding:
        """The same configuration with these rows, and everything else from another holding."""
        holding = Holding(self.config, self.metadata)
        holding._rows = [rows]
        for other in filter(None, (self, besides)):
            for (kind, key), parts in other._besides.items():
                holding.add_tables(kind, key, parts, other.declarations.get(key))
        return holding

    def forget(self, path: Path) -> None:
        """Remove a file, or all files of a folder, from the holding."""
        for parts in self._besides.values():
            parts[:] = [
                part
                for part in parts
                if isinstance(part, pa.Table) or path not in (part, part.parent)
            ]

    def paths(self) -> list[Path]:
        """The files with anything besides rows."""
        return [p for parts in self._besides.values() for p in parts if isinstance(p, Path)]

    def rows(self) -> pd.DataFrame:
        """The rows by ascending seed; files are read and merged on first use."""
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
                self._rows[:] = [rows]  # keep one copy in memory only
            self._read = rows
        return self._read

    def tables(
        self, kind: str, key: str | None = None, seeds: NDArray[np.uint64] | None = None
    ) -> Iterator[pa.Table]:
        """Tables of a kind; files are skipped if they cannot contain any of the seeds.

        Raises DamagedStudyError if a file is unusable.
        """
        for (other, its_key), parts in self._besides.items():
            if other == kind and key in (None, its_key):
                yield from _tables(parts, self.config, seeds)

    def probe_values(self, key: str) -> pd.DataFrame:
        """The columns of a probe for all seeds with values, indexed by ``seed``.

        Raises
        ------
        ConflictError
            If there are two different values for a seed.
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
    """The same rows in fewer, contiguous tables."""
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
    """Tables, including those of files that may contain any of the seeds."""
    files: list[Path] = []
    for part in parts:
        if isinstance(part, pa.Table):
            yield part
        elif _may_hold(part, seeds):
            files.append(part)
    yield from (table for _, table in read_each(files, config))


def _may_hold(file: Path, seeds: NDArray[np.uint64] | None) -> bool:
    """Whether a file may contain any of the seeds, judged by its name."""
    held = named_range(file)
    if held is not None and held[1] > 2**64:  # no range of seeds
        return True
    return seeds is None or held is None or bool(SeedSet([held]).contains(seeds).any())
