"""The documentation: its code runs, its examples print what they say, and it names everything."""

from __future__ import annotations

import dataclasses
import doctest
import html
import importlib
import inspect
import os
import pkgutil
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import unquote

import matplotlib
import pytest

import fastpolysem as fp

DOCS = Path(__file__).parent.parent / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
BLOCK = re.compile(r"^```(python|pycon)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE

pytestmark = pytest.mark.skipif(not DOCS.is_dir(), reason="needs the documentation's sources")


def blocks(page: Path) -> Iterator[tuple[str, str, int]]:
    """Kind, code and first line of each block of Python."""
    text = page.read_text(encoding="utf-8")
    for match in BLOCK.finditer(text):
        yield match[1], match[2], text[: match.start()].count("\n") + 1


# Packages of extras, and what pages that need them write.
EXTRAS = {
    "sklearn": "datasets.digits(",
    "mnist1d": "datasets.mnist1d",
    "torch": "import torch\n",
}


def needed(page: Path) -> list[str]:
    """The packages of extras that a page's code needs."""
    code = "".join(one for _, one, _ in blocks(page))
    return [package for package, written in EXTRAS.items() if written in code]


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(one, marks=pytest.mark.extra if needed(one) else ())
        for one in PAGES
        if any(blocks(one))
    ],
    ids=lambda p: str(p.relative_to(DOCS)),
)
def test_the_code_of_a_page_runs(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for package in needed(page):
        pytest.importorskip(package)
    monkeypatch.chdir(tmp_path)
    matplotlib.use("Agg")
    names: dict[str, object] = {}
    runner = doctest.DocTestRunner(optionflags=FLAGS)
    for kind, code, line in blocks(page):
        if kind == "python":
            exec(compile("\n" * line + code, str(page), "exec"), names)
        else:
            test = doctest.DocTestParser().get_doctest(code, {}, page.name, str(page), line)
            test.globs = names
            assert test.examples
            failures: list[str] = []
            runner.run(test, out=failures.append, clear_globs=False)
            assert not failures, "".join(failures)
    from matplotlib import pyplot as plt

    plt.close("all")


def modules() -> list[str]:
    return [
        one.name
        for one in pkgutil.walk_packages(fp.__path__, "fastpolysem.")
        if not one.name.rpartition(".")[2].startswith("_core")
    ] + ["fastpolysem"]


@pytest.mark.parametrize("name", modules())
def test_the_examples_of_docstrings(name: str) -> None:
    module = importlib.import_module(name)
    result = doctest.testmod(module, optionflags=FLAGS)
    assert not result.failed


def public(module: ModuleType) -> Iterator[str]:
    """Full names of what a module offers, and of what its modules offer."""
    for name in module.__all__:
        value = getattr(module, name)
        if isinstance(value, ModuleType):
            yield value.__name__
            yield from public(value)
        else:
            yield f"{module.__name__}.{name}"


def test_every_public_name_is_in_the_reference() -> None:
    text = "\n".join(page.read_text(encoding="utf-8") for page in (DOCS / "api").glob("*.md"))
    listed = set(re.findall(r"auto\w+:: ([\w.]+)", text))
    whole = set(re.findall(r"automodule:: ([\w.]+)", text))
    for name in public(fp):
        assert name in listed or name.rpartition(".")[0] in whole - {"fastpolysem"}, name


@pytest.mark.parametrize("name", sorted(set(public(fp))))
def test_every_public_name_says_what_it_is(name: str) -> None:
    parent, _, last = name.rpartition(".")
    value = getattr(importlib.import_module(parent), last)
    if isinstance(value, (int, str, tuple)) or not hasattr(value, "__module__"):
        return
    documentation = inspect.getdoc(value) or ""
    assert documentation.strip().endswith((".", "::")) or "\n" in documentation, name
    if inspect.isfunction(value):
        # What several functions share is said where they are, or by the one that is referred to.
        documentation += inspect.getdoc(inspect.getmodule(value)) or ""
        if not re.search(r"(Arguments|Parameters) (as in|are those of)", documentation):
            parameters = inspect.signature(value).parameters
            missing = [one for one in parameters if not re.search(rf"\b{one}\b", documentation)]
            assert not missing


@pytest.mark.parametrize("config", [fp.Config, fp.NetworkConfig])
def test_every_field_of_config_is_explained(config: type[Any]) -> None:
    for field in dataclasses.fields(config):
        assert re.search(rf"\b{field.name}\b", config.__doc__ or ""), field.name


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built documentation."""
    for needed in ("sphinx", "myst_parser", "furo"):
        pytest.importorskip(needed)
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", str(DOCS), str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.extra
def test_the_documentation_builds_without_a_warning(site: Path) -> None:
    assert (site / "index.html").exists()


@pytest.mark.extra
def test_no_link_inside_the_documentation_is_dead(site: Path) -> None:
    texts = {path: path.read_text(encoding="utf-8") for path in site.rglob("*.html")}
    names = {path: set(re.findall(r'\bid="([^"]+)"', text)) for path, text in texts.items()}
    checked = 0
    for path, text in texts.items():
        for link in re.findall(r'(?:href|src)="([^"]+)"', text):
            target, _, name = html.unescape(link).partition("#")
            if re.match(r"[a-z]+:", target) or link == "#":
                continue
            file = (path.parent / unquote(target.partition("?")[0])).resolve() if target else path
            assert file.exists(), (path.name, link)
            assert not name or file not in names or unquote(name) in names[file], (path.name, link)
            checked += 1
    assert checked > 1000


@pytest.mark.extra
def test_names_of_the_package_are_links(site: Path) -> None:
    """Sphinx leaves what it does not find as text, without a warning."""
    for path in site.rglob("*.html"):
        if path.parent.name != "api":
            text = re.sub(r"<a .*?</a>", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
            assert not re.findall(r'class="xref py[^>]*>.*?</code>', text), path.name


@pytest.mark.extra
def test_every_figure_of_the_package_is_in_its_reference(site: Path) -> None:
    text = (site / "api" / "plots.html").read_text(encoding="utf-8")
    for name in fp.plots.__all__:
        assert name.isupper() or f'id="fastpolysem.plots.{name}"' in text, name


def test_the_gallery_shows_every_figure_that_its_code_draws() -> None:
    sys.path.insert(0, str(DOCS))
    gallery = importlib.import_module("gallery")
    entries = gallery.entries()
    drawn = [name for name in fp.plots.__all__ if name not in ("look", "panels", "save")]
    assert {re.findall(r"plots\.(\w+)", call)[0] for call in entries.values()} == {
        name for name in drawn if not name.isupper()
    }
    matplotlib.use("Agg")
    names = gallery.names()
    for image, call in entries.items():
        assert (DOCS / image).is_file()
        assert eval(call, names).figure.axes
    from matplotlib import pyplot as plt

    plt.close("all")


CLUSTER = re.compile(r"^```sh\n(#!/bin/bash\n.*?)^```$", re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize(("ends", "requeued"), [(0, False), (143, True), (2, False)])
def test_the_batch_script_resumes_only_what_was_cut_off(
    ends: int, requeued: bool, tmp_path: Path
) -> None:
    """With stand-ins for Slurm's commands and the package's, which ends with a status."""
    (script,) = CLUSTER.findall((DOCS / "cluster.md").read_text(encoding="utf-8"))
    stands_in = {
        "srun": 'exec "$@"',
        "scontrol": 'echo "$@" >> scontrol.log',
        "fastpolysem": f'echo "$@" >> fastpolysem.log; exit {ends}',
    }
    for name, text in stands_in.items():
        (tmp_path / name).write_text(f"#!/bin/bash\n{text}\n")
        (tmp_path / name).chmod(0o755)
    (tmp_path / "job.sh").write_text(re.sub(r"^source .*\n", "", script, flags=re.MULTILINE))
    slurm = {"SLURM_ARRAY_TASK_ID": "7", "SLURM_ARRAY_JOB_ID": "55", "SLURM_CPUS_PER_TASK": "4"}
    done = subprocess.run(
        ["bash", "job.sh"],
        cwd=tmp_path,
        env={**os.environ, **slurm, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
        check=False,
    )
    assert done.returncode == ends
    assert "--seeds 70000:80000" in (tmp_path / "fastpolysem.log").read_text()
    log = tmp_path / "scontrol.log"
    assert log.exists() == requeued
    assert not requeued or log.read_text() == "requeue 55_7\n"


def test_the_tests_of_further_cases_exist() -> None:
    folder = Path(__file__).parent
    named = re.findall(
        r"`((?:\w+/)*test_\w+)(?:::(test_\w+))?`", (folder / "FURTHER_CASES.md").read_text()
    )
    assert len(named) > 30
    for module, test in named:
        assert f"def {test}" in (folder / f"{module}.py").read_text()


def test_the_columns_of_a_study_are_described(tmp_path: Path) -> None:
    """The table of docs/studies.md names each column of the rows with its type."""
    import pyarrow.parquet as pq

    fp.collect(
        fp.Config(n_features=8, n_hidden=16, steps=2), seeds=1, path=tmp_path, progress=False
    )
    (file,) = tmp_path.glob("*/seeds-*.parquet")
    stored = pq.read_schema(file)
    text = (DOCS / "studies.md").read_text(encoding="utf-8")
    _, _, section = text.partition("### Columns of `seeds-*.parquet`")
    found: list[tuple[str, str]] = []
    for line in re.findall(r"^\| (.*) \|$", section.partition("\n`weights-")[0], re.MULTILINE)[1:]:
        names, types, _ = (cell.strip() for cell in re.split(r" ?\| ?", line))
        listed = names.split(", ")
        kinds = types.replace("strings", "string").split(", ")
        kinds += kinds[-1:] * (len(listed) - len(kinds))
        found += zip(listed, kinds, strict=True)
    names = {"double": "float64"}
    assert dict(found) == {
        field.name: names.get(str(field.type), str(field.type)) for field in stored
    }
    assert len(found) == len(stored)
