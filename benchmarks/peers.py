"""The same training written with what people would otherwise use, each as well as we can.

A peer trains `weights` (seeds, n, m), all at once, for `steps` steps under a `Task` and returns the
trained weights in float32. `torch` is the formulation of the paper's authors: a batch of inputs,
automatic differentiation, instances batched. The others use the Gram form, which is faster.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
WEIGHT_DECAY, BETA1, BETA2, EPSILON = 0.01, 0.9, 0.999, 1e-8


@dataclass(frozen=True)
class Task:
    """What is trained: the basis batch, or a fresh batch of sparse inputs at each step."""

    optimizer: str = "adamw"  # or "sgd"
    learning_rate: float = 1e-3
    l1: float = 0.0
    orthant: bool = False  # l1 by orthant-wise steps (adamw only), else by subgradient
    noise_std: float = 0.0  # random signs, one vector a step and seed
    batch_size: int = 0  # 0: the basis batch
    probability: float = 0.0


Peer = Callable[[Array, Task, int], Array]


def torch_autograd(weights: Array, task: Task, steps: int) -> Array:
    import torch

    w = torch.nn.Parameter(torch.tensor(weights))
    seeds, n, m = w.shape
    scale = 1 / (task.batch_size * task.probability) if task.batch_size else 1.0
    basis = torch.eye(n).expand(seeds, -1, -1)

    def backward() -> None:
        x = basis
        if task.batch_size:
            x = (torch.rand(seeds, task.batch_size, n) < task.probability).float()
        hidden = x @ w
        if task.noise_std:
            hidden = hidden + task.noise_std * (torch.randint(0, 2, (seeds, 1, m)) * 2.0 - 1.0)
        loss = scale * ((torch.relu(hidden @ w.transpose(1, 2)) - x) ** 2).sum()
        if task.l1 and not task.orthant:
            loss = loss + task.l1 * w.abs().sum()
        loss.backward()  # type: ignore[no-untyped-call]

    if task.orthant:
        return _torch_orthant(w, task, steps, backward)
    optimizer: Any = (
        torch.optim.SGD([w], lr=task.learning_rate)
        if task.optimizer == "sgd"
        else torch.optim.AdamW([w], lr=task.learning_rate, weight_decay=WEIGHT_DECAY)
    )
    for _ in range(steps):
        optimizer.zero_grad()
        backward()
        optimizer.step()
    return w.detach().numpy().copy()


def _torch_orthant(w: Any, task: Task, steps: int, backward: Callable[[], None]) -> Array:
    import torch

    first, second = torch.zeros_like(w), torch.zeros_like(w)
    for t in range(1, steps + 1):
        w.grad = None
        backward()
        with torch.no_grad():
            g, nonzero = w.grad, w != 0
            free = nonzero | (g.abs() > task.l1)
            p = torch.where(nonzero, g + task.l1 * w.sign(), g.sign() * (g.abs() - task.l1))
            m = first.lerp(p, 1 - BETA1)
            v = (second * BETA2).addcmul_(p, p, value=1 - BETA2)
            denominator = v.sqrt().div_((1 - BETA2**t) ** 0.5).add_(EPSILON)
            moved = (w * (1 - task.learning_rate * WEIGHT_DECAY)).addcdiv_(
                m, denominator, value=-task.learning_rate / (1 - BETA1**t)
            )
            clamp = nonzero & (moved * w.sign() <= 0)
            first = torch.where(free & ~clamp, m, torch.where(clamp, 0.0, first))
            second = torch.where(free, v, second)
            w.copy_(torch.where(free & ~clamp, moved, 0.0))
    return w.detach().numpy().copy()


def torch_gram(weights: Array, task: Task, steps: int) -> Array:
    """Our own gradient, 2 A W with A from the Gram matrix, by hand (AdamW with a subgradient)."""
    import torch

    with torch.no_grad():
        w = torch.nn.Parameter(torch.tensor(weights))
        optimizer = torch.optim.AdamW(
            [w], lr=task.learning_rate, weight_decay=WEIGHT_DECAY, fused=True
        )
        identity = torch.eye(w.shape[1])
        w.grad = torch.empty_like(w)
        for _ in range(steps):
            g = torch.bmm(w, w.transpose(1, 2))
            torch.bmm(4 * (torch.relu(g) - identity) * (g > 0), w, out=w.grad)
            w.grad.add_(torch.sign(w), alpha=task.l1)
            optimizer.step()
        return w.detach().numpy().copy()


@cache
def _jax_trainer(task: Task, steps: int) -> Any:
    import jax
    import jax.numpy as jnp

    lr = task.learning_rate

    def loss(w: Any, xi: Any) -> Any:
        pre = w @ w.T
        if task.noise_std:
            pre = pre + (w @ xi)[None, :]
        identity = jnp.eye(w.shape[0], dtype=w.dtype)
        error = ((jax.nn.relu(pre) - identity) ** 2).sum()
        return error if task.orthant else error + task.l1 * jnp.abs(w).sum()

    def adamw(w: Any, m: Any, v: Any, g: Any, t: Any) -> Any:
        m = BETA1 * m + (1 - BETA1) * g
        v = BETA2 * v + (1 - BETA2) * g * g
        update = (m / (1 - BETA1**t)) / (jnp.sqrt(v / (1 - BETA2**t)) + EPSILON)
        return w * (1 - lr * WEIGHT_DECAY) - lr * update, m, v

    def train_one(w: Any, key: Any) -> Any:
        def step(state: Any, inputs: Any) -> Any:
            t, key = inputs
            w, m, v = state
            xi = None
            if task.noise_std:
                xi = task.noise_std * (2.0 * jax.random.bernoulli(key, 0.5, (w.shape[1],)) - 1.0)
            g = jax.grad(loss)(w, xi)
            if task.optimizer == "sgd":
                return (w - lr * g, m, v), None
            if not task.orthant:
                return adamw(w, m, v, g, t), None
            nonzero = w != 0
            free = nonzero | (jnp.abs(g) > task.l1)
            pull = jnp.sign(g) * (jnp.abs(g) - task.l1)
            p = jnp.where(nonzero, g + task.l1 * jnp.sign(w), pull)
            moved, m2, v2 = adamw(w, m, v, p, t)
            clamp = nonzero & (moved * jnp.sign(w) <= 0)
            m = jnp.where(clamp, 0.0, jnp.where(free, m2, m))
            return (jnp.where(free & ~clamp, moved, 0.0), m, jnp.where(free, v2, v)), None

        start = (w, jnp.zeros_like(w), jnp.zeros_like(w))
        keys = jax.random.split(key, steps) if task.noise_std else None
        times = jnp.arange(1, steps + 1, dtype=w.dtype)
        (w, _, _), _ = jax.lax.scan(step, start, (times, keys))
        return w

    return jax.jit(jax.vmap(train_one))


def jax_scan(weights: Array, task: Task, steps: int) -> Array:
    """A jitted scan over an autodiff step on the Gram form, vmapped over the models."""
    import jax

    keys = jax.random.split(jax.random.key(0), len(weights))
    return np.asarray(_jax_trainer(task, steps)(weights, keys))


def numpy_gram(weights: Array, task: Task, steps: int) -> Array:
    """The Gram form in NumPy (AdamW with a subgradient)."""
    w = weights.copy()
    m, v = np.zeros_like(w), np.zeros_like(w)
    identity = np.eye(w.shape[1], dtype=np.float32)
    lr, f = task.learning_rate, np.float32
    for t in range(1, steps + 1):
        g = w @ w.transpose(0, 2, 1)
        grad = (4 * (np.maximum(g, 0) - identity) * (g > 0)) @ w + f(task.l1) * np.sign(w)
        m += f(1 - BETA1) * (grad - m)
        v += f(1 - BETA2) * (grad * grad - v)
        w *= f(1 - lr * WEIGHT_DECAY)
        denominator = np.sqrt(v) * f(1 / np.sqrt(1 - BETA2**t)) + f(EPSILON)
        w -= f(lr / (1 - BETA1**t)) * m / denominator
    return w


def in_batches(peer: Peer, weights: Array, task: Task, steps: int, batch: int) -> Array:
    parts = [peer(weights[i : i + batch], task, steps) for i in range(0, len(weights), batch)]
    return np.concatenate(parts)
