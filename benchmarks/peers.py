"""The same training written with what people would otherwise use, each as well as we can.

Every function trains `weights` (seeds, n, m) for `steps` steps of AdamW with an l1 subgradient on
the basis batch and returns the trained weights in float32; `batch` models are trained at a time.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
LEARNING_RATE, WEIGHT_DECAY, BETA1, BETA2, EPSILON = 1e-3, 0.01, 0.9, 0.999, 1e-8


def _in_batches(train: Any, weights: Array, batch: int) -> Array:
    return np.concatenate([train(weights[i : i + batch]) for i in range(0, len(weights), batch)])


def torch_autograd(weights: Array, l1: float, steps: int, batch: int) -> Array:
    """The formulation of the paper's authors: identity inputs, autograd, instances batched."""
    import torch

    def train(start: Array) -> Array:
        w = torch.nn.Parameter(torch.tensor(start))
        optimizer = torch.optim.AdamW([w], lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
        x = torch.eye(w.shape[1]).expand(len(w), -1, -1)
        for _ in range(steps):
            optimizer.zero_grad()
            y = torch.relu((x @ w) @ w.transpose(1, 2))
            loss = ((y - x) ** 2).sum() + l1 * w.abs().sum()
            loss.backward()
            optimizer.step()
        return w.detach().numpy().copy()

    return _in_batches(train, weights, batch)


def torch_gram(weights: Array, l1: float, steps: int, batch: int) -> Array:
    """Our own gradient, 2 A W with A from the Gram matrix, written in PyTorch without autograd."""
    import torch

    @torch.no_grad()
    def train(start: Array) -> Array:
        w = torch.nn.Parameter(torch.tensor(start))
        optimizer = torch.optim.AdamW([w], lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY, fused=True)
        identity = torch.eye(w.shape[1])
        w.grad = torch.empty_like(w)
        for _ in range(steps):
            g = torch.bmm(w, w.transpose(1, 2))
            a = 4 * (torch.relu(g) - identity) * (g > 0)
            torch.bmm(a, w, out=w.grad)
            w.grad.add_(torch.sign(w), alpha=l1)
            optimizer.step()
        return w.detach().numpy().copy()

    return _in_batches(train, weights, batch)


@cache
def _jax_trainer(l1: float, steps: int) -> Any:
    import jax
    import jax.numpy as jnp

    def loss(w: Any) -> Any:
        identity = jnp.eye(w.shape[0], dtype=w.dtype)
        return ((jax.nn.relu(w @ w.T) - identity) ** 2).sum() + l1 * jnp.abs(w).sum()

    def train_one(w: Any) -> Any:
        def step(state: Any, t: Any) -> Any:
            w, m, v = state
            g = jax.grad(loss)(w)
            m = BETA1 * m + (1 - BETA1) * g
            v = BETA2 * v + (1 - BETA2) * g * g
            update = (m / (1 - BETA1**t)) / (jnp.sqrt(v / (1 - BETA2**t)) + EPSILON)
            return (w * (1 - LEARNING_RATE * WEIGHT_DECAY) - LEARNING_RATE * update, m, v), None

        start = (w, jnp.zeros_like(w), jnp.zeros_like(w))
        (w, _, _), _ = jax.lax.scan(step, start, jnp.arange(1, steps + 1, dtype=w.dtype))
        return w

    return jax.jit(jax.vmap(train_one))


def jax_scan(weights: Array, l1: float, steps: int, batch: int) -> Array:
    """A jitted scan over an autodiff step on the Gram form, vmapped over the models."""
    train = _jax_trainer(l1, steps)
    return _in_batches(lambda start: np.asarray(train(start)), weights, batch)


def numpy_gram(weights: Array, l1: float, steps: int, batch: int) -> Array:
    """The Gram form in NumPy."""

    def train(start: Array) -> Array:
        w = start.copy()
        m, v = np.zeros_like(w), np.zeros_like(w)
        identity = np.eye(w.shape[1], dtype=np.float32)
        for t in range(1, steps + 1):
            g = w @ w.transpose(0, 2, 1)
            grad = (4 * (np.maximum(g, 0) - identity) * (g > 0)) @ w + np.float32(l1) * np.sign(w)
            m += np.float32(1 - BETA1) * (grad - m)
            v += np.float32(1 - BETA2) * (grad * grad - v)
            w *= np.float32(1 - LEARNING_RATE * WEIGHT_DECAY)
            scale = np.float32(1 / np.sqrt(1 - BETA2**t))
            w -= (
                np.float32(LEARNING_RATE / (1 - BETA1**t))
                * m
                / (np.sqrt(v) * scale + np.float32(EPSILON))
            )
        return w

    return _in_batches(train, weights, batch)


PEERS = {
    "torch": torch_autograd,
    "torch-gram": torch_gram,
    "jax": jax_scan,
    "numpy": numpy_gram,
}
