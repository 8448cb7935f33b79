"""The command line, ``fastpolysem``: a function for each command, whose docstring is its help.

Options of configurations come from the fields of one family's configurations (`_options`); studies
of any family that has been imported can be read and drawn. What needs tables or figures is imported
by the commands that do, so that help and ``info`` are quick. Most of this long file is help text.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App, CycloptsError, Parameter, UnknownOptionError

from fastpolysem import _checks, _console, _native, experiments
from fastpolysem._checks import printable
from fastpolysem._collecting import collect
from fastpolysem._console import BAD_INPUT, INTERRUPTED
from fastpolysem._options import Count, chosen_fields, count, options, plain_options
from fastpolysem._output import (
    abandon_output,
    in_one_line,
    named_output,
    open_study,
    plots,
    print_line,
    print_table,
    say_written,
    warned,
    write_csv,
)
from fastpolysem._plotting import plot

if TYPE_CHECKING:
    from fastpolysem.studies.forecast import Forecast

ExecutorName = Literal["processes", "dask"]

_MANY_VALUES = 7
_NARROWEST = 40
_NO_READER = 141  # as of a process that SIGPIPE ends

_Changes: Any = options(defaults=False)
_NO_CHANGES: Any = _Changes()
_TAKEN_APART = Parameter(name="*")

app = App(
    name="fastpolysem",
    help="Train toy models from thousands of seeds and count their polysemantic neurons.",
    version=lambda: str(_native.build_info()["version"]),
    default_parameter=Parameter(negative=(), negative_iterable=()),
)
reproduce = App(
    name="reproduce",
    help="Run an experiment: train, print the table, write the figure. Its settings are listed by "
    "reproduce COMMAND --help.",
)
app.command(reproduce)


@app.command
def info() -> int:
    """Show version, instruction set, threads and compiler."""
    for name, value in _native.build_info().items():
        shown = ", ".join(map(str, value)) if isinstance(value, tuple) else value
        print_line(f"{name + ':':<18} {shown}")
    return 0


app.command(collect)


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
        Column whose mean and 95 % interval are shown. Default: polysemantic for autoencoders,
        shared_use for networks.
    csv
        File to write the table to as well, with all digits.
    seeds_csv
        File to write all rows to, one per configuration and seed.
    skip_damaged
        Move unusable files out of the way instead of giving up.
    """
    study = open_study(path, skip_damaged)
    table = study.summary(metric)
    if csv is not None:
        write_csv(table, csv)
    if seeds_csv is not None:
        study.to_csv(seeds_csv)
    print_table(table)
    return 0


@app.command
def check(path: Path) -> int:
    """List every damaged, foreign and incomplete file of a study.

    The exit status is 0 if there is none (and nothing is printed), 1 if there is any, and 2 if
    there is no study.

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
    """Merge the many small files of a study into a few, which are read faster.

    Parameters
    ----------
    path
        Folder of the study. Its results stay the same.
    """
    from fastpolysem.studies import Study

    before, after = Study.join(path)
    print_line(f"{before} files of blocks merged into {after}")
    return 0


app.command(plot)


@app.command
def report(
    path: Path,
    *,
    output: Path | None = None,
    title: str | None = None,
    skip_damaged: bool = False,
) -> int:
    """Write an HTML report of a study: figures, tables, settings and how to reproduce it.

    Parameters
    ----------
    path
        Folder of the study.
    output
        File to write. Default: the folder's name with .html, in the current folder.
    title
        Title of the page. Default: the folder's name.
    skip_damaged
        Move unusable files out of the way instead of giving up.
    """
    plots()
    from fastpolysem import report as reports

    study = open_study(path, skip_damaged)
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
    plots()
    from fastpolysem.studies import executors

    folder = _output_folder(folder)
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
    if getattr(data, "interrupted", False):
        return INTERRUPTED
    verdict = experiment.write(data, folder)
    print_table(experiment.table(data))
    if verdict:
        print_line(verdict.rstrip("\n"))
    print_line(
        f"\nin {printable(str(folder))}: {name}.png and .svg (figure), {name}.csv (table), "
        f"{name}-seeds.csv and .parquet (one row per seed), study/ (re-running the command resumes "
        "from it)"
    )
    return 0


def _forecast(
    experiment: experiments.Experiment[Any, Any],
    preset: str,
    seeds: int | None,
    folder: Path,
    num_threads: int | None,
    changes: dict[str, Any],
) -> Forecast | None:
    """How long the training of an experiment would take; None if it trains nothing."""
    configs, count = experiment.chosen(preset, seeds, **changes)
    path = _output_folder(folder) / "study"
    return experiment.forecast(configs, count, path=path, num_threads=num_threads)


def _output_folder(path: Path) -> Path:
    folder = _checks.file_path("--output", path).absolute()
    if folder.exists() and not folder.is_dir():
        raise _checks.refused("--output", "a folder", str(path), ", which is a file")
    return folder


def _described(preset: Mapping[str, Any]) -> str:
    """The settings of a preset in one line; long lists are shortened to their ends."""
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
        seeds: Count = None,
        output: Path | None = None,
        num_threads: Count = None,
        executor: ExecutorName | None = None,
        estimate: bool = False,
        changes: Annotated[
            _Changes,
            _TAKEN_APART,
            Parameter(group="Changes to the preset (several values: all combinations)"),
        ] = _NO_CHANGES,
    ) -> int:
        folder = output or Path(f"{name}-{preset}")
        chosen = chosen_fields(changes, names=experiment.CHOICES)
        number, threads = count("seeds", seeds), count("num-threads", num_threads)
        if estimate:
            forecast = _forecast(experiment, preset, number, folder, threads, chosen)
            if forecast is None:
                raise ValueError(f"--estimate must be left out with {name}, which trains nothing")
            print_line(str(forecast))
            return 0
        return _reproduce(experiment, preset, number, folder, threads, executor, chosen)

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
        Settings to start from ({presets}); options override them.
    seeds
        Number of seeds per configuration. Default: that of the preset.
    output
        Folder for all output. Default: {name}-PRESET in the current folder.
    num_threads
        Number of threads, or processes of an executor. Default: all cores.
    executor
        Train in separate processes: "processes", or "dask" for a local Dask cluster.
    estimate
        Only estimate how long training and measuring the models would take, and how much would be
        stored.
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
    seeds: Count = None,
    output: Path | None = None,
    num_threads: Count = None,
    executor: ExecutorName | None = None,
    estimate: bool = False,
) -> int:
    """Run all experiments, one after the other, into one folder.

    Experiments that need a package which is not installed are skipped.

    Parameters
    ----------
    preset
        Settings of each experiment: default, quick, paper or large.
    seeds
        Number of seeds per configuration. Default: that of the experiment's preset.
    output
        Folder for all output. Default: all-PRESET in the current folder.
    num_threads
        Number of threads, or processes of an executor. Default: all cores.
    executor
        Train in separate processes: "processes", or "dask" for a local Dask cluster.
    estimate
        Only estimate how long training and measuring the models would take, and how much would be
        stored.
    """
    listed = [experiments.get(name) for name in experiments.names()]
    missing = {}
    for experiment in listed:
        try:
            experiment.configs(preset)  # a wrong preset is refused before anything is run
        except ImportError as error:
            missing[experiment.NAME] = str(error)
    folder, number = output or Path(f"all-{preset}"), count("seeds", seeds)
    threads, seconds = count("num-threads", num_threads), 0.0
    for experiment in listed:
        name = experiment.NAME
        if name in missing or not estimate:
            print_line(f"\n{name}: {experiment.SUMMARY}\n")
        if name in missing:
            print_line(f"left out: {missing[name]}")
        elif estimate:
            forecast = _forecast(experiment, preset, number, folder, threads, {})
            print_line(f"{name}: {forecast or 'trains nothing'}")
            seconds += forecast.seconds if forecast else 0
        elif code := _reproduce(experiment, preset, number, folder, threads, executor, {}):
            return code
    if estimate:
        from fastpolysem.studies.forecast import duration

        print_line(f"\ntogether: at most about {duration(seconds)}; shared seeds are trained once")
    return 0


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
        0, 2 after a bad argument or file or if an optional package is missing (one line on standard
        error says which), 130 after Ctrl-C, 141 if nobody reads standard output any more.
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
        for option, word in itertools.pairwise(["", *words]):
            if not word and option != "--title":  # as a path it would mean the current folder
                after = f" after {option}" if option else ""
                raise ValueError(f"an argument must not be empty, got one{after}")
        command, bound, _ = app.parse_args(words, **options)
        code = int(command(*bound.args, **bound.kwargs) or 0)
        with named_output():  # what cyclopts printed
            if sys.stdout is not None:
                sys.stdout.flush()
        return code
    except BrokenPipeError:
        abandon_output()
        return _NO_READER
    except (CycloptsError, ValueError, TypeError, OSError, MemoryError, ImportError) as error:
        lines = [_explained(error), *getattr(error, "__notes__", [])]
        _console.say(f"fastpolysem: error: {in_one_line('; '.join(lines))}")
        with contextlib.suppress(AttributeError, OSError, ValueError), named_output():
            sys.stdout.flush()  # or it would fail again when the interpreter ends
        return BAD_INPUT
    except RuntimeError as error:
        from concurrent.futures import BrokenExecutor

        from fastpolysem.studies import ProbeError
        from fastpolysem.studies.runners import WorkerError

        if not isinstance(error, (ProbeError, WorkerError, BrokenExecutor)):
            raise
        _console.say(f"fastpolysem: error: {in_one_line(str(error))}")
        return BAD_INPUT
    except KeyboardInterrupt:
        return INTERRUPTED


def _explained(error: Exception) -> str:
    """The error in words; for an unknown option such as --lr, its name here, --learning-rate."""
    if not isinstance(error, UnknownOptionError) or not error.token.keyword:
        return str(error)
    fields = [_field(name) for argument in error.argument_collection for name in argument.names]
    meant = _checks.synonym(_field(error.token.keyword), fields)
    if not meant:
        return str(error)
    return f"Unknown option: {error.token.keyword}. Did you mean --{meant.replace('_', '-')}?"


def _field(option: str) -> str:
    return option.lstrip("-").replace("-", "_")


if __name__ == "__main__":
    sys.exit(main())
