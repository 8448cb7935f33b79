"""Some of a study's configurations, chosen by their settings and metadata, and some of a
configuration's seeds."""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from fastpolysem import _checks
from fastpolysem.studies import tabulate
from fastpolysem.studies.holding import Holding

_MOST_NAMED = 12


def selected(holdings: tabulate.Holdings, wanted: Mapping[str, Any]) -> list[Holding]:
    """The holdings that `Study.select` keeps."""
    if not holdings:
        raise ValueError("Study.select: the study must have configurations, got none")
    table = tabulate.fields(holdings)
    _checks.known_names("Study.select: the study", wanted, table.columns)
    settings = tabulate.setting_columns(holdings)
    kept = np.ones(len(holdings), dtype=bool)
    for name, value in wanted.items():
        held = [
            _held(holding, settings.get(name, name), cell)
            for holding, cell in zip(holdings, table[name], strict=True)
        ]
        choices, matches = _choices(value, held)
        for choice, which in zip(choices, matches, strict=True):
            if not which.any():
                shown = list(dict.fromkeys(str(one[0]) for one in held))
                more = ", …" if len(shown) > _MOST_NAMED else ""
                allowed = f"one of {', '.join(shown[:_MOST_NAMED])}{more}"
                raise _checks.refused(f"Study.select: {name}", allowed, choice)
        kept &= np.any(matches, axis=0)
    if not kept.any():
        named = ", ".join(f"{name}={_checks.shown(value)}" for name, value in wanted.items())
        raise ValueError(f"Study.select: no configuration has all of {named}")
    return [holding for holding, keep in zip(holdings, kept, strict=True) if keep]


def _held(holding: Holding, name: str, cell: Any) -> list[Any]:
    """A configuration's value of a column: as tables show it, and as it was given."""
    missing = cell is None or (isinstance(cell, float) and np.isnan(cell)) or cell is pd.NA
    held = [None if missing else cell]
    settings = tabulate.settings_of(holding.config)
    if name in settings:
        held += [settings[name], getattr(holding.config, name, settings[name])]
    elif name in holding.metadata:
        held.append(holding.metadata[name])
    return held


def _choices(value: Any, held: list[list[Any]]) -> tuple[list[Any], list[Any]]:
    """The values asked for, and of each which configurations have it. A list or tuple is one value
    where a configuration has it, else several."""
    if isinstance(value, (list, tuple)):
        whole = _matching(value, held)
        if whole.any():
            return [value], [whole]
    several = _checks.listed("Study.select", value)
    if several is None:
        several = [*value] if isinstance(value, Set) else [value]
    if not several:
        raise ValueError("Study.select: a list of values must hold at least one, got none")
    return several, [_matching(one, held) for one in several]


def _matching(value: Any, held: list[list[Any]]) -> Any:
    return np.array([any(_same(value, one) for one in each) for each in held], dtype=bool)


def _same(value: Any, held: Any) -> bool:
    if value is None or held is None:
        return value is held
    if isinstance(value, (list, tuple)) and isinstance(held, (list, tuple)):  # JSON has only lists
        return len(value) == len(held) and all(map(_same, value, held))
    try:
        return bool(value == held)
    except (TypeError, ValueError):  # arrays, of which no comparison is one truth value
        return False


def chosen_seeds(where: str, holding: Holding, seeds: ArrayLike | None) -> NDArray[np.uint64]:
    """The requested seeds, or all."""
    if seeds is None:
        return np.asarray(holding.rows()["seed"], dtype=np.uint64)
    label = f"{where}: seeds"
    chosen = np.array(_checks.integers(label, seeds, (">=", 0), ("<", 2**64)), dtype=np.uint64)
    known, counts = np.unique(chosen, return_counts=True)
    if (counts > 1).any():
        twice = known[counts > 1][0]
        raise ValueError(f"{label} must be different, got {twice} more than once")
    return chosen
