"""Probes: columns of one's own in a study."""

from __future__ import annotations

import dataclasses
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

import fastpolysem as fp
from fastpolysem import statistics
from fastpolysem.probes import Column, Declaration, Probe, checked_probe, evaluate
from fastpolysem.studies import ConflictError, ProbeError, Study
from fastpolysem.studies.files import write_table
from helpers.probes import Largest, Late, Partial, Raising, Threads, Unknown
from helpers.small_studies import (
    CONFIG,
    CONFIGS,
    DIVERGING,
    assert_same,
    files,
    small_blocks,  # noqa: F401
)

pytestmark = pytest.mark.usefixtures("small_blocks")

PROBE = Largest()


def expected(config: fp.Config, seeds: Any) -> dict[str, Any]:
    return evaluate(PROBE, fp.train(config, seeds, return_weights=True))


def check(study: Study, seeds: Any = 10) -> None:
    """The study holds what the probe computes of a result of these seeds."""
    for config in CONFIGS:
        values = expected(config, seeds)
        for name in PROBE.columns:
            np.testing.assert_array_equal(study.probed(config, name), values[name])
            np.testing.assert_array_equal(study.values(config, name), values[name])
        np.testing.assert_array_equal(study.probed(config, "strongest"), values["strongest"])
        ragged = study.probed(config, "ragged")
        assert [array.tolist() for array in ragged] == [a.tolist() for a in values["ragged"]]
        assert all(array.dtype == np.int16 for array in ragged)


@pytest.mark.parametrize("executor", [None, ThreadPoolExecutor, ProcessPoolExecutor])
def test_a_probe_is_computed_where_blocks_are_trained(
    tmp_path: Path, executor: type[Executor] | None
) -> None:
    for path in (None, tmp_path):
        pool = None if executor is None else executor(2)  # type: ignore[call-arg]
        study = fp.collect(CONFIGS, seeds=10, path=path, probe=PROBE, executor=pool)
        check(study)
        if pool is not None:
            pool.shutdown()
    check(Study.open(tmp_path))
    plain = fp.collect(CONFIGS, seeds=10)
    assert_same(fp.collect(CONFIGS, seeds=10, path=tmp_path), plain)
    names = {file.name for file in tmp_path.rglob("probe-*")}
    key = Declaration.of(PROBE).key
    assert f"probe-0-4-{key}.parquet" in names


def test_scattered_blocks_of_a_probe(tmp_path: Path) -> None:
    seeds = [1, 4, 5, 9, 17, 40]
    study = fp.collect(CONFIGS, seeds=seeds, path=tmp_path, probe=PROBE)
    check(study, seeds)
    check(Study.open(tmp_path), seeds)
    np.testing.assert_array_equal(
        study.probed(CONFIG, "above", [40, 1]), expected(CONFIG, [40, 1])["above"]
    )
    assert len(study.probed(CONFIG, "ragged", [9, 1])) == 2


def test_columns_of_a_probe_in_tables(tmp_path: Path) -> None:
    study = fp.collect(CONFIGS, seeds=10, path=tmp_path, probe=PROBE)
    rows = study.seeds()
    assert rows.columns[-3:].tolist() == list(PROBE.columns)
    assert [str(rows[name].dtype) for name in PROBE.columns] == ["float32", "Int64", "boolean"]
    rows.to_parquet(tmp_path / "rows.pq")
    for metric in ("largest", "above"):
        table = study.summary(metric)
        for config, mean, low in zip(CONFIGS, table["mean"], table["ci_low"], strict=True):
            wanted = statistics.mean(expected(config, 10)[metric])
            assert (mean, low) == (wanted.value, wanted.low)
    with pytest.raises(ValueError, match=r"Study.summary: metric must be one of .*'above'"):
        study.summary("abov")


def test_a_column_without_values_is_not_called_diverged() -> None:
    with pytest.warns(UserWarning, match="unknown has no finite value in any of 64 seeds"):
        study = fp.collect(CONFIG, target=0.5, metric="unknown", probe=Unknown(), progress=False)
    assert len(study) == 64
    with pytest.raises(ValueError, match="did not diverge and has a value of 'unknown'"):
        fp.plots.curve(study, y="unknown")


def test_values_that_are_not_finite_are_missing(tmp_path: Path) -> None:
    options: dict[str, Any] = {"metric": "partial", "probe": Partial()}
    study = fp.collect(CONFIG, target=0.5, path=tmp_path, **options)
    row = study.summary("partial").iloc[0]
    assert (row["seeds"], row["diverged"], row["missing"]) == (64, 0, 48)
    wanted = statistics.mean([1, 2, 3, 4] * 4)
    assert (row["mean"], row["ci_low"], row["ci_high"]) == tuple(wanted)
    assert row["target_met"]
    assert_same(fp.collect(CONFIG, target=0.5, path=tmp_path, **options), study)
    assert "missing" not in study.summary()
    with pytest.warns(UserWarning, match=r"after 256 seeds \(192 of them without a finite value\)"):
        fp.collect(CONFIG, target=0.01, max_seeds=256, **options)
    record = list(fp.iter_collect(CONFIG, seeds=64, **options))[-1].configs[0]
    assert record.mean == pytest.approx(2.5)


def test_the_target_may_be_about_a_probe(tmp_path: Path) -> None:
    options: dict[str, Any] = {"target": 0.3, "metric": "above", "max_seeds": 256, "probe": PROBE}
    study = fp.collect(CONFIG, path=tmp_path, **options)
    assert study.summary("above")["target_met"].tolist() == [True]
    again = fp.collect(CONFIG, path=tmp_path, **options)
    assert_same(again, study)
    records = list(fp.iter_collect(CONFIG, path=tmp_path, **options))
    assert len(records) == 1
    assert records[0].configs[0].mean == pytest.approx(study.values(CONFIG, "above").mean())


def test_diverged_seeds_are_missing_in_the_columns_of_a_probe() -> None:
    study = fp.collect(DIVERGING, seeds=6, probe=PROBE)
    rows = study.seeds()
    assert 0 < rows["diverged"].sum() < 6
    for name in PROBE.columns:
        assert rows.loc[rows["diverged"], name].isna().all()
        assert rows.loc[~rows["diverged"], name].notna().all()
        assert len(study.values(DIVERGING, name)) == (~rows["diverged"]).sum()
        assert len(study.probed(DIVERGING, name)) == 6


@pytest.mark.extra
def test_xarray_holds_the_columns_of_a_probe() -> None:
    pytest.importorskip("xarray")
    data = fp.collect(CONFIGS, seeds=10, probe=PROBE).to_xarray()
    np.testing.assert_array_equal(data["above"].values[0], expected(CONFIG, 10)["above"])
    study = fp.collect(DIVERGING, seeds=6, probe=PROBE)
    diverged = study.seeds()["diverged"].to_numpy()
    assert np.isnan(study.to_xarray()["above"].values[0][diverged]).all()


def test_a_probe_may_look_at_the_history(tmp_path: Path) -> None:
    record = ("loss", [0, 25, 50])
    study = fp.collect(CONFIG, seeds=6, path=tmp_path, probe=Late(), record=record)
    loss = fp.train(CONFIG, 6, record=record).history["loss"]
    np.testing.assert_array_equal(study.values(CONFIG, "fall"), loss[:, 0] - loss[:, -1])


def test_a_probe_trains_with_the_threads_of_collect() -> None:
    config = fp.Config(n_features=3, n_hidden=4, steps=1)
    with ThreadPoolExecutor(1) as pool:
        for options, threads in (({"num_threads": 3}, 3), ({"executor": pool}, 1)):
            study = fp.collect(config, seeds=2, probe=Threads(), progress=False, **options)
            assert study.probed(config, "threads").tolist() == [threads] * 2


def test_finished_blocks_are_trained_again_for_a_probe(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fp.collect(CONFIGS, seeds=10, path=tmp_path, progress=False)
    before = files(tmp_path)
    assert not capsys.readouterr().err
    seen: list[str] = []

    def note(record: fp.studies.Progress) -> None:
        seen.append(capsys.readouterr().err)

    study = fp.collect(CONFIGS, seeds=14, path=tmp_path, probe=PROBE, progress=note)
    assert seen[0] == (
        "collect: 20 finished seeds lack values of the probe 'largest': they are trained again, "
        "and their rows compared with the stored ones\n"
    )
    check(study, 14)
    after = files(tmp_path)
    assert before.items() <= after.items()
    fp.collect(CONFIGS, seeds=14, path=tmp_path, probe=PROBE, progress=False)
    assert not capsys.readouterr().err


def test_rows_that_are_trained_again_have_to_be_the_same(tmp_path: Path) -> None:
    fp.collect(CONFIG, seeds=3, path=tmp_path)
    (file,) = tmp_path.rglob("seeds-0-3.parquet")
    table = pq.read_table(file)
    counts = table["benign"].to_numpy().copy()
    counts[1] += 1
    file.unlink()
    at = table.schema.get_field_index("benign")
    assert write_table(file, table.set_column(at, table.schema.field("benign"), [counts]))
    with pytest.raises(ConflictError, match="seed 1: benign is"):
        fp.collect(CONFIG, seeds=8, path=tmp_path, probe=PROBE)
    assert not list(tmp_path.rglob("probe-0-4*")), "nothing of it is kept"


@pytest.mark.parametrize("executor", [None, ThreadPoolExecutor, ProcessPoolExecutor])
def test_a_probe_that_raises_loses_no_rows(tmp_path: Path, executor: type[Executor] | None) -> None:
    pool = None if executor is None else executor(1)  # type: ignore[call-arg]
    message = (
        r"probe 'raising' failed on 4 seeds starting at 4, of Config\(.*\): "
        r"ArithmeticError: no number for this seed; the rows of this block"
    )
    with pytest.raises(ProbeError, match=message) as caught:
        fp.collect(CONFIG, seeds=8, path=tmp_path, probe=Raising(), executor=pool)
    if pool is not None:
        pool.shutdown()
    cause = caught.value.__cause__
    assert "test" in "".join(cause.__notes__) if executor is ProcessPoolExecutor else cause
    rows = fp.collect(CONFIG, seeds=8, path=tmp_path)
    assert_same(rows, fp.collect(CONFIG, seeds=8))
    assert len(rows.seeds()["seed"]) == len(Study.open(tmp_path)) == 8
    assert [file.name[:9] for file in tmp_path.rglob("probe-*")] == ["probe-0-4"]
    check_of = fp.collect(CONFIG, seeds=8, path=tmp_path, probe=Raising(at=99))
    assert len(check_of.values(CONFIG, "above")) == 8


def test_probes_of_different_keys_live_side_by_side(tmp_path: Path) -> None:
    low, high = Largest(least=0.1), Largest(least=0.9)
    one = fp.collect(CONFIGS, seeds=6, path=tmp_path, probe=low)
    two = fp.collect(CONFIGS, seeds=6, path=tmp_path, probe=high)
    assert (one.values(CONFIG, "above") > two.values(CONFIG, "above")).all()
    both = Study.open(tmp_path)
    for probe, study in ((low, one), (high, two)):
        name = f"{Declaration.of(probe).key}.above"
        np.testing.assert_array_equal(both.values(CONFIG, name), study.values(CONFIG, "above"))
        assert name in both.seeds()
    joined = Study()
    joined.add(one)
    joined.add(two)
    pd.testing.assert_frame_equal(joined.seeds(), both.seeds())


def test_a_study_that_lacks_a_probe_in_places(tmp_path: Path) -> None:
    fp.collect(CONFIGS[0], seeds=4, path=tmp_path, probe=PROBE)
    fp.collect(CONFIGS, seeds=8, path=tmp_path)
    study = Study.open(tmp_path)
    assert study.seeds()["above"].notna().tolist() == [True] * 4 + [False] * 12
    assert len(study.values(CONFIG, "above")) == 4
    with pytest.raises(KeyError, match="above of seed 4 was not stored"):
        study.probed(CONFIG, "above")
    assert len(study.probed(CONFIG, "above", [0, 3])) == 2
    with pytest.raises(KeyError, match="was not stored"):
        study.probed(CONFIGS[1], "above")
    assert np.isnan(study.summary("above")["mean"].to_numpy()).tolist() == [False, True]


def test_a_probe_that_was_broken_off_goes_on(tmp_path: Path) -> None:
    """A study has only those seeds that have all that was asked for."""
    fp.collect(CONFIG, seeds=12, path=tmp_path)

    def stop(record: fp.studies.Progress) -> None:
        if record.seeds >= 4:
            raise KeyboardInterrupt

    options: dict[str, Any] = {"seeds": 12, "path": tmp_path, "probe": PROBE, "num_threads": 1}
    study = fp.collect(CONFIG, progress=stop, **options)
    assert study.interrupted
    assert study.seeds()["seed"].tolist() == [0, 1, 2, 3]
    assert study.seeds()["above"].notna().all()
    again = fp.collect(CONFIG, **options)
    np.testing.assert_array_equal(again.values(CONFIG, "above"), expected(CONFIG, 12)["above"])


# Files.


def test_damaged_files_of_a_probe_are_named(tmp_path: Path) -> None:
    fp.collect(CONFIG, seeds=8, path=tmp_path, probe=PROBE)
    assert not Study.check(tmp_path)
    first, second = sorted(tmp_path.rglob("probe-*"))
    content = second.read_bytes()
    damaged = bytearray(content)
    at = content.index(np.float32(expected(CONFIG, [4])["largest"][0]).tobytes())
    damaged[at] ^= 1
    second.write_bytes(damaged)
    (damage,) = Study.check(tmp_path)
    assert damage.path == second
    with pytest.raises(fp.studies.DamagedStudyError, match="corrupt"):
        Study.open(tmp_path).values(CONFIG, "above")
    with pytest.raises(fp.studies.DamagedStudyError, match="corrupt"):
        fp.collect(CONFIG, seeds=8, path=tmp_path, probe=PROBE, target=None, metric="above")
    with pytest.warns(UserWarning, match="moved to"):
        study = Study.open(tmp_path, skip_damaged=True)
    assert len(study.values(CONFIG, "above")) == 4
    first.rename(first.with_name(first.name.replace("largest", "another")))
    (damage,) = Study.check(tmp_path)
    assert "contains values of the probe largest-1-" in damage.reason


def test_the_key_tells_probes_apart() -> None:
    keys = [Declaration.of(probe).key for probe in (Largest(), Largest(0.25), Raising(), Late())]
    assert len(set(keys)) == 4
    assert Declaration.of(Largest(0.5)).key == keys[0]
    assert Declaration.from_json(Declaration.of(Largest()).to_json()) == Declaration.of(Largest())
    newer = dataclasses.make_dataclass("Newer", [], bases=(Largest,), frozen=True)
    newer.version = 2  # type: ignore[attr-defined]
    assert Declaration.of(newer()).key not in keys


# What is refused.


@dataclasses.dataclass(frozen=True)
class Parts(Largest):
    held: Any = None


class Plain(Largest):
    pass


@dataclasses.dataclass(frozen=True)
class Clashing(Largest):
    columns: ClassVar = {"n_hidden": Column("int64", "a setting's name")}


@dataclasses.dataclass(frozen=True)
class OfResults(Largest):
    columns: ClassVar = {"loss": Column("float64", "a result's name")}


@dataclasses.dataclass(frozen=True)
class Strange(Largest):
    columns: ClassVar = {"x": Column("complex128", "of a type that tables do not have")}


@dataclasses.dataclass(frozen=True)
class Twice(Largest):
    columns: ClassVar = {"strongest": Column("float32", "the same name as an array")}


@pytest.mark.parametrize(
    ("probe", "error", "message"),
    [
        (lambda result: {}, TypeError, "collect: probe must be an instance of a subclass"),
        (Largest, TypeError, "create an instance of the class"),
        (Plain(), TypeError, "@dataclass"),
        (Parts(held=lambda: 1), TypeError, "probe: largest.held must be numbers"),
        (Clashing(), ValueError, "must not use the names of columns or settings, got n_hidden"),
        (OfResults(), ValueError, "got loss"),
        (Strange(), ValueError, "x: dtype must be one of"),
        (Twice(), ValueError, "got strongest twice"),
    ],
)
def test_what_is_no_probe_is_refused(probe: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        fp.collect(CONFIG, seeds=1, probe=probe)


@dataclasses.dataclass(frozen=True)
class Given(Probe):
    """Returns what it is given, for each seed of a block."""

    name = "given"
    columns: ClassVar = {"x": Column("float64", "anything")}
    values: Any = ()

    def __call__(self, result: fp.TrainingResult) -> dict[str, Any]:
        return {name: np.asanyarray(self.values) for name in (*self.columns, *self.arrays)}


def given(dtype: str, bounds: Any, values: Any, *, arrays: bool = False) -> Any:
    """A probe with one column, or array, of this type and these bounds."""
    column = {"x": Column(dtype, "anything", bounds)}
    members = {"columns": {} if arrays else column, "arrays": column if arrays else {}}
    cls = dataclasses.make_dataclass("Own", [], bases=(Given,), namespace=members, frozen=True)
    return cls(values=values)


@pytest.mark.parametrize(
    ("bounds", "error"),
    [
        ((1, 0), ValueError),
        ((1, 1), ValueError),
        ((np.nan, 1), ValueError),
        ((0, 1, 2), ValueError),
        (3, TypeError),
        (("0", "1"), TypeError),
    ],
)
@pytest.mark.parametrize("arrays", [False, True])
def test_wrong_bounds_are_refused(bounds: Any, error: type[Exception], arrays: bool) -> None:
    probe = given("float64", bounds, [0.0], arrays=arrays)
    with pytest.raises(error, match=r"collect: probe: x: bounds must be a pair \(low, high\)"):
        fp.collect(CONFIG, seeds=1, probe=probe)


@pytest.mark.parametrize(
    ("dtype", "bounds", "values", "message"),
    [
        ("float64", (0, 1), [0.5, 2.0], r"within its bounds \(0, 1\), got 2\.0"),
        ("float64", (None, 1), [-5.0, np.inf], r"within its bounds \(None, 1\), got inf"),
        ("float32", (0, None), [-1e-3, 5.0], r"within its bounds \(0, None\), got -0\.001"),
        ("int64", (1, 8), [0, 9], r"within its bounds \(1, 8\), got 0"),
        ("float32", None, [0.0, 1e300], r"a number that float32 can hold, got 1e\+300"),
        ("int8", None, [1, 200], "a number that int8 can hold, got 200"),
        ("float64", None, np.ma.masked_array([0.0, 1.0], [False, True]), "got a masked one"),
    ],
)
def test_values_that_were_not_declared_are_refused(
    tmp_path: Path, dtype: str, bounds: Any, values: Any, message: str
) -> None:
    for arrays in (False, True):
        probe = given(dtype, bounds, values, arrays=arrays)
        with pytest.raises(ProbeError, match=f"probe 'given': x must .*{message}"):
            fp.collect(CONFIG, seeds=2, path=tmp_path, probe=probe)
    assert len(Study.open(tmp_path)) == 2  # the rows are kept
    assert not list(tmp_path.rglob("probe-*"))


def test_values_within_their_bounds(tmp_path: Path) -> None:
    """What exceeds a bound by rounding becomes the bound, nan is missing, and seeds that diverged
    may have any value."""
    share = np.array([1 + 2**-52, np.nan, -1e-16, 0.5])
    study = fp.collect(CONFIG, seeds=4, path=tmp_path, probe=given("float64", (0, 1), share))
    np.testing.assert_array_equal(study.probed(CONFIG, "x"), [1, np.nan, 0, 0.5])
    assert study.summary("x")["mean"][0] == 0.5
    single = np.array([1 + 2**-23, 1], dtype=np.float32)  # rounded as that was computed
    for arrays in (False, True):
        probe = given("float64", (0, 1), single, arrays=arrays)
        assert fp.collect(CONFIG, seeds=2, probe=probe).probed(CONFIG, "x").tolist() == [1, 1]
    probe = given("float64", (0, 1), single.astype(np.float64))
    with pytest.raises(ProbeError, match=r"got 1\.00000011"):  # in float64 this is no rounding
        fp.collect(CONFIG, seeds=2, probe=probe)
    diverged = fp.train(DIVERGING, 6).diverged
    probe = given("float32", (0, 1), np.where(diverged, -1e300, 0.5))
    study = fp.collect(DIVERGING, seeds=6, probe=probe)
    assert study.summary("x")["mean"][0] == 0.5
    assert (study.probed(DIVERGING, "x") == np.where(diverged, -np.inf, 0.5)).all()


def test_bounds_of_any_number_type_are_stored(tmp_path: Path) -> None:
    probe = given("float64", (np.int64(0), np.float32(np.inf)), [0.5, 1.0])
    fp.collect(CONFIG, seeds=2, path=tmp_path, probe=probe)
    study = Study.open(tmp_path)
    assert study._probed_columns()["x"].bounds == (0, None)
    assert study.summary("x")["mean"][0] == 0.75


def test_a_probe_of_other_models_is_refused_before_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = fp.NetworkConfig(widths=(3, 2, 3), steps=1)
    pairs = [(fp.measures.Controls(), CONFIG, "Controls: config must be a NetworkConfig")]
    pairs += [(fp.probes.DistributionLoss(), network, "networks have the column loss")]
    for probe, config, message in pairs:
        with pytest.raises(TypeError, match=message):
            fp.collect(config, seeds=2, path=tmp_path, probe=probe)
        assert not list(tmp_path.iterdir())
        with pytest.raises(TypeError, match=message):
            probe(fp.train(config, 1, return_weights=True))


def test_metadata_do_not_take_the_names_of_a_probe() -> None:
    with pytest.raises(ValueError, match="metadata must not use the names of columns, got above"):
        fp.collect(CONFIG, seeds=1, probe=PROBE, metadata={"above": 1})


def test_parameters_may_be_arrays() -> None:
    keys = {
        checked_probe("test", Parts(held=value)).key
        for value in (np.zeros(2), np.zeros(3), (0.0, 0.0), [0.0, 0.0], {"a": 1}, 0, 0.0, False)
    }
    assert len(keys) == 8


def test_a_local_probe_is_refused_before_a_pool_gets_anything() -> None:
    @dataclasses.dataclass(frozen=True)
    class Local(Largest):
        pass

    local: Probe = Local()
    with ProcessPoolExecutor(1) as pool:
        with pytest.raises(TypeError, match="at the top level of a module"):
            fp.collect(CONFIG, seeds=1, probe=local, executor=pool)
        assert not pool._processes
    with ThreadPoolExecutor(1) as threads:
        assert len(fp.collect(CONFIG, seeds=1, probe=local, executor=threads)) == 1
    assert len(fp.collect(CONFIG, seeds=1, probe=local)) == 1


DISTRIBUTIONS = {
    "independent": fp.Independent(0.3, 16),
    "correlated": fp.CorrelatedBlocks(2, 2, 16),
    "basis": fp.Basis(),
    "fixed": fp.FixedBatch(np.eye(6)[:4] + 0.5 * np.eye(6)[1:5]),
}


@pytest.mark.parametrize("inputs", DISTRIBUTIONS)
@pytest.mark.parametrize("tied", [True, False])
def test_the_loss_on_the_training_distribution(inputs: str, tied: bool) -> None:
    """Against its definition in NumPy, on rows from the distribution."""
    probe = fp.probes.DistributionLoss(rows=3000)
    given = DISTRIBUTIONS[inputs]
    config = fp.Config(
        n_features=6, n_hidden=4, l1=0.02, repulsion=0.1, steps=50, inputs=given, tied=tied
    )
    if tied:
        config = config.replace(l1_update="orthant")
    config = config.replace(learning_rate=1e-2, dtype="float64")
    result = fp.train(config, 3, return_weights=True)
    found = probe(result)["distribution_loss"]
    rows = probe._batch(config)
    scale = 1.0
    if rows is None:
        rows = np.eye(6) if inputs == "basis" else given.to_dense()
    else:
        assert rows.shape == (3000, 6)
        on = {"independent": 0.3, "correlated": 1 / 3}[inputs]
        assert np.allclose((rows != 0).mean(axis=0), on, atol=0.05)
        scale = 1 / (3000 * on)
    for seed in range(3):
        parts = result.weights if isinstance(result.weights, tuple) else (result.weights,) * 2
        encoder, decoder = (part[seed] for part in parts[:2])
        errors = np.maximum(rows @ encoder @ decoder.T, 0) - rows
        assert found[seed] == pytest.approx(scale * (errors**2).sum(), rel=1e-9)


def test_the_loss_on_the_distribution_in_a_study(tmp_path: Path) -> None:
    config = fp.Config(n_features=6, n_hidden=4, steps=20, inputs=fp.Independent(0.3, 16))
    probe = fp.probes.DistributionLoss(rows=64)
    study = fp.collect(config, seeds=5, path=tmp_path, probe=probe, progress=False)
    rows = fp.Study.open(tmp_path).seeds()
    direct = probe(fp.train(config, 5, return_weights=True))["distribution_loss"]
    assert rows["distribution_loss"].tolist() == direct.tolist()
    assert study.summary("distribution_loss")["mean"][0] == pytest.approx(direct.mean())


@pytest.mark.parametrize(
    "changes",
    [
        {"l1_update": "orthant"},
        {"l1_update": "orthant", "stop": "certified"},
        {"l1_target": "activations"},
        {"l1_schedule": ((0, 1.0), (10, 0.5))},
        {"dropout": 0.2},
        {"noise": "gaussian", "noise_std": 0.1},
    ],
    ids=str,
)
def test_the_loss_on_the_distribution_with_every_penalty(changes: dict[str, Any]) -> None:
    config = fp.Config(n_features=6, n_hidden=4, l1=0.01, steps=20, **changes)
    result = fp.train(config, 2, return_weights=True)
    found = fp.probes.DistributionLoss()(result)["distribution_loss"]
    assert found == pytest.approx(result.loss)  # of the basis


def test_the_loss_on_the_distribution_refuses() -> None:
    with pytest.raises(ValueError, match="DistributionLoss: rows must be"):
        fp.probes.DistributionLoss(rows=0)
    networks = fp.train(fp.NetworkConfig(widths=(3, 2, 3), steps=1), 1, return_weights=True)
    with pytest.raises(TypeError, match="networks have the column loss"):
        fp.probes.DistributionLoss()(networks)
