"""What the package asks of a family of models, and the families that are registered.

A *family* is all that knows what a model is made of: its settings, the shapes of its weights, what
is measured of a trained seed, what a seed costs, and how to train it. Everything above this folder
(training, studies, plots, the report, the command line) works with any family.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from fastpolysem import _checks

Arrays = dict[str, NDArray[Any]]
"""Arrays by name, each with a leading seed axis."""


@dataclass(frozen=True)
class Column:
    """One number that training gives for each seed.

    Attributes
    ----------
    name
        A Python identifier: the attribute of a result and the column of a table.
    dtype
        "int32", "int64" or "float64", as it is stored; integers are int64 in memory.
    doc
        One line: what it is, of which states of the model.
    diverged
        What stands in the row of a diverged seed; None keeps the number that training gave.
    bounds
        Least and largest possible value (None for no limit), of counts and shares. Confidence
        intervals of their means stay within.
    since
        The version that added it, where files of earlier versions lack it: missing in their rows.
    label
        What an axis says of it; the name if not given.
    """

    name: str
    dtype: str
    doc: str
    diverged: float | None = None
    bounds: tuple[float | None, float | None] | None = None
    since: str = ""
    label: str = ""

    @property
    def title(self) -> str:
        """What an axis says of it."""
        return self.label or self.name.replace("_", " ")

    @property
    def is_count(self) -> bool:
        """Whether it is an integer."""
        return self.dtype.startswith("int")

    @property
    def type(self) -> type[np.generic]:
        """The type in memory."""
        return np.int64 if self.is_count else np.float64


@dataclass(frozen=True)
class Options:
    """How `train` was asked to run; the caller has checked all but what only the family knows."""

    initial_weights: Any = None
    noise_sequence: Any = None
    metrics: tuple[str, ...] = ()
    """What to record."""
    record_steps: tuple[int, ...] = ()
    """After how many updates, ascending."""
    return_weights: bool = False
    num_threads: int = 1
    kernel: str = "auto"
    progress: Callable[[int], object] | None = None
    """Takes the number of seeds done; what it raises ends the training."""


class Trained(NamedTuple):
    """What a family's training gives."""

    columns: Arrays
    """(S,) each, by the names of `Family.columns`."""
    diverged: NDArray[np.bool_]
    """(S,) whether weights or loss are not finite."""
    seconds: NDArray[np.float64]
    """(S,) time spent on each seed."""
    kernel: str
    """What computed it."""
    weights: Arrays | None = None
    """Final weights by the names of `Family.shapes`, if asked for."""
    history: Arrays = {}  # noqa: RUF012
    """(S, R) each, by the recorded metrics."""


class AnyConfig(Protocol):
    """What every configuration has; it is frozen, hashable and checks itself when it is made."""

    @property
    def digest(self) -> str:
        """Hash of all that affects results: kind (but for the autoencoder), settings and numerics
        version."""
        ...

    @property
    def dtype(self) -> str:
        """ "float32" or "float64", that of the weights."""
        ...

    def to_dict(self) -> dict[str, Any]:
        """All fields as JSON holds them and, but for the autoencoder, "kind"."""
        ...

    def replace(self, **changes: Any) -> Any:
        """A copy with some fields changed."""
        ...


class Family(Protocol):
    """A kind of model that can be trained, stored, summarised and drawn."""

    kind: str
    """Name in stored configurations."""
    numerics_version: int
    """Changes whenever the same settings and seed give different bits."""
    config_type: Any
    """Class of the configurations, with ``from_dict`` as the inverse of ``to_dict``."""
    kernels: tuple[str, ...]
    """What `train` takes as ``kernel``; "auto" is one of them."""
    sizes: tuple[str, ...]
    """Settings that tables always show."""
    primary: str
    """The column that a study is about unless it is told otherwise."""
    beside: tuple[str, ...]
    """Columns whose means a summary shows beside any other."""
    headings: Mapping[str, str]
    """Short headings, for the eye, of settings and references."""
    glossary: Mapping[str, str]
    """One line of documentation for each of `sizes` and each reference."""
    caveat: str
    """What a reader has to know of configurations whose models fail to learn (`unlearned`)."""

    def columns(self, config: Any) -> tuple[Column, ...]:
        """What is measured of each trained seed."""
        ...

    def metrics(self, config: Any) -> tuple[str, ...]:
        """What can be recorded during training."""
        ...

    def settings(self, config: Any) -> dict[str, Any]:
        """All settings by name, in order, as tables show them."""
        ...

    def describe(self, config: Any) -> str:
        """The sizes in a few words, for the eye."""
        ...

    def steps(self, config: Any) -> int:
        """Number of updates."""
        ...

    def shapes(self, config: Any) -> dict[str, tuple[int, ...]]:
        """Shapes of one model's weights, by name."""
        ...

    def pack(self, config: Any, weights: Any) -> Arrays:
        """Weights as a user has them, of a stack of models, by name."""
        ...

    def unpack(self, config: Any, arrays: Arrays) -> Any:
        """The inverse of `pack`."""
        ...

    def flops(self, config: Any) -> int:
        """Floating point operations to train one seed, about; decides the size of blocks."""
        ...

    def memory(self, config: Any, kernel: str, seeds: int, threads: int) -> int:
        """Bytes that training so many seeds takes besides what it returns."""
        ...

    def check(self, config: Any, options: Options, seeds: int) -> Mapping[str, int]:
        """Refuse options that the configuration cannot honour.

        Returns the bytes that the others take besides models and results, by what takes them.
        """
        ...

    def train(self, config: Any, seeds: NDArray[np.uint64], options: Options) -> Trained:
        """Train one model per seed, each a function of its own seed only."""
        ...

    def references(self, config: Any) -> dict[str, dict[str, float]]:
        """Laws and null models to compare the mean of a column with: column, then name and value.

        Ratios are taken to the first of a column.
        """
        ...

    def distribution(self, config: Any, column: str) -> NDArray[np.float64] | None:
        """Probabilities of the values 0, 1, ... of a column under a null model, if there is one."""
        ...

    def unlearned(self, config: Any) -> tuple[str, int] | None:
        """The column that counts what a model failed to learn, and out of how many."""
        ...

    def figures(self) -> tuple[Any, ...]:
        """Drawings of a study for the report: `Figure` each."""
        ...


class Figure(NamedTuple):
    """A drawing of a whole study."""

    caption: str
    draw: Callable[[Any, Any], Any]
    """Takes the study and axes."""


DEFAULT_KIND = "autoencoder"
"""The family of stored configurations that name none, and of the command line's options."""

# Where the package's own families are, which are loaded when they are asked for: the module of the
# family, in the folder of its configurations, and its name there.
_BUILT_IN = {
    "autoencoder": "fastpolysem.families.autoencoder.family:AUTOENCODER",
    "network": "fastpolysem.families.network.family:NETWORK",
}
_ENTRY_POINTS = "fastpolysem.families"
_known: dict[str, Family] = {}


def register_family(family: Family) -> None:
    """Make a family of models known to training, studies, plots and the command line.

    Parameters
    ----------
    family
        Its ``kind`` names it in stored configurations. Processes of an executor import the module
        that defines its ``config_type``, which has to register it. So does the command line if an
        installed package declares that module as an entry point of the group
        ``fastpolysem.families`` under the kind's name.

    Raises
    ------
    ValueError
        If there is another family of this kind.
    """
    kind = _checks.text("register_family: kind", family.kind)
    built_in = _BUILT_IN.get(kind, "").partition(":")[0]
    own = type(family).__module__ == built_in
    if _known.get(kind, family) is not family or (built_in and not own):
        raise ValueError(f"register_family: kind must be a new one, got {kind!r}, which is taken")
    _known[kind] = family


def named(kind: str, module: str | None = None) -> Family:
    """The family of this kind; if it is not known ``module`` is imported, and then what installed
    packages declare.

    Raises
    ------
    ValueError
        If there is none.
    """
    if kind not in _known:
        if kind in _BUILT_IN:
            place, _, name = _BUILT_IN[kind].partition(":")
            register_family(getattr(importlib.import_module(place), name))
        elif module is not None:
            importlib.import_module(module)
    if kind not in _known:
        from importlib import metadata  # takes its time

        for point in metadata.entry_points(group=_ENTRY_POINTS, name=kind):
            point.load()
    if kind not in _known:
        raise ValueError(
            f"there is no family of models {kind!r}{_checks.nearest(kind, known())}; "
            "one of another package has to be imported before its studies are opened, or declared "
            f"as an entry point of the group {_ENTRY_POINTS}"
        )
    return _known[kind]


def known() -> tuple[str, ...]:
    """The kinds that can be named."""
    return tuple(dict.fromkeys((*_BUILT_IN, *_known)))


def _family_of(value: object) -> Family | None:
    folders = {cls.__module__.rpartition(".")[0] for cls in type(value).__mro__}
    for kind, place in _BUILT_IN.items():
        if kind not in _known and place.partition(":")[0].rpartition(".")[0] in folders:
            named(kind)
    for family in _known.values():
        if isinstance(value, family.config_type):
            return family
    return None


def headings() -> dict[str, str]:
    """Short headings of settings and references of all families; the first one's of a name."""
    found: dict[str, str] = {}
    for family in _known.values():
        found = {**family.headings, **found}
    return found


def is_config(value: object) -> bool:
    """Whether this is the configuration of a known family."""
    return _family_of(value) is not None


def family_of(config: object) -> Family:
    """The family that a configuration belongs to.

    Raises
    ------
    TypeError
        If it is no configuration.
    """
    if (family := _family_of(config)) is None:
        raise _checks.refused("config", "a Config", config, kind=TypeError)
    return family


def check_config(where: str, config: object) -> Family:
    """The family of a configuration; refuses what is none."""
    if not is_config(config):
        raise _checks.refused(f"{where}: config", "a Config", config, kind=TypeError)
    return family_of(config)


def attachments(config: AnyConfig) -> Mapping[str, Arrays]:
    """Arrays of which a configuration's ``to_dict`` names the hash alone, by that hash.

    A configuration that has such has an attribute of this name, and its ``from_dict`` takes, as a
    second argument, a function that gives the arrays of a hash, see `hash_of_arrays`.
    """
    found: Mapping[str, Arrays] = getattr(config, "attachments", {})
    return found


def from_dict(
    mapping: Mapping[str, Any],
    module: str | None = None,
    attached: Callable[[str], Arrays] | None = None,
) -> Any:
    """The configuration that ``to_dict`` made this of, of the default family without "kind".

    ``attached`` gives the arrays that it names by this hash.
    """
    kind = mapping.get("kind", DEFAULT_KIND) if isinstance(mapping, Mapping) else DEFAULT_KIND
    if not isinstance(kind, str):
        raise _checks.refused("config: kind", "the name of a family", kind, kind=TypeError)
    config_type = named(kind, module).config_type
    takes = attached is not None and hasattr(config_type, "attachments")
    return config_type.from_dict(mapping, attached) if takes else config_type.from_dict(mapping)
