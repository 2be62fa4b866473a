"""Readings in columns: the form to which every bulk format is decoded, and in which readings are stored."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self, TypeAlias

import numpy as np
import numpy.typing as npt

from tidemark.readings.optional_columns import OPTIONAL, Array, OptionalColumn

Positions: TypeAlias = npt.NDArray[np.intp]
Floats: TypeAlias = npt.NDArray[np.float64]
Integers: TypeAlias = npt.NDArray[np.int64]


@dataclass(slots=True, kw_only=True)
class Columns:
    """Readings, with an array for each column, all of the same length. Subclasses add the sensor of each reading."""

    at: Integers
    """Microseconds since 1970 UTC."""
    value: Floats
    optional: dict[str, Array] = field(default_factory=dict)
    """The optional columns that at least one reading has, by name. Absent numbers are NaN, absent documents None."""

    _required: ClassVar[tuple[str, ...]] = ("at", "value")
    """The fields that are columns, apart from the optional ones."""

    def __len__(self) -> int:
        return len(self.at)

    def take(self, chosen: npt.NDArray[Any] | slice) -> Self:
        """The readings at these positions, or where a mask is true. Fields that are not columns stay as they are."""
        required = {name: getattr(self, name)[chosen] for name in self._required}
        return replace(self, **required, optional={name: column[chosen] for name, column in self.optional.items()})

    @classmethod
    def concat(cls, parts: Sequence[Self]) -> Self:
        """The readings of all parts in order. Fields that are not columns are those of the first part."""
        required: dict[str, Any] = {
            name: np.concatenate([getattr(part, name) for part in parts]) for name in cls._required
        }
        present = set().union(*(part.optional for part in parts))
        return replace(
            parts[0],
            **required,
            optional={column.name: _joined(parts, column) for column in OPTIONAL if column.name in present},
        )


@dataclass(slots=True, kw_only=True)
class Block(Columns):
    """Readings of known series."""

    series_id: npt.NDArray[np.int32]

    _required: ClassVar[tuple[str, ...]] = ("series_id", "at", "value")


def starts_of(values: Array) -> Positions:
    """Where each stretch of equal values starts."""
    return np.flatnonzero(np.append(True, values[1:] != values[:-1])) if len(values) else np.empty(0, dtype=np.intp)


def ends_of(starts: Positions, count: int) -> Positions:
    """Where stretches of so many values end that start at these positions: the last of each."""
    return np.append(starts[1:], count) - 1


def merged(blocks: Sequence[Block]) -> Block:
    """All readings sorted by (series, instant). Of several with the same series and instant, only the last is kept."""
    whole = blocks[0] if len(blocks) == 1 else Block.concat(blocks)
    return whole.take(newest(whole))


def newest(block: Block) -> Positions:
    """The positions of the last reading of each (series, instant), sorted by series and instant."""
    # Stable, so equal keys keep the order in which they arrived; and fast on stretches that are sorted already.
    order = np.lexsort((block.at, block.series_id))
    series_id, at = block.series_id[order], block.at[order]
    last = np.ones(len(order), dtype=bool)
    last[:-1] = (series_id[1:] != series_id[:-1]) | (at[1:] != at[:-1])
    return order if last.all() else order[last]


def _joined(parts: Sequence[Columns], column: OptionalColumn) -> Array:
    return np.concatenate(
        [
            part.optional[column.name]
            if column.name in part.optional
            else np.full(len(part), column.absent, dtype=column.dtype)
            for part in parts
        ]
    )
