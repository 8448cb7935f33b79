"""Networks trained with what people would otherwise use, each as well as we can.

A peer trains a stack of networks from given parameters with Adam, all at once, for the steps of a
config, and returns the trained parameters in the type of its start. It serves what the benchmarks
use: ReLU hidden layers with biases, squared error or cross-entropy. It draws its own batches, a
different one for each network, as its users do; a check gives it the batches instead.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

import fastpolysem as fp

Array = NDArray[Any]
Layers = list[tuple[Any, Any]]
"""Weights (S, d, e) and biases (S, e) of each layer."""
Batch = tuple[Array, Array]
"""Inputs and targets of one step, each (S, B, ...), or without S where all networks share them."""
Peer = Callable[[Layers, fp.NetworkConfig, "Sequence[Batch] | None"], Layers]


def scale_of(config: fp.NetworkConfig) -> float:
    """Factor of the loss summed over rows: each sampled feature counts once a step."""
    if isinstance(config.inputs, fp.Independent):
        return 1 / (config.inputs.batch_size * config.inputs.probability)  # type: ignore[operator]
    return 1.0 if isinstance(config.inputs, fp.Basis) else 1 / rows_of(config)


def rows_of(config: fp.NetworkConfig) -> int:
    if isinstance(config.inputs, fp.Basis):
        return config.widths[0]
    given = config.inputs.batch_size
    return given or config.inputs.inputs.shape[0]


@cache
def shared_rows(config: fp.NetworkConfig) -> Batch | None:
    """All rows with their targets, or None for inputs that are sampled."""
    if isinstance(config.inputs, fp.Basis):
        identity = np.eye(config.widths[0], dtype=np.float32)
        return identity, identity
    if isinstance(config.inputs, fp.Dataset):
        targets = config.inputs.targets
        dtype = np.int64 if targets.ndim == 1 else np.float32
        return config.inputs.inputs.to_dense().astype(np.float32), targets.astype(dtype)
    return None


def uses_all_rows(config: fp.NetworkConfig) -> bool:
    return not getattr(config.inputs, "batch_size", None)


# PyTorch


def torch_batches(config: fp.NetworkConfig, seeds: int) -> Iterator[tuple[Any, Any]]:
    import torch

    shared = shared_rows(config)
    if shared is None:
        p, shape = config.inputs.probability, (seeds, config.inputs.batch_size, config.widths[0])
        while True:
            u = torch.rand(shape)
            x = torch.where(u < p, u / p, 0.0)  # u / p is uniform where u < p: one draw for both
            yield x, x.abs()
    x, targets = map(torch.tensor, shared)
    if uses_all_rows(config):
        yield from itertools.repeat((x, targets))
    while True:  # an epoch, without repetition
        order = torch.stack([torch.randperm(len(x)) for _ in range(seeds)])
        for rows in order.split(config.inputs.batch_size, 1):
            yield x[rows], targets[rows]


def _torch_steps(
    config: fp.NetworkConfig, seeds: int, given: Sequence[Batch] | None
) -> Iterator[tuple[Any, Any]]:
    import torch

    batches = torch_batches(config, seeds)
    if given is not None:
        batches = ((torch.tensor(x), torch.tensor(t)) for x, t in given)
    return itertools.islice(batches, config.steps)


def _torch_adam(parameters: list[Any], config: fp.NetworkConfig) -> Any:
    import torch

    return torch.optim.Adam(parameters, lr=config.learning_rate, eps=config.epsilon, fused=True)


def _torch_loss(y: Any, targets: Any, config: fp.NetworkConfig) -> Any:
    import torch

    if config.loss.kind == "cross_entropy":
        classes = targets.expand(y.shape[:-1]).flatten()
        total = torch.nn.functional.cross_entropy(y.flatten(0, -2), classes, reduction="sum")
    else:
        total = ((y - targets) ** 2).sum()
    return scale_of(config) * total


def torch_stacked(
    start: Layers, config: fp.NetworkConfig, given: Sequence[Batch] | None = None
) -> Layers:
    """Batched products over the stack, automatic differentiation, the fused Adam."""
    import torch

    layers = [
        (torch.nn.Parameter(torch.tensor(w)), torch.nn.Parameter(torch.tensor(b)[:, None]))
        for w, b in start
    ]
    optimizer = _torch_adam([part for layer in layers for part in layer], config)
    one_hot = isinstance(config.inputs, fp.Basis)
    for x, targets in _torch_steps(config, len(start[0][0]), given):
        h = x
        for number, (w, b) in enumerate(layers):
            if one_hot and number == 0:  # the rows of the product are those of the matrix
                z = w + b
            elif h.ndim == 2:
                z = torch.matmul(h, w) + b
            else:
                z = torch.baddbmm(b, h, w)
            last = number == len(layers) - 1
            h = z if last and config.output == "linear" else torch.relu(z)
        optimizer.zero_grad()
        _torch_loss(h, targets, config).backward()
        optimizer.step()
    return [(w.detach().numpy().copy(), b.detach().numpy()[:, 0].copy()) for w, b in layers]


def torch_func(
    start: Layers, config: fp.NetworkConfig, given: Sequence[Batch] | None = None
) -> Layers:
    """One module, functional_call, and vmap of grad over stacked parameters."""
    import torch
    from torch.func import functional_call, grad, vmap

    modules: list[Any] = []
    for w, _ in start:
        modules += [torch.nn.Linear(w.shape[1], w.shape[2]), torch.nn.ReLU()]
    network = torch.nn.Sequential(*(modules if config.output == "relu" else modules[:-1]))
    stack = {}
    for number, (w, b) in enumerate(start):
        weight = torch.tensor(w).transpose(1, 2).contiguous()
        stack |= {f"{2 * number}.weight": weight, f"{2 * number}.bias": torch.tensor(b)}
    optimizer = _torch_adam(list(stack.values()), config)

    def loss(parameters: Any, x: Any, targets: Any) -> Any:
        return _torch_loss(functional_call(network, parameters, (x,)), targets, config)

    gradients = {
        axis: vmap(grad(loss), in_dims=(0, axis, axis))  # None: the batch is shared
        for axis in (0, None)
    }
    for x, targets in _torch_steps(config, len(start[0][0]), given):
        found = gradients[0 if x.ndim == 3 else None](stack, x, targets)
        for name, part in stack.items():
            part.grad = found[name]
        optimizer.step()
    return [
        (
            stack[f"{2 * number}.weight"].transpose(1, 2).numpy().copy(),
            stack[f"{2 * number}.bias"].numpy().copy(),
        )
        for number in range(len(start))
    ]


# JAX


@cache
def _jax_trainer(config: fp.NetworkConfig, is_given: bool) -> Any:
    import jax
    import jax.numpy as jnp

    lr, (beta1, beta2), epsilon = config.learning_rate, config.betas, config.epsilon
    one_hot, steps = isinstance(config.inputs, fp.Basis), config.steps
    shared = shared_rows(config)

    def objective(layers: Any, x: Any, targets: Any) -> Any:
        h = x
        for number, (w, b) in enumerate(layers):
            z = (w if one_hot and number == 0 else h @ w) + b
            last = number == len(layers) - 1
            h = z if last and config.output == "linear" else jax.nn.relu(z)
        if config.loss.kind == "cross_entropy":
            chosen = jnp.take_along_axis(jax.nn.log_softmax(h), targets[:, None], 1)
            return -scale_of(config) * chosen.sum()
        return scale_of(config) * ((h - targets) ** 2).sum()

    def drawn(key: Any) -> Any:
        """The batch of a step."""
        if shared is None:
            p = config.inputs.probability
            u = jax.random.uniform(key, (config.inputs.batch_size, config.widths[0]))
            x = jnp.where(u < p, u / p, 0.0)
            return x, jnp.abs(x)
        x, targets = map(jnp.asarray, shared)
        if uses_all_rows(config):
            return x, targets
        # With repetition: a permutation takes a tenth of the whole step.
        rows = jax.random.randint(key, (config.inputs.batch_size,), 0, len(x))
        return x[rows], targets[rows]

    def step(state: Any, inputs: Any) -> Any:
        layers, first, second = state
        t, what = inputs
        g = jax.grad(objective)(layers, *(what if is_given else drawn(what)))
        first = jax.tree.map(lambda m, g: beta1 * m + (1 - beta1) * g, first, g)
        second = jax.tree.map(lambda v, g: beta2 * v + (1 - beta2) * g * g, second, g)
        size, correction = lr / (1 - beta1**t), 1 / jnp.sqrt(1 - beta2**t)
        layers = jax.tree.map(
            lambda w, m, v: w - size * m / (jnp.sqrt(v) * correction + epsilon),
            *(layers, first, second),
        )
        return (layers, first, second), None

    def train_one(layers: Any, source: Any) -> Any:
        zeros = jax.tree.map(jnp.zeros_like, layers)
        times = jnp.arange(1, steps + 1, dtype=float)
        inputs = (times, source if is_given else jax.random.split(source, steps))
        (layers, _, _), _ = jax.lax.scan(step, (layers, zeros, zeros), inputs)
        return layers

    return jax.jit(jax.vmap(train_one))


def jax_scan(
    start: Layers, config: fp.NetworkConfig, given: Sequence[Batch] | None = None
) -> Layers:
    """A jitted scan over an autodiff step, vmapped over the networks."""
    import jax

    jax.config.update("jax_enable_x64", start[0][0].dtype == np.float64)
    seeds = len(start[0][0])
    source: Any = jax.random.split(jax.random.key(0), seeds)
    if given is not None:
        source = tuple(np.stack(parts, 1) for parts in zip(*given, strict=True))
    layers = _jax_trainer(config, given is not None)(start, source)
    return [(np.asarray(w), np.asarray(b)) for w, b in layers]


# NumPy


def numpy_batches(config: fp.NetworkConfig, seeds: int) -> Iterator[Batch]:
    generator = np.random.default_rng(0)
    shared = shared_rows(config)
    if shared is None:
        p = np.float32(config.inputs.probability)
        shape = (seeds, config.inputs.batch_size, config.widths[0])
        while True:
            u = generator.random(shape, dtype=np.float32)
            x = np.where(u < p, u / p, np.float32(0))
            yield x, np.abs(x)
    if uses_all_rows(config):
        yield from itertools.repeat(shared)
    x, targets = shared
    while True:
        order = generator.permuted(np.tile(np.arange(len(x)), (seeds, 1)), axis=1)
        for rows in np.split(order, len(x) // config.inputs.batch_size, 1):
            yield x[rows], targets[rows]


def _error(y: Array, targets: Array, config: fp.NetworkConfig) -> Array:
    """Gradient of the loss by the outputs."""
    scale = y.dtype.type(scale_of(config))
    if config.loss.kind == "power":
        return 2 * scale * (y - targets)
    share = np.exp(y - y.max(-1, keepdims=True))
    share /= share.sum(-1, keepdims=True)
    chosen = targets[..., None]
    np.put_along_axis(share, chosen, np.take_along_axis(share, chosen, -1) - 1, -1)
    return scale * share


def numpy_stacked(
    start: Layers, config: fp.NetworkConfig, given: Sequence[Batch] | None = None
) -> Layers:
    """Both passes by hand, with batched products."""
    f = start[0][0].dtype.type  # constants must not widen arrays
    layers = [(w.copy(), b[:, None].copy()) for w, b in start]
    moments = [tuple((np.zeros_like(p), np.zeros_like(p)) for p in layer) for layer in layers]
    batches = numpy_batches(config, len(start[0][0])) if given is None else iter(given)
    one_hot, (beta1, beta2) = isinstance(config.inputs, fp.Basis), config.betas
    for t, (x, targets) in enumerate(itertools.islice(batches, config.steps), 1):
        shown = [x]
        for number, (w, b) in enumerate(layers):
            z = (w if one_hot and number == 0 else shown[-1] @ w) + b
            if number < len(layers) - 1 or config.output == "relu":
                np.maximum(z, 0, out=z)
            shown.append(z)
        delta = _error(shown[-1], targets, config)
        for number in reversed(range(len(layers))):
            if number < len(layers) - 1 or config.output == "relu":
                delta *= shown[number + 1] > 0
            w = layers[number][0]
            below = shown[number]
            by_weights = delta
            if not (one_hot and number == 0):
                by_weights = np.swapaxes(below, -1, -2) @ delta
            gradients = by_weights, delta.sum(1, keepdims=True)
            if number:
                delta = delta @ w.transpose(0, 2, 1)
            for part, (m, v), g in zip(layers[number], moments[number], gradients, strict=True):
                m += f(1 - beta1) * (g - m)
                v += f(1 - beta2) * (g * g - v)
                denominator = np.sqrt(v) * f(1 / np.sqrt(1 - beta2**t)) + f(config.epsilon)
                part -= f(config.learning_rate / (1 - beta1**t)) * m / denominator
    return [(w, b[:, 0]) for w, b in layers]


PEERS: dict[str, Peer] = {
    "torch": torch_stacked,
    "torch.func": torch_func,
    "jax": jax_scan,
    "numpy": numpy_stacked,
}


def in_stacks(peer: Peer, start: Layers, config: fp.NetworkConfig, size: int) -> Layers:
    """The same, `size` networks at a time."""
    count = len(start[0][0])
    parts = [
        peer([(w[i : i + size], b[i : i + size]) for w, b in start], config, None)
        for i in range(0, count, size)
    ]
    return [
        (np.concatenate([w for w, _ in layer]), np.concatenate([b for _, b in layer]))
        for layer in zip(*parts, strict=True)
    ]
