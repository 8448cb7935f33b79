"""What is written in several places agrees: versions, stubs, documentation, command line."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

import fastpolysem as fp
from fastpolysem import cli, experiments, report
from fastpolysem._native import core

ROOT = Path(__file__).parent.parent
PACKAGE = Path(fp.__file__).parent


def text(name: str) -> str:
    path = ROOT / name
    if not path.exists():
        pytest.skip(f"needs {name}")
    return path.read_text(encoding="utf-8")


def version() -> str:
    found: str = tomllib.loads(text("pyproject.toml"))["project"]["version"]
    return found


def test_versions_agree(capsys: pytest.CaptureFixture[str]) -> None:
    assert fp.__version__ == fp.build_info()["version"] == core.__version__ == version()
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out.strip() == version()
    assert f"\nversion: {version()}\n" in text("CITATION.cff")
    newest = re.search(
        r"^## (\S+) \(.*numerics version (\d+)\)", text("CHANGELOG.md"), re.MULTILINE
    )
    assert newest is not None
    assert newest[1] == version()
    assert int(newest[2]) == fp.NUMERICS_VERSION == core.NUMERICS_VERSION


def test_the_lowest_versions_are_the_ones_tested() -> None:
    project = tomllib.loads(text("pyproject.toml"))["project"]
    tested = dict(re.findall(r"^([\w-]+)==(\S+)$", text("tests/lowest.txt"), re.MULTILINE))
    for line in project["dependencies"] + project["optional-dependencies"]["test"]:
        name, bound = line.split(">=")
        given = bound.split(".")
        assert tested[name].split(".")[: len(given)] == given, line
        assert set(tested[name].split(".")[len(given) :]) <= {"0"}, line


def stubs() -> ModuleType:
    path = ROOT / "cpp" / "bindings" / "stubs.py"
    if not path.exists():
        pytest.skip("needs the sources of the binding")
    spec = importlib.util.spec_from_file_location("stubs", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_stub_is_fresh() -> None:
    expected = stubs().stub(core)
    found = (PACKAGE / "_core.pyi").read_text(encoding="utf-8")
    assert found == expected, "run: python cpp/bindings/stubs.py > python/fastpolysem/_core.pyi"


def test_the_stub_names_what_the_core_has() -> None:
    found = (PACKAGE / "_core.pyi").read_text(encoding="utf-8")
    names = set(re.findall(r"^(?:def |class )?(\w+)", found, re.MULTILINE))
    for name in dir(core):
        if not name.startswith("_"):
            assert name in names
    settings = set(re.findall(r"^    (?:def )?(\w+)", found, re.MULTILINE))
    for name in vars(core.Settings):
        if not name.startswith("_"):
            assert name in settings


def helped(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    assert cli.main([*words, "--help"]) == 0
    return capsys.readouterr().out


def commands(capsys: pytest.CaptureFixture[str]) -> dict[tuple[str, ...], str]:
    """The help of every command."""
    known = [("info",), ("collect",), ("collect", "network"), ("summary",), ("plot",), ("report",)]
    known += [("reproduce", name) for name in [*experiments.names(), "all"]]
    return {one: helped(list(one), capsys) for one in known}


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    top = helped([], capsys)
    below = {name: helped([name], capsys) for name in ("reproduce", "collect")}
    for words in commands(capsys):
        assert words[0] in top
        assert len(words) == 1 or words[1] in below[words[0]]


@pytest.mark.parametrize("page", ["README.md", "docs/start.md", "docs/howto/sweep.md"])
def test_commands_in_pages_exist(page: str, capsys: pytest.CaptureFixture[str]) -> None:
    known = commands(capsys)
    whole_lines = text(page).replace("\\\n", "")
    used = re.findall(r"(?:^|/|`)fastpolysem ([^`\n|#]+)", whole_lines, re.MULTILINE)
    assert used
    for line in used:
        words = line.split()
        two = words[0] == "reproduce" or words[:2] == ["collect", "network"]
        name = tuple(words[: 2 if two else 1])
        if name[-1].isupper() or name == ("reproduce",):  # any of them
            continue
        assert name in known, line
        for option in re.findall(r"--[\w-]+", line):
            assert option in known[name], (line, option)


def test_every_option_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    for words, shown in commands(capsys).items():
        # An option stands alone in its line of the help only if nothing is said of it.
        for line in shown.splitlines():
            bare = line.strip("│ ").split("  ")
            assert not (len(bare) == 1 and bare[0].startswith("--") and " " not in bare[0]), (
                words,
                line,
            )


def test_the_reports_columns_are_those_of_summaries() -> None:
    study = fp.Study()
    study.add(fp.train(fp.Config(n_features=3, n_hidden=4, steps=1, l1=0.1), 2))
    from fastpolysem.studies import formatting

    terms = re.findall(r"<dt>(.*?)</dt>", report.page(study))
    explained = {name for names in terms for name in names.split(", ")}
    intervals = {"95 % interval", "interval of ratio"}
    assert explained == set(formatting.readable(study.summary()).columns) - intervals


def test_every_folder_says_what_lives_there() -> None:
    if not (ROOT / "docs").is_dir():
        pytest.skip("needs the repository")
    folders = {
        path.parent
        for pattern in ("python/**/*.py", "cpp/**/*.?pp", "tests/*.py", "benchmarks/*.py")
        for path in ROOT.glob(pattern)
        if "third_party" not in path.parts and "__pycache__" not in path.parts
    }
    for folder in folders | {ROOT / name for name in ("docs", "examples", "cpp/third_party/eigen")}:
        if folder != ROOT / "python":
            assert (folder / "README.md").is_file(), folder


def test_the_tools_versions_agree() -> None:
    wanted = dict(re.findall(r"^([\w-]+)==(\S+)$", text(".ci/lint.txt"), re.MULTILINE))
    hooks = dict(re.findall(r'"([\w-]+)==([^"]+)"', text(".pre-commit-config.yaml")))
    assert {"clang-format", "codespell", "ruff"} <= wanted.keys() & hooks.keys()
    for name in wanted.keys() & hooks.keys():
        assert hooks[name] == wanted[name]
    for name, number in re.findall(r'"([\w-]+)==([^"]+)"', text("noxfile.py")):
        assert hooks[name] == number


def test_notebooks_are_for_any_python_3() -> None:
    for path in (ROOT / "examples").glob("*.ipynb"):
        metadata = json.loads(path.read_text(encoding="utf-8"))["metadata"]
        assert metadata["kernelspec"]["name"] == "python3"


def test_the_supported_pythons_agree() -> None:
    project = tomllib.loads(text("pyproject.toml"))
    least = project["project"]["requires-python"].removeprefix(">=")
    versions = [
        one.rpartition(" ")[2]
        for one in project["project"]["classifiers"]
        if re.fullmatch(r"Programming Language :: Python :: 3\.\d+", one)
    ]
    built = {one.removesuffix("-*") for one in project["tool"]["cibuildwheel"]["build"]}
    assert versions[0] == least
    assert {f"cp{one.replace('.', '')}" for one in versions} <= built
    assert sys.version_info >= tuple(map(int, least.split(".")))
