"""How long clients may take, in seconds. Whoever takes longer makes room for others."""

from tidemark.base.errors import Kind, TidemarkError

HEAD_SECONDS = 60.0
"""From connecting, or from the first byte of a further request, until the head of the request is complete."""
BODY_SECONDS = 60.0
"""For all of a body that is held until it is whole."""
STREAM_IDLE_SECONDS = 60.0
"""How long a body that is stored as it comes may stop coming."""
STALLED_SECONDS = 60.0
"""How long a client may take none of an answer; and how long for each piece of one that streams, which holds a database
connection."""
STREAM_PACE = 16 * 1024
"""Bytes a second that a client has to take of an answer that streams, on the average of `PACE_SECONDS`."""
PACE_SECONDS = 60.0
"""Only those count in which the client is waited for, not those that the answer itself takes to be made."""
IDLE_SECONDS = 75.0
"""From an answer to the next request. Above the minute after which proxies let go of connections themselves, so that
none sends a request into a connection that is just being closed here."""
GOODBYE_SECONDS = 2.0
"""How long a client gets to hear why its connection ends."""


def too_slow() -> TidemarkError:
    """The body of a request has not come in time (408)."""
    return TidemarkError(Kind.TOO_SLOW, "The body has not come in time; send less at once, or faster.", field="body")
