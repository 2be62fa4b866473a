"""Group commit: what many requests bring goes to the database together, and each hears of it after the commit.

While one batch commits, whatever arrives is gathered; it is the next batch. So a lone reading waits for nobody, and a
thousand gateways share each commit.
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

RETRY_AFTER = 1


class _Batch(Generic[Item]):
    """What commits together, and the future that all its requests wait for."""

    __slots__ = ("committed", "items", "records")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.items: list[Item] = []
        self.records = 0
        self.committed: asyncio.Future[None] = loop.create_future()


class GroupCommit(Generic[Item]):
    """Gathers items and stores them batch by batch, on each of its lanes one batch at a time."""

    def __init__(
        self,
        lanes: Sequence[Callable[[list[Item]], Awaitable[None]]],
        *,
        max_batch: int,
        max_pending: int,
        watch: Watch,
        name: str,
        noun: str = "readings",
    ) -> None:
        """Each lane stores a batch and returns after the commit, or raises; lanes work side by side. A batch begins as
        soon as the last one has `max_batch` records; beyond `max_pending` records nothing more is taken. `noun` is
        what users hear of them as.
        """
        self._max_batch = max_batch
        self._max_pending = max_pending
        self._noun = noun
        self._loop = asyncio.get_running_loop()
        self._gathering: _Batch[Item] = _Batch(self._loop)
        self._full: deque[_Batch[Item]] = deque()
        self._arrived = asyncio.Event()
        self._closing = False
        self._tasks = [watch.start(name, self._run(store)) for store in lanes]
        for task in self._tasks:
            task.add_done_callback(self._refuse_all)
        self.pending = 0
        """Records that are accepted and not yet committed."""

    def write(self, item: Item, records: int = 1, *, also_pending: int = 0) -> "asyncio.Future[None]":
        """Accept an item of so many records; `also_pending` are those elsewhere that count with the ones here.

        The future is shared by the batch: do not cancel it. It is done once the records are durable, and fails with
        TidemarkError where they could not be stored. Raises TidemarkError at once where too many are pending.
        """
        if self.pending + also_pending >= self._max_pending or self._closing:
            raise unavailable(f"Too many {self._noun} are waiting to be stored; send this again later.", RETRY_AFTER)
        batch = self._gathering
        if batch.records >= self._max_batch:
            self._full.append(batch)
            batch = self._gathering = _Batch(self._loop)
        batch.items.append(item)
        batch.records += records
        self.pending += records
        self._arrived.set()
        return batch.committed

    async def close(self) -> None:
        """Commit what was accepted, then stop; nothing more is taken."""
        self._closing = True
        self._arrived.set()
        await asyncio.gather(*self._tasks)

    async def _run(self, store: Callable[[list[Item]], Awaitable[None]]) -> None:
        while True:
            batch = self._next()
            if batch is not None:
                await self._commit(batch, store)
            elif self._closing:
                return
            else:
                self._arrived.clear()
                await self._arrived.wait()

    def _refuse_all(self, _ended: "asyncio.Task[None]") -> None:
        """A lane has ended: nothing more is taken, and nobody is left waiting where that was before its time."""
        self._closing = True
        while (batch := self._next()) is not None:
            self.pending -= batch.records
            _settle(batch.committed, self._not_stored())

    def _not_stored(self) -> TidemarkError:
        return unavailable(f"The {self._noun} could not be stored just now; send them again later.", RETRY_AFTER)

    def _next(self) -> _Batch[Item] | None:
        if self._full:
            return self._full.popleft()
        if not self._gathering.items:
            return None
        batch, self._gathering = self._gathering, _Batch(self._loop)
        return batch

    async def _commit(self, batch: _Batch[Item], store: Callable[[list[Item]], Awaitable[None]]) -> None:
        # Whatever happens in here, also to the log, the requests of the batch hear of it.
        error: TidemarkError | None = self._not_stored()
        try:
            await store(batch.items)
            error = None
        except TidemarkError as refused:
            error = refused
        except Exception:
            log.exception("batch not stored", records=batch.records)
        finally:
            self.pending -= batch.records
            _settle(batch.committed, error)


def _settle(committed: "asyncio.Future[None]", error: TidemarkError | None) -> None:
    if committed.done():
        return
    if error is None:
        committed.set_result(None)
    else:
        committed.set_exception(error)
        committed.exception()  # the requests may have gone; that is no reason to complain
