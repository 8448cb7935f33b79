"""A study that an earlier version wrote: opened, resumed and extended without a changed byte.

`data/study` holds two configurations as they were stored before results came from one table of
columns: one with weights and a history, and one of whose 32 seeds 9 diverged. In the rows of these
the number of non-zero weights is the real one, where -1 is promised now.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

import fastpolysem as fp
from fastpolysem.studies.store import Store
from helpers.small_studies import assert_same, results

STORED = Path(__file__).parent / "data" / "study"
CONFIG = fp.Config(n_features=8, n_hidden=16, l1=1e-2, learning_rate=4e-3, steps=300)
DIVERGING = fp.Config(
    n_features=6, n_hidden=8, optimizer="sgd", learning_rate=0.15, steps=60, init_scale=1.3
)
KEPT = {"keep_weights": True, "record": (["loss", "polysemantic"], [0, 100, 300])}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return Path(shutil.copytree(STORED, tmp_path / "study"))


def contents(path: Path) -> dict[Path, bytes]:
    return {file.relative_to(path): file.read_bytes() for file in path.glob("*/*.parquet")}


def test_the_stored_rows_are_those_of_the_earlier_version() -> None:
    """What the other tests stand on: without real counts in diverged rows they would show less."""
    (file,) = STORED.glob(f"{DIVERGING.digest}/seeds-*.parquet")
    rows = pq.read_table(file).to_pandas()
    assert rows["diverged"].sum() == 9
    assert (rows.loc[rows["diverged"], "nonzeros"] == 48).all()
    assert (rows.loc[rows["diverged"], "polysemantic"] == -1).all()


def test_it_is_opened(path: Path) -> None:
    assert fp.Study.check(path) == []
    study = fp.Study.open(path)
    assert {config.digest for config in study.configs} == {CONFIG.digest, DIVERGING.digest}
    rows = study.seeds()
    assert len(rows) == 40
    diverged = rows[rows["diverged"]]
    assert len(diverged) == 9
    assert diverged["nonzeros"].isna().all()
    assert rows["series"].dropna().unique().tolist() == ["A"]
    summary = study.summary("nonzeros").set_index("digest")
    assert summary.loc[DIVERGING.digest, "diverged"] == 9


def test_it_holds_what_training_gives_now(path: Path) -> None:
    study = fp.Study.open(path)
    # In the order of the folder, and with its metadata, which only one of them has.
    fresh = fp.collect(DIVERGING, seeds=32, progress=False)
    fresh.add(fp.collect(CONFIG, seeds=8, metadata={"series": "A"}, progress=False, **KEPT))
    assert_same(study, fresh)
    np.testing.assert_array_equal(study.weights(CONFIG), fresh.weights(CONFIG))
    assert study.history(CONFIG).equals(fresh.history(CONFIG))


def test_it_is_resumed_and_extended(path: Path) -> None:
    before = contents(path)
    again = fp.collect([CONFIG], seeds=8, path=path, progress=False, **KEPT)
    again.add(fp.collect([DIVERGING], seeds=32, path=path, progress=False))
    assert contents(path) == before  # nothing was trained again
    extended = fp.collect(CONFIG, seeds=20, path=path, progress=False, **KEPT)
    extended.add(fp.collect(DIVERGING, seeds=48, path=path, progress=False))
    after = contents(path)
    assert before.items() <= after.items()
    assert len(after) > len(before)
    fresh = fp.collect(CONFIG, seeds=20, metadata={"series": "A"}, progress=False, **KEPT)
    fresh.add(fp.collect(DIVERGING, seeds=48, progress=False))
    assert_same(extended, fresh)
    np.testing.assert_array_equal(extended.weights(CONFIG), fresh.weights(CONFIG))
    assert fp.Study.check(path) == []


def test_rows_of_both_versions_agree(path: Path) -> None:
    """Also where the same diverged seeds stand in files of both."""
    fresh = fp.collect(DIVERGING, seeds=range(1, 32, 2), progress=False)
    rows = fresh._holdings[DIVERGING.digest].rows()
    assert (rows.loc[rows["diverged"], "nonzeros"] == -1).all()
    assert rows["diverged"].any()
    Store(path).write_rows(DIVERGING, rows)
    study = fp.Study.open(path)
    assert len(study) == 40
    assert_same(study, fp.Study.open(STORED))
    assert len(results(fp.collect(DIVERGING, seeds=32, path=path, progress=False))) == 32
