"""What the experiments on a single encoding share: their settings and their runs."""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastpolysem import _checks

if TYPE_CHECKING:
    from fastpolysem.encoding import Trajectories


@dataclass(frozen=True, kw_only=True)
class Encoding:
    """Settings of `fastpolysem.encoding.simulate`; ``l1`` is that of the flow, a quarter of
    `Config.l1`."""

    n_hidden: int
    l1: float
    init_scale: float = 0.9
    step: float = 0.5


PRESETS: dict[str, dict[str, Any]] = {
    # A second or two, all of them, but for the last: a minute.
    "default": {"seeds": 100, "n_hidden": 10_000, "l1": 1e-4},
    "quick": {"seeds": 20, "n_hidden": 10_000, "l1": 1e-4},
    # The published figure, of a single seed; the mean of twenty shows what the laws are worth.
    "paper": {"seeds": 20, "n_hidden": 100_000, "l1": 1e-5},
    "large": {"seeds": 1000, "n_hidden": 100_000, "l1": 1e-5},
}


def settings_of(preset: str, changes: Mapping[str, Any]) -> list[Encoding]:
    """All combinations of a preset's settings after changes, of which lists hold several."""
    settings = {**PRESETS[_checks.choice("preset", preset, PRESETS)], **changes}
    settings.pop("seeds", None)
    _checks.known_names("an encoding", settings, [one.name for one in fields(Encoding)])
    values = [value if isinstance(value, (list, range)) else [value] for value in settings.values()]
    return [Encoding(**dict(zip(settings, one, strict=True))) for one in itertools.product(*values)]


def simulate(
    preset: str,
    seeds: int | None,
    path: str | os.PathLike[str] | None,
    changes: Mapping[str, Any],
) -> list[Trajectories]:
    """The trajectories of each setting, from ``path`` where they are stored already."""
    from fastpolysem import encoding

    count = PRESETS[_checks.choice("preset", preset, PRESETS)]["seeds"] if seeds is None else seeds
    count = _checks.integer("seeds", count, (">=", 1))
    found = []
    for one in settings_of(preset, changes):
        name = "-".join(f"{key}={value}" for key, value in asdict(one).items())
        file = None if path is None else Path(path) / f"encoding-{name}-seeds={count}.npz"
        if file is not None and file.exists():
            found.append(encoding.Trajectories.load(file))
            continue
        found.append(encoding.simulate(seeds=count, **asdict(one)))
        if file is not None:
            file.parent.mkdir(parents=True, exist_ok=True)
            found[-1].save(file)
    return found


def band(values: Any) -> tuple[Any, Any]:
    """Percentiles 5 and 95 over seeds."""
    import numpy as np

    if not np.size(values):
        return [], []
    low, high = np.nanpercentile(values, (5, 95), axis=0)
    return low, high
