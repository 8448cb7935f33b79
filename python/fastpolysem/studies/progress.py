"""Progress of `collect`: records and their display."""

from __future__ import annotations

import contextlib
import math
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fastpolysem._console import is_terminal, say
from fastpolysem.families import AnyConfig, family_of

if TYPE_CHECKING:
    from rich.table import Table

    from fastpolysem.studies.study import Study

Report = Callable[["Progress"], object]

TABLE_INTERVAL = 0.1
NOTEBOOK_INTERVAL = 0.5
LINE_INTERVAL = 10.0
"""Minimum seconds between updates of the table on a terminal, in a notebook, and of lines."""

MOST_OF_TIME = 0.1
"""Share of the time that reporting may take; slow reports are made less often."""

_ALLOWANCE = 0.1  # largest credit for reporting, in seconds

_MAX_ROWS = 30


@dataclass(frozen=True)
class ConfigProgress:
    """Progress of one configuration.

    Attributes
    ----------
    config, digest
        The configuration.
    seeds, goal
        Number of finished seeds, including stored ones, and number of seeds to reach: all requested
        ones or, with a target, the next number at which it is evaluated.
    training
        Number of further seeds already trained in incomplete blocks.
    diverged
        How many of ``seeds`` diverged.
    mean, half_width
        Mean of the metric so far and half-width of its 95 % interval; nan with too few seeds.
    finished
        Whether the configuration is finished.
    """

    config: AnyConfig
    digest: str
    seeds: int
    goal: int
    training: int
    diverged: int
    mean: float
    half_width: float
    finished: bool


@dataclass(frozen=True)
class Progress:
    """Progress of a run of `collect`.

    Attributes
    ----------
    configs
        One `ConfigProgress` per configuration, in the given order.
    reused
        Number of seeds found in the folder.
    seconds
        Time since the start.
    seeds_per_second
        Average speed since the start.
    seconds_left
        Estimated time to the current goals; None if there is no estimate yet.
    study
        The study so far. All records of a run refer to the same, growing study.
    """

    configs: tuple[ConfigProgress, ...]
    reused: int
    seconds: float
    seeds_per_second: float
    seconds_left: float | None
    study: Study = field(repr=False, compare=False)

    @property
    def seeds(self) -> int:
        """Number of finished seeds of all configurations."""
        return sum(config.seeds for config in self.configs)

    @property
    def goal(self) -> int:
        """Number of seeds to reach, over all configurations."""
        return sum(config.goal for config in self.configs)

    @property
    def finished(self) -> bool:
        """Whether the run is finished."""
        # The last configurations usually finish last, so one test usually decides.
        return all(config.finished for config in reversed(self.configs))


@contextlib.contextmanager
def reporter(progress: bool | Report | None, metric: str) -> Iterator[Report]:
    """The function to call with each record, for the argument ``progress`` of `collect`.

    On a terminal that can move its cursor and in a notebook, a table that is redrawn; otherwise
    plain lines, if progress was requested.
    """
    if progress is not None and not isinstance(progress, bool):
        yield _now_and_then(progress, 0.0, -math.inf)
    elif progress is False:
        yield lambda record: None
    elif _in_notebook():
        yield _notebook_table(metric)
    elif is_terminal() and os.environ.get("TERM", "") not in ("", "dumb", "unknown"):
        with _table(metric) as report:
            yield report
    elif progress or is_terminal():
        yield _lines()
    else:
        yield lambda record: None


def _in_notebook() -> bool:
    """Whether IPython runs in a kernel, as it does for all kinds of notebooks."""
    get_shell = getattr(sys.modules.get("IPython"), "get_ipython", None)
    return getattr(get_shell() if get_shell else None, "kernel", None) is not None


def _now_and_then(report: Report, interval: float, begin: float) -> Report:
    """Report a record if the last report was ``interval`` seconds ago, or if the run is finished.

    Further records are skipped while reporting has taken more than `MOST_OF_TIME`.
    """
    last = begin  # time of the last report
    credit, counted = _ALLOWANCE, time.monotonic()  # seconds that reports may take, as of when

    def seldom(record: Progress) -> None:
        nonlocal last, credit, counted
        now = time.monotonic()
        credit = min(_ALLOWANCE, credit + MOST_OF_TIME * (now - counted))
        counted = now
        if (credit >= 0 and now - last >= interval) or record.finished:
            last = now
            try:
                report(record)
            finally:
                credit -= time.monotonic() - now

    return seldom


def _notebook_table(metric: str) -> Report:
    """The table as output of a notebook cell, updated in place."""
    display = sys.modules["IPython"].display.display
    handle = None

    def draw(record: Progress) -> None:
        nonlocal handle
        drawing = table(record, metric)
        if handle is None:
            handle = display(drawing, display_id=True)
        else:
            handle.update(drawing)

    return _now_and_then(draw, NOTEBOOK_INTERVAL, -math.inf)


def _lines() -> Report:
    """Plain lines, the last one at the end."""

    def line(record: Progress) -> None:
        say(describe(record))

    return _now_and_then(line, LINE_INTERVAL, time.monotonic())


def describe(record: Progress) -> str:
    """One line about the whole run."""
    done = sum(config.finished for config in record.configs)
    parts = [f"{done}/{len(record.configs)} configs", f"{record.seeds}/{record.goal} seeds"]
    if record.reused:
        parts.append(f"{record.reused} were stored")
    if diverged := sum(config.diverged for config in record.configs):
        parts.append(f"{diverged} diverged")
    if record.finished:
        parts.append(f"done in {_time(record.seconds)}")
    else:
        parts += [f"{record.seeds_per_second:.3g} seeds/s", f"{_time(record.seconds_left)} left"]
    return ", ".join(parts)


@contextlib.contextmanager
def _table(metric: str) -> Iterator[Report]:
    """A table on the terminal that is redrawn and finally left in its last state."""
    from rich.console import Console
    from rich.live import Live

    console = Console(stderr=True)
    with Live(console=console, auto_refresh=False, vertical_overflow="ellipsis") as live:

        def draw(record: Progress) -> None:
            rows = min(_MAX_ROWS, console.height - 6)
            live.update(table(record, metric, rows), refresh=True)

        yield _now_and_then(draw, TABLE_INTERVAL, -math.inf)


def table(record: Progress, metric: str, max_rows: int = _MAX_ROWS) -> Table:
    """The live table; if it is too long, without some finished or waiting configurations."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    names = varying([one.config for one in record.configs])
    result = Table(box=SIMPLE_HEAD, caption=describe(record), caption_justify="left")
    for name in names:
        result.add_column(name, justify="right")
    for name in ("seeds", metric, "± 95 %", "diverged"):
        result.add_column(name, justify="right")
    shown = _most_telling(record.configs, max(1, max_rows))
    for one in shown:
        seeds = f"{one.seeds + one.training}/{one.goal}"
        settings = family_of(one.config).settings(one.config)
        cells = [_number(settings.get(name)) for name in names]
        cells += [seeds, _number(one.mean), _number(one.half_width), str(one.diverged or "")]
        result.add_row(*cells, style="dim" if one.finished else None)
    if len(shown) < len(record.configs):
        result.add_row(f"… {len(record.configs) - len(shown)} more", style="dim")
    return result


def varying(configs: list[Any]) -> list[str]:
    """The sizes, and the fields that differ between configurations."""
    sizes = {name for config in configs for name in family_of(config).sizes}
    values: dict[str, set[Any]] = {}
    settings = [family_of(config).settings(config) for config in configs]
    for name in dict.fromkeys(name for one in settings for name in one):
        values[name] = {one.get(name) for one in settings}
    return [name for name, found in values.items() if name in sizes or len(found) > 1]


def _most_telling(configs: tuple[ConfigProgress, ...], count: int) -> list[ConfigProgress]:
    begun = [one.seeds + one.training > 0 and not one.finished for one in configs]
    order = sorted(range(len(configs)), key=lambda i: (not begun[i], configs[i].finished, i))
    return [configs[i] for i in sorted(order[:count])]


def _number(value: Any) -> str:
    if isinstance(value, float):
        return "?" if math.isnan(value) else f"{value:.4g}"
    return str(value)


def _time(seconds: float | None) -> str:
    if seconds is None:
        return "?"
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d} h" if hours else f"{minutes}:{rest:02d} min"
