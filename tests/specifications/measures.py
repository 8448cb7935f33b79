"""Which concepts use which neurons, written down as plainly as possible.

For the rows b of a task, hidden layers l, neurons k and concepts i:

    mu_k        mean over all rows of act(Z_l)_k
    Delta_ik    mean over the rows of concept i of the loss of i's output when act(Z_l)_k is mu_k,
                less the loss as it is
    v_ik        max(Delta_ik, 0)
    N_k         (sum_i v_ik)^2 / sum_i v_ik^2
    M_i         (sum_k v_ik)^2 / sum_k v_ik^2
    w_k         sum_i v_ik / sum of all v
    shared use  sum of w_k over neurons whose second largest v is at least a quarter of the largest
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy import optimize

from specification import Array
from specifications import losses
from specifications import network as spec
from specifications.losses import CrossEntropy, Power
from specifications.targets import holds, is_elementwise, kind

MEASURED_ROWS = 1024
"""Of a data set at most."""


class Concepts(NamedTuple):
    table: Array
    """(B, C) whether a concept holds in a row."""
    output: list[int | None]
    """Of each, the output that carries it; None for the loss of the whole row."""


class Found(NamedTuple):
    rises: list[Array]
    """(K, C) of each hidden layer."""
    loss: Array
    """(C,)"""
    constant_loss: Array
    """(C,)"""


def measured_rows(config: Any, count: int) -> Array:
    """Which rows of those that results are about."""
    is_data = type(config.inputs).__name__ == "Dataset"
    shown = min(count, MEASURED_ROWS) if is_data else count
    return np.array([i * count // shown for i in range(shown)])


def own_concepts(config: Any, inputs: Array, wanted: Any) -> Concepts:
    outputs = config.widths[-1]
    each: list[int | None] = list(range(outputs))
    if losses.kind(config.loss) == "CrossEntropy":
        return Concepts(wanted[:, None] == np.arange(outputs), [None] * outputs)
    if type(config.inputs).__name__ == "Dataset":
        return Concepts(wanted > 0, each)
    if kind(config.target) == "Parity":
        return Concepts(np.ones((len(inputs), outputs), bool), each)
    if kind(config.target) == "Clauses":
        clauses = [(j, c) for j, formula in enumerate(config.target.outputs) for c in formula]
        table = [[all(holds(i, row) for i in clause) for _, clause in clauses] for row in inputs]
        return Concepts(np.array(table), [j for j, _ in clauses])
    assert is_elementwise(config.target)
    magnitudes = getattr(config.inputs, "magnitude", "one")
    each_magnitude = {magnitudes} if isinstance(magnitudes, str) else set(magnitudes)
    if each_magnitude & {"sign", "signed_uniform"}:
        return Concepts(np.hstack([inputs > 0, inputs < 0]), each + each)
    return Concepts(inputs != 0, each)


def row_losses(config: Any, outputs: Array, wanted: Any, output: int | None) -> Array:
    """(B,) of one output without its importance, or of all."""
    if output is None:
        weight = np.ones(outputs.shape[1]) if config.importance is None else spec.importance(config)
        return losses.values(config.loss, outputs, wanted, weight)
    j = [output]
    return losses.values(config.loss, outputs[:, j], wanted[:, j], np.ones(1))


def means_over(table: Array, values: Array) -> Array:
    """Of values (B, C), over the rows of each concept."""
    with np.errstate(invalid="ignore"):
        return np.where(table, values, 0).sum(axis=0) / table.sum(axis=0)


def constant_outputs(config: Any, wanted: Any) -> Array:
    """(d_L,) constants that are best over all rows; logits for the cross-entropies."""
    count = config.widths[-1]
    if isinstance(config.loss, CrossEntropy):
        with np.errstate(divide="ignore"):
            return np.log(np.bincount(wanted, minlength=count) / len(wanted))
    if isinstance(config.loss, Power):
        if config.loss.q == 2:
            return wanted.mean(axis=0)
        return np.array(
            [
                optimize.minimize_scalar(
                    lambda c, t=wanted[:, j]: (np.abs(c - t) ** config.loss.q).sum(),
                    bounds=(wanted[:, j].min(), wanted[:, j].max()),
                    method="bounded",
                    options={"xatol": 1e-12},
                ).x
                for j in range(count)
            ]
        )
    share = np.clip(wanted.mean(axis=0), 1e-300, 1 - 1e-16)
    return np.log(share / (1 - share))


def concept_losses(config: Any, concepts: Concepts, outputs: Array, wanted: Any) -> Array:
    """(B, C)"""
    each = [row_losses(config, outputs, wanted, j) for j in concepts.output]
    return np.stack(each, axis=1)


def measure(
    config: Any,
    model: spec.Network,
    inputs: Array,
    wanted: Any,
    concepts: Concepts,
    held: tuple[int, list[int]] = (1, []),
) -> Found:
    """``held``: a layer, and neurons of it that are at their mean throughout."""
    hidden = spec.depth(config) - 1
    activations = spec.forward(config, model, inputs).activations

    def with_off(layer: int, neurons: list[int]) -> Array:
        """Outputs with some neurons of a layer at their mean."""
        off = np.zeros_like(activations[layer - 1])
        values = activations[layer - 1][:, neurons]
        off[:, neurons] = values.mean(axis=0) - values
        noise = [off if at == layer else None for at in range(1, hidden + 1)]
        return concept_losses(
            config, concepts, spec.forward(config, model, inputs, noise).outputs, wanted
        )

    base = with_off(*held)
    rises = []
    for layer in range(1, hidden + 1):
        also = held[1] if layer == held[0] else []
        neurons = range(config.widths[layer])
        changed = [with_off(layer, [*also, k]) - base for k in neurons]
        rises.append(np.stack([means_over(concepts.table, change) for change in changed]))
    constant = np.broadcast_to(constant_outputs(config, wanted), (len(inputs), config.widths[-1]))
    trivial = concept_losses(config, concepts, constant, wanted)
    return Found(rises, means_over(concepts.table, base), means_over(concepts.table, trivial))


def ratio(above: float, below: float) -> float:
    return above / below if below > 0 else 0.0


def neuron_measures(rises: Array, loss: Array, constant_loss: Array) -> dict[str, float]:
    """Of one layer."""
    v = np.maximum(np.nan_to_num(rises), 0)
    total = v.sum()
    numbers = [ratio(row.sum() ** 2, (row**2).sum()) for row in v]
    neurons = [ratio(column.sum() ** 2, (column**2).sum()) for column in v.T]
    shared = 0.0
    for row in v:
        second, first = [0.0, *sorted(row)][-2:]
        if second > 0 and second >= first / 4:
            shared += row.sum()
    gained = constant_loss - loss
    serves = [
        [gained[i] > 0 and v[k, i] >= 0.1 * gained[i] for i in range(v.shape[1])]
        for k in range(len(v))
    ]
    return {
        "shared_use": ratio(shared, total),
        "effective_concepts": ratio(float(v.sum(axis=1) @ numbers), total),
        "neurons_per_concept": ratio(float(v.sum(axis=0) @ neurons), total),
        "polysemantic": sum(sum(row) >= 2 for row in serves),
        "serving": sum(sum(row) >= 1 for row in serves),
    }


COUNTS = ("polysemantic", "serving")


def columns(config: Any, model: spec.Network, inputs: Array, wanted: Any) -> dict[str, float]:
    """What a study has of a network: sums of counts, means of the rest, and of each layer."""
    rows = measured_rows(config, len(inputs))
    inputs, wanted = inputs[rows], wanted[rows]
    found = measure(config, model, inputs, wanted, own_concepts(config, inputs, wanted))
    layers = [neuron_measures(rises, found.loss, found.constant_loss) for rises in found.rises]
    result: dict[str, float] = {}
    for name in layers[0]:
        values = [layer[name] for layer in layers]
        result[name] = sum(values) if name in COUNTS else sum(values) / len(values)
        if len(layers) > 1:
            result |= {f"{name}_{k}": value for k, value in enumerate(values, 1)}
    held = ~np.isnan(found.loss)
    result["not_learned"] = int((found.loss > found.constant_loss / 2)[held].sum())
    return result
