"""Experiments: one module per figure or question, with its settings, its run and its drawing.

A module of this folder is an experiment by being here; its file name is the experiment's, and its
`Experiment` is what it calls ``EXPERIMENT``. One that answers a question by a test has
``verdict(data)`` besides. `names` and `get` find them, and the command line offers each as
``fastpolysem reproduce <name>``.
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
    """The experiment of this name.

    Raises
    ------
    ValueError
        If there is none; suggests the nearest.
    """
    _checks.choice("experiment", name, names())
    module = importlib.import_module(f"{__name__}.{name}")
    experiment: Experiment[Any, Any] = module.EXPERIMENT
    return experiment
