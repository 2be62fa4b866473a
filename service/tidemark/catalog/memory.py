"""What a process remembers of the catalog, which spares the database a look-up with every request.

Nothing that has changed may be remembered. So what is remembered of an organization is forgotten when a change of it is
announced (`tidemark.catalog.hearing`), and nothing is remembered while announcements cannot be heard. A look-up may
cross an announcement: it notes the generation before it asks the database, and what it found is remembered only if
nothing has been forgotten since.
"""

import sys
from collections.abc import Callable, Mapping
from typing import Generic, Protocol, TypeVar

LIMIT = 200_000
"""How many entries of a kind are remembered. One more, and all of that kind are forgotten: those in use are back at
once, and no hit has to note when it was."""
BYTES = 384 * 2**20
"""How many bytes the entries of a kind may take of which organizations have very many: enough for a million. Beyond,
all of that kind are forgotten, as above."""
ENTRY_BYTES = 90
"""What an entry takes beside its key and its value."""

Key = TypeVar("Key")
Value = TypeVar("Value")


class Kind(Protocol):
    """What is remembered of one kind."""

    def clear(self) -> None:
        """Forget all of it."""

    def forget(self, company_id: int) -> None:
        """Forget what belongs to an organization."""


class Memory:
    """All that a process remembers, by kind."""

    def __init__(self) -> None:
        self._kinds: list[Kind] = []
        self._hearing = False
        self._generation = 0

    @property
    def generation(self) -> int:
        """Changes whenever something is forgotten."""
        return self._generation

    def holds(self, generation: int) -> bool:
        """Whether what was looked up since that generation may be remembered."""
        return self._hearing and generation == self._generation

    def begin(self) -> None:
        """Remember from now on: every change is heard."""
        self.forget()
        self._hearing = True

    def end(self) -> None:
        """Forget everything and remember nothing: changes may go unheard."""
        self._hearing = False
        self.forget()

    def forget(self, company_id: int | None = None) -> None:
        """Forget what is remembered of an organization, or of all."""
        self._generation += 1
        for kind in self._kinds:
            if company_id is None:
                kind.clear()
            else:
                kind.forget(company_id)

    def keep(self, kind: Kind) -> None:
        """Forget what this kind remembers too when the time comes."""
        self._kinds.append(kind)


class ByOrganization(Generic[Key, Value]):
    """Entries that are found by their organization and a key which is unique there; at most `limit` bytes in all.

    `size` is what a value takes, in bytes.
    """

    def __init__(self, memory: Memory, size: Callable[[Value], int] = sys.getsizeof, limit: int = BYTES) -> None:
        memory.keep(self)
        self._memory = memory
        self._size = size
        self._limit = limit
        self._entries: dict[int, dict[Key, Value]] = {}
        self._bytes: dict[int, int] = {}

    def of(self, company_id: int) -> Mapping[Key, Value]:
        """The entries of an organization."""
        return self._entries.get(company_id, {})

    def remember(self, company_id: int, found: Mapping[Key, Value], generation: int) -> None:
        """Remember what was looked up since a generation, if it still holds and is not too much."""
        size = self._bytes_of(found)
        if not found or size > self._limit or not self._memory.holds(generation):
            return
        entries = self._entries.get(company_id, {})
        added = size - self._bytes_of({key: entries[key] for key in found if key in entries})
        if sum(self._bytes.values()) + added > self._limit:
            self.clear()
            added = size
        self._entries.setdefault(company_id, {}).update(found)
        self._bytes[company_id] = self._bytes.get(company_id, 0) + added

    def _bytes_of(self, entries: Mapping[Key, Value]) -> int:
        return sum(ENTRY_BYTES + sys.getsizeof(key) + self._size(value) for key, value in entries.items())

    def clear(self) -> None:
        """Forget all entries."""
        self._entries.clear()
        self._bytes.clear()

    def forget(self, company_id: int) -> None:
        """Forget the entries of an organization."""
        self._entries.pop(company_id, None)
        self._bytes.pop(company_id, None)


class ByKey(Generic[Key, Value]):
    """Entries that are found by a key which is unique among all organizations; at most `limit`."""

    def __init__(self, memory: Memory, limit: int = LIMIT) -> None:
        memory.keep(self)
        self._memory = memory
        self._limit = limit
        self._entries: dict[Key, Value] = {}
        self._keys: dict[int, set[Key]] = {}

    def get(self, key: Key) -> Value | None:
        """The entry with this key."""
        return self._entries.get(key)

    def remember(self, company_id: int, key: Key, value: Value, generation: int) -> None:
        """Remember an organization's entry that was looked up since a generation, if it still holds."""
        if not self._memory.holds(generation):
            return
        if len(self._entries) >= self._limit:
            self.clear()
        self._entries[key] = value
        self._keys.setdefault(company_id, set()).add(key)

    def clear(self) -> None:
        """Forget all entries."""
        self._entries.clear()
        self._keys.clear()

    def forget(self, company_id: int) -> None:
        """Forget the entries of an organization."""
        for key in self._keys.pop(company_id, ()):
            del self._entries[key]
