"""The folder of a study: what is in its files, and what is wrong with them.

One file: one test per kind of file in a study and of damage to it.
"""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import fastpolysem as fp
from fastpolysem import cli
from fastpolysem.studies import ConflictError, DamagedStudyError, Study, artifacts
from fastpolysem.studies.files import write_table
from fastpolysem.studies.schema import rows_of, schema
from fastpolysem.studies.store import Store
from helpers.small_studies import (
    CONFIG,
    CONFIGS,
    DIVERGING,
    assert_same,
    files,
    small_blocks,  # noqa: F401
)

pytestmark = pytest.mark.usefixtures("small_blocks")


# The union of rows.


def test_equal_rows_collapse(tmp_path: Path) -> None:
    study = fp.collect(CONFIG, seeds=8, path=tmp_path)
    folder = tmp_path / CONFIG.digest
    table = pq.read_table(folder / "seeds-0-4.parquet")
    # The same results from another machine: other times, another file.
    index = table.schema.get_field_index("seconds")
    slower = table.set_column(index, "seconds", pa.array(np.full(4, 99.0)))
    assert write_table(folder / "from-elsewhere.parquet", slower)
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
    assert write_table(
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
    assert table.schema.equals(schema(CONFIG))
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


def test_files_of_the_first_version_are_read(tmp_path: Path) -> None:
    configs = [*CONFIGS, DIVERGING]
    study = fp.collect(configs, seeds=6, path=tmp_path)
    assert 0 < study.seeds()["diverged"].sum() < 6
    for file in tmp_path.rglob("seeds-*.parquet"):
        table = pq.read_table(file).drop_columns(["isa", "host"])
        for name in ("loss", "residual"):  # where nan was written as null
            at = table.schema.get_field_index(name)
            numbers = pa.array(table[name].to_numpy(), from_pandas=True)
            table = table.set_column(at, name, numbers)
        pq.write_table(table.replace_schema_metadata({"fastpolysem_schema": "1"}), file)
    for file in tmp_path.rglob("config.json"):
        text = file.read_text()
        file.write_text(text.replace('"fastpolysem_schema": 2', '"fastpolysem_schema": 1'))
    assert set(Study.open(tmp_path).seeds()["host"]) == {""}
    assert_same(fp.collect(configs, seeds=6, path=tmp_path), study)
    assert_same(fp.collect(configs, seeds=9, path=tmp_path), fp.collect(configs, seeds=9))


# Other tools read the files as they are.


def test_pandas_reads_the_files(tmp_path: Path) -> None:
    study = fp.collect(CONFIGS, seeds=9, path=tmp_path)
    config = CONFIGS[0]
    files = (tmp_path / config.digest).glob("seeds-*.parquet")
    table = pd.concat(map(pd.read_parquet, files)).sort_values("seed")
    assert table["loss"].tolist() == study.values(config, "loss").tolist()
    assert table["seed"].tolist() == list(range(9))


@pytest.mark.extra
def test_polars_reads_the_files(tmp_path: Path) -> None:
    polars = pytest.importorskip("polars")
    study = fp.collect(CONFIGS, seeds=9, path=tmp_path, keep_weights=True)
    table = polars.read_parquet(tmp_path / "*" / "seeds-*.parquet").sort("digest", "seed")
    expected = study.seeds().sort_values(["digest", "seed"])
    assert table["loss"].to_list() == expected["loss"].tolist()
    assert table["polysemantic"].to_list() == expected["polysemantic"].tolist()
    config = CONFIGS[0]
    weights = polars.read_parquet(tmp_path / config.digest / "weights-*.parquet").sort("seed")
    assert np.array_equal(
        np.stack(weights["encoder"].to_list()).reshape(9, 8, 16), study.weights(config)
    )


@pytest.mark.extra
def test_duckdb_reads_the_files(tmp_path: Path) -> None:
    duckdb = pytest.importorskip("duckdb")
    study = fp.collect(CONFIGS, seeds=9, path=tmp_path, record=("loss", [0, 50]))
    means = duckdb.sql(
        f"SELECT digest, count(*), avg(polysemantic) FROM '{tmp_path}/*/seeds-*.parquet' "
        "WHERE NOT diverged GROUP BY digest"
    ).fetchall()
    expected = study.summary().set_index("digest")
    assert len(means) == 2
    for digest, count, mean in means:
        assert (count, mean) == (9, pytest.approx(expected.loc[digest, "mean"]))
    last = duckdb.sql(
        f"SELECT loss FROM '{tmp_path}/{CONFIG.digest}/history-*.parquet' WHERE step = 50 "
        "ORDER BY seed"
    ).fetchall()
    assert [loss for (loss,) in last] == study.values(CONFIG, "loss").tolist()


# Weights and histories.


WEIGHTED = [
    CONFIG,
    CONFIG.replace(l1=0.5, l1_update="orthant", steps=400),
    CONFIG.replace(tied=False, bias=True, dtype="float64"),
    CONFIG.replace(bias=True),
    CONFIG.replace(steps=0),
    DIVERGING,
]


@pytest.mark.parametrize("config", WEIGHTED, ids=str)
@pytest.mark.parametrize("where", ["folder", "memory"])
def test_weights_come_back_as_they_were(tmp_path: Path, config: fp.Config, where: str) -> None:
    path = tmp_path if where == "folder" else None
    study = fp.collect(config, seeds=10, path=path, keep_weights=True)
    trained = fp.train(config, 10, return_weights=True).weights
    some = fp.train(config, [7, 2], return_weights=True).weights
    opened = Study.open(tmp_path) if path else Study()
    opened.add(study)
    for found, expected in [
        (study.weights(config), trained),
        (study.weights(config.digest, [7, 2]), some),
        (opened.weights(config, [7, 2]), some),
    ]:
        assert isinstance(found, fp.Parameters) == isinstance(expected, fp.Parameters)
        pairs = [(found, expected)]
        if isinstance(found, fp.Parameters) and isinstance(expected, fp.Parameters):
            pairs = list(zip(found, expected, strict=True))
        for one, other in pairs:
            assert (one is None) == (other is None)
            if one is not None and other is not None:
                assert (one.dtype, one.shape) == (other.dtype, other.shape)
                assert one.tobytes() == other.tobytes()
    with pytest.raises(KeyError, match="the weights of seed 10 were not stored"):
        study.weights(config, [3, 10])
    with pytest.raises(ValueError, match="weights: seeds must be different, got 3 more than once"):
        study.weights(config, [3, 1, 3])


def test_sparse_weights_take_little_room(tmp_path: Path) -> None:
    sparse = fp.Config(n_features=16, n_hidden=256, l1=0.05, l1_update="orthant", steps=3000)
    study = fp.collect(sparse, seeds=2, path=tmp_path, keep_weights=True)
    nonzeros = int(study.seeds()["nonzeros"].sum())
    assert 0 < nonzeros < 200
    tables = [pq.read_table(file) for file in Store(tmp_path).files(sparse.digest, "weights")]
    assert (
        sum(table["encoder"].combine_chunks().flatten().nbytes for table in tables) == 4 * nonzeros
    )


def test_a_negative_zero_is_kept() -> None:
    result = fp.train(CONFIG, 2, return_weights=True)
    weights = np.zeros_like(result.weights)
    weights[1, 3, 5] = -0.0
    table = artifacts.weights_table(dataclasses.replace(result, weights=weights))
    assert table["encoder"].to_pylist() == [[], [0.0]]
    back = artifacts.weights_of([table], CONFIG, result.seeds)
    assert np.asarray(back).tobytes() == weights.tobytes()


def test_asking_for_weights_later_trains_again_and_changes_no_row(tmp_path: Path) -> None:
    fp.collect(CONFIG, seeds=10, path=tmp_path)
    before = files(tmp_path)
    records: list[fp.studies.Progress] = []
    study = fp.collect(CONFIG, seeds=12, path=tmp_path, progress=records.append, keep_weights=True)
    assert records[0].seeds == 0
    assert files(tmp_path).items() >= before.items()
    assert_same(study, fp.collect(CONFIG, seeds=12))
    assert np.shape(study.weights(CONFIG)) == (12, 8, 16)
    fp.collect(CONFIG, seeds=12, path=tmp_path, progress=records.append, keep_weights=True)
    assert records[-1].reused == 12


def test_history_is_what_was_recorded(tmp_path: Path) -> None:
    record = fp.Record(["loss", "fourth_norm"], [0, 10, 50])
    study = fp.collect(CONFIGS, seeds=6, path=tmp_path, record=record)
    more = fp.collect(CONFIGS, seeds=6, path=tmp_path, record=("dead", [50]))
    for config in CONFIGS:
        expected = fp.train(config, 6, record=record).history
        table = study.history(config)
        assert table["seed"].tolist() == np.repeat(np.arange(6), 3).tolist()
        assert table["step"].tolist() == [0, 10, 50] * 6
        for metric in record.metrics:
            np.testing.assert_array_equal(table[metric], expected[metric].reshape(-1))
        both = Study.open(tmp_path).history(config)
        assert both["dead"].notna().tolist() == [False, False, True] * 6
        np.testing.assert_array_equal(both["loss"], table["loss"])
        assert list(more.history(config)) == ["seed", "step", "dead"]
    assert fp.collect(CONFIG, seeds=2).history(CONFIG).empty


def test_other_weights_of_a_seed_are_a_conflict(tmp_path: Path) -> None:
    study = fp.collect(CONFIG, seeds=4, path=tmp_path, keep_weights=True)
    file = tmp_path / CONFIG.digest / "weights-0-4.parquet"
    result = fp.train(CONFIG, 4, return_weights=True)
    other = dataclasses.replace(result, weights=np.asarray(result.weights) * 2)
    assert write_table(file.with_name("weights-copy.parquet"), artifacts.weights_table(other))
    with pytest.raises(ConflictError, match="seed 0: two files hold different weights"):
        Study.open(tmp_path).weights(CONFIG)
    with pytest.raises(DamagedStudyError, match="contains values other"):
        Store(tmp_path).write_array(CONFIG, "weights", artifacts.weights_table(other))
    assert np.asarray(study.weights(CONFIG)).tobytes() == np.asarray(result.weights).tobytes()


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
    assert write_table(file, table)


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
    (other_rows, "does not contain the 4 seeds starting at 4"),
    (other_config, f"contains rows of the config {'f' * 20}"),
    (other_columns, "has columns other"),
    (other_schema, "has schema version 7"),
    (other_values, "does not match its checksum"),
    (no_checksum, "does not match its checksum"),
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


@pytest.mark.parametrize("kind", ["weights", "history"])
def test_damaged_weights_and_histories_are_named(tmp_path: Path, kind: str) -> None:
    kept: dict[str, Any] = {"keep_weights": True, "record": ("loss", [0, 50])}
    study = fp.collect(CONFIG, seeds=12, path=tmp_path, **kept)
    file = Store(tmp_path).files(CONFIG.digest, kind)[1]
    truncate(file)
    assert [damage.path for damage in Study.check(tmp_path)] == [file]
    assert_same(Study.open(tmp_path), study)  # the rows are whole
    with pytest.raises(DamagedStudyError, match="is corrupt or truncated"):
        getattr(Study.open(tmp_path), kind)(CONFIG)
    with pytest.raises(DamagedStudyError, match="is corrupt or truncated"):
        fp.collect(CONFIG, seeds=12, path=tmp_path, **kept)
    with pytest.warns(UserWarning, match="moved to"):
        Study.open(tmp_path, skip_damaged=True)
    again = fp.collect(CONFIG, seeds=12, path=tmp_path, **kept)
    assert np.shape(again.weights(CONFIG)) == (12, 8, 16)
    assert len(again.history(CONFIG)) == 24
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
        (lambda content: "", r"is empty \(0 bytes\)"),
        (lambda content: "[" * 100_000, "config.json is not one of a study"),
        (lambda content: content[:50], "config.json is not one of a study"),
        (lambda content: '{"name": "other"}', "config.json is not one of a study"),
        (lambda content: "[1, 2]", "config.json is not one of a study"),
        (lambda content: content.replace("0.01", "0.02"), "contains the config"),
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
    (folder / ".seeds-4-4.parquet.123-0a1b2c3d.tmp").write_bytes(b"half a bl")
    (folder / ".DS_Store").write_bytes(b"")
    assert_same(Study.open(tmp_path), study)
    stray = tmp_path / "seeds-0-4.parquet"
    stray.write_bytes((folder / "seeds-0-4.parquet").read_bytes())
    (folder / "seeds-0-4.csv").write_text("mine")
    named = {damage.path.name: damage.reason for damage in Study.check(tmp_path)}
    assert named.keys() == {stray.name, "seeds-0-4.csv", ".seeds-4-4.parquet.123-0a1b2c3d.tmp"}
    assert "is incomplete" in named[".seeds-4-4.parquet.123-0a1b2c3d.tmp"]
    assert "is not part of a study" in named["seeds-0-4.csv"]


def test_files_of_the_user_are_listed_and_left_alone(tmp_path: Path) -> None:
    study = fp.collect(CONFIG, seeds=12, path=tmp_path)
    folder = tmp_path / CONFIG.digest
    own = [tmp_path / "all.parquet", tmp_path / "tables" / "all.parquet", folder / "all.parquet"]
    for file in own:
        file.parent.mkdir(exist_ok=True)
        study.seeds().to_parquet(file)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "config.json").write_text('{"editor": "mine"}')
    (tmp_path / ".cache").mkdir()
    (tmp_path / ".cache" / "all.parquet").write_bytes(b"")
    assert_same(Study.open(tmp_path), study)
    truncate(folder / "seeds-4-4.parquet")
    with pytest.warns(UserWarning, match="moved to") as warned:
        assert len(Study.open(tmp_path, skip_damaged=True)) == 8
    assert len(warned) == 1
    assert all(file.exists() for file in own)
    assert_same(fp.collect(CONFIG, seeds=12, path=tmp_path), study)
    named = [damage.path for damage in Study.check(tmp_path)]
    assert sorted(named) == sorted([own[0], own[1].parent, own[2], tmp_path / "other"])


def test_the_folder_around_a_study_points_to_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = fp.collect(CONFIG, seeds=4, path=tmp_path / "study")
    hint = re.escape(f"there is one in {tmp_path / 'study'}")
    for look in (Study.open, Study.check):
        with pytest.raises(FileNotFoundError, match=hint):
            look(tmp_path)
    study.seeds().to_parquet(tmp_path / "collisions-seeds.parquet")
    for skip in (False, True):
        with pytest.raises(FileNotFoundError, match=hint):
            Study.open(tmp_path, skip_damaged=skip)
    (found,) = Study.check(tmp_path)
    assert found.path == tmp_path / "collisions-seeds.parquet"
    assert re.search(hint, found.reason)
    assert cli.main(["report", str(tmp_path)]) == 2
    assert re.search(hint, capsys.readouterr().err)


def test_checking_names_rows_that_contradict_each_other(tmp_path: Path) -> None:
    fp.collect(CONFIGS, seeds=4, path=tmp_path)
    folder = tmp_path / CONFIG.digest
    table = pq.read_table(folder / "seeds-0-4.parquet").slice(2, 1)
    other = pa.array([99], pa.int32())
    index = table.schema.get_field_index("dead")
    assert write_table(
        folder / "x.parquet", table.set_column(index, table.schema.field("dead"), other)
    )
    truncate(tmp_path / CONFIGS[1].digest / "seeds-0-2.parquet")
    named = {damage.path.name: damage.reason for damage in Study.check(tmp_path)}
    assert named.keys() == {CONFIG.digest, "seeds-0-2.parquet"}
    assert "seed 2: dead is" in named[CONFIG.digest]


@pytest.mark.parametrize("text", [False, True])
def test_metadata_of_another_type_is_other_metadata(tmp_path: Path, text: bool) -> None:
    fp.collect(CONFIG, seeds=1, path=tmp_path, metadata={"run": 1})
    fp.collect(CONFIG, seeds=1, path=tmp_path, metadata={"run": "1" if text else True})
    stored = json.loads((tmp_path / CONFIG.digest / "config.json").read_text())["metadata"]
    assert repr(stored) == ("{'run': '1'}" if text else "{'run': True}")


def test_no_flipped_bit_of_a_config_goes_unnoticed(tmp_path: Path) -> None:
    fp.collect(CONFIG, seeds=1, path=tmp_path, metadata={"a": 1, "label": "x", "share": 0.5})
    store = Store(tmp_path)
    file = tmp_path / CONFIG.digest / "config.json"
    pristine = file.read_bytes()
    expected = repr(store.config(CONFIG.digest))
    named = 0
    bits = range(0, 8 * len(pristine), 3)  # in each byte, and each position in a byte
    for bit in bits:
        damaged = bytearray(pristine)
        damaged[bit // 8] ^= 1 << bit % 8
        file.write_bytes(damaged)
        try:
            found = store.config(CONFIG.digest)
        except DamagedStudyError:
            named += 1
        else:  # the checksum's own name, or e and E in a number
            assert repr(found) == expected
    assert named > 0.98 * len(bits)


def test_configs_without_a_checksum_are_read(tmp_path: Path) -> None:
    study = fp.collect(CONFIG, seeds=4, path=tmp_path, metadata={"run": 1})
    file = tmp_path / CONFIG.digest / "config.json"
    content = json.loads(file.read_text())
    del content["sha256"]
    file.write_text(json.dumps(content, indent=2))
    assert_same(Study.open(tmp_path), study)
    fp.collect(CONFIG, seeds=4, path=tmp_path, metadata={"more": 2})
    assert json.loads(file.read_text())["metadata"] == {"run": 1, "more": 2}
    content = json.loads(file.read_text())
    content["metadata"]["run"] = 3
    file.write_text(json.dumps(content))
    with pytest.raises(DamagedStudyError, match="delete the line"):
        Study.open(tmp_path)


def many_rows(file: Path) -> None:
    """A few bytes of Parquet that stand for ten million equal rows."""
    table = pq.read_table(file).slice(0, 1)
    many = table.take(pa.array(np.zeros(10**7, np.int32))).replace_schema_metadata(
        table.schema.metadata
    )
    pq.write_table(many, file)


def long_texts(file: Path) -> None:
    table = pq.read_table(file)
    at = table.schema.get_field_index("host")
    pq.write_table(table.set_column(at, "host", pa.array(["a" * 5000] * len(table))), file)


def large_pages(file: Path) -> None:
    table = pq.read_table(file)
    at = table.schema.get_field_index("host")
    pq.write_table(
        table.set_column(at, "host", pa.array(["a" * 10**8] * len(table))), file, compression="gzip"
    )


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (many_rows, "claims to contain 10000000 rows"),
        (long_texts, "a text in host has more than 1000 bytes"),
        (large_pages, "4 rows cannot take .* bytes"),
    ],
)
def test_blocks_that_unpack_to_what_cannot_be_are_refused(
    tmp_path: Path, damage: Callable[[Path], None], reason: str
) -> None:
    fp.collect(CONFIG, seeds=12, path=tmp_path)
    file = tmp_path / CONFIG.digest / "seeds-4-4.parquet"
    damage(file)
    assert file.stat().st_size < 2**20
    with pytest.raises(DamagedStudyError, match=f"seeds-4-4.parquet: .*{reason}"):
        Study.open(tmp_path)


def test_weights_that_unpack_to_what_cannot_be_are_refused(tmp_path: Path) -> None:
    fp.collect(CONFIG, seeds=4, path=tmp_path, keep_weights=True)
    (file,) = Store(tmp_path).files(CONFIG.digest, "weights")
    table = pq.read_table(file)
    at = table.schema.get_field_index("encoder")
    size = 10**6
    values = pa.LargeListArray.from_arrays(
        pa.array(np.arange(5) * size, pa.int64()), pa.array(np.zeros(4 * size, np.float32))
    )
    pq.write_table(table.set_column(at, table.schema.field("encoder"), values), file)
    assert file.stat().st_size < 2**20
    with pytest.raises(DamagedStudyError, match="4 rows cannot hold 4000000 values"):
        Study.open(tmp_path).weights(CONFIG)


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


def test_check_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fp.collect(CONFIG, seeds=12, path=tmp_path)
    assert cli.main(["check", str(tmp_path)]) == 0
    assert capsys.readouterr().out == ""
    file = tmp_path / CONFIG.digest / "seeds-4-4.parquet"
    truncate(file)
    assert cli.main(["check", str(tmp_path)]) == 1
    assert capsys.readouterr().out.startswith(f"{file}: is corrupt or truncated")
