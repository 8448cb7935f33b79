"""What a network's outputs are to be, as functions of its inputs.

The classes are those of `fastpolysem.families.network.targets`, under their public name.
"""

from fastpolysem.families.network.targets import *  # noqa: F403
from fastpolysem.families.network.targets import __all__ as __all__
