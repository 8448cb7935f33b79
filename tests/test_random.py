"""Random numbers: known answers, the specification word by word, and the distributions they claim.

The statistical tests run on fixed seeds: whether they pass is settled once for a numerics version.
Correct draws fail each single comparison with probability `FALSE_ALARM`; there are some 200 of
them, so a new numerics version raises a false alarm about once in fifty.
"""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats

import fastpolysem as fp
import specification as spec
from fastpolysem._native import core
from fastpolysem.families.autoencoder.config import core_settings

FALSE_ALARM = 1e-4

KNOWN = [  # published with the generator (Random123, kat_vectors)
    ((0, 0, 0, 0), 0, (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((spec.WORD,) * 4, 2**64 - 1, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        0x299F31D0A4093822,
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]

NOISES = {
    "rademacher": stats.rv_discrete(values=([-1, 1], [0.5, 0.5])),
    "gaussian": stats.norm(),
    "uniform": stats.uniform(-np.sqrt(3), 2 * np.sqrt(3)),
    "laplace": stats.laplace(scale=np.sqrt(0.5)),
    "student_t-2.5": stats.t(2.5, scale=np.sqrt(0.5 / 2.5)),
    "student_t-5": stats.t(5, scale=np.sqrt(3 / 5)),
    "student_t-40": stats.t(40, scale=np.sqrt(38 / 40)),
    "three_point-0.2": None,
    "three_point-1": None,
}


def noise_config(name, *, n=4, m=4096, std=1.0, sharing="step", dtype="float32"):
    kind, _, shape = name.partition("-")
    return fp.Config(
        n_features=n,
        n_hidden=m,
        noise=kind,
        noise_std=std,
        noise_shape=float(shape) if shape else None,
        noise_sharing=sharing,
        dtype=dtype,
    )


def draw_noise(config, seeds, step, rows=1):
    return core.draw_noise(core_settings(config), np.array(seeds, dtype=np.uint64), step, rows)


def draw_dropout(config, seeds, step, rows=1):
    return core.draw_dropout(core_settings(config), np.array(seeds, dtype=np.uint64), step, rows)


def initial_weights(config, seeds):
    return core.initial_weights(core_settings(config), np.array(seeds, dtype=np.uint64))


def draw_batch(config, seed, step):
    """(B, n), after a look at the arrays themselves."""
    indptr, indices, values = core.draw_batch(core_settings(config), seed, step)
    assert (indptr.dtype, indices.dtype, values.dtype) == (np.int64, np.int32, np.float64)
    rows, n = config.inputs.batch_size, config.n_features
    assert (len(indptr), indptr[0], indptr[-1]) == (rows + 1, 0, len(indices))
    assert len(indices) == len(values)
    dense = np.zeros((rows, n))
    for b in range(rows):
        row = indices[indptr[b] : indptr[b + 1]]
        assert np.all(np.diff(row) > 0)
        dense[b, row] = values[indptr[b] : indptr[b + 1]]
    return dense


# Philox -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("counter", "key", "words"), KNOWN)
def test_known_answers(counter, key, words):
    assert spec.philox(counter, key) == words
    assert tuple(core.philox(counter, key)) == words


def test_philox_of_random_places():
    rng = np.random.default_rng(1)
    for _ in range(200):
        counter = tuple(int(w) for w in rng.integers(0, 2**32, 4))
        key = int(rng.integers(0, 2**64, dtype=np.uint64))
        assert tuple(core.philox(counter, key)) == spec.philox(counter, key)


def test_shape_word_known_answers():
    for n, m in [(1, 1), (8, 16), (16, 8), (64, 128), (256, 1024), (256, 4096), (2**31 - 1, 8)]:
        assert core.shape_word(n, m) == spec.shape_word(n, m)
    assert core.shape_word(256, 1024) == 1252054253


def test_shape_words_of_one_side_never_meet():
    for n in (1, 64, 256):
        assert len({core.shape_word(n, m) for m in range(1, 5000)}) == 4999
        assert len({core.shape_word(m, n) for m in range(1, 5000)}) == 4999


# Word by word -------------------------------------------------------------------------------------

SEEDS = [0, 1, 2**32, 2**64 - 1]


@pytest.mark.parametrize("init", ["normal", "xavier", "orthogonal", "uniform"])
@pytest.mark.parametrize("shape", [(5, 7), (7, 5), (1, 1), (1, 9), (6, 6)], ids=str)
def test_initial_weights_are_those_of_the_specification(init, shape):
    n, m = shape
    config = fp.Config(n_features=n, n_hidden=m, init=init, init_scale=1.25, tied=False, bias=True)
    encoder, decoder, bias = initial_weights(config, SEEDS)
    assert encoder.dtype == decoder.dtype == np.float32
    for s, seed in enumerate(SEEDS):
        expected = spec.initial_weights(config, seed)
        # Orthonormalising rows that are nearly parallel magnifies the rounding of the draws.
        tolerance = 2e-5 if init == "orthogonal" else 1e-6
        np.testing.assert_allclose(encoder[s], expected.encoder, rtol=tolerance, atol=tolerance)
        np.testing.assert_allclose(decoder[s], expected.decoder, rtol=tolerance, atol=tolerance)
        assert np.all(bias[s] == 0)
    wide = initial_weights(config.replace(dtype="float64"), SEEDS)
    assert wide[0].dtype == np.float64
    np.testing.assert_array_equal(wide[0], encoder)  # the float32 draw, widened
    tied = initial_weights(config.replace(tied=True, bias=False), SEEDS)
    np.testing.assert_array_equal(tied[0], encoder)
    assert tied[1:] == (None, None)


@pytest.mark.parametrize("name", NOISES)
@pytest.mark.parametrize("sharing", ["step", "input"])
def test_noise_is_that_of_the_specification(name, sharing):
    for m in (1, 7, 150):
        config = noise_config(name, n=3, m=m, std=0.25, sharing=sharing)
        for step in (0, 3):
            drawn = draw_noise(config, SEEDS, step, rows=5)
            assert drawn.shape == ((len(SEEDS), m) if sharing == "step" else (len(SEEDS), 5, m))
            for s, seed in enumerate(SEEDS):
                expected = spec.draw_noise(config, seed, step, 5)
                np.testing.assert_allclose(drawn[s], expected, rtol=2e-6, atol=2e-7)
            wide = draw_noise(config.replace(dtype="float64"), SEEDS, step, rows=5)
            np.testing.assert_array_equal(wide, drawn)  # 0.25 is a power of two: widening is all


@pytest.mark.parametrize("sharing", ["step", "input"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_dropout_is_that_of_the_specification(sharing, dtype):
    for m, dropout in ((1, 0.5), (7, 0.1), (150, 0.9), (9, 2**-32)):
        config = fp.Config(
            n_features=3, n_hidden=m, dropout=dropout, dropout_sharing=sharing, dtype=dtype
        )
        for step in (0, 3):
            drawn = draw_dropout(config, SEEDS, step, rows=5)
            assert drawn.dtype == dtype
            assert drawn.shape == ((len(SEEDS), m) if sharing == "step" else (len(SEEDS), 5, m))
            for s, seed in enumerate(SEEDS):
                expected = spec.draw_dropout(config, seed, step, 5).astype(dtype)
                np.testing.assert_array_equal(drawn[s], expected)


BATCHES = {
    "one": fp.Independent(0.3, batch_size=7),
    "rare": fp.Independent(0.01, batch_size=9),
    "always": fp.Independent(1.0, batch_size=2),
    "uniform": fp.Independent(0.3, batch_size=7, magnitude="uniform"),
    "rare, uniform": fp.Independent(0.01, batch_size=99, magnitude="uniform"),
    "sign": fp.Independent(0.3, batch_size=7, magnitude="sign"),
    "zipf": fp.Independent(
        0.9 / np.arange(1, 13), 30, [*("one", "uniform", "sign", "signed_uniform") * 3]
    ),
    "from 2**-32 to 1": fp.Independent(
        [1.0, 2**-32, 2**-9, 1 - 2**-32, *[0.5] * 8], 40, "signed_uniform"
    ),
    "blocks": fp.CorrelatedBlocks(3, 2, batch_size=11),
    "all-active": fp.CorrelatedBlocks(2, 6, batch_size=5),
    "one-block": fp.CorrelatedBlocks(1, 5, batch_size=4),
    "singles": fp.CorrelatedBlocks(12, 1, batch_size=6),
}


@pytest.mark.parametrize("name", BATCHES)
def test_batches_are_those_of_the_specification(name):
    config = fp.Config(n_features=12, n_hidden=5, inputs=BATCHES[name])
    for seed in SEEDS:
        for step in (0, 1, 7499):
            np.testing.assert_array_equal(
                draw_batch(config, seed, step), spec.draw_batch(config, seed, step)
            )


def test_places_give_different_draws():
    """Seed, step, stream and shape each matter; nothing else does."""
    base = noise_config("gaussian", n=3, m=8)
    places = [
        draw_noise(base, [0], 0)[0],
        draw_noise(base, [1], 0)[0],
        draw_noise(base, [2**32], 0)[0],
        draw_noise(base, [0], 1)[0],
        draw_noise(noise_config("gaussian", n=4, m=8), [0], 0)[0],
        draw_noise(noise_config("gaussian", n=3, m=9), [0], 0)[0][:8],
        initial_weights(base.replace(init_scale=np.sqrt(8)), [0])[0][0, 0],
        initial_weights(base.replace(tied=False, init_scale=np.sqrt(8)), [0])[1][0, 0],
    ]
    for a, b in itertools.combinations(places, 2):
        assert len(np.intersect1d(np.round(a, 4), np.round(b, 4))) < 3
    for other in (base.replace(l1=0.1), base.replace(optimizer="sgd"), base.replace(steps=3)):
        np.testing.assert_array_equal(draw_noise(other, [0], 0)[0], places[0])
    np.testing.assert_array_equal(draw_noise(base, [5, 0, 7], 0)[1], places[0])
    np.testing.assert_array_equal(draw_noise(base, [0], 0)[0], places[0])


# Distributions ------------------------------------------------------------------------------------


def assert_plausible(observed, expected, error, what=""):
    z = (observed - expected) / error
    assert np.all(np.abs(z) < stats.norm.isf(FALSE_ALARM / 2 / np.size(z))), f"{what}: {z=}"


def assert_moments(x, kurtosis):
    """Mean 0 and variance 1, given the true excess kurtosis."""
    count = x.size
    assert_plausible(x.mean(), 0, 1 / np.sqrt(count), "mean")
    spread = np.sqrt(max(kurtosis + 2, 1e-9) / count)
    assert_plausible((x**2).mean(), 1, spread, "variance")


def test_three_point_noise_at_the_limit_of_its_bits():
    """31 bits decide: a probability between two multiples of 2**-31 counts as the lower one."""
    config = noise_config("three_point-0.5", m=4)
    word = spec.stream_of(config, 0, 0, spec.NOISE).words(1)[0]
    for extra, is_zero in ((0.5, True), (1, False)):
        here = config.replace(noise_shape=((word >> 1) + extra) / 2**31)
        drawn = draw_noise(here, [0], 0)[0]
        assert (drawn[0] == 0) == is_zero
        np.testing.assert_allclose(drawn, spec.draw_noise(here, 0, 0, 1), rtol=1e-6)


@pytest.mark.parametrize("name", NOISES)
def test_noise_has_the_distribution_it_claims(name):
    config = noise_config(name)
    x = np.stack([draw_noise(config, range(16), step) for step in range(4)]).astype(float).ravel()
    law = NOISES[name]
    kind, _, shape = name.partition("-")
    if kind == "three_point":
        q = float(shape)
        assert set(np.unique(np.abs(x)).tolist()) <= {0.0, float(np.float32(1 / np.sqrt(q)))}
        assert_plausible(np.mean(x != 0), q, max(np.sqrt(q * (1 - q) / x.size), 1e-9))
        assert_plausible(np.mean(x[x != 0] > 0), 0.5, 0.5 / np.sqrt(np.count_nonzero(x)))
        # Of q (1/√q)^4 = 1/q: the excess kurtosis is 1/q - 3.
        assert_moments(x, 1 / q - 3) if q < 1 else None
        return
    if kind == "rademacher":
        assert set(np.unique(x).tolist()) == {-1.0, 1.0}
        assert_plausible(x.mean(), 0, 1 / np.sqrt(x.size))
        return
    assert stats.kstest(x, law.cdf).pvalue > FALSE_ALARM
    if kind == "student_t":  # whose high moments, if any, say little: the tails, far out, do
        if float(shape) > 4:
            assert_moments(x, float(law.stats("k")))
    else:
        fourth = float(law.stats("k")) + 3
        eighth = {"gaussian": 105, "uniform": 9, "laplace": 2520}[kind]
        error = np.sqrt((eighth - fourth**2) / x.size)
        assert_moments(x, fourth - 3)
        assert_plausible((x**4).mean(), fourth, error, "fourth moment")
    for tail in (0.01, 0.001, 0.0001):
        beyond = np.mean(np.abs(x) > law.isf(tail / 2))
        assert_plausible(beyond, tail, np.sqrt(tail * (1 - tail) / x.size), f"tail {tail}")


@pytest.mark.parametrize("name", ["gaussian", "student_t-5", "rademacher", "laplace", "uniform"])
def test_noise_is_uncorrelated_between_places(name):
    config = noise_config(name, m=2048, sharing="input")
    x = draw_noise(config, range(4), 0, rows=4).astype(float)
    y = draw_noise(config, range(4), 1, rows=4).astype(float)
    signs = np.sign(x)  # whatever the tails, signs are worth the same
    pairs = {
        "neighbours": (signs[..., :-1], signs[..., 1:]),
        "pairs of one draw": (signs[..., ::2], signs[..., 1::2]),
        "blocks": (signs[..., :-4], signs[..., 4:]),
        "rows": (signs[:, :-1], signs[:, 1:]),
        "seeds": (signs[:-1], signs[1:]),
        "steps": (signs, np.sign(y)),
    }
    for what, (a, b) in pairs.items():
        assert_plausible((a * b).mean(), 0, 1 / np.sqrt(a.size), what)
    sizes = np.abs(x) - np.abs(x).mean()
    if name == "gaussian":  # Box and Muller's pairs share a radius, and must still be independent
        a, b = sizes[..., ::2], sizes[..., 1::2]
        assert_plausible((a * b).mean() / x.var(), 0, (1 - 2 / np.pi) / np.sqrt(a.size))


@pytest.mark.parametrize("dropout", [0.05, 0.5, 0.8])
def test_dropout_has_the_rate_it_claims(dropout):
    config = fp.Config(n_features=4, n_hidden=2048, dropout=dropout, dtype="float64")
    x = np.stack([draw_dropout(config, range(8), step, rows=4) for step in range(4)])
    assert set(np.unique(x)) == {0.0, 1 / (1 - dropout)}
    dropped = (x == 0).astype(float)
    error = np.sqrt(dropout * (1 - dropout))
    assert_plausible(dropped.mean(), dropout, error / np.sqrt(x.size), "rate")
    noise = draw_noise(noise_config("uniform", m=2048, sharing="input"), range(8), 0, rows=4)
    deviation = (dropped - dropout) / error
    for what, a, b in (
        ("neighbours", deviation[..., :-1], deviation[..., 1:]),
        ("rows", deviation[:, :, :-1], deviation[:, :, 1:]),
        ("seeds", deviation[:, :-1], deviation[:, 1:]),
        ("steps", deviation[:-1], deviation[1:]),
        ("noise", deviation[0], noise.astype(float)),
    ):
        assert_plausible((a * b).mean(), 0, 1 / np.sqrt(a.size), what)


@pytest.mark.parametrize("init", ["normal", "xavier", "uniform"])
@pytest.mark.parametrize("shape", [(64, 256), (100, 50)], ids=str)
def test_initial_weights_have_the_distribution_they_claim(init, shape):
    n, m = shape
    config = fp.Config(n_features=n, n_hidden=m, init=init, init_scale=2.0, tied=False)
    encoder, decoder, bias = initial_weights(config, range(8))
    assert bias is None
    std = 2 * np.sqrt(2 / (n + m) if init == "xavier" else 1 / m)
    law = NOISES["uniform" if init == "uniform" else "gaussian"]
    for w in (encoder, decoder):
        x = w.astype(float).ravel() / std
        assert_moments(x, float(law.stats("k")))
        assert stats.kstest(x, law.cdf).pvalue > FALSE_ALARM
    assert_plausible(np.mean(np.sign(encoder) * np.sign(decoder)), 0, 1 / np.sqrt(encoder.size))


@pytest.mark.parametrize("shape", [(8, 16), (16, 8), (32, 32), (5, 5), (64, 200)], ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_orthogonal_weights_are_orthogonal(shape, dtype):
    n, m = shape
    config = fp.Config(n_features=n, n_hidden=m, init="orthogonal", init_scale=0.5, dtype=dtype)
    encoder, _, _ = initial_weights(config, range(20))
    for w in encoder.astype(float) / 0.5:
        product = w @ w.T if m >= n else w.T @ w
        np.testing.assert_allclose(product, np.eye(min(n, m)), atol=1e-6)
    # An entry of a random direction in d dimensions has variance 1/d, excess kurtosis -6/(d+2).
    d = max(n, m)
    squares = d * encoder.astype(float) ** 2 / 0.25
    assert_plausible(encoder.mean() / 0.5 * np.sqrt(d), 0, 1 / np.sqrt(encoder.size))
    assert_plausible(np.mean(squares[:, 0, 0]), 1, np.sqrt((2 - 6 / (d + 2)) / 20))


def sample(inputs, n, steps=40, seeds=5):
    config = fp.Config(n_features=n, n_hidden=6, inputs=inputs)
    places = itertools.product(range(seeds), range(steps))
    return config, np.concatenate([draw_batch(config, seed, step) for seed, step in places])


@pytest.mark.parametrize("probability", [0.05, 0.5, 1.0])
def test_independent_features(probability):
    n = 30
    config, rows = sample(fp.Independent(probability, batch_size=50), n)
    on = rows != 0
    assert set(np.unique(rows)) <= {0.0, 1.0}
    if probability == 1:
        assert on.all()
        return
    error = np.sqrt(probability * (1 - probability) / len(rows))
    assert_plausible(on.mean(axis=0), probability, error, "frequency")
    pairs = (on.T.astype(float) @ on / len(rows))[np.triu_indices(n, 1)]
    p2 = probability**2
    assert_plausible(pairs, p2, np.sqrt(p2 * (1 - p2) / len(rows)), "pairs")
    # How many are on in a row is binomial: its variance shows rows that hang together.
    total = on.sum(axis=1)
    variance = n * probability * (1 - probability)
    assert_plausible(
        total.var(), variance, np.sqrt((2 + 1 / variance) / len(rows)) * variance, "rows"
    )
    # The scale of the loss lets a feature appear once a step.
    appearances = on.sum(axis=0).mean() / (len(rows) / 50)
    assert spec.scale(config.inputs, n) * appearances == pytest.approx(1, rel=0.03)


def test_uniform_magnitudes():
    _, rows = sample(fp.Independent(0.3, batch_size=50, magnitude="uniform"), 30)
    values = rows[rows != 0]
    assert 0 < values.min() < values.max() <= 1
    assert stats.kstest(values, stats.uniform().cdf).pvalue > FALSE_ALARM
    ones = sample(fp.Independent(0.3, batch_size=50), 30)[1]
    np.testing.assert_array_equal(rows != 0, ones != 0)  # magnitudes have a stream of their own


def test_features_with_chances_and_magnitudes_of_their_own():
    kinds = ("one", "uniform", "sign", "signed_uniform")
    chances = np.array([0.5, 0.2, 0.05, 0.01, 0.3, 0.1, 0.03, 0.004])
    _, rows = sample(fp.Independent(chances, 200, [*kinds * 2]), len(chances), steps=100)
    on = rows != 0
    error = np.sqrt(chances * (1 - chances) / len(rows))
    assert_plausible(on.mean(axis=0), chances, error, "frequency")
    for i, kind in enumerate(kinds * 2):
        values = rows[on[:, i], i]
        if kind == "one":
            assert set(values) == {1.0}
        elif kind == "sign":
            assert set(values) == {-1.0, 1.0}
            assert_plausible(values.mean(), 0, 1 / np.sqrt(len(values)), "sign")
        else:
            law = stats.uniform() if kind == "uniform" else stats.uniform(-1, 2)
            assert stats.kstest(values, law.cdf).pvalue > FALSE_ALARM


@pytest.mark.parametrize(("blocks", "active"), [(2, 13), (5, 1), (1, 7), (10, 5)])
def test_correlated_blocks(blocks, active):
    n, size = 50, 50 // blocks
    config, rows = sample(fp.CorrelatedBlocks(blocks, active, batch_size=50), n)
    on = rows != 0
    assert set(np.unique(rows)) == {0.0, 1.0}
    np.testing.assert_array_equal(on.sum(axis=1), active)  # exactly
    by_block = on.reshape(len(rows), blocks, size).sum(axis=2)
    np.testing.assert_array_equal(np.sort(by_block, axis=1)[:, -1], active)  # all in one block
    chosen = by_block.argmax(axis=1)
    frequency = np.bincount(chosen, minlength=blocks) / len(rows)
    if blocks > 1:
        error = np.sqrt((1 / blocks) * (1 - 1 / blocks) / len(rows))
        assert_plausible(frequency, 1 / blocks, error, "blocks")
        follows = np.mean(chosen[1:] == chosen[:-1])
        assert_plausible(follows, 1 / blocks, error, "rows in sequence")
    p = active / n
    assert_plausible(on.mean(axis=0), p, np.sqrt(p * (1 - p) / len(rows)), "features")
    if active > 1:
        within = [(i, j) for i in range(n) for j in range(i) if i // size == j // size]
        together = np.array([np.mean(on[:, i] & on[:, j]) for i, j in within])
        q = active * (active - 1) / (size * (size - 1)) / blocks
        assert_plausible(together, q, np.sqrt(q * (1 - q) / len(rows)), "pairs")
    appearances = on.sum(axis=0).mean() / (len(rows) / 50)
    assert spec.scale(config.inputs, n) * appearances == pytest.approx(1, rel=1e-12)


def test_batches_are_reproducible_and_differ():
    config = fp.Config(n_features=30, n_hidden=6, inputs=fp.Independent(0.3, batch_size=20))
    batches = {
        (seed, step): draw_batch(config, seed, step) for seed in (0, 1, 2**63) for step in range(3)
    }
    for a, b in itertools.combinations(batches, 2):
        assert not np.array_equal(batches[a], batches[b])
    for (seed, step), batch in batches.items():
        np.testing.assert_array_equal(batch, draw_batch(config, seed, step))
    other = config.replace(l1=0.1, optimizer="sgd", dtype="float64")  # same shape: paired
    np.testing.assert_array_equal(draw_batch(other, 0, 0), batches[0, 0])
