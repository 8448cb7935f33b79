"""What results print: sentences with sensible digits, and tables in notebooks."""

from __future__ import annotations

import math

import numpy as np
import pytest

import fastpolysem as fp
from fastpolysem.statistics import Comparison, Estimate


@pytest.mark.parametrize(
    ("estimate", "said"),
    [
        (Estimate(2.5, 0.9147, 5.0912), "2.5, interval 0.9 to 5.1"),
        (Estimate(1234.567, 1230.0, 1239.0), "1234.6, interval 1230.0 to 1239.0"),
        (Estimate(1234.567, 1000.0, 1500.0), "1230, interval 1000 to 1500"),
        (Estimate(0.00123456, 0.00121, 0.00126), "0.001235, interval 0.001210 to 0.001260"),
        (Estimate(2e-9, 1e-9, 3e-9), "2e-09, interval 1e-09 to 3e-09"),
        (Estimate(3.0, 3.0, 3.0), "3, interval 3 to 3"),
        (Estimate(3.0, math.nan, math.nan), "3, interval unknown"),
        (Estimate(math.nan, math.nan, math.nan), "no value"),
        (Estimate(5.0, 2.0, math.inf), "5, interval 2 to inf"),
    ],
)
def test_estimates_are_as_precise_as_their_interval(estimate: Estimate, said: str) -> None:
    assert str(estimate) == said
    assert repr(estimate) == f"<Estimate: {said}>"
    value, low, high = estimate  # still numbers
    assert low <= value <= high or not np.isfinite([value, low, high]).all()
    assert "<table>" in estimate._repr_html_()


def test_comparisons_are_sentences_and_tables() -> None:
    found = fp.statistics.compare([1, 2, 3, 4], [2, 3, 4, 6])
    assert str(found) == (
        "difference of means -1.2, interval -3.9 to 1.4 (Welch's t test, p = 0.29, "
        "Cohen's d = -0.83)"
    )
    assert repr(found) == f"<Comparison: {found}>"
    page = found._repr_html_()
    for entry in ("-1.2", "-3.9 … 1.4", "0.29", "-0.83", "Welch&#39;s t test"):
        assert f"<td>{entry}</td>" in page
    same = Comparison(Estimate(0.0, -1.0, 1.0), math.nan, math.nan, "paired")
    assert str(same) == "difference of means 0.0, interval -1.0 to 1.0 (paired t test, p = nan)"


def test_a_diagnosis_lists_its_neurons() -> None:
    found = fp.diagnose(np.array([[1, 0, 0.0], [-1, 0, 0], [0, 1, 0]]))
    page = found._repr_html_()
    assert page.startswith(f"<p>{found}</p>")
    assert page.count("<tr>") == 2
    for entry in ("0, 1", "opposite (benign)", "incidental"):
        assert f"<td>{entry}</td>" in page
    many = fp.diagnose(np.kron(np.eye(40), [[1], [-1]]))
    assert "<p>… and 10 more</p>" in many._repr_html_()
    assert "<table>" not in fp.diagnose(np.eye(3))._repr_html_()


def test_dir_shows_public_names_only() -> None:
    assert dir(fp) == sorted(fp.__all__)


@pytest.mark.parametrize(
    ("config", "name", "hint"),
    [
        (fp.Config, "hidden_activation", "its hidden layer is linear"),
        (fp.Config, "targets", "its targets are its inputs"),
        (fp.NetworkConfig, "hidden_activation", "did you mean 'activation'"),
        (fp.NetworkConfig, "targets", "did you mean 'target'"),
        (fp.Config, "activations", "did you mean 'activation'"),
    ],
)
def test_suggestions_do_not_mislead(config: type, name: str, hint: str) -> None:
    with pytest.raises(TypeError, match=rf"has no field '{name}'; {hint}"):
        config(**{name: 1})
