"""The modules of the networks' tests, one for each instruction set that was built."""

import importlib
import os
import sys
from pathlib import Path
from types import ModuleType

folder = Path(os.environ.get("FASTPOLYSEM_NETTEST", Path(__file__).parents[2] / "build"))
sys.path.insert(0, str(folder))
modules: dict[str, ModuleType] = {
    path.stem.split(".")[0].removeprefix("_nettest_"): importlib.import_module(
        path.stem.split(".")[0]
    )
    for path in sorted(folder.glob("_nettest_*.so"))
}
if not modules:
    raise ImportError(f"no _nettest module in {folder}: build the target network_testing first")
core = list(modules.values())[-1]
