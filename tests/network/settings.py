"""Configurations of networks as the package has them, from those that the specification has."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

import fastpolysem as fp
from fastpolysem.families.network import losses, targets
from fastpolysem.families.network.config import NetworkConfig
from fastpolysem.families.network.dataset import Dataset
from specifications.network import NetworkSpec

CLASSES: dict[str, Any] = {
    "Basis": fp.Basis,
    "Independent": fp.Independent,
    "CorrelatedBlocks": fp.CorrelatedBlocks,
    "Dataset": Dataset,
    **{cls.__name__: cls for cls in (*targets.KINDS.values(), *losses.KINDS.values())},
}


def part(value: Any) -> Any:
    """Inputs, a target or a loss as the package has them; all other values as they are."""
    name = type(value).__name__
    if name == "FixedBatch":
        return fp.FixedBatch(np.eye(4))
    if name not in CLASSES:
        return value
    fields = {item.name: getattr(value, item.name) for item in dataclasses.fields(value)}
    return CLASSES[name](**fields)


def config(spec: NetworkSpec) -> NetworkConfig:
    """The configuration of the same fields."""
    fields = {item.name: getattr(spec, item.name) for item in dataclasses.fields(spec)}
    return NetworkConfig(**{name: part(value) for name, value in fields.items()})
