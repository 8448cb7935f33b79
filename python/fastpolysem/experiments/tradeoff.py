"""What does it cost to avoid polysemanticity, and which remedy does so at what price?

A grid of l1, noise and width. At the middle of the grid one remedy at a time is added: an
orthogonal initialisation, schedules of l1, dropout, heavy-tailed noise, a repulsion between
features on the same neuron, and inputs in which features co-occur. Every model is judged by the
share of features that do not share their neuron, and by its loss, without l1 and noise, on inputs
with one feature and on inputs with several.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fastpolysem.experiments._answers import Answers, AutoencoderQuestion, compared_by_seed
from fastpolysem.experiments._base import Fields, Presets, values_of
from fastpolysem.experiments._drawing import bars
from fastpolysem.experiments._meetings import LOSS_MIXED, loss_on_mixed, paired_inputs
from fastpolysem.experiments._verdicts import EFFECT, INCONCLUSIVE, WITHIN, Comparison
from fastpolysem.experiments._weights import trained_weights
from fastpolysem.families.autoencoder.config import Config
from fastpolysem.probes import Column, Probe
from fastpolysem.training import TrainingResult

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


MARGIN = 0.02
"""Largest negligible difference of the share of features with a neuron of their own."""
CONCENTRATED = 0.8
"""A feature is on a neuron if its |weight| there is at least this share of its norm."""
NONE = "none"
_SETTINGS: dict[str, Any] = {
    "n_features": 16,
    "n_hidden": [16, 32, 64],
    "l1": [0.01, 0.03, 0.1],
    "noise_std": [0.0, 0.1],
    "l1_update": "orthant",
    "learning_rate": 4e-3,
    "steps": 2000,
}


def remedies(config: Config) -> dict[str, Config]:
    """A configuration with each of the remedies, by name; times are fractions of its steps."""
    last = config.steps

    def schedule(*points: tuple[float, float]) -> list[tuple[int, float]]:
        """A step function: each factor applies from its time on."""
        pieces: list[tuple[int, float]] = []
        for (time, factor), after in zip(points, [*points[1:], (1.0, 0.0)], strict=True):
            first, end = round(time * last), round(after[0] * last)
            pieces += [(first, factor), (max(first, end - 1), factor)]
        return [point for i, point in enumerate(pieces) if i == 0 or point[0] > pieces[i - 1][0]]

    n = config.n_features
    changes: dict[str, dict[str, Any]] = {
        NONE: {},
        "orthogonal start": {"init": "orthogonal"},
        "l1 warmed up": {"l1_schedule": [(0, 0.0), (last // 2, 1.0)]},
        "l1 in pulses": {
            "l1_schedule": schedule(*((step / 8, float(step % 2 == 0)) for step in range(8)))
        },
        "l1 dropped for a while": {"l1_schedule": schedule((0, 1), (0.25, 0), (0.5, 1))},
        "l1 dropped at the end": {"l1_schedule": schedule((0, 1), (0.75, 0))},
        "dropout": {"dropout": 0.1},
        "Laplace noise": {"noise": "laplace", "noise_std": 0.1},
        "Gaussian noise": {"noise": "gaussian", "noise_std": 0.1},
        "repulsion": {"repulsion": 0.3},
        "features meet": {"inputs": paired_inputs(n, 0.3)},
    }
    return {name: config.replace(**change) for name, change in changes.items()}


def _middle(configs: list[Config]) -> Config:
    """The configuration of the middle width and, in it, the middle l1."""
    widths = sorted({config.n_hidden for config in configs})
    there = [config for config in configs if config.n_hidden == widths[len(widths) // 2]]
    there.sort(key=lambda config: config.l1)
    return there[len(there) // 2]


def _on_front(
    groups: Iterable[pd.DataFrame], losses: str, repeats: int = 200
) -> NDArray[np.float64]:
    """Share of resamples in which no other setting is better in both means."""
    rng = np.random.default_rng(0)
    drawn = []
    for group in groups:
        values = group.loc[~group["diverged"], ["alone", losses]].to_numpy(float)
        if not len(values):
            drawn.append(np.full((repeats, 2), np.nan))
            continue
        picks = rng.integers(len(values), size=(repeats, len(values)))
        drawn.append(values[picks].mean(axis=1))
    alone, loss = np.moveaxis(np.array(drawn), 2, 0)
    better = (alone[np.newaxis] >= alone[:, np.newaxis]) & (loss[np.newaxis] < loss[:, np.newaxis])
    better |= (alone[np.newaxis] > alone[:, np.newaxis]) & (loss[np.newaxis] <= loss[:, np.newaxis])
    result: NDArray[np.float64] = (~better.any(axis=1) & np.isfinite(alone)).mean(axis=1)
    return result


def _points(ax: Axes, means: pd.DataFrame, losses: str, style: dict[str, Any]) -> None:
    x, y = 1 - means["alone"], means[losses]
    yerr = bars(means, losses)
    yerr[0] = np.minimum(yerr[0], y - y / 10)  # a logarithmic axis
    ax.errorbar(x, y, yerr, bars(means, "alone")[::-1], ms=5, lw=1, capsize=2, **style)


@dataclass(frozen=True)
class Alone(Probe):
    """Features with a neuron of their own, and the loss if features co-occur."""

    name = "tradeoff"
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
    """Remedies and their price."""

    NAME = "tradeoff"
    SUMMARY = "Compare loss and polysemanticity, over a grid of settings and for several remedies."
    FIGURE_SIZE = (10.5, 8.5)
    PRESETS: ClassVar[Presets] = {
        # A minute on two cores.
        "default": {**_SETTINGS, "seeds": 200},
        # A few seconds.
        "quick": {**_SETTINGS, "seeds": 60, "n_hidden": 32, "l1": [0.01, 0.03, 0.1]},
        # The page of findings.
        "paper": {**_SETTINGS, "seeds": 1000},
        # An hour.
        "large": {
            **_SETTINGS,
            "seeds": 1000,
            "n_features": 64,
            "n_hidden": [64, 128, 256],
            "steps": 7500,
            "learning_rate": 1e-3,
        },
    }
    PROBE = Alone()
    LABELS = ("n_features", "n_hidden", "l1", "noise_std", "remedy")
    METRICS = (
        *("alone", "shared", "polysemantic", "malign", "loss", "loss_mixed", "unrepresented"),
    )
    METHOD = (
        "Paired t tests of the share of features with a neuron of their own, each remedy against "
        "no remedy at the same seeds"
    )

    def ways(self, settings: Fields, changes: Fields) -> Iterable[Fields]:
        """Without noise, and with noise of each strength."""
        sizes = settings.pop("noise_std")
        for std in values_of(changes.pop("noise_std", sizes)):
            yield {"noise": "rademacher", "noise_std": std} if std else {}

    def _expanded(self, settings: Fields, changes: Fields) -> list[Config]:
        configs = super()._expanded(settings, changes)
        plain = [config for config in configs if config.noise == "none"]
        known = {config.digest for config in configs}
        treated = remedies(_middle(plain)).values() if plain else ()
        return [*configs, *(config for config in treated if config.digest not in known)]

    def labels(self, config: Config) -> dict[str, Any]:
        """Sizes, l1, noise and remedy."""
        kept = ("n_features", "n_hidden", "l1", "l1_update", "learning_rate", "optimizer", "steps")
        bare = Config(**{name: getattr(config, name) for name in kept})
        known = {treated.digest: name for name, treated in remedies(bare).items()}
        remedy = known.get(config.digest, NONE)
        noise_std = config.noise_std if remedy == NONE else 0.0
        return super().labels(config) | {"noise_std": noise_std, "remedy": remedy}

    def table(self, data: Answers) -> pd.DataFrame:
        """Means with 95 % intervals, one row per setting.

        ``alone`` is the share of features with a neuron of their own, and ``shared`` the number of
        neurons on which several features concentrate. ``loss`` and ``loss_mixed`` are without l1
        and noise, on inputs with one feature and with each feature on with probability 1/8.
        ``front`` and ``front_mixed`` are the shares of resamples of the seeds in which a setting is
        on the Pareto front of ``alone`` against these losses.
        """
        means = super().table(data)
        for name, losses in (("front", "loss"), ("front_mixed", "loss_mixed")):
            means[name] = _on_front((group for _, group in self.settings(data.rows)), losses)
        return means

    def tests(self, data: Answers) -> list[Comparison]:
        """Which remedies give more features a neuron of their own?"""
        return [
            compared_by_seed(remedy, treated, without, "alone", MARGIN, relative=False)
            for remedy, treated, without in self._treated(data)
        ]

    def _treated(self, data: Answers) -> Iterator[tuple[str, pd.DataFrame, pd.DataFrame]]:
        """The rows with each remedy, and those of the same setting without one."""
        for setting, group in self.settings(data.valid):
            remedy = setting.pop("remedy")
            if remedy != NONE:
                yield remedy, group, data.where(**setting, remedy=NONE)

    def say(self, data: Answers, outcome: str, judged: pd.DataFrame) -> str:
        """Which remedies help, and what they cost."""
        if outcome == INCONCLUSIVE:
            return f"Whether a remedy gives more features a neuron of their own is {outcome}."
        found: dict[str, list[str]] = {"more": [], "fewer": [], WITHIN: [], INCONCLUSIVE: []}
        shares = []
        for (remedy, treated, without), row in zip(
            self._treated(data), judged.itertuples(), strict=True
        ):
            kind = str(row.outcome)
            if kind == EFFECT:
                kind = "more" if row.difference > 0 else "fewer"
            base = without["loss"].mean()
            price = treated["loss"].mean() / base if base > 0 else np.nan
            share = f"{treated['alone'].mean():.1%}, {price:.3g} times the loss"
            found[kind].append(f"{remedy} ({share})" if kind in ("more", "fewer") else remedy)
            shares.append(without["alone"].mean())
        base_share = np.mean(shares)
        parts = [
            f"{said} {', '.join(found[kind])}"
            for kind, said in (
                ("more", "more do with"),
                ("fewer", "fewer with"),
                (WITHIN, f"no difference beyond {100 * MARGIN:g} points with"),
                (INCONCLUSIVE, "inconclusive with"),
            )
            if found[kind]
        ]
        return (
            f"Without a remedy, {base_share:.1%} of the features have a neuron of their own; "
            f"{'; '.join(parts)}."
        )

    def draw(self, data: Answers, ax: Axes | None = None) -> Axes:
        """The grid's losses against the share of features without a neuron of their own, above
        what each remedy obtains at which loss."""
        from fastpolysem import plots

        means = self.table(data)
        rows = plots.panels(ax, 2, 1, self.FIGURE_SIZE, height_ratios=[1, 1])[:, 0]
        upper = plots.panels(rows[0], 1, 2, self.FIGURE_SIZE, sharex=True)[0]
        for each, (losses, (what, front)) in zip(upper, _LOSSES.items(), strict=True):
            _grid(each, means, losses)
            _front(each, means, losses, front)
            each.set(xlabel=_WITHOUT, ylabel=f"loss, {what}")
            each.set_yscale("log")
        n, count = int(means["n_features"].iloc[0]), int(means["seeds"].min())
        upper[0].set_title(f"n = {n}, {count} seeds, 95 % intervals", fontsize="medium")
        upper[1].legend(
            frameon=False, fontsize="small", loc="center left", bbox_to_anchor=(1.02, 0.5)
        )
        _compare_remedies(rows[1], means, self.FIGURE_SIZE)
        return ax or upper[0]


_WITHOUT = "share of features without a neuron of their own"
_LOSSES = {
    "loss": ("inputs of one feature", "front"),
    "loss_mixed": ("each feature on with probability 1/8", "front_mixed"),
}


def _grid(ax: Axes, means: pd.DataFrame, losses: str) -> None:
    """Settings without a remedy: markers for the width, colours for l1, hollow with noise."""
    from fastpolysem import plots

    ungrouped = means[means["remedy"] == NONE]
    treated = means[means["remedy"] != NONE]
    looks = {"fmt": "+", "color": "#444444", "label": "remedies, see below"}
    _points(ax, treated, losses, looks)
    widths, strengths = (sorted(ungrouped[name].unique()) for name in ("n_hidden", "l1"))
    for (m, l1, std), part in ungrouped.groupby(["n_hidden", "l1", "noise_std"]):
        color = plots.COLORS[strengths.index(l1) % len(plots.COLORS)]
        mark = plots.MARKERS[widths.index(m) % len(plots.MARKERS)]
        look: dict[str, Any] = {"fmt": mark, "color": color, "mec": color, "mew": 1.2}
        _points(ax, part, losses, look | ({"mfc": "white"} if std else {}))
    for l1, color in zip(strengths, plots.COLORS, strict=False):
        ax.plot([], [], "s", color=color, label=f"λ = {l1:g}")
    for m, mark in zip(widths, plots.MARKERS, strict=False):
        ax.plot([], [], mark, color="#444444", label=f"m = {m}")
    if (ungrouped["noise_std"] > 0).any():
        ax.plot([], [], "o", mec="#444444", mfc="white", mew=1.2, label="hollow: with noise")


def _compare_remedies(ax: Axes, means: pd.DataFrame, size: tuple[float, float]) -> None:
    """A row for each remedy, and one for its setting without any."""
    import pandas as pd

    from fastpolysem import plots

    treated = means[means["remedy"] != NONE]
    same = ["n_hidden", "l1"]
    middle = treated[same].drop_duplicates()
    without = means[(means["remedy"] == NONE) & (means["noise_std"] == 0)].merge(middle, on=same)
    shown = pd.concat([without, treated], ignore_index=True)
    names = list(shown["remedy"].replace(NONE, "without a remedy"))
    columns = plots.panels(ax, 1, 3, size, sharey=True)[0]
    places = np.arange(len(shown))
    style: dict[str, Any] = {"fmt": "o", "ms": 5, "capsize": 2.5, "color": plots.COLORS[0]}
    columns[0].errorbar(1 - shown["alone"], places, xerr=bars(shown, "alone")[::-1], **style)
    columns[0].set(xlabel=_WITHOUT.replace("without", "without\n"), xlim=(-0.05, 1.05))
    for each, (losses, (what, _)) in zip(columns[1:], _LOSSES.items(), strict=True):
        lengths = bars(shown, losses)
        lengths[0] = np.minimum(lengths[0], 0.9 * shown[losses])  # a logarithmic axis
        each.errorbar(shown[losses], places, xerr=lengths, **style)
        each.set_xscale("log")
        each.set_xlabel(f"loss, {what.replace(' on ', chr(10) + 'on ')}")
    columns[0].set_yticks(places, names)
    columns[0].set_ylabel("remedy")
    columns[0].set_ylim(len(shown) - 0.4, -0.6)
    for each in columns:
        each.grid(axis="y", color="#DDDDDD", lw=0.6)
        each.set_axisbelow(True)
    if len(middle) == 1:
        m, l1 = middle.iloc[0]
        columns[0].set_title(f"m = {m:g}, λ = {l1:g}", fontsize="medium")


def _front(ax: Axes, means: pd.DataFrame, losses: str, front: str) -> None:
    """The settings on the Pareto front in most resamples, and in nearly all."""
    best = means[means[front] >= 0.5].sort_values("alone")
    ax.step(1 - best["alone"], best[losses], where="pre", color="#222222", lw=1, label="front")
    sure = means[means[front] >= 0.95]
    ring: dict[str, Any] = {"ms": 11, "mfc": "none", "mec": "#222222"}
    ax.plot(1 - sure["alone"], sure[losses], "o", label="on it in 95 % of resamples", **ring)


EXPERIMENT = Tradeoff()
