"""Do initial magnitudes and phases determine each neuron's frequency in modular addition?

The task is that of a published study (He et al. 2026, arXiv 2602.16849): a + b mod p, with the sum
of two one-hot vectors as input, one layer of m ReLU neurons without biases, the cross-entropy and
all p^2 rows at every step. After training, the weights into and out of a neuron are nearly cosines
of one frequency k = 1 ... (p - 1)/2. The study explains which: the frequencies of a neuron do not
interact, each grows from its own magnitudes and phases, and the first to grow wins. Its evidence
consists of single runs and a proof for square activations under gradient flow.

Plan, written before the run and after at most 32 seeds of each setting had been looked at. *Primary
outcome*: the share of neurons whose frequency a predictor names from the start. The frequency of a
neuron is that of its largest input amplitude at the end. *Predictors*: see `PREDICTORS`. *Tests*,
paired within seeds, for each of eight settings (p = 11 and 23, m = 64 and 512, AdamW and gradient
descent): magnitude against another neuron's prediction, phase against the same, both (the study's
theory) against magnitude, and the neuron trained alone, in which frequencies do interact, against
the theory. Margin 0.02; Holm over all. *Seeds*: 1000 at p = 11, m = 64; 64 at p = 23, m = 64; 32 at
p = 11, m = 512; 16 of the published size (first planned: 200, 100 and 64; reduced for time before
any of their results was seen, and since raised to 1000). With a standard deviation of 0.04 between
seeds, larger than any seen at m = 512, 16 seeds find a difference of 0.03 with a probability of
0.8. *Beside it*: accuracy, the inverse participation ratio of spectra, frequencies learned,
frequencies per neuron and neurons per frequency, the share of use on shared neurons, by chance and
untrained. Published numbers are compared with ours but are not part of the tests.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fastpolysem.experiments._answers import Answers, estimate_of, written
from fastpolysem.experiments._base import POSITIVE, Presets, odd, whole
from fastpolysem.experiments._networks import (
    Case,
    NetworkQuestion,
    as_share,
    before_training,
    trained_network,
)
from fastpolysem.experiments._pages import markdown
from fastpolysem.experiments._tables import of_means
from fastpolysem.experiments._verdicts import (
    EFFECT,
    Comparison,
    compared,
    span,
    text,
)
from fastpolysem.families.network import losses
from fastpolysem.families.network.config import NetworkConfig
from fastpolysem.families.network.datasets import modular_addition
from fastpolysem.families.network.measures import formulas
from fastpolysem.families.network.measures.controls import shared_use_by_chance
from fastpolysem.families.network.objective import NetworkParameters
from fastpolysem.probes import Column, Probe
from fastpolysem.training import TrainingResult

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

Complex = NDArray[np.complex128]

MARGIN = 0.02
"""Largest negligible difference of shares of neurons."""
PREDICTORS = {
    "other": "another neuron's",
    "phase": "smallest phase difference",
    "magnitude": "largest magnitude",
    "both": "magnitudes and phases",
    "alone": "neuron trained alone",
}
"""Columns of the shares that predictors name, and what sentences call them."""
PUBLISHED = {
    "participation_start": 0.167,
    "participation": 0.649,
    "loss": 0.0477,
    "accuracy": 1.0,
}
"""Of p = 23, m = 512 with AdamW, by column; the second one after 4801 of 5000 updates."""
_TESTS = (
    ("magnitude", "other"),
    ("phase", "other"),
    ("both", "magnitude"),
    ("alone", "both"),
)
_OPTIMIZERS: dict[str, dict[str, Any]] = {
    # As published, with their warm-up.
    "adamw": {
        "betas": (0.9, 0.98),
        "weight_decay": 0.0,
        "learning_rate_schedule": [(0, 0.0), (10, 1.0)],
    },
    "sgd": {"learning_rate": 5.0},
}
_SMALL: dict[str, Any] = {"p": 11, "neurons": 64, "optimizer": list(_OPTIMIZERS), "steps": 5000}


def spectra(weights: NetworkParameters) -> tuple[Complex, Complex]:
    """Amplitudes a with w_j = Re sum_k a_k e^(2 pi i k j / p), without the constant.

    Returns
    -------
    two (S, m, (p - 1)/2) complex128
        Of the input and of the output weights of each neuron.
    """
    first, last = weights.weights
    p = first.shape[1]
    frequencies = slice(1, (p - 1) // 2 + 1)
    inputs = np.fft.rfft(np.asarray(first, np.float64), axis=1)[:, frequencies].swapaxes(1, 2)
    outputs = np.fft.rfft(np.asarray(last, np.float64), axis=2)[:, :, frequencies]
    return inputs * 2 / p, outputs * 2 / p


def participation(amplitudes: Complex) -> NDArray[np.float64]:
    """Inverse participation ratio ``sum_k |a|^4 / (sum_k |a|^2)^2``, mean over neurons, (S,)."""
    power = np.abs(amplitudes) ** 2
    total = np.maximum(power.sum(axis=-1) ** 2, np.finfo(float).tiny)
    found: NDArray[np.float64] = ((power**2).sum(axis=-1) / total).mean(axis=-1)
    return found


def race(inputs: Complex, outputs: Complex, steps: int = 400) -> NDArray[np.int64]:
    """The frequency of each neuron that grows first if frequencies do not interact, (S, m).

    For square activations and an output that is still nearly uniform, the gradient flow of a
    neuron is, up to the unit of time, a' = 2 conj(a) b and b' = a^2 for each frequency.
    """
    a, b = inputs.copy(), outputs.copy()
    for _ in range(steps):
        largest = np.maximum(np.abs(a), np.abs(b)).max(axis=-1, keepdims=True)
        step = 0.03 / np.maximum(largest, np.finfo(float).tiny)
        a, b = a + step * 2 * np.conj(a) * b, b + step * a * a
    return np.asarray(np.abs(a).argmax(axis=-1))


def alone(first: NDArray[Any], last: NDArray[Any], steps: int = 60) -> NDArray[np.int64]:
    """The frequency of each neuron of one network after it was trained alone, (m,).

    Gradient flow of a ReLU neuron if the output stays uniform, (p, m) and (m, p) weights. A step
    changes them by a twentieth of their norm.
    """
    w, out = first.T.astype(np.float32), last.astype(np.float32)
    p = w.shape[1]
    second = (np.arange(p) - np.arange(p)[:, np.newaxis]) % p  # of a pair with first a and sum c
    for _ in range(steps):
        z = w[:, :, np.newaxis] + w[:, second]
        to_out = np.maximum(z, 0).sum(axis=1)
        to_out -= to_out.mean(axis=1, keepdims=True)
        centred = out - out.mean(axis=1, keepdims=True)
        to_in = 2 * np.where(z > 0, centred[:, np.newaxis], 0).sum(axis=2)
        squares = [(one**2).sum(axis=1, keepdims=True) for one in (w, out, to_in, to_out)]
        size = np.sqrt(squares[0] + squares[1])
        step = 0.05 * size / np.maximum(np.sqrt(squares[2] + squares[3]), np.float32(1e-30))
        w, out = w + step * to_in, out + step * to_out
    return np.asarray(np.abs(np.fft.rfft(w, axis=1)[:, 1 : (p - 1) // 2 + 1]).argmax(axis=1))


def contributions(first: NDArray[Any], last: NDArray[Any]) -> NDArray[np.float64]:
    """By how much the right answer's mean logit falls, per neuron and frequency, (m, (p - 1)/2).

    The fall of the part of the logits with this frequency when the neuron of one network is set to
    its mean. The parts of all neurons and frequencies sum to the mean logit of the right answer
    less that of all answers.
    """
    w = np.asarray(first, np.float64)
    p = len(w)
    mean = np.zeros_like(w)  # over the rows of each sum
    for a in range(p):
        mean += np.maximum(w[a] + w[(np.arange(p) - a) % p], 0) / p
    frequencies = slice(1, (p - 1) // 2 + 1)
    ours = np.fft.rfft(mean, axis=0)[frequencies].T
    read = np.fft.rfft(np.asarray(last, np.float64), axis=1)[:, frequencies]
    found: NDArray[np.float64] = 2 / p**2 * (np.conj(ours) * read).real
    return found


@dataclass(frozen=True)
class Frequencies(Probe):
    """Which frequency each neuron ends with, who predicts it, and how frequencies use neurons."""

    name = "modular"
    columns: ClassVar = {
        "other": as_share("neurons whose frequency the theory names for the next neuron"),
        "phase": as_share("those named by the smallest phase difference at the start"),
        "magnitude": as_share("those named by the largest input amplitude at the start"),
        "both": as_share("those named by `race`"),
        "alone": as_share("those named by `alone`"),
        "agree": as_share("those whose largest output amplitude has the same frequency"),
        "participation_start": as_share("inverse participation ratio at the start"),
        "participation": as_share("inverse participation ratio, mean of inputs and outputs"),
        "alignment": Column("float32", "cosine of the phase difference of the frequency", (-1, 1)),
        "shared": as_share("share of use on shared neurons, of frequencies"),
        "shared_10": as_share("the same, second largest at least 0.1"),
        "shared_50": as_share("the same, second largest at least 0.5"),
        "chance": as_share("the same, if frequencies chose their neurons at random"),
        "shared_untrained": as_share("the same at the start"),
        "learned": Column("int64", "frequencies with half of an equal part of the logit", None),
        "frequencies_per_neuron": Column("float32", "effective frequencies per neuron", (0, None)),
        "neurons_per_frequency": Column("float32", "effective neurons per frequency", (0, None)),
    }

    def __call__(self, result: TrainingResult) -> dict[str, NDArray[Any]]:
        """The columns of a block."""
        seeds = result.seeds
        begun: Any = before_training(result).weights
        ended = trained_network(result)
        start, end = spectra(begun), spectra(ended)
        winner = np.abs(end[0]).argmax(axis=-1)
        theory = race(*start)
        single = [alone(*(w[s] for w in begun.weights)) for s in range(len(seeds))]
        named = {
            "other": np.roll(theory, 1, axis=1),
            "phase": _misalignment(*start).argmin(axis=-1),
            "magnitude": np.abs(start[0]).argmax(axis=-1),
            "both": theory,
            "alone": np.array(single).reshape(winner.shape),
            "agree": np.abs(end[1]).argmax(axis=-1),
        }
        found: dict[str, Any] = {k: (v == winner).mean(axis=1) for k, v in named.items()}
        for name, (inputs, outputs) in (("participation_start", start), ("participation", end)):
            found[name] = (participation(inputs) + participation(outputs)) / 2
        chosen = np.take_along_axis(_misalignment(*end), winner[..., np.newaxis], axis=-1)
        found["alignment"] = np.cos(chosen).mean(axis=(1, 2))
        return found | self._use(ended, begun, seeds)

    @staticmethod
    def _use(ended: Any, begun: Any, seeds: NDArray[Any]) -> dict[str, Any]:
        shape = (len(seeds), ended.weights[0].shape[2], (ended.weights[0].shape[1] - 1) // 2)

        def rises(weights: Any) -> NDArray[np.float64]:
            each = [contributions(*(w[s] for w in weights.weights)) for s in range(len(seeds))]
            return np.array(each).reshape(shape)

        own = rises(ended)
        parts = own.sum(axis=1)
        equal = parts.sum(axis=1, keepdims=True) / parts.shape[1]
        several = formulas.effective_concepts(own)
        weights = formulas.neuron_weights(own)
        return {
            "shared": formulas.shared_use(own),
            "shared_10": formulas.shared_use(own, 0.1),
            "shared_50": formulas.shared_use(own, 0.5),
            "chance": shared_use_by_chance([own], seeds.tolist()),
            "shared_untrained": formulas.shared_use(rises(begun)),
            "learned": ((parts >= equal / 2) & (parts > 0)).sum(axis=1),
            "frequencies_per_neuron": (several * weights).sum(axis=1),
            "neurons_per_frequency": formulas.effective_neurons(own).mean(axis=1),
        }


def _misalignment(inputs: Complex, outputs: Complex) -> NDArray[np.float64]:
    """|2 phi - psi| in [0, pi], of the phases phi of inputs and psi of outputs."""
    return np.abs(np.angle(inputs**2 * np.conj(outputs)))


class Modular(NetworkQuestion):
    """Predictors of frequencies."""

    NAME = "modular"
    SUMMARY = "Train modular addition and predict each neuron's frequency from its initial weights."
    FIGURE_SIZE = (7.4, 3.4)
    PRESETS: ClassVar[Presets] = {
        # A few minutes on two cores.
        "default": {**_SMALL, "p": [11, 23], "seeds": 100},
        # Less than a minute.
        "quick": {**_SMALL, "seeds": 40},
        # The page of findings; an hour and a quarter on two cores.
        "paper": {**_SMALL, "p": [11, 23], "neurons": [64, 512], "seeds": 1000},
        # Hours.
        "large": {**_SMALL, "p": [11, 23, 31], "neurons": [64, 128, 256, 512], "seeds": 1000},
    }
    OPTIONS: ClassVar = {
        "p": "Modulus, odd.",
        "neurons": "Number of hidden neurons.",
        "optimizer": "adamw or sgd.",
        "steps": "Number of updates.",
    }
    CHOICES: ClassVar = {"optimizer": _OPTIMIZERS}
    ALLOWED: ClassVar = {"p": odd((">=", 3)), "neurons": POSITIVE, "steps": whole((">=", 10))}
    PROBE = Frequencies()
    COLUMNS = ("accuracy",)
    LABELS = ("p", "neurons", "optimizer")
    SEEN: ClassVar = {"p": "p", "m": "neurons"}
    METRICS = (*Frequencies.columns, "loss", "accuracy")
    OPEN = "whether initial weights determine the frequency of a neuron"
    METHOD = (
        "Paired t tests of the share of neurons whose frequency a predictor gets right, relative "
        "to a weaker predictor at the same seeds"
    )

    def case(self, **settings: Any) -> Case:
        """The published recipe.

        All start weights have a standard deviation of 0.1 / sqrt(p). The published rate of AdamW,
        5e-5 for 512 neurons, is scaled so that other widths reach the same logits.
        """
        p, neurons, optimizer = settings["p"], settings["neurons"], settings["optimizer"]
        config = NetworkConfig(
            widths=(p, neurons, p),
            inputs=modular_addition(p, encoding="sum"),
            loss=losses.CrossEntropy(),
            optimizer=optimizer,
            steps=settings["steps"],
            init="xavier",
            init_scale=0.1 * ((p + neurons) / (2 * p)) ** 0.5,
            **{"learning_rate": 5e-5 * (512 / neurons) ** 0.5, **_OPTIMIZERS[optimizer]},
        )
        weights = p * neurons
        most = None if weights <= 12_000 else 200
        return Case(settings, config, most)

    def tests(self, data: Answers) -> list[Comparison]:
        """Each predictor against a lesser one."""
        return [
            compared(
                f"{_network(setting)}: {PREDICTORS[better]} against {PREDICTORS[lesser]}",
                group[better],
                group[lesser],
                MARGIN,
                paired=True,
            )
            for setting, group in self.settings(data.valid)
            for better, lesser in _TESTS
        ]

    def say(self, data: Answers, outcome: str, judged: pd.DataFrame) -> str:
        """What each predictor names, and in how many settings it is better than a lesser one."""
        means = self.table(data)

        def named(predictor: str) -> str:
            return span(means[predictor])

        better = judged[(judged["outcome"] == EFFECT) & (judged["difference"] > 0)]["test"]

        def wins(predictor: str) -> str:
            count = better.str.contains(f": {PREDICTORS[predictor]} against").sum()
            return f"{count} of {len(means)} settings"

        return (
            f"Initial magnitudes and phases, if frequencies did not interact, predict the "
            f"frequency of {named('both')} of the neurons, more than the largest magnitude alone "
            f"({named('magnitude')}) in {wins('both')}; another neuron's prediction is right for "
            f"{named('other')}, the smallest phase difference for {named('phase')} (more in "
            f"{wins('phase')}), and training the neuron alone for {named('alone')}, more than "
            f"without interaction in {wins('alone')}."
        )

    def tables(self, data: Answers) -> dict[str, str]:
        """Predictions, and how frequencies use neurons."""
        means = self.table(data)
        labels = {"p": "p", "m": "neurons", "optimiser": "optimizer"}
        named = {what: name for name, what in PREDICTORS.items()}
        agree = {"inputs and outputs agree": "agree", "seeds": "seeds"}
        estimates = {"participation ratio": "participation", "shared use": "shared"}
        rest = {
            "by chance": "chance",
            "untrained": "shared_untrained",
            "from 0.1": "shared_10",
            "from 0.5": "shared_50",
            "frequencies learned": "learned",
            "frequencies per neuron": "frequencies_per_neuron",
            "neurons per frequency": "neurons_per_frequency",
            "accuracy": "accuracy",
            "loss": "loss",
        }
        return {
            "published": self._published(data),
            "predictions": of_means(means, labels, named, agree),
            "use": of_means(means, labels, estimates, rest),
        }

    def _published(self, data: Answers) -> str:
        """Published numbers of one network, and ours of the same setting."""
        theirs = {
            "participation_start": "participation ratio at the start",
            "participation": "participation ratio at the end",
            "loss": "loss",
            "accuracy": "accuracy",
        }
        rows = data.where(p=23, neurons=512, optimizer="adamw")
        means = self.table(Answers(rows))
        head = ["", "published, one seed", "ours, mean", "ours, range over seeds"]
        lines = []
        for name, what in theirs.items():
            ours = text(estimate_of(means.iloc[0], name))
            extremes = f"{rows[name].min():.3g} to {rows[name].max():.3g}"
            lines.append([what, f"{PUBLISHED[name]:.3g}", ours, extremes])
        return markdown(head, lines)

    def draw(self, data: Answers, ax: Axes | None = None) -> Axes:
        """Shares that predictors name, and shares of use on shared neurons."""
        from fastpolysem import plots

        means = self.table(data)
        left, right = plots.panels(ax, 1, 2, self.FIGURE_SIZE)[0]
        sizes = list(dict.fromkeys(zip(means["p"], means["neurons"], strict=True)))
        shown = {"shared_untrained": "untrained", "chance": "by chance", "shared": "trained"}
        for axes, names in ((left, PREDICTORS), (right, shown)):
            for setting, row in self.settings(means):
                i = sizes.index((setting["p"], setting["neurons"]))
                look, filled = plots.look(i, "color", "marker"), setting["optimizer"] == "adamw"
                place = np.arange(len(names)) + 0.12 * (i - (len(sizes) - 1) / 2) - 0.03 * filled
                part = row.iloc[0]
                value = np.array([part[name] for name in names])
                ends = [[part[f"{name}{end}"] for name in names] for end in ("_low", "_high")]
                axes.errorbar(
                    place,
                    value,
                    np.maximum([value - ends[0], ends[1] - value], 0),
                    **look,
                    mfc=look["color"] if filled else "white",
                    ms=4,
                    lw=0,
                    elinewidth=1,
                    label=f"{setting['p']}, {setting['neurons']}, {written(setting['optimizer'])}",
                )
            axes.set_xticks(range(len(names)), [_broken(name) for name in names.values()])
            axes.tick_params(axis="x", labelsize="small")
            axes.set_ylim(-0.03, 1.03)
        left.set_xlabel("predictor")
        right.set_xlabel("network")
        left.set_ylabel("share of neurons whose\nfrequency is predicted")
        right.set_ylabel("share of use on shared neurons")
        options: dict[str, Any] = {"frameon": False, "fontsize": "x-small", "loc": "lower left"}
        right.legend(title="p, m, optimiser", title_fontsize="x-small", **options)
        return ax or left


def _broken(name: str) -> str:
    return name.replace(" ", "\n")


def _network(setting: dict[str, Any]) -> str:
    """How sentences call a setting."""
    return f"p = {setting['p']}, m = {setting['neurons']}, {written(setting['optimizer'])}"


EXPERIMENT = Modular()
