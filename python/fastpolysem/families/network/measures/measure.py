"""Measuring trained networks: which concepts use which neurons."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastpolysem import _checks
from fastpolysem._native import core
from fastpolysem.families.base import Arrays
from fastpolysem.families.network.config import NetworkConfig
from fastpolysem.families.network.lowering import core_settings
from fastpolysem.families.network.measures import concepts as _concepts
from fastpolysem.families.network.measures import formulas
from fastpolysem.families.network.measures.concepts import Concepts
from fastpolysem.families.network.objective import (
    Batch,
    NetworkParameters,
    checked_targets,
    forward,
    stacked,
    unpack,
)
from fastpolysem.specs.inputs import as_batch

Floats = NDArray[np.float64]

_AT_ONCE = 2**23
"""Numbers that responses take at once."""


def _weighted_number(rises: Floats) -> Floats:
    """(...) effective concepts per neuron of (..., K, C) rises, weighted by use."""
    number = formulas.effective_concepts(rises)
    return np.asarray((formulas.neuron_weights(rises) * number).sum(axis=-1))


class _Rows(NamedTuple):
    """What is measured: rows and networks as the core takes them."""

    n_inputs: int
    batch: Batch
    targets: NDArray[Any] | None
    arrays: Arrays
    single: bool

    @property
    def inputs(self) -> Floats:
        """(B, d_0)"""
        indptr, indices, values = self.batch
        dense = np.zeros((len(indptr) - 1, self.n_inputs))
        dense[np.repeat(np.arange(len(dense)), np.diff(indptr)), indices] = values
        return dense

    def use(self, config: NetworkConfig, concepts: Concepts, held: list[list[int]]) -> Any:
        """Rises and losses from the core, without the axis S for one network."""
        found = core.network_use(
            core_settings(config),
            self.arrays,
            self.batch,
            self.targets,
            (concepts.indptr, concepts.indices, concepts.output),
            held,
        )
        if self.single:
            found["loss"] = found["loss"][0]
            for name in ("rises", "means"):
                found[name] = [layer[0] for layer in found[name]]
        return found

    def networks(self, config: NetworkConfig, at_once: int) -> Iterator[NetworkParameters]:
        """Stacks of so many, one after the other."""
        for first in range(0, len(self.arrays["weights_1"]), at_once):
            chosen = slice(first, first + at_once)
            yield unpack(config, {name: array[chosen] for name, array in self.arrays.items()})


@dataclass(frozen=True, eq=False, repr=False)
class Measures:
    """Which concepts use which neurons, of S networks, or of one without the axis S.

    ``print`` gives a sentence, a notebook shows a table of the layers, and `plot` draws the use of
    every neuron. See `fastpolysem.measures` for the formulas.
    """

    config: NetworkConfig
    concepts: Concepts
    """The concepts that were measured, with C names."""
    rises: tuple[Floats, ...]
    """For each hidden layer (S, K, C): by how much the loss of a concept, on the rows in which it
    holds, rises when the neuron is set to its mean; nan for concepts that hold in no row, and
    for networks whose outputs overflow."""
    means: tuple[Floats, ...]
    """For each hidden layer (S, K) mean activations."""
    loss: Floats
    """(S, C) loss of each concept, on the rows in which it holds; nan if there are none."""
    constant_loss: Floats
    """(C,) the same for the constant output that is best over all rows."""
    rows: _Rows
    """The rows and networks on which the measures are based."""

    @property
    def learned(self) -> NDArray[np.bool_]:
        """(S, C) whether the loss of a concept is at most half of the constant output's."""
        at_most = formulas.NOT_LEARNED_ABOVE * self.constant_loss
        learned: NDArray[np.bool_] = self.loss <= at_most
        return learned

    @property
    def not_learned(self) -> NDArray[np.int64]:
        """(S,) number of concepts that were not learned, of those that hold in some row."""
        return np.asarray((~self.learned & self._occur).sum(axis=-1))

    @property
    def _occur(self) -> NDArray[np.bool_]:
        """(C,) whether a concept holds in some row."""
        return ~np.isnan(self.constant_loss)

    @property
    def _overflowed(self) -> NDArray[np.bool_]:
        """(S,) networks without rises, because their outputs overflow."""
        missing = np.isnan(self.rises[0][..., self._occur])
        return np.asarray(missing.any(axis=(-1, -2)))

    def _over_layers(self, formula: Any) -> Floats:
        """Of each hidden layer, (layers, S); nan for networks that overflow."""
        each = np.stack([formula(rises) for rises in self.rises])
        return np.where(self._overflowed, np.nan, each)

    def shared_use_of_layers(self, ratio: float = formulas.SHARED_FROM) -> Floats:
        """(layers, S) share of all use of a layer that falls on shared neurons."""
        return self._over_layers(lambda rises: formulas.shared_use(rises, ratio))

    @property
    def shared_use(self) -> Floats:
        """(S,) mean of that over hidden layers."""
        return np.asarray(self.shared_use_of_layers().mean(axis=0))

    @property
    def effective_concepts(self) -> Floats:
        """(S,) effective concepts per neuron, weighted by use; mean over layers."""
        return np.asarray(self._over_layers(_weighted_number).mean(axis=0))

    @property
    def neurons_per_concept(self) -> Floats:
        """(S,) effective neurons per concept, weighted by use; mean over layers."""

        def of_concepts(rises: Floats) -> Floats:
            return _weighted_number(np.swapaxes(rises, -1, -2))

        return np.asarray(self._over_layers(of_concepts).mean(axis=0))

    def served(self, layer: int) -> NDArray[np.bool_]:
        """(S, K, C) whether neurons of a hidden layer, counted from 1, serve concepts."""
        rises = self.rises[self._index("served", layer)]
        return formulas.served(rises, self.loss, self.constant_loss)

    def _index(self, where: str, layer: int) -> int:
        bounds = (">=", 1), ("<=", len(self.rises))
        return _checks.integer(f"{where}: layer", layer, *bounds) - 1

    def _count(self, least: int) -> NDArray[np.int64]:
        layers = range(1, len(self.rises) + 1)
        counts = [(self.served(k).sum(axis=-1) >= least).sum(axis=-1) for k in layers]
        return np.asarray(np.sum(counts, axis=0))

    @property
    def serving(self) -> NDArray[np.int64]:
        """(S,) hidden neurons that serve a concept."""
        return self._count(1)

    @property
    def polysemantic(self) -> NDArray[np.int64]:
        """(S,) hidden neurons that serve two or more; not to be compared across widths."""
        return self._count(2)

    def chance(self, seed: int = 0) -> Floats:
        """(S,) `shared_use` when each concept's use is permuted over the neurons of a layer.

        This preserves how many neurons each concept uses and how much, and destroys the sharing.
        """
        generator = np.random.default_rng(_checks.integer("chance: seed", seed, (">=", 0)))
        return np.asarray(
            self._over_layers(
                lambda rises: formulas.shared_use(formulas.permuted(rises, generator))
            ).mean(axis=0)
        )

    def responses(self, layer: int) -> Floats:
        """How neurons of a hidden layer respond to concepts.

        For features of sampled inputs and of the basis, a paired intervention: the mean, over the
        rows with the feature, of the activation minus that with the feature set to 0 and all else
        unchanged. For other concepts, the mean over the rows in which they hold minus the mean over
        the others, which includes effects of anything that co-occurs with them; for concepts that
        hold in all rows, the mean itself.

        Parameters
        ----------
        layer
            Hidden layer, counted from 1.

        Returns
        -------
        (S, K, C) float64; nan for concepts that hold in no row.
        """
        at = self._index("responses", layer)
        table, inputs = self.concepts.table, self.rows.inputs
        at_once = max(1, _AT_ONCE // (len(inputs) * sum(self.config.widths)))
        parts = []
        for networks in self.rows.networks(self.config, at_once):
            base = forward(networks, self.config, inputs, layers=True)[at].astype(np.float64)
            found = np.full((*base[:, 0].shape, table.shape[1]), np.nan)
            for i in np.flatnonzero(self._occur):
                on, feature = table[:, i], self.concepts.features[i]
                off: Any = 0.0
                if feature >= 0:
                    without = inputs[on].copy()
                    without[:, feature] = 0
                    off = forward(networks, self.config, without, layers=True)[at]
                    off = off.mean(axis=-2, dtype=float)
                elif not on.all():
                    off = base[:, ~on].mean(axis=-2)
                found[..., i] = base[:, on].mean(axis=-2) - off
            parts.append(found)
        stack = np.concatenate(parts)
        return stack[0] if self.rows.single else stack

    def backed_up(self, layer: int, halves: int = 8, seed: int = 0) -> Floats:
        """Rises when a random half of the other neurons of the layer is already at its mean.

        Switching off a neuron with a perfect backup does not raise the loss by itself, but does if
        the backup is switched off as well. This resembles the neuron's Banzhaf value, computed over
        halves of the other neurons instead of all their subsets.

        Parameters
        ----------
        layer
            Hidden layer, counted from 1.
        halves
            Approximate number of halves with which each neuron is tested.
        seed
            Seed of their choice.

        Returns
        -------
        (S, K, C) float64
        """
        at = self._index("backed_up", layer)
        count = _checks.integer("backed_up: halves", halves, (">=", 2))
        generator = np.random.default_rng(_checks.integer("backed_up: seed", seed, (">=", 0)))
        width = self.config.widths[layer]
        total, tried = np.zeros_like(self.rises[at]), np.zeros(width)
        half = np.arange(width) < width // 2
        for _ in range(count):
            held = generator.permutation(half)
            for own in (held, ~held):  # every neuron is outside of one of the two
                sets: list[list[int]] = [[] for _ in self.rises]
                sets[at] = own.astype(int).tolist()
                rises = self.rows.use(self.config, self.concepts, sets)["rises"][at]
                total += np.where(own[:, None], 0, rises)
                tried += ~own
        mean = total / tried[:, None]
        return np.where(np.isnan(self.rises[at]), np.nan, mean)  # of outputs that overflow

    def __repr__(self) -> str:
        return f"<Measures: {self}>"

    def __str__(self) -> str:
        """A few sentences, with means over networks if there are several."""
        learned, count = float(np.mean(self.learned.sum(axis=-1))), int(self._occur.sum())
        neurons = sum(self.config.widths[1:-1])
        counts = (np.where(self._overflowed, np.nan, n) for n in (self.polysemantic, self.serving))
        polysemantic, serving = (float(np.mean(each)) for each in counts)
        share, chance = float(np.mean(self.shared_use)), float(np.mean(self.chance()))
        several = self.loss.ndim == 2 and len(self.loss) > 1
        start = (
            f"{len(self.loss)} networks learned on average" if several else "The network learned"
        )
        return (
            f"{start} {learned:.4g} of {count} concepts. Of the use of hidden neurons, "
            f"{100 * share:.3g} % falls on shared ones ({100 * chance:.3g} % if neurons were "
            f"assigned by chance). Of {neurons} neurons, {polysemantic:.3g} account for "
            f"{100 * formulas.SERVES:g} % or more of two or more concepts, and "
            f"{neurons - serving:.3g} of none."
        )

    def table(self) -> list[dict[str, Any]]:
        """One row per hidden layer, with means over networks; nan if one of them overflows."""
        layers = range(1, len(self.rises) + 1)
        served = [self.served(layer).sum(axis=-1) for layer in layers]
        means = {
            "shared use": self.shared_use_of_layers(),
            "effective concepts": self._over_layers(_weighted_number),
            "polysemantic": np.stack([(count >= 2).sum(axis=-1) for count in served]),
            "serving none": np.stack([(count == 0).sum(axis=-1) for count in served]),
        }
        return [
            {
                "layer": layer,
                "neurons": self.config.widths[layer],
                **{
                    name: float(np.where(self._overflowed, np.nan, values[layer - 1]).mean())
                    for name, values in means.items()
                },
            }
            for layer in layers
        ]

    def _repr_html_(self) -> str:
        from fastpolysem._html import render

        rows = [[f"{value:.4g}" for value in row.values()] for row in self.table()]
        return render(
            "result.html",
            head=str(self),
            config=repr(self.config),
            columns=tuple(self.table()[0]),
            rows=rows,
        )

    def plot(self, layer: int = 1, ax: Any = None) -> Any:
        """Draw how much each concept uses each neuron of a hidden layer.

        Parameters
        ----------
        layer
            Hidden layer, counted from 1.
        ax
            matplotlib axes; new ones if None.

        Returns
        -------
        matplotlib.axes.Axes
        """
        from fastpolysem.families.network.plots.measures import use_map

        return use_map(self, layer, ax=ax)


def measure(
    weights: Any,
    config: NetworkConfig,
    *,
    data: ArrayLike | Any | None = None,
    targets: ArrayLike | None = None,
    concepts: ArrayLike | None = None,
    outputs: Sequence[int] | None = None,
    names: Sequence[str] | None = None,
) -> Measures:
    """Measure which concepts use which hidden neurons, by switching neurons off.

    For one neuron at a time, the activation is set to its mean over all rows, and the loss *of the
    output that carries a concept* is compared with the original one, over the rows in which the
    concept holds. Noise and dropout are switched off.

    Parameters
    ----------
    weights
        :class:`NetworkParameters` of one network or a stack of S, trained here or elsewhere.
    config
        The network and its task; training settings are ignored.
    data
        (B, d_0) inputs, dense or scipy.sparse. None for the rows on which the columns of results
        are measured: the basis, the evaluation batch of sampled inputs, or at most 1024 training
        rows of a data set, evenly spaced.
    targets
        For ``data``: (B, d_L), or (B,) classes; None for those that the config computes. Required
        with a `Dataset`.
    concepts
        (B, C) table of zeros and ones of your own. None for those of the task: features (for signed
        inputs +i and -i), classes, clauses, parities, or outputs, see `Measures.concepts`.
    outputs
        For your own concepts, the index of the output that carries each, or -1 for none, in which
        case the loss is that of the whole row; None for -1 throughout, as a cross-entropy requires.
    names
        Names of your own concepts.

    Returns
    -------
    Measures

    Raises
    ------
    TypeError, ValueError
        For weights that do not fit the config, for tables that do not fit the rows, and for
        negative data if the concepts are the features of inputs without signs.
    MemoryError
        If the results would not fit into memory.

    Examples
    --------
    In a hand-made network, two of three features share the second neuron:

    >>> import fastpolysem as fp
    >>> config = fp.NetworkConfig(widths=(3, 2, 3))
    >>> weights = fp.NetworkParameters([[[1, 0], [0, 1], [0, 1]], [[1, 0, 0], [0, 0.5, 0.5]]])
    >>> fp.measure(weights, config).effective_concepts.round(2).tolist()
    1.47
    """
    _checks.instance("measure: config", config, NetworkConfig, "a NetworkConfig")
    arrays, single = stacked("measure: weights", weights, config, None)
    if not len(arrays["weights_1"]):
        raise ValueError("measure: weights must be of one network or more, got a stack of none")
    if data is None:
        if targets is not None:
            raise ValueError("measure: targets must be None unless data are given, got some")
        batch, wanted = _concepts.evaluation(config)
    else:
        fixed = as_batch("measure: data", data, config.widths[0])
        fixed._check_dtype("measure: data", config.dtype)
        batch = (fixed.indptr, fixed.indices, fixed.values)
        wanted = checked_targets("measure", targets, config, batch, own_rows=True)
    count = len(batch[0]) - 1
    if concepts is None:
        if outputs is not None or names is not None:
            raise ValueError("measure: outputs and names must be None without concepts, got some")
        table = _concepts.own(config, batch, wanted)
    else:
        table = _concepts.given("measure: concepts", concepts, outputs, names, config, count)
    rows = _Rows(config.widths[0], batch, wanted, arrays, single)
    rises_each = sum(config.widths[1:-1]) * len(table.names) * 8
    _checks.memory(
        "measure",
        {"the results, copied for every measure": 3 * len(arrays["weights_1"]) * rises_each},
        "measure fewer networks in one call",
    )
    found = rows.use(config, table, [[] for _ in config.widths[1:-1]])
    occur = ~np.isnan(found["constant_loss"])
    finite = np.isfinite(found["loss"][..., occur]).all(axis=-1)
    for layer in found["rises"]:
        finite &= np.isfinite(layer[..., occur]).all(axis=(-1, -2))
    for layer in found["rises"]:
        layer[~finite] = np.nan
    return Measures(
        config=config,
        concepts=table,
        rises=tuple(found["rises"]),
        means=tuple(found["means"]),
        loss=found["loss"],
        constant_loss=found["constant_loss"],
        rows=rows,
    )
