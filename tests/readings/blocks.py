"""Blocks of readings as plain rows, and back."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from tidemark.readings.columns import Block
from tidemark.readings.optional_columns import OPTIONAL

Row = tuple[Any, ...]
"""Series, instant (microseconds since 1970 UTC), value and the optional columns."""


def block_of(table: Iterable[Row]) -> Block:
    """A block without the columns that no row has."""
    rows = list(table)
    series_id, at, value, *optional = zip(*rows, strict=True) if rows else [()] * (3 + len(OPTIONAL))
    return Block(
        series_id=np.array(series_id, np.int32),
        at=np.array(at, np.int64),
        value=np.array(value, np.float64),
        optional={
            column.name: np.array([column.absent if each is None else each for each in cells], column.dtype)
            for column, cells in zip(OPTIONAL, optional, strict=True)
            if any(each is not None for each in cells)
        },
    )


def table_of(block: Block) -> list[Row]:
    """The rows of a block."""
    optional = [
        [None if each is None or each != each else each for each in block.optional[column.name].tolist()]
        if column.name in block.optional
        else [None] * len(block)
        for column in OPTIONAL
    ]
    return list(zip(block.series_id.tolist(), block.at.tolist(), block.value.tolist(), *optional, strict=True))
