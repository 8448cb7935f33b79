"""Numbers of two pages of findings from plain NumPy, which shares no code with the package.

python benchmarks/independent_remedies.py   prints one line per number; minutes

Gradient descent with orthant-wise l1 on W (S, n, m) from starts of its own. A row of the batch is
a basis vector of weight 1 - (n - 1) q or the sum of two with weight q. The Gram matrix G gives the
outputs of all rows, and the loss depends on W through G only: dL/dW = (D + Dᵀ) W with D = dL/dG.
"""

from __future__ import annotations

import numpy as np


def trained(
    n: int, m: int, l1: float, q: float, seeds: int, repulsion: float = 0.0, rate: float = 0.04
) -> np.ndarray:
    """Weights (S, n, m) after 120 / l1 steps."""
    w = np.random.default_rng([n, m, 12345]).normal(0, m**-0.5, (seeds, n, m)).astype(np.float32)
    first, second = np.triu_indices(n, 1)
    alone = np.float32(1 - (n - 1) * q)
    for _ in range(round(120 / l1)):
        gram = w @ w.transpose(0, 2, 1)
        # Row i of the basis has the outputs ReLU(G[i]); twice its error is dL/d(output).
        d = 2 * alone * (np.maximum(gram, 0) - np.eye(n, dtype=np.float32)) * (gram > 0)
        if q:
            pairs = gram[:, first] + gram[:, second]
            target = np.zeros((len(first), n), np.float32)
            target[np.arange(len(first)), first] = target[np.arange(len(first)), second] = 1
            errors = 2 * np.float32(q) * (np.maximum(pairs, 0) - target) * (pairs > 0)
            for i in range(n):
                d[:, i] += errors[:, (first == i) | (second == i)].sum(axis=1)
        step = (d + d.transpose(0, 2, 1)) @ w
        if repulsion:
            square = w * w
            step += 2 * repulsion * w * (square.sum(axis=1, keepdims=True) - square)
        side = np.where(w != 0, np.sign(w), -np.sign(step) * (np.abs(step) > l1))
        moved = w - np.float32(rate) * (step + np.float32(l1) * side)
        w = np.where(moved * side > 0, moved, 0).astype(np.float32)
    return w


def sharing(w: np.ndarray) -> np.ndarray:
    """Pairs of features with the largest |weight| on the same neuron, (S,)."""
    favourite = np.abs(w).argmax(axis=2)
    return ((favourite[:, :, None] == favourite[:, None]).sum(axis=(1, 2)) - w.shape[1]) / 2


def alone(w: np.ndarray) -> np.ndarray:
    """Share of features with a neuron of their own, (S,)."""
    on = np.abs(w) >= 0.8 * np.linalg.norm(w, axis=2, keepdims=True)
    return (on & (on.sum(axis=1, keepdims=True) == 1)).any(axis=2).mean(axis=1)


def loss(w: np.ndarray) -> np.ndarray:
    """On the basis, without l1, (S,)."""
    gram = np.maximum(w @ w.transpose(0, 2, 1), 0)
    return np.square(gram - np.eye(w.shape[1])).sum(axis=(1, 2))


def main() -> None:
    """Print the numbers."""

    def say(what: str, values: np.ndarray) -> None:
        error = values.std(ddof=1) / len(values) ** 0.5
        print(f"{what}: {values.mean():.5g} ± {error:.2g} ({len(values)} seeds)", flush=True)

    for n, x, seeds in ((16, 0.0, 60), (16, 0.1, 60), (64, 0.0, 16), (64, 0.1, 10)):
        w = trained(n, 2 * n, 0.03, 0.03 * x, seeds)
        say(f"n = {n}, m = {2 * n}, q/λ = {x:g}: pairs on one neuron", sharing(w))
    w = trained(16, 16, 0.03, 0, 60, repulsion=0.3)
    say("n = 16, m = 16, repulsion 0.3: share alone", alone(w))
    say("n = 16, m = 16, repulsion 0.3: loss", loss(w))


if __name__ == "__main__":
    main()
