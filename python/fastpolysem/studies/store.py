"""The folder of a study: immutable Parquet files that appear whole or not at all.

For each configuration there is ``<digest>/config.json`` and any number of Parquet files, normally
``seeds-<first seed>-<count>.parquet`` with one row per seed, or, where seeds have gaps between
them, ``seeds-<first seed>-<span>-<hash>.parquet``; beside it ``weights-….parquet``,
``history-….parquet`` and ``probe-….parquet`` if they were asked for. What a study says is the union
of all rows of all files, so folders written by several machines may be copied into each other.
docs/studies.md describes the columns.
"""

from __future__ import annotations

import contextlib
import errno
import json
import operator
import os
import re
import stat
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from fastpolysem import _checks
from fastpolysem._files import ContentError, first_line, flush_folder, locked, reading
from fastpolysem.families import AnyConfig
from fastpolysem.probes import Declaration
from fastpolysem.studies import schema
from fastpolysem.studies.attachments import AttachmentError, Attachments
from fastpolysem.studies.files import (
    ForeignError,
    UnusableError,
    block_name,
    checksum,
    config_text,
    is_foreign,
    is_own,
    key_of,
    kind_of,
    named_range,
    noted,
    read_block,
    read_config,
    read_declaration,
    type_of,
    write,
    write_table,
)

SET_ASIDE = "set-aside"
_DIGEST = re.compile(r"[0-9a-f]{20}")
_MOST_MERGES = 10
_LEFTOVER = re.compile(r"\..+\.\d+-[0-9a-f]{8}\.tmp")
_HALF_WRITTEN = (
    "is half-written: its writer was killed, or is at work now; once nothing collects into this "
    "folder it can be deleted"
)


@dataclass(frozen=True)
class Damage:
    """A file or folder of a study that cannot be used, and why."""

    path: Path
    reason: str

    def __str__(self) -> str:
        return f"{_checks.shown_path(self.path)}: {self.reason}"


class DamagedStudyError(ValueError):
    """Files of a study are corrupt, truncated, foreign or of another numerics version.

    Attributes
    ----------
    damages : list of Damage
        Each file and why it cannot be used.
    """

    def __init__(self, damages: list[Damage]) -> None:
        self.damages = damages
        listed = "; ".join(map(str, damages[:10]))
        more = f"; and {len(damages) - 10} more" if len(damages) > 10 else ""
        super().__init__(
            f"{listed}{more}. Nothing was changed; Study.open(path, skip_damaged=True) moves such "
            f"files to {SET_ASIDE}/ in the study's folder"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.damages,)


class Store:
    """The folder of a study."""

    def __init__(self, path: str | os.PathLike[str], label: str = "path") -> None:
        # Absolute once, so that it stays the same folder when the process moves.
        self.path = _checks.file_path(label, path).absolute()
        self.attachments = Attachments(self.path)
        if type_of(self.path) not in (None, stat.S_IFDIR):
            shown = _checks.shown_path(self.path)
            raise NotADirectoryError(f"{shown} must be the folder of a study, but is a file")

    def digests(self) -> list[str]:
        """Names of the sub-folders of configurations: a digest, or what a config.json makes one.

        Those that cannot be looked into are named as well.
        """
        return [
            folder.name
            for folder in self._folders()
            if (_holds_results(folder) if _DIGEST.fullmatch(folder.name) else _claims(folder))
        ]

    def _folders(self) -> Iterator[Path]:
        if type_of(self.path) is not None:
            for folder in sorted(self.path.iterdir()):
                hidden = folder.name == SET_ASIDE or folder.name.startswith(".")
                if not hidden and _may_be_folder(folder):
                    yield folder

    def within(self) -> list[Path]:
        """Sub-folders that are studies of their own."""
        found = []
        for folder in self._folders():
            with contextlib.suppress(OSError):
                if Store(folder).digests():
                    found.append(folder)
        return found

    def missing(self) -> FileNotFoundError:
        """The error that there is no study, and where there is one."""
        shown = _checks.shown_path(self.path)
        return FileNotFoundError(
            f"there is no study in {shown}: no folder with a config.json{self._hint()}"
        )

    def _hint(self) -> str:
        found = [_checks.shown_path(folder) for folder in self.within()[:3]]
        return f"; there is one in {' and '.join(found)}" if found else ""

    def strays(self) -> list[Damage]:
        """What looks like results and lies beside the configurations' folders: it is not read."""
        configs = self.digests()
        reason = "lies outside of the folder of a configuration, and is not read"
        if not configs:
            reason += self._hint()
        found = [Damage(path, reason) for path in sorted(self.path.glob("*.parquet"))]
        for file in sorted(self.attachments.folder.glob(".*.tmp")):
            if _LEFTOVER.fullmatch(file.name):
                found.append(Damage(file, _HALF_WRITTEN))
        for folder in self._folders():
            if folder.name not in configs and not _DIGEST.fullmatch(folder.name):
                try:
                    if any(_own_files(folder)):
                        found.append(Damage(folder, reason))
                except OSError as error:
                    found.append(unreadable(folder, error))
        return found

    def remains(self, digest: str) -> list[Damage]:
        """Files in a configuration's folder that are not read: half-written or not a study's."""
        found = []
        for file in sorted((self.path / digest).iterdir()):
            if _LEFTOVER.fullmatch(file.name):
                found.append(Damage(file, _HALF_WRITTEN))
            elif not file.name.startswith(".") and (not is_own(file) or is_foreign(file)):
                found.append(Damage(file, "is no file of a study, and is not read"))
        return found

    def config(self, digest: str) -> tuple[Any, dict[str, Any]]:
        """Configuration and metadata of one sub-folder; DamagedStudyError if there is no telling.

        Without its configuration nothing in a folder can be interpreted. OSError and MemoryError
        are those of reading: there may be nothing wrong with the file.
        """
        folder = self.path / digest
        try:
            config, metadata = read_config(folder, self.attachments)
            self.attachments.check(config)
        except UnusableError as error:
            raise DamagedStudyError([Damage(folder, str(error))]) from None
        except AttachmentError as error:
            name = error.path.relative_to(self.path)
            damages = [Damage(folder, f"needs {name}, which {error.reason}")]
            if os.path.lexists(error.path):
                damages.insert(0, Damage(error.path, error.reason))
            raise DamagedStudyError(damages) from None
        return config, metadata

    def files(self, digest: str, kind: str = "seeds", key: str = "") -> list[Path]:
        """Files of a configuration with "seeds" (rows), "weights", "history" or "probe", by seeds.

        ``key`` tells histories and probes apart; see `artifacts.record_key` and
        `probes.Declaration.key`. Without one all are listed.
        """
        return folder_files(self.path / digest, kind, key)

    def write_config(self, config: AnyConfig, metadata: Mapping[str, Any]) -> None:
        """Write or complete ``config.json``; stored metadata stays unless it is given again."""
        with noted(self.attachments.folder):
            self.attachments.write(config)
        folder = self.path / config.digest
        if not folder.exists():
            folder.mkdir(parents=True, exist_ok=True)
            flush_folder(self.path)
        target = folder / "config.json"
        given = dict(metadata)

        def merged() -> dict[str, Any] | None:
            """All metadata, or None if the file has them already."""
            if not os.path.lexists(target):
                return given
            known = self.config(config.digest)[1]
            both = known | given
            # As text, which tells True from 1.
            return None if json.dumps(both) == json.dumps(known) else both

        if merged() is None:  # as in a folder that cannot be written to
            return
        with locked(folder) as alone:
            # Without a lock look again until nobody has written over it.
            for _ in range(_MOST_MERGES):
                exists = os.path.lexists(target)
                all_ = merged()
                if all_ is None:
                    return
                text = config_text(config, all_).encode()
                content = operator.methodcaller("write", text)
                if write(target, content, replace=exists) and alone:
                    return

    def write_rows(self, config: AnyConfig, rows: pd.DataFrame) -> Path:
        """Write the rows of a block to a new file; files that exist stay as they are."""
        table = schema.table_of(rows, config)
        target = self.path / config.digest / block_name("seeds", table)
        while not write_table(target, table):
            # Another process was faster: its rows have to be the same.
            with contextlib.suppress(FileNotFoundError):  # joined with others since: again
                stored = schema.frame([self._existing(target, config)], config)
                schema.union([stored, rows], config)
                break
        return target

    def write_array(
        self,
        config: AnyConfig,
        kind: str,
        table: pa.Table,
        key: str = "",
        declaration: Declaration | None = None,
    ) -> Path:
        """Write the weights, the history or a probe's values of a block to a new file."""
        target = self.path / config.digest / block_name(kind, table, key)
        while not write_table(target, table, declaration):
            with contextlib.suppress(FileNotFoundError):  # joined with others since: again
                if checksum(self._existing(target, config)) != checksum(table):
                    reason = "holds other numbers than the same seeds have here"
                    raise DamagedStudyError([Damage(target, reason)])
                break
        return target

    def _existing(self, file: Path, config: AnyConfig) -> pa.Table:
        try:
            return read_block(file, config)
        except UnusableError as error:
            raise DamagedStudyError([Damage(file, str(error))]) from None

    def set_aside(self, damage: Damage) -> Path | None:
        """Move a damaged file or folder out of the way, never onto something that exists.

        None if another process has moved it already.
        """
        base = self.path / SET_ASIDE / damage.path.relative_to(self.path)
        base.parent.mkdir(parents=True, exist_ok=True)
        with locked(self.path / SET_ASIDE):
            target, copy = base, 0
            while os.path.lexists(target):
                copy += 1
                target = base.with_name(f"{base.name}.{copy}")
            try:
                damage.path.rename(target)
            except FileNotFoundError:
                if os.path.lexists(damage.path):
                    raise
                return None
        return target


def _may_be_folder(path: Path) -> bool:
    """Also where there is no telling: it is named then when it is read."""
    try:
        return type_of(path) == stat.S_IFDIR
    except OSError:
        return True


def _holds_results(folder: Path) -> bool:
    """Also where there is no telling: it is named then when it is read."""
    try:
        return any(_own_files(folder))
    except OSError:
        return True


def _claims(folder: Path) -> bool:
    """Whether a folder, whatever its name, holds what says to be the config.json of a study."""
    try:
        with reading(folder / "config.json") as file:
            return "fastpolysem_schema" in json.load(file)
    except (OSError, MemoryError, ContentError):
        return False


def unreadable(path: Path, error: OSError | MemoryError) -> Damage:
    """What to say of a file or folder that cannot be read now."""
    known = error.strerror if isinstance(error, OSError) else None
    return Damage(path, f"cannot be read now ({known or first_line(error)})")


def _own_files(folder: Path) -> Iterator[Path]:
    """The files of a configuration, by seeds."""
    if type_of(folder) != stat.S_IFDIR:
        return

    def order(file: Path) -> tuple[int, int, str]:
        return (*(named_range(file) or (-1, 0)), file.name)

    yield from sorted(filter(is_own, folder.iterdir()), key=order)


def read(file: Path, config: AnyConfig, columns: list[str] | None = None) -> pa.Table | None:
    """The table in a file, checked; None if it is a foreign one.

    With ``columns`` only these are read of files that are not rows, and not all of their content is
    checked.

    Raises
    ------
    DamagedStudyError
        If the file cannot be used.
    OSError, MemoryError
        Of reading: there may be nothing wrong with the file.
    """
    try:
        return read_block(file, config, columns)
    except ForeignError:
        return None
    except UnusableError as error:
        raise DamagedStudyError([Damage(file, str(error))]) from None


def read_each(
    files: Iterable[Path],
    config: AnyConfig,
    columns: list[str] | None = None,
    damages: list[Damage] | None = None,
) -> Iterator[tuple[Path, pa.Table]]:
    """The tables of files, foreign ones left out; of a file that is gone since it was listed, as it
    was joined with others, those that hold its seeds now.

    Errors are those of `read`; with ``damages`` what cannot be used is added to it instead.
    """
    waiting = deque(files)
    seen: set[Path] = set()
    while waiting:
        file = waiting.popleft()
        if file in seen:
            continue
        seen.add(file)
        table = None
        try:
            table = read(file, config, columns)
        except FileNotFoundError:
            waiting.extendleft(successors(file))
        except DamagedStudyError as error:
            if damages is None:
                raise
            damages += error.damages
        if table is not None:
            yield file, table


def successors(file: Path) -> list[Path]:
    """Files that hold what one that is gone held.

    Raises
    ------
    FileNotFoundError
        If there are none: it was not joined with others.
    """
    held = named_range(file)
    if held is not None and not os.path.lexists(file):
        others = [
            other
            for other in folder_files(file.parent, kind_of(file), key_of(file))
            if (span := named_range(other)) and span[0] < held[1] and held[0] < span[1]
        ]
        if others:
            return others
    raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(file))


def declaration_in(file: Path) -> Declaration:
    """What the probe whose values are in a file says of itself; errors are those of `read`."""
    try:
        return read_declaration(file)
    except UnusableError as error:
        raise DamagedStudyError([Damage(file, str(error))]) from None


def folder_files(folder: Path, kind: str, key: str = "") -> list[Path]:
    """The files of a kind in a configuration's folder, by seeds; with a key only those."""
    return [
        file
        for file in _own_files(folder)
        if kind_of(file) == kind and (not key or key_of(file) == key)
    ]
