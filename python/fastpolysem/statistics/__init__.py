"""Intervals, tests and fits for counts: no mean is handed out without its interval.

Whatever takes ``values`` takes one number per seed; seeds are independent of each other. Values of
diverged seeds are to be left out first: missing values are refused rather than skipped.

A p-value is never 0: one too small for a floating-point number is given as the smallest of them,
2.2e-308, an upper bound.
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
    # A family's law stands on what is here, so it is only named here, not imported.
    if name != "dispersion":
        raise AttributeError(f"module {__name__!r} has no {name!r}{_checks.nearest(name, __all__)}")
    from fastpolysem.families.autoencoder.dispersion import dispersion

    globals()[name] = dispersion
    return dispersion
