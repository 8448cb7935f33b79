"""Which features share a neuron if some of them never co-occur?

The companion notebook's last experiment: two blocks of 25 features, one of which is on at a time,
with 13 of its features; untied weights and an output bias. The notebook averages the loss over 100
rows of 50 outputs where `Config` sums it, and a feature is on in 26 % of the rows, so that its l1
of 5e-4 is 192.3 times 5e-4 = 0.096 here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fastpolysem.experiments._base import (
    Fields,
    Presets,
    StudyExperiment,
    labelled,
    told_apart,
    with_interval,
)
from fastpolysem.families.autoencoder.config import Config
from fastpolysem.families.autoencoder.objective import Parameters
from fastpolysem.probes import Column, Probe
from fastpolysem.specs.inputs import CorrelatedBlocks
from fastpolysem.training import TrainingResult

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from fastpolysem.studies import Study


LEAST = 0.5
"""Features share a neuron if the product of encoder and decoder weight is at least this for both.
It is 1 for a feature represented by a single neuron."""

_SETTINGS: dict[str, Any] = {
    "n_features": 50,
    "n_hidden": 50,
    "inputs": CorrelatedBlocks(blocks=2, active=13, batch_size=100),
    "tied": False,
    "bias": True,
    "l1": 0.096,
    "steps": 10_000,
    # 0.2 is the notebook's second initialisation, √(2/51) times the usual standard deviation:
    # PyTorch's Xavier initialisation of a stack (1, 50, 50) uses fans 1 and 50 · 50.
    "init_scale": [1.0, 0.2],
}

PAIRS = (
    "same_block_same_sign",
    "same_block_opposite",
    "other_block_same_sign",
    "other_block_opposite",
)


def _pairs(data: Study, ax: Axes) -> None:
    from fastpolysem import plots, statistics

    place = np.arange(len(PAIRS))
    width = 0.8 / len(data.configs)
    for index, config in enumerate(data.configs):
        values = [_valid(data, config, name) for name in PAIRS]
        height, low, high = np.array([statistics.mean(column) for column in values]).T
        ends = np.array([np.maximum(low, 0), high])
        lost = statistics.mean(data.values(config, "unrepresented")).value / config.n_features
        ax.bar(
            place + (index - (len(data.configs) - 1) / 2) * width,
            height,
            width * 0.9,
            yerr=np.nan_to_num(np.abs(ends - height)),
            capsize=2.5,
            **plots.look(index, "color"),
            label=f"{_label(data, config)}, {len(values[0])} seeds\n({lost:.0%} unrepresented)",
        )
    ax.set_xticks(place, [name.replace("_", " ").replace("block ", "block,\n") for name in PAIRS])
    ax.set_ylim(bottom=0)
    ax.set_xlabel("blocks and signs of the two features")
    ax.set_ylabel("pairs of features on one neuron\n(mean, 95 % interval)")
    ax.legend(frameon=False, fontsize="small", loc="upper left")


def _label(data: Study, config: Config) -> str:
    return ", ".join(told_apart(data)[config]) or "trained"


def _valid(data: Study, config: Config, name: str) -> NDArray[Any]:
    values = data.probed(config, name)
    valid: NDArray[Any] = values[values >= 0]
    return valid


@dataclass(frozen=True)
class SharedNeurons(Probe):
    """Pairs of features that share a neuron, as defined by `LEAST`."""

    name = "correlated"
    columns: ClassVar = {
        **{name: Column("int64", "pairs that share a neuron; -1 if diverged") for name in PAIRS},
        "sharing": Column("int64", "neurons with such a pair; -1 if diverged"),
    }
    arrays: ClassVar = {
        name: Column("float32", f"the {name} (n, m) of seed 0; (0, m) of all others")
        for name in ("encoder", "decoder")
    }

    def __call__(self, result: TrainingResult) -> dict[str, Any]:
        """The columns of `PAIRS`, ``sharing``, and the matrices of seed 0."""
        config, weights = result.config, result.weights
        if isinstance(weights, Parameters):
            encoder = weights.encoder
            decoder = encoder if weights.decoder is None else weights.decoder
        else:
            encoder = decoder = np.asarray(weights)
        own = np.where(encoder * decoder >= LEAST, np.sign(encoder), 0)  # (S, n, m)
        block = np.arange(config.n_features) * config.inputs.blocks // config.n_features
        first, second = np.triu_indices(config.n_features, 1)
        same = block[first] == block[second]
        counts = np.full((len(result), len(PAIRS)), -1)
        sharing = np.full(len(result), -1)
        for seed in np.flatnonzero(~result.diverged):
            products = own[seed, first] * own[seed, second]  # (pairs, m)
            agree, oppose = (products > 0).sum(axis=1), (products < 0).sum(axis=1)
            counts[seed] = [
                side[which].sum() for which in (same, ~same) for side in (agree, oppose)
            ]
            sharing[seed] = ((own[seed] != 0).sum(axis=0) > 1).sum()
        pairs, seeds = dict(zip(PAIRS, counts.T, strict=True)), result.seeds
        shown = {
            name: [each if seed == 0 else each[:0] for seed, each in zip(seeds, part, strict=True)]
            for name, part in (("encoder", encoder), ("decoder", decoder))
        }
        return {**pairs, "sharing": sharing, **shown}


class Correlated(StudyExperiment):
    """Blocks of features that alternate."""

    NAME = "correlated"
    SUMMARY = "Alternate between two blocks of features, and see which features share a neuron."
    FIGURE_SIZE = (11.0, 9.0)
    PROBE = SharedNeurons()
    PRESETS: ClassVar[Presets] = {
        # About a minute and a half on two cores.
        "default": {**_SETTINGS, "seeds": 100},
        # A few seconds.
        "quick": {**_SETTINGS, "seeds": 20},
        # The notebook's.
        "paper": {**_SETTINGS, "seeds": 1},
        # About a quarter of an hour.
        "large": {**_SETTINGS, "seeds": 1000},
    }

    def _expanded(self, settings: Fields, changes: Fields) -> list[Config]:
        configs = super()._expanded(settings, changes)
        for config in configs:
            if not isinstance(config.inputs, CorrelatedBlocks):
                raise ValueError(
                    f"correlated: inputs must be correlated blocks, got {config.inputs!r}"
                )
        return configs

    def table(self, data: Study) -> pd.DataFrame:
        """Means over seeds, one row per configuration.

        ``mean`` with its 95 % interval is the number of shared neurons, followed by the numbers of
        pairs by block and sign with their intervals.
        """
        import pandas as pd

        from fastpolysem import statistics

        table = []
        for config, labels in labelled(data):
            count, sharing = len(data.seeds(config)), _valid(data, config, "sharing")
            row = {**labels, "seeds": count, "diverged": count - len(sharing)}
            row |= with_interval("mean", statistics.mean(sharing), ends="ci")
            for name in PAIRS:
                row |= with_interval(name, statistics.mean(_valid(data, config, name)))
            row["unrepresented"] = statistics.mean(data.values(config, "unrepresented")).value
            row["polysemantic"] = statistics.mean(data.values(config)).value
            row["loss"] = statistics.mean(data.values(config, "loss")).value
            table.append(row)
        return pd.DataFrame(table)

    def rows(self, data: Study) -> pd.DataFrame:
        """One row per seed, with the pairs by block and sign."""
        rows = data.seeds()
        for name in self.PROBE.columns:
            counts = np.concatenate([data.probed(config, name) for config in data.configs])
            rows[name] = np.where(counts < 0, np.nan, counts)
        return rows

    def draw(self, data: Study, ax: Axes | None = None) -> Axes:
        """Heat maps of the first configuration's first seed, and pairs that share neurons in all
        configurations."""
        from fastpolysem import plots

        axes = plots.panels(ax, 2, 2, self.FIGURE_SIZE)
        config = data.configs[0]
        # Zeros if it diverged.
        encoder, decoder = (
            np.nan_to_num(data.probed(config, name, [0])[0], posinf=0, neginf=0)
            for name in ("encoder", "decoder")
        )
        n = config.n_features
        # Neurons sorted by their strongest feature, so that shared ones stand out from a diagonal.
        order = np.argsort(np.abs(encoder * decoder).argmax(axis=0), kind="stable")
        limit = float(np.percentile(np.abs([encoder, decoder]), 99.9))
        for each, matrix, name in (
            (axes[0, 0], encoder, "encoder"),
            (axes[0, 1], decoder, "decoder"),
        ):
            plots.heat_map(matrix[:, order], each, limit=limit or None, label="weight")
            each.set(xlabel="neuron (sorted by strongest feature)", ylabel="feature")
            each.set_title(f"{name}, seed 0, {_label(data, config)}", fontsize="medium")
        plots.heat_map(encoder @ decoder.T, axes[1, 0], label="$W_{enc} W_{dec}^T$")
        axes[1, 0].set(xlabel="output feature", ylabel="input feature")
        axes[1, 0].set_title("contribution of each feature to each output", fontsize="medium")
        size = n // config.inputs.blocks
        for edge in range(size, n, size):
            for each in (axes[0, 0], axes[0, 1], axes[1, 0]):
                each.axhline(edge - 0.5, color="black", lw=0.6)
            axes[1, 0].axvline(edge - 0.5, color="black", lw=0.6)
        _pairs(data, axes[1, 1])
        return ax or axes[0, 0]


EXPERIMENT = Correlated()
