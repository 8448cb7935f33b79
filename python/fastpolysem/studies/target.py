"""The number of seeds a configuration needs until its interval is narrow enough."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fastpolysem import _checks, statistics
from fastpolysem.studies.tabulate import present, values_of

if TYPE_CHECKING:
    from fastpolysem.studies.plan import Task

FIRST_CHECKPOINT = 64
"""Number of seeds at which ``target`` is first evaluated, then at each doubling."""

DEFAULT_MAX_SEEDS = 2**16

NO_EVENT_CHECKPOINT = 2**10
"""Number of seeds after which a metric that is always 0 is considered too rare for a ``target``."""


@dataclass(frozen=True)
class Target:
    """The condition for a configuration to have enough seeds."""

    width: float
    """Sufficient half-width of the 95 % interval of the mean, relative to the mean."""
    metric: str
    cap: int
    """Largest number of seeds."""
    insists: bool
    """Whether to continue up to the cap even if there is no sign that the target can be reached."""
    _warned: set[str] = field(default_factory=set, compare=False)

    def ends(self, task: Task) -> bool:
        """Whether the current seeds, and they alone, show that no more are needed."""
        met = task.holding.target_met = self._precise(task)
        if met or task.goal >= self.cap:
            return True
        enough = task.goal >= NO_EVENT_CHECKPOINT
        hopeless = task.count == 0 or (enough and not self._values(task).any())
        if hopeless and self.insists and task.digest not in self._warned:
            self._warned.add(task.digest)
            _checks.warn(
                f"collect: no target can be reached so far by {self._outcome(task)}; "
                f"training continues up to max_seeds={self.cap}"
            )
        return hopeless and not self.insists

    def warn_of_missed(self, tasks: list[Task]) -> None:
        """Warn if some configurations ended without reaching the target."""
        missed = [task for task in tasks if not task.holding.target_met]
        if missed:
            shown = "; ".join(map(self._outcome, missed[:3]))
            more = f"; and {len(missed) - 3} more" if len(missed) > 3 else ""
            _checks.warn(
                f"collect: target={self.width:g} was not reached by {len(missed)} of "
                f"{len(tasks)} configs: {shown}{more}"
            )

    def _outcome(self, task: Task) -> str:
        """The state of a configuration that did not reach the target."""
        estimate, missing = self._estimate(task), task.done - task.diverged - task.count
        half_width = estimate.half_width
        if task.count == 0 and task.diverged < task.done:
            what = f"{self.metric} has no finite value in any of {task.done} seeds"
        elif task.count == 0:
            what = f"all {task.done} seeds diverged"
        elif not self._values(task).any():
            what = f"{self.metric} is 0 in all {task.count} seeds that did not diverge"
        elif estimate.value == 0:
            what = f"the half-width is {half_width:.3g} and the mean 0 after {task.done} seeds"
        else:
            share = half_width / abs(estimate.value)
            what = f"the half-width is {share:.3g} of the mean after {task.done} seeds"
        if missing and task.count:
            what += f" ({missing} of them without a finite value)"
        return f"{task.config!r}: {what}"

    def _precise(self, task: Task) -> bool:
        estimate = self._estimate(task)
        return estimate.half_width <= self.width * abs(estimate.value)

    def _estimate(self, task: Task) -> statistics.Estimate:
        return statistics.mean(self._values(task), bounds=task.bounds)

    def _values(self, task: Task) -> NDArray[np.float64]:
        # By ascending seed, unlike the running moments, whose last bits depend on the order in
        # which blocks finish: every machine must come to the same verdict.
        return present(values_of(task.holding, self.metric))
