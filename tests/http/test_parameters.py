"""Query parameters: unknown and repeated ones are refused with the same message everywhere."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from aiohttp.test_utils import make_mocked_request
from hypothesis import example, given
from hypothesis import strategies as st
from tidemark.base.errors import Kind, TidemarkError
from tidemark.http.paging import PAGING, Page
from tidemark.http.parameters import Parameters

from tests.conftest import Tenant

JSON = {"Content-Type": "application/json"}
KNOWN = ("a", "b", "page")
PAIRS = st.lists(st.tuples(st.sampled_from([*KNOWN, "c", "A", "", "x" * 200]), st.text(max_size=3)), max_size=5)


def refused(make: Callable[[], Any]) -> tuple[str | None, str]:
    """The field and the message of a refusal."""
    with pytest.raises(TidemarkError) as caught:
        make()
    assert caught.value.kind is Kind.INVALID_REQUEST
    return caught.value.field, caught.value.message


def of(**given: str) -> Parameters:
    """Parameters all of which are known."""
    return Parameters(given.items(), *given)


@given(PAIRS)
def test_known_parameters_given_once_are_accepted_and_the_first_other_refused(pairs: list[tuple[str, str]]) -> None:
    names = [name for name, _ in pairs]
    wrong = next((i for i, name in enumerate(names) if name not in KNOWN or name in names[:i]), None)
    if wrong is None:
        assert list(Parameters(pairs, *KNOWN).items()) == pairs
        return
    field, message = refused(lambda: Parameters(pairs, *KNOWN))
    name = names[wrong][:100]
    assert field == name
    unknown = f"There is no parameter {name!r} here, only a, b, page."
    assert message == (f"{name} is given more than once." if name in KNOWN else unknown)


def test_an_endpoint_without_parameters_says_so() -> None:
    assert len(Parameters([])) == 0
    message = "There is no parameter 'a' here; this endpoint accepts none."
    assert refused(lambda: Parameters([("a", "1")])) == ("a", message)


def test_others_are_ignored_where_an_endpoint_says_so() -> None:
    request = make_mocked_request("GET", "/?c=1&a=2&c=3")
    assert (
        dict(Parameters.among_others(request, *KNOWN)) == dict(Parameters.first_of_each(request, *KNOWN)) == {"a": "2"}
    )
    twice = make_mocked_request("GET", "/?a=1&c=2&a=3")
    assert dict(Parameters.first_of_each(twice, *KNOWN)) == {"a": "1"}
    assert refused(lambda: Parameters.among_others(twice, *KNOWN)) == ("a", "a is given more than once.")
    assert refused(lambda: Parameters.of(request, *KNOWN))[0] == "c"


@given(st.integers(-3, 2_000), st.integers(-3, 2_000))
def test_pages(number: int, size: int) -> None:
    asked = of(page=str(number), page_size=str(size))
    assert asked.is_paged()
    if number >= 1 and 1 <= size <= 1000:
        assert asked.page() == Page(number, size)
    else:
        assert refused(asked.page)[0] == ("page" if number < 1 else "page_size")


def test_without_a_page_it_is_the_first() -> None:
    assert of(a="1").page() == Page(1, 100)
    assert not of(a="1").is_paged()
    assert all(of(**{name: "1"}).is_paged() for name in PAGING)


EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LAST = (datetime(9999, 1, 1, tzinfo=UTC) - EPOCH) // timedelta(microseconds=1) - 1


@given(st.integers(0, LAST), st.integers(-14 * 60, 14 * 60))
@example(0, 120)
def test_an_instant_is_the_same_where_the_plus_of_its_offset_was_lost(microseconds: int, offset: int) -> None:
    at = EPOCH + timedelta(microseconds=microseconds)
    text = at.astimezone(timezone(timedelta(minutes=offset))).isoformat()
    for spelled in (text, text.replace("+", " ")):
        assert of(start=spelled).moment("start") == of(start=spelled).instant("start") == microseconds


def test_instants_that_cannot_be_asked_for() -> None:
    assert of(a="1").instant("start") is None
    for text in ("", "1969-12-31T23:59:59Z", "9999-06-01", "yesterday"):
        assert refused(partial(of(start=text).moment, "start"))[0] == "start"
    assert refused(lambda: of(a="1").moment("start")) == ("start", "start is required, as a date and time in ISO 8601.")


@given(st.dates(date(1970, 1, 4), date(9990, 12, 31)), st.integers(-3, 6 * 366))
@example(date(2024, 2, 29), 5 * 365 + 1)
@example(date(2024, 2, 29), 5 * 365 + 2)
def test_dates_are_in_order_and_at_most_five_years_apart(first: date, days: int) -> None:
    last = first + timedelta(days=days)
    asked = of(start_date=first.isoformat(), end_date=last.isoformat())
    is_leap_day = (first.month, first.day) == (2, 29)
    until = date(first.year + 5, 2, 28) if is_leap_day else first.replace(year=first.year + 5)
    if first <= last <= until:
        assert asked.dates() == (first, last)
    else:
        assert refused(asked.dates)[0] == "end_date"


@pytest.mark.parametrize("text", ["2026-02-30", "2026-1-1", "20260101", "1969-12-31", "9999-01-01", "٢٠٢٦-01-01", ""])
def test_invalid_dates(text: str) -> None:
    assert refused(lambda: of(day=text).day("day"))[0] == "day"


def test_the_other_kinds_of_values() -> None:
    asked = of(n="7", words="b, a,b", timezone="Etc/GMT 3", choice="x")
    assert (asked.number("n"), asked.number("missing")) == (7, None)
    assert (asked.names("words"), asked.names("missing")) == (("b", "a"), ())
    assert (asked.timezone(), of(a="1").timezone()) == (ZoneInfo("Etc/GMT+3"), None)
    assert (asked.choice("choice", "y", "x", "y"), asked.choice("missing", "y", "x", "y")) == ("x", "y")
    assert (asked.whole_number("n", 1, 7), asked.whole_number("missing", 1, 7)) == (7, 1)
    for wrong in ("0", "-1", "8", "1.0", "", "x", "٣", "9" * 19):
        assert refused(partial(of(n=wrong).whole_number, "n", 1, 7))[0] == "n"
    assert refused(lambda: asked.choice("choice", "y", "y", "z")) == ("choice", "choice must be one of y or z.")


async def said(tenant: Tenant, method: str, target: str, headers: dict[str, str]) -> tuple[str, str]:
    """The field and the message of an error, whatever its shape."""
    async with tenant.session.request(method, f"{tenant.base}{target}", headers=headers) as answer:
        assert answer.status == 400, target
        document = await answer.json(content_type=None)
    if "errors" in document:
        return document["errors"][0]["source"]["parameter"], document["errors"][0]["detail"]
    error = document["error"]
    return ("", error) if isinstance(error, str) else (error["details"]["field"], error["message"])


@pytest.mark.parametrize(
    ("method", "path", "name"),
    [
        ("GET", "/api/external/v1/get_inputdata_by_inputs", "input_ids"),
        ("GET", "/api/external/v1/get_latest_statistics_inputdata_by_asset/", "asset_id"),
        ("GET", "/api/v1/sensors", "name"),
        ("GET", "/api/v1/api-tokens", "page"),
        ("GET", "/api/v1/series", "sensors"),
        ("POST", "/api/v1/series/batch", None),
        ("GET", "/api/v1/latest", "asset_id"),
        ("GET", "/api/v1/sensor-data", "cooling_unit_id"),
        ("GET", "/api/v1/analytics/users", "start_date"),
        ("GET", "/api/v1/analytics/revenue", "payment_status"),
        ("DELETE", "/api/v1/readings", "sensor"),
        ("GET", "/api/v2/sites", None),
        ("GET", "/api/v2/sites/any/realtime", None),
        ("GET", "/api/v2/sites/any/stats", "range"),
    ],
)
async def test_endpoints_that_refuse_parameters_do_it_in_the_same_words(
    method: str, path: str, name: str | None, tenant: Tenant
) -> None:
    headers = tenant.keys if path.startswith("/api/external") else tenant.bearer
    field, message = await said(tenant, method, f"{path}?nothing=1", headers)
    assert field in ("nothing", "")
    assert message.startswith("There is no parameter 'nothing' here")
    if name is not None:
        assert name in message
        twice = await said(tenant, method, f"{path}?{name}=1&{name}=1", headers)
        assert twice == (name if field else "", f"{name} is given more than once.")


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("/api/v1/readings?timestamp_unit=s&nothing=1&nothing=2", 200),
        ("/api/v1/readings?timestamp_unit=s&timestamp_unit=s", 400),
        ("/api/v1/operations?nothing=1", 200),
        ("/write?db=a&db=b&precision=s&precision=x&u=me", 204),
        ("/api/v2/write?org=a&bucket=b&precision=s&nothing=1", 204),
        ("/api/v3/write_lp?db=a&precision=second&accept_partial=true&accept_partial=x", 204),
    ],
)
async def test_parameters_that_only_other_products_know_are_ignored(target: str, status: int, tenant: Tenant) -> None:
    body = b"[]" if target.startswith("/api/v1") else b""
    async with tenant.session.post(f"{tenant.base}{target}", data=body, headers=tenant.keys | JSON) as answer:
        assert answer.status == status, await answer.text()
