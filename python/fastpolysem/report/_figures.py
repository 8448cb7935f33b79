"""Figures of a report: SVG whose black and white follow the page's colours, captions and data."""

from __future__ import annotations

import base64
import html
import io
import re
from collections.abc import Callable
from typing import Any, NamedTuple

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fastpolysem import plots
from fastpolysem._checks import printable
from fastpolysem.families import family_of
from fastpolysem.report._settings import varying
from fastpolysem.report._tables import download
from fastpolysem.studies import Study

_MOST_DISTRIBUTIONS = 12
_MOST_BYTES = 250_000  # of a figure as SVG; larger ones are embedded as pixels
_MANY = 24  # configurations: figures of more fill the page's width
_SIZE = (4.4, 3.3)
_WIDE = (8.4, 5.6)
_SMALL = (3.4, 2.6)


class Picture(NamedTuple):
    """A figure on the page."""

    image: str
    """HTML; empty if it could not be drawn."""
    caption: str
    data: str
    """Address of a CSV file."""
    file: str
    """Its name."""
    wide: bool = False


def overview(
    study: Study, caption: str, draw: Callable[[Study, Axes], Any], table: pd.DataFrame, file: str
) -> Picture:
    """A figure of a whole study, with the table that it shows."""
    wide = len(study.configs) > _MANY
    ax = _axes(_WIDE if wide else _SIZE)
    data = download(table)
    try:
        draw(study, ax)
    except ValueError as error:  # such as more panels than can be looked at
        return Picture("", f"{caption}: not drawn ({printable(str(error))})", data, file)
    return Picture(_embedded(ax, caption), caption, data, file, wide)


def distributions(study: Study, metric: str, prefix: str) -> tuple[list[Picture], int]:
    """Figures of the first configurations, and the number of remaining ones."""
    pictures = []
    configs = [one for one in study.configs if len(study.values(one)) > 1]
    for config in configs[:_MOST_DISTRIBUTIONS]:
        ax = _axes(_SMALL)
        plots.counts(study, config, ax)
        settings = ", ".join(f"{name} = {value}" for name, value in varying(study, config).items())
        caption = f"{prefix}{printable(settings) or family_of(config).describe(config)}"
        values, seeds = np.unique(study.values(config), return_counts=True)
        table = pd.DataFrame({metric: values, "seeds": seeds})
        file = f"{metric}-{config.digest[:8]}.csv"
        pictures.append(Picture(_embedded(ax, caption), caption, download(table), file))
    return pictures, len(configs) - len(pictures)


def _axes(size: tuple[float, float]) -> Axes:
    axes: Axes = Figure(figsize=size, layout="constrained").subplots()
    return axes


def _embedded(ax: Axes, description: str) -> str:
    """The figure of the axes as HTML to be embedded in a page with other figures."""
    figure = ax.figure.canvas.figure
    label = html.escape(description)
    file = io.StringIO()
    metadata: dict[str, Any] = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    with matplotlib.rc_context({"svg.hashsalt": description, "svg.fonttype": "path"}):
        figure.savefig(file, format="svg", metadata=metadata)
    svg = file.getvalue()
    if len(svg) > _MOST_BYTES:
        pixels = io.BytesIO()
        figure.savefig(pixels, format="png", dpi=160, metadata={"Software": None})
        text = base64.b64encode(pixels.getvalue()).decode()
        return f'<img alt="{label}" src="data:image/png;base64,{text}">'
    svg = svg[svg.index("<svg") :]
    # Identifiers are global to a page, not to a figure.
    prefix = re.sub(r"\W+", "-", description)
    svg = re.sub(r'\bid="', f'id="{prefix}-', svg)
    svg = re.sub(r'(url\(#|href="#)', rf"\1{prefix}-", svg)
    svg = re.sub(r' (width|height)="[\d.]+pt"', "", svg, count=2)
    svg = svg.replace("#ffffff", "var(--ground)").replace("#000000", "currentColor")
    return svg.replace("<svg", f'<svg role="img" aria-label="{label}"', 1)
