"""One pass of a model of any family: outputs, objective and gradient, and what a step draws."""

from __future__ import annotations

import importlib
import inspect
from typing import TYPE_CHECKING, Any, overload

from numpy.typing import ArrayLike, NDArray

from fastpolysem import _checks, families

if TYPE_CHECKING:
    from fastpolysem.families.autoencoder.config import Config
    from fastpolysem.families.autoencoder.objective import Weights, WeightsLike
    from fastpolysem.families.network.config import NetworkConfig
    from fastpolysem.families.network.objective import Draws, NetworkParameters


@overload
def forward(
    weights: WeightsLike, config: Config, batch: Any = ..., noise: ArrayLike | None = ...
) -> NDArray[Any]: ...
@overload
def forward(
    weights: Any, config: NetworkConfig, batch: Any = ..., noise: Any = ..., *, layers: bool = ...
) -> Any: ...
def forward(
    weights: Any, config: Any, batch: Any = None, noise: Any = None, *, layers: bool = False
) -> Any:
    """Outputs of the model, without dropout.

    For an autoencoder ``activation(W_dec (W_enc^T x + noise) + bias)``; for a network see
    :class:`NetworkConfig`.

    Parameters
    ----------
    weights
        Of one model, or of S of them with a leading axis S: for an autoencoder an (n, m) or
        (S, n, m) array if it has one matrix only, else :class:`Parameters` or a pair of its
        matrices; for a network :class:`NetworkParameters`. Converted to the config's dtype; must be
        finite.
    config
        The model; of its training only the ``noise_sharing`` of an autoencoder matters here.
    batch
        (B, n) inputs as an array, a scipy.sparse matrix or a :class:`FixedBatch`. None for the
        basis vectors, or for all rows of the config's own FixedBatch or Dataset; required if the
        config samples its inputs.
    noise
        What is added to hidden layers, None for nothing. For an autoencoder (m,) or (S, m), shared
        by all inputs; with ``noise_sharing="input"`` (B, m) or (S, B, m). For a network a list with
        one entry per hidden layer: None, (d,) for all inputs, (B, d), or either with a leading
        axis S.
    layers
        For a network: whether to return a list with the activations of all layers, before noise and
        what residual layers add, (S, B, d) each; the last one are the outputs.

    Returns
    -------
    (S, B, outputs) array of the config's dtype; (B, outputs) if the weights were those of one
    model. With a cross-entropy these are logits.

    Raises
    ------
    TypeError, ValueError
        For arguments that do not fit the config.
    MemoryError
        If the work would not fit into the available memory, with the estimate.
    """
    wanted = _checks.flag("forward: layers", layers) or None
    return _call("forward", config, weights, config, batch, noise, layers=wanted)


@overload
def loss_and_gradient(
    weights: WeightsLike, config: Config, batch: Any = ..., noise: ArrayLike | None = ...
) -> tuple[Any, Weights]: ...
@overload
def loss_and_gradient(
    weights: Any,
    config: NetworkConfig,
    batch: Any = ...,
    noise: Any = ...,
    *,
    targets: ArrayLike | None = ...,
    dropout: Any = ...,
) -> tuple[Any, NetworkParameters]: ...
def loss_and_gradient(
    weights: Any,
    config: Any,
    batch: Any = None,
    noise: Any = None,
    *,
    targets: Any = None,
    dropout: Any = None,
) -> tuple[Any, Any]:
    """The objective and its gradient, as training sees them in one step.

    The objective is ``scale * sum over rows of the loss`` plus the config's l1 term, at its full l1
    and with subgradient 0 at 0, and the repulsion of an autoencoder. The scale is that of the
    config for the number of rows B of the given batch. For an autoencoder the loss of a row is
    ``sum over features of importance * (output - x)^2`` and the scale is 1 for :class:`Basis` and
    :class:`FixedBatch`, 1 / (B * probability that a feature is on) for sampled inputs; for a
    network see :class:`NetworkConfig`.

    Parameters
    ----------
    weights, config, batch, noise
        As in :func:`forward`.
    targets
        For a network (B, outputs) reals or (B,) classes; None for those of the config, which a
        batch given with a Dataset does not have.
    dropout
        For a network the factors of hidden units, shaped like the noise; None for none.

    Returns
    -------
    loss : (S,) float64 array; a float64 number for one model
    gradient : like the weights, in the config's dtype

    Raises
    ------
    TypeError, ValueError, MemoryError
        As in :func:`forward`.
    """
    result: tuple[Any, Any] = _call(
        "loss_and_gradient",
        config,
        weights,
        config,
        batch,
        noise,
        targets=targets,
        dropout=dropout,
    )
    return result


def draw(config: NetworkConfig, seed: int, step: int) -> Draws:
    """What a step of a seed is trained on, exactly as training draws it.

    With it, :func:`loss_and_gradient` and any other implementation compute the same step. So far
    networks only.

    Parameters
    ----------
    config
        The settings.
    seed
        In [0, 2**64).
    step
        Index of the step, the first being 0, below ``config.steps``.

    Returns
    -------
    Draws
        Inputs, targets, noise, factors of dropout, rows of a data set and which of them have
        another class.

    Raises
    ------
    TypeError, ValueError
        For a seed or step out of range, and for an autoencoder.
    """
    result: Draws = _call("draw", config, config, seed, step)
    return result


def _call(name: str, config: Any, *arguments: Any, **options: Any) -> Any:
    """Call the function of this name in the module ``objective`` of the config's family."""
    family = families.check_config(name, config)
    folder = type(family).__module__.rpartition(".")[0]
    try:
        function = getattr(importlib.import_module(f"{folder}.objective"), name)
    except (ImportError, AttributeError):
        raise TypeError(
            f"{name}: config must be of a family with a {name} of its own, "
            f"got {_checks.shown(config)}"
        ) from None
    taken = inspect.signature(function).parameters
    given = {option: value for option, value in options.items() if value is not None}
    for option, value in given.items():
        if option not in taken:
            raise TypeError(
                f"{name}: {option} must be left out for a {type(config).__name__}, "
                f"got {_checks.shown(value)}"
            )
    return function(*arguments, **given)
