"""What a folder already contains for a configuration, among the seeds that may be needed."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fastpolysem.families import AnyConfig
from fastpolysem.studies.blocks import Kept
from fastpolysem.studies.holding import Holding, consolidated
from fastpolysem.studies.schema import IDENTITY, frame, union
from fastpolysem.studies.seedsets import Range, SeedSet
from fastpolysem.studies.store import Damage, DamagedStudyError, Store, read_each


@dataclass(eq=False)
class Stored:
    """The stored rows of a configuration, one entry per row."""

    seeds: NDArray[np.uint64] = field(default_factory=lambda: np.empty(0, np.uint64))
    values: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))  # of the metric
    diverged: NDArray[np.bool_] = field(default_factory=lambda: np.empty(0, np.bool_))
    # Seeds that also have everything else to be stored:
    complete: SeedSet = field(default_factory=SeedSet)
    files: list[tuple[Range, Path]] = field(default_factory=list)  # files of rows, with their seeds

    def lacking(self, wanted: SeedSet) -> SeedSet:
        """Seeds that have rows but lack something else; they are trained again."""
        return (SeedSet.of(self.seeds) & wanted) - self.complete

    def rows_of(self, config: AnyConfig, seeds: SeedSet) -> pd.DataFrame:
        """The stored rows of some seeds."""
        first, stop = seeds.ranges[0][0], seeds.ranges[-1][1]
        files = (file for held, file in self.files if held[0] < stop and first < held[1])
        rows = frame((table for _, table in read_each(files, config)), config)
        return rows[seeds.contains(rows["seed"].to_numpy())]


def read_stored(
    store: Store, holding: Holding, may_be_wanted: SeedSet, metric: str, kept: Kept
) -> Stored:
    """Read what the folder contains for the seeds that may be needed; add its files to the holding.

    Raises
    ------
    DamagedStudyError
        If there are unusable files; the message names all of them.
    ConflictError
        If stored rows contradict each other.
    """
    config = holding.config
    complete = may_be_wanted
    values = None
    for kind, key in kept.kinds.items():
        held, probed = _seeds_with(store, holding, kind, key, kept, metric)
        complete = complete & held
        values = probed if probed is not None else values
    files: list[tuple[Range, Path]] = []
    parts: list[tuple[NDArray[Any], ...]] = [_NOTHING]
    sets: list[SeedSet] = []
    count = 0
    damages: list[Damage] = []
    for file, table in read_each(store.files(config.digest), config, damages=damages):
        seeds = table["seed"].to_numpy()
        sets.append(SeedSet.of(seeds))
        count += len(seeds)
        files.append(((sets[-1].ranges[0][0], sets[-1].ranges[-1][1]), file))
        inside = may_be_wanted.contains(seeds)
        if inside.any():
            of_metric = np.full(len(seeds), np.nan)  # unknown in a file without a later column
            if values is None and metric in table.column_names:
                of_metric = table[metric].to_numpy()
            parts.append((seeds[inside], of_metric[inside], table["diverged"].to_numpy()[inside]))
            holding.add_rows(file)
        if len(sets) == _AT_A_TIME:
            sets = [SeedSet.union(sets)]
    if damages:
        raise DamagedStudyError(damages)
    if SeedSet.union(sets).count < count:
        _check_agreement(files, config)
    seeds, of_metric, diverged = map(np.concatenate, zip(*parts, strict=True))
    seeds, at = np.unique(seeds, return_index=True)
    found = of_metric[at] if values is None else values.reindex(seeds).to_numpy()
    return Stored(seeds, found.astype(np.float64), diverged[at].astype(bool), complete, files)


_NOTHING = np.empty(0, np.uint64), np.empty(0), np.empty(0, bool)
_AT_A_TIME = 256  # sets of seeds merged at a time: many small ones take more memory


def _seeds_with(
    store: Store, holding: Holding, kind: str, key: str, kept: Kept, metric: str
) -> tuple[SeedSet, pd.Series[Any] | None]:
    """The seeds that have files of a kind and, for a probe's files, the values of the metric by
    seed."""
    declaration = kept.declaration if kind == "probe" else None
    values = declaration is not None and metric in declaration.columns
    files, parts = [], []
    damages: list[Damage] = []
    columns = None if values else list(IDENTITY)
    sets: list[SeedSet] = []
    listed = store.files(holding.config.digest, kind, key)
    for file, table in read_each(listed, holding.config, columns, damages):
        files.append(file)
        sets.append(SeedSet.of(table["seed"].to_numpy()))
        if values:
            parts.append(pd.Series(table[metric].to_numpy(), table["seed"].to_numpy()))
        if len(sets) == _AT_A_TIME:
            sets = [SeedSet.union(sets)]
    if damages:
        raise DamagedStudyError(damages)
    held = SeedSet.union(sets)
    holding.add_tables(kind, key, files, declaration)
    if not values:
        return held, None
    if not parts:
        return held, pd.Series(dtype=np.float64)
    joined = pd.concat(parts)
    return held, joined[~joined.index.duplicated()]


def _check_agreement(files: list[tuple[Range, Path]], config: AnyConfig) -> None:
    """Read files again whose seeds may overlap with those of others: rows must agree.

    Raises
    ------
    ConflictError
        If they do not.
    """
    shared: set[Path] = set()
    reach, furthest = -1, Path()
    for (first, stop), file in sorted(files, key=lambda pair: pair[0]):
        if first < reach:
            shared |= {furthest, file}
        if stop > reach:
            reach, furthest = stop, file
    tables = (table for _, table in read_each(sorted(shared), config))
    union([frame(consolidated(tables), config)], config)
