"""Room in memory for bodies that are held until they are complete."""

from tidemark.base.errors import unavailable

RETRY_AFTER = 1
SMALL = 64 * 1024
"""Bytes of each body that do not count, so that a few huge bodies do not shut out all the small ones."""


class Room:
    """The bytes that the bodies of all requests of a process may occupy together."""

    def __init__(self, size: int) -> None:
        self._left = size

    def take(self, held: int, more: int) -> None:
        """Take room for `more` bytes of a body of which `held` bytes are held. Raises TidemarkError if none is left."""
        needed = _counted(held + more) - _counted(held)
        if needed > self._left:
            raise unavailable("Too many large bodies are arriving at once; send this one again later.", RETRY_AFTER)
        self._left -= needed

    def give_back(self, held: int) -> None:
        """Give back the room of a body of which `held` bytes were held."""
        self._left += _counted(held)


def _counted(size: int) -> int:
    return max(0, size - SMALL)
