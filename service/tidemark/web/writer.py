"""Stores what pages send, in groups and within limits."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

from tidemark.base.errors import Kind, TidemarkError
from tidemark.base.watch import Watch
from tidemark.commit.committer import Committer
from tidemark.commit.group_commit import GroupCommit
from tidemark.database.database import Database
from tidemark.database.statements import statements

if TYPE_CHECKING:
    from asyncpg import Connection

MAX_BATCH = 5_000
MINUTE = 60_000_000
"""Microseconds."""


@dataclass(frozen=True)
class CollectorLimits:
    """What the collector accepts. Records beyond a rate are refused; names beyond the limit count as `(other)`."""

    per_site: int = 60_000
    """Records per minute for a site."""
    per_address: int = 600
    """Records per minute from an address."""
    names: int = 5_000
    """Distinct pages, event names, referrers and browsers, each, per site and day."""


class WebRecord(NamedTuple):
    """A page view, custom event or `leave` record; (site_number, at, id) identifies it."""

    site_number: int
    at: int
    """Microseconds since 1970 UTC."""
    id: int
    """Random, 63 bits."""
    day: date
    """The date in the site's time zone."""
    visitor: UUID
    kind: str
    pathname: str
    event: str | None = None
    referrer: str | None = None
    browser: str | None = None
    country: str | None = None
    address: UUID | None = None
    """What the sender's address is counted as in that minute; not stored with the record."""

    @property
    def minute(self) -> int:
        """The minute in which the record counts, in minutes since 1970 UTC."""
        return self.at // MINUTE


def columns_of(records: Sequence[WebRecord]) -> dict[str, Sequence[Any]]:
    """One or more records, column by column, as parameters of statements."""
    columns: tuple[tuple[Any, ...], ...] = tuple(zip(*records, strict=True))
    sites, at, ids, days, visitors, kinds, pathnames, events, referrers, browsers, countries, addresses = columns
    return {
        "site_numbers": sites,
        "at_us": at,
        "ids": ids,
        "days": days,
        "visitors": visitors,
        "kinds": kinds,
        "pathnames": pathnames,
        "events": events,
        "referrers": referrers,
        "browsers": browsers,
        "countries": countries,
        "addresses": addresses,
    }


@dataclass(slots=True)
class _Sending:
    """A record to store and, after the commit, whose limit refused it: `address`, `site`, or None if it was stored."""

    record: WebRecord
    refusal: str | None = None


class WebWriter:
    """Stores records that arrive one at a time, over its own connection.

    They are counted in the transaction that stores them, so limits apply across all server processes. A limit that is
    reached stays reached until the end of the minute, so each process remembers refusals and does not ask again.
    """

    def __init__(
        self, database: Database, watch: Watch, *, max_pending: int, limits: CollectorLimits | None = None
    ) -> None:
        self._committer = Committer(database, "records")
        self._limits = limits or CollectorLimits()
        self._full: dict[int | UUID, int] = {}
        self._full_minute = 0
        self._group = GroupCommit(
            [self._store],
            max_batch=MAX_BATCH,
            max_pending=max_pending,
            watch=watch,
            name="web writer",
            noun="records",
        )

    async def store(self, record: WebRecord) -> None:
        """Store a record; returns once it is durable.

        Raises TidemarkError: 429 if its site or its address has reached its limit for the minute, 503 if the record
        could not be stored.
        """
        for sender, whose in ((record.address, "address"), (record.site_number, "site")):
            if sender is not None and self._full.get(sender) == record.minute:
                raise self._refused(record, whose)
        sending = _Sending(record)
        await self._group.stored(sending)
        if sending.refusal is not None:
            raise self._refused(record, sending.refusal)

    async def close(self) -> None:
        """Commit what was accepted, then stop."""
        await self._group.close()
        await self._committer.close()

    async def _store(self, sendings: list[_Sending]) -> None:
        sendings = sorted(sendings, key=lambda sending: sending.record)
        columns = columns_of([sending.record for sending in sendings])
        limits = self._limits

        async def write(connection: "Connection[Any]") -> None:
            # Repeated after a lost connection, this counts the records twice, so a limit may be reached early.
            rows = await statements().write_web_records.rows(
                connection,
                **columns,
                per_site=limits.per_site,
                per_address=limits.per_address,
                most_names=limits.names,
            )
            for row in rows:
                self._refuse(sendings[row["place"] - 1], row["refusal"])

        await self._committer.commit(write, len(sendings))

    def _refuse(self, sending: _Sending, refusal: str) -> None:
        record = sending.record
        sending.refusal = refusal
        if record.minute > self._full_minute:
            self._full, self._full_minute = {}, record.minute
        sender = record.address if refusal == "address" else record.site_number
        assert sender is not None  # a record without an address is not counted by address
        self._full[sender] = record.minute

    def _refused(self, record: WebRecord, whose: str) -> TidemarkError:
        wait = 60 - record.at // 1_000_000 % 60
        what = (
            f"One address may send {self._limits.per_address}"
            if whose == "address"
            else f"The site accepts {self._limits.per_site}"
        )
        return TidemarkError(
            Kind.RATE_LIMIT_EXCEEDED, f"{what} records a minute; come back in {wait} s.", retry_after=wait
        )
