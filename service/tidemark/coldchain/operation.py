"""Decodes the business operations of cold storage from JSON: an array, or one object per line."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple

import msgspec

from tidemark.base import rules
from tidemark.base.errors import FieldError, invalid
from tidemark.base.rules import MAX_INTEGER, Rule, currency, whole_number
from tidemark.base.time import instant
from tidemark.base.values import Clock, check_instant, parse_instant
from tidemark.bodies.json_errors import explain
from tidemark.bodies.lines import MAX_RECORD, BlankLines, Lines
from tidemark.bodies.outcome import BodyError, Rejection

PIECE_OPERATIONS = 5_000
"""Largest number of operations in one piece of a body."""
MAX_TEXT = 200
"""Maximum length of an id or a crop, in characters."""
MAX_DIGITS = 15
"""Maximum number of significant digits of a JSON number, which many senders treat as a double. Text may have this many
digits on each side of the decimal point."""

_DECIMAL = re.compile(rf"0*([0-9]{{1,{MAX_DIGITS}}})(?:\.([0-9]{{1,{MAX_DIGITS}}})0*)?")
_MAX_DECIMAL_LENGTH = 60

GENDERS = ("female", "male", "other")
USER_TYPES = ("FARMER", "TRADER")
PAYMENT_STATUSES = ("paid", "pending")
PAYMENT_METHODS = ("CASH", "CREDIT_CARD", "QR_CODE", "BANK_TRANSFER", "USSD", "OPAY", "UPI")


class Operation(NamedTuple):
    """One operation. Fields that its type does not have are None; money and weights are exact."""

    id: str
    occurred_at: datetime
    type: str
    cooling_unit_id: int | None = None
    user_id: str | None = None
    gender: str | None = None
    user_type: str | None = None
    crop: str | None = None
    crates: int | None = None
    weight_kg: Decimal | None = None
    amount: Decimal | None = None
    currency: str | None = None
    payment_status: str | None = None
    payment_method: str | None = None
    check_out_id: str | None = None
    quantity_kg: Decimal | None = None
    quantity_below_market_price_kg: Decimal | None = None
    price_per_kg: Decimal | None = None
    loss_kg: Decimal | None = None


@dataclass(slots=True)
class Operations:
    """The operations of one piece of a body, in order."""

    operations: list[Operation] = field(default_factory=list)
    index: list[int] = field(default_factory=list)
    """The position of each operation in the body, counted from 0."""
    rejections: list[Rejection] = field(default_factory=list)


class OperationLines:
    """NDJSON: one operation per line, decoded as it arrives; blank lines do not count."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lines = Lines()
        self._blank = BlankLines()
        self._count = 0

    def feed(self, data: bytes) -> Iterator[Operations]:
        """Take the next bytes. Raises BodyError."""
        for lines in self._lines.feed(data):
            yield from self._decode(lines)

    def flush(self) -> Iterator[Operations]:
        """Decode the complete lines received so far. Raises BodyError."""
        for lines in self._lines.flush():
            yield from self._decode(lines)

    def finish(self) -> Iterator[Operations]:
        """End the body. Raises BodyError."""
        for lines in self._lines.finish():
            yield from self._decode(lines)

    def _decode(self, lines: list[bytes]) -> Iterator[Operations]:
        texts = [line for line in lines if line and not line.isspace()]
        self._blank.note(len(lines) - len(texts), len(texts))
        first, self._count = self._count, self._count + len(texts)
        yield from _pieces(texts, first, self._clock())


class OperationArray:
    """A JSON array of operations, held in memory; the caller limits its size."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._parts: list[bytes] = []

    def feed(self, data: bytes) -> Iterator[Operations]:
        """Take the next bytes; yields nothing before the end."""
        self._parts.append(data)
        return iter(())

    def flush(self) -> Iterator[Operations]:
        """Yields nothing before the end."""
        return iter(())

    def finish(self) -> Iterator[Operations]:
        """End the body. Raises BodyError."""
        body = b"".join(self._parts).removeprefix(b"\xef\xbb\xbf")
        self._parts = []
        if not body or body.isspace():
            raise BodyError("The body is empty; send a JSON array of operations.")
        if body.count(b",") > _MAX_COMMAS:
            raise BodyError("The array is too long for one request; send it in parts, or as NDJSON.")
        try:
            elements = _elements.decode(body)
        except msgspec.ValidationError:
            raise BodyError("The body is not a JSON array of operations.") from None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise BodyError(f"The body is not a JSON document: {explain(error)}.") from None
        yield from _pieces(elements, 0, self._clock())


_MAX_COMMAS = 3_000_000
"""Limit for an array, each of whose elements becomes an object in memory. Even the shortest operations have no more
than one comma per 13 bytes."""
_elements = msgspec.json.Decoder(list[msgspec.Raw])
_document = msgspec.json.Decoder(float_hook=Decimal).decode
"""Keeps all digits of numbers as sent."""


def _pieces(texts: Sequence[bytes | msgspec.Raw], first: int, now: int) -> Iterator[Operations]:
    for start in range(0, len(texts), PIECE_OPERATIONS):
        yield _read(texts[start : start + PIECE_OPERATIONS], first + start, now)


def _read(texts: Sequence[bytes | msgspec.Raw], first: int, now: int) -> Operations:
    piece = Operations()
    for index, text in enumerate(texts, first):
        try:
            operation = read_operation(_decode(text), now)
        except FieldError as error:
            rejection = Rejection(index, error.field, error.message)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, InvalidOperation) as error:
            reason = "a number is out of range" if isinstance(error, InvalidOperation) else explain(error)
            rejection = Rejection(index, "", f"This is not a JSON document: {reason}.")
        else:
            piece.operations.append(operation)
            piece.index.append(index)
            continue
        piece.rejections.append(rejection)
    return piece


def _decode(text: bytes | msgspec.Raw) -> Any:
    """Decode one operation. Raises FieldError if it is too long, because it would take many times as much memory."""
    if len(text) > MAX_RECORD:
        raise invalid(
            "", f"An operation may have at most {MAX_RECORD // 1024 // 1024} MiB of JSON, not {len(text)} bytes."
        )
    return _document(text)


def read_operation(document: Any, now: int) -> Operation:
    """The operation that a JSON object describes; `now` is in microseconds since 1970 UTC. Raises FieldError."""
    if not isinstance(document, dict):
        raise invalid("", "An operation must be a JSON object.")
    kind = rules.one_of("type", document.get("type"), *_TYPES)
    for name in document:
        if name not in Operation._fields:
            raise invalid(name[:100], f"Operations have no field {name[:100]!r}.")
    given = {name: _value(document, name, rule) for name, rule in _TYPES[kind].items()}
    operation = Operation(_value(document, "id", _id), _occurred_at(document.get("occurred_at"), now), kind, **given)
    if operation.quantity_kg is not None and operation.quantity_below_market_price_kg is not None:
        if operation.quantity_kg == 0:
            raise invalid("quantity_kg", "quantity_kg must be greater than 0.")
        if operation.quantity_below_market_price_kg > operation.quantity_kg:
            raise invalid(
                "quantity_below_market_price_kg", "quantity_below_market_price_kg must not exceed quantity_kg."
            )
    return operation


def _value(document: Mapping[str, Any], name: str, rule: Rule) -> Any:
    value = document.get(name)
    if value is None:
        if rule in _NULLABLE:
            return None
        raise invalid(name, f"{name} must not be null." if name in document else f"{name} is missing.")
    return rule(name, value)


def _occurred_at(value: Any, now: int) -> datetime:
    if not isinstance(value, str):
        raise invalid(
            "occurred_at",
            "occurred_at is missing." if value is None else "occurred_at must be text such as 2026-01-31T12:00:00Z.",
        )
    at = parse_instant(value, "occurred_at")
    return instant(check_instant(at, now, "occurred_at", "An operation"))


def _id(name: str, value: Any) -> str:
    """An id chosen by the sender; an integer is treated as its digits."""
    return _text(name, str(value) if isinstance(value, int) and not isinstance(value, bool) else value)


def _text(name: str, value: Any) -> str:
    return rules.text(name, value, MAX_TEXT)


def _crates(name: str, value: Any) -> int:
    """A whole number of crates."""
    number = _decimal(name, value)
    if number != number.to_integral_value() or number > MAX_INTEGER:
        raise invalid(name, f"{name} must be a whole number from 0 to {MAX_INTEGER}.")
    return int(number)


def _decimal(name: str, value: Any) -> Decimal:
    """An exact amount of money or weight, 0 or more, from text or from a number with at most 15 significant digits."""
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        raise invalid(name, f"{name} must be a number, or a number as text.")
    if isinstance(value, str):
        match = _DECIMAL.fullmatch(value) if len(value) <= _MAX_DECIMAL_LENGTH else None
        if match is None:
            raise invalid(
                name,
                f"{name} must be written like 12 or 12.50: 0 or more, "
                f"at most {MAX_DIGITS} digits before the point and {MAX_DIGITS} after it.",
            )
        return Decimal(value)
    if value < 0:
        raise invalid(name, f"{name} must not be negative.")
    _, digits, exponent = Decimal(value).as_tuple()
    assert isinstance(exponent, int)  # JSON has neither infinity nor NaN
    text_of_digits = "".join(map(str, digits))
    significant = text_of_digits.strip("0")
    exponent += len(text_of_digits) - len(text_of_digits.rstrip("0"))
    if len(significant) > MAX_DIGITS:
        raise invalid(name, f"{name} has more than {MAX_DIGITS} significant digits; send it as text.")
    if significant and (exponent + len(significant) > MAX_DIGITS or -exponent > MAX_DIGITS):
        raise invalid(name, f"{name} must have at most {MAX_DIGITS} digits before the point and {MAX_DIGITS} after it.")
    return Decimal(f"{significant}E{exponent}") if significant else Decimal(0)


def _one_of(*allowed: str, nullable: bool = True) -> Rule:
    return lambda name, value: rules.one_of(name, value, *allowed, nullable=nullable)


_gender = _one_of(*GENDERS)
_user_type = _one_of(*USER_TYPES)
_payment_method = _one_of(*PAYMENT_METHODS)
_NULLABLE = frozenset((_gender, _user_type, _payment_method))

_WHO_AND_WHERE: dict[str, Rule] = {"user_id": _id, "cooling_unit_id": whole_number}
_MOVEMENT: dict[str, Rule] = {**_WHO_AND_WHERE, "crop": _text, "crates": _crates, "weight_kg": _decimal}
_TYPES: dict[str, dict[str, Rule]] = {
    "user_registered": {**_WHO_AND_WHERE, "gender": _gender, "user_type": _user_type},
    "user_deactivated": {"user_id": _id},
    "check_in": _MOVEMENT,
    "check_out": {
        **_MOVEMENT,
        "amount": _decimal,
        "currency": currency,
        "payment_status": _one_of(*PAYMENT_STATUSES, nullable=False),
        "payment_method": _payment_method,
    },
    "payment": {"check_out_id": _id, "payment_method": _payment_method},
    "baseline_survey": {
        **_WHO_AND_WHERE,
        "crop": _text,
        "quantity_kg": _decimal,
        "quantity_below_market_price_kg": _decimal,
        "price_per_kg": _decimal,
        "currency": currency,
    },
    "market_survey": {
        **_WHO_AND_WHERE,
        "crop": _text,
        "price_per_kg": _decimal,
        "loss_kg": _decimal,
        "currency": currency,
    },
}
