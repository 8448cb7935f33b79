"""HTML pages and tables from the templates in ``templates/``. Values are escaped unless the
template marks them as HTML."""

from __future__ import annotations

import functools
from importlib import resources
from typing import Any

import jinja2


@functools.cache
def _environment() -> jinja2.Environment:
    folder = resources.files("fastpolysem") / "templates"
    return jinja2.Environment(
        autoescape=True,
        loader=jinja2.FunctionLoader(lambda name: (folder / name).read_text(encoding="utf-8")),
        lstrip_blocks=True,
        trim_blocks=True,
        undefined=jinja2.StrictUndefined,
    )


def render(template: str, **values: Any) -> str:
    """The template filled in with the values."""
    return _environment().get_template(template).render(**values)
