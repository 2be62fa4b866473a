"""Lines of a body that arrives in pieces of any size."""

from collections.abc import Iterator

from tidemark.bodies.outcome import BodyError

PIECE_RECORDS = 20_000
"""Largest number of records in one piece of a body."""
MAX_RECORD = 1024 * 1024
"""Largest size of a record in a streaming format, in bytes."""
_PIECE = 512 * 1024
"""Bytes that are gathered before they are split into lines: some thousand readings."""
MAX_BLANK = 1_000_000
"""Lines without a record, blank or comments, that a body may have on top of those allowed for each record."""
BLANK_PER_RECORD = 100
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class Lines:
    """Splits a body at its line feeds, which are dropped, into lists of at most `PIECE_RECORDS` lines."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._fresh = 0
        self._seen = 0
        self._begun = False

    def feed(self, data: bytes) -> Iterator[list[bytes]]:
        """Take the next bytes. Raises BodyError at a line that is too long, after yielding the lines before it."""
        self._parts.append(data)
        self._fresh += len(data)
        if self._fresh >= _PIECE:
            yield from self.flush()

    def flush(self) -> Iterator[list[bytes]]:
        """The complete lines received so far. Raises BodyError at a line that is too long."""
        whole = b"".join(self._parts)
        end = whole.rfind(b"\n") + 1
        # Only new bytes count towards the next split: a long unfinished line is not scanned again and again.
        self._parts, self._fresh = [whole[end:]], 0
        if end:
            yield from self._split(whole[: end - 1])
        if len(whole) - end > MAX_RECORD:
            raise self._too_long()

    def finish(self) -> Iterator[list[bytes]]:
        """End the body; the last line needs no line feed. Raises BodyError."""
        whole = b"".join(self._parts).removesuffix(b"\n")
        self._parts = []
        if whole:
            yield from self._split(whole)

    def _split(self, whole: bytes) -> Iterator[list[bytes]]:
        lines = whole.split(b"\n")
        if not self._begun:
            lines[0] = lines[0].removeprefix(_BYTE_ORDER_MARK)
            self._begun = True
        for start in range(0, len(lines), PIECE_RECORDS):
            piece = lines[start : start + PIECE_RECORDS]
            if len(whole) > MAX_RECORD and max(map(len, piece)) > MAX_RECORD:
                good = next(number for number, line in enumerate(piece) if len(line) > MAX_RECORD)
                self._seen += good
                if good:
                    yield piece[:good]
                raise self._too_long()
            self._seen += len(piece)
            yield piece

    def _too_long(self) -> BodyError:
        return BodyError(f"Line {self._seen + 1} is longer than {MAX_RECORD // 1024 // 1024} MiB.")


class BlankLines:
    """Limits the lines of a body that hold no record: compressed, a body of little else would mean endless work."""

    def __init__(self) -> None:
        self._left = MAX_BLANK

    def note(self, blank: int, records: int) -> None:
        """Count the lines of a piece. Raises BodyError once too many have been blank."""
        self._left += records * BLANK_PER_RECORD - blank
        if self._left < 0:
            raise BodyError("The body has too many blank lines or comments for its records.")
