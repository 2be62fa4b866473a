"""Distinct users who checked in or out, of each unit in each period: never added up, each figure is counted itself.

A user's days of a year are bits. Who was active in a period has one of the period's bits set, which numpy tells of
all users at once.
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
"""3 × gender (female, male, other) + type (FARMER, TRADER, unspecified)."""
_YEAR_BITS = 368
_YEAR_BYTES = _YEAR_BITS // 8
_LENGTH_BYTES = 4

Counts: TypeAlias = npt.NDArray[np.int64]


async def active_users(connection: "Connected", question: Question, units: Sequence[int]) -> Counts:
    """How many users of each unit (by its place) and group were active in each period, and last in the whole window."""
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
    place_of = {unit: place for place, unit in enumerate(units)}
    row_of, group, bits = _users(rows, place_of, first_year, len(years))
    cell = row_of * GROUPS + group
    counts = np.zeros((len(units) * GROUPS, len(question.periods) + 1), np.int64)
    for place, days in enumerate((*question.periods, question.window)):
        # Only the bytes that the period's bits lie in are looked at.
        mask = np.packbits(_mask(days, first_year, len(years)))
        where = np.flatnonzero(mask)
        part = slice(where[0], where[-1] + 1)
        active = (bits[:, part] & mask[part]).any(axis=1)
        counts[:, place] = np.bincount(cell[active], minlength=len(counts))
    return counts.reshape(len(units), GROUPS, -1)


def _users(
    rows: Sequence[Any], place_of: dict[int, int], first_year: int, years: int
) -> tuple[Counts, Counts, npt.NDArray[np.uint8]]:
    """A row for each user of a unit: the unit's place, the group, and the bits of all years."""
    if not rows:
        return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((0, years * _YEAR_BYTES), np.uint8)
    sizes = [len(row["groups"]) // 2 for row in rows]
    place = np.repeat([place_of[row["cooling_unit_id"]] for row in rows], sizes)
    year = np.repeat([row["year"] - first_year for row in rows], sizes)
    customer = np.frombuffer(b"".join(row["customers"] for row in rows), ">i4").astype(np.int64)
    group = np.frombuffer(b"".join(row["groups"] for row in rows), ">i2").astype(np.int64)
    days = np.frombuffer(b"".join(row["days"] for row in rows), np.uint8).reshape(-1, _LENGTH_BYTES + _YEAR_BYTES)
    days = days[:, _LENGTH_BYTES:]
    if years == 1:
        return place, group, days
    _, first, user = np.unique(place << 32 | customer, return_index=True, return_inverse=True)
    bits = np.zeros((len(first), years, _YEAR_BYTES), np.uint8)
    bits[user, year] = days
    return place[first], group[first], bits.reshape(len(first), -1)


def _mask(days: DateRange, first_year: int, years: int) -> npt.NDArray[np.uint8]:
    """The bits of some days among those of so many years."""
    mask = np.zeros(years * _YEAR_BITS, np.uint8)
    for year in range(days.first.year, days.last.year + 1):
        begin = (year - first_year) * _YEAR_BITS
        new_year = date(year, 1, 1)
        first = max(days.first, new_year) - new_year
        last = min(days.last, date(year, 12, 31)) - new_year
        mask[begin + first.days : begin + last.days + 1] = 1
    return mask
