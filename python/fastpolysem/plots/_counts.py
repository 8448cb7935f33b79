"""How a count is distributed over the seeds of a configuration."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from fastpolysem import _checks, statistics
from fastpolysem.families import AnyConfig, Column, family_of
from fastpolysem.plots._axes import COLORS, axes_or_new, plain
from fastpolysem.plots._held import checked_study
from fastpolysem.plots._legends import labelled, legend
from fastpolysem.plots._scales import fitted
from fastpolysem.studies import Study

_MOST_BARS = 200


def counts(
    study: Study,
    config: AnyConfig | str | None = None,
    ax: Axes | None = None,
    *,
    metric: str | None = None,
) -> Axes:
    """Distribution of a count over seeds, with the family's null model if there is one.

    Parameters
    ----------
    study
        The study with the counts.
    config
        A configuration of the study or its digest; may be omitted if there is only one.
    ax
        Axes to draw on; None makes a figure.
    metric
        Name of a result column of whole numbers; None for the main column of the configuration's
        family or, if that is none, for its first of whole numbers: "polysemantic" for both.

    Returns
    -------
    matplotlib.axes.Axes
        Bars are shares of seeds with 95 % Wilson intervals, for each value or, where values spread
        over more than 200, for ranges of equal length. The null model's line shows the share of
        seeds that it expects.

    Raises
    ------
    KeyError
        If the study does not contain the configuration.
    ValueError
        If the column does not contain whole numbers, or no seed has a value.
    """
    where = "plots.counts"
    checked_study(where, study)
    if config is None:
        if len(study.configs) != 1:
            raise ValueError(
                f"{where}: config must be given for a study of {len(study.configs)} configs"
            )
        config = study.configs[0]
    study.values(config, metric)  # refuses unknown ones
    digest = config if isinstance(config, str) else config.digest
    chosen = next(one for one in study.configs if one.digest == digest)
    family = family_of(chosen)
    known = {column.name: column for column in family.columns(chosen)}
    whole = [name for name, column in known.items() if column.is_count]
    if metric is None:
        metric = family.primary if family.primary in whole else whole[0]
    column = known[_checks.choice(f"{where}: metric", metric, whole)]
    given = study.values(config, column.name)
    values = given[~np.isnan(given)].astype(np.int64)
    if not len(values):
        raise ValueError(f"{where}: config must have a seed that did not diverge, got none")
    ax = axes_or_new(ax)
    first, width = _histogram(ax, values, column)
    last = int(values.max())
    null = family.distribution(chosen, column.name)
    if null is not None:
        visible = np.flatnonzero(null > null.max() * 1e-3)
        first = min(first, visible[0])
        label = f"null model: mean {float(null @ np.arange(len(null))):.3g}"
        style: dict[str, Any] = {"color": COLORS[1], "ms": 3.5, "lw": 1.2, "zorder": 3}
        ax.plot(visible, null[visible] * width, "-o", label=label, **style)
        last = max(last, visible[-1])
    ax.set_xlim(first - 0.8 * width, last + 0.8 * width)
    ax.set_ylim(bottom=0)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_xlabel(fitted(ax, plain(f"{column.title} ({family.describe(chosen)})")))
    ax.set_ylabel("share of seeds")
    legend(ax, labelled(ax))
    return ax


def _histogram(ax: Axes, values: NDArray[np.int64], column: Column) -> tuple[int, int]:
    """Shares of seeds with their intervals, from 0 if it is near; returns where they begin, and how
    many whole numbers a bar stands for."""
    least, most = int(values.min()), int(values.max())
    if most - min(0, least) < _MOST_BARS:
        least = min(0, least)
    width = -(-(most - least + 1) // _MOST_BARS)
    seen = np.bincount((values - least) // width)
    k = least + width * np.arange(len(seen)) + (width - 1) / 2
    share = np.array([statistics.proportion(int(one), len(values)) for one in seen])
    bars = np.abs(share[:, 1:] - share[:, :1]).T
    mean = statistics.mean(values, bounds=column.bounds)
    label = f"trained, {len(values)} seeds: mean {mean.value:.3g} ± {mean.half_width:.2g}"
    ax.bar(k, share[:, 0], 0.85 * width, color="#A6CBE3", label=label, zorder=1)
    occupied = seen > 0
    ax.errorbar(
        k[occupied],
        share[occupied, 0],
        bars[:, occupied],
        fmt="none",
        ecolor=COLORS[0],
        lw=1,
        capsize=2,
        zorder=2,
    )
    return least, width
