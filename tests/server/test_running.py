"""The service as its operators know it: starting, stopping, crashing, losing the database, several workers."""

import asyncio
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from aiohttp import ClientError, ClientSession, ClientTimeout
from tidemark.embedded.server import embedded_server

from tests.conftest import (
    PROGRAMS,
    MakeTenant,
    Service,
    StartService,
    Tenant,
    ago,
    free_port,
    upload_body,
    wait_until_ready,
)

README = Path(__file__).resolve().parents[2] / "README.md"
SENSOR_API = README.parent / "docs" / "sensor-api.md"


async def upload_until_refused(
    tenant: Tenant, sensor: str, acknowledged: set[int], start: int, step: int, over: asyncio.Event | None = None
) -> None:
    """A gateway that sends one reading after another, noting each acknowledgement, until one is refused, or over."""
    number = start
    while over is None or not over.is_set():
        timestamp = f"2021-03-04T{number // 3600 % 24:02d}:{number // 60 % 60:02d}:{number % 60:02d}Z"
        try:
            response = await tenant.upload(sensor, timestamp, number)
        except (ClientError, OSError):
            return
        if response.status != 201:
            return
        acknowledged.add(number)
        number += step


async def stored(tenant: Tenant, sensor: str) -> set[int]:
    """The values that the service has of a sensor; asked again, as 503 asks for, while a database comes back."""
    while (response := await tenant.fetch("get_inputdata_by_inputs", input_ids=sensor, limit=100_000)).status == 503:
        assert "Retry-After" in response.headers
        await asyncio.sleep(0.05)
    answer = await response.json()
    return {int(record["value"]) for record in answer[0]["inputdata"]}


async def test_a_crashed_embedded_server_comes_back_under_the_service(
    engine: str, tmp_path: Path, start_service: StartService, make_tenant: MakeTenant
) -> None:
    service = start_service(
        None, TIDEMARK_DATA_DIR=str(tmp_path / "data"), TIDEMARK_POSTGRES_BIN=str(PROGRAMS[engine].folder)
    )
    with embedded_server(tmp_path / "data") as server:
        tenant = await make_tenant(service, server.url)
    sensor = await tenant.sensor()
    assert (await tenant.upload(sensor, ago(hours=1), 1)).status == 201
    _kill(int((tmp_path / "data" / "postgres" / "postmaster.pid").read_text().split()[0]))
    while (await tenant.upload(sensor, ago(hours=2), 2)).status != 201:
        assert service.process.poll() is None
        await asyncio.sleep(0.05)
    await asyncio.to_thread(wait_until_ready, service)
    assert await stored(tenant, sensor) == {1, 2}
    assert service.stop() == 0


@pytest.mark.parametrize("victim", ["service", "database"])
async def test_a_crash_at_any_moment_loses_nothing_acknowledged(
    engine: str, tmp_path: Path, start_service: StartService, make_tenant: MakeTenant, victim: str
) -> None:
    settings = {"TIDEMARK_DATA_DIR": str(tmp_path / "data"), "TIDEMARK_POSTGRES_BIN": str(PROGRAMS[engine].folder)}
    service = start_service(None, **settings)
    with embedded_server(tmp_path / "data") as server:
        tenant = await make_tenant(service, server.url)
        sensor = await tenant.sensor()
        acknowledged: set[int] = set()
        over = asyncio.Event()
        gateways = [
            asyncio.create_task(upload_until_refused(tenant, sensor, acknowledged, number, 16, over))
            for number in range(16)
        ]
        while len(acknowledged) < 500:
            await asyncio.sleep(0.01)
        if victim == "service":
            service.process.kill()
            service.process.wait()
        else:
            postmaster = int((tmp_path / "data" / "postgres" / "postmaster.pid").read_text().split()[0])
            for pid in (*_children(postmaster), postmaster):
                _kill(pid)
        # A service that gets its database back soon enough refuses nobody.
        while len(acknowledged) < 1000 and not any(gateway.done() for gateway in gateways):
            await asyncio.sleep(0.01)
        over.set()
        await asyncio.gather(*gateways)
    service.process.kill()
    service.process.wait()
    again = start_service(None, TIDEMARK_PORT=str(service.port), **settings)
    assert acknowledged <= await stored(tenant, sensor)
    assert again.stop() == 0
    assert not (tmp_path / "data" / "postgres" / "postmaster.pid").exists(), "stopping the service stops its server"


def _children(pid: int) -> list[int]:
    listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False)
    return [int(line) for line in listed.stdout.split()]


def _kill(pid: int, number: int = signal.SIGKILL) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


async def test_sigterm_finishes_what_was_accepted(
    server_url: str, start_service: StartService, make_tenant: MakeTenant, service: Service
) -> None:
    stopping = start_service(server_url)
    tenant = await make_tenant(stopping)
    sensor = await tenant.sensor()
    acknowledged: set[int] = set()
    gateways = [
        asyncio.create_task(upload_until_refused(tenant, sensor, acknowledged, number, 8)) for number in range(8)
    ]
    while len(acknowledged) < 200:
        await asyncio.sleep(0.01)
    began = time.monotonic()
    assert await asyncio.to_thread(stopping.stop) == 0
    assert time.monotonic() - began < 10
    await asyncio.gather(*gateways)
    tenant.base = service.base
    assert await stored(tenant, sensor) >= acknowledged


@pytest.fixture
def server_url(service: Service) -> str:
    """The database of the shared service."""
    assert service.database_url is not None
    return service.database_url


async def test_an_unreachable_database_is_waited_for(
    engine: str, tmp_path: Path, start_service: StartService, make_tenant: MakeTenant
) -> None:
    data_dir = tmp_path / "data"
    with embedded_server(data_dir, PROGRAMS[engine].folder) as server:
        url = server.url
    service = start_service(url, wait_ready=False)
    wait_until_ready(service, "/health/live")
    keys = {"ORGANIZATION-ID": "anyone", "ORGANIZATION-API-KEY": "anything"}
    upload = f"{service.base}/api/external/v1/inputs/sen/inputdata/"
    body = json.dumps(upload_body("sen", "2021-01-01T00:00:00Z", 1)).encode()
    async with ClientSession() as session:
        async with session.get(f"{service.base}/health/ready") as response:
            assert response.status == 503
        async with session.post(upload, data=body, headers=keys, skip_auto_headers=["Content-Type"]) as response:
            assert response.status == 503
            assert int(response.headers["Retry-After"]) >= 1
            assert (await response.json(content_type=None))["errors"][0]["status"] == "503"
    with embedded_server(data_dir):
        await asyncio.to_thread(wait_until_ready, service)
        tenant = await make_tenant(service)
        sensor = await tenant.sensor()
        assert (await tenant.upload(sensor, ago(hours=1), 1)).status == 201
    # Gone again: the service stays up and says so, also to a gateway that it knows.
    assert (await tenant.upload(sensor, ago(hours=2), 2)).status == 503
    response = await tenant.fetch("get_latest_inputdata_by_inputs", input_ids=sensor)
    assert response.status == 503
    with embedded_server(data_dir):
        await asyncio.to_thread(wait_until_ready, service)
        assert (await tenant.upload(sensor, ago(hours=2), 3)).status == 201
        assert await stored(tenant, sensor) == {1, 3}
        assert service.stop() == 0


async def test_a_database_that_hangs_is_not_ready(engine: str, tmp_path: Path, start_service: StartService) -> None:
    with embedded_server(tmp_path / "data", PROGRAMS[engine].folder) as server:
        service = start_service(server.url)
        postmaster = int((tmp_path / "data" / "postgres" / "postmaster.pid").read_text().split()[0])
        hanging = [postmaster, *_children(postmaster)]
        for pid in hanging:
            _kill(pid, signal.SIGSTOP)
        try:
            async with (
                ClientSession(timeout=ClientTimeout(10)) as session,
                session.get(f"{service.base}/health/ready") as response,
            ):
                assert response.status == 503
        finally:
            for pid in hanging:  # the postmaster comes first, and takes leave of those who ended meanwhile
                _kill(pid, signal.SIGCONT)
        await asyncio.to_thread(wait_until_ready, service)
        assert service.stop() == 0


async def test_workers_share_the_port_and_agree(
    server_url: str, start_service: StartService, make_tenant: MakeTenant
) -> None:
    service = start_service(server_url, TIDEMARK_WORKERS="3")
    tenant = await make_tenant(service)
    sensor = await tenant.sensor()
    # The same few instants again and again, over connections to every worker: each is stored once, the last write wins.
    for value in range(5):
        answers = await asyncio.gather(
            *(
                tenant.upload(sensor, f"2022-05-06T07:08:{second:02d}Z", value, headers={"Connection": "close"})
                for second in range(10)
                for _ in range(4)
            )
        )
        assert Counter(answer.status for answer in answers) == {201: 40}
    answer = await (await tenant.fetch("get_inputdata_by_inputs", input_ids=sensor)).json()
    assert [record["value"] for record in answer[0]["inputdata"]] == ["4"] * 10
    statistics = await (await tenant.fetch("get_statistics_inputdata_by_inputs", input_ids=sensor)).json()
    assert statistics[0]["inputdata"] == [{"min": "4", "max": "4", "avg": "4"}]
    # A revoked token is refused by all of them, and a lost worker is replaced.
    made = await (await tenant.manage("POST", "api-tokens", {"scopes": ["admin"]})).json()
    assert (await tenant.manage("DELETE", f"api-tokens/{made['id']}")).status == 204
    deadline = time.monotonic() + 5
    refused = 0
    async with ClientSession() as session:
        while refused < 20:
            assert time.monotonic() < deadline, "a revoked token works within seconds nowhere"
            headers = {"Authorization": f"Bearer {made['token']}", "Connection": "close"}
            async with session.get(f"{service.base}/api/v1/sensors", headers=headers) as response:
                refused = refused + 1 if response.status == 401 else 0
    workers = [pid for pid in _children(service.process.pid) if "spawn_main" in _command(pid)]
    assert len(workers) == 4, "three that serve, and the maintenance process"
    _kill(workers[0])
    while len([pid for pid in _children(service.process.pid) if "spawn_main" in _command(pid)]) < 4 or (
        _command(workers[0])
    ):
        assert service.process.poll() is None
        await asyncio.sleep(0.05)
    await asyncio.to_thread(wait_until_ready, service)
    assert service.stop() == 0


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except OSError:
        return ""


async def test_too_much_pending_work_is_refused_not_kept(
    server_url: str, start_service: StartService, make_tenant: MakeTenant
) -> None:
    service = start_service(server_url, TIDEMARK_MAX_PENDING="5")
    tenant = await make_tenant(service)
    sensor = await tenant.sensor()
    assert (await tenant.upload(sensor, ago(hours=1), 99)).status == 201
    blocker = await asyncpg.connect(server_url)
    transaction = blocker.transaction()
    await transaction.start()
    await blocker.execute("LOCK TABLE reading_log IN SHARE MODE")  # every append waits
    uploads = [asyncio.create_task(tenant.upload(sensor, ago(hours=1, seconds=n + 1), n)) for n in range(30)]
    done, waiting = await asyncio.wait(uploads, return_when=asyncio.FIRST_COMPLETED)
    while len(done) < 25:
        more, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        done |= more
    refused = [task.result() for task in done]
    assert {answer.status for answer in refused} == {503}
    assert all("Retry-After" in answer.headers for answer in refused)
    await transaction.rollback()
    await blocker.close()
    assert {(await task).status for task in waiting} == {201}
    assert len(await stored(tenant, sensor)) == 6


async def test_a_first_start_prints_curl_lines_that_work(
    engine: str, tmp_path: Path, start_service: StartService
) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed: the printed lines cannot be pasted")
    settings = {"TIDEMARK_DATA_DIR": str(tmp_path / "a b" / "data"), "TIDEMARK_CACHE_SECONDS": "1"}
    service = start_service(None, **settings, TIDEMARK_POSTGRES_BIN=str(PROGRAMS[engine].folder))
    printed = service.output.read_text()
    store, read = re.findall(r"^curl .*$", printed, re.MULTILINE)
    assert await pasted(f"{store} -s") == {"accepted": 1, "rejected": 0, "errors": []}
    (stored,) = (await pasted(f"{read} -s"))[0]["inputdata"]
    assert stored["value"] == "21.5"
    assert f'"timestamp":"{stored["timestamp"][:23]}Z"' in store
    await follow_the_readme(service, printed)
    assert service.stop() == 0
    began = time.monotonic()
    again = start_service(None, **settings)
    assert time.monotonic() - began < 10
    assert "organization key" not in again.output.read_text()
    assert again.stop(signal.SIGINT) == 0


async def pasted(commands: str) -> Any:
    """What commands print that are pasted into a shell."""
    done = await asyncio.create_subprocess_exec("bash", "-ec", commands, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    output, errors = await done.communicate()
    assert done.returncode == 0, errors
    return json.loads(output) if output else None


async def follow_the_readme(service: Service, greeting: str) -> None:
    """Run the commands of the README's first reading, then the sensor API's upload, with what a first start printed."""
    section = README.read_text().split("## Your first reading\n")[1].split("\n## ")[0]
    variables, *commands = re.findall(r"^```sh\n(.*?)^```", section, re.MULTILINE | re.DOTALL)
    for label in re.findall(r'# "(.*)"', variables):
        (value,) = re.findall(rf"^  {label} +(\S+)$", greeting, re.MULTILINE)
        variables = re.sub(rf'=…( *# "{label}")', rf"={value}\1", variables)
    variables = variables.replace("http://127.0.0.1:8080", service.base)
    (upload,) = re.findall(r"^```sh\n(curl .*?)^```", SENSOR_API.read_text(), re.MULTILINE | re.DOTALL)
    variables += 'API="$TIDEMARK/api/external/v1"'
    commands = [command.rstrip() for command in (*commands, upload) if command.startswith("curl")]
    curl = [f"{variables}\n{command} -s --fail" for command in commands]
    store, read, statistics, line, document = [await pasted(command) for command in curl]
    assert store == {"accepted": 1, "rejected": 0, "errors": []}
    assert read[0]["inputdata"][0]["value"] == "21.5"
    assert statistics[0]["inputdata"] == [{"min": "21.5", "max": "21.5", "avg": "21.5"}]
    assert line is None
    assert document["data"]["attributes"]["value"] == "12.5"


def test_a_taken_port_is_an_error_at_once(service: Service, start_service: StartService) -> None:
    second = start_service(service.database_url, wait_ready=False, TIDEMARK_PORT=str(service.port))
    assert second.process.wait(20) == 1
    assert "Is it already running?" in second.output.read_text()


def test_a_newer_database_is_refused_with_a_clear_message(
    engine: str, tmp_path: Path, start_service: StartService
) -> None:
    with embedded_server(tmp_path / "data", PROGRAMS[engine].folder) as server:

        async def upgrade() -> None:
            connection = await asyncpg.connect(server.url)
            await connection.execute(
                "CREATE TABLE schema_migration (version integer, name text, engine text, applied_at timestamptz)"
            )
            await connection.execute("INSERT INTO schema_migration VALUES (999, 'future', $1, now())", engine)
            await connection.close()

        asyncio.run(upgrade())
        for workers in ("1", "2"):
            service = start_service(
                server.url, wait_ready=False, TIDEMARK_WORKERS=workers, TIDEMARK_PORT=str(free_port())
            )
            assert service.process.wait(30) == 1
            assert "schema version 999" in service.output.read_text()
