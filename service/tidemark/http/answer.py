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


@dataclass(frozen=True, slots=True)
class Answer:
    """The body of a successful answer, the monotonic time at which its query began, and headers of its own."""

    body: bytes
    content_type: str
    asked_at: float
    headers: Mapping[str, str] = field(default_factory=dict)


class AnswerCache:
    """Answers of the last moment, so that a thousand dashboards asking the same cost one query."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._answers = SimpleMemoryCache()
        self._stored: dict[Hashable, float] = {}
        self._under_way: dict[Hashable, tuple[float, asyncio.Task[Answer]]] = {}

    async def get(self, key: Hashable, make: Callable[[], Awaitable[Answer]]) -> tuple[Answer, bool]:
        """The answer for a key, made anew where there is none young enough, and whether it was at hand.

        Questions that come while the same one is being answered share its answer; an answer's age counts from when its
        query began.
        """
        if self.seconds == 0:
            return await make(), False
        kept: Answer | None = await self._answers.get(key)
        now = time.monotonic()
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
        left = self.seconds - (time.monotonic() - answer.asked_at)
        if left > 0 and len(answer.body) <= MAX_ANSWER_BYTES and self._has_room():
            self._stored[key] = answer.asked_at + self.seconds
            await self._answers.set(key, answer, ttl=left)
        return answer

    def _has_room(self) -> bool:
        if len(self._stored) >= MAX_ANSWERS:
            now = time.monotonic()
            self._stored = {key: until for key, until in self._stored.items() if until > now}
        return len(self._stored) < MAX_ANSWERS


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
