"""Tests on real data, which need packages that the extra `test` does not install."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any

import pytest

MARKS = (
    pytest.mark.extra,
    pytest.mark.skipif(
        not all(importlib.util.find_spec(one) for one in ("sklearn", "mnist1d")),
        reason="needs scikit-learn and mnist1d",
    ),
)


def on_real_data(test: Callable[..., Any]) -> Callable[..., Any]:
    """The test with these marks."""
    for mark in MARKS:
        test = mark(test)
    return test
