"""The cooling units that a caller may see."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tidemark.base.errors import TidemarkError, invalid
from tidemark.catalog.principal import Principal
from tidemark.database.statements import statements

if TYPE_CHECKING:
    from tidemark.database.database import Connected


@dataclass(frozen=True, slots=True)
class CoolingUnit:
    """A cooling unit; capacities are None where unknown."""

    id: int
    name: str
    location_id: int | None
    capacity_crates: int | None
    capacity_kg: float | None


async def visible(
    connection: "Connected",
    principal: Principal,
    *,
    cooling_unit_id: int | None = None,
    location_id: int | None = None,
) -> list[CoolingUnit]:
    """The cooling units that the caller may see, by id; if asked, only one of them or those of one location.

    Raises TidemarkError (400) for a unit or location that is unknown, belongs to another company or is outside the
    token's list, without saying which.
    """
    rows = await statements().cooling_units.rows(connection, company_id=principal.company_id, seen=principal.seen)
    units = [CoolingUnit(**row) for row in rows]
    found = [
        unit
        for unit in units
        if cooling_unit_id in (None, unit.id) and (location_id is None or location_id == unit.location_id)
    ]
    if found:
        return found
    if cooling_unit_id is not None and all(unit.id != cooling_unit_id for unit in units):
        raise _unknown("cooling_unit_id", cooling_unit_id)
    if location_id is not None and all(unit.location_id != location_id for unit in units):
        # To a token that is limited to certain units, a location without any of them does not exist.
        known = principal.cooling_unit_ids is None and await statements().read_location.row(
            connection, company_id=principal.company_id, id=location_id, seen=None
        )
        if not known:
            raise _unknown("location_id", location_id)
    return found


def _unknown(field: str, given: int) -> TidemarkError:
    return invalid(field, f"{field} {given} is not one of the {field.removesuffix('_id').replace('_', ' ')}s here.")
