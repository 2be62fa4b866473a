"""Backup and restore as docs/operations.md describes them, with PostgreSQL's own programs."""

import asyncio
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from tidemark.catalog import organizations, welcome
from tidemark.database.migration import migrate
from tidemark.embedded.programs import Programs
from tidemark.embedded.server import Server, embedded_server

from tests.conftest import PROGRAMS, MakeTenant, StartService, Tenant, ago

OPERATIONS = Path(__file__).resolve().parents[2] / "docs" / "operations.md"


def documented(heading: str) -> list[str]:
    """The commands of a section of the documentation."""
    section = re.split(r"^## ", OPERATIONS.read_text(), flags=re.MULTILINE)
    text = next(part for part in section if part.startswith(f"{heading}\n"))
    return re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


(DUMP,) = documented("Backup")
START, RESTORE_TIMESCALE, RESTORE_POSTGRES = documented("Restore")
RESTORE = {"timescale": RESTORE_TIMESCALE, "postgres": RESTORE_POSTGRES}


@pytest.fixture
def programs(engine: str) -> Programs:
    """The engine's PostgreSQL programs; skips the test if those for dumps and restores are missing."""
    found = PROGRAMS[engine]
    for name in ("pg_dump", "pg_restore", "psql"):
        if not Path(found.program(name)).is_file():
            pytest.skip(f"NOT TESTED: backup and restore of {engine}, because {found.folder} has no {name}")
    return found


def shell(commands: str, folder: Path, environment: dict[str, str] | None = None) -> None:
    """Run commands as if from a terminal in a folder; each must succeed."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("TIDEMARK_", "PG"))}
    done = subprocess.run(
        ["bash", "-ec", commands],
        cwd=folder,
        env={**inherited, **(environment or {})},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@contextmanager
def database_command(folder: Path, programs: Programs, command: str) -> Iterator[dict[str, object]]:
    """Run `tidemark database` in a folder, as if in the foreground of its own terminal; yields what it prints."""
    (folder / ".venv").symlink_to(Path(sys.executable).parent.parent)
    process = subprocess.Popen(
        ["bash", "-c", f"exec {command.strip()} --json"],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "TIDEMARK_POSTGRES_BIN": str(programs.folder)},
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        document = ""
        while not document.endswith("}\n"):
            line = process.stdout.readline()
            assert line, "the command ended without printing how to connect"
            document += line
        yield json.loads(document)
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0


async def test_a_restored_backup_serves_as_before(
    engine: str, programs: Programs, short_path: Path, start_service: StartService, make_tenant: MakeTenant
) -> None:
    old, new = short_path / "o", short_path / "n"
    old.mkdir()
    new.mkdir()
    service = start_service(None, TIDEMARK_DATA_DIR=str(old / ".tidemark"), TIDEMARK_POSTGRES_BIN=str(programs.folder))
    with embedded_server(old / ".tidemark") as server:
        tenant = await make_tenant(service, server.url)
    sensor = await tenant.sensor()
    for hours in (1, 400, 4000):
        assert (await tenant.upload(sensor, ago(hours=hours), hours)).status == 201
    before = await answers(tenant, sensor)
    await asyncio.to_thread(shell, DUMP, old)
    assert (old / "tidemark.dump").stat().st_mode & 0o077 == 0, "only its owner may read the dump"
    assert service.stop() == 0

    shutil.move(old / "tidemark.dump", new)
    with database_command(new, programs, START) as printed:
        assert printed["socket"] == str(new / ".tidemark" / "socket")
        await asyncio.to_thread(shell, f"{printed['connect']} -c 'SELECT 1'", new)
        await asyncio.to_thread(shell, RESTORE[engine], new)

    again = start_service(None, TIDEMARK_DATA_DIR=str(new / ".tidemark"))
    tenant.base = again.base
    assert await answers(tenant, sensor) == before
    assert (await tenant.upload(sensor, ago(hours=401), -1)).status == 201
    assert (await answers(tenant, sensor))[1][0]["inputdata"] == [{"min": "-1", "max": "4000", "avg": "1100"}]
    assert again.stop() == 0


async def answers(tenant: Tenant, sensor: str) -> tuple[Any, Any]:
    """A sensor's readings and their statistics, as the service returns them."""
    raw = await tenant.fetch("get_inputdata_by_inputs", input_ids=sensor)
    statistics = await tenant.fetch("get_statistics_inputdata_by_inputs", input_ids=sensor)
    return await raw.json(), await statistics.json()


async def test_a_server_of_ones_own_is_restored_for_the_role_that_owns_the_database(
    engine: str, programs: Programs, server: Server, tmp_path: Path
) -> None:
    """The same commands, run by a superuser and changed for roles as the documentation says."""
    admin = await asyncpg.connect(server.url)
    await admin.execute("CREATE ROLE owning LOGIN")
    for database in ("dumped", "restored"):
        await admin.execute(f"CREATE DATABASE {database} OWNER owning")
    dumped = await asyncpg.connect(server.url_of("dumped"))
    if engine == "timescale":
        await dumped.execute("CREATE EXTENSION timescaledb")
    await dumped.close()
    owner = await asyncpg.connect(server.url_of("dumped"), user="owning")
    await migrate(owner)
    await welcome.create_organization(owner, {"name": "Kept"})
    await owner.close()

    environment = {"PGHOST": str(server.socket_dir), "PGUSER": "tidemark", "PGDATABASE": "restored"}
    pg_dump = server.programs.program("pg_dump")
    shell(f"'{pg_dump}' --format=custom --file=tidemark.dump dumped", tmp_path, environment)
    roles = ("--no-owner", "") if engine == "timescale" else ("--no-owner", "--no-owner --role=owning")
    commands = RESTORE[engine].replace(*roles).replace("--dbname=tidemark", "--dbname=restored")
    own = [line for line in commands.splitlines() if not line.startswith(("export", "PROGRAMS"))]
    shell("\n".join(own), tmp_path, {**environment, "PROGRAMS": str(server.programs.folder)})

    owner = await asyncpg.connect(server.url_of("restored"), user="owning")
    assert (await migrate(owner)).applied == 0
    assert [one["name"] for one in await organizations.every(owner)] == ["Kept"]
    assert (await owner.fetchval("SELECT count(*) FROM reading_daily")) == 0
    await welcome.create_organization(owner, {"name": "New"})
    foreign = (
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relowner <> 'owning'::regrole"
    )
    assert await owner.fetch(foreign) == []
    await owner.close()
    for database in ("dumped", "restored"):
        await admin.execute(f"DROP DATABASE {database} WITH (FORCE)")
    await admin.execute("DROP ROLE owning")
    await admin.close()
