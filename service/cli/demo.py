"""`tidemark demo`: a year of real weather through the HTTP API of the running service."""

import math
from typing import Any

import click
from aiohttp import ClientError, ClientSession
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from service.catalog import organizations, tokens, welcome
from service.cli.session import as_json, connected, run, show
from service.demo.player import PlayError, player
from service.demo.weather import STATIONS, WeatherMissingError, monthly, observations
from service.settings import Settings
from service.supervisor import ServeError

ORGANIZATION = "Demo: New York weather 2013"
SHOWN_MEASURE = "temp"


@click.command()
@click.option("--url", help="where the service is; by default where TIDEMARK_HOST and TIDEMARK_PORT say")
@click.option("--station", "stations", multiple=True, type=click.Choice(tuple(STATIONS)), help="only this one")
@as_json
@click.pass_obj
def demo(settings: Settings, /, url: str | None, stations: tuple[str, ...], json_output: bool) -> None:
    """Play the hourly weather of New York's airports in 2013 through the HTTP API, and look at the result."""
    base = (url or f"http://{settings.host}:{settings.port}").rstrip("/")
    try:
        answer = run(_demo(settings, base, stations or tuple(STATIONS), json_output))
    except (PlayError, WeatherMissingError) as error:
        raise ServeError(str(error)) from None
    if json_output:
        show(answer, True)
    else:
        click.echo(f"\nTemperature at {STATIONS[answer['station']]} in 2013, °F, as the service answers it:\n")
        show([{name: _shown(value) for name, value in row.items()} for row in answer["months"]], False)
        click.echo(
            f"\n{answer['readings']} readings stored; every month agrees with the file.\n"
            f"Look further: organization {answer['organization_id']}, key {answer['api_key']}"
        )


async def _demo(settings: Settings, base: str, stations: tuple[str, ...], quiet: bool) -> dict[str, Any]:
    await _require_service(base)
    played = observations(stations)
    async with connected(settings) as (connection, _):
        found = [one for one in await organizations.every(connection) if one["name"] == ORGANIZATION]
        if found:
            organization = found[0]
            api_key = await organizations.rotate_key(connection, organization["company_id"])
        else:
            made = await welcome.create_organization(connection, {"name": ORGANIZATION})
            organization, api_key = made.organization, made.api_key
        admin = await tokens.create(
            connection, organization["company_id"], {"name": "Demo, this run", "scopes": ["admin"]}
        )
        try:
            async with player(base, organization["organization_id"], api_key, admin["token"]) as client:
                assets = await client.prepare(stations)
                with Progress(
                    TextColumn("readings"),
                    BarColumn(),
                    MofNCompleteColumn(),
                    TimeRemainingColumn(),
                    disable=quiet,
                ) as progress:
                    task = progress.add_task("readings", total=len(played))
                    await client.play(played, lambda count: progress.advance(task, count))
                station = stations[0]
                months = []
                for month, expected in monthly(played, station, SHOWN_MEASURE).items():
                    answered = await client.statistics(station, assets[station], SHOWN_MEASURE, month)
                    if answered[:2] != expected[:2] or not math.isclose(answered[2], expected[2], rel_tol=1e-9):
                        raise PlayError(f"{month}: the service answers {answered}, the file has {expected}.")
                    months.append(dict(zip(("month", "min", "max", "avg"), (month, *answered), strict=True)))
        finally:
            await tokens.revoke(connection, organization["company_id"], str(admin["id"]))
    return {
        "organization_id": organization["organization_id"],
        "api_key": api_key,
        "readings": len(played),
        "station": station,
        "months": months,
    }


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
