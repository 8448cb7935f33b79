"""Random numbers of the network family: starts, inputs, noise, dropout, order of rows, labels.

Streams of the network family
-----------------------------
Every number is a function of its place. Word e of a stream is word e % 4 of

    Philox4x32-10(counter = (e // 4, step, 2^24 + layer * 2^8 + kind, shape), key = the seed)

where ``shape`` mixes (d_{l-1}, d_l) for kinds that belong to a layer l = 1 ... L, else (d_0, 0)
with layer 0. An index below k is (word * k) >> 32. A chance p is word < floor(p 2^32). ``unit`` and
``signed_unit`` round once to float32; all draws are made in float32, and float64 widens them.

    kind  what                layer  step   words
    0     weights             l      0      element = row-major index of W_l: signed_unit(word) for
                                            "pytorch" and "uniform", else normals, four from the
                                            four words of a block. Tied: the matrix of layer 1.
    1     biases              l      0      "pytorch" only: signed_unit(word)
    2     noise               l < L  step   elements = (row, unit) row-major, as the autoencoder's
                                            noise of that kind; shared by the step: row 0 only
    3     inputs              0      step   `Independent`: element (row, feature) decides whether
                                            the feature is on. `CorrelatedBlocks`: active + 1 words
                                            a row; the first picks the block, word t + 1 the t-th
                                            step of a Fisher-Yates shuffle of its features.
    4     magnitudes          0      step   element (row, feature): see below
    5     dropout             l < L  step   element (row, unit) decides whether the unit is dropped;
                                            shared by the step: row 0 only
    6     order of rows       0      epoch  word t is the t-th step of a Fisher-Yates shuffle of the
                                            N rows: it swaps position t and t + an index below N - t
    7     label noise         0      0      word 2i decides whether training row i gets a wrong
                                            class, word 2i + 1 picks it: an index below d_L - 1
                                            among the other classes in order
    8, 9  inputs, magnitudes  0      0      as 3 and 4 for the evaluation batch: 4096 rows, key 0
    10    readout             L      0      "random": word (neuron, output); an output reads the
                                            neurons whose words are smallest, the first of equals

* A magnitude and its sign come from one word: the inclusion word itself, which is uniform below
  T = floor(p 2^32), with u = min(1, unit(word) * float32(2^32 / T)), the product rounded to
  float32; or, for features with T < 2^24 (p below 2^-8), the same element of the magnitude stream
  with u = unit(word). "uniform" is u, "sign" is 1 and "signed_uniform" u, the latter two negative
  where the word's lowest bit is set. So no feature that is on has the value 0.
* A layer's noise and dropout do not depend on whether other layers have any.
* Step s of a data set takes positions s B ... s B + B - 1 of the concatenated epochs; without
  batch_size all rows in their own order, and nothing is drawn.
* ``init_scale`` multiplies everything drawn at the start, "pytorch"'s biases too, never bias_start.
"""

from __future__ import annotations

import functools
import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from specification import (
    Array,
    Stream,
    orthonormalised,
    shape_word,
    signed_unit,
    standard_noise,
    unit,
)
from specifications import losses
from specifications.losses import Targets
from specifications.network import Config, Network, depth, spread
from specifications.targets import targets

FAMILY = 1
WEIGHTS, BIASES, NOISE, INPUTS, MAGNITUDES, DROPOUT, ORDER, LABELS = range(8)
EVALUATION_INPUTS, EVALUATION_MAGNITUDES, READOUT = 8, 9, 10
EVALUATION_ROWS, EVALUATION_SEED = 4096, 0
SHORT = 2**24  # with a threshold below this, too few words remain for a magnitude


def stream_word(layer: int, kind: int) -> int:
    return FAMILY * 2**24 + layer * 2**8 + kind


def layer_stream(config: Config, seed: int, step: int, layer: int, kind: int) -> Stream:
    """Of a layer from 1 to L."""
    shape = shape_word(config.widths[layer - 1], config.widths[layer])
    return Stream(seed, step, stream_word(layer, kind), shape)


def input_stream(n: int, seed: int, step: int, kind: int) -> Stream:
    """Of whatever belongs to the ``n`` = d_0 inputs."""
    return Stream(seed, step, stream_word(0, kind), shape_word(n, 0))


def below(limit: int, word: int) -> int:
    """An index below the limit."""
    return word * limit >> 32


def threshold(chance: float) -> int:
    return math.floor(chance * 2**32)


# ---------------------------------------------------------------------------------------------
# Starts
# ---------------------------------------------------------------------------------------------


def signed_units(source: Stream, count: int) -> Array:
    return np.array([signed_unit(word) for word in source.words(count)])


def initial_matrix(config: Config, seed: int, layer: int) -> Array:
    """(d_{l-1}, d_l): variance 1/fan-in for "normal" and "uniform", a third of it for "pytorch"."""
    fan_in, fan_out = config.widths[layer - 1], config.widths[layer]
    source = layer_stream(config, seed, 0, layer, WEIGHTS)
    if config.init in ("pytorch", "uniform"):
        bound = math.sqrt((1 if config.init == "pytorch" else 3) / fan_in)
        w = bound * signed_units(source, fan_in * fan_out).reshape(fan_in, fan_out)
    else:
        w = standard_noise("gaussian", None, source, fan_in * fan_out).reshape(fan_in, fan_out)
        if config.init == "normal":
            w = w * math.sqrt(1 / fan_in)
        elif config.init == "xavier":
            w = w * math.sqrt(2 / (fan_in + fan_out))
        else:  # orthogonal
            w = orthonormalised(w) if fan_out >= fan_in else orthonormalised(w.T).T
    return np.asarray(config.init_scale * w)


def initial_bias(config: Config, seed: int, layer: int) -> Array:
    """(d_l,)."""
    fan_in, count = config.widths[layer - 1], config.widths[layer]
    if config.init == "pytorch":
        source = layer_stream(config, seed, 0, layer, BIASES)
        return config.init_scale * math.sqrt(1 / fan_in) * signed_units(source, count)
    return np.full(count, float(spread(config.bias_start, depth(config))[layer - 1]))


def reads(config: Config, seed: int) -> Array:
    """(d_{L-1}, d_L) 1 where an output reads a neuron of the last hidden layer, else 0."""
    neurons, outputs = config.widths[-2:]
    if not isinstance(config.readout, str):
        return np.array(config.readout)
    if config.readout == "dense":
        return np.ones((neurons, outputs), dtype=int)
    private = np.array([[int(k % outputs == j) for j in range(outputs)] for k in range(neurons)])
    if config.readout == "private":
        return private
    source = layer_stream(config, seed, 0, depth(config), READOUT)
    words = np.array(source.words(neurons * outputs)).reshape(neurons, outputs)
    found = np.zeros_like(private)
    for j in range(outputs):  # the neurons of the smallest words
        found[np.argsort(words[:, j], kind="stable")[: private[:, j].sum()], j] = 1
    return found


def initial_network(config: Config, seed: int) -> Network:
    """Before the first step."""
    layers = range(1, depth(config) + 1)
    has_bias = spread(config.bias, depth(config))
    weights = [initial_matrix(config, seed, k) for k in layers if k == 1 or not config.tied]
    if config.readout != "dense":
        weights[-1] = weights[-1] * reads(config, seed)
    return Network(
        weights,
        [initial_bias(config, seed, layer) if has_bias[layer - 1] else None for layer in layers],
    )


# ---------------------------------------------------------------------------------------------
# Noise and dropout: of each hidden layer, None where it has none
# ---------------------------------------------------------------------------------------------


def disturbance_shape(sharing: str, rows: int, units: int) -> tuple[int, ...]:
    return (units,) if sharing == "step" else (rows, units)


def draw_noise(config: Config, seed: int, step: int, rows: int) -> list[Array | None]:
    """(d_l,) or (rows, d_l)."""
    hidden = depth(config) - 1
    out: list[Array | None] = [None] * hidden
    for k, std in enumerate(spread(config.noise_std, hidden)):
        if config.noise == "none" or std == 0:
            continue
        shape = disturbance_shape(config.noise_sharing, rows, config.widths[k + 1])
        source = layer_stream(config, seed, step, k + 1, NOISE)
        draws = standard_noise(config.noise, config.noise_shape, source, math.prod(shape))
        out[k] = std * draws.reshape(shape)
    return out


def draw_dropout(config: Config, seed: int, step: int, rows: int) -> list[Array | None]:
    """(d_l,) or (rows, d_l): 0 for a dropped unit, else 1 / (1 - dropout)."""
    hidden = depth(config) - 1
    out: list[Array | None] = [None] * hidden
    for k, chance in enumerate(spread(config.dropout, hidden)):
        if chance == 0:
            continue
        shape = disturbance_shape(config.dropout_sharing, rows, config.widths[k + 1])
        words = layer_stream(config, seed, step, k + 1, DROPOUT).words(math.prod(shape))
        dropped = np.array(words) < threshold(chance)
        out[k] = np.where(dropped, 0.0, 1 / (1 - chance)).reshape(shape)
    return out


# ---------------------------------------------------------------------------------------------
# Inputs
# ---------------------------------------------------------------------------------------------


def magnitude(kind: str, limit: int, word: int, other: int) -> float:
    """Of a feature that is on since ``word`` < ``limit``; ``other`` is its magnitude word."""
    if kind == "one":
        return 1.0
    if limit >= SHORT:
        u = min(1.0, float(np.float32(unit(word)) * np.float32(2**32 / limit)))
    else:
        word, u = other, unit(other)
    size = 1.0 if kind == "sign" else u
    return -size if kind != "uniform" and word & 1 else size


def draw_independent(inputs: Any, words: list[int], others: list[int], out: Array) -> None:
    n = out.shape[1]
    limits = [threshold(p) for p in spread(inputs.probability, n)]
    kinds = spread(inputs.magnitude, n)
    for e, (b, i) in enumerate(np.ndindex(out.shape)):
        if words[e] < limits[i]:
            out[b, i] = magnitude(kinds[i], limits[i], words[e], others[e] if others else 0)


def draw_correlated_blocks(inputs: Any, words: list[int], out: Array) -> None:
    size = out.shape[1] // inputs.blocks
    each = inputs.active + 1  # words a row
    for b, row in enumerate(out):
        own = words[b * each : (b + 1) * each]
        block = below(inputs.blocks, own[0])
        features = list(range(block * size, (block + 1) * size))
        for t in range(inputs.active):
            other = t + below(size - t, own[t + 1])
            features[t], features[other] = features[other], features[t]
        row[features[: inputs.active]] = 1.0


def needs_magnitudes(inputs: Any, n: int) -> bool:
    pairs = zip(spread(inputs.probability, n), spread(inputs.magnitude, n), strict=True)
    return any(kind != "one" and threshold(p) < SHORT for p, kind in pairs)


def draw_inputs(
    inputs: Any,
    n: int,
    seed: int,
    step: int,
    rows: int,
    kinds: tuple[int, int] = (INPUTS, MAGNITUDES),
) -> Array:
    """(rows, n) of sampled inputs."""
    out = np.zeros((rows, n))
    first = input_stream(n, seed, step, kinds[0])
    if type(inputs).__name__ == "CorrelatedBlocks":
        draw_correlated_blocks(inputs, first.words(rows * (inputs.active + 1)), out)
        return out
    second = input_stream(n, seed, step, kinds[1])
    others = second.words(rows * n) if needs_magnitudes(inputs, n) else []
    draw_independent(inputs, first.words(rows * n), others, out)
    return out


@functools.lru_cache(maxsize=64)
def evaluation_batch(inputs: Any, n: int) -> Array:
    """(4096, n): the same for all seeds."""
    kinds = (EVALUATION_INPUTS, EVALUATION_MAGNITUDES)
    out = draw_inputs(inputs, n, EVALUATION_SEED, 0, EVALUATION_ROWS, kinds)
    out.flags.writeable = False
    return out


# ---------------------------------------------------------------------------------------------
# Data sets
# ---------------------------------------------------------------------------------------------


def dense(rows: Any) -> Array:
    """In float64, of an array or a scipy.sparse matrix."""
    return np.asarray(rows.toarray() if hasattr(rows, "toarray") else rows, dtype=np.float64)


def dataset_targets(config: Config, given: Any) -> Targets:
    classes = losses.has_classes(config.loss)
    return np.asarray(given, dtype=np.int64) if classes else dense(given)


@functools.lru_cache(maxsize=64)
def epoch_order(seed: int, epoch: int, rows: int, n: int) -> tuple[int, ...]:
    """The order in which an epoch shows the rows of a data set with ``n`` features."""
    words = input_stream(n, seed, epoch, ORDER).words(rows)
    order = list(range(rows))
    for t, word in enumerate(words):
        other = t + below(rows - t, word)
        order[t], order[other] = order[other], order[t]
    return tuple(order)


def rows_of_step(config: Config, seed: int, step: int) -> NDArray[np.int64]:
    """(B,): which rows of the data set a step shows, in order."""
    count, size = config.inputs.inputs.shape[0], config.inputs.batch_size
    if size is None:
        return np.arange(count)
    n = config.widths[0]
    places = range(step * size, step * size + size)
    return np.array([epoch_order(seed, p // count, count, n)[p % count] for p in places])


def training_targets(config: Config, seed: int) -> tuple[Targets, NDArray[np.bool_]]:
    """All targets of the data set as this seed sees them, and which are wrong on purpose."""
    given = dataset_targets(config, config.inputs.targets)
    flipped = np.zeros(len(given), dtype=bool)
    if not config.inputs.label_noise:
        return given, flipped
    out, others = given.copy(), config.widths[-1] - 1
    words = input_stream(config.widths[0], seed, 0, LABELS).words(2 * len(given))
    for i, label in enumerate(given):
        if words[2 * i] < threshold(config.inputs.label_noise):
            other = below(others, words[2 * i + 1])
            out[i], flipped[i] = other + (other >= label), True
    return out, flipped


# ---------------------------------------------------------------------------------------------
# A step, and what results are measured on
# ---------------------------------------------------------------------------------------------


class Draws(NamedTuple):
    """What a step trains on."""

    inputs: Array  # (B, d_0)
    targets: Targets
    noise: list[Array | None]
    dropout: list[Array | None]
    flipped: NDArray[np.bool_]  # (B,): the rows whose class is wrong on purpose


def draw(config: Config, seed: int, step: int) -> Draws:
    """Everything random about a step, the first having index 0."""
    kind, n = type(config.inputs).__name__, config.widths[0]
    if kind == "Dataset":
        rows = rows_of_step(config, seed, step)
        all_targets, all_flipped = training_targets(config, seed)
        inputs, wanted = dense(config.inputs.inputs)[rows], all_targets[rows]
        flipped = all_flipped[rows]
    else:
        if kind == "Basis":
            inputs = np.eye(n)
        else:
            inputs = draw_inputs(config.inputs, n, seed, step, config.inputs.batch_size)
        wanted = targets(config.target, inputs)
        flipped = np.zeros(len(inputs), dtype=bool)
    noise = draw_noise(config, seed, step, len(inputs))
    return Draws(inputs, wanted, noise, draw_dropout(config, seed, step, len(inputs)), flipped)


def evaluation(config: Config, seed: int) -> tuple[Array, Targets]:
    """The rows that results are measured on, clean: all of the basis or of the data set, the latter
    with the seed's own classes, else the evaluation batch, which is the same for all seeds."""
    kind = type(config.inputs).__name__
    if kind == "Dataset":
        return dense(config.inputs.inputs), training_targets(config, seed)[0]
    n = config.widths[0]
    inputs = np.eye(n) if kind == "Basis" else evaluation_batch(config.inputs, n)
    return inputs, targets(config.target, inputs)


def held_out(config: Config) -> tuple[Array, Targets] | None:
    """Rows that no step shows, with clean targets."""
    pair = getattr(config.inputs, "held_out", None)
    return None if pair is None else (dense(pair[0]), dataset_targets(config, pair[1]))
