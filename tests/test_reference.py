"""Step by step against runs of the authors' own implementation: see data/README.md."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

import fastpolysem as fp
import specification as spec
from fastpolysem._native import core
from fastpolysem.families.autoencoder.config import core_settings
from helpers.random_models import pack, unpack

NAMES = sorted(path.stem for path in (Path(__file__).parent / "data").glob("*.npz"))
GRADIENT, WEIGHTS, LOSS = 2e-6, 1e-5, 5e-5  # absolute, absolute, relative


class Reference(NamedTuple):
    meta: dict[str, Any]
    start: tuple[np.ndarray, ...]  # (encoder,) or (encoder, decoder)
    gradient: tuple[np.ndarray, ...]
    kept: dict[int, tuple[np.ndarray, ...]]  # weights after that many steps
    loss: np.ndarray  # (steps,), summed over instances
    noise: np.ndarray | None  # (steps, m)

    def config(self, **changes: Any) -> fp.Config:
        meta = self.meta
        noise = {"none": "none", "bernoulli": "rademacher", "gaussian": "gaussian"}[meta["noise"]]
        same = {field.name for field in fields(fp.Config)} & meta.keys()
        options = {name: meta[name] for name in same - {"noise", "noise_sharing", "weight_decay"}}
        if meta["weight_decay"]:
            options["weight_decay"] = meta["weight_decay"]
        return fp.Config(**{**options, "noise": noise, "dtype": "float32", **changes})

    def bound(self, step: int) -> float:
        """On the weights: late under Adam with l1, a weight near 0 may be one learning rate off."""
        if self.meta["optimizer"] == "adamw" and self.meta["l1"] and step > 100:
            return float(self.meta["learning_rate"])
        return WEIGHTS


@pytest.fixture(params=NAMES)
def reference(request: pytest.FixtureRequest) -> Reference:
    with np.load(Path(__file__).parent / "data" / f"{request.param}.npz") as file:
        data = dict(file)
    meta = json.loads(str(data["meta"]))
    names = ["W"] if meta["tied"] else ["W_enc", "W_dec"]
    return Reference(
        meta=meta,
        start=tuple(data[f"{name}_0"] for name in names),
        gradient=tuple(data[f"grad_{name}_0"] for name in names),
        kept={step: tuple(data[f"{name}_{step}"] for name in names) for step in meta["kept_steps"]},
        loss=data["loss"],
        noise=data.get("noise"),
    )


def arrays_of(weights: Any) -> list[np.ndarray]:
    return [a for a in unpack(weights) if a is not None]


def test_there_are_references():
    assert len(NAMES) == 5


def test_gradient_at_the_start(reference):
    noise = None if reference.noise is None else reference.noise[0]
    _, gradient = fp.loss_and_gradient(pack(*reference.start), reference.config(), noise=noise)
    for ours, theirs in zip(arrays_of(gradient), reference.gradient, strict=True):
        assert np.abs(ours - theirs).max() <= GRADIENT


@pytest.mark.parametrize("kernel", ["auto", "generic", "dense", "lanes"])
def test_trajectory(reference, kernel):
    noise = {} if reference.noise is None else {"noise_sequence": reference.noise}
    config = reference.config()
    if reason := core.kernel_refusal(core_settings(config), kernel):
        pytest.skip(reason)
    steps = range(config.steps)
    instances = len(reference.start[0])
    for kept, expected in reference.kept.items():
        result = fp.train(
            config.replace(steps=kept),
            instances,
            initial_weights=pack(*reference.start),
            **{name: sequence[:kept] for name, sequence in noise.items()},
            record=(["objective"], steps[:kept]),
            return_weights=True,
            kernel=kernel,
        )
        for ours, theirs in zip(arrays_of(result.weights), expected, strict=True):
            assert ours.dtype == np.float32
            assert np.abs(ours - theirs).max() <= reference.bound(kept), f"after step {kept}"
        ratio = result.history["objective"].sum(axis=0) / reference.loss[:kept]
        assert np.abs(ratio - 1).max() <= LOSS


def test_specification(reference):
    config = reference.config()
    basis = np.eye(config.n_features)
    total = np.zeros(config.steps)
    for instance in range(len(reference.start[0])):
        model = spec.weights(*(a[instance] for a in reference.start))
        noise = None if reference.noise is None else reference.noise.astype(float)
        slopes = spec.gradient(config, model, basis, None if noise is None else noise[0])
        for ours, theirs in zip(arrays_of(slopes), reference.gradient, strict=True):
            assert np.abs(ours - theirs[instance]).max() <= GRADIENT
        run = spec.run(config, model, basis, noise)
        total += run.objective
        for step, expected in reference.kept.items():
            for ours, theirs in zip(arrays_of(run.weights[step]), expected, strict=True):
                assert np.abs(ours - theirs[instance]).max() <= reference.bound(step)
    assert np.abs(total / reference.loss - 1).max() <= LOSS
