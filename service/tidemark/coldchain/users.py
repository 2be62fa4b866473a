"""The users of cooling units: registered, new and active."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tidemark.catalog.cooling_units import CoolingUnit
from tidemark.coldchain.activity import Counts, active_users
from tidemark.coldchain.question import EPOCH, Question
from tidemark.database.statements import statements

if TYPE_CHECKING:
    from tidemark.database.database import Connected


async def users(connection: "Connected", question: Question, units: Sequence[CoolingUnit]) -> list[dict[str, Any]]:
    """One item per unit, in the order given."""
    ids = [unit.id for unit in units]
    rows = await statements().registrations_of_units.rows(connection, company_id=question.company_id, units=ids)
    registered, new = _registrations(question, ids, rows)
    active = await active_users(connection, question, ids)
    columns = zip(
        np.concatenate((registered, registered[:, -1:]), axis=1).tolist(),
        new.tolist(),
        active.sum(axis=1).tolist(),
        active.reshape(len(ids), 3, 3, -1).sum(axis=2).transpose(0, 2, 1).tolist(),
        active.reshape(len(ids), 3, 3, -1).sum(axis=1).transpose(0, 2, 1).tolist(),
        strict=True,
    )
    return [_item(question, unit_id, *of_unit) for unit_id, of_unit in zip(ids, columns, strict=True)]


def _registrations(question: Question, ids: Sequence[int], rows: Sequence[Any]) -> tuple[Counts, Counts]:
    """For each unit: users registered at the end of each period, and new users of each period and the whole window."""
    periods = len(question.periods)
    index_of = {unit_id: index for index, unit_id in enumerate(ids)}
    indices = np.array([index_of[row["cooling_unit_id"]] for row in rows], np.int64)
    unit = indices.repeat([len(row["days"]) // 4 for row in rows]) if rows else indices
    customer, day, gone = (
        np.frombuffer(b"".join(row[name] for row in rows), ">i4").astype(np.int64)
        for name in ("customers", "days", "gone")
    )
    member = unit << 32 | customer
    order = np.lexsort((day, member))
    first = order[np.append(True, member[order][1:] != member[order][:-1])] if len(order) else order
    # Users deactivated by the day they registered never count.
    first = first[gone[first] > day[first]]
    ends = [(days.last - EPOCH).days for days in question.periods]
    registered = np.zeros((len(ids), periods), np.int64)
    for since, sign in ((day[first], 1), (gone[first], -1)):
        cells = unit[first] * (periods + 1) + np.searchsorted(ends, since)
        changes = np.bincount(cells, minlength=len(ids) * (periods + 1)).reshape(len(ids), periods + 1)
        registered += sign * changes[:, :-1].cumsum(axis=1)

    inside = (day >= (question.window.first - EPOCH).days) & (day <= ends[-1])
    period = np.searchsorted(ends, day[inside])
    new = np.zeros((len(ids), periods + 1), np.int64)
    # Each user counts once per period, and once in the window.
    for columns, column in ((slice(periods), period), (slice(periods, None), np.zeros_like(period))):
        width = len(range(*columns.indices(periods + 1)))
        once = np.unique(np.stack((member[inside], column)), axis=1)
        cells = (once[0] >> 32) * width + once[1]
        new[:, columns] = np.bincount(cells, minlength=len(ids) * width).reshape(len(ids), width)
    return registered, new


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
