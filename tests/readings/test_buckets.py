"""How windows are cut into hours and days, what answers each part, and how gaps are filled; all without a database."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tidemark.base.time import DAY, HOUR, MINUTE, WEEK, Window, instant
from tidemark.readings.buckets import HOURS, CalendarDays, Even, Grid, day_start, window_of_days
from tidemark.readings.fill import Fill, Point, fill_gaps
from tidemark.readings.tiers import cover

ZONES = [ZoneInfo(name) for name in sorted(available_timezones() - {"localtime"})]
zones = st.sampled_from(ZONES)
dates = st.dates(date(1970, 1, 3), date(2037, 12, 30))
MINUTES = [Even(minutes * MINUTE) for minutes in (1, 5, 15)]
instants = st.integers(3 * DAY, 24_000 * DAY)


def hours_of(day: date, zone: str) -> float:
    """How many hours a day has."""
    window = window_of_days(day, day, ZoneInfo(zone))
    return (window.finish - window.start) / HOUR


@pytest.mark.parametrize(
    ("day", "zone", "hours"),
    [
        ("2026-03-29", "Europe/Berlin", 23),
        ("2026-10-25", "Europe/Berlin", 25),
        ("2026-03-08", "America/New_York", 23),
        ("2026-11-01", "America/New_York", 25),
        ("2026-10-04", "Australia/Lord_Howe", 23.5),
        ("2026-04-05", "Australia/Lord_Howe", 24.5),
        ("2018-11-04", "America/Sao_Paulo", 23),  # its clocks went from midnight to one
        ("2026-01-15", "Asia/Kolkata", 24),
        ("2011-12-30", "Pacific/Apia", 0),  # it crossed the date line
    ],
)
def test_days_are_as_long_as_their_zone_makes_them(day: str, zone: str, hours: float) -> None:
    assert hours_of(date.fromisoformat(day), zone) == hours


@pytest.mark.parametrize(
    ("zone", "start"),
    [
        ("Asia/Kolkata", "2026-01-14T18:30:00+00:00"),
        ("Asia/Kathmandu", "2026-01-14T18:15:00+00:00"),
        ("Africa/Lagos", "2026-01-14T23:00:00+00:00"),
        ("America/New_York", "2026-01-15T05:00:00+00:00"),
    ],
)
def test_days_begin_at_their_zones_midnight(zone: str, start: str) -> None:
    assert instant(day_start(date(2026, 1, 15), ZoneInfo(zone))).isoformat() == start


@given(dates, zones)
def test_a_day_begins_with_the_first_instant_of_its_date(day: date, zone: ZoneInfo) -> None:
    start = instant(day_start(day, zone))
    assert start.astimezone(zone).date() >= day
    assert (start - timedelta(microseconds=1)).astimezone(zone).date() < day


@given(instants, st.integers(0, 40 * DAY), zones)
def test_buckets_follow_each_other_and_cover_the_window(start: int, length: int, zone: ZoneInfo) -> None:
    window = Window(start, start + length)
    grids: list[Grid] = [*MINUTES, HOURS, CalendarDays(zone)]
    for grid in grids:
        bounds = list(grid.bounds(window))
        if length == 0:
            assert bounds == []
            continue
        assert bounds == sorted(set(bounds))
        assert bounds[0] <= start < bounds[1]
        assert bounds[-2] < window.finish <= bounds[-1]
        for at in (start, window.finish - 1, bounds[-1] - 1):
            around = grid.around(at)
            assert around.start <= at < around.finish
            assert {around.start, around.finish} <= set(bounds)


@given(
    instants,
    st.integers(1, 20 * DAY),
    st.sampled_from([ZoneInfo(name) for name in ("UTC", "Asia/Kathmandu", "Europe/London", "Australia/Lord_Howe")]),
    st.integers(-3, 25 * 24),
    st.sets(st.integers(0, 20 * 24), max_size=5),
    st.sampled_from([None, HOURS, *MINUTES]),
)
def test_every_instant_is_read_once_and_roll_ups_only_where_they_are_right(
    start: int, length: int, zone: ZoneInfo, line_after: int, late: set[int], even: Even | None
) -> None:
    window = Window(start, start + length)
    first_hour = start // HOUR * HOUR
    read_line = first_hour + line_after * HOUR
    late_hours = {first_hour + hour * HOUR for hour in late}
    bounds = (even or CalendarDays(zone)).bounds(window)
    plan = cover(window, bounds, read_line, late_hours)
    tiers = plan.tiers
    days = set(range(tiers.days_start, tiers.days_finish, DAY)) - set(plan.open_days)
    hours = {
        *range(tiers.hours_start, tiers.days_start, HOUR),
        *range(tiers.days_finish, tiers.hours_finish, HOUR),
        *(hour for day in plan.open_days for hour in range(day, day + DAY, HOUR)),
    } - set(plan.raw_hours)
    pieces = sorted([*plan.raw, *((hour, hour + HOUR) for hour in hours), *((day, day + DAY) for day in days)])
    assert pieces[0][0] == window.start
    assert pieces[-1][1] == window.finish
    assert all(one[1] == following[0] for one, following in pairwise(pieces))
    inner = bounds[1:-1]
    for unit, starts in ((HOUR, hours), (DAY, days)):
        for at in starts:
            assert at % unit == 0
            assert at + unit <= read_line
            assert not any(at <= hour < at + unit for hour in late_hours)
            assert not any(at < bound < at + unit for bound in inner)
    if even in MINUTES:
        assert not days | hours
        return
    # Raw are only the ragged edges, what the line has not passed, late hours, and hours that a bound cuts.
    cut = sum(1 for bound in inner if bound % HOUR)
    unrolled = max(0, window.finish - max(read_line, window.start))
    assert sum(finish - at for at, finish in plan.raw) <= 2 * HOUR + unrolled + (len(late_hours) + cut) * HOUR
    if zone.key == "UTC" and even is None and not late_hours:
        assert len(hours) < 48


@given(st.lists(st.integers(0, 20 * 365 * 24), min_size=1, max_size=40, unique=True), st.sampled_from(MINUTES))
def test_empty_stretches_are_left_out_where_a_piece_would_span_months(held: list[int], even: Even) -> None:
    hours = [Window(hour * HOUR, hour * HOUR + HOUR) for hour in sorted(held)]
    bounds = sorted({bound for hour in hours for bound in even.bounds(hour)})
    window = Window(hours[0].start + 1, hours[-1].finish - 1)
    raw = cover(window, bounds, 0, []).raw
    assert (raw[0][0], raw[-1][1]) == (window.start, window.finish)
    assert all(one[1] < following[0] for one, following in pairwise(raw))
    assert all(finish - start <= 4 * WEEK for start, finish in raw)
    for hour in hours:
        inside = Window(max(hour.start, window.start), min(hour.finish, window.finish))
        assert any(start <= inside.start and inside.finish <= finish for start, finish in raw)


values = st.one_of(st.none(), st.floats(-100, 100))


@given(st.lists(values, min_size=1, max_size=12), values, values, st.sampled_from([*Fill][1:]))
def test_gaps_are_filled_from_what_is_known_around_them(
    series: list[float | None], earlier: float | None, later: float | None, fill: Fill
) -> None:
    def known(place: int, value: float) -> Point:
        return Point(place * HOUR, 0, 1, value, value, value)

    points = [known(place, value) for place, value in enumerate(series) if value is not None]
    before = {} if earlier is None else {0: known(-3, earlier)}
    after = {} if later is None else {0: known(len(series) + 2, later)}
    starts = [place * HOUR for place in range(len(series))]
    filled = fill_gaps(points, starts, 1, fill, before, after)
    assert [point.at for point in filled] == starts
    line = sorted([*before.values(), *points, *after.values()], key=lambda point: point.at)
    for point, value in zip(filled, series, strict=True):
        if value is not None:
            assert (point.value, point.count) == (value, 1)
            continue
        assert (point.count, point.minimum, point.maximum) == (0, None, None)
        left = next((one for one in reversed(line) if one.at < point.at), None)
        right = next((one for one in line if one.at > point.at), None)
        if fill is Fill.NULL or left is None or left.value is None:
            assert point.value is None
        elif fill is Fill.PREVIOUS:
            assert point.value == left.value
        elif right is None or right.value is None:
            assert point.value is None
        else:
            slope = (right.value - left.value) / (right.at - left.at)
            assert point.value == pytest.approx(left.value + slope * (point.at - left.at), abs=1e-9)


@given(st.integers(1, 4), st.data())
def test_groups_are_filled_each_for_itself(groups: int, data: st.DataObject) -> None:
    group = data.draw(st.integers(0, groups - 1))
    point = Point(0, group, 2, 5.0, 4.0, 6.0)
    filled = fill_gaps([point], [0, HOUR], groups, Fill.PREVIOUS, {}, {})
    assert [(one.at, one.group) for one in filled] == [(at, one) for at in (0, HOUR) for one in range(groups)]
    assert {one.group for one in filled if one.value is not None} == {group}


def test_utc_and_windows_before_1970_are_cut_to_what_can_be() -> None:
    window = window_of_days(date(1970, 1, 1), date(1970, 1, 1), ZoneInfo("Asia/Tokyo"))
    assert (window.start, instant(window.finish)) == (0, datetime(1970, 1, 1, 15, tzinfo=UTC))
