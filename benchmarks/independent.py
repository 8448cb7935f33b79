"""The autoencoder's training in plain NumPy, without the package: a check on its numbers.

The gradient over all weights, gradient descent and AdamW, and orthant-wise l1 (Andrew & Gao 2007)
are implemented from the equations in the papers. Parts of the pushes that features exert on each
other can be switched off, which the package cannot do;
`docs/findings/constant.md` uses this. `python -m benchmarks.independent` writes
`results/independent.csv` and `results/ablations.csv`, in some minutes on one core.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

ALL = ("by the first", "on the first", "among others")
"""On each neuron the *first* feature is the one with the largest absolute weight. The interference
on a neuron consists of pushes by the first on all others, pushes by others on the first, and pushes
among the others."""


def initial(n: int, m: int, seeds: int, rng: np.random.Generator) -> Array:
    """Independent normal weights of variance 1/m, (S, n, m)."""
    return np.asarray(rng.standard_normal((seeds, n, m)) / np.sqrt(m), dtype=np.float32)


def gradient(w: Array, pushes: tuple[str, ...] = ALL) -> Array:
    """Gradient of ``Σ_i ‖ReLU(W W_i) - e_i‖²``, (S, n, m), with the given parts of interference."""
    n = w.shape[1]
    gram = np.maximum(w @ w.transpose(0, 2, 1), 0)
    diagonal = np.arange(n)
    own = gram[:, diagonal, diagonal] - 1
    gram[:, diagonal, diagonal] = 0
    total = own[:, :, np.newaxis] * w
    if pushes:
        total += interference(gram, w, pushes)
    return np.asarray(4 * total, dtype=np.float32)


def interference(overlaps: Array, w: Array, pushes: tuple[str, ...]) -> Array:
    """``Σ_j ReLU(W_i·W_j) W_jk``, (S, n, m), limited to some of the parts named in `ALL`."""
    everything = overlaps @ w
    if set(pushes) == set(ALL):
        return everything
    first = np.abs(w).argmax(axis=1)[:, np.newaxis]  # (S, 1, m)
    is_first = np.arange(w.shape[1])[:, np.newaxis] == first
    # The overlap of i with the first of k is at (i, k), and 0 where i is the first itself.
    by_first = np.take_along_axis(overlaps, first, axis=2) * np.take_along_axis(w, first, axis=1)
    on_first = np.where(is_first, everything, 0)
    result = np.zeros_like(w)
    if "by the first" in pushes:
        result += by_first
    if "on the first" in pushes:
        result += on_first
    if "among others" in pushes:
        result += everything - by_first - on_first
    return result


def descend(
    w: Array,
    l1: float,
    rate: float,
    steps: int,
    pushes: tuple[str, ...] = ALL,
    adamw: bool = False,
) -> tuple[Array, NDArray[np.bool_]]:
    """Train a stack of models; returns the weights and which ended before the last step.

    A model ends once every feature has one non-zero weight or none, and no two features have a
    positive overlap.
    """
    final = w.copy()
    ended = np.zeros(len(w), dtype=bool)
    left = np.arange(len(w))
    w = w.copy()
    state = [np.zeros_like(w), np.zeros_like(w)] if adamw else []
    for step in range(1, steps + 1):
        w = _step(w, gradient(w, pushes), l1, rate, state, step)
        if step % 50 == 0 or step == steps:
            final[left] = w
            done = _finished(w)
            ended[left[done]] = True
            left, w = left[~done], w[~done]
            state = [moment[~done] for moment in state]
            if not len(left):
                break
    return final, ended


def _step(w: Array, g: Array, l1: float, rate: float, state: list[Array], step: int) -> Array:
    sign = np.sign(w)
    active = sign != 0
    push = np.where(active, g + l1 * sign, np.sign(g) * np.maximum(np.abs(g) - l1, 0))
    free = active | (push != 0)
    if state:
        first, second = state
        first += np.where(free, 0.1 * (push - first), 0)
        second += np.where(free, 0.001 * (push**2 - second), 0)
        size = np.sqrt(second / (1 - 0.999**step)) + 1e-8
        change = first / (1 - 0.9**step) / size
        new = np.where(free, w * (1 - 0.01 * rate) - rate * change, w)
    else:
        new = w - rate * push
    crossed = active & (np.sign(new) != sign)
    new[crossed] = 0
    if state:
        state[0][crossed] = 0
    return np.asarray(new, dtype=np.float32)


def _finished(w: Array) -> NDArray[np.bool_]:
    single = (np.count_nonzero(w, axis=2) <= 1).all(axis=1)
    settled = (np.abs(w).max(axis=2) >= 0.8) | (np.abs(w).max(axis=2) == 0)
    result = single & settled.all(axis=1)
    for s in np.flatnonzero(result):
        gram = w[s] @ w[s].T
        np.fill_diagonal(gram, 0)
        result[s] = gram.max() <= 0
    return np.asarray(result)


def measured(start: Array, w: Array) -> dict[str, NDArray[Any]]:
    """Per model: ``polysemantic`` neurons by the paper's rule, ``shared`` by features of opposite
    sign, ``malign`` with two features of one sign, ``unrepresented`` features, and ``favourites``,
    the share of represented features that end on the neuron of their largest initial weight."""
    size = np.abs(w)
    represented = size.max(axis=2) >= 0.8
    winner = size.argmax(axis=2)
    sign = np.take_along_axis(w, winner[..., np.newaxis], axis=2)[..., 0]
    owners = np.zeros((2, len(w), w.shape[2]), dtype=int)
    s, i = np.nonzero(represented)
    np.add.at(owners, ((sign[s, i] > 0).astype(int), s, winner[s, i]), 1)
    right = (np.abs(start).argmax(axis=2) == winner) & represented
    return {
        "polysemantic": (((size >= 0.8) & (size <= 1.2)).sum(axis=1) >= 2).sum(axis=1),
        "shared": (owners > 0).all(axis=0).sum(axis=1),
        "malign": (owners > 1).any(axis=0).sum(axis=1),
        "unrepresented": (~represented).sum(axis=1),
        "favourites": right.sum(axis=1) / np.maximum(represented.sum(axis=1), 1),
    }


RESULTS = Path(__file__).parent / "results"
RUNS = [
    # n, m, l1, AdamW, learning rate, seeds
    (16, 64, 0.04, False, 0.06, 120),
    (16, 64, 0.04, True, 1e-3, 100),
    (64, 64, 0.04, False, 0.06, 30),
    (64, 64, 0.04, True, 1e-3, 20),
    (64, 256, 0.02, False, 0.06, 240),
    (64, 128, 0.01, False, 0.06, 40),
    (64, 128, 0.01, True, 1e-3, 40),
]
"""Settings of docs/findings/winners.md and, at the end, optimizers.md."""
CUTS: dict[str, tuple[str, ...]] = {
    "all": ALL,
    "none": (),
    "without pushes by the first": ("on the first", "among others"),
    "without pushes on the first": ("by the first", "among others"),
    "without pushes among others": ("by the first", "on the first"),
    "only pushes by the first": ("by the first",),
}
SIZES = [(4, 16, 1500), (8, 16, 800), (16, 64, 120), (32, 64, 40)]
"""n, m and the number of seeds of each ablation."""
STRENGTH, RATE = 0.24, 0.06
"""λ√m and learning rate of the ablations."""


def remeasure() -> list[dict[str, Any]]:
    """Mean and standard error of each result, from initial weights of its own."""
    rows = []
    for n, m, l1, adamw, rate, seeds in RUNS:
        start = initial(n, m, seeds, np.random.default_rng(n * m))
        end, ended = descend(start, l1, rate, 50_000, adamw=adamw)
        found = measured(start, end)
        row = {"n_features": n, "n_hidden": m, "l1": l1, "optimizer": "adamw" if adamw else "sgd"}
        row |= {"learning_rate": rate, "seeds": seeds, "ended": int(ended.sum())}
        for name in ("polysemantic", "favourites"):
            row |= _moments(name, found[name])
        rows.append(row)
        print(row, flush=True)
    return rows


def ablate() -> list[dict[str, Any]]:
    """Mean and standard error of each result for each of the `CUTS`, from equal starts."""
    rows = []
    for n, m, seeds in SIZES:
        l1 = STRENGTH / m**0.5
        start = initial(n, m, seeds, np.random.default_rng(n * m))
        for cut, pushes in CUTS.items():
            # About three times what a typical seed needs where nothing is cut.
            with np.errstate(over="ignore", invalid="ignore"):
                end, ended = descend(start, l1, RATE, int(8 / (l1 * RATE)), pushes)
            finite = np.isfinite(end).all(axis=(1, 2))
            found = measured(start[finite], end[finite])
            row = {"n_features": n, "n_hidden": m, "strength": STRENGTH, "pushes": cut}
            row |= {"seeds": seeds, "diverged": int((~finite).sum()), "ended": int(ended.sum())}
            for name in found:
                row |= _moments(name, found[name])
            rows.append(row)
            print(row, flush=True)
    return rows


def _moments(name: str, values: NDArray[Any]) -> dict[str, float]:
    if len(values) < 2:
        return {name: float("nan"), f"{name}_error": float("nan")}
    error = values.std(ddof=1) / len(values) ** 0.5
    return {name: round(float(values.mean()), 6), f"{name}_error": round(float(error), 6)}


def main() -> None:
    """Write both tables beside the other results of the benchmarks."""
    for name, table in (("independent", remeasure), ("ablations", ablate)):
        rows = table()
        with (RESULTS / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)


if __name__ == "__main__":
    main()
