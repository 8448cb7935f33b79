"""A second family of models, in pure Python, goes all the way without a change of the package."""

from __future__ import annotations

import ast
import html
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

import fastpolysem as fp
from fastpolysem import cli, families, plots, report
from helpers.dice import DICE, KIND, Dice, DiceConfig
from helpers.small_studies import assert_same, digest_of, files, start, wait_for_blocks

matplotlib.use("Agg")

PACKAGE = Path(fp.__file__).parent
TESTS = Path(__file__).parent

CONFIG = DiceConfig(rows=4, columns=6)
CONFIGS = fp.grid(CONFIG, columns=[2, 6, 30])
KEPT: dict[str, Any] = {"keep_weights": True, "record": ("norm", [0, 10])}
OTHER = fp.Config(n_features=6, n_hidden=8, l1=1e-2, steps=30)


def collected(configs: Any = CONFIGS, seeds: Any = 12, **options: Any) -> fp.Study:
    return fp.collect(configs, seeds=seeds, progress=False, **options)


@pytest.fixture(autouse=True)
def no_figures_left() -> Iterator[None]:
    yield
    plt.close("all")


# Training.


def test_training_gives_its_columns(tmp_path: Path) -> None:
    result = fp.train(CONFIG, 40, return_weights=True, record=("norm", [3]), kernel="numpy")
    assert list(result.columns) == ["winners", "largest", "low"]
    assert result.winners.dtype == np.int64
    assert 0 < result.diverged.sum() < 40
    np.testing.assert_array_equal(result.winners < 0, result.diverged)
    assert result.weights.shape == (40, 4, 6)
    assert result.history["norm"].shape == (40, 1)
    assert result.numerics_version == 3
    assert "winners" in repr(result)
    result.save(tmp_path / "r")
    loaded = fp.TrainingResult.load(tmp_path / "r")
    assert loaded.config == CONFIG
    np.testing.assert_array_equal(loaded.weights, result.weights)
    np.testing.assert_array_equal(loaded.low, result.low)


def test_what_it_cannot_do_is_refused() -> None:
    with pytest.raises(ValueError, match="kernel must be one of 'auto', 'numpy', got 'dense'"):
        fp.train(CONFIG, 1, kernel="dense")
    with pytest.raises(ValueError, match="initial_weights must be None for dice"):
        fp.train(CONFIG, 1, initial_weights=np.ones((4, 6)))
    with pytest.raises(ValueError, match="metrics must be one of 'norm', got 'loss'"):
        fp.train(CONFIG, 1, record=("loss", [0]))
    with pytest.raises(AttributeError, match="no 'polysemantic'"):
        _ = fp.train(CONFIG, 1).polysemantic
    with pytest.raises(TypeError, match="forward: config must be of a family with a forward of"):
        fp.forward(np.ones((4, 6)), CONFIG)


def test_a_kind_belongs_to_one_family() -> None:
    fp.register_family(DICE)  # again
    with pytest.raises(ValueError, match="kind must be a new one, got 'dice', which is taken"):
        fp.register_family(Dice())
    with pytest.raises(ValueError, match="no family of models 'dive'; did you mean 'dice'"):
        families.from_dict({"kind": "dive"})


# Studies.


def test_a_study_is_stored_and_read(tmp_path: Path) -> None:
    made = collected(path=tmp_path, metadata={"series": "A"}, **KEPT)
    assert fp.Study.check(tmp_path) == []
    study = fp.Study.open(tmp_path)
    assert_same(study, made)
    assert_same(study, collected(metadata={"series": "A"}))
    assert study.configs == tuple(CONFIGS)
    assert study.labels().columns.tolist() == ["rows", "columns", "series"]
    trained = fp.train(CONFIG, 12, return_weights=True)
    np.testing.assert_array_equal(study.weights(CONFIG), trained.weights)
    np.testing.assert_array_equal(study.values(CONFIG), trained.winners[~trained.diverged])
    norm = np.sqrt((trained.weights**2).sum(axis=(1, 2)))
    history = study.history(CONFIG)
    np.testing.assert_array_equal(history.loc[history["step"] == 10, "norm"], 10 * norm)


def test_tables(tmp_path: Path) -> None:
    study = collected(seeds=40, path=tmp_path)
    rows = study.seeds()
    assert rows["winners"].dtype == rows["low"].dtype == "Int64"
    assert rows["winners"].isna().sum() == rows["diverged"].sum() > 0
    summary = study.summary()
    names = "rows columns seeds diverged mean ci_low ci_high occupancy ratio ratio_low ratio_high"
    assert summary.columns.tolist() == [*names.split(), "largest", "digest"]
    np.testing.assert_allclose(summary["occupancy"], [4 * (1 - 0.75**c) for c in (2, 6, 30)])
    np.testing.assert_allclose(summary["ratio"], summary["mean"] / summary["occupancy"])
    assert (summary["ci_high"] <= 4).all()  # the bound of the column
    other = study.summary("largest")
    assert "ratio" not in other
    assert other["ci_low"].lt(other["mean"]).all()
    with pytest.raises(ValueError, match="metric must be one of 'winners', 'largest', 'low'"):
        study.summary("polysemantic")
    study.to_csv(tmp_path / "t.csv")
    assert len(pd.read_csv(tmp_path / "t.csv")) == 120


def test_labelled_arrays() -> None:
    pytest.importorskip("xarray")
    data = collected().to_xarray()
    assert data["winners"].shape == (3, 12)
    np.testing.assert_array_equal(np.isnan(data["low"]), data["diverged"])
    assert data["columns"].to_numpy().tolist() == [2, 6, 30]


def test_a_target_ends_it() -> None:
    study = fp.collect(CONFIG, target=0.05, max_seeds=256, progress=False)
    assert study.summary()["target_met"].all()
    estimate = study.summary().iloc[0]
    assert (estimate["ci_high"] - estimate["ci_low"]) / 2 <= 0.05 * estimate["mean"]
    assert len(study) in (64, 128, 256)


CHILD = """
import sys
sys.path.insert(0, {tests!r})
import fastpolysem as fp
from helpers.dice import DiceConfig

config = DiceConfig(rows=4, columns=6, pause=0.01)
fp.collect(config, seeds=60, path=sys.argv[1], progress=False, num_threads=1,
           keep_weights=True, record=("norm", [0, 10]))
"""


def test_killed_and_resumed_it_ends_like_one_that_never_was(tmp_path: Path) -> None:
    path, script = tmp_path / "study", tmp_path / "child.py"
    script.write_text(CHILD.format(tests=str(TESTS)))
    with start(script, path) as process:
        wait_for_blocks(process, path, 3)
        process.kill()
        process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    before = files(path)
    assert 3 <= len(before) < 30
    config = CONFIG.replace(pause=0.01)
    resumed = collected(config, 60, path=path, **KEPT)
    assert files(path).items() > before.items()
    undisturbed = collected(config, 60, **KEPT)
    assert digest_of(resumed) == digest_of(undisturbed)
    assert resumed.weights(config).tobytes() == undisturbed.weights(config).tobytes()
    assert resumed.history(config).equals(undisturbed.history(config))


def test_workers_import_the_module_that_defines_it(tmp_path: Path) -> None:
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as executor:
        study = collected(path=tmp_path, executor=executor, **KEPT)
    assert_same(study, collected())
    here = fp.train(CONFIG, 12, return_weights=True).weights
    assert study.weights(CONFIG).tobytes() == here.tobytes()


def test_a_study_is_not_opened_without_its_family(tmp_path: Path) -> None:
    collected(CONFIG, 2, path=tmp_path)
    code = f"import fastpolysem as fp; fp.Study.open({str(tmp_path)!r})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "there is no family of models 'dice'" in done.stderr
    assert "import the package that defines it before" in done.stderr
    assert json.loads(next(tmp_path.glob("*/config.json")).read_text())["config"]["kind"] == KIND


def test_files_may_lack_a_column_that_was_added_since(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = DICE.columns(CONFIG)
    with monkeypatch.context() as earlier:
        earlier.setattr(Dice, "columns", lambda self, config: whole[:-1])
        collected(CONFIG, 8, path=tmp_path)
    study = fp.Study.open(tmp_path)
    assert study.seeds()["low"].isna().all()
    assert np.isnan(study.summary("low")["mean"]).all()
    with pytest.raises(ValueError, match="a seed that did not diverge"):
        plots.counts(study, metric="low")
    extended = collected(CONFIG, 20, path=tmp_path)
    rows, fresh = extended.seeds(), collected(CONFIG, 20).seeds()
    assert rows["low"][:8].isna().all()
    assert rows["low"][8:].equals(fresh["low"][8:])
    assert rows.drop(columns="low")["winners"].equals(fresh["winners"])
    # Rows of both, of the same seeds, do not contradict each other.
    extended.add(fp.train(CONFIG, 8))
    assert len(extended) == 20
    assert fp.Study.check(tmp_path) == []


# Figures, the report and the command line.


def test_curve_of_any_column() -> None:
    study = collected(fp.grid(CONFIG, columns=[2, 6, 30], spread=[1.0, 1.1]), 40)
    summary = study.summary()
    ax = plots.curve(study, ax=Figure().subplots())
    assert ax.get_xlabel() == "columns"
    assert ax.get_ylabel() == "winning rows"
    assert ax.get_xscale() == "log"
    bars = ax.containers
    assert len(bars) == 2
    for spread, bar in zip((1.0, 1.1), bars, strict=True):
        rows = summary[summary["spread"] == spread]
        np.testing.assert_allclose(bar.lines[0].get_xdata(), [2, 6, 30], rtol=0.02)
        np.testing.assert_allclose(np.asarray(bar.lines[0].get_ydata(), float), rows["mean"])
        ends = np.array([segment[:, 1] for segment in bar.lines[2][0].get_segments()])
        np.testing.assert_allclose(ends, rows[["ci_low", "ci_high"]])
    legend = [text.get_text() for text in ax.get_legend().get_texts()]
    assert legend[:3] == ["spread=1", "spread=1.1", "r(1 - (1 - 1/r)^c)"]
    assert legend[-1].startswith("hollow")  # seeds diverged
    law = [line for line in ax.get_lines() if line.get_color() == plots._axes.GREY]
    np.testing.assert_allclose(law[0].get_ydata(), summary["occupancy"][::2])
    ax.figure.canvas.draw()
    ax = plots.curve(study, "spread", "largest", ax=Figure().subplots())
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_xscale()) == ("spread", "largest", "linear")
    assert len(ax.containers) == 3


def test_curve_against_what_is_no_number() -> None:
    study = collected(fp.grid(CONFIG, dtype=["float64", "float32"]), 8)
    ax = plots.curve(study, x="dtype", ax=Figure().subplots())
    assert [text.get_text() for text in ax.get_xticklabels()] == ["float64", "float32"]
    with pytest.raises(ValueError, match="got 'Columns'; did you mean 'columns'"):
        plots.curve(study, x="Columns")
    with pytest.raises(ValueError, match="y must be one of 'winners'"):
        plots.curve(study, y="polysemantic")


def test_counts_of_any_count() -> None:
    study = collected(CONFIG.replace(columns=2), 60)
    ax = plots.counts(study, ax=Figure().subplots())
    values = study.values(study.configs[0])
    heights = [bar.get_height() for bar in ax.patches]
    np.testing.assert_allclose(heights, np.bincount(values) / len(values))
    null = next(line for line in ax.get_lines() if "null" in str(line.get_label()))
    np.testing.assert_allclose(null.get_ydata(), [0.25, 0.75])
    assert ax.get_xlabel() == "winning rows (4 by 2)"
    ax = plots.counts(study, metric="low", ax=Figure().subplots())
    assert ax.get_xlabel() == "low (4 by 2)"
    with pytest.raises(ValueError, match="metric must be one of 'winners', 'low', got 'largest'"):
        plots.counts(study, metric="largest")


def test_counts_far_from_0_and_from_each_other() -> None:
    wide = DiceConfig(rows=300, columns=300)
    study = collected([DiceConfig(rows=40, columns=40), wide], 30)
    for config, width in zip(study.configs, (1, 3), strict=True):
        ax = plots.counts(study, config, Figure().subplots(), metric="low")
        low = study.values(config, "low")
        assert len(ax.patches) == (low.max() - low.min()) // width + 1 <= 200
        assert sum(bar.get_height() for bar in ax.patches) == pytest.approx(1)
        middles = [bar.get_x() + bar.get_width() / 2 for bar in ax.patches]
        mean = np.dot(middles, [bar.get_height() for bar in ax.patches])
        assert mean == pytest.approx(low.mean(), abs=width / 2)
        assert ax.get_xlim()[0] > 0


def test_the_autoencoders_figures_refuse_it() -> None:
    for draw in (plots.collisions, plots.unrepresented):
        with pytest.raises(ValueError, match="must hold a config of the autoencoder, got none"):
            draw(collected())


def test_the_report_speaks_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    study = collected(path="study", metadata={"series": "<A>"})
    page = report.page(study)
    for text in ("winning rows: rows that win", "largest entry", "r(1 - (1 -"):
        assert text in page
    assert "occupancy r(1 - (1 - 1/r)^c)." in page
    assert "&lt;A&gt;" in page
    assert "<A>" not in page
    for foreign in ("n_hidden", "n²/4m", "neuron", "polysemantic"):
        assert foreign not in page
    assert page.count("<svg") == 1 + 3
    assert report.commands(study) == []
    (code,) = re.findall(r"<pre>(.*?)</pre>", page, flags=re.DOTALL)
    exec(html.unescape(code), {})
    rows = [fp.Study.open(name).seeds().drop(columns="seconds") for name in ("study", "again")]
    pd.testing.assert_frame_equal(rows[0].drop(columns="series"), rows[1])


def test_the_command_line_reads_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    study = collected(path="study")
    assert cli.main(["summary", "study", "--csv", "t.csv", "--seeds-csv", "s.csv"]) == 0
    head = capsys.readouterr().out.splitlines()[0].split()
    assert head[:4] == ["r", "c", "seeds", "diverged"]
    assert pd.read_csv("t.csv")["mean"].tolist() == study.summary()["mean"].tolist()
    assert len(pd.read_csv("s.csv")) == 36
    assert cli.main(["summary", "study", "--metric", "largest"]) == 0
    assert cli.main(["check", "study"]) == 0
    assert cli.main(["plot", "study", "--kind", "curve", "--metric", "low", "--x", "columns"]) == 0
    digest = study.configs[0].digest
    assert cli.main(["plot", "study", "--kind", "counts", "--digest", digest]) == 0
    assert cli.main(["report", "study"]) == 0
    for name in ("curve.png", "counts.png", "study.html"):
        assert Path(name).stat().st_size > 1000
    assert cli.main(["plot", "study", "--output", "main.svg"]) == 0
    assert "winning rows" in Path("main.svg").read_text()
    assert cli.main(["plot", "study", "--kind", "collisions"]) == 2
    assert "must hold a config of the autoencoder" in capsys.readouterr().err
    assert cli.main(["plot", "study", "--kind", "counts", "--x", "columns"]) == 2
    assert "--x must be left out with --kind counts" in capsys.readouterr().err


def test_an_installed_package_declares_its_family(tmp_path: Path) -> None:
    """The program finds it, which nobody could tell to import it."""
    study = collected(path=tmp_path / "study")
    declared = tmp_path / "site" / "dice-1.dist-info"
    declared.mkdir(parents=True)
    (declared / "METADATA").write_text("Name: dice\nVersion: 1\n")
    (declared / "entry_points.txt").write_text("[fastpolysem.families]\ndice = helpers.dice\n")
    paths = [str(tmp_path / "site"), str(TESTS), *filter(None, sys.path)]
    done = subprocess.run(
        [sys.executable, "-m", "fastpolysem.cli", "summary", "study", "--csv", "t.csv"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert pd.read_csv(tmp_path / "t.csv")["mean"].tolist() == study.summary()["mean"].tolist()


# Both families in one study.


def test_a_study_of_both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    collected(OTHER, 6, path="mixed")
    collected(CONFIGS[:2], 6, path="mixed")
    assert fp.Study.check("mixed") == []
    study = fp.Study.open("mixed")
    assert study.labels()["family"].tolist() == ["autoencoder", KIND, KIND]
    assert len(study.seeds()) == 18
    assert study.seeds()["winners"].notna().sum() <= 12
    summary = study.summary("winners")
    assert summary["mean"].isna().tolist() == [True, False, False]
    assert study.summary()["mean"].isna().tolist() == [False, True, True]
    alone = plots.collisions(collected(OTHER, 6), Figure().subplots())
    ax = plots.collisions(study, Figure().subplots())
    assert [t.get_text() for t in ax.get_legend().get_texts()] == [
        t.get_text() for t in alone.get_legend().get_texts()
    ]
    ax = plots.curve(study, "columns", "winners", ax=Figure().subplots())
    (bar,) = ax.containers
    np.testing.assert_array_equal(bar.lines[0].get_xdata(), [2, 6])
    page = report.page(study)
    assert page.count("<h3>autoencoder</h3>") == page.count(f"<h3>{KIND}</h3>") == 4
    names = re.findall(r'\bid="([^"]*)"', page)
    assert len(names) == len(set(names))
    assert "numerics version 1 (autoencoder), 3 (dice)" in page.replace("\n", " ")
    pytest.importorskip("xarray")
    data = study.to_xarray()
    assert data["polysemantic"].shape == data["winners"].shape == (3, 6)
    assert np.isnan(data["winners"][0]).all()


# The package.

# What stands below the families, is one, or is about the autoencoder by its task; and modules that
# only hand on the autoencoder's under their public names.
BELOW_OR_OF_FAMILIES = ("families", "specs", "experiments")
# `probes.py` hands the autoencoder's weights to the experiments.
REEXPORTS = (
    *("__init__.py", "metrics.py", "theory.py", "encoding.py"),
    *("targets.py", "losses.py", "datasets.py", "measures.py"),
)
OF_THE_AUTOENCODER = re.compile(
    r"\b(n_hidden|n_features|tied|encoder|decoder|collision_law|null_mean)\b"
)


def code_lines(path: Path) -> Iterator[str]:
    """The lines of a module without the examples in its docstrings."""
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.strip().startswith(">>>"):
            yield line


def above_families() -> list[Path]:
    return [
        path
        for path in sorted(PACKAGE.rglob("*.py"))
        if path.relative_to(PACKAGE).parts[0] not in (*BELOW_OR_OF_FAMILIES, *REEXPORTS)
    ]


def test_nothing_above_the_families_names_a_layer_a_matrix_or_a_law() -> None:
    paths = above_families()
    assert len(paths) > 25
    found = [
        (path.relative_to(PACKAGE), line)
        for path in paths
        for line in code_lines(path)
        if OF_THE_AUTOENCODER.search(line)
    ]
    assert found == []


def test_what_is_above_the_families_imports_none_of_them_at_once() -> None:
    """But where it is looked up by name, as the public names of the autoencoder's are."""
    for path in above_families():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in tree.body:
            if isinstance(node, ast.ImportFrom):
                assert not (node.module or "").startswith("fastpolysem.families."), path


def test_a_folder_here_is_a_family_that_can_be_collected() -> None:
    from fastpolysem import _collecting

    folder = Path(families.__file__).parent
    own = {one.name for one in folder.iterdir() if (one / "__init__.py").exists()}
    assert own == set(families.BUILT_IN)
    assert own - {families.DEFAULT_KIND} <= set(_collecting.collect)
    for kind in own:
        assert families.named(kind).kind == kind
