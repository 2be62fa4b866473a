"""`tidemark demo`: a year of real weather and one of cold storage through the HTTP API of the running service."""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click
from aiohttp import ClientError, ClientSession
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from tidemark.base.settings import Settings
from tidemark.catalog import organizations, tokens, welcome
from tidemark.cli.session import as_json, connected, run, show
from tidemark.demo import cold_storage
from tidemark.demo.player import PlayError, player
from tidemark.demo.storage_player import storage_player
from tidemark.demo.weather import STATIONS, WeatherMissingError, monthly, observations
from tidemark.server.database_url import ServeError

if TYPE_CHECKING:
    from tidemark.database.database import Connected

ORGANIZATION = "Demo: New York weather 2013"
STORAGE_ORGANIZATION = "Demo: cold storage in Nigeria 2025"
RATE_LIMIT = 1000
SHOWN_UNITS = 8
SHOWN_MEASURE = "temp"


@click.command()
@click.option("--url", help="base URL of the service; by default from TIDEMARK_HOST and TIDEMARK_PORT")
@click.option(
    "--station",
    "stations",
    multiple=True,
    type=click.Choice(tuple(STATIONS)),
    help="only this airport; may be repeated",
)
@click.option(
    "--units",
    type=click.IntRange(0, 1000),
    default=cold_storage.UNITS,
    help="cooling units of the made-up year of cold storage (200); 0 leaves it out",
)
@as_json
@click.pass_obj
def demo(settings: Settings, /, url: str | None, stations: tuple[str, ...], units: int, json_output: bool) -> None:
    """Play the weather of New York's airports in 2013 and a year of cold storage through the HTTP API."""
    base = (url or f"http://{settings.host}:{settings.port}").rstrip("/")
    try:
        answer = run(_demo(settings, base, stations or tuple(STATIONS), units, json_output))
    except (PlayError, WeatherMissingError) as error:
        raise ServeError(str(error)) from None
    if json_output:
        show(answer, True)
    else:
        click.echo(f"\nTemperature at {STATIONS[answer['station']]} in 2013, °F, as the service returns it:\n")
        show([{name: _shown(value) for name, value in row.items()} for row in answer["months"]], False)
        click.echo(
            f"\n{answer['readings']} readings stored; every month agrees with the file.\n"
            f"Explore further: organization {answer['organization_id']}, key {answer['api_key']}"
        )
        if storage := answer["cold_storage"]:
            click.echo(f"\nCold storage in {cold_storage.YEAR}, the first cooling units, as the service returns it:\n")
            show(storage["cooling_units"][:SHOWN_UNITS], False)
            click.echo(
                f"\n{storage['operations']} operations stored; every figure of every unit agrees with them.\n"
                f"Explore further: organization {storage['organization_id']}, token {storage['token']}"
            )


async def _demo(settings: Settings, base: str, stations: tuple[str, ...], units: int, quiet: bool) -> dict[str, Any]:
    await _require_service(base)
    answer = await _weather(settings, base, stations, quiet)
    return {**answer, "cold_storage": await _cold_storage(settings, base, units, quiet) if units else None}


async def _weather(settings: Settings, base: str, stations: tuple[str, ...], quiet: bool) -> dict[str, Any]:
    played = observations(stations)
    async with connected(settings, create=True) as (connection, _):
        organization, api_key = await _organization(connection, {"name": ORGANIZATION})
        admin = await tokens.create(
            connection, organization["company_id"], {"name": "Demo, this run", "scopes": ["admin"]}
        )
        try:
            async with player(base, organization["organization_id"], api_key, admin["token"]) as client:
                assets = await client.prepare(stations)
                with _progress("readings", quiet) as progress:
                    task = progress.add_task("readings", total=len(played))
                    await client.play(played, lambda count: progress.advance(task, count))
                station = stations[0]
                months = []
                for month, expected in monthly(played, station, SHOWN_MEASURE).items():
                    answered = await client.statistics(station, assets[station], SHOWN_MEASURE, month)
                    if answered[:2] != expected[:2] or not math.isclose(answered[2], expected[2], rel_tol=1e-9):
                        raise PlayError(f"{month}: the service returns {answered}, the file has {expected}.")
                    months.append(dict(zip(("month", "min", "max", "avg"), (month, *answered), strict=True)))
        finally:
            await tokens.revoke(connection, organization["company_id"], admin["id"])
    return {
        "organization_id": organization["organization_id"],
        "api_key": api_key,
        "readings": len(played),
        "station": station,
        "months": months,
    }


async def _cold_storage(settings: Settings, base: str, units: int, quiet: bool) -> dict[str, Any]:
    async with connected(settings, create=True) as (connection, _):
        organization, _ = await _organization(connection, {"name": STORAGE_ORGANIZATION, **cold_storage.ORGANIZATION})
        admin = await tokens.create(
            connection,
            organization["company_id"],
            {"name": "Demo of cold storage", "scopes": ["admin"], "rate_limit": RATE_LIMIT},
        )
    numbers = range(1, units + 1)
    made: dict[int, cold_storage.Expected] = {}

    def year() -> Iterator[list[cold_storage.Operation]]:
        for number in numbers:
            operations = cold_storage.operations(number)
            made[number] = cold_storage.expected(operations)
            yield operations

    async with storage_player(base, admin["token"]) as client:
        await client.prepare(units)
        with _progress("cooling units", quiet) as progress:
            task = progress.add_task("cooling units", total=units)
            stored = await client.play(year(), lambda _: progress.advance(task))
        rows = await client.check(made)
    return {
        "organization_id": organization["organization_id"],
        "token": admin["token"],
        "operations": stored,
        "cooling_units": rows,
    }


async def _organization(connection: "Connected", fields: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """The organization with this name, created if it does not exist, and a new key."""
    found = [one for one in await organizations.every(connection) if one["name"] == fields["name"]]
    if found:
        return found[0], await organizations.rotate_key(connection, found[0]["company_id"])
    async with connection.transaction():
        made = await welcome.create_organization(connection, fields)
        await organizations.mark_demonstration(connection, made.organization["company_id"])
    return made.organization, made.api_key


def _progress(what: str, quiet: bool) -> Progress:
    return Progress(TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), disable=quiet)


async def _require_service(base: str) -> None:
    try:
        async with ClientSession() as session, session.get(f"{base}/health/ready") as response:
            if response.status == 200:
                return
    except ClientError:
        pass
    raise PlayError(f"There is no service ready at {base}; start it with 'make run' in another terminal.")


def _shown(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:.2f}"
