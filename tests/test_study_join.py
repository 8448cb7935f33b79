"""Putting the small files of a study together."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import fastpolysem as fp
from fastpolysem import _checks, cli
from fastpolysem.studies import ConflictError, DamagedStudyError, Study, joining
from fastpolysem.studies.files import checksum, same_content, write_table
from fastpolysem.studies.store import declaration_in
from helpers.dice import DiceConfig
from helpers.probes import Largest, Unknown
from helpers.small_studies import (
    CONFIG,
    CONFIGS,
    DIVERGING,
    assert_same,
    small_blocks,  # noqa: F401
)

pytestmark = pytest.mark.usefixtures("small_blocks")

OPTIONS: dict[str, Any] = {
    "keep_weights": True,
    "record": ("loss", [0, 50]),
    "probe": Largest(),
    "progress": False,
}


def collected(path: Path, seeds: Any = 20) -> Study:
    return fp.collect(CONFIGS, seeds=seeds, path=path, **OPTIONS)


def assert_all_the_same(one: Study, other: Study) -> None:
    """Rows, weights, histories and what was probed."""
    assert_same(one, other)
    for config in CONFIGS:
        np.testing.assert_array_equal(one.weights(config), other.weights(config))
        assert one.history(config).equals(other.history(config))
        for name in ("above", "strongest"):
            np.testing.assert_array_equal(one.probed(config, name), other.probed(config, name))


def parquet(path: Path) -> set[Path]:
    return {one for one in path.rglob("*.parquet") if one.name != "configs.parquet"}


@pytest.mark.parametrize("seeds", [20, range(0, 60, 3), [1, 2, 3, 40, 41, 99]])
def test_a_joined_study_says_the_same(tmp_path: Path, seeds: Any) -> None:
    before = collected(tmp_path, seeds)
    expected = collected(tmp_path / "apart", seeds)
    count = len(parquet(tmp_path)) - len(parquet(tmp_path / "apart"))
    assert Study.join(tmp_path) == (count, 8)  # four kinds of two configurations
    after = Study.open(tmp_path)
    assert_all_the_same(after, expected)
    assert_all_the_same(before, expected)  # its files are gone, and what they held is found
    again = collected(tmp_path, seeds)
    assert_all_the_same(again, expected)
    assert Study.join(tmp_path) == (8, 8)


def test_collecting_goes_on_from_joined_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    collected(tmp_path, 10)
    Study.join(tmp_path)
    assert not Study.check(tmp_path)
    records = list(fp.iter_collect(CONFIGS, seeds=24, path=tmp_path, **without_progress()))
    assert records[0].reused == 20
    assert_all_the_same(collected(tmp_path, 24), fp.collect(CONFIGS, seeds=24, **OPTIONS))
    Study.join(tmp_path)
    assert_all_the_same(Study.open(tmp_path), fp.collect(CONFIGS, seeds=24, **OPTIONS))


def without_progress() -> dict[str, Any]:
    return {name: value for name, value in OPTIONS.items() if name != "progress"}


def test_large_files_are_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fp.collect(CONFIG, seeds=20, path=tmp_path)
    size = next(iter(tmp_path.rglob("seeds-0-4.parquet"))).stat().st_size
    monkeypatch.setattr(joining, "MOST_BYTES", int(2.5 * size))
    assert Study.join(tmp_path) == (5, 3)
    names = {file.name for file in parquet(tmp_path)}
    assert names == {"seeds-0-8.parquet", "seeds-8-8.parquet", "seeds-16-4.parquet"}


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fp.collect(CONFIG, seeds=20, path=tmp_path, progress=False)
    assert cli.main(["join", str(tmp_path)]) == 0
    assert capsys.readouterr().out == "5 files of blocks merged into 1\n"
    assert cli.main(["join", str(tmp_path / "none")]) == 2


KILLED = """
import os, pathlib, sys
from fastpolysem.studies import Study

stop = int(sys.argv[2])
count = 0

def hit(original):
    def wrapped(*arguments, **options):
        global count
        count += 1
        if count == stop:
            os._exit(9)
        return original(*arguments, **options)
    return wrapped

for owner, name in ((os, "link"), (os, "fsync"), (pathlib.Path, "unlink")):
    setattr(owner, name, hit(getattr(owner, name)))
Study.join(sys.argv[1])
"""


def test_a_join_that_is_killed_does_no_harm(tmp_path: Path) -> None:
    """At each write, each link and each deletion, until it gets through."""
    expected = fp.collect(CONFIG, seeds=20, path=tmp_path / "study")
    for stop in itertools.count(1):
        path = tmp_path / str(stop)
        shutil.copytree(tmp_path / "study", path)
        words = [sys.executable, "-c", KILLED, str(path), str(stop)]
        status = subprocess.run(words, check=False).returncode
        assert_same(Study.open(path), expected)
        assert_same(fp.collect(CONFIG, seeds=20, path=path), expected)
        if status != 9:
            assert status == 0
            assert stop > 7  # file and folder flushed, a link, five deletions
            return
        Study.join(path)
        assert [file.name for file in path.rglob("seeds-*")] == ["seeds-0-20.parquet"]
        assert_same(Study.open(path), expected)


def test_a_reader_that_a_join_overtakes_finds_all_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Joined after the reader has listed the files, and read one of them."""
    from fastpolysem.studies import opening, store

    expected = fp.collect(CONFIG, seeds=20)
    for at, (module, use) in enumerate(
        [
            (opening, lambda path: Study.open(path)),
            (store, lambda path: fp.collect(CONFIG, seeds=20, path=path)),
        ]
    ):
        path = tmp_path / str(at)
        fp.collect(CONFIG, seeds=20, path=path)
        original = module.read
        calls = 0

        def overtaken(*arguments: Any, path: Path = path, original: Any = original) -> Any:
            nonlocal calls
            calls += 1
            if calls == 2:
                Study.join(path)
            return original(*arguments)

        with monkeypatch.context() as patch:
            patch.setattr(module, "read", overtaken)
            study = use(path)
        assert calls > 2
        assert_same(study, expected)


def test_what_contradicts_itself_or_is_damaged_is_not_joined(tmp_path: Path) -> None:
    fp.collect(CONFIG, seeds=8, path=tmp_path)
    folder = tmp_path / CONFIG.digest
    table = pq.read_table(folder / "seeds-0-4.parquet").slice(1, 2)
    at = table.schema.get_field_index("benign")
    other = table.set_column(at, table.schema.field("benign"), [table["benign"].to_numpy() + 1])
    assert write_table(folder / "seeds-1-2.parquet", other)
    before = parquet(tmp_path)
    with pytest.raises(ConflictError):
        Study.join(tmp_path)
    assert parquet(tmp_path) == before
    (folder / "seeds-1-2.parquet").write_bytes(b"PAR1")
    with pytest.raises(DamagedStudyError, match="seeds-1-2"):
        Study.join(tmp_path)
    assert parquet(tmp_path) == before
    assert os.listdir(folder)


# The same seeds in several files.


KEPT: dict[str, dict[str, Any]] = {
    "rows": {},
    "history": {"record": ("loss", [0, 50])},
    "history with nan": {"record": ("objective", [0, 50])},  # unknown after the last step
    "weights": {"keep_weights": True},
    "probe": {"probe": Largest()},
    "probe with nan": {"probe": Unknown()},
}


def is_merged_and_the_same(path: Path, config: Any, expected: Study, kept: str) -> None:
    """The folder can be joined, into one file of each kind, and holds what was expected."""
    Study.join(path)
    after = Study.open(path)
    assert_same(after, expected)
    assert not Study.check(path)
    assert len(parquet(path)) == (1 if kept == "rows" else 2)
    if "history" in kept:
        pd.testing.assert_frame_equal(after.history(config), expected.history(config))
    elif kept == "weights":
        for one, other in zip(after.weights(config), expected.weights(config), strict=True):
            np.testing.assert_array_equal(one, other)
    elif "probe" in kept:
        (name, *_) = KEPT[kept]["probe"].columns
        np.testing.assert_array_equal(after.probed(config, name), expected.probed(config, name))


@pytest.mark.parametrize("kept", KEPT)
def test_a_resumed_study_can_be_joined(tmp_path: Path, kept: str) -> None:
    """Seeds that were trained again lie in a file of their own, which other seeds made longer."""
    fp.collect(CONFIG, seeds=3, path=tmp_path)
    expected = fp.collect(CONFIG, seeds=4, path=tmp_path, **KEPT[kept])
    assert len(list(tmp_path.rglob("seeds-*"))) == 2
    is_merged_and_the_same(tmp_path, CONFIG, expected, kept)


@pytest.mark.parametrize("config", [CONFIG, DIVERGING], ids=["converging", "diverging"])
@pytest.mark.parametrize("kept", KEPT)
def test_merged_folders_can_be_joined(tmp_path: Path, config: Any, kept: str) -> None:
    """With overlapping seeds, and with all seeds of one in the other."""
    options = KEPT[kept] | {"progress": False}
    expected = fp.collect(config, seeds=6, **options)
    assert config is CONFIG or expected.seeds()["diverged"].any()
    for name, parts in (("apart", [range(4), range(2, 6)]), ("within", [range(6), range(3)])):
        for at, seeds in enumerate(parts):
            part = tmp_path / f"{name}{at}"
            fp.collect(config, seeds=seeds, path=part, **options)
            Study.join(part)
            shutil.copytree(part, tmp_path / name, dirs_exist_ok=True)
        is_merged_and_the_same(tmp_path / name, config, expected, kept)


def changed(path: Path, kind: str, column: str) -> None:
    """Change the last value of a column in the first file of a kind, which stays valid."""
    file = min(path.rglob(f"{kind}-*"))
    table = pq.read_table(file)
    values, at = table[column].to_pylist(), table.schema.get_field_index(column)
    last = values[-1]
    values[-1] = [*last[:-1], last[-1] + 1] if isinstance(last, list) else last + 1
    declaration = declaration_in(file) if kind == "probe" else None
    file.unlink()
    field = table.schema.field(column)
    assert write_table(file, table.set_column(at, field, pa.array(values, field.type)), declaration)


@pytest.mark.parametrize(
    ("kept", "kind", "column"),
    [
        ("rows", "seeds", "loss"),
        ("history", "history", "loss"),
        ("weights", "weights", "encoder"),
        ("probe", "probe", "largest"),
        ("probe", "probe", "strongest"),
    ],
)
@pytest.mark.parametrize("seeds", [range(1, 4), range(2, 6)], ids=["within", "apart"])
def test_different_results_of_a_seed_are_never_joined(
    tmp_path: Path, kept: str, kind: str, column: str, seeds: range
) -> None:
    fp.collect(CONFIG, seeds=4, path=tmp_path / "one", **KEPT[kept])
    fp.collect(CONFIG, seeds=seeds, path=tmp_path / "other", **KEPT[kept])
    changed(tmp_path / "one", kind, column)
    shutil.copytree(tmp_path / "other", tmp_path / "one", dirs_exist_ok=True)
    assert not {d for d in Study.check(tmp_path / "one") if "corrupt" in d.reason}
    before = parquet(tmp_path / "one")
    with pytest.raises(ConflictError, match="seed 3: "):
        Study.join(tmp_path / "one")
    assert {file for file in before if file.name.startswith(kind)} <= parquet(tmp_path / "one")


def test_a_file_without_later_columns_does_not_replace_others(tmp_path: Path) -> None:
    """One of the same seeds by an earlier version stays beside those with the new column."""
    config = DiceConfig(rows=4, columns=2)
    fp.collect(config, seeds=2, path=tmp_path, progress=False)
    one, two = sorted(tmp_path.rglob("seeds-*"))
    tables = [pq.read_table(file) for file in (one, two)]
    whole = one.with_name("seeds-0-2.parquet")
    assert write_table(whole, pa.concat_tables(tables).drop_columns("low"))
    expected = fp.collect(config, seeds=2, progress=False)
    assert_same(Study.open(tmp_path), expected)  # each value from the file that has it
    assert Study.join(tmp_path) == (3, 3)
    assert_same(Study.open(tmp_path), expected)
    records = list(fp.iter_collect(config, seeds=2, path=tmp_path, metric="low"))
    assert records[-1].reused == 2
    at = tables[0].schema.get_field_index("winners")
    other = pa.array(tables[0]["winners"].to_numpy() + 1)
    one.unlink()
    assert write_table(one, tables[0].set_column(at, tables[0].schema.field(at), other))
    with pytest.raises(ConflictError, match="seed 0: winners"):
        Study.join(tmp_path)


def test_a_later_column_may_not_contradict_itself_either(tmp_path: Path) -> None:
    """Also where a file without it lies between."""
    config = DiceConfig(rows=4, columns=2)
    fp.collect(config, seeds=1, path=tmp_path, progress=False)
    (file,) = tmp_path.rglob("seeds-*")
    table = pq.read_table(file)
    at = table.schema.get_field_index("low")
    other = pa.array(table["low"].to_numpy() + 1)
    for name, rows in (
        ("b", table.drop_columns("low")),
        ("c", table.set_column(at, table.schema.field(at), other)),
    ):
        assert write_table(file.with_name(f"{name}.parquet"), rows)
    file.rename(file.with_name("a.parquet"))
    with pytest.raises(ConflictError, match="seed 0: low is"):
        Study.open(tmp_path)


def test_every_nan_is_the_same_whatever_processor_made_it() -> None:
    positive, negative = np.float32([np.nan, 0.0]), np.float32([-np.nan, 0.0])
    assert positive.tobytes() != negative.tobytes()
    tables = [pa.table({"x": values}) for values in (positive, negative, -positive, [1.0, 0.0])]
    assert checksum(tables[0]) != checksum(tables[1])
    assert [same_content(tables[0], other) for other in tables] == [True, True, False, False]


# Guards before memory is taken.


@pytest.fixture
def little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_checks, "available_memory", lambda: 2**24)
    monkeypatch.setattr(_checks, "_NEGLIGIBLE", 2**20)


@pytest.mark.usefixtures("little_memory")
def test_very_many_steps_are_refused_before_they_are_listed() -> None:
    with pytest.raises(MemoryError, match=r"Record needs about .* a list of 1000000000 steps"):
        fp.Record("loss", range(10**9))


@pytest.mark.usefixtures("little_memory")
def test_what_is_kept_of_a_block_is_refused_before_it_is_trained(tmp_path: Path) -> None:
    config = CONFIG.replace(steps=40_000)
    record = fp.Record("loss", range(40_001))
    with pytest.raises(MemoryError, match=r"collect needs about .* for their histories"):
        fp.collect(config, seeds=64, path=tmp_path, record=record, num_threads=64)
    large = CONFIG.replace(n_features=512, n_hidden=4096, steps=1)
    with pytest.raises(MemoryError, match="weights of the seeds trained at the same time"):
        fp.collect(large, seeds=4, path=tmp_path, probe=Largest(), num_threads=4)
    assert not list(tmp_path.iterdir())
