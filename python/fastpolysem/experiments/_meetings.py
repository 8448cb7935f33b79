"""Inputs in which features co-occur, and the loss on them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastpolysem import _checks
from fastpolysem.families.autoencoder.config import Config
from fastpolysem.families.autoencoder.objective import forward
from fastpolysem.probes import Column
from fastpolysem.specs.inputs import Basis, CorrelatedBlocks, FixedBatch, Independent, Inputs

_MIXED_ROWS = 256
LOSS_MIXED = Column("float64", "loss without l1 and noise, each feature on with probability 2/n")
"""The column of `loss_on_mixed`."""


CONTROLS = {
    "all pairs": "one-hot",
    "couples": "one-hot",
    "independent": "one-hot, sampled",
    "Zipf": "one-hot, Zipf",
    "Zipf, independent": "one-hot, Zipf",
}
"""Kinds of inputs in which features co-occur, and those without that they are compared with."""
CLASSES = 4
"""Number of classes of pairs, by how often they meet if rates are unequal."""
_ON = 8
"""Expected number of times that a feature is on in a sampled batch."""


def meeting_inputs(rates: NDArray[np.float64], joint: NDArray[np.float64]) -> FixedBatch:
    """Basis vectors and sums of two of them, weighted by how often features are on.

    The model is homogeneous, so a row multiplied by ``√q`` has weight ``q`` in the loss. The rows
    are ``√(r_i - sum over j of q_ij) e_i`` for each feature, then ``√q_ij (e_i + e_j)`` for each
    pair with ``q_ij > 0``.

    Parameters
    ----------
    rates
        (n,) presentations r of each feature per step.
    joint
        (n, n), symmetric with a diagonal of 0: presentations q of each pair per step.
    """
    first, second = np.nonzero(np.triu(joint))
    meetings = np.zeros((len(first), len(rates)))
    size = np.sqrt(joint[first, second])
    meetings[np.arange(len(first)), first] = size
    meetings[np.arange(len(first)), second] = size
    lone = np.sqrt(np.maximum(rates - joint.sum(axis=1), 0))
    return FixedBatch(np.vstack([np.diag(lone), meetings]))


def zipf(n_features: int) -> NDArray[np.float64]:
    """Presentations per step of features whose rates fall as 1/rank, with a mean of 1."""
    shares = 1 / np.arange(1, n_features + 1)
    result: NDArray[np.float64] = n_features * shares / shares.sum()
    return result


def zipf_joint(n_features: int, mean: float) -> NDArray[np.float64]:
    """Presentations of each pair, (n, n), in proportion to both rates and with this mean."""
    rates = zipf(n_features)
    joint = np.outer(rates, rates)
    np.fill_diagonal(joint, 0)
    result: NDArray[np.float64] = joint * (mean * n_features * (n_features - 1) / joint.sum())
    return result


def meetings_of(inputs: Inputs, n: int) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Presentations per step of each of n features (n,) and of each pair (n, n).

    The inverse of `meeting_inputs`; for sampled inputs the expected numbers. None for inputs of
    another kind.
    """
    rates, joint = np.ones(n), np.zeros((n, n))
    if isinstance(inputs, Independent):
        p = np.broadcast_to(inputs.probability, (n,))
        rates, joint = n * p / p.sum(), n * np.outer(p, p) / p.sum()
    elif isinstance(inputs, CorrelatedBlocks):
        if inputs.blocks != n:
            return None
    elif not isinstance(inputs, Basis):
        length, weight = np.diff(inputs.indptr), np.square(inputs.values)
        if length.max(initial=0) > 2:
            return None
        rates = np.bincount(inputs.indices, weights=weight, minlength=n).astype(np.float64)
        place = inputs.indptr[:-1][length == 2]
        first, second = inputs.indices[place], inputs.indices[place + 1]
        if not np.array_equal(weight[place], weight[place + 1]):
            return None
        joint[first, second] = joint[second, first] = weight[place]
    np.fill_diagonal(joint, 0)
    return rates, joint


def inputs_of(kind: str, q: float, n: int) -> Inputs:
    """The inputs of a kind of which a pair is on together q times per step, on average."""
    if kind == "couples" and n % 2:
        raise _checks.refused("n_features", "even if features co-occur in couples", n)
    if kind in ("all pairs", "couples"):
        joint = np.full((n, n), q)
        if kind == "couples":
            joint = np.kron(np.eye(n // 2), np.full((2, 2), q))
        np.fill_diagonal(joint, 0)
        return meeting_inputs(np.ones(n), joint) if q else Basis()
    if kind == "independent":
        if q == 0:
            return CorrelatedBlocks(blocks=n, active=1, batch_size=_ON * n)
        return Independent(q, math.ceil(_ON / q))
    if kind == "Zipf":
        return meeting_inputs(zipf(n), zipf_joint(n, q))
    # The joint rate of features i and j is n p_i p_j / sum(p), with p in proportion to zipf(n).
    first, second = np.triu_indices(n, 1)
    scale = q / (zipf(n)[first] * zipf(n)[second]).mean()
    return Independent(tuple(scale * zipf(n)), math.ceil(_ON / scale))


def kind_of(inputs: Inputs, n: int) -> tuple[str, float]:
    """The kind of inputs, or "other", and the mean q of the pairs that co-occur."""
    found = meetings_of(inputs, n)
    if found is None:
        return "other", math.nan
    rates, joint = found
    pairs = joint[np.triu_indices(n, 1)]
    q = float(pairs[pairs > 0].mean()) if pairs.any() else 0.0
    equal, skewed = np.allclose(rates, 1), np.allclose(rates, zipf(n))
    if isinstance(inputs, Independent):
        return ("independent" if equal else "Zipf, independent" if skewed else "other"), q
    if isinstance(inputs, CorrelatedBlocks):
        return "one-hot, sampled", q
    if skewed and n > 1:
        return ("Zipf" if q else "one-hot, Zipf"), q
    if not equal:
        return "other", q
    if not q:
        return "one-hot", q
    coupled = np.kron(np.eye(n // 2), np.ones((2, 2))) > np.eye(2 * (n // 2))
    if coupled.shape == joint.shape and np.allclose(joint, q * coupled):
        return "couples", q
    return ("all pairs" if np.allclose(pairs, q) else "other"), q


def classes(n: int) -> NDArray[np.int64]:
    """The class of each pair, (n, n), by the product of the ranks of its features' rates."""
    rank = np.arange(1, n + 1)
    ends = np.array([0.5, 2, 8]) * n
    return np.asarray(np.searchsorted(ends, np.outer(rank, rank)), dtype=np.int64)


def loss_on_mixed(weights: NDArray[Any], config: Config) -> NDArray[np.float64]:
    """Loss without l1 and noise of each model (S, n, m) on a fixed sample of inputs, (S,).

    Each feature is on with probability 2/n, so that two are on average.
    """
    n = weights.shape[1]
    inputs = Independent(min(1.0, 2 / n), _MIXED_ROWS)
    batch = np.random.default_rng(0).random((_MIXED_ROWS, n)) < inputs.probability
    errors = np.square(forward(weights, config, batch.astype(float)) - batch)
    result: NDArray[np.float64] = errors.sum(axis=(1, 2)) * inputs._scale(n, _MIXED_ROWS)
    return result
