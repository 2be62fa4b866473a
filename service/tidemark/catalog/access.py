"""Who a request comes from and what it may do; and the memory of keys, sensors and sites that spares the database.

What is remembered is dropped as soon as the database announces a change of that organization, and nothing is remembered
while announcements cannot be heard. A change is answered after all processes have heard of it
(`tidemark.database.announcements`), so a revoked token or a deleted sensor is refused by every one of them from then
on.
"""

import asyncio
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID
from zoneinfo import ZoneInfo

import structlog

from tidemark.base.errors import Kind, TidemarkError
from tidemark.database.announcements import PULSE_SECONDS, Listener
from tidemark.database.database import OUTAGES, Database
from tidemark.database.statements import statements

log = structlog.get_logger(__name__)

USE_NOTED_SECONDS = 30.0
"""Between two notes of which tokens were used."""
REMEMBERED = 200_000
"""How many keys, sensors and sites each are remembered at most."""


KEY_SCOPES = frozenset(("ingest", "sensor_data"))
"""What an organization's key opens."""


@dataclass(frozen=True, slots=True)
class Principal:
    """An authenticated caller: an organization by its key, or one of its tokens."""

    company_id: int
    token_id: UUID | None = None
    scopes: frozenset[str] = frozenset()
    cooling_unit_ids: frozenset[int] | None = None
    """The cooling units that it is for; None for all of them and for what is of none, which no list stands for."""
    rate_limit: int | None = None
    readings_per_minute: int | None = None
    expires_at: datetime | None = None

    def may(self, scope: str) -> bool:
        """Whether the scope is granted; `admin` implies all others."""
        return scope in self.scopes or "admin" in self.scopes

    def sees(self, cooling_unit_id: int | None) -> bool:
        """Whether it is for this cooling unit too, or for what is of none."""
        return self.cooling_unit_ids is None or cooling_unit_id in self.cooling_unit_ids

    @property
    def seen(self) -> list[int] | None:
        """The cooling units that it is for, as statements take them: null for all."""
        return None if self.cooling_unit_ids is None else sorted(self.cooling_unit_ids)

    def require_all_units(self) -> None:
        """Raise TidemarkError where the token is for some cooling units alone."""
        if self.cooling_unit_ids is not None:
            raise TidemarkError(
                Kind.INSUFFICIENT_SCOPE,
                "This token is for certain cooling units, and what is sent here is of none; use one for all of them.",
                field="Authorization",
            )

    def require(self, scope: str) -> None:
        """Raise TidemarkError where the scope is not granted."""
        if not self.may(scope):
            raise TidemarkError(
                Kind.INSUFFICIENT_SCOPE, f"This token does not have the scope {scope}.", field="Authorization"
            )


@dataclass(frozen=True, slots=True)
class Sensor:
    """A sensor as the hot paths need it."""

    series_id: int
    id: str
    name: str
    measure_unit: str | None
    asset_id: int | None


@dataclass(frozen=True, slots=True)
class Site:
    """A web site as the hot paths need it."""

    site_number: int
    company_id: int
    id: str
    domain: str
    zone: ZoneInfo
    is_active: bool


def unauthorized(message: str, field: str | None = None) -> TidemarkError:
    """The error for keys and tokens that are missing or wrong (401)."""
    return TidemarkError(Kind.UNAUTHORIZED, message, field=field)


class Access:
    """Authenticates callers and finds their sensors and sites."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._principals: dict[bytes, Principal] = {}
        self._sensors: dict[tuple[int, str], Sensor] = {}
        self._series: dict[int, dict[str, int]] = {}
        self._sites: dict[str, Site] = {}
        self._listening = False
        self._generation = 0
        self._used_tokens: set[UUID] = set()

    def remembered_organization(self, organization_id: str, api_key: str) -> Principal | None:
        """The caller with this key, where it was seen before."""
        return self._principals.get(_fingerprint(organization_id, api_key))

    def remembered_sensor(self, company_id: int, sensor_id: str) -> Sensor | None:
        """The organization's sensor, where it was seen before."""
        return self._sensors.get((company_id, sensor_id))

    async def organization(self, organization_id: str, api_key: str) -> Principal:
        """The caller with this organization key. Raises TidemarkError where there is none."""
        fingerprint = _fingerprint(organization_id, api_key)
        known = self._principals.get(fingerprint)
        if known is not None:
            return known
        generation = self._generation
        async with self._database.snapshot() as connection:
            row = await statements().organization_of_key.row(
                connection, organization_id=_storable(organization_id), api_key_hash=_sha256(api_key)
            )
        if row is None:
            raise unauthorized("The organization id or its key is wrong.")
        principal = Principal(row["company_id"], scopes=KEY_SCOPES, readings_per_minute=row["readings_per_minute"])
        return self._remember_principal(fingerprint, principal, generation)

    async def token(self, token: str) -> Principal:
        """The caller with this token. Raises TidemarkError where it is unknown, revoked or expired."""
        fingerprint = _sha256(token)
        principal = self._principals.get(fingerprint)
        if principal is None:
            generation = self._generation
            async with self._database.snapshot() as connection:
                row = await statements().token_of_hash.row(connection, token_hash=fingerprint)
            if row is None:
                raise unauthorized("The token is unknown or revoked.", "Authorization")
            principal = self._remember_principal(
                fingerprint,
                Principal(
                    row["company_id"],
                    row["id"],
                    frozenset(row["scopes"]),
                    frozenset(row["cooling_unit_ids"]) or None,
                    row["rate_limit"],
                    row["readings_per_minute"],
                    row["expires_at"],
                ),
                generation,
            )
        if principal.expires_at is not None and principal.expires_at <= datetime.now(UTC):
            raise unauthorized("The token has expired.", "Authorization")
        if principal.token_id is not None:
            self._used_tokens.add(principal.token_id)
        return principal

    async def sensors(self, company_id: int, sensor_ids: Iterable[str]) -> dict[str, Sensor]:
        """Those of the organization's sensors that exist, by their ids."""
        found: dict[str, Sensor] = {}
        unknown: list[str] = []
        for sensor_id in sensor_ids:
            sensor = self._sensors.get((company_id, sensor_id))
            if sensor is None:
                unknown.append(_storable(sensor_id))
            else:
                found[sensor_id] = sensor
        if unknown:
            generation = self._generation
            async with self._database.snapshot() as connection:
                rows = await statements().sensors_of_ids.rows(connection, company_id=company_id, ids=unknown)
            for row in rows:
                found[row["id"]] = Sensor(**row)
            if self._listening and generation == self._generation:
                if len(self._sensors) > REMEMBERED:
                    self._sensors.clear()
                self._sensors.update({(company_id, row["id"]): found[row["id"]] for row in rows})
        return found

    @property
    def generation(self) -> int:
        """Changes whenever something is forgotten; what was looked up before that must not be remembered after it."""
        return self._generation

    def remembered_series(self, company_id: int, names: Iterable[str]) -> dict[str, int]:
        """Those of the organization's series that were seen before, by their names."""
        series = self._series.get(company_id, {})
        return {name: series[name] for name in names if name in series}

    def remember_series(self, company_id: int, series: dict[str, int], generation: int) -> None:
        """Remember series that were looked up while `generation` was current."""
        if self._listening and generation == self._generation:
            known = self._series.setdefault(company_id, {})
            if len(known) > REMEMBERED:
                known.clear()
            known.update(series)

    async def sensors_of_asset(self, company_id: int, asset_id: int) -> list[Sensor]:
        """The asset's sensors, by id."""
        async with self._database.snapshot() as connection:
            rows = await statements().sensors_of_asset.rows(connection, company_id=company_id, asset_id=asset_id)
        return [Sensor(**row) for row in rows]

    async def site(self, site_id: str) -> Site | None:
        """The site with this id, whosever it is."""
        known = self._sites.get(site_id)
        if known is not None:
            return known
        generation = self._generation
        async with self._database.snapshot() as connection:
            row = await statements().site_of_id.row(connection, site_id=_storable(site_id))
        if row is None:
            return None
        site = Site(
            row["site_number"],
            row["company_id"],
            row["site_id"],
            row["domain"],
            ZoneInfo(row["timezone"]),
            row["is_active"],
        )
        if self._listening and generation == self._generation:
            if len(self._sites) > REMEMBERED:
                self._sites.clear()
            self._sites[site.id] = site
        return site

    def forget(self, company_id: int | None = None) -> None:
        """Forget what is remembered of an organization, or everything."""
        self._generation += 1
        if company_id is None:
            self._principals.clear()
            self._sensors.clear()
            self._series.clear()
            self._sites.clear()
            return
        self._series.pop(company_id, None)
        for key, principal in list(self._principals.items()):
            if principal.company_id == company_id:
                del self._principals[key]
        for place in [place for place in self._sensors if place[0] == company_id]:
            del self._sensors[place]
        for site_id in [site_id for site_id, site in self._sites.items() if site.company_id == company_id]:
            del self._sites[site_id]

    async def listen(self) -> None:
        """Hear announcements for ever, remembering nothing while there is no connection to hear them on."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._note_token_use_regularly())  # whoever announces must not wait for this
            await self._listen_for_ever()

    async def _listen_for_ever(self) -> None:
        while True:
            try:
                await self._database.ready.wait()
                await self._listen()
            except OUTAGES as error:
                log.warning("announcements interrupted", error=str(error) or type(error).__name__)
            except Exception:
                log.exception("hearing announcements failed; it is tried again")
            finally:
                self._listening = False
                self.forget()
            await asyncio.sleep(PULSE_SECONDS)

    async def note_token_use(self) -> None:
        """Write down when tokens were last used; those of the last half minute are still in memory."""
        if self._used_tokens:
            used, self._used_tokens = self._used_tokens, set()
            try:
                async with self._database.session() as connection:
                    await statements().note_token_use.run(connection, ids=list(used))
            except TidemarkError:
                self._used_tokens |= used

    async def _listen(self) -> None:
        connection = await self._database.connect()
        try:
            listener = Listener(connection, self.forget)
            await listener.begin()
            self.forget()
            self._listening = True
            while True:
                await listener.answer()
        finally:
            connection.terminate()

    async def _note_token_use_regularly(self) -> None:
        while True:
            await asyncio.sleep(USE_NOTED_SECONDS)
            try:
                await self.note_token_use()
            except Exception:
                log.exception("noting which tokens were used failed; it is tried again")

    def _remember_principal(self, fingerprint: bytes, principal: Principal, generation: int) -> Principal:
        if self._listening and generation == self._generation:
            if len(self._principals) > REMEMBERED:
                self._principals.clear()
            self._principals[fingerprint] = principal
        return principal


def _sha256(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).digest()


def _fingerprint(organization_id: str, api_key: str) -> bytes:
    return _sha256(f"{organization_id}\0{api_key}")


def _storable(text: str) -> str:
    # PostgreSQL's text holds neither NUL nor lone surrogates; no id that is stored has any either.
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()
