"""Plays the entries of a recording to one client, and takes the client's side of every socket and request."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from lunora_rx.errors import TransportError
from lunora_rx.interfaces import StreamingReply
from lunora_rx.protocol.recording import Entry, Kind
from lunora_rx.protocol.rpc import HttpReply
from lunora_rx.recording.answers import Answers
from lunora_rx.recording.contents import Contents, read_frame
from lunora_rx.recording.file import RecordingFile
from lunora_rx.recording.shard import ReplayShard
from lunora_rx.recording.socket import ReplaySocket
from lunora_rx.recording.state import Link, ShardState

ORIGIN: Final = "http://replay"

_OF_REQUESTS: Final = frozenset({Kind.REQUEST, Kind.REPLY, Kind.FAILURE, Kind.END})
_QUIET_TURNS: Final = 3
_MOST_TURNS: Final = 10_000
_ENTRIES_AT_ONCE: Final = 512


class Player:
    """A transport that reaches a recording instead of a server.

    Knows where in the recording it stands. Does not know the time: ``Playback`` says when the next entry is due.

    Args:
        file: The recording.

    Attributes:
        contents: What the recording holds.
        position: Where it stands, in milliseconds.
        reconnect: Called with a shard for which a socket can be had again.
        on_use: Called when the client first needs the network, and each time after.
    """

    def __init__(self, file: RecordingFile) -> None:
        self.contents = Contents(file)
        self.position = 0.0
        self.reconnect: Callable[[str], object] = lambda shard: None
        self.on_use: Callable[[], object] = lambda: None
        self._file = file
        self._answers = Answers(file, self.contents)
        self._shards: dict[str, ReplayShard] = {}
        self._waiting: dict[str, list[asyncio.Future[None]]] = {}
        self._moves = 0
        self._settled = -1
        self._played = 0
        self._entries: Iterator[Entry] = iter(())
        self._next: Entry | None = None
        self._rewind()

    async def connect(self, url: str, headers: Mapping[str, str]) -> ReplaySocket:
        """Wait until the recorded shard has a socket; raises ``TransportError`` where it could not have one."""
        shard = self._shard(parse_qs(urlsplit(url).query).get("shard", [""])[0])
        self.on_use()
        while shard.state.link is not Link.OPEN and shard.name in self.contents.shards:
            if shard.state.link is Link.OFFLINE:
                raise TransportError("the connection was down when this was recorded", transient=True)
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.setdefault(shard.name, []).append(waiter)
            await waiter
        self._moves += 1
        return shard.open()

    async def request(
        self, method: str, url: str, *, headers: Mapping[str, str], body: bytes | None, timeout: float
    ) -> HttpReply:
        """Answer as it was answered when it was recorded."""
        self._moves += 1
        self.on_use()
        return self._answers.reply(f"{method} {url.removeprefix(ORIGIN)}", body)

    async def stream(
        self, method: str, url: str, *, headers: Mapping[str, str], timeout: float, read_timeout: float
    ) -> StreamingReply:
        """Refuse: HTTP streams are not part of a recording."""
        raise TransportError("HTTP streams are not part of a recording")

    async def aclose(self) -> None:
        """Release nothing: files are open only while they are read, and ``Playback`` ends its own task."""

    def peek(self) -> Entry | None:
        """Return what comes next; ``None`` at the end."""
        return self._next

    def play_next(self) -> Entry | None:
        """Play the next entry and return it; the client has dealt with it once ``settle`` has returned."""
        entry = self._take()
        if entry is None or entry.kind in _OF_REQUESTS:
            return entry
        self._shard(entry.shard).play(entry)
        if entry.kind in (Kind.CONNECTING, Kind.OPENED, Kind.FAILED):
            self._offer(entry.shard)
        return entry

    async def jump(self, position: float) -> None:
        """Stand at another time, in milliseconds, and show what was known then."""
        is_back = position < self.position
        states = {name: ShardState() if is_back else shard.state for name, shard in self._shards.items()}
        if is_back:
            self._rewind()
        while self._next is not None and self._next.at <= position:
            entry = self._take()
            assert entry is not None
            if entry.kind not in _OF_REQUESTS:
                states.setdefault(entry.shard, ShardState()).apply(entry)
            if self._played % _ENTRIES_AT_ONCE == 0:
                await asyncio.sleep(0)
        self.position = position
        for name, state in states.items():
            self._shard(name).jump(state)
            self._offer(name)

    async def settle(self, *, is_news: bool = False) -> None:
        """Wait until the client has dealt with all that was played, and said what it has to say to it.

        Args:
            is_news: Whether the client may have begun something of its own since, that nothing here shows yet.
        """
        if not is_news and self._count() == self._settled and self._is_idle:
            return
        quiet = 0
        for _ in range(_MOST_TURNS):
            before = self._count()
            await asyncio.sleep(0)
            quiet = quiet + 1 if before == self._count() and self._is_idle else 0
            if quiet == _QUIET_TURNS:
                break
        self._settled = self._count()

    def frames_of(self, run: str, shard: str) -> Iterator[dict[str, Any]]:
        """Return the frames that a stream's run has brought so far; the file is read again."""
        for entry in islice(self._file.entries(), self._played):
            if entry.kind is Kind.RECEIVED and entry.shard == shard and run in entry.text:
                frame = read_frame(entry.text)
                if frame.get("id") == run:
                    yield frame

    def _shard(self, name: str) -> ReplayShard:
        if name not in self._shards:
            self._shards[name] = ReplayShard(name, self.contents, self)
        return self._shards[name]

    def _offer(self, shard: str) -> None:
        self._moves += 1
        for waiter in self._waiting.pop(shard, ()):
            if not waiter.done():
                waiter.set_result(None)
        if not self._shards[shard].is_open and self._shards[shard].state.link is not Link.OFFLINE:
            self.reconnect(shard)

    def _rewind(self) -> None:
        self._entries, self._played, self._settled = self._file.entries(), 0, -1
        self._next = next(self._entries, None)

    def _take(self) -> Entry | None:
        entry = self._next
        if entry is not None:
            self.position = entry.at
            self._played += 1
            self._next = next(self._entries, None)
        return entry

    def _count(self) -> int:
        sockets = (shard.socket for shard in self._shards.values())
        return self._moves + sum(socket.moves for socket in sockets if socket is not None)

    @property
    def _is_idle(self) -> bool:
        return all(shard.socket is None or shard.socket.is_idle for shard in self._shards.values())
