"""A probe for the loss on the distribution that models were trained on."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from fastpolysem import _checks
from fastpolysem.families.autoencoder.config import Config, without_l1
from fastpolysem.families.autoencoder.objective import Parameters, loss_and_gradient
from fastpolysem.probes import Column, Probe
from fastpolysem.specs.inputs import CorrelatedBlocks, Independent
from fastpolysem.training import TrainingResult

_SEED = 2**64 - 1  # of the rows; models are rarely trained with it


@dataclass(frozen=True)
class DistributionLoss(Probe):
    """Final loss of an autoencoder on inputs like those it was trained on.

    The column ``loss`` of results is the squared error on the basis vectors. With sampled inputs
    features co-occur, and a model can have a small error on the basis and a large one on its own
    inputs. This probe adds ``distribution_loss``: the squared error, without noise, dropout, l1 and
    repulsion, on rows of the config's inputs, scaled like the objective (`loss_and_gradient`). The
    rows are drawn once and are the same for all seeds, so that differences between models are not
    due to the rows. For `Basis` and `FixedBatch` the rows are those that were trained on.

    Parameters
    ----------
    rows
        Number of sampled rows, at least 1.

    Raises
    ------
    TypeError
        When used with networks, whose column ``loss`` is such a loss already.
    """

    name: ClassVar[str] = "distribution_loss"
    columns: ClassVar[Mapping[str, Column]] = {
        "distribution_loss": Column(
            "float64", "final squared error on inputs like those of training", (0, None)
        )
    }
    rows: int = 4096

    def __post_init__(self) -> None:
        _checks.integer("DistributionLoss: rows", self.rows, (">=", 1))

    def check(self, config: Any) -> None:
        """Refuse the configurations of other families."""
        allowed = "the config of an autoencoder (networks have the column loss)"
        _checks.instance("DistributionLoss: config", config, Config, allowed)

    def __call__(self, result: TrainingResult) -> dict[str, Any]:
        config = result.config
        self.check(config)
        plain = without_l1(config, repulsion=0.0)
        batch = self._batch(config)
        losses = np.full(len(result), np.nan)
        for index in np.flatnonzero(~result.diverged).tolist():
            losses[index] = loss_and_gradient(_one(result.weights, index), plain, batch)[0]
        return {"distribution_loss": losses}

    def _batch(self, config: Config) -> Any:
        """Rows (B, n), or None for the config's own."""
        if not isinstance(config.inputs, (Independent, CorrelatedBlocks)):
            return None
        from fastpolysem.families.network.config import NetworkConfig
        from fastpolysem.families.network.objective import draw

        inputs = dataclasses.replace(config.inputs, batch_size=self.rows)
        widths = (config.n_features, 1, config.n_features)
        network = NetworkConfig(widths=widths, inputs=inputs, steps=1, dtype=config.dtype)
        return draw(network, _SEED, 0).inputs


def _one(weights: Any, index: int) -> Any:
    """The weights of one model of a stack."""
    if isinstance(weights, Parameters):
        parts: list[Any] = [None if part is None else part[index] for part in weights]
        return Parameters(*parts)
    return weights[index]
