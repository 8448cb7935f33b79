# Half of the file is docstrings, with the formula and source of each measure.
"""Counts and measures of trained weights.

Every function accepts the weights of one model, (n, m), where row i is feature i and column k is
neuron k, or of a stack of models, (S, n, m). For a stack the result has one more leading axis.
Untied models are given as :class:`~fastpolysem.Parameters` and measured on their
:func:`effective_weights`. Arrays of any library are accepted, including tensors with a gradient and
in bfloat16. Anything but an array of finite real numbers raises TypeError or ValueError. Weights
that look transposed, because their columns have norms of about 1 and their rows do not, give a
UserWarning.
"""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastpolysem import _checks
from fastpolysem._native import core
from fastpolysem.families.autoencoder.objective import Parameters, WeightsLike, check_family

__all__ = [
    "class_selectivity",
    "count_dead",
    "count_monosemantic",
    "count_pairs",
    "count_polysemantic",
    "count_unrepresented",
    "dimensions_per_feature",
    "effective_features",
    "effective_weights",
    "feature_dimensionality",
    "fourth_norm",
    "hoyer_sparsity",
    "interference",
    "neuron_monosemanticity",
    "participation_ratio",
    "signed_slots",
    "signed_slots_benign",
    "support_size",
    "winner_rank",
]

LOW, HIGH = 0.8, 1.2
"""The window of |weight| that counts as representing a feature, chosen by the paper's authors."""

_TELLING = 6  # this many columns of norm 1 are no coincidence

# An int for one model, an (S,) int64 array for a stack.
Count: TypeAlias = Any


def effective_weights(encoder: ArrayLike, decoder: ArrayLike) -> NDArray[np.float64]:
    """One matrix for an untied model: sign * sqrt(|encoder * decoder|), 0 where the signs differ.

    A feature passes through a neuron with the product of its two weights. In a tied model with
    weight w this product is w^2, so the effective weight is the tied weight with the same effect.

    Parameters
    ----------
    encoder, decoder
        (n, m) or (S, n, m), both of the same shape.

    Returns
    -------
    Array of that shape, float64.
    """
    first = _checks.array("effective_weights: encoder", encoder, np.float64, (2, 3))
    second = _checks.array("effective_weights: decoder", decoder, np.float64, (2, 3))
    if first.shape != second.shape:
        raise ValueError(
            f"effective_weights: decoder must have the encoder's shape {first.shape}, "
            f"got {second.shape}"
        )
    product = first * second
    return np.where(product > 0, np.copysign(np.sqrt(np.abs(product)), first), 0.0)


def count_polysemantic(weights: WeightsLike, low: float = LOW, high: float = HIGH) -> Count:
    """Number of polysemantic neurons: those with two or more features of low <= |weight| <= high.

    The rule, and the default window, of Lecomte et al. (2023), "What Causes Polysemanticity?".

    Parameters
    ----------
    weights
        (n, m) or (S, n, m), or Parameters.
    low, high
        The window, 0 < low <= high; high may be infinite. Compared in the precision of the weights.

    Returns
    -------
    int for one model, (S,) int64 array for a stack.
    """
    return _count("count_polysemantic", weights, low, high, "polysemantic")


def count_pairs(weights: WeightsLike, low: float = LOW, high: float = HIGH) -> tuple[Count, Count]:
    """Number of (benign, malign) pairs of features that share a neuron, both weights in the window.

    A pair is benign if the signs differ, since the ReLU then clips the interference between the two
    features, and malign if they agree. A neuron with a positive and b negative features in the
    window has a*b benign and C(a, 2) + C(b, 2) malign pairs. Arguments as in
    :func:`count_polysemantic`.
    """
    benign, malign = _counts("count_pairs", weights, low, high, "benign", "malign")
    return benign, malign


def count_dead(weights: WeightsLike, low: float = LOW) -> Count:
    """Number of neurons without any feature of |weight| >= low."""
    return _count("count_dead", weights, low, math.inf, "dead")


def count_unrepresented(weights: WeightsLike, low: float = LOW) -> Count:
    """Number of features without any neuron of |weight| >= low."""
    return _count("count_unrepresented", weights, low, math.inf, "unrepresented")


def signed_slots(weights: WeightsLike) -> Count:
    """Number of shared neurons, on which two or more features have their largest |weight|.

    Unlike :func:`count_polysemantic` this uses no threshold. In a tie, the first neuron counts as
    the one with the largest |weight|. Features whose weights are all zero are ignored.
    """
    return _count("signed_slots", weights, LOW, HIGH, "signed_slots")


def signed_slots_benign(weights: WeightsLike) -> Count:
    """Number of neurons shared by features of both signs, in the sense of :func:`signed_slots`."""
    return _count("signed_slots_benign", weights, LOW, HIGH, "signed_slots_benign")


def fourth_norm(weights: WeightsLike) -> NDArray[np.float64]:
    """Fourth norm of each feature, sum_k W_ik^4: 1 for a unit vector on one neuron.

    Lecomte et al. (2023) use it as the measure of sparsity for training with noise.

    Returns
    -------
    (n,) or (S, n) float64.
    """
    w = checked_weights("fourth_norm", weights)
    result: NDArray[np.float64] = np.sum(np.square(np.square(w)), axis=-1)
    return result


def participation_ratio(weights: WeightsLike) -> NDArray[np.float64]:
    """Number of neurons a feature is spread over, |W_i|_2^4 / |W_i|_4^4.

    From 1 (one neuron) to m (all equally); 0 for a feature whose weights are all zero. It is the
    reciprocal of the inverse participation ratio of localisation theory (Bell & Dean 1970).

    Returns
    -------
    (n,) or (S, n) float64.
    """
    w = np.abs(checked_weights("participation_ratio", weights))
    peak = w.max(axis=-1, keepdims=True)
    square = np.square(w / np.where(peak > 0, peak, 1.0))
    result: NDArray[np.float64] = _divided(
        np.square(square.sum(axis=-1)), np.square(square).sum(axis=-1), 0.0
    )
    return result


def support_size(weights: WeightsLike, threshold: float = 0.0) -> NDArray[np.int64]:
    """Number of neurons on which each feature has a weight, m' = #{k: |W_ik| > threshold}.

    This is m' in the sparsification law of Lecomte et al. (2023). With ``l1_update="subgradient"``
    weights end up within a learning rate of 0 but not at 0, so choose a threshold above that.

    Parameters
    ----------
    weights
        (n, m) or (S, n, m), or Parameters.
    threshold
        >= 0.

    Returns
    -------
    (n,) or (S, n) int64.
    """
    least = _checks.real("support_size: threshold", threshold, (">=", 0))
    w = np.abs(checked_weights("support_size", weights))
    result: NDArray[np.int64] = np.count_nonzero(w > least, axis=-1)
    return result


def hoyer_sparsity(weights: WeightsLike) -> NDArray[np.float64]:
    """Hoyer's sparsity of each feature, (sqrt(m) - |W_i|_1 / |W_i|_2) / (sqrt(m) - 1).

    From 0 (all neurons equally) to 1 (one neuron); nan for a feature whose weights are all zero.
    Hoyer (2004), "Non-negative matrix factorization with sparseness constraints". Needs m >= 2.

    Returns
    -------
    (n,) or (S, n) float64.
    """
    w = np.abs(checked_weights("hoyer_sparsity", weights))
    if w.shape[-1] < 2:
        raise ValueError("hoyer_sparsity: weights must have at least 2 neurons, got 1")
    root = math.sqrt(w.shape[-1])
    peak = w.max(axis=-1, keepdims=True)
    w = w / np.where(peak > 0, peak, 1.0)
    norms = _divided(w.sum(axis=-1), np.sqrt(np.square(w).sum(axis=-1)), math.nan)
    result: NDArray[np.float64] = (root - norms) / (root - 1)
    return result


def feature_dimensionality(weights: WeightsLike) -> NDArray[np.float64]:
    """Fraction of a dimension used by each feature, D_i = |W_i|^2 / sum_j (U_i . W_j)^2.

    U_i is W_i / |W_i|. D_i is 1 for a feature orthogonal to all others, 1/2 for each of an
    antipodal pair, and 0 for a feature whose weights are all zero. The sum over features is at most
    the rank of W. Elhage et al. (2022), "Toy Models of Superposition"; equal to the capacity of
    Scherlis et al. (2022), "Polysemanticity and Capacity in Neural Networks".

    Returns
    -------
    (n,) or (S, n) float64.
    """
    gram, _ = _gram("feature_dimensionality", weights)
    norm = np.diagonal(gram, axis1=-2, axis2=-1)
    return _divided(np.square(norm), np.square(gram).sum(axis=-1), 0.0)


def interference(weights: WeightsLike) -> NDArray[np.float64]:
    """Interference of the other features with each feature, sum_{j != i} (U_i . W_j)^2.

    U_i is W_i / |W_i|; nan for a feature whose weights are all zero. The
    :func:`feature_dimensionality` is |W_i|^2 / (|W_i|^2 + interference_i). Elhage et al. (2022).

    Returns
    -------
    (n,) or (S, n) float64.
    """
    gram, power = _gram("interference", weights)
    norm = np.diagonal(gram, axis1=-2, axis2=-1).copy()
    diagonal = np.arange(gram.shape[-1])
    gram[..., diagonal, diagonal] = 0.0
    result = _divided(np.square(gram).sum(axis=-1), norm, math.nan)
    return np.asarray(np.ldexp(result, 2 * power))


def dimensions_per_feature(weights: WeightsLike) -> Any:
    """Number of neurons per learned feature, m / |W|_F^2.

    |W|_F^2 is about the number of features of norm 1. Below 1 the model holds more features than
    it has neurons; inf if all weights are zero. Elhage et al. (2022), who call it D*.

    Returns
    -------
    float64 for one model, (S,) float64 array for a stack.
    """
    w = checked_weights("dimensions_per_feature", weights)
    square = np.square(w).sum(axis=(-2, -1))
    return _divided(np.full_like(square, w.shape[-1]), square, math.inf)[()]


def neuron_monosemanticity(weights: WeightsLike) -> NDArray[np.float64]:
    """Share of the largest feature in each neuron, r_k = max_i |W_ik| / sum_i |W_ik|.

    From 1/n (all features equally) to 1 (one feature); nan for a neuron whose weights are all zero.
    After Jermyn et al. (2022), "Engineering Monosemanticity in Toy Models", whose hidden units are
    non-negative; here, a benign pair of equal weights has r = 1/2.

    Returns
    -------
    (m,) or (S, m) float64.
    """
    share = _shares("neuron_monosemanticity", weights)
    result: NDArray[np.float64] = share.max(axis=-2)
    return result


def count_monosemantic(weights: WeightsLike, threshold: float = 0.999) -> Count:
    """Number of neurons whose :func:`neuron_monosemanticity` is at least ``threshold``.

    Jermyn et al. (2022) count those above 0.999. Intended for exact zeros: the small weights that
    l1 by subgradient leaves near 0 add up over the features and put neurons below the threshold.

    Parameters
    ----------
    weights
        (n, m) or (S, n, m), or Parameters.
    threshold
        In (0, 1].

    Returns
    -------
    int for one model, (S,) int64 array for a stack.
    """
    least = _checks.real("count_monosemantic: threshold", threshold, (">", 0), ("<=", 1))
    share = _shares("count_monosemantic", weights).max(axis=-2)
    with np.errstate(invalid="ignore"):
        found = np.count_nonzero(share >= least, axis=-1)
    return int(found) if share.ndim == 1 else np.asarray(found, dtype=np.int64)


def effective_features(weights: WeightsLike) -> NDArray[np.float64]:
    """Effective number of features of each neuron, exp(H_k).

    H_k is the entropy (natural logarithm) of the shares |W_ik| / sum_i |W_ik|; its exponential is
    the Hill number of order 1 (Hill 1973). From 1 (one feature) to n (all equally); 0 for a neuron
    whose weights are all zero.

    Returns
    -------
    (m,) or (S, m) float64.
    """
    share = _shares("effective_features", weights)
    logarithm = np.log(share, out=np.zeros_like(share), where=share > 0)
    number = np.exp(-(share * logarithm).sum(axis=-2))
    result: NDArray[np.float64] = np.where(np.isnan(number), 0.0, number)
    return result


def class_selectivity(weights: WeightsLike) -> NDArray[np.float64]:
    """Selectivity index of each neuron, (max - rest) / (max + rest) of |W_ik|.

    ``max`` is the largest |W_ik| of the neuron and ``rest`` the mean over the other features. From
    0 (all features equally) to 1 (one feature); nan for a neuron whose weights are all zero. Morcos
    et al. (2018), "On the importance of single directions for generalization", define it for mean
    activations per class; here |W_ik| is the response of neuron k to feature i. Needs n >= 2.

    Returns
    -------
    (m,) or (S, m) float64.
    """
    share = _shares("class_selectivity", weights)
    n = share.shape[-2]
    if n < 2:
        raise ValueError("class_selectivity: weights must have at least 2 features, got 1")
    top = share.max(axis=-2)
    rest = (share.sum(axis=-2) - top) / (n - 1)
    result: NDArray[np.float64] = (top - rest) / (top + rest)
    return result


def winner_rank(start: WeightsLike, end: WeightsLike, low: float = LOW) -> NDArray[np.int64]:
    """Rank of each feature's winning neuron among its initial weights, 1 for the largest.

    The winner is the neuron with the largest |end weight|. Its rank is one more than the number of
    neurons with a larger |start weight|. If the initially largest weight always wins, all ranks
    are 1.

    Parameters
    ----------
    start, end
        Weights before and after training: (n, m) or (S, n, m), both of the same shape, or
        Parameters.
    low
        A feature without an |end weight| of at least ``low`` has no winner, > 0.

    Returns
    -------
    (n,) or (S, n) int64, 0 for a feature without a winner.
    """
    before = np.abs(_array("winner_rank", start, "start"))
    final, came_in = read_weights("winner_rank", end, "end")
    after = np.abs(final)
    if before.shape != after.shape:
        raise ValueError(
            f"winner_rank: end must have the shape of start {before.shape}, got {after.shape}"
        )
    low = _checks.real("winner_rank: low", low, (">", 0))
    least, _ = window(came_in, low, low)
    place = after.argmax(axis=-1)[..., np.newaxis]
    larger = np.count_nonzero(before > np.take_along_axis(before, place, axis=-1), axis=-1)
    won = np.take_along_axis(after, place, axis=-1)[..., 0] >= least
    result: NDArray[np.int64] = np.where(won, larger + 1, 0)
    return result


def _shares(where: str, weights: WeightsLike) -> NDArray[np.float64]:
    """Share of each feature in the sum of a neuron's |weights|, nan if the sum is 0."""
    w = np.abs(checked_weights(where, weights))
    peak = w.max(axis=-2, keepdims=True)
    w = _divided(w, np.broadcast_to(peak, w.shape), math.nan)  # sums neither over- nor underflow
    result: NDArray[np.float64] = w / w.sum(axis=-2, keepdims=True)
    return result


def _gram(where: str, weights: WeightsLike) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """W W^T of weights in units of a power of two, so that its squares stay in range; and the
    exponents, one for each feature."""
    w = checked_weights(where, weights)
    power = np.frexp(np.abs(w).max(axis=(-2, -1), keepdims=True))[1]
    w = np.ldexp(w, -power)
    return w @ np.swapaxes(w, -1, -2), power[..., 0]


def _divided(
    top: NDArray[np.float64], bottom: NDArray[np.float64], otherwise: float
) -> NDArray[np.float64]:
    """top / bottom, and ``otherwise`` where bottom is 0."""
    return np.divide(top, bottom, out=np.full_like(top, otherwise), where=bottom != 0)


def checked_weights(where: str, weights: Any) -> NDArray[np.float64]:
    """The (effective) weights in float64."""
    return _array(where, weights).astype(np.float64, copy=False)


def _array(where: str, weights: Any, name: str = "weights") -> NDArray[Any]:
    """The (effective) weights; float32 is kept, everything else becomes float64."""
    return read_weights(where, weights, name)[0]


def read_weights(
    where: str, weights: Any, name: str = "weights"
) -> tuple[NDArray[Any], np.dtype[Any]]:
    """The (effective) weights, and their original floating-point type."""
    label = f"{where}: {name}"
    check_family(
        label, weights, ", which alone do not show what a neuron represents; use fp.measure"
    )
    if isinstance(weights, tuple) and not isinstance(weights, Parameters):
        raise _checks.refused(label, "an array or Parameters(...)", weights, kind=TypeError)
    parts = weights[:2] if isinstance(weights, Parameters) else (weights,)
    if parts[0] is None:
        allowed = "an array or Parameters(...) with an encoder"
        raise _checks.refused(label, allowed, weights, kind=TypeError)
    given = [_checks.as_array(label, part) for part in parts if part is not None]
    types = [part.dtype for part in given]
    known = all(one in (np.float16, np.float32) for one in types)
    came_in = np.result_type(*types) if known and types else np.dtype(np.float64)
    if isinstance(weights, Parameters) and weights.decoder is not None:
        result = effective_weights(*given)
    else:
        kept = np.float32 if came_in == np.float32 else np.float64
        result = _checks.array(label, given[0] if given[0].ndim else parts[0], kept, (2, 3))
    if 0 in result.shape[-2:]:
        raise ValueError(f"{label} must have features and neurons, got shape {result.shape}")
    question_layout(label, result)
    return result, came_in


def question_layout(label: str, weights: NDArray[Any]) -> None:
    """Warn if the columns look like features and the rows do not: the weights may be transposed.

    A trained feature has a norm of about 1 however many neurons it uses. A neuron has as many
    features as share it: none, one or two.
    """
    n, m = weights.shape[-2:]
    if m < _TELLING or not len(weights):
        return
    with np.errstate(over="ignore"):
        squares = np.square(weights, dtype=np.float64)
        rows, columns = (np.mean(np.abs(squares.sum(axis) - 1) < 0.25) for axis in (-1, -2))
    if rows < 0.8 and columns > 0.9:
        _checks.warn(
            f"{label} has {n} rows (features) and {m} columns (neurons), but its columns have "
            "norms like features and its rows do not; is it transposed? "
            "torch.nn.Linear(n, m).weight is (m, n): pass its transpose"
        )


def window(came_in: np.dtype[Any], low: float, high: float) -> tuple[float, float]:
    """The limits as represented in the type of the weights: one of exactly low or high counts."""
    with np.errstate(over="ignore"):
        least = float(np.finfo(came_in).smallest_subnormal)
        return max(float(came_in.type(low)), least), float(came_in.type(high))


def _counts(where: str, weights: Any, low: float, high: float, *names: str) -> list[Count]:
    low = _checks.real(f"{where}: low", low, (">", 0))
    high = _checks.real(f"{where}: high", high, (">", 0), finite=False)
    if high < low:
        raise ValueError(f"{where}: low must be <= high, got low={low} and high={high}")
    stack, came_in = read_weights(where, weights)
    low, high = window(came_in, low, high)
    single = stack.ndim == 2
    counts = core.count(stack[np.newaxis] if single else stack, low, high)
    return [int(counts[name][0]) if single else counts[name] for name in names]


def _count(where: str, weights: Any, low: float, high: float, name: str) -> Count:
    return _counts(where, weights, low, high, name)[0]
