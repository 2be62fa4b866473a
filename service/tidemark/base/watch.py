"""The tasks that must run for as long as their process does, and those of them that have failed."""

import asyncio
from collections.abc import Coroutine

import structlog

log = structlog.get_logger(__name__)


class Watch:
    """Starts tasks and notes those that end with an error: a process that has lost one is no longer ready.

    A task that returns or is cancelled was told to end.
    """

    def __init__(self) -> None:
        self.failed: list[str] = []
        """Names of the tasks that have ended with an error."""
        self._running: set[asyncio.Task[None]] = set()

    def start(self, name: str, work: Coroutine[None, None, None]) -> "asyncio.Task[None]":
        """Run work as a task of this name."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._running.add(task)  # the loop holds only a weak reference
        task.add_done_callback(self._note)
        return task

    def _note(self, task: "asyncio.Task[None]") -> None:
        self._running.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self.failed.append(task.get_name())
            log.error("a task has failed; restart this process", task=task.get_name(), exc_info=error)
