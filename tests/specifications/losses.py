"""Losses of the network family: value, slope and accuracy.

The arguments are the (B, d) outputs of a network, for the two cross-entropies its logits, and the
targets: (B, d) reals, or (B,) classes 0 ... d - 1 for `CrossEntropy`. ``loss`` is one of the three
classes below, or anything with their names and fields. ``importance`` is (d,).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from specification import Array

Loss = Any
Targets = NDArray[Any]


@dataclass(frozen=True)
class Power:
    """Sum over outputs of importance * |output - target|^q, q a multiple of 1/2 from 1 to 16."""

    q: float = 2.0


@dataclass(frozen=True)
class CrossEntropy:
    """Minus the log of the softmax probability of a row's class."""


@dataclass(frozen=True)
class BinaryCrossEntropy:
    """Sum over outputs of importance times the cross-entropy of the logistic probability.

    Targets are probabilities in [0, 1].
    """


def kind(loss: Loss) -> str:
    return type(loss).__name__


def has_classes(loss: Loss) -> bool:
    """Whether the targets are one class a row."""
    return kind(loss) == "CrossEntropy"


def power(size: Array, exponent: float) -> Array:
    """size^exponent for a multiple of 1/2, by multiplications in a fixed order.

    The powers size, size^2, size^4, ... that the binary digits of the exponent's whole part ask for
    are multiplied together, the lowest first; the square root of a half comes last.
    """
    whole = int(exponent)
    out, square = np.ones_like(size), size
    while whole:
        if whole & 1:
            out = out * square
        whole >>= 1
        if whole:
            square = square * square
    return out * np.sqrt(size) if exponent % 1 else out


def softmax(logits: Array) -> Array:
    grown = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(grown / grown.sum(axis=1, keepdims=True))


def logistic(logits: Array) -> Array:
    """1 / (1 + exp(-z)), without overflow."""
    shrunk = np.exp(-np.abs(logits))
    return np.where(logits >= 0, 1 / (1 + shrunk), shrunk / (1 + shrunk))


def values(loss: Loss, outputs: Array, targets: Targets, importance: Array) -> Array:
    """(B,): the loss of each row."""
    if kind(loss) == "Power":
        size = np.abs(outputs - targets)
        return np.asarray(np.sum(importance * (power(size, loss.q - 1) * size), axis=1))
    if kind(loss) == "CrossEntropy":
        below = outputs - outputs.max(axis=1, keepdims=True)
        own = below[np.arange(len(outputs)), targets]
        return np.asarray(np.log(np.exp(below).sum(axis=1)) - own)
    each = np.maximum(outputs, 0) - outputs * targets + np.log1p(np.exp(-np.abs(outputs)))
    return np.asarray(np.sum(importance * each, axis=1))


def slopes(loss: Loss, outputs: Array, targets: Targets, importance: Array) -> Array:
    """(B, d): derivative of each row's loss by its outputs. The slope of |e| at 0 is 0."""
    if kind(loss) == "Power":
        error = outputs - targets
        return loss.q * importance * power(np.abs(error), loss.q - 1) * np.sign(error)
    if kind(loss) == "CrossEntropy":
        out = softmax(outputs)
        out[np.arange(len(outputs)), targets] -= 1
        return out
    return importance * (logistic(outputs) - targets)


def accuracy(loss: Loss, outputs: Array, targets: Targets) -> float | None:
    """The share of right decisions; None where a loss asks for no decision.

    Classes: of rows whose class has the largest logit, the first of equals. Binary: of all outputs
    of all rows, those whose logit is positive where the target is above 1/2 and only there.
    """
    if kind(loss) == "CrossEntropy":
        return float(np.mean(np.argmax(outputs, axis=1) == targets))
    if kind(loss) == "BinaryCrossEntropy":
        return float(np.mean((outputs > 0) == (targets > 0.5)))
    return None
