"""Networks from and to PyTorch compute the same."""

from __future__ import annotations

import copy
import importlib
import io
import itertools
import sys
from typing import Any

import numpy as np
import pytest

import fastpolysem as fp
from helpers.refusal_checks import check

torch: Any = pytest.importorskip("torch")
torch.set_num_threads(1)  # for networks as small as these
nn = torch.nn

pytestmark = pytest.mark.extra

ROWS = np.random.default_rng(0).normal(size=(50, 6))


def outputs(module, dtype="float32") -> np.ndarray:
    with torch.no_grad():
        return module(torch.from_numpy(ROWS.astype(dtype))).numpy()


def agree(one, other, dtype="float32"):
    assert one.dtype == other.dtype == dtype
    scale = np.abs(other).max()
    np.testing.assert_allclose(
        one, other, rtol=0, atol=(2e-6 if dtype == "float32" else 1e-14) * scale
    )


MODULES = {
    "one hidden layer": lambda: nn.Sequential(nn.Linear(6, 9), nn.ReLU(), nn.Linear(9, 4)),
    "biases partly absent": lambda: nn.Sequential(
        nn.Linear(6, 9, bias=False),
        nn.GELU(),
        nn.Linear(9, 7),
        nn.Tanh(),
        nn.Linear(7, 4, bias=False),
    ),
    "no biases, ReLU outputs": lambda: nn.Sequential(
        nn.Linear(6, 9, bias=False), nn.ReLU(), nn.Linear(9, 4, bias=False), nn.ReLU()
    ),
    "linear hidden layers": lambda: nn.Sequential(
        nn.Linear(6, 9), nn.Identity(), nn.Linear(9, 5), nn.Linear(5, 4), nn.Identity()
    ),
    "nested, with dropout": lambda: nn.Sequential(
        nn.Sequential(nn.Linear(6, 9), nn.Tanh(), nn.Dropout(0.25)),
        nn.Sequential(nn.Linear(9, 9), nn.Dropout(0.5), nn.ReLU()),
        nn.Dropout(0),
        nn.Linear(9, 4),
    ),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", MODULES)
def test_outputs_agree_both_ways(name, dtype):
    torch.manual_seed(1)
    module = MODULES[name]().to(getattr(torch, dtype)).eval()
    config = fp.NetworkConfig.from_torch(module, inputs=fp.Independent(0.5, 8), target=CLAUSES)
    assert (config.dtype, config.init) == (dtype, "pytorch")
    parameters = fp.parameters_from_torch(module)
    here = fp.forward(parameters, config, ROWS)
    agree(here, outputs(module, dtype), dtype)
    back = fp.to_torch(config, parameters)
    agree(here, outputs(back, dtype), dtype)
    assert not back.training
    again = fp.NetworkConfig.from_torch(back, inputs=config.inputs, target=CLAUSES)
    assert again == config
    for one, other in zip(flat(parameters), flat(fp.parameters_from_torch(back)), strict=True):
        assert np.array_equal(one, other)


CLAUSES = fp.targets.Clauses([[[i]] for i in range(4)])


def flat(parameters: fp.NetworkParameters) -> list[np.ndarray]:
    return [*parameters.weights, *(b for b in parameters.biases or [] if b is not None)]


def test_settings_of_a_module():
    config = fp.NetworkConfig.from_torch(
        MODULES["nested, with dropout"](), inputs=fp.Independent(0.5, 8), target=CLAUSES
    )
    assert config.widths == (6, 9, 9, 4)
    assert config.activation == ("tanh", "relu")
    assert config.dropout == (0.25, 0.5)
    assert (config.output, config.bias, config.residual, config.tied) == ("linear", True, (), False)
    partly = fp.NetworkConfig.from_torch(
        MODULES["biases partly absent"](), inputs=fp.Independent(0.5, 8), target=CLAUSES
    )
    assert partly.bias == (False, True, False)
    given = fp.NetworkConfig.from_torch(
        MODULES["one hidden layer"](),
        inputs=fp.Independent(0.5, 8),
        target=CLAUSES,
        init="xavier",
        dropout=0.1,
        dtype="float64",
    )
    assert (given.init, given.dropout, given.dtype) == ("xavier", 0.1, "float64")


def test_modules_that_change_nothing():
    first, second = linear(6, 9, 4)
    module = nn.Sequential(nn.Flatten(), first, nn.Identity(), nn.ReLU(), nn.Flatten(), second)
    plain = nn.Sequential(first, nn.ReLU(), second)
    given = {"inputs": fp.Independent(0.5, 8), "target": CLAUSES}
    assert fp.NetworkConfig.from_torch(module, **given) == fp.NetworkConfig.from_torch(
        plain, **given
    )
    check(
        TypeError,
        "module[0] must be Linear, ReLU",
        fp.NetworkConfig.from_torch,
        nn.Sequential(nn.Flatten(0), first, second),
    )


@pytest.mark.parametrize("name", ["biases partly absent", "no biases, ReLU outputs"])
def test_a_list_of_modules_is_a_stack(name):
    modules = [MODULES[name]() for _ in range(3)]
    stack = fp.parameters_from_torch(modules)
    for index, module in enumerate(modules):
        one = fp.parameters_from_torch(module)
        assert (stack.biases is None) == (one.biases is None)
        for whole, part in zip(flat(stack), flat(one), strict=True):
            assert np.array_equal(whole[index], part)
    config = fp.NetworkConfig.from_torch(modules[0], inputs=fp.Independent(0.5, 8), target=CLAUSES)
    agree(fp.forward(stack, config, ROWS)[2], outputs(modules[2]))
    check(ValueError, "must have at least one network", fp.parameters_from_torch, [])
    other = [modules[0], MODULES["linear hidden layers"]()]
    message = "parameters_from_torch: module must have networks of the same layers, got others at 1"
    check(ValueError, message, fp.parameters_from_torch, other)
    kinds = [nn.Sequential(nn.Linear(6, 6), kind(), nn.Linear(6, 4)) for kind in (nn.ReLU, nn.Tanh)]
    check(ValueError, message, fp.parameters_from_torch, kinds)


def test_matrices_are_transposes_and_copies():
    module = MODULES["one hidden layer"]()
    parameters = fp.parameters_from_torch(module)
    assert [w.shape for w in parameters.weights] == [(6, 9), (9, 4)]
    assert np.array_equal(parameters.weights[0], module[0].weight.detach().numpy().T)
    with torch.no_grad():
        module[0].weight.zero_()
        module[0].bias.zero_()
    assert all(part.any() for part in flat(parameters))
    half = MODULES["one hidden layer"]().to(torch.bfloat16)
    assert fp.parameters_from_torch(half).weights[0].dtype == np.float32
    assert (
        fp.NetworkConfig.from_torch(half, inputs=fp.Independent(0.5, 8), target=CLAUSES).dtype
        == "float32"
    )


NETWORKS = {
    "residual": {
        "widths": (6, 6, 6, 4),
        "residual": (1, 2),
        "activation": ("gelu", "tanh"),
        "bias": True,
    },
    "residual, linear": {
        "widths": (6, 6, 7, 4),
        "residual": (1,),
        "activation": ("linear", "relu"),
    },
    "square": {"widths": (6, 8, 4), "activation": "square", "bias": (True, False)},
    "tied": {
        "widths": (6, 9, 6),
        "tied": True,
        "bias": True,
        "bias_start": (0.3, -0.2),
        "output": "relu",
    },
    "tied, residual": {"widths": (6, 6, 6), "tied": True, "residual": (1,)},
    "tied without biases": {"widths": (6, 9, 6), "tied": True},
    "dropout": {"widths": (6, 8, 8, 4), "dropout": (0.3, 0), "residual": (2,)},
}


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_trained_networks_become_modules(name, dtype):
    given = {"dtype": dtype, **NETWORKS[name]}
    if given["widths"][-1] == 4:
        given |= {"inputs": fp.Independent(0.5, 16), "target": CLAUSES}
    config = fp.NetworkConfig(**given, steps=20, learning_rate=1e-2)
    weights = fp.train(config, 3, return_weights=True).weights
    here = fp.forward(weights, config, ROWS)
    for seed in range(3):
        module = fp.to_torch(config, weights, index=seed)
        agree(here[seed], outputs(module, dtype), dtype)
        again = fp.NetworkConfig.from_torch(
            module, **{name: getattr(config, name) for name in ("inputs", "target", "steps")}
        )
        assert (
            again.replace(
                learning_rate=config.learning_rate, init="normal", bias_start=config.bias_start
            )
            == config
        )
        for one, other in zip(flat(weights), flat(fp.parameters_from_torch(module)), strict=True):
            assert np.array_equal(one[seed], other)
        for twin in (copy.deepcopy(module), through_a_file(module)):
            assert np.array_equal(outputs(twin, dtype), outputs(module, dtype))


def through_a_file(module):
    file = io.BytesIO()
    torch.save(module, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


def test_modules_can_be_trained_on():
    """Their gradients are those of the package, tied matrices once."""
    config = fp.NetworkConfig(widths=(6, 9, 6), tied=True, bias=True, dtype="float64", steps=20)
    weights = fp.train(config, 1, return_weights=True).weights
    module = fp.to_torch(config, weights)
    assert len(list(module.parameters())) == 3
    eye = torch.eye(6, dtype=torch.float64)
    ((module(eye) - eye) ** 2).sum().backward()
    _, gradient = fp.loss_and_gradient(weights, config)
    np.testing.assert_allclose(module[0].weight.grad.T.numpy(), gradient.weights[0][0], atol=1e-13)
    np.testing.assert_allclose(module[0].bias.grad.numpy(), gradient.biases[0][0], atol=1e-13)


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
def test_trained_there_and_here_on_the_same_batches(optimizer):
    """One start, one sequence of batches: the same weights, and the same measures."""
    rate = 0.05 if optimizer == "sgd" else 0.01
    config = fp.NetworkConfig(
        widths=(8, 6, 6, 8),
        residual=(2,),
        bias=True,
        inputs=fp.Independent(0.2, 32, "uniform"),
        optimizer=optimizer,
        learning_rate=rate,
        steps=200,
        dtype="float64",
    )
    start, end = (
        fp.train(config.replace(steps=steps), [7], return_weights=True).weights
        for steps in (0, config.steps)
    )
    module = fp.to_torch(config, start).train()
    makers = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "sgd": torch.optim.SGD}
    updates = makers[optimizer](module.parameters(), lr=rate)
    for step in range(config.steps):
        drawn = fp.draw(config, 7, step)
        error = module(torch.from_numpy(drawn.inputs)) - torch.from_numpy(drawn.targets)
        updates.zero_grad()
        (error**2).sum().div(32 * 0.2).backward()  # each feature once per step in expectation
        updates.step()
    there = fp.parameters_from_torch(module)
    for one, other in zip(flat(end), flat(there), strict=True):
        np.testing.assert_allclose(one[0], other, rtol=0, atol=1e-8)
    here, there = fp.measure(end, config), fp.measure(there, config)
    assert here.loss.mean() < 0.5 * here.constant_loss.mean()
    for name in ("shared_use", "effective_concepts", "neurons_per_concept", "loss"):
        np.testing.assert_allclose(getattr(here, name)[0], getattr(there, name), atol=1e-5)
    assert here.not_learned[0] == there.not_learned


def test_dropout_is_dropped_in_training_only():
    config = fp.NetworkConfig(widths=(6, 500, 6), dropout=0.25, steps=1)
    module = fp.to_torch(config, fp.train(config, 1, return_weights=True).weights)
    hidden = module[:-1].train()
    rows = torch.ones(2, 6)
    with torch.no_grad():
        kept, dropped = hidden.eval()(rows), hidden.train()(rows)
        on = kept > 0
        assert 0.15 < (dropped[on] == 0).double().mean() < 0.35
        rest = on & (dropped != 0)
        torch.testing.assert_close(dropped[rest], kept[rest] / 0.75)
    shared = fp.to_torch(config.replace(dropout_sharing="step"), fp.parameters_from_torch(module))
    assert not any(isinstance(part, nn.Dropout) for part in shared)


def test_random_numbers_of_the_user_are_left_alone():
    config = fp.NetworkConfig(widths=(6, 5, 6), bias=True, steps=0)
    weights = fp.train(config, 1, return_weights=True).weights
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    fp.to_torch(config, weights)
    assert torch.equal(torch.rand(2), expected)


def linear(*sizes: int) -> list[Any]:
    return [nn.Linear(*pair) for pair in itertools.pairwise(sizes)]


A, B = linear(6, 5, 4)
REFUSED = {
    "no module": (3, "module must be a torch.nn.Module, got 3"),
    "a function": (nn.functional.relu, "module must be a torch.nn.Module"),
    "own forward": (nn.Bilinear(2, 3, 4), "module must be a torch.nn.Sequential, whose order can"),
    "normalisation": (
        nn.Sequential(A, nn.BatchNorm1d(5), B),
        "module[1] must be Linear, ReLU, GELU, Tanh, Identity, Dropout or Sequential, got Batch",
    ),
    "a kind of ReLU": (nn.Sequential(A, nn.LeakyReLU(), B), "got LeakyReLU("),
    "a place within": (nn.Sequential(nn.Sequential(A, nn.SiLU()), B), "module[0][1] must be"),
    "approximate": (
        nn.Sequential(A, nn.GELU("tanh"), B),
        "module[1] must be the exact GELU, approximate='none', got GELU(approximate='tanh')",
    ),
    "two activations": (
        nn.Sequential(A, nn.ReLU(), nn.Tanh(), B),
        "module[2] must be a Linear, of",
    ),
    "activation first": (
        nn.Sequential(nn.ReLU(), A, B),
        "module[0] must be a Linear, of which each",
    ),
    "probabilities": (
        nn.Sequential(A, nn.ReLU(), B, nn.Softmax(dim=1)),
        "module[3] must be left out, since losses take logits, got Softmax(dim=1)",
    ),
    "dropped inputs": (
        nn.Sequential(nn.Dropout(), A, B),
        "module[0] must be a Linear, of which each",
    ),
    "dropped twice": (
        nn.Sequential(A, nn.Dropout(), nn.ReLU(), nn.Dropout(), B),
        "one Dropout, got",
    ),
    "dropped before": (
        nn.Sequential(A, nn.Dropout(), nn.Tanh(), B),
        "module[2] must be before the",
    ),
}
WRONG = {
    "no layer": (nn.Sequential(nn.Identity()), "module must have a torch.nn.Linear, got none"),
    "dropped outputs": (nn.Sequential(A, B, nn.Dropout()), "no Dropout after the last Linear"),
    "tanh outputs": (
        nn.Sequential(A, B, nn.Tanh()),
        "end with a Linear or a ReLU, got the activation",
    ),
    "used twice": (
        nn.Sequential(nn.Linear(6, 6), *[nn.Linear(6, 6)] * 2),
        "one that is used twice",
    ),
    "sizes": (
        nn.Sequential(A, nn.Linear(6, 4)),
        "must have widths that fit, got Linear(in_features=6",
    ),
    "one layer": (nn.Sequential(A), "NetworkConfig: widths must list the inputs, at least one"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_unknown_modules_are_refused_by_name(name):
    module, message = REFUSED[name]
    check(
        TypeError,
        f"NetworkConfig.from_torch: {message}"
        if message[:3] != "got" and message[:3] != "one"
        else message,
        fp.NetworkConfig.from_torch,
        module,
    )
    with pytest.raises(TypeError, match="parameters_from_torch: module"):
        fp.parameters_from_torch(module)


@pytest.mark.parametrize("name", WRONG)
def test_modules_that_fit_no_configuration(name):
    module, message = WRONG[name]
    check(ValueError, message, fp.NetworkConfig.from_torch, module)


@pytest.mark.parametrize("place", ["layer", "whole", "before"])
def test_modules_with_hooks_are_refused(place):
    """As pruning and spectral norm add them, after which `weight` may be out of date."""
    module = MODULES["one hidden layer"]()
    if place == "layer":
        importlib.import_module("torch.nn.utils.prune").l1_unstructured(
            module[0], "weight", amount=0.5
        )
    elif place == "whole":
        module.register_forward_hook(lambda *_: None)
    else:
        module[1].register_forward_pre_hook(lambda *_: None)
    for read in (fp.NetworkConfig.from_torch, fp.parameters_from_torch):
        check(TypeError, "must be without hooks, which may change what it computes", read, module)


def test_tensors_with_a_gradient_are_arrays():
    config = fp.NetworkConfig(widths=(6, 5, 6), inputs=fp.Dataset(ROWS, ROWS))
    given = fp.train(config.replace(steps=0), 2, return_weights=True).weights
    tensors = [[torch.tensor(one, requires_grad=True) for one in stack] for stack in given.weights]
    targets = torch.tensor(ROWS, requires_grad=True)
    rows = fp.NetworkParameters(tensors)
    assert np.array_equal(fp.forward(rows, config, ROWS), fp.forward(given, config, ROWS))
    found = fp.loss_and_gradient(rows, config, ROWS, targets=targets)[0]
    assert np.array_equal(found, fp.loss_and_gradient(given, config, ROWS, targets=ROWS)[0])
    use = fp.measure(rows, config, data=ROWS, targets=targets.bfloat16()).shared_use
    assert use.shape == (2,)


def test_a_tied_layer_has_one_place():
    config = fp.NetworkConfig(widths=(6, 9, 6), tied=True, steps=0)
    module = fp.to_torch(config, fp.train(config, 1, return_weights=True).weights)
    message = "module must have a tied layer only as the second of two"
    for wrong in (
        nn.Sequential(*module, nn.Linear(6, 4)),
        nn.Sequential(nn.Linear(6, 9), module[2]),
        nn.Sequential(module[2], nn.Linear(6, 9)),
    ):
        check(ValueError, message, fp.NetworkConfig.from_torch, wrong)


def test_settings_that_the_module_determines():
    module = nn.Sequential(A, nn.ReLU(), B)
    check(
        ValueError,
        "NetworkConfig.from_torch: widths must be left out, since the module determines it",
        fp.NetworkConfig.from_torch,
        module,
        widths=(6, 5, 4),
    )
    check(TypeError, "did you mean 'learning_rate'?", fp.NetworkConfig.from_torch, module, lr=1)


def test_bad_arguments_of_to_torch():
    config = fp.NetworkConfig(widths=(3, 4, 3), steps=0)
    weights = fp.train(config, 5, return_weights=True).weights
    check(TypeError, "to_torch: config must be a NetworkConfig, got 3", fp.to_torch, 3, weights)
    check(TypeError, "to_torch: parameters must be NetworkParameters(", fp.to_torch, config, 3)
    message = "to_torch: index must say which of the stack of 5 networks"
    check(ValueError, message, fp.to_torch, config, weights)
    message = "to_torch: index must be an integer >= 0 and < 5, got 5"
    check(ValueError, message, fp.to_torch, config, weights, 5)
    none = fp.NetworkParameters([w[:0] for w in weights.weights])
    message = "to_torch: parameters must hold a network, got an empty stack"
    check(ValueError, message, fp.to_torch, config, none)


def test_pytorch_is_needed(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    config = fp.NetworkConfig(widths=(3, 4, 3), steps=0)
    with pytest.raises(ImportError, match="needs PyTorch: pip install torch"):
        fp.to_torch(config, fp.train(config, 1, return_weights=True).weights)
