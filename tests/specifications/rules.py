"""Combinations of a network's settings that are refused, and why.

`RULES` are about settings that could have no effect or that cannot be honoured. What is wrong with
a single value (its type, its range, a name that is no choice) is not listed. A rule names the field
to complain about; `refusals` gives all rules that a configuration breaks.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from specifications import losses
from specifications.network import Config, NetworkSpec, depth, l1_of_layers, spread
from specifications.sampling import dense
from specifications.targets import is_elementwise, kind


class Rule(NamedTuple):
    field: str
    broken: Callable[[Config], bool]
    reason: str


DEFAULTS = {
    item.name: item.default_factory()
    if item.default_factory is not dataclasses.MISSING
    else item.default
    for item in dataclasses.fields(NetworkSpec)
}


def given(name: str) -> Callable[[Config], bool]:
    """Whether a field differs from its default."""
    return lambda c: getattr(c, name) != DEFAULTS[name]


def each(value: Any) -> tuple[Any, ...]:
    """The values of a field that may be one for all layers or one each."""
    return tuple(value) if isinstance(value, (tuple, list)) else (value,)


def biased(c: Config) -> list[bool]:
    return spread(c.bias, depth(c))


def frozen(c: Config) -> list[bool]:
    return spread(c.frozen, depth(c))


def is_inputs(c: Config, *kinds: str) -> bool:
    return type(c.inputs).__name__ in kinds


def shape(rows: Any) -> tuple[int, ...]:
    return tuple(rows.shape) if hasattr(rows, "shape") else np.shape(rows)


def has_classes(c: Config) -> bool:
    return is_inputs(c, "Dataset") and len(shape(c.inputs.targets)) == 1


def pairs(c: Config) -> list[tuple[Any, Any]]:
    """(inputs, targets) of the data set and of its held-out rows."""
    own = [(c.inputs.inputs, c.inputs.targets)] if is_inputs(c, "Dataset") else []
    return [*own, c.inputs.held_out] if own and c.inputs.held_out is not None else own


def target_range(c: Config) -> tuple[float, float]:
    """Bounds of what the targets can be."""
    if has_classes(c):
        return 0.0, 0.0
    if is_inputs(c, "Dataset"):
        values = [dense(t) for _, t in pairs(c)]
        return min(float(v.min()) for v in values), max(float(v.max()) for v in values)
    signed = is_inputs(c, "Independent") and any("sign" in m for m in each(c.inputs.magnitude))
    return (-1.0 if signed and kind(c.target) == "Identity" else 0.0), 1.0


def features_of_targets(c: Config) -> list[int]:
    if kind(c.target) == "Parity":
        return [i for features in c.target.outputs for i in features]
    literals = [i for clauses in c.target.outputs for clause in clauses for i in clause]
    return [i if i >= 0 else ~i for i in literals]


def trained_below(c: Config, layer: int) -> bool:
    """Whether training can change the activations of this layer."""
    return not all(frozen(c)[:layer])


def wrong_length(name: str, count: Callable[[Config], int]) -> Callable[[Config], bool]:
    def broken(c: Config) -> bool:
        value = getattr(c, name)
        return isinstance(value, (tuple, list)) and len(value) != count(c)

    return broken


def l1_count(c: Config) -> int:
    if c.l1_target == "activations":
        return depth(c) - 1
    return 1 if c.tied else depth(c)


def points_beyond(name: str) -> Callable[[Config], bool]:
    """Whether a schedule's points do not ascend or end after the last step."""

    def broken(c: Config) -> bool:
        points = getattr(c, name)
        if points is None or isinstance(points, str):
            return False
        steps = [step for step, _ in points]
        return steps != sorted(set(steps)) or steps[0] < 0 or steps[-1] > c.steps

    return broken


def per_feature(name: str) -> Callable[[Config], bool]:
    def broken(c: Config) -> bool:
        return is_inputs(c, "Independent") and len(each(getattr(c.inputs, name))) not in (
            1,
            c.widths[0],
        )

    return broken


# Without these the others have no meaning.
FORM = (
    Rule("widths", lambda c: len(c.widths) < 3, "there must be a hidden layer"),
    Rule("widths", lambda c: min(c.widths) < 1, "every layer must have a unit"),
    *(
        Rule(name, wrong_length(name, lambda c: depth(c) - 1), "a value for each hidden layer")
        for name in ("activation", "noise_std", "dropout")
    ),
    *(
        Rule(name, wrong_length(name, depth), "a value for each layer")
        for name in ("bias", "bias_start", "frozen")
    ),
    Rule("l1", wrong_length("l1", l1_count), "a value for each matrix, or each hidden layer"),
    Rule("importance", wrong_length("importance", lambda c: c.widths[-1]), "one for each output"),
    Rule(
        "residual",
        lambda c: list(c.residual) != sorted({k for k in c.residual if 1 <= k < depth(c)}),
        "only hidden layers, each once, in order",
    ),
    *(
        Rule(name, points_beyond(name), "steps must ascend and end with the last step")
        for name in ("l1_schedule", "learning_rate_schedule", "bias_decay")
    ),
    Rule(
        "inputs",
        lambda c: not is_inputs(c, "Basis", "Independent", "CorrelatedBlocks", "Dataset"),
        "a fixed batch is a Dataset here, which has targets",
    ),
    *(
        Rule("inputs", per_feature(name), f"one {name} or one for each feature")
        for name in ("probability", "magnitude")
    ),
    Rule(
        "inputs",
        lambda c: any(len(shape(x)) != 2 or len(shape(t)) not in (1, 2) for x, t in pairs(c)),
        "inputs are a matrix, targets a matrix or one class a row",
    ),
    Rule(
        "loss",
        lambda c: losses.kind(c.loss) == "Power" and c.loss.q not in np.arange(2, 33) / 2,
        "q is a multiple of 1/2 from 1 to 16",
    ),
)

NO_L1, NO_NOISE, NO_DROPOUT = "there is no l1", "there is no noise", "there is no dropout"

RULES = (
    # Architecture
    Rule(
        "residual",
        lambda c: any(c.widths[k - 1] != c.widths[k] for k in c.residual),
        "what comes in must be as wide as what goes out",
    ),
    Rule("tied", lambda c: c.tied and depth(c) != 2, "only two layers can be tied"),
    Rule(
        "tied",
        lambda c: c.tied and c.widths[0] != c.widths[-1],
        "the second matrix would be the first one's transpose",
    ),
    Rule("frozen", lambda c: c.tied and any(frozen(c)), "tied layers share their matrix"),
    Rule("frozen", lambda c: all(frozen(c)), "there would be nothing to train"),
    Rule("readout", lambda c: c.tied and given("readout")(c), "the matrices are one"),
    Rule("readout", lambda c: frozen(c)[-1] and given("readout")(c), "the layer is frozen"),
    # Biases
    Rule(
        "bias_start",
        lambda c: any(
            start != 0 and not has
            for start, has in zip(spread(c.bias_start, depth(c)), biased(c), strict=True)
        ),
        "the layer has no bias",
    ),
    Rule(
        "bias_start",
        lambda c: any(each(c.bias_start)) and c.init == "pytorch",
        "this init draws the biases",
    ),
    Rule(
        "bias_decay",
        lambda c: (
            c.bias_decay is not None
            and not any(has and not held for has, held in zip(biased(c), frozen(c), strict=True))
        ),
        "no bias is trained",
    ),
    # Task
    Rule(
        "target",
        lambda c: is_inputs(c, "Dataset") and given("target")(c),
        "a data set has targets of its own",
    ),
    Rule(
        "target",
        lambda c: (
            not is_inputs(c, "Dataset") and is_elementwise(c.target) and c.widths[0] != c.widths[-1]
        ),
        "there must be as many outputs as features",
    ),
    Rule(
        "target",
        lambda c: not is_elementwise(c.target) and len(c.target.outputs) != c.widths[-1],
        "there must be one for each output",
    ),
    Rule(
        "target",
        lambda c: (
            not is_elementwise(c.target) and any(i >= c.widths[0] for i in features_of_targets(c))
        ),
        "there is no such feature",
    ),
    Rule(
        "loss",
        lambda c: losses.has_classes(c.loss) and not has_classes(c),
        "the cross-entropy needs a data set with classes",
    ),
    Rule(
        "loss",
        lambda c: has_classes(c) and not losses.has_classes(c.loss),
        "classes need the cross-entropy",
    ),
    Rule(
        "loss",
        lambda c: losses.has_classes(c.loss) and c.widths[-1] < 2,
        "there must be two classes or more",
    ),
    Rule(
        "loss",
        lambda c: (
            losses.kind(c.loss) == "BinaryCrossEntropy"
            and not (target_range(c)[0] >= 0 and target_range(c)[1] <= 1)
        ),
        "targets must be probabilities",
    ),
    Rule(
        "output",
        lambda c: given("output")(c) and losses.kind(c.loss) != "Power",
        "the cross-entropies take logits",
    ),
    Rule(
        "importance",
        lambda c: c.importance is not None and losses.has_classes(c.loss),
        "a class is no output of its own",
    ),
    Rule(
        "importance",
        lambda c: c.importance is not None and not any(c.importance),
        "some output must count",
    ),
    # Inputs
    Rule(
        "inputs",
        lambda c: is_inputs(c, "CorrelatedBlocks") and c.widths[0] % c.inputs.blocks != 0,
        "blocks must be of one size",
    ),
    Rule(
        "inputs",
        lambda c: (
            is_inputs(c, "CorrelatedBlocks") and c.inputs.active > c.widths[0] // c.inputs.blocks
        ),
        "a block must have as many features",
    ),
    Rule(
        "inputs",
        lambda c: any(shape(x)[1] != c.widths[0] for x, _ in pairs(c)),
        "there must be one column for each feature",
    ),
    Rule(
        "inputs",
        lambda c: any(shape(x)[0] != shape(t)[0] for x, t in pairs(c)),
        "there must be as many targets as rows",
    ),
    Rule(
        "inputs",
        lambda c: len({len(shape(t)) for _, t in pairs(c)}) == 2,
        "held-out targets must be of the same kind",
    ),
    Rule(
        "inputs",
        lambda c: any(len(shape(t)) == 2 and shape(t)[1] != c.widths[-1] for _, t in pairs(c)),
        "there must be one target for each output",
    ),
    Rule(
        "inputs",
        lambda c: (
            has_classes(c)
            and any(
                np.asarray(t).min() < 0 or np.asarray(t).max() >= c.widths[-1]
                for _, t in pairs(c)
                if len(shape(t)) == 1
            )
        ),
        "there must be one output for each class",
    ),
    Rule(
        "inputs",
        lambda c: (
            is_inputs(c, "Dataset") and (c.inputs.batch_size or 1) > shape(c.inputs.inputs)[0]
        ),
        "a batch cannot have more rows than there are",
    ),
    Rule(
        "inputs",
        lambda c: is_inputs(c, "Dataset") and c.inputs.label_noise != 0 and not has_classes(c),
        "label noise needs classes",
    ),
    # l1
    *(
        Rule(name, lambda c, name=name: not any(each(c.l1)) and given(name)(c), NO_L1)
        for name in ("l1_schedule", "l1_target", "l1_update")
    ),
    Rule(
        "l1_target",
        lambda c: given("l1_target")(c) and given("l1_update")(c),
        "orthant-wise steps are for l1 on weights",
    ),
    Rule(
        "l1",
        lambda c: (
            c.l1_target == "weights"
            and not c.tied
            and any(l1 and held for l1, held in zip(l1_of_layers(c), frozen(c), strict=True))
        ),
        "the layer is frozen",
    ),
    Rule(
        "l1",
        lambda c: (
            c.l1_target == "activations"
            and any(l1 and not trained_below(c, k + 1) for k, l1 in enumerate(l1_of_layers(c)))
        ),
        "the layer and those below are frozen",
    ),
    # Noise and dropout
    *(
        Rule(name, lambda c, name=name: c.noise == "none" and given(name)(c), NO_NOISE)
        for name in ("noise_std", "noise_shape", "noise_sharing")
    ),
    Rule(
        "noise_std",
        lambda c: c.noise != "none" and not any(each(c.noise_std)),
        "some hidden layer must have noise",
    ),
    Rule(
        "noise_shape",
        lambda c: c.noise not in ("none", "student_t", "three_point") and given("noise_shape")(c),
        "this noise has no shape",
    ),
    Rule(
        "noise_shape",
        lambda c: c.noise in ("student_t", "three_point") and c.noise_shape is None,
        "this noise needs a shape",
    ),
    Rule(
        "dropout_sharing",
        lambda c: not any(each(c.dropout)) and given("dropout_sharing")(c),
        NO_DROPOUT,
    ),
    # Optimisers
    *(
        Rule(name, lambda c, name=name: c.optimizer == "sgd" and given(name)(c), "sgd has none")
        for name in ("betas", "epsilon")
    ),
    Rule(
        "weight_decay",
        lambda c: c.optimizer == "sgd" and bool(c.weight_decay),
        "sgd has none",
    ),
    Rule("momentum", lambda c: c.optimizer != "sgd" and given("momentum")(c), "only sgd has it"),
)


def refusals(config: Config) -> list[Rule]:
    """The rules that a configuration breaks; of form only, if there are such."""
    return [r for r in FORM if r.broken(config)] or [r for r in RULES if r.broken(config)]
