"""How many threads are taken if nothing is said."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

import fastpolysem as fp
from fastpolysem import _checks, _native

SCRIPT = """
import os, sys
import fastpolysem as fp
from fastpolysem import _checks
if len(sys.argv) > 1:
    _checks._group_cores = lambda: float(sys.argv[1])
result = fp.train(fp.Config(n_features=4, n_hidden=6, steps=2), 3)
print(fp.build_info()["threads"], len(result))
"""


def threads(quota: float | None = None, **environment: str) -> int:
    """What a process with this quota of processors and this environment takes; it trains, too."""
    kept = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    words = [sys.executable, "-c", SCRIPT, *([] if quota is None else [str(quota)])]
    done = subprocess.run(
        words, env={**kept, **environment}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    number, seeds = map(int, done.stdout.split())
    assert seeds == 3
    return number


def write(folder: Path, **files: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(f"{text}\n")


def test_quotas_of_control_groups(tmp_path: Path) -> None:
    groups, mounted = tmp_path / "cgroup", tmp_path / "mounted"
    assert _checks._group_cores(groups, mounted) == math.inf
    groups.write_text("0::/job/step\n")
    assert _checks._group_cores(groups, mounted) == math.inf
    write(mounted / "job" / "step", cpu__max="max 100000")
    assert _checks._group_cores(groups, mounted) == math.inf
    write(mounted / "job", cpu__max="250000 100000")
    assert _checks._group_cores(groups, mounted) == 2.5
    write(mounted / "job" / "step", cpu__max="50000 100000")
    assert _checks._group_cores(groups, mounted) == 0.5


@pytest.mark.parametrize("folder", ["cpu", "cpu,cpuacct"])
def test_quotas_of_control_groups_of_version_1(tmp_path: Path, folder: str) -> None:
    groups, mounted = tmp_path / "cgroup", tmp_path / "mounted"
    groups.write_text("4:memory:/box\n7:cpu,cpuacct:/box\n0::/\n")
    write(mounted / folder / "box", cpu__cfs_quota_us="-1", cpu__cfs_period_us="100000")
    assert _checks._group_cores(groups, mounted) == math.inf
    write(mounted / folder / "box", cpu__cfs_quota_us="150000")
    assert _checks._group_cores(groups, mounted) == 1.5
    # A container sees its own group as the root and is told a path that is not there.
    groups.write_text("7:cpu,cpuacct:/docker/0123\n")
    write(mounted / folder, cpu__cfs_quota_us="300000", cpu__cfs_period_us="100000")
    assert _checks._group_cores(groups, mounted) == 3


def test_the_default_keeps_within_quota_and_affinity(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(_native.core, "default_threads", lambda: 8)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    for quota, expected in [(math.inf, 8), (20.0, 8), (3.0, 3), (2.5, 3), (0.2, 1)]:
        monkeypatch.setattr(_checks, "_own_quota", lambda quota=quota: quota)
        assert fp.build_info()["threads"] == expected
    monkeypatch.setattr(_checks, "_own_quota", lambda: math.inf)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {3, 5})  # changed after the import
    assert fp.build_info()["threads"] == 2
    monkeypatch.setenv("OMP_NUM_THREADS", "8,2")
    assert fp.build_info()["threads"] == 8
    monkeypatch.setenv("OMP_NUM_THREADS", "many")
    assert fp.build_info()["threads"] == 2


def test_a_process_with_a_quota() -> None:
    assert threads(1.0) == 1
    assert threads(1.0, OMP_NUM_THREADS="3") == (3 if fp.build_info()["openmp"] else 1)


def test_more_threads_than_there_can_be_are_not_blamed_on_the_caller() -> None:
    expected = _native.MAX_THREADS if fp.build_info()["openmp"] else 1
    assert threads(OMP_NUM_THREADS="5000") == expected
