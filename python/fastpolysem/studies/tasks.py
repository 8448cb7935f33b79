"""What one configuration of a run of collecting still needs, and how far it is."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastpolysem import statistics
from fastpolysem.config import Config
from fastpolysem.studies.progress import ConfigProgress
from fastpolysem.studies.seedsets import Range, SeedSet


@dataclass(eq=False)
class Stored:
    """What a folder holds of a configuration, one entry a row."""

    seeds: NDArray[np.uint64]
    values: NDArray[np.float64]  # of the metric
    diverged: NDArray[np.bool_]
    complete: SeedSet  # those that have all else that is to be kept


@dataclass(eq=False)
class Task:
    """What one configuration still needs."""

    config: Config
    digest: str
    wanted: SeedSet  # the seeds aimed at for now
    cap: int | None  # with a target: how many there may be at most
    stored: Stored
    pending: Iterator[Range] = field(default_factory=lambda: iter(()))
    upcoming: Range | None = None
    running: int = 0  # seeds that are handed out
    within: int = 0  # of them, those that are known to be trained
    done: int = 0  # seeds of the goal whose rows are there
    reused: int = 0  # of them, those that were stored
    diverged: int = 0
    finished: bool = False
    count: int = 0  # values of the metric, of seeds that did not diverge
    mean: float = math.nan
    squares: float = 0.0  # sum of their squared distances from the mean
    shown: ConfigProgress | None = None  # as long as nothing has changed

    @property
    def goal(self) -> int:
        """Number of seeds aimed at."""
        return self.wanted.count

    def next_block(self) -> Range | None:
        """Take the next block that is to be trained, if there is one."""
        block, self.upcoming = self.upcoming, next(self.pending, None)
        return block

    @property
    def estimate(self) -> statistics.Estimate:
        variance = self.squares / (self.count - 1) if self.count > 1 else math.nan
        return statistics.mean_from_moments(self.count, self.mean, variance)

    @property
    def trained(self) -> int:
        """Seeds that were trained since the start."""
        return self.done - self.reused + self.within

    def take_in(self, values: NDArray[Any], diverged: int) -> None:
        """Count further seeds: values of the metric, and how many diverged besides.

        Mean and spread are merged by the formula of Chan, Golub & LeVeque (1983).
        """
        self.done += len(values) + diverged
        self.diverged += diverged
        self.shown = None
        if len(values):
            values = values.astype(np.float64)
            mean, squares = float(values.mean()), float(values.var() * len(values))
            old = self.count
            self.count += len(values)
            if old:
                gap = mean - self.mean
                squares += self.squares + gap**2 * old * len(values) / self.count
                mean = self.mean + gap * len(values) / self.count
            self.mean, self.squares = mean, squares

    def record(self) -> ConfigProgress:
        """How far this configuration is."""
        if self.shown is None:
            estimate = self.estimate
            self.shown = ConfigProgress(
                config=self.config,
                digest=self.digest,
                seeds=self.done,
                goal=self.goal,
                training=self.within,
                diverged=self.diverged,
                mean=estimate.value,
                half_width=estimate.half_width,
                finished=self.finished,
            )
        return self.shown

    @contextlib.contextmanager
    def named_in_errors(self, blocks: list[Range]) -> Iterator[None]:
        """Say of an error what was being trained."""
        try:
            yield
        except Exception as error:
            error.add_note(
                f"while training {sum(stop - first for first, stop in blocks)} seeds from "
                f"{blocks[0][0]} on, of {self.config!r}; finished blocks are kept"
            )
            raise
