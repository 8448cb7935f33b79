"""One encoding under l1, against Euler steps of all its weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import fastpolysem as fp
from fastpolysem import encoding


def euler(
    start: NDArray[np.float64], l1: float, step: float, at: NDArray[np.float64]
) -> list[NDArray[np.float64]]:
    """The weights that are left at the times, by plain Euler steps."""
    w, done, found = start[start > 0], 0, []
    for time in at:
        while done * step < time:
            w = w + step * ((1 - w @ w) * w - l1)
            w = w[w > 0]
            done += 1
        found.append(w)
    return found


@pytest.mark.parametrize(
    ("m", "l1", "step"),
    [(1, 0.01, 0.5), (2, 0.01, 0.1), (50, 0.01, 0.5), (1000, 1e-3, 0.5), (3000, 3e-4, 1.0)],
)
@pytest.mark.parametrize("init_scale", [0.5, 0.9])
def test_trajectories_are_those_of_plain_euler_steps(
    m: int, l1: float, step: float, init_scale: float
) -> None:
    runs = encoding.simulate(m, l1, [0, 7], step=step, init_scale=init_scale, points=60)
    assert runs.seeds.tolist() == [0, 7]
    for index in range(2):
        start = runs.start(index).astype(np.float64)
        for r, w in enumerate(euler(start, l1, step, runs.t)):
            assert runs.support[index, r] == w.size
            assert runs.l1_norm[index, r] == pytest.approx(w.sum(), rel=1e-8)
            assert runs.squared_norm[index, r] == pytest.approx(w @ w, rel=1e-8)
            first, second = [*np.sort(w)[::-1], 0.0, 0.0][:2]
            assert runs.largest[index, r] == pytest.approx(first, rel=1e-8)
            assert runs.second[index, r] == pytest.approx(second, rel=1e-7, abs=1e-9)
            spread = runs.relative_variance[index, r]
            if w.size:
                assert spread == pytest.approx(w.var() / w.mean() ** 2, rel=1e-6, abs=1e-9)
                assert runs.gap[index, r] == pytest.approx((first - second) / first, abs=1e-7)
            else:
                assert np.isnan(spread)
                assert np.isnan(runs.gap[index, r])


def test_start_is_that_of_a_model_with_one_feature() -> None:
    runs = encoding.simulate(500, 1e-2, [3], until=1)
    config = fp.Config(n_features=1, n_hidden=500, steps=0)
    weights = fp.train(config, [3], return_weights=True).weights
    np.testing.assert_allclose(runs.start(0), 0.9 * np.abs(np.asarray(weights)[0, 0]), rtol=1e-6)


def test_gradient_descent_of_a_model_takes_the_same_steps() -> None:
    m, l1, rate = 40, 0.02, 0.05
    runs = encoding.simulate(m, l1, 1, step=4 * rate, points=20)
    steps = np.round(runs.t / runs.step).astype(int)
    config = fp.Config(
        n_features=1, n_hidden=m, l1=4 * l1, l1_update="orthant", optimizer="sgd",
        learning_rate=rate, steps=int(steps[-1]), dtype="float64",
    )  # fmt: skip
    start = runs.start(0)[np.newaxis].astype(np.float64)
    record = ["nonzeros", "l1_norm"], steps
    result = fp.train(config, 1, initial_weights=start, record=record)
    np.testing.assert_array_equal(result.history["nonzeros"], runs.support)
    np.testing.assert_allclose(result.history["l1_norm"], runs.l1_norm, rtol=1e-6)


def test_bounds_on_the_relative_variance_hold() -> None:
    runs = encoding.simulate(2000, 1e-3, 5)
    for index in range(5):
        low, high = runs.relative_variance_bounds(index)
        seen = runs.relative_variance[index]
        assert (low <= seen + 1e-9).all()
        assert (seen <= high + 1e-9).all()
        many = runs.support[index] > 50
        assert (high - low)[many].max() < 0.2


def test_feature_benefit_balances_l1() -> None:
    runs = encoding.simulate(10_000, 1e-4, 3)
    later = runs.t > 5
    ratio = (1 - runs.squared_norm) / (runs.l1 * runs.l1_norm)
    np.testing.assert_allclose(ratio[:, later], 1, atol=0.015)


def test_too_strong_l1_leaves_nothing() -> None:
    runs = encoding.simulate(100, 1.0, 3)
    assert (runs.support[:, -1] == 0).all()
    assert (runs.largest[:, -1] == 0).all()
    for index in range(3):
        low, high = runs.relative_variance_bounds(index)
        assert np.isnan(low[-1])
        assert np.isnan(high[-1])


def test_nothing_stays_nothing() -> None:
    """Long after the last weight vanished, when a(t) is infinite."""
    runs = encoding.simulate(10, 1e-3, init_scale=1e-4)
    gone = runs.support == 0
    assert gone[0, -1]
    for values in (runs.l1_norm, runs.squared_norm, runs.largest, runs.second):
        assert (values[gone] == 0).all()


def test_seeds_do_not_depend_on_each_other() -> None:
    both = encoding.simulate(300, 1e-3, 3)
    one = encoding.simulate(300, 1e-3, [2])
    np.testing.assert_array_equal(both.support[2], one.support[0])
    np.testing.assert_array_equal(both.l1_norm[2], one.l1_norm[0])
    assert encoding.simulate(300, 1e-3, 0).support.shape[0] == 0


def test_times_are_geometric_and_end_as_asked() -> None:
    runs = encoding.simulate(10, 1e-2, 1, step=0.25, until=80, points=30)
    assert runs.t[0] == 0
    assert runs.t[-1] == 80
    assert (np.diff(runs.t) > 0).all()
    assert encoding.simulate(10, 1e-2).t[-1] == 200


def test_save_and_load(tmp_path: Path) -> None:
    runs = encoding.simulate(50, 1e-2, 2)
    runs.save(tmp_path / "runs.npz")
    again = encoding.Trajectories.load(tmp_path / "runs.npz")
    assert (again.n_hidden, again.l1, again.step, again.init_scale) == (50, 1e-2, 0.5, 0.9)
    for name in ("seeds", "t", "support", "l1_norm", "squared_norm", "largest", "second"):
        np.testing.assert_array_equal(getattr(again, name), getattr(runs, name))
    assert [file.name for file in tmp_path.iterdir()] == ["runs.npz"]
    (tmp_path / "runs.npz").write_bytes(b"PK")
    with pytest.raises(ValueError, match=r"runs\.npz' is not a complete file"):
        encoding.Trajectories.load(tmp_path / "runs.npz")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_hidden": 0}, "n_hidden must be an integer >= 1"),
        ({"n_hidden": 2**31}, "n_hidden must be an integer >= 1 and < 2147483648"),
        ({"l1": 0}, "l1 must be a finite number > 0"),
        ({"step": 2}, "step must be a finite number > 0 and <= 1"),
        ({"until": 1e4}, "until must be a finite number > 0 and <= 500"),
        ({"init_scale": 0}, "init_scale must be a finite number > 0"),
        ({"points": 0}, "points must be an integer >= 1"),
        ({"l1": 1e-300}, r"until / step must be < 4294967296 steps, got .* until is 2 / l1 with"),
        ({"l1": 1e-310}, r"until / step must be < 4294967296 steps, got inf / 0.5"),
        ({"step": 1e-300, "until": 1}, r"until / step must be < \d+ steps, got 1 / 1e-300$"),
        ({"seeds": [-1]}, r"seeds\[0\] must be an integer >= 0"),
    ],
)
def test_bad_arguments(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        encoding.simulate(**({"n_hidden": 10, "l1": 1e-2} | arguments))  # type: ignore[arg-type]
