"""What the holdings of a study say, as tables and arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fastpolysem import families, statistics
from fastpolysem.families import AnyConfig, Column
from fastpolysem.studies.holding import Holding
from fastpolysem.studies.metadata import column_of, label_of, taken_names
from fastpolysem.studies.schema import FACTS, IDENTITY, bounds, columns

if TYPE_CHECKING:
    import xarray

Holdings = Sequence[Holding]


def result_columns(holdings: Holdings) -> dict[str, Column]:
    """The result columns of all configurations, in order."""
    return {name: c for holding in holdings for name, c in columns(holding.config).items()}


def probed_columns(holdings: Holdings, arrays: bool = False) -> dict[str, tuple[str, str]]:
    """The columns of probes, and their arrays if asked for, as tables call them: each with the
    probe's key and its name there. A name that is not free has the key before it."""
    declarations = {key: d for holding in holdings for key, d in holding.declarations.items()}
    keys_of: dict[str, list[str]] = {}
    for key, declaration in declarations.items():
        for name in (*declaration.columns, *(declaration.arrays if arrays else ())):
            keys_of.setdefault(name, []).append(key)
    taken = {*result_columns(holdings), *setting_columns(holdings)} if keys_of else set()
    return {
        name if len(keys) == 1 and name not in taken else f"{key}.{name}": (key, name)
        for name, keys in keys_of.items()
        for key in keys
    }


def settings_of(config: AnyConfig) -> dict[str, Any]:
    """The fields of a configuration as tables show them."""
    return families.family_of(config).settings(config)


def setting_columns(holdings: Holdings) -> dict[str, str]:
    """The settings of all configurations, by what tables call them: one with the name of a result
    of another family has ``setting.`` before it."""
    results = result_columns(holdings)
    names = dict.fromkeys(name for holding in holdings for name in settings_of(holding.config))
    return {f"setting.{name}" if name in results else name: name for name in names}


def families_of(holdings: Holdings) -> list[Any]:
    """The families of the configurations, each once."""
    kinds = (families.family_of(holding.config) for holding in holdings)
    return list({id(family): family for family in kinds}.values())


def fields(holdings: Holdings) -> pd.DataFrame:
    """One row per configuration: digest, fields and metadata, and the family if several."""
    table: dict[str, list[Any]] = {"digest": [holding.config.digest for holding in holdings]}
    kinds = [families.family_of(holding.config).kind for holding in holdings]
    if len(set(kinds)) > 1:
        table["family"] = kinds
    settings = [settings_of(holding.config) for holding in holdings]
    for column, name in setting_columns(holdings).items():
        table[column] = [each.get(name) for each in settings]
    metadata = [holding.metadata for holding in holdings]
    keys = dict.fromkeys(key for each in metadata for key in each)
    reserved: set[str] = set()
    if keys:
        reserved = taken_names(h.config for h in holdings)
        reserved |= {*setting_columns(holdings), *probed_columns(holdings)}
    for key in keys:
        values = [each.get(key) for each in metadata]
        if any(value is not None for value in values):
            table[label_of(key, reserved, {*keys, *table})] = values
    return pd.DataFrame({name: column_of(values) for name, values in table.items()})


def labels(holdings: Holdings) -> pd.DataFrame:
    """What tells configurations apart, one row each: sizes, fields that vary and metadata."""
    table = fields(holdings).drop(columns="digest")
    sizes = {name for family in families_of(holdings) for name in family.sizes}
    settings = setting_columns(holdings)
    return table[
        [
            name
            for name in table.columns
            if name in sizes or name not in settings or table[name].nunique(dropna=False) > 1
        ]
    ]


def seeds(holdings: Holdings, probed: Mapping[str, tuple[str, str]] | None = None) -> pd.DataFrame:
    """One row per configuration and seed; see `Study.seeds`. ``probed`` is what `probed_columns`
    says of all holdings, where these are some of them."""
    if not holdings:
        return pd.DataFrame(columns=[*IDENTITY, "diverged", *FACTS])
    parts = [holding.rows() for holding in holdings]
    rows = pd.concat(parts, ignore_index=True)
    diverged = rows["diverged"].to_numpy()
    for name, column in result_columns(holdings).items():
        if column.is_count and column.diverged is not None:
            rows[name] = rows[name].astype("Int64").mask(diverged)
    declarations = {key: d for holding in holdings for key, d in holding.declarations.items()}
    for name, (key, own) in (probed or probed_columns(holdings)).items():
        kind = declarations[key].columns[own].dtype if key in declarations else "float64"
        values = [_aligned(holding, key, own, np.dtype(kind)) for holding in holdings]
        rows[name] = pd.concat(values, ignore_index=True).mask(diverged)
    lengths = [len(part) for part in parts]
    settings = fields(holdings).iloc[np.repeat(np.arange(len(parts)), lengths)]
    return pd.concat([settings.reset_index(drop=True), rows], axis=1)


def _aligned(holding: Holding, key: str, name: str, kind: np.dtype[Any]) -> pd.Series[Any]:
    """A probe's column of this type for all rows of a holding, missing where there is no value."""
    at = holding.rows()["seed"]
    nullable = {"i": "Int64", "u": "UInt64" if kind == np.uint64 else "Int64", "b": "boolean"}
    if key not in holding.declarations:
        return pd.Series(pd.NA, index=at.index, dtype=nullable.get(kind.kind, "Float64"))
    values = holding.probe_values(key)[name]
    if kind.kind in nullable:
        values = values.astype(nullable[kind.kind])
    return values.reindex(at.to_numpy()).reset_index(drop=True)


def values_of(holding: Holding, metric: str, probed: tuple[str, str] | None = None) -> NDArray[Any]:
    """A column of a holding, by ascending seed, without diverged seeds and, for a probe's column,
    without seeds that were collected without the probe.

    ``probed`` is the key and the name of a probe's column. Without it, a name that is no result
    column refers to the only probe with a column of this name.
    """
    rows = holding.rows()
    valid = rows[~rows["diverged"]]
    if probed is None and metric in columns(holding.config):
        return np.asarray(valid[metric])
    key, name = probed or probed_columns([holding])[metric]
    values = holding.probe_values(key)[name]
    return np.asarray(values[np.isin(values.index.to_numpy(), valid["seed"].to_numpy())])


def present(values: NDArray[Any]) -> NDArray[np.float64]:
    """The finite ones of the values of seeds that did not diverge; the others are missing: numbers
    that overflowed, and what a probe could not compute or an older file lacks."""
    known = np.asarray(values[~pd.isna(values)], dtype=np.float64)
    return known[np.isfinite(known)]


def bounds_of(holding: Holding, metric: str, probed: tuple[str, str] | None = None) -> Any:
    """What a value of a column can lie between; None if nothing is known."""
    if probed is None and metric in columns(holding.config):
        return bounds(metric, holding.config)
    key, name = probed or probed_columns([holding])[metric]
    return holding.declarations[key].columns[name].bounds


def summary(holdings: Holdings, metric: str, confidence: float) -> pd.DataFrame:
    """One row per configuration; see `Study.summary`."""
    telling = labels(holdings)
    judged = any(holding.target_met is not None for holding in holdings)
    probed = probed_columns(holdings).get(metric)
    table = []
    for index, holding in enumerate(holdings):
        config, rows = holding.config, holding.rows()
        valid = rows[~rows["diverged"]]
        family = families.family_of(config)
        values, limits = np.empty(0), None
        has_metric = probed[0] in holding.declarations if probed else metric in rows
        if has_metric:
            values, limits = values_of(holding, metric, probed), bounds_of(holding, metric, probed)
        known = present(values)
        mean = statistics.mean(known, confidence=confidence, bounds=limits)
        row: dict[str, Any] = {name: telling[name].iloc[index] for name in telling.columns}
        row |= {"seeds": len(rows), "diverged": len(rows) - len(valid)}
        row["missing"] = len(valid) - len(known) if has_metric else 0
        if unlearned := family.unlearned(config):
            name, total = unlearned
            share = valid[name] > families.COLLAPSED * total
            row["collapsed"] = float(share.mean()) if len(valid) else np.nan
        row |= {"mean": mean.value, "ci_low": mean.low, "ci_high": mean.high}
        if judged:
            row["target_met"] = holding.target_met
        if references := family.references(config).get(metric, {}):
            ratio = mean.scaled(1 / next(iter(references.values())))
            row |= references
            row |= {"ratio": ratio.value, "ratio_low": ratio.low, "ratio_high": ratio.high}
        for name in family.beside:
            if name != metric and name in rows:
                row[name] = float(valid[name].mean()) if len(valid) else np.nan
        row["digest"] = config.digest
        table.append(row)
    if not any(row["missing"] for row in table):
        for row in table:
            del row["missing"]
    return pd.DataFrame(table)


def dataset(holdings: Holdings) -> xarray.Dataset:
    """A labelled array for each metric; see `Study.to_xarray`."""
    try:
        import xarray
    except ImportError:
        raise ImportError("to_xarray needs xarray: pip install 'fastpolysem[xarray]'") from None

    rows = seeds(holdings)
    known = np.unique(rows["seed"].to_numpy(dtype=np.uint64))
    place = np.repeat(np.arange(len(holdings)), [len(holding.rows()) for holding in holdings])
    at = place, np.searchsorted(known, rows["seed"].to_numpy(dtype=np.uint64))
    names = [*result_columns(holdings), *probed_columns(holdings)]
    data = {name: np.full((len(holdings), len(known)), np.nan) for name in (*names, "diverged")}
    if holdings:
        diverged = rows["diverged"].to_numpy(dtype=bool)
        data["diverged"][at] = diverged
        for name in names:
            values = rows[name].astype("Float64").to_numpy(dtype=np.float64, na_value=np.nan)
            data[name][at] = np.where(diverged, np.nan, values)
    telling = labels(holdings)
    digests = [holding.config.digest for holding in holdings]
    coordinates: dict[str, Any] = {"seed": known, "digest": ("config", digests)}
    for name in telling.columns:  # where a key "config" would be taken for the dimension
        free = f"metadata.{name}" if name == "config" else name
        coordinates[free] = ("config", telling[name].to_numpy())
    versions = {str(family.numerics_version) for family in families_of(holdings)}
    return xarray.Dataset(
        {name: (("config", "seed"), values) for name, values in data.items()},
        coordinates,
        {"numerics_version": ", ".join(sorted(versions))},
    )
