"""Group commit: the records of many requests go to the database in one transaction, and each request learns of its
outcome.

While one batch commits, whatever arrives is gathered into the next. So a lone reading waits for nobody, and a thousand
gateways share each commit.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

import structlog

from tidemark.base.errors import TidemarkError, unavailable
from tidemark.base.watch import Watch

log = structlog.get_logger(__name__)

Item = TypeVar("Item")


class _Batch(Generic[Item]):
    """Items that commit together, and the future that all their requests wait for."""

    __slots__ = ("committed", "items", "records")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.items: list[Item] = []
        self.records = 0
        self.committed: asyncio.Future[None] = loop.create_future()


class GroupCommit(Generic[Item]):
    """Gathers items into batches and stores them, one batch at a time in each of its stores."""

    def __init__(
        self,
        stores: Sequence[Callable[[list[Item]], Awaitable[None]]],
        *,
        max_batch: int,
        max_pending: int,
        beside: int = 1,
        watch: Watch,
        name: str,
        noun: str = "readings",
        on_idle: Callable[[], None] | None = None,
    ) -> None:
        """Start a task named `name` for each of the stores, which work side by side.

        A store takes the items of a batch and returns once they have committed, or raises. A batch of `max_batch`
        records is full; while `max_pending` or more records are pending, new items are refused. While one batch
        commits, another begins only if it has `beside` records: smaller ones cost less together. `noun` is what error
        messages call the records. `on_idle` is called after each commit that leaves none pending.
        """
        self._max_batch = max_batch
        self._max_pending = max_pending
        self._beside = beside
        self._committing = 0
        self._noun = noun
        self._on_idle = on_idle
        self._loop = asyncio.get_running_loop()
        self._gathering: _Batch[Item] = _Batch(self._loop)
        self._full: deque[_Batch[Item]] = deque()
        self._arrived = asyncio.Event()
        self._closing = False
        self._tasks = [watch.start(name, self._run(store)) for store in stores]
        for task in self._tasks:
            task.add_done_callback(self._refuse_all)
        self.pending = 0
        """Records that are accepted and not yet committed."""

    async def stored(self, item: Item, records: int = 1, *, also_pending: int = 0) -> None:
        """Store an item that counts as this many records; return once it is durable.

        Cancelling the caller does not affect the batch: the others learn of its outcome, and the item is stored anyway.
        `also_pending` are records pending elsewhere that count towards the limit. Raises TidemarkError: at once if too
        many records are pending, later if these could not be stored.
        """
        committed = self.shared_commit(item, records, also_pending=also_pending)
        try:
            await asyncio.shield(committed)
        except TidemarkError as error:
            raise error.copy() from None  # the batch's own is shared: who catches it may change it

    def shared_commit(self, item: Item, records: int = 1, *, also_pending: int = 0) -> "asyncio.Future[None]":
        """Accept an item like `stored`, and return the one future that its whole batch shares.

        Only for the express lane, which adds a callback and so needs no coroutine for each reading. Cancelling this
        future, as a cancelled caller that awaits it would, leaves every request of the batch without its answer: all
        others use `stored`.
        """
        if self._closing:
            raise self._not_stored()
        if self.pending + also_pending >= self._max_pending:
            raise unavailable(f"Too many {self._noun} are waiting to be stored; send this again later.")
        batch = self._gathering
        if batch.records >= self._max_batch:
            self._full.append(batch)
            batch = self._gathering = _Batch(self._loop)
        batch.items.append(item)
        batch.records += records
        self.pending += records
        if self._may_commit():
            self._arrived.set()
        return batch.committed

    async def close(self) -> None:
        """Commit what was accepted, then stop; accept nothing more."""
        self._closing = True
        self._arrived.set()
        # A task that failed has refused what was pending, and the watch has logged its error.
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _run(self, store: Callable[[list[Item]], Awaitable[None]]) -> None:
        while True:
            batch = self._next() if self._may_commit() else None
            if batch is not None:
                await self._commit(batch, store)
            elif self._closing:
                return
            else:
                self._arrived.clear()
                await self._arrived.wait()

    def _refuse_all(self, _ended: "asyncio.Task[None]") -> None:
        """A task has ended: accept nothing more, and if it ended before its time, leave nobody waiting."""
        self._closing = True
        while (batch := self._next()) is not None:
            self.pending -= batch.records
            _settle(batch.committed, self._not_stored())

    def _not_stored(self) -> TidemarkError:
        return unavailable(f"The {self._noun} could not be stored just now; send them again later.")

    def _may_commit(self) -> bool:
        return not self._committing or bool(self._full) or self._gathering.records >= self._beside

    def _next(self) -> _Batch[Item] | None:
        if self._full:
            return self._full.popleft()
        if not self._gathering.items:
            return None
        batch, self._gathering = self._gathering, _Batch(self._loop)
        return batch

    async def _commit(self, batch: _Batch[Item], store: Callable[[list[Item]], Awaitable[None]]) -> None:
        # Whatever fails in here, even the log, the requests of the batch learn of it.
        error: TidemarkError | None = self._not_stored()
        self._committing += 1
        try:
            await store(batch.items)
            error = None
        except TidemarkError as refused:
            error = refused
        except Exception:
            log.exception("batch not stored", records=batch.records)
        finally:
            self._committing -= 1
            self.pending -= batch.records
            _settle(batch.committed, error)
        if self._on_idle is not None and not self.pending:
            self._on_idle()


def _settle(committed: "asyncio.Future[None]", error: TidemarkError | None) -> None:
    if committed.done():
        return
    if error is None:
        committed.set_result(None)
    else:
        committed.set_exception(error)
        committed.exception()  # retrieved here: every request of the batch may have gone, and asyncio would complain
