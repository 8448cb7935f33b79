"""Numbers of three pages of findings about networks from PyTorch, without the package.

python benchmarks/independent_networks.py [absolute modular contexts]   minutes

Data, initial weights, training and measures are implemented from the descriptions on the pages.
Each line shows one network: means and standard errors over seeds, each of which has its own initial
weights. `independent_classifiers.py` does the same for the pages on classifiers.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

Step = Callable[[], Tensor]


def shared_use(rises: np.ndarray, share: float = 0.25) -> np.ndarray:
    """Share of use on neurons whose second largest use is this share of the largest; (S, K, C).

    0 for layers of which no neuron is used.
    """
    use = np.maximum(rises, 0)
    ordered = np.sort(use, axis=2)
    shared = (ordered[..., -2] >= share * ordered[..., -1]) & (ordered[..., -1] > 0)
    return (use.sum(2) * shared).sum(1) / np.maximum(use.sum((1, 2)), 1e-30)


def shown(**values: np.ndarray) -> str:
    return ", ".join(
        f"{name} {np.mean(x):.3g} ± {np.std(x, ddof=1) / len(x) ** 0.5:.2g}"
        for name, x in values.items()
    )


def train(parameters: list[Tensor], loss: Step, optimizer: str, rate: float, steps: int) -> None:
    """Minimise; a cosine schedule for names that end with it, ten steps of warm-up for AdamW 98."""
    for one in parameters:
        one.requires_grad_()
    kind = optimizer.split()[0]
    if kind == "adam":
        method: torch.optim.Optimizer = torch.optim.Adam(parameters, rate)
    elif kind == "adamw":
        warm = "98" in optimizer
        more = {"betas": (0.9, 0.98), "weight_decay": 0.0} if warm else {}
        method = torch.optim.AdamW(parameters, rate, **more)
    else:
        momentum = 0.9 if kind == "momentum" else 0.0
        method = torch.optim.SGD(parameters, rate, momentum=momentum)
    schedule = None
    if optimizer.endswith("cosine"):
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(method, steps)
    elif "98" in optimizer:
        schedule = torch.optim.lr_scheduler.LambdaLR(method, lambda t: min(1, t / 10))
    for _ in range(steps):
        method.zero_grad()
        loss().backward()
        method.step()
        if schedule:
            schedule.step()
    for one in parameters:
        one.requires_grad_(False)


def absolute(n: int, m: int, density: float, optimizer: str, rate: float, steps: int) -> None:
    """|x|: shared use by features, whatever their sign."""
    g = torch.Generator().manual_seed(int(1e6 * density) + n)
    seeds, std = 24, (2 / (n + m)) ** 0.5
    first = torch.randn(seeds, n, m, generator=g) * std
    last = torch.randn(seeds, m, n, generator=g) * std
    bias = torch.zeros(seeds, 1, n)
    importance = 0.8 ** torch.arange(n)

    def rows(count: int, seeds: int = seeds) -> Tensor:
        x = torch.rand(seeds, count, n, generator=g) * 2 - 1
        return x * (torch.rand(seeds, count, n, generator=g) < density)

    def loss() -> Tensor:
        x = rows(256)
        errors = torch.relu(torch.relu(x @ first) @ last + bias) - x.abs()
        return (errors**2 * importance).sum(2).mean(1).sum() / density

    train([first, last, bias], loss, optimizer, rate, steps)
    x = rows(max(4096, round(128 / density)), 1).double()
    on, y = (x != 0).double(), x.abs()
    h = torch.relu(x @ first.double())
    z = h @ last.double() + bias

    def of_features(z: Tensor) -> Tensor:
        return ((torch.relu(z) - y) ** 2 * on).sum(1) / on.sum(1)

    kept, rises = of_features(z), []
    for k in range(m):
        change = h[:, :, k].mean(1, keepdim=True) - h[:, :, k]
        without = z + change[:, :, None] * last[:, k].double()[:, None]
        rises.append(of_features(without) - kept)
    constant = ((y.mean(1, keepdim=True) - y) ** 2 * on).sum(1) / on.sum(1)
    learned = (kept <= constant / 2).sum(1).double()
    found = shown(shared=shared_use(torch.stack(rises, 1).numpy()), learned=learned.numpy())
    print(f"absolute, n = {n}, m = {m}, density {density}, {optimizer}: {found}", flush=True)


def modular(p: int, m: int, optimizer: str, rate: float) -> None:
    """Shares of neurons whose frequency predictors name from the start."""
    g = torch.Generator().manual_seed(1000 * p + m)
    seeds, std = 16, 0.1 / p**0.5
    first = torch.randn(seeds, p, m, generator=g) * std
    last = torch.randn(seeds, m, p, generator=g) * std
    w, out = (one.double().numpy() for one in (first, last))
    a, b = np.divmod(np.arange(p * p), p)
    x = np.eye(p)[a] + np.eye(p)[b]
    inputs, target = torch.tensor(x, dtype=torch.float32), torch.tensor((a + b) % p)

    def loss() -> Tensor:
        z = (torch.relu(inputs @ first) @ last).reshape(-1, p)
        return functional.cross_entropy(z, target.repeat(seeds), reduction="sum") / p**2

    train([first, last], loss, optimizer, rate, 5000)
    waves = np.exp(-2j * np.pi * np.outer(np.arange(p), np.arange(1, (p + 1) // 2)) / p)
    ours, read = w.swapaxes(1, 2) @ waves, out @ waves
    winner = np.abs(first.double().numpy().swapaxes(1, 2) @ waves).argmax(2)
    found = {"magnitude": np.abs(ours).argmax(2)}
    found["phase"] = np.abs(np.angle(ours**2 * read.conj())).argmin(2)
    for _ in range(3000):  # frequencies on their own
        step = 0.005 / np.maximum(np.abs(ours), np.abs(read)).max(2, keepdims=True)
        ours, read = ours + step * 2 * ours.conj() * read, read + step * ours**2
    found["both"] = np.abs(ours).argmax(2)
    found["other"] = np.roll(found["both"], 1, 1)
    w, out = w.swapaxes(1, 2).reshape(-1, p), out.reshape(-1, p)
    right = np.eye(p)[(a + b) % p] - 1 / p
    for _ in range(150):  # the neuron on its own
        z = w @ x.T
        to_out, to_w = np.maximum(z, 0) @ right, ((z > 0) * (out @ right.T)) @ x
        slope = np.maximum((to_w**2 + to_out**2).sum(1), 1e-60)  # 0 for neurons that are off
        size = np.sqrt((w**2 + out**2).sum(1) / slope)[:, None]
        w, out = w + 0.02 * size * to_w, out + 0.02 * size * to_out
    found["alone"] = np.abs(w @ waves).argmax(1).reshape(winner.shape)
    named = shown(**{name: (one == winner).mean(1) for name, one in found.items()})
    print(f"modular, p = {p}, m = {m}, {optimizer}: {named}", flush=True)


def _tables(contexts: int, tables: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Inputs (R, 8 + C) and properties (S, R, 15 (1 + C)) of eight objects in contexts."""
    sizes = (8, 4, 2, 1)
    tree = np.hstack([np.repeat(np.eye(8 // size), size, axis=0) for size in sizes])
    rng = np.random.default_rng(seed)
    x = np.hstack([np.tile(np.eye(8), (contexts, 1)), np.repeat(np.eye(contexts), 8, axis=0)])
    y = np.zeros((tables, contexts, 8, 1 + contexts, 15))
    for table in y:
        for context, rows in enumerate(table):
            rows[:, 0], rows[:, 1 + context] = tree, tree[rng.permutation(8)]
    return x, y.reshape(tables, len(x), -1)


def contexts(count: int, m: int, optimizer: str, rate: float, layers: int, scale: float) -> None:
    """Weight on neurons by the contexts that they are active in, and their interaction."""
    g, tables = torch.Generator().manual_seed(count + m), 16
    x, y = _tables(count, tables, count)
    widths = [x.shape[1], *[m] * layers, y.shape[2]]
    weights = [
        torch.randn(tables, a, b, generator=g) * scale / a**0.5
        for a, b in itertools.pairwise(widths)
    ]
    inputs, target = (torch.tensor(one, dtype=torch.float32) for one in (x, y))

    def loss() -> Tensor:
        h = inputs.expand(tables, *x.shape)
        for one in weights[:-1]:
            h = torch.relu(h @ one)
        return ((h @ weights[-1] - target) ** 2).sum(2).mean(1).sum()

    train(weights, loss, optimizer, rate, 5000)
    h = np.broadcast_to(x, (tables, *x.shape))
    rng = np.random.default_rng(0)
    for layer in range(layers):
        here, after = (one.double().numpy() for one in weights[layer : layer + 2])
        h = np.maximum(h @ here, 0)
        weight = (h**2).mean(1) * (after**2).sum(2)
        weight /= weight.sum(1, keepdims=True)
        by = h.reshape(tables, count, 8, m)
        most = by.max(2)
        on = (most >= 0.1 * most.max(1, keepdims=True)) & (most > 0)
        alone = by.mean(2).var(1) + by.mean(1).var(1)
        total = np.maximum(by.var((1, 2)), 1e-30)
        values = {
            "all but one": on.sum(1) == count - 1,
            "all": on.sum(1) == count,
            "by chance": rng.permuted(on, axis=2).sum(1) == count - 1,
            "interaction": np.maximum(total - alone, 0) / total,
        }
        found = shown(**{name: (weight * one).sum(1) for name, one in values.items()})
        print(f"contexts, C = {count}, m = {m}, {optimizer}, {layers} layers, start {scale}, "
              f"layer {layer + 1}: {found}", flush=True)  # fmt: skip


def main() -> None:
    """Print the numbers of these pages, or of all."""
    torch.set_num_threads(1)
    pages = sys.argv[1:] or ["absolute", "modular", "contexts"]
    if "absolute" in pages:
        for density in (1.0, 0.03):
            absolute(20, 8, density, "adamw cosine", 3e-3, 10_000)
            absolute(12, 5, density, "adamw cosine", 3e-3, 10_000)
            absolute(20, 8, density, "sgd cosine", 0.05, 8000)
    if "modular" in pages:
        for p, m in ((11, 64), (17, 48)):
            modular(p, m, "adamw 98", 5e-5 * (512 / m) ** 0.5)
            modular(p, m, "sgd", 5.0)
    if "contexts" in pages:
        rates = {"sgd": 0.05, "adam": 0.001, "momentum": 0.005}
        for optimizer, rate in rates.items():
            contexts(3, 64, optimizer, rate, 1, 0.01)
        for optimizer in ("sgd", "adam"):
            contexts(3, 64, optimizer, rates[optimizer], 2, 0.1)
            contexts(3, 64, optimizer, rates[optimizer], 1, 0.1)
            contexts(4, 32, optimizer, rates[optimizer], 1, 0.01)


if __name__ == "__main__":
    main()
