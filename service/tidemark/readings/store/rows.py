"""The store as rows."""

from typing import TYPE_CHECKING

import numpy as np

from tidemark.base.time import instant, microseconds
from tidemark.database.copying import copy_in
from tidemark.database.statements import statements
from tidemark.readings.columns import Block
from tidemark.readings.copy_format import copy_payload
from tidemark.readings.optional_columns import OPTIONAL
from tidemark.readings.store.store import Change
from tidemark.readings.store.windows import Windows

if TYPE_CHECKING:
    from asyncpg import Record

    from tidemark.database.database import Connected


class RowStore:
    """A row for each reading."""

    async def append(self, connection: "Connected", block: Block) -> None:
        payload = copy_payload(block)
        await copy_in(connection, "reading", payload.columns, payload.data)

    async def rewrite(self, connection: "Connected", windows: Windows, change: Change) -> Block:
        rows = await statements().take_out_rows.rows(
            connection,
            series_ids=windows.series_id.tolist(),
            starts=[instant(at) for at in windows.start.tolist()],
            finishes=[instant(at) for at in windows.finish.tolist()],
        )
        now = change(_block(rows))
        if len(now):
            await self.append(connection, now)
        return now

    async def tidy(self, connection: "Connected") -> bool:
        return False


def _block(rows: "list[Record]") -> Block:
    return Block(
        series_id=np.array([row["series_id"] for row in rows], dtype=np.int32),
        at=np.array([microseconds(row["ts"]) for row in rows], dtype=np.int64),
        value=np.array([row["value"] for row in rows], dtype=np.float64),
        optional={column.name: np.array([row[column.name] for row in rows], dtype=column.dtype) for column in OPTIONAL},
    )
