"""The verdicts and tables of the pages in `findings/`: fills them in from the data beside each.

python docs/findings.py write [NAME ...]   fills in these pages, by default all
python docs/findings.py check [NAME ...]   fails if a page differs from its data

On each page the verdict and its table of tests are replaced where they are. Other tables stand
between ``<!-- NAME -->`` and ``<!-- end -->``; the experiment's `Question.tables` has them. Those
of a second file of data, ``PAGE_PART.parquet``, are called ``PART NAME``, and its verdict and tests
``PART verdict`` and ``PART tests``; a page shows those that it has a place for.
"""

from __future__ import annotations

import re
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fastpolysem import experiments
from fastpolysem.experiments._answers import Answers, Question

FOLDER = Path(__file__).with_name("findings")
WIDTH = 100


def names() -> list[str]:
    """The experiments that have a page with data."""
    found = [name for name in experiments.names() if (FOLDER / f"{name}.parquet").exists()]
    return [name for name in found if hasattr(experiments.get(name), "tables")]


def filled(name: str, page: str) -> str:
    """A page with its verdict and tables."""
    experiment: Any = experiments.get(name)
    data = Answers.read(FOLDER / f"{name}.parquet")
    if isinstance(experiment, Question):
        verdict = experiment.verdict(data)
        said = _wrapped(f"**Verdict ({verdict.outcome}).** {verdict.sentence}")
        page = _replaced(r"\*\*Verdict \(.*?(?=\n\n)", said, page, name)
        page = _replaced(r"\| test \| difference.*?(?=\n\n)", verdict.markdown(), page, name)
    for block, table in experiment.tables(data).items():
        shown = f"<!-- {block} -->\n\n{table}\n\n<!-- end -->"
        page = _replaced(rf"<!-- {block} -->\n.*?<!-- end -->", shown, page, name)
    for path in sorted(FOLDER.glob(f"{name}_*.parquet")):
        part = path.stem.removeprefix(f"{name}_")
        if f"<!-- {part} " in page:
            page = _with_part(part, experiment, Answers.read(path), page, name)
    return page


def _with_part(part: str, experiment: Any, data: Answers, page: str, name: str) -> str:
    """A page with what a second file of data says."""
    verdict = experiment.verdict(data)
    said = _wrapped(f"**Verdict ({verdict.outcome}).** {verdict.sentence}")
    blocks = {"verdict": said, "tests": verdict.markdown(), **experiment.tables(data)}
    for block, text in blocks.items():
        if f"<!-- {part} {block} -->" in page:
            shown = f"<!-- {part} {block} -->\n\n{text}\n\n<!-- end -->"
            page = _replaced(rf"<!-- {part} {block} -->\n.*?<!-- end -->", shown, page, name)
    return page


def _wrapped(text: str) -> str:
    return textwrap.fill(text, WIDTH, break_long_words=False, break_on_hyphens=False)


def _replaced(pattern: str, text: str, page: str, name: str) -> str:
    page, count = re.subn(pattern, lambda _: text, page, count=1, flags=re.DOTALL)
    if not count:
        raise ValueError(f"{name}.md must have {pattern!r}")
    return page


def main(words: Sequence[str]) -> int:
    match list(words):
        case [("write" | "check") as what, *chosen]:
            wrong = []
            for name in chosen or names():
                path = FOLDER / f"{name}.md"
                page = path.read_text(encoding="utf-8")
                new = filled(name, page)
                if what == "write":
                    path.write_text(new, encoding="utf-8")
                elif new != page:
                    wrong.append(name)
            if wrong:
                print(f"Not what the data say: {', '.join(wrong)}; run docs/findings.py write")
            return len(wrong)
        case _:
            print(__doc__)
            return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
