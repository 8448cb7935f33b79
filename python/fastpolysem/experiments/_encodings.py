"""Settings, runs and rows shared by the experiments on a single encoding."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from fastpolysem import _checks
from fastpolysem.experiments._base import Experiment, Fields, Presets, values_of

if TYPE_CHECKING:
    from concurrent.futures import Executor

    import pandas as pd
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from fastpolysem.families.autoencoder.encoding import Trajectories


@dataclass(frozen=True, kw_only=True)
class Encoding:
    """Settings of `fastpolysem.encoding.simulate`; ``l1`` is that of the flow, a quarter of
    `Config.l1`."""

    n_hidden: int
    l1: float
    init_scale: float = 0.9
    step: float = 0.5


class EncodingExperiment(Experiment[Encoding, "list[Trajectories]"]):
    """An experiment whose data are trajectories for each setting; it runs on one core and does not
    report progress."""

    PRESETS: ClassVar[Presets] = {
        # All take a second or two, except the last, which takes a minute.
        "default": {"seeds": 100, "n_hidden": 10_000, "l1": 1e-4},
        "quick": {"seeds": 20, "n_hidden": 10_000, "l1": 1e-4},
        # The published figure shows a single seed; the mean of twenty is a better test of the laws.
        "paper": {"seeds": 20, "n_hidden": 100_000, "l1": 1e-5},
        "large": {"seeds": 1000, "n_hidden": 100_000, "l1": 1e-5},
    }

    def rows(self, data: list[Trajectories]) -> pd.DataFrame:
        """One row per seed and recorded time."""
        import pandas as pd

        frames = []
        for run in data:
            count, times = run.support.shape
            columns = {
                "n_hidden": run.n_hidden,
                "l1": run.l1,
                "init_scale": run.init_scale,
                "step": run.step,
                "seed": np.repeat(run.seeds, times),
                "t": np.tile(run.t, count),
            }
            for name in ("support", "l1_norm", "squared_norm", "largest", "second"):
                columns[name] = getattr(run, name).ravel()
            frames.append(pd.DataFrame(columns))
        return pd.concat(frames, ignore_index=True)

    def _columns(
        self, data: list[Trajectories], ax: Axes | None, rows: int, **options: Any
    ) -> NDArray[Any]:
        """Axes (rows, settings) of a figure with one column per setting."""
        from fastpolysem import plots

        size = (self.FIGURE_SIZE[0] * len(data), self.FIGURE_SIZE[1])
        return plots.panels(ax, rows, len(data), size, sharex="col", **options)

    def _expanded(self, settings: Fields, changes: Fields) -> list[Encoding]:
        chosen = {**settings, **changes}
        _checks.known_names("an encoding", chosen, [field.name for field in fields(Encoding)])
        values = [values_of(value) for value in chosen.values()]
        return [
            Encoding(**dict(zip(chosen, each, strict=True))) for each in itertools.product(*values)
        ]

    def _collected(
        self,
        configs: list[Encoding],
        seeds: int,
        *,
        path: str | os.PathLike[str] | None,
        executor: Executor | None,
        **_: Any,
    ) -> list[Trajectories]:
        from fastpolysem.families.autoencoder import encoding

        count = _checks.integer("seeds", seeds, (">=", 1))
        home = None if path is None else _checks.file_path("path", path)
        files = [None if home is None else home / _file_name(each, count) for each in configs]
        stored = [file is not None and file.exists() for file in files]
        jobs = {}
        if executor is not None:
            jobs = {
                at: executor.submit(encoding.simulate, seeds=count, **asdict(setting))
                for at, setting in enumerate(configs)
                if not stored[at]
            }
        runs = []
        for at, (setting, file) in enumerate(zip(configs, files, strict=True)):
            if file is not None and stored[at]:
                runs.append(encoding.Trajectories.load(file))
                continue
            alone = at not in jobs
            runs.append(
                encoding.simulate(seeds=count, **asdict(setting)) if alone else jobs[at].result()
            )
            if file is not None:
                file.parent.mkdir(parents=True, exist_ok=True)
                runs[-1].save(file)
        return runs


def _file_name(setting: Encoding, seeds: int) -> str:
    name = "-".join(f"{key}={value}" for key, value in asdict(setting).items())
    return f"encoding-{name}-seeds={seeds}.npz"


def table_times(run: Trajectories) -> Iterator[int]:
    """Indices of the recorded times in a table: 25, including the first and the last."""
    yield from np.unique(np.linspace(0, len(run.t) - 1, 25).round().astype(int))


def band(values: Any) -> tuple[Any, Any]:
    """5th and 95th percentiles over seeds."""
    if not np.size(values):
        return [], []
    low, high = np.nanpercentile(values, (5, 95), axis=0)
    return low, high
