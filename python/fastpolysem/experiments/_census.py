"""Who shares with whom: connected components of features and neurons, read off the weights."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastpolysem.families.network.objective import NetworkParameters
from fastpolysem.probes import Column

EDGE = 0.2
"""A feature is joined to a neuron whose weight has at least this share of the feature's largest."""
WINDOW = (0.8, 1.2)
"""Sizes of weights that the paper counts."""

COLUMNS: dict[str, Column] = {
    "alone": Column("int32", "features that have one neuron for themselves"),
    "spread": Column("int32", "features that have several neurons for themselves"),
    "pairs": Column("int32", "neurons with two features that have no other neuron"),
    "triangles": Column("int32", "groups of three features and three neurons"),
    "larger": Column("int32", "all other groups of two or more features"),
    "features_in_groups": Column("int32", "features in pairs, triangles and larger groups"),
    "neurons_in_groups": Column("int32", "their neurons"),
    "largest_group": Column("int32", "features in the largest of these groups"),
    "window": Column("int32", "neurons with two or more weights of 0.8 to 1.2 from features"),
}
"""What `census` counts in a network."""


def edges(parameters: NetworkParameters) -> NDArray[np.bool_]:
    """Which features are joined to which neurons of the first hidden layer, (S, n, m).

    By the first matrix and, with one hidden layer of an untied network, by the second: a feature
    that only reads a neuron is joined to it too.
    """
    first = np.abs(np.asarray(parameters.weights[0], dtype=np.float64))
    sides = [first]
    if len(parameters.weights) == 2 and parameters.weights[1].shape[1:] == first.shape[:0:-1]:
        sides.append(np.abs(np.swapaxes(np.asarray(parameters.weights[1], np.float64), 1, 2)))
    joined = np.zeros(first.shape, dtype=bool)
    for side in sides:
        joined |= (side > 0) & (side >= EDGE * side.max(axis=2, keepdims=True))
    return joined


def groups(joined: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Features and neurons of each component of one network that has a feature, (components, 2)."""
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components

    n, m = joined.shape
    feature, neuron = np.nonzero(joined)
    graph = csr_array((np.ones(len(feature)), (feature, n + neuron)), shape=(n + m, n + m))
    count, label = connected_components(graph, directed=False)
    sizes = np.stack(
        [np.bincount(part, minlength=count) for part in (label[:n], label[n:])], axis=1
    )
    return np.asarray(sizes[sizes[:, 0] > 0], dtype=np.int64)


def census(parameters: NetworkParameters) -> dict[str, NDArray[Any]]:
    """The columns of `COLUMNS`, (S,) each."""
    joined = edges(parameters)
    counts: dict[str, list[int]] = {name: [] for name in COLUMNS if name != "window"}
    for one in joined:
        features, neurons = groups(one).T
        several = features > 1
        pair = (features == 2) & (neurons == 1)
        triangle = (features == 3) & (neurons == 3)
        found = {
            "alone": (features == 1) & (neurons == 1),
            "spread": (features == 1) & (neurons > 1),
            "pairs": pair,
            "triangles": triangle,
            "larger": several & ~pair & ~triangle,
        }
        for name, which in found.items():
            counts[name].append(int(which.sum()))
        counts["features_in_groups"].append(int(features[several].sum()))
        counts["neurons_in_groups"].append(int(neurons[several].sum()))
        counts["largest_group"].append(int(features[several].max(initial=0)))
    size = np.abs(parameters.weights[0])
    inside = (size >= WINDOW[0]) & (size <= WINDOW[1])
    result: dict[str, NDArray[Any]] = {name: np.array(values) for name, values in counts.items()}
    return result | {"window": (inside.sum(axis=1) > 1).sum(axis=1)}
