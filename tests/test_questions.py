"""The experiments on readers' questions: what they take, and what they say where nothing is.

One file: every question goes through the same tests, with a null model of its own.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import fastpolysem as fp
from fastpolysem import cli, experiments, metrics, theory
from fastpolysem.experiments import (
    _collapse,
    _edgeworth,
    _meetings,
    _planted,
    baseline,
    classify,
    cooccurrence,
    diagnose,
    hidden,
    kurtosis,
    modular,
    necessary,
    optimizers,
    tradeoff,
    winners,
)
from fastpolysem.experiments._answers import Answers, Question
from fastpolysem.experiments._networks import ReplicateQuestion
from fastpolysem.experiments._verdicts import EFFECT, INCONCLUSIVE, WITHIN, judged, overall
from helpers import real_data

FINDINGS = Path(__file__).parents[1] / "docs" / "findings"
PLANNED = "This page is a plan"
"""On a page whose analysis is fixed and whose data are still to come."""


def _has_data(name: str) -> bool:
    return PLANNED not in (FINDINGS / f"{name}.md").read_text(encoding="utf-8")


QUESTIONS = sorted(
    name
    for name in experiments.names()
    if isinstance(experiments.get(name), Question) and _has_data(name)
)
RUNNABLE = [
    pytest.param(one, marks=real_data.MARKS if one in ("classify", "front") else ())
    for one in QUESTIONS
]

# What each page finds without its effect: the labels or the sides of each comparison are shuffled
# seed by seed, which leaves everything else in place. Where settings have few seeds, means are
# made equal first: a large effect of random sign is not what seeds look like if nothing differs.


def _centred(rows: pd.DataFrame, column: str, by: list[str]) -> pd.Series[Any]:
    mean = rows.groupby(by, dropna=False)[column].transform("mean")
    return rows[column] - mean + rows[column].mean()


def _shuffled(columns: list[str]) -> Callable[[pd.DataFrame, np.random.Generator], pd.DataFrame]:
    def shuffle(rows: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
        mixed = rows.sample(frac=1, random_state=rng.integers(2**31)).sort_values(
            "seed", kind="stable"
        )
        ordered = rows.sort_values("seed", kind="stable")
        result = mixed.copy()
        result[columns] = ordered[columns].to_numpy()
        return result

    return shuffle


def _meeting(rows: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    if rows["seed"].nunique() < 20:
        # Exchanging the sides of a large effect in so few seeds is likely to leave it as it is.
        return rows.iloc[:0]
    # Only settings with the same control are compared, so labels stay within them.
    controls = rows["inputs"].map(lambda kind: _meetings.CONTROLS.get(kind, kind))
    labels = ["inputs", "strength", "companions"]
    parts = [_shuffled(labels)(part, rng) for _, part in rows.groupby(controls)]
    result = pd.concat(parts)
    # Of the pairs that share a neuron, as many are couples as chance makes it.
    n = int(rows["n_features"].iloc[0])
    result["coupled"] = rng.hypergeometric(n // 2, n * (n - 2) // 2, result["sharing"])
    return result


def _sides(rows: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    result = rows.assign(push=rows["push_1"])
    for name in ("rank_1", "push"):
        result[name] = _centred(result, name, ["optimizer"])
    result["push"] += result["rank_1"].mean() - result["push"].mean()
    result = _shuffled(["optimizer", "learning_rate"])(result, rng)
    names = ["rank_1", "push"]
    result[names] = rng.permuted(result[names].to_numpy(), axis=1)
    return result.assign(**{f"push_{length:g}": result["push"] for length in winners.PUSHES})


def _flipped(rows: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    gaps = rows.assign(gap=rows["concentration"] - rows["concentration_rotated"])
    gap = gaps["gap"] - gaps.groupby("optimizer")["gap"].transform("mean")
    return rows.assign(
        concentration=rows["concentration_rotated"] + gap * rng.choice([-1, 1], len(rows))
    )


def _relabelled(rows: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    by = rows.groupby("optimizer")
    fewer = (rows["shared_kept"] - rows["shared_moved"]).groupby(rows["optimizer"])
    result = rows.assign(
        incidental=by["incidental"].transform(rng.permutation),
        shared_moved=rows["shared_moved"] + fewer.transform("mean"),
    )
    names = ["shared_kept", "shared_moved"]
    result[names] = rng.permuted(result[names].to_numpy(), axis=1)
    return result


def _signs(rows: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    removable = rows["removable"] - rows.groupby("optimizer")["removable"].transform("mean")
    return rows.assign(removable=removable * rng.choice([-1, 1], len(rows)))


def _noises(rows: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    result = rows.assign(fourth_norm=_centred(rows, "fourth_norm", ["noise"]))
    return _shuffled(["noise", "kurtosis", "sixth"])(result, rng)


def _readouts(rows: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    others = ["data", "learning_rate", "seed"]
    ordered = rows.sort_values([*others, "readout"], kind="stable")
    names = ordered["readout"].to_numpy(dtype=str).reshape(-1, len(classify.READOUTS))
    return ordered.assign(readout=rng.permuted(names, axis=1).ravel())


def _main_arms(rows: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    return _shuffled(["arm"])(rows[rows["arm"].isin([hidden.LINEAR, hidden.RELU])], rng)


def _treatments(rows: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    shuffle = _shuffled(["treatment"])
    return pd.concat([shuffle(part, rng) for _, part in rows.groupby("data")])


def _swapped(rows: pd.DataFrame, rng: np.random.Generator, first: str, second: str) -> pd.DataFrame:
    swap = rng.random(len(rows)) < 0.5
    one, two = rows[first].to_numpy(), rows[second].to_numpy()
    return rows.assign(**{first: np.where(swap, two, one), second: np.where(swap, one, two)})


def _relabelled_pairs(
    rows: pd.DataFrame, rng: np.random.Generator, label: str, others: list[str]
) -> pd.DataFrame:
    ordered = rows.sort_values([*others, label], kind="stable")
    pairs = ordered[label].to_numpy().reshape(-1, 2)
    return ordered.assign(**{label: rng.permuted(pairs, axis=1).ravel()})


def _representations(rows: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    return _relabelled_pairs(rows, rng, "representation", ["optimizer", "seed"])


def _pathways(rows: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    rows = _relabelled_pairs(rows, rng, "layers", ["contexts", "optimizer", "seed"])
    single = rows[rows["layers"] == 1]
    for name in ("last_all_but_one", "last_interaction"):
        single = _swapped(single, rng, name, f"{name}_untrained")
    several = rows[rows["layers"] == 2]
    several = _swapped(several, rng, "first_all_but_one", "last_all_but_one")
    return pd.concat([single, several])


def _densities(rows: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    # Labels stay within what is compared: densities of a network, biases of a rate and a length.
    compared = rows["arm"].str.replace(r"^bias \S+ ", "", regex=True)
    return pd.concat(
        [_shuffled(["arm", "density"])(part, rng) for _, part in rows.groupby(compared)]
    )


def _formulas(rows: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    result = rows.copy()
    for names in (["accuracy", "by_clause", "at_random"], ["channel_use", "channel_use_untrained"]):
        dnf = result["task"] == "dnf"
        result.loc[dnf, names] = rng.permuted(result.loc[dnf, names].to_numpy(), axis=1)
    labels = ["task", "variables", "formula"]
    return pd.concat(
        [_shuffled(["neurons", "dropout"])(part, rng) for _, part in result.groupby(labels)]
    )


def _predictions(rows: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    names = list(modular.PREDICTORS)
    by = [rows[label] for label in modular.EXPERIMENT.LABELS]
    centred = rows[names] - rows[names].groupby(by).transform("mean")
    return rows.assign(**dict(zip(names, rng.permuted(centred, axis=1).T, strict=True)))


def _redistributed(rows: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    # Tests are unpaired: within a seed, shuffled labels would make settings depend on each other.
    return rows.assign(init=rng.permutation(rows["init"].to_numpy()))


NULLS: dict[str, Callable[[pd.DataFrame, np.random.Generator], pd.DataFrame]] = {
    "absolute": _densities,
    "baseline": _flipped,
    "boolean": _formulas,
    "classify": _readouts,
    "contexts": _pathways,
    "cooccurrence": _meeting,
    "diagnose": _relabelled,
    "front": _treatments,
    "hidden": _main_arms,
    "kurtosis": _noises,
    "modular": _predictions,
    "necessary": _signs,
    "optimizers": _shuffled(["way"]),
    "power": _shuffled(["power"]),
    "robustness": _representations,
    "starts": _redistributed,
    "tradeoff": _shuffled(["n_hidden", "l1", "remedy", "strength"]),
    "winners": _sides,
}
WHOLE = {"absolute", "boolean"}
"""Those that keep to what is compared by themselves."""


HELD = {
    "cooccurrence": {"n_features", "n_hidden", "l1", "optimizer"},
    "starts": {"n_features", "n_hidden", "optimizer"},
    "tradeoff": {"n_features", "optimizer"},
}
"""The labels of settings within which pages shuffle others, if not the usual ones."""


def page_rows(name: str) -> pd.DataFrame:
    return pd.read_parquet(FINDINGS / f"{name}.parquet")


def null_tests(name: str, seeds: int | None = 100) -> Iterator[pd.DataFrame]:
    """The judged tests of a page on its data without the effect, again and again: for each setting,
    this many of its seeds drawn at random, or all."""
    experiment: Any = experiments.get(name)
    rows = page_rows(name)
    usual = {"n_features", "n_hidden", "neurons", "l1", "sharing", "noise_std"}
    held = HELD.get(name, usual)
    settings: list[Any] = [one for one in experiment.LABELS if one in held]
    if name in WHOLE or not settings:  # a hundred of a thousand seeds would leave six of 64
        labels = [one for one in experiment.LABELS if one in rows]
        settings = [rows.groupby(labels, dropna=False)["seed"].transform("nunique")]
    groups = rows.groupby(settings, dropna=False)
    rng = np.random.default_rng(1)
    while True:
        parts = []
        for _, part in groups:
            found = part["seed"].unique()
            count = len(found) if seeds is None else min(seeds, len(found))
            some = part[part["seed"].isin(rng.choice(found, count, replace=False))]
            parts.append(NULLS[name](some, rng))
        yield judged(experiment.tests(Answers(pd.concat(parts, ignore_index=True))))


def null_alarms(name: str, repeats: int) -> int:
    """How often the verdict speaks of an effect where there is none."""
    return sum(overall(one) == EFFECT for one in itertools.islice(null_tests(name), repeats))


WITH_DATA = sorted(set(NULLS) & set(QUESTIONS))


@pytest.mark.parametrize("name", WITH_DATA)
def test_nothing_is_found_where_nothing_is(name: str) -> None:
    repeats = 20
    assert null_alarms(name, repeats) <= stats.binom.ppf(0.999, repeats, 0.05)


@pytest.mark.slow
@pytest.mark.parametrize("name", WITH_DATA)
def test_false_alarms_come_at_the_stated_rate(name: str) -> None:
    repeats = 1000
    assert null_alarms(name, repeats) <= stats.binom.ppf(0.999, repeats, 0.05)


def test_nothing_is_incidental_where_every_neuron_is_used() -> None:
    rng = np.random.default_rng(2)
    config = fp.Config(n_features=12, n_hidden=6, l1=0.03, steps=0)
    weights = np.zeros((60, 12, 6))
    for one in weights:
        order = rng.permutation(12)
        one[order, np.arange(12) // 2] = np.where(np.arange(12) % 2, 1.0, -1.0)
    weights += rng.uniform(-0.02, 0.02, weights.shape)
    result = dataclasses.replace(fp.train(config, 60), weights=weights)
    taken = necessary.EXPERIMENT.PROBE(result)
    assert (taken["shared"] == 6).all()
    assert (taken["necessary"] == 6).all()
    assert not taken["removable"].any()
    rows = pd.DataFrame(
        {**necessary.EXPERIMENT.labels(config), **taken, "seed": range(60), "diverged": False}
    )
    rows = rows.assign(polysemantic=6, unrepresented=0, malign=0, dead=0, loss=0.0, finished=True)
    assert necessary.EXPERIMENT.verdict(Answers(rows)).outcome == WITHIN


def test_verdicts_say_where_they_were_seen() -> None:
    """Settings that the sentence leaves out, and optimisers that are no label."""
    contexts: Any = experiments.get("contexts")
    sentence = contexts.verdict(Answers(page_rows("contexts"))).sentence
    assert sentence.endswith(" Tested at C = 3, 4 and 5; m = 64 with Adam and SGD.")
    one = page_rows("contexts").query("contexts == 3 and optimizer == 'sgd'")
    sentence = contexts.verdict(Answers(one)).sentence
    assert sentence.endswith(" Tested at C = 3; m = 64 with SGD.")
    tradeoff: Any = experiments.get("tradeoff")
    sentence = tradeoff.verdict(Answers(page_rows("tradeoff"))).sentence
    levels = "λ = 0.03"
    assert sentence.endswith(
        f" Tested at n = 16, 64 and 256; m = 12 to 1024; {levels} with AdamW and SGD."
    )
    small = page_rows("tradeoff").query("n_features < 256 or optimizer == 'adamw'")
    assert tradeoff.verdict(Answers(small)).sentence.endswith(
        f" Tested at n = 16, 64 and 256; m = 12 to 1024; {levels} with AdamW; "
        f"and at n = 16 and 64; m = 12 to 256; {levels} with SGD."
    )
    front: Any = experiments.get("front")
    assert front.verdict(Answers(page_rows("front"))).sentence.endswith(" Tested with Adam.")


# The pages say what their data say.

LARGE = {"hidden.parquet": 1_300_000, "absolute.parquet": 1_300_000}
"""Data of 175 000 networks, and 26 columns of 26 000; a million bytes is the limit of others."""


@pytest.mark.parametrize("name", RUNNABLE)
def test_pages_say_what_their_data_say(name: str) -> None:
    experiment: Any = experiments.get(name)
    page = (FINDINGS / f"{name}.md").read_text(encoding="utf-8")
    rows = page_rows(name)
    found = experiment.verdict(Answers(rows))
    assert found.sentence in " ".join(page.split()), found.sentence
    assert f"reproduce {name} --preset paper" in page
    assert f"]({name}.md)" in (FINDINGS / "index.md").read_text(encoding="utf-8")
    for file in (f"{name}.parquet", f"{name}.png"):
        assert 0 < (FINDINGS / file).stat().st_size < LARGE.get(file, 1_000_000)
        assert f"]({file})" in page
    labels = [one for one in experiment.rows(Answers(rows)).columns if one in experiment.LABELS]
    counts = rows.groupby(labels, dropna=False).size()
    asked = experiment.PRESETS["paper"]["seeds"]
    cases = experiment.configs("paper")
    assert set(counts) == {experiment.most(case, asked) for case in cases}
    if isinstance(experiment, ReplicateQuestion):  # `training` would generate every data set
        trained = sum(len(own) * len(some) for _, some, own in experiment.replicates(cases, asked))
    else:
        trained = sum(len(some) * each for some, each in experiment.training(cases, asked))
    assert len(rows.drop_duplicates([*labels, "seed"])) == trained


def test_verdicts_are_printed_and_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = "reproduce optimizers --preset quick --seeds 4 --n-features 6 --n-hidden 8 --steps 200"
    assert cli.main([*words.split(), "--output", str(tmp_path)]) == 0
    kept = (tmp_path / "optimizers-verdict.txt").read_text(encoding="utf-8")
    assert f"Verdict ({INCONCLUSIVE})" in kept
    assert kept in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("name", RUNNABLE)
def test_quick_agrees_with_the_page_or_is_inconclusive(name: str) -> None:
    experiment: Any = experiments.get(name)
    quick = experiment.verdict(experiment.run("quick", progress=False))
    page = experiment.verdict(Answers(page_rows(name)))
    assert quick.outcome in (page.outcome, INCONCLUSIVE)


@pytest.mark.slow
def test_one_setting_under_two_names_is_no_effect() -> None:
    """Retrained with other seeds: what remains if the effect itself is switched off."""
    config = optimizers.EXPERIMENT.configs("paper", optimizer="adamw", n_features=16, n_hidden=32)[
        0
    ]
    config = config.replace(l1=0.03, l1_update="orthant", stop="certified")
    repeats, size = 60, 40
    result = fp.train(config, 2 * repeats * size)
    counts = result.signed_slots.reshape(repeats, 2, size)
    rng = np.random.default_rng(8)
    alarms = 0
    for first, second in counts:
        rows = pd.DataFrame(
            {
                **{name: getattr(config, name) for name in ("n_features", "n_hidden", "l1")},
                "way": [optimizers.REFERENCE] * size + [optimizers.SHORT] * size,
                "seed": [*range(size), *range(size)],
                "diverged": False,
                "signed_slots": [*first, *second],
                "polysemantic": [*first, *second],
            }
        )
        rows = rows.assign(malign=0, unrepresented=0, steps_taken=1, finished=True)
        rows = rows.assign(features=16, favourites=rng.binomial(16, 0.5, len(rows)))
        alarms += optimizers.EXPERIMENT.verdict(Answers(rows)).outcome == EFFECT
    assert alarms <= stats.binom.ppf(0.999, repeats, 0.05)


# What each experiment takes.


@pytest.mark.parametrize(("kind", "q"), [("all pairs", 0.06), ("couples", 0.3)])
def test_paired_inputs_present_each_feature_once(kind: str, q: float) -> None:
    batch = _meetings.inputs_of(kind, q, 6).to_dense()
    weight = np.square(batch).sum(axis=0)
    np.testing.assert_allclose(weight, 1)
    meetings = np.square(batch).T @ (batch > 0)  # how much of i's weight comes with j
    np.testing.assert_allclose(np.diag(meetings), 1)
    others = meetings - np.diag(np.diag(meetings))
    np.testing.assert_allclose(others.sum(axis=1), 0.3)
    if kind == "couples":
        assert np.flatnonzero(others[2]).tolist() == [3]
    else:
        np.testing.assert_allclose(others[~np.eye(6, dtype=bool)], 0.3 / 5)


def test_paired_inputs_are_the_mean_over_presentations() -> None:
    rng = np.random.default_rng(3)
    weights = rng.normal(0, 0.5, (4, 5))
    config = fp.Config(n_features=4, n_hidden=5, inputs=_meetings.inputs_of("all pairs", 0.1, 4))
    loss, _ = fp.loss_and_gradient(weights, config)
    plain = fp.Config(n_features=4, n_hidden=5)
    alone, _ = fp.loss_and_gradient(weights, plain, np.eye(4))
    first, second = np.triu_indices(4, 1)
    together, _ = fp.loss_and_gradient(weights, plain, np.eye(4)[first] + np.eye(4)[second])
    assert loss == pytest.approx(0.7 * alone + 0.3 / 3 * together)


def test_kinds_of_inputs_are_recognised() -> None:
    for kind, control in _meetings.CONTROLS.items():
        for q, expected in ((0.01, kind), (0.0, control)):
            if q == 0 and kind == "Zipf, independent":
                continue  # without sampling, as for Zipf
            found, mean = _meetings.kind_of(_meetings.inputs_of(kind, q, 6), 6)
            assert found == expected
            assert mean == pytest.approx(q)
    assert _meetings.kind_of(fp.FixedBatch(2 * np.eye(4)), 4)[0] == "other"
    assert _meetings.kind_of(fp.CorrelatedBlocks(2, 2, 8), 4)[0] == "other"
    assert _meetings.kind_of(fp.Independent((0.1, 0.2, 0.2, 0.1), 8), 4)[0] == "other"
    inputs = _meetings.inputs_of("all pairs", 0.02, 6)
    config = fp.Config(n_features=6, n_hidden=8, l1=0.1, inputs=inputs)
    labels = cooccurrence.EXPERIMENT.labels(config)
    assert labels["inputs"] == "all pairs"
    assert labels["strength"] == pytest.approx(0.2)  # 0.1 / (5 x 0.1)
    assert labels["companions"] == pytest.approx(0.1)


def test_zipf_inputs_present_features_and_pairs_as_they_say() -> None:
    n, q = 6, 0.01
    batch = _meetings.inputs_of("Zipf", q, n).to_dense()
    np.testing.assert_allclose(np.square(batch).sum(axis=0), _meetings.zipf(n))
    joint = np.square(batch).T @ (batch > 0)
    np.fill_diagonal(joint, 0)
    np.testing.assert_allclose(joint, _meetings.zipf_joint(n, q))
    assert joint.sum() / (n * (n - 1)) == pytest.approx(q)
    assert joint[0, 1] / joint[4, 5] == pytest.approx(30 / 2)
    sampled = _meetings.inputs_of("Zipf, independent", q, n)
    p = np.array(sampled.probability)
    scale = sampled._scale(n, sampled.batch_size) * sampled.batch_size
    expected = scale * np.outer(p, p)
    np.fill_diagonal(expected, 0)
    np.testing.assert_allclose(expected, _meetings.zipf_joint(n, q))


def test_a_common_curve_is_found_where_there_is_one() -> None:
    rng = np.random.default_rng(8)
    x = np.tile([0.0, 0.05, 0.1, 0.2], 6)
    group = np.repeat(np.arange(6), 4)
    seeds = np.full(24, 400.0)
    level = np.exp(rng.normal(0, 1, 6))[group]
    rates, halves, rejected, moved = [], [], 0, 0
    for _ in range(100):
        total = rng.poisson(seeds * level * np.exp(-7 * x)).astype(float)
        counts = _collapse.Counts(group, x, total, seeds, 1.0)
        fit = _collapse.fall(counts)
        rates.append((fit.coefficients[0] - 7) / np.sqrt(fit.covariance[0, 0]))
        half = _collapse.fall(counts, 2).half
        halves.append(half.low <= np.log(2) / 7 <= half.high)
        rejected += _collapse.p_of(*_collapse.common(counts)) < 0.05
        other = np.where(group == 0, 14, 7)
        total = rng.poisson(seeds * level * np.exp(-other * x)).astype(float)
        moved += _collapse.p_of(*_collapse.common(counts._replace(total=total))) < 0.05
    assert abs(np.mean(rates)) < 0.3
    assert 0.85 < np.std(rates) < 1.15
    assert np.mean(halves) > 0.9
    assert rejected <= stats.binom.ppf(0.999, 100, 0.05)
    assert moved > 50


def test_pairs_that_share_a_favourite_are_counted() -> None:
    config = fp.Config(n_features=6, n_hidden=5, steps=0)
    weights = np.zeros((2, 6, 5))
    weights[0, [0, 1, 2], 3] = 1, -1, 0.5  # three pairs, one of them a couple
    weights[0, 4, 0] = 1  # features 3 and 5 have no weights, hence no favourite
    weights[1] = np.eye(6, 5)
    result = dataclasses.replace(fp.train(config, 2), weights=weights.astype(np.float32))
    taken = cooccurrence.EXPERIMENT.PROBE(result)
    assert taken["sharing"].tolist() == [3, 0]
    assert taken["coupled"].tolist() == [1, 0]
    assert _meetings.classes(6)[0, :3].tolist() == [0, 0, 0]
    assert taken["sharing_0"].tolist() == [2, 0]  # features 0 and 1, 0 and 2, by product of ranks
    assert sum(taken[f"sharing_{c}"][0] for c in range(_meetings.CLASSES)) == 3
    assert (np.diff(_meetings.classes(6)[2]) >= 0).all()


def test_exclusive_favourites() -> None:
    weights = np.array([[[3.0, 2.0, 0.0], [2.5, 0.0, 1.0], [-2.0, 0.0, 1.5], [2.4, -2.2, 0.0]]])
    # Feature 0 has (0, +); 3 is next but (0, +) is taken, and so 1; then 3 takes (1, -).
    assert winners.exclusive(weights).tolist() == [[0, 2, 0, 1]]


def test_push_is_what_interference_takes_away() -> None:
    rng = np.random.default_rng(4)
    weights = rng.standard_normal((2, 5, 7))
    found = winners.push(weights)
    for s, i in np.ndindex(2, 5):
        w = weights[s]
        expected = sum(max(w[i] @ w[j], 0) * w[j] for j in range(5) if j != i)
        np.testing.assert_allclose(found[s, i], expected)


def test_winners_are_ranked_by_their_start() -> None:
    config = fp.Config(n_features=3, n_hidden=9, l1=0.01, steps=20)
    trained = fp.train(config, 3, return_weights=True)
    start = np.asarray(fp.train(config.replace(steps=0), 3, return_weights=True).weights)
    order = np.argsort(-np.abs(start), axis=-1)
    end = np.zeros_like(start)
    for s, i in np.ndindex(3, 3):
        k = order[s, i, [0, 1, 4][i]]
        end[s, i, k] = np.sign(start[s, i, k])
    end[0, 2] *= -1
    end[1, 0] *= 0.5
    taken = winners.EXPERIMENT.PROBE(dataclasses.replace(trained, weights=end))
    assert taken["features"].tolist() == [3, 2, 3]
    assert taken["rank_1"].tolist() == [1, 0, 1]
    assert taken["rank_2"].tolist() == [2, 1, 2]
    assert taken["rank_4"].tolist() == [2, 1, 2]
    assert taken["rank_8"].tolist() == [3, 2, 3]
    assert taken["kept_sign"].tolist() == [2, 2, 3]


def test_rotations_turn_nothing_but_the_basis() -> None:
    rng = np.random.default_rng(5)
    q = baseline.rotation(6, rng)
    np.testing.assert_allclose(q @ q.T, np.eye(6), atol=1e-12)
    # A uniform one: E q_ij⁴ = 3/(m (m + 2)).
    fourth = np.mean([np.mean(baseline.rotation(6, rng) ** 4) for _ in range(2000)])
    assert fourth == pytest.approx(3 / 48, rel=0.03)
    weights = np.zeros((1, 2, 6))
    weights[0, 0, 0], weights[0, 1, :4] = 2, 0.5
    assert baseline.concentration(weights)[0] == pytest.approx((1 + 1 / 4) / 2)


def test_part_of_a_direction_that_rotates() -> None:
    rng = np.random.default_rng(6)
    weights, direction = rng.standard_normal((2, 3, 4, 6))
    part = _edgeworth.along_rotations(weights, direction)
    np.testing.assert_allclose(_edgeworth.along_rotations(weights, part), part, atol=1e-10)
    # W A with A antisymmetric leaves the Gram matrix alone to first order.
    change = part @ np.swapaxes(weights, 1, 2)
    np.testing.assert_allclose(change, -np.swapaxes(change, 1, 2), atol=1e-10)
    # What is left over has no such part: it is orthogonal to W A for every A.
    rest = direction - part
    generator = np.swapaxes(weights, 1, 2) @ rest
    np.testing.assert_allclose(generator, np.swapaxes(generator, 1, 2), atol=1e-10)


def test_predicted_growth_is_that_of_descent_on_the_correction() -> None:
    rng = np.random.default_rng(7)
    config = fp.Config(
        n_features=4,
        n_hidden=6,
        optimizer="sgd",
        learning_rate=1e-3,
        noise="laplace",
        noise_std=0.2,
    )
    weights = rng.normal(0, 0.4, (1, 4, 6))
    gradient = np.zeros_like(weights)
    for place in np.ndindex(*weights.shape):
        ends = []
        for sign in (1, -1):
            moved = weights.copy()
            moved[place] += sign * 1e-5
            ends.append(float(theory.kurtosis_correction(moved, 0.2, 1.0)[0]))  # type: ignore[index]
        gradient[place] = (ends[0] - ends[1]) / 2e-5
    step = _edgeworth.along_rotations(weights, -config.learning_rate * gradient)
    after = metrics.fourth_norm(weights + step).mean() - metrics.fourth_norm(weights - step).mean()
    assert _edgeworth.predicted_growth(weights, config)[0] == pytest.approx(after / 2, rel=1e-3)


def test_terms_of_the_series_are_those_of_the_expected_loss() -> None:
    weights, std = np.random.default_rng(0).normal(0, 0.3, (1, 4, 10)), 0.3
    gram = weights[0] @ weights[0].T
    gaussian = float(np.ravel(theory.gaussian_noise_loss(weights, std))[0])

    def beyond_gaussian(values: list[float], chances: list[float]) -> float:
        noise = np.array(list(itertools.product(values, repeat=10))) @ weights[0].T
        chance = np.prod(list(itertools.product(chances, repeat=10)), axis=1)
        outputs = (
            np.maximum(row + noise, 0) - one for row, one in zip(gram, np.eye(4), strict=True)
        )
        return float(sum(chance @ np.square(each).sum(axis=1) for each in outputs)) - gaussian

    fourth, sixth, square = (
        float(term(weights, std)[0])
        for term in (_edgeworth.fourth_term, _edgeworth.sixth_term, _edgeworth.square_term)
    )
    assert fourth == pytest.approx(float(np.ravel(theory.kurtosis_correction(weights, std, 1))[0]))
    left = beyond_gaussian([-std, std], [0.5, 0.5])
    series = np.cumsum([0, -2 * fourth, 16 * sixth, 4 * square])
    assert (np.diff(np.abs(left - series)) < 0).all()  # each term comes closer
    # Three-point noise without excess kurtosis: what is left begins with the sixth cumulant.
    wide = std * np.sqrt(3)
    left = beyond_gaussian([-wide, 0, wide], [1 / 6, 2 / 3, 1 / 6])
    assert _edgeworth.sixth_cumulant("three_point", 1 / 3) == pytest.approx(-6)
    assert 0.2 < -6 * sixth / left < 1


@pytest.mark.parametrize(
    ("noise", "shape"),
    [("uniform", None), ("laplace", None), ("student_t", 10.0), ("three_point", 0.25)],
)
def test_sixth_cumulants(noise: str, shape: float | None) -> None:
    if noise == "three_point":
        moments = {power: 0.25 ** (1 - power / 2) for power in (4, 6)}
    else:
        law = {
            "uniform": stats.uniform(-np.sqrt(3), 2 * np.sqrt(3)),
            "laplace": stats.laplace(scale=np.sqrt(0.5)),
            "student_t": stats.t(10, scale=np.sqrt(0.8)),
        }[noise]
        moments = {power: law.expect(lambda x, p=power: x**p) for power in (4, 6)}
    expected = moments[6] - 15 * moments[4] + 30
    assert _edgeworth.sixth_cumulant(noise, shape) == pytest.approx(expected, rel=1e-4)


def test_overlaps_under_two_valued_noise_are_about_minus_its_size() -> None:
    noise = {"noise": "rademacher", "noise_std": 0.15, "noise_sharing": "input"}
    training = {"optimizer": "sgd", "learning_rate": 0.02, "steps": 20_000}
    config = fp.Config(n_features=8, n_hidden=16, **noise, **training)  # type: ignore[arg-type]
    weights = np.asarray(fp.train(config, 10, return_weights=True).weights)
    for model in weights:
        own = model[np.abs(model).max(axis=1) >= 0.8]
        overlaps = (own @ own.T)[~np.eye(len(own), dtype=bool)]
        assert len(own) >= 6
        assert overlaps.max() < 0
        assert overlaps.mean() == pytest.approx(-0.15, abs=0.03)


def test_planted_pairs_are_counted_and_own_neurons_are_none() -> None:
    own, pairs = (_planted.planted(6, 8, paired=paired) for paired in (False, True))
    assert _planted.count_pairs(np.array([own, pairs])).tolist() == [0, 3]
    same = np.abs(pairs)  # equal signs: no pair
    assert _planted.count_pairs(same[np.newaxis]).tolist() == [0]
    # Own neurons: each output of 5 others passes half of the noise's variance, and its own all.
    loss = _planted.expected_loss(own[np.newaxis], np.arange(1), 0.1)
    assert loss[0] == pytest.approx(6 * 0.01 * (1 + 5 / 2), rel=0.05)
    assert _planted.expected_loss(pairs[np.newaxis], np.arange(1), 0.1)[0] < loss[0]


def test_noise_of_equal_kurtosis_is_labelled_so() -> None:
    labels = pd.DataFrame(
        [kurtosis.EXPERIMENT.labels(one) for one in kurtosis.EXPERIMENT.configs("paper")]
    )
    small = (labels["sharing"] == "step") & (labels["n_features"] == 8)
    found = labels[small].set_index("noise")["kurtosis"]
    assert found["rademacher"] == found["three_point 1"] == -2
    assert found["gaussian"] == 0
    assert found["three_point 0.333"] == pytest.approx(0, abs=1e-12)
    assert found["laplace"] == found["student_t 6"] == pytest.approx(3)


def test_the_early_look_is_compared_with_the_lengths_of_training() -> None:
    page = " ".join((FINDINGS / "winners.md").read_text(encoding="utf-8").split())
    settings = ["n_features", "n_hidden", "l1", "optimizer"]
    steps = page_rows("winners").groupby(settings)["steps_taken"].mean()
    assert f"of {round(steps.min(), -2):.0f} to {round(steps.max(), -2):.0f}. Under SGD" in page


def test_seeds_that_lose_all_features_have_not_diverged() -> None:
    data = winners.EXPERIMENT.run("quick", seeds=4, n_features=16, n_hidden=64, l1=1.1, steps=300)
    table = winners.EXPERIMENT.table(data).set_index("optimizer")
    assert (table["diverged"] == 0).all()
    assert table.loc["adamw", "unrepresented"] == 16
    assert np.isnan(table.loc["adamw", "favourite"])
    assert 15 < table.loc["sgd", "unrepresented"] < 16
    assert table.loc["sgd", "favourite"] == 1


@pytest.mark.parametrize("kurtosis_is", ["inf", "3e-07", "-1.2"])
def test_kurtosis_is_read_as_it_is_written(kurtosis_is: str) -> None:
    name = f"n = 8, std 0.15, by step: some noise (κ = {kurtosis_is}) against gaussian"
    row = {"test": name, "outcome": EFFECT, "difference": -0.5}
    data = Answers(page_rows("kurtosis"))
    sentence = kurtosis.EXPERIMENT.say(data, EFFECT, pd.DataFrame([row]))
    value = float(kurtosis_is)
    assert f"negative κ in 0 of {int(value < -1e-6)}" in sentence
    assert f"positive κ in {int(value > 1e-6)} of {int(value > 1e-6)}" in sentence


def test_remedies_are_recognised() -> None:
    config = fp.Config(n_features=8, n_hidden=16, l1=0.03, l1_update="orthant", steps=2000)
    assert tradeoff.named(config) == (tradeoff.NONE, 0.0)
    for steps in (2000, 1001, 4615):  # schedules change at whole steps
        for name, strength in tradeoff.PRIMARY.items():
            if name == tradeoff.WIDER:
                continue
            treated = tradeoff.remedy(config.replace(steps=steps), name, strength)
            assert treated is not None
            assert tradeoff.named(treated) == (name, strength)
    assert tradeoff.remedy(config, "features meet", 5.0) is None  # more often than it is on
    treated = tradeoff.remedy(config, "l1 dropped at the end", 0.25)
    assert treated is not None
    assert treated.l1_schedule == ((1499, 1.0), (1500, 0.0))


def test_remedies_are_compared_at_the_same_loss() -> None:
    rng = np.random.default_rng(9)
    same = {"n_features": 8, "n_hidden": 16, "optimizer": "adamw", "diverged": False}
    rows = []

    def add(remedy: str, l1: float, alone: float, loss: float) -> None:
        for seed in range(40):
            own = {"seed": seed, "alone": alone + rng.normal(0, 0.01), "loss": loss}
            own |= {"loss_mixed": loss, "strength": tradeoff.PRIMARY.get(remedy, 0.0)}
            rows.append({**same, **own, "remedy": remedy, "l1": l1})

    for l1, alone, loss in ((0.01, 0.5, 1e-4), (0.03, 0.6, 1e-3), (0.1, 0.8, 1e-2)):
        add("none", l1, alone, loss)
    add("repulsion", 0.03, 0.7, 10**-2.5)  # half-way between 0.6 and 0.8
    add("dropout", 0.03, 0.8, 1.0)
    data = Answers(pd.DataFrame(rows))
    found = {}
    for name in ("repulsion", "dropout"):
        row = {**same, "remedy": name, "l1": 0.03, "strength": tradeoff.PRIMARY[name]}
        found[name] = tradeoff.matched(tradeoff.by_setting(data), row, "")
    test, beyond = found["repulsion"]
    assert test.difference.value == pytest.approx(0, abs=0.01)
    assert beyond == ""
    test, beyond = found["dropout"]
    assert test.difference.value == pytest.approx(0, abs=0.01)
    assert beyond == "above"


def test_a_move_to_the_least_used_neuron_survives_training() -> None:
    config = fp.Config(
        n_features=4, n_hidden=3, l1=0.03, l1_update="orthant", stop="certified", steps=20_000
    )
    shared = np.zeros((4, 3))
    shared[[0, 1], 0] = 1, -1
    shared[2, 1] = 1
    moved = diagnose.parted(shared, 0, 1)
    assert moved[1].tolist() == [0, 0, -1]  # neuron 2 was the least used
    full = shared.copy()
    full[3, 2] = 0.9
    crowded = diagnose.parted(full, 0, 1)
    assert crowded[1].tolist() == [0, 0, -1]  # where feature 3 already is
    seeds = np.arange(1)
    counts = [
        int(diagnose.trained_on(config, seeds, one[np.newaxis]).shared[0])
        for one in (full, crowded)
    ]
    assert counts == [1, 1]
    small = config.replace(n_features=3)
    kept, apart = (
        diagnose.trained_on(small, seeds, one[np.newaxis, :3]) for one in (shared, moved)
    )
    assert (kept.shared[0], apart.shared[0]) == (1, 0)
    assert apart.objective[0] == pytest.approx(kept.objective[0], rel=1e-3)


def test_every_way_of_optimizers_has_its_name() -> None:
    names = [
        optimizers.EXPERIMENT.labels(one)["way"] for one in optimizers.EXPERIMENT.configs("paper")
    ]
    assert list(dict.fromkeys(names)) == list(optimizers.WAYS)
    names = [
        baseline.EXPERIMENT.labels(one)["optimizer"] for one in baseline.EXPERIMENT.configs("paper")
    ]
    assert list(dict.fromkeys(names)) == list(baseline.WAYS)


def test_favourites_that_win_are_counted() -> None:
    config = fp.Config(n_features=3, n_hidden=9, l1=0.01, steps=20)
    trained = fp.train(config, 2, return_weights=True)
    start = np.asarray(fp.train(config.replace(steps=0), 2, return_weights=True).weights)
    order = np.argsort(-np.abs(start), axis=-1)
    end = np.zeros_like(start)
    for s, i in np.ndindex(2, 3):
        end[s, i, order[s, i, 0]] = -1
    end[0, 1] = np.roll(end[0, 1], 1)  # another neuron wins
    end[1, 2] *= 0.5  # not represented
    taken = optimizers.EXPERIMENT.PROBE(dataclasses.replace(trained, weights=end))
    assert taken["features"].tolist() == [3, 2]
    assert taken["favourites"].tolist() == [2, 2]
    rows = pd.DataFrame({**taken, "n_features": 64, "n_hidden": 128, "signed_slots": [7, 0]})
    found = optimizers.measured(rows)
    assert found["favoured"].tolist() == [2 / 3, 1]
    assert found["ratio"].tolist() == [7 / theory.null_mean(64, 128), 0]


def test_arms_of_optimizers_differ_in_one_respect_each() -> None:
    cells = optimizers.CELLS
    for cell, (seeds, arms) in cells.items():
        assert arms[0] == optimizers.REFERENCE, cell
        assert len(set(arms)) == len(arms)
        assert seeds >= 6
    listed = optimizers.EXPERIMENT.configs("paper")
    assert len(listed) == sum(len(arms) for _, arms in cells.values())
    adam = listed[0].replace(optimizer="adam", learning_rate=1e-3)
    scalar = next(one for one in listed if one.second_moment == "scalar")
    assert scalar == adam.replace(second_moment="scalar")
