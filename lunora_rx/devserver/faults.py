"""Switches that make a running server misbehave on purpose.

They act on the servers of one app, and are called on their event loop: from a test, or from
one of the app's own actions.  What they arm strikes requests that arrive from then on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from lunora_rx.devserver.event_faults import EventFaults
from lunora_rx.devserver.frame_faults import FrameFaults
from lunora_rx.devserver.request_faults import RequestFaults

__all__ = ["Faults", "FaultySocket"]


class FaultySocket(Protocol):
    """A live socket, as far as faults reach it."""

    @property
    def shard_name(self) -> str:
        """The shard that the socket is connected to."""
        ...

    def abort(self) -> None:
        """Reset the connection, with no closing handshake."""

    def close(self, code: int) -> None:
        """Close it with a code."""

    def send_text(self, text: str) -> None:
        """Send any text."""

    def cancel_subscriptions(self) -> None:
        """End its live queries, and say so."""


class Restartable(Protocol):
    """A server, as far as faults reach it."""

    def begin_epoch(self) -> None:
        """Start a new history over the same rows."""

    def erase(self) -> None:
        """Forget everything."""

    def forget_streams(self) -> None:
        """Forget every durable run."""


class Faults(RequestFaults):
    """Faults that are in force, those of requests, frames and events included, and the sockets they act on.

    Attributes:
        attempts: How many sockets were asked for so far, the refused ones included.
        frames: What strikes shapes and streams; its switches are methods here as well.
        events: What strikes server-sent events; its switches are methods here as well.
    """

    def __init__(self) -> None:
        super().__init__()
        self.attempts = 0
        self.frames = FrameFaults()
        self.events = EventFaults()
        self.drop_pokes = self.frames.drop_pokes
        self.cut_poke = self.frames.cut_poke
        self.spoil_rows = self.frames.spoil_rows
        self.spoil_chunks = self.frames.spoil_chunks
        self.refuse_subscriptions = self.frames.refuse_subscriptions
        self.cut_http_streams = self.events.cut_http_streams
        self.spoil_http_streams = self.events.spoil_http_streams
        self.frame_http_streams = self.events.frame_http_streams
        self._sockets: dict[FaultySocket, None] = {}
        self._servers: dict[Restartable, None] = {}
        self._refusing = False
        self._stalled = False
        self._flowing: list[asyncio.Future[None]] = []
        self._timers: list[asyncio.TimerHandle] = []

    # --- at once

    @property
    def open_sockets(self) -> int:
        """How many sockets are open."""
        return len(self._sockets)

    def drop_sockets(self, shard: str | None = None) -> int:
        """Reset sockets, all or those of one shard; return how many."""
        return self._each(shard, lambda socket: socket.abort())

    def close_sockets(self, code: int, shard: str | None = None) -> int:
        """Close sockets with a code, such as 4001 or 1009; return how many."""
        return self._each(shard, lambda socket: socket.close(code))

    def send_text(self, text: str, shard: str | None = None) -> int:
        """Send a text that is no frame, or a wrong one; return to how many sockets."""
        return self._each(shard, lambda socket: socket.send_text(text))

    def cancel_subscriptions(self, shard: str | None = None) -> int:
        """End the live queries of sockets with ``complete``; return of how many sockets."""
        return self._each(shard, lambda socket: socket.cancel_subscriptions())

    def new_epoch(self) -> None:
        """Restart with a new epoch over the same rows."""
        self._restart(lambda server: server.begin_epoch())

    def restart(self) -> None:
        """Restart with nothing: no rows, no recorded replies, a new epoch."""
        self._restart(lambda server: server.erase())

    def forget_streams(self) -> None:
        """Forget the durable runs, those that go on included: whoever follows one gets STREAM_INTERRUPTED."""
        for server in list(self._servers):
            server.forget_streams()

    # --- until released

    def refuse_sockets(self, seconds: float | None = None) -> None:
        """Reset every new socket before it opens, for a time or until ``release``."""
        self._refusing = True
        self._after(seconds, self._accept_again)

    def stall(self, seconds: float | None = None) -> None:
        """Send nothing, neither frames nor replies, for a time or until ``release``; calls are still carried out."""
        self._stalled = True
        self._after(seconds, self._flow_again)

    def release(self) -> None:
        """End every fault that is in force, and forget those that have not struck."""
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        super().release()
        self.frames.release()
        self.events.release()
        self._accept_again()
        self._flow_again()

    # --- for the server

    @property
    def is_refusing(self) -> bool:
        """Whether new sockets are reset."""
        return self._refusing

    async def until_flowing(self) -> None:
        """Wait while everything is stalled."""
        while self._stalled:
            future = asyncio.get_running_loop().create_future()
            self._flowing.append(future)
            await future

    def attach_socket(self, socket: FaultySocket) -> None:
        """Know of a socket, until ``detach_socket``."""
        self._sockets[socket] = None

    def detach_socket(self, socket: FaultySocket) -> None:
        """Forget a socket; an unknown one is no error."""
        self._sockets.pop(socket, None)

    def attach_server(self, server: Restartable) -> None:
        """Know of a server, until ``detach_server``."""
        self._servers[server] = None

    def detach_server(self, server: Restartable) -> None:
        """Forget a server, and end what is in force; an unknown one is no error."""
        self._servers.pop(server, None)
        self.release()

    def _each(self, shard: str | None, act: Callable[[FaultySocket], None]) -> int:
        sockets = [each for each in self._sockets if shard is None or each.shard_name == shard]
        for socket in sockets:
            act(socket)
        return len(sockets)

    def _restart(self, act: Callable[[Restartable], None]) -> None:
        self.drop_sockets()
        for server in list(self._servers):
            act(server)

    def _after(self, seconds: float | None, action: Callable[[], None]) -> None:
        if seconds is not None:
            self._timers.append(asyncio.get_running_loop().call_later(seconds, action))

    def _accept_again(self) -> None:
        self._refusing = False

    def _flow_again(self) -> None:
        self._stalled = False
        waiting, self._flowing = self._flowing, []
        for future in waiting:
            if not future.done():
                future.set_result(None)
