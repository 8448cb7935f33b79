"""The cost of avoiding shared neurons: the same training from different initial weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from fastpolysem import _checks, statistics
from fastpolysem.families.network.config import NetworkConfig
from fastpolysem.families.network.measures.measure import measure
from fastpolysem.families.network.objective import NetworkParameters, pack, unpack
from fastpolysem.families.network.solutions import attained, monosemantic, polysemantic
from fastpolysem.statistics import Estimate

Verdict = Literal[
    "monosemantic",
    "necessary",
    "accidental and costly",
    "accidental and free",
    "basis undetermined",
    "inconclusive",
    "unfinished",
]
STARTS = ("random", "monosemantic", "polysemantic")

_SHARED = 0.05
"""Networks whose mean shared use exceeds this are called polysemantic."""
_JITTER = 0.01
"""Standard deviation of the noise added to constructed weights, relative to the largest."""


@dataclass(frozen=True, eq=False)
class Price:
    """Results of training from three kinds of initial weights, seed by seed.

    The keys of each mapping are "random", "monosemantic" and "polysemantic", the values arrays
    (S,).
    """

    config: NetworkConfig
    verdict: Verdict
    loss: dict[str, NDArray[np.float64]]
    """Task loss."""
    penalty: dict[str, NDArray[np.float64]]
    """l1 penalty on the weights, as strong as in the last step; 0 without l1."""
    shared_use: dict[str, NDArray[np.float64]]
    not_learned: dict[str, NDArray[np.int64]]
    largest_gradient: dict[str, NDArray[np.float64]]
    """Of the objective, at the end."""
    margin: float
    """Objectives that differ by less are considered equal."""

    @property
    def objective(self) -> dict[str, NDArray[np.float64]]:
        """Loss plus penalty."""
        return {start: self.loss[start] + self.penalty[start] for start in STARTS}

    def difference(self) -> NDArray[np.float64]:
        """(S,) objective from random minus objective from monosemantic initial weights."""
        return self.objective["random"] - self.objective["monosemantic"]

    def mean_difference(self) -> Estimate:
        """The price: mean of `difference` without diverged seeds, with its 95 % interval."""
        return _mean_of(self.difference())

    def __str__(self) -> str:
        """The verdict and the means on which it is based, with standard errors."""
        parts = [f"Polysemanticity is {self.verdict}" if self.verdict[0] in "na" else self.verdict]
        value, low, high = self.mean_difference()
        if self.verdict == "inconclusive":
            parts = ["inconclusive (train more seeds)"]
        if self.verdict == "unfinished":
            steepest = np.max([self.largest_gradient[start] for start in STARTS[:2]])
            if np.isfinite(steepest):
                parts = [f"unfinished (largest gradient {steepest:.2g}: train longer)"]
        for name, values in (
            ("objective", self.objective),
            ("shared use", self.shared_use),
            ("concepts not learned", self._not_learned()),
        ):
            means = (f"{start} {_mean(values[start])}" for start in STARTS)
            parts.append(f"{name} from starts {', '.join(means)}")
            if name == "objective":
                parts.append(
                    f"random minus monosemantic {value:.3g} [{low:.3g}, {high:.3g}] "
                    f"(margin {self.margin:.2g})"
                )
        return "; ".join(parts) + f" ({len(self.loss['random'])} seeds)."

    def _not_learned(self) -> dict[str, NDArray[np.float64]]:
        """Counts, nan for diverged networks."""
        return {start: np.where(n < 0, np.nan, n) for start, n in self.not_learned.items()}


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
    """Train from random, monosemantic and polysemantic initial weights, and compare the results.

    Constructed initial weights (see `monosemantic`) get a little noise, drawn for each seed.
    Verdicts:

    * "unfinished": some network from random or monosemantic weights diverged, or its largest
      gradient exceeds ``tolerance``; train longer. With l1, use ``l1_update="orthant"``, because
      with subgradients weights keep crossing 0. Weight decay, noise and dropout keep the gradient
      from vanishing;
    * "monosemantic": networks from random weights have less than 5 % shared use;
    * "necessary": their objective is lower than that from monosemantic weights, or networks from
      monosemantic weights do not stay monosemantic;
    * "accidental and costly": their objective is higher;
    * "accidental and free": it is equal within the margin, and l1 singles out a basis;
    * "basis undetermined": it is equal, and nothing singles out a basis;
    * "inconclusive": too few seeds to tell.

    Objectives are compared in pairs of the same seed. They are equal if the 95 % confidence
    interval of the mean difference lies within the margin; otherwise one of them is lower if the
    interval excludes 0.

    Parameters
    ----------
    config
        A config whose task `monosemantic` can solve; ``steps`` is the number of training steps.
    seeds
        Number of seeds for each kind of initial weights.
    tolerance
        Largest gradient at which training counts as finished.
    margin
        Largest difference between objectives considered equal, relative to the mean monosemantic
        one, but at least 1e-4 of the loss with all outputs 0.
    num_threads
        As in `train`.

    Returns
    -------
    Price

    Raises
    ------
    TypeError, ValueError
        As in `monosemantic`; also for l1 on activations, for a readout that is not dense, and if
        the neurons of the solution serve +i and -i.
    """
    from fastpolysem.training import train

    _checks.instance("price: config", config, NetworkConfig, "a NetworkConfig")
    count = _checks.integer("price: seeds", seeds, (">=", 2))
    bound = _checks.real("price: tolerance", tolerance, (">", 0))
    relative = _checks.real("price: margin", margin, (">=", 0))
    if config.l1_target != "weights":
        raise ValueError(f"price: l1_target must be 'weights', got {config.l1_target!r}")
    if config.readout != "dense":
        raise ValueError(f"price: readout must be 'dense', got {_checks.shown(config.readout)}")
    solution = monosemantic(config)
    made = {"monosemantic": solution.parameters, "polysemantic": polysemantic(config)}
    shared = measure(made["monosemantic"], config.replace(dtype="float64")).shared_use
    if shared > _SHARED:
        if solution.neurons < 2 * config.widths[0]:
            raise ValueError(
                "price: widths must have a neuron for +i and one for -i of each signed feature, "
                f"got {config.widths}"
            )
        raise ValueError(
            "price: inputs must be so sparse that the monosemantic network has a shared use of at "
            f"most {_SHARED:g}, got {shared:.3g} with {config.inputs!r}"
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
    steepest = columns["largest_gradient"]
    # nan, of diverged networks, stays nan and is not below any bound.
    worst = float(np.max([steepest[start] for start in ("random", "monosemantic")]))
    return Price(
        config=config,
        verdict=_verdict(config, columns["shared_use"], objectives, at, worst <= bound),
        loss=columns["loss"],
        penalty=penalty,
        shared_use=columns["shared_use"],
        not_learned=columns["not_learned"],
        largest_gradient=steepest,
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
    if shared["monosemantic"].mean() >= _SHARED:
        return "necessary"
    _, low, high = _mean_of(objectives["random"] - objectives["monosemantic"])
    if -margin <= low and high <= margin:
        penalised = np.any(config.l1) and _last_factor(config)
        return "accidental and free" if penalised else "basis undetermined"
    if high < 0:
        return "necessary"
    return "accidental and costly" if low > 0 else "inconclusive"


def _mean_of(differences: NDArray[np.float64]) -> Estimate:
    return statistics.mean(differences[np.isfinite(differences)], bounds=(None, None))


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


def _last_factor(config: NetworkConfig) -> float:
    """What the schedule of l1 ends with."""
    return config.l1_schedule[-1][1] if config.l1_schedule else 1.0


def _penalty(config: NetworkConfig, weights: NetworkParameters) -> NDArray[np.float64]:
    """(S,) l1 of the weights in the last step."""
    sums = [
        _last_factor(config) * factor * np.abs(np.asarray(w, dtype=np.float64)).sum(axis=(1, 2))
        for factor, w in zip(
            config._spread("l1", len(weights.weights)), weights.weights, strict=True
        )
        if factor
    ]
    return np.sum(sums, axis=0) if sums else np.zeros(len(weights.weights[0]))
