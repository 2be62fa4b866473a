"""The command line: one JSON document for programs, clear messages for people, even while the service is running."""

import asyncio
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import asyncpg
import pytest
from aiohttp import ClientSession

from tests.cli.conftest import Run
from tests.conftest import Service, Tenant, upload_body


async def test_an_organization_made_on_the_command_line_works_at_once(tidemark: Run, service: Service) -> None:
    made = await asyncio.to_thread(tidemark, "org", "create", "Fjord Farm", "--timezone", "Europe/Oslo")
    assert set(made) == {"organization_id", "company_id", "api_key", "admin_token"}
    organization = made["organization_id"]
    sensor = await asyncio.to_thread(tidemark, "sensor", "create", "--org", organization, "--measure-unit", "°C")
    assert len(sensor["id"]) == 13
    assert sensor["id"].startswith("sen")
    async with ClientSession() as session:

        async def upload(key: str) -> int:
            url = f"{service.base}/api/external/v1/inputs/{sensor['id']}/inputdata/"
            headers = {"ORGANIZATION-ID": organization, "ORGANIZATION-API-KEY": key}
            body = upload_body(sensor["id"], "2024-01-01T00:00:00Z", 1)
            async with session.post(url, json=body, headers=headers) as response:
                return response.status

        assert await upload(made["api_key"]) == 201
        rotated = await asyncio.to_thread(tidemark, "org", "rotate-key", organization)
        assert await upload(made["api_key"]) == 401
        assert await upload(rotated["api_key"]) == 201


async def test_tokens_are_made_listed_and_revoked(tidemark: Run, service: Service, tenant: Tenant) -> None:
    org = ("--org", str(tenant.company_id))
    made = await asyncio.to_thread(tidemark, "token", "create", *org, "--scope", "admin", "--scope", "users")
    assert set(made) >= {"id", "token", "scopes", "expires_at", "rate_limit", "cooling_unit_ids", "revoked"}
    assert (made["scopes"], made["expires_at"], made["rate_limit"]) == (["admin", "users"], None, 100)
    listed = await asyncio.to_thread(tidemark, "token", "list", *org)
    assert made["id"] in {one["id"] for one in listed}
    assert all("token" not in one for one in listed)
    async with ClientSession(headers={"Authorization": f"Bearer {made['token']}"}) as session:
        async with session.get(f"{service.base}/api/v1/sensors") as response:
            assert response.status == 200
        await asyncio.to_thread(tidemark, "token", "revoke", made["id"])
        async with session.get(f"{service.base}/api/v1/sensors") as response:
            assert response.status == 401


def test_resources_have_a_flag_for_each_field(tidemark: Run, tenant: Tenant, tmp_path: Path) -> None:
    org = ("--org", tenant.organization_id)
    asset = tidemark("asset", "create", *org, "--id", "67", "--name", "Cold room")
    assert asset == {"id": 67, "name": "Cold room", "location_id": None}
    tidemark("location", "create", *org, "--id", "3", "--name", "Market")
    given = ("--location-id", "3", "--capacity-crates", "80", "--capacity-kg", "1600.5")
    unit = tidemark("cooling-unit", "create", *org, *given)
    assert unit == {"id": 68, "name": "68", "location_id": 3, "capacity_crates": 80, "capacity_kg": 1600.5}
    site = tidemark("site", "create", *org, "--domain", "example.com")
    closed = tidemark("site", "update", site["siteId"], *org, "--is-active", "false")
    assert closed == {**site, "isActive": False}
    file = tmp_path / "sensors.csv"
    file.write_text("id,name,asset_id\nsenA,Door,67\nsenB,,67\n")
    assert tidemark("sensor", "import", *org, str(file)) == {"created": 2, "existing": 0}
    assert tidemark("sensor", "import", *org, str(file)) == {"created": 0, "existing": 2}
    assert [one["name"] for one in tidemark("sensor", "list", *org)] == ["Door", "senB"]
    changed = tidemark("sensor", "update", *org, "senA", "--specification-type", "TEMPERATURE", "--asset-id", "")
    assert (changed["specification_type"], changed["asset_id"]) == ("TEMPERATURE", None)
    assert tidemark("sensor", "delete", *org, "senB") == {"id": "senB", "deleted": True}
    error = tidemark("sensor", "show", *org, "senB", code=1)
    assert error == {"error": {"message": "There is no sensor 'senB'."}}
    assert "Door" in tidemark("sensor", "list", *org, json_output=False)


def test_status_and_migrate_tell_what_is(tidemark: Run, engine: str) -> None:
    status = tidemark("status")
    assert (status["engine"], status["server"]) == (engine, "external")
    assert tidemark("migrate")["applied"] == 0


def test_alone_it_prints_the_help_once_and_with_version_the_version() -> None:
    def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "tidemark", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    for group in ((), ("org",)):
        alone = run(*group)
        assert (alone.returncode, alone.stdout) == (2, "")
        assert alone.stderr.startswith("Usage: ")
        assert alone.stderr.count("Usage:") == 1
        assert "Commands:" in alone.stderr
    assert run("--version").stdout == f"tidemark {version('tidemarkdb')}\n"


def test_a_server_of_ones_own_is_not_tidemarks_to_run(tidemark: Run) -> None:
    assert "TIDEMARK_DATABASE_URL" in tidemark("database", code=1)["error"]["message"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("org", "show", "nobody"), "There is no organization 'nobody'"),
        (("org", "create", "X", "--timezone", "Mars/Base"), "timezone must be an IANA time zone"),
        (("token", "revoke", "42"), "There is no token '42'"),
    ],
)
def test_errors_say_what_to_do(tidemark: Run, arguments: tuple[str, ...], message: str) -> None:
    assert message in tidemark(*arguments, code=1)["error"]["message"]


def test_the_demo_agrees_with_what_it_plays(tidemark: Run, service: Service) -> None:
    answer = tidemark("demo", "--url", service.base, "--station", "LGA", "--units", "2")
    # The command fails unless the figures agree with what was sent: sums, fees and users of each cooling unit,
    assert [one["cooling_unit"] for one in answer["cold_storage"]["cooling_units"]] == [1, 2]
    assert answer["cold_storage"]["operations"] > 3_000
    # and minimum, maximum and mean of the weather in each month.
    assert answer["readings"] > 70_000
    assert [month["month"] for month in answer["months"]] == [f"2013-{number:02d}" for number in range(1, 13)]
    # Commands use neither organization by default.
    played = {answer["organization_id"], answer["cold_storage"]["organization_id"]}
    assert asyncio.run(demonstrations(service)) == played


async def demonstrations(service: Service) -> set[str]:
    """The ids of the organizations that are marked as demonstrations."""
    connection = await asyncpg.connect(service.database_url)
    rows = await connection.fetch("SELECT organization_id FROM organization WHERE demonstration")
    await connection.close()
    return {row["organization_id"] for row in rows}
