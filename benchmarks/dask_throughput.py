"""What Dask costs: python -m benchmarks.dask_throughput [--pairs 7] [--blocks 24] [--json FILE]

Compares two Dask workers of one thread each with two threads of this process, on the same seeds at
blocks of about a second, in pairs one after the other, and says the median of the pairs' ratios.
Then: bytes sent a block, and how many blocks of no work one scheduler passes on in a second.
"""

from __future__ import annotations

import argparse
import json
import pickle
import statistics
import time
import warnings
from typing import Any

import fastpolysem as fp
from fastpolysem.studies import block_size, blocks

# Four seeds a block; the output says how long one takes.
CONFIG = fp.Config(n_features=64, n_hidden=128, l1=1e-3)


def nothing(*_: Any) -> None:
    """A task without work."""


def timed(seeds: int, **options: Any) -> tuple[float, Any]:
    begin = time.perf_counter()
    study = fp.collect(CONFIG, seeds=seeds, progress=False, **options)
    return time.perf_counter() - begin, study.values(CONFIG, "loss").tobytes()


def bytes_of_blocks() -> dict[str, Any]:
    """Bytes that go to a worker and come back, of blocks of several sizes."""
    sizes = {}
    for full in (CONFIG, fp.Config(n_features=8, n_hidden=16, l1=1e-3)):
        count = block_size(full)
        config = full.replace(steps=1)  # their bytes do not depend on it
        for kept in (blocks.Kept(), blocks.Kept(weights=True)):
            there = len(pickle.dumps((config.to_dict(), range(count), 1, kept)))
            back = len(pickle.dumps(blocks.train_block(config.to_dict(), range(count), 1, kept)))
            name = f"n={config.n_features}, m={config.n_hidden}, {count} seeds"
            sizes[f"{name}{', weights' if kept.weights else ''}"] = {"there": there, "back": back}
    return sizes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--blocks", type=int, default=24)
    parser.add_argument("--json")
    given = parser.parse_args()
    from distributed import Client, LocalCluster

    warnings.simplefilter("ignore")
    seeds = given.blocks * block_size(CONFIG)
    ratios, local, dask = [], [], []
    cluster = LocalCluster(
        n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address=None
    )
    with cluster, Client(cluster) as client:
        executor = client.get_executor()
        timed(2 * block_size(CONFIG), executor=executor)  # workers import the package
        for pair in range(given.pairs):
            # Alternating, so that a machine that slows down or speeds up favours neither.
            first = timed(seeds, **({"executor": executor} if pair % 2 else {"num_threads": 2}))
            second = timed(seeds, **({"num_threads": 2} if pair % 2 else {"executor": executor}))
            assert first[1] == second[1], "the two have to give the same bits"
            (here, _), (there, _) = (second, first) if pair % 2 else (first, second)
            local.append(here)
            dask.append(there)
            ratios.append(here / there)
            print(
                f"threads {here:.2f} s, Dask {there:.2f} s, throughput {here / there:.3f}",
                flush=True,
            )
        tasks = 2000
        begin = time.perf_counter()
        futures = [executor.submit(nothing, i) for i in range(tasks)]
        for future in futures:
            future.result()
        per_second = tasks / (time.perf_counter() - begin)
    told = {
        "block": block_size(CONFIG),
        "seconds a block and core": 2 * statistics.median(local) / given.blocks,
        "throughput of Dask, median": statistics.median(ratios),
        "pairs": sorted(round(ratio, 4) for ratio in ratios),
        "tasks a second": per_second,
        "bytes": bytes_of_blocks(),
    }
    print(json.dumps(told, indent=2))
    if given.json:
        with open(given.json, "w", encoding="utf-8") as file:
            json.dump(told, file, indent=2)


if __name__ == "__main__":
    main()
