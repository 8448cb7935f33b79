"""Data sets and tasks: their arrays, their splits, and what is refused."""

from __future__ import annotations

import importlib.util
import random
import sys

import numpy as np
import pytest

import fastpolysem as fp
from fastpolysem import datasets
from fastpolysem.families.network import mnist1d as generator
from helpers.refusal_checks import check

_MNIST1D = generator._mnist1d

# Of the same data sets on any machine.
KNOWN = {
    "digits": "168fa9d81fc8b57868bac745140cb7f6cf36ae7d947657f57412a94f5f822aab",
    "mnist1d": "d3b065f79dd166f3a1e9297fee441fb3735fd9fd4cab44428df427f74537f260",
    "mnist1d_sums": "74b45021faf532c42175f7e9c4c8b922c2a4720aef724a5a6c5104d058de08d8",
    "modular": "ac656dea8b3a8dcf928b703dd90dca10d1b1a42ad00a3fd6ab2b0e596710f59f",
    "modular_sum": "5669b3e61fbdcedbc1c7398128746bde25da6a06274d39d657578fd1811b69f7",
    "contexts": "e88f071a524c3b9d1df4ee5aa7861c8fe0563560d162ecdfeb40d41cc385f794",
    "parity": "65b03b3d3902cdc6c1d148ee3fce0173b542a8050d07dae93fd7f1320eb5bec0",
    "parity_at_once": "dc82d076cb6215f033b1356cc31a69b5c50b23f284786b5eb739c7683411ec5e",
}
MADE = {
    "digits": lambda: datasets.digits(),
    "mnist1d": lambda: datasets.mnist1d(),
    "mnist1d_sums": lambda: datasets.mnist1d_sums(samples=500),
    "modular": lambda: datasets.modular_addition(7, held_out=0.3, seed=1),
    "modular_sum": lambda: datasets.modular_addition(7, encoding="sum", held_out=0.3),
    "contexts": lambda: datasets.contexts(),
    "parity": lambda: datasets.parity(3, 2, held_out=0.25, seed=2),
    "parity_at_once": lambda: datasets.parity(2, 3, control=False),
}
PACKAGES = {"digits": "sklearn", "mnist1d": "mnist1d", "mnist1d_sums": "mnist1d"}
NAMES = [pytest.param(one, marks=pytest.mark.extra if one in PACKAGES else ()) for one in KNOWN]


def made(name: str) -> fp.Dataset:
    if name in PACKAGES and importlib.util.find_spec(PACKAGES[name]) is None:
        pytest.skip(f"needs {PACKAGES[name]}")
    return MADE[name]()


def dense(data: fp.Dataset) -> tuple[np.ndarray, np.ndarray]:
    return data.inputs.to_dense(), data.targets


@pytest.mark.parametrize("name", NAMES)
def test_hashes_are_those_that_were_written_down(name):
    assert made(name).sha256 == KNOWN[name]


@pytest.mark.parametrize("name", NAMES)
def test_a_network_learns_from_them(name):
    """Each is ready for a configuration as it is, and its loss falls."""
    data = made(name)
    if data.has_classes:
        loss, outputs = fp.losses.CrossEntropy(), int(data.targets.max()) + 1
    else:
        outputs = data.targets.shape[1]
        loss = fp.losses.BinaryCrossEntropy() if "parity" in name else fp.losses.Power()
    config = fp.NetworkConfig(
        widths=(data.inputs.n_features, 32, outputs),
        bias=True,
        inputs=data,
        loss=loss,
        learning_rate=1e-2,
        steps=200,
    )
    start = fp.train(config.replace(steps=0), 2)
    end = fp.train(config, 2)
    assert (end.loss < 0.8 * start.loss).all()


# ---------------------------------------------------------------------------------------------
# Real data
# ---------------------------------------------------------------------------------------------


@pytest.mark.extra
def test_digits_are_those_of_scikit_learn():
    data = made("digits")
    from sklearn.datasets import load_digits

    given = load_digits()
    rows, classes = dense(data)
    held, held_classes = data.held_out[0].to_dense(), data.held_out[1]
    assert (data.batch_size, rows.min(), rows.max()) == (100, 0, 1)
    both = {
        (*row, label)
        for row, label in zip(np.vstack([rows, held]) * 16, [*classes, *held_classes], strict=True)
    }
    assert both == {(*row, label) for row, label in zip(given.data, given.target, strict=True)}
    for label in range(10):
        count = (given.target == label).sum()
        assert (held_classes == label).sum() == round(0.2 * count)


@pytest.mark.extra
def test_digits_are_split_by_the_seed():
    made("digits")
    one, other = datasets.digits(seed=3), datasets.digits(seed=4)
    assert one == datasets.digits(seed=3)
    assert one != other
    whole = datasets.digits(None, held_out=0, label_noise=0.1)
    assert whole.held_out is None
    with pytest.raises(ValueError, match="digits: held_out must be 0 or a share that leaves out"):
        datasets.digits(held_out=1e-4)
    assert whole.inputs.shape == (1797, 64)
    assert (whole.batch_size, whole.label_noise) == (None, 0.1)


@pytest.mark.extra
def test_mnist1d_is_the_published_one_and_leaves_random_numbers_alone():
    random.seed(5)
    np.random.seed(5)  # noqa: NPY002
    expected = random.random(), np.random.random()  # noqa: NPY002
    random.seed(5)
    np.random.seed(5)  # noqa: NPY002
    data = made("mnist1d")
    assert (random.random(), np.random.random()) == expected  # noqa: NPY002
    rows, classes = dense(data)
    held, held_classes = data.held_out[0].to_dense(), data.held_out[1]
    assert (rows.shape, held.shape) == ((4000, 40), (1000, 40))
    every = np.vstack([rows, held])
    assert every.std() == pytest.approx(1, abs=1e-6)
    assert np.array_equal(every, every.astype(np.float32))
    assert np.bincount([*classes, *held_classes]).tolist() == [500] * 10
    small = datasets.mnist1d(10, samples=50, seed=1)
    assert small.inputs.shape == (40, 40)
    assert small != datasets.mnist1d(10, samples=50, seed=2)


@pytest.mark.extra
def test_sums_need_rows_of_every_class():
    pytest.importorskip("mnist1d")
    message = "mnist1d_sums: samples must be so many that rows of class"
    check(ValueError, message, lambda: datasets.mnist1d_sums(None, samples=10))


@pytest.mark.extra
def test_sums_add_up_rows_of_their_own_half(monkeypatch):
    """With rows that tell their class and half, each sum is that of the classes present."""
    pytest.importorskip("mnist1d")

    def told(label, samples, seed, **changes):
        found = _MNIST1D(label, samples, seed, **changes)
        for end, half in (("", 1.0), ("_test", 100.0)):
            found[f"x{end}"] = half * np.eye(40)[found[f"y{end}"]]
        return found

    monkeypatch.setattr(generator, "_mnist1d", told)
    data = datasets.mnist1d_sums(probability=0.3, samples=5000, seed=1)
    for half, (rows, targets) in (
        (1, dense(data)),
        (100, (data.held_out[0].to_dense(), data.held_out[1])),
    ):
        np.testing.assert_array_equal(rows[:, :10], half * targets)
        assert not rows[:, 10:].any()
    assert data.targets.mean() == pytest.approx(0.3, abs=4 * np.sqrt(0.21 / data.targets.size))
    together = np.corrcoef(data.targets.T)[~np.eye(10, dtype=bool)]
    assert np.abs(together).max() < 4.5 / np.sqrt(len(data.targets))


@pytest.mark.extra
def test_templates_of_sums_are_not_shifted():
    """Rows of one class are its template but for scale, shear and noise, and so are alike."""
    pytest.importorskip("mnist1d")
    rows, targets = dense(datasets.mnist1d_sums(probability=0.1, samples=5000, seed=3))
    shifted, classes = dense(datasets.mnist1d(seed=3))
    for one in range(10):
        own = rows[(targets[:, one] == 1) & (targets.sum(axis=1) == 1)]
        assert np.median(np.corrcoef(own)) > 0.25
        assert np.median(np.corrcoef(shifted[classes == one])) < 0.05


@pytest.mark.parametrize(("name", "module"), list(PACKAGES.items()))
def test_what_is_missing_is_named(name, module, monkeypatch):
    for loaded in [one for one in sys.modules if one.partition(".")[0] == module]:
        monkeypatch.delitem(sys.modules, loaded)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=rf"{name} needs .* 'fastpolysem\[datasets\]'"):
        getattr(datasets, name)()


# ---------------------------------------------------------------------------------------------
# Tasks
# ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["pair", "sum"])
def test_modular_addition(encoding):
    p = 5
    rows, classes = dense(datasets.modular_addition(p, encoding=encoding))
    for a in range(p):
        for b in range(p):
            one_hot = np.eye(p)[a], np.eye(p)[b]
            expected = np.concatenate(one_hot) if encoding == "pair" else sum(one_hot)
            assert rows[a * p + b].tolist() == expected.tolist()
            assert classes[a * p + b] == (a + b) % p


def test_equal_inputs_of_a_sum_are_never_on_both_sides():
    for seed in range(5):
        data = datasets.modular_addition(6, encoding="sum", held_out=0.4, seed=seed)
        shown = {tuple(row) for row in data.inputs.to_dense()}
        held = {tuple(row) for row in data.held_out[0].to_dense()}
        assert len(shown) + len(held) == 21
        assert len(held) == 8
        assert not shown & held
    assert len(datasets.modular_addition(6, held_out=0.4).held_out[1]) == 14


def test_contexts_of_given_properties():
    common = [[1.0, 0.0], [2.0, 3.0]]
    specific = [[[4.0], [5.0]], [[6.0], [7.0]], [[8.0], [9.0]]]
    rows, targets = dense(datasets.contexts(2, 3, common=common, specific=specific))
    assert rows.tolist() == [
        [1, 0, 1, 0, 0],
        [0, 1, 1, 0, 0],
        [1, 0, 0, 1, 0],
        [0, 1, 0, 1, 0],
        [1, 0, 0, 0, 1],
        [0, 1, 0, 0, 1],
    ]
    assert targets.tolist() == [
        [1, 0, 4, 0, 0],
        [2, 3, 5, 0, 0],
        [1, 0, 0, 6, 0],
        [2, 3, 0, 7, 0],
        [1, 0, 0, 0, 8],
        [2, 3, 0, 0, 9],
    ]


def test_properties_are_a_tree_with_an_order_of_its_own_for_each_context():
    n, count = 6, 4
    rows, targets = dense(datasets.contexts(n, count, seed=1))
    blocks = targets.reshape(count, n, count + 1, 2 * n - 1)
    tree = blocks[0, :, 0]
    for context in range(count):
        assert np.array_equal(blocks[context, :, 0], tree)
        for other in range(count):
            assert blocks[context, :, 1 + other].any() == (other == context)
        own = blocks[context, :, 1 + context]
        assert sorted(map(tuple, own)) == sorted(map(tuple, tree))
    # Any two nodes of a tree lie in each other or apart.
    for a in tree.T:
        for b in tree.T:
            assert (a * b).sum() in (0, a.sum(), b.sum())
    assert sorted(tree.sum(axis=0))[: n + 1] == [1] * n + [2]
    assert (tree.sum(axis=0) == n).sum() == 1
    orders = {blocks[c, :, 1 + c].tobytes() for c in range(count)}
    assert len(orders) == count
    assert datasets.contexts(n, count, seed=1) != datasets.contexts(n, count, seed=2)
    assert rows.sum() == 2 * n * count


def test_parity_with_control_bits():
    tasks, bits = 3, 2
    rows, targets = dense(datasets.parity(tasks, bits))
    assert rows.shape == (tasks * 2 ** (tasks * bits), tasks + tasks * bits)
    assert len({tuple(row) for row in rows}) == len(rows)
    for row, target in zip(rows, targets, strict=True):
        (task,) = np.flatnonzero(row[:tasks])
        own = row[tasks + task * bits : tasks + (task + 1) * bits]
        assert target.tolist() == [own.sum() % 2]


def test_parity_at_once_is_that_of_the_target():
    data = datasets.parity(2, 3, control=False)
    config = fp.NetworkConfig(
        widths=(6, 4, 2),
        inputs=fp.Independent(0.5, 8),
        target=fp.targets.Parity([[0, 1, 2], [3, 4, 5]]),
        loss=fp.losses.BinaryCrossEntropy(),
    )
    start = fp.train(config.replace(steps=0), 1, return_weights=True).weights
    rows, targets = dense(data)
    loss, _ = fp.loss_and_gradient(start, config, rows)
    same, _ = fp.loss_and_gradient(start, config, rows, targets=targets)
    assert loss == same
    assert len({tuple(row) for row in rows}) == 64


def test_parity_is_held_out_by_task_and_answer():
    data = datasets.parity(3, 2, held_out=0.25)
    held, answers = data.held_out[0].to_dense(), data.held_out[1][:, 0]
    for task in range(3):
        for answer in (0, 1):
            assert ((held[:, task] == 1) & (answers == answer)).sum() == 8
    assert len(data.targets) == 3 * 64 - 48


def test_no_group_is_held_out_as_a_whole():
    data = datasets.parity(1, 2, held_out=0.9)
    assert sorted(data.targets[:, 0]) == sorted(data.held_out[1][:, 0]) == [0, 1]
    assert len(datasets.modular_addition(2, held_out=0.999).targets) == 1


@pytest.mark.parametrize("overlapping", [False, True])
def test_dnf(overlapping):
    task = datasets.dnf(5, 3, n_features=16, overlapping=overlapping, seed=3)
    ((*clauses,),) = task["target"].outputs
    assert len(set(clauses)) == 5
    assert all(len(set(clause)) == 3 for clause in clauses)
    used = [i for clause in clauses for i in clause]
    assert 0 <= min(used) <= max(used) < 16
    assert (len(set(used)) < 15) == overlapping
    assert task != datasets.dnf(5, 3, n_features=16, overlapping=overlapping, seed=4)
    config = fp.NetworkConfig(widths=(16, 8, 1), bias=True, steps=3, **task)
    drawn = fp.draw(config, 0, 0)
    holds = [any(all(row[i] for i in clause) for clause in clauses) for row in drawn.inputs]
    assert drawn.targets[:, 0].tolist() == holds
    assert fp.train(config, 2).accuracy.shape == (2,)


def test_all_clauses_that_there_are():
    task = datasets.dnf(6, 2, n_features=4, overlapping=True)
    assert len(task["target"].outputs[0]) == 6
    assert datasets.dnf(2, 2)["target"] != datasets.dnf(2, 2, seed=5)["target"]


@pytest.mark.parametrize(
    ("function", "kind", "message"),
    [
        (
            lambda: datasets.modular_addition(1),
            ValueError,
            "modular_addition: p must be an integer >= 2 and <= 1024, got 1",
        ),
        (
            lambda: datasets.modular_addition(5, encoding="add"),
            ValueError,
            "modular_addition: encoding must be one of 'pair', 'sum', got 'add'",
        ),
        (
            lambda: datasets.modular_addition(5, held_out=1),
            ValueError,
            "modular_addition: held_out must be a finite number >= 0 and < 1, got 1",
        ),
        (
            lambda: datasets.modular_addition(5, held_out=0.001),
            ValueError,
            "held_out must be 0 or a share that leaves out some but not all of 25 rows, got 0.001",
        ),
        (
            lambda: datasets.modular_addition(2, encoding="sum", held_out=0.1),
            ValueError,
            "held_out must be 0 or a share that leaves out some but not all of 3 rows",
        ),
        (
            lambda: datasets.parity(1, 1, held_out=0.9),
            ValueError,
            "parity: held_out must be 0 or a share that leaves out some but not all of 1 rows",
        ),
        (
            lambda: datasets.parity(3, 4, control=False, held_out=1e-4),
            ValueError,
            "parity: held_out must be 0 or a share that leaves out some but not all of 4096 rows",
        ),
        (
            lambda: datasets.modular_addition(5, held_out=0.1, seed=-1),
            ValueError,
            "modular_addition: seed must be an integer >= 0 and < 18446744073709551616, got -1",
        ),
        (
            lambda: datasets.modular_addition(5, batch_size=26),
            ValueError,
            "Dataset: batch_size must be an integer >= 1 and <= 25, got 26",
        ),
        (
            lambda: datasets.contexts(1),
            ValueError,
            "contexts: objects must be an integer >= 2 and < 4096, got 1",
        ),
        (
            lambda: datasets.contexts(4, 0),
            ValueError,
            "contexts: contexts must be an integer >= 1 and < 4096, got 0",
        ),
        (
            lambda: datasets.contexts(1000, 4000),
            MemoryError,
            "contexts needs about 465.5 TiB of memory",
        ),
        (
            lambda: datasets.contexts(4, 2, common=np.eye(3)),
            ValueError,
            "contexts: common must have shape (4, properties), got (3, 3)",
        ),
        (
            lambda: datasets.contexts(4, 2, specific=np.ones((3, 4, 1))),
            ValueError,
            "contexts: specific must have shape (2, 4, properties), got (3, 4, 1)",
        ),
        (
            lambda: datasets.parity(0, 4),
            ValueError,
            "parity: tasks must be an integer >= 1, got 0",
        ),
        (
            lambda: datasets.parity(3, 7),
            ValueError,
            "parity: tasks * bits must be <= 20, as all combinations are listed, got 21",
        ),
        (
            lambda: datasets.dnf(0),
            ValueError,
            "dnf: clauses must be an integer >= 1, got 0",
        ),
        (
            lambda: datasets.dnf(4, 3, n_features=11),
            ValueError,
            "dnf: n_features must be an integer >= 12 and < 16777216, got 11",
        ),
        (
            lambda: datasets.dnf(4, 2, n_features=3, overlapping=True),
            ValueError,
            "dnf: clauses must be <= 3, the number of possible clauses, got 4",
        ),
        (
            lambda: datasets.mnist1d_sums(samples=55),
            ValueError,
            "mnist1d_sums: samples must be a multiple of 10, got 55",
        ),
        (
            lambda: datasets.mnist1d_sums(probability=1.0),
            ValueError,
            "mnist1d_sums: probability must be a finite number > 0 and < 1, got 1.0",
        ),
        (
            lambda: datasets.mnist1d(samples=55),
            ValueError,
            "mnist1d: samples must be a multiple of 10, got 55",
        ),
        (
            lambda: datasets.mnist1d(samples=10**12),
            MemoryError,
            " for 1000000000000 samples) but ",
        ),
        (
            lambda: datasets.dnf(10**7, 4),
            ValueError,
            "dnf: clauses * literals must be < 16777216, as many features as there may be, got 40",
        ),
        (
            lambda: datasets.mnist1d(seed=2**32),
            ValueError,
            "mnist1d: seed must be an integer >= 0 and < 4294967296, got 4294967296",
        ),
    ],
    ids=range(25),
)
def test_bad_arguments(function, kind, message):
    check(kind, message, function)
