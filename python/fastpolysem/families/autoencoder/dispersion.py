"""Dispersion of counts of polysemantic neurons, compared with the autoencoder's null model."""

from __future__ import annotations

from numpy.typing import ArrayLike

from fastpolysem.families.autoencoder import theory
from fastpolysem.statistics import Dispersion, dispersion_test
from fastpolysem.statistics.estimates import checked_counts


def dispersion(
    counts: ArrayLike,
    n_features: int | None = None,
    n_hidden: int | None = None,
    *,
    confidence: float = 0.95,
) -> Dispersion:
    """`dispersion_test` of counts of polysemantic neurons against the null model for these sizes.

    Parameters
    ----------
    counts
        Shape (S,), at least two counts.
    n_features, n_hidden
        Sizes of the null model (`theory.null_distribution`); both or neither, ``n_features <= 2
        n_hidden``.
    confidence
        Coverage of the interval of the index.

    Returns
    -------
    Dispersion
    """
    counts = checked_counts("dispersion: counts", counts, 2)
    if n_features is None and n_hidden is None:
        return dispersion_test(counts, confidence=confidence)
    if n_features is None or n_hidden is None:
        raise ValueError("dispersion: n_features and n_hidden must be given together or not at all")
    null = theory.null_distribution(n_features, n_hidden)
    return dispersion_test(counts, null, confidence=confidence)
