"""Targets of networks: what the outputs should be, as functions of the inputs.

Public name of `fastpolysem.families.network.targets`.
"""

from fastpolysem.families.network.targets import *  # noqa: F403
from fastpolysem.families.network.targets import __all__ as __all__
