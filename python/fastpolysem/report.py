"""A self-contained HTML report of a study.

It contains the settings, the results, figures as SVG, the provenance of the data, and the commands
that reproduce them.
"""

from __future__ import annotations

import dataclasses
import html
import io
import itertools
import os
import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import fastpolysem
from fastpolysem import _checks, _options, families, plots
from fastpolysem._checks import printable
from fastpolysem._files import write_output
from fastpolysem._html import render
from fastpolysem.families import AnyConfig, family_of
from fastpolysem.plots._held import suspect
from fastpolysem.studies import Study, formatting

__all__ = ["commands", "page", "write"]

_MOST_DISTRIBUTIONS = 12
_MOST_SEEDS = 64  # listed in a command
_COMMANDS = {
    families.DEFAULT_KIND: ("fastpolysem", "collect"),
    "network": ("fastpolysem", "collect", "network"),
}
"""How each family's configurations are collected."""
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
    ValueError
        If the study has no configurations.
    """
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
        code=_again(study),
        numerics=_numerics(study),
        version=fastpolysem.__version__,
    )


def commands(study: Study, path: str = "again") -> list[str]:
    """Shell commands that reproduce the study.

    Parameters
    ----------
    study
        The study.
    path
        Folder for the reproduced study.

    Returns
    -------
    list of str
        One command if the configurations are all combinations of some values; otherwise one per
        configuration. Empty if the command line cannot express the study: your own rows as inputs,
        many scattered seeds, or a family of models that `fastpolysem collect` does not know.
    """
    wanted: dict[tuple[str, str], list[AnyConfig]] = {}
    rows = study.seeds()
    for config in study.configs:
        kind = family_of(config).kind
        seeds = _seeds_word(rows.loc[rows["digest"] == config.digest, "seed"].tolist())
        if kind not in _COMMANDS or seeds is None or not _is_sayable(config):
            return []
        wanted.setdefault((kind, seeds), []).append(config)
    found = []
    for (kind, seeds), configs in wanted.items():
        groups = [configs] if _are_all_combinations(configs) else [[one] for one in configs]
        for group in groups:
            words = [*_COMMANDS[kind], "--path", path, "--seeds", seeds]
            found.append(shlex.join([*words, *_words(group)]))
    return found


def _seeds_word(seeds: list[int]) -> str | None:
    """Ascending seeds in the syntax of the command line; None for many scattered ones."""
    if not seeds:
        return None
    step = seeds[1] - seeds[0] if len(seeds) > 1 else 1
    if all(after - before == step for before, after in itertools.pairwise(seeds)):
        if step > 1:
            return f"{seeds[0]}:{seeds[-1] + 1}:{step}"
        return str(len(seeds)) if seeds[0] == 0 else f"{seeds[0]}:{seeds[-1] + 1}"
    return ",".join(map(str, seeds)) if len(seeds) <= _MOST_SEEDS else None


def _is_sayable(config: AnyConfig) -> bool:
    """Whether no field is an object that only Python can make."""
    values = (getattr(config, name) for name in _defaults(type(config)))
    return all(type(one).__dataclass_params__.init for one in values if hasattr(one, "kind"))


def _words(configs: Sequence[AnyConfig]) -> list[str]:
    """Options for all values of the fields that are required, or not at their default."""
    config_type: Any = type(configs[0])
    defaults, words = _defaults(config_type), []
    for name, hint in _options.hints(config_type).items():
        values = list(dict.fromkeys(getattr(config, name) for config in configs))
        if name not in defaults or values != [defaults[name]]:
            words += [f"--{name.replace('_', '-')}", *(hint.write(value) for value in values)]
    return words


def _part(study: Study, family: Any, of_several: bool) -> dict[str, Any]:
    """The part of the report about one family's configurations."""
    summary = study.summary(family.primary)
    references = _references(study, family)
    column = _columns(study)[family.primary]
    warned = int(suspect(study, summary).sum()) if summary["mean"].notna().any() else 0
    prefix = f"{family.kind}: " if of_several else ""
    figures = []
    if summary["mean"].notna().any():
        drawings = family.figures() or (
            families.Figure(f"mean of {column.title}", lambda s, ax: plots.curve(s, ax=ax)),
        )
        for caption, draw in drawings:
            ax = _axes()
            draw(study, ax)
            figures.append(_figure(ax, prefix + caption))
    distributions, left_out = _distributions(study, prefix) if column.is_count else ([], 0)
    chosen = _differing(study.configs)
    rest = {
        name: values
        for name, values in _differing(study.configs, all_fields=True).items()
        if name not in chosen
    }
    return {
        "kind": family.kind,
        "outcome": _in_words(summary, references, family, "count" if column.is_count else "value"),
        "warned": f"{warned} of {_many(len(summary), 'configuration')}" if warned else "",
        "caveat": family.caveat,
        "figures": figures,
        "table": formatting.to_html(summary),
        "probed": _probed(study),
        "distributions": distributions,
        "left_out": _many(left_out, "more configuration") if left_out else "",
        "chosen": {name: _all_of(values) for name, values in chosen.items()},
        "defaults": {name: _all_of(values) for name, values in rest.items()},
        "glossary": _glossary(study, family, references),
    }


def _probed(study: Study) -> list[dict[str, str]]:
    """For each column of a probe, its description and a table of its means."""
    kept = ["seeds", "diverged", "mean", "ci_low", "ci_high"]
    sections = []
    for name, column in study._probed_columns().items():
        summary = study.summary(name)
        table = summary[[*study.labels().columns, *kept]]
        sections.append({"name": name, "doc": column.doc, "table": formatting.to_html(table)})
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


def _distributions(study: Study, prefix: str) -> tuple[list[str], int]:
    """Figures of the first configurations, and the number of remaining ones."""
    figures = []
    configs = [one for one in study.configs if len(study.values(one)) > 1]
    for config in configs[:_MOST_DISTRIBUTIONS]:
        ax = _axes((4.6, 3.2))
        plots.counts(study, config, ax)
        varying = ", ".join(f"{name} = {value}" for name, value in _varying(study, config).items())
        ax.set_title(varying, fontsize="medium", wrap=True)
        figures.append(_figure(ax, f"{prefix}counts over seeds {varying}"))
    return figures, len(configs) - len(figures)


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


def _again(study: Study) -> str:
    if found := commands(study):
        return "\n".join([*found, "fastpolysem report again"])
    folder = _checks.shown_path(study.path) if study.path else "study"
    others = {
        type(config).__module__: None
        for config in study.configs
        if family_of(config).kind != families.DEFAULT_KIND
    }
    imports = "".join(f"import {module}  # a family of models\n" for module in others)
    return (
        f"import fastpolysem as fp\n{imports}\n"
        f"study = fp.Study.open({folder!r})\n"
        "rows = study.seeds()\n"
        "for config in study.configs:\n"
        '    seeds = rows.loc[rows["digest"] == config.digest, "seed"]\n'
        '    fp.collect(config, seeds=seeds.to_numpy(), path="again")'
    )


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


def _varying(study: Study, config: AnyConfig) -> dict[str, Any]:
    """Settings of a configuration that differ between configurations."""
    settings = family_of(config).settings(config)
    differing = _differing(study.configs, all_fields=True)
    return {name: settings[name] for name, values in differing.items() if len(values) > 1}


def _differing(configs: Sequence[AnyConfig], all_fields: bool = False) -> dict[str, list[Any]]:
    """Values of settings in order of occurrence, only of those that differ from their default."""
    family = family_of(configs[0])
    settings = [family.settings(config) for config in configs]
    defaults = _defaults(type(configs[0]))
    found = {}
    for name in settings[0]:
        values = list(dict.fromkeys(one[name] for one in settings))
        at_default = name in defaults and values == [defaults[name]]
        if all_fields or name in family.sizes or not at_default:
            found[name] = values
    return found


def _defaults(config_type: type) -> dict[str, Any]:
    """Default values of a class of configurations, if it is a dataclass with defaults."""
    found = {}
    for field in dataclasses.fields(config_type) if dataclasses.is_dataclass(config_type) else ():
        if field.default is not dataclasses.MISSING:
            found[field.name] = field.default
        elif field.default_factory is not dataclasses.MISSING:
            found[field.name] = field.default_factory()
    return found


def _are_all_combinations(configs: Sequence[AnyConfig]) -> bool:
    size = 1
    for values in _differing(configs).values():
        size *= len(values)
    return size == len(configs)


def _axes(size: tuple[float, float] = (5.2, 3.9)) -> Axes:
    axes: Axes = Figure(figsize=size, layout="constrained").subplots()
    return axes


def _figure(ax: Axes, description: str) -> str:
    """The figure of the axes as SVG to be embedded in a page with other figures."""
    file = io.StringIO()
    metadata = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    with matplotlib.rc_context({"svg.hashsalt": description, "svg.fonttype": "path"}):
        ax.figure.canvas.figure.savefig(file, format="svg", metadata=metadata)
    svg = file.getvalue()
    svg = svg[svg.index("<svg") :]
    # Identifiers are global to a page, not to a figure.
    prefix = re.sub(r"\W+", "-", description)
    svg = re.sub(r'\bid="', f'id="{prefix}-', svg)
    svg = re.sub(r'(url\(#|href="#)', rf"\1{prefix}-", svg)
    svg = re.sub(r' (width|height)="[\d.]+pt"', "", svg, count=2)
    name = f'role="img" aria-label="{html.escape(description)}"'
    return svg.replace("<svg", f"<svg {name}", 1)


def _many(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _time(seconds: float) -> str:
    for unit, length in (("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.3g} {unit}"
    return f"{seconds:.3g} s"
