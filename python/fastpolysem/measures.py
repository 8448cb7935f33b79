"""What arrays of rises, responses, activations and weights say about the neurons of a layer.

`fastpolysem.measure` computes rises of trained networks; the functions here also take arrays of
any other origin. They are those of `fastpolysem.families.network.measures.formulas`.
"""

from fastpolysem.families.network.measures.formulas import *  # noqa: F403
from fastpolysem.families.network.measures.formulas import __all__ as __all__
