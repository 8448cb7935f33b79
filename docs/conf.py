"""Settings of the documentation: `sphinx-build -W docs build/docs`, or `nox -s docs`."""

from __future__ import annotations

from typing import Any

import fastpolysem

project = "fastpolysem"
author = "The fastpolysem authors"
version = release = fastpolysem.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
]
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
exclude_patterns = ["README.md", "data"]

html_theme = "furo"
html_title = f"fastpolysem {version}"

autodoc_default_options = {"members": True, "member-order": "bysource"}
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
napoleon_google_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False
default_role = "py:obj"
suppress_warnings = ["ref.python"]  # a field's name in single backquotes, which several have


def _escape_bars(*event: Any) -> None:
    """Sizes are written |w| in docstrings, which reStructuredText takes for substitutions."""
    lines: list[str] = event[-1]
    for index, line in enumerate(lines):
        parts = line.split("``")  # every second one is literal
        parts[::2] = [part.replace("|", "\\|") for part in parts[::2]]
        lines[index] = "``".join(parts)


def setup(app: Any) -> None:
    """Called by Sphinx."""
    app.connect("autodoc-process-docstring", _escape_bars)
