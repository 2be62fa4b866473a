"""The limits of the public collector: how many records per minute, and how many names, across all processes."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import timedelta
from itertools import count
from typing import Any
from uuid import UUID

import pytest
from aiohttp import ClientResponse
from tidemark.base.errors import Kind, TidemarkError
from tidemark.base.watch import Watch
from tidemark.database.statements import statements
from tidemark.embedded.server import Server
from tidemark.web.addresses import Addresses, network_of
from tidemark.web.record import OTHER
from tidemark.web.writer import MINUTE, CollectorLimits, WebRecord, WebWriter

from tests.conftest import MakeTenant, StartService, Tenant
from tests.web.test_collect import assert_refused, make_site, read, send, stats
from tests.web.test_figures import BEGIN, World, made_world

FROM = int(BEGIN.timestamp()) * 1_000_000
_blocks = count(1)


async def in_one_minute(sending: Callable[[str], Awaitable[list[ClientResponse]]]) -> list[ClientResponse]:
    """The responses to requests sent within one minute; each attempt uses a different block of addresses, such as
    `7.0`.
    """
    while True:
        began = time.time() // 60
        answers = await sending(f"{next(_blocks)}.0")
        # Otherwise a new minute began between the requests, so the next attempt has almost a whole minute.
        if time.time() // 60 == began:
            return answers


async def at_once(tenant: Tenant, site: str, addresses: list[str]) -> list[ClientResponse]:
    """Send page views from these addresses, each on its own connection, so that any process may get it."""
    headers = [{"X-Forwarded-For": address, "Connection": "close"} for address in addresses]
    return list(await asyncio.gather(*(send(tenant, site, headers=one) for one in headers)))


async def test_exactly_the_limits_pass_however_many_processes_serve(
    server: Server, start_service: StartService, make_tenant: MakeTenant
) -> None:
    crowd = start_service(
        server.url,
        TIDEMARK_WORKERS="3",
        TIDEMARK_TRUSTED_PROXIES="127.0.0.0/8",
        TIDEMARK_COLLECT_PER_MINUTE="30",
        TIDEMARK_COLLECT_PER_ADDRESS="12",
    )
    tenant = await make_tenant(crowd)
    sites: list[str] = []

    async def one_address(block: str) -> list[ClientResponse]:
        sites.append(await make_site(tenant))
        return await at_once(tenant, sites[-1], [f"10.{block}.1"] * 40)

    async def one_network(block: str) -> list[ClientResponse]:
        sites.append(await make_site(tenant))
        routed = f"2001:db8:{block.partition('.')[0]}"
        return await at_once(tenant, sites[-1], [f"{routed}:{net}::{host}" for net in (1, 2) for host in range(1, 16)])

    async def one_site(block: str) -> list[ClientResponse]:
        sites.append(await make_site(tenant))
        return await at_once(tenant, sites[-1], [f"10.{block}.{host}" for host in range(50)])

    # The limit that the message names, and how many page views are accepted.
    for sending, whose, passing in ((one_address, "12", 12), (one_network, "12", 24), (one_site, "30", 30)):
        answers = await in_one_minute(sending)
        assert Counter(answer.status for answer in answers) == {204: passing, 429: len(answers) - passing}
        assert (await stats(tenant, sites[-1]))["pageviews"] == passing
        for answer in answers:
            if answer.status == 429:
                await assert_refused(answer, 429, f"{whose} records a minute")
                assert 1 <= int(answer.headers["Retry-After"]) <= 60
    assert crowd.stop() == 0


async def test_names_beyond_those_of_a_day_count_as_others(
    server: Server, start_service: StartService, make_tenant: MakeTenant
) -> None:
    tenant = await make_tenant(start_service(server.url, TIDEMARK_WORKERS="2", TIDEMARK_COLLECT_NAMES="3"))
    site, other_site = await make_site(tenant), await make_site(tenant)
    numbers = random.sample(range(10), 10)

    async def visit(number: int) -> None:
        page: dict[str, Any] = {"url": f"https://shop.test/{number}", "referrer": f"https://news-{number}.test/"}
        event: dict[str, Any] = {"type": "event", "url": "https://shop.test/0", "name": f"event {number}"}
        for fields in (page, event):
            assert (await send(tenant, site, headers={"Connection": "close"}, **fields)).status == 204

    await visit(0)  # the first name stays one
    await asyncio.gather(*(visit(number) for number in numbers))
    found = await stats(tenant, site)
    for key, name, times in (("topPages", "pathname", "views"), ("topReferrers", "referrer", "count")):
        assert [(one[name] == OTHER, one[times]) for one in found[key]] == [
            (True, 7), (False, 2), (False, 1), (False, 1)
        ]  # fmt: skip
    events = (await read(tenant, f"sites/{site}/events"))["events"]
    assert [one["count"] for one in events] == [7, 2, 1, 1]
    assert events[0]["name"] == OTHER
    assert (await read(tenant, f"sites/{site}/pageviews", pathname=OTHER))["total"] == 7
    assert (await send(tenant, other_site, url="https://shop.test/9")).status == 204
    assert (await stats(tenant, other_site))["topPages"] == [{"pathname": "/9", "views": 1}]


def record(world: World, at: int, **fields: object) -> WebRecord:
    """A page view of the front page."""
    view = WebRecord(world.site_number, at, random.getrandbits(63), BEGIN.date(), UUID(int=1), "pageview", "/")
    return view._replace(**fields)  # type: ignore[arg-type]


async def accepted(writers: list[WebWriter], records: list[WebRecord]) -> int:
    """Store records; returns how many are accepted. The others must be refused by a limit."""
    stores = (random.choice(writers).store(one) for one in records)
    outcomes = await asyncio.gather(*stores, return_exceptions=True)
    refused = [one for one in outcomes if one is not None]
    assert all(isinstance(one, TidemarkError) and one.kind is Kind.RATE_LIMIT_EXCEEDED for one in refused)
    return len(outcomes) - len(refused)


async def test_limits_are_exact_among_writers_that_know_nothing_of_each_other(migrated_url: str) -> None:
    limits = CollectorLimits(per_site=200, per_address=30, names=20)
    async with made_world(migrated_url, "UTC", limits) as world:
        writers = [WebWriter(world.database, Watch(), max_pending=100_000, limits=limits) for _ in range(4)]
        for minute in range(2):  # counts start from zero in each
            at = FROM + minute * MINUTE
            senders = [UUID(int=random.getrandbits(128)) for _ in range(5)]
            crowd = [
                record(world, at + random.randrange(MINUTE), address=sender, pathname=f"/{random.randrange(1000)}")
                for sender in senders
                for _ in range(random.randrange(31, 60))
            ]
            random.shuffle(crowd)
            assert await accepted(writers, crowd) == 5 * 30
            strangers = [
                record(world, at, address=UUID(int=random.getrandbits(128)), event=f"{random.randrange(1000)}")
                for _ in range(100)
            ]
            assert await accepted(writers, strangers) == 200 - 5 * 30
        for facet in ("pathname", "event"):
            names = await world.connection.fetchval(
                f"SELECT count(DISTINCT {facet}) FROM web_record WHERE site_number = $1 AND {facet} <> $2",
                world.site_number,
                OTHER,
            )
            assert names == limits.names
        for writer in writers:
            await writer.close()


async def test_what_is_counted_goes_with_its_minute_and_its_day(migrated_url: str) -> None:
    async with made_world(migrated_url, "UTC") as world:
        now = time.time_ns() // 1000
        addresses = Addresses(world.database)
        for at, day in ((FROM, BEGIN.date()), (now, BEGIN.date() + timedelta(days=100_000))):
            sender = await addresses.counted_as("192.0.2.1", at // MINUTE)
            assert sender == await Addresses(world.database).counted_as("192.0.2.1", at // MINUTE)
            await world.writer.store(record(world, at, day=day, address=sender))
        await statements().forget_collected.run(world.connection)
        for table, column, left in (
            ("address_key", "minute", now // MINUTE),
            ("address_usage", "minute", now // MINUTE),
            ("site_usage", "minute", now // MINUTE),
            ("web_name", "day", day),
            ("web_name_count", "day", day),
        ):
            assert [row[0] for row in await world.connection.fetch(f"SELECT {column} FROM {table}")] == [left], table
        assert "192.0.2.1" not in str(await world.connection.fetch("SELECT * FROM address_usage"))


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("::1", "2001:db8::1", False),
        ("", "192.0.2.1", False),
    ],
)
def test_an_ipv6_address_counts_with_its_network(one: str, other: str, same: bool) -> None:
    assert (network_of(one) == network_of(other)) is same
