"""`tidemark org`: tenants and their keys."""

from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from tidemark.base.settings import Settings
from tidemark.catalog import organizations, welcome
from tidemark.cli.options import changes_of, field_options, new_record
from tidemark.cli.session import as_json, company_of, connected, of_organization, run, show

if TYPE_CHECKING:
    from asyncpg import Connection


@click.group()
def org() -> None:
    """Manage organizations: the tenants, who see nothing of each other."""


@org.command()
@click.argument("name")
@field_options(organizations.FIELDS, leave_out="name")
@as_json
@click.pass_obj
def create(settings: Settings, /, name: str, json_output: bool, **given: Any) -> None:
    """Create an organization and print its key and an admin token, which are shown only once."""
    fields = new_record(organizations.FIELDS, {"name": name, **given})

    async def work() -> dict[str, Any]:
        async with connected(settings, create=True) as (connection, _):
            made = await welcome.create_organization(connection, fields)
            return made.secrets()

    show(run(work()), json_output)


@org.command("list")
@as_json
@click.pass_obj
def every(settings: Settings, /, json_output: bool) -> None:
    """List the organizations."""

    async def work() -> list[dict[str, Any]]:
        async with connected(settings) as (connection, _):
            return await organizations.every(connection)

    show(run(work()), json_output)


async def _company_of(connection: "Connection[Any]", argument: str | None, option: str | None) -> int:
    """The company id of the organization that ORG names, else `--org`. Raises UsageError where they name two."""
    company_id = await company_of(connection, argument or option)
    given = click.get_current_context().get_parameter_source("organization") is ParameterSource.COMMANDLINE
    if given and argument and await company_of(connection, option) != company_id:
        raise click.UsageError(f"ORG ({argument}) and --org ({option}) name different organizations; give one of them.")
    return company_id


_one = click.argument("organization_argument", metavar="[ORG]", required=False)


@org.command("show")
@_one
@of_organization
@as_json
@click.pass_obj
def read(settings: Settings, /, organization_argument: str | None, organization: str | None, json_output: bool) -> None:
    """Show one organization."""

    async def work() -> dict[str, Any]:
        async with connected(settings) as (connection, _):
            company_id = await _company_of(connection, organization_argument, organization)
            return await organizations.read(connection, company_id)

    show(run(work()), json_output)


@org.command()
@_one
@of_organization
@field_options(organizations.FIELDS)
@as_json
@click.pass_obj
def update(
    settings: Settings,
    /,
    organization_argument: str | None,
    organization: str | None,
    json_output: bool,
    **given: Any,
) -> None:
    """Change an organization; empty text clears a field."""
    fields = changes_of(organizations.FIELDS, given)

    async def work() -> dict[str, Any]:
        async with connected(settings) as (connection, _):
            company_id = await _company_of(connection, organization_argument, organization)
            return await organizations.update(connection, company_id, fields)

    show(run(work()), json_output)


@org.command()
@_one
@of_organization
@as_json
@click.pass_obj
def rotate_key(
    settings: Settings, /, organization_argument: str | None, organization: str | None, json_output: bool
) -> None:
    """Replace an organization's key; the old one stops working at once."""

    async def work() -> dict[str, Any]:
        async with connected(settings) as (connection, _):
            company_id = await _company_of(connection, organization_argument, organization)
            found = await organizations.read(connection, company_id)
            api_key = await organizations.rotate_key(connection, company_id)
            return {"organization_id": found["organization_id"], "company_id": company_id, "api_key": api_key}

    show(run(work()), json_output)
