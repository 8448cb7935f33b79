"""Training for experiments that need more of a seed than a study's columns.

What is recorded during training, and what an experiment takes from the trained weights before they
are thrown away.
"""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastpolysem import _checks
from fastpolysem._files import open_arrays, save_arrays
from fastpolysem.families.autoencoder.config import NUMERICS_VERSION, Config
from fastpolysem.probes import Probe, evaluate
from fastpolysem.training import Record, TrainingResult, train

if TYPE_CHECKING:
    from fastpolysem.studies import Progress, Study

Values = dict[str, NDArray[Any]]
"""Arrays by name, each with a leading axis, along which those of several parts are joined."""

# Seeds of one call: enough for the threads, few enough for their weights and for Ctrl-C.
_LEAST_SEEDS, _MOST_BYTES = 16, 2**27


@dataclass(frozen=True)
class Measured:
    """Trained seeds of some configurations, in parts of consecutive seeds."""

    parts: tuple[tuple[TrainingResult, Values], ...]
    """Results without weights, and what was taken from the weights."""
    study: Study
    """The seeds with their counts."""
    interrupted: bool = False
    """Whether it was broken off by Ctrl-C."""

    @property
    def configs(self) -> tuple[Config, ...]:
        """The configurations, in the order they were given."""
        return self.study.configs

    def _of(self, config: Config) -> list[tuple[TrainingResult, Values]]:
        return [part for part in self.parts if part[0].config.digest == config.digest]

    def count(self, config: Config) -> int:
        """Number of seeds of a configuration."""
        return sum(len(result) for result, _ in self._of(config))

    def seeds(self, config: Config) -> NDArray[np.uint64]:
        """Seeds of a configuration that did not diverge, as in `history`."""
        return np.concatenate([r.seeds[~r.diverged] for r, _ in self._of(config)])

    def value(self, config: Config, name: str) -> NDArray[Any]:
        """What was taken from the weights of a configuration, all parts in one array."""
        return np.concatenate([values[name] for _, values in self._of(config)])

    def steps(self, config: Config) -> NDArray[np.int64]:
        """(R,) the recorded steps."""
        return self._of(config)[0][0].history["step"]

    def history(self, config: Config, metric: str) -> NDArray[np.float64]:
        """(S, R) what was recorded, of the seeds that did not diverge."""
        return np.concatenate([r.history[metric][~r.diverged] for r, _ in self._of(config)])

    def save(self, folder: str | os.PathLike[str], name: str) -> None:
        """Write every part to files that `measure` takes up, under the name it was measured by."""
        home = _checks.file_path("Measured.save: folder", folder)
        for part in self.parts:
            _save(home, name, *part)


def measure(
    name: str,
    configs: Sequence[Config],
    seeds: int,
    *,
    record: Record | None = None,
    probe: Probe | None = None,
    path: str | os.PathLike[str] | None = None,
    num_threads: int | None = None,
    progress: bool | Callable[[Progress], object] | None = None,
) -> Measured:
    """Train the seeds 0 to ``seeds - 1`` of each configuration, part by part.

    Parameters
    ----------
    name
        Start of the files' names: what is recorded and probed goes by it.
    configs, seeds
        What to train.
    record
        What to record during training.
    probe
        Is given each part with its weights, and computes what to keep of them.
    path
        Folder of files from which the same call goes on.
    num_threads, progress
        As in `fastpolysem.collect`.

    Returns
    -------
    Measured
        What there is, with ``interrupted=True``, after Ctrl-C.
    """
    from fastpolysem.studies.progress import reporter

    count = _checks.integer(f"{name}: seeds", seeds, (">=", 1))
    home = None if path is None else _checks.file_path(f"{name}: path", path).absolute()
    tracker = _Tracker(dict.fromkeys(configs, count))
    try:
        with reporter(progress, "polysemantic") as report:
            for config in configs:
                stored = [] if home is None else _stored(home, name, config, count, record, probe)
                for part in stored:
                    tracker.add(*part, reused=True)
                start = sum(len(result) for result, _ in stored)
                report(tracker.record())
                while start < count:
                    size = min(_part_size(config), count - start)

                    def within(done: int, _: int, config: Config = config) -> None:
                        report(tracker.record(config, done))

                    result = train(
                        config,
                        range(start, start + size),
                        record=record,
                        return_weights=probe is not None,
                        num_threads=num_threads,
                        progress=within,
                    )
                    values = evaluate(probe, result) if probe is not None else {}
                    part = replace(result, weights=None), values
                    if home is not None:
                        _save(home, name, *part)
                    tracker.add(*part)
                    start += size
                    report(tracker.record())
    except KeyboardInterrupt:
        kept = f"; they are kept in {path}, the same call goes on" if path is not None else ""
        print(f"interrupted: {tracker.done} seeds are finished{kept}", file=sys.stderr)
        return Measured(tuple(tracker.parts), tracker.study, interrupted=True)
    return Measured(tuple(tracker.parts), tracker.study)


def _part_size(config: Config) -> int:
    """Seeds of one call of `train`, by the configuration alone."""
    from fastpolysem.studies.blocks import block_size

    bytes_of_seed = 16 * config.n_features * config.n_hidden  # twice two matrices of float32
    return max(_LEAST_SEEDS, min(block_size(config), _MOST_BYTES // bytes_of_seed))


class _Tracker:
    """How far `measure` is."""

    def __init__(self, goals: Mapping[Config, int]) -> None:
        from fastpolysem.studies import Study
        from fastpolysem.studies.progress import ConfigProgress

        self.goals = goals
        self.parts: list[tuple[TrainingResult, Values]] = []
        self.study = Study()
        self.done = self.reused = 0
        self.started = time.perf_counter()
        # A record is made many times a second: what only changes with a part is kept here.
        self._listed = {
            digest: ConfigProgress(
                config=config,
                digest=digest,
                seeds=0,
                goal=goal,
                training=0,
                diverged=0,
                mean=np.nan,
                half_width=np.nan,
                finished=goal <= 0,
            )
            for config, goal in goals.items()
            for digest in (config.digest,)
        }
        self._counts: dict[str, list[NDArray[Any]]] = {digest: [] for digest in self._listed}

    def add(self, result: TrainingResult, values: Values, reused: bool = False) -> None:
        from fastpolysem import statistics

        self.parts.append((result, values))
        self.study.add(result)
        self.done += len(result)
        self.reused += len(result) * reused
        digest = result.config.digest
        before, counts = self._listed[digest], self._counts[digest]
        counts.append(result.polysemantic[~result.diverged])
        mean = statistics.mean(np.concatenate(counts))
        seeds = before.seeds + len(result)
        self._listed[digest] = replace(
            before,
            seeds=seeds,
            diverged=before.diverged + int(result.diverged.sum()),
            mean=mean.value,
            half_width=mean.half_width,
            finished=seeds >= before.goal,
        )

    def record(self, training: Config | None = None, within: int = 0) -> Progress:
        from fastpolysem.studies.progress import Progress

        listed = [
            replace(one, training=within) if one.config is training else one
            for one in self._listed.values()
        ]
        elapsed = time.perf_counter() - self.started
        trained = self.done + within - self.reused
        speed = trained / elapsed if elapsed > 0 else 0.0
        left = sum(self.goals.values()) - self.done - within
        return Progress(
            configs=tuple(listed),
            reused=self.reused,
            seconds=elapsed,
            seeds_per_second=speed,
            seconds_left=left / speed if speed else (None if left else 0.0),
            study=self.study,
        )


def _files(folder: Path, name: str, config: Config, first: int, count: int) -> tuple[Path, Path]:
    stem = folder / config.digest / f"{name}-{first}-{count}"
    return stem.with_suffix(".npz"), stem.with_suffix(".values.npz")


def _save(folder: Path, name: str, result: TrainingResult, values: Values) -> None:
    """Write a part to two files; the second to appear makes it complete."""
    target, beside = _files(folder, name, result.config, int(result.seeds[0]), len(result))
    target.parent.mkdir(parents=True, exist_ok=True)
    save_arrays(beside, values)
    result.save(target)


def _stored(
    folder: Path,
    name: str,
    config: Config,
    count: int,
    record: Record | None,
    probe: Probe | None,
) -> list[tuple[TrainingResult, Values]]:
    """Stored parts of the first ``count`` seeds, up to the first gap."""
    pattern = re.compile(rf"{re.escape(name)}-(\d+)-(\d+)\.npz")
    home = folder / config.digest
    names: Iterable[str] = os.listdir(home) if home.is_dir() else ()
    ranges = [(int(m[1]), int(m[2])) for m in map(pattern.fullmatch, names) if m]
    found: list[tuple[TrainingResult, Values]] = []
    start = 0
    while fitting := [size for first, size in ranges if first == start and first + size <= count]:
        size = max(fitting)
        target, beside = _files(folder, name, config, start, size)
        result = TrainingResult.load(target)
        asked = np.array(record.steps if record else (), dtype=np.int64)
        if (
            result.config.digest != config.digest
            or result.numerics_version != NUMERICS_VERSION
            or set(result.history) - {"step"} != set(record.metrics if record else ())
            or not np.array_equal(result.history.get("step", np.empty(0)), asked)
            or not np.array_equal(result.seeds, np.arange(start, start + size))
        ):
            raise ValueError(
                f"{target} holds other seeds, settings or records than its name says; nothing was "
                "changed: move it away, or choose another folder"
            )
        try:
            with open_arrays(beside) as archive:
                stored = {one: archive.unpacked(one) for one in archive}
            values = _columns_of(stored, probe)
        except ValueError as error:
            raise ValueError(f"{beside} is damaged ({error}); nothing was changed") from error
        found.append((result, values))
        start += size
    return found


def _columns_of(stored: Values, probe: Probe | None) -> Values:
    """Stored values by the probe's names: files of earlier days hold some of its columns side by
    side in one array, (S, C), under a name of its own."""
    missing = [name for name in probe.columns if name not in stored] if probe else []
    values = dict(stored)
    for name in stored.keys() - {*probe.columns, *probe.arrays} if probe else ():
        if stored[name].shape[1:] == (len(missing),):
            values |= zip(missing, values.pop(name).T, strict=True)
    return values
