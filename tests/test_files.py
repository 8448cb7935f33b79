"""Files: written whole and shared, read with care."""

from __future__ import annotations

import errno
import io
import os
import stat
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastpolysem as fp
from fastpolysem import _checks, _files, encoding
from fastpolysem.experiments._answers import Answers
from fastpolysem.studies import Study
from helpers.small_studies import CONFIG, Failing

RESULT = fp.train(CONFIG, 3, record=("loss", [0, 50]))


# Paths.


@pytest.mark.parametrize(
    "name", ["run:1", "a b", "x#y?z%20", "[1]*", "ünï", os.fsdecode(b"\xff\xfe"), "n" * 250]
)
def test_any_name_is_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    RESULT.save(name)
    assert len(fp.TrainingResult.load(name)) == 3
    assert os.listdir() == [name]
    os.unlink(name)
    kept: dict[str, Any] = {"record": ("loss", [0, 50]), "keep_weights": True}
    fp.collect(CONFIG, seeds=3, path=name, **kept)
    assert os.listdir() == [name]
    opened = Study.open(name)
    assert len(opened) == 3
    assert np.shape(opened.weights(CONFIG)) == (3, 8, 16)
    assert len(opened.history(CONFIG)) == 6
    assert Study.check(name) == []
    assert len(fp.collect(CONFIG, seeds=3, path=name, **kept)) == 3


def test_a_tilde_is_the_home_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home, here = tmp_path / "home", tmp_path / "here"
    home.mkdir()
    here.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setenv("HOME", str(home))
    study = fp.collect(CONFIG, seeds=2, path="~/study")
    assert len(Study.open("~/study")) == 2
    assert Study.check("~/study") == []
    RESULT.save("~/result.npz")
    assert len(fp.TrainingResult.load("~/result.npz")) == 3
    runs = encoding.simulate(4, 0.1)
    runs.save("~/runs.npz")
    assert encoding.Trajectories.load("~/runs.npz").n_hidden == 4
    study.to_csv("~/rows.csv")
    fp.report.write(study, "~/page.html")
    fp.plots.save(fp.plots.counts(study), "~/figure.svg")
    study.seeds().to_parquet(home / "rows.parquet")
    assert len(Answers.read("~/rows.parquet").rows) == 2
    list(fp.iter_collect(CONFIG, seeds=3, path="~/study"))
    assert len(Study.open(home / "study")) == 3
    found = {one.name for one in home.iterdir() if not one.name.startswith(".")}
    assert found == {
        *("study", "result.npz", "runs.npz", "rows.csv", "page.html", "figure.svg"),
        "rows.parquet",
    }
    assert list(here.iterdir()) == []


TAKES_A_PATH: dict[str, Callable[[Any], object]] = {
    "collect": lambda path: fp.collect(CONFIG, seeds=1, path=path),
    "Study.open": Study.open,
    "Study.check": Study.check,
    "Study.to_csv": Study().to_csv,
    "TrainingResult.save": RESULT.save,
    "TrainingResult.load": fp.TrainingResult.load,
    "Trajectories.load": encoding.Trajectories.load,
    "report.write": lambda path: fp.report.write(fp.collect(CONFIG, seeds=1), path),
    "plots.save": lambda path: fp.plots.save(fp.plots.counts(fp.collect(CONFIG, seeds=1)), path),
    "Answers.read": Answers.read,
}


@pytest.mark.parametrize("where", TAKES_A_PATH)
@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("", "non-empty"),
        ("a\0b", "without null characters"),
        ("s3://bucket/study", "not a URL"),
        ("file:///tmp/study", "not a URL"),
        (Path("gs://bucket/study"), "not a URL"),
        ("~nobody-by-this-name/study", "home directory of a user"),
    ],
    ids=str,
)
def test_what_is_no_path_here_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str, path: Any, allowed: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=rf"{where}: path must be a .*{allowed}.*, got "):
        TAKES_A_PATH[where](path)
    assert os.listdir() == []


# Writing.


@pytest.mark.skipif(not hasattr(os, "fchown"), reason="no owners here")
def test_a_file_that_is_replaced_leaves_mode_and_group(tmp_path: Path) -> None:
    path = tmp_path / "result.npz"
    RESULT.save(path)
    group = os.getgroups()[-1] if os.getuid() else 12345
    os.chown(path, -1, group)
    path.chmod(0o664)
    before = os.umask(0o077)
    try:
        RESULT.save(path)
        RESULT.save(tmp_path / "new.npz")
    finally:
        os.umask(before)
    after = path.stat()
    assert (stat.S_IMODE(after.st_mode), after.st_gid) == (0o664, group)
    assert stat.S_IMODE((tmp_path / "new.npz").stat().st_mode) == 0o600


@pytest.fixture
def flush(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Have flushing fail for folders, or for files."""
    fsync = os.fsync

    def fail(code: int, *, folders: bool) -> None:
        def failing(handle: int) -> None:
            if stat.S_ISDIR(os.fstat(handle).st_mode) == folders:
                raise OSError(code, os.strerror(code))
            fsync(handle)

        monkeypatch.setattr(os, "fsync", failing)

    return fail


@pytest.mark.parametrize("code", [errno.EINVAL, errno.ENOTSUP, errno.EBADF])
def test_folders_that_cannot_be_flushed(
    tmp_path: Path, flush: Callable[..., None], code: int
) -> None:
    flush(code, folders=True)
    RESULT.save(tmp_path / "result.npz")
    assert len(fp.collect(CONFIG, seeds=2, path=tmp_path / "study")) == 2
    assert Study.check(tmp_path / "study") == []


@pytest.mark.parametrize(
    ("code", "folders"), [(errno.EIO, True), (errno.EIO, False), (errno.EINVAL, False)]
)
def test_a_disk_that_fails_is_an_error_that_names_a_file(
    tmp_path: Path, flush: Callable[..., None], code: int, folders: bool
) -> None:
    flush(code, folders=folders)
    with pytest.raises(OSError, match=str(tmp_path)) as caught:
        RESULT.save(tmp_path / "result.npz")
    named = tmp_path if folders else tmp_path / "result.npz"
    assert (caught.value.errno, caught.value.filename) == (code, str(named))
    with pytest.raises(OSError, match="study") as caught:
        fp.collect(CONFIG, seeds=2, path=tmp_path / "study")
    assert caught.value.errno == code


def test_a_folder_without_locks_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(_files.fcntl, "flock", refuse)
    with _files.locked(tmp_path) as alone:
        assert not alone
    for run in range(3):
        fp.collect(CONFIG, seeds=2, path=tmp_path / "study", metadata={f"run{run}": run})
    row = Study.open(tmp_path / "study").summary().loc[0]
    assert [row[f"run{run}"] for run in range(3)] == [0, 1, 2]


# Reading.


@pytest.fixture
def little_memory() -> Iterator[None]:
    """Fails if more than 64 MiB are taken at a time."""
    tracemalloc.start()
    yield
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**26


def zeros(size: int, claimed: tuple[int, ...] | None = None, dtype: str = "<f8") -> bytes:
    """A .npy file of zeros, of which some are there."""
    file = io.BytesIO()
    shape = (size,) if claimed is None else claimed
    np.lib.format.write_array_header_1_0(
        file, {"descr": dtype, "fortran_order": False, "shape": shape}
    )
    return file.getvalue() + bytes(size * np.dtype(dtype).itemsize)


def members(path: Path, changes: dict[str, bytes]) -> None:
    """Rewrite some members of a .npz file, compressed."""
    with zipfile.ZipFile(path) as archive:
        old = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in (old | changes).items():
            archive.writestr(name, content)


BIG = 2**24  # doubles: 128 MiB


def test_an_unknown_member_is_not_unpacked(tmp_path: Path, little_memory: None) -> None:
    path = tmp_path / "result.npz"
    RESULT.save(path)
    tracemalloc.stop()  # making it takes some
    members(path, {"other.npy": zeros(BIG)})
    assert path.stat().st_size < 2**20
    tracemalloc.start()
    assert len(fp.TrainingResult.load(path)) == 3


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("loss.npy", zeros(BIG)),  # more seeds than there are
        ("history.loss.npy", zeros(BIG)),
        ("config.npy", zeros(1, (), f"<U{BIG * 2}")),
        ("kernel.npy", zeros(1, (), f"<U{BIG * 2}")),
        ("seeds.npy", zeros(3, (2**50,), "<u8")),  # which are not there
        ("seeds.npy", zeros(3, (2**40, 2**40), "<u8")),
        ("loss.npy", zeros(3, (3,), "<f4") + bytes(2**26)),  # and more than it says
    ],
    ids=range(7),
)
def test_what_cannot_be_is_refused_before_it_is_unpacked(
    tmp_path: Path, little_memory: None, name: str, content: bytes
) -> None:
    path = tmp_path / "result.npz"
    RESULT.save(path)
    tracemalloc.stop()
    members(path, {name: content})
    assert path.stat().st_size < 2**20
    tracemalloc.start()
    with pytest.raises(ValueError, match="is not a complete file written by"):
        fp.TrainingResult.load(path)


def test_trajectories_are_checked_like_results(tmp_path: Path, little_memory: None) -> None:
    path = tmp_path / "runs.npz"
    runs = encoding.simulate(4, 0.1, 2)
    runs.save(path)
    tracemalloc.stop()
    members(path, {"other.npy": zeros(BIG)})
    tracemalloc.start()
    assert encoding.Trajectories.load(path).support.tolist() == runs.support.tolist()
    tracemalloc.stop()
    members(path, {"support.npy": zeros(BIG)})
    tracemalloc.start()
    with pytest.raises(ValueError, match="is not a complete file written by"):
        encoding.Trajectories.load(path)


def test_a_member_that_is_larger_than_it_says(tmp_path: Path) -> None:
    """The directory of the archive says another size than the packed bytes have."""
    path = tmp_path / "result.npz"
    RESULT.save(path)
    members(path, {"loss.npy": zeros(3)})
    content = bytearray(path.read_bytes())
    at = content.index(b"PK\x01\x02", content.index(b"loss.npy"))
    while b"loss.npy" not in content[at : at + 60]:
        at = content.index(b"PK\x01\x02", at + 1)
    content[at + 24 : at + 28] = (2**31).to_bytes(4, "little")
    path.write_bytes(content)
    with pytest.raises(ValueError, match="is not a complete file written by"):
        fp.TrainingResult.load(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for load in (fp.TrainingResult.load, encoding.Trajectories.load):
        with pytest.raises(ValueError, match="not a regular file"):
            load(tmp_path / "pipe")
    with pytest.raises(ValueError, match="not a regular file"):
        Answers.read(tmp_path / "pipe")


@pytest.mark.parametrize("moment", ["open", "read"])
@pytest.mark.parametrize(
    "error", [OSError(errno.EIO, "I/O"), OSError(errno.ESTALE, "Stale"), MemoryError()], ids=repr
)
def test_a_bad_moment_is_no_bad_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str, error: BaseException
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"PK")

    def opening(*_: object) -> Failing:
        if moment == "open":
            raise error
        return Failing(error)

    for load in (fp.TrainingResult.load, encoding.Trajectories.load, Answers.read):
        with monkeypatch.context() as patch:
            patch.setattr(_files, "open", opening, raising=False)
            with pytest.raises(type(error)) as caught:
                load(path)
        assert getattr(caught.value, "errno", None) == getattr(error, "errno", None)
        assert str(path) in str(caught.value)


def test_more_than_the_memory_holds_is_said_and_not_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "result.npz"
    fp.train(fp.Config(n_features=512, n_hidden=1024, steps=1), 8, return_weights=True).save(path)
    monkeypatch.setattr(_checks, "available_memory", lambda: 2**20)
    monkeypatch.setattr(_checks, "_NEGLIGIBLE", 2**20)
    with pytest.raises(MemoryError, match=r"result\.npz: not enough memory .*weights\.encoder"):
        fp.TrainingResult.load(path)
