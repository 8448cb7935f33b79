"""Sets of seeds as ranges, so that a billion consecutive seeds take no more room than ten."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

Range = tuple[int, int]
"""First seed and the one after the last, as Python integers: the latter may be 2**64."""


class SeedSet:
    """An immutable set of seeds, kept as disjoint ascending ranges that do not touch."""

    def __init__(self, ranges: Iterable[Range] = ()) -> None:
        merged: list[Range] = []
        for first, stop in sorted(ranges):
            if merged and first <= merged[-1][1]:
                merged[-1] = merged[-1][0], max(stop, merged[-1][1])
            elif first < stop:
                merged.append((first, stop))
        self.ranges = merged
        self.count = sum(stop - first for first, stop in merged)

    @classmethod
    def of(cls, seeds: NDArray[np.uint64]) -> SeedSet:
        """The set of the seeds in an array, in any order."""
        ordered = np.unique(seeds)
        new = np.ones(len(ordered), dtype=bool)
        new[1:] = np.diff(ordered) != 1
        firsts = ordered[new].tolist()
        lasts = ordered[np.append(new[1:], True)].tolist() if len(ordered) else []
        return cls((first, last + 1) for first, last in zip(firsts, lasts, strict=True))

    def contains(self, seeds: NDArray[np.uint64]) -> NDArray[np.bool_]:
        """Which of the seeds are in the set."""
        if not self.ranges:
            return np.zeros(len(seeds), dtype=bool)
        firsts = np.array([first for first, _ in self.ranges], dtype=np.uint64)
        lasts = np.array([stop - 1 for _, stop in self.ranges], dtype=np.uint64)
        place = np.searchsorted(firsts, seeds, side="right")
        result: NDArray[np.bool_] = (place > 0) & (seeds <= lasts[place - 1])
        return result

    def __sub__(self, other: SeedSet) -> SeedSet:
        left: list[Range] = []
        at = 0
        for first, stop in self.ranges:
            while at < len(other.ranges) and other.ranges[at][1] <= first:
                at += 1
            k = at
            while first < stop and k < len(other.ranges) and other.ranges[k][0] < stop:
                left.append((first, other.ranges[k][0]))  # empty where the other begins before
                first = max(first, other.ranges[k][1])
                k += 1
            left.append((first, stop))
        return SeedSet((first, stop) for first, stop in left if first < stop)

    def __and__(self, other: SeedSet) -> SeedSet:
        return self - (self - other)

    def __or__(self, other: SeedSet) -> SeedSet:
        return SeedSet([*self.ranges, *other.ranges])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SeedSet) and self.ranges == other.ranges

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        shown = ", ".join(f"{first}..{stop - 1}" for first, stop in self.ranges[:4])
        return f"SeedSet({shown}{', …' if len(self.ranges) > 4 else ''})"

    def cut(self, size: int) -> Iterator[Range]:
        """Consecutive ranges that do not cross a multiple of ``size``, ascending."""
        for first, stop in self.ranges:
            while first < stop:
                end = min(stop, (first // size + 1) * size)
                yield first, end
                first = end
