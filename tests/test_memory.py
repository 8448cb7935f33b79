"""Memory follows the models in training, not the number of seeds."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import resource, sys
import fastpolysem as fp
fp.train(fp.Config(n_features=4, n_hidden=6, l1=1e-2, steps=3), int(sys.argv[1]), num_threads=2)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def peak(seeds: int) -> float:
    """Largest resident size of a process that trains so many seeds, in MiB."""
    words = [sys.executable, "-c", SCRIPT, str(seeds)]
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return int(subprocess.run(words, capture_output=True, text=True, check=True).stdout) / unit


def test_fifty_times_the_seeds_take_no_more_than_their_results() -> None:
    # 105 bytes of results a seed are 5 MiB; a model kept for each would take 7 KiB a seed, 350 MiB.
    few, many = peak(1000), peak(50_000)
    assert many - few < 50
