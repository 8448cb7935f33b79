"""Figures of the autoencoder: counts against the laws, and weights."""

from __future__ import annotations

from fastpolysem.families.autoencoder.plots.geometry import superposition
from fastpolysem.families.autoencoder.plots.studies import collisions, unrepresented
from fastpolysem.families.autoencoder.plots.weights import collision_map, weights_over_time

__all__ = ["collision_map", "collisions", "superposition", "unrepresented", "weights_over_time"]
