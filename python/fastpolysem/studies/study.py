"""Studies: results by (config digest, seed), as tables with intervals."""

from __future__ import annotations

import contextlib
import copy
import html
import json
import os
import warnings
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import ArrayLike, NDArray

from fastpolysem import _checks, families, statistics
from fastpolysem._files import write_output
from fastpolysem.families import AnyConfig, Column
from fastpolysem.studies import artifacts, formatting
from fastpolysem.studies.schema import (
    FACTS,
    IDENTITY,
    ConflictError,
    bounds,
    columns,
    frame,
    rows_of,
    union,
)
from fastpolysem.studies.seedsets import SeedSet
from fastpolysem.studies.store import (
    SET_ASIDE,
    Damage,
    DamagedStudyError,
    Store,
    named_range,
    unreadable,
)
from fastpolysem.training import TrainingResult, weight_bytes

if TYPE_CHECKING:
    import xarray

_MOST_SHOWN = 30


class _Noted(contextlib.AbstractContextManager["_Noted"]):
    """Passes over what another process has moved away since it was listed, and, with a list, adds
    to it what cannot be read now or contradicts itself."""

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


class Study:
    """Results of configurations, one row per configuration and seed.

    Made by `collect` and `Study.open`, or empty and filled with `add`. Rows of a study that was
    collected into a folder stay there and are read when they are asked for.

    Attributes
    ----------
    path : pathlib.Path or None
        Folder of the study, absolute.
    interrupted : bool
        Whether collecting was broken off before every seed was there.
    """

    def __init__(self) -> None:
        self.path: Path | None = None
        self.interrupted = False
        self._configs: dict[str, AnyConfig] = {}
        self._metadata: dict[str, dict[str, Any]] = {}
        # Tables that are here, and files of them that are read on demand.
        self._parts: dict[str, list[pd.DataFrame | Path]] = {}
        self._weights: dict[str, list[pa.Table | Path]] = {}
        self._history: dict[str, list[pa.Table | Path]] = {}
        self._wanted: dict[str, SeedSet] = {}  # seeds of files that hold others as well
        self._read_rows: dict[str, pd.DataFrame] = {}
        self._target_met: dict[str, bool] = {}  # of configurations that had one

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
        OSError, MemoryError
            If a file or folder cannot be read now; names it. Nothing is moved for that.
        DamagedStudyError
            If files cannot be used and ``skip_damaged`` is False; names each with the reason.
        ConflictError
            If one configuration and seed have two different results.
        """
        store = Store(path, "Study.open: path")
        study, damages = cls._read(store)
        if skip_damaged:
            damages += study._damaged_arrays(store)
        elif damages:
            raise DamagedStudyError(damages)
        # Another process may have set aside all of it.
        if (
            not study._configs
            and not damages
            and not (skip_damaged and (store.path / SET_ASIDE).exists())
        ):
            raise store.missing()
        for damage in dict.fromkeys(damages):  # several configurations may need one file
            target = store.set_aside(damage)
            moved = (
                f"moved to {_checks.shown_path(target)}" if target else "moved by another process"
            )
            warnings.warn(f"{damage}; {moved}", stacklevel=2)
            study._forget(damage.path)
        return study

    @staticmethod
    def check(path: str | os.PathLike[str]) -> list[Damage]:
        """Every file of a study that is damaged, foreign or half-written, with the reason.

        Reads all of every file. Nothing is changed. Half-written files of writers that were killed
        and files that are not a study's do no harm; all others `Study.open` refuses. What cannot be
        read now is named, too, and the rest is checked.

        Raises
        ------
        FileNotFoundError
            If there is no study at ``path``, nor anything that looks like a part of one.
        """
        store = Store(path, "Study.check: path")
        found: list[Damage] = []
        with _Noted(found, store.path):
            study, damages = Study._read(store, found)
            found += store.strays() + damages
            found += study._damaged_arrays(store, found)
            for digest in store.digests():
                with _Noted(found, store.path / digest):
                    found += store.remains(digest)
        if not found and not study._configs:
            raise store.missing()
        return list(dict.fromkeys(found))

    @classmethod
    def _read(cls, store: Store, unread: list[Damage] | None = None) -> tuple[Study, list[Damage]]:
        """All that can be used, and what cannot; with ``unread`` what cannot be read now, and rows
        that contradict each other, are added to it instead of raised."""
        study = cls()
        study.path = store.path
        damages: list[Damage] = []
        found: list[tuple[tuple[Any, ...], AnyConfig, dict[str, Any], pd.DataFrame]] = []
        for digest in store.digests():
            folder = store.path / digest
            with _Noted(unread, folder):
                try:
                    config, metadata = store.config(digest)
                except DamagedStudyError as error:
                    damages += error.damages
                    continue
                tables: list[pa.Table] = []
                for file in store.files(digest):
                    with _Noted(unread, file):
                        read, damaged = store.tables([file], config)
                        tables += [table for _, table in read]
                        damages += damaged
                rows = union([frame(tables, config)], config)
                family = families.family_of(config)
                settings = family.settings(config)
                sizes = tuple(settings[name] for name in family.sizes)
                order = (family.kind, sizes, repr(config))
                found.append((order, config, metadata, rows))
        for _, config, metadata, rows in sorted(found, key=lambda one: one[0]):
            study._add_config(config, metadata)
            study._add(config.digest, rows)
            for kind, parts in study._arrays().items():
                with _Noted(unread, store.path / config.digest):
                    parts[config.digest] += store.files(config.digest, kind)
        return study, damages

    def _arrays(self) -> dict[str, dict[str, list[pa.Table | Path]]]:
        return {"weights": self._weights, "history": self._history}

    def _damaged_arrays(self, store: Store, unread: list[Damage] | None = None) -> list[Damage]:
        damages = []
        for by_digest in self._arrays().values():
            for digest, parts in by_digest.items():
                for file in [part for part in parts if isinstance(part, Path)]:
                    with _Noted(unread, file) as noted:
                        damages += store.tables([file], self._configs[digest])[1]
                    if noted.gone:
                        self._forget(file)
        return damages

    def _forget(self, path: Path) -> None:
        for by_digest in self._arrays().values():
            for parts in by_digest.values():
                parts[:] = [part for part in parts if part is not path and part != path]

    @property
    def configs(self) -> tuple[Any, ...]:
        """The configurations, in the order of the tables."""
        return tuple(self._configs.values())

    def __len__(self) -> int:
        """Number of rows: (config, seed) pairs."""
        return sum(len(self._rows(digest)) for digest in self._configs)

    def __repr__(self) -> str:
        where = f" in {_checks.shown_path(self.path)}" if self.path else ""
        state = ", interrupted" if self.interrupted else ""
        return f"<Study of {len(self._configs)} configs, {len(self)} seeds{where}{state}>"

    def _repr_html_(self) -> str:
        """The summary as a table, for notebooks."""
        table = formatting.to_html(self.summary(), most=_MOST_SHOWN) if self._configs else ""
        return f"<p>{html.escape(repr(self))}</p>\n{table}"

    def add(self, other: TrainingResult | Study) -> None:
        """Take in the rows of a training result or of another study, in memory only.

        A result must come from its configuration and seeds alone: not from given weights or noise,
        for rows are known by the digest of their configuration. Its weights and history are left
        out; those of a study come along.

        Raises
        ------
        ValueError
            If the result was given weights or noise, or trained by another numerics version.
        ConflictError
            If a configuration and seed are there already with a different result; nothing is taken
            in then.
        """
        if isinstance(other, Study):
            new = {digest: other._rows(digest) for digest in other._configs}
            configs = other._configs
        elif isinstance(other, TrainingResult):
            expected = families.family_of(other.config).numerics_version
            if other.numerics_version != expected:
                raise ValueError(
                    f"Study.add: other must have numerics version {expected}, "
                    f"got {other.numerics_version}"
                )
            if other.given:
                raise ValueError(
                    "Study.add: other must come from its config and seeds alone, "
                    f"got a result that was given {' and '.join(other.given)}"
                )
            digest = other.config.digest
            new, configs = {digest: rows_of(other)}, {digest: other.config}
        else:
            raise _checks.refused(
                "Study.add: other", "a TrainingResult or a Study", other, kind=TypeError
            )
        merged = {}
        verdicts = other._target_met if isinstance(other, Study) else {}
        verdicts = {key: met for key, met in verdicts.items() if key not in self._configs}
        for digest, rows in new.items():
            own = [self._rows(digest)] if digest in self._configs else []
            merged[digest] = union([*own, rows], configs[digest])
        for digest, rows in merged.items():
            metadata = other._metadata[digest] if isinstance(other, Study) else {}
            self._add_config(configs[digest], metadata)
            self._parts[digest] = [rows]
            self._read_rows.pop(digest, None)
            self._wanted.pop(digest, None)
            self._target_met.pop(digest, None)  # it was judged on other rows
        if isinstance(other, Study):
            for kind, by_digest in self._arrays().items():
                for digest, parts in other._arrays()[kind].items():
                    by_digest[digest] += parts
        self._target_met |= verdicts

    def seeds(self) -> pd.DataFrame:
        """One row per configuration and seed.

        Returns
        -------
        pandas.DataFrame
            ``digest``, every field of the configuration (inputs and tuples as text), metadata,
            ``seed``, the result columns, and the facts ``seconds``, ``kernel``, ``version``,
            ``isa``, ``host`` and ``numerics_version``. Counts are missing (<NA>) where a seed
            diverged.
        """
        parts = [self._rows(digest) for digest in self._configs]
        if not parts:
            return pd.DataFrame(columns=[*IDENTITY, "diverged", *FACTS])
        rows = pd.concat(parts, ignore_index=True)
        for name, column in self._columns().items():
            if column.is_count and column.diverged is not None:
                rows[name] = rows[name].astype("Int64").mask(rows["diverged"].to_numpy())
        lengths = [len(part) for part in parts]
        fields_ = self._fields().iloc[np.repeat(np.arange(len(parts)), lengths)]
        return pd.concat([fields_.reset_index(drop=True), rows], axis=1)

    def to_csv(self, path: str | os.PathLike[str]) -> None:
        """Write `seeds` as comma separated values; missing counts are empty."""
        target, table = _checks.file_path("Study.to_csv: path", path), self.seeds()
        write_output(target, lambda file: table.to_csv(file, index=False))

    def to_xarray(self) -> xarray.Dataset:
        """The results as a labelled array for each metric; needs the package xarray.

        Returns
        -------
        xarray.Dataset
            Each result column over the dimensions ``config`` and ``seed``, as float64 with nan
            where a configuration has no such seed or it diverged; ``diverged`` as float64, too.
            Along ``config`` there are the ``digest``, the sizes, the fields that vary and metadata.
        """
        import xarray

        seeds = np.unique(
            np.concatenate(
                [self._rows(digest)["seed"].to_numpy() for digest in self._configs]
                + [np.empty(0, dtype=np.uint64)]
            )
        )
        shape = len(self._configs), len(seeds)
        data = {name: np.full(shape, np.nan) for name in self._columns()}
        data["diverged"] = np.full(shape, np.nan)
        for i, digest in enumerate(self._configs):
            rows = self._rows(digest)
            at = np.searchsorted(seeds, rows["seed"].to_numpy())
            diverged = rows["diverged"].to_numpy()
            data["diverged"][i, at] = diverged
            for name in columns(self._configs[digest]):
                values = rows[name].to_numpy(dtype=np.float64)
                data[name][i, at] = np.where(diverged, np.nan, values)
        labels = self.labels()
        coordinates: dict[str, Any] = {"seed": seeds, "digest": ("config", list(self._configs))}
        for name in labels.columns:  # where a key "config" would be taken for the dimension
            free = f"metadata.{name}" if name == "config" else name
            coordinates[free] = ("config", labels[name].to_numpy())
        return xarray.Dataset(
            {name: (("config", "seed"), values) for name, values in data.items()},
            coordinates,
            {"numerics_version": ", ".join(sorted({str(v) for v in self._numerics()}))},
        )

    def weights(self, config: AnyConfig | str, seeds: ArrayLike | None = None) -> Any:
        """Final weights that `collect` kept with ``keep_weights=True``.

        Parameters
        ----------
        config
            A configuration of the study or its digest.
        seeds
            Which seeds, in any order; None for all rows of the configuration, by ascending seed,
            diverged ones included.

        Returns
        -------
        Weights
            (S, n, m), or `Parameters` for models that have more than one matrix, as `train` gives.

        Raises
        ------
        KeyError
            If the weights of a seed were not kept.
        DamagedStudyError
            If a file that holds some of them cannot be used.
        MemoryError
            If they would not fit into the available memory.
        """
        known = self._config("Study.weights", config)
        if seeds is None:
            wanted = self._rows(known.digest)["seed"].to_numpy()
        else:
            listed = _checks.integers("Study.weights: seeds", seeds, (">=", 0), ("<", 2**64))
            wanted = np.array(listed, dtype=np.uint64)
        _checks.memory(
            "Study.weights",
            {f"the weights of {len(wanted)} seeds": len(wanted) * weight_bytes(known)},
            "ask for fewer seeds at a time",
        )
        tables = _read(self._weights[known.digest], known, wanted)
        return artifacts.weights_of(tables, known, wanted)

    def history(self, config: AnyConfig | str) -> pd.DataFrame:
        """What `collect` recorded during training with ``record=``.

        Parameters
        ----------
        config
            A configuration of the study or its digest.

        Returns
        -------
        pandas.DataFrame
            ``seed``, ``step`` and a column for each metric that was recorded, one row for each seed
            and step. Metrics that were recorded at other steps or seeds only are nan.

        Raises
        ------
        ConflictError
            If one metric of a seed and step is there twice and differs.
        """
        known = self._config("Study.history", config)
        wanted = self._rows(known.digest)["seed"].to_numpy()
        result = pd.DataFrame({"seed": np.empty(0, np.uint64), "step": np.empty(0, np.int64)})
        by_metrics: dict[tuple[str, ...], list[pd.DataFrame]] = {}
        for table in _read(self._history[known.digest], known, wanted):
            rows = table.drop_columns(["digest", "numerics_version"]).to_pandas()
            by_metrics.setdefault(tuple(rows.columns[2:]), []).append(rows)
        keys = ["seed", "step"]
        for metrics, frames in by_metrics.items():
            rows = pd.concat(frames, ignore_index=True).drop_duplicates()
            if rows.duplicated(keys).any():
                raise ConflictError(f"config {known.digest}: a seed has two different histories")
            shared = [name for name in metrics if name in result]
            result = result.merge(rows, how="outer", on=keys, suffixes=("", " again"))
            for name in shared:
                one, other = result[name], result.pop(f"{name} again")
                if ((one != other) & one.notna() & other.notna()).any():
                    raise ConflictError(
                        f"config {known.digest}: a seed has two different histories of {name}"
                    )
                result[name] = one.fillna(other)
        result = result[np.isin(result["seed"].to_numpy(), wanted)]
        return result.sort_values(keys, ignore_index=True)

    def summary(self, metric: str | None = None, *, confidence: float = 0.95) -> pd.DataFrame:
        """One row per configuration.

        Parameters
        ----------
        metric
            The result column that ``mean`` and its interval are about; None for what the family of
            the configurations is about, "polysemantic" for the autoencoder.
        confidence
            Coverage of the intervals.

        Returns
        -------
        pandas.DataFrame
            ``family`` if there are several, the sizes, the fields that vary and metadata; ``seeds``
            (all) and how many ``diverged``; over the others ``mean`` with ``ci_low`` and
            ``ci_high`` (`statistics.mean`); after `collect` with a target ``target_met``; the
            family's references for the metric, such as a law and a null model, and ``ratio`` (mean
            over the first of them) with its interval; then means of other columns that the family
            shows beside any, and ``digest``.
        """
        metric = self._metric("summary", metric)
        labels = self.labels()
        table = []
        for index, config in enumerate(self._configs.values()):
            rows = self._rows(config.digest)
            valid = rows[~rows["diverged"]]
            family = families.family_of(config)
            values = valid[metric].dropna() if metric in valid else []
            mean = statistics.mean(values, confidence=confidence, bounds=bounds(metric, config))
            row: dict[str, Any] = {name: labels[name].iloc[index] for name in labels.columns}
            row |= {"seeds": len(rows), "diverged": len(rows) - len(valid)}
            row |= {"mean": mean.value, "ci_low": mean.low, "ci_high": mean.high}
            if self._target_met:
                row["target_met"] = self._target_met.get(config.digest)
            if references := family.references(config).get(metric, {}):
                ratio = mean.scaled(1 / next(iter(references.values())))
                row |= references
                row |= {"ratio": ratio.value, "ratio_low": ratio.low, "ratio_high": ratio.high}
            for name in family.beside:
                if name != metric and name in rows:
                    row[name] = float(valid[name].mean()) if len(valid) else np.nan
            row["digest"] = config.digest
            table.append(row)
        return pd.DataFrame(table)

    def labels(self) -> pd.DataFrame:
        """What tells configurations apart, one row each: sizes, fields that vary and metadata."""
        table = self._fields().drop(columns="digest")
        kinds = self._families()
        sizes = {name for family in kinds for name in family.sizes}
        fields = {name for one in self._configs.values() for name in _settings(one)}
        return table[
            [
                name
                for name in table.columns
                if name in sizes or name not in fields or table[name].nunique(dropna=False) > 1
            ]
        ]

    def values(self, config: AnyConfig | str, metric: str | None = None) -> NDArray[Any]:
        """One column of one configuration, by ascending seed and without diverged seeds.

        Parameters
        ----------
        config
            A configuration of the study or its digest.
        metric
            Name of a result column; None as in `summary`.
        """
        known = self._config("Study.values", config)
        if metric is None:
            metric = families.family_of(known).primary
        _checks.choice("values: metric", metric, columns(known))
        rows = self._rows(known.digest)
        values: NDArray[Any] = rows.loc[~rows["diverged"], metric].to_numpy()
        return values

    def _config(self, where: str, config: AnyConfig | str) -> Any:
        digest = config if isinstance(config, str) else config.digest
        if digest not in self._configs:
            raise KeyError(f"{where}: the study does not hold the config {config!r}")
        return self._configs[digest]

    def _of_family(self, kind: str) -> Study:
        """The same study with the configurations of one family only."""
        part = copy.copy(self)
        part._configs = {
            digest: config
            for digest, config in self._configs.items()
            if families.family_of(config).kind == kind
        }
        return part

    def _families(self) -> list[Any]:
        """The families of the configurations, each once."""
        return list({id(f): f for f in map(families.family_of, self._configs.values())}.values())

    def _numerics(self) -> list[int]:
        return [family.numerics_version for family in self._families()]

    def _columns(self) -> dict[str, Column]:
        """The result columns of all configurations, in order."""
        return {
            name: column
            for config in self._configs.values()
            for name, column in columns(config).items()
        }

    def _metric(self, where: str, metric: str | None) -> str:
        """A result column that a configuration has; None for what the first family is about."""
        if not self._configs:
            return metric or ""
        if metric is None:
            return str(self._families()[0].primary)
        return _checks.choice(f"{where}: metric", metric, self._columns())

    def _add_config(self, config: AnyConfig, metadata: Mapping[str, Any]) -> None:
        digest = config.digest
        self._configs.setdefault(digest, config)
        self._metadata[digest] = self._metadata.get(digest, {}) | dict(metadata)
        for by_digest in (self._parts, self._weights, self._history):
            by_digest.setdefault(digest, [])

    def _add(self, digest: str, rows: pd.DataFrame | Path) -> None:
        self._parts[digest].append(rows)
        self._read_rows.pop(digest, None)

    def _want(self, digest: str, seeds: SeedSet) -> None:
        """Of rows in files only these seeds are the study's."""
        self._wanted[digest] = seeds
        self._read_rows.pop(digest, None)

    def _rows(self, digest: str) -> pd.DataFrame:
        """All rows of a configuration; parts are read and united when they are first asked for."""
        if digest not in self._read_rows:
            parts = self._parts[digest]
            here = [part for part in parts if isinstance(part, pd.DataFrame)]
            files = [part for part in parts if isinstance(part, Path)]
            if files or not here:
                config = self._configs[digest]
                here.append(frame(_read(files, config), config))
            rows = union(here, self._configs[digest])
            if digest in self._wanted:
                inside = self._wanted[digest].contains(rows["seed"].to_numpy())
                rows = rows[inside].reset_index(drop=True)
            if not files:
                parts[:] = [rows]  # once in memory is enough
            self._read_rows[digest] = rows
        return self._read_rows[digest]

    def _fields(self) -> pd.DataFrame:
        """One row a configuration: digest, fields and metadata, and the family if several."""
        table: dict[str, list[Any]] = {"digest": list(self._configs)}
        kinds = [families.family_of(config).kind for config in self._configs.values()]
        if len(set(kinds)) > 1:
            table["family"] = kinds
        settings = [_settings(config) for config in self._configs.values()]
        for name in dict.fromkeys(name for one in settings for name in one):
            table[name] = [one.get(name) for one in settings]
        metadata = [self._metadata[digest] for digest in self._configs]
        keys = dict.fromkeys(key for one in metadata for key in one)
        reserved = _taken(self._configs.values()) if keys else set()
        for key in keys:
            values = [one.get(key) for one in metadata]
            if any(value is not None for value in values):
                table[_label(key, reserved, {*keys, *table})] = values
        return pd.DataFrame({name: _column(values) for name, values in table.items()})


def _settings(config: AnyConfig) -> dict[str, Any]:
    """The fields of a configuration as tables show them."""
    return families.family_of(config).settings(config)


def _taken(configs: Iterable[AnyConfig]) -> set[str]:
    """Names that tables use themselves."""
    taken = {*IDENTITY, "diverged", *FACTS, *_OF_SUMMARIES}
    configs = list(configs)
    if len({families.family_of(config).kind for config in configs}) > 1:
        taken.add("family")
    for config in configs:
        taken |= {*columns(config), *_settings(config)}
        taken |= {
            name for of in families.family_of(config).references(config).values() for name in of
        }
    return taken


_OF_SUMMARIES = {
    "seeds",
    "mean",
    "ci_low",
    "ci_high",
    "ratio",
    "ratio_low",
    "ratio_high",
    "target_met",
}


def checked_metadata(
    metadata: Mapping[str, Any] | None, configs: Iterable[AnyConfig] = ()
) -> dict[str, Any]:
    """Metadata as they are stored; refuses what JSON cannot hold and names of columns.

    A key whose value is None is to be forgotten: with it, `Study` shows no such column.
    """
    if metadata is None:
        return {}
    if not isinstance(metadata, Mapping) or not all(isinstance(key, str) for key in metadata):
        raise _checks.refused(
            "collect: metadata", "a mapping with names as keys", metadata, kind=TypeError
        )
    if taken := sorted(_taken(configs).intersection(metadata)):
        raise ValueError(
            f"collect: metadata must not use the names of columns, got {', '.join(taken)}"
        )
    if not all(key.strip() for key in metadata):
        raise ValueError("collect: metadata must have names as keys, got an empty one")
    try:
        text = json.dumps(dict(metadata), allow_nan=False, ensure_ascii=False, default=_plain)
        result: dict[str, Any] = json.loads(text.encode())
    except UnicodeEncodeError as error:
        found = error.object[error.start : error.end]
        raise ValueError(
            f"collect: metadata must be text that UTF-8 can hold, got a lone surrogate {found!r}"
        ) from None
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"collect: metadata must be JSON: {error}") from None
    return result


def _plain(value: object) -> Any:
    """A number of numpy as Python's."""
    for kind, plain in ((np.bool_, bool), (np.integer, int), (np.floating, float)):
        if isinstance(value, kind):
            return plain(value)
    raise TypeError(f"{_checks.shown(value)} is not JSON serializable")


def _read(
    parts: Iterable[pa.Table | Path], config: AnyConfig, seeds: NDArray[np.uint64] | None = None
) -> Iterator[pa.Table]:
    """Tables, and those of files, of which some are left out that hold none of the seeds.

    DamagedStudyError if a file cannot be used.
    """
    for part in parts:
        if isinstance(part, pa.Table):
            yield part
            continue
        held = named_range(part)
        if seeds is not None and held is not None and not SeedSet([held]).contains(seeds).any():
            continue
        found, damages = Store(part.parents[1]).tables([part], config)
        if damages:
            raise DamagedStudyError(damages)
        yield from (table for _, table in found)


def _label(key: str, reserved: Collection[str], taken: Collection[str]) -> str:
    """The column of a metadata key: itself, unless a file holds a key that `collect` refuses."""
    name = _text(key)
    if name != key or key in reserved:
        while name in reserved or name in taken:
            name = f"metadata.{name}"
        _checks.warn(f"the metadata key {key!r} is shown as {name!r}")
    return name


def _column(values: list[Any]) -> pd.Series[Any]:
    """A column any table format can hold: of numbers, of truth values or of text.

    Numbers with None become floats where these are exact; objects and mixtures become text.
    """
    kinds = {type(value) for value in values if value is not None}
    numbers = {*kinds} <= {int, float} and all(
        -(2**63) <= value < 2**63 for value in values if type(value) is int
    )
    if numbers and None not in values and (kinds == {int} or _are_exact(values)):
        return pd.Series(values)
    if numbers and _are_exact(values):
        return pd.Series(values, dtype=np.float64)
    if len(kinds) <= 1 and kinds <= {bool, str}:
        return pd.Series([_text(one) if isinstance(one, str) else one for one in values])
    return pd.Series([None if value is None else _text(str(value)) for value in values])


def _are_exact(values: list[Any]) -> bool:
    """Whether floats hold all of the numbers."""
    return all(value is None or float(value) == value for value in values)


def _text(value: str) -> str:
    """Text that UTF-8 can hold."""
    return value.encode("utf-8", "backslashreplace").decode()
