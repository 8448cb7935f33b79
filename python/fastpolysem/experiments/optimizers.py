"""Does the number of polysemantic neurons depend on the optimiser?

The theory assumes gradient flow; the published counts are for AdamW with the subgradient of l1.
Here every optimiser starts from the same weights at the same seed and trains until the outcome can
no longer change (certified stop), or for a fixed number of steps. The constant of the law, the
count divided by n²/4m, is compared.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from numpy.typing import NDArray

from fastpolysem.experiments._answers import (
    Answers,
    AutoencoderQuestion,
    compared_by_seed,
    estimate_of,
    name_of,
    named_ways,
)
from fastpolysem.experiments._base import Fields, Presets
from fastpolysem.experiments._drawing import bars
from fastpolysem.experiments._verdicts import EFFECT, WITHIN, Comparison, change, text
from fastpolysem.families.autoencoder.config import Config
from fastpolysem.probes import Column, Probe
from fastpolysem.training import TrainingResult

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


MARGIN = 0.05
"""Largest negligible difference of the law's constant, relative to gradient flow."""
REFERENCE = "sgd, small steps"
_CERTIFIED: dict[str, Any] = {"l1_update": "orthant", "stop": "certified"}
_SGD: dict[str, Any] = {"optimizer": "sgd", **_CERTIFIED}
# Enough steps to certify nearly every seed at λ = 0.01; t = 4 · learning rate · steps.
WAYS: dict[str, dict[str, Any]] = {
    REFERENCE: {**_SGD, "learning_rate": 0.02, "steps": 30_000},
    "sgd": {**_SGD, "learning_rate": 0.06, "steps": 10_000},
    "momentum": {**_SGD, "learning_rate": 0.006, "momentum": 0.9, "steps": 10_000},
    "adam": {"optimizer": "adam", **_CERTIFIED, "steps": 15_000},
    "adamw": {"optimizer": "adamw", **_CERTIFIED, "steps": 15_000},
    "adamw, 5x rate": {"optimizer": "adamw", **_CERTIFIED, "learning_rate": 5e-3, "steps": 10_000},
    "sgd, subgradient": {"optimizer": "sgd", "learning_rate": 0.06, "steps": 10_000},
    "adamw, subgradient": {"optimizer": "adamw", "steps": 7500},
}
"""Fields of `Config` for each way to train. The first approximates gradient flow with orthant-wise
l1, and is the reference for the others."""
_SETTINGS: dict[str, Any] = {"n_features": 32, "n_hidden": 64, "l1": 0.01}


@dataclass(frozen=True)
class Steps(Probe):
    """Whether and when a seed was certified."""

    name = "optimizers"
    columns: ClassVar = {
        "finished": Column("bool", "whether it was certified before the last step"),
    }

    def __call__(self, result: TrainingResult) -> dict[str, NDArray[Any]]:
        """``finished``."""
        return {"finished": result.steps_taken < result.config.steps}


class Optimizers(AutoencoderQuestion):
    """The same initial weights, trained in several ways."""

    NAME = "optimizers"
    SUMMARY = "Train from the same weights with several optimisers, and compare the law's constant."
    FIGURE_SIZE = (9.0, 4.8)
    PRESETS: ClassVar[Presets] = {
        # A few minutes on two cores.
        "default": {**_SETTINGS, "seeds": 300},
        # Half a minute.
        "quick": {**_SETTINGS, "seeds": 100, "ways": [REFERENCE, "sgd", "adamw"]},
        # The page of findings.
        "paper": {**_SETTINGS, "seeds": 1000},
        # An hour.
        "large": {**_SETTINGS, "seeds": 2000, "n_hidden": [32, 64, 128, 256]},
    }
    PROBE = Steps()
    LABELS = ("n_features", "n_hidden", "l1", "way")
    COLUMNS = ("steps_taken",)
    METRICS = (
        *("constant", "polysemantic", "signed_slots", "malign", "unrepresented"),
        *("steps_taken", "finished"),
    )
    METHOD = (
        f"Paired t tests of the number of shared neurons, relative to {REFERENCE}, from the same "
        "initial weights at each seed"
    )

    def ways(self, settings: Fields, changes: Fields) -> Iterable[Fields]:
        """Optimisers, their rates and their steps."""
        return named_ways(WAYS, settings, changes)

    def labels(self, config: Config) -> dict[str, Any]:
        """Sizes, l1 and the way of training."""
        usual = {"learning_rate": 1e-3, "momentum": 0.0, "l1_update": "subgradient"}
        other = f"{config.optimizer} {config.learning_rate:g} {config.l1_update}"
        return super().labels(config) | {"way": name_of(config, WAYS, usual) or other}

    def table(self, data: Answers) -> pd.DataFrame:
        """Means with 95 % intervals, one row per width and way to train.

        ``constant`` is the number of polysemantic neurons divided by the collision law n²/4m, and
        ``null_ratio`` its value in the null model. ``finished`` is the share of seeds certified
        before the last step (0 with the subgradient, which is never certified).
        """
        from fastpolysem.families.autoencoder import theory

        law = theory.collision_law(data.rows["n_features"], data.rows["n_hidden"])
        rows = data.rows.assign(constant=data.rows["polysemantic"] / law)
        means = super().table(Answers(rows))
        n, m = means["n_features"], means["n_hidden"]
        null_ratio = theory.null_mean(n, m) / theory.collision_law(n, m)
        means.insert(len(self.LABELS) + 2, "null_ratio", null_ratio)
        return means

    def tests(self, data: Answers) -> list[Comparison]:
        """Does the law's constant differ from that of gradient flow?"""
        tests = []
        for setting, _ in self.settings(data.rows):
            way = setting.pop("way")
            if way != REFERENCE:
                here, flow = data.where(**setting, way=way), data.where(**setting, way=REFERENCE)
                name = f"m = {setting['n_hidden']}, λ = {setting['l1']:g}: {way}"
                tests.append(compared_by_seed(name, here, flow, "signed_slots", MARGIN))
        return tests

    def say(self, data: Answers, outcome: str, judged: pd.DataFrame) -> str:
        """The law's constant, and the optimisers that change it."""
        means = self.table(data)
        flow = means[means["way"] == REFERENCE].iloc[-1]
        constant = text(estimate_of(flow, "constant"))
        first = f"Under gradient flow the count is {constant} times n²/4m (m = {flow['n_hidden']})"
        if outcome == WITHIN:
            return f"{first}, and no optimiser changes it by more than {MARGIN:.0%}."
        these = judged[judged["outcome"] == outcome]
        changes = "; ".join(f"{row.test} {change(row)}" for row in these.itertuples())
        if outcome == EFFECT:
            return f"{first}, and the optimiser matters: {changes}."
        sentence = f"{first}. Whether another optimiser changes it by more than {MARGIN:.0%} is"
        if len(these) == len(judged):
            return f"{sentence} {outcome}."
        return f"{sentence} {outcome} for {changes}. The others change it by less."

    def draw(self, data: Answers, ax: Axes | None = None) -> Axes:
        """The law's constant for each way to train, one panel per width."""
        from fastpolysem import plots

        means = self.table(data)
        widths = sorted(means["n_hidden"].unique())
        axes = plots.panels(ax, 1, len(widths), self.FIGURE_SIZE, sharey=True)[0]
        ways = list(means["way"].unique())
        for each, width in zip(axes, widths, strict=True):
            here = means[(means["n_hidden"] == width) & (means["l1"] == means["l1"].iloc[0])]
            place = [ways.index(way) for way in here["way"]]
            each.errorbar(
                here["constant"],
                place,
                xerr=bars(here, "constant"),
                fmt="o",
                color=plots.COLORS[0],
                capsize=3,
                label="trained, mean and 95 % interval",
            )
            each.axvline(here["null_ratio"].iloc[0], color="#666666", ls=":", label="null model")
            each.axvline(1, color="#666666", lw=1, label="collision law")
            _note_losses(each, here, place)
            each.set(xlabel="polysemantic neurons over n²/4m")
            count = int(here["seeds"].min())
            n = int(here["n_features"].iloc[0])
            each.set_title(f"n = {n}, m = {width}, {count} seeds", fontsize="medium")
        axes[0].set_yticks(range(len(ways)), ways)
        axes[0].set_ylabel("optimiser")
        axes[0].set_ylim(len(ways) - 0.4, -0.6)
        axes[0].legend(
            frameon=False, fontsize="small", loc="upper center", bbox_to_anchor=(0.6, 0.95)
        )
        return ax or axes[0]


def _note_losses(ax: Axes, means: pd.DataFrame, places: Iterable[float]) -> None:
    """Features that are lost on average, where any are, below the mean."""
    style: dict[str, Any] = {"ha": "center", "va": "top", "fontsize": "x-small", "zorder": 4}
    style |= {"color": "#444444", "textcoords": "offset points", "xytext": (0, -7)}
    # A law's line ends where it would go through the text.
    style["bbox"] = {"facecolor": ax.get_facecolor(), "edgecolor": "none", "pad": 0.5}
    for place, value, count in zip(places, means["constant"], means["unrepresented"], strict=True):
        if count > 0:
            ax.annotate(f"{count:.2g} unrepresented", (value, place), **style)


EXPERIMENT = Optimizers()
