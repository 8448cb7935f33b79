"""Comparisons of two groups of seeds."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special  # scipy.stats takes a second to import

from fastpolysem import _checks
from fastpolysem.statistics import wording
from fastpolysem.statistics.dispersions import possible
from fastpolysem.statistics.estimates import (
    Estimate,
    checked_confidence,
    checked_values,
    least_value,
    without_spread,
)

_TESTS = {"welch": "Welch's t test", "paired": "paired t test"}


@dataclass(frozen=True, repr=False)
class Comparison:
    """Difference between two settings.

    Attributes
    ----------
    difference
        Mean of the first minus mean of the second, with its confidence interval.
    p_value
        Two-sided p-value of no difference. If no value varies, it is that of a permutation test;
        nan if in addition there is no difference.
    effect_size
        Cohen's d: the difference in units of the pooled standard deviation or, for paired values,
        of the standard deviation of the differences. nan if no value varies.
    test
        "welch" or "paired".
    """

    difference: Estimate
    p_value: float
    effect_size: float
    test: str

    def __str__(self) -> str:
        size, low, high = self.difference.rounded
        effect = "" if math.isnan(self.effect_size) else f", Cohen's d = {self.effect_size:.2g}"
        return (
            f"difference of means {size}, interval {low} to {high} "
            f"({_TESTS[self.test]}, p = {self.p_value:.2g}{effect})"
        )

    def __repr__(self) -> str:
        return f"<Comparison: {self}>"

    def _repr_html_(self) -> str:
        """A table, for notebooks."""
        size, low, high = self.difference.rounded
        shown = {
            "difference": size,
            "interval": f"{low} … {high}",
            "p": f"{self.p_value:.2g}",
            "Cohen's d": f"{self.effect_size:.2g}",
            "test": _TESTS[self.test],
        }
        return wording.table([shown])


def compare(
    first: ArrayLike,
    second: ArrayLike,
    *,
    paired: bool = False,
    seeds: tuple[ArrayLike, ArrayLike] | None = None,
    confidence: float = 0.95,
) -> Comparison:
    """Compare the means of two settings, by Welch's t test or pairwise by seed.

    Settings with the same shape (n, m) start from the same weights at the same seed. Pair them to
    remove the variation between seeds.

    Parameters
    ----------
    first, second
        Shapes (S,) and (T,), at least two numbers each; ``S = T`` if paired by position.
    paired
        Whether values at the same position belong together. If diverged seeds were removed from
        either, positions no longer match: pass ``seeds`` instead.
    seeds
        The seeds of both, shapes (S,) and (T,), without duplicates. Values of the same seed are
        paired, in any order; seeds present in only one of the two are ignored.
    confidence
        Coverage of the confidence interval of the difference.

    Returns
    -------
    Comparison
        If no value (or, when paired, no difference) varies, the interval is derived from those that
        `mean` returns for values without spread.
    """
    a, b = checked_values("compare: first", first), checked_values("compare: second", second)
    level = checked_confidence(confidence)
    if seeds is not None:
        a, b = _matched(a, b, seeds)
        paired = True
    if min(a.size, b.size) < 2:
        held = "two or more values" + (" of the same seeds" if seeds is not None else "")
        raise ValueError(f"compare: first and second must hold {held}, got {a.size} and {b.size}")
    if paired and a.size != b.size:
        raise ValueError(
            f"compare: first and second must have equal lengths to be paired, "
            f"got {a.size} and {b.size}"
        )
    test = "paired" if paired else "welch"
    gap = float(a.mean() - b.mean())
    if not np.ptp(a - b if paired else np.concatenate((a - a[0], b - b[0]))):
        return _without_variation(a, b, paired, level)
    from scipy import stats

    if paired:
        spread = float((a - b).std(ddof=1))
        result = stats.ttest_rel(a, b)
    else:
        variances = (a.size - 1) * a.var(ddof=1) + (b.size - 1) * b.var(ddof=1)
        spread = math.sqrt(variances / (a.size + b.size - 2))
        result = stats.ttest_ind(a, b, equal_var=False)
    interval = result.confidence_interval(level)
    return Comparison(
        Estimate(gap, float(interval.low), float(interval.high)),
        possible(float(result.pvalue)),
        gap / spread,
        test,
    )


def _matched(
    a: NDArray[np.float64], b: NDArray[np.float64], seeds: tuple[ArrayLike, ArrayLike]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The values of the seeds present in both, by ascending seed."""
    try:
        one, other = (np.asarray(each) for each in seeds)
    except (TypeError, ValueError):
        raise _checks.refused(
            "compare: seeds", "a pair of 1-d arrays of whole numbers", seeds, kind=TypeError
        ) from None
    for own, values, name in ((one, a, "first"), (other, b, "second")):
        if own.shape != values.shape or len(np.unique(own)) != own.size:
            allowed = f"{values.size} different seeds for the values of {name}"
            raise _checks.refused("compare: seeds", allowed, own)
    _, at, there = np.intersect1d(one, other, assume_unique=True, return_indices=True)
    return a[at], b[there]


def _without_variation(
    a: NDArray[np.float64], b: NDArray[np.float64], paired: bool, level: float
) -> Comparison:
    """Compare values when every value of a setting, or every paired difference, is the same."""
    if paired:
        difference = without_spread(a.size, float(a[0] - b[0]), level, -math.inf, math.inf)
        chance = 2.0 ** (1 - a.size)  # of all differences having the same sign
    else:
        one, other = (without_spread(c.size, float(c[0]), level, *least_value(c)) for c in (a, b))
        gap = one.value - other.value
        # Zou & Donner (Statist. Med. 27, 1693, 2008): interval of a difference from two intervals.
        down = math.hypot(one.value - one.low, other.high - other.value)
        up = math.hypot(one.high - one.value, other.value - other.low)
        difference = Estimate(gap, gap - down, gap + up)
        total = a.size + b.size
        # All divisions of the values into two such samples; with equal sizes, two divisions are
        # this extreme.
        ways = special.gammaln(total + 1) - special.gammaln([a.size + 1, b.size + 1]).sum()
        chance = math.exp(-ways) * (2 if a.size == b.size else 1)
    p_value = possible(chance) if difference.value else math.nan
    return Comparison(difference, p_value, math.nan, "paired" if paired else "welch")
