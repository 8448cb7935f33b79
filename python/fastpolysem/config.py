"""The settings of a model and its training, checked when they are made."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields, replace
from typing import Any, Literal, get_args

import numpy as np

from fastpolysem import _checks
from fastpolysem import inputs as _inputs
from fastpolysem._native import core
from fastpolysem.inputs import Basis, Inputs

L1Target = Literal["weights", "activations"]
L1Update = Literal["subgradient", "orthant"]
Noise = Literal["none", "rademacher", "gaussian", "uniform", "laplace", "student_t", "three_point"]
Sharing = Literal["step", "input"]
Optimizer = Literal["sgd", "adam", "adamw"]
Stop = Literal["steps", "certified"]
Init = Literal["normal", "xavier", "orthogonal", "uniform"]
Activation = Literal["relu", "linear"]
DType = Literal["float32", "float64"]

NUMERICS_VERSION: int = core.NUMERICS_VERSION
"""Changes whenever the same settings and seed give different bits."""

_CHOICES: dict[str, Any] = {
    "l1_target": L1Target,
    "l1_update": L1Update,
    "noise": Noise,
    "noise_sharing": Sharing,
    "dropout_sharing": Sharing,
    "optimizer": Optimizer,
    "stop": Stop,
    "init": Init,
    "activation": Activation,
    "dtype": DType,
}
_INTEGERS: dict[str, tuple[_checks.Bound, ...]] = {
    "n_features": ((">=", 1), ("<", 2**31)),
    "n_hidden": ((">=", 1), ("<", 2**31)),
    "steps": ((">=", 0), ("<", 2**32)),
}
_REALS: dict[str, tuple[_checks.Bound, ...]] = {
    "l1": ((">=", 0),),
    "repulsion": ((">=", 0),),
    "noise_std": ((">=", 0),),
    "dropout": ((">=", 0), ("<", 1)),
    "learning_rate": ((">", 0),),
    "momentum": ((">=", 0), ("<", 1)),
    "epsilon": ((">", 0),),
    "init_scale": ((">", 0),),
}
# What the core computes with in the config's dtype.
_ROUNDED = (*(_REALS.keys() - {"dropout"}), "weight_decay", "noise_shape", "importance")
_WEIGHT_DECAY = {"sgd": 0.0, "adam": 0.0, "adamw": 0.01}

# The random numbers of a step are addressed by element // 4 in one 32-bit word.
_MAX_ELEMENTS = 2**34

# Beyond this l1 a lone weight of 0.8, the lower end of the counting window, shrinks:
# 4 w (1 - w^2) is the pull of the squared error on a weight w that no other feature touches.
_MAX_CERTIFIED_L1 = 4 * 0.8 * (1 - 0.8**2)


@_checks.suggest_fields
@dataclass(frozen=True, kw_only=True, repr=False)
class Config:
    """Settings of a model and its training; the defaults are the paper's collision experiment.

    The model maps inputs x of ``n_features`` n to ``activation(W_dec (W_enc^T x + noise) + bias)``
    with ``n_hidden`` m neurons; tied models have W_dec = W_enc = W, of shape (n, m). The loss is
    ``scale * sum over rows and features of importance * (output - x)^2`` plus l1 and repulsion,
    where scale makes each feature appear once per step in expectation: 1 for :class:`Basis` and
    :class:`FixedBatch`, else 1 / (batch_size * probability that a feature is on).

    Values are converted to plain Python ones and checked; instances are immutable and hashable.
    ``np.float32(0.001)`` is 0.00100000004749…, not 0.001, and kept as such with a warning.

    Parameters
    ----------
    n_features
        Number of features n.
    n_hidden
        Number of hidden neurons m, n * m < 2**34. Fewer neurons than features are allowed.
    l1
        Weight of the sum of absolute weights (untied: of both matrices; never of the bias).
    l1_schedule
        None, or points (step, factor): the step with index t, the first being 0, has l1 times the
        factor on the line between the two points around t; before the first point and after the
        last the factor stays as it is there. ``[(0, 0), (1000, 1)]`` is a warm-up,
        ``[(999, 1), (1000, 0), (1999, 0), (2000, 1)]`` switches l1 off for 1000 steps. Steps
        ascend and end at ``steps`` or before; factors are >= 0. Points that change nothing are
        dropped.
    l1_target
        "weights", or "activations" for ``l1 * scale * sum over rows of |h|_1`` with h the hidden
        activations before noise.
    l1_update
        "subgradient" adds ``l1 * sign(w)`` with sign(0) = 0; "orthant" steps within the orthant of
        the weights and sets those that would leave it to exactly zero (Andrew & Gao 2007).
    repulsion
        Weight of ``sum over neurons of sum over pairs of features of w_ik^2 w_jk^2`` (untied: of
        both matrices), which is 0 where no two features share a neuron. It does not tell opposite
        from equal signs. A weight w_ik is pulled down at the rate
        ``2 * repulsion * sum over other features of w_jk^2``, against 4 of the squared error.
    noise
        Distribution of the noise on the hidden layer, of mean 0: "none", "rademacher", "gaussian",
        "uniform", "laplace", "student_t" or "three_point".
    noise_std
        Standard deviation of the noise, > 0 unless it is "none".
    noise_shape
        "student_t": degrees of freedom, > 2. "three_point": chance q of not being zero,
        0 < q <= 1, with excess kurtosis 1/q - 3. None for all others.
    noise_sharing
        "step": all inputs of a step get one noise vector; "input": each its own.
    dropout
        Chance that a hidden unit is dropped, noise included, 0 <= dropout < 1; the others count
        1 / (1 - dropout) times.
    dropout_sharing
        "input": each input of a step drops units of its own; "step": all the same.
    optimizer
        "sgd", "adam" or "adamw" with PyTorch's update formulas.
    learning_rate
        Step size of the optimizer, > 0.
    weight_decay
        None for 0.01 with adamw (where it is decoupled) and 0 otherwise. Not with sgd.
    momentum
        For sgd only, 0 <= momentum < 1.
    betas
        Decay of the first and the second moment, 0 <= beta < 1. For adam and adamw only.
    epsilon
        What is added to the root of the second moment, > 0. For adam and adamw only.
    steps
        Number of updates.
    stop
        "steps", or "certified", which ends a seed earlier once its outcome is certain. Only for
        tied models without bias, noise, dropout and repulsion, with relu, the basis as inputs, no
        importance, l1_update="orthant" and 0 < l1 < 1.152. With an l1_schedule not before its last
        point, whose l1 counts.
    init
        Start weights: "normal" N(0, 1/m), "xavier" N(0, 2 / (n + m)), "orthogonal" (rows if
        m >= n, else columns) or "uniform" with variance 1/m. An untied decoder starts
        independently, a bias at 0.
    init_scale
        Factor of all start weights, > 0.
    tied
        Whether the decoder is the encoder.
    bias
        Whether the output has a bias.
    activation
        Of the output, "relu" or "linear".
    inputs
        :class:`Basis`, :class:`Independent`, :class:`CorrelatedBlocks` or :class:`FixedBatch`.
    importance
        (n,) weights of each feature's squared error, finite, >= 0, not all zero; kept as a tuple.
        None, the same as all ones, for no weighting.
    dtype
        "float32" or "float64".

    Raises
    ------
    TypeError
        For a value of the wrong type or an unknown field.
    ValueError
        For a value out of range, and for settings that would have no effect or exclude each other.
    """

    n_features: int
    n_hidden: int
    l1: float = 0.0
    l1_schedule: Sequence[tuple[int, float]] | None = None
    l1_target: L1Target = "weights"
    l1_update: L1Update = "subgradient"
    repulsion: float = 0.0
    noise: Noise = "none"
    noise_std: float = 0.0
    noise_shape: float | None = None
    noise_sharing: Sharing = "step"
    dropout: float = 0.0
    dropout_sharing: Sharing = "input"
    optimizer: Optimizer = "adamw"
    learning_rate: float = 1e-3
    weight_decay: float | None = None
    momentum: float = 0.0
    betas: tuple[float, float] = (0.9, 0.999)
    epsilon: float = 1e-8
    steps: int = 7500
    stop: Stop = "steps"
    init: Init = "normal"
    init_scale: float = 1.0
    tied: bool = True
    bias: bool = False
    activation: Activation = "relu"
    inputs: Inputs = field(default_factory=Basis)
    importance: Sequence[float] | None = None
    dtype: DType = "float32"

    def __post_init__(self) -> None:
        for name, bounds in _INTEGERS.items():
            self._set(name, _checks.integer(f"Config: {name}", getattr(self, name), *bounds))
        for name, bounds in _REALS.items():
            self._set(name, _checks.setting(f"Config: {name}", getattr(self, name), *bounds))
        for name, allowed in _CHOICES.items():
            value = getattr(self, name)
            self._set(name, _checks.choice(f"Config: {name}", value, get_args(allowed)))
        for name in ("tied", "bias"):
            self._set(name, _checks.flag(f"Config: {name}", getattr(self, name)))
        if self.weight_decay is not None:
            decay = _checks.setting("Config: weight_decay", self.weight_decay, (">=", 0))
            self._set("weight_decay", decay)
        self._set("betas", _betas(self.betas))
        self._set("l1_schedule", _l1_schedule(self.l1_schedule, self.steps))
        self._set("importance", _importance(self.importance, self.n_features))
        self._check_noise()
        if self.dropout == 0:
            self._refuse("dropout_sharing", "with dropout=0")
        self._check_l1()
        self._check_optimizer()
        self._check_inputs()
        self._check_rounding()
        self._check_stop()

    def _set(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)

    def _is_default(self, name: str) -> bool:
        same = getattr(self, name) == DEFAULTS[name]
        return np.size(same) == 1 and bool(same)  # an array is no default

    def _refuse(self, name: str, reason: str) -> None:
        """Refuse a field that differs from its default where it can have no effect."""
        if not self._is_default(name):
            raise ValueError(
                f"Config: {name} must be left at {DEFAULTS[name]!r} {reason}, "
                f"got {_checks.shown(getattr(self, name))}"
            )

    def _check_noise(self) -> None:
        if self.noise == "none":
            for name in ("noise_std", "noise_shape", "noise_sharing"):
                self._refuse(name, "with noise='none'")
            return
        if self.noise_std == 0:
            raise ValueError(
                f"Config: noise_std must be > 0 with noise={self.noise!r}, got {self.noise_std}"
            )
        if self.noise not in ("student_t", "three_point"):
            self._refuse("noise_shape", f"with noise={self.noise!r}")
            return
        bounds = [(">", 2)] if self.noise == "student_t" else [(">", 0), ("<=", 1)]
        label = f"Config: noise_shape with noise={self.noise!r}"
        self._set("noise_shape", _checks.setting(label, self.noise_shape, *bounds))

    def _check_l1(self) -> None:
        if self.l1 == 0:
            for name in ("l1_schedule", "l1_target", "l1_update"):
                self._refuse(name, "with l1=0")
        if self.l1_update == "orthant":
            self._refuse("l1_target", "with l1_update='orthant'")

    def _check_optimizer(self) -> None:
        if self.optimizer == "sgd":
            for name in ("betas", "epsilon"):
                self._refuse(name, "with optimizer='sgd'")
            if self.weight_decay:
                raise ValueError(
                    f"Config: weight_decay must be None or 0 with optimizer='sgd', "
                    f"got {self.weight_decay}"
                )
        else:
            self._refuse("momentum", f"with optimizer={self.optimizer!r}")

    def _check_inputs(self) -> None:
        if not isinstance(self.inputs, get_args(Inputs)):
            allowed = "Basis(), Independent(...), CorrelatedBlocks(...) or FixedBatch(...)"
            raise _checks.refused("Config: inputs", allowed, self.inputs, kind=TypeError)
        self.inputs._check(self.n_features)
        rows = self._rows
        sizes = {"n_features * n_hidden": self.n_features * self.n_hidden}
        if self.inputs.kind in ("independent", "correlated_blocks"):
            sizes["batch_size * (n_features + 1)"] = rows * (self.n_features + 1)
        if self.noise_sharing == "input":  # some kinds take two words for an element
            sizes["2 * rows of a batch * n_hidden"] = 2 * rows * self.n_hidden
        if self.dropout and self.dropout_sharing == "input":
            sizes["rows of a batch * n_hidden"] = rows * self.n_hidden
        for what, size in sizes.items():
            if size >= _MAX_ELEMENTS:
                raise ValueError(f"Config: {what} must be < 2**34, got {size}")

    def _check_rounding(self) -> None:
        """Refuse numbers that the dtype can only hold as 0 or as infinite."""
        limits = np.finfo(self.dtype)
        least, most = float(limits.smallest_subnormal), float(limits.max)
        for name in _ROUNDED:
            value = getattr(self, name)
            for number in value if isinstance(value, tuple) else (value,):
                # Half of the least number is rounded to 0.
                if number and not least / 2 < number <= most:
                    raise ValueError(
                        f"Config: {name} must not round to 0 or infinity in {self.dtype}, "
                        f"which holds {least:.3g} to {most:.3g}, got {number}"
                    )
        for name in ("momentum", "betas"):
            value = getattr(self, name)
            for number in value if isinstance(value, tuple) else (value,):
                if np.dtype(self.dtype).type(number) == 1:
                    raise ValueError(
                        f"Config: {name} must not round to 1 in {self.dtype}, got {number}"
                    )
        # A unit is dropped where a random number of 32 bits is below the chance.
        if self.dropout and not 2**-32 <= self.dropout <= 1 - 2**-32:
            raise ValueError(
                f"Config: dropout must be 0 or between 2**-32 and 1 - 2**-32, got {self.dropout}"
            )
        if isinstance(self.inputs, _inputs.FixedBatch):
            self.inputs._check_dtype("Config: inputs", self.dtype)

    def _check_stop(self) -> None:
        if self.stop == "steps":
            return
        end = self._final_l1
        after = " at the end of l1_schedule" if self.l1_schedule else ""
        needs = {
            "tied=True": self.tied,
            "bias=False": not self.bias,
            "noise='none'": self.noise == "none",
            "dropout=0": self.dropout == 0,
            "repulsion=0": self.repulsion == 0,
            "activation='relu'": self.activation == "relu",
            "inputs=Basis()": self.inputs == Basis(),
            "importance=None": self.importance is None,
            "l1_update='orthant'": self.l1_update == "orthant",
            f"0 < l1 < {_MAX_CERTIFIED_L1:.4g}{after}": 0 < end < _MAX_CERTIFIED_L1,
        }
        missing = [need for need, met in needs.items() if not met]
        if missing:
            raise ValueError(f"Config: stop='certified' needs {', '.join(missing)}, got {self!r}")

    @property
    def _rows(self) -> int:
        """Rows of the batch of one step."""
        return self.inputs._rows(self.n_features)

    @property
    def _final_l1(self) -> float:
        """l1 after the last point of its schedule."""
        return self.l1 * (self.l1_schedule[-1][1] if self.l1_schedule else 1.0)

    @property
    def _effective_weight_decay(self) -> float:
        return _WEIGHT_DECAY[self.optimizer] if self.weight_decay is None else self.weight_decay

    def replace(self, **changes: Any) -> Config:
        """A copy with some fields changed, checked like a new one."""
        return replace(self, **changes)

    @property
    def digest(self) -> str:
        """20 hexadecimal digits that identify what affects results.

        The start of the SHA-256 of the effective fields that differ from their defaults, the two
        sizes, and :data:`NUMERICS_VERSION`, as canonical JSON. Settings that are equal in effect,
        such as ``weight_decay=None`` and the number it stands for, have equal digests; a field
        added in a later version leaves the digests of configurations that do not use it alone.
        """
        changed = {
            name: value
            for name, value in self.to_dict().items()
            if name in ("n_features", "n_hidden") or not self._is_default(name)
        }
        if "inputs" in changed:
            changed["inputs"] = _inputs.to_dict(self.inputs, defaults=False)
        changed.pop("weight_decay", None)
        if self._effective_weight_decay != _WEIGHT_DECAY[self.optimizer]:
            changed["weight_decay"] = self._effective_weight_decay
        changed["numerics_version"] = NUMERICS_VERSION
        canonical = json.dumps(changed, sort_keys=True, separators=(",", ":"), allow_nan=False)
        return hashlib.sha256(canonical.encode()).hexdigest()[:20]

    def to_dict(self) -> dict[str, Any]:
        """All fields as JSON can hold them: the inputs as a dict, tuples as lists."""
        result: dict[str, Any] = {}
        for name in DEFAULTS:
            result[name] = _lists(getattr(self, name))
        result["inputs"] = _inputs.to_dict(self.inputs)
        return result

    @classmethod
    def from_dict(cls, mapping: Mapping[str, Any]) -> Config:
        """The inverse of :meth:`to_dict`; fields that are left out take their defaults."""
        if not isinstance(mapping, Mapping):
            raise _checks.refused("Config.from_dict: mapping", "a mapping", mapping, kind=TypeError)
        values = dict(mapping)
        _checks.known_names("Config", values, DEFAULTS)
        if "inputs" in values:
            values["inputs"] = _inputs.from_dict(values["inputs"])
        return cls(**values)

    def __repr__(self) -> str:
        shown = [
            f"{name}={_checks.shown(getattr(self, name))}"
            for name in DEFAULTS
            if not self._is_default(name)
        ]
        return f"Config({', '.join(shown)})"


DEFAULTS: dict[str, Any] = {
    item.name: item.default if item.default_factory is MISSING else item.default_factory()
    for item in fields(Config)
}
"""Name and default of each field in order; the two required ones have one that no value equals."""


def _betas(value: Any) -> tuple[float, float]:
    label = "Config: betas"
    if hasattr(value, "__array__"):
        given = _checks.as_array(label, value)
        value = [*given] if given.ndim else value
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        raise _checks.refused(label, "a pair of numbers", value, kind=TypeError)
    first, second = (
        _checks.setting(f"{label}[{i}]", beta, (">=", 0), ("<", 1)) for i, beta in enumerate(value)
    )
    return first, second


def _l1_schedule(value: Any, steps: int) -> tuple[tuple[int, float], ...] | None:
    if value is None:
        return None
    label = "Config: l1_schedule"
    points = value.tolist() if isinstance(value, np.ndarray) else value
    sequence = (tuple, list)
    if not isinstance(points, sequence) or not all(
        isinstance(point, sequence) and len(point) == 2 for point in points
    ):
        raise _checks.refused(label, "a list of pairs (step, factor)", value, kind=TypeError)
    given: list[tuple[int, float]] = []
    for i, (at, times) in enumerate(points):
        step = _checks.integer(f"{label}[{i}]: step", at, (">=", 0), ("<=", steps))
        if given and step <= given[-1][0]:
            raise ValueError(f"{label} must have ascending steps, got {step} after {given[-1][0]}")
        given.append((step, _checks.setting(f"{label}[{i}]: factor", times, (">=", 0))))
    factors = [factor for _, factor in given]
    before, after = [*factors[:1], *factors[:-1]], [*factors[1:], *factors[-1:]]
    kept = tuple(
        point
        for point, left, right in zip(given, before, after, strict=True)
        if not left == point[1] == right
    )
    if not kept:
        raise ValueError(
            f"{label} must change l1, got {_checks.shown(value)}; a constant factor belongs in l1"
        )
    return kept


def _lists(value: Any) -> Any:
    """Tuples as lists, all the way down."""
    return [_lists(part) for part in value] if isinstance(value, tuple) else value


def _importance(value: object, n_features: int) -> tuple[float, ...] | None:
    if value is None:
        return None
    label = "Config: importance"
    weights = _checks.array(label, value, np.float64, (1,)) + 0.0
    if len(weights) != n_features:
        raise ValueError(
            f"{label} must have length n_features={n_features}, got length {len(weights)}"
        )
    if (weights < 0).any():
        raise ValueError(f"{label} must be >= 0 for every feature, got {weights.min()}")
    if not weights.any():
        raise ValueError(f"{label} must be > 0 for at least one feature, got all zeros")
    listed = value if isinstance(value, (tuple, list)) else _checks.as_array(label, value)
    _checks.warn_if_rounded(label, listed)
    return None if (weights == 1).all() else tuple(weights.tolist())


def check_config(where: str, config: object) -> None:
    """Refuse what is no Config."""
    if not isinstance(config, Config):
        raise _checks.refused(f"{where}: config", "a Config", config, kind=TypeError)


# Fields that the core knows in another form.
_CONVERTED = ("l1_schedule", "betas", "inputs", "importance", "weight_decay", "noise_shape")


def core_settings(config: Config) -> Any:
    """The settings struct of the compiled core, which has the defaults of Config."""
    settings = core.Settings()
    for name in DEFAULTS:
        if name not in _CONVERTED and not config._is_default(name):
            setattr(settings, name, getattr(config, name))
    settings.beta1, settings.beta2 = config.betas
    settings.weight_decay = config._effective_weight_decay
    settings.noise_shape = config.noise_shape or 0.0
    if config.l1_schedule is not None:
        settings.l1_schedule = list(config.l1_schedule)
    if config.importance is not None:
        settings.importance = list(config.importance)
    settings.inputs = config.inputs.kind
    if isinstance(config.inputs, _inputs.FixedBatch):
        settings.set_fixed_batch(config.inputs.indptr, config.inputs.indices, config.inputs.values)
    else:
        for item in fields(config.inputs):
            setattr(settings, item.name, getattr(config.inputs, item.name))
    return settings
