"""Measures of a study beside the columns that all networks have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from fastpolysem.families.network.measures import formulas
from fastpolysem.families.network.measures.measure import measure
from fastpolysem.probes import Column, Probe
from fastpolysem.training import TrainingResult


@dataclass(frozen=True)
class Controls(Probe):
    """Shared use at other ratios, and by chance: for ``collect(..., probe=measures.Controls())``.

    Attributes
    ----------
    seed
        Of the permutation, together with each network's own seed.
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

    def __call__(self, result: TrainingResult) -> dict[str, Any]:
        """Measure the final weights of a block."""
        found = measure(result.weights, result.config)
        chance: list[float] = []
        for number in result.seeds:  # from the network's own seed, whatever block it is in
            generator = np.random.default_rng((self.seed, int(number)))
            at = len(chance)
            layers = [formulas.permuted(rises[at], generator) for rises in found.rises]
            chance.append(float(np.mean([formulas.shared_use(layer) for layer in layers])))
        return {
            "shared_use_by_chance": np.array(chance),
            "shared_use_at_10": found.shared_use_of_layers(0.1).mean(axis=0),
            "shared_use_at_50": found.shared_use_of_layers(0.5).mean(axis=0),
        }
