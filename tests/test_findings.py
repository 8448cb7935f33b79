"""The pages of findings say what the data beside them say."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

SCRIPT = Path(__file__).parents[1] / "docs" / "findings.py"

if not SCRIPT.exists():  # source distributions come without the pages
    pytest.skip("no docs here", allow_module_level=True)


def _script(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


FINDINGS = _script(SCRIPT)
SUMMARY = _script(SCRIPT.with_name("summary.py"))


@pytest.mark.parametrize(
    "name", [*FINDINGS.names(), pytest.param(FINDINGS.INDEX, marks=pytest.mark.slow)]
)
def test_verdicts_and_tables_are_those_of_the_data(name: str) -> None:
    page = (FINDINGS.FOLDER / f"{name}.md").read_text(encoding="utf-8")
    assert FINDINGS.filled(name, page) == page, f"run `python docs/findings.py write {name}`"


@pytest.mark.parametrize("path", sorted(FINDINGS.FOLDER.glob("*.parquet")), ids=lambda p: p.stem)
def test_no_whole_number_overflowed(path: Path) -> None:
    least = pd.read_parquet(path).select_dtypes("integer").min()
    assert (least >= -1).all(), least[least < -1]


def test_a_page_that_says_something_else_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (FINDINGS.FOLDER / "baseline.md").read_text(encoding="utf-8")
    (tmp_path / "baseline.md").write_text(page.replace("| effect |", "| none |"), encoding="utf-8")
    data = (FINDINGS.FOLDER / "baseline.parquet").read_bytes()
    (tmp_path / "baseline.parquet").write_bytes(data)
    monkeypatch.setattr(FINDINGS, "FOLDER", tmp_path)
    assert FINDINGS.main(["check", "baseline"]) == 1
    assert "baseline" in capsys.readouterr().out
    assert FINDINGS.main(["write", "baseline"]) == 0
    assert FINDINGS.main(["check", "baseline"]) == 0
    (tmp_path / "baseline.md").write_text("# Nothing\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"baseline\.md must have"):
        FINDINGS.main(["check", "baseline"])


def test_a_second_file_of_data_has_its_places(tmp_path: Path, monkeypatch: Any) -> None:
    for name in ("baseline", "baseline_more"):
        data = (FINDINGS.FOLDER / "baseline.parquet").read_bytes()
        (tmp_path / f"{name}.parquet").write_bytes(data)
    page = (FINDINGS.FOLDER / "baseline.md").read_text(encoding="utf-8")
    monkeypatch.setattr(FINDINGS, "FOLDER", tmp_path)
    places = "<!-- more verdict -->\n<!-- end -->\n\n<!-- more tests -->\n<!-- end -->\n"
    filled = FINDINGS.filled("baseline", f"{page}\n{places}")
    assert filled.count("**Verdict (effect).**") == 2
    assert filled.count("| test | difference |") == 2
    assert FINDINGS.filled("baseline", filled) == filled
    # Before those of the page, whose own table is still the one that is replaced.
    first = f"{places}\n{page}".replace("| effect |", "| none |")
    assert FINDINGS.filled("baseline", first).count("| none |") == 0


def test_the_summary_figure_shows_the_data_of_the_pages() -> None:
    lines = SUMMARY.lines()
    assert list(lines) == [*SUMMARY.LAYERS.values(), *SUMMARY.CLASSIFIERS.values()]
    rows = pd.read_parquet(FINDINGS.FOLDER / "hidden.parquet")
    for arm, label in SUMMARY.LAYERS.items():
        for point in lines[label].itertuples():
            here = rows[(rows["n_features"] == 32) & (rows["n_hidden"] == 32 * point.width)]
            mean = here.loc[here["arm"] == arm, "shared_use"].mean()
            assert point.shared_use == pytest.approx(mean, abs=1e-6)
    page = (FINDINGS.FOLDER / "classify.md").read_text(encoding="utf-8")
    table = page[page.index("<!-- use -->") :].split("<!-- end -->")[0]
    cells = [line.split("|") for line in table.splitlines() if "| dense |" in line]
    shown = [float(line[6]) for line in cells]
    drawn = [lines[label]["shared_use"] for label in SUMMARY.CLASSIFIERS.values()]
    assert np.round(np.concatenate(drawn), 2).tolist() == shown
    assert SUMMARY.IMAGE.exists()
