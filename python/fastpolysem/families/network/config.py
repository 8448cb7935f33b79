"""The settings of a network and its training, checked on creation.

One class: a third of the file documents the fields, the rest checks them.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from fastpolysem import _checks
from fastpolysem._native import core
from fastpolysem.families.base import Arrays
from fastpolysem.families.network import losses, targets
from fastpolysem.families.network.dataset import Dataset
from fastpolysem.specs import parts
from fastpolysem.specs.importance import checked_importance
from fastpolysem.specs.inputs import Basis, CorrelatedBlocks, FixedBatch, Independent
from fastpolysem.specs.noise import Noise, Sharing
from fastpolysem.specs.optimizer import Optimizer
from fastpolysem.specs.schedule import (
    checked_points,
    checked_rates,
    checked_schedule,
    essential,
)
from fastpolysem.specs.settings import MOST_STEPS, Settings, defaults_of, lists

__all__ = ["NetworkConfig"]

Activation = Literal["relu", "gelu", "tanh", "square", "linear"]
Output = Literal["linear", "relu"]
Init = Literal["normal", "pytorch", "xavier", "orthogonal", "uniform"]
Readout = Literal["dense", "private", "random"]
Inputs = Basis | Independent | CorrelatedBlocks | Dataset

KIND = "network"
NUMERICS_VERSION: int = core.NETWORK_NUMERICS_VERSION
"""Changes whenever the same settings and seed give different bits."""

_CHOICES: dict[str, Any] = {
    "output": Output,
    "l1_target": Literal["weights", "activations"],
    "l1_update": Literal["subgradient", "orthant"],
    "noise": Noise,
    "noise_sharing": Sharing,
    "dropout_sharing": Sharing,
    "optimizer": Optimizer,
    "init": Init,
    "dtype": Literal["float32", "float64"],
}
_INTEGERS: dict[str, tuple[_checks.Bound, ...]] = {"steps": ((">=", 0), ("<", MOST_STEPS))}
_REALS: dict[str, tuple[_checks.Bound, ...]] = {
    "learning_rate": ((">", 0),),
    "momentum": ((">=", 0), ("<", 1)),
    "epsilon": ((">", 0),),
    "init_scale": ((">", 0),),
}
# Settings that the core uses in the config's dtype.
_ROUNDED = (
    *_REALS,
    *("l1", "noise_std", "noise_shape", "weight_decay", "bias_start", "importance"),
)

# Allowed classes of fields that are objects.
_KINDS: dict[str, dict[str, type[Any]]] = {
    "inputs": {cls.kind: cls for cls in get_args(Inputs)},
    "target": targets.KINDS,
    "loss": losses.KINDS,
}

EVALUATION_ROWS = 4096
"""Number of sampled rows on which the final loss is evaluated."""

# The number of a layer has 16 bits in a stream's word, more than enough.
_MAX_WIDTHS = 256
# The random numbers of a step are addressed by element // 4 in one 32-bit word.
_MAX_ELEMENTS = 2**34


@_checks.suggest_fields
@dataclass(frozen=True, kw_only=True, repr=False)
class NetworkConfig(Settings):
    """Settings of a network of several layers and its training.

    The widths are d_0 ... d_L and the rows of inputs H_0. Layer l = 1 ... L computes
    Z_l = H_{l-1} W_l + b_l, a hidden layer (l < L) returns
    H_l = (activation(Z_l) [+ H_{l-1} if residual] + noise) * dropout, and the output is
    output(Z_L). The objective is ``scale * sum over rows of loss`` plus l1. For power losses with
    the inputs, their absolute values or their ReLU as targets, the scale makes each feature appear
    once per step in expectation: it is 1 for :class:`Basis` and
    n / (rows * expected number of active features) for sampled inputs. In all other cases it is
    1 / rows.

    Values are checked and converted to plain Python types; instances are immutable and hashable.
    Values per layer are given as a tuple; a tuple of equal values is stored as that value.

    Parameters
    ----------
    widths
        d_0 ... d_L: inputs, one or more hidden layers, outputs.
    activation
        Nonlinearity of the hidden layers: "relu", "gelu" (the exact one), "tanh", "square" or
        "linear"; one for all or one per hidden layer.
    output
        Nonlinearity of the output, "linear" or "relu". Cross-entropies take linear outputs as
        logits.
    bias
        Whether layers have biases; one for all or one per layer.
    bias_start
        Initial value of the biases; one for all or one per layer, 0 for layers without a bias. Not
        with init="pytorch", which draws them.
    bias_decay
        None, or points (step, kappa): after each update b <- b * (1 - learning rate * kappa), with
        kappa interpolated linearly between points and constant before the first and after the last.
    residual
        Numbers (from 1, ascending) of the hidden layers with a residual connection, which adds the
        input of the layer to its output; each must be as wide as the layer before.
    tied
        Whether the second matrix is the transpose of the first; for two layers with d_2 = d_0.
    frozen
        Whether a layer's matrix and bias keep their initial values; one for all or one per layer.
        Not for all layers, and not with tied.
    inputs
        :class:`Basis`, :class:`Independent`, :class:`CorrelatedBlocks` or :class:`Dataset`.
    target
        What the outputs should be: `targets.Identity()`, `.Absolute()`, `.Relu()`, `.Clauses(...)`
        or `.Parity(...)` of the inputs. Not with a data set, which has its own targets.
    loss
        `losses.Power(q)`, `losses.CrossEntropy()` or `losses.BinaryCrossEntropy()`.
    importance
        (d_L,) weights of the outputs' losses, finite, >= 0, not all zero; stored as a tuple. None
        is equivalent to all ones. Not with the cross-entropy.
    l1
        Weight of the sum of absolute weights, never of biases; one for all or one per matrix, 0 for
        frozen ones. If applied to activations, one for all or one per hidden layer.
    l1_schedule
        None, or points (step, factor on l1), as in :class:`Config`.
    l1_target
        "weights", or "activations" for ``l1 * scale * sum over rows of |activation(Z_l)|_1``.
    l1_update
        "subgradient", or "orthant" for exact zeros, as in :class:`Config`.
    noise, noise_shape
        Distribution of the noise on hidden units, as in :class:`Config`.
    noise_std
        Its standard deviation; one for all or one per hidden layer.
    noise_sharing
        "input": each row has its own noise; "step": all rows of a step share one noise vector.
    dropout
        Probability that a hidden unit is dropped, together with its noise; the other units are
        multiplied by 1 / (1 - dropout). One for all or one per hidden layer.
    dropout_sharing
        "input": each row drops its own units; "step": all rows of a step drop the same ones.
    optimizer, learning_rate, learning_rate_schedule, weight_decay, momentum, betas, epsilon
        As in :class:`Config`.
    steps
        Number of updates.
    init
        Initial weights, with fan-in d_{l-1}: "normal" N(0, 1 / fan-in); "pytorch"
        U(-1, 1) / sqrt(fan-in) for weights and biases, the default of torch.nn.Linear; "xavier"
        N(0, 2 / (d_{l-1} + d_l)); "orthogonal"; or "uniform" with variance 1 / fan-in. Except with
        "pytorch", biases start at ``bias_start``.
    init_scale
        Factor by which all initial weights are multiplied, > 0.
    readout
        Which neurons of the last hidden layer an output reads. The other weights of the last matrix
        are 0 and stay 0. "dense": all. "private": neuron k is read by output k mod d_L alone.
        "random": each output reads as many neurons as under "private", chosen at random for each
        seed, so that the two differ in privacy but not in density. With fewer neurons than outputs,
        the last outputs read none under either. Or a (d_{L-1}, d_L) matrix of zeros and ones, kept
        as nested tuples. Not with tied or a frozen last layer.
    dtype
        "float32" or "float64".

    Raises
    ------
    TypeError
        For a value of the wrong type or an unknown field.
    ValueError
        For a value out of range, and for settings that would have no effect or are incompatible.
    """

    REQUIRED: ClassVar[tuple[str, ...]] = ("widths",)
    NUMERICS_VERSION: ClassVar[int] = NUMERICS_VERSION

    widths: Sequence[int]
    activation: Activation | Sequence[Activation] = "relu"
    output: Output = "linear"
    bias: bool | Sequence[bool] = False
    bias_start: float | Sequence[float] = 0.0
    bias_decay: Sequence[tuple[int, float]] | None = None
    residual: Sequence[int] = ()
    tied: bool = False
    frozen: bool | Sequence[bool] = False
    inputs: Inputs = field(default_factory=Basis)
    target: targets.Target = field(default_factory=targets.Identity)
    loss: losses.Loss = field(default_factory=losses.Power)
    importance: Sequence[float] | None = None
    l1: float | Sequence[float] = 0.0
    l1_schedule: Sequence[tuple[int, float]] | None = None
    l1_target: Literal["weights", "activations"] = "weights"
    l1_update: Literal["subgradient", "orthant"] = "subgradient"
    noise: Noise = "none"
    noise_std: float | Sequence[float] = 0.0
    noise_shape: float | None = None
    noise_sharing: Sharing = "input"
    dropout: float | Sequence[float] = 0.0
    dropout_sharing: Sharing = "input"
    optimizer: Optimizer = "adamw"
    learning_rate: float = 1e-3
    learning_rate_schedule: Literal["cosine"] | Sequence[tuple[int, float]] | None = None
    weight_decay: float | None = None
    momentum: float = 0.0
    betas: tuple[float, float] = (0.9, 0.999)
    epsilon: float = 1e-8
    steps: int = 7500
    init: Init = "normal"
    init_scale: float = 1.0
    readout: Readout | Sequence[Sequence[int]] = "dense"
    dtype: Literal["float32", "float64"] = "float32"

    def __post_init__(self) -> None:
        self._check_plain(
            _INTEGERS,
            _REALS,
            {name: get_args(allowed) for name, allowed in _CHOICES.items()},
            ("tied",),
        )
        # First the individual fields, then their combinations.
        self._check_widths()
        self._check_values_per_layer()
        self._check_residual()
        self._check_schedules()
        for name, kinds in _KINDS.items():
            self._check_part(name, kinds)
        self.inputs._check(self._label("inputs"), "widths[0]", self.widths[0])
        self._check_layers()
        self._check_biases()
        self._check_readout()
        self._check_task()
        self._check_l1()
        self._check_noise()
        self._check_optimizer()
        self._check_rounding(_ROUNDED)
        self._check_sizes()

    # The layers

    @property
    def depth(self) -> int:
        """Number of layers with weights, L."""
        return len(self.widths) - 1

    def _spread(self, name: str, count: int) -> tuple[Any, ...]:
        """The value of a field for each layer."""
        value = getattr(self, name)
        return value if isinstance(value, tuple) else (value,) * count

    def _each(
        self, name: str, count: int, what: str, check: Callable[..., Any], *args: Any
    ) -> None:
        """Check a field with one value for all layers or one per layer."""
        label, value = self._label(name), getattr(self, name)
        given = _checks.listed(label, value)
        if given is None:
            self._set(name, check(label, value, *args))
            return
        if len(given) != count:
            raise ValueError(f"{label} must have one value per {what}, {count}, got {len(given)}")
        each = tuple(check(f"{label}[{i}]", one, *args) for i, one in enumerate(given))
        self._set(name, each[0] if len(set(each)) == 1 else each)

    def _check_widths(self) -> None:
        label = self._label("widths")
        given = _checks.listed(label, self.widths)
        if given is None:
            raise _checks.refused(label, "a list of integers", self.widths, kind=TypeError)
        if not 3 <= len(given) <= _MAX_WIDTHS:
            raise ValueError(
                f"{label} must list the inputs, at least one hidden layer and the outputs, "
                f"3 to {_MAX_WIDTHS} widths, got {len(given)}"
            )
        bounds = (">=", 1), ("<", 2**31)
        self._set("widths", tuple(_checks.integers(label, given, *bounds)))

    def _check_values_per_layer(self) -> None:
        hidden = self.depth - 1
        kinds = get_args(Activation)
        self._each("activation", hidden, "hidden layer", _checks.choice, kinds)
        self._each("noise_std", hidden, "hidden layer", _checks.setting, (">=", 0))
        self._each("dropout", hidden, "hidden layer", _checks.setting, (">=", 0), ("<", 1))
        self._each("bias", self.depth, "layer", _checks.flag)
        self._each("bias_start", self.depth, "layer", _checks.setting)
        self._each("frozen", self.depth, "layer", _checks.flag)
        what = "matrix" if self.l1_target == "weights" else "hidden layer"
        self._each("l1", self._l1_count, what, _checks.setting, (">=", 0))

    @property
    def _l1_count(self) -> int:
        """Number of matrices or hidden layers to which l1 can apply."""
        if self.l1_target == "activations":
            return self.depth - 1
        return 1 if self.tied else self.depth

    def _check_residual(self) -> None:
        label = self._label("residual")
        bounds = (">=", 1), ("<=", self.depth - 1)
        layers = tuple(_checks.integers(label, self.residual, *bounds))
        if any(after <= before for before, after in itertools.pairwise(layers)):
            raise ValueError(f"{label} must name each layer once, in ascending order, got {layers}")
        for layer in layers:
            before, after = self.widths[layer - 1], self.widths[layer]
            if before != after:
                raise ValueError(
                    f"{label} must name layers as wide as the one before, "
                    f"got layer {layer} of width {after} after {before}"
                )
        self._set("residual", layers)

    def _check_layers(self) -> None:
        if self.tied and (self.depth != 2 or self.widths[0] != self.widths[2]):
            raise ValueError(
                f"{self._label('tied')} must be False unless widths are (n, m, n), "
                f"got widths={self.widths}"
            )
        if self.tied:
            self._refuse("frozen", "with tied=True")
        if all(self._spread("frozen", self.depth)):
            raise ValueError(f"{self._label('frozen')} must leave a layer to train, got all frozen")

    def _check_biases(self) -> None:
        layers = range(self.depth)
        biased, frozen = self._spread("bias", self.depth), self._spread("frozen", self.depth)
        starts = self._spread("bias_start", self.depth)
        for layer in layers:
            if starts[layer] and not biased[layer]:
                raise ValueError(
                    f"{self._label('bias_start')} must be 0 for layers without a bias, "
                    f"got {starts[layer]} for layer {layer + 1}"
                )
        if self.init == "pytorch":
            self._refuse("bias_start", "with init='pytorch', which draws the biases")
        if not any(biased[layer] and not frozen[layer] for layer in layers):
            self._refuse("bias_decay", "if no bias is trained")

    def _check_readout(self) -> None:
        label, given = self._label("readout"), self.readout
        if isinstance(given, str):
            self._set("readout", _checks.choice(label, given, get_args(Readout)))
        else:
            self._set("readout", _reads(label, given, tuple(self.widths[-2:])))
        if self.tied:
            self._refuse("readout", "with tied=True")
        if self._spread("frozen", self.depth)[-1]:
            self._refuse("readout", "where the last layer is frozen")

    # The task

    def _check_task(self) -> None:
        label, outputs = self._label("inputs"), self.widths[-1]
        data = self.inputs if isinstance(self.inputs, Dataset) else None
        if (data is not None and data.has_classes) != (self.loss.kind == "cross_entropy"):
            hint = ""
            if data is not None and not data.has_classes:
                how = "column[:, 0]" if data.targets.shape[1] == 1 else "one_hot.argmax(axis=1)"
                hint = f"; classes are (N,) integers, such as {how}"
            raise ValueError(
                f"{self._label('loss')} must be CrossEntropy() if inputs are a Dataset with "
                f"classes as targets, and only then, got {self.loss!r} and {self.inputs!r}{hint}"
            )
        if data is not None:
            self._refuse("target", "with a Dataset, which has its own targets")
            if data.has_classes and outputs < 2:
                raise ValueError(
                    f"{self._label('loss')} must not be CrossEntropy() with fewer than 2 classes, "
                    f"got widths[-1]={outputs}"
                )
            data._check_targets(label, outputs)
            data._check_dtype(label, self.dtype)
        else:
            self.target._check(self._label("target"), self.widths[0], outputs)
        low, high = self._target_range()
        if self.loss.kind == "binary_cross_entropy" and (low < 0 or high > 1):
            raise ValueError(
                f"{self._label('loss')} must not be BinaryCrossEntropy() unless targets are within "
                f"[0, 1], got targets from {low:g} to {high:g}"
            )
        if self.loss.kind != "power":
            self._refuse("output", f"with loss={self.loss!r}, which takes logits")
        if self.loss.kind == "cross_entropy" and self.importance is not None:
            self._refuse("importance", "with loss=CrossEntropy()")
        weights = checked_importance(
            self._label("importance"), self.importance, outputs, "widths[-1]", "output"
        )
        self._set("importance", weights)

    def _check_part(self, name: str, kinds: Mapping[str, type[Any]]) -> None:
        """Refuse anything that is not an instance of one of the classes."""
        value = getattr(self, name)
        if not isinstance(value, tuple(kinds.values())):
            each = [f"{cls.__name__}({'...' if fields(cls) else ''})" for cls in kinds.values()]
            hint = ""
            if isinstance(value, FixedBatch):
                hint = "; a Dataset without batch_size shows the same rows at every step"
            allowed = f"{', '.join(each[:-1])} or {each[-1]}"
            raise _checks.refused(self._label(name), allowed, value, hint, kind=TypeError)

    def _target_range(self) -> tuple[float, float]:
        """Smallest and largest possible target."""
        if isinstance(self.inputs, Dataset):
            return self.inputs._target_range
        signed = isinstance(self.inputs, Independent) and self.inputs._is_signed
        return (-1.0 if signed and self.target.kind == "identity" else 0.0), 1.0

    # Penalties, noise, optimizer

    def _check_l1(self) -> None:
        on_weights = self.l1_target == "weights"
        l1 = self._spread("l1", self._l1_count)
        if not any(l1):
            for name in ("l1_schedule", "l1_target", "l1_update"):
                self._refuse(name, "with l1=0")
        if self.l1_update == "orthant":
            self._refuse("l1_target", "with l1_update='orthant'")
        frozen = self._spread("frozen", self.depth)
        for layer, factor in enumerate(l1):
            # Activations change as long as some layer below them is trained.
            if factor and (frozen[layer] if on_weights else all(frozen[: layer + 1])):
                of = "the weights" if on_weights else "the activations"
                raise ValueError(
                    f"{self._label('l1')} must be 0 where frozen layers fix {of}, "
                    f"got {factor} for layer {layer + 1} with frozen={self.frozen}"
                )

    def _check_noise(self) -> None:
        hidden = self.depth - 1
        if self.noise == "none":
            for name in ("noise_std", "noise_shape", "noise_sharing"):
                self._refuse(name, "with noise='none'")
        else:
            if not any(self._spread("noise_std", hidden)):
                raise ValueError(
                    f"{self._label('noise_std')} must be > 0 for a hidden layer with "
                    f"noise={self.noise!r}, got {self.noise_std}"
                )
            self._check_noise_shape()
        chances = self._spread("dropout", hidden)
        if not any(chances):
            self._refuse("dropout_sharing", "with dropout=0")
        for chance in chances:
            # A unit is dropped if a random 32-bit number is below the probability.
            if chance and not 2**-32 <= chance <= 1 - 2**-32:
                raise ValueError(
                    f"{self._label('dropout')} must be 0 or between 2**-32 and 1 - 2**-32, "
                    f"got {chance}"
                )

    def _check_schedules(self) -> None:
        label = self._label("l1_schedule")
        self._set("l1_schedule", checked_schedule(label, self.l1_schedule, self.steps, "l1"))
        label = self._label("learning_rate_schedule")
        rates = checked_rates(label, self.learning_rate_schedule, self.steps)
        self._set("learning_rate_schedule", rates)
        if self.bias_decay is not None:
            self._check_bias_decay()

    def _check_bias_decay(self) -> None:
        label = self._label("bias_decay")
        points = checked_points(label, self.bias_decay, self.steps, "kappa")
        if not any(kappa for _, kappa in points):
            raise ValueError(f"{label} must have a kappa > 0, got {_checks.shown(self.bias_decay)}")
        # A constant is stored as its value from step 0 on.
        self._set("bias_decay", essential(points) or ((0, points[0][1]),))

    def _check_sizes(self) -> None:
        sizes = {
            f"widths[{i}] * widths[{i + 1}]": before * after
            for i, (before, after) in enumerate(itertools.pairwise(self.widths))
        }
        rows, widest = self._rows, max(self.widths[1:-1])
        if isinstance(self.inputs, Dataset):
            sizes["2 * rows of the data set"] = 2 * self.inputs.inputs.shape[0]
        elif not isinstance(self.inputs, Basis):
            sizes["rows of a batch * (widths[0] + 1)"] = rows * (self.widths[0] + 1)
            sizes[f"{EVALUATION_ROWS} rows of evaluation * (widths[0] + 1)"] = EVALUATION_ROWS * (
                self.widths[0] + 1
            )
        if self.noise != "none" and self.noise_sharing == "input":
            # Some kinds use two words per element.
            sizes["2 * rows of a batch * widest hidden layer"] = 2 * rows * widest
        if any(self._spread("dropout", 1)) and self.dropout_sharing == "input":
            sizes["rows of a batch * widest hidden layer"] = rows * widest
        for what, size in sizes.items():
            if size >= _MAX_ELEMENTS:
                raise ValueError(f"{type(self).__name__}: {what} must be < 2**34, got {size}")

    @property
    def _rows(self) -> int:
        """Rows of the batch of one step."""
        return self.inputs._rows(self.widths[0])

    def _scale(self, rows: int) -> float:
        """Factor of the sum of the loss over rows, and of l1 on activations."""
        if (
            not isinstance(self.inputs, Dataset)
            and self.loss.kind == "power"
            and self.target.elementwise
        ):
            return self.inputs._scale(self.widths[0], rows)
        return 1.0 / rows

    # PyTorch

    @classmethod
    def from_torch(cls, module: Any, **settings: Any) -> NetworkConfig:
        """The configuration of networks that compute what a PyTorch module computes.

        Parameters
        ----------
        module
            A ``torch.nn.Sequential``, possibly nested: ``Linear`` layers, each followed by
            ``ReLU``, ``GELU`` (the exact one), ``Tanh`` or no activation, hidden ones optionally by
            ``Dropout``, with ``Identity`` or ``Flatten`` anywhere. The output layer may have a
            ``ReLU``. ``Dropout`` may also precede a ``ReLU``, with the same effect. Modules made by
            `fastpolysem.to_torch` are read too.
        settings
            All other fields: inputs, loss, learning rate and so on. The module determines
            ``widths``, ``activation``, ``output``, ``bias``, ``residual`` and ``tied``, and unless
            given also ``dropout`` and ``dtype``. Unless given, ``init`` is "pytorch", the
            initialisation of ``torch.nn.Linear``.

        Raises
        ------
        TypeError
            For any other module, named with its place.
        ValueError
            For a module that no configuration matches, and for a setting that the module
            determines.
        """
        from fastpolysem.families.network.pytorch import settings_from_torch

        return cls(**settings_from_torch(module, settings))

    # Storing

    @property
    def attachments(self) -> Mapping[str, Arrays]:
        """Arrays that `to_dict` represents by a hash only, by that hash."""
        return self.inputs.attachments if isinstance(self.inputs, Dataset) else {}

    def _stored(self, name: str, defaults: bool) -> Any:
        value = getattr(self, name)
        if isinstance(value, Dataset):
            return value._to_dict(defaults)
        if name in ("inputs", "target", "loss"):
            return parts.to_dict(value, defaults)
        return super()._stored(name, defaults)

    def _hashed(self) -> dict[str, Any]:
        hashed = {"kind": KIND, **super()._hashed()}
        signed = isinstance(self.inputs, Independent) and self.inputs._is_signed
        if self.target.elementwise and not signed:  # the absolute value and ReLU are the inputs
            hashed.pop("target", None)
        if (readout := self._named_readout) != self.DEFAULTS["readout"]:
            hashed["readout"] = lists(readout)
        else:
            hashed.pop("readout", None)
        return hashed

    @property
    def _named_readout(self) -> Any:
        """The readout by the name that has the same effect, if there is one."""
        if isinstance(self.readout, str):
            return self.readout if self.widths[-1] > 1 else "dense"
        reads = np.array(self.readout, dtype=bool)
        if reads.all():
            return "dense"
        return "private" if (reads == private_reads(*self.widths[-2:])).all() else self.readout

    def to_dict(self) -> dict[str, Any]:
        """All fields in JSON form, and ``"kind": "network"``.

        A data set is represented by the hash of its arrays.
        """
        return {"kind": KIND, **super().to_dict()}

    @classmethod
    def from_dict(
        cls, mapping: Mapping[str, Any], attachments: Callable[[str], Arrays] | None = None
    ) -> NetworkConfig:
        """The inverse of :meth:`to_dict`; missing fields take their defaults.

        The arrays of a data set are those that this process has created or read, or those that
        ``attachments`` returns for their hash.
        """
        given = dict(mapping) if isinstance(mapping, Mapping) else mapping
        if isinstance(given, dict):
            _checks.choice("NetworkConfig.from_dict: kind", given.pop("kind", KIND), (KIND,))
        values = cls._values(given)
        if isinstance(inputs := values.get("inputs"), Mapping) and inputs.get("kind") == "dataset":
            values["inputs"] = Dataset._from_dict(inputs, attachments)
        for name, kinds in _KINDS.items():
            if name in values and not isinstance(values[name], Dataset):
                values[name] = parts.from_dict(name, values[name], kinds)
        return cls(**values)


NetworkConfig.DEFAULTS = defaults_of(NetworkConfig)


def private_reads(neurons: int, outputs: int) -> NDArray[np.bool_]:
    """Which neuron (row) is read by which output with ``readout="private"``."""
    read: NDArray[np.bool_] = np.arange(neurons)[:, np.newaxis] % outputs == np.arange(outputs)
    return read


def _reads(label: str, given: Any, shape: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
    """A matrix that says which neuron (row) is read by which output."""
    array = _checks.array(label, given, "float64", (2,))
    if array.shape != shape:
        raise ValueError(f"{label} must be a name or have the shape {shape}, got {array.shape}")
    if not ((array == 0) | (array == 1)).all():
        raise ValueError(f"{label} must consist of zeros and ones, got {_checks.shown(given)}")
    if not array.any():
        raise ValueError(f"{label} must let an output read a neuron, got zeros only")
    return tuple(tuple(int(x) for x in row) for row in array)
