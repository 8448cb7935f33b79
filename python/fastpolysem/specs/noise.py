"""Noise and dropout on hidden layers."""

from __future__ import annotations

from typing import Literal

Noise = Literal["none", "rademacher", "gaussian", "uniform", "laplace", "student_t", "three_point"]
Sharing = Literal["step", "input"]
