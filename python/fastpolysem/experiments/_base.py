"""What all experiments share: presets and changes to them, the run, the files.

The module of an experiment defines a class with its question, settings, probe, table and figure.
Everything that several experiments have in common is here.
"""

from __future__ import annotations

import os
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from fastpolysem import _checks
from fastpolysem._files import write_output
from fastpolysem.families.autoencoder.config import Config
from fastpolysem.families.grid import grid
from fastpolysem.training import Record

if TYPE_CHECKING:
    from concurrent.futures import Executor

    import pandas as pd
    from matplotlib.axes import Axes

    from fastpolysem.families import AnyConfig
    from fastpolysem.probes import Probe
    from fastpolysem.statistics import Estimate
    from fastpolysem.studies import Progress, Study
    from fastpolysem.studies.forecast import Forecast

Fields = dict[str, Any]
"""Values of fields by name; a list or range holds several values."""
Presets = dict[str, Fields]
"""Settings by name of the preset: fields, and a number of ``seeds``."""
Training = list[tuple[list[Any], "int | range"]]
"""Lists of configurations, each with the seeds of all in it, or their number."""

Allowed = Callable[[str, Any], object]
"""A check of a value of the setting that a label names, which raises an error."""

Setting = TypeVar("Setting")
Data = TypeVar("Data")


class Experiment(ABC, Generic[Setting, Data]):
    """A figure or a question: its settings, run, numbers and figure.

    Importing its module must be quick: tables and plots are imported where they are used.
    """

    NAME: ClassVar[str]
    """The module's name."""
    SUMMARY: ClassVar[str]
    """One sentence for the command line."""
    FIGURE_SIZE: ClassVar[tuple[float, float]]
    """Width and height of the figure in inches."""
    PRESETS: ClassVar[Presets]
    """Settings by name, including "default", "quick", "paper" and "large": a number of ``seeds``
    and fields of `Config`, or of whatever the experiment uses instead."""
    OPTIONS: ClassVar[Mapping[str, str] | None] = None
    """The settings that the command line can change, with their help; None for the fields of
    `Config`."""
    CHOICES: ClassVar[Mapping[str, Collection[str]]] = {}
    """Allowed values of those `OPTIONS` that are names."""
    ALLOWED: ClassVar[Mapping[str, Allowed]] = {}
    """Settings of which it takes fewer values than a configuration: `only`, `whole`, `number`."""
    PROBE: ClassVar[Probe | None] = None
    """Probe for what it needs besides the columns of a study."""

    def configs(self, preset: str = "default", **changes: Any) -> list[Setting]:
        """The configurations of a preset; a list in ``changes`` gives several values of a field."""
        settings = dict(self.PRESETS[_checks.choice("preset", preset, self.PRESETS)])
        settings.pop("seeds", None)
        changes.pop("seeds", None)
        self._check_changes(changes)
        given = dict(changes)
        try:
            configs = self._expanded(settings, changes)
        except ValueError as error:
            # The setting that the message names may be the preset's.
            if given and not any(re.search(rf"\b{name} must", str(error)) for name in given):
                said = ", ".join(f"{name} = {_in_words(value)}" for name, value in given.items())
                error.add_note(f"{self.NAME}: the preset {preset!r} cannot be used with {said}")
            raise
        for config in configs:
            self.check(config)
        return configs

    def _check_changes(self, changes: Fields) -> None:
        """Refuse changes that do not satisfy `CHOICES` and `ALLOWED`."""
        for name, values in changes.items():
            label = f"{self.NAME}: {name}"
            for value in values_of(values):
                if name in self.CHOICES:
                    _checks.choice(label, value, self.CHOICES[name])
                if name in self.ALLOWED:
                    self.ALLOWED[name](label, value)

    def check(self, config: Setting) -> None:
        """Raise a ValueError if a configuration is one that this experiment cannot examine."""

    def chosen(
        self, preset: str, seeds: int | None = None, **changes: Any
    ) -> tuple[list[Setting], int]:
        """The configurations of a preset, and the number of seeds: its own if None."""
        configs = self.configs(preset, **changes)
        number = self.PRESETS[preset]["seeds"] if seeds is None else seeds
        return configs, _checks.integer(f"{self.NAME}: seeds", number, (">=", 1))

    def run(
        self,
        preset: str = "default",
        *,
        seeds: int | None = None,
        path: str | os.PathLike[str] | None = None,
        executor: Executor | None = None,
        num_threads: int | None = None,
        progress: bool | Callable[[Progress], object] | None = None,
        **changes: Any,
    ) -> Data:
        """Train what is missing in ``path`` (without a path, everything), in this process or on an
        executor, and return the data for the other methods."""
        configs, count = self.chosen(preset, seeds, **changes)
        return self._collected(
            configs,
            count,
            path=path,
            executor=executor,
            num_threads=num_threads,
            progress=progress,
        )

    def training(self, configs: list[Setting], seeds: int) -> Training:
        """What `run` trains, given the configurations of a preset and its number of seeds; empty
        for an experiment that trains nothing."""
        return []

    def record(self, configs: Sequence[Any]) -> Record | None:
        """What to record while these configurations are trained."""
        return None

    def forecast(self, configs: list[Setting], seeds: int, **options: Any) -> Forecast | None:
        """How long `training` would take, with probe and records; None if it trains nothing.
        ``path`` and ``num_threads`` are as in `run`."""
        from fastpolysem.studies.forecast import together

        parts = self.training(configs, seeds)
        return together(parts, self.record, probe=self.PROBE, **options) if parts else None

    @abstractmethod
    def table(self, data: Data) -> pd.DataFrame:
        """The numbers of the figure with their intervals, one row per point."""

    @abstractmethod
    def rows(self, data: Data) -> pd.DataFrame:
        """The raw data, one row per seed."""

    @abstractmethod
    def draw(self, data: Data, ax: Axes | None = None) -> Axes:
        """Draw the figure on the axes or, if it has several panels, in their place."""

    def write(self, data: Data, folder: str | os.PathLike[str]) -> str:
        """Write table, rows and figure to a folder, under the experiment's name.

        Returns
        -------
        str
            Text that the command line prints in addition to the table; empty by default.
        """
        from matplotlib.figure import Figure

        from fastpolysem import plots
        from fastpolysem.experiments._drawing import without_data

        stem = Path(folder) / self.NAME
        rows = self.rows(data)
        if "diverged" in rows and rows["diverged"].all():
            raise ValueError(
                f"{self.NAME}: all seeds diverged, so there is nothing to show; use a smaller "
                "learning_rate"
            )
        table = self.table(data)
        write_output(f"{stem}.csv", lambda file: table.to_csv(file, index=False))
        write_output(f"{stem}-seeds.csv", lambda file: rows.to_csv(file, index=False))
        write_output(f"{stem}-seeds.parquet", lambda file: rows.to_parquet(file, index=False))
        figure = Figure(figsize=self.FIGURE_SIZE, layout="constrained")
        ax = self.draw(data, figure.subplots())
        without_data(figure)
        plots.save(ax, f"{stem}.png")
        plots.save(ax, f"{stem}.svg")
        return ""

    @abstractmethod
    def _expanded(self, settings: Fields, changes: Fields) -> list[Setting]:
        """All configurations of a preset with the changes applied."""

    @abstractmethod
    def _collected(
        self,
        configs: list[Setting],
        seeds: int,
        *,
        path: str | os.PathLike[str] | None,
        executor: Executor | None,
        num_threads: int | None,
        progress: bool | Callable[[Progress], object] | None,
    ) -> Data:
        """The data of this many seeds per configuration."""


class TrainingExperiment(Experiment[Config, Data]):
    """An experiment that trains models."""

    def ways(self, settings: Fields, changes: Fields) -> Iterable[Fields]:
        """Fields to set together, for each way to train; changes take precedence.

        May remove entries of ``settings`` and ``changes`` that are not fields of `Config`.
        """
        return [{}]

    def training(self, configs: list[Config], seeds: int) -> Training:
        """All configurations with all seeds."""
        return [(configs, seeds)]

    def _expanded(self, settings: Fields, changes: Fields) -> list[Config]:
        ways = list(self.ways(settings, changes))
        # Fields vary in the order of settings and changes; those of a way vary last.
        return [
            config
            for way in ways
            for config in combinations({**settings, **changes, **way, **changes})
        ]

    def _collected(self, configs: list[Config], seeds: int, **options: Any) -> Data:
        return self._data(
            measure(configs, seeds, probe=self.PROBE, record=self.record(configs), **options)
        )

    @abstractmethod
    def _data(self, study: Study) -> Data:
        """The data of the experiment, from the study of everything that was trained."""


class StudyExperiment(TrainingExperiment["Study"]):
    """An experiment whose data are a study with its probe and history."""

    def _data(self, study: Study) -> Study:
        return study

    def table(self, data: Study) -> pd.DataFrame:
        """Mean counts with 95 % intervals, law and null model, one row per configuration."""
        return data.summary().drop(columns=["loss", "benign", "malign", "digest"])

    def rows(self, data: Study) -> pd.DataFrame:
        """One row per seed."""
        return data.seeds()


def measure(
    configs: Sequence[AnyConfig],
    seeds: int | Sequence[int],
    *,
    probe: Probe | None = None,
    record: Record | None = None,
    **options: Any,
) -> Study:
    """Train these seeds, or the seeds 0 to ``seeds - 1``, of each configuration.

    All experiments train here.

    Parameters
    ----------
    configs, seeds
        What to train.
    probe, record
        What to store for a seed besides the columns of a study.
    **options
        ``path``, ``executor``, ``num_threads`` and ``progress``, as in `fastpolysem.collect`.
    """
    from fastpolysem.studies import collect

    return collect(configs, seeds=seeds, probe=probe, record=record, **options)


def check_distinguished(
    name: str,
    labels: Sequence[str],
    keys: Sequence[Any],
    configs: Sequence[Any],
    changes: Fields,
) -> None:
    """Refuse changes after which different configurations have the same labels, so that a table
    would merge them.

    Parameters
    ----------
    name
        Of the experiment.
    labels
        Names of the labels.
    keys
        Their values, for each of ``configs``.
    configs, changes
        What the changes lead to.
    """
    digests = [getattr(config, "config", config).digest for config in configs]
    if len(set(keys)) == len(set(zip(keys, digests, strict=True))):
        return
    given = {field: values_of(values) for field, values in changes.items()}
    for field, values in given.items():
        if len(values) > 1 and field not in labels:
            raise _checks.refused(f"{name}: {field}", "one value", values)
    said = ", ".join(f"{field} = {_in_words(values)}" for field, values in changes.items())
    raise ValueError(
        f"{name}: with {said}, several configurations have the same {', '.join(labels)}, by which "
        "the table distinguishes them"
    )


class Curves(NamedTuple):
    """Recorded values of a configuration's seeds, without diverged ones."""

    seeds: NDArray[np.uint64]
    """(S,)"""
    steps: NDArray[np.int64]
    """(R,)"""
    values: dict[str, NDArray[np.float64]]
    """(S, R) of each metric."""
    trained: int
    """Number of seeds, including diverged ones."""


def curves(study: Study, config: Config) -> Curves:
    """The recorded values of a configuration."""
    rows, history = study.seeds(config), study.history(config)
    seeds = rows.loc[~rows["diverged"], "seed"].to_numpy()
    steps = np.unique(history["step"].to_numpy())
    history = history[history["seed"].isin(seeds)]
    values = {
        name: history[name].to_numpy().reshape(len(seeds), len(steps))
        for name in history.columns[2:]
    }
    return Curves(seeds, steps, values, len(rows))


def combinations(settings: Mapping[str, Any]) -> list[Config]:
    """All combinations of settings; a list or range holds several values of a field."""
    values = {name: values_of(value) for name, value in settings.items()}
    for name, choices in values.items():
        if not choices:
            raise ValueError(f"{name} must hold at least one value, got none")
    base = Config(**{name: choices[0] for name, choices in values.items()})
    return grid(base, **values)


def only(wanted: Any) -> Allowed:
    """The check of a setting that has only one possible value."""

    def check(label: str, value: Any) -> None:
        if value != wanted:
            raise _checks.refused(label, repr(wanted), value)

    return check


ONE_MATRIX: Mapping[str, Allowed] = {"tied": only(True), "bias": only(False)}
"""`Experiment.ALLOWED` of experiments that need models whose weights are one matrix."""


def whole(*bounds: _checks.Bound) -> Allowed:
    """The check of a setting that is an integer within bounds."""
    return lambda label, value: _checks.integer(label, value, *bounds)


def odd(*bounds: _checks.Bound) -> Allowed:
    """The check of a setting that is an odd integer within bounds."""

    def check(label: str, value: Any) -> None:
        if _checks.integer(label, value, *bounds) % 2 == 0:
            raise _checks.refused(label, "odd", value)

    return check


def number(*bounds: _checks.Bound) -> Allowed:
    """The check of a setting that is a finite number within bounds."""
    return lambda label, value: _checks.real(label, value, *bounds)


ORTHANT: Mapping[str, Allowed] = {**ONE_MATRIX, "l1": number((">", 0))}
"""The same for those that set ``l1_update="orthant"``."""


POSITIVE = whole((">=", 1))
"""The check of a size."""

NATURAL = whole((">=", 0))
"""The check of a number, such as that of updates."""


def _in_words(value: Any) -> str:
    return ", ".join(str(one) for one in values_of(value))


def values_of(value: Any) -> list[Any]:
    """The values of a setting: those in a list or range, or the value itself."""
    return list(value) if isinstance(value, (list, range)) else [value]


def labelled(study: Study) -> list[tuple[Config, dict[str, Any]]]:
    """Each configuration of a study, with what distinguishes it from the others."""
    labels = study.labels()
    return [
        (config, {name: labels[name].iloc[index] for name in labels.columns})
        for index, config in enumerate(study.configs)
    ]


def told_apart(study: Study, known: Sequence[str] = ()) -> dict[Config, list[str]]:
    """For each configuration, ``name=value`` of the labels in which configurations of the study
    differ, other than those ``known``."""
    rows = labelled(study)
    names = [
        name
        for name in study.labels().columns
        if name not in known and len({str(labels[name]) for _, labels in rows}) > 1
    ]
    return {config: [f"{name}={labels[name]}" for name in names] for config, labels in rows}


def with_interval(name: str, estimate: Estimate, ends: str | None = None) -> dict[str, float]:
    """Three columns of a table: the value as ``name``, and the ends of its interval with the
    suffixes ``_low`` and ``_high`` after ``ends``, by default ``name``."""
    ends = name if ends is None else ends
    return {name: estimate.value, f"{ends}_low": estimate.low, f"{ends}_high": estimate.high}


def recorded(metrics: str | Sequence[str], longest: int, shortest: int) -> Record:
    """Step 0 and about 80 geometrically spaced steps up to the last step of the longest training,
    limited to those of the shortest."""
    at = np.unique(np.round(np.geomspace(1, max(longest, 1), 80)).astype(int))
    return Record(metrics, [0, *at[at <= shortest].tolist()])
