"""The tables of a study."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

import fastpolysem as fp
from fastpolysem.studies import ConflictError, Study
from fastpolysem.studies import metadata as metadata_module
from fastpolysem.studies.formatting import readable
from fastpolysem.studies.metadata import checked_metadata
from fastpolysem.studies.schema import columns
from helpers import synthetic
from helpers.small_studies import CONFIG, CONFIGS, DIVERGING, assert_same, results, small_blocks  # noqa: F401

pytestmark = pytest.mark.usefixtures("small_blocks")


def test_seeds_is_tidy_and_diverged_seeds_have_no_counts() -> None:
    study = synthetic.study(synthetic.result(CONFIG, [3, -1, 4]))
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
    study = synthetic.study(
        synthetic.result(CONFIG, [1, 2, 3, -1, 4, 5]), synthetic.result(wide, [0, 0, 0])
    )
    table = study.summary()
    row = table.loc[0]
    assert table["n_hidden"].tolist() == [16, 32]
    assert (row["seeds"], row["diverged"], row["mean"]) == (6, 1, 3)
    interval = fp.statistics.mean([1, 2, 3, 4, 5], bounds=(0, 16))
    assert (row["ci_low"], row["ci_high"]) == (interval.low, interval.high)
    full = synthetic.study(synthetic.result(CONFIG, [16] * 8)).summary().loc[0]
    assert full["ci_low"] < 16 == full["ci_high"]  # there are no more neurons
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
    study = synthetic.study(*(synthetic.result(config, [1, 2]) for config in configs))
    table = study.summary()
    assert table.columns[:4].tolist() == ["n_features", "n_hidden", "l1", "optimizer"]
    assert table["l1"].tolist() == [0.0, 0.1, 0.0, 0.1]
    assert "learning_rate" not in table


def test_all_seeds_diverged() -> None:
    row = synthetic.study(synthetic.result(CONFIG, [-1, -1])).summary().loc[0]
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


def test_the_share_of_collapsed_seeds_is_told() -> None:
    lost = {"unrepresented": np.array([0, 1, 8, -1], dtype=np.int32)}  # of 8; 5 % are less than 1
    wide = CONFIG.replace(n_hidden=32)
    study = synthetic.study(
        synthetic.result(CONFIG, [3, 3, 0, -1], **lost), synthetic.result(wide, [-1, -1])
    )
    table = study.summary()
    assert table["collapsed"][0] == pytest.approx(2 / 3)
    assert np.isnan(table["collapsed"][1])
    assert table.columns.get_loc("collapsed") == table.columns.get_loc("diverged") + 1
    assert readable(table)["collapsed"].tolist() == ["66.7 %", "-"]
    assert study.summary("loss")["collapsed"][0] == table["collapsed"][0]
    # The count without thresholds stands beside the paper's.
    assert table["signed_slots"][0] == 2


def test_parquet_holds_every_row(tmp_path: Path) -> None:
    study = synthetic.study(synthetic.result(CONFIG, [3, -1, 4]))
    study.to_parquet(tmp_path / "all.parquet")
    read = pd.read_parquet(tmp_path / "all.parquet")
    whole = study.seeds()
    assert read.columns.tolist() == whole.columns.tolist()
    assert read["polysemantic"].fillna(-1).tolist() == [3, -1, 4]
    assert read["seed"].dtype == np.uint64
    pd.testing.assert_frame_equal(read, whole, check_dtype=False)
    fp.Study().to_parquet(tmp_path / "none.parquet")
    assert len(pd.read_parquet(tmp_path / "none.parquet")) == 0


def test_csv_holds_every_row(tmp_path: Path) -> None:
    study = synthetic.study(synthetic.result(CONFIG, [3, -1, 4]))
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
        study.add(synthetic.result(CONFIGS[0], [50, 51]))
    pd.testing.assert_frame_equal(results(study), before)
    with pytest.raises(TypeError, match=r"Study\.add: other must be"):
        study.add(before)  # type: ignore[arg-type]


def test_an_empty_study() -> None:
    study = Study()
    assert len(study) == 0
    assert len(study.seeds()) == len(study.summary()) == 0
    assert "seed" in study.seeds()


def test_values_are_those_of_seeds_that_did_not_diverge() -> None:
    study = synthetic.study(synthetic.result(CONFIG, [3, -1, 4]))
    assert study.values(CONFIG).tolist() == [3, 4]
    assert study.values(CONFIG.digest, "loss").tolist() == [0.25, 0.25]
    with pytest.raises(KeyError, match="does not contain"):
        study.values(CONFIGS[1])


def test_settings_with_the_name_of_another_familys_result(tmp_path: Path) -> None:
    """``residual`` are layers of networks, and a gradient of autoencoders."""
    deep = fp.NetworkConfig(widths=(3, 2, 2, 3), residual=(2,), steps=2)
    networks = [deep, deep.replace(residual=())]
    study = fp.collect([CONFIG, *networks], seeds=2)
    rows = study.seeds()
    assert not rows.columns.duplicated().any()
    assert rows["residual"].notna().tolist() == [True] * 2 + [False] * 4
    layers = rows["setting.residual"]
    assert layers[2:].tolist() == ["(2,)"] * 2 + ["()"] * 2
    assert layers[:2].isna().all()
    assert "setting.residual" in study.labels()
    assert study.select(**{"setting.residual": (2,)}).configs == (deep,)
    study.to_parquet(tmp_path / "rows.parquet")
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "rows.parquet"), rows)
    alone = fp.collect(networks, seeds=2)
    assert "setting.residual" not in alone.seeds()
    assert alone.select(residual=(2,)).configs == (deep,)
    pytest.importorskip("xarray")
    found = study.to_xarray()["residual"].values
    assert np.isfinite(found).tolist() == [[True, True], [False, False], [False, False]]


def test_without_xarray_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "xarray", None)
    with pytest.raises(ImportError, match=r"to_xarray needs xarray: pip install .*\[xarray\]"):
        fp.collect(CONFIG, seeds=2).to_xarray()


@pytest.mark.extra
def test_xarray_labels_every_number(tmp_path: Path) -> None:
    pytest.importorskip("xarray")
    wide = CONFIG.replace(n_hidden=32)
    study = synthetic.study(synthetic.result(CONFIG, [3, -1, 4]), synthetic.result(wide, [7], 2))
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
    study = synthetic.study(synthetic.result(CONFIG, [-1, -1]))
    shown = readable(study.summary())
    assert shown.loc[0, "mean"] == "all diverged"
    assert not shown.isin(["nan"]).any(axis=None)


def labelled(*metadata: dict[str, Any]) -> Study:
    """A study of as many configurations, which have these metadata."""
    study = Study()
    for config, one in zip(fp.grid(CONFIG, n_hidden=[16, 32, 48]), metadata, strict=False):
        study.add(synthetic.result(config, [3, -1, 4]))
        study._holdings[config.digest].metadata |= one
    return study


AWKWARD = [
    "n",
    "m",
    "n²/4m",
    "null model",
    "95 % interval",
    "interval of ratio",
    "config",
    "_run",
    "$\\bad$",
    "$",
    "two\nlines",
    "a\x1b[31mb",
    "\u202eright to left",
    "<b>",
    "index",
    "mean ",
    "path",
    "level_0",
]


@pytest.mark.parametrize("key", AWKWARD)
def test_any_key_of_metadata_can_be_shown(key: str, tmp_path: Path) -> None:
    assert checked_metadata({key: "v$1$"}) == {key: "v$1$"}
    made = labelled({key: "v$1$"}, {key: "_v\x1b[0m"}, {key: 3})
    summary = made.summary()
    assert summary[key].tolist() == ["v$1$", "_v\x1b[0m", "3"]
    shown = readable(summary)
    assert len(set(shown.columns)) == len(shown.columns)
    assert len(shown.columns) == len(readable(labelled({}).summary()).columns) + 1
    assert "\x1b" not in shown.to_string()
    assert "\\x1b" in shown.to_string()
    assert "<table>" in made._repr_html_()
    made.seeds().to_parquet(tmp_path / "all.parquet")
    read = pd.read_parquet(tmp_path / "all.parquet")
    assert read[key].tolist() == ["v$1$"] * 3 + ["_v\x1b[0m"] * 3 + ["3"] * 3


def test_any_key_of_metadata_can_be_drawn_and_reported(tmp_path: Path) -> None:
    made = labelled({"_a": "$\\bad$"}, {"$": "two\nlines"}, {"_a\x1b": 1})
    ax = fp.plots.collisions(made, Figure().subplots())
    first, second, third = (text.get_text() for text in ax.get_legend().get_texts()[:3])
    assert r"_a=\$\bad\$" in first
    assert r"\$=two\nlines" in second
    assert r"_a\x1b=1" in third
    ax.figure.savefig(tmp_path / "figure.svg")  # a formula that is none raises here
    assert "\x1b" not in fp.report.page(made)


def test_a_series_of_a_key_that_begins_with_an_underscore_is_in_the_legend() -> None:
    made = labelled({"_run": 1}, {"_run": 2})
    ax = fp.plots.collisions(made, Figure().subplots())
    texts = [text.get_text().strip() for text in ax.get_legend().get_texts()]
    assert texts[:2] == ["_run=1", "_run=2"]


def test_a_stored_key_never_replaces_a_column() -> None:
    for key in sorted(metadata_module.taken_names([CONFIG])):
        made = labelled({key: "mine"}, {key: "mine"})
        with pytest.warns(UserWarning, match=f"{key!r} is shown as 'metadata.{key}'"):
            summary, seeds = made.summary(), made.seeds()
        assert summary["n_hidden"].tolist() == [16, 32]
        assert seeds["seed"].tolist() == [0, 1, 2] * 2
        for table in (summary, seeds):
            assert set(table[f"metadata.{key}"]) == {"mine"}
            assert not table.columns.duplicated().any()
    with pytest.warns(UserWarning, match=r"'metadata\.metadata\.loss'"):
        both = labelled({"loss": 1, "metadata.loss": 2}).summary()
    assert both.loc[0, ["metadata.loss", "metadata.metadata.loss"]].tolist() == [2, 1]


def test_names_of_columns_are_all_refused_as_keys() -> None:
    made = labelled({})
    made.add(fp.collect(CONFIG.replace(steps=1), target=100, metric="loss", max_seeds=2))
    names = {
        *made.seeds().columns,
        *(one for name in columns(CONFIG) for one in made.summary(name)),
    }
    names |= {"missing", "family"}  # where a value overflowed, and beside other families
    assert names == metadata_module.taken_names([CONFIG])
    for name in names:
        with pytest.raises(ValueError, match=f"must not use the names of columns, got {name}"):
            checked_metadata({name: 1}, [CONFIG])


def test_numbers_of_numpy_are_metadata() -> None:
    given = {
        "i": np.int32(3),
        "b": np.bool_(True),
        "f": np.float32(0.5),
        "d": [np.float64(0.1), {"u": np.uint8(7)}],
        "l": np.longdouble(0.25),
    }
    kept = checked_metadata(given)
    assert kept == {"i": 3, "b": True, "f": 0.5, "d": [0.1, {"u": 7}], "l": 0.25}
    assert [type(kept[name]) for name in "ibf"] == [int, bool, float]
    for bad in (np.arange(3), np.float32("nan"), 1j, np.complex64(1), b"x", {1, 2}):
        with pytest.raises(ValueError, match="metadata must be JSON"):
            checked_metadata({"a": bad})


@pytest.mark.parametrize("bad", [{"a": "\udc80"}, {"\ud800": 1}, {"a": [{"b": "x\udfff"}]}])
def test_lone_surrogates_are_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"text that UTF-8 can hold, got a lone surrogate '\\ud"):
        checked_metadata(bad)


def test_stored_lone_surrogates_can_be_shown(tmp_path: Path) -> None:
    made = labelled({"a": "caf\udce9", "b\udc80": 1})
    with pytest.warns(UserWarning, match="is shown as"):
        table = made.seeds()
    table.to_csv(tmp_path / "all.csv")
    table.to_parquet(tmp_path / "all.parquet")
    assert set(table["a"]) == {"caf\\udce9"}
    assert set(table["b\\udc80"]) == {1}


def test_empty_keys_are_refused() -> None:
    for key in ("", " "):
        with pytest.raises(ValueError, match="must have names as keys, got an empty one"):
            checked_metadata({key: 1})


def test_a_key_given_as_none_is_removed(tmp_path: Path) -> None:
    fp.collect(CONFIG, seeds=2, path=tmp_path, metadata={"keep": 1, "mistake": 2})
    study = fp.collect(CONFIG, seeds=2, path=tmp_path, metadata={"mistake": None})
    for one in (study, Study.open(tmp_path)):
        assert "mistake" not in one.summary()
        assert "mistake" not in one.seeds()
        assert one.summary()["keep"].tolist() == [1]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1, "a"], ["1", "a"]),
        ([True, 1], ["True", "1"]),
        ([True, None], [True, None]),
        ([2**60 + 1, None], [str(2**60 + 1), None]),
        ([2**60 + 1, 0.5], [str(2**60 + 1), "0.5"]),
        ([2**60 + 1, 3], [2**60 + 1, 3]),
        ([2**70, 1], [str(2**70), "1"]),
        ([3, 0.5], [3.0, 0.5]),
        ([[1, 2], {"a": 1}], ["[1, 2]", "{'a': 1}"]),
    ],
)
def test_columns_of_metadata_are_stored_unchanged(
    values: list[Any], expected: list[Any], tmp_path: Path
) -> None:
    made = labelled(*({"key": value} for value in values))
    found = made.summary()["key"].tolist()
    assert [None if pd.isna(one) else one for one in found] == expected
    made.seeds().to_parquet(tmp_path / "all.parquet")
    read = pd.read_parquet(tmp_path / "all.parquet")["key"].tolist()[::3]
    assert [None if pd.isna(one) else one for one in read] == expected


@pytest.mark.extra
def test_xarray_keeps_its_dimensions() -> None:
    pytest.importorskip("xarray")
    data = labelled({"config": "a"}, {"config": "b"}).to_xarray()
    assert data["metadata.config"].values.tolist() == ["a", "b"]
    assert data.set_index(config="n_hidden")["config"].values.tolist() == [16, 32]
