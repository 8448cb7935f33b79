"""A self-contained HTML report of a study.

It contains the settings, the results, figures with their data, the provenance of the data, and the
commands that reproduce them. Tables can be sorted. A study with more than 24 configurations gets an
overview with one row per value of each setting, and its table is folded. To limit the size of the
page, figures above 250 kB are embedded as pixels and tables list 500 rows; their CSV files, which
the page contains, hold all.
"""

from __future__ import annotations

from fastpolysem.report._commands import commands
from fastpolysem.report._page import page, write

__all__ = ["commands", "page", "write"]
