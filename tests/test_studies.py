"""Collecting: what comes back, and when it stops."""

from __future__ import annotations

import concurrent.futures
import itertools
import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fastpolysem as fp
from fastpolysem import statistics
from fastpolysem.studies import Progress, Study, block_size, blocks
from fastpolysem.studies.options import checked_seeds
from fastpolysem.studies.seedsets import SeedSet
from helpers.small_studies import (
    CONFIG,
    CONFIGS,
    DIVERGING,
    SPEED,
    assert_same,
    files,
    small_blocks,  # noqa: F401
)

pytestmark = pytest.mark.usefixtures("small_blocks")


def test_blocks_are_about_a_second_of_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "_SPEED", 1.5e11)
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
    cut = list(SeedSet.of(seeds).cut(4))
    assert cut == [(1, 4), (4, 6), (9, 11), (2**64 - 2, 2**64)]
    together = [SeedSet([block]).array() for block in cut]
    np.testing.assert_array_equal(np.concatenate(together), seeds)


@given(
    st.sets(st.integers(0, 60) | st.integers(2**64 - 20, 2**64 - 1)),
    st.sets(st.integers(0, 60) | st.integers(2**64 - 20, 2**64 - 1)),
    st.sampled_from([1, 2, 8]),
)
def test_sets_of_seeds_are_sets(one: set[int], other: set[int], size: int) -> None:
    def made(seeds: set[int]) -> SeedSet:
        return SeedSet.of(np.array(sorted(seeds, reverse=True), dtype=np.uint64))

    def held(seeds: SeedSet) -> list[int]:
        assert seeds.count == len(seeds.array())
        assert seeds == SeedSet(seeds.ranges)
        assert all(stop < first for (_, stop), (first, _) in itertools.pairwise(seeds.ranges))
        return seeds.array().tolist()

    a, b = made(one), made(other)
    assert held(a) == sorted(one)
    assert held(a - b) == sorted(one - other)
    assert held(a & b) == sorted(one & other)
    assert held(a | b) == sorted(one | other)
    everything = np.array(sorted(one | other), dtype=np.uint64)
    assert a.contains(everything).tolist() == [seed in one for seed in everything.tolist()]
    pieces = [held(block) for block in a.blocks(size)]
    assert list(itertools.chain(*pieces)) == sorted(one)
    for before, after in itertools.pairwise(pieces):
        assert len(before) <= size
        if after[0] == before[-1] + 1:
            assert after[0] % size == 0
        else:  # what comes next, to the next gap or multiple, would have been too much
            first, stop = next(made(set(after)).cut(size))
            assert len(before) + stop - first > size


def test_scattered_seeds_share_blocks(tmp_path: Path) -> None:
    seeds = range(3, 123, 3)
    options: dict[str, Any] = {"keep_weights": True, "record": ("loss", [0, 50])}
    study = fp.collect(CONFIG, seeds=seeds, path=tmp_path, **options)
    for kind in ("seeds", "weights", "history"):
        assert len(list(tmp_path.rglob(f"{kind}-*.parquet"))) == len(seeds) / block_size(CONFIG)
    consecutive = fp.collect(CONFIG, seeds=range(3, 123), **options)
    rows = consecutive.seeds()
    wanted = rows[rows["seed"].isin(seeds)]["loss"]
    for one in (study, Study.open(tmp_path)):
        assert one.seeds()["seed"].tolist() == list(seeds)
        np.testing.assert_array_equal(one.seeds()["loss"], wanted)
        np.testing.assert_array_equal(
            one.weights(CONFIG, [6, 120]), consecutive.weights(CONFIG, [6, 120])
        )
        assert sorted(set(one.history(CONFIG)["seed"])) == list(seeds)
    assert Study.check(tmp_path) == []
    before = files(tmp_path)
    again = fp.collect(CONFIG, seeds=range(3, 123), path=tmp_path, **options)
    assert_same(again, consecutive)
    assert files(tmp_path).items() >= before.items()
    assert len(files(tmp_path)) < len(before) + 120 / block_size(CONFIG) + 2


@pytest.mark.parametrize("pool", [False, True])
def test_scattered_seeds_take_no_more_tasks(pool: bool) -> None:
    with concurrent.futures.ThreadPoolExecutor(2) as executor:
        options: dict[str, Any] = {"executor": executor} if pool else {"num_threads": 1}
        records = list(fp.iter_collect(CONFIG, seeds=range(0, 240, 6), **options))
    assert records[-1].seeds == 40
    assert len(records) == 1 + 40 / block_size(CONFIG)


def test_sets_of_seeds_that_begin_and_end_alike_have_files_of_their_own(tmp_path: Path) -> None:
    for seeds in ([0, 1, 5], [0, 2, 5], [0, 3, 5]):
        fp.collect(CONFIG, seeds=seeds, path=tmp_path / str(seeds[1]))
        for file in files(tmp_path / str(seeds[1])):
            copy = tmp_path / "all" / CONFIG.digest / file.name
            copy.parent.mkdir(parents=True, exist_ok=True)
            assert not copy.exists()
            copy.write_bytes(file.read_bytes())
            (copy.parent / "config.json").write_bytes((file.parent / "config.json").read_bytes())
    names = [file.name for file in files(tmp_path / "all")]
    assert len(names) == 3
    assert all(name.startswith("seeds-0-6-") for name in names)
    assert_same(Study.open(tmp_path / "all"), fp.collect(CONFIG, seeds=[0, 1, 2, 3, 5]))


def test_the_name_of_a_scattered_block_is_compared_with_its_seeds(tmp_path: Path) -> None:
    fp.collect(CONFIG, seeds=[0, 2, 4], path=tmp_path, keep_weights=True)
    for kind in ("seeds", "weights"):
        (file,) = tmp_path.rglob(f"{kind}-*.parquet")
        for wrong in (f"{kind}-0-5", f"{kind}-0-5-0123456789abcdef", f"{kind}-0-3"):
            renamed = file.rename(file.with_name(f"{wrong}.parquet"))
            (damage,) = Study.check(tmp_path)
            assert damage.path == renamed
            assert "seeds starting at 0 that its name specifies" in damage.reason
            renamed.rename(file)


def test_where_blocks_end_does_not_depend_on_what_is_stored(tmp_path: Path) -> None:
    fp.collect(CONFIG, seeds=[5], path=tmp_path)
    fp.collect(CONFIG, seeds=10, path=tmp_path)
    names = {file.name for file in files(tmp_path)}
    assert {"seeds-0-4.parquet", "seeds-5-1.parquet", "seeds-8-2.parquet"} < names
    assert len(names) == 4
    assert_same(Study.open(tmp_path), fp.collect(CONFIG, seeds=10))


@pytest.mark.parametrize(
    ("seeds", "first", "last", "count"),
    [
        (range(2**64), 0, 2**64 - 1, 2**64),
        (range(2**64 - 1, -1, -1), 0, 2**64 - 1, 2**64),
        (range(9, 0, -4), 1, 9, 3),
        (range(0, 2**64, 2**62), 0, 3 * 2**62, 4),
        (range(7, 8, 2**70), 7, 7, 1),
        (np.array([5, 3], dtype=np.int8), 3, 5, 2),
        (np.array([2**64 - 1, 0], dtype=np.uint64), 0, 2**64 - 1, 2),
    ],
)
def test_seeds_as_ranges_and_arrays(seeds: Any, first: int, last: int, count: int) -> None:
    checked = checked_seeds(seeds)
    assert checked.count == count
    assert (checked.ranges[0][0], checked.ranges[-1][1]) == (first, last + 1)


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


@pytest.mark.parametrize(
    ("call", "keywords", "message"),
    [
        (fp.collect, {"sedes": 2}, "collect has no argument 'sedes'; did you mean 'seeds'?"),
        (fp.iter_collect, {"sedes": 2}, "iter_collect has no argument 'sedes'; did you mean"),
        (fp.iter_collect, {"progress": True}, "'progress'; it yields the progress instead"),
        (fp.iter_collect, {"on_interrupt": "return"}, "'on_interrupt'; Ctrl-C raises"),
    ],
)
def test_unknown_arguments_are_named(call: Any, keywords: dict[str, Any], message: str) -> None:
    with pytest.raises(TypeError, match=re.escape(message)):
        call(CONFIG, **keywords)


def test_configurations_proceed_alike(tmp_path: Path) -> None:
    fp.collect(CONFIGS[1], seeds=5, path=tmp_path)
    records = list(fp.iter_collect(CONFIGS, seeds=16, path=tmp_path, num_threads=1))
    assert records[0].reused == 5
    for before, after in itertools.pairwise(records):
        shares = [one.seeds / one.goal for one in before.configs]
        pairs = zip(before.configs, after.configs, strict=True)
        grown = [new.seeds > old.seeds for old, new in pairs]
        assert grown == [place == shares.index(min(shares)) for place in range(len(CONFIGS))]
        # The time left, by what the seeds cost.
        work = [blocks.flops_of_seed(config) for config in CONFIGS]
        done = np.dot(work, [one.seeds for one in after.configs]) - 5 * work[1]
        left = np.dot(work, [one.goal - one.seeds for one in after.configs])
        assert after.seconds_left == pytest.approx(after.seconds * left / done)


def test_there_is_progress_within_a_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "_SPEED", 1.5e11)
    config = CONFIG.replace(n_hidden=64, steps=3000)
    records: list[Progress] = []
    fp.collect(config, seeds=300, progress=records.append, num_threads=1)
    assert block_size(config) >= 300
    training = [record.configs[0].training for record in records]
    assert len(records) > 3
    assert any(0 < one < 300 for one in training)
    assert records[-1].configs[0].training == 0


# Stopping at a precision.


def test_target_stops_at_the_first_checkpoint_that_is_precise_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "_SPEED", 8 * SPEED)
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
    monkeypatch.setattr(blocks, "_SPEED", 8 * SPEED)
    with concurrent.futures.ThreadPoolExecutor(3) as executor:
        study = fp.collect(CONFIGS, target=0.08, metric="loss", executor=executor)
    assert_same(study, fp.collect(CONFIGS, target=0.08, metric="loss"))


def test_target_ends_at_the_cap() -> None:
    with pytest.warns(UserWarning, match="target=1e-06 was not reached by 1 of 1 configs"):
        assert len(fp.collect(CONFIG, target=1e-6, max_seeds=100)) == 100
    with pytest.warns(UserWarning, match="target=1e-06 was not reached by 1 of 1 configs"):
        assert len(fp.collect(CONFIG, target=1e-6, max_seeds=10)) == 10


def test_no_event_is_never_precise() -> None:
    config = CONFIG.replace(steps=0)  # nothing is polysemantic at the start
    with pytest.warns(UserWarning, match="polysemantic is 0 in all 128 seeds"):
        study = fp.collect(config, target=0.5, max_seeds=128)
    assert study.values(config).max() == 0
    assert len(study) == 128


@pytest.mark.parametrize("pool", [False, True])
def test_a_study_says_which_targets_were_met(
    pool: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "_SPEED", 100 * SPEED)
    lost = DIVERGING.replace(learning_rate=5.0, steps=200)
    configs = [CONFIG, CONFIG.replace(steps=0), lost]
    options: dict[str, Any] = {"target": 0.5, "metric": "dead", "path": tmp_path}
    with concurrent.futures.ThreadPoolExecutor(2) as executor:
        options["executor"] = executor if pool else None
        with pytest.warns(UserWarning, match="was not reached by 1 of 3 configs") as caught:
            study = fp.collect(configs, **options)
    assert f"{lost!r}: all 64 seeds diverged" in str(caught[0].message)
    summary = study.summary("dead")
    assert summary["target_met"].tolist() == [True, True, False]
    assert summary["seeds"].tolist() == [64, 64, 64]
    # A run of given seeds had no target; what is added keeps its verdict, unless its rows change.
    assert "target_met" not in fp.collect(CONFIG, seeds=64, path=tmp_path).summary()
    study.add(fp.train(CONFIG, 70))
    study.add(fp.collect(CONFIGS[1], target=0.5, metric="dead"))
    assert study.summary()["target_met"].tolist() == [None, True, False, True]


def test_a_mean_of_zero_ends_early_unless_seeds_are_insisted_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(blocks, "_SPEED", 1e12)
    config = CONFIG.replace(steps=0, n_hidden=64)  # nothing is polysemantic at the start
    with pytest.warns(UserWarning, match="polysemantic is 0 in all 1024 seeds"):
        study = fp.collect(config, target=0.1)
    assert len(study) == 1024
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        study = fp.collect(config, target=0.1, max_seeds=3000)
    assert len(study) == 3000
    early, last = [str(one.message) for one in said]
    assert early.startswith("collect: no target can be reached so far by ")
    assert early.endswith("training continues up to max_seeds=3000")
    assert "0 in all 1024 seeds" in early
    assert "0 in all 3000 seeds" in last


def test_an_interrupted_target_is_not_met() -> None:
    def stop(record: Progress) -> None:
        raise KeyboardInterrupt

    study = fp.collect(CONFIG, target=0.5, progress=stop)
    assert study.interrupted
    assert study.summary()["target_met"].tolist() == [False]


# Arguments.


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"seeds": 0}, "collect: seeds must be an integer >= 1 and .*, got 0"),
        ({"seeds": []}, "seeds must hold at least one"),
        ({"seeds": [1, 5, 1]}, "seeds must be different, got 1 more than once"),
        ({"seeds": [-1]}, r"seeds\[0\] must be an integer >= 0"),
        ({"seeds": 1.5}, "seeds must be"),
        ({"seeds": 10**15, "path": None}, "needs about .* of memory .* use fewer seeds"),
        ({"target": 0.1, "max_seeds": 10**15, "path": None}, "needs about .* of memory .* path"),
        ({"seeds": range(2**64 - 2, 2**64 + 1)}, "seeds must be integers < 18446744073709551616"),
        ({"seeds": range(0, 2**65, 2)}, "seeds must be integers < 18446744073709551616"),
        ({"seeds": range(3, -2, -1)}, r"seeds must be integers >= 0, got range\(3, -2, -1\)"),
        ({"seeds": range(5, 5)}, "seeds must hold at least one seed, got range"),
        ({"seeds": range(0, 2**48, 2)}, "memory .* a list of 140737488355328 seeds.* need no list"),
        ({"seeds": range(0, 2**64, 2)}, "memory .* a list of 9223372036854775808 seeds"),
        ({"seeds": np.array([1, -1])}, r"seeds\[1\] must be an integer >= 0, got -1"),
        ({"seeds": np.array([1, 5, 1])}, "seeds must be different, got 1 more than once"),
        ({"seeds": 1, "keep_weights": 1}, "keep_weights must be True or False, got 1"),
        ({"seeds": 1, "record": "loss"}, "record must be a Record or a pair"),
        (
            {"seeds": 1, "record": ("loss", [51])},
            "record must ask for steps <= 50, as many as are taken, got 51",
        ),
        ({}, "exactly one of seeds and target"),
        ({"seeds": 3, "target": 0.1}, "exactly one of seeds and target"),
        ({"seeds": 3, "max_seeds": 9}, "max_seeds must be left out without target, got 9"),
        ({"target": 0.0}, "target must be a finite number > 0"),
        ({"target": 0.1, "max_seeds": 1}, "max_seeds must be an integer >= 2"),
        ({"seeds": 1, "metric": "polysemantc"}, "did you mean 'polysemantic'"),
        ({"seeds": 1, "executor": 4}, "executor must be None or a"),
        ({"seeds": 1, "num_threads": 0}, "num_threads must be an integer >= 1"),
        ({"seeds": 1, "progress": "yes"}, "progress must be True, False, None or a function"),
        ({"seeds": 1, "on_interrupt": "rise"}, "on_interrupt must be .*; did you mean 'raise'"),
        ({"seeds": 1, "metadata": {"a": object()}}, "metadata must be JSON"),
        ({"seeds": 1, "metadata": {"seed": 1}}, "metadata must not use the names of columns"),
        ({"seeds": 1, "metadata": {"family": 1}}, "metadata must not use the names of columns"),
        ({"seeds": 1, "metadata": [1]}, "metadata must be a mapping"),
    ],
)
def test_bad_arguments_are_named_before_anything_happens(
    arguments: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises((TypeError, ValueError, MemoryError), match=message):
        fp.collect(CONFIG, **{"path": tmp_path / "study", **arguments})
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


def test_what_is_no_configuration_of_a_study() -> None:
    study = fp.collect(CONFIG, seeds=2)
    for name in ("seeds", "values", "weights", "history"):
        with pytest.raises(TypeError, match=rf"Study.{name}: config must be a configuration or it"):
            getattr(study, name)(3)
        with pytest.raises(KeyError, match=f"Study.{name}: the study does not contain the config"):
            getattr(study, name)("abc")
    with pytest.raises(KeyError, match=r"Study.probed: the study has no values of a probe"):
        study.probed(CONFIG, "x")
