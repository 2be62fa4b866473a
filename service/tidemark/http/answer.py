"""Responses that may be cached: here for a moment, at the client by their ETag."""

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable, Hashable, Mapping
from dataclasses import dataclass, field

from aiocache import SimpleMemoryCache
from aiohttp import hdrs, web

VARY = "ORGANIZATION-ID, ORGANIZATION-API-KEY, Authorization, Accept"
"""The request headers, besides the URL, that a response depends on."""
MAX_ANSWERS = 10_000
MAX_ANSWER_BYTES = 256 * 1024
MAX_BYTES = 64 * 1024 * 1024
"""Total size of the answers that a process keeps, in bytes."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The body of a successful response, the monotonic time at which its query began, and headers of its own."""

    body: bytes
    content_type: str
    asked_at: float
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Kept:
    """The size in bytes of an answer in the cache, and when it expires."""

    until: float
    size: int


class AnswerCache:
    """Recent answers, so that a thousand dashboards with the same question cost one query.

    `now` is the monotonic clock, in seconds. A cache of 0 seconds keeps nothing.
    """

    def __init__(self, seconds: float, *, now: Callable[[], float] = time.monotonic) -> None:
        self.seconds = seconds
        self._now = now
        # Without a timeout its calls do not suspend. So no query can end between the look at the answers and the look
        # at the running queries, and be missed by both.
        self._answers = SimpleMemoryCache(timeout=None)
        self._kept: dict[Hashable, _Kept] = {}
        """The answers in the cache, the oldest first."""
        self._bytes = 0
        self._running: dict[Hashable, tuple[float, asyncio.Task[Answer]]] = {}

    async def get(self, key: Hashable, make: Callable[[], Awaitable[Answer]]) -> tuple[Answer, bool]:
        """The answer for a key, computed unless there is a recent one, and whether no new query was needed.

        Callers that ask while the same query is running share its answer. The age of an answer counts from the start
        of its query.
        """
        if self.seconds == 0:
            return await make(), False
        kept: Answer | None = await self._answers.get(key)
        now = self._now()
        if kept is not None and now - kept.asked_at < self.seconds:
            return kept, True
        began, task = self._running.get(key, (now, None))
        if task is None or now - began >= self.seconds:
            task = asyncio.create_task(self._make(key, make))
            self._running[key] = (now, task)
            return await asyncio.shield(task), False
        return await asyncio.shield(task), True

    async def _make(self, key: Hashable, make: Callable[[], Awaitable[Answer]]) -> Answer:
        try:
            answer = await make()
        finally:
            if self._running.get(key, (0, None))[1] is asyncio.current_task():
                del self._running[key]
        left = self.seconds - (self._now() - answer.asked_at)
        if left > 0 and self._take_room(key, len(answer.body), answer.asked_at + self.seconds):
            await self._answers.set(key, answer, ttl=left)
        return answer

    def _take_room(self, key: Hashable, size: int, until: float) -> bool:
        now = self._now()
        while self._kept and self._kept[oldest := next(iter(self._kept))].until <= now:
            self._bytes -= self._kept.pop(oldest).size
        number = len(self._kept) + (key not in self._kept)
        total = self._bytes + size - (self._kept[key].size if key in self._kept else 0)
        if size > MAX_ANSWER_BYTES or number > MAX_ANSWERS or total > MAX_BYTES:
            return False
        self._kept.pop(key, None)  # so that it moves to the end
        self._kept[key] = _Kept(until, size)
        self._bytes = total
        return True


async def cached(
    request: web.Request, cache: AnswerCache, key: Hashable, make: Callable[[], Awaitable[Answer]]
) -> web.Response:
    """The response to a query, from the cache or computed, with `Age`, `ETag` and `Cache-Control`; 304 if the client
    already has it.
    """
    answer, is_shared = await cache.get(key, make)
    etag = hashlib.blake2b(answer.body, digest_size=16).hexdigest()
    age = time.monotonic() - answer.asked_at
    headers = {
        **answer.headers,
        "ETag": f'"{etag}"',
        "Cache-Control": f"private, max-age={max(0, round(cache.seconds - age))}",
        "Vary": VARY,
    }
    if is_shared:
        headers["Age"] = str(int(age))
    is_read = request.method in (hdrs.METH_GET, hdrs.METH_HEAD)
    if is_read and any(tag.value in (etag, "*") for tag in request.if_none_match or ()):
        return web.Response(status=304, headers=headers)
    return web.Response(body=answer.body, content_type=answer.content_type, charset="utf-8", headers=headers)
