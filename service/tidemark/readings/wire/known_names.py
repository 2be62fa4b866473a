"""The names of series by what a format writes for them: a series is named once, not with each of its readings.

What is remembered follows from the text alone, not from whose it is, so all organizations share it. It is bounded by
memory: one series more, and all are forgotten. Those in use are back at once, and no hit has to note when it was.
"""

import sys
from collections.abc import Callable
from functools import wraps
from threading import Lock
from typing import TypeVarTuple

import numpy as np
import numpy.typing as npt
import polars as pl

LIMIT = 384 * 2**20
"""Bytes that the names of one format may take: more than a million of usual length."""
_ENTRY = 80
"""Bytes that a name takes beside the texts."""

Places = npt.NDArray[np.intp]
Written = TypeVarTuple("Written")


class KnownNames:
    """Names the texts of whole columns; may be used by many threads."""

    def __init__(self, name_of: Callable[[str], str], limit: int = LIMIT) -> None:
        """`name_of` raises nothing, and returns an empty name for a text that has none."""
        self._name_of = name_of
        self._limit = limit
        self._lock = Lock()
        self._forget()

    def look_up(self, texts: pl.Series) -> tuple[list[str], Places]:
        """The names of the distinct texts in the order of their first appearance, and the index of each text's name.

        Different texts may have the same name.
        """
        with self._lock:
            if self._bytes > self._limit:
                self._forget()
            codes = texts.cast(self._coded.dtype).to_physical().to_numpy()
            self._learn(texts, codes)
            return self._distinct(codes)

    def _forget(self) -> None:
        # The codes of a categorical type last as long as there is a column of it.
        self._coded = pl.Series([], dtype=pl.Categorical(pl.Categories.random()))
        self._names: list[str] = []
        """By code."""
        self._index: Places = np.zeros(0, dtype=np.intp)
        """Room for an index by code; what it holds means nothing between two calls."""
        self._bytes = 0

    def _learn(self, texts: pl.Series, codes: npt.NDArray[np.uint32]) -> None:
        """Name the texts that are new: polars gives them the next codes."""
        known = len(self._names)
        rows = np.flatnonzero(codes >= known)
        if not len(rows):
            return
        new = dict(zip(codes[rows].tolist(), texts.gather(rows).to_list(), strict=True))
        try:
            self._names += [self._name_of(new[code]) for code in range(known, known + len(new))]
        except BaseException:
            self._forget()  # codes without names
            raise
        self._bytes += sum(_ENTRY + 2 * len(text) for text in new.values())
        self._bytes += sum(map(sys.getsizeof, self._names[known:]))
        if len(self._index) < len(self._names):
            self._index = np.zeros(2 * len(self._names), dtype=np.intp)

    def _distinct(self, codes: npt.NDArray[np.uint32]) -> tuple[list[str], Places]:
        rows, index = np.arange(len(codes)), self._index
        index[codes[::-1]] = rows[::-1]  # of equal codes, the first row is assigned last
        first = codes[index[codes] == rows]
        index[first] = rows[: len(first)]
        names = self._names
        return [names[code] for code in first.tolist()], index[codes]


def remembered(
    limit: int = LIMIT,
) -> Callable[[Callable[[*Written], str]], Callable[[*Written], str]]:
    """Make a function remember the names that it returns; for formats that name one series at a time."""

    def remembering(name_of: Callable[[*Written], str]) -> Callable[[*Written], str]:
        names: dict[tuple[*Written], str] = {}
        lock = Lock()
        held = 0

        @wraps(name_of)
        def known_or_new(*written: *Written) -> str:
            nonlocal held
            name = names.get(written)
            if name is None:
                name = name_of(*written)
                size = _ENTRY + _size(written) + sys.getsizeof(name)
                with lock:
                    if held + size > limit:
                        names.clear()
                        held = 0
                    names[written] = name
                    held += size
            return name

        return known_or_new

    return remembering


def _size(written: object) -> int:
    return sys.getsizeof(written) + (sum(map(_size, written)) if isinstance(written, tuple) else 0)
