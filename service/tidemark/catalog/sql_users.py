"""SQL users: roles of the database that see one organization's readings, through the views in the schema `tidemark`."""

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import asyncpg

from tidemark.base.errors import conflict, forbidden, invalid, not_found
from tidemark.database.statements import statements

if TYPE_CHECKING:
    from tidemark.database.database import Connected

PREFIX = "tidemark_"
"""What the names of all roles begin with, so that they are nobody else's."""
_NAME = re.compile("[a-z][a-z0-9_]{0,39}")
_ITERATIONS = 4096
"""As PostgreSQL itself; the passwords are random, so that more would protect nothing."""


def role_of(name: str) -> str:
    """The role of an SQL user, whose name may be given with the prefix or without it. Raises FieldError."""
    short = name.removeprefix(PREFIX)
    if _NAME.fullmatch(short) is None:
        raise invalid(
            "name", "The name must be 1 to 40 lower-case letters, digits and underscores, and begin with a letter."
        )
    return f"{PREFIX}{short}"


async def create(connection: "Connected", company_id: int, name: str) -> dict[str, Any]:
    """Create an SQL user; only this answer has the `password`. Raises TidemarkError."""
    role, password = role_of(name), secrets.token_urlsafe(24)
    with _refusals(role):
        async with connection.transaction():
            await statements().create_sql_user.run(
                connection, role=role, verifier=_verifier(password), company_id=company_id
            )
    row = await statements().sql_user.row(connection, role=role)
    assert row is not None  # it was just inserted
    return {**row, "password": password}


async def every(connection: "Connected", company_id: int) -> list[dict[str, Any]]:
    """The SQL users of an organization, by name."""
    return [dict(row) for row in await statements().list_sql_users.rows(connection, company_id=company_id)]


async def drop(connection: "Connected", company_id: int, name: str) -> dict[str, Any]:
    """Remove an SQL user of an organization, and end its sessions. Raises TidemarkError."""
    role = role_of(name)
    with _refusals(role):
        async with connection.transaction():
            if not await statements().drop_sql_user.value(connection, role=role, company_id=company_id):
                raise not_found(f"There is no SQL user {role!r}.")
    return {"name": role, "deleted": True}


@contextmanager
def _refusals(role: str) -> Iterator[None]:
    """What PostgreSQL refuses, said for whoever runs Tidemark."""
    try:
        yield
    except asyncpg.DuplicateObjectError:
        raise conflict(f"There is a role {role!r} in this server already.") from None
    except asyncpg.InsufficientPrivilegeError as error:
        raise forbidden(
            f"The role in TIDEMARK_DATABASE_URL may not manage roles ({error}). "
            f"Let a superuser allow it: ALTER ROLE … CREATEROLE."
        ) from None


def _verifier(password: str) -> str:
    """What PostgreSQL stores of a password (SCRAM-SHA-256: RFC 5802 and 7677, PostgreSQL's scram-common.c)."""
    salt = secrets.token_bytes(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, _ITERATIONS)
    stored_key = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server_key = hmac.digest(salted, b"Server Key", "sha256")
    salt_text, stored, server = (base64.b64encode(one).decode() for one in (salt, stored_key, server_key))
    return f"SCRAM-SHA-256${_ITERATIONS}:{salt_text}${stored}:{server}"
