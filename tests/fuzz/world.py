"""A core with something of everything under way, whose server says whatever it is given."""

from __future__ import annotations

from random import Random
from typing import Any

from lunora_rx.core.events import OpenSocket, StoreReads, StoreRecord
from lunora_rx.core.multiplexer import CoreOptions, Multiplexer
from lunora_rx.core.patches import Composition
from lunora_rx.core.polling import Polling
from lunora_rx.core.recap import recap
from lunora_rx.core.writes import WriteOptions
from lunora_rx.errors import CodecError, StorageError
from lunora_rx.protocol.rpc import HttpReply, HttpRequest, RpcCall
from lunora_rx.storage.rows import cached_to_payload, queued_to_payload


class World:
    """A client's core: two live queries, a shape, two streams, a topic, a pending layer, a durable queue.

    Attributes:
        core: The core.
        now: The virtual time in seconds.
    """

    def __init__(self, *, is_cookie_session: bool = False) -> None:
        self.now = 0.0
        writes = WriteOptions(is_durable=True, queues_before_first_connect=True, is_cookie_session=is_cookie_session)
        options = CoreOptions("client-1", writes=writes, polling=Polling(), context={"a": 1})
        self.core = Multiplexer(options, Random(0).random)

    def begin(self) -> None:
        """Ask for everything, and open the socket."""
        core = self.core
        for number in range(2):
            core.subscribe(f"key-{number}", "a:b", {"n": number}, "", self.now)
        core.subscribe_shape("rows", {}, "", self.now)
        core.start_stream("a:c", {}, "", self.now, durable=True)
        core.start_stream("a:d", {}, "", self.now, durable=False)
        core.join_topic("room", "", self.now)
        self.settle()

    def write(self, *names: str) -> None:
        """Compose writes, each with a layer over the first query."""
        for name in names:
            # One of them raises wherever the value is no list.
            transform = _appended if name == "odd" else _same
            composition = Composition(name, "a:b", {"n": 0}, optimistic=transform)
            self.core.mutate(composition, self.now)
        self.settle()

    def call(self) -> None:
        """Ask for a call, a batch and the user."""
        self.core.call(RpcCall("a:b", {}), timeout=5)
        self.core.batch([RpcCall("a:b", {}), RpcCall("a:c", {})], timeout=5)
        self.core.resolve_user(self.now)
        self.settle()

    def receive(self, text: bytes) -> None:
        """Take a frame."""
        self.core.receive_text("", text, self.now)
        self.settle()

    def lose(self, code: int | None = None) -> None:
        """Lose the socket, and open another."""
        self.core.receive_closed("", code, self.now)
        self.settle()
        self.now += 100.0
        self.core.handle_deadline(self.now)
        self.settle()

    def answer(self, reply: HttpReply) -> list[HttpRequest]:
        """Answer every request that waits; return them."""
        requests = self.core.requests_to_send()
        for request in requests:
            self.core.receive_reply(request.request_id, reply, self.now)
        self.settle()
        return requests

    def settle(self) -> None:
        """Do what the core wants done, until it wants nothing more."""
        core = self.core
        while core.events:
            for event in core.take_events():
                if isinstance(event, OpenSocket):
                    core.receive_opened(event.shard, self.now)
                elif isinstance(event, StoreRecord):
                    self._store(event)
                elif isinstance(event, StoreReads):
                    _store_reads(event)
        for session in core.sessions.values():
            session.describe()
            for told in recap(session):
                assert isinstance(told.text, str)
        for shard in core.shards_to_send():
            core.take_frames(shard)

    def _store(self, event: StoreRecord) -> None:
        try:
            queued_to_payload(event.record)
        except StorageError as error:
            self.core.refuse_stored(event.record.mutation_id, error, self.now)
            return
        self.core.receive_stored([event.record.mutation_id], self.now)


def _appended(value: Any) -> Any:
    return [*value, "odd"]


def _same(value: Any) -> Any:
    return value


def _store_reads(event: StoreReads) -> None:
    for read in event.reads:
        try:
            cached_to_payload(read.encoded(1.0))
        except (CodecError, StorageError):
            continue  # reported by whoever stores
