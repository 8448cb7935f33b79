"""Training, validation and test rows, and statistics over repeated splits.

Networks that differ only in their seed see the same rows, so they are not replicates of the data.
Replicates here are splits of one data set, whose training rows overlap, or newly drawn data sets.
"""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastpolysem import _checks
from fastpolysem.experiments._verdicts import Comparison, left_open
from fastpolysem.families.network import datasets
from fastpolysem.families.network.dataset import Dataset

if TYPE_CHECKING:
    import pandas as pd

    from fastpolysem.statistics import Estimate

FIRST = 1000
"""Seed of the first split; lower ones were examined before the experiments were planned."""


class Source(NamedTuple):
    """A data set with many splits."""

    title: str
    seeds_per_split: int
    """Number of consecutive seeds that train on the same rows."""
    overlap: float
    """Ratio of test to training rows if splits draw both from the same rows; 0 for splits without
    common rows."""


SOURCES = {
    "digits": Source("digits", 4, 269 / 1258),
    "mnist1d": Source("MNIST-1D", 1, 0.0),
    "mnist1d_sums": Source("sums of templates", 1, 0.0),
}


@functools.lru_cache(maxsize=64)
def split_of(data: str, number: int) -> Dataset:
    """The rows of a split, in batches of 100.

    The first half of the held-out rows is for validation, the second for testing: 15 % each of the
    digits, and for the generated data sets 3125 newly drawn rows each.
    """
    seed = FIRST + number
    if _checks.choice("data", data, SOURCES) == "digits":
        given = datasets.digits(held_out=0.3, seed=seed)
        assert given.held_out is not None
        rows, classes = given.held_out
        # Neighbours in this order have the same class, so both halves have equal class shares.
        order = np.argsort(classes, kind="stable")
        order = np.concatenate([order[::2], order[1::2]])
        held = rows.to_dense()[order], classes[order]
        return Dataset(given.inputs, given.targets, 100, held_out=held)
    generate: Any = getattr(datasets, data)
    given = generate(seed=seed)
    fresh = generate(samples=6250, seed=10**6 + seed)
    assert fresh.held_out is not None
    inputs = np.vstack([fresh.inputs.to_dense(), fresh.held_out[0].to_dense()])
    held = inputs, np.concatenate([fresh.targets, fresh.held_out[1]])
    return Dataset(given.inputs, given.targets, 100, held_out=held)


def differences(
    means: pd.DataFrame, data: str, h: int, arm: str, pair: tuple[str, str], column: str
) -> NDArray[np.float64]:
    """A column's difference, first minus second, of the splits that have both.

    Parameters
    ----------
    means
        One row per split, data set, width ``n_hidden`` and arm.
    data, h
        The data set and the width.
    arm, pair
        The column that names arms, and the two to compare.
    column
        The column to subtract.
    """
    here = means[(means["data"] == data) & (means["n_hidden"] == h)].set_index("split")
    first, second = (here.loc[here[arm] == one, column] for one in pair)
    both = first.index.intersection(second.index)
    result: NDArray[np.float64] = first[both].to_numpy(float) - second[both].to_numpy(float)
    return result


def over_splits(values: ArrayLike, overlap: float) -> tuple[Estimate, float]:
    """Mean over splits with its 95 % interval, and the p-value of the mean 0.

    This is the corrected resampled t-test of Nadeau and Bengio (Machine Learning 52, 239, 2003):
    Student's t with variance ``(1/J + overlap) s²`` for J splits that share rows.

    Parameters
    ----------
    values
        (J,) one value per split.
    overlap
        As in `Source`.

    Returns
    -------
    Estimate and p-value, nan for fewer than two splits.
    """
    from scipy import stats

    from fastpolysem.statistics import Estimate

    x = np.asarray(values, dtype=np.float64)
    if x.size < 2:
        return Estimate(float(x.mean()) if x.size else math.nan, math.nan, math.nan), math.nan
    center = float(x.mean())
    error = math.sqrt((1 / x.size + overlap) * x.var(ddof=1))
    if error == 0:
        return Estimate(center, center, center), math.nan
    half = stats.t.ppf(0.975, x.size - 1) * error
    p_value = 2 * float(stats.t.sf(abs(center) / error, x.size - 1))
    return Estimate(center, center - half, center + half), p_value


def compared_over_splits(
    name: str, differences: ArrayLike, overlap: float, margin: float, unit: float
) -> Comparison:
    """Test whether the mean difference over splits is 0; if all are equal, up to a share
    `left_open` of the splits could differ by one ``unit``."""
    from fastpolysem.statistics import Estimate

    x = np.asarray(differences, dtype=np.float64)
    found, p_value = over_splits(x, overlap)
    if x.size > 1 and not np.ptp(x):
        half = unit * left_open(x.size)
        found = Estimate(found.value, found.value - half, found.value + half)
        p_value = float(found.value == 0)
    return Comparison(name, found, p_value, margin)
