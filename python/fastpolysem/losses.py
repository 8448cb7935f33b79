"""Losses of networks.

The classes are those of `fastpolysem.families.network.losses`, under their public name.
"""

from fastpolysem.families.network.losses import *  # noqa: F403
from fastpolysem.families.network.losses import __all__ as __all__
