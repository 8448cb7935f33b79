"""What must not change a seed's bits: threads, order, splits, kernels and instruction sets."""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util

import numpy as np
import pytest

import fastpolysem as fp
import known_runs
from fastpolysem._native import core
from fastpolysem.families.autoencoder.config import core_settings
from helpers.random_models import (
    label,
    products,
    random_importance,
    unpack,
)
from helpers.training_checks import (
    OPTIMIZERS,
    assert_same,
    can_serve,
    configure,
)
from known_runs import KNOWN_RUNS, SAME_BITS, digest
from network import known_networks

PLAIN = fp.Config(n_features=8, n_hidden=16, l1=0.01, l1_update="orthant")


@pytest.mark.parametrize("options", SAME_BITS, ids=label)
def test_threads_order_splits_and_kernels_do_not_change_bits(options):
    config = fp.Config(**options)
    seeds = np.array([*range(19), 2**40, 2**64 - 1], dtype=np.uint64)
    arguments = {
        "return_weights": True,
        "record": (["objective", "loss", "nonzeros"], [0, 1, 20, config.steps]),
    }
    whole = fp.train(config, seeds, num_threads=1, **arguments)
    assert len(np.unique(unpack(whole.weights)[0], axis=0)) == len(seeds)
    for threads in (2, 7):
        assert_same(whole, fp.train(config, seeds, num_threads=threads, **arguments))
    order = np.random.default_rng(16).permutation(len(seeds))
    assert_same(whole, fp.train(config, seeds[order], **arguments), order)
    for part in (slice(0, 1), slice(1, 6), slice(6, None)):
        assert_same(whole, fp.train(config, seeds[part], **arguments), part)
    # A run that records nothing takes the same steps.
    bare = fp.train(config, seeds, return_weights=True)
    for x, y in zip(unpack(whole.weights), unpack(bare.weights), strict=True):
        np.testing.assert_array_equal(x, y)
    served = 0
    for kernel in ("generic", "dense", "sparse", "lanes"):
        if can_serve(kernel, config):
            result = fp.train(config, seeds, kernel=kernel, **arguments)
            assert result.kernel == kernel
            assert_same(whole, result)
            served += 1
    assert served >= 1


@pytest.mark.parametrize("kernel", ["generic", "dense", "sparse", "lanes"])
def test_blocks_do_not_change_bits(kernel):
    config = PLAIN.replace(steps=300)
    whole = fp.train(config, 100, kernel=kernel, return_weights=True)
    for size in (1, 3, 16, 17):
        for start in range(0, 100, size):
            part = np.arange(start, min(start + size, 100))
            result = fp.train(config, part, kernel=kernel, return_weights=True)
            assert_same(whole, result, order_a=part)


@pytest.mark.parametrize("options", SAME_BITS, ids=label)
def test_instruction_sets_do_not_change_bits(options, monkeypatch):
    config = fp.Config(**options).replace(steps=min(options["steps"], 60))
    seeds = [0, 1, 2**64 - 1]
    here = fp.train(config, seeds, return_weights=True)
    for name in fp.build_info()["supported"]:
        if importlib.util.find_spec(f"fastpolysem._core_{name}") is None:
            continue  # a build for some instruction sets only
        other = importlib.import_module(f"fastpolysem._core_{name}")
        assert other.info()["isa"] == name
        for module in ("config", "family"):
            monkeypatch.setattr(f"fastpolysem.families.autoencoder.{module}.core", other)
        assert_same(here, fp.train(config, seeds, return_weights=True))


def test_known_runs():
    """The bits of numerics version 1. Other bits need another version: stored studies carry it."""
    if fp.NUMERICS_VERSION != 1:
        pytest.skip("other numerics: write down the new known answers")
    assert [digest(fp.Config(**options)) for options in SAME_BITS] == KNOWN_RUNS


@pytest.mark.parametrize("runs", [known_runs.autoencoders, known_networks.runs])
def test_the_program_fails_on_other_bits(runs, capsys):
    """`portability.sh` goes by its exit code."""
    first, second = runs()[:2]
    assert known_runs.main([first]) == 0
    assert known_runs.main([first._replace(known=second.known)]) == 1
    assert f"instead of {second.known}" in capsys.readouterr().out
    assert known_runs.main([]) == 1


@pytest.mark.parametrize("kernel", ["dense", "sparse", "lanes"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_kernels_have_the_bits_of_the_generic_one(kernel, dtype):
    """For every size around the ones that a vector or a panel of neurons has, and every option."""
    if core.kernel_refusal(core_settings(PLAIN), kernel).startswith("there is no kernel"):
        pytest.skip("not built")
    rng = np.random.default_rng(17)
    served = 0
    for options in products(
        optimizer=list(OPTIMIZERS),
        l1=["none", "subgradient", "orthant"],
        noise=["none", "step"],
        tied=[True, False],
    ):
        n = int(rng.choice([1, 2, 7, 8, 16, 19, 33, 70]))
        m = int(rng.choice([1, 3, 15, 16, 31, 32, 33, 65, 130]))
        importance = {"importance": random_importance(n)}
        variant = [{}, {"bias": True}, {"activation": "linear"}, importance][rng.integers(4)]
        inputs = [fp.Basis(), fp.Independent(0.3, 9), fp.CorrelatedBlocks(1, n, 3)]
        variant["inputs"] = inputs[rng.choice(3, p=[0.6, 0.2, 0.2])]
        config = configure(**options, n_features=n, n_hidden=m, steps=60, dtype=dtype, **variant)
        if not can_serve(kernel, config):
            continue
        arguments = {"return_weights": True, "record": (["objective", "l1_norm"], [0, 7, 60])}
        fast = fp.train(config, 5, kernel=kernel, **arguments)
        assert_same(fp.train(config, 5, kernel="generic", **arguments), fast)
        served += 1
    assert served >= 8


def test_duplicate_seeds_are_the_same_run():
    config = fp.Config(n_features=5, n_hidden=6, l1=0.01, steps=30)
    result = fp.train(config, [4, 9, 4], return_weights=True)
    np.testing.assert_array_equal(result.weights[0], result.weights[2])
    assert not np.array_equal(result.weights[0], result.weights[1])
    np.testing.assert_array_equal(result.seeds, [4, 9, 4])


def test_initial_weights_drawn_or_given_are_the_same_run():
    config = fp.Config(n_features=5, n_hidden=6, l1=0.01, steps=30)
    drawn = fp.train(config.replace(steps=0), 4, return_weights=True).weights
    given = fp.train(config, 4, initial_weights=drawn, return_weights=True)
    np.testing.assert_array_equal(given.weights, fp.train(config, 4, return_weights=True).weights)


def test_results_do_not_depend_on_labels_that_have_no_effect():
    config = fp.Config(n_features=5, n_hidden=6, l1=0.01, steps=30)
    ones = dataclasses.replace(config, importance=(1.0,) * 5)
    a, b = (fp.train(c, 4, return_weights=True).weights for c in (config, ones))
    np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_zeros_that_come_back_are_the_same_bits_in_every_kernel(optimizer, dtype):
    """l1 is strong, then off, then back: weights become zero, leave it again, and return."""
    config = fp.Config(
        n_features=12,
        n_hidden=20,
        l1=0.2,
        l1_update="orthant",
        l1_schedule=((119, 1), (120, 0), (149, 0), (200, 0.5)),
        steps=300,
        dtype=dtype,
        noise="gaussian",
        noise_std=0.02,
        **OPTIMIZERS[optimizer],
    )
    arguments = {
        "return_weights": True,
        "record": (["nonzeros", "objective", "residual"], [0, 120, 150, 300]),
    }
    plain = fp.train(config, 5, kernel="generic", **arguments)
    nonzeros = plain.history["nonzeros"].mean(axis=0)
    assert nonzeros[1] < 0.5 * nonzeros[0]
    assert nonzeros[2] > 1.5 * nonzeros[1]
    others = [one for one in ("dense", "sparse", "lanes") if can_serve(one, config)]
    assert others or optimizer == "adam-scalar"
    for kernel in others:
        assert_same(plain, fp.train(config, 5, kernel=kernel, **arguments))


@pytest.mark.parametrize("kernel", ["dense", "sparse", "lanes"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_zero_that_comes_back_among_few_non_zeros(kernel, dtype):
    """Feature 0 would leave neuron 1 to feature 1, with which it overlaps, but for its l1."""
    config = fp.Config(
        n_features=24,
        n_hidden=40,
        l1=0.9,
        l1_update="orthant",
        l1_schedule=((19, 1), (20, 0), (39, 0), (40, 1)),
        optimizer="sgd",
        learning_rate=0.01,
        steps=60,
        dtype=dtype,
    )
    first = np.zeros((24, 40))
    first[range(24), range(24)] = 0.9
    first[:2, :2] = [[0.7, 0.0], [0.5, 0.5]]
    arguments = {
        "initial_weights": first,
        "return_weights": True,
        "record": (["nonzeros"], [0, 20, 21, 60]),
    }
    plain = fp.train(config, 1, kernel="generic", **arguments)
    assert list(plain.history["nonzeros"][0, :3]) == [25, 25, 26]
    assert_same(plain, fp.train(config, 1, kernel=kernel, **arguments))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"activation": "linear"},
        {"importance": (1, 0.5, 0.5)},
        {"bias": True},
        {"noise": "rademacher", "noise_std": 0.1},
        {"inputs": fp.Independent(0.5, 3)},
        {"inputs": fp.Independent(0.9, 2), "dtype": "float64"},
    ],
    ids=label,
)
def test_kernels_agree_on_seeds_that_overflow(changes):
    # l1 sets the only weights that are not finite to 0 if zeros are left out; 0 times infinity
    # spreads to others.
    usual = {"l1": 0.01, "l1_update": "orthant", "optimizer": "sgd", "learning_rate": 0.01}
    config = fp.Config(**{"n_features": 3, "n_hidden": 6, "steps": 100, **usual, **changes})
    power = 7 if config.dtype == "float64" else 1
    first = 0.1 * np.random.default_rng(0).normal(size=(9, 3, 6))
    first[0] = 0
    first[0, :2, :2] = [[1, 1e10**power], [-1, 1e10**power]]
    first[0, 2, 1] = 1e30**power
    weights = fp.Parameters(first, bias=np.zeros((9, 3))) if config.bias else first
    plain = fp.train(config, 9, initial_weights=weights, kernel="generic")
    assert list(plain.diverged) == [True] + [False] * 8
    for kernel in ("dense", "sparse", "lanes"):
        if can_serve(kernel, config):
            assert_same(plain, fp.train(config, 9, initial_weights=weights, kernel=kernel))
