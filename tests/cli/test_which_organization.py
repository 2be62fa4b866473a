"""The organization that a command uses: the one named, else TIDEMARK_ORG, else the only one that is not a demo."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import asyncpg
import pytest
from tidemark.catalog import organizations, welcome

Tidemark = Callable[..., Any]


@pytest.fixture
def tidemark(migrated_url: str) -> Tidemark:
    """Run a command on the test's own database; returns the JSON that it prints."""

    async def run(*arguments: str, org: str = "", code: int = 0) -> Any:
        done = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-m", "tidemark", *arguments, "--json"],
            env={"PATH": "/usr/bin:/bin", "TIDEMARK_DATABASE_URL": migrated_url, "TIDEMARK_ORG": org},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code, done.stderr
        return json.loads(done.stdout)

    return run


async def make(url: str, name: str, *, demonstration: bool = False) -> dict[str, Any]:
    """Create an organization with this name."""
    connection = await asyncpg.connect(url)
    made = await welcome.create_organization(connection, {"name": name})
    if demonstration:
        await organizations.mark_demonstration(connection, made.organization["company_id"])
    await connection.close()
    return made.organization


async def test_demonstrations_do_not_count(tidemark: Tidemark, migrated_url: str) -> None:
    error = (await tidemark("sensor", "create", code=1))["error"]["message"]
    assert error == "There is no organization; 'tidemark org create NAME' makes one."
    own = await make(migrated_url, "My organization")
    demonstration = await make(migrated_url, "Demo: anything", demonstration=True)
    await tidemark("sensor", "create", "--id", "door")
    assert (await tidemark("org", "rotate-key"))["company_id"] == own["company_id"]
    assert await tidemark("sensor", "list", "--org", demonstration["organization_id"]) == []
    assert [one["name"] for one in await tidemark("org", "list")] == ["My organization", "Demo: anything"]


async def test_several_are_listed_and_one_can_be_the_default(tidemark: Tidemark, migrated_url: str) -> None:
    first, second = [await make(migrated_url, name) for name in ("Fjord Farm", "Cold Hubs")]
    await make(migrated_url, "Demo: anything", demonstration=True)
    error = (await tidemark("sensor", "create", code=1))["error"]["message"]
    assert error == "\n".join(
        [
            "There are 2 organizations; name one with --org or TIDEMARK_ORG:",
            *(f"  {one['company_id']}  {one['organization_id']}  {one['name']}" for one in (first, second)),
        ]
    )
    for org in (second["organization_id"], str(second["company_id"])):
        assert (await tidemark("org", "show", org=org))["name"] == "Cold Hubs"
        assert (await tidemark("org", "show", "--org", str(first["company_id"]), org=org))["name"] == "Fjord Farm"
    token = await tidemark("token", "create", "--scope", "ingest", org=first["organization_id"])
    assert token["company_id"] == first["company_id"]
    await tidemark("token", "revoke", token["id"], org=second["organization_id"], code=1)
    await tidemark("token", "revoke", token["id"])
    assert "TIDEMARK_ORG" in (await tidemark("sensor", "list", org="gone", code=1))["error"]["message"]


async def test_the_argument_and_the_option_name_the_same(tidemark: Tidemark, migrated_url: str) -> None:
    first, second = [await make(migrated_url, name) for name in ("Fjord Farm", "Cold Hubs")]
    number = str(first["company_id"])
    for command in (("show",), ("update", "--name", "Changed"), ("rotate-key",)):
        refused = await tidemark("org", *command, number, "--org", second["organization_id"], code=2)
        assert "different organizations" in refused["error"]["message"]
        answer = await tidemark("org", *command, number, "--org", first["organization_id"])
        assert answer["company_id"] == first["company_id"]
    # TIDEMARK_ORG is used only if no organization is named.
    answer = await tidemark("org", "show", number, org=second["organization_id"])
    assert answer["name"] == "Changed"
