"""Does the number of polysemantic neurons depend on the optimiser?

The theory is about gradient flow, the published counts are AdamW's with the subgradient of l1.
Here every optimiser starts from the same weights at the same seed and trains until the outcome is
certain, or long enough. What is compared is the constant of the law: the count over n²/4m.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastpolysem import _checks
from fastpolysem.config import Config
from fastpolysem.experiments import grid_of
from fastpolysem.experiments._answers import Answers, name_of, pairs, question, summary
from fastpolysem.experiments._verdicts import (
    EFFECT,
    NO_EFFECT,
    Comparison,
    Verdict,
    compared,
    text,
    verdict_of,
)

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from fastpolysem.training import TrainingResult

NAME = "optimizers"
SUMMARY = "Train the same starts with several optimisers, and compare the law's constant."
FIGURE_SIZE = (9.0, 4.8)

MARGIN = 0.05
"""Difference of the law's constants, relative to gradient flow's, that would not matter."""

REFERENCE = "sgd, small steps"
_CERTIFIED: dict[str, Any] = {"l1_update": "orthant", "stop": "certified"}
_SGD: dict[str, Any] = {"optimizer": "sgd", **_CERTIFIED}
# Steps last until nearly every seed is certain at λ = 0.01; t = 4 · learning rate · steps.
WAYS: dict[str, dict[str, Any]] = {
    REFERENCE: {**_SGD, "learning_rate": 0.02, "steps": 30_000},
    "sgd": {**_SGD, "learning_rate": 0.06, "steps": 10_000},
    "momentum": {**_SGD, "learning_rate": 0.006, "momentum": 0.9, "steps": 10_000},
    "adam": {"optimizer": "adam", **_CERTIFIED, "steps": 15_000},
    "adamw": {"optimizer": "adamw", **_CERTIFIED, "steps": 15_000},
    "adamw, 5x rate": {
        "optimizer": "adamw",
        **_CERTIFIED,
        "learning_rate": 5e-3,
        "steps": 10_000,
    },
    "sgd, subgradient": {"optimizer": "sgd", "learning_rate": 0.06, "steps": 10_000},
    "adamw, subgradient": {"optimizer": "adamw", "steps": 7500},
}
"""Fields of `Config` for each way to train; the first is as close to gradient flow as steps of the
orthant's update come, and what the others are compared with."""

_SETTINGS: dict[str, Any] = {"n_features": 32, "n_hidden": 64, "l1": 0.01}
PRESETS: dict[str, dict[str, Any]] = {
    # A few minutes on two cores.
    "default": {**_SETTINGS, "seeds": 300},
    # Half a minute.
    "quick": {**_SETTINGS, "seeds": 100, "ways": [REFERENCE, "sgd", "adamw"]},
    # The page of findings.
    "paper": {**_SETTINGS, "seeds": 1000},
    # An hour.
    "large": {**_SETTINGS, "seeds": 2000, "n_hidden": [32, 64, 128, 256]},
}


def _all_configs(preset: str = "default", **changes: Any) -> list[Config]:
    settings = {**PRESETS[_checks.choice("preset", preset, PRESETS)], **changes}
    if "optimizer" in changes:
        return grid_of({preset: settings}, preset, {})
    listed = []
    for name in settings.pop("ways", list(WAYS)):
        way = {**WAYS[_checks.choice("ways", name, WAYS)], **changes}
        listed += grid_of({preset: settings}, preset, way)
    return listed


def label(config: Config) -> dict[str, Any]:
    """Sizes, l1 and the way of training."""
    usual = {"learning_rate": 1e-3, "momentum": 0.0, "l1_update": "subgradient"}
    name = name_of(config, WAYS, usual)
    return {
        "n_features": config.n_features,
        "n_hidden": config.n_hidden,
        "l1": config.l1,
        "way": name or f"{config.optimizer} {config.learning_rate:g} {config.l1_update}",
    }


def take(result: TrainingResult) -> dict[str, Any]:
    """Steps until the outcome was certain, and whether it was before the last."""
    return {
        "steps_taken": result.steps_taken,
        "finished": result.steps_taken < result.config.steps,
    }


_LABELS = ("n_features", "n_hidden", "l1", "way")
configs, run, rows = question(NAME, PRESETS, label, take=take, configs=_all_configs)


def table(data: Answers) -> pd.DataFrame:
    """Means with 95 % intervals, one row a width and a way to train.

    ``constant`` is the count of polysemantic neurons over the collision law n²/4m, ``null_ratio``
    what the null model gives for it; ``finished`` is the share of seeds whose outcome was certain
    before the last step (never with the subgradient, which is not certified).
    """
    from fastpolysem import theory

    found = data.rows.copy()
    law = theory.collision_law(found["n_features"], found["n_hidden"])
    found["constant"] = found["polysemantic"] / law
    metrics = ["constant", "polysemantic", "signed_slots", "malign", "unrepresented"]
    means = summary(Answers(found), _LABELS, [*metrics, "steps_taken", "finished"])
    null = theory.null_mean(means["n_features"], means["n_hidden"])
    law = theory.collision_law(means["n_features"], means["n_hidden"])
    means.insert(len(_LABELS) + 2, "null_ratio", null / law)
    return means


def verdict(data: Answers) -> Verdict:
    """Is the law's constant another one than under gradient flow?"""
    tests: list[Comparison] = []
    keys = data.rows[list(_LABELS)].drop_duplicates()
    for row in keys.itertuples(index=False):
        if row.way == REFERENCE:
            continue
        same = {"n_features": row.n_features, "n_hidden": row.n_hidden, "l1": row.l1}
        here, flow = data.where(**same, way=row.way), data.where(**same, way=REFERENCE)
        a, b = pairs(here, flow, "signed_slots")
        name = f"m = {row.n_hidden}, λ = {row.l1:g}: {row.way}"
        tests.append(compared(name, a, b, MARGIN, paired=True, relative=True))
    method = (
        f"Paired t tests of the neurons that several features favour, relative to {REFERENCE}, "
        "from the same start weights at each seed"
    )
    return verdict_of(tests, method, lambda outcome, judged: _say(data, outcome, judged))


def _say(data: Answers, outcome: str, judged: pd.DataFrame) -> str:
    means = table(data)
    flow = means[means["way"] == REFERENCE].iloc[-1]
    known = (flow["constant"], flow["constant_low"], flow["constant_high"])
    first = f"Under gradient flow the count is {text(known)} of n²/4m (m = {flow['n_hidden']})"
    if outcome == EFFECT:
        different = judged[judged["outcome"] == EFFECT]
        listed = "; ".join(
            f"{row.test} {row.difference:+.1%} [{row.ci_low:+.1%}, {row.ci_high:+.1%}]"
            for row in different.itertuples()
        )
        return f"{first}, and the optimiser matters: {listed}."
    if outcome == NO_EFFECT:
        return f"{first}, and no optimiser changes it by more than {MARGIN:.0%}."
    sentence = f"{first}; whether another optimiser changes it by more than {MARGIN:.0%}: {outcome}"
    open_ = judged[judged["outcome"] == outcome]
    if len(open_) == len(judged):
        return f"{sentence}."
    listed = "; ".join(
        f"{row.test} {row.difference:+.1%} [{row.ci_low:+.1%}, {row.ci_high:+.1%}]"
        for row in open_.itertuples()
    )
    return f"{sentence} for {listed}; the others do not."


def draw(data: Answers, ax: Axes | None = None) -> Axes:
    """The law's constant for each way to train, a panel for each width."""
    from fastpolysem import plots

    means = table(data)
    widths = sorted(means["n_hidden"].unique())
    axes = plots.panels(ax, 1, len(widths), FIGURE_SIZE, sharey=True)[0]
    ways = list(means["way"].unique())
    for each, width in zip(axes, widths, strict=True):
        here = means[(means["n_hidden"] == width) & (means["l1"] == means["l1"].iloc[0])]
        place = [ways.index(way) for way in here["way"]]
        bars = [here["constant"] - here["constant_low"], here["constant_high"] - here["constant"]]
        each.errorbar(
            here["constant"],
            place,
            xerr=bars,
            fmt="o",
            color=plots.COLORS[0],
            capsize=3,
            label="trained, mean and 95 % interval",
        )
        each.axvline(here["null_ratio"].iloc[0], color="#666666", ls=":", label="null model")
        each.axvline(1, color="#666666", lw=1, label="collision law")
        for y, lost in zip(place, here["unrepresented"], strict=True):
            if lost > 0:
                note = f"{lost:.2g} unrepresented"
                each.annotate(
                    note,
                    (0.99, y),
                    xycoords=("axes fraction", "data"),
                    ha="right",
                    va="bottom",
                    fontsize="x-small",
                    color="#666666",
                )
        each.set(xlabel="polysemantic neurons over n²/4m")
        count = int(here["seeds"].min())
        n = int(here["n_features"].iloc[0])
        each.set_title(f"n = {n}, m = {width}, {count} seeds", fontsize="medium")
    axes[0].set_yticks(range(len(ways)), ways)
    axes[0].set_ylabel("optimiser")
    axes[0].set_ylim(len(ways) - 0.4, -0.6)
    axes[0].legend(frameon=False, fontsize="small", loc="upper center", bbox_to_anchor=(0.6, 0.95))
    return ax or axes[0]
