"""Families of models: each folder is one, and knows all that is particular to its models."""

from __future__ import annotations

from fastpolysem.families.base import (
    AnyConfig,
    Arrays,
    Column,
    Family,
    Figure,
    Options,
    Trained,
    attachments,
    check_config,
    family_of,
    from_dict,
    is_config,
    known,
    named,
    register_family,
)

__all__ = [
    "AnyConfig",
    "Arrays",
    "Column",
    "Family",
    "Figure",
    "Options",
    "Trained",
    "attachments",
    "check_config",
    "family_of",
    "from_dict",
    "is_config",
    "known",
    "named",
    "register_family",
]
