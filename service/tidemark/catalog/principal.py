"""Who a caller is, and what it may see and do."""

from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from tidemark.base.errors import Kind, TidemarkError, unauthorized

KEY_SCOPES = frozenset(("ingest", "sensor_data"))
"""The scopes of an organization's key."""


@dataclass(frozen=True, slots=True)
class Principal:
    """An authenticated caller: an organization by its key, or the bearer of one of its tokens."""

    company_id: int
    token_id: UUID | None = None
    scopes: frozenset[str] = frozenset()
    cooling_unit_ids: frozenset[int] | None = None
    """The only cooling units that it may see. None: all of them, and also what belongs to no cooling unit. Empty: none,
    and nothing that belongs to one."""
    rate_limit: int | None = None
    """Requests a minute; None: any number. Alike below."""
    readings_per_minute: int | None = None
    expires_at: datetime | None = None

    def may(self, scope: str) -> bool:
        """Whether it has the scope; `admin` implies all others."""
        return scope in self.scopes or "admin" in self.scopes

    def sees(self, cooling_unit_id: int | None) -> bool:
        """Whether it may see what belongs to this cooling unit, or for None to no cooling unit."""
        return self.cooling_unit_ids is None or cooling_unit_id in self.cooling_unit_ids

    @property
    def seen(self) -> list[int] | None:
        """The only cooling units that it may see, as statements take them: null for all, an empty list for none."""
        return None if self.cooling_unit_ids is None else sorted(self.cooling_unit_ids)

    def require(self, scope: str) -> None:
        """Raise TidemarkError (403) unless it has the scope."""
        if not self.may(scope):
            raise TidemarkError(
                Kind.INSUFFICIENT_SCOPE, f"This token does not have the scope {scope}.", field="Authorization"
            )

    def require_all_units(self) -> None:
        """Raise TidemarkError (403) where it is limited to certain cooling units."""
        if self.cooling_unit_ids is not None:
            raise TidemarkError(
                Kind.INSUFFICIENT_SCOPE,
                "This token is limited to certain cooling units, and what is sent here belongs to none of them; "
                "use a token for all cooling units.",
                field="Authorization",
            )

    def require_unexpired(self) -> None:
        """Raise TidemarkError (401) once its time has passed."""
        if self.expires_at is not None and self.expires_at <= datetime.now(UTC):
            raise unauthorized("The token has expired.", "Authorization")
