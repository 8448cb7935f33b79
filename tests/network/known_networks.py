"""Runs of networks of every kind, and the bits of their weights on every machine."""

from __future__ import annotations

import hashlib

import fastpolysem as fp
from fastpolysem.families.network import lowering
from fastpolysem.families.network.config import NetworkConfig
from network import settings
from specifications import combinations


def configs() -> list[NetworkConfig]:
    """In no order; those that explode are calmed down."""
    found = []
    for spec in combinations.accepted(2024, 40, steps=20):
        config = settings.config(spec)
        if config.optimizer == "sgd":
            config = config.replace(learning_rate=1e-6 if config.loss.kind == "power" else 1e-2)
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


KNOWN = [
    "4917fa0848d0770b",
    "c8351a3274015a12",
    "be0fb5d8b80a5ee0",
    "b80bcfdfe4b72c73",
    "5134c4991c451ed1",
    "0f2c8a8caec6f2dd",
    "e3ca6ffad1269ace",
    "5dcfb67c829ab9a4",
    "9c4e873028ba6e5a",
    "b743936524493943",
    "4ad9f0a7179e810b",
    "267c2a84beeb153c",
    "60bcd860e6e37adc",
    "96dbb11de2298b57",
    "81394005de1e3580",
    "f2fd53ab1c491287",
    "11a957bd9fb7f05c",
    "75a943ed609521e6",
    "80b25e126af36761",
    "e047f1f67b73f5f0",
    "334a651ba56a7823",
    "75b54e8de631a915",
    "5c00df917d482f56",
    "a4102691c1a29b97",
    "5e36474cab085252",
    "b235bc713d5c0d5e",
    "e35a96aa6704ec6c",
    "719b54a7dabe2e7a",
    "c6162dac46952f95",
    "4a263f2cd3b284ba",
    "70266e96ba4c9e2c",
    "ab72002501a71b97",
    "a7fa36a95b111d26",
    "a7e87e8ed2b0d41c",
    "53c8356c0199fe45",
    "6ebc73a675a40435",
    "533827a0d642f857",
    "967464ebe4687dea",
    "54d3155277044809",
    "40509c60e5affebd",
]
