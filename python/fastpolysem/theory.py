"""What chance alone predicts for the number of polysemantic neurons.

Two models of initialisation are compared with trained networks. In both, every one of the ``n``
features picks a favourite neuron at random among the ``m`` hidden ones, and a sign with probability
one half each.

* The *collision law* counts pairs: ``C(n, 2)`` pairs share a neuron with probability ``1/m`` and
  have opposite signs with probability ``1/2``, which is about ``n²/(4m)`` (Lecomte et al., arXiv
  2312.03096, section 3).
* The *null model* lets the ``n`` features occupy ``n`` different ones of the ``2m`` signed slots
  (neuron, sign), all choices equally likely: a slot that is taken cannot be taken again, because
  two features of the same sign on one neuron push each other away. A neuron is polysemantic when
  both of its slots are taken.

Neither model knows of training, of interference or of the initial weights' sizes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import gammaln

from fastpolysem import _checks

__all__ = ["collision_law", "null_distribution", "null_mean", "null_variance"]


def collision_law(n_features: ArrayLike, n_hidden: ArrayLike) -> np.float64 | NDArray[np.float64]:
    """Expected number of polysemantic neurons by the collision law, ``n²/(4m)``.

    Assumes many features and far more neurons than collisions: pairs are counted as if independent,
    ``n(n-1)`` is rounded up to ``n²``, and a neuron with three features counts more than once.

    Parameters
    ----------
    n_features, n_hidden
        Number of features ``n`` and of hidden neurons ``m``, at least 1; scalars or arrays that
        broadcast.

    Returns
    -------
    float64 scalar or array
        Neurons per trained model.

    Raises
    ------
    TypeError, ValueError
        If a size is not a whole number of at least 1.
    """
    n, m = _sizes(n_features, n_hidden)
    return n**2 / (4 * m)


def null_mean(n_features: ArrayLike, n_hidden: ArrayLike) -> np.float64 | NDArray[np.float64]:
    """Mean number of polysemantic neurons in the null model, ``n(n-1) / (2(2m-1))``.

    Each of the ``m`` neurons has both slots taken with probability ``n(n-1) / (2m(2m-1))``.

    Parameters
    ----------
    n_features, n_hidden
        Number of features ``n`` and of hidden neurons ``m``, at least 1; scalars or arrays that
        broadcast.

    Returns
    -------
    float64 scalar or array
        Neurons per model; nan where ``n > 2m``, for then the slots do not suffice.

    Raises
    ------
    TypeError, ValueError
        If a size is not a whole number of at least 1.
    """
    n, m = _sizes(n_features, n_hidden)
    return np.where(n <= 2 * m, n * (n - 1) / (2 * (2 * m - 1)), np.nan)[()]


def null_variance(n_features: ArrayLike, n_hidden: ArrayLike) -> np.float64 | NDArray[np.float64]:
    """Variance of the number of polysemantic neurons in the null model.

    From the probabilities that one given neuron, and two given neurons, have all their slots taken:
    ``m p₂ + m(m-1) p₄ - (m p₂)²`` with ``p₂ = n(n-1) / (2m(2m-1))`` and
    ``p₄ = p₂ (n-2)(n-3) / ((2m-2)(2m-3))``. It is smaller than the mean.

    Parameters
    ----------
    n_features, n_hidden
        Number of features ``n`` and of hidden neurons ``m``, at least 1; scalars or arrays that
        broadcast.

    Returns
    -------
    float64 scalar or array
        Squared neurons; nan where ``n > 2m``.

    Raises
    ------
    TypeError, ValueError
        If a size is not a whole number of at least 1.
    """
    n, m = _sizes(n_features, n_hidden)
    mean = np.asarray(null_mean(n, m))
    # A single neuron has no second one: its denominator is 0, and so is the factor m - 1 in front.
    pairs = (n - 2) * (n - 3) / np.where(m > 1, (2 * m - 2) * (2 * m - 3), 1)
    return (mean + mean * (m - 1) * pairs - mean**2)[()]


def null_distribution(n_features: int, n_hidden: int) -> NDArray[np.float64]:
    """Distribution of the number ``K`` of polysemantic neurons in the null model.

    ``P(K) = C(m, K) C(m-K, n-2K) 2^(n-2K) / C(2m, n)``: choose the ``K`` neurons with both slots
    taken, then the ``n - 2K`` neurons with one, and which one. Holds for every ``n ≤ 2m``; with
    fewer neurons than features at least ``n - m`` of them are shared, and smaller ``K`` have
    probability 0.

    Parameters
    ----------
    n_features, n_hidden
        Number of features ``n`` and of hidden neurons ``m``, at least 1.

    Returns
    -------
    float64 array of shape (min(m, n // 2) + 1,)
        Probability of ``K = 0, 1, …``; sums to 1.

    Raises
    ------
    TypeError, ValueError
        If a size is not a whole number of at least 1, or ``n_features > 2 n_hidden``.
    """
    n_array, m_array = _sizes(n_features, n_hidden)
    if n_array.ndim or m_array.ndim:
        raise ValueError("n_features and n_hidden must be single numbers for a distribution")
    n, m = int(n_array), int(m_array)
    if n > 2 * m:
        raise ValueError(
            f"n_features must be an integer <= {2 * m} for n_hidden={m}, "
            f"where a neuron takes at most two features, got {n}"
        )
    shared = np.arange(min(m, n // 2) + 1)
    possible = shared >= n - m
    k = shared[possible]
    log_probability = (
        _log_choose(m, k)
        + _log_choose(m - k, n - 2 * k)
        + (n - 2 * k) * np.log(2)
        - _log_choose(2 * m, n)
    )
    probability = np.zeros(shared.size)
    probability[possible] = np.exp(log_probability)
    # The log-gammas of large sizes cancel to about 1e-10: what is left over is spread evenly.
    result: NDArray[np.float64] = probability / probability.sum()
    return result


def _log_choose(n: ArrayLike, k: ArrayLike) -> NDArray[np.float64]:
    n, k = np.asarray(n), np.asarray(k)
    result: NDArray[np.float64] = gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1)
    return result


def _sizes(
    n_features: ArrayLike, n_hidden: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    sizes = []
    for name, given in (("n_features", n_features), ("n_hidden", n_hidden)):
        size = np.asarray(given)
        if size.dtype.kind not in "iuf":
            raise _checks.refused(name, "whole numbers >= 1", given, kind=TypeError)
        if not np.all((size >= 1) & (size == np.floor(size)) & np.isfinite(size)):
            raise _checks.refused(name, "whole numbers >= 1", given)
        sizes.append(size.astype(np.float64))
    return sizes[0], sizes[1]
