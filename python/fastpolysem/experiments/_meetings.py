"""Inputs in which features co-occur, and the loss on them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastpolysem import _checks
from fastpolysem.families.autoencoder.config import Config
from fastpolysem.families.autoencoder.objective import forward
from fastpolysem.probes import Column
from fastpolysem.specs.inputs import FixedBatch, Independent

MIXED = Independent(probability=1 / 8, batch_size=256)
"""Trained models are evaluated on a fixed sample of these inputs, in addition to the basis."""
LOSS_MIXED = Column("float64", "loss without l1 and noise, each feature on with probability 1/8")
"""The column of `loss_on_mixed`."""


def paired_inputs(n_features: int, rate: float, couples: bool = False) -> FixedBatch:
    """Basis vectors and sums of two of them, in which each feature has a total weight of one row.

    The model is homogeneous, so a row multiplied by ``√q`` has weight ``q`` in the loss. The rows
    are ``√(1 - rate) e_i`` for each feature and ``√q (e_i + e_j)`` for each pair, with ``q`` such
    that the pairs of a feature have a total weight of ``rate``.

    Parameters
    ----------
    n_features
        n; even with couples.
    rate
        Share of its presentations in which a feature co-occurs with another one, in (0, 1].
    couples
        Whether the other one is always the same: features 0 and 1, 2 and 3, and so on.
    """
    share = _checks.real("paired_inputs: rate", rate, (">", 0), ("<=", 1))
    first, second = np.triu_indices(n_features, 1)
    if couples:
        first, second = np.arange(0, n_features - 1, 2), np.arange(1, n_features, 2)
    meetings = np.zeros((len(first), n_features))
    each = 1 if couples else n_features - 1
    meetings[np.arange(len(first)), first] = np.sqrt(share / each)
    meetings[np.arange(len(first)), second] = np.sqrt(share / each)
    return FixedBatch(np.vstack([np.sqrt(1 - share) * np.eye(n_features), meetings]))


def loss_on_mixed(weights: NDArray[Any], config: Config) -> NDArray[np.float64]:
    """Loss without l1 and noise of each model (S, n, m) on a fixed sample of `MIXED`, (S,)."""
    n = weights.shape[1]
    batch = np.random.default_rng(0).random((MIXED.batch_size, n)) < MIXED.probability
    errors = np.square(forward(weights, config, batch.astype(float)) - batch)
    result: NDArray[np.float64] = errors.sum(axis=(1, 2)) * MIXED._scale(n, len(batch))
    return result
