"""The folder of a study: immutable Parquet files that are written completely or not at all.

For each configuration there is ``<digest>/config.json`` and any number of Parquet files, normally
``seeds-<first seed>-<count>.parquet`` with one row per seed, or
``seeds-<first seed>-<span>-<hash>.parquet`` for seeds with gaps; on request also
``weights-….parquet``, ``history-….parquet`` and ``probe-….parquet``. The content of a study is the
union of all rows in all files, so folders written by several machines can be copied into each
other. docs/studies.md describes the columns.
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
    CONFIGS,
    ForeignError,
    UnusableError,
    block_name,
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
    same_content,
    type_of,
    write,
    write_table,
)

SET_ASIDE = "set-aside"
_DIGEST = re.compile(r"[0-9a-f]{20}")
_MOST_MERGES = 10
_LEFTOVER = re.compile(r"\..+\.\d+-[0-9a-f]{8}\.tmp")
_HALF_WRITTEN = (
    "is incomplete: the process writing it was killed or is still running; it can be deleted once "
    "no process collects into this folder"
)


@dataclass(frozen=True)
class Damage:
    """An unusable file or folder of a study, with the reason."""

    path: Path
    reason: str

    def __str__(self) -> str:
        return f"{_checks.shown_path(self.path)}: {self.reason}"


class DamagedStudyError(ValueError):
    """Files of a study are corrupt, truncated, foreign or of another numerics version.

    Attributes
    ----------
    damages : list of Damage
        Each unusable file with the reason.
    """

    def __init__(self, damages: list[Damage]) -> None:
        self.damages = damages
        listed = "; ".join(map(str, damages[:10]))
        more = f"; and {len(damages) - 10} more" if len(damages) > 10 else ""
        super().__init__(
            f"{listed}{more}. Nothing was changed; Study.open(path, skip_damaged=True), or "
            f"--skip-damaged, moves such files to {SET_ASIDE}/ in the study's folder"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.damages,)


class Store:
    """The folder of a study."""

    def __init__(self, path: str | os.PathLike[str], label: str = "path") -> None:
        # Made absolute so that it stays the same folder if the working directory changes.
        self.path = _checks.file_path(label, path).absolute()
        self.attachments = Attachments(self.path)
        if type_of(self.path) not in (None, stat.S_IFDIR):
            shown = _checks.shown_path(self.path)
            raise NotADirectoryError(f"{shown} must be the folder of a study, but is a file")

    def digests(self) -> list[str]:
        """Names of the subfolders of configurations: digests, or folders with a config.json.

        Subfolders that cannot be read are included.
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
        """Subfolders that are studies themselves."""
        found = []
        for folder in self._folders():
            with contextlib.suppress(OSError):
                if Store(folder).digests():
                    found.append(folder)
        return found

    def missing(self) -> FileNotFoundError:
        """The error that there is no study, with a hint where there is one."""
        shown = _checks.shown_path(self.path)
        return FileNotFoundError(
            f"there is no study in {shown}: no folder with a config.json{self._hint()}"
        )

    def _hint(self) -> str:
        found = [_checks.shown_path(folder) for folder in self.within()[:3]]
        return f"; there is one in {' and '.join(found)}" if found else ""

    def strays(self) -> list[Damage]:
        """Files that look like results but lie outside configurations' folders; not read."""
        configs = self.digests()
        reason = "lies outside the folder of a configuration, and is not read"
        if not configs:
            reason += self._hint()
        tables = (path for path in sorted(self.path.glob("*.parquet")) if path.name != CONFIGS)
        found = [Damage(path, reason) for path in tables]
        written = [*self.attachments.folder.glob(".*.tmp"), *self.path.glob(".*.tmp")]
        for file in sorted(written):
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
        """Unread files in a configuration's folder: incomplete or not part of a study."""
        found = []
        for file in sorted((self.path / digest).iterdir()):
            if _LEFTOVER.fullmatch(file.name):
                found.append(Damage(file, _HALF_WRITTEN))
            elif not file.name.startswith(".") and (not is_own(file) or is_foreign(file)):
                found.append(Damage(file, "is not part of a study, and is not read"))
        return found

    def config(self, digest: str) -> tuple[Any, dict[str, Any]]:
        """Configuration and metadata of one subfolder; DamagedStudyError if they are unusable.

        Without its configuration nothing in a folder can be interpreted. OSError and MemoryError
        come from reading, and do not mean that the file is damaged.
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
        """Files of a configuration by kind ("seeds", "weights", "history" or "probe"), by seeds.

        ``key`` distinguishes histories and probes; see `artifacts.record_key` and
        `probes.Declaration.key`. Without a key, all are listed.
        """
        return folder_files(self.path / digest, kind, key)

    def write_config(self, config: AnyConfig, metadata: Mapping[str, Any]) -> None:
        """Write or update ``config.json``; stored metadata is kept unless given again."""
        with noted(self.attachments.folder):
            self.attachments.write(config)
        folder = self.path / config.digest
        if not folder.exists():
            folder.mkdir(parents=True, exist_ok=True)
            flush_folder(self.path)
        target = folder / "config.json"
        given = dict(metadata)

        def merged() -> dict[str, Any] | None:
            """All metadata, or None if the file already contains them."""
            if not os.path.lexists(target):
                return given
            known = self.config(config.digest)[1]
            both = known | given
            # As text, which distinguishes True from 1.
            return None if json.dumps(both) == json.dumps(known) else both

        if merged() is None:  # so that a read-only folder is no error
            return
        with locked(folder) as alone:
            # Without a lock, check again until no other process has overwritten it.
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
        """Write the rows of a block to a new file; existing files are never changed."""
        table = schema.table_of(rows, config)
        target = self.path / config.digest / block_name("seeds", table)
        while not write_table(target, table):
            # Another process was faster; its rows must be the same.
            with contextlib.suppress(FileNotFoundError):  # merged in the meantime: try again
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
        """Write the weights, the history or a probe's values for a block to a new file."""
        target = self.path / config.digest / block_name(kind, table, key)
        while not write_table(target, table, declaration):
            with contextlib.suppress(FileNotFoundError):  # merged in the meantime: try again
                if not same_content(self._existing(target, config), table):
                    reason = "contains values other than those just computed for the same seeds"
                    raise DamagedStudyError([Damage(target, reason)])
                break
        return target

    def _existing(self, file: Path, config: AnyConfig) -> pa.Table:
        try:
            return read_block(file, config)
        except UnusableError as error:
            raise DamagedStudyError([Damage(file, str(error))]) from None

    def set_aside(self, damage: Damage) -> Path | None:
        """Move a damaged file or folder to ``set-aside``, never onto something that exists.

        Returns None if another process has already moved it.
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
    """True also if this cannot be determined; reading then reports the error."""
    try:
        return type_of(path) == stat.S_IFDIR
    except OSError:
        return True


def _holds_results(folder: Path) -> bool:
    """True also if this cannot be determined; reading then reports the error."""
    try:
        return any(_own_files(folder))
    except OSError:
        return True


def _claims(folder: Path) -> bool:
    """Whether a folder of any name contains what claims to be the config.json of a study."""
    try:
        with reading(folder / "config.json") as file:
            return "fastpolysem_schema" in json.load(file)
    except (OSError, MemoryError, ContentError):
        return False


def unreadable(path: Path, error: OSError | MemoryError) -> Damage:
    """The damage to report for a file or folder that cannot be read at the moment."""
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
    """The checked table in a file; None if the file is foreign.

    With ``columns``, only these columns are read from files other than rows, and not all of the
    content is checked.

    Raises
    ------
    DamagedStudyError
        If the file is unusable.
    OSError, MemoryError
        From reading; does not mean that the file is damaged.
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
    """The tables of files, without foreign ones. If a listed file is gone because it was merged
    with others, the tables of the files that now contain its seeds.

    Errors are those of `read`; if ``damages`` is given, unusable files are added to it instead.
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
    """The files that now contain the content of a missing file.

    Raises
    ------
    FileNotFoundError
        If there are none, that is, it was not merged with others.
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
    """The declaration of the probe whose values are in a file; errors are those of `read`."""
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
