"""Networks on the data sets of `_splits`, and how they do on rows that they were not trained on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fastpolysem.experiments._networks import (
    Case,
    Replicate,
    ReplicateQuestion,
    as_share,
    before_training,
    trained_network,
    use_of,
)
from fastpolysem.experiments._splits import SOURCES, split_of
from fastpolysem.families.network.config import NetworkConfig
from fastpolysem.families.network.dataset import Dataset
from fastpolysem.families.network.losses import BinaryCrossEntropy, CrossEntropy
from fastpolysem.families.network.measures import formulas
from fastpolysem.families.network.measures.controls import shared_use_by_chance
from fastpolysem.families.network.measures.measure import measure
from fastpolysem.families.network.objective import NetworkParameters, forward
from fastpolysem.probes import Column, Probe
from fastpolysem.training import TrainingResult


def network_on(data: str, h: int, **fields: Any) -> NetworkConfig:
    """A network of the width h on the first split: one hidden layer for the digits, else two, the
    second residual."""
    digits = data == "digits"
    settings: dict[str, Any] = {
        "widths": (64, h, 10) if digits else (40, h, h, 10),
        "residual": () if digits else (2,),
        "bias": True,
        "inputs": split_of(data, 0),
        "loss": BinaryCrossEntropy() if data == "mnist1d_sums" else CrossEntropy(),
        "init": "pytorch",
        "optimizer": "adam",
        "learning_rate_schedule": "cosine",
        "steps": 1000 if digits else 2000,
    }
    return NetworkConfig(**{**settings, **fields})


class SplitQuestion(ReplicateQuestion):
    """A question on the data sets of `_splits`, which the label `data` names."""

    REPLICATE = "split"

    def inputs(self, case: Case, number: int) -> Dataset:
        """The rows that the networks of a split are trained on."""
        return split_of(case.labels["data"], number)

    def replicates(self, configs: list[Case], seeds: int) -> Iterator[Replicate]:
        """The splits of each data set in turn."""
        for data in dict.fromkeys(case.labels["data"] for case in configs):
            cases = [case for case in configs if case.labels["data"] == data]
            count = min(self.most(case, seeds) for case in cases)
            each = SOURCES[data].seeds_per_split
            for first in range(0, count, each):
                yield first // each, cases, range(first, min(first + each, count))


@dataclass(frozen=True)
class HeldOut(Probe):
    """How networks do on validation and test rows, and who uses the last hidden layer."""

    name = "classify"
    columns: ClassVar = {
        "validation_accuracy": as_share("share of validation rows"),
        "validation_loss": Column("float32", "cross-entropy of validation rows", (0, None)),
        "test_accuracy": as_share("share of test rows"),
        "test_loss": Column("float32", "cross-entropy of test rows", (0, None)),
        "shared_last": as_share("shared use of the last hidden layer"),
        "shared_last_chance": as_share("the same by chance"),
        "shared_last_start": as_share("the same before training"),
        "shared_read": as_share("shared use of what the readout reads"),
        "shared_read_chance": as_share("the same by chance"),
        "shared_read_start": as_share("the same before training"),
        "concepts_last": Column("float32", "effective concepts of its neurons", (0, None)),
    }

    def __call__(self, result: TrainingResult) -> dict[str, NDArray[Any]]:
        """The columns of a block."""
        begun = before_training(result)
        rises, start = (use_of(one).rises[-1] for one in (result, begun))
        weights = formulas.neuron_weights(rises)
        last = _shared(rises, start, result.seeds)
        read = last
        if result.config.residual:
            rises_read, start_read = (
                rises_of_read(trained_network(one), result.config) for one in (result, begun)
            )
            read = _shared(rises_read, start_read, result.seeds)
        return {
            **scores(result),
            **{f"shared_last{which}": values for which, values in last.items()},
            **{f"shared_read{which}": values for which, values in read.items()},
            "concepts_last": (weights * formulas.effective_concepts(rises)).sum(axis=-1),
        }


def _shared(
    rises: NDArray[Any], start: NDArray[Any], seeds: NDArray[Any]
) -> dict[str, NDArray[np.float64]]:
    """Shared use of a layer, by chance and before training, from the rises of all networks."""
    return {
        "": np.asarray(formulas.shared_use(rises)),
        "_chance": shared_use_by_chance([rises], seeds.tolist()),
        "_start": np.asarray(formulas.shared_use(start)),
    }


def rises_of_read(weights: NetworkParameters, config: NetworkConfig) -> NDArray[np.float64]:
    """Rises of the loss if one of the values that the readout reads is replaced by its mean, in
    networks with two hidden layers, the second residual.

    These values are sums of the activations of both layers. `measure` ablates only those of the
    second: what a residual layer adds.

    Returns
    -------
    (S, h, C) float64
        As in `Measures.rises`.
    """
    *_, before, last, _ = forward(weights, config, layers=True)
    h, outputs = config.widths[-2:]
    biases: Any = weights.biases
    found = []
    for s, read in enumerate(before + last):  # not negative: a ReLU returns it as it is
        alone = NetworkConfig(
            widths=(h, h, outputs),
            bias=True,
            inputs=Dataset(read, config.inputs.targets),  # type: ignore[union-attr]
            loss=config.loss,
            dtype=config.dtype,
        )
        identity = NetworkParameters(
            [np.eye(h, dtype=read.dtype), weights.weights[-1][s]],
            [np.zeros(h, read.dtype), biases[-1][s]],
        )
        found.append(measure(identity, alone).rises[0])
    return np.array(found)


def scores(result: TrainingResult) -> dict[str, NDArray[np.float64]]:
    """Accuracy and loss on the two halves of the held-out rows. With several labels per row, the
    accuracy is the share of labels, and the loss the sum over labels."""
    inputs, targets = result.config.inputs.held_out
    logits = forward(trained_network(result), result.config, inputs.to_dense()).astype(np.float64)
    if targets.ndim == 2:
        # log(1 + exp(z)) - t z, which does not overflow
        losses = (np.logaddexp(0, logits) - targets * logits).sum(axis=-1)
        right = ((logits > 0) == (targets > 0)).mean(axis=-1)
    else:
        logits -= logits.max(axis=-1, keepdims=True)
        own = np.take_along_axis(logits, targets[np.newaxis, :, np.newaxis], axis=-1)[..., 0]
        losses = np.log(np.exp(logits).sum(axis=-1)) - own
        right = logits.argmax(axis=-1) == targets
    half = (len(targets) + 1) // 2
    found = {}
    for name, rows in (("validation", slice(half)), ("test", slice(half, None))):
        found[f"{name}_accuracy"] = right[:, rows].mean(axis=1)
        found[f"{name}_loss"] = losses[:, rows].mean(axis=1)
    return found
