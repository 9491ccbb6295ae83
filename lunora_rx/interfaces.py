"""The seams: what the driver asks of a transport, and the client of a store.

Each is small enough to write anew for another library or for a test.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias, TypeVar

from lunora_rx.errors import LunoraError
from lunora_rx.protocol.frame_text import FrameText
from lunora_rx.protocol.rpc import HttpReply, HttpRequest

Queued = TypeVar("Queued")
Cached = TypeVar("Cached")


class Socket(Protocol):
    """One open WebSocket.

    ``receive`` and ``send`` are each called by one task at a time. A socket may have ``receive_many(limit)`` besides,
    which returns a list of the frames that are there already; where there are none, it waits for one as ``receive``.
    """

    async def receive(self) -> str | bytes | None:
        """Wait for the next text frame; ``None`` once the socket is closed, for whatever reason."""
        ...

    async def send(self, text: str) -> None:
        """Send one text frame; raises ``TransportError`` when that is no longer possible."""
        ...

    async def close(self, code: int = 1000) -> None:
        """Close the socket; closing a closed one does nothing."""
        ...

    @property
    def close_code(self) -> int | None:
        """The code that either side closed the socket with; ``None`` while it is open or was cut."""
        ...


class SocketFactory(Protocol):
    """Opens WebSockets."""

    async def connect(self, url: str, headers: Mapping[str, str]) -> Socket:
        """Open a WebSocket.

        Raises:
            TransportError: It cannot be had, for now.
            ProtocolError: The server answered with something that is no WebSocket.
        """
        ...


class StreamingReply(Protocol):
    """The reply to one HTTP request, whose body is read as it comes.

    ``read`` and ``aclose`` are called by one task.
    """

    @property
    def status(self) -> int:
        """The HTTP status."""
        ...

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers, their names in lower case."""
        ...

    async def read(self) -> bytes | None:
        """Wait for the next bytes of the body, however many; ``None`` at its end and once it is closed.

        Raises:
            TransportError: The body was cut off.
            RequestTimeout: Nothing came for too long.
        """
        ...

    async def aclose(self) -> None:
        """Give up what was not read; closing what is closed or at its end does nothing."""
        ...


class HttpTransport(Protocol):
    """Makes HTTP requests."""

    async def request(
        self, method: str, url: str, *, headers: Mapping[str, str], body: bytes | None, timeout: float
    ) -> HttpReply:
        """Return the reply, whatever its status; raises ``TransportError`` when there is none.

        A redirect is a reply like any other and is not followed. ``timeout`` is in seconds and
        bounds the whole exchange; exceeding it raises ``RequestTimeout``.
        """
        ...

    async def stream(
        self, method: str, url: str, *, headers: Mapping[str, str], timeout: float, read_timeout: float
    ) -> StreamingReply:
        """Return the reply once its headers are there, whatever its status; it must be closed.

        A redirect is not followed. ``timeout``, in seconds, bounds the time until the headers, ``read_timeout`` each
        wait for more of the body; exceeding one raises ``RequestTimeout``. There is no limit to the size of the body.

        Raises:
            TransportError: There is no reply.
        """
        ...


class Transport(SocketFactory, HttpTransport, Protocol):
    """Everything that a client needs of the network."""

    async def aclose(self) -> None:
        """Release what the transport opened itself."""
        ...


class BookmarkStore(Protocol):
    """Keeps the session's database bookmark, an opaque string."""

    def get(self) -> str | None:
        """Return the bookmark, or ``None`` before the first."""
        ...

    def set(self, value: str) -> None:
        """Remember a newer bookmark."""
        ...


class QueueStore(Protocol[Queued]):
    """Keeps queued mutations until their verdict (``docs/protocol.md``, section "Durable record").

    ``Queued`` is ``lunora_rx.core.records.QueuedMutation``; records are told apart by their ``mutation_id``.
    Called on one worker thread, in order. A call that returns has been kept; one that raises, any
    exception, has not, and is made good later.

    A store may also offer ``group()``, a context manager: what is called inside is kept when it ends, all
    of it or nothing; and ``close()``. ``lunora_rx.testing.QueueStoreContract`` tells whether a store is good.
    """

    def append(self, record: Queued) -> None:
        """Keep a record behind all others; one whose id is there already is replaced in its place."""
        ...

    def load(self) -> list[Queued]:
        """Return all records, oldest first; one that cannot be read is reported and left out."""
        ...

    def remove(self, ids: Collection[str]) -> None:
        """Forget records; unknown ids are ignored."""
        ...

    def replace(self, record: Queued) -> None:
        """Put a record in the place of the one with its id, at once; without one, do nothing."""
        ...

    def clear(self) -> None:
        """Forget every record."""
        ...


class CacheStore(Protocol[Cached]):
    """Keeps the last values of live queries (``docs/protocol.md``, section "Durable read cache").

    ``Cached`` is ``lunora_rx.core.records.CachedRead``. Called on one worker thread, in order.
    The store may forget any entry, the least recently stored first.
    """

    def get(self, key: str) -> Cached | None:
        """Return the entry of a subscription key, or ``None``."""
        ...

    def put(self, entries: Iterable[Cached]) -> None:
        """Keep entries, each in the place of an older one with its key."""
        ...

    def remove(self, keys: Collection[str]) -> None:
        """Forget entries; unknown keys are ignored."""
        ...

    def load(self) -> list[Cached]:
        """Return all entries, the least recently stored first."""
        ...


OnStored: TypeAlias = Callable[[Any, Exception | None], object]


class RecoverableQueue(QueueStore[Queued], Protocol[Queued]):
    """A queue store whose failures lose nothing while the process lives, and that may find more records later."""

    def look_again(self) -> list[Queued]:
        """Return records that nobody was given yet; they belong ahead of what is composed from now on."""
        ...


class StorageThread(Protocol[Queued, Cached]):
    """The stores of one client on a thread of their own; operations run there, in order.

    Results come on the client's loop as ``on_done(result, error)``, one of them ``None``.
    """

    @property
    def queue(self) -> RecoverableQueue[Queued]:
        """Where queued mutations wait; only for operations on the thread."""
        ...

    @property
    def cache(self) -> CacheStore[Cached] | None:
        """Where the last values of live queries are, if anywhere; only for operations on the thread."""
        ...

    @property
    def bookmarks(self) -> BookmarkStore | None:
        """Where the session's bookmark is, if anywhere; only for operations on the thread."""
        ...

    def client_id(self, new_id: Callable[[], str]) -> str:
        """Return the client id that is kept, or keep a new one; on the thread."""
        ...

    def submit(self, operation: Callable[[], object], on_done: OnStored | None = None) -> None:
        """Run an operation after all that were submitted before."""
        ...

    def submit_write(self, operation: Callable[[], object], on_done: OnStored | None = None) -> None:
        """Run an operation on the queue, in one transaction with those that wait beside it."""
        ...

    def finish(self, on_done: OnStored | None = None) -> None:
        """Take nothing more, run what was submitted, close the stores, end the thread, then call ``on_done``."""
        ...


SocketStage: TypeAlias = Literal["connecting", "open", "closed"]
CallStage: TypeAlias = Literal["composed", "queued", "sent", "settled"]


@dataclass(frozen=True, slots=True)
class CallNews:
    """How far a call has come.

    Attributes:
        call_id: Tells calls apart: a mutation by its ``mutation_id``, others by the ``request_id`` of their request.
        kind: ``"query"``, ``"action"``, ``"mutation"`` or ``"batch"``; a preload is a query.
        functions: The paths that it calls: one, or those of a batch.
        shard: The shard key, empty for the default shard and for a batch.
        stage: ``"composed"`` once, ``"queued"`` and ``"sent"`` of mutations only, ``"settled"`` once.
        error: Why it has no result, of a settled one; ``None`` if it has one.
        commit_cursor: The position at which a settled mutation landed, if the server tells.
        was_queued: Whether a settled mutation ever waited in the queue.
        failed_entries: How many calls of a settled batch have no result.
    """

    call_id: int | str
    kind: str
    functions: tuple[str, ...]
    shard: str
    stage: CallStage
    error: LunoraError | None = None
    commit_cursor: int | None = None
    was_queued: bool = False
    failed_entries: int = 0


class Tap(Protocol):
    """Is told what passes between one client and its server, and what that means for its calls.

    Subclass it and write the methods that are of interest; the others do nothing. All are called on the client's
    loop, in the order of what happens, and must be quick. One that raises is reported as an observer is. What it
    is given holds payloads, but no credential: neither a token, nor a cookie, nor the URL of a socket.
    """

    # Bodies that return are no abstract ones: to a type checker, too, a subclass may leave any of them out.

    def note_socket(self, shard: str, stage: SocketStage, code: int | None) -> None:
        """Note that a shard's socket is being opened, is open, or is gone.

        Each ``"connecting"`` is followed by one ``"closed"``, which says the code of the close, if there was one,
        and is preceded by ``"open"`` unless the attempt failed.
        """
        return

    def note_frame(self, shard: str, frame: FrameText) -> None:
        """Note a frame: one that is about to be applied, or one that was sent."""
        return

    def note_request(self, request: HttpRequest) -> Mapping[str, str] | None:
        """Note a request that is about to be made; what is returned goes into its headers where they lack it."""
        return None

    def note_reply(self, request: HttpRequest, reply: HttpReply | LunoraError) -> None:
        """Note what came of a request: a reply of whatever status, or why there is none. A given up one has none."""
        return

    def note_call(self, news: CallNews) -> None:
        """Note how far a call has come; of one from before the tap, only a mutation's verdict."""
        return

    def note_shown(self, shard: str, function_path: str, cursor: int) -> None:
        """Note that all observers of a live query were told what it shows, and which position that has reached."""
        return
