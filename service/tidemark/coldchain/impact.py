"""The impact of cold storage: food loss prevented, income, emissions avoided, people served."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from tidemark.catalog.cooling_units import CoolingUnit
from tidemark.coldchain.activity import active_users
from tidemark.coldchain.exact import NOTHING, add, multiply, percentage, subtract
from tidemark.coldchain.question import Question, begin, end, months
from tidemark.database.statements import statements

if TYPE_CHECKING:
    from tidemark.database.database import Connected

CO2_FACTOR = Decimal("0.21268517")
"""kg of CO₂ equivalents avoided per kg of food loss prevented."""
_HOUSEHOLDS = {"NG": Decimal("4.7"), "IN": Decimal("4.4"), "PH": Decimal("4.2")}
_HOUSEHOLD = Decimal(3)


@dataclass(slots=True)
class _Surveyed:
    """Totals of surveyed users: kg checked out, kg lost, kg that would be lost without storage, increase in income."""

    kg_out: Decimal = NOTHING
    loss_kg: Decimal = NOTHING
    baseline_loss_kg: Decimal = NOTHING
    income_increase: Decimal = NOTHING

    def include(self, kg_out: Decimal, loss_kg: Decimal, baseline_loss_kg: Decimal, income_increase: Decimal) -> None:
        self.kg_out = add(self.kg_out, kg_out)
        self.loss_kg = add(self.loss_kg, loss_kg)
        self.baseline_loss_kg = add(self.baseline_loss_kg, baseline_loss_kg)
        self.income_increase = add(self.income_increase, income_increase)


async def impact(connection: "Connected", question: Question, units: Sequence[CoolingUnit]) -> list[dict[str, Any]]:
    """One item per unit, in the order given."""
    ids = [unit.id for unit in units]
    months_of = [months(days) for days in question.periods]
    all_months = months(question.window)
    # Periods that are whole months are read from monthly sums; parts of months are read by day.
    whole = {
        days.first: index
        for index, days in enumerate(question.periods)
        if days.first == begin(days.last, "month") and days.last == end(days.first, "month")
    }
    divided = [month for month in all_months if month not in whole]
    surveys: dict[tuple[int, date], int] = {}
    found: dict[int, dict[int, _Surveyed]] = {unit_id: {} for unit_id in ids}
    rows = await statements().impact_of_months.rows(
        connection, company_id=question.company_id, units=ids, first=all_months[0], last=all_months[-1]
    )
    for unit_id, month, count, *sums in rows:
        surveys[unit_id, month] = count
        if month in whole:
            found[unit_id].setdefault(whole[month], _Surveyed()).include(*sums)
    if divided and rows:
        parts = await statements().impact_of_days.rows(
            connection,
            company_id=question.company_id,
            units=ids,
            starts=question.starts,
            last=question.window.last,
            months=divided,
        )
        for unit_id, index, *sums in parts:
            found[unit_id].setdefault(index, _Surveyed()).include(*sums)
    active = (await active_users(connection, question, ids)).sum(axis=1).tolist()
    items = []
    for unit_id, of_unit in zip(ids, active, strict=True):
        total = _Surveyed()
        trends = []
        for index, days in enumerate(question.periods):
            surveyed = found[unit_id].get(index)
            count = sum(surveys.get((unit_id, month), 0) for month in months_of[index])
            measures = _measures(question, of_unit[index], count, surveyed or _Surveyed())
            trends.append({"period_start": days.first, "period_end": days.last, **measures})
            if surveyed is not None:
                total.include(surveyed.kg_out, surveyed.loss_kg, surveyed.baseline_loss_kg, surveyed.income_increase)
        count = sum(surveys.get((unit_id, month), 0) for month in all_months)
        items.append({"cooling_unit_id": unit_id, **_measures(question, of_unit[-1], count, total), "trends": trends})
    return items


def _measures(question: Question, active: int, surveys: int, surveyed: _Surveyed) -> dict[str, Any]:
    prevented = subtract(surveyed.baseline_loss_kg, surveyed.loss_kg)
    usable = surveys > 0
    return {
        "food_loss_prevented_kg": float(prevented) if usable else None,
        "income_increase": float(surveyed.income_increase) if usable else None,
        "currency": question.currency,
        "baseline_loss_pct": percentage(surveyed.baseline_loss_kg, surveyed.kg_out) if usable else None,
        "current_loss_pct": percentage(surveyed.loss_kg, surveyed.kg_out) if usable else None,
        "co2_avoided_kg": float(multiply(CO2_FACTOR, prevented)) if usable else None,
        "community_served": float(_HOUSEHOLDS.get(question.country or "", _HOUSEHOLD) * active),
        "survey_count": surveys,
    }
