"""Small data sets and tasks with known features, ready for `NetworkConfig`.

The functions are those of `fastpolysem.families.network.datasets`, under their public name.
"""

from fastpolysem.families.network.datasets import *  # noqa: F403
from fastpolysem.families.network.datasets import __all__ as __all__
