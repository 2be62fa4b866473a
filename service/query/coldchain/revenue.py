"""What storage earns: fees of check-outs, paid and pending, each currency by itself."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from service.catalog.cooling_units import CoolingUnit
from service.query.coldchain.exact import NOTHING, add
from service.query.coldchain.question import Question
from service.storage.statements import statements

if TYPE_CHECKING:
    from service.storage.database import Connected

PAYMENT_STATUSES = ("paid", "pending", "all")


@dataclass(slots=True)
class _Sum:
    amount: Decimal = NOTHING
    count: int = 0

    def take(self, amount: Decimal, count: int) -> None:
        self.amount = add(self.amount, amount)
        self.count += count


@dataclass(slots=True)
class _Totals:
    """Fees of one currency."""

    paid: _Sum = field(default_factory=_Sum)
    pending: _Sum = field(default_factory=_Sum)
    methods: dict[str, _Sum] = field(default_factory=dict)
    """Of the selected state."""


class _Fees:
    """Fees by currency; `payment_status` selects a state."""

    def __init__(self, payment_status: str) -> None:
        self._selected = (payment_status != "pending", payment_status != "paid")
        self._of_currency: dict[str, _Totals] = {}

    def take(self, currency: str, is_paid: bool, payment_method: str, amount: Decimal, count: int) -> None:
        totals = self._of_currency.get(currency)
        if totals is None:
            totals = self._of_currency[currency] = _Totals()
        (totals.paid if is_paid else totals.pending).take(amount, count)
        if self._selected[not is_paid]:
            totals.methods.setdefault(payment_method, _Sum()).take(amount, count)

    def document(self) -> list[dict[str, Any]]:
        return [self._document(currency, totals) for currency, totals in sorted(self._of_currency.items())]

    def _document(self, currency: str, totals: _Totals) -> dict[str, Any]:
        selected = NOTHING
        for one, chosen in zip((totals.paid, totals.pending), self._selected, strict=True):
            if chosen:
                selected = add(selected, one.amount)
        return {
            "currency": currency,
            "total_revenue": float(selected),
            "paid_revenue": float(totals.paid.amount),
            "pending_revenue": float(totals.pending.amount),
            "paid_count": totals.paid.count,
            "pending_count": totals.pending.count,
            "payment_methods": [
                {"payment_method": method, "amount": float(one.amount), "count": one.count}
                for method, one in sorted(totals.methods.items())
            ],
        }


async def revenue(
    connection: "Connected", question: Question, units: Sequence[CoolingUnit], payment_status: str
) -> list[dict[str, Any]]:
    """An item for each unit."""
    rows = await statements().revenue_of_periods.rows(
        connection, company_id=question.company_id, units=[unit.id for unit in units], **question.parts()
    )
    of_unit: dict[int, list[Any]] = {}
    for row in rows:
        of_unit.setdefault(row[0], []).append(row)
    return [_item(question, unit.id, of_unit.get(unit.id, ()), payment_status) for unit in units]


def _item(question: Question, unit_id: int, rows: Iterable[Any], payment_status: str) -> dict[str, Any]:
    total = _Fees(payment_status)
    periods: dict[int, _Fees] = {}
    for _, place, *fees in rows:
        total.take(*fees)
        if place not in periods:
            periods[place] = _Fees(payment_status)
        periods[place].take(*fees)
    return {
        "cooling_unit_id": unit_id,
        "currency_totals": total.document(),
        "trends": [
            {
                "period_start": days.first,
                "period_end": days.last,
                "currency_totals": periods[place].document() if place in periods else [],
            }
            for place, days in enumerate(question.periods)
        ],
    }
