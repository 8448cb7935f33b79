"""From tests to a verdict: an effect, a difference within the margin, or inconclusive.

An experiment states a few *primary* tests. Their p-values are corrected together by Holm's method,
so that the probability of any false alarm among them is at most `ALPHA`. A difference is "within
the margin" if its 95 % interval lies within a margin that is fixed beforehand. This says that it is
too small to matter, not that it is 0: its p-value may be small. Tests that find neither are
inconclusive: more seeds would be needed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastpolysem.experiments._pages import estimate, markdown

if TYPE_CHECKING:
    import pandas as pd

    from fastpolysem.statistics import Estimate

ALPHA = 0.05
"""Probability of a false alarm among all primary tests of a verdict."""

Z = NormalDist().inv_cdf(0.975)
"""Half the length of a normal distribution's 95 % interval, in standard deviations."""

LEAST_P = 1e-10
"""Smaller p-values are shown as below this bound: they depend on tails that no sample shows."""

EFFECT, WITHIN, INCONCLUSIVE = "effect", "within the margin", "inconclusive"


class Comparison(NamedTuple):
    """A difference, tested against 0."""

    name: str
    """What is compared with what."""
    difference: Estimate
    """The difference with its 95 % interval."""
    p_value: float
    """P-value of no difference; nan if it cannot be tested, which counts as 1."""
    margin: float
    """Differences up to this size are negligible."""


@dataclass(frozen=True)
class Verdict:
    """The answer of an experiment."""

    outcome: str
    """`EFFECT` if a primary test found one, `WITHIN` if all differences are within their margins,
    otherwise `INCONCLUSIVE`."""
    sentence: str
    """The answer in words."""
    tests: pd.DataFrame
    """One row per test: ``test``, ``difference``, ``ci_low``, ``ci_high`` (95 %), ``margin``,
    ``p_value``, ``p_holm`` (corrected for the number of tests), ``outcome`` and ``power``, the
    probability of `WITHIN` if nothing differed (`power_within`)."""
    method: str
    """Which tests were used, and on what."""

    def __str__(self) -> str:
        shown = self.tests.rename(columns={"ci_low": "from", "ci_high": "to"})
        for name in ("p_value", "p_holm"):
            shown[name] = [p_text(p) for p in shown[name]]
        lines = shown.to_string(index=False, float_format=lambda value: f"{value:.3g}", na_rep="-")
        corrected = f"{self.method}; p-values corrected by Holm's method, 95 % intervals."
        return f"{lines}\n{corrected}\n\nVerdict ({self.outcome}): {self.sentence}"

    def markdown(self) -> str:
        """The tests as a table for a page."""
        rows = [
            [
                row.test,
                f"{row.difference:+.3g}",
                f"{row.ci_low:+.3g} … {row.ci_high:+.3g}",
                p_text(row.p_holm),
                row.outcome,
            ]
            for row in self.tests.itertuples()
        ]
        return markdown(["test", "difference", "95 % interval", "p (Holm)", "outcome"], rows)


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    """P-values corrected for their number by Holm's (1979) step-down method; nan counts as 1."""
    # SciPy has corrections for the false discovery rate only.
    p = np.nan_to_num(np.asarray(p_values, dtype=np.float64), nan=1.0)
    order = np.argsort(p, kind="stable")
    corrected = np.maximum.accumulate(p[order] * np.arange(p.size, 0, -1))
    result = np.empty_like(p)
    result[order] = np.minimum(corrected, 1.0)
    return result


def judged(tests: Iterable[Comparison], alpha: float = ALPHA) -> pd.DataFrame:
    """The table of a verdict: corrected p-values, and the outcome of each test."""
    import pandas as pd

    comparisons = list(tests)
    corrected = holm([test.p_value for test in comparisons])
    rows = []
    for test, p in zip(comparisons, corrected, strict=True):
        value, low, high = test.difference
        if -test.margin <= low and high <= test.margin:
            outcome = WITHIN
        else:  # also if the interval is unknown
            outcome = EFFECT if p <= alpha else INCONCLUSIVE
        power = power_within(low, high, test.margin)
        rows.append((test.name, value, low, high, test.margin, test.p_value, p, outcome, power))
    columns = ["test", "difference", "ci_low", "ci_high", "margin", "p_value", "p_holm", "outcome"]
    columns.append("power")
    return pd.DataFrame(rows, columns=columns)


def power_within(low: float, high: float, margin: float) -> float:
    """Probability that an interval as long as this one lies within the margin if its center is
    normally distributed around 0; nan if the interval is unknown."""
    half = (high - low) / 2
    if math.isnan(half) or half <= 0:
        return half if math.isnan(half) else 1.0
    return math.erf(max(0.0, margin / half - 1) * Z / math.sqrt(2))


def overall(tests: pd.DataFrame) -> str:
    """The outcome of all tests together."""
    outcomes = set(tests["outcome"])
    if EFFECT in outcomes:
        return EFFECT
    return WITHIN if outcomes == {WITHIN} else INCONCLUSIVE


def verdict_of(
    tests: Sequence[Comparison], method: str, say: Callable[[str, pd.DataFrame], str]
) -> Verdict:
    """Judge the tests; ``say(outcome, tests)`` phrases the outcome."""
    table = judged(tests)
    outcome = overall(table)
    return Verdict(outcome, say(outcome, table), table, method)


def p_text(p: float) -> str:
    """A p-value for tables, "< 1e-10" below `LEAST_P`, "-" if unknown."""
    if math.isnan(p):
        return "-"
    return f"{p:.2g}" if p >= LEAST_P else f"< {LEAST_P:.0e}"


def left_open(count: int) -> float:
    """Largest share of exceptions compatible with none in ``count`` seeds: the upper end of the
    exact 95 % Clopper-Pearson interval."""
    return float(1 - 0.025 ** (1 / count))


def compared(
    name: str,
    first: ArrayLike,
    second: ArrayLike,
    margin: float,
    *,
    paired: bool = False,
    relative: bool = False,
) -> Comparison:
    """Test whether two settings have the same mean, by Welch's t test or by paired differences.

    Parameters
    ----------
    name, margin
        As in `Comparison`.
    first, second
        Values of the seeds; of the same seeds in the same order if paired.
    paired
        Whether they are compared seed by seed.
    relative
        Whether the difference and its margin are in units of the second mean, whose own error is
        propagated to first order.

    Returns
    -------
    Comparison
        Untested (p-value nan) with fewer than two values. If no value varies and nothing differs,
        the interval allows for what this many seeds could have missed: a difference of 1 in a share
        of up to `left_open` of the seeds.
    """
    a, b = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    from fastpolysem import statistics
    from fastpolysem.statistics import Estimate

    unknown = Comparison(name, Estimate(math.nan, math.nan, math.nan), math.nan, margin)
    if min(a.size, b.size) < 2:
        return unknown
    center = float(b.mean()) if relative else 1.0
    if center == 0:
        return unknown
    gap = float(a.mean() - b.mean())
    result = statistics.compare(a, b, paired=paired)
    if math.isnan(result.p_value):
        half = left_open(min(a.size, b.size))
        difference = Estimate(gap, gap - half, gap + half).scaled(1 / center)
        return Comparison(name, difference, float(gap == 0), margin)
    if not relative:
        return Comparison(name, result.difference, result.p_value, margin)
    # a - ratio b has mean 0, and to first order the error of the ratio.
    spread = statistics.compare(a, (1 + gap / center) * b, paired=paired).difference
    if not a.any():  # what this many seeds could have missed
        spread = statistics.mean(a)
    elif not (np.ptp(a) or np.ptp(b)):
        spread = Estimate(0.0, *(end - gap for end in result.difference[1:]))
    low, high = ((gap + end) / center for end in spread[1:])
    return Comparison(name, Estimate(gap / center, low, high), result.p_value, margin)


def change(row: Any) -> str:
    """The relative difference in a row of `Verdict.tests`, with its interval."""
    return f"{row.difference:+.1%} [{row.ci_low:+.1%}, {row.ci_high:+.1%}]"


def text(found: Any, digits: int = 3) -> str:
    """``value [low, high]``."""
    value, low, high = found[:3]
    return estimate(value, low, high, digits)


def span(values: ArrayLike) -> str:
    """``least to largest``, or one value if they do not differ as shown."""
    ends = [f"{end:.2g}" for end in (np.min(values), np.max(values))]
    return " to ".join(dict.fromkeys(ends))
