"""How a window is cut: every instant in one part, and no more parts than days, hours and two edges."""

from hypothesis import given
from hypothesis import strategies as st
from tidemark.base.time import DAY, HOUR, LATEST, Window
from tidemark.readings.tiers import plan

instants = st.one_of(
    st.integers(0, LATEST),
    st.integers(0, 30 * DAY),
    st.integers(0, 30 * 24).map(lambda hours: hours * HOUR),
    st.integers(0, 30).map(lambda days: days * DAY),
)
lines = st.one_of(st.just(0), st.integers(0, 40 * 24).map(lambda hours: hours * HOUR))


@given(instants, instants, lines)
def test_the_parts_follow_each_other_and_cover_the_window(start: int, finish: int, read_line: int) -> None:
    tiers = plan(Window(start, finish), read_line)
    bounds = [getattr(tiers, name) for name in type(tiers).__slots__]
    assert bounds == sorted(bounds)
    assert (bounds[0], bounds[-1]) == (start, max(start, finish))


@given(instants, instants, lines)
def test_roll_ups_answer_whole_buckets_before_the_line_and_as_many_as_there_are(
    start: int, finish: int, read_line: int
) -> None:
    tiers = plan(Window(start, finish), read_line)
    if tiers.hours_start < tiers.hours_finish:
        assert tiers.hours_finish <= read_line
        assert tiers.hours_start % HOUR == tiers.hours_finish % HOUR == 0
        assert tiers.hours_start - tiers.start < HOUR
        assert tiers.finish - tiers.hours_finish < HOUR or tiers.hours_finish == read_line
    if tiers.days_start < tiers.days_finish:
        assert tiers.days_start % DAY == tiers.days_finish % DAY == 0
        assert tiers.days_start - tiers.hours_start < DAY
        assert tiers.hours_finish - tiers.days_finish < DAY
    raw = tiers.hours_start - tiers.start + tiers.finish - tiers.hours_finish
    whole = min(finish // HOUR * HOUR, read_line) - -(-start // HOUR) * HOUR
    assert raw == max(0, finish - start) - max(0, whole)


@given(st.none() | instants, st.none() | instants)
def test_an_inclusive_window_holds_both_of_its_ends(first: int | None, last: int | None) -> None:
    window = Window.inclusive(first, last)
    assert window.start == (first or 0)
    assert window.finish == (LATEST if last is None else min(last + 1, LATEST))
