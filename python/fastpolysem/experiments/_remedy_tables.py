"""Markdown tables of the pages on co-occurrence and on the trade-off, from their data."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from fastpolysem.experiments import cooccurrence, tradeoff
from fastpolysem.experiments._answers import OPTIMIZERS, Answers
from fastpolysem.experiments._base import Fields
from fastpolysem.experiments._pages import markdown
from fastpolysem.experiments._verdicts import EFFECT, WITHIN, p_text

WIDTHS = {16: (12, 16, 32), 64: (48, 64, 128), 256: (192, 256, 512)}
"""The widths with remedies, by the number of features."""


def _interval(row: Any, name: str, digits: int = 3) -> str:
    """A value with its interval, nothing if it is unknown."""
    ends = (row[name], row[f"{name}_low"], row[f"{name}_high"])
    if not math.isfinite(row[name]):
        return "—"
    value, low, high = (f"{0.0 if abs(one) < 5e-4 else one:.{digits}g}" for one in ends)
    return f"{value} [{low}, {high}]"


# Co-occurrence.


def _settings_of_cooccurrence(means: pd.DataFrame, chosen: str) -> str:
    is_pairs = means["inputs"].isin(["one-hot", "all pairs"])
    means = means[is_pairs if chosen == "all pairs" else ~is_pairs]
    rows = []
    for _, row in means.iterrows():
        rows.append(
            [
                row["inputs"],
                f"{row['n_features']}",
                f"{row['n_hidden']}",
                f"{row['l1']:g}",
                OPTIMIZERS[row["optimizer"]],
                f"{row['strength']:g}",
                f"{row['companions']:.3g}",
                f"{row['seeds']}",
                _interval(row, "sharing"),
                _interval(row, "relative"),
                f"{row['coupled']:.3g}",
                f"{row['malign']:.2g}",
                f"{row['unrepresented']:.2g}",
                f"{row['loss']:.3g}",
            ]
        )
    head = ["inputs", "n", "m", "λ", "optimiser", "q/λ", "other active features", "seeds"]
    head += ["pairs on one neuron", "share left", "couples on one neuron", "malign"]
    return markdown([*head, "unrepresented", "loss"], rows)


def _axis_of_cooccurrence(data: Answers) -> str:
    rows = []
    for one in cooccurrence.tests_of_axis(data):
        rows.append(
            [
                one["settings"],
                str(one["groups"]),
                f"{one['chi2']:.1f} on {one['freedom']} (p: {p_text(one['p'])})"
                if one["freedom"]
                else "—",
                f"{one['chi2_exponential']:.1f} on {one['freedom_exponential']}"
                if one["freedom_exponential"]
                else "—",
                _interval(one, "rate"),
                _interval(one, "half"),
            ]
        )
    head = ["settings", "curves", "χ² of one common curve", "χ² of exp(-k q/λ)", "k"]
    return markdown([*head, "half left at q/λ"], rows)


def _zipf_of_cooccurrence(data: Answers) -> str:
    rows = []
    for one in cooccurrence.sums_over_pairs(data):
        rows.append(
            [
                f"{one['n_features']}",
                "sampled" if "independent" in one["inputs"] else "fixed",
                f"{one['strength']:g}",
                f"{one['class'] + 1}",
                f"{one['pairs']}",
                f"{one['x']:.3g}",
                _interval(one, "left"),
                f"{one['predicted']:.3g}",
            ]
        )
    head = ["n", "inputs", "mean q/λ", "class", "pairs", "q/λ in it", "share left", "predicted"]
    return markdown(head, rows)


def _sizes_of_cooccurrence(data: Answers) -> str:
    found = {one["settings"]: one for one in cooccurrence.tests_of_axis(data)}
    rows = []
    for n in (16, 32, 64, 256):
        cells = [f"{n}", f"{2 * n}", f"{0.03 * math.sqrt(2 * n):.2g}"]
        for name in OPTIMIZERS.values():
            one = found.get(f"m = 2n, {name}, λ = 0.03, n = {n}")
            if one is None:
                cells += ["—", "—"]
                continue
            cells += [_interval(one, "half"), f"{one['half'] * 0.03 * (n - 1):.2g}"]
        rows.append(cells)
    head = ["n", "m", "λ√m"]
    for name in OPTIMIZERS.values():
        head += [f"{name}: half left at q/λ", "other active features there"]
    return markdown(head, rows)


# Trade-off.


def _gains(own: Answers, means: pd.DataFrame, judged: pd.DataFrame, optimizer: str) -> str:
    """Gain at matched loss and price of each remedy at its primary strength."""
    found: dict[tuple[str, int, int], str] = {}
    tested, parts = list(tradeoff.EXPERIMENT._tested(own)), tradeoff.by_setting(own)
    for row, (_, test) in zip(tested, judged.iterrows(), strict=True):
        if row["optimizer"] != optimizer:
            continue
        beyond = tradeoff.matched(parts, row, "")[1]
        mark = {EFFECT: "**", WITHIN: ""}.get(test["outcome"], "*")
        said = f"{mark}{100 * test['difference']:+.1f}{mark}"
        said += f" ± {50 * (test['ci_high'] - test['ci_low']):.1f}"
        said += f" ({_price(means, row):.3g}{f', {beyond}' if beyond else ''})"
        found[row["remedy"], row["n_features"], row["n_hidden"]] = said
    sizes = [(n, m) for n, widths in WIDTHS.items() for m in widths]
    sizes = [size for size in sizes if any(key[1:] == size for key in found)]
    rows = []
    for name, strength in tradeoff.PRIMARY.items():
        cells = [found.get((name, *size), "—") for size in sizes]
        rows.append([name, f"{strength:g}", "yes" if name == "repulsion" else "no", *cells])
    shown = [f"{n}, {m}" for n, m in sizes]
    return markdown(["remedy", "strength", "knows the features", *shown], rows)


def _price(means: pd.DataFrame, row: Fields) -> float:
    same = (means["n_features"] == row["n_features"]) & (means["optimizer"] == row["optimizer"])
    here = means[same & (means["l1"] == row["l1"])]
    plain = here[here["remedy"] == tradeoff.NONE].set_index("n_hidden")["loss"]
    if row["remedy"] == tradeoff.WIDER:
        return float(plain[2 * row["n_hidden"]] / plain[row["n_hidden"]])
    one = here[(here["remedy"] == row["remedy"]) & (here["strength"] == row["strength"])]
    one = one[one["n_hidden"] == row["n_hidden"]]
    return float(one["loss"].iloc[0] / plain[row["n_hidden"]])


def _settings_of_tradeoff(means: pd.DataFrame, n: int, optimizer: str) -> str:
    means = means[(means["n_features"] == n) & (means["optimizer"] == optimizer)]
    rows = []
    for _, row in means.sort_values(["n_hidden", "remedy", "strength", "l1"]).iterrows():
        treated = row["remedy"] != tradeoff.NONE
        gain = f"{100 * row['gain']:+.1f} ± {50 * (row['gain_high'] - row['gain_low']):.1f}"
        gain += f" ({row['beyond']})" if row["beyond"] else ""
        rows.append(
            [
                f"{row['n_hidden']}",
                f"{row['l1']:g}",
                row["remedy"],
                f"{row['strength']:g}" if treated else "—",
                _interval(row, "alone"),
                f"{row['shared']:.3g}",
                f"{row['unrepresented']:.3g}",
                f"{row['loss']:.3g}",
                f"{row['price']:.3g}" if treated else "—",
                f"{row['price_mixed']:.3g}" if treated else "—",
                gain if treated else "—",
            ]
        )
    head = ["m", "λ", "remedy", "strength", "with a neuron of their own", "shared neurons"]
    head += ["unrepresented", "loss", "times untreated", "... two features on"]
    return markdown([*head, "gain at matched loss, points"], rows)


def of_cooccurrence(data: Answers) -> dict[str, str]:
    """The tables of the page on co-occurrence."""
    means = cooccurrence.EXPERIMENT.table(data)
    return {
        "sizes": _sizes_of_cooccurrence(data),
        "axis": _axis_of_cooccurrence(data),
        "zipf": _zipf_of_cooccurrence(data),
        "all pairs": _settings_of_cooccurrence(means, "all pairs"),
        "other inputs": _settings_of_cooccurrence(means, "others"),
    }


def of_tradeoff(data: Answers) -> dict[str, str]:
    """The tables of the page on the trade-off."""
    rows = data.rows[["n_features", "optimizer"]].drop_duplicates()
    means, judged = tradeoff.EXPERIMENT.table(data), tradeoff.EXPERIMENT.verdict(data).tests
    found = {
        f"gains with {name}": _gains(data, means, judged, key) for key, name in OPTIMIZERS.items()
    }
    for n, optimizer in rows.itertuples(index=False, name=None):
        name = f"n = {n} with {OPTIMIZERS[optimizer]}"
        found[name] = _settings_of_tradeoff(means, n, optimizer)
    return found
