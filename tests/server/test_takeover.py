"""Two services on one database: who settles may be killed at any moment, and the other carries on within seconds."""

import asyncio
import contextlib
import os
import signal
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import asyncpg
from aiohttp import ClientError

from tests.conftest import MakeTenant, Service, StartService, Tenant

ROWS = 30_000
SECONDS = 20
"""How long anything may take; the machine may be busy."""
HOLDER = """
    SELECT pid FROM pg_locks
    WHERE
        locktype = 'advisory' AND objid = 7463003 AND granted
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


def processes_of(service: Service) -> list[int]:
    """The processes that a service has spawned: with one worker, the one that does maintenance."""
    listed = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(service.process.pid)], capture_output=True, text=True, check=False
    )
    pids = [int(line) for line in listed.stdout.split()]
    return [pid for pid in pids if "spawn_main" in Path(f"/proc/{pid}/cmdline").read_text()]


class Writer:
    """Overwrites the readings of a sensor, again and again, each time with the next number."""

    def __init__(self, tenant: Tenant, sensor: str) -> None:
        self._tenant, self._sensor = tenant, sensor
        self.sent = self.acknowledged = 0

    async def run(self) -> None:
        """Write until the service is gone."""
        headers = {**self._tenant.keys, "Content-Type": "text/csv"}
        with contextlib.suppress(ClientError, OSError):
            while True:
                self.sent += 1
                rows = "".join(f"{self._sensor},{1_600_000_000 + n},{self.sent}\n" for n in range(ROWS))
                async with self._tenant.session.post(
                    f"{self._tenant.base}/api/v1/readings?timestamp_unit=s",
                    data=f"sensor,timestamp,value\n{rows}".encode(),
                    headers=headers,
                ) as response:
                    if response.status == 200:
                        self.acknowledged = self.sent
                    else:
                        assert response.status == 503, await response.text()
                        await asyncio.sleep(0.05)

    async def check(self, tenant: Tenant) -> None:
        """What was acknowledged last is there, or what was sent after it; statistics are those of what is there."""
        response = await tenant.fetch("get_inputdata_by_inputs", input_ids=self._sensor, limit=1_000_000)
        values = [float(record["value"]) for record in (await response.json())[0]["inputdata"]]
        assert len(values) == ROWS
        assert self.acknowledged <= min(values) <= max(values) <= self.sent
        response = await tenant.fetch("get_statistics_inputdata_by_inputs", input_ids=self._sensor)
        [found] = (await response.json())[0]["inputdata"]
        assert (float(found["min"]), float(found["max"])) == (min(values), max(values))
        assert abs(float(found["avg"]) - sum(values) / ROWS) < 1e-6


async def once(connection: "asyncpg.Connection[asyncpg.Record]", question: str, *known: int) -> int:
    """The answer to a question, once there is one that is not known yet."""
    deadline = time.monotonic() + SECONDS
    while (answer := await connection.fetchval(question)) is None or int(answer) in known:
        assert time.monotonic() < deadline, question
        await asyncio.sleep(0.01)
    return int(answer)


async def test_whoever_settles_may_be_killed_under_load(
    migrated_url: str, start_service: StartService, make_tenant: MakeTenant
) -> None:
    first = start_service(migrated_url)
    connection = await asyncpg.connect(migrated_url)
    holder = await once(connection, HOLDER)
    second = start_service(migrated_url)
    tenant = await make_tenant(first)
    beside = replace(tenant, base=second.base)
    writers = [Writer(one, await tenant.sensor()) for one in (tenant, beside)]
    tasks = [asyncio.create_task(writer.run()) for writer in writers]
    settled = await once(connection, "SELECT xid FROM settled", 0)

    [maintenance] = processes_of(first)
    os.kill(maintenance, signal.SIGKILL)
    holder = await once(connection, HOLDER, holder)
    settled = await once(connection, "SELECT xid FROM settled", settled)

    for pid in (*processes_of(first), first.process.pid):
        os.kill(pid, signal.SIGKILL)
    await tasks[0]
    await once(connection, "SELECT xid FROM settled", settled)

    # The other service lost nothing, neither its own readings nor those of the first.
    acknowledged = writers[1].acknowledged
    while writers[1].acknowledged == acknowledged:
        assert not tasks[1].done()
        await asyncio.sleep(0.01)
    assert second.stop() == 0
    await tasks[1]
    last = start_service(migrated_url)
    for writer in writers:
        await writer.check(replace(tenant, base=last.base))
    assert last.stop() == 0
    await connection.close()
