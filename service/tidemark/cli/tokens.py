"""`tidemark token`: API tokens."""

from typing import Any

import click

from tidemark.base.settings import Settings
from tidemark.catalog import tokens
from tidemark.cli.options import field_options, new_record
from tidemark.cli.session import as_json, company_of, connected, of_organization, organization_option, run, show

MANY = 1_000_000


@click.group()
def token() -> None:
    """Manage API tokens: who may use which part of the APIs."""


@token.command()
@of_organization
@field_options(tokens.FIELDS, lists={"scopes": "--scope", "cooling_unit_ids": "--cooling-unit-id"})
@as_json
@click.pass_obj
def create(settings: Settings, /, organization: str | None, json_output: bool, **given: Any) -> None:
    """Create a token, which is shown only once."""
    fields = new_record(tokens.FIELDS, given)

    async def work() -> dict[str, Any]:
        async with connected(settings) as (connection, _):
            company_id = await company_of(connection, organization)
            return await tokens.create(connection, company_id, fields)

    show(run(work()), json_output)


@token.command("list")
@of_organization
@as_json
@click.pass_obj
def every(settings: Settings, /, organization: str | None, json_output: bool) -> None:
    """List an organization's tokens."""

    async def work() -> list[dict[str, Any]]:
        async with connected(settings) as (connection, _):
            found, _total = await tokens.page(connection, await company_of(connection, organization), MANY, 0)
            return found

    show(run(work()), json_output)


@token.command()
@click.argument("token_id")
@organization_option("only if it belongs to this organization")
@as_json
@click.pass_obj
def revoke(settings: Settings, /, token_id: str, organization: str | None, json_output: bool) -> None:
    """Revoke a token for good."""

    async def work() -> dict[str, Any]:
        async with connected(settings) as (connection, _):
            company_id = None if organization is None else await company_of(connection, organization)
            await tokens.revoke(connection, company_id, token_id)
            return {"id": token_id, "revoked": True}

    show(run(work()), json_output, "Revoked the token {id}.")
