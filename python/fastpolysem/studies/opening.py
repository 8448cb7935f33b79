"""Reading a study's folder, and finding what is wrong with it."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from fastpolysem import _checks, families
from fastpolysem.studies.artifacts import KINDS
from fastpolysem.studies.files import key_of
from fastpolysem.studies.holding import Holding, consolidated
from fastpolysem.studies.schema import ConflictError, frame, union
from fastpolysem.studies.store import (
    Damage,
    DamagedStudyError,
    Store,
    declaration_in,
    read,
    successors,
    unreadable,
)


class _Noted(contextlib.AbstractContextManager["_Noted"]):
    """Skips files that another process has moved away since they were listed. Given a list, adds
    files to it that cannot be read at the moment or contain contradictions."""

    def __init__(self, unread: list[Damage] | None, path: Path) -> None:
        self.unread, self.path = unread, path
        self.gone = False

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        if isinstance(error, FileNotFoundError):
            self.gone = not os.path.lexists(self.path)
        if self.gone:
            return True
        if self.unread is None:
            return False
        if isinstance(error, ConflictError):
            self.unread.append(Damage(self.path, str(error)))
        elif isinstance(error, (OSError, MemoryError)):
            self.unread.append(unreadable(self.path, error))
        else:
            return False
        return True


def read_folder(
    store: Store, unread: list[Damage] | None = None
) -> tuple[list[Holding], list[Damage]]:
    """All usable content in the order of the tables, and the unusable files. With ``unread``, files
    that cannot be read at the moment and contradicting rows are added to it instead of raised."""
    holdings: list[tuple[tuple[Any, ...], Holding]] = []
    damages: list[Damage] = []
    for digest in store.digests():
        with _Noted(unread, store.path / digest):
            try:
                config, metadata = store.config(digest)
            except DamagedStudyError as error:
                damages += error.damages
                continue
            tables = consolidated(_row_tables(store, config, unread, damages))
            holding = Holding(config, metadata)
            holding.add_rows(union([frame(tables, config)], config))
            family = families.family_of(config)
            settings = family.settings(config)
            ordered = dict.fromkeys((*family.sizes, *settings))
            values = tuple(_natural(settings[name]) for name in ordered)
            holdings.append(((family.kind, values, digest), holding))
            _list_besides(store, holding, unread, damages)
    return [holding for _, holding in sorted(holdings, key=lambda pair: pair[0])], damages


def _natural(value: object) -> tuple[tuple[int, float, str], ...]:
    """A key that sorts numbers by size, also within texts: 8-8-8 before 8-16-8."""
    if isinstance(value, (int, float)):
        return ((0, float(value), ""),)
    parts = enumerate(re.split(r"(\d+(?:\.\d*)?(?:e[+-]?\d+)?)", str(value)))
    return tuple((0, float(part), "") if i % 2 else (1, 0.0, part) for i, part in parts)


def _row_tables(
    store: Store, config: Any, unread: list[Damage] | None, damages: list[Damage]
) -> Iterator[pa.Table]:
    """The tables of rows of a configuration, each once; unusable files are added to ``damages``."""
    waiting = store.files(config.digest)
    seen: set[Path] = set()
    for file in waiting:  # may grow
        if file in seen:
            continue
        seen.add(file)
        table = None
        with _Noted(unread, file) as noted:
            try:
                table = read(file, config)
            except DamagedStudyError as error:
                damages += error.damages
        if noted.gone:
            with contextlib.suppress(FileNotFoundError):  # moved away rather than joined
                waiting += successors(file)
        if table is not None:
            yield table


def _list_besides(
    store: Store, holding: Holding, unread: list[Damage] | None, damages: list[Damage]
) -> None:
    """Add the files with anything besides rows to a holding."""
    digest = holding.config.digest
    with _Noted(unread, store.path / digest):
        for kind in KINDS:
            by_key: dict[str, list[Path]] = {}
            for file in store.files(digest, kind):
                by_key.setdefault(key_of(file), []).append(file)
            for key, files in by_key.items():
                if kind == "probe":
                    _list_probe(holding, key, files, unread, damages)
                else:
                    holding.add_tables(kind, key, files)


def _list_probe(
    holding: Holding,
    key: str,
    files: list[Path],
    unread: list[Damage] | None,
    damages: list[Damage],
) -> None:
    """Add files of a probe to a holding; any readable one declares what it computes."""
    declaration = None
    for at, file in enumerate(files):
        with _Noted(unread, file):
            try:
                declaration = declaration_in(file)
            except DamagedStudyError as error:
                damages += error.damages
            else:
                holding.add_tables("probe", key, files[at:], declaration)
                return


def check_folder(store: Store) -> list[Damage]:
    """Every damaged, foreign, incomplete or unreadable file, with the reason.

    Raises
    ------
    FileNotFoundError
        If there is no study, nor anything that looks like part of one.
    """
    damages: list[Damage] = []
    holdings: list[Holding] = []
    with _Noted(damages, store.path):
        holdings, damaged = read_folder(store, damages)
        damages += store.strays() + damaged
        damages += damaged_besides(holdings, damages)
        for digest in store.digests():
            with _Noted(damages, store.path / digest):
                damages += store.remains(digest)
    if not damages and not holdings:
        raise store.missing()
    return list(dict.fromkeys(damages))


def damaged_besides(holdings: list[Holding], unread: list[Damage] | None = None) -> list[Damage]:
    """Unusable files among those with anything besides rows; reads all of them."""
    damages: list[Damage] = []
    for holding in holdings:
        for file in holding.paths():
            with _Noted(unread, file) as noted:
                try:
                    read(file, holding.config)
                except DamagedStudyError as error:
                    damages += error.damages
            if noted.gone:
                holding.forget(file)
    return damages


def set_aside(store: Store, holdings: list[Holding], damages: list[Damage]) -> None:
    """Move damaged files to another folder, with a warning that names both."""
    for damage in dict.fromkeys(damages):  # several configurations may need one file
        target = store.set_aside(damage)
        moved = f"moved to {_checks.shown_path(target)}" if target else "moved by another process"
        _checks.warn(f"{damage}; {moved}")
        for holding in holdings:
            holding.forget(damage.path)
