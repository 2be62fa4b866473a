"""Room for bodies: how much is taken and given back, and that a small body always has some."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tidemark.base.errors import Kind, TidemarkError
from tidemark.http.room import SMALL, Room

SIZE = 1_000_000
# Arriving pieces as (body number, size in bytes); a size of None ends the body.
arrivals = st.lists(st.tuples(st.integers(0, 7), st.none() | st.integers(1, SIZE)))


def takes(room: Room, size: int) -> bool:
    """Whether there is room for one more body of this size; the room is given back."""
    try:
        room.take(0, size)
    except TidemarkError:
        return False
    room.give_back(size)
    return True


@given(arrivals)
def test_there_is_room_for_what_others_have_left(pieces: list[tuple[int, int | None]]) -> None:
    room = Room(SIZE)
    held = dict.fromkeys(range(8), 0)

    def left() -> int:
        return SIZE - sum(max(0, size - SMALL) for size in held.values())

    for body, piece in pieces:
        if piece is None:
            room.give_back(held[body])
            held[body] = 0
            continue
        fits = max(0, held[body] + piece - SMALL) <= left() + max(0, held[body] - SMALL)
        try:
            room.take(held[body], piece)
        except TidemarkError:
            assert not fits
        else:
            assert fits
            held[body] += piece
        assert left() >= 0
        assert takes(room, SMALL)
        assert takes(room, SMALL + left())
        assert not takes(room, SMALL + left() + 1)
    for size in held.values():
        room.give_back(size)
    assert takes(room, SMALL + SIZE)


def test_a_refusal_says_when_to_try_again() -> None:
    with pytest.raises(TidemarkError, match="Too many large bodies") as refused:
        Room(SIZE).take(0, SMALL + SIZE + 1)
    assert (refused.value.kind, refused.value.retry_after) == (Kind.UNAVAILABLE, 1)
