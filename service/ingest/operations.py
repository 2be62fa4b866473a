"""Business operations on their way in: their cooling units checked, stored in groups, acknowledged."""

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from service.access import Principal
from service.ingest.columns import Rejection
from service.ingest.committing import Committer
from service.ingest.decode.operations import Operation, Operations
from service.ingest.group_commit import GroupCommit
from service.ingest.pipeline import BodyPipeline, Outcome
from service.storage.database import Database
from service.storage.statements import statements

if TYPE_CHECKING:
    from asyncpg import Connection

MAX_BATCH = 5_000
_COLUMNS = ("company_id", *Operation._fields)


@dataclass(frozen=True, slots=True)
class OperationBlock:
    """Operations of one company, whose cooling units exist."""

    company_id: int
    operations: list[Operation]

    def __len__(self) -> int:
        return len(self.operations)


class OperationWriter:
    """Stores operations over a connection of its own; companies are locked while theirs change, so one is enough."""

    def __init__(self, database: Database, *, max_pending: int) -> None:
        self._committer = Committer(database, "operations")
        self._group: GroupCommit[OperationBlock] = GroupCommit(
            [self._store], max_batch=MAX_BATCH, max_pending=max_pending, name="operation writer", noun="operations"
        )

    def write(self, block: OperationBlock) -> "asyncio.Future[None]":
        """Accept a block; see GroupCommit.write. Blocks commit in the order in which they came."""
        return self._group.write(block, len(block))

    async def close(self) -> None:
        """Commit what was accepted, then stop."""
        await self._group.close()
        await self._committer.close()

    async def _store(self, blocks: list[OperationBlock]) -> None:
        # The last one of an id wins.
        last = {
            (block.company_id, operation.id): (block.company_id, *operation)
            for block in blocks
            for operation in block.operations
        }

        async def write(connection: "Connection[Any]") -> None:
            sql = statements()
            async with connection.transaction():
                await sql.prepare_operation_change.run(connection)
                await connection.copy_records_to_table(
                    "incoming_operation", records=list(last.values()), columns=_COLUMNS
                )
                await sql.write_operations.run(connection)

        await self._committer.commit(write, len(last))


class OperationPipeline(BodyPipeline[Operations, OperationBlock]):
    """A body of operations. Those of cooling units that the caller may not see are rejected as unknown."""

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
        taken = []
        for index, one in zip(piece.index, piece.operations, strict=True):
            if one.cooling_unit_id is None or one.cooling_unit_id in known:
                taken.append(one)
            else:
                message = f"There is no cooling unit {one.cooling_unit_id}."
                result.note([Rejection(index, "cooling_unit_id", message)], 1)
        result.accepted = len(taken)
        return OperationBlock(self._principal.company_id, taken), result
