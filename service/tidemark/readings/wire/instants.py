"""Parses the timestamps of many readings at once: the common forms of ISO 8601, and plain epoch numbers."""

import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from tidemark.base.values import EPOCH_UNITS
from tidemark.readings.columns import Integers

Flags = npt.NDArray[np.bool_]

_SHAPE = re.compile(r"0000-00-00[Tt ]00:00:00(?:[.,](0{1,30}))?(?: ?(?:[Zz]|([+-])00(?::?(00))?))?")
_TO_SHAPE = str.maketrans("123456789", "000000000")
_SHORTEST, _LONGEST = 19, 57
_SHAPES = 4
"""Largest number of shapes per length and piece that are parsed here; the exact path parses all others."""

_SECOND = 1_000_000
_DAY_1970 = 719_162  # days from 0001-01-01 to 1970-01-01 in the proleptic Gregorian calendar
_MONTH_DAYS = np.array([0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])
_DAYS_BEFORE = np.concatenate(([0], np.cumsum(_MONTH_DAYS)[:-1]))


def parse_instants(texts: Sequence[str] | pl.Series) -> tuple[Integers, Flags]:
    """Microseconds since 1970 UTC, and flags that tell which of them are known.

    A known instant is the same as `parse_instant` returns. Texts that are not instants are not known, nor are those in
    a form other than a date, a time with seconds, and optionally a fraction and an offset.
    """
    at = np.zeros(len(texts), np.int64)
    known = np.zeros(len(texts), np.bool_)
    joined = _joined(texts)
    if not joined.isascii():
        return at, known
    characters = np.frombuffer(joined.encode(), np.uint8)
    if isinstance(texts, pl.Series):
        sizes = texts.str.len_bytes().to_numpy().astype(np.int64)
    else:
        sizes = np.fromiter(map(len, texts), np.int64, len(texts))
    starts = np.cumsum(sizes) - sizes
    for size in np.unique(sizes):
        if not _SHORTEST <= size <= _LONGEST:
            continue
        rows = np.flatnonzero(sizes == size)
        for _ in range(_SHAPES):
            if len(rows) == len(texts):
                cut = characters.reshape(-1, size)
            else:
                cut = characters[starts[rows, None] + np.arange(size)]
            # One row for each character position, so that what follows processes all readings at once.
            table = np.ascontiguousarray(cut.T)
            shape = texts[int(rows[0])].translate(_TO_SHAPE)
            alike = _have_shape(table, shape)
            match = _SHAPE.fullmatch(shape)
            if match is not None:
                chosen = table if alike.all() else table[:, alike]  # what is taken in whole need not be copied
                at[rows[alike]], known[rows[alike]] = _parse_alike(chosen - np.uint8(48), match)
            rows = rows[~alike]
            if not len(rows):
                break
    return at, known


def parse_epochs(texts: Sequence[str] | pl.Series, unit: str) -> tuple[Integers, Flags]:
    """Microseconds since 1970 UTC of numbers in one of `EPOCH_UNITS`, and flags that tell which of them are known.

    A known instant is the same as `parse_epoch` returns. Texts that are not numbers are not known, nor are numbers that
    are too large or have a sign or an exponent.
    """
    if not _joined(texts).isascii():
        return np.zeros(len(texts), np.int64), np.zeros(len(texts), np.bool_)
    finer = EPOCH_UNITS[unit]
    text, whole, fraction = pl.col("text"), pl.col("field_0"), pl.col("field_1")
    digits = fraction.fill_null("").str.pad_end(finer, "0").str.slice(0, finer)
    count = whole.cast(pl.Int64, strict=False)
    at = count // 10**-finer if finer <= 0 else count * 10**finer + digits.cast(pl.Int64, strict=False)
    plain = text.str.contains(rf"^[0-9]{{1,{18 - finer}}}(\.[0-9]{{1,30}})?$")  # more would overflow the result
    found = (
        pl.DataFrame({"text": texts}, schema={"text": pl.String})
        .select(text.str.splitn(".", 2), plain.alias("plain"))
        .unnest("text")
        .select(pl.when("plain").then(at).alias("at"))
        .to_series()
    )
    return found.fill_null(0).to_numpy().copy(), found.is_not_null().to_numpy()


def _joined(texts: Sequence[str] | pl.Series) -> str:
    return str(texts.str.join("").item()) if isinstance(texts, pl.Series) else "".join(texts)


def _have_shape(table: npt.NDArray[np.uint8], shape: str) -> Flags:
    expected = np.frombuffer(shape.encode(), np.uint8)[:, None]
    is_digit = table - np.uint8(48) <= 9
    alike: Flags = np.where(is_digit, np.uint8(48), table) == expected
    return np.asarray(alike.all(axis=0))


def _parse_alike(table: npt.NDArray[np.uint8], shape: re.Match[str]) -> tuple[Integers, Flags]:
    date = table[:10]
    one_day = bool((date == date[:, :1]).all())  # as in most bodies
    days, known = _days(date[:, :1] if one_day else date)
    hour, minute, second = _number(table, 11, 13), _number(table, 14, 16), _number(table, 17, 19)
    known = known & (hour <= 23) & (minute <= 59) & (second <= 59)
    at = days * (86_400 * _SECOND) + ((hour * 60 + minute) * 60 + second).astype(np.int64) * _SECOND
    if shape[1]:
        digits = min(len(shape[1]), 6)
        at += _number(table, shape.start(1), shape.start(1) + digits) * 10 ** (6 - digits)
    if shape[2]:
        hours = _number(table, shape.end(2), shape.end(2) + 2).astype(np.int64)
        minutes = _number(table, *shape.span(3)) if shape[3] else np.zeros_like(hours)
        known &= (hours <= 23) & (minutes <= 59)
        ahead = (hours * 60 + minutes) * 60 * _SECOND
        at += ahead if shape[2] == "-" else -ahead
    return at, known


def _days(table: npt.NDArray[np.uint8]) -> tuple[Integers, Flags]:
    """Days since 1970 of dates, and whether there is such a date."""
    year, month, day = _number(table, 0, 4), _number(table, 5, 7), _number(table, 8, 10)
    leap = (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))
    known = (year >= 1) & (month >= 1) & (month <= 12)
    month[~known] = 1
    known &= (day >= 1) & (day <= _MONTH_DAYS[month] + (leap & (month == 2)))
    past = year - 1
    days = past * 365 + past // 4 - past // 100 + past // 400 - _DAY_1970
    return days + _DAYS_BEFORE[month] + (leap & (month > 2)) + day - 1, known


def _number(table: npt.NDArray[np.uint8], start: int, end: int) -> npt.NDArray[np.int32]:
    """The number that the digits from one position to before another are; six at most."""
    total: npt.NDArray[np.int32] = table[start].astype(np.int32)
    for line in table[start + 1 : end]:
        total *= 10
        total += line
    return total
