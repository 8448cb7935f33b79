"""Fields of a configuration that are objects themselves: dataclasses with a ``kind``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any

import numpy as np

from fastpolysem import _checks
from fastpolysem.specs.settings import lists


def to_dict(part: Any, defaults: bool = True) -> dict[str, Any]:
    """The part in JSON form: its kind and fields, with or without defaults."""
    result: dict[str, Any] = {"kind": part.kind}
    for field in fields(part):
        value = getattr(part, field.name)
        if isinstance(value, np.ndarray):
            result[field.name] = value.tolist()
        elif defaults or value != field.default:
            result[field.name] = lists(value)
    return result


def from_dict(label: str, mapping: object, kinds: Mapping[str, Any]) -> Any:
    """The inverse of `to_dict`, for the classes in ``kinds``."""
    if not isinstance(mapping, Mapping) or "kind" not in mapping:
        raise _checks.refused(label, "a mapping with a 'kind'", mapping, kind=TypeError)
    values = dict(mapping)
    kind = _checks.choice(f"{label}: kind", values.pop("kind"), kinds)
    cls = kinds[kind]
    _checks.known_names(cls.__name__, values, [field.name for field in fields(cls)])
    needed = [one.name for one in fields(cls) if one.default is one.default_factory is MISSING]
    if lacking := [name for name in needed if name not in values]:
        allowed = f"given with {' and '.join(needed)} if it is {kind!r}"
        raise _checks.refused(label, allowed, dict(mapping), f"; {lacking[0]} is missing")
    return getattr(cls, "from_csr", cls)(**values)
