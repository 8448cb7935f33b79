"""Individual files of a study: their names, and the checks when they are read and written.

The name of a block's file consists of its kind, the first seed, the length of the range of seeds, a
hash if there are gaps in the range, and the key of a history or a probe.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import math
import os
import re
import stat
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import fastpolysem
from fastpolysem import _checks, families
from fastpolysem._files import ContentError, first_line, reading, write_whole
from fastpolysem._parquet import read_table
from fastpolysem.families import AnyConfig
from fastpolysem.probes import Declaration
from fastpolysem.studies import artifacts, schema
from fastpolysem.studies.artifacts import KINDS
from fastpolysem.studies.attachments import AttachmentError, Attachments
from fastpolysem.studies.schema import IDENTITY
from fastpolysem.studies.seedsets import Range, SeedSet

SCHEMA_VERSION = 2
"""Version of the layout of files; earlier versions can be read too."""

CONFIGS = "configs.parquet"
"""The table of all configurations in a folder, for other programs; not read here."""

_READABLE = (1, 2)

# Kind, first seed, length of the range; hash of seeds with gaps; key of a history or a probe.
_BLOCK_NAME = re.compile(
    r"(seeds|weights|history|probe)-(\d+)-(\d+)(?:-([0-9a-f]{16}))?"
    r"(?:-([0-9a-f]{8}|[A-Za-z]\w*-\d+-[0-9a-f]{8}))?\.parquet",
    re.ASCII,
)
_VERSION, _CHECKSUM = b"fastpolysem_schema", b"fastpolysem_sha256"
_PROBE = b"fastpolysem_probe"
"""The metadata of a file; the last one only for probes, where the key in the name verifies it."""


class UnusableError(ContentError):
    """A file is unusable; the message is the reason."""


class ForeignError(UnusableError):
    """A file is a table from elsewhere, with a name that blocks do not have."""


def type_of(path: Path) -> int | None:
    """The type of a path, such as `stat.S_IFDIR`; None if it does not exist. Raises OSError if the
    type cannot be determined, where `Path.is_dir` may return False."""
    try:
        return stat.S_IFMT(path.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        if error.errno == errno.ELOOP:
            return None
        raise


def is_own(file: Path) -> bool:
    """Whether the name is that of a block; files left behind by killed processes are hidden."""
    hidden = file.name.startswith(".") or file.name == CONFIGS
    return not hidden and (file.name == "config.json" or file.suffix == ".parquet")


def is_foreign(file: Path) -> bool:
    """Whether a file without a block's name is a table that does not belong to a study."""
    if file.suffix != ".parquet" or named_range(file) is not None or type_of(file) != stat.S_IFREG:
        return False
    try:
        with reading(file) as source:
            return _is_foreign_table(file, pq.read_schema(source))
    except (OSError, MemoryError, ContentError):
        return False


def _is_foreign_table(file: Path, found: pa.Schema) -> bool:
    own = _VERSION in (found.metadata or {}) or found.names[: len(IDENTITY)] == [*IDENTITY]
    return named_range(file) is None and not own


def kind_of(file: Path) -> str:
    """ "weights", "history" or "probe"; "seeds" for rows; "" if it is not a table."""
    if file.suffix != ".parquet":
        return ""
    if match := _BLOCK_NAME.fullmatch(file.name):
        return match[1]
    # Rows may have any name, and weights and histories any name with this beginning.
    return next((kind for kind in KINDS[:2] if file.name.startswith(f"{kind}-")), "seeds")


def key_of(file: Path) -> str:
    """The key of a history or a probe in a file name, or ""."""
    match = _BLOCK_NAME.fullmatch(file.name)
    return (match[5] or "") if match else ""


def named_range(file: Path) -> Range | None:
    """The range of seeds in a file name, if there is one."""
    match = _BLOCK_NAME.fullmatch(file.name)
    return (int(match[2]), int(match[2]) + int(match[3])) if match else None


def block_name(kind: str, table: pa.Table, key: str = "") -> str:
    """The name of the file for this table."""
    first, span, gaps = _seeds_in_name(SeedSet.of(table["seed"].to_numpy()))
    return "-".join(filter(None, (kind, str(first), str(span), gaps, key))) + ".parquet"


def _seeds_in_name(held: SeedSet) -> tuple[int, int, str]:
    """The description of seeds in a file name: the first, the length of the range, a hash of gaps.

    The hash distinguishes sets with the same range; consecutive seeds have none.
    """
    ranges = held.ranges
    gaps = hashlib.sha256(json.dumps(ranges).encode()).hexdigest()[:16] if len(ranges) > 1 else ""
    return ranges[0][0], ranges[-1][1] - ranges[0][0], gaps


def _wrong_version(name: str, found: object, expected: int) -> UnusableError:
    return UnusableError(
        f"has {name} {found}, this fastpolysem {fastpolysem.__version__} has {expected}"
    )


# Parsed JSON of nested empty lists takes about thirty times the memory of its text.
_JSON_MEMORY = 30


def config_text(config: AnyConfig, metadata: Mapping[str, Any]) -> str:
    """The content of ``config.json``."""
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
    """SHA-256 of a JSON object without its checksum, independent of formatting."""
    signed = {name: value for name, value in content.items() if name != "sha256"}
    return hashlib.sha256(json.dumps(signed, sort_keys=True).encode()).hexdigest()


def read_config(folder: Path, attachments: Attachments) -> tuple[Any, dict[str, Any]]:
    """Configuration and metadata of a folder, after every check of its ``config.json``."""
    file = folder / "config.json"
    try:
        size = _check_regular(file)
        with reading(file) as source:
            _checks.memory("config.json", {"its content": _JSON_MEMORY * size}, "free some")
            content = json.loads(source.read())
            version, numerics = content["fastpolysem_schema"], content["numerics_version"]
            metadata = dict(content["metadata"])
    except FileNotFoundError:
        if os.path.lexists(folder):
            raise UnusableError("has no config.json") from None
        raise
    except ContentError as error:
        raise UnusableError(f"config.json is not one of a study ({error})") from None
    if version not in _READABLE or isinstance(version, bool):
        raise _wrong_version("schema version", version, SCHEMA_VERSION)
    try:
        config = families.from_dict(content["config"], attached=attachments.load)
    except AttachmentError:
        raise
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise UnusableError(f"config.json contains no valid config ({first_line(error)})") from None
    expected = families.family_of(config).numerics_version
    if numerics != expected:
        raise _wrong_version("numerics version", numerics, expected)
    if not folder.name == content.get("digest") == config.digest:
        raise UnusableError(f"config.json contains the config {config.digest}, not {folder.name}")
    # Earlier files have no checksum. An edited file can be read once its line is deleted.
    if version > 1 and "sha256" in content and content["sha256"] != _checksum_of_json(content):
        raise UnusableError(
            "config.json is corrupt: its content does not match its checksum (if you edited it, "
            'delete the line "sha256")'
        )
    return config, metadata


def read_block(file: Path, config: AnyConfig, columns: list[str] | None = None) -> pa.Table:
    """The table in a file, after every check that its kind allows."""
    _check_regular(file)
    try:
        with reading(file) as source:
            return _checked_table(source, file, config, columns)
    except UnusableError:
        raise
    except ContentError as error:
        raise UnusableError(f"is corrupt or truncated ({error})") from None


def _checked_table(
    source: IO[bytes], file: Path, config: AnyConfig, columns: list[str] | None
) -> pa.Table:
    kind = kind_of(file)
    partly = columns is not None and kind != "seeds"

    def check(found: pa.Schema, described: pq.FileMetaData) -> None:
        if _is_foreign_table(file, found):
            raise ForeignError("is not a table of a study")
        _check_columns(found, file, _known_version(found), config)
        _check_count(described, file, config)

    most = None  # the arrays of a probe may have any length
    if kind != "probe":
        shapes = families.family_of(config).shapes(config).values()
        most = max(math.prod(shape) for shape in shapes)
    table = read_table(source, check, columns if partly else None, most_listed=most)
    version, written = _known_version(table.schema), table.schema.metadata
    table.validate(full=True)
    if not partly and version > 1 and written.get(_CHECKSUM) != checksum(table):
        raise UnusableError("is corrupt: its content does not match its checksum")
    if version == 1:
        table = _as_of_now(table)
    if any(
        column.null_count
        for name, column in zip(table.column_names, table.columns, strict=True)
        if not name.endswith("_places")
    ):
        raise UnusableError("has missing values")
    expected = families.family_of(config).numerics_version
    for numerics in table["numerics_version"].unique().to_pylist():
        if numerics != expected:
            raise _wrong_version("numerics version", numerics, expected)
    for other in table["digest"].unique().to_pylist():
        if other != config.digest:
            raise UnusableError(f"contains rows of the config {other}")
    _check_seeds(file, table)
    if kind == "weights" and not partly:
        artifacts.check_weights(table, config)
    if kind == "probe" and not partly:
        artifacts.check_probe(table, _declared(table.schema, file))
    return table.replace_schema_metadata(None)


def _declared(found: pa.Schema, file: Path) -> Declaration:
    """The declaration of the probe whose values are in a file."""
    text = (found.metadata or {}).get(_PROBE)
    if text is None:
        raise UnusableError("does not specify which probe computed it")
    declaration = Declaration.from_json(text)
    if declaration.key != key_of(file):
        raise UnusableError(f"contains values of the probe {declaration.key}, not {key_of(file)}")
    return declaration


def read_declaration(file: Path) -> Declaration:
    """The declaration of the probe whose values are in a file, without reading the values."""
    _check_regular(file)
    try:
        with reading(file) as source:
            return _declared(pq.read_schema(source), file)
    except UnusableError:
        raise
    except ContentError as error:
        raise UnusableError(f"is corrupt or truncated ({error})") from None


def _as_of_now(table: pa.Table) -> pa.Table:
    """Convert rows of layout version 1, which had null for nan and no instruction set or host."""
    for name in ("loss", "residual"):
        at = table.schema.get_field_index(name)
        table = table.set_column(at, name, table[name].fill_null(float("nan")))
    for name in ("isa", "host"):
        table = table.append_column(name, pa.repeat(pa.scalar(""), len(table)))
    return table


def _check_regular(file: Path) -> int:
    """Refuse anything without content, and pipes, for which a reader would wait forever.

    Returns the size in bytes.
    """
    kind = type_of(file)
    if kind is None and not os.path.lexists(file):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(file))
    if kind is None:
        raise UnusableError("is a broken link")
    if kind != stat.S_IFREG:
        raise UnusableError("is not a regular file")
    size = file.stat().st_size
    if size == 0:
        raise UnusableError("is empty (0 bytes)")
    return size


def _check_count(described: pq.FileMetaData, file: Path, config: AnyConfig) -> None:
    """Refuse more rows than a file with this name can contain."""
    named = named_range(file)
    steps = families.family_of(config).steps(config)
    most = steps + 1 if kind_of(file) == "history" else 1
    if named and described.num_rows > (named[1] - named[0]) * most:
        raise UnusableError(f"claims to contain {described.num_rows} rows, unlike its name")


def _known_version(found: pa.Schema) -> int:
    version: bytes | None = (found.metadata or {}).get(_VERSION)
    if version is None:
        raise UnusableError("is a Parquet file, but not one of a study")
    if version not in [str(known).encode() for known in _READABLE]:
        raise _wrong_version("schema version", version.decode(errors="replace"), SCHEMA_VERSION)
    return int(version)


def _check_columns(found: pa.Schema, file: Path, version: int, config: AnyConfig) -> None:
    kind = kind_of(file)
    if kind == "weights":
        right = found.equals(artifacts.weights_schema(config))
    elif kind == "history":
        right = artifacts.is_history(found, config)
    elif kind == "probe":
        right = found.equals(artifacts.probe_schema(_declared(found, file)))
    else:
        right = schema.is_schema(found, config, version)
    if not right:
        raise UnusableError("has columns other than those of results of a study")


def _check_seeds(file: Path, table: pa.Table) -> None:
    """Check that the seeds match the file name."""
    if match := _BLOCK_NAME.fullmatch(file.name):
        held = SeedSet.of(table["seed"].to_numpy())
        named = int(match[2]), int(match[3]), match[4] or ""
        right = held.count > 0 and _seeds_in_name(held) == named
        if not right or (kind_of(file) != "history" and len(table) != held.count):
            count = "" if match[4] else f"{match[3]} "
            raise UnusableError(
                f"does not contain the {count}seeds starting at {match[2]} that its name specifies"
            )


def same_content(one: pa.Table, other: pa.Table) -> bool:
    """Whether two tables hold the same values, bit for bit, except that every nan equals every
    other: processors differ in its bits."""
    return checksum(one, plain_nans=True) == checksum(other, plain_nans=True)


def checksum(table: pa.Table, *, plain_nans: bool = False) -> bytes:
    """SHA-256 of a table's content, the same for equal tables even if their files differ; with
    ``plain_nans`` also if the bits of their nan differ."""
    digest = hashlib.sha256()
    for name, column in zip(table.column_names, table.columns, strict=True):
        array = column.combine_chunks()
        lists = pa.types.is_large_list(array.type)
        # For lists, the element type: the list type itself changes its name when read from a file.
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
        values = array.to_numpy(zero_copy_only=False)
        digest.update((artifacts.with_plain_nans(values) if plain_nans else values).tobytes())
    return digest.hexdigest().encode()


def write_table(target: Path, table: pa.Table, declaration: Declaration | None = None) -> bool:
    """Write a table to a new file; returns False, and leaves the file, if it already exists."""
    if target.exists():
        return False
    written = {_VERSION: str(SCHEMA_VERSION), _CHECKSUM: checksum(table)}
    if declaration is not None:
        written[_PROBE] = declaration.to_json()
    described = table.replace_schema_metadata(written)
    return write(target, lambda file: pq.write_table(described, file))


def write(target: Path, content: Callable[[IO[bytes]], Any], *, replace: bool = False) -> bool:
    """Write a file atomically; an OSError states that all other files are complete."""
    with noted(target):
        return write_whole(target, content, replace=replace)


@contextlib.contextmanager
def noted(target: Path) -> Iterator[None]:
    """Add to an OSError what was being written, and that all other files are complete."""
    try:
        yield
    except OSError as error:
        error.add_note(
            f"while writing {_checks.shown_path(target)}; all files written before are complete"
        )
        raise
