"""API tokens: who may use which part of the APIs."""

from typing import TYPE_CHECKING, Any
from uuid import UUID

from tidemark.base.errors import FieldError, invalid, not_found
from tidemark.base.rules import future, some_of, text, whole_number, whole_numbers
from tidemark.catalog import secrets
from tidemark.catalog.fields import Field, checked
from tidemark.database.announcements import heard_by_all
from tidemark.database.statements import statements

if TYPE_CHECKING:
    from asyncpg import Record

    from tidemark.database.database import Connected

SCOPES = ("sensor_data", "users", "utilization", "revenue", "impact", "sites", "ingest", "admin")


def _rate_limit(name: str, value: Any) -> int:
    try:
        return whole_number(name, value)
    except FieldError as error:
        either = f"{error.message.removesuffix('.')}, or null (on the command line: none) for any number of requests."
        raise invalid(name, either) from None


def _cooling_units(name: str, value: Any) -> list[int] | None:
    """Documents say `[]` for all cooling units; everything inside says None, and keeps `[]` for none."""
    return whole_numbers(name, value) or None


FIELDS = {
    "name": Field(text, default="API token", help="what it is for"),
    "scopes": Field(
        some_of(*SCOPES), required=True, help=f"what it may do: {', '.join(SCOPES)}; admin implies all others"
    ),
    "expires_at": Field(future, help="when it expires, such as 2030-01-31T12:00:00Z; never by default"),
    "cooling_unit_ids": Field(_cooling_units, help="id of a cooling unit that it is limited to; all by default"),
    "rate_limit": Field(
        _rate_limit, default=100, keeps_null=True, help="requests a minute, or none for any number; 100 by default"
    ),
}


async def create(connection: "Connected", company_id: int, document: Any) -> dict[str, Any]:
    """Create a token; only this answer has the `token` itself. Raises TidemarkError."""
    token = secrets.new_token()
    row = await statements().insert_token.row(
        connection, company_id=company_id, token_hash=secrets.secret_hash(token), **checked(FIELDS, document)
    )
    assert row is not None  # RETURNING
    return {**_record(row), "token": token}


async def page(connection: "Connected", company_id: int, size: int, skip: int) -> tuple[list[dict[str, Any]], int]:
    """A page of the tokens, the oldest first, and how many there are in all."""
    rows = await statements().list_tokens.rows(connection, company_id=company_id, size=size, skip=skip)
    return [_record(row) for row in rows], await statements().count_tokens.value(connection, company_id=company_id)


def _record(row: "Record") -> dict[str, Any]:
    return {**row, "id": str(row["id"]), "cooling_unit_ids": row["cooling_unit_ids"] or []}


async def revoke(connection: "Connected", company_id: int | None, token_id: str) -> None:
    """Revoke a token for good, of one organization or (None) of any, and return when every process refuses it; it stays
    in the list. Raises TidemarkError (404).
    """
    try:
        found = await statements().revoke_token.value(connection, company_id=company_id, id=UUID(token_id))
    except ValueError:
        found = None
    if found is None:
        raise not_found(f"There is no token {token_id!r}.")
    await heard_by_all(connection)
