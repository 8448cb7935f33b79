"""Data of experiments that answer a question: a table with one row a seed, and nothing else.

Tables, verdicts and figures of these experiments need no more than that, so that they can be made
from a stored table as well, and a permutation of the table is a run without the effect.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastpolysem.config import Config
from fastpolysem.experiments import measured_of

if TYPE_CHECKING:
    import pandas as pd

    from fastpolysem.experiments._measured import Measured
    from fastpolysem.statistics import Estimate
    from fastpolysem.training import Record, TrainingResult

COUNTS = ("polysemantic", "malign", "signed_slots", "dead", "unrepresented", "loss")
"""Columns of every table of answers, with those of `fastpolysem.TrainingResult`; -1 and nan in
diverged seeds."""


@dataclass(frozen=True)
class Answers:
    """What an experiment on a question found."""

    rows: pd.DataFrame
    """One row a seed of a configuration: what tells configurations apart, ``seed``, ``diverged``,
    `COUNTS` and what else was taken."""
    interrupted: bool = False
    """Whether it was broken off by Ctrl-C."""

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Answers:
        """The answers whose rows were written to a Parquet file."""
        import pandas as pd

        return cls(pd.read_parquet(path))

    @property
    def valid(self) -> pd.DataFrame:
        """The rows of seeds that did not diverge."""
        return self.rows[~self.rows["diverged"]]

    def where(self, **labels: Any) -> pd.DataFrame:
        """The valid rows with these labels, by ascending seed."""
        found = self.valid
        for name, value in labels.items():
            found = found[found[name] == value]
        return found.sort_values("seed")


class Question(NamedTuple):
    """The functions that experiments on a question have in common."""

    configs: Callable[..., list[Config]]
    run: Callable[..., Answers]
    rows: Callable[[Answers], pd.DataFrame]


def question(
    name: str,
    presets: Mapping[str, Mapping[str, Any]],
    label: Callable[[Config], dict[str, Any]],
    *,
    take: Callable[[TrainingResult], dict[str, NDArray[Any]]] | None = None,
    record: Callable[[Sequence[Config]], Record] | None = None,
    configs: Callable[..., list[Config]] | None = None,
) -> Question:
    """``configs``, ``run`` and ``rows`` of an experiment.

    Parameters
    ----------
    name, presets
        The experiment's ``NAME`` and ``PRESETS``.
    label
        What tells a configuration from the others.
    take
        Is given the results with weights and returns (S,) arrays, further columns of the table.
    record
        What to record during training; `take` finds it in the results.
    configs
        Its own, if they are not all combinations of a preset's settings.
    """
    listed_by, measured = measured_of(name, presets, take, configs=configs, record=record)

    def run(preset: str = "default", **arguments: Any) -> Answers:
        """Train what is missing in ``path``, or everything without one."""
        data = measured(preset, **arguments)
        return Answers(_tidy(data, label), data.interrupted)

    def rows(data: Answers) -> pd.DataFrame:
        """One row a seed."""
        return data.rows

    return Question(listed_by, run, rows)


def _tidy(data: Measured, label: Callable[[Config], dict[str, Any]]) -> pd.DataFrame:
    import pandas as pd

    frames = []
    for result, values in data.parts:
        columns: dict[str, Any] = dict(label(result.config))
        columns |= {"seed": result.seeds.astype(np.int64), "diverged": result.diverged}
        columns |= {column: getattr(result, column) for column in COUNTS}
        frames.append(pd.DataFrame({**columns, **values}, index=range(len(result))))
    if not frames:
        return pd.DataFrame()
    rows = pd.concat(frames, ignore_index=True)
    for column in rows.columns:  # what takes place on a disk, within the precision that matters
        if rows[column].dtype == np.float64 and column not in label(data.configs[0]):
            rows[column] = rows[column].astype(np.float32)
        elif rows[column].dtype == np.int64 and rows[column].abs().max() < 2**15:
            rows[column] = rows[column].astype(np.int16)
    return rows


def summary(data: Answers, labels: Sequence[str], metrics: Sequence[str]) -> pd.DataFrame:
    """Means over seeds, one row a configuration.

    ``seeds`` and ``diverged`` count, each metric is followed by the ends of its 95 % interval.
    """
    import pandas as pd

    listed = []
    for key, group in data.rows.groupby(list(labels), sort=False, dropna=False):
        row: dict[str, Any] = dict(zip(labels, key, strict=True))
        valid = group[~group["diverged"]]
        row |= {"seeds": len(group), "diverged": len(group) - len(valid)}
        for metric in metrics:
            row |= with_interval(metric, _mean(valid[metric]))
        listed.append(row)
    return pd.DataFrame(listed)


def with_interval(name: str, estimate: Estimate) -> dict[str, float]:
    """Three columns of a table."""
    return {name: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}


def name_of(
    config: Config, ways: Mapping[str, Mapping[str, Any]], usual: Mapping[str, Any]
) -> str | None:
    """The name of the way to train that a configuration follows, by its optimiser and the fields in
    ``usual``, which holds what they are where a way does not say."""
    for name, way in ways.items():
        fields = {**usual, **way}
        if all(getattr(config, field) == fields[field] for field in ("optimizer", *usual)):
            return name
    return None


def pairs(first: pd.DataFrame, second: pd.DataFrame, column: str) -> tuple[Any, Any]:
    """Values of the seeds that both have, in one order."""
    a, b = (part.set_index("seed")[column].astype(float) for part in (first, second))
    both = a.index.intersection(b.index)
    return a.loc[both].to_numpy(), b.loc[both].to_numpy()


def _mean(column: pd.Series[Any]) -> Estimate:
    """The mean of the finite values; of shares that are all the same, with the interval that so
    many seeds leave open, since Student's has no length and they are no counts."""
    from fastpolysem.statistics import Estimate, mean

    values = column.to_numpy(dtype=np.float64)
    values = values[np.isfinite(values)]
    if column.dtype.kind == "i" or len(values) < 2 or np.ptp(values):
        return mean(values)
    value, open_ = float(values[0]), 1 - 0.025 ** (1 / len(values))
    if not 0 <= value <= 1:
        return mean(values)
    return Estimate(value, max(0.0, value - open_), min(1.0, value + open_))
