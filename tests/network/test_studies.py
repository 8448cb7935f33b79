"""Studies of networks: collected, killed, resumed, on executors, summarised and reported."""

from __future__ import annotations

import concurrent.futures
import multiprocessing
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import fastpolysem as fp
from fastpolysem.studies import Study
from helpers.small_studies import (
    assert_same,
    collect_under_kills,
    digest_of,
    files,
    small_blocks,  # noqa: F401
)

pytestmark = pytest.mark.usefixtures("small_blocks")

SAMPLED = fp.NetworkConfig(
    widths=(6, 8, 6),
    bias=True,
    output="relu",
    inputs=fp.Independent(tuple(0.5 / (i + 1) for i in range(6)), 16, "signed_uniform"),
    target=fp.targets.Absolute(),
    l1=1e-3,
    noise="gaussian",
    noise_std=0.1,
    optimizer="adam",
    steps=20,
)
ROWS = np.random.default_rng(0).normal(size=(40, 6))
CLASSES = ROWS[:, :3].argmax(axis=1)


def labelled(factor: float = 1, **changes: Any) -> fp.NetworkConfig:
    data = fp.Dataset(factor * ROWS[:30], CLASSES[:30], 8, 0.2, (factor * ROWS[30:], CLASSES[30:]))
    return fp.NetworkConfig(
        widths=(6, 8, 5, 3),
        bias=True,
        dropout=(0.2, 0.0),
        inputs=data,
        loss=fp.losses.CrossEntropy(),
        steps=20,
    ).replace(**changes)


# In the order of a study that is opened.
CONFIGS = [SAMPLED.replace(widths=(6, 5, 5, 6)), labelled(), SAMPLED]
KEPT: dict[str, Any] = {"record": (["loss", "dead"], [0, 10, 20]), "keep_weights": True}


def same_arrays(one: Study, other: Study) -> None:
    for config in CONFIGS:
        assert one.history(config).equals(other.history(config))
        for name in ("weights", "biases"):
            parts = getattr(one.weights(config), name), getattr(other.weights(config), name)
            for a, b in zip(*parts, strict=True):
                assert a.tobytes() == b.tobytes()


def test_a_study_holds_what_training_gives(tmp_path: Path) -> None:
    study = fp.collect(CONFIGS, seeds=7, path=tmp_path, **KEPT)
    for config in CONFIGS:
        result = fp.train(config, 7, record=KEPT["record"], return_weights=True)
        for name, values in result.columns.items():
            assert np.array_equal(study.values(config, name), values), name
        for a, b in zip(study.weights(config).weights, result.weights.weights, strict=True):
            assert np.array_equal(a, b)
        table = study.history(config)
        assert np.array_equal(table["dead"].to_numpy().reshape(7, 3), result.history["dead"])
    same_arrays(Study.open(tmp_path), study)


def test_a_stopped_study_resumes(tmp_path: Path) -> None:
    fp.collect(CONFIGS[1:], seeds=5, path=tmp_path, **KEPT)
    study = fp.collect(CONFIGS, seeds=11, path=tmp_path, **KEPT)
    pristine = fp.collect(CONFIGS, seeds=11, **KEPT)
    assert digest_of(study) == digest_of(pristine) == digest_of(Study.open(tmp_path))
    same_arrays(study, pristine)
    before = files(tmp_path)
    fp.collect(CONFIGS, seeds=11, path=tmp_path, **KEPT)
    assert files(tmp_path) == before
    assert len(list((tmp_path / "data").iterdir())) == 1


def test_processes_change_nothing(tmp_path: Path) -> None:
    """With a folder the workers read the data set there, without one it is sent to them."""
    spawn = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(2, mp_context=spawn) as executor:
        study = fp.collect(CONFIGS, seeds=9, executor=executor, path=tmp_path)
        again = fp.collect(CONFIGS, seeds=9, executor=executor)
    assert_same(study, fp.collect(CONFIGS, seeds=9))
    assert_same(again, study)
    assert_same(Study.open(tmp_path), study)


def test_workers_name_a_data_set_that_is_gone(tmp_path: Path) -> None:
    config = labelled(2)
    fp.collect(config, seeds=1, path=tmp_path)
    (file,) = (tmp_path / "data").iterdir()

    class Late(concurrent.futures.ProcessPoolExecutor):
        def submit(self, *arguments: Any, **options: Any) -> Any:
            file.unlink(missing_ok=True)
            return super().submit(*arguments, **options)

    spawn = multiprocessing.get_context("spawn")
    with Late(1, mp_context=spawn) as executor, pytest.raises(ValueError, match="is missing"):
        fp.collect(config, seeds=4, path=tmp_path, executor=executor)


# Collects into the folder that it is given, as many seeds as it is told, and says when it begins.
COLLECT = """
import sys
sys.path.insert(0, sys.argv[4])
from network.test_studies import CONFIGS, KEPT, fp
from fastpolysem.studies import blocks

if __name__ == "__main__":
    blocks._SPEED = 1.2e6
    print("begin", flush=True)
    fp.collect(
        CONFIGS, seeds=int(sys.argv[2]), path=sys.argv[1], num_threads=int(sys.argv[3]), **KEPT
    )
"""


@pytest.mark.parametrize("kills", [3, pytest.param(20, marks=pytest.mark.slow)])
def test_killed_at_random_moments(tmp_path: Path, kills: int) -> None:
    script = tmp_path / "collect.py"
    script.write_text(COLLECT)
    tests = Path(__file__).parents[1]
    resumed, pristine = collect_under_kills(
        script, tmp_path / "study", kills, 20, CONFIGS, KEPT, tests
    )
    same_arrays(resumed, pristine)


def test_tables_show_what_each_config_has(tmp_path: Path) -> None:
    study = fp.collect(CONFIGS, seeds=6, path=tmp_path)
    summary = study.summary()
    assert summary["widths"].tolist() == ["6-5-5-6", "6-8-5-3", "6-8-6"]
    assert np.isnan(summary["accuracy"]).tolist() == [True, False, True]
    for index, config in enumerate(CONFIGS):
        assert summary["mean"][index] == pytest.approx(study.values(config).mean())
    accuracies = study.summary("held_out_accuracy")
    assert accuracies["mean"][1] == pytest.approx(
        study.values(CONFIGS[1], "held_out_accuracy").mean()
    )
    seeds = study.seeds()
    assert seeds.groupby("widths", sort=False).size().to_dict() == dict.fromkeys(
        summary["widths"], 6
    )
    assert seeds["dead_2"].isna().sum() == 6
    study.to_csv(tmp_path / "seeds.csv")
    read = pd.read_csv(tmp_path / "seeds.csv")
    assert read["loss"].to_numpy() == pytest.approx(seeds["loss"].to_numpy())


@pytest.mark.extra
def test_an_opened_study_is_ordered_by_size(tmp_path: Path) -> None:
    """Not by text, where 8-16-8 and 0.001 come before 8-8-8 and 0."""
    base = fp.NetworkConfig(widths=(8, 8, 8), steps=1)
    configs = fp.grid(base, widths=[(8, 8, 8), (8, 16, 8)], l1=[0.0, 0.001, 0.01, 0.1])
    fp.collect(configs[::-1], seeds=1, path=tmp_path / "s", progress=False)
    assert list(Study.open(tmp_path / "s").configs) == configs


def test_xarray_holds_networks() -> None:
    pytest.importorskip("xarray")
    assert fp.collect(CONFIGS, seeds=6).to_xarray()["loss"].shape == (3, 6)


def test_a_target_is_about_the_loss() -> None:
    study = fp.collect(SAMPLED, target=0.2, max_seeds=512)
    (row,) = study.summary().to_dict("records")
    assert row["target_met"]
    assert (row["ci_high"] - row["ci_low"]) / 2 <= 0.2 * row["mean"]


def test_diverged_seeds_have_no_numbers() -> None:
    wild = SAMPLED.replace(optimizer="sgd", learning_rate=1e4, activation="square")
    study = fp.collect([SAMPLED, wild], seeds=5)
    assert study.summary()["diverged"].tolist() == [0, 5]
    rows = study.seeds()
    assert rows["loss"].isna().tolist() == [False] * 5 + [True] * 5
    assert len(study.values(wild)) == 0


STEEP = fp.NetworkConfig(
    widths=(4, 4, 4), loss=fp.losses.Power(16), init_scale=1e5, steps=0, dtype="float64"
)


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize(
    ("config", "metric", "missing"),
    [
        (STEEP.replace(init_scale=30, dtype="float32"), "largest_gradient", 8),
        (STEEP, "effective_concepts", 5),
        (STEEP, "largest_gradient", 0),  # whose squares overflow
    ],
)
def test_what_overflows_is_missing(config: fp.NetworkConfig, metric: str, missing: int) -> None:
    """Of seeds whose weights and loss are finite."""
    study = fp.collect(config, seeds=8, num_threads=1)
    row = study.summary(metric).iloc[0]
    assert (row["seeds"], row["diverged"], row.get("missing", 0)) == (8, 0, missing)
    values = study.values(config, metric)
    assert np.isfinite(values).sum() == 8 - missing
    if missing < 8:
        bounds = (0, 4) if metric == "effective_concepts" else (0, None)
        wanted = fp.statistics.mean(values[np.isfinite(values)], bounds=bounds)
        assert (row["mean"], row["ci_low"], row["ci_high"]) == tuple(wanted)
        assert np.isfinite(row["ci_high"])
    repr(study.summary(metric)), study._repr_html_(), fp.train(config, 8)._repr_html_()
    with pytest.warns(UserWarning, match=r"Power\(q=16.0\).* after 64 seeds|in any of 64 seeds"):
        fp.collect(config, target=1e-6, metric=metric, max_seeds=64, num_threads=1)


def test_both_families_in_one_study(tmp_path: Path) -> None:
    autoencoder = fp.Config(n_features=6, n_hidden=8, steps=20)
    study = fp.collect([autoencoder, SAMPLED], seeds=5, metric="loss", path=tmp_path)
    assert_same(Study.open(tmp_path), fp.collect([autoencoder, SAMPLED], seeds=5, metric="loss"))
    summary = study.summary("loss")
    assert summary["n_hidden"].isna().tolist() == [False, True]
    assert summary["mean"].notna().all()


def test_a_study_of_networks_as_a_page(tmp_path: Path) -> None:
    study = fp.collect(fp.grid(SAMPLED, steps=[5, 10]), seeds=3, progress=False)
    page = fp.report.page(study)
    assert "widths" in page
    assert "number of inputs, of neurons per hidden layer, of outputs" in page
    for mean in study.summary("loss")["mean"]:
        assert f"{mean:.4g}" in page
    assert (
        "In 2 of 2 configurations</strong> more than 5 % of the concepts were not learned" in page
    )
