"""The cache of answers: who queries the database, who shares an answer, for how long, and how much is kept."""

import asyncio
import gc
from collections.abc import Coroutine
from typing import Any

import pytest
from tidemark.http import answer as module
from tidemark.http.answer import Answer, AnswerCache

SECONDS = 60.0


class Clock:
    """A clock that the test advances."""

    def __init__(self) -> None:
        self.at = 1000.0

    def __call__(self) -> float:
        return self.at


class Query:
    """A query that ends when the test says so, and counts how often it was started."""

    def __init__(self, clock: Clock) -> None:
        self.asked = 0
        self._clock = clock
        self._begun: asyncio.Queue[None] = asyncio.Queue()
        self._ends: asyncio.Queue[bytes | Exception] = asyncio.Queue()

    async def __call__(self) -> Answer:
        self.asked += 1
        asked_at = self._clock()
        self._begun.put_nowait(None)
        body = await self._ends.get()
        if isinstance(body, Exception):
            raise body
        return Answer(body, "text/plain", asked_at)

    async def begun(self) -> None:
        """Wait until it is started once more."""
        await self._begun.get()

    def end(self, body: bytes | Exception) -> None:
        """Let it return an answer, or fail, once."""
        self._ends.put_nowait(body)


@pytest.fixture
def clock() -> Clock:
    """The clock of the cache and the queries."""
    return Clock()


@pytest.fixture
def cache(clock: Clock) -> AnswerCache:
    """A cache of a minute."""
    return AnswerCache(SECONDS, now=clock)


@pytest.fixture
def query(clock: Clock) -> Query:
    """A query."""
    return Query(clock)


async def begin(
    query: Query, *askers: Coroutine[Any, Any, tuple[Answer, bool]]
) -> "list[asyncio.Task[tuple[Answer, bool]]]":
    """Start these callers one after the other; the first of them starts the query."""
    tasks = [asyncio.create_task(asker) for asker in askers]
    await query.begun()
    await asyncio.sleep(0)
    return tasks


async def ask(cache: AnswerCache, key: str, body: bytes, clock: Clock) -> bool:
    """Ask with a query that answers at once. Returns whether the query was not needed."""

    async def make() -> Answer:
        return Answer(body, "text/plain", clock())

    return (await cache.get(key, make))[1]


async def test_those_who_ask_while_it_is_answered_share_one_query(cache: AnswerCache, query: Query) -> None:
    tasks = await begin(query, *(cache.get("key", query) for _ in range(3)))
    query.end(b"answer")
    found = await asyncio.gather(*tasks)
    assert [(answer.body, at_hand) for answer, at_hand in found] == [
        (b"answer", False),
        (b"answer", True),
        (b"answer", True),
    ]
    assert query.asked == 1


async def test_other_questions_are_other_queries(cache: AnswerCache, clock: Clock) -> None:
    one, other = Query(clock), Query(clock)
    first, second = *await begin(one, cache.get("one", one)), *await begin(other, cache.get("other", other))
    one.end(b"1")
    other.end(b"2")
    assert ((await first)[0].body, (await second)[0].body) == (b"1", b"2")


async def test_an_answer_s_age_counts_from_the_beginning_of_its_query(
    cache: AnswerCache, query: Query, clock: Clock
) -> None:
    (first,) = await begin(query, cache.get("key", query))
    clock.at += 0.5 * SECONDS
    query.end(b"old")
    await first
    clock.at += 0.4 * SECONDS
    assert (await cache.get("key", query))[0].body == b"old"
    clock.at += 0.1 * SECONDS
    query.end(b"new")
    answer, at_hand = await cache.get("key", query)
    assert (answer.body, at_hand, query.asked) == (b"new", False, 2)


async def test_nobody_joins_a_query_that_has_run_for_too_long(cache: AnswerCache, query: Query, clock: Clock) -> None:
    (slow,) = await begin(query, cache.get("key", query))
    clock.at += SECONDS
    (quick,) = await begin(query, cache.get("key", query))
    query.end(b"first")
    await slow
    joining = asyncio.create_task(cache.get("key", query))
    await asyncio.sleep(0)
    query.end(b"second")
    assert [(await one)[0].body for one in (slow, quick, joining)] == [b"first", b"second", b"second"]
    assert query.asked == 2
    assert (await cache.get("key", query))[0].body == b"second"


async def test_an_error_reaches_those_who_waited_and_nobody_else(cache: AnswerCache, query: Query) -> None:
    tasks = await begin(query, cache.get("key", query), cache.get("key", query))
    query.end(ZeroDivisionError())
    assert [type(one) for one in await asyncio.gather(*tasks, return_exceptions=True)] == [ZeroDivisionError] * 2
    query.end(b"answer")
    answer, at_hand = await cache.get("key", query)
    assert (answer.body, at_hand, query.asked) == (b"answer", False, 2)


async def test_a_first_asker_who_goes_away_takes_nobody_along(cache: AnswerCache, query: Query) -> None:
    first, second = await begin(query, cache.get("key", query), cache.get("key", query))
    first.cancel()
    await asyncio.wait((first,))
    query.end(b"answer")
    assert (await second)[0].body == b"answer"
    assert (await cache.get("key", query))[1]
    assert query.asked == 1


@pytest.mark.parametrize("end", [b"answer", ZeroDivisionError()])
async def test_an_error_that_nobody_waits_for_is_not_reported(
    cache: AnswerCache, query: Query, end: bytes | Exception
) -> None:
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    tasks = await begin(query, cache.get("key", query), cache.get("key", query))
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    query.end(end)
    for _ in range(3):
        await asyncio.sleep(0)
    gc.collect()
    assert complaints == []
    query.end(b"another")
    assert (await cache.get("key", query))[0].body == (end if isinstance(end, bytes) else b"another")


async def test_a_limited_number_of_answers_is_kept_and_room_comes_back_with_age(
    cache: AnswerCache, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_ANSWERS", 2)
    for key in ("first", "second"):
        await ask(cache, key, b"", clock)
        clock.at += 1
    assert [await ask(cache, key, b"", clock) for key in ("third", "third", "second", "first")] == [
        False,
        False,
        True,
        True,
    ]
    clock.at += SECONDS - 2  # the first is too old now
    assert [await ask(cache, key, b"", clock) for key in ("third", "third", "second", "first")] == [
        False,
        True,
        True,
        False,
    ]


async def test_answers_take_a_limited_number_of_bytes(
    cache: AnswerCache, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_BYTES", 100)
    monkeypatch.setattr(module, "MAX_ANSWER_BYTES", 70)
    for key, size in (("too large", 71), ("large", 70), ("one too many", 31), ("small", 30)):
        await ask(cache, key, bytes(size), clock)
    kept = [key for key in ("too large", "large", "one too many", "small") if await ask(cache, key, b"", clock)]
    assert kept == ["large", "small"]
    clock.at += SECONDS
    await ask(cache, "large", bytes(70), clock)
    await ask(cache, "small", bytes(30), clock)
    assert await ask(cache, "large", b"", clock)
    assert await ask(cache, "small", b"", clock)


async def test_a_cache_of_no_seconds_keeps_and_shares_nothing(query: Query, clock: Clock) -> None:
    cache = AnswerCache(0, now=clock)
    tasks = await begin(query, cache.get("key", query), cache.get("key", query))
    await query.begun()
    query.end(b"first")
    query.end(b"second")
    assert [(answer.body, at_hand) for answer, at_hand in await asyncio.gather(*tasks)] == [
        (b"first", False),
        (b"second", False),
    ]
