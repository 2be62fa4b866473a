"""Visitors without cookies: a keyed hash of address and user agent, whose key exists for at most two days.

Each day of a site has its own random key, stored in the database so that all server processes share it. Once a key is
destroyed, nobody can find out which address a visitor had, or that visitors of two days were the same.
"""

import asyncio
import hmac
import secrets
from datetime import date
from uuid import UUID
from zoneinfo import ZoneInfo

from tidemark.base.time import instant
from tidemark.catalog.directory import Site
from tidemark.database.database import Database
from tidemark.database.statements import statements

KEY_BYTES = 32
KEY_SECONDS = 2 * 86400.0


def site_day(at: int, zone: ZoneInfo) -> date:
    """The date of an instant (microseconds since 1970 UTC) in a site's time zone."""
    return instant(at).astimezone(zone).date()


def visitor_of(key: bytes, site_id: str, address: str, user_agent: str) -> UUID:
    """The visitor, on the day and site of the key: the first 128 bits of an HMAC-SHA-256."""
    digest = hmac.digest(key, f"{site_id}\0{address}\0{user_agent}".encode("utf-8", "surrogateescape"), "sha256")
    return UUID(bytes=digest[:16])


class Visitors:
    """The keys that this process has fetched, each until it expires."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._keys: dict[tuple[int, date], bytes] = {}
        self._timers: dict[tuple[int, date], asyncio.TimerHandle] = {}
        self._asking = asyncio.Lock()

    async def key(self, site: Site, day: date) -> bytes | None:
        """The key of a site's day, created if there is none yet; None if the site has been deleted.

        Raises TidemarkError (503) if the database cannot be reached.
        """
        key_id = (site.site_number, day)
        known = self._keys.get(key_id)
        if known is not None:
            return known
        async with self._asking:  # after midnight, many requests need the same key
            if key_id not in self._keys:
                await self._fetch(key_id)
        return self._keys.get(key_id)

    def close(self) -> None:
        """Forget all keys."""
        for key_id in list(self._keys):
            self._timers[key_id].cancel()
            self._destroy(key_id)

    async def _fetch(self, key_id: tuple[int, date]) -> None:
        site_number, day = key_id
        async with self._database.session() as connection:
            new = secrets.token_bytes(KEY_BYTES)
            await statements().make_visitor_key.run(connection, site_number=site_number, day=day, key=new)
            row = await statements().read_visitor_key.row(connection, site_number=site_number, day=day)
        if row is not None:
            self._keys[key_id] = row["key"]
            left = max(0.0, KEY_SECONDS - row["age_seconds"])
            self._timers[key_id] = asyncio.get_running_loop().call_later(left, self._destroy, key_id)

    def _destroy(self, key_id: tuple[int, date]) -> None:
        del self._keys[key_id], self._timers[key_id]
