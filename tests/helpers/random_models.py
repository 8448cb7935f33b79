"""Random models, batches and options that several tests share."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

import fastpolysem as fp
import specification as spec


def products(**choices: list[Any]) -> Iterator[dict[str, Any]]:
    """Every combination of the choices, as keyword arguments."""
    for values in itertools.product(*choices.values()):
        yield dict(zip(choices, values, strict=True))


def label(options: dict[str, Any]) -> str:
    """A readable test id."""
    return "-".join(f"{name}={value}" for name, value in options.items())


def random_model(rng: np.random.Generator, config: Any) -> spec.Weights:
    """Weights of about the size they start with, in float64 but representable in config.dtype."""
    n, m = config.n_features, config.n_hidden
    spread = 1.5 / np.sqrt(m)
    arrays = (
        rng.normal(0, spread, (n, m)),
        None if config.tied else rng.normal(0, spread, (n, m)),
        rng.normal(0, 0.2, n) if config.bias else None,
    )
    dtype = getattr(config, "dtype", "float64")
    return spec.weights(*(None if a is None else a.astype(dtype) for a in arrays))


def random_batch(rng: np.random.Generator, rows: int, n: int, density: float = 0.3) -> spec.Array:
    """Sparse rows, some of them empty, with values of both signs besides plain ones."""
    on = rng.random((rows, n)) < density
    values = np.where(rng.random((rows, n)) < 0.5, 1.0, rng.uniform(-1, 1, (rows, n)))
    return np.where(on, values, 0.0)


def random_importance(n: int) -> tuple[float, ...]:
    """Unequal weights of the error, between 0 and 2; the fifth feature does not count."""
    return tuple((0.5, 0.75, 2.0, 1.0, 0.0)[i % 5] for i in range(n))


def stacked(models: list[spec.Weights], dtype: Any) -> tuple[Any, Any, Any]:
    """(encoder, decoder, bias) with a leading seed axis; None where the models have none."""
    return tuple(
        None if arrays[0] is None else np.stack(arrays).astype(dtype)
        for arrays in zip(*models, strict=True)
    )


def pack(encoder: Any, decoder: Any = None, bias: Any = None) -> Any:
    """The weights in the form that fastpolysem takes them: an array if there is nothing else."""
    only = decoder is None and bias is None
    return encoder if only else fp.Parameters(encoder, decoder, bias)


def unpack(weights: Any) -> tuple[Any, Any, Any]:
    """The inverse of `pack`."""
    return tuple(weights) if isinstance(weights, tuple) else (weights, None, None)


def rows_near_a_kink(
    config: fp.Config, model: spec.Weights, rows: spec.Array, noise: Any, within: float
) -> NDArray[np.bool_]:
    """(n,): the features whose gradient may change if a pre-activation is off by ``within``."""
    near = np.zeros(rows.shape, dtype=bool)
    if config.activation == "relu":
        pre = spec.preactivation(model, rows, noise)
        near = (np.abs(pre) < within) & (pre != 0)  # what is exactly 0 is 0 in every precision
    inputs = near.any(axis=1)
    if config.l1_target == "activations":
        # One active feature passes its weights on exactly; a sum of several rounds to either side.
        several = np.count_nonzero(rows, axis=1) > 1
        inputs |= several & (np.abs(spec.hidden(model, rows)) < within).any(axis=1)
    affected: NDArray[np.bool_] = near.any(axis=0) | (rows[inputs] != 0).any(axis=0)
    return affected


def assert_equal_up_to_rounding(a: Any, b: Any, dtype: Any = np.float64) -> None:
    """Two answers (loss, gradient) to the same question."""
    tolerance = 64 * float(np.finfo(dtype).eps)
    np.testing.assert_allclose(a[0], b[0], rtol=tolerance, atol=tolerance)
    for x, y in zip(unpack(a[1]), unpack(b[1]), strict=True):
        assert (x is None) == (y is None)
        if x is not None:
            assert x.dtype == y.dtype
            np.testing.assert_allclose(
                x, y, rtol=0, atol=tolerance * (1 + np.abs(y).max(initial=0))
            )
