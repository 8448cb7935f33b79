"""Questions about networks: one case per combination of settings, and the data of each seed."""

from __future__ import annotations

import itertools
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastpolysem import _checks
from fastpolysem.experiments._answers import Answers, Question, joined, rows_of
from fastpolysem.experiments._base import Fields, measure, values_of
from fastpolysem.families.network.config import NetworkConfig
from fastpolysem.families.network.measures import formulas
from fastpolysem.families.network.measures.controls import untrained
from fastpolysem.families.network.measures.measure import Measures
from fastpolysem.families.network.measures.measure import measure as measure_use
from fastpolysem.families.network.objective import NetworkParameters
from fastpolysem.probes import Column
from fastpolysem.training import TrainingResult, train

USE = (
    *("shared_use", "polysemantic", "serving", "effective_concepts", "neurons_per_concept"),
    *("dead", "not_learned", "loss", "largest_gradient"),
)
"""Columns of `fastpolysem.TrainingResult` in every table of answers about networks, so that counts
always come with the concepts learned, the neurons used by each, and the state of training."""


class Case(NamedTuple):
    """A network of an experiment."""

    labels: Fields
    """Its values of the columns `Question.LABELS`, which distinguish cases in tables."""
    config: NetworkConfig
    most: int | None = None
    """Largest number of seeds, for costly cases."""


class NetworkQuestion(Question[Case]):
    """A question about networks.

    Presets contain the experiment's own settings, named in `OPTIONS`, which `case` turns into
    configurations.
    """

    OPTIONS: ClassVar[Mapping[str, str]]
    COLUMNS: ClassVar[tuple[str, ...]] = ()
    """Result columns of a study to include besides `USE`."""

    @abstractmethod
    def case(self, **settings: Any) -> Case | None:
        """The network for one combination of settings; None if there is none."""

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

    def _collected(self, configs: list[Case], seeds: int, **options: Any) -> Answers:
        counts = [seeds if case.most is None else min(seeds, case.most) for case in configs]
        frames = {}
        interrupted = False
        for count in dict.fromkeys(counts):
            if interrupted:
                break
            chosen = [i for i, own in enumerate(counts) if own == count]
            distinct = {configs[i].config.digest: configs[i].config for i in chosen}
            study = measure(list(distinct.values()), count, probe=self.PROBE, **options)
            interrupted = study.interrupted
            columns = (*USE, *self.COLUMNS)
            for i in chosen:
                labels = {name: configs[i].labels[name] for name in self.LABELS}
                frames[i] = rows_of(study, configs[i].config, labels, columns, self.PROBE)
        rows = joined([frames[i] for i in sorted(frames)], self.LABELS)
        return Answers(rows, interrupted)


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
    return train(untrained(result.config), result.seeds, return_weights=True, num_threads=1)


def use_of(result: TrainingResult) -> Measures:
    """Which concepts use which neurons of a block of networks."""
    return measure_use(trained_network(result), result.config)


CONTROLS: dict[str, Column] = {
    "chance": Column("float32", "shared use if concepts chose their neurons at random", (0, 1)),
    "shared_use_10": Column("float32", "shared use, second largest at least 0.1", (0, 1)),
    "shared_use_50": Column("float32", "shared use, second largest at least 0.5", (0, 1)),
}
"""Columns of probes that use `controls`."""


def controls(measures: Measures, seeds: NDArray[Any]) -> dict[str, NDArray[np.float64]]:
    """The columns `CONTROLS`: shared use by chance and at two other thresholds, means over
    layers."""
    chance = np.zeros(len(seeds))
    for i, seed in enumerate(seeds):  # one generator each, since a block may contain any seeds
        generator = np.random.default_rng(int(seed))
        layers = [formulas.permuted(rises[i], generator) for rises in measures.rises]
        chance[i] = np.mean([formulas.shared_use(rises) for rises in layers])
    found = {"chance": chance}
    for name, ratio in (("shared_use_10", 0.1), ("shared_use_50", 0.5)):
        found[name] = measures.shared_use_of_layers(ratio).mean(axis=0)
    return found
