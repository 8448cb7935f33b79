"""Our elementary functions against functions of higher precision, over their whole range."""

import mpmath
import numpy as np
import pytest

from network.nettest import core, modules

# In units in the last place of the exact result, as elementary.hpp states them.
BOUNDS = {"exp": 1.1, "log": 1.0, "log1p": 1.0, "tanh": 1.6, "erf": 1.4}
FUNCTIONS = sorted(BOUNDS)


def call(name, x, module=core):
    return getattr(module, f"elementary_f{8 * x.dtype.itemsize}")(name, x)


def exact(name, x):
    """As long doubles: 64 bits of precision."""
    if name == "erf":
        values = [mpmath.erf(mpmath.mpf(float(value))) for value in x]
        high = np.array([float(v) for v in values], np.longdouble)
        return high + np.array(
            [float(v - float(v)) if mpmath.isfinite(v) else 0.0 for v in values], np.longdouble
        )
    with np.errstate(all="ignore"):
        return getattr(np, name)(x.astype(np.longdouble))


def units(y, reference):
    """|y - reference| in units in the last place of the reference, spaced as y's type is."""
    info = np.finfo(y.dtype)
    with np.errstate(all="ignore"):
        _, exponent = np.frexp(reference)
        exponent = np.maximum(exponent, info.minexp + 1)
        return np.abs(y.astype(np.longdouble) - reference) / np.ldexp(
            np.longdouble(1), exponent - info.nmant - 1
        )


def arguments(name, dtype, count):
    """Random bit patterns, and many around the places where a function changes its form."""
    rng = np.random.default_rng(1)
    kind = np.uint32 if dtype is np.float32 else np.uint64
    bits = rng.integers(0, np.iinfo(kind).max, count, kind, endpoint=True).view(dtype)
    largest = float(np.log(np.finfo(dtype).max))
    smallest = float(np.log(np.finfo(dtype).smallest_subnormal))
    dense = {
        "exp": [(smallest - 1, largest + 1), (-1, 1), (largest - 0.01, largest), (smallest, -87)],
        "log": [(0.5, 2), (0.999, 1.001), (0, 1e4)],
        "log1p": [(-1, 1), (-0.01, 0.01), (0, 3), (-1, -0.999), (0.4, 0.43), (-0.3, -0.28)],
        "tanh": [(-1, 1), (0.62, 0.63), (0.5, 10), (-20, 20), (-1e-3, 1e-3)],
        "erf": [(-1, 1), (0.99, 1.01), (1, 2), (2, 6.5), (-7, 7), (-1e-3, 1e-3)],
    }[name]
    samples = [rng.uniform(*interval, count).astype(dtype) for interval in dense]
    small = np.ldexp(rng.uniform(0.5, 1, count), rng.integers(-40, 1, count)).astype(dtype)
    x = np.concatenate([bits, small, -small, *samples])
    x = x[np.isfinite(x)]
    return np.abs(x) if name == "log" else x[x > -1] if name == "log1p" else x


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_error_stays_below_its_bound(name, dtype):
    x = arguments(name, dtype, 1500 if name == "erf" else 200_000)
    y, reference = call(name, x), exact(name, x)
    with np.errstate(over="ignore"):
        rounded = reference.astype(dtype)
    finite = np.isfinite(rounded)
    assert finite.sum() > 1000
    error = units(y[finite], reference[finite])
    worst = np.argmax(error)
    assert error[worst] <= BOUNDS[name], x[finite][worst]
    assert np.array_equal(y[~finite], rounded[~finite])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_special_values(dtype):
    info = np.finfo(dtype)
    inf, nan, tiny = np.inf, np.nan, info.smallest_subnormal
    big = float(info.max)
    cases = {
        "exp": ([inf, -inf, nan, 0.0, -0.0, big, -big, tiny], [inf, 0, nan, 1, 1, inf, 0, 1]),
        "log": (
            [inf, -inf, nan, 0.0, -0.0, -1, 1, -tiny],
            [inf, nan, nan, -inf, -inf, nan, 0, nan],
        ),
        "log1p": (
            [inf, -inf, nan, 0.0, -0.0, -1, -2, tiny, -tiny],
            [inf, nan, nan, 0.0, -0.0, -inf, nan, tiny, -tiny],
        ),
        "tanh": (
            [inf, -inf, nan, 0.0, -0.0, big, -big, tiny, -tiny],
            [1, -1, nan, 0.0, -0.0, 1, -1, tiny, -tiny],
        ),
        "erf": (
            [inf, -inf, nan, 0.0, -0.0, big, -big, tiny, -tiny],
            [1, -1, nan, 0.0, -0.0, 1, -1, tiny, -tiny],
        ),
    }
    for name, (x, wanted) in cases.items():
        y = call(name, np.array(x, dtype))
        np.testing.assert_array_equal(y, np.array(wanted, dtype), err_msg=name)
        zero = np.array(wanted) == 0
        assert np.array_equal(np.signbit(y[zero]), np.signbit(np.array(wanted)[zero])), name


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_exponential_overflows_and_underflows_where_it_must(dtype):
    info = np.finfo(dtype)
    with np.errstate(all="ignore"):
        last = np.log(info.max.astype(np.longdouble)).astype(dtype)
        least = np.log(info.smallest_subnormal.astype(np.longdouble) / 2).astype(dtype)
        edge = np.concatenate([last + np.arange(-9, 9) * np.spacing(last)]).astype(dtype)
        assert np.array_equal(
            np.isinf(call("exp", edge)), np.isinf(np.exp(edge.astype(np.longdouble)).astype(dtype))
        )
        edge = (least + np.arange(-9, 9) * np.spacing(least)).astype(dtype)
        assert np.array_equal(
            call("exp", edge) == 0, np.exp(edge.astype(np.longdouble)).astype(dtype) == 0
        )


def test_cosine_of_multiples_of_pi():
    rng = np.random.default_rng(2)
    x = np.concatenate([np.arange(0, 1001) / 1000, rng.uniform(-1000, 1000, 2000), [0.5, 1.0, 1.5]])
    y = core.cos_pi(x)
    reference = np.array([mpmath.cospi(mpmath.mpf(value)) for value in x])
    error = [
        abs(mpmath.mpf(a) - b) / mpmath.mpf(np.spacing(max(abs(float(b)), 1e-300)))
        for a, b in zip(y, reference, strict=True)
        if b != 0
    ]
    assert max(error) < 2
    assert np.array_equal(y[reference == 0], np.zeros((reference == 0).sum()))
    assert core.cos_pi(0.0) == 1
    assert core.cos_pi(1.0) == -1


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_same_bits_at_every_vector_width(name, dtype):
    x = arguments(name, dtype, 10_000)
    kind = np.uint32 if dtype is np.float32 else np.uint64
    results = {level: call(name, x, module).view(kind) for level, module in modules.items()}
    first = next(iter(results.values()))
    assert all(np.array_equal(first, other) for other in results.values())
    one_by_one = np.concatenate([call(name, x[i : i + 1]) for i in range(64)])
    assert np.array_equal(one_by_one.view(kind), first[:64])
