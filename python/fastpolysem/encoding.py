"""The dynamics of a single encoding under l1.

Public name of `fastpolysem.families.autoencoder.encoding`.
"""

from fastpolysem.families.autoencoder.encoding import *  # noqa: F403
from fastpolysem.families.autoencoder.encoding import __all__ as __all__
