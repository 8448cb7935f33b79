"""The table of a folder's configurations, for programs that read its Parquet files."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from fastpolysem import families
from fastpolysem.studies import tabulate
from fastpolysem.studies.files import CONFIGS, write
from fastpolysem.studies.holding import Holding
from fastpolysem.studies.metadata import column_of
from fastpolysem.studies.store import DamagedStudyError, Store


def write_configs(store: Store, holdings: list[Holding]) -> None:
    """Bring the table up to date with the configurations that are being collected.

    Nothing depends on it: where it cannot be written, or a row of another configuration cannot be
    determined, collecting continues, and the next run completes the table.
    """
    with contextlib.suppress(OSError, MemoryError):
        target = store.path / CONFIGS
        own = _fields(holdings)
        before = _read(target)
        known = before | own
        unknown = [digest for digest in store.digests() if digest not in known]
        known |= _fields(_holdings(store, unknown))
        if known != before:
            table = _table(known)
            write(target, lambda file: pq.write_table(table, file), replace=True)


def _holdings(store: Store, digests: list[str]) -> list[Holding]:
    """Configurations that others have written."""
    found = []
    for digest in digests:
        with contextlib.suppress(DamagedStudyError, OSError, ImportError, ValueError):
            found.append(Holding(*store.config(digest)))
    return found


def _fields(holdings: list[Holding]) -> dict[str, dict[str, Any]]:
    """The rows of configurations, whose names do not depend on what other families there are."""
    rows: dict[str, dict[str, Any]] = {}
    for family in tabulate.families_of(holdings):
        own = [one for one in holdings if families.family_of(one.config) is family]
        table = tabulate.fields(own)
        table.insert(1, "family", family.kind)
        rows |= _rows(table)
    return rows


def _rows(table: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """The values that there are in each row, by its digest."""
    return {
        row["digest"]: {name: value for name, value in row.items() if not pd.isna(value)}
        for row in table.to_dict("records")
    }


def _read(target: Path) -> dict[str, dict[str, Any]]:
    """The rows of the existing table; none if it is of another kind."""
    try:
        with open(target, "rb") as file:  # Arrow cannot open all names
            found = pq.read_table(file).to_pandas()
        return _rows(found) if "digest" in found else {}
    except MemoryError:
        raise
    except Exception:  # damaged, or a table of the user with anything in it
        return {}


def _table(rows: dict[str, dict[str, Any]]) -> pa.Table:
    names = dict.fromkeys(name for row in rows.values() for name in row)
    columns = {name: column_of([row.get(name) for row in rows.values()]) for name in names}
    return pa.Table.from_pandas(pd.DataFrame(columns), preserve_index=False)
