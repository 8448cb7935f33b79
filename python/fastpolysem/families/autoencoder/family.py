"""The autoencoder as a family of models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastpolysem import _checks
from fastpolysem._native import core
from fastpolysem.families.autoencoder import objective
from fastpolysem.families.autoencoder.config import (
    DEFAULTS,
    NUMERICS_VERSION,
    Config,
    core_settings,
)
from fastpolysem.families.autoencoder.objective import (
    Parameters,
    shapes,
    stacked_parameters,
    unstacked,
)
from fastpolysem.families.base import Arrays, Column, Figure, Options, Trained

# What the core's table of columns does not contain: integers that are stored in fewer bits and, for
# each count, the setting that it cannot exceed (None for no limit).
_NARROW = "int32"
_COUNTS: dict[str, tuple[str, str | None]] = {
    "polysemantic": (_NARROW, "n_hidden"),
    "benign": (_NARROW, None),
    "malign": (_NARROW, None),
    "signed_slots": (_NARROW, "n_hidden"),
    "signed_slots_benign": (_NARROW, "n_hidden"),
    "dead": (_NARROW, "n_hidden"),
    "unrepresented": (_NARROW, "n_features"),
    "nonzeros": ("int64", None),
}
_SINCE: dict[str, str] = {}
"""The version that added a column, for columns that older files lack."""
_LABELS = {
    "polysemantic": "polysemantic neurons",
    "signed_slots": "shared neurons",
    "signed_slots_benign": "neurons shared with opposite signs",
    "dead": "dead neurons",
    "unrepresented": "unrepresented features",
    "nonzeros": "non-zero weights",
}
# Name, type in memory, value in the row of a diverged seed and documentation, without the columns
# that every family has. Read once, because schemas are cached by it and nan equals itself only if
# it is the same object.
_COLUMNS = [row for row in core.autoencoder_columns() if row[0] not in ("diverged", "seconds")]


class Autoencoder:
    """The paper's model; the members are documented in `fastpolysem.families.base.Family`."""

    kind = "autoencoder"
    numerics_version = NUMERICS_VERSION
    config_type = Config
    kernels: tuple[str, ...] = ("auto", "generic", "dense", "sparse", "lanes")
    sizes: tuple[str, ...] = ("n_features", "n_hidden")
    primary = "polysemantic"
    beside: tuple[str, ...] = (
        *("signed_slots", "loss", "unrepresented", "dead", "benign", "malign"),
    )
    headings: Mapping[str, str] = {
        "n_features": "n",
        "n_hidden": "m",
        "collision_law": "n²/4m",
        "null_mean": "null model",
    }
    glossary: Mapping[str, str] = {
        "n_features": "number of features",
        "n_hidden": "number of hidden neurons",
        "collision_law": "the number expected if features chose their neurons at random, counted "
        "in pairs",
        "null_mean": "the same if no two features of the same sign share a neuron",
    }
    caveat = (
        "more than 5 % of the features are unrepresented, or seeds diverged (hollow markers): a "
        "low count there does not mean that neurons are monosemantic"
    )
    forward = staticmethod(objective.forward)
    loss_and_gradient = staticmethod(objective.loss_and_gradient)

    def columns(self, config: Config) -> tuple[Column, ...]:
        columns = []
        for name, dtype, diverged, doc in _COLUMNS:
            stored, bounds = dtype, None
            if name in _COUNTS:
                stored, size = _COUNTS[name]
                bounds = 0, None if size is None else getattr(config, size)
            since, label = _SINCE.get(name, ""), _LABELS.get(name, "")
            columns.append(Column(name, stored, doc, diverged, bounds, since, label))
        return tuple(columns)

    def metrics(self, config: Config) -> tuple[str, ...]:
        names: tuple[str, ...] = core.METRICS
        return names

    def settings(self, config: Config) -> dict[str, Any]:
        return {name: getattr(config, name) for name in DEFAULTS}

    def describe(self, config: Config) -> str:
        return f"n = {config.n_features} features, m = {config.n_hidden} neurons"

    def steps(self, config: Config) -> int:
        return config.steps

    def shapes(self, config: Config) -> dict[str, tuple[int, ...]]:
        return shapes(config)

    def pack(self, config: Config, weights: Any) -> Arrays:
        parts = weights if isinstance(weights, tuple) else (weights,)
        named = zip(Parameters._fields, parts, strict=False)
        return {name: part for name, part in named if part is not None}

    def unpack(self, config: Config, arrays: Arrays) -> Any:
        parts = arrays["encoder"], arrays.get("decoder"), arrays.get("bias")
        return unstacked(config, parts, single=False)

    def flops(self, config: Config) -> int:
        n, m = config.n_features, config.n_hidden
        flops = (3 if config.tied else 6) * n * n * m
        if config.noise_sharing == "input":
            flops += 4 * config.inputs._rows(n) * n * m
        return config.steps * flops

    def memory(self, config: Config, kernel: str, seeds: int, threads: int) -> int:
        count = min(seeds, 2**32)
        return threads * int(core.model_bytes(core_settings(config), kernel, count))

    def check(self, config: Config, options: Options, seeds: int) -> Mapping[str, int]:
        kernel = options.kernel
        if reason := core.kernel_refusal(core_settings(config), kernel):
            raise ValueError(f"train: kernel {kernel!r} does not support this config: {reason}")
        start = 0
        if options.initial_weights is not None:
            entries = sum(int(np.prod(shape)) for shape in shapes(config).values())
            start = seeds * entries * np.dtype(config.dtype).itemsize
        axes = 3 if config.noise_sharing == "input" else 2
        return {
            "the initial weights": start,
            "the noise": _checks.copied_bytes(options.noise_sequence, config.dtype, axes),
        }

    def train(self, config: Config, seeds: NDArray[np.uint64], options: Options) -> Trained:
        start: tuple[Any, Any, Any] = (None, None, None)
        if options.initial_weights is not None:
            label, given = "train: initial_weights", options.initial_weights
            start, _ = stacked_parameters(label, given, config, len(seeds))
        noise = _noise_sequence(options.noise_sequence, config, len(seeds))
        out = core.train(
            core_settings(config),
            seeds,
            {
                name: part
                for name, part in zip(Parameters._fields, start, strict=True)
                if part is not None
            },
            noise,
            list(options.metrics),
            np.array(options.record_steps, dtype=np.int64),
            options.return_weights,
            options.num_threads,
            options.kernel,
            options.progress,
        )
        weights = None
        if options.return_weights:
            weights = {name: out["weights"][name] for name in shapes(config)}
        return Trained(
            columns={column.name: out[column.name] for column in self.columns(config)},
            diverged=out["diverged"],
            seconds=out["seconds"],
            kernel=out["kernel"],
            weights=weights,
            history=out["history"],
        )

    def references(self, config: Config) -> dict[str, dict[str, float]]:
        from fastpolysem.families.autoencoder import theory

        sizes = config.n_features, config.n_hidden
        laws = {
            "collision_law": float(theory.collision_law(*sizes)),
            "null_mean": float(theory.null_mean(*sizes)),
        }
        return {"polysemantic": laws, "signed_slots": laws}

    def distribution(self, config: Config, column: str) -> NDArray[np.float64] | None:
        from fastpolysem.families.autoencoder import theory

        if (
            column not in ("polysemantic", "signed_slots")
            or config.n_features > 2 * config.n_hidden
        ):
            return None
        return theory.null_distribution(config.n_features, config.n_hidden)

    def unlearned(self, config: Config) -> tuple[str, int] | None:
        return "unrepresented", config.n_features

    def figures(self) -> tuple[Figure, ...]:
        from fastpolysem.families.autoencoder import plots

        return (
            Figure(
                "Mean number of polysemantic neurons against the number of hidden neurons, with "
                "95 % confidence intervals",
                plots.collisions,
            ),
            Figure(
                "Mean share of features that no neuron represents",
                plots.unrepresented,
                "unrepresented",
            ),
        )


def _noise_sequence(noise: Any, config: Config, count: int) -> Any:
    if noise is None:
        return None
    if config.stop == "certified":
        raise ValueError("train: noise_sequence must be None with stop='certified', got noise")
    rows = (config._rows,) if config.noise_sharing == "input" else ()
    shape = (config.steps, *rows, config.n_hidden)
    return _checks.stacked("train: noise_sequence", noise, shape, config.dtype, count)


FAMILY = Autoencoder()
