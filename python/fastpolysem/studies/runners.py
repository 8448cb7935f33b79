"""The two ways to train the blocks of a plan: in this process, and on an executor."""

from __future__ import annotations

import contextlib
import queue
from collections.abc import Callable, Generator
from concurrent.futures import Executor, Future
from typing import Any

from fastpolysem.studies import attachments, signals
from fastpolysem.studies.blocks import (
    Kept,
    Trained,
    WrongBlockError,
    received,
    train_block,
    train_blocks,
)
from fastpolysem.studies.options import Options, checked_job
from fastpolysem.studies.plan import Plan, Task
from fastpolysem.studies.seedsets import SeedSet

Keep = Callable[[Task, SeedSet, Trained], None]
"""Writes and counts the results of a block; must not be interrupted."""


class WorkerError(RuntimeError):
    """A worker sent something other than what it was asked for."""


# Blocks submitted to an executor at a time: enough for a thousand workers, few enough to cancel
# quickly on Ctrl-C.
_MAX_HANDED_OUT = 4096


def in_this_process(
    plan: Plan, options: Options, keep: Keep, report: Callable[[], object]
) -> Generator[None, None, None]:
    """Train as many blocks at a time as there are threads; yields after each round."""
    while task := plan.take():
        # Enough seeds for all threads, even if each block is a single seed.
        blocks: list[SeedSet] = []
        while len(blocks) < options.num_threads and (block := task.next_block()) is not None:
            blocks.append(block)

        def within(done: int, _: int, task: Task = task) -> None:
            if task.within != done:
                task.within = done
                plan.update(task)
            report()

        with task.named_in_errors(blocks, options.store is not None):
            trained = train_blocks(task.config, blocks, options.kept, options.num_threads, within)
        task.within = 0
        with signals.held():
            _keep_all(task, blocks, trained, keep)
        plan.judge(task)
        plan.put_back(task)
        yield


def _keep_all(task: Task, blocks: list[SeedSet], trained: list[Trained], keep: Keep) -> None:
    """Keep all valid blocks before the error of a probe ends the run."""
    errors = []
    for block, result in zip(blocks, trained, strict=True):
        try:
            keep(task, block, result)
        except Exception as error:
            if result.failure is None:
                raise
            errors.append(error)
    if errors:
        raise errors[0]


def on_executor(plan: Plan, options: Options, keep: Keep) -> Generator[None, None, None]:
    """Submit blocks to an executor; yields after each result, and once per second."""
    assert options.executor is not None
    jobs = _Jobs(plan, options, options.executor)
    try:
        while True:
            jobs.hand_out()
            if not jobs.handed_out:
                return
            try:
                future = jobs.ready.get(timeout=1.0)
            except queue.Empty:
                yield
                continue
            task, block = jobs.handed_out[future]
            with task.named_in_errors([block], options.store is not None):
                trained = _received(future, task, block, options.kept)
            with signals.held():
                del jobs.handed_out[future]
                task.running -= block.count
                keep(task, block, trained)
            waits = task.upcoming is not None
            plan.judge(task)
            if not waits:  # unless it has a new goal, no block is left
                plan.put_back(task)
            yield
    except BaseException:  # also when the generator is closed
        jobs.give_up(keep)
        raise


class _Jobs:
    """The blocks submitted to an executor."""

    def __init__(self, plan: Plan, options: Options, executor: Executor) -> None:
        self.plan, self.options, self.executor = plan, options, executor
        self.handed_out: dict[Future[dict[str, Any]], tuple[Task, SeedSet]] = {}
        self.ready: queue.SimpleQueue[Future[dict[str, Any]]] = queue.SimpleQueue()

    def hand_out(self) -> None:
        """Submit blocks, as many as are left or allowed at a time."""
        while len(self.handed_out) < _MAX_HANDED_OUT and (task := self.plan.take()):
            block = task.next_block() or SeedSet()
            config, seeds = task.config.to_dict(), block.listed()
            options = self.options
            module = type(task.config).__module__
            folder = None if options.store is None else options.store.path
            attached = attachments.given(task.config, folder)
            plain = config, seeds, options.num_threads, options.kept, module, attached
            future = checked_job(self.executor.submit(train_block, *plain))
            task.running += block.count
            self.plan.put_back(task)
            self.handed_out[future] = task, block
            future.add_done_callback(self.ready.put)

    def give_up(self, keep: Keep) -> None:
        """Keep finished blocks, cancel the rest."""
        for future in self.handed_out:
            future.cancel()
        for future, (task, block) in self.handed_out.items():
            if future.done() and not future.cancelled() and future.exception() is None:
                # Errors here, such as a full disk, have already been raised.
                with contextlib.suppress(Exception), signals.held():
                    keep(task, block, _received(future, task, block, self.options.kept))


def _received(future: Future[dict[str, Any]], task: Task, block: SeedSet, kept: Kept) -> Trained:
    """The block that a worker sent, after checking that it is complete and the requested one."""
    sent = future.result()
    try:
        return received(sent, task.config, block, kept)
    except WrongBlockError as error:
        raise WorkerError(
            f"a worker of the executor sent {error} when asked for {block.count} seeds "
            f"starting at {block.ranges[0][0]}, of config {task.digest}: does it have the same "
            "version of fastpolysem?"
        ) from None
