"""Targets of networks: what the outputs should be, as functions of the inputs.

A feature is on if its value is above 0, so that inputs of 0 and 1 are equivalent to inputs of -1
and 1. A `Dataset` has its own targets instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, get_args

from fastpolysem import _checks

__all__ = ["Absolute", "Clauses", "Identity", "Parity", "Relu"]


@dataclass(frozen=True)
class Identity:
    """The inputs themselves: an autoencoder."""

    kind: ClassVar[str] = "identity"
    elementwise: ClassVar[bool] = True

    def _check(self, label: str, n_features: int, outputs: int) -> None:
        """Refuse incompatible numbers of features and outputs."""
        if outputs != n_features:
            raise ValueError(
                f"{label} must be Clauses(...) or Parity(...) unless there are as many outputs as "
                f"features, got {self!r} with widths[0]={n_features} and widths[-1]={outputs}"
            )


@dataclass(frozen=True)
class Absolute(Identity):
    """The absolute value of each input (Elhage et al. 2022)."""

    kind: ClassVar[str] = "absolute"


@dataclass(frozen=True)
class Relu(Identity):
    """Each input if it is positive, otherwise 0."""

    kind: ClassVar[str] = "relu"


@_checks.suggest_fields
@dataclass(frozen=True)
class Clauses:
    """1 if the formula of an output holds, otherwise 0: a disjunction of conjunctions (DNF).

    Parameters
    ----------
    outputs
        For each output a list of clauses, at least one of which must hold. A clause is a list of
        literals, all of which must hold: i means "feature i is on" and ~i (that is, -i - 1)
        "feature i is off". An AND has one clause; an OR has clauses of one literal each. Stored in
        a canonical order, as the order has no effect.
    """

    kind: ClassVar[str] = "clauses"
    elementwise: ClassVar[bool] = False

    outputs: Sequence[Sequence[Sequence[int]]]

    def __post_init__(self) -> None:
        label = "Clauses: outputs"
        formulas = []
        for j, formula in enumerate(_listed(label, self.outputs)):
            own = f"{label}[{j}]"
            clauses = {
                _features(f"{own}[{k}]", clause, -(2**31))
                for k, clause in enumerate(_listed(own, formula))
            }
            formulas.append(tuple(sorted(clauses)))
        object.__setattr__(self, "outputs", tuple(formulas))

    def _check(self, label: str, n_features: int, outputs: int) -> None:
        used = [i for formula in self.outputs for clause in formula for i in clause]
        _check_size(label, len(self.outputs), used, n_features, outputs)


@_checks.suggest_fields
@dataclass(frozen=True)
class Parity:
    """1 if an odd number of an output's features are on, otherwise 0.

    Parameters
    ----------
    outputs
        For each output a list of its features, stored in ascending order.
    """

    kind: ClassVar[str] = "parity"
    elementwise: ClassVar[bool] = False

    outputs: Sequence[Sequence[int]]

    def __post_init__(self) -> None:
        label = "Parity: outputs"
        groups = tuple(
            _features(f"{label}[{j}]", group, 0)
            for j, group in enumerate(_listed(label, self.outputs))
        )
        object.__setattr__(self, "outputs", groups)

    def _check(self, label: str, n_features: int, outputs: int) -> None:
        used = [i for group in self.outputs for i in group]
        _check_size(label, len(self.outputs), used, n_features, outputs)


Target = Identity | Absolute | Relu | Clauses | Parity
KINDS: dict[str, type[Any]] = {cls.kind: cls for cls in get_args(Target)}


def _listed(label: str, value: Any) -> list[Any]:
    given = _checks.listed(label, value)
    if given is None:
        raise _checks.refused(label, "a list", value, kind=TypeError)
    if not given:
        raise ValueError(f"{label} must not be empty")
    return given


def _feature(literal: int) -> int:
    """The feature of a literal."""
    return literal if literal >= 0 else ~literal


def _features(label: str, value: Any, least: int) -> tuple[int, ...]:
    """Features or literals with distinct features, in ascending order of features."""
    given = _listed(label, value)
    numbers = _checks.integers(label, given, (">=", least), ("<", 2**31))
    if len({_feature(i) for i in numbers}) < len(numbers):
        raise ValueError(f"{label} must name each feature once, got {_checks.shown(numbers)}")
    return tuple(sorted(numbers, key=_feature))


def _check_size(label: str, own: int, used: list[int], n_features: int, outputs: int) -> None:
    if own != outputs:
        raise ValueError(f"{label} must have widths[-1]={outputs} outputs, got {own}")
    if (most := max(map(_feature, used))) >= n_features:
        raise ValueError(
            f"{label} must have features below widths[0]={n_features}, got feature {most}"
        )
