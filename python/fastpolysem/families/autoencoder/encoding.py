"""Dynamics of a single encoding under l1, without interference: ``m`` weights reduced to one.

The flow ``dw/dt = (1 - ‖w‖²) w - λ sign(w)`` of a single feature (Lecomte et al., arXiv 2312.03096,
section 3), integrated by Euler steps. A weight that reaches zero stays there. Gradient descent on
the summed loss of a model takes the same steps, with ``λ = Config.l1 / 4`` and a step size of
``4 · learning_rate``.

Weights need not be updated individually. All remaining weights take the same step of size ``h``,
``w → (1 + h(1 - ‖w‖²)) w - hλ``, so each is the same function of its initial value,
``w(t) = a(t) (w(0) - b(t))`` with

    a → (1 + h(1 - ‖w‖²)) a        b → b + hλ/a (with the new a)        a(0) = 1, b(0) = 0

The threshold ``b`` only rises, and the remaining weights are those that started above it. Given the
sorted initial weights and the sums ``P₁`` and ``P₂`` of the ``k`` largest and of their squares,
``‖w‖₁ = a (P₁ - kb)`` and ``‖w‖² = a² (P₂ - 2bP₁ + kb²)``, so that the cost of a step does not
depend on ``m``. This holds exactly for the Euler steps, not only for the flow.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastpolysem import _checks
from fastpolysem._files import Archive, load_arrays, save_arrays
from fastpolysem._native import core
from fastpolysem.specs.settings import MOST_STEPS
from fastpolysem.training import seed_array, seed_count

__all__ = ["Trajectories", "simulate"]

# In units of 1 / l1. A single weight is left long before this time. Afterwards w(0) - b(t) is the
# small difference of two numbers, multiplied by an exponentially growing a(t).
_MOST_TIME = 5


@dataclass(frozen=True, eq=False, kw_only=True)
class Trajectories:
    """Encodings while their weights are reduced to one: S seeds at R times."""

    n_hidden: int
    """Number of weights m."""
    l1: float
    """λ of the flow."""
    step: float
    """Length of an Euler step."""
    init_scale: float
    """The initial weights are this factor times |N(0, 1/m)|."""
    seeds: NDArray[np.uint64]
    """(S,)"""
    t: NDArray[np.float64]
    """(R,) ascending, from 0."""
    support: NDArray[np.int64]
    """(S, R) number of remaining weights, m'."""
    l1_norm: NDArray[np.float64]
    """(S, R) sum of the remaining weights."""
    squared_norm: NDArray[np.float64]
    """(S, R) sum of their squares."""
    largest: NDArray[np.float64]
    """(S, R) the largest weight; 0 if none remains."""
    second: NDArray[np.float64]
    """(S, R) the second largest weight; 0 if fewer than two remain."""

    @property
    def relative_variance(self) -> NDArray[np.float64]:
        """(S, R) variance over squared mean of the remaining weights; nan if there are none."""
        with np.errstate(invalid="ignore"):
            ratio = self.support * self.squared_norm / self.l1_norm**2 - 1
        result: NDArray[np.float64] = np.where(self.support == 1, 0.0, ratio)
        return result

    @property
    def gap(self) -> NDArray[np.float64]:
        """(S, R) relative gap of the two largest, (largest - second) / largest; nan without any.

        Under the flow it grows by the factor exp(∫ λ / largest dt). Once the second weight has
        vanished it is 1.
        """
        with np.errstate(invalid="ignore"):
            result: NDArray[np.float64] = (self.largest - self.second) / self.largest
        return result

    def start(self, index: int) -> NDArray[np.float32]:
        """(m,) initial weights of the seed at this position in ``seeds``."""
        return _start(self.seeds[index], self.n_hidden, self.init_scale)

    def relative_variance_bounds(self, index: int) -> tuple[NDArray[Any], NDArray[Any]]:
        """Bounds on a seed's relative variance from its initial weights and m', two (R,) arrays.

        The m' remaining weights are the largest initial weights minus a threshold, which lies
        between the smallest of these and the next smaller initial weight. Dividing their variance
        by the squared distance of their mean from each of the two gives the bounds. nan where no
        weight remains. Each call draws the initial weights again, which takes a few times their
        memory.
        """
        descending = np.sort(self.start(index).astype(np.float64))[::-1]
        k = self.support[index]
        some, last = k > 0, np.maximum(k, 1) - 1
        mean = np.cumsum(descending)[last] / (last + 1)
        variance = np.maximum(np.cumsum(descending**2)[last] / (last + 1) - mean**2, 0)
        variance[k == 1] = 0
        above = mean - descending[last]
        above[k <= 1] = np.inf  # a single weight is its own mean
        below = mean - np.append(descending, 0.0)[last + 1]
        low, high = (np.where(some, variance / one**2, np.nan) for one in (below, above))
        return low, high

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write everything to one .npz file at exactly this path."""
        everything = {one.name: getattr(self, one.name) for one in fields(self)}
        save_arrays(_checks.file_path("Trajectories.save: path", path), everything)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Trajectories:
        """Read a file written by `save`; additional content is ignored.

        Raises
        ------
        ValueError
            If the file is damaged or of another kind; the message names the path.
        OSError, MemoryError
            If it cannot be read, which does not mean that it is damaged.
        """
        return load_arrays("Trajectories", path, cls._from_arrays)

    @classmethod
    def _from_arrays(cls, archive: Archive) -> Trajectories:
        seeds, times = archive.described("seeds")[1][:1], archive.described("t")[1][:1]
        kinds = {"seeds": (np.uint64, seeds), "t": (np.float64, times)}
        kinds |= {name: (kind, seeds + times) for name, kind in _COLUMNS.items()}
        found: dict[str, Any] = {name: archive.array(name, *kind) for name, kind in kinds.items()}
        for name, kind in _SETTINGS.items():
            found[name] = archive.array(name, kind, ()).item()
        return cls(**found)


def simulate(
    n_hidden: int,
    l1: float,
    seeds: int | ArrayLike = 1,
    *,
    step: float = 0.5,
    until: float | None = None,
    init_scale: float = 0.9,
    points: int = 200,
) -> Trajectories:
    """Simulate encodings from normal initial weights until (nearly) all weights are zero.

    The initial weights are the absolute values of those of a model with one feature and ``m``
    neurons at the same seed.

    Parameters
    ----------
    n_hidden
        Number of weights m.
    l1
        λ of the flow, > 0; a quarter of `Config.l1`. If it exceeds about the largest initial weight
        (a few times ``1/√m``), all weights vanish and ``support`` ends at 0.
    seeds
        A count S for the seeds 0 to S - 1, or a 1-d collection of integers in [0, 2**64).
    step
        Size of an Euler step, 0 < step <= 1.
    until
        Final time, at most ``5 / l1``, rounded to a whole number of steps of at least one; by
        default ``2 / l1``.
    init_scale
        Factor of the initial weights, and about their initial norm; at most 1.5.
    points
        Approximate number of recorded times, geometrically spaced, in addition to the start.

    Returns
    -------
    Trajectories

    Raises
    ------
    TypeError, ValueError
        For invalid arguments; the message names the argument, its value and what is allowed.
    """
    m = _checks.integer("simulate: n_hidden", n_hidden, (">=", 1), ("<", 2**31))
    strength = _checks.real("simulate: l1", l1, (">", 0))
    h = _checks.real("simulate: step", step, (">", 0), ("<=", 1))
    longest = _MOST_TIME / strength
    end = 2 / strength
    if until is not None:
        end = _checks.real("simulate: until", until, (">", 0), ("<=", longest))
    if not end / h < MOST_STEPS:
        allowed = f"< {MOST_STEPS} steps"
        hint = (
            "" if until is not None else f", as until is 2 / l1 with l1={strength:g} unless given"
        )
        raise ValueError(f"simulate: until / step must be {allowed}, got {end:g} / {h:g}{hint}")
    scale = _checks.real("simulate: init_scale", init_scale, (">", 0), ("<=", 1.5))
    count = _checks.integer("simulate: points", points, (">=", 1))
    last = max(1, round(end / h))
    at = np.unique(np.round(np.geomspace(1, last, count)))
    at = np.concatenate([[0.0], at])
    results = 48 * len(at) * seed_count("simulate", seeds)
    needed = {"the weights of one seed": 20 * m, "the results": results}
    _checks.memory("simulate", needed, "use fewer weights, seeds or points")
    chosen = seed_array("simulate", seeds)
    # Half a step before each time, so that its rounding does not matter.
    times = ((at - 0.5) * h).tolist()
    runs = [core.encoding_run(_start(seed, m, scale), strength, h, end, times) for seed in chosen]
    shape = len(chosen), len(at)
    columns = {name: np.array([run[name] for run in runs]).reshape(shape) for name in _COLUMNS}
    for name in ("l1_norm", "squared_norm"):  # a(t) overflows long after the last weight vanished
        columns[name][columns["support"] == 0] = 0
    return Trajectories(
        n_hidden=m,
        l1=strength,
        step=h,
        init_scale=scale,
        seeds=chosen,
        t=at * h,
        support=columns.pop("support").astype(np.int64),
        **columns,
    )


# The scalar fields with their types in a file, and the (S, R) arrays.
_SETTINGS: dict[str, Any] = {
    "n_hidden": np.int64,
    "l1": np.float64,
    "step": np.float64,
    "init_scale": np.float64,
}
_COLUMNS: dict[str, Any] = {
    "support": np.int64,
    "l1_norm": np.float64,
    "squared_norm": np.float64,
    "largest": np.float64,
    "second": np.float64,
}


def _start(seed: np.uint64, n_hidden: int, init_scale: float) -> NDArray[np.float32]:
    start: NDArray[np.float32] = core.encoding_start(
        int(seed), n_hidden, init_scale / math.sqrt(n_hidden)
    )
    return start
