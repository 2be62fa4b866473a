"""Room in memory for bodies that are held until they are whole."""

from tidemark.base.errors import unavailable

RETRY_AFTER = 1
SMALL = 64 * 1024
"""Bytes of a body that always have room, so that a few huge ones do not shut out everybody else."""


class Room:
    """Bytes that the bodies of all requests of a process may take together."""

    def __init__(self, size: int) -> None:
        self._left = size

    def take(self, held: int, more: int) -> None:
        """Take room for more bytes of a body of which so many are held. Raises TidemarkError where none is left."""
        needed = _counted(held + more) - _counted(held)
        if needed > self._left:
            raise unavailable("Too many large bodies are coming in at once; send this again later.", RETRY_AFTER)
        self._left -= needed

    def give_back(self, held: int) -> None:
        """Give back the room of a body."""
        self._left += _counted(held)


def _counted(size: int) -> int:
    return max(0, size - SMALL)
