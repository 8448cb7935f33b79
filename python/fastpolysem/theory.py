"""Laws and null models to compare counts of autoencoders with.

Public name of `fastpolysem.families.autoencoder.theory`.
"""

from fastpolysem.families.autoencoder.theory import *  # noqa: F403
from fastpolysem.families.autoencoder.theory import __all__ as __all__
