"""Arrays that configurations refer to by hash, such as data sets, stored once per study.

They are stored in ``data/<hash>.npz`` in the study's folder and, like all its files, immutable.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from fastpolysem import families
from fastpolysem._files import ContentError, flush_folder, hash_of_arrays, open_arrays, save_arrays
from fastpolysem.families import AnyConfig, Arrays

FOLDER = "data"
_HASH = re.compile(r"[0-9a-f]{64}")


class AttachmentError(ContentError):
    """A file of arrays is missing or unusable.

    Attributes
    ----------
    path : Path
        The file.
    reason : str
        What is wrong with it.
    """

    def __init__(self, path: Path, reason: str) -> None:
        self.path, self.reason = path, reason
        super().__init__(f"{path}: {reason}")

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.path, self.reason)


class Attachments:
    """The arrays of a study."""

    def __init__(self, study: Path) -> None:
        self.folder = study / FOLDER
        self._checked: set[str] = set()

    def file(self, sha256: str) -> Path:
        """The file with the arrays of this hash."""
        if not _HASH.fullmatch(sha256):
            raise ContentError(f"{sha256!r} is not a SHA-256")
        return self.folder / f"{sha256}.npz"

    def load(self, sha256: str) -> Arrays:
        """The arrays of this hash.

        Raises
        ------
        AttachmentError
            If they are missing or damaged.
        OSError, MemoryError
            If they cannot be read at the moment.
        """
        file = self.file(sha256)
        try:
            with open_arrays(file) as archive:
                arrays = {name: archive.unpacked(name) for name in archive}
        except (FileNotFoundError, NotADirectoryError):
            raise AttachmentError(file, "is missing") from None
        except ContentError as error:
            raise AttachmentError(file, f"is corrupt or truncated ({error})") from None
        if hash_of_arrays(arrays) != sha256:
            raise AttachmentError(file, "is corrupt: its arrays do not have the hash in its name")
        self._checked.add(sha256)
        return arrays

    def check(self, config: AnyConfig) -> None:
        """Read the arrays of a configuration, as `load` does, once for all configurations."""
        for sha256 in families.attachments(config):
            if sha256 not in self._checked:
                self.load(sha256)

    def write(self, config: AnyConfig) -> None:
        """Write those arrays of a configuration that are missing."""
        for sha256, arrays in families.attachments(config).items():
            file = self.file(sha256)
            if not file.exists():
                self.folder.mkdir(parents=True, exist_ok=True)
                flush_folder(self.folder.parent)
                save_arrays(file, arrays, replace=False)


def given(config: AnyConfig, study: Path | None) -> str | dict[str, Arrays] | None:
    """What a worker needs besides ``to_dict``: the study's folder or, without one, the arrays; None
    if there are no arrays."""
    found = families.attachments(config)
    if not found:
        return None
    return dict(found) if study is None else str(study)
