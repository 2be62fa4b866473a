"""The figures of cold storage, computed from the operations in plain Python as defined: slow and obvious."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from fractions import Fraction
from typing import Any, TypeAlias
from zoneinfo import ZoneInfo

Operation: TypeAlias = dict[str, Any]
Item: TypeAlias = dict[str, Any]

HOUSEHOLDS = {"NG": Fraction("4.7"), "IN": Fraction("4.4"), "PH": Fraction("4.2")}
CO2 = Fraction("0.21268517")


def truncated(value: Fraction) -> Fraction:
    """A nonnegative quotient, truncated to 18 decimals."""
    return Fraction(value * 10**18 // 1, 10**18)


def money(value: Any) -> Fraction:
    """The exact value of a number or of text."""
    return Fraction(str(value))


@dataclass
class Company:
    """A company with all its operations by id."""

    country: str | None
    currency: str
    timezone: str
    units: dict[int, int | None]
    """Capacities in crates."""
    operations: dict[str, Operation] = field(default_factory=dict)

    def today(self) -> date:
        """The current date in the company's time zone."""
        return datetime.now(ZoneInfo(self.timezone)).date()

    def day(self, operation: Operation) -> date:
        """The date of an operation in the company's time zone."""
        return self._instant(operation).astimezone(ZoneInfo(self.timezone)).date()

    def answer(self, endpoint: str, units: Iterable[int], first: date, last: date, period: str, **more: Any) -> Any:
        """The items that an endpoint should return."""
        figures = getattr(self, endpoint)
        return [
            {
                "cooling_unit_id": unit,
                **figures(unit, first, last, **more),
                "trends": [
                    {
                        "period_start": start.isoformat(),
                        "period_end": end.isoformat(),
                        **figures(unit, start, end, **more),
                    }
                    for start, end in periods(first, last, period)
                ],
            }
            for unit in sorted(units)
        ]

    def users(self, unit: int, first: date, last: date) -> Item:
        """The figures of a window."""
        registered = {one["user_id"] for one in self._of("user_registered", unit) if self.day(one) <= last} - {
            one["user_id"] for one in self._of("user_deactivated") if self.day(one) <= last
        }
        known: dict[str, Operation] = {}
        for one in sorted(self._of("user_registered"), key=self._order):
            known[one["user_id"]] = one
        active = self._active(unit, first, last)
        genders = [known.get(user, {}).get("gender") or "other" for user in active]
        types = [known.get(user, {}).get("user_type") or "unspecified" for user in active]
        return {
            "registered_users": len(registered),
            "active_users": len(active),
            "new_signups": len({one["user_id"] for one in self._of("user_registered", unit, first, last)}),
            "active_by_gender": {name: genders.count(name) for name in ("female", "male", "other")},
            "active_by_type": {name: types.count(name) for name in ("FARMER", "TRADER", "unspecified")},
        }

    def utilization(self, unit: int, first: date, last: date) -> Item:
        """The figures of a window."""
        moves = [
            (self.day(one), one, 1 if one["type"] == "check_in" else -1)
            for one in (*self._of("check_in", unit), *self._of("check_out", unit))
        ]
        capacity = self.units[unit]
        days = [day for day in each_day(first, last) if day <= self.today()]
        rate = None
        if capacity is not None and days:
            stocks = [sum(sign * int(one["crates"]) for when, one, sign in moves if when <= day) for day in days]
            rate = float(Fraction(100 * sum(stocks), len(stocks) * capacity))
        ins, outs = (
            [one for when, one, sign in moves if sign == wanted and first <= when <= last] for wanted in (1, -1)
        )
        return {
            "utilization_rate": rate,
            "check_ins": len(ins),
            "check_outs": len(outs),
            "crates_in": sum(int(one["crates"]) for one in ins),
            "crates_out": sum(int(one["crates"]) for one in outs),
            "kg_in": float(sum(money(one["weight_kg"]) for one in ins)),
            "kg_out": float(sum(money(one["weight_kg"]) for one in outs)),
            "crates_stored": sum(sign * int(one["crates"]) for when, one, sign in moves if when <= last),
            "kg_stored": float(sum(sign * money(one["weight_kg"]) for when, one, sign in moves if when <= last)),
            "capacity_crates": capacity,
            "capacity_kg": None,
        }

    def revenue(self, unit: int, first: date, last: date, payment_status: str = "all") -> Item:
        """The figures of a window."""
        payments: dict[str, Operation] = {}
        for one in sorted(self._of("payment"), key=self._order):
            payments[one["check_out_id"]] = one
        totals: dict[str, Any] = {}
        for one in self._of("check_out", unit, first, last):
            payment = payments.get(one["id"])
            state = "paid" if payment is not None or one["payment_status"] == "paid" else "pending"
            method = (payment or {}).get("payment_method") or one.get("payment_method") or "UNKNOWN"
            of_currency = totals.setdefault(one["currency"], {"paid": [], "pending": [], "methods": {}})
            of_currency[state].append(money(one["amount"]))
            if payment_status in (state, "all"):
                of_currency["methods"].setdefault(method, []).append(money(one["amount"]))
        return {
            "currency_totals": [
                {
                    "currency": currency,
                    "total_revenue": float(
                        sum(sum(found[state]) for state in ("paid", "pending") if payment_status in (state, "all"))
                    ),
                    "paid_revenue": float(sum(found["paid"])),
                    "pending_revenue": float(sum(found["pending"])),
                    "paid_count": len(found["paid"]),
                    "pending_count": len(found["pending"]),
                    "payment_methods": [
                        {"payment_method": method, "amount": float(sum(amounts)), "count": len(amounts)}
                        for method, amounts in sorted(found["methods"].items())
                    ],
                }
                for currency, found in sorted(totals.items())
            ]
        }

    def impact(self, unit: int, first: date, last: date) -> Item:
        """The figures of a window."""
        prevented = income = baseline_loss = loss = weight = Fraction(0)
        count = 0
        for month_first, month_last in months_around(first, last):
            groups: dict[tuple[str, str], list[Operation]] = {}
            for one in self._of("market_survey", unit, month_first, month_last):
                if one["currency"] == self.currency:
                    groups.setdefault((one["user_id"], one["crop"]), []).append(one)
            for (user, crop), surveys in groups.items():
                baselines = [
                    one
                    for one in self._of("baseline_survey", unit, date.min, month_last)
                    if (one["user_id"], one["crop"], one["currency"]) == (user, crop, self.currency)
                ]
                if not baselines:
                    continue
                baseline = max(baselines, key=self._order)
                share = truncated(money(baseline["quantity_below_market_price_kg"]) / money(baseline["quantity_kg"]))
                price = truncated(sum((money(one["price_per_kg"]) for one in surveys), Fraction(0)) / len(surveys))
                taken = sum(
                    money(one["weight_kg"])
                    for one in self._of("check_out", unit, max(first, month_first), min(last, month_last))
                    if (one["user_id"], one["crop"]) == (user, crop)
                )
                lost = sum(money(one["loss_kg"]) for one in surveys if first <= self.day(one) <= last)
                prevented += share * taken - lost
                income += (price - money(baseline["price_per_kg"])) * (taken - lost)
                baseline_loss += share * taken
                loss += lost
                weight += taken
                count += len(surveys)
        served = HOUSEHOLDS.get(self.country or "", Fraction(3)) * len(self._active(unit, first, last))
        return {
            "food_loss_prevented_kg": float(prevented) if count else None,
            "income_increase": float(income) if count else None,
            "currency": self.currency,
            "baseline_loss_pct": float(100 * baseline_loss / weight) if count and weight else None,
            "current_loss_pct": float(100 * loss / weight) if count and weight else None,
            "co2_avoided_kg": float(CO2 * prevented) if count else None,
            "community_served": float(served),
            "survey_count": count,
        }

    def _active(self, unit: int, first: date, last: date) -> set[str]:
        return {one["user_id"] for kind in ("check_in", "check_out") for one in self._of(kind, unit, first, last)}

    def _of(self, kind: str, unit: int | None = None, first: date = date.min, last: date = date.max) -> list[Operation]:
        return [
            one
            for one in self.operations.values()
            if one["type"] == kind
            and (unit is None or one["cooling_unit_id"] == unit)
            and first <= self.day(one) <= last
        ]

    def _order(self, operation: Operation) -> tuple[datetime, str]:
        return self._instant(operation), operation["id"]

    @staticmethod
    def _instant(operation: Operation) -> datetime:
        return datetime.fromisoformat(operation["occurred_at"])


def each_day(first: date, last: date) -> list[date]:
    """All days, both ends inclusive."""
    return [first + timedelta(days=number) for number in range((last - first).days + 1)]


def periods(first: date, last: date, period: str) -> list[tuple[date, date]]:
    """The first and last day of each period."""
    groups: dict[Any, list[date]] = {}
    for day in each_day(first, last):
        key: Any = {"day": day, "week": day.isocalendar()[:2], "month": (day.year, day.month)}[period]
        groups.setdefault(key, []).append(day)
    return [(days[0], days[-1]) for days in groups.values()]


def months_around(first: date, last: date) -> list[tuple[date, date]]:
    """The whole months that a window overlaps."""
    after = (last.replace(day=28) + timedelta(days=4)).replace(day=1)
    return periods(first.replace(day=1), after - timedelta(days=1), "month")
