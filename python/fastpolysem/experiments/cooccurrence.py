"""Do features that co-occur still end up on one neuron?

The paper's inputs have one feature at a time, so that two features of opposite signs on one neuron
cost nothing. If both are on, they cancel. Here features co-occur in three ways: all pairs at a
chosen rate, fixed couples only, and each feature independently of the others. The first two are
fixed batches without sampling; sampled one-hot inputs are the control for the sampling in the
third. Each feature appears once per step in expectation, so l1 has the same meaning everywhere.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fastpolysem.experiments._answers import Answers, AutoencoderQuestion, compared_by_seed
from fastpolysem.experiments._base import Fields, Presets, values_of
from fastpolysem.experiments._drawing import points
from fastpolysem.experiments._meetings import LOSS_MIXED, loss_on_mixed, paired_inputs
from fastpolysem.experiments._verdicts import (
    EFFECT,
    INCONCLUSIVE,
    WITHIN,
    Comparison,
    compared,
)
from fastpolysem.experiments._weights import trained_weights
from fastpolysem.families.autoencoder.config import Config
from fastpolysem.probes import Column, Probe
from fastpolysem.specs.inputs import Basis, CorrelatedBlocks, Independent, Inputs
from fastpolysem.training import TrainingResult

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


MARGIN = 0.05
"""Share of the one-hot count that is considered about 0, and negligible as a difference."""
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
_ON = 8
"""Expected number of times that a feature is on in a sampled batch of at least `_ROWS` rows."""
_ROWS = 32
_KINDS = ("all_pairs", "couples", "independent")
_CONTROL = {"independent": "one-hot, sampled"}


def _sizes(data: Answers) -> list[dict[str, Any]]:
    """The combinations of width and l1 in the data."""
    pairs = sorted(set(zip(data.rows["n_hidden"], data.rows["l1"], strict=True)))
    return [{"n_hidden": width, "l1": l1} for width, l1 in pairs]


def _settings(data: Answers, n_hidden: Any, l1: Any) -> list[tuple[str, float]]:
    here = data.rows[(data.rows["n_hidden"] == n_hidden) & (data.rows["l1"] == l1)]
    settings = here[["inputs", "rate"]].drop_duplicates().itertuples(index=False, name=None)
    return [(kind, rate) for kind, rate in settings if rate > 0 and kind != "other"]


def _couples(data: Answers) -> float:
    """Number of couples, n/2, derived from the number of co-active features."""
    some = data.rows[data.rows["inputs"] == "independent"]
    if len(some):
        return float((some["companions"] / some["rate"]).iloc[0] + 1) / 2
    return 8.0


@dataclass(frozen=True)
class Favourites(Probe):
    """Pairs of features with the largest |weight| on the same neuron; zero features are ignored."""

    name = "cooccurrence"
    columns: ClassVar = {
        "sharing": Column("int64", "pairs of features with the largest |weight| on one neuron"),
        "coupled": Column("int64", "those among features 0 and 1, 2 and 3, and so on"),
        "loss_mixed": LOSS_MIXED,
    }

    def __call__(self, result: TrainingResult) -> dict[str, NDArray[Any]]:
        """The columns ``sharing``, ``coupled`` and ``loss_mixed``."""
        weights = trained_weights(result)
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


class Cooccurrence(AutoencoderQuestion):
    """Features that co-occur with increasing frequency.

    In the table, ``signed_slots`` counts neurons on which several features have their largest
    weight, ``polysemantic`` neurons by the paper's rule, and ``coupled`` couples on one neuron.
    ``loss`` is measured on the basis, and ``loss_mixed`` with each feature on with probability 1/8.
    """

    NAME = "cooccurrence"
    SUMMARY = "Let features co-occur, from never to always, and count shared neurons."
    FIGURE_SIZE = (10.0, 7.0)
    PRESETS: ClassVar[Presets] = {
        # A few minutes on two cores.
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
    PROBE = Favourites()
    LABELS = ("n_hidden", "l1", "inputs", "rate", "companions")
    METRICS = (
        *("signed_slots", "polysemantic", "malign", "coupled", "loss", "loss_mixed"),
        "unrepresented",
    )
    METHOD = (
        "Paired t tests of the number of shared neurons, relative to one-hot inputs from the same "
        "initial weights; for couples, of the share on one neuron, relative to all other pairs"
    )

    def ways(self, settings: Fields, changes: Fields) -> Iterable[Fields]:
        """All kinds of inputs at all rates."""
        given = {**settings, **changes}
        all_pairs, couples, independent = (given[kind] for kind in _KINDS)
        for kind in _KINDS:
            settings.pop(kind)
            changes.pop(kind, None)
        n = values_of(given["n_features"])[0]
        inputs: list[Inputs] = [Basis()]
        inputs += [paired_inputs(n, rate) for rate in all_pairs]
        inputs += [paired_inputs(n, rate, couples=True) for rate in couples]
        if independent:
            inputs.append(CorrelatedBlocks(blocks=n, active=1, batch_size=_ON * n))
        inputs += [Independent(p, max(_ROWS, round(_ON / p))) for p in independent]
        return [{"inputs": inputs}]

    def labels(self, config: Config) -> dict[str, Any]:
        """Kind and rate of the inputs, and the mean number of other features on with a feature."""
        kind, rate, companions = "other", np.nan, np.nan
        inputs, n = config.inputs, config.n_features
        if isinstance(inputs, Basis):
            kind, rate, companions = "one-hot", 0.0, 0.0
        elif isinstance(inputs, CorrelatedBlocks):
            kind, rate, companions = "blocks", inputs.active / n, inputs.active - 1.0
            if companions == 0:
                kind, rate = "one-hot, sampled", 0.0
        elif isinstance(inputs, Independent):
            kind, rate = "independent", float(np.mean(inputs.probability))
            companions = (n - 1) * rate
        else:
            lone = inputs.to_dense()[:n]
            share = round(1 - float(lone[0, 0]) ** 2, 9)
            for couples in (False, True):
                if 0 < share <= 1 and inputs == paired_inputs(n, share, couples):
                    kind = "couples" if couples else "all pairs"
                    rate = companions = share
        return super().labels(config) | {"inputs": kind, "rate": rate, "companions": companions}

    def tests(self, data: Answers) -> list[Comparison]:
        """Are there fewer shared neurons if features co-occur?"""
        tests = []
        for same in _sizes(data):
            for kind, rate in _settings(data, **same):
                here = data.where(**same, inputs=kind, rate=rate)
                where = f"m = {same['n_hidden']}, λ = {same['l1']:g}, {kind} {rate:.3g}"
                if kind == "couples":
                    n = 2 * max(1, round(_couples(data)))
                    share, others = here["coupled"], here["sharing"] - here["coupled"]
                    share, others = share / (n / 2), others / (n * (n - 2) / 2)
                    name = f"{where}: couples against other pairs"
                    tests.append(compared(name, share, others, MARGIN, paired=True, relative=True))
                    continue
                control = _CONTROL.get(kind, "one-hot")
                against = data.where(**same, inputs=control)
                name = f"{where} against {control}"
                tests.append(compared_by_seed(name, here, against, "signed_slots", MARGIN))
        return tests

    def say(self, data: Answers, outcome: str, judged: pd.DataFrame) -> str:
        """In how many settings fewer neurons are shared, and from which point on none is."""
        if outcome == WITHIN:
            return f"Features that co-occur share as many neurons as others, within {MARGIN:.0%}."
        if outcome == INCONCLUSIVE:
            return f"Whether features that co-occur share fewer neurons is {outcome}."
        gone = []
        means = self.table(data)
        for same in _sizes(data):
            base = data.where(**same, inputs="one-hot")["signed_slots"].mean()
            here = means[(means["n_hidden"] == same["n_hidden"]) & (means["l1"] == same["l1"])]
            here = here[here["inputs"].isin(["all pairs", "independent"])]
            least = here[here["signed_slots_high"] <= MARGIN * base].nsmallest(1, "companions")
            gone += [f"{row.companions:.2g}" for row in least.itertuples()]
        fewer = judged[(judged["outcome"] == EFFECT) & (judged["difference"] < 0)]
        more = judged[(judged["outcome"] == EFFECT) & (judged["difference"] > 0)]
        settings = f"{len(fewer)} of {len(judged)} settings"
        sentence = f"Features that co-occur share fewer neurons ({settings}"
        sentence += f", more in {len(more)})" if len(more) else ")"
        if gone:
            return (
                f"{sentence}; the count is about 0 (at most {MARGIN:.0%} of the one-hot count) "
                f"once {gone[0]} other features are active with a feature on average."
            )
        return f"{sentence}; the count does not fall to about 0 in any of them."

    def draw(self, data: Answers, ax: Axes | None = None) -> Axes:
        """Counts, unrepresented features and losses against the number of co-active features."""
        from fastpolysem import plots

        axes = plots.panels(ax, 2, 2, self.FIGURE_SIZE)
        means = self.table(data)
        means = means[(means["n_hidden"] == means["n_hidden"].iloc[0])]
        means = means[(means["l1"] == means["l1"].iloc[0])]
        kinds = ("all pairs", "couples", "independent")
        panels = {
            "signed_slots": "shared neurons\n(no threshold)",
            "unrepresented": "features unrepresented\n(no weight of at least 0.8)",
            "coupled": "couples on one neuron",
            "loss_mixed": "loss, each feature on\nwith probability 1/8",
        }
        for each, (metric, what) in zip(axes.flat, panels.items(), strict=True):
            for index, kind in enumerate(kinds):
                part = means[means["inputs"] == kind]
                style: dict[str, Any] = {"color": plots.COLORS[index], "label": kind}
                style |= {"fmt": "o-", "ms": 4, "lw": 1.2, "capsize": 2}
                points(each, part["companions"], part, metric, **style)
            for name, line in (("one-hot", "-"), ("one-hot, sampled", "--")):
                for row in means[means["inputs"] == name].to_dict("records"):
                    low, high = row[f"{metric}_low"], row[f"{metric}_high"]
                    each.axhspan(low, high, color="#BBBBBB", alpha=0.5)
                    each.axhline(row[metric], color="#666666", ls=line, lw=1.2, label=name)
            each.set(xscale="log", xlabel="mean number of co-active features", ylabel=what)
            each.set_ylim(bottom=0)
        axes[0, 0].legend(frameon=False, fontsize="small")
        count = int(means["seeds"].min())
        axes[0, 0].set_title(f"means and 95 % intervals of {count} seeds", fontsize="medium")
        return ax or axes[0, 0]


EXPERIMENT = Cooccurrence()
