"""Which runs of the log are worth merging into one."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

SMALL_ROW = 250
"""Rows of fewer readings are small: they cost those who read the log nearly as much as full ones."""
WORTH_MERGING = 8
"""A merged run has this many times the readings of its largest part, so that no reading is merged often."""
MERGED_READINGS = 100_000
"""From this many readings on a merged run takes no more parts."""


class Appended(NamedTuple):
    """What one transaction has appended to the log."""

    xid: int
    readings: int
    rows: int

    @property
    def small(self) -> bool:
        """Whether its rows are small on average."""
        return self.readings < SMALL_ROW * self.rows


def mergeable(closed: Iterable[Appended]) -> list[list[Appended]]:
    """The stretches of small runs that are worth merging, each into one run with the greatest `xid` of its parts.

    `closed` is every transaction in the log below a horizon that `closed_before` returned, ascending. A stretch leaves
    out none between its first and its last: a merged run on both sides of another would have no single place in the
    order of writes. It has whole transactions: what was written before them and is now of their `xid` would tie with
    what they wrote in rows that were left out.
    """
    worth = []
    waiting = list(_stretches(closed))
    while waiting:
        stretch = waiting.pop()
        sizes = [run.readings for run in stretch]
        if len(stretch) > 1 and sum(sizes) >= WORTH_MERGING * max(sizes):
            worth.append(stretch)
        elif len(stretch) > 1:
            largest = sizes.index(max(sizes))
            waiting += [stretch[:largest], stretch[largest + 1 :]]
    return sorted(worth)


def _stretches(closed: Iterable[Appended]) -> Iterator[list[Appended]]:
    stretch: list[Appended] = []
    readings = 0
    for run in closed:
        if not run.small or readings >= MERGED_READINGS:
            yield stretch
            stretch, readings = [], 0
        if run.small:
            stretch.append(run)
            readings += run.readings
    yield stretch
