"""Prints the type stub of the compiled core, from the signatures that the installed one reports.

    python cpp/bindings/stubs.py > python/fastpolysem/_core.pyi

One stub serves the modules of all instruction sets. A test says when it is stale.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

_HEAD = '''"""The compiled core. Written by cpp/bindings/stubs.py; do not edit."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
'''

# What pybind11 writes, in its versions, and how the stub says it.
_TYPES = [
    (r"fastpolysem\._core_\w+\.", ""),
    (r"typing\.Annotated\[numpy\.typing\.ArrayLike, numpy\.(\w+)\]", r"NDArray[np.\1]"),
    (r"numpy\.typing\.NDArray\[numpy\.(\w+)\]", r"NDArray[np.\1]"),
    (r"typing\.SupportsInt( \| typing\.SupportsIndex)?", "int"),
    (r"typing\.SupportsFloat( \| typing\.SupportsIndex)?", "float"),
    (r'typing\.Annotated\[(.*?), "FixedSize\(\d+\)"\]', r"\1"),
    (r"collections\.abc\.", ""),
    (r"\bnumpy\.ndarray\b", "NDArray[Any]"),
    (r"\bobject\b", "Any"),
    (r"\bdict\b(?!\[)", "dict[str, Any]"),
    (r"\blist\b(?!\[)", "list[Any]"),
    (r"\btuple\b(?!\[)", "tuple[Any, ...]"),
]


def _plain(signature: str) -> str:
    for pattern, plain in _TYPES:
        signature = re.sub(pattern, plain, signature)
    return signature


def _signature(function: Any) -> str:
    return _plain((function.__doc__ or "").splitlines()[0])


def _members(cls: Any) -> Iterator[str]:
    for name in sorted(vars(cls)):
        member = vars(cls)[name]
        if isinstance(member, property):
            kind = _plain(member.fget.__doc__.splitlines()[0]).rpartition("-> ")[2]
            yield f"    {name}: {kind}"
        elif name == "__init__" or (not name.startswith("_") and callable(member)):
            yield f"    def {_signature(member).replace(f'self: {cls.__name__}', 'self')}: ..."


def stub(core: Any) -> str:
    """The text of the stub of a compiled module."""
    lines = [_HEAD]
    for name in sorted(dir(core)):
        value = getattr(core, name)
        if isinstance(value, type):
            lines += [f"class {name}:", *_members(value), ""]
        elif callable(value) and not name.startswith("__"):
            lines.append(f"def {_signature(value)}: ...")
        elif name == "METRICS":
            lines.append(f"{name}: tuple[str, ...]")
        elif name == "testing":
            lines.append(f"{name}: Any")
        elif isinstance(value, (int, str)) and name.endswith(("NUMERICS_VERSION", "__version__")):
            lines.append(f"{name}: {type(value).__name__}")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    from fastpolysem._native import core as _core

    print(stub(_core), end="")
