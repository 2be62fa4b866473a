"""Group commit: what commits together, in which order, and that everybody who waits hears of it, whatever happens."""

import ast
import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tidemark.base.errors import TidemarkError, unavailable
from tidemark.base.watch import Watch
from tidemark.commit import group_commit
from tidemark.commit.group_commit import GroupCommit

from tests.test_rooms import modules


class Store:
    """A store whose commits end when the test says so, and how."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self._begun: asyncio.Queue[list[str]] = asyncio.Queue()
        self._ends: asyncio.Queue[BaseException | None] = asyncio.Queue()

    async def __call__(self, items: list[str]) -> None:
        self.batches.append(items)
        self._begun.put_nowait(items)
        if (error := await self._ends.get()) is not None:
            raise error

    async def begun(self) -> list[str]:
        """The items of the next batch that the store is given."""
        return await self._begun.get()

    def end(self, error: BaseException | None = None) -> None:
        """Let one commit succeed, or fail."""
        self._ends.put_nowait(error)


class Collapse(BaseException):
    """What no `except Exception` catches."""


class BrokenLog:
    """A log that fails."""

    def exception(self, *_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")


def grouped(
    *stores: Callable[[list[str]], Awaitable[None]],
    watch: Watch | None = None,
    max_batch: int = 100,
    max_pending: int = 100,
    beside: int = 1,
    on_idle: Callable[[], None] | None = None,
) -> GroupCommit[str]:
    """A group commit of texts."""
    return GroupCommit(
        stores,
        max_batch=max_batch,
        max_pending=max_pending,
        beside=beside,
        watch=watch or Watch(),
        name="writer",
        noun="texts",
        on_idle=on_idle,
    )


Begin = Callable[[Coroutine[Any, Any, None]], "asyncio.Task[None]"]


@pytest.fixture
async def begin() -> AsyncIterator[Begin]:
    """Start callers as tasks; those that a failing test leaves behind are cancelled."""
    tasks = []

    def start(caller: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        tasks.append(asyncio.create_task(caller))
        return tasks[-1]

    yield start
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_caller_returns_after_the_commit_and_not_before(begin: Begin) -> None:
    store = Store()
    group = grouped(store)
    caller = begin(group.stored("alone"))
    assert await store.begun() == ["alone"]
    assert not caller.done()
    assert group.pending == 1
    store.end()
    await caller
    assert group.pending == 0
    await group.close()


async def test_what_comes_during_a_commit_is_the_next_batch_in_its_order(begin: Begin) -> None:
    store = Store()
    group = grouped(store)
    first = begin(group.stored("first"))
    await store.begun()
    others = [begin(group.stored(item)) for item in ("b", "a", "c")]
    store.end()
    await first
    assert await store.begun() == ["b", "a", "c"]
    assert not any(other.done() for other in others)
    store.end()
    await asyncio.gather(*others)
    await group.close()


@given(st.lists(st.integers(1, 6), min_size=1, max_size=30), st.integers(1, 10))
def test_batches_keep_the_order_and_end_when_they_are_full(sizes: list[int], max_batch: int) -> None:
    async def run() -> list[list[str]]:
        batches = []

        async def store(items: list[str]) -> None:
            batches.append(items)

        group = grouped(store, max_batch=max_batch, max_pending=10_000)
        await asyncio.gather(*(group.stored(str(number), size) for number, size in enumerate(sizes)))
        await group.close()
        return batches

    batches = asyncio.run(run())
    assert [item for batch in batches for item in batch] == [str(number) for number in range(len(sizes))]
    records = [[sizes[int(item)] for item in batch] for batch in batches]
    assert all(sum(batch[:-1]) < max_batch for batch in records)  # full only with its last item
    assert all(sum(batch) >= max_batch for batch in records[:-1])  # nothing waits for a batch that has room


async def test_small_batches_wait_for_the_one_that_commits_and_large_ones_do_not(begin: Begin) -> None:
    one, other = Store(), Store()
    group = grouped(one, other, beside=3)
    first = begin(group.stored("first"))
    await one.begun()
    small = [begin(group.stored(item)) for item in "ab"]
    one.end()
    await first
    assert await one.begun() == ["a", "b"]
    large = [begin(group.stored(item)) for item in "cde"]
    assert await other.begun() == ["c", "d", "e"]
    last = begin(group.stored("last"))
    other.end()
    await asyncio.gather(*large)
    one.end()
    await asyncio.gather(*small)
    closing = asyncio.create_task(group.close())
    for store in (one, other):
        store.end()
    await asyncio.gather(last, closing)


async def test_stores_work_side_by_side(begin: Begin) -> None:
    slow, quick = Store(), Store()
    group = grouped(slow, quick)
    first = begin(group.stored("first"))
    await slow.begun()
    second = begin(group.stored("second"))
    await quick.begun()
    quick.end()
    await second
    assert not first.done()
    slow.end()
    await first
    await group.close()


async def test_too_many_pending_records_are_refused_until_some_have_committed(begin: Begin) -> None:
    store = Store()
    group = grouped(store, max_pending=10)
    large = begin(group.stored("large", 9))
    await store.begun()
    with pytest.raises(TidemarkError, match="Too many texts are waiting") as refused:
        await group.stored("too many", also_pending=1)
    assert refused.value.retry_after == 1
    last = begin(group.stored("the last one"))
    await asyncio.sleep(0)
    with pytest.raises(TidemarkError, match="Too many texts are waiting"):
        await group.stored("too many")
    assert group.pending == 10
    store.end()
    await large
    assert await store.begun() == ["the last one"]
    store.end()
    await last
    await group.close()
    assert store.batches == [["large"], ["the last one"]]


async def test_an_error_of_a_store_is_its_batch_s_and_each_caller_s_own(begin: Begin) -> None:
    store = Store()
    group = grouped(store)
    failing = [begin(group.stored("first")), begin(group.stored("second"))]
    await store.begun()
    following = begin(group.stored("third"))
    store.end(unavailable("The disk is full.", 7))
    first, second = await asyncio.gather(*failing, return_exceptions=True)
    assert isinstance(first, TidemarkError)
    assert isinstance(second, TidemarkError)
    first.message = "It is changed for one of them."
    assert (second.kind, second.message, second.retry_after) == (first.kind, "The disk is full.", 7)
    store.end()
    await following
    assert store.batches == [["first", "second"], ["third"]]
    await group.close()


async def test_an_error_that_nobody_thought_of_is_unavailable_and_the_next_batch_is_stored(begin: Begin) -> None:
    store, watch = Store(), Watch()
    group = grouped(store, watch=watch)
    bad = begin(group.stored("bad"))
    await store.begun()
    good = begin(group.stored("good"))
    store.end(ZeroDivisionError())
    store.end()
    with pytest.raises(TidemarkError, match="The texts could not be stored"):
        await bad
    await good
    assert group.pending == 0
    assert watch.failed == []
    await group.close()


async def test_nobody_waits_for_ever_when_the_log_fails_too(monkeypatch: pytest.MonkeyPatch, begin: Begin) -> None:
    monkeypatch.setattr(group_commit, "log", BrokenLog())
    store, watch = Store(), Watch()
    group = grouped(store, watch=watch)
    await all_refused(group, store, begin, ZeroDivisionError())
    assert watch.failed == ["writer"]


async def test_nobody_waits_for_a_task_that_has_collapsed(begin: Begin) -> None:
    store, watch = Store(), Watch()
    group = grouped(store, watch=watch)
    await all_refused(group, store, begin, Collapse())
    assert watch.failed == ["writer"]


async def test_nobody_waits_for_a_task_that_was_cancelled(begin: Begin) -> None:
    store, watch = Store(), Watch()
    group = grouped(store, watch=watch)
    await all_refused(group, store, begin, asyncio.CancelledError())
    assert watch.failed == []  # who is cancelled was told to end


async def all_refused(group: GroupCommit[str], store: Store, begin: Begin, error: BaseException) -> None:
    """A commit ends the task; what waits for it and what waits behind it is refused, and so is all that follows."""
    callers = [begin(group.stored("committing"))]
    await store.begun()
    callers += [begin(group.stored(item)) for item in ("waiting", "waiting too")]
    await asyncio.sleep(0)
    store.end(error)
    for caller in callers:
        with pytest.raises(TidemarkError, match="could not be stored"):
            await caller
    assert group.pending == 0
    with pytest.raises(TidemarkError, match="could not be stored"):
        await group.stored("too late")
    assert store.batches == [["committing"]]
    await group.close()


async def test_a_cancelled_caller_takes_nobody_along(begin: Begin) -> None:
    store = Store()
    group = grouped(store)
    committing = begin(group.stored("committing"))
    await store.begun()
    gone, waiting = begin(group.stored("of one who has gone")), begin(group.stored("waiting"))
    await asyncio.sleep(0)
    committing.cancel()
    gone.cancel()
    store.end()
    assert await store.begun() == ["of one who has gone", "waiting"]
    store.end()
    await waiting
    assert committing.cancelled()
    assert gone.cancelled()
    await group.close()


async def test_closing_commits_what_was_accepted_and_refuses_the_rest(begin: Begin) -> None:
    store = Store()
    group = grouped(store, max_batch=1)
    callers = [begin(group.stored(item)) for item in ("first", "second", "third")]
    await store.begun()
    closing = begin(group.close())
    await asyncio.sleep(0)
    with pytest.raises(TidemarkError, match="could not be stored"):
        await group.stored("too late")
    for _ in callers:
        assert not closing.done()
        store.end()
    await asyncio.gather(*callers, closing)
    assert store.batches == [["first"], ["second"], ["third"]]


async def test_idle_is_when_nothing_waits_any_more(begin: Begin) -> None:
    store, idle = Store(), asyncio.Event()
    group = grouped(store, on_idle=idle.set)
    first = begin(group.stored("first"))
    await store.begun()
    gone = begin(group.stored("of one who has gone"))
    await asyncio.sleep(0)
    store.end()
    await first
    await store.begun()
    assert not idle.is_set()
    gone.cancel()
    store.end()
    await idle.wait()
    await group.close()


def uses(path: Path, name: str) -> Iterator[str]:
    """The functions of a module that use a name or an attribute of that name."""

    def within(node: ast.AST, function: str) -> Iterator[str]:
        for child in ast.iter_child_nodes(node):
            if name in (getattr(child, "id", None), getattr(child, "attr", None)):
                yield function
            yield from within(
                child, child.name if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef) else function
            )

    return within(ast.parse(path.read_text(encoding="utf-8")), "the module itself")


def test_only_the_express_lane_holds_the_future_that_a_batch_shares() -> None:
    found = {(module, function) for module, path in modules().items() for function in uses(path, "shared_commit")}
    assert found == {
        ("commit.group_commit", "stored"),
        ("readings.log.append", "shared_commit"),
        ("readings.http.upload", "shared_commit"),
        ("server.express", "_answer"),
    }
