"""Instants and numbers: what is taken, what is refused, and that texts read back."""

import contextlib
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tidemark.base.errors import FieldError
from tidemark.base.time import EPOCH, MICROSECOND
from tidemark.base.values import (
    check_instant,
    compact_json,
    format_instant,
    format_number,
    parse_instant,
    parse_number,
    parse_value,
)

moments = st.datetimes(
    datetime(1, 1, 2),  # noqa: DTZ001 - hypothesis adds the zone
    datetime(9999, 12, 30),  # noqa: DTZ001
    timezones=st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes))),
)


@given(moments)
def test_an_instant_with_an_offset_is_that_instant(moment: datetime) -> None:
    assert parse_instant(moment.isoformat()) == (moment - EPOCH) // MICROSECOND
    utc = moment.astimezone(UTC)
    assert parse_instant(utc.isoformat().replace("+00:00", "Z")) == parse_instant(moment.isoformat())


@given(st.integers(0, 253402300799999999))
def test_instants_read_back_with_six_decimals(at: int) -> None:
    text = format_instant(at)
    assert parse_instant(text) == at
    assert text == (EPOCH + timedelta(microseconds=at)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("2020-10-13 14:02:39", "2020-10-13T14:02:39Z"),
        ("2020-10-13", "2020-10-13T00:00:00Z"),
        ("2020-10-13t14:02z", "2020-10-13T14:02:00Z"),
        ("2020-10-13T14:02:39.123456999", "2020-10-13T14:02:39.123456Z"),
        ("2020-10-13T14:02:39+0530", "2020-10-13T08:32:39Z"),
        ("2020-10-13T14:02:39-05", "2020-10-13T19:02:39Z"),
    ],
)
def test_spellings_of_an_instant(text: str, same: str) -> None:
    assert parse_instant(text) == parse_instant(same)


@given(st.text() | st.from_regex(r"[0-9]{4}-[0-9]{2}-[0-9]{2}.[0-9]{2}:[0-9]{2}:[0-9]{2}.*"))
def test_any_text_is_an_instant_or_a_field_error(text: str) -> None:
    with contextlib.suppress(FieldError):
        assert isinstance(parse_instant(text), int)


@pytest.mark.parametrize("at", [-1, 1_700_000_000_000_000 + 86_400_000_001])
def test_readings_are_from_1970_to_a_day_ahead(at: int) -> None:
    now = 1_700_000_000_000_000
    assert check_instant(0, now) == 0
    assert check_instant(now + 86_400_000_000, now) == now + 86_400_000_000
    with pytest.raises(FieldError):
        check_instant(at, now)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_read_back_to_the_same_double(value: float) -> None:
    text = format_number(value)
    assert repr(parse_number(text, "value")) == repr(value)
    assert not text.endswith(".0")


def test_numbers_are_written_as_people_do() -> None:
    assert [format_number(value) for value in (12.0, 12.5, 1e22, 0.1, -0.0)] == ["12", "12.5", "1e+22", "0.1", "-0"]


@pytest.mark.parametrize(
    "text",
    ["", " 1", "1 ", "12,5", "1_0", "nan", "inf", "0x10", "1e", "e5", ".", "+", "--1", "１２", "1" * 500, "1e400"],
)
def test_what_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(FieldError):
        parse_number(text, "value")


def test_values_are_at_most_1e150() -> None:
    assert parse_value("-1e150") == -1e150
    with pytest.raises(FieldError):
        parse_value(1.1e150)


@pytest.mark.parametrize(
    "document", [b"[1e999]", b'"\\ud800"', b"{", b"[" * 100_000, b'"' + b"x" * 70_000 + b'"', b"\xff"]
)
def test_metadata_is_json_of_at_most_64_kib(document: bytes) -> None:
    with pytest.raises(FieldError):
        compact_json(document, "metadata")
