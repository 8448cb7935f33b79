"""Sets of seeds as ranges, so that a billion consecutive seeds take no more memory than ten."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

Range = tuple[int, int]
"""First seed and the one after the last, as Python integers: the latter may be 2**64."""

_Seeds = NDArray[np.uint64]

_LARGEST = np.uint64(2**64 - 1)
_AT_A_TIME = 4096  # ranges converted at a time to Python integers, which take more memory


class SeedSet:
    """An immutable set of seeds, stored as ascending ranges that neither overlap nor touch.

    A range takes 16 bytes, and so does a seed without neighbours in the set.
    """

    def __init__(self, ranges: Iterable[Range] = ()) -> None:
        listed = sorted((first, stop - 1) for first, stop in ranges if first < stop)
        firsts = np.array([first for first, _ in listed], dtype=np.uint64)
        lasts = np.array([last for _, last in listed], dtype=np.uint64)
        self._set(*_merged(firsts, lasts))

    def _set(self, firsts: _Seeds, lasts: _Seeds) -> None:
        self._firsts, self._lasts = firsts, lasts
        self.count = int((lasts - firsts).sum(dtype=np.uint64)) + len(firsts)

    @classmethod
    def _made(cls, firsts: _Seeds, lasts: _Seeds) -> SeedSet:
        made = cls.__new__(cls)
        made._set(firsts, lasts)
        return made

    @classmethod
    def of(cls, seeds: _Seeds) -> SeedSet:
        """The set of the seeds in an array, in any order."""
        ordered = np.unique(seeds)
        return cls._made(*_merged(ordered, ordered))

    @property
    def ranges(self) -> list[Range]:
        """The ranges, ascending."""
        return list(self._ranges())

    def _ranges(self) -> Iterator[Range]:
        for at in range(0, len(self._firsts), _AT_A_TIME):
            some = slice(at, at + _AT_A_TIME)
            for first, last in zip(
                self._firsts[some].tolist(), self._lasts[some].tolist(), strict=True
            ):
                yield first, last + 1

    def array(self) -> _Seeds:
        """The seeds, ascending."""
        sizes = (self._lasts - self._firsts).astype(np.int64) + 1
        before = np.cumsum(sizes) - sizes
        within = np.arange(self.count) - np.repeat(before, sizes)
        return np.repeat(self._firsts, sizes) + within.astype(np.uint64)

    def listed(self) -> range | _Seeds:
        """The seeds, ascending, in whichever form is smaller."""
        return range(*self.ranges[0]) if len(self._firsts) == 1 else self.array()

    def contains(self, seeds: _Seeds) -> NDArray[np.bool_]:
        """Which of the seeds are in the set."""
        if not len(self._firsts):
            return np.zeros(len(seeds), dtype=bool)
        place = np.searchsorted(self._firsts, seeds, side="right")
        result: NDArray[np.bool_] = (place > 0) & (seeds <= self._lasts[place - 1])
        return result

    def __sub__(self, other: SeedSet) -> SeedSet:
        return self & other._complement()

    def __and__(self, other: SeedSet) -> SeedSet:
        # For each range, the overlapping ones of the other set. None touch, so the results do not.
        begin = np.searchsorted(other._lasts, self._firsts, side="left")
        end = np.searchsorted(other._firsts, self._lasts, side="right")
        overlaps = end - begin
        here = np.repeat(np.arange(len(begin)), overlaps)
        before = np.cumsum(overlaps) - overlaps
        there = np.arange(len(here)) + np.repeat(begin - before, overlaps)
        return SeedSet._made(
            np.maximum(self._firsts[here], other._firsts[there]),
            np.minimum(self._lasts[here], other._lasts[there]),
        )

    def __or__(self, other: SeedSet) -> SeedSet:
        return SeedSet.union([self, other])

    @classmethod
    def union(cls, sets: Iterable[SeedSet]) -> SeedSet:
        """All seeds of several sets."""
        listed = [cls(), *sets]
        firsts = np.concatenate([one._firsts for one in listed])
        order = np.argsort(firsts, kind="stable")
        lasts = np.concatenate([one._lasts for one in listed])
        return cls._made(*_merged(firsts[order], lasts[order]))

    def _complement(self) -> SeedSet:
        one = np.uint64(1)
        firsts = np.concatenate([np.zeros(1, np.uint64), self._lasts + one])
        lasts = np.concatenate([self._firsts - one, np.full(1, _LARGEST)])
        if len(self._firsts):  # nothing may be left at either end of the possible seeds
            start = int(self._firsts[0] == 0)
            stop = len(firsts) - int(self._lasts[-1] == _LARGEST)
            firsts, lasts = firsts[start:stop], lasts[start:stop]
        return SeedSet._made(firsts, lasts)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, SeedSet)
            and np.array_equal(self._firsts, other._firsts)
            and np.array_equal(self._lasts, other._lasts)
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        pairs = zip(self._firsts[:4].tolist(), self._lasts[:4].tolist(), strict=True)
        shown = ", ".join(f"{first}..{last}" for first, last in pairs)
        return f"SeedSet({shown}{', …' if len(self._firsts) > 4 else ''})"

    def cut(self, size: int) -> Iterator[Range]:
        """Consecutive ranges that do not cross a multiple of ``size``, ascending."""
        for first, stop in self._ranges():
            while first < stop:
                end = min(stop, (first // size + 1) * size)
                yield first, end
                first = end

    def blocks(self, size: int) -> Iterator[SeedSet]:
        """Sets of at most ``size`` seeds, ascending.

        Consecutive seeds are split only at multiples of ``size``. Pieces separated by gaps are
        collected until a block is full.
        """
        held: list[Range] = []
        count = 0
        for first, stop in self.cut(size):
            if held and (held[-1][1] == first or count + stop - first > size):
                yield SeedSet(held)
                held, count = [], 0
            held.append((first, stop))
            count += stop - first
        if held:
            yield SeedSet(held)


def _merged(firsts: _Seeds, lasts: _Seeds) -> tuple[_Seeds, _Seeds]:
    """Ranges by ascending first seed, merged where they overlap or touch."""
    reach = np.maximum.accumulate(lasts)
    new = np.ones(len(firsts), dtype=bool)
    new[1:] = (firsts[1:] > reach[:-1]) & (firsts[1:] - reach[:-1] > 1)
    return firsts[new], reach[np.append(new[1:], True)] if len(firsts) else reach
