"""What the model is shown at each step: the basis vectors, sampled features or a fixed batch."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastpolysem import _checks

Magnitude = Literal["one", "uniform"]


@_checks.suggest_fields
@dataclass(frozen=True)
class Basis:
    """Each of the n basis vectors once per step: features never co-occur."""

    kind: ClassVar[str] = "basis"

    def _check(self, n_features: int) -> None:
        pass

    def _rows(self, n_features: int) -> int:
        return n_features

    def _scale(self, n_features: int, rows: int) -> float:
        return 1.0


@_checks.suggest_fields
@dataclass(frozen=True)
class Independent:
    """A fresh batch each step in which every feature is on independently of the others.

    Parameters
    ----------
    probability
        Chance that a feature is on in a row, 2**-32 <= probability <= 1.
    batch_size
        Rows per step.
    magnitude
        The value of a feature that is on: "one", or "uniform" for U(0, 1].
    """

    kind: ClassVar[str] = "independent"

    probability: float
    batch_size: int
    magnitude: Magnitude = "one"

    def __post_init__(self) -> None:
        _set(self, "probability", _checks.real, (">=", 2**-32), ("<=", 1))
        _set(self, "batch_size", _checks.integer, (">=", 1))
        _set(self, "magnitude", _checks.choice, get_args(Magnitude))

    def _check(self, n_features: int) -> None:
        pass

    def _rows(self, n_features: int) -> int:
        return self.batch_size

    def _scale(self, n_features: int, rows: int) -> float:
        return 1.0 / (rows * self.probability)


@_checks.suggest_fields
@dataclass(frozen=True)
class CorrelatedBlocks:
    """A fresh batch each step whose rows have one block of features on, with some of its features.

    The features are cut into ``blocks`` equal blocks in order. A row picks one block and, in it,
    exactly ``active`` features, each choice uniform; these are 1, all others 0.

    Parameters
    ----------
    blocks
        Number of blocks; it divides the number of features.
    active
        Features that are on in a row, 1 <= active <= n_features / blocks.
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

    def _check(self, n_features: int) -> None:
        if n_features % self.blocks:
            raise ValueError(
                f"Config: inputs with blocks={self.blocks} need n_features to be a multiple of "
                f"that, got n_features={n_features}"
            )
        if self.active > n_features // self.blocks:
            raise ValueError(
                f"Config: inputs with active={self.active} need blocks of at least as many "
                f"features, got n_features / blocks = {n_features // self.blocks}"
            )

    def _rows(self, n_features: int) -> int:
        return self.batch_size

    def _scale(self, n_features: int, rows: int) -> float:
        return n_features / (rows * self.active)


@dataclass(frozen=True, init=False, eq=False, repr=False)
class FixedBatch:
    """The same batch at every step, kept as a sparse matrix in compressed rows.

    Parameters
    ----------
    matrix
        (B, n) array, or any scipy.sparse matrix or array; row by row one input. Finite reals.

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
    Batches with equal matrices are equal, whatever they were made from. The arrays are read-only.
    """

    kind: ClassVar[str] = "fixed"

    indptr: NDArray[np.int64]
    indices: NDArray[np.int32]
    values: NDArray[np.float64]
    n_features: int

    def __init__(self, matrix: ArrayLike | Any) -> None:
        self._read("FixedBatch: matrix", matrix)

    def _read(self, label: str, matrix: Any) -> None:
        if hasattr(matrix, "tocsr"):  # scipy.sparse, known by what it does: no import needed
            csr = matrix.tocsr()
            self._keep(label, csr.indptr, csr.indices, csr.data, csr.shape[1])
        else:
            dense = _checks.array(label, matrix, np.float64, (2,))
            rows, columns = np.nonzero(dense)
            indptr = np.searchsorted(rows, np.arange(dense.shape[0] + 1))
            self._keep(label, indptr, columns, dense[rows, columns], dense.shape[1])

    @classmethod
    def from_csr(
        cls, indptr: ArrayLike, indices: ArrayLike, values: ArrayLike, n_features: int
    ) -> FixedBatch:
        """Batch from the arrays of a compressed sparse row matrix with ``n_features`` columns.

        Entries of a row may come in any order; entries of one place are added up, zeros dropped.
        """
        self = cls.__new__(cls)
        self._keep("FixedBatch", indptr, indices, values, n_features)
        return self

    def _keep(self, label: str, indptr: Any, indices: Any, values: Any, n_features: object) -> None:
        """Check the arrays of a CSR matrix and keep them in the one canonical form."""
        n = _checks.integer(f"{label}: n_features", n_features, (">=", 1), ("<", 2**31))
        starts = _index_array(f"{label}: indptr", indptr)
        columns = _index_array(f"{label}: indices", indices)
        data = _checks.array(f"{label}: values", values, np.float64, (1,))
        if len(starts) < 2:
            raise ValueError(f"{label} must have at least one row, got none")
        if len(columns) != len(data):
            raise ValueError(
                f"{label}: indices and values must be of one length, "
                f"got {len(columns)} and {len(data)}"
            )
        lengths = np.diff(starts)
        if starts[0] != 0 or starts[-1] != len(data) or (lengths < 0).any():
            raise ValueError(
                f"{label}: indptr must ascend from 0 to the number of entries {len(data)}, "
                f"got {_checks.shown(starts.tolist())}"
            )
        wrong = columns[(columns < 0) | (columns >= n)]
        if len(wrong):
            raise ValueError(f"{label}: indices must be >= 0 and < {n}, got {wrong[0]}")

        places = np.repeat(np.arange(len(lengths)), lengths) * n + columns
        places, inverse = np.unique(places, return_inverse=True)
        data = np.bincount(inverse, weights=data, minlength=len(places)).astype(np.float64)
        if not np.isfinite(data).all():
            raise ValueError(f"{label}: entries of one place add up to an infinite value")
        places, data = places[data != 0], data[data != 0]
        kept = {
            "indptr": np.searchsorted(places, np.arange(len(starts)) * n).astype(np.int64),
            "indices": (places % n).astype(np.int32),
            "values": data,
        }
        for name, part in kept.items():
            part.flags.writeable = False
            object.__setattr__(self, name, part)
        object.__setattr__(self, "n_features", n)

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

    def _check(self, n_features: int) -> None:
        if self.n_features != n_features:
            raise ValueError(
                f"Config: inputs must have n_features={n_features} columns, got {self!r}"
            )
        if not len(self.values):
            raise ValueError(f"Config: inputs must hold a non-zero entry, got {self!r}")

    def _rows(self, n_features: int) -> int:
        return self.shape[0]

    def _scale(self, n_features: int, rows: int) -> float:
        return 1.0


Inputs: TypeAlias = Basis | Independent | CorrelatedBlocks | FixedBatch
KINDS: dict[str, Any] = {cls.kind: cls for cls in get_args(Inputs)}


def as_batch(label: str, batch: object, n_features: int) -> FixedBatch:
    """A batch given by hand: a FixedBatch, or whatever one can be made from."""
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
    """The inputs as JSON can hold them: their kind and fields, on request without the defaults."""
    result: dict[str, Any] = {"kind": inputs.kind}
    for field in fields(inputs):
        value = getattr(inputs, field.name)
        if isinstance(value, np.ndarray):
            result[field.name] = value.tolist()
        elif defaults or value != field.default:
            result[field.name] = value
    return result


def from_dict(mapping: object) -> Inputs:
    """The inverse of :func:`to_dict`."""
    if not isinstance(mapping, Mapping) or "kind" not in mapping:
        raise _checks.refused("inputs", "a mapping with a 'kind'", mapping, kind=TypeError)
    values = dict(mapping)
    cls = KINDS[_checks.choice("inputs: kind", values.pop("kind"), KINDS)]
    _checks.known_names(cls.__name__, values, cls.__dataclass_fields__)
    inputs: Inputs = (FixedBatch.from_csr if cls is FixedBatch else cls)(**values)
    return inputs


def _set(inputs: Any, name: str, check: Any, *allowed: Any) -> None:
    label = f"{type(inputs).__name__}: {name}"
    object.__setattr__(inputs, name, check(label, getattr(inputs, name), *allowed))


def _index_array(label: str, values: object) -> NDArray[np.int64]:
    given = np.asarray(values)
    if given.ndim != 1 or (given.size and given.dtype.kind not in "iu"):
        raise _checks.refused(label, "a 1-d array of integers", given, kind=TypeError)
    return given.astype(np.int64)
