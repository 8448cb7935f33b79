"""What a network of the second family computes, written down as plainly as possible.

One model (one seed) at a time, NumPy float64, by hand, nothing fast: the oracle of the tests of
networks, as ``specification`` is of the autoencoder, whose optimisers and random numbers it shares.

    network     settings, model, forward pass, objective, gradient           (this module)
    losses      |e|^q, cross-entropy, binary cross-entropy
    targets     what an output is to be, as a function of the inputs
    updates     schedules and one step of the optimiser for a whole model
    sampling    random numbers: starts, inputs, noise, dropout, order of rows, label noise
    training    a run, and its results
    rules       settings that are refused, and why
    combinations    samples of the others

``config`` is anything with the fields of `NetworkSpec`. Widths d_0 ... d_L, layers l = 1 ... L,
hidden layers l < L, B rows of a batch:

    H_0 = X                         (B, d_0)
    Z_l = H_{l-1} W_l + b_l         (B, d_l), the chain over the non-zeros of X for l = 1
    S_l = act(Z_l)                  + H_{l-1} where layer l is residual
    H_l = (S_l + noise_l) * dropout_l
    Y   = out(Z_L)

Lists over layers start with layer 1. A tied network has L = 2, one matrix, and W_2 = W_1^T.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from specification import Array
from specifications import losses
from specifications.losses import Targets
from specifications.targets import Identity, is_elementwise

Config = Any  # duck-typed: a NetworkSpec or what later has its fields
PerLayer = Sequence[Array | None] | None  # of the hidden layers: (d_l,) for all rows, or (B, d_l)


# ---------------------------------------------------------------------------------------------
# Settings
# ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Basis:
    """Each of the d_0 basis vectors once per step."""


@dataclass(frozen=True)
class Independent:
    """Fresh rows in which every feature is on independently of the others.

    ``probability`` and ``magnitude`` are one for all features or one each, the latter of "one",
    "uniform" (0, 1], "sign" (1 or -1) and "signed_uniform" [-1, 1].
    """

    probability: float | tuple[float, ...]
    batch_size: int
    magnitude: str | tuple[str, ...] = "one"


@dataclass(frozen=True)
class CorrelatedBlocks:
    """Fresh rows of one block each, with ``active`` of its features 1."""

    blocks: int
    active: int
    batch_size: int


@dataclass(frozen=True, eq=False)
class Dataset:
    """Given rows with given targets: (N, d_L) reals, or (N,) classes with the cross-entropy.

    ``inputs`` is an (N, d_0) array or a scipy.sparse matrix. Without ``batch_size`` every step
    shows all rows. ``held_out`` is a pair (inputs, targets).
    """

    inputs: Any
    targets: Any
    batch_size: int | None = None
    label_noise: float = 0.0
    held_out: tuple[Any, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class NetworkSpec:
    """The fields of a network's configuration, with their defaults.

    A value per hidden layer may be given for ``activation``, ``noise_std`` and ``dropout``; one per
    layer for ``bias``, ``bias_start`` and ``frozen``; one per matrix for ``l1`` on weights (tied:
    one), one per hidden layer for ``l1`` on activations.
    """

    widths: tuple[int, ...]
    activation: str | tuple[str, ...] = "relu"
    output: str = "linear"
    bias: bool | tuple[bool, ...] = False
    bias_start: float | tuple[float, ...] = 0.0
    bias_decay: tuple[tuple[int, float], ...] | None = None
    residual: tuple[int, ...] = ()
    tied: bool = False
    frozen: bool | tuple[bool, ...] = False
    inputs: Any = field(default_factory=Basis)
    target: Any = field(default_factory=Identity)
    loss: Any = field(default_factory=losses.Power)
    importance: tuple[float, ...] | None = None
    l1: float | tuple[float, ...] = 0.0
    l1_schedule: tuple[tuple[int, float], ...] | None = None
    l1_target: str = "weights"
    l1_update: str = "subgradient"
    noise: str = "none"
    noise_std: float | tuple[float, ...] = 0.0
    noise_shape: float | None = None
    noise_sharing: str = "input"
    dropout: float | tuple[float, ...] = 0.0
    dropout_sharing: str = "input"
    optimizer: str = "adamw"
    learning_rate: float = 1e-3
    learning_rate_schedule: str | tuple[tuple[int, float], ...] | None = None
    weight_decay: float | None = None
    momentum: float = 0.0
    betas: tuple[float, float] = (0.9, 0.999)
    epsilon: float = 1e-8
    steps: int = 7500
    init: str = "normal"
    init_scale: float = 1.0
    readout: str | tuple[tuple[int, ...], ...] = "dense"
    dtype: str = "float32"


def depth(config: Config) -> int:
    """L, the number of layers that have weights."""
    return len(config.widths) - 1


def spread(value: Any, count: int) -> list[Any]:
    """A value for each of ``count`` layers, from one for all or one each."""
    if not isinstance(value, (tuple, list)):
        return [value] * count
    if len(value) != count:
        raise ValueError(f"{count} values, got {value!r}")
    return list(value)


def l1_of_layers(config: Config) -> list[float]:
    """By matrix, or by hidden layer where l1 is on activations."""
    if config.l1_target == "activations":
        return spread(config.l1, depth(config) - 1)
    return spread(config.l1, 1 if config.tied else depth(config))


def importance(config: Config) -> Array:
    """(d_L,): weight of each output's loss."""
    if config.importance is None:
        return np.ones(config.widths[-1])
    return np.array(config.importance, dtype=np.float64)


# ---------------------------------------------------------------------------------------------
# The model
# ---------------------------------------------------------------------------------------------


class Network(NamedTuple):
    """One model: matrices (d_{l-1}, d_l), one if tied, and a bias (d_l,) or None for each layer.

    Also the form of gradients.
    """

    weights: list[Array]
    biases: list[Array | None]


def network(
    weights: Sequence[ArrayLike], biases: Sequence[ArrayLike | None] | None = None
) -> Network:
    """A model in float64, whatever the arrays were; ``biases`` is needed for a tied one."""
    matrices = [np.array(w, dtype=np.float64) for w in weights]
    given = [None] * len(matrices) if biases is None else biases
    return Network(matrices, [None if b is None else np.array(b, np.float64) for b in given])


def matrix(config: Config, model: Network, layer: int) -> Array:
    """W_l."""
    return model.weights[0].T if config.tied and layer == 2 else model.weights[layer - 1]


# ---------------------------------------------------------------------------------------------
# The forward pass
# ---------------------------------------------------------------------------------------------


def activation(kind: str, z: Array) -> Array:
    if kind == "relu":
        return np.maximum(z, 0.0)
    if kind == "gelu":
        return np.asarray(z * (1 + special.erf(z / math.sqrt(2))) / 2)
    if kind == "tanh":
        return np.tanh(z)
    return z**2 if kind == "square" else z


def slope(kind: str, z: Array) -> Array:
    """Of the activation; that of the ReLU at 0 is 0."""
    if kind == "relu":
        return (z > 0).astype(np.float64)
    if kind == "gelu":
        below = (1 + special.erf(z / math.sqrt(2))) / 2
        return np.asarray(below + z * np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi))
    if kind == "tanh":
        return 1 - np.tanh(z) ** 2
    return 2 * z if kind == "square" else np.ones_like(z)


def over_nonzeros(rows: Array, columns: Array) -> Array:
    """rows @ columns with the zeros of ``rows`` left out: 0 times infinity is nothing."""
    out = np.zeros((len(rows), columns.shape[1]))
    for b, row in enumerate(rows):
        on = row != 0
        out[b] = row[on] @ columns[on]
    return out


class Trace(NamedTuple):
    """Everything a forward pass goes through."""

    preactivations: list[Array]  # Z_1 ... Z_L
    activations: list[Array]  # act(Z_l) of the hidden layers
    read: list[Array]  # H_0 ... H_{L-1}: what each layer reads
    outputs: Array  # (B, d_L); logits for the cross-entropies


def forward(
    config: Config, model: Network, batch: Array, noise: PerLayer = None, dropout: PerLayer = None
) -> Trace:
    """``noise`` is added, ``dropout`` (0 or 1 / (1 - probability)) then multiplies."""
    last = depth(config)
    kinds = spread(config.activation, last - 1)
    trace = Trace([], [], [batch], np.empty(0))
    for layer in range(1, last + 1):
        incoming, bias = trace.read[-1], model.biases[layer - 1]
        w = matrix(config, model, layer)
        z = over_nonzeros(incoming, w) if layer == 1 else incoming @ w
        if bias is not None:
            z = z + bias
        trace.preactivations.append(z)
        if layer == last:
            break
        a = activation(kinds[layer - 1], z)
        trace.activations.append(a)
        out = a + incoming if layer in config.residual else a
        if noise is not None and noise[layer - 1] is not None:
            out = out + noise[layer - 1]
        if dropout is not None and dropout[layer - 1] is not None:
            out = out * dropout[layer - 1]
        trace.read.append(out)
    return trace._replace(outputs=activation(config.output, trace.preactivations[-1]))


# ---------------------------------------------------------------------------------------------
# The objective
# ---------------------------------------------------------------------------------------------


def expected_active(inputs: Any, n_features: int) -> float:
    """How many features of a sampled row are on, in expectation."""
    if type(inputs).__name__ == "CorrelatedBlocks":
        return float(inputs.active)
    return float(sum(spread(inputs.probability, n_features)))


def scale(config: Config, rows: int) -> float:
    """The factor of the sum over rows.

    Where output i answers to feature i under a power loss, it makes each feature appear once per
    step in expectation, on average over features; everything else is a mean over rows.
    """
    inputs, n = config.inputs, config.widths[0]
    sampled = type(inputs).__name__ != "Dataset"
    if not (sampled and losses.kind(config.loss) == "Power" and is_elementwise(config.target)):
        return 1 / rows
    if type(inputs).__name__ == "Basis":
        return 1.0
    return n / (rows * expected_active(inputs, n))


def error(
    config: Config,
    model: Network,
    batch: Array,
    targets: Targets,
    noise: PerLayer = None,
    dropout: PerLayer = None,
) -> float:
    """The scaled loss of the batch, without l1."""
    outputs = forward(config, model, batch, noise, dropout).outputs
    each = losses.values(config.loss, outputs, targets, importance(config))
    return scale(config, len(batch)) * float(np.sum(each))


def l1_term(
    config: Config,
    model: Network,
    batch: Array,
    noise: PerLayer = None,
    dropout: PerLayer = None,
) -> float:
    """On the weights, never the biases; or on act(Z_l), each with the factor of its layer."""
    if config.l1_target == "activations":
        activations = forward(config, model, batch, noise, dropout).activations
        arrays, factor = activations, scale(config, len(batch))
    else:
        arrays, factor = model.weights, 1.0
    sums = [float(np.sum(np.abs(a))) for a in arrays]
    return factor * sum(l1 * s for l1, s in zip(l1_of_layers(config), sums, strict=True))


def objective(
    config: Config,
    model: Network,
    batch: Array,
    targets: Targets,
    noise: PerLayer = None,
    dropout: PerLayer = None,
) -> float:
    """What training minimises."""
    loss = error(config, model, batch, targets, noise, dropout)
    return loss + l1_term(config, model, batch, noise, dropout)


# ---------------------------------------------------------------------------------------------
# Its gradient
# ---------------------------------------------------------------------------------------------


def smooth_gradient(
    config: Config,
    model: Network,
    batch: Array,
    targets: Targets,
    noise: PerLayer = None,
    dropout: PerLayer = None,
) -> Network:
    """Of everything but l1 on weights, by backpropagation, frozen layers included.

    The slope of |act(Z)| at 0 is 0.
    """
    last = depth(config)
    kinds = spread(config.activation, last - 1)
    trace = forward(config, model, batch, noise, dropout)
    factor = scale(config, len(batch))
    on_activations = [0.0] * (last - 1)
    if config.l1_target == "activations":
        on_activations = l1_of_layers(config)

    d_outputs = losses.slopes(config.loss, trace.outputs, targets, importance(config))
    d_z = factor * d_outputs * slope(config.output, trace.preactivations[-1])
    d_out = np.zeros(0)  # by act(Z_l) + H_{l-1}, of the hidden layer above
    d_weights, d_biases = [], []
    for layer in range(last, 0, -1):
        read = trace.read[layer - 1]
        d_weights.append(over_nonzeros(read.T, d_z) if layer == 1 else read.T @ d_z)
        has_bias = model.biases[layer - 1] is not None
        d_biases.append(np.sum(d_z, axis=0) if has_bias else None)
        if layer == 1:
            break
        below = layer - 1
        d_read = d_z @ matrix(config, model, layer).T
        if layer in config.residual:
            d_read = d_read + d_out
        d_out = d_read
        if dropout is not None and dropout[below - 1] is not None:
            d_out = d_out * dropout[below - 1]
        l1 = on_activations[below - 1]
        d_activation = d_out + l1 * factor * np.sign(trace.activations[below - 1])
        d_z = d_activation * slope(kinds[below - 1], trace.preactivations[below - 1])
    d_weights.reverse()
    d_biases.reverse()
    if config.tied:
        d_weights = [d_weights[1].T + d_weights[0]]
    return Network(d_weights, d_biases)


def gradient(
    config: Config,
    model: Network,
    batch: Array,
    targets: Targets,
    noise: PerLayer = None,
    dropout: PerLayer = None,
) -> Network:
    """Of `objective`: l1 on weights by its subgradient, with sign(0) = 0."""
    smooth = smooth_gradient(config, model, batch, targets, noise, dropout)
    if config.l1_target == "activations":
        return smooth
    d_weights = [
        d + l1 * np.sign(w)
        for d, l1, w in zip(smooth.weights, l1_of_layers(config), model.weights, strict=True)
    ]
    return Network(d_weights, smooth.biases)
