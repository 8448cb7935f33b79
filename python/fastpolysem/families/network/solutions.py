"""Constructed networks in which every neuron serves one concept, or neurons are shared."""

from __future__ import annotations

import itertools
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastpolysem import _checks
from fastpolysem.families.network.config import NetworkConfig
from fastpolysem.families.network.dataset import Dataset
from fastpolysem.families.network.losses import BinaryCrossEntropy
from fastpolysem.families.network.objective import NetworkParameters, check_readout, pack
from fastpolysem.families.network.targets import Clauses, Parity
from fastpolysem.specs.inputs import Independent

Floats = NDArray[np.float64]

_LOGIT = 20.0
"""Half the difference between logits of a certain decision: e^-20 is 2e-9."""
_STEEP = 1e3
"""gelu(c x) / c equals a ReLU to within 0.2 / c."""
_FLAT = 0.05
"""tanh(c x) / c equals x to within c^2 / 3."""


class Solution(NamedTuple):
    """A constructed network."""

    parameters: NetworkParameters
    """Weights and biases in float64."""
    loss: float
    """Its loss, as in the column ``loss`` of results."""
    neurons: int
    """Number of hidden neurons used per layer."""


class _Layer(NamedTuple):
    """A solution with one hidden layer of k neurons."""

    into: Floats
    """(d_0, k)"""
    bias: Floats
    """(k,)"""
    out: Floats
    """(k, d_L)"""
    out_bias: Floats
    """(d_L,)"""


def monosemantic(config: NetworkConfig) -> Solution:
    """Construct a network of the config's widths that solves the task with one concept per neuron.

    For n features, the following numbers of neurons in one hidden layer are known to suffice.
    Identity: n for non-negative inputs; for signed inputs 2n, or n with biases, as inputs are at
    least -1; 2n with GELU, as gelu(x) - gelu(-x) = x; n with linear neurons; n with tanh,
    approximately. ReLU targets: n. Absolute values of signed inputs: 2n. Clauses, with biases: one
    per clause. Parity of b features, with biases: b. Further hidden layers copy the neurons.
    Unused neurons are 0.

    If n neurons represent n signed features, each serves +i and -i of its feature, which `measure`
    counts as two concepts. Without logits, an output of clauses is the number of them that hold, so
    that the loss is 0 only if no two clauses of an output can hold at once.

    Parameters
    ----------
    config
        A config with one of the `targets`, not a `Dataset`; binary inputs for clauses and parity.

    Returns
    -------
    Solution

    Raises
    ------
    TypeError, ValueError
        If no such network is known for the task, or the widths are too small; the message gives the
        number of neurons needed.
    """
    _checks.instance("monosemantic: config", config, NetworkConfig, "a NetworkConfig")
    layer = _solved(config)
    neurons = layer.into.shape[1]
    if (least := min(config.widths[1:-1])) < neurons:
        raise ValueError(
            f"monosemantic: widths must have {neurons} neurons or more in every hidden layer for "
            f"a solution with a neuron per concept, got {least}"
        )
    parameters = _embedded(config, layer)
    try:
        check_readout("monosemantic", config, pack(config, parameters))
    except ValueError:
        raise _refused(f"readout={_checks.shown(config.readout)}") from None
    return Solution(parameters, attained(config, parameters), neurons)


def attained(config: NetworkConfig, parameters: NetworkParameters) -> float:
    """The loss of a network on the evaluation rows."""
    from fastpolysem.training import train

    same = ("widths", "activation", "output", "bias", "residual", "tied", "inputs", "target")
    fields = {name: getattr(config, name) for name in (*same, "loss", "importance")}
    bare = NetworkConfig(**fields, steps=0, dtype="float64")
    return float(train(bare, 1, initial_weights=parameters).loss[0])


def _refused(what: str) -> ValueError:
    return ValueError(f"monosemantic: no network with a neuron per concept is known for {what}")


def _solved(config: NetworkConfig) -> _Layer:
    if isinstance(config.inputs, Dataset):
        raise _refused(
            "the given targets of a Dataset; compare readout='private' with 'random' instead"
        )
    target = config.target
    if isinstance(target, (Clauses, Parity)):
        return _formulas(config)
    if config.loss.kind != "power":
        raise _refused(f"target={target!r} with loss={config.loss!r}")
    signed = isinstance(config.inputs, Independent) and config.inputs._is_signed
    layer = _elementwise(config, target.kind if signed else "identity", signed)
    first, *further = config._spread("activation", config.depth - 1)
    copied = [a for number, a in enumerate(further, 2) if number not in config.residual]
    steep = first == "gelu" and layer.into.max() == _STEEP
    positive = first == "relu" or steep or not (signed or (layer.into < 0).any())
    if "relu" in copied and not positive:
        raise _refused(f"a ReLU layer after activation={first!r}, whose values may be below 0")
    return layer


def _elementwise(config: NetworkConfig, target: str, signed: bool) -> _Layer:
    """Solve feature by feature; for non-negative inputs all targets are the identity."""
    n = config.widths[0]
    eye, none = np.eye(n), np.zeros(n)
    activation = config._spread("activation", config.depth - 1)[0]
    biased = config._spread("bias", config.depth)
    if signed and target == "identity" and config.output == "relu":
        raise _refused("targets below 0 with output='relu'")
    both = np.hstack([eye, -eye])
    relu_like = activation in ("relu", "gelu")
    steep = _STEEP if activation == "gelu" else 1.0
    if activation == "linear" and (
        target == "identity" or (target, config.output) == ("relu",) * 2
    ):
        return _Layer(eye, none, eye, none)
    if activation == "tanh" and target == "identity" and not config.tied:
        return _Layer(_FLAT * eye, none, eye / _FLAT, none)
    if config.tied and steep != 1 and target != "identity":
        raise _refused("tied GELU layers and this target")
    if activation == "gelu" and target == "identity":
        return _Layer(both, np.zeros(2 * n), both.T, none)
    if relu_like and (target == "relu" or (target == "identity" and not signed)):
        return _Layer(steep * eye, none, eye / steep, none)
    if relu_like and target == "absolute":
        return _Layer(steep * both, np.zeros(2 * n), np.abs(both.T) / steep, none)
    if activation == "relu" and target == "identity":
        if biased[0] and biased[-1] and min(config.widths[1:-1]) < 2 * n:
            return _Layer(eye, none + 1, eye, none - 1)
        return _Layer(both, np.zeros(2 * n), both.T, none)
    raise _refused(f"activation={activation!r} and target={config.target!r}")


def _formulas(config: NetworkConfig) -> _Layer:
    if config._spread("activation", config.depth - 1)[0] != "relu":
        raise _refused(f"activation={config.activation!r} and target={config.target!r}")
    if not config._spread("bias", config.depth)[0]:
        raise _refused(f"target={config.target!r} without biases")
    kinds = {"one"}
    if isinstance(config.inputs, Independent):
        magnitude = config.inputs.magnitude
        kinds = {magnitude} if isinstance(magnitude, str) else set(magnitude)
    if len(kinds) > 1 or not kinds <= {"one", "sign"}:
        raise _refused(f"target={config.target!r} of inputs that are not binary")
    # Inputs of -1 and 1 become 0 and 1 by (x + 1) / 2; but a "sign" feature may also be 0, which
    # means off.
    if "sign" in kinds:
        probability = config.inputs.probability  # type: ignore[union-attr]
        if np.any(np.asarray(probability) != 1):
            raise _refused("signed inputs that may be 0")
    half = 0.5 if "sign" in kinds else 1.0
    columns: list[Floats] = []
    biases: list[float] = []
    readers: list[tuple[int, float]] = []
    for output, formula in enumerate(config.target.outputs):  # type: ignore[union-attr]
        if isinstance(config.target, Parity):
            _staircase(config, formula, half, (columns, biases, readers), output)
            continue
        for clause in formula:
            weights = np.zeros(config.widths[0])
            bias = 1.0
            for literal in clause:
                weights[literal if literal >= 0 else ~literal] = half * (1 if literal >= 0 else -1)
                bias -= 1 if literal >= 0 else 0
            if half != 1:
                bias += sum(half if literal >= 0 else -half for literal in clause)
            columns.append(weights)
            biases.append(bias)
            readers.append((output, 1.0))
    out = np.zeros((len(columns), config.widths[-1]))
    for k, (output, weight) in enumerate(readers):
        out[k, output] = weight
    out_bias = np.zeros(config.widths[-1])
    if isinstance(config.loss, BinaryCrossEntropy):
        if not config._spread("bias", config.depth)[-1]:
            raise _refused("logits without biases")
        out, out_bias = 2 * _LOGIT * out, out_bias - _LOGIT
    return _Layer(np.stack(columns, axis=1), np.array(biases), out, out_bias)


def _staircase(
    config: NetworkConfig, features: Any, half: float, to: tuple[list[Any], ...], output: int
) -> None:
    """relu(s) - 2 relu(s - 1) + 2 relu(s - 2) - ..., where s is the number of features that are on;
    it is 1 for odd s and 0 for even s."""
    columns, biases, readers = to
    weights = np.zeros(config.widths[0])
    weights[list(features)] = half
    shift = half * len(features) if half != 1 else 0.0
    for step in range(len(features)):
        columns.append(weights)
        biases.append(shift - step)
        readers.append((output, 1.0 if step == 0 else 2.0 * (-1) ** step))


def _embedded(config: NetworkConfig, layer: _Layer) -> NetworkParameters:
    """The solution in matrices of the config's widths; further hidden layers copy their input."""
    k = layer.into.shape[1]
    has_bias = config._spread("bias", config.depth)
    activations = config._spread("activation", config.depth - 1)
    weights, biases = [], []
    for number, (before, after) in enumerate(itertools.pairwise(config.widths), 1):
        matrix, bias = np.zeros((before, after)), np.zeros(after)
        if number == 1:
            matrix[:, :k], bias[:k] = layer.into, layer.bias
            if number in config.residual:  # the inputs are added
                raise _refused("a residual first layer")
        elif number == config.depth:
            matrix[:k], bias[:] = layer.out, layer.out_bias
        elif number not in config.residual:
            if activations[number - 1] not in ("relu", "linear"):
                raise _refused(f"a further layer with activation={activations[number - 1]!r}")
            matrix[:k, :k] = np.eye(k)
        weights.append(matrix)
        if bias.any() and not has_bias[number - 1]:
            raise _refused(f"layer {number} without a bias")
        biases.append(bias if has_bias[number - 1] else None)
    if config.tied:
        if not np.array_equal(weights[0], weights[1].T):
            raise _refused("tied matrices")
        weights = weights[:1]
    return NetworkParameters(weights, biases if any(has_bias) else None)


def polysemantic(config: NetworkConfig) -> NetworkParameters:
    """Initial weights with shared neurons, made from the monosemantic solution.

    The neurons of two concepts are added on one neuron, and the other is set to 0. Unlike that
    solution, these weights do not solve the task; they are only a starting point.

    Parameters
    ----------
    config
        As in `monosemantic`.

    Returns
    -------
    NetworkParameters
        Weights and biases in float64.
    """
    layer = _solved(config)
    into, bias, out = layer.into.copy(), layer.bias.copy(), layer.out.copy()
    carriers = np.abs(out).argmax(axis=1)
    left = list(range(len(out)))
    while len(left) > 1:
        one = left.pop(0)
        # A neuron that other outputs read, if there is any.
        other = next((k for k in left if carriers[k] != carriers[one]), left[0])
        left.remove(other)
        for array in (into.T, out):
            array[one] = (array[one] + array[other]) / np.sqrt(2)
            array[other] = 0
        bias[one], bias[other] = max(bias[one], bias[other]), 0
    return _embedded(config, _Layer(into, bias, out, layer.out_bias))
