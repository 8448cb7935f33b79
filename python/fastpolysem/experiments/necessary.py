"""Are there more polysemantic neurons than necessary, even with fewer neurons than features?

If ``r`` features are represented on ``m`` neurons, at most two per neuron, at least ``r - m``
neurons are polysemantic. The others are incidental: each could be avoided by moving a feature to a
free neuron, which is tested on the trained weights.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fastpolysem.experiments._answers import (
    Answers,
    AutoencoderQuestion,
    apart,
    at_usual_rates,
    size_and_optimizer,
    sized,
    with_scales,
    written,
)
from fastpolysem.experiments._base import ORTHANT, Fields, Presets
from fastpolysem.experiments._drawing import points
from fastpolysem.experiments._pages import markdown
from fastpolysem.experiments._tables import by_width, of_means
from fastpolysem.experiments._verdicts import (
    EFFECT,
    INCONCLUSIVE,
    WITHIN,
    Comparison,
    compared,
)
from fastpolysem.experiments._weights import trained_weights
from fastpolysem.families.autoencoder.config import without_l1
from fastpolysem.families.autoencoder.diagnosis import diagnose
from fastpolysem.families.autoencoder.metrics import feature_dimensionality
from fastpolysem.families.autoencoder.objective import loss_and_gradient
from fastpolysem.probes import Column, Probe
from fastpolysem.training import TrainingResult

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


MARGIN = 0.1
"""Largest negligible number of neurons beyond the necessary ones."""
_WIDTHS = {16: (8, 10, 12, 16, 32), 64: (32, 40, 48, 64, 128), 256: (160, 256, 512)}
_SIZES = (
    *((32, m) for m in (8, 12, 16, 20, 24, 28, 32, 48, 64, 128)),
    *((n, m) for n, widths in _WIDTHS.items() for m in widths),
)
_SETTINGS: dict[str, Any] = {
    "n_features": 32,
    "l1": 0.03,
    "l1_update": "orthant",
    "stop": "certified",
    "steps": 20_000,
    "sizes": _SIZES,
}


@dataclass(frozen=True)
class Moves(Probe):
    """The diagnosis of each seed by `fastpolysem.diagnose`, and the loss after its moves."""

    name = "necessary"
    version = 3
    columns: ClassVar = {
        "shared": Column("int64", "neurons on which two or more features concentrate"),
        "necessary": Column(
            "int64", "number of shared neurons that the represented features require"
        ),
        "removable": Column("int64", "number of shared neurons removed by successive moves"),
        "spread": Column("int64", "learned features that are not on a single neuron"),
        "loss_added": Column("float64", "what the moves add to the loss, without l1"),
        "dimensionality": Column("float64", "mean of metrics.feature_dimensionality"),
        "capacity": Column("float64", "sum of metrics.feature_dimensionality over min(n, m)"),
    }

    def __call__(self, result: TrainingResult) -> dict[str, NDArray[Any]]:
        """The columns of a block."""
        weights = trained_weights(result).astype(np.float64)
        diagnoses = diagnose(weights)
        plain = without_l1(result.config)
        before, after = (
            loss_and_gradient(each, plain)[0]
            for each in (weights, np.array([one.weights for one in diagnoses]))
        )
        dimensionality = feature_dimensionality(weights)
        least = min(weights.shape[1:])
        return {
            "shared": np.array([len(each.neurons) for each in diagnoses]),
            "necessary": np.array([each.necessary for each in diagnoses]),
            "removable": np.array([each.removable for each in diagnoses]),
            "spread": np.array([len(each.spread) for each in diagnoses]),
            "loss_added": np.asarray(after) - np.asarray(before),
            "dimensionality": dimensionality.mean(axis=1),
            "capacity": dimensionality.sum(axis=1) / least,
        }


class Necessary(AutoencoderQuestion):
    """Polysemantic neurons compared with the smallest possible number."""

    NAME = "necessary"
    SUMMARY = "Compare polysemantic neurons with the smallest possible number, from m = n/4 to 4n."
    FIGURE_SIZE = (10.0, 7.0)
    PRESETS: ClassVar[Presets] = {
        # A minute on two cores.
        "default": {**_SETTINGS, "seeds": 100, "sizes": _SIZES[:10]},
        # Seconds.
        "quick": {**_SETTINGS, "seeds": 40, "sizes": [(32, m) for m in (16, 24, 32, 64)]},
        # The page of findings.
        "paper": {**_SETTINGS, "seeds": 200},
        # Hours.
        "large": {**_SETTINGS, "seeds": 1000, "steps": 200_000},
    }
    ALLOWED = ORTHANT
    PROBE = Moves()
    MOST: ClassVar[dict[int, int]] = {64: 200, 256: 20}
    LABELS = ("n_features", "n_hidden", "l1", "optimizer", "learning_rate")
    SEEN: ClassVar = {"λ": "l1"}
    COLUMNS = ("steps_taken",)
    METRICS = (
        *("polysemantic", "shared", "necessary", "excess", "removable", "spread", "unrepresented"),
        *("malign", "dead", "dimensionality", "capacity", "loss", "loss_added", "finished"),
    )
    OPEN = "whether more neurons are polysemantic than necessary"
    METHOD = "t tests of the number of shared neurons removed by moves to free neurons, against 0"

    def ways(self, settings: Fields, changes: Fields) -> Iterable[Fields]:
        """AdamW and gradient descent at each size, unless given."""
        return sized(at_usual_rates(changes), settings, changes)

    def table(self, data: Answers) -> pd.DataFrame:
        """Means with 95 % intervals, one row per setting.

        ``excess`` is ``shared - necessary``, and ``null_excess`` its value in the null model, in
        which features take signed slots at random; ``over_null`` is ``removable`` over it, and
        ``finished`` the share of seeds that reached the certified stop. The other columns are those
        of `Moves`. Features that are ``spread`` need neurons too, so that ``necessary`` is then too
        small a bound; ``removable`` counts as incidental.
        """
        from fastpolysem.families.autoencoder import theory

        rows = data.rows.assign(excess=data.rows["shared"] - data.rows["necessary"])
        means = super().table(Answers(rows))
        n, m = means["n_features"], means["n_hidden"]
        null = np.asarray(theory.null_mean(n, m)) - np.maximum(0, n - m)
        means.insert(means.columns.get_loc("removable"), "null_excess", null)
        for end in ("", "_low", "_high"):
            known = np.where(null > 0, null, np.nan)
            means[f"over_null{end}"] = means[f"removable{end}"] / known
        return with_scales(means)

    def tests(self, data: Answers) -> list[Comparison]:
        """Are there shared neurons that could be avoided by moving a feature to a free neuron?"""
        tests = []
        for setting, group in self.settings(data.valid):
            none = np.zeros(len(group))
            name = size_and_optimizer(setting, data.rows)
            tests.append(compared(name, group["removable"], none, MARGIN, paired=True))
        return tests

    def say(self, data: Answers, outcome: str, judged: pd.DataFrame) -> str:
        """Where there are more than necessary."""
        if outcome == WITHIN:
            return f"Moves remove at most {MARGIN:g} shared neurons per model."
        outcomes = judged.set_index("test")["outcome"].to_dict()
        own, parts = ("n_features", "l1", "optimizer", "learning_rate"), []
        for setting, rows in self.settings(data.valid, own):
            here = rows[["n_hidden"]].drop_duplicates()
            here["outcome"] = [
                outcomes[size_and_optimizer({**setting, "n_hidden": m}, data.rows)]
                for m in here["n_hidden"]
            ]
            found = []
            for kind, said in (
                (EFFECT, "yes"),
                (WITHIN, f"at most {MARGIN:g} per model"),
                (INCONCLUSIVE, INCONCLUSIVE),
            ):
                widths = here.loc[here["outcome"] == kind, "n_hidden"]
                if len(widths):
                    found.append(f"{said} at m = {', '.join(map(str, widths))}")
            more = apart(setting, data.rows, ("n_features", "optimizer"))
            name = f"n = {setting['n_features']}, {written(setting['optimizer'])}{more}"
            parts.append(f"{name}: {'; '.join(found)}")
        return f"Do moves to free neurons remove shared neurons? {'. '.join(parts)}."

    def draw(self, data: Answers, ax: Axes | None = None) -> Axes:
        """Counts against the necessary ones, the excess, what becomes of features, and the
        capacity; the first of several l1 and learning rates."""
        from fastpolysem import plots

        means = self.table(data).drop_duplicates(["n_features", "n_hidden", "optimizer"])
        means = means.sort_values("n_hidden")
        axes = plots.panels(ax, 2, 2, self.FIGURE_SIZE, sharex=True)
        sizes = sorted(means["n_features"].unique())
        for (n, optimizer), part in means.groupby(["n_features", "optimizer"]):
            ratio = part["n_hidden"] / n
            style: dict[str, Any] = {"ms": 4, "capsize": 2, "lw": 1.2}
            style |= plots.look(sizes.index(n), "color", "marker")
            style["ls"] = "-" if optimizer == "sgd" else "--"
            share = part.assign(
                **{
                    f"{name}{end}": part[f"{name}{end}"] / n
                    for name in ("removable", "spread")
                    for end in ("", "_low", "_high")
                }
            )
            label = f"n = {n}, {written(optimizer)}"
            points(axes[0, 0], ratio, share, "removable", label=label, **style)
            points(axes[0, 1], ratio, part, "over_null", **style)
            points(axes[1, 0], ratio, share, "spread", **style)
            points(axes[1, 1], ratio, part, "finished", **style)
        axes[0, 1].axhline(1, color="#666666", ls=":", label="null model")
        names = (
            "shared neurons removed\nby moves, over n",
            "the same, over\nthe null model's excess",
            "features on no single\nneuron, over n",
            "share of models\nat the certified stop",
        )
        ratios = sorted({m / 32 for n, m in _SIZES if n == 32})
        for each, what in zip(axes.flat, names, strict=True):
            each.set(ylabel=what, xscale="log")
            each.axvline(1, color="#BBBBBB", lw=0.8, zorder=0)
            each.set_ylim(bottom=min(0, each.get_ylim()[0]))
        for each in axes[1]:
            each.set_xlabel("neurons per feature, m/n")
            each.set_xticks(ratios, [f"{value:.3g}" for value in ratios], rotation=60)
            each.tick_params(axis="x", labelsize="small")
            each.minorticks_off()
        axes[0, 0].legend(frameon=False, fontsize="small")
        axes[0, 1].legend(frameon=False, fontsize="small")
        return ax or axes[0, 0]

    def tables(self, data: Answers) -> dict[str, str]:
        """What holds at which size, and all numbers."""
        means = self.table(data)
        labels = {
            "n": "n_features", "m": "n_hidden", "optimiser": "optimizer", "λ√m": "strength",
            "lr·√m": "pace",
        }  # fmt: skip
        counts = {
            "shared neurons": "shared", "least possible": "necessary",
            "removed by moves": "removable", "the same over the null model": "over_null",
            "spread features": "spread",
        }  # fmt: skip
        rest = {
            "loss added by moves": "loss_added", "unrepresented": "unrepresented",
            "capacity": "capacity", "certified": "finished", "seeds": "seeds",
        }  # fmt: skip
        ratios = {0.5: "m = n/2", 0.625: "m = 5n/8", 0.75: "m = 3n/4", 1.0: "m = n", 2.0: "m = 2n"}
        place = means["n_hidden"] / means["n_features"]
        sizes = markdown(*by_width(means, "removable", place, ratios, 3))
        return {"sizes": sizes, "numbers": of_means(means, labels, counts, rest)}


EXPERIMENT = Necessary()
