"""Runs of networks of every kind, and the bits of their weights on every machine."""

from __future__ import annotations

import hashlib

from fastpolysem.families.network import lowering
from fastpolysem.families.network.config import NetworkConfig
from network import settings
from specifications import combinations

import fastpolysem as fp


def configs() -> list[NetworkConfig]:
    """In no order; those that explode are calmed down."""
    found = []
    for spec in combinations.accepted(2024, 40, steps=20):
        config = settings.config(spec)
        if config.optimizer == "sgd":
            config = config.replace(learning_rate=1e-4)
        found.append(config)
    return found


def digest(config: NetworkConfig) -> str:
    """The first 16 digits of the SHA-256 of three seeds' weights, little endian."""
    result = hashlib.sha256()
    weights = fp.train(config, 3, return_weights=True).weights
    for array in (*weights.weights, *(weights.biases or ())):
        if array is not None:
            result.update(array.astype(array.dtype.newbyteorder("<")).tobytes())
    return result.hexdigest()[:16]


def forget() -> None:
    """What was lowered for another core."""
    lowering.core_settings.cache_clear()


KNOWN: list[str] = []
