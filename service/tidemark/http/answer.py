"""Answers that may be cached: for a moment here, by their ETag at the client."""

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable, Hashable, Mapping
from dataclasses import dataclass, field

from aiocache import SimpleMemoryCache
from aiohttp import hdrs, web

VARY = "ORGANIZATION-ID, ORGANIZATION-API-KEY, Authorization, Accept"
"""What answers to a caller depend on beside the URL."""
MAX_ANSWERS = 10_000
MAX_ANSWER_BYTES = 256 * 1024
MAX_BYTES = 64 * 1024 * 1024
"""Bytes of all answers that a process keeps."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The body of a successful answer, the monotonic time at which its query began, and headers of its own."""

    body: bytes
    content_type: str
    asked_at: float
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Kept:
    """What an answer in the cache takes, and until when."""

    until: float
    size: int


class AnswerCache:
    """Answers of the last moment, so that a thousand dashboards asking the same cost one query.

    `now` is the monotonic clock, in seconds; a cache of 0 seconds is off.
    """

    def __init__(self, seconds: float, *, now: Callable[[], float] = time.monotonic) -> None:
        self.seconds = seconds
        self._now = now
        # Without a time limit its calls do not suspend: between a look at the answers and one at the queries under way
        # no query can end, and be found in neither.
        self._answers = SimpleMemoryCache(timeout=None)
        self._kept: dict[Hashable, _Kept] = {}
        """What the answers in the cache take, in the order in which they came."""
        self._bytes = 0
        self._under_way: dict[Hashable, tuple[float, asyncio.Task[Answer]]] = {}

    async def get(self, key: Hashable, make: Callable[[], Awaitable[Answer]]) -> tuple[Answer, bool]:
        """The answer for a key, made anew where there is none young enough, and whether it was at hand.

        Questions that come while the same one is being answered share its answer; an answer's age counts from when its
        query began.
        """
        if self.seconds == 0:
            return await make(), False
        kept: Answer | None = await self._answers.get(key)
        now = self._now()
        if kept is not None and now - kept.asked_at < self.seconds:
            return kept, True
        began, task = self._under_way.get(key, (now, None))
        if task is None or now - began >= self.seconds:
            task = asyncio.create_task(self._make(key, make))
            self._under_way[key] = (now, task)
            return await asyncio.shield(task), False
        return await asyncio.shield(task), True

    async def _make(self, key: Hashable, make: Callable[[], Awaitable[Answer]]) -> Answer:
        try:
            answer = await make()
        finally:
            if self._under_way.get(key, (0, None))[1] is asyncio.current_task():
                del self._under_way[key]
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
        self._kept.pop(key, None)  # it goes to the end
        self._kept[key] = _Kept(until, size)
        self._bytes = total
        return True


async def cached(
    request: web.Request, cache: AnswerCache, key: Hashable, make: Callable[[], Awaitable[Answer]]
) -> web.Response:
    """Answer a query from the cache or anew, with `Age`, `ETag` and `Cache-Control`; 304 where the client has it."""
    answer, at_hand = await cache.get(key, make)
    etag = hashlib.blake2b(answer.body, digest_size=16).hexdigest()
    age = time.monotonic() - answer.asked_at
    headers = {
        **answer.headers,
        "ETag": f'"{etag}"',
        "Cache-Control": f"private, max-age={max(0, round(cache.seconds - age))}",
        "Vary": VARY,
    }
    if at_hand:
        headers["Age"] = str(int(age))
    is_read = request.method in (hdrs.METH_GET, hdrs.METH_HEAD)
    if is_read and any(tag.value in (etag, "*") for tag in request.if_none_match or ()):
        return web.Response(status=304, headers=headers)
    return web.Response(body=answer.body, content_type=answer.content_type, charset="utf-8", headers=headers)
