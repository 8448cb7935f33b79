"""How often may features co-occur before they stop sharing neurons?

The paper's inputs have one feature at a time, so two features of opposite signs on one neuron cost
nothing. If both are active, they cancel. Let a pair be active together q times per step, with each
feature presented once per step in expectation and l1 of strength λ. Once norms have settled, the
forces on the weights are of the order of λ, and the loss of a pair on one neuron is of the same
order if q is: the share of accidents that remains should depend on q/λ alone, for any n.

Plan, written before the run and after q/λ = 0.1 had been looked at in 2 to 200 seeds of settings at
n = 16, 32 and 64, and the quick preset at n = 16. *Primary outcome*: pairs of features with their
largest weight on the same neuron, relative to inputs of one feature from the same starts. *Tests*:
in each setting (n, m, λ and optimiser) with all pairs, q/λ = 0.1 against one feature, paired,
margin 5 %; couples at this q/λ against all other pairs of the same models; independent and Zipf-
distributed features against their controls; corrected together by Holm's method. *The axis*: the
relative counts of all pairs, at all strengths, are tested against any common curve by a chi-square,
for each optimiser and over both, then against exp(-k q/λ). The strength at which half is left comes
from the curve with a quadratic term, because its value should not rest on the form. *Zipf rates*:
counts in four classes of pairs, ordered by how often they meet, are predicted as sums over pairs
with the curve of equal rates. *Seeds*: 400 at n = 16 (1000 for couples, which are few), 100 at 32,
40 at 64 and 5 at 256, at most 150 of sampled inputs. After the runs at n = 16 they were reduced to
these from 150, 60 and 8, and settings of larger n were dropped, because computing time was short;
no result at n = 256 had been seen. All of these numbers have since been raised (`MOST`), and
settings at n = 64 and 256 and with SGD were added. Widths other than m = 2n were added after the
one planned, n = 32 and m = 128, had deviated; curves over n and λ are therefore compared at m = 2n.
The paired t test planned for couples raised too many false alarms on shuffled data of 100 seeds,
with a handful of couples, and was replaced by an exact binomial test.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastpolysem.experiments._answers import (
    OPTIMIZERS,
    Answers,
    AutoencoderQuestion,
    compared_by_seed,
    summary,
)
from fastpolysem.experiments._base import ORTHANT, Fields, Presets, combinations, whole
from fastpolysem.experiments._collapse import Counts, Fall, common, fall, p_of
from fastpolysem.experiments._meetings import (
    CLASSES,
    CONTROLS,
    classes,
    inputs_of,
    kind_of,
    meetings_of,
    zipf_joint,
)
from fastpolysem.experiments._verdicts import EFFECT, Comparison, Z, compared, text
from fastpolysem.experiments._weights import settled, trained_weights
from fastpolysem.families.autoencoder.config import Config
from fastpolysem.probes import Column, Probe
from fastpolysem.training import TrainingResult

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


ENDS = ("", "_low", "_high")
MARGIN = 0.05
"""Share of the count with one feature at a time that is negligible as a difference."""
TESTED = 0.1
"""q/λ of the primary tests."""
SAMPLED = 400
"""Largest number of seeds with sampled inputs, which are costly."""
FEWER = 400
"""Largest number of seeds with l1 below 0.03, which takes many steps, and of widths but 2n."""
_SAMPLED = ("independent", "one-hot, sampled", "Zipf, independent")
SAME = ["n_features", "n_hidden", "l1", "optimizer"]


class Cell(NamedTuple):
    """Settings with the same n, m, λ, optimiser and kind of inputs."""

    n_features: int
    n_hidden: int
    l1: float
    optimizer: str
    inputs: str
    strengths: tuple[float, ...]
    """q/λ, over all pairs that co-occur on average; 0 is the control."""


def _grid(optimizer: str, *cells: tuple[int, float, tuple[float, ...]]) -> list[Cell]:
    return [Cell(n, 2 * n, l1, optimizer, "all pairs", (0.0, *xs)) for n, l1, xs in cells]


STRENGTHS = (0.02, 0.05, 0.1, 0.2, 0.4)
_MIDDLE = (0.05, 0.1, 0.2)
_ONE = [Cell(16, 32, 0.03, "adamw", "all pairs", (0.0, *STRENGTHS))]
_OTHERS = [
    Cell(16, 32, 0.03, "adamw", "couples", STRENGTHS),
    Cell(16, 32, 0.03, "sgd", "couples", STRENGTHS),
    Cell(16, 32, 0.03, "adamw", "independent", (0.0, 0.1, 0.2)),
    Cell(32, 64, 0.03, "adamw", "Zipf", (0.0, 0.05, 0.1, 0.2)),
    Cell(32, 64, 0.03, "adamw", "Zipf, independent", (0.1,)),
]
_PAPER = [
    *_grid(
        "adamw",
        *((16, l1, STRENGTHS) for l1 in (0.1, 0.03, 0.01)),
        (16, 0.003, (0.05, 0.2)),
        *((32, 0.03, STRENGTHS), (32, 0.1, STRENGTHS[:4]), (32, 0.01, (0.1,))),
        *((64, 0.03, STRENGTHS), (64, 0.1, (0.05, 0.1)), (64, 0.01, _MIDDLE)),
        *((256, 0.03, (0.02, 0.05, 0.1)), (256, 0.01, _MIDDLE)),
    ),
    *_grid(
        "sgd",
        *((16, 0.03, STRENGTHS), (32, 0.03, STRENGTHS), (64, 0.03, STRENGTHS)),
        *((16, 0.1, _MIDDLE), (64, 0.1, (0.05, 0.1)), (256, 0.03, (0.05, 0.1))),
    ),
    *(
        Cell(n, width * n, 0.03, "adamw", "all pairs", (0.0, *_MIDDLE))
        for n in (16, 32, 64)
        for width in (1, 4)
    ),
    Cell(16, 128, 0.03, "adamw", "all pairs", (0.0, 0.1)),
    *(Cell(n, n, 0.03, "sgd", "all pairs", (0.0, *_MIDDLE)) for n in (16, 64)),
    *(Cell(n, 4 * n, 0.03, "sgd", "all pairs", (0.0, *_MIDDLE)) for n in (16, 64)),
    *_OTHERS,
]
_QUICK = [Cell(16, 32, 0.03, "adamw", "all pairs", (0.0, 0.1, 0.4)), *_OTHERS[:1]]


@dataclass(frozen=True)
class Favourites(Probe):
    """Pairs of features with the largest |weight| on the same neuron; zero features are ignored."""

    name = "cooccurrence"
    version = 2
    columns: ClassVar = {
        "sharing": Column("int64", "pairs of features with the largest |weight| on one neuron"),
        "coupled": Column("int64", "those among features 0 and 1, 2 and 3, and so on"),
        **{
            f"sharing_{c}": Column("int64", f"those in class {c} of pairs, 0 being most frequent")
            for c in range(CLASSES)
        },
    }

    def __call__(self, result: TrainingResult) -> dict[str, NDArray[Any]]:
        """The columns ``sharing``, ``coupled`` and ``sharing_0`` to ``sharing_3``."""
        weights = trained_weights(result)
        n = weights.shape[1]
        favourite = np.abs(weights).argmax(axis=-1)
        favourite = np.where((weights != 0).any(axis=-1), favourite, -1 - np.arange(n))
        same = favourite[:, :, np.newaxis] == favourite[:, np.newaxis, :]
        even = np.arange(0, n - 1, 2)
        above = np.triu(np.ones((n, n), dtype=bool), 1)
        found = {
            "sharing": same[:, above].sum(axis=1),
            "coupled": same[:, even, even + 1].sum(axis=1),
        }
        for c in range(CLASSES):
            found[f"sharing_{c}"] = same[:, above & (classes(n) == c)].sum(axis=1)
        return found


class Cooccurrence(AutoencoderQuestion):
    """Features that co-occur with increasing frequency.

    In the table, ``strength`` is q/λ, ``sharing`` the number of pairs of features on one neuron,
    ``relative`` what is left of it compared with one feature at a time (for couples: of their share
    compared with that of all other pairs), and ``coupled`` counts couples on one neuron.
    """

    NAME = "cooccurrence"
    SUMMARY = "Let features co-occur, from never to often, and count shared neurons."
    FIGURE_SIZE = (3.4, 7.4)
    PRESETS: ClassVar[Presets] = {
        # Seconds.
        "default": {"design": [*_ONE, *_OTHERS[:1]], "seeds": 400},
        # Seconds.
        "quick": {"design": _QUICK, "seeds": 100},
        # The page of findings: twenty minutes on two cores.
        "paper": {"design": _PAPER, "seeds": 1000},
        # Twice as many neurons; as long.
        "large": {
            "design": [one._replace(n_hidden=2 * one.n_hidden) for one in _PAPER],
            "seeds": 1000,
        },
    }
    ALLOWED: ClassVar = {**ORTHANT, "n_features": whole((">=", 3))}
    PROBE = Favourites()
    MOST: ClassVar = {16: 1000, 32: 400, 64: 120, 256: 8}
    LABELS = ("n_features", "n_hidden", "l1", "optimizer", "inputs", "strength", "companions")
    SEEN: ClassVar = {"n": "n_features", "m": "n_hidden", "λ": "l1"}
    METRICS = (
        *("signed_slots", "sharing", "polysemantic", "malign", "coupled", "unrepresented", "loss"),
    )
    METHOD = (
        "Paired t tests of the number of pairs of features on one neuron, relative to inputs "
        "without co-occurrence from the same initial weights; for couples, exact binomial tests of "
        "the share on one neuron, relative to all other pairs"
    )

    def _expanded(self, settings: Fields, changes: Fields) -> list[Config]:
        found: dict[str, Config] = {}
        for cell in settings["design"]:
            fields = {"n_features": cell.n_features, "n_hidden": cell.n_hidden, "l1": cell.l1}
            fields |= {"optimizer": cell.optimizer, "l1_update": "orthant", **changes}
            for bare in combinations(fields):
                own = {k: v for k, v in settled(bare).items() if k not in changes}
                timed = bare.replace(**own)
                for x in cell.strengths:
                    config = timed.replace(
                        inputs=inputs_of(cell.inputs, x * bare.l1, bare.n_features)
                    )
                    found.setdefault(config.digest, config)
        return list(found.values())

    def most(self, config: Config, seeds: int) -> int:
        """Fewer seeds of large models and of sampled inputs, all of couples."""
        kind, _ = kind_of(config.inputs, config.n_features)
        if kind in _SAMPLED:
            seeds = min(seeds, SAMPLED)
        if config.l1 < 0.03 or config.n_hidden != 2 * config.n_features:
            seeds = min(seeds, FEWER)
        return seeds if kind == "couples" else super().most(config, seeds)

    def labels(self, config: Config) -> dict[str, Any]:
        """Sizes, optimiser and kind of inputs; q/λ and the mean number of other active features."""
        n = config.n_features
        kind, q = kind_of(config.inputs, n)
        found = meetings_of(config.inputs, n)
        others = math.nan if found is None else float(found[1].sum() / found[0].sum())
        strength = q / config.l1 if config.l1 else math.nan
        rounded = {"strength": float(f"{strength:.6g}"), "companions": float(f"{others:.6g}")}
        return super().labels(config) | {"inputs": kind, **rounded}

    def table(self, data: Answers) -> pd.DataFrame:
        """Means with 95 % intervals, one row per setting, with ``relative`` and its interval."""
        means = summary(data, self.LABELS, self.METRICS)
        left = [_left(_relative(data, row, "")) for row in means.to_dict("records")]
        return means.assign(
            **{f"relative{end}": [one[i] for one in left] for i, end in enumerate(ENDS)}
        )

    def tests(self, data: Answers) -> list[Comparison]:
        """Are there fewer shared neurons if features co-occur?"""
        tested = self.in_tests(data.rows)[list(self.LABELS)].drop_duplicates()
        found = []
        for row in tested.to_dict("records"):
            kind = "" if row["inputs"] == "all pairs" else f", {row['inputs']}"
            name = f"n = {row['n_features']}, m = {row['n_hidden']}, λ = {row['l1']:g}, "
            found.append(
                _relative(data, row, f"{name}{OPTIMIZERS.get(row['optimizer'], '')}{kind}")
            )
        return found

    def in_tests(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Those at the rate of the tests."""
        return rows[rows["inputs"].isin(CONTROLS) & (rows["strength"] == TESTED)]

    def say(self, data: Answers, outcome: str, judged: pd.DataFrame) -> str:
        """How much is left, and where half is."""
        fewer = judged[(judged["outcome"] == EFFECT) & (judged["difference"] < 0)]
        sentence = (
            f"At q/λ = {TESTED:g}, features that co-occur share fewer neurons in {len(fewer)} of "
            f"{len(judged)} settings"
        )
        if len(fewer):
            left = 1 + fewer["difference"]
            sentence += f", {left.min():.0%} to {left.max():.0%} of those without co-occurrence"
        reach = data.rows["strength"].max()
        for optimizer, name in OPTIMIZERS.items():
            curve = curve_of(data, optimizer)
            if curve is not None and 0 < curve.half.value <= curve.half.high < 2 * reach:
                sentence += (
                    f"; with m = 2n and {name}, half of them remain at q/λ = {text(curve.half)}"
                )
        return f"{sentence}."

    def tables(self, data: Answers) -> dict[str, str]:
        """Sizes, tests of the axis, and all settings."""
        from fastpolysem.experiments import _remedy_tables

        return _remedy_tables.of_cooccurrence(data)

    def draw(self, data: Answers, ax: Axes | None = None) -> Axes:
        """What is left against q/λ: of all pairs by n and by m/n, and of other inputs."""
        from fastpolysem.experiments import _cooccurrence_figure

        return _cooccurrence_figure.drawn(data, ax, self.FIGURE_SIZE)


def _relative(data: Answers, row: Fields, name: str) -> Comparison:
    """A setting against its control, relative; for one without co-occurrence, nothing."""
    same = {label: row[label] for label in SAME}
    here = data.where(**same, inputs=row["inputs"], strength=row["strength"])
    if row["inputs"] == "couples":
        return _couples(name, here["coupled"].sum(), here["sharing"].sum(), row["n_features"])
    control = data.where(**same, inputs=CONTROLS.get(row["inputs"], ""))
    return compared_by_seed(name, here, control, "sharing", MARGIN)


def _couples(name: str, coupled: float, sharing: float, n: int) -> Comparison:
    """The share of couples on one neuron against that of all other pairs, relative, by an exact
    binomial test: of the pairs on one neuron, 1 in n - 1 would be a couple by chance."""
    from scipy import stats

    from fastpolysem.statistics import Estimate, proportion

    if not sharing:
        return compared(name, [], [], MARGIN)
    found = proportion(int(coupled), int(sharing))
    odds = [share / (1 - share) * (n - 2) - 1 if share < 1 else math.inf for share in found[:3]]
    p = float(stats.binomtest(int(coupled), int(sharing), 1 / (n - 1)).pvalue)
    return Comparison(name, Estimate(*odds), p, MARGIN)


def _times_n(ratio: float) -> str:
    return "n" if ratio == 1 else f"{ratio:g}n"


def counts_of(
    data: Answers, ratio: float | None = None, *, by_width: bool = False, **chosen: Any
) -> Counts:
    """Pairs on one neuron with all pairs co-occurring, and with none, in settings of a choice; with
    a ratio, of this m/n only. The axis is q/λ or, by width, q m/(λ n)."""
    rows = data.where(**chosen)
    if by_width:
        rows = rows.assign(strength=rows["strength"] * rows["n_hidden"] / rows["n_features"])
    if ratio is not None:
        rows = rows[rows["n_hidden"] == ratio * rows["n_features"]]
    rows = rows[rows["inputs"].isin(["one-hot", "all pairs"])]
    group: list[int] = []
    cells: list[tuple[float, float, float]] = []
    ratios: list[tuple[float, float]] = []
    for index, (_, part) in enumerate(rows.groupby(SAME)):
        if part["strength"].nunique() < 2 or not (part["strength"] == 0).any():
            continue
        for strength, cell in part.groupby("strength"):
            values = cell["sharing"].to_numpy(float)
            group.append(index)
            cells.append((round(float(str(strength)), 6), values.sum(), len(values)))
            if values.sum() >= 20:
                ratios.append((len(values) - 1, values.var(ddof=1) / values.mean()))
    x, total, seeds = np.array(cells, dtype=float).reshape(-1, 3).T
    weight, ratio = np.array(ratios or [(1.0, 1.0)]).T
    dispersion = float(np.average(ratio, weights=weight))
    return Counts(np.array(group, dtype=np.int64), x, total, seeds, dispersion)


def curve_of(data: Answers, optimizer: str, degree: int = 2) -> Fall | None:
    """The common curve of an optimiser's settings with m = 2n; None without enough of them."""
    counts = counts_of(data, 2.0, optimizer=optimizer)
    if len(np.unique(counts.x)) < degree + 2 or not counts.total.all():
        degree = 1
    if len(np.unique(counts.x)) < degree + 1:
        return None
    return fall(counts, degree)


def tests_of_axis(data: Answers) -> list[Fields]:
    """Chi-squares of a common curve and of an exponential, and the rate k of the latter."""
    two: Fields = {"ratio": 2.0}
    choices: list[tuple[str, Fields]] = [("all", {}), ("m = 2n", two)]
    for key, name in OPTIMIZERS.items():
        mine = {**two, "optimizer": key}
        choices.append((f"m = 2n, {name}", mine))
        own = data.rows[(data.rows["optimizer"] == key) & (data.rows["inputs"] == "all pairs")]
        choices += [
            (f"m = 2n, {name}, λ = {l1:g}", {**mine, "l1": l1}) for l1 in sorted(own["l1"].unique())
        ]
        choices += [
            (f"m = 2n, {name}, λ = 0.03, n = {n}", {**mine, "l1": 0.03, "n_features": n})
            for n in sorted(own["n_features"].unique())
        ]
        ratios = sorted((own["n_hidden"] / own["n_features"]).unique())
        choices += [
            (f"m = {_times_n(ratio)}, {name}", {"optimizer": key, "ratio": ratio})
            for ratio in ratios
            if ratio != 2
        ]
        if len(ratios) > 1:
            every: Fields = {"optimizer": key, "l1": 0.03}
            choices.append((f"every m, {name}, λ = 0.03", every))
            choices.append((f"the same on the axis q m/(λ n), {name}", {**every, "by_width": True}))
    found = []
    for name, chosen in choices:
        counts = counts_of(data, **chosen)
        if len(np.unique(counts.x)) < 2:
            continue
        curve = fall(counts)
        deviance, freedom = common(counts)
        half = fall(counts, 2 if len(np.unique(counts.x)) > 3 else 1).half
        scale = max(1, curve.deviance / max(curve.freedom, 1))
        error = Z * math.sqrt(curve.covariance[0, 0] * scale)
        rate = float(curve.coefficients[0])
        found.append(
            {
                "settings": name,
                "groups": len(np.unique(counts.group)),
                "chi2": deviance,
                "freedom": freedom,
                "p": p_of(deviance, freedom),
                "chi2_exponential": curve.deviance,
                "freedom_exponential": curve.freedom,
                "rate": rate,
                "rate_low": rate - error,
                "rate_high": rate + error,
                "half": half.value,
                "half_low": half.low,
                "half_high": half.high,
            }
        )
    return found


def _left(comparison: Comparison) -> tuple[float, float, float]:
    """What is left with its interval, from a relative difference of counts; at least 0."""
    value, low, high = (1 + one for one in comparison.difference[:3])
    return value, max(low, 0.0), high


def sums_over_pairs(data: Answers) -> list[Fields]:
    """Zipf rates: what is left of pairs in each class, and what equal rates predict."""
    curve = curve_of(data, "adamw")
    found: list[Fields] = []
    rows = data.valid[data.valid["inputs"].isin(["Zipf", "Zipf, independent"])]
    if curve is None:
        return found
    names = [*SAME, "inputs", "strength"]
    for key, part in rows.groupby(names):
        label = dict(zip(names, key, strict=True))
        n, kind = int(label["n_features"]), label["inputs"]
        control = data.where(**{name: label[name] for name in SAME}, inputs=CONTROLS[kind])
        which = classes(n)[np.triu_indices(n, 1)]
        x = zipf_joint(n, label["strength"])[np.triu_indices(n, 1)]
        for c in range(CLASSES):
            left = _left(compared_by_seed("", part, control, f"sharing_{c}", MARGIN))
            said = {"class": c, "pairs": int((which == c).sum()), "x": float(x[which == c].mean())}
            shares = {f"left{end}": left[i] for i, end in enumerate(ENDS)}
            predicted = float(curve.at(x[which == c]).mean())
            found.append({**label, **said, **shares, "predicted": predicted})
    return found


EXPERIMENT = Cooccurrence()
