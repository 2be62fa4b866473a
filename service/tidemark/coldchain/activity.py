"""Counts the distinct users who checked in or out, for each unit and period. Counts are never summed.

The days of a year on which a user was active are stored as bits. A user was active in a period if any bit of the
period is set, which numpy determines for all users at once.
"""

from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from tidemark.coldchain.question import DateRange, Question
from tidemark.database.statements import statements

if TYPE_CHECKING:
    from tidemark.database.database import Connected

GROUPS = 9
"""A group is 3 × gender (female, male, other) + type (FARMER, TRADER, unspecified), each counted from 0."""
_YEAR_BITS = 368
_YEAR_BYTES = _YEAR_BITS // 8
_LENGTH_BYTES = 4

Counts: TypeAlias = npt.NDArray[np.int64]


async def active_users(connection: "Connected", question: Question, units: Sequence[int]) -> Counts:
    """The number of active users: shape (units, groups, periods + 1), where the last column is the whole window."""
    first_year, last_year = question.window.first.year, question.window.last.year
    years = list(range(first_year, last_year + 1))
    window = _mask(question.window, first_year, len(years))
    rows = await statements().activity_of_units.rows(
        connection,
        company_id=question.company_id,
        units=list(units),
        years=years,
        masks=["".join(map(str, mask)) for mask in window.reshape(len(years), _YEAR_BITS).tolist()],
    )
    index_of = {unit: index for index, unit in enumerate(units)}
    unit_index, group, bits = _users(rows, index_of, first_year, len(years))
    cell = unit_index * GROUPS + group
    counts = np.zeros((len(units) * GROUPS, len(question.periods) + 1), np.int64)
    for column, days in enumerate((*question.periods, question.window)):
        # Only the bytes that contain bits of the period are compared.
        mask = np.packbits(_mask(days, first_year, len(years)))
        where = np.flatnonzero(mask)
        part = slice(where[0], where[-1] + 1)
        active = (bits[:, part] & mask[part]).any(axis=1)
        counts[:, column] = np.bincount(cell[active], minlength=len(counts))
    return counts.reshape(len(units), GROUPS, -1)


def _users(
    rows: Sequence[Any], index_of: dict[int, int], first_year: int, years: int
) -> tuple[Counts, Counts, npt.NDArray[np.uint8]]:
    """One row per user of a unit: the index of the unit, the group, and the bits of all years."""
    if not rows:
        return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((0, years * _YEAR_BYTES), np.uint8)
    sizes = [len(row["groups"]) // 2 for row in rows]
    unit = np.repeat([index_of[row["cooling_unit_id"]] for row in rows], sizes)
    year = np.repeat([row["year"] - first_year for row in rows], sizes)
    customer = np.frombuffer(b"".join(row["customers"] for row in rows), ">i4").astype(np.int64)
    group = np.frombuffer(b"".join(row["groups"] for row in rows), ">i2").astype(np.int64)
    days = np.frombuffer(b"".join(row["days"] for row in rows), np.uint8).reshape(-1, _LENGTH_BYTES + _YEAR_BYTES)
    days = days[:, _LENGTH_BYTES:]
    if years == 1:
        return unit, group, days
    _, first, user = np.unique(unit << 32 | customer, return_index=True, return_inverse=True)
    bits = np.zeros((len(first), years, _YEAR_BYTES), np.uint8)
    bits[user, year] = days
    return unit[first], group[first], bits.reshape(len(first), -1)


def _mask(days: DateRange, first_year: int, years: int) -> npt.NDArray[np.uint8]:
    """A bit array of `years` years from `first_year` in which only these days are set."""
    mask = np.zeros(years * _YEAR_BITS, np.uint8)
    for year in range(days.first.year, days.last.year + 1):
        begin = (year - first_year) * _YEAR_BITS
        new_year = date(year, 1, 1)
        first = max(days.first, new_year) - new_year
        last = min(days.last, date(year, 12, 31)) - new_year
        mask[begin + first.days : begin + last.days + 1] = 1
    return mask
