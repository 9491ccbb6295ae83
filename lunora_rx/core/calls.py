"""Calls in flight: what goes into their headers, what their replies teach.

Knows bookmarks, commit cursors and the bearer. Does not know what a call was for.
Source: ``docs/protocol.md``, sections "RPC" and "Bookmarks and cursors".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple, TypeAlias

from lunora_rx.core.events import BatchSettled, BookmarkChanged, CallSettled, Event
from lunora_rx.errors import ClientClosedError, LunoraError
from lunora_rx.protocol import endpoints
from lunora_rx.protocol.rpc import (
    Accepted,
    HttpReply,
    HttpRequest,
    Outcome,
    Refused,
    RpcCall,
    decode_batch_reply,
    decode_reply,
    encode_batch,
    encode_call,
)

Slots: TypeAlias = list[Outcome | None] | Refused


class Credential(NamedTuple):
    """Whose call it is: the bearer to send, and whose session the server must find if there is none."""

    bearer: str | None
    expect_subject: str | None = None


class _Single(NamedTuple):
    call: RpcCall
    settle: Callable[[Outcome, float], None] | None


class _Batch(NamedTuple):
    calls: tuple[RpcCall, ...]
    settle: Callable[[Slots, float], None] | None


class _Question(NamedTuple):
    settle: Callable[[HttpReply | LunoraError, float], None]


class CommitCursors:
    """Highest position at which a write of ours landed, a shard.

    The default shard has a name that only the server knows: what was recorded before it was
    learnt counts for the named shard too.
    """

    def __init__(self) -> None:
        self.default_name = ""
        self._cursors: dict[str, int] = {}

    def name_default(self, name: str) -> None:
        """Learn the default shard's name."""
        self.default_name = name
        self.record(name, self._cursors.pop("", 0))

    def record(self, shard: str, cursor: int) -> None:
        """Note where a write landed; positions only grow, and 0 is none."""
        name = self.resolve(shard)
        if cursor > self._cursors.get(name, 0):
            self._cursors[name] = cursor

    def get(self, shard: str) -> int | None:
        """Return the position that a read of the shard must have reached, if any."""
        return self._cursors.get(self.resolve(shard))

    def resolve(self, shard: str) -> str:
        """Return the name of a shard, the default one's own where it is known."""
        return shard or self.default_name


class Calls:
    """The requests under way.

    Args:
        origin: Sent as ``origin`` where the session is a cookie's; else ``None``.
        emit: Takes each event.
    """

    def __init__(self, *, origin: str | None, emit: Callable[[Event], None]) -> None:
        self.cursors = CommitCursors()
        self.bookmark: str | None = None
        self.bearer: str | None = None
        self._origin = origin
        self._emit = emit
        self._bookmark_from = 0
        self._count = 0
        self._pending: dict[int, _Single | _Batch | _Question] = {}
        self._outgoing: dict[int, Callable[[], HttpRequest]] = {}

    def __len__(self) -> int:
        return len(self._pending)

    def call(
        self,
        call: RpcCall,
        *,
        timeout: float,
        credential: Credential | None = None,
        settle: Callable[[Outcome, float], None] | None = None,
    ) -> int:
        """Compose a single call and return its number.

        Args:
            call: What to call.
            timeout: Seconds.
            credential: Whose call it is; the bearer in force without one.
            settle: Takes the outcome and when it came; without it ``CallSettled`` carries the outcome.
        """
        own = {
            endpoints.HEADER_MUTATION_ID: call.mutation_id,
            endpoints.HEADER_CLIENT_ID: call.client_id,
            endpoints.HEADER_BASE_SEQ: None if call.baseline is None else str(call.baseline),
        }
        headers = partial(self._headers, (call,), credential or Credential(self.bearer), own)
        return self._compose(_Single(call, settle), endpoints.RPC_PATH, headers, encode_call(call), timeout)

    def batch(
        self,
        calls: Sequence[RpcCall],
        *,
        timeout: float,
        credential: Credential | None = None,
        settle: Callable[[Slots, float], None] | None = None,
        body: bytes | None = None,
    ) -> int:
        """Compose several calls in one request and return its number.

        Arguments as ``call``; ``body`` is the request's, where it was encoded already.
        """
        headers = partial(self._headers, calls, credential or Credential(self.bearer), {})
        return self._compose(
            _Batch(tuple(calls), settle), endpoints.BATCH_PATH, headers, body or encode_batch(calls), timeout
        )

    def ask(self, path: str, *, timeout: float, settle: Callable[[HttpReply | LunoraError, float], None]) -> int:
        """Compose a GET, and return its number; ``settle`` takes the reply whatever it is, or why there is none."""
        headers = partial(self._credentials, Credential(self.bearer))
        return self._compose(_Question(settle), path, headers, None, timeout)

    def take_requests(self) -> list[HttpRequest]:
        """Take the requests to make; their headers say what is known now, and whose call each was when composed."""
        outgoing, self._outgoing = self._outgoing, {}
        return [make() for make in outgoing.values()]

    def forget(self, request_id: int) -> bool:
        """Give a call up: it is not sent any more, and a late reply is ignored. Tells whether it was under way."""
        self._outgoing.pop(request_id, None)
        return self._pending.pop(request_id, None) is not None

    def receive_reply(self, request_id: int, reply: HttpReply | LunoraError, now: float) -> None:
        """Settle a call with what came back, or with why nothing did."""
        if isinstance(reply, HttpReply):
            self._learn_bookmark(request_id, reply)
        pending = self._pending.pop(request_id, None)
        if isinstance(pending, _Question):
            pending.settle(reply, now)
        elif isinstance(pending, _Single):
            self._hand_over(request_id, pending, self._settle(pending.call, reply), now)
        elif pending is not None:
            self._hand_over_batch(request_id, pending, self._settle_batch(pending.calls, reply), now)

    def close(self) -> None:
        """Fail what is under way, but for what somebody else settles; late replies are ignored."""
        pending, self._pending = self._pending, {}
        self._outgoing.clear()
        for request_id, each in pending.items():
            if each.settle is None:
                refused = Refused(ClientClosedError("the client was closed while the call was under way"))
                settled = CallSettled if isinstance(each, _Single) else BatchSettled
                self._emit(settled(request_id, refused))

    def _hand_over(self, request_id: int, pending: _Single, outcome: Outcome, now: float) -> None:
        if pending.settle is None:
            self._emit(CallSettled(request_id, outcome))
        else:
            pending.settle(outcome, now)

    def _hand_over_batch(self, request_id: int, pending: _Batch, slots: Slots, now: float) -> None:
        if pending.settle is None:
            self._emit(BatchSettled(request_id, slots))
        else:
            pending.settle(slots, now)

    def _compose(
        self,
        pending: _Single | _Batch | _Question,
        path: str,
        headers: Callable[[], dict[str, str]],
        body: bytes | None,
        timeout: float,
    ) -> int:
        self._count += 1
        number = self._count
        self._pending[number] = pending
        carried = _calls_in(pending)
        self._outgoing[number] = lambda: HttpRequest(number, path, headers(), body, timeout, carried)
        return number

    def _headers(
        self, calls: Sequence[RpcCall], credential: Credential, own: Mapping[str, str | None]
    ) -> dict[str, str]:
        headers = {"content-type": "application/json"} | self._credentials(credential)
        shards = {self.cursors.resolve(call.shard) for call in calls}
        min_seq = self.cursors.get(shards.pop()) if len(shards) == 1 else None
        optional = {
            endpoints.HEADER_BOOKMARK: self.bookmark,
            endpoints.HEADER_MIN_SEQ: str(min_seq) if min_seq is not None else None,
            **own,
        }
        return headers | _present(optional)

    def _credentials(self, credential: Credential) -> dict[str, str]:
        bearer, expected = credential
        return _present(
            {
                endpoints.HEADER_AUTHORIZATION: None if bearer is None else f"Bearer {bearer}",
                endpoints.HEADER_EXPECT_SUBJECT: expected,
                "origin": self._origin,
            }
        )

    def _learn_bookmark(self, request_id: int, reply: HttpReply) -> None:
        bookmark = reply.headers.get(endpoints.HEADER_BOOKMARK)
        # Replies may overtake each other: one to an older request says nothing new.
        if not bookmark or request_id < self._bookmark_from:
            return
        self._bookmark_from = request_id
        if bookmark != self.bookmark:
            self.bookmark = bookmark
            self._emit(BookmarkChanged(bookmark))

    def _settle(self, call: RpcCall, reply: HttpReply | LunoraError) -> Outcome:
        if isinstance(reply, LunoraError):
            return Refused(reply)
        outcome = decode_reply(reply)
        if isinstance(outcome, Accepted):
            name = reply.headers.get(endpoints.HEADER_SHARD_KEY)
            if name and not call.shard:
                self.cursors.name_default(name)
            self.cursors.record(call.shard, outcome.commit_cursor or 0)
        return outcome

    def _settle_batch(self, calls: Sequence[RpcCall], reply: HttpReply | LunoraError) -> Slots:
        if isinstance(reply, LunoraError):
            return Refused(reply)
        slots = decode_batch_reply(reply, len(calls))
        if not isinstance(slots, Refused):
            for call, slot in zip(calls, slots, strict=True):
                if isinstance(slot, Accepted):
                    self.cursors.record(call.shard, slot.commit_cursor or 0)
        return slots


def _calls_in(pending: _Single | _Batch | _Question) -> tuple[RpcCall, ...]:
    if isinstance(pending, _Question):
        return ()
    return (pending.call,) if isinstance(pending, _Single) else pending.calls


def _present(headers: Mapping[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if value is not None}
