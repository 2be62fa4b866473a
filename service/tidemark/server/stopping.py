"""How long stopping may take in total: whatever hangs, a service that is asked to stop ends within ten seconds."""

import time

STOP_SECONDS = 9.5


class Stopping:
    """The time that is left once the service has been asked to stop; its stages share it."""

    def __init__(self) -> None:
        self._end: float | None = None

    def begin(self) -> None:
        """The service has been asked to stop; asking again changes nothing."""
        if self._end is None:
            self._end = time.monotonic() + STOP_SECONDS

    def left(self) -> float:
        """Seconds that are left; the full time if the service stops without being asked."""
        return STOP_SECONDS if self._end is None else max(0.0, self._end - time.monotonic())
