"""Conversion of networks from and to PyTorch, which is imported on first use."""

from __future__ import annotations

import functools
import importlib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastpolysem import _checks
from fastpolysem.families.network.config import NetworkConfig
from fastpolysem.families.network.objective import NetworkParameters, stacked

__all__ = ["parameters_from_torch", "settings_from_torch", "to_torch"]

_SOFTMAX = ("LogSigmoid", "LogSoftmax", "Sigmoid", "Softmax")
# Our own modules for layers that torch.nn does not have.
_OWN = ("Residual", "Square", "Transposed")


@dataclass
class _Layer:
    """A layer as described by the modules of a network."""

    linear: Any
    activation: str | None = None
    dropout: float = 0.0
    residual: bool = False


def settings_from_torch(module: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of `NetworkConfig.from_torch`, from the module and the given ones."""
    where = "NetworkConfig.from_torch"
    layers = _read(where, module)
    hidden, last = layers[:-1], layers[-1]
    first = layers[0].linear
    computes = {
        "widths": [first.in_features, *(layer.linear.out_features for layer in layers)],
        "activation": [layer.activation or "linear" for layer in hidden],
        "output": last.activation or "linear",
        "bias": [layer.linear.bias is not None for layer in layers],
        "residual": [i for i, layer in enumerate(hidden, 1) if layer.residual],
        "tied": type(last.linear) is _modules()["Transposed"],
    }
    for name in computes.keys() & given.keys():
        raise ValueError(f"{where}: {name} must be left out, since the module determines it")
    double = any(part.dtype == _torch().float64 for part in module.parameters())
    trains = {
        "dropout": [layer.dropout for layer in hidden],
        "init": "pytorch",
        "dtype": "float64" if double else "float32",
    }
    return {**computes, **trains, **given}


def parameters_from_torch(module: Any) -> NetworkParameters:
    """Weights and biases of a PyTorch network.

    Parameters
    ----------
    module
        A module accepted by `NetworkConfig.from_torch`, on any device, or a list of S such modules
        with the same layers.

    Returns
    -------
    NetworkParameters of one network, or of a stack of S for a list. Copies in the dtype of the
    module (bfloat16 becomes float32). The matrices are the transposes of
    ``torch.nn.Linear.weight``.

    Raises
    ------
    TypeError, ValueError
        As in `NetworkConfig.from_torch`.
    """
    if isinstance(module, (list, tuple)):
        return _together(module)
    layers = _read("parameters_from_torch", module)
    matrices = [layer.linear for layer in layers]
    if type(matrices[-1]) is _modules()["Transposed"]:
        matrices.pop()
    label = "parameters_from_torch: module"
    weights = [np.array(_checks.as_array(label, one.weight).T, order="C") for one in matrices]
    biases = [layer.linear.bias for layer in layers]
    if all(bias is None for bias in biases):
        return NetworkParameters(weights)
    kept = [None if bias is None else np.array(_checks.as_array(label, bias)) for bias in biases]
    return NetworkParameters(weights, kept)


def _together(modules: Sequence[Any]) -> NetworkParameters:
    """A stack of networks."""
    label = "parameters_from_torch: module"
    if not modules:
        raise ValueError(f"{label} must have at least one network, got an empty list")
    kinds = [
        [(type(one.linear), one.activation, one.residual) for one in _read(label, module)]
        for module in modules
    ]
    networks = [parameters_from_torch(module) for module in modules]
    biases = [one.biases or [None] * len(one.weights) for one in networks]
    every = [[*one.weights, *own] for one, own in zip(networks, biases, strict=True)]
    shapes = [[np.shape(part) if part is not None else None for part in one] for one in every]
    for index, own in enumerate(zip(kinds, shapes, strict=True)):
        if own != (kinds[0], shapes[0]):
            raise ValueError(
                f"{label} must have networks of the same layers, got others at {index}"
            )
    stacks = [None if parts[0] is None else np.stack(parts) for parts in zip(*every, strict=True)]
    count = len(networks[0].weights)
    given = None if networks[0].biases is None else stacks[count:]
    return NetworkParameters([one for one in stacks[:count] if one is not None], given)


def to_torch(config: NetworkConfig, parameters: Any, index: int | None = None) -> Any:
    """A PyTorch module that computes the outputs of a network.

    Parameters
    ----------
    config
        The network.
    parameters
        :class:`NetworkParameters` of one network, or of a stack with ``index``.
    index
        Position of the network in the stack; in the weights of a result, that of the seed.

    Returns
    -------
    torch.nn.Sequential on the CPU, in the config's dtype and in evaluation mode. Its outputs are
    those of `forward` up to rounding; for a cross-entropy they are logits. In training mode it
    applies the config's dropout, unless all rows of a step share it (``dropout_sharing="step"``).
    Noise and ``frozen`` have no counterpart. Residual layers, tied layers and the square activation
    are small modules of this package, which `NetworkConfig.from_torch` reads again.

    Raises
    ------
    ImportError
        Without PyTorch.
    TypeError, ValueError
        If the parameters do not fit the config, or are a stack and ``index`` is missing.
    """
    _checks.instance("to_torch: config", config, NetworkConfig, "a NetworkConfig")
    nn = _torch().nn
    arrays = _one(config, parameters, index)
    kinds = (*config._spread("activation", config.depth - 1), config.output)
    dropout = (*config._spread("dropout", config.depth - 1), 0.0)
    modules: list[Any] = []
    linear: Any = None
    for layer, kind in enumerate(kinds, 1):
        bias = arrays.get(f"biases_{layer}")
        if config.tied and layer == 2:
            linear = _modules()["Transposed"](linear, _parameter(bias))
        else:
            linear = _linear(arrays[f"weights_{layer}"], bias)
        block = [linear, *_activation(kind)]
        if layer in config.residual:
            block = [_modules()["Residual"](nn.Sequential(*block))]
        if dropout[layer - 1] and config.dropout_sharing == "input":
            block.append(nn.Dropout(dropout[layer - 1]))
        modules += block
    return nn.Sequential(*modules).eval()


def _one(config: NetworkConfig, parameters: Any, index: int | None) -> dict[str, NDArray[Any]]:
    """The arrays of one network."""
    arrays, single = stacked("to_torch: parameters", parameters, config, None)
    count = len(arrays["weights_1"])
    if not count:
        raise ValueError("to_torch: parameters must hold a network, got an empty stack")
    if index is not None:
        index = _checks.integer("to_torch: index", index, (">=", 0), ("<", count))
    elif not single and count > 1:
        raise ValueError(f"to_torch: index must say which of the stack of {count} networks")
    return {name: stack[index or 0] for name, stack in arrays.items()}


def _linear(weights: NDArray[Any], bias: NDArray[Any] | None) -> Any:
    torch = _torch()
    # Created without drawing weights, which would advance the user's random generator.
    made = torch.nn.utils.skip_init(torch.nn.Linear, *weights.shape, bias=bias is not None)
    made.weight, made.bias = _parameter(weights.T), _parameter(bias)
    return made


def _parameter(values: NDArray[Any] | None) -> Any:
    torch = _torch()
    if values is None:
        return None
    return torch.nn.Parameter(torch.from_numpy(np.array(values, order="C")))


def _activation(kind: str) -> list[Any]:
    nn = _torch().nn
    made = {"relu": nn.ReLU, "gelu": nn.GELU, "tanh": nn.Tanh, "square": _modules()["Square"]}
    return [made[kind]()] if kind in made else []


# Reading


def _read(where: str, module: Any) -> list[_Layer]:
    """The layers of a network, after checking that a `NetworkConfig` can represent them."""
    nn = _torch().nn
    _checks.instance(f"{where}: module", module, nn.Module, "a torch.nn.Module")
    layers: list[_Layer] = []
    for name, part in _flat(where, "module", module):
        if type(part) is _modules()["Residual"]:
            inner: list[_Layer] = []
            for own, one in _flat(where, f"{name}.block", part.block):
                _add(where, own, one, inner)
            if len(inner) != 1 or inner[0].dropout:
                raise _refused(where, name, part, "one Linear and its activation where residual")
            inner[0].residual = True
            layers += inner
        else:
            _add(where, name, part, layers)
    if not layers:
        raise ValueError(f"{where}: module must have a torch.nn.Linear, got none")
    _check(where, layers)
    return layers


def _flat(where: str, name: str, module: Any) -> Iterator[tuple[str, Any]]:
    """The modules in the order in which they are applied, with their positions."""
    if module._forward_pre_hooks or module._forward_hooks:  # pruning and spectral norm, too
        raise _refused(where, name, module, "without hooks, which may change what it computes")
    sequential = _torch().nn.Sequential
    if isinstance(module, sequential) and type(module).forward is sequential.forward:
        for i, part in enumerate(module):
            yield from _flat(where, f"{name}[{i}]", part)
    else:
        yield name, module


def _add(where: str, name: str, part: Any, layers: list[_Layer]) -> None:
    """Add the next module."""
    nn, own = _torch().nn, _modules()
    activations = {nn.ReLU: "relu", nn.GELU: "gelu", nn.Tanh: "tanh", own["Square"]: "square"}
    last = layers[-1] if layers else None
    if type(part) in (nn.Linear, own["Transposed"]):
        layers.append(_Layer(part))
    elif _changes_nothing(part):
        pass
    elif type(part) in activations:
        kind = activations[type(part)]
        if kind == "gelu" and part.approximate != "none":
            raise _refused(where, name, part, "the exact GELU, approximate='none'")
        if last is None or last.activation or last.residual:
            raise _refused(where, name, part, "a Linear, of which each has one activation")
        if last.dropout and kind != "relu":
            raise _refused(where, name, part, "before the Dropout")
        last.activation = kind
    elif type(part) is nn.Dropout:
        if last is None or last.dropout:
            raise _refused(where, name, part, "a Linear, of which each has one Dropout")
        last.dropout = float(part.p)
    elif type(part).__name__ in _SOFTMAX:
        raise _refused(where, name, part, "left out, since losses take logits")
    elif name == "module":
        raise _refused(where, name, part, "a torch.nn.Sequential, whose order can be read")
    else:
        known = "Linear, ReLU, GELU, Tanh, Identity, Dropout or Sequential"
        raise _refused(where, name, part, known)


def _changes_nothing(part: Any) -> bool:
    """Whether a module returns rows of numbers unchanged."""
    nn = _torch().nn
    if type(part) is nn.Flatten:
        return bool(part.start_dim == 1)
    return type(part) is nn.Identity or (type(part) is nn.Dropout and not part.p)


def _check(where: str, layers: list[_Layer]) -> None:
    """Refuse layers that no `NetworkConfig` has in combination, although it has each of them."""
    label = f"{where}: module"
    last = layers[-1]
    if last.dropout:
        raise ValueError(f"{label} must have no Dropout after the last Linear, got one")
    if last.activation not in (None, "relu"):
        raise ValueError(
            f"{label} must end with a Linear or a ReLU, got the activation {last.activation!r}"
        )
    linears = [layer.linear for layer in layers]
    if len({id(one) for one in linears}) < len(linears):
        raise ValueError(f"{label} must have a Linear for each layer, got one that is used twice")
    for layer, one in enumerate(linears):
        if type(one) is _modules()["Transposed"] and not (
            layer == 1 == len(linears) - 1 and one.of is linears[0]
        ):
            raise ValueError(f"{label} must have a tied layer only as the second of two")
    for before, after in itertools.pairwise(linears):
        if before.out_features != after.in_features:
            raise ValueError(f"{label} must have widths that fit, got {after} after {before}")


def _refused(where: str, name: str, part: Any, allowed: str) -> Exception:
    return _checks.refused(f"{where}: {name}", allowed, part, kind=TypeError)


# PyTorch


def _torch() -> Any:
    try:
        return importlib.import_module("torch")
    except ImportError:
        raise ImportError("this needs PyTorch: pip install torch") from None


@functools.cache
def _modules() -> dict[str, Any]:
    """Classes of modules that torch.nn does not have."""
    torch = _torch()

    class Residual(torch.nn.Module):  # type: ignore[misc,name-defined]
        """Adds the input of a block to its output."""

        def __init__(self, block: Any) -> None:
            super().__init__()
            self.block = block

        def forward(self, x: Any) -> Any:
            return x + self.block(x)

    class Square(torch.nn.Module):  # type: ignore[misc,name-defined]
        """The square of each entry."""

        def forward(self, x: Any) -> Any:
            return x * x

    class Transposed(torch.nn.Module):  # type: ignore[misc,name-defined]
        """A linear layer with the transpose of another layer's matrix."""

        def __init__(self, of: Any, bias: Any) -> None:
            super().__init__()
            self.of = of
            self.bias = bias
            self.in_features, self.out_features = of.out_features, of.in_features

        def forward(self, x: Any) -> Any:
            return torch.nn.functional.linear(x, self.of.weight.T, self.bias)

    made = {cls.__name__: cls for cls in (Residual, Square, Transposed)}
    for name, cls in made.items():
        cls.__qualname__ = name  # where pickle looks for it
    return made


def __getattr__(name: str) -> Any:
    if name in _OWN:
        return _modules()[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
