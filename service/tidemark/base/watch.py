"""The tasks that have to run for as long as their process does, and which of them have failed."""

import asyncio
from collections.abc import Coroutine

import structlog

log = structlog.get_logger(__name__)


class Watch:
    """Starts tasks and notes those that end with an error: a process that has lost one is not ready any more.

    A task that returns or is cancelled was told to.
    """

    def __init__(self) -> None:
        self.failed: list[str] = []
        """Names of the tasks that have ended with an error."""
        self._running: set[asyncio.Task[None]] = set()

    def start(self, name: str, work: Coroutine[None, None, None]) -> "asyncio.Task[None]":
        """Run work as a task of this name."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._running.add(task)  # the loop itself would not keep it
        task.add_done_callback(self._note)
        return task

    def _note(self, task: "asyncio.Task[None]") -> None:
        self._running.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self.failed.append(task.get_name())
            log.error("a task has failed; restart this process", task=task.get_name(), exc_info=error)
