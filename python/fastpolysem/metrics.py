"""Measures of the weights of autoencoders: counts, sparsity, sharing.

Public name of `fastpolysem.families.autoencoder.metrics`.
"""

from fastpolysem.families.autoencoder.metrics import *  # noqa: F403
from fastpolysem.families.autoencoder.metrics import HIGH as HIGH
from fastpolysem.families.autoencoder.metrics import LOW as LOW
from fastpolysem.families.autoencoder.metrics import __all__ as __all__
