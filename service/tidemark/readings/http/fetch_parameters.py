"""Query parameters of the eight fetch endpoints."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from tidemark.base.errors import invalid
from tidemark.base.rules import boolean
from tidemark.base.time import DAY, HOUR, WEEK, Window
from tidemark.http.parameters import Parameters
from tidemark.readings.optional_columns import OPTIONAL
from tidemark.readings.wire.attributes import ATTRIBUTES, Attribute

FUNCTIONS = ("min", "max", "avg")
DEFAULT_LIMIT = 1000
MAX_LIMIT = 2**31 - 1

_KNOWN = (
    "asset_id",
    "input_ids",
    "timeperiod_start",
    "timeperiod_finish",
    "timeperiod_last",
    "limit",
    *dict.fromkeys(column.parameter for column in OPTIONAL),
    "order_by",
    "sort_by",
    "aggregation_func",
)
_LAST = re.compile(r"([0-9]{1,18})_(hour|day|week)s?")
_UNITS = {"hour": HOUR, "day": DAY, "week": WEEK}
_ORDERS = {"timestamp": "timestamp", "date": "timestamp", "value": "value"}


@dataclass(frozen=True, slots=True)
class Fetch:
    """The parameters of a fetch request."""

    asset_id: int | None
    input_ids: tuple[str, ...]
    window: Window
    limit: int
    order_by: str
    descending: bool
    functions: tuple[str, ...]
    attributes: tuple[Attribute, ...]
    """The optional columns that the records are to have."""


def parse_fetch(query: Iterable[tuple[str, str]], *, of_asset: bool, latest: bool, now: int) -> Fetch:
    """Read the parameters of a request; `now` is in microseconds since 1970 UTC.

    Names may have hyphens instead of underscores, and values may be enclosed in double quotes. Raises TidemarkError,
    which names the parameter.
    """
    given = _given(query)
    if of_asset and "asset_id" not in given:
        raise invalid("asset_id", "asset_id is missing.")
    if not of_asset and "asset_id" in given:
        raise invalid("asset_id", "asset_id is only for the endpoints by asset; this one accepts input_ids.")
    if not of_asset and "input_ids" not in given:
        raise invalid("input_ids", "input_ids is missing; give one or more sensor ids, separated by commas.")
    order = given.get("order_by", "timestamp").lower()
    if order not in _ORDERS:
        raise invalid("order_by", "order_by must be timestamp, date or value.")
    direction = given.get("sort_by", "desc" if latest else "asc").lower()
    if direction not in ("asc", "desc"):
        raise invalid("sort_by", "sort_by must be asc or desc.")
    return Fetch(
        asset_id=_positive("asset_id", given["asset_id"]) if of_asset else None,
        input_ids=_list("input_ids", given.get("input_ids")),
        window=_window(given, now),
        limit=_positive("limit", given["limit"], MAX_LIMIT) if "limit" in given else DEFAULT_LIMIT,
        order_by=_ORDERS[order],
        descending=direction == "desc",
        functions=_functions(given.get("aggregation_func")),
        attributes=tuple(one for one in ATTRIBUTES if _boolean(one.parameter, given)),
    )


def _given(query: Iterable[tuple[str, str]]) -> Parameters:
    given = Parameters(((_name(spelled), _unquoted(value)) for spelled, value in query), *_KNOWN)
    for name, value in given.items():
        if not value:
            raise invalid(name, f"{name} is empty.")
    return given


def _name(spelled: str) -> str:
    name = spelled.strip().lower().replace("-", "_")
    return "input_ids" if name == "inputs_ids" else name


def _unquoted(value: str) -> str:
    value = value.strip(" ")
    return value[1:-1].strip(" ") if len(value) > 1 and value[0] == value[-1] == '"' else value


def _list(name: str, value: str | None) -> tuple[str, ...]:
    if value is None:
        return ()
    items = tuple(dict.fromkeys(item.strip(' "') for item in value.split(",")))
    if not all(items):
        raise invalid(name, f"{name} has an empty entry.")
    return items


def _positive(name: str, value: str, limit: int | None = None) -> int:
    if not (value.isascii() and value.isdigit()) or len(value) > 18 or int(value) == 0:
        raise invalid(name, f"{name} must be a positive whole number, not {value[:50]!r}.")
    return int(value) if limit is None else min(int(value), limit)


def _boolean(name: str, given: Parameters) -> bool:
    return boolean(name, given.get(name, "false").lower())


def _functions(value: str | None) -> tuple[str, ...]:
    if value is None:
        return FUNCTIONS
    asked = _list("aggregation_func", value.lower())
    for function in asked:
        if function not in FUNCTIONS:
            raise invalid("aggregation_func", f"aggregation_func must be of min, max and avg, not {function[:50]!r}.")
    return asked


def _window(given: Parameters, now: int) -> Window:
    last = given.get("timeperiod_last")
    first, final = given.instant("timeperiod_start"), given.instant("timeperiod_finish")
    if last is None:
        if first is not None and final is not None and first > final:
            raise invalid("timeperiod_finish", "timeperiod_finish is before timeperiod_start.")
        return Window.inclusive(first, final)
    if first is not None or final is not None:
        raise invalid(
            "timeperiod_last",
            "timeperiod_last cannot be combined with timeperiod_start or timeperiod_finish.",
        )
    match = _LAST.fullmatch(last.lower())
    if match is None or int(match[1]) == 0:
        raise invalid("timeperiod_last", "timeperiod_last must look like 2_hours, 1_day or 3_weeks.")
    return Window.inclusive(now - int(match[1]) * _UNITS[match[2]], None)
