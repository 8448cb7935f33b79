"""What the package offers, and what importing it costs."""

from __future__ import annotations

import importlib.metadata
import json
import os
import subprocess
import sys

import pytest

import fastpolysem as fp

PUBLIC = {
    *("Config", "grid", "Basis", "Independent", "CorrelatedBlocks", "FixedBatch"),
    *("train", "TrainingResult", "Parameters", "Record", "forward", "loss_and_gradient"),
    *("count_polysemantic", "metrics", "build_info", "NUMERICS_VERSION", "__version__"),
    *("plots", "probes", "report", "theory", "statistics", "studies", "experiments", "encoding"),
    *("collect", "iter_collect", "Study"),
    *("diagnose", "Diagnosis", "gradient_flow", "register_family"),
    *("NetworkConfig", "NetworkParameters", "Dataset", "targets", "losses", "draw", "Draws"),
    *("datasets", "parameters_from_torch", "to_torch"),
    *("measure", "measures", "Measures", "monosemantic", "price", "Price"),
}


def python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


def output(code: str, **environment: str):
    done = python(code, **environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_public_names():
    assert set(fp.__all__) == PUBLIC
    assert len(fp.__all__) == len(PUBLIC)
    assert set(dir(fp)) >= PUBLIC


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_every_public_name_is_there_and_explained(name):
    value = getattr(fp, name)
    assert getattr(fp, name) is value
    assert isinstance(value, (int, str)) or value.__doc__


def test_lazy_names_come_from_studies():
    for name in ("Study", "collect", "iter_collect"):
        assert getattr(fp, name) is getattr(fp.studies, name)


def test_an_unknown_name_suggests_the_nearest():
    with pytest.raises(AttributeError, match=r"no 'trainn'; did you mean 'train'\?"):
        fp.trainn  # noqa: B018


@pytest.mark.parametrize("name", ["trainn", "plots.curv", "statistics.meann"])
def test_a_traceback_suggests_it_once(name: str) -> None:
    """Python would suggest it again, as it does for errors without a name."""
    script = f"import fastpolysem as fp; fp.{name}"
    command = [sys.executable, "-c", script]
    said = subprocess.run(command, capture_output=True, text=True, check=False).stderr
    assert said.splitlines()[-1].startswith("AttributeError: module ")
    assert said.lower().count("did you mean") == 1


def test_version():
    assert fp.__version__ == importlib.metadata.version("fastpolysem")
    assert fp.build_info()["numerics_version"] == fp.NUMERICS_VERSION


def test_importing_loads_numpy_only():
    loaded = "import json, sys; {}; print(json.dumps(sorted(sys.modules)))"
    before = set(output(loaded.format("import numpy, numpy.typing")))
    added = set(output(loaded.format("import fastpolysem"))) - before
    top = {name.partition(".")[0] for name in added}
    assert top - set(sys.stdlib_module_names) <= {"fastpolysem"}
    assert not top & {"multiprocessing", "concurrent", "asyncio", "subprocess", "socket"}
    lazy = {f"fastpolysem.{name}" for name in ("plots", "theory", "statistics", "studies", "cli")}
    assert not added & lazy


def test_a_study_leaves_the_slowest_imports_out():
    study = "fp.collect(fp.Config(n_features=4, n_hidden=4, steps=1), seeds=2).summary()"
    loaded = output(
        f"import json, sys, fastpolysem as fp; {study}; print(json.dumps(sorted(sys.modules)))"
    )
    assert "scipy.special" in loaded
    assert not {"scipy.stats", "scipy.optimize", "scipy.integrate", "matplotlib"} & set(loaded)


def test_an_unknown_instruction_set_is_refused():
    done = python("import fastpolysem", FASTPOLYSEM_ISA="sse9")
    assert done.returncode != 0
    assert "FASTPOLYSEM_ISA must be one of" in done.stderr
    assert "'sse9'" in done.stderr


# A machine that has the instruction set "newest", too, which was not built.
NEWER = """
import json, sys, types
machine = types.ModuleType("fastpolysem._isa")
machine.supported = lambda: ("newest", *{built})
sys.modules["fastpolysem._isa"] = machine
import fastpolysem
print(json.dumps(fastpolysem.build_info()["supported"]))
"""


def test_what_was_built_is_loaded():
    built = fp.build_info()["supported"]
    environment = {"FASTPOLYSEM_ISA": ""}
    assert output(NEWER.format(built=built), **environment) == list(built)
    done = python(NEWER.format(built=()), **environment)
    assert "ImportError: fastpolysem must be built for one of newest to run on" in done.stderr
