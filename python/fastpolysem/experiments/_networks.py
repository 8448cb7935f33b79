"""Questions about networks: one case per combination of settings, and the data of each seed."""

from __future__ import annotations

import functools
import itertools
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastpolysem import _checks
from fastpolysem.experiments._answers import Answers, Question, joined, rows_of
from fastpolysem.experiments._base import Fields, Training, measure, values_of
from fastpolysem.families.network.config import NetworkConfig
from fastpolysem.families.network.dataset import Dataset
from fastpolysem.families.network.measures.controls import shared_use_by_chance, untrained
from fastpolysem.families.network.measures.measure import Measures
from fastpolysem.families.network.measures.measure import measure as measure_use
from fastpolysem.families.network.objective import NetworkParameters
from fastpolysem.probes import Column
from fastpolysem.training import TrainingResult, train

if TYPE_CHECKING:
    import pandas as pd

    from fastpolysem.probes import Bounds
    from fastpolysem.studies import Study
    from fastpolysem.studies.forecast import Forecast

USE = (
    *("shared_use", "polysemantic", "serving", "effective_concepts", "neurons_per_concept"),
    *("dead", "not_learned", "loss", "largest_gradient"),
)
"""Columns of `fastpolysem.TrainingResult` in every table of answers about networks, so that counts
always come with the concepts learned, the neurons used by each, and the state of training."""

_SHARES = ("shared_use", "accuracy")


class Case(NamedTuple):
    """A network of an experiment."""

    labels: Fields
    """Its values of the columns `Question.LABELS`, which distinguish cases in tables."""
    config: NetworkConfig
    most: int | None = None
    """Largest number of seeds, for costly cases."""

    def with_inputs(self, inputs: Dataset) -> Case:
        """The same case on other rows."""
        return self._replace(config=self.config.replace(inputs=inputs))


Replicate = tuple[int, list[Case], range]
"""The number of a data set, the cases to train on it (with the rows of any), and their seeds."""


class NetworkQuestion(Question[Case]):
    """A question about networks.

    Presets contain the experiment's own settings, named in `OPTIONS`, which `case` turns into
    configurations.
    """

    OPTIONS: ClassVar[Mapping[str, str]]
    COLUMNS: ClassVar[tuple[str, ...]] = ()
    """Result columns of a study to include besides `USE`."""

    def bounds(self) -> Mapping[str, Bounds | None]:
        """No result of a network is negative, and some are shares."""
        found = {name: (0, 1 if name in _SHARES else None) for name in (*USE, *self.COLUMNS)}
        return {**found, **super().bounds()}

    @abstractmethod
    def case(self, **settings: Any) -> Case | None:
        """The network for one combination of settings; None if there is none."""

    def labels(self, config: Case) -> Fields:
        """Those of the case."""
        return config.labels

    def _expanded(self, settings: Fields, changes: Fields) -> list[Case]:
        _checks.known_names(self.NAME, changes, list(self.OPTIONS))
        values = {name: values_of(value) for name, value in {**settings, **changes}.items()}
        for name, choices in values.items():
            if not choices:
                raise ValueError(f"{name} must hold at least one value, got none")
        combinations = itertools.product(*values.values())
        cases = (self.case(**dict(zip(values, one, strict=True))) for one in combinations)
        # Each once: settings that a network does not have do not distinguish it.
        found = {(*case.labels.items(), case.config): case for case in cases if case is not None}
        if not found:
            raise ValueError(f"{self.NAME}: no network has this combination of settings")
        return list(found.values())

    def most(self, case: Case, seeds: int) -> int:
        """How many of this many seeds a case gets."""
        return seeds if case.most is None else min(seeds, case.most)

    def training(self, configs: list[Case], seeds: int) -> Training:
        """The networks by their number of seeds, each once."""
        found: dict[int, dict[str, Any]] = {}
        for case in configs:
            found.setdefault(self.most(case, seeds), {})[case.config.digest] = case.config
        return [(list(distinct.values()), count) for count, distinct in found.items()]

    def _collected(self, configs: list[Case], seeds: int, **options: Any) -> Answers:
        frames = {}
        interrupted = False
        for networks, count in self.training(configs, seeds):
            study = measure(networks, count, probe=self.PROBE, **options)
            for i, case in enumerate(configs):
                if self.most(case, seeds) == count:
                    frames[i] = self._rows_of(study, case)
            if interrupted := study.interrupted:
                break
        rows = joined([frames[i] for i in sorted(frames)], self.LABELS)
        return Answers(rows, interrupted)

    def _rows_of(self, study: Study, case: Case) -> pd.DataFrame:
        labels = {name: case.labels[name] for name in self.LABELS}
        return rows_of(study, case.config, labels, (*USE, *self.COLUMNS), self.PROBE)


class ReplicateQuestion(NetworkQuestion):
    """A question whose replicates are data sets, each with seeds of its own, so that no start is on
    several of them."""

    REPLICATE: ClassVar[str]
    """Column with the number of the data set."""

    @abstractmethod
    def replicates(self, configs: list[Case], seeds: int) -> Iterator[Replicate]:
        """What is trained on each data set, in this order."""

    @abstractmethod
    def inputs(self, case: Case, number: int) -> Dataset:
        """The rows of a data set."""

    def training(self, configs: list[Case], seeds: int) -> Training:
        """The cases on each data set."""
        return [self._part(one) for one in self.replicates(configs, seeds)]

    def forecast(self, configs: list[Case], seeds: int, **options: Any) -> Forecast | None:
        """From some of the data sets, as generating all of them takes long.

        They are trained in order. Therefore, if as many seeds are stored of two of them, as many
        are of those between.
        """
        from fastpolysem.studies.forecast import stored_seeds, together

        options = {"probe": self.PROBE, **options}
        parts, times = [], []
        # Data sets with the same cases and as many seeds.
        for _, group in itertools.groupby(
            self.replicates(configs, seeds), lambda one: ([*map(id, one[1])], len(one[2]))
        ):
            alike = list(group)

            @functools.cache
            def stored(at: int, alike: list[Replicate] = alike) -> int:
                networks, own = self._part(alike[at])
                return stored_seeds(networks, seeds=own, **options)

            for at, count in _runs(stored, 0, len(alike) - 1):
                parts.append(self._part(alike[at]))
                times.append(count)
        return together(parts, times=times, **options)

    def _part(self, replicate: Replicate) -> tuple[list[NetworkConfig], range]:
        number, cases, own = replicate
        return [case.with_inputs(self.inputs(case, number)).config for case in cases], own

    def _collected(self, configs: list[Case], seeds: int, **options: Any) -> Answers:
        frames: list[pd.DataFrame] = []
        for number, cases, own in self.replicates(configs, seeds):
            cases = [case.with_inputs(self.inputs(case, number)) for case in cases]
            networks = [case.config for case in cases]
            study = measure(networks, own, probe=self.PROBE, **options)
            for case in cases:
                frames.append(self._rows_of(study, case).assign(**{self.REPLICATE: number}))
            if study.interrupted:
                return Answers(joined(frames, self.LABELS), True)
        return Answers(joined(frames, self.LABELS))


def _runs(value: Callable[[int], int], first: int, last: int) -> list[tuple[int, int]]:
    """The numbers from first to last in runs of one value, each as its first number and length; the
    values ascend or descend, so that most need not be known."""
    if value(first) == value(last):
        return [(first, last - first + 1)]
    middle = (first + last) // 2
    return [*_runs(value, first, middle), *_runs(value, middle + 1, last)]


def trained_network(result: TrainingResult) -> NetworkParameters:
    """The weights of a block of networks; zeros for diverged seeds."""
    parameters: Any = result.weights
    gone = np.flatnonzero(result.diverged)

    def kept(array: NDArray[Any] | None) -> NDArray[Any] | None:
        if array is None:
            return None
        array = np.array(array)
        array[gone] = 0
        return array

    weights = [np.asarray(kept(one)) for one in parameters.weights]
    biases = parameters.biases
    return NetworkParameters(weights, None if biases is None else [kept(one) for one in biases])


def before_training(result: TrainingResult) -> TrainingResult:
    """The networks of a block, with weights, before their first step."""
    return train(untrained(result.config), result.seeds, return_weights=True)


def use_of(result: TrainingResult) -> Measures:
    """Which concepts use which neurons of a block of networks."""
    return measure_use(trained_network(result), result.config)


def as_share(doc: str) -> Column:
    """A column of shares, from 0 to 1."""
    return Column("float32", doc, (0, 1))


CONTROLS: dict[str, Column] = {
    "chance": as_share("shared use if concepts chose their neurons at random"),
    "shared_use_10": as_share("shared use, second largest at least 0.1"),
    "shared_use_50": as_share("shared use, second largest at least 0.5"),
}
"""Columns of probes that use `controls`."""


def controls(measures: Measures, seeds: NDArray[Any]) -> dict[str, NDArray[np.float64]]:
    """The columns `CONTROLS`: shared use by chance and at two other thresholds, means over
    layers."""
    found = {"chance": shared_use_by_chance(measures.rises, seeds.tolist())}
    for name, ratio in (("shared_use_10", 0.1), ("shared_use_50", 0.5)):
        found[name] = measures.shared_use_of_layers(ratio).mean(axis=0)
    return found
