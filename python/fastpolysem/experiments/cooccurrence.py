"""Do features that occur together still end up on one neuron?

The paper shows one feature at a time. Two features of opposite signs on one neuron cost nothing
then; where both are on, neither is heard. Here features meet in three ways: every pair alike at a
chosen rate, fixed couples alone, and each feature on independently of the others. The first two are
fixed batches, without any sampling; sampled one-hot inputs say what the sampling of the third does
by itself. Each feature appears once a step in expectation, so l1 means the same everywhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastpolysem import _checks
from fastpolysem.config import Config
from fastpolysem.experiments import grid_of
from fastpolysem.experiments._answers import Answers, pairs, question, summary
from fastpolysem.experiments._verdicts import EFFECT, Verdict, compared, verdict_of
from fastpolysem.inputs import Basis, CorrelatedBlocks, FixedBatch, Independent, Inputs

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from fastpolysem.training import TrainingResult

NAME = "cooccurrence"
SUMMARY = "Let features occur together, from never to always, and count shared neurons."
FIGURE_SIZE = (10.0, 7.0)

MARGIN = 0.05
"""Share of the one-hot count that counts as about 0, and as no difference."""

_SETTINGS: dict[str, Any] = {
    "n_features": 16,
    "n_hidden": 32,
    "l1": 0.03,
    "l1_update": "orthant",
    "learning_rate": 4e-3,
    "steps": 2000,
    "all_pairs": [0.003, 0.01, 0.03, 0.1, 0.3],
    "couples": [0.03, 0.3],
    "independent": [1 / 64, 1 / 16, 1 / 4, 3 / 4],
}
PRESETS: dict[str, dict[str, Any]] = {
    # Some minutes on two cores.
    "default": {**_SETTINGS, "seeds": 300},
    # Half a minute.
    "quick": {
        **_SETTINGS,
        "seeds": 60,
        "all_pairs": [0.01, 0.1, 0.3],
        "couples": [0.3],
        "independent": [1 / 16, 1 / 4],
    },
    # The page of findings.
    "paper": {**_SETTINGS, "seeds": 1000},
    # About an hour.
    "large": {**_SETTINGS, "seeds": 1000, "n_features": 32, "n_hidden": 64, "steps": 4000},
}

_ON = 8
"""Times that a feature is on in a sampled batch, in expectation, with at least `_ROWS` rows."""
_ROWS = 32
_CONTROL = {"independent": "one-hot, sampled"}
_MIXED = Independent(probability=1 / 8, batch_size=256)
"""What every trained model is tried on beside the basis: a fixed sample of these inputs."""


def paired_inputs(n_features: int, rate: float, couples: bool = False) -> FixedBatch:
    """Basis vectors and sums of two of them, in which each feature has the weight of one row.

    The model is homogeneous, so a row times ``√q`` has the weight ``q`` in the loss: ``√(1 - rate)
    e_i`` for each feature, and ``√q (e_i + e_j)`` for each pair, ``q`` such that the pairs of a
    feature have the weight ``rate`` together.

    Parameters
    ----------
    n_features
        n; even with couples.
    rate
        In which share of its presentations a feature comes with another one, in (0, 1].
    couples
        Whether it is always the same one: features 0 and 1, 2 and 3, and so on.
    """
    share = _checks.real("paired_inputs: rate", rate, (">", 0), ("<=", 1))
    first, second = np.triu_indices(n_features, 1)
    if couples:
        first, second = np.arange(0, n_features - 1, 2), np.arange(1, n_features, 2)
    meetings = np.zeros((len(first), n_features))
    each = 1 if couples else n_features - 1
    meetings[np.arange(len(first)), first] = np.sqrt(share / each)
    meetings[np.arange(len(first)), second] = np.sqrt(share / each)
    return FixedBatch(np.vstack([np.sqrt(1 - share) * np.eye(n_features), meetings]))


def _all_configs(preset: str = "default", **changes: Any) -> list[Config]:
    settings = {**PRESETS[_checks.choice("preset", preset, PRESETS)], **changes}
    n = settings["n_features"]
    n = n[0] if isinstance(n, list) else n
    listed: list[Inputs] = [Basis()]
    listed += [paired_inputs(n, rate) for rate in settings.pop("all_pairs")]
    listed += [paired_inputs(n, rate, couples=True) for rate in settings.pop("couples")]
    chances = settings.pop("independent")
    if chances:
        listed.append(CorrelatedBlocks(blocks=n, active=1, batch_size=_ON * n))
    listed += [Independent(p, max(_ROWS, round(_ON / p))) for p in chances]
    return grid_of({preset: settings}, preset, {"inputs": listed, **changes})


def label(config: Config) -> dict[str, Any]:
    """Kind of the inputs, their rate, and how many others are on with a feature on average."""
    kind, rate, companions = "other", np.nan, np.nan
    inputs, n = config.inputs, config.n_features
    if isinstance(inputs, Basis):
        kind, rate, companions = "one-hot", 0.0, 0.0
    elif isinstance(inputs, CorrelatedBlocks):
        kind, rate, companions = "blocks", inputs.active / n, inputs.active - 1.0
        if companions == 0:
            kind, rate = "one-hot, sampled", 0.0
    elif isinstance(inputs, Independent):
        kind, rate = "independent", inputs.probability
        companions = (n - 1) * rate
    else:
        lone = inputs.to_dense()[:n]
        share = round(1 - float(lone[0, 0]) ** 2, 9)
        for couples in (False, True):
            if 0 < share <= 1 and inputs == paired_inputs(n, share, couples):
                kind = "couples" if couples else "all pairs"
                rate = companions = share
    return {
        "n_hidden": config.n_hidden,
        "l1": config.l1,
        "inputs": kind,
        "rate": rate,
        "companions": companions,
    }


def loss_on_mixed(weights: NDArray[Any], config: Config) -> NDArray[np.float64]:
    """Loss without l1 and noise of each model (S, n, m) on a fixed sample of `_MIXED`, (S,)."""
    from fastpolysem.objective import forward

    n = weights.shape[1]
    batch = np.random.default_rng(0).random((_MIXED.batch_size, n)) < _MIXED.probability
    errors = np.square(forward(weights, config, batch.astype(float)) - batch)
    result: NDArray[np.float64] = errors.sum(axis=(1, 2)) * _MIXED._scale(n, len(batch))
    return result


def take(result: TrainingResult) -> dict[str, NDArray[Any]]:
    """``loss_mixed`` on inputs of `_MIXED`, and pairs of features with one favourite neuron.

    ``sharing`` counts all such pairs, ``coupled`` those among features 0 and 1, 2 and 3, and so on.
    A feature whose weights are all zero has no favourite.
    """
    weights = np.asarray(result.weights)
    weights = np.where(result.diverged[:, np.newaxis, np.newaxis], 0.0, weights)
    n = weights.shape[1]
    favourite = np.abs(weights).argmax(axis=-1)
    favourite = np.where((weights != 0).any(axis=-1), favourite, -1 - np.arange(n))
    same = favourite[:, :, np.newaxis] == favourite[:, np.newaxis, :]
    even = np.arange(0, n - 1, 2)
    return {
        "sharing": (same.sum(axis=(1, 2)) - n) // 2,
        "coupled": same[:, even, even + 1].sum(axis=1),
        "loss_mixed": loss_on_mixed(weights, result.config),
    }


configs, run, rows = question(NAME, PRESETS, label, take=take, configs=_all_configs)
_LABELS = ("n_hidden", "l1", "inputs", "rate", "companions")


def table(data: Answers) -> pd.DataFrame:
    """Means with 95 % intervals, one row a kind and rate of inputs.

    ``signed_slots`` counts neurons that several features favour, ``polysemantic`` those that count
    by the paper's rule, ``coupled`` the couples on one neuron; ``loss`` is that on the basis,
    ``loss_mixed`` that where each feature is on with probability 1/8.
    """
    metrics = ["signed_slots", "polysemantic", "malign", "coupled", "loss", "loss_mixed"]
    return summary(data, _LABELS, [*metrics, "unrepresented"])


def verdict(data: Answers) -> Verdict:
    """Do shared neurons become fewer where features meet, and do they vanish?"""
    tests = []
    for width, l1 in sorted(set(zip(data.rows["n_hidden"], data.rows["l1"], strict=True))):
        for kind, rate in _settings(data, width, l1):
            control = _CONTROL.get(kind, "one-hot")
            here = data.where(n_hidden=width, l1=l1, inputs=kind, rate=rate)
            against = data.where(n_hidden=width, l1=l1, inputs=control)
            a, b = pairs(here, against, "signed_slots")
            name = f"m = {width}, λ = {l1:g}, {kind} {rate:.3g} against {control}"
            if kind == "couples":
                name = f"m = {width}, λ = {l1:g}, couples {rate:.3g}: couples against other pairs"
                n = 2 * max(1, round(_couples(data)))
                share, others = here["coupled"], here["sharing"] - here["coupled"]
                a, b = share / (n / 2), others / (n * (n - 2) / 2)
            tests.append(compared(name, a, b, MARGIN, paired=True, relative=True))
    method = (
        "Paired t tests of the neurons that several features favour, relative to one-hot inputs "
        "from the same start; of couples the share on one neuron, relative to all other pairs"
    )
    return verdict_of(tests, method, lambda outcome, judged: _say(data, outcome, judged))


def _settings(data: Answers, width: Any, l1: Any) -> list[tuple[str, float]]:
    found = data.rows[(data.rows["n_hidden"] == width) & (data.rows["l1"] == l1)]
    listed = found[["inputs", "rate"]].drop_duplicates().itertuples(index=False, name=None)
    return [(kind, rate) for kind, rate in listed if rate > 0 and kind != "other"]


def _couples(data: Answers) -> float:
    """Number of couples, n/2, by the features' companions: the table itself does not hold n."""
    some = data.rows[data.rows["inputs"] == "independent"]
    if len(some):
        return float((some["companions"] / some["rate"]).iloc[0] + 1) / 2
    return 8.0


def _say(data: Answers, outcome: str, judged: pd.DataFrame) -> str:
    if outcome != EFFECT:
        return f"Whether features that meet share fewer neurons: {outcome}."
    gone = []
    for width, l1 in sorted(set(zip(data.rows["n_hidden"], data.rows["l1"], strict=True))):
        base = data.where(n_hidden=width, l1=l1, inputs="one-hot")["signed_slots"].mean()
        means = table(data)
        means = means[(means["n_hidden"] == width) & (means["l1"] == l1)]
        means = means[means["inputs"].isin(["all pairs", "independent"])]
        least = means[means["signed_slots_high"] <= MARGIN * base].nsmallest(1, "companions")
        gone += [f"{row.companions:.2g}" for row in least.itertuples()]
    fewer = judged[(judged["outcome"] == EFFECT) & (judged["difference"] < 0)]
    more = judged[(judged["outcome"] == EFFECT) & (judged["difference"] > 0)]
    sentence = f"Features that meet share fewer neurons ({len(fewer)} of {len(judged)} settings"
    sentence += f", more in {len(more)})" if len(more) else ")"
    if gone:
        return (
            f"{sentence}; the count falls to about 0 (at most {MARGIN:.0%} of the one-hot count) "
            f"as soon as a feature has {gone[0]} companions on average."
        )
    return f"{sentence}; in none of them is the count about 0."


def draw(data: Answers, ax: Axes | None = None) -> Axes:
    """Counts, unrepresented features and losses against the companions that a feature has."""
    from fastpolysem import plots

    axes = plots.panels(ax, 2, 2, FIGURE_SIZE)
    means = table(data)
    means = means[(means["n_hidden"] == means["n_hidden"].iloc[0])]
    means = means[(means["l1"] == means["l1"].iloc[0])]
    kinds = ("all pairs", "couples", "independent")
    panels = {
        "signed_slots": "neurons that several\nfeatures favour",
        "unrepresented": "features unrepresented\n(no weight of at least 0.8)",
        "coupled": "couples on one neuron",
        "loss_mixed": "loss, each feature on\nwith probability 1/8",
    }
    for each, (metric, what) in zip(axes.flat, panels.items(), strict=True):
        for index, kind in enumerate(kinds):
            _points(each, means[means["inputs"] == kind], metric, plots.COLORS[index], kind)
        for name, line in (("one-hot", "-"), ("one-hot, sampled", "--")):
            for row in means[means["inputs"] == name].to_dict("records"):
                each.axhspan(
                    row[f"{metric}_low"], row[f"{metric}_high"], color="#BBBBBB", alpha=0.5
                )
                each.axhline(row[metric], color="#666666", ls=line, lw=1.2, label=name)
        each.set(xscale="log", xlabel="companions of a feature that is on, mean", ylabel=what)
        each.set_ylim(bottom=0)
    axes[0, 0].legend(frameon=False, fontsize="small")
    count = int(means["seeds"].min())
    axes[0, 0].set_title(f"means and 95 % intervals of {count} seeds", fontsize="medium")
    return ax or axes[0, 0]


def _points(ax: Axes, means: pd.DataFrame, metric: str, color: str, name: str) -> None:
    value = means[metric]
    bars = [value - means[f"{metric}_low"], means[f"{metric}_high"] - value]
    style: dict[str, Any] = {"fmt": "o-", "ms": 4, "lw": 1.2, "capsize": 2}
    ax.errorbar(means["companions"], value, bars, color=color, label=name, **style)
