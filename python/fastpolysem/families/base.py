"""The interface of families of models, and the registered families.

A *family* contains everything specific to one kind of model: its settings, the shapes of its
weights, what is measured for each seed, what a seed costs, and how to train it. Everything above
this folder (training, studies, plots, the report, the command line) works with any family.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from fastpolysem import _checks

Arrays = dict[str, NDArray[Any]]
"""Arrays by name, each with a leading seed axis."""


@dataclass(frozen=True)
class Column:
    """One result per seed.

    Attributes
    ----------
    name
        A Python identifier: the attribute of a result and the column of a table.
    dtype
        "int32", "int64" or "float64", the type in files; integers are int64 in memory.
    doc
        A description in one line, including the state of the model it refers to.
    diverged
        Value in the row of a diverged seed; None keeps the value from training.
    bounds
        Smallest and largest possible value (None for no limit) of counts and shares. Confidence
        intervals of means stay within.
    since
        The version that added it, if older files lack it; their rows have missing values.
    label
        Axis label; by default the name.
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
        """The axis label."""
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
    """The options of `train`; the caller has checked everything that does not need the family."""

    initial_weights: Any = None
    noise_sequence: Any = None
    metrics: tuple[str, ...] = ()
    """Metrics to record."""
    record_steps: tuple[int, ...] = ()
    """Numbers of updates after which to record, ascending."""
    return_weights: bool = False
    num_threads: int = 1
    kernel: str = "auto"
    progress: Callable[[int], object] | None = None
    """Called with the number of finished seeds; an exception ends the training."""


class Trained(NamedTuple):
    """The results of a family's training."""

    columns: Arrays
    """(S,) arrays, by the names of `Family.columns`."""
    diverged: NDArray[np.bool_]
    """(S,) whether weights or loss are not finite."""
    seconds: NDArray[np.float64]
    """(S,) time spent on each seed."""
    kernel: str
    """Name of the kernel that was used."""
    weights: Arrays | None = None
    """Final weights by the names of `Family.shapes`, if requested."""
    history: Arrays = {}  # noqa: RUF012
    """(S, R) arrays, by recorded metric."""


class AnyConfig(Protocol):
    """The interface of configurations, which are frozen, hashable and validated on creation."""

    @property
    def digest(self) -> str:
        """Hash of everything that affects results: kind (except for the autoencoder), settings and
        numerics version."""
        ...

    @property
    def dtype(self) -> str:
        """ "float32" or "float64", that of the weights."""
        ...

    def to_dict(self) -> dict[str, Any]:
        """All fields in JSON form and, except for the autoencoder, "kind"."""
        ...

    def replace(self, **changes: Any) -> Any:
        """A copy with some fields changed."""
        ...


class Family(Protocol):
    """A kind of model that can be trained, stored, summarised and plotted.

    A family may also have functions ``forward``, ``loss_and_gradient`` and ``draw``, which those of
    `fastpolysem` call with the same arguments.
    """

    kind: str
    """Name in stored configurations."""
    numerics_version: int
    """Changes whenever the same settings and seed give different bits."""
    config_type: Any
    """Class of the configurations, with ``from_dict`` as the inverse of ``to_dict``."""
    kernels: tuple[str, ...]
    """Allowed values of ``kernel`` in `train`, including "auto"."""
    sizes: tuple[str, ...]
    """Settings that tables always show."""
    primary: str
    """The default metric of a study."""
    beside: tuple[str, ...]
    """Columns whose means every summary shows in addition."""
    headings: Mapping[str, str]
    """Short headings of settings and references, for display."""
    glossary: Mapping[str, str]
    """One line of documentation for each of `sizes` and each reference."""
    caveat: str
    """A caution to readers about configurations whose models fail to learn (`unlearned`). It
    completes "In 2 of 3 configurations ..."."""

    def columns(self, config: Any) -> tuple[Column, ...]:
        """What is measured for each seed."""
        ...

    def metrics(self, config: Any) -> tuple[str, ...]:
        """What can be recorded during training."""
        ...

    def settings(self, config: Any) -> dict[str, Any]:
        """All settings by name, in the order and form in which tables show them."""
        ...

    def describe(self, config: Any) -> str:
        """The sizes in a few words, for display."""
        ...

    def steps(self, config: Any) -> int:
        """Number of updates."""
        ...

    def shapes(self, config: Any) -> dict[str, tuple[int, ...]]:
        """Shapes of one model's weights, by name."""
        ...

    def pack(self, config: Any, weights: Any) -> Arrays:
        """The arrays by name in weights as users have them, for a stack of models."""
        ...

    def unpack(self, config: Any, arrays: Arrays) -> Any:
        """The inverse of `pack`."""
        ...

    def flops(self, config: Any) -> int:
        """Approximate number of floating-point operations per seed; determines the block size."""
        ...

    def memory(self, config: Any, kernel: str, seeds: int, threads: int) -> int:
        """Bytes needed to train this many seeds, in addition to the results."""
        ...

    def check(self, config: Any, options: Options, seeds: int) -> Mapping[str, int]:
        """Refuse options that the configuration does not support.

        Returns the bytes that options need in addition to models and results, by purpose.
        """
        ...

    def train(self, config: Any, seeds: NDArray[np.uint64], options: Options) -> Trained:
        """Train one model per seed; each model depends only on its own seed."""
        ...

    def references(self, config: Any) -> dict[str, dict[str, float]]:
        """Laws and null models to compare means with: by column, then by name, the value.

        Ratios refer to the first entry of a column.
        """
        ...

    def distribution(self, config: Any, column: str) -> NDArray[np.float64] | None:
        """Probabilities of the values 0, 1, ... of a column under a null model, if there is one."""
        ...

    def unlearned(self, config: Any) -> tuple[str, int] | None:
        """The column that counts what a model failed to learn, and the largest possible count."""
        ...

    def figures(self) -> tuple[Any, ...]:
        """Figures of a study for the report, each a `Figure`."""
        ...


class Figure(NamedTuple):
    """A figure of a whole study."""

    caption: str
    draw: Callable[[Any, Any], Any]
    """Draws the study on axes; takes both."""
    metric: str | None = None
    """The column that it shows, if not the family's `Family.primary`."""


COLLAPSED = 0.05
"""A model has collapsed if it fails to learn more than this share of what it should learn
(`Family.unlearned`); its counts are then meaningless."""

DEFAULT_KIND = "autoencoder"
"""The family of stored configurations without a kind, and of the command line's options."""

BUILT_IN = tuple(sorted(file.parent.name for file in Path(__file__).parent.glob("*/family.py")))
"""Kinds of the package's own families: the folders beside this file. Each is loaded on demand; its
module ``family`` defines ``FAMILY``."""
_ENTRY_POINTS = "fastpolysem.families"
_known: dict[str, Family] = {}


def register_family(family: Family) -> None:
    """Register a family of models with training, studies, plots and the report.

    The command line reads and draws its studies, but does not collect them.

    Parameters
    ----------
    family
        The family. Its ``kind`` identifies it in stored configurations. The worker processes of an
        executor import the module that defines its ``config_type``, so this module must register
        it. The command line does the same if an installed package declares the module as an entry
        point in the group ``fastpolysem.families``, under the kind's name.

    Raises
    ------
    ValueError
        If another family of this kind is registered.
    """
    kind = _checks.text("register_family: kind", getattr(family, "kind", None))
    taken = kind in BUILT_IN and type(family).__module__ != _module(kind)
    if taken or _known.get(kind, family) is not family:
        raise ValueError(f"register_family: kind must be a new one, got {kind!r}, which is taken")
    _known[kind] = family


def named(kind: str, module: str | None = None) -> Family:
    """The family of this kind. If it is unknown, ``module`` is imported, then the modules that
    installed packages declare.

    Raises
    ------
    ValueError
        If there is none.
    """
    if kind not in _known:
        if kind in BUILT_IN:
            register_family(importlib.import_module(_module(kind)).FAMILY)
        elif module is not None:
            importlib.import_module(module)
    if kind not in _known:
        from importlib import metadata  # slow to import

        for point in metadata.entry_points(group=_ENTRY_POINTS, name=kind):
            point.load()
    if kind not in _known:
        raise ValueError(
            f"there is no family of models {kind!r}{_checks.nearest(kind, known())}; "
            "import the package that defines it before opening its studies, or declare it as an "
            f"entry point in the group {_ENTRY_POINTS}"
        )
    return _known[kind]


def known() -> tuple[str, ...]:
    """The available kinds."""
    return tuple(dict.fromkeys((*BUILT_IN, *_known)))


def _module(kind: str) -> str:
    return f"{__package__}.{kind}.family"


def _family_of(value: object) -> Family | None:
    folders = {cls.__module__.rpartition(".")[0] for cls in type(value).__mro__}
    for kind in BUILT_IN:
        if kind not in _known and _module(kind).rpartition(".")[0] in folders:
            named(kind)
    for family in _known.values():
        if isinstance(value, family.config_type):
            return family
    return None


def headings() -> dict[str, str]:
    """Short headings of settings and references of all families; the first takes precedence."""
    found: dict[str, str] = {}
    for family in _known.values():
        found = {**family.headings, **found}
    return found


def is_config(value: object) -> bool:
    """Whether the value is a configuration of a known family."""
    return _family_of(value) is not None


def family_of(config: object) -> Family:
    """The family that a configuration belongs to.

    Raises
    ------
    TypeError
        If it is not a configuration.
    """
    if (family := _family_of(config)) is None:
        raise _checks.refused("config", "a Config", config, kind=TypeError)
    return family


def check_config(where: str, config: object) -> Family:
    """The family of a configuration; refuses anything else."""
    if not is_config(config):
        raise _checks.refused(f"{where}: config", "a Config", config, kind=TypeError)
    return family_of(config)


def attachments(config: AnyConfig) -> Mapping[str, Arrays]:
    """Arrays that a configuration's ``to_dict`` represents by a hash only, by that hash.

    A configuration with such arrays has an attribute of this name, and its ``from_dict`` takes as
    second argument a function that returns the arrays with a given hash; see `hash_of_arrays`.
    """
    found: Mapping[str, Arrays] = getattr(config, "attachments", {})
    return found


def from_dict(
    mapping: Mapping[str, Any],
    module: str | None = None,
    attached: Callable[[str], Arrays] | None = None,
) -> Any:
    """The configuration from the result of its ``to_dict``; without "kind", of the default family.

    ``attached`` returns the arrays with a given hash.
    """
    kind = mapping.get("kind", DEFAULT_KIND) if isinstance(mapping, Mapping) else DEFAULT_KIND
    _checks.instance("config: kind", kind, str, "the name of a family")
    config_type = named(kind, module).config_type
    takes = attached is not None and hasattr(config_type, "attachments")
    return config_type.from_dict(mapping, attached) if takes else config_type.from_dict(mapping)
