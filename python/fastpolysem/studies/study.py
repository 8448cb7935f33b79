"""Studies: results by (config digest, seed), as tables with intervals."""

from __future__ import annotations

import html
import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from fastpolysem import _checks, families, probes
from fastpolysem._files import write_output
from fastpolysem.families import AnyConfig
from fastpolysem.studies import artifacts, formatting, joining, opening, tabulate
from fastpolysem.studies.holding import Holding
from fastpolysem.studies.schema import columns, rows_of, union
from fastpolysem.studies.store import SET_ASIDE, Damage, DamagedStudyError, Store
from fastpolysem.training import TrainingResult, weight_bytes

if TYPE_CHECKING:
    import xarray

_MOST_SHOWN = 30


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

    def __init__(self, holdings: Iterable[Holding] = (), path: Path | None = None) -> None:
        self.path = path
        self.interrupted = False
        self._holdings = {holding.config.digest: holding for holding in holdings}

    @classmethod
    def open(cls, path: str | os.PathLike[str], *, skip_damaged: bool = False) -> Study:
        """Read all of a study's folder.

        Parameters
        ----------
        path
            The folder that was given to `collect`.
        skip_damaged
            Move files that cannot be used into the sub-folder ``set-aside``, with a warning that
            names them, and continue with the rest. They are not altered, and `collect` trains the
            missing seeds again.

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
        holdings, damages = opening.read_folder(store)
        if skip_damaged:
            damages += opening.damaged_besides(holdings)
        elif damages:
            raise DamagedStudyError(damages)
        # Another process may have set aside all of it.
        emptied = skip_damaged and (store.path / SET_ASIDE).exists()
        if not holdings and not damages and not emptied:
            raise store.missing()
        opening.set_aside(store, holdings, damages)
        return cls(holdings, store.path)

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
        return opening.check_folder(Store(path, "Study.check: path"))

    @staticmethod
    def join(path: str | os.PathLike[str]) -> tuple[int, int]:
        """Put the many small files of finished blocks together to few, which are read faster.

        Rows and numbers stay what they are. Processes that read the folder or collect into it at
        the same time are not disturbed, and a join that was broken off, however, does no harm: a
        file is deleted once all that it holds is on the disk in another.

        Returns
        -------
        tuple of int
            How many files there were, and how many there are now.

        Raises
        ------
        FileNotFoundError
            If there is no study at ``path``.
        OSError, MemoryError
            If a file cannot be read or written now.
        DamagedStudyError
            If files cannot be used; names each with the reason. What was joined before stays so.
        ConflictError
            If one configuration and seed have two different results.
        """
        return joining.join_folder(Store(path, "Study.join: path"))

    @property
    def configs(self) -> tuple[Any, ...]:
        """The configurations, in the order of the tables."""
        return tuple(holding.config for holding in self._holdings.values())

    def __len__(self) -> int:
        """Number of rows: (config, seed) pairs."""
        return sum(len(holding.rows()) for holding in self._holdings.values())

    def __repr__(self) -> str:
        where = f" in {_checks.shown_path(self.path)}" if self.path else ""
        state = ", interrupted" if self.interrupted else ""
        return f"<Study of {len(self._holdings)} configs, {len(self)} seeds{where}{state}>"

    def _repr_html_(self) -> str:
        """The summary as a table, for notebooks."""
        table = formatting.to_html(self.summary(), most=_MOST_SHOWN) if self._holdings else ""
        return f"<p>{html.escape(repr(self))}</p>\n{table}"

    def add(self, other: TrainingResult | Study) -> None:
        """Take in the rows of a training result or of another study, in memory only.

        A result must come from its configuration and seeds alone: not from given weights or noise,
        for rows are known by the digest of their configuration. Its weights and history are left
        out; those of a study come along, and what probes computed.

        Raises
        ------
        ValueError
            If the result was given weights or noise, or trained by another numerics version.
        ConflictError
            If a configuration and seed are there already with a different result; nothing is taken
            in then.
        """
        if isinstance(other, Study):
            holdings = list(other._holdings.values())
        elif isinstance(other, TrainingResult):
            _check_addable(other)
            holdings = [Holding(other.config)]
            holdings[0].add_rows(rows_of(other))
        else:
            raise _checks.refused(
                "Study.add: other", "a TrainingResult or a Study", other, kind=TypeError
            )
        merged: dict[str, Holding] = {}
        for holding in holdings:
            digest = holding.config.digest
            own = self._holdings.get(digest, Holding(holding.config))
            parts = [own.rows()] if digest in self._holdings else []
            merged[digest] = own.replaced(union([*parts, holding.rows()], own.config), holding)
            merged[digest].metadata |= holding.metadata
            if digest not in self._holdings:  # else it was judged on other rows
                merged[digest].target_met = holding.target_met
        self._holdings |= merged

    def seeds(self, config: AnyConfig | str | None = None) -> pd.DataFrame:
        """One row per configuration and seed.

        Parameters
        ----------
        config
            A configuration of the study or its digest, to have its rows only.

        Returns
        -------
        pandas.DataFrame
            ``digest``, every field of the configuration (inputs and tuples as text), metadata,
            ``seed``, the result columns, and the facts ``seconds``, ``kernel``, ``version``,
            ``isa``, ``host`` and ``numerics_version``; then the columns of probes. Counts are
            missing (<NA>) where a seed diverged, and the columns of a probe there, too.
        """
        chosen = self._all if config is None else [self._holding("Study.seeds", config)]
        return tabulate.seeds(chosen, tabulate.probed_columns(self._all))

    def to_csv(self, path: str | os.PathLike[str]) -> None:
        """Write `seeds` as comma separated values; missing counts are empty."""
        target, table = _checks.file_path("Study.to_csv: path", path), self.seeds()
        write_output(target, lambda file: table.to_csv(file, index=False))

    def to_xarray(self) -> xarray.Dataset:
        """The results as a labelled array for each metric; needs the package xarray.

        Returns
        -------
        xarray.Dataset
            Each result column, those of probes too, over the dimensions ``config`` and ``seed``, as
            float64 with nan where a configuration has no such seed or it diverged; ``diverged`` as
            float64, too.
            Along ``config`` there are the ``digest``, the sizes, the fields that vary and metadata.
        """
        return tabulate.dataset(self._all)

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
        holding = self._holding("Study.weights", config)
        wanted = _wanted("Study.weights", holding, seeds)
        _checks.memory(
            "Study.weights",
            {f"the weights of {len(wanted)} seeds": len(wanted) * weight_bytes(holding.config)},
            "ask for fewer seeds at a time",
        )
        tables = holding.tables("weights", seeds=wanted)
        return artifacts.weights_of(tables, holding.config, wanted)

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
        holding = self._holding("Study.history", config)
        wanted = holding.rows()["seed"].to_numpy()
        tables = holding.tables("history", seeds=wanted)
        return artifacts.history_of(tables, holding.config.digest, wanted)

    def probed(
        self, config: AnyConfig | str, name: str, seeds: ArrayLike | None = None
    ) -> NDArray[Any]:
        """What a probe computed, as it is stored: of diverged seeds, too.

        Parameters
        ----------
        config
            A configuration of the study or its digest.
        name
            One of the probe's columns or arrays.
        seeds
            Which seeds, in any order; None for all rows of the configuration, by ascending seed.

        Returns
        -------
        numpy.ndarray
            (S,) for a column. For an array (S, ...) or, where the shapes of the seeds' arrays
            differ, (S,) of these as objects.

        Raises
        ------
        KeyError
            If the probe was not asked for with a seed.
        MemoryError
            If arrays would not fit into the available memory.
        """
        holding = self._holding("Study.probed", config)
        wanted = _wanted("Study.probed", holding, seeds)
        named = tabulate.probed_columns(self._all, arrays=True)
        key, own = named[_checks.choice("Study.probed: name", name, named)]
        declaration = holding.declarations.get(key)
        if declaration is None:
            raise KeyError(f"Study.probed: {name} of the config {holding.config!r} was not kept")
        if own in declaration.columns:
            values = holding.probe_values(key)[own]
            if missing := sorted(set(wanted.tolist()) - set(values.index)):
                raise KeyError(f"{name} of seed {missing[0]} was not kept")
            return np.asarray(values.loc[wanted])
        tables = holding.tables("probe", key, wanted)
        arrays = artifacts.arrays_of(tables, own, declaration.arrays[own].dtype, wanted)
        if len({array.shape for array in arrays}) > 1:
            ragged = np.empty(len(arrays), dtype=object)
            ragged[:] = arrays
            return ragged
        size = sum(array.nbytes for array in arrays)
        _checks.memory("Study.probed", {f"{name} of {len(arrays)} seeds": size}, "ask for fewer")
        return np.stack(arrays) if arrays else np.empty(0, declaration.arrays[own].dtype)

    def summary(self, metric: str | None = None, *, confidence: float = 0.95) -> pd.DataFrame:
        """One row per configuration.

        Parameters
        ----------
        metric
            The result column, of a probe perhaps, that ``mean`` and its interval are about; None
            for what the family of the configurations is about, "polysemantic" for the autoencoder.
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
        return tabulate.summary(self._all, metric, confidence)

    def labels(self) -> pd.DataFrame:
        """What tells configurations apart, one row each: sizes, fields that vary and metadata."""
        return tabulate.labels(self._all)

    def values(self, config: AnyConfig | str, metric: str | None = None) -> NDArray[Any]:
        """One column of one configuration, by ascending seed and without diverged seeds.

        Parameters
        ----------
        config
            A configuration of the study or its digest.
        metric
            Name of a result column or of one of a probe, of which seeds without it are left out;
            None as in `summary`.
        """
        holding = self._holding("Study.values", config)
        if metric is None:
            metric = families.family_of(holding.config).primary
        known = columns(holding.config)
        probed = tabulate.probed_columns(self._all)
        of_probes = [name for name, (key, _) in probed.items() if key in holding.declarations]
        _checks.choice("values: metric", metric, (*known, *of_probes))
        return tabulate.values_of(holding, metric, probed.get(metric))

    def _probed_columns(self) -> dict[str, probes.Column]:
        """The columns of probes, as tables call them."""
        declared = {key: d for holding in self._all for key, d in holding.declarations.items()}
        named = tabulate.probed_columns(self._all)
        return {name: declared[key].columns[own] for name, (key, own) in named.items()}

    def _of_family(self, kind: str) -> Study:
        """The same study with the configurations of one family only."""
        held = [h for h in self._all if families.family_of(h.config).kind == kind]
        return Study(held, self.path)

    @property
    def _all(self) -> list[Holding]:
        return list(self._holdings.values())

    def _holding(self, where: str, config: AnyConfig | str) -> Holding:
        digest = config if isinstance(config, str) else config.digest
        if digest not in self._holdings:
            raise KeyError(f"{where}: the study does not hold the config {config!r}")
        return self._holdings[digest]

    def _metric(self, where: str, metric: str | None) -> str:
        """A column that a configuration has; None for what the first family is about."""
        if not self._holdings:
            return metric or ""
        if metric is None:
            return str(families.family_of(self._all[0].config).primary)
        known = (*tabulate.result_columns(self._all), *tabulate.probed_columns(self._all))
        return _checks.choice(f"{where}: metric", metric, known)


def _check_addable(result: TrainingResult) -> None:
    """Refuse a result that its configuration and seeds alone would not give here."""
    expected = families.family_of(result.config).numerics_version
    if result.numerics_version != expected:
        raise ValueError(
            f"Study.add: other must have numerics version {expected}, got {result.numerics_version}"
        )
    if result.given:
        raise ValueError(
            "Study.add: other must come from its config and seeds alone, "
            f"got a result that was given {' and '.join(result.given)}"
        )


def _wanted(where: str, holding: Holding, seeds: ArrayLike | None) -> NDArray[np.uint64]:
    """The seeds asked for, or all."""
    if seeds is None:
        return np.asarray(holding.rows()["seed"], dtype=np.uint64)
    chosen = _checks.integers(f"{where}: seeds", seeds, (">=", 0), ("<", 2**64))
    return np.array(chosen, dtype=np.uint64)
