"""Output of the command line, and its errors when output fails."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastpolysem import _checks, _console
from fastpolysem._checks import printable
from fastpolysem._files import write_output

if TYPE_CHECKING:
    import pandas as pd

    from fastpolysem.studies import Study


def print_table(table: pd.DataFrame) -> None:
    """Print all columns of the table, whatever the width of the terminal."""
    from fastpolysem.studies import formatting

    print_line(formatting.readable(table).to_string(index=False))


def print_line(text: str) -> None:
    with named_output():
        print(text, flush=True)


@contextlib.contextmanager
def named_output() -> Iterator[None]:
    """Name standard output in its errors."""
    try:
        yield
    except OSError as error:
        abandon_output()
        if error.errno is None or isinstance(error, BrokenPipeError):
            raise
        raise OSError(error.errno, error.strerror, "standard output") from error


def write_csv(table: pd.DataFrame, path: Path) -> None:
    write_output(_checks.file_path("--csv", path), lambda file: table.to_csv(file, index=False))


def say_written(path: Path) -> None:
    print_line(f"wrote {printable(str(path))}")


def warned(message: Warning | str, *_: Any, **__: Any) -> None:
    """Show a warning in one line; replaces `warnings.showwarning`."""
    _console.say(f"fastpolysem: warning: {in_one_line(str(message))}")


def in_one_line(text: str) -> str:
    return printable(" ".join(text.split()))


def abandon_output() -> None:
    """Redirect standard output, which would otherwise fail again when the interpreter exits."""
    with contextlib.suppress(AttributeError, OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def plots() -> Any:
    """The module that draws, without the backend that a notebook sets for the processes it starts:
    none is needed here, and that one may not even be installed."""
    backend = os.environ.pop("MPLBACKEND", None)
    try:
        from fastpolysem import plots as drawing
    finally:
        if backend is not None:
            os.environ["MPLBACKEND"] = backend
    return drawing


def new_axes(size: tuple[float, float]) -> Any:
    """Axes of a figure without a window, of this size in inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=size, layout="constrained").subplots()


def open_study(path: Path, skip_damaged: bool) -> Study:
    from fastpolysem.studies import Study

    return Study.open(path, skip_damaged=skip_damaged)
