"""The engine of networks against the specification, and what must not change a seed's bits."""

from __future__ import annotations

import pytest

from network import engine
from specifications import combinations

PARTS, EACH = 10, 30


def check_combinations(first: int, count: int) -> None:
    worst = engine.Worst()
    for k, config in enumerate(combinations.accepted(first, count, steps=5)):
        try:
            engine.check(config, first * 2**32 + k, worst)
        except AssertionError as error:
            raise AssertionError(f"{config}: {error}") from error
    print("; ".join(f"{kind} {error:.1e}" for kind, error in sorted(worst.items())))


@pytest.mark.parametrize("part", range(PARTS))
def test_combinations_of_settings_are_as_specified(part):
    check_combinations(part, EACH)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(100, 200))
def test_more_combinations_of_settings_are_as_specified(part):
    check_combinations(part, 100)
