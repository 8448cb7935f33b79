"""Train toy models from thousands of seeds and count their polysemantic neurons.

>>> import fastpolysem as fp
>>> config = fp.Config(n_features=16, n_hidden=32, l1=1e-2, learning_rate=4e-3, steps=2000)
>>> result = fp.train(config, seeds=100)        # one model per seed
>>> float(result.polysemantic.mean())           # polysemantic neurons per model
1.73

Importing the package loads NumPy and nothing else; networks, tables, statistics and plots are
imported on first use.
"""

from __future__ import annotations

# Must come first: from here on, Ctrl-C ends the command line without a traceback.
from fastpolysem import _console  # noqa: F401

# isort: split
import importlib
from typing import TYPE_CHECKING, Any

from fastpolysem import metrics
from fastpolysem._native import build_info
from fastpolysem.families import register_family
from fastpolysem.families.autoencoder.config import NUMERICS_VERSION, Config
from fastpolysem.families.autoencoder.diagnosis import Diagnosis, diagnose
from fastpolysem.families.autoencoder.gradient_flow import gradient_flow
from fastpolysem.families.autoencoder.metrics import count_polysemantic
from fastpolysem.families.autoencoder.objective import Parameters
from fastpolysem.families.grid import grid
from fastpolysem.objective import draw, forward, loss_and_gradient
from fastpolysem.specs.inputs import Basis, CorrelatedBlocks, FixedBatch, Independent
from fastpolysem.training import Record, TrainingResult, train

if TYPE_CHECKING:
    from fastpolysem import (
        datasets,
        encoding,
        experiments,
        losses,
        measures,
        plots,
        probes,
        report,
        statistics,
        studies,
        targets,
        theory,
    )
    from fastpolysem.families.network.config import NetworkConfig
    from fastpolysem.families.network.dataset import Dataset
    from fastpolysem.families.network.measures.measure import Measures, measure
    from fastpolysem.families.network.objective import Draws, NetworkParameters
    from fastpolysem.families.network.price import Price, price
    from fastpolysem.families.network.pytorch import parameters_from_torch, to_torch
    from fastpolysem.families.network.solutions import monosemantic
    from fastpolysem.studies.collect import collect, iter_collect
    from fastpolysem.studies.study import Study

    __version__: str

__all__ = [
    "NUMERICS_VERSION",
    "Basis",
    "Config",
    "CorrelatedBlocks",
    "Dataset",
    "Diagnosis",
    "Draws",
    "FixedBatch",
    "Independent",
    "Measures",
    "NetworkConfig",
    "NetworkParameters",
    "Parameters",
    "Price",
    "Record",
    "Study",
    "TrainingResult",
    "__version__",
    "build_info",
    "collect",
    "count_polysemantic",
    "datasets",
    "diagnose",
    "draw",
    "encoding",
    "experiments",
    "forward",
    "gradient_flow",
    "grid",
    "iter_collect",
    "loss_and_gradient",
    "losses",
    "measure",
    "measures",
    "metrics",
    "monosemantic",
    "parameters_from_torch",
    "plots",
    "price",
    "probes",
    "register_family",
    "report",
    "statistics",
    "studies",
    "targets",
    "theory",
    "to_torch",
    "train",
]

_LAZY_MODULES = (
    *("datasets", "encoding", "experiments", "losses", "measures", "plots", "probes"),
    *("report", "statistics", "studies", "targets", "theory"),
)
# The modules that provide other names.
_LAZY_NAMES = {
    **dict.fromkeys(("Study", "collect", "iter_collect"), "studies"),
    "NetworkConfig": "families.network.config",
    "Dataset": "families.network.dataset",
    **dict.fromkeys(("Price", "price"), "families.network.price"),
    "monosemantic": "families.network.solutions",
    **dict.fromkeys(("Measures", "measure"), "families.network.measures.measure"),
    **dict.fromkeys(("Draws", "NetworkParameters"), "families.network.objective"),
    **dict.fromkeys(("parameters_from_torch", "to_torch"), "families.network.pytorch"),
}


def __getattr__(name: str) -> Any:
    if name in _LAZY_MODULES:
        value: Any = importlib.import_module(f"{__name__}.{name}")
    elif name in _LAZY_NAMES:
        value = getattr(importlib.import_module(f"{__name__}.{_LAZY_NAMES[name]}"), name)
    elif name == "__version__":
        from importlib.metadata import version

        value = version(__name__)
    else:
        from fastpolysem._checks import nearest

        said = f"module {__name__!r} has no {name!r}{nearest(name, __all__)}"
        raise AttributeError(said, name=name)  # with a name, Python adds no suggestion of its own
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
