"""What exists before data and is managed alike: sensors and assets.

A resource is a table of an organization with an id of its own and some fields; its statements are named after it.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import asyncpg

from service.catalog import secrets
from service.catalog.fields import MAX_INTEGER, Field, changed, checked, identifier, integer, text
from service.errors import TidemarkError, conflict, invalid, not_found
from service.storage.statements import Statement, statements

if TYPE_CHECKING:
    from service.storage.database import Connected


@dataclass(frozen=True)
class Resource:
    """One kind of thing: its name in the singular and in the plural (as in the path), its fields, how ids are made."""

    name: str
    plural: str
    fields: Mapping[str, Field]
    new_id: Callable[["Connected", int], Awaitable[Any]]

    def statement(self, verb: str) -> Statement:
        """Its statement for `insert`, `read`, `lock`, `update`, `delete`, or for `list` and `count` in the plural."""
        noun = self.plural if verb in ("list", "count") else self.name
        return getattr(statements(), f"{verb}_{noun}")  # type: ignore[no-any-return]

    def id_of(self, given: str) -> Any:
        """The id that a path names; raises TidemarkError where there can be no such id."""
        try:
            return self.fields["id"].rule("id", given)
        except TidemarkError:
            raise self.unknown(given) from None

    def unknown(self, resource_id: Any) -> TidemarkError:
        """The error for an id that does not exist, or not in this organization."""
        return not_found(f"There is no {self.name} {str(resource_id)[:100]!r}.", "id")


async def _new_sensor_id(connection: "Connected", company_id: int) -> str:
    return secrets.new_sensor_id()


async def _new_asset_id(connection: "Connected", company_id: int) -> int:
    next_id: int = await statements().next_asset_id.value(connection, company_id=company_id)
    if next_id > MAX_INTEGER:
        raise conflict("The largest asset id is taken; give the asset an id of its own.", "id")
    return next_id


SENSORS = Resource(
    "sensor",
    "sensors",
    {
        "id": Field(identifier, fixed=True, help="its id; made up where it is not given"),
        "name": Field(text, help="what people call it; its id where it is not given"),
        "measure_unit": Field(text, help="the unit of its values, such as °C"),
        "asset_id": Field(integer, help="the asset that it belongs to"),
        "specification_type": Field(text, help="what it measures, such as TEMPERATURE"),
    },
    _new_sensor_id,
)
ASSETS = Resource(
    "asset",
    "assets",
    {
        "id": Field(integer, fixed=True, help="its number; the next one where it is not given"),
        "name": Field(text, help="what people call it"),
    },
    _new_asset_id,
)
RESOURCES = {resource.plural: resource for resource in (SENSORS, ASSETS)}


async def create(connection: "Connected", resource: Resource, company_id: int, document: Any) -> dict[str, Any]:
    """Make one from its fields. Raises TidemarkError, conflict where the id is taken."""
    record = checked(resource.fields, document)
    async with connection.transaction():
        if record["id"] is None:
            record["id"] = await resource.new_id(connection, company_id)
        if record["name"] is None:
            record["name"] = str(record["id"])
        try:
            row = await resource.statement("insert").row(connection, company_id=company_id, **record)
        except asyncpg.UniqueViolationError:
            raise conflict(f"The {resource.name} {record['id']!r} exists already.", "id") from None
        except asyncpg.ForeignKeyViolationError:
            raise _unknown_reference(record) from None
    assert row is not None  # RETURNING
    return dict(row)


async def read(connection: "Connected", resource: Resource, company_id: int, resource_id: Any) -> dict[str, Any]:
    """The one with this id. Raises TidemarkError."""
    row = await resource.statement("read").row(connection, company_id=company_id, id=resource_id)
    if row is None:
        raise resource.unknown(resource_id)
    return dict(row)


async def page(
    connection: "Connected",
    resource: Resource,
    company_id: int,
    size: int,
    skip: int,
    name: str | None = None,
) -> tuple[list[dict[str, Any]], int]:
    """Some of them by id, only those of one name where it is given, and how many there are in all."""
    if name is not None and "\0" in name:
        return [], 0  # no text in PostgreSQL has it
    rows = await resource.statement("list").rows(connection, company_id=company_id, size=size, skip=skip, name=name)
    total = await resource.statement("count").value(connection, company_id=company_id, name=name)
    return [dict(row) for row in rows], total


async def update(
    connection: "Connected", resource: Resource, company_id: int, resource_id: Any, document: Any
) -> dict[str, Any]:
    """Change the fields that are given. Raises TidemarkError."""
    async with connection.transaction():
        await resource.statement("lock").run(connection, company_id=company_id, id=resource_id)
        current = await read(connection, resource, company_id, resource_id)
        record = changed(resource.fields, document, current)
        if record["name"] is None:
            record["name"] = str(record["id"])
        try:
            row = await resource.statement("update").row(connection, company_id=company_id, **record)
        except asyncpg.ForeignKeyViolationError:
            raise _unknown_reference(record) from None
    assert row is not None  # the row is locked
    return dict(row)


async def delete(connection: "Connected", resource: Resource, company_id: int, resource_id: Any) -> None:
    """Delete it, and the data that are its own. Raises TidemarkError."""
    if await resource.statement("delete").value(connection, company_id=company_id, id=resource_id) is None:
        raise resource.unknown(resource_id)


def _unknown_reference(record: Mapping[str, Any]) -> TidemarkError:
    return invalid("asset_id", f"There is no asset {record.get('asset_id')}.")
