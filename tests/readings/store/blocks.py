"""Readings by hand: from a dict to blocks and back, and into the store of plain PostgreSQL as the settler does it."""

import math
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from tidemark.base.time import HOUR
from tidemark.readings.columns import Block, merged
from tidemark.readings.optional_columns import OPTIONAL
from tidemark.readings.store.segments import rewrite
from tidemark.readings.store.windows import Windows

if TYPE_CHECKING:
    import asyncpg

    Connection: TypeAlias = "asyncpg.Connection[Any]"

Reading: TypeAlias = tuple[Any, ...]
"""The value and the optional columns."""
Store: TypeAlias = dict[tuple[int, int], Reading]
"""Readings by series and instant, in microseconds since 1970 UTC."""

GAP = 2 * HOUR
"""Readings further apart than this are looked up apart; what is stored between them stays."""
DETAILS = tuple(column.name for column in OPTIONAL)


def block_of(readings: Store) -> Block:
    keys = sorted(readings)
    rows = [readings[key] for key in keys]
    return Block(
        series_id=np.array([series for series, _ in keys], dtype=np.int32),
        at=np.array([at for _, at in keys], dtype=np.int64),
        value=np.array([row[0] for row in rows], dtype=np.float64),
        optional={
            column.name: np.array(
                [column.absent if row[place] is None else row[place] for row in rows], dtype=column.dtype
            )
            for place, column in enumerate(OPTIONAL, 1)
            if any(row[place] is not None for row in rows)
        },
    )


def readings_of(block: Block) -> Store:
    absent = [None] * len(block)
    columns = [block.optional[name].tolist() if name in block.optional else absent for name in DETAILS]
    rows = zip(block.value.tolist(), *columns, strict=True)
    return {
        key: tuple(None if isinstance(one, float) and math.isnan(one) else one for one in row)
        for key, row in zip(zip(block.series_id.tolist(), block.at.tolist(), strict=True), rows, strict=True)
    }


def windows_of(readings: Store) -> tuple[Any, Any, Any]:
    """Stretches of each series that hold its readings, apart from long gaps."""
    windows: list[list[int]] = []
    for series, at in sorted(readings):
        if windows and windows[-1][0] == series and at - windows[-1][2] <= GAP:
            windows[-1][2] = at
        else:
            windows.append([series, at, at])
    series_ids, starts, finishes = np.array(windows).T
    return series_ids.astype(np.int32), starts, finishes


async def write(connection: "Connection", readings: Store) -> None:
    """What the settler does with readings that may be stored already."""
    block = block_of(readings)
    await rewrite(connection, Windows(*windows_of(readings)), lambda stored: merged([stored, block]))
