"""The tables of the page on hidden layers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from fastpolysem.experiments import hidden
from fastpolysem.experiments._answers import Answers, compared_by_seed
from fastpolysem.experiments._pages import ABSENT, cell, estimate, interval, markdown
from fastpolysem.experiments._verdicts import p_text

if TYPE_CHECKING:
    import pandas as pd

_MAIN = (hidden.LINEAR, hidden.RELU)
_LINEAR_LONG = next(iter(hidden.LONGER))


class Means:
    """The experiment's table, with its rows by size, width and arm."""

    def __init__(self, data: Answers) -> None:
        self.data = Answers(hidden.with_shares(data.rows))
        table = hidden.EXPERIMENT.table(data)
        self.table = table.assign(ratio=table["n_hidden"] / table["n_features"])
        self.laws = hidden.laws(data)
        self.sizes = sorted(int(n) for n in self.table["n_features"].unique())

    def row(self, n: int, ratio: float, arm: str) -> pd.Series[Any] | None:
        """The means of one arm, None if it was not run."""
        table = self.table
        here = table[(table["n_features"] == n) & (table["ratio"] == ratio) & (table["arm"] == arm)]
        return here.iloc[0] if len(here) else None

    def mean(self, n: int, ratio: float, arm: str, name: str, digits: int = 3) -> str:
        """A mean with its interval."""
        row = self.row(n, ratio, arm)
        return ABSENT if row is None else interval(row, name, digits, 0)

    def gap(self, n: int, ratio: float, column: str) -> str:
        """ReLU minus linear at the same seeds."""
        where = {"n_features": n, "n_hidden": round(ratio * n), "strength": hidden.STRENGTH}
        relu, linear = (self.data.where(**where, arm=arm) for arm in (hidden.RELU, hidden.LINEAR))
        if not len(relu) or not len(linear):
            return ABSENT
        return estimate(*compared_by_seed("", relu, linear, column, 0, relative=False).difference)

    def law(self, n: int, arm: str, form: str) -> str:
        """The exponent of a form with its p-value."""
        laws = self.laws
        here = laws[(laws["n_features"] == n) & (laws["arm"] == arm) & (laws["form"] == form)]
        if not len(here):
            return ABSENT
        row = here.iloc[0]
        return f"{estimate(row['exponent'], row['low'], row['high'])}, p {p_text(row['p_value'])}"

    def shape(self, n: int, arm: str, shape: str) -> str:
        """Which part of the features in groups is in groups of this shape, at m = n."""
        row = self.row(n, 1.0, arm)
        if row is None or not row["shared_features"]:
            return ABSENT
        return f"{row[shape] / row['shared_features']:.1%}"

    def seeds(self, n: int, arm: str) -> str:
        """The number of seeds at m = n."""
        row = self.row(n, 1.0, arm)
        return ABSENT if row is None else f"{row['seeds']}"


def tables(data: Answers) -> dict[str, str]:
    """All tables, by their names."""
    means = Means(data)
    found = {"sizes": _sizes(means), "widths": _widths(means), "looks": _looks(means)}
    for n in means.sizes:
        found[f"arms {n}"] = _arms(means, n)
        if means.row(n, 1.0, "GELU") is not None:
            found[f"others {n}"] = _others(means, n)
        if any(means.row(n, 1.0, arm) is not None for arm in hidden.TREATED):
            found[f"treated {n}"] = _treated(means, n)
    found["laws"] = _laws(means)
    return found


def _sizes(means: Means) -> str:
    """What holds at each size."""
    relu, linear, groups = hidden.RELU, hidden.LINEAR, "shared_features"
    lines: list[tuple[str, Callable[[int], str]]] = [
        ("seeds", lambda n: means.seeds(n, relu)),
        ("shared use, ReLU minus linear, m = n", lambda n: means.gap(n, 1, "shared_use")),
        ("the same, m = 2n", lambda n: means.gap(n, 2, "shared_use")),
        ("features in groups, ReLU minus linear, m = n", lambda n: means.gap(n, 1, groups)),
        ("the same, m = 2n", lambda n: means.gap(n, 2, groups)),
        ("ReLU, m = n: part of these features in triangles",
         lambda n: means.shape(n, relu, "in_triangles")),
        ("linear, m = n: part in pairs", lambda n: means.shape(n, linear, "in_pairs")),
        ("ReLU: exponent in m/n", lambda n: means.law(n, relu, "exp(m/n)")),
        ("ReLU: power of m", lambda n: means.law(n, relu, "m")),
        ("linear, 16 000 steps: exponent in m/n",
         lambda n: means.law(n, _LINEAR_LONG, "exp(m/n)")),
        ("linear, 16 000 steps: power of m", lambda n: means.law(n, _LINEAR_LONG, "m")),
    ]  # fmt: skip
    head = ["", *(f"n = {n}" for n in means.sizes)]
    return markdown(head, [[name, *map(of, means.sizes)] for name, of in lines])


def _looks(means: Means) -> str:
    """The first looks beside what was found."""
    relu, linear = hidden.RELU, hidden.LINEAR
    few = (1.0, 1.5, 2.0)
    lines: list[tuple[str, int, str, str, tuple[float, ...], str]] = [
        ("tied ReLU, m = n, 1.5n, 2n", 16, relu, "8.1, 0.28, 0", few,
         "disagrees; the independent check below agrees with ours"),
        ("tied ReLU, m = n, 1.5n, 2n, 4n", 32, relu, "15.0 ± 0.5, 2.0 ± 0.3, 0.15, 0", (*few, 4.0),
         "8 % less at m = n: exact zeros (see below)"),
        ("tied ReLU, m = n, 1.5n, 2n", 64, relu, "26.7, 3.2, 0.4", few,
         "6 % less at m = n: exact zeros (see below)"),
        ("tied linear, m = n, 2n", 32, linear, "6.5, 2.9", (1.0, 2.0), ""),
        ("tied ReLU, gradient descent, m = n", 32, "ReLU, SGD", "11.8 ± 0.4", (1.0,), ""),
        ("tied GELU, m = n", 32, "GELU", "10.8", (1.0,), ""),
        ("tied tanh, m = n", 32, "tanh", "6.5", (1.0,), ""),
        ("tied ReLU with biases, m = n", 32, "ReLU, biases", "2.5", (1.0,),
         "less: trained for longer (see below)"),
        ("ReLU untied, from the transpose, m = n", 32, hidden.UNTIED, "1.1", (1.0,), ""),
    ]  # fmt: skip
    rows = []
    for name, n, arm, theirs, ratios, why in lines:
        found = [means.mean(n, ratio, arm, "polysemantic") for ratio in ratios]
        row = means.row(n, 1.0, arm)
        seeds = "" if row is None else row["seeds"]
        rows.append([name, n, theirs, ", ".join(found), seeds, why or "agrees"])
    head = ["polysemantic neurons", "n", "first look", "here", "seeds", ""]
    return markdown(head, rows)


def _widths(means: Means) -> str:
    arms = (hidden.LINEAR, hidden.RELU)
    rows = []
    for n in means.sizes:
        for ratio in hidden.WIDTHS:
            cells = [
                means.mean(n, ratio, arm, name)
                for name in ("shared_use", "shared_features")
                for arm in arms
            ]
            found = [means.row(n, ratio, arm) for arm in arms]
            lost = [cell(row["not_learned"]) for row in found if row is not None]
            rows.append([n, f"{ratio:g}", *cells, ", ".join(lost)])
    head = ["n", "m/n", "shared use, linear", "shared use, ReLU", "features in groups, linear",
            "features in groups, ReLU", "not learned, linear and ReLU"]  # fmt: skip
    return markdown(head, rows)


def _arms(means: Means, n: int) -> str:
    """All arms at m = n."""
    rows = []
    for arm in (*hidden.ARMS, *hidden.BY_SGD):
        row = means.row(n, 1.0, arm)
        if row is None:
            continue
        shapes = [cell(row[name]) for name in ("pairs", "triangles", "larger")]
        rows.append([
            arm, row["seeds"], interval(row, "shared_use", 3, 0), cell(row["chance"], 2),
            interval(row, "shared_features", 3, 0), *shapes, cell(row["neurons_per_concept"]),
            interval(row, "polysemantic", 3, 0), cell(row["not_learned"]), f"{row['loss']:.1e}",
        ])  # fmt: skip
    head = ["hidden layer", "seeds", "shared use", "by chance", "features in groups", "pairs",
            "triangles", "larger", "neurons per concept", "polysemantic", "not learned",
            "loss"]  # fmt: skip
    return markdown(head, rows)


def _brief(means: Means, n: int, arms: Iterable[str], ratios: Iterable[float]) -> str:
    """Some arms at some widths."""
    rows = []
    for arm in arms:
        for ratio in ratios:
            row = means.row(n, ratio, arm)
            if row is None:
                continue
            rows.append([
                arm, f"{ratio:g}", row["seeds"], interval(row, "shared_use", 3, 0),
                interval(row, "shared_features", 3, 0), cell(row["triangles"]),
                cell(row["neurons_per_concept"]), interval(row, "polysemantic", 3, 0),
                cell(row["not_learned"]), f"{row['loss']:.1e}",
            ])  # fmt: skip
    head = ["hidden layer", "m/n", "seeds", "shared use", "features in groups", "triangles",
            "neurons per concept", "polysemantic", "not learned", "loss"]  # fmt: skip
    return markdown(head, rows)


def _others(means: Means, n: int) -> str:
    """Arms but the main ones at the other widths, and those trained for longer."""
    arms = [arm for arm in (*hidden.ARMS, *hidden.BY_SGD) if arm not in _MAIN]
    others = [ratio for ratio in hidden.WIDTHS if ratio != 1]
    first, then = (
        _brief(means, n, some, ratios)
        for some, ratios in ((arms, others), (hidden.LONGER, hidden.WIDTHS))
    )
    return "\n".join([first, *then.splitlines()[2:]])


def _treated(means: Means, n: int) -> str:
    """The second stage beside the main arms."""
    return _brief(means, n, (*_MAIN, *hidden.TREATED), (1.0, 1.5))


def _laws(means: Means) -> str:
    """Forms of the decrease, without those of unfinished training."""
    names = {"m": "power of m", "exp(m/n)": "exponential in m/n"}
    rows = [
        [row["n_features"], row["arm"], names[row["form"]],
         estimate(row["exponent"], row["low"], row["high"]), p_text(row["p_value"])]
        for _, row in means.laws.iterrows() if row["arm"] != hidden.LINEAR
    ]  # fmt: skip
    return markdown(["n", "hidden layer", "form", "exponent", "p of the form"], rows)
