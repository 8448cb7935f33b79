"""The folder of a study: what is in its files, and what is wrong with them."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import fastpolysem as fp
from fastpolysem.studies import ConflictError, DamagedStudyError, Study
from fastpolysem.studies.rows import SCHEMA, rows_of
from fastpolysem.studies.store import Store, _write_table
from studying import CONFIG, CONFIGS, assert_same, small_blocks  # noqa: F401

pytestmark = pytest.mark.usefixtures("small_blocks")


# The union of rows.


def test_equal_rows_collapse(tmp_path: Path) -> None:
    study = fp.collect(CONFIG, seeds=8, path=tmp_path)
    folder = tmp_path / CONFIG.digest
    table = pq.read_table(folder / "seeds-0-4.parquet")
    # The same results from another machine: other times, another file.
    index = table.schema.get_field_index("seconds")
    slower = table.set_column(index, "seconds", pa.array(np.full(4, 99.0)))
    assert _write_table(folder / "from-elsewhere.parquet", slower)
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
    assert _write_table(
        folder / "x.parquet", table.set_column(index, table.schema.field(name), other)
    )
    message = f"config {CONFIG.digest}, seed 2: {name} is"
    with pytest.raises(ConflictError, match=message):
        Study.open(tmp_path)
    with pytest.raises(ConflictError, match=message):
        fp.collect(CONFIG, seeds=4, path=tmp_path)


def test_writers_of_the_same_block_agree_or_are_told(tmp_path: Path) -> None:
    store = Store(tmp_path)
    rows = rows_of(fp.train(CONFIG, 4))
    store.write_config(CONFIG, {})
    first = store.write_rows(CONFIG, rows)
    content = first.read_bytes()
    assert store.write_rows(CONFIG, rows.assign(seconds=3.0)) == first
    with pytest.raises(ConflictError):
        store.write_rows(CONFIG, rows.assign(benign=np.int32(77)))
    assert first.read_bytes() == content
    first.write_bytes(b"")
    with pytest.raises(DamagedStudyError, match="is empty"):
        store.write_rows(CONFIG, rows)
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
    assert table.schema.equals(SCHEMA)
    assert table.schema.metadata.keys() == {b"fastpolysem_schema", b"fastpolysem_sha256"}
    assert table.schema.metadata[b"fastpolysem_schema"] == b"2"
    info = fp.build_info()
    assert set(table["isa"].to_pylist()) == {info["isa"]}
    assert set(table["host"].to_pylist()) == {platform.node()}
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


def rewrite(file: Path, table: pa.Table) -> None:
    """As the store would write it."""
    file.unlink()
    assert _write_table(file, table)


def other_rows(file: Path) -> None:
    rewrite(file, pq.read_table(file).slice(1))


def other_values(file: Path) -> None:
    """One count is another, and the checksum that of before."""
    table = pq.read_table(file)
    counts = table["polysemantic"].to_numpy() + np.array([0, 1, 0, 0], dtype=np.int32)
    index = table.schema.get_field_index("polysemantic")
    pq.write_table(table.set_column(index, "polysemantic", pa.array(counts)), file)


def no_checksum(file: Path) -> None:
    table = pq.read_table(file)
    pq.write_table(table.replace_schema_metadata({"fastpolysem_schema": "2"}), file)


def other_config(file: Path) -> None:
    table = pq.read_table(file)
    rewrite(file, table.set_column(0, "digest", pa.array(["f" * 20] * len(table))))


def other_columns(file: Path) -> None:
    rewrite(file, pq.read_table(file).drop_columns("benign"))


def other_schema(file: Path) -> None:
    table = pq.read_table(file)
    pq.write_table(table.replace_schema_metadata({"fastpolysem_schema": "7"}), file)


def other_numerics(file: Path) -> None:
    table = pq.read_table(file)
    versions = pa.array([fp.NUMERICS_VERSION + 1] * len(table), pa.int32())
    rewrite(file, table.set_column(2, "numerics_version", versions))


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
    (other_values, "does not have the checksum"),
    (no_checksum, "does not have the checksum"),
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


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda file: file.symlink_to("nowhere")])
@pytest.mark.parametrize("name", ["seeds-4-4.parquet", "config.json"])
def test_what_is_no_regular_file_is_named_and_not_waited_for(
    tmp_path: Path, make: Callable[[Path], None], name: str
) -> None:
    fp.collect(CONFIG, seeds=12, path=tmp_path)
    file = tmp_path / CONFIG.digest / name
    file.unlink()
    make(file)
    (found,) = Study.check(tmp_path)
    assert found.path == (file.parent if name == "config.json" else file)
    with pytest.raises(DamagedStudyError):
        Study.open(tmp_path)


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
        (lambda content: "", r"is empty \(0 bytes\)"),
        (lambda content: "[" * 100_000, "config.json is not one of a study"),
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
            lambda content: content.replace('"fastpolysem_schema": 2', '"fastpolysem_schema": 3'),
            "has schema version 3",
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
