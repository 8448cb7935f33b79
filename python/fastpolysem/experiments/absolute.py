"""Do sparse inputs make trained networks share neurons, and can a start bias keep neurons apart?

Three published tasks. |x| (Elhage et al. 2022): y = ReLU(W2 ReLU(W1 x) + b) computes the absolute
values of signed sparse features, the importance of feature i being 0.8^i; two neurons per feature,
ReLU(x) and ReLU(-x), are an exact solution. The hidden-ReLU autoencoder, y = ReLU(W^T ReLU(W x) +
b), with importance 0.75^i. And a smaller version of the feature decoder of Jermyn et al. (2022):
features are projected onto fewer dimensions at random, and a wide ReLU layer recovers them; its
biases start at 0, or at -1 and decay over the first half of training.

Plan, written before the run and after three to twelve seeds of similar settings had been looked at
(batches of 512 and 1024 rows for densities, twice the rows and steps for biases). *Primary
outcome*: the share of use that lies on shared neurons (`measures.shared_use`), with one concept per
feature, whatever its sign. *Tests*, paired by seed and corrected together by Holm's method: density
0.03 against 1, for |x| (n = 20, m = 8) and for the autoencoder (n = 10, m = 5), margin 0.02; and,
at each of two learning rates, a start bias of -1 against 0 after 16 000 steps, by the share, margin
0.02, and by the loss, relative, margin 5 %. *Seeds*: 32 for densities and 16 for biases.
Differences of shares had a standard deviation of at most 0.2 for densities and 0.05 for biases, so
that differences of 0.15 and 0.05 are found with a probability above 0.95. *Beside it*: features
learned, features per neuron and neurons per feature, chance, the untrained network, the other
thresholds. *Convergence*: four times the steps at densities 1 and 0.03, a quarter of the steps for
biases, and |x| with room for every feature (n = 12, m = 24) after 3000, 12 000 and 30 000 steps.
Networks of the published size and the smallest case, two features and two neurons, are not part of
the tests.
"""

from __future__ import annotations

import dataclasses
import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fastpolysem.experiments._answers import Answers, compared_by_seed, estimate_of
from fastpolysem.experiments._base import NATURAL, Presets, number
from fastpolysem.experiments._drawing import legend, points
from fastpolysem.experiments._networks import (
    CONTROLS,
    Case,
    NetworkQuestion,
    as_share,
    before_training,
    controls,
    trained_network,
)
from fastpolysem.experiments._sparse_tasks import (
    ABSOLUTE,
    ARMS,
    AUTOENCODER,
    BIASES,
    BY_DENSITY,
    DENSE,
    DENSITIES,
    LENGTHS,
    MOST,
    PUBLISHED,
    RATES,
    ROOM,
    SPARSE,
    STARTS,
    TWO,
    WIDER,
    bias_arm,
)
from fastpolysem.experiments._tables import of_means
from fastpolysem.experiments._verdicts import Comparison, change, text
from fastpolysem.families.network.config import NetworkConfig
from fastpolysem.families.network.measures import formulas
from fastpolysem.families.network.measures.measure import Measures, measure
from fastpolysem.families.network.objective import NetworkParameters, forward
from fastpolysem.probes import Column, Probe
from fastpolysem.specs.inputs import Basis, Independent
from fastpolysem.training import TrainingResult

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

MARGIN = 0.02
"""Difference of shares of use that would not matter."""
LOSS_MARGIN = 0.05
"""Relative difference of losses that would not matter."""
_ACTIVE_ROWS = 128
"""Rows in which each feature is active, on average, when use is measured; at least 4096 in all."""


def _rows(config: NetworkConfig) -> NDArray[np.float64]:
    """Rows of inputs to measure use on, the same for all seeds."""
    n = config.widths[0]
    if isinstance(config.inputs, Basis):
        return np.eye(n)
    inputs: Any = config.inputs
    rng = np.random.default_rng(0)
    shape = (max(4096, round(_ACTIVE_ROWS / inputs.probability)), n)
    low = -1.0 if inputs.magnitude == "signed_uniform" else 0.0
    return np.where(rng.random(shape) < inputs.probability, rng.uniform(low, 1, shape), 0)


def use_of_features(weights: Any, config: NetworkConfig) -> Measures:
    """Which neurons of the last hidden layer features use, whatever their sign."""
    rows = _rows(config)
    outputs = list(range(rows.shape[1]))
    found = measure(weights, config, data=rows, concepts=rows != 0, outputs=outputs)
    return dataclasses.replace(found, rises=found.rises[-1:])


def both_kinds(rises: NDArray[Any]) -> NDArray[np.bool_]:
    """Whether networks have shared neurons and others, of those with at least a tenth of an equal
    share of all use; of (S, K, C) rises."""
    carries = formulas.neuron_weights(rises) >= 0.1 / rises.shape[-2]
    shared = formulas.shared(rises)
    return np.asarray((carries & shared).any(axis=-1) & (carries & ~shared).any(axis=-1))


@dataclass(frozen=True)
class Apart(Probe):
    """Use of the neurons of the last hidden layer by features, and what tells it apart."""

    name = "absolute"
    columns: ClassVar = {
        "shared": as_share("share of use on shared neurons, by features whatever their sign"),
        "shared_untrained": as_share("the same at the start"),
        **CONTROLS,
        "both": as_share("1 for networks with shared neurons and others"),
        "features_per_neuron": Column("float32", "effective features per neuron", (0, None)),
        "neurons_per_feature": Column("float32", "effective neurons per feature", (0, None)),
        "learned": Column("int64", "features with half of the best constant's loss", (0, None)),
        "lost_share": Column(
            "float32", "loss over the best constant's, mean of features", (0, None)
        ),
        "pure": as_share("share of neurons whose responses to single features are concentrated"),
        "silent": as_share("share of neurons that respond to no single feature"),
        "median_bias": Column("float32", "median of the hidden biases; 0 without", None),
        "alignment": as_share("smallest alignment of a neuron with a feature"),
        "positive_alignment": as_share("the same by the positive parts of weights"),
    }

    def __call__(self, result: TrainingResult) -> dict[str, NDArray[Any]]:
        """The columns of a block."""
        config, seeds = result.config, result.seeds
        weights = trained_network(result)
        found = use_of_features(weights, config)
        start = before_training(result).weights
        last = len(config.widths) - 3
        first = weights.weights[last]
        lost = found.loss / np.maximum(found.constant_loss, np.finfo(float).tiny)
        hidden = None if weights.biases is None else weights.biases[last]
        responses = self._responses(weights, config)
        concentrated = formulas.concentration(responses)
        return {
            "shared": found.shared_use,
            "shared_untrained": use_of_features(start, config).shared_use,
            **controls(found, seeds),
            "both": both_kinds(found.rises[0]).astype(float),
            "features_per_neuron": found.effective_concepts,
            "neurons_per_feature": found.neurons_per_concept,
            "learned": found.learned.sum(axis=1),
            "lost_share": lost.mean(axis=1),
            "pure": (concentrated > 0.999).mean(axis=-1),
            "silent": (concentrated == 0).mean(axis=-1),
            "median_bias": np.zeros(len(seeds)) if hidden is None else np.median(hidden, axis=-1),
            "alignment": formulas.alignment(first).min(axis=-1),
            "positive_alignment": formulas.alignment(np.maximum(first, 0)).min(axis=-1),
        }

    @staticmethod
    def _responses(weights: NetworkParameters, config: NetworkConfig) -> NDArray[np.float64]:
        """(S, K, features) activations to one feature less those to none, as Jermyn et al. take
        them."""
        n = config.widths[0]
        rows = np.concatenate([np.eye(n), np.zeros((1, n))])
        each = forward(weights, config, rows, layers=True)[len(config.widths) - 3]
        return np.asarray(np.swapaxes(each[:, :-1] - each[:, -1:], 1, 2), dtype=float)


_OWN_STEPS = (ABSOLUTE, AUTOENCODER, PUBLISHED, *TWO)
"""Networks whose names do not tell the number of steps."""


class Absolute(NetworkQuestion):
    """Use of neurons against density, and with a negative start bias."""

    NAME = "absolute"
    SUMMARY = "Measure shared neurons in |x|, the hidden-ReLU autoencoder and feature decoders."
    FIGURE_SIZE = (7.4, 3.4)
    PRESETS: ClassVar[Presets] = {
        # Some minutes.
        "default": {
            "arm": [ABSOLUTE, AUTOENCODER, *BIASES],
            "density": [1.0, 0.1, 0.03, 0.001],
            "seeds": 24,
        },
        # A minute.
        "quick": {
            "arm": [ABSOLUTE, AUTOENCODER, *(bias_arm(start, 0.003, 4000) for start in STARTS)],
            "density": [DENSE, SPARSE],
            "seeds": 12,
        },
        # The page of findings; more than three hours on two cores.
        "paper": {
            "arm": [arm for arm in (*BY_DENSITY, *ROOM, *BIASES, *WIDER) if arm != PUBLISHED],
            "density": DENSITIES,
            "seeds": 1000,
        },
        # |x| at the published size; three hours on two cores.
        "published": {"arm": PUBLISHED, "density": DENSITIES, "seeds": 500},
        # Two features and two neurons; half a minute.
        "starts": {"arm": list(TWO), "density": DENSE, "seeds": 100_000},
        # Hours.
        "large": {"arm": [ABSOLUTE, AUTOENCODER], "density": DENSITIES, "seeds": 10_000},
    }
    OPTIONS: ClassVar = {
        "arm": f"The network: {'; '.join(ARMS)}.",
        "density": f"Probability that a feature is active, for {', '.join(BY_DENSITY)}.",
        "steps": f"Number of updates, for {', '.join(_OWN_STEPS)}; others are left out.",
    }
    CHOICES: ClassVar = {"arm": ARMS}
    ALLOWED: ClassVar = {"density": number((">", 0), ("<=", 1)), "steps": NATURAL}
    PROBE = Apart()
    LABELS = ("arm", "density")
    METRICS = (*Apart.columns, "polysemantic", "loss", "largest_gradient")
    OPEN = "whether density or a start bias changes the share of use"
    METHOD = (
        "Paired t tests at the same seeds: the share of use on shared neurons at density "
        f"{SPARSE:g} against {DENSE:g}, and with a start bias of -1 against 0, where the "
        "relative loss is also compared"
    )

    def case(self, **settings: Any) -> Case | None:
        """A network; ``None`` for densities and numbers of steps at which it is not trained.

        In the published recipe of |x| the loss is the mean over rows and outputs, here it is
        features / density times that, and epsilon with it.
        """
        arm = settings["arm"]
        fields = dict(ARMS[arm])
        density = fields.pop("density", settings["density"])
        if density not in fields.pop("densities", (density,)):
            return None
        n = fields["widths"][0]
        values, rows = fields.pop("values", None), fields.pop("batch_size", None)
        if values is not None:
            fields["inputs"] = Independent(density, rows, values)
        if arm not in TWO:
            fields["epsilon"] = 1e-8 * n / density
        if "steps" in settings:
            if arm not in _OWN_STEPS:
                return None
            fields["steps"] = settings["steps"]
        labels = {"arm": arm, "density": float(density)}
        return Case(labels, NetworkConfig(**fields), MOST.get(arm))

    def tests(self, data: Answers) -> list[Comparison]:
        """Sparse against dense, and biases."""
        tests = []
        for arm in (ABSOLUTE, AUTOENCODER):
            sparse, dense = (data.where(arm=arm, density=one) for one in (SPARSE, DENSE))
            if len(sparse) and len(dense):
                name = f"{arm}: density {SPARSE:g} against {DENSE:g}, shared use"
                test = compared_by_seed(name, sparse, dense, "shared", MARGIN, relative=False)
                tests.append(test)
        for rate, steps in _lengths(data):
            zero, negative = (data.where(arm=bias_arm(one, rate, steps)) for one in STARTS)
            where = f"rate {rate:g}, {steps} steps: bias -1 against 0"
            test = compared_by_seed(
                f"{where}, shared use", negative, zero, "shared", MARGIN, relative=False
            )
            tests.append(test)
            tests.append(compared_by_seed(f"{where}, loss", negative, zero, "loss", LOSS_MARGIN))
        return tests

    def say(self, data: Answers, outcome: str, judged: pd.DataFrame) -> str:
        """Shares with what was learned, and what a start bias changes."""
        means = self.table(data).set_index(["arm", "density"])
        rows = judged.set_index("test")
        sentences = []
        for arm in (ABSOLUTE, AUTOENCODER):
            test = f"{arm}: density {SPARSE:g} against {DENSE:g}, shared use"
            if test not in rows.index:
                continue
            n, m, _ = ARMS[arm]["widths"]
            shares = " and ".join(
                f"{text(estimate_of(means.loc[(arm, density)], 'shared'))} at density {density:g} "
                f"({means.loc[(arm, density), 'learned']:.3g} features learned)"
                for density in (DENSE, SPARSE)
            )
            sentences.append(
                f"{_CALLED[arm]} with n = {n} and m = {m} (AdamW) has a share of use on shared "
                f"neurons of {shares}: {rows.loc[test, 'outcome']}."
            )
        for rate, steps in _lengths(data):
            where = f"rate {rate:g}, {steps} steps: bias -1 against 0"
            share, loss = (rows.loc[f"{where}, {what}"] for what in ("shared use", "loss"))
            zero, negative = (
                text(estimate_of(means.loc[bias_arm(one, rate, steps)].iloc[0], "shared"))
                for one in STARTS
            )
            sentences.append(
                f"At learning rate {rate:g} (Adam, {steps} steps), a start bias of -1 changes the "
                f"share in decoders of 64 features with 128 neurons from {zero} to {negative} "
                f"({share['outcome']}) and changes their loss by {change(loss)} "
                f"({loss['outcome']})."
            )
        return " ".join(sentences)

    def tables(self, data: Answers) -> dict[str, str]:
        """Networks by density, with room, and decoders; the smallest case."""
        found = {}
        small = data.rows["arm"].isin(TWO)
        if small.any():
            found["two"] = _two_by_two(data.rows[small])
        if small.all():
            return found
        means = self.table(Answers(data.rows[~small]))
        means["called"] = [_SHOWN.get(arm, arm) for arm in means["arm"]]
        blocks = {"densities": BY_DENSITY, "room": ROOM, "decoders": BIASES, "widths": WIDER}
        for block, arms in blocks.items():
            part = means[means["arm"].isin(arms)]
            if len(part):
                rest = _CONTEXT | (_OF_BIASES if arms in (BIASES, WIDER) else {})
                labels = {"network": "called", "density": "density", "seeds": "seeds"}
                found[block] = of_means(part, labels, _ESTIMATES[block], rest)
        return found

    def draw(self, data: Answers, ax: Axes | None = None) -> Axes:
        """Shared use against density, and against the loss of decoders."""
        from fastpolysem import plots

        means = self.table(data)
        left, right = plots.panels(ax, 1, 2, self.FIGURE_SIZE)[0]
        style: dict[str, Any] = {"lw": 1.3, "ms": 4, "capsize": 2}
        names = {ABSOLUTE: "|x|", PUBLISHED: "|x|, published size"}
        names |= {AUTOENCODER: "autoencoder"}
        for i, (arm, label) in enumerate(names.items()):
            part = means[means["arm"] == arm].sort_values("density")
            if len(part):
                look = plots.look(i, "color", "marker")
                points(left, part["density"], part, "shared", label=label, ls="-", **look, **style)
                left.plot(part["density"], part["chance"], color=look["color"], lw=0.9, ls=":")
        left.plot([], [], color="#777777", lw=0.9, ls=":", label="chance")
        self._draw_decoders(means, right)
        left.set(xscale="log", xlabel="density", ylabel="share of use on shared neurons")
        left.set_ylim(-0.03, 1.03)
        right.set_ylim(-0.03, 1.03)
        right.set(xlabel="loss per feature", ylabel="share of use on shared neurons")
        for axes, title in ((left, "density"), (right, "start bias")):
            axes.set_title(title, fontsize="medium")
        left.legend(frameon=False, fontsize="small")
        legend(right, frameon=False, fontsize="small", loc="center right")
        return ax or left

    @staticmethod
    def _draw_decoders(means: pd.DataFrame, ax: Axes) -> None:
        """A line for each start bias and rate, from the shorter training to the longer."""
        from fastpolysem import plots

        for i, (rate, start) in enumerate(itertools.product(RATES, STARTS)):
            arms = [bias_arm(start, rate, steps) for steps in LENGTHS]
            part = means[means["arm"].isin(arms)]
            if not len(part):
                continue
            look = plots.look(i)
            loss = part["loss"] / BIASES[arms[0]]["widths"][0]
            label = f"from {start:g}, rate {rate:g}"
            points(ax, loss, part, "shared", mfc="white", label=label, lw=1, ms=5, **look)
            last = part["shared"].iloc[-1]
            ax.plot(loss.iloc[-1], last, **look | {"ls": "none"}, ms=5, zorder=3)


_CALLED = {ABSOLUTE: "|x|", AUTOENCODER: "The autoencoder"}
_SHOWN = {ABSOLUTE: "absolute", "absolute, longer": "absolute, 40 000 steps"}
_SHOWN |= {"autoencoder, longer": "autoencoder, 40 000 steps"}
_SHARE = {"share of use on shared neurons": "shared"}
_ESTIMATES = {
    "densities": _SHARE,
    "room": {
        **_SHARE,
        "polysemantic": "polysemantic",
        "loss over the best constant's": "lost_share",
    },
    "decoders": {**_SHARE, "loss": "loss"},
    "widths": {**_SHARE, "loss": "loss"},
}
_CONTEXT = {
    "chance": "chance",
    "untrained": "shared_untrained",
    "from 0.1": "shared_use_10",
    "from 0.5": "shared_use_50",
    "networks with both kinds": "both",
    "features learned": "learned",
    "features per neuron": "features_per_neuron",
    "neurons per feature": "neurons_per_feature",
    "largest gradient": "largest_gradient",
}
_OF_BIASES = {"pure": "pure", "silent": "silent", "bias": "median_bias"}


def _two_by_two(rows: pd.DataFrame) -> str:
    """What becomes of two features and two neurons, by the output's nonlinearity."""
    import pandas as pd

    lines = []
    for arm, group in rows.groupby("arm", sort=False):
        loss = group["loss"].to_numpy(dtype=float)
        solved = group[loss < 1e-3]
        line: dict[str, Any] = {"output": str(arm).split(", ")[1].split(" ")[0]}
        line |= {"starts": f"{len(group):,}".replace(",", " "), "solved": len(solved) / len(group)}
        for lost in (1, 2):
            line[f"lost {lost}"] = float((np.abs(loss - lost) < 0.01).mean())
        for name, column in (("least alignment", "alignment"), ("positive", "positive_alignment")):
            quartiles = np.quantile(solved[column], [0.25, 0.5, 0.75])
            line[name] = ", ".join(f"{one:.3g}" for one in quartiles)
        line["monosemantic"] = float((solved["positive_alignment"] > 0.999).mean())
        lines.append(line)
    headings = {
        "output": "output",
        "starts": "starts",
        "solved": "solved",
        "one feature lost": "lost 1",
        "both lost": "lost 2",
        "least alignment of solved ones, quartiles": "least alignment",
        "of positive parts, quartiles": "positive",
        "solved ones with both neurons aligned (above 0.999)": "monosemantic",
    }
    return of_means(pd.DataFrame(lines), headings, {})


def _lengths(data: Answers) -> list[tuple[float, int]]:
    """The longest training with both start biases, for each learning rate."""
    arms = set(data.rows["arm"])
    found = {}
    for rate in RATES:
        for steps in sorted(LENGTHS):
            if all(bias_arm(start, rate, steps) in arms for start in STARTS):
                found[rate] = steps
    return list(found.items())


EXPERIMENT = Absolute()
