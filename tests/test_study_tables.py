"""The tables of a study."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import fastpolysem as fp
import made_up
from fastpolysem.studies import ConflictError, Study
from fastpolysem.studies.tables import readable
from studying import CONFIG, CONFIGS, DIVERGING, assert_same, results, small_blocks  # noqa: F401

pytestmark = pytest.mark.usefixtures("small_blocks")


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


@pytest.mark.extra
def test_xarray_labels_every_number(tmp_path: Path) -> None:
    pytest.importorskip("xarray")
    wide = CONFIG.replace(n_hidden=32)
    study = made_up.study(made_up.result(CONFIG, [3, -1, 4]), made_up.result(wide, [7], 2))
    data = study.to_xarray()
    assert dict(data.sizes) == {"config": 2, "seed": 3}
    assert data["n_hidden"].values.tolist() == [16, 32]
    counts = data["polysemantic"].values
    np.testing.assert_array_equal(counts, [[3, np.nan, 4], [np.nan, np.nan, 7]])
    np.testing.assert_array_equal(data["diverged"].values, [[0, 1, 0], [np.nan, np.nan, 0]])
    means = data.set_index(config="n_hidden").polysemantic.mean("seed")
    assert float(means.sel(config=16)) == 3.5
    assert dict(Study().to_xarray().sizes) == {"config": 0, "seed": 0}


def test_a_configuration_of_which_all_seeds_diverged_says_so() -> None:
    study = made_up.study(made_up.result(CONFIG, [-1, -1]))
    shown = readable(study.summary())
    assert shown.loc[0, "mean"] == "all diverged"
    assert not shown.isin(["nan"]).any(axis=None)
