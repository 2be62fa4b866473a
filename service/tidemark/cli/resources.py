"""`tidemark sensor`, `asset`, `cooling-unit`, `location` and `site`: what exists before there is data."""

import csv
import io
from pathlib import Path
from typing import Any

import click
import orjson
from rich.progress import Progress

from tidemark.base.errors import Kind, TidemarkError, invalid
from tidemark.base.settings import Settings
from tidemark.catalog import resources
from tidemark.catalog.resources import RESOURCES, SENSORS, Resource
from tidemark.cli.options import changes_of, document, field_options, new_record
from tidemark.cli.session import as_json, company_of, connected, of_organization, run, show

MANY = 100_000_000


def groups() -> list[click.Group]:
    """A command group for each resource."""
    made = [_group(resource) for resource in RESOURCES]
    next(group for group in made if group.name == SENSORS.name).add_command(import_sensors)
    return made


def _group(resource: Resource) -> click.Group:
    plural = resource.plural.replace("_", " ")
    group = click.Group(resource.name.replace("_", "-"), help=f"Manage the {plural} of an organization.")

    @group.command(help=f"Create a new {resource.title}.")
    @of_organization
    @field_options(resource.fields)
    @as_json
    @click.pass_obj
    def create(settings: Settings, /, organization: str | None, json_output: bool, **given: Any) -> None:
        fields = new_record(resource.fields, given)

        async def work() -> dict[str, Any]:
            async with connected(settings) as (connection, _):
                company_id = await company_of(connection, organization)
                return await resources.create(connection, resource, company_id, fields)

        show(run(work()), json_output)

    @group.command("list", help=f"List the {plural}, by id.")
    @of_organization
    @click.option("--name", help="only those with this name")
    @as_json
    @click.pass_obj
    def every(settings: Settings, /, organization: str | None, name: str | None, json_output: bool) -> None:
        async def work() -> list[dict[str, Any]]:
            async with connected(settings) as (connection, _):
                company_id = await company_of(connection, organization)
                found, _total = await resources.page(connection, resource, company_id, MANY, 0, name)
                return found

        show(run(work()), json_output)

    @group.command("show", help=f"Show one {resource.title}.")
    @click.argument("resource_id", metavar="ID")
    @of_organization
    @as_json
    @click.pass_obj
    def read(settings: Settings, /, resource_id: str, organization: str | None, json_output: bool) -> None:
        async def work() -> dict[str, Any]:
            async with connected(settings) as (connection, _):
                company_id = await company_of(connection, organization)
                return await resources.read(connection, resource, company_id, resource.id_of(resource_id))

        show(run(work()), json_output)

    @group.command(help=f"Change one {resource.title}; empty text clears a field.")
    @click.argument("resource_id", metavar="ID")
    @of_organization
    @field_options(resource.fields, leave_out=resource.key)
    @as_json
    @click.pass_obj
    def update(
        settings: Settings, /, resource_id: str, organization: str | None, json_output: bool, **given: Any
    ) -> None:
        fields = changes_of(resource.fields, given)

        async def work() -> dict[str, Any]:
            async with connected(settings) as (connection, _):
                company_id = await company_of(connection, organization)
                return await resources.update(connection, resource, company_id, resource.id_of(resource_id), fields)

        show(run(work()), json_output)

    @group.command(help=f"Delete one {resource.title}. {resource.deletion}")
    @click.argument("resource_id", metavar="ID")
    @of_organization
    @as_json
    @click.pass_obj
    def delete(settings: Settings, /, resource_id: str, organization: str | None, json_output: bool) -> None:
        async def work() -> dict[str, Any]:
            async with connected(settings) as (connection, _):
                company_id = await company_of(connection, organization)
                known_id = resource.id_of(resource_id)
                await resources.delete(connection, resource, company_id, known_id)
                return {resource.key: known_id, "deleted": True}

        show(run(work()), json_output, f"Deleted the {resource.title} {{{resource.key}}}.")

    return group


@click.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@of_organization
@as_json
@click.pass_obj
def import_sensors(settings: Settings, /, file: Path, organization: str | None, json_output: bool) -> None:
    """Create sensors from a CSV file with a header row, or from NDJSON; existing sensors are left unchanged.

    The columns are the fields of a sensor: id, name, measure_unit, asset_id, specification_type.
    """

    async def work() -> dict[str, Any]:
        records = _records(file)
        made = existing = 0
        async with connected(settings) as (connection, _):
            company_id = await company_of(connection, organization)
            with Progress(disable=json_output) as progress:
                for record in progress.track(records, description="sensors"):
                    try:
                        await resources.create(connection, SENSORS, company_id, record)
                        made += 1
                    except TidemarkError as error:
                        if error.kind is not Kind.CONFLICT:
                            raise
                        existing += 1
        return {"created": made, "existing": existing}

    show(run(work()), json_output, "{created} sensors created, {existing} already existed.")


def _records(file: Path) -> list[dict[str, Any]]:
    text = file.read_text(encoding="utf-8-sig")
    if text.lstrip().startswith("{"):
        try:
            return [orjson.loads(line) for line in text.split("\n") if line.strip()]
        except orjson.JSONDecodeError as error:
            raise invalid("FILE", f"{file} is not NDJSON: {error}.") from None
    return [document(row) for row in csv.DictReader(io.StringIO(text, newline=""))]
