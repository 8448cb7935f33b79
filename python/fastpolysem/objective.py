"""One pass of a model of any family (outputs, objective, gradient), and the draws of a step."""

from __future__ import annotations

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
        Weights of one model, or of S models with a leading axis S. For an autoencoder an (n, m) or
        (S, n, m) array if it has a single matrix, otherwise :class:`Parameters` or a pair of
        matrices; for a network :class:`NetworkParameters`. Converted to the config's dtype; must be
        finite.
    config
        The model. Training settings are ignored, except the ``noise_sharing`` of an autoencoder.
    batch
        (B, n) inputs as an array, a scipy.sparse matrix or a :class:`FixedBatch`. None stands for
        the basis vectors, or for all rows of the config's own FixedBatch or Dataset; required if
        the config samples its inputs.
    noise
        Noise added to hidden layers; None for no noise. For an autoencoder (m,) or (S, m), shared
        by all inputs; with ``noise_sharing="input"`` (B, m) or (S, B, m). For a network a list with
        one entry per hidden layer: None, (d,) for all inputs, (B, d), or either with a leading
        axis S; with S = B, two axes are (B, d).
    layers
        Networks only: whether to return a list with the activations of all layers, each (S, B, d),
        before noise and residual connections are added. The last entry holds the outputs.

    Returns
    -------
    (S, B, outputs) array of the config's dtype; (B, outputs) for the weights of one model. With a
    cross-entropy the outputs are logits.

    Raises
    ------
    TypeError, ValueError
        For arguments that do not fit the config.
    MemoryError
        If the computation would not fit into the available memory; the message gives the estimate.
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
    """The objective and its gradient in one training step.

    The objective is ``scale * sum over rows of the loss``, plus the config's l1 term (at full
    strength, with subgradient 0 at 0) and, for an autoencoder, its repulsion. The scale is that of
    the config for the number of rows B of the given batch. For an autoencoder the loss of a row is
    ``sum over features of importance * (output - x)^2``, and the scale is 1 for :class:`Basis` and
    :class:`FixedBatch` and n / (B * expected number of active features) for sampled inputs, with n
    features. For a network see :class:`NetworkConfig`.

    Parameters
    ----------
    weights, config, batch, noise
        As in :func:`forward`.
    targets
        Networks only: (B, outputs) reals or (B,) classes. None uses the config's targets; they must
        be given together with a batch if the config has a Dataset.
    dropout
        Networks only: factors of hidden units, shaped like the noise; None for no dropout.

    Returns
    -------
    loss : (S,) float64 array; a float64 number for one model
    gradient : same form as the weights, in the config's dtype

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
    """What a seed is trained on in one step, exactly as training draws it.

    It lets :func:`loss_and_gradient` and any other implementation compute the same step. Available
    for networks only so far.

    Parameters
    ----------
    config
        The settings.
    seed
        In [0, 2**64).
    step
        Index of the step, from 0 to ``config.steps - 1``.

    Returns
    -------
    Draws
        Inputs, targets, noise, dropout factors, and for a data set the row numbers and which of
        the rows had their class changed.

    Raises
    ------
    TypeError, ValueError
        For a seed or step out of range, and for an autoencoder.
    """
    result: Draws = _call("draw", config, config, seed, step)
    return result


def _call(name: str, config: Any, *arguments: Any, **options: Any) -> Any:
    """Call the function of this name of the config's family, if it has one."""
    function = getattr(families.check_config(name, config), name, None)
    if function is None:
        raise TypeError(
            f"{name}: config must be of a family with a {name} of its own, "
            f"got {_checks.shown(config)}"
        )
    taken = inspect.signature(function).parameters
    given = {option: value for option, value in options.items() if value is not None}
    for option, value in given.items():
        if option not in taken:
            raise TypeError(
                f"{name}: {option} must be left out for a {type(config).__name__}, "
                f"got {_checks.shown(value)}"
            )
    return function(*arguments, **given)
