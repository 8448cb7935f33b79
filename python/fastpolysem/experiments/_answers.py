"""Experiments that answer a question; their data are a table with one row per seed.

Tables, verdicts and figures of these experiments need nothing else. They can therefore be made from
a stored table, and a permutation of the table is a run without the effect.
"""

from __future__ import annotations

import math
import os
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from fastpolysem import _checks
from fastpolysem._files import reading, write_output
from fastpolysem.experiments._base import (
    ONE_MATRIX,
    Experiment,
    Setting,
    Training,
    TrainingExperiment,
    check_distinguished,
    measure,
    values_of,
    with_interval,
)
from fastpolysem.experiments._verdicts import (
    INCONCLUSIVE,
    Comparison,
    Verdict,
    compared,
    left_open,
    verdict_of,
)
from fastpolysem.families.autoencoder.config import Config

if TYPE_CHECKING:
    import pandas as pd

    from fastpolysem.probes import Bounds, Probe
    from fastpolysem.statistics import Estimate
    from fastpolysem.studies import Study

COUNTS = ("polysemantic", "malign", "signed_slots", "dead", "unrepresented", "loss")
"""Columns of `fastpolysem.TrainingResult` in every table of answers about autoencoders."""

OPTIMIZERS = {"adamw": "AdamW", "sgd": "SGD"}
"""The two that questions about the autoencoder compare, as they are written."""


def at_usual_rates(changes: Mapping[str, Any]) -> tuple[dict[str, Any], ...]:
    """Fields of both, with the learning rates of most questions that train until a certified stop;
    none if the changes give either field."""
    if changes.keys() & {"optimizer", "learning_rate"}:
        return ({},)
    rates = {"adamw": 1e-3, "sgd": 0.06}
    return tuple({"optimizer": name, "learning_rate": rate} for name, rate in rates.items())


_WRITTEN = {**OPTIMIZERS, "adam": "Adam"}


def written(optimizer: str) -> str:
    """The name of an optimiser as it is written, given the value of the setting, which a comma may
    follow."""
    name, *rest = optimizer.split(", ")
    return ", ".join([_WRITTEN.get(name, name), *rest])


def size_and_optimizer(setting: Mapping[str, Any], rows: pd.DataFrame | None = None) -> str:
    """How tests name the size and the optimiser of a setting, and what else tells it from others of
    the rows."""
    size = "n = {n_features}, m = {n_hidden}".format(**setting)
    more = "" if rows is None else apart(setting, rows, ("n_features", "n_hidden", "optimizer"))
    return f"{size}, {written(setting['optimizer'])}{more}"


_SYMBOLS = {
    "n_features": "n",
    "n_hidden": "m",
    "l1": "λ",
    "features": "F",
    "neurons": "N",
    "strength": "λ√m",
}


def apart(setting: Mapping[str, Any], rows: pd.DataFrame, named: Sequence[str]) -> str:
    """What tells a setting from others of the rows with the same values of the labels ``named``, to
    be added to its name; nothing if these suffice."""
    alike = rows
    for name in named:
        alike = alike[alike[name] == setting[name]]
    parts = []
    for name, value in setting.items():
        if alike[name].nunique() < 2:
            continue
        said = value if isinstance(value, str) else f"{value:g}"
        symbol = _SYMBOLS.get(name, name.replace("_", " "))
        parts.append(written(said) if name == "optimizer" else f"{symbol} = {said}")
    return "".join(f", {part}" for part in parts)


@dataclass(frozen=True)
class Answers:
    """The data of an experiment that answers a question."""

    rows: pd.DataFrame
    """One row per seed of a configuration: the labels of the configuration, ``seed``, ``diverged``,
    results (-1 and nan for diverged seeds) and probed values."""
    interrupted: bool = False
    """Whether it was interrupted by Ctrl-C."""

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Answers:
        """Read the answers whose rows were written to a Parquet file."""
        from fastpolysem._parquet import read_table

        with reading(_checks.file_path("Answers.read: path", path)) as file:
            return cls(read_table(file).to_pandas())

    @property
    def valid(self) -> pd.DataFrame:
        """The rows of seeds that did not diverge."""
        return self.rows[~self.rows["diverged"]]

    def where(self, **labels: Any) -> pd.DataFrame:
        """The valid rows with these labels, by ascending seed."""
        kept = ~self.rows["diverged"]
        for name, value in labels.items():
            kept &= self.rows[name] == value
        return self.rows[kept].sort_values("seed")


def _listed(values: pd.Series[Any]) -> str:
    """The values that occur, or the least and the largest of many."""
    texts = [f"{one:.4g}" for one in sorted(values.dropna().unique())]
    return f"{texts[0]} to {texts[-1]}" if len(texts) > 6 else together(texts)


def together(texts: Sequence[str]) -> str:
    """A list in words: a, b and c."""
    return ", ".join(texts[:-1]) + " and " + texts[-1] if len(texts) > 1 else texts[0]


class Question(Experiment[Setting, Answers]):
    """An experiment on a question answered by statistical tests."""

    LABELS: ClassVar[tuple[str, ...]]
    """Columns that distinguish configurations."""
    METRICS: ClassVar[tuple[str, ...]]
    """Columns whose means the table shows."""
    METHOD: ClassVar[str]
    """Which tests the verdict is based on, and of what."""
    OPEN: ClassVar[str] = ""
    """What inconclusive tests leave open, after "as to"; if empty, `say` phrases it."""
    SEEN: ClassVar[Mapping[str, str]] = {}
    """Settings that its sentence does not tell: symbols, and the labels that they stand for."""
    OPTIMIZER: ClassVar[str] = ""
    """The optimiser, if it is no label."""

    @abstractmethod
    def labels(self, config: Setting) -> Mapping[str, Any]:
        """The values of the columns `LABELS` of a configuration."""

    def configs(self, preset: str = "default", **changes: Any) -> list[Setting]:
        """The configurations of a preset, which differ in their labels."""
        configs = super().configs(preset, **changes)
        keys = [tuple(map(self.labels(one).get, self.LABELS)) for one in configs]
        check_distinguished(self.NAME, self.LABELS, keys, configs, changes)
        return configs

    def rows(self, data: Answers) -> pd.DataFrame:
        """One row per seed."""
        return data.rows

    def table(self, data: Answers) -> pd.DataFrame:
        """Means with 95 % intervals, one row per configuration."""
        return summary(data, self.LABELS, self.METRICS, self.bounds())

    def bounds(self) -> Mapping[str, Bounds | None]:
        """The bounds of columns, within which confidence intervals of their means stay."""
        columns = {} if self.PROBE is None else self.PROBE.columns
        return {name: column.bounds for name, column in columns.items()}

    def settings(
        self, rows: pd.DataFrame, labels: Sequence[str] | None = None
    ) -> Iterator[tuple[dict[str, Any], pd.DataFrame]]:
        """The rows of each setting, with the labels (these, or all) that they share."""
        names = list(self.LABELS if labels is None else labels)
        for key, group in rows.groupby(names, sort=False, dropna=False):
            yield dict(zip(names, key, strict=True)), group

    def verdict(self, data: Answers) -> Verdict:
        """The outcome of the experiment's tests, with a sentence and where it was seen."""
        tests = self.tests(data)
        known = any(math.isfinite(test.p_value) for test in tests)
        say = partial(self.sentence, data) if known else _untested
        verdict = verdict_of(tests, self.METHOD, say)
        if not verdict.sentence.strip(" .;"):
            said = f"At settings other than those of its page, the verdict is {verdict.outcome}."
            verdict = replace(verdict, sentence=said)
        compared = self.in_tests(data.rows)
        seen = "; and ".join(self._seen(compared if len(compared) else data.rows))
        tested = f" Tested {seen}." if seen else ""
        return replace(verdict, sentence=f"{verdict.sentence}{tested}")

    def in_tests(self, rows: pd.DataFrame) -> pd.DataFrame:
        """The rows of settings that occur in `tests`; by default all."""
        return rows

    def _seen(self, rows: pd.DataFrame) -> Iterator[str]:
        """At which settings a verdict was seen, and with which optimisers each of them."""
        parts = [(self.OPTIMIZER, rows)]
        if self.SEEN and "optimizer" in self.LABELS:
            parts = [(written(name), part) for name, part in rows.groupby("optimizer")]
        optimizers: dict[str, list[str]] = {}
        for optimizer, part in parts:
            where = [f"{symbol} = {_listed(part[name])}" for symbol, name in self.SEEN.items()]
            optimizers.setdefault("; ".join(where), []).append(optimizer)
        for settings, names in optimizers.items():
            at = f"at {settings}" if settings else ""
            using = f"with {together(names)}" if any(names) else ""
            yield f"{at} {using}".strip()

    @abstractmethod
    def tests(self, data: Answers) -> list[Comparison]:
        """The primary tests."""

    def sentence(self, data: Answers, outcome: str, judged: pd.DataFrame) -> str:
        """The outcome of all tests in ``judged``."""
        if outcome == INCONCLUSIVE and self.OPEN:
            return f"The tests are {outcome} as to {self.OPEN}."
        return self.say(data, outcome, judged)

    @abstractmethod
    def say(self, data: Answers, outcome: str, judged: pd.DataFrame) -> str:
        """`sentence`, but for inconclusive outcomes of questions with `OPEN`."""

    def tables(self, data: Answers) -> dict[str, str]:
        """Markdown tables of the experiment's page, by the name of their place on it."""
        return {}

    def write(self, data: Answers, folder: str | os.PathLike[str]) -> str:
        """Write table, rows, figure and verdict to a folder, and return the verdict."""
        super().write(data, folder)
        verdict = f"{self.verdict(data)}\n"
        path = Path(folder) / f"{self.NAME}-verdict.txt"
        write_output(path, lambda file: file.write(verdict.encode("utf-8")))
        return f"\n{verdict}"


def _untested(outcome: str, judged: pd.DataFrame) -> str:
    return (
        "No test is possible: too few seeds are left, or a setting that the tests compare is "
        "missing."
    )


class AutoencoderQuestion(Question[Config], TrainingExperiment[Answers]):
    """A question about autoencoders."""

    COLUMNS: ClassVar[tuple[str, ...]] = ()
    """Result columns of a study to include besides `COUNTS`; with ``steps_taken`` comes
    ``finished``, whether training stopped before its last step (certified stop)."""
    MOST: ClassVar[Mapping[int, int]] = {}
    """Largest number of seeds of costly sizes, by number of features."""
    ALLOWED = ONE_MATRIX

    def most(self, config: Config, seeds: int) -> int:
        """How many of this many seeds a configuration gets."""
        return min(seeds, self.MOST.get(config.n_features, seeds))

    def labels(self, config: Config) -> dict[str, Any]:
        """Fields of `Config`, or whatever an experiment uses instead."""
        return {name: getattr(config, name) for name in self.LABELS if hasattr(config, name)}

    def training(self, configs: list[Config], seeds: int) -> Training:
        """Configurations by their number of seeds, `most`."""
        counts = [self.most(config, seeds) for config in configs]
        return [
            ([one for one, own in zip(configs, counts, strict=True) if own == count], count)
            for count in dict.fromkeys(counts)
        ]

    def _collected(self, configs: list[Config], seeds: int, **options: Any) -> Answers:
        parts = []
        for chosen, count in self.training(configs, seeds):
            record = self.record(chosen)
            parts.append(
                self._data(measure(chosen, count, probe=self.PROBE, record=record, **options))
            )
            if parts[-1].interrupted:
                break
        rows = joined([part.rows for part in parts], self.LABELS)
        return Answers(rows, parts[-1].interrupted)

    def _data(self, study: Study) -> Answers:
        frames = []
        for config in study.configs:
            said = self.labels(config)
            labels = {name: said[name] for name in self.LABELS}
            columns = (*COUNTS, *self.COLUMNS)
            frames.append(rows_of(study, config, labels, columns, self.PROBE))
            if "steps_taken" in columns:
                frames[-1]["finished"] = frames[-1]["steps_taken"] < config.steps
        return Answers(joined(frames, self.LABELS), study.interrupted)


def rows_of(
    study: Study,
    config: Any,
    labels: Mapping[str, Any],
    columns: Sequence[str],
    probe: Probe | None = None,
) -> pd.DataFrame:
    """The rows of one configuration: labels, ``seed``, ``diverged``, columns and probed values; -1
    for counts of diverged seeds."""
    import pandas as pd

    rows = study.seeds(config)
    found: dict[str, Any] = dict(labels)
    found |= {"seed": rows["seed"].astype(np.int64), "diverged": rows["diverged"]}
    for name in columns:
        missing = rows[name].dtype.kind != "f"  # counts of diverged seeds
        found[name] = rows[name].fillna(-1).astype(np.int64) if missing else rows[name]
    if probe is not None:
        found |= {name: study.probed(config, name) for name in probe.columns}
    return pd.DataFrame(found, index=rows.index)


def joined(frames: Sequence[pd.DataFrame], labels: Sequence[str]) -> pd.DataFrame:
    """The rows of all configurations, in the smallest types with sufficient precision."""
    import pandas as pd

    rows = pd.concat(frames, ignore_index=True)
    for column in rows.columns:
        if rows[column].dtype == np.float64 and column not in labels:
            rows[column] = rows[column].astype(np.float32)
        elif rows[column].dtype == np.int64 and rows[column].abs().max() < 2**15:
            rows[column] = rows[column].astype(np.int16)
    return rows


def summary(
    data: Answers,
    labels: Sequence[str],
    metrics: Sequence[str],
    bounds: Mapping[str, Bounds | None] | None = None,
) -> pd.DataFrame:
    """Means over seeds, one row per configuration.

    ``seeds`` and ``diverged`` are counts; each metric is followed by the ends of its 95 % interval,
    which stays within the column's bounds.
    """
    import pandas as pd

    means = []
    for key, group in data.rows.groupby(list(labels), sort=False, dropna=False):
        row: dict[str, Any] = dict(zip(labels, key, strict=True))
        valid = group[~group["diverged"]]
        row |= {"seeds": len(group), "diverged": len(group) - len(valid)}
        for metric in metrics:
            row |= with_interval(metric, _mean(valid[metric], (bounds or {}).get(metric)))
        means.append(row)
    return pd.DataFrame(means)


def with_scales(means: pd.DataFrame) -> pd.DataFrame:
    """A table of autoencoders with λ√m as ``strength`` and, where the learning rate is a label, its
    product with √m as ``pace``: the scales of initial weights."""
    root = np.sqrt(means["n_hidden"])
    scales = {"strength": means["l1"] * root}
    if "learning_rate" in means:
        scales["pace"] = means["learning_rate"] * root
    return means.assign(**scales)


def name_of(
    config: Config, ways: Mapping[str, Mapping[str, Any]], usual: Mapping[str, Any]
) -> str | None:
    """The name of the way in which a configuration is trained, judged by its optimiser and the
    fields in ``usual``, which contains their default values."""
    for name, way in ways.items():
        fields = {**usual, **way}
        if all(getattr(config, field) == fields[field] for field in ("optimizer", *usual)):
            return name
    return None


def pairs(first: pd.DataFrame, second: pd.DataFrame, column: str) -> tuple[Any, Any]:
    """Values of the seeds present in both, in the same order, without those that are nan.

    Raises
    ------
    ValueError
        If a seed has several rows, which belong to different settings.
    """
    seeds, values = [], []
    for part in (first, second):
        value = part[column].to_numpy(dtype=np.float64)
        known = ~np.isnan(value)
        seeds.append(part["seed"].to_numpy()[known])
        values.append(value[known])
    if any(np.unique(one).size < one.size for one in seeds):
        raise ValueError(f"{column}: each seed must have one row on either side")
    _, *places = np.intersect1d(seeds[0], seeds[1], assume_unique=True, return_indices=True)
    return values[0][places[0]], values[1][places[1]]


def _mean(column: pd.Series[Any], bounds: Bounds | None = None) -> Estimate:
    """The mean of the finite values. If they are equal shares, the interval is what this many seeds
    could have missed, because Student's has zero length and they are not counts."""
    from fastpolysem.statistics import Estimate, mean

    values = column.to_numpy(dtype=np.float64)
    values = values[np.isfinite(values)]
    if column.dtype.kind == "i" or len(values) < 2 or np.ptp(values):
        return mean(values, bounds=bounds)
    value, half = float(values[0]), left_open(len(values))
    if not 0 <= value <= 1:
        return mean(values, bounds=bounds)
    return Estimate(value, max(0.0, value - half), min(1.0, value + half))


def named_ways(
    ways: Mapping[str, dict[str, Any]], settings: dict[str, Any], changes: dict[str, Any]
) -> list[dict[str, Any]]:
    """The ways to train named by the setting ``ways``, or all; if the optimiser is given, only that
    one."""
    names = {"ways": list(ways), **settings, **changes}["ways"]
    for given in (settings, changes):
        given.pop("ways", None)
    if "optimizer" in changes:
        return [{}]
    return [ways[_checks.choice("ways", name, ways)] for name in values_of(names)]


def sized(
    ways: Sequence[Mapping[str, Any]], settings: dict[str, Any], changes: dict[str, Any]
) -> list[dict[str, Any]]:
    """Each way to train at each size ``(n_features, n_hidden)`` in the setting ``sizes``; if the
    changes give a size, each way alone."""
    sizes = {"sizes": (), **settings, **changes}["sizes"]
    for given in (settings, changes):
        given.pop("sizes", None)
    both = {"n_features", "n_hidden"}
    if changes.keys() & both:
        if lacking := both - settings.keys() - changes.keys():
            (given_size,) = both - lacking
            raise ValueError(f"{lacking.pop()} must be given with {given_size}")
        return [dict(way) for way in ways]
    return [{**way, "n_features": n, "n_hidden": m} for n, m in sizes for way in ways]


def compared_by_seed(
    name: str,
    first: pd.DataFrame,
    second: pd.DataFrame,
    column: str,
    margin: float,
    *,
    relative: bool = True,
) -> Comparison:
    """Compare the mean of a column in two settings, using the seeds present in both."""
    a, b = pairs(first, second, column)
    return compared(name, a, b, margin, paired=True, relative=relative)


def estimate_of(row: pd.Series[Any], name: str) -> tuple[float, float, float]:
    """A mean in a row of a table, with the ends of its interval."""
    return row[name], row[f"{name}_low"], row[f"{name}_high"]
