"""Pictures of networks."""

from fastpolysem.families.network.plots.measures import neuron_map, response_map, use_map
from fastpolysem.families.network.plots.studies import front, sharing, training_curves

__all__ = ["front", "neuron_map", "response_map", "sharing", "training_curves", "use_map"]
