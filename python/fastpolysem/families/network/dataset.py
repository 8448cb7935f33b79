"""Data sets: given rows of inputs and targets."""

from __future__ import annotations

import functools
import weakref
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastpolysem import _checks
from fastpolysem._files import hash_of_arrays
from fastpolysem.families.base import Arrays
from fastpolysem.specs.inputs import FixedBatch

__all__ = ["Dataset"]

# Names in a file of arrays.
_PARTS = ("rows", "held_out")
_CSR = ("indptr", "indices", "values")


@dataclass(frozen=True, eq=False)
class _Content:
    """The arrays of a data set, which several data sets with different options may share."""

    inputs: FixedBatch
    targets: NDArray[Any]
    held_out: tuple[FixedBatch, NDArray[Any]] | None

    @property
    def has_classes(self) -> bool:
        return self.targets.ndim == 1

    @property
    def pairs(self) -> list[tuple[FixedBatch, NDArray[Any]]]:
        """Inputs and targets of the training rows, then of the held-out rows."""
        return [(self.inputs, self.targets), *([self.held_out] if self.held_out else [])]

    @functools.cached_property
    def sha256(self) -> str:
        digest = hash_of_arrays(self.arrays)
        _known.setdefault(digest, self)
        return digest

    @property
    def arrays(self) -> Arrays:
        found: Arrays = {}
        for name, (inputs, targets) in zip(_PARTS, self.pairs, strict=False):
            found |= {f"{name}.{part}": getattr(inputs, part) for part in _CSR}
            found |= {f"{name}.shape": np.array(inputs.shape, np.int64), f"{name}.targets": targets}
        return found

    @classmethod
    def of(cls, arrays: Arrays) -> _Content:
        """The inverse of `arrays`."""
        pairs = []
        for name in _PARTS:
            if f"{name}.shape" in arrays:
                parts = {part: arrays[f"{name}.{part}"] for part in _CSR}
                columns = int(arrays[f"{name}.shape"][1])
                inputs = FixedBatch.from_csr(**parts, n_features=columns)
                pairs.append(_checked_pair("Dataset", inputs, arrays[f"{name}.targets"]))
        return cls(*pairs[0], pairs[1] if len(pairs) > 1 else None)


# A configuration from a file or another process refers to its data set by hash. These are the data
# sets that are still in use in this process, and the last ones that were read.
_known: weakref.WeakValueDictionary[str, _Content] = weakref.WeakValueDictionary()
_recent: deque[_Content] = deque(maxlen=4)


@_checks.suggest_fields
@dataclass(frozen=True, init=False, eq=False, repr=False)
class Dataset:
    """Given rows of inputs with their targets.

    Parameters
    ----------
    inputs
        (N, d_0) array, or any scipy.sparse matrix or array; one input per row. Finite reals.
    targets
        (N, d_L) finite reals, or for the cross-entropy (N,) integers: the classes 0 to d_L - 1.
    batch_size
        Rows per step, drawn from the seed's stream without repetition within an epoch; a batch may
        span two epochs. None uses all rows at every step, in the given order.
    label_noise
        Probability that the class of a training row is replaced by a different one, chosen
        uniformly and drawn once per seed; 0 <= label_noise < 1. For classes only.
    held_out
        A pair (inputs, targets) of rows that are never trained on; label noise does not affect
        them.

    Attributes
    ----------
    inputs : FixedBatch
    targets : (N, d_L) float64 or (N,) int64
    held_out : pair of the same, or None

    Notes
    -----
    Data sets with equal content are equal, and so are their hashes. The arrays are read-only.
    """

    kind: ClassVar[str] = "dataset"

    inputs: FixedBatch
    targets: NDArray[Any]
    batch_size: int | None
    label_noise: float
    held_out: tuple[FixedBatch, NDArray[Any]] | None
    _content: ClassVar[_Content]  # of the instance

    def __init__(
        self,
        inputs: ArrayLike | Any,
        targets: ArrayLike,
        batch_size: int | None = None,
        label_noise: float = 0.0,
        held_out: tuple[Any, Any] | None = None,
    ) -> None:
        rows = _checked_pair("Dataset", inputs, targets)
        self._keep(_Content(*rows, _checked_held_out(held_out, *rows)), batch_size, label_noise)

    def _keep(self, content: _Content, batch_size: object, label_noise: object) -> None:
        count = content.inputs.shape[0]
        if batch_size is not None:
            bounds = (">=", 1), ("<=", count)
            batch_size = _checks.integer("Dataset: batch_size", batch_size, *bounds)
        label = "Dataset: label_noise"
        noise = _checks.setting(label, label_noise, (">=", 0), ("<", 1))
        if noise and not content.has_classes:
            raise _checks.refused(label, "0 unless targets are classes", label_noise)
        if noise and not 2**-32 <= noise <= 1 - 2**-32:
            # A class is replaced if a random 32-bit number is below the probability.
            raise _checks.refused(label, "0 or between 2**-32 and 1 - 2**-32", label_noise)
        kept = {
            "inputs": content.inputs,
            "targets": content.targets,
            "batch_size": batch_size,
            "label_noise": noise,
            "held_out": content.held_out,
            "_content": content,
        }
        for name, value in kept.items():
            object.__setattr__(self, name, value)

    @classmethod
    def known(
        cls, sha256: str, batch_size: int | None = None, label_noise: float = 0.0
    ) -> Dataset | None:
        """The data set with this hash and these options, if this process has its arrays."""
        content = _known.get(sha256)
        if content is None:
            return None
        self = cls.__new__(cls)
        self._keep(content, batch_size, label_noise)
        return self

    @property
    def has_classes(self) -> bool:
        """Whether the targets are one class per row."""
        return self._content.has_classes

    @property
    def sha256(self) -> str:
        """Hash of the arrays, the same on every machine."""
        return self._content.sha256

    @property
    def attachments(self) -> Mapping[str, Arrays]:
        """The arrays by their hash."""
        return {self.sha256: self._content.arrays}

    def _to_dict(self, defaults: bool) -> dict[str, Any]:
        """The data set in JSON form, with the hash instead of the arrays."""
        result: dict[str, Any] = {"kind": self.kind, "sha256": self.sha256}
        if defaults or self.batch_size is not None:
            result["batch_size"] = self.batch_size
        if defaults or self.label_noise:
            result["label_noise"] = self.label_noise
        return result

    @classmethod
    def _from_dict(
        cls, mapping: Mapping[str, Any], attachments: Callable[[str], Arrays] | None
    ) -> Dataset:
        """The inverse of `_to_dict`, with arrays of this process or from ``attachments``."""
        values = {name: value for name, value in mapping.items() if name != "kind"}
        _checks.known_names("Dataset", values, ("sha256", "batch_size", "label_noise"))
        sha256 = _checks.text("Dataset: sha256", values.get("sha256"))
        if sha256 not in _known and attachments is not None:
            arrays = attachments(sha256)
            if (found := hash_of_arrays(arrays)) != sha256:
                raise ValueError(f"Dataset: the arrays of {sha256} have the hash {found}")
            content = _Content.of(arrays)
            vars(content)["sha256"] = sha256  # avoids computing it again
            _known[sha256] = content
            _recent.append(content)
        data = cls.known(**values)
        if data is None:
            raise ValueError(
                f"Dataset: the arrays with the hash {sha256} must have been created or read in "
                "this process, but have not; call fp.Dataset with them, or open their study"
            )
        return data

    def _identity(self) -> tuple[Any, ...]:
        return self.sha256, self.batch_size, self.label_noise

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Dataset):
            return NotImplemented
        return self is other or self._identity() == other._identity()

    def __hash__(self) -> int:
        return hash(self._identity())

    def __reduce__(self) -> tuple[Any, ...]:
        given = self.inputs, self.targets, self.batch_size, self.label_noise, self.held_out
        return Dataset, given

    def __repr__(self) -> str:
        rows, n = self.inputs.shape
        parts = [
            f"{rows} x {n}",
            "classes" if self.has_classes else f"targets {self.targets.shape}",
        ]
        if self.batch_size is not None:
            parts.append(f"batch_size={self.batch_size}")
        if self.label_noise:
            parts.append(f"label_noise={self.label_noise}")
        if self.held_out is not None:
            parts.append(f"{self.held_out[0].shape[0]} held out")
        return f"Dataset({', '.join(parts)}, {self.sha256[:8]})"

    # Called by configurations

    def _check(self, label: str, size: str, n_features: int) -> None:
        if self.inputs.n_features != n_features:
            raise ValueError(f"{label} must have {size}={n_features} columns, got {self!r}")

    def _check_targets(self, label: str, outputs: int) -> None:
        """Refuse classes or columns without a corresponding output."""
        for _, targets in self._content.pairs:
            if self.has_classes and targets.max() >= outputs:
                raise ValueError(
                    f"{label} must have classes < widths[-1]={outputs}, got {targets.max()}"
                )
            if not self.has_classes and targets.shape[1] != outputs:
                raise ValueError(
                    f"{label} must have targets with widths[-1]={outputs} columns, "
                    f"got shape {targets.shape}"
                )

    def _check_dtype(self, label: str, dtype: str) -> None:
        """Refuse entries that overflow in the dtype."""
        for inputs, _ in self._content.pairs:
            inputs._check_dtype(label, dtype)
        largest = max(map(abs, self._target_range))
        if largest > float(np.finfo(dtype).max):
            raise ValueError(f"{label} must have targets that are finite in {dtype}, got {largest}")

    @property
    def _target_range(self) -> tuple[float, float]:
        """Smallest and largest target; 0 for classes."""
        if self.has_classes:
            return 0.0, 0.0
        ends = [(float(targets.min()), float(targets.max())) for _, targets in self._content.pairs]
        return min(low for low, _ in ends), max(high for _, high in ends)

    def _rows(self, n_features: int) -> int:
        return self.inputs.shape[0] if self.batch_size is None else self.batch_size


def _checked_pair(label: str, inputs: Any, targets: Any) -> tuple[FixedBatch, NDArray[Any]]:
    if isinstance(inputs, FixedBatch):
        rows = inputs
    else:
        rows = FixedBatch.__new__(FixedBatch)
        rows._read(f"{label}: inputs", inputs)
    wanted = _checked_targets(f"{label}: targets", targets)
    if len(wanted) != rows.shape[0]:
        raise ValueError(
            f"{label}: targets must have one entry per row of the inputs, {rows.shape[0]}, "
            f"got {len(wanted)}"
        )
    return rows, wanted


def _checked_targets(label: str, targets: Any) -> NDArray[Any]:
    """A read-only copy: reals (rows, outputs), or classes (rows,)."""
    given = _checks.as_array(label, targets)
    kept: NDArray[Any]
    if given.ndim == 1 and given.dtype.kind in "iub":
        for end in (given.min(initial=0), given.max(initial=0)):
            if not 0 <= end < 2**31:
                raise ValueError(f"{label} must be classes >= 0 and < {2**31}, got {end}")
        kept = given.astype(np.int64)
    elif given.ndim == 2:
        if not given.shape[1]:
            raise _checks.refused(label, "an array with at least one column", given)
        kept = _checks.array(label, given, np.float64, (2,)) + 0.0  # -0.0 becomes 0.0
    else:
        allowed = "an array of reals with 2 axes, or of integers with 1 axis"
        raise _checks.refused(label, allowed, given if given.ndim else targets, kind=TypeError)
    kept.flags.writeable = False
    return kept


def _checked_held_out(
    given: Any, inputs: FixedBatch, targets: NDArray[Any]
) -> tuple[FixedBatch, NDArray[Any]] | None:
    if given is None:
        return None
    label = "Dataset: held_out"
    if not isinstance(given, (tuple, list)) or len(given) != 2:
        raise _checks.refused(label, "a pair (inputs, targets)", given, kind=TypeError)
    rows, wanted = _checked_pair(label, *given)
    if rows.n_features != inputs.n_features:
        raise ValueError(
            f"{label}: inputs must have {inputs.n_features} columns like those of the training "
            f"rows, got shape {rows.shape}"
        )
    if wanted.shape[1:] != targets.shape[1:]:
        raise ValueError(
            f"{label}: targets must be like those of the training rows, of shape "
            f"{('rows', *targets.shape[1:])}, got shape {wanted.shape}"
        )
    return rows, wanted
