"""Experiments: one module per figure or question, with its settings, run and figure.

Every module in this folder whose name does not begin with an underscore is an experiment. Its name
is that of the file, and its `Experiment` object is called ``EXPERIMENT``. Experiments that answer a
question by statistical tests also have ``verdict(data)``. `names` and `get` find them, and the
command line offers each as ``fastpolysem reproduce <name>``.
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import Any

from fastpolysem import _checks
from fastpolysem.experiments._base import Experiment, combinations

__all__ = ["Experiment", "combinations", "get", "names"]


def names() -> list[str]:
    """Names of all experiments."""
    return sorted(
        module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_")
    )


def get(name: str) -> Experiment[Any, Any]:
    """The experiment with this name.

    Raises
    ------
    ValueError
        If there is none; the message suggests the nearest name.
    """
    _checks.choice("experiment", name, names())
    module = importlib.import_module(f"{__name__}.{name}")
    experiment: Experiment[Any, Any] = module.EXPERIMENT
    return experiment
