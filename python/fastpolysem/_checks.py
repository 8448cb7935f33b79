"""Checks of arguments, whose error messages name the argument, its value and what is allowed.

They are in this one long file so that their messages are worded alike.

A ``label`` identifies an argument, such as ``"Config: l1"`` or ``"train: seeds"``. Wrong types
raise TypeError, wrong values ValueError, and sizes that exceed the memory MemoryError.
"""

from __future__ import annotations

import functools
import math
import numbers
import operator
import os
import re
import reprlib
import sys
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Set
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeGuard, TypeVar

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

_INSIDE = (__name__.partition(".")[0], "dataclasses")  # dataclasses.replace creates configurations

_NEGLIGIBLE = 2**20  # bytes; querying the available memory takes longer than a small pass

# Names used in other programs and papers.
_SYNONYMS: dict[str, tuple[str, ...]] = {
    "batch": ("inputs", "batch_size"),
    "bernoulli": ("rademacher",),
    "beta": ("betas",),
    "beta1": ("betas",),
    "beta2": ("betas",),
    "double": ("float64",),
    "epochs": ("steps",),
    "eps": ("epsilon",),
    "float": ("float32",),
    "gauss": ("gaussian", "normal"),
    "gaussian": ("normal",),
    "glorot": ("xavier",),
    "hidden": ("widths",),
    "iterations": ("steps",),
    "l2": ("weight_decay",),
    "lam": ("l1",),
    "lambda": ("l1",),
    "layers": ("widths",),
    "lr": ("learning_rate",),
    "normal": ("gaussian",),
    "p": ("probability",),
    "sigma": ("noise_std",),
    "sizes": ("widths",),
    "single": ("float32",),
    "std": ("noise_std",),
    "wd": ("weight_decay",),
}


_EXPLAINED: dict[tuple[str, str], str] = {}
"""Why something does not have a name, by what it is and the name."""


def is_sparse(value: Any) -> TypeGuard[Any]:
    """Whether this is a scipy.sparse matrix, judged by its attributes, without importing SciPy."""
    return hasattr(value, "tocsr") and hasattr(value, "shape")


def printable(text: str) -> str:
    """The text with control, invisible and invalid characters escaped."""
    return "".join(
        one if one.isprintable() else one.encode("unicode_escape").decode("ascii") for one in text
    )


def shown(value: object) -> str:
    """A refused value for messages: arrays by shape and dtype, anything else by a short repr."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, int) and value.bit_length() > 10_000:  # Python refuses to write it
        return f"an integer of {value.bit_length()} bits"
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape} and dtype {value.dtype}"
    if isinstance(value, type):
        return f"the class {value.__name__}"
    if is_sparse(value):
        return f"a {type(value).__name__} of shape {value.shape}"
    short = reprlib.Repr()
    short.maxstring = short.maxother = short.maxlong = 80
    return short.repr(value)


def shapes_shown(value: Any) -> str:
    """A named tuple of arrays, or of lists of arrays, by their shapes."""

    def of(part: Any) -> str:
        if hasattr(part, "shape"):
            return str(tuple(part.shape))
        if isinstance(part, (list, tuple)) and any(hasattr(one, "shape") for one in part):
            return f"[{', '.join(map(of, part))}]"
        return shown(part)

    parts = (f"{name}: {of(part)}" for name, part in zip(value._fields, value, strict=True))
    return f"<{type(value).__name__} of shapes {', '.join(parts)}>"


def refused(
    label: str, allowed: str, value: object, hint: str = "", kind: type[Exception] = ValueError
) -> Exception:
    """The error to raise for a ``value`` that is not ``allowed``."""
    return kind(f"{label} must be {allowed}, got {shown(value)}{hint}")


def instance(label: str, value: object, kind: type[T], allowed: str) -> T:
    """An object of a class."""
    if not isinstance(value, kind):
        raise refused(label, allowed, value, kind=TypeError)
    return value


def warn(message: str) -> None:
    """Issue a UserWarning for the calling line outside the package."""
    level, frame = 2, sys._getframe(1)
    while frame.f_back and str(frame.f_globals.get("__name__")).partition(".")[0] in _INSIDE:
        level, frame = level + 1, frame.f_back
    warnings.warn(message, stacklevel=level)


def add_synonyms(synonyms: Mapping[str, tuple[str, ...]]) -> None:
    """Register further synonyms, in lower case, for `nearest`."""
    for name, meant in synonyms.items():
        _SYNONYMS[name] = (*_SYNONYMS.get(name, ()), *meant)


def explain(where: str, explanations: Mapping[str, str]) -> None:
    """For names that something does not have, say why instead of suggesting a similar name."""
    for name, said in explanations.items():
        _EXPLAINED[where, name] = f"; {said}"


def synonym(name: str, allowed: Iterable[str]) -> str:
    """The allowed name that others call by a name; "" if there is none."""
    names = set(allowed)
    return next((one for one in _SYNONYMS.get(name.lower(), ()) if one in names), "")


def nearest(name: str, allowed: Iterable[str]) -> str:
    """``"; did you mean ...?"`` with the allowed name that is a synonym or most similar; "" if
    there is none."""
    import difflib  # needed only for errors

    by_lower = {candidate.lower(): candidate for candidate in allowed}
    known = synonym(name, by_lower)
    close = [known] if known else difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.6)
    return f"; did you mean {by_lower[close[0]]!r}?" if close else ""


def choice(label: str, value: object, allowed: Iterable[str]) -> str:
    """One of a set of names."""
    names = tuple(allowed)
    expected = "one of " + ", ".join(map(repr, names))
    if not isinstance(value, str):
        raise refused(label, expected, value, kind=TypeError)
    if value not in names:
        raise refused(label, expected, value, nearest(value, names))
    return names[names.index(value)]  # not a member of an enumeration that equals it


def text(label: str, value: object) -> str:
    """A non-empty text."""
    if not isinstance(value, str):
        raise refused(label, "text", value, kind=TypeError)
    if not value:
        raise refused(label, "a non-empty text", value)
    return str.__str__(value)


def known_names(
    where: str, given: Iterable[object], allowed: Iterable[str], kind: str = "field"
) -> None:
    """Refuse names that ``where`` does not have, be they of fields or of another kind."""
    names = tuple(allowed)
    for name in given:
        if name not in names:
            said = _EXPLAINED.get((where, str(name)))
            hint = said or (nearest(name, names) if isinstance(name, str) else "")
            hint = hint or f"; it has {', '.join(names)}"
            raise TypeError(f"{where} has no {kind} {name!r}{hint}")


def suggest_fields(cls: type[T]) -> type[T]:
    """Class decorator for dataclasses: the error for an unknown keyword suggests a field."""
    init: Callable[..., None] = cls.__init__
    names = [field.name for field in fields(cls)]  # type: ignore[arg-type]

    @functools.wraps(init)
    def checked(self: T, *args: Any, **kwargs: Any) -> None:
        known_names(cls.__name__, kwargs, names)
        init(self, *args, **kwargs)

    cls.__init__ = checked  # type: ignore[method-assign,assignment]
    return cls


def _described(what: str, bounds: tuple[Bound, ...]) -> str:
    return f"{what} {' and '.join(f'{sign} {limit}' for sign, limit in bounds)}".rstrip()


def _within(number: float, bounds: tuple[Bound, ...]) -> bool:
    return all(_COMPARISONS[sign](number, limit) for sign, limit in bounds)


def integer(label: str, value: object, *bounds: Bound) -> int:
    """An integer within the bounds, of Python or NumPy type, but not a bool or float."""
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
        number = float(value) + 0.0  # -0.0 becomes 0.0, so that equal settings look equal
    except OverflowError:
        number = math.inf
    if math.isnan(number) or (finite and math.isinf(number)) or not _within(number, bounds):
        raise refused(label, _described(*allowed), value)
    return number


def bounds(label: str, value: Any) -> tuple[float, float]:
    """A pair of bounds, low < high; None, also as one of them, means none and becomes infinite."""
    allowed = "a pair (low, high), each a number or None, low < high"
    if value is None:
        return -math.inf, math.inf
    try:
        low, high = value
        pair = (
            -math.inf if low is None else real(label, low, finite=False),
            math.inf if high is None else real(label, high, finite=False),
        )
    except (TypeError, ValueError) as error:
        raise refused(label, allowed, value, kind=type(error)) from None
    if not pair[0] < pair[1]:
        raise refused(label, allowed, value)
    return pair


def setting(label: str, value: object, *bounds: Bound) -> float:
    """A finite real number that enters a digest, checked with `warn_if_rounded`."""
    number = real(label, value, *bounds)
    warn_if_rounded(label, [value])
    return number


def warn_if_rounded(label: str, values: Iterable[object]) -> None:
    """Warn if a number of lower precision differs from its decimal representation."""
    for value in values:
        if isinstance(value, np.floating) and np.finfo(value.dtype).bits < 64:
            written, held = str(value), float(value)
            if float(written) != held:
                warn(
                    f"{label} is {held!r}, the value of {value.dtype}({written}), and not "
                    f"{written}, which has another digest; pass a Python number to get that one"
                )
                return


def flag(label: str, value: object) -> bool:
    """True or False; 0 and 1 are refused."""
    if not isinstance(value, (bool, np.bool_)):
        raise refused(label, "True or False", value, kind=TypeError)
    return bool(value)


def array(label: str, value: object, dtype: DTypeLike, ndims: Iterable[int]) -> NDArray[Any]:
    """A finite contiguous array of ``dtype`` with an allowed number of axes, copied if necessary.

    Booleans, integers and floats of any layout are accepted. Complex numbers, objects, text, masked
    arrays and values that overflow in ``dtype`` are refused. A copy that would not fit into memory
    is refused before it is made.
    """
    return _contiguous(label, _readable(label, value, ndims), dtype)


def as_array(label: str, value: object) -> NDArray[Any]:
    """The value as a NumPy array; raises a TypeError with the label if this is not possible.

    The only entry point for arrays of any origin: lists, tables, and tensors on any device, with a
    gradient, in types that NumPy does not have, or within lists.
    """
    if is_sparse(value):
        raise refused(label, "a dense array", value, "; use its toarray()", kind=TypeError)
    if isinstance(value, np.ndarray) and hasattr(value, "mask"):
        raise TypeError(f"{label} must be a plain array, got a masked one; fill it first")
    try:
        given = np.asarray(_without_tensors(value))
        if given.dtype.kind == "V" and given.dtype.type is not np.void:
            given = given.astype(np.float32)  # bfloat16 and similar types, represented exactly
    except Exception as error:  # __array__ or a ragged list may raise anything
        raise TypeError(f"{label} cannot be read as an array: {error}") from error
    return given


def _without_tensors(value: Any) -> Any:
    """The value with tensors, recognised by their methods, replaced by what NumPy can read."""
    if hasattr(value, "detach"):
        plain = value.detach().cpu()
        try:
            return plain.numpy()
        except TypeError:
            return plain.float().numpy()  # bfloat16, which NumPy does not have
    if isinstance(value, (list, tuple)):
        nested = any(isinstance(one, (list, tuple)) or hasattr(one, "detach") for one in value)
        return [_without_tensors(one) for one in value] if nested else value
    return value


def _readable(label: str, value: object, ndims: Iterable[int]) -> NDArray[Any]:
    """An array of real numbers with an allowed number of axes, not copied."""
    given = as_array(label, value)
    if given.dtype.kind not in _REAL_KINDS:
        got = value if given.ndim == 0 else given  # NumPy wraps unknown objects
        raise refused(label, "an array of real numbers", got, kind=TypeError)
    allowed = tuple(ndims)
    if given.ndim not in allowed:
        axes = " or ".join(map(str, allowed))
        raise refused(label, f"an array with {axes} {'axis' if axes == '1' else 'axes'}", given)
    return given


def reals(label: str, value: object, allowed: str = "real numbers") -> NDArray[np.float64]:
    """Real numbers of any shape as float64; infinite and missing ones are left to the caller."""
    given = as_array(label, value)
    if given.dtype.kind not in _REAL_KINDS:
        raise refused(label, allowed, value, kind=TypeError)
    with np.errstate(over="ignore"):
        return np.asarray(given, dtype=np.float64)


def _contiguous(label: str, given: NDArray[Any], dtype: DTypeLike) -> NDArray[Any]:
    copy = {f"a contiguous copy in {np.dtype(dtype)}": copied_bytes(given, dtype)}
    memory(label, copy, "pass a smaller array or one that needs no copy")
    with np.errstate(over="ignore", invalid="ignore"):
        result = np.ascontiguousarray(given, dtype=dtype)
        ends = (result.min(), result.max()) if result.size else ()  # nan if it contains nan
    if not np.isfinite(ends).all():
        first = np.unravel_index(np.argmin(np.isfinite(result)), result.shape)
        where = tuple(int(i) for i in first)
        raise ValueError(
            f"{label} must hold finite numbers only, got {given[where]} at index {where}"
            + (f", which overflows in {result.dtype}" if np.isfinite(given[where]) else "")
        )
    return result


def copied_bytes(value: object, dtype: DTypeLike, axes: int | None = None) -> int:
    """Size of the copy made by `array`, or by `stacked` for parts with ``axes`` axes.

    0 for anything that is not an array yet, such as a list, whose size is known only later.
    """
    if not isinstance(value, np.ndarray):
        return 0
    if axes is not None and value.ndim == axes + 1:
        value = _unrepeated(value)
    if value.dtype == dtype and value.flags.c_contiguous:
        return 0
    return value.size * np.dtype(dtype).itemsize


def _unrepeated(stack: NDArray[Any]) -> NDArray[Any]:
    """The first part of a stack whose parts share their memory, as after broadcasting."""
    return stack[:1] if len(stack) > 1 and stack.strides[0] == 0 else stack


def stacked(
    label: str,
    value: object,
    shape: tuple[int, ...],
    dtype: DTypeLike,
    count: int | None,
) -> NDArray[Any]:
    """One array of ``shape``, or a stack of ``count`` of them (None: any number).

    Returns an array with a leading axis of length 1 (one for all) or ``count``.
    """
    axes = len(shape)
    given = _readable(label, value, (axes, axes + 1))
    length = 1 if given.ndim == axes else len(given)
    if given.shape[-axes:] != shape or (count is not None and length not in (1, count)):
        wanted = ("S" if count is None else str(count), *map(str, shape))
        hint = ""
        if axes > 1 and given.shape[-2:] == (shape[-1], shape[-2]) != shape[-2:]:
            hint = f"; is it transposed? Its last two axes should have lengths {shape[-2:]}"
        raise ValueError(
            f"{label} must have shape {shape} or ({', '.join(wanted)}), got {given.shape}{hint}"
        )
    if given.ndim == axes:
        return _contiguous(label, given, dtype)[np.newaxis]
    return _contiguous(label, given if count is None else _unrepeated(given), dtype)


def repeated(label: str, stack: NDArray[Any], count: int) -> NDArray[Any]:
    """A contiguous stack of length ``count``, from a stack of that length or of length 1."""
    if len(stack) == count:
        return stack
    memory(label, {f"{count} copies": count * stack.nbytes}, "use fewer models in one call")
    return np.repeat(stack, count, axis=0)


def integers(label: str, values: object, *bounds: Bound) -> list[int]:
    """A one-dimensional collection of integers, each within the bounds."""
    if hasattr(values, "__array__"):
        values = as_array(label, values)
        if values.ndim != 1 or (values.size and values.dtype.kind not in "iu"):
            raise refused(label, "a 1-d array of integers", values, kind=TypeError)
        checked: list[int] = values.tolist()
        if not checked or (_within(min(checked), bounds) and _within(max(checked), bounds)):
            return checked
        values = checked  # the message names one of them
    unordered = (str, bytes, Mapping, Set)
    if not isinstance(values, Collection) or isinstance(values, unordered):
        raise refused(label, "a list of integers", values, kind=TypeError)
    return [integer(f"{label}[{i}]", value, *bounds) for i, value in enumerate(values)]


def listed(label: str, value: object) -> list[Any] | None:
    """The entries of a list, tuple or array with axes, unchanged; None for anything else."""
    if hasattr(value, "__array__") and not isinstance(value, np.generic):
        array = as_array(label, value)
        return [*array] if array.ndim else None
    return [*value] if isinstance(value, (tuple, list, range)) else None


def size(number: float) -> str:
    """A number of bytes in binary units."""
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if number < 1024:
            return f"{number:.4g} {unit}"
        number /= 1024
    return f"{number:.4g} PiB"


def available_memory() -> int | None:
    """Bytes that this process can still allocate; None if the system does not provide this.

    The minimum of what the machine, the process's control groups and its own limit leave.
    """
    known = (_free_memory(), _group_memory(), _address_space())
    return min((one for one in known if one is not None), default=None)


def _free_memory() -> int | None:
    free = _entry("/proc/meminfo", "MemAvailable:")
    if free is not None:
        return free * 1024
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return None


_GROUPS, _MOUNTED = "/proc/self/cgroup", "/sys/fs/cgroup"


def _groups(controller: str, groups: str | Path, mounted: str | Path) -> Iterator[tuple[int, Path]]:
    """Folders of the Linux control groups (containers, batch systems) of this process, with the
    version of their files; the limits of enclosing groups apply too."""
    try:
        lines = Path(groups).read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    for line in lines:
        number, controllers, path = line.split(":", 2)
        if number == "0":
            version, root = 2, Path(mounted)
        elif controller in controllers.split(","):
            named = Path(mounted, controller)
            version, root = 1, named if named.exists() else Path(mounted, controllers)
        else:
            continue
        group = root / path.lstrip("/")
        for folder in (group, *group.parents):
            yield version, folder
            if folder == root:
                break


def _group_memory(groups: str | Path = _GROUPS, mounted: str | Path = _MOUNTED) -> int | None:
    """Bytes left by control groups; page cache counts as free."""
    left: list[int] = []
    for version, folder in _groups("memory", groups, mounted):
        if version == 2:
            names = "memory.max", "memory.current", "inactive_file"
        else:
            names = "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"
        limit, used = _entry(folder / names[0]), _entry(folder / names[1])
        if limit is not None and used is not None:
            cached = _entry(folder / "memory.stat", names[2]) or 0
            left.append(max(0, limit - used + cached))
    return min(left, default=None)


def available_cores() -> int:
    """Number of threads that can run at a time: the processors this process may use, limited by the
    quotas of its control groups, rounded up."""
    try:
        allowed = len(os.sched_getaffinity(0))
    except (AttributeError, OSError):  # macOS
        allowed = os.cpu_count() or 1
    return max(1, math.ceil(min(allowed, _own_quota())))


@functools.cache  # reading it takes longer than training a small model
def _own_quota() -> float:
    return _group_cores()


def _group_cores(groups: str | Path = _GROUPS, mounted: str | Path = _MOUNTED) -> float:
    """Number of processors allowed by the quotas of control groups, infinite without any."""
    least = math.inf
    for version, folder in _groups("cpu", groups, mounted):
        if version == 2:
            quota, period = _numbers(folder / "cpu.max")
        else:
            quota, _ = _numbers(folder / "cpu.cfs_quota_us")
            period, _ = _numbers(folder / "cpu.cfs_period_us")
        if quota > 0 and period > 0:  # -1 and "max" mean no limit
            least = min(least, quota / period)
    return least


def _numbers(path: Path) -> tuple[int, int]:
    """The one or two numbers in a file; -1 for anything else."""
    try:
        words = path.read_text(encoding="ascii").split()
    except (OSError, ValueError):
        words = []
    first, second = (int(one) if one.isdecimal() else -1 for one in [*words, "", ""][:2])
    return first, second


def _address_space() -> int | None:
    """Bytes left by the limit of the address space (``ulimit -v``)."""
    try:
        import resource

        limit = resource.getrlimit(resource.RLIMIT_AS)[0]
        used = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    except (ImportError, OSError, ValueError):
        return None
    if limit == resource.RLIM_INFINITY:
        return None
    return max(0, limit - used * resource.getpagesize())


def _entry(path: str | Path, name: str | None = None) -> int | None:
    """The number with this name in a file of names and numbers, or the only number in a file."""
    try:
        for line in Path(path).read_text(encoding="ascii").splitlines():
            words = line.split()
            if name is None or words[0] == name:
                return int(words[0 if name is None else 1])
    except (OSError, ValueError, IndexError):  # "max" means no limit
        pass
    return None


def memory(where: str, parts: Mapping[str, int], advice: str) -> None:
    """Refuse, before anything is allocated, what would not fit into the available memory."""
    needed = sum(parts.values())
    if needed <= _NEGLIGIBLE:
        return
    available = available_memory()
    if available is not None and needed > available:
        each = ", ".join(f"{size(bytes_)} for {what}" for what, bytes_ in parts.items() if bytes_)
        raise MemoryError(
            f"{where} needs about {size(needed)} of memory ({each}) "
            f"but {size(available)} are available; {advice}"
        )


# A URL has two slashes as a string; Path reduces them to one.
_URL = re.compile(
    r"[a-z][a-z0-9+.-]+://|"
    r"(?:abfss?|az|adl|file|ftp|gcs|gs|hdfs|https?|memory|s3|s3a|s3n|sftp|smb|ssh|webhdfs):/",
    re.IGNORECASE,
)


def file_path(label: str, value: object) -> Path:
    """A path to a file or folder; a leading ``~`` is a home directory, as in a shell."""
    text = os.fspath(value) if isinstance(value, (str, os.PathLike)) else None
    if not isinstance(text, str):
        raise refused(label, "a path", value, kind=TypeError)
    if not text or "\0" in text:
        raise refused(label, "a non-empty path without null characters", value)
    if _URL.match(text):
        raise refused(label, "a path on a mounted file system, not a URL", value)
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise refused(
            label, "a path that begins with the home directory of a user or is absolute", value
        ) from None


def shown_path(path: Path) -> str:
    """A short form of a path, relative to the current folder if it lies there."""
    try:
        return str(path.relative_to(Path.cwd()))
    except (OSError, ValueError):
        return str(path)
