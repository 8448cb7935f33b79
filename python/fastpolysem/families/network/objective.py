"""Weights, outputs, objective and gradient of networks, for a stack of networks at once."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastpolysem import _checks
from fastpolysem._native import core
from fastpolysem.families.base import Arrays
from fastpolysem.families.network.config import NetworkConfig, private_reads
from fastpolysem.families.network.dataset import Dataset
from fastpolysem.families.network.lowering import core_settings
from fastpolysem.specs.inputs import FixedBatch, as_batch

__all__ = ["Draws", "NetworkParameters", "draw", "forward", "loss_and_gradient"]


Batch = tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float64]]
"""Rows of inputs as (indptr, indices, values)."""


class NetworkParameters(NamedTuple):
    """All parameters of a network, or of a stack of S of them."""

    weights: list[NDArray[Any]]
    """``weights[l]`` is (d_l, d_{l+1}) or (S, d_l, d_{l+1}), one row per input of the layer; a tied
    network has one matrix."""
    biases: list[NDArray[Any] | None] | None = None
    """``biases[l]`` is (d_{l+1},) or (S, d_{l+1}), or None for a layer without a bias; None if no
    layer has one. Where the config has a bias, None counts as 0."""

    def __repr__(self) -> str:
        """The shapes, as the entries would fill a screen."""
        return _checks.shapes_shown(self)


class Draws(NamedTuple):
    """What a seed is trained on in one step, exactly as used in training."""

    inputs: NDArray[Any]
    """(B, d_0)"""
    targets: NDArray[Any]
    """(B, d_L), or (B,) classes."""
    noise: list[NDArray[Any] | None]
    """Noise added to each hidden layer: (B, d_l), or (d_l,) if shared by all rows."""
    dropout: list[NDArray[Any] | None]
    """Dropout factors of each hidden layer, 0 or 1 / (1 - dropout), shaped like the noise."""
    rows: NDArray[np.int64] | None
    """(B,) row numbers in a data set; None for other inputs."""
    flipped: NDArray[np.bool_]
    """(B,) whether label noise changed the class of the row."""


def shapes(config: NetworkConfig) -> dict[str, tuple[int, ...]]:
    """Shapes of one network's parameters: weights_1, biases_1, weights_2, ..."""
    has_bias = config._spread("bias", config.depth)
    found: dict[str, tuple[int, ...]] = {}
    for layer, (before, after) in enumerate(zip(config.widths, config.widths[1:], strict=False), 1):
        if layer == 1 or not config.tied:
            found[f"weights_{layer}"] = (before, after)
        if has_bias[layer - 1]:
            found[f"biases_{layer}"] = (after,)
    return found


def pack(config: NetworkConfig, parameters: NetworkParameters) -> Arrays:
    """Parameters by name."""
    biases = parameters.biases or [None] * config.depth
    given = {f"weights_{i}": w for i, w in enumerate(parameters.weights, 1)}
    given |= {f"biases_{i}": b for i, b in enumerate(biases, 1) if b is not None}
    return {name: given[name] for name in shapes(config)}


def unpack(config: NetworkConfig, arrays: Arrays) -> NetworkParameters:
    """The inverse of `pack`."""
    layers = range(1, config.depth + 1)
    weights = [arrays[f"weights_{i}"] for i in layers if f"weights_{i}" in arrays]
    biases = [arrays.get(f"biases_{i}") for i in layers]
    return NetworkParameters(weights, None if all(b is None for b in biases) else biases)


def stacked(
    label: str, parameters: Any, config: NetworkConfig, count: int | None
) -> tuple[Arrays, bool]:
    """Check parameters and return them as stacks of one length, and whether they were one network.

    ``count`` is the length of the stacks; None takes that of the first matrix. A single network is
    repeated.
    """
    if isinstance(parameters, list):
        parameters = NetworkParameters(parameters)
    if not isinstance(parameters, tuple) or len(parameters) not in (1, 2):
        allowed, hint = "NetworkParameters(weights, biases)", ""
        if parameters is None:
            hint = "; a result has weights if it was trained with return_weights=True"
        elif hasattr(parameters, "state_dict"):
            hint = "; read a module with fp.parameters_from_torch(module)"
        raise _checks.refused(label, allowed, parameters, hint, TypeError)
    given = NetworkParameters(*parameters)
    wanted = shapes(config)
    matrices = sum(name.startswith("weights") for name in wanted)
    if not isinstance(given.weights, (list, tuple)) or len(given.weights) != matrices:
        raise _checks.refused(f"{label}: weights", f"a list of {matrices} matrices", given.weights)
    biases = [None] * config.depth if given.biases is None else given.biases
    if not isinstance(biases, (list, tuple)) or len(biases) != config.depth:
        raise _checks.refused(
            f"{label}: biases", f"None or a list with one entry per layer, {config.depth}", biases
        )
    parts: dict[str, Any] = {f"weights_{i}": w for i, w in enumerate(given.weights, 1)}
    for layer, bias in enumerate(biases, 1):
        name = f"biases_{layer}"
        if bias is not None and name not in wanted:
            raise ValueError(f"{label}: {name} must be None for a layer without biases, got one")
        if name in wanted:
            parts[name] = np.zeros(wanted[name]) if bias is None else bias
    stacks: Arrays = {}
    for name, shape in wanted.items():
        stack = _checks.stacked(f"{label}: {name}", parts[name], shape, config.dtype, count)
        count = len(stack) if count is None else count
        stacks[name] = _checks.repeated(f"{label}: {name}", stack, count)
    return stacks, _checks.as_array(label, given.weights[0]).ndim == 2


def check_readout(label: str, config: NetworkConfig, arrays: Arrays) -> None:
    """Refuse start weights by which outputs would read neurons that the config keeps from them."""
    if config.readout == "dense":
        return
    if config.readout == "random":
        raise ValueError(
            f"{label} must be None with readout='random', which draws the readout for each seed; "
            "give the matrix of zeros and ones instead"
        )
    if config.readout == "private":
        reads = private_reads(*config.widths[-2:])
    else:
        reads = np.array(config.readout, dtype=bool)
    name = f"weights_{config.depth}"
    if (arrays[name] * ~reads).any():
        raise ValueError(
            f"{label}: {name} must be 0 where readout={config.readout!r} has no weight"
        )


class _Call(NamedTuple):
    """The arguments of both functions for the core."""

    settings: Any
    parameters: Arrays
    batch: Batch
    rows: int
    single: bool


def _prepare(where: str, parameters: Any, config: NetworkConfig, batch: Any) -> _Call:
    stacks, single = stacked(f"{where}: weights", parameters, config, None)
    if batch is None and isinstance(config.inputs, Dataset):
        batch = config.inputs.inputs
    elif batch is None:
        if config.inputs.kind != "basis":
            raise ValueError(
                f"{where}: batch must be given for a config with inputs={config.inputs!r}"
            )
        n = config.widths[0]
        batch = FixedBatch.from_csr(np.arange(n + 1), np.arange(n), np.ones(n), n)
    fixed = as_batch(f"{where}: batch", batch, config.widths[0])
    fixed._check_dtype(f"{where}: batch", config.dtype)
    csr = fixed.indptr, fixed.indices, fixed.values
    rows = fixed.shape[0]
    itemsize = np.dtype(config.dtype).itemsize
    _checks.memory(
        where,
        {
            "the pass": 4 * rows * sum(config.widths) * itemsize,
            "the results": len(stacks["weights_1"]) * rows * sum(config.widths[1:]) * itemsize,
        },
        "use fewer models or rows in one call",
    )
    return _Call(core_settings(config), stacks, csr, rows, single)


def forward(
    parameters: Any,
    config: NetworkConfig,
    batch: ArrayLike | Any | None = None,
    noise: Any = None,
    *,
    layers: bool = False,
) -> Any:
    """Outputs of the network, without dropout.

    Parameters
    ----------
    parameters
        :class:`NetworkParameters` of one network or a stack. Converted to the config's dtype.
    config
        The network; its training settings are ignored.
    batch
        (B, d_0) inputs, dense or scipy.sparse. None stands for the basis vectors, or for all rows
        of the config's data set; required if the config samples its inputs.
    noise
        Noise added to each hidden layer, or None: (d_l,), (B, d_l), or either with a leading axis
        S. With S = B, two axes are (B, d_l).
    layers
        Whether to return the activations of all layers.

    Returns
    -------
    (S, B, d_L) array of the config's dtype, logits for a cross-entropy. With ``layers``, a list
    with activation(Z_l) of each hidden layer, (S, B, d_l), and the outputs. Without the axis S for
    the parameters of one network.
    """
    call = _prepare("forward", parameters, config, batch)
    added = _per_layer("forward: noise", noise, config, call)
    out: list[NDArray[Any]] = core.network_forward(
        call.settings, call.parameters, call.batch, added
    )
    found = [one[0] if call.single else one for one in out]
    return found if layers else found[-1]


def loss_and_gradient(
    parameters: Any,
    config: NetworkConfig,
    batch: ArrayLike | Any | None = None,
    noise: Any = None,
    *,
    targets: ArrayLike | None = None,
    dropout: Any = None,
) -> tuple[Any, NetworkParameters]:
    """The objective and its gradient in one training step.

    The objective is ``scale * sum over rows of the loss`` plus the config's l1 term (at full
    strength, with subgradient 0 at 0). The scale is that of the config for the number of rows in
    the batch.

    Parameters
    ----------
    parameters, config, batch, noise
        As in :func:`forward`.
    targets
        (B, d_L), or (B,) classes; None uses those of the config.
    dropout
        Factors of each hidden layer, shaped like the noise, or None.

    Returns
    -------
    loss : (S,) float64 array; a float64 number for one network
    gradient : NetworkParameters in the config's dtype
    """
    where = "loss_and_gradient"
    call = _prepare(where, parameters, config, batch)
    wanted = checked_targets(where, targets, config, call.batch, own_rows=batch is not None)
    added = _per_layer(f"{where}: noise", noise, config, call)
    factors = _per_layer(f"{where}: dropout", dropout, config, call)
    loss, gradient = core.network_loss_and_gradient(
        call.settings, call.parameters, call.batch, wanted, added, factors
    )
    if call.single:
        loss, gradient = loss[0], {name: part[0] for name, part in gradient.items()}
    return loss, unpack(config, gradient)


def draw(config: NetworkConfig, seed: int, step: int) -> Draws:
    """What a seed is trained on in one step; see `fastpolysem.draw`."""
    number = _checks.integer("draw: seed", seed, (">=", 0), ("<", 2**64))
    at = _checks.integer("draw: step", step, (">=", 0), ("<", config.steps))
    out = core.network_draw(core_settings(config), number, at)
    return Draws(**out)


def checked_targets(
    where: str, given: Any, config: NetworkConfig, batch: Batch, own_rows: bool
) -> Any:
    """Targets of a batch: (rows, d_L) float64 numbers, (rows,) classes, or None to compute them."""
    label, rows = f"{where}: targets", len(batch[0]) - 1
    if given is None:
        if not isinstance(config.inputs, Dataset):
            _check_computed(label, config, batch[2])
            return None
        if own_rows:
            wanted = f"({rows}, {config.widths[-1]}) numbers"
            if config.loss.kind == "cross_entropy":
                wanted = f"({rows},) classes"
            hint = ": the targets of the config's Dataset belong to its own rows"
            raise _checks.refused(label, f"{wanted} with rows of your own", None, hint)
        given = config.inputs.targets
    if config.loss.kind == "cross_entropy":
        classes = _checks.integers(label, given, (">=", 0), ("<", config.widths[-1]))
        found: NDArray[Any] = np.array(classes, dtype=np.int32)
    else:
        found = _checks.array(label, given, config.dtype, (2,))
        if found.shape[1] != config.widths[-1]:
            raise ValueError(
                f"{label} must have {config.widths[-1]} columns, got shape {found.shape}"
            )
        _check_probabilities(label, config, found)
        found = np.array(
            _checks.as_array(label, given), dtype=np.float64, order="C"
        )  # rounded to the dtype by the core
    if len(found) != rows:
        raise ValueError(f"{label} must have one entry per row, {rows}, got {len(found)}")
    return found


def _check_computed(label: str, config: NetworkConfig, values: NDArray[np.float64]) -> None:
    """Refuse rows whose targets, as the config computes them, lie outside the range of its loss."""
    of_rows = {"identity": values, "absolute": np.abs(values), "relu": np.maximum(values, 0)}
    if config.target.kind in of_rows:
        of = f"{label} of these rows, {config.target!r},"
        _check_probabilities(of, config, of_rows[config.target.kind])


def _check_probabilities(label: str, config: NetworkConfig, targets: NDArray[Any]) -> None:
    if config.loss.kind != "binary_cross_entropy" or not targets.size:
        return
    low, high = targets.min(), targets.max()
    if low < 0 or high > 1:
        got = high if high > 1 else low
        raise ValueError(f"{label} must be within [0, 1] with loss={config.loss!r}, got {got:g}")


def _per_layer(label: str, given: Any, config: NetworkConfig, call: _Call) -> list[Any]:
    """Noise or dropout of each hidden layer, (S, 1 or rows, d_l) in the config's dtype, or None."""
    hidden = config.depth - 1
    if given is None:
        return [None] * hidden
    if not isinstance(given, (list, tuple)) or len(given) != hidden:
        raise _checks.refused(label, f"a list with one entry per hidden layer, {hidden}", given)
    count = len(call.parameters["weights_1"])
    found: list[Any] = []
    for layer, part in enumerate(given, 1):
        if part is None:
            found.append(None)
            continue
        own, units = f"{label}[{layer - 1}]", config.widths[layer]
        array = _checks.array(own, part, config.dtype, (1, 2, 3))
        shared = array.ndim == 1 or (
            array.ndim == 2 and array.shape == (count, units) != (call.rows, units)
        )
        shape = (units,) if shared else (call.rows, units)
        stack = _checks.repeated(
            own, _checks.stacked(own, array, shape, config.dtype, count), count
        )
        found.append(np.ascontiguousarray(stack.reshape(count, -1, units)))
    return found
