"""Visitors without cookies: a keyed hash of address and user agent, whose key lives no longer than two days.

The key of a site's day is random and stands in the database, so that all server processes share it. Once it is
destroyed nobody can tell any more which address a visitor was, nor that visitors of two days are one.
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
    """The day of a site's time zone in which an instant lies; microseconds since 1970."""
    return instant(at).astimezone(zone).date()


def visitor_of(key: bytes, site_id: str, address: str, user_agent: str) -> UUID:
    """Who it is, on that day and that site: the first 128 bits of the HMAC-SHA-256."""
    digest = hmac.digest(key, f"{site_id}\0{address}\0{user_agent}".encode("utf-8", "surrogateescape"), "sha256")
    return UUID(bytes=digest[:16])


class Visitors:
    """The keys that this process has seen."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._keys: dict[tuple[int, date], bytes] = {}
        self._timers: dict[tuple[int, date], asyncio.TimerHandle] = {}
        self._asking = asyncio.Lock()

    async def key(self, site: Site, day: date) -> bytes | None:
        """The key of a site's day, made where there is none yet; None where the site has been deleted.

        Raises TidemarkError where the database is out of reach.
        """
        place = (site.site_number, day)
        known = self._keys.get(place)
        if known is not None:
            return known
        async with self._asking:  # after midnight everybody needs the same
            if place not in self._keys:
                await self._fetch(place)
        return self._keys.get(place)

    def close(self) -> None:
        """Forget all keys."""
        for place in list(self._keys):
            self._timers[place].cancel()
            self._destroy(place)

    async def _fetch(self, place: tuple[int, date]) -> None:
        site_number, day = place
        async with self._database.session() as connection:
            new = secrets.token_bytes(KEY_BYTES)
            await statements().make_visitor_key.run(connection, site_number=site_number, day=day, key=new)
            row = await statements().read_visitor_key.row(connection, site_number=site_number, day=day)
        if row is not None:
            self._keys[place] = row["key"]
            left = max(0.0, KEY_SECONDS - row["age_seconds"])
            self._timers[place] = asyncio.get_running_loop().call_later(left, self._destroy, place)

    def _destroy(self, place: tuple[int, date]) -> None:
        del self._keys[place], self._timers[place]
