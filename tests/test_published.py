"""The page that holds our numbers against the published ones says what its data say."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastpolysem import experiments

SCRIPT = Path(__file__).parents[1] / "docs" / "published.py"

if not SCRIPT.exists():  # source distributions come without the pages
    pytest.skip("no docs here", allow_module_level=True)


@pytest.fixture(scope="module")
def published() -> Any:
    spec = importlib.util.spec_from_file_location("published", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_what_its_data_say(published: Any) -> None:
    assert published.main(["check"]) == 0


def test_no_interval_exceeds_what_is_possible(published: Any) -> None:
    found = 0
    columns: dict[int, float] = {}
    for line in published.PAGE.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.split("|")]
        if heads := {
            at: float(most[1])
            for at, cell in enumerate(cells)
            if (most := re.fullmatch(r"unrepresented \(of (\d+)\).*", cell))
        }:
            columns = heads
        elif not line.startswith("|"):
            columns = {}
        for at, most in columns.items():
            if interval := re.search(r"\[(\S+), (\S+)\]", cells[at]):
                assert 0 <= float(interval[1]) <= float(interval[2]) <= most, line
                found += 1
    assert found > 20


def test_a_page_that_says_something_else_is_found(
    published: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "published.md"
    text = published.PAGE.read_text(encoding="utf-8")
    page.write_text(text.replace("| 32 |", "| 31 |"), encoding="utf-8")
    monkeypatch.setattr(published, "PAGE", page)
    assert published.main(["check"]) == 1
    assert published.main(["write"]) == 0
    assert page.read_text(encoding="utf-8") == text


def test_the_runs_are_settings_of_experiments(published: Any) -> None:
    for name, preset, seeds, changes in published.RUNS:
        experiment = experiments.get(name)
        assert seeds >= 1
        assert experiment.configs(preset, **changes)
        assert name in published.KEEP


def test_differences_from_published_means(published: Any) -> None:
    ours = np.array([8.0, 12.0] * 32)
    gap, power = published._compared(11.0, 16, ours)
    error = ours.std(ddof=1) * np.sqrt(1 / 16 + 1 / 64) / 10
    assert gap == f"+10 [{10 - 199.8 * error:+.0f}, {10 + 199.8 * error:+.0f}] %"
    assert power == f"{100 * (1.998 + 0.847) * error:.0f} %"
    assert published._compared(10.0, 16, ours[:1]) == ["", ""]
