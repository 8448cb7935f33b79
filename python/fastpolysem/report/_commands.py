"""Commands and code that reproduce a study."""

from __future__ import annotations

import itertools
import re
import shlex
from collections.abc import Sequence
from typing import Any

from fastpolysem import _checks, _options, families
from fastpolysem.families import AnyConfig, family_of
from fastpolysem.report._settings import defaults, differing
from fastpolysem.studies import Study

_MOST_SEEDS = 64  # listed in a command
_COMMAND = ("fastpolysem", "collect")


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
        configuration. Empty if the command line cannot express the study: your own rows as inputs
        or readout, many scattered seeds, or a family of models that `fastpolysem collect` does not
        know.
    """
    _checks.instance("report.commands: study", study, Study, "a Study")
    wanted: dict[tuple[str, str], list[AnyConfig]] = {}
    rows = study.seeds()
    for config in study.configs:
        kind = family_of(config).kind
        trained = rows.loc[rows["digest"] == config.digest, "seed"].tolist()
        if not trained:  # of an interrupted sweep
            continue
        seeds = _seeds_word(trained)
        if kind not in families.BUILT_IN or seeds is None:
            return []
        wanted.setdefault((kind, seeds), []).append(config)
    found = []
    for (kind, seeds), configs in wanted.items():
        named = [] if kind == families.DEFAULT_KIND else [kind]
        groups = [configs] if _are_all_combinations(configs) else [[one] for one in configs]
        for group in groups:
            options = _words(group)
            if options is None:
                return []
            words = [*_COMMAND, *named, "--path", path, "--seeds", seeds]
            found.append(shlex.join([*words, *options]))
    return found


def _seeds_word(seeds: list[int]) -> str | None:
    """Ascending seeds in the syntax of the command line; None for many scattered ones."""
    step = seeds[1] - seeds[0] if len(seeds) > 1 else 1
    if all(after - before == step for before, after in itertools.pairwise(seeds)):
        if step > 1:
            return f"{seeds[0]}:{seeds[-1] + 1}:{step}"
        return str(len(seeds)) if seeds[0] == 0 else f"{seeds[0]}:{seeds[-1] + 1}"
    return ",".join(map(str, seeds)) if len(seeds) <= _MOST_SEEDS else None


def _words(configs: Sequence[AnyConfig]) -> list[str] | None:
    """Options for all values of the fields that are required, or not at their default; None if the
    command line would read some of them differently."""
    config_type: Any = type(configs[0])
    at_default, words = defaults(config_type), []
    for name, hint in _options.hints(config_type).items():
        values = list(dict.fromkeys(getattr(config, name) for config in configs))
        if name in at_default and values == [at_default[name]]:
            continue
        if not all(_is_sayable(hint, value) for value in values):
            return None
        option, written = f"--{name.replace('_', '-')}", [hint.write(value) for value in values]
        if any(re.match("-.*[:,]", one) for one in written):  # would be taken for options
            words += [f"{option}={one}" for one in written]
        else:
            words += [option, *written]
    return words


def _is_sayable(hint: Any, value: Any) -> bool:
    """Whether the command line can express a value."""
    if hasattr(value, "kind"):
        return bool(type(value).__dataclass_params__.init)
    word = hint.write(value)
    return bool(word) and hint.read(word) == [value]


def code(study: Study) -> str:
    """The `commands`, or Python code where there are none."""
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
        "    if len(seeds):\n"
        '        fp.collect(config, seeds=seeds.to_numpy(), path="again")'
    )


def _are_all_combinations(configs: Sequence[AnyConfig]) -> bool:
    size = 1
    for values in differing(configs).values():
        size *= len(values)
    return size == len(configs)
