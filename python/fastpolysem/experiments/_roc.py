"""ROC curves with intervals, and logistic regression."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastpolysem.experiments._verdicts import left_open

if TYPE_CHECKING:
    from fastpolysem.statistics import Estimate


class Roc(NamedTuple):
    """How well a score distinguishes incidental from necessary."""

    false_alarms: NDArray[np.float64]
    """Share of necessary cases at or above each threshold, ascending from 0 to 1."""
    found: NDArray[np.float64]
    """Share of incidental cases at or above each threshold."""
    area: Estimate
    """Area under the curve with its 95 % interval (DeLong et al. 1988); 1/2 is chance."""
    p_value: float
    """Two-sided p-value of area 1/2: Mann-Whitney test with correction for ties."""
    incidental: int = 0
    """Number of incidental cases."""

    def band(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Ends of Wilson's 95 % interval of ``found`` at each threshold."""
        from fastpolysem import statistics

        count = max(self.incidental, 1)
        hits = np.round(self.found * count).astype(int)
        ends = {k: statistics.proportion(int(k), count)[1:] for k in np.unique(hits)}
        low, high = np.array([ends[k] for k in hits]).T
        return low, high


def roc(score: NDArray[Any], truth: NDArray[np.bool_]) -> Roc:
    """The ROC of a score; nan if only one of the two kinds occurs."""
    from scipy import stats

    from fastpolysem.statistics import Estimate

    score = np.asarray(score, dtype=np.float64)
    yes, no = score[truth], score[~truth]
    if min(len(yes), len(no)) < 2:
        nothing = np.array([0.0, 1.0])
        return Roc(nothing, nothing, Estimate(math.nan, math.nan, math.nan), math.nan)
    thresholds = np.unique(score)[::-1]
    ranks = stats.rankdata(score)
    # Placements: the share of the other group below each value; ties count half.
    of_yes = (ranks[truth] - stats.rankdata(yes)) / len(no)
    of_no = 1 - (ranks[~truth] - stats.rankdata(no)) / len(yes)
    area = float(of_yes.mean())
    error = math.sqrt(of_yes.var(ddof=1) / len(yes) + of_no.var(ddof=1) / len(no))
    # With zero error the groups do not overlap, or all scores are equal: use the smaller group.
    half = stats.norm.ppf(0.975) * error or left_open(min(len(yes), len(no)))
    p_value = 1.0
    if np.ptp(score):
        p_value = float(stats.mannwhitneyu(yes, no, method="asymptotic").pvalue)
    alarms, hits = (
        np.concatenate([[0.0], (part >= thresholds[:, np.newaxis]).mean(axis=1)])
        for part in (no, yes)
    )
    interval = Estimate(area, max(0.0, area - half), min(1.0, area + half))
    return Roc(alarms, hits, interval, p_value, len(yes))


def logistic(
    design: NDArray[Any], truth: NDArray[np.bool_], others: NDArray[Any]
) -> NDArray[np.float64]:
    """Scores of ``others`` (T, k) by logistic regression of ``truth`` (S,) on ``design`` (S, k).

    Columns are standardised; a penalty of 0.01 times the squared coefficients keeps them finite for
    separable data.
    """
    from scipy import optimize, special

    center, spread = design.mean(axis=0), design.std(axis=0)
    spread = np.where(spread > 0, spread, 1.0)
    x = np.column_stack([np.ones(len(design)), (design - center) / spread])
    sign = np.where(truth, 1.0, -1.0)

    def loss(beta: NDArray[Any]) -> tuple[float, NDArray[Any]]:
        margin = sign * (x @ beta)
        wrong = special.expit(-margin)
        penalty = 0.01 * beta * (np.arange(len(beta)) > 0)
        value = 0.5 * penalty @ beta - special.log_expit(margin).mean()
        return float(value), -(x * (sign * wrong)[:, np.newaxis]).mean(axis=0) + penalty

    beta = optimize.minimize(loss, np.zeros(x.shape[1]), jac=True, method="BFGS").x
    result: NDArray[np.float64] = ((others - center) / spread) @ beta[1:] + beta[0]
    return result
