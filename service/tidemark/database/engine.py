"""The choice of a database's storage engine: `timescale` or `postgres`."""

import re
from typing import TYPE_CHECKING

from tidemark.database.statements import statements

if TYPE_CHECKING:
    from tidemark.database.database import Connected


MIN_POSTGRES = 15
MIN_TIMESCALEDB = (2, 28, 3)
"""Older releases can delete too much where readings are stored in batches, and let COPY break constraints there."""


class EngineError(Exception):
    """The requested engine is not available in this database; the message says why."""


async def timescale_obstacle(connection: "Connected") -> str | None:
    """Why this database cannot use the `timescale` engine, or None if it can.

    Raises EngineError if the server is too old for either engine.
    """
    state = await statements().timescale_state.row(connection)
    assert state is not None  # a SELECT without FROM has one row
    if state["server_version"] < MIN_POSTGRES * 10_000:
        raise EngineError(f"Tidemark needs PostgreSQL {MIN_POSTGRES} or newer; this server is older.")
    if state["available"] is None:
        return "the server has no TimescaleDB extension"
    if tuple(map(int, re.findall(r"\d+", state["available"])[:3])) < MIN_TIMESCALEDB:
        return f"TimescaleDB {state['available']} is older than {'.'.join(map(str, MIN_TIMESCALEDB))}"
    if not state["preloaded"]:
        return "TimescaleDB is installed but not in shared_preload_libraries"
    if state["license"] not in (None, "timescale"):
        return "TimescaleDB runs under the Apache license, without continuous aggregates"
    return None


async def choose_engine(connection: "Connected", wanted: str, existing: str | None) -> tuple[str, str]:
    """The engine to use, and the reason for it.

    `wanted` is the setting (`auto`, `timescale` or `postgres`), `existing` the engine that the database's schema was
    created for, which never changes. Raises EngineError.
    """
    if existing is not None and wanted in ("auto", existing):
        if existing == "timescale" and (obstacle := await timescale_obstacle(connection)) is not None:
            raise EngineError(f"This database was set up with the timescale engine, but {obstacle}.")
        return existing, "the database was set up with it"
    if existing is not None:
        raise EngineError(
            f"TIDEMARK_ENGINE is {wanted}, but this database was set up with the {existing} engine. "
            f"Use another database, or set TIDEMARK_ENGINE to auto."
        )
    obstacle = await timescale_obstacle(connection)
    if wanted == "postgres":
        return wanted, "TIDEMARK_ENGINE asks for it"
    if obstacle is None:
        return "timescale", "TimescaleDB is available"
    if wanted == "timescale":
        raise EngineError(f"TIDEMARK_ENGINE is timescale, but {obstacle}.")
    return "postgres", obstacle
