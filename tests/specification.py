"""What fastpolysem computes, written down as plainly as possible: the oracle of the tests.

One file, so that the oracle can be read from top to bottom.

Everything here is one model (one seed) at a time, NumPy float64, in hidden space: no Gram matrix,
no batching over seeds, nothing fast. An array holds what the formula on paper says, and a count is
a loop over its definition. ``config`` is anything with the fields of ``fastpolysem.Config``;
`Settings` is the smallest such thing. Shapes: n features, m hidden neurons, B rows of a batch.

From top to bottom: model, objective, optimisers, certified stop, training, counts, random numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
Config = Any  # duck-typed: a Settings or a fastpolysem.Config


# ---------------------------------------------------------------------------------------------
# The model
# ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The fields of a configuration that the specification reads, with their defaults."""

    n_features: int
    n_hidden: int
    l1: float = 0.0
    l1_schedule: Sequence[tuple[int, float]] | None = None
    l1_target: str = "weights"
    l1_update: str = "subgradient"
    repulsion: float = 0.0
    optimizer: str = "adamw"
    learning_rate: float = 1e-3
    learning_rate_schedule: str | Sequence[tuple[int, float]] | None = None
    weight_decay: float | None = None
    momentum: float = 0.0
    betas: tuple[float, float] = (0.9, 0.999)
    epsilon: float = 1e-8
    second_moment: str = "coordinate"
    steps: int = 7500
    stop: str = "steps"
    init: str = "normal"
    init_scale: float = 1.0
    tied: bool = True
    bias: bool = False
    activation: str = "relu"
    importance: tuple[float, ...] | None = None


class Weights(NamedTuple):
    """One model. Tied models have no decoder of their own; models without bias have no bias."""

    encoder: Array  # (n, m)
    decoder: Array | None = None  # (n, m)
    bias: Array | None = None  # (n,)


def weights(
    encoder: ArrayLike, decoder: ArrayLike | None = None, bias: ArrayLike | None = None
) -> Weights:
    """A model in float64, whatever the arrays were."""
    arrays = (
        None if a is None else np.array(a, dtype=np.float64) for a in (encoder, decoder, bias)
    )
    return Weights(*arrays)


def decoder_of(model: Weights) -> Array:
    return model.encoder if model.decoder is None else model.decoder


# ---------------------------------------------------------------------------------------------
# The objective and its gradient
# ---------------------------------------------------------------------------------------------


def scale(inputs: Any, n_features: int, rows: int | None = None) -> float:
    """The factor that makes each feature appear once per step in expectation.

    ``rows`` stands in for the batch size where a batch of another size is given. The basis batch
    shows each feature once; a fixed batch is a plain sum over its rows.
    """
    kind = type(inputs).__name__
    if kind in ("Basis", "FixedBatch"):
        return 1.0
    if kind == "Independent":  # on average over features, where each has a chance of its own
        probability_on = np.mean(inputs.probability)
    else:  # CorrelatedBlocks: one block of n / blocks features, `active` of them
        probability_on = (1 / inputs.blocks) * inputs.active / (n_features / inputs.blocks)
    return float(1 / ((inputs.batch_size if rows is None else rows) * probability_on))


def hidden(model: Weights, batch: Array) -> Array:
    """(B, m), before noise."""
    return batch @ model.encoder


def disturbed(
    model: Weights, batch: Array, noise: Array | None = None, dropout: Array | None = None
) -> Array:
    """(B, m): what the decoder reads.

    ``noise`` is added, ``dropout`` (0 or 1 / (1 - probability)) then multiplies; each is (m,),
    shared by the rows, or (B, m), each row its own.
    """
    out = hidden(model, batch)
    if noise is not None:
        out = out + noise
    return out if dropout is None else out * dropout


def preactivation(
    model: Weights, batch: Array, noise: Array | None = None, dropout: Array | None = None
) -> Array:
    """(B, n)."""
    pre = disturbed(model, batch, noise, dropout) @ decoder_of(model).T
    return pre if model.bias is None else pre + model.bias


def forward(
    config: Config,
    model: Weights,
    batch: Array,
    noise: Array | None = None,
    dropout: Array | None = None,
) -> Array:
    """(B, n): the reconstruction of each row."""
    pre = preactivation(model, batch, noise, dropout)
    return np.maximum(pre, 0.0) if config.activation == "relu" else pre


def importance(config: Config) -> Array:
    """(n,): weight of each feature's squared error."""
    if config.importance is None:
        return np.ones(config.n_features)
    return np.array(config.importance, dtype=np.float64)


def at_step(config: Config, step: int) -> Config:
    """The config with what its schedules give the step with this index, from 0."""
    fields = {name: getattr(config, name) for name in config.__dataclass_fields__}
    if config.l1_schedule is not None:
        fields["l1"] *= interpolated(config.l1_schedule, step)
    fields["learning_rate"] *= learning_rate_factor(config, step)
    return SimpleNamespace(**fields)


def interpolated(points: Sequence[tuple[int, float]], step: int) -> float:
    """On the line between the two points around the step, constant before and after them."""
    steps, values = zip(*points, strict=True)
    return float(np.interp(step, steps, values))


def learning_rate_factor(config: Config, step: int) -> float:
    schedule = config.learning_rate_schedule
    if schedule is None:
        return 1.0
    if schedule == "cosine":
        return (1 + math.cos(math.pi * step / config.steps)) / 2
    return interpolated(schedule, step)


def l1_constant_from(config: Config) -> int:
    """The step from which on l1 no longer changes."""
    return 0 if config.l1_schedule is None else int(config.l1_schedule[-1][0])


def squared_error(
    config: Config,
    model: Weights,
    batch: Array,
    noise: Array | None = None,
    scale: float = 1.0,
    dropout: Array | None = None,
) -> float:
    error = forward(config, model, batch, noise, dropout) - batch
    return float(scale * np.sum(importance(config) * error**2))


def l1_term(config: Config, model: Weights, batch: Array, scale: float = 1.0) -> float:
    if config.l1_target == "activations":
        return float(config.l1 * scale * np.sum(np.abs(hidden(model, batch))))
    total = np.sum(np.abs(model.encoder))
    if model.decoder is not None:
        total += np.sum(np.abs(model.decoder))
    return float(config.l1 * total)


def repulsion_term(config: Config, model: Weights) -> float:
    """Over the pairs of features in each neuron, of both matrices."""
    total = 0.0
    for w in model[:2]:
        if w is None:
            continue
        n, m = w.shape
        for k in range(m):
            for i in range(n):
                for j in range(i + 1, n):
                    total += w[i, k] ** 2 * w[j, k] ** 2
    return config.repulsion * total


def objective(
    config: Config,
    model: Weights,
    batch: Array,
    noise: Array | None = None,
    scale: float = 1.0,
    dropout: Array | None = None,
) -> float:
    """What training minimises: squared error, l1 term and repulsion."""
    error = squared_error(config, model, batch, noise, scale, dropout)
    return error + l1_term(config, model, batch, scale) + repulsion_term(config, model)


def squared_error_gradient(
    config: Config,
    model: Weights,
    batch: Array,
    noise: Array | None = None,
    scale: float = 1.0,
    dropout: Array | None = None,
) -> Weights:
    """Backpropagation, line by line. The slope of the ReLU at 0 is 0."""
    read = disturbed(model, batch, noise, dropout)
    pre = preactivation(model, batch, noise, dropout)
    error = forward(config, model, batch, noise, dropout) - batch
    slope = (pre > 0.0).astype(np.float64) if config.activation == "relu" else np.ones_like(pre)

    d_pre = scale * 2.0 * importance(config) * error * slope  # (B, n)
    d_hidden = d_pre @ decoder_of(model)  # (B, m)
    if dropout is not None:
        d_hidden = d_hidden * dropout
    d_encoder = batch.T @ d_hidden
    d_decoder = d_pre.T @ read
    d_bias = None if model.bias is None else np.sum(d_pre, axis=0)
    if model.decoder is None:
        return Weights(d_encoder + d_decoder, None, d_bias)
    return Weights(d_encoder, d_decoder, d_bias)


def repulsion_gradient(config: Config, w: Array) -> Array:
    """Of a matrix's repulsion term: each weight against the squares of the others."""
    out = np.zeros_like(w)
    for i in range(len(w)):
        others = np.delete(w, i, axis=0)
        out[i] = 2 * config.repulsion * w[i] * np.sum(others**2, axis=0)
    return out


def smooth_gradient(
    config: Config,
    model: Weights,
    batch: Array,
    noise: Array | None = None,
    scale: float = 1.0,
    dropout: Array | None = None,
) -> Weights:
    """Of everything but the l1 term."""
    error = squared_error_gradient(config, model, batch, noise, scale, dropout)
    d_encoder = error.encoder + repulsion_gradient(config, model.encoder)
    if model.decoder is None or error.decoder is None:
        return Weights(d_encoder, None, error.bias)
    return Weights(d_encoder, error.decoder + repulsion_gradient(config, model.decoder), error.bias)


def l1_subgradient(config: Config, model: Weights, batch: Array, scale: float = 1.0) -> Weights:
    """With sign(0) = 0. The bias carries no l1."""
    no_bias = None if model.bias is None else np.zeros_like(model.bias)
    if config.l1_target == "activations":
        d_encoder = config.l1 * scale * batch.T @ np.sign(hidden(model, batch))
        no_decoder = None if model.decoder is None else np.zeros_like(model.decoder)
        return Weights(d_encoder, no_decoder, no_bias)
    d_decoder = None if model.decoder is None else config.l1 * np.sign(model.decoder)
    return Weights(config.l1 * np.sign(model.encoder), d_decoder, no_bias)


def gradient(
    config: Config,
    model: Weights,
    batch: Array,
    noise: Array | None = None,
    scale: float = 1.0,
    dropout: Array | None = None,
) -> Weights:
    """Of `objective`."""
    smooth = smooth_gradient(config, model, batch, noise, scale, dropout)
    l1 = l1_subgradient(config, model, batch, scale)
    both = (None if a is None else a + b for a, b in zip(smooth, l1, strict=True))
    return Weights(*both)


# ---------------------------------------------------------------------------------------------
# Optimisers: PyTorch's update formulas
# ---------------------------------------------------------------------------------------------


class State(NamedTuple):
    """What an optimiser keeps of one array: (momentum buffer, unused) or (first, second moment)."""

    first: Array
    second: Array


def weight_decay(config: Config) -> float:
    if config.weight_decay is not None:
        return float(config.weight_decay)
    return 0.01 if config.optimizer == "adamw" else 0.0


def optimizer_step(
    config: Config, w: Array, g: Array, state: State, step: int, square: float | None = None
) -> tuple[Array, State]:
    """One update of the array ``w``; ``step`` counts from 1 and is the same for all of a model.

    ``square`` stands in for each g^2 in a scalar second moment.
    """
    lr, decay = config.learning_rate, weight_decay(config)
    first, second = state
    if config.optimizer == "sgd":
        first = config.momentum * first + g
        return w - lr * first, State(first, second)
    if config.optimizer == "adamw":
        w = w - lr * decay * w  # decoupled, before the step
    else:
        g = g + decay * w
    beta1, beta2 = config.betas
    first = beta1 * first + (1 - beta1) * g
    second = beta2 * second + (1 - beta2) * (g**2 if square is None else square)
    first_unbiased = first / (1 - beta1**step)
    second_unbiased = second / (1 - beta2**step)
    return w - lr * first_unbiased / (np.sqrt(second_unbiased) + config.epsilon), State(
        first, second
    )


def pull(config: Config, w: Array, g: Array) -> Array:
    """The pseudo-gradient of a smooth part with slope ``g`` plus l1; 0 for zeros that l1 holds."""
    free = (w != 0) | (np.abs(g) > config.l1)
    out = np.where(w != 0, g + config.l1 * np.sign(w), np.sign(g) * (np.abs(g) - config.l1))
    return np.where(free, out, 0.0)


def mean_square(config: Config, model: Weights, slopes: Weights) -> float:
    """What a scalar second moment averages: the mean square of what moves the parameters.

    That is the gradient with l1 (orthant-wise: the pseudo-gradient), plus the decay of "adam", over
    all entries of all arrays: weights held at zero count as 0, and the bias counts without l1.
    """
    total, count = 0.0, 0
    for k, (w, g) in enumerate(zip(model, slopes, strict=True)):
        if w is None or g is None:
            continue
        orthant = config.l1_update == "orthant" and k != 2  # not the bias
        moving = pull(config, w, g) if orthant else g
        if config.optimizer == "adam":
            moving = moving + weight_decay(config) * w
        total += float(np.sum(moving**2))
        count += w.size
    return total / count


def orthant_step(
    config: Config, w: Array, g: Array, state: State, step: int, square: float | None = None
) -> tuple[Array, State]:
    """The l1 update with exact zeros; ``g`` is the gradient without the l1 term.

    Within an orthant the l1 term is linear. A weight that would leave its orthant stops at 0, where
    its momentum ends; it leaves 0 again only if the rest of the objective pulls harder than l1.
    """
    free = (w != 0) | (np.abs(g) > config.l1)
    moved, (first, second) = optimizer_step(config, w, pull(config, w, g), state, step, square)
    w_new = np.where(free, moved, w)
    first = np.where(free, first, state.first)
    if square is None:  # a scalar is updated whatever moves
        second = np.where(free, second, state.second)
    clamp = (w != 0) & (w_new * np.sign(w) <= 0)  # nan is no crossing: it must end as diverged
    return np.where(clamp, 0.0, w_new), State(np.where(clamp, 0.0, first), second)


# ---------------------------------------------------------------------------------------------
# Certified stop
# ---------------------------------------------------------------------------------------------


def certified(config: Config, w: Array, low: float = 0.8) -> bool:
    """Whether no feature can influence another any more and the outcome is fixed.

    For tied ReLU models on the basis batch without noise, dropout, bias or repulsion, under the
    orthant-wise l1 update.
    """
    for row in w:
        kept = row[row != 0]
        if len(kept) > 1 or (len(kept) == 1 and abs(kept[0]) < low):
            return False
    for i in range(len(w)):
        for j in range(len(w)):
            if i != j and np.dot(w[i], w[j]) > 0:
                return False
    smooth = squared_error_gradient(config, Weights(w), np.eye(len(w))).encoder
    return bool(np.all(np.abs(smooth[w == 0]) <= config.l1))


# ---------------------------------------------------------------------------------------------
# Training
# ---------------------------------------------------------------------------------------------


class Run(NamedTuple):
    weights: list[Weights]  # before the first step, after step 1, ...: steps taken + 1
    objective: list[float]  # of each step's batch and noise, before its update


def run(
    config: Config,
    model: Weights,
    batch: Array | Callable[[int], Array],
    noise: Sequence[Array] | Array | None = None,
    scale: float = 1.0,
    dropout: Sequence[Array] | None = None,
) -> Run:
    """Train one model for ``config.steps`` steps.

    ``batch`` is one (B, n) array or a function of the step (from 0); ``noise[step]`` and
    ``dropout[step]`` are (m,) or (B, m).
    """
    trajectory = Run([model], [])
    states = [None if a is None else State(np.zeros_like(a), np.zeros_like(a)) for a in model]
    for step in range(config.steps):
        now = at_step(config, step)
        fixed = config.stop == "certified" and step >= l1_constant_from(config)
        if fixed and certified(now, model.encoder):
            break
        rows = batch(step) if callable(batch) else batch
        xi = None if noise is None else np.asarray(noise[step], dtype=np.float64)
        units = None if dropout is None else dropout[step]
        trajectory.objective.append(objective(now, model, rows, xi, scale, units))
        orthant = config.l1_update == "orthant"
        slope_of = smooth_gradient if orthant else gradient
        slopes = slope_of(now, model, rows, xi, scale, units)
        scalar = config.second_moment == "scalar"
        square = mean_square(now, model, slopes) if scalar else None
        arrays: list[Array | None] = []
        for k, (w, g, state) in enumerate(zip(model, slopes, states, strict=True)):
            if w is None or g is None or state is None:
                arrays.append(None)
                continue
            is_bias = k == 2  # never under l1
            update = orthant_step if orthant and not is_bias else optimizer_step
            w, states[k] = update(now, w, g, state, step + 1, square)
            arrays.append(w)
        model = Weights(*arrays)
        trajectory.weights.append(model)
    return trajectory


def residual(config: Config, model: Weights, batch: Array) -> float:
    """The largest slope of the noise-free objective over the non-zero weights, at the final l1."""
    slopes = gradient(at_step(config, l1_constant_from(config)), model, batch)
    largest = 0.0
    for w, g in ((model.encoder, slopes.encoder), (model.decoder, slopes.decoder)):
        if w is not None and g is not None and np.any(w != 0):
            largest = max(largest, float(np.max(np.abs(g[w != 0]))))
    return largest


# ---------------------------------------------------------------------------------------------
# Counts: (n, m) weights, window [low, high] with bounds as the weights' own precision has them
# ---------------------------------------------------------------------------------------------


def effective(model: Weights) -> Array:
    """The weights that counts look at: what encoder and decoder agree on."""
    if model.decoder is None:
        return model.encoder
    out = np.zeros_like(model.encoder)
    for i, k in np.ndindex(out.shape):
        product = model.encoder[i, k] * model.decoder[i, k]
        if product > 0:
            out[i, k] = math.copysign(math.sqrt(product), model.encoder[i, k])
    return out


def in_window(value: float, low: float, high: float) -> bool:
    return low <= abs(value) <= high


def polysemantic(w: Array, low: float = 0.8, high: float = 1.2) -> int:
    """Neurons with at least two features in the window."""
    n, m = w.shape
    count = 0
    for k in range(m):
        if sum(in_window(w[i, k], low, high) for i in range(n)) >= 2:
            count += 1
    return count


def sharing_pairs(w: Array, low: float = 0.8, high: float = 1.2) -> tuple[int, int]:
    """(benign, malign): pairs of features in one neuron's window, of opposite or equal signs."""
    n, m = w.shape
    benign = malign = 0
    for k in range(m):
        for i in range(n):
            for j in range(i + 1, n):
                if in_window(w[i, k], low, high) and in_window(w[j, k], low, high):
                    if w[i, k] * w[j, k] < 0:
                        benign += 1
                    else:
                        malign += 1
    return benign, malign


def dead(w: Array, low: float = 0.8) -> int:
    """Neurons without any feature of at least ``low``."""
    return sum(not any(abs(v) >= low for v in w[:, k]) for k in range(w.shape[1]))


def unrepresented(w: Array, low: float = 0.8) -> int:
    """Features without any neuron of at least ``low``."""
    return sum(not any(abs(v) >= low for v in row) for row in w)


def signed_slots(w: Array) -> tuple[int, int]:
    """(neurons owned by at least two features, those of them with owners of both signs).

    A feature owns the neuron of its largest |weight| (the first of equals) with the sign it has
    there; a feature without weights owns nothing.
    """
    n, m = w.shape
    owners: list[list[float]] = [[] for _ in range(m)]
    for i in range(n):
        favourite, largest = -1, 0.0
        for k in range(m):
            if abs(w[i, k]) > largest:
                favourite, largest = k, abs(w[i, k])
        if favourite >= 0:
            owners[favourite].append(math.copysign(1.0, w[i, favourite]))
    shared = [signs for signs in owners if len(signs) >= 2]
    return len(shared), sum(len(set(signs)) == 2 for signs in shared)


def counts(w: Array, low: float = 0.8, high: float = 1.2) -> dict[str, int]:
    """All counts by the names that results have."""
    benign, malign = sharing_pairs(w, low, high)
    shared, shared_benign = signed_slots(w)
    return {
        "polysemantic": polysemantic(w, low, high),
        "benign": benign,
        "malign": malign,
        "signed_slots": shared,
        "signed_slots_benign": shared_benign,
        "dead": dead(w, low),
        "unrepresented": unrepresented(w, low),
    }


# ---------------------------------------------------------------------------------------------
# Random numbers: Philox4x32-10 (Salmon, Moraes, Dror, Shaw 2011)
# ---------------------------------------------------------------------------------------------

WORD = 0xFFFFFFFF


def philox(counter: tuple[int, int, int, int], key: int) -> tuple[int, int, int, int]:
    """Four 32-bit words from a counter of four words and a 64-bit key, low word first."""
    c0, c1, c2, c3 = counter
    k0, k1 = key & WORD, key >> 32
    for _ in range(10):
        p0, p1 = 0xD2511F53 * c0, 0xCD9E8D57 * c2
        c0, c1, c2, c3 = (p1 >> 32) ^ c1 ^ k0, p1 & WORD, (p0 >> 32) ^ c3 ^ k1, p0 & WORD
        k0, k1 = (k0 + 0x9E3779B9) & WORD, (k1 + 0xBB67AE85) & WORD
    return c0, c1, c2, c3


def shape_word(n: int, m: int) -> int:
    """A fixed mix of the shape, so that different widths draw independent numbers."""
    h = (n * 0x9E3779B1) & WORD
    h ^= h >> 15
    h = (h + m * 0x85EBCA77) & WORD
    h ^= h >> 16
    h = (h * 0x85EBCA6B) & WORD
    h ^= h >> 13
    h = (h * 0xC2B2AE35) & WORD
    return h ^ (h >> 16)


ENCODER, DECODER, NOISE, BATCH, MAGNITUDE, DROPOUT = range(6)  # streams


class Stream(NamedTuple):
    """The words of one seed, step and purpose: word e is word e % 4 of block e // 4."""

    seed: int
    step: int
    stream: int
    shape: int

    def block(self, index: int) -> tuple[int, int, int, int]:
        return philox((index, self.step, self.stream, self.shape), self.seed)

    def words(self, count: int) -> list[int]:
        return [word for index in range((count + 3) // 4) for word in self.block(index)][:count]


def stream_of(config: Config, seed: int, step: int, stream: int) -> Stream:
    return Stream(seed, step, stream, shape_word(config.n_features, config.n_hidden))


def unit(word: int) -> float:
    """In (0, 1]: draws are made in single precision."""
    return float(np.float32((word + 0.5) / 2**32))


def signed_unit(word: int) -> float:
    """In [-1, 1], from the word read as a signed integer."""
    return float(np.float32(((word - 2**32 if word >= 2**31 else word) + 0.5) / 2**31))


def normals(block: Sequence[int]) -> list[float]:
    """Four standard normals from four words, by Box and Muller."""
    out = []
    for radius_word, angle_word in ((block[0], block[1]), (block[2], block[3])):
        radius = math.sqrt(-2 * math.log(unit(radius_word)))
        angle = 2 * math.pi * angle_word / 2**32
        out += [radius * math.cos(angle), radius * math.sin(angle)]
    return out


def standard_noise(kind: str, shape: float | None, stream: Stream, count: int) -> Array:
    """(count,) draws with mean 0 and standard deviation 1."""
    out: list[float] = []
    index = 0
    while len(out) < count:
        block = stream.block(index)
        index += 1
        if kind == "rademacher":  # a bit each, lowest first
            out += [1.0 if word >> bit & 1 else -1.0 for word in block for bit in range(32)]
        elif kind == "gaussian":
            out += normals(block)
        elif kind == "uniform":
            out += [math.sqrt(3) * signed_unit(word) for word in block]
        elif kind == "laplace":  # the top bit is the sign, the others the magnitude
            for word in block:
                magnitude = -math.log(unit(word << 1 & WORD)) / math.sqrt(2)
                out.append(-magnitude if word >> 31 else magnitude)
        elif kind == "student_t":  # two words each (Bailey 1994)
            assert shape is not None
            for u, v in ((block[0], block[1]), (block[2], block[3])):
                radius = math.sqrt((shape - 2) * (unit(u) ** (-2 / shape) - 1))
                out.append(radius * math.cos(2 * math.pi * v / 2**32))
        elif kind == "three_point":  # the lowest bit is the sign, the others decide about 0
            assert shape is not None
            limit = math.floor(shape * 2**31)
            for word in block:
                size = 1 / math.sqrt(shape) if word >> 1 < limit else 0.0
                out.append(-size if word & 1 else size)
        else:
            raise ValueError(kind)
    return np.array(out[:count])


def orthonormalised(vectors: Array) -> Array:
    """Gram-Schmidt on the rows, in order."""
    out = np.zeros_like(vectors)
    for i, vector in enumerate(vectors):
        rest = vector - out[:i].T @ (out[:i] @ vector)
        out[i] = rest / np.linalg.norm(rest)
    return out


def initial_matrix(config: Config, seed: int, stream: int) -> Array:
    """(n, m), of variance 1/m unless "xavier"; "orthogonal" rows, or columns if n > m."""
    n, m = config.n_features, config.n_hidden
    draws = stream_of(config, seed, 0, stream)
    if config.init == "uniform":
        words = draws.words(n * m)
        w = math.sqrt(3 / m) * np.array([signed_unit(word) for word in words]).reshape(n, m)
    else:
        w = standard_noise("gaussian", None, draws, n * m).reshape(n, m)
        if config.init == "normal":
            w *= math.sqrt(1 / m)
        elif config.init == "xavier":
            w *= math.sqrt(2 / (n + m))
        else:
            w = orthonormalised(w) if m >= n else orthonormalised(w.T).T
    return float(config.init_scale) * w


def initial_weights(config: Config, seed: int) -> Weights:
    """Before the first step."""
    return Weights(
        initial_matrix(config, seed, ENCODER),
        None if config.tied else initial_matrix(config, seed, DECODER),
        np.zeros(config.n_features) if config.bias else None,
    )


def draw_noise(config: Config, seed: int, step: int, rows: int) -> Array:
    """(m,) for all inputs of the step, or (rows, m) where each input has its own."""
    shape = (config.n_hidden,) if config.noise_sharing == "step" else (rows, config.n_hidden)
    stream = stream_of(config, seed, step, NOISE)
    draws = standard_noise(config.noise, config.noise_shape, stream, math.prod(shape))
    return float(config.noise_std) * draws.reshape(shape)


def draw_dropout(config: Config, seed: int, step: int, rows: int) -> Array:
    """(m,) for all inputs of the step, or (rows, m): 0 for a dropped unit, else 1/(1 - dropout)."""
    shape = (config.n_hidden,) if config.dropout_sharing == "step" else (rows, config.n_hidden)
    words = stream_of(config, seed, step, DROPOUT).words(math.prod(shape))
    dropped = np.array(words) < math.floor(config.dropout * 2**32)
    return np.where(dropped, 0.0, 1 / (1 - config.dropout)).reshape(shape)


def magnitude(kind: str, word: int) -> float:
    """Of a feature that is on."""
    size = unit(word) if kind in ("uniform", "signed_uniform") else 1.0
    return -size if kind in ("sign", "signed_uniform") and word & 1 else size


def draw_batch(config: Config, seed: int, step: int) -> Array:
    """(B, n): the inputs of one step."""
    inputs, n = config.inputs, config.n_features
    out = np.zeros((inputs.batch_size, n))
    stream = stream_of(config, seed, step, BATCH)
    if type(inputs).__name__ == "Independent":
        chances, kinds = (np.broadcast_to(x, n) for x in (inputs.probability, inputs.magnitude))
        words = stream.words(out.size)
        magnitudes = stream_of(config, seed, step, MAGNITUDE).words(out.size)
        for e, (b, i) in enumerate(np.ndindex(out.shape)):
            if words[e] < math.floor(chances[i] * 2**32):
                out[b, i] = magnitude(kinds[i], magnitudes[e])
        return out
    size = n // inputs.blocks
    each = inputs.active + 1  # words a row
    words = stream.words(len(out) * each)
    for b, row in enumerate(out):
        below = [lambda k, word=word: word * k >> 32 for word in words[b * each : (b + 1) * each]]
        block = below[0](inputs.blocks)
        features = list(range(block * size, (block + 1) * size))
        for t in range(inputs.active):  # Fisher-Yates, as far as needed
            other = t + below[t + 1](size - t)
            features[t], features[other] = features[other], features[t]
        row[features[: inputs.active]] = 1.0
    return out
