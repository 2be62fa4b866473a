"""Addresses as the collector's limits count them: keyed hashes, whose keys and counts are deleted within minutes.

The key of a minute is random and stored in the database, so that all server processes compute the same hash. An address
cannot be recognized after its minute, nor linked to the records that it sent.
"""

import asyncio
import hmac
import secrets
from ipaddress import IPv6Network
from uuid import UUID

from tidemark.database.database import Database
from tidemark.database.statements import statements

KEY_BYTES = 32
KEPT_MINUTES = 2
"""A request that arrived before the end of a minute may need its key after it."""


def network_of(address: str) -> str:
    """What counts as one address: for IPv6 the /64 network, the smallest that a household or server gets."""
    return str(IPv6Network((address, 64), strict=False)) if ":" in address else address


class Addresses:
    """The keys of the current and the previous minute."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._keys: dict[int, bytes] = {}
        self._asking = asyncio.Lock()

    async def counted_as(self, address: str, minute: int) -> UUID:
        """What an address is counted as in a minute (in minutes since 1970): the first 128 bits of an HMAC-SHA-256.

        Raises TidemarkError (503) if the database cannot be reached.
        """
        key = self._keys.get(minute) or await self._fetch(minute)
        return UUID(bytes=hmac.digest(key, network_of(address).encode("utf-8", "surrogateescape"), "sha256")[:16])

    async def _fetch(self, minute: int) -> bytes:
        async with self._asking:  # when a minute begins, many requests need the same key
            if minute not in self._keys:
                async with self._database.session() as connection:
                    key: bytes = await statements().address_key.value(
                        connection, minute=minute, key=secrets.token_bytes(KEY_BYTES)
                    )
                self._keys = {one: self._keys[one] for one in self._keys if one > minute - KEPT_MINUTES} | {minute: key}
            return self._keys[minute]
