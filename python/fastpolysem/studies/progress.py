"""Progress of collecting: the records, and how they are shown."""

from __future__ import annotations

import contextlib
import math
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from fastpolysem.config import Config

if TYPE_CHECKING:
    from rich.table import Table

    from fastpolysem.studies.study import Study

Report = Callable[["Progress"], object]

TABLE_INTERVAL = 0.1
LINE_INTERVAL = 10.0
"""Seconds between two updates of the table and of plain lines, at least."""

_MAX_ROWS = 30


@dataclass(frozen=True)
class ConfigProgress:
    """How far one configuration is.

    Attributes
    ----------
    config, digest
        Which one.
    seeds, goal
        Seeds whose rows are there, stored ones included, and how many are aimed at: all that were
        asked for or, with a target, the next number at which it is judged.
    training
        Further seeds that are trained in a block that is not complete yet.
    diverged
        How many of ``seeds`` diverged.
    mean, half_width
        Mean of the metric so far and half the length of its 95 % interval; nan where there are too
        few seeds.
    finished
        Whether nothing is left to do.
    """

    config: Config
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
    """How far a run of `collect` is.

    Attributes
    ----------
    configs
        One `ConfigProgress` each, in the order given.
    reused
        Seeds that were found in the folder.
    seconds
        Time since the start.
    seeds_per_second
        Average speed since the start.
    seconds_left
        Estimated time to the present goals; None if there is nothing to go by yet.
    study
        The study so far. It grows: all records of a run refer to the same one.
    """

    configs: tuple[ConfigProgress, ...]
    reused: int
    seconds: float
    seeds_per_second: float
    seconds_left: float | None
    study: Study = field(repr=False, compare=False)

    @property
    def seeds(self) -> int:
        """Seeds whose rows are there, of all configurations."""
        return sum(config.seeds for config in self.configs)

    @property
    def goal(self) -> int:
        """Seeds aimed at, of all configurations."""
        return sum(config.goal for config in self.configs)

    @property
    def finished(self) -> bool:
        """Whether nothing is left to do."""
        return all(config.finished for config in self.configs)


@contextlib.contextmanager
def reporter(progress: bool | Report | None, metric: str) -> Iterator[Report]:
    """What to call with each record, for the argument ``progress`` of `collect`."""
    if progress is not None and not isinstance(progress, bool):
        yield progress
    elif sys.stderr.isatty() and progress is not False:
        with _table(metric) as report:
            yield report
    elif progress:
        yield _lines(metric)
    else:
        yield lambda record: None


def _lines(metric: str) -> Report:
    """Plain lines, the last one when all is done."""
    printed = time.monotonic()

    def report(record: Progress) -> None:
        nonlocal printed
        now = time.monotonic()
        if record.finished or now - printed >= LINE_INTERVAL:
            printed = now
            print(describe(record), file=sys.stderr, flush=True)

    return report


def describe(record: Progress) -> str:
    """One line on the whole run."""
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
    """A table on the terminal that is drawn over and over, and stays in its last state."""
    from rich.console import Console
    from rich.live import Live

    console = Console(stderr=True)
    drawn = -math.inf
    with Live(console=console, auto_refresh=False, vertical_overflow="ellipsis") as live:

        def report(record: Progress) -> None:
            nonlocal drawn
            now = time.monotonic()
            if record.finished or now - drawn >= TABLE_INTERVAL:
                drawn = now
                live.update(table(record, metric, min(_MAX_ROWS, console.height - 6)), refresh=True)

        yield report


def table(record: Progress, metric: str, max_rows: int = _MAX_ROWS) -> Table:
    """The live table; if it would not fit, without some that are finished or not begun."""
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
        cells = [_number(getattr(one.config, name)) for name in names]
        cells += [seeds, _number(one.mean), _number(one.half_width), str(one.diverged or "")]
        result.add_row(*cells, style="dim" if one.finished else None)
    if len(shown) < len(record.configs):
        result.add_row(f"… {len(record.configs) - len(shown)} more", style="dim")
    return result


def varying(configs: list[Config]) -> list[str]:
    """The sizes, and the fields that are not the same in all configurations."""
    return [
        item.name
        for item in fields(Config)
        if item.name in ("n_features", "n_hidden")
        or len({getattr(config, item.name) for config in configs}) > 1
    ]


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
