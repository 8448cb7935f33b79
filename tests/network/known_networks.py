"""Runs of networks of every kind, and the bits of their weights on every machine."""

from __future__ import annotations

from typing import Any

import fastpolysem as fp
from fastpolysem.families.network import lowering
from fastpolysem.families.network.config import NetworkConfig
from known_runs import Run, digest_of
from network import settings
from specifications import combinations


def configs() -> list[NetworkConfig]:
    """In no order; those that explode are calmed down."""
    found = []
    added = [c for c in combinations.accepted(2025, 20, steps=20) if c.readout != "dense"]
    for spec in (*combinations.accepted(2024, 40, steps=20, added=()), *added[:4]):
        config = settings.config(spec)
        if config.optimizer == "sgd":  # high powers are steep
            q = getattr(config.loss, "q", 1)
            config = config.replace(learning_rate=1e-3 if q < 4 else 1e-8 if q < 8 else 1e-14)
        found.append(config)
    return found


def runs() -> list[Run]:
    return [
        Run(f"network {index}", config, known, digest)
        for index, (config, known) in enumerate(zip(configs(), KNOWN, strict=True))
    ]


def digest(config: NetworkConfig, **options: Any) -> str:
    """Of three seeds' weights."""
    weights = fp.train(config, 3, return_weights=True, **options).weights
    return digest_of((*weights.weights, *(weights.biases or ())))


def forget() -> None:
    """What was lowered for another core."""
    lowering.core_settings.cache_clear()


KNOWN = [
    "8b79a07ea495e316",
    "c8351a3274015a12",
    "be0fb5d8b80a5ee0",
    "b80bcfdfe4b72c73",
    "500d5d7838affb93",
    "0f2c8a8caec6f2dd",
    "e3ca6ffad1269ace",
    "5dcfb67c829ab9a4",
    "9c4e873028ba6e5a",
    "b743936524493943",
    "4ad9f0a7179e810b",
    "267c2a84beeb153c",
    "ca8b8bbc1a050b9b",
    "96dbb11de2298b57",
    "81394005de1e3580",
    "5b8610fd663fe526",
    "11a957bd9fb7f05c",
    "75a943ed609521e6",
    "caa7607d0b336419",
    "e047f1f67b73f5f0",
    "140999d61a3b3272",
    "75b54e8de631a915",
    "5c00df917d482f56",
    "aa48de31a34a9c2a",
    "edae60431d97806b",
    "b235bc713d5c0d5e",
    "e35a96aa6704ec6c",
    "719b54a7dabe2e7a",
    "d338394a11fb9dfe",
    "4a263f2cd3b284ba",
    "e4f8effd05a20c48",
    "dbd46972a7f244e1",
    "a7fa36a95b111d26",
    "a7e87e8ed2b0d41c",
    "53c8356c0199fe45",
    "a09a0a8a6f3ec6a3",
    "533827a0d642f857",
    "1db515e586c42a71",
    "54d3155277044809",
    "40509c60e5affebd",
    "a397ff655a5101b7",
    "56360613ed8335ed",
    "9ba503afe87c5920",
    "723fe0c7ae3ab30d",
]
