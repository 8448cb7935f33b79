"""Probes compute additional columns from trained weights before these are discarded.

A study stores the same columns for every seed. A probe adds columns of its own: wherever a block of
seeds is trained, it is called with the block's weights and history.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import pickle
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastpolysem import _checks
from fastpolysem.training import TrainingResult

if TYPE_CHECKING:
    from fastpolysem.families.autoencoder.distribution import DistributionLoss

__all__ = ["Column", "DistributionLoss", "Probe"]

Bounds = tuple[float | None, float | None]

SHAPE = "_shape"
"""Suffix of the stored column with the shape of each seed's array."""

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_COLUMN = re.compile(r"[A-Za-z][A-Za-z0-9_.]*")
_DTYPES = ("bool", *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)))
_DTYPES += ("float32", "float64")


class Column(NamedTuple):
    """One quantity that a probe computes."""

    dtype: str
    """NumPy's name for the type: "bool", a sized integer, "float32" or "float64"."""
    doc: str
    """A description in one line."""
    bounds: Bounds | None = None
    """Smallest and largest possible value (None for no limit). Others are refused, except for seeds
    that diverged, and what exceeds a bound by rounding becomes the bound. Confidence intervals stay
    within."""


@dataclass(frozen=True)
class Probe(ABC):
    """Computes columns in addition to those of `fastpolysem.TrainingResult`.

    A subclass is a frozen dataclass at the top level of a module, so that workers can unpickle it.
    Its fields are its parameters: numbers, booleans, text, None, and tuples, lists, arrays and
    dictionaries of those. What it computes for a seed may depend only on these, on ``version`` and
    on the seed, never on the other seeds of the block.
    """

    name: ClassVar[str]
    """A Python identifier, which becomes part of file names."""
    version: ClassVar[int] = 1
    """Increase it whenever what the probe computes changes."""
    columns: ClassVar[Mapping[str, Column]] = {}
    """Values per seed, by name; they become columns of the study's tables."""
    arrays: ClassVar[Mapping[str, Column]] = {}
    """Arrays per seed, by name, of any shape; stored in the declared type and read with
    `Study.probed`."""

    def check(self, config: Any) -> None:  # noqa: B027
        """Raise TypeError or ValueError for a configuration whose models it cannot evaluate.

        `collect` calls it for every configuration before anything is trained.
        """

    @abstractmethod
    def __call__(self, result: TrainingResult) -> dict[str, Any]:
        """Compute the columns and arrays of a block of seeds.

        Parameters
        ----------
        result
            A block of S seeds with its weights, and its history if one was recorded.

        Returns
        -------
        dict
            By name, an (S,) array for each of ``columns``, and for each of ``arrays`` an array
            (S, ...) or a list of S arrays, whose shapes may differ.
        """


def __getattr__(name: str) -> Any:
    # It is a probe of one family, which imports this module.
    if name != "DistributionLoss":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from fastpolysem.families.autoencoder.distribution import DistributionLoss

    return DistributionLoss


@dataclass(frozen=True)
class Declaration:
    """A description of a probe, sufficient to read its files without its class."""

    name: str
    version: int
    parameters: str
    """Hash of the values of its fields."""
    columns: Mapping[str, Column]
    arrays: Mapping[str, Column]

    @classmethod
    def of(cls, probe: Probe) -> Declaration:
        """The declaration of a probe.

        Raises
        ------
        TypeError
            If a field holds a value that has no unambiguous representation.
        """
        fields = {field.name: getattr(probe, field.name) for field in dataclasses.fields(probe)}
        said = [[name, _plain(f"{probe.name}.{name}", value)] for name, value in fields.items()]
        columns, arrays = (
            {name: column._replace(bounds=_stored_bounds(column)) for name, column in held.items()}
            for held in (probe.columns, probe.arrays)
        )
        return cls(probe.name, int(probe.version), _hash(said), columns, arrays)

    @property
    def key(self) -> str:
        """Name, version and a hash of everything that determines what is stored."""
        columns, arrays = (
            [[name, column.dtype] for name, column in declared.items()]
            for declared in (self.columns, self.arrays)
        )
        return f"{self.name}-{self.version}-{_hash([self.parameters, columns, arrays])}"

    def to_json(self) -> str:
        """A text from which `from_json` restores the declaration."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str | bytes) -> Declaration:
        """The declaration in a text; raises ValueError, TypeError or KeyError if there is none."""
        said = json.loads(text)
        columns, arrays = (
            {name: Column(dtype, doc, bounds and tuple(bounds)) for name, (dtype, doc, bounds) in
             said[kind].items()}
            for kind in ("columns", "arrays")
        )  # fmt: skip
        made = cls(said["name"], said["version"], said["parameters"], columns, arrays)
        for name, column in {**columns, **arrays}.items():
            if not _COLUMN.fullmatch(name) or column.dtype not in _DTYPES:
                raise ValueError(f"{name} of type {column.dtype!r} is not a column of a probe")
        return made

    @property
    def stored_names(self) -> list[str]:
        """Names of the columns of its files, without those that every file has."""
        return [*self.columns, *(part for name in self.arrays for part in (name, name + SHAPE))]


def _stored_bounds(column: Column) -> Bounds | None:
    """The bounds in JSON form."""
    if column.bounds is None:
        return None
    low, high = _checks.bounds("bounds", column.bounds)
    return (low if math.isfinite(low) else None), (high if math.isfinite(high) else None)


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:8]


def _plain(label: str, value: Any) -> Any:
    """A parameter in JSON form; different values have different forms."""
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value.hex()
    if isinstance(value, np.generic) and not isinstance(value, np.longdouble):
        return _plain(label, value.item())
    if isinstance(value, np.ndarray) and not value.dtype.hasobject:
        content = hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()
        return ["array", value.dtype.str, list(value.shape), content]
    if isinstance(value, (tuple, list)):
        return [type(value).__name__, *(_plain(label, each) for each in value)]
    if isinstance(value, Mapping):
        pairs = [[_plain(label, key), _plain(label, each)] for key, each in value.items()]
        return ["mapping", *sorted(pairs, key=json.dumps)]
    allowed = "numbers, booleans, text, None, or tuples, lists, arrays or mappings of those"
    raise _checks.refused(f"probe: {label}", allowed, value, kind=TypeError)


def checked_probe(where: str, probe: Any) -> Declaration:
    """The declaration of a probe, after checking that it is one.

    Raises
    ------
    TypeError, ValueError
        If it is not a probe, or its class lacks something.
    """
    label = f"{where}: probe"
    kind = type(probe)
    if not isinstance(probe, Probe):
        allowed = "an instance of a subclass of fastpolysem.probes.Probe"
        hint = "; create an instance of the class" if isinstance(probe, type) else ""
        raise _checks.refused(label, allowed, probe, hint, kind=TypeError)
    if "__dataclass_params__" not in vars(kind) or not kind.__dataclass_params__.frozen:
        raise TypeError(f"{label} must be of a class with @dataclass(frozen=True), got {kind!r}")
    name = getattr(probe, "name", None)
    if not isinstance(name, str) or not _NAME.fullmatch(name) or len(name) > 60:
        allowed = "a name of at most 60 letters, digits and underscores that begins with a letter"
        raise _checks.refused(f"{label}: name", allowed, name)
    _checks.integer(f"{label}: version", probe.version, (">=", 1))
    names: list[str] = []
    for declared in (probe.columns, probe.arrays):
        if not isinstance(declared, Mapping):
            allowed = "a mapping of names to columns"
            raise _checks.refused(f"{label}: columns", allowed, declared, kind=TypeError)
        for column_name, column in declared.items():
            _check_column(label, column_name, column)
        names += declared
    if not names:
        raise ValueError(f"{label} must declare columns or arrays, got none")
    declaration = Declaration.of(probe)
    stored = declaration.stored_names
    if twice := sorted({each for each in stored if stored.count(each) > 1}):
        raise ValueError(f"{label} must declare different names, got {', '.join(twice)} twice")
    return declaration


def _check_column(label: str, name: Any, column: Any) -> None:
    if not isinstance(name, str) or not _COLUMN.fullmatch(name):
        allowed = "names of letters, digits, underscores and dots that begin with a letter"
        raise _checks.refused(f"{label}: columns", allowed, name)
    _checks.instance(f"{label}: {name}", column, Column, "a probes.Column")
    _checks.choice(f"{label}: {name}: dtype", column.dtype, _DTYPES)
    _checks.instance(f"{label}: {name}: doc", column.doc, str, "text")
    _checks.bounds(f"{label}: {name}: bounds", column.bounds)


def check_picklable(where: str, probe: Probe) -> None:
    """Refuse a probe that a worker in another process could not unpickle.

    Raises
    ------
    TypeError
        With the reason.
    """
    try:
        pickle.dumps(probe)
    except Exception as error:
        raise TypeError(
            f"{where}: probe must be of a class at the top level of a module, so that an executor "
            f"can send it to its workers, got {_checks.shown(probe)} ({error})"
        ) from None


def evaluate(probe: Probe, result: TrainingResult) -> dict[str, Any]:
    """What a probe computes for a block, checked and cast to the declared types.

    Returns
    -------
    dict
        An (S,) array for each of its columns, and a list of S arrays for each of its arrays.

    Raises
    ------
    TypeError, ValueError
        If names, types or lengths differ from those declared, or a value overflows in the declared
        type or lies outside the bounds.
    """
    declared = {**probe.columns, **probe.arrays}
    values = probe(result)
    if not isinstance(values, Mapping) or set(values) != set(declared):
        computed = sorted(map(str, values)) if isinstance(values, Mapping) else []
        raise ValueError(
            f"probe {probe.name!r} must compute {', '.join(sorted(declared))}, "
            f"got {', '.join(computed) or 'nothing'}"
        )
    checked: dict[str, Any] = {}
    for name, column in probe.columns.items():
        label = f"probe {probe.name!r}: {name}"
        array = _checks.as_array(label, values[name])
        if array.shape != (len(result),):
            raise ValueError(
                f"{label} must have the shape ({len(result)},), one value per seed, "
                f"got {array.shape}"
            )
        checked[name] = _cast(label, column, array)
        valid = ~result.diverged
        checked[name][valid] = _bounded(label, column, array[valid], checked[name][valid])
    for name, column in probe.arrays.items():
        given, label = values[name], f"probe {probe.name!r}: {name}"
        listed = isinstance(given, Sequence) or getattr(given, "ndim", 0) > 0
        if not listed or len(given) != len(result):
            raise ValueError(
                f"{label} must hold {len(result)} arrays, one per seed, "
                f"got {len(given) if listed else _checks.shown(given)}"
            )
        checked[name] = []
        for each, diverged in zip(given, result.diverged, strict=True):
            array = _checks.as_array(label, each)
            cast = _cast(label, column, array)
            checked[name].append(cast if diverged else _bounded(label, column, array, cast))
    return checked


def _cast(label: str, column: Column, array: NDArray[Any]) -> NDArray[Any]:
    """The values in the declared type."""
    if not np.can_cast(array.dtype, column.dtype, "same_kind"):
        raise ValueError(f"{label} must be of type {column.dtype}, got {array.dtype}")
    with np.errstate(over="ignore"):
        return array.astype(column.dtype)


_ROUNDING = 16  # spacings of floating-point numbers


def _bounded(
    label: str, column: Column, computed: NDArray[Any], values: NDArray[Any]
) -> NDArray[Any]:
    """The ``values``, which are those ``computed`` in the declared type, within the bounds."""
    floats = values.dtype.kind == "f"
    lost = np.isfinite(computed) & ~np.isfinite(values) if floats else computed != values
    if lost.any():
        allowed = f"a number that {column.dtype} can hold"
        raise _checks.refused(label, allowed, computed[lost].flat[0])
    low, high = _checks.bounds(f"{label}: bounds", column.bounds)
    outside = wrong = (values < low) | (values > high)
    if not outside.any():
        return values
    nearest = np.asarray(values.clip(low, high))
    if floats:
        types = [array.dtype for array in (computed, values) if array.dtype.kind == "f"]
        slack = _ROUNDING * max(np.finfo(each).eps for each in types)
        wrong = outside & ~(np.abs(values - nearest) <= slack * np.maximum(1, np.abs(nearest)))
    if wrong.any():
        raise _checks.refused(label, f"within its bounds {column.bounds}", values[wrong].flat[0])
    return nearest
