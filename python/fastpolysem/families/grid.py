"""Grids of configurations: all combinations of the values of some fields."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from typing import Any

from fastpolysem import _checks
from fastpolysem.families.base import check_config


def grid(config: Any, /, **values: Iterable[Any]) -> list[Any]:
    """All combinations of the given values, as changes to ``config``.

    Parameters
    ----------
    config
        A configuration of any family, which provides all other fields.
    **values
        For each field to vary, its values in order; the last field varies fastest.

    Returns
    -------
    list of configurations
        Their number is the product of the numbers of values.

    Raises
    ------
    TypeError
        If a name is not a field, or values are not a list.
    ValueError
        If the family refuses a combination, or two combinations have the same effect.

    Examples
    --------
    >>> from fastpolysem import Config
    >>> config = Config(n_features=64, n_hidden=64, l1=1e-3)
    >>> [c.n_hidden for c in grid(config, n_hidden=range(64, 257, 64))]
    [64, 128, 192, 256]
    """
    check_config("grid", config)
    fields = [name for name in config.to_dict() if name != "kind"]
    _checks.known_names(type(config).__name__, values, fields)
    lists: list[list[Any]] = []
    for name, choices in values.items():
        if isinstance(choices, (str, bytes)) or not isinstance(choices, Iterable):
            raise _checks.refused(f"grid: {name}", "a list of values", choices, kind=TypeError)
        lists.append(list(choices))
        if not lists[-1]:
            raise ValueError(f"grid: {name} must hold at least one value, got none")
    result: dict[str, Any] = {}
    for combination in itertools.product(*lists):
        changes = dict(zip(values, combination, strict=True))
        try:
            one = config.replace(**changes)
        except (TypeError, ValueError) as error:
            error.add_note(f"in the grid at {_listed(changes)}")
            raise
        if one.digest in result:
            raise ValueError(
                f"grid: {_listed(changes)} is equal in effect to {result[one.digest]!r}; "
                "leave one of them out"
            )
        result[one.digest] = one
    return list(result.values())


def _listed(changes: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={_checks.shown(value)}" for name, value in changes.items())
