"""A bounded run of the fuzzer; `python tests/fuzz.py` goes on from there."""

from __future__ import annotations

import subprocess
import sys

import pytest

import fuzz


@pytest.mark.parametrize(("kind", "cases"), [("boundary", 3000), ("store", 1000)])
def test_hostile_input(kind: str, cases: int) -> None:
    assert fuzz.run(kind, range(cases), limit=0) == cases


def test_a_record_before_any_noise_was_drawn() -> None:
    """Found by the fuzzer: in a process of its own, for it was a segmentation fault."""
    code = (
        "import fastpolysem as fp\n"
        "config = fp.Config(n_features=4, n_hidden=5, noise='gaussian', noise_std=0.1, steps=0)\n"
        "fp.train(config, 4, record=('objective', [0]), kernel='lanes')"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
