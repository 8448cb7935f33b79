"""Runs of every kind, and the bits of their weights on every machine.

As a program it trains them, and those of networks, with every kernel that can, prints the digests,
and fails if any is another than it should be. It needs the package, NumPy and SciPy only, for
machines that have no more: `portability.sh` runs it there.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import fastpolysem as fp
from fastpolysem import families
from helpers.random_models import unpack

SAME_BITS = [
    # the paper's two experiments, small
    {"n_features": 24, "n_hidden": 40, "l1": 1e-2, "learning_rate": 0.01, "steps": 150},
    {
        "n_features": 8,
        "n_hidden": 16,
        "optimizer": "sgd",
        "learning_rate": 0.02,
        "steps": 150,
        "noise": "rademacher",
        "noise_std": 0.15,
    },
    {
        "n_features": 8,
        "n_hidden": 16,
        "l1": 0.01,
        "l1_update": "orthant",
        "learning_rate": 0.01,
        "steps": 300,
    },
    {
        "n_features": 24,
        "n_hidden": 40,
        "l1": 0.02,
        "l1_update": "orthant",
        "learning_rate": 0.01,
        "steps": 800,
        "stop": "certified",
    },
    {
        "n_features": 10,
        "n_hidden": 7,
        "l1": 0.1,
        "tied": False,
        "bias": True,
        "steps": 40,
        "inputs": fp.CorrelatedBlocks(2, 3, batch_size=17),
    },
    {
        "n_features": 10,
        "n_hidden": 33,
        "l1": 0.1,
        "l1_update": "orthant",
        "steps": 40,
        "dtype": "float64",
        "inputs": fp.Independent(0.2, batch_size=17, magnitude="uniform"),
        "noise": "laplace",
        "noise_std": 0.1,
        "noise_sharing": "input",
    },
    {
        "n_features": 3,
        "n_hidden": 5,
        "optimizer": "sgd",
        "momentum": 0.5,
        "learning_rate": 0.01,
        "steps": 60,
        "noise": "student_t",
        "noise_shape": 4.0,
        "noise_std": 0.1,
        "init": "orthogonal",
        "dtype": "float64",
    },
    {
        "n_features": 17,
        "n_hidden": 100,
        "l1": 0.1,
        "l1_target": "activations",
        "steps": 40,
        "init": "xavier",
    },
    {
        "n_features": 24,
        "n_hidden": 40,
        "l1": 0.2,
        "l1_update": "orthant",
        "l1_schedule": ((0, 0), (20, 1), (40, 1), (41, 0), (49, 0), (60, 0.3)),
        "learning_rate": 0.02,
        "steps": 120,
    },
    {
        "n_features": 12,
        "n_hidden": 20,
        "l1": 0.05,
        "l1_update": "orthant",
        "repulsion": 0.7,
        "learning_rate": 0.01,
        "steps": 150,
    },
    {
        "n_features": 12,
        "n_hidden": 20,
        "tied": False,
        "bias": True,
        "dropout": 0.2,
        "noise": "gaussian",
        "noise_std": 0.1,
        "steps": 60,
    },
    {
        "n_features": 10,
        "n_hidden": 33,
        "l1": 0.01,
        "repulsion": 0.3,
        "dropout": 0.4,
        "dropout_sharing": "step",
        "steps": 60,
        "inputs": fp.Independent(0.2, batch_size=17),
        "dtype": "float64",
    },
    # chances and magnitudes of each feature, in the kernels for batches and in the generic one
    {
        "n_features": 20,
        "n_hidden": 35,
        "l1": 0.05,
        "l1_update": "orthant",
        "learning_rate": 0.01,
        "learning_rate_schedule": "cosine",
        "steps": 100,
        "inputs": fp.Independent(
            [0.8 / (i + 1) for i in range(20)],
            33,
            ["one", "uniform", "sign", "signed_uniform"] * 5,
        ),
    },
    {
        "n_features": 9,
        "n_hidden": 12,
        "tied": False,
        "activation": "linear",
        "optimizer": "sgd",
        "momentum": 0.5,
        "learning_rate": 0.01,
        "learning_rate_schedule": ((0, 0.0), (10, 1.0), (20, 1.0), (30, 0.3)),
        "steps": 40,
        "inputs": fp.Independent([0.004, 1.0, *[0.3] * 7], 50, "signed_uniform"),
        "dtype": "float64",
    },
    # schedules of the learning rate, where all kernels serve
    {
        "n_features": 8,
        "n_hidden": 16,
        "l1": 0.05,
        "l1_update": "orthant",
        "optimizer": "adam",
        "learning_rate": 0.02,
        "learning_rate_schedule": ((5, 0.1), (20, 1.0), (60, 0.0)),
        "weight_decay": 0.1,
        "steps": 80,
    },
    {
        "n_features": 11,
        "n_hidden": 18,
        "l1": 0.05,
        "l1_update": "orthant",
        "learning_rate": 0.02,
        "learning_rate_schedule": "cosine",
        "noise": "uniform",
        "noise_std": 0.1,
        "steps": 80,
        "dtype": "float64",
    },
    # one second moment for all weights, which the generic kernel has
    {
        "n_features": 12,
        "n_hidden": 21,
        "l1": 0.05,
        "l1_update": "orthant",
        "second_moment": "scalar",
        "learning_rate": 0.01,
        "steps": 150,
    },
    {
        "n_features": 10,
        "n_hidden": 33,
        "l1": 0.1,
        "tied": False,
        "bias": True,
        "optimizer": "adam",
        "weight_decay": 0.1,
        "second_moment": "scalar",
        "steps": 60,
        "inputs": fp.Independent(0.2, batch_size=17),
        "dtype": "float64",
    },
]

# The bits of numerics version 1, one digest for each of SAME_BITS.
KNOWN_RUNS = [
    "40a482942bd3cbce",
    "bae855fab9bc4f35",
    "32d937b25146e814",
    "26f441877891e36b",
    "195d714bf9b04ee3",
    "ae5dbe2745671037",
    "3245cb3efceaf8e8",
    "51610dc776826825",
    "164e283ef9d3973c",
    "2a6bd2e0ae34aaf9",
    "71b0dffb7672771b",
    "05c3cf1799c3f019",
    "d5422f61e811c3fb",
    "e98633adb9732426",
    "445226ec902871a0",
    "4b7e7b16f1a88f1f",
    "9d4854c1bbed3f71",
    "94e4efbb1474302a",
]


class Run(NamedTuple):
    """A configuration, and the digest of its weights."""

    name: str
    config: Any
    known: str
    digest: Callable[..., str]
    """Takes the configuration and arguments of `train`."""


def autoencoders() -> list[Run]:
    return [
        Run(f"autoencoder {index}", fp.Config(**options), known, digest)
        for index, (options, known) in enumerate(zip(SAME_BITS, KNOWN_RUNS, strict=True))
    ]


def digest(config: fp.Config, **options: Any) -> str:
    """Of three seeds' weights."""
    return digest_of(unpack(fp.train(config, 3, return_weights=True, **options).weights))


def digest_of(arrays: Iterable[Any]) -> str:
    """The first 16 digits of the SHA-256 of arrays, little endian; None counts for nothing."""
    result = hashlib.sha256()
    for array in arrays:
        if array is not None:
            result.update(array.astype(array.dtype.newbyteorder("<")).tobytes())
    return result.hexdigest()[:16]


def serves(kernel: str, config: Any) -> bool:
    try:
        families.family_of(config).check(config, families.Options(kernel=kernel), 1)
    except ValueError:
        return False
    return True


def main(runs: list[Run]) -> int:
    info = fp.build_info()
    print(f"{info['compiler']}, {info['isa']}")
    told = wrong = 0
    for run in runs:
        for kernel in families.family_of(run.config).kernels:
            if kernel == "auto" or not serves(kernel, run.config):
                continue
            found = run.digest(run.config, kernel=kernel)
            told += 1
            wrong += found != run.known
            verdict = "" if found == run.known else f"  instead of {run.known}"
            print(f"{run.name:14} {kernel:8} {found}{verdict}", flush=True)
    print(f"{told - wrong} of {told} have the known bits")
    return int(wrong > 0 or not told)


if __name__ == "__main__":
    from network import known_networks

    sys.exit(main([*autoencoders(), *known_networks.runs()]))
