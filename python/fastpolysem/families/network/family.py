"""Networks as a family of models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastpolysem._native import core
from fastpolysem.families.base import Arrays, Column, Figure, Options, Trained
from fastpolysem.families.network import objective
from fastpolysem.families.network.config import NUMERICS_VERSION, NetworkConfig
from fastpolysem.families.network.dataset import Dataset
from fastpolysem.families.network.lowering import core_settings
from fastpolysem.families.network.measures.concepts import concept_count
from fastpolysem.families.network.objective import check_readout, pack, shapes, stacked, unpack


class Network:
    """Networks of several layers; see `fastpolysem.families.base.Family` for the members."""

    kind = "network"
    numerics_version = NUMERICS_VERSION
    config_type = NetworkConfig
    kernels: tuple[str, ...] = ("auto", "generic", "rows", "lanes")
    sizes: tuple[str, ...] = ("widths",)
    primary = "shared_use"
    beside: tuple[str, ...] = (
        *("polysemantic", "serving", "not_learned", "loss"),
        *("accuracy", "held_out_loss", "held_out_accuracy"),
    )
    headings: Mapping[str, str] = {}
    glossary: Mapping[str, str] = {
        "widths": "number of inputs, of neurons per hidden layer, of outputs"
    }
    caveat = (
        "more than 5 % of the concepts were not learned, or seeds diverged (hollow markers): a "
        "network shares no neurons between concepts that it has not learned"
    )
    forward = staticmethod(objective.forward)
    loss_and_gradient = staticmethod(objective.loss_and_gradient)
    draw = staticmethod(objective.draw)

    def columns(self, config: NetworkConfig) -> tuple[Column, ...]:
        real: dict[str, Any] = {"dtype": "float64", "diverged": np.nan, "bounds": (0, None)}
        share: dict[str, Any] = {**real, "bounds": (0, 1)}
        found = [
            Column(
                "loss",
                doc="final loss, without l1, noise and dropout, on the evaluation batch or on all "
                "training rows with the seed's labels",
                **real,
            )
        ]
        decides = config.loss.kind != "power"
        held_out = isinstance(config.inputs, Dataset) and config.inputs.held_out is not None
        if decides:
            found.append(
                Column("accuracy", doc="share of correct decisions on the same rows", **share)
            )
        if held_out:
            label, doc = "held-out loss", "final loss on the held-out rows"
            found.append(Column("held_out_loss", doc=doc, label=label, **real))
        if held_out and decides:
            doc = "share of correct decisions on the held-out rows"
            label = "held-out accuracy"
            found.append(Column("held_out_accuracy", doc=doc, label=label, **share))
        found += self._of_neurons(config)
        found.append(
            Column(
                "largest_gradient",
                doc="largest |gradient| of the objective without noise and dropout, at the final "
                "l1, over the trained parameters",
                **real,
            )
        )
        doc = "number of updates"
        found.append(Column("steps_taken", dtype="int64", bounds=(0, None), doc=doc))
        return tuple(found)

    def _of_neurons(self, config: NetworkConfig) -> list[Column]:
        """What is measured of all hidden layers and, if there are several, of each."""
        hidden, concepts = config.widths[1:-1], concept_count(config)
        count: dict[str, Any] = {"dtype": "int32", "diverged": -1}
        mean: dict[str, Any] = {"dtype": "float64", "diverged": np.nan}
        found = []
        for name, kind, most, doc in (
            ("shared_use", mean, (1,) * len(hidden), "share of all use on shared neurons"),
            ("polysemantic", count, hidden, "hidden neurons that serve two or more concepts"),
            ("serving", count, hidden, "hidden neurons that serve a concept"),
            (
                *("effective_concepts", mean, (concepts,) * len(hidden)),
                "effective number of concepts that use a neuron",
            ),
            (
                *("neurons_per_concept", mean, hidden),
                "effective number of neurons that a concept uses",
            ),
            (
                *("dead", count, hidden),
                "hidden neurons whose activation is 0 (ReLU) or the same for all rows",
            ),
        ):
            whole = sum(most) if kind is count else max(most)
            over = "" if len(hidden) == 1 or kind is count else ", mean over hidden layers"
            found.append(Column(name, doc=doc + over, bounds=(0, whole), **kind))
            for layer, own in enumerate(most if len(hidden) > 1 else (), 1):
                said = f"that of hidden layer {layer}"
                found.append(Column(f"{name}_{layer}", doc=said, bounds=(0, own), **kind))
        doc = "concepts whose loss is more than half of that of the best constant output"
        found.append(Column("not_learned", doc=doc, bounds=(0, concepts), **count))
        return found

    def metrics(self, config: NetworkConfig) -> tuple[str, ...]:
        names = [c.name for c in self.columns(config) if c.name != "steps_taken"]
        return ("objective", *names, "nonzeros", "l1_norm")

    def settings(self, config: NetworkConfig) -> dict[str, Any]:
        values = {name: getattr(config, name) for name in NetworkConfig.DEFAULTS}
        values["widths"] = "-".join(map(str, config.widths))
        # In tables, "loss" is a result column.
        return {"loss_function" if name == "loss" else name: v for name, v in values.items()}

    def describe(self, config: NetworkConfig) -> str:
        return f"widths {'-'.join(map(str, config.widths))}"

    def steps(self, config: NetworkConfig) -> int:
        return config.steps

    def shapes(self, config: NetworkConfig) -> dict[str, tuple[int, ...]]:
        return shapes(config)

    def pack(self, config: NetworkConfig, weights: Any) -> Arrays:
        return pack(config, weights)

    def unpack(self, config: NetworkConfig, arrays: Arrays) -> Any:
        return unpack(config, arrays)

    def flops(self, config: NetworkConfig) -> int:
        products = [d * e for d, e in zip(config.widths, config.widths[1:], strict=False)]
        # Forward and both backward products; the first layer needs no gradient of its inputs.
        return config.steps * config._rows * (6 * sum(products) - 2 * products[0])

    def memory(self, config: NetworkConfig, kernel: str, seeds: int, threads: int) -> int:
        return int(core.network_bytes(core_settings(config), kernel, min(seeds, 2**32), threads))

    def check(self, config: NetworkConfig, options: Options, seeds: int) -> Mapping[str, int]:
        kernel = options.kernel
        if reason := core.network_kernel_refusal(core_settings(config), kernel):
            raise ValueError(f"train: kernel {kernel!r} does not support this config: {reason}")
        if options.noise_sequence is not None:
            raise ValueError(
                "train: noise_sequence must be None for a network; loss_and_gradient accepts the "
                "noise of a step, and draw returns it"
            )
        if options.initial_weights is None:
            return {}
        entries = sum(int(np.prod(shape)) for shape in shapes(config).values())
        return {"the initial weights": seeds * entries * np.dtype(config.dtype).itemsize}

    def train(self, config: NetworkConfig, seeds: NDArray[np.uint64], options: Options) -> Trained:
        start: Arrays = {}
        if options.initial_weights is not None:
            label, given = "train: initial_weights", options.initial_weights
            start, _ = stacked(label, given, config, len(seeds))
            check_readout(label, config, start)
        out = core.network_train(
            core_settings(config),
            seeds,
            start,
            list(options.metrics),
            np.array(options.record_steps, dtype=np.int64),
            options.return_weights,
            options.num_threads,
            options.kernel,
            options.progress,
        )
        return Trained(
            columns={column.name: out[column.name] for column in self.columns(config)},
            diverged=out["diverged"],
            seconds=out["seconds"],
            kernel=out["kernel"],
            weights=out["weights"] if options.return_weights else None,
            history=out["history"],
        )

    def references(self, config: NetworkConfig) -> dict[str, dict[str, float]]:
        return {}

    def distribution(self, config: NetworkConfig, column: str) -> NDArray[np.float64] | None:
        return None

    def unlearned(self, config: NetworkConfig) -> tuple[str, int] | None:
        return "not_learned", concept_count(config)

    def figures(self) -> tuple[Figure, ...]:
        return ()


FAMILY = Network()
