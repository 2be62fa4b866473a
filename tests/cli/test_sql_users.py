"""`tidemark sql-user`: a role for people who use SQL, from the embedded server's own address or an external one."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import asyncpg
import pytest
from tidemark.base.settings import SettingError, Settings

from tests.cli.conftest import Run
from tests.conftest import PROGRAMS, MakeTenant, StartService, Tenant, free_port


async def test_a_user_is_created_listed_and_dropped(tidemark: Run, engine: str, tenant: Tenant) -> None:
    org = ("--org", tenant.organization_id)
    name = f"cli_{engine}_{tenant.company_id}"
    made = await asyncio.to_thread(tidemark, "sql-user", "create", name, *org)
    assert set(made) == {"name", "company_id", "database", "created_at", "can_log_in", "password"}
    assert (made["name"], made["company_id"]) == (f"tidemark_{name}", tenant.company_id)
    listed = await asyncio.to_thread(tidemark, "sql-user", "list", *org)
    assert listed == [{field: value for field, value in made.items() if field != "password"}]
    again = await asyncio.to_thread(tidemark, "sql-user", "create", name, *org, code=1)
    assert "There is a role" in again["error"]["message"]

    sensor = await tenant.sensor()
    assert (await tenant.upload(sensor, "2024-01-01T00:00:00Z", 12.5)).status == 201
    connection = await asyncpg.connect(tenant.database_url, user=made["name"], password=made["password"])
    row = await connection.fetchrow("SELECT sensor, value FROM latest_reading")
    assert row is not None
    assert tuple(row) == (sensor, 12.5)
    await connection.close()

    dropped = await asyncio.to_thread(tidemark, "sql-user", "drop", made["name"], *org)
    assert dropped == {"name": made["name"], "deleted": True}
    assert await asyncio.to_thread(tidemark, "sql-user", "list", *org) == []
    gone = await asyncio.to_thread(tidemark, "sql-user", "drop", name, *org, code=1)
    assert "There is no SQL user" in gone["error"]["message"]


def test_wrong_names_are_refused(tidemark: Run, tenant: Tenant) -> None:
    error = tidemark("sql-user", "create", "Robert'); --", "--org", tenant.organization_id, code=1)
    assert "lower-case letters" in error["error"]["message"]


async def test_the_embedded_server_listens_for_them(
    engine: str, start_service: StartService, make_tenant: MakeTenant, tmp_path: Path
) -> None:
    port = free_port()
    service = start_service(
        None,
        TIDEMARK_DATA_DIR=str(tmp_path / "data"),
        TIDEMARK_POSTGRES_BIN=str(PROGRAMS[engine].folder),
        TIDEMARK_POSTGRES_LISTEN=f"127.0.0.1:{port}",
    )
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "tidemark", "sql-user", "create", "grafana", "--json"],
        env={"PATH": "/usr/bin:/bin", **service.environment},
        capture_output=True,
        check=True,
    )
    made = json.loads(done.stdout)
    connection = await asyncpg.connect(
        host="127.0.0.1", port=port, user=made["name"], password=made["password"], database=made["database"], ssl=False
    )
    assert await connection.fetch("SELECT * FROM reading") == []
    await connection.close()
    assert await asyncio.to_thread(service.stop) == 0


@pytest.mark.parametrize(
    "text", ["localhost", "5433", ":5433", "a:0", "a:65536", "a b:1", "::1:5433", "a:1,b:2", "'a':1"]
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(SettingError, match="TIDEMARK_POSTGRES_LISTEN must be a host and a port"):
        Settings.from_environment({"TIDEMARK_POSTGRES_LISTEN": text})


def test_the_address_may_be_of_any_kind() -> None:
    for text, address in (
        ("127.0.0.1:5433", ("127.0.0.1", 5433)),
        ("*:5432", ("*", 5432)),
        ("[::1]:5432", ("::1", 5432)),
        ("db.example.com:6000", ("db.example.com", 6000)),
    ):
        assert Settings.from_environment({"TIDEMARK_POSTGRES_LISTEN": text}).postgres_listen == address
