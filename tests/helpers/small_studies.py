"""What the tests of studies share: small configurations, and children that collect."""

from __future__ import annotations

import hashlib
import io
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import fastpolysem as fp
from fastpolysem.studies import Progress, Study, blocks
from fastpolysem.studies.schema import FACTS

# Blocks of 4 seeds for CONFIG, of 2 for twice as many neurons.
SPEED = 1.2e6
CONFIG = fp.Config(n_features=8, n_hidden=16, l1=1e-2, steps=50)
CONFIGS = fp.grid(CONFIG, n_hidden=[16, 32])

DIVERGING = fp.Config(
    n_features=6, n_hidden=8, optimizer="sgd", learning_rate=0.15, steps=60, init_scale=1.3
)


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "_SPEED", SPEED)


def results(study: Study) -> pd.DataFrame:
    """The table of seeds without what depends on the machine."""
    return study.seeds().drop(columns=list(FACTS))


def assert_same(one: Study, other: Study) -> None:
    pd.testing.assert_frame_equal(results(one), results(other), check_exact=True)


def digest_of(study: Study) -> str:
    """Hash of every result column, bit for bit."""
    digest = hashlib.sha256()
    for name, column in results(study).items():
        values = column.to_numpy()
        text = [str(one) for one in values] if values.dtype == object else None
        digest.update(f"{name} {len(values)}".encode())
        digest.update("\n".join(text).encode() if text is not None else values.tobytes())
    return digest.hexdigest()


def files(path: Path) -> dict[Path, tuple[int, bytes]]:
    """Every block, with what tells whether it was written again."""
    return {
        file: (file.stat().st_mtime_ns, file.read_bytes()) for file in path.rglob("seeds-*.parquet")
    }


class Failing(io.BytesIO):
    """A file that can be opened, and then fails."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(b"PAR1" * 10)
        self.error = error

    def read(self, size: int | None = -1, /) -> bytes:
        raise self.error


class Stop(Exception):  # noqa: N818
    """Raised by tests to break off."""


def after(blocks: int, error: BaseException) -> Callable[[Progress], None]:
    """A progress function that raises at this record."""

    def report(record: Progress) -> None:
        if record.seeds > 4 * blocks:
            raise error

    return report


CHILD = """
import sys
import fastpolysem as fp
from fastpolysem.studies import blocks

if __name__ == "__main__":
    blocks._SPEED = {speed}
    config = fp.Config(n_features=8, n_hidden=64, l1=1e-2, steps={steps})
    study = fp.collect(config, seeds={seeds}, path=sys.argv[1], num_threads=1)
    print("interrupted" if study.interrupted else "done", len(study))
"""
CHILD_CONFIG = fp.Config(n_features=8, n_hidden=64, l1=1e-2, steps=4000)
CHILD_SPEED = 1e8


def start(script: Path, *arguments: object, **options: Any) -> subprocess.Popen[str]:
    """A process that runs a script."""
    return subprocess.Popen(
        [sys.executable, str(script), *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def wait_for_blocks(process: subprocess.Popen[str], path: Path, count: int) -> None:
    """Wait until so many blocks are there."""
    while len(list(path.rglob("seeds-*.parquet"))) < count:
        assert process.poll() is None, process.communicate()
        time.sleep(0.002)


def collect_under_kills(
    script: Path,
    path: Path,
    kills: int,
    seeds: int,
    configs: list[Any],
    kept: dict[str, Any],
    *arguments: object,
) -> tuple[Study, Study]:
    """The study resumed after its processes were killed at random moments, and one never touched.

    The script collects ``configs`` with the options ``kept``. It is given the folder, how many
    seeds to collect, a number of threads and the ``arguments``. Each child has so many ``seeds``
    left to do when it is killed, so that every kill counts.
    """
    moments = random.Random(kills)
    killed, goal = 0, 0
    while killed < kills:
        goal += seeds
        with start(script, path, goal, 1 + killed % 2, *arguments) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "begin\n"
            # Before the first block, between any two, and while one is written.
            wait_for_blocks(process, path, len(files(path)) + moments.randrange(10))
            time.sleep(moments.uniform(0, 0.03))
            process.kill()
            killed += process.wait() == -9
    damages = [damage for damage in Study.check(path) if "is incomplete" not in damage.reason]
    assert damages == []
    assert len(files(path)) > kills
    resumed = fp.collect(configs, seeds=goal, path=path, **kept)
    pristine = fp.collect(configs, seeds=goal, **kept)
    assert digest_of(resumed) == digest_of(Study.open(path)) == digest_of(pristine)
    return resumed, pristine
