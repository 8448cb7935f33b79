"""Mean counts against an independent implementation's, with a stated false-alarm rate."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

import fastpolysem as fp

SEEDS = 256
FALSE_ALARMS = 0.001  # of the whole test, if both implementations sample the same law
# n_hidden: mean and standard error of an independent implementation, 256 seeds
INDEPENDENT = {64: (13.70, 0.13), 128: (6.44, 0.14), 256: (3.23, 0.10)}


WIDE = [pytest.param(m, marks=pytest.mark.slow) for m in (128, 256)]


@pytest.mark.parametrize("n_hidden", [64, *WIDE])
def test_mean_count_of_the_default_training(n_hidden):
    mean, error = INDEPENDENT[n_hidden]
    config = fp.Config(n_features=64, n_hidden=n_hidden, l1=1e-3)
    result = fp.train(config, SEEDS)
    assert not result.diverged.any()
    assert result.unrepresented.mean() < 0.05 * 64  # else a low count would say nothing
    counts = result.polysemantic
    own_error = counts.std(ddof=1) / np.sqrt(SEEDS)
    z = (counts.mean() - mean) / np.hypot(error, own_error)
    bound = stats.norm.isf(FALSE_ALARMS / len(INDEPENDENT) / 2)
    assert abs(z) < bound, f"{counts.mean():.2f}±{own_error:.2f} instead of {mean}±{error}"
