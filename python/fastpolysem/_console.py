"""Standard error, if there is one, and Ctrl-C.

Imported before everything else, because the command line must report in one line what goes wrong
while the package is imported.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time

TYPE_CHECKING = False  # typing is slow to import
if TYPE_CHECKING:
    from types import FrameType
    from typing import NoReturn

BAD_INPUT = 2
INTERRUPTED = 130

_HELD_DOWN = 1.0
"""Seconds during which further Ctrl-C count as the first one."""


def is_terminal() -> bool:
    """Whether standard error is a terminal; it may also be missing or closed."""
    try:
        return bool(sys.stderr.isatty())
    except (AttributeError, OSError, ValueError):
        return False


def say(text: str) -> None:
    """Print a line to standard error; failure to do so is ignored."""
    with contextlib.suppress(AttributeError, OSError, ValueError):
        if sys.stderr is not None:
            print(text, file=sys.stderr, flush=True)


def is_program() -> bool:
    """Whether this process is the command line; known before any other module is imported."""
    words = getattr(sys, "argv", None) or [""]
    modules = {"fastpolysem", "fastpolysem.cli"}
    as_module = words[0] == "-m" and not modules.isdisjoint(sys.orig_argv)
    return as_module or os.path.basename(words[0]) == "fastpolysem"


def fail(message: str) -> NoReturn:
    """End the program as for an invalid argument."""
    say(f"fastpolysem: error: {message}")
    sys.exit(BAD_INPUT)


def _at_once(number: int, frame: FrameType | None) -> NoReturn:
    os._exit(INTERRUPTED)


class Interrupts:
    """The first Ctrl-C raises KeyboardInterrupt, which ends the program in an orderly way. Further
    ones within a second are ignored; later ones end the program immediately."""

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
    """Handle Ctrl-C with `Interrupts` from now on, unless the parent process had it ignored."""
    if signal.getsignal(signal.SIGINT) != signal.SIG_IGN:
        signal.signal(signal.SIGINT, Interrupts())


def ignore_interrupts() -> None:
    """Ignore Ctrl-C from now on, when only the interpreter's shutdown is left."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


if is_program() and signal.getsignal(signal.SIGINT) == signal.default_int_handler:
    signal.signal(signal.SIGINT, _at_once)  # nothing can be lost while importing
