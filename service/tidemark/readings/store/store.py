"""What the settler does to the store, whichever engine keeps it."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, TypeAlias

from tidemark.readings.columns import Block
from tidemark.readings.store.windows import Windows

if TYPE_CHECKING:
    from tidemark.database.database import Connected

Change: TypeAlias = Callable[[Block], Block]
"""Makes of the readings that are stored in a stretch those that are to be stored there, both sorted."""


class Store(Protocol):
    """The module of an engine. All of this is done in a repeatable read transaction of whoever holds the store, and
    blocks are sorted by series and instant.
    """

    async def append(self, connection: "Connected", block: Block) -> None:
        """Store readings, each newer than all that are stored of its series."""

    async def rewrite(self, connection: "Connected", windows: Windows, change: Change) -> Block:
        """Change what is stored in some windows; return what is stored there now.

        Stretches may be larger than the windows in which they lie: the store is rewritten in whole pieces.
        """

    async def merge_small(self, connection: "Connected") -> bool:
        """Merge small pieces, a limited number of readings at once; False if none are worth it."""

    async def convert_some(self, connection: "Connected") -> bool:
        """Turn readings that an older version has stored into pieces, a limited number; False if there are none.

        `conversion.finish_conversion` gives back their space, now and then, and after the last time.
        """
