"""Measures on the weights of autoencoders: counts, sparsity, sharing.

The functions are those of `fastpolysem.families.autoencoder.metrics`, under their public name.
"""

from fastpolysem.families.autoencoder.metrics import *  # noqa: F403
from fastpolysem.families.autoencoder.metrics import HIGH as HIGH
from fastpolysem.families.autoencoder.metrics import LOW as LOW
from fastpolysem.families.autoencoder.metrics import __all__ as __all__
