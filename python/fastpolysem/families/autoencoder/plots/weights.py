"""Figures of one model's weights: after training, during training, and by neuron."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from fastpolysem import _checks
from fastpolysem.families.autoencoder import metrics
from fastpolysem.families.autoencoder.config import Config, check_config
from fastpolysem.families.autoencoder.objective import WeightsLike
from fastpolysem.plots._axes import COLORS, axes_or_new, panels
from fastpolysem.plots._legends import legend_over
from fastpolysem.plots._matrix import image as image_of
from fastpolysem.plots._scales import fitted, size_of
from fastpolysem.training import train

_KINDS = ("malign", "benign", "one feature")
_KIND_COLORS = (COLORS[1], COLORS[0], "#8C8C8C")
_PANELS_IN_ROW = 3
_LABEL = 12
"""Points along an axis that a number of two digits needs."""


def weights_over_time(
    config: Config,
    seed: int = 0,
    steps: Collection[int] | None = None,
    ax: Axes | None = None,
    *,
    num_threads: int | None = None,
) -> Axes:
    """One model's weights during training, from random values to the winners, as heat maps.

    All heat maps have the same order of features and neurons, that of `collision_map` for the last
    one: neurons that will be shared are on the left from the start, and the winners of features
    form a staircase.

    Parameters
    ----------
    config
        The settings. The model is retrained up to each of the steps, which gives the same bits as
        the weights at that step of a single run (up to rounding within a schedule).
    seed
        Seed of the model, in [0, 2**64).
    steps
        Numbers of updates after which to show the weights, at most ``config.steps``; 0 is the
        start. By default six, from the start to the end.
    ax
        Axes of a figure's subplots, replaced by the heat maps; None creates a figure.
    num_threads
        As in `fastpolysem.train`.

    Returns
    -------
    matplotlib.axes.Axes
        Those of the first heat map, or ``ax``. Untied models show their
        `metrics.effective_weights`.
    """
    where = "plots.weights_over_time"
    check_config(where, config)
    number = _checks.integer(f"{where}: seed", seed, (">=", 0), ("<", 2**64))
    if steps is None:
        fractions = (0, 0.05, 0.1, 0.2, 0.4, 1)
        steps = [round(config.steps * fraction) for fraction in fractions]
    bounds = ((">=", 0), ("<=", config.steps))
    at = sorted(set(_checks.integers(f"{where}: steps", steps, *bounds)))
    if not at:
        raise ValueError(f"{where}: steps must hold at least one step, got none")
    shown = []
    for step in at:
        # A certified stop only ends training whose outcome can no longer change.
        result = train(_until(config, step), [number], return_weights=True, num_threads=num_threads)
        if result.diverged[0]:
            raise ValueError(f"{where}: config must not diverge, but did by step {step}: {config}")
        stack, came_in = effective(where, result.weights, 3)
        shown.append(stack[0])

    order = _collisions(shown[-1], *metrics.window(came_in, metrics.LOW, metrics.HIGH))
    columns = np.concatenate([order.neurons, order.dead])
    across = min(_PANELS_IN_ROW, len(at))
    down = -(-len(at) // across)
    size = (0.6 + 2.6 * across, 0.4 + 2.2 * down)
    grid = panels(ax, down, across, size, sharex=True, sharey=True)
    end = max(1.0, *(float(np.abs(weights).max()) for weights in shown))
    for one in grid.flat[len(at) :]:
        one.set_axis_off()
    used = list(grid.flat[: len(at)])
    for one, step, weights in zip(used, at, shown, strict=True):
        image = image_of(one, weights[np.ix_(order.features, columns)], end)
        one.set_title(f"step {step:,}" if step else "start", fontsize="medium")
        one.label_outer()
    for one in grid[-1]:
        one.set_xlabel("neurons")
    for one in grid[:, 0]:
        one.set_ylabel("features")
    used[0].figure.colorbar(image, ax=used, label="weight", shrink=0.8)
    first: Axes = used[0]
    return first if ax is None else ax


def _until(config: Config, step: int) -> Config:
    """The settings for the first steps of training."""
    if step == config.steps:
        return config
    rates: Any = config.learning_rate_schedule
    if rates == "cosine":
        rates = [(t, (1 + math.cos(math.pi * t / config.steps)) / 2) for t in range(step + 2)]
    return config.replace(
        steps=step,
        l1_schedule=_beginning(config.l1_schedule, step),
        learning_rate_schedule=_beginning(rates, step),
    )


def _beginning(schedule: Any, step: int) -> Any:
    """The part of a schedule that matters to the first steps."""
    if schedule is None or step == 0:
        return None
    if schedule[-1][0] <= step:
        return schedule
    ends, factors = zip(*schedule, strict=True)
    last = float(np.interp(step - 1, ends, factors))
    # A factor for the step that is not taken, as a schedule must change something.
    after = factors[-1] if factors[-1] != last else last / 2 or 1.0
    kept = [point for point in schedule if point[0] < step - 1]
    return [*kept, (step - 1, last), (step, after)]


def collision_map(
    weights: WeightsLike,
    ax: Axes | None = None,
    *,
    low: float = metrics.LOW,
    high: float = metrics.HIGH,
    shared_only: bool = False,
) -> Axes:
    """Which features each neuron represents, and which of them collide.

    Parameters
    ----------
    weights
        Weights of one model, (n, m) or Parameters; for untied models the
        `metrics.effective_weights` are shown.
    ax
        Axes to draw on; None creates a figure. The legend is above the axes.
    low, high
        A neuron represents a feature if low <= |weight| <= high, as in `count_polysemantic`.
    shared_only
        Whether to omit neurons with a single feature, and features only on such neurons.

    Returns
    -------
    matplotlib.axes.Axes
        One column per neuron, one row per feature. Triangles pointing up are positive weights,
        those pointing down negative; a line joins the features of a shared neuron. Orange: two
        features of the same sign (malign); blue: one of each sign (benign); grey: a single feature.
        Neurons without features are only counted in the label. Ticks are the numbers of features
        and neurons, all of them where there is room.
    """
    where = "plots.collision_map"
    lower = _checks.real(f"{where}: low", low, (">", 0))
    upper = _checks.real(f"{where}: high", high, (">=", lower), finite=False)
    matrix, came_in = effective(where, weights, 2)
    found = _collisions(matrix, *metrics.window(came_in, lower, upper))
    features, neurons, kinds = found.features, found.neurons, found.kinds
    if _checks.flag(f"{where}: shared_only", shared_only):
        neurons, kinds = neurons[kinds < 2], kinds[kinds < 2]
        features = features[found.represented[np.ix_(features, neurons)].any(axis=1)]
    ax = axes_or_new(ax)
    rows, columns = len(features), len(neurons)
    cells = found.represented[np.ix_(features, neurons)]
    width, height = size_of(ax)
    cell = min(width / max(columns, 1), height / max(rows, 1))
    size = float(np.clip(0.5 * cell**2, 4, 60))  # an area
    for kind, color in enumerate(_KIND_COLORS):
        of_kind = np.flatnonzero(kinds == kind)
        for column in of_kind if kind < 2 else ():
            ends = np.flatnonzero(cells[:, column])[[0, -1]]
            ax.plot([column, column], ends, color=color, lw=1.5, zorder=2)
            ax.axvspan(column - 0.5, column + 0.5, color=color, alpha=0.12, lw=0, zorder=0)
        row, place = np.nonzero(cells[:, of_kind])
        positive = matrix[features[row], neurons[of_kind[place]]] > 0
        for marker, these in (("^", positive), ("v", ~positive)):
            ax.scatter(
                of_kind[place[these]], row[these], size, color=color, marker=marker, zorder=3
            )
    ax.set_xlim(-0.7, max(columns, 1) - 0.3)
    ax.set_ylim(max(rows, 1) - 0.3, -0.7)
    if not cells.any():
        what = "two features" if shared_only else "a feature"
        said = f"no neuron has {what}\nwith a |weight| of {lower:g} to {upper:g}"
        ax.text(0.5, 0.5, said, ha="center", va="center", transform=ax.transAxes)
    for axis, numbers, room in ((ax.xaxis, neurons, width), (ax.yaxis, features, height)):
        _label(axis, numbers, room)
    hidden = f"{matrix.shape[1] - columns} {'others' if shared_only else 'dead ones'} not shown"
    ax.set_xlabel(fitted(ax, f"neurons ({hidden}), shared ones first"))
    lost = int((~found.represented.any(axis=1)).sum())
    last = f" ({lost} unrepresented, last)" if lost and not shared_only else ""
    ax.set_ylabel(fitted(ax, f"features{last}", vertical=True))
    _explain(ax, found.kinds)
    return ax


def _label(axis: Axis, numbers: NDArray[np.intp], room: float) -> None:
    """Number all features or neurons if an axis of this many points has room, else some."""
    if len(numbers) * _LABEL <= room:
        axis.set_major_locator(FixedLocator(range(len(numbers))))
        axis.set_tick_params(labelsize="small")
    else:
        axis.set_major_locator(MaxNLocator("auto", integer=True, min_n_ticks=1))
    axis.set_major_formatter(FuncFormatter(_numbered(numbers)))


def _numbered(numbers: NDArray[np.intp]) -> Callable[[float, Any], str]:
    """Tick labels: the number of the feature or neuron at a position."""

    def label(place: float, _: Any) -> str:
        index = round(place)
        return str(numbers[index]) if index == place and 0 <= index < len(numbers) else ""

    return label


def _explain(ax: Axes, kinds: NDArray[np.int64]) -> None:
    entries: dict[str, Any] = {
        f"{name}: {int((kinds == kind).sum())}": Rectangle((0, 0), 1, 1, color=color, lw=0)
        for kind, (name, color) in enumerate(zip(_KINDS, _KIND_COLORS, strict=True))
    }
    style: dict[str, Any] = {"ls": "", "color": "#333333"}
    entries |= {
        "weight > 0": Line2D([], [], marker="^", **style),
        "weight < 0": Line2D([], [], marker="v", **style),
    }
    legend_over(ax, entries, handlelength=1, columnspacing=1.2)


class _Collisions(NamedTuple):
    """Features and neurons of a model in drawing order."""

    represented: NDArray[np.bool_]
    """(n, m) whether the size of the weight is in the window."""
    features: NDArray[np.intp]
    """(n,) features by position of their neuron; unrepresented ones last."""
    neurons: NDArray[np.intp]
    """Neurons with features: malign ones, benign ones, then those with a single feature."""
    kinds: NDArray[np.int64]
    """Index of each into `_KINDS`."""
    dead: NDArray[np.intp]
    """The other neurons."""


def _collisions(weights: NDArray[Any], low: float, high: float) -> _Collisions:
    size = np.abs(weights)
    represented = (size >= low) & (size <= high)
    positive = (represented & (weights > 0)).sum(axis=0)
    negative = (represented & (weights < 0)).sum(axis=0)
    kinds = np.select([np.maximum(positive, negative) > 1, positive * negative > 0], [0, 1], 2)
    first = np.argmax(represented, axis=0)
    used = positive + negative > 0
    neurons = np.lexsort((first, kinds, ~used))
    place = np.empty_like(neurons)
    place[neurons] = np.arange(len(neurons))
    features = np.argsort(np.where(represented, place, len(place)).min(axis=1), kind="stable")
    shown = int(used.sum())
    neurons, dead = neurons[:shown], neurons[shown:]
    return _Collisions(represented, features, neurons, kinds[neurons], dead)


def effective(where: str, weights: Any, *axes: int) -> tuple[NDArray[Any], np.dtype[Any]]:
    """Weights with one of these numbers of axes, effective ones of untied models; their type."""
    read, came_in = metrics.read_weights(where, weights)
    matrix = _checks.array(f"{where}: weights", read, read.dtype, axes)
    if not matrix.size:
        raise _checks.refused(f"{where}: weights", "of a model or more", matrix)
    return matrix, came_in
