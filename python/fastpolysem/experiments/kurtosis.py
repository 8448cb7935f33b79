"""Does the kurtosis of the noise determine how sparse features become?

Kinds of noise with the same standard deviation, from two-valued (excess kurtosis κ = -2) through
Gaussian (0) to heavy-tailed (3), several of them with the same κ: if κ decides, these must agree.
In addition to the end of training, the early growth of the fourth norm from common weights is
measured, and compared kind by kind with the theoretical correction in κ and with the next terms of
its series. Training from planted pairs shows why noise forms none.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fastpolysem.experiments._answers import Answers, AutoencoderQuestion, apart, compared_by_seed
from fastpolysem.experiments._base import ONE_MATRIX, Fields, Presets, only, recorded, whole
from fastpolysem.experiments._drawing import points
from fastpolysem.experiments._edgeworth import (
    fourth_term,
    predicted_growth,
    sixth_cumulant,
    sixth_term,
    square_term,
)
from fastpolysem.experiments._planted import count_pairs, expected_loss, from_planted
from fastpolysem.experiments._tables import of_means
from fastpolysem.experiments._verdicts import EFFECT, Comparison
from fastpolysem.experiments._weights import trained_weights
from fastpolysem.families.autoencoder.config import Config
from fastpolysem.families.autoencoder.metrics import fourth_norm
from fastpolysem.probes import Column, Probe
from fastpolysem.training import Record, TrainingResult, train

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


MARGIN = 0.05
"""Largest negligible difference of fourth norms, relative to Gaussian noise."""
PLATEAU, WINDOW = 1000, 400
"""Steps with Gaussian noise to the common weights, and steps over which growth is measured."""
_KINDS: list[tuple[str, float | None]] = [
    ("rademacher", None),
    ("three_point", 1.0),
    ("uniform", None),
    ("three_point", 1 / 2),
    ("gaussian", None),
    ("three_point", 1 / 3),
    ("student_t", 10.0),
    ("three_point", 1 / 4),
    ("laplace", None),
    ("student_t", 6.0),
    ("three_point", 1 / 6),
]
_SETTINGS: dict[str, Any] = {
    "n_features": 8,
    "n_hidden": 16,
    "optimizer": "sgd",
    "learning_rate": 0.02,
    "noise_std": 0.15,
    "noise_sharing": ["step", "input"],
    "steps": 20_000,
    "kinds": _KINDS,
}
_ENDS = ("rademacher", "gaussian")
"""Kinds of noise at other sizes."""
# Other sizes with the same standard deviation, and with that times sqrt(9 / (n + 1)); at n = 64 the
# norm of a feature with the former is below 0.8, and Gaussian noise takes too long.
_LARGER: list[Fields] = [
    {
        "n_features": n,
        "n_hidden": 2 * n,
        "noise_std": std,
        "steps": steps,
        "noise": noise,
        "noise_shape": None,
        "learning_rate": 0.01,
        "noise_sharing": "input",
    }
    for n, std, steps, kinds in (
        (16, 0.15, 100_000, _ENDS),
        (16, 0.109, 100_000, _ENDS),
        (64, 0.0558, 200_000, _ENDS[:1]),
    )
    for noise in kinds
]
_SETTING = ("n_features", "n_hidden", "l1", "noise_std", "sharing", "learning_rate")


_FACES: dict[str, dict[str, Any]] = {"step": {}, "input": {"mfc": "white"}}
"""Of markers, for noise that a step shares and noise of each input."""


def _theory(ax: Axes, means: pd.DataFrame) -> None:
    slope, zero = means["slope"].mean(), means.loc[means["noise"] == "gaussian", "growth"].mean()
    finite = means.loc[np.isfinite(means["kurtosis"]), "kurtosis"]
    if np.isfinite(slope) and len(finite):
        at = np.array([finite.min(), finite.max()])
        offset = zero if np.isfinite(zero) else 0.0
        ax.plot(at, offset + slope * at, color="#666666", label="theory in κ, relative to Gaussian")
    ax.axhline(0, color="#BBBBBB", lw=0.8, zorder=0)
    ax.legend(frameon=False, fontsize="small")


def _side_by_side(means: pd.DataFrame) -> dict[str, float]:
    """How far each kind of noise is moved, so that kinds of one kurtosis do not hide each other."""
    kinds = means.drop_duplicates("noise")
    groups = kinds.groupby(kinds["kurtosis"].round(6))["noise"]
    place, size = groups.cumcount(), groups.transform("size")
    moved = 0.18 * (place - (size - 1) / 2)
    return dict(zip(kinds["noise"], moved, strict=True))


@dataclass(frozen=True)
class Growth(Probe):
    """Fourth norm, take-off, and growth from common weights."""

    name = "kurtosis"
    version = 2
    plateau: int = PLATEAU
    """Steps with Gaussian noise to the common weights; a doubling counts only after them."""
    window: int = WINDOW
    """Steps over which the growth is measured."""
    columns: ClassVar = {
        "fourth_norm": Column("float64", "fourth norm at the end"),
        "take_off": Column("float64", "first recorded step at which it has doubled; nan if never"),
        "taken_off": Column("bool", "whether it has doubled"),
        "growth": Column("float64", "growth per step from common weights"),
        "slope": Column("float64", "predicted growth per step and unit of excess kurtosis"),
        "slope_sixth": Column("float64", "the same per unit of the sixth cumulant"),
        "slope_square": Column("float64", "the same per unit of the excess kurtosis squared"),
        "loss_end": Column(
            "float64", "expected loss at the end; like the rest, if two-valued and n <= m"
        ),
        "loss_own": Column("float64", "the same from planted neurons of their own"),
        "loss_pairs": Column("float64", "the same from planted pairs"),
        "pairs": Column("float64", "pairs at the end, whatever their weights"),
        "pairs_left": Column("float64", "pairs left of planted ones"),
    }

    def __call__(self, result: TrainingResult) -> dict[str, NDArray[Any]]:
        """The columns of a block whose history contains the fourth norm."""
        steps, history = result.history["step"], result.history["fourth_norm"]
        before = int(np.searchsorted(steps, self.plateau, side="right")) - 1
        off = (history >= 2 * history[:, before, np.newaxis]) & (steps > self.plateau)
        return {
            "fourth_norm": history[:, -1],
            "take_off": np.where(off.any(axis=1), steps[off.argmax(axis=1)], np.nan),
            "taken_off": np.asarray(off.any(axis=1)),
            **self._from_common_weights(result),
            **self._from_planted(result),
        }

    def _from_planted(self, result: TrainingResult) -> dict[str, NDArray[Any]]:
        """Pairs, and losses at the end of training from random and planted weights."""
        config, seeds = result.config, result.seeds
        names = ("loss_end", "loss_own", "loss_pairs", "pairs", "pairs_left")
        if config.noise != "rademacher" or config.n_hidden < config.n_features:
            return {name: np.full(len(seeds), np.nan) for name in names}
        end = trained_weights(result)
        found = from_planted(config, seeds) | {"pairs": count_pairs(end).astype(np.float64)}
        return found | {"loss_end": expected_loss(end, seeds, config.noise_std)}

    def _from_common_weights(self, result: TrainingResult) -> dict[str, NDArray[Any]]:
        """Measured and predicted growth per step over the window."""
        config = result.config
        gaussian: dict[str, Any] = {"noise": "gaussian", "noise_shape": None}
        before = config.replace(**gaussian, noise_sharing="step", steps=self.plateau)
        start = np.asarray(train(before, result.seeds, return_weights=True).weights)
        lost = ~np.isfinite(start).all(axis=(1, 2))
        start = np.where(lost[:, np.newaxis, np.newaxis], 0.0, start)
        after = train(
            config.replace(steps=self.window),
            result.seeds + np.uint64(2**32),  # noise not used before
            initial_weights=start,
            return_weights=True,
        )
        grown = fourth_norm(trained_weights(after)).mean(axis=1) - fourth_norm(start).mean(axis=1)
        bad = lost | after.diverged
        terms = {"slope": fourth_term, "slope_sixth": sixth_term, "slope_square": square_term}
        found = {name: predicted_growth(start, config, term) for name, term in terms.items()}
        found["growth"] = grown / self.window
        return {name: np.where(bad, np.nan, value) for name, value in found.items()}


class Kurtosis(AutoencoderQuestion):
    """Noise of several shapes with one standard deviation."""

    NAME = "kurtosis"
    SUMMARY = (
        "Vary the excess kurtosis of the noise at fixed variance; measure sparsity and counts."
    )
    FIGURE_SIZE = (10.5, 8.0)
    PRESETS: ClassVar[Presets] = {
        # A few minutes on two cores.
        "default": {**_SETTINGS, "seeds": 300, "larger": []},
        # Seconds.
        "quick": {
            **_SETTINGS,
            "seeds": 100,
            "noise_sharing": "step",
            "kinds": [*_KINDS[:2], *_KINDS[3:6], _KINDS[8]],
            "larger": [],
        },
        # The page of findings.
        "paper": {**_SETTINGS, "seeds": 1000, "larger": _LARGER},
        # An hour.
        "large": {
            **_SETTINGS,
            "seeds": 2000,
            "noise_std": [0.1, 0.15],
            "steps": 50_000,
            "larger": _LARGER,
        },
    }
    ALLOWED: ClassVar = {
        **ONE_MATRIX,
        "n_features": whole((">=", 2)),
        "optimizer": only("sgd"),  # as the predictions suppose
    }
    PROBE = Growth()
    MOST: ClassVar[dict[int, int]] = {16: 100, 64: 10}
    LABELS = (*_SETTING, "noise", "kurtosis", "sixth")
    SEEN: ClassVar = {"n": "n_features", "m": "n_hidden", "σ": "noise_std"}  # noqa: RUF001
    OPTIMIZER = "SGD"
    METRICS = (
        *("fourth_norm", "taken_off", "take_off", "growth", "slope", "slope_sixth", "slope_square"),
        *("loss_end", "loss_own", "loss_pairs", "pairs", "pairs_left"),
        *("polysemantic", "signed_slots", "malign", "unrepresented", "loss"),
    )
    OPEN = "whether the kurtosis of the noise determines sparsity"
    METHOD = "Paired t tests of the final fourth norm, relative to the noise named second"

    def ways(self, settings: Fields, changes: Fields) -> Iterable[Fields]:
        """Kinds of noise with their shapes, and two of them at other sizes, unless given."""
        kinds = settings.pop("kinds")
        kinds = changes.pop("kinds", kinds)
        larger: list[Fields] = settings.pop("larger")
        if changes.keys() & {"n_features", "n_hidden", "noise_std"}:
            larger = []
        larger = changes.pop("larger", larger)
        if "noise" in changes:
            return [{}]
        ways: list[Fields] = [{"noise": kind, "noise_shape": shape} for kind, shape in kinds]
        return [*ways, *larger]

    def record(self, configs: Sequence[Config]) -> Record:
        """The fourth norm at about 80 steps that all configurations have."""
        last = min(config.steps for config in configs)
        return recorded("fourth_norm", last, last)

    def labels(self, config: Config) -> dict[str, Any]:
        """Sizes, l1 and noise."""
        from fastpolysem.families.autoencoder import theory

        shape = config.noise_shape
        return super().labels(config) | {
            "sharing": config.noise_sharing,
            "noise": config.noise + (f" {shape:.3g}" if shape else ""),
            "kurtosis": theory.excess_kurtosis(config.noise, shape),
            "sixth": sixth_cumulant(config.noise, shape),
        }

    def table(self, data: Answers) -> pd.DataFrame:
        """Means with 95 % intervals, one row per kind of noise.

        ``taken_off`` is the share of seeds whose fourth norm doubled after the plateau, and
        ``take_off`` the mean step at which it did. ``growth`` is the measured growth of the fourth
        norm per step from common weights, ``predicted`` the one in κ alone (``κ · slope``), and
        ``predicted_next`` the one with the terms in the sixth cumulant and in κ². ``norm2`` is the
        squared norm of a feature on a neuron of its own in theory, ``1 - (n + 1) σ²/4``.
        """
        means = super().table(data)
        kurtosis, sixth = means["kurtosis"], means["sixth"]
        predicted = kurtosis * means["slope"]
        sixth = sixth.where(np.isfinite(sixth))
        further = sixth * means["slope_sixth"] + kurtosis**2 * means["slope_square"]
        means = means.assign(predicted=predicted, predicted_next=predicted + further)
        for end in ("", "_low", "_high"):
            means[f"ratio{end}"] = means[f"growth{end}"] / predicted.where(predicted != 0)
        ends = np.sort(means[["ratio_low", "ratio_high"]].to_numpy(dtype=float), axis=1)
        norm = 1 - (means["n_features"] + 1) * means["noise_std"] ** 2 / 4
        return means.assign(ratio_low=ends[:, 0], ratio_high=ends[:, 1], norm2=norm)

    def tests(self, data: Answers) -> list[Comparison]:
        """Does the final fourth norm depend on κ, and on other properties of the noise?"""
        tests = []
        for same, group in self.settings(data.rows, _SETTING):
            more = apart(same, data.rows, ("n_features", "noise_std", "sharing"))
            size, std = f"n = {same['n_features']}", f"std {same['noise_std']:g}"
            where = f"{size}, {std}, by {same['sharing']}{more}: "
            kinds = group[["noise", "kurtosis"]].drop_duplicates()
            named = [
                (f"{noise} (κ = {kurtosis:.3g}) against gaussian", noise, "gaussian")
                for noise, kurtosis in kinds.itertuples(index=False, name=None)
                if noise != "gaussian" and (kinds["noise"] == "gaussian").any()
            ]
            for kurtosis in sorted(kinds["kurtosis"].unique()):
                alike = kinds["kurtosis"].astype(float).round(9) == round(kurtosis, 9)
                first, *others = kinds.loc[alike, "noise"]
                for noise in others if kurtosis else ():
                    name = f"{noise} against {first}, both κ = {kurtosis:.3g}"
                    named.append((name, noise, first))
            for name, noise, other in named:
                here, there = data.where(**same, noise=noise), data.where(**same, noise=other)
                tests.append(compared_by_seed(where + name, here, there, "fourth_norm", MARGIN))
        return tests

    def in_tests(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Those of sizes and strengths with several kinds of noise."""
        return rows[rows.groupby(list(_SETTING))["noise"].transform("nunique") > 1]

    def say(self, data: Answers, outcome: str, judged: pd.DataFrame) -> str:
        """How the fourth norm depends on κ, and its early growth compared with the prediction."""
        against = judged[judged["test"].str.endswith("against gaussian")]
        kurtosis = against["test"].str.extract(r"κ = (\S+)\)")[0].astype(float)
        sparser = against[(against["outcome"] == EFFECT) & (against["difference"] > 0)]
        flatter = against[(against["outcome"] == EFFECT) & (against["difference"] < 0)]
        negative, positive = kurtosis < -1e-6, kurtosis > 1e-6
        parts = [
            f"higher with negative κ in {sparser.index.isin(kurtosis.index[negative]).sum()} "
            f"of {negative.sum()} comparisons",
            f"lower with positive κ in {flatter.index.isin(kurtosis.index[positive]).sum()} "
            f"of {positive.sum()}",
        ]
        zero = against[~negative & ~positive]
        if len(zero):
            parts.append(
                f"different with κ = 0 in {(zero['outcome'] == EFFECT).sum()} of {len(zero)}"
            )
        sentence = "Relative to Gaussian noise, the final fourth norm is " + ", ".join(parts)
        equal = judged[judged["test"].str.contains("both")]
        if len(equal):
            sentence += (
                "; between kinds of noise with equal κ it differs in "
                f"{(equal['outcome'] == EFFECT).sum()} of {len(equal)}"
            )
        return f"{sentence}. {self._growth(data)}."

    def _growth(self, data: Answers) -> str:
        """The measured growth over the predicted one, kind by kind."""
        means = self.table(data)
        smallest = means["n_features"] == means["n_features"].min()
        parts = []
        for setting, here in self.settings(means[smallest], _SETTING):
            known = here[(here["kurtosis"].abs() <= 1.2) & (here["kurtosis"].abs() > 1e-6)]
            said = [
                f"{row['ratio']:.2f} [{row['ratio_low']:.2f}, {row['ratio_high']:.2f}] "
                f"({row['noise']})"
                for _, row in known.iterrows()
            ]
            more = apart(setting, means[smallest], ("n_features", "sharing"))
            parts.append(f"with noise per {setting['sharing']}{more}, {', '.join(said)}")
        return (
            "The early growth of the fourth norm, divided by that predicted from κ alone, is, "
            f"{'; '.join(parts)}"
        )

    def draw(self, data: Answers, ax: Axes | None = None) -> Axes:
        """Sparsity, take-off, growth and counts against the excess kurtosis."""
        from fastpolysem import plots

        means = self.table(data)
        size = means[[name for name in _SETTING if name != "sharing"]]
        first = (size == size.iloc[0]).all(axis=1)
        means = means[first]
        axes = plots.panels(ax, 2, 2, self.FIGURE_SIZE, sharex=True)
        panels = {
            "fourth_norm": "fourth norm at the end",
            "take_off": "take-off, steps\n(mean of seeds that did)",
            "growth": "early growth of the\nfourth norm per step",
            "signed_slots": "shared neurons\n(no threshold)",
        }
        families = list(dict.fromkeys(name.split()[0] for name in means["noise"]))
        looks = {
            family: {"color": color, "mec": color, "fmt": mark, "ms": 5, "mew": 1.2, "capsize": 2}
            for family, color, mark in zip(families, plots.COLORS, plots.MARKERS, strict=False)
        }
        beside = _side_by_side(means)
        for each, (metric, what) in zip(axes.flat, panels.items(), strict=True):
            for (sharing, noise), part in means.groupby(["sharing", "noise"], sort=False):
                shift = beside[noise] + (0.04 if sharing == "input" else -0.04)
                style: dict[str, Any] = {**looks[noise.split()[0]], **_FACES[sharing]}
                points(each, part["kurtosis"] + shift, part, metric, **style)
            each.set_ylabel(what)
        known = means[np.isfinite(means["predicted_next"])]
        at = known["kurtosis"] + known["noise"].map(beside)
        crosses: dict[str, Any] = {"color": "#222222", "ls": "none", "marker": "x", "ms": 5}
        axes[1, 0].plot(at, known["predicted_next"], **crosses, label="and the next terms")
        _theory(axes[1, 0], means)
        axes[0, 0].set_ylim(0, 1)
        axes[1, 1].set_ylim(bottom=0)
        if (axes[0, 1].get_ylim()[0] > 0) and np.isfinite(means["take_off"]).any():
            axes[0, 1].set_yscale("log")
        for each in axes[1]:
            each.set_xlabel("excess kurtosis of the noise")
        for family, look in looks.items():
            axes[0, 0].errorbar([], [], [], label=family.replace("_", " "), **look)
        for sharing in means["sharing"].unique():
            name = "filled: a step shares it" if sharing == "step" else "hollow: each input its own"
            mark = {"color": "#444444", "marker": "o", "ls": "none", "mew": 1.2}
            axes[0, 0].plot([], [], label=name, **mark, **_FACES[sharing])
        axes[0, 0].legend(frameon=False, fontsize="small")
        std, count = means["noise_std"].iloc[0], int(means["seeds"].min())
        title = f"noise of standard deviation {std:g}, {count} seeds, 95 % intervals"
        axes[0, 0].set_title(title, fontsize="medium")
        return ax or axes[0, 0]

    def tables(self, data: Answers) -> dict[str, str]:
        """Early growth kind by kind, what holds at which size, and all other numbers."""
        means = self.table(data)
        smallest = means["n_features"] == means["n_features"].min()
        kind = {"noise": "noise", "κ": "kurtosis", "noise shared by": "sharing"}
        growth = of_means(
            means[smallest].sort_values("kurtosis", kind="stable"),
            {**kind, "sixth cumulant": "sixth"},
            {"growth per step": "growth", "over that predicted from κ": "ratio"},
            {"predicted from κ": "predicted", "with the next terms": "predicted_next"},
            digits=2,
        )
        scale = {
            "n": "n_features",
            "m": "n_hidden",
            "standard deviation": "noise_std",
            "theory: norm²": "norm2",
        }
        ends = {"fourth norm": "fourth_norm", "expected loss": "loss_end"}
        ends |= {"from own neurons": "loss_own", "from pairs": "loss_pairs", "pairs": "pairs"}
        ends |= {"planted pairs left": "pairs_left"}
        rest = {"polysemantic": "polysemantic", "unrepresented": "unrepresented", "seeds": "seeds"}
        two = means["noise"].isin(_ENDS) & (means["sharing"] == "input")
        sizes = of_means(means[two], {**scale, "noise": "noise"}, ends, rest)
        numbers = of_means(
            means[smallest],
            kind,
            {
                "final fourth norm": "fourth_norm",
                "share of seeds with take-off": "taken_off",
                "take-off step": "take_off",
                "shared neurons": "signed_slots",
                "unrepresented": "unrepresented",
            },
        )
        return {"growth": growth, "sizes": sizes, "numbers": numbers}


EXPERIMENT = Kurtosis()
