"""What it would cost a network that no neuron is shared: the same training from other starts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from fastpolysem import _checks
from fastpolysem.families.network.config import NetworkConfig
from fastpolysem.families.network.measures.measure import measure
from fastpolysem.families.network.objective import NetworkParameters, pack, unpack
from fastpolysem.families.network.solutions import attained, monosemantic, polysemantic

Verdict = Literal[
    "monosemantic",
    "necessary",
    "accidental and costly",
    "accidental and free",
    "basis undetermined",
    "unfinished",
]
STARTS = ("random", "monosemantic", "polysemantic")

_SHARED = 0.05
"""Networks with more shared use than this on average are called polysemantic."""
_JITTER = 0.01
"""Standard deviation of what is added to weights made by hand, relative to their largest."""


@dataclass(frozen=True, eq=False)
class Price:
    """Ends of training from three starts, seed by seed.

    Each mapping has the keys "random", "monosemantic" and "polysemantic", and arrays (S,).
    """

    config: NetworkConfig
    verdict: Verdict
    loss: dict[str, NDArray[np.float64]]
    """Task loss."""
    penalty: dict[str, NDArray[np.float64]]
    """l1 on weights; 0 without."""
    shared_use: dict[str, NDArray[np.float64]]
    not_learned: dict[str, NDArray[np.int64]]
    residual: dict[str, NDArray[np.float64]]
    """Largest gradient of the objective."""
    margin: float
    """Objectives that differ by less are equal."""

    @property
    def objective(self) -> dict[str, NDArray[np.float64]]:
        """Loss and penalty."""
        return {start: self.loss[start] + self.penalty[start] for start in STARTS}

    def difference(self) -> NDArray[np.float64]:
        """(S,) objective from the random start less that from the monosemantic one."""
        return self.objective["random"] - self.objective["monosemantic"]

    def __str__(self) -> str:
        """The verdict and the means that it rests on, with standard errors."""
        parts = [f"Polysemanticity is {self.verdict}" if self.verdict[0] in "na" else self.verdict]
        for name, values in (("objective", self.objective), ("shared use", self.shared_use)):
            means = (f"{start} {_mean(values[start])}" for start in STARTS)
            parts.append(f"{name} from starts {', '.join(means)}")
        return "; ".join(parts) + f" ({len(self.loss['random'])} seeds)."


def _mean(values: NDArray[Any]) -> str:
    error = values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.nan
    return f"{values.mean():.4g} ± {error:.2g}"


def price(
    config: NetworkConfig,
    seeds: int = 32,
    *,
    tolerance: float = 1e-3,
    margin: float = 0.01,
    num_threads: int | None = None,
) -> Price:
    """Train from a random, a monosemantic and a polysemantic start, and compare where they end.

    The starts made by hand, see `monosemantic`, get a little noise of each seed's own. Verdicts:

    * "unfinished": the largest gradient of some network from a random or the monosemantic start
      is above ``tolerance``; train longer. Under l1 that takes ``l1_update="orthant"``, since with
      subgradients weights keep crossing 0;
    * "monosemantic": random starts end with less than 5 % shared use;
    * "necessary": their objective is lower than where the monosemantic start leads, or that start
      does not stay monosemantic;
    * "accidental and costly": their objective is higher;
    * "accidental and free": it is equal within the margin, and l1 prefers some basis;
    * "basis undetermined": it is equal, and nothing does.

    Parameters
    ----------
    config
        With a task that `monosemantic` knows; ``steps`` decides how long each is trained.
    seeds
        How many of each start.
    tolerance
        Of the largest gradient of a network that counts as trained to its end.
    margin
        Of objectives that are equal, relative to the monosemantic one's mean; no less than 1e-4 of
        the loss when all outputs are 0.
    num_threads
        As in `train`.

    Returns
    -------
    Price

    Raises
    ------
    TypeError, ValueError
        As from `monosemantic`; for l1 on activations, a readout that is not dense, and for a
        solution whose neurons serve +i and -i.
    """
    from fastpolysem.training import train

    count = _checks.integer("price: seeds", seeds, (">=", 2))
    bound = _checks.real("price: tolerance", tolerance, (">", 0))
    relative = _checks.real("price: margin", margin, (">=", 0))
    if config.l1_target != "weights":
        raise ValueError(f"price: l1_target must be 'weights', got {config.l1_target!r}")
    if config.readout != "dense":
        raise ValueError(f"price: readout must be 'dense', got {_checks.shown(config.readout)}")
    made = {"monosemantic": monosemantic(config).parameters, "polysemantic": polysemantic(config)}
    if measure(made["monosemantic"], config.replace(dtype="float64")).shared_use > _SHARED:
        raise ValueError(
            "price: widths must have a neuron for +i and one for -i of each signed feature, "
            f"got {config.widths}"
        )
    results = {}
    for start in STARTS:
        given = None if start == "random" else _jittered(config, made[start], count)
        results[start] = train(
            config, count, initial_weights=given, return_weights=True, num_threads=num_threads
        )
    columns: dict[str, dict[str, Any]] = {
        name: {start: result.columns[name] for start, result in results.items()}
        for name in ("loss", "shared_use", "not_learned", "largest_gradient")
    }
    penalty = {start: _penalty(config, result.weights) for start, result in results.items()}
    objectives = {start: columns["loss"][start] + penalty[start] for start in STARTS}
    silent = made["monosemantic"]._replace(
        weights=[np.zeros_like(w) for w in made["monosemantic"].weights], biases=None
    )
    least = 1e-4 * attained(config, silent)
    at = max(least, relative * abs(float(objectives["monosemantic"].mean())))
    residual = columns["largest_gradient"]
    worst = max(float(residual[start].max()) for start in ("random", "monosemantic"))
    return Price(
        config=config,
        verdict=_verdict(config, columns["shared_use"], objectives, at, worst <= bound),
        loss=columns["loss"],
        penalty=penalty,
        shared_use=columns["shared_use"],
        not_learned=columns["not_learned"],
        residual=residual,
        margin=at,
    )


def _verdict(
    config: NetworkConfig,
    shared: dict[str, NDArray[np.float64]],
    objectives: dict[str, NDArray[np.float64]],
    margin: float,
    finished: bool,
) -> Verdict:
    if not finished:
        return "unfinished"
    if shared["random"].mean() < _SHARED:
        return "monosemantic"
    difference = objectives["random"].mean() - objectives["monosemantic"].mean()
    if difference < -margin or shared["monosemantic"].mean() >= _SHARED:
        return "necessary"
    if difference > margin:
        return "accidental and costly"
    return "accidental and free" if np.any(config.l1) else "basis undetermined"


def _jittered(config: NetworkConfig, parameters: NetworkParameters, count: int) -> Any:
    """A stack of networks with noise on the weights, drawn for each seed."""
    arrays = {}
    for number, (name, array) in enumerate(pack(config, parameters).items()):
        stack = np.repeat(np.asarray(array, dtype=np.float64)[None], count, axis=0)
        if name.startswith("weights"):
            size = _JITTER * np.abs(array).max()
            for seed in range(count):
                stack[seed] += np.random.default_rng((seed, number)).normal(0, size, array.shape)
        arrays[name] = stack
    return unpack(config, arrays)


def _penalty(config: NetworkConfig, weights: NetworkParameters) -> NDArray[np.float64]:
    """(S,) l1 of the weights at its full size."""
    factors = config._spread("l1", len(weights.weights))
    sums = [
        factor * np.abs(np.asarray(w, dtype=np.float64)).sum(axis=(1, 2))
        for factor, w in zip(factors, weights.weights, strict=True)
    ]
    return np.asarray(np.sum(sums, axis=0))
