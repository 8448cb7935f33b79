"""The command line, ``fastpolysem``: a function for each command, whose docstring is its help.

Options of configurations come from the fields of one family's configurations (`_options`); studies
of any family that has been imported can be read and drawn. What needs tables or figures is imported
by the commands that do, so that help and ``info`` are quick. The file is long by its help texts.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App, CycloptsError, Parameter

from fastpolysem import _checks, _console, _native, experiments
from fastpolysem._checks import nearest, printable
from fastpolysem._console import BAD_INPUT, INTERRUPTED
from fastpolysem._options import CONFIG, chosen_fields, options, plain_options, selection
from fastpolysem._output import (
    abandon_output,
    in_one_line,
    named_output,
    print_line,
    print_table,
    say_written,
    warned,
    write_csv,
)

if TYPE_CHECKING:
    from fastpolysem.studies import Study

ExecutorName = Literal["processes", "dask"]

_MANY_VALUES = 7
_NARROWEST = 40
_NO_READER = 141  # as of a process that SIGPIPE ends

_Options: Any = options(defaults=True)
_Changes: Any = options(defaults=False)
_NO_OPTIONS: Any = _Options()
_NO_CHANGES: Any = _Changes()
_USED: dict[str | None, tuple[str, ...]] = {
    "curve": ("x", "y", "hue", "yscale"),
    "collisions": ("hue",),
    "counts": ("y", "digest"),
}
"""Options of each kind of figure."""
_TAKEN_APART = Parameter(name="*")

app = App(
    name="fastpolysem",
    help="Train thousands of tiny ReLU autoencoders and count their polysemantic neurons.",
    version=lambda: str(_native.build_info()["version"]),
    default_parameter=Parameter(negative=(), negative_iterable=()),
)
reproduce = App(
    name="reproduce",
    help="Run an experiment: train, print the table, write the figure. What its presets set, "
    "reproduce COMMAND --help tells.",
)
app.command(reproduce)


@app.command
def info() -> int:
    """Say what runs here: version, instruction set, threads, compiler."""
    for name, value in _native.build_info().items():
        shown = ", ".join(map(str, value)) if isinstance(value, tuple) else value
        print_line(f"{name + ':':<18} {shown}")
    return 0


@app.command
def collect(
    *,
    path: Path,
    seeds: int | None = None,
    target: float | None = None,
    metric: str | None = None,
    max_seeds: int | None = None,
    num_threads: int | None = None,
    keep_weights: bool = False,
    fields: Annotated[
        _Options,
        _TAKEN_APART,
        Parameter(group="Configuration (several values: all combinations)"),
    ] = _NO_OPTIONS,
) -> int:
    """Train seeds of one or several configurations into a study's folder, and print the means.

    Seeds that the folder holds already are not trained again.

    Parameters
    ----------
    path
        Folder of the study; made if missing.
    seeds
        How many seeds of each configuration.
    target
        Instead of a number of seeds: train until the 95 % interval is this wide, as its half-width
        relative to the mean.
    metric
        What the target and the means are about. Default: polysemantic.
    max_seeds
        The most seeds of a configuration with a target.
    num_threads
        Default: all cores.
    keep_weights
        Keep the final weights as well.
    """
    from fastpolysem import studies

    chosen = chosen_fields(fields)
    for field in dataclasses.fields(CONFIG):
        required = dataclasses.MISSING is field.default is field.default_factory
        if required and field.name not in chosen:
            raise ValueError(f"--{field.name.replace('_', '-')} must be given")
    study = studies.collect(
        experiments.combinations(chosen),
        seeds=seeds,
        target=target,
        metric=metric,
        max_seeds=max_seeds,
        path=path,
        num_threads=num_threads,
        keep_weights=keep_weights,
        progress=True,
    )
    print_table(study.summary(metric))
    return INTERRUPTED if study.interrupted else 0


@app.command
def summary(
    path: Path,
    *,
    metric: str | None = None,
    csv: Path | None = None,
    seeds_csv: Path | None = None,
    skip_damaged: bool = False,
) -> int:
    """Print one line per configuration of a study.

    Parameters
    ----------
    path
        Folder of the study.
    metric
        What the mean and its 95 % interval are about. Default: what the study's family is about,
        polysemantic for the autoencoder.
    csv
        File to write the table to as well, with all digits.
    seeds_csv
        File to write all rows to, one per configuration and seed.
    skip_damaged
        Move files that cannot be used out of the way instead of giving up.
    """
    study = _open(path, skip_damaged)
    table = study.summary(metric)
    if csv is not None:
        write_csv(table, csv)
    if seeds_csv is not None:
        study.to_csv(seeds_csv)
    print_table(table)
    return 0


@app.command
def check(path: Path) -> int:
    """Name every damaged, foreign and half-written file of a study; status 1 if there is one.

    Status 2 if there is no study.

    Parameters
    ----------
    path
        Folder of the study. Nothing in it is changed.
    """
    from fastpolysem.studies import Study

    damages = Study.check(path)
    for damage in damages:
        print_line(printable(str(damage)))
    return 1 if damages else 0


@app.command
def join(path: Path) -> int:
    """Put the many small files of a study's finished blocks together to few, which are read faster.

    Parameters
    ----------
    path
        Folder of the study. What it says stays the same.
    """
    from fastpolysem.studies import Study

    before, after = Study.join(path)
    print_line(f"{before} files of blocks are {after} now")
    return 0


@app.command
def plot(
    path: Path,
    *,
    kind: Literal["curve", "collisions", "counts"] | None = None,
    x: str | None = None,
    y: Annotated[str | None, Parameter(name=["--y", "--metric"])] = None,
    hue: str | None = None,
    yscale: Literal["linear", "log"] | None = None,
    digest: str | None = None,
    select: Annotated[list[str] | None, Parameter(consume_multiple=True)] = None,
    output: Path | None = None,
    skip_damaged: bool = False,
) -> int:
    """Draw a study.

    Parameters
    ----------
    path
        Folder of the study.
    kind
        "curve": means of a column against a setting. "collisions": mean counts of polysemantic
        neurons against the number of neurons. "counts": how the counts of one configuration are
        distributed. Default: what the study's family is about, "collisions" for the autoencoder;
        "curve" where an option of it is given.
    x
        Setting or metadata on the horizontal axis of a curve. Default: the last size that varies.
    y
        Result column of a curve or of "counts". Default: what the study's family is about.
    hue
        Setting or metadata that colours stand for. Default: each series has its own colour.
    yscale
        Vertical axis of a curve.
    digest
        Which configuration, for "counts": the first digits of its folder's name, as the summary
        shows them; may be left out if there is only one.
    select
        Draw only configurations with these settings, written as optimizer=adam l1=0.001,0.01.
    output
        File to write; its ending says the format. Default: the kind's name with .png.
    skip_damaged
        Move files that cannot be used out of the way instead of giving up.
    """
    given = {"x": x, "y": y, "hue": hue, "yscale": yscale, "digest": digest}
    named = [name for name, value in given.items() if value is not None]
    if kind is None and digest is not None:
        kind = "counts"
    elif kind is None and named:
        kind = "curve"
    used = _USED.get(kind, ())
    for name in named:
        if name not in used:
            raise ValueError(f"--{name} must be left out with --kind {kind}, got {given[name]!r}")
    plots = _plots()
    study = _open(path, skip_damaged).select(**selection(select or []))
    ax = _new_axes((6.4, 4.4))
    if kind == "counts":
        plots.counts(study, _whole_digest(digest, study, path), ax, metric=y)
    elif kind == "curve":
        plots.curve(study, x, y, hue, yscale=yscale or "linear", ax=ax)
    elif kind == "collisions":
        plots.collisions(study, ax, hue=hue)
    else:
        draw = _main_figure(study)
        draw(study, ax=ax)
        kind = draw.__name__
    say_written(plots.save(ax, output or Path(f"{kind}.png")))
    return 0


def _main_figure(study: Study) -> Any:
    """The function that draws what the study's family is about."""
    from fastpolysem import families, plots

    figures = families.family_of(study.configs[0]).figures() if study.configs else ()
    return figures[0].draw if figures else plots.curve


def _whole_digest(digest: str | None, study: Study, path: Path) -> str | None:
    """The digest that begins with the given digits; says which there are if that is not one."""
    held: list[str] = [config.digest for config in study.configs]
    found = [one for one in held if digest is None or one.startswith(digest)]
    if len(found) == 1:
        return found[0]
    if not held:
        return digest
    got = "none" if digest is None else f"{digest!r}" + ("" if found else nearest(digest, held))
    listed = ", ".join(held[:_MANY_VALUES]) + (", …" if len(held) > _MANY_VALUES else "")
    raise ValueError(
        f"--digest must begin the name of one configuration's folder in {path}, got {got}; "
        f"there are {listed}"
    )


@app.command
def report(
    path: Path,
    *,
    output: Path | None = None,
    title: str | None = None,
    skip_damaged: bool = False,
) -> int:
    """Write a study as one page of HTML: figures, tables, settings and how to reproduce it.

    Parameters
    ----------
    path
        Folder of the study.
    output
        File to write. Default: the folder's name with .html, in the current folder.
    title
        What the page is about. Default: the folder's name.
    skip_damaged
        Move files that cannot be used out of the way instead of giving up.
    """
    _plots()
    from fastpolysem import report as reports

    study = _open(path, skip_damaged)
    target = output or Path(f"{path.resolve().name}.html")
    say_written(reports.write(study, target, title=title))
    return 0


def _reproduce(
    experiment: experiments.Experiment[Any, Any],
    preset: str,
    seeds: int | None,
    folder: Path,
    num_threads: int | None,
    executor: ExecutorName | None,
    changes: dict[str, Any],
) -> int:
    """Run an experiment, write everything into the folder and print its table."""
    _plots()
    from fastpolysem.studies import executors

    folder = _checks.file_path("--output", folder).absolute()
    name = experiment.NAME
    with executors.named(executor, num_threads) as workers:
        data = experiment.run(
            preset,
            seeds=seeds,
            path=folder / "study",
            executor=workers,
            num_threads=num_threads if executor is None else None,
            progress=True,
            **changes,
        )
    table = experiment.table(data)
    if getattr(data, "interrupted", False):
        print_table(table)
        return INTERRUPTED
    verdict = experiment.write(data, folder)
    print_table(table)
    if verdict:
        print_line(verdict.rstrip("\n"))
    print_line(
        f"\nin {printable(str(folder))}: {name}.png and .svg (figure), {name}.csv (table), "
        f"{name}-seeds.csv and .parquet (one row per seed), study/ (re-running the command resumes "
        "from it)"
    )
    return 0


def _described(preset: Mapping[str, Any]) -> str:
    """The settings of a preset in one line; of long lists the ends."""
    said = []
    for name, value in preset.items():
        values = list(value) if isinstance(value, (list, range)) else [value]
        shown = [str(one) for one in values]
        if len(shown) > _MANY_VALUES:
            shown[2:-1] = ["…"]
        said.append(f"{name.replace('_', '-')} {', '.join(shown)}")
    return "; ".join(said)


def _reproduction(name: str) -> Callable[..., int]:
    """The command that runs an experiment."""
    experiment = experiments.get(name)

    def command(
        *,
        preset: str = "default",
        seeds: int | None = None,
        output: Path | None = None,
        num_threads: int | None = None,
        executor: ExecutorName | None = None,
        changes: Annotated[
            _Changes,
            _TAKEN_APART,
            Parameter(group="Changes to the preset (several values: all combinations)"),
        ] = _NO_CHANGES,
    ) -> int:
        folder = output or Path(f"{name}-{preset}")
        chosen = chosen_fields(changes)
        return _reproduce(experiment, preset, seeds, folder, num_threads, executor, chosen)

    presets = ", ".join(experiment.PRESETS)
    settings = "\n".join(
        f"    * {preset}: {_described(values)}." for preset, values in experiment.PRESETS.items()
    )
    command.__doc__ = f"""{experiment.SUMMARY}

    Trained seeds are kept in the output folder, and re-running the command resumes from there.

    Presets:

{settings}

    Parameters
    ----------
    preset
        Settings to start from; options override them: {presets}.
    seeds
        How many seeds of each configuration. Default: what the preset says.
    output
        Folder for everything that is written. Default: {name}-PRESET in the current one.
    num_threads
        How many threads, or processes of an executor. Default: all cores.
    executor
        Train in processes of their own: "processes", or "dask" for a local cluster of Dask.
    """
    if experiment.OPTIONS is not None:
        own = plain_options(experiment.OPTIONS)
        group = Parameter(group="Changes to the preset (several values: all combinations)")
        command.__annotations__["changes"] = Annotated[own, _TAKEN_APART, group]
        command.__kwdefaults__ = {**(command.__kwdefaults__ or {}), "changes": own()}
    return command


for _name in experiments.names():
    reproduce.command(_reproduction(_name), name=_name)


@reproduce.command(name="all")
def _all(
    *,
    preset: str = "default",
    seeds: int | None = None,
    output: Path | None = None,
    num_threads: int | None = None,
    executor: ExecutorName | None = None,
) -> int:
    """Run all experiments, one after the other, into one folder.

    Parameters
    ----------
    preset
        Settings of each experiment: default, quick, paper or large.
    seeds
        How many seeds of each configuration. Default: what the experiment's preset says.
    output
        Folder for everything that is written. Default: all-PRESET in the current one.
    num_threads
        How many threads, or processes of an executor. Default: all cores.
    executor
        Train in processes of their own: "processes", or "dask" for a local cluster of Dask.
    """
    listed = [experiments.get(name) for name in experiments.names()]
    for experiment in listed:
        experiment.configs(preset)  # a wrong preset is refused before anything is run
    folder = output or Path(f"all-{preset}")
    for experiment in listed:
        print_line(f"\n{experiment.NAME}: {experiment.SUMMARY}\n")
        if code := _reproduce(experiment, preset, seeds, folder, num_threads, executor, {}):
            return code
    return 0


def _open(path: Path, skip_damaged: bool) -> Study:
    from fastpolysem.studies import Study

    return Study.open(path, skip_damaged=skip_damaged)


def _plots() -> Any:
    """The module that draws. A notebook leaves its own backend in the environment of what it
    starts; here none is needed, and it may not even be installed."""
    backend = os.environ.pop("MPLBACKEND", None)
    try:
        from fastpolysem import plots
    finally:
        if backend is not None:
            os.environ["MPLBACKEND"] = backend
    return plots


def _new_axes(size: tuple[float, float]) -> Any:
    """Axes of a figure without a window, of this size in inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=size, layout="constrained").subplots()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status.

    Parameters
    ----------
    arguments
        Words of the command line without the program's name; those of this process if not given,
        which is then taken to end afterwards.

    Returns
    -------
    int
        0, 2 after a bad argument or file (one line on standard error says which), 130 after Ctrl-C,
        141 if nobody reads standard output any more.
    """
    if arguments is not None:
        return _run(list(arguments))
    _console.heed_interrupts()
    warnings.showwarning = warned
    try:
        code = _run(sys.argv[1:])
    except KeyboardInterrupt:
        code = INTERRUPTED
    _console.ignore_interrupts()
    return code


def _run(words: list[str]) -> int:
    for stream, errors in ((sys.stdout, "replace"), (sys.stderr, "backslashreplace")):
        if hasattr(stream, "reconfigure"):  # what its encoding lacks is no reason to fail
            stream.reconfigure(errors=errors)
    options: dict[str, Any] = {"exit_on_error": False, "print_error": False}
    said = os.environ.get("COLUMNS", "")  # which rich believes even if it is 0
    width = int(said) if said.isdecimal() else shutil.get_terminal_size().columns
    if width < _NARROWEST:
        from rich.console import Console

        options["console"] = Console(width=_NARROWEST)  # the help would be wrapped for ever
    try:
        command, bound, _ = app.parse_args(words, **options)
        code = int(command(*bound.args, **bound.kwargs) or 0)
        with named_output():  # what cyclopts printed
            if sys.stdout is not None:
                sys.stdout.flush()
        return code
    except BrokenPipeError:
        abandon_output()
        return _NO_READER
    except (CycloptsError, ValueError, TypeError, OSError, MemoryError) as error:
        lines = [str(error), *getattr(error, "__notes__", [])]
        _console.say(f"fastpolysem: error: {in_one_line('; '.join(lines))}")
        with contextlib.suppress(AttributeError, OSError, ValueError), named_output():
            sys.stdout.flush()  # or it would fail again when the interpreter ends
        return BAD_INPUT
    except KeyboardInterrupt:
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
