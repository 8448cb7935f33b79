"""Files that are there whole or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray


def write_whole(target: Path, write: Callable[[IO[bytes]], Any], *, replace: bool = False) -> bool:
    """Write beside the target, flush to the disk and rename: readers see all of it or nothing.

    False if the target exists and is not to be replaced. An OSError is one of the target, not of
    the file beside it.
    """
    temporary = target.with_name(f".{target.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
    try:
        with open(temporary, "xb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        if replace or not _link(temporary, target):
            os.replace(temporary, target)
        else:
            temporary.unlink()
    except FileExistsError:
        temporary.unlink(missing_ok=True)
        return False
    except BaseException as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno is not None:
            raise type(error)(error.errno, error.strerror, str(target)) from error
        raise
    flush_folder(target.parent)
    return True


def write_output(path: str | os.PathLike[str], write: Callable[[IO[bytes]], Any]) -> None:
    """Write a file that a user names: whole or not at all, and in place where it is a device or a
    pipe, which a rename would replace. An OSError names the file."""
    target = Path(path)
    if target.exists() and not target.is_file():
        try:
            with open(target, "wb") as file:
                write(file)
        except OSError as error:
            if error.errno is None:
                raise
            raise type(error)(error.errno, error.strerror, str(target)) from error
    else:
        # What a link points to is replaced, and not the link.
        real = Path(os.path.realpath(target)) if target.is_symlink() else target
        write_whole(real, write, replace=True)


def _link(source: Path, target: Path) -> bool:
    """Give a file a second name that is free; False where the file system has no such links.

    Unlike a rename, this cannot replace what another process has put there since.
    """
    try:
        os.link(source, target)
    except FileExistsError:
        raise
    except OSError:
        return False
    return True


def flush_folder(folder: Path) -> None:
    """Have new names in a folder reach the disk."""
    if hasattr(os, "O_DIRECTORY"):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def save_arrays(target: Path, arrays: Mapping[str, Any]) -> None:
    """Write arrays to one .npz file at exactly this path; one that was there is replaced."""
    write_whole(target, lambda file: np.savez(file, **arrays), replace=True)


def load_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Read all of a .npz file; nothing in it is ever unpickled.

    Raises
    ------
    ValueError
        With the reason, if it is damaged or something else.
    OSError
        If it cannot be opened.
    """
    with open(path, "rb") as file:
        try:
            # numpy takes what is no archive for a pickle, and would advise to allow these.
            if file.read(2) != b"PK":
                raise ValueError("it is no .npz archive")
            file.seek(0)
            with np.load(file, allow_pickle=False) as archive:
                return {name: archive[name] for name in archive.files}
        except Exception as error:  # damaged bytes surface as nearly anything
            reason = "it holds objects" if "allow_pickle" in str(error) else str(error)
            raise ValueError(reason) from error
