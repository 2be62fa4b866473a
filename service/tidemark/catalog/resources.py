"""What exists before data and is managed alike: sensors, assets, cooling units, locations and sites.

A resource is a table of an organization with an id of its own and some fields; its statements are named after it.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import asyncpg

from tidemark.base.errors import TidemarkError, conflict, invalid, not_found
from tidemark.base.rules import (
    MAX_INTEGER,
    boolean,
    domain,
    identifier,
    positive,
    text,
    timezone,
    whole_number,
)
from tidemark.base.values import has_control
from tidemark.catalog import secrets
from tidemark.catalog.fields import Field, changed, checked
from tidemark.database.announcements import heard_by_all
from tidemark.database.statements import Statement, statements

if TYPE_CHECKING:
    from tidemark.database.database import Connected


@dataclass(frozen=True)
class Resource:
    """One kind of thing: its name in the singular and in the plural, as in statements, its fields, how ids are made."""

    name: str
    plural: str
    fields: Mapping[str, Field]
    new_id: Callable[["Connected", int], Awaitable[Any]]
    deletion: str
    """What deleting one does to what belongs to it, for people."""
    key: str = "id"
    """The field that identifies it."""
    named_after: str = "id"
    """The field that its name is where none is given."""
    reference: str | None = None
    """The field that refers to another resource."""
    for_dashboards: bool = True
    """Whether those who read sensor data may look at it: with a list of cooling units, at what is of them."""

    @property
    def path(self) -> str:
        """Its name in URLs."""
        return self.plural.replace("_", "-")

    @property
    def title(self) -> str:
        """Its name in sentences."""
        return self.name.replace("_", " ")

    def statement(self, verb: str) -> Statement:
        """Its statement for `insert`, `read`, `lock`, `update`, `delete`, or for `list` and `count` in the plural."""
        noun = self.plural if verb in ("list", "count") else self.name
        return getattr(statements(), f"{verb}_{noun}")  # type: ignore[no-any-return]

    def id_of(self, given: str) -> Any:
        """The id that a path names; raises TidemarkError where there can be no such id."""
        try:
            return self.fields[self.key].rule(self.key, given)
        except TidemarkError:
            raise self.unknown(given) from None

    def unknown(self, resource_id: Any) -> TidemarkError:
        """The error for an id that does not exist, or not in this organization."""
        return not_found(f"There is no {self.title} {str(resource_id)[:100]!r}.", self.key)


async def _new_sensor_id(connection: "Connected", company_id: int) -> str:
    return secrets.new_sensor_id()


async def _new_site_id(connection: "Connected", company_id: int) -> str:
    return secrets.new_site_id()


async def _new_asset_id(connection: "Connected", company_id: int) -> int:
    return _within(await statements().next_asset_id.value(connection, company_id=company_id))


async def _new_location_id(connection: "Connected", company_id: int) -> int:
    return _within(await statements().next_location_id.value(connection, company_id=company_id))


def _within(next_id: int) -> int:
    if next_id > MAX_INTEGER:
        raise conflict("The largest id is taken; give an id of its own.", "id")
    return next_id


SENSORS = Resource(
    "sensor",
    "sensors",
    {
        "id": Field(identifier, fixed=True, help="its id; made up where it is not given"),
        "name": Field(text, help="what people call it; its id where it is not given"),
        "measure_unit": Field(text, help="the unit of its values, such as °C"),
        "asset_id": Field(whole_number, help="the asset that it belongs to"),
        "specification_type": Field(text, help="what it measures, such as TEMPERATURE"),
    },
    _new_sensor_id,
    "Its readings are deleted with it.",
    reference="asset_id",
)
_ASSET = {
    "id": Field(whole_number, fixed=True, help="its number; the next one where it is not given"),
    "name": Field(text, help="what people call it; its number where it is not given"),
    "location_id": Field(whole_number, help="the location where it stands"),
}
ASSETS = Resource(
    "asset",
    "assets",
    _ASSET,
    _new_asset_id,
    "Its sensors and their readings stay, without an asset; the operations of a cooling unit are deleted with it.",
    reference="location_id",
)
COOLING_UNITS = Resource(
    "cooling_unit",
    "cooling_units",
    {
        **_ASSET,
        "capacity_crates": Field(whole_number, help="how many crates it holds"),
        "capacity_kg": Field(positive, help="how many kilograms it holds"),
    },
    _new_asset_id,
    "Its operations are deleted with it; its sensors and their readings stay, without an asset.",
    reference="location_id",
)
LOCATIONS = Resource(
    "location",
    "locations",
    {
        "id": Field(whole_number, fixed=True, help="its number; the next one where it is not given"),
        "name": Field(text, help="what people call it; its number where it is not given"),
    },
    _new_location_id,
    "Its assets stay, without a location.",
)
SITES = Resource(
    "site",
    "sites",
    {
        "siteId": Field(identifier, fixed=True, help="its id; made up where it is not given"),
        "name": Field(text, help="what people call it; its domain where it is not given"),
        "domain": Field(domain, required=True, help="the host whose pages it has, sub-domains included"),
        "timezone": Field(timezone, default="UTC", help="IANA time zone, whose days are its days"),
        "isActive": Field(boolean, default=True, help="false: it collects nothing"),
    },
    _new_site_id,
    "Everything collected from it is deleted with it.",
    key="siteId",
    named_after="domain",
    for_dashboards=False,
)
RESOURCES = (SENSORS, ASSETS, COOLING_UNITS, LOCATIONS, SITES)


async def create(connection: "Connected", resource: Resource, company_id: int, document: Any) -> dict[str, Any]:
    """Make one from its fields. Raises TidemarkError, conflict where the id is taken."""
    record = checked(resource.fields, document)
    async with connection.transaction():
        if record[resource.key] is None:
            record[resource.key] = await resource.new_id(connection, company_id)
        if record["name"] is None:
            record["name"] = str(record[resource.named_after])
        try:
            row = await resource.statement("insert").row(connection, company_id=company_id, **record)
        except asyncpg.UniqueViolationError:
            raise conflict(f"The id {record[resource.key]!r} is taken already.", resource.key) from None
        except asyncpg.ForeignKeyViolationError:
            raise _unknown_reference(resource, record) from None
    assert row is not None  # RETURNING
    return dict(row)


async def read(
    connection: "Connected",
    resource: Resource,
    company_id: int,
    resource_id: Any,
    seen: Sequence[int] | None = None,
) -> dict[str, Any]:
    """The one with this id, where it is of the cooling units `seen` (None: of any or none). Raises TidemarkError."""
    row = await resource.statement("read").row(
        connection, company_id=company_id, id=resource_id, **_of_units(resource, seen)
    )
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
    seen: Sequence[int] | None = None,
) -> tuple[list[dict[str, Any]], int]:
    """Some of them by id, and how many there are in all: of one name where it is given, of the cooling units `seen`."""
    if name is not None and has_control(name):
        return [], 0
    which = {"company_id": company_id, "name": name, **_of_units(resource, seen)}
    rows = await resource.statement("list").rows(connection, **which, size=size, skip=skip)
    total = await resource.statement("count").value(connection, **which)
    return [dict(row) for row in rows], total


async def update(
    connection: "Connected", resource: Resource, company_id: int, resource_id: Any, document: Any
) -> dict[str, Any]:
    """Change the fields that are given; every process knows it then. Raises TidemarkError."""
    async with connection.transaction():
        await resource.statement("lock").run(connection, company_id=company_id, id=resource_id)
        current = await read(connection, resource, company_id, resource_id)
        record = changed(resource.fields, document, {name: current[name] for name in resource.fields})
        if record["name"] is None:
            record["name"] = str(record[resource.named_after])
        try:
            row = await resource.statement("update").row(connection, company_id=company_id, **record)
        except asyncpg.ForeignKeyViolationError:
            raise _unknown_reference(resource, record) from None
    assert row is not None  # the row is locked
    await heard_by_all(connection)
    return dict(row)


async def delete(connection: "Connected", resource: Resource, company_id: int, resource_id: Any) -> None:
    """Delete it, and the data that are its own; every process knows it then. Raises TidemarkError."""
    if await resource.statement("delete").value(connection, company_id=company_id, id=resource_id) is None:
        raise resource.unknown(resource_id)
    await heard_by_all(connection)


def _of_units(resource: Resource, seen: Sequence[int] | None) -> dict[str, Any]:
    return {"seen": seen} if resource.for_dashboards else {}


def _unknown_reference(resource: Resource, record: Mapping[str, Any]) -> TidemarkError:
    assert resource.reference is not None  # or no foreign key could be violated
    noun = resource.reference.removesuffix("_id")
    return invalid(resource.reference, f"There is no {noun} {record[resource.reference]}.")
