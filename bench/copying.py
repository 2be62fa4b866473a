"""What storing is compared with: one connection copies readings into a plain table of rows with a primary key."""

import time
from typing import TYPE_CHECKING

import asyncpg
from tidemark.database.copying import copy_in
from tidemark.readings.copy_format import copy_payload

from bench.service import SQL

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tidemark.readings.columns import Block


async def copy_rate(url: str, blocks: "Iterable[Block]") -> float:
    """Measure how many readings per second are copied into a new table, with a commit for each block."""
    payloads = [copy_payload(block) for block in blocks]
    connection = await asyncpg.connect(url)
    try:
        await SQL.create_copied_readings.run(connection)
        began = time.perf_counter()
        copied = [await copy_in(connection, "copied_reading", payload.columns, payload.data) for payload in payloads]
        return sum(copied) / (time.perf_counter() - began)
    finally:
        await connection.close()
