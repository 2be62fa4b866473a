"""`tidemark import` and `tidemark export`: readings from files and to files."""

import sys
from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial
from pathlib import Path
from typing import IO, Any

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from tidemark.base import rules
from tidemark.base.errors import TidemarkError, invalid
from tidemark.base.settings import Settings
from tidemark.base.time import Window
from tidemark.base.values import clock
from tidemark.base.watch import Watch
from tidemark.bodies.outcome import BodyError, Outcome
from tidemark.catalog.directory import Directory
from tidemark.catalog.memory import Memory
from tidemark.catalog.principal import Principal
from tidemark.cli.session import as_json, company_of, of_organization, opened, run, show
from tidemark.readings import export as query
from tidemark.readings.export import SensorRows
from tidemark.readings.files import source, target
from tidemark.readings.files.bookmark import Bookmark, fingerprint
from tidemark.readings.files.formats import CSV, FORMATS, PARQUET, FileFormat, UnknownFormatError, format_of
from tidemark.readings.first_sight import KnownSensors
from tidemark.readings.log.append import Appender
from tidemark.readings.log.backlog import Backlog
from tidemark.readings.pipeline import ReadingPipeline
from tidemark.readings.wire.piece import Piece
from tidemark.server.database_url import ServeError
from tidemark.server.maintenance import maintained


@click.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, readable=True, path_type=Path))
@of_organization
@click.option("--restart", is_flag=True, help="start over instead of continuing an interrupted import")
@as_json
@click.pass_obj
def import_readings(
    settings: Settings, /, file: Path, organization: str | None, restart: bool, json_output: bool
) -> None:
    """Store the readings of a CSV, NDJSON or Parquet file, even while the service is running.

    Run again, an interrupted import continues where it stopped, and a complete one changes nothing.
    """
    try:
        form = format_of(file)
    except UnknownFormatError as error:
        raise invalid("FILE", str(error)) from None
    outcome, continued_at = run(_import(settings, file, form, organization, restart, json_output))
    show({**outcome.document(), "continued_at": continued_at}, json_output, "{accepted} readings stored.")
    if outcome.rejected:
        if not json_output:
            _list_rejections(outcome)
        sys.exit(1)


async def _import(
    settings: Settings, file: Path, form: FileFormat, organization: str | None, restart: bool, quiet: bool
) -> tuple[Outcome, int]:
    """What became of the whole file, and the record at which this run continued."""
    async with opened(settings) as (database, connection):
        company_id = await company_of(connection, organization)
        bookmark = Bookmark(database, company_id, fingerprint(file))
        if restart:
            await bookmark.remove()
        before = await bookmark.read()
        watch, backlog = Watch(), Backlog(settings.max_unsettled)
        watching = watch.start("backlog", backlog.watch(database))
        appender = Appender(database, watch, backlog, max_pending=settings.max_pending)
        pipeline = ReadingPipeline(
            KnownSensors(Directory(database, Memory()), Principal(company_id)),
            partial(appender.store_block, company_id),
            _unlimited,
            streams=True,
            outcome=before,
            max_rejections=None,  # a file has an end, and its operator wants to know of every row
        )
        # The service may not run, and then nobody else would settle what is imported.
        keeping = maintained(settings, database.url)
        with keeping, _progress(DownloadColumn(), TransferSpeedColumn(), quiet=quiet) as progress:
            task = progress.add_task("import", total=None)
            skip = before.accepted + before.rejected
            read = source.pieces(file, form, clock, skip=skip, progress=partial(_show_bytes, progress, task))
            try:
                async with aclosing(_marked(read, pipeline, bookmark)) as pieces:
                    await pipeline.run(pieces)
            except BodyError as error:
                raise ServeError(f"{file}: {error} {_so_far(pipeline.outcome)}") from None
            except TidemarkError as error:
                raise ServeError(f"{error} {_so_far(pipeline.outcome)} Run the import again to go on.") from None
            finally:
                await appender.close()
                watching.cancel()
        await bookmark.remove()
    return pipeline.outcome, skip


async def _marked(
    pieces: AsyncGenerator[Piece, None], pipeline: ReadingPipeline, bookmark: Bookmark
) -> AsyncGenerator[Piece, None]:
    """The pieces; the bookmark moves on past those that are durable."""
    async with aclosing(pieces):
        async for piece in pieces:
            yield piece
            await bookmark.keep(pipeline.outcome)


async def _unlimited(readings: int, *, together: bool) -> int:
    """Whoever has the command line sets the limits of organizations, and is not bound by them."""
    return readings


def _so_far(outcome: Outcome) -> str:
    return f"Of the records before that, {outcome.accepted} were stored and {outcome.rejected} rejected."


def _list_rejections(outcome: Outcome) -> None:
    click.echo(f"{outcome.rejected} records were rejected:", err=True)
    for one in outcome.rejections:
        click.echo(f"record {one.index}: {one.field + ': ' if one.field else ''}{one.message}", err=True)
    if outcome.rejected > len(outcome.rejections):
        click.echo(f"… and {outcome.rejected - len(outcome.rejections)} more", err=True)


@click.command("export")
@of_organization
@click.option("--sensor", "sensors", multiple=True, help="only this sensor; may be repeated")
@click.option("--start", help="first instant, ISO 8601; from the oldest reading by default")
@click.option("--end", help="last instant, ISO 8601; to the newest reading by default")
@click.option(
    "--format", "format_name", type=click.Choice(FORMATS), help="by default the one that the name of the output implies"
)
@click.option("--output", type=click.Path(dir_okay=False, writable=True, path_type=Path), help="file to write")
@as_json
@click.pass_obj
def export_readings(
    settings: Settings,
    /,
    organization: str | None,
    sensors: tuple[str, ...],
    start: str | None,
    end: str | None,
    format_name: str | None,
    output: Path | None,
    json_output: bool,
) -> None:
    """Write readings, all as of one moment, in a form that import restores exactly; without --output to standard
    output.

    A file gets its name only when it is complete.
    """
    if output is None and json_output:
        raise click.UsageError("With --json the readings need a file: name it with --output.")
    if output is None and format_name == PARQUET:
        raise click.UsageError("Parquet needs a file: name it with --output.")
    try:
        form = FileFormat(format_name or CSV) if output is None else format_of(output, format_name)
    except UnknownFormatError as error:
        raise click.UsageError(f"{error} Or choose with --format.") from None
    window = Window.inclusive(
        None if start is None else rules.instant("--start", start), None if end is None else rules.instant("--end", end)
    )
    if window.finish <= window.start:
        raise invalid("--end", "--end is before --start.")
    answer = run(_export(settings, organization, sensors, window, form, output, json_output))
    if output is not None:
        show(answer, json_output, "{readings} readings of {sensors} sensors written to {output}.")


async def _export(
    settings: Settings,
    organization: str | None,
    sensors: tuple[str, ...],
    window: Window,
    form: FileFormat,
    output: Path | None,
    quiet: bool,
) -> dict[str, Any]:
    async with opened(settings) as (database, connection):
        company_id = await company_of(connection, organization)
        async with query.snapshot(database, company_id, sensors or None) as snapshot:
            with _progress(
                MofNCompleteColumn(), TextColumn("sensors, {task.fields[readings]} readings"), quiet=quiet
            ) as progress:
                task = progress.add_task("export", total=len(snapshot.sensors), readings=0)
                written = 0

                async def counted() -> AsyncGenerator[SensorRows, None]:
                    nonlocal written
                    async for sensor, rows in snapshot.pieces(window):
                        written += len(rows)
                        progress.update(task, advance=not rows, readings=written)
                        yield sensor, rows

                try:
                    with target.replacing(output) if output else _standard_output() as file:
                        async with aclosing(counted()) as pieces:
                            await target.Pull(pieces).into(lambda pulled: target.write(pulled, form, file))
                except BrokenPipeError:
                    raise ServeError("Nobody reads the output any more; the export is not complete.") from None
                except OSError as error:
                    raise ServeError(f"{output or 'The output'} cannot be written: {error}.") from None
        return {
            "sensors": len(snapshot.sensors),
            "readings": written,
            "format": form.name,
            "output": None if output is None else str(output),
        }


def _standard_output() -> IO[bytes]:
    # A file of its own, so that the interpreter has nothing left to write to a reader that has gone.
    return open(sys.stdout.fileno(), "wb", closefd=False)


def _progress(*columns: str | ProgressColumn, quiet: bool) -> Progress:
    """A progress bar for people: on standard error, and only where that is a terminal."""
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        *columns,
        TimeRemainingColumn(),
        console=console,
        disable=quiet or not console.is_terminal,
    )


def _show_bytes(progress: Progress, task: TaskID, read: int, size: int) -> None:
    progress.update(task, completed=read, total=size)
