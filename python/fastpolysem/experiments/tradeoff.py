"""What does it cost to avoid polysemanticity, and which remedy does so at what price?

Remedies at several strengths are added to the training of autoencoders with fewer neurons than
features, as many, and twice as many. Every model is judged by the share of features with a neuron
of their own and by its loss, without l1 and noise, on inputs with one feature and with several. A
remedy that raises the loss is compared with untreated models of the same loss, which stronger l1
gives.

Plan, written before the run and after one to a hundred seeds of single settings had been timed.
*Primary outcome*: the share of features with a neuron of their own, minus that of untreated models
at the same loss. Untreated models of λ = 0.01, 0.03, 0.1 and 0.2, sorted by their mean loss, form
the curve of comparison; between two of them the share is interpolated in the logarithm of the loss,
seed by seed, and beyond its ends the nearest is taken, which is marked. *Tests*: each remedy at one
strength chosen beforehand (`PRIMARY`), for each n, m and optimiser, paired by seed, margin 0.03,
corrected together by Holm's method. *Seeds*: 400 at n = 16, 50 at 64 and 5 at 256; with the spread
of a binomial count of shared neurons, "within the margin" is then found in 80 % of cases without a
difference at n = 16 and in half of them at 64. The last two numbers were reduced from 90 and 12,
and strengths and widths at n = 64 and 256 were dropped, when most runs at n = 16 had been seen and
none at larger n, because computing time was short. *Beside it*: the other strengths, the price as a
multiple of the untreated loss at the same λ, and whether the remedy needs to know the features.

After all of these had been seen, the seeds were raised to the planned 90 at n = 64 and 12 at 256,
SGD was added at both, and at n = 256 the remaining remedies and weaker noise.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastpolysem.experiments._answers import (
    OPTIMIZERS,
    Answers,
    AutoencoderQuestion,
    apart,
    pairs,
    size_and_optimizer,
    summary,
)
from fastpolysem.experiments._base import (
    ORTHANT,
    Fields,
    Presets,
    combinations,
    only,
    whole,
)
from fastpolysem.experiments._meetings import LOSS_MIXED, inputs_of, kind_of, loss_on_mixed
from fastpolysem.experiments._verdicts import (
    EFFECT,
    INCONCLUSIVE,
    WITHIN,
    Comparison,
    compared,
)
from fastpolysem.experiments._weights import settled, trained_weights
from fastpolysem.families.autoencoder.config import Config
from fastpolysem.probes import Column, Probe
from fastpolysem.training import TrainingResult

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


MARGIN = 0.03
"""Largest negligible difference of the share of features with a neuron of their own."""
CONCENTRATED = 0.8
"""A feature is on a neuron if its |weight| there is at least this share of its norm."""
NONE, WIDER = "none", "twice as many neurons"
MIDDLE = 0.03
"""The l1 of treated models."""
CURVE = (0.01, 0.03, 0.1, 0.2)
"""The l1 of untreated models, from which those of equal loss are interpolated."""
PRIMARY: dict[str, float] = {
    "repulsion": 0.3,
    "features meet": 0.1,
    "Gaussian noise": 0.02,
    "Laplace noise": 0.02,
    "Rademacher noise": 0.02,
    "dropout": 0.01,
    "orthogonal start": 1.0,
    "l1 warmed up": 0.5,
    "l1 dropped at the end": 0.25,
    WIDER: 2.0,
}
"""The remedies, each with the strength that is tested."""
_STRENGTHS: dict[str, tuple[float, ...]] = {
    "repulsion": (0.01, 0.1, 0.3, 1.0),
    "features meet": (0.05, 0.1, 0.2, 0.4),
    "Gaussian noise": (0.01, 0.02, 0.05, 0.1),
    "Laplace noise": (0.02, 0.1),
    "Rademacher noise": (0.02, 0.1),
    "dropout": (0.003, 0.01, 0.03, 0.1),
    "orthogonal start": (1.0,),
    "l1 warmed up": (0.5,),
    "l1 dropped at the end": (0.25, 0.5),
}
_FIRST: dict[str, tuple[float, ...]] = {
    name: (strength,) for name, strength in PRIMARY.items() if name != WIDER
}
_NOISE = {
    "Gaussian noise": "gaussian",
    "Laplace noise": "laplace",
    "Rademacher noise": "rademacher",
}
_SAME = ["n_features", "n_hidden", "optimizer"]
_DRAWN = [name for name in PRIMARY if name != WIDER and not name.startswith("l1")]


class Cell(NamedTuple):
    """Settings with the same n and optimiser."""

    n_features: int
    ratios: tuple[float, ...]
    """m/n of the widths with remedies."""
    optimizer: str
    strengths: Mapping[str, tuple[float, ...]]


_RATIOS = (0.75, 1.0, 2.0)
_FEWER: dict[str, tuple[float, ...]] = {
    **_FIRST,
    "repulsion": (0.01, 0.1, 0.3),
    "features meet": (0.1, 0.4),
    "Gaussian noise": (0.02, 0.05, 0.1),
    "dropout": (0.003, 0.01, 0.03),
}
_LARGE: dict[str, tuple[float, ...]] = {**_FIRST, "Gaussian noise": (0.005, 0.01, 0.02)}
"""Beside those that are tested, weaker noise: the more features, the less of it they bear."""
_DESCENDED: dict[str, tuple[float, ...]] = {
    **{k: v for k, v in _LARGE.items() if k != "features meet" and k not in _NOISE},
    "Gaussian noise": (0.005, 0.01),
}
"""With SGD at n = 256: noise of 0.02 diverges, and features that meet take too long."""
_PAPER = [
    Cell(16, _RATIOS, "adamw", _STRENGTHS),
    Cell(16, _RATIOS, "sgd", _FIRST),
    Cell(64, _RATIOS, "adamw", _FEWER),
    Cell(64, _RATIOS, "sgd", _FIRST),
    Cell(256, _RATIOS, "adamw", _LARGE),
    Cell(256, _RATIOS, "sgd", _DESCENDED),
]


def remedy(config: Config, name: str, strength: float) -> Config | None:
    """A configuration with a remedy; None where there is none of this strength.

    Strengths are those of the settings, the share of training for schedules of l1, and the rate per
    pair divided by l1 for inputs in which features meet.
    """
    last, n = config.steps, config.n_features
    if name == "features meet":
        q = strength * config.l1
        return None if q * (n - 1) > 1 else config.replace(inputs=inputs_of("all pairs", q, n))
    if name in _NOISE:
        return config.replace(noise=_NOISE[name], noise_std=strength)
    if name == "l1 warmed up":
        return config.replace(l1_schedule=[(0, 0.0), (round(strength * last), 1.0)])
    if name == "l1 dropped at the end":
        at = round((1 - strength) * last)
        return config.replace(l1_schedule=[(at - 1, 1.0), (at, 0.0)])
    changes: dict[str, Fields] = {
        "repulsion": {"repulsion": strength},
        "dropout": {"dropout": strength},
        "orthogonal start": {"init": "orthogonal"},
    }
    return config.replace(**changes[name])


def named(config: Config) -> tuple[str, float]:
    """The remedy that a configuration has, or `NONE`, and its strength."""
    kind, q = kind_of(config.inputs, config.n_features)
    if kind == "all pairs":
        return "features meet", float(f"{q / config.l1:.6g}")
    for name, noise in _NOISE.items():
        if config.noise == noise:
            return name, config.noise_std
    if config.l1_schedule:
        (first, _), *_, (end, factor) = config.l1_schedule
        name, share = "l1 warmed up", end / config.steps
        if not factor:
            name, share = "l1 dropped at the end", 1 - (first + 1) / config.steps
        # Schedules change at whole steps.
        meant = [one for one in _STRENGTHS[name] if remedy(config, name, one) == config]
        return name, meant[0] if meant else share
    for name in ("repulsion", "dropout"):
        if getattr(config, name):
            return name, getattr(config, name)
    return ("orthogonal start", 1.0) if config.init == "orthogonal" else (NONE, 0.0)


@dataclass(frozen=True)
class Alone(Probe):
    """Features with a neuron of their own, and the loss if features co-occur."""

    name = "tradeoff"
    version = 2
    columns: ClassVar = {
        "alone": Column("float64", "share of the features with a neuron of their own"),
        "shared": Column("int64", "neurons that several features concentrate on"),
        "loss_mixed": LOSS_MIXED,
    }

    def __call__(self, result: TrainingResult) -> dict[str, NDArray[Any]]:
        """The columns ``alone``, ``shared`` and ``loss_mixed``."""
        weights = trained_weights(result).astype(np.float64)
        norm = np.linalg.norm(weights, axis=-1, keepdims=True)
        on = (np.abs(weights) >= CONCENTRATED * norm) & (norm > 1e-6)
        features = on.sum(axis=1)
        alone = (on & (features == 1)[:, np.newaxis, :]).any(axis=-1)
        return {
            "alone": alone.mean(axis=-1),
            "shared": (features >= 2).sum(axis=-1),
            "loss_mixed": loss_on_mixed(weights, result.config),
        }


class Tradeoff(AutoencoderQuestion):
    """Remedies and their price.

    In the table, ``alone`` is the share of features with a neuron of their own and ``shared`` the
    number of neurons on which several features concentrate. ``loss`` and ``loss_mixed`` are without
    l1 and noise, on inputs with one feature and with two on average; ``price`` and ``price_mixed``
    are their multiples of the untreated models at the same l1. ``gain`` is the difference of
    ``alone`` from untreated models at the same loss; ``beyond`` is "above" or "below" if none
    has it.
    """

    NAME = "tradeoff"
    SUMMARY = "Compare remedies for polysemanticity at matched loss."
    FIGURE_SIZE = (3.4, 6.6)
    PRESETS: ClassVar[Presets] = {
        # A minute of one core.
        "default": {"design": [Cell(16, _RATIOS, "adamw", _STRENGTHS)], "seeds": 200},
        # Seconds.
        "quick": {"design": [Cell(16, (2.0,), "adamw", _FIRST)], "seeds": 60},
        # The page of findings: a quarter of an hour on two cores.
        "paper": {"design": _PAPER, "seeds": 400},
        # Hours: more seeds at n = 16, and all strengths with both optimisers.
        "large": {
            "design": [Cell(n, _RATIOS, o, _STRENGTHS) for n in (16, 64) for o in OPTIMIZERS],
            "seeds": 1000,
        },
    }
    ALLOWED: ClassVar = {
        **ORTHANT,
        "n_features": whole((">=", 3)),
        "steps": whole((">=", 2)),
        **dict.fromkeys(("noise_std", "repulsion", "dropout"), only(0.0)),  # the remedies
        "l1_schedule": only(None),
    }
    PROBE = Alone()
    MOST: ClassVar = {16: 400, 64: 90, 256: 12}
    LABELS = ("n_features", "n_hidden", "l1", "optimizer", "remedy", "strength")
    SEEN: ClassVar = {"n": "n_features", "m": "n_hidden", "λ": "l1"}
    METRICS = (
        *("alone", "shared", "polysemantic", "malign", "loss", "loss_mixed", "unrepresented"),
    )
    OPEN = "whether a remedy gives more features a neuron of their own"
    METHOD = (
        "Paired t tests of the share of features with a neuron of their own, each remedy against "
        "untreated models of the same loss and seeds"
    )

    def _expanded(self, settings: Fields, changes: Fields) -> list[Config]:
        found: dict[str, Config] = {}

        def take(treated: Config | None) -> None:
            if treated is not None:
                found.setdefault(treated.digest, treated)

        for cell in settings["design"]:
            for ratio in (*cell.ratios, 2 * max(cell.ratios)):
                last = ratio not in cell.ratios
                fields = {"n_features": cell.n_features, "optimizer": cell.optimizer}
                fields |= {"n_hidden": round(ratio * cell.n_features), "l1_update": "orthant"}
                l1s = [MIDDLE] if last else list(CURVE)
                for plain in combinations({**fields, "l1": l1s, **changes}):
                    own = {k: v for k, v in settled(plain).items() if k not in changes}
                    bare = plain.replace(**own)
                    take(bare)
                    if last or (bare.l1 != MIDDLE and "l1" not in changes):
                        continue
                    for name, strengths in cell.strengths.items():
                        for strength in strengths:
                            take(remedy(bare, name, strength))
        return list(found.values())

    def labels(self, config: Config) -> dict[str, Any]:
        """Sizes, l1, optimiser, remedy and its strength."""
        name, strength = named(config)
        return super().labels(config) | {"remedy": name, "strength": strength}

    def table(self, data: Answers) -> pd.DataFrame:
        """Means with 95 % intervals, one row per setting, with prices and gains."""
        means = summary(data, self.LABELS, self.METRICS)
        parts = by_setting(data)
        extra = [_against_untreated(parts, row) for row in means.to_dict("records")]
        for name in ("price", "price_mixed", "gain", "gain_low", "gain_high", "beyond"):
            means[name] = [one[name] for one in extra]
        return means

    def tests(self, data: Answers) -> list[Comparison]:
        """Which remedies give more features a neuron of their own, at the same loss?"""
        import pandas as pd

        tested, parts = list(self._tested(data)), by_setting(data)
        rows, tests = pd.DataFrame(tested), []
        for row in tested:
            more = apart(row, rows, ("remedy", "n_features", "n_hidden", "optimizer"))
            name = f"{row['remedy']}, {size_and_optimizer(row)}{more}"
            tests.append(matched(parts, row, name)[0])
        return tests

    def _tested(self, data: Answers) -> Iterator[Fields]:
        """The settings of the tests: all remedies at their primary strengths."""
        known = data.rows[list(self.LABELS)].drop_duplicates().to_dict("records")
        treated = set(self.in_tests(data.rows)["l1"])
        for row in known:
            wider = {**row, "n_hidden": 2 * row["n_hidden"]}
            if row["remedy"] == NONE and wider in known and row["l1"] in treated:
                yield {**row, "remedy": WIDER, "strength": 2.0}
            if PRIMARY.get(row["remedy"]) == row["strength"]:
                yield row

    def in_tests(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Those of the λ with remedies; at others there are only untreated models."""
        return rows[rows["l1"].isin(rows.loc[rows["remedy"] != NONE, "l1"])]

    def say(self, data: Answers, outcome: str, judged: pd.DataFrame) -> str:
        """In how many settings each remedy helps."""
        names = [row["remedy"] for row in self._tested(data)]
        kinds = judged["outcome"].where(
            judged["outcome"] != EFFECT, np.where(judged["difference"] > 0, "more", "fewer")
        )
        parts = []
        for name in PRIMARY:
            own = kinds[[one == name for one in names]]
            counts = [
                f"{said} in {sum(own == kind)}"
                for kind, said in (
                    ("more", "more"),
                    ("fewer", "fewer"),
                    (WITHIN, "within the margin"),
                    (INCONCLUSIVE, INCONCLUSIVE),
                )
                if sum(own == kind)
            ]
            if len(own):
                parts.append(f"{name}: {', '.join(counts)} of {len(own)}")
        return (
            "Features with a neuron of their own, compared with untreated models of the same loss, "
            f"in settings of n, m, λ and optimiser: {'; '.join(parts)}."
        )

    def tables(self, data: Answers) -> dict[str, str]:
        """Gains by size, and all settings."""
        from fastpolysem.experiments import _remedy_tables

        return _remedy_tables.of_tradeoff(data)

    def draw(self, data: Answers, ax: Axes | None = None) -> Axes:
        """Strength curves: features alone against loss, one panel per width; schedules of l1, which
        only change the loss, are left out."""
        from fastpolysem import plots

        means = self.table(data)
        means = means[means["optimizer"] == means["optimizer"].iloc[0]]
        sizes = means["n_features"].unique()
        n = 64 if 64 in sizes else sizes[0]
        means = means[(means["n_features"] == n)]
        widths = sorted(means.loc[means["remedy"] != NONE, "n_hidden"].unique())
        panels = plots.panels(ax, len(widths), 1, self.FIGURE_SIZE, sharex=True)[:, 0]
        for each, m in zip(panels, widths, strict=True):
            _strengths(each, means[means["n_hidden"] == m])
            each.set_title(f"n = {n}, m = {m}", fontsize="small")
            each.set_ylabel("features with a\nneuron of their own", fontsize="small")
        panels[-1].set_xlabel("loss on inputs with one feature")
        panels[-1].legend(
            ncols=2,
            fontsize=7,
            frameon=False,
            loc="upper center",
            bbox_to_anchor=(0.42, -0.3),
        )
        return ax or panels[0]


Parts = Sequence[tuple[Fields, "pd.DataFrame"]]
"""The labels and the valid rows of each setting."""


def by_setting(data: Answers) -> Parts:
    """The rows of each setting, so that they need not be searched for in the whole table."""
    return list(EXPERIMENT.settings(data.valid.sort_values("seed")))


def _untreated(parts: Parts, row: Fields) -> dict[float, pd.DataFrame]:
    """The rows of the models without a remedy beside a setting, by their l1."""
    wanted = {"remedy": NONE, **{name: row[name] for name in _SAME}}
    return {own["l1"]: part for own, part in parts if wanted.items() <= own.items()}


def matched(parts: Parts, row: Fields, name: str) -> tuple[Comparison, str]:
    """The share of features alone against that of untreated models of the same loss, by seed; and
    "above" or "below" if the loss is beyond that of all untreated models."""
    if row["remedy"] == WIDER:
        wide = {**row, "n_hidden": 2 * row["n_hidden"]}
        here = _untreated(parts, wide).get(row["l1"])
    else:
        labels = {label: row[label] for label in EXPERIMENT.LABELS}
        here = next((part for own, part in parts if own == labels), None)
    untreated = sorted(_untreated(parts, row).values(), key=lambda part: part["loss"].mean())
    if not untreated or here is None:
        return compared(name, [], [], MARGIN), ""
    losses = np.log([part["loss"].mean() for part in untreated])
    loss = math.log(max(here["loss"].mean(), 1e-300))
    place = float(np.interp(loss, losses, np.arange(len(untreated))))
    low, share = int(place), place - int(place)
    near = untreated[low].set_index("seed")["alone"].astype(float)
    if share:
        above = untreated[low + 1].set_index("seed")["alone"].astype(float)
        near = ((1 - share) * near + share * above).dropna()
    a, b = pairs(here, near.reset_index(), "alone")
    tolerance = math.log(1.05)
    beyond = "above" if loss > losses[-1] + tolerance else ""
    beyond = "below" if loss < losses[0] - tolerance else beyond
    return compared(name, a, b, MARGIN, paired=True), beyond


def _against_untreated(parts: Parts, row: Fields) -> Fields:
    """Prices and gain of a setting."""
    plain = _untreated(parts, row).get(row["l1"])
    gain, beyond = matched(parts, row, "")
    prices = {
        price: math.nan if plain is None else row[loss] / plain[loss].mean()
        for price, loss in (("price", "loss"), ("price_mixed", "loss_mixed"))
    }
    ends = dict(zip(("gain", "gain_low", "gain_high"), gain.difference, strict=True))
    return {**prices, **ends, "beyond": beyond}


def _strengths(ax: Axes, means: pd.DataFrame) -> None:
    """The curve of untreated models and one of each remedy, in colours and markers of their own."""
    from fastpolysem import plots
    from fastpolysem.experiments._drawing import points

    plain = means[means["remedy"] == NONE].sort_values("l1")
    style: dict[str, Any] = {"lw": 1, "capsize": 0}
    look = {"color": "#888888", "fmt": ".--", "ms": 4}
    points(ax, plain["loss"], plain, "alone", label="untreated, by λ", **look, **style)
    for index, name in enumerate(_DRAWN):
        part = means[means["remedy"] == name].sort_values("strength")
        if len(part):
            color, mark = plots.COLORS[index], plots.MARKERS[index]
            # The size tells apart markers at the same place.
            look = {"color": color, "fmt": f"{mark}-", "ms": 6.5 if index == 0 else 3.5}
            points(ax, part["loss"], part, "alone", label=name, mfc="none", **look, **style)
    ax.set_xscale("log")
    ax.set_ylim(-0.04, 1.06)


EXPERIMENT = Tradeoff()
