"""Laws and null models that counts of the autoencoder are compared with.

The functions are those of `fastpolysem.families.autoencoder.theory`, under their public name.
"""

from fastpolysem.families.autoencoder.theory import *  # noqa: F403
from fastpolysem.families.autoencoder.theory import __all__ as __all__
