"""Which tier answers which part of a window: raw readings, hourly or daily roll-ups."""

from dataclasses import dataclass

from service.query.window import DAY, HOUR, Window, ceil, floor


@dataclass(frozen=True, slots=True)
class Tiers:
    """A window cut at six bounds, in order; microseconds since 1970 UTC.

    Raw readings answer start to hours_start and hours_finish to finish, hours answer hours_start to days_start and
    days_finish to hours_finish, days answer days_start to days_finish; any of them may be empty.
    """

    start: int
    hours_start: int
    days_start: int
    days_finish: int
    hours_finish: int
    finish: int


def plan(window: Window, read_line: int) -> Tiers:
    """Cut a window into the fewest parts that roll-ups before the read line allow.

    The read line is a whole hour; an older one than the true one costs time, never exactness.
    """
    start, finish = window.start, max(window.start, window.finish)
    hours_start, hours_finish = ceil(start, HOUR), min(floor(finish, HOUR), read_line)
    if hours_start >= hours_finish:
        return Tiers(start, finish, finish, finish, finish, finish)
    days_start, days_finish = ceil(hours_start, DAY), floor(hours_finish, DAY)
    if days_start >= days_finish:
        return Tiers(start, hours_start, hours_finish, hours_finish, hours_finish, finish)
    return Tiers(start, hours_start, days_start, days_finish, hours_finish, finish)
