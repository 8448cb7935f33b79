"""The specification's random numbers of networks: known answers, and what they are to be like.

The statistical tests run on fixed seeds. Correct draws fail each comparison with a probability of
about 1e-4 (four standard deviations), so that a change of the streams may call for another seed.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse, stats

import specification
from specifications import sampling
from specifications.losses import CrossEntropy
from specifications.network import Basis, CorrelatedBlocks, Dataset, Independent, NetworkSpec
from specifications.targets import Absolute

FALSE_ALARM = 1e-4
DEVIATIONS = 4

# Known answers ------------------------------------------------------------------------------------

CONFIG = NetworkSpec(
    widths=(3, 2, 3),
    bias=True,
    init="pytorch",
    inputs=Independent((1.0, 0.5, 0.003), 2, "signed_uniform"),
    noise="gaussian",
    noise_std=1.0,
    dropout=0.5,
)
SHAPES = {(3, 2): 0xA246E649, (2, 3): 0x9F631B30, (3, 0): 0xAB58A16B}
LAYERS = {  # of seed 7: (layer, kind): stream word, shape, the first words of step 0
    (1, 0): (0x01000100, (3, 2), [0x6940DDEB, 0x34D2C929, 0xBF533028, 0xD9ECDFCF]),
    (2, 0): (0x01000200, (2, 3), [0xB4959ABD, 0xA67E862C, 0xD41A4598, 0xF07D6E12]),
    (1, 1): (0x01000101, (3, 2), [0x54D9E251, 0x2B04E6F3, 0x9D850EC3, 0x147DE7AF]),
    (2, 1): (0x01000201, (2, 3), [0xB85EED44, 0x489E9456, 0xB0E1B5C6, 0xBF1364CE]),
    (1, 2): (0x01000102, (3, 2), [0x0089BA2F, 0xBE1B3D29, 0x398C8105, 0x693CA711]),
    (1, 5): (0x01000105, (3, 2), [0x90C9043B, 0x584BE40E, 0x68A4B7F4, 0xB1535705]),
}
INPUTS = {  # of seed 7, step 5
    3: [0x304FBE05, 0x19D04D2B, 0x8580C511, 0xCAC7BE92, 0xDFA091B6, 0x92C61F6D],
    4: [0xDE9E66CE, 0x39201395, 0xA059E174, 0x871006FB, 0x601E4B94, 0x83E813B8],
    6: [0x1C7D5881, 0xB672A598, 0x70DA41C3, 0xCDF33E1B, 0x96F2AACE, 0x092F9CE7],
    7: [0x07B56C93, 0x951A2A67, 0x308F79B3, 0x1CB3E84C, 0xA9C73772, 0x174B8F53],
    8: [0x17263D15, 0x314AB516, 0xCE2170E3, 0x44EDD51C, 0x8FDE8F18, 0x9D5AD588],
    9: [0xA5F909EC, 0x52013885, 0x704298E0, 0x9D2DEE11, 0xB885341F, 0x9766E8CF],
}


@pytest.mark.parametrize(("layer", "kind"), LAYERS)
def test_words_of_layers(layer, kind):
    stream, shape, words = LAYERS[layer, kind]
    assert specification.shape_word(*shape) == SHAPES[shape]
    assert list(specification.philox((0, 0, stream, SHAPES[shape]), 7)) == words
    assert sampling.layer_stream(CONFIG, 7, 0, layer, kind).words(4) == words


@pytest.mark.parametrize("kind", INPUTS)
def test_words_of_inputs(kind):
    blocks = [specification.philox((b, 5, 0x01000000 + kind, 0xAB58A16B), 7) for b in (0, 1)]
    assert [*blocks[0], *blocks[1]][:6] == INPUTS[kind]
    assert sampling.input_stream(3, 7, 5, kind).words(6) == INPUTS[kind]


def rounded(word: int, factor: float = 1.0) -> float:
    return float(np.float32((word + 0.5) / 2**32) * np.float32(factor))


def test_inputs_from_their_words():
    words = INPUTS[3]
    # p = 1, 1/2: below 2^31; odd words are negative. 0.003 2^32 is below 2^24: its magnitude would
    # come from the other stream.
    expected = [[-rounded(words[0]), -rounded(words[1], 2.0), 0.0], [rounded(words[3]), 0.0, 0.0]]
    assert sampling.draw(CONFIG, 7, 5).inputs.tolist() == expected
    np.testing.assert_allclose(expected[0][:2], [-0.18871677, -0.20166935], rtol=1e-7)
    rare = sampling.draw(CONFIG, 7, 303).inputs
    words, others = (sampling.input_stream(3, 7, 303, kind).words(6) for kind in (3, 4))
    assert words[5] < math.floor(0.003 * 2**32)
    assert others[5] % 2 == 1
    assert rare[1, 2] == -rounded(others[5])
    one = replace(CONFIG, inputs=Independent((1.0, 0.5, 0.003), 2, ("one", "sign", "uniform")))
    assert sampling.draw(one, 7, 5).inputs.tolist() == [[1, -1, 0], [1, 0, 0]]
    assert sampling.draw(one, 7, 303).inputs[1, 2] == rounded(others[5])


@pytest.mark.parametrize("chance", [1.0, 0.7, 0.05, 2**-8])
def test_magnitudes_end_at_1(chance):
    limit = math.floor(chance * 2**32)
    assert limit >= 2**24
    for word, value in ((limit - 1, 1.0), (0, 0.5 / limit)):
        assert sampling.magnitude("uniform", limit, word, 0) == pytest.approx(value, rel=2e-7)
        assert 0 < sampling.magnitude("uniform", limit, word, 0) <= 1


def test_start_from_its_words():
    model = sampling.initial_network(CONFIG, 7)
    for layer, fan_in in ((1, 3), (2, 2)):
        for array, kind in ((model.weights[layer - 1], 0), (model.biases[layer - 1], 1)):
            words = LAYERS[layer, kind][2]
            signed = [(w - 2**32 if w >= 2**31 else w) / 2**31 for w in words]
            expected = np.array(signed) / math.sqrt(fan_in)
            np.testing.assert_allclose(array.ravel()[:4], expected[: array.size], rtol=1e-6)
    assert model.weights[0][0, 0] == pytest.approx(0.47475056, rel=1e-6)
    halved = sampling.initial_network(replace(CONFIG, init_scale=0.5), 7)
    for arrays, whole in zip(halved, model, strict=True):
        for ours, twice in zip(arrays, whole, strict=True):
            np.testing.assert_array_equal(2 * ours, twice)
    normal = sampling.initial_network(replace(CONFIG, init="normal", init_scale=0.5), 7)
    u, v = LAYERS[2, 0][2][:2]
    radius, angle = math.sqrt(-2 * math.log(u / 2**32)), 2 * math.pi * v / 2**32
    first = radius * np.array([math.cos(angle), math.sin(angle)]) / math.sqrt(2) / 2
    np.testing.assert_allclose(normal.weights[1][0, :2], first, rtol=1e-6)
    assert [b.tolist() for b in normal.biases] == [[0, 0], [0, 0, 0]]
    started = replace(CONFIG, init="normal", bias_start=(0.0, -0.5))
    assert sampling.initial_network(started, 7).biases[1].tolist() == [-0.5] * 3


def test_dropout_from_its_words():
    # 0x58.. and 0x68.. are below 2^31.
    (units,) = sampling.draw_dropout(CONFIG, 7, 0, 2)
    assert units.tolist() == [[2, 0], [0, 2]]
    (shared,) = sampling.draw_dropout(replace(CONFIG, dropout_sharing="step"), 7, 0, 2)
    assert shared.tolist() == [2, 0]


def test_order_of_rows_from_its_words():
    # Indices below 8, 7, ... from the words of kind 6: 0, 4, 2, 4, 2, 0, 0, 0.
    assert sampling.epoch_order(7, 5, 8, 3) == (0, 5, 4, 7, 6, 1, 2, 3)


def test_label_noise_from_its_words():
    words = [0x8F9588BD, 0xA870DB00, 0x938CD110, 0xE74D6D40, 0xD8942261, 0x5260BE84]
    words += [0x63E6ED5A, 0x97A8EFC0, 0x646BD8A3, 0xA3A8DDE3, 0x02F836E9, 0x1C1C6DF4]
    assert sampling.input_stream(3, 7, 0, 7).words(12) == words
    labels = np.array([0, 1, 2, 0, 1, 2])
    data = Dataset(np.zeros((6, 3)), labels, label_noise=0.5, held_out=(np.zeros((6, 3)), labels))
    config = NetworkSpec(widths=(3, 2, 3), inputs=data, loss=CrossEntropy())
    # The last three rows are below a half; of the other classes 1, 1 and 0, in order.
    seen, flipped = sampling.training_targets(config, 7)
    assert seen.tolist() == [0, 1, 2, 2, 2, 0]
    assert flipped.tolist() == [False] * 3 + [True] * 3
    draws = sampling.draw(config, 7, 0)
    assert draws.targets.tolist() == seen.tolist()
    assert draws.flipped.tolist() == flipped.tolist()
    assert sampling.evaluation(config, 7)[1].tolist() == seen.tolist()
    assert sampling.held_out(config)[1].tolist() == labels.tolist()


def test_correlated_blocks_from_their_words():
    config = NetworkSpec(widths=(6, 2, 6), inputs=CorrelatedBlocks(2, 2, 200))
    words = sampling.input_stream(6, 3, 4, 3).words(600)
    for row, own in zip(
        sampling.draw(config, 3, 4).inputs, zip(*[iter(words)] * 3, strict=True), strict=True
    ):
        block, first, second = own[0] * 2 >> 32, own[1] * 3 >> 32, own[2] * 2 >> 32
        features = [0, 1, 2]
        features[0], features[first] = features[first], features[0]
        features[1], features[1 + second] = features[1 + second], features[1]
        assert sorted(np.flatnonzero(row)) == sorted(3 * block + i for i in features[:2])
        assert set(row) == {0.0, 1.0}


# Who sees the same --------------------------------------------------------------------------------


def test_networks_of_other_widths_see_the_same_inputs():
    other = replace(CONFIG, widths=(3, 5, 4, 3), inputs=CONFIG.inputs, noise_std=1.0)
    ours, theirs = (sampling.draw(config, 7, 5) for config in (CONFIG, other))
    assert np.array_equal(ours.inputs, theirs.inputs)
    assert not np.array_equal(ours.noise[0][:, 0], theirs.noise[0][:, 0])


def test_layers_do_not_depend_on_whether_others_are_disturbed():
    config = replace(CONFIG, widths=(3, 4, 4, 4, 3), noise_std=0.5, dropout=0.2)
    draws = sampling.draw(config, 1, 2)
    only = sampling.draw(replace(config, noise_std=(0.0, 0.0, 1.0), dropout=(0.0, 0.2, 0.0)), 1, 2)
    assert only.noise[:2] == [None, None]
    np.testing.assert_array_equal(only.noise[2], 2 * draws.noise[2])
    assert only.dropout[0] is only.dropout[2] is None
    np.testing.assert_array_equal(only.dropout[1], draws.dropout[1])
    # Layers of one shape draw numbers of their own.
    assert not np.array_equal(draws.noise[1], draws.noise[2])
    assert not np.array_equal(draws.dropout[1], draws.dropout[2])
    weights = sampling.initial_network(config, 1).weights
    assert not np.array_equal(weights[1], weights[2])


@pytest.mark.parametrize(
    ("kind", "shape"),
    [
        ("rademacher", None),
        ("gaussian", None),
        ("uniform", None),
        ("laplace", None),
        ("student_t", 3.0),
        ("three_point", 0.5),
    ],
)
def test_shared_noise_is_that_of_the_first_row(kind, shape):
    config = replace(CONFIG, noise=kind, noise_shape=shape)
    (own,) = sampling.draw_noise(config, 2, 3, 5)
    (shared,) = sampling.draw_noise(replace(config, noise_sharing="step"), 2, 3, 5)
    assert shared.shape == (2,)
    np.testing.assert_array_equal(shared, own[0])


def test_tied_networks_have_one_matrix():
    tied = replace(CONFIG, tied=True)
    ours, theirs = sampling.initial_network(tied, 7), sampling.initial_network(CONFIG, 7)
    assert len(ours.weights) == 1
    np.testing.assert_array_equal(ours.weights[0], theirs.weights[0])
    for a, b in zip(ours.biases, theirs.biases, strict=True):
        np.testing.assert_array_equal(a, b)


def test_evaluation_batch_is_the_same_for_all_seeds():
    config = replace(CONFIG, target=Absolute(), noise_std=3.0)
    inputs, wanted = sampling.evaluation(config, 1)
    again = sampling.evaluation(replace(config, widths=(3, 9, 3)), 2**40 + 1)
    assert inputs.shape == wanted.shape == (4096, 3)
    np.testing.assert_array_equal(wanted, np.abs(inputs))
    for ours, theirs in zip((inputs, wanted), again, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    words = [sampling.input_stream(3, 0, 0, kind).words(3) for kind in (8, 3)]
    assert inputs[0, 0] == pytest.approx((1 - 2 * (words[0][0] & 1)) * words[0][0] / 2**32)
    assert words[0] != words[1]
    basis, _ = sampling.evaluation(replace(config, inputs=Basis()), 5)
    np.testing.assert_array_equal(basis, np.eye(3))


# Statistics ---------------------------------------------------------------------------------------


def assert_mean(values: np.ndarray, mean: float, variance: float) -> None:
    """Of independent values with this mean and variance."""
    error = math.sqrt(variance / values.size)
    assert abs(values.mean() - mean) <= DEVIATIONS * error, (values.mean(), mean, error)


def test_independent_features():
    chances = (0.5, 0.1, 0.02, 0.01)
    kinds = ("one", "uniform", "sign", "signed_uniform")
    shown = {kind: stats.uniform() for kind in kinds}
    shown["signed_uniform"] = stats.uniform(-1, 2)
    for turn in range(4):
        magnitudes = kinds[turn:] + kinds[:turn]
        inputs = Independent(chances, 20_000, magnitudes)
        x = sampling.draw_inputs(inputs, 4, turn, 3, inputs.batch_size)
        on = x != 0
        for i, (p, kind) in enumerate(zip(chances, magnitudes, strict=True)):
            assert_mean(on[:, i].astype(float), p, p * (1 - p))
            values = x[on[:, i], i]
            if kind == "one":
                assert set(values) == {1.0}
            elif kind == "sign":
                assert set(values) == {-1.0, 1.0}
                assert_mean(values, 0, 1)
            else:
                assert stats.kstest(values, shown[kind].cdf).pvalue > FALSE_ALARM
        correlation = np.corrcoef(on.T) - np.eye(4)
        assert np.abs(correlation).max() < DEVIATIONS / math.sqrt(len(x))


@pytest.mark.parametrize("chance", [2**-8, 0.0039])
def test_magnitudes_of_rare_features(chance):
    """Just above and below the chance at which the words of the inclusion are enough."""
    inputs = Independent(chance, 60_000, "signed_uniform")
    x = sampling.draw_inputs(inputs, 2, 9, 0, inputs.batch_size)
    values = x[x != 0]
    assert_mean((x != 0).astype(float), chance, chance)
    assert stats.kstest(values, stats.uniform(-1, 2).cdf).pvalue > FALSE_ALARM
    assert stats.kstest(np.abs(values), stats.uniform().cdf).pvalue > FALSE_ALARM


@pytest.mark.parametrize(
    ("init", "factor", "kurtosis"),
    [
        ("normal", lambda a, b: 1 / a, 3),
        ("xavier", lambda a, b: 2 / (a + b), 3),
        ("uniform", lambda a, b: 1 / a, 1.8),
        ("pytorch", lambda a, b: 1 / (3 * a), 1.8),
    ],
)
def test_variance_of_starts(init, factor, kurtosis):
    config = NetworkSpec(widths=(50, 90, 30), init=init, init_scale=1.5, bias=True)
    model = sampling.initial_network(config, 4)
    for w in model.weights:
        variance = 2.25 * factor(*w.shape)
        assert_mean(w, 0, variance)
        assert_mean(w**2, variance, (kurtosis - 1) * variance**2)
    if init == "pytorch":
        for b, w in zip(model.biases, model.weights, strict=True):
            bound = 1.5 / math.sqrt(len(w))
            assert stats.kstest(b, stats.uniform(-bound, 2 * bound).cdf).pvalue > FALSE_ALARM
            assert np.abs(w).max() <= bound


@pytest.mark.parametrize("widths", [(5, 9, 4), (7, 7, 7)])
def test_orthogonal_starts(widths):
    config = NetworkSpec(widths=widths, init="orthogonal", init_scale=2.0)
    for w in sampling.initial_network(config, 4).weights:
        smaller = w @ w.T if len(w) <= len(w.T) else w.T @ w
        np.testing.assert_allclose(smaller, 4 * np.eye(len(smaller)), atol=1e-11)


@pytest.mark.parametrize(
    ("kind", "shape", "kurtosis"),
    [
        ("rademacher", None, 1),
        ("gaussian", None, 3),
        ("uniform", None, 1.8),
        ("laplace", None, 6),
        ("student_t", 12.0, 3.75),
        ("three_point", 0.25, 4),
    ],
)
def test_moments_of_noise(kind, shape, kurtosis):
    config = NetworkSpec(widths=(2, 40, 30, 2), noise=kind, noise_shape=shape, noise_std=(0.5, 2.0))
    for draws, std in zip(sampling.draw_noise(config, 8, 1, 300), (0.5, 2.0), strict=True):
        assert_mean(draws, 0, std**2)
        assert_mean(draws**2, std**2, (kurtosis - 1) * std**4)
        between = np.corrcoef(draws.T) - np.eye(draws.shape[1])
        assert np.abs(between).max() < 5 / math.sqrt(300)


def test_rate_of_dropout():
    config = NetworkSpec(widths=(2, 50, 50, 2), dropout=(0.1, 0.7))
    for units, chance in zip(sampling.draw_dropout(config, 8, 1, 300), (0.1, 0.7), strict=True):
        assert set(units.ravel()) == {0.0, 1 / (1 - chance)}
        assert_mean(units, 1, chance / (1 - chance))


# Data sets ----------------------------------------------------------------------------------------


def dataset(rows: int, batch_size: int | None, **options) -> NetworkSpec:
    labels = np.arange(rows) % 3
    inputs = np.arange(2.0 * rows).reshape(rows, 2)
    data = Dataset(inputs, labels, batch_size=batch_size, **options)
    return NetworkSpec(widths=(2, 4, 3), inputs=data, loss=CrossEntropy())


@pytest.mark.parametrize(("rows", "batch"), [(7, 3), (12, 4), (5, 5), (9, 1), (10, 7)])
def test_rows_come_once_an_epoch(rows, batch):
    config = dataset(rows, batch)
    steps = 4 * rows
    shown = [sampling.draw(config, 6, step).inputs[:, 0] / 2 for step in range(steps)]
    assert {len(s) for s in shown} == {batch}
    order = np.concatenate(shown).astype(int)
    epochs = order[: len(order) // rows * rows].reshape(-1, rows)
    assert (np.sort(epochs, axis=1) == np.arange(rows)).all()
    assert len({tuple(epoch) for epoch in epochs}) > 1
    draws = sampling.draw(config, 6, 1)
    assert draws.targets.tolist() == (draws.inputs[:, 0] / 2 % 3).tolist()


def test_orders_are_equally_frequent():
    epochs, rows = 4800, 4
    counts = Counter(sampling.epoch_order(seed, 9, rows, 2) for seed in range(epochs // 2))
    counts += Counter(sampling.epoch_order(3, epoch, rows, 2) for epoch in range(epochs // 2))
    assert set(counts) == set(itertools.permutations(range(rows)))
    assert stats.chisquare(list(counts.values())).pvalue > FALSE_ALARM


def test_without_batch_size_all_rows_come_in_order():
    config = dataset(6, None)
    for step in (0, 3):
        np.testing.assert_array_equal(sampling.draw(config, 6, step).inputs, config.inputs.inputs)


def test_sparse_rows_are_the_same():
    config = dataset(6, 4)
    data = replace(config.inputs, inputs=sparse.csr_array(config.inputs.inputs))
    for step in range(3):
        ours, theirs = (sampling.draw(c, 6, step) for c in (config, replace(config, inputs=data)))
        np.testing.assert_array_equal(ours.inputs, theirs.inputs)
        np.testing.assert_array_equal(ours.targets, theirs.targets)


def test_label_noise():
    rows, rate = 9000, 0.1
    config = dataset(rows, 100, label_noise=rate)
    clean = config.inputs.targets
    seen, flipped = sampling.training_targets(config, 5)
    np.testing.assert_array_equal(flipped, seen != clean)
    assert_mean(flipped.astype(float), rate, rate * (1 - rate))
    moves = Counter(zip(clean[flipped], seen[flipped], strict=True))
    assert len(moves) == 6
    assert stats.chisquare(list(moves.values())).pvalue > FALSE_ALARM
    again, _ = sampling.training_targets(config, 6)
    assert (again != seen).any()
    # A step shows these labels, whenever it shows them.
    order = np.concatenate([sampling.rows_of_step(config, 5, step) for step in range(90)])
    shown = np.concatenate([sampling.draw(config, 5, step).targets for step in (0, 89)])
    np.testing.assert_array_equal(shown, seen[np.concatenate([order[:100], order[-100:]])])
