"""The page of a report, from its parts."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

import fastpolysem
from fastpolysem import _checks, families, plots
from fastpolysem._checks import printable
from fastpolysem._files import write_output
from fastpolysem._html import render
from fastpolysem.families import family_of
from fastpolysem.plots._held import suspect
from fastpolysem.report import _figures, _tables
from fastpolysem.report._commands import code
from fastpolysem.report._settings import differing
from fastpolysem.studies import Study

_FACTS = ("version", "isa", "kernel", "host")
"""Columns of the rows that describe their provenance; the report lists their values."""


def write(study: Study, path: str | os.PathLike[str], *, title: str | None = None) -> Path:
    """Write the `page` of a study to a file, whose folder must exist.

    Parameters
    ----------
    study
        A study with at least one configuration.
    path
        File to write; an existing file is replaced.
    title
        As in `page`.

    Returns
    -------
    pathlib.Path
        The file.
    """
    target = _checks.file_path("report.write: path", path)
    text = page(study, title=title).encode("utf-8")
    write_output(target, lambda file: file.write(text))
    return target


def page(study: Study, *, title: str | None = None) -> str:
    """The report as HTML; equal studies give equal text, except for run times and machines.

    Parameters
    ----------
    study
        A study with at least one configuration.
    title
        Title of the page; by default the name of the study's folder.

    Returns
    -------
    str
        HTML without references to other files or hosts.

    Raises
    ------
    TypeError
        If ``study`` is not a study or ``title`` not text.
    ValueError
        If the study has no configurations.
    """
    _checks.instance("report.page: study", study, Study, "a Study")
    if title is not None:
        _checks.instance("report.page: title", title, str, "text or None")
    if not study.configs:
        raise ValueError("report.page: study must hold a configuration, got none")
    name = title if title is not None else study.path.resolve().name if study.path else "study"
    kinds = list({id(f): f for f in map(family_of, study.configs)}.values())
    parts = [_part(study._of_family(family.kind), family, len(kinds) > 1) for family in kinds]
    diverged = int(study.seeds()["diverged"].sum())
    lead = f"{_many(len(study.configs), 'configuration')}, {_many(len(study), 'seed')}"
    return render(
        "report.html",
        title=printable(name),
        lead=lead + (f", {diverged:,} diverged" if diverged else ""),
        parts=parts,
        origin=_origin(study),
        code=code(study),
        probes=_probes(study),
        numerics=_numerics(study),
        version=fastpolysem.__version__,
    )


def _probes(study: Study) -> str:
    """The probes whose columns the study has, which no command names."""
    declared = (one for holding in study._all for one in holding.declarations.values())
    return printable(", ".join(dict.fromkeys(one.name for one in declared)))


def _part(study: Study, family: Any, of_several: bool) -> dict[str, Any]:
    """The part of the report about one family's configurations."""
    summary = study.summary(family.primary)
    settings = list(study.labels().columns)
    references = _references(study, family)
    column = _columns(study)[family.primary]
    warned = int(suspect(study, summary).sum()) if summary["mean"].notna().any() else 0
    prefix = f"{family.kind}: " if of_several else ""
    drawn = _figures.distributions(study, column.name, prefix) if column.is_count else ([], 0)
    chosen = differing(study.configs)
    rest = {
        name: values
        for name, values in differing(study.configs, all_fields=True).items()
        if name not in chosen
    }
    return {
        "kind": family.kind,
        "outcome": _in_words(summary, references, family, "count" if column.is_count else "value"),
        "warned": f"{warned} of {_many(len(summary), 'configuration')}" if warned else "",
        "caveat": family.caveat,
        "figures": _overviews(study, family, summary, prefix),
        "margins": _tables.margins(summary, settings),
        "table": _tables.sortable(summary, settings, f"{column.name}.csv"),
        "count": _many(len(summary), "configuration"),
        "probed": _probed(study, settings),
        "distributions": drawn[0],
        "left_out": _many(drawn[1], "more configuration") if drawn[1] else "",
        "chosen": {name: _all_of(values) for name, values in chosen.items()},
        "defaults": {name: _all_of(values) for name, values in rest.items()},
        "glossary": _glossary(study, family, references),
    }


def _overviews(
    study: Study, family: Any, summary: pd.DataFrame, prefix: str
) -> list[_figures.Picture]:
    """Figures of the whole study, each with its data."""
    if not summary["mean"].notna().any():
        return []
    title = _columns(study)[family.primary].title
    drawings = family.figures() or (
        families.Figure(f"Mean of {title}", lambda s, ax: plots.curve(s, ax=ax)),
    )
    return [
        _figures.overview(
            *(study, prefix + figure.caption, figure.draw),
            summary if figure.metric is None else study.summary(figure.metric),
            f"{figure.metric or family.primary}-means.csv",
        )
        for figure in drawings
    ]


def _probed(study: Study, settings: list[str]) -> list[dict[str, Any]]:
    """For each column of a probe, its description and a table of its means."""
    kept = ["seeds", "diverged", "mean", "ci_low", "ci_high"]
    sections = []
    for name, column in study._probed_columns().items():
        table = study.summary(name)[[*settings, *kept]]
        shown = _tables.sortable(table, settings, f"{name}.csv")
        sections.append({"name": name, "doc": column.doc, "table": shown})
    return sections


def _columns(study: Study) -> dict[str, families.Column]:
    """The result columns of a study of one family."""
    return {one.name: one for config in study.configs for one in family_of(config).columns(config)}


def _in_words(summary: pd.DataFrame, references: list[str], family: Any, noun: str) -> str:
    means = summary["mean"].dropna()
    if not len(means):
        return f"There is no {noun} to report: all seeds diverged, or none have been trained yet."
    if references:
        heading = family.headings.get(references[0], "")
        law = f"the {references[0].replace('_', ' ')} {heading}".strip()
        return f"Mean {noun}s are {_ends(summary['ratio'].dropna())} times {law}."
    return f"Means of {family.primary} are {_ends(means)}."


def _ends(values: pd.Series[float]) -> str:
    """The smallest and the largest value, or the only one."""
    return " to ".join(dict.fromkeys((f"{values.min():.3g}", f"{values.max():.3g}")))


def _references(study: Study, family: Any) -> list[str]:
    """Names of the references for means; ratios refer to the first."""
    each = [family.references(config).get(family.primary, {}) for config in study.configs]
    return list(dict.fromkeys(name for names in each for name in names))


def _all_of(values: Sequence[Any]) -> str:
    return ", ".join(map(str, values))


def _origin(study: Study) -> dict[str, str]:
    rows = study.seeds()
    facts = {
        f"{name}s" if rows[name].nunique() > 1 else name: ", ".join(sorted(rows[name].unique()))
        for name in _FACTS
        if name in rows and len(rows)
    }
    facts["numerics version"] = _numerics(study)
    facts["total core time"] = _time(float(rows["seconds"].sum()))
    return facts


def _numerics(study: Study) -> str:
    """The numerics version, of each family if there are several."""
    versions = {family_of(one).kind: family_of(one).numerics_version for one in study.configs}
    if len(versions) == 1:
        return str(next(iter(versions.values())))
    return ", ".join(f"{version} ({kind})" for kind, version in versions.items())


def _glossary(study: Study, family: Any, references: list[str]) -> dict[str, str]:
    """The meaning of each column of the summary."""
    columns = _columns(study)

    def heading(name: str) -> str:
        return str(family.headings.get(name, name))

    found = {heading(name): family.glossary[name] for name in family.sizes}
    found["seeds, diverged"] = (
        "number of trained models, and how many of them ended with non-finite weights or loss; all "
        "other columns refer to the rest"
    )
    if family.unlearned(study.configs[0]) is not None:
        column = columns[family.unlearned(study.configs[0])[0]]
        found["collapsed"] = (
            f"share of these models with more than {families.COLLAPSED:.0%} {column.title}; their "
            "counts are meaningless"
        )
    primary = columns[family.primary]
    found["mean"] = f"mean over models of {primary.title}: {primary.doc}"
    found |= {heading(name): family.glossary[name] for name in references}
    if references:
        found["ratio"] = f"the mean divided by {heading(references[0])}"
    found |= {name: columns[name].doc for name in family.beside if name in columns}
    return found | {"digest": "identifies the settings; names their folder in the study"}


def _many(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _time(seconds: float) -> str:
    for unit, length in (("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.3g} {unit}"
    return f"{seconds:.3g} s"
