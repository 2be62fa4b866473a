"""What a token with a list of cooling units can see: the units that are both in its list and requested. If there are
none, it sees nothing; an empty list is not the same as no limit."""

import asyncio
from typing import Any

import asyncpg
import pytest
from aiohttp import ClientResponse
from hypothesis import given, settings
from hypothesis import strategies as st
from tidemark.base.errors import FieldError
from tidemark.catalog import cooling_units, resources, welcome
from tidemark.catalog.principal import Principal
from tidemark.catalog.resources import ASSETS, COOLING_UNITS, LOCATIONS, SENSORS
from tidemark.database.migration import migrate
from tidemark.database.statements import statements
from tidemark.embedded.server import Server

from tests.catalog.test_management import make
from tests.coldchain.requests import get, items, new_token, store
from tests.conftest import Tenant

UNITS = {1, 2, 3}
ASSET = 4
"""An asset that is not a cooling unit, but may be in a token's list."""
UNKNOWN = 9
IDS = st.sampled_from([*UNITS, ASSET, UNKNOWN])
LISTS = st.none() | st.frozensets(IDS)
DAY = {"start_date": "2026-01-01", "end_date": "2026-01-01"}


@pytest.fixture(scope="module")
def url(server: Server) -> str:
    """A database with an organization: units 1 to 3 at locations with the same ids, asset 4, a sensor for each of them,
    and one without an asset."""

    async def prepare() -> str:
        admin = await asyncpg.connect(server.url_of("postgres"))
        await admin.execute("CREATE DATABASE units_of_tokens")
        await admin.close()
        connection = await asyncpg.connect(server.url_of("units_of_tokens"))
        await migrate(connection)
        made = await welcome.create_organization(connection, {"name": "Cold"})
        assert made.organization["company_id"] == 1
        for unit in UNITS:
            await resources.create(connection, LOCATIONS, 1, {"id": unit})
            await resources.create(connection, COOLING_UNITS, 1, {"id": unit, "location_id": unit})
        await resources.create(connection, ASSETS, 1, {"id": ASSET})
        for asset in (*UNITS, ASSET, None):
            await resources.create(
                connection, SENSORS, 1, {"id": f"of-{asset}", "asset_id": asset, "specification_type": f"T{asset}"}
            )
        await connection.close()
        return server.url_of("units_of_tokens")

    return asyncio.run(prepare())


async def compare(url: str, mine: frozenset[int] | None, asked: int | None, several: list[int]) -> None:
    """Compare each look-up that depends on a token's units with plain sets."""
    connection: asyncpg.Connection[Any] = await asyncpg.connect(url)
    principal, sql = Principal(1, cooling_unit_ids=mine), statements()
    units = UNITS if mine is None else UNITS & mine
    assets = UNITS | {ASSET} if mine is None else (UNITS | {ASSET}) & mine
    sensors = {f"of-{asset}" for asset in assets} | ({"of-None"} if mine is None else set())

    for field in ("cooling_unit_id", "location_id"):
        wanted = units if asked is None else units & {asked}
        if asked is not None and not wanted:
            with pytest.raises(FieldError) as refused:
                await cooling_units.visible(connection, principal, **{field: asked})
            assert refused.value.field == field
        else:
            found = await cooling_units.visible(connection, principal, **{field: asked})
            assert [one.id for one in found] == sorted(wanted)

    for resource, expected in ((SENSORS, sensors), (ASSETS, assets), (COOLING_UNITS, units), (LOCATIONS, units)):
        listed, total = await resources.page(connection, resource, 1, 100, 0, seen=principal.seen)
        assert ([one["id"] for one in listed], total) == (sorted(expected), len(expected))
    seen_sensors = {"company_id": 1, "ids": None, "asset_id": asked, "seen": principal.seen}
    of_asked = sensors if asked is None else sensors & {f"of-{asked}"}
    assert await sql.count_seen_sensors.value(connection, **seen_sensors) == len(of_asked)
    latest = await sql.latest_of_sensors.rows(connection, **seen_sensors, max_rows=100, skip=0)
    assert [row["id"] for row in latest] == sorted(of_asked)

    known = await sql.known_cooling_units.rows(connection, company_id=1, ids=several, seen=principal.seen)
    assert {row["id"] for row in known} == units & set(several)
    types = [f"T{one}" for one in several]
    rows = await sql.known_types.rows(connection, company_id=1, types=types, seen=principal.seen)
    assert {row["specification_type"] for row in rows} == {f"T{one}" for one in assets & set(several)}
    for one in (*several, None):
        assert principal.sees(one) is (mine is None or one in mine)
        if one is not None:
            may_pay = await connection.fetchval("SELECT may_pay($1, $2)", principal.seen, one)
            assert may_pay is principal.sees(one)
    await connection.close()


@settings(max_examples=60, deadline=None)
@given(LISTS, st.none() | IDS, st.lists(IDS, max_size=4))
def test_what_is_shown_is_plain_set_logic(
    url: str, mine: frozenset[int] | None, asked: int | None, several: list[int]
) -> None:
    asyncio.run(compare(url, mine, asked, several))


@pytest.fixture
async def readings(tenant: Tenant) -> None:
    """Units 7 and 8, each with a sensor that has a reading."""
    for unit in (7, 8):
        await make(tenant, "cooling-units", {"id": unit})
        await tenant.sensor(id=f"of-{unit}", asset_id=unit, specification_type="TEMPERATURE")
    await store(tenant, [(f"of-{unit}", "2026-01-01T00:00:00Z", 1.0) for unit in (7, 8)])


async def send(tenant: Tenant, path: str, headers: dict[str, str], body: list[dict[str, Any]]) -> ClientResponse:
    """Send records with a token."""
    async with tenant.session.post(f"{tenant.base}/api/v1/{path}", json=body, headers=headers) as response:
        await response.read()
    return response


@pytest.mark.usefixtures("readings")
async def test_a_token_whose_only_unit_is_gone_sees_nothing(tenant: Tenant) -> None:
    scopes = ["sensor_data", "users", "utilization", "revenue", "impact", "ingest"]
    token = await new_token(tenant, scopes=scopes, cooling_unit_ids=[7])
    assert [one["sensor_id"] for one in await items(tenant, "latest", token)] == ["of-7"]
    assert (await tenant.manage("DELETE", "cooling-units/7")).status == 204

    for path in ("latest", "sensors", "assets", "cooling-units", "locations"):
        assert await items(tenant, path, token) == []
    for measure in ("users", "utilization", "revenue", "impact"):
        assert await items(tenant, f"analytics/{measure}", token, **DAY) == []
    for unit in (7, 8):
        assert (await get(tenant, "sensor-data", token, cooling_unit_id=unit, **DAY)).status == 400
        hours = {"sensors": f"of-{unit}", "start": "2026-01-01", "end": "2026-01-01"}
        assert (await get(tenant, "series", token, **hours)).status == 400
        reading = {"sensor": f"of-{unit}", "timestamp": "2026-01-01T01:00:00Z", "value": 2}
        assert (await send(tenant, "readings", token, [reading])).status == 422
        check_in = {"id": "c", "type": "check_in", "occurred_at": "2026-01-01T01:00:00Z", "cooling_unit_id": unit}
        moved = {**check_in, "user_id": "u", "crop": "kale", "crates": 1, "weight_kg": 1}
        assert (await send(tenant, "operations", token, [moved])).status == 422


async def test_outside_an_empty_list_is_all_units_and_inside_it_does_not_exist(tenant: Tenant) -> None:
    await make(tenant, "cooling-units", {"id": 7})
    sent: tuple[dict[str, Any], ...] = ({}, {"cooling_unit_ids": []}, {"cooling_unit_ids": None})
    for fields in sent:
        made = await make(tenant, "api-tokens", {"scopes": ["sensor_data"], **fields})
        assert made["cooling_unit_ids"] == []
        token = {"Authorization": f"Bearer {made['token']}"}
        assert [one["id"] for one in await items(tenant, "cooling-units", token)] == [7]
    await make(tenant, "api-tokens", {"scopes": ["sensor_data"], "cooling_unit_ids": [7]})
    listed = (await (await tenant.manage("GET", "api-tokens")).json())["data"]
    assert [one["cooling_unit_ids"] for one in listed] == [[], [], [], [], [7]]
    # The last unit cannot be removed from a list: the empty list that remains would not mean all units.
    connection = await asyncpg.connect(tenant.database_url)
    with pytest.raises(asyncpg.CheckViolationError):
        await connection.execute(
            "UPDATE api_token SET cooling_unit_ids = array_remove(cooling_unit_ids, 7) WHERE company_id = $1",
            tenant.company_id,
        )
    await connection.close()
