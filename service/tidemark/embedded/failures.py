"""Failures of the embedded server: those that end a start, and those that may pass without a change of settings."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tidemark.embedded.programs import EmbeddedServerError

NO_SPACE = "There is no space left for the embedded database."
PASSING = {
    errno.ENOSPC: NO_SPACE,
    errno.EDQUOT: "The disk quota for the embedded database is used up.",
    errno.ENOMEM: "There is not enough memory to start PostgreSQL.",
    errno.EAGAIN: "The system has no room for PostgreSQL's processes.",
    errno.EMFILE: "Too many files are open to start PostgreSQL.",
    errno.ENFILE: "Too many files are open on the machine to start PostgreSQL.",
}
"""What the system is short of, by errno."""
LOW_SPACE = 16 * 2**20
"""In bytes. With less, PostgreSQL may not even have been able to log why it did not start."""


class ProgramError(EmbeddedServerError):
    """One of PostgreSQL's programs failed; the message ends with its output."""


class PassingError(EmbeddedServerError):
    """A failure that may pass by itself; `reason` is a sentence that says what is wrong, without paths."""

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


@contextmanager
def failures_told_apart(data_dir: Path) -> Iterator[None]:
    """Raise EmbeddedServerError for whatever fails; PassingError if it may pass by itself."""
    try:
        yield
    except PassingError:
        raise
    except (OSError, EmbeddedServerError) as error:
        message = str(error)
        if isinstance(error, OSError):
            message = (
                f"The data directory {data_dir} cannot be used: {error}. Run Tidemark as the user who owns it, "
                f"or set TIDEMARK_DATA_DIR to a folder of your own."
            )
        reason = _passing_reason(error, data_dir)
        if reason is not None:
            raise PassingError(message, reason) from None
        raise EmbeddedServerError(message) from None


def _passing_reason(error: OSError | EmbeddedServerError, data_dir: Path) -> str | None:
    if isinstance(error, OSError):
        return PASSING.get(error.errno or 0)
    if not isinstance(error, ProgramError):
        return None
    for number, reason in PASSING.items():
        if os.strerror(number) in str(error):  # programs run with LC_ALL=C, so they use the same words
            return reason
    return NO_SPACE if shutil.disk_usage(data_dir).free < LOW_SPACE else None
