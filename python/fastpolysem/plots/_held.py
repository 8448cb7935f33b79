"""What a study holds that can be drawn."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from fastpolysem import _checks
from fastpolysem.families import COLLAPSED, family_of
from fastpolysem.studies import Study


def checked_study(where: str, study: object) -> None:
    """Refuse anything but a study."""
    _checks.instance(f"{where}: study", study, Study, "a Study")


def chosen(where: str, study: Study, select: Mapping[str, Any] | None) -> Study:
    """The configurations of a study to draw."""
    checked_study(where, study)
    if select is None:
        return study
    if not isinstance(select, Mapping):
        raise _checks.refused(f"{where}: select", "a mapping", select, kind=TypeError)
    return study.select(**select)


def summary_of(
    where: str, study: Study, metric: str | None = None, label: str = "y"
) -> pd.DataFrame:
    """The summary of a study that has something to draw; ``label`` is the metric's argument."""
    checked_study(where, study)
    if metric is not None and study.configs:
        known = [name for names in columns_of_each(study).values() for name in names]
        _checks.choice(f"{where}: {label}", metric, dict.fromkeys(known))
    summary = study.summary(metric)
    if not len(summary) or not summary["mean"].notna().any():
        of = "" if metric is None else f" and has a value of {metric!r}"
        raise ValueError(f"{where}: study must hold a seed that did not diverge{of}, got none")
    return summary


def suspect(study: Study, summary: pd.DataFrame) -> pd.Series[bool]:
    """Where a summary's means are meaningless: seeds diverged, or models failed to learn."""
    missing = []
    held = {config.digest: config for config in study.configs}
    for digest in summary["digest"]:
        unlearned = family_of(held[digest]).unlearned(held[digest])
        share = 0.0
        if unlearned is not None:
            column, total = unlearned
            values = study.values(digest, column)
            share = float(np.mean(values)) / total if len(values) else 0.0
        missing.append(share > COLLAPSED)
    return (summary["diverged"] > 0) | np.array(missing, dtype=bool)


def warning_of(study: Study) -> str:
    """The legend's text for the hollow markers of suspect means."""
    unlearned = family_of(study.configs[0]).unlearned(study.configs[0])
    missing = "" if unlearned is None else f" or > {COLLAPSED:.0%} {unlearned[0].replace('_', ' ')}"
    return f"hollow: diverged{missing}".replace("%", " %")


def settings_of(study: Study) -> pd.DataFrame:
    """All settings and metadata of the configurations, one row each."""
    labels = study.labels()
    settings = [family_of(config).settings(config) for config in study.configs]
    for name in dict.fromkeys(name for one in settings for name in one):
        if name not in labels:
            labels[name] = [one.get(name) for one in settings]
    return labels


def columns_of_each(study: Study) -> dict[str, list[str]]:
    """Names of the columns that each configuration has, by digest, with those of probes."""
    probed = list(study._probed_columns())
    return {
        config.digest: [*(one.name for one in family_of(config).columns(config)), *probed]
        for config in study.configs
    }


def title_of(study: Study, name: str) -> str:
    """The axis label of a column."""
    known = {one.name: one for c in study.configs for one in family_of(c).columns(c)}
    return known[name].title if name in known else name.replace("_", " ")


def chosen_setting(where: str, study: Study, x: str | None) -> str:
    """The setting on the horizontal axis."""
    if x is not None:
        return _checks.choice(f"{where}: x", x, settings_of(study).columns)
    labels = study.labels()
    sizes = family_of(study.configs[0]).sizes
    varying = {name: int(labels[name].nunique(dropna=False)) for name in labels}
    varying = {name: count for name, count in varying.items() if count > 1}
    if of_sizes := [name for name in varying if name in sizes]:
        return str(of_sizes[-1])
    return max(varying, key=varying.__getitem__) if varying else str(sizes[-1])
