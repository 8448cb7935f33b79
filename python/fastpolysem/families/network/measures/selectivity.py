"""Formulas over activations: how neurons distinguish classes and conditions.

Activations are (..., B rows, K neurons), with any number of leading axes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastpolysem import _checks
from fastpolysem.families.network.measures.formulas import Floats, comparable, quotient, table_of

__all__ = ["class_means", "class_selectivity", "mixed_selectivity", "semantic_consistency"]


def class_selectivity(activations: ArrayLike, classes: ArrayLike) -> Floats:
    """(mu_max - mu_rest) / (mu_max + mu_rest) of each neuron's class means (Morcos et al. 2018).

    mu_max is the largest mean activation of a class, mu_rest the mean of the means of the others.
    Meant for non-negative activations.

    Parameters
    ----------
    activations
        (..., B, K)
    classes
        (B,) integers.

    Returns
    -------
    (..., K) float64, from 0 to 1 for non-negative activations; 0 for neurons that are always 0, or
    whose two means have a negative sum.

    Examples
    --------
    Means of 3 and 1:

    >>> class_selectivity([[4.0], [2.0], [1.0]], [0, 0, 1]).tolist()
    [0.5]
    """
    means = _class_means("class_selectivity", activations, classes)
    if means.shape[-2] < 2:
        raise ValueError("class_selectivity: classes must have two or more values, got one")
    most = means.max(axis=-2)
    rest = (means.sum(axis=-2) - most) / (means.shape[-2] - 1)
    return quotient(most - rest, most + rest)


def class_means(activations: ArrayLike, classes: ArrayLike) -> Floats:
    """Mean activation of each neuron over the rows of each class that occurs.

    Parameters
    ----------
    activations
        (..., B, K)
    classes
        (B,) integers.

    Returns
    -------
    (..., classes, K) float64

    Examples
    --------
    >>> class_means([[4.0], [2.0], [1.0]], [0, 0, 1]).tolist()
    [[3.0], [1.0]]
    """
    return _class_means("class_means", activations, classes)


def _class_means(where: str, activations: ArrayLike, classes: ArrayLike) -> Floats:
    a = table_of(f"{where}: activations", activations, "rows", "neurons")
    labels = _labels(f"{where}: classes", classes, a.shape[-2])
    return np.stack([a[..., labels == c, :].mean(axis=-2) for c in np.unique(labels)], axis=-2)


def _labels(label: str, value: ArrayLike, rows: int) -> NDArray[np.int64]:
    labels = np.array(_checks.integers(label, value, (">=", -(2**63)), ("<", 2**63)), np.int64)
    if len(labels) != rows:
        raise ValueError(f"{label} must have one entry per row, {rows}, got {len(labels)}")
    return labels


def semantic_consistency(
    activations: ArrayLike, classes: ArrayLike, threshold: float = 0.1
) -> Floats:
    """To what extent the rows to which a neuron responds are of one class (Zhang et al. 2024).

    The share of the most frequent class among the rows in which the neuron's activation, divided by
    the Euclidean norm of the row's activations, is above the threshold.

    Parameters
    ----------
    activations
        (..., B, K)
    classes
        (B,) integers.
    threshold
        Threshold of the normalised activation.

    Returns
    -------
    (..., K) float64; nan for neurons that respond to no row.

    Examples
    --------
    Of four rows to which the neuron responds, three are of class 0:

    >>> semantic_consistency([[1.0], [2.0], [1.0], [3.0], [0.0]], [0, 0, 0, 1, 1]).tolist()
    [0.75]
    """
    a = table_of("semantic_consistency: activations", activations, "rows", "neurons")
    a = comparable(a, -1)
    labels = _labels("semantic_consistency: classes", classes, a.shape[-2])
    least = _checks.real("semantic_consistency: threshold", threshold)
    active = quotient(a, np.linalg.norm(a, axis=-1, keepdims=True)) > least
    counts = np.stack([active[..., labels == c, :].sum(axis=-2) for c in np.unique(labels)], -2)
    total = counts.sum(axis=-2)
    return np.where(total > 0, quotient(counts.max(axis=-2), total), np.nan)


def mixed_selectivity(
    activations: ArrayLike, first: ArrayLike, second: ArrayLike
) -> dict[str, Floats]:
    """Decompose a neuron's variance over the conditions of a factorial task (Rigotti et al. 2013).

    Of the variance of the cell means of two factors, with all cells weighted equally: the shares of
    the main effects and of their interaction, which is nonlinear mixed selectivity. To avoid bias
    from noise, the rows of each cell are divided into two halves, alternately, and the effects in
    one half are multiplied by those in the other; a share may therefore lie outside [0, 1].

    Parameters
    ----------
    activations
        (..., B, K)
    first, second
        (B,) integers, the levels of the factors; every combination must occur in at least two rows.

    Returns
    -------
    dict
        "first", "second", "interaction": (..., K) float64, whose sum is 1; nan for neurons whose
        estimated variance over the cells is not positive.

    Raises
    ------
    ValueError
        If a combination has fewer than two rows.

    Examples
    --------
    A sum of both factors, and a neuron that is active for one combination only:

    >>> first, second = [0, 0, 0, 0, 1, 1, 1, 1], [0, 0, 1, 1, 0, 0, 1, 1]
    >>> activations = [[a + b, a * b] for a, b in zip(first, second)]
    >>> mixed_selectivity(activations, first, second)["interaction"].round(3).tolist()
    [0.0, 0.333]
    """
    a = comparable(table_of("mixed_selectivity: activations", activations, "rows", "neurons"), -2)
    a = a - a[..., :1, :]  # means of a constant are exact
    levels = [
        np.unique(_labels(f"mixed_selectivity: {name}", value, a.shape[-2]), return_inverse=True)
        for name, value in (("first", first), ("second", second))
    ]
    shape = tuple(len(values) for values, _ in levels)
    cell = levels[0][1] * shape[1] + levels[1][1]
    if (fewest := np.bincount(cell, minlength=shape[0] * shape[1]).min()) < 2:
        raise ValueError(
            f"mixed_selectivity: every combination must have two rows or more, got {fewest}"
        )
    halves = []
    for part in range(2):
        rows = [np.flatnonzero(cell == c)[part::2] for c in range(shape[0] * shape[1])]
        means = np.stack([a[..., r, :].mean(axis=-2) for r in rows], axis=-2)
        halves.append(means.reshape(*means.shape[:-2], *shape, means.shape[-1]))
    products = [x * y for x, y in zip(_effects(halves[0]), _effects(halves[1]), strict=True)]
    variances = [product.mean(axis=(-3, -2)) for product in products]
    total = np.sum(variances, axis=0)
    names = ("first", "second", "interaction")
    return {
        name: np.where(total > 0, quotient(variance, total), np.nan)
        for name, variance in zip(names, variances, strict=True)
    }


def _effects(means: Floats) -> tuple[Floats, Floats, Floats]:
    """Main effects and interaction of (..., a, b, K) cell means."""
    centred = means - means.mean(axis=(-3, -2), keepdims=True)
    rows = centred.mean(axis=-2, keepdims=True)
    columns = centred.mean(axis=-3, keepdims=True)
    both = centred - rows - columns
    return (
        np.broadcast_to(rows, centred.shape),
        np.broadcast_to(columns, centred.shape),
        both,
    )
