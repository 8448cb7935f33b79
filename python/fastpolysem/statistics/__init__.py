"""Intervals, tests and fits for counts; every mean comes with its confidence interval.

An argument ``values`` holds one number per seed; seeds are independent. Remove the values of
diverged seeds first: missing values are refused rather than skipped.

A p-value is never 0. If it is too small for a floating-point number, the smallest one, 2.2e-308, is
returned as an upper bound.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastpolysem import _checks
from fastpolysem.statistics.comparisons import Comparison, compare
from fastpolysem.statistics.dispersions import Dispersion, dispersion_test
from fastpolysem.statistics.estimates import Bounds as Bounds
from fastpolysem.statistics.estimates import (
    Estimate,
    mean,
    proportion,
)
from fastpolysem.statistics.estimates import mean_from_moments as mean_from_moments
from fastpolysem.statistics.likelihood import LIKELIHOOD_FACTOR as LIKELIHOOD_FACTOR
from fastpolysem.statistics.likelihood import Fit, fit_poisson, fit_proportion
from fastpolysem.statistics.power_laws import PowerLaw, power_law

if TYPE_CHECKING:
    from fastpolysem.families.autoencoder.dispersion import dispersion

__all__ = [
    "Comparison",
    "Dispersion",
    "Estimate",
    "Fit",
    "PowerLaw",
    "compare",
    "dispersion",
    "dispersion_test",
    "fit_poisson",
    "fit_proportion",
    "mean",
    "power_law",
    "proportion",
]


def __getattr__(name: str) -> Any:
    # The family's module imports this one, so it is imported on first use only.
    if name != "dispersion":
        said = f"module {__name__!r} has no {name!r}{_checks.nearest(name, __all__)}"
        raise AttributeError(said, name=name)  # with a name, Python adds no suggestion of its own
    from fastpolysem.families.autoencoder.dispersion import dispersion

    globals()[name] = dispersion
    return dispersion
