"""The first organization of an empty database, and what its owner needs to get started."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import orjson

from tidemark.catalog import organizations, resources, tokens
from tidemark.catalog.resources import SENSORS
from tidemark.database.statements import statements

if TYPE_CHECKING:
    from tidemark.database.database import Connected


@dataclass(frozen=True)
class Welcome:
    """A new organization with its key and its first admin token. The secrets are shown once and stored nowhere."""

    organization: dict[str, Any]
    api_key: str
    admin_token: str

    def secrets(self) -> dict[str, Any]:
        """What is shown once, for programs."""
        return {
            "organization_id": self.organization["organization_id"],
            "company_id": self.organization["company_id"],
            "api_key": self.api_key,
            "admin_token": self.admin_token,
        }


async def create_organization(connection: "Connected", document: Any) -> Welcome:
    """Create an organization that is ready for use. Raises TidemarkError."""
    async with connection.transaction():
        made = await organizations.create(connection, document)
        token = await tokens.create(
            connection, made.organization["company_id"], {"name": "First admin token", "scopes": ["admin"]}
        )
    return Welcome(made.organization, made.api_key, token["token"])


async def first_organization(connection: "Connected", host: str, port: int, *, json_output: bool) -> str | None:
    """Create an organization and a sensor in an empty database. Returns what to show of them, once; None if the
    database is not empty.
    """
    async with connection.transaction():
        await statements().lock_first_organization.run(connection)
        if await statements().any_organization.value(connection):
            return None
        welcome = await create_organization(connection, {"name": "My organization"})
        sensor = await resources.create(
            connection,
            SENSORS,
            welcome.organization["company_id"],
            {"name": "My first sensor", "measure_unit": "°C"},
        )
    if json_output:
        return orjson.dumps({**welcome.secrets(), "sensor_id": sensor["id"]}, option=orjson.OPT_INDENT_2).decode()
    return greeting(welcome, sensor["id"], host, port)


def greeting(welcome: Welcome, sensor_id: str, host: str, port: int) -> str:
    """What a new user reads at the first start."""
    reachable = "127.0.0.1" if host == "0.0.0.0" else "[::1]" if host == "::" else f"[{host}]" if ":" in host else host  # noqa: S104
    base = f"http://{reachable}:{port}"
    keys = (
        f"-H 'ORGANIZATION-ID: {welcome.organization['organization_id']}' -H 'ORGANIZATION-API-KEY: {welcome.api_key}'"
    )
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    body = f'[{{"sensor":"{sensor_id}","timestamp":"{now}","value":21.5}}]'
    return f"""
Your first organization, and a sensor in it. Keep the secrets: they are shown only this once.

  organization id   {welcome.organization["organization_id"]}
  company id        {welcome.organization["company_id"]}
  organization key  {welcome.api_key}
  admin token       {welcome.admin_token}
  sensor            {sensor_id}

Store a reading:

curl {keys} -H 'Content-Type: application/json' {base}/api/v1/readings -d '{body}'

Read it back:

curl {keys} '{base}/api/external/v1/get_latest_inputdata_by_inputs/?input_ids={sensor_id}'
"""
