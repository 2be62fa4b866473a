"""Authentication: the callers behind organization keys and tokens, and when each token was last used."""

import asyncio
import hashlib
from functools import lru_cache
from typing import TYPE_CHECKING
from uuid import UUID

import structlog

from tidemark.base.errors import TidemarkError, unauthorized
from tidemark.base.values import storable
from tidemark.catalog.memory import ByKey, Memory
from tidemark.catalog.principal import KEY_SCOPES, Principal
from tidemark.database.database import Database
from tidemark.database.statements import statements

if TYPE_CHECKING:
    from asyncpg import Record

log = structlog.get_logger(__name__)

USE_NOTED_SECONDS = 30.0
"""How often the last use of tokens is written down."""


class Access:
    """Authenticates callers."""

    def __init__(self, database: Database, memory: Memory) -> None:
        self._database = database
        self._memory = memory
        self._principals: ByKey[bytes, Principal] = ByKey(memory)
        self._used_tokens: set[UUID] = set()

    def remembered_organization(self, organization_id: str, api_key: str) -> Principal | None:
        """The caller with this organization key, if it is remembered."""
        return self._principals.get(_fingerprint(organization_id, api_key))

    async def organization(self, organization_id: str, api_key: str) -> Principal:
        """The caller with this organization key. Raises TidemarkError (401) if the key is wrong."""
        fingerprint = _fingerprint(organization_id, api_key)
        principal = self._principals.get(fingerprint)
        if principal is None:
            generation = self._memory.generation
            async with self._database.snapshot() as connection:
                row = await statements().organization_of_key.row(
                    connection, organization_id=storable(organization_id), api_key_hash=_sha256(api_key)
                )
            if row is None:
                raise unauthorized("The organization id or its key is wrong.")
            principal = Principal(row["company_id"], scopes=KEY_SCOPES, readings_per_minute=row["readings_per_minute"])
            self._principals.remember(principal.company_id, fingerprint, principal, generation)
        return principal

    async def token(self, token: str) -> Principal:
        """The bearer of this token. Raises TidemarkError (401) if it is unknown, revoked or expired."""
        fingerprint = _sha256(token)
        principal = self._principals.get(fingerprint)
        if principal is None:
            generation = self._memory.generation
            async with self._database.snapshot() as connection:
                row = await statements().token_of_hash.row(connection, token_hash=fingerprint)
            if row is None:
                raise unauthorized("The token is unknown or revoked.", "Authorization")
            principal = _bearer(row)
            self._principals.remember(principal.company_id, fingerprint, principal, generation)
        principal.require_unexpired()
        if principal.token_id is not None:
            self._used_tokens.add(principal.token_id)
        return principal

    async def note_token_use(self) -> None:
        """Write down which tokens were used since the last time."""
        if self._used_tokens:
            used, self._used_tokens = self._used_tokens, set()
            try:
                async with self._database.session() as connection:
                    await statements().note_token_use.run(connection, ids=list(used))
            except TidemarkError:
                self._used_tokens |= used

    async def note_token_use_regularly(self) -> None:
        """Write it down every half minute, for ever."""
        while True:
            await asyncio.sleep(USE_NOTED_SECONDS)
            try:
                await self.note_token_use()
            except Exception:
                log.exception("noting which tokens were used failed; it is tried again")


def _bearer(row: "Record") -> Principal:
    units = row["cooling_unit_ids"]
    return Principal(
        row["company_id"],
        row["id"],
        frozenset(row["scopes"]),
        None if units is None else frozenset(units),
        row["rate_limit"],
        row["readings_per_minute"],
        row["expires_at"],
    )


def _sha256(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).digest()


@lru_cache(maxsize=4_096)  # the same few callers come again and again
def _fingerprint(organization_id: str, api_key: str) -> bytes:
    return _sha256(f"{organization_id}\0{api_key}")
