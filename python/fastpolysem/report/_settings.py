"""Settings that tell the configurations of a study apart, or differ from their defaults."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from fastpolysem.families import AnyConfig, family_of
from fastpolysem.studies import Study


def differing(configs: Sequence[AnyConfig], all_fields: bool = False) -> dict[str, list[Any]]:
    """Values of settings in order of occurrence, only of those that differ from their default."""
    family = family_of(configs[0])
    settings = [family.settings(config) for config in configs]
    usual = defaults(type(configs[0]))
    found = {}
    for name in settings[0]:
        values = list(dict.fromkeys(one[name] for one in settings))
        at_default = name in usual and values == [usual[name]]
        if all_fields or name in family.sizes or not at_default:
            found[name] = values
    return found


def defaults(config_type: type) -> dict[str, Any]:
    """Default values of a class of configurations, if it is a dataclass with defaults."""
    found = {}
    for field in dataclasses.fields(config_type) if dataclasses.is_dataclass(config_type) else ():
        if field.default is not dataclasses.MISSING:
            found[field.name] = field.default
        elif field.default_factory is not dataclasses.MISSING:
            found[field.name] = field.default_factory()
    return found


def varying(study: Study, config: AnyConfig) -> dict[str, Any]:
    """Settings of a configuration that differ between configurations."""
    settings = family_of(config).settings(config)
    values = differing(study.configs, all_fields=True)
    return {name: settings[name] for name in values if len(values[name]) > 1}
