"""The notebooks run from top to bottom and print what they hold."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path

import matplotlib
import pytest

NOTEBOOKS = sorted((Path(__file__).parent.parent / "examples").glob("*.ipynb"))


@pytest.mark.extra
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_prints_what_it_holds(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    for package, written in {"torch": "import torch", "sklearn": "datasets.digits("}.items():
        if any(written in "".join(cell["source"]) for cell in code):
            pytest.importorskip(package)
    monkeypatch.chdir(tmp_path)
    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    names: dict[str, object] = {"__name__": "__main__"}
    drawn = printed = 0
    for index, cell in enumerate(code):
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            exec(compile("".join(cell["source"]), f"{path.name}, cell {index}", "exec"), names)
        kept = [one for one in cell["outputs"] if one["output_type"] == "stream"]
        assert said.getvalue() == "".join("".join(one["text"]) for one in kept)
        assert all(one["name"] == "stdout" for one in kept)
        pictures = sum("image/png" in one.get("data", {}) for one in cell["outputs"])
        assert pictures == len(plt.get_fignums())
        plt.close("all")
        drawn, printed = drawn + pictures, printed + len(kept)
    assert drawn
    assert printed
