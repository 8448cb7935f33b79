"""The checks behind every error message: each names the argument, what is allowed and what came.

A ``label`` says which argument of what is meant, such as ``"Config: l1"`` or ``"train: seeds"``.
Wrong types raise TypeError, wrong values ValueError, sizes beyond the memory MemoryError.
"""

from __future__ import annotations

import functools
import math
import numbers
import operator
import os
import reprlib
from collections.abc import Callable, Collection, Iterable, Mapping, Set
from typing import Any, TypeVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

T = TypeVar("T")
Bound = tuple[str, float]

_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    ">=": operator.ge,
    ">": operator.gt,
    "<=": operator.le,
    "<": operator.lt,
}
_REAL_KINDS = "biuf"


def shown(value: object) -> str:
    """How a refused value is printed: arrays by shape and dtype, the rest by a short repr."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape} and dtype {value.dtype}"
    if isinstance(value, type):
        return f"the class {value.__name__}"
    short = reprlib.Repr()
    short.maxstring = short.maxother = short.maxlong = 80
    return short.repr(value)


def refused(
    label: str, allowed: str, value: object, hint: str = "", kind: type[Exception] = ValueError
) -> Exception:
    """The error to raise for ``value``, of which only ``allowed`` would do."""
    return kind(f"{label} must be {allowed}, got {shown(value)}{hint}")


def nearest(name: str, allowed: Iterable[str]) -> str:
    """``"; did you mean ...?"`` with the most similar of the allowed names, or nothing."""
    import difflib  # only ever needed when something is wrong

    by_lower = {candidate.lower(): candidate for candidate in allowed}
    close = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.5)
    return f"; did you mean {by_lower[close[0]]!r}?" if close else ""


def choice(label: str, value: object, allowed: Iterable[str]) -> str:
    """One of a set of names."""
    names = tuple(allowed)
    expected = "one of " + ", ".join(map(repr, names))
    if not isinstance(value, str):
        raise refused(label, expected, value, kind=TypeError)
    if value not in names:
        raise refused(label, expected, value, nearest(value, names))
    return str(value)


def known_names(where: str, given: Iterable[object], allowed: Iterable[str]) -> None:
    """Refuse names that ``where`` does not have."""
    names = tuple(allowed)
    for name in given:
        if name not in names:
            hint = nearest(str(name), names) or f"; it has {', '.join(names)}"
            raise TypeError(f"{where} has no field {name!r}{hint}")


def suggest_fields(cls: type[T]) -> type[T]:
    """Class decorator for dataclasses: an unknown keyword suggests the field that was meant."""
    init: Callable[..., None] = cls.__init__
    fields: Mapping[str, object] = cls.__dataclass_fields__  # type: ignore[attr-defined]

    @functools.wraps(init)
    def checked(self: T, *args: Any, **kwargs: Any) -> None:
        known_names(cls.__name__, kwargs, fields)
        init(self, *args, **kwargs)

    cls.__init__ = checked  # type: ignore[method-assign,assignment]
    return cls


def _described(what: str, bounds: tuple[Bound, ...]) -> str:
    return f"{what} {' and '.join(f'{sign} {limit}' for sign, limit in bounds)}".rstrip()


def _within(number: float, bounds: tuple[Bound, ...]) -> bool:
    return all(_COMPARISONS[sign](number, limit) for sign, limit in bounds)


def integer(label: str, value: object, *bounds: Bound) -> int:
    """An integer (a Python or numpy one, no bool, no float) within the bounds."""
    allowed = "an integer", bounds
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise refused(label, _described(*allowed), value, kind=TypeError)
    number = int(value)
    if not _within(number, bounds):
        raise refused(label, _described(*allowed), value)
    return number


def real(label: str, value: object, *bounds: Bound, finite: bool = True) -> float:
    """A real number within the bounds, as a float; infinite only where ``finite`` is False."""
    allowed = "a finite number" if finite else "a number", bounds
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, numbers.Real):
        raise refused(label, _described(*allowed), value, kind=TypeError)
    try:
        number = float(value) + 0.0  # -0.0 becomes 0.0: equal settings are to look equal
    except OverflowError:
        number = math.inf
    if math.isnan(number) or (finite and math.isinf(number)) or not _within(number, bounds):
        raise refused(label, _described(*allowed), value)
    return number


def flag(label: str, value: object) -> bool:
    """True or False; 0 and 1 are taken for a mistake."""
    if not isinstance(value, (bool, np.bool_)):
        raise refused(label, "True or False", value, kind=TypeError)
    return bool(value)


def array(label: str, value: object, dtype: DTypeLike, ndims: Iterable[int]) -> NDArray[Any]:
    """A finite contiguous array of ``dtype`` and an allowed number of axes, copied where needed.

    Booleans, integers and floats of any layout are accepted; complex numbers, objects, text and
    masked arrays are refused, and so is what overflows in ``dtype``.
    """
    if isinstance(value, np.ndarray) and hasattr(value, "mask"):
        raise TypeError(f"{label} must be a plain array, got a masked one; fill it first")
    try:
        given = np.asarray(value)
    except Exception as error:  # whatever __array__ or a ragged list may raise
        raise TypeError(f"{label} cannot be read as an array: {error}") from error
    if given.dtype.kind not in _REAL_KINDS:
        raise refused(label, "an array of real numbers", given, kind=TypeError)
    allowed = tuple(ndims)
    if given.ndim not in allowed:
        axes = " or ".join(map(str, allowed))
        raise refused(label, f"an array with {axes} {'axis' if axes == '1' else 'axes'}", given)
    with np.errstate(over="ignore"):
        result = np.ascontiguousarray(given, dtype=dtype)
    if not np.isfinite(result).all():
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(result))[0])
        raise ValueError(
            f"{label} must hold finite numbers only, got {given[where]} at index {where}"
            + (f", which overflows in {result.dtype}" if np.isfinite(given[where]) else "")
        )
    return result


def stacked(
    label: str,
    value: object,
    shape: tuple[int, ...],
    dtype: DTypeLike,
    count: int | None,
) -> NDArray[Any]:
    """One array of ``shape`` or a stack of ``count`` (None: any number) of them.

    Returns an array with a leading axis of length 1 (one for all) or ``count``.
    """
    axes = len(shape)
    given = array(label, value, dtype, (axes, axes + 1))
    result = given[np.newaxis] if given.ndim == axes else given
    if result.shape[1:] != shape or (count is not None and len(result) not in (1, count)):
        stack = ("S" if count is None else str(count), *map(str, shape))
        hint = ""
        if axes > 1 and given.shape[-2:] == (shape[-1], shape[-2]) != shape[-2:]:
            hint = f"; is it transposed? Its last two axes should have lengths {shape[-2:]}"
        raise ValueError(
            f"{label} must have shape {shape} or ({', '.join(stack)}), got {given.shape}{hint}"
        )
    return result


def integers(label: str, values: object, *bounds: Bound) -> list[int]:
    """A one-dimensional collection of integers, each within the bounds."""
    if isinstance(values, np.ndarray):
        if values.ndim != 1 or (values.size and values.dtype.kind not in "iu"):
            raise refused(label, "a 1-d array of integers", values, kind=TypeError)
        values = values.tolist()
    unordered = (str, bytes, Mapping, Set)
    if not isinstance(values, Collection) or isinstance(values, unordered):
        raise refused(label, "a list of integers", values, kind=TypeError)
    return [integer(f"{label}[{i}]", value, *bounds) for i, value in enumerate(values)]


def size(number: float) -> str:
    """A number of bytes in binary units."""
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if number < 1024:
            return f"{number:.4g} {unit}"
        number /= 1024
    return f"{number:.4g} PiB"


def available_memory() -> int | None:
    """Bytes that can still be had, or None where the system does not tell."""
    try:
        with open("/proc/meminfo", encoding="ascii") as lines:
            for line in lines:
                if line.startswith("MemAvailable:"):
                    return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        pass
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return None


def memory(where: str, parts: Mapping[str, int], advice: str) -> None:
    """Refuse, before anything is allocated, what does not fit into the available memory."""
    needed, available = sum(parts.values()), available_memory()
    if available is not None and needed > available:
        each = ", ".join(f"{size(bytes_)} for {what}" for what, bytes_ in parts.items() if bytes_)
        raise MemoryError(
            f"{where} needs about {size(needed)} of memory ({each}) "
            f"but {size(available)} are available; {advice}"
        )
