"""Addresses as the collector's limits count them: keyed hashes, whose keys and counts are gone within minutes.

The key of a minute is random and stands in the database, so that all server processes count the same. An address is not
known beyond its minute, nor together with what it sent.
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
"""Requests that came before the minute ended may ask after it."""


def network_of(address: str) -> str:
    """What counts as one address: of IPv6 the /64 network, which is the least that a household or a server has."""
    return str(IPv6Network((address, 64), strict=False)) if ":" in address else address


class Addresses:
    """The keys of this minute and the last."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._keys: dict[int, bytes] = {}
        self._asking = asyncio.Lock()

    async def counted_as(self, address: str, minute: int) -> UUID:
        """What an address is counted as in a minute (since 1970): the first 128 bits of the HMAC-SHA-256.

        Raises TidemarkError where the database is out of reach.
        """
        key = self._keys.get(minute) or await self._fetch(minute)
        return UUID(bytes=hmac.digest(key, network_of(address).encode("utf-8", "surrogateescape"), "sha256")[:16])

    async def _fetch(self, minute: int) -> bytes:
        async with self._asking:  # when a minute begins everybody needs the same
            if minute not in self._keys:
                async with self._database.session() as connection:
                    key: bytes = await statements().address_key.value(
                        connection, minute=minute, key=secrets.token_bytes(KEY_BYTES)
                    )
                self._keys = {one: self._keys[one] for one in self._keys if one > minute - KEPT_MINUTES} | {minute: key}
            return self._keys[minute]
