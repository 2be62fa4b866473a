"""A real headless Chromium, controlled over its DevTools protocol."""

import asyncio
import contextlib
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

from aiohttp import ClientSession, ClientWebSocketResponse

PROGRAM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
SECONDS = 30


class Page:
    """One tab."""

    def __init__(self, socket: ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = count(1)
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._loads: asyncio.Queue[None] = asyncio.Queue()
        self._reading = asyncio.create_task(self._read())

    async def command(self, method: str, **parameters: Any) -> Any:
        """Run a command of the protocol; returns its result."""
        number = next(self._numbers)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        await self._socket.send_json({"id": number, "method": method, "params": parameters})
        async with asyncio.timeout(SECONDS):
            return await answer

    async def visit(self, url: str) -> None:
        """Go to an address, and wait until the page is loaded."""
        await self._loaded(self.command("Page.navigate", url=url))

    async def click(self, selector: str) -> None:
        """Click a link to another page, and wait until that page is loaded."""
        await self._loaded(self.run(f"document.querySelector({selector!r}).click()"))

    async def back(self) -> None:
        """Go back within the same document."""
        await self.run("new Promise(gone => { addEventListener('popstate', () => gone()); history.back() })")

    async def run(self, script: str) -> Any:
        """Evaluate JavaScript, and await it if it is a promise; returns its value."""
        result = await self.command("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    async def close(self) -> None:
        """Close the tab, as a visitor who leaves does."""
        with contextlib.suppress(TimeoutError, ConnectionError):
            await self.command("Page.close")
        await self._socket.close()
        await self._reading

    async def _loaded(self, doing: Any) -> None:
        while not self._loads.empty():
            self._loads.get_nowait()
        await doing
        async with asyncio.timeout(SECONDS):
            await self._loads.get()

    async def _read(self) -> None:
        async for message in self._socket:
            document = message.json()
            if document.get("method") == "Page.loadEventFired":
                self._loads.put_nowait(None)
            answer = self._answers.pop(document.get("id"), None)
            if answer is not None and not answer.done():
                if "error" in document:
                    answer.set_exception(RuntimeError(str(document["error"])))
                else:
                    answer.set_result(document["result"])


@asynccontextmanager
async def chromium(folder: Path, user_agent: str) -> AsyncIterator[Page]:
    """Start a browser with its own profile, in which every host under `.test` is this machine; yields its first tab."""
    assert PROGRAM is not None
    process = await asyncio.create_subprocess_exec(
        PROGRAM,
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--disable-background-networking",
        "--no-first-run",
        "--remote-debugging-port=0",
        f"--user-data-dir={folder}",
        f"--user-agent={user_agent}",
        "--host-resolver-rules=MAP *.test 127.0.0.1",
        "about:blank",
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    try:
        async with asyncio.timeout(SECONDS):
            while not (said := re.search(rb"listening on ws://([\d.:]+)/", await process.stderr.readline())):
                assert process.returncode is None
        draining = asyncio.create_task(process.stderr.read())
        async with ClientSession() as session:
            async with session.get(f"http://{said[1].decode()}/json/list") as response:
                (tab,) = [one for one in await response.json(content_type=None) if one["type"] == "page"]
            page = Page(await session.ws_connect(tab["webSocketDebuggerUrl"], max_msg_size=0))
            await page.command("Page.enable")
            yield page
            await page.close()
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
        await process.wait()
        await draining
