"""Losses of networks.

Public name of `fastpolysem.families.network.losses`.
"""

from fastpolysem.families.network.losses import *  # noqa: F403
from fastpolysem.families.network.losses import __all__ as __all__
