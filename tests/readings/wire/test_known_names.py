"""Names of series that are remembered by what was written: the same as without memory, bounded, from any thread."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tidemark.readings.wire.known_names import KnownNames, remembered

ROOM = 1_000
"""Bytes: enough for a few names."""


def named(text: str) -> str:
    return "" if "x" in text else text.strip("_")


def noted(asked: list[str], text: str) -> str:
    asked.append(text)
    return text


def look_up(known: KnownNames, texts: list[str]) -> list[str]:
    names, index = known.look_up(pl.Series(texts, dtype=pl.String))
    assert names == [named(text) for text in dict.fromkeys(texts)], "each text once, in order"
    return [names[number] for number in index.tolist()]


@given(st.lists(st.lists(st.text("ab_xé", max_size=4), max_size=20), max_size=10), st.sampled_from([0, ROOM, 10**9]))
def test_names_are_those_without_a_memory(bodies: list[list[str]], limit: int) -> None:
    known = KnownNames(named, limit)
    for texts in bodies:
        assert look_up(known, texts) == [named(text) for text in texts]


def test_a_text_is_named_once() -> None:
    asked: list[str] = []
    known = KnownNames(partial(noted, asked))
    for number in range(3):
        known.look_up(pl.Series(["a", "b", "a", f"c{number}"]))
    assert asked == ["a", "b", "c0", "c1", "c2"]


def test_what_takes_more_than_the_limit_is_forgotten() -> None:
    asked: list[str] = []
    known = KnownNames(partial(noted, asked), ROOM)
    for number in range(1_000):
        known.look_up(pl.Series(["again", f"{number}"]))
    assert set(asked) == {"again", *map(str, range(1_000))}
    assert 20 < asked.count("again") < 500, "forgotten with the others, but not with every look-up"
    assert len(known._names) < 20


def test_an_error_leaves_no_text_without_its_name() -> None:
    errors = [MemoryError()]

    def failing(text: str) -> str:
        if text == "b" and errors:
            raise errors.pop()
        return text

    known = KnownNames(failing)
    with pytest.raises(MemoryError):
        known.look_up(pl.Series(["a", "b", "c"]))
    assert known.look_up(pl.Series(["c", "b"]))[0] == ["c", "b"]


def test_many_threads_find_the_same_names() -> None:
    known = KnownNames(named, 20_000)
    bodies = [[f"{(start + number) % 500}_" for number in range(200)] for start in range(0, 2_000, 37)]
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda texts: look_up(known, texts), bodies))
    assert found == [[named(text) for text in texts] for texts in bodies]


def test_a_function_remembers_its_names_as_far_as_there_is_room() -> None:
    asked: list[str] = []

    @remembered(ROOM)
    def joined(labels: tuple[bytes, ...], mark: str) -> str:
        asked.append(mark)
        return mark + b"".join(labels).decode()

    assert [joined((b"a", b"b"), "m"), joined((b"ab",), "m"), joined((b"a", b"b"), "m")] == ["mab", "mab", "mab"]
    assert asked == ["m", "m"]
    for number in range(100):
        assert joined((b"a", b"b"), f"{number}") == f"{number}ab"
    joined((b"a", b"b"), "m")
    assert asked.count("m") == 3
