"""The command `tidemark`: runs the service and manages its database."""

import dataclasses
import io
import sys
from collections.abc import Callable
from typing import Any, TypeVar

import asyncpg
import click

from tidemark.base.errors import TidemarkError
from tidemark.base.logs import configure_logs
from tidemark.base.settings import ENGINES, RULES, SettingError, Settings, variable_of
from tidemark.base.version import TIDEMARK_VERSION
from tidemark.cli import database, demo, organizations, resources, sql_users, tokens, transfer
from tidemark.cli.session import as_json, connected, run, show
from tidemark.database.engine import EngineError
from tidemark.database.migration import SchemaTooNewError
from tidemark.database.statements import statements
from tidemark.embedded.programs import EmbeddedServerError
from tidemark.server.database_url import ServeError

FLAGS = {
    "host": ("HOST", "address to listen on"),
    "port": ("PORT", "port to listen on, 0 for any free one"),
    "workers": ("N", "processes that share the port"),
    "database_url": ("URL", "PostgreSQL server to use instead of the embedded one"),
    "data_dir": ("DIR", "where the embedded server keeps its data"),
    "postgres_bin": ("DIR", "folder of the PostgreSQL programs for the embedded server"),
    "postgres_listen": ("HOST:PORT", "where the embedded server also listens, for SQL users"),
    "engine": ("|".join(ENGINES), "storage engine"),
    "cache_seconds": ("S", "how old a cached answer may be, in seconds"),
    "max_body": ("BYTES", "largest request body after decompression"),
    "max_pending": ("READINGS", "readings that may wait for their commit"),
    "max_unsettled": ("READINGS", "committed readings that may wait to be settled"),
    "collect_per_minute": ("RECORDS", "records a minute for each web site"),
    "collect_per_address": ("RECORDS", "records a minute from each address"),
    "collect_names": ("NAMES", "distinct names for each web site and day"),
    "max_connections": ("TOTAL[,PER_ADDRESS]", "connections at once"),
    "geoip_db": ("FILE", "country database in MaxMind's format"),
    "log_level": ("debug|info|warning|error", "what to log"),
}
"""The settings that `tidemark serve` has options for: what stands for the value, and the help."""

Command = TypeVar("Command", bound=Callable[..., Any])


def _setting_options(command: Command) -> Command:
    for name, (metavar, text) in reversed(FLAGS.items()):
        command = click.option(
            f"--{name.replace('_', '-')}",
            callback=_by_rule,
            metavar=metavar,
            help=f"{text} [TIDEMARK_{variable_of(name)}]",
        )(command)
    return command


def _by_rule(context: click.Context, option: click.Parameter, given: str | None) -> Any:
    """The setting that an option gives, by the rule that its variable has too."""
    if not given:
        return None
    assert option.name is not None  # every option has one
    try:
        return RULES[option.name](option.opts[0], given)
    except SettingError as error:
        raise click.UsageError(error.message, context) from None


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(TIDEMARK_VERSION, prog_name="tidemark", message="%(prog)s %(version)s")
@click.pass_context
def tidemark(context: click.Context) -> None:
    """Durable, exact and fast time-series ingestion and queries over HTTP.

    Settings come from environment variables (TIDEMARK_…, see docs/settings.md). Every command uses them to find the
    database, even while the service is running.
    """
    context.obj = Settings.from_environment()
    # Other commands than serve print their answer; they log only what is wrong.
    configure_logs(context.obj.log_level if context.invoked_subcommand == "serve" else "warning")


@tidemark.command()
@_setting_options
@as_json
@click.pass_obj
def serve(settings: Settings, /, json_output: bool, **given: Any) -> None:
    """Serve until SIGTERM or Ctrl-C; on an empty database, create a first organization and print its keys."""
    settings = dataclasses.replace(settings, **{name: value for name, value in given.items() if value is not None})
    configure_logs(settings.log_level)
    # Imported by this command alone: the others need not wait until the whole service is loaded.
    from tidemark.server.supervisor import serve as serve_until_stopped

    serve_until_stopped(settings, json_output=json_output)


@tidemark.command()
@as_json
@click.pass_obj
def migrate(settings: Settings, /, json_output: bool) -> None:
    """Bring the database's schema up to date (serve does this too)."""

    async def work() -> dict[str, Any]:
        async with connected(settings) as (_connection, schema):
            return dataclasses.asdict(schema)

    show(
        run(work()),
        json_output,
        "The schema is at version {version} for the {engine} engine ({applied} steps applied).",
    )


@tidemark.command()
@as_json
@click.pass_obj
def status(settings: Settings, /, json_output: bool) -> None:
    """Show what the database holds and how far its roll-ups have come."""

    async def work() -> dict[str, Any]:
        async with connected(settings) as (connection, schema):
            row = await statements().status.row(connection)
            assert row is not None  # a SELECT without FROM has one row
            server = "external" if settings.database_url else "embedded"
            return {"server": server, "engine": schema.engine, "schema_version": schema.version, **row}

    show(run(work()), json_output)


tidemark.add_command(organizations.org)
tidemark.add_command(tokens.token)
tidemark.add_command(sql_users.sql_user)
for group in resources.groups():
    tidemark.add_command(group)
tidemark.add_command(transfer.import_readings)
tidemark.add_command(transfer.export_readings)
tidemark.add_command(database.database)
tidemark.add_command(demo.demo)


def main() -> None:
    """Run the command line; errors that a user can fix are a single message and exit code 1 (2 for wrong usage)."""
    _print_anything()
    try:
        tidemark(standalone_mode=False)
    except click.exceptions.Abort:
        _show_error("Interrupted.")
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
        _show_error(f"The database reported an error: {error}.")
        sys.exit(1)
    except TidemarkError as error:
        _show_error(_said_of_an_option(error) or error.message)
        sys.exit(1)
    except (ServeError, EmbeddedServerError, EngineError, SchemaTooNewError) as error:
        _show_error(str(error))
        sys.exit(1)


def _said_of_an_option(error: TidemarkError) -> str | None:
    """What is wrong with an option's value, where the message does not name the option itself."""
    field = error.field or ""
    return f"{field}: {error.message}" if field.startswith("--") and field not in error.message else None


def _print_anything() -> None:
    """Print characters that the encoding of the user's locale lacks as escapes."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # None where it is closed
            stream.reconfigure(errors="backslashreplace")


def _show_error(message: str) -> None:
    if "--json" in sys.argv:
        show({"error": {"message": message}}, True)
    click.echo(f"tidemark: {message}", err=True)
