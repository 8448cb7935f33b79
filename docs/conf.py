"""Settings of the documentation: `sphinx-build -W docs build/docs`, or `nox -s docs`."""

from __future__ import annotations

from typing import Any

from docutils import nodes
from latex2mathml.converter import convert

import fastpolysem

project = "fastpolysem"
author = "The fastpolysem authors"
version = release = fastpolysem.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
]
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
exclude_patterns = ["README.md", "data"]

html_math_renderer = "mathml"
html_theme = "furo"
html_title = f"fastpolysem {version}"

autodoc_default_options = {"members": True, "member-order": "bysource"}
autodoc_typehints = "signature"
autodoc_type_aliases = {name: name for name in ("ArrayLike", "Weights", "WeightsLike", "Inputs")}
napoleon_google_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False
default_role = "py:obj"
suppress_warnings = ["ref.python"]  # a field's name in single backquotes, which several have


def _escape_bars(*event: Any) -> None:
    """Escape |w| in docstrings, which reStructuredText would read as a substitution."""
    lines: list[str] = event[-1]
    for index, line in enumerate(lines):
        parts = line.split("``")  # every second one is literal
        parts[::2] = [part.replace("|", "\\|") for part in parts[::2]]
        lines[index] = "``".join(parts)


def _write_math(translator: Any, node: Any) -> None:
    """Write formulas as MathML, which browsers render without external scripts."""
    display = "block" if node.tagname == "math_block" else "inline"
    translator.body.append(convert(node.astext(), display=display))
    raise nodes.SkipNode


def setup(app: Any) -> None:
    """Called by Sphinx."""
    app.add_html_math_renderer("mathml", (_write_math, None), (_write_math, None))
    app.connect("autodoc-process-docstring", _escape_bars)
