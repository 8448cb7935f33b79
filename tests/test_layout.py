"""The core's folders stand on each other in one order, so that none needs what stands above it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

CORE = Path(__file__).parents[1] / "cpp" / "fastpolysem"

# What a folder may include besides itself.
BELOW = {
    "infra": set(),
    "linalg": {"infra"},
    "random": {"infra"},
    "math": {"infra"},
    "sampling": {"infra", "random"},
    "optimizers": {"infra", "math"},
    "training": {"infra", "optimizers"},
    "encoding": {"infra", "random"},
    "models": {"infra", "linalg", "random", "math", "sampling", "optimizers", "training"},
}
PARTS = ("model", "passes", "measures", "kernels")  # of a family, from the bottom up


@pytest.mark.skipif(not CORE.is_dir(), reason="needs the repository")
def test_includes_point_down() -> None:
    checked = 0
    for path in CORE.rglob("*.?pp"):
        own = path.relative_to(CORE).parts
        for name in re.findall(r'#include "fastpolysem/([^"]+)"', path.read_text(encoding="utf-8")):
            other = Path(name).parts
            checked += 1
            assert (CORE / name).is_file(), (path, name)
            if other[0] != own[0]:
                assert other[0] in BELOW[own[0]], (path, name)
            elif own[0] == "models":
                assert other[1] == own[1], (path, name)
                assert PARTS.index(other[2]) <= PARTS.index(own[2]), (path, name)
            else:
                assert other[:-1] == own[:-1], (path, name)
    assert checked > 50
