"""Collecting, storing and reading studies."""

from __future__ import annotations

import concurrent.futures
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import fastpolysem as fp
import made_up
from fastpolysem import statistics, studies
from fastpolysem.studies import ConflictError, DamagedStudyError, Progress, Study, block_size
from fastpolysem.studies import progress as shown
from fastpolysem.studies.store import SCHEMA

# The package offers the function `collect` under the name of the module it is in.
collecting: Any = sys.modules["fastpolysem.studies.collect"]

# Blocks of 4 seeds for CONFIG, of 2 for twice as many neurons.
SPEED = 1.2e6
CONFIG = fp.Config(n_features=8, n_hidden=16, l1=1e-2, steps=50)
CONFIGS = fp.grid(CONFIG, n_hidden=[16, 32])

DIVERGING = fp.Config(
    n_features=6, n_hidden=8, optimizer="sgd", learning_rate=0.15, steps=60, init_scale=1.3
)


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collecting, "_SPEED", SPEED)


def results(study: Study) -> pd.DataFrame:
    """The table of seeds without what depends on the machine."""
    return study.seeds().drop(columns=["seconds", "kernel"])


def assert_same(one: Study, other: Study) -> None:
    pd.testing.assert_frame_equal(results(one), results(other), check_exact=True)


def files(path: Path) -> dict[Path, tuple[int, bytes]]:
    """Every block, with what tells whether it was written again."""
    return {
        file: (file.stat().st_mtime_ns, file.read_bytes()) for file in path.rglob("seeds-*.parquet")
    }


class Stop(Exception):  # noqa: N818
    """Raised by tests to break off."""


def after(blocks: int, error: BaseException) -> Callable[[Progress], None]:
    """A progress function that raises at this record."""
    records: list[Progress] = []

    def report(record: Progress) -> None:
        records.append(record)
        if record.seeds > 4 * blocks:
            raise error

    return report


# Blocks.


def test_blocks_are_about_a_second_of_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collecting, "_SPEED", 1.5e11)
    assert block_size(fp.Config(n_features=256, n_hidden=4096)) == 1
    assert block_size(fp.Config(n_features=64, n_hidden=128)) == 8
    assert block_size(fp.Config(n_features=64, n_hidden=128, tied=False)) == 4
    assert block_size(fp.Config(n_features=2, n_hidden=2)) == 4096
    assert block_size(fp.Config(n_features=2, n_hidden=2, steps=0)) == 4096


def test_a_block_is_one_file_of_aligned_seeds(tmp_path: Path) -> None:
    assert [block_size(config) for config in CONFIGS] == [4, 2]
    fp.collect(CONFIGS, seeds=6, path=tmp_path)
    found = sorted(str(file.relative_to(tmp_path)) for file in files(tmp_path))
    first, second = (config.digest for config in CONFIGS)
    expected = [f"{first}/seeds-0-4.parquet", f"{first}/seeds-4-2.parquet"]
    expected += [f"{second}/seeds-{start}-2.parquet" for start in (0, 2, 4)]
    assert found == sorted(expected)


def test_ranges_do_not_cross_multiples_of_the_block_size() -> None:
    seeds = np.array([1, 2, 3, 4, 5, 9, 10, 2**64 - 2, 2**64 - 1], dtype=np.uint64)
    blocks = [(block.first, block.count) for block in collecting._blocks(seeds, 4)]
    assert blocks == [(1, 3), (4, 2), (9, 2), (2**64 - 2, 2)]
    together = [block.seeds for block in collecting._blocks(seeds, 4)]
    np.testing.assert_array_equal(np.concatenate(together), seeds)


# What collecting gives.


def test_rows_are_what_training_gives() -> None:
    study = fp.collect(CONFIGS, seeds=6)
    table = study.seeds()
    assert len(table) == len(study) == 12
    for config in CONFIGS:
        rows = table[table["digest"] == config.digest]
        direct = fp.train(config, 6)
        assert rows["seed"].tolist() == [0, 1, 2, 3, 4, 5]
        assert (rows["n_hidden"] == config.n_hidden).all()
        for name in ("polysemantic", "dead", "nonzeros", "loss", "residual", "steps_taken"):
            np.testing.assert_array_equal(
                rows[name].to_numpy(direct.loss.dtype), getattr(direct, name)
            )


def test_large_and_scattered_seeds(tmp_path: Path) -> None:
    seeds = [2**64 - 1, 3, 2**63, 2**64 - 2]
    study = fp.collect(CONFIG, seeds=seeds, path=tmp_path)
    assert study.seeds()["seed"].tolist() == sorted(seeds)
    direct = fp.train(CONFIG, np.array(sorted(seeds), dtype=np.uint64))
    np.testing.assert_array_equal(study.seeds()["loss"], direct.loss)
    assert_same(Study.open(tmp_path), study)


def test_more_seeds_reuse_what_is_stored_and_end_like_a_fresh_study(tmp_path: Path) -> None:
    fp.collect(CONFIGS, seeds=6, path=tmp_path)
    before = files(tmp_path)
    records: list[Progress] = []
    larger = fp.collect(CONFIGS, seeds=11, path=tmp_path, progress=records.append)
    assert records[0].reused == records[0].seeds == 12
    assert files(tmp_path).items() >= before.items()
    fresh = fp.collect(CONFIGS, seeds=11)
    assert_same(larger, fresh)
    assert_same(Study.open(tmp_path), fresh)


def test_what_comes_back_depends_on_the_arguments_alone(tmp_path: Path) -> None:
    fp.collect(CONFIGS, seeds=9, path=tmp_path)
    part = fp.collect(CONFIGS[1], seeds=5, path=tmp_path)
    assert_same(part, fp.collect(CONFIGS[1], seeds=5))


def test_the_order_of_configs_is_kept() -> None:
    assert fp.collect(CONFIGS[::-1], seeds=1).configs == tuple(CONFIGS[::-1])


@pytest.mark.parametrize("threads", [1, 3])
def test_threads_change_nothing(threads: int, tmp_path: Path) -> None:
    study = fp.collect(CONFIGS, seeds=9, num_threads=threads, path=tmp_path)
    assert_same(study, fp.collect(CONFIGS, seeds=9))
    assert_same(study, Study.open(tmp_path))


def test_processes_change_nothing(tmp_path: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(2, mp_context=spawn) as executor:
        study = fp.collect(CONFIGS, seeds=13, executor=executor, path=tmp_path)
        again = fp.collect(CONFIGS, seeds=15, executor=executor)
    assert_same(study, fp.collect(CONFIGS, seeds=13))
    assert_same(Study.open(tmp_path), study)
    assert_same(again, fp.collect(CONFIGS, seeds=15))


def test_iter_collect_tells_of_each_block() -> None:
    records = list(fp.iter_collect(CONFIG, seeds=9, num_threads=1))
    assert [record.seeds for record in records] == [0, 4, 8, 9]
    assert [record.goal for record in records] == [9] * 4
    assert [record.finished for record in records] == [False] * 3 + [True]
    last = records[-1]
    assert last.seconds_left == 0
    assert last.seeds_per_second > 0
    assert_same(last.study, fp.collect(CONFIG, seeds=9))
    mean = last.study.summary().loc[0]
    assert last.configs[0].mean == pytest.approx(mean["mean"])
    assert last.configs[0].half_width == pytest.approx((mean["ci_high"] - mean["ci_low"]) / 2)


def test_there_is_progress_within_a_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collecting, "_SPEED", 1.5e11)
    config = CONFIG.replace(n_hidden=64, steps=3000)
    records: list[Progress] = []
    fp.collect(config, seeds=300, progress=records.append, num_threads=1)
    assert block_size(config) >= 300
    training = [record.configs[0].training for record in records]
    assert len(records) > 3
    assert any(0 < one < 300 for one in training)
    assert records[-1].configs[0].training == 0


# Breaking off and going on.


@pytest.mark.parametrize("error", [Stop(), KeyboardInterrupt()])
def test_going_on_after_an_interruption_ends_like_a_fresh_study(
    tmp_path: Path, error: BaseException, capsys: pytest.CaptureFixture[str]
) -> None:
    report = after(2, error)
    if isinstance(error, KeyboardInterrupt):
        study = fp.collect(CONFIGS, seeds=30, path=tmp_path, progress=report)
        assert study.interrupted
        assert 0 < len(study) < 60
        assert "the same call goes on" in capsys.readouterr().err
        assert_same(study, Study.open(tmp_path))
    else:
        with pytest.raises(Stop):
            fp.collect(CONFIGS, seeds=30, path=tmp_path, progress=report)
    before = files(tmp_path)
    assert before
    resumed = fp.collect(CONFIGS, seeds=30, path=tmp_path)
    assert not resumed.interrupted
    assert files(tmp_path).items() > before.items()
    assert_same(resumed, fp.collect(CONFIGS, seeds=30))


def test_an_interrupted_study_in_memory_comes_back(capsys: pytest.CaptureFixture[str]) -> None:
    study = fp.collect(CONFIG, seeds=40, progress=after(3, KeyboardInterrupt()))
    assert study.interrupted
    assert 12 < len(study) < 40
    assert f"{len(study)} seeds are finished" in capsys.readouterr().err


def test_iter_collect_lets_ctrl_c_through(tmp_path: Path) -> None:
    iterator = fp.iter_collect(CONFIG, seeds=40, path=tmp_path)
    for record in iterator:
        if record.seeds >= 8:
            with pytest.raises(KeyboardInterrupt):
                iterator.throw(KeyboardInterrupt())
            break
    assert len(Study.open(tmp_path)) == record.seeds


class Broken(concurrent.futures.Executor):
    """Runs tasks at once, until one fails."""

    def __init__(self, failing: int, error: BaseException) -> None:
        self.left, self.error = failing, error

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> concurrent.futures.Future[Any]:
        future: concurrent.futures.Future[Any] = concurrent.futures.Future()
        self.left -= 1
        if self.left == 0:
            future.set_exception(self.error)
        else:
            future.set_result(fn(*args, **kwargs))
        return future


@pytest.mark.parametrize("error", [concurrent.futures.BrokenExecutor("worker lost"), Stop()])
def test_a_lost_worker_loses_no_finished_block(tmp_path: Path, error: BaseException) -> None:
    with pytest.raises(type(error)) as caught:
        fp.collect(CONFIG, seeds=30, path=tmp_path, executor=Broken(4, error))
    assert "finished blocks are kept" in caught.value.__notes__[0]
    # Those that were done but had not been received yet as well: all but the one that failed.
    assert len(Study.open(tmp_path)) == 26
    assert_same(fp.collect(CONFIG, seeds=30, path=tmp_path), fp.collect(CONFIG, seeds=30))


def test_an_interrupted_executor_keeps_what_it_finished(tmp_path: Path) -> None:
    study = fp.collect(
        CONFIG, seeds=30, path=tmp_path, executor=Broken(5, KeyboardInterrupt()), progress=False
    )
    assert study.interrupted
    assert len(study) == len(Study.open(tmp_path)) == 26


def test_a_full_disk_loses_no_finished_block(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace, left = os.replace, [4]

    def fail(source: Any, target: Any) -> None:
        left[0] -= 1
        if left[0] == 0:
            raise OSError(28, "No space left on device")
        replace(source, target)

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="No space left") as caught:
        fp.collect(CONFIG, seeds=30, path=tmp_path, num_threads=1)
    assert "seeds-8-4.parquet" in caught.value.__notes__[0]
    assert len(Study.open(tmp_path)) == 8
    assert not list(tmp_path.rglob("*.tmp"))


CHILD = """
import sys
import fastpolysem as fp

if __name__ == "__main__":
    sys.modules["fastpolysem.studies.collect"]._SPEED = {speed} if fp.collect else 0
    config = fp.Config(n_features=8, n_hidden=64, l1=1e-2, steps={steps})
    study = fp.collect(config, seeds={seeds}, path=sys.argv[1], num_threads=1)
    print("interrupted" if study.interrupted else "done", len(study))
"""


@pytest.fixture
def child(tmp_path: Path) -> Iterator[Callable[[Path], subprocess.Popen[str]]]:
    """Starts a process that collects more blocks than it will live to see."""
    script = tmp_path / "child.py"
    script.write_text(CHILD.format(speed=1e8, steps=4000, seeds=100_000))
    started: list[subprocess.Popen[str]] = []

    def start(path: Path) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, script, path],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        while len(files(path)) < 3:
            assert process.poll() is None, process.stderr
            time.sleep(0.01)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_killed_at_any_moment(
    tmp_path: Path, child: Callable[[Path], subprocess.Popen[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "study"
    process = child(path)
    process.kill()
    process.wait()
    assert Study.check(path) == []
    stored = len(Study.open(path))
    assert stored >= 3
    config = Study.open(path).configs[0]
    monkeypatch.setattr(collecting, "_SPEED", 1e8)
    resumed = fp.collect(config, seeds=stored + 5, path=path)
    assert_same(resumed, fp.collect(config, seeds=stored + 5))


def test_ctrl_c_ends_soon_and_keeps_finished_blocks(
    tmp_path: Path, child: Callable[[Path], subprocess.Popen[str]]
) -> None:
    path = tmp_path / "study"
    process = child(path)
    process.send_signal(signal.SIGINT)
    begin = time.monotonic()
    out, err = process.communicate(timeout=20)
    assert time.monotonic() - begin < 5
    assert process.returncode == 0
    word, count = out.split()
    assert word == "interrupted"
    assert int(count) == len(Study.open(path))
    assert "the same call goes on" in err
    assert "Traceback" not in err


# Stopping at a precision.


def test_target_stops_at_the_first_checkpoint_that_is_precise_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collecting, "_SPEED", 8 * SPEED)
    whole = fp.train(CONFIG, 512).loss

    def precise(seeds: int) -> bool:
        mean = statistics.mean(whole[:seeds])
        return mean.half_width <= 0.08 * mean.value

    expected = next(size for size in (64, 128, 256, 512) if precise(size))
    assert 64 < expected < 512
    study = fp.collect(CONFIG, target=0.08, metric="loss", path=tmp_path / "target")
    assert_same(study, fp.collect(CONFIG, seeds=expected))
    # What is stored does not change the verdict, be it less or more.
    loose = fp.collect(CONFIG, target=10.0, metric="loss", path=tmp_path / "target")
    assert len(loose) == 64
    fp.collect(CONFIG, seeds=3 * expected, path=tmp_path / "more")
    for path in (tmp_path / "target", tmp_path / "more"):
        assert_same(fp.collect(CONFIG, target=0.08, metric="loss", path=path), study)


def test_target_is_judged_alike_on_executors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collecting, "_SPEED", 8 * SPEED)
    with concurrent.futures.ThreadPoolExecutor(3) as executor:
        study = fp.collect(CONFIGS, target=0.08, metric="loss", executor=executor)
    assert_same(study, fp.collect(CONFIGS, target=0.08, metric="loss"))


def test_target_ends_at_the_cap() -> None:
    assert len(fp.collect(CONFIG, target=1e-6, max_seeds=100)) == 100
    assert len(fp.collect(CONFIG, target=1e-6, max_seeds=10)) == 10


def test_no_event_is_never_precise() -> None:
    config = CONFIG.replace(steps=0)  # nothing is polysemantic at the start
    study = fp.collect(config, target=0.5, max_seeds=128)
    assert study.values(config).max() == 0
    assert len(study) == 128


# The union of rows.


def test_equal_rows_collapse(tmp_path: Path) -> None:
    study = fp.collect(CONFIG, seeds=8, path=tmp_path)
    folder = tmp_path / CONFIG.digest
    table = pq.read_table(folder / "seeds-0-4.parquet")
    # The same results from another machine: other times, another file.
    index = table.schema.get_field_index("seconds")
    slower = pa.array(np.full(4, 99.0))
    pq.write_table(table.set_column(index, "seconds", slower), folder / "from-elsewhere.parquet")
    assert_same(Study.open(tmp_path), study)
    assert_same(fp.collect(CONFIG, seeds=8, path=tmp_path), study)


@pytest.mark.parametrize(
    ("name", "other"),
    [("polysemantic", pa.array([99], pa.int32())), ("loss", pa.array([np.nan], pa.float64()))],
)
def test_different_rows_are_refused(tmp_path: Path, name: str, other: pa.Array) -> None:
    fp.collect(CONFIG, seeds=4, path=tmp_path)
    folder = tmp_path / CONFIG.digest
    table = pq.read_table(folder / "seeds-0-4.parquet").slice(2, 1)
    index = table.schema.get_field_index(name)
    pq.write_table(table.set_column(index, table.schema.field(name), other), folder / "x.parquet")
    message = f"config {CONFIG.digest}, seed 2: {name} is"
    with pytest.raises(ConflictError, match=message):
        Study.open(tmp_path)
    with pytest.raises(ConflictError, match=message):
        fp.collect(CONFIG, seeds=4, path=tmp_path)


def test_writers_of_the_same_block_agree_or_are_told(tmp_path: Path) -> None:
    store = studies.store.Store(tmp_path)
    rows = studies.store.rows_of(fp.train(CONFIG, 4))
    store.write_config(CONFIG, {})
    first = store.write_rows(CONFIG.digest, rows)
    content = first.read_bytes()
    assert store.write_rows(CONFIG.digest, rows.assign(seconds=3.0)) == first
    with pytest.raises(ConflictError):
        store.write_rows(CONFIG.digest, rows.assign(benign=np.int32(77)))
    assert first.read_bytes() == content
    first.write_bytes(b"")
    with pytest.raises(DamagedStudyError, match="is empty"):
        store.write_rows(CONFIG.digest, rows)
    assert first.read_bytes() == b""


def test_folders_of_several_machines_are_copied_together(tmp_path: Path) -> None:
    fp.collect(CONFIG, seeds=range(6), path=tmp_path / "a")
    fp.collect(CONFIG, seeds=range(4, 12), path=tmp_path / "b")
    for file in (tmp_path / "b" / CONFIG.digest).iterdir():
        (tmp_path / "a" / CONFIG.digest / file.name).write_bytes(file.read_bytes())
    assert_same(Study.open(tmp_path / "a"), fp.collect(CONFIG, seeds=12))


# What is in the files.


def test_rows_carry_what_identifies_them(tmp_path: Path) -> None:
    fp.collect(CONFIG, seeds=4, path=tmp_path)
    table = pq.read_table(tmp_path / CONFIG.digest / "seeds-0-4.parquet")
    assert table.schema.equals(SCHEMA, check_metadata=True)
    assert table.schema.metadata == {b"fastpolysem_schema": b"1"}
    assert set(table["digest"].to_pylist()) == {CONFIG.digest}
    assert set(table["numerics_version"].to_pylist()) == {fp.NUMERICS_VERSION}
    assert set(table["version"].to_pylist()) == {fp.__version__}
    content = json.loads((tmp_path / CONFIG.digest / "config.json").read_text())
    assert fp.Config.from_dict(content["config"]) == CONFIG


def test_configs_with_inputs_survive_the_store(tmp_path: Path) -> None:
    inputs = [
        fp.Independent(probability=0.2, batch_size=5),
        fp.CorrelatedBlocks(blocks=2, active=1, batch_size=3),
        fp.FixedBatch(np.eye(8)[:5] * 0.5),
    ]
    configs = [CONFIG.replace(inputs=one, importance=np.arange(8) + 1.0) for one in inputs]
    study = fp.collect(configs, seeds=2, path=tmp_path)
    opened = Study.open(tmp_path)
    assert set(opened.configs) == set(configs)
    for config in configs:
        np.testing.assert_array_equal(opened.values(config, "loss"), study.values(config, "loss"))
    assert study.summary()["inputs"].tolist() == [repr(one) for one in inputs]
    study.seeds().to_parquet(tmp_path / "all.pq")


# Damaged files.


def empty(file: Path) -> None:
    file.write_bytes(b"")


def truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-40])


def scramble(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[4 : len(content) // 3] = b"\xff" * (len(content) // 3 - 4)
    file.write_bytes(bytes(content))


def text(file: Path) -> None:
    file.write_text("seed,polysemantic\n0,3\n")


def other_table(file: Path) -> None:
    pq.write_table(pa.table({"x": [1, 2]}), file)


def other_rows(file: Path) -> None:
    pq.write_table(pq.read_table(file).slice(1), file)


def other_config(file: Path) -> None:
    table = pq.read_table(file)
    pq.write_table(table.set_column(0, "digest", pa.array(["f" * 20] * len(table))), file)


def other_columns(file: Path) -> None:
    pq.write_table(pq.read_table(file).drop_columns("benign"), file)


def other_schema(file: Path) -> None:
    table = pq.read_table(file)
    pq.write_table(table.replace_schema_metadata({"fastpolysem_schema": "7"}), file)


def other_numerics(file: Path) -> None:
    table = pq.read_table(file)
    versions = pa.array([fp.NUMERICS_VERSION + 1] * len(table), pa.int32())
    pq.write_table(table.set_column(2, "numerics_version", versions), file)


DAMAGES = [
    (empty, r"is empty \(0 bytes\)"),
    (truncate, "is corrupt or truncated"),
    (scramble, "is corrupt or truncated"),
    (text, "is corrupt or truncated"),
    (other_table, "is a Parquet file, but not one of a study"),
    (other_rows, "does not hold the 4 seeds from 4 on that its name says"),
    (other_config, f"holds rows of the config {'f' * 20}"),
    (other_columns, "has other columns"),
    (other_schema, "has schema version 7"),
    (other_numerics, rf"has numerics version {fp.NUMERICS_VERSION + 1}, this fastpolysem .* has"),
]


@pytest.mark.parametrize(
    ("damage", "reason"), DAMAGES, ids=lambda one: getattr(one, "__name__", "")
)
def test_damaged_blocks_are_named_and_set_aside_by_request(
    tmp_path: Path, damage: Callable[[Path], None], reason: str
) -> None:
    pristine = fp.collect(CONFIG, seeds=12, path=tmp_path)
    file = tmp_path / CONFIG.digest / "seeds-4-4.parquet"
    damage(file)
    content = file.read_bytes()

    (found,) = Study.check(tmp_path)
    assert found.path == file
    with pytest.raises(DamagedStudyError, match=reason) as caught:
        Study.open(tmp_path)
    assert caught.value.damages == [found]
    assert str(file) in str(caught.value)
    with pytest.raises(DamagedStudyError, match=reason):
        fp.collect(CONFIG, seeds=12, path=tmp_path)
    assert file.read_bytes() == content  # nothing was repaired or removed behind the user's back

    with pytest.warns(UserWarning, match=f"seeds-4-4.parquet.*{reason}.*moved to"):
        study = Study.open(tmp_path, skip_damaged=True)
    assert study.seeds()["seed"].tolist() == [0, 1, 2, 3, 8, 9, 10, 11]
    aside = tmp_path / "set-aside" / CONFIG.digest / file.name
    assert aside.read_bytes() == content
    assert_same(fp.collect(CONFIG, seeds=12, path=tmp_path), pristine)
    assert Study.check(tmp_path) == []


def test_files_set_aside_are_never_overwritten(tmp_path: Path) -> None:
    for attempt in (b"first", b"second", b"third"):
        fp.collect(CONFIG, seeds=4, path=tmp_path)
        (tmp_path / CONFIG.digest / "seeds-0-4.parquet").write_bytes(attempt)
        with pytest.warns(UserWarning, match="moved"):
            Study.open(tmp_path, skip_damaged=True)
    aside = {file.read_bytes() for file in (tmp_path / "set-aside" / CONFIG.digest).iterdir()}
    assert aside == {b"first", b"second", b"third"}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda content: "", "config.json is not one of a study"),
        (lambda content: content[:50], "config.json is not one of a study"),
        (lambda content: '{"name": "other"}', "config.json is not one of a study"),
        (lambda content: "[1, 2]", "config.json is not one of a study"),
        (lambda content: content.replace("0.01", "0.02"), "holds the config"),
        (lambda content: content.replace('"l1"', '"l11"'), "no valid config"),
        (
            lambda content: content.replace(
                f'"numerics_version": {fp.NUMERICS_VERSION}', '"numerics_version": 99'
            ),
            "has numerics version 99",
        ),
        (
            lambda content: content.replace('"fastpolysem_schema": 1', '"fastpolysem_schema": 2'),
            "has schema version 2",
        ),
    ],
)
def test_damaged_configs_are_named(
    tmp_path: Path, change: Callable[[str], str], reason: str
) -> None:
    fp.collect(CONFIGS, seeds=4, path=tmp_path)
    file = tmp_path / CONFIG.digest / "config.json"
    file.write_text(change(file.read_text()))
    content = file.read_text()
    with pytest.raises(DamagedStudyError, match=f"{CONFIG.digest}: .*{reason}"):
        Study.open(tmp_path)
    with pytest.raises(DamagedStudyError, match=reason):
        fp.collect(CONFIG, seeds=4, path=tmp_path)
    assert file.read_text() == content
    with pytest.warns(UserWarning, match=reason):
        study = Study.open(tmp_path, skip_damaged=True)
    assert study.configs == (CONFIGS[1],)
    assert (tmp_path / "set-aside" / CONFIG.digest / "config.json").read_text() == content


def test_a_lost_config_is_named_and_restored_by_collecting(tmp_path: Path) -> None:
    pristine = fp.collect(CONFIG, seeds=4, path=tmp_path)
    (tmp_path / CONFIG.digest / "config.json").unlink()
    with pytest.raises(DamagedStudyError, match=r"has no config\.json"):
        Study.open(tmp_path)
    assert_same(fp.collect(CONFIG, seeds=4, path=tmp_path), pristine)
    assert_same(Study.open(tmp_path), pristine)


def test_files_beside_are_left_alone_but_stray_blocks_are_named(tmp_path: Path) -> None:
    study = fp.collect(CONFIG, seeds=4, path=tmp_path)
    folder = tmp_path / CONFIG.digest
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "figures").mkdir()
    (folder / ".seeds-4-4.parquet.123-ab.tmp").write_bytes(b"half a bl")
    (folder / ".DS_Store").write_bytes(b"")
    assert_same(Study.open(tmp_path), study)
    stray = tmp_path / "seeds-0-4.parquet"
    stray.write_bytes((folder / "seeds-0-4.parquet").read_bytes())
    assert [damage.path for damage in Study.check(tmp_path)] == [stray]


def test_a_folder_without_a_study(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing"):
        with pytest.raises(FileNotFoundError, match="no study in"):
            Study.open(path)
    assert not (tmp_path / "missing").exists()
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(NotADirectoryError, match="must be the folder of a study"):
        Study.open(file)
    with pytest.raises(NotADirectoryError, match="must be the folder of a study"):
        fp.collect(CONFIG, seeds=1, path=file)


# Tables.


def test_seeds_is_tidy_and_diverged_seeds_have_no_counts() -> None:
    study = made_up.study(made_up.result(CONFIG, [3, -1, 4]))
    table = study.seeds()
    assert table["polysemantic"].dtype == "Int64"
    assert table["polysemantic"].isna().tolist() == [False, True, False]
    assert table["nonzeros"].isna().tolist() == [False, True, False]
    assert table["loss"].isna().tolist() == [False, True, False]
    assert table["diverged"].tolist() == [False, True, False]
    for name, value in CONFIG.to_dict().items():
        if isinstance(value, (int, float, str)):
            assert (table[name] == value).all()
    assert not table.columns.duplicated().any()


def test_a_seed_that_really_diverges() -> None:
    study = fp.collect(DIVERGING, seeds=20)
    diverged = int(study.seeds()["diverged"].sum())
    assert 0 < diverged < 20
    row = study.summary().loc[0]
    assert row["seeds"] == 20
    assert row["diverged"] == diverged
    counts = study.seeds()["polysemantic"].dropna()
    assert len(counts) == 20 - diverged
    assert row["mean"] == pytest.approx(counts.mean())


def test_summary() -> None:
    wide = CONFIG.replace(n_hidden=32)
    study = made_up.study(
        made_up.result(CONFIG, [1, 2, 3, -1, 4, 5]), made_up.result(wide, [0, 0, 0])
    )
    table = study.summary()
    row = table.loc[0]
    assert table["n_hidden"].tolist() == [16, 32]
    assert (row["seeds"], row["diverged"], row["mean"]) == (6, 1, 3)
    assert row["ci_high"] - row["mean"] == pytest.approx(2.7764451052 * np.sqrt(0.5))
    assert row["collision_law"] == 1
    assert row["null_mean"] == pytest.approx(8 * 7 / (2 * 31))
    assert (row["ratio"], row["ratio_low"]) == (row["mean"] / 1, row["ci_low"] / 1)
    assert row["loss"] == 0.25
    assert row["malign"] == 0
    assert row["benign"] == 3
    assert table.loc[1, "ci_high"] > 1  # three seeds without any do not prove much
    narrower = study.summary(confidence=0.5).loc[0]
    assert narrower["ci_high"] < row["ci_high"]
    dead = study.summary("dead")
    assert "ratio" not in dead
    assert dead.loc[0, "mean"] == 0
    with pytest.raises(ValueError, match="did you mean 'polysemantic'"):
        study.summary("polysemantics")


def test_summary_shows_the_fields_that_vary() -> None:
    configs = fp.grid(CONFIG, optimizer=["adam", "adamw"], l1=[0.0, 0.1])
    study = made_up.study(*(made_up.result(config, [1, 2]) for config in configs))
    table = study.summary()
    assert table.columns[:4].tolist() == ["n_features", "n_hidden", "l1", "optimizer"]
    assert table["l1"].tolist() == [0.0, 0.1, 0.0, 0.1]
    assert "learning_rate" not in table


def test_all_seeds_diverged() -> None:
    row = made_up.study(made_up.result(CONFIG, [-1, -1])).summary().loc[0]
    assert row["diverged"] == 2
    assert np.isnan(row["mean"])
    assert np.isnan(row["loss"])


def test_metadata_becomes_columns_and_stays(tmp_path: Path) -> None:
    fp.collect(CONFIG, seeds=4, path=tmp_path, metadata={"label": "a", "run": 3})
    study = fp.collect(CONFIG, seeds=5, path=tmp_path)
    assert set(study.seeds()["label"]) == {"a"}
    assert study.summary().loc[0, "run"] == 3
    fp.collect(CONFIGS, seeds=4, path=tmp_path, metadata={"label": "b"})
    opened = Study.open(tmp_path).summary()
    assert opened["label"].tolist() == ["b", "b"]
    assert opened.loc[0, "run"] == 3


def test_csv_holds_every_row(tmp_path: Path) -> None:
    study = made_up.study(made_up.result(CONFIG, [3, -1, 4]))
    study.to_csv(tmp_path / "all.csv")
    table = pd.read_csv(tmp_path / "all.csv")
    assert table["polysemantic"].tolist()[::2] == [3, 4]
    assert table["polysemantic"].isna().tolist() == [False, True, False]
    assert table.columns.tolist() == study.seeds().columns.tolist()


def test_add_takes_results_and_studies() -> None:
    study = fp.collect(CONFIGS[0], seeds=4)
    study.add(fp.train(CONFIGS[0], np.arange(2, 8)))
    assert_same(study, fp.collect(CONFIGS[0], seeds=8))
    study.add(fp.collect(CONFIGS[1], seeds=3))
    assert study.configs == tuple(CONFIGS)
    assert len(study) == 11
    before = results(study)
    with pytest.raises(ConflictError, match="seed 0: polysemantic is"):
        study.add(made_up.result(CONFIGS[0], [50, 51]))
    pd.testing.assert_frame_equal(results(study), before)
    with pytest.raises(TypeError, match=r"Study\.add: other must be"):
        study.add(before)  # type: ignore[arg-type]


def test_an_empty_study() -> None:
    study = Study()
    assert len(study) == 0
    assert len(study.seeds()) == len(study.summary()) == 0
    assert "polysemantic" in study.seeds()


def test_values_are_those_of_seeds_that_did_not_diverge() -> None:
    study = made_up.study(made_up.result(CONFIG, [3, -1, 4]))
    assert study.values(CONFIG).tolist() == [3, 4]
    assert study.values(CONFIG.digest, "loss").tolist() == [0.25, 0.25]
    with pytest.raises(KeyError, match="does not hold"):
        study.values(CONFIGS[1])


# Arguments.


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"seeds": 0}, "collect: seeds must be an integer >= 1 and .*, got 0"),
        ({"seeds": []}, "seeds must hold at least one"),
        ({"seeds": [1, 5, 1]}, "seeds must be different, got 1 more than once"),
        ({"seeds": [-1]}, r"seeds\[0\] must be an integer >= 0"),
        ({"seeds": 1.5}, "seeds must be"),
        ({"seeds": 10**15}, "needs about .* of memory .* ask for fewer seeds"),
        ({"target": 0.1, "max_seeds": 10**15}, "needs about .* of memory .* ask for fewer seeds"),
        ({}, "exactly one of seeds and target"),
        ({"seeds": 3, "target": 0.1}, "exactly one of seeds and target"),
        ({"seeds": 3, "max_seeds": 9}, "max_seeds must be left out without target, got 9"),
        ({"target": 0.0}, "target must be a finite number > 0"),
        ({"target": 0.1, "max_seeds": 1}, "max_seeds must be an integer >= 2"),
        ({"seeds": 1, "metric": "polysemantc"}, "did you mean 'polysemantic'"),
        ({"seeds": 1, "executor": 4}, "executor must be None or a"),
        ({"seeds": 1, "num_threads": 0}, "num_threads must be an integer >= 1"),
        ({"seeds": 1, "progress": "yes"}, "progress must be True, False, None or a function"),
        ({"seeds": 1, "metadata": {"a": object()}}, "metadata must be JSON"),
        ({"seeds": 1, "metadata": {"seed": 1}}, "metadata must not use the names of columns"),
        ({"seeds": 1, "metadata": [1]}, "metadata must be a mapping"),
    ],
)
def test_bad_arguments_are_named_before_anything_happens(
    arguments: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises((TypeError, ValueError, MemoryError), match=message):
        fp.collect(CONFIG, path=tmp_path / "study", **arguments)
    assert not (tmp_path / "study").exists()


@pytest.mark.parametrize(
    ("configs", "message"),
    [
        ([], "at least one Config"),
        ([CONFIG, CONFIG.replace(weight_decay=0.01)], "configs must differ in effect"),
        ([CONFIG, "other"], "configs must be a Config or several, got 'other'"),
        (None, "configs must be a Config or several, got None"),
    ],
)
def test_bad_configs_are_named(configs: Any, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        fp.collect(configs, seeds=1)


# Showing progress.


def test_progress_is_quiet_unless_asked(capsys: pytest.CaptureFixture[str]) -> None:
    fp.collect(CONFIG, seeds=9)
    fp.collect(CONFIG, seeds=9, progress=False)
    assert capsys.readouterr() == ("", "")
    fp.collect(CONFIG, seeds=9, progress=True)
    assert "1/1 configs, 9/9 seeds, done in" in capsys.readouterr().err


def test_plain_lines_come_seldom(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shown, "LINE_INTERVAL", 0.0)
    fp.collect(CONFIG, seeds=40, progress=True)
    assert len(capsys.readouterr().err.splitlines()) > 3
    monkeypatch.setattr(shown, "LINE_INTERVAL", 10.0)
    fp.collect(CONFIG, seeds=40, progress=True)
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_the_table_shows_where_it_stands() -> None:
    from rich.console import Console

    record = list(fp.iter_collect(CONFIGS, seeds=9, num_threads=1))[-2]
    console = Console(width=100, record=True, file=open(os.devnull, "w"))  # noqa: SIM115
    console.print(shown.table(record, "polysemantic"))
    text = console.export_text()
    console.file.close()
    assert "n_hidden" in text
    assert "9/9" in text
    assert "seeds/s" in text
    assert "left" in text
    many = fp.grid(CONFIG, n_hidden=range(10, 40))
    short = shown.table(next(iter(fp.iter_collect(many, seeds=1))), "dead", max_rows=5)
    assert short.row_count == 6  # five, and one that says how many are left out


def test_the_table_is_drawn_on_a_terminal(tmp_path: Path) -> None:
    pty = pytest.importorskip("pty")
    script = tmp_path / "script.py"
    script.write_text(CHILD.format(speed=1e8, steps=50, seeds=40))
    parent, terminal = pty.openpty()
    environment = {**os.environ, "COLUMNS": "100", "LINES": "40", "TERM": "xterm"}
    with subprocess.Popen(
        [sys.executable, script, tmp_path / "study"],
        stdout=subprocess.DEVNULL,
        stderr=terminal,
        env=environment,
    ) as process:
        os.close(terminal)
        seen = b""
        try:
            while part := os.read(parent, 10_000):
                seen += part
        except OSError:  # how Linux says that the other end is closed
            pass
        assert process.wait() == 0
    os.close(parent)
    assert b"n_hidden" in seen
    assert b"40/40" in seen
    assert b"done in" in seen
