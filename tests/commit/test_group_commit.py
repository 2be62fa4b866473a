"""Group commit: whatever happens to a batch, everybody who waits for it hears of it."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from tidemark.base.errors import TidemarkError
from tidemark.base.watch import Watch
from tidemark.commit import group_commit
from tidemark.commit.group_commit import GroupCommit


def grouped(store: Callable[[list[str]], Awaitable[None]], watch: Watch) -> GroupCommit[str]:
    """A group of one lane that stores one item at a time."""
    return GroupCommit([store], max_batch=1, max_pending=100, watch=watch, name="writer")


class BrokenLog:
    """A log that fails."""

    def exception(self, *_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")


async def test_a_failing_store_is_unavailable_and_the_next_batch_is_stored() -> None:
    async def store(items: list[str]) -> None:
        if "bad" in items:
            raise ZeroDivisionError

    watch = Watch()
    group = grouped(store, watch)
    bad, good = group.write("bad"), group.write("good")
    with pytest.raises(TidemarkError, match="could not be stored"):
        await bad
    await good
    assert group.pending == 0
    assert watch.failed == []
    await group.close()


async def test_nobody_waits_for_ever_when_the_log_fails_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_commit, "log", BrokenLog())

    async def store(_items: list[str]) -> None:
        raise ZeroDivisionError

    watch = Watch()
    group = grouped(store, watch)
    written = [group.write(item) for item in ("first", "second", "third")]
    for future in written:
        with pytest.raises(TidemarkError, match="could not be stored"):
            await future
    assert group.pending == 0
    assert watch.failed == ["writer"]
    with pytest.raises(TidemarkError, match="send this again later"):
        group.write("fourth")


async def test_a_cancelled_lane_leaves_nobody_waiting() -> None:
    begun = asyncio.Event()

    async def store(_items: list[str]) -> None:
        begun.set()
        await asyncio.Event().wait()

    group = grouped(store, Watch())
    first, second = group.write("first"), group.write("second")
    await begun.wait()
    for task in group._tasks:
        task.cancel()
    for future in (first, second):
        with pytest.raises(TidemarkError, match="could not be stored"):
            await future
