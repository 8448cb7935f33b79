"""The command ``fastpolysem collect``, for each of the package's families of models."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from fastpolysem import _checks, families
from fastpolysem import _options as options
from fastpolysem._console import INTERRUPTED
from fastpolysem._output import print_line, print_table

if TYPE_CHECKING:
    from fastpolysem.families import AnyConfig

_HELP = """Train seeds of one or several configurations of {models} and print means.

Seeds that are already in the folder are not trained again: re-running an interrupted command
resumes it.

Parameters
----------
path
    Folder of the study; created if missing.
seeds
    Number of seeds per configuration, or the seeds: FIRST:STOP, FIRST:STOP:STEP or a list such as
    3,5,8.
precision
    Instead of seeds: train until the half-width of the 95 % interval, relative to the mean, is at
    most this large (``target`` in Python).
metric
    Result column to which the precision and the means refer. Default: {primary}.
max_seeds
    Maximum number of seeds per configuration with a precision.
num_threads
    Default: all cores.
keep_weights
    Store the final weights as well.
estimate
    Only estimate how long it would take and how much it would store.
"""
_GROUP = "Configuration (several values: all combinations)"


def collecting(kind: str) -> Callable[..., int]:
    """The command that collects a family's configurations."""
    family = families.named(kind)
    fields_of: Any = options.options(defaults=True, config_type=family.config_type)

    def command(
        *,
        path: Path,
        seeds: Annotated[str | None, options.shown_as("COUNT|FIRST:STOP")] = None,
        precision: float | None = None,
        metric: str | None = None,
        max_seeds: options.Count = None,
        num_threads: options.Count = None,
        keep_weights: bool = False,
        estimate: bool = False,
        fields: Any = None,
    ) -> int:
        from fastpolysem import studies

        if (seeds is None) == (precision is None):
            raise ValueError("exactly one of --seeds and --precision must be given")
        if precision is None and max_seeds is not None:
            raise ValueError(f"--max-seeds must be left out without --precision, got {max_seeds}")
        if precision is not None:
            _checks.real("--precision", precision, (">", 0))
        chosen = options.chosen_fields(fields or fields_of(), family.config_type)
        configs = combinations(family.config_type, chosen)
        kept: dict[str, Any] = {
            "seeds": options.seeds(seeds),
            "target": precision,
            "metric": metric,
            "max_seeds": options.count("max-seeds", max_seeds),
            "path": path,
            "num_threads": options.count("num-threads", num_threads),
            "keep_weights": keep_weights,
        }
        if estimate:
            from fastpolysem.studies.forecast import forecast

            print_line(str(forecast(configs, **kept)))
            return 0
        study = studies.collect(configs, progress=True, **kept)
        if study.interrupted:
            return INTERRUPTED
        print_table(study.summary(metric))
        return 0

    command.__annotations__["fields"] = Annotated[
        fields_of, Parameter(name="*"), Parameter(group=_GROUP)
    ]
    command.__kwdefaults__ = {**(command.__kwdefaults__ or {}), "fields": fields_of()}
    command.__doc__ = _HELP.format(models=f"{kind}s", primary=family.primary)
    return command


def combinations(config_type: Any, chosen: dict[str, list[Any]]) -> list[AnyConfig]:
    """All combinations of the values of fields."""
    from fastpolysem.families.grid import grid

    for field in dataclasses.fields(config_type):
        required = dataclasses.MISSING is field.default is field.default_factory
        if required and field.name not in chosen:
            raise ValueError(f"--{field.name.replace('_', '-')} must be given")
    for name, values in chosen.items():
        if not values:
            raise ValueError(f"--{name.replace('_', '-')} must have at least one value, got none")
    base = config_type(**{name: values[0] for name, values in chosen.items()})
    return grid(base, **chosen)


collect = App(
    name="collect",
    default_parameter=Parameter(negative=(), negative_iterable=()),
)
collect.default(collecting(families.DEFAULT_KIND))
for _kind in families.BUILT_IN:
    if _kind != families.DEFAULT_KIND:
        collect.command(collecting(_kind), name=_kind)
