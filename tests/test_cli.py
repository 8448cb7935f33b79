"""The command line, mostly as a user runs it.

One file: most of it is one small test per option or message.
"""

from __future__ import annotations

import ast
import errno
import io
import os
import re
import shlex
import signal
import subprocess
import sys
import time
import tomllib
import typing
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import fastpolysem as fp
from fastpolysem import _console, _options, cli, experiments
from fastpolysem.experiments import _splits

ROOT = Path(__file__).parents[1]
SMALL = fp.Config(n_features=6, n_hidden=8, l1=1e-2, steps=20)
COLLECT = "collect --path p --n-hidden 4 --n-features 4"
SEEDS = [*COLLECT.split(), "--seeds", "2"]
TINY = ["--n-features", "8", "--n-hidden", "8", "16", "--steps", "200", "--l1", "0.01"]


Program = Callable[..., subprocess.CompletedProcess[str]]


def run(*words: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """The program in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "fastpolysem.cli", *map(str, words)],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "COLUMNS": "100"},
        check=False,
    )


def shell(line: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """A line of a shell in which $F is the program."""
    program = f"{shlex.quote(sys.executable)} -m fastpolysem.cli"
    return subprocess.run(
        ["sh", "-c", line.replace("$F", program)],
        cwd=cwd,
        capture_output=True,
        timeout=120,
        env={**os.environ, "COLUMNS": "100", **environment},
        check=False,
    )


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Program:
    """The program in this process, which need not start and import everything."""

    def call(*words: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        if cwd is not None:
            monkeypatch.chdir(cwd)
        monkeypatch.setenv("COLUMNS", "100")
        capsys.readouterr()
        status = cli.main([*map(str, words)])
        return subprocess.CompletedProcess(words, status, *capsys.readouterr())

    return call


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the study s."""
    fp.collect(fp.grid(SMALL, n_hidden=[8, 16]), seeds=3, path=tmp_path / "s", progress=False)
    return tmp_path


def test_reproduce_collisions_from_start_to_end(tmp_path: Path) -> None:
    words = ["reproduce", "collisions", *TINY, "--seeds", 20, "--output", "out"]
    done = run(*words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    for heading in ("seeds", "mean", "95 % interval", "n²/4m", "null model", "ratio"):
        assert heading in lines[0]
    assert "diverged" in lines[0]
    assert "unrepresented" in lines[0]
    table = fp.Study.open(tmp_path / "out" / "study").summary()
    assert re.split(r" +", lines[2].strip())[:4] == ["8", "16", "20", "0"]
    assert f"{table.loc[1, 'ci_low']:.4g} … {table.loc[1, 'ci_high']:.4g}" in lines[2]
    assert "2/2 configs, 40/40 seeds, done" in done.stderr

    out = tmp_path / "out"
    assert (out / "collisions.png").read_bytes().startswith(b"\x89PNG")
    assert "<svg" in (out / "collisions.svg").read_text()
    assert pd.read_csv(out / "collisions.csv")["mean"].tolist() == table["mean"].tolist()
    rows = pd.read_parquet(out / "collisions-seeds.parquet")
    assert len(rows) == len(pd.read_csv(out / "collisions-seeds.csv")) == 40
    expected = fp.train(fp.Config(n_features=8, n_hidden=16, steps=200, l1=0.01), 20)
    wide = rows[rows["n_hidden"] == 16]
    np.testing.assert_array_equal(wide["loss"], expected.loss)
    np.testing.assert_array_equal(wide["polysemantic"], expected.polysemantic)
    for name in ("collisions.png", "collisions.csv", "study/"):
        assert name in lines[-1]

    again = run(*words, cwd=tmp_path)
    assert "40 were stored" in again.stderr
    assert again.stdout == done.stdout


def test_collect_summary_and_plot(tmp_path: Path, here: Program) -> None:
    grid = [*TINY, "--optimizer", "adam", "adamw", "--seeds", 6]
    collected = run("collect", *grid, "--path", "study", cwd=tmp_path)
    assert collected.returncode == 0, collected.stderr
    assert len(fp.Study.open(tmp_path / "study").configs) == 4

    table = here("summary", "study", "--csv", "t.csv", "--seeds-csv", "s.csv", cwd=tmp_path)
    assert table.returncode == 0, table.stderr
    assert len(table.stdout.splitlines()) == 5
    assert "optimizer" in table.stdout
    assert len(pd.read_csv(tmp_path / "t.csv")) == 4
    assert len(pd.read_csv(tmp_path / "s.csv")) == 24
    loss = here("summary", "study", "--metric", "loss", cwd=tmp_path)
    assert loss.returncode == 0
    assert "ratio" not in loss.stdout

    drawn = here("plot", "study", cwd=tmp_path)
    assert drawn.returncode == 0, drawn.stderr
    assert drawn.stdout == "wrote collisions.png\n"
    assert (tmp_path / "collisions.png").stat().st_size > 10_000
    digest = pd.read_csv(tmp_path / "t.csv")["digest"][0]
    counts = ["plot", "study", "--kind", "counts", "--digest", digest, "--output", "c.svg"]
    assert here(*counts, cwd=tmp_path).returncode == 0
    assert "share of seeds" in (tmp_path / "c.svg").read_text()


def test_target_and_metadata_of_a_study_in_steps(tmp_path: Path, here: Program) -> None:
    words = ["collect", *TINY, "--path", tmp_path / "s", "--num-threads", 1]
    assert here(*words, "--seeds", 70).returncode == 0
    done = here(*words, "--precision", 10, "--metric", "loss")
    assert done.returncode == 0, done.stderr
    assert "128/128 seeds, 128 were stored" in done.stderr


def test_options_reach_the_config(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: dict[str, object] = {}

    def collect(configs: list[fp.Config], **arguments: object) -> fp.Study:
        seen["configs"] = configs
        seen.update(arguments)
        return fp.Study()

    monkeypatch.setattr("fastpolysem.studies.collect", collect)
    words = (
        "collect --path p --seeds 3 --n-features 8 --n-hidden 4 --l1 0 0.5 --tied false --bias true"
    )
    words += (
        " --weight-decay none 0.1 --betas 0.8,0.99 --noise gaussian --noise-std 1e-1 --importance"
    )
    words += (
        " 1,2,3,4,5,6,7,8 --inputs independent:probability=0.25,batch_size=16,magnitude=uniform"
        " independent:probability=[1,0.5,0.3,0.2,0.1,0.1,0.1,0.1],batch_size=16"
        " --learning-rate-schedule cosine 0:0,99:1"
    )
    assert cli.main(words.split()) == 0
    base = fp.Config(
        n_features=8,
        n_hidden=4,
        tied=False,
        bias=True,
        betas=(0.8, 0.99),
        noise="gaussian",
        noise_std=0.1,
        importance=range(1, 9),
    )
    assert seen["configs"] == fp.grid(
        base,
        l1=[0.0, 0.5],
        learning_rate_schedule=["cosine", [(0, 0), (99, 1)]],
        weight_decay=[None, 0.1],
        inputs=[
            fp.Independent(probability=0.25, batch_size=16, magnitude="uniform"),
            fp.Independent([1, 0.5, 0.3, 0.2, *[0.1] * 4], batch_size=16),
        ],
    )
    assert seen["seeds"] == 3
    assert seen["path"] == Path("p")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("100", 100),
        ("1e2", 100),
        ("0:100", range(100)),
        ("1000:2000:2", range(1000, 2000, 2)),
        ("3,5,8", [3, 5, 8]),
    ],
)
def test_seeds_of_any_kind(words: str, expected: object) -> None:
    assert _options.seeds(words) == expected


def read(config_type: type, line: str) -> dict[str, object]:
    words: dict[str, list[str]] = {}
    for word in line.split():
        if word.startswith("--"):
            name = word[2:].replace("-", "_")
            words[name] = []
        else:
            words[name].append(word)
    options = _options.options(defaults=True, config_type=config_type)(**words)
    return _options.chosen_fields(options, config_type)


def test_commas_separate_values() -> None:
    chosen = read(fp.Config, "--n-hidden 16,32 64 --l1 1e-3,0 --optimizer adam,sgd --steps 1e4")
    assert chosen == {
        "n_hidden": [16, 32, 64],
        "l1": [1e-3, 0],
        "optimizer": ["adam", "sgd"],
        "steps": [10_000],
    }
    assert type(chosen["steps"][0]) is int  # type: ignore[index]
    kept = read(fp.Config, "--betas 0.8,0.99 --importance 1,0.5 --l1-schedule 0:0,10:1 none")
    assert kept == {
        "betas": [(0.8, 0.99)],
        "importance": [(1, 0.5)],
        "l1_schedule": [((0, 0), (10, 1)), None],
    }
    assert read(fp.Config, "--noise none --weight-decay none") == {
        "noise": ["none"],
        "weight_decay": [None],
    }


def test_every_setting_of_a_network_can_be_given() -> None:
    chosen = read(
        fp.NetworkConfig,
        "--widths 4-8-8-2,4-6-6-2 --activation relu:tanh gelu --bias true:false:true --residual 2"
        " --inputs independent:probability=[0.1,0.2,0.3,0.4],batch_size=16,magnitude=sign"
        " --target clauses:outputs=[[[0,1]],[[2],[-1]]] --loss power:q=4 --l1 0.1:0:0.2,0.3"
        " --learning-rate-schedule cosine 0:1,10:0 --frozen false --bias-decay 0:0.1",
    )
    assert chosen == {
        "widths": [(4, 8, 8, 2), (4, 6, 6, 2)],
        "activation": [("relu", "tanh"), "gelu"],
        "bias": [(True, False, True)],
        "residual": [(2,)],
        "inputs": [fp.Independent([0.1, 0.2, 0.3, 0.4], 16, "sign")],
        "target": [fp.targets.Clauses([[[0, 1]], [[2], [-1]]])],
        "loss": [fp.losses.Power(4)],
        "l1": [(0.1, 0, 0.2), 0.3],
        "learning_rate_schedule": ["cosine", ((0, 1), (10, 0))],
        "frozen": [False],
        "bias_decay": [((0, 0.1),)],
    }


NAMED = [
    (name, option, value)
    for name in experiments.names()
    for option, values in experiments.get(name).CHOICES.items()
    for value in values
]


@pytest.mark.parametrize(("name", "option", "value"), NAMED)
def test_every_name_can_be_given(
    name: str, option: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = experiments.get(name)
    given = []
    monkeypatch.setattr(cli, "_reproduce", lambda *all_: given.append(all_[-1]) or 0)
    first = next(iter(experiment.CHOICES[option]))
    for words in ([value], [value, first]):
        assert cli.main(["reproduce", name, f"--{option.replace('_', '-')}", *words]) == 0
        assert given.pop() == {option: words}


def test_commas_separate_names_without_commas() -> None:
    options = _options.plain_options({"arm": "", "size": ""})
    names = {"arm": ["a", "b", "a, b"]}
    for word, expected in {"a,b": ["a", "b"], "a, b": ["a, b"], "a,c": ["a,c"]}.items():
        chosen = _options.chosen_fields(options(arm=[word], size=["1,2"]), names=names)
        assert chosen == {"arm": expected, "size": [1, 2]}


def test_networks_are_collected(tmp_path: Path) -> None:
    words = (
        "collect network --path s --seeds 2:6 --widths 4-6-4,4-8-4 --steps 10 --target absolute "
        "--inputs independent:probability=0.3,batch_size=8,magnitude=signed_uniform "
        "--optimizer adam"
    )
    done = run(*words.split(), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "4-8-4" in done.stdout
    base = fp.NetworkConfig(
        widths=(4, 6, 4),
        steps=10,
        target=fp.targets.Absolute(),
        inputs=fp.Independent(0.3, 8, "signed_uniform"),
        optimizer="adam",
    )
    study = fp.Study.open(tmp_path / "s")
    assert set(study.configs) == {base, base.replace(widths=(4, 8, 4))}
    assert study.seeds(base)["seed"].tolist() == [2, 3, 4, 5]
    assert run("plot", "s", cwd=tmp_path).stdout == "wrote curve.png\n"


def test_every_field_is_an_option(capsys: pytest.CaptureFixture[str]) -> None:
    commands = {
        ("collect",): fp.Config,
        ("collect", "network"): fp.NetworkConfig,
        ("reproduce", "collisions"): fp.Config,
    }
    for command, config_type in commands.items():
        assert cli.main([*command, "--help"]) == 0
        text = capsys.readouterr().out
        for name in config_type.DEFAULTS:
            assert f"--{name.replace('_', '-')} " in text, name
    words = " ".join(text.replace("│", " ").split())  # where lines break is cyclopts' choice
    assert "default, quick, paper" in words


def test_every_field_has_a_help_of_its_own() -> None:
    network = _options.documentation(fp.NetworkConfig)
    assert set(network) == set(fp.NetworkConfig.DEFAULTS)
    assert all(network.values())
    said = _options.documentation()
    assert list(said) == list(fp.Config.__dataclass_fields__)
    assert all(said.values())
    assert len(set(said.values())) == len(said)
    for name, hint in typing.get_type_hints(fp.Config).items():
        if typing.get_origin(hint) is typing.Literal:
            for choice in typing.get_args(hint):
                assert f'"{choice}"' in said[name], (name, choice)


def test_help_tells_what_presets_set(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["reproduce", "collisions", "--help"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "paper: seeds 16; n-features 256; n-hidden 256, 512, …, 4096; l1 0.001." in text
    for name in experiments.names():
        text = cli._reproduction(name).__doc__ or ""
        for preset, settings in experiments.get(name).PRESETS.items():
            assert re.search(rf"\* {preset}: .*seeds {settings['seeds']}\b", text)


def test_what_is_imported_is_a_dependency() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = {re.split(r"\W", one)[0] for one in project["dependencies"]}
    # Used where they are there, or by what asks for them.
    optional = {"IPython", "xarray"}
    roots = set()
    for path in Path(fp.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                roots.add(str(node.module).partition(".")[0])
            elif isinstance(node, ast.Import):
                roots |= {name.name.partition(".")[0] for name in node.names}
    assert {"cyclopts", "jinja2"} <= roots
    assert roots - sys.stdlib_module_names - {"fastpolysem"} - optional <= declared


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("colect", 'Did you mean "collect"?'),
        ("reproduce collision", 'Did you mean "collisions"?'),
        ("reproduce collisions --preset quik", "did you mean 'quick'?"),
        ("reproduce collisions --optimizer adamm", "did you mean 'adam'?"),
        ("reproduce collisions --n-hiden 4", "Did you mean --n-hidden?"),
        ("reproduce collisions --lr 4", "Did you mean --learning-rate?"),
        ("collect network --path p --l2=4", "Did you mean --weight-decay?"),
        ("reproduce collisions --l1 -1", "Config: l1 must be a finite number >= 0, got -1"),
        ("reproduce collisions --l1 much", "got 'much'"),
        ("reproduce collisions --steps 1e-3", "steps must be an integer"),
        ("reproduce collisions --seeds 0:9", "--seeds must be a whole number, got '0:9'"),
        ("reproduce sparsity --estimate", "--estimate must be left out with sparsity"),
        ("reproduce necessary --n-features 8", "n_hidden must be given with n_features"),
        ("reproduce collisions --momentum 0.5", "momentum must be left at 0.0"),
        ("reproduce collisions --tied perhaps", "tied must be True or False"),
        ("reproduce collisions --seeds 0", "seeds must be an integer >= 1"),
        ("reproduce collisions --seeds few", "--seeds"),
        ("reproduce collisions --n-hidden 4 4", "equal in effect"),
        ("reproduce collisions --n-hidden --l1 0", "hidden"),
        ("collect --path p --seeds 1 --n-hidden 4", "--n-features must be given"),
        (COLLECT, "one of --seeds and --precision"),
        (f"{COLLECT} --seeds 3 --precision 0.1", "one of --seeds and --precision"),
        (f"{COLLECT} --seeds 3 --max-seeds 4", "--max-seeds must be left out without --prec"),
        (f"{COLLECT} --precision nan", "--precision must be a finite number > 0, got nan"),
        (f"{COLLECT} --seeds 3 --num-threads 1.5", "--num-threads must be a whole number, got '1"),
        ("reproduce collisions --num-threads 1.5", "--num-threads must be a whole number"),
        (f"reproduce collisions --output {__file__}", "--output must be a folder, got "),
        (f"reproduce collisions --output {__file__} --estimate", "--output must be a folder"),
        ("collect --seeds 1 --n-hidden 4 --n-features 4", "--path"),
        ("collect --path p --seeds 1 --n-hidden 4 --n-features 4 --inputs basic", "'basis'"),
        ("collect --path p --seeds 1 --n-hidden 4 --n-features 4 --inputs fixed", "from Python"),
        ("collect --path p --seeds few --n-hidden 4 --n-features 4", "--seeds must be a whole"),
        ("collect --path p --seeds 5:5 --n-hidden 4 --n-features 4", "--seeds must hold a seed"),
        ("collect --path p --seeds 0:9:0 --n-hidden 4 --n-features 4", "a step >= 1"),
        ("collect --path p --seeds 1:x --n-hidden 4 --n-features 4", "FIRST:STOP:STEP or a list"),
        ("collect network --path p --seeds 1", "--widths must be given"),
        ("collect network --path p --seeds 1 --widths 3-4", "widths must list the inputs"),
        ("collect network --path p --seeds 1 --widths 3-4-3 --inputs dataset", "from Python"),
        ("collect network --path p --seeds 1 --widths 3-4-3 --target Absolute", "'absolute'"),
        (
            "collect network --path p --seeds 1 --widths 3-4-1 --target parity:outputs=[[0,1",
            "a list must be written as [1,2], got '[[0,1'",
        ),
        (
            f"{COLLECT} --seeds 1 --inputs independent",
            "inputs must be given with probability and batch_size if it is 'independent', "
            "got {'kind': 'independent'}; probability is missing",
        ),
        (f"{COLLECT} --seeds 1 --inputs independent:probability=0.1", "batch_size is missing"),
        ("collect network --path p --seeds 1 --widths 3-4-1 --target parity", "outputs is missing"),
        ("reproduce contexts --optimizer adam,adamw", "optimizer must be one of 'sgd', 'adam'"),
        ("reproduce front --treatment None", "did you mean 'none'?"),
        ("summary nowhere", "there is no study in nowhere"),
        ("plot nowhere", "there is no study in nowhere"),
        ("plot nowhere --kind pie", "--kind"),
    ],
)
def test_errors_are_one_line_and_leave_nothing(
    words: str,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(words.split()) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1
    assert err.startswith("fastpolysem: error: ")
    # Versions of cyclopts quote names in different ways.
    assert message.replace('"', "") in err.replace('"', "")
    assert not list(tmp_path.iterdir())


def test_a_probe_that_fails_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    error: Exception = fp.studies.ProbeError("collect: probe 'own' failed on 2 seeds")

    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(type(experiments.get("collisions")), "run", fail)
    words = ["reproduce", "collisions", "--output", str(tmp_path)]
    assert cli.main(words) == 2
    assert capsys.readouterr().err == f"fastpolysem: error: {error}\n"
    error = RuntimeError("anything else is a bug, whose traceback is needed")
    with pytest.raises(RuntimeError, match="a bug"):
        cli.main(words)


@pytest.mark.parametrize(
    "command", ["collect --n-features 4 --n-hidden 6 --bias", "collect network --widths 4-5-4 --l1"]
)
def test_an_option_without_a_value(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(f"{command} --seeds 2 --path nowhere".split()) == 2
    assert "must have at least one value, got none" in capsys.readouterr().err


def test_an_error_in_a_process_of_its_own() -> None:
    done = run("summary", "nowhere")
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == (
        "fastpolysem: error: there is no study in nowhere: no folder with a config.json\n"
    )


def test_damaged_files_are_named_and_skipped_by_request(tmp_path: Path) -> None:
    config = fp.Config(n_features=4, n_hidden=4, steps=5)
    fp.collect(config, seeds=3, path=tmp_path)
    file = tmp_path / config.digest / "seeds-0-3.parquet"
    file.write_bytes(b"")
    done = run("summary", tmp_path)
    assert done.returncode == 2
    assert f"{file}: is empty" in done.stderr
    assert run("summary", tmp_path, "--skip-damaged").returncode == 0
    assert not file.exists()


def test_ctrl_c_keeps_what_is_finished_and_says_so(tmp_path: Path) -> None:
    words = ["collect", "--n-features", 32, "--n-hidden", 512, "--seeds", 100_000, "--path", "s"]
    process = subprocess.Popen(
        [sys.executable, "-m", "fastpolysem.cli", *map(str, words)],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 40
    while not list(tmp_path.rglob("seeds-*.parquet")) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert process.returncode == 130
    stored = len(fp.Study.open(tmp_path / "s"))
    assert stored > 0
    assert f"interrupted: {stored} seeds are finished; they are kept in s" in err
    assert "Traceback" not in err
    assert out == ""  # a table of what there is would bury the message


def test_the_package_is_the_program(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "fastpolysem", "--version"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, f"{fp.__version__}\n")


def test_estimates_say_time_and_size_and_train_nothing(tmp_path: Path, here: Program) -> None:
    words = ["collect", *TINY, "--path", tmp_path / "s", "--num-threads", 1]
    assert here(*words, "--seeds", 20).returncode == 0
    kept = sorted(tmp_path.rglob("*"))
    done = here(*words, "--seeds", 300, "--estimate")
    assert done.returncode == 0, done.stderr
    said = r"560 seeds of 2 configurations to train \(40 are stored\): "
    found = re.fullmatch(said + r"about (.*) s on 1 thread, (.*)\n", done.stdout)
    assert found is not None, done.stdout
    assert sorted(tmp_path.rglob("*")) == kept
    number, unit = found[2].split()
    start = time.monotonic()
    assert run(*words, "--seeds", 300).returncode == 0
    took = time.monotonic() - start
    assert float(found[1]) <= 3 * took
    size = sum(file.stat().st_size for file in tmp_path.rglob("*.parquet"))
    assert size / 3 < float(number) * {"kB": 1e3, "MB": 1e6}[unit] < 3 * size
    done = here("reproduce", "collisions", *TINY, "--estimate", "--output", "out", cwd=tmp_path)
    assert done.stdout.startswith("256 seeds of 2 configurations to train (0 are stored): about ")
    assert not (tmp_path / "out").exists()
    done = here(*words, "--seeds", 300, "--estimate")
    assert done.stdout == "nothing to train: all 600 seeds are stored\n"
    done = here(*words, "--seeds", 300, "--estimate", "--keep-weights")
    assert done.stdout.startswith("600 seeds of 2 configurations to train (0 are stored): about ")
    done = here(*words, "--precision", 0.5, "--estimate", "--learning-rate", 0.1)
    assert done.stdout.startswith("at least 128 seeds of 2 configurations")


def test_info_and_version() -> None:
    done = run("info")
    assert done.returncode == 0
    for name in ("version", "isa", "threads", "compiler", "numerics_version"):
        assert f"\n{name}:" in "\n" + done.stdout
    assert fp.__version__ in done.stdout
    assert run("--version").stdout == f"{fp.__version__}\n"


@pytest.mark.parametrize("words", [["--help"], ["info"], ["reproduce", "--help"]])
def test_help_and_info_do_not_import_tables_and_figures(words: list[str]) -> None:
    script = (
        "import sys; from fastpolysem import cli; code = cli.main(sys.argv[1:]); "
        "heavy = {'pandas', 'matplotlib', 'scipy', 'pyarrow'} & set(sys.modules); "
        "assert not heavy, heavy; sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_no_command_shows_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == 0
    assert "reproduce" in capsys.readouterr().out


# Experiments.


def test_every_experiment_has_what_the_command_line_needs() -> None:
    assert "collisions" in experiments.names()
    for name in experiments.names():
        experiment = experiments.get(name)
        assert name == experiment.NAME
        assert experiment.SUMMARY.endswith(".")
        assert {"default", "quick"} <= set(experiment.PRESETS)
        for function in ("configs", "run", "table", "rows", "draw"):
            assert callable(getattr(experiment, function))
        for preset in experiment.PRESETS:
            lacking = ""
            try:
                assert experiment.configs(preset)
            except ImportError as error:  # of an extra
                lacking = str(error)
            assert not lacking or "pip install 'fastpolysem[" in lacking
    with pytest.raises(ValueError, match="did you mean 'collisions'"):
        experiments.get("collision")


def test_all_leaves_out_what_lacks_a_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lacking, other = experiments.get("classify"), experiments.get("sparsity")

    def configs(*_: object, **__: object) -> None:
        raise ImportError("digits needs the package scikit-learn")

    ran: list[str] = []
    monkeypatch.setattr(lacking, "configs", configs, raising=False)
    monkeypatch.setattr(experiments, "names", lambda: ["classify", "sparsity"])
    monkeypatch.setattr(cli, "_reproduce", lambda experiment, *_: ran.append(experiment.NAME) or 0)
    command = ["reproduce", "all", "--preset", "quick", "--output", str(tmp_path / "all")]
    assert cli.main(command) == 0
    assert ran == [other.NAME]
    assert "left out: digits needs the package scikit-learn" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("module", "command", "needed"),
    [
        ("distributed", ["existence", "--executor", "dask"], "pip install 'fastpolysem[dask]'"),
        ("sklearn.datasets", ["classify"], "pip install 'fastpolysem[datasets]'"),
    ],
)
def test_a_missing_package_is_named_in_one_line(
    module: str,
    command: list[str],
    needed: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    _splits.split_of.cache_clear()  # rows that another test has loaded need no package
    output = ["--preset", "quick", "--output", str(tmp_path / "here")]
    assert cli.main(["reproduce", *command, *output]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("fastpolysem: error: ")
    assert needed in line


def test_an_experiment_is_added_by_adding_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.py").write_text(
        "from fastpolysem.experiments.collisions import Collisions\n"
        "class Mine(Collisions):\n"
        "    NAME = 'mine'\n"
        "EXPERIMENT = Mine()\n"
    )
    (tmp_path / "_helper.py").write_text("")
    monkeypatch.setattr(experiments, "__path__", [*experiments.__path__, str(tmp_path)])
    assert "mine" in experiments.names()
    assert "_helper" not in experiments.names()
    found = experiments.get("mine")
    assert isinstance(found, experiments.Experiment)
    assert found.NAME == "mine"
    assert len(found.configs("quick")) == 4
    del sys.modules["fastpolysem.experiments.mine"], experiments.mine  # type: ignore[attr-defined]


def test_presets_of_collisions() -> None:
    collisions = experiments.get("collisions")
    default = collisions.configs()
    assert [config.n_hidden for config in default] == [64, 128, 256, 512]
    assert {config.n_features for config in default} == {64}
    paper = collisions.configs("paper")
    assert [config.n_hidden for config in paper] == list(range(256, 4097, 256))
    assert collisions.PRESETS["paper"]["seeds"] == 16
    for config in (*default, *paper):
        assert (config.l1, config.steps, config.optimizer) == (1e-3, 7500, "adamw")
        assert (config.learning_rate, config.l1_update) == (1e-3, "subgradient")


def test_changes_to_a_preset() -> None:
    collisions = experiments.get("collisions")
    configs = collisions.configs(
        "quick", optimizer=["adam", "sgd"], n_hidden=40, betas=(0.9, 0.999)
    )
    assert [config.optimizer for config in configs] == ["adam", "sgd"]
    assert {config.n_hidden for config in configs} == {40}
    with pytest.raises(TypeError, match="did you mean 'n_hidden'"):
        collisions.configs("quick", n_hiden=40)
    with pytest.raises(ValueError, match="n_hidden must hold at least one"):
        collisions.configs("quick", n_hidden=[])


def test_an_experiment_from_python() -> None:
    collisions = experiments.get("collisions")
    study = collisions.run("quick", seeds=3, n_features=8, n_hidden=[8, 16], steps=20)
    table = collisions.table(study)
    assert table["seeds"].tolist() == [3, 3]
    assert {"ci_low", "ci_high", "collision_law", "null_mean", "unrepresented"} <= set(table)
    assert len(collisions.rows(study)) == 6


# What the program finds around it.

COLLECT = "$F collect --n-features 6 --n-hidden 8 --steps 5 --seeds 4 --path s"


@pytest.mark.parametrize("closed", ["2>&-", ">&-", "<&- >&- 2>&-"])
def test_closed_streams(tmp_path: Path, closed: str) -> None:
    done = shell(f"{COLLECT} {closed}", tmp_path)
    assert done.returncode == 0, done.stderr
    assert len(fp.Study.open(tmp_path / "s")) == 4
    assert b"seeds" not in done.stdout or b"4/4 configs" not in done.stdout
    assert shell(f"$F summary nowhere {closed}", tmp_path).returncode == 2
    assert shell(f"$F --help {closed}", tmp_path).returncode == 0


class Shim:
    """Stands for a standard error that a program has put its own in place of."""

    def write(self, text: str) -> None:
        pass


class Gone(Shim):
    """One whose reader has gone."""

    def flush(self) -> None:
        raise BrokenPipeError

    def isatty(self) -> bool:
        return False


@pytest.mark.parametrize("stream", [None, Shim(), Gone(), "closed"])
def test_any_standard_error(stream: object, monkeypatch: pytest.MonkeyPatch) -> None:
    if stream == "closed":
        stream = io.StringIO()
        stream.close()
    monkeypatch.setattr(sys, "stderr", stream)
    for progress in (None, True):
        assert len(fp.collect(SMALL, seeds=3, progress=progress)) == 3
    assert cli.main(["summary", "nowhere"]) == 2


def test_no_standard_error_leaves_standard_output_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    fp.collect(SMALL, seeds=3, progress=True)
    assert cli.main(["summary", "nowhere"]) == 2
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("encoding", ["ascii", "ascii:strict", "latin-1"])
def test_output_in_few_characters(folder: Path, encoding: str) -> None:
    done = shell("$F summary s --csv t.csv", folder, PYTHONIOENCODING=encoding)
    assert done.returncode == 0, done.stderr
    assert len(pd.read_csv(folder / "t.csv")) == 2
    assert (b"n\xb2/4m" if encoding == "latin-1" else b"n?/4m") in done.stdout


@pytest.mark.parametrize(
    "command",
    [
        "--help",
        "collect --help",
        "reproduce collisions --help",
        "reproduce collisions --preset quick --seeds 2 --steps 5 --output r",
    ],
)
def test_every_command_gets_by_with_ascii(tmp_path: Path, command: str) -> None:
    done = shell(f"$F {command}", tmp_path, PYTHONIOENCODING="ascii:strict")
    assert done.returncode == 0, done.stderr
    if "--output" in command:
        assert (tmp_path / "r" / "collisions.svg").stat().st_size > 0


def test_files_are_written_before_anything_is_printed(folder: Path) -> None:
    assert shell("$F summary s --csv t.csv --seeds-csv u.csv >/dev/full", folder).returncode == 2
    assert len(pd.read_csv(folder / "t.csv")) == 2
    assert len(pd.read_csv(folder / "u.csv")) == 6
    words = "reproduce collisions --preset quick --seeds 2 --steps 5 --output r"
    assert shell(f"$F {words} >/dev/full", folder).returncode == 2
    assert {"collisions.csv", "collisions.png", "collisions-seeds.parquet"} <= {
        path.name for path in (folder / "r").iterdir()
    }


@pytest.mark.parametrize("command", ["summary s", "info", "--help"])
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_standard_output_on_a_full_disk(folder: Path, command: str, unbuffered: str) -> None:
    done = shell(f"$F {command} >/dev/full", folder, PYTHONUNBUFFERED=unbuffered)
    assert done.returncode == 2
    (line,) = done.stderr.decode().splitlines()
    assert line.startswith("fastpolysem: error: [Errno 28] No space left on device")


@pytest.mark.parametrize("command", ["--help", "collect --help", "reproduce --help", "info"])
def test_what_is_cut_off_ends_quietly(command: str, tmp_path: Path) -> None:
    done = shell(f"$F {command} | head -n 1", tmp_path)
    assert done.stderr == b""
    assert len(done.stdout.splitlines()) == 1


def test_a_reader_that_goes_away_is_no_error(folder: Path) -> None:
    line = "{ $F summary s; echo $? >code; } | true"
    done = shell(line.replace("$F", "sleep 0.1; $F"), folder)
    assert done.stderr == b""
    assert (folder / "code").read_text() == "141\n"


def test_a_wrong_digest(folder: Path, here: Program) -> None:
    digest = SMALL.digest
    done = here("plot", "s", "--kind", "counts", "--digest", digest[:-1] + "x", cwd=folder)
    assert done.returncode == 2
    assert done.stderr == (
        "fastpolysem: error: --digest must begin the name of one configuration's folder in s, "
        f"got '{digest[:-1]}x'; did you mean '{digest}'?; there are {digest}, "
        f"{SMALL.replace(n_hidden=16).digest}\n"
    )
    done = here("plot", "s", "--kind", "counts", cwd=folder)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert f"got none; there are {digest}, " in done.stderr
    shown = here("summary", "s", cwd=folder).stdout.splitlines()
    assert shown[0].split()[-1] == "digest"
    short = shown[1].split()[-1]
    assert short == digest[:8]
    done = here("plot", "s", "--kind", "counts", "--digest", short, cwd=folder)
    assert done.returncode == 0, done.stderr


def test_plot_of_any_question(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[tuple[fp.Study, dict[str, object]]] = []
    whole = fp.plots.curve

    def curve(study: fp.Study, *args: object, **options: object) -> object:
        drawn.append((study, dict(zip(("x", "y", "hue"), args, strict=False)) | options))
        return whole(study, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr("fastpolysem.plots.curve", curve)
    monkeypatch.chdir(folder)
    words = "plot s --x n_hidden --y dead --hue optimizer --yscale log --select n_hidden=16"
    assert cli.main(words.split()) == 0
    assert Path("curve.png").stat().st_size > 1000
    study, options = drawn[0]
    assert [config.n_hidden for config in study.configs] == [16]
    del options["ax"]
    assert options == {"x": "n_hidden", "y": "dead", "hue": "optimizer", "yscale": "log"}


def test_settings_per_layer_are_selected(folder: Path) -> None:
    """Written as for collect; metadata may hold colons."""
    inputs = fp.Independent(0.2, 8)
    network = fp.NetworkConfig(widths=(4, 4, 4, 4), inputs=inputs, steps=2)
    configs = fp.grid(network, dropout=[(0.3, 0.0), (0.0, 0.3)])
    fp.collect(configs, seeds=2, path=folder / "d", metadata={"at": "0:1"}, progress=False)
    words = f"--x dropout --y loss --select dropout=0.3:0 at=0:1 --output={folder / 'o.png'}"
    assert cli.main(["plot", str(folder / "d"), *words.split()]) == 0
    chosen = _options.selection(["dropout=0.3:0,0.1", "at=0:1"], [fp.NetworkConfig])
    assert chosen == {"dropout": [(0.3, 0), 0.1], "at": ["0:1"]}
    assert _options.selection(["l1=0.1", "l1=0.2,0.3"]) == {"l1": [0.1, 0.2, 0.3]}


def test_text_is_selected_that_looks_like_something_else(folder: Path) -> None:
    for index, name in enumerate(("007", "1e5", "true")):
        config = SMALL.replace(n_hidden=8 + index)
        fp.collect(config, seeds=2, path=folder / "t", metadata={"run": name}, progress=False)
    for chosen in ("run=007", "run=1e5", "run=true", "noise=none"):
        words = ["plot", str(folder / "t"), "--x", "n_hidden", "--select", chosen]
        assert cli.main([*words, "--output", str(folder / "t.png")]) == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            [
                *["collect", "--path", "p", "--n-hidden", "4", "--n-features", "4", "--seeds", "2"],
                "--csv",
                "",
            ],
            "an argument must not be empty, got one after --csv",
        ),
        (["check", ""], "an argument must not be empty, got one after check"),
        (
            [
                *["collect", "--path", "p", "--n-hidden", "4", "--n-features", "4", "--seeds", "2"],
                "--inputs",
                "independent:probability=0.1,probability=0.2",
            ],
            "inputs must have each part once, got 'independent:probability=0.1,probability=0.2'",
        ),
        (
            [
                *["collect", "--path", "p", "--n-hidden", "4", "--n-features", "4", "--seeds", "2"],
                "--inputs",
                "independent:probability=" + 3000 * "[",
            ],
            "a list must be written as [1,2]",
        ),
    ],
)
def test_words_that_say_too_little_or_too_much(
    words: list[str], message: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(words) == 2
    assert message in capsys.readouterr().err


def test_a_lost_worker_is_no_traceback(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from concurrent.futures.process import BrokenProcessPool

    def lost(*_: object, **__: object) -> None:
        raise BrokenProcessPool("a process ended abruptly")

    monkeypatch.setattr("fastpolysem.studies.collect", lost)
    assert cli.main(["reproduce", "collisions", *TINY, "--seeds", "2", "--output", "lost"]) == 2
    assert "fastpolysem: error: a process ended abruptly" in capsys.readouterr().err


def test_a_csv_file_in_the_home_directory(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(folder))
    assert cli.main(["summary", str(folder / "s"), "--csv", "~/home.csv"]) == 0
    assert (folder / "home.csv").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--kind counts --hue l1", "--hue must be left out with --kind counts, got 'l1'"),
        ("--kind collisions --y dead", "--y must be left out with --kind collisions"),
        ("--select n_hidden", "--select must be written as NAME=VALUE,VALUE..., got 'n_hidden'"),
        ("--select n_hidden=32", "n_hidden must be one of 8, 16, got 32"),
        ("--x n_hiden", "did you mean 'n_hidden'"),
    ],
)
def test_what_cannot_be_plotted(
    folder: Path, words: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["plot", str(folder / "s"), *words.split()]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "backend"),
    [
        ("plot s", "module://not_installed.backend"),
        ("plot s", "no such backend"),
        ("report s", "no such backend"),
        ("reproduce collisions --preset quick --seeds 2 --steps 5", "no such backend"),
    ],
)
def test_the_backend_of_a_notebook_does_not_matter(
    folder: Path, command: str, backend: str
) -> None:
    done = shell(f"$F {command}", folder, MPLBACKEND=backend)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["nonexistent", "empty", "other"])
def test_a_check_of_nothing_is_no_success(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "other" / "sub").mkdir(parents=True)
    (tmp_path / "other" / "sub" / "notes.txt").write_text("notes")
    (tmp_path / "other" / "data.csv").write_text("a,b")
    assert cli.main(["check", str(tmp_path / name)]) == 2
    assert f"there is no study in {tmp_path / name}" in capsys.readouterr().err


def test_a_check_of_a_sound_study(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["check", str(folder / "s")]) == 0
    assert capsys.readouterr().out == ""


def test_a_figure_without_an_ending_is_said_to_be_what_it_is(folder: Path, here: Program) -> None:
    for name, written in [("fig", "fig.png"), ("fig.", "fig.png"), ("f.PDF", "f.PDF")]:
        done = here("plot", "s", "--output", name, cwd=folder)
        assert done.stdout == f"wrote {written}\n"
        assert (folder / written).stat().st_size > 1000
    assert (folder / "f.PDF").read_bytes().startswith(b"%PDF")
    done = here("plot", "s", "--output", "f.nope", cwd=folder)
    assert done.returncode == 2
    assert "'webp', got 'nope'" in done.stderr
    assert not (folder / "f.nope").exists()


WRITERS = {
    "report": "report s --output",
    "figure": "plot s --output",
    "csv": "summary s --csv",
    "seeds": "summary s --seeds-csv",
}


@pytest.mark.parametrize("writer", WRITERS)
def test_files_are_whole_or_not_touched(
    writer: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    target = folder / "out.png"
    target.write_text("what was there")
    link = folder / "link.png"
    link.symlink_to(target)
    words = WRITERS[writer].replace(" s ", f" {folder / 's'} ").split()

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        assert cli.main([*words, str(target)]) == 2
    assert f"No space left on device: '{target}'" in capsys.readouterr().err
    assert target.read_text() == "what was there"
    assert sorted(path.name for path in folder.iterdir()) == ["link.png", "out.png", "s"]
    assert cli.main([*words, str(link)]) == 0
    assert link.is_symlink()
    assert len(target.read_bytes()) > 200
    assert cli.main([*words, "/dev/full"]) == 2
    assert "No space left on device: '/dev/full'" in capsys.readouterr().err
    assert Path("/dev/full").is_char_device()  # and no file in its place
    assert cli.main([*words, str(folder / "none" / "x.png")]) == 2
    assert f"No such file or directory: '{folder / 'none' / 'x.png'}'" in capsys.readouterr().err


def test_files_can_go_to_a_pipe(folder: Path) -> None:
    done = shell("$F summary s --csv /dev/stderr", folder)
    assert done.returncode == 0
    assert done.stderr.startswith(b"n_features,n_hidden,")


@pytest.mark.parametrize("columns", ["0", "1", "2", "10", "-3", "wide"])
def test_help_on_a_narrow_terminal(tmp_path: Path, columns: str) -> None:
    done = shell("$F collect --help", tmp_path, COLUMNS=columns)
    assert done.returncode == 0
    assert b"--n-features" in done.stdout
    assert len(done.stdout.splitlines()) < 1000


def test_control_characters_are_shown_and_not_obeyed(tmp_path: Path) -> None:
    evil = "s\x1b[2J\r\x07\u202e"
    fp.collect(SMALL, seeds=2, path=tmp_path / evil, metadata={"k\x1b[1m": "v\x1b]0;t\x07\n"})
    (tmp_path / evil / SMALL.digest / "x\x1b[31m").write_text("")
    (tmp_path / evil / SMALL.digest / "seeds-7-1.parquet").write_bytes(b"")
    shown = b""
    for command in ("check", "summary", "summary --skip-damaged", "report", "plot", "summary no"):
        words = shlex.join([*command.split(), evil])
        done = shell(f"$F {words}", tmp_path)
        shown += done.stdout + done.stderr
    text = shown.decode()
    assert {one for one in text if not one.isprintable()} == {"\n"}
    for part in ("\\x1b[2J", "\\x1b[31m", "k\\x1b[1m", "v\\x1b]0;t\\x07\\n", "wrote s\\x1b"):
        assert part in text, part
    assert "Traceback" not in text
    assert "UserWarning" not in text


@pytest.mark.skipif(sys.platform == "darwin", reason="file names are UTF-8 there")
def test_names_that_are_no_utf_8(folder: Path) -> None:
    commands = {"report s --output": b"caf\xe9.html", "summary s --csv": b"caf\xe9.csv"}
    for command, name in commands.items():
        done = shell(f"$F {command} {os.fsdecode(name)}", folder)
        assert done.returncode == 0, (command, done.stderr)
        assert (folder / os.fsdecode(name)).stat().st_size > 0
        if "report" in command:
            assert done.stdout == b"wrote caf\\udce9.html\n"
    page = fp.report.page(fp.Study.open(folder / "s"), title=os.fsdecode(b"caf\xe9"))
    assert "<h1>caf\\udce9</h1>" in page


def test_an_unknown_instruction_set_is_one_line(tmp_path: Path) -> None:
    done = shell("$F info", tmp_path, FASTPOLYSEM_ISA="nope")
    assert done.returncode == 2
    (line,) = done.stderr.decode().splitlines()
    assert line.startswith("fastpolysem: error: FASTPOLYSEM_ISA must be one of")
    assert line.endswith("got 'nope'")


@pytest.mark.parametrize("when", ["importing", "training"])
def test_five_rapid_ctrl_c_end_without_a_traceback(tmp_path: Path, when: str) -> None:
    # A module that the package imports says that it is being imported, and takes its time.
    hook = tmp_path / "cyclopts" / "__init__.py"
    if when == "importing":
        hook.parent.mkdir()
        hook.write_text("import time\nopen('here', 'w').close()\ntime.sleep(20)\n")
    words = shlex.split("collect --n-features 32 --n-hidden 64 --seeds 1000000 --path s")
    process = subprocess.Popen(
        [sys.executable, "-m", "fastpolysem.cli", *words],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while not (tmp_path / "here").exists() and not list(tmp_path.rglob("seeds-*.parquet")):
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    for _ in range(5):
        process.send_signal(signal.SIGINT)
        time.sleep(0.02)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert "Exception ignored" not in err
    if when == "training":
        assert "interrupted: " in err
        assert len(fp.Study.open(tmp_path / "s")) > 0
        assert out == ""


def test_a_ctrl_c_after_a_second_ends_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[int] = []
    now = 100.0
    monkeypatch.setattr(os, "_exit", ended.append)
    monkeypatch.setattr(time, "monotonic", lambda: now)
    interrupts = _console.Interrupts()
    with pytest.raises(KeyboardInterrupt):
        interrupts(signal.SIGINT, None)
    now = 100.9
    interrupts(signal.SIGINT, None)
    assert not ended
    now = 101.1
    interrupts(signal.SIGINT, None)
    assert ended == [130]
