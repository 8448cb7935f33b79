"""The pages of findings say what the data beside them say."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[1] / "docs" / "findings.py"

if not SCRIPT.exists():  # source distributions come without the pages
    pytest.skip("no docs here", allow_module_level=True)


def _script() -> Any:
    spec = importlib.util.spec_from_file_location("findings", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


FINDINGS = _script()


@pytest.mark.parametrize("name", FINDINGS.names())
def test_verdicts_and_tables_are_those_of_the_data(name: str) -> None:
    page = (FINDINGS.FOLDER / f"{name}.md").read_text(encoding="utf-8")
    assert FINDINGS.filled(name, page) == page, f"run `python docs/findings.py write {name}`"


def test_a_page_that_says_something_else_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (FINDINGS.FOLDER / "baseline.md").read_text(encoding="utf-8")
    (tmp_path / "baseline.md").write_text(page.replace("| effect |", "| none |"), encoding="utf-8")
    data = (FINDINGS.FOLDER / "baseline.parquet").read_bytes()
    (tmp_path / "baseline.parquet").write_bytes(data)
    monkeypatch.setattr(FINDINGS, "FOLDER", tmp_path)
    assert FINDINGS.main(["check"]) == 1
    assert "baseline" in capsys.readouterr().out
    assert FINDINGS.main(["write", "baseline"]) == 0
    assert FINDINGS.main(["check", "baseline"]) == 0
    (tmp_path / "baseline.md").write_text("# Nothing\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"baseline\.md must have"):
        FINDINGS.main(["check"])
