"""Metadata of configurations: which values are allowed, and which columns they become."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from fastpolysem import _checks, families
from fastpolysem.families import AnyConfig
from fastpolysem.probes import Declaration
from fastpolysem.studies.schema import FACTS, IDENTITY, columns


def taken_names(configs: Iterable[AnyConfig]) -> set[str]:
    """Names of the columns of tables."""
    taken = {*IDENTITY, "family", "diverged", *FACTS, *_OF_SUMMARIES}
    for config in configs:
        taken |= {*columns(config), *families.family_of(config).settings(config)}
        taken |= {
            name for of in families.family_of(config).references(config).values() for name in of
        }
    return taken


_OF_SUMMARIES = {
    "seeds",
    "missing",
    "collapsed",
    "mean",
    "ci_low",
    "ci_high",
    "ratio",
    "ratio_low",
    "ratio_high",
    "target_met",
}


def checked_metadata(
    metadata: Mapping[str, Any] | None,
    configs: Iterable[AnyConfig] = (),
    probe: Declaration | None = None,
) -> dict[str, Any]:
    """Metadata in stored form; refuses values that JSON cannot hold, and names of columns.

    A key with the value None is removed: `Study` shows no such column.
    """
    if metadata is None:
        return {}
    if not isinstance(metadata, Mapping) or not all(isinstance(key, str) for key in metadata):
        raise _checks.refused(
            "collect: metadata", "a mapping with names as keys", metadata, kind=TypeError
        )
    reserved = taken_names(configs) | set(probe.stored_names if probe else ())
    if taken := sorted(reserved.intersection(metadata)):
        raise ValueError(
            f"collect: metadata must not use the names of columns, got {', '.join(taken)}"
        )
    if not all(key.strip() for key in metadata):
        raise ValueError("collect: metadata must have names as keys, got an empty one")
    try:
        text = json.dumps(dict(metadata), allow_nan=False, ensure_ascii=False, default=_plain)
        result: dict[str, Any] = json.loads(text.encode())
    except UnicodeEncodeError as error:
        surrogate = error.object[error.start : error.end]
        raise ValueError(
            "collect: metadata must be text that UTF-8 can hold, got a lone surrogate "
            f"{surrogate!r}"
        ) from None
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"collect: metadata must be JSON: {error}") from None
    return result


def _plain(value: object) -> Any:
    """A NumPy number as a Python number."""
    for kind, plain in ((np.bool_, bool), (np.integer, int), (np.floating, float)):
        if isinstance(value, kind):
            return plain(value)
    raise TypeError(f"{_checks.shown(value)} is not JSON serializable")


def label_of(key: str, reserved: Collection[str], taken: Collection[str]) -> str:
    """The column of a metadata key: the key, unless a file has one that `collect` would refuse."""
    name = _text(key)
    if name != key or key in reserved:
        while name in reserved or name in taken:
            name = f"metadata.{name}"
        _checks.warn(f"the metadata key {key!r} is shown as {name!r}")
    return name


def column_of(values: list[Any]) -> pd.Series[Any]:
    """A column that any table format can hold, of numbers, booleans or text.

    Numbers with None become floats if these are exact; objects and mixtures become text.
    """
    kinds = {type(value) for value in values if value is not None}
    numbers = {*kinds} <= {int, float} and all(
        -(2**63) <= value < 2**63 for value in values if type(value) is int
    )
    if numbers and None not in values and (kinds == {int} or _are_exact(values)):
        return pd.Series(values)
    if numbers and _are_exact(values):
        return pd.Series(values, dtype=np.float64)
    if len(kinds) <= 1 and kinds <= {bool, str}:
        return pd.Series([_text(value) if isinstance(value, str) else value for value in values])
    return pd.Series([None if value is None else _text(str(value)) for value in values])


def _are_exact(values: list[Any]) -> bool:
    """Whether floats represent all numbers exactly."""
    return all(value is None or float(value) == value for value in values)


def _text(value: str) -> str:
    """Text that UTF-8 can hold."""
    return value.encode("utf-8", "backslashreplace").decode()
