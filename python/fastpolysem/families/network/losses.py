"""Losses of networks: for each row, a sum over outputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, get_args

from fastpolysem import _checks

__all__ = ["BinaryCrossEntropy", "CrossEntropy", "Power"]


@_checks.suggest_fields
@dataclass(frozen=True)
class Power:
    """Sum over outputs of ``importance * |output - target|^q``.

    Parameters
    ----------
    q
        A multiple of 1/2 from 1 to 16; 2 is the squared error. The derivative of |e| at 0 is 0.
    """

    kind: ClassVar[str] = "power"

    q: float = 2.0

    def __post_init__(self) -> None:
        q = _checks.real("Power: q", self.q, (">=", 1), ("<=", 16))
        if (2 * q) % 1:
            raise _checks.refused("Power: q", "a multiple of 1/2", self.q)
        object.__setattr__(self, "q", q)


@dataclass(frozen=True)
class CrossEntropy:
    """Negative logarithm of the softmax probability of a row's class; outputs are the logits."""

    kind: ClassVar[str] = "cross_entropy"


@dataclass(frozen=True)
class BinaryCrossEntropy:
    """Sum over outputs of ``importance`` times the cross-entropy of the logistic probability.

    Outputs are the logits, targets are probabilities in [0, 1].
    """

    kind: ClassVar[str] = "binary_cross_entropy"


Loss = Power | CrossEntropy | BinaryCrossEntropy
KINDS: dict[str, type[Any]] = {cls.kind: cls for cls in get_args(Loss)}
