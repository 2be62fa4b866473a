"""Migrations bring a database's schema to the version that this Tidemark works with.

A migration is `sql/migrations/NNNN_name.sql`, or one `NNNN_name.ENGINE.sql` per engine: a step that changes tables,
columns and data. All missing migrations run in one transaction under a lock, and then the functions and views that have
changed are replaced (`tidemark.database.functions`, `tidemark.database.views`). So processes that start at once take
turns, and a failure leaves nothing half done. A migration calls no function: a new database has none yet, and an older
one has those of an older version.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg
import structlog

from tidemark.database.engine import choose_engine
from tidemark.database.functions import replace_changed
from tidemark.database.statements import SQL, statements
from tidemark.database.views import replace_views

if TYPE_CHECKING:
    from tidemark.database.database import Connected

log = structlog.get_logger(__name__)

_FILE_NAME = re.compile(r"(\d{4})_(\w+?)(?:\.(timescale|postgres))?\.sql")


class SchemaTooNewError(Exception):
    """The database was upgraded by a newer Tidemark; this one must not touch it."""


@dataclass(frozen=True)
class Migration:
    """One step of the schema."""

    version: int
    name: str
    path: Path


@dataclass(frozen=True)
class Schema:
    """A database's schema: the engine it is for, the reason for that engine, its version, and how many migrations were
    applied just now.
    """

    engine: str
    reason: str
    version: int
    applied: int


def migrations(engine: str, folder: Path = SQL / "migrations") -> list[Migration]:
    """The steps for one engine, in order."""

    def found() -> Iterator[Migration]:
        for path in sorted(folder.iterdir()):
            match = _FILE_NAME.fullmatch(path.name)
            if match is None:
                raise ValueError(f"{path} does not have the name of a migration.")
            if match[3] in (None, engine):
                yield Migration(int(match[1]), match[2], path)

    steps = list(found())
    if [step.version for step in steps] != list(range(1, len(steps) + 1)):
        raise ValueError(f"The migrations of {engine} in {folder} are not numbered 1, 2, 3, ….")
    return steps


async def migrate(connection: "Connected", engine: str = "auto") -> Schema:
    """Apply the missing migrations, and replace the functions and views that have changed.

    `engine` is the setting. Raises SchemaTooNewError if the database has a newer version, EngineError if the engine is
    not available.
    """
    sql = statements()
    async with connection.transaction():
        await sql.lock_migrations.run(connection)
        await sql.create_migration_table.run(connection)
        applied = await sql.applied_migration.row(connection)
        assert applied is not None  # an aggregate has one row
        chosen, reason = await choose_engine(connection, engine, applied["engine"])
        steps = migrations(chosen)
        version = applied["version"]
        if version > len(steps):
            raise SchemaTooNewError(
                f"The database has schema version {version}, but this Tidemark knows only versions up to {len(steps)}. "
                f"Start the newer Tidemark that upgraded it, or restore a backup made before the upgrade."
            )
        for step in steps[version:]:
            log.info("migrating", version=step.version, name=step.name, engine=chosen)
            with _messages_logged(connection):
                await connection.execute(step.path.read_text(encoding="utf-8"))
            await sql.record_migration.run(connection, version=step.version, name=step.name, engine=chosen)
        await replace_changed(connection, chosen)
        await replace_views(connection, chosen, migrated=version < len(steps))
        if version < len(steps):
            await sql.prepare_storage.run(connection)
    return Schema(chosen, reason, len(steps), len(steps) - version)


@contextmanager
def _messages_logged(connection: "Connected") -> Iterator[None]:
    """Log what a step says by RAISE INFO, such as that it takes long."""

    def tell(_connection: object, message: asyncpg.PostgresLogMessage) -> None:
        if message.severity_en == "INFO":
            log.info(message.message)

    connection.add_log_listener(tell)
    try:
        yield
    finally:
        connection.remove_log_listener(tell)


async def current_engine(connection: "Connected") -> str | None:
    """The engine of a database that has the schema of this version of Tidemark; None for any other database."""
    if not await statements().has_migrations.value(connection):
        return None
    applied = await statements().applied_migration.row(connection)
    assert applied is not None  # an aggregate has one row
    engine: str | None = applied["engine"]
    return engine if engine is not None and applied["version"] == len(migrations(engine)) else None
