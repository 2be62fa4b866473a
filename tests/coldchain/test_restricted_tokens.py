"""Tokens for some cooling units: requests that commit together have the same outcome as one after the other."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import asyncpg
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tidemark.base.watch import Watch
from tidemark.catalog import resources, welcome
from tidemark.catalog.resources import COOLING_UNITS
from tidemark.coldchain.operation import Operation
from tidemark.coldchain.operation_writer import OperationBlock, OperationWriter
from tidemark.database.database import Database
from tidemark.database.migration import migrate
from tidemark.embedded.server import Server

AT = datetime(2024, 1, 10, tzinfo=UTC)
IDS = st.sampled_from("abcd")
STORED = """
    SELECT id, type, cooling_unit_id, is_paid FROM operation WHERE company_id = $1 ORDER BY id
"""
Units = tuple[int, ...] | None
Row = tuple[str, str, int | None, bool | None]


def operation(kind: str, identifier: str, unit: int, other: str) -> Operation:
    """An operation of a type; types differ in how they relate to units."""
    if kind == "user_deactivated":
        return Operation(identifier, AT, kind, user_id="u")
    if kind == "payment":
        return Operation(identifier, AT, kind, check_out_id=other)
    moved = {"user_id": "u", "crop": "kale", "crates": 1, "weight_kg": Decimal(1)}
    fee = {"amount": Decimal(2), "currency": "USD", "payment_status": "pending"} if kind == "check_out" else {}
    return Operation(identifier, AT, kind, unit, **moved, **fee)  # type: ignore[arg-type]


@st.composite
def requests(draw: st.DrawFn) -> tuple[Units, list[Operation]]:
    """The contents of a request: the units of its token (None: all), and operations for those units.

    A token without any units gets operations for units all the same. HTTP refuses them before they come this far.
    """
    seen = draw(st.sampled_from((None, (), (1,), (2,), (1, 2))))
    kinds = ["check_in", "check_out", "check_out", "payment", "payment"]
    kind = st.sampled_from(kinds if seen is not None else [*kinds, "user_deactivated"])
    one = st.builds(operation, kind, IDS, st.sampled_from(seen or (1, 2)), IDS)
    return seen, draw(st.lists(one, min_size=1, max_size=4))


@dataclass
class Model:
    """The rules, applied to one request after the other."""

    stored: dict[str, tuple[Operation, Units]] = field(default_factory=dict)

    def unit_of(self, identifier: str) -> int | None:
        """The unit of a stored operation; for a payment, that of the check-out that it pays."""
        one, sender = self.stored[identifier]
        if one.type == "payment" and one.check_out_id in self.stored:
            paid, _ = self.stored[one.check_out_id]
            return paid.cooling_unit_id if self.pays(one, sender, paid) else None
        return one.cooling_unit_id

    @staticmethod
    def pays(payment: Operation, sender: Units, check_out: Operation) -> bool:
        """Whether a payment pays a check-out."""
        return (
            (payment.type, check_out.type, payment.check_out_id) == ("payment", "check_out", check_out.id)
            and (sender is None or check_out.cooling_unit_id in sender)
        )  # fmt: skip

    def take(self, seen: Units, operations: Sequence[Operation]) -> dict[str, str]:
        """Store a request; returns the ids that are rejected, and why."""
        sent = {one.id: one for one in operations}
        if seen is None:
            self.stored.update({one.id: (one, None) for one in sent.values()})
            return {}
        rejected = {one: "elsewhere" for one in sent if one in self.stored and self.unit_of(one) not in seen}
        sent = {name: one for name, one in sent.items() if name not in rejected}
        for name, one in sent.items():
            if one.type == "payment":
                assert one.check_out_id is not None
                stored, _ = self.stored.get(one.check_out_id, (None, None))
                named = sent.get(one.check_out_id, stored)
                if named is None or named.type != "check_out":
                    rejected[name] = "check_out_missing"
                elif named.cooling_unit_id not in seen:
                    rejected[name] = "check_out_elsewhere"
        self.stored.update({name: (one, seen) for name, one in sent.items() if name not in rejected})
        return rejected

    def rows(self) -> list[Row]:
        """The rows that should be stored, and which check-outs are paid."""
        return [
            (
                one.id,
                one.type,
                one.cooling_unit_id,
                any(self.pays(*other, one) for other in self.stored.values()) if one.type == "check_out" else None,
            )
            for _, (one, _) in sorted(self.stored.items())
        ]


@pytest.fixture(scope="module")
def url(server: Server) -> str:
    """A database with Tidemark's schema, for all examples."""

    async def prepare() -> str:
        admin = await asyncpg.connect(server.url_of("postgres"))
        await admin.execute("CREATE DATABASE restricted_tokens")
        await admin.close()
        connection = await asyncpg.connect(server.url_of("restricted_tokens"))
        await migrate(connection)
        await connection.close()
        return server.url_of("restricted_tokens")

    return asyncio.run(prepare())


async def play(url: str, sent: list[tuple[Units, list[Operation]]]) -> None:
    """Send requests of one company all at once, so that they commit together, and compare the result with the model."""
    connection: asyncpg.Connection[Any] = await asyncpg.connect(url)
    made = await welcome.create_organization(connection, {"name": "Cold"})
    company = made.organization["company_id"]
    for unit in (1, 2):
        await resources.create(connection, COOLING_UNITS, company, {"id": unit})
    database = Database(url)
    database.ready.set()
    writer = OperationWriter(database, Watch(), max_pending=100_000)
    blocks = [OperationBlock(company, operations, seen=seen) for seen, operations in sent]
    await asyncio.gather(*(writer.store(block) for block in blocks))
    await writer.close()
    model = Model()
    for block, (seen, operations) in zip(blocks, sent, strict=True):
        assert block.rejected == model.take(seen, operations)
    assert [tuple(row) for row in await connection.fetch(STORED, company)] == model.rows()
    await connection.close()


@settings(max_examples=40, deadline=None)
@given(sent=st.lists(requests(), min_size=2, max_size=8))
@example(sent=[((), [operation("check_out", "d", 1, "a"), operation("payment", "a", 1, "d")])])
def test_what_commits_together_is_as_one_after_the_other(url: str, sent: list[tuple[Units, list[Operation]]]) -> None:
    asyncio.run(play(url, sent))
