"""Hostile input, made by the number of a case: python tests/fuzz.py boundary|store --cases 1000000

One file, so that it can be run by itself for millions of cases.

"boundary" hands nonsense to the functions of the package: each call must give a result or raise
ValueError, TypeError or MemoryError, and nothing may warn. "store" damages files of a study: each
must be named as unusable, or say what it said before. A crash, a hang (--limit seconds a case) and
any other exception end the run with the number of the case, by which it is made again: --first.
"""

from __future__ import annotations

import argparse
import contextlib
import decimal
import faulthandler
import fractions
import json
import os
import random
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args

import numpy as np

import fastpolysem as fp
from fastpolysem import metrics
from fastpolysem.families.autoencoder import config as configuration
from fastpolysem.families.network import config as network_configuration

REFUSALS = (ValueError, TypeError, MemoryError)

# Values that are right somewhere, and never long to compute with where they are right.
INTEGERS = [0, 1, 2, 3, 5, 8, 17, -1, 2**31 - 1, 2**31, 2**32, 2**63, 2**64, 2**64 - 1, 10**400]
REALS = [0.0, -0.0, 0.5, 1.0, 1e-3, 0.1, 3.0, 1.5, -1.0, 1e-300, 5e-324, 1e300, np.nan, np.inf]
WORDS = [
    "",
    "adamw",
    "sgd",
    "relu",
    "orthant",
    "gaussian",
    "basis",
    "x" * 1000,
    "\0",
    "é\ud800",
    "1",
]
DTYPES = ["f4", "f8", "f2", "i1", "i8", "u8", "?", "c16", "O", "U3", "S2", "M8[s]", ">f4", "V4"]
N, M = 4, 5


def array(rng: random.Random) -> Any:
    """An array of about the right shape, mostly."""
    shape = rng.choice(
        [(N, M), (2, N, M), (M, N), (N,), (M,), (), (0,), (0, N, M), (N, 0), (3, N), (1, 1, 1, 1)]
    )
    dtype = rng.choice(DTYPES) if rng.random() < 0.4 else rng.choice(["f4", "f8"])
    values = np.random.default_rng(rng.getrandbits(32)).normal(size=shape)
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            result = values.astype(dtype)
        except TypeError:
            result = np.zeros(shape, dtype=dtype)
    if rng.random() < 0.2 and result.dtype.kind == "f" and result.size:
        result.reshape(-1)[rng.randrange(result.size)] = rng.choice([np.nan, np.inf, -0.0, 6e4])
    if rng.random() < 0.2:
        result = result.T
    if rng.random() < 0.1:
        result = result[..., ::-1] if result.ndim else result
    if rng.random() < 0.05:
        return np.ma.masked_array(result)
    return result.tolist() if rng.random() < 0.1 else result


def anything(rng: random.Random, depth: int = 0) -> Any:
    """Any value at all."""
    kind = rng.randrange(14)
    if kind < 3:
        number = rng.choice(INTEGERS)
        return rng.choice([number, -number, np.int64(number % 2**62), np.uint8(number % 256)])
    if kind < 6:
        number = rng.choice(REALS)
        return rng.choice([number, -number, np.float32(min(number, 1e30)), np.float64(number)])
    if kind == 6:
        return rng.choice(WORDS)
    if kind == 7:
        return rng.choice([None, True, False, np.bool_(True), Ellipsis, NotImplemented])
    if kind == 8:
        return rng.choice(
            [1j, b"ab", fractions.Fraction(1, 3), decimal.Decimal("0.1"), int, len, object()]
        )
    if kind == 9:
        return array(rng)
    if kind == 10:
        return rng.choice([range(3), range(0), range(-2, 5, 3), iter([1]), {1, 2}, frozenset()])
    if depth > 2:
        return []
    few = [anything(rng, depth + 1) for _ in range(rng.randrange(4))]
    if kind == 11:
        return few
    if kind == 12:
        return tuple(few)
    return {rng.choice(WORDS): one for one in few}


def inputs(rng: random.Random) -> Any:
    kind = rng.randrange(5)
    if kind == 0:
        return fp.Basis()
    if kind == 1 and rng.random() < 0.5:
        return fp.Independent(some(rng, 0.3), some(rng, 4), some(rng, "one"))
    if kind == 1:
        each = [some(rng, rng.choice([0.1, 0.5])) for _ in range(N)]
        names = [some(rng, rng.choice(["one", "uniform", "sign", "signed_uniform"])) for _ in each]
        return fp.Independent(each, some(rng, 4), names)
    if kind == 2:
        return fp.CorrelatedBlocks(some(rng, 2), some(rng, 1), some(rng, 4))
    if kind == 3:
        return fp.FixedBatch(array(rng))
    return fp.FixedBatch.from_csr(
        some(rng, [0, 1, 2]), some(rng, [0, 1]), some(rng, [1.0, 2.0]), some(rng, N)
    )


def some(rng: random.Random, usual: Any) -> Any:
    """The usual value, mostly."""
    return anything(rng) if rng.random() < 0.15 else usual


def settings(rng: random.Random) -> dict[str, Any]:
    """Fields of a configuration of a small model; most of them fit together."""
    chosen: dict[str, Any] = {"n_features": some(rng, N), "n_hidden": some(rng, M)}
    chosen["steps"] = some(rng, rng.randrange(4))
    for name in rng.sample(FIELDS, rng.randrange(5)):
        allowed = configuration._CHOICES.get(name)
        if allowed is not None and rng.random() < 0.8:
            chosen[name] = rng.choice(get_args(allowed))
        elif name == "inputs":
            chosen[name] = inputs(rng)
        elif name in ("tied", "bias") and rng.random() < 0.8:
            chosen[name] = rng.random() < 0.5
        elif name.endswith("_schedule") and rng.random() < 0.8:
            chosen[name] = rng.choice(["cosine", points(rng)])
        elif rng.random() < 0.5:
            chosen[name] = rng.choice(REALS[:8])
        else:
            chosen[name] = anything(rng)
    noise = chosen.get("noise", "none")
    if not isinstance(noise, str) or noise != "none":  # an array may be neither
        chosen.setdefault("noise_std", 0.1)
    return chosen


FIELDS = [
    name for name in configuration.DEFAULTS if name not in ("n_features", "n_hidden", "steps")
]


def is_small(config: fp.Config) -> bool:
    return config.n_features * config.n_hidden * (config._rows + 1) * (config.steps + 1) < 20_000


def make_config(rng: random.Random) -> None:
    config = fp.Config(**settings(rng))
    again = fp.Config.from_dict(json.loads(json.dumps(config.to_dict(), allow_nan=False)))
    assert again == config
    assert hash(again) == hash(config)
    assert again.digest == config.digest
    repr(config)


def read_config(rng: random.Random) -> None:
    stored = fp.Config(n_features=N, n_hidden=M, inputs=fp.Independent(0.3, 4)).to_dict()
    for _ in range(rng.randrange(3)):
        target = rng.choice([stored, stored.get("inputs")])
        if isinstance(target, dict) and target:
            target[rng.choice([*target, "", "x"])] = anything(rng)
    fp.Config.from_dict(some(rng, stored))


def make_grid(rng: random.Random) -> None:
    names = rng.sample([*FIELDS, "n_hidden", "none"], rng.randrange(3))
    configs = fp.grid(fp.Config(n_features=N, n_hidden=M), **{n: some(rng, [1, 2]) for n in names})
    assert len({config.digest for config in configs}) == len(configs)


def train(rng: random.Random) -> None:
    config = fp.Config(**settings(rng))
    if not is_small(config):
        return
    options: dict[str, Any] = {}
    if rng.random() < 0.3:
        options["initial_weights"] = rng.choice(
            [array(rng), (array(rng), array(rng)), anything(rng)]
        )
    if rng.random() < 0.2:
        options["noise_sequence"] = array(rng) if rng.random() < 0.8 else anything(rng)
    if rng.random() < 0.3:
        options["record"] = some(rng, (some(rng, "loss"), some(rng, [0])))
    if rng.random() < 0.3:
        options["kernel"] = some(rng, rng.choice(["generic", "dense", "sparse", "lanes"]))
    if rng.random() < 0.2:
        options["return_weights"] = some(rng, True)
    if rng.random() < 0.1:
        options["progress"] = some(rng, None)
    result = fp.train(config, some(rng, rng.randrange(4)), num_threads=some(rng, 1), **options)
    assert result.loss.shape == (len(result),)
    assert np.isfinite(result.loss[~result.diverged]).all()


def evaluate(rng: random.Random) -> None:
    config = fp.Config(**settings(rng))
    if not is_small(config):
        return
    weights = rng.choice([array(rng), (array(rng), array(rng)), anything(rng)])
    if rng.random() < 0.2:
        weights = fp.Parameters(array(rng), rng.choice([None, array(rng)]), array(rng))
    batch = some(rng, rng.choice([None, array(rng)]))
    noise = some(rng, rng.choice([None, array(rng)]))
    rng.choice([fp.forward, fp.loss_and_gradient])(weights, config, batch=batch, noise=noise)


def measure(rng: random.Random) -> None:
    function = getattr(
        metrics, rng.choice([n for n in metrics.__all__ if n != "effective_weights"])
    )
    function(some(rng, array(rng)))


def collect(rng: random.Random) -> None:
    config = fp.Config(**settings(rng))
    if not is_small(config):
        return
    options: dict[str, Any] = {"seeds": some(rng, 2)}
    for name, usual in {
        "target": None,
        "metric": "loss",
        "max_seeds": None,
        "executor": None,
        "num_threads": 1,
        "record": None,
        "keep_weights": True,
        "metadata": {"a": 1},
    }.items():
        if rng.random() < 0.2:
            options[name] = some(rng, usual)
    study = fp.collect(some(rng, [config]), progress=False, **options)
    study.seeds()
    study.summary()


def network_settings(rng: random.Random) -> dict[str, Any]:
    """Fields of a configuration of a small network; most of them fit together."""
    widths = rng.choice([(N, M, N), (N, 3, M, N), (N, N, N, N), (N, M, 3)])
    hidden, layers = len(widths) - 2, len(widths) - 1

    def each(usual: Callable[[], Any], count: int) -> Any:
        """One for all layers, or one each."""
        return [usual() for _ in range(count)] if rng.random() < 0.4 else usual()

    usual: dict[str, Callable[[], Any]] = {
        "activation": lambda: each(
            lambda: rng.choice(get_args(network_configuration.Activation)), hidden
        ),
        "bias": lambda: each(lambda: rng.random() < 0.5, layers),
        "bias_start": lambda: each(lambda: rng.choice([0.0, 0.5, -0.1]), layers),
        "bias_decay": lambda: points(rng),
        "residual": lambda: rng.choice([[], [1], [2], [1, 2]]),
        "tied": lambda: rng.random() < 0.5,
        "frozen": lambda: each(lambda: rng.random() < 0.3, layers),
        "inputs": lambda: rows_of_networks(rng, widths[-1]),
        "target": lambda: target(rng, widths[-1]),
        "loss": lambda: rng.choice(
            [
                fp.losses.Power(some(rng, rng.choice([1, 1.5, 2, 3, 16]))),
                fp.losses.CrossEntropy(),
                fp.losses.BinaryCrossEntropy(),
            ]
        ),
        "importance": lambda: [rng.choice([0.5, 1.0, 0.0]) for _ in range(widths[-1])],
        "l1": lambda: each(lambda: rng.choice([0.0, 0.1]), layers),
        "l1_schedule": lambda: points(rng),
        "learning_rate_schedule": lambda: rng.choice(["cosine", points(rng)]),
        "noise_std": lambda: each(lambda: rng.choice([0.0, 0.1, 1.0]), hidden),
        "dropout": lambda: each(lambda: rng.choice([0.0, 0.3]), hidden),
    }
    chosen: dict[str, Any] = {"widths": widths, "steps": rng.randrange(4)}
    if rng.random() < 0.1:
        chosen[rng.choice([*chosen])] = anything(rng)
    for name in rng.sample(NETWORK_FIELDS, rng.randrange(6)):
        allowed = network_configuration._CHOICES.get(name)
        if rng.random() < 0.1:
            chosen[name] = anything(rng)
        elif allowed is not None:
            chosen[name] = rng.choice(get_args(allowed))
        else:
            chosen[name] = usual[name]() if name in usual else rng.choice(REALS[2:6])
    noise = chosen.get("noise", "none")
    if not isinstance(noise, str) or noise != "none":  # an array may be neither
        chosen.setdefault("noise_std", 0.1)
    elif rng.random() < 0.8:
        for name in ("noise_std", "noise_shape", "noise_sharing"):
            chosen.pop(name, None)
    data = chosen.get("inputs")
    if isinstance(data, fp.Dataset) and data.has_classes:
        chosen.setdefault("loss", fp.losses.CrossEntropy())
    if widths[-1] != N and not isinstance(data, fp.Dataset) and rng.random() < 0.9:
        chosen.setdefault("target", target(rng, widths[-1]))
    return chosen


NETWORK_FIELDS = [name for name in fp.NetworkConfig.DEFAULTS if name not in ("widths", "steps")]


def points(rng: random.Random) -> Any:
    """Points of a schedule."""
    return [(some(rng, i), some(rng, rng.choice([0.0, 0.5, 1.0]))) for i in range(rng.randrange(4))]


def target(rng: random.Random, outputs: int) -> Any:
    kind = rng.randrange(5)
    if kind < 3:
        return [fp.targets.Identity, fp.targets.Absolute, fp.targets.Relu][kind]()
    features = [
        [some(rng, i) for i in rng.sample(range(N), rng.randrange(1, 4))] for _ in range(outputs)
    ]
    if kind == 3:
        return fp.targets.Parity(some(rng, features))
    return fp.targets.Clauses(
        [[[rng.choice([i, ~i]) if isinstance(i, int) else i for i in one]] for one in features]
    )


def rows_of_networks(rng: random.Random, outputs: int) -> Any:
    """What a network is shown."""
    kind = rng.randrange(4)
    if kind < 2:
        return inputs(rng)
    rows = np.random.default_rng(rng.getrandbits(32)).normal(size=(6, N))
    if kind == 2:
        wanted: Any = [rng.randrange(outputs) for _ in rows]
    else:
        wanted = np.abs(rows[:, :1]) @ np.ones((1, outputs)) / 8
    return fp.Dataset(
        some(rng, rows),
        some(rng, wanted),
        some(rng, rng.choice([None, 1, 4, 6])),
        some(rng, rng.choice([0.0, 0.3]) if kind == 2 else 0.0),
        some(rng, rng.choice([None, (rows[:2], wanted[:2])])),
    )


def is_small_network(config: fp.NetworkConfig) -> bool:
    weights = sum(a * b for a, b in zip(config.widths, config.widths[1:], strict=False))
    return weights * (config._rows + 1) * (config.steps + 1) < 20_000 and sum(config.widths) < 200


def make_network_config(rng: random.Random) -> None:
    config = fp.NetworkConfig(**network_settings(rng))
    again = fp.NetworkConfig.from_dict(json.loads(json.dumps(config.to_dict(), allow_nan=False)))
    assert again == config
    assert hash(again) == hash(config)
    assert again.digest == config.digest
    repr(config)


def read_network_config(rng: random.Random) -> None:
    stored = fp.NetworkConfig(
        widths=(N, M, N), inputs=fp.Independent(0.3, 4), target=fp.targets.Parity([[0]] * N)
    ).to_dict()
    for _ in range(rng.randrange(3)):
        changed = rng.choice([stored, stored["inputs"], stored["target"], stored["loss"]])
        if isinstance(changed, dict) and changed:
            changed[rng.choice([*changed, "", "x"])] = anything(rng)
    fp.NetworkConfig.from_dict(some(rng, stored))


def parameters(rng: random.Random, config: fp.NetworkConfig) -> Any:
    """Weights of about the right shape."""
    pairs = list(zip(config.widths, config.widths[1:], strict=False))
    values = np.random.default_rng(rng.getrandbits(32))
    stack = rng.choice([(), (2,)])
    weights = [some(rng, values.normal(size=(*stack, *pair))) for pair in pairs]
    has_bias = config._spread("bias", config.depth)
    biases = [
        some(rng, values.normal(size=(*stack, pair[1])) if has_bias[i] else None)
        for i, pair in enumerate(pairs)
    ]
    given = weights[:1] if config.tied else weights
    return rng.choice([fp.NetworkParameters(given, biases), given, (given, some(rng, None))])


def train_network(rng: random.Random) -> None:
    config = fp.NetworkConfig(**network_settings(rng))
    if not is_small_network(config):
        return
    options: dict[str, Any] = {}
    if rng.random() < 0.3:
        options["initial_weights"] = some(rng, parameters(rng, config))
    if rng.random() < 0.3:
        options["record"] = some(rng, (some(rng, "loss"), some(rng, [0])))
    if rng.random() < 0.3:
        options["kernel"] = some(rng, rng.choice(["generic", "rows", "lanes"]))
    if rng.random() < 0.2:
        options["return_weights"] = some(rng, True)
    result = fp.train(config, some(rng, rng.randrange(4)), num_threads=some(rng, 1), **options)
    assert result.loss.shape == (len(result),)
    assert np.isfinite(result.loss[~result.diverged]).all()


def evaluate_network(rng: random.Random) -> None:
    config = fp.NetworkConfig(**network_settings(rng))
    if not is_small_network(config):
        return
    drawn = fp.draw(config.replace(steps=4), some(rng, 3), some(rng, 0))
    batch = some(rng, rng.choice([None, drawn.inputs]))
    noise = some(rng, rng.choice([None, drawn.noise]))
    if rng.random() < 0.5:
        fp.forward(parameters(rng, config), config, batch, noise, layers=some(rng, True))
    else:
        fp.loss_and_gradient(
            parameters(rng, config),
            config,
            batch,
            noise,
            targets=some(rng, rng.choice([None, drawn.targets])),
            dropout=some(rng, rng.choice([None, drawn.dropout])),
        )


def measure_network(rng: random.Random) -> None:
    config = fp.NetworkConfig(**network_settings(rng))
    if not is_small_network(config):
        return
    if rng.random() < 0.3:
        solution = fp.monosemantic(config)
        assert solution.loss >= 0
        return
    drawn = fp.draw(config.replace(steps=4), 3, 0)
    options: dict[str, Any] = {}
    if rng.random() < 0.5:
        options = {"data": some(rng, drawn.inputs), "targets": some(rng, drawn.targets)}
    if rng.random() < 0.4:
        table = np.random.default_rng(rng.getrandbits(32)).random((len(drawn.inputs), 3)) < 0.5
        options["concepts"] = some(rng, table)
        if rng.random() < 0.5:
            options["outputs"] = some(rng, [0, -1, some(rng, 0)])
        if rng.random() < 0.3:
            options["names"] = some(rng, ["a", "b", some(rng, "c")])
    found = fp.measure(parameters(rng, config), config, **options)
    assert not ((found.shared_use < 0) | (found.shared_use > 1)).any()  # nan if it overflows
    assert (found.polysemantic <= found.serving).all()
    str(found)
    layer = some(rng, 1)
    rng.choice([found.served, found.responses, found.backed_up])(layer)


BOUNDARY: list[tuple[Callable[[random.Random], None], float]] = [
    (make_config, 30),
    (read_config, 15),
    (make_grid, 10),
    (train, 20),
    (evaluate, 12),
    (measure, 12),
    (collect, 0.1),
    (make_network_config, 30),
    (read_network_config, 10),
    (train_network, 20),
    (evaluate_network, 15),
    (measure_network, 15),
]


def boundary(rng: random.Random) -> None:
    """One case for one of the functions."""
    functions, shares = zip(*BOUNDARY, strict=True)
    (function,) = rng.choices(functions, shares)
    with contextlib.suppress(*REFUSALS):
        function(rng)


class DamagedStudy:
    """A study with every kind of file, one of which is damaged at a time."""

    CONFIG = fp.Config(n_features=N, n_hidden=M, l1=1e-2, steps=3)

    def __init__(self, folder: Path) -> None:
        from fastpolysem.studies import files, store

        self.files_module = files
        config = self.CONFIG
        fp.collect(config, seeds=3, path=folder, keep_weights=True, record=("loss", [0, 3]))
        # A configuration that needs a file of arrays besides.
        self.network = fp.NetworkConfig(widths=(2, 3, 1), inputs=fp.Dataset([[0, 1.5]], [[2.5]]))
        self.attachments = store.Attachments(folder)
        store.Store(folder).write_config(self.network, {})
        self.data = self.attachments.file(self.network.inputs.sha256)
        self.files = [self.data, folder / self.network.digest / "config.json"]
        self.files += sorted((folder / config.digest).iterdir())
        self.archive = folder / "result.npz"
        fp.train(config, 2, return_weights=True).save(self.archive)
        self.files.append(self.archive)
        self.content = {file: file.read_bytes() for file in self.files}
        self.said = {file: self.read(file) for file in self.files}

    def read(self, file: Path) -> Any:
        """What a file says, in a form that can be compared."""
        if file == self.data:
            arrays = self.attachments.load(file.stem)
            return {name: array.tobytes() for name, array in arrays.items()}
        if file.suffix == ".npz":
            result = fp.TrainingResult.load(file)
            return result.loss.tolist(), np.asarray(result.weights).tobytes(), result.config
        if file.suffix == ".json":
            return self.files_module.read_config(file.parent, self.attachments)[0].digest
        return repr(self.files_module.read_block(file, self.CONFIG).to_pylist())

    def case(self, rng: random.Random) -> None:
        """Damage a file, read it, and put it right again."""
        file = rng.choice(self.files)
        pristine = self.content[file]
        file.write_bytes(damaged(rng, pristine, self.content))
        try:
            said = self.read(file)
        except (self.files_module.UnusableError, self.files_module.AttachmentError):
            return
        except ValueError:
            assert file == self.archive, "only this one speaks for itself"
            return
        finally:
            file.write_bytes(pristine)
        if file != self.archive:
            assert said == self.said[file], "it says something else and nobody noticed"


def damaged(rng: random.Random, content: bytes, others: dict[Path, bytes]) -> bytes:
    """Other bytes than these, or much the same."""
    data = bytearray(content)
    kind = rng.randrange(8)
    at, size = rng.randrange(len(data)), rng.randrange(1, 64)
    if kind < 3:
        for _ in range(rng.choice([1, 1, 2, 8])):
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    elif kind == 3:
        del data[at:]
    elif kind == 4:
        data[at : at + size] = bytes(rng.choice([0, 255]) for _ in range(1)) * size
    elif kind == 5:
        data[at:at] = rng.randbytes(size)
    elif kind == 6:
        other = rng.choice(list(others.values()))
        start = rng.randrange(len(other))
        data[at : at + size] = other[start : start + size]
    elif content[:1] == b"{":
        mapping = json.loads(content)
        target = rng.choice([mapping, mapping["config"], mapping["metadata"]])
        target[rng.choice([*target, ""])] = json_value(rng)
        return json.dumps(rng.choice([mapping, json_value(rng)])).encode()
    else:
        del data[at : at + size]
    return bytes(data)


def json_value(rng: random.Random, depth: int = 0) -> Any:
    """Any value that JSON can hold, also those that Python's reader alone accepts."""
    if rng.random() < 0.7 or depth > 3:
        return rng.choice([*INTEGERS, *REALS, *WORDS[:-2], None, True, False])
    few = [json_value(rng, depth + 1) for _ in range(rng.randrange(3))]
    return few if rng.random() < 0.5 else {str(i): one for i, one in enumerate(few)}


def cases(kind: str, folder: Path) -> Callable[[random.Random], None]:
    """What makes and tries a case of a kind."""
    return boundary if kind == "boundary" else DamagedStudy(folder).case


def run(kind: str, numbers: Iterator[int] | range, limit: float = 60) -> int:
    """Try the cases of these numbers; how many there were."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as path:
        attempt = cases(kind, Path(path) / "study")
        done = 0
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            warnings.filterwarnings("ignore", ".*has another digest; pass a Python number")
            for number in numbers:
                if limit and done % 64 == 0:  # a hang ends the process, with a traceback
                    faulthandler.dump_traceback_later(limit, exit=True)
                try:
                    attempt(random.Random(f"{kind} {number}"))
                except Exception as error:
                    error.add_note(f"case {number} of {kind}")
                    raise
                done += 1
        faulthandler.cancel_dump_traceback_later()
    return done


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("kind", choices=["boundary", "store"])
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--limit", type=float, default=300)
    given = parser.parse_args()
    begin = time.perf_counter()
    done = run(given.kind, range(given.first, given.first + given.cases), given.limit)
    print(
        f"{done} cases of {given.kind} from {given.first} on, {time.perf_counter() - begin:.0f} s"
    )


if __name__ == "__main__":
    sys.exit(main())
