"""What JSON, NDJSON and CSV share: records of named fields, turned into columns.

Whole columns are converted at once. Whatever that leaves in doubt, row by row, goes through the rules for single
values, which either take it or say what is wrong with it.
"""

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias, cast

import numpy as np
import polars as pl

from tidemark.base.errors import FieldError
from tidemark.base.values import (
    MAX_AHEAD,
    MAX_VALUE,
    check_instant,
    has_control,
    is_number,
    parse_epoch,
    parse_instant,
    parse_value,
)
from tidemark.bodies.outcome import Rejection
from tidemark.readings.columns import Columns, Floats, Integers
from tidemark.readings.optional_columns import (
    OPTIONAL,
    Array,
    JsonColumn,
    NumberColumn,
    OptionalColumn,
    OptionalValue,
)
from tidemark.readings.reading import Reading
from tidemark.readings.wire.instants import Flags, parse_epochs, parse_instants
from tidemark.readings.wire.piece import Piece

Number: TypeAlias = str | float

REQUIRED = ("sensor", "timestamp", "value")
FIELDS = (*REQUIRED, *(column.name for column in OPTIONAL))
"""The fields of a record, and the columns of a file."""

_NUMBER_CHARACTERS = b"0123456789+-.eE"
_LONGEST_NUMBER = 400


@dataclass(slots=True)
class Records:
    """Records as a format hands them over: texts as they stood there, one list for each field, all alike in length."""

    index: Sequence[int]
    """Which record of the body each one is, counted from 0."""
    sensor: list[str]
    timestamp: list[str]
    value: Sequence[Number]
    optional: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    """The optional columns that may have values, as they were sent; None where a record has none."""


def read_record(records: Records, row: int, now: int, unit: str | None = None) -> Reading:
    """One record by the rules for single values; `now` in microseconds since 1970 UTC, `unit` as in `to_columns`.

    Raises FieldError.
    """
    return Reading(
        _check_sensor(records.sensor[row]),
        check_instant(_instant(records.timestamp[row], unit), now),
        parse_value(records.value[row]),
        tuple([_read_optional(column, records.optional.get(column.name), row) for column in OPTIONAL]),
    )


def _read_optional(column: OptionalColumn, sent: Sequence[Any] | None, row: int) -> OptionalValue:
    return None if sent is None or sent[row] is None else column.parse(sent[row])


def to_columns(records: Records, rejections: list[Rejection], now: int, unit: str | None = None) -> Piece:
    """Check and convert records; those of the piece that were no records at all come as `rejections`.

    `now` is the server's clock in microseconds since 1970 UTC; `unit` (see `EPOCH_UNITS`) is that of timestamps that
    are numbers, which are refused where it is None.
    """
    at, good = _instants(records.timestamp, unit)
    good &= (at >= 0) & (at <= now + MAX_AHEAD)
    good &= _good_sensors(records.sensor)
    value = _numbers(records.value)
    good &= np.abs(value) <= MAX_VALUE
    columns = Columns(at=at, value=value, optional=_optional(records, good))

    refused = list(rejections)
    kept = np.ones(len(columns), np.bool_)
    for row in np.flatnonzero(~good).tolist():
        try:
            _put(columns, row, read_record(records, row, now, unit))
        except FieldError as error:
            refused.append(Rejection(records.index[row], error.field, error.message))
            kept[row] = False
    refused.sort(key=lambda rejection: rejection.index)

    sensors = records.sensor
    index = np.fromiter(records.index, np.int64, len(columns))
    if not kept.all():
        sensors = [sensors[row] for row in np.flatnonzero(kept)]
        columns, index = columns.take(kept), index[kept]
    positions = {name: position for position, name in enumerate(dict.fromkeys(sensors))}
    return Piece(
        names=list(positions),
        sensor=np.fromiter(map(positions.__getitem__, sensors), np.int32, len(sensors)),
        at=columns.at,
        value=columns.value,
        optional={
            column.name: array
            for column in OPTIONAL
            if (array := columns.optional.get(column.name)) is not None and not column.is_empty(array)
        },
        index=index,
        rejections=refused,
        rejected=len(refused),
    )


def _put(columns: Columns, row: int, reading: Reading) -> None:
    """Set a row that was in doubt."""
    columns.at[row] = reading.at
    columns.value[row] = reading.value
    # Where the reading has no optional value, the column has none either, or there is no column.
    for column, exact in zip(OPTIONAL, reading.optional, strict=True):
        if exact is not None:
            columns.optional[column.name][row] = exact


def needs_unit(shown: str) -> FieldError:
    """The error for a timestamp that is a number where the request does not say which unit it has."""
    return FieldError(
        "timestamp",
        f"{shown} is taken with the query parameter timestamp_unit (s, ms, us or ns) alone; "
        "without it, write ISO 8601 such as 2020-10-13T14:02:39.489Z.",
    )


def _instant(text: str, unit: str | None) -> int:
    if not is_number(text):
        return parse_instant(text)
    if unit is None:
        raise needs_unit(f"The number {text[:50]}")
    return parse_epoch(text, unit)


def _instants(texts: list[str], unit: str | None) -> tuple[Integers, Flags]:
    """Instants of `_instant`, and which of them are known."""
    if unit is None:
        return parse_instants(texts)
    at, known = parse_epochs(texts, unit)
    others = np.flatnonzero(~known)
    if len(others):
        known = known.copy()
        at[others], known[others] = parse_instants([texts[row] for row in others])
    return at, known


def _check_sensor(name: str) -> str:
    if not name:
        raise FieldError("sensor", "The sensor's id is missing.")
    if has_control(name):
        raise FieldError("sensor", "A sensor's id cannot contain control characters.")
    return name


def _good_sensors(names: list[str]) -> Flags | bool:
    bad = {name for name in set(names) if not name or has_control(name)}
    return np.array([name not in bad for name in names], np.bool_) if bad else True


def _numbers(values: Sequence[Number]) -> Floats:
    """Doubles; NaN where a value is no number, or one that only the exact path can judge."""
    try:
        numbers = np.array(array("d", cast("Sequence[float]", values)))  # raises TypeError at a text
    except TypeError:
        try:
            numbers = _plain_numbers(cast("Sequence[str]", values))
        except (TypeError, ValueError):  # numbers among the texts, or texts that are none
            numbers = np.array([_number_or_nan(value) for value in values], np.float64)
    return numbers


def _plain_numbers(texts: Sequence[str]) -> Floats:
    """Without other characters than these, a cast takes exactly the numbers that `parse_number` takes."""
    other = "".join(texts).encode("utf-8", "replace").translate(None, _NUMBER_CHARACTERS)
    if other or max(map(len, texts)) > _LONGEST_NUMBER:
        raise ValueError
    return pl.Series(texts, dtype=pl.String).cast(pl.Float64, strict=False).fill_null(np.nan).to_numpy(writable=True)


def _number_or_nan(value: Number) -> float:
    try:
        return parse_value(value)
    except FieldError:
        return np.nan


def _optional(records: Records, good: Flags) -> dict[str, Array]:
    """The optional columns that some record has; removes records in doubt from `good`."""
    return {
        column.name: _convert(column, sent, good)
        for column in OPTIONAL
        if (sent := records.optional.get(column.name)) is not None and sent.count(None) < len(sent)
    }


def _convert(column: OptionalColumn, sent: Sequence[Any], good: Flags) -> Array:
    return _documents(column, sent, good) if isinstance(column, JsonColumn) else _optional_numbers(column, sent, good)


def _optional_numbers(column: NumberColumn, values: Sequence[Number | None], good: Flags) -> Floats:
    present = [row for row, value in enumerate(values) if value is not None]
    numbers = _numbers([value for value in values if value is not None])
    array = np.full(len(values), column.absent)
    array[present] = numbers
    good[present] &= np.abs(numbers) <= column.largest
    return array


def _documents(column: JsonColumn, sent: Sequence[Any], good: Flags) -> Array:
    texts: list[str | None] = [None] * len(sent)
    for row, document in enumerate(sent):
        if document is None:
            continue
        try:
            texts[row] = column.parse(document)
        except FieldError:
            good[row] = False
    return np.array(texts, dtype=column.dtype)
