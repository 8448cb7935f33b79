# The file is long because each law stands beside its derivation.
"""Theoretical predictions to compare with trained autoencoders, with their derivations.

**Polysemantic neurons by chance.** In two models of initialisation, each of the ``n`` features
chooses one of the ``m`` hidden neurons and one of the two signs, uniformly at random.

* The *collision law* counts pairs. Each of the ``C(n, 2)`` pairs shares a neuron with probability
  ``1/m`` and has opposite signs with probability ``1/2``, which gives about ``n²/(4m)`` pairs
  (Lecomte et al., arXiv 2312.03096, section 3).
* In the *null model* the ``n`` features occupy ``n`` distinct ones of the ``2m`` signed slots
  (neuron, sign), all choices being equally likely. A slot can be taken only once, because two
  features of the same sign on one neuron repel each other. A neuron is polysemantic if both of its
  slots are taken.

Neither model takes account of training, interference or the sizes of the initial weights.
`descent_mean` is an empirical formula for counts after gradient descent.

**Why features end up on one neuron.** l1 makes an encoding sparse (`sparsification`), and noise
changes the loss (`gaussian_noise_loss`, `kurtosis_correction`). ``W_i`` is the row of feature
``i`` with ``m`` weights, ``s`` a standard deviation, ``λ`` the strength of l1, ``ξ`` the noise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import erfc, erfcx, gammaln, ndtr, ndtri

from fastpolysem import _checks

__all__ = [
    "Sparsification",
    "collision_law",
    "descent_mean",
    "excess_kurtosis",
    "favourite_mean",
    "gaussian_noise_loss",
    "initial_maximum",
    "kurtosis_correction",
    "null_distribution",
    "null_mean",
    "null_variance",
    "one_hot_squared_norm",
    "published_sparsification",
    "relative_variance",
    "sparsification",
]


def collision_law(n_features: ArrayLike, n_hidden: ArrayLike) -> np.float64 | NDArray[np.float64]:
    """Expected number of polysemantic neurons according to the collision law, ``n²/(4m)``.

    Assumes many features and far more neurons than collisions: pairs are treated as independent,
    ``n(n-1)`` is replaced by ``n²``, and a neuron with three features counts more than once.

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
    n, m = _sizes("collision_law", n_features, n_hidden)
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
        Neurons per model; nan where ``n > 2m``, as there are too few slots.

    Raises
    ------
    TypeError, ValueError
        If a size is not a whole number of at least 1.
    """
    n, m = _sizes("null_mean", n_features, n_hidden)
    return np.where(n <= 2 * m, n * (n - 1) / (2 * (2 * m - 1)), np.nan)[()]


def null_variance(n_features: ArrayLike, n_hidden: ArrayLike) -> np.float64 | NDArray[np.float64]:
    """Variance of the number of polysemantic neurons in the null model.

    Follows from the probabilities that one given neuron, and two given neurons, have all their
    slots taken: ``m p₂ + m(m-1) p₄ - (m p₂)²`` with ``p₂ = n(n-1) / (2m(2m-1))`` and
    ``p₄ = p₂ (n-2)(n-3) / ((2m-2)(2m-3))``. This equals the mean times
    ``(2m-n)(2m-n-1) / ((2m-1)(2m-3))`` and is smaller than the mean.

    Parameters
    ----------
    n_features, n_hidden
        Number of features ``n`` and of hidden neurons ``m``, at least 1; scalars or arrays that
        broadcast.

    Returns
    -------
    float64 scalar or array
        Variance of the number of neurons; nan where ``n > 2m``.

    Raises
    ------
    TypeError, ValueError
        If a size is not a whole number of at least 1.
    """
    n, m = _sizes("null_variance", n_features, n_hidden)
    mean = np.asarray(null_mean(n, m))
    free = 2 * m - n
    share = free / (2 * m - 1) * ((free - 1) / (2 * m - 3))
    # A single neuron does not vary; with n = 2m, 0 must not be -0.
    return (mean * np.where(m > 1, share, 0.0) + 0.0)[()]


def favourite_mean(n_features: ArrayLike, n_hidden: ArrayLike) -> np.float64 | NDArray[np.float64]:
    """Mean number of neurons favoured with both signs, ``m (1 - 2(1 - 1/(2m))^n + (1 - 1/m)^n)``.

    A feature's favourite is the neuron of its largest initial weight, each of the ``2m`` signed
    slots with the same probability. Without interference, features do not meet, l1 lets every
    favourite win, and these are the neurons that end with features of both signs (exact by
    inclusion and exclusion for independent initial weights with a symmetric distribution).
    Interference changes this mean: the findings page on the law's constant has measured counts.

    Parameters
    ----------
    n_features, n_hidden
        Number of features ``n`` and of hidden neurons ``m``, at least 1; scalars or arrays that
        broadcast.

    Returns
    -------
    float64 scalar or array
        Neurons per model.

    Raises
    ------
    TypeError, ValueError
        If a size is not a whole number of at least 1.
    """
    n, m = _sizes("favourite_mean", n_features, n_hidden)
    # With q = 1 - 1/(2m) this is m times (1 - qⁿ)² - (q²ⁿ - (1 - 1/m)ⁿ), whose terms cancel less,
    # and (1 - 1/m)/q² = 1 - 1/(2m-1)². A single feature does not meet another.
    exponent = n * np.log1p(-1 / (2 * m))
    with np.errstate(divide="ignore"):  # the logarithm of 0 for a single neuron
        correlation = np.expm1(n * np.log1p(-1 / (2 * m - 1) ** 2))
    both = m * np.expm1(exponent) ** 2 + m * np.exp(2 * exponent) * correlation
    return np.where(n > 1, both, 0.0)[()]


_DESCENT = (0.0506, -0.0532, -0.2234, 1.056)
"""Powers 3 to 0 of ln(n/√m) in `descent_mean`."""
_DENSITY = 0.1223
"""The factor of n/m there."""


def descent_mean(n_features: ArrayLike, n_hidden: ArrayLike) -> np.float64 | NDArray[np.float64]:
    """Mean number of shared neurons after gradient descent, by an empirical formula.

    The mean of the null model times ``R = a + b ln x + c ln²x + d ln³x + e n/m`` with ``x = n/√m``.
    The coefficients are fitted to models that start from normal weights of variance 1/m and are
    trained by full-batch gradient descent with l1 of strength ``λ√m = 0.24``; for ``λ√m`` from 0.08
    to 0.72, counts differ by up to 6 %. Within its range the formula agrees with these counts
    within their standard errors, mostly of 1 %. Adam and other initial weights change the count by
    other factors (findings pages on the constant, on optimisers and on initial weights).

    Parameters
    ----------
    n_features, n_hidden
        Number of features ``n`` and of hidden neurons ``m``, at least 1; scalars or arrays that
        broadcast.

    Returns
    -------
    float64 scalar or array
        Neurons per model; nan outside the fitted range ``16 <= m <= 1024``, ``2n <= m``,
        ``1 <= n/√m <= 12``.

    Raises
    ------
    TypeError, ValueError
        If a size is not a whole number of at least 1.
    """
    n, m = _sizes("descent_mean", n_features, n_hidden)
    x = n / np.sqrt(m)
    ratio = np.polyval(_DESCENT, np.log(x)) + _DENSITY * n / m
    known = (m >= 16) & (m <= 1024) & (2 * n <= m) & (x >= 1) & (x <= 12)
    return np.where(known, ratio * np.asarray(null_mean(n, m)), np.nan)[()]


def null_distribution(n_features: int, n_hidden: int) -> NDArray[np.float64]:
    """Distribution of the number ``K`` of polysemantic neurons in the null model.

    ``P(K) = C(m, K) C(m-K, n-2K) 2^(n-2K) / C(2m, n)``: choose the ``K`` neurons with both slots
    taken, then the ``n - 2K`` neurons with one slot taken, and which slot. Holds for every
    ``n ≤ 2m``; with fewer neurons than features at least ``n - m`` neurons are shared, and smaller
    ``K`` have probability 0.

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
    n_array, m_array = _sizes("null_distribution", n_features, n_hidden)
    if n_array.ndim or m_array.ndim:
        raise ValueError(
            "null_distribution: n_features and n_hidden must be single numbers, "
            f"got shapes {n_array.shape} and {m_array.shape}"
        )
    n, m = int(n_array), int(m_array)
    if n > 2 * m:
        raise ValueError(
            f"null_distribution: n_features must be an integer <= {2 * m} for n_hidden={m}, "
            f"as a neuron holds at most two features, got {n}"
        )
    parts = {"the probabilities": 10 * 8 * min(m, n // 2)}
    _checks.memory("null_distribution", parts, "take fewer features")
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
    # The log-gammas of large sizes cancel only to about 1e-10; the error is spread evenly.
    result: NDArray[np.float64] = probability / probability.sum()
    return result


@dataclass(frozen=True)
class Sparsification:
    """Predicted state of one encoding while its ``m`` non-zero weights are reduced to one.

    Attributes
    ----------
    support
        Expected number ``m'`` of non-zero weights.
    l1_norm
        Sum of the absolute weights.
    relative_variance
        Variance of the remaining absolute weights divided by their squared mean.
    """

    support: NDArray[np.float64]
    l1_norm: NDArray[np.float64]
    relative_variance: NDArray[np.float64]


def published_sparsification(t: ArrayLike, n_hidden: int, l1: float) -> Sparsification:
    """Sparsification by l1 as published, ``‖W‖₁ = max(1/(1/√m + λt), 1)`` and ``m' = ‖W‖₁²``.

    A scaling law from Lecomte et al. (arXiv 2312.03096), section 3. It assumes that the relative
    variance is constant, that every constant is 1, and that no other features interfere.

    Parameters
    ----------
    t
        Times of the flow ``dW/dt = (1 - ‖W‖²) W - λ sign(W)``, of any shape. For gradient descent
        on the summed loss ``t = 4 · learning_rate · steps``.
    n_hidden
        Number ``m`` of weights.
    l1
        ``λ`` of the flow, which is a quarter of `Config.l1`.

    Returns
    -------
    Sparsification
        Arrays of the shape of ``t``; the relative variance is nan, as this law does not give one.
    """
    times, m, strength = _flow("published_sparsification", t, n_hidden, l1)
    norm = np.maximum(1 / (1 / np.sqrt(m) + strength * times), 1)
    return Sparsification(norm**2, norm, np.full_like(norm, np.nan))


def sparsification(
    t: ArrayLike, n_hidden: int, l1: float, start_ratio: float | None = None
) -> Sparsification:
    """Sparsification by l1 of an encoding with normal initial weights, including the constants.

    Ignoring interference, every remaining weight obeys ``d|w|/dt = a(t) |w| - λ`` with one ``a(t) =
    1 - ‖W‖²`` for all of them. Hence

    1. The differences between remaining weights keep their proportions. At any time these weights
       are, up to a factor, the largest ``m' = f m`` initial weights minus a threshold. For normal
       initial weights this is a half-normal distribution minus a threshold, whose relative variance
       ``rv(f)`` is `relative_variance`.
    2. Once ``t ≫ 1``, feature benefit and l1 balance: ``a = λ‖W‖₁`` and ``‖W‖ = 1``. Then
       ``m' = (1 + rv) ‖W‖₁²`` by the definition of rv, and summing the equation over the weights
       gives ``d(1/‖W‖₁)/dt = λ rv``.

    Together they determine ``m'(t)``. Parametrised by the threshold ``τ`` in standard deviations,
    ``f = 2Q(τ)``, they integrate to ``t = ∫₀^τ ds / (λ √(2m B(s)))``, ``B(s) = E
    max(z-s, 0)²`` for a standard normal ``z``.

    Assumes many remaining weights, ``λ √m ≪ 1`` and no interference. Fluctuations between initial
    weights are ignored; the result is within 5 % of the mean of simulations where ``m' ≥ 300``.

    Parameters
    ----------
    t, n_hidden, l1
        As in `published_sparsification`.
    start_ratio
        Initial ``‖W‖₁/‖W‖`` if known, from 1 to ``√m``; otherwise its expectation ``√(2m/π)`` is
        used.

    Returns
    -------
    Sparsification
        Arrays of the shape of ``t``. Where the prediction is less than one weight, one weight of
        size 1 is returned.
    """
    from scipy.integrate import cumulative_trapezoid  # slow to import

    times, m, strength = _flow("sparsification", t, n_hidden, l1)
    threshold = np.linspace(0, -ndtri(0.5 / m), 4001)
    mills, beyond = _mills(threshold), _normal(threshold)
    spread = _excess_variance(threshold)
    support = 2 * m * mills * beyond
    # Dividing by rv first cancels its zero at the start of the integral of d(1/‖W‖₁)/rv.
    second = beyond * ((1 + threshold**2) * mills - threshold)
    inverse_norm = np.sqrt((1 + spread) / support)
    reached = cumulative_trapezoid(1 / (strength * np.sqrt(2 * m * second)), threshold, initial=0)
    if start_ratio is not None:
        label = "sparsification: start_ratio"
        ratio = _checks.real(label, start_ratio, (">=", 1))
        if ratio > math.sqrt(m) * (1 + 1e-9):  # rounded, if all weights are equal
            allowed = f"a number >= 1 and <= √n_hidden = {math.sqrt(m):.6g}"
            raise _checks.refused(label, allowed, start_ratio)
        early = inverse_norm[0] - 1 / ratio
        # Weights less dispersed than a half-normal all remain until they are as dispersed.
        if early >= 0:
            reached = reached + early / (strength * spread[0])
        else:
            reached = reached - np.interp(1 / ratio, inverse_norm, reached)
    waiting = times < reached[0]
    alone = times > reached[-1]
    inverse = np.interp(times, reached, inverse_norm)
    inverse = np.where(
        waiting, inverse_norm[0] - (reached[0] - times) * strength * spread[0], inverse
    )
    return Sparsification(
        support=np.where(alone, 1.0, np.exp(np.interp(times, reached, np.log(support)))),
        l1_norm=np.where(alone, 1.0, np.maximum(1 / inverse, 1.0)),
        relative_variance=np.where(alone, 0.0, np.interp(times, reached, spread)),
    )


def relative_variance(fraction: ArrayLike) -> np.float64 | NDArray[np.float64]:
    """Relative variance of the largest ``fraction`` of a half-normal minus its threshold.

    With the threshold ``τ``, ``fraction = 2Q(τ)``, and Mills' ratio ``R = Q/φ`` at ``τ``, the
    excess over ``τ`` has ``E x = (1 - τR)/R`` and ``E x² = ((1 + τ²)R - τ)/R``. The variance over
    the squared mean rises from ``π/2 - 1`` (everything) towards 1 (an exponential tail).

    Parameters
    ----------
    fraction
        0 < fraction <= 1; scalar or array.

    Returns
    -------
    float64 scalar or array
    """
    share = _checks.reals("relative_variance: fraction", fraction)
    if not np.all((share > 0) & (share <= 1)):
        raise _checks.refused("relative_variance: fraction", "in (0, 1]", fraction)
    return _excess_variance(-ndtri(share / 2))[()]


def initial_maximum(n_hidden: ArrayLike) -> np.float64 | NDArray[np.float64]:
    """Expected size of a feature's largest initial weight, ``E max_k |w_k|``.

    The weights ``w_k ~ N(0, 1/m)`` are independent, ``k = 1 … m``.

    Computed by integrating the tail, ``(1/√m) ∫₀^∞ 1 - (1 - 2Q(x))^m dx``, to about seven digits.
    If the largest weight always won, this would be the mean of the diagonal of ``W_start W_endᵀ``,
    up to the shrinkage of ``W_end``.

    Parameters
    ----------
    n_hidden
        Number ``m`` of hidden neurons, at least 1; scalar or array.

    Returns
    -------
    float64 scalar or array
    """
    from scipy.integrate import simpson

    _, m = _sizes("initial_maximum", 1, n_hidden)
    x = np.linspace(0, 12, 6001)
    with np.errstate(divide="ignore"):
        log_below = np.log1p(-erfc(x / np.sqrt(2)))
    tail = -np.expm1(m[..., np.newaxis] * log_below)
    result: NDArray[np.float64] = simpson(tail, x=x) / np.sqrt(m)
    return result[()]


def excess_kurtosis(noise: str, shape: float | None = None) -> float:
    """Excess kurtosis of a kind of noise, ``E ξ⁴/(E ξ²)² - 3``.

    Parameters
    ----------
    noise, shape
        `Config.noise` other than "none", and `Config.noise_shape` for kinds that have one.

    Returns
    -------
    float
        Infinite for Student's t with at most 4 degrees of freedom.
    """
    known = {"rademacher": -2.0, "gaussian": 0.0, "uniform": -1.2, "laplace": 3.0}
    kind = _checks.choice("excess_kurtosis: noise", noise, (*known, "student_t", "three_point"))
    if kind in known:
        if shape is not None:
            raise ValueError(f"excess_kurtosis: shape must be None with noise={kind!r}")
        return known[kind]
    label = f"excess_kurtosis: shape with noise={kind!r}"
    if kind == "student_t":
        freedom = _checks.real(label, shape, (">", 2))
        return 6 / (freedom - 4) if freedom > 4 else math.inf
    return 1 / _checks.real(label, shape, (">", 0), ("<=", 1)) - 3


def gaussian_noise_loss(weights: ArrayLike, noise_std: float) -> np.float64 | NDArray[np.float64]:
    """Expected loss of the tied model on the basis batch under Gaussian noise, in closed form.

    The loss is ``Σ_ij E (ReLU(W_j·(W_i + ξ)) - δ_ij)²``, whose pre-activations are normal with mean
    ``c = W_i·W_j`` and standard deviation ``s = noise_std · ‖W_j‖``. With ``Φ`` and ``φ`` at
    ``c/s``: ``E ReLU² = (c² + s²)Φ + csφ`` and, on the diagonal, ``E ReLU = cΦ + sφ``. It
    depends on the Gram matrix only: rotating the hidden layer changes nothing, so Gaussian noise
    favours no basis. Exact whether or not the inputs of a step share the noise.

    Parameters
    ----------
    weights
        (n, m) or (S, n, m).
    noise_std
        Standard deviation of each component of the noise, > 0.

    Returns
    -------
    float64 scalar, or (S,) array for a stack
        Without l1 terms.
    """
    gram, std, _ = _noisy("gaussian_noise_loss", weights, noise_std)
    at = np.divide(gram, std, out=np.zeros_like(gram), where=std > 0)
    below, density = ndtr(at), _normal(at)
    squares = (gram**2 + std**2) * below + gram * std * density
    first = _diagonal(gram * below + std * density)
    result: NDArray[np.float64] = squares.sum(axis=(-2, -1)) + (1 - 2 * first).sum(axis=-1)
    return result[()]


def kurtosis_correction(
    weights: ArrayLike, noise_std: float, kurtosis: float
) -> np.float64 | NDArray[np.float64]:
    """Leading-order correction to `gaussian_noise_loss` for the excess kurtosis of the noise.

    It is the Edgeworth term of the pre-activation ``W_j·ξ``, whose excess kurtosis is ``κ_j = κ
    ‖W_j‖₄⁴/‖W_j‖⁴``: ``(κ_j/24) s⁴ E g''''`` for the loss ``g`` as a function of a normal
    pre-activation. With the symbols of `gaussian_noise_loss` it is ``-κ_j s c φ/12`` for each
    pair (i, j) and, on the diagonal, an additional ``-κ_j s (c²/s² - 1) φ/12``. For a pair with
    ``c < 0``, negative kurtosis lowers the loss of concentrated rows (large ‖W_j‖₄) and positive
    kurtosis raises it, which is how noise privileges the neuron basis.

    Assumes that ``κ_j`` is small, which holds for rows spread over many neurons. For a single
    neuron and two-valued noise the series does not even converge.

    Parameters
    ----------
    weights, noise_std
        As in `gaussian_noise_loss`.
    kurtosis
        Excess kurtosis ``κ`` of each component of the noise (`excess_kurtosis`), finite, >= -2.

    Returns
    -------
    float64 scalar, or (S,) array for a stack
    """
    gram, std, concentration = _noisy("kurtosis_correction", weights, noise_std)
    k = _checks.real("kurtosis_correction: kurtosis", kurtosis, (">=", -2)) * concentration
    at = np.divide(gram, std, out=np.zeros_like(gram), where=std > 0)
    at = np.clip(at, -1e3, 1e3)  # far beyond where the density is 0
    density = _normal(at)
    pairs = -k * std * (gram * density) / 12
    own = -k * std * ((at**2 - 1) * density) / 12
    result: NDArray[np.float64] = pairs.sum(axis=(-2, -1)) + _diagonal(own).sum(axis=-1)
    return result[()]


def one_hot_squared_norm(
    l1: ArrayLike = 0.0, noise_std: ArrayLike = 0.0, n_features: int = 1
) -> np.float64 | NDArray[np.float64]:
    """``‖W_i‖²`` of a feature that does not share its neuron, at the optimum under l1 and noise.

    With ``W_i = a f_k``, no other feature on neuron ``k`` and noise of standard deviation ``s``,
    the expected loss is ``(a² - 1)² + a²s² + (n - 1) a²s²/2 + λa``: the noise reaches the feature's
    output for its own input and, when the ReLU lets it pass, that is half of the time, for every
    other input. The minimum is at the largest root of ``a³ - (1 - (n + 1)s²/4) a + λ/4 = 0``,
    computed by Viète's formula. With l1 alone ``a(1 - a²) = λ/4``; with noise alone
    ``a² = 1 - (n + 1)s²/4``.

    Assumes symmetric noise that never closes the feature's own ReLU, ``|ξ| < a``: exact for
    Rademacher noise, and accurate up to exponentially small terms for Gaussian noise with
    ``s ≪ 1``. In a benign pair the other feature's input never opens the ReLU, so that ``n + 1``
    becomes ``n``.

    Parameters
    ----------
    l1
        ``λ``, `Config.l1`, >= 0.
    noise_std
        Standard deviation of each component of the noise, >= 0.
    n_features
        ``n``; matters only with noise.

    Returns
    -------
    float64 scalar or array
        nan where there is no such optimum because l1 or noise shrinks every weight to 0.
    """
    n = _checks.integer("one_hot_squared_norm: n_features", n_features, (">=", 1), ("<", 2**63))
    strengths = []
    for name, given in (("l1", l1), ("noise_std", noise_std)):
        strength = _checks.reals(f"one_hot_squared_norm: {name}", given)
        if not np.all(np.isfinite(strength) & (strength >= 0)):
            raise _checks.refused(f"one_hot_squared_norm: {name}", "finite numbers >= 0", given)
        strengths.append(strength)
    _check_shapes("one_hot_squared_norm: l1 and noise_std", *strengths)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        pull, linear = strengths[0] / 4, 1 - (n + 1) * strengths[1] ** 2 / 4
        cosine = -pull / 2 / np.sqrt(linear / 3) ** 3
        root = 2 * np.sqrt(linear / 3) * np.cos(np.arccos(cosine) / 3)
    result: NDArray[np.float64] = root**2
    return result[()]


def _log_choose(n: ArrayLike, k: ArrayLike) -> NDArray[np.float64]:
    n, k = np.asarray(n), np.asarray(k)
    result: NDArray[np.float64] = gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1)
    return result


def _sizes(
    where: str, n_features: ArrayLike, n_hidden: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    sizes = []
    for name, given in (("n_features", n_features), ("n_hidden", n_hidden)):
        size = _checks.as_array(f"{where}: {name}", given)
        if size.dtype.kind not in "iuf":
            raise _checks.refused(f"{where}: {name}", "whole numbers >= 1", given, kind=TypeError)
        if not np.all((size >= 1) & (size == np.floor(size)) & np.isfinite(size)):
            raise _checks.refused(f"{where}: {name}", "whole numbers >= 1", given)
        sizes.append(size.astype(np.float64))
    _check_shapes(f"{where}: n_features and n_hidden", *sizes)
    return sizes[0], sizes[1]


def _check_shapes(labels: str, *arrays: NDArray[np.float64]) -> None:
    shapes = [array.shape for array in arrays]
    try:
        np.broadcast_shapes(*shapes)
    except ValueError:
        got = " and ".join(map(str, shapes))
        raise ValueError(f"{labels} must have shapes that broadcast, got {got}") from None


def _flow(
    where: str, t: ArrayLike, n_hidden: int, l1: float
) -> tuple[NDArray[np.float64], int, float]:
    times = _checks.reals(f"{where}: t", t)
    if not np.all(np.isfinite(times) & (times >= 0)):
        raise _checks.refused(f"{where}: t", "finite times >= 0", t)
    return (
        times,
        _checks.integer(f"{where}: n_hidden", n_hidden, (">=", 1), ("<", 2**63)),
        _checks.real(f"{where}: l1", l1, (">", 0)),
    )


def _mills(threshold: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mills' ratio Q/φ, computed without underflow."""
    result: NDArray[np.float64] = math.sqrt(math.pi / 2) * erfcx(threshold / math.sqrt(2))
    return result


def _excess_variance(threshold: NDArray[np.float64]) -> NDArray[np.float64]:
    """Relative variance of ``z - threshold`` for a normal ``z`` above the threshold."""
    mills = _mills(threshold)
    second = (1 + threshold**2) * mills - threshold
    result: NDArray[np.float64] = mills * second / (1 - threshold * mills) ** 2 - 1
    return result


def _normal(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Standard normal density."""
    result: NDArray[np.float64] = np.exp(-(x**2) / 2) / math.sqrt(2 * math.pi)
    return result


def _noisy(
    where: str, weights: ArrayLike, noise_std: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Gram matrix, standard deviation of each output's noise, and ‖W_j‖₄⁴/‖W_j‖⁴ (…, 1, n)."""
    w = _checks.array(f"{where}: weights", weights, np.float64, (2, 3))
    sigma = _checks.real(f"{where}: noise_std", noise_std, (">", 0))
    largest = np.abs(w).max(axis=-1, keepdims=True, initial=0)
    shares = np.divide(w, largest, out=np.zeros_like(w), where=largest > 0)  # powers stay in range
    square, fourth = np.sum(shares**2, axis=-1), np.sum(shares**4, axis=-1)
    concentration = np.divide(fourth, square**2, out=np.zeros_like(square), where=square > 0)
    std = sigma * largest[..., 0] * np.sqrt(square)
    return w @ np.swapaxes(w, -1, -2), std[..., np.newaxis, :], concentration[..., np.newaxis, :]


def _diagonal(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.diagonal(matrix, axis1=-2, axis2=-1)
