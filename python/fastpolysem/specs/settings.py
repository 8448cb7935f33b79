"""What the configurations of all families share: validation, comparison and storage."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, fields, replace
from typing import Any, ClassVar, Self

import numpy as np

from fastpolysem import _checks
from fastpolysem.specs import optimizer as _optimizer

MOST_STEPS = 2**32
"""Training has fewer steps than this: draws are numbered with 32 bits."""


def defaults_of(cls: type[Any]) -> dict[str, Any]:
    """Name and default of each field in order; the default of a required field equals no value."""
    return {
        item.name: item.default if item.default_factory is MISSING else item.default_factory()
        for item in fields(cls)
    }


def lists(value: Any) -> Any:
    """The value with all tuples, nested ones included, as lists, as in JSON."""
    return [lists(part) for part in value] if isinstance(value, tuple) else value


class Settings:
    """Base class of configurations: frozen dataclasses whose ``__post_init__`` converts and checks.

    A subclass sets `DEFAULTS` after its definition, and defines how fields that are not plain
    values are stored.
    """

    DEFAULTS: ClassVar[dict[str, Any]]
    REQUIRED: ClassVar[tuple[str, ...]]
    """Fields without a default; every digest and repr includes them."""
    NUMERICS_VERSION: ClassVar[int]

    # Fields used below; a subclass that calls a check defines its fields.
    noise: str
    noise_shape: float | None
    optimizer: str
    weight_decay: float | None
    betas: tuple[float, float]
    steps: int
    dtype: str

    def _label(self, name: str) -> str:
        return f"{type(self).__name__}: {name}"

    def _set(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)

    def _is_default(self, name: str) -> bool:
        same = getattr(self, name) == self.DEFAULTS[name]
        return np.size(same) == 1 and bool(same)  # an array is never a default

    def _refuse(self, name: str, reason: str) -> None:
        """Refuse a field that differs from its default but can have no effect."""
        if not self._is_default(name):
            raise ValueError(
                f"{self._label(name)} must be left at {self.DEFAULTS[name]!r} {reason}, "
                f"got {_checks.shown(getattr(self, name))}"
            )

    def _check_plain(
        self,
        integers: Mapping[str, tuple[_checks.Bound, ...]],
        reals: Mapping[str, tuple[_checks.Bound, ...]],
        choices: Mapping[str, Iterable[str]],
        flags: Iterable[str],
    ) -> None:
        """Convert and check the fields that hold a single plain value."""
        for name, bounds in integers.items():
            self._set(name, _checks.integer(self._label(name), getattr(self, name), *bounds))
        for name, bounds in reals.items():
            self._set(name, _checks.setting(self._label(name), getattr(self, name), *bounds))
        for name, allowed in choices.items():
            self._set(name, _checks.choice(self._label(name), getattr(self, name), allowed))
        for name in flags:
            self._set(name, _checks.flag(self._label(name), getattr(self, name)))

    def _check_noise_shape(self) -> None:
        """Check the shape of kinds of noise that have one; refuse it for all others."""
        noise = self.noise
        if noise not in ("student_t", "three_point"):
            self._refuse("noise_shape", f"with noise={noise!r}")
            return
        # With "three_point", 31 random bits decide whether a value is 0.
        bounds: list[_checks.Bound] = (
            [(">", 2)] if noise == "student_t" else [(">=", 2**-31), ("<=", 1)]
        )
        label = f"{self._label('noise_shape')} with noise={noise!r}"
        self._set("noise_shape", _checks.setting(label, self.noise_shape, *bounds))

    def _check_optimizer(self) -> None:
        """Refuse settings that the optimizer does not have."""
        if self.weight_decay is not None:
            decay = _checks.setting(self._label("weight_decay"), self.weight_decay, (">=", 0))
            self._set("weight_decay", decay)
        self._set("betas", _optimizer.checked_betas(self._label("betas"), self.betas))
        if self.optimizer == "sgd":
            for name in ("betas", "epsilon"):
                self._refuse(name, "with optimizer='sgd'")
            if self.weight_decay:
                raise ValueError(
                    f"{self._label('weight_decay')} must be None or 0 with optimizer='sgd', "
                    f"got {self.weight_decay}"
                )
        else:
            self._refuse("momentum", f"with optimizer={self.optimizer!r}")

    def _check_rounding(self, names: Iterable[str]) -> None:
        """Refuse numbers that the dtype rounds to 0 or infinity."""
        dtype = self.dtype
        limits = np.finfo(dtype)
        least, most = float(limits.smallest_subnormal), float(limits.max)
        for name in names:
            value = getattr(self, name)
            for number in value if isinstance(value, tuple) else (value,):
                # Half of the smallest number is rounded to 0.
                if number and not least / 2 < abs(number) <= most:
                    raise ValueError(
                        f"{self._label(name)} must not round to 0 or infinity in {dtype}, "
                        f"which holds {least:.3g} to {most:.3g}, got {number}"
                    )
        for name in ("momentum", "betas"):
            value = getattr(self, name)
            for number in value if isinstance(value, tuple) else (value,):
                if np.dtype(dtype).type(number) == 1:
                    raise ValueError(
                        f"{self._label(name)} must not round to 1 in {dtype}, got {number}"
                    )

    @property
    def _effective_weight_decay(self) -> float:
        usual = _optimizer.WEIGHT_DECAY[self.optimizer]
        return usual if self.weight_decay is None else self.weight_decay

    def replace(self, **changes: Any) -> Self:
        """A copy with some fields changed, validated like a new configuration."""
        return replace(self, **changes)  # type: ignore[type-var]

    def _stored(self, name: str, defaults: bool) -> Any:
        """A field in JSON form; parts at their defaults may be left out."""
        return lists(getattr(self, name))

    def _hashed(self) -> dict[str, Any]:
        """The content of the digest: the effective fields that differ from their defaults."""
        changed = {
            name: self._stored(name, defaults=False)
            for name in self.DEFAULTS
            if name in self.REQUIRED or not self._is_default(name)
        }
        changed.pop("weight_decay", None)
        if self._effective_weight_decay != _optimizer.WEIGHT_DECAY[self.optimizer]:
            changed["weight_decay"] = self._effective_weight_decay
        if changed.get("learning_rate_schedule") == "cosine" and self.steps < 2:
            del changed["learning_rate_schedule"]  # the factor is 1 at the first step
        changed["numerics_version"] = self.NUMERICS_VERSION
        return changed

    @property
    def digest(self) -> str:
        """20 hexadecimal digits that identify everything that affects results.

        They are the start of the SHA-256 of canonical JSON with the effective fields that differ
        from their defaults, the required fields, and the family's numerics version. Settings that
        are equal in effect, such as ``weight_decay=None`` and the number it stands for, have equal
        digests. A field added in a later version does not change the digests of configurations that
        do not use it.
        """
        text = json.dumps(self._hashed(), sort_keys=True, separators=(",", ":"), allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()[:20]

    def to_dict(self) -> dict[str, Any]:
        """All fields in JSON form: inputs as a dict, tuples as lists."""
        return {name: self._stored(name, defaults=True) for name in self.DEFAULTS}

    @classmethod
    def _values(cls, mapping: object) -> dict[str, Any]:
        """The fields in a mapping made by `to_dict`."""
        name = cls.__name__
        if not isinstance(mapping, Mapping):
            label = f"{name}.from_dict: mapping"
            raise _checks.refused(label, "a mapping", mapping, kind=TypeError)
        values = dict(mapping)
        _checks.known_names(name, values, cls.DEFAULTS)
        return values

    def __repr__(self) -> str:
        shown = [
            f"{name}={_checks.shown(getattr(self, name))}"
            for name in self.DEFAULTS
            if not self._is_default(name)
        ]
        return f"{type(self).__name__}({', '.join(shown)})"
