"""Studies: many configurations and seeds, collected in blocks, stored in a folder and read as
tables.

`collect` and `iter_collect` run what is missing, `store` holds the rows and the files, `progress`
shows how far it is.
"""

from __future__ import annotations

from fastpolysem.studies.collect import block_size, collect, iter_collect
from fastpolysem.studies.progress import ConfigProgress, Progress
from fastpolysem.studies.store import ConflictError, Damage, DamagedStudyError, Study

__all__ = [
    "ConfigProgress",
    "ConflictError",
    "Damage",
    "DamagedStudyError",
    "Progress",
    "Study",
    "block_size",
    "collect",
    "iter_collect",
]
