"""Figures of studies: counts of polysemantic neurons with the laws, and lost features."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from fastpolysem.families.autoencoder import theory
from fastpolysem.families.autoencoder.family import FAMILY
from fastpolysem.plots._axes import GREY
from fastpolysem.plots._curves import Drawing, draw
from fastpolysem.plots._held import chosen
from fastpolysem.studies import Study


def collisions(
    study: Study,
    ax: Axes | None = None,
    *,
    hue: str | None = None,
    select: Mapping[str, Any] | None = None,
    band: tuple[float, float] | None = None,
) -> Axes:
    """Mean number of polysemantic neurons against the number of neurons, with the law and the null
    model.

    `curve` with ``x="n_hidden"``, ``y="polysemantic"`` and ``yscale="log"``, whose references are
    drawn between the widths as well.

    Parameters
    ----------
    study
        Any configurations. One series for each combination of the settings that vary besides
        ``n_hidden``.
    ax
        Axes to draw on; None makes a figure.
    hue, select, band
        As for `curve`.

    Returns
    -------
    matplotlib.axes.Axes
        As for `curve`. Where not a single polysemantic neuron was seen, a marker at 0 has the
        interval above it. Hollow markers warn of collapse: more than 5 % of the features are
        unrepresented, or seeds diverged.
    """
    where = "plots.collisions"
    own = _own(where, study, select)
    drawing = Drawing(
        where=where,
        x="n_hidden",
        y="polysemantic",
        hue=hue,
        band=band,
        log_x=True,
        log=True,
        references=_Laws(own),
        xlabel=_width_label(own),
    )
    return draw(own, drawing, ax)


def unrepresented(
    study: Study,
    ax: Axes | None = None,
    *,
    hue: str | None = None,
    select: Mapping[str, Any] | None = None,
) -> Axes:
    """Mean share of features that no neuron represents, against the number of neurons.

    Counts of polysemantic neurons must be read together with it: a model that has lost its features
    has few polysemantic neurons for that reason alone.

    Parameters
    ----------
    study, ax, hue, select
        As for `collisions`, with the same series.

    Returns
    -------
    matplotlib.axes.Axes
        As for `curve`. Bars are 95 % intervals of the mean over seeds.
    """
    where = "plots.unrepresented"
    own = _own(where, study, select)
    drawing = Drawing(
        where=where,
        x="n_hidden",
        y="unrepresented",
        hue=hue,
        log_x=True,
        share_of="n_features",
        xlabel=_width_label(own),
        ylabel="features unrepresented",
    )
    return draw(own, drawing, ax)


def _own(where: str, study: Study, select: Mapping[str, Any] | None) -> Study:
    """The configurations to draw."""
    picked = chosen(where, study, select)
    own = picked._of_family(FAMILY.kind)
    if picked.configs and not own.configs:
        raise ValueError(f"{where}: study must hold a config of the {FAMILY.kind}, got none")
    return own


def _width_label(study: Study) -> str:
    sizes = {config.n_features for config in study.configs}
    of = f" (n = {sizes.pop()} features)" if len(sizes) == 1 else ""
    return f"hidden neurons m{of}"


class _Laws:
    """Draws the collision law and the null model over the widths of a study."""

    def __init__(self, study: Study) -> None:
        widths = [config.n_hidden for config in study.configs] or [1]
        self.span = np.geomspace(min(widths) * 0.9, max(widths) * 1.1, 200)

    def __call__(self, ax: Axes, rows: pd.DataFrame) -> dict[str, Line2D]:
        whole = np.unique(np.round(self.span))
        style: dict[str, Any] = {"color": GREY, "zorder": 2}
        for n in rows["n_features"].unique():
            (law,) = ax.plot(self.span, n**2 / (4 * self.span), lw=1, ls="-", **style)
            (null,) = ax.plot(whole, theory.null_mean(n, whole), lw=1.5, ls=":", **style)
        return {"collision law $n^2/4m$": law, "null model": null}
