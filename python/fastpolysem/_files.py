"""Atomic writes, and reading files that may be damaged."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import math
import os
import secrets
import stat
import sys
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from fastpolysem import _checks

T = TypeVar("T")

if sys.platform != "win32":
    import fcntl

# Errors of file systems that cannot flush a folder. One that can, but fails, returns EIO.
_NO_FLUSH = {errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EBADF}
_LONGEST_STEM = 40  # characters of a name, of at most four bytes each, that leave room for the rest


class ContentError(ValueError):
    """The content of a file is invalid; the message says why, without the file name."""


def named(error: OSError, path: Path) -> OSError:
    """The same error with the name of the file concerned."""
    return OSError(error.errno, error.strerror, str(path))


def first_line(error: BaseException) -> str:
    """The message of an error, short enough for a list."""
    return str(error).splitlines()[0][:200] if str(error) else type(error).__name__


def write_whole(target: Path, write: Callable[[IO[bytes]], Any], *, replace: bool = False) -> bool:
    """Write a temporary file, flush it to disk and rename it: readers see all of it or nothing.

    A replaced file passes its owner, group and mode on to the new one, as far as the user's rights
    allow. Returns False if the target exists and must not be replaced. An OSError names the target,
    not the temporary file.
    """
    stem = target.name[:_LONGEST_STEM]
    temporary = target.with_name(f".{stem}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
    try:
        with open(temporary, "xb") as file:
            write(file)
            file.flush()
            if replace:
                _take_over(target, file.fileno())
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
            raise named(error, target) from error
        raise
    flush_folder(target.parent)
    return True


def write_output(path: str | os.PathLike[str], write: Callable[[IO[bytes]], Any]) -> None:
    """Write a file named by the user, atomically unless it is a device or a pipe, which a rename
    would replace. An OSError names the file."""
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
        # The target of a link is replaced, not the link.
        real = Path(os.path.realpath(target)) if target.is_symlink() else target
        write_whole(real, write, replace=True)


def _take_over(target: Path, handle: int) -> None:
    """Give a file the owner, group and mode of the file it replaces."""
    try:
        before = os.stat(target)
    except FileNotFoundError:
        return
    if hasattr(os, "fchown"):
        # Only the superuser can change the owner; a member of the group can change the group. The
        # mode comes last, because a change of owner may clear bits of it.
        for owner in (before.st_uid, -1):
            with contextlib.suppress(PermissionError):
                os.fchown(handle, owner, before.st_gid)
                break
        os.fchmod(handle, stat.S_IMODE(before.st_mode))


def _link(source: Path, target: Path) -> bool:
    """Link a file to a second, unused name; returns False if the file system has no such links.

    Unlike a rename, this cannot replace a file created by another process in the meantime.
    """
    try:
        os.link(source, target)
    except FileExistsError:
        raise
    except OSError:
        return False
    return True


def flush_folder(folder: Path) -> None:
    """Flush new names in a folder to disk, if its file system supports it.

    An OSError names the folder.
    """
    if not hasattr(os, "O_DIRECTORY"):
        return
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except PermissionError:
        return  # a folder that can be written to but not listed
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in _NO_FLUSH:
            raise named(error, folder) from error
    finally:
        os.close(handle)


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[bool]:
    """Hold this folder's lock against other processes and threads.

    Yields False if there is no lock because the file system does not support locks or the folder is
    read-only. A process that dies releases its lock.
    """
    path = folder / ".lock"
    handle = _lock(path)
    try:
        yield handle is not None
    finally:
        if handle is not None:
            with contextlib.suppress(OSError):  # before the release: see below
                path.unlink()
            os.close(handle)


def _lock(path: Path) -> int | None:
    if sys.platform == "win32":
        return None
    while True:
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError:
            return None
        held = False
        try:
            # Anybody who can write to the folder can lock it, whatever the umask of the creator.
            with contextlib.suppress(OSError):
                os.fchmod(handle, os.stat(path.parent).st_mode & 0o666)
            fcntl.flock(handle, fcntl.LOCK_EX)
            # The previous holder has deleted the file, so others may lock a new one.
            held = os.path.samestat(os.fstat(handle), os.stat(path))
        except FileNotFoundError:
            continue
        except OSError:
            return None
        finally:
            if not held:
                os.close(handle)
        if held:
            return handle


@contextlib.contextmanager
def reading(path: Path) -> Iterator[IO[bytes]]:
    """Open a file to read, with errors that distinguish damage from temporary failures.

    Raises
    ------
    ContentError
        For failures caused by the content of the file.
    OSError, MemoryError
        For all other failures, with the name of the file; they do not imply damage.
    """
    try:
        # Opening a pipe would block until there is a writer.
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise ContentError("it is not a regular file")
        with open(path, "rb") as file:
            yield file
    except ContentError:
        raise
    except OSError as error:
        # Decoders raise it without a number, and EINVAL comes from seeking to invalid positions.
        if error.errno in (None, errno.EINVAL):
            raise ContentError(first_line(error)) from error
        raise named(error, path) from error
    except MemoryError as error:
        raise MemoryError(f"{path}: not enough memory to read it ({first_line(error)})") from error
    except Exception as error:  # damaged content can cause nearly any exception
        raise ContentError(first_line(error)) from error


def save_arrays(target: Path, arrays: Mapping[str, Any], *, replace: bool = True) -> None:
    """Write arrays to one .npz file at exactly this path; an existing file is replaced only if
    ``replace``."""
    write_whole(target, lambda file: np.savez(file, **arrays), replace=replace)


def hash_of_arrays(arrays: Mapping[str, NDArray[Any]]) -> str:
    """SHA-256 of the content and names of arrays, the same on every machine."""
    digest = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        portable = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
        digest.update(f"{name} {portable.dtype.str} {array.shape}\n".encode())
        digest.update(portable.reshape(-1).data)
    return digest.hexdigest()


# The best that deflate can do; the additional bytes allow for a header.
_DEFLATE_RATIO, _HEADER = 1032, 2**10
_MOST_HEADER = 2**14
_MOST_TEXT = 2**26


class Archive:
    """The arrays in a .npz file, unpacked on demand and never unpickled.

    The claimed type and size of an array are known before it is unpacked. Impossible sizes are
    refused: those that differ between the array's header and the archive, or that the packed bytes
    cannot produce.
    """

    def __init__(self, file: IO[bytes]) -> None:
        if file.read(2) != b"PK":
            raise ContentError("it is not an .npz archive")
        self._bytes = file.seek(0, os.SEEK_END)
        self._zip = zipfile.ZipFile(file)
        self._members: dict[str, zipfile.ZipInfo] = {}
        for member in self._zip.infolist():
            name = member.filename.removesuffix(".npy")
            if name in self._members:
                raise ContentError(f"it contains {name} twice")
            self._zip.open(member).close()  # compares the two records of the name
            self._members[name] = member

    def __contains__(self, name: str) -> bool:
        return name in self._members

    def __iter__(self) -> Iterator[str]:
        return iter(self._members)

    def described(self, name: str) -> tuple[np.dtype[Any], tuple[int, ...]]:
        """Type and shape of an array; KeyError if there is no such array."""
        member = self._members[name]
        packed = member.compress_size
        stored = member.compress_type == zipfile.ZIP_STORED
        if not stored and member.compress_type != zipfile.ZIP_DEFLATED:
            raise ContentError(f"{name} is packed in a way that .npz files are not")
        most = packed if stored else _DEFLATE_RATIO * packed + _HEADER
        if packed > self._bytes or member.file_size > most:
            raise ContentError(f"{name} cannot have {member.file_size} bytes")
        with self._zip.open(member) as file:
            shape, _, dtype = _header(file)
            start = file.tell()
        if dtype.hasobject:
            raise ContentError("it contains objects")
        if start + math.prod(shape) * dtype.itemsize != member.file_size:
            raise ContentError(
                f"{name} claims to be {dtype} {shape} but has {member.file_size} bytes"
            )
        return dtype, shape

    def array(self, name: str, kind: object, shape: tuple[int, ...]) -> NDArray[Any]:
        """An array with this shape and this type, or kind of type such as `numpy.floating`."""
        dtype, found = self.described(name)
        fits = np.issubdtype(dtype, kind) and dtype.isnative  # type: ignore[arg-type]
        if not fits or found != shape:
            wanted = getattr(kind, "__name__", kind)
            raise ContentError(f"{name} is {dtype} {found}, not {wanted} {shape}")
        _checks.memory("reading it", {name: math.prod(shape) * dtype.itemsize}, "free some")
        with self._zip.open(self._members[name]) as file:
            array: NDArray[Any] = np.lib.format.read_array(
                file, allow_pickle=False, max_header_size=_MOST_HEADER
            )
            file.read(1)  # the checksum is verified at the end
        return array

    def unpacked(self, name: str) -> NDArray[Any]:
        """An array of any size, which must be uncompressed, as `save_arrays` writes it."""
        if self._members[name].compress_type != zipfile.ZIP_STORED:
            raise ContentError(f"{name} is compressed")
        _, shape = self.described(name)
        return self.array(name, np.generic, shape)

    def text(self, name: str) -> str:
        """A text. A long one must be uncompressed, as `save_arrays` always writes it."""
        member = self._members[name]
        if member.compress_type != zipfile.ZIP_STORED and member.file_size > _MOST_TEXT:
            raise ContentError(f"{name} cannot have {member.file_size} bytes")
        return str(self.array(name, np.str_, ()))


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    version = np.lib.format.read_magic(file)
    read = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }[version]
    return read(file, max_header_size=_MOST_HEADER)


@contextlib.contextmanager
def open_arrays(path: Path) -> Iterator[Archive]:
    """Context manager for the arrays of a .npz file; errors are those of `reading`."""
    with reading(path) as file:
        yield Archive(file)


def load_arrays(what: str, path: str | os.PathLike[str], read: Callable[[Archive], T]) -> T:
    """The result of ``read`` for a .npz file written by the ``save`` method of this class.

    Raises
    ------
    ValueError
        If the file is damaged or of another kind; the message names the path.
    OSError, MemoryError
        If it cannot be read, which does not mean that it is damaged.
    """
    file = _checks.file_path(f"{what}.load: path", path)
    try:
        with open_arrays(file) as arrays:
            return read(arrays)
    except ValueError as error:
        raise ValueError(
            f"{what}.load: {os.fspath(file)!r} is not a complete file written by {what}.save: "
            f"{error}"
        ) from error
