"""Stores business operations: checks their cooling units, commits them in groups, and acknowledges them."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from tidemark.base.errors import unavailable
from tidemark.base.watch import Watch
from tidemark.bodies.outcome import Outcome, Rejection
from tidemark.bodies.pipeline import BodyPipeline
from tidemark.catalog.principal import Principal
from tidemark.coldchain.operation import Operation, Operations
from tidemark.commit.committer import Committer
from tidemark.commit.group_commit import GroupCommit
from tidemark.database.database import Database
from tidemark.database.statements import statements

if TYPE_CHECKING:
    from asyncpg import Connection

MAX_BATCH = 5_000
CONNECTIONS = 4
"""Number of companies whose operations are stored at the same time."""
_COLUMNS = ("company_id", *Operation._fields)

# The message is the same whether the check-out belongs to another unit or does not exist, so that a token learns
# nothing about other units.
_NO_CHECK_OUT = (
    "check_out_id",
    "No check-out with this id belongs to the token's cooling units. Send the check-out first, then this payment.",
)
# For each reason that `refuse_operations` returns: the field at fault, and the message.
_REASONS = {
    "elsewhere": ("id", "The stored operation with this id does not belong to the token's cooling units."),
    "check_out_elsewhere": _NO_CHECK_OUT,
    "check_out_missing": _NO_CHECK_OUT,
}


@dataclass(slots=True)
class OperationBlock:
    """Operations of one request. Their cooling units exist and are visible to the sender."""

    company_id: int
    operations: list[Operation] = field(default_factory=list)
    index: list[int] = field(default_factory=list)
    """The position of each operation in the body, counted from 0."""
    seen: tuple[int, ...] | None = None
    """The cooling units of the token that sent them; None for all."""
    rejected: dict[str, str] = field(default_factory=dict)
    """After the commit: the ids of rejected operations, which the token may not change, and the reasons."""

    def __len__(self) -> int:
        return len(self.operations)

    def rejections(self) -> list[Rejection]:
        """The rejected operations of this block, in order."""
        return [
            Rejection(index, *_REASONS[self.rejected[one.id]])
            for index, one in zip(self.index, self.operations, strict=True)
            if one.id in self.rejected
        ]


class _Run:
    """Blocks that can be stored in one step, with the same result as one after the other.

    Blocks of senders who may change everything can always be combined; for each id, the last operation wins. What a
    token that is limited to some units may change depends on what is stored, so its blocks can be combined only if no
    two of them mention the same id.
    """

    def __init__(self, first: OperationBlock) -> None:
        self.seen = first.seen
        self._blocks: list[OperationBlock] = []
        self._ids: set[str] = set()
        self.take(first)

    def take(self, block: OperationBlock) -> bool:
        """Add a block if it can be stored in the same step as those before it; otherwise return False."""
        if block.seen != self.seen:
            return False
        if self.seen is not None:
            ids = {named for one in block.operations for named in (one.id, one.check_out_id) if named is not None}
            if not ids.isdisjoint(self._ids):
                return False
            self._ids |= ids
        self._blocks.append(block)
        return True

    def records(self) -> list[tuple[Any, ...]]:
        """The operations as rows of `_COLUMNS`; for each id, the last one wins."""
        rows = {one.id: (block.company_id, *one) for block in self._blocks for one in block.operations}
        return list(rows.values())

    def note(self, rejected: dict[str, str]) -> None:
        """Tell each block which of its operations were rejected, and why."""
        for block in self._blocks:
            block.rejected = {one.id: rejected[one.id] for one in block.operations if one.id in rejected}


def _runs(blocks: Sequence[OperationBlock]) -> list[_Run]:
    runs = [_Run(blocks[0])]
    for block in blocks[1:]:
        if not runs[-1].take(block):
            runs.append(_Run(block))
    return runs


class OperationWriter:
    """Stores operations over a few connections, separately for each company.

    A company is locked while its operations change, so it uses one connection at a time. A company that has to wait,
    or whose operations fail, does not hold up others.
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

    async def store(self, block: OperationBlock) -> None:
        """Store a block; see GroupCommit.stored. The blocks of a company commit in order of arrival."""
        if self._closing:
            raise unavailable("The service is stopping; send this again later.")
        group = self._groups.get(block.company_id) or self._begin(block.company_id)
        try:
            await group.stored(block, len(block), also_pending=self._pending() - group.pending)
        finally:
            self._end_if_idle(block.company_id)  # a refused block is not followed by a commit that would end the group

    async def close(self) -> None:
        """Commit what was accepted, then stop."""
        self._closing = True
        await asyncio.gather(*(group.close() for group in self._groups.values()), *self._ending)
        while not self._committers.empty():
            await self._committers.get_nowait().close()

    def _begin(self, company_id: int) -> GroupCommit[OperationBlock]:
        group = self._groups[company_id] = GroupCommit(
            [self._store],
            max_batch=MAX_BATCH,
            max_pending=self._max_pending,
            watch=self._watch,
            name="operation writer",
            noun="operations",
            on_idle=lambda: self._end_if_idle(company_id),
        )
        return group

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
        runs = _runs(blocks)

        async def write(connection: "Connection[Any]") -> None:
            sql = statements()
            async with connection.transaction():
                await sql.prepare_operation_change.run(connection)
                for run in runs:
                    await connection.copy_records_to_table(
                        "incoming_operation", records=run.records(), columns=_COLUMNS
                    )
                    rejected = await sql.write_operations.rows(connection, seen=run.seen)
                    run.note({row["operation_id"]: row["reason"] for row in rejected})

        committer = await self._committers.get()
        try:
            await committer.commit(write, sum(map(len, blocks)))
        finally:
            self._committers.put_nowait(committer)


class OperationPipeline(BodyPipeline[Operations, OperationBlock]):
    """Stores a body of operations. Those for cooling units that the caller may not see are rejected."""

    def __init__(
        self,
        database: Database,
        principal: Principal,
        writer: OperationWriter,
        *,
        streams: bool,
    ) -> None:
        super().__init__(writer.store, streams=streams)
        self._database = database
        self._company_id = principal.company_id
        self._seen = None if principal.seen is None else tuple(principal.seen)

    async def _known(self, piece: Operations) -> tuple[OperationBlock, Outcome]:
        units = await self._known_units(piece)
        accepted: list[tuple[int, Operation]] = []
        rejections = list(piece.rejections)
        for index, one in zip(piece.index, piece.operations, strict=True):
            if one.cooling_unit_id is not None and one.cooling_unit_id not in units:
                message = f"There is no cooling unit {one.cooling_unit_id}."
                rejections.append(Rejection(index, "cooling_unit_id", message))
            elif self._seen is not None and one.type == "user_deactivated":
                message = "A deactivation applies to all cooling units, but this token is limited to some of them."
                rejections.append(Rejection(index, "type", message))
            else:
                accepted.append((index, one))
        rejections.sort(key=attrgetter("index"))
        if (last := self._last(rejections)) is not None:
            rejections = [one for one in rejections if one.index <= last]
            accepted = [(index, one) for index, one in accepted if index <= last]
        result = Outcome()
        result.note(rejections, len(rejections))
        block = OperationBlock(
            self._company_id, [one for _, one in accepted], [index for index, _ in accepted], seen=self._seen
        )
        return block, result

    async def _known_units(self, piece: Operations) -> set[int]:
        """The cooling units in a piece that exist and that the caller may see."""
        units = {one.cooling_unit_id for one in piece.operations if one.cooling_unit_id is not None}
        if not units:
            return set()
        async with self._database.snapshot() as connection:
            rows = await statements().known_cooling_units.rows(
                connection, company_id=self._company_id, ids=sorted(units), seen=self._seen
            )
        return {row["id"] for row in rows}

    def _count(self, block: OperationBlock, result: Outcome) -> None:
        rejections = block.rejections()
        result.accepted = len(block) - len(rejections)
        result.note(rejections, len(rejections))
        result.rejections.sort(key=lambda rejection: rejection.index)
