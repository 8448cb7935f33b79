"""The pass of networks: its gradient against its loss, and the same bits from every kernel."""

import numpy as np
import pytest

from network.made_up_networks import (
    ACTIVATIONS,
    arrays,
    network,
    parameters,
    random_batch,
    random_settings,
    same_bits,
)
from network.nettest import core, modules

SIZES = [1, 2, 3, 7, 10, 16, 17, 33, 40, 48, 64, 100]
POWERS = [1, 1.5, 2, 2.5, 3, 4, 7.5, 16]
DTYPES = ["f32", "f64"]


def equal(a, b):
    return a == b or (np.isnan(a) and np.isnan(b))


@pytest.mark.parametrize("seed", range(60))
def test_panels_and_layers_have_the_bits_of_the_plain_loops(seed):
    rng = np.random.default_rng(seed)
    settings = random_settings(rng, SIZES, POWERS)
    weights = parameters(rng, settings)
    rows = int(rng.choice([1, 2, 15, 16, 63, 64, 65, 100, 130]))
    batch = random_batch(rng, settings, rows, sparse=bool(rng.random() < 0.5))
    for dtype in DTYPES:
        for module in modules.values():
            gradient = getattr(module, f"gradient_{dtype}")
            run = getattr(module, f"run_{dtype}")
            loss, plain = gradient("generic", settings, weights, batch)
            end = run("generic", settings, weights, batch, 5)
            for kernel in ("panels", "layers"):
                other_loss, other = gradient(kernel, settings, weights, batch)
                assert equal(loss, other_loss)
                assert same_bits(plain, other)
                assert same_bits(end, run(kernel, settings, weights, batch, 5))
        first, *others = [
            getattr(module, f"run_{dtype}")("panels", settings, weights, batch, 5)
            for module in modules.values()
        ]
        assert all(same_bits(first, other) for other in others)


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("shared", [False, True])
def test_every_lane_has_the_bits_of_its_seed_alone(seed, shared):
    rng = np.random.default_rng([seed, shared])
    settings = random_settings(rng, [1, 2, 3, 4, 5, 7, 8, 9, 16, 17, 33], [1, 1.5, 2, 3, 4])
    rows, sparse = int(rng.choice([1, 2, 7, 8, 9, 16, 33])), bool(rng.random() < 0.5)
    state = rng.bit_generator.state
    starts, batches = [], []
    for lane in range(16):
        draws = np.random.default_rng([seed, lane])
        draws.bit_generator.state = state  # the same options in every lane, ...
        batch = random_batch(draws, settings, rows, sparse)
        if lane and not shared:  # ... and other numbers
            batch["x"] = np.roll(batch["x"], lane) * np.float32(1 + lane / 16)
            if "targets" in batch:
                batch["targets"] = np.roll(batch["targets"], lane)
        for key in ("noise", "dropout"):
            if key in batch:
                batch[key] = [np.roll(entry, lane) for entry in batch[key]]
        batches.append(batch)
        starts.append(parameters(np.random.default_rng([seed, lane]), settings))
    for dtype in DTYPES:
        losses, gradients, ends = getattr(core, f"lanes_{dtype}")(
            settings, starts, batches, 5, shared
        )
        for lane, (loss, gradient, end) in enumerate(zip(losses, gradients, ends, strict=True)):
            alone = (settings, starts[lane], batches[lane])
            wanted_loss, wanted = getattr(core, f"gradient_{dtype}")("generic", *alone)
            assert equal(loss, wanted_loss)
            assert same_bits(gradient, wanted)
            assert same_bits(end, getattr(core, f"run_{dtype}")("generic", *alone, 5))


@pytest.mark.parametrize("loss", ["power", "cross_entropy", "binary_cross_entropy"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("power", [1.5, 2, 4])
def test_gradient_is_the_slope_of_the_loss(loss, activation, power):
    """Central differences in float64 of a network that uses every option that has a slope."""
    if loss != "power" and power != 2:
        power = 2.0
    rng = np.random.default_rng(5)
    settings = network(
        [5, 6, 6, 4],
        [activation] * 3,
        loss=loss,
        target="given",
        power=power,
        scale=0.3,
        residual=[False, True, False],
        importance=[1.0, 0.5, 2.0, 0.25],
    )
    weights = parameters(rng, settings)
    batch = random_batch(rng, settings, 9, sparse=False, density=0.7)
    batch["noise"] = [rng.normal(0, 0.1, (9, 6)), rng.normal(0, 0.1, (1, 6))]
    batch["dropout"] = [(rng.random((9, 6)) < 0.8) / 0.8, np.ones((9, 6))]
    batch.pop("order", None)
    _, gradient = core.gradient_f64("panels", settings, weights, batch)
    step = 1e-6
    for which, (values, slopes) in enumerate(zip(arrays(weights), arrays(gradient), strict=True)):
        slopes = slopes.reshape(values.shape)
        for index in np.ndindex(values.shape):
            kept = values[index]
            sides = []
            for sign in (1, -1):
                values[index] = kept + sign * step
                sides.append(core.gradient_f64("generic", settings, weights, batch)[0])
            values[index] = kept
            numeric = (sides[0] - sides[1]) / (2 * step)
            assert numeric == pytest.approx(slopes[index], rel=1e-5, abs=1e-7), (which, index)


@pytest.mark.parametrize("kernel", ["generic", "panels"])
def test_subnormal_moments_are_stored_as_zero(kernel):
    """Gradients of 1e-18 leave second moments of 1e-39, those of 1e-38 first moments too."""
    settings = network([3, 2, 1], ["linear"], loss="power", target="given", rule="adam")
    weights = [np.full((3, 2), 0.5), np.full((2, 1), 0.5)], [np.zeros(2), np.zeros(1)]
    batch = {"x": np.full((4, 3), 0.5, np.float32), "targets": np.ones((4, 1))}
    for scale, first_is_zero in ((1e-18, False), (1e-38, True)):
        settings["scale"] = scale
        moments = core.moments_f32(kernel, settings, weights, batch, 1)
        first, second = (np.concatenate([a.ravel() for a in arrays(m)]) for m in moments)
        assert np.all((first == 0) == first_is_zero)
        assert np.all(second == 0)
    settings["scale"] = 1e-15
    _, second = core.moments_f32(kernel, settings, weights, batch, 1)
    assert np.all(second[0][0] >= np.finfo(np.float32).smallest_normal)
