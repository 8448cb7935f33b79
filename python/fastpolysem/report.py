"""A study as one page of HTML that needs nothing beside it.

Figures are part of the page as SVG. It says what was trained, what came out, with which versions,
and which commands train it again.
"""

from __future__ import annotations

import html
import io
import os
import re
import shlex
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import matplotlib
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import fastpolysem
from fastpolysem import _checks, plots
from fastpolysem._checks import printable
from fastpolysem._files import write_output
from fastpolysem.families.autoencoder.config import NUMERICS_VERSION, Config
from fastpolysem.families.autoencoder.plots.studies import suspect
from fastpolysem.specs.inputs import FixedBatch
from fastpolysem.studies import Study, formatting

__all__ = ["commands", "page", "write"]

_MOST_DISTRIBUTIONS = 12
_FACTS = ("version", "isa", "kernel", "host")
"""Columns of the rows that say where they come from, of which a page lists the values."""

_COLUMNS = {
    "n, m": "features and hidden neurons.",
    "seeds, diverged": "models trained, and how many of them ended without finite weights; "
    "everything else is about the others.",
    "mean": "polysemantic neurons a model: neurons with at least two features of weight 0.8 to 1.2 "
    "in size.",
    "n²/4m, null model": "what features that choose their neurons at random would give: counted in "
    "pairs, and without two features of one sign on a neuron.",
    "ratio": "the mean over n²/4m.",
    "unrepresented, dead": "features without a neuron, and neurons without a feature.",
    "benign, malign": "pairs of features on one neuron, of opposite signs and of the same sign.",
    "loss": "without noise and l1, on the basis vectors.",
}

_STYLE = """
:root { color-scheme: light; --ink: #1d2430; --soft: #5b6675; --line: #d9dee5; --ground: #f6f7f9; }
* { box-sizing: border-box; }
body { margin: 0; font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: #fff; }
main { max-width: 68rem; margin: 0 auto; padding: 1.5rem 1rem 3rem; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin: 2.2rem 0 .6rem; }
p, dl { max-width: 44rem; }
.lead { color: var(--soft); margin: .3rem 0 0; }
.figures { --least: 24rem; display: grid; gap: 1rem; margin-bottom: 1rem;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, var(--least)), 1fr)); }
.figures.small { --least: 18rem; }
figure { margin: 0; }
figure svg { display: block; width: 100%; height: auto; }
.wide { overflow-x: auto; border: 1px solid var(--line); border-radius: 6px;
  background: linear-gradient(90deg, #fff 2rem, #fff0) local,
    linear-gradient(270deg, #fff 2rem, #fff0) right local,
    linear-gradient(90deg, #0002, #0000 1rem), linear-gradient(270deg, #0002, #0000 1rem); }
table { border-collapse: collapse; width: 100%; font-size: .875rem;
  font-variant-numeric: tabular-nums; }
th, td { padding: .35rem .7rem; text-align: right; white-space: nowrap; }
th { font-weight: 600; border-bottom: 2px solid var(--line); }
tr + tr td { border-top: 1px solid var(--line); }
.facts td { text-align: left; white-space: normal; overflow-wrap: anywhere; }
.facts td:first-child { width: 14rem; color: var(--soft); }
details { margin-top: .8rem; } summary { cursor: pointer; margin-bottom: .5rem; }
pre { background: var(--ground); border: 1px solid var(--line); border-radius: 6px;
  padding: .8rem; overflow-x: auto; font-size: .85rem; }
dt { font-weight: 600; margin-top: .5rem; } dd { margin: 0; color: var(--soft); }
footer { margin-top: 3rem; color: var(--soft); font-size: .875rem; }
"""


def write(study: Study, path: str | os.PathLike[str], *, title: str | None = None) -> Path:
    """Write the `page` of a study to a file, whose folder must exist.

    Parameters
    ----------
    study
        With at least one configuration.
    path
        File to write; replaced as a whole if it exists.
    title
        As for `page`.

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
    """The page: equal studies give equal text, except for how long they took and where.

    Parameters
    ----------
    study
        With at least one configuration.
    title
        What the page is about; the name of the study's folder if not given.

    Returns
    -------
    str
        HTML, without any reference to another file or host.

    Raises
    ------
    ValueError
        For a study without configurations.
    """
    if not study.configs:
        raise ValueError("report.page: study must hold a configuration, got none")
    name = title if title is not None else study.path.resolve().name if study.path else "study"
    name = printable(name)
    summary = study.summary()
    sections = [
        ("What came out", _outcome(study, summary)),
        ("How seeds differ", _distributions(study)),
        ("What was trained", _settings(study)),
        ("How it was made", _origin(study)),
        ("Do it again", _again(study)),
        ("What the columns mean", _glossary()),
    ]
    body = "\n".join(
        f"<section><h2>{head}</h2>\n{text}</section>" for head, text in sections if text
    )
    diverged = int(summary["diverged"].sum())
    lead = f"{_many(len(study.configs), 'configuration')}, {_many(len(study), 'seed')}" + (
        f", {diverged:,} diverged" if diverged else ""
    )
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(name)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n"
        f'<h1>{html.escape(name)}</h1>\n<p class="lead">{lead}</p>\n{body}\n'
        f"<footer>Written by fastpolysem {fastpolysem.__version__}.</footer>\n"
        "</main>\n</body>\n</html>\n"
    )


def commands(study: Study, path: str = "again") -> list[str]:
    """Commands for a shell that train the study's seeds anew.

    Parameters
    ----------
    study
        Configurations with the seeds 0 … S-1 and inputs that the command line knows.
    path
        Folder for what they train.

    Returns
    -------
    list of str
        One for all configurations, if they are all combinations of some values; else one each.
        Empty if the command line cannot say it: other seeds, or a fixed batch as inputs.
    """
    wanted: dict[int, list[Config]] = {}
    rows = study.seeds()
    for config in study.configs:
        seeds = rows.loc[rows["digest"] == config.digest, "seed"].tolist()
        if isinstance(config.inputs, FixedBatch) or seeds != list(range(len(seeds))):
            return []
        wanted.setdefault(len(seeds), []).append(config)
    found = []
    for count, configs in wanted.items():
        groups = [configs] if _are_all_combinations(configs) else [[one] for one in configs]
        for group in groups:
            words = ["fastpolysem", "collect", "--path", path, "--seeds", str(count)]
            for name, values in _differing(group).items():
                words += [f"--{name.replace('_', '-')}", *(_word(value) for value in values)]
            found.append(shlex.join(words))
    return found


def _outcome(study: Study, summary: pd.DataFrame) -> str:
    figures = []
    if summary["mean"].notna().any():
        axes = [_axes(), _axes()]
        plots.collisions(study, axes[0])
        plots.unrepresented(study, axes[1])
        figures = [
            _figure(axes[0], "polysemantic neurons against hidden neurons"),
            _figure(axes[1], "share of features unrepresented against hidden neurons"),
        ]
    said = _in_words(summary)
    table = f'<div class="wide">{formatting.to_html(summary)}</div>'
    return f'{said}<div class="figures">{"".join(figures)}</div>\n{table}'


def _in_words(summary: pd.DataFrame) -> str:
    ratio = summary["ratio"].dropna()
    if not len(ratio):
        return "<p>No seed has a count: all diverged, or none are there yet.</p>"
    ends = dict.fromkeys((f"{ratio.min():.3g}", f"{ratio.max():.3g}"))
    said = f"<p>Mean counts are {' to '.join(ends)} times the collision law n²/4m.</p>"
    if warned := int(suspect(summary).sum()):
        said += (
            f"<p><strong>In {warned} of {_many(len(summary), 'configuration')}</strong> more than "
            "5 % of the features are unrepresented, or seeds diverged (hollow marks): a low count "
            "there does not mean that neurons are monosemantic.</p>"
        )
    return said


def _distributions(study: Study) -> str:
    figures = []
    configs = [one for one in study.configs if len(study.values(one)) > 1]
    for config in configs[:_MOST_DISTRIBUTIONS]:
        ax = _axes((4.6, 3.2))
        plots.counts(study, config, ax)
        varying = ", ".join(f"{name} = {value}" for name, value in _varying(study, config).items())
        ax.set_title(varying, fontsize="medium", wrap=True)
        figures.append(_figure(ax, f"counts over seeds {varying}"))
    left_out = len(configs) - len(figures)
    more = f"<p>… and {_many(left_out, 'more configuration')}.</p>" if left_out else ""
    return f'<div class="figures small">{"".join(figures)}</div>{more}' if figures else ""


def _settings(study: Study) -> str:
    chosen = _differing(study.configs)
    others = {
        name: values
        for name, values in _differing(study.configs, all_fields=True).items()
        if name not in chosen
    }
    return (
        f"{_listed({name: _all_of(values) for name, values in chosen.items()})}\n"
        "<details><summary>All other settings, at their defaults</summary>"
        f"{_listed({name: _all_of(values) for name, values in others.items()})}</details>"
    )


def _all_of(values: Sequence[Any]) -> str:
    return ", ".join(map(str, values))


def _listed(facts: dict[str, str]) -> str:
    rows = [
        f"<tr><td>{html.escape(name)}</td><td>{html.escape(text)}</td></tr>"
        for name, text in facts.items()
    ]
    return f'<div class="wide"><table class="facts">{"".join(rows)}</table></div>'


def _origin(study: Study) -> str:
    rows = study.seeds()
    facts = {
        f"{name}s" if rows[name].nunique() > 1 else name: ", ".join(sorted(rows[name].unique()))
        for name in _FACTS
        if name in rows and len(rows)
    }
    facts["numerics version"] = str(NUMERICS_VERSION)
    facts["time of all seeds, on one core each"] = _time(float(rows["seconds"].sum()))
    return _listed(facts)


def _again(study: Study) -> str:
    if found := commands(study):
        code = "\n".join([*found, "fastpolysem report again"])
    else:
        folder = _checks.shown_path(study.path) if study.path else "study"
        code = (
            "import fastpolysem as fp\n\n"
            f"study = fp.Study.open({folder!r})\n"
            "rows = study.seeds()\n"
            "for config in study.configs:\n"
            '    seeds = rows.loc[rows["digest"] == config.digest, "seed"]\n'
            '    fp.collect(config, seeds=seeds.to_numpy(), path="again")'
        )
    promise = (
        "On any machine this gives the same bits in every result column, with any version of "
        f"fastpolysem of numerics version {NUMERICS_VERSION}."
    )
    return f"<pre>{html.escape(code)}</pre>\n<p>{promise}</p>"


def _glossary() -> str:
    return (
        f"<dl>{''.join(f'<dt>{name}</dt><dd>{text}</dd>' for name, text in _COLUMNS.items())}</dl>"
    )


def _varying(study: Study, config: Config) -> dict[str, Any]:
    """Fields of a configuration that are not the same in all."""
    return {
        name: getattr(config, name)
        for name, values in _differing(study.configs, all_fields=True).items()
        if len(values) > 1
    }


def _differing(configs: Sequence[Config], all_fields: bool = False) -> dict[str, list[Any]]:
    """Values of fields in the order they occur, of those that are not at their default only."""
    plain = Config(n_features=1, n_hidden=1)
    found = {}
    for field in fields(Config):
        values = list(dict.fromkeys(getattr(config, field.name) for config in configs))
        required = field.name in ("n_features", "n_hidden")
        if all_fields or required or values != [getattr(plain, field.name)]:
            found[field.name] = values
    return found


def _are_all_combinations(configs: Sequence[Config]) -> bool:
    size = 1
    for values in _differing(configs).values():
        size *= len(values)
    return size == len(configs)


def _word(value: Any) -> str:
    """A value of a field as the command line reads it."""
    if value is None or isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        of_pairs = bool(value) and isinstance(value[0], tuple)
        return ",".join(":".join(map(_word, one)) if of_pairs else _word(one) for one in value)
    if hasattr(value, "kind"):
        pairs = ",".join(
            f"{field.name}={_word(getattr(value, field.name))}" for field in fields(value)
        )
        return f"{value.kind}:{pairs}" if pairs else str(value.kind)
    return str(value)


def _axes(size: tuple[float, float] = (5.2, 3.9)) -> Axes:
    axes: Axes = Figure(figsize=size, layout="constrained").subplots()
    return axes


def _figure(ax: Axes, description: str) -> str:
    """The figure of the axes as part of a page that holds others too."""
    file = io.StringIO()
    metadata = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    with matplotlib.rc_context({"svg.hashsalt": description, "svg.fonttype": "path"}):
        ax.figure.canvas.figure.savefig(file, format="svg", metadata=metadata)
    svg = file.getvalue()
    svg = svg[svg.index("<svg") :]
    # Names hold for a page, not for a figure.
    prefix = re.sub(r"\W+", "-", description)
    svg = re.sub(r'\bid="', f'id="{prefix}-', svg)
    svg = re.sub(r'(url\(#|href="#)', rf"\1{prefix}-", svg)
    svg = re.sub(r' (width|height)="[\d.]+pt"', "", svg, count=2)
    name = f'role="img" aria-label="{html.escape(description)}"'
    return f"<figure>{svg.replace('<svg', f'<svg {name}', 1)}</figure>"


def _many(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _time(seconds: float) -> str:
    for unit, length in (("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.3g} {unit}"
    return f"{seconds:.3g} s"
