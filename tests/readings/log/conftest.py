"""A database for the tests of the log, which share it and empty its log."""

import asyncio

import asyncpg
import pytest
from tidemark.database.migration import migrate
from tidemark.embedded.server import Server


@pytest.fixture(scope="session")
def log_database(server: Server) -> str:
    """Its URL."""

    async def make() -> None:
        admin = await asyncpg.connect(server.url_of("postgres"))
        await admin.execute("CREATE DATABASE reading_log")
        await admin.close()
        connection = await asyncpg.connect(server.url_of("reading_log"))
        await migrate(connection)
        await connection.close()

    asyncio.run(make())
    return server.url_of("reading_log")


@pytest.fixture
async def log_url(log_database: str) -> str:
    """The URL of the database, whose log is empty."""
    connection = await asyncpg.connect(log_database)
    await connection.execute("TRUNCATE reading_log; ALTER TABLE reading_log ENABLE TRIGGER late_append")
    await connection.close()
    return log_database
