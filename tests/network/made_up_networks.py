"""Random networks and batches, in the terms of the test module."""

from itertools import pairwise

import numpy as np

ACTIVATIONS = ["relu", "gelu", "tanh", "square", "linear"]


def network(widths, activations, output="linear", **options):
    """Settings for the test module; options of a layer may be a list, one value for each layer."""
    last = len(widths) - 2
    per_layer = ("bias", "residual", "frozen", "l1", "l1_activations")
    layers = []
    for layer, (inputs, outputs) in enumerate(pairwise(widths)):
        entry = {"inputs": inputs, "outputs": outputs}
        entry["activation"] = output if layer == last else activations[layer]
        for key in per_layer:
            if key in options:
                entry[key] = options[key][layer]
        layers.append(entry)
    rest = {key: value for key, value in options.items() if key not in per_layer}
    return {"layers": layers, **rest}


def parameters(rng, settings):
    shapes = [(layer["inputs"], layer["outputs"]) for layer in settings["layers"]]
    weights = [rng.normal(0, 1 / np.sqrt(rows), (rows, columns)) for rows, columns in shapes]
    biases = [rng.normal(0, 0.1, columns) for _, columns in shapes]
    return weights[:1] if settings.get("tied") else weights, biases


def random_settings(rng, sizes, powers):
    """Any combination of options on one to three layers."""
    depth = int(rng.integers(1, 4))
    widths = [int(rng.choice(sizes)) for _ in range(depth + 1)]
    tied = bool(rng.random() < 0.2)
    if tied:
        widths, depth = [widths[0], widths[1], widths[0]], 2
    residual = [False] * depth
    if depth > 1 and not tied and rng.random() < 0.3:
        layer = int(rng.integers(0, depth - 1))
        widths[layer + 1] = widths[layer]
        residual[layer] = True
    loss = str(rng.choice(["power", "cross_entropy", "binary_cross_entropy"]))
    targets = ["given"]
    if widths[0] == widths[-1] and loss != "cross_entropy":
        targets += ["identity", "absolute", "relu"]
    options = {
        "tied": tied,
        "loss": loss,
        "target": str(rng.choice(targets)),
        "residual": residual,
        "bias": [bool(rng.random() < 0.7) for _ in range(depth)],
        "frozen": [bool(rng.random() < 0.1) and not tied for _ in range(depth)],
        "l1": [float(rng.choice([0, 1e-3])) for _ in range(depth)],
        "l1_activations": [*(float(rng.choice([0, 1e-2])) for _ in range(depth - 1)), 0.0],
        "power": float(rng.choice(powers)),
        "scale": float(rng.uniform(0.01, 0.1)),
        "rule": str(rng.choice(["sgd", "momentum", "adam"])),
        "orthant": bool(rng.random() < 0.5),
    }
    if rng.random() < 0.5:
        options["importance"] = rng.uniform(0.1, 1, widths[-1]).tolist()
    output = "relu" if loss == "power" and rng.random() < 0.5 else "linear"
    return network(widths, [str(rng.choice(ACTIVATIONS)) for _ in range(depth)], output, **options)


def random_batch(rng, settings, rows, sparse, density=None):
    """Inputs, targets or labels, and sometimes an order of rows, noise and dropout."""
    layers = settings["layers"]
    inputs, outputs = layers[0]["inputs"], layers[-1]["outputs"]
    density = float(rng.choice([0.05, 0.3, 1])) if density is None else density
    x = rng.uniform(0.01, 1, (rows, inputs)) * rng.choice([-1, 1], (rows, inputs))
    x = np.where(rng.random((rows, inputs)) < density, x, 0).astype(np.float32)
    batch = {"x": x, "sparse": sparse}
    if settings["loss"] == "cross_entropy":
        batch["labels"] = rng.integers(0, outputs, rows).tolist()
    elif settings["target"] == "given":
        batch["targets"] = rng.uniform(0, 1, (rows, outputs))
    shown = rows
    if rng.random() < 0.3:
        batch["order"] = rng.permutation(rows)[: max(1, rows // 2)].tolist()
        shown = len(batch["order"])
    if rng.random() < 0.4:
        hidden = [layer["outputs"] for layer in layers[:-1]]
        own = [shown if rng.random() < 0.5 else 1 for _ in hidden]
        batch["noise"] = [rng.normal(0, 0.1, shape) for shape in zip(own, hidden, strict=True)]
        batch["dropout"] = [
            (rng.random(shape) < 0.8) / 0.8 for shape in zip(own, hidden, strict=True)
        ]
    return batch


def arrays(pair):
    """All weights, then all biases."""
    weights, biases = pair
    return [*weights, *(bias for bias in biases if bias is not None)]


def same_bits(one, other):
    kind = np.uint32 if arrays(one)[0].dtype == np.float32 else np.uint64
    return all(
        np.array_equal(a.view(kind), b.view(kind))
        for a, b in zip(arrays(one), arrays(other), strict=True)
    )
