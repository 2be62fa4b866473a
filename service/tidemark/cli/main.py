"""The command `tidemark`: running the service, and looking after its database."""

import dataclasses
import io
import sys
from pathlib import Path
from typing import Any

import asyncpg
import click

from tidemark.base.errors import TidemarkError
from tidemark.base.logs import configure_logs
from tidemark.base.settings import ENGINES, MAX_COLLECTED, MaxConnections, SettingError, Settings
from tidemark.base.version import TIDEMARK_VERSION
from tidemark.cli import database, demo, organizations, resources, tokens, transfer
from tidemark.cli.session import as_json, connected, run, show
from tidemark.database.engine import EngineError
from tidemark.database.migration import SchemaTooNewError
from tidemark.database.statements import statements
from tidemark.embedded.programs import EmbeddedServerError
from tidemark.server.supervisor import ServeError
from tidemark.server.supervisor import serve as serve_until_stopped


def _connections(given: str) -> MaxConnections:
    try:
        return MaxConnections.parse(given)
    except ValueError as error:
        raise click.BadParameter(f"{error}.") from None


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(TIDEMARK_VERSION, prog_name="tidemark", message="%(prog)s %(version)s")
@click.pass_context
def tidemark(context: click.Context) -> None:
    """Durable, exact and fast time-series ingestion and queries over HTTP.

    Settings come from environment variables (TIDEMARK_…, see docs/settings.md); every command finds the database by
    them, also while the service runs.
    """
    context.obj = Settings.from_environment()
    # Commands other than serve answer on standard output; their log is for when something is amiss.
    configure_logs(context.obj.log_level if context.invoked_subcommand == "serve" else "warning")


@tidemark.command()
@click.option("--host", help="address to listen on [TIDEMARK_HOST]")
@click.option("--port", type=click.IntRange(0, 65535), help="port to listen on, 0 for any [TIDEMARK_PORT]")
@click.option("--workers", type=click.IntRange(1, 64), help="processes that share the port [TIDEMARK_WORKERS]")
@click.option("--database-url", help="PostgreSQL to use, else an embedded one [TIDEMARK_DATABASE_URL]")
@click.option("--data-dir", type=click.Path(path_type=Path), help="the embedded server's data [TIDEMARK_DATA_DIR]")
@click.option(
    "--postgres-bin",
    type=click.Path(path_type=Path),
    help="the embedded server's programs [TIDEMARK_POSTGRES_BIN]",
)
@click.option("--engine", type=click.Choice(ENGINES), help="storage engine [TIDEMARK_ENGINE]")
@click.option("--cache-seconds", type=click.FloatRange(0, 86400), help="age of cached answers [TIDEMARK_CACHE_SECONDS]")
@click.option("--max-body", type=click.IntRange(1024, 2**40), help="largest body in bytes [TIDEMARK_MAX_BODY]")
@click.option("--max-pending", type=click.IntRange(1, 10_000_000), help="readings that may wait [TIDEMARK_MAX_PENDING]")
@click.option(
    "--collect-per-minute",
    type=click.IntRange(1, MAX_COLLECTED),
    help="records a minute of a web site [TIDEMARK_COLLECT_PER_MINUTE]",
)
@click.option(
    "--collect-per-address",
    type=click.IntRange(1, MAX_COLLECTED),
    help="records a minute from an address [TIDEMARK_COLLECT_PER_ADDRESS]",
)
@click.option(
    "--collect-names",
    type=click.IntRange(1, MAX_COLLECTED),
    help="distinct names of a web site's day [TIDEMARK_COLLECT_NAMES]",
)
@click.option(
    "--max-connections",
    callback=lambda _context, _option, given: _connections(given) if given else None,
    metavar="TOTAL[,PER_ADDRESS]",
    help="connections at once [TIDEMARK_MAX_CONNECTIONS]",
)
@click.option(
    "--geoip-db", type=click.Path(path_type=Path), help="country database, MaxMind format [TIDEMARK_GEOIP_DB]"
)
@click.option(
    "--log-level",
    type=click.Choice(("debug", "info", "warning", "error")),
    help="what to log [TIDEMARK_LOG_LEVEL]",
)
@as_json
@click.pass_obj
def serve(settings: Settings, /, json_output: bool, **given: Any) -> None:
    """Serve until SIGTERM or Ctrl-C; on an empty database, print a first organization's keys."""
    settings = dataclasses.replace(settings, **{name: value for name, value in given.items() if value is not None})
    configure_logs(settings.log_level)
    serve_until_stopped(settings, json_output=json_output)


@tidemark.command()
@as_json
@click.pass_obj
def migrate(settings: Settings, /, json_output: bool) -> None:
    """Bring the database's schema up to date (serve does so too)."""

    async def work() -> dict[str, Any]:
        async with connected(settings) as (_connection, schema):
            return dataclasses.asdict(schema)

    show(
        run(work()),
        json_output,
        "The schema is version {version} for the {engine} engine ({applied} steps applied).",
    )


@tidemark.command()
@as_json
@click.pass_obj
def status(settings: Settings, /, json_output: bool) -> None:
    """What the database holds, and how far its roll-ups are."""

    async def work() -> dict[str, Any]:
        async with connected(settings) as (connection, schema):
            row = await statements().status.row(connection)
            assert row is not None  # a SELECT without FROM has one row
            server = "external" if settings.database_url else "embedded"
            return {"server": server, "engine": schema.engine, "schema_version": schema.version, **row}

    show(run(work()), json_output)


tidemark.add_command(organizations.org)
tidemark.add_command(tokens.token)
for group in resources.groups():
    tidemark.add_command(group)
tidemark.add_command(transfer.import_readings)
tidemark.add_command(transfer.export_readings)
tidemark.add_command(database.database)
tidemark.add_command(demo.demo)


def main() -> None:
    """Run the command line; errors that a user can mend are one message, and exit code 1 (2 for wrong usage)."""
    _print_anything()
    try:
        tidemark(standalone_mode=False)
    except click.exceptions.Abort:
        _show_error("Stopped before the end.")
        sys.exit(130)
    except click.exceptions.NoArgsIsHelpError as error:  # its message is the help
        click.echo(error.format_message(), err=True)
        sys.exit(error.exit_code)
    except click.ClickException as error:
        _show_error(error.format_message())
        if not isinstance(error, click.UsageError) or error.ctx is None:
            sys.exit(error.exit_code)
        click.echo(error.ctx.get_usage(), err=True)
        sys.exit(error.exit_code)
    except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        _show_error(f"The database refused: {error}.")
        sys.exit(1)
    except (TidemarkError, SettingError, ServeError, EmbeddedServerError, EngineError, SchemaTooNewError) as error:
        _show_error(str(error))
        sys.exit(1)


def _print_anything() -> None:
    """What the encoding of the user's locale does not have is printed as an escape."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # None where it is closed
            stream.reconfigure(errors="backslashreplace")


def _show_error(message: str) -> None:
    if "--json" in sys.argv:
        show({"error": {"message": message}}, True)
    click.echo(f"tidemark: {message}", err=True)
