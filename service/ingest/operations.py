"""Business operations on their way in: their cooling units checked, stored in groups, acknowledged."""

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from service.access import Principal
from service.errors import unavailable
from service.ingest.columns import Rejection
from service.ingest.committing import Committer
from service.ingest.decode.operations import Operation, Operations
from service.ingest.group_commit import RETRY_AFTER, GroupCommit
from service.ingest.pipeline import BodyPipeline, Outcome
from service.storage.database import Database
from service.storage.statements import statements
from service.watch import Watch

if TYPE_CHECKING:
    from asyncpg import Connection

MAX_BATCH = 5_000
CONNECTIONS = 4
"""Companies whose operations are stored at once."""
_COLUMNS = ("company_id", *Operation._fields)


@dataclass(frozen=True, slots=True)
class OperationBlock:
    """Operations of one company, whose cooling units exist."""

    company_id: int
    operations: list[Operation]

    def __len__(self) -> int:
        return len(self.operations)


class OperationWriter:
    """Stores operations over a few connections, those of each company by themselves.

    A company is locked while its operations change, so each takes one connection at a time; one that has to wait, or
    whose operations fail, keeps no other from storing its own.
    """

    def __init__(self, database: Database, watch: Watch, *, max_pending: int) -> None:
        self._max_pending = max_pending
        self._watch = watch
        self._committers: asyncio.LifoQueue[Committer] = asyncio.LifoQueue()
        for _ in range(CONNECTIONS):
            self._committers.put_nowait(Committer(database, "operations"))
        self._groups: dict[int, GroupCommit[OperationBlock]] = {}
        self._ending: set[asyncio.Task[None]] = set()
        self._closing = False

    def write(self, block: OperationBlock) -> "asyncio.Future[None]":
        """Accept a block; see GroupCommit.write. A company's blocks commit in the order in which they came."""
        if self._closing:
            raise unavailable("The service is stopping; send this again later.", RETRY_AFTER)
        group = self._groups.get(block.company_id)
        if group is None:
            group = self._groups[block.company_id] = GroupCommit(
                [self._store],
                max_batch=MAX_BATCH,
                max_pending=self._max_pending,
                watch=self._watch,
                name="operation writer",
                noun="operations",
            )
        future = group.write(block, len(block), also_pending=self._pending() - group.pending)
        future.add_done_callback(lambda _: self._end_if_idle(block.company_id))
        return future

    async def close(self) -> None:
        """Commit what was accepted, then stop."""
        self._closing = True
        await asyncio.gather(*(group.close() for group in self._groups.values()), *self._ending)
        while not self._committers.empty():
            await self._committers.get_nowait().close()

    def _pending(self) -> int:
        return sum(group.pending for group in self._groups.values())

    def _end_if_idle(self, company_id: int) -> None:
        group = self._groups.get(company_id)
        if group is not None and group.pending == 0:
            del self._groups[company_id]
            ending = asyncio.get_running_loop().create_task(group.close())
            self._ending.add(ending)
            ending.add_done_callback(self._ending.discard)

    async def _store(self, blocks: list[OperationBlock]) -> None:
        # The last one of an id wins.
        last = {operation.id: (block.company_id, *operation) for block in blocks for operation in block.operations}

        async def write(connection: "Connection[Any]") -> None:
            sql = statements()
            async with connection.transaction():
                await sql.prepare_operation_change.run(connection)
                await connection.copy_records_to_table(
                    "incoming_operation", records=list(last.values()), columns=_COLUMNS
                )
                await sql.write_operations.run(connection)

        committer = await self._committers.get()
        try:
            await committer.commit(write, len(last))
        finally:
            self._committers.put_nowait(committer)


class OperationPipeline(BodyPipeline[Operations, OperationBlock]):
    """A body of operations. Those that concern cooling units that the caller may not see are rejected."""

    def __init__(
        self,
        database: Database,
        principal: Principal,
        writer: OperationWriter,
        *,
        streams: bool,
    ) -> None:
        super().__init__(writer.write, streams=streams)
        self._database = database
        self._principal = principal

    async def _known(self, piece: Operations) -> tuple[OperationBlock, Outcome]:
        result = Outcome()
        result.note(piece.rejections, piece.rejected)
        units = {one.cooling_unit_id for one in piece.operations if one.cooling_unit_id is not None}
        known: set[int] = set()
        if units:
            async with self._database.snapshot() as connection:
                rows = await statements().known_cooling_units.rows(
                    connection,
                    company_id=self._principal.company_id,
                    ids=sorted(units),
                    seen=sorted(self._principal.cooling_unit_ids),
                )
            known = {row["id"] for row in rows}
        elsewhere = await self._elsewhere(piece)
        taken = []
        for index, one in zip(piece.index, piece.operations, strict=True):
            if one.cooling_unit_id is not None and one.cooling_unit_id not in known:
                message = f"There is no cooling unit {one.cooling_unit_id}."
                result.note([Rejection(index, "cooling_unit_id", message)], 1)
            elif one.id in elsewhere:
                message = "This operation is of a cooling unit that the token is not for."
                result.note([Rejection(index, "id", message)], 1)
            elif one.check_out_id is not None and one.check_out_id in elsewhere:
                message = "This check-out is of a cooling unit that the token is not for."
                result.note([Rejection(index, "check_out_id", message)], 1)
            elif self._principal.cooling_unit_ids and one.type == "user_deactivated":
                message = "Users are of all cooling units, and the token is for some."
                result.note([Rejection(index, "type", message)], 1)
            else:
                taken.append(one)
        return OperationBlock(self._principal.company_id, taken), result

    async def _elsewhere(self, piece: Operations) -> set[str]:
        """Which operations that a piece replaces or pays are of cooling units that the caller may not see."""
        if not self._principal.cooling_unit_ids:
            return set()
        ids = {one.id for one in piece.operations} | {one.check_out_id for one in piece.operations if one.check_out_id}
        async with self._database.snapshot() as connection:
            rows = await statements().operations_elsewhere.rows(
                connection,
                company_id=self._principal.company_id,
                ids=sorted(ids),
                seen=sorted(self._principal.cooling_unit_ids),
            )
        return {row["id"] for row in rows}
