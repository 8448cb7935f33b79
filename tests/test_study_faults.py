"""Whatever goes wrong, no finished block is lost and none is half.

One file: one test per fault, which share their set-up.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet as pq

import fastpolysem as fp
from fastpolysem import _files
from fastpolysem.studies import DamagedStudyError, Study
from fastpolysem.studies import store as store_module
from fastpolysem.studies.files import UnusableError, read_block
from fastpolysem.studies.store import Store
from helpers.probes import Largest
from helpers.small_studies import (
    CONFIG,
    CONFIGS,
    DIVERGING,
    Failing,
    assert_same,
    collect_under_kills,
    digest_of,
    files,
    small_blocks,  # noqa: F401
    start,
)

pytestmark = pytest.mark.usefixtures("small_blocks")

# Collects into the folder that it is given, as many seeds as it is told, and says when it begins.
COLLECT = """
import sys
import fastpolysem as fp
from fastpolysem.studies import blocks

if __name__ == "__main__":
    blocks._SPEED = 1.2e6
    configs = fp.grid(fp.Config(n_features=8, n_hidden=16, l1=1e-2, steps=50), n_hidden=[16, 32])
    print("begin", flush=True)
    study = fp.collect(
        configs,
        seeds=int(sys.argv[2]),
        path=sys.argv[1],
        num_threads=int(sys.argv[3]),
        record=("loss", [0, 50]),
        keep_weights=True,
    )
    print(len(study))
"""
KEPT: dict[str, Any] = {"record": ("loss", [0, 50]), "keep_weights": True}


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "collect.py"
    path.write_text(COLLECT)
    return path


@pytest.mark.parametrize("kills", [3, pytest.param(24, marks=pytest.mark.slow)])
def test_killed_at_random_moments(tmp_path: Path, script: Path, kills: int) -> None:
    resumed, pristine = collect_under_kills(script, tmp_path / "study", kills, 40, CONFIGS, KEPT)
    for config in CONFIGS:
        assert resumed.weights(config).tobytes() == pristine.weights(config).tobytes()
        assert resumed.history(config).equals(pristine.history(config))


def test_two_processes_at_once(tmp_path: Path, script: Path) -> None:
    path = tmp_path / "study"
    with start(script, path, 150, 1) as one, start(script, path, 150, 2) as other:
        outputs = [process.communicate(timeout=120) for process in (one, other)]
    assert [out for out, _ in outputs] == ["begin\n300\n"] * 2, outputs
    assert Study.check(path) == []
    assert digest_of(Study.open(path)) == digest_of(fp.collect(CONFIGS, seeds=150))


@contextlib.contextmanager
def mounted(path: Path, options: str) -> Iterator[None]:
    """A small file system in memory, where the user may mount one."""
    path.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(path)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no file system can be mounted here")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)


def remount(path: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", str(path)], check=True)


def test_a_full_disk(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    with mounted(disk, "size=256k"):
        with pytest.raises(OSError, match="No space left") as caught:
            fp.collect(CONFIGS, seeds=200, path=disk / "study", num_threads=1, **KEPT)
        assert caught.value.errno == errno.ENOSPC
        assert "all files written before are complete" in caught.value.__notes__[0]
        assert Study.check(disk / "study") == []
        before = files(disk / "study")
        assert len(before) > 5
        remount(disk, "size=64m")
        resumed = fp.collect(CONFIGS, seeds=200, path=disk / "study", **KEPT)
        assert files(disk / "study").items() > before.items()
        assert digest_of(resumed) == digest_of(fp.collect(CONFIGS, seeds=200))


def test_a_full_disk_under_an_executor(tmp_path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    disk = tmp_path / "disk"
    with mounted(disk, "size=256k"), ThreadPoolExecutor(2) as executor:
        with pytest.raises(OSError, match="No space left"):
            fp.collect(CONFIGS, seeds=400, path=disk / "study", executor=executor)
        assert Study.check(disk / "study") == []
        assert len(Study.open(disk / "study")) > 20


def test_a_read_only_folder(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    with mounted(disk, "size=8m"):
        study = fp.collect(CONFIGS, seeds=10, path=disk / "study")
        remount(disk, "ro")
        assert_same(Study.open(disk / "study"), study)
        assert Study.check(disk / "study") == []
        assert_same(fp.collect(CONFIGS, seeds=10, path=disk / "study"), study)  # nothing to write
        with pytest.raises(OSError, match="Read-only file system") as caught:
            fp.collect(CONFIGS, seeds=12, path=disk / "study")
        assert "while writing" in caught.value.__notes__[0]
        with pytest.raises(OSError, match="Read-only file system"):
            fp.collect(CONFIG.replace(l1=0.5), seeds=1, path=disk / "study")
        remount(disk, "rw")
        assert_same(
            fp.collect(CONFIGS, seeds=12, path=disk / "study"), fp.collect(CONFIGS, seeds=12)
        )


def content(table: pa.Table) -> list[Any]:
    """Everything in a table, nan included, to be compared."""
    return [repr(row) for row in table.to_pylist()]


@pytest.mark.parametrize("flips", [200, pytest.param(20_000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", ["seeds", "weights", "history"])
def test_no_flipped_bit_goes_unnoticed(tmp_path: Path, kind: str, flips: int) -> None:
    fp.collect(CONFIG, seeds=4, path=tmp_path, **KEPT)
    (file,) = Store(tmp_path).files(CONFIG.digest, kind)
    pristine = file.read_bytes()
    expected = content(read_block(file, CONFIG))
    bits = np.random.default_rng(flips).integers(0, 8 * len(pristine), flips)
    # pyarrow < 15 describes each column a second time behind it, which no reader looks at.
    metadata = pq.read_metadata(file)
    columns = [metadata.row_group(0).column(index) for index in range(metadata.num_columns)]
    starts = [c.dictionary_page_offset or c.data_page_offset for c in columns]
    stops = [a + c.total_compressed_size for a, c in zip(starts, columns, strict=True)]
    footer = len(pristine) - 8 - int.from_bytes(pristine[-8:-4], "little")
    unread = sum(
        np.count_nonzero((stop <= np.unique(bits) // 8) & (np.unique(bits) // 8 < start))
        for stop, start in zip(stops, [*starts[1:], footer], strict=True)
    )
    named = 0
    for bit in np.unique(bits):
        damaged = bytearray(pristine)
        damaged[bit // 8] ^= 1 << bit % 8
        file.write_bytes(damaged)
        try:
            found = read_block(file, CONFIG)
        except UnusableError:
            named += 1
        else:  # padding, statistics and the like: what is read is what was written
            assert content(found) == expected
    assert named > (len(np.unique(bits)) - unread) // 2


@pytest.mark.parametrize("kind", ["seeds", "weights", "history"])
def test_no_truncated_file_goes_unnoticed(tmp_path: Path, kind: str) -> None:
    fp.collect(CONFIG, seeds=4, path=tmp_path, **KEPT)
    (file,) = Store(tmp_path).files(CONFIG.digest, kind)
    pristine = file.read_bytes()
    for size in {0, 1, 4, 12, *range(0, len(pristine), 97), len(pristine) - 1}:
        file.write_bytes(pristine[:size])
        with pytest.raises(UnusableError, match=r"is empty|is corrupt or truncated"):
            read_block(file, CONFIG)


@pytest.mark.parametrize("kind", ["seeds", "weights", "history", "probe"])
@pytest.mark.parametrize("damaged", ["truncated", "altered"])
def test_damage_is_refused_by_whatever_reads_it(tmp_path: Path, kind: str, damaged: str) -> None:
    options: dict[str, Any] = KEPT | {"probe": Largest(), "seeds": 8, "path": tmp_path}
    expected = fp.collect(CONFIG, **options)
    file = Store(tmp_path).files(CONFIG.digest, kind)[-1]
    pristine = file.read_bytes()
    file.write_bytes(pristine[: len(pristine) // 2])
    at = len(pristine) // 4
    while damaged == "altered":  # the first bit that matters
        file.write_bytes(pristine[:at] + bytes([pristine[at] ^ 1]) + pristine[at + 1 :])
        at += 1
        with contextlib.suppress(UnusableError):
            read_block(file, CONFIG)
            continue
        break
    assert [damage.path for damage in Study.check(tmp_path)] == [file]
    use: dict[str, Callable[[Study], object]] = {
        "weights": lambda study: study.weights(CONFIG),
        "history": lambda study: study.history(CONFIG),
        "probe": lambda study: study.summary("above"),
    }
    if kind == "seeds":
        with pytest.raises(DamagedStudyError, match=file.name):
            Study.open(tmp_path)
        with pytest.raises(DamagedStudyError, match=file.name):
            fp.collect(CONFIG, seeds=8, path=tmp_path)
    else:
        study = Study.open(tmp_path)
        for each, read in use.items():
            if each != kind:
                read(study)
        with pytest.raises(DamagedStudyError, match=file.name):
            use[kind](study)
    with pytest.raises(DamagedStudyError, match=file.name):
        Study.join(tmp_path)
    with pytest.warns(UserWarning, match=f"{file.name}.* moved to"):
        Study.open(tmp_path, skip_damaged=True)
    again = fp.collect(CONFIG, **options)
    assert_same(again, expected)
    for read in use.values():
        read(again)
    assert Study.check(tmp_path) == []


def test_the_clock_going_backwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fp.collect(CONFIGS, seeds=10, path=tmp_path)
    for file in [tmp_path, *tmp_path.rglob("*")]:
        os.utime(file, (4e9, 4e9))  # written in the year 2096
    now = [1.5e9]

    def earlier() -> float:
        now[0] -= 1000
        return now[0]

    monkeypatch.setattr(time, "time", earlier)
    monkeypatch.setattr(time, "time_ns", lambda: int(earlier() * 1e9))
    records = list(fp.iter_collect(CONFIGS, seeds=20, path=tmp_path, num_threads=1))
    monkeypatch.undo()
    seconds = [record.seconds for record in records]
    assert seconds == sorted(seconds)
    assert all(record.seeds_per_second >= 0 for record in records)
    assert all(record.seconds_left is None or record.seconds_left >= 0 for record in records)
    assert digest_of(Study.open(tmp_path)) == digest_of(fp.collect(CONFIGS, seeds=20))


# The core says another version before anything of the package has asked it.
OTHER_NUMERICS = """
import importlib.util, sys, types
package = types.ModuleType("fastpolysem")
package.__path__ = importlib.util.find_spec("fastpolysem").submodule_search_locations
sys.modules["fastpolysem"] = package
from fastpolysem import _native
_native.core.NUMERICS_VERSION += 1
del sys.modules["fastpolysem"]
"""


def test_a_study_of_another_numerics_version(tmp_path: Path) -> None:
    """Made by this package as it would be with other numerics, all of it."""
    script = tmp_path / "other.py"
    script.write_text(OTHER_NUMERICS + COLLECT)
    path = tmp_path / "study"
    with start(script, path, 6, 1) as process:
        out, err = process.communicate(timeout=120)
    assert out == "begin\n12\n", err
    other = files(path)
    reason = rf"has numerics version {fp.NUMERICS_VERSION + 1}, this fastpolysem .* has"
    with pytest.raises(fp.studies.DamagedStudyError, match=reason):
        Study.open(path)
    # Its digests are others: collecting goes its own way beside it.
    study = fp.collect(CONFIGS, seeds=6, path=path)
    assert_same(study, fp.collect(CONFIGS, seeds=6))
    assert files(path).items() > other.items()
    assert len(Study.check(path)) == 2
    with pytest.warns(UserWarning, match="moved to"):
        assert_same(Study.open(path, skip_damaged=True), study)


FORKED = """
import os, sys
import fastpolysem as fp
config = fp.Config(n_features=20, n_hidden=30, l1=1e-3, steps=50)
expected = fp.collect(config, seeds=40, num_threads=2)  # starts the threads
child = os.fork()
if child == 0:
    study = fp.collect(config, seeds=40, num_threads=2, path=sys.argv[1])
    one, other = study.values(config, "loss"), expected.values(config, "loss")
    os._exit(0 if one.tobytes() == other.tobytes() else 3)
print("child", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_collecting_in_the_child_of_a_fork(tmp_path: Path) -> None:
    script = tmp_path / "forked.py"
    script.write_text(FORKED)
    with start(script, tmp_path / "study") as process:
        out, err = process.communicate(timeout=120)
    assert out == "child 0\n", err
    assert len(Study.open(tmp_path / "study")) == 40


def test_a_config_that_diverges_on_half_of_its_seeds(tmp_path: Path) -> None:
    config = DIVERGING.replace(learning_rate=0.19)
    with pytest.warns(UserWarning, match="target=0.2 was not reached"):
        study = fp.collect(config, target=0.2, max_seeds=512, metric="loss", path=tmp_path)
    table = study.seeds()
    diverged = table["diverged"].to_numpy()
    assert 0.4 < diverged.mean() < 0.6
    assert table["polysemantic"].isna().to_numpy().tolist() == diverged.tolist()
    row = study.summary("loss").loc[0]
    assert (row["seeds"], row["diverged"]) == (len(table), diverged.sum())
    # The mean, its interval and the verdict are those of the seeds that did not diverge.
    mean = fp.statistics.mean(table["loss"].to_numpy()[~diverged])
    assert (row["mean"], row["ci_low"], row["ci_high"]) == mean
    assert (mean.half_width <= 0.2 * mean.value) or len(table) == 512
    assert digest_of(Study.open(tmp_path)) == digest_of(study)
    assert digest_of(fp.collect(config, seeds=len(table))) == digest_of(study)


# Prints seconds and peak memory in MiB of collecting, of doing it again, and of listing.
MILLION = """
import resource, sys, time
import fastpolysem as fp
from fastpolysem.studies.store import Store

def step(name, action):
    begin = time.perf_counter()
    result = action()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(name, time.perf_counter() - begin, peak, flush=True)
    return result

config = fp.Config(n_features=2, n_hidden=2, l1=1e-3, steps=5)
path, seeds = sys.argv[1], int(sys.argv[2])
step("warm", lambda: fp.collect(config, seeds=4096, path=path))
step("collect", lambda: fp.collect(config, seeds=seeds, path=path))
step("again", lambda: fp.collect(config, seeds=seeds, path=path))
files = step("list", lambda: Store(path).files(config.digest))
assert len(files) == -(-seeds // 4096)
study = step("open", lambda: fp.Study.open(path))
assert len(study) == seeds
"""


@pytest.mark.slow
def test_a_million_seeds(tmp_path: Path) -> None:
    script = tmp_path / "million.py"
    script.write_text(MILLION)
    with start(script, tmp_path / "study", 10**6) as process:
        out, err = process.communicate(timeout=600)
    assert process.returncode == 0, err
    told = {name: (float(s), float(mib)) for name, s, mib in map(str.split, out.splitlines())}
    print(out)
    _, warm = told["warm"]
    assert told["collect"][1] < warm + 30  # 31 bytes a seed at the most: rows take 100
    assert told["again"][1] < warm + 120
    assert told["list"][0] < 0.5
    assert told["open"][0] < 60


# What passes is no damage: a server that does not answer, rights, too little memory.

BAD_MOMENTS = [
    OSError(errno.ESTALE, "Stale file handle"),
    OSError(errno.EACCES, "Permission denied"),
    pa.ArrowMemoryError("malloc of size 4096 failed"),
]


@pytest.fixture
def fail(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Have files of a name fail on opening or on reading, a number of times."""
    real = open

    def prepare(name: str, error: BaseException, moment: str, times: int = 1000) -> None:
        left = [times]

        def opening(path: Any, mode: str) -> Any:
            if name in Path(path).name and mode == "rb" and left[0]:
                left[0] -= 1
                if moment == "open":
                    raise error
                return Failing(error)
            return real(path, mode)

        monkeypatch.setattr(_files, "open", opening, raising=False)

    yield prepare
    monkeypatch.undo()


@pytest.mark.parametrize("moment", ["open", "read"])
@pytest.mark.parametrize("error", BAD_MOMENTS, ids=repr)
@pytest.mark.parametrize("name", ["seeds-4-4", "weights-4-4", "history-4-4", "config.json"])
def test_a_bad_moment_is_no_damage(
    tmp_path: Path, fail: Callable[..., None], name: str, error: Exception, moment: str
) -> None:
    fp.collect(CONFIG, seeds=12, path=tmp_path, **KEPT)
    before = files(tmp_path)
    kind = MemoryError if isinstance(error, MemoryError) else type(error)
    fail(name, error, moment)
    with pytest.raises(kind, match=name) as caught:
        Study.open(tmp_path, skip_damaged=True)
    assert getattr(caught.value, "errno", None) == getattr(error, "errno", None)
    with pytest.raises(kind, match=name):
        fp.collect(CONFIG, seeds=12, path=tmp_path, **KEPT)
    named = [damage for damage in Study.check(tmp_path) if "cannot be read now" in damage.reason]
    assert len(named) == 1
    assert str(error.args[-1]) in named[0].reason
    assert not (tmp_path / "set-aside").exists()
    assert files(tmp_path) == before


def test_damage_that_heals_is_named_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fp.collect(CONFIG, seeds=12, path=tmp_path)
    times = [0]

    def once(file: Path, *arguments: Any) -> pa.Table:
        times[0] += 1
        if times[0] == 2:
            raise UnusableError("is corrupt or truncated")
        return read_block(file, *arguments)

    monkeypatch.setattr(store_module, "read_block", once)
    with pytest.raises(fp.studies.DamagedStudyError, match=r"seeds-4-4\.parquet: is corrupt"):
        fp.collect(CONFIG, seeds=12, path=tmp_path)


@pytest.fixture
def public() -> Iterator[Path]:
    """A folder that every user may look into."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@contextlib.contextmanager
def without_rights() -> Iterator[None]:
    """As a user whom the rights of files concern."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)


@pytest.mark.skipif(not hasattr(os, "seteuid"), reason="no users here")
def test_what_may_not_be_read_is_named_and_the_rest_is_checked(public: Path) -> None:
    path = public / "study"
    fp.collect(CONFIGS, seeds=4, path=path)
    (path / "lost+found").mkdir()
    locked, other = path / CONFIG.digest, path / CONFIGS[1].digest
    (other / "seeds-0-2.parquet").write_bytes(b"")
    unreadable = [locked, path / "lost+found"]
    for folder in unreadable:
        folder.chmod(0)
    try:
        with without_rights():
            named = {damage.path: damage.reason for damage in Study.check(path)}
            with pytest.raises(PermissionError, match=CONFIG.digest):
                Study.open(path, skip_damaged=True)
            locked_up = dict.fromkeys(unreadable, "cannot be read now (Permission denied)")
            assert named == locked_up | {other / "seeds-0-2.parquet": "is empty (0 bytes)"}
    finally:
        for folder in unreadable:
            folder.chmod(0o755)
    (other / "seeds-0-2.parquet").unlink()
    (path / "lost+found").chmod(0)
    try:
        with without_rights():
            assert len(Study.open(path)) == 6  # it is not the study's
    finally:
        (path / "lost+found").chmod(0o755)


# The process moves to another folder.


def test_changing_the_folder_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    monkeypatch.chdir(tmp_path / "a")
    study = fp.collect(
        CONFIGS, seeds=12, path="study", progress=lambda _: os.chdir(tmp_path / "b"), **KEPT
    )
    assert len(study) == 24
    assert np.shape(study.weights(CONFIG)) == (12, 8, 16)
    assert len(study.history(CONFIG)) == 24
    assert list((tmp_path / "b").iterdir()) == []
    monkeypatch.chdir(tmp_path / "a")
    opened = Study.open("study")
    records = fp.iter_collect(CONFIGS, seeds=14, path="study", **KEPT)
    monkeypatch.chdir(tmp_path)
    assert len(list(records)) > 1
    assert np.shape(opened.weights(CONFIG)) == (12, 8, 16)
    assert len(Study.open(tmp_path / "a" / "study")) == 28


# Several processes at once.


def run_four_at_once(script: Path, folder: Path) -> None:
    """The script is given the folder, its own number and how many run."""
    with contextlib.ExitStack() as stack:
        processes = [stack.enter_context(start(script, folder, me, 4)) for me in range(4)]
        for process in processes:
            _, err = process.communicate(timeout=120)
            assert process.returncode == 0, err


WRITERS = """
import sys, time
from pathlib import Path
import fastpolysem as fp
from fastpolysem.studies.store import Store

path, me, others = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
begin = time.perf_counter()
store = Store(path / "study")
configs = fp.grid(fp.Config(n_features=2, n_hidden=2, steps=1), n_hidden=list(range(2, 22)))
for step, config in enumerate(configs):
    (path / f"{step}-{me}").touch()
    while len(list(path.glob(f"{step}-*"))) < others:
        time.sleep(0.0005)
        assert time.perf_counter() - begin < 100, "the others are not there"
    store.write_config(config, {f"key{me}": int(me)})
"""


def test_no_writer_loses_the_metadata_of_another(tmp_path: Path) -> None:
    script = tmp_path / "writers.py"
    script.write_text(WRITERS)
    run_four_at_once(script, tmp_path)
    store = Store(tmp_path / "study")
    for digest in store.digests():
        assert store.config(digest)[1] == {f"key{me}": me for me in range(4)}
    assert len(store.digests()) == 20
    assert not list((tmp_path / "study").rglob(".*"))


OPENERS = """
import sys, time, warnings
from pathlib import Path
from fastpolysem.studies import DamagedStudyError, Study

warnings.simplefilter("ignore")
begin = time.perf_counter()
path, me, others = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
for study in sorted(path.glob("study*")):
    (path / f"{study.name[5:]}-{me}").touch()
    while len(list(path.glob(f"{study.name[5:]}-*"))) < others:
        time.sleep(0.0005)
        assert time.perf_counter() - begin < 100, "the others are not there"
    assert len(Study.open(study, skip_damaged=True)) == 2
"""


def test_files_are_set_aside_by_several_at_once(tmp_path: Path) -> None:
    made = tmp_path / "made"
    fp.collect(CONFIGS, seeds=8, path=made, **KEPT)
    (made / CONFIGS[1].digest / "config.json").write_bytes(b"{")
    for file in (made / CONFIG.digest).glob("*-4-4*.parquet"):
        file.write_bytes(b"")
    (made / CONFIG.digest / "seeds-0-4.parquet").unlink()
    fp.collect(CONFIG, seeds=2, path=tmp_path / "two")
    (tmp_path / "two" / CONFIG.digest / "seeds-0-2.parquet").rename(
        made / CONFIG.digest / "seeds-0-2.parquet"
    )
    for step in range(8):
        shutil.copytree(made, tmp_path / f"study{step}")
    script = tmp_path / "openers.py"
    script.write_text(OPENERS)
    run_four_at_once(script, tmp_path)
    for step in range(8):
        aside = tmp_path / f"study{step}" / "set-aside"
        assert len(list(aside.rglob("*-4-4*.parquet"))) == 3
        assert len(list(aside.glob(f"{CONFIGS[1].digest}*"))) == 1
