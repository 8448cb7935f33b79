"""Who looks on: standard error, if there is one, and the terminal's Ctrl-C.

Stands below everything else, since the command line has to say in one line what goes wrong while
the package is imported.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time

TYPE_CHECKING = False  # typing takes its time to import
if TYPE_CHECKING:
    from types import FrameType
    from typing import NoReturn

BAD_INPUT = 2
INTERRUPTED = 130

_HELD_DOWN = 1.0
"""Seconds in which further Ctrl-C are taken for the first one."""


def is_terminal() -> bool:
    """Whether standard error is a terminal; it may be missing, closed or something else."""
    try:
        return bool(sys.stderr.isatty())
    except (AttributeError, OSError, ValueError):
        return False


def say(text: str) -> None:
    """A line on standard error; what nobody can read is no reason to give up."""
    with contextlib.suppress(AttributeError, OSError, ValueError):
        if sys.stderr is not None:
            print(text, file=sys.stderr, flush=True)


def is_program() -> bool:
    """Whether this process is the command line, which this module can tell before any other."""
    words = getattr(sys, "argv", None) or [""]
    as_module = words[0] == "-m" and "fastpolysem.cli" in sys.orig_argv
    return as_module or os.path.basename(words[0]) == "fastpolysem"


def fail(message: str) -> NoReturn:
    """End the program as a bad argument does."""
    say(f"fastpolysem: error: {message}")
    sys.exit(BAD_INPUT)


def _at_once(number: int, frame: FrameType | None) -> NoReturn:
    os._exit(INTERRUPTED)


class Interrupts:
    """While the program runs, the first Ctrl-C raises KeyboardInterrupt, which ends it in good
    order; within a second of it further ones change nothing, and later ones end it at once."""

    def __init__(self) -> None:
        self.first: float | None = None

    def __call__(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if self.first is None:
            self.first = now
            raise KeyboardInterrupt
        if now - self.first > _HELD_DOWN:
            _at_once(number, frame)


def heed_interrupts() -> None:
    """Answer Ctrl-C as `Interrupts` from here on, unless the program's parent has it ignored."""
    if signal.getsignal(signal.SIGINT) != signal.SIG_IGN:
        signal.signal(signal.SIGINT, Interrupts())


def ignore_interrupts() -> None:
    """Nothing is left to interrupt but the interpreter's own end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


if is_program() and signal.getsignal(signal.SIGINT) == signal.default_int_handler:
    signal.signal(signal.SIGINT, _at_once)  # while importing there is nothing to lose
