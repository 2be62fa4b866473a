"""`tidemark sql-user`: roles for people who use SQL."""

from typing import Any

import click

from tidemark.base.settings import Settings
from tidemark.catalog import sql_users
from tidemark.cli.session import as_json, company_of, connected, of_organization, run, show


@click.group()
def sql_user() -> None:
    """Manage SQL users: roles of the database that see the readings of one organization."""


@sql_user.command()
@click.argument("name")
@of_organization
@as_json
@click.pass_obj
def create(settings: Settings, /, name: str, organization: str | None, json_output: bool) -> None:
    """Create an SQL user and print its password, which is shown only once."""
    sql_users.role_of(name)  # refuses a wrong name before a database is opened

    async def work() -> dict[str, Any]:
        async with connected(settings) as (connection, _):
            return await sql_users.create(connection, await company_of(connection, organization), name)

    show(run(work()), json_output)


@sql_user.command("list")
@of_organization
@as_json
@click.pass_obj
def every(settings: Settings, /, organization: str | None, json_output: bool) -> None:
    """List an organization's SQL users."""

    async def work() -> list[dict[str, Any]]:
        async with connected(settings) as (connection, _):
            return await sql_users.every(connection, await company_of(connection, organization))

    show(run(work()), json_output)


@sql_user.command()
@click.argument("name")
@of_organization
@as_json
@click.pass_obj
def drop(settings: Settings, /, name: str, organization: str | None, json_output: bool) -> None:
    """Remove an SQL user for good, and end its sessions."""

    async def work() -> dict[str, Any]:
        async with connected(settings) as (connection, _):
            return await sql_users.drop(connection, await company_of(connection, organization), name)

    show(run(work()), json_output, "Removed the SQL user {name}.")
