"""What does it cost a classifier that each of its last hidden neurons is read by one class only?

A *private* readout makes the last hidden layer monosemantic by construction: neuron k is read by
class k mod 10 alone. It has a tenth of the weights of a *dense* readout, so it is also compared
with a *random* one, in which each class reads as many neurons, chosen at random for each seed. The
price of a private readout is what a network of the same width with a dense readout classifies
better. A random readout leaves about 1/e of the neurons unread: at one read per neuron, privacy is
the only way to read all of them.

Planned before the runs on the page of findings:

* Primary: for each data set and width h = 10 … 320, held-out accuracy in points, dense minus
  private (the price) and random minus private (the part of it that is privacy, at equal density).
  The margin is half a point. P-values are corrected together by Holm's method: 24 tests.
* A private readout is *free from width h on* if the upper end of the price's 95 % interval is below
  half a point at h and at all larger widths tried. All of these must hold, so that no correction
  for their number is needed.
* The learning rate is chosen per split, data set, width and readout, by the mean accuracy of the
  split's seeds on validation rows; test rows are used once. Losses are compared at the rate that
  is best by the validation loss.
* Digits: 16 splits with 4 seeds each, tested by the corrected resampled t-test. MNIST-1D: 32 newly
  generated data sets (since raised to 64) with one seed each, tested by Student's t-test. In a
  pilot at h = 40 and 320 on six other splits of the digits, the difference dense minus private
  varied by about 0.5 points between splits (on 540 test rows), and between seeds by 0.4 (h = 320)
  and 1.9 (h = 40, where some networks lose a class). With the corrected variance the interval of a
  price will therefore extend about 0.7 points to either side, and more splits would hardly shorten
  it: so few images can show a price of a point, but hardly its absence.
* Secondary: random minus dense (density alone), losses, networks that lost no class, and shared use
  and effective concepts of the last hidden layer beside chance and the untrained network.

Planned afterwards, before the runs with several labels ("sums"), where concepts are known and occur
together: the same tests on 16 (since 64) newly generated data sets of sums of MNIST-1D templates
(`datasets.mnist1d_sums`), h = 20, 40 and 80, in points of label accuracy, with Holm's correction
over these 6. Two networks of each kind at h = 20 and 80 had been looked at on another data set.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from fastpolysem.experiments._answers import Answers, together
from fastpolysem.experiments._base import (
    NATURAL,
    POSITIVE,
    Presets,
    number,
    with_interval,
)
from fastpolysem.experiments._drawing import points
from fastpolysem.experiments._held_out import HeldOut, SplitQuestion, network_on
from fastpolysem.experiments._networks import Case
from fastpolysem.experiments._splits import (
    SOURCES,
    compared_over_splits,
    differences,
    over_splits,
)
from fastpolysem.experiments._verdicts import EFFECT, INCONCLUSIVE, WITHIN, Comparison, text

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


MARGIN = 0.5
"""Points of accuracy that would not matter."""
READOUTS = ("dense", "random", "private")
_SETTINGS: dict[str, Any] = {
    "data": ["digits", "mnist1d"],
    "n_hidden": [10, 20, 40, 80, 160, 320],
    "readout": list(READOUTS),
    "learning_rate": [0.003, 0.01, 0.03, 0.1],
}
_CELL = ["data", "n_hidden", "readout"]


class Classify(SplitQuestion):
    """Classifiers with a dense, a random and a private readout."""

    NAME = "classify"
    SUMMARY = "Measure what it costs a classifier to read each hidden neuron for one class only."
    FIGURE_SIZE = (7.2, 6.4)
    PRESETS: ClassVar[Presets] = {
        # Minutes on two cores.
        "default": {**_SETTINGS, "data": "digits", "seeds": 24},
        # Half a minute.
        "quick": {**_SETTINGS, "data": "digits", "n_hidden": [10, 80], "seeds": 16},
        # The page of findings.
        "paper": {**_SETTINGS, "seeds": 64},
        # Several labels per row, known concepts; minutes.
        "sums": {**_SETTINGS, "data": "mnist1d_sums", "n_hidden": [20, 40, 80], "seeds": 64},
        # Hours.
        "large": {**_SETTINGS, "data": "digits", "seeds": 1000},
    }
    OPTIONS: ClassVar[Mapping[str, str]] = {
        "data": "Data sets: digits, mnist1d, mnist1d_sums.",
        "n_hidden": "Width of each hidden layer: one for the digits, else two.",
        "readout": "Which neurons a class reads: dense, random, private.",
        "learning_rate": "Learning rates to choose from.",
        "steps": "Number of updates. Default: 1000 for the digits, else 2000.",
    }
    CHOICES: ClassVar = {"data": SOURCES, "readout": READOUTS}
    ALLOWED: ClassVar = {
        "n_hidden": POSITIVE,
        "learning_rate": number((">", 0)),
        "steps": NATURAL,
    }
    PROBE = HeldOut()
    COLUMNS = ("accuracy",)
    LABELS = ("data", "n_hidden", "readout", "learning_rate")
    OPTIMIZER = "Adam"
    METRICS = ("test_accuracy", "test_loss", "accuracy", "shared_read", "not_learned")
    METHOD = (
        "T tests of the difference in test accuracy between readouts, in points, over splits; "
        "those of the digits share rows, for which the variance is corrected"
    )

    def case(self, **settings: Any) -> Case:
        """The network of one combination of settings, on the first split."""
        data = settings["data"]
        fields = {"steps": settings["steps"]} if "steps" in settings else {}
        config = network_on(
            data,
            settings["n_hidden"],
            readout=settings["readout"],
            learning_rate=settings["learning_rate"],
            **fields,
        )
        return Case(settings, config)

    def table(self, data: Answers) -> pd.DataFrame:
        """One row per data set, width and readout, at the learning rates chosen on validation rows.

        ``test_accuracy`` and ``test_loss`` are means over splits, ``price`` is the accuracy of a
        dense readout less this one's in points, ``price_loss`` this one's loss less that of a dense
        readout, ``price_all_learned`` the price among networks that lost no class: with 95 %
        intervals. Then means of the training accuracy, of the learning rate, of classes not
        learned, and of measures of the last hidden layer.
        """
        import pandas as pd

        by_accuracy, by_loss = chosen(data), chosen(data, "loss")
        learned = chosen(Answers(data.rows[data.rows["not_learned"] == 0]))
        shown = ["accuracy", "learning_rate", "not_learned", "dead", "neurons_per_concept"]
        shown += ["shared_last", "shared_read", "shared_read_chance", "shared_read_start"]
        shown.append("concepts_last")
        made = []
        for cell, group in by_accuracy.groupby(_CELL, sort=False):
            name, h, readout = cell
            overlap = SOURCES[name].overlap
            row: dict[str, Any] = dict(zip(_CELL, cell, strict=True)) | {"splits": len(group)}
            row["seeds"] = int(group["seeds"].sum())
            row |= with_interval("test_accuracy", over_splits(group["test_accuracy"], overlap)[0])
            losses = by_loss[(by_loss[_CELL] == list(cell)).all(axis=1)]["test_loss"]
            row |= with_interval("test_loss", over_splits(losses, overlap)[0])
            for column, means, measured, unit in (
                ("price", by_accuracy, "test_accuracy", 100),
                ("price_all_learned", learned, "test_accuracy", 100),
                ("price_loss", by_loss, "test_loss", -1),
            ):
                gap = unit * differences(means, name, h, "readout", ("dense", readout), measured)
                row |= with_interval(column, over_splits(gap, overlap)[0])
            made.append(row | {one: float(group[one].mean()) for one in shown})
        return pd.DataFrame(made)

    def tests(self, data: Answers) -> list[Comparison]:
        """What a private readout costs, against dense ones and against random ones."""
        means = chosen(data)
        found = []
        for name, h in _settings(means):
            for readout in ("dense", "random"):
                pair = (readout, "private")
                gap = 100 * differences(means, name, h, "readout", pair, "test_accuracy")
                if not len(gap):
                    continue
                title = f"{SOURCES[name].title}, h = {h}: {readout} minus private"
                overlap = SOURCES[name].overlap
                found.append(compared_over_splits(title, gap, overlap, MARGIN, unit=100.0))
        return found

    def say(self, data: Answers, outcome: str, judged: pd.DataFrame) -> str:
        """The price at the least and the largest width, where it is free, and what is privacy."""
        rows = {row.test: row for row in judged.itertuples()}
        listed: dict[str, list[int]] = {}
        for name, h in _settings(chosen(data)):
            listed.setdefault(name, []).append(h)
        said = []
        for name, widths in listed.items():
            title = SOURCES[name].title
            dense, random = (
                {h: rows[test] for h in widths if (test := f"{title}, h = {h}: {one}") in rows}
                for one in ("dense minus private", "random minus private")
            )
            parts = []
            if dense:
                first, last = min(dense), max(dense)
                ends = [f"{_points(dense[first])} points of accuracy at h = {first}"]
                ends += [f"{_points(dense[last])} at h = {last}"] if last > first else []
                free = free_from([*dense], [row.ci_high for row in dense.values()])
                freed = "at no width" if free is None else f"from h = {free} on"
                parts.append(
                    f"a private readout costs {' and '.join(ends)}, compared with a dense one, and "
                    f"is shown to be free {freed}"
                )
            if random:
                what = "it" if dense else "a private one"
                privacy = _privacy([*random], [*random.values()])
                parts.append(f"compared with a random one of equal density, {what} {privacy}")
            said += [f"On {title}, {'; '.join(parts)}."] if parts else []
        return " ".join(said)

    def tables(self, data: Answers) -> dict[str, str]:
        """Prices on test rows, and the use of neurons on training rows."""
        from fastpolysem.experiments import _classify_tables

        means = self.table(data)
        found = {"prices": _classify_tables.prices(means), "use": _classify_tables.use(means)}
        looks = _classify_tables.looks(means)
        return {**found, "looks": looks} if looks else found

    def draw(self, data: Answers, ax: Axes | None = None) -> Axes:
        """Test error of each readout against width, and below it the differences."""
        from fastpolysem import plots

        means = self.table(data)
        names = list(means["data"].unique())
        axes = plots.panels(ax, 2, len(names), self.FIGURE_SIZE, sharex=True, sharey="row")
        for column, name in zip(axes.T, names, strict=True):
            here = means[means["data"] == name]
            _draw_errors(column[0], here)
            _draw_prices(column[1], chosen(data), name)
            column[0].set_title(SOURCES[name].title, fontsize="medium")
            widths = sorted(here["n_hidden"].unique())
            column[1].set(xscale="log", xlabel="neurons per hidden layer h")
            column[1].set_xticks(widths, [str(width) for width in widths])
            column[1].minorticks_off()
        axes[0, 0].set_ylabel("test error in %")
        axes[1, 0].set_ylabel("difference in accuracy\nin points")
        axes[0, -1].legend(frameon=False, fontsize="small")
        axes[1, 0].legend(frameon=False, fontsize="small", loc="upper right")
        return ax or axes[0, 0]


def chosen(data: Answers, by: str = "accuracy") -> pd.DataFrame:
    """Means over the seeds of a split at the learning rate that is best on its validation rows.

    One row per split, data set, width and readout. ``by`` is "accuracy" or "loss"; ties go to the
    smaller rate. Rates at which a seed diverged are left out.
    """
    rows = data.rows
    keys = [*_CELL, "split"]
    numbers = [one for one in rows.columns if one not in (*keys, "learning_rate", "seed")]
    means = rows.groupby([*keys, "learning_rate"], sort=False)[numbers].mean().reset_index()
    means["seeds"] = rows.groupby([*keys, "learning_rate"], sort=False).size().to_numpy()
    means = means[means["diverged"] == 0]
    score = means[f"validation_{by}"] * (1 if by == "accuracy" else -1)
    score = score.round(6)  # so that ties of single-precision shares are ties
    means = means.assign(score=score).sort_values(
        ["score", "learning_rate"], ascending=[False, True]
    )
    return means.drop_duplicates(keys).sort_values(keys, key=_in_order).reset_index(drop=True)


def _in_order(column: pd.Series[Any]) -> pd.Series[Any]:
    return column.map(READOUTS.index) if column.name == "readout" else column


def free_from(widths: list[int], upper: list[float]) -> int | None:
    """The least width at and above which all upper bounds of the price are below the margin."""
    found = None
    for h, bound in sorted(zip(widths, upper, strict=True), reverse=True):
        if not bound < MARGIN:
            break
        found = h
    return found


def _settings(rows: pd.DataFrame) -> Iterator[tuple[str, int]]:
    for name in SOURCES:
        for h in sorted(rows.loc[rows["data"] == name, "n_hidden"].unique()):
            yield name, int(h)


def _points(row: Any) -> str:
    return text((row.difference, row.ci_low, row.ci_high), 2)


def _privacy(widths: list[int], rows: list[Any]) -> str:
    """What the tests against a random readout found, width by width."""
    found: dict[str, list[str]] = {}
    for h, row in zip(widths, rows, strict=True):
        kind = str(row.outcome)
        if kind == EFFECT:
            kind = "costs" if row.difference > 0 else "gains"
        found.setdefault(kind, []).append(f"{h}")
    words = {
        "costs": "costs accuracy",
        "gains": "gains accuracy",
        WITHIN: f"makes no difference beyond {MARGIN:g} points",
        INCONCLUSIVE: "shows no conclusive difference",
    }
    said = [
        f"{what} at h = {together(found[kind])}" for kind, what in words.items() if kind in found
    ]
    return together(said)


def _draw_errors(ax: Axes, means: pd.DataFrame) -> None:
    for index, readout in enumerate(READOUTS):
        part = means[means["readout"] == readout].copy()
        high, low = part["test_accuracy_low"], part["test_accuracy_high"]
        part["error"] = 100 * (1 - part["test_accuracy"])
        part["error_low"], part["error_high"] = 100 * (1 - low), 100 * (1 - high)
        x = part["n_hidden"] * 1.04 ** (index - 1)
        _line(ax, x, part, "error", (index, None), f"{readout} readout")
    ax.set_yscale("log")
    _plain_ticks(ax, [2, 5, 10, 20, 50])


def _draw_prices(ax: Axes, means: pd.DataFrame, data: str) -> None:
    import pandas as pd

    pairs = {
        "dense minus private": ("dense", "private"),
        "dense minus random": ("dense", "random"),
        "random minus private": ("random", "private"),
    }
    ax.axhspan(-MARGIN, MARGIN, color="#e4e4e4", lw=0, label=f"±{MARGIN:g} points")
    ax.axhline(0, color="#888888", lw=0.8)
    for index, (what, pair) in enumerate(pairs.items()):
        found = []
        for name, h in _settings(means):
            if name == data:
                gap = 100 * differences(means, data, h, "readout", pair, "test_accuracy")
                one = over_splits(gap, SOURCES[data].overlap)[0]
                found.append({"n_hidden": h} | with_interval("gap", one))
        part = pd.DataFrame(found)
        x = part["n_hidden"] * 1.04 ** (index - 1)
        _line(ax, x, part, "gap", (index + 3, None if index else "#222222"), what)
    ax.set_yscale("symlog", linthresh=1)
    _plain_ticks(ax, [-20, -5, -1, 0, 1, 5, 20])


def _line(
    ax: Axes, x: Any, part: pd.DataFrame, name: str, look: tuple[int, str | None], what: str
) -> None:
    from fastpolysem import plots

    index, color = look
    style: dict[str, Any] = {"ms": 4, "lw": 1.2, "capsize": 2, "label": what}
    style |= plots.look(index) | ({"color": color} if color else {})
    points(ax, x, part, name, **style)


def _plain_ticks(ax: Axes, ticks: list[int]) -> None:
    ax.set_yticks(ticks, [f"{tick}" for tick in ticks])
    ax.minorticks_off()


EXPERIMENT = Classify()
