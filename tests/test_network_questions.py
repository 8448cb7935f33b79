"""Questions on networks: from settings to cases, rows of all of them, and controls."""

from __future__ import annotations

import dataclasses
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest

import fastpolysem as fp
from fastpolysem import cli, experiments, measures
from fastpolysem.experiments import _networks
from fastpolysem.experiments._answers import Answers, summary
from fastpolysem.experiments._base import measure
from fastpolysem.experiments._networks import (
    Case,
    NetworkQuestion,
    Replicate,
    ReplicateQuestion,
    controls,
    use_of,
)
from fastpolysem.experiments._verdicts import Comparison, compared
from fastpolysem.probes import Probe
from fastpolysem.studies import forecast
from fastpolysem.studies.forecast import together
from fastpolysem.studies.seedsets import SeedSet


@dataclasses.dataclass(frozen=True)
class Controls(Probe):
    name = "tiny"
    columns: ClassVar = _networks.CONTROLS

    def __call__(self, result: fp.TrainingResult) -> dict[str, np.ndarray]:
        return dict(controls(use_of(result), result.seeds))


class Tiny(NetworkQuestion):
    NAME = "tiny"
    SUMMARY = "Train tiny networks."
    FIGURE_SIZE = (4.0, 3.0)
    PRESETS: ClassVar = {
        "quick": {"width": [4, 6], "activation": ["relu", "linear"], "steps": 60, "seeds": 7}
    }
    OPTIONS: ClassVar = {"width": "Hidden neurons.", "activation": "Of them.", "steps": "Updates."}
    PROBE = Controls()
    LABELS = ("width", "activation")
    METRICS = ("shared_use", "not_learned")
    METHOD = "t tests"

    def case(self, **settings: Any) -> Case | None:
        if (settings["width"], settings["activation"]) == (6, "linear"):
            return None
        config = fp.NetworkConfig(
            widths=(4, settings["width"], 4),
            activation=settings["activation"],
            tied=True,
            l1=0.01,
            steps=settings["steps"],
        )
        return Case(settings, config, most=3 if settings["width"] == 6 else None)

    def tests(self, data: Any) -> list[Comparison]:
        sides = [data.where(activation=one)["shared_use"] for one in ("relu", "linear")]
        return [compared("both", *sides, 0.1)]

    def say(self, data: Any, outcome: str, judged: pd.DataFrame) -> str:
        return outcome

    def draw(self, data: Any, ax: Any = None) -> Any:
        from matplotlib.figure import Figure

        ax = ax or Figure().subplots()
        ax.plot(self.table(data)["shared_use"])
        return ax


def test_cases_and_their_seeds(tmp_path: Path) -> None:
    cases = Tiny().configs("quick")
    assert [tuple(case.labels[name] for name in Tiny.LABELS) for case in cases] == [
        (4, "relu"), (4, "linear"), (6, "relu"),
    ]  # fmt: skip
    for path in (tmp_path, tmp_path, None):
        rows = Tiny().run("quick", path=path, progress=False).rows
        assert rows.groupby(["width", "activation"], sort=False).size().tolist() == [7, 7, 3]
        for case in cases:
            mine = rows
            for name in Tiny.LABELS:
                mine = mine[mine[name] == case.labels[name]]
            result = fp.train(case.config, len(mine), return_weights=True)
            np.testing.assert_allclose(mine["shared_use"], result.shared_use, rtol=1e-6)
            np.testing.assert_array_equal(mine["dead"], result.dead)
            use = fp.measure(result.weights, case.config)
            expected = use.shared_use_of_layers(0.5)[0]
            np.testing.assert_allclose(mine["shared_use_50"], expected, rtol=1e-6)
    assert set(_networks.USE) < set(rows.columns)


def test_estimates_respect_the_seeds_of_each_case(tmp_path: Path) -> None:
    cases = Tiny().configs("quick")
    told = Tiny().training(cases, 7)
    assert [(len(configs), seeds) for configs, seeds in told] == [(2, 7), (1, 3)]
    assert together(told, path=tmp_path).seeds == 2 * 7 + 3
    Tiny().run("quick", seeds=2, path=tmp_path, progress=False)
    found = together(told, path=tmp_path)
    assert (found.configs, found.seeds, found.stored) == (3, 17, 6)


def test_untrained_networks_do_not_slow_down_an_estimate(monkeypatch: pytest.MonkeyPatch) -> None:
    now, count = 0.0, 8

    def train_blocks(config: fp.NetworkConfig, blocks: list[SeedSet], *_: Any) -> list[Any]:
        nonlocal now
        now += sum(block.count for block in blocks) * (1e-4 + config.steps * 1e-6)
        return [types.SimpleNamespace(failure=None)]

    monkeypatch.setattr(forecast, "train_blocks", train_blocks)
    monkeypatch.setattr(forecast, "time", types.SimpleNamespace(perf_counter=lambda: now))
    config = fp.NetworkConfig(widths=(4, 4, 4), steps=2000)
    configs = [config, config.replace(steps=4000), config.replace(steps=0)]
    found = forecast.together([(configs, count)], num_threads=1)
    assert found.seconds == pytest.approx(count * (3e-4 + 6000e-6))


@pytest.mark.parametrize("scheduled", [False, True])
def test_estimates_train_few_steps_of_long_seeds(
    scheduled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, tried = 0.0, set()

    def train_blocks(config: fp.NetworkConfig, blocks: list[SeedSet], *_: Any) -> list[Any]:
        nonlocal now
        now += 0 if tried or scheduled else 0.1  # to load modules
        tried.add(config.steps)
        now += sum(block.count for block in blocks) * (0.5 + config.steps * 1e-4)
        return [types.SimpleNamespace(failure=None)]

    monkeypatch.setattr(forecast, "train_blocks", train_blocks)
    monkeypatch.setattr(forecast, "time", types.SimpleNamespace(perf_counter=lambda: now))
    config = fp.NetworkConfig(widths=(64, 64, 64), steps=10**6)
    if scheduled:  # whose steps cannot be fewer
        config = config.replace(learning_rate_schedule=[(0, 1.0), (10**6, 0.0)])
    record = (["loss"], [10**6])
    found = forecast.together([([config], 5)], num_threads=1, recorded=lambda _: record)
    assert found.seconds == pytest.approx(5 * 100.5)
    assert (max(tried) == 10**6) == scheduled


def test_estimates_include_the_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    evaluated = 0

    def slow(probe: Controls, result: fp.TrainingResult) -> dict[str, np.ndarray]:
        nonlocal evaluated
        evaluated += len(result)
        return dict(controls(use_of(result), result.seeds))

    monkeypatch.setattr(Controls, "__call__", slow)
    clock = types.SimpleNamespace(perf_counter=lambda: float(evaluated))  # a second per seed
    monkeypatch.setattr(forecast, "time", clock)
    question = Tiny()
    found = question.forecast(question.configs("quick"), 7)
    assert found is not None
    assert found.seconds == pytest.approx(2 * 7 + 3)


class Replicated(Tiny, ReplicateQuestion):
    REPLICATE = "data"
    generated: ClassVar[set[int]] = set()

    def replicates(self, configs: list[Case], seeds: int) -> Iterator[Replicate]:
        for number in range(seeds):
            yield number, configs, range(number, number + 1)

    def inputs(self, case: Case, number: int) -> fp.Dataset:
        self.generated.add(number)
        return fp.Dataset(np.eye(4) * (1 + number), np.eye(4))


def test_interrupted_runs_end_with_the_data_set_at_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*given: Any, **options: Any) -> Any:
        study = measure(*given, **options)
        study.interrupted = 1 in given[1]
        return study

    monkeypatch.setattr(_networks, "measure", interrupted)
    data = Replicated().run("quick", seeds=3, progress=False)
    assert data.interrupted
    assert data.rows["data"].tolist() == data.rows["seed"].tolist() == [0, 0, 0, 1, 1, 1]
    told = Replicated().training(Replicated().configs("quick"), 2)
    assert [(len(configs), seeds) for configs, seeds in told] == [(3, range(1)), (3, range(1, 2))]


def test_estimates_need_few_data_sets(tmp_path: Path) -> None:
    question = Replicated()
    given = {"width": 4, "activation": "relu", "steps": 5}
    cases = question.configs("quick", **given)

    def told(seeds: int) -> tuple[int, int, int]:
        question.generated.clear()
        found = question.forecast(cases, seeds, path=tmp_path)
        assert found is not None
        return found.configs, found.seeds, found.stored

    assert told(64) == (64, 64, 0)
    assert question.generated == {0, 63}
    question.run("quick", seeds=9, path=tmp_path, progress=False, **given)
    assert told(64) == (64, 64, 9)
    assert len(question.generated) < 16
    assert told(9) == (9, 9, 9)


@pytest.mark.parametrize("values", [[0], [3, 3], [2, 2, 0, 0, 0], [0, 1, 2, 3, 4], [1] + [5] * 30])
def test_runs_of_one_value(values: list[int]) -> None:
    runs = _networks._runs(values.__getitem__, 0, len(values) - 1)
    assert [values[at] for at, count in runs for _ in range(count)] == values


def test_numbers_of_seeds_that_are_none() -> None:
    for seeds, error in ((0, ValueError), (-1, ValueError), ("4", TypeError), (2.0, TypeError)):
        with pytest.raises(error, match=r"^tiny: seeds must be an integer >= 1, got "):
            Tiny().run("quick", seeds=seeds)  # type: ignore[arg-type]


def test_settings_that_are_none() -> None:
    with pytest.raises(TypeError, match="did you mean 'width'"):
        Tiny().configs("quick", widths=3)
    with pytest.raises(ValueError, match="width must hold at least one"):
        Tiny().configs("quick", width=[])
    with pytest.raises(ValueError, match="no network has this combination"):
        Tiny().configs("quick", width=6, activation="linear")


def test_intervals_of_shares_stay_within_0_and_1() -> None:
    question: Any = experiments.get("hidden")
    few = np.where(np.arange(100) == 7, 0.01, 0.0)
    rows = pd.DataFrame({"arm": "ReLU", "seed": range(100), "diverged": False, "shared_use": few})
    (inside,) = summary(Answers(rows), ["arm"], ["shared_use"], question.bounds()).itertuples()
    (beyond,) = summary(Answers(rows), ["arm"], ["shared_use"]).itertuples()
    assert beyond.shared_use_low < 0 < inside.shared_use_low < inside.shared_use


def test_controls_depend_on_the_seed_alone() -> None:
    config = fp.NetworkConfig(widths=(6, 5, 6), tied=True, l1=0.02, steps=300)
    whole, part = (
        fp.train(config, seeds, return_weights=True) for seeds in (range(20), range(5, 9))
    )
    all_of, some = (controls(use_of(result), result.seeds) for result in (whole, part))
    assert set(all_of) == set(_networks.CONTROLS)
    for name, values in some.items():
        np.testing.assert_array_equal(values, all_of[name][5:9])
    assert 0 < all_of["chance"].mean() < 1
    assert (all_of["shared_use_10"] >= whole.shared_use - 1e-9).all()
    assert (all_of["shared_use_50"] <= whole.shared_use + 1e-9).all()


def test_chance_of_a_network_made_by_hand() -> None:
    """Two features, one neuron each of two: by chance they meet half of the time."""
    config = fp.NetworkConfig(widths=(2, 2, 2), steps=0)
    eye = np.broadcast_to(np.eye(2, dtype=np.float32), (4000, 2, 2))
    result = fp.train(config, 4000, return_weights=True)
    result = dataclasses.replace(result, weights=fp.NetworkParameters([eye, eye]))
    found = controls(use_of(result), result.seeds)
    assert found["chance"].mean() == pytest.approx(0.5, abs=0.04)
    assert not found["shared_use_10"].any()
    assert measures.shared_use(use_of(result).rises[0]).max() == 0


def test_diverged_seeds_use_nothing() -> None:
    config = fp.NetworkConfig(widths=(3, 4, 3), bias=True, steps=1)
    result = fp.train(config, 3, return_weights=True)
    result.weights.weights[0][1] = np.nan
    result = dataclasses.replace(result, diverged=np.array([False, True, False]))
    kept = _networks.trained_network(result)
    assert not kept.weights[0][1].any()
    np.testing.assert_array_equal(kept.weights[1][2], result.weights.weights[1][2])
    assert kept.biases is not None
    assert np.isfinite(use_of(result).shared_use).all()


def test_options_of_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    module = type(sys)("fastpolysem.experiments.tiny")
    module.EXPERIMENT = Tiny()  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(experiments, "names", lambda: ["tiny"])
    words = ["--preset", "quick", "--seeds", "4", "--width", "4", "--steps", "20"]
    command = cli._reproduction("tiny")
    cli.reproduce.command(command, name="tiny")
    try:
        assert cli.main(["reproduce", "tiny", "--help"]) == 0
        shown = capsys.readouterr().out
        assert "--width" in shown
        assert "--n-hidden" not in shown
        written = ["--output", str(tmp_path)]
        assert cli.main(["reproduce", "tiny", *words, *written, "--estimate"]) == 0
        assert capsys.readouterr().out.startswith("8 seeds of 2 configurations to train (0 are")
        assert not list(tmp_path.iterdir())
        assert cli.main(["reproduce", "tiny", *words, *written]) == 0
        rows = pd.read_csv(tmp_path / "tiny-seeds.csv")
        assert len(rows) == 4 * 2  # both activations
        assert cli.main(["reproduce", "tiny", *words, "30"]) == 2
        said = "tiny: steps must be one value, got [20, 30]"
        assert said in capsys.readouterr().err
    finally:
        del cli.reproduce["tiny"]


@pytest.mark.parametrize(
    ("number", "said"), [(7, "7 B"), (99_700, "100 kB"), (5.5e6, "5.5 MB"), (2.5e14, "250 TB")]
)
def test_sizes_have_no_exponents(number: float, said: str) -> None:
    assert forecast.size(number) == said


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.1, "1 s"), (75, "75 s"), (600, "10 min"), (1e7, "116 days")]
)
def test_times_have_no_exponents(seconds: float, said: str) -> None:
    assert forecast.duration(seconds) == said
