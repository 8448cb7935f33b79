"""The verdicts and tables of the pages in `findings/`: fills them in from the data beside each.

python docs/findings.py write [NAME ...]   fills in these pages, by default all
python docs/findings.py check [NAME ...]   fails if a page differs from its data

On each page the verdict and its table of tests are replaced where they are. Other tables stand
between ``<!-- NAME -->`` and ``<!-- end -->``; the experiment's `Question.tables` has them. Those
of a second file of data, ``PAGE_PART.parquet``, are called ``PART NAME``, and its verdict and tests
``PART verdict`` and ``PART tests``; a page shows those that it has a place for. `REPORTED` has
tables of what studies published beside what we found.
"""

from __future__ import annotations

import re
import sys
import textwrap
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from fastpolysem import experiments
from fastpolysem.experiments._answers import Answers, Question, summary
from fastpolysem.experiments._pages import cell, interval, markdown, with_tables
from fastpolysem.experiments._verdicts import (
    ALPHA,
    EFFECT,
    INCONCLUSIVE,
    WITHIN,
    Verdict,
    holm,
    p_text,
)

FOLDER = Path(__file__).with_name("findings")
INDEX = "index"
WIDTH = 100
TESTS = "\n## Tests\n"
POWER = 0.8
"""Probability of finding an absent difference within the margin that a test should have."""


def names() -> list[str]:
    """The experiments that have a page with data."""
    found = [name for name in experiments.names() if (FOLDER / f"{name}.parquet").exists()]
    return [name for name in found if hasattr(experiments.get(name), "tables")]


def overview() -> str:
    """What the tests of each page find and could find, and what is left if all are corrected
    together."""
    head = ["page", "tests", EFFECT, WITHIN, INCONCLUSIVE, f"power of at least {POWER:.0%}"]
    rows = []
    p_values, found = [], []
    judged = [name for name in names() if isinstance(experiments.get(name), Question)]
    for name in judged:
        experiment: Any = experiments.get(name)
        tests = experiment.verdict(Answers.read(FOLDER / f"{name}.parquet")).tests
        counts = [int((tests["outcome"] == kind).sum()) for kind in (EFFECT, WITHIN, INCONCLUSIVE)]
        able = int((tests["power"] >= POWER).sum())
        share = f"{able} ({able / len(tests):.0%})"
        rows.append([f"[{name}]({name}.md)", len(tests), *counts, share])
        p_values += tests["p_value"].tolist()
        found += (tests["outcome"] == EFFECT).tolist()
    kept = int((np.array(found) & (holm(p_values) <= ALPHA)).sum())
    pages = len(judged)
    said = (
        f"Each of these {pages} pages raises a false alarm with a probability of at most "
        f"{ALPHA:.0%}. The probability of any on all pages together is then at most "
        f"{pages * ALPHA:.0%}, or {1 - (1 - ALPHA) ** pages:.0%} if pages are independent. If "
        f"the {len(found)} tests of all pages are corrected together, so that this probability is "
        f"at most {ALPHA:.0%}, {kept} of the {sum(found)} effects remain."
    )
    return f"{markdown(head, rows)}\n\n{textwrap.fill(said, WIDTH)}"


def exponents() -> str:
    """The seeds of the study on exponents of the loss beside ours, for `power`.

    ``power_reported.csv`` has the mean over features of the squared error, in rows where they are
    positive, and its coefficient of variation, from the study's data file.
    """
    theirs = pd.read_csv(FOLDER / "power_reported.csv")
    experiment: Any = experiments.get("power")
    ours = {
        steps: Answers.read(FOLDER / f"power_{part}.parquet")
        for steps, part in ((10_000, "published"), (100_000, "full"))
    }
    columns = ("spread", "mse", "shared", "alignment", "spread_by_chance")
    bounds = experiment.bounds()
    means = {steps: summary(data, ["power"], columns, bounds) for steps, data in ours.items()}
    published = summary(Answers(theirs.assign(diverged=False)), ["power"], ("spread", "mse"))
    rows = []
    for _, study in published.iterrows():
        power = study["power"]
        seeds = theirs.loc[theirs["power"] == power, "spread"]
        for steps, table in means.items():
            for _, row in table[table["power"] == power].iterrows():
                found = ours[steps].where(power=power)["spread"]
                p_value = stats.ttest_ind(found, seeds, equal_var=False).pvalue
                here = [interval(row, "spread"), f"{steps:_}".replace("_", " "), int(row["seeds"])]
                here += [cell(row["spread_by_chance"], 2), interval(study, "mse", 4)]
                here += [interval(row, "mse", 4), cell(row["shared"]), cell(row["alignment"])]
                rows.append([cell(power), interval(study, "spread"), *here, p_text(p_value)])
    head = ["q", "CV, published", "CV, ours", "steps", "seeds", "CV from sampling alone"]
    head += ["squared error of a positive feature, published", "ours"]
    head += ["share of use on shared neurons", "alignment", "p for the CV"]
    return markdown(head, rows)


REPORTED = {"power": {"reported": exponents}}
"""Tables of what studies published beside what we found, by page and place."""


def filled(name: str, page: str) -> str:
    """A page with its verdict and tables."""
    if name == INDEX:
        return with_tables(page, {"overview": overview})
    experiment: Any = experiments.get(name)
    data = Answers.read(FOLDER / f"{name}.parquet")
    if isinstance(experiment, Question):
        verdict = experiment.verdict(data)
        # Not those of a second file of data, whose places may come before.
        before, section, tests = page.partition(TESTS)
        tests = _replaced(r"\*\*Verdict \(.*?(?=\n\n)", _said(verdict), tests, name)
        tests = _replaced(r"\| test \| difference.*?(?=\n\n)", verdict.markdown(), tests, name)
        page = before + section + tests
    blocks = experiment.tables(data)
    for path in sorted(FOLDER.glob(f"{name}_*.parquet")):
        part = path.stem.removeprefix(f"{name}_")
        if f"<!-- {part} " in page:
            said = _of_part(experiment, Answers.read(path)).items()
            more = {f"{part} {block}": text for block, text in said}
            blocks |= {block: more[block] for block in more if f"<!-- {block} -->" in page}
    tables = {block: partial(str, text) for block, text in blocks.items()}
    return with_tables(page, {**tables, **REPORTED.get(name, {})})


def _of_part(experiment: Any, data: Answers) -> dict[str, str]:
    """What a second file of data says."""
    verdict = experiment.verdict(data)
    said = {"verdict": _said(verdict), "tests": verdict.markdown()}
    return {**said, **experiment.tables(data)}


def _said(verdict: Verdict) -> str:
    return _wrapped(f"**Verdict ({verdict.outcome}).** {verdict.sentence}")


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
            for name in chosen or [*names(), INDEX]:
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
