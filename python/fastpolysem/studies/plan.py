"""The plan of a run of `collect`: what each configuration still needs, and its progress."""

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
from fastpolysem.studies.tabulate import present
from fastpolysem.studies.target import Target


@dataclass(eq=False)
class Task:
    """What one configuration still needs."""

    holding: Holding  # grows as blocks finish
    stored: Stored
    bounds: statistics.Bounds | None = None  # of values of the metric
    wanted: SeedSet = field(default_factory=SeedSet)  # the seeds to reach for now
    lacking: SeedSet = field(default_factory=SeedSet)  # of these, seeds to be trained again
    pending: Iterator[SeedSet] = field(default_factory=lambda: iter(()))
    upcoming: SeedSet | None = None
    running: int = 0  # seeds being trained
    within: int = 0  # of these, seeds already reported as trained
    done: int = 0  # finished seeds of the goal
    reused: int = 0  # of these, seeds that were stored
    diverged: int = 0
    finished: bool = False
    count: int = 0  # values of the metric of seeds that did not diverge
    mean: float = math.nan
    squares: float = 0.0  # sum of their squared distances from the mean
    cubes: float = 0.0  # sum of the cubes
    _estimate: statistics.Estimate | None = None  # of these values, cached

    def __post_init__(self) -> None:
        self.config: AnyConfig = self.holding.config
        self.digest: str = self.config.digest

    @property
    def goal(self) -> int:
        """Number of seeds to reach."""
        return self.wanted.count

    def next_block(self) -> SeedSet | None:
        """Take the next block to train, if there is one."""
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
        """Number of seeds trained since the start."""
        return self.done - self.reused + self.within

    def take_in(self, values: NDArray[Any], diverged: int) -> None:
        """Count further seeds: values of the metric, and how many other seeds diverged.

        Values that are not finite count as seeds and are otherwise left out. Moments are merged by
        the formulas of Chan, Golub & LeVeque (1983) and Pébay (2008).
        """
        self.done += len(values) + diverged
        self.diverged += diverged
        values = present(values)
        if len(values):
            self._estimate = None
            with np.errstate(over="ignore", invalid="ignore"):  # an estimate can be unknown
                self._merge(values)

    def _merge(self, values: NDArray[np.float64]) -> None:
        mean = values.mean()
        squares, cubes = values.var() * len(values), np.sum((values - mean) ** 3)
        old, new = self.count, len(values)
        self.count += new
        if old:
            gap = mean - self.mean
            cubes += self.cubes + 3 * gap * (old * squares - new * self.squares) / self.count
            cubes += gap**3 * old * new * (old - new) / self.count**2
            squares += self.squares + gap**2 * old * new / self.count
            mean = self.mean + gap * new / self.count
        self.mean, self.squares, self.cubes = float(mean), float(squares), float(cubes)

    def record(self) -> ConfigProgress:
        """The progress of this configuration."""
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
    def named_in_errors(self, blocks: list[SeedSet], kept: bool) -> Iterator[None]:
        """Add to an error what was being trained."""
        try:
            yield
        except Exception as error:
            error.add_note(
                f"while training {sum(block.count for block in blocks)} seeds starting at "
                f"{blocks[0].ranges[0][0]}, of {self.config!r}"
                + ("; finished blocks are kept" if kept else "")
            )
            raise


class Work(NamedTuple):
    """The combined progress of some configurations."""

    reused: int = 0  # seeds
    trained: int = 0  # seeds
    done: int = 0  # floating-point operations, as is `left`
    left: int = 0

    @classmethod
    def of(cls, task: Task) -> Work:
        flops = flops_of_seed(task.config)
        left = task.goal - task.done - task.within
        return cls(task.reused, task.trained, flops * task.trained, flops * left)


class Plan:
    """The configurations of a run: which one is next, and the progress of all.

    Both are updated incrementally, as a sweep may have ten thousand tasks and as many blocks.
    """

    def __init__(self, target: Target | None = None) -> None:
        self.target = target
        self.all: list[Task] = []
        self.records: list[ConfigProgress] = []
        self.work = Work()
        self._counted: list[Work] = []  # the contribution of each task to `work`
        self._places: dict[str, int] = {}  # by digest
        self._waiting: list[tuple[float, int]] = []

    def add(self, task: Task) -> None:
        self._places[task.digest] = len(self.all)
        self.all.append(task)
        self.records.append(task.record())
        self._counted.append(Work())

    def aim_at(self, task: Task, seeds: SeedSet) -> None:
        """Add seeds to a task's goal: use what is stored, divide the rest into blocks."""
        stored = task.stored
        task.wanted = task.wanted | seeds
        task.lacking = task.lacking | stored.lacking(seeds)
        # Files may also contain other seeds, and seeds that are still to be trained again.
        task.holding.only(task.wanted - task.lacking)
        here = seeds.contains(stored.seeds) & stored.complete.contains(stored.seeds)
        valid = here & ~stored.diverged
        task.reused += int(here.sum())
        task.take_in(stored.values[valid], int((here & stored.diverged).sum()))
        # Divide as if nothing were stored, so that stored seeds do not change block boundaries.
        missing = seeds - SeedSet.of(stored.seeds[here])
        parts = (block & missing for block in seeds.blocks(block_size(task.config)))
        task.pending = (part for part in parts if part.count)
        task.next_block()
        self.update(task)
        self.judge(task)

    def trained(self, task: Task, block: SeedSet) -> None:
        """Note that seeds which lacked something now have it."""
        if task.lacking.count:
            task.lacking = task.lacking - block
            task.holding.only(task.wanted - task.lacking)

    def judge(self, task: Task) -> None:
        """Decide whether the seeds suffice, once all seeds to reach are finished."""
        if task.done < task.goal:
            return
        if self.target is None or self.target.ends(task):
            task.finished = True
            self.update(task)
        else:
            # With a target the seeds are 0, 1, …, and their number doubles.
            self.aim_at(task, SeedSet([(task.goal, min(2 * task.goal, self.target.cap))]))

    def update(self, task: Task) -> None:
        """Update the totals after a change to a task."""
        place = self._places[task.digest]
        self.records[place] = task.record()
        old, new = self._counted[place], Work.of(task)
        self._counted[place] = new
        self.work = Work(*(sum_ + b - a for sum_, a, b in zip(self.work, old, new, strict=True)))

    def put_back(self, task: Task) -> None:
        """Queue a task returned by `take`, or a new one, if it has a block left."""
        if task.upcoming is not None:
            share = (task.done + task.running) / task.goal
            heapq.heappush(self._waiting, (share, self._places[task.digest]))

    def take(self) -> Task | None:
        """Take the configuration that is furthest behind, so that all proceed alike."""
        return self.all[heapq.heappop(self._waiting)[1]] if self._waiting else None
