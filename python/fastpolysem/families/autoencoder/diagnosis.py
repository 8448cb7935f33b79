"""Is the polysemanticity of given weights necessary or incidental?

A polysemantic neuron is *incidental* here if one of its features could move to another neuron
without more interference: training could have kept them apart. It is *necessary* if none could,
because every neuron is in use.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastpolysem import _checks
from fastpolysem.families.autoencoder.metrics import checked_weights

__all__ = ["Diagnosis", "diagnose"]

# Arrays of the size of the weights, in float64, that there are at a time at the most.
_COPIES = 8

_MOST_SHOWN = 30  # neurons in a notebook's table


@dataclass(frozen=True, repr=False)
class Diagnosis:
    """The diagnosis of the weights of one model, returned by `diagnose`."""

    neurons: NDArray[np.int64]
    """(K,) the polysemantic neurons, ascending: those that two or more features concentrate on."""
    features: tuple[tuple[int, ...], ...]
    """The features that concentrate on each of them, by descending size of the weight."""
    malign: NDArray[np.bool_]
    """(K,) whether two of them have the same sign, so that the ReLU does not keep them apart."""
    interference: NDArray[np.float64]
    """(K,) what the best single move of a feature to another neuron would add to the interference
    (`diagnose`); inf if there is no other neuron."""
    incidental: NDArray[np.bool_]
    """(K,) whether that is within the tolerance. Neurons may compete for one vacant neuron: how
    many can be freed *together* is ``removable``."""
    vacant: NDArray[np.int64]
    """Neurons that no learned feature concentrates on: where a feature can move to."""
    free: NDArray[np.int64]
    """Those of them that no learned feature uses at all: no weight is as large as ``least`` times
    its feature's norm."""
    represented: int
    """Learned features that concentrate on a neuron."""
    spread: NDArray[np.int64]
    """Learned features that do not concentrate on any neuron; the diagnosis does not cover them."""
    unlearned: NDArray[np.int64]
    """Features whose norm is below ``learned`` times the largest, excluded from all else."""
    removable: int
    """How many of the polysemantic neurons can be made monosemantic by moves, one after another,
    each within the tolerance."""
    necessary: int
    """The least number of polysemantic neurons with these features and neurons if two features at
    most share one, ``max(0, represented - neurons)``."""
    weights: NDArray[np.float64]
    """(n, m) the given weights after these moves: as monosemantic as moves make them."""

    def __repr__(self) -> str:
        return f"<Diagnosis: {self}>"

    def _repr_html_(self) -> str:
        """A table with a row per polysemantic neuron, for notebooks."""
        from fastpolysem._html import render

        columns = ("neuron", "features", "signs", "best move adds", "")
        rows = [
            (
                int(neuron),
                ", ".join(map(str, features)),
                "equal (malign)" if malign else "opposite (benign)",
                f"{added:.3g}",
                "incidental" if incidental else "necessary",
            )
            for neuron, features, malign, added, incidental in zip(
                self.neurons,
                self.features,
                self.malign,
                self.interference,
                self.incidental,
                strict=True,
            )
        ]
        shown = rows[:_MOST_SHOWN]
        left_out = len(rows) - len(shown)
        found = render("table.html", columns=columns, rows=shown, left_out=left_out) if rows else ""
        return f"<p>{self}</p>\n{found}"

    def __str__(self) -> str:
        n, m = self.weights.shape
        return (
            f"{n} features, {m} neurons: {len(self.neurons)} polysemantic "
            f"({int(self.malign.sum())} malign), {self.removable} of them incidental, at least "
            f"{self.necessary} necessary; {len(self.vacant)} neurons without a feature; "
            f"{self.represented} features on a neuron, {len(self.spread)} spread, "
            f"{len(self.unlearned)} not learned"
        )


def diagnose(
    weights: Any,
    *,
    concentrated: float = 0.8,
    least: float = 0.1,
    learned: float = 0.3,
    tolerance: float = 0.01,
) -> Any:
    """Tell incidental from necessary polysemanticity in the weights of an autoencoder.

    Works for weights of any origin and scale. The norm of a feature determines only whether it was
    learned; everything else depends on its direction. The measure is the interference that passes
    the ReLU, ``I = Σ_i Σ_{j≠i} ReLU(cos(W_i, W_j))²``, which for a tied ReLU autoencoder with
    features of norm 1 is its loss on one-hot inputs. A move exchanges a feature's weights on two
    neurons; it keeps the norm.

    Parameters
    ----------
    weights
        (n, m): row i is feature i, column k neuron k; (S, n, m) for a stack of models; or
        `fastpolysem.Parameters` of untied models, whose `fastpolysem.metrics.effective_weights` are
        taken. Arrays, lists, and tensors on any device, with a gradient or without.
        ``torch.nn.Linear(n, m).weight`` is (m, n): pass its transpose.
    concentrated
        A feature is on a neuron if its \\|weight\\| there is at least this share of its norm. More
        than 0.7071, so that there is at most one such neuron.
    least
        A neuron is free if no \\|weight\\| there reaches this share of its feature's norm.
    learned
        A feature is learned if its norm is at least this share of the largest norm in its model,
        from 0 to 1. A tied model returns a feature of norm r at r² of its size, so the default
        excludes features returned at less than a tenth. A feature whose weights are all 0 is never
        learned.
    tolerance
        Interference that a move may add, at least 0; two features of one direction have 2.

    Returns
    -------
    Diagnosis; for a stack a list of them

    Raises
    ------
    TypeError, ValueError
        For weights that are not a finite real array of one of these shapes, such as those of a
        `NetworkConfig`, and for thresholds out of range.
    MemoryError
        If the working memory does not fit: 64 bytes per weight of one model, plus 8 bytes per
        weight of a stack.

    Notes
    -----
    Scope and limits:

    * The *rows* must be the features. Where features are not known, as in most real networks, the
      diagnosis does not apply. Missing features make neurons look free: with half of them unseen
      the answer is often wrong (the experiment ``diagnose`` measures how often).
    * A single neuron is not informative: the two weights of an incidental pair and of a necessary
      one are alike. Only the other neurons distinguish them.
    * "Incidental" means that there is room, not that a feature would have moved there from other
      initial weights. Only interference on inputs with one feature counts. If features co-occur, a
      shared neuron costs more than ``interference``, never less.
    * Features spread over several neurons are a different kind of superposition and are ignored.
    * A model that leaves features out needs fewer neurons. If some were not learned, compare losses
      before concluding that little is shared.

    Examples
    --------
    >>> import numpy as np
    >>> import fastpolysem as fp
    >>> weights = np.eye(3, 4)
    >>> weights[2] = -weights[1]        # two features on neuron 1, neurons 2 and 3 have none
    >>> print(fp.diagnose(weights))
    3 features, 4 neurons: 1 polysemantic (0 malign), 1 of them incidental, at least 0 necessary; \
2 neurons without a feature; 3 features on a neuron, 0 spread, 0 not learned
    """
    limits = _Limits(
        share=_checks.real("diagnose: concentrated", concentrated, (">", 0.7072), ("<=", 1)),
        least=_checks.real("diagnose: least", least, (">", 0), ("<", 0.7072)),
        learned=_checks.real("diagnose: learned", learned, (">=", 0), ("<=", 1)),
        tolerance=_checks.real("diagnose: tolerance", tolerance, (">=", 0)),
    )
    given = checked_weights("diagnose", weights)
    working = {"directions and their moves": _COPIES * 8 * given.shape[-2] * given.shape[-1]}
    if given.ndim == 2:
        _checks.memory("diagnose", working, "pass a smaller model")
        return _diagnosed(given, limits)
    working["the weights after them"] = given.nbytes
    _checks.memory("diagnose", working, "pass fewer models in one call")
    return [_diagnosed(model, limits) for model in given]


class _Limits(NamedTuple):
    """The thresholds of `diagnose`."""

    share: float
    least: float
    learned: float
    tolerance: float


def _diagnosed(given: NDArray[np.float64], limits: _Limits) -> Diagnosis:
    """What is found in the weights of one model."""
    directions, norm = _learned(given, limits.learned)
    learned = np.abs(directions).max(axis=1) > 0
    on = np.abs(directions) >= limits.share
    represented = on.any(axis=1)
    neurons = _shared(on)
    listed = [_by_size(directions, on, int(k)) for k in neurons]
    moves = [_best_move(directions, on, int(k)) for k in neurons]
    added = np.array([move[0] for move in moves], dtype=np.float64)
    # Two features of opposite signs are benign; any third one has the sign of another.
    agree = [
        len(set(np.sign(directions[rows, k]))) < len(rows)
        for rows, k in zip(map(list, listed), neurons, strict=True)
    ]
    moved, removable = _separated(directions, limits.share, limits.tolerance)
    return Diagnosis(
        neurons=neurons,
        features=tuple(listed),
        malign=np.array(agree, dtype=bool),
        interference=added,
        incidental=added <= limits.tolerance,
        vacant=np.flatnonzero(~on.any(axis=0)),
        free=np.flatnonzero((np.abs(directions) < limits.least).all(axis=0)),
        represented=int(represented.sum()),
        spread=np.flatnonzero(learned & ~represented),
        unlearned=np.flatnonzero(~learned),
        removable=removable,
        necessary=max(0, int(represented.sum()) - given.shape[1]),
        weights=np.where(learned[:, np.newaxis], moved * norm * _largest(given), given),
    )


def _learned(
    given: NDArray[np.float64], share: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Directions of the learned features, 0 for the others, (n, m), and all norms (n, 1) with the
    largest weight as unit, in which no square overflows."""
    unit = given / _largest(given)
    norm = np.sqrt(np.square(unit).sum(axis=1, keepdims=True))
    learned = (norm > 0) & (norm >= share * norm.max())
    return np.where(learned, unit / np.where(learned, norm, 1.0), 0.0), norm


def _largest(given: NDArray[np.float64]) -> float:
    """The largest |weight|, 1 if all are 0."""
    return float(np.abs(given).max()) or 1.0


def _shared(on: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Neurons that two or more features are on."""
    found: NDArray[np.int64] = np.flatnonzero(on.sum(axis=0) >= 2)
    return found


def _by_size(directions: NDArray[Any], on: NDArray[np.bool_], neuron: int) -> tuple[int, ...]:
    """The features on a neuron, the largest weight first."""
    rows = np.flatnonzero(on[:, neuron])
    order = np.argsort(-np.abs(directions[rows, neuron]), kind="stable")
    return tuple(int(row) for row in rows[order])


def _best_move(
    directions: NDArray[Any], on: NDArray[np.bool_], neuron: int
) -> tuple[float, int, int]:
    """What the best move of a feature off a neuron adds to the interference, the feature, and where
    it goes, among the neurons that no feature is on."""
    best = (np.inf, -1, -1)
    targets = np.flatnonzero(~on.any(axis=0))
    if not len(targets):
        return best
    for row in _by_size(directions, on, neuron):
        own = directions[row]
        others = directions.copy()
        others[row] = 0.0
        cosines = others @ own
        # Exchanging own[neuron] and own[k] changes the cosine with feature j by this, (n, targets).
        gap = own[targets] - own[neuron]
        changed = cosines[:, np.newaxis] + (others[:, [neuron]] - others[:, targets]) * gap
        before = np.square(np.maximum(cosines, 0)).sum()
        # Both orders of a pair count, each with the same cosine.
        added = 2 * (np.square(np.maximum(changed, 0)).sum(axis=0) - before)
        place = int(added.argmin())
        if added[place] < best[0]:
            best = (float(added[place]), row, int(targets[place]))
    return best


def _separated(
    directions: NDArray[Any], share: float, tolerance: float
) -> tuple[NDArray[np.float64], int]:
    """The directions after moves off polysemantic neurons, the cheapest first, and how many neurons
    became monosemantic."""
    moved = directions.copy()
    on = np.abs(moved) >= share
    before = len(_shared(on))
    while True:
        found = [(*_best_move(moved, on, int(k)), int(k)) for k in _shared(on)]
        if not found or min(found)[0] > tolerance:
            return moved, before - len(found)
        _, row, target, neuron = min(found)
        moved[row, [neuron, target]] = moved[row, [target, neuron]]
        on = np.abs(moved) >= share
