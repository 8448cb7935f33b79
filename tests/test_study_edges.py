"""Studies at the edges: probes that work in place, unusual names and types, means of 0."""

from __future__ import annotations

import importlib
import os
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

import fastpolysem as fp
from fastpolysem.probes import Column, Probe
from fastpolysem.report import _commands, _tables
from fastpolysem.studies.files import CONFIGS
from fastpolysem.studies.formatting import readable

CONFIG = fp.Config(n_features=4, n_hidden=6, l1=1e-2, steps=20)
OTHER = CONFIG.replace(n_hidden=8)
NETWORK = fp.NetworkConfig(widths=(4, 6, 4), output="relu", steps=20)


@dataclass(frozen=True)
class InPlace(Probe):
    """Changes the arrays that it is given."""

    name: ClassVar[str] = "in_place"
    columns: ClassVar[dict[str, Column]] = {"x": Column("float64", "the last recorded loss")}

    def __call__(self, result: fp.TrainingResult) -> dict[str, Any]:
        history = result.history["loss"]
        history /= history[:, :1].copy()
        np.negative(result.loss, out=result.loss)
        return {"x": history[:, -1]}


@pytest.mark.parametrize("stored", [True, False])
def test_probes_that_work_in_place_change_no_rows(tmp_path: Path, stored: bool) -> None:
    plain: dict[str, Any] = {"seeds": 3, "record": ("loss", [0, 20]), "progress": False}
    path = tmp_path if stored else None
    study = fp.collect(CONFIG, **plain, path=path, probe=InPlace())
    usual = fp.collect(CONFIG, **plain)
    np.testing.assert_array_equal(study.history(CONFIG)["loss"], usual.history(CONFIG)["loss"])
    assert study.seeds()["loss"].tolist() == usual.seeds()["loss"].tolist()


@pytest.mark.parametrize("bit", range(8))
def test_a_damaged_table_of_configurations_is_written_anew(tmp_path: Path, bit: int) -> None:
    fp.collect(CONFIG, seeds=2, path=tmp_path, metadata={"series": "a"}, progress=False)
    table = tmp_path / CONFIGS
    whole = table.read_bytes()
    for place in np.random.default_rng(bit).integers(0, len(whole), size=8):
        content = bytearray(whole)
        content[place] ^= 1 << bit
        table.write_bytes(content)
        study = fp.collect(CONFIG, seeds=2, path=tmp_path, progress=False)
        assert len(study) == 2


@pytest.mark.parametrize("digests", [[["a"], ["b"]], [1, 2], ["a", None]])
def test_a_users_table_of_that_name_is_no_error(tmp_path: Path, digests: list[Any]) -> None:
    pd.DataFrame({"digest": digests, "own": [[1, 2], [3]]}).to_parquet(tmp_path / CONFIGS)
    fp.collect(CONFIG, seeds=2, path=tmp_path, progress=False)
    assert CONFIG.digest in pq.read_table(tmp_path / CONFIGS)["digest"].to_pylist()


def test_columns_of_the_table_do_not_depend_on_the_last_call(tmp_path: Path) -> None:
    found = []
    for configs in (CONFIG, NETWORK, [CONFIG, NETWORK], NETWORK, CONFIG):
        fp.collect(configs, seeds=2, path=tmp_path, metric="loss", progress=False)
        table = pq.read_table(tmp_path / CONFIGS).to_pandas().set_index("digest")
        found.append((set(table.columns), table["family"].to_dict()))
    assert all(one == found[1] for one in found[2:])
    assert found[-1][1] == {CONFIG.digest: "autoencoder", NETWORK.digest: "network"}
    assert {"residual", "n_hidden", "widths"} <= found[-1][0]


@dataclass(frozen=True)
class Values(Probe):
    """Given values, by seed."""

    values: tuple[float, ...]
    name: ClassVar[str] = "values"
    columns: ClassVar[dict[str, Column]] = {"x": Column("float64", "anything")}

    def __call__(self, result: fp.TrainingResult) -> dict[str, Any]:
        return {"x": np.array(self.values)[result.seeds.astype(int) % len(self.values)]}


@pytest.mark.filterwarnings("ignore:collect. target=")
def test_a_target_for_a_mean_of_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whose running mean is 1e-18, and which is no metric that is always 0."""
    values = [0.1, 0.3, -0.2, -0.2, 0.1, -0.1]
    for scale in (1.0, 0.7, 1 / 3):
        probe = Values(tuple(scale * x for x in values))
        given: dict[str, Any] = {"metric": "x", "probe": probe, "progress": False}
        study = fp.collect(CONFIG, target=0.01, max_seeds=96, **given)
        assert len(study) == 96
    target = importlib.import_module("fastpolysem.studies.target")
    monkeypatch.setattr(target, "NO_EVENT_CHECKPOINT", 64)
    monkeypatch.setattr(target, "DEFAULT_MAX_SEEDS", 256)
    monkeypatch.setattr("fastpolysem.studies.options.DEFAULT_MAX_SEEDS", 256)
    signs: dict[str, Any] = {"metric": "x", "probe": Values((1.0, -1.0)), "progress": False}
    with pytest.warns(UserWarning, match="the half-width is .* and the mean 0 after 256 seeds"):
        assert len(fp.collect(CONFIG, target=0.5, **signs)) == 256
    zeros = {**signs, "probe": Values((0.0,))}
    with pytest.warns(UserWarning, match="x is 0 in all 64 seeds that did not diverge"):
        assert len(fp.collect(CONFIG, target=0.5, **zeros)) == 64


def test_what_cannot_be_trained_is_refused_before_anything_is(tmp_path: Path) -> None:
    huge = fp.Config(n_features=100_000, n_hidden=100_000, steps=1)
    for path in (None, tmp_path / "study"):
        with pytest.raises(MemoryError, match=r"collect needs about .* models in training"):
            fp.collect([CONFIG, huge], seeds=2, path=path, progress=False)
        message = r"collect: num_threads must be an integer >= 1 and <= 1024, got 2000"
        with pytest.raises(ValueError, match=message):
            fp.collect(CONFIG, seeds=2, path=path, num_threads=2000, progress=False)
        masked = np.ma.array([1, 2, 3], mask=[0, 1, 0])
        with pytest.raises(TypeError, match="collect: seeds must be a plain array, got a masked"):
            fp.collect(CONFIG, seeds=masked, path=path, progress=False)
    assert not (tmp_path / "study").exists()


def test_ctrl_c_while_reading_leaves_only_what_was_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fp.collect([CONFIG, OTHER], seeds=10, path=tmp_path, progress=False)
    module = importlib.import_module("fastpolysem.studies.collect")
    read, calls = module.read_stored, []

    def interrupted(*arguments: Any) -> Any:
        result = read(*arguments)
        calls.append(1)
        if len(calls) == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return result

    monkeypatch.setattr(module, "read_stored", interrupted)
    study = fp.collect([CONFIG, OTHER], seeds=4, path=tmp_path, progress=False)
    assert study.interrupted
    assert study.seeds()["seed"].max() < 4


def test_ctrl_c_marks_the_study_of_an_iteration() -> None:
    @dataclass(frozen=True)
    class Interrupting(Values):
        def __call__(self, result: fp.TrainingResult) -> dict[str, Any]:
            os.kill(os.getpid(), signal.SIGINT)
            return super().__call__(result)

    records = fp.iter_collect(CONFIG, seeds=4, probe=Interrupting((1.0,)))
    study = next(records).study
    assert not study.interrupted
    with pytest.raises(KeyboardInterrupt):
        list(records)
    assert study.interrupted


@dataclass(frozen=True)
class Exact(Probe):
    """Integers that no float holds, and truth values."""

    name: ClassVar[str] = "exact"
    columns: ClassVar[dict[str, Column]] = {
        "whole": Column("int64", "large"),
        "positive": Column("uint64", "largest"),
        "true": Column("bool", "whether"),
    }

    def __call__(self, result: fp.TrainingResult) -> dict[str, Any]:
        count = len(result)
        return {
            "whole": np.full(count, 2**60 + 1),
            "positive": np.full(count, 2**64 - 1, dtype=np.uint64),
            "true": np.arange(count) % 2 == 0,
        }


def test_columns_of_probes_keep_their_type_beside_missing_ones(tmp_path: Path) -> None:
    fp.collect(CONFIG, seeds=3, path=tmp_path, probe=Exact(), progress=False)
    fp.collect(OTHER, seeds=2, path=tmp_path, progress=False)
    rows = fp.Study.open(tmp_path).seeds()
    types = {"whole": "Int64", "positive": "UInt64", "true": "boolean"}
    assert rows[list(types)].dtypes.astype(str).to_dict() == types
    given = rows[rows["n_hidden"] == 6]
    assert given["whole"].tolist() == [2**60 + 1] * 3
    assert given["positive"].tolist() == [2**64 - 1] * 3
    assert rows.loc[rows["n_hidden"] == 8, "whole"].isna().all()


def test_seeds_without_a_probes_value_are_missing(tmp_path: Path) -> None:
    probe = Values((1.0,))
    fp.collect(CONFIG, seeds=4, path=tmp_path, probe=probe, progress=False)
    fp.collect(CONFIG, seeds=6, path=tmp_path, progress=False)
    row = fp.Study.open(tmp_path).summary("x").iloc[0]
    assert (row["seeds"], row["missing"], row["mean"]) == (6, 2, 1)


@dataclass(frozen=True)
class Widths(Probe):
    """A column with the name of a setting of networks."""

    name: ClassVar[str] = "widths"
    columns: ClassVar[dict[str, Column]] = {"widths": Column("float64", "ones")}

    def __call__(self, result: fp.TrainingResult) -> dict[str, Any]:
        return {"widths": np.ones(len(result))}


def test_names_of_another_familys_settings(tmp_path: Path) -> None:
    fp.collect(CONFIG, seeds=3, path=tmp_path, probe=Widths(), progress=False)
    fp.collect(NETWORK, seeds=2, path=tmp_path, progress=False)
    study = fp.Study.open(tmp_path)
    rows = study.seeds()
    assert rows.columns.is_unique
    assert rows["widths"].dropna().unique().tolist() == ["4-6-4"]
    study.to_parquet(tmp_path / "rows.parquet")


def test_the_overview_of_a_report_tells_close_values_apart() -> None:
    strengths = [0.10001 + 1e-5 * i for i in range(5)]
    configs = fp.grid(CONFIG, l1=strengths, n_hidden=[6, 7, 8, 9, 10])
    summary = fp.collect(configs, seeds=2, progress=False).summary()
    table = _tables.margins(summary, ["l1", "n_hidden"])
    assert table is not None
    shown = [row[0] for row in table.rows]
    assert len(shown) == len({tuple(one) for one in shown}) == 10


def test_whole_numbers_beside_missing_ones_are_shown_in_full() -> None:
    shown = readable(pd.DataFrame({"run": [20261127.0, 20261128.0, np.nan]}))
    assert shown["run"].tolist() == ["20261127", "20261128", "-"]


def test_a_report_of_an_interrupted_sweep_reproduces_what_there_is(tmp_path: Path) -> None:
    def stop(record: fp.studies.Progress) -> None:
        if record.seeds:
            raise KeyboardInterrupt

    study = fp.collect([CONFIG, OTHER], seeds=3, path=tmp_path / "study", progress=stop)
    assert 0 < len(study) < 6
    (command,) = fp.report.commands(study)
    assert "--seeds 3" in command
    assert "--n-hidden 6" in command
    batch = np.eye(4)
    own = CONFIG.replace(inputs=fp.FixedBatch(batch))
    study = fp.collect([own, OTHER], seeds=3, path=tmp_path / "own", progress=stop)
    assert "fp.collect(" in _commands.code(study)


def test_errors_in_memory_do_not_say_that_blocks_are_kept(tmp_path: Path) -> None:
    @dataclass(frozen=True)
    class Failing(Probe):
        name: ClassVar[str] = "failing"
        columns: ClassVar[dict[str, Column]] = {"x": Column("float64", "nothing")}

        def __call__(self, result: fp.TrainingResult) -> dict[str, Any]:
            raise ZeroDivisionError

    for path in (None, tmp_path):
        with pytest.raises(fp.studies.ProbeError) as caught:
            fp.collect(CONFIG, seeds=3, path=path, probe=Failing(), progress=False)
        assert ("kept" in str(caught.value)) == (path is not None)


def test_a_range_of_all_seeds_is_counted() -> None:
    with pytest.raises(MemoryError):
        fp.train(CONFIG, range(2**64))
    with pytest.raises(ValueError, match=r"seeds must be an integer >= 0 .*, got an integer of"):
        fp.train(CONFIG, 10**5000)


def test_flags_are_truth_values(tmp_path: Path) -> None:
    fp.collect(CONFIG, seeds=2, path=tmp_path, progress=np.bool_(False))  # type: ignore[arg-type]
    with pytest.raises(
        TypeError, match=r"Study\.open: skip_damaged must be True or False, got 'no'"
    ):
        fp.Study.open(tmp_path, skip_damaged="no")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"Study\.select: the study must have configurations"):
        fp.Study().select(n_hidden=6)
