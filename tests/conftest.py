"""Real servers for the tests: an embedded PostgreSQL for each engine on this machine, with the service in front of it.

Tests share one running service per engine; every test has an organization of its own, and tenants see nothing of each
other. Tests that stop, crash or configure things start a service of their own.
"""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from aiohttp import ClientResponse, ClientSession
from tidemark.catalog import organizations, resources, welcome
from tidemark.catalog.resources import ASSETS, SENSORS
from tidemark.database.migration import migrate
from tidemark.embedded.programs import Programs, available_programs
from tidemark.embedded.server import Server, embedded_server

ENGINES = ("timescale", "postgres")
START_SECONDS = 30
_numbers = count(1)


def _programs() -> dict[str, Programs]:
    """The PostgreSQL programs for each engine: for the plain one, if possible, programs without TimescaleDB."""
    found: dict[str, Programs] = {}
    for programs in available_programs():
        found.setdefault("timescale" if programs.has_timescaledb else "postgres", programs)
    return found


PROGRAMS = _programs()


def pytest_xdist_auto_num_workers() -> int:
    """How many processes run tests beside each other: one more than processors, since tests wait for servers too."""
    return min((os.cpu_count() or 1) + 1, 8)


def pytest_report_header() -> list[str]:
    """State which engines the suite runs on."""
    lines = [f"engine {name}: PostgreSQL {one.major} in {one.folder}" for name, one in PROGRAMS.items()]
    missing = [f"engine {name}: NOT AVAILABLE on this machine, not tested" for name in ENGINES if name not in PROGRAMS]
    return lines + missing


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Repeat it where people look."""
    for name in ENGINES:
        if name not in PROGRAMS:
            terminalreporter.write_line(f"The engine {name} is not available on this machine and was not tested.")


@pytest.fixture(scope="session", params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    """The storage engine under test."""
    name = str(request.param)
    if name not in PROGRAMS:
        pytest.skip(f"the engine {name} is not available on this machine")
    return name


@pytest.fixture(scope="session")
def server(engine: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """An embedded server for the engine."""
    with embedded_server(tmp_path_factory.mktemp(engine), PROGRAMS[engine].folder) as running:
        yield running


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A folder for the test whose own path is short, because that of a socket in it must be."""
    with tempfile.TemporaryDirectory(prefix="tm-") as folder:
        yield Path(folder)


@asynccontextmanager
async def new_database(server: Server) -> AsyncIterator[str]:
    """An empty database, by its URL."""
    name = f"test_{next(_numbers)}"
    admin = await asyncpg.connect(server.url_of("postgres"))
    await admin.execute(f"CREATE DATABASE {name}")
    yield server.url_of(name)
    await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await admin.close()


@pytest.fixture
async def database_url(server: Server) -> AsyncIterator[str]:
    """An empty database for the test."""
    async with new_database(server) as url:
        yield url


@pytest.fixture
async def migrated_url(database_url: str) -> str:
    """A database for the test, with Tidemark's schema."""
    connection = await asyncpg.connect(database_url)
    await migrate(connection)
    await connection.close()
    return database_url


def free_port() -> int:
    """A TCP port of the loopback interface that is free at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Service:
    """A running `tidemark serve`."""

    process: "subprocess.Popen[str]"
    port: int
    database_url: str | None
    environment: Mapping[str, str]
    output: Path

    @property
    def base(self) -> str:
        """The URL at which it serves."""
        return f"http://127.0.0.1:{self.port}"

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and wait for the process to end. Returns the exit code."""
        self.process.send_signal(number)
        return self.process.wait(15)


StartService = Callable[..., Service]


@pytest.fixture(scope="session")
def start_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartService]:
    """Starts separate services; those that still run at the end of the session are stopped."""
    with ExitStack() as stack:

        def start(
            database_url: str | None, *, wait_ready: bool = True, output: Path | None = None, **settings: str
        ) -> Service:
            port = int(settings.pop("TIDEMARK_PORT", 0)) or free_port()
            given = {"TIDEMARK_CACHE_SECONDS": "0", "TIDEMARK_PORT": str(port), **settings}
            if database_url is not None:
                given["TIDEMARK_DATABASE_URL"] = database_url
            inherited = {name: value for name, value in os.environ.items() if not name.startswith("TIDEMARK_")}
            output = output or tmp_path_factory.mktemp("service") / "output"
            process = subprocess.Popen(
                [sys.executable, "-m", "tidemark", "serve"],
                env={**inherited, **given},
                stdout=stack.enter_context(output.open("w")),
                stderr=subprocess.STDOUT,
                text=True,
            )
            running = Service(process, port, database_url, given, output)
            stack.callback(_end, process)
            if wait_ready:
                wait_until_ready(running)
            return running

        yield start


def _end(process: "subprocess.Popen[str]") -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_until_ready(service: Service, path: str = "/health/ready") -> None:
    """Wait until a health check returns 200 from every worker, as far as many new connections can tell."""
    needed = 1 if service.environment.get("TIDEMARK_WORKERS", "1") == "1" else 30
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if service.process.poll() is not None:
            break
        try:
            for _ in range(needed):
                with urllib.request.urlopen(f"{service.base}{path}", timeout=5):
                    pass
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise AssertionError(f"The service did not come up:\n{service.output.read_text()}")


@pytest.fixture(scope="session")
def service(server: Server, start_service: StartService) -> Service:
    """The service that tests share, one per engine; its cache is off."""
    return start_service(server.url)


@dataclass
class Tenant:
    """An organization for the test, and requests as its gateway, dashboard or admin."""

    base: str
    database_url: str
    session: ClientSession
    company_id: int
    organization_id: str
    api_key: str
    admin_token: str
    _connection: "asyncpg.Connection[Any]" = field(repr=False)

    @property
    def keys(self) -> dict[str, str]:
        """The headers of a gateway."""
        return {"ORGANIZATION-ID": self.organization_id, "ORGANIZATION-API-KEY": self.api_key}

    @property
    def bearer(self) -> dict[str, str]:
        """The headers of an admin."""
        return {"Authorization": f"Bearer {self.admin_token}"}

    async def sensor(self, **fields: Any) -> str:
        """Create a sensor. Returns its id."""
        made = await resources.create(self._connection, SENSORS, self.company_id, fields)
        return str(made["id"])

    async def asset(self, **fields: Any) -> int:
        """Create an asset. Returns its id."""
        made = await resources.create(self._connection, ASSETS, self.company_id, fields)
        return int(made["id"])

    async def limit(self, **fields: Any) -> None:
        """Set fields that only the operator may set."""
        await organizations.update(self._connection, self.company_id, fields)

    async def upload(
        self,
        sensor: str,
        timestamp: str,
        value: Any,
        *,
        headers: Mapping[str, str] | None = None,
        **attributes: Any,
    ) -> ClientResponse:
        """Send one reading, as a gateway does. Returns the response with its body read."""
        body = json.dumps(upload_body(sensor, timestamp, value, **attributes))
        return await self.post_raw(sensor, body.encode(), headers=headers)

    async def post_raw(self, sensor: str, body: bytes, *, headers: Mapping[str, str] | None = None) -> ClientResponse:
        """Send a body to a sensor's upload path. Returns the response with its body read."""
        all_headers = {**self.keys, "Content-Type": "application/vnd.api+json", **(headers or {})}
        path = f"/api/external/v1/inputs/{sensor}/inputdata/"
        async with self.session.post(f"{self.base}{path}", data=body, headers=all_headers) as response:
            await response.read()
        return response

    async def fetch(self, endpoint: str, **parameters: Any) -> ClientResponse:
        """Send a request to one of the fetch endpoints. Returns the response with its body read."""
        url = f"{self.base}/api/external/v1/{endpoint}"
        async with self.session.get(url, params=parameters, headers=self.keys) as response:
            await response.read()
        return response

    async def manage(self, method: str, path: str, document: Any = None, **parameters: Any) -> ClientResponse:
        """Send a management request as admin. Returns the response with its body read."""
        url = f"{self.base}/api/v1/{path}"
        async with self.session.request(method, url, json=document, params=parameters, headers=self.bearer) as response:
            await response.read()
        return response


def upload_body(sensor: str, timestamp: str, value: Any, **attributes: Any) -> dict[str, Any]:
    """The document of an upload."""
    return {
        "data": {
            "type": "SensorData",
            "id": "null",
            "attributes": {"value": value, "timestamp": timestamp, **attributes},
            "relationships": {"sensor": {"data": {"type": "Sensor", "id": sensor}}},
        }
    }


def ago(**before: float) -> str:
    """An instant before now, as gateways write it; the distance is given as to timedelta."""
    return (datetime.now(UTC) - timedelta(**before)).isoformat()


MakeTenant = Callable[..., Awaitable[Tenant]]


@pytest.fixture
async def make_tenant() -> AsyncIterator[MakeTenant]:
    """Creates organizations in the database of a running service."""
    session = ClientSession()
    connections = []

    async def make(service: Service, database_url: str | None = None) -> Tenant:
        url = database_url or service.database_url
        assert url is not None
        connection = await asyncpg.connect(url)
        connections.append(connection)
        new = await welcome.create_organization(connection, {"name": "Test"})
        return Tenant(
            service.base,
            url,
            session,
            new.organization["company_id"],
            new.organization["organization_id"],
            new.api_key,
            new.admin_token,
            connection,
        )

    yield make
    await session.close()
    for connection in connections:
        await connection.close()
    await asyncio.sleep(0)  # lets the transports say goodbye before the loop closes


@pytest.fixture
async def tenant(service: Service, make_tenant: MakeTenant) -> Tenant:
    """An organization for the test, in the shared service."""
    return await make_tenant(service)
