"""`tidemark token`: API tokens."""

from typing import Any

import click

from tidemark.base.settings import Settings
from tidemark.catalog import tokens
from tidemark.cli.options import document
from tidemark.cli.session import as_json, company_of, connected, of_organization, organization_option, run, show

MANY = 1_000_000


def _none_is_empty(_context: click.Context, _option: click.Parameter, value: str | None) -> str | None:
    """`none` and empty text both stand for null."""
    return "" if value is not None and value.lower() == "none" else value


@click.group()
def token() -> None:
    """API tokens: who may use which part of the APIs."""


@token.command()
@of_organization
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    required=True,
    type=click.Choice(tokens.SCOPES),
    help="may be repeated",
)
@click.option("--name", help="what it is for")
@click.option("--expires-at", help="when it expires, such as 2030-01-31T12:00:00Z; never by default")
@click.option("--cooling-unit-id", "cooling_unit_ids", multiple=True, type=int, help="may be repeated; all by default")
@click.option("--rate-limit", callback=_none_is_empty, help="requests a minute, or none for any number; 100 by default")
@as_json
@click.pass_obj
def create(settings: Settings, /, organization: str | None, json_output: bool, **given: Any) -> None:
    """Make a token; it is shown this once."""

    async def work() -> dict[str, Any]:
        async with connected(settings) as (connection, _):
            company_id = await company_of(connection, organization)
            return await tokens.create(connection, company_id, document(given))

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
    """End a token for good."""

    async def work() -> dict[str, Any]:
        async with connected(settings) as (connection, _):
            company_id = None if organization is None else await company_of(connection, organization)
            await tokens.revoke(connection, company_id, token_id)
            return {"id": token_id, "revoked": True}

    show(run(work()), json_output, "The token {id} is revoked.")
