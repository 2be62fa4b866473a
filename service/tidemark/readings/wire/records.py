"""Shared by JSON, NDJSON and CSV: converts records with named fields to columns.

Whole columns are converted at once. Rows that this leaves in doubt go one by one through the rules for single values,
which either accept a row or say what is wrong with it.
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
"""The fields of a record, which are also the columns of a file."""

_NUMBER_CHARACTERS = b"0123456789+-.eE"
_LONGEST_NUMBER = 400


@dataclass(slots=True)
class Records:
    """Records as a format provides them: a list for each field, all of the same length, with texts as sent."""

    index: Sequence[int]
    """The position of each record in the body, counted from 0."""
    sensor: list[str]
    timestamp: list[str]
    value: Sequence[Number]
    optional: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    """The optional columns that may have values, with the values as they were sent; None for a record without one."""


def read_record(records: Records, row: int, now: int, unit: str | None = None) -> Reading:
    """Read one record by the rules for single values. Raises FieldError.

    `now` is in microseconds since 1970 UTC; `unit` is as in `to_columns`.
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
    """Check and convert records; `rejections` has the ones of the piece that could not even be decoded.

    `now` is the server's clock in microseconds since 1970 UTC. `unit` (see `EPOCH_UNITS`) is the unit of numeric
    timestamps; if it is None, numeric timestamps are rejected.
    """
    at, good = _instants(records.timestamp, unit)
    good &= (at >= 0) & (at <= now + MAX_AHEAD)
    good &= _good_sensors(records.sensor)
    value = _numbers(records.value)
    good &= np.abs(value) <= MAX_VALUE
    columns = Columns(at=at, value=value, optional=_optional(records, good))

    rejected = list(rejections)
    kept = np.ones(len(columns), np.bool_)
    for row in np.flatnonzero(~good).tolist():
        try:
            _put(columns, row, read_record(records, row, now, unit))
        except FieldError as error:
            rejected.append(Rejection(records.index[row], error.field, error.message))
            kept[row] = False
    rejected.sort(key=lambda rejection: rejection.index)

    sensors = records.sensor
    index = _index(records.index)
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
        rejections=rejected,
        rejected=len(rejected),
    )


def _index(positions: Sequence[int]) -> Integers:
    if isinstance(positions, range):
        return np.arange(positions.start, positions.stop, dtype=np.int64)
    return np.fromiter(positions, np.int64, len(positions))


def _put(columns: Columns, row: int, reading: Reading) -> None:
    """Set a row that was in doubt to the reading that the rules for single values returned."""
    columns.at[row] = reading.at
    columns.value[row] = reading.value
    # If the reading has no value for an optional column, the column has none either, or does not exist.
    for column, exact in zip(OPTIONAL, reading.optional, strict=True):
        if exact is not None:
            columns.optional[column.name][row] = exact


def needs_unit(shown: str) -> FieldError:
    """The error for a numeric timestamp if the request does not give its unit; `shown` begins the message."""
    return FieldError(
        "timestamp",
        f"{shown} is accepted only with the query parameter timestamp_unit (s, ms, us or ns); "
        "without it, send ISO 8601 such as 2020-10-13T14:02:39.489Z.",
    )


def _instant(text: str, unit: str | None) -> int:
    if not is_number(text):
        return parse_instant(text)
    if unit is None:
        raise needs_unit(f"The number {text[:50]}")
    return parse_epoch(text, unit)


def _instants(texts: list[str], unit: str | None) -> tuple[Integers, Flags]:
    """The instants that `_instant` returns, and flags that tell which of them are known."""
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
    """Convert values to doubles; NaN for a value that is not a number, or that only the exact path can judge."""
    try:
        numbers = np.array(array("d", cast("Sequence[float]", values)))  # raises TypeError for a text
    except TypeError:
        try:
            numbers = plain_numbers(cast("Sequence[str]", values))
        except (TypeError, ValueError):  # numbers mixed with texts, or texts that are not numbers
            numbers = np.array([_number_or_nan(value) for value in values], np.float64)
    return numbers


def plain_numbers(texts: Sequence[str] | pl.Series) -> Floats:
    """Convert texts of `_NUMBER_CHARACTERS` only: for these, a cast accepts exactly what `parse_number` accepts.

    NaN for a text that is no number. Raises ValueError for any other text.
    """
    column = texts if isinstance(texts, pl.Series) else pl.Series(texts, dtype=pl.String)
    other = column.str.join("").item().encode().translate(None, _NUMBER_CHARACTERS)
    if other or (column.str.len_bytes() > _LONGEST_NUMBER).any():
        raise ValueError
    return column.cast(pl.Float64, strict=False).fill_null(np.nan).to_numpy(writable=True)


def _number_or_nan(value: Number) -> float:
    try:
        return parse_value(value)
    except FieldError:
        return np.nan


def _optional(records: Records, good: Flags) -> dict[str, Array]:
    """The optional columns that at least one record has; clears the flags in `good` of records in doubt."""
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
