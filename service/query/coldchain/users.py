"""Who uses cooling units: registered, new and active users."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from service.catalog.cooling_units import CoolingUnit
from service.query.coldchain.activity import active_users
from service.query.coldchain.question import EPOCH, Question
from service.storage.statements import statements

if TYPE_CHECKING:
    from service.storage.database import Connected


async def users(connection: "Connected", question: Question, units: Sequence[CoolingUnit]) -> list[dict[str, Any]]:
    """An item for each unit."""
    ids = [unit.id for unit in units]
    place_of = {unit_id: place for place, unit_id in enumerate(ids)}
    shape = (len(ids), len(question.periods))
    ends = [(days.last - EPOCH).days for days in question.periods]
    registered = np.zeros(shape, np.int64)
    for row in await statements().registered_users.rows(connection, company_id=question.company_id, units=ids):
        joined, gone = np.frombuffer(row["joined"], ">i4"), np.frombuffer(row["gone"], ">i4")
        # Who was deactivated before the registration never counts.
        counted = gone > joined
        registered[place_of[row["cooling_unit_id"]]] = _until(joined[counted], ends) - _until(gone[counted], ends)
    new = np.zeros((shape[0], shape[1] + 1), np.int64)
    signups = await statements().signups.rows(
        connection,
        company_id=question.company_id,
        units=ids,
        starts=question.starts,
        last=question.window.last,
    )
    for row in signups:
        new[place_of[row["cooling_unit_id"]], -1 if row["place"] is None else row["place"]] = row["users"]
    active = await active_users(connection, question, ids)
    columns = zip(
        np.concatenate((registered, registered[:, -1:]), axis=1).tolist(),
        new.tolist(),
        active.sum(axis=1).tolist(),
        active.reshape(shape[0], 3, 3, -1).sum(axis=2).transpose(0, 2, 1).tolist(),
        active.reshape(shape[0], 3, 3, -1).sum(axis=1).transpose(0, 2, 1).tolist(),
        strict=True,
    )
    return [_item(question, unit_id, *of_unit) for unit_id, of_unit in zip(ids, columns, strict=True)]


def _until(days: npt.NDArray[np.int32], ends: Sequence[int]) -> npt.NDArray[np.intp]:
    """How many of the days are at or before each end."""
    return np.searchsorted(np.sort(days), ends, side="right")


def _item(question: Question, unit_id: int, *columns: Sequence[Any]) -> dict[str, Any]:
    *trends, total = (
        {
            "registered_users": registered,
            "active_users": active,
            "new_signups": new,
            "active_by_gender": {"female": genders[0], "male": genders[1], "other": genders[2]},
            "active_by_type": {"FARMER": types[0], "TRADER": types[1], "unspecified": types[2]},
        }
        for registered, new, active, genders, types in zip(*columns, strict=True)
    )
    return {
        "cooling_unit_id": unit_id,
        **total,
        "trends": [
            {"period_start": days.first, "period_end": days.last, **measures}
            for days, measures in zip(question.periods, trends, strict=True)
        ],
    }
