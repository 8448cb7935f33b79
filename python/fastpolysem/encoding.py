"""The dynamics of a single encoding under l1.

The functions are those of `fastpolysem.families.autoencoder.encoding`, under their public name.
"""

from fastpolysem.families.autoencoder.encoding import *  # noqa: F403
from fastpolysem.families.autoencoder.encoding import __all__ as __all__
