"""The coverage of intervals in `intervals.md`, by simulation.

python docs/intervals.py write    simulates and fills in the page's tables (two minutes)
python docs/intervals.py check    fails if the page differs from the simulation
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from fastpolysem import statistics
from fastpolysem.experiments._pages import markdown, with_tables

PAGE = Path(__file__).with_name("intervals.md")
REPETITIONS = 4000
SEEDS = (8, 16, 64, 256, 1000, 100_000)
MEANS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 100.0)
SPREAD = 0.2  # half-width of the interval from which log means are drawn

# Probabilities of 0, 1, 2, … events, (R, K), for means of the shape (R, 1).
Law = Callable[[NDArray[np.float64], NDArray[np.int64]], NDArray[np.float64]]


def _binomial(index: float) -> Law:
    def law(mean: NDArray[np.float64], k: NDArray[np.int64]) -> NDArray[np.float64]:
        trials = np.ceil(mean.max() / (1 - index))
        return stats.binom.pmf(k, trials, mean / trials)

    return law


def _negative_binomial(index: float) -> Law:
    return lambda mean, k: stats.nbinom.pmf(k, mean / (index - 1), 1 / index)


LAWS: dict[str, Law] = {
    "Poisson": lambda mean, k: stats.poisson.pmf(k, mean),
    "binomial, variance 0.6 of the mean or more": _binomial(0.6),
    "binomial, variance 0.3 of the mean or more": _binomial(0.3),
    "negative binomial, variance 1.5 times the mean": _negative_binomial(1.5),
    "negative binomial, variance 3 times the mean": _negative_binomial(3),
}


def coverage(
    law: Law,
    seeds: int,
    mean: float,
    repetitions: int,
    rng: np.random.Generator,
    *,
    bounds: statistics.Bounds = (0, None),
) -> float:
    """Share of intervals that contain the true mean, for means near ``mean``.

    Small counts take few values, and coverage at any one mean depends on where these happen to
    lie. A new mean is therefore drawn for each repetition, log-uniformly within ± 20 %.
    """
    truth = mean * np.exp(rng.uniform(-SPREAD, SPREAD, (repetitions, 1)))
    k = np.arange(int(1.25 * mean + 12 * np.sqrt(3 * mean) + 30))
    probability = law(truth, k)
    probability /= probability.sum(axis=1, keepdims=True)
    drawn = rng.multinomial(seeds, probability)
    centers = drawn @ k / seeds
    distance = k - centers[:, np.newaxis]
    second, third = (np.sum(drawn * distance**power, axis=1) / seeds for power in (2, 3))
    inside = 0
    for at, one, two, three in zip(truth[:, 0], centers, second, third, strict=True):
        unbiased = two * seeds / (seeds - 1)
        found = statistics.mean_from_moments(seeds, one, unbiased, three, bounds=bounds)
        inside += found.low <= at <= found.high
    return inside / repetitions


def table(name: str, repetitions: int = REPETITIONS) -> str:
    """Coverage in percent, one row per mean and one column per number of seeds."""
    rows = []
    rng = np.random.default_rng(20231206)
    for mean in MEANS:
        cells = [
            f"{100 * coverage(LAWS[name], seeds, mean, repetitions, rng):.1f}" for seeds in SEEDS
        ]
        few = [seeds * mean < 5 for seeds in SEEDS]
        cells = [f"({cell})" if one else cell for cell, one in zip(cells, few, strict=True)]
        rows.append([f"{mean:g}", *cells])
    return markdown(["mean", *(f"{seeds} seeds" for seeds in SEEDS)], rows)


def filled(page: str) -> str:
    """The page with the coverage of all laws."""
    return with_tables(page, {name: partial(table, name) for name in LAWS})


def main(words: Sequence[str]) -> int:
    page = PAGE.read_text(encoding="utf-8")
    match list(words):
        case ["write"]:
            PAGE.write_text(filled(page), encoding="utf-8")
        case ["check"]:
            if filled(page) != page:
                print(f"{PAGE} is out of date: run `python docs/intervals.py write`")
                return 1
        case _:
            print(__doc__)
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
