"""Command-line options for configurations: one for each field of one family's."""

from __future__ import annotations

import contextlib
import dataclasses
import inspect
import re
from collections.abc import Mapping
from typing import Annotated, Any, get_args, get_type_hints

from cyclopts import Parameter

from fastpolysem import families
from fastpolysem.specs import inputs as _inputs

_FAMILY = families.named(families.DEFAULT_KIND)
CONFIG = _FAMILY.config_type
_HINTS = get_type_hints(CONFIG)
_SYNTAX = {
    "inputs": "Format: basis, independent:probability=0.05,batch_size=1024 or "
    "correlated_blocks:blocks=2,active=13,batch_size=100.",
    "l1_schedule": "Format: 0:0,1000:1.",
    "betas": "Format: 0.9,0.999.",
    "importance": "Format: 1,0.5,….",
}


# Placeholders of values in the help, where the type is not enough.
_PLACEHOLDERS = {
    "inputs": "KIND:FIELD=VALUE,...",
    "l1_schedule": "STEP:FACTOR,...",
    "betas": "FLOAT,FLOAT",
    "importance": "FLOAT,...",
}


def documentation() -> dict[str, str]:
    """The documentation of each field in the class of configurations."""
    text = inspect.cleandoc(CONFIG.__doc__ or "")
    _, _, entries = text.partition("Parameters\n----------\n")
    entries = re.sub(r":\w+:`(\w+)`", r"\1", entries.partition("\n\n")[0])
    found = (entry.partition("\n") for entry in re.split(r"\n(?=\S)", entries))
    return {name: " ".join(said.split()) for name, _, said in found}


def _placeholder(name: str) -> dict[str, Any]:
    """The placeholder of a field's value in the help; older versions of cyclopts use their own."""
    if "metavar" not in inspect.signature(Parameter).parameters:
        return {}
    hint = _HINTS[name]
    types = [one for one in get_args(hint) or (hint,) if one is not type(None)]
    known = {int: "INT", float: "FLOAT", bool: "BOOL"}
    shown = _PLACEHOLDERS.get(name) or known.get(types[0], "NAME")
    return {"metavar": shown if shown.endswith("...") else f"{shown}..."}


def options(defaults: bool) -> Any:
    """A dataclass with one option for each field of a configuration, all unset by default."""
    said = documentation()
    options: list[tuple[str, Any, Any]] = []
    for field in dataclasses.fields(CONFIG):
        help_ = [said.get(field.name, ""), _SYNTAX.get(field.name, "")]
        if defaults and field.default not in (dataclasses.MISSING, None):
            help_.append(f"Default: {field.default}.")
        parameter = Parameter(
            help=" ".join(filter(None, help_)), consume_multiple=True, **_placeholder(field.name)
        )
        hint = Annotated[list[str] | None, parameter]
        options.append((field.name, hint, dataclasses.field(default=None)))
    return _class_of(options)


def plain_options(said: Mapping[str, str]) -> Any:
    """A dataclass with an option for each of these names, whose help is given."""
    options: list[tuple[str, Any, Any]] = []
    for name, text in said.items():
        parameter = Parameter(help=text, consume_multiple=True)
        hint = Annotated[list[str] | None, parameter]
        options.append((name, hint, dataclasses.field(default=None)))
    return _class_of(options)


def _class_of(options: list[tuple[str, Any, Any]]) -> Any:
    # Cyclopts treats classes of the standard library as values, hence __module__.
    return dataclasses.make_dataclass(
        "Options", options, frozen=True, kw_only=True, namespace={"__module__": __name__}
    )


def _read(name: str, text: str) -> Any:
    """The value represented by a text; the configuration checks it."""
    if name == "inputs":
        return _read_inputs(text)
    hint = _HINTS.get(name)
    if text.lower() == "none" and type(None) in get_args(hint):
        return None
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    if "," in text:
        return tuple(_read(name, part) for part in text.split(","))
    if ":" in text:
        return tuple(_read(name, part) for part in text.split(":"))
    for number in (int, float):
        try:
            return number(text)
        except ValueError:
            pass
    return text


def _read_inputs(text: str) -> Any:
    kind, _, rest = text.partition(":")
    if kind == _inputs.FixedBatch.kind:
        raise ValueError(f"inputs must be given from Python if they are fixed, got {text!r}")
    pairs = [part.partition("=") for part in rest.split(",") if part]
    return _inputs.from_dict(
        {"kind": kind, **{name: _read("l1", value) for name, _, value in pairs}}
    )


def selection(words: list[str]) -> dict[str, list[Any]]:
    """What ``--select`` says: names with one or several values, as `Study.select` takes them."""
    chosen: dict[str, list[Any]] = {}
    for word in words:
        name, equals, values = word.partition("=")
        if not equals or not name or not values:
            raise ValueError(f"--select must be written as NAME=VALUE,VALUE..., got {word!r}")
        chosen[name] = [_plain(value) for value in values.split(",")]
    return chosen


def _plain(text: str) -> Any:
    """A number, a truth value, None or the text itself."""
    words = {"none": None, "true": True, "false": False}
    if text.lower() in words:
        return words[text.lower()]
    for number in (int, float):
        with contextlib.suppress(ValueError):
            return number(text)
    return text


def chosen_fields(options: Any) -> dict[str, list[Any]]:
    """The given fields with their values."""
    return {
        field.name: [_read(field.name, text) for text in getattr(options, field.name)]
        for field in dataclasses.fields(options)
        if getattr(options, field.name) is not None
    }
