"""The experiments: their settings, their data, and figures that can be read as they stand.

One file: every experiment goes through the same tests, with expectations of its own.
"""

from __future__ import annotations

import dataclasses
import pickle
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import fastpolysem as fp
from fastpolysem import cli, encoding, experiments, theory
from fastpolysem.experiments import (
    _base,
    _encodings,
    amount,
    correlated,
    curves,
    existence,
    initialisations,
    noise,
    sparsity,
    tradeoff,
)
from fastpolysem.experiments._answers import Answers
from fastpolysem.experiments._base import measure
from fastpolysem.experiments._drawing import without_data
from fastpolysem.experiments._verdicts import INCONCLUSIVE
from fastpolysem.experiments._weights import trained_weights
from fastpolysem.probes import Column, Probe, evaluate
from helpers import real_data, synthetic

matplotlib.use("Agg")

TINY: dict[str, dict[str, Any]] = {
    "absolute": {"steps": 100},
    "amount": {"n_features": 8, "n_hidden": [8, 12, 16], "steps": 1500, "l1": 4e-3},
    "baseline": {"n_features": 4, "n_hidden": [4, 8], "steps": 200},
    "boolean": {"steps": 100},
    "classify": {"n_hidden": [20, 24], "learning_rate": 0.01, "steps": 50},
    "front": {"n_hidden": [20, 24], "steps": 50},
    "collisions": {"n_features": 8, "n_hidden": [8, 16], "steps": 500, "l1": 1e-2},
    "constant": {"n_features": [4, 8], "n_hidden": 8, "l1": 0.05},
    "contexts": {"objects": 4, "contexts": [2, 3], "neurons": 6, "steps": 50},
    "cooccurrence": {"n_features": 4, "n_hidden": 8, "steps": 200},
    "correlated": {
        "n_features": 8,
        "n_hidden": 8,
        "inputs": fp.CorrelatedBlocks(2, 2, 16),
        "steps": 300,
    },
    "curves": {"n_features": 8, "n_hidden": [8, 16], "steps": 500},
    "diagnose": {"n_features": 8, "n_hidden": 5, "steps": 800},
    "encoding": {"n_hidden": 200, "l1": 5e-3},
    "existence": {"n_features": 8, "n_hidden": [8, 16], "steps": 500},
    "hidden": {"n_features": 6, "ratio": [1.0, 2.0]},
    "initialisations": {"n_features": 8, "n_hidden": 16, "steps": 1500, "l1": 1e-2},
    "kurtosis": {"n_features": 4, "n_hidden": 6, "steps": 300},
    "modular": {"p": [5, 7], "neurons": 12, "steps": 50},
    "necessary": {"n_features": 8, "n_hidden": [6, 8, 16], "steps": 800},
    "noise": {"n_features": 4, "n_hidden": 6, "steps": 400, "noise_std": [0.1, 0.2]},
    "optimizers": {"n_features": 8, "n_hidden": [8, 16], "steps": 500},
    "power": {"features": 6, "neurons": [3, 6], "steps": 200},
    "robustness": {"features": 8, "neurons": 4, "steps": 50},
    "sparsity": {"n_hidden": 200, "l1": 5e-3},
    "starts": {"n_features": 4, "n_hidden": [8, 16], "steps": 300},
    "tradeoff": {"n_features": 4, "n_hidden": 8, "steps": 200},
    "winners": {"n_features": 8, "n_hidden": [8, 16], "steps": 800},
}
ON_ENCODINGS = {"encoding", "sparsity"}
NAMES = [
    pytest.param(name, marks=real_data.MARKS if name in ("classify", "front") else ())
    for name in sorted(TINY)
]


@pytest.fixture(autouse=True)
def no_figures_left() -> Iterator[None]:
    yield
    plt.close("all")


def visible(ax: Axes) -> list[Axes]:
    """The axes of the figure that show something, without scales of colours."""
    ax.figure.draw_without_rendering()  # type: ignore[union-attr]
    return [one for one in ax.figure.axes if one.axison and one.get_label() != "<colorbar>"]


def legends(ax: Axes) -> list[str]:
    found = []
    for one in ax.figure.axes:
        if legend := one.get_legend():
            found += [text.get_text() for text in legend.get_texts()]
    return found


def all_of(name: str, path: Path | None = None) -> tuple[Any, pd.DataFrame, pd.DataFrame]:
    experiment = experiments.get(name)
    data = experiment.run("quick", seeds=6, path=path, progress=False, **TINY[name])
    return data, experiment.table(data), experiment.rows(data)


def test_every_experiment_is_tried_here() -> None:
    assert sorted(TINY) == experiments.names()


@pytest.mark.parametrize("name", NAMES)
def test_presets(name: str) -> None:
    experiment = experiments.get(name)
    assert {"quick", "default", "paper", "large"} <= set(experiment.PRESETS)
    assert experiment.PRESETS["large"]["seeds"] >= 1000
    with pytest.raises(ValueError, match="did you mean 'quick'"):
        experiment.configs("quik")
    if experiment.OPTIONS is not None:
        for preset in experiment.PRESETS:
            assert set(experiment.PRESETS[preset]) <= {"seeds", *experiment.OPTIONS}
        return
    with pytest.raises(TypeError, match="did you mean 'n_hidden'"):
        experiment.configs("quick", n_hiden=4)
    strengths = [1e-3] if name == "amount" else [1e-3, 2e-3]  # one law is fitted to all widths
    for preset in experiment.PRESETS:
        one = experiment.configs(preset, l1=strengths, n_hidden=60)
        assert {config.l1 for config in one} == set(strengths)
        assert {config.n_hidden for config in one} == {60}


@dataclasses.dataclass
class Finished:
    """An experiment that has been run, and the folder of its study."""

    name: str
    folder: Path
    data: Any
    table: pd.DataFrame
    rows: pd.DataFrame


@pytest.fixture(scope="module", params=NAMES)
def finished(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    folder = tmp_path_factory.mktemp(request.param)
    return Finished(request.param, folder, *all_of(request.param, folder))


def test_from_start_to_end(finished: Finished, tmp_path: Path) -> None:
    experiment = experiments.get(finished.name)
    data, table, rows = finished.data, finished.table, finished.rows
    assert len(table)
    assert len(rows)
    table.to_csv(tmp_path / "table.csv")
    rows.to_parquet(tmp_path / "rows.parquet")

    before = dict(matplotlib.rcParams)
    ax = Figure(figsize=experiment.FIGURE_SIZE, layout="constrained").subplots()
    assert experiment.draw(data, ax) is ax
    assert not plt.get_fignums()
    assert dict(matplotlib.rcParams) == before
    shown = visible(ax)
    assert all(one.get_ylabel() for one in shown if one.get_subplotspec().is_first_col())
    assert all(one.get_xlabel() for one in shown if one.get_subplotspec().is_last_row())
    assert legends(ax)
    box = ax.figure.bbox
    for one in shown:  # nothing is cut off
        for text in (one.xaxis.label, one.yaxis.label, one.title):
            extent = text.get_window_extent()
            if text.get_text():
                assert extent.x0 >= box.x0 - 1, text
                assert extent.x1 <= box.x1 + 1, text
                assert extent.y0 >= box.y0 - 1, text
                assert extent.y1 <= box.y1 + 1, text

    own = experiment.draw(data)
    assert plt.get_fignums() == [1]
    assert own.figure is plt.gcf()


def test_everything_is_written(finished: Finished, tmp_path: Path) -> None:
    name = finished.name
    said = experiments.get(name).write(finished.data, tmp_path)
    assert not said or re.search(r"Verdict \([a-z ]+\): \w", said)
    for ending in (".png", ".svg", ".csv", "-seeds.csv", "-seeds.parquet"):
        assert (tmp_path / f"{name}{ending}").stat().st_size > 0
    assert len(pd.read_csv(tmp_path / f"{name}.csv")) == len(finished.table)
    assert len(pd.read_csv(tmp_path / f"{name}-seeds.csv")) == len(finished.rows)


def test_the_same_again_comes_from_the_folder(
    finished: Finished, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = sorted(finished.folder.rglob("*"))

    def never(*_: object, **__: object) -> None:
        raise AssertionError("nothing is left to train")

    monkeypatch.setattr("fastpolysem.studies.blocks.train", never)
    monkeypatch.setattr("fastpolysem.families.autoencoder.encoding.simulate", never)
    _, again, rows_again = all_of(finished.name, finished.folder)
    pd.testing.assert_frame_equal(again, finished.table)
    pd.testing.assert_frame_equal(rows_again, finished.rows)
    assert sorted(finished.folder.rglob("*")) == files


def test_all_of_them_with_one_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["hidden", "noise", "sparsity", "winners"]
    monkeypatch.setattr(experiments, "names", lambda: names)
    for name in names:
        small = {"seeds": 4, **experiments.get(name).PRESETS["quick"], **TINY[name]}
        monkeypatch.setitem(experiments.get(name).PRESETS, "quick", small)  # type: ignore[arg-type]
    folder = tmp_path / "all"
    words = ["reproduce", "all", "--preset", "quick", "--seeds", "4", "--output", str(folder)]
    assert cli.main(words) == 0
    assert {path.name for path in folder.glob("*.png")} == {f"{name}.png" for name in names}


def test_all_of_them_are_estimated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(experiments, "names", lambda: ["noise", "sparsity", "hidden"])
    assert cli.main(["reproduce", "all", "--preset", "quick", "--seeds", "4", "--estimate"]) == 0
    first, second, third, _, together = capsys.readouterr().out.splitlines()
    assert first.startswith("noise: 32 seeds of 8 configurations to train (0 are stored): about ")
    assert second == "sparsity: trains nothing"
    assert third.startswith("hidden: 16 seeds of 4 configurations to train")
    assert together.startswith("together: at most about ")
    assert not list(tmp_path.iterdir())


def test_a_wrong_preset_of_all_runs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(["reproduce", "all", "--preset", "papr"]) == 2
    assert "did you mean 'paper'" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


# Published settings.


def test_published_settings() -> None:
    paper = curves.EXPERIMENT.configs("paper")
    assert sorted({config.l1 for config in paper}) == [1e-3, 1e-2, 1e-1]
    assert sorted({config.n_hidden for config in paper}) == list(range(256, 4097, 256))
    (start,) = initialisations.EXPERIMENT.configs("paper")
    assert (start.n_features, start.n_hidden, start.l1, start.steps) == (256, 4096, 1e-3, 7500)

    both = noise.EXPERIMENT.configs("paper")
    assert [(config.noise, config.noise_std) for config in both] == [
        (kind, std) for kind in ("rademacher", "gaussian") for std in (0.07, 0.1, 0.15)
    ]
    for config in both:
        assert (config.n_features, config.n_hidden, config.l1) == (8, 16, 0)
        assert (config.optimizer, config.learning_rate, config.steps) == ("sgd", 0.02, 100_000)
        assert config.noise_sharing == "step"
    (one,) = sparsity.EXPERIMENT.configs("paper")
    assert one == _encodings.Encoding(n_hidden=100_000, l1=1e-5, init_scale=0.9, step=0.5)


def test_published_settings_of_the_notebook_have_the_summed_loss() -> None:
    first = existence.EXPERIMENT.configs("paper")
    assert [config.n_hidden for config in first] == [2**k for k in range(5, 17)]
    assert all(config.l1 == pytest.approx(32 * 1e-3) for config in first)
    second = amount.EXPERIMENT.configs("paper")
    assert all(config.l1 == pytest.approx(256 * 5e-5) for config in second)
    for preset in ("quick", "default", "large"):
        for config in amount.EXPERIMENT.configs(preset):
            assert config.l1 == pytest.approx(config.n_features * 5e-5)
    third = correlated.EXPERIMENT.configs("paper")
    for config in (*first, *second, *third):
        assert (config.optimizer, config.learning_rate, config.steps) == ("adamw", 1e-3, 10_000)
    for config in third:
        # A mean over 100 x 50 outputs against a sum scaled to one presentation of each feature.
        rows = config.inputs.batch_size  # type: ignore[union-attr]
        scale = config.inputs._scale(50, rows)
        assert config.l1 == pytest.approx(5e-4 * scale * rows * 50, rel=2e-3)
        assert (config.tied, config.bias) == (False, True)


# Training with more than a study's columns.

SMALL = fp.Config(n_features=6, n_hidden=8, l1=1e-2, steps=60)
RECORD = fp.Record(("loss", "polysemantic"), [0, 10, 60])


@dataclasses.dataclass(frozen=True)
class Halves(Probe):
    name = "mine"
    columns: ClassVar = {"half": Column("float32", "half of the first weight")}
    arrays: ClassVar = {"first": Column("float32", "weights of the first feature (m,)")}

    def __call__(self, result: fp.TrainingResult) -> dict[str, np.ndarray]:
        weights = np.asarray(result.weights)
        return {"half": weights[:, 0, 0] / 2, "first": weights[:, 0]}


def test_what_is_measured_is_what_training_gives(tmp_path: Path) -> None:
    expected = fp.train(SMALL, 10, record=RECORD, return_weights=True)
    weights = np.asarray(expected.weights)
    for path, seeds in ((tmp_path, 4), (tmp_path, 10), (None, 10)):
        study = measure([SMALL], seeds, probe=Halves(), record=RECORD, path=path, progress=False)
        np.testing.assert_array_equal(study.probed(SMALL, "half"), weights[:seeds, 0, 0] / 2)
        np.testing.assert_array_equal(study.probed(SMALL, "first"), weights[:seeds, 0])
        recorded = _base.curves(study, SMALL)
        np.testing.assert_array_equal(recorded.seeds, np.arange(seeds))
        np.testing.assert_array_equal(recorded.steps, [0, 10, 60])
        for name in RECORD.metrics:
            np.testing.assert_array_equal(recorded.values[name], expected.history[name][:seeds])


def test_curves_leave_out_diverged_seeds() -> None:
    config = SMALL.replace(optimizer="sgd", learning_rate=0.15, l1=0.0, init_scale=1.3)
    study = measure([config], 8, record=RECORD, progress=False)
    diverged = study.seeds()["diverged"].to_numpy()
    assert 0 < diverged.sum() < 8
    recorded = _base.curves(study, config)
    assert (recorded.trained, len(recorded.seeds)) == (8, 8 - diverged.sum())
    expected = fp.train(config, 8, record=RECORD).history["loss"]
    np.testing.assert_array_equal(recorded.values["loss"], expected[~diverged])


@pytest.mark.parametrize("name", ["winners", "noise", "initialisations", "encoding"])
def test_experiments_run_on_an_executor_and_resume(name: str, tmp_path: Path) -> None:
    experiment = experiments.get(name)
    _, table, rows = all_of(name)
    settings = TINY[name]
    with ThreadPoolExecutor(2) as pool:
        for seeds in (3, 6):
            data = experiment.run(
                "quick", seeds=seeds, path=tmp_path, executor=pool, progress=False, **settings
            )
    pd.testing.assert_frame_equal(experiment.table(data), table)
    pd.testing.assert_frame_equal(experiment.rows(data), rows)


def test_the_command_trains_in_processes(tmp_path: Path) -> None:
    settings = ["--n-features", "4", "--n-hidden", "6", "--steps", "50", "--noise-std", "0.1"]
    words = ["reproduce", "kurtosis", "--preset", "quick", "--seeds", "3", *settings]
    for executor in ([], ["--executor", "processes"]):
        folder = tmp_path / "-".join(["here", *executor])
        assert cli.main([*words, "--output", str(folder), "--num-threads", "1", *executor]) == 0
    here, there = (pd.read_csv(path) for path in sorted(tmp_path.rglob("kurtosis-seeds.csv")))
    pd.testing.assert_frame_equal(here, there)


# Probes.


@pytest.mark.parametrize("name", NAMES)
def test_probes_are_named_after_their_experiment_and_survive_pickling(name: str) -> None:
    probe = getattr(experiments.get(name), "PROBE", None)
    if probe is not None:
        assert probe.name == name
        assert pickle.loads(pickle.dumps(probe)) == probe
        for column in (*probe.columns.values(), *probe.arrays.values()):
            assert np.dtype(column.dtype).name == column.dtype
            assert column.doc


class Odd(Halves):
    """Computes what it is told to."""

    def __init__(self, values: dict[str, Any]) -> None:
        object.__setattr__(self, "values", values)

    def __call__(self, result: fp.TrainingResult) -> dict[str, np.ndarray]:
        return self.values  # type: ignore[attr-defined, no-any-return]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "probe 'mine' must compute first, half, got nothing"),
        ({"half": [1.0], "first": [1], "more": [2]}, "got first, half, more"),
        ({"half": [1.0, 2.0], "first": [1]}, r"half must have the shape \(3,\).*got \(2,\)"),
        ({"half": [1j] * 3, "first": [1]}, "half must be of type float32, got complex128"),
        ({"half": [1.0] * 3, "first": [[1], [2]]}, "first must hold 3 arrays, one per seed, got 2"),
        ({"half": [1.0] * 3, "first": 1.0}, "first must hold 3 arrays, one per seed, got 1.0"),
        ({"half": [1.0] * 3, "first": [1j] * 3}, "first must be of type float32, got complex128"),
    ],
)
def test_a_probe_that_breaks_its_word_is_refused(values: dict[str, Any], message: str) -> None:
    result = fp.train(SMALL, 3, return_weights=True)
    with pytest.raises(ValueError, match=message):
        evaluate(Odd(values), result)


def test_weights_of_diverged_seeds_are_zero_for_probes() -> None:
    result = fp.train(SMALL, 2, return_weights=True)
    result = dataclasses.replace(result, diverged=np.array([False, True]))
    weights = trained_weights(result)
    np.testing.assert_array_equal(weights[0], np.asarray(result.weights)[0])
    assert not weights[1].any()
    untied = fp.train(SMALL.replace(tied=False), 2, return_weights=True)
    with pytest.raises(ValueError, match="tied=True and bias=False"):
        trained_weights(untied)


# Settings that an experiment cannot use, and settings at which little is left to show.

REFUSED: list[tuple[str, dict[str, Any], str]] = [
    *(
        (name, {"tied": False}, f"{name}: tied must be True, got False")
        for name in ("baseline", "constant", "cooccurrence", "diagnose", "kurtosis", "necessary")
    ),
    *(
        (name, {"bias": [False, True]}, f"{name}: bias must be False, got True")
        for name in ("optimizers", "starts", "tradeoff", "winners")
    ),
    *(
        (name, {"l1": 0}, f"{name}: l1 must be a finite number > 0, got 0")
        for name in ("constant", "cooccurrence", "diagnose", "optimizers", "tradeoff")
    ),
    ("absolute", {"density": 0}, "absolute: density must be a finite number > 0 and <= 1, got 0"),
    ("boolean", {"variables": 4}, "boolean: variables must be an integer >= 5, got 4"),
    ("classify", {"n_hidden": 1.5}, "classify: n_hidden must be an integer >= 1, got 1.5"),
    ("constant", {"n_features": 1}, "constant: n_features must be an integer >= 2, got 1"),
    ("constant", {"n_hidden": 7}, "constant: n_hidden must be >= 16/2 with n_features=16, got 7"),
    ("contexts", {"layers": 3}, "contexts: layers must be an integer >= 1 and <= 2, got 3"),
    ("cooccurrence", {"n_features": 9, "n_hidden": 9}, "n_features must be even .* got 9"),
    ("hidden", {"strength": 0}, "hidden: strength must be a finite number > 0, got 0"),
    ("kurtosis", {"n_features": 1}, "kurtosis: n_features must be an integer >= 2, got 1"),
    ("modular", {"steps": 3}, "modular: steps must be an integer >= 10, got 3"),
    ("modular", {"p": 8}, "modular: p must be odd, got 8"),
    ("power", {"second": -1}, "power: second must be an integer >= 0, got -1"),
    ("robustness", {"neurons": 0}, "robustness: neurons must be an integer >= 1, got 0"),
    ("power", {"steps": [10, 20]}, r"power: steps must be one value, got \[10, 20\]"),
    ("tradeoff", {"learning_rate": [0.01, 0.1]}, "tradeoff: learning_rate must be one value"),
    ("tradeoff", {"n_features": 2}, "tradeoff: n_features must be an integer >= 3, got 2"),
    ("tradeoff", {"steps": 1}, "tradeoff: steps must be an integer >= 2, got 1"),
]


@pytest.mark.parametrize(("name", "changes", "message"), REFUSED)
def test_what_an_experiment_cannot_use_is_refused_at_once(
    name: str, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        experiments.get(name).configs("quick", **changes)


def test_a_conflict_with_a_preset_names_what_was_changed() -> None:
    with pytest.raises(ValueError, match="l1_update must be left at") as caught:
        experiments.get("initialisations").configs("large", l1=0)
    note = "initialisations: the preset 'large' cannot be used with l1 = 0"
    assert caught.value.__notes__ == [note]
    with pytest.raises(ValueError, match="l1 must be a finite number") as caught:
        experiments.get("initialisations").configs("large", l1=-1)
    assert not hasattr(caught.value, "__notes__")


_DIVERGED = {"optimizer": "sgd", "learning_rate": [0.01, 1e10]}
UNUSUAL: list[tuple[str, dict[str, Any]]] = [
    ("absolute", {**TINY["absolute"], "arm": "autoencoder"}),
    ("amount", {**TINY["amount"], "n_hidden": 8}),
    ("boolean", {"task": "parity", "steps": 50}),
    ("boolean", {"task": "dnf", "variables": 12, "steps": 50}),
    ("contexts", {**TINY["contexts"], "layers": 1}),
    ("cooccurrence", {**TINY["cooccurrence"], "steps": 0}),
    ("correlated", {**TINY["correlated"], **_DIVERGED, "steps": 100, "init_scale": 1.0}),
    ("hidden", {**TINY["hidden"], "ratio": 0.5}),
    ("kurtosis", {**TINY["kurtosis"], "n_hidden": 3}),
    ("noise", {**TINY["noise"], "steps": 0}),
    ("optimizers", {"n_features": 5, "n_hidden": 4, "steps": 300}),
    ("starts", {**TINY["starts"], "n_features": 6, "n_hidden": 12}),
    ("winners", {**TINY["winners"], "steps": 0}),
]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("name", "changes"), UNUSUAL)
def test_what_has_little_to_show_says_so(
    name: str, changes: dict[str, Any], tmp_path: Path
) -> None:
    experiment = experiments.get(name)
    data = experiment.run("quick", seeds=2, progress=False, **changes)
    said = experiment.write(data, tmp_path)
    assert (tmp_path / f"{name}.png").stat().st_size > 0
    assert not said or re.search(r"Verdict \([a-z ]+\): \w", said)


def test_panels_without_data_say_so() -> None:
    figure = Figure()
    left, right = figure.subplots(1, 2)
    left.plot([1, 2], [3, 4])
    right.errorbar([], [], [], label="nothing")
    right.axhline(1)
    for ax in (left, right):
        ax.set_xscale("log")
    without_data(figure)
    assert (left.get_xscale(), right.get_xscale()) == ("log", "linear")
    assert [[text.get_text() for text in ax.texts] for ax in (left, right)] == [[], ["no data"]]
    figure.draw_without_rendering()


@pytest.mark.parametrize("name", ["amount", "baseline", "collisions", "kurtosis"])
def test_nothing_is_shown_where_all_seeds_diverged(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = "--preset quick --seeds 2 --steps 40 --optimizer sgd --learning-rate 1e10"
    words += " --n-features 4 --n-hidden 8"
    assert cli.main(["reproduce", name, *words.split(), "--output", str(tmp_path)]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    expected = f"{name}: all seeds diverged, so there is nothing to show; use a smaller "
    assert error == f"fastpolysem: error: {expected}learning_rate"


def test_without_a_test_the_verdict_says_so() -> None:
    question: Any = experiments.get("hidden")
    rows = question.run("quick", seeds=1, progress=False, n_features=4).rows
    verdict = question.verdict(Answers(rows))
    assert verdict.outcome == INCONCLUSIVE
    assert verdict.sentence.startswith("No test is possible: too few seeds are left")


# What each experiment says.


def test_an_optimiser_given_by_hand_is_the_only_way() -> None:
    for name in ("baseline", "optimizers"):
        for preset in ("quick", "paper"):
            listed = experiments.get(name).configs(preset, optimizer="sgd", n_hidden=20)
            assert [config.optimizer for config in listed] == ["sgd"]


def test_settings_given_by_hand_hold_for_every_remedy() -> None:
    given = {"n_features": 6, "n_hidden": 8, "l1": [0.05, 0.1], "steps": 300}
    listed = experiments.get("tradeoff").configs("quick", **given)
    assert {(one.n_features, one.n_hidden, one.steps) for one in listed} == {(6, 8, 300)}
    without = [one.l1 for one in listed if tradeoff.named(one)[0] == tradeoff.NONE]
    assert without == given["l1"]
    assert len({one.digest for one in listed}) == len(listed)


def test_curves_shade_the_spread_between_seeds() -> None:
    study = curves.EXPERIMENT.run("quick", seeds=20, progress=False, **TINY["curves"])
    table = curves.EXPERIMENT.table(study)
    for _, row in table.iterrows():
        config = next(
            one for one in study.configs if (one.n_hidden, one.l1) == (row["n_hidden"], row["l1"])
        )
        expected = np.percentile(study.values(config), [15, 50, 85])
        assert [row["p15"], row["p50"], row["p85"]] == expected.tolist()
    ax = Figure().subplots()
    curves.EXPERIMENT.draw(study, ax)
    assert "seeds, percentiles 15 to 85" in legends(ax)
    assert [one.get_ylabel() for one in visible(ax)] == [
        "polysemantic neurons",
        "features\nunrepresented",
    ]


def test_lost_features_are_shown_and_not_taken_for_monosemantic_ones() -> None:
    settings = {"n_features": 8, "n_hidden": [128, 256], "steps": 1500, "l1": 1.5}
    study = existence.EXPERIMENT.run("quick", seeds=5, progress=False, **settings)
    table = existence.EXPERIMENT.table(study)
    assert (table["unrepresented"] == 8).all()
    ax = Figure().subplots()
    existence.EXPERIMENT.draw(study, ax)
    lower = visible(ax)[1]
    assert lower.containers[0].lines[0].get_ydata().tolist() == [1, 1]


def test_published_counts_are_shown_beside_equal_settings() -> None:
    assert list(existence.PUBLISHED.values()) == [7, 2, 1, 0, 0, 0, 2, 3, 2, 1, 2, 0]
    equal = synthetic.study(
        *(
            synthetic.result(config, [1, 2, 3])
            for config in existence.EXPERIMENT.configs("paper")[:5]
        )
    )
    assert existence.EXPERIMENT.table(equal)["published"].tolist() == [7, 2, 1, 0, 0]
    ax = Figure().subplots()
    existence.EXPERIMENT.draw(equal, ax)
    crosses = [line for line in visible(ax)[0].get_lines() if line.get_marker() == "x"]
    assert [line.get_xydata().tolist() for line in crosses] == [
        [[32, 7], [64, 2], [128, 1], [256, 0], [512, 0]]
    ]
    assert visible(ax)[0].get_yscale() == "symlog"
    other = existence.EXPERIMENT.configs("paper")[0].replace(l1=1e-3)
    different = synthetic.study(synthetic.result(other, [1, 2, 3]))
    assert existence.EXPERIMENT.table(different)["published"].isna().all()


def test_initialisations_take_ranks_of_the_start() -> None:
    config = fp.Config(n_features=3, n_hidden=5, steps=0)
    untrained = fp.train(config, 4, return_weights=True)
    start = np.asarray(untrained.weights)
    order = np.argsort(-np.abs(start), axis=-1)
    end = np.zeros_like(start)
    for seed, feature in np.ndindex(4, 3):
        rank = (seed + feature) % 5  # 0: the favourite
        k = order[seed, feature, rank]
        end[seed, feature, k] = np.sign(start[seed, feature, k]) * (-1) ** (feature == 1)
    end[3, 2] *= 0.5  # not represented
    diverged = np.array([False, False, True, False])
    result = dataclasses.replace(untrained, weights=end, diverged=diverged)
    taken = initialisations.EXPERIMENT.PROBE(result)
    assert taken["rank"].tolist() == [[1, 2, 3], [2, 3, 4], [0, 0, 0], [4, 5, 0]]
    assert (taken["winner"][[0, 1]][:, [0, 2]] > 0).all()
    assert (taken["winner"][[0, 1], 1] < 0).all()
    assert np.isnan(taken["winner"][3, 2])
    favourite = np.abs(start).max(axis=-1)
    np.testing.assert_array_equal(taken["favourite"], favourite)
    assert taken["winner"][0, 0] == favourite[0, 0]
    kept = [0, 1, 3]
    np.testing.assert_allclose(
        taken["overlap"].sum(axis=0), sum(start[s] @ end[s].T for s in kept), rtol=1e-6, atol=1e-7
    )


def test_initialisations_of_trained_models() -> None:
    settings = {"n_features": 16, "n_hidden": 128, "l1": 1e-2, "steps": 4000}
    data = initialisations.EXPERIMENT.run("quick", seeds=20, progress=False, **settings)
    table = initialisations.EXPERIMENT.table(data).iloc[0]
    rank = data.probed(data.configs[0], "rank")
    assert table["mean"] == pytest.approx((rank == 1).mean(), abs=1e-3)
    assert table["unrepresented"] == (rank == 0).sum(axis=1).mean()
    assert table["favourite"] == pytest.approx(float(theory.initial_maximum(128)), rel=0.05)
    assert 0 < table["winner"] < table["favourite"]
    assert table["mean"] < 0.5  # the favourite does not simply win


def test_amount_counts_by_every_window() -> None:
    data = amount.EXPERIMENT.run("quick", seeds=8, progress=False, **TINY["amount"])
    for config in data.configs:
        columns = [data.probed(config, f"polysemantic_{window}") for window in amount.WINDOWS]
        counts = np.stack(columns, axis=1)
        assert counts.shape == (8, len(amount.WINDOWS))
        rule = counts[:, amount.WINDOWS.index(amount.RULE)]
        np.testing.assert_array_equal(rule, data.values(config))
        assert (np.diff(counts, axis=1) >= 0).all()
    rows = amount.EXPERIMENT.rows(data)
    assert (rows["polysemantic_0.2"] == rows["polysemantic"]).all()


def by_window(counts: np.ndarray) -> dict[str, np.ndarray]:
    return {
        f"polysemantic_{window}": column
        for window, column in zip(amount.WINDOWS, counts.T, strict=True)
    }


def test_amount_fits_the_slope() -> None:
    rng = np.random.default_rng(1)
    data = fp.Study()
    for m in (64, 128, 256, 512):
        config = fp.Config(n_features=64, n_hidden=m, l1=1e-3)
        counts = rng.poisson(64**2 / (4 * m), (400, 1)) + np.arange(len(amount.WINDOWS))
        counts[0] = -1  # diverged
        result = synthetic.result(config, counts[:, amount.WINDOWS.index(amount.RULE)])
        data.add(synthetic.probed(result, amount.Windows(), by_window(counts)))
    fits = amount.fits(data)
    first = fits[amount.WINDOWS[0]]
    assert first is not None
    assert first.exponent.low < -1 < first.exponent.high
    table = amount.EXPERIMENT.table(data)
    assert len(table) == 4 * len(amount.WINDOWS)
    assert (table["seeds"] == 399).all()
    ax = Figure().subplots()
    amount.EXPERIMENT.draw(data, ax)
    assert any(text.startswith("fit: slope -0.") for text in legends(ax))


def test_amount_without_any_counts() -> None:
    config = fp.Config(n_features=8, n_hidden=64, l1=1e-3)
    empty = np.zeros((5, len(amount.WINDOWS)), dtype=int)
    result = synthetic.result(config, empty[:, 0])
    data = synthetic.probed(result, amount.Windows(), by_window(empty))
    assert set(amount.fits(data).values()) == {None}
    amount.EXPERIMENT.draw(data, Figure().subplots())


def test_correlated_takes_pairs_by_block_and_sign() -> None:
    config = fp.Config(
        n_features=6, n_hidden=6, tied=False, bias=True, l1=0.1, steps=0,
        inputs=fp.CorrelatedBlocks(2, 1, 4),
    )  # fmt: skip
    encoder = np.eye(6, dtype=np.float32)
    encoder[3:] = 0
    encoder[3, 0] = -1.0  # shares neuron 0 with feature 0 of the other block
    encoder[4, 1] = 1.0  # neuron 1, same sign as feature 1
    encoder[5, 3] = 1.0
    encoder[2] = 0
    encoder[2, 0] = 0.9  # neuron 0 again: same block as 0, the other than 3
    decoder = encoder.copy()
    decoder[4, 1] = 0.4  # too small a product
    weights = fp.Parameters(
        np.stack([encoder, encoder]), np.stack([decoder, encoder]), np.zeros((2, 6), np.float32)
    )
    result = dataclasses.replace(fp.train(config, 2), weights=weights)
    taken = correlated.EXPERIMENT.PROBE(result)
    # Same block: (0, 2). Other block: (0, 3) and (2, 3), and with a full decoder (1, 4).
    pairs = [taken[name].tolist() for name in correlated.PAIRS]
    assert pairs == [[1, 1], [0, 0], [0, 1], [2, 2]]
    assert taken["sharing"].tolist() == [1, 2]
    np.testing.assert_array_equal(taken["encoder"][0], encoder)
    np.testing.assert_array_equal(taken["decoder"][0], decoder)
    later = correlated.EXPERIMENT.PROBE(
        dataclasses.replace(result, seeds=result.seeds + np.uint64(2))
    )
    assert [part.size for part in later["encoder"]] == [0] * len(later["encoder"])


def test_correlated_features_share_across_blocks_with_opposite_signs() -> None:
    data = correlated.EXPERIMENT.run("quick", seeds=6, progress=False, init_scale=1.0)
    row = correlated.EXPERIMENT.table(data).iloc[0]
    others = row["same_block_same_sign"] + row["same_block_opposite"]
    assert row["other_block_opposite"] > 5
    assert others + row["other_block_same_sign"] < 1
    assert row["mean"] == pytest.approx(row["polysemantic"], abs=1)


def test_correlated_refuses_other_inputs() -> None:
    with pytest.raises(ValueError, match="inputs must be correlated blocks, got Basis"):
        correlated.EXPERIMENT.run("quick", seeds=1, inputs=fp.Basis())


def test_noise_kinds_get_the_shape_they_need() -> None:
    listed = noise.EXPERIMENT.configs("default")
    assert len({(config.noise, config.noise_std) for config in listed}) == 18
    shapes = {config.noise: config.noise_shape for config in listed}
    assert theory.excess_kurtosis("student_t", shapes["student_t"]) == 3
    assert theory.excess_kurtosis("three_point", shapes["three_point"]) == pytest.approx(0)
    assert shapes["gaussian"] is None
    (one,) = noise.EXPERIMENT.configs("paper", noise="student_t", noise_shape=[9.0], noise_std=0.1)
    assert one.noise_shape == 9
    with pytest.raises(ValueError, match="noise_shape must be left"):
        noise.EXPERIMENT.configs("paper", noise_shape=5.0)


def test_noise_of_negative_kurtosis_makes_features_sparse() -> None:
    settings = {"noise": ["rademacher", "gaussian", "laplace"], "noise_std": 0.15, "steps": 20_000}
    data = noise.EXPERIMENT.run("paper", seeds=60, progress=False, **settings)
    table = noise.EXPERIMENT.table(data).set_index("noise")
    norm = table["fourth_norm"]
    assert norm["rademacher"] > 0.7
    assert norm["gaussian"] == pytest.approx(0.16, abs=0.02)
    assert norm["laplace"] < 0.15
    assert 1000 < table.loc["rademacher", "take_off"] < 2200
    assert np.isnan(table.loc["gaussian", "take_off"])
    row = table.loc["rademacher"]
    assert 500 < row["take_off_low"] <= row["take_off"] <= row["take_off_high"] < 3000
    assert np.isinf(table.loc["laplace", "take_off_low"])
    # No two features of 0.8 or more ever share a neuron, unlike under l1.
    assert (table["mean"] == 0).all()
    rows = noise.EXPERIMENT.rows(data)
    assert len(rows) == 3 * 60 * len(_base.curves(data, data.configs[0]).steps)
    last = rows[(rows["step"] == 20_000) & (rows["noise"] == "rademacher")]
    assert last["fourth_norm"].mean() == pytest.approx(norm["rademacher"])


def test_noise_draws_counts_only_where_there_are_any() -> None:
    count = len(noise.EXPERIMENT.configs("quick", noise_std=0.1))
    for l1, rows in ((0.0, 2), (0.02, 3)):  # l1 makes features sparse
        settings = {"noise_std": 0.1, "steps": 3000, "l1": l1, "learning_rate": 0.02}
        data = noise.EXPERIMENT.run("quick", seeds=20, progress=False, **settings)
        ax = Figure().subplots()
        noise.EXPERIMENT.draw(data, ax)
        shown = visible(ax)
        assert len(shown) == rows
        assert ("polysemantic" in " ".join(one.get_ylabel() for one in shown)) is (rows == 3)
        lines = [line for line in shown[0].get_lines() if len(line.get_xdata())]
        assert len({line.get_color() for line in lines}) == count
        assert len({str(line.get_linestyle()) for line in lines}) == count


def test_noise_where_everything_diverges() -> None:
    settings = {"learning_rate": 50.0, "steps": 50, "noise": "gaussian", "noise_std": 0.1}
    data = noise.EXPERIMENT.run("paper", seeds=3, progress=False, **settings)
    row = noise.EXPERIMENT.table(data).iloc[0]
    assert (row["seeds"], row["diverged"]) == (3, 3)
    assert np.isnan(row["mean"])
    noise.EXPERIMENT.draw(data, Figure().subplots())


def test_sparsity_holds_the_laws_against_the_simulation() -> None:
    data = sparsity.EXPERIMENT.run("quick", seeds=20)
    table = sparsity.EXPERIMENT.table(data)
    many = table[table["support"] >= sparsity.LEAST]
    assert len(many) > 10
    np.testing.assert_allclose(many["corrected"], 1, atol=0.02)
    assert many["published"].min() < 0.4
    ax = Figure().subplots()
    sparsity.EXPERIMENT.draw(data, ax)
    assert {"corrected law", "published law", "within 5 %"} <= set(legends(ax))


def test_encodings_of_several_settings() -> None:
    for name in ON_ENCODINGS:
        experiment = experiments.get(name)
        data = experiment.run("quick", seeds=2, n_hidden=[50, 100], l1=[0.02, 0.3])
        assert [(one.n_hidden, one.l1) for one in data] == [
            (50, 0.02), (50, 0.3), (100, 0.02), (100, 0.3),
        ]  # fmt: skip
        experiment.table(data)
        ax = Figure().subplots()
        experiment.draw(data, ax)
        visible(ax)
        with pytest.raises(TypeError, match="has no field 'optimizer'"):
            experiment.configs("quick", optimizer="sgd")


def test_encodings_that_vanish_can_be_drawn() -> None:
    for name in ON_ENCODINGS:
        experiment = experiments.get(name)
        data = experiment.run("quick", seeds=2, n_hidden=50, l1=2.0)
        assert (data[0].support[:, -1] == 0).all()
        experiment.table(data)
        ax = Figure().subplots()
        experiment.draw(data, ax)
        visible(ax)


def test_encodings_are_shared_between_experiments(tmp_path: Path) -> None:
    sparsity.EXPERIMENT.run("quick", seeds=2, path=tmp_path, n_hidden=50)
    (file,) = tmp_path.iterdir()
    stamp = file.stat().st_mtime_ns
    data = experiments.get("encoding").run("quick", seeds=2, path=tmp_path, n_hidden=50)
    assert isinstance(data[0], encoding.Trajectories)
    assert [one.stat().st_mtime_ns for one in tmp_path.iterdir()] == [stamp]
