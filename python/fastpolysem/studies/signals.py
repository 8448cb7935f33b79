"""Handling of signals that would kill the process and orphan its workers."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType

# Sent by batch systems before they kill a job, and when a terminal disconnects.
_NAMES = ("SIGTERM", "SIGHUP")


class Ended(KeyboardInterrupt):
    """One of these signals arrived.

    Attributes
    ----------
    number : int
        Its number.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


@contextlib.contextmanager
def raised() -> Iterator[None]:
    """Context in which the first such signal raises `Ended`, as Ctrl-C raises KeyboardInterrupt.

    Signals that the program handles itself or ignores (as under nohup) are not affected. Nor are
    signals in threads other than the main one, where Python cannot handle them.
    """
    known = [getattr(signal, name) for name in _NAMES if hasattr(signal, name)]
    taken = [one for one in known if signal.getsignal(one) == signal.SIG_DFL and _here()]
    ended = False

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal ended
        if not ended:  # a second one would interrupt the saving of finished blocks
            ended = True
            raise Ended(number)

    try:
        for one in taken:
            _taken.add(one)
            signal.signal(one, handle)
        yield
    finally:
        for one in taken:
            signal.signal(one, signal.SIG_DFL)
            _taken.discard(one)


_taken: set[int] = set()


def _give_back() -> None:
    """Restore the default in a forked worker, so that these signals kill it."""
    for one in _taken:
        signal.signal(one, signal.SIG_DFL)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_give_back)


@contextlib.contextmanager
def held() -> Iterator[None]:
    """Context that delays Ctrl-C and these signals, for short operations that must not be split."""
    numbers = [getattr(signal, name) for name in ("SIGINT", *_NAMES) if hasattr(signal, name)]
    found = {number: signal.getsignal(number) for number in numbers if _here()}
    handlers = {number: handler for number, handler in found.items() if callable(handler)}
    waiting: list[int] = []
    try:
        for number in handlers:
            signal.signal(number, lambda number, frame: waiting.append(number))
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        for number in waiting[:1]:
            signal.raise_signal(number)


def _here() -> bool:
    """Whether this is the thread in which Python runs signal handlers."""
    return threading.current_thread() is threading.main_thread()
