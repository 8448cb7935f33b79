"""Training one model per seed, and what comes out of it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastpolysem import _checks
from fastpolysem._files import Archive, open_arrays, save_arrays
from fastpolysem._native import MAX_THREADS, core, default_threads
from fastpolysem.config import NUMERICS_VERSION, Config, check_config, core_settings
from fastpolysem.objective import (
    Parameters,
    Weights,
    WeightsLike,
    stacked_parameters,
    unstacked,
)

__all__ = ["Kernel", "Parameters", "Record", "TrainingResult", "train"]

Kernel = Literal["auto", "generic", "dense", "sparse", "lanes"]

_FORMAT = "fastpolysem.TrainingResult 1"

# What a result may have been given in place of what its seeds determine.
_GIVABLE = ("initial_weights", "noise_sequence")

# What is known about each seed after training, (S,) arrays of these types.
_RESULTS: dict[str, type[np.generic]] = {
    "polysemantic": np.int64,
    "benign": np.int64,
    "malign": np.int64,
    "signed_slots": np.int64,
    "signed_slots_benign": np.int64,
    "dead": np.int64,
    "unrepresented": np.int64,
    "nonzeros": np.int64,
    "loss": np.float64,
    "residual": np.float64,
    "steps_taken": np.int64,
    "diverged": np.bool_,
    "seconds": np.float64,
}


@dataclass(frozen=True, init=False)
class Record:
    """Which metrics to record during training, and when.

    Parameters
    ----------
    metrics
        A name or several of "objective" (loss of the step that follows, with its batch, noise,
        dropout, l1 and repulsion; nan after the last step), "loss" (squared error without noise and
        dropout, on the basis batch), "residual", "polysemantic", "benign", "malign",
        "signed_slots", "signed_slots_benign", "dead", "unrepresented", "nonzeros", "l1_norm" (sum
        of absolute weights, of both matrices if untied) and "fourth_norm" (mean over features of
        ``sum over neurons of w^4``, of `metrics.effective_weights` if untied).
    steps
        Numbers of updates after which to record, 0 for the start. Kept ascending, each once.
    """

    metrics: tuple[str, ...]
    steps: tuple[int, ...]

    def __init__(self, metrics: str | Iterable[str], steps: Collection[int] | ArrayLike) -> None:
        if not isinstance(metrics, (str, Iterable)):
            raise _checks.refused("Record: metrics", "a list of names", metrics, kind=TypeError)
        listed = [metrics] if isinstance(metrics, str) else metrics
        names = tuple(_checks.choice("Record: metrics", name, core.METRICS) for name in listed)
        if not names or len(set(names)) < len(names):
            raise ValueError(f"Record: metrics must be one or more different names, got {names!r}")
        at = sorted(set(_checks.integers("Record: steps", steps, (">=", 0))))
        if not at:
            raise ValueError("Record: steps must hold at least one step, got none")
        object.__setattr__(self, "metrics", names)
        object.__setattr__(self, "steps", tuple(at))


RecordLike = Record | tuple[str | Iterable[str], Collection[int] | ArrayLike]


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class TrainingResult:
    """What training gave, as arrays with one entry per seed, in the order of ``seeds``.

    Counts are those of :mod:`fastpolysem.metrics` on the final weights. A seed whose weights or
    loss are not finite has ``diverged`` set, -1 for every count and nan for loss and residual.
    """

    config: Config
    """The settings that all seeds share."""
    seeds: NDArray[np.uint64]
    """(S,)"""
    polysemantic: NDArray[np.int64]
    """(S,) neurons with at least two features of 0.8 <= |weight| <= 1.2."""
    benign: NDArray[np.int64]
    """(S,) pairs of such features in one neuron, of opposite signs."""
    malign: NDArray[np.int64]
    """(S,) pairs of such features in one neuron, of the same sign."""
    signed_slots: NDArray[np.int64]
    """(S,) neurons that are the favourite (largest |weight|) of at least two features."""
    signed_slots_benign: NDArray[np.int64]
    """(S,) those of them that are the favourite of features of both signs."""
    dead: NDArray[np.int64]
    """(S,) neurons without any |weight| >= 0.8."""
    unrepresented: NDArray[np.int64]
    """(S,) features without any |weight| >= 0.8."""
    nonzeros: NDArray[np.int64]
    """(S,) weights that are not exactly zero, of both matrices if untied."""
    loss: NDArray[np.float64]
    """(S,) final squared error, without noise and dropout, on the basis batch."""
    residual: NDArray[np.float64]
    """(S,) largest |gradient| of the objective without noise and dropout, at the final l1, over the
    non-zero weights."""
    steps_taken: NDArray[np.int64]
    """(S,) updates done, fewer than asked for after a certified stop."""
    diverged: NDArray[np.bool_]
    """(S,) whether the weights or the loss ended up not finite."""
    seconds: NDArray[np.float64]
    """(S,) time spent on each seed."""
    weights: Weights | None = None
    """Final weights with a leading axis S: an array, or Parameters. None unless asked for."""
    history: dict[str, NDArray[Any]] = field(default_factory=dict)
    """What was recorded: "step" (R,) and each metric (S, R). Empty without a record."""
    kernel: str = ""
    """The kernel that was used."""
    numerics_version: int = NUMERICS_VERSION
    """The :data:`fastpolysem.NUMERICS_VERSION` the numbers were computed with."""
    given: tuple[str, ...] = ()
    """Which of "initial_weights" and "noise_sequence" were given to `train`. If any, config and
    seeds alone do not reproduce the numbers."""

    def __len__(self) -> int:
        return len(self.seeds)

    def __repr__(self) -> str:
        counts = self.polysemantic[~self.diverged]
        summary = f"polysemantic {counts.mean():.4g}" if len(counts) else "no counts"
        if len(counts) > 1:
            summary += f" ± {counts.std(ddof=1) / len(counts) ** 0.5:.2g} (standard error)"
        given = f", given {' and '.join(self.given)}" if self.given else ""
        return (
            f"<TrainingResult: {len(self)} seeds, {summary}, {self.diverged.sum()} diverged, "
            f"kernel {self.kernel!r}, {self.config!r}{given}>"
        )

    def _repr_html_(self) -> str:
        """A table of the seeds that did not diverge, for notebooks."""
        import html

        valid = ~self.diverged
        rows = [("", "mean", "standard deviation", "least", "most")]
        for name in _RESULTS:
            values = getattr(self, name)[valid].astype(np.float64)
            if name != "diverged" and len(values):
                spread = f"{values.std(ddof=1):.4g}" if len(values) > 1 else "-"
                ends = (
                    f"{values.mean():.4g}",
                    spread,
                    f"{values.min():.4g}",
                    f"{values.max():.4g}",
                )
                rows.append((name, *ends))
        table = "\n".join(f"<tr><td>{'</td><td>'.join(row)}</td></tr>" for row in rows)
        head = f"{len(self)} seeds, {self.diverged.sum()} diverged, kernel {self.kernel!r}"
        head += f", given {' and '.join(self.given)}" if self.given else ""
        return (
            f"<p>{html.escape(head)}<br><code>{html.escape(repr(self.config))}</code></p>\n"
            f"<table>\n{table}\n</table>"
        )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write everything to one .npz file at exactly this path, without pickled objects.

        The file appears only when it is complete; one that was there before is replaced.
        """
        arrays: dict[str, Any] = {
            "format": _FORMAT,
            "config": json.dumps(self.config.to_dict()),
            "kernel": self.kernel,
            "numerics_version": self.numerics_version,
            "given": ",".join(self.given),
            "seeds": self.seeds,
        }
        arrays |= {name: getattr(self, name) for name in _RESULTS}
        arrays |= {f"history.{name}": values for name, values in self.history.items()}
        if self.weights is not None:
            parts = self.weights if isinstance(self.weights, Parameters) else (self.weights,)
            named = zip(Parameters._fields, parts, strict=False)
            arrays |= {f"weights.{name}": part for name, part in named if part is not None}
        save_arrays(_checks.file_path("TrainingResult.save: path", path), arrays)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> TrainingResult:
        """Read a file that :meth:`save` wrote; what else is in it is left alone.

        In a file of a version that did not keep ``given`` it is taken to be empty.

        Raises
        ------
        ValueError
            If the file is damaged or something else; the message names the path.
        OSError, MemoryError
            If it cannot be read, which says nothing about what it holds.
        """
        path = _checks.file_path("TrainingResult.load: path", path)
        try:
            with open_arrays(path) as arrays:
                return cls._from_arrays(arrays)
        except ValueError as error:
            raise ValueError(
                f"TrainingResult.load: {os.fspath(path)!r} is no complete file written by "
                f"TrainingResult.save: {error}"
            ) from error

    @classmethod
    def _from_arrays(cls, arrays: Archive) -> TrainingResult:
        if (written := arrays.text("format")) != _FORMAT:
            raise ValueError(f"its format is {written!r}, not {_FORMAT!r}")
        config = Config.from_dict(json.loads(arrays.text("config")))
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
        weights: Weights | None = None
        if "weights.encoder" in arrays:
            matrix = (*count, config.n_features, config.n_hidden)
            encoder = checked("weights.encoder", config.dtype, matrix)
            decoder = None if config.tied else checked("weights.decoder", config.dtype, matrix)
            bias = checked("weights.bias", config.dtype, matrix[:2]) if config.bias else None
            weights = unstacked(config, (encoder, decoder, bias), single=False)
        text = arrays.text("given") if "given" in arrays else ""
        given = tuple(text.split(",")) if text else ()
        if given not in [(), _GIVABLE, *((name,) for name in _GIVABLE)]:
            raise ValueError(f"given is {given!r}, not some of {_GIVABLE}")
        return cls(
            config=config,
            seeds=checked("seeds", np.uint64, count),
            **{name: checked(name, dtype, count) for name, dtype in _RESULTS.items()},
            weights=weights,
            history=history,
            kernel=arrays.text("kernel"),
            numerics_version=int(checked("numerics_version", np.int64, ())),
            given=given,
        )


def train(
    config: Config,
    seeds: int | ArrayLike,
    *,
    initial_weights: WeightsLike | None = None,
    noise_sequence: ArrayLike | None = None,
    record: RecordLike | None = None,
    return_weights: bool = False,
    num_threads: int | None = None,
    kernel: Kernel = "auto",
    progress: Callable[[int, int], object] | None = None,
) -> TrainingResult:
    """Train one model per seed and count what becomes of its neurons.

    A seed gives the same bits whatever the other seeds, the threads, the kernel and the machine.

    Parameters
    ----------
    config
        The settings.
    seeds
        A count S for the seeds 0 to S - 1, or a 1-d collection of integers in [0, 2**64).
        Nothing at all gives empty results.
    initial_weights
        Where to start instead of at random: for tied models without bias an array (S, n, m), or
        (n, m) for all seeds; else :class:`Parameters` of such arrays, or a pair
        (encoder, decoder). Converted to the config's dtype; must be finite.
    noise_sequence
        The noise of each step instead of drawn noise: (steps, m), the same for all seeds, or
        (S, steps, m); with ``noise_sharing="input"`` (steps, B, m) or (S, steps, B, m).
    record
        A :class:`Record`, or a plain pair (metrics, steps).
    return_weights
        Whether the result holds the final weights.
    num_threads
        How many seeds to train at a time, 1 to 1024; None for what ``OMP_NUM_THREADS`` says and,
        without it, for all cores that the process may use: its affinity and the quotas of its
        control groups count.
    kernel
        "auto" picks the fastest; "generic", "dense", "sparse" or "lanes" insist on one.
    progress
        Called now and then, and at the end, as ``progress(done, total)`` with numbers of seeds, in
        this thread. What it raises ends the training.

    Returns
    -------
    TrainingResult

    Raises
    ------
    TypeError, ValueError
        For bad arguments, each named with its value and what is allowed; for a kernel that cannot
        serve the config, with the reason.
    MemoryError
        If the models in training and the results would not fit into the available memory, before
        anything is allocated, with the estimate.
    KeyboardInterrupt
        On Ctrl-C, shortly after; the seeds of this call are lost.

    Examples
    --------
    >>> import fastpolysem as fp
    >>> config = fp.Config(n_features=8, n_hidden=16, l1=1e-2, steps=2000)
    >>> fp.train(config, seeds=100).polysemantic.shape
    (100,)
    """
    check_config("train", config)
    _checks.choice("train: kernel", kernel, get_args(Kernel))
    return_weights = _checks.flag("train: return_weights", return_weights)
    threads = default_threads()
    if num_threads is not None:
        bounds = ((">=", 1), ("<=", MAX_THREADS))
        threads = _checks.integer("train: num_threads", num_threads, *bounds)
    if progress is not None and not callable(progress):
        allowed = "a function of (done, total) or None"
        raise _checks.refused("train: progress", allowed, progress, kind=TypeError)
    wanted = None if record is None else checked_record("train", record, config.steps)

    settings = core_settings(config)
    if reason := core.kernel_refusal(settings, kernel):
        raise ValueError(f"train: kernel {kernel!r} cannot serve this config: {reason}")

    count = seed_count("train", seeds)
    model_bytes = core.model_bytes(settings, kernel, min(count, 2**32))
    _check_memory(
        config, model_bytes, count, threads, wanted, return_weights, initial_weights, noise_sequence
    )
    chosen = seed_array("train", seeds)
    start: tuple[Any, Any, Any] = (None, None, None)
    if initial_weights is not None:
        start, _ = stacked_parameters("train: initial_weights", initial_weights, config, count)
    noise = None if noise_sequence is None else _noise_sequence(noise_sequence, config, count)

    out = core.train(
        settings,
        chosen,
        {
            name: part
            for name, part in zip(Parameters._fields, start, strict=True)
            if part is not None
        },
        noise,
        list(wanted.metrics) if wanted else [],
        np.array(wanted.steps if wanted else (), dtype=np.int64),
        return_weights,
        threads,
        kernel,
        None if progress is None else lambda done: progress(done, count),
    )
    if progress is not None:
        progress(count, count)
    history: dict[str, NDArray[Any]] = {}
    if wanted:
        history = {"step": np.array(wanted.steps, dtype=np.int64), **out["history"]}
    weights = None
    if return_weights:
        parts = out["weights"]
        weights = unstacked(config, tuple(map(parts.get, Parameters._fields)), single=False)
    return TrainingResult(
        config=config,
        seeds=chosen,
        **{name: out[name] for name in _RESULTS},
        weights=weights,
        history=history,
        kernel=out["kernel"],
        given=tuple(
            name
            for name, value in zip(_GIVABLE, (initial_weights, noise_sequence), strict=True)
            if value is not None
        ),
    )


def checked_record(where: str, record: object, steps: int) -> Record:
    """A Record, from one or a pair (metrics, steps), of what happens within so many steps."""
    if not isinstance(record, Record):
        if not isinstance(record, (tuple, list)) or len(record) != 2:
            allowed = "a Record or a pair (metrics, steps)"
            raise _checks.refused(f"{where}: record", allowed, record, kind=TypeError)
        record = Record(*record)
    if record.steps[-1] > steps:
        raise ValueError(
            f"{where}: record must ask for steps <= {steps}, as many as are taken, "
            f"got {record.steps[-1]}"
        )
    return record


def seed_count(where: str, seeds: Any) -> int:
    """How many seeds, before memory is taken for them."""
    if isinstance(seeds, (int, np.integer)):
        return _checks.integer(f"{where}: seeds", seeds, (">=", 0), ("<=", 2**64))
    if not hasattr(seeds, "__len__") or getattr(seeds, "ndim", 1) != 1:
        allowed = "a count or a list of integers"
        raise _checks.refused(f"{where}: seeds", allowed, seeds, kind=TypeError)
    return len(seeds)


def seed_array(where: str, seeds: Any) -> NDArray[np.uint64]:
    """Seeds, given by their count or one by one."""
    if isinstance(seeds, (int, np.integer)):
        return np.arange(_checks.integer(f"{where}: seeds", seeds, (">=", 0)), dtype=np.uint64)
    values = _checks.integers(f"{where}: seeds", seeds, (">=", 0), ("<", 2**64))
    return np.array(values, dtype=np.uint64)


def _noise_sequence(noise: Any, config: Config, count: int) -> NDArray[Any]:
    if config.stop == "certified":
        raise ValueError("train: noise_sequence must be None with stop='certified', got noise")
    rows = (config._rows,) if config.noise_sharing == "input" else ()
    shape = (config.steps, *rows, config.n_hidden)
    return _checks.stacked("train: noise_sequence", noise, shape, config.dtype, count)


def _noise_axes(config: Config) -> int:
    """Axes of one seed's noise_sequence."""
    return 3 if config.noise_sharing == "input" else 2


def _check_memory(
    config: Config,
    model_bytes: int,
    count: int,
    threads: int,
    record: Record | None,
    return_weights: bool,
    initial_weights: object,
    noise_sequence: object,
) -> None:
    itemsize = np.dtype(config.dtype).itemsize
    per_seed = (2 - config.tied) * config.n_features * config.n_hidden * itemsize
    points = len(record.steps) * len(record.metrics) if record else 0
    busy = min(threads, count)
    _checks.memory(
        "train",
        {
            f"{busy} models in training": busy * model_bytes,
            "the results": count * (8 + sum(np.dtype(t).itemsize for t in _RESULTS.values())),
            "the initial weights": 0 if initial_weights is None else count * per_seed,
            "the returned weights": count * per_seed if return_weights else 0,
            "the noise": _checks.copied_bytes(noise_sequence, config.dtype, _noise_axes(config)),
            "the history": count * points * 8,
        },
        "use fewer seeds in one call, fewer threads or a smaller model",
    )
