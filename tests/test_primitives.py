"""The core's vectors, tiles and transposes, one by one, against NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fastpolysem._native import core

t = core.testing
DTYPES = [np.float32, np.float64]


def exact_fma(a: Any, b: Any, c: Any) -> Any:
    """a b + c rounded once, in a format that holds the product and the sum of these operands."""
    wide = np.longdouble
    return (a.astype(wide) * b.astype(wide) + c.astype(wide)).astype(a.dtype)


def values(dtype: Any, size: int, seed: int) -> Any:
    """Short numbers, whose products and sums an 80-bit number holds, both zeros among them."""
    rng = np.random.default_rng(seed)
    x = rng.integers(-(2**11), 2**11, size).astype(dtype) / dtype(2**7)
    x[::7] = 0
    x[1::14] = -0.0
    return x


def same(a: Any, b: Any) -> None:
    np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(np.signbit(a), np.signbit(b))


@pytest.mark.parametrize("dtype", DTYPES)
def test_vectors(dtype: Any) -> None:
    a, b, c = (values(dtype, 512, seed) for seed in range(3))
    same(t.fma(a, b, c), exact_fma(a, b, c))
    same(t.abs(a), np.abs(a))
    same(t.sqrt(np.abs(a)), np.sqrt(np.abs(a)))
    same(t.with_sign_of(np.abs(b), a), np.where(a == 0, 0, np.copysign(b, a)))
    same(t.greater_or_else(a, b, c), np.where(a > b, a, c))
    same(t.nonzeros(a), a[a != 0])


def test_a_multiply_add_is_rounded_once() -> None:
    for dtype in DTYPES:
        step = np.finfo(dtype).eps
        a = np.full(16, 1 + step, dtype)
        np.testing.assert_array_equal(t.fma(a, a, -(1 + 2 * step) * np.ones(16, dtype)), step**2)


def test_wide_products() -> None:
    rng = np.random.default_rng(3)
    a = rng.integers(0, 2**32, 256, dtype=np.uint32)
    for b in (0, 1, 0xD2511F53, 2**32 - 1):
        high, low = t.multiply_wide(a, b)
        np.testing.assert_array_equal(
            high.astype(np.uint64) << np.uint64(32) | low, a.astype(np.uint64) * np.uint64(b)
        )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rows", [1, 3, 16, 17, 33])
@pytest.mark.parametrize("columns", [1, 15, 16, 40])
def test_transposes(dtype: Any, rows: int, columns: int) -> None:
    a = values(dtype, rows * columns, 4).reshape(rows, columns)
    same(t.transpose(a), a.T)
    square = values(dtype, rows * rows, 5).reshape(rows, rows)
    same(t.add_transpose(square), square + square.T)
    symmetric = square + square.T
    # In whole vectors: what is above a block of the diagonal is copied from below it.
    lanes = core.info()["vector_bytes"] // square.itemsize
    block = np.arange(rows) // lanes
    given = np.where(block[:, np.newaxis] < block, 0, symmetric)
    same(t.mirror_lower(given) + dtype(0), symmetric + dtype(0))


def chain(a: Any, b: Any, c: Any) -> Any:
    """C + A B, each entry one chain of multiply-adds in ascending order."""
    for k in range(a.shape[1]):
        shape = np.broadcast_shapes(a[:, k : k + 1].shape, b[k].shape)
        c = exact_fma(np.broadcast_to(a[:, k : k + 1], shape), np.broadcast_to(b[k], shape), c)
    return c


@pytest.mark.parametrize("dtype", DTYPES)
def test_tiles_of_every_height(dtype: Any) -> None:
    columns = t.tile_columns(np.zeros(1, dtype))
    for rows in range(1, t.tile_rows + 1):
        for width in (columns // 2, columns):
            x = values(dtype, 9 * rows, 6).reshape(9, rows)
            y = values(dtype, 9 * width, 7).reshape(9, width)
            c = values(dtype, rows * width, 8).reshape(rows, width)
            # One vector beside the other: a padded row is two vectors long at least.
            np.testing.assert_array_equal(t.tile(x, y, c), chain(x.T, y, c))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("rows", "depth", "columns"), [(1, 1, 1), (5, 300, 17), (33, 40, 70)])
def test_products_are_chains(dtype: Any, rows: int, depth: int, columns: int) -> None:
    rng = np.random.default_rng(9)
    a = rng.integers(-8, 8, (rows, depth)).astype(dtype)
    b = (rng.integers(-(2**8), 2**8, (depth, columns)) / 2**8).astype(dtype)
    c = rng.integers(-4, 4, (rows, columns)).astype(dtype)
    np.testing.assert_array_equal(t.product(a, b, None, False), chain(a, b, np.zeros_like(c)))
    np.testing.assert_array_equal(t.product(a, b, c, False), chain(a, b, c))
    upper = t.product(a, b, None, True)
    above = np.triu(np.ones((rows, columns), bool))
    np.testing.assert_array_equal(upper[above], (chain(a, b, np.zeros_like(c)))[above])


def test_a_products_order_shows_in_its_bits() -> None:
    rng = np.random.default_rng(10)
    a, b = rng.normal(size=(7, 600)), rng.normal(size=(600, 9))
    expected = np.zeros((7, 9))
    for i in range(7):
        for j in range(9):
            for k in range(600):
                expected[i, j] = t.fma(
                    *(np.full(8, x) for x in (a[i, k], b[k, j], expected[i, j]))
                )[0]
    np.testing.assert_array_equal(t.product(a, b, None, False), expected)


def test_arrays_of_another_type_are_refused_not_converted() -> None:
    settings = core.Settings()
    settings.n_features = settings.n_hidden = 2
    with pytest.raises(TypeError, match="contiguous arrays of float32"):
        core.forward(settings, np.zeros((1, 2, 2)), None, None, None, None)


def test_unknown_names_are_refused_with_what_is_allowed() -> None:
    settings = core.Settings()
    with pytest.raises(ValueError, match=r"noise must be one of 'none', .*, got 'nois'"):
        settings.noise = "nois"
    with pytest.raises(ValueError, match=r"kernel must be one of 'auto', .*, got 'fast'"):
        core.kernel_refusal(settings, "fast")
    for name in ("optimizer", "init", "inputs", "dtype", "stop", "activation", "l1_update"):
        with pytest.raises(ValueError, match=f"{name} must be one of .*, got ''"):
            setattr(settings, name, "")
