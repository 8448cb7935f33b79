"""Figures of studies and of weights, drawn with matplotlib on axes that are given or made.

Every function takes ``ax`` and returns it. With an ``ax`` only that one is drawn on; without,
pyplot makes a figure. Colours are those of Okabe & Ito, which colour-blind readers can tell apart;
markers differ as well.
"""

from __future__ import annotations

from fastpolysem.plots._axes import COLORS, MARKERS, panels, save
from fastpolysem.plots._studies import collisions, counts, unrepresented
from fastpolysem.plots._weights import collision_map, heat_map, weights_over_time

__all__ = [
    "COLORS",
    "MARKERS",
    "collision_map",
    "collisions",
    "counts",
    "heat_map",
    "panels",
    "save",
    "unrepresented",
    "weights_over_time",
]
