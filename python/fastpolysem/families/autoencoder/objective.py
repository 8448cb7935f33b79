"""Outputs, loss and gradient of an autoencoder, for a stack of models at once."""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastpolysem import _checks
from fastpolysem._native import core
from fastpolysem.families.autoencoder.config import Config, check_config, core_settings
from fastpolysem.specs.inputs import FixedBatch, as_batch


class Parameters(NamedTuple):
    """All parameters of an autoencoder with more than one matrix, or of a stack of S of them.

    The weights of tied models without a bias are a plain array.
    """

    encoder: NDArray[Any]
    """(n, m) or (S, n, m)."""
    decoder: NDArray[Any] | None = None
    """Same shape as the encoder; None for tied models."""
    bias: NDArray[Any] | None = None
    """(n,) or (S, n); None for models without a bias. As an argument, None also means zeros."""

    def __repr__(self) -> str:
        """The shapes, as the entries would fill a screen."""
        return _checks.shapes_shown(self)


Weights: TypeAlias = NDArray[Any] | Parameters
WeightsLike: TypeAlias = ArrayLike | Parameters | tuple[ArrayLike, ArrayLike]


def shapes(config: Config) -> dict[str, tuple[int, ...]]:
    """The parts of one model."""
    matrix = config.n_features, config.n_hidden
    parts: dict[str, tuple[int, ...]] = {"encoder": matrix}
    if not config.tied:
        parts["decoder"] = matrix
    if config.bias:
        parts["bias"] = matrix[:1]
    return parts


def has_only_encoder(config: Config) -> bool:
    """Whether the weights of the model are one array rather than Parameters."""
    return config.tied and not config.bias


def check_family(label: str, weights: Any, hint: str = "") -> None:
    """Refuse weights of a network, whose layers would be taken for several models."""
    if "biases" in getattr(weights, "_fields", ()):  # NetworkParameters, of another family
        raise TypeError(
            f"{label} must be those of an autoencoder, an array or Parameters(...), got those of a "
            f"network{hint}"
        )


def stacked_parameters(
    label: str, weights: Any, config: Config, count: int | None
) -> tuple[Parameters, bool]:
    """Check weights and return them as stacks of one length, and whether they were a single model.

    ``count`` is the length of the stacks; None takes the encoder's. A single model is repeated.
    """
    check_family(label, weights)
    if isinstance(weights, tuple):
        if not 1 <= len(weights) <= 3:
            raise ValueError(
                f"{label} must be Parameters(encoder, decoder, bias) or a pair "
                f"(encoder, decoder), got a tuple of length {len(weights)}"
            )
        given = Parameters(*weights)
    elif has_only_encoder(config):
        given = Parameters(weights)
    else:
        parts = "bias" if config.tied else "decoder"
        raise TypeError(
            f"{label} must be Parameters(encoder, decoder, bias) for a model with a {parts}, "
            f"got {_checks.shown(weights)}"
        )
    if given.encoder is None:
        raise TypeError(f"{label}: encoder must be an array, got None")
    if config.tied and given.decoder is not None:
        raise ValueError(f"{label}: decoder must be None for a tied model, got one")
    if not config.tied and given.decoder is None:
        raise ValueError(f"{label}: decoder must be an array for an untied model, got None")
    if not config.bias and given.bias is not None:
        raise ValueError(f"{label}: bias must be None for a model without one, got one")

    listed = not hasattr(given.encoder, "ndim")
    encoder = _checks.as_array(f"{label}: encoder", given.encoder) if listed else given.encoder
    bias = np.zeros(config.n_features) if given.bias is None else given.bias
    stacks: dict[str, NDArray[Any]] = {}
    for name, shape in shapes(config).items():
        part = bias if name == "bias" else getattr(given, name)
        part_label = label if has_only_encoder(config) else f"{label}: {name}"
        stack = _checks.stacked(part_label, part, shape, config.dtype, count)
        count = len(stack) if count is None else count
        stacks[name] = _checks.repeated(part_label, stack, count)
    return Parameters(**stacks), encoder.ndim == 2


def unstacked(config: Config, parts: tuple[Any, Any, Any], single: bool) -> Weights:
    """Weights as returned to users: an array or Parameters, a single model without the axis S."""
    encoder, decoder, bias = (part[0] if single and part is not None else part for part in parts)
    if has_only_encoder(config):
        result: NDArray[Any] = encoder
        return result
    return Parameters(encoder, decoder, bias)


class _Call(NamedTuple):
    """The arguments of both functions for the core."""

    settings: Any
    parameters: Parameters
    batch: tuple[NDArray[Any], NDArray[Any], NDArray[Any]] | None
    noise: NDArray[Any] | None
    rows: int
    single: bool


def _prepare(where: str, weights: Any, config: Config, batch: Any, noise: Any) -> _Call:
    check_config(where, config)
    parameters, single = stacked_parameters(f"{where}: weights", weights, config, None)
    inputs = config.inputs
    if batch is None and isinstance(inputs, FixedBatch):
        batch = inputs
    elif batch is None and inputs.kind != "basis":
        raise ValueError(f"{where}: batch must be given for a config with inputs={inputs!r}")
    csr, rows = None, config.n_features
    if batch is not None:
        fixed = as_batch(f"{where}: batch", batch, config.n_features)
        csr, rows = (fixed.indptr, fixed.indices, fixed.values), fixed.shape[0]
        fixed._check_dtype(f"{where}: batch", config.dtype)
    if noise is not None:
        own = config.noise_sharing == "input"
        shape = (rows, config.n_hidden) if own else (config.n_hidden,)
        count = len(parameters.encoder)
        noise = _checks.stacked(f"{where}: noise", noise, shape, config.dtype, count)
        noise = _checks.repeated(f"{where}: noise", noise, count)
    return _Call(core_settings(config), parameters, csr, noise, rows, single)


def _check_memory(where: str, config: Config, call: _Call, entries: int) -> None:
    """Refuse work that exceeds the memory; ``entries`` is the size of one model's result."""
    itemsize = np.dtype(config.dtype).itemsize
    # The pass holds up to four arrays the size of the outputs and three of the hidden layer.
    work = call.rows * (4 * config.n_features + 3 * config.n_hidden)
    _checks.memory(
        where,
        {
            "the pass": work * itemsize,
            "the results": len(call.parameters.encoder) * entries * itemsize,
        },
        "use fewer models or rows in one call",
    )


def forward(
    weights: WeightsLike,
    config: Config,
    batch: ArrayLike | FixedBatch | Any | None = None,
    noise: ArrayLike | None = None,
) -> NDArray[Any]:
    """Outputs of the model, ``activation(W_dec (W_enc^T x + noise) + bias)``.

    Parameters
    ----------
    weights
        (n, m) or (S, n, m) array for tied models without bias, otherwise :class:`Parameters` or a
        pair (encoder, decoder). Converted to the config's dtype; must be finite.
    config
        The model. Training settings other than ``noise_sharing`` are ignored; no unit is dropped.
    batch
        (B, n) inputs as an array, a scipy.sparse matrix or a :class:`FixedBatch`. None stands for
        the basis vectors, or the config's own FixedBatch; required if the config samples its
        inputs.
    noise
        Noise added to the hidden layer; None for no noise. (m,) or (S, m), shared by all inputs;
        with ``noise_sharing="input"`` (B, m) or (S, B, m).

    Returns
    -------
    (S, B, n) array of the config's dtype; (B, n) for the weights of a single model.

    Raises
    ------
    TypeError, ValueError
        For arguments that do not fit the config.
    MemoryError
        If the computation would not fit into the available memory; the message gives the estimate.
    """
    call = _prepare("forward", weights, config, batch, noise)
    _check_memory("forward", config, call, call.rows * config.n_features)
    out: NDArray[Any] = core.forward(call.settings, *call.parameters, call.batch, call.noise)
    return out[0] if call.single else out


def loss_and_gradient(
    weights: WeightsLike,
    config: Config,
    batch: ArrayLike | FixedBatch | Any | None = None,
    noise: ArrayLike | None = None,
) -> tuple[Any, Weights]:
    """The loss and its gradient in one training step without dropout.

    The loss is ``scale * sum over rows and features of importance * (output - x)^2``, plus the
    config's l1 term (at full strength, with subgradient 0 at 0) and its repulsion. The scale is 1
    for :class:`Basis` and :class:`FixedBatch`; for sampled inputs it is
    n / (B * expected number of active features), with B the number of rows of the given batch.

    Parameters
    ----------
    weights, config, batch, noise
        As in :func:`forward`.

    Returns
    -------
    loss : (S,) float64 array; a float64 number for a single model
    gradient : same form as the weights, in the config's dtype

    Raises
    ------
    TypeError, ValueError, MemoryError
        As in :func:`forward`.
    """
    call = _prepare("loss_and_gradient", weights, config, batch, noise)
    matrices = 1 if config.tied else 2
    _check_memory("loss_and_gradient", config, call, matrices * config.n_features * config.n_hidden)
    scale = config.inputs._scale(config.n_features, call.rows)
    loss, *gradient = core.loss_and_gradient(
        call.settings, *call.parameters, call.batch, call.noise, scale
    )
    encoder, decoder, bias = gradient
    return (
        loss[0] if call.single else loss,
        unstacked(config, (encoder, decoder, bias), call.single),
    )
