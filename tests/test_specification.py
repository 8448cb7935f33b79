"""The specification against mathematics: finite differences, worked examples, PyTorch if there."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import specification as spec
from helpers.random_models import label, products, random_batch, random_importance, random_model

OPTIONS = list(
    products(
        tied=[True, False],
        bias=[False, True],
        activation=["relu", "linear"],
        importance=[False, True],
        l1_target=["none", "weights", "activations"],
        noise=["none", "step", "input"],
        batch=["basis", "sparse"],
    )
)
OPTIONS += [
    {**OPTIONS[0], "repulsion": True, **options}
    for options in products(
        tied=[True, False],
        noise=["none", "step", "input"],
        dropout=["none", "step", "input"],
        batch=["basis", "sparse"],
    )
]
N, M, ROWS = 5, 4, 7


def build(options: dict, rng: np.random.Generator):
    """(config, model, batch, noise, scale, dropout) of one combination."""
    config = spec.Settings(
        n_features=N,
        n_hidden=M,
        l1=0.0 if options["l1_target"] == "none" else 0.07,
        l1_target="activations" if options["l1_target"] == "activations" else "weights",
        tied=options["tied"],
        bias=options["bias"],
        activation=options["activation"],
        importance=random_importance(N) if options["importance"] else None,
        repulsion=0.6 if "repulsion" in options else 0.0,
    )
    model = random_model(rng, config)
    basis = options["batch"] == "basis"
    batch = np.eye(N) if basis else random_batch(rng, ROWS, N)
    shapes = {"none": None, "step": (M,), "input": (len(batch), M)}
    shape = shapes[options["noise"]]
    noise = None if shape is None else rng.normal(0, 0.2, shape)
    shape = shapes[options.get("dropout", "none")]
    dropout = None if shape is None else (rng.random(shape) < 0.7) / 0.7
    return config, model, batch, noise, 1.0 if basis else 0.4, dropout


@pytest.mark.parametrize("options", OPTIONS, ids=label)
def test_gradient_is_the_slope_of_the_objective(options):
    step = 1e-6
    for seed in range(100):
        config, model, batch, *rest = build(options, np.random.default_rng(seed))
        noise, scale, dropout = rest
        # A central difference must not straddle a kink: of the ReLU, of |h| in rows that are not
        # empty, of |w|.
        kinks = [
            np.abs(spec.preactivation(model, batch, noise, dropout)),
            np.abs(spec.hidden(model, batch)[np.any(batch != 0, axis=1)]),
            *(np.abs(a) for a in model[:2] if a is not None),
        ]
        if min(k.min() for k in kinks) > 1e-4:
            break
    else:
        pytest.fail("no data away from the kinks")

    slopes = spec.gradient(config, model, batch, noise, scale, dropout)
    for k, (array, slope) in enumerate(zip(model, slopes, strict=True)):
        if array is None:
            assert slope is None
            continue
        numeric = np.empty_like(array)
        for index in np.ndindex(array.shape):
            values = []
            for sign in (1, -1):
                moved = array.copy()
                moved[index] += sign * step
                arrays = list(model)
                arrays[k] = moved
                moved_model = spec.Weights(*arrays)
                values.append(spec.objective(config, moved_model, batch, noise, scale, dropout))
            numeric[index] = (values[0] - values[1]) / (2 * step)
        np.testing.assert_allclose(
            slope, numeric, rtol=0, atol=1e-8 * max(1.0, np.abs(slope).max())
        )


def test_objective_by_hand():
    # y = ReLU(W Wᵀ e_i): rows (1, 0) and (0, .5); both errors by hand, importance 2 on the second.
    config = spec.Settings(n_features=2, n_hidden=2, l1=0.1, importance=(1.0, 2.0))
    model = spec.weights([[1.0, 0.5], [-0.5, 0.5]])
    # G = [[1.25, -.25], [-.25, .5]]; errors .25 and -.5, off-diagonal clipped.
    assert spec.objective(config, model, np.eye(2)) == pytest.approx(0.0625 + 2 * 0.25 + 0.1 * 2.5)
    np.testing.assert_allclose(spec.forward(config, model, np.eye(2)), [[1.25, 0], [0, 0.5]])
    # Noise (1, 0) adds c = W ξ = (1, -.5) to every row.
    np.testing.assert_allclose(
        spec.forward(config, model, np.eye(2), np.array([1.0, 0.0])), [[2.25, 0], [0.75, 0]]
    )
    biased = model._replace(bias=np.array([0.0, 0.5]))
    np.testing.assert_allclose(spec.forward(config, biased, np.eye(2)), [[1.25, 0.25], [0, 1.0]])


def test_repulsion_and_dropout_by_hand():
    config = spec.Settings(n_features=3, n_hidden=2, repulsion=0.5)
    model = spec.weights([[1.0, 0.5], [-2.0, 0.0], [3.0, 0.0]])
    assert spec.repulsion_term(config, model) == 0.5 * (1 * 4 + 1 * 9 + 4 * 9)
    np.testing.assert_allclose(
        spec.repulsion_gradient(config, model.encoder), [[1 * 13, 0], [-2 * 10, 0], [3 * 5, 0]]
    )
    # The second neuron is dropped, the first counts twice: y = ReLU(2 w (h + noise)).
    units, noise = np.array([2.0, 0.0]), np.array([0.25, 9.0])
    np.testing.assert_allclose(
        spec.forward(config, model, np.eye(3)[:1], noise, units), [[2.5, 0.0, 7.5]]
    )


def test_basis_gradient_is_the_ode_of_the_paper():
    rng = np.random.default_rng(5)
    n, m, l1 = 9, 6, 0.02
    config = spec.Settings(n_features=n, n_hidden=m, l1=l1)
    model = random_model(rng, config)
    w = model.encoder
    expected = np.empty_like(w)
    for i in range(n):
        benefit = (1 - w[i] @ w[i]) * w[i]
        interference = sum(max(w[i] @ w[j], 0.0) * w[j] for j in range(n) if j != i)
        expected[i] = -4 * (benefit - interference - l1 / 4 * np.sign(w[i]))
    np.testing.assert_allclose(
        spec.gradient(config, model, np.eye(n)).encoder, expected, atol=1e-13
    )


def test_slopes_at_the_kinks():
    config = spec.Settings(n_features=2, n_hidden=2, l1=0.1)
    w = np.array([[0.5, 0.0], [0.0, 0.5]])  # off-diagonal pre-activations are exactly 0
    slopes = spec.gradient(config, spec.Weights(w), np.eye(2)).encoder
    own = 4 * (0.25 - 1) * 0.5 + 0.1
    np.testing.assert_allclose(slopes, [[own, 0.0], [0.0, own]])
    activations = replace(config, l1_target="activations")
    np.testing.assert_array_equal(
        slopes, spec.gradient(activations, spec.Weights(w), np.eye(2)).encoder
    )


def test_l1_on_activations_equals_l1_on_tied_weights_on_the_basis():
    rng = np.random.default_rng(6)
    config = spec.Settings(n_features=6, n_hidden=5, l1=0.3, bias=True)
    model = random_model(rng, config)
    activations = replace(config, l1_target="activations")
    noise = rng.normal(size=5)
    assert spec.objective(config, model, np.eye(6), noise) == pytest.approx(
        spec.objective(activations, model, np.eye(6), noise), rel=1e-14
    )
    for a, b in zip(
        spec.gradient(config, model, np.eye(6), noise),
        spec.gradient(activations, model, np.eye(6), noise),
        strict=True,
    ):
        if a is not None:
            np.testing.assert_allclose(a, b, rtol=1e-14)


@pytest.mark.parametrize("size", [8, 20])
def test_scale_shows_each_feature_once_per_step(size):
    class Basis: ...

    class FixedBatch: ...

    class Independent:
        probability, batch_size = 0.25, size

    class CorrelatedBlocks:
        blocks, active, batch_size = 2, 3, size

    n = 10
    assert spec.scale(Basis(), n) == spec.scale(FixedBatch(), n) == 1
    assert spec.scale(Independent(), n) * size * 0.25 == pytest.approx(1)
    # One of 2 blocks of 5 features, 3 of the 5: each feature is on in 3 of 10 rows.
    assert spec.scale(CorrelatedBlocks(), n) * size * 0.3 == pytest.approx(1)
    assert spec.scale(Independent(), n, rows=4) == pytest.approx(1)


# Optimisers ---------------------------------------------------------------------------------------


def zero_state(w: np.ndarray) -> spec.State:
    return spec.State(np.zeros_like(w), np.zeros_like(w))


TORCH_OPTIMIZERS = {
    "sgd": {"optimizer": "sgd", "learning_rate": 0.05},
    "sgd-momentum": {"optimizer": "sgd", "learning_rate": 0.02, "momentum": 0.8},
    "adam": {"optimizer": "adam", "learning_rate": 0.03},
    "adam-decay": {"optimizer": "adam", "learning_rate": 0.03, "weight_decay": 0.1},
    "adamw": {"optimizer": "adamw", "learning_rate": 0.03},
    "adamw-betas": {
        "optimizer": "adamw",
        "learning_rate": 0.03,
        "weight_decay": 0.3,
        "betas": (0.7, 0.95),
        "epsilon": 1e-3,
    },
}


@pytest.mark.extra
@pytest.mark.parametrize("name", TORCH_OPTIMIZERS)
def test_run_equals_pytorch(name):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(7)
    config = spec.Settings(
        n_features=6, n_hidden=5, l1=0.02, tied=False, bias=True, steps=12, **TORCH_OPTIMIZERS[name]
    )
    model = random_model(rng, config)
    batches = [random_batch(rng, 8, 6) for _ in range(config.steps)]
    noise = rng.normal(0, 0.1, (config.steps, 5))
    trajectory = spec.run(config, model, lambda step: batches[step], noise, 0.7)

    encoder, decoder, bias = (torch.tensor(a, requires_grad=True) for a in model)
    parameters = [encoder, decoder, bias]
    lr, decay = config.learning_rate, spec.weight_decay(config)
    optimizer = {
        "sgd": lambda: torch.optim.SGD(parameters, lr=lr, momentum=config.momentum),
        "adam": lambda: torch.optim.Adam(
            parameters, lr=lr, betas=config.betas, eps=config.epsilon, weight_decay=decay
        ),
        "adamw": lambda: torch.optim.AdamW(
            parameters, lr=lr, betas=config.betas, eps=config.epsilon, weight_decay=decay
        ),
    }[config.optimizer]()
    for step in range(config.steps):
        x = torch.tensor(batches[step])
        y = torch.relu((x @ encoder + torch.tensor(noise[step])) @ decoder.T + bias)
        loss = 0.7 * ((y - x) ** 2).sum() + config.l1 * (encoder.abs().sum() + decoder.abs().sum())
        assert trajectory.objective[step] == pytest.approx(loss.item(), rel=1e-12)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        for ours, theirs in zip(trajectory.weights[step + 1], parameters, strict=True):
            np.testing.assert_allclose(ours, theirs.detach().numpy(), rtol=0, atol=1e-12)


def test_orthant_step_by_hand():
    config = spec.Settings(
        n_features=1, n_hidden=8, l1=0.5, optimizer="sgd", learning_rate=0.1, momentum=0.5
    )
    #            stays  held  released  released  crosses  lands on 0  decays    held, with momentum
    w = np.array([[1.0, 0.0, 0.0, 0.0, 0.01, 0.05, -1.0, 0.0]])
    g = np.array([[0.2, 0.5, 0.7, -0.7, 0.2, 0.0, 0.2, -0.1]])
    first = np.array([[0.4, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 3.0]])
    state = spec.State(first, np.zeros_like(w))
    after, (after_first, _) = spec.orthant_step(config, w, g, state, 1)
    np.testing.assert_allclose(after, [[0.91, 0, -0.02, 0.02, 0, 0, -0.97, 0]], atol=1e-16)
    np.testing.assert_allclose(after_first, [[0.9, 0, 0.2, -0.2, 0, 0, -0.3, 3.0]], atol=1e-16)
    assert np.all(after[0, [1, 4, 5, 7]] == 0)


def test_orthant_step_keeps_the_second_moment_and_decays_first():
    config = spec.Settings(n_features=1, n_hidden=2, l1=0.5, learning_rate=0.1, weight_decay=0.5)
    w = np.array([[0.001, 1.0]])
    after, state = spec.orthant_step(config, w, np.zeros_like(w), zero_state(w), 1)
    assert after[0, 0] == state.first[0, 0] == 0
    assert state.second[0, 0] == pytest.approx(0.001 * 0.25)
    # Decay to 0.95, then one learning rate, as the first Adam step is the sign of the gradient.
    assert after[0, 1] == pytest.approx(0.95 - 0.1, rel=1e-6)


def test_a_scalar_second_moment_averages_what_moves_the_parameters():
    config = spec.Settings(n_features=2, n_hidden=2, l1=0.5, l1_update="orthant", bias=True)
    # Moves by 0.2 + 0.5, held at zero, released by 0.7 - 0.5, moves by 0.5 - 0.4; bias without l1.
    model = spec.weights([[1.0, 0.0], [0.0, -1.0]], bias=[0.0, 1.0])
    slopes = spec.weights([[0.2, 0.5], [0.7, 0.4]], bias=[0.3, 0.0])
    squares = [0.7**2, 0, 0.2**2, 0.1**2, 0.3**2, 0]
    assert spec.mean_square(config, model, slopes) == pytest.approx(sum(squares) / 6)
    coupled = replace(config, optimizer="adam", weight_decay=0.1)
    squares = [0.8**2, 0, 0.2**2, 0.2**2, 0.3**2, 0.1**2]
    assert spec.mean_square(coupled, model, slopes) == pytest.approx(sum(squares) / 6)
    # A second moment that all weights share is updated where a zero is held, too.
    state = spec.State(np.zeros((2, 2)), np.ones((2, 2)))
    _, (_, second) = spec.orthant_step(config, model.encoder, slopes.encoder, state, 1, 3.0)
    np.testing.assert_allclose(second, np.full((2, 2), 0.999 + 0.003))


def test_without_zeros_nearby_orthant_and_subgradient_agree():
    rng = np.random.default_rng(8)
    config = spec.Settings(n_features=4, n_hidden=5, l1=0.1)
    w = np.sign(rng.normal(size=(4, 5))) * rng.uniform(0.5, 1, (4, 5))
    g = rng.normal(size=w.shape)
    plain, _ = spec.optimizer_step(config, w, g + 0.1 * np.sign(w), zero_state(w), 1)
    orthant, _ = spec.orthant_step(config, w, g, zero_state(w), 1)
    np.testing.assert_array_equal(plain, orthant)


def test_certified_by_hand():
    config = spec.Settings(n_features=3, n_hidden=4, l1=1e-3, l1_update="orthant")
    apart = np.array([[0.9, 0, 0, 0], [0, -0.8, 0, 0], [0, 0, 0, 0]])
    assert spec.certified(config, apart)
    benign = np.array([[0.9, 0, 0, 0], [-0.85, 0, 0, 0], [0, 0, 1.0, 0]])
    assert spec.certified(config, benign)
    assert not spec.certified(config, np.abs(benign))  # overlap
    assert not spec.certified(config, apart * 0.99)  # too small
    two = apart.copy()
    two[0, 3] = 1e-9
    assert not spec.certified(config, two)


def test_run_stops_when_certified():
    config = spec.Settings(
        n_features=2,
        n_hidden=3,
        l1=0.05,
        l1_update="orthant",
        optimizer="sgd",
        learning_rate=0.02,
        steps=2000,
    )
    rng = np.random.default_rng(9)
    model = random_model(rng, config)
    full = spec.run(config, model, np.eye(2))
    early = spec.run(replace(config, stop="certified"), model, np.eye(2))
    taken = len(early.objective)
    assert 0 < taken < config.steps
    assert not spec.certified(config, full.weights[taken - 1].encoder)
    np.testing.assert_array_equal(early.weights[-1].encoder, full.weights[taken].encoder)
    assert spec.counts(early.weights[-1].encoder) == spec.counts(full.weights[-1].encoder)


# Counts -------------------------------------------------------------------------------------------


def test_counts_by_hand():
    w = np.array(
        [
            # three share: +, -, +   one only   two equal signs   outside    small
            [1.0, 0.0, 0.0, 0.0, 0.1],
            [-1.0, 0.0, 0.0, 0.0, 0.0],
            [0.8, 0.9, 0.0, 0.0, 0.0],
            [0.0, 0.0, -1.2, 0.0, 0.0],
            [0.0, 0.0, -1.1, 1.3, 0.0],
            [0.0, 0.0, 0.0, 1.21, 0.79],
            [0.0, 0.0, 0.0, 0.0, 0.79],
            [0.0, 0.0, 0.0, 0.0, 0.0],
        ]
    )
    assert spec.counts(w) == {
        "polysemantic": 2,
        "benign": 2,
        "malign": 2,
        "signed_slots": 2,  # columns 0 (owners 0, 1) and 3 (owners 4, 5)
        "signed_slots_benign": 1,
        "dead": 1,
        "unrepresented": 2,
    }
    assert spec.counts(w, low=0.7, high=2.0)["polysemantic"] == 4


def test_first_of_equal_weights_owns():
    assert spec.signed_slots(np.array([[0.5, -0.5], [0.1, 0.5]])) == (0, 0)
    assert spec.signed_slots(np.array([[-0.5, 0.5], [0.5, 0.1]])) == (1, 1)


def test_effective_weights_of_untied_models():
    model = spec.weights([[2.0, -1.0, 0.5, 0.0]], [[0.5, -0.25, -0.5, 3.0]])
    np.testing.assert_allclose(spec.effective(model), [[1.0, -0.5, 0.0, 0.0]])
