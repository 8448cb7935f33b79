"""Studies: many configurations and seeds, collected in blocks, stored in a folder and read as
tables.

`collect` and `iter_collect` train what is missing; a `Study` contains the results.
"""

from __future__ import annotations

from fastpolysem.studies.blocks import block_size
from fastpolysem.studies.collect import ProbeError, collect, iter_collect
from fastpolysem.studies.progress import ConfigProgress, Progress
from fastpolysem.studies.schema import ConflictError
from fastpolysem.studies.store import Damage, DamagedStudyError
from fastpolysem.studies.study import Study

__all__ = [
    "ConfigProgress",
    "ConflictError",
    "Damage",
    "DamagedStudyError",
    "ProbeError",
    "Progress",
    "Study",
    "block_size",
    "collect",
    "iter_collect",
]
