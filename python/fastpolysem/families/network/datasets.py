"""Small data sets and tasks with known features, ready for `NetworkConfig`.

Nothing is downloaded, and the arrays of a data set are the same on every machine: random choices
sort raw words of NumPy's Philox generator with the seed as key, which are the same in all versions.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastpolysem import _checks
from fastpolysem.families.network.dataset import Dataset
from fastpolysem.families.network.losses import BinaryCrossEntropy
from fastpolysem.families.network.mnist1d import checked_seed, extra, mnist1d, mnist1d_sums
from fastpolysem.families.network.targets import Clauses
from fastpolysem.specs.inputs import Independent

__all__ = ["contexts", "digits", "dnf", "mnist1d", "mnist1d_sums", "modular_addition", "parity"]

_MAX_BITS = 20  # a million rows
_MOST = 2**24  # features


def digits(
    batch_size: int | None = 100,
    *,
    label_noise: float = 0.0,
    held_out: float = 0.2,
    seed: int = 0,
) -> Dataset:
    """Handwritten digits: 1797 images of 8 x 8 pixels, 10 classes.

    Pixels are divided by 16, so they lie in [0, 1]. The same share of each class is held out.

    Parameters
    ----------
    batch_size, label_noise
        As in `Dataset`.
    held_out
        Share of the rows that is never trained on, 0 <= held_out < 1; if not 0, large enough for
        one row.
    seed
        Chooses these rows.

    Raises
    ------
    ImportError
        Without scikit-learn: ``pip install 'fastpolysem[datasets]'``.

    Notes
    -----
    Source: the test set of Alpaydin and Kaynak (1998), "Optical Recognition of Handwritten Digits",
    UCI Machine Learning Repository, as scikit-learn ships it. Licence: CC BY 4.0; scikit-learn
    itself BSD-3-Clause.
    """
    given = extra("sklearn.datasets", "digits", "scikit-learn").load_digits()
    classes = np.asarray(given.target, dtype=np.int64)
    kept_out = _split("digits", classes, held_out, seed)
    return _dataset(np.asarray(given.data) / 16, classes, kept_out, batch_size, label_noise)


def modular_addition(
    p: int,
    *,
    encoding: str = "pair",
    batch_size: int | None = None,
    held_out: float = 0.0,
    seed: int = 0,
) -> Dataset:
    """Addition modulo p: all p^2 pairs of numbers (a, b), with a + b mod p as the class.

    Parameters
    ----------
    p
        Modulus, at least 2. Row a * p + b is the pair (a, b), before any are held out.
    encoding
        "pair" for 2 p inputs, a and b as one-hot vectors; "sum" for p inputs, the sum of the two
        vectors, so that a network must treat both numbers alike.
    batch_size
        As in `Dataset`.
    held_out
        Share of the pairs that is never trained on, 0 <= held_out < 1. With "sum" the pairs (a, b)
        and (b, a) are the same input: they stay together, and the share is that of unordered pairs.
    seed
        Chooses these pairs.

    Notes
    -----
    The task of Power et al. (2022), "Grokking: Generalization Beyond Overfitting on Small
    Algorithmic Datasets", and of many later studies.

    Examples
    --------
    >>> import fastpolysem as fp
    >>> data = fp.datasets.modular_addition(23, encoding="sum")
    >>> data.inputs.shape
    (529, 23)
    """
    label = "modular_addition"
    p = _checks.integer(f"{label}: p", p, (">=", 2), ("<=", 1024))
    alike = _checks.choice(f"{label}: encoding", encoding, ("pair", "sum")) == "sum"
    first, second = np.divmod(np.arange(p**2), p)
    pairs = np.arange(p**2)
    if alike:
        pairs = np.minimum(first, second) * p + np.maximum(first, second)
    inputs = _one_hot(p if alike else 2 * p, first, second if alike else p + second)
    distinct = np.unique(pairs)
    chosen = distinct[_split(label, np.zeros(len(distinct)), held_out, seed)]
    return _dataset(inputs, (first + second) % p, np.isin(pairs, chosen), batch_size)


def contexts(
    objects: int = 8,
    contexts: int = 3,
    *,
    common: ArrayLike | None = None,
    specific: ArrayLike | None = None,
    batch_size: int | None = None,
    seed: int = 0,
) -> Dataset:
    """Objects in contexts: some properties hold in every context, others in one context only.

    The inputs are two one-hot vectors, for the object and for the context. There is one row per
    object and context, ordered by context. The targets are the common properties of the object,
    followed by its specific properties in each context, which are 0 in all other contexts.

    Parameters
    ----------
    objects, contexts
        How many; at least 2 objects and at least 1 context.
    common
        (objects, P) properties that hold in every context. None for a hierarchy with one property
        for each node of a balanced binary tree: it is 1 for the objects (leaves) below the node.
    specific
        (contexts, objects, Q) properties that hold in one context. None for the same hierarchy in
        each context, with the objects as leaves in a random order.
    batch_size
        As in `Dataset`.
    seed
        Draws the orders of the objects.

    Notes
    -----
    The task of Jarvis, Klein, Rosman and Saxe (2025), "Make Haste Slowly: A Theory of Emergent
    Structured Mixed Selectivity in Feature Learning ReLU Networks"; the hierarchy of properties is
    that of Saxe, McClelland and Ganguli (2019), "A mathematical theory of semantic development in
    deep neural networks". The published figures show the tables only as pictures; the default
    tables follow the description.

    Examples
    --------
    >>> import fastpolysem as fp
    >>> data = fp.datasets.contexts(objects=4, contexts=3)
    >>> data.inputs.shape, data.targets.shape      # 3 * 4 rows; 4 + 3 inputs; (1 + 3) * 7 outputs
    ((12, 7), (12, 28))
    """
    label = "contexts"
    n = _checks.integer(f"{label}: objects", objects, (">=", 2), ("<", 2**12))
    count = _checks.integer(f"{label}: contexts", contexts, (">=", 1), ("<", 2**12))
    tree = _hierarchy(n)
    always = tree if common is None else _properties(f"{label}: common", common, (n,))
    own = tree if specific is None else _properties(f"{label}: specific", specific, (count, n))
    outputs = always.shape[1] + count * own.shape[-1]
    parts = {"the targets": 16 * count * n * outputs}
    _checks.memory(label, parts, "take fewer objects, contexts or properties")
    if specific is None:
        words = _words(f"{label}: seed", seed, count * n).reshape(count, n)
        own = tree[np.argsort(words, axis=1, kind="stable")]
    context, thing = np.divmod(np.arange(count * n), n)
    inputs = _one_hot(n + count, thing, n + context)
    held = np.zeros((count * n, count, own.shape[-1]))
    held[np.arange(count * n), context] = own[context, thing]
    targets = np.hstack([always[thing], held.reshape(count * n, -1)])
    return Dataset(inputs, targets, batch_size)


def parity(
    tasks: int,
    bits: int,
    *,
    control: bool = True,
    batch_size: int | None = None,
    held_out: float = 0.0,
    seed: int = 0,
) -> Dataset:
    """Sparse parity: several tasks, each the parity of its own bits, over all combinations of bits.

    Parameters
    ----------
    tasks, bits
        Numbers of tasks and of bits per task, at least 1; tasks * bits <= 20. Task t uses the data
        bits t * bits to (t + 1) * bits - 1.
    control
        True puts a one-hot vector for the task before the data bits. Each combination of bits then
        occurs once per task, and the only output is the parity of that task. False gives one output
        per task, and each combination occurs once.
    batch_size
        As in `Dataset`.
    held_out
        Share of the rows that is never trained on, 0 <= held_out < 1; with ``control`` the same
        share of each task and parity.
    seed
        Chooses these rows.

    Returns
    -------
    Dataset with targets 0 and 1, for `losses.BinaryCrossEntropy`. For more bits, sample the inputs:
    ``inputs=Independent(0.5, batch_size)`` with `targets.Parity`.

    Notes
    -----
    The task of Michaud et al. (2023), "The Quantization Model of Neural Scaling", with disjoint
    bits as in Bereska et al. (2025), "Superposition as Lossy Compression" (3 tasks of 4 bits).

    Examples
    --------
    >>> import fastpolysem as fp
    >>> fp.datasets.parity(3, 4).inputs.shape      # 3 tasks * 2^12 combinations
    (12288, 15)
    """
    label = "parity"
    count = _checks.integer(f"{label}: tasks", tasks, (">=", 1))
    each = _checks.integer(f"{label}: bits", bits, (">=", 1))
    control = _checks.flag(f"{label}: control", control)
    if (total := count * each) > _MAX_BITS:
        raise ValueError(
            f"{label}: tasks * bits must be <= {_MAX_BITS}, as all combinations are listed, "
            f"got {total}; targets.Parity takes sampled inputs instead"
        )
    parts = {"all combinations": 24 * 2**total * (count if control else 1) * (total + count)}
    _checks.memory(label, parts, "take fewer tasks or bits")
    data = np.arange(2**total)[:, np.newaxis] >> np.arange(total)[::-1] & 1
    odd = data.reshape(-1, count, each).sum(axis=2) % 2
    if not control:
        kept_out = _split(label, np.zeros(len(data)), held_out, seed)
        return _dataset(data, odd.astype(np.float64), kept_out, batch_size)
    task, row = np.divmod(np.arange(count * len(data)), len(data))
    inputs = np.hstack([np.eye(count)[task], data[row]])
    answer = odd[row, task]
    kept_out = _split(label, 2 * task + answer, held_out, seed)
    return _dataset(inputs, answer[:, np.newaxis].astype(np.float64), kept_out, batch_size)


def dnf(
    clauses: int = 8,
    literals: int = 4,
    *,
    n_features: int | None = None,
    overlapping: bool = False,
    probability: float = 0.5,
    batch_size: int = 256,
    seed: int = 0,
) -> dict[str, Any]:
    """A random monotone DNF: 1 where all features of at least one clause are on, else 0.

    Parameters
    ----------
    clauses, literals
        Numbers of clauses, and of features in each, at least 1.
    n_features
        Number of features; None for clauses * literals.
    overlapping
        False gives each clause its own features. True draws the features of each clause from all
        features; no two clauses are the same.
    probability, batch_size
        As in `Independent`: each step samples new rows.
    seed
        Draws the features of the clauses.

    Returns
    -------
    dict with the settings ``inputs``, ``target`` and ``loss`` of a `NetworkConfig` whose widths are
    ``(n_features, ..., 1)``.

    Notes
    -----
    The task of Adler, Alistarh and Shavit (2025), "Towards Combinatorial Interpretability of Neural
    Computation". Without shared features the formula holds with probability
    1 - (1 - p^literals)^clauses; compare the accuracy with that of a constant answer.

    Examples
    --------
    >>> import fastpolysem as fp
    >>> task = fp.datasets.dnf(clauses=2, literals=3, seed=1)
    >>> task["target"]
    Clauses(outputs=(((0, 1, 4), (2, 3, 5)),))
    >>> config = fp.NetworkConfig(widths=(6, 8, 1), bias=True, **task)
    """
    label = "dnf"
    count = _checks.integer(f"{label}: clauses", clauses, (">=", 1))
    size = _checks.integer(f"{label}: literals", literals, (">=", 1))
    overlapping = _checks.flag(f"{label}: overlapping", overlapping)
    n = count * size
    if n_features is not None:
        least = size if overlapping else n
        n = _checks.integer(f"{label}: n_features", n_features, (">=", least), ("<", _MOST))
    elif n >= _MOST:
        allowed = f"< {_MOST}, as many features as there may be"
        raise _checks.refused(f"{label}: clauses * literals", allowed, n)
    if overlapping and math.comb(n, size) < count:
        raise _checks.refused(
            f"{label}: clauses", f"<= {math.comb(n, size)}, the number of possible clauses", count
        )
    generator = np.random.Philox(key=checked_seed(f"{label}: seed", seed))
    chosen: dict[tuple[int, ...], None] = {}  # without repetition, in this order
    while len(chosen) < count:
        order = np.argsort(generator.random_raw(n), kind="stable").tolist()
        if overlapping:
            chosen[tuple(sorted(order[:size]))] = None
        else:
            chosen = {tuple(order[k * size : (k + 1) * size]): None for k in range(count)}
    return {
        "inputs": Independent(probability, batch_size),
        "target": Clauses([list(chosen)]),
        "loss": BinaryCrossEntropy(),
    }


def _words(label: str, seed: object, count: int) -> NDArray[np.uint64]:
    """Random words of 64 bits, to order something by."""
    words: NDArray[np.uint64] = np.random.Philox(key=checked_seed(label, seed)).random_raw(count)
    return words


def _split(label: str, groups: NDArray[Any], share: object, seed: object) -> NDArray[np.bool_]:
    """Which rows are held out: the same share of each group, and never all of it.

    A share that holds out no row is refused.
    """
    part = _checks.real(f"{label}: held_out", share, (">=", 0), ("<", 1))
    words = _words(f"{label}: seed", seed, len(groups))
    chosen = np.zeros(len(groups), dtype=bool)
    for group in np.unique(groups):
        rows = np.flatnonzero(groups == group)
        count = min(len(rows) - 1, math.floor(part * len(rows) + 0.5))
        chosen[rows[np.argsort(words[rows], kind="stable")[:count]]] = True
    if part and not chosen.any():
        most = np.unique(groups, return_counts=True)[1].max()
        allowed = f"0 or a share that leaves out some but not all of {most} rows"
        raise _checks.refused(f"{label}: held_out", allowed, share)
    return chosen


def _dataset(
    inputs: Any,
    targets: NDArray[Any],
    kept_out: NDArray[np.bool_],
    batch_size: int | None,
    label_noise: float = 0.0,
) -> Dataset:
    held = (inputs[kept_out], targets[kept_out]) if kept_out.any() else None
    return Dataset(inputs[~kept_out], targets[~kept_out], batch_size, label_noise, held)


def _one_hot(width: int, *places: NDArray[Any]) -> Any:
    """Sparse rows that are 1 at one place of each array, and the sum where two are alike."""
    from scipy import sparse

    columns = np.stack(places, axis=1)
    ends = np.arange(0, columns.size + 1, len(places))
    shape = len(columns), width
    rows = sparse.csr_array((np.ones(columns.size), columns.ravel(), ends), shape=shape)
    rows.sum_duplicates()
    return rows


def _hierarchy(leaves: int) -> NDArray[np.float64]:
    """(leaves, nodes) 0 and 1: the nodes of a balanced binary tree, from the root down."""
    nodes, level = [], [range(leaves)]
    while level:
        nodes += level
        halves = [(part[: len(part) // 2], part[len(part) // 2 :]) for part in level]
        level = [half for pair in halves for half in pair if len(pair[0])]
    found = np.zeros((leaves, len(nodes)))
    for column, node in enumerate(nodes):
        found[node, column] = 1
    return found


def _properties(label: str, given: object, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """A table of properties with these leading axes."""
    table = _checks.array(label, given, np.float64, (len(shape) + 1,))
    if table.shape[:-1] != shape:
        wanted = ", ".join(map(str, shape))
        raise ValueError(f"{label} must have shape ({wanted}, properties), got {table.shape}")
    return table
