"""Formulas over arrays: measures of neurons from rises, responses and weights.

Two thirds of the file are docstrings, with formulas, sources and examples.

Arrays may have any number of leading axes, such as one for seeds. *Rises* are Delta_ki, (..., K
neurons, C concepts): by how much the loss of concept i rises when neuron k is set to its mean.
v = max(Delta, 0) is how much concept i uses neuron k. In rises and responses, nan stands for a
concept that holds in no row, and counts as 0.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastpolysem import _checks

__all__ = [
    "alignment",
    "capacity",
    "concentration",
    "effective_concepts",
    "effective_neurons",
    "neuron_weights",
    "permuted",
    "served",
    "shared",
    "shared_use",
    "use",
]

Floats = NDArray[np.float64]

SHARED_FROM = 0.25
"""A neuron is shared if its second largest use is at least this share of its largest."""
SERVES = 0.1
"""A neuron serves a concept if its rise is at least this share of the gain over a constant."""
NOT_LEARNED_ABOVE = 0.5
"""A concept is not learned if its loss exceeds this share of that of the best constant output."""


def table_of(label: str, value: ArrayLike, *axes: str) -> Floats:
    """Numbers with these last axes, none of length 0; nan only for concepts without rows."""
    array = _checks.as_array(label, value)
    if array.dtype.kind not in "biuf" or array.ndim < 2 or 0 in array.shape[-2:]:
        raise _checks.refused(label, f"numbers of shape (..., {', '.join(axes)})", value)
    found: Floats = array.astype(np.float64)
    if not (np.isfinite(found) | (np.isnan(found) & ("concepts" in axes))).all():
        raise _checks.refused(label, "finite numbers", value)
    return found


def quotient(above: Any, below: Any) -> Floats:
    """above / below, 0 where below is 0."""
    above, below = np.broadcast_arrays(above, below)
    found: Floats = np.divide(above, below, out=np.zeros(below.shape), where=below > 0)
    return found


def comparable(table: Floats, *axes: int) -> Floats:
    """The table, over these axes in units of a power of two close to the largest entry, so that
    powers of entries of any size stay in range and ratios keep their bits."""
    largest = np.abs(table).max(axis=axes, keepdims=True)
    return np.asarray(np.ldexp(table, -np.frexp(largest)[1]))


def use(rises: ArrayLike) -> Floats:
    """How much each concept uses each neuron: ``max(rise, 0)``, 0 for concepts without rows.

    Parameters
    ----------
    rises
        (..., K, C)

    Returns
    -------
    (..., K, C) float64

    Examples
    --------
    >>> use([[0.5, -0.1]]).tolist()
    [[0.5, 0.0]]
    """
    return _use("use", rises)


def _use(where: str, rises: ArrayLike) -> Floats:
    return np.nan_to_num(np.maximum(table_of(f"{where}: rises", rises, "neurons", "concepts"), 0))


def effective_concepts(rises: ArrayLike) -> Floats:
    """Effective number of concepts that use each neuron, ``(sum_i v)^2 / sum_i v^2``.

    The inverse of Simpson's index of the shares: c for c concepts that use it equally.

    Parameters
    ----------
    rises
        (..., K, C)

    Returns
    -------
    (..., K) float64 from 1 to C; 0 for unused neurons.

    Examples
    --------
    >>> effective_concepts([[1.0, 1.0, 0.0], [0.5, 0.0, 0.0], [0.0, 0.0, -0.1]]).tolist()
    [2.0, 1.0, 0.0]
    """
    return _effective(_use("effective_concepts", rises))


def _effective(v: Floats) -> Floats:
    """Over the last axis; rounding does not bring it above the number of entries."""
    v = comparable(v, -1)
    return np.minimum(quotient(v.sum(axis=-1) ** 2, (v**2).sum(axis=-1)), v.shape[-1])


def effective_neurons(rises: ArrayLike) -> Floats:
    """Effective number of neurons that each concept uses, ``(sum_k v)^2 / sum_k v^2``.

    Parameters
    ----------
    rises
        (..., K, C)

    Returns
    -------
    (..., C) float64 from 1 to K; 0 for concepts that use none.

    Examples
    --------
    The first concept uses two neurons equally, the second uses one of them:

    >>> effective_neurons([[1.0, 0.0], [1.0, 3.0]]).tolist()
    [2.0, 1.0]
    """
    return _effective(np.swapaxes(_use("effective_neurons", rises), -1, -2))


def neuron_weights(rises: ArrayLike) -> Floats:
    """The share of each neuron in all use of its layer.

    Parameters
    ----------
    rises
        (..., K, C)

    Returns
    -------
    (..., K) float64 with sum 1, or all 0 where nothing is used.

    Examples
    --------
    >>> neuron_weights([[1.0, 0.0], [1.0, 2.0]]).tolist()
    [0.25, 0.75]
    """
    v = _use("neuron_weights", rises).sum(axis=-1)
    return quotient(v, v.sum(axis=-1, keepdims=True))


def shared(rises: ArrayLike, ratio: float = SHARED_FROM) -> NDArray[np.bool_]:
    """Whether each neuron is shared: its second largest use is at least ``ratio`` of its largest.

    Parameters
    ----------
    rises
        (..., K, C)
    ratio
        In (0, 1].

    Returns
    -------
    (..., K) bool

    Examples
    --------
    >>> shared([[1.0, 0.5, 0.0], [1.0, 0.1, 0.0]]).tolist()
    [True, False]
    """
    return _shared(_use("shared", rises), _checks.real("shared: ratio", ratio, (">", 0), ("<=", 1)))


def _shared(v: Floats, ratio: float) -> NDArray[np.bool_]:
    if v.shape[-1] < 2:
        return np.zeros(v.shape[:-1], dtype=bool)
    second, first = np.moveaxis(np.sort(v, axis=-1)[..., -2:], -1, 0)
    return np.asarray((second > 0) & (second >= ratio * first))


def shared_use(rises: ArrayLike, ratio: float = SHARED_FROM) -> Floats:
    """The share of all use that falls on shared neurons.

    A neuron is shared if its second largest use is at least ``ratio`` of its largest. The result
    does not depend on the scale of neurons nor, in a network without errors, on copies of them, so
    it can be compared between widths.

    Parameters
    ----------
    rises
        (..., K, C)
    ratio
        Above 0, at most 1.

    Returns
    -------
    (...) float64 in [0, 1]; 0 where nothing is used.

    Examples
    --------
    Two of three units of use fall on a neuron that two concepts use equally:

    >>> float(shared_use([[1.0, 1.0], [1.0, 0.0]]).round(3))
    0.667
    """
    ratio = _checks.real("shared_use: ratio", ratio, (">", 0), ("<=", 1))
    v = _use("shared_use", rises)
    of_neurons = v.sum(axis=-1)
    # Both sums in the same order, so that the share of all neurons is 1, not 1 + 2e-16.
    return quotient(
        np.where(_shared(v, ratio), of_neurons, 0).sum(axis=-1), of_neurons.sum(axis=-1)
    )


def served(rises: ArrayLike, loss: ArrayLike, constant_loss: ArrayLike) -> NDArray[np.bool_]:
    """Whether each neuron serves each concept.

    It does if the rise is at least a tenth of the network's gain over the best constant output, and
    this gain is positive. How many concepts a neuron serves depends on the width: r copies of a
    neuron, with the readout divided by r, compute the same function, but each serves less.

    Parameters
    ----------
    rises
        (..., K, C)
    loss
        (..., C) loss of each concept.
    constant_loss
        (C,) loss of each under the best constant output.

    Returns
    -------
    (..., K, C) bool

    Examples
    --------
    Without the first neuron the first concept loses half of its gain over a constant, 0.9:

    >>> served([[0.45, 0.01], [0.0, 0.9]], loss=[0.1, 0.1], constant_loss=[1.0, 1.0]).tolist()
    [[True, False], [False, True]]
    """
    v = _use("served", rises)
    own, constant = (
        _losses(f"served: {name}", value, shape)
        for name, value, shape in (
            ("loss", loss, (*v.shape[:-2], v.shape[-1])),
            ("constant_loss", constant_loss, v.shape[-1:]),
        )
    )
    with np.errstate(invalid="ignore"):  # infinite losses less infinite ones
        gained = (constant - own)[..., None, :]
        found: NDArray[np.bool_] = (v >= SERVES * gained) & (gained > 0)
    return found


def _losses(label: str, value: ArrayLike, shape: tuple[int, ...]) -> Floats:
    array = _checks.as_array(label, value)
    if array.dtype.kind not in "biuf" or array.shape != shape:
        raise _checks.refused(label, f"numbers of shape {shape}", value)
    return array.astype(np.float64)


def permuted(rises: ArrayLike, generator: np.random.Generator) -> Floats:
    """Rises by chance: those of each concept permuted over the neurons of the layer.

    This preserves how many neurons each concept uses and how much, and destroys the sharing.

    Parameters
    ----------
    rises
        (..., K, C)
    generator
        Random number generator.

    Returns
    -------
    (..., K, C) float64

    Examples
    --------
    >>> chance = permuted([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]], np.random.default_rng(0))
    >>> chance.sum(axis=0).tolist(), effective_neurons(chance).tolist()
    ([1.0, 1.0], [1.0, 1.0])
    """
    if not isinstance(generator, np.random.Generator):
        allowed = "a numpy.random.Generator"
        raise _checks.refused("permuted: generator", allowed, generator, kind=TypeError)
    return generator.permuted(table_of("permuted: rises", rises, "neurons", "concepts"), axis=-2)


def concentration(responses: ArrayLike) -> Floats:
    """``max_i |r| / sum_i |r|`` of each neuron (Jermyn et al. 2022, who require 0.999).

    Parameters
    ----------
    responses
        (..., K, C)

    Returns
    -------
    (..., K) float64 from 1/C to 1; 0 for neurons without a response.

    Examples
    --------
    >>> concentration([[3.0, -1.0], [0.0, 2.0]]).tolist()
    [0.75, 1.0]
    """
    table = table_of("concentration: responses", responses, "neurons", "concepts")
    size = np.nan_to_num(np.abs(table))
    return quotient(size.max(axis=-1), size.sum(axis=-1))


def alignment(weights: ArrayLike) -> Floats:
    """``max_i w_ik^2 / sum_i w_ik^2``: how closely a neuron reads along one axis of its inputs.

    Parameters
    ----------
    weights
        (..., inputs, K) a layer's matrix.

    Returns
    -------
    (..., K) float64 from 1/inputs to 1; 0 for neurons without weights.

    Examples
    --------
    The first neuron reads along one axis, the second along two:

    >>> alignment([[2.0, 1.0], [0.0, 1.0]]).tolist()
    [1.0, 0.5]
    """
    squares = comparable(table_of("alignment: weights", weights, "inputs", "neurons"), -2) ** 2
    return quotient(squares.max(axis=-2), squares.sum(axis=-2))


def capacity(weights: ArrayLike) -> Floats:
    """``(w_i . w_i)^2 / sum_j (w_i . w_j)^2``: the share of a dimension that each feature has.

    It is 1 for a feature orthogonal to all others. The sum over features is at most K. It is
    invariant under rotations of the neurons, so it describes how features share the layer, not
    whether they share neurons. It changes if a neuron is rescaled, so it means little in ReLU
    layers.
    Scherlis et al. (2022), "Polysemanticity and Capacity in Neural Networks"; equal to the
    dimensionality of Elhage et al. (2022), `fastpolysem.metrics.feature_dimensionality`.

    Parameters
    ----------
    weights
        (..., features, K) contribution of each feature to the neurons: the first layer's matrix, or
        any other representation.

    Returns
    -------
    (..., features) float64 from 0 to 1; 0 for features without weights.

    Examples
    --------
    Each feature of an antipodal pair has half a dimension, a third feature has one of its own:

    >>> capacity([[1.0, 0.0], [-1.0, 0.0], [0.0, 2.0]]).tolist()
    [0.5, 0.5, 1.0]
    """
    w = comparable(table_of("capacity: weights", weights, "features", "neurons"), -2, -1)
    squares = (w @ np.swapaxes(w, -1, -2)) ** 2
    return quotient(np.diagonal(squares, axis1=-2, axis2=-1), squares.sum(axis=-1))
