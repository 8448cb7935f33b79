"""Families of models: each folder is one, with everything specific to its models."""

from __future__ import annotations

from fastpolysem.families.base import (
    BUILT_IN,
    COLLAPSED,
    DEFAULT_KIND,
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
    headings,
    is_config,
    known,
    named,
    register_family,
)

__all__ = [
    "BUILT_IN",
    "COLLAPSED",
    "DEFAULT_KIND",
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
    "headings",
    "is_config",
    "known",
    "named",
    "register_family",
]
