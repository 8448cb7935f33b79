"""Figures of studies of networks: sharing against width, and against its cost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from fastpolysem import _checks
from fastpolysem.families.network.config import NetworkConfig
from fastpolysem.plots._axes import GREY, axes_or_new, look, plain
from fastpolysem.plots._held import (
    chosen,
    columns_of_each,
    settings_of,
    summary_of,
    suspect,
    title_of,
    warning_of,
)
from fastpolysem.plots._legends import labelled, legend
from fastpolysem.plots._scales import Scale, label_numbers
from fastpolysem.studies import Study
from fastpolysem.training import TrainingResult

_INTERVAL = "mean and 95 % interval"
_HOLLOW: dict[str, Any] = {"mfc": "white", "mew": 1.3}
_SPREAD = "mean and middle 70 % of seeds"


def sharing(
    study: Study,
    ax: Axes | None = None,
    *,
    metric: str = "shared_use",
    hue: str | None = None,
    select: Mapping[str, Any] | None = None,
) -> Axes:
    """Mean shared use against the width of the widest hidden layer, with intervals.

    Parameters
    ----------
    study
        A study of networks.
    ax
        Axes to draw on; None makes a figure.
    metric
        Another column, such as "effective_concepts", or one of the probe `measures.Controls`: with
        "shared_use", its chance level is drawn in grey.
    hue
        A setting that colours and markers stand for.
    select
        Draws only the configurations with these settings: keywords of `Study.select`.

    Returns
    -------
    matplotlib.axes.Axes
        Bars are 95 % intervals. Hollow markers warn of meaningless means: seeds diverged, or more
        than 5 % of the concepts were not learned.
    """
    where = "plots.sharing"
    own = _networks(where, chosen(where, study, select))
    groups = _groups(where, own, hue)
    summary = summary_of(where, own, metric, "metric").set_index("digest")
    ax = axes_or_new(ax)
    control = "shared_use_by_chance" if metric == "shared_use" else None
    levels = _controls(own, control)
    hollow = False
    for number, (name, configs) in enumerate(groups.items()):
        configs = sorted(configs, key=_width)
        rows = summary.loc[[config.digest for config in configs]]
        errors = [rows["mean"] - rows["ci_low"], rows["ci_high"] - rows["mean"]]
        drawn = look(number, "color", "marker")
        widths = np.array([_width(config) for config in configs])
        ax.errorbar(
            widths,
            rows["mean"],
            yerr=np.maximum(errors, 0),
            **drawn,
            capsize=2,
            label=name or f"trained, {_INTERVAL}",
        )
        doubtful = suspect(own, rows.reset_index()).to_numpy()
        if doubtful.any():
            middle = rows["mean"].to_numpy()[doubtful]
            ax.plot(
                widths[doubtful], middle, drawn["marker"], mec=drawn["color"], zorder=4, **_HOLLOW
            )
            hollow = True
        if levels is not None:
            chance = levels.loc[[config.digest for config in configs]]["mean"]
            label = "by chance (dotted)" if number == 0 else None
            colour = GREY if len(groups) == 1 else drawn["color"]
            ax.plot(widths, chance, color=colour, ls=":", label=label)
    if hollow:
        ax.plot([], [], "o", mec=GREY, label=warning_of(own), **_HOLLOW)
    widest = np.array([_width(config) for config in own.configs], dtype=np.float64)
    label_numbers(ax, widest, Scale(log=True), 1.0)
    ax.set(xlabel="hidden neurons per layer", ylabel=title_of(own, metric), ylim=(0, None))
    legend(ax, labelled(ax), _INTERVAL if len(groups) > 1 else None)
    return ax


def front(
    study: Study,
    x: str = "loss",
    y: str = "shared_use",
    ax: Axes | None = None,
    *,
    hue: str | None = None,
    select: Mapping[str, Any] | None = None,
) -> Axes:
    """Two columns against each other, one point per configuration, with their Pareto front.

    Configurations on the front are those that no other configuration beats in both columns.

    Parameters
    ----------
    study
        A study of networks.
    x, y
        Columns in which smaller values are better, such as "held_out_loss" and "shared_use".
    ax
        Axes to draw on; None makes a figure.
    hue
        A setting that colours and markers stand for.
    select
        Draws only the configurations with these settings: keywords of `Study.select`.

    Returns
    -------
    matplotlib.axes.Axes
        Means with 95 % intervals.
    """
    where = "plots.front"
    own = _networks(where, chosen(where, study, select))
    groups = _groups(where, own, hue)
    named = {"x": x, "y": y}
    tables = [summary_of(where, own, m, axis).set_index("digest") for axis, m in named.items()]
    ax = axes_or_new(ax)
    for number, (name, configs) in enumerate(groups.items()):
        rows = [table.loc[[config.digest for config in configs]] for table in tables]
        bars = [np.maximum([r["mean"] - r["ci_low"], r["ci_high"] - r["mean"]], 0) for r in rows]
        ax.errorbar(
            rows[0]["mean"],
            rows[1]["mean"],
            xerr=bars[0],
            yerr=bars[1],
            ls="",
            **look(number, "color", "marker"),
            ms=5,
            elinewidth=0.8,
            label=name or None,
        )
    means = np.array([tables[0]["mean"], tables[1].loc[tables[0].index]["mean"]])
    best = means[:, pareto(means.T)]
    best = best[:, np.argsort(best[0])]
    ax.step(*best, where="post", color=GREY, lw=1, zorder=0, label="front")
    ax.set(xlabel=title_of(own, x), ylabel=title_of(own, y))
    legend(ax, labelled(ax))
    return ax


def pareto(points: Any) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """(N,) whether no other of the (N, 2) points, nan aside, is as low in both and lower in one."""
    points = np.asarray(points, dtype=np.float64)
    beaten = [
        bool(((points <= point).all(axis=1) & (points < point).any(axis=1)).any())
        for point in points
    ]
    return np.asarray(~np.array(beaten, dtype=bool) & ~np.isnan(points).any(axis=1))


def training_curves(
    result: TrainingResult, metric: str = "shared_use", ax: Axes | None = None
) -> Axes:
    """Recorded values during training, layer by layer: mean over seeds and middle 70 %.

    Parameters
    ----------
    result
        Result for networks with a record of the metric, and of ``metric_1``, ... for single layers.
    metric
        A recorded metric.
    ax
        Axes to draw on; None makes a figure.

    Returns
    -------
    matplotlib.axes.Axes
    """
    where = "plots.training_curves"
    _checks.instance(f"{where}: result", result, TrainingResult, "a TrainingResult")
    _checks.instance(f"{where}: result.config", result.config, NetworkConfig, "a NetworkConfig")
    layers = [f"{metric}_{k}" for k in range(1, len(result.config.widths) - 1)]
    recorded = [name for name in (*layers, metric) if name in result.history]
    if not recorded:
        given = ", ".join(name for name in result.history if name != "step") or "none"
        raise ValueError(f"{where}: metric must be one that is recorded ({given}), got {metric!r}")
    if result.diverged.all():
        raise ValueError(f"{where}: result must have a seed that did not diverge, got none")
    ax = axes_or_new(ax)
    steps, alone = result.history["step"], len(recorded) == 1
    for number, name in enumerate(recorded):
        values = result.history[name][~result.diverged]
        of_layer = f"layer {name.rpartition('_')[2]}" if name in layers else "all layers"
        colour = look(number)["color"]
        ax.plot(
            steps,
            values.mean(axis=0),
            color=colour,
            ls=("-", "--", "-.", ":")[number % 4],
            label=_SPREAD if alone else of_layer,
        )
        low, high = np.percentile(values, (15, 85), axis=0)
        ax.fill_between(steps, low, high, color=colour, alpha=0.15, lw=0)
    ax.set(xlabel="steps", ylabel=metric.replace("_", " "))
    legend(ax, labelled(ax), None if alone else _SPREAD)
    return ax


def _width(config: NetworkConfig) -> int:
    return max(config.widths[1:-1])


def _networks(where: str, study: Study) -> Study:
    if not all(isinstance(config, NetworkConfig) for config in study.configs):
        raise _checks.refused(f"{where}: study", "a study of networks", study)
    return study


def _groups(where: str, study: Study, hue: str | None) -> dict[str, list[NetworkConfig]]:
    """The configurations by the value of a setting."""
    if hue is None:
        return {"": list(study.configs)}
    table = settings_of(study)
    _checks.choice(f"{where}: hue", hue, table.columns)
    groups: dict[str, list[NetworkConfig]] = {}
    for config, value in zip(study.configs, table[hue], strict=True):
        groups.setdefault(plain(f"{hue.replace('_', ' ')} {value}"), []).append(config)
    return groups


def _controls(study: Study, column: str | None) -> Any:
    """The summary of a probe's column, or None without it."""
    if not any(column in names for names in columns_of_each(study).values()):
        return None
    return study.summary(column).set_index("digest")
