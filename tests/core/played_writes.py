"""The core of one client in virtual time, whose server and disk the test plays: compose, drain, compare."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Any, TypeVar

import orjson

from lunora_rx.core.connection import Idle
from lunora_rx.core.events import Event, MutationSettled, ReplayProgressed
from lunora_rx.core.identity import KEEP
from lunora_rx.core.multiplexer import CoreOptions, Multiplexer
from lunora_rx.core.patches import Composition
from lunora_rx.core.records import CachedRead
from lunora_rx.core.writes import WriteOptions
from lunora_rx.errors import LunoraError, TransportError
from lunora_rx.protocol.keys import subscription_key
from lunora_rx.protocol.rpc import Accepted, HttpReply, HttpRequest
from tests.core.play import STEADY, frame, parsed

Kind = TypeVar("Kind")

NO_REPLY = TransportError("cut", transient=True)


class PlayedWrites:
    """A client's core with the time beside it.

    Attributes:
        now: The virtual time in seconds.
        core: The core under test.
        progress: How replays moved on.
        probes: The questions about who is signed in that were not answered yet.
    """

    def __init__(self, *, random: Callable[[], float] = lambda: 1.0, linger: float = 0.0, **options: Any) -> None:
        self.now = 0.0
        core_options = CoreOptions("client-1", backoff=STEADY, linger=linger, writes=WriteOptions(**options))
        self.core = Multiplexer(core_options, random)
        self.probes: list[HttpRequest] = []
        self.progress: list[ReplayProgressed] = []
        self._under_way: list[HttpRequest] = []

    def open(self, *shards: str) -> None:
        """Let the sockets of shards be open, from whatever state, and forget what that took."""
        for shard in shards or ("",):
            self.attempt(shard)
            self.let_open(shard)

    def take(self) -> list[Event]:
        """Return what happened, but for progress, which is kept apart."""
        events = self.core.take_events()
        self.progress += [each for each in events if isinstance(each, ReplayProgressed)]
        return [each for each in events if not isinstance(each, ReplayProgressed)]

    def attempt(self, shard: str = "") -> None:
        """Let the next attempt to open a socket begin, from whatever state, and forget what that took."""
        self.core.connect(shard, self.now)
        session = self.core.sessions[shard]
        if isinstance(session.connection.state, Idle):
            self.now = max(self.now, session.connection.deadline)
            session.handle_deadline(self.now)
            self.core.connect(shard, self.now)
        self.take()

    def let_open(self, shard: str = "") -> list[Event]:
        """Let an attempt succeed; return what happened."""
        self.core.receive_opened(shard, self.now)
        return self.take()

    def drop(self, shard: str = "") -> None:
        """Cut a connection, and forget what that took."""
        self.core.receive_closed(shard, None, self.now)
        self.take()

    def mutate(self, *names: str, shard: str = "", **composition: Any) -> list[Event]:
        """Compose writes, each named by its id; return what happened."""
        for name in names:
            composed = {"function_path": "notes:add", "args": {}, **composition}
            self.core.mutate(Composition(name, shard=shard, **composed), self.now)
        return self.take()

    def sent(self) -> list[list[str]]:
        """Return the ids of the writes in each request that was made and not answered yet."""
        return [_ids(request) for request in self.requests()]

    def requests(self) -> list[HttpRequest]:
        """Return the requests that were made and not answered yet."""
        requests = self.core.requests_to_send()
        self.probes += [each for each in requests if each.method == "GET"]
        self._under_way += [each for each in requests if each.method == "POST"]
        return self._under_way

    def reply(self, body: Any = None, status: int = 200, **headers: str) -> list[Event]:
        """Let the server answer the oldest request: a single one with a result, if nothing else is given."""
        content = {"result": 1} if body is None else body
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.receive(HttpReply(status, named, orjson.dumps(content)))

    def reply_slots(self, *bodies: Any) -> list[Event]:
        """Let the server answer the oldest request, which is a batch."""
        return self.reply({"results": [{"id": number, "body": body} for number, body in enumerate(bodies)]})

    def refuse(self, code: str, status: int = 400, **headers: str) -> list[Event]:
        """Let the server refuse the oldest request."""
        return self.reply({"error": {"code": code}}, status, **headers)

    def lose(self) -> list[Event]:
        """Let the oldest request go without a reply."""
        return self.receive(NO_REPLY)

    def receive(self, reply: HttpReply | LunoraError) -> list[Event]:
        """Let the oldest request end; return what happened."""
        self.core.receive_reply(self.requests().pop(0).request_id, reply, self.now)
        return self.take()

    def answer(self, body: Any, status: int = 200, *, number: int = 0) -> list[Event]:
        """Let the server answer a question about who is signed in, the oldest first; return what happened."""
        return self.end_probe(HttpReply(status, {}, orjson.dumps(body)), number=number)

    def end_probe(self, reply: HttpReply | LunoraError, *, number: int = 0) -> list[Event]:
        """Let a question about who is signed in end; return what happened."""
        self.requests()
        self.core.receive_reply(self.probes.pop(number).request_id, reply, self.now)
        return self.take()

    def questions(self) -> int:
        """Return how many questions about who is signed in wait for an answer."""
        self.requests()
        return len(self.probes)

    def frames(self, shard: str = "") -> list[Any]:
        """Take what was sent over the shard's socket, as JSON values."""
        return [parsed(text) for text in self.core.take_frames(shard)]

    def hear(self, kind: str, shard: str = "", **body: Any) -> list[Event]:
        """Let the server send a frame; return what happened."""
        self.core.receive_text(shard, frame(kind, **body), self.now)
        return self.take()

    def load(self, *entries: CachedRead) -> list[Event]:
        """Let the read cache have been read; return what happened."""
        self.core.load_reads(entries, self.now)
        return self.take()

    def wait(self, seconds: float) -> list[Event]:
        """Let time pass, with everything done when it is due; return what happened."""
        end, happened = self.now + seconds, self.take()
        while (deadline := self.core.next_deadline()) <= end:
            self.now = max(self.now, deadline)
            self.core.handle_deadline(self.now)
            assert self.core.next_deadline() > self.now, "a deadline that is over must not stay"
            happened += self.take()
        self.now = end
        return happened

    def store(self, *names: str) -> list[Event]:
        """Let the disk have stored records; return what happened."""
        self.core.receive_stored(names, self.now)
        return self.take()

    def sign_in(self, token: str | None, subject: Any = KEEP) -> list[Event]:
        """Change the token; return what happened."""
        self.core.set_auth_token(token, subject, self.now)
        return self.take()

    def watch(self, name: str, *, shard: str = "", args: Any = None, value: Any = None) -> str:
        """Subscribe to a query over an open socket, let the server send its value at cursor 1; return its key."""
        function_path = f"{name}:list"
        key = subscription_key(function_path, args, shard)
        self.core.subscribe(key, function_path, args or {}, shard, self.now)
        self.open(shard)
        if value is not None:
            self.data(key, value, 1, shard=shard)
            self.take()
        return key

    def data(self, key: str, value: Any, cursor: int, *, shard: str = "", kind: str = "data") -> list[Event]:
        """Let the server send a frame about a query; return what happened."""
        subscription = self.core.find(key, shard)
        assert subscription is not None
        body = {"data": value} if kind == "data" else {}
        self.core.receive_text(shard, frame(kind, id=subscription.id, cursor=cursor, **body), self.now)
        return self.take()

    def shown(self, key: str, shard: str = "") -> Any:
        """Return what a query shows."""
        subscription = self.core.find(key, shard)
        assert subscription is not None
        return subscription.result.shown

    def waiting(self) -> list[str]:
        """Return the ids in the queue, in order."""
        return [write.mutation_id for write in self.core.writes.queue]

    def retry_in(self) -> float:
        """Return the seconds until the next retry, infinite when there is none."""
        return self.core.writes.deadline - self.now

    def retry(self) -> list[Event]:
        """Wait until the retry is due, and let it happen; return what happened."""
        assert self.core.writes.deadline < inf
        self.now = self.core.writes.deadline
        self.core.writes.handle_deadline(self.now)
        assert self.core.writes.deadline > self.now, "a deadline that is over must not stay"
        return self.take()


def of_kind(events: list[Event], kind: type[Kind]) -> list[Kind]:
    """Return the events of one kind."""
    return [each for each in events if isinstance(each, kind)]


def verdicts(events: list[Event]) -> list[tuple[str, str | None]]:
    """Return the id and the code of each verdict among events, without a code where the write was carried out."""
    return [
        (each.record.mutation_id, None if isinstance(each.outcome, Accepted) else each.outcome.error.code)
        for each in events
        if isinstance(each, MutationSettled)
    ]


def _ids(request: HttpRequest) -> list[str]:
    single = request.headers.get("x-lunora-mutation-id")
    if single is not None:
        return [single]
    return [entry["mutationId"] for entry in orjson.loads(request.body)["calls"]]
