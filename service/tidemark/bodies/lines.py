"""Lines of a body that comes in pieces of any size."""

from collections.abc import Iterator

from tidemark.bodies.outcome import BodyError

PIECE_RECORDS = 20_000
"""The most records that one piece of a body holds."""
MAX_RECORD = 1024 * 1024
"""Bytes of the longest record that a streaming format takes."""
_PIECE = 512 * 1024
"""Bytes that are gathered before they are cut into lines: some thousand readings."""
MAX_BLANK = 1_000_000
"""Lines without a record, blank ones or comments, that a body may have beside those allowed for its records."""
BLANK_A_RECORD = 100
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class Lines:
    """Cuts a body at its line feeds, which the lines do not contain, into lists of at most `PIECE_RECORDS` lines."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._fresh = 0
        self._seen = 0
        self._begun = False

    def feed(self, data: bytes) -> Iterator[list[bytes]]:
        """Take the next bytes. Raises BodyError at a line that is too long, after the lines before it."""
        self._parts.append(data)
        self._fresh += len(data)
        if self._fresh >= _PIECE:
            yield from self.flush()

    def flush(self) -> Iterator[list[bytes]]:
        """The complete lines that have come. Raises BodyError at a line that is too long."""
        whole = b"".join(self._parts)
        end = whole.rfind(b"\n") + 1
        # Only bytes that are new count for the next cut: a long open line is not gone through again and again.
        self._parts, self._fresh = [whole[end:]], 0
        if end:
            yield from self._cut(whole[: end - 1])
        if len(whole) - end > MAX_RECORD:
            raise self._too_long()

    def finish(self) -> Iterator[list[bytes]]:
        """Take the end of the body; the last line needs no line feed. Raises BodyError."""
        whole = b"".join(self._parts).removesuffix(b"\n")
        self._parts = []
        if whole:
            yield from self._cut(whole)

    def _cut(self, whole: bytes) -> Iterator[list[bytes]]:
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
    """Counts the lines of a body that hold no record: compressed, a body of little else would be endless work."""

    def __init__(self) -> None:
        self._left = MAX_BLANK

    def note(self, blank: int, records: int) -> None:
        """Count the lines of a piece. Raises BodyError where too many have been blank."""
        self._left += records * BLANK_A_RECORD - blank
        if self._left < 0:
            raise BodyError("The body has too many blank lines or comments for its records.")
