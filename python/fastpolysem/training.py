"""Training one model per seed, and the results.

Half of the file documents `train`, `Record` and `TrainingResult`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastpolysem import _checks, families
from fastpolysem._files import Archive, load_arrays, save_arrays
from fastpolysem._native import MAX_THREADS, default_threads
from fastpolysem.families import AnyConfig, Options

__all__ = ["Record", "TrainingResult", "train"]

_FORMAT = "fastpolysem.TrainingResult 1"

# Arguments that replace what a seed would determine.
_GIVABLE = ("initial_weights", "noise_sequence")

# A recorded step while a Record is made: a number in a list, in a set and in another list.
_STEP_BYTES = 150

# Beside the family's own columns, of every seed.
_ALWAYS: dict[str, type[np.generic]] = {"diverged": np.bool_, "seconds": np.float64}


@dataclass(frozen=True, init=False)
class Record:
    """Which metrics to record during training, and when.

    Parameters
    ----------
    metrics
        One or more names of metrics that the configuration's family can record. For the
        autoencoder: "objective" (loss of the next step, with its batch, noise, dropout, l1 and
        repulsion; nan after the last step), "loss" (squared error without noise and dropout, on the
        basis batch), "residual", "polysemantic", "benign", "malign", "signed_slots",
        "signed_slots_benign", "dead", "unrepresented", "nonzeros", "l1_norm" (sum of absolute
        weights, of both matrices if untied) and "fourth_norm" (mean over features of
        ``sum over neurons of w^4``, of `metrics.effective_weights` if untied). Counts and
        "residual" are nan while weights are not finite.
    steps
        Numbers of updates after which to record; 0 is the start. Stored in ascending order without
        duplicates.
    """

    metrics: tuple[str, ...]
    steps: tuple[int, ...]

    def __init__(self, metrics: str | Iterable[str], steps: Collection[int] | ArrayLike) -> None:
        if not isinstance(metrics, (str, Iterable)):
            raise _checks.refused("Record: metrics", "a list of names", metrics, kind=TypeError)
        names = (metrics,) if isinstance(metrics, str) else tuple(metrics)
        for name in names:
            _checks.text("Record: metrics", name)
        if not names or len(set(names)) < len(names):
            raise ValueError(f"Record: metrics must be one or more different names, got {names!r}")
        if isinstance(steps, range):  # of which a few bytes may name more than there is room for
            count = (steps.stop - steps.start) // steps.step  # len() stops at 2**63 - 1
            parts = {f"a list of {count} steps": count * _STEP_BYTES}
            _checks.memory("Record", parts, "record fewer steps")
        at = sorted(set(_checks.integers("Record: steps", steps, (">=", 0))))
        if not at:
            raise ValueError("Record: steps must hold at least one step, got none")
        object.__setattr__(self, "metrics", names)
        object.__setattr__(self, "steps", tuple(at))


RecordLike = Record | tuple[str | Iterable[str], Collection[int] | ArrayLike]


@dataclass(frozen=True, eq=False, repr=False, init=False)
class TrainingResult:
    """Results of training: arrays with one entry per seed, in the order of ``seeds``.

    Every column of the configuration's family is an attribute, for the autoencoder for instance
    ``result.polysemantic`` and ``result.loss``: an (S,) array of int64 or float64. `columns` lists
    them. If a seed's weights or loss are not finite, ``diverged`` is set, every count is -1, and
    loss and residual are nan.
    """

    config: Any
    """The settings, shared by all seeds."""
    seeds: NDArray[np.uint64]
    """(S,)"""
    columns: Mapping[str, NDArray[Any]]
    """The family's columns by name, each (S,)."""
    diverged: NDArray[np.bool_]
    """(S,) whether weights or loss were not finite at the end."""
    seconds: NDArray[np.float64]
    """(S,) time spent on each seed."""
    weights: Any
    """Final weights with a leading axis S, in the family's own form (for the autoencoder an array
    or Parameters); None unless requested."""
    history: Mapping[str, NDArray[Any]]
    """Recorded values: "step" (R,) and each metric (S, R). Empty without a record."""
    kernel: str
    """The kernel used."""
    numerics_version: int
    """The family's numerics version at the time of training."""
    given: tuple[str, ...]
    """Which of "initial_weights" and "noise_sequence" were passed to `train`. If any, config and
    seeds are not enough to reproduce the results."""

    def __init__(
        self,
        *,
        config: AnyConfig,
        seeds: NDArray[np.uint64],
        diverged: NDArray[np.bool_],
        seconds: NDArray[np.float64],
        columns: Mapping[str, NDArray[Any]] | None = None,
        weights: Any = None,
        history: Mapping[str, NDArray[Any]] | None = None,
        kernel: str = "",
        numerics_version: int | None = None,
        given: tuple[str, ...] = (),
        **named: NDArray[Any],
    ) -> None:
        family = families.check_config("TrainingResult", config)
        all_columns = {**(columns or {}), **named}
        wanted = [column.name for column in family.columns(config)]
        if set(all_columns) != set(wanted):
            raise TypeError(
                f"TrainingResult: columns must be {', '.join(wanted)}, got {', '.join(all_columns)}"
            )
        values: dict[str, Any] = {
            "config": config,
            "seeds": seeds,
            "columns": {name: all_columns[name] for name in wanted},
            "diverged": diverged,
            "seconds": seconds,
            "weights": weights,
            "history": dict(history or {}),
            "kernel": kernel,
            "numerics_version": family.numerics_version
            if numerics_version is None
            else numerics_version,
            "given": given,
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def __getattr__(self, name: str) -> NDArray[Any]:
        columns = self.__dict__.get("columns", {})
        if name not in columns:
            hint = "" if name.startswith("_") else _checks.nearest(name, dir(self))
            # With a name, Python adds no suggestion of its own.
            raise AttributeError(f"TrainingResult has no {name!r}{hint}", name=name)
        values: NDArray[Any] = columns[name]
        return values

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self.__dict__.get("columns", {})})

    def __len__(self) -> int:
        return len(self.seeds)

    def __repr__(self) -> str:
        name = families.family_of(self.config).primary
        counts = self.columns[name][~self.diverged]
        summary = f"{name} {counts.mean():.4g}" if len(counts) else "no counts"
        if len(counts) > 1:
            summary += f" ± {counts.std(ddof=1) / len(counts) ** 0.5:.2g} (standard error)"
        given = f", given {' and '.join(self.given)}" if self.given else ""
        return (
            f"<TrainingResult: {len(self)} seeds, {summary}, {self.diverged.sum()} diverged, "
            f"kernel {self.kernel!r}, {self.config!r}{given}>"
        )

    def _repr_html_(self) -> str:
        """A table of the seeds that did not diverge, for notebooks."""
        from fastpolysem._html import render

        valid = ~self.diverged
        rows = []
        for name, column in {**self.columns, "seconds": self.seconds}.items():
            values = column[valid].astype(np.float64)
            if len(values):
                with np.errstate(over="ignore", invalid="ignore"):  # of infinite values
                    spread = f"{values.std(ddof=1):.4g}" if len(values) > 1 else "-"
                ends = f"{values.min():.4g}", f"{values.max():.4g}"
                rows.append((name, f"{values.mean():.4g}", spread, *ends))
        head = f"{len(self)} seeds, {self.diverged.sum()} diverged, kernel {self.kernel!r}"
        head += f", given {' and '.join(self.given)}" if self.given else ""
        columns = ("", "mean", "standard deviation", "minimum", "maximum")
        return render(
            "result.html", head=head, config=repr(self.config), columns=columns, rows=rows
        )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write everything to one .npz file at exactly this path, without pickled objects.

        The file appears only once it is complete, and replaces any existing file.
        """
        arrays: dict[str, Any] = {
            "format": _FORMAT,
            "config": json.dumps(self.config.to_dict()),
            "kernel": self.kernel,
            "numerics_version": self.numerics_version,
            "given": ",".join(self.given),
            "seeds": self.seeds,
        }
        arrays |= {**self.columns, **{name: getattr(self, name) for name in _ALWAYS}}
        arrays |= {f"history.{name}": values for name, values in self.history.items()}
        if self.weights is not None:
            parts = families.family_of(self.config).pack(self.config, self.weights)
            arrays |= {f"weights.{name}": part for name, part in parts.items()}
        for sha256, parts in families.attachments(self.config).items():
            arrays |= {f"attached.{sha256}.{name}": part for name, part in parts.items()}
        save_arrays(_checks.file_path("TrainingResult.save: path", path), arrays)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> TrainingResult:
        """Read a file written by :meth:`save`; additional content is ignored.

        ``given`` is empty if the file was written by a version that did not store it.

        Raises
        ------
        ValueError
            If the file is damaged or of another kind; the message names the path.
        OSError, MemoryError
            If it cannot be read, which does not mean that it is damaged.
        """
        return load_arrays("TrainingResult", path, cls._from_arrays)

    @classmethod
    def _from_arrays(cls, arrays: Archive) -> TrainingResult:
        if (written := arrays.text("format")) != _FORMAT:
            raise ValueError(f"its format is {written!r}, not {_FORMAT!r}")

        def attached(sha256: str) -> dict[str, NDArray[Any]]:
            start = f"attached.{sha256}."
            named = [name for name in arrays if name.startswith(start)]
            return {name.removeprefix(start): arrays.unpacked(name) for name in named}

        config = families.from_dict(json.loads(arrays.text("config")), attached=attached)
        family = families.family_of(config)
        count = arrays.described("seeds")[1][:1]
        checked = arrays.array
        history = {}
        if "history.step" in arrays:
            points = arrays.described("history.step")[1][:1]
            for name in arrays:
                if name.startswith("history."):
                    kind, shape = (
                        (np.int64, points)
                        if name == "history.step"
                        else (np.float64, count + points)
                    )
                    history[name.removeprefix("history.")] = checked(name, kind, shape)
        elif any(name.startswith("history.") for name in arrays):
            raise ValueError("it has a history without steps")
        weights = None
        if any(name.startswith("weights.") for name in arrays):
            parts = {
                name: checked(f"weights.{name}", config.dtype, count + shape)
                for name, shape in family.shapes(config).items()
            }
            weights = family.unpack(config, parts)
        always: Any = {name: checked(name, dtype, count) for name, dtype in _ALWAYS.items()}
        text = arrays.text("given") if "given" in arrays else ""
        given = tuple(text.split(",")) if text else ()
        if given not in [(), _GIVABLE, *((name,) for name in _GIVABLE)]:
            raise ValueError(f"given is {given!r}, not some of {_GIVABLE}")
        return cls(
            config=config,
            seeds=checked("seeds", np.uint64, count),
            columns={c.name: checked(c.name, c.type, count) for c in family.columns(config)},
            weights=weights,
            history=history,
            kernel=arrays.text("kernel"),
            numerics_version=int(checked("numerics_version", np.int64, ())),
            given=given,
            **always,
        )


def train(
    config: AnyConfig,
    seeds: int | ArrayLike,
    *,
    initial_weights: Any = None,
    noise_sequence: ArrayLike | None = None,
    record: RecordLike | None = None,
    return_weights: bool = False,
    num_threads: int | None = None,
    kernel: str = "auto",
    progress: Callable[[int, int], object] | None = None,
) -> TrainingResult:
    """Train one model per seed and measure the trained models.

    The results of a seed are bit-for-bit the same for any other seeds in the call, number of
    threads, kernel and machine.

    Parameters
    ----------
    config
        The settings, of any family of models.
    seeds
        A count S for the seeds 0 to S - 1, or a 1-d collection of integers in [0, 2**64).
        An empty collection returns an empty result.
    initial_weights
        Initial weights to use instead of random ones, in the form that ``return_weights`` returns:
        with a leading seed axis, or one model for all seeds. For the autoencoder an array (S, n, m)
        or (n, m), or :class:`Parameters` of such arrays or a pair of them. Converted to
        the config's dtype; must be finite. Steps, batches and moments start from 0 as usual.
    noise_sequence
        Noise to use instead of drawn noise: (steps, m), the same for all seeds, or (S, steps, m);
        with ``noise_sharing="input"`` (steps, B, m) or (S, steps, B, m).
    record
        A :class:`Record`, or a pair (metrics, steps).
    return_weights
        Whether the result contains the final weights.
    num_threads
        Number of seeds to train at a time, 1 to 1024. None uses ``OMP_NUM_THREADS`` or, if that is
        not set, all cores that the process may use, given its affinity and control-group quotas.
    kernel
        "auto" selects the fastest; any other name forces one. The autoencoder has "generic",
        "dense", "sparse" and "lanes".
    progress
        Called as ``progress(done, total)``, with numbers of seeds, from time to time and at the
        end, in this thread. An exception raised by it ends the training.

    Returns
    -------
    TrainingResult

    Raises
    ------
    TypeError, ValueError
        For invalid arguments; the message names the argument, its value and what is allowed. For a
        kernel that does not support the config, with the reason.
    MemoryError
        If the models in training and the results would not fit into the available memory. Raised
        before anything is allocated; the message gives the estimate.
    KeyboardInterrupt
        Shortly after Ctrl-C; the seeds of this call are lost.

    Examples
    --------
    >>> import fastpolysem as fp
    >>> config = fp.Config(n_features=8, n_hidden=16, l1=1e-2, steps=2000)
    >>> fp.train(config, seeds=100).polysemantic.shape
    (100,)
    """
    family = families.check_config("train", config)
    _checks.choice("train: kernel", kernel, family.kernels)
    threads = default_threads()
    if num_threads is not None:
        bounds = ((">=", 1), ("<=", MAX_THREADS))
        threads = _checks.integer("train: num_threads", num_threads, *bounds)
    if progress is not None and not callable(progress):
        allowed = "a function of (done, total) or None"
        raise _checks.refused("train: progress", allowed, progress, kind=TypeError)
    return_weights = _checks.flag("train: return_weights", return_weights)
    wanted = None if record is None else checked_record("train", record, config)
    count = seed_count("train", seeds)
    options = Options(
        initial_weights=initial_weights,
        noise_sequence=noise_sequence,
        metrics=wanted.metrics if wanted else (),
        record_steps=wanted.steps if wanted else (),
        return_weights=return_weights,
        num_threads=threads,
        kernel=kernel,
        progress=None if progress is None else lambda done: progress(done, count),
    )
    _check_memory(family, config, options, count)
    chosen = seed_array("train", seeds)
    trained = family.train(config, chosen, options)
    if progress is not None:
        progress(count, count)
    history: dict[str, NDArray[Any]] = {}
    if wanted:
        history = {"step": np.array(wanted.steps, dtype=np.int64), **trained.history}
    return TrainingResult(
        config=config,
        seeds=chosen,
        columns=trained.columns,
        diverged=trained.diverged,
        seconds=trained.seconds,
        weights=None if trained.weights is None else family.unpack(config, trained.weights),
        history=history,
        kernel=trained.kernel,
        given=tuple(
            name
            for name, value in zip(_GIVABLE, (initial_weights, noise_sequence), strict=True)
            if value is not None
        ),
    )


def checked_record(where: str, record: object, *configs: AnyConfig) -> Record:
    """A Record, or a pair (metrics, steps) as one, checked against the configurations."""
    if not isinstance(record, Record):
        if not isinstance(record, (tuple, list)) or len(record) != 2:
            allowed = "a Record or a pair (metrics, steps)"
            raise _checks.refused(f"{where}: record", allowed, record, kind=TypeError)
        record = Record(*record)
    for config in configs:
        family = families.family_of(config)
        for name in record.metrics:
            _checks.choice(f"{where}: record: metrics", name, family.metrics(config))
        if record.steps[-1] > family.steps(config):
            raise ValueError(
                f"{where}: record must ask for steps <= {family.steps(config)}, as many as are "
                f"taken, got {record.steps[-1]}"
            )
    return record


def seed_count(where: str, seeds: Any) -> int:
    """The number of seeds, before memory is allocated for them."""
    if isinstance(seeds, (int, np.integer)):
        return _checks.integer(f"{where}: seeds", seeds, (">=", 0), ("<=", 2**64))
    if isinstance(seeds, range):  # whose length may exceed what len() can return
        return (seeds[-1] - seeds[0]) // seeds.step + 1 if seeds else 0
    if not hasattr(seeds, "__len__") or getattr(seeds, "ndim", 1) != 1:
        allowed = "a count or a list of integers"
        raise _checks.refused(f"{where}: seeds", allowed, seeds, kind=TypeError)
    return len(seeds)


def seed_array(where: str, seeds: Any) -> NDArray[np.uint64]:
    """Seeds, given as a count or individually."""
    if isinstance(seeds, (int, np.integer)):
        return np.arange(_checks.integer(f"{where}: seeds", seeds, (">=", 0)), dtype=np.uint64)
    values = _checks.integers(f"{where}: seeds", seeds, (">=", 0), ("<", 2**64))
    return np.array(values, dtype=np.uint64)


def weight_bytes(config: AnyConfig) -> int:
    """Bytes of one model's weights."""
    shapes = families.family_of(config).shapes(config)
    return sum(int(np.prod(shape)) for shape in shapes.values()) * np.dtype(config.dtype).itemsize


def _check_memory(family: Any, config: Any, options: Options, count: int) -> None:
    others = family.check(config, options, count)
    busy = min(options.num_threads, count)
    row = 8 + 8 * len(family.columns(config)) + sum(np.dtype(t).itemsize for t in _ALWAYS.values())
    points = len(options.record_steps) * len(options.metrics)
    _checks.memory(
        "train",
        {
            f"{busy} models in training": family.memory(config, options.kernel, count, busy),
            "the results": count * row,
            "the returned weights": count * weight_bytes(config) if options.return_weights else 0,
            "the history": count * points * 8,
            **others,
        },
        "use fewer seeds in one call, fewer threads or a smaller model",
    )
