"""Controls for measures of networks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fastpolysem import _checks
from fastpolysem.families.network.config import NetworkConfig
from fastpolysem.families.network.dataset import Dataset
from fastpolysem.families.network.measures import formulas
from fastpolysem.families.network.measures.measure import measure
from fastpolysem.families.network.objective import pack, unpack
from fastpolysem.probes import Column, Probe
from fastpolysem.training import TrainingResult


def untrained(config: NetworkConfig) -> NetworkConfig:
    """The same networks before their first step.

    Parameters
    ----------
    config
        Any configuration.

    Returns
    -------
    NetworkConfig
        The same, with 0 steps and without schedules.
    """
    _checks.instance("untrained: config", config, NetworkConfig, "a NetworkConfig")
    return config.replace(steps=0, l1_schedule=None, learning_rate_schedule=None, bias_decay=None)


def shuffled(config: NetworkConfig, seed: int = 0) -> NetworkConfig:
    """The same networks, trained on the same rows with the targets of other rows.

    Parameters
    ----------
    config
        A configuration with a `Dataset`. Its held-out rows keep their targets.
    seed
        Seed of the permutation of the training rows' targets.

    Returns
    -------
    NetworkConfig

    Raises
    ------
    ValueError
        If the config has no data set.
    """
    _checks.instance("shuffled: config", config, NetworkConfig, "a NetworkConfig")
    data = config.inputs
    if not isinstance(data, Dataset):
        raise _checks.refused("shuffled: config", "a config with a Dataset", config)
    number = _checks.integer("shuffled: seed", seed, (">=", 0))
    order = np.random.default_rng(number).permutation(len(data.targets))
    targets = data.targets[order]
    other = Dataset(data.inputs, targets, data.batch_size, data.label_noise, data.held_out)
    return config.replace(inputs=other)


def shared_use_by_chance(
    layers: Sequence[NDArray[np.float64]], seeds: Iterable[int | tuple[int, ...]]
) -> NDArray[np.float64]:
    """Shared use of each network if concepts chose their neurons at random, a mean over layers.

    Parameters
    ----------
    layers
        For each layer, the (S, K, C) rises of all networks.
    seeds
        S seeds of permutations, one for each network, whatever others are measured with it.

    Returns
    -------
    (S,) float64
    """
    chance = []
    for at, seed in enumerate(seeds):
        generator = np.random.default_rng(seed)
        each = [formulas.permuted(rises[at], generator) for rises in layers]
        chance.append(np.mean([formulas.shared_use(rises) for rises in each]))
    return np.array(chance, dtype=np.float64)


@dataclass(frozen=True)
class Controls(Probe):
    """Shared use at other ratios, and by chance: for ``collect(..., probe=measures.Controls())``.

    Its columns are ``shared_use_by_chance``, ``shared_use_at_10`` and ``shared_use_at_50``.

    Attributes
    ----------
    seed
        Seed of the permutation, together with each network's own seed.

    Raises
    ------
    TypeError
        When used with models other than networks.
    """

    name: ClassVar[str] = "controls"
    columns: ClassVar[Mapping[str, Column]] = {
        "shared_use_by_chance": Column(
            "float64", "shared use with each concept's use permuted over neurons", (0.0, 1.0)
        ),
        "shared_use_at_10": Column("float64", "shared use from a ratio of 0.1", (0.0, 1.0)),
        "shared_use_at_50": Column("float64", "shared use from a ratio of 0.5", (0.0, 1.0)),
    }

    seed: int = 0

    def __post_init__(self) -> None:
        _checks.integer("Controls: seed", self.seed, (">=", 0))

    def check(self, config: Any) -> None:
        """Refuse the configurations of other families."""
        _checks.instance("Controls: config", config, NetworkConfig, "a NetworkConfig")

    def __call__(self, result: TrainingResult) -> dict[str, Any]:
        """Measure the final weights of a block; nan for diverged seeds."""
        self.check(result.config)
        values = {name: np.full(len(result.seeds), np.nan) for name in self.columns}
        valid = np.flatnonzero(~result.diverged)
        if not len(valid):
            return values
        arrays = pack(result.config, result.weights)
        own = unpack(result.config, {name: array[valid] for name, array in arrays.items()})
        found = measure(own, result.config)
        own_seeds = [(self.seed, int(number)) for number in result.seeds[valid]]
        values["shared_use_by_chance"][valid] = shared_use_by_chance(found.rises, own_seeds)
        values["shared_use_at_10"][valid] = found.shared_use_of_layers(0.1).mean(axis=0)
        values["shared_use_at_50"][valid] = found.shared_use_of_layers(0.5).mean(axis=0)
        return values
