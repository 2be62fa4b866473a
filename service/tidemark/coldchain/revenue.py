"""Revenue from storage: the fees of check-outs, paid and pending, by currency."""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeAlias

from tidemark.catalog.cooling_units import CoolingUnit
from tidemark.coldchain.exact import NOTHING, exact
from tidemark.coldchain.question import Question
from tidemark.database.statements import statements

if TYPE_CHECKING:
    from tidemark.database.database import Connected

PAYMENT_STATUSES = ("paid", "pending", "all")

_Fees: TypeAlias = tuple[str, bool, str, Decimal, int]
"""Currency, whether paid, payment method, sum of the amounts, and number of check-outs."""


async def revenue(
    connection: "Connected", question: Question, units: Sequence[CoolingUnit], payment_status: str
) -> list[dict[str, Any]]:
    """One item per unit, in the order given; `payment_status` selects the fees that `total_revenue` includes."""
    rows = await statements().revenue_of_periods.rows(
        connection, company_id=question.company_id, units=[unit.id for unit in units], **question.parts()
    )
    of_unit: dict[int, dict[int, list[_Fees]]] = {unit.id: {} for unit in units}
    for unit_id, index, *fees in rows:
        of_unit[unit_id].setdefault(index, []).append(tuple(fees))
    with exact():
        return [_item(question, unit_id, periods, payment_status) for unit_id, periods in of_unit.items()]


def _item(question: Question, unit_id: int, periods: dict[int, list[_Fees]], payment_status: str) -> dict[str, Any]:
    sums: dict[tuple[str, bool, str], tuple[Decimal, int]] = {}
    for fees in periods.values():
        for currency, is_paid, method, amount, count in fees:
            key = currency, is_paid, method
            before = sums.get(key)
            sums[key] = (amount, count) if before is None else (before[0] + amount, before[1] + count)
    return {
        "cooling_unit_id": unit_id,
        "currency_totals": _totals(((*key, *one) for key, one in sums.items()), payment_status),
        "trends": [
            {
                "period_start": days.first,
                "period_end": days.last,
                "currency_totals": _totals(periods.get(index, ()), payment_status),
            }
            for index, days in enumerate(question.periods)
        ],
    }


def _totals(fees: Iterable[_Fees], payment_status: str) -> list[dict[str, Any]]:
    """One entry per currency, from fees that are already grouped by currency, status and method."""
    of_currency: dict[str, list[_Fees]] = {}
    for one in fees:
        of_currency.setdefault(one[0], []).append(one)
    return [_total(currency, of_currency[currency], payment_status) for currency in sorted(of_currency)]


def _total(currency: str, fees: list[_Fees], payment_status: str) -> dict[str, Any]:
    amounts = {True: NOTHING, False: NOTHING}
    counts = {True: 0, False: 0}
    methods: dict[str, tuple[Decimal, int]] = {}
    selected = NOTHING
    for _, is_paid, method, amount, count in fees:
        amounts[is_paid] += amount
        counts[is_paid] += count
        if payment_status == "all" or is_paid == (payment_status == "paid"):
            selected += amount
            before = methods.get(method)
            methods[method] = (amount, count) if before is None else (before[0] + amount, before[1] + count)
    return {
        "currency": currency,
        "total_revenue": float(selected),
        "paid_revenue": float(amounts[True]),
        "pending_revenue": float(amounts[False]),
        "paid_count": counts[True],
        "pending_count": counts[False],
        "payment_methods": [
            {"payment_method": method, "amount": float(methods[method][0]), "count": methods[method][1]}
            for method in sorted(methods)
        ],
    }
