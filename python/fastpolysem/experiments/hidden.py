"""Which ingredients of a hidden layer make accidental polysemanticity possible, and in what form?

The paper's hidden layer is linear, and two features share a neuron with opposite signs. A rectified
neuron cannot carry both signs. Here hidden layers of several kinds are trained on one-hot inputs
under l1, from the same initial weights at each seed, and their neurons are measured by ablation.
The form is determined from the weights: features and neurons form a bipartite graph whose
components are counted (`_census`). `_triangles` contains the theory of the most frequent one.

Plan of the analysis, fixed before the confirmatory run
-------------------------------------------------------
Primary outcome: shared use of the tied rectified layer minus that of the tied linear layer, n = 32
features, at m = n and m = 2n neurons, λ√m = 0.06, Adam. Paired t tests by seed, margin ±0.02, Holm
over the two. 1000 seeds; other arms and n = 64 have fewer (`case`). All seeds are analysed; the
features that are not learned are reported, and the tests are repeated on seeds that lose none.
Shared use weights a neuron by the loss that its ablation causes. The squared error makes half a
feature worth a quarter, so that features on two neurons count less. The share of features in groups
(`shared_features`) is therefore reported beside it, as are neurons per concept, the untrained
network and chance.
Secondary, with intervals but without a verdict: the census by arm; the law in m/n, as a power of m
against an exponential in m/n, at n = 16, 32 and 64; gradient descent; features that occur together,
l1, noise and dropout at m = n and 1.5n. Exploration with 40 seeds (10 000 and up; the first with 48
seeds from 0) chose the settings, and has shown the sign of both primary differences.

Plan for other sizes, fixed after the run at n = 32 and before that at n = 16 and 64
-----------------------------------------------------------------------------------
The same two tests at n = 16 (1000 seeds) and at n = 64 (256 seeds), everything else equal: λ√m,
optimiser, steps and margin. All six tests are corrected together by Holm's method, and repeated on
the seeds at which neither layer lost a feature. An independent check has shown the share of
features in groups at n = 16 and 64 (600 and 24 seeds), but not shared use. The share of features in
groups has its own difference beside each test, as its sign may be another one.
Secondary, with intervals but without a verdict: all arms at n = 16, at all six widths, with 1000
seeds (controls 256), and at n = 64, at m = n, 1.5n and 2n, with 64 seeds (since raised to 256); the
second stage at n = 16 (96 seeds); 16 000 steps at n = 16 (256 seeds) and 64 (64 seeds, since raised
to 256). A form of the law in the width is said to hold at a size if its p-value there is at least
0.05, and the exponents in m/n of the three sizes are compared: equal ones speak for m/n rather than
m.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fastpolysem.experiments import _census, _networks
from fastpolysem.experiments._answers import Answers, apart, compared_by_seed, estimate_of
from fastpolysem.experiments._base import Presets, number, whole
from fastpolysem.experiments._networks import CONTROLS, USE, Case, NetworkQuestion, before_training
from fastpolysem.experiments._verdicts import WITHIN, Comparison, text
from fastpolysem.families.network.config import NetworkConfig
from fastpolysem.families.network.measures.measure import measure as measure_use
from fastpolysem.families.network.objective import NetworkParameters
from fastpolysem.probes import Column, Probe
from fastpolysem.specs.inputs import Independent
from fastpolysem.training import TrainingResult, train

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

MARGIN = 0.02
"""Difference of shared use that would not matter."""
FEATURES = 32
"""n of the first run."""
SIZES = (16, 32, 64)
"""All n of the primary tests."""
RATIOS = (1.0, 2.0)
"""m/n of the primary tests."""
WIDTHS = [0.75, 1.0, 1.25, 1.5, 2.0, 4.0]
"""m/n of the two main arms."""
STRENGTH = 0.06
"""λ√m: what decides when l1 acts on weights that start at 1/√m."""
LINEAR, RELU = "linear", "ReLU"
LEAST_GROUPS = 10
"""Networks with a group that a width needs to enter a fit."""
FEWER = 256
"""Seeds at n = 64, and of arms without l1, before training and trained for longer."""
_ADAM: dict[str, Any] = {
    "output": "relu",
    "tied": True,
    "l1_update": "orthant",
    "optimizer": "adam",
    "learning_rate": 5e-3,
    "steps": 4000,
}
_SGD: dict[str, Any] = {"optimizer": "sgd", "learning_rate": 0.06, "steps": 8000}
_UNTIED: dict[str, Any] = {"tied": False}
UNTIED = "ReLU, untied"
ARMS: dict[str, dict[str, Any]] = {
    LINEAR: {"activation": "linear"},
    RELU: {},
    "GELU": {"activation": "gelu"},
    "tanh": {"activation": "tanh"},
    "ReLU, biases": {"bias": True, "steps": 12_000},
    UNTIED: _UNTIED,
    "ReLU, untied, linear output": {**_UNTIED, "output": "linear"},
    "ReLU, two hidden layers": {**_UNTIED, "output": "linear", "hidden": 2},
    "ReLU, no l1": {"l1": 0.0, "l1_update": "subgradient"},
    "linear, untrained": {"activation": "linear", "steps": 0},
    "ReLU, untrained": {"steps": 0},
}
"""Fields of `NetworkConfig` that differ from a tied rectified layer under Adam."""
BY_SGD: dict[str, dict[str, Any]] = {
    "linear, SGD": {"activation": "linear", **_SGD},
    "ReLU, SGD": _SGD,
}
LONGER: dict[str, dict[str, Any]] = {
    "linear, 16 000 steps": {"activation": "linear", "steps": 16_000},
    "ReLU, 16 000 steps": {"steps": 16_000},
}
"""Added after the confirmatory run of the main arms, in which the linear layer was not finished at
m = 4n."""
TOGETHER = (0.03, 0.1)
"""Probabilities of each feature where they occur together."""


def _treated() -> dict[str, dict[str, Any]]:
    ways: dict[str, dict[str, Any]] = {
        f"p = {p:g}": {"inputs": Independent(p, batch_size=64)} for p in TOGETHER
    }
    ways |= {f"λ√m = {strength:g}": {"strength": strength} for strength in (0.02, 0.2, 0.6)}
    ways |= {
        "Gaussian noise": {"noise": "gaussian", "noise_std": 0.1},
        "dropout": {"dropout": 0.05},
    }
    return {
        f"{arm}, {name}": {**ARMS[arm], **way}
        for name, way in ways.items()
        for arm in (LINEAR, RELU)
    }


TREATED = _treated()
"""The second stage: what may remove accidents, at m = n and 1.5n."""
_CONTROLS = ("linear, untrained", "ReLU, untrained", "ReLU, no l1")
_EVERY = {**ARMS, **BY_SGD, **LONGER, **TREATED}
_PRIMARY: dict[str, Any] = {"n_features": FEATURES, "ratio": list(RATIOS), "arm": [LINEAR, RELU]}
SHAPES = {
    "in_pairs": "pairs on one neuron",
    "in_triangles": "triangles on three neurons",
    "in_larger": "larger groups",
}
SHARES = ("shared_features", "shared_neurons", *SHAPES)
"""Columns of the table that are counted by the census, per feature or neuron."""
_AGAIN = "from_transpose_"


@dataclass(frozen=True)
class Hidden(Probe):
    """The census and the controls; for an untied layer those of a second training.

    Independent starts leave half of an untied layer's outputs without a gradient, and their
    features are lost. It is therefore trained again with the decoder started as the encoder's
    transpose.
    """

    name = "hidden"
    columns: ClassVar = {
        **_census.COLUMNS,
        **CONTROLS,
        **{f"{_AGAIN}{name}": Column("float64", f"{name} of the second training") for name in USE},
    }

    def __call__(self, result: TrainingResult) -> dict[str, NDArray[Any]]:
        """The columns of a block."""
        again: Mapping[str, Any] = {name: np.full(len(result), math.nan) for name in USE}
        if _starts_again(result.config):
            result = _from_transpose(result)
            again = {name: np.asarray(getattr(result, name), dtype=float) for name in USE}
        weights = _networks.trained_network(result)
        return {
            **_census.census(weights),
            **_networks.controls(measure_use(weights, result.config), result.seeds),
            **{f"{_AGAIN}{name}": values for name, values in again.items()},
        }


def _starts_again(config: NetworkConfig) -> bool:
    return not config.tied and config.output == "relu"


def _from_transpose(result: TrainingResult) -> TrainingResult:
    start = before_training(result)
    first = np.asarray(start.weights.weights[0])
    tied = NetworkParameters([first, np.ascontiguousarray(np.swapaxes(first, 1, 2))])
    return train(result.config, result.seeds, initial_weights=tied, return_weights=True)


class HiddenLayers(NetworkQuestion):
    """Kinds of hidden layers against widths."""

    NAME = "hidden"
    SUMMARY = "Compare kinds of hidden layers: which share neurons by accident, and in which form."
    FIGURE_SIZE = (9.6, 7.4)
    PRESETS: ClassVar[Presets] = {
        # A few minutes on two cores.
        "default": {**_PRIMARY, "ratio": [1.0, 1.5, 2.0], "arm": list(ARMS), "seeds": 200},
        # Some seconds.
        "quick": {**_PRIMARY, "seeds": 60},
        # The page of findings; two hours of processor time.
        "paper": {
            "n_features": list(SIZES),
            "ratio": WIDTHS,
            "arm": list(_EVERY),
            "seeds": 1000,
        },
        # Hours.
        "large": {**_PRIMARY, "ratio": WIDTHS, "n_features": list(SIZES), "seeds": 4000},
    }
    OPTIONS: ClassVar = {
        "n_features": "Number of features n.",
        "ratio": "Neurons per feature, m/n.",
        "arm": f"The hidden layer: {'; '.join(_EVERY)}.",
        "strength": "The l1 weight times √m, for arms that do not set it.",
    }
    CHOICES: ClassVar = {"arm": _EVERY}
    ALLOWED: ClassVar = {
        "n_features": whole((">=", 2)),
        "ratio": number((">", 0)),
        "strength": number((">", 0)),
    }
    PROBE = Hidden()
    LABELS = ("n_features", "n_hidden", "strength", "arm")
    SEEN: ClassVar = {"λ√m": "strength"}
    OPTIMIZER = "Adam"
    METRICS = (
        *("shared_use", *SHARES, "pairs", "triangles", "larger", "window", "polysemantic"),
        *("serving", "dead", "effective_concepts", "neurons_per_concept"),
        *("chance", "shared_use_10", "shared_use_50"),
        *("not_learned", "lost_otherwise", "loss", "largest_gradient"),
    )
    OPEN = "whether rectifying the hidden layer changes shared use"
    METHOD = (
        "Paired t tests of shared use, tied ReLU minus tied linear layer, from the same initial "
        "weights at each seed"
    )

    def case(self, **settings: Any) -> Case | None:
        """A network; ``None`` for sizes at which an arm is not trained."""
        n, ratio, arm = settings["n_features"], settings["ratio"], settings["arm"]
        if arm not in (LINEAR, RELU) and ratio not in _widths(n, arm):
            return None
        m = round(ratio * n)
        fields = {**_ADAM, "widths": (n, m, n), **_EVERY[arm]}
        strength = fields.pop("strength", settings.get("strength", STRENGTH))
        if "l1" in fields:
            strength = 0.0
        else:
            fields["l1"] = strength / math.sqrt(m)
        fields["widths"] = (n, *[m] * fields.pop("hidden", 1), n)
        labels = {"n_features": n, "n_hidden": m, "strength": float(strength), "arm": arm}
        return Case(labels, NetworkConfig(**fields), _most(n, arm))

    def _collected(self, configs: list[Case], seeds: int, **options: Any) -> Answers:
        """With the second training in place of the first where there is one; what the first lost is
        ``lost_otherwise``."""
        data = super()._collected(configs, seeds, **options)
        rows = data.rows.assign(lost_otherwise=np.float32(math.nan))
        again = rows["arm"] == UNTIED
        rows.loc[again, "lost_otherwise"] = rows.loc[again, "not_learned"].astype(np.float32)
        for name in USE:
            second = rows.pop(f"{_AGAIN}{name}")
            rows.loc[again, name] = second[again].astype(rows[name].dtype)
        return Answers(rows, data.interrupted)

    def table(self, data: Answers) -> pd.DataFrame:
        """Means with 95 % intervals, one row per network.

        ``shared_features`` is the share of features, ``shared_neurons`` that of neurons, in groups
        of two or more features; ``in_pairs``, ``in_triangles`` and ``in_larger`` split the former.
        ``chance`` is the shared use if each feature chose its neurons at random.
        ``lost_otherwise`` are the features that an untied layer loses from independent starts.
        """
        return super().table(Answers(with_shares(data.rows)))

    def tests(self, data: Answers) -> list[Comparison]:
        """Is shared use another one if the hidden layer is rectified, at each size?"""
        tests = []
        for where, setting in _settings(data):
            relu, linear = (data.where(**setting, arm=arm) for arm in (RELU, LINEAR))
            name = f"n = {setting['n_features']}, {where}"
            tests.append(compared_by_seed(name, relu, linear, "shared_use", MARGIN, relative=False))
        return tests

    def say(self, data: Answers, outcome: str, judged: pd.DataFrame) -> str:
        """What shares, by how much, and in which shape."""
        if outcome == WITHIN:
            return f"Rectifying the hidden layer changes shared use by less than {MARGIN}."
        means = self.table(data)
        settings = _settings(data)
        own = dict.fromkeys((one["n_features"], one["strength"]) for _, one in settings)
        return " ".join(self._said(data, means, *one) for one in own)

    def _seen(self, rows: pd.DataFrame) -> Iterator[str]:
        return super()._seen(rows[rows["arm"].isin([LINEAR, RELU])])

    def _said(self, data: Answers, means: pd.DataFrame, n: int, strength: float) -> str:
        """Amounts and shapes at one n and λ√m."""
        parts = []
        means = means[(means["n_features"] == n) & (means["strength"] == strength)]
        for where, setting in _settings(data):
            if (setting["n_features"], setting["strength"]) != (n, strength):
                continue
            chosen = (means[list(setting)] == list(setting.values())).all(axis=1)
            here = means[chosen].set_index("arm")
            (linear, relu), (before, after) = (
                [text(estimate_of(here.loc[arm], name), 2) for arm in (LINEAR, RELU)]
                for name in ("shared_use", "shared_features")
            )
            parts.append(
                f"at {where}, shared use is {relu} with ReLU and {linear} with a linear layer, and "
                f"the share of features in groups is {after} and {before}"
            )
        shapes = [_commonest(means[means["arm"] == arm]) for arm in (LINEAR, RELU)]
        return (
            f"With n = {n} features, {'; '.join(parts)}. At m = {shapes[0][0]}, {shapes[0][1]} of "
            f"these features are in {shapes[0][2]} in the linear layer, and {shapes[1][1]} are in "
            f"{shapes[1][2]} in the ReLU layer."
        )

    def tables(self, data: Answers) -> dict[str, str]:
        """What holds at each size, the first looks, and all numbers."""
        from fastpolysem.experiments import _hidden_tables

        return _hidden_tables.tables(data)

    def draw(self, data: Answers, ax: Axes | None = None) -> Axes:
        """Shared use by arm, shapes at m = n, the law in m/n, and features that occur together."""
        from fastpolysem.experiments import _hidden_figure

        return _hidden_figure.draw(self.table(data), ax, self.FIGURE_SIZE)


def _widths(n: int, arm: str) -> Sequence[float]:
    """The m/n at which an arm other than the two main ones is trained."""
    if arm in LONGER:
        return (1.0, 2.0, 4.0)
    if arm in TREATED:
        return (1.0, 1.5) if n <= FEATURES else ()
    return WIDTHS if n < FEATURES else (1.0, 1.5, 2.0)


def _most(n: int, arm: str) -> int | None:
    """The largest number of seeds of an arm; None for that of the preset."""
    if n > FEATURES:
        return FEWER
    return FEWER if arm in (*_CONTROLS, *LONGER) else None


def _settings(data: Answers) -> list[tuple[str, dict[str, Any]]]:
    """Sizes and strengths of the primary tests, with the name of the width."""
    rows = data.rows[data.rows["arm"].isin([LINEAR, RELU])]
    wanted = rows[(rows["n_hidden"] / rows["n_features"]).isin(RATIOS)]
    names = ["n_features", "n_hidden", "strength"]
    found = wanted[names].drop_duplicates().sort_values(names)
    return [
        (f"m = {row['n_hidden']}{apart(row, found, names[:2])}", row)
        for row in ({str(k): v for k, v in one.items()} for one in found.to_dict("records"))
    ]


def _commonest(means: pd.DataFrame) -> tuple[int, str, str]:
    """The narrowest width with a neuron per feature, and which share of its features in groups is
    in which shape."""
    row = means[means["n_hidden"] >= means["n_features"]].sort_values("n_hidden").iloc[0]
    name = max(SHAPES, key=lambda shape: float(row[shape]))
    share = float(row[name]) / max(float(row["shared_features"]), 1e-12)
    return int(row["n_hidden"]), f"{share:.0%}", SHAPES[name]


def with_shares(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with `SHARES`."""
    n, m = rows["n_features"].astype(float), rows["n_hidden"].astype(float)
    counts = rows[["features_in_groups", "neurons_in_groups", "pairs", "triangles"]].astype(float)
    found = rows.assign(
        shared_features=counts["features_in_groups"] / n,
        shared_neurons=counts["neurons_in_groups"] / m,
        in_pairs=2 * counts["pairs"] / n,
        in_triangles=3 * counts["triangles"] / n,
    )
    rest = found["shared_features"] - found["in_pairs"] - found["in_triangles"]
    return found.assign(in_larger=rest)


def laws(data: Answers) -> pd.DataFrame:
    """How the share of features in groups decreases with the width, from m = n on.

    One row per n, arm (with many groups, or trained for longer) and form, "m" for a power of m and
    "exp(m/n)" for an exponential in m/n: the exponent with its 95 % interval, and the p-value of
    the form. Widths at which fewer than `LEAST_GROUPS` networks have a group are left out, as the
    logarithm of so rare a share has no normal error; forms with fewer than three widths too.
    """
    import pandas as pd

    from fastpolysem.statistics import power_law

    rows = with_shares(data.valid)
    found = []
    shown = rows[rows["arm"].isin([LINEAR, RELU, "GELU", *BY_SGD, *LONGER])]
    for (n, arm), group in shown.groupby(["n_features", "arm"]):
        group = group[(group["n_hidden"] >= n) & (group["strength"] == STRENGTH)]
        by = group.groupby("n_hidden")["shared_features"]
        means = by.agg(["mean", "sem", "size"])
        enough = by.apply(lambda shares: (shares > 0).sum() >= LEAST_GROUPS)
        means = means[enough & (means["sem"] > 0)]
        if len(means) < 3:
            continue
        width = means.index.to_numpy(dtype=float)
        for form, x in (("m", width), ("exp(m/n)", np.exp(width / n))):
            fit = power_law(x, means["mean"], means["sem"], seeds=means["size"])
            value, low, high = fit.exponent
            found.append((n, arm, form, value, low, high, fit.r_squared, fit.p_value))
    columns = ["n_features", "arm", "form", "exponent", "low", "high", "r_squared", "p_value"]
    return pd.DataFrame(found, columns=columns)


EXPERIMENT = HiddenLayers()
