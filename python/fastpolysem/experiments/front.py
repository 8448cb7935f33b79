"""Which treatments of a classifier make its last hidden layer share less, and at what price?

Networks of `classify` with a dense readout are trained with one treatment each, at three strengths:
l1 on weights, Gaussian noise or dropout on hidden activations, another learning rate, noisy labels.
The untreated network has the learning rate 0.01, and so have all others but those of that
treatment. A private readout, which removes sharing by construction, is beside them.

Planned before the runs on the page of findings, after two seeds of each had been looked at on
another split (h = 40), in which only the largest learning rate and a private readout shared less:

* Primary: for each data set, width (h = 40 and 80) and treatment, shared use of the last hidden
  layer (classes as concepts, training rows), treated minus untreated, over splits. The margin is
  0.05. P-values are corrected together by Holm's method: 64 tests, and 96 since h = 160 was added.
* The price: test accuracy, untreated minus treated, in points, with 95 % intervals. A treatment
  *reduces sharing at no price* if its test finds less sharing and the upper end of its price is
  below half a point, the margin of `classify`.
* The front: settings that no other setting beats both in mean test loss and in mean shared use. It
  is a description; means are not separated by tests.
* Digits: 16 splits with 4 seeds each, tested by the corrected resampled t-test. MNIST-1D: 16 newly
  generated data sets (since raised to 64) with one seed each. All are splits of `classify`.
* Beside it: shared use by chance and before training, classes not learned, dead neurons, effective
  neurons per class.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from fastpolysem.experiments._answers import Answers
from fastpolysem.experiments._base import NATURAL, POSITIVE, Presets, with_interval
from fastpolysem.experiments._classify_tables import fixed
from fastpolysem.experiments._drawing import points
from fastpolysem.experiments._held_out import HeldOut, SplitQuestion, network_on
from fastpolysem.experiments._networks import Case
from fastpolysem.experiments._pages import markdown
from fastpolysem.experiments._splits import (
    SOURCES,
    compared_over_splits,
    differences,
    over_splits,
)
from fastpolysem.experiments._verdicts import EFFECT, Comparison, text
from fastpolysem.families.network.dataset import Dataset

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from fastpolysem.statistics import Estimate

MARGIN = 0.05
"""Difference of shared use that would not matter."""
PRICE = 0.5
"""Points of accuracy that would not matter."""
NONE, PRIVATE = "none", "private readout"
RATE = 0.01
STRENGTHS: dict[str, tuple[float, ...]] = {
    "l1": (1e-4, 1e-3, 3e-3),
    "noise": (0.1, 0.3, 1.0),
    "dropout": (0.1, 0.3, 0.5),
    "learning rate": (0.003, 0.03, 0.1),
    "label noise": (0.02, 0.05, 0.1),
}
"""Treatments with a strength, and the strengths that are tried."""
TREATMENTS = {
    NONE: (NONE, 0.0),
    **{
        f"{name} {strength:g}": (name, strength)
        for name in STRENGTHS
        for strength in STRENGTHS[name]
    },
    PRIVATE: (PRIVATE, 0.0),
}
"""Treatment and strength by the name of the arm."""
_SETTINGS: dict[str, Any] = {
    "data": ["digits", "mnist1d"],
    "n_hidden": [40, 80, 160],
    "treatment": list(TREATMENTS),
}
_CELL = ["data", "n_hidden", "treatment"]
_SHOWN = (("shared_last", 2), ("less", 2), ("price", 2), ("less_read", 2))


@dataclass(frozen=True)
class Trade(HeldOut):
    """What `HeldOut` measures."""

    name = "front"


class Front(SplitQuestion):
    """Shared use and loss of classifiers under treatments."""

    NAME = "front"
    SUMMARY = "Compare treatments of classifiers (l1, noise, dropout, …) by loss and shared use."
    FIGURE_SIZE = (7.2, 9.0)
    PRESETS: ClassVar[Presets] = {
        # Minutes on two cores.
        "default": {**_SETTINGS, "data": "digits", "seeds": 64},
        # Less than a minute.
        "quick": {
            **_SETTINGS,
            "data": "digits",
            "n_hidden": 40,
            "treatment": [NONE, "dropout 0.3", "learning rate 0.1", PRIVATE],
            "seeds": 32,
        },
        # The page of findings.
        "paper": {**_SETTINGS, "seeds": 64},
        # Hours.
        "large": {**_SETTINGS, "data": "digits", "seeds": 1000},
    }
    OPTIONS: ClassVar[Mapping[str, str]] = {
        "data": "Data sets: digits, mnist1d.",
        "n_hidden": "Width of each hidden layer: one for the digits, else two.",
        "treatment": f"Treatments: {', '.join(TREATMENTS)}.",
        "steps": "Number of updates. Default: 1000 for the digits, else 2000.",
    }
    CHOICES: ClassVar = {"data": ("digits", "mnist1d"), "treatment": TREATMENTS}
    ALLOWED: ClassVar = {"n_hidden": POSITIVE, "steps": NATURAL}
    PROBE = Trade()
    COLUMNS = ("accuracy",)
    LABELS = ("data", "n_hidden", "treatment")
    OPTIMIZER = "Adam"
    METRICS = ("test_accuracy", "test_loss", "accuracy", "shared_last", "not_learned")
    OPEN = "whether any treatment changes shared use"
    METHOD = (
        "T tests of the difference in shared use of the last hidden layer between treated and "
        "untreated networks, over splits; those of the digits share rows, for which the variance "
        "is corrected"
    )

    def case(self, **settings: Any) -> Case:
        """The network of one combination of settings, on the first split."""
        kind, strength = TREATMENTS[settings["treatment"]]
        treated: dict[str, dict[str, Any]] = {
            "l1": {"l1": strength},
            "noise": {"noise": "gaussian", "noise_std": strength},
            "dropout": {"dropout": strength},
            "learning rate": {"learning_rate": strength},
            PRIVATE: {"readout": "private"},
        }
        fields = {"learning_rate": RATE, **treated.get(kind, {})}
        if "steps" in settings:
            fields["steps"] = settings["steps"]
        return Case(settings, network_on(settings["data"], settings["n_hidden"], **fields))

    def inputs(self, case: Case, number: int) -> Dataset:
        """The rows of a split, with the label noise of the treatment."""
        data = super().inputs(case, number)
        kind, strength = TREATMENTS[case.labels["treatment"]]
        if kind != "label noise":
            return data
        noisy = Dataset.known(data.sha256, data.batch_size, strength)
        assert noisy is not None
        return noisy

    def table(self, data: Answers) -> pd.DataFrame:
        """One row per data set, width and treatment.

        ``shared_last``, ``test_loss`` and ``test_accuracy`` are means over splits with 95 %
        intervals. ``less`` is the shared use of the untreated network minus this one's, and
        ``less_read`` that of what the readout reads; ``price`` is its accuracy minus this one's in
        points, ``price_loss`` this one's loss minus the untreated network's. ``front`` tells which
        settings no other beats in both loss and shared use.
        """
        import pandas as pd

        means = by_split(data)
        shown = ["accuracy", "not_learned", "dead", "neurons_per_concept", "concepts_last"]
        shown += ["shared_last_chance", "shared_last_start", "shared_read"]
        made = []
        for cell, group in means.groupby(_CELL, sort=False):
            overlap = SOURCES[cell[0]].overlap
            row: dict[str, Any] = dict(zip(_CELL, cell, strict=True)) | {"splits": len(group)}
            row["seeds"] = int(group["seeds"].sum())
            for name in ("shared_last", "test_loss", "test_accuracy"):
                row |= with_interval(name, _possible(name, over_splits(group[name], overlap)[0]))
            for name, column, unit in (
                ("less", "shared_last", -1),
                ("less_read", "shared_read", -1),
                ("price", "test_accuracy", -100),
                ("price_loss", "test_loss", 1),
            ):
                pair = (cell[2], NONE)
                gap = unit * differences(means, cell[0], cell[1], "treatment", pair, column)
                row |= with_interval(name, over_splits(gap, overlap)[0])
            made.append(row | {one: float(group[one].mean()) for one in shown})
        found = pd.DataFrame(made)
        return found.assign(front=_on_front(found))

    def tests(self, data: Answers) -> list[Comparison]:
        """Does each treatment change the shared use?"""
        means = by_split(data)
        found = []
        for (name, h, treatment), _ in means.groupby(_CELL, sort=False):
            if treatment != NONE:
                pair = (treatment, NONE)
                gap = differences(means, name, h, "treatment", pair, "shared_last")
                title = f"{SOURCES[name].title}, h = {h}: {treatment}"
                overlap = SOURCES[name].overlap
                found.append(compared_over_splits(title, gap, overlap, MARGIN, unit=1.0))
        return found

    def say(self, data: Answers, outcome: str, judged: pd.DataFrame) -> str:
        """Which treatments reduce sharing, with their prices."""
        outcomes = {row.test: row for row in judged.itertuples()}
        said = []
        for (name, h), means in self.table(data).groupby(["data", "n_hidden"], sort=False):
            title = f"{SOURCES[name].title}, h = {h}"
            less = []
            for _, row in means[means["treatment"] != NONE].iterrows():
                test = outcomes[f"{title}: {row['treatment']}"]
                if test.outcome == EFFECT and test.difference < 0:
                    price = text((row["price"], row["price_low"], row["price_high"]), 2)
                    free = "at no price" if row["price_high"] < PRICE else "unclear"
                    free = "costly" if row["price_low"] > PRICE else free
                    used = f"{row['shared_last']:.2f}"
                    less.append(f"{row['treatment']} ({used}; price {price} points, {free})")
            start = float(means.loc[means["treatment"] == NONE, "shared_last"].iloc[0])
            what = f"is lower with {', '.join(less)}" if less else "was reduced by no treatment"
            said.append(
                f"On {title}, shared use of the last hidden layer is {start:.2f} untreated and "
                f"{what}."
            )
        return " ".join(said)

    def tables(self, data: Answers) -> dict[str, str]:
        """Sharing and prices, one line per data set, width and treatment."""
        rows = []
        for _, row in self.table(data).iterrows():
            untreated = row["treatment"] == NONE
            use, less, price, less_read = (fixed(row, *one) for one in _SHOWN)
            rows.append([
                SOURCES[row["data"]].title, row["n_hidden"], row["treatment"],
                fixed(row, "test_accuracy", 1, 100), "" if untreated else price,
                fixed(row, "test_loss", 3), use, "" if untreated else less,
                f"{row['shared_last_chance']:.2f}", f"{row['shared_last_start']:.2f}",
                f"{row['shared_read']:.2f}", "" if untreated else less_read,
                f"{row['not_learned']:.2f}", f"{row['dead']:.1f}",
                f"{row['neurons_per_concept']:.1f}", "yes" if row["front"] else "",
            ])  # fmt: skip
        head = ["data", "h", "treatment", "test accuracy in %", "price in points", "test loss",
                "shared use", "less than untreated by", "by chance", "before training",
                "of what is read", "less of it by", "classes not learned", "dead neurons",
                "effective neurons per class", "on the front"]  # fmt: skip
        return {"numbers": markdown(head, rows)}

    def draw(self, data: Answers, ax: Axes | None = None) -> Axes:
        """Shared use against test loss, a panel per data set and width."""
        from fastpolysem import plots

        means = self.table(data)
        cells = list(means.groupby(["data", "n_hidden"], sort=False))
        rows = len({h for (_, h), _ in cells})
        axes = plots.panels(ax, rows, len(cells) // rows, self.FIGURE_SIZE)
        for one, ((name, h), part) in zip(axes.T.flat, cells, strict=True):
            _draw(one, part)
            one.set_title(f"{SOURCES[name].title}, h = {h}", fontsize="medium")
        for one in axes[-1]:
            one.set_xlabel("test loss")
        for one in axes[:, 0]:
            one.set_ylabel("shared use, last hidden layer")
        axes[0, -1].legend(frameon=False, fontsize="small", loc="lower left")
        return ax or axes[0, 0]


def by_split(data: Answers) -> pd.DataFrame:
    """Means over the seeds of a split, one row per split, data set, width and treatment, without
    those of which a seed diverged."""
    rows = data.rows
    keys = [*_CELL, "split"]
    numbers = [one for one in rows.columns if one not in (*keys, "seed")]
    means = rows.groupby(keys, sort=False)[numbers].mean().reset_index()
    means["seeds"] = rows.groupby(keys, sort=False).size().to_numpy()
    return means[means["diverged"] == 0]


def _possible(name: str, found: Estimate) -> Estimate:
    """The same mean with the part of its interval that lies within the bounds of the column."""
    low, high = np.clip([found.low, found.high], *(Trade.columns[name].bounds or ())).tolist()
    return found._replace(low=low, high=high)


def _on_front(means: pd.DataFrame) -> NDArray[np.bool_]:
    """Which settings no other setting of the same network beats both in loss and shared use."""
    from fastpolysem.families.network.plots.studies import pareto

    found = np.zeros(len(means), dtype=bool)
    for rows in means.groupby(["data", "n_hidden"]).indices.values():
        found[rows] = pareto(means.iloc[rows][["test_loss", "shared_last"]])
    return found


def _arms(part: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """The rows of each treatment by rising strength, with the untreated ones among them."""
    kinds = part["treatment"].map(lambda name: TREATMENTS[name][0])
    strengths = part["treatment"].map(lambda name: TREATMENTS[name][1])
    part = part.assign(kind=kinds, strength=strengths)
    none = part[part["kind"] == NONE]
    for kind in dict.fromkeys(kinds):
        rows = part[part["kind"] == kind]
        if kind in STRENGTHS:
            import pandas as pd

            start = none.assign(strength=RATE if kind == "learning rate" else 0.0)
            rows = pd.concat([start, rows]).sort_values("strength")
        yield kind, rows


def _draw(ax: Axes, part: pd.DataFrame) -> None:
    from fastpolysem import plots

    for index, (kind, rows) in enumerate(_arms(part)):
        style = {**plots.look(index), "ms": 4, "lw": 1.2, "elinewidth": 0.6}
        if kind == NONE:
            style |= {"color": "#222222", "marker": "*", "ms": 11, "zorder": 4}
        label = "untreated" if kind == NONE else kind
        points(ax, rows["test_loss"], rows, "shared_last", label=label, **style)
    ax.set_ylim(-0.05, 1.05)


EXPERIMENT = Front()
