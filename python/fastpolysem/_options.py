"""Command-line options for configurations: one for each field of one family's."""

from __future__ import annotations

import contextlib
import dataclasses
import inspect
import json
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from cyclopts import Parameter

from fastpolysem import families
from fastpolysem.specs import parts

CONFIG = families.named(families.DEFAULT_KIND).config_type

_SYNTAX = {
    "betas": "Format: 0.9,0.999.",
    "bias_start": "After a minus sign, with an equals sign: --bias-start=-1:0.5.",
    "importance": "Format: 1,0.5,….",
    "inputs": "Format: basis, independent:probability=0.05,batch_size=1024 (one value per feature: "
    "probability=[0.1,0.05,…]) or correlated_blocks:blocks=2,active=13,batch_size=100.",
    "loss": "Format: power:q=2.",
    "residual": "Format: 2 or 2-3.",
    "target": "Format: identity, or clauses:outputs=[[[0,1]],[[1,2]]].",
    "widths": "Format: 16-32-16.",
}
_POINTS = "Format: 0:0,1000:1."

# Placeholders of values in the help, where the type is not enough.
_PLACEHOLDERS = {
    "betas": "FLOAT,FLOAT",
    "importance": "FLOAT,...",
    "widths": "INT-INT-INT",
}


def documentation(config_type: Any = CONFIG) -> dict[str, str]:
    """The documentation of each field in a class of configurations."""
    text = inspect.cleandoc(config_type.__doc__ or "")
    _, _, entries = text.partition("Parameters\n----------\n")
    entries = re.sub(r":\w+:`(\w+)`", r"\1", entries.partition("\n\n")[0])
    found = (entry.partition("\n") for entry in re.split(r"\n(?=\S)", entries))
    return {name: " ".join(said.split()) for names, _, said in found for name in names.split(", ")}


class _Hint:
    """What values a field takes, by its annotation."""

    def __init__(self, name: str, hint: Any) -> None:
        self.name = name
        members = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
        self.optional = type(None) in members
        self.types = [one for one in members if one in (int, float, bool, str)]
        self.choices = any(get_origin(one) is Literal for one in members)
        self.parts = {one.kind: one for one in members if hasattr(one, "kind")}
        listed = [get_args(one)[0] for one in members if get_origin(one) is Sequence]
        self.points = any(get_origin(one) is tuple for one in listed)
        self.whole = listed == [int]
        """Whether a value is a list of whole numbers."""
        self.scalar = bool(self.types) or self.choices
        self.per_layer = self.scalar and bool(listed) and not self.points

    @property
    def placeholder(self) -> str:
        """What stands for a value in the help."""
        if self.parts:
            shown = "KIND:FIELD=VALUE,..."
        elif self.points:
            shown = "STEP:VALUE,..."
        else:
            known = {int: "INT", float: "FLOAT", bool: "BOOL"}
            shown = _PLACEHOLDERS.get(self.name, "NAME")
            shown = known.get(self.types[0], shown) if self.types else shown
        return shown if shown.endswith("...") else f"{shown}..."

    @property
    def syntax(self) -> str:
        """How values are written, if that is not obvious."""
        said = [_SYNTAX.get(self.name, "")]
        if self.points:
            said.append(_POINTS)
        if self.per_layer:
            said.append("One value per layer: A:B.")
        return " ".join(filter(None, said))

    def read(self, text: str) -> list[Any]:
        """The values in a word; a comma separates them unless it is part of a value."""
        if self.optional and text.lower() == "none":
            return [None]
        if self.parts:
            return [_read_part(self.name, text, self.parts)]
        if self.points and ":" in text:
            return [tuple(tuple(map(number_or_text, p.split(":"))) for p in text.split(","))]
        if self.whole:
            return [tuple(map(number_or_text, one.split("-"))) for one in text.split(",")]
        if not self.scalar:
            return [tuple(map(number_or_text, text.split(",")))]
        return [self._value(one) for one in text.split(",")]

    def _value(self, text: str) -> Any:
        if self.per_layer and ":" in text:
            return tuple(self._value(one) for one in text.split(":"))
        if text.lower() == "none" and not self.optional:
            return text
        return number_or_text(text)

    def write(self, value: Any) -> str:
        """The word that `read` reads as this value."""
        if value is None or isinstance(value, bool):
            return str(value).lower()
        if hasattr(value, "kind"):
            each = ((one.name, getattr(value, one.name)) for one in dataclasses.fields(value))
            pairs = ",".join(f"{name}={_json_or_text(part)}" for name, part in each)
            return f"{value.kind}:{pairs}" if pairs else str(value.kind)
        if not isinstance(value, tuple):
            return str(value)
        if self.points:
            return ",".join(":".join(map(str, point)) for point in value)
        between = "-" if self.whole else ":" if self.per_layer else ","
        return between.join(self.write(one) for one in value)


def _json_or_text(value: Any) -> str:
    """A value of a part's field: lists as JSON writes them."""
    return json.dumps(value, separators=(",", ":")) if isinstance(value, tuple) else str(value)


def hints(config_type: Any) -> dict[str, _Hint]:
    """What each field of a class of configurations takes."""
    annotated = get_type_hints(config_type)
    fields = dataclasses.fields(config_type)
    return {field.name: _Hint(field.name, annotated[field.name]) for field in fields}


def shown_as(placeholder: str) -> Parameter:
    """How the help shows a value; older versions of cyclopts use their own way."""
    if "metavar" not in inspect.signature(Parameter).parameters:
        return Parameter()
    return Parameter(metavar=placeholder)


Count = Annotated[str | None, shown_as("COUNT")]
"""A whole number, perhaps written as 1e4; read by `count`."""


def options(defaults: bool, config_type: Any = CONFIG) -> Any:
    """A dataclass with one option for each field of a configuration, all unset by default."""
    said, takes = documentation(config_type), hints(config_type)
    options: list[tuple[str, Any, Any]] = []
    for field in dataclasses.fields(config_type):
        hint = takes[field.name]
        help_ = [said.get(field.name, ""), hint.syntax]
        if defaults and field.default not in (dataclasses.MISSING, None, ()):
            help_.append(f"Default: {field.default}.")
        parameter = Parameter(help=" ".join(filter(None, help_)), consume_multiple=True)
        words = Annotated[list[str] | None, parameter, shown_as(hint.placeholder)]
        options.append((field.name, words, dataclasses.field(default=None)))
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


def _read_part(name: str, text: str, kinds: Mapping[str, Any]) -> Any:
    """A part of a configuration, written as its kind and its fields."""
    kind, _, rest = text.partition(":")
    sayable = {one: cls for one, cls in kinds.items() if cls.__dataclass_params__.init}
    if kind in kinds and kind not in sayable:
        raise ValueError(
            f"{name} must be given from Python if it is a {kinds[kind].__name__}, got {text!r}"
        )
    pairs = [one.partition("=") for one in _outside_brackets(rest) if one]
    if len({field for field, _, _ in pairs}) < len(pairs):
        raise ValueError(f"{name} must have each part once, got {text!r}")
    values = {field: _json_or_plain(value) for field, _, value in pairs}
    return parts.from_dict(name, {"kind": kind, **values}, sayable)


def _outside_brackets(text: str) -> list[str]:
    """The text cut at the commas that are not within brackets."""
    parts, depth = [""], 0
    for one in text:
        depth += (one == "[") - (one == "]")
        if one == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += one
    return parts


def _json_or_plain(text: str) -> Any:
    """A list as JSON writes it, or what `number_or_text` reads."""
    if not text.startswith("["):
        return number_or_text(text)
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError(f"a list must be written as [1,2], got {text!r}") from None


def selection(
    words: list[str],
    config_types: Iterable[Any] = (),
    held: Callable[[str], Collection[Any]] = lambda name: (),
) -> dict[str, list[Any]]:
    """What ``--select`` says of configurations of these classes: names with one or several values,
    as `Study.select` takes them. ``held`` are the values of a name: a text among them stays one."""
    takes = [hint for one in config_types for hint in hints(one).values()]
    per_layer = {hint.name for hint in takes if hint.per_layer}
    chosen: dict[str, list[Any]] = {}
    for word in words:
        name, equals, values = word.partition("=")
        if not equals or not name or not values:
            raise ValueError(f"--select must be written as NAME=VALUE,VALUE..., got {word!r}")
        known = held(name)
        chosen.setdefault(name, []).extend(
            value if value in known else _selected(value, name in per_layer)
            for value in values.split(",")
        )
    return chosen


def _selected(text: str, per_layer: bool) -> Any:
    parts = tuple(map(number_or_text, text.split(":") if per_layer else [text]))
    return parts if len(parts) > 1 else parts[0]


def number_or_text(text: str) -> Any:
    """A number, a truth value, None or the text itself; 1e4 is a whole number."""
    words = {"none": None, "true": True, "false": False}
    if text.lower() in words:
        return words[text.lower()]
    with contextlib.suppress(ValueError):
        return int(text)
    with contextlib.suppress(ValueError):
        number = float(text)
        return int(number) if number.is_integer() and "e" in text.lower() else number
    return text


def count(name: str, text: str | None) -> int | None:
    """The number that an option `Count` stands for."""
    value = None if text is None else number_or_text(text)
    if value is None or type(value) is int:
        return value
    raise ValueError(f"--{name} must be a whole number, got {text!r}")


def seeds(text: str | None) -> int | range | list[int] | None:
    """Seeds: a number of them, FIRST:STOP, FIRST:STOP:STEP or a list."""
    if text is None or (":" not in text and "," not in text):
        return count("seeds", text)
    numbers = [number_or_text(one) for one in re.split("[:,]", text)]
    ranges = ":" in text and "," not in text and len(numbers) in (2, 3)
    if not all(type(one) is int for one in numbers) or not (ranges or ":" not in text):
        allowed = "a number, FIRST:STOP, FIRST:STOP:STEP or a list such as 3,5,8"
        raise ValueError(f"--seeds must be {allowed}, got {text!r}")
    if not ranges:
        return numbers
    if len(numbers) == 3 and numbers[2] < 1:
        raise ValueError(f"--seeds must have a step >= 1, got {text!r}")
    if not range(*numbers):
        raise ValueError(f"--seeds must hold a seed, got {text!r}")
    return range(*numbers)


def chosen_fields(
    options: Any, config_type: Any = CONFIG, names: Mapping[str, Collection[str]] | None = None
) -> dict[str, list[Any]]:
    """The given fields with their values; ``names`` lists the values of options that take names,
    which may contain commas."""
    takes = hints(config_type)
    chosen: dict[str, list[Any]] = {}
    for field in dataclasses.fields(options):
        words = getattr(options, field.name)
        if words is not None:
            hint = takes.get(field.name)
            allowed = (names or {}).get(field.name)
            read: Callable[[str], list[Any]] = hint.read if hint else _read_plain
            if allowed is not None:
                read = partial(_read_names, allowed=allowed)
            chosen[field.name] = [value for text in words for value in read(text)]
    return chosen


def _read_plain(text: str) -> list[Any]:
    return [*map(number_or_text, text.split(","))]


def _read_names(text: str, allowed: Collection[str]) -> list[str]:
    """The names in a word: the word itself if it is one, or if it contains no list of them."""
    parts = text.split(",")
    commas = any("," in name for name in allowed)
    return [text] if text in allowed or (commas and not {*parts} <= {*allowed}) else parts
