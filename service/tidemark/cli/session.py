"""What every command needs: the database, and answers for people or for programs."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import click
import orjson

from tidemark.base.settings import Settings
from tidemark.catalog import organizations
from tidemark.database.database import OUTAGES, Database
from tidemark.database.migration import Schema, migrate
from tidemark.readings.settling.restored import settle_restored
from tidemark.server.database_url import ServeError, database_url

if TYPE_CHECKING:
    from asyncpg import Connection

Result = TypeVar("Result")
Command = TypeVar("Command", bound=Callable[..., Any])

as_json = click.option("--json", "json_output", is_flag=True, help="print one JSON document and nothing else")


def _or_default(context: click.Context, _option: click.Parameter, given: str | None) -> str | None:
    return given or context.ensure_object(Settings).organization


def organization_option(help_text: str) -> Callable[[Command], Command]:
    """The option `--org`, whose default is TIDEMARK_ORG."""
    return click.option("--org", "organization", callback=_or_default, help=f"{help_text} [TIDEMARK_ORG]")


of_organization = organization_option("organization id or company id; not needed if there is only one")


def run(work: Coroutine[Any, Any, Result]) -> Result:
    """Run a command's work to its end."""
    return asyncio.run(work)


@asynccontextmanager
async def connected(settings: Settings, *, create: bool = False) -> AsyncIterator[tuple["Connection[Any]", Schema]]:
    """A connection to the database of the settings, its schema up to date. Raises ServeError.

    Only a command that starts something new may `create` a missing data directory.
    """
    with database_url(settings, create=create) as url:
        async with _connected(Database(url), settings) as found:
            yield found


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[tuple[Database, "Connection[Any]"]]:
    """The database of the settings as the service uses it, and a connection. Raises ServeError."""
    with database_url(settings) as url:
        database = Database(url)
        async with _connected(database, settings) as (connection, schema):
            await database.open()
            database.engine = schema.engine
            database.ready.set()
            try:
                yield database, connection
            finally:
                await database.close()


@asynccontextmanager
async def _connected(database: Database, settings: Settings) -> AsyncIterator[tuple["Connection[Any]", Schema]]:
    try:
        connection = await database.connect()
    except (*OUTAGES, ValueError) as error:
        raise ServeError(f"The database cannot be reached: {error}. TIDEMARK_DATABASE_URL says where it is.") from None
    try:
        schema = await migrate(connection, settings.engine)
        await settle_restored(connection, schema.engine)
        yield connection, schema
    finally:
        await connection.close()


async def company_of(connection: "Connection[Any]", organization: str | None) -> int:
    """The company id of the organization that a command names, or of the only one. Raises TidemarkError."""
    if organization is not None:
        return int((await organizations.find(connection, organization))["company_id"])
    return int((await organizations.only_one(connection))["company_id"])


def show(answer: Mapping[str, Any] | Sequence[Mapping[str, Any]], json_output: bool, text: str | None = None) -> None:
    """Print an answer: as JSON, or as a sentence filled in with it, or as a table."""
    if json_output:
        click.echo(orjson.dumps(answer, option=orjson.OPT_UTC_Z | orjson.OPT_INDENT_2))
    elif text is not None:
        click.echo(text.format(**dict(answer)) if isinstance(answer, Mapping) else text)
    elif isinstance(answer, Mapping):
        width = max(len(name) for name in answer)
        for name, value in answer.items():
            click.echo(f"{name:<{width}}  {_plain(value)}")
    else:
        _table(answer)


def _table(rows: Sequence[Mapping[str, Any]]) -> None:
    if not rows:
        click.echo("none")
        return
    cells = [list(rows[0]), *([_plain(value) for value in row.values()] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for line in cells:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _plain(value: Any) -> str:
    if value is None:
        return "-"
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
