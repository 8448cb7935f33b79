"""Runs the notebooks of this folder from top to bottom and keeps what they print and draw.

python examples/run.py [NAME ...]
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).parent


def run(path: Path) -> None:
    """Run one notebook in place; an error ends it and is raised."""
    notebook = nbformat.read(path, as_version=4)
    start = time.perf_counter()
    NotebookClient(notebook, timeout=600, kernel_name="python3").execute()
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)  # times differ from run to run
    nbformat.write(notebook, path)
    print(f"{path.name}: {time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    names = sys.argv[1:] or sorted(path.name for path in FOLDER.glob("*.ipynb"))
    for name in names:
        run(FOLDER / name)
