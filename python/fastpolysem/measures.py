"""What arrays of rises, responses, activations and weights say about the neurons of a layer.

The rise of a concept at a neuron is the increase of the concept's loss when the neuron is switched
off. `fastpolysem.measure` computes the rises of trained networks; the functions here also take
arrays of any other origin.
"""

from fastpolysem.families.network.measures import formulas, selectivity
from fastpolysem.families.network.measures.controls import Controls, shuffled, untrained
from fastpolysem.families.network.measures.formulas import *  # noqa: F403
from fastpolysem.families.network.measures.selectivity import *  # noqa: F403

__all__ = ["Controls", "shuffled", "untrained", *formulas.__all__, *selectivity.__all__]
