"""The settings of an autoencoder and its training, checked on creation."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal, get_args

from fastpolysem import _checks
from fastpolysem._native import core
from fastpolysem.specs import inputs as _inputs
from fastpolysem.specs.importance import checked_importance
from fastpolysem.specs.inputs import Basis, Inputs
from fastpolysem.specs.noise import Noise, Sharing
from fastpolysem.specs.optimizer import Optimizer, SecondMoment
from fastpolysem.specs.schedule import checked_rates, checked_schedule
from fastpolysem.specs.settings import MOST_STEPS, Settings, defaults_of

L1Target = Literal["weights", "activations"]
L1Update = Literal["subgradient", "orthant"]
Stop = Literal["steps", "certified"]
Init = Literal["normal", "xavier", "orthogonal", "uniform"]
Activation = Literal["relu", "linear"]
DType = Literal["float32", "float64"]

NUMERICS_VERSION: int = core.NUMERICS_VERSION
"""Changes whenever the same settings and seed give different bits."""

_LINEAR = "its hidden layer is linear, as opposed to those of NetworkConfig"
_INPUTS = "its targets are its inputs, as opposed to those of NetworkConfig"
_checks.explain(
    "Config",
    {
        **dict.fromkeys(("hidden_activation", "nonlinearity"), _LINEAR),
        **dict.fromkeys(("target", "targets"), _INPUTS),
    },
)
_checks.add_synonyms({"decoder": ("tied",), "m": ("n_hidden",), "n": ("n_features",)})

_CHOICES: dict[str, Any] = {
    "l1_target": L1Target,
    "l1_update": L1Update,
    "noise": Noise,
    "noise_sharing": Sharing,
    "dropout_sharing": Sharing,
    "optimizer": Optimizer,
    "second_moment": SecondMoment,
    "stop": Stop,
    "init": Init,
    "activation": Activation,
    "dtype": DType,
}
_INTEGERS: dict[str, tuple[_checks.Bound, ...]] = {
    "n_features": ((">=", 1), ("<", 2**31)),
    "n_hidden": ((">=", 1), ("<", 2**31)),
    "steps": ((">=", 0), ("<", MOST_STEPS)),
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
# Settings that the core uses in the config's dtype.
_ROUNDED = (*(_REALS.keys() - {"dropout"}), "weight_decay", "noise_shape", "importance")

# The random numbers of a step are addressed by element // 4 in one 32-bit word.
_MAX_ELEMENTS = 2**34

# Beyond this l1 a lone weight of 0.8, the lower end of the counting window, shrinks:
# 4 w (1 - w^2) is the pull of the squared error on a weight w that no other feature touches.
_MAX_CERTIFIED_L1 = 4 * 0.8 * (1 - 0.8**2)


@_checks.suggest_fields
@dataclass(frozen=True, kw_only=True, repr=False)
class Config(Settings):
    """Settings of an autoencoder and its training; defaults as in the paper's main experiment.

    The model maps inputs x of ``n_features`` n to ``activation(W_dec (W_enc^T x + noise) + bias)``
    with ``n_hidden`` m neurons; tied models have W_dec = W_enc = W, of shape (n, m). The loss is
    ``scale * sum over rows and features of importance * (output - x)^2`` plus l1 and repulsion. The
    scale makes each feature appear once per step in expectation: it is 1 for :class:`Basis` and
    :class:`FixedBatch`, otherwise n / (batch_size * expected number of active features).

    Values are checked and converted to plain Python types; instances are immutable and hashable.
    ``np.float32(0.001)`` is 0.00100000004749…, not 0.001; this value is kept, with a warning.

    Parameters
    ----------
    n_features
        Number of features n.
    n_hidden
        Number of hidden neurons m, n * m < 2**34. Fewer neurons than features are allowed.
    l1
        Weight of the sum of absolute weights (untied: of both matrices; never of the bias).
    l1_schedule
        None, or points (step, factor). Step t (counted from 0) uses l1 times a factor interpolated
        linearly between the points; before the first and after the last point the factor is
        constant. ``[(0, 0), (1000, 1)]`` is a warm-up, and
        ``[(999, 1), (1000, 0), (1999, 0), (2000, 1)]`` switches l1 off for 1000 steps. Steps must
        be ascending and at most ``steps``; factors must be >= 0. Redundant points are dropped.
    l1_target
        "weights", or "activations" for ``l1 * scale * sum over rows of |h|_1`` with h the hidden
        activations before noise.
    l1_update
        "subgradient" adds ``l1 * sign(w)`` to the gradient, with sign(0) = 0; "orthant" sets a
        weight to exactly zero if its step would change its sign (Andrew & Gao 2007).
    repulsion
        Weight of ``sum over neurons of sum over pairs of features of w_ik^2 w_jk^2`` (untied: of
        both matrices), which is 0 if no two features share a neuron. It treats equal and opposite
        signs alike. A weight w_ik shrinks at the rate
        ``2 * repulsion * sum over other features of w_jk^2``, compared with 4 of the squared error.
    noise
        Distribution of the zero-mean noise on the hidden layer: "none", "rademacher", "gaussian",
        "uniform", "laplace", "student_t" or "three_point".
    noise_std
        Standard deviation of the noise, > 0 unless noise is "none".
    noise_shape
        For "student_t" the degrees of freedom, > 2. For "three_point" the probability q of a
        non-zero value, 2**-31 <= q <= 1, with excess kurtosis 1/q - 3. None for all others.
    noise_sharing
        "step": all inputs of a step share one noise vector; "input": each input has its own.
    dropout
        Probability that a hidden unit is dropped, together with its noise, 0 <= dropout < 1. The
        other units are multiplied by 1 / (1 - dropout).
    dropout_sharing
        "input": each input of a step drops its own units; "step": all inputs drop the same ones.
    optimizer
        "sgd", "adam" or "adamw", with PyTorch's update formulas.
    learning_rate
        Step size of the optimizer, > 0.
    learning_rate_schedule
        None, "cosine" for the factor (1 + cos(pi t / steps)) / 2 at step t = 0 ... steps - 1, or
        points (step, factor on the learning rate) as in ``l1_schedule``.
    weight_decay
        None means 0.01 with adamw (where it is decoupled and follows the scheduled learning rate)
        and 0 otherwise. Not with sgd.
    momentum
        For sgd only, 0 <= momentum < 1.
    betas
        Decay rates of the first and second moments, 0 <= beta < 1. For adam and adamw only.
    epsilon
        Added to the square root of the second moment, > 0. For adam and adamw only.
    second_moment
        "coordinate": each weight has a second moment of its own; "scalar": all weights of a model
        share one, that of the squared gradient averaged over all parameters (with l1; orthant-wise,
        that of the pseudo-gradient, which is 0 for zeros that l1 holds). Steps are then parallel to
        the first moment, as in AdaGrad-Norm (Ward et al. 2019); Adam-mini (Zhang et al. 2024)
        shares in this way within blocks. For adam and adamw only; slower.
    steps
        Number of updates.
    stop
        "steps", or "certified", which ends a seed early once further training cannot change which
        features share a neuron. Only for tied relu models without bias, noise, dropout, repulsion
        and importance, with the basis as inputs, l1_update="orthant" and 0 < l1 < 1.152. With an
        l1_schedule, a seed does not stop before the last point, and the limits apply to l1 there.
    init
        Initial weights: "normal" N(0, 1/m), "xavier" N(0, 2 / (n + m)), "orthogonal" (rows if
        m >= n, otherwise columns) or "uniform" with variance 1/m. An untied decoder is initialised
        independently, a bias at 0.
    init_scale
        Factor by which all initial weights are multiplied, > 0.
    tied
        Whether the decoder is the transpose of the encoder.
    bias
        Whether the output has a bias.
    activation
        Nonlinearity of the output, "relu" or "linear".
    inputs
        :class:`Basis`, :class:`Independent`, :class:`CorrelatedBlocks` or :class:`FixedBatch`.
    importance
        (n,) weights of the features' squared errors, finite, >= 0, not all zero; stored as a tuple.
        None is equivalent to all ones.
    dtype
        "float32" or "float64".

    Raises
    ------
    TypeError
        For a value of the wrong type or an unknown field.
    ValueError
        For a value out of range, and for settings that would have no effect or are incompatible.
    """

    REQUIRED = ("n_features", "n_hidden")
    NUMERICS_VERSION = NUMERICS_VERSION

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
    learning_rate_schedule: Literal["cosine"] | Sequence[tuple[int, float]] | None = None
    weight_decay: float | None = None
    momentum: float = 0.0
    betas: tuple[float, float] = (0.9, 0.999)
    epsilon: float = 1e-8
    second_moment: SecondMoment = "coordinate"
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
        choices = {name: get_args(allowed) for name, allowed in _CHOICES.items()}
        self._check_plain(_INTEGERS, _REALS, choices, ("tied", "bias"))
        schedule = checked_schedule(self._label("l1_schedule"), self.l1_schedule, self.steps, "l1")
        self._set("l1_schedule", schedule)
        label = self._label("learning_rate_schedule")
        rates = checked_rates(label, self.learning_rate_schedule, self.steps)
        self._set("learning_rate_schedule", rates)
        label, n = self._label("importance"), self.n_features
        weights = checked_importance(label, self.importance, n, "n_features", "feature")
        self._set("importance", weights)
        self._check_noise()
        if self.dropout == 0:
            self._refuse("dropout_sharing", "with dropout=0")
        self._check_l1()
        self._check_optimizer()
        if self.optimizer == "sgd":
            self._refuse("second_moment", "with optimizer='sgd'")
        self._check_inputs()
        self._check_rounding(_ROUNDED)
        self._check_exact_rounding()
        self._check_stop()

    def _check_noise(self) -> None:
        if self.noise == "none":
            for name in ("noise_std", "noise_shape", "noise_sharing"):
                self._refuse(name, "with noise='none'")
            return
        if self.noise_std == 0:
            raise ValueError(
                f"Config: noise_std must be > 0 with noise={self.noise!r}, got {self.noise_std}"
            )
        self._check_noise_shape()

    def _check_l1(self) -> None:
        if self.l1 == 0:
            for name in ("l1_schedule", "l1_target", "l1_update"):
                self._refuse(name, "with l1=0")
        if self.l1_update == "orthant":
            self._refuse("l1_target", "with l1_update='orthant'")

    def _check_inputs(self) -> None:
        if not isinstance(self.inputs, get_args(Inputs)):
            allowed = "Basis(), Independent(...), CorrelatedBlocks(...) or FixedBatch(...)"
            raise _checks.refused("Config: inputs", allowed, self.inputs, kind=TypeError)
        self.inputs._check(self._label("inputs"), "n_features", self.n_features)
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

    def _check_exact_rounding(self) -> None:
        """Refuse numbers that have no effect after rounding by the core or the dtype."""
        # A unit is dropped if a random 32-bit number is below the probability.
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

    def _stored(self, name: str, defaults: bool) -> Any:
        if name == "inputs":
            return _inputs.to_dict(self.inputs, defaults)
        return super()._stored(name, defaults)

    @classmethod
    def from_dict(cls, mapping: Mapping[str, Any]) -> Config:
        """The inverse of :meth:`to_dict`; missing fields take their defaults."""
        values = cls._values(mapping)
        if "inputs" in values:
            values["inputs"] = _inputs.from_dict(values["inputs"])
        return cls(**values)


DEFAULTS: dict[str, Any] = defaults_of(Config)
"""Name and default of each field in order; the default of a required field equals no value."""
Config.DEFAULTS = DEFAULTS


def without_l1(config: Config, **changes: Any) -> Config:
    """The configuration without l1 and the settings that need it."""
    plain = {"l1_schedule": None, "l1_update": "subgradient", "l1_target": "weights"}
    return config.replace(l1=0.0, **plain, stop="steps", **changes)


def check_config(where: str, config: object) -> None:
    """Refuse anything but a configuration of an autoencoder."""
    _checks.instance(f"{where}: config", config, Config, "a Config")


# Fields that have a different form in the core.
_CONVERTED = ("betas", "inputs", "importance", "weight_decay", "noise_shape")


@functools.lru_cache(maxsize=4)  # a call of `train` asks for it several times
def core_settings(config: Config) -> Any:
    """Lower a configuration to the settings struct of the compiled core; not to be changed."""
    settings = core.Settings()
    for name in DEFAULTS:
        if name not in _CONVERTED and not config._is_default(name):
            setattr(settings, name, getattr(config, name))
    settings.beta1, settings.beta2 = config.betas
    settings.weight_decay = config._effective_weight_decay
    settings.noise_shape = config.noise_shape or 0.0
    if config.importance is not None:
        settings.importance = list(config.importance)
    settings.inputs = config.inputs.kind
    if isinstance(config.inputs, _inputs.FixedBatch):
        settings.set_fixed_batch(config.inputs.indptr, config.inputs.indices, config.inputs.values)
    else:
        for item in fields(config.inputs):
            value = getattr(config.inputs, item.name)
            one_for_all = item.name in ("probability", "magnitude") and not isinstance(value, tuple)
            setattr(settings, item.name, (value,) if one_for_all else value)
    return settings
