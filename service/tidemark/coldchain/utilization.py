"""The utilization of cooling units: how full they are, and what goes in and out."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from tidemark.catalog.cooling_units import CoolingUnit
from tidemark.coldchain.exact import NOTHING, add, subtract
from tidemark.coldchain.question import EPOCH, DateRange, Question, begin
from tidemark.database.statements import statements

if TYPE_CHECKING:
    from asyncpg import Record

    from tidemark.database.database import Connected


@dataclass(slots=True)
class _Moved:
    """What went in and out over some days; and for those up to today, the net number of crates and their crate-days:
    the sum of crates, signed, times their day (days since 1970).
    """

    check_ins: int = 0
    check_outs: int = 0
    crates_in: int = 0
    crates_out: int = 0
    kg_in: Decimal = NOTHING
    kg_out: Decimal = NOTHING
    net_until_today: int = 0
    crate_days_until_today: int = 0

    def __add__(self, other: "_Moved") -> "_Moved":
        return _Moved(
            self.check_ins + other.check_ins,
            self.check_outs + other.check_outs,
            self.crates_in + other.crates_in,
            self.crates_out + other.crates_out,
            add(self.kg_in, other.kg_in),
            add(self.kg_out, other.kg_out),
            self.net_until_today + other.net_until_today,
            self.crate_days_until_today + other.crate_days_until_today,
        )


_NOTHING_MOVED = _Moved()


async def utilization(
    connection: "Connected", question: Question, units: Sequence[CoolingUnit]
) -> list[dict[str, Any]]:
    """One item per unit, in the order given."""
    ids = [unit.id for unit in units]
    rows = await statements().storage_of_periods.rows(
        connection, company_id=question.company_id, units=ids, today=question.today, **question.parts()
    )
    moved = {(row["cooling_unit_id"], row["period_index"]): _moved(row) for row in rows}
    before = {
        row["cooling_unit_id"]: (row["crates"], row["kg"])
        for row in await statements().stock_before.rows(
            connection,
            company_id=question.company_id,
            units=ids,
            month=begin(question.window.first, "month"),
            day=question.window.first,
        )
    }
    return [_item(question, unit, moved, *before.get(unit.id, (0, NOTHING))) for unit in units]


def _moved(row: "Record") -> _Moved:
    fields = {name: row[name] for name in _Moved.__slots__}
    return _Moved(**{**fields, "crate_days_until_today": int(row["crate_days_until_today"])})


def _item(
    question: Question, unit: CoolingUnit, moved: dict[tuple[int, int], _Moved], crates: int, kg: Decimal
) -> dict[str, Any]:
    trends = []
    total = _NOTHING_MOVED
    crates_stored, kg_stored = crates, kg
    for index, days in enumerate(question.periods):
        one = moved.get((unit.id, index), _NOTHING_MOVED)
        measures = _measures(unit, question.today, days, one, crates_stored, kg_stored)
        trends.append({"period_start": days.first, "period_end": days.last, **measures})
        if one is not _NOTHING_MOVED:
            total += one
            crates_stored += one.crates_in - one.crates_out
            kg_stored = add(kg_stored, subtract(one.kg_in, one.kg_out))
    measures = _measures(unit, question.today, question.window, total, crates, kg)
    return {"cooling_unit_id": unit.id, **measures, "trends": trends}


def _measures(
    unit: CoolingUnit, today: date, days: DateRange, moved: _Moved, crates_before: int, kg_before: Decimal
) -> dict[str, Any]:
    return {
        "utilization_rate": _rate(unit, today, days, moved, crates_before),
        "check_ins": moved.check_ins,
        "check_outs": moved.check_outs,
        "crates_in": moved.crates_in,
        "crates_out": moved.crates_out,
        "kg_in": float(moved.kg_in),
        "kg_out": float(moved.kg_out),
        "crates_stored": crates_before + moved.crates_in - moved.crates_out,
        "kg_stored": float(add(kg_before, subtract(moved.kg_in, moved.kg_out))),
        "capacity_crates": unit.capacity_crates,
        "capacity_kg": unit.capacity_kg,
    }


def _rate(unit: CoolingUnit, today: date, days: DateRange, moved: _Moved, crates_before: int) -> float | None:
    """The stock at the end of each day up to today, averaged, as a percentage of the capacity.

    A crate that arrives on a day is in stock at the end of that day and of every later one. It therefore adds the day
    after the last day, minus its own day, to the sum of the stocks; a crate that leaves subtracts as much.
    """
    last = min(days.last, today)
    count = (last - days.first).days + 1
    if unit.capacity_crates is None or count <= 0:
        return None
    after = (last - EPOCH).days + 1
    stocks = count * crates_before + after * moved.net_until_today - moved.crate_days_until_today
    return 100 * stocks / (count * unit.capacity_crates)
