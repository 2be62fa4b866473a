"""What JSON, NDJSON and CSV share: records of named fields, turned into columns.

Whole columns are converted at once. Whatever that leaves in doubt, row by row, goes through the rules for single
values, which either take it or say what is wrong with it.
"""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias, cast

import numpy as np
import polars as pl

from tidemark.base.errors import FieldError
from tidemark.base.values import (
    MAX_AHEAD,
    MAX_VALUE,
    check_instant,
    compact_json,
    has_control,
    is_number,
    parse_epoch,
    parse_instant,
    parse_latitude,
    parse_longitude,
    parse_value,
)
from tidemark.bodies.outcome import Rejection
from tidemark.readings.columns import Columns, Floats, Integers
from tidemark.readings.wire.instants import Flags, parse_epochs, parse_instants

Number: TypeAlias = str | float

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
    latitude: Sequence[Number | None] | None = None
    """None where no record has the field. The three below are alike."""
    longitude: Sequence[Number | None] | None = None
    x_axis_value: Sequence[Number | None] | None = None
    metadata: Sequence[bytes | None] | None = None
    """JSON as it was sent."""


class ExactReading(NamedTuple):
    """A reading that the rules for single values have let pass; units as in `Columns`."""

    sensor: str
    at: int
    value: float
    latitude: float | None
    longitude: float | None
    x_axis_value: float | None
    metadata: str | None


def read_record(records: Records, row: int, now: int, unit: str | None = None) -> ExactReading:
    """One record by the rules for single values; `now` in microseconds since 1970 UTC, `unit` as in `to_columns`.

    Raises FieldError.
    """
    latitude = None if records.latitude is None else records.latitude[row]
    longitude = None if records.longitude is None else records.longitude[row]
    x_axis_value = None if records.x_axis_value is None else records.x_axis_value[row]
    return ExactReading(
        _check_sensor(records.sensor[row]),
        check_instant(_instant(records.timestamp[row], unit), now),
        parse_value(records.value[row]),
        None if latitude is None else parse_latitude(latitude),
        None if longitude is None else parse_longitude(longitude),
        None if x_axis_value is None else parse_value(x_axis_value, "x_axis_value"),
        None if records.metadata is None else _read_metadata(records.metadata[row]),
    )


def to_columns(records: Records, rejections: list[Rejection], now: int, unit: str | None = None) -> Columns:
    """Check and convert records; those of the piece that were no records at all come as `rejections`.

    `now` is the server's clock in microseconds since 1970 UTC; `unit` (see `EPOCH_UNITS`) is that of timestamps that
    are numbers, which are refused where it is None.
    """
    rows = len(records.index)
    at, good = _instants(records.timestamp, unit)
    good &= (at >= 0) & (at <= now + MAX_AHEAD)
    good &= _good_sensors(records.sensor)
    value = _numbers(records.value)
    good &= np.abs(value) <= MAX_VALUE
    latitude = _optional_numbers(records.latitude, 90, good)
    longitude = _optional_numbers(records.longitude, 180, good)
    x_axis_value = _optional_numbers(records.x_axis_value, MAX_VALUE, good)
    metadata = _optional_metadata(records.metadata, good)

    refused = list(rejections)
    kept = np.ones(rows, np.bool_)
    for row in np.flatnonzero(~good).tolist():
        try:
            reading = read_record(records, row, now, unit)
        except FieldError as error:
            refused.append(Rejection(records.index[row], error.field, error.message))
            kept[row] = False
            continue
        at[row] = reading.at
        value[row] = reading.value
        # What the columns leave in doubt is NaN or None there, so only what is present has to be put in.
        for column, exact in (
            (latitude, reading.latitude),
            (longitude, reading.longitude),
            (x_axis_value, reading.x_axis_value),
        ):
            if column is not None and exact is not None:
                column[row] = exact
        if metadata is not None:
            metadata[row] = reading.metadata
    refused.sort(key=lambda rejection: rejection.index)

    sensors = records.sensor
    index = np.fromiter(records.index, np.int64, rows)
    if not kept.all():
        taken = np.flatnonzero(kept)
        sensors = [sensors[row] for row in taken]
        index, at, value = index[taken], at[taken], value[taken]
        latitude, longitude, x_axis_value = (
            None if column is None else column[taken] for column in (latitude, longitude, x_axis_value)
        )
        metadata = metadata and [metadata[row] for row in taken]
    positions = {name: position for position, name in enumerate(dict.fromkeys(sensors))}
    return Columns(
        names=list(positions),
        sensor=np.fromiter(map(positions.__getitem__, sensors), np.int32, len(sensors)),
        at=at,
        value=value,
        index=index,
        latitude=_unless_empty(latitude),
        longitude=_unless_empty(longitude),
        x_axis_value=_unless_empty(x_axis_value),
        metadata=metadata if metadata is not None and any(text is not None for text in metadata) else None,
        rejections=refused,
        rejected=len(refused),
    )


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


def _optional_numbers(values: Sequence[Number | None] | None, largest: float, good: Flags) -> Floats | None:
    """A column with NaN where a record has no value; takes those in doubt out of `good`."""
    if values is None or values.count(None) == len(values):
        return None
    present = [row for row, value in enumerate(values) if value is not None]
    numbers = _numbers([value for value in values if value is not None])
    column = np.full(len(values), np.nan)
    column[present] = numbers
    good[present] &= np.abs(numbers) <= largest
    return column


def _optional_metadata(texts: Sequence[bytes | None] | None, good: Flags) -> list[str | None] | None:
    """Compact JSON, None where a record has none; takes those in doubt out of `good`."""
    if texts is None or not any(texts):
        return None
    column: list[str | None] = [None] * len(texts)
    for row, text in enumerate(texts):
        try:
            column[row] = _read_metadata(text)
        except FieldError:
            good[row] = False
    return column


def _read_metadata(text: bytes | None) -> str | None:
    if text is None:
        return None
    compact = compact_json(text)
    return None if compact == "null" else compact


def _unless_empty(column: Floats | None) -> Floats | None:
    return None if column is None or np.isnan(column).all() else column
