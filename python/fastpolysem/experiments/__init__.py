"""Experiments: one module per figure or question, with its settings, its run and its drawing.

A module of this folder is an experiment by being here; its file name is the experiment's. It has
what `Experiment` lists, and ``verdict(data)`` besides if it answers a question by a test. `names`
and `get` find them, and the command line offers each as ``fastpolysem reproduce <name>``.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol, cast

from fastpolysem import _checks
from fastpolysem.config import Config
from fastpolysem.grid import grid

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from fastpolysem.experiments._measured import Measured
    from fastpolysem.studies import Progress, Study
    from fastpolysem.training import Record, TrainingResult

__all__ = [
    "Experiment",
    "combinations",
    "get",
    "grid_of",
    "measured_of",
    "names",
    "study_of",
]


class Experiment(Protocol):
    """What a module of this folder has.

    Importing it must be quick: tables and plots are imported where they are used.
    """

    NAME: str
    """The module's name."""
    SUMMARY: str
    """One sentence for the command line."""
    FIGURE_SIZE: tuple[float, float]
    """Width and height of the figure in inches."""
    PRESETS: Mapping[str, Mapping[str, Any]]
    """Settings by name, "default", "quick", "paper" and "large" among them: a number of ``seeds``
    and fields of `Config`, or of what the experiment has in its place."""

    def configs(self, preset: str = "default", **changes: Any) -> list[Any]:
        """The configurations of a preset; a list in ``changes`` gives several values of a field."""
        ...

    def run(
        self,
        preset: str = "default",
        *,
        seeds: int | None = None,
        path: str | os.PathLike[str] | None = None,
        num_threads: int | None = None,
        progress: bool | Callable[[Progress], object] | None = None,
        **changes: Any,
    ) -> Any:
        """Train what is missing and return the data that the other functions take."""
        ...

    def table(self, data: Any) -> pd.DataFrame:
        """The numbers of the figure with their intervals, one row a point."""
        ...

    def rows(self, data: Any) -> pd.DataFrame:
        """The raw data, one row a seed."""
        ...

    def draw(self, data: Any, ax: Axes | None = None) -> Axes:
        """The figure, on axes of a figure's subplots or, with several panels, in their place."""
        ...


def names() -> list[str]:
    """Names of all experiments."""
    return sorted(
        one.name for one in pkgutil.iter_modules(__path__) if not one.name.startswith("_")
    )


def get(name: str) -> Experiment:
    """The experiment of this name.

    Raises
    ------
    ValueError
        If there is none; suggests the nearest.
    """
    _checks.choice("experiment", name, names())
    return cast(Experiment, importlib.import_module(f"{__name__}.{name}"))


def grid_of(
    presets: Mapping[str, Mapping[str, Any]], preset: str, changes: Mapping[str, Any]
) -> list[Config]:
    """The `combinations` of the settings of a ``preset`` among ``presets``, after ``changes``."""
    settings = {**presets[_checks.choice("preset", preset, presets)], **changes}
    settings.pop("seeds", None)
    return combinations(settings)


def study_of(
    presets: Mapping[str, Mapping[str, Any]],
) -> tuple[Callable[..., list[Config]], Callable[..., Study]]:
    """``configs`` and ``run`` of an experiment whose data are a study of its presets."""

    def configs(preset: str = "default", **changes: Any) -> list[Config]:
        """The configurations of a preset; a list in ``changes`` gives several values of a field."""
        return grid_of(presets, preset, changes)

    def run(
        preset: str = "default",
        *,
        seeds: int | None = None,
        path: str | os.PathLike[str] | None = None,
        num_threads: int | None = None,
        progress: bool | Callable[[Progress], object] | None = None,
        **changes: Any,
    ) -> Study:
        """Train what is missing in ``path``, or everything without one."""
        from fastpolysem.studies import collect

        return collect(
            configs(preset, **changes),
            seeds=presets[preset]["seeds"] if seeds is None else seeds,
            path=path,
            num_threads=num_threads,
            progress=progress,
        )

    return configs, run


def measured_of(
    name: str,
    presets: Mapping[str, Mapping[str, Any]],
    take: Callable[[TrainingResult], dict[str, NDArray[Any]]] | None = None,
    *,
    configs: Callable[..., list[Config]] | None = None,
    record: Callable[[list[Config]], Record] | None = None,
) -> tuple[Callable[..., list[Config]], Callable[..., Measured]]:
    """``configs`` and ``run`` of an experiment that needs more of a seed than a study keeps.

    Parameters
    ----------
    name, presets
        The experiment's ``NAME`` and ``PRESETS``.
    take
        Is given the results with weights and returns arrays to keep of them, as `_measured.measure`
        has it.
    configs
        The experiment's own, if they are not all `combinations` of a preset's settings.
    record
        What to record during training, of the configurations.
    """

    def all_of(preset: str = "default", **changes: Any) -> list[Config]:
        """The configurations of a preset; a list in ``changes`` gives several values of a field."""
        return grid_of(presets, preset, changes)

    listed_by = configs or all_of

    def run(
        preset: str = "default",
        *,
        seeds: int | None = None,
        path: str | os.PathLike[str] | None = None,
        num_threads: int | None = None,
        progress: bool | Callable[[Progress], object] | None = None,
        **changes: Any,
    ) -> Measured:
        """Train what is missing in ``path``, or everything without one."""
        from fastpolysem.experiments._measured import measure

        listed = listed_by(preset, **changes)
        return measure(
            name,
            listed,
            presets[preset]["seeds"] if seeds is None else seeds,
            record=record(listed) if record else None,
            take=take,
            path=path,
            num_threads=num_threads,
            progress=progress,
        )

    return listed_by, run


def combinations(settings: Mapping[str, Any]) -> list[Config]:
    """All combinations of settings, of which a list or range holds several values of a field."""
    values = {
        name: list(value) if isinstance(value, (list, range)) else [value]
        for name, value in settings.items()
    }
    for name, choices in values.items():
        if not choices:
            raise ValueError(f"{name} must hold at least one value, got none")
    base = Config(**{name: choices[0] for name, choices in values.items()})
    return grid(base, **values)
