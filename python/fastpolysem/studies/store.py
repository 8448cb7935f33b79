"""The folder of a study: immutable Parquet files that appear whole or not at all.

For each configuration there is ``<digest>/config.json`` and any number of Parquet files, normally
``seeds-<first seed>-<count>.parquet`` with one row a seed, or, where seeds have gaps between them,
``seeds-<first seed>-<span>-<hash>.parquet``; beside it ``weights-….parquet`` and
``history-….parquet`` if they were asked for. What a study says is the union of all rows of all
files, so folders written by several machines may be copied into each other. docs/studies.md
describes the columns.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import math
import operator
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

import fastpolysem
from fastpolysem import _checks, families
from fastpolysem._files import (
    ContentError,
    first_line,
    flush_folder,
    locked,
    reading,
    write_whole,
)
from fastpolysem._parquet import read_table
from fastpolysem.families import AnyConfig
from fastpolysem.studies import artifacts
from fastpolysem.studies import schema as schemas
from fastpolysem.studies.attachments import AttachmentError, Attachments
from fastpolysem.studies.schema import IDENTITY
from fastpolysem.studies.seedsets import Range, SeedSet

SCHEMA_VERSION = 2
"""Version of the layout of the files; a reader knows this one and those before."""

_READABLE = (1, 2)

SET_ASIDE = "set-aside"
# Kind, first seed, how many numbers from there to the last; a hash of seeds with gaps between them;
# the key of a history.
_BLOCK_NAME = re.compile(
    r"(seeds|weights|history)-(\d+)-(\d+)(?:-([0-9a-f]{16}))?(?:-[0-9a-f]{8})?\.parquet"
)
_KINDS = ("weights", "history")  # files whose name does not begin so hold rows
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
        if _type(self.path) not in (None, stat.S_IFDIR):
            shown = _checks.shown_path(self.path)
            raise NotADirectoryError(f"{shown} must be the folder of a study, but is a file")
        self.attachments = Attachments(self.path)

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
        if _type(self.path) is not None:
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
            elif not file.name.startswith(".") and (not _is_own(file) or _is_foreign(file)):
                found.append(Damage(file, "is no file of a study, and is not read"))
        return found

    def config(self, digest: str) -> tuple[Any, dict[str, Any]]:
        """Configuration and metadata of one sub-folder; DamagedStudyError if there is no telling.

        Without its configuration nothing in a folder can be interpreted. OSError and MemoryError
        are those of reading: there may be nothing wrong with the file.
        """
        folder = self.path / digest
        try:
            config, metadata = _read_config(folder, self.attachments)
            self.attachments.check(config)
        except _UnusableError as error:
            raise DamagedStudyError([Damage(folder, str(error))]) from None
        except AttachmentError as error:
            name = error.path.relative_to(self.path)
            damages = [Damage(folder, f"needs {name}, which {error.reason}")]
            if os.path.lexists(error.path):
                damages.insert(0, Damage(error.path, error.reason))
            raise DamagedStudyError(damages) from None
        return config, metadata

    def files(self, digest: str, kind: str = "seeds", key: str = "") -> list[Path]:
        """Files of a configuration with "seeds" (rows), "weights" or "history", by seeds.

        ``key`` tells histories apart; see `artifacts.record_key`.
        """
        ending = f"-{key}.parquet" if key else ".parquet"
        return [
            file
            for file in _own_files(self.path / digest)
            if _kind(file) == kind and file.name.endswith(ending)
        ]

    def tables(
        self, files: Iterable[Path], config: AnyConfig, columns: list[str] | None = None
    ) -> tuple[list[tuple[Path, pa.Table]], list[Damage]]:
        """The tables of files, each checked, and what cannot be used; what is foreign is left out.

        With ``columns`` only these are read of files that are not rows, and not all of their
        content is checked. OSError and MemoryError are those of reading: there may be nothing wrong
        with the file.
        """
        tables, damages = [], []
        for file in files:
            try:
                tables.append((file, _read_table(file, config, columns)))
            except _ForeignError:
                continue
            except _UnusableError as error:
                damages.append(Damage(file, str(error)))
        return tables, damages

    def write_config(self, config: AnyConfig, metadata: Mapping[str, Any]) -> None:
        """Write or complete ``config.json``; stored metadata stays unless given anew."""
        with _noted(self.attachments.folder):
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
                text = _config_text(config, all_).encode()
                write = operator.methodcaller("write", text)
                if _write(target, write, replace=exists) and alone:
                    return

    def write_rows(self, config: AnyConfig, rows: pd.DataFrame) -> Path:
        """Write the rows of a block to a new file; files that exist stay as they are."""
        table = schemas.table_of(rows, config)
        target = self.path / config.digest / f"{_stem('seeds', table)}.parquet"
        if not _write_table(target, table):
            # Another process was faster: its rows have to be the same.
            stored = schemas.frame([self._existing(target, config)], config)
            schemas.union([stored, rows], config)
        return target

    def write_array(self, config: AnyConfig, kind: str, table: pa.Table, key: str = "") -> Path:
        """Write the weights or the history of a block to a new file."""
        ending = f"-{key}" if key else ""
        target = self.path / config.digest / f"{_stem(kind, table)}{ending}.parquet"
        if not _write_table(target, table):
            found = self._existing(target, config)
            if _checksum(found) != _checksum(table):
                reason = "holds other numbers than the same seeds have here"
                raise DamagedStudyError([Damage(target, reason)])
        return target

    def _existing(self, file: Path, config: AnyConfig) -> pa.Table:
        try:
            return _read_table(file, config)
        except _UnusableError as error:
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


class _UnusableError(ContentError):
    """Why a file cannot be used."""


class _ForeignError(_UnusableError):
    """A file is a table of somebody else, under a name that blocks do not have."""


def _type(path: Path) -> int | None:
    """What a path leads to, such as `stat.S_IFDIR`; None for nothing. OSError if there is no
    telling, where `Path.is_dir` may say no."""
    try:
        return stat.S_IFMT(path.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        if error.errno == errno.ELOOP:
            return None
        raise


def _may_be_folder(path: Path) -> bool:
    """Also where there is no telling: it is named then when it is read."""
    try:
        return _type(path) == stat.S_IFDIR
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
    said = error.strerror if isinstance(error, OSError) and error.strerror else first_line(error)
    return Damage(path, f"cannot be read now ({said})")


def _is_own(file: Path) -> bool:
    """By its name; what killed writers leave behind is hidden."""
    return not file.name.startswith(".") and (
        file.name == "config.json" or file.suffix == ".parquet"
    )


def _own_files(folder: Path) -> Iterator[Path]:
    """The files of a configuration, by seeds."""
    if _type(folder) != stat.S_IFDIR:
        return

    def order(file: Path) -> tuple[int, int, str]:
        return (*(named_range(file) or (-1, 0)), file.name)

    yield from sorted(filter(_is_own, folder.iterdir()), key=order)


def _is_foreign(file: Path) -> bool:
    """Whether a file under a name of its own is a table that is none of a study."""
    if file.suffix != ".parquet" or named_range(file) is not None or _type(file) != stat.S_IFREG:
        return False
    try:
        with reading(file) as source:
            return _is_foreign_table(file, pq.read_schema(source))
    except (OSError, MemoryError, ContentError):
        return False


def _is_foreign_table(file: Path, schema: pa.Schema) -> bool:
    said = schema.metadata or {}
    own = b"fastpolysem_schema" in said or schema.names[: len(IDENTITY)] == [*IDENTITY]
    return named_range(file) is None and not own


def _kind(file: Path) -> str:
    if file.suffix != ".parquet":
        return ""
    return next((kind for kind in _KINDS if file.name.startswith(f"{kind}-")), "seeds")


def named_range(file: Path) -> Range | None:
    """From the first to the last seed that a file's name says it holds, if it says any."""
    match = _BLOCK_NAME.fullmatch(file.name)
    return (int(match[2]), int(match[2]) + int(match[3])) if match else None


def _stem(kind: str, table: pa.Table) -> str:
    first, span, gaps = _said(SeedSet.of(table["seed"].to_numpy()))
    return f"{kind}-{first}-{span}-{gaps}".rstrip("-")


def _said(held: SeedSet) -> tuple[int, int, str]:
    """What the name of a file says of its seeds: the first, how far they reach, a hash of gaps.

    The hash tells sets apart that begin and end alike; consecutive seeds have none.
    """
    ranges = held.ranges
    gaps = hashlib.sha256(json.dumps(ranges).encode()).hexdigest()[:16] if len(ranges) > 1 else ""
    return ranges[0][0], ranges[-1][1] - ranges[0][0], gaps


def _wrong_version(name: str, found: object, expected: int) -> _UnusableError:
    return _UnusableError(
        f"has {name} {found}, this fastpolysem {fastpolysem.__version__} has {expected}"
    )


# The object that json makes of a list in a list of brackets takes some thirty times their room.
_JSON_MEMORY = 30


def _config_text(config: AnyConfig, metadata: Mapping[str, Any]) -> str:
    content = {
        "fastpolysem_schema": SCHEMA_VERSION,
        "digest": config.digest,
        "numerics_version": families.family_of(config).numerics_version,
        "version": fastpolysem.__version__,
        "config": config.to_dict(),
        "metadata": dict(metadata),
    }
    return json.dumps(content | {"sha256": _checksum_of_json(content)}, indent=2) + "\n"


def _checksum_of_json(content: Mapping[str, Any]) -> str:
    """SHA-256 of what a JSON object says, however it is laid out, but for the checksum in it."""
    said = {name: value for name, value in content.items() if name != "sha256"}
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def _read_config(folder: Path, attachments: Attachments) -> tuple[Any, dict[str, Any]]:
    file = folder / "config.json"
    try:
        size = _check_regular(file)
        with reading(file) as source:
            _checks.memory("config.json", {"its content": _JSON_MEMORY * size}, "free some")
            content = json.loads(source.read())
            schema, numerics = content["fastpolysem_schema"], content["numerics_version"]
            metadata = dict(content["metadata"])
    except FileNotFoundError:
        if os.path.lexists(folder):
            raise _UnusableError("has no config.json") from None
        raise
    except ContentError as error:
        raise _UnusableError(f"config.json is not one of a study ({error})") from None
    if schema not in _READABLE or isinstance(schema, bool):
        raise _wrong_version("schema version", schema, SCHEMA_VERSION)
    try:
        config = families.from_dict(content["config"], attached=attachments.load)
    except AttachmentError:
        raise
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise _UnusableError(f"config.json holds no valid config ({first_line(error)})") from None
    expected = families.family_of(config).numerics_version
    if numerics != expected:
        raise _wrong_version("numerics version", numerics, expected)
    if not folder.name == content.get("digest") == config.digest:
        raise _UnusableError(f"config.json holds the config {config.digest}, not {folder.name}")
    # Earlier files have no checksum; without its line an edited one is read as well.
    if schema > 1 and "sha256" in content and content["sha256"] != _checksum_of_json(content):
        raise _UnusableError(
            "config.json is corrupt: its content does not have the checksum that was written (if "
            'you edited it, take out the line "sha256")'
        )
    return config, metadata


def _read_table(file: Path, config: AnyConfig, columns: list[str] | None = None) -> pa.Table:
    """The table in a file, after every check that its kind allows."""
    _check_regular(file)
    try:
        with reading(file) as source:
            return _checked_table(source, file, config, columns)
    except _UnusableError:
        raise
    except ContentError as error:
        raise _UnusableError(f"is corrupt or truncated ({error})") from None


def _checked_table(
    source: IO[bytes], file: Path, config: AnyConfig, columns: list[str] | None
) -> pa.Table:
    kind = _kind(file)
    partly = columns is not None and kind != "seeds"

    def check(schema: pa.Schema, described: pq.FileMetaData) -> None:
        if _is_foreign_table(file, schema):
            raise _ForeignError("is no table of a study")
        _check_columns(schema, kind, _known_version(schema), config)
        _check_count(described, file, config)

    shapes = families.family_of(config).shapes(config).values()
    most = max(math.prod(shape) for shape in shapes)
    table = read_table(source, check, columns if partly else None, most_listed=most)
    version, said = _known_version(table.schema), table.schema.metadata
    table.validate(full=True)
    if not partly and version > 1 and said.get(b"fastpolysem_sha256") != _checksum(table):
        raise _UnusableError("is corrupt: its content does not have the checksum that was written")
    if version == 1:
        table = _as_of_now(table)
    if any(
        column.null_count
        for name, column in zip(table.column_names, table.columns, strict=True)
        if not name.endswith("_places")
    ):
        raise _UnusableError("has missing values")
    expected = families.family_of(config).numerics_version
    for numerics in table["numerics_version"].unique().to_pylist():
        if numerics != expected:
            raise _wrong_version("numerics version", numerics, expected)
    for other in table["digest"].unique().to_pylist():
        if other != config.digest:
            raise _UnusableError(f"holds rows of the config {other}")
    _check_seeds(file, table)
    if kind == "weights" and not partly:
        artifacts.check_weights(table, config)
    return table.replace_schema_metadata(None)


def _as_of_now(table: pa.Table) -> pa.Table:
    """Rows of layout version 1 in today's: it had null for nan, and nothing about the place."""
    for name in ("loss", "residual"):
        at = table.schema.get_field_index(name)
        table = table.set_column(at, name, table[name].fill_null(float("nan")))
    for name in ("isa", "host"):
        table = table.append_column(name, pa.repeat(pa.scalar(""), len(table)))
    return table


def _check_regular(file: Path) -> int:
    """Refuse what can hold nothing, and pipes, which would have a reader wait for ever.

    Returns its size in bytes.
    """
    kind = _type(file)
    if kind is None and not os.path.lexists(file):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(file))
    if kind is None:
        raise _UnusableError("is a link to nothing")
    if kind != stat.S_IFREG:
        raise _UnusableError("is no regular file")
    size = file.stat().st_size
    if size == 0:
        raise _UnusableError("is empty (0 bytes)")
    return size


def _check_count(described: pq.FileMetaData, file: Path, config: AnyConfig) -> None:
    """Refuse more rows than a file of this name can hold."""
    said = named_range(file)
    steps = families.family_of(config).steps(config)
    most = steps + 1 if _kind(file) == "history" else 1
    if said and described.num_rows > (said[1] - said[0]) * most:
        raise _UnusableError(f"says to hold {described.num_rows} rows, which its name does not")


def _known_version(schema: pa.Schema) -> int:
    said: bytes | None = (schema.metadata or {}).get(b"fastpolysem_schema")
    if said is None:
        raise _UnusableError("is a Parquet file, but not one of a study")
    if said not in [str(version).encode() for version in _READABLE]:
        raise _wrong_version("schema version", said.decode(errors="replace"), SCHEMA_VERSION)
    return int(said)


def _check_columns(schema: pa.Schema, kind: str, version: int, config: AnyConfig) -> None:
    if kind == "weights":
        right = schema.equals(artifacts.weights_schema(config))
    elif kind == "history":
        right = artifacts.is_history(schema, config)
    else:
        right = schemas.is_schema(schema, config, version)
    if not right:
        raise _UnusableError("has other columns than results of a study have")


def _check_seeds(file: Path, table: pa.Table) -> None:
    """Whether the seeds are those that the file's name says."""
    if match := _BLOCK_NAME.fullmatch(file.name):
        held = SeedSet.of(table["seed"].to_numpy())
        right = held.count > 0 and _said(held) == (int(match[2]), int(match[3]), match[4] or "")
        if not right or (_kind(file) != "history" and len(table) != held.count):
            count = "" if match[4] else f"{match[3]} "
            raise _UnusableError(
                f"does not hold the {count}seeds from {match[2]} on that its name says"
            )


def _checksum(table: pa.Table) -> bytes:
    """SHA-256 of a table's content: the same for equal tables, however their files differ."""
    digest = hashlib.sha256()
    for name, column in zip(table.column_names, table.columns, strict=True):
        array = column.combine_chunks()
        lists = pa.types.is_large_list(array.type)
        # Of lists the type of what they hold: their own comes back from a file under another name.
        kind = array.type.value_type if lists else array.type
        digest.update(f"{name} {kind} {len(array)}\n".encode())
        if lists:
            digest.update(np.asarray(array.is_valid()).tobytes())
            digest.update(np.asarray(array.value_lengths().fill_null(0)).tobytes())
            array = array.flatten()
        elif pa.types.is_string(array.type):
            array = array.dictionary_encode()
            digest.update(json.dumps(array.dictionary.to_pylist()).encode())
            array = array.indices
        digest.update(np.asarray(array.is_valid()).tobytes() if array.null_count else b"")
        digest.update(array.to_numpy(zero_copy_only=False).tobytes())
    return digest.hexdigest().encode()


def _write_table(target: Path, table: pa.Table) -> bool:
    """Write a table to a new file; False if there is one already, which then stays."""
    if target.exists():
        return False
    said = {"fastpolysem_schema": str(SCHEMA_VERSION), "fastpolysem_sha256": _checksum(table)}
    described = table.replace_schema_metadata(said)
    return _write(target, lambda file: pq.write_table(described, file))


def _write(target: Path, write: Callable[[IO[bytes]], Any], *, replace: bool = False) -> bool:
    with _noted(target):
        return write_whole(target, write, replace=replace)


@contextlib.contextmanager
def _noted(target: Path) -> Iterator[None]:
    """Say of an error what was being written."""
    try:
        yield
    except OSError as error:
        error.add_note(
            f"while writing {_checks.shown_path(target)}; all files written before are complete"
        )
        raise
