"""A connection that breaks off once the server has done a chosen statement, of which the client never hears."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import asyncpg

if TYPE_CHECKING:
    Connection = asyncpg.Connection[Any]
else:
    Connection = asyncpg.Connection


class CrashError(asyncpg.ConnectionDoesNotExistError):
    """The connection has broken off where it was to."""


class Crashing(Connection):
    """Everything that it sends is a statement: queries, COPY in both directions, BEGIN and COMMIT."""

    statements = 0
    """How many it has begun."""
    crash_at = 0
    """After which of them it breaks off; 0 for none."""

    async def _sent(self, send: Callable[..., Awaitable[Any]], *args: Any, **options: Any) -> Any:
        self.statements += 1
        number = self.statements  # of this one: the driver may send others within it
        result = await send(*args, **options)
        if number == self.crash_at:
            self.terminate()
            raise CrashError(str(args[0]))
        return result

    async def execute(self, *args: Any, **options: Any) -> Any:
        return await self._sent(super().execute, *args, **options)

    async def fetch(self, *args: Any, **options: Any) -> Any:
        return await self._sent(super().fetch, *args, **options)

    async def fetchrow(self, *args: Any, **options: Any) -> Any:
        return await self._sent(super().fetchrow, *args, **options)

    async def fetchval(self, *args: Any, **options: Any) -> Any:
        return await self._sent(super().fetchval, *args, **options)

    async def copy_from_query(self, *args: Any, **options: Any) -> Any:
        return await self._sent(super().copy_from_query, *args, **options)

    async def copy_to_table(self, *args: Any, **options: Any) -> Any:
        return await self._sent(super().copy_to_table, *args, **options)
