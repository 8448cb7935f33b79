"""A bounded run of the fuzzer; `python tests/fuzz.py` goes on from there."""

from __future__ import annotations

import pytest

import fuzz


@pytest.mark.parametrize(("kind", "cases"), [("boundary", 3000), ("store", 1000)])
def test_hostile_input(kind: str, cases: int) -> None:
    assert fuzz.run(kind, range(cases), limit=0) == cases
