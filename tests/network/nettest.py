"""What the core shows to the networks' tests, for each instruction set that was built."""

import importlib
import importlib.util
from typing import Any

import fastpolysem as fp
from fastpolysem._native import core as _core

core: Any = _core.testing
modules: dict[str, Any] = {
    name: importlib.import_module(f"fastpolysem._core_{name}").testing
    for name in fp.build_info()["supported"]
    if importlib.util.find_spec(f"fastpolysem._core_{name}") is not None
}
