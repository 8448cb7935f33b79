"""The table of a folder's configurations, for other programs."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import pandas as pd
import pytest

import fastpolysem as fp
from fastpolysem.studies import Study
from helpers.dice import DiceConfig

BASE = fp.Config(n_features=6, n_hidden=8, l1=1e-2, steps=5)
CONFIGS = fp.grid(BASE, n_hidden=[8, 16], optimizer=["adam", "sgd"])


def table(path: Path) -> pd.DataFrame:
    return pd.read_parquet(path / "configs.parquet").set_index("digest")


def test_rows_join_their_settings(tmp_path: Path) -> None:
    study = fp.collect(CONFIGS, seeds=3, path=tmp_path, metadata={"series": "a"})
    files = sorted(tmp_path.glob("*/seeds-*.parquet"))
    rows = pd.concat(map(pd.read_parquet, files)).merge(
        pd.read_parquet(tmp_path / "configs.parquet"), on="digest"
    )
    expected = study.seeds()
    order = ["digest", "seed"]
    rows, expected = (one.sort_values(order, ignore_index=True) for one in (rows, expected))
    for name in ("n_hidden", "optimizer", "l1", "inputs", "tied", "series", "polysemantic", "loss"):
        assert rows[name].tolist() == expected[name].tolist(), name
    assert Study.check(tmp_path) == []
    assert len(Study.open(tmp_path)) == 12


def test_it_is_kept_up_to_date(tmp_path: Path) -> None:
    target = tmp_path / "configs.parquet"
    fp.collect(CONFIGS[:2], seeds=1, path=tmp_path)
    stamp = target.stat().st_mtime_ns
    fp.collect(CONFIGS[:2], seeds=2, path=tmp_path)
    assert target.stat().st_mtime_ns == stamp  # nothing to say
    fp.collect(CONFIGS[2], seeds=1, path=tmp_path, metadata={"series": 3})
    assert sorted(table(tmp_path).index) == sorted(one.digest for one in CONFIGS[:3])
    fp.collect(CONFIGS[2], seeds=1, path=tmp_path, metadata={"series": None})
    assert "series" not in table(tmp_path)
    fp.collect(DiceConfig(rows=2, columns=3), seeds=1, path=tmp_path)
    found = table(tmp_path)
    assert found["rows"].notna().sum() == 1
    assert found["n_hidden"].notna().sum() == 3


def test_it_is_completed_after_copying_and_repaired(tmp_path: Path) -> None:
    for name, config in zip("ab", CONFIGS[:2], strict=True):
        fp.collect(config, seeds=1, path=tmp_path / name)
    shutil.copytree(tmp_path / "a", tmp_path / "b", dirs_exist_ok=True)
    assert len(table(tmp_path / "b")) == 1
    fp.collect(CONFIGS[1], seeds=1, path=tmp_path / "b")
    assert len(table(tmp_path / "b")) == 2
    for content in (b"", b"PAR1 broken"):
        (tmp_path / "b" / "configs.parquet").write_bytes(content)
        assert len(Study.open(tmp_path / "b")) == 2
        fp.collect(CONFIGS[1], seeds=1, path=tmp_path / "b")
        assert len(table(tmp_path / "b")) == 2


def test_what_cannot_be_written_is_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fp.collect(BASE, seeds=2, path=tmp_path)
    (tmp_path / "configs.parquet").unlink()

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert len(fp.collect(BASE, seeds=2, path=tmp_path)) == 2
    assert not (tmp_path / "configs.parquet").exists()
    assert not list(tmp_path.glob(".*"))
