"""A made-up but plausible year of cold storage in Nigeria: cooling units, their users, and what the users do.

Everything is derived from a unit's number and the year, so every run generates the same operations, and units can be
generated independently. docs/commands.md describes the data.
"""

import random
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, TypeAlias

Operation: TypeAlias = dict[str, Any]

UNITS = 200
USERS = 100
"""Number of users who register at each unit."""
YEAR = 2025
SEED = 20250101
ORGANIZATION = {"country": "NG", "currency": "NGN", "timezone": "Africa/Lagos"}
LOCATIONS = ("Kano", "Kaduna", "Jos", "Ibadan", "Lagos", "Enugu", "Makurdi", "Sokoto", "Yola", "Benin City")
_UTC_OFFSET = timedelta(hours=1)  # Lagos, all year

# For each crop: relative harvest in each month, kg per crate, price per kg, shortest and longest storage in days.
_CROPS: dict[str, tuple[tuple[int, ...], int, int, tuple[int, int]]] = {
    "tomato": ((9, 9, 8, 5, 3, 2, 2, 3, 4, 5, 7, 9), 25, 480, (2, 9)),
    "pepper": ((5, 4, 3, 3, 4, 5, 7, 8, 9, 8, 6, 5), 15, 900, (2, 10)),
    "mango": ((1, 2, 5, 9, 9, 6, 2, 1, 1, 1, 1, 1), 22, 350, (3, 14)),
    "onion": ((3, 6, 9, 9, 6, 3, 2, 2, 2, 2, 2, 2), 30, 300, (10, 40)),
    "spinach": ((4, 4, 4, 5, 6, 7, 7, 7, 6, 5, 4, 4), 8, 420, (1, 4)),
}
_METHODS = ("CASH", "BANK_TRANSFER", "USSD", "OPAY", "CREDIT_CARD", "QR_CODE", None)
_METHOD_WEIGHTS = (50, 20, 12, 10, 3, 3, 2)


@dataclass
class Fees:
    """Sums of fees in one currency."""

    paid: Decimal = Decimal(0)
    pending: Decimal = Decimal(0)


@dataclass
class Expected:
    """The figures of a unit's year, computed from its operations alone."""

    check_ins: int = 0
    check_outs: int = 0
    crates_in: int = 0
    crates_out: int = 0
    kg_in: Decimal = Decimal(0)
    kg_out: Decimal = Decimal(0)
    registered: set[str] = field(default_factory=set)
    active: set[str] = field(default_factory=set)
    fees: dict[str, Fees] = field(default_factory=lambda: defaultdict(Fees))


def unit(number: int) -> dict[str, Any]:
    """The fields of a cooling unit, numbered from 1; its location is an index into LOCATIONS, also from 1."""
    draw = random.Random(f"{SEED} unit {number}")  # noqa: S311 - demo data, not a secret
    crates = draw.choice((120, 160, 200, 300))
    location = 1 + (number - 1) % len(LOCATIONS)
    return {
        "id": number,
        "name": f"Cold room {number}, {LOCATIONS[location - 1]}",
        "location_id": location,
        "capacity_crates": crates,
        "capacity_kg": crates * 20,
    }


def operations(number: int, year: int = YEAR, *, new_users: bool = True) -> list[Operation]:
    """All operations of a unit in a year, by time. Without `new_users`, the users of YEAR are there from the start."""
    draw = random.Random(f"{SEED} year {year} of {number}")  # noqa: S311 - demo data, not a secret
    currency = "XOF" if number % 25 == 0 else "NGN"  # a few units are at the border
    made: list[Operation] = []
    begin = datetime(year, 1, 1, tzinfo=UTC) - _UTC_OFFSET

    def add(kind: str, at: datetime, **fields: Any) -> str:
        operation_id = f"{year}-{number}-{len(made)}"
        made.append({"id": operation_id, "type": kind, "occurred_at": at.isoformat(), **fields})
        return operation_id

    for index in range(USERS):
        user = {"user_id": f"user-{number}-{index}", "cooling_unit_id": number}
        joined = int(365 * draw.random() ** 3) if new_users else 0
        left = 365 if draw.random() > 0.04 else draw.randrange(joined, 365)
        crop, second = draw.sample(list(_CROPS), 2)
        if new_users:
            gender = draw.choices(("female", "male", "other", None), (46, 50, 1, 3))[0]
            add(
                "user_registered",
                _at(begin, joined, 7, draw),
                **user,
                gender=gender,
                user_type=draw.choices(("FARMER", "TRADER", None), (60, 35, 5))[0],
            )
            if left < 365:
                add("user_deactivated", _at(begin, left, 20, draw), user_id=user["user_id"])
            if draw.random() < 0.4:
                quantity = draw.randrange(4_000, 90_000)
                add(
                    "baseline_survey",
                    _at(begin, joined, 8, draw),
                    **user,
                    crop=crop,
                    quantity_kg=quantity / 100,
                    quantity_below_market_price_kg=draw.randrange(quantity // 2) / 100,
                    price_per_kg=int(_CROPS[crop][2] * draw.uniform(0.5, 0.8)),
                    currency="NGN",
                )
        eager = draw.expovariate(1) + 0.2
        for month in range(12):
            first = (datetime(year, month + 1, 1, tzinfo=UTC) - datetime(year, 1, 1, tzinfo=UTC)).days
            of_month = second if draw.random() < 0.2 else crop
            harvest, kg, price, (shortest, longest) = _CROPS[of_month]
            for _ in range(min(12, round(harvest[month] * eager * draw.uniform(0, 0.5)))):
                day = first + draw.randrange(28)
                if not joined <= day < left:
                    continue
                crates = draw.randrange(1, 9)
                what = {**user, "crop": of_month, "crates": crates}
                add("check_in", _at(begin, day, 6, draw), **what, weight_kg=f"{crates * kg * draw.uniform(0.8, 1):.2f}")
                out = day + draw.randint(shortest, longest)
                if out >= 365:
                    continue
                paid = draw.random() < 0.6
                method = draw.choices(_METHODS, _METHOD_WEIGHTS)[0] if paid else None
                check_out = add(
                    "check_out",
                    _at(begin, out, 14, draw),
                    **what,
                    weight_kg=f"{crates * kg * draw.uniform(0.7, 0.8):.2f}",
                    amount=f"{crates * (out - day) * draw.choice((25, 30, 37.5)):.2f}",
                    currency=currency,
                    payment_status="paid" if paid else "pending",
                    payment_method=method,
                )
                if not paid and draw.random() < 0.75 and out + 3 < 365:
                    add(
                        "payment",
                        _at(begin, out + 3, 9, draw),
                        check_out_id=check_out,
                        payment_method=draw.choices(_METHODS, _METHOD_WEIGHTS)[0],
                    )
                if draw.random() < 0.05:
                    add(
                        "market_survey",
                        _at(begin, out, 18, draw),
                        **user,
                        crop=of_month,
                        price_per_kg=int(price * draw.uniform(0.9, 1.6)),
                        loss_kg=f"{crates * kg * draw.uniform(0, 0.1):.2f}",
                        currency="NGN",
                    )
    return sorted(made, key=lambda one: str(one["occurred_at"]))


def expected(played: list[Operation]) -> Expected:
    """The figures of these operations, where users register at the unit itself and payments are for its check-outs."""
    found = Expected()
    paid = {one["check_out_id"] for one in played if one["type"] == "payment"}
    for one in played:
        match one["type"]:
            case "user_registered":
                found.registered.add(one["user_id"])
            case "check_in":
                found.active.add(one["user_id"])
                found.check_ins += 1
                found.crates_in += one["crates"]
                found.kg_in += Decimal(one["weight_kg"])
            case "check_out":
                found.active.add(one["user_id"])
                found.check_outs += 1
                found.crates_out += one["crates"]
                found.kg_out += Decimal(one["weight_kg"])
                fees = found.fees[one["currency"]]
                if one["payment_status"] == "paid" or one["id"] in paid:
                    fees.paid += Decimal(one["amount"])
                else:
                    fees.pending += Decimal(one["amount"])
    found.registered -= {one["user_id"] for one in played if one["type"] == "user_deactivated"}
    return found


def _at(begin: datetime, day: int, hour: int, draw: random.Random) -> datetime:
    """A random second in the four hours from `hour`."""
    return begin + timedelta(days=day, hours=hour, seconds=draw.randrange(4 * 3600 - 1))
