"""Some configurations of a study, by their settings and metadata."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastpolysem as fp
from helpers import synthetic
from helpers.dice import DiceConfig

BASE = fp.Config(n_features=8, n_hidden=16, l1=1e-2, steps=5)
ADAM = BASE.replace(optimizer="adam")
CONFIGS = fp.grid(BASE, l1=[1e-3, 1e-2], optimizer=["adam", "adamw"], n_hidden=[16, 32])


@pytest.fixture(scope="module")
def study() -> fp.Study:
    return synthetic.study(*(synthetic.result(config, [1, 2, 3]) for config in CONFIGS))


@pytest.mark.parametrize(
    ("values", "kept"),
    [
        ({}, lambda c: True),
        ({"l1": 1e-3}, lambda c: c.l1 == 1e-3),
        (
            {"l1": np.float64(1e-3), "optimizer": "adam"},
            lambda c: (c.l1, c.optimizer) == (1e-3, "adam"),
        ),
        ({"n_hidden": [16]}, lambda c: c.n_hidden == 16),
        ({"n_hidden": range(16, 33, 16)}, lambda c: True),
        ({"n_hidden": (16, 32)}, lambda c: True),
        ({"n_hidden": np.array([32])}, lambda c: c.n_hidden == 32),
        ({"optimizer": {"adam"}}, lambda c: c.optimizer == "adam"),
        ({"betas": (0.9, 0.999), "n_hidden": 16}, lambda c: c.n_hidden == 16),
        ({"betas": "(0.9, 0.999)"}, lambda c: True),
        ({"inputs": fp.Basis()}, lambda c: True),
        ({"inputs": "Basis()"}, lambda c: True),
        ({"noise_shape": None}, lambda c: True),
        ({"tied": True}, lambda c: True),
        ({"digest": ADAM.digest}, lambda c: c == ADAM),
    ],
)
def test_select_keeps_what_has_the_values(
    study: fp.Study, values: dict[str, Any], kept: Any
) -> None:
    assert study.select(**values).configs == tuple(filter(kept, CONFIGS))


def test_the_rows_are_those_of_the_study(study: fp.Study) -> None:
    some = study.select(optimizer="adam")
    assert len(some) == len(study) // 2
    whole = study.summary()
    expected = whole[whole["optimizer"] == "adam"].reset_index(drop=True)
    assert some.summary()["mean"].tolist() == expected["mean"].tolist()
    assert "optimizer" not in some.summary()
    some.add(synthetic.result(BASE.replace(n_hidden=64), [1]))
    assert len(study.configs) == len(CONFIGS)


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        ({"n_hiden": 16}, TypeError, "has no field 'n_hiden'; did you mean 'n_hidden'"),
        ({"l1": 0.5}, ValueError, r"Study\.select: l1 must be one of 0\.001, 0\.01, got 0\.5"),
        ({"l1": [1e-3, 0.5]}, ValueError, r"l1 must be one of 0\.001, 0\.01, got 0\.5"),
        ({"n_hidden": []}, ValueError, "must hold at least one"),
        ({"optimizer": None}, ValueError, "must be one of adam, adamw, got None"),
    ],
)
def test_what_is_not_there_is_said(
    study: fp.Study, values: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        study.select(**values)


def test_values_that_never_meet(study: fp.Study) -> None:
    half = study.select(optimizer="adam", l1=1e-3)
    half.add(synthetic.result(BASE, [1]))
    with pytest.raises(
        ValueError, match=r"no configuration has all of l1=0\.001, optimizer='adamw'"
    ):
        half.select(l1=1e-3, optimizer="adamw")


def test_metadata_and_families(tmp_path: Any) -> None:
    fp.collect(BASE, seeds=2, path=tmp_path, metadata={"series": "a", "parts": [1, 2]})
    fp.collect(BASE.replace(n_hidden=32), seeds=2, path=tmp_path)
    dice = DiceConfig(rows=4, columns=2)
    fp.collect(dice, seeds=2, path=tmp_path)
    study = fp.Study.open(tmp_path)
    assert study.select(series="a").configs == (BASE,)
    for parts in ([1, 2], (1, 2), [[1, 2]], ([1, 2], [1, 2]), "[1, 2]"):
        assert study.select(parts=parts).configs == (BASE,)
    assert study.select(parts=[[1, 2], None]).configs == study.configs
    for parts in ([1], [2, 1], [[1, 2], 3]):
        with pytest.raises(ValueError, match=r"Study.select: parts must be one of \[1, 2\]"):
            study.select(parts=parts)
    assert study.select(series=None, family="autoencoder").configs == (BASE.replace(n_hidden=32),)
    assert study.select(family="dice").configs == (dice,)
    assert study.select(family="dice").path == study.path
    network = fp.NetworkConfig(widths=(3, 4, 3), steps=2)
    study.add(fp.train(network, 2))
    assert (
        study.select(widths=(3, 4, 3)).configs == study.select(widths="3-4-3").configs == (network,)
    )
