"""Training results made up from given counts, for what only looks at results."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

import fastpolysem as fp
from fastpolysem.probes import Declaration, Probe
from fastpolysem.studies.artifacts import probe_table
from fastpolysem.studies.holding import Holding
from fastpolysem.studies.schema import rows_of


def result(
    config: fp.Config, counts: ArrayLike, first_seed: int = 0, **columns: Any
) -> fp.TrainingResult:
    """One seed for each count; a negative count is a seed that diverged."""
    polysemantic = np.asarray(counts, dtype=np.int32)
    size = len(polysemantic)
    diverged = polysemantic < 0
    small = np.where(diverged, -1, 0).astype(np.int32)
    values: dict[str, Any] = {
        "seeds": np.arange(first_seed, first_seed + size, dtype=np.uint64),
        "polysemantic": polysemantic,
        "benign": polysemantic,
        "malign": small,
        "signed_slots": polysemantic,
        "signed_slots_benign": polysemantic,
        "dead": small,
        "unrepresented": small,
        "nonzeros": np.where(diverged, -1, config.n_features),
        "loss": np.where(diverged, np.nan, 0.25),
        "residual": np.where(diverged, np.nan, 0.0),
        "steps_taken": np.full(size, config.steps),
        "diverged": diverged,
        "seconds": np.full(size, 0.5),
        "kernel": "generic",
    }
    return fp.TrainingResult(config=config, **{**values, **columns})


def study(*results: fp.TrainingResult) -> fp.Study:
    """A study in memory."""
    made = fp.Study()
    for one in results:
        made.add(one)
    return made


def probed(result: fp.TrainingResult, probe: Probe, values: dict[str, Any]) -> fp.Study:
    """A study in memory of a result of which a probe computed these values."""
    declaration = Declaration.of(probe)
    holding = Holding(result.config)
    holding.add_rows(rows_of(result))
    table = probe_table(result, declaration, values)
    holding.add_tables("probe", declaration.key, [table], declaration)
    return fp.Study([holding])
