"""A served app: inside ``async with``, or on a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager
from typing import NoReturn


class Serving(AbstractAsyncContextManager[str]):
    """What ``async with app.serve()`` enters; its value is the URL."""

    def __init__(self, server: AbstractAsyncContextManager[str]) -> None:
        self._server = server

    async def __aenter__(self) -> str:
        return await self._server.__aenter__()

    async def __aexit__(self, *exc_info: object) -> None:
        await self._server.__aexit__(*exc_info)  # type: ignore[arg-type]

    def __enter__(self) -> NoReturn:
        raise TypeError(
            "the server needs an event loop: use `async with app.serve() as url`, or `with app.serve_in_thread() as"
            " url` where there is none"
        )

    def __exit__(self, *exc_info: object) -> None:
        """Never called: ``with`` looks for it before it enters."""


class ServingThread:
    """A served app on a daemon thread with an event loop of its own; a context manager, whose value is the URL.

    Args:
        serve: Makes the server, once for each start.
    """

    def __init__(self, serve: Callable[[], Serving]) -> None:
        self._serve = serve
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._over = asyncio.Event()
        self._outcome: Future[None] = Future()

    def __repr__(self) -> str:
        return f"<ServingThread {'running' if self._thread is not None else 'stopped'}>"

    def __enter__(self) -> str:
        return self.start()

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def start(self) -> str:
        """Start the server, and return its URL.

        Raises:
            RuntimeError: It runs already.
            OSError: The address cannot be listened on.
        """
        if self._thread is not None:
            raise RuntimeError("the server runs already; close() it first")
        self._over, self._outcome = asyncio.Event(), Future()
        url: Future[str] = Future()
        self._thread = threading.Thread(target=self._run, args=(url,), name="lunora-devserver", daemon=True)
        self._thread.start()
        try:
            return url.result()
        except BaseException:
            # After Ctrl-C there is nobody to tell the URL to: the thread ends by itself, as after an error.
            if url.cancel() or url.exception() is not None:
                self._thread.join()
                self._thread = None
            else:
                self.close()
            raise

    def close(self) -> None:
        """End the server and wait for it; twice is once. Raises what broke its end."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        assert self._loop is not None, "a server that runs has a loop"
        self._loop.call_soon_threadsafe(self._over.set)
        thread.join()
        self._outcome.result()

    def _run(self, url: Future[str]) -> None:
        try:
            asyncio.run(self._main(url))
        except BaseException as error:
            (self._outcome if url.done() else url).set_exception(error)
        else:
            self._outcome.set_result(None)

    async def _main(self, url: Future[str]) -> None:
        self._loop = asyncio.get_running_loop()
        async with self._serve() as address:
            url.set_result(address)
            await self._over.wait()
