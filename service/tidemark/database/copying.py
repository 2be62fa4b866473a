"""Rows that go to the server in COPY's binary format."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tidemark.database.database import Connected


async def copy_in(connection: "Connected", table: str, columns: Sequence[str], data: bytes) -> int:
    """Copy rows into columns of a table; return how many the server says it took."""
    # The driver would take bytes for a path; a buffer is welcome, which its types do not say.
    done: str = await connection.copy_to_table(
        table,
        source=memoryview(data),  # type: ignore[arg-type]
        columns=list(columns),
        format="binary",
    )
    return int(done.removeprefix("COPY "))
