"""Figures of studies and of weights, drawn with matplotlib on given or new axes.

Every function takes ``ax`` and returns it. If ``ax`` is given, only it is drawn on; otherwise
pyplot makes a figure. Colours are those of Okabe & Ito, which colour-blind readers can distinguish;
markers differ as well. `COLORS`, `MARKERS` and `DASHES` hold eight each; `look` returns those of a
series.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from fastpolysem.plots._axes import COLORS, DASHES, MARKERS, look, panels, save
from fastpolysem.plots._counts import counts
from fastpolysem.plots._curves import curve
from fastpolysem.plots._matrix import heat_map

if TYPE_CHECKING:
    from fastpolysem.families.autoencoder.plots import (
        collision_map,
        collisions,
        superposition,
        unrepresented,
        weights_over_time,
    )
    from fastpolysem.families.network.plots import (
        front,
        neuron_map,
        response_map,
        sharing,
        training_curves,
        use_map,
    )

__all__ = [
    "COLORS",
    "DASHES",
    "MARKERS",
    "collision_map",
    "collisions",
    "counts",
    "curve",
    "front",
    "heat_map",
    "look",
    "neuron_map",
    "panels",
    "response_map",
    "save",
    "sharing",
    "superposition",
    "training_curves",
    "unrepresented",
    "use_map",
    "weights_over_time",
]

_OF_NETWORKS = ("front", "neuron_map", "response_map", "sharing", "training_curves", "use_map")


def __getattr__(name: str) -> Any:
    # Families draw with what is here, so their figures are only named here, not imported.
    if name not in __all__:
        from fastpolysem._checks import nearest

        said = f"module {__name__!r} has no {name!r}{nearest(name, __all__)}"
        raise AttributeError(said, name=name)  # with a name, Python adds no suggestion of its own
    family = "network" if name in _OF_NETWORKS else "autoencoder"
    value = getattr(importlib.import_module(f"fastpolysem.families.{family}.plots"), name)
    globals()[name] = value
    return value
