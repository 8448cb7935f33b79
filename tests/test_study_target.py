"""Whether the interval of a study that stops by itself covers the truth as often as it says."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import pytest
from scipy import stats

import fastpolysem as fp
from helpers import synthetic

CONFIG = fp.Config(n_features=8, n_hidden=64, l1=1e-2, steps=10)

# The probability that a law fails though the coverage is 95 %.
FALSE_ALARM = 1e-4


class StandIn:
    """In place of training: counts drawn from a distribution whose mean is known."""

    def __init__(self, draw: Any) -> None:
        self.stream = np.random.default_rng(20231206)
        self.draw = draw

    def __call__(self, config: fp.Config, seeds: Any, **_: Any) -> fp.TrainingResult:
        counts = self.draw(self.stream, len(seeds))
        return synthetic.result(config, counts, first_seed=int(seeds[0]))


# Mean counts as studies have them, from one in twenty seeds to many a seed: of Poisson, less spread
# as the null model's are, more spread, and a law with a long tail.
LAWS = {
    "many": (lambda rng, size: rng.poisson(6.4, size), 6.4, 0.06),
    "few": (lambda rng, size: rng.poisson(0.5, size), 0.5, 0.2),
    "rare": (lambda rng, size: rng.poisson(0.05, size), 0.05, 0.5),
    "underdispersed": (lambda rng, size: rng.hypergeometric(20, 40, 12, size), 4.0, 0.04),
    "overdispersed": (lambda rng, size: rng.negative_binomial(4, 0.4, size), 6.0, 0.08),
}


@pytest.mark.slow
@pytest.mark.parametrize("law", LAWS)
def test_intervals_of_studies_with_a_target_cover_the_truth(
    law: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopping where the interval happens to be narrow may not make it wrong more often.

    1000 whole studies a law, each stopped by `collect` itself. Coverage is taken for 95 % unless
    the number of hits is one that a coverage of 95 % gives with a probability of `FALSE_ALARM`,
    which coverages below 92.2 % and above 97.6 % fail in more than half of all cases.
    """
    draw, truth, target = LAWS[law]
    repetitions = 1000
    sizes = np.zeros(repetitions, dtype=int)
    hits = 0
    stand_in = StandIn(draw)
    monkeypatch.setattr(importlib.import_module("fastpolysem.studies.blocks"), "train", stand_in)
    for repetition in range(repetitions):
        study = fp.collect(CONFIG, target=target, progress=False)
        row = study.summary().loc[0]
        sizes[repetition] = row["seeds"]
        assert (row["ci_high"] - row["ci_low"]) / 2 <= target * row["mean"]
        hits += row["ci_low"] <= truth <= row["ci_high"]
    assert len(np.unique(sizes)) > 1  # it did stop by what it saw
    low, high = stats.binom.ppf([FALSE_ALARM / 2, 1 - FALSE_ALARM / 2], repetitions, 0.95)
    assert low <= hits <= high, f"{hits} of {repetitions}, sizes {np.unique(sizes)}"
