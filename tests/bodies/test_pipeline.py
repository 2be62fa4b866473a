"""Bodies with many records: the order of their pieces, what is acknowledged of those that break off, and when bytes are
decoded.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator

import pytest
from tidemark.base.errors import TidemarkError, unavailable
from tidemark.bodies import pipeline as module
from tidemark.bodies.outcome import BodyError, Outcome, Rejection, TooManyRejectionsError
from tidemark.bodies.pipeline import GATHERED, BodyPipeline, decoded

BAD = "bad"


class Store:
    """A store whose commits end when the test says so."""

    def __init__(self) -> None:
        self.stored: list[list[str]] = []
        self._begun: asyncio.Queue[list[str]] = asyncio.Queue()
        self._ends: asyncio.Queue[TidemarkError | None] = asyncio.Queue()

    async def __call__(self, records: list[str]) -> None:
        self._begun.put_nowait(records)
        if (error := await self._ends.get()) is not None:
            raise error
        self.stored.append(records)

    async def begun(self) -> list[str]:
        """The records of the next commit."""
        return await self._begun.get()

    def idle(self) -> bool:
        """Whether no further commit has begun."""
        return self._begun.empty()

    def end(self, error: TidemarkError | None = None) -> None:
        """Let one commit succeed, or fail."""
        self._ends.put_nowait(error)


class Body(BodyPipeline[list[str], list[str]]):
    """A body of texts, of which the bad ones are rejected, and of which so many may be stored."""

    def __init__(
        self, store: Store, *, streams: bool = True, allowance: int = 1000, max_rejections: int | None = 3
    ) -> None:
        super().__init__(store, streams=streams, max_rejections=max_rejections)
        self._left = allowance
        self._index = 0

    async def _known(self, piece: list[str]) -> tuple[list[str], Outcome]:
        rejections = [Rejection(self._index + n, "text", "It is bad.") for n, text in enumerate(piece) if text == BAD]
        self._index += len(piece)
        result = Outcome()
        result.note(rejections, len(rejections))
        return [text for text in piece if text != BAD], result

    async def _allow_all(self, records: int) -> None:
        if records > self._left:
            raise unavailable("Too many.")

    async def _allow_some(self, block: list[str]) -> tuple[list[str], list[str] | None]:
        if not self._left:
            raise unavailable("Too many.")
        granted, self._left = min(self._left, len(block)), max(0, self._left - len(block))
        return block[:granted], block[granted:] or None


class Pieces:
    """The pieces of a body; counts those that were asked for."""

    def __init__(self, *pieces: list[str], then: Exception | None = None) -> None:
        self.taken = 0
        self.closed = False
        self._pieces = pieces
        self._then = then

    async def __call__(self) -> AsyncGenerator[list[str], None]:
        try:
            for piece in self._pieces:
                self.taken += 1
                yield piece
            if self._then is not None:
                raise self._then
        finally:
            self.closed = True


def begin(body: Body, pieces: Pieces) -> "asyncio.Task[Outcome]":
    return asyncio.create_task(body.run(pieces()))


async def settle() -> None:
    """Let everything run that can."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_pieces_commit_one_after_the_other_and_one_is_decoded_ahead() -> None:
    store, pieces = Store(), Pieces(["a"], ["b", "c"], ["d"])
    running = begin(Body(store), pieces)
    for number, piece in enumerate((["a"], ["b", "c"], ["d"]), start=1):
        assert await store.begun() == piece
        await settle()
        assert store.idle()
        assert pieces.taken == min(number + 1, 3)
        store.end()
    outcome = await running
    assert (outcome.accepted, outcome.rejected) == (4, 0)
    assert store.stored == [["a"], ["b", "c"], ["d"]]


async def test_a_body_that_does_not_stream_is_stored_once_all_of_it_is_there() -> None:
    store, pieces = Store(), Pieces(["a"], [], [BAD, "b"])
    body = Body(store, streams=False)
    running = begin(body, pieces)
    assert await store.begun() == ["a"]
    assert pieces.closed
    store.end()
    store.end()
    outcome = await running
    assert (outcome.accepted, outcome.rejected, outcome.rejections[0].index) == (2, 1, 1)


async def test_a_body_that_does_not_stream_is_not_stored_in_part() -> None:
    for allowance, then in ((2, None), (1000, BodyError("It is broken."))):
        store = Store()
        body = Body(store, streams=False, allowance=allowance)
        with pytest.raises((TidemarkError, BodyError)):
            await body.run(Pieces(["a"], ["b", "c"], then=then)())
        assert store.idle()
        assert body.outcome.accepted == 0


async def test_a_body_that_breaks_off_has_what_came_before_stored_and_acknowledged() -> None:
    store, pieces = Store(), Pieces(["a", BAD], ["b"], then=BodyError("It is broken."))
    body = Body(store)
    running = begin(body, pieces)
    store.end()
    await store.begun()
    await store.begun()
    await settle()
    assert not running.done()
    assert (body.outcome.accepted, body.outcome.rejected) == (1, 1)
    store.end()
    with pytest.raises(BodyError, match="It is broken"):
        await running
    assert (body.outcome.accepted, body.outcome.rejected) == (2, 1)


async def test_what_fails_to_commit_is_not_acknowledged_and_nothing_follows() -> None:
    store, pieces = Store(), Pieces(["a"], ["b"], ["c"], ["d"])
    body = Body(store)
    running = begin(body, pieces)
    store.end()
    await store.begun()
    await store.begun()
    await settle()
    store.end(unavailable("The disk is full."))
    with pytest.raises(TidemarkError, match="The disk is full"):
        await running
    assert store.stored == [["a"]]
    assert body.outcome.accepted == 1
    assert pieces.taken == 3
    assert pieces.closed


async def test_a_block_that_is_refused_at_once_ends_the_body_before_the_next_piece() -> None:
    store, pieces = Store(), Pieces(["a"], ["b"])
    body = Body(store)
    store.end(unavailable("Too many are waiting."))
    with pytest.raises(TidemarkError, match="Too many are waiting"):
        await body.run(pieces())
    assert pieces.taken == 1
    assert body.outcome.accepted == 0


async def test_a_stream_is_stored_as_far_as_the_limit_allows() -> None:
    store = Store()
    body = Body(store, allowance=3)
    for _ in range(2):
        store.end()
    with pytest.raises(TidemarkError, match="Too many"):
        await body.run(Pieces(["a", BAD, "b"], ["c", "d"])())
    assert store.stored == [["a", "b"], ["c"]]
    assert (body.outcome.accepted, body.outcome.rejected) == (3, 1)


async def test_a_body_that_is_cancelled_with_nothing_left_but_a_commit_ends_at_once() -> None:
    store, pieces = Store(), Pieces(["a"], ["b"])
    body = Body(store)
    running = begin(body, pieces)
    await store.begun()
    store.end()
    await store.begun()
    await settle()
    running.cancel()
    await settle()
    assert running.done()
    assert body.outcome.accepted == 1
    assert store.stored == [["a"]]


async def test_a_body_that_is_cancelled_while_it_waits_for_more_waits_for_its_commit() -> None:
    store, waiting = Store(), asyncio.Event()

    async def pieces() -> AsyncGenerator[list[str], None]:
        yield ["a"]
        waiting.set()
        await asyncio.Event().wait()

    body = Body(store)
    running = asyncio.create_task(body.run(pieces()))
    await waiting.wait()
    running.cancel()
    await settle()
    assert not running.done()
    store.end()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert body.outcome.accepted == 1


async def test_too_many_rejections_end_a_body_and_what_was_good_is_stored() -> None:
    store, pieces = Store(), Pieces(["a", BAD], [BAD, "b"], [BAD, "c"], ["d"])
    body = Body(store)
    for _ in range(3):
        store.end()
    with pytest.raises(
        TooManyRejectionsError, match=r"3 records were rejected, the first of them record 1: text: It is bad"
    ):
        await body.run(pieces())
    assert pieces.taken == 3
    assert store.stored == [["a"], ["b"], ["c"]]
    assert (body.outcome.accepted, body.outcome.rejected) == (3, 3)


async def test_a_body_without_a_limit_of_rejections_is_taken_to_its_end() -> None:
    body = Body(Store(), max_rejections=None)
    outcome = await body.run(Pieces([BAD] * 100)())
    assert (outcome.accepted, outcome.rejected) == (0, 100)


class Letters:
    """A decoder that tells what it was given when: bytes as they are, flushes and the end as signs."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        yield data

    def flush(self) -> Iterator[bytes]:
        yield b"|"

    def finish(self) -> Iterator[bytes]:
        yield b"."


async def collected(body: AsyncIterator[bytes]) -> list[bytes]:
    return [piece async for piece in decoded(Letters(), body)]


async def test_bytes_that_come_close_together_are_decoded_together() -> None:
    async def body() -> AsyncIterator[bytes]:
        for letter in (b"a", b"b", b"c"):
            yield letter

    assert await collected(body()) == [b"abc", b"."]


async def test_bytes_are_decoded_when_they_are_enough() -> None:
    async def body() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield bytes(GATHERED // 2)

    assert [len(piece) for piece in await collected(body())] == [GATHERED, GATHERED // 2, 1]


async def test_what_has_come_is_decoded_when_nothing_more_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FLUSH_SECONDS", 0)
    more = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield b"a"
        await more.wait()
        yield b"b"

    pieces = decoded(Letters(), body())
    assert [await anext(pieces), await anext(pieces)] == [b"a", b"|"]
    more.set()
    rest = [piece async for piece in pieces]
    assert b"".join(rest).replace(b"|", b"") == b"b."


async def test_what_has_come_of_a_body_that_breaks_off_is_decoded_first() -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b"a"
        raise ConnectionResetError

    pieces = decoded(Letters(), body())
    assert [await anext(pieces), await anext(pieces)] == [b"a", b"|"]
    with pytest.raises(ConnectionResetError):
        await anext(pieces)


async def test_a_body_whose_reader_stops_is_read_no_further() -> None:
    gone = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        try:
            yield bytes(GATHERED)
            await asyncio.Event().wait()
        finally:
            gone.set()

    pieces = decoded(Letters(), body())
    await anext(pieces)
    await pieces.aclose()
    await gone.wait()
