"""Settings of the documentation: `sphinx-build -W docs build/docs`, or `nox -s docs`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.util.nodes import make_refnode

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
html_static_path = ["_static"]
html_css_files = ["site.css"]

autodoc_default_options = {"members": True, "member-order": "bysource"}
autodoc_typehints = "signature"
autodoc_type_aliases = {name: name for name in ("ArrayLike", "Weights", "WeightsLike", "Inputs")}
napoleon_google_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False
default_role = "py:obj"
suppress_warnings = ["ref.python"]  # a field's name in single backquotes, which several have


_PANELS = ("published-sparsity", "weights-over-time")  # figures outside of the findings


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


def _list_findings(app: Any, page: str, source: list[str]) -> None:
    """Fill the gallery with the figures of the findings: thumbnail, question and command."""
    if page != "gallery":
        return
    entries = []
    for path in sorted(Path(app.srcdir, "findings").glob("*.md")):
        text, name = path.read_text(encoding="utf-8"), path.stem
        title = re.search(r"^# (.*)$", text, re.MULTILINE)
        if title and path.with_suffix(".png").exists():
            entries.append(
                f":::{{figure}} findings/{name}.png\n:alt: Figure of the page {name}\n"
                f":target: findings/{name}.html\n\n[{title[1]}](findings/{name}.md)\n"
                f"`fastpolysem reproduce {name}`\n:::\n"
            )
    listed = "::::{container} gallery\n" + "".join(entries) + "::::\n"
    source[0] = source[0].replace("%findings%\n", listed)


def _mark_panels(app: Any, doctree: nodes.document, page: str) -> None:
    """Let figures with several panels, as those of findings, keep their size on phones."""
    for image in doctree.findall(nodes.image):
        if page.startswith("findings/") or Path(image["uri"]).stem in _PANELS:
            image["classes"].append("panels")


def _resolve(app: Any, env: Any, node: Any, shown: Any) -> Any:
    """Link names that docstrings of other modules use as users do, such as `Config`."""
    if node.get("refdomain") == "py":
        entry = env.get_domain("py").objects.get(f"fastpolysem.{node['reftarget']}")
        if entry is not None:
            return make_refnode(app.builder, node["refdoc"], entry.docname, entry.node_id, shown)
    return None


def setup(app: Any) -> None:
    """Called by Sphinx."""
    app.add_html_math_renderer("mathml", (_write_math, None), (_write_math, None))
    app.connect("autodoc-process-docstring", _escape_bars)
    app.connect("source-read", _list_findings)
    app.connect("doctree-resolved", _mark_panels)
    app.connect("missing-reference", _resolve)
