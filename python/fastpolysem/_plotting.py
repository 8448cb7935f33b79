"""The command ``fastpolysem plot``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from fastpolysem import families
from fastpolysem._checks import nearest
from fastpolysem._options import selection
from fastpolysem._output import new_axes, open_study, plots, say_written

if TYPE_CHECKING:
    from fastpolysem.studies import Study

_MANY_VALUES = 7
_USED: dict[str | None, tuple[str, ...]] = {
    "curve": ("x", "y", "hue", "yscale"),
    "collisions": ("hue",),
    "counts": ("y", "digest"),
}
"""Options of each kind of figure."""


def plot(
    path: Path,
    *,
    kind: Literal["curve", "collisions", "counts"] | None = None,
    x: str | None = None,
    y: Annotated[str | None, Parameter(name=["--y", "--metric"])] = None,
    hue: str | None = None,
    yscale: Literal["linear", "log"] | None = None,
    digest: str | None = None,
    select: Annotated[list[str] | None, Parameter(consume_multiple=True)] = None,
    output: Path | None = None,
    skip_damaged: bool = False,
) -> int:
    """Draw a study.

    Parameters
    ----------
    path
        Folder of the study.
    kind
        "curve": means of a column against a setting. "collisions": mean counts of polysemantic
        neurons against the number of neurons. "counts": distribution of the counts of one
        configuration. Default: the main figure of the study's family, "collisions" for the
        autoencoder; "curve" if one of its options is given.
    x
        Setting or metadata on the horizontal axis of a curve. Default: the last size that varies.
    y
        Result column of a curve or of "counts". Default: the main column of the study's family.
    hue
        Setting or metadata shown by colour. Default: each series has its own colour.
    yscale
        Vertical axis of a curve.
    digest
        The configuration for "counts": the first digits of its folder's name, as shown by the
        summary; may be omitted if there is only one.
    select
        Draw only configurations with these settings, such as optimizer=adam l1=0.001,0.01; one
        value per layer: dropout=0.3:0.
    output
        File to write; its extension determines the format. Default: the kind's name with .png.
    skip_damaged
        Move unusable files out of the way instead of giving up.
    """
    given = {"x": x, "y": y, "hue": hue, "yscale": yscale, "digest": digest}
    named = [name for name, value in given.items() if value is not None]
    if kind is None and named:
        kind = "curve" if digest is None else "counts"
    for name in named:
        if name not in _USED.get(kind, ()):
            raise ValueError(f"--{name} must be left out with --kind {kind}, got {given[name]!r}")
    drawing = plots()
    study = open_study(path, skip_damaged)
    configs, labels = study.configs, study.labels()

    def held(name: str) -> list[Any]:
        shown = labels[name].tolist() if name in labels else []
        return [
            one
            for one in (*shown, *(getattr(c, name, None) for c in configs))
            if isinstance(one, str)
        ]

    study = study.select(**selection(select or [], set(map(type, configs)), held))
    ax = new_axes((6.4, 4.4))
    if kind == "counts":
        drawing.counts(study, _whole_digest(digest, study, path), ax, metric=y)
    elif kind == "curve":
        drawing.curve(study, x, y, hue, yscale=yscale or "linear", ax=ax)
    elif kind == "collisions":
        drawing.collisions(study, ax, hue=hue)
    else:
        draw = _main_figure(study)
        draw(study, ax=ax)
        kind = draw.__name__
    say_written(drawing.save(ax, output or Path(f"{kind}.png")))
    return 0


def _main_figure(study: Study) -> Any:
    """The function that draws what the study's family is about."""
    figures = families.family_of(study.configs[0]).figures() if study.configs else ()
    return figures[0].draw if figures else plots().curve


def _whole_digest(digest: str | None, study: Study, path: Path) -> str | None:
    """The one digest that begins with the given digits; otherwise the error lists all digests."""
    held: list[str] = [config.digest for config in study.configs]
    found = [one for one in held if digest is None or one.startswith(digest)]
    if len(found) == 1:
        return found[0]
    if not held:
        return digest
    got = "none" if digest is None else f"{digest!r}" + ("" if found else nearest(digest, held))
    listed = ", ".join(held[:_MANY_VALUES]) + (", …" if len(held) > _MANY_VALUES else "")
    raise ValueError(
        f"--digest must begin the name of one configuration's folder in {path}, got {got}; "
        f"there are {listed}"
    )
