"""The plan of a run of collecting: what each configuration still needs, and how far it is."""

from __future__ import annotations

import contextlib
import heapq
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastpolysem import statistics
from fastpolysem.families import AnyConfig
from fastpolysem.studies.blocks import block_size, flops_of_seed
from fastpolysem.studies.holding import Holding
from fastpolysem.studies.progress import ConfigProgress
from fastpolysem.studies.seedsets import SeedSet
from fastpolysem.studies.stored import Stored
from fastpolysem.studies.target import Target


@dataclass(eq=False)
class Task:
    """What one configuration still needs."""

    holding: Holding  # which grows as blocks finish
    stored: Stored
    bounds: statistics.Bounds | None = None  # of values of the metric
    wanted: SeedSet = field(default_factory=SeedSet)  # the seeds aimed at for now
    lacking: SeedSet = field(default_factory=SeedSet)  # of them, those to be trained again
    pending: Iterator[SeedSet] = field(default_factory=lambda: iter(()))
    upcoming: SeedSet | None = None
    running: int = 0  # seeds that are handed out
    within: int = 0  # of them, those that are known to be trained
    done: int = 0  # seeds of the goal whose rows are there
    reused: int = 0  # of them, those that were stored
    diverged: int = 0
    finished: bool = False
    count: int = 0  # values of the metric, of seeds that did not diverge
    mean: float = math.nan
    squares: float = 0.0  # sum of their squared distances from the mean
    cubes: float = 0.0  # and of the cubes
    _estimate: statistics.Estimate | None = None  # of these values, once it was asked for

    def __post_init__(self) -> None:
        self.config: AnyConfig = self.holding.config
        self.digest: str = self.config.digest

    @property
    def goal(self) -> int:
        """Number of seeds aimed at."""
        return self.wanted.count

    def next_block(self) -> SeedSet | None:
        """Take the next block that is to be trained, if there is one."""
        block, self.upcoming = self.upcoming, next(self.pending, None)
        return block

    @property
    def estimate(self) -> statistics.Estimate:
        if self._estimate is None:
            variance = self.squares / (self.count - 1) if self.count > 1 else math.nan
            third = self.cubes / max(1, self.count)
            self._estimate = statistics.mean_from_moments(
                self.count, self.mean, variance, third, bounds=self.bounds
            )
        return self._estimate

    @property
    def trained(self) -> int:
        """Seeds that were trained since the start."""
        return self.done - self.reused + self.within

    def take_in(self, values: NDArray[Any], diverged: int) -> None:
        """Count further seeds: values of the metric, and how many diverged besides.

        Moments are merged by the formulas of Chan, Golub & LeVeque (1983) and Pébay (2008).
        """
        self.done += len(values) + diverged
        self.diverged += diverged
        values = values.astype(np.float64)
        values = values[~np.isnan(values)]  # what a probe could not tell
        if len(values):
            self._estimate = None
            mean, squares = float(values.mean()), float(values.var() * len(values))
            cubes = float(np.sum((values - mean) ** 3))
            old, new = self.count, len(values)
            self.count += new
            if old:
                gap = mean - self.mean
                cubes += self.cubes + 3 * gap * (old * squares - new * self.squares) / self.count
                cubes += gap**3 * old * new * (old - new) / self.count**2
                squares += self.squares + gap**2 * old * new / self.count
                mean = self.mean + gap * new / self.count
            self.mean, self.squares, self.cubes = mean, squares, cubes

    def record(self) -> ConfigProgress:
        """How far this configuration is."""
        estimate = self.estimate
        return ConfigProgress(
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

    @contextlib.contextmanager
    def named_in_errors(self, blocks: list[SeedSet]) -> Iterator[None]:
        """Say of an error what was being trained."""
        try:
            yield
        except Exception as error:
            error.add_note(
                f"while training {sum(block.count for block in blocks)} seeds from "
                f"{blocks[0].ranges[0][0]} on, of {self.config!r}; finished blocks are kept"
            )
            raise


class Work(NamedTuple):
    """How far some configurations are together."""

    reused: int = 0  # seeds
    trained: int = 0  # seeds
    done: int = 0  # floating point operations, as is `left`
    left: int = 0

    @classmethod
    def of(cls, task: Task) -> Work:
        flops = flops_of_seed(task.config)
        left = task.goal - task.done - task.within
        return cls(task.reused, task.trained, flops * task.trained, flops * left)


class Plan:
    """The configurations of a run: which is next, and how far all are.

    Both are kept up to date task by task: a sweep may have ten thousand, and as many blocks.
    """

    def __init__(self, target: Target | None = None) -> None:
        self.target = target
        self.all: list[Task] = []
        self.records: list[ConfigProgress] = []
        self.work = Work()
        self._counted: list[Work] = []  # of each, what is in `work`
        self._places: dict[str, int] = {}  # by digest
        self._waiting: list[tuple[float, int]] = []

    def add(self, task: Task) -> None:
        self._places[task.digest] = len(self.all)
        self.all.append(task)
        self.records.append(task.record())
        self._counted.append(Work())

    def aim_at(self, task: Task, seeds: SeedSet) -> None:
        """Add seeds to a task's goal: take what is stored, cut the rest into blocks."""
        stored = task.stored
        task.wanted = task.wanted | seeds
        task.lacking = task.lacking | stored.lacking(seeds)
        if stored.files:
            # Files may hold other seeds as well, and such that are still to be trained again.
            task.holding.only(task.wanted - task.lacking)
        here = seeds.contains(stored.seeds) & stored.complete.contains(stored.seeds)
        valid = here & ~stored.diverged
        task.reused += int(here.sum())
        task.take_in(stored.values[valid], int((here & stored.diverged).sum()))
        # Cut as if nothing were there, so that what is stored does not change where blocks end.
        missing = seeds - SeedSet.of(stored.seeds[here])
        parts = (block & missing for block in seeds.blocks(block_size(task.config)))
        task.pending = (part for part in parts if part.count)
        task.next_block()
        self.update(task)
        self.judge(task)

    def trained(self, task: Task, block: SeedSet) -> None:
        """Seeds that were lacking something have it now."""
        if task.lacking.count:
            task.lacking = task.lacking - block
            task.holding.only(task.wanted - task.lacking)

    def judge(self, task: Task) -> None:
        """Once all seeds aimed at are there: is that enough?"""
        if task.done < task.goal:
            return
        if self.target is None or self.target.ends(task):
            task.finished = True
            self.update(task)
        else:
            # With a target the seeds are 0, 1, …, and their number doubles.
            self.aim_at(task, SeedSet([(task.goal, min(2 * task.goal, self.target.cap))]))

    def update(self, task: Task) -> None:
        """Take notice of a change."""
        place = self._places[task.digest]
        self.records[place] = task.record()
        old, new = self._counted[place], Work.of(task)
        self._counted[place] = new
        self.work = Work(*(sum_ + b - a for sum_, a, b in zip(self.work, old, new, strict=True)))

    def put_back(self, task: Task) -> None:
        """Let a task that `take` gave, or a new one, wait for its turn, if it has a block left."""
        if task.upcoming is not None:
            share = (task.done + task.running) / task.goal
            heapq.heappush(self._waiting, (share, self._places[task.digest]))

    def take(self) -> Task | None:
        """The configuration that is furthest behind, so that all of them proceed alike."""
        return self.all[heapq.heappop(self._waiting)[1]] if self._waiting else None
