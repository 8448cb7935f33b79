"""Draws the figures of gallery.md into images/, as its code says: `python docs/gallery.py`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib import pyplot as plt

DOCS = Path(__file__).parent
_ENTRY = re.compile(r":::\{figure\} (images/\S+)\n.*?`(plots\.\w+\(.*?\))`\n:::", re.DOTALL)
_SIZE = (4.4, 3.1)  # inches, of figures with one pair of axes


def entries() -> dict[str, str]:
    """The calls that draw the images, by the images' paths."""
    text = (DOCS / "gallery.md").read_text(encoding="utf-8")
    return {image: " ".join(call.split()) for image, call in _ENTRY.findall(text)}


def names() -> dict[str, Any]:
    """What the page's code defines."""
    found: dict[str, Any] = {}
    text = (DOCS / "gallery.md").read_text(encoding="utf-8")
    for code in re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE):
        exec(code, found)
    return found


def main() -> None:
    """Draw all of them."""
    matplotlib.use("Agg")
    defined = names()
    for image, call in entries().items():
        figure = eval(call, defined).figure.canvas.figure
        if len(figure.axes) <= 2:
            figure.set_size_inches(_SIZE)
        figure.savefig(DOCS / image, dpi=110, metadata={"Software": None})
        plt.close("all")


if __name__ == "__main__":
    main()
