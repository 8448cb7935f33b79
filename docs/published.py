# ruff: noqa: RUF001 - the page is for readers: Greek letters, primes and minus signs
"""The numbers of `published.md`: trains the models behind them and fills in the page.

One file: each table of the page has a function, next to the settings of its models.

python docs/published.py train FOLDER   trains what is missing in FOLDER (many hours in all) and
                                        writes docs/data/published/, the source of all tables
python docs/published.py write          fills in the page's tables
python docs/published.py check          fails if the page differs from the data
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy import stats

from fastpolysem import Study, experiments, plots, statistics, theory
from fastpolysem.experiments import amount, existence, sparsity
from fastpolysem.experiments._pages import markdown, with_tables
from fastpolysem.statistics import Estimate

PAGE = Path(__file__).with_name("published.md")
DATA = Path(__file__).parent / "data" / "published"
IMAGES = Path(__file__).parent / "images"
PAIRED = Path(__file__).parent / "findings" / "optimizers.parquet"
NAMES = {"sgd": "SGD", "adamw": "AdamW"}

# Training ---------------------------------------------------------------------------------------

RUNS: list[tuple[str, str, int, dict[str, Any]]] = [
    # experiment, preset, seeds, changes to the preset
    ("collisions", "paper", 64, {"n_hidden": 512}),
    ("collisions", "paper", 160, {"n_hidden": 1024}),
    ("collisions", "paper", 238, {"n_hidden": 2048}),
    ("curves", "paper", 16, {"n_hidden": 256, "l1": [0.001, 0.01, 0.1]}),
    ("initialisations", "paper", 4, {}),
    ("existence", "paper", 16, {"n_hidden": [32, 64, 128, 256, 512, 1024, 2048]}),
    ("existence", "paper", 1, {"n_hidden": [4096, 8192, 16384, 32768]}),
    (
        "existence",
        "paper",
        1,
        {"n_hidden": [64, 128, 256, 512, 1024, 2048, 4096, 32768], "l1": 0.064, "n_features": 64},
    ),
    ("collisions", "large", 256, {"n_hidden": 256}),
    ("collisions", "large", 512, {"n_hidden": [512, 1024, 2048]}),
    ("collisions", "large", 64, {"n_hidden": [768, 1536, 3072, 4096]}),
    ("initialisations", "large", 32, {}),
    ("existence", "large", 128, {"n_hidden": [32, 64, 128, 256, 512, 1024]}),
    ("existence", "large", 16, {"n_hidden": 2048}),
    ("existence", "large", 8, {"n_hidden": [4096, 8192, 16384, 32768, 65536]}),
    (
        "existence",
        "large",
        8,
        {
            "n_hidden": [64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768, 65536],
            "l1": 0.064,
            "n_features": 64,
        },
    ),
    ("amount", "paper", 8, {"n_hidden": [256, 512, 1024]}),
    ("amount", "large", 8, {"n_hidden": [256, 512, 1024, 2048, 4096]}),
    ("correlated", "paper", 64, {"init_scale": 1.0}),
    ("correlated", "paper", 32, {"init_scale": 0.2}),
    ("noise", "paper", 5, {"noise_std": [0.07, 0.1, 0.15], "noise": "rademacher"}),
    ("noise", "paper", 5, {"noise_std": [0.07, 0.1, 0.15], "noise": "gaussian"}),
    ("noise", "large", 1000, {}),
    ("sparsity", "paper", 20, {}),
    ("sparsity", "large", 1000, {}),
]
"""The runs behind the page, with as many seeds as time allowed."""

SETTING = ["n_features", "n_hidden", "l1", "l1_update", "steps", "seed"]
COUNTS = ["polysemantic", "benign", "malign", "signed_slots", "unrepresented", "dead", "diverged"]


def train(folder: Path) -> None:
    """Train what is missing, and store the columns that the page needs."""
    kept: dict[str, list[pd.DataFrame]] = {}
    for name, preset, seeds, changes in RUNS:
        print(name, preset, seeds, changes, flush=True)
        experiment: Any = experiments.get(name)
        data = experiment.run(preset, seeds=seeds, path=folder / name, **changes)
        for file, frame in KEEP[name](experiment, data):
            kept.setdefault(file, []).append(frame.assign(preset=preset))
    DATA.mkdir(parents=True, exist_ok=True)
    for file, frames in kept.items():
        whole = pd.concat(frames, ignore_index=True)
        if file == "trained":  # models of several experiments, each once
            whole = whole.groupby(SETTING, as_index=False).first()
        whole.to_parquet(DATA / f"{file}.parquet", index=False, compression="zstd")
    draw(folder)


def _trained(experiment: Any, data: Any) -> list[tuple[str, pd.DataFrame]]:
    rows = experiment.rows(data)
    windows = [name for name in rows if name.startswith("polysemantic_")]
    return [("trained", rows[[*SETTING, *COUNTS, "loss", *windows]])]


def _initialisations(experiment: Any, data: Any) -> list[tuple[str, pd.DataFrame]]:
    found = data.seeds()[[*SETTING, *COUNTS, "loss"]]
    columns = []
    for config in data.configs:
        rank, winner = data.probed(config, "rank"), data.probed(config, "winner")
        there = (rank > 0).sum(axis=1)
        columns.append(
            pd.DataFrame(
                {
                    "represented": there,
                    "favourite_wins": (rank == 1).sum(axis=1),
                    "winner": np.nanmean(winner, axis=1),
                    "favourite": data.probed(config, "favourite").mean(axis=1),
                    "opposite_sign": (winner < 0).sum(axis=1),
                    "median_rank": [np.median(one[one > 0]) for one in rank],
                }
            )
        )
    found = found.join(pd.concat(columns, ignore_index=True))
    updates = [config.l1_update for config in data.configs]
    table = experiment.table(data).assign(l1_update=updates)
    return [("trained", found), ("initialisations", table)]


def _noise(experiment: Any, data: Any) -> list[tuple[str, pd.DataFrame]]:
    return [("noise", experiment.table(data))]


def _encoding(experiment: Any, data: Any) -> list[tuple[str, pd.DataFrame]]:
    (one,) = data
    alone = np.where(
        (one.support <= 1).any(axis=1), one.t[(one.support <= 1).argmax(axis=1)], np.nan
    )
    ends = pd.DataFrame({"seed": one.seeds, "end": alone * one.l1})
    return [("sparsity", experiment.table(data)), ("ends", ends)]


def _correlated(experiment: Any, data: Any) -> list[tuple[str, pd.DataFrame]]:
    columns = ["init_scale", "seed", "sharing", *experiment.PAIRS, *COUNTS, "loss"]
    return [("correlated", experiment.rows(data)[columns])]


def draw(folder: Path) -> None:
    """The page's figures."""
    study = Study.open(folder / "collisions")
    figure = Figure(figsize=(6.4, 4.4), layout="constrained")
    plots.save(plots.collisions(study, figure.subplots()), IMAGES / "published-collisions.png")
    experiment = experiments.get("sparsity")
    data = experiment.run("large", path=folder / "sparsity")
    figure = Figure(figsize=experiment.FIGURE_SIZE, layout="constrained")
    plots.save(experiment.draw(data, figure.subplots()), IMAGES / "published-sparsity.png")


KEEP: dict[str, Callable[[Any, Any], list[tuple[str, pd.DataFrame]]]] = {
    "amount": _trained,
    "collisions": _trained,
    "correlated": _correlated,
    "curves": _trained,
    "existence": _trained,
    "initialisations": _initialisations,
    "noise": _noise,
    "sparsity": _encoding,
}

# The page ---------------------------------------------------------------------------------------

NOT_RUN = "not run"
COMPARED = ("published − ours", "difference shown by 16 instances in 80 % of cases")


class Data:
    """The committed data."""

    def __init__(self) -> None:
        self.trained = self.read("trained")
        found = pd.read_parquet(PAIRED)
        self.paired = found[found["way"].isin(NAMES) & ~found["diverged"]]
        """Both optimisers from the same initial weights, with a certified stop."""

    def read(self, name: str) -> pd.DataFrame:
        return pd.read_parquet(DATA / f"{name}.parquet")

    def models(self, **settings: Any) -> pd.DataFrame:
        """Models with these settings that did not diverge; λ is matched up to rounding."""
        found = self.trained[~self.trained["diverged"]]
        for name, value in {"steps": 7500, "l1_update": "subgradient", **settings}.items():
            same = (
                found[name] == value if isinstance(value, str) else np.isclose(found[name], value)
            )
            found = found[same]
        return found.set_index("seed")


def _number(value: float) -> str:
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"


def _shown(estimate: Estimate, seeds: int | None = None) -> str:
    """``value [low, high] (seeds)``."""
    if seeds == 0:
        return NOT_RUN
    text = f"{_number(estimate.value)} [{_number(estimate.low)}, {_number(estimate.high)}]"
    return text if seeds is None else f"{text} ({seeds})"


def _mean(values: Any, most: float | None = None) -> str:
    """Mean of values between 0 and ``most``; a single run is shown without an interval."""
    values = np.asarray(values, dtype=float)
    if len(values) == 1:
        return f"{values[0]:g} (1)"
    return _shown(statistics.mean(values, bounds=(0, most)), len(values))


def _ratio(values: Any, law: float) -> str:
    return _shown(statistics.mean(np.asarray(values, dtype=float)).scaled(1 / law))


def _compared(published: float, instances: int, values: Any) -> list[str]:
    """The published mean of so many instances minus ours, with its 95 % interval, and the
    difference that they would show in 80 % of the cases, both relative to ours."""
    values = np.asarray(values, dtype=float)
    if len(values) < 2:
        return ["", ""]
    mean, freedom = values.mean(), len(values) - 1
    error = np.sqrt(values.var(ddof=1) * (1 / instances + 1 / len(values))) / mean
    gap, half = published / mean - 1, stats.t.isf(0.025, freedom) * error
    detected = (stats.t.isf(0.025, freedom) + stats.t.isf(0.2, freedom)) * error
    ends = [f"{100 * end:+.0f}" for end in (gap, gap - half, gap + half)]
    return [f"{ends[0]} [{ends[1]}, {ends[2]}] %", f"{100 * detected:.0f} %"]


def collisions(data: Data) -> str:
    widths = (256, 512, 768, 1024, 1536, 2048, 3072, 4096)
    published = dict(zip(widths, (72.2, 23.8, 13.7, 10.1, 8.2, 5.4, 3.8, 3.8), strict=True))
    rows = []
    for m, theirs in published.items():
        paper = data.models(n_features=256, n_hidden=m, l1=1e-3)["polysemantic"]
        large = data.models(n_features=256, n_hidden=m, l1=1e-3, l1_update="orthant")
        large = large["polysemantic"]
        law = float(theory.collision_law(256, m))
        ratio = ["" if len(one) < 2 else _ratio(one, law) for one in (paper, large)]
        gap = _compared(theirs, 16, paper if len(paper) > 16 else large)
        rows.append([m, theirs, _mean(paper), _mean(large), _number(law), *ratio, *gap])
    head = [
        "m", "published (16)", "ours, subgradient", "ours, orthant", "n²/4m",
        "ratio to n²/4m, subgradient", "ratio to n²/4m, orthant", *COMPARED,
    ]  # fmt: skip
    return markdown(head, rows)


def dispersions(data: Data) -> str:
    rows = []
    for update in ("subgradient", "orthant"):
        for m in (512, 1024, 2048):
            models = data.models(n_features=256, n_hidden=m, l1=1e-3, l1_update=update)
            counts = models["polysemantic"].to_numpy(dtype=float)
            if len(counts) < 16:
                continue
            ours = statistics.dispersion(counts, 256, m)
            rows.append(
                [
                    update, m, _shown(ours.index, len(counts)), f"{ours.poisson_p:.2g}",
                    _number(ours.null_index), f"{ours.null_p:.2g}",
                ]
            )  # fmt: skip
    head = [
        "l1 update", "m", "variance / mean", "p (Poisson, ratio 1)",
        "variance / mean, null model", "p (null model)",
    ]  # fmt: skip
    return markdown(head, rows)


def curves(data: Data) -> str:
    rows = []
    for l1, theirs in ((1e-3, 71), (1e-2, 68), (1e-1, 53)):
        models = data.models(n_features=256, n_hidden=256, l1=l1)
        counts = models["polysemantic"]
        spread = NOT_RUN
        if len(counts):
            spread = "{:.3g} to {:.3g}".format(*np.percentile(counts, (15, 85)))
        rows.append(
            [
                f"{l1:g}", f"about {theirs}", _mean(counts), spread,
                _mean(models["unrepresented"], 256), *_compared(theirs, 16, counts),
            ]
        )  # fmt: skip
    head = [
        "λ", "published", "ours", "15th to 85th percentile, ours", "unrepresented features",
        *COMPARED,
    ]  # fmt: skip
    return markdown(head, rows)


def orthant(data: Data) -> str:
    rows = []
    for m in (256, 512, 1024, 2048, 4096):
        both = [
            data.models(n_features=256, n_hidden=m, l1=1e-3, l1_update=update)["polysemantic"]
            for update in ("subgradient", "orthant")
        ]
        shared = both[0].index.intersection(both[1].index)
        if len(shared) < 2:
            continue
        first, second = (one.loc[shared].to_numpy(dtype=float) for one in both)
        found = statistics.compare(second, first, paired=True)
        same = np.corrcoef(first, second)[0, 1]
        rows.append(
            [
                m, len(shared), _number(first.mean()), _number(second.mean()),
                _shown(found.difference), f"{found.p_value:.2g}", f"{found.effect_size:.2f}",
                f"{same:.2f}",
            ]
        )  # fmt: skip
    head = [
        "m", "common seeds", "subgradient", "orthant", "orthant − subgradient", "p (paired)",
        "effect size", "correlation",
    ]  # fmt: skip
    return markdown(head, rows)


def starts(data: Data) -> str:
    expected = float(theory.initial_maximum(4096))
    tables = data.read("initialisations")
    rows = []
    quantities = (
        ("diagonal of the mean W_start W_endᵀ (initial weight of the winner)",
         "about 0.03", "winner"),
        ("diagonal if the largest initial weight always won",
         f"0.059 (theory: {expected:.4f})", "favourite"),
    )  # fmt: skip
    models = {
        update: data.models(n_features=256, n_hidden=4096, l1=1e-3, l1_update=update)
        for update in ("subgradient", "orthant")
    }
    for name, theirs, column in quantities:
        ours = [_mean(one[column].dropna()) for one in models.values()]
        rows.append([name, theirs, *ours])
    off = []
    for update in models:
        largest = tables.loc[tables["l1_update"] == update, ["off_diagonal", "seeds"]]
        off.append(
            f"{largest.iloc[-1, 0]:.3g} ({largest.iloc[-1, 1]})" if len(largest) else NOT_RUN
        )
    rows.insert(
        1, ["largest off-diagonal entry of the mean, absolute value", "within ±0.015", *off]
    )
    ranks = [
        _number(one["median_rank"].median()) if one["median_rank"].notna().any() else NOT_RUN
        for one in models.values()
    ]
    for name, column in (
        ("share of features whose largest initial weight wins", "favourite_wins"),
        ("share of winners that changed sign", "opposite_sign"),
    ):
        rows.append([name, "not reported", *(_share(one, column) for one in models.values())])
    rows.append(["median rank of the winner among 4096", "not reported", *ranks])
    return markdown(["", "published (16)", "ours, subgradient", "ours, orthant"], rows)


def _share(models: pd.DataFrame, column: str) -> str:
    """Share of the represented features, pooled over seeds."""
    known = models.dropna(subset="represented")
    if not len(known):
        return NOT_RUN
    share = statistics.proportion(
        int(known[column].sum()), int(known["represented"].sum()), method="exact"
    )
    return _shown(share, len(known))


def noise(data: Data) -> str:
    published = {
        ("rademacher", 0.15): ("0.78", "1.5·10³"),
        ("rademacher", 0.1): ("0.79", "6·10³"),
        ("rademacher", 0.07): ("0.32", "3·10⁴"),
        ("gaussian", 0.15): ("near 0.16", "never"),
        ("gaussian", 0.1): ("near 0.16", "never"),
        ("gaussian", 0.07): ("near 0.16", "never"),
    }
    table = data.read("noise")
    rows = []
    for (kind, std), (norm, start) in published.items():
        row = [kind, f"{std:g}", norm]
        for preset in ("paper", "large"):
            ours = _one(table, preset=preset, noise=kind, noise_std=std)
            row.append(_fourth_norm(ours))
        row.append(start)
        for preset in ("paper", "large"):
            ours = _one(table, preset=preset, noise=kind, noise_std=std)
            row.append(_take_off(ours))
        rows.append(row)
    head = [
        "noise", "σ", "fourth norm: published (5)", "ours, paper", "ours, large",
        "take-off: published", "ours, paper", "ours, large",
    ]  # fmt: skip
    return markdown(head, rows)


def _one(table: pd.DataFrame, **settings: Any) -> pd.Series[Any] | None:
    for name, value in settings.items():
        table = table[table[name] == value]
    return table.iloc[0] if len(table) else None


def _fourth_norm(row: Any) -> str:
    if row is None:
        return NOT_RUN
    return _shown(Estimate(row["fourth_norm"], row["norm_low"], row["norm_high"]), row["seeds"])


def _take_off(row: Any) -> str:
    if row is None:
        return NOT_RUN
    low, high = (
        f"{x:.0f}" if np.isfinite(x) else "never" for x in row[["take_off_low", "take_off_high"]]
    )
    value = f"{row['take_off']:.0f}" if np.isfinite(row["take_off"]) else "never"
    return value if low == high == value else f"{value} [{low}, {high}]"


def noise_counts(data: Data) -> str:
    table = data.read("noise")
    rows = []
    for _, row in table[table["preset"] == "large"].sort_values(["kurtosis", "noise"]).iterrows():
        rows.append(
            [
                row["noise"].replace("_", " "), f"{row['kurtosis']:.3g}", f"{row['noise_std']:g}",
                row["seeds"], _fourth_norm(row).rsplit(" (", 1)[0], _take_off(row),
                _shown(Estimate(row["mean"], row["ci_low"], row["ci_high"])),
                _shown(Estimate(row["signed_slots"], row["slots_low"], row["slots_high"])),
                f"{row['unrepresented']:.3g}",
            ]
        )  # fmt: skip
    null = float(theory.null_mean(8, 16))
    head = [
        "noise", "excess kurtosis", "σ", "seeds", "fourth norm", "take-off", "polysemantic",
        f"shared neurons (null model {null:.3f})", "unrepresented (of 8)",
    ]  # fmt: skip
    return markdown(head, rows)


def sparsification(data: Data) -> str:
    rows = []
    table, ends = data.read("sparsity"), data.read("ends")
    for preset in ("paper", "large"):
        ours = table[table["preset"] == preset]
        if not len(ours):
            continue
        many = ours[(ours["support"] >= sparsity.LEAST) & (ours["t"] > 0)]
        later = many[many["t"] > 0.03 / many["l1"]]
        off = 1 / later["published"]
        worst = many["corrected"] - 1
        worst = worst.loc[worst.abs().idxmax()]
        seeds = int(ours["seeds"].iloc[0])
        end = ends.loc[ends["preset"] == preset, "end"].dropna()
        rows.append(
            [
                preset, seeds, f"{off.min():.2f} to {off.max():.2f}", f"{100 * worst:+.2g} %",
                _shown(statistics.mean(end)),
                f"{end.quantile(0.05):.2g} to {end.quantile(0.95):.2g}",
            ]
        )  # fmt: skip
    head = [
        "", "seeds", "mean m′ / published law (published: 2.5 to 2.7)",
        f"corrected law / mean m′ − 1, largest deviation where m′ ≥ {sparsity.LEAST}",
        "λt at which the last but one weight vanishes (published: about 1.3)",
        "5th to 95th percentile of seeds",
    ]  # fmt: skip
    return markdown(head, rows)


def found(data: Data) -> str:
    rows = []
    for m, theirs in existence.PUBLISHED.items():
        settings: dict[str, Any] = {"n_features": 32, "n_hidden": m, "l1": 0.032, "steps": 10_000}
        rows.append([m, theirs, *_several(data, settings, theirs)])
    head = [
        "m", "published (1)", "ours, seed 0", "ours, mean", "ours, orthant", "n²/4m",
        "unrepresented (of 32)", "seeds at least as extreme",
    ]  # fmt: skip
    return markdown(head, rows)


def _several(data: Data, settings: dict[str, Any], theirs: int) -> list[str]:
    models, large = data.models(**settings), data.models(**settings, l1_update="orthant")
    counts, exact = models["polysemantic"], large["polysemantic"]
    every = exact if len(exact) > len(counts) else counts
    tail = min((every <= theirs).sum(), (every >= theirs).sum())
    return [
        str(counts.get(0, NOT_RUN)), _mean(counts), _mean(exact),
        _number(float(theory.collision_law(settings["n_features"], settings["n_hidden"]))),
        _mean((large if every is exact else models)["unrepresented"], settings["n_features"]),
        f"{tail} of {len(every)}" if len(every) > 1 else "",
    ]  # fmt: skip


def collapse(data: Data) -> str:
    rows = []
    for m in (2**k for k in range(6, 17)):
        settings: dict[str, Any] = {"n_features": 64, "n_hidden": m, "l1": 0.064, "steps": 10_000}
        row = [m, "collapsed" if m >= 2**15 else "not collapsed"]
        for update in ("subgradient", "orthant"):
            models = data.models(**settings, l1_update=update)
            row += [_mean(models["polysemantic"]), _mean(models["unrepresented"], 64)]
        rows.append([*row, f"{theory.initial_maximum(m):.4f}"])
    head = [
        "m", "published (1)", "polysemantic, subgradient", "unrepresented (of 64), subgradient",
        "polysemantic, orthant", "unrepresented (of 64), orthant",
        "mean largest initial weight (λ/4 = 0.016)",
    ]  # fmt: skip
    return markdown(head, rows)


def _range(seeds: Sequence[int]) -> str:
    least, most = min(seeds), max(seeds)
    return f"{least}" if least == most else f"{least} to {most}"


def slopes(data: Data) -> str:
    rows = []
    for update in ("subgradient", "orthant"):
        for least, window in ((256, amount.RULE), (512, 0.05), (512, amount.RULE), (512, 0.5)):
            points, seeds = [], []
            for m in range(least, 4097, 256):
                models = data.models(
                    n_features=256, n_hidden=m, l1=0.0128, steps=10_000, l1_update=update
                )
                counts = models[f"polysemantic_{window:g}"].dropna().to_numpy(dtype=float)
                if len(counts) > 3 and counts.std() > 0:
                    points.append((m, counts.mean(), counts.std(ddof=1) / np.sqrt(len(counts))))
                    seeds.append(len(counts))
            if len(points) < 3:
                continue
            fit = statistics.power_law(*zip(*points, strict=True), seeds=seeds)
            widths = ", ".join(str(point[0]) for point in points)
            rows.append(
                [
                    update, f"1 ± {window:g}", widths, _range(seeds),
                    _shown(fit.exponent), f"{fit.p_value:.2g}", f"{fit.r_squared:.3f}",
                ]
            )  # fmt: skip
    head = [
        "l1 update", "window", "m", "seeds per point", "slope (published: −1.125, law: −1)",
        "p (goodness of fit)", "R²",
    ]  # fmt: skip
    return markdown(head, rows)


def slope_tests(data: Data) -> str:
    """Is the slope -1? Counts of the collisions (AdamW), and of both optimisers at n = 64."""
    rows = []
    series = {"AdamW, n = 256, λ = 0.001": _collision_points(data)}
    for way in ("sgd", "adamw"):
        models = data.paired[(data.paired["way"] == way) & (data.paired["l1"] == 0.003)]
        points = []
        for m, one in models.groupby("n_hidden"):
            points.append((64, int(m), one["polysemantic"].to_numpy(dtype=float)))
        series[f"{NAMES[way]}, n = 64, λ = 0.003"] = points
    for name, points in series.items():
        for least in (2, 4):
            some = [(m, values) for n, m, values in points if m >= least * n]
            x = np.log([m for m, _ in some])
            y = np.array([values.mean() for _, values in some])
            error = np.array([values.std(ddof=1) / np.sqrt(len(values)) for _, values in some])
            weight = (y / error) ** 2
            level = np.average(np.log(y) + x, weights=weight)
            square = float(np.sum(weight * (np.log(y) + x - level) ** 2))
            free = statistics.power_law(np.exp(x), y, error)
            rows.append(
                [
                    name, f"m ≥ {least}n", ", ".join(str(m) for m, _ in some),
                    f"{square:.0f} on {len(x) - 1}", f"{stats.chi2.sf(square, len(x) - 1):.1g}",
                    _shown(free.exponent), f"{free.chi_square:.0f} on {free.degrees_of_freedom}",
                    f"{free.p_value:.1g}",
                ]
            )  # fmt: skip
    head = [
        "counts", "range", "m", "χ² of slope −1", "p", "free slope", "χ² of the free slope", "p",
    ]  # fmt: skip
    return markdown(head, rows)


def _collision_points(data: Data) -> list[tuple[int, int, Any]]:
    points = []
    for m in (256, 512, 768, 1024, 1536, 2048, 3072, 4096):
        models = data.models(n_features=256, n_hidden=m, l1=1e-3, l1_update="orthant")
        points.append((256, m, models["polysemantic"].to_numpy(dtype=float)))
    return points


def descent(data: Data) -> str:
    """Counts and favourites under gradient descent and AdamW from the same initial weights."""
    rows = []
    for (n, m, l1), part in data.paired.groupby(["n_features", "n_hidden", "l1"], sort=False):
        arms = {way: one.set_index("seed") for way, one in part.groupby("way")}
        if not {"sgd", "adamw"} <= arms.keys():
            continue
        both = arms["sgd"].index.intersection(arms["adamw"].index)
        sgd, adamw = (arms[way].loc[both, "polysemantic"].astype(float) for way in ("sgd", "adamw"))
        gap = statistics.compare(adamw, sgd, paired=True).difference
        shares = []
        for way in ("sgd", "adamw"):
            one = arms[way]
            share = one["favourites"].sum() / one["features"].sum()
            shares.append(f"{100 * share:.1f} %")
        rows.append(
            [
                n, m, f"{l1:g}", f"{l1 * m**0.5:.2g}", len(sgd),
                _number(float(theory.collision_law(n, m))),
                _shown(statistics.mean(sgd, bounds=(0, None))),
                _shown(statistics.mean(adamw, bounds=(0, None))), _shown(gap), *shares,
                _number(max(arms[way]["unrepresented"].mean() for way in arms)),
            ]
        )  # fmt: skip
    head = [
        "n", "m", "λ", "λ√m", "seeds", "n²/4m", "SGD", "AdamW", "AdamW − SGD",
        "largest initial weight wins, SGD", "AdamW", "unrepresented, at most",
    ]  # fmt: skip
    return markdown(head, rows)


def amounts(data: Data) -> str:
    rows = []
    for m in (256, 512, 1024, 2048, 4096):
        settings: dict[str, Any] = {"n_features": 256, "n_hidden": m, "l1": 0.0128, "steps": 10_000}
        paper, large = data.models(**settings), data.models(**settings, l1_update="orthant")
        law = float(theory.collision_law(256, m))
        some = paper if len(paper) else large
        ratio = _ratio(some["polysemantic"], law) if len(some) > 1 else ""
        rows.append(
            [
                m, _mean(paper["polysemantic"]), _mean(large["polysemantic"]), _number(law), ratio,
                _mean(some["unrepresented"], 256),
            ]
        )  # fmt: skip
    head = ["m", "ours, subgradient", "ours, orthant", "n²/4m", "ratio to n²/4m", "unrepresented"]
    return markdown(head, rows)


def correlated(data: Data) -> str:
    rows = []
    table = data.read("correlated")
    names = {
        "sharing": "neurons shared by features",
        "other_block_opposite": "pairs in different blocks, opposite signs",
        "other_block_same_sign": "pairs in different blocks, same sign",
        "same_block_opposite": "pairs in one block, opposite signs",
        "same_block_same_sign": "pairs in one block, same sign",
        "unrepresented": "unrepresented features (of 50)",
    }
    theirs = {
        "other_block_opposite": "features that never co-occur share neurons with opposite signs"
    }
    for column, name in names.items():
        most = 50 if column == "unrepresented" else None
        ours = [
            _mean(table.loc[table["init_scale"] == scale, column], most) for scale in (1.0, 0.2)
        ]
        rows.append([name, theirs.get(column, "not counted"), *ours])
    return markdown(
        ["", "published (1)", "ours, normal initialisation", 'ours, their "xavier" initialisation'],
        rows,
    )


BLOCKS: dict[str, Callable[[Data], str]] = {
    one.__name__: one
    for one in (
        collisions, dispersions, curves, orthant, starts, noise, noise_counts, sparsification,
        found, collapse, slopes, amounts, correlated, descent, slope_tests,
    )
}  # fmt: skip


def filled(page: str) -> str:
    """The page with the tables of its data."""
    data = Data()
    return with_tables(page, {name: partial(table, data) for name, table in BLOCKS.items()})


def main(words: Sequence[str]) -> int:
    match list(words):
        case ["train", folder]:
            train(Path(folder))
        case ["write"]:
            PAGE.write_text(filled(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
        case ["check"]:
            page = PAGE.read_text(encoding="utf-8")
            if filled(page) != page:
                print(f"{PAGE} is not what {DATA} says: run `python docs/published.py write`")
                return 1
        case _:
            print(__doc__)
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
