"""How long clients may take, in seconds. Those that take longer are disconnected, to make room for others."""

from tidemark.base.errors import Kind, TidemarkError

HEAD_SECONDS = 60.0
"""From connecting, or from the first byte of a later request, until the head of the request is complete."""
BODY_SECONDS = 60.0
"""For the whole of a body that is held until it is complete."""
STREAM_IDLE_SECONDS = 60.0
"""How long a body that is stored as it arrives may stall."""
STALLED_SECONDS = 60.0
"""How long a client may read nothing of a response; also the limit for each piece of a streamed response, which holds a
database connection."""
STREAM_PACE = 16 * 1024
"""Bytes a second that a client must read of a streamed response, averaged over `PACE_SECONDS`."""
PACE_SECONDS = 60.0
"""Counts only the time spent waiting for the client, not the time that it takes to produce the response."""
IDLE_SECONDS = 75.0
"""From a response to the next request. Longer than the minute after which proxies close idle connections themselves, so
that no proxy sends a request on a connection that is being closed here."""
GOODBYE_SECONDS = 2.0
"""How long a client has to read why its connection ends."""


def too_slow() -> TidemarkError:
    """The error for a body that does not arrive in time (408)."""
    return TidemarkError(Kind.TOO_SLOW, "The body did not arrive in time; send less at once, or faster.", field="body")
