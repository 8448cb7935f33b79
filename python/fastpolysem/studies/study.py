"""Studies: results by configuration and seed, as tables with confidence intervals."""

from __future__ import annotations

import html
import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import ArrayLike, NDArray

from fastpolysem import _checks, families, probes
from fastpolysem._files import write_output
from fastpolysem.families import AnyConfig
from fastpolysem.studies import artifacts, formatting, joining, opening, selecting, tabulate
from fastpolysem.studies.holding import Holding
from fastpolysem.studies.schema import check_addable, columns, rows_of, union
from fastpolysem.studies.store import SET_ASIDE, Damage, DamagedStudyError, Store
from fastpolysem.training import TrainingResult, weight_bytes

if TYPE_CHECKING:
    import xarray

_MOST_SHOWN = 30


class Study:
    """Results of a set of configurations, one row per configuration and seed.

    Returned by `collect` and `Study.open`, or created empty and filled with `add`. The rows of a
    study that was collected into a folder stay there and are read on demand.

    Attributes
    ----------
    path : pathlib.Path or None
        Folder of the study, absolute.
    interrupted : bool
        Whether collecting was interrupted before all seeds were finished.
    """

    def __init__(self, holdings: Iterable[Holding] = (), path: Path | None = None) -> None:
        if isinstance(holdings, (str, os.PathLike)):
            raise TypeError(f"Study: open the study in a folder with Study.open({holdings!r})")
        self.path = path
        self.interrupted = False
        self._holdings = {holding.config.digest: holding for holding in holdings}

    @classmethod
    def open(cls, path: str | os.PathLike[str], *, skip_damaged: bool = False) -> Study:
        """Open the study in a folder.

        Parameters
        ----------
        path
            The folder that was passed to `collect`.
        skip_damaged
            Read every file completely, move unusable ones to the subfolder ``set-aside``, with a
            warning that names them, and continue with the rest. The files are not altered, and
            `collect` trains the missing seeds again.

        Raises
        ------
        FileNotFoundError
            If there is no study at ``path``.
        OSError, MemoryError
            If a file or folder cannot be read at the moment; the message names it, and no file is
            moved.
        DamagedStudyError
            If files of rows are unusable and ``skip_damaged`` is False; the message names each with
            the reason. Files of weights, histories and probes are checked when they are read.
        ConflictError
            If there are two different results for one configuration and seed.
        """
        store = Store(path, "Study.open: path")
        holdings, damages = opening.read_folder(store)
        if _checks.flag("Study.open: skip_damaged", skip_damaged):
            damages += opening.damaged_besides(holdings)
        elif damages:
            raise DamagedStudyError(damages)
        # Another process may have moved all files away.
        emptied = skip_damaged and (store.path / SET_ASIDE).exists()
        if not holdings and not damages and not emptied:
            raise store.missing()
        opening.set_aside(store, holdings, damages)
        return cls(holdings, store.path)

    @staticmethod
    def check(path: str | os.PathLike[str]) -> list[Damage]:
        """List every damaged, foreign or incomplete file of a study, with the reason.

        Reads every file completely and changes nothing. Incomplete files left by killed processes,
        and files that do not belong to the study, are harmless. `Study.open` refuses the others if
        they hold rows, and whatever reads weights, histories or values of probes refuses those.
        Files that cannot be read at the moment are listed too, and the rest is checked.

        Raises
        ------
        FileNotFoundError
            If there is no study at ``path``, nor anything that looks like part of one.
        """
        return opening.check_folder(Store(path, "Study.check: path"))

    @staticmethod
    def join(path: str | os.PathLike[str]) -> tuple[int, int]:
        """Merge the many small files of finished blocks into a few, which are faster to read.

        Rows and values do not change. Other processes can read the folder and collect into it at
        the same time. An interrupted join does no harm: a file is deleted only once all of its
        content has been written to another.

        Returns
        -------
        tuple of int
            The numbers of files before and after.

        Raises
        ------
        FileNotFoundError
            If there is no study at ``path``.
        OSError, MemoryError
            If a file cannot be read or written at the moment.
        DamagedStudyError
            If there are unusable files; the message names each with the reason. Files merged before
            stay merged.
        ConflictError
            If there are two different results for one configuration and seed.
        """
        return joining.join_folder(Store(path, "Study.join: path"))

    @property
    def configs(self) -> tuple[Any, ...]:
        """The configurations: as given to `collect`, in order of settings after `open`."""
        return tuple(holding.config for holding in self._holdings.values())

    def __len__(self) -> int:
        """Number of rows, that is, of (config, seed) pairs."""
        return sum(len(holding.rows()) for holding in self._holdings.values())

    def __repr__(self) -> str:
        where = f" in {_checks.shown_path(self.path)}" if self.path else ""
        state = ", interrupted" if self.interrupted else ""
        count = len(self._holdings)
        configs = f"{count} config{'' if count == 1 else 's'}"
        return f"<Study of {configs}, {len(self)} seeds{where}{state}>"

    def _repr_html_(self) -> str:
        """The summary as a table, for notebooks."""
        table = formatting.to_html(self.summary(), most=_MOST_SHOWN) if self._holdings else ""
        return f"<p>{html.escape(repr(self))}</p>\n{table}"

    def add(self, other: TrainingResult | Study) -> None:
        """Add the rows of a training result or another study, in memory only.

        A result must follow from its configuration and seeds alone, not from given weights or
        noise, because rows are identified by the digest of their configuration. Its weights and
        history are not added; those of a study are, as are the values of its probes.

        Raises
        ------
        ValueError
            If the result was trained from given weights or noise, or with another numerics version.
        ConflictError
            If there is already a different result for a configuration and seed; nothing is added.
        """
        if isinstance(other, Study):
            holdings = list(other._holdings.values())
        elif isinstance(other, TrainingResult):
            check_addable(other)
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
            if digest not in self._holdings:  # otherwise its precision was judged on other rows
                merged[digest].target_met = holding.target_met
        self._holdings |= merged

    def select(self, **values: Any) -> Study:
        """The configurations with these settings, as a study that shares its rows with this one.

        Parameters
        ----------
        **values
            For each column of settings or metadata in `seeds` its value, or a list of values:
            ``study.select(l1=[1e-3, 1e-2], optimizer="adam")``. A list or tuple is one value where
            a configuration has it, such as ``dropout=(0.3, 0)`` or a list in the metadata.

        Raises
        ------
        TypeError
            For a name that is not such a column.
        ValueError
            For a value that no configuration has, and if none has all of them.
        """
        chosen = Study(selecting.selected(self._all, values), self.path)
        chosen.interrupted = self.interrupted
        return chosen

    def seeds(self, config: AnyConfig | str | None = None) -> pd.DataFrame:
        """One row per configuration and seed.

        Parameters
        ----------
        config
            A configuration of the study, or its digest, to select its rows; None for all rows.

        Returns
        -------
        pandas.DataFrame
            ``digest``, every field of the configuration (inputs and tuples as text; one named
            like a result of another family in the study is prefixed with ``setting.``), metadata,
            ``seed``, the result columns, and the facts ``seconds``, ``kernel``, ``version``,
            ``isa``, ``host`` and ``numerics_version``; then the columns of probes. Counts and probe
            columns of diverged seeds are missing (<NA>).
        """
        chosen = self._all if config is None else [self._holding("Study.seeds", config)]
        return tabulate.seeds(chosen, tabulate.probed_columns(self._all))

    def to_csv(self, path: str | os.PathLike[str]) -> None:
        """Write the table `seeds` as comma-separated values; missing counts are empty."""
        target, table = _checks.file_path("Study.to_csv: path", path), self.seeds()
        write_output(target, lambda file: table.to_csv(file, index=False))

    def to_parquet(self, path: str | os.PathLike[str]) -> None:
        """Write `seeds` as one Parquet file, which pandas, polars and DuckDB read."""
        target = _checks.file_path("Study.to_parquet: path", path)
        table = pa.Table.from_pandas(self.seeds(), preserve_index=False)
        write_output(target, lambda file: pq.write_table(table, file))

    def to_xarray(self) -> xarray.Dataset:
        """The results as one labelled array per metric.

        Returns
        -------
        xarray.Dataset
            Each result column, including those of probes and ``diverged``, over the dimensions
            ``config`` and ``seed``. Values are float64, and nan where a configuration does not have
            the seed or the seed diverged. The coordinates along ``config`` are the ``digest``, the
            sizes, the fields that vary and metadata.

        Raises
        ------
        ImportError
            Without the package xarray: ``pip install 'fastpolysem[xarray]'``.
        """
        return tabulate.dataset(self._all)

    def weights(self, config: AnyConfig | str, seeds: ArrayLike | None = None) -> Any:
        """Final weights stored by `collect` with ``keep_weights=True``.

        Parameters
        ----------
        config
            A configuration of the study or its digest.
        seeds
            The seeds to return, each once, in any order; None for all seeds of the configuration in
            ascending order, including diverged ones.

        Returns
        -------
        Weights
            (S, n, m), or `Parameters` for models with more than one matrix, as returned by `train`.

        Raises
        ------
        KeyError
            If the weights of a seed were not stored.
        DamagedStudyError
            If a file with some of them is unusable.
        MemoryError
            If they would not fit into the available memory.
        """
        holding = self._holding("Study.weights", config)
        wanted = selecting.chosen_seeds("Study.weights", holding, seeds)
        _checks.memory(
            "Study.weights",
            {f"the weights of {len(wanted)} seeds": len(wanted) * weight_bytes(holding.config)},
            "ask for fewer seeds at a time",
        )
        tables = holding.tables("weights", seeds=wanted)
        return artifacts.weights_of(tables, holding.config, wanted)

    def history(self, config: AnyConfig | str) -> pd.DataFrame:
        """Values recorded during training by `collect` with ``record=``.

        Parameters
        ----------
        config
            A configuration of the study or its digest.

        Returns
        -------
        pandas.DataFrame
            ``seed``, ``step`` and one column per recorded metric, one row per seed and step. A
            metric is nan where it was not recorded.

        Raises
        ------
        ConflictError
            If there are two different values of a metric for one seed and step.
        """
        holding = self._holding("Study.history", config)
        wanted = holding.rows()["seed"].to_numpy()
        tables = holding.tables("history", seeds=wanted)
        return artifacts.history_of(tables, holding.config.digest, wanted)

    def probed(
        self, config: AnyConfig | str, name: str, seeds: ArrayLike | None = None
    ) -> NDArray[Any]:
        """Values of a probe as stored, including those of diverged seeds.

        Parameters
        ----------
        config
            A configuration of the study or its digest.
        name
            One of the probe's columns or arrays.
        seeds
            The seeds to return, each once, in any order; None for all seeds of the configuration in
            ascending order.

        Returns
        -------
        numpy.ndarray
            (S,) for a column; (S, ...) for an array or, if its shape differs between seeds, an
            object array (S,) of arrays.

        Raises
        ------
        KeyError
            If a seed was collected without the probe.
        MemoryError
            If the arrays would not fit into the available memory.
        """
        holding = self._holding("Study.probed", config)
        wanted = selecting.chosen_seeds("Study.probed", holding, seeds)
        named = tabulate.probed_columns(self._all, arrays=True)
        if not named:
            raise KeyError(f"Study.probed: the study has no values of a probe, got {name!r}")
        key, own = named[_checks.choice("Study.probed: name", name, named)]
        declaration = holding.declarations.get(key)
        if declaration is None:
            raise KeyError(f"Study.probed: {name} of the config {holding.config!r} was not stored")
        if own in declaration.columns:
            values = holding.probe_values(key)[own]
            if missing := sorted(set(wanted.tolist()) - set(values.index)):
                raise KeyError(f"{name} of seed {missing[0]} was not stored")
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
        """Means and confidence intervals, one row per configuration.

        Parameters
        ----------
        metric
            The result column, or probe column, to average. None stands for the default of the
            (first) family, which is "polysemantic" for the autoencoder.
        confidence
            Coverage of the intervals.

        Returns
        -------
        pandas.DataFrame
            ``family`` if there are several, the sizes, the fields that vary and metadata; the
            number of ``seeds`` and how many of them ``diverged``; if there are any, how many of the
            others are ``missing`` because their value is not finite; over the others the share that
            ``collapsed`` (more than 5 % of the features are unrepresented, or of a network's
            concepts not learned, so that counts are meaningless) and ``mean`` with ``ci_low`` and
            ``ci_high`` (`statistics.mean`); ``target_met`` after `collect` with a target; the
            family's references for the metric, such as a law and a null model, and ``ratio`` (the
            mean divided by the first of them) with its interval; means of further columns; and
            ``digest``.
        """
        metric = self._metric("Study.summary", metric)
        return tabulate.summary(self._all, metric, confidence)

    def labels(self) -> pd.DataFrame:
        """What distinguishes configurations, one row each: sizes, fields that vary and metadata."""
        return tabulate.labels(self._all)

    def values(self, config: AnyConfig | str, metric: str | None = None) -> NDArray[Any]:
        """One column of one configuration, in ascending order of seeds, without diverged seeds.

        Parameters
        ----------
        config
            A configuration of the study or its digest.
        metric
            Name of a result column or probe column; None as in `summary`. Seeds without values of
            the probe are left out, numbers that overflowed are not.
        """
        holding = self._holding("Study.values", config)
        if metric is None:
            metric = families.family_of(holding.config).primary
        known = columns(holding.config)
        probed = tabulate.probed_columns(self._all)
        of_probes = [name for name, (key, _) in probed.items() if key in holding.declarations]
        _checks.choice("Study.values: metric", metric, (*known, *of_probes))
        return tabulate.values_of(holding, metric, probed.get(metric))

    def _probed_columns(self) -> dict[str, probes.Column]:
        """The columns of probes, by their names in tables."""
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
        if not isinstance(config, str) and not families.is_config(config):
            allowed = "a configuration or its digest"
            raise _checks.refused(f"{where}: config", allowed, config, kind=TypeError)
        digest = config if isinstance(config, str) else config.digest
        if digest not in self._holdings:
            raise KeyError(f"{where}: the study does not contain the config {config!r}")
        return self._holdings[digest]

    def _metric(self, where: str, metric: str | None) -> str:
        """A column that some configuration has; None for the default of the first family."""
        if not self._holdings:
            return metric or ""
        if metric is None:
            return str(families.family_of(self._all[0].config).primary)
        known = (*tabulate.result_columns(self._all), *tabulate.probed_columns(self._all))
        return _checks.choice(f"{where}: metric", metric, known)
