"""A family of models in pure Python, as another package would add it: nothing of it is compiled.

A model is a matrix of real numbers, "trained" by drawing it from NumPy's generator of its seed; a
row wins a column where it has the largest entry. Seeds that draw a large first entry diverge.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

import fastpolysem as fp
from fastpolysem.families import Arrays, Column, Options, Trained

KIND = "dice"
NUMERICS = 3
DIVERGES = 2.0


@dataclass(frozen=True, kw_only=True)
class DiceConfig:
    """Settings of the matrices."""

    rows: int
    columns: int
    spread: float = 1.0
    steps: int = 10
    pause: float = 0.0
    """Seconds that each seed takes."""
    dtype: str = "float64"

    def __post_init__(self) -> None:
        if self.rows < 1 or self.columns < 1:
            raise ValueError(f"DiceConfig: rows and columns must be >= 1, got {self!r}")

    @property
    def digest(self) -> str:
        text = json.dumps({"numerics": NUMERICS, **self.to_dict()}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:20]

    def to_dict(self) -> dict[str, Any]:
        return {"kind": KIND, **dataclasses.asdict(self)}

    @classmethod
    def from_dict(cls, mapping: Mapping[str, Any]) -> DiceConfig:
        return cls(**{name: value for name, value in mapping.items() if name != "kind"})

    def replace(self, **changes: Any) -> DiceConfig:
        return dataclasses.replace(self, **changes)


class Dice:
    """What `fastpolysem.families.Family` asks for."""

    kind = KIND
    numerics_version = NUMERICS
    config_type = DiceConfig
    kernels = ("auto", "numpy")
    sizes = ("rows", "columns")
    primary = "winners"
    beside = ("largest",)
    headings: Mapping[str, str] = {"rows": "r", "columns": "c", "occupancy": "r(1 - (1 - 1/r)^c)"}
    glossary: Mapping[str, str] = {
        "rows": "rows of the matrix",
        "columns": "columns of the matrix",
        "occupancy": "winners if every column chose its row at random",
    }
    caveat = "seeds diverged"

    def columns(self, config: DiceConfig) -> tuple[Column, ...]:
        return (
            Column(
                "winners",
                "int32",
                "rows that win a column",
                diverged=-1,
                bounds=(0, config.rows),
                label="winning rows",
            ),
            Column("largest", "float64", "largest entry", diverged=np.nan),
            Column("low", "int64", "entries below 0", diverged=-1, bounds=(0, None), since="0.2"),
        )

    def metrics(self, config: DiceConfig) -> tuple[str, ...]:
        return ("norm",)

    def settings(self, config: DiceConfig) -> dict[str, Any]:
        return dataclasses.asdict(config)

    def describe(self, config: DiceConfig) -> str:
        return f"{config.rows} by {config.columns}"

    def steps(self, config: DiceConfig) -> int:
        return config.steps

    def shapes(self, config: DiceConfig) -> dict[str, tuple[int, ...]]:
        return {"matrix": (config.rows, config.columns)}

    def pack(self, config: DiceConfig, weights: Any) -> Arrays:
        return {"matrix": weights}

    def unpack(self, config: DiceConfig, arrays: Arrays) -> Any:
        return arrays["matrix"]

    def flops(self, config: DiceConfig) -> int:
        return 2 * 10**10  # blocks of two seeds

    def memory(self, config: DiceConfig, kernel: str, seeds: int, threads: int) -> int:
        return 8 * seeds * config.rows * config.columns

    def check(self, config: DiceConfig, options: Options, seeds: int) -> Mapping[str, int]:
        for name in ("initial_weights", "noise_sequence"):
            if getattr(options, name) is not None:
                raise ValueError(f"train: {name} must be None for {KIND}")
        return {}

    def train(self, config: DiceConfig, seeds: NDArray[np.uint64], options: Options) -> Trained:
        matrices = np.empty((len(seeds), config.rows, config.columns), config.dtype)
        for at, seed in enumerate(seeds.tolist()):
            time.sleep(config.pause)
            matrices[at] = np.random.default_rng(seed).normal(0, config.spread, matrices.shape[1:])
            if options.progress is not None:
                options.progress(at + 1)
        diverged = matrices[:, 0, 0] > DIVERGES
        winners = [len(np.unique(matrix.argmax(axis=0))) for matrix in matrices]
        columns = {
            "winners": np.where(diverged, -1, winners).astype(np.int64),
            "largest": np.where(diverged, np.nan, matrices.max(axis=(1, 2))),
            "low": np.where(diverged, -1, (matrices < 0).sum(axis=(1, 2))),
        }
        norm = np.sqrt((matrices**2).sum(axis=(1, 2)))
        steps = np.array(options.record_steps, dtype=np.float64)
        return Trained(
            columns={column.name: columns[column.name] for column in self.columns(config)},
            diverged=diverged,
            seconds=np.full(len(seeds), config.pause),
            kernel="numpy",
            weights={"matrix": matrices} if options.return_weights else None,
            history={name: np.multiply.outer(norm, steps) for name in options.metrics},
        )

    def references(self, config: DiceConfig) -> dict[str, dict[str, float]]:
        rows, columns = config.rows, config.columns
        return {"winners": {"occupancy": rows * (1 - (1 - 1 / rows) ** columns)}}

    def distribution(self, config: DiceConfig, column: str) -> NDArray[np.float64] | None:
        if column != "winners" or config.columns > 2:
            return None
        return np.array([0, 1 / config.rows, 1 - 1 / config.rows][: config.columns + 1])

    def unlearned(self, config: DiceConfig) -> tuple[str, int] | None:
        return None

    def figures(self) -> tuple[Any, ...]:
        return ()


DICE = Dice()
fp.register_family(DICE)
