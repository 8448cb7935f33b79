"""Studies: rows of results by (config digest, seed), in memory and in a folder of immutable files.

The folder holds, for each configuration, ``<digest>/config.json`` and any number of Parquet files
with one row a seed, normally ``seeds-<first seed>-<count>.parquet``. What a study says is the union
of all rows of all files, so folders written by several machines may be copied into each other.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import IO, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

import fastpolysem
from fastpolysem import _checks, statistics, theory
from fastpolysem.config import NUMERICS_VERSION, Config
from fastpolysem.training import TrainingResult

SCHEMA_VERSION = 1
"""Version of the layout of the files; a reader refuses any other."""

COUNTS = {
    "polysemantic": pa.int32(),
    "benign": pa.int32(),
    "malign": pa.int32(),
    "signed_slots": pa.int32(),
    "signed_slots_benign": pa.int32(),
    "dead": pa.int32(),
    "unrepresented": pa.int32(),
    "nonzeros": pa.int64(),
}
METRICS = {**COUNTS, "loss": pa.float64(), "residual": pa.float64(), "steps_taken": pa.int64()}
"""Result columns that are numbers, in the order of the tables."""

RESULTS = {**METRICS, "diverged": pa.bool_()}
"""What (config, seed, numerics version) determines bit for bit."""

FACTS = {"seconds": pa.float64(), "kernel": pa.string(), "version": pa.string()}
"""What depends on the machine and the installation: no part of the results."""

SCHEMA = pa.schema(
    {
        "digest": pa.string(),
        "seed": pa.uint64(),
        "numerics_version": pa.int32(),
        **RESULTS,
        **FACTS,
    },
    metadata={"fastpolysem_schema": str(SCHEMA_VERSION)},
)

SET_ASIDE = "set-aside"
_BLOCK_NAME = re.compile(r"seeds-(\d+)-(\d+)\.parquet")


@dataclass(frozen=True)
class Damage:
    """A file or folder of a study that cannot be used, and why."""

    path: Path
    reason: str

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


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


class ConflictError(ValueError):
    """The same configuration and seed have two different results."""


def rows_of(result: TrainingResult) -> pd.DataFrame:
    """The rows of a training result, columns as in `SCHEMA` but for the digest."""
    return pd.DataFrame(
        {
            "seed": result.seeds,
            "numerics_version": np.full(len(result), result.numerics_version, dtype=np.int32),
            **{name: getattr(result, name) for name in RESULTS},
            "seconds": result.seconds,
            "kernel": result.kernel,
            "version": fastpolysem.__version__,
        }
    )


def union(frames: Iterable[pd.DataFrame], digest: str) -> pd.DataFrame:
    """Rows by ascending seed, each once: equal results collapse, others raise `ConflictError`."""
    rows = pd.concat(list(frames), ignore_index=True)
    rows = rows.sort_values("seed", kind="stable", ignore_index=True)
    seeds = rows["seed"].to_numpy()
    again = np.zeros(len(rows), dtype=bool)
    again[1:] = seeds[1:] == seeds[:-1]
    if again.any():
        second = np.flatnonzero(again)
        for name in ("numerics_version", *RESULTS):
            values = rows[name].to_numpy()
            one, other = values[second - 1], values[second]
            different = (one != other) & ~((one != one) & (other != other))
            if different.any():
                at = second[different][0]
                raise ConflictError(
                    f"config {digest}, seed {seeds[at]}: {name} is {values[at - 1]} in one row and "
                    f"{values[at]} in another; they cannot come from the same settings and numerics"
                )
        rows = rows[~again].reset_index(drop=True)
    return rows


def _frame(tables: Iterable[pa.Table] = ()) -> pd.DataFrame:
    """The rows of tables as read from files, without the digest; all columns also without rows."""
    table = pa.concat_tables([SCHEMA.empty_table(), *tables])
    frame: pd.DataFrame = table.drop_columns("digest").to_pandas()
    return frame


class Store:
    """The folder of a study."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        if self.path.exists() and not self.path.is_dir():
            raise NotADirectoryError(f"{self.path} must be the folder of a study, but is a file")

    def digests(self) -> list[str]:
        """Names of the sub-folders that hold a configuration or results."""
        found = []
        if self.path.is_dir():
            for folder in sorted(self.path.iterdir()):
                if folder.name != SET_ASIDE and folder.is_dir() and any(_own_files(folder)):
                    found.append(folder.name)
        return found

    def strays(self) -> list[Damage]:
        """Parquet files that lie beside the configurations' folders instead of in one."""
        return [
            Damage(path, "lies outside of the folder of a configuration")
            for path in sorted(self.path.glob("*.parquet"))
        ]

    def read(self, digest: str) -> tuple[Config | None, dict[str, Any], pd.DataFrame, list[Damage]]:
        """Configuration, metadata and rows of one sub-folder, and what in it cannot be used."""
        folder = self.path / digest
        if not any(_own_files(folder)):
            return None, {}, _frame(), []
        try:
            config, metadata = _read_config(folder)
        except _UnusableError as error:
            # Without its configuration nothing in the folder can be interpreted.
            return None, {}, _frame(), [Damage(folder, str(error))]
        tables, damages = [], []
        for file in _own_files(folder):
            if file.suffix == ".parquet":
                try:
                    tables.append(_read_table(file, digest))
                except _UnusableError as error:
                    damages.append(Damage(file, str(error)))
        return config, metadata, union([_frame(tables)], digest), damages

    def write_config(self, config: Config, metadata: Mapping[str, Any]) -> None:
        """Write or complete ``config.json``; stored metadata stays unless given anew."""
        folder = self.path / config.digest
        folder.mkdir(parents=True, exist_ok=True)
        target = folder / "config.json"
        known: dict[str, Any] | None = None
        if target.exists():
            try:
                _, known = _read_config(folder)
            except _UnusableError as error:
                raise DamagedStudyError([Damage(folder, str(error))]) from None
            if known == known | dict(metadata):
                return
        content = {
            "fastpolysem_schema": SCHEMA_VERSION,
            "digest": config.digest,
            "numerics_version": NUMERICS_VERSION,
            "version": fastpolysem.__version__,
            "config": config.to_dict(),
            "metadata": (known or {}) | dict(metadata),
        }
        text = json.dumps(content, indent=2) + "\n"
        _write_atomically(target, lambda file: file.write(text.encode()))

    def write_rows(self, digest: str, rows: pd.DataFrame) -> Path:
        """Write rows of consecutive seeds to a new file; files that exist stay as they are."""
        folder = self.path / digest
        seeds = rows["seed"].to_numpy()
        target = folder / f"seeds-{seeds[0]}-{len(seeds)}.parquet"
        if target.exists():  # another process was faster: its rows have to be the same
            try:
                union([_frame([_read_table(target, digest)]), rows], digest)
            except _UnusableError as error:
                raise DamagedStudyError([Damage(target, str(error))]) from None
            return target
        table = pa.Table.from_pandas(
            rows.assign(digest=digest)[SCHEMA.names], schema=SCHEMA, preserve_index=False
        )
        _write_atomically(
            # Only our own metadata: pandas' would add the versions of libraries to the file.
            target,
            lambda file: pq.write_table(table.replace_schema_metadata(SCHEMA.metadata), file),
        )
        return target

    def set_aside(self, damage: Damage) -> Path:
        """Move a damaged file or folder out of the way, never onto something that exists."""
        base = self.path / SET_ASIDE / damage.path.relative_to(self.path)
        target, copy = base, 0
        while target.exists():
            copy += 1
            target = base.with_name(f"{base.name}.{copy}")
        target.parent.mkdir(parents=True, exist_ok=True)
        damage.path.rename(target)
        return target


class Study:
    """Results of configurations, one row per configuration and seed.

    Made by `collect` and `Study.open`, or empty and filled with `add`.

    Attributes
    ----------
    path : pathlib.Path or None
        Folder that the study was read from.
    interrupted : bool
        Whether collecting was broken off before every seed was there.
    """

    def __init__(self) -> None:
        self.path: Path | None = None
        self.interrupted = False
        self._configs: dict[str, Config] = {}
        self._metadata: dict[str, dict[str, Any]] = {}
        self._frames: dict[str, list[pd.DataFrame]] = {}

    @classmethod
    def open(cls, path: str | os.PathLike[str], *, skip_damaged: bool = False) -> Study:
        """Read all of a study's folder.

        Parameters
        ----------
        path
            The folder that was given to `collect`.
        skip_damaged
            Move files that cannot be used into the sub-folder ``set-aside``, with a warning that
            names them, and go on with the rest. They are not altered, and `collect` trains the
            missing seeds anew.

        Raises
        ------
        FileNotFoundError
            If there is no study at ``path``.
        DamagedStudyError
            If files cannot be used and ``skip_damaged`` is False; names each with the reason.
        ConflictError
            If one configuration and seed have two different results.
        """
        store = Store(path)
        study, damages = cls._read(store)
        if damages and not skip_damaged:
            raise DamagedStudyError(damages)
        if not study._configs and not damages:
            raise FileNotFoundError(
                f"there is no study in {store.path}: no folder with a config.json"
            )
        for damage in damages:
            target = store.set_aside(damage)
            warnings.warn(f"{damage}; moved to {target}", stacklevel=2)
        return study

    @staticmethod
    def check(path: str | os.PathLike[str]) -> list[Damage]:
        """Every file of a study that cannot be used, with the reason; nothing is changed."""
        return Study._read(Store(path))[1]

    @classmethod
    def _read(cls, store: Store) -> tuple[Study, list[Damage]]:
        study = cls()
        study.path = store.path
        damages = store.strays()
        found: list[tuple[tuple[Any, ...], Config, dict[str, Any], pd.DataFrame]] = []
        for digest in store.digests():
            config, metadata, rows, damaged = store.read(digest)
            damages += damaged
            if config is not None:
                order = (config.n_features, config.n_hidden, repr(config))
                found.append((order, config, metadata, rows))
        for _, config, metadata, rows in sorted(found, key=lambda one: one[0]):
            study._add_config(config, metadata)
            study._add_rows(config.digest, rows)
        return study, damages

    @property
    def configs(self) -> tuple[Config, ...]:
        """The configurations, in the order of the tables."""
        return tuple(self._configs.values())

    def __len__(self) -> int:
        """Number of rows: (config, seed) pairs."""
        return sum(len(self._rows(digest)) for digest in self._configs)

    def __repr__(self) -> str:
        where = f" in {self.path}" if self.path else ""
        state = ", interrupted" if self.interrupted else ""
        return f"<Study of {len(self._configs)} configs, {len(self)} seeds{where}{state}>"

    def add(self, other: TrainingResult | Study) -> None:
        """Take in the rows of a training result or of another study, in memory only.

        A result must come from its configuration and seeds alone: not from given weights or noise,
        for rows are known by the digest of their configuration.

        Raises
        ------
        ValueError
            If the result was trained by another numerics version.
        ConflictError
            If a configuration and seed are there already with a different result; nothing is taken
            in then.
        """
        if isinstance(other, Study):
            new = {digest: [other._rows(digest)] for digest in other._configs}
            configs = other._configs
        elif isinstance(other, TrainingResult):
            if other.numerics_version != NUMERICS_VERSION:
                raise ValueError(
                    f"Study.add: other must have numerics version {NUMERICS_VERSION}, "
                    f"got {other.numerics_version}"
                )
            digest = other.config.digest
            new, configs = {digest: [rows_of(other)]}, {digest: other.config}
        else:
            raise _checks.refused(
                "Study.add: other", "a TrainingResult or a Study", other, kind=TypeError
            )
        merged = {d: union([*self._frames.get(d, []), *frames], d) for d, frames in new.items()}
        for digest, rows in merged.items():
            metadata = other._metadata[digest] if isinstance(other, Study) else {}
            self._add_config(configs[digest], metadata)
            self._frames[digest] = [rows]

    def seeds(self) -> pd.DataFrame:
        """One row per configuration and seed.

        Returns
        -------
        pandas.DataFrame
            ``digest``, every field of the configuration (inputs and tuples as text), metadata,
            ``seed``, the result columns, ``seconds``, ``kernel``, ``version`` and
            ``numerics_version``. Counts are missing (<NA>) where a seed diverged.
        """
        parts = [self._rows(digest) for digest in self._configs]
        rows = pd.concat(parts, ignore_index=True) if parts else _frame()
        for name in COUNTS:
            rows[name] = rows[name].astype("Int64").mask(rows["diverged"].to_numpy())
        lengths = [len(part) for part in parts]
        fields_ = self._fields().iloc[np.repeat(np.arange(len(parts)), lengths)]
        return pd.concat([fields_.reset_index(drop=True), rows], axis=1)

    def to_csv(self, path: str | os.PathLike[str]) -> None:
        """Write `seeds` as comma separated values; missing counts are empty."""
        self.seeds().to_csv(path, index=False)

    def summary(self, metric: str = "polysemantic", *, confidence: float = 0.95) -> pd.DataFrame:
        """One row per configuration.

        Parameters
        ----------
        metric
            The result column that ``mean`` and its interval are about.
        confidence
            Coverage of the intervals.

        Returns
        -------
        pandas.DataFrame
            ``n_features``, ``n_hidden``, the fields that vary and metadata; ``seeds`` (all) and how
            many ``diverged``; over the others ``mean`` with ``ci_low`` and ``ci_high``
            (`statistics.mean`); for counts of polysemantic neurons also ``collision_law``,
            ``null_mean`` and ``ratio`` (mean over law) with its interval; then the means of
            ``loss``, ``unrepresented``, ``dead``, ``benign`` and ``malign``, and ``digest``.
        """
        _checks.choice("summary: metric", metric, METRICS)
        labels = self.labels()
        table = []
        for index, config in enumerate(self._configs.values()):
            rows = self._rows(config.digest)
            valid = rows[~rows["diverged"]]
            mean = statistics.mean(valid[metric], confidence=confidence)
            row: dict[str, Any] = {name: labels[name].iloc[index] for name in labels.columns}
            row |= {"seeds": len(rows), "diverged": len(rows) - len(valid)}
            row |= {"mean": mean.value, "ci_low": mean.low, "ci_high": mean.high}
            if metric in ("polysemantic", "signed_slots"):
                law = float(theory.collision_law(config.n_features, config.n_hidden))
                ratio = mean.scaled(1 / law)
                row["collision_law"] = law
                row["null_mean"] = float(theory.null_mean(config.n_features, config.n_hidden))
                row |= {"ratio": ratio.value, "ratio_low": ratio.low, "ratio_high": ratio.high}
            for name in ("loss", "unrepresented", "dead", "benign", "malign"):
                if name != metric:
                    row[name] = float(valid[name].mean()) if len(valid) else np.nan
            row["digest"] = config.digest
            table.append(row)
        return pd.DataFrame(table)

    def labels(self) -> pd.DataFrame:
        """What tells configurations apart, one row each: sizes, fields that vary and metadata."""
        table = self._fields().drop(columns="digest")
        return table[
            [
                name
                for name in table.columns
                if name in ("n_features", "n_hidden")
                or name not in _FIELDS
                or table[name].nunique(dropna=False) > 1
            ]
        ]

    def values(self, config: Config | str, metric: str = "polysemantic") -> NDArray[Any]:
        """One column of one configuration, by ascending seed and without diverged seeds.

        Parameters
        ----------
        config
            A configuration of the study or its digest.
        metric
            Name of a result column.
        """
        _checks.choice("values: metric", metric, METRICS)
        digest = config.digest if isinstance(config, Config) else config
        if digest not in self._configs:
            raise KeyError(f"the study does not hold the config {config!r}")
        rows = self._rows(digest)
        values: NDArray[Any] = rows.loc[~rows["diverged"], metric].to_numpy()
        return values

    def _add_config(self, config: Config, metadata: Mapping[str, Any]) -> None:
        digest = config.digest
        self._configs.setdefault(digest, config)
        self._metadata[digest] = self._metadata.get(digest, {}) | dict(metadata)
        self._frames.setdefault(digest, [])

    def _add_rows(self, digest: str, rows: pd.DataFrame) -> None:
        self._frames[digest].append(rows)

    def _rows(self, digest: str) -> pd.DataFrame:
        """All rows of a configuration; blocks are united when they are first asked for."""
        frames = self._frames[digest]
        if len(frames) != 1:
            frames[:] = [union(frames, digest) if frames else _frame()]
        return frames[0]

    def _fields(self) -> pd.DataFrame:
        """One row a configuration: digest, fields and metadata."""
        table: dict[str, list[Any]] = {"digest": list(self._configs)}
        for name in _FIELDS:
            table[name] = [getattr(config, name) for config in self._configs.values()]
        for key in dict.fromkeys(key for one in self._metadata.values() for key in one):
            table[key] = [self._metadata[digest].get(key) for digest in self._configs]
        return pd.DataFrame({name: _column(values) for name, values in table.items()})


_FIELDS = [field.name for field in fields(Config)]
_TAKEN = {
    *SCHEMA.names,
    *_FIELDS,
    "seeds",
    "mean",
    "ci_low",
    "ci_high",
    "ratio",
    "ratio_low",
    "ratio_high",
}
_TAKEN |= {"collision_law", "null_mean"}


def checked_metadata(metadata: Mapping[str, Any] | None) -> dict[str, Any]:
    """Metadata as it is stored; refuses what JSON cannot hold and names of columns."""
    if metadata is None:
        return {}
    if not isinstance(metadata, Mapping) or not all(isinstance(key, str) for key in metadata):
        raise _checks.refused(
            "collect: metadata", "a mapping with names as keys", metadata, kind=TypeError
        )
    if taken := sorted(_TAKEN.intersection(metadata)):
        raise ValueError(
            f"collect: metadata must not use the names of columns, got {', '.join(taken)}"
        )
    try:
        result: dict[str, Any] = json.loads(json.dumps(dict(metadata), allow_nan=False))
    except (TypeError, ValueError) as error:
        raise ValueError(f"collect: metadata must be JSON: {error}") from None
    return result


def _column(values: list[Any]) -> pd.Series[Any]:
    """A column any table format can hold: numbers with None become floats, objects text."""
    present = [value for value in values if value is not None]
    if len(present) < len(values) and all(type(value) in (int, float) for value in present):
        return pd.Series(values, dtype=np.float64)
    plain = (bool, int, float, str)
    return pd.Series(
        [value if value is None or isinstance(value, plain) else str(value) for value in values]
    )


class _UnusableError(Exception):
    """Why a file cannot be used."""


def _own_files(folder: Path) -> Iterator[Path]:
    """The files of a configuration, by seeds; what killed writers leave behind is hidden."""
    if not folder.is_dir():
        return
    files = [
        file
        for file in folder.iterdir()
        if (file.name == "config.json" or file.suffix == ".parquet")
        and not file.name.startswith(".")
    ]

    def order(file: Path) -> tuple[int, int, str]:
        match = _BLOCK_NAME.fullmatch(file.name)
        return (int(match[1]), int(match[2]), "") if match else (-1, 0, file.name)

    yield from sorted(files, key=order)


def _wrong_version(name: str, found: object, expected: int) -> _UnusableError:
    return _UnusableError(
        f"has {name} {found}, this fastpolysem {fastpolysem.__version__} has {expected}"
    )


def _read_config(folder: Path) -> tuple[Config, dict[str, Any]]:
    file = folder / "config.json"
    try:
        content = json.loads(file.read_bytes())
        schema, numerics = content["fastpolysem_schema"], content["numerics_version"]
        metadata = dict(content["metadata"])
    except FileNotFoundError:
        raise _UnusableError("has no config.json") from None
    except (ValueError, KeyError, TypeError) as error:
        raise _UnusableError(f"config.json is not one of a study ({_first_line(error)})") from None
    if schema != SCHEMA_VERSION:
        raise _wrong_version("schema version", schema, SCHEMA_VERSION)
    if numerics != NUMERICS_VERSION:
        raise _wrong_version("numerics version", numerics, NUMERICS_VERSION)
    try:
        config = Config.from_dict(content["config"])
    except (ValueError, KeyError, TypeError) as error:
        raise _UnusableError(f"config.json holds no valid config ({_first_line(error)})") from None
    if not folder.name == content.get("digest") == config.digest:
        raise _UnusableError(f"config.json holds the config {config.digest}, not {folder.name}")
    return config, metadata


def _read_table(file: Path, digest: str) -> pa.Table:
    if file.stat().st_size == 0:
        raise _UnusableError("is empty (0 bytes)")
    try:
        with pq.ParquetFile(file) as parquet:
            schema = parquet.schema_arrow
            version = (schema.metadata or {}).get(b"fastpolysem_schema")
            if version is None:
                raise _UnusableError("is a Parquet file, but not one of a study")
            if version != str(SCHEMA_VERSION).encode():
                raise _wrong_version("schema version", version.decode(), SCHEMA_VERSION)
            if not schema.equals(SCHEMA):
                raise _UnusableError("has other columns than results of a study have")
            table = parquet.read()
    except (pa.ArrowException, OSError, ValueError) as error:
        raise _UnusableError(f"is corrupt or truncated ({_first_line(error)})") from None
    if any(column.null_count for column in table.columns):
        raise _UnusableError("has missing values")
    for numerics in table["numerics_version"].unique().to_pylist():
        if numerics != NUMERICS_VERSION:
            raise _wrong_version("numerics version", numerics, NUMERICS_VERSION)
    for other in table["digest"].unique().to_pylist():
        if other != digest:
            raise _UnusableError(f"holds rows of the config {other}")
    if match := _BLOCK_NAME.fullmatch(file.name):
        first, count = int(match[1]), int(match[2])
        seeds = table["seed"].to_numpy()
        if len(seeds) != count or not np.array_equal(seeds - np.uint64(first), np.arange(count)):
            raise _UnusableError(
                f"does not hold the {count} seeds from {first} on that its name says"
            )
    return table


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0][:200] if str(error) else type(error).__name__


def _write_atomically(target: Path, write: Callable[[IO[bytes]], Any]) -> None:
    """Write beside the target, flush to the disk and rename: readers see all of it or nothing."""
    temporary = target.with_name(f".{target.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
    try:
        with open(temporary, "xb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except BaseException as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):
            error.add_note(f"while writing {target}; all files written before are complete")
        raise
    if hasattr(os, "O_DIRECTORY"):  # the new name has to reach the disk as well
        folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
