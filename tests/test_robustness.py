"""The experiment on robust representations: classes, classifiers and noise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastpolysem as fp
from fastpolysem.experiments import robustness
from fastpolysem.experiments._answers import Answers
from fastpolysem.experiments._networks import Case

FINDINGS = Path(__file__).parents[1] / "docs" / "findings"


def config(**changes: Any) -> fp.NetworkConfig:
    settings = {"features": 12, "neurons": 6, "representation": "polysemantic", "steps": 40}
    case = robustness.EXPERIMENT.case(**{**settings, "optimizer": "adam", **changes})
    assert isinstance(case, Case)
    return case.config


def test_classes_are_those_of_the_largest_sum() -> None:
    x = np.zeros((3, 30))
    x[0, [3, 13, 5]] = 0.4, 0.4, 0.7  # class 3 has 0.8 in two features
    x[1, [4, 24]] = 0.5, 0.9  # 24 counts only if it is relevant
    x[1, 7] = 0.8
    x[2, 29] = 1
    generator = np.random.default_rng(0)
    assert robustness.classes_of(x, 30, generator).tolist() == [3, 4, 9]
    assert robustness.classes_of(x, 20, generator)[:2].tolist() == [3, 7]


def test_classifiers_are_ridge_regressions() -> None:
    rng = np.random.default_rng(1)
    z, labels = rng.standard_normal((60, 4)), rng.integers(0, robustness.CLASSES, 60)
    design = np.column_stack([z, np.ones(60)])
    wanted = np.eye(robustness.CLASSES)[labels] - 0.1
    for one, penalty in zip(robustness.classifiers(z, labels), robustness._PENALTIES, strict=True):
        solved = np.linalg.solve(design.T @ design + penalty * np.eye(5), design.T @ wanted)
        np.testing.assert_allclose(one, solved, atol=1e-10)
    perfect = np.vstack([10 * np.eye(10), np.zeros((1, 10))])
    assert robustness.accuracy(perfect, np.eye(10)[labels], labels) == 1


def test_accuracies_of_representations_made_by_hand() -> None:
    kept = np.eye(40, 20)
    found = robustness.accuracies(kept, 20, seed=5)
    assert set(found) == set(robustness.CONDITIONS)
    scaled = robustness.accuracies(7 * kept, 20, seed=5)
    assert scaled == pytest.approx(found)  # the norm is the same for all
    assert found["clean"] > 0.75
    assert found["clean"] >= found["input_0.1"] > found["input_0.3"] > found["input_1.0"]
    assert found["few_20"] < found["few_300"] <= found["clean"] + 0.05
    assert found["labels_0.8"] < found["labels_0.3"]
    # Features that were dropped cannot be told apart, and nothing is left without features.
    assert robustness.accuracies(kept, 40, seed=5)["clean"] < found["clean"] - 0.1
    nothing = robustness.accuracies(np.zeros((40, 20)), 40, seed=5)
    assert nothing["clean"] == pytest.approx(0.1, abs=0.15)


def test_rotations_change_no_accuracy() -> None:
    """What makes every neuron polysemantic costs nothing, so that robustness is not due to them."""
    kept, generator = np.eye(40, 20), np.random.default_rng(3)
    turned = kept @ np.linalg.qr(generator.standard_normal((20, 20)))[0]
    found, expected = (robustness.accuracies(w, 25, seed=4) for w in (turned, kept))
    assert found == pytest.approx(expected, abs=1e-3)


def test_columns_depend_on_the_seed_alone() -> None:
    whole, part = (fp.train(config(), seeds, return_weights=True) for seeds in (4, [2]))
    of_all, of_one = (robustness.EXPERIMENT.PROBE(result) for result in (whole, part))
    assert set(of_all) == set(robustness.Classified.columns)
    for name, values in of_one.items():
        assert values[0] == of_all[name][2], name


def test_tasks() -> None:
    assert robustness._relevant((40, 20, 40)) == {"all": 40, "matched": 25, "kept": 20}
    assert robustness._relevant((8, 8, 8)) == {"all": 8, "matched": 8, "kept": 8}
    with pytest.raises(ValueError, match="representation"):
        robustness.EXPERIMENT.configs("quick", representation="mixed")
    with pytest.raises(ValueError, match="optimizer"):
        robustness.EXPERIMENT.configs("quick", optimizer="adamw")


@pytest.mark.skipif(not FINDINGS.exists(), reason="no docs here")
def test_what_the_page_says_in_its_text() -> None:
    page = " ".join((FINDINGS / "robustness.md").read_text(encoding="utf-8").split())
    means = robustness.EXPERIMENT.table(Answers.read(FINDINGS / "robustness.parquet"))
    means = means.set_index("representation")
    mono, poly = (means.loc[kind].set_index("optimizer") for kind in robustness.DENSITIES)

    def points(columns: list[str]) -> str:
        lead = np.ravel([100 * (poly[one] - mono[one]) for one in columns])
        return f"{np.abs(lead).min():.0f} to {np.abs(lead).max():.0f} points"

    labels = ("labels_0.1", "labels_0.6", "few_50")
    assert f"are better by {points([f'{one}_all' for one in labels])}" in page
    assert points(["labels_0.8_all"]) == "1 to 1 points"
    assert "they lead by only 1 point" in page
    assert f"by {points(['input_0.3_all'])} under noise with" in page
    noisy = ("input_0.1", "input_0.3", "labels_0.6", "few_50")
    assert f"by {points([f'{one}_matched' for one in noisy])} in all conditions tested" in page
    kept = [f"{one}_kept" for one in robustness.PRIMARY]
    assert f"better in all conditions tested, by {points(kept)}" in page
    for name in robustness.PRIMARY:
        ahead = mono[f"{name}_all_untrained"] > mono[f"{name}_all"]
        assert ahead.all() == (name != "input_0.3")


@pytest.mark.skipif(not FINDINGS.exists(), reason="no docs here")
def test_what_the_page_says_of_other_sizes() -> None:
    page = " ".join((FINDINGS / "robustness.md").read_text(encoding="utf-8").split())
    means = robustness.EXPERIMENT.table(Answers.read(FINDINGS / "robustness_sizes.parquet"))
    by = means.set_index(["features", "representation", "optimizer"])
    mono, poly = (by.xs(kind, level=1) for kind in robustness.DENSITIES)
    lead = 100 * (poly - mono)[[f"{one}_all" for one in robustness.PRIMARY]]
    strong = lead.pop("input_0.3_all")
    assert (
        f"by {lead.loc[20].min().min():.0f} to {lead.loc[20].max().max():.0f} points, except"
        in page
    )
    assert f"worse by {-strong[20].max():.1f} to {-strong[20].min():.1f} points, which" in page
    assert lead.loc[80].min().min() > 0
    said = (
        f"at input noise 0.3 by {strong[80].min():.1f} to {strong[80].max():.1f} points, which is"
    )
    assert said in page
    assert strong[80].abs().max() < 100 * robustness.MARGIN
    for part, kind in ((mono, "monosemantic"), (poly, "polysemantic")):
        gone = part.loc[80, "not_learned"]
        assert f"{gone.min():.0f} to {gone.max():.0f} by {kind}" in page
    for name, said in (
        ("shared_use", "only {} to {} falls"),
        ("chance", "with {} to {} by chance"),
    ):
        here = poly.loc[80, name]
        assert said.format(f"{here.min():.2f}", f"{here.max():.2f}") in page

    def better(*conditions: str) -> list[float]:
        return [
            100 * (mono.loc[(20, optimizer), name] - poly.loc[(20, optimizer), name])
            for optimizer, task in (("adam", "kept"), ("sgd", "matched"))
            for name in (f"{one}_{task}" for one in conditions)
        ]

    found = better("input_0.3", "labels_0.6", "few_50")
    assert f"better by {min(found):.0f} to {max(found):.0f} points under input noise of 0.3" in page
    weak = better("input_0.1")
    assert f"by {min(weak):.1f} to {max(weak):.1f} points, less than the margin" in page
    assert max(weak) < 100 * robustness.MARGIN
    assert max(map(abs, better("labels_0.1"))) < 100 * robustness.MARGIN
    clean = [f"clean_{task}" for task in robustness.TASKS]
    assert (poly - mono).loc[80, clean].min().min() > robustness.MARGIN
