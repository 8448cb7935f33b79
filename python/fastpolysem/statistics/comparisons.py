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
    rounding,
    t_quantile,
    unit,
    varies,
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
        Two-sided p-value of no difference. If no value varies by more than rounding, it is that of
        a permutation test; nan if in addition there is no difference.
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
        If no value (or, when paired, no difference) varies by more than rounding, the interval is
        derived from those that `mean` returns for values without spread.
    """
    a, b = checked_values("compare: first", first), checked_values("compare: second", second)
    level, paired = checked_confidence(confidence), _checks.flag("compare: paired", paired)
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
    size = unit(a, b)
    one, other = a / size, b / size
    if paired:
        alike = float(np.ptp(one - other)) <= rounding(one, other)
    else:
        alike = not (varies(one) or varies(other)) or not one.var() + other.var()
    if alike:
        return _without_variation(a, b, paired, level)
    return _by_t(one, other, paired, level, size)


def _by_t(
    a: NDArray[np.float64], b: NDArray[np.float64], paired: bool, level: float, size: float
) -> Comparison:
    """The t test of values in units of ``size``."""
    gap = float(a.mean() - b.mean())
    if paired:
        variance = float((a - b).var(ddof=1))
        spread, error, freedom = math.sqrt(variance), math.sqrt(variance / a.size), a.size - 1.0
    else:
        one, other = float(a.var(ddof=1)), float(b.var(ddof=1))
        pooled = ((a.size - 1) * one + (b.size - 1) * other) / (a.size + b.size - 2)
        one, other = one / a.size, other / b.size
        spread, error = math.sqrt(pooled), math.sqrt(one + other)
        share = one / (one + other)
        freedom = 1 / (share**2 / (a.size - 1) + (1 - share) ** 2 / (b.size - 1))
    half = t_quantile((1 + level) / 2, freedom) * error
    p_value = possible(2 * float(special.stdtr(freedom, -abs(gap) / error)))
    difference = Estimate(gap, gap - half, gap + half).scaled(size)
    return Comparison(difference, p_value, gap / spread, "paired" if paired else "welch")


def _matched(
    a: NDArray[np.float64], b: NDArray[np.float64], seeds: tuple[ArrayLike, ArrayLike]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The values of the seeds present in both, by ascending seed."""
    try:
        pair = tuple(seeds)
    except TypeError:
        pair = ()
    if isinstance(seeds, str) or len(pair) != 2:
        allowed = "a pair of lists of integers"
        raise _checks.refused("compare: seeds", allowed, seeds, kind=TypeError)
    found = []
    for i, (given, values, name) in enumerate(zip(pair, (a, b), ("first", "second"), strict=True)):
        numbers = _checks.integers(f"compare: seeds[{i}]", given, (">=", 0), ("<", 2**64))
        own = np.array(numbers, dtype=np.uint64)  # of one type, as mixed ones become floats
        if own.shape != values.shape or len(np.unique(own)) != own.size:
            allowed = f"{values.size} different seeds for the values of {name}"
            raise _checks.refused("compare: seeds", allowed, own)
        found.append(own)
    _, at, there = np.intersect1d(found[0], found[1], assume_unique=True, return_indices=True)
    return a[at], b[there]


def _without_variation(
    a: NDArray[np.float64], b: NDArray[np.float64], paired: bool, level: float
) -> Comparison:
    """Compare values when every value of a setting, or every paired difference, is the same."""
    if paired:
        gap = float(a[0] - b[0])
        gap = 0.0 if abs(gap) <= rounding(a, b) else gap
        difference = without_spread(a.size, gap, level, -math.inf, math.inf)
        chance = 2.0 ** (1 - a.size)  # of all differences having the same sign
    else:
        one, other = (without_spread(c.size, float(c[0]), level, *least_value(c)) for c in (a, b))
        gap = one.value - other.value
        gap = 0.0 if abs(gap) <= rounding(a, b) else gap
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
