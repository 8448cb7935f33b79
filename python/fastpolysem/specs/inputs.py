"""The inputs of a step: the basis vectors, sampled features or a fixed batch."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastpolysem import _checks
from fastpolysem.specs import parts

Magnitude = Literal["one", "uniform", "sign", "signed_uniform"]


@_checks.suggest_fields
@dataclass(frozen=True)
class Basis:
    """Each of the n basis vectors once per step: features never co-occur."""

    kind: ClassVar[str] = "basis"

    def _check(self, label: str, size: str, n_features: int) -> None:
        """Refuse inputs that do not fit the number of features, which the config calls ``size``."""

    def _rows(self, n_features: int) -> int:
        return n_features

    def _scale(self, n_features: int, rows: int) -> float:
        return 1.0


@_checks.suggest_fields
@dataclass(frozen=True)
class Independent:
    """A new batch at each step, in which every feature is on independently of the others.

    Parameters
    ----------
    probability
        Probability that a feature is on in a row, 2**-32 <= probability <= 1; one number for all
        features, or (n,) numbers, for instance a Zipf law. Stored as a tuple unless all are equal.
    batch_size
        Rows per step.
    magnitude
        The value of a feature that is on: "one"; "uniform" for U(0, 1]; "sign" for 1 or -1 with
        equal probability; "signed_uniform" for U[-1, 1]. One name for all features, or (n,) names.
    """

    kind: ClassVar[str] = "independent"

    probability: float | Sequence[float]
    batch_size: int
    magnitude: Magnitude | Sequence[Magnitude] = "one"

    def __post_init__(self) -> None:
        _set_each(self, "probability", _checks.setting, (">=", 2**-32), ("<=", 1))
        _set(self, "batch_size", _checks.integer, (">=", 1))
        _set_each(self, "magnitude", _checks.choice, get_args(Magnitude))

    def _check(self, label: str, size: str, n_features: int) -> None:
        for name in ("probability", "magnitude"):
            value = getattr(self, name)
            if isinstance(value, tuple) and len(value) != n_features:
                raise ValueError(
                    f"{label} must have one {name} or one for each of {size}={n_features} "
                    f"features, got {len(value)}"
                )

    @property
    def _is_signed(self) -> bool:
        """Whether a value can be negative."""
        given = self.magnitude if isinstance(self.magnitude, tuple) else (self.magnitude,)
        return bool({"sign", "signed_uniform"} & set(given))

    def _rows(self, n_features: int) -> int:
        return self.batch_size

    def _scale(self, n_features: int, rows: int) -> float:
        if isinstance(self.probability, tuple):
            return n_features / (rows * sum(self.probability))
        return 1.0 / (rows * self.probability)  # type: ignore[operator]


@_checks.suggest_fields
@dataclass(frozen=True)
class CorrelatedBlocks:
    """A new batch at each step; in each row some features of one block are on, and no others.

    The features are divided, in order, into ``blocks`` blocks of equal size. Each row chooses one
    block, and exactly ``active`` features in it, uniformly at random; these are 1, all others 0.

    Parameters
    ----------
    blocks
        Number of blocks; must divide the number of features.
    active
        Number of features that are on in a row, 1 <= active <= n_features / blocks.
    batch_size
        Rows per step.
    """

    kind: ClassVar[str] = "correlated_blocks"

    blocks: int
    active: int
    batch_size: int

    def __post_init__(self) -> None:
        for name in ("blocks", "active", "batch_size"):
            _set(self, name, _checks.integer, (">=", 1))

    def _check(self, label: str, size: str, n_features: int) -> None:
        if n_features % self.blocks:
            raise ValueError(
                f"{label} with blocks={self.blocks} need {size} to be a multiple of that, "
                f"got {size}={n_features}"
            )
        if self.active > n_features // self.blocks:
            raise ValueError(
                f"{label} with active={self.active} need blocks of at least as many features, "
                f"got {size} / blocks = {n_features // self.blocks}"
            )

    def _rows(self, n_features: int) -> int:
        return self.batch_size

    def _scale(self, n_features: int, rows: int) -> float:
        return n_features / (rows * self.active)


@dataclass(frozen=True, init=False, eq=False, repr=False)
class FixedBatch:
    """The same batch at every step, stored as a sparse matrix in compressed rows.

    Parameters
    ----------
    matrix
        (B, n) array, or any scipy.sparse matrix or array, of finite reals; one input per row.

    Attributes
    ----------
    indptr : (B + 1,) int64
        Row b has the entries indptr[b] to indptr[b + 1].
    indices : (nnz,) int32
        The feature of each entry, ascending within a row.
    values : (nnz,) float64
        The entries, none of them zero.
    n_features : int
        Number of columns n.

    Notes
    -----
    Batches with equal matrices are equal, however they were created. The arrays are read-only.
    """

    kind: ClassVar[str] = "fixed"

    indptr: NDArray[np.int64]
    indices: NDArray[np.int32]
    values: NDArray[np.float64]
    n_features: int

    def __init__(self, matrix: ArrayLike | Any) -> None:
        self._read("FixedBatch: matrix", matrix)

    def _read(self, label: str, matrix: Any) -> None:
        if _checks.is_sparse(matrix):
            _check_sparse(label, matrix)
            _check_memory(label, matrix.shape[0], matrix.nnz)
            csr = matrix.tocsr()
            used = int(csr.indptr[-1])  # the arrays may have spare capacity
            self._keep(label, csr.indptr, csr.indices[:used], csr.data[:used], csr.shape[1])
        else:
            dense = _checks.array(label, matrix, np.float64, (2,))
            _check_memory(label, len(dense), int(np.count_nonzero(dense)))
            rows, columns = np.nonzero(dense)
            indptr = np.searchsorted(rows, np.arange(dense.shape[0] + 1))
            self._keep(label, indptr, columns, dense[rows, columns], dense.shape[1])

    @classmethod
    def from_csr(
        cls, indptr: ArrayLike, indices: ArrayLike, values: ArrayLike, n_features: int
    ) -> FixedBatch:
        """Batch from the arrays of a compressed sparse row matrix with ``n_features`` columns.

        Entries of a row may be in any order; duplicate entries are summed, zeros dropped.
        """
        self = cls.__new__(cls)
        self._keep("FixedBatch", indptr, indices, values, n_features)
        return self

    def _keep(self, label: str, indptr: Any, indices: Any, values: Any, n_features: object) -> None:
        """Check the arrays of a CSR matrix and store them in canonical form."""
        n = _checks.integer(f"{label}: n_features", n_features, (">=", 1), ("<", 2**31))
        starts = _index_array(f"{label}: indptr", indptr)
        columns = _index_array(f"{label}: indices", indices)
        data = _checks.array(f"{label}: values", values, np.float64, (1,))
        if len(starts) < 2:
            raise ValueError(f"{label} must have at least one row, got none")
        if len(columns) != len(data):
            raise ValueError(
                f"{label}: indices and values must have the same length, "
                f"got {len(columns)} and {len(data)}"
            )
        _check_memory(label, len(starts), len(data))
        _check_starts(label, starts, len(data))
        _check_range(f"{label}: indices", columns, n)
        lengths = np.diff(starts)
        places = np.repeat(np.arange(len(lengths)), lengths) * n + columns
        if not (data.all() and (places[1:] > places[:-1]).all()):
            places, inverse = np.unique(places, return_inverse=True)
            data = np.bincount(inverse, weights=data, minlength=len(places)).astype(np.float64)
            if not np.isfinite(data).all():
                raise ValueError(f"{label}: duplicate entries add up to an infinite value")
            places, data = places[data != 0], data[data != 0]
            columns = places % n
            starts = np.searchsorted(places, np.arange(len(starts)) * n)
        kept: dict[str, NDArray[Any]] = {
            "indptr": np.array(starts, dtype=np.int64),
            "indices": np.array(columns, dtype=np.int32),
            "values": np.array(data),
        }
        for name, part in kept.items():
            part.flags.writeable = False
            object.__setattr__(self, name, part)
        object.__setattr__(self, "n_features", n)

    def _check_dtype(self, label: str, dtype: str) -> None:
        """Refuse entries that overflow in the dtype."""
        largest = np.abs(self.values).max(initial=0)
        if largest > np.finfo(dtype).max:
            raise ValueError(f"{label} must hold entries that are finite in {dtype}, got {largest}")

    @property
    def shape(self) -> tuple[int, int]:
        """(B, n): rows and features."""
        return len(self.indptr) - 1, self.n_features

    def to_dense(self) -> NDArray[np.float64]:
        """The (B, n) matrix."""
        dense = np.zeros(self.shape)
        dense[np.repeat(np.arange(self.shape[0]), np.diff(self.indptr)), self.indices] = self.values
        return dense

    @functools.cached_property
    def _content(self) -> str:
        """Hash of the matrix, the same on every machine."""
        digest = hashlib.sha256(f"{self.shape}".encode())
        for part, order in ((self.indptr, "<i8"), (self.indices, "<i4"), (self.values, "<f8")):
            digest.update(part.astype(order).tobytes())
        return digest.hexdigest()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, FixedBatch):
            return NotImplemented
        return self._content == other._content

    def __hash__(self) -> int:
        return hash(self._content)

    def __reduce__(self) -> tuple[Any, ...]:
        return FixedBatch.from_csr, (self.indptr, self.indices, self.values, self.n_features)

    def __repr__(self) -> str:
        rows, n = self.shape
        return f"FixedBatch({rows} x {n}, {len(self.values)} non-zeros, {self._content[:8]})"

    def _check(self, label: str, size: str, n_features: int) -> None:
        if self.n_features != n_features:
            raise ValueError(f"{label} must have {size}={n_features} columns, got {self!r}")
        if not len(self.values):
            raise ValueError(f"{label} must hold a non-zero entry, got {self!r}")

    def _rows(self, n_features: int) -> int:
        return self.shape[0]

    def _scale(self, n_features: int, rows: int) -> float:
        return 1.0


Inputs: TypeAlias = Basis | Independent | CorrelatedBlocks | FixedBatch
KINDS: dict[str, Any] = {cls.kind: cls for cls in get_args(Inputs)}


def as_batch(label: str, batch: object, n_features: int) -> FixedBatch:
    """A batch given by the user: a FixedBatch, or anything one can be made from."""
    if isinstance(batch, FixedBatch):
        result = batch
    else:
        result = FixedBatch.__new__(FixedBatch)
        result._read(label, batch)
    if result.n_features != n_features:
        raise ValueError(
            f"{label} must have n_features={n_features} columns, got shape {result.shape}"
        )
    return result


def to_dict(inputs: Inputs, defaults: bool = True) -> dict[str, Any]:
    """The inputs in JSON form: their kind and fields, with or without defaults."""
    return parts.to_dict(inputs, defaults)


def from_dict(mapping: object) -> Inputs:
    """The inverse of :func:`to_dict`."""
    inputs: Inputs = parts.from_dict("inputs", mapping, KINDS)
    return inputs


def _set(inputs: Any, name: str, check: Any, *allowed: Any) -> None:
    label = f"{type(inputs).__name__}: {name}"
    object.__setattr__(inputs, name, check(label, getattr(inputs, name), *allowed))


def _set_each(inputs: Any, name: str, check: Any, *allowed: Any) -> None:
    """Check one value for all features or one each; a tuple is stored unless all are equal."""
    label, value = f"{type(inputs).__name__}: {name}", getattr(inputs, name)
    given = _checks.listed(label, value)
    if given is None:
        kept = check(label, value, *allowed)
    elif not given:
        raise ValueError(f"{label} must not be empty")
    else:
        each = tuple(check(f"{label}[{i}]", one, *allowed) for i, one in enumerate(given))
        kept = each[0] if len(set(each)) == 1 else each
    object.__setattr__(inputs, name, kept)


def _index_array(label: str, values: object) -> NDArray[np.int64]:
    given = _checks.as_array(label, values)
    if given.ndim != 1 or (given.size and given.dtype.kind not in "iu"):
        got = given if given.ndim else values
        raise _checks.refused(label, "a 1-d array of integers", got, kind=TypeError)
    if given.size and int(given.max()) >= 2**63:
        raise _checks.refused(label, "integers < 2**63", given.max())
    return given.astype(np.int64, copy=False)


def _check_range(label: str, indices: NDArray[Any], limit: int) -> None:
    if not len(indices):
        return
    for end in (indices.min(), indices.max()):
        if not 0 <= end < limit:
            raise ValueError(f"{label} must be >= 0 and < {limit}, got {end}")


def _check_starts(label: str, starts: NDArray[np.int64], entries: int) -> None:
    if starts[0] != 0 or starts[-1] != entries or (starts[1:] < starts[:-1]).any():
        raise ValueError(
            f"{label}: indptr must ascend from 0 to the number of entries {entries}, "
            f"got {_checks.shown(starts[:10].tolist())}"
        )


def _check_memory(label: str, rows: int, entries: int) -> None:
    """Refuse what is too large for the canonical form: ten numbers per entry, five per row."""
    parts = {f"sorting {entries} entries": 80 * entries, f"{rows} rows": 40 * rows}
    _checks.memory(label, parts, "use fewer rows or entries")


def _check_sparse(label: str, matrix: Any) -> None:
    """Refuse a scipy.sparse matrix whose arrays contradict each other: SciPy's conversions trust
    them and would read and write beyond the ends of the arrays."""
    if len(matrix.shape) != 2:
        raise _checks.refused(label, "a matrix with 2 axes", matrix)
    check = _SPARSE_CHECKS.get(getattr(matrix, "format", ""))
    if check is None:
        formats = ", ".join(_SPARSE_CHECKS)
        raise _checks.refused(label, f"a sparse matrix in one of the formats {formats}", matrix)
    check(label, matrix)


def _check_compressed(label: str, matrix: Any) -> None:
    rows, columns = matrix.shape
    if matrix.format == "bsr":
        height, width = matrix.data.shape[1:] if matrix.data.ndim == 3 else (0, 0)
        if not height or not width or rows % height or columns % width:
            raise ValueError(
                f"{label} of shape {matrix.shape} must consist of whole blocks, "
                f"got blocks of {height} x {width}"
            )
        rows, columns = rows // height, columns // width
    if matrix.format == "csc":
        rows, columns = columns, rows
    starts = _index_array(f"{label}: indptr", matrix.indptr)
    indices = _index_array(f"{label}: indices", matrix.indices)
    if len(starts) != rows + 1:
        raise ValueError(f"{label}: indptr must have length {rows + 1}, got {len(starts)}")
    room = min(len(indices), len(matrix.data))
    _check_starts(label, starts, min(int(starts[-1]), room))
    _check_range(f"{label}: indices", indices[: starts[-1]], columns)


def _check_coordinates(label: str, matrix: Any) -> None:
    for name, limit in zip(("row", "col"), matrix.shape, strict=True):
        indices = _index_array(f"{label}: {name}", getattr(matrix, name))
        if len(indices) != len(matrix.data):
            raise ValueError(
                f"{label}: {name} and data must have the same length, "
                f"got {len(indices)} and {len(matrix.data)}"
            )
        _check_range(f"{label}: {name}", indices, limit)


def _check_diagonals(label: str, matrix: Any) -> None:
    offsets = _index_array(f"{label}: offsets", matrix.offsets)
    if matrix.data.ndim != 2 or len(matrix.data) != len(offsets):
        raise ValueError(
            f"{label}: data must have one row for each of the {len(offsets)} offsets, "
            f"got shape {matrix.data.shape}"
        )
    if len(np.unique(offsets)) < len(offsets):
        raise _checks.refused(f"{label}: offsets", "different", offsets.tolist())


def _check_lists(label: str, matrix: Any) -> None:
    lengths = [
        [len(part) for part in parts] if parts.shape == matrix.shape[:1] else []
        for parts in (matrix.rows, matrix.data)
    ]
    if lengths[0] != lengths[1] or len(lengths[0]) != matrix.shape[0]:
        raise ValueError(f"{label}: rows and data must hold lists of equal lengths, got others")
    for row in matrix.rows:
        _check_range(f"{label}: rows", _index_array(f"{label}: rows", row), matrix.shape[1])


def _check_keys(label: str, matrix: Any) -> None:
    keys = matrix.keys()  # iterating over the matrix itself may give its rows
    for key in keys:
        if not all(0 <= index < size for index, size in zip(key, matrix.shape, strict=True)):
            raise ValueError(f"{label}: keys must lie within the shape {matrix.shape}, got {key}")


_SPARSE_CHECKS: dict[str, Callable[[str, Any], None]] = {
    "csr": _check_compressed,
    "csc": _check_compressed,
    "bsr": _check_compressed,
    "coo": _check_coordinates,
    "dia": _check_diagonals,
    "lil": _check_lists,
    "dok": _check_keys,
}
