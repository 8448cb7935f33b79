"""Where training with noise ends from features on neurons of their own, or in pairs."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastpolysem.experiments._weights import trained_weights
from fastpolysem.families.autoencoder.config import Config
from fastpolysem.training import train

DRAWS = 2000
"""Draws of the noise for an expected loss, the same for all weights of a seed."""
STEPS = 5000
"""Steps from planted weights."""


def planted(n: int, m: int, *, paired: bool) -> NDArray[np.float64]:
    """Features of norm 1 on neurons (n, m): one each, or two of opposite signs on each."""
    weights = np.zeros((n, m))
    feature = np.arange(n)
    weights[feature, feature // 2 if paired else feature] = 1.0
    if paired:
        weights[1::2] *= -1
    return weights


def count_pairs(weights: NDArray[Any]) -> NDArray[np.int64]:
    """Pairs of features (S,) that share their largest \\|weight\\|'s neuron, with cosine < -1/2."""
    unit = weights / np.maximum(np.linalg.norm(weights, axis=-1, keepdims=True), 1e-12)
    cosines = unit @ np.swapaxes(unit, -1, -2)
    top = np.abs(weights).argmax(axis=-1)
    same = top[:, :, np.newaxis] == top[:, np.newaxis, :]
    result: NDArray[np.int64] = (same & (cosines < -0.5)).sum(axis=(1, 2)) // 2
    return result


def expected_loss(weights: NDArray[Any], seeds: NDArray[Any], noise_std: float) -> NDArray[Any]:
    """Mean loss (S,) of models (S, n, m) over draws of two-valued noise."""
    found = []
    for seed, model in zip(seeds, np.asarray(weights, dtype=np.float64), strict=True):
        rng = np.random.default_rng((int(seed), 1))
        noise = rng.choice([-noise_std, noise_std], (DRAWS, model.shape[1])) @ model.T
        gram = model @ model.T
        loss = 0.0
        for i, row in enumerate(gram):
            output = np.maximum(row + noise, 0)
            output[:, i] -= 1
            loss += float(np.square(output).sum(axis=1).mean())
        found.append(loss)
    return np.array(found)


def from_planted(config: Config, seeds: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """Expected losses after training from both planted starts, and the pairs left."""
    columns: dict[str, NDArray[Any]] = {}
    shape = config.n_features, config.n_hidden
    short = config.replace(steps=min(STEPS, config.steps))
    for name, paired in (("own", False), ("pairs", True)):
        start = np.repeat(planted(*shape, paired=paired)[np.newaxis], len(seeds), axis=0)
        end = trained_weights(train(short, seeds, initial_weights=start, return_weights=True))
        columns[f"loss_{name}"] = expected_loss(end, seeds, config.noise_std)
        if paired:
            columns["pairs_left"] = count_pairs(end).astype(np.float64)
    return columns
