"""Organizations, the tenants, and their keys."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from tidemark.base.errors import invalid, not_found
from tidemark.base.rules import country, currency, text, timezone, whole_number
from tidemark.catalog import secrets
from tidemark.catalog.fields import Field, changed, checked, without_operators
from tidemark.database.announcements import heard_by_all
from tidemark.database.statements import statements

if TYPE_CHECKING:
    from tidemark.database.database import Connected

SHOWN = 20
"""How many organizations an error lists."""

FIELDS = {
    "name": Field(text, required=True, help="display name"),
    "country": Field(country, help="ISO 3166 code of two letters"),
    "currency": Field(currency, default="USD", help="ISO 4217 code of three letters; USD by default"),
    "timezone": Field(timezone, default="UTC", help="IANA time zone that its days follow; UTC by default"),
    "sensor_limit": Field(
        whole_number,
        default=100_000,
        help="how many sensors new series may bring it to; 100000 by default",
        operators=True,
    ),
    "readings_per_minute": Field(
        whole_number, help="how many readings a minute it may send; any number by default", operators=True
    ),
}


@dataclass(frozen=True)
class NewOrganization:
    """A new organization with its key, of which only the hash is stored."""

    organization: dict[str, Any]
    api_key: str


async def create(connection: "Connected", document: Any) -> NewOrganization:
    """Create an organization from a document. Raises TidemarkError."""
    api_key = secrets.new_api_key()
    row = await statements().insert_organization.row(
        connection,
        **checked(FIELDS, document),
        organization_id=secrets.new_organization_id(),
        api_key_hash=secrets.secret_hash(api_key),
    )
    assert row is not None  # RETURNING
    return NewOrganization(dict(row), api_key)


async def every(connection: "Connected") -> list[dict[str, Any]]:
    """All organizations, the oldest first."""
    return [dict(row) for row in await statements().list_organizations.rows(connection)]


async def only_one(connection: "Connected") -> dict[str, Any]:
    """The only organization, not counting demonstrations. Raises TidemarkError, which lists those to choose from."""
    own = await statements().list_own_organizations.rows(connection)
    if len(own) == 1:
        return dict(own[0])
    if not own:
        raise not_found("There is no organization; 'tidemark org create NAME' makes one.")
    lines = [f"  {row['company_id']}  {row['organization_id']}  {row['name']}" for row in own[:SHOWN]]
    if len(own) > SHOWN:
        lines.append("  … 'tidemark org list' shows all")
    heading = f"There are {len(own)} organizations; name one with --org or TIDEMARK_ORG:"
    raise invalid("--org", "\n".join([heading, *lines]))


async def mark_demonstration(connection: "Connected", company_id: int) -> None:
    """Mark an organization as a demonstration, which commands use only when they name it."""
    await statements().mark_demonstration.run(connection, company_id=company_id)


async def find(connection: "Connected", organization: str) -> dict[str, Any]:
    """The organization with this opaque id, or this company id in digits. Raises TidemarkError."""
    row = await statements().find_organization.row(connection, organization=organization)
    if row is None:
        raise not_found(
            f"There is no organization {organization!r}. Check --org or TIDEMARK_ORG; "
            f"'tidemark org list' shows all of them."
        )
    return dict(row)


async def read(connection: "Connected", company_id: int) -> dict[str, Any]:
    """An organization that is known to exist."""
    row = await statements().organization.row(connection, company_id=company_id)
    if row is None:
        raise not_found("The organization is gone.")
    return dict(row)


async def update_own(connection: "Connected", company_id: int, document: Any) -> dict[str, Any]:
    """Change the given fields on behalf of the tenant, who may not set the operator's. Raises TidemarkError."""
    return await update(connection, company_id, without_operators(FIELDS, document))


async def update(connection: "Connected", company_id: int, document: Any) -> dict[str, Any]:
    """Change the given fields on behalf of the operator, and return when every process has heard of it. Raises
    TidemarkError.
    """
    current = await read(connection, company_id)
    record = changed(FIELDS, document, {name: current[name] for name in FIELDS})
    row = await statements().update_organization.row(connection, company_id=company_id, **record)
    if row is None:
        raise not_found("The organization is gone.")
    await heard_by_all(connection)
    return dict(row)


async def rotate_key(connection: "Connected", company_id: int) -> str:
    """Replace the key, and return when every process refuses the old one."""
    api_key = secrets.new_api_key()
    await statements().replace_api_key.run(connection, company_id=company_id, api_key_hash=secrets.secret_hash(api_key))
    await heard_by_all(connection)
    return api_key


async def timezone_of(connection: "Connected", company_id: int) -> ZoneInfo:
    """The time zone of an organization."""
    organization = await statements().organization.row(connection, company_id=company_id)
    return ZoneInfo(organization["timezone"] if organization is not None else "UTC")
