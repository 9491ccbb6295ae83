"""What surrounds one test: virtual time, seeded chance, servers closed at its end, and a look at what is left."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, Final, Protocol, TypeVar

from lunora_rx.client import LunoraClient
from lunora_rx.testing.clock import KitFailure, VirtualTime, seeded
from lunora_rx.testing.marbles import Recording

__all__ = ["Bench", "leaks_of"]

_COUNTS: Final = {
    "observers": "observers of live queries",
    "calls_in_flight": "calls under way",
    "open_mutations": "writes without a verdict",
    "open_http_streams": "open HTTP streams",
}

T = TypeVar("T")
S = TypeVar("S", bound="Served")


class Served(Protocol):
    """A server that a test uses."""

    @property
    def clients(self) -> tuple[LunoraClient, ...]:
        """The clients that it has made."""
        ...

    @property
    def open_sockets(self) -> int:
        """How many sockets are open."""
        ...

    def wait_for_disks(self) -> None:
        """Block until the storage of each client has done what it was asked for."""
        ...

    @property
    def problems(self) -> tuple[str, ...]:
        """What fails the test, in words: what nobody scripted, what observers raised."""
        ...

    async def aclose(self) -> None:
        """Close everything."""
        ...


class Bench:
    """The frame around one test; the pytest fixtures are parts of it.

    Without pytest: ``lunora_rx.testing.run(Bench().run(test))`` with a coroutine function ``test``.

    Attributes:
        time: The test's time.
        finds_leaks: Whether observers, sockets and tasks that the test leaves behind fail it.
    """

    def __init__(self) -> None:
        self.time = VirtualTime()
        self.finds_leaks = False
        self._servers: list[Served] = []

    def add(self, server: S) -> S:
        """Let a server be checked and closed when the test ends."""
        self._servers.append(server)
        self.time.outsiders.append(server.wait_for_disks)
        return server

    async def run(self, test: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run a test in virtual time, and end what it has used.

        Raises:
            AssertionError: Something was asked for that nobody scripted, an observer raised, ``advance`` or ``settle``
                was not awaited, or something was left behind.
        """
        __tracebackhide__ = True
        with seeded(0), _kept():
            try:
                return await self.time.guard(self._run(test))
            except KitFailure as failure:
                self._explain(failure)  # who waits for ever may do so because of them
                raise

    def run_plain(self, test: Callable[[], T]) -> T:
        """Run a test that is no coroutine, and end what it has used; raises as ``run``."""
        __tracebackhide__ = True
        with seeded(0), contextlib.closing(self.time), _kept():
            try:
                result = test()
            except BaseException as failure:
                self._explain(failure)
                self.time.run(self._close())
                raise
            self.time.run(self._finish(set()))
            return result

    async def _run(self, test: Callable[[], Coroutine[Any, Any, T]]) -> T:
        __tracebackhide__ = True
        before = asyncio.all_tasks()
        try:
            result = await test()
        except BaseException as failure:
            self._explain(failure)
            await self._close()
            raise
        await self._finish(before)
        return result

    async def _finish(self, before: set[asyncio.Task[Any]]) -> None:
        await self.time.settle()
        leaks = [leak for server in self._servers for leak in leaks_of(server)]
        for server in self._servers:
            for client in server.clients:
                await client.aclose()
            await self.time.settle()
            leaks += [f"{server.open_sockets} sockets of clients that nobody has closed"] * (server.open_sockets > 0)
        await self._close()
        ours = {asyncio.current_task(), self.time.task}
        leaks += [f"a task: {task!r}" for task in asyncio.all_tasks() - before - ours]
        problems = self._problems()
        if self.finds_leaks and leaks:
            problems += ["the test leaves behind:", *leaks]
        if problems:
            raise KitFailure("\n".join(problems))

    async def _close(self) -> None:
        for server in self._servers:
            await server.aclose()
        await self.time.settle()

    def _problems(self) -> list[str]:
        return [each for server in self._servers for each in server.problems] + self.time.take_forgotten()

    def _explain(self, failure: BaseException) -> None:
        """Note beside a failure what it likely is a consequence of, and what was recorded; nothing is said twice."""
        said = "\n".join(_texts(failure))
        for note in self._problems() + [each.summary for each in Recording.kept.get() or ()]:
            if note not in said:
                failure.add_note(note)


@contextlib.contextmanager
def _kept() -> Iterator[None]:
    token = Recording.kept.set([])
    try:
        yield
    finally:
        Recording.kept.reset(token)


def _texts(failure: BaseException | None) -> Iterator[str]:
    while failure is not None:
        yield str(failure)
        yield from getattr(failure, "__notes__", ())
        failure = failure.__cause__ or failure.__context__


def leaks_of(server: Served) -> list[str]:
    """Return what programs have not given up yet, in words: observers, calls, writes, subscriptions."""
    found = []
    for client in server.clients:
        told = client.debug()
        if not told["closed"]:
            found += [f"{told[name]} {what} of {client!r}" for name, what in _COUNTS.items() if told[name]]
    watched = getattr(server, "watched", [])
    return found + [f"{each.function!r} with {dict(each.args)!r} is still watched" for each in watched]
