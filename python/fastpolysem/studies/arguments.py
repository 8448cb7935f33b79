"""The checks of what `collect` and `iter_collect` are given."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any

import numpy as np

from fastpolysem import _checks
from fastpolysem.config import Config
from fastpolysem.studies.seedsets import SeedSet


def checked_configs(configs: Config | Iterable[Config]) -> list[Config]:
    """A list of different configurations."""
    listed = list(configs) if isinstance(configs, Iterable) else [configs]
    seen: dict[str, Config] = {}
    for config in listed:
        if not isinstance(config, Config):
            raise _checks.refused("collect: configs", "a Config or several", config, kind=TypeError)
        if config.digest in seen:
            raise ValueError(
                f"collect: configs must differ in effect, "
                f"got {seen[config.digest]!r} and {config!r}"
            )
        seen[config.digest] = config
    if not listed:
        raise ValueError("collect: configs must hold at least one Config, got none")
    return listed


def checked_seeds(seeds: Any) -> SeedSet:
    """The seeds asked for."""
    if isinstance(seeds, (int, np.integer)):
        return SeedSet([(0, _checks.integer("collect: seeds", seeds, (">=", 1), ("<=", 2**64)))])
    if isinstance(seeds, range) and seeds.step == 1 and len(seeds) and seeds.start >= 0:
        if seeds.stop > 2**64:
            raise _checks.refused("collect: seeds", "integers < 18446744073709551616", seeds)
        return SeedSet([(seeds.start, seeds.stop)])
    listed = sorted(_checks.integers("collect: seeds", seeds, (">=", 0), ("<", 2**64)))
    if not listed:
        raise ValueError("collect: seeds must hold at least one seed, got none")
    twice = [one for one, other in itertools.pairwise(listed) if one == other]
    if twice:
        raise ValueError(f"collect: seeds must be different, got {twice[0]} more than once")
    return SeedSet.of(np.array(listed, dtype=np.uint64))
